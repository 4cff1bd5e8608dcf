//! Tables of a shop and of an issue tracker with random rows, and views over them.
use rand::{RngExt, rngs::StdRng};
use sql::{Catalogue, bind_expression};
use views::Cell;

pub const TABLES: &str = "
create type tier as enum ('gold', 'silver');
create table customers (id int primary key, name text, tier tier not null, country varchar(20) not null);
create table orders (id int primary key, customer_id int, status text, total numeric(10,2), created_at timestamp, rush bool);
create table order_items (id bigint primary key, order_id int, product_id int, quantity int, unit_price numeric(10,2));
create table products (id int primary key, name text, description text, price numeric(10,2), stock_quantity int, category text);
create table details (product_id int primary key, weight numeric(6,3), origin text);
create table tickets (project text, id text, title text, points int, primary key (project, id));
create table comments (id uuid primary key, project text, ticket text, likes int, tags text[]);
create table returns (id int primary key, customer_id int not null, total numeric(10,2));
";

/// Views that PostgreSQL knows too.
pub const VIEWS: &[&str] = &[
    "select * from customers where tier = 'gold' or country <> 'de'",
    "select id, name || '!' as loud, upper(name collate \"C\") as big, country = 'de' as home from customers",
    "select p.id, p.price * 1.19 as gross, round(p.price / 3, 2) as third, p.price < 20 as cheap from products p where p.category is not null",
    "select status, count(*) as n from orders where status is not null group by status",
    "select customer_id, count(*) n, count(total) known, sum(total) spent, avg(total) mean, min(total) as smallest, max(created_at) as newest
       from orders where customer_id is not null group by customer_id",
    "select customer_id, count(*) filter (where status = 'paid') paid, sum(total) filter (where status <> 'paid') open,
       bool_and(rush) every_rush, bool_or(rush) any_rush, max(status collate \"C\") as top_status
       from orders where customer_id is not null group by 1",
    "select customer_id, count(*) n from orders where customer_id > 0 group by customer_id having count(*) > 1 and sum(total) > 10",
    "select created_at::date as day, count(*) n, sum(total) revenue from orders where created_at is not null group by created_at::date",
    "select date_trunc('month', created_at) as month, extract(dow from created_at) as dow, count(*) n from orders
       where created_at is not null group by 1, 2",
    "select distinct country, tier from customers",
    "select distinct product_id from order_items where product_id is not null",
    "select product_id, sum(quantity) q, sum(quantity * unit_price) revenue, avg(quantity) mean from order_items where product_id is not null group by product_id",
    "select c.id, c.name, coalesce(t.orders, 0) as orders, coalesce(t.spent, 0) as spent, round(t.spent / nullif(t.orders, 0), 2) as average, t.last
       from customers c left join (select customer_id, count(*) as orders, sum(total) as spent, max(created_at) as last
       from orders where status <> 'cancelled' group by customer_id) t on t.customer_id = c.id",
    "select c.id, c.name, t.orders from customers c join (select customer_id, count(*) as orders from orders group by customer_id) t on t.customer_id = c.id
       where t.orders > 1",
    "select c.id, o.n, r.back, coalesce(o.spent, 0) - coalesce(r.back, 0) as net from customers c
       left join (select customer_id, count(*) n, sum(total) spent from orders group by 1) o on o.customer_id = c.id
       left join (select customer_id, sum(total) back from returns group by 1) r on c.id = r.customer_id",
    "select t.project, t.id, t.title, count(c.id) as comments, coalesce(sum(c.likes), 0) as likes, count(*) as rows
       from tickets t left join comments c on c.project = t.project and c.ticket = t.id
       where t.title is not null group by t.project, t.id",
    "select t.project, t.id, max(c.likes) as most from tickets t join comments c on c.ticket = t.id and c.project = t.project and c.likes > 0
       group by t.project, t.id, t.title having count(*) > 1",
    "select p.id, p.name from products p where exists (select 1 from order_items i where i.product_id = p.id and i.quantity > 1)",
    "select p.id, p.name from products p where not exists (select 1 from order_items i where i.product_id = p.id)",
    "select c.id, (select sum(total) from orders o where o.customer_id = c.id) as spent,
       (select count(*) from orders o where o.customer_id = c.id and o.status = 'paid') as paid,
       exists (select 1 from returns r where r.customer_id = c.id) as returned from customers c",
    "with paid as (select customer_id, total from orders where status = 'paid'), sums as (select customer_id, sum(total) s from paid group by 1)
       select c.id, c.name, sums.s from customers c left join sums on sums.customer_id = c.id",
    "select customer_id, count(*) n, sum(total) t, max(total) m, avg(total) a from
       (select customer_id, total from orders where customer_id is not null union all select customer_id, -total from returns) u group by customer_id",
    "select p.id, p.name, d.weight, d.origin from products p left join details d on d.product_id = p.id",
    "select p.id, d.weight * 2 as w, coalesce(s.q, 0) as q from products p join details d on d.product_id = p.id
       left join (select product_id, sum(quantity) q from order_items group by product_id) s on s.product_id = p.id where d.weight > 0.1",
    "select 'order' as kind, id, total as amount, status from orders where total > 1
       union all select 'return', id, -total, null::text from returns where customer_id <> 2",
    "select country from customers union select category from products where category is not null",
    "select coalesce(status, 'none') as status, rush is true as rush, count(*) n from orders group by 1, 2",
    "select c.id, t.n from customers c left join (select customer_id, count(*) n from orders group by customer_id having count(*) > 1) t
       on t.customer_id = c.id and t.n < 4 and c.country <> 'fr'",
    "select a.customer_id, a.n, b.m from (select customer_id, count(*) n from orders where customer_id is not null group by 1) a
       left join (select customer_id, count(*) m from returns group by 1) b on a.customer_id = b.customer_id",
    "select a.customer_id, a.n, b.most, c.m from (select customer_id, count(*) n from orders where customer_id is not null group by 1) a
       left join (select customer_id, max(total) most from orders where total > 5 group by 1) b on a.customer_id = b.customer_id
       left join (select customer_id, count(*) m from returns group by 1) c on a.customer_id = c.customer_id",
];

pub fn catalogue() -> Catalogue {
    Catalogue::parse(TABLES).expect("the tables")
}

fn one<'a>(random: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[random.random_range(0..of.len())]
}

