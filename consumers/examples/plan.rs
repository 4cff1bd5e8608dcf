//! An issue tracker's views, complete and without a handler of one's own: which tables there are, and what each view makes
//! of them, is declared, and the handler of all declared views ([`PlanHandler`]) does the rest.
//!
//!     cargo run -p consumers --example plan -- consumers/examples/plan.ndjson /tmp/issues
//!     sqlite3 /tmp/issues/views.db 'select * from tickets_now'
//!
//! The first argument is a file of Debezium's changes; the second a folder for all that is kept. With a third,
//! `dynamodb:PREFIX`, the views go to DynamoDB tables whose names begin so. Run it again over the same folder, also after a
//! `kill -9`: it goes on where it stood (`consumers/tests/plan_killed` tries it).
//!
//! What the views are, in SQL:
//!
//! ```sql
//! create view tickets_now as
//!   select t.project, t.id, t.title, t.status, t.assignee, count(c.id) as comments, coalesce(sum(c.likes), 0) as likes
//!   from tickets t left join comments c on c.project = t.project and c.ticket = t.id
//!   where t.title is not null group by t.project, t.id;
//! create view tickets_by_status as
//!   select project, status, count(*) as tickets, coalesce(sum(points), 0) as points, max(opened) as newest
//!   from tickets where status is not null group by project, status;
//! create view ticket_cards as select project, id, title, status, assignee from tickets;
//! create view ticket_votes as -- `wanted`: liked more than the work is estimated at; that raises an alert
//!   select t.project, t.id, t.title, t.points, coalesce(sum(c.likes), 0) as likes,
//!     t.points - coalesce(sum(c.likes), 0) as ahead,
//!     case when t.points - coalesce(sum(c.likes), 0) < 0 then 1 end as wanted
//!   from tickets t left join comments c on c.project = t.project and c.ticket = t.id
//!   where t.points is not null group by t.project, t.id;
//! create view projects as -- `biggest`: the first three tickets
//!   select project, count(*) as tickets,
//!     case when count(distinct assignee) <= 20 then count(distinct assignee) end as assignees,
//!     to_json((array_agg(json_build_object('id', id, 'title', title, 'points', points)
//!       order by points desc, id collate "C"))[:3]) as biggest
//!   from tickets group by project;
//! ```
use consumers::{
    engine::Engine,
    handler::Handler,
    plan_handler::{Bound, PlanHandler, QUANTITY_MAX, Table},
    policy::{OnRefusal, Policy},
    runtime::{self, Env, Monotonic, Observer},
    source::ndjson::Ndjson,
    source_table::{SourceTable, SourceType, of_topic},
};
use debezium::Decoder;
use sinks::{
    Alert, AlertWhen, Batch, Column, Committer, Condition, Direction, Expr, First, JsonItem, Merge,
    Plan, Sink, State, Type, View,
    dlq::ObjectDlq,
    objects::{Endpoint, Place},
    plan::{Aggregate, Own, Part},
    state::sqlite::Sqlite,
};
use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// The tables' places in the list of them: what plans call them by.
const TICKETS: usize = 0;
const COMMENTS: usize = 1;

/// Primary keys first. Bounds say what the views can hold: a record beyond one becomes a dead letter, and changes nothing.
fn tables() -> Vec<Table> {
    use SourceType::{Int, Text, Time};
    let tickets = SourceTable::new("tickets", 't').key("project", Text).key("id", Text);
    let tickets = tickets.column("title", Text).column("status", Text).column("assignee", Text);
    let tickets = tickets.column("points", Int).column("opened", Time);
    let comments = SourceTable::new("comments", 'c').key("id", Text);
    let comments = comments.column("project", Text).column("ticket", Text).column("likes", Int);
    let tickets = Table::new(tickets)
        .bound("title", Bound::Bytes(10_000))
        .bound("status", Bound::Bytes(100))
        .bound("points", Bound::Size(QUANTITY_MAX));
    vec![tickets, Table::new(comments).bound("likes", Bound::Size(QUANTITY_MAX))]
}

const fn text(name: &'static str) -> Column {
    Column::new(name, Type::Text)
}
const fn int(name: &'static str) -> Column {
    Column::new(name, Type::Int)
}
const TICKET: &[Column] = &[text("project"), text("id")];
const CARD: &[Column] = &[text("title"), text("status"), text("assignee")];

/// What a ticket itself says in a view that is keyed by tickets: these of its columns, counted behind its key.
fn of_ticket(columns: &[usize]) -> Own {
    Own {
        table: TICKETS,
        filter: Condition::Always,
        each: None,
        key: vec![Expr::Key(0), Expr::Key(1)],
        columns: columns.iter().copied().map(Expr::Own).collect(),
    }
}
/// What comments add to the ticket that they name. They are often in other partitions than the ticket.
fn of_comments(aggregates: Vec<Aggregate>) -> Part {
    let key = vec![Expr::Own(0), Expr::Own(1)];
    Part { table: COMMENTS, filter: Condition::Always, key, aggregates }
}
fn likes() -> Aggregate {
    Aggregate::Sum(Type::Int, Expr::Own(2))
}

