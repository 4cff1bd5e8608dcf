//! The views, as PostgreSQL computes them itself: one statement a view, over the shop's tables *patched* with the
//! changes that the log has beyond the snapshot.
//!
//! A patch (`$1`, `$2`: JSON, one for each table) holds for each row touched what it is at the position that is
//! verified. All other rows are as in the snapshot. With keys (the last parameter) only these rows of the view are
//! computed, each with the patch rows made `for` it: each may stand at a position of its own.
use consumers::handlers::inventory::StockMode;
use consumers::{
    config::Config,
    handlers::{analytics, inventory, search},
    source_table::{SourceColumn, SourceTable, SourceType},
};

/// A table of the shop, as a statement sees it.
#[derive(Debug, Clone)]
pub struct Table {
    /// As the service's handler declares it, in the topic that is set.
    pub source: SourceTable,
    /// Quoted, with its schema.
    place: String,
    /// The primary key's column, quoted.
    id: String,
    columns: Vec<Column>,
    /// The column by which a row counts towards a view's row (`id` or `product_id`), where that is one number.
    pub key: &'static str,
}
#[derive(Debug, Clone)]
struct Column {
    ours: &'static str,
    yours: String,
    kind: &'static str,
}
impl Column {
    fn new(column: &SourceColumn) -> Self {
        let kind = match column.kind {
            SourceType::Int => "bigint",
            SourceType::Text => "text",
            SourceType::Decimal => "numeric",
            SourceType::Time => "timestamptz",
        };
        Self { ours: column.alias, yours: quoted(&column.name), kind }
    }
    /// Through text: a `double precision` then reads as Debezium writes it.
    fn read(&self) -> String {
        let Self { ours, yours, kind } = self;
        let through = if *kind == "numeric" { "::text" } else { "" };
        format!("t.{yours}{through}::{kind} as {ours}")
    }
}

/// As an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The tables that a service reads, in this schema.
pub fn tables(config: &Config, schema: &str) -> Vec<Table> {
    config.tables.iter().map(|table| Table::new(table, schema)).collect()
}

impl Table {
    fn new(source: &SourceTable, schema: &str) -> Self {
        Self {
            source: source.clone(),
            place: format!("{}.{}", quoted(schema), quoted(&source.name)),
            id: quoted(source.key.first().map_or("id", |column| &column.name)),
            columns: source.columns.iter().map(Column::new).collect(),
            key: if source.alias == "order_items" { "product_id" } else { "id" },
        }
    }

    /// Our name of the column beside the primary key by which a row counts towards a view's row. `None`: it does by its
    /// primary key.
    pub fn counted_by(&self) -> Option<&'static str> {
        self.columns.iter().map(|column| column.ours).find(|ours| *ours == self.key)
    }

    /// For each of these rows that the snapshot has, the view's row that it counts towards.
    pub fn keys_of(&self) -> String {
        let Self { place, id, .. } = self;
        let key = self.key_column();
        format!(
            "select t.{id}::bigint, t.{key}::bigint from {place} t where t.{id} = any($1::bigint[])"
        )
    }

    /// Which of these rows the snapshot has.
    pub fn ids_of(&self) -> String {
        let Self { place, id, .. } = self;
        format!("select t.{id}::bigint from {place} t where t.{id} = any($1::bigint[])")
    }

    /// As the source calls that column.
    pub fn key_name(&self) -> &str {
        self.key_column().trim_matches('"')
    }
    fn key_column(&self) -> &str {
        let found = self.columns.iter().find(|column| column.ours == self.key);
        found.map_or(&self.id, |column| &column.yours)
    }

    /// `patch_<alias>` and `<alias>`, the table as it is at the position.
    fn patched(&self, patch: usize, keys: Option<usize>) -> String {
        let Self { place, id, key, .. } = self;
        let alias = self.source.alias;
        let column = self.key_column();
        let declared: String = self
            .columns
            .iter()
            .map(|Column { ours, kind, .. }| match *kind {
                "text" => format!(", {ours} text, {ours}_kept boolean"),
                kind => format!(", {ours} {kind}"),
            })
            .collect();
        let base: String = self.columns.iter().map(|c| format!(", {}", c.read())).collect();
        let touched: String = self
            .columns
            .iter()
            .map(|Column { ours, yours, kind }| match *kind {
                // Not sent because it did not change: it stands in the snapshot.
                "text" => {
                    format!(", case when p.{ours}_kept then t.{yours}::text else p.{ours} end")
                }
                _ => format!(", p.{ours}"),
            })
            .collect();
        let (of_base, of_patch, only) = match keys {
            Some(keys) => (
                format!("t.{column} = any(${keys}::bigint[]) and"),
                format!("and p.{key} = p.for_key"),
                format!("and p.for_key = t.{column}"),
            ),
            None => Default::default(),
        };
        format!(
            "patch_{alias} as materialized (\n  select * from json_to_recordset(${patch}::text::json)\n    \
             as p(for_key bigint, id bigint, deleted boolean{declared})\n),\n\
             {alias} as (\n  select t.{id}::bigint as id{base}\n  from {place} t\n  \
             where {of_base} not exists (select from patch_{alias} p where p.id = t.{id} {only})\n  \
             union all\n  select p.id{touched}\n  from patch_{alias} p left join {place} t on t.{id} = p.id\n  \
             where not p.deleted {of_patch}\n)"
        )
    }
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
