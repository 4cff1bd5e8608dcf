//! PostgreSQL is the judge: what this crate makes of an expression must be what the server makes of it, row by row, value or
//! error.
//!
//! Needs `TEST_POSTGRES_DSN`, as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, of a user who may make tables. Each run takes
//! a new seed and prints it; `TEST_SQL_SEED` takes one again, `TEST_SQL_EXPRESSIONS` says how many expressions.
#[path = "postgres/expressions.rs"]
mod expressions;
#[path = "postgres/kinds.rs"]
mod kinds;
#[path = "postgres/random.rs"]
mod random;
#[path = "postgres/server.rs"]
mod server;

#[path = "oracle/interpreter.rs"]
mod interpreter;
#[path = "oracle/lanes.rs"]
mod lanes;
#[path = "oracle/random_views.rs"]
mod random_views;
#[path = "oracle/seed.rs"]
mod seed;
#[path = "oracle/shop.rs"]
mod shop;
#[path = "postgres/views.rs"]
mod views_test;