/// A ticket's own columns beside two totals of its comments. There is a row as soon as the title is known.
fn tickets_now() -> Plan {
    const SHOWN: &[Column] =
        &[text("title"), text("status"), text("assignee"), int("comments"), int("likes")];
    let [comments, liked] = [0, 1].map(|at| Expr::Total(at).or_zero());
    let view = View::rows("tickets_now", TICKET, CARD)
        .with_totals(&[Merge::Sum, Merge::Sum])
        .showing(SHOWN, vec![Expr::Own(0), Expr::Own(1), Expr::Own(2), comments, liked])
        .existing(Condition::Known(Expr::Own(0)));
    let parts = vec![of_comments(vec![Aggregate::Count, likes()])];
    Plan::new(view, Some(of_ticket(&[0, 1, 2])), parts)
}

/// Totals alone: no row belongs to one ticket.
fn tickets_by_status() -> Plan {
    const KEY: &[Column] = &[text("project"), text("status")];
    const SHOWN: &[Column] = &[int("tickets"), int("points"), Column::new("newest", Type::Time)];
    let merge = &[Merge::Sum, Merge::Sum, Merge::Max];
    let points = Aggregate::Sum(Type::Int, Expr::Own(3));
    let tickets = Part {
        table: TICKETS,
        filter: Condition::Always,
        key: vec![Expr::Key(0), Expr::Own(1)],
        aggregates: vec![Aggregate::Count, points, Aggregate::Max(Expr::Own(4))],
    };
    Plan::new(View::totals("tickets_by_status", KEY, merge, SHOWN), None, vec![tickets])
}

/// Rows as they are.
fn ticket_cards() -> Plan {
    Plan::of_rows(View::rows("ticket_cards", TICKET, CARD), of_ticket(&[0, 1, 2]))
}

/// One sum, a number made of it and of a column, and a flag for when that is low: DynamoDB writes that as a difference to
/// what stands there, and all other totals as a whole, made of every partition's share.
fn ticket_votes() -> Plan {
    const OWN: &[Column] = &[text("title"), int("points")];
    const SHOWN: &[Column] =
        &[text("title"), int("points"), int("likes"), int("ahead"), int("wanted")];
    let liked = Expr::Total(0).or_zero();
    let ahead = Expr::Own(1).minus(liked.clone());
    let wanted = ahead.clone().flag_below(0);
    let view = View::rows("ticket_votes", TICKET, OWN)
        .with_totals(&[Merge::Sum])
        .showing(SHOWN, vec![Expr::Own(0), Expr::Own(1), liked, ahead, wanted])
        .existing(Condition::Known(Expr::Own(1)))
        .alerting(AlertWhen { flag: "wanted", value: "ahead", table: "wanted_tickets" });
    Plan::new(view, Some(of_ticket(&[0, 3])), vec![of_comments(vec![likes()])])
}

/// A set up to a bound, and the first three tickets of each project: with the primary key among what they are ordered by,
/// no two of them are one.
fn projects() -> Plan {
    use Direction::{Ascending, Descending};
    const ASSIGNEES_MAX: usize = 20;
    const ASSIGNEES: First = First { limit: ASSIGNEES_MAX + 1, order: &[Ascending] };
    const BIGGEST: First = First { limit: 3, order: &[Descending, Ascending, Ascending] };
    const MERGE: &[Merge] = &[Merge::Sum, Merge::First(ASSIGNEES), Merge::First(BIGGEST)];
    const SHOWN: &[Column] =
        &[int("tickets"), int("assignees"), Column::new("biggest", Type::Json)];
    let (title, assignee, points) = (Expr::Own(0), Expr::Own(2), Expr::Own(3));
    let assignees = Aggregate::First {
        first: ASSIGNEES,
        values: vec![assignee.clone()],
        filter: Condition::Known(assignee),
    };
    let biggest = Aggregate::First {
        first: BIGGEST,
        values: vec![points, Expr::Key(1), title],
        filter: Condition::Always,
    };
    let tickets = Part {
        table: TICKETS,
        filter: Condition::Always,
        key: vec![Expr::Key(0)],
        aggregates: vec![Aggregate::Count, assignees, biggest],
    };
    let assignees = Expr::Total(1).tuple_count();
    let few = Condition::Below(assignees.clone(), ASSIGNEES_MAX as i64 + 1);
    let ticket = JsonItem::Object(vec![("id", 1), ("title", 2), ("points", 0)]);
    let shows = vec![Expr::Total(0), assignees.when(few), Expr::Total(2).tuple_json(ticket)];
    let view = View::totals("projects", &TICKET[..1], MERGE, SHOWN).showing(SHOWN, shows);
    Plan::new(view, None, vec![tickets])
}

