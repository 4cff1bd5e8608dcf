//! What one UpdateItem costs with the AWS SDK and nothing around it: the least that a program can pay for a change that it
//! takes to DynamoDB alone. The client is that of the services, on a runtime of one thread.
use anyhow::Context as _;
use clap::Parser;
use sinks::dynamodb::{
    Connection,
    sdk::{Client, types::AttributeValue},
};
use std::{cell::Cell, rc::Rc};
use tokio::task::LocalSet;

#[derive(Parser)]
#[command(about = "Sends UpdateItem calls, some at a time, and ends when all are answered")]
struct Args {
    /// Where DynamoDB, or what stands in for it, is.
    #[arg(long)]
    endpoint: String,
    /// Its key is the number `product_id`.
    #[arg(long)]
    table: String,
    #[arg(long)]
    calls: i64,
    #[arg(long, default_value_t = 32)]
    in_flight: i64,
    /// Items that are updated in turn.
    #[arg(long, default_value_t = 10_000)]
    items: i64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&io, async {
        let endpoint = Some(args.endpoint.clone());
        let client = Connection { endpoint, region: Some("us-east-1".to_owned()) }.connect().await;
        let next = Rc::new(Cell::new(0));
        let args = Rc::new(args);
        let task = |_| {
            let (client, next, args) = (client.clone(), next.clone(), args.clone());
            tokio::task::spawn_local(async move {
                while next.get() < args.calls {
                    let call = next.get();
                    next.set(call + 1);
                    update(&client, &args.table, call % args.items).await?;
                }
                anyhow::Ok(())
            })
        };
        let running: Vec<_> = (0..args.in_flight).map(task).collect();
        for task in running {
            task.await.context("a task")??;
        }
        Ok(())
    })
}

/// An increment, as most people write it.
async fn update(client: &Client, table: &str, id: i64) -> anyhow::Result<()> {
    client
        .update_item()
        .table_name(table)
        .key("product_id", AttributeValue::N(id.to_string()))
        .update_expression("ADD #sold :more")
        .expression_attribute_names("#sold", "sold")
        .expression_attribute_values(":more", AttributeValue::N("1".to_owned()))
        .send()
        .await?;
    Ok(())
}
