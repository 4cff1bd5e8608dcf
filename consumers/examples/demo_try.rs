fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let exact = consumers::demo::run(&consumers::demo::Options {
        dir: std::env::args().nth(1).map(Into::into),
        keep: true,
    })?;
    std::process::exit(i32::from(!exact));
}
