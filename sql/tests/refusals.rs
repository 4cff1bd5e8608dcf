//! What is refused: by name, with the place, the reason and a way on.
use sql::{Catalogue, File, NormalForm, Problem};

const TABLES: &str = "
create type state as enum ('open', 'done');
create table orders (id int primary key, customer_id int, product_id int not null, total numeric(10,2), weight float8,
  free numeric, note text, state state not null, at timestamptz, day timestamp, data jsonb, tags text[], code char(4),
  cash money, typo numerc, \"user\" text);
create table customers (id int primary key, name text, country text collate \"C\");
create table lines (order_id int, quantity int);
";

fn problem(text: &str) -> Problem {
    let catalogue = Catalogue::parse(TABLES).expect("the tables");
    let whole = format!("create materialized view v as\n{text}");
    let made =
        File::parse(&whole).and_then(|file| NormalForm::of(&file.bind(&catalogue)?, &catalogue));
    match made {
        Ok(form) => panic!("{text}\nis taken:\n{}", form.explain("v", &catalogue)),
        Err(problem) => problem,
    }
}

#[test]
fn each_refusal_says_where_why_and_what_to_write() {
    for (text, want, way) in REFUSED {
        let found = problem(text);
        let line = format!("{}:{}", found.place.line, found.place.column);
        let shown = format!("{line} {}", found.what);
        assert_eq!(&shown, want, "{text}");
        assert_eq!(found.instead.as_deref().unwrap_or_default(), *way, "{text}");
    }
}

/// The text of a query, the message with its place in it, and the way on.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "select id from orders where at > now()",
        "2:34 now: the time of day changes rows without a record",
        "filter when reading, or store the time in a column",
    ),
    (
        "select id, current_date as today from orders",
        "2:12 current_date: the time of day changes rows without a record",
        "filter when reading, or store the time in a column",
    ),
    (
        "select id, random() as dice from orders",
        "2:12 random: it is another value each time, and a view is made again after a failure",
        "store the value in a column of the source",
    ),
    (
        "select customer_id, sum(weight) from orders where customer_id is not null group by 1",
        "2:21 sum of double precision depends on the order of addition: partitions that add in another order get other digits",
        "write sum(x::numeric)",
    ),
    (
        "select customer_id, avg(weight) from orders where customer_id is not null group by 1",
        "2:21 avg of double precision depends on the order of addition: partitions that add in another order get other digits",
        "write avg(x::numeric)",
    ),
    (
        "select o.id, c.name from orders o join customers c on c.id < o.customer_id",
        "2:1 a join without an equality: every row would meet every row",
        "write on a.x = b.y",
    ),
    (
        "select o.id, c.name from orders o, customers c where c.id = o.customer_id",
        "2:36 a cross join: every row would meet every row",
        "write join ... on a.x = b.y",
    ),
    (
        "select o.id, c.name from orders o cross join customers c",
        "2:46 a cross join: every row would meet every row",
        "write join ... on a.x = b.y",
    ),
    (
        "select o.id, c.name from orders o join customers c on c.id = o.customer_id",
        "2:1 orders.customer_id = customers.id joins two tables by a key that is not the view's key: their rows lie in different partitions, which no order relates",
        "group customers by the columns of the join first; or keep both tables in a sink that speaks SQL, with join = 'when read'",
    ),
    (
        "select o.id, l.quantity from orders o join lines l on l.order_id = o.id",
        "2:1 orders.id = lines.order_id joins two tables by a key that is not the view's key: their rows lie in different partitions, which no order relates",
        "group lines by the columns of the join first; or keep both tables in a sink that speaks SQL, with join = 'when read'",
    ),
    (
        "select id, lag(total) over (order by id) from orders",
        "2:12 lag() over (...): one row's change would move others: the place of a row among all is no share of one partition",
        "order and number rows when reading",
    ),
    (
        "select id, rank() over (order by total) from orders",
        "2:12 rank() over (...): one row's change would move others: the place of a row among all is no share of one partition",
        "order and number rows when reading",
    ),
    (
        "select customer_id, percentile_cont(0.5) within group (order by total) from orders group by 1",
        "2:21 percentile_cont: it needs all values of the group at once: shares of partitions do not add up to it",
        "keep the rows in a view, and ask for it when reading",
    ),
    (
        "with recursive r as (select id from orders union all select id from r) select id from r",
        "2:1 a recursive query reads its own rows: they are no share of one partition",
        "keep the rows, and ask when reading",
    ),
    (
        "select id from orders intersect select id from customers",
        "2:1 INTERSECT is not taken here",
        "write exists (...) or not exists (...) in where",
    ),
    (
        "select id from orders order by total limit 10",
        "2:32 order by and limit of a whole view: one row's change would move others in and out",
        "order when reading, or publish a report",
    ),
    (
        "select id from orders where note < 'm'",
        "2:29 the order of texts is the locale's, and changes with the version of its library",
        "write collate \"C\" behind one side: by bytes, for ever",
    ),
    (
        "select customer_id, max(note) from orders where customer_id is not null group by 1",
        "2:21 max of texts: their order is the locale's, and changes with the version of its library",
        "write max(x collate \"C\")",
    ),
    (
        "select id, greatest(note, 'a') from orders",
        "2:12 the order of texts is the locale's, and changes with the version of its library",
        "write collate \"C\" behind one side: by bytes, for ever",
    ),
    (
        "select id, lower(note) as l from orders",
        "2:12 lower beyond ASCII depends on the locale and the version of its library",
        "write lower(x collate \"C\"): ASCII letters alone",
    ),
    (
        "select id from orders where note ilike 'a%'",
        "2:29 ilike depends on the locale beyond ASCII",
        "write lower(x collate \"C\") like 'pattern' for ASCII letters",
    ),
    (
        "select id from orders where note ~ 'a+'",
        "2:29 regular expressions are PostgreSQL's own and depend on the locale",
        "like, starts_with and split_part are exact",
    ),
    (
        "select id, note collate \"de_DE\" as n from orders",
        "2:12 the collation \"de_DE\" is the locale's, and changes with the version of its library",
        "write collate \"C\": by bytes, for ever",
    ),
    (
        "select id, at::date as d from orders",
        "2:12 timestamptz::date depends on the time zone of the session",
        "write (x at time zone 'UTC')::date",
    ),
    (
        "select id, date_trunc('day', at) as d from orders",
        "2:12 date_trunc(unknown, timestamptz): date_trunc of a moment, or of a date, cuts by the time zone of the session",
        "write date_trunc('day', x, 'UTC'), or date_trunc('day', x at time zone 'UTC'), or x::timestamp for a date",
    ),
    (
        "select id, extract(hour from at) as h from orders",
        "2:30 the hour of a moment depends on the time zone of the session",
        "write extract(hour from x at time zone 'UTC')",
    ),
    (
        "select id, at at time zone 'Europe/Berlin' as d from orders",
        "2:12 the rules of the zone Europe/Berlin change, with the tables of each machine",
        "write at time zone 'UTC', or a fixed offset: interval '2 hours'",
    ),
    (
        "select id from orders where at > day",
        "2:29 timestamptz > timestamp: a day or a time without a zone becomes a moment by a setting of the session",
        "write at time zone 'UTC', or another fixed offset",
    ),
    (
        "select id, day - day as d from orders",
        "2:12 timestamp - timestamp: the difference of two times is a period, which no view keeps",
        "write extract(epoch from a) - extract(epoch from b): seconds, exactly",
    ),
    (
        "select id, at + interval '1 day' as d from orders",
        "2:12 how long a day or a month is depends on the time zone of the session",
        "write hours, or (x at time zone 'UTC' + interval '1 day') at time zone 'UTC'",
    ),
    (
        "select customer_id, sum(total) / count(total) as mean from orders where customer_id is not null group by 1",
        "2:1 mean divides sums by what may be 0, when no row is at hand that could be put aside",
        "divide by nullif(x, 0)",
    ),
    (
        "select customer_id, sum(free) as f from orders where customer_id is not null group by 1",
        "2:1 free has as many digits behind the point as each row says, and so the digits shown would depend on rows that are gone",
        "write round(free, 2), or declare the column numeric(p,s)",
    ),
    (
        "select free, count(*) from orders where free is not null group by 1",
        "2:1 1.0 and 1.00 are one group of free, and nobody knows which is shown",
        "group by round(free, 2)",
    ),
    (
        "select weight, count(*) from orders where weight is not null group by 1",
        "2:71 0 and -0 are one group, and nobody knows which is shown",
        "write x::numeric",
    ),
    (
        "select customer_id, count(*) from orders group by 1",
        "2:1 customer_id may be null, and a view's key is never null",
        "write where customer_id is not null, or group by coalesce(customer_id, ...)",
    ),
    (
        "select customer_id, count(distinct note) from orders where customer_id is not null group by 1",
        "2:21 count(distinct ...) keeps every value of the group: partitions' counts of them do not add up",
        "group by the value too, and count the rows when reading",
    ),
    (
        "select customer_id, string_agg(note, ',') from orders where customer_id is not null group by 1",
        "2:21 string_agg: a list of all rows of a group has no bound, and no order of its own",
        "keep the rows in a view of their own, keyed by the group and by their primary key",
    ),
    (
        "select count(*) from orders",
        "2:1 one row for a whole table has no key",
        "group by a column, and add up when reading",
    ),
    (
        "select name from customers",
        "2:1 the view does not show id, by which its rows are told apart",
        "add id to the select list",
    ),
    (
        "select quantity from lines",
        "2:1 lines has no primary key: its rows are not told apart",
        "group by columns, or give the table a primary key",
    ),
    (
        "select customer_id, note from orders group by customer_id",
        "2:21 note is neither in group by nor in an aggregate",
        "add it to group by, or write max(x)",
    ),
    (
        "select n, count(*) from (select customer_id, count(*) n from orders where customer_id is not null group by 1) x group by n",
        "2:1 a group of groups: which rows it has is known only once the rows of all partitions are added up",
        "group the table itself, or add up when reading",
    ),
    (
        "select id, power(total, 2) as p from orders",
        "2:12 power(numeric(10,2), integer): power is approximate: its last digits are those of one program",
        "multiply: x * x",
    ),
    (
        "select id, sqrt(weight) as s from orders",
        "2:12 sqrt: its last digits are those of one program and machine",
        "do it when reading",
    ),
    (
        "select id from orders where data = '{}'",
        "2:29 jsonb = unknown: two values of jsonb may be equal and have two texts",
        "compare members: a ->> 'name' = b ->> 'name'",
    ),
    (
        "select id, state < 'open' as s from orders",
        "2:12 the order of an enum's labels may be changed at the source without a record",
        "compare with = and <>, or write x::text collate \"C\"",
    ),
    (
        "select id, state = 'opne' as s from orders",
        "2:12 state has no label 'opne'",
        "did you mean done or open?",
    ),
    ("select id, totl from orders", "2:12 there is no column totl", "did you mean total or note?"),
    ("select id, o.total from orders", "2:12 there is no column o.total", ""),
    (
        "select id, lenght(note) as l from orders",
        "2:12 there is no function lenght(text)",
        "did you mean length?",
    ),
    (
        "select id, total + note as x from orders",
        "2:12 there is no operator numeric(10,2) + text",
        "cast an argument to another type: x::numeric",
    ),
    ("select id from ordrs", "2:16 there is no table ordrs", "did you mean orders?"),
    (
        "select id from orders o join customers c on c.id = o.id",
        "2:8 several tables have a column id",
        "write TABLE.id",
    ),
    (
        "select id, 'x' from orders",
        "2:1 a column of the view has no name",
        "write as NAME behind it",
    ),
    (
        "select id, note, note from orders",
        "2:1 two columns of the view are called note",
        "write as NAME behind one",
    ),
    (
        "select id, to_char(day, 'YYYY') as y from orders",
        "2:12 to_char: it depends on the locale, or on settings of the session",
        "use extract, date_trunc, lpad and ||, or do it when reading",
    ),
    (
        "select id, myschema.f(note) as y from orders",
        "2:12 myschema.f is a function of the database's own",
        "its text may change: write what it does",
    ),
    (
        "select id, (select max(quantity) from lines) as q from orders",
        "2:13 the inner query does not depend on the row",
        "write where inner.x = outer.y",
    ),
    (
        "select id from orders where id in (select order_id from lines)",
        "2:29 in (select ...) is not taken here",
        "write exists (select 1 from TABLE where TABLE.COLUMN = ...)",
    ),
    (
        "select id from orders where exists (select 1 from lines l where l.quantity < orders.id)",
        "2:37 an inner query and the one around it meet in something else than inner column = outer column",
        "write where inner.x = outer.y and conditions over the inner table alone",
    ),
    (
        "select distinct on (note) id, note from orders",
        "2:1 distinct on takes one row by an order",
        "group by the columns, and take min(x) or max(x)",
    ),
    (
        "select id, array[1,2] as a from orders",
        "2:18 arrays are not made here",
        "write the values as columns",
    ),
    (
        "select t, id from orders cross join unnest(tags) as u(t)",
        "2:1 a list may have the same element twice, and rows of a view are told apart by it",
        "group by the element and count(*)",
    ),
    (
        "select id from orders union all select id from customers",
        "2:1 rows of several tables one below the other: two of them may have one key",
        "add a constant that tells the tables apart, select 'a' as kind, id, ..., or group them: select k, count(*) from (... union all ...) u group by k",
    ),
    (
        "select o.id from orders o full join customers c on c.id = o.id",
        "2:37 a full join is not taken here",
        "union all both tables, and group by the key",
    ),
    (
        "select id from orders where total",
        "2:29 a condition is a boolean, and this is of type numeric",
        "",
    ),
    (
        "select id, total::uuid as u from orders",
        "2:12 there is no cast numeric(10,2)::uuid",
        "write x::text, and cast that",
    ),
    (
        "select id, 'x'::int as u from orders",
        "2:12 'x' is no integer: invalid input syntax for an integer",
        "",
    ),
    (
        "select id, date_part('year', day) as y from orders",
        "2:12 date_part: date_part is a floating-point number",
        "write extract(FIELD from x): a numeric, exactly",
    ),
    (
        "select o.id, sum(o.total) from orders o left join lines l on l.order_id = o.id group by o.id",
        "2:1 an aggregate over the left table of a join counts each of its rows once for each row that is joined",
        "write the column itself: the left table's primary key is in group by",
    ),
    (
        "select id, row_number() over (partition by customer_id order by total) as r from orders",
        "2:12 row_number() over (...): one row's change would move others: the place of a row among all is no share of one partition",
        "order and number rows when reading",
    ),
    (
        "select id from orders for update",
        "2:1 a clause behind the query is not taken here",
        "leave it out",
    ),
    (
        "select id from orders where id = $1",
        "2:34 $1 is no constant that is taken here",
        "write numbers and 'texts'",
    ),
    ("select 1 as a", "2:1 a view without from never changes", "write from TABLE"),
    ("values (1)", "2:8 values without a table never change", "store them in a table"),
    (
        "select id from orders where between_total(1)",
        "2:29 there is no function between_total(integer)",
        "",
    ),
    (
        "select id, 1 < 2 < 3 as b from orders",
        "2:12 comparisons do not follow each other in PostgreSQL",
        "put one of them in parentheses",
    ),
    (
        "select distinct data from orders",
        "2:1 two values of jsonb may be equal and have two texts",
        "write a member of it: x ->> 'name'",
    ),
    (
        "select customer_id, max(weight) from orders where customer_id is not null group by 1",
        "2:21 max of double precision: 0 and -0 are equal, and nobody knows which is shown",
        "write max(x::numeric)",
    ),
    (
        "select coalesce(code, code), count(*) from orders where code is not null group by 1",
        "2:83 texts with and without blanks at their end are one group, and nobody knows which is shown",
        "write x::text",
    ),
    (
        "select customer_id, sum(case when total > 1 then total else 0 end) from orders where customer_id is not null group by 1",
        "2:1 case when (total > 1) then total else 0 end has as many digits behind the point as each row says, and so the digits shown would depend on rows that are gone",
        "write round(case when (total > 1) then total else 0 end, 2), or declare the column numeric(p,s)",
    ),
    ("select id, cash from orders", "2:12 cash is of type money, which is not known here", ""),
    (
        "select id, typo from orders",
        "2:12 typo is of type numerc, which is not known here",
        "did you mean numeric?",
    ),
    ("select * from orders", "2:1 cash is of type money, which no view keeps", ""),
    (
        "select id, user from orders",
        "2:12 user: it is a value of the session and not of the row",
        "store the value in a column of the source",
    ),
];
