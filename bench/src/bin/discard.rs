//! Reads topics with librdkafka and looks at nothing: what no consumer can be cheaper than.
use bench::log;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Reads topics to their end and throws the records away")]
struct Args {
    #[arg(long)]
    brokers: String,
    /// A topic is this and its table's name.
    #[arg(long)]
    prefix: String,
    #[arg(required = true)]
    tables: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let tables: Vec<&str> = args.tables.iter().map(String::as_str).collect();
    let records = log::read(&args.brokers, &log::topics(&args.prefix, &tables), |_| Ok(()))?;
    println!("{records} records");
    Ok(())
}