/// Says what becomes durable.
struct Told;
impl Observer<PlanHandler> for Told {
    fn alert(&mut self, alert: &Alert) {
        println!("alert: ticket {} is wanted", sinks::key_text(&alert.key));
    }
    fn warning(&mut self, text: &str) {
        println!("warning: {text}");
    }
    fn committed(&mut self, batch: &Batch, _: Duration, worked: bool) {
        let (of, span, writes) = (&batch.partition, &batch.span, batch.writes.len());
        // A partition's first batch only notes where it begins.
        if worked && span.start < span.end {
            println!("{of}: durable up to offset {}, {writes} writes", span.end - 1);
        }
    }
}

type Sinks = (Option<Arc<dyn Sink>>, Arc<dyn State>);

/// Views, rows and positions in one file: they move in one transaction, so there is no sink beside the state.
fn in_sqlite(folder: &Path, views: Vec<View>) -> anyhow::Result<Sinks> {
    Ok((None, Arc::new(Sqlite::open(folder.join("views.db"), 1, "issues", views)?)))
}

/// Views in tables of their own; rows and positions in the folder. How to reach AWS, the environment says
/// (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB` for an emulator).
#[cfg(feature = "aws")]
async fn in_dynamodb(folder: &Path, prefix: &str, views: Vec<View>) -> anyhow::Result<Sinks> {
    use sinks::{dynamodb, state::slatedb::SlateDb};
    let client = dynamodb::Connection::default().connect().await;
    let config = dynamodb::Config { prefix: prefix.into(), ..dynamodb::Config::new(1, views) };
    dynamodb::create_tables(&client, &config).await?;
    let state = SlateDb::folder(folder.join("state"), 1, "issues")?;
    Ok((Some(Arc::new(dynamodb::DynamoDb::new(client, &config)?)), Arc::new(state)))
}
#[cfg(not(feature = "aws"))]
async fn in_dynamodb(_: &Path, _: &str, _: Vec<View>) -> anyhow::Result<Sinks> {
    anyhow::bail!(sinks::NO_AWS)
}

/// Applies the file's records from where the folder's positions stand to its end. Records that cannot be processed are in
/// `letters`, in the folder.
pub fn run(file: &str, folder: &Path, sink: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let io = tokio::runtime::Runtime::new()?;
    let prefix = sink.strip_prefix("dynamodb:");
    let plans =
        vec![ticket_cards(), ticket_votes(), tickets_now(), tickets_by_status(), projects()];
    // The state is bound to this text: write another number when the tables or plans above come to mean something else.
    let handler = PlanHandler::new(tables(), plans, "issues rules 3".into());
    let (sink, state) = match prefix {
        Some(prefix) => io.block_on(in_dynamodb(folder, prefix, handler.views()))?,
        None => in_sqlite(folder, handler.views())?,
    };
    let letters = io.block_on(Place::Dir(folder.join("letters")).open(&Endpoint::default()))?;
    let dlq = Arc::new(ObjectDlq::new(letters, "issues", 1));
    // A file of SQLite leaves out all that a refused record says, DynamoDB the refused item alone.
    let on_refusal = if sink.is_some() { OnRefusal::SkipWrite } else { OnRefusal::SkipRecord };
    let tables = handler.tables();
    let source = Ndjson::open(file, |topic| of_topic(&tables, topic).is_some())?;
    // Small batches, so that a small file shows how one after the other becomes durable.
    let small = Policy { batch_records_max: 20, linger_ms: 5, ..Policy::default() };
    // A file may hold some partitions of a topic only: it was looked at as a whole when it was opened.
    let policy = Policy { on_refusal, doubt_ms: None, ..small };
    // A state must not go on with other tables than those that saw what it saw.
    let target = prefix.map(|prefix| format!("dynamodb={prefix}")).unwrap_or_default();
    let engine = Engine::new(handler, Decoder::default(), policy).writing_to(&target);
    let env = Env {
        clock: &Monotonic::default(),
        io: io.handle().clone(),
        stop: &AtomicBool::new(false),
        grace_ms: 10_000,
        until_end: true,
    };
    println!("goes on with {file}");
    runtime::run(source, engine, Committer { dlq, sink, state }, &mut Told, &env)?;
    println!("done: all of {file} is durable in {}", folder.display());
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file, folder] => run(file, folder.as_ref(), "sqlite"),
        [file, folder, sink] => run(file, folder.as_ref(), sink),
        _ => anyhow::bail!("usage: plan FILE FOLDER [sqlite | dynamodb:PREFIX]"),
    }
}
