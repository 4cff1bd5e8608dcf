//! Random views over the shop: groups, stars, and unions of it.
use rand::{RngExt, rngs::StdRng};

const KEYS: &[&str] = &[
    "customer_id",
    "status",
    "coalesce(customer_id, 0)",
    "created_at::date",
    "rush is true",
    "date_trunc('week', created_at)",
    "total::int",
    "status || '-' || customer_id",
    "case when rush then 'r' else status end",
    "extract(month from created_at)",
    "customer_id % 2",
    "left(status, 1)",
    "id",
    "round(total / 10, 1)",
    "total > 5",
    "nullif(status, 'open')",
];
const CONDITIONS: &[&str] = &[
    "total > 5",
    "status <> 'open'",
    "rush",
    "customer_id in (1, 2, 3)",
    "created_at >= '2024-02-01'",
    "total between -1 and 20",
    "status like 'p%' or total is null",
    "not rush",
    "rush is not false",
    "total / nullif(customer_id - 2, 0) > 1",
    "coalesce(total, 0) <> 0",
    "status is distinct from 'paid'",
    "created_at::date < date '2024-03-11'",
    "customer_id is null or customer_id > 2",
];
const AGGREGATES: &[&str] = &[
    "count(*)",
    "count(status)",
    "sum(total)",
    "avg(total)",
    "min(total)",
    "max(created_at)",
    "bool_or(rush)",
    "bool_and(total > 0)",
    "sum(customer_id)",
    "avg(customer_id)",
    "sum(total * 2 + 1)",
    "max(status collate \"C\")",
    "count(*) filter (where {})",
    "sum(total) filter (where {})",
    "min(created_at::date)",
    "sum(case when {} then total end)",
    "round(avg(total), 1)",
    "coalesce(sum(total), 0) - coalesce(max(total), 0)",
    "sum(id::bigint)",
    "avg(total) filter (where {})",
    "max(id) - min(id)",
    "sum(total) / nullif(count(total), 0)",
    "case when count(*) > 1 then max(total) end",
    "every(rush)",
    "count(case when {} then 1 end)",
    "greatest(count(*), sum(customer_id))",
    "sum(abs(total))",
    "max(total) filter (where {})",
    "min(id) filter (where {})",
    "bool_or(rush) filter (where {})",
    "max(extract(epoch from created_at))",
    "sum(id) > 5 and max(total) > 1",
];
const HAVING: &[&str] = &[
    "count(*) > 1",
    "sum(total) > 10",
    "bool_and(rush)",
    "min(total) is not null",
    "count(*) = 1 or max(total) < 5",
];

fn one(random: &mut StdRng, of: &[&'static str]) -> &'static str {
    of[random.random_range(0..of.len())]
}
fn condition(random: &mut StdRng) -> String {
    let first = one(random, CONDITIONS);
    match random.random_range(0..4) {
        0 => format!("({first}) and ({})", one(random, CONDITIONS)),
        1 => format!("not ({first})"),
        2 => format!("({first}) or ({})", one(random, CONDITIONS)),
        _ => first.to_owned(),
    }
}
fn aggregates(random: &mut StdRng) -> String {
    let mut text = String::new();
    for at in 0..random.random_range(1..5) {
        let of = condition(random);
        text += &format!(", {} as a{at}", one(random, AGGREGATES).replace("{}", &of));
    }
    text
}

/// Rows of orders, grouped; the key may be null if the caller says so.
fn grouped(random: &mut StdRng, key: &str, may_be_null: bool) -> String {
    let mut text = format!("select {key} as k{} from orders", aggregates(random));
    let mut conditions = Vec::new();
    if !may_be_null {
        conditions.push(format!("({key}) is not null"));
    }
    if random.random_bool(0.6) {
        conditions.push(format!("({})", condition(random)));
    }
    if !conditions.is_empty() {
        text += &format!(" where {}", conditions.join(" and "));
    }
    text += &format!(" group by {key}");
    if random.random_bool(0.4) {
        text += &format!(" having {}", one(random, HAVING));
    }
    text
}

/// The text of a view; it may be refused.
pub fn view(random: &mut StdRng) -> String {
    match random.random_range(0..6) {
        0 => {
            let key = one(random, KEYS);
            let what = one(random, KEYS);
            format!("select id, {key} as x, {what} as y from orders where {}", condition(random))
        }
        1 | 2 => {
            let key = one(random, KEYS);
            grouped(random, key, false)
        }
        3 => {
            let (join, inner) =
                (one(random, &["left join", "join"]), grouped(random, "customer_id", true));
            let more = one(random, &["", " and t.a0 is not null", " and c.country <> 'fr'"]);
            let filter = one(
                random,
                &[
                    "",
                    " where c.country = 'de'",
                    " where t.a0 is not null",
                    " where c.name is not null or t.a0 is null",
                ],
            );
            format!(
                "select c.id, c.name, t.*, t.k is null as alone from customers c {join} ({inner}) t on t.k = c.id{more}{filter}"
            )
        }
        4 => {
            let of = condition(random);
            let not = one(random, &["", "not "]);
            let aggregate = one(random, AGGREGATES).replace("{}", &condition(random));
            format!(
                "select c.id, (select {aggregate} from orders where customer_id = c.id and ({of})) as x from customers c \
                 where {not}exists (select 1 from orders where customer_id = c.id and ({of}))"
            )
        }
        _ => {
            let (a, b) = (condition(random), aggregates(random));
            format!(
                "select k{b} from (select customer_id as k, id, total, status, rush, created_at, customer_id from orders where {a} \
                 union all select customer_id, -id, total, null::text, null::bool, null::timestamp, customer_id from returns) u \
                 where k is not null group by k"
            )
        }
    }
}