/// Rows of every table, each value as a constant of SQL.
pub fn rows(random: &mut StdRng, table: &str, first: i64, count: usize) -> Vec<Vec<String>> {
    let key = |random: &mut StdRng| random.random_range(1..6_i64).to_string();
    let maybe = |random: &mut StdRng, text: String| {
        if random.random_bool(0.15) { "null".into() } else { text }
    };
    let money = |random: &mut StdRng| {
        format!("{}.{:02}", random.random_range(-3..40), random.random_range(0..100))
    };
    let small = |random: &mut StdRng| random.random_range(-2..7_i64).to_string();
    let word = |random: &mut StdRng| {
        format!("'{}'", one(random, &["Ada", "a b", "ä Öl b", "", "B-2 a", "x"]))
    };
    let mut all = Vec::new();
    for at in first..first + count as i64 {
        let r = &mut *random;
        let id = at.to_string();
        all.push(match table {
            "customers" => {
                let name = word(r);
                vec![
                    id,
                    maybe(r, name),
                    format!("'{}'", one(r, &["gold", "silver"])),
                    format!("'{}'", one(r, &["de", "fr", "it"])),
                ]
            }
            "orders" => {
                let (customer, status, total) =
                    (key(r), format!("'{}'", one(r, &["paid", "open", "cancelled"])), money(r));
                let day = format!(
                    "'2024-0{}-1{} 0{}:30:00'",
                    r.random_range(1..4),
                    r.random_range(0..3),
                    r.random_range(0..9)
                );
                let rush = r.random_bool(0.5).to_string();
                vec![
                    id,
                    maybe(r, customer),
                    maybe(r, status),
                    maybe(r, total),
                    maybe(r, day),
                    maybe(r, rush),
                ]
            }
            "order_items" => {
                let (order, product, quantity, price) = (key(r), key(r), small(r), money(r));
                vec![id, order, maybe(r, product), maybe(r, quantity), maybe(r, price)]
            }
            "products" => {
                let (name, text, price, stock, category) =
                    (word(r), word(r), money(r), small(r), word(r));
                vec![
                    id,
                    maybe(r, name),
                    maybe(r, text),
                    maybe(r, price),
                    maybe(r, stock),
                    maybe(r, category),
                ]
            }
            "details" => {
                let (weight, origin) = (format!("0.{:03}", r.random_range(0..999)), word(r));
                vec![id, maybe(r, weight), maybe(r, origin)]
            }
            "tickets" => {
                let (title, points) = (word(r), small(r));
                vec![
                    format!("'p{}'", at % 2),
                    format!("'t{}'", at / 2),
                    maybe(r, title),
                    maybe(r, points),
                ]
            }
            "comments" => {
                let (ticket, likes) = (format!("'t{}'", r.random_range(0..4)), small(r));
                let tags = format!("'{}'", one(r, &["{}", "{a}", "{a,b,a}", "{NULL,c}"]));
                let project = format!("'p{}'", r.random_range(0..2));
                vec![
                    format!("'00000000-0000-0000-0000-{at:012}'"),
                    maybe(r, project),
                    maybe(r, ticket),
                    maybe(r, likes),
                    maybe(r, tags),
                ]
            }
            "returns" => {
                let (customer, total) = (key(r), money(r));
                vec![id, customer, maybe(r, total)]
            }
            other => panic!("no rows of {other}"),
        });
    }
    all
}

/// The cells of a row.
pub fn cells(table: &sql::Table, values: &[String]) -> Vec<Cell> {
    let cell = |(value, column): (&String, &sql::Column)| {
        if value == "null" {
            return Cell::Null;
        }
        if column.sql_type.kind() == sql::Kind::TextArray {
            let inner = value.trim_matches(['\'', '{', '}']);
            let texts = inner.split(',').filter(|text| !text.is_empty());
            return Cell::List(views::List(
                texts.map(|text| (text != "NULL").then(|| text.to_owned())).collect(),
            ));
        }
        if column.sql_type.kind() == sql::Kind::Enum {
            return value.trim_matches('\'').into();
        }
        let bound =
            bind_expression(&format!("({value})::{}", column.sql_type), table).expect("a constant");
        bound.expr.of(&[]).expect("a value").into_owned()
    };
    values.iter().zip(&table.columns).map(cell).collect()
}
