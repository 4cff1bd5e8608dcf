//! The steps as SQL. Every statement names its rows by itself, so nothing is read that could have moved before it is
//! written; what is not there (any more) is left alone.
use super::{
    plan::Known,
    steps::{Line, Product, Step, Transaction},
    words::SHORT_BYTES_MAX,
};
use std::{collections::HashMap, time::SystemTime};
use tokio_postgres::{Client, Error, Row, Statement, types::ToSql};

/// Waiting for another's lock, and a statement as a whole, end by themselves.
const SESSION: &str = "set lock_timeout = '10s'; set statement_timeout = '60s'";

/// A connection, the statements it knows, and what the transaction under way has done so far.
pub struct Till {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    done: Done,
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    pub rows: u64,
    /// How many more products there are.
    products: i64,
    newest_order: i32,
    newest_line: i64,
}
impl Done {
    pub fn tell(&self, known: &mut Known) {
        known.products += self.products;
        known.newest_order = known.newest_order.max(self.newest_order);
        known.newest_line = known.newest_line.max(self.newest_line);
    }
}

/// Where a transaction ended.
#[derive(Debug)]
pub enum Ended {
    Committed(Done),
    RolledBack,
    /// Nothing of it took effect.
    Failed(Error),
    /// The answer to `commit` did not come: it took effect, or not.
    Unknown(Error),
}

impl Till {
    pub async fn open(client: Client) -> Result<Self, Error> {
        client.batch_execute(SESSION).await?;
        Ok(Self { client, statements: HashMap::new(), done: Done::default() })
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub async fn known(&mut self) -> Result<Known, Error> {
        let row = self
            .client
            .query_one(
                "select (select count(*) from products), (select coalesce(max(id), 0) from orders),
                   (select coalesce(max(id), 0) from order_items)",
                &[],
            )
            .await?;
        Ok(Known { products: row.get(0), newest_order: row.get(1), newest_line: row.get(2) })
    }

    /// Does it, whole or not at all.
    pub async fn perform(&mut self, transaction: &Transaction) -> Ended {
        self.done = Done::default();
        if let Err(error) = self.begin_and_do(transaction).await {
            // Where this fails, so will the next statement.
            let _ = self.client.batch_execute("rollback").await;
            return Ended::Failed(error);
        }
        if transaction.roll_back {
            return match self.client.batch_execute("rollback").await {
                Ok(()) => Ended::RolledBack,
                Err(error) => Ended::Failed(error),
            };
        }
        match self.client.batch_execute("commit").await {
            Ok(()) => Ended::Committed(self.done),
            // The server's own word that it did not commit.
            Err(error) if !is_lost(&error) => Ended::Failed(error),
            Err(error) => Ended::Unknown(error),
        }
    }

    async fn begin_and_do(&mut self, transaction: &Transaction) -> Result<(), Error> {
        self.client.batch_execute("begin").await?;
        self.step(&transaction.step, transaction.at).await
    }

    async fn step(&mut self, step: &Step, at: SystemTime) -> Result<(), Error> {
        match step {
            Step::Order { customer, lines, lines_first } => {
                self.place_order(*customer, lines, *lines_first, at).await.map(drop)
            }
            Step::Status { order, from, to } => {
                const SQL: &str = "update orders set status = $3 where id = (select id from
                    (select id, status from orders where id <= $1 order by id desc limit 50) o
                    where status = $2 order by id desc limit 1)";
                self.run(SQL, &[order, from, to]).await.map(drop)
            }
            Step::Cancel { order, lines_go } => self.cancel(*order, *lines_go).await,
            Step::Quantity { line, quantity } => {
                const SQL: &str = "update order_items set quantity = $2 where id =
                    (select id from order_items where id <= $1 order by id desc limit 1) returning order_id";
                let changed = self.ask(SQL, &[line, quantity]).await?;
                self.total(changed).await
            }
            Step::Switch { line, rank } => {
                const SQL: &str = "update order_items set product_id = p.id, unit_price = p.price
                    from (select id, price from products order by id offset $2 limit 1) p where order_items.id =
                    (select id from order_items where id <= $1 order by id desc limit 1) returning order_id";
                let changed = self.ask(SQL, &[line, rank]).await?;
                self.total(changed).await
            }
            Step::OrderGoes { order, lines_go } => self.order_goes(*order, *lines_go).await,
            Step::OrderKey { order, lines_follow } => self.order_key(*order, *lines_follow).await,
            Step::LineKey { line } => {
                const SQL: &str =
                    "update order_items set id = nextval('cdc_shop.line_id') where id =
                    (select id from order_items where id <= $1 order by id desc limit 1)";
                self.run(SQL, &[line]).await.map(drop)
            }
            Step::Several(steps) => {
                for step in steps {
                    Box::pin(self.step(step, at)).await?;
                }
                Ok(())
            }
            Step::ThereAndGone { product, customer, rank } => {
                self.there_and_gone(product, *customer, *rank, at).await
            }
            of_products => self.product_step(of_products, at).await,
        }
    }

