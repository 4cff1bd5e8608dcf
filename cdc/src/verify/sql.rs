//! The views, as PostgreSQL computes them itself: one statement a view, over the source's tables *patched* with the
//! changes that the log has beyond the snapshot. For a view in SQL it is the user's own query.
//!
//! A patch (`$1`, `$2`: JSON, one for each table) holds for each row touched what it is at the position that is
//! verified. All other rows are as in the snapshot. With keys (the last parameter, JSON too) only these rows of the view
//! are computed, each with the patch rows made `for` it: each may stand at a position of its own.
mod table;

use consumers::handlers::inventory::StockMode;
use consumers::{
    config::Config,
    handlers::{analytics, inventory, search},
};
pub use table::{Table, Types, wanted};

/// The tables that a service reads, in this schema; `types`: of their columns, as the source has them.
pub fn tables(config: &Config, schema: &str, types: &Types) -> Vec<Table> {
    config.tables.iter().map(|table| Table::new(table, schema, types)).collect()
}

/// What a statement gives: the rows of a view, or of a report that shows some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    All,
    /// Of these keys: the last parameter.
    Keys,
    /// As a report shows them: the first 100 by rank, where it ranks.
    Ranked,
}

/// Key and columns of the view as text, in the order of the keys (of the ranks).
pub fn view(config: &Config, tables: &[Table], view: &str, rows: Rows) -> Option<String> {
    let keys = (rows == Rows::Keys).then_some(tables.len() + 1);
    let patched: Vec<String> =
        tables.iter().enumerate().map(|(at, table)| table.patched(at + 1, keys)).collect();
    if let Some(declared) = config.service.declared() {
        let select = declared.answer.as_ref().ok().filter(|_| rows == Rows::All)?;
        return Some(format!("with {}\n{select}", patched.join(",\n")));
    }
    let select = match view {
        inventory::VIEW => stock(config.stock_mode, config.low_stock_threshold),
        search::INDEX => SEARCH.to_owned(),
        analytics::DAILY => DAILY.to_owned(),
        analytics::STATUS => STATUS.to_owned(),
        analytics::PRODUCTS => ranked(PRODUCTS, "revenue", "product_id", rows),
        analytics::CUSTOMERS => ranked(CUSTOMERS, "spent", "customer_id", rows),
        SUMMARY => SUMMARY_SQL.to_owned(),
        _ => return None,
    };
    Some(format!("with {}\n{select}", patched.join(",\n")))
}

/// Qualified: an output column of the same name is text, and sorts as text.
fn ranked(select: &str, by: &str, key: &str, rows: Rows) -> String {
    match rows {
        Rows::Ranked => format!("{select}\norder by s.{by} desc, s.{key} limit 100"),
        _ => format!("{select}\norder by s.{key}"),
    }
}

fn stock(mode: StockMode, low_below: i64) -> String {
    let stock = match mode {
        StockMode::Derived => "p.stock_quantity - coalesce(s.sold, 0)",
        StockMode::Source => "p.stock_quantity",
    };
    format!(
        "select p.id::text, p.name, p.price::text, p.stock_quantity::text, coalesce(s.sold, 0)::text,\n       \
         ({stock})::text, case when {stock} < {low_below} then '1' end\n\
         from products p\n\
         left join (select product_id, sum(quantity) as sold from order_items group by 1) s on s.product_id = p.id\n\
         where p.stock_quantity is not null\n\
         order by p.id"
    )
}

/// Its words are made of name and description by the search service's own rules.
const SEARCH: &str = "\
select p.id::text, p.name, p.description, p.price::text, p.category
from products p
order by p.id";

/// Neither null nor infinity is a day, as in the handler.
const DAILY: &str = "\
select d.day::text, count(*)::text, coalesce(sum(d.total), 0)::text
from (select (created_at at time zone 'UTC')::date as day, total from orders where isfinite(created_at)) d
group by d.day
order by d.day::text collate \"C\"";

const STATUS: &str = "\
select o.status, count(*)::text
from orders o
where o.status is not null
group by o.status
order by o.status collate \"C\"";

const PRODUCTS: &str = "\
select product_id::text, quantity::text, revenue::text
from (select product_id, coalesce(sum(quantity), 0) as quantity, coalesce(sum(quantity * unit_price), 0) as revenue
      from order_items
      where product_id is not null
      group by 1) s";

/// The sum is given 30 more places, so that the quotient is exact enough to be rounded once.
const CUSTOMERS: &str = "\
select customer_id::text, orders::text, spent::text, round(spent * 1.000000000000000000000000000000 / orders, 2)::text,
       (extract(epoch from last_order_at)::numeric * 1000000)::bigint::text
from (select customer_id, count(*) as orders, coalesce(sum(total), 0) as spent,
             max(created_at) filter (where isfinite(created_at)) as last_order_at
      from orders
      where customer_id is not null
      group by 1) s";

/// The report of one row.
pub const SUMMARY: &str = "summary";
const SUMMARY_SQL: &str = "\
select d.orders::text, d.revenue::text, c.customers::text, p.products_sold::text, p.units::text,
       case when d.orders > 0 then round(d.revenue * 1.000000000000000000000000000000 / d.orders, 2) end::text
from (select count(*) as orders, coalesce(sum(total), 0) as revenue from orders where isfinite(created_at)) d,
     (select count(distinct customer_id) as customers from orders) c,
     (select count(distinct product_id) as products_sold, coalesce(sum(quantity), 0) as units
      from order_items where product_id is not null) p";
