//! What every store and every sink must do, as suites that any of them can be put through. A suite panics with a
//! sentence that names the check, the seed where there is one, and what was expected.
//!
//! A suite asks for storage by name: the same name twice must give two handles on the same storage, as two processes
//! would have, and a new name must give empty storage.
mod faults;
pub mod shop;
mod state;
mod views;

pub use shop::{Rows, Shop, Supports, partitions};
pub use state::state;
pub use views::{Backend, views};