    async fn product_step(&mut self, step: &Step, at: SystemTime) -> Result<(), Error> {
        match step {
            Step::Restock { ranks, up_to } => {
                const SQL: &str = "update products p set stock_quantity = sold.quantity + $2, updated_at = $3 from
                    (select w.id, (select coalesce(sum(quantity), 0) from order_items where product_id = w.id)::int
                      as quantity from unnest($1::bigint[]) rank
                      cross join lateral (select id from products order by id offset rank limit 1) w) sold
                    where p.id = sold.id and p.stock_quantity - sold.quantity < 10";
                self.run(SQL, &[ranks, up_to, &at]).await?;
            }
            Step::Price { rank, cents } => {
                const SQL: &str = "update products set price = $2::bigint * 0.01, updated_at = $3
                    where id = (select id from products order by id offset $1 limit 1)";
                self.run(SQL, &[rank, cents, &at]).await?;
            }
            Step::Sale { rank, products, percent } => {
                const SQL: &str = "update products set updated_at = $4,
                    price = least(greatest(round(price * $3::int / 100, 2), 0.01), 99999999.99)
                    where id in (select id from products order by id offset $1 limit $2)";
                self.run(SQL, &[rank, products, percent, &at]).await?;
            }
            Step::Rename { rank, name } => {
                const SQL: &str = "update products set name = $2, updated_at = $3
                    where id = (select id from products order by id offset $1 limit 1)";
                self.run(SQL, &[rank, name, &at]).await?;
            }
            Step::Describe { rank, text } => {
                const SQL: &str = "update products set description = $2, updated_at = $3
                    where id = (select id from products order by id offset $1 limit 1)";
                self.run(SQL, &[rank, text, &at]).await?;
            }
            Step::ProductGoes { rank } => {
                const SQL: &str = "delete from products
                    where id = (select id from products order by id offset $1 limit 1)";
                self.done.products -= self.run(SQL, &[rank]).await?;
            }
            Step::ProductComes { product, ordered } => {
                let id = self.new_product_id().await?;
                if let Some((order, quantity)) = ordered {
                    const SQL: &str = "insert into order_items
                        select nextval('cdc_shop.line_id'), id, $2::int, $3::int, $4::bigint * 0.01 from
                        (select id from orders where id <= $1 order by id desc limit 1) o returning id, order_id";
                    let made = self.ask(SQL, &[order, &id, quantity, &product.cents]).await?;
                    made.iter().for_each(|row| self.new_line(row));
                    let orders = made.first().map(|row| row.get(1));
                    self.total_of(orders).await?;
                }
                self.add_product(id, product, at).await?;
            }
            Step::ProductReturns { from, product } => {
                const SQL: &str = "select i from generate_series($1::int, $1::int + 99) i
                    where i <= (select last_value from cdc_shop.product_id)
                    and not exists (select from products where id = i) order by i limit 1";
                if let Some(row) = self.look(SQL, &[from]).await?.first() {
                    self.add_product(row.get(0), product, at).await?;
                }
            }
            Step::ProductKey { rank } => {
                // A long text would not be sent with the new key: nobody could know it.
                const SQL: &str = "update products set id = nextval('cdc_shop.product_id')
                    where id = (select id from products order by id offset $1 limit 1)
                    and coalesce(octet_length(description), 0) <= $2";
                self.run(SQL, &[rank, &SHORT_BYTES_MAX]).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn place_order(
        &mut self,
        customer: i32,
        lines: &[Line],
        lines_first: bool,
        at: SystemTime,
    ) -> Result<i32, Error> {
        const ID: &str = "select nextval('cdc_shop.order_id')::int";
        const ORDER: &str = "insert into orders select $1::int, $2::int, 'new',
            least(coalesce(sum(quantity * unit_price), 0), 9999999999), $3::timestamptz
            from order_items where order_id = $1";
        const LINE: &str =
            "insert into order_items select nextval('cdc_shop.line_id'), $1::int, id, $2::int, price
            from (select id, price from products order by id offset $3 limit 1) p returning id";
        let id: i32 = self.one(ID).await?;
        if !lines_first {
            self.run(ORDER, &[&id, &customer, &at]).await?;
        }
        for line in lines {
            let made = self.ask(LINE, &[&id, &line.quantity, &line.rank]).await?;
            made.iter().for_each(|row| self.new_line(row));
        }
        if lines_first {
            self.run(ORDER, &[&id, &customer, &at]).await?;
        } else {
            self.total_of(Some(id)).await?;
        }
        self.done.newest_order = id;
        Ok(id)
    }

    async fn cancel(&mut self, order: i32, lines_go: bool) -> Result<(), Error> {
        const CANCEL: &str = "update orders set status = 'cancelled' where id =
            (select id from orders where id <= $1 order by id desc limit 1) returning id";
        const LINES: &str = "delete from order_items where order_id = $1";
        let Some(row) = self.ask(CANCEL, &[&order]).await?.pop() else { return Ok(()) };
        let id: i32 = row.get(0);
        if lines_go {
            self.run(LINES, &[&id]).await?;
            self.total_of(Some(id)).await?;
        }
        Ok(())
    }

    async fn order_goes(&mut self, order: i32, lines_go: bool) -> Result<(), Error> {
        const ORDER: &str = "delete from orders where id =
            (select id from orders where id <= $1 order by id desc limit 1) returning id";
        const LINES: &str = "delete from order_items where order_id = $1";
        let Some(row) = self.ask(ORDER, &[&order]).await?.pop() else { return Ok(()) };
        if lines_go {
            self.run(LINES, &[&row.get::<_, i32>(0)]).await?;
        }
        Ok(())
    }

    async fn order_key(&mut self, order: i32, lines_follow: bool) -> Result<(), Error> {
        const ORDER: &str =
            "select id from orders where id <= $1 order by id desc limit 1 for update";
        const ID: &str = "select nextval('cdc_shop.order_id')::int";
        const KEY: &str = "update orders set id = $2 where id = $1";
        const LINES: &str = "update order_items set order_id = $2 where order_id = $1";
        let Some(row) = self.look(ORDER, &[&order]).await?.pop() else { return Ok(()) };
        let old: i32 = row.get(0);
        let new: i32 = self.one(ID).await?;
        self.run(KEY, &[&old, &new]).await?;
        if lines_follow {
            self.run(LINES, &[&old, &new]).await?;
        }
        self.done.newest_order = new;
        Ok(())
    }

    async fn there_and_gone(
        &mut self,
        product: &Product,
        customer: i32,
        rank: i64,
        at: SystemTime,
    ) -> Result<(), Error> {
        const STOCK: &str = "update products set stock_quantity = stock_quantity + $2
            where id = (select id from products order by id offset $1 limit 1)";
        const NAME: &str = "update products set name = name
            where id = (select id from products order by id offset $1 limit 1)";
        const GOES: &str = "delete from products where id = $1";
        let id = self.new_product_id().await?;
        self.add_product(id, product, at).await?;
        let line = Line { rank, quantity: 1 };
        let order = self.place_order(customer, &[line], false, at).await?;
        self.order_goes(order, true).await?;
        self.done.products -= self.run(GOES, &[&id]).await?;
        self.run(STOCK, &[&rank, &1]).await?;
        self.run(STOCK, &[&rank, &-1]).await?;
        self.run(NAME, &[&rank]).await.map(drop)
    }

    pub async fn add_product(
        &mut self,
        id: i32,
        product: &Product,
        at: SystemTime,
    ) -> Result<(), Error> {
        const SQL: &str = "insert into products
            values ($1, $2, $3, $4::bigint * 0.01, $5, $6, $7, $7) on conflict do nothing";
        let Product { name, description, cents, stock, category } = product;
        let added = self.run(SQL, &[&id, name, description, cents, stock, category, &at]).await?;
        self.done.products += added;
        Ok(())
    }
    pub async fn new_product_id(&mut self) -> Result<i32, Error> {
        self.one("select nextval('cdc_shop.product_id')::int").await
    }
    pub async fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    fn new_line(&mut self, row: &Row) {
        self.done.newest_line = self.done.newest_line.max(row.get(0));
    }
    async fn total(&mut self, changed: Vec<Row>) -> Result<(), Error> {
        self.total_of(changed.first().map(|row| row.get(0))).await
    }
    /// The order's total becomes that of its lines.
    async fn total_of(&mut self, order: Option<i32>) -> Result<(), Error> {
        const SQL: &str = "update orders set total = (select least(coalesce(sum(quantity * unit_price), 0), 9999999999)
            from order_items where order_id = $1) where id = $1";
        if let Some(order) = order {
            self.run(SQL, &[&order]).await?;
        }
        Ok(())
    }

    async fn one(&mut self, sql: &'static str) -> Result<i32, Error> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query_one(&statement, &[]).await?.get(0))
    }
    /// How many rows it changed.
    async fn run(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<i64, Error> {
        let statement = self.statement(sql).await?;
        let rows = self.client.execute(&statement, values).await?;
        self.done.rows += rows;
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
    /// The rows it changed, `returning` something.
    async fn ask(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let rows = self.look(sql, values).await?;
        self.done.rows += rows.len() as u64;
        Ok(rows)
    }
    /// Rows as they are.
    async fn look(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        self.client.query(&statement, values).await
    }
    async fn statement(&mut self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let made = self.client.prepare(sql).await?;
        self.statements.insert(sql, made.clone());
        Ok(made)
    }
}

/// The connection is gone, or about to.
pub fn is_lost(error: &Error) -> bool {
    use std::error::Error as _;
    match error.code() {
        None => {
            error.is_closed()
                || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
        // Connection exceptions; the server shuts down, crashes, or is not up yet.
        Some(state) => ["08", "57P"].iter().any(|class| state.code().starts_with(class)),
    }
}

/// What happens to transactions beside each other: deadlock, serialization, a lock or a time not had, an id taken.
pub fn is_chance(error: &Error) -> bool {
    let state = error.code().map_or("", |state| state.code());
    ["40P01", "40001", "55P03", "57014", "23505"].contains(&state)
}
