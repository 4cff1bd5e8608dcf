use super::{settings::TABLE, *};
use crate::handler::Handler;
use crate::policy::{OnRefusal, Start};
use clap::Command;

/// As from a command line, in an environment without any of our variables but these.
fn config(service: Service, args: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::new(service, &matches(Some(service), args), &vars(env))
}
fn matches(service: Option<Service>, args: &str) -> ArgMatches {
    let command = arguments(Command::new("test"), service).mut_args(|arg| arg.env(None));
    let args = std::iter::once("test").chain(args.split_whitespace());
    command.try_get_matches_from(args).expect("a command line")
}
fn vars(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
fn problems(result: Result<Config, Problems>) -> Vec<String> {
    result.expect_err("refused").texts
}

use Service::{Analytics, Inventory, Search};
const SQLITE: &str = "--sink sqlite:x.db --dlq dir:dlq";

#[test]
fn the_customers_defaults() {
    let config = config(Inventory, SQLITE, &[]).expect("fine");
    assert_eq!(
        config.kafka.bootstrap_servers,
        "cdc-platform-kafka-bootstrap.kafka.svc.cluster.local:9092"
    );
    assert_eq!(config.kafka.group_id, "inventory-service-group");
    assert_eq!(config.kafka.topics, ["dbserver1.public.products", "dbserver1.public.order_items"]);
    assert_eq!(config.kafka.ack_interval, Duration::from_secs(5));
    let native = config.kafka.client_config().expect("a client's configuration");
    for (name, value) in [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "2000"),
        ("fetch.queue.backoff.ms", "10"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
    ] {
        assert_eq!(native.get(name), Some(value), "{name}");
    }
    assert_eq!((config.source, config.state), (Source::Kafka, State::InSink));
    assert_eq!((config.generation, config.low_stock_threshold), (1, 10));
    assert_eq!(config.drain_grace, Duration::from_secs(25));
    assert_eq!(config.aws.region, "us-east-1");
    assert_eq!(config.policy.letters_in_a_row_max, 100);
    assert_eq!((config.policy.breaker_failures, config.policy.backoff_ms_max), (5, 30_000));
    assert_eq!(config.policy.on_refusal, OnRefusal::SkipRecord);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn a_preset_changes_defaults_and_nothing_that_was_given() {
    let policy = |args: &str| {
        let config = config(Inventory, &format!("{SQLITE} {args}"), &[]).expect("fine");
        (config.policy.batch_records_max, config.policy.linger_ms)
    };
    assert_eq!(policy(""), (5_000, 100));
    assert_eq!(policy("--tuning balanced"), (5_000, 100));
    assert_eq!(policy("--tuning throughput"), (20_000, 500));
    assert_eq!(policy("--tuning latency"), (5_000, 5));
    assert_eq!(policy("--tuning latency --linger-ms 50"), (5_000, 50));
    let table = table(Inventory, &matches(None, &format!("{SQLITE} --tuning latency")), &[]);
    assert!(table.lines().any(|l| l.starts_with("LINGER_MS") && l.ends_with("tuning")), "{table}");
    let wrong = problems(config(Inventory, &format!("{SQLITE} --tuning fast"), &[]));
    assert!(wrong[0].contains("balanced, throughput, latency"), "{wrong:?}");
}

#[test]
fn session_timeouts_that_cannot_work_are_refused() {
    for (args, refused) in [
        ("--kafka-property session.timeout.ms=3000", true),
        (
            "--kafka-property session.timeout.ms=3000 --kafka-property heartbeat.interval.ms=1000",
            false,
        ),
        ("--kafka-property heartbeat.interval.ms=30000", true),
        ("--kafka-property session.timeout.ms=45000", false),
    ] {
        let result = config(Inventory, &format!("{SQLITE} {args}"), &[]);
        assert_eq!(result.is_err(), refused, "{args}");
        if refused {
            assert!(problems(result)[0].contains("heartbeat.interval.ms"), "{args}");
        }
    }
}

#[test]
fn where_metrics_are_answered() {
    let http = |args: &str| config(Inventory, &format!("{SQLITE} {args}"), &[]).map(|c| c.http);
    let usual = http("").expect("fine");
    assert_eq!(usual.listen, Some("127.0.0.1:9090".parse().expect("an address")));
    assert!(usual.is_default && usual.watchdog == Duration::from_secs(60));
    assert_eq!(http("--http-listen none").expect("fine").listen, None);
    assert!(!http("--http-listen 0.0.0.0:9090").expect("fine").is_default);
    assert!(
        problems(http("--http-listen 9090").map(|_| unreachable!()))[0].contains("ADDRESS:PORT")
    );
}

#[test]
fn every_service_reads_its_own_tables() {
    let topics = |service, args: &str| {
        let args = format!("{SQLITE} {args}");
        config(service, &args, &[]).expect("fine").kafka.topics
    };
    assert_eq!(topics(Search, ""), ["dbserver1.public.products"]);
    assert_eq!(topics(Analytics, "--topic-prefix shop."), ["shop.orders", "shop.order_items"]);
    let args = "--products-table items --products-columns id=item_id,price=cost";
    let config = config(Search, &format!("{SQLITE} {args}"), &[]).expect("fine");
    assert_eq!(config.kafka.topics, ["dbserver1.public.items"]);
    assert_eq!((&*config.products.id, &*config.products.price), ("item_id", "cost"));
    assert_eq!(config.products.name, "name");
}

#[test]
fn each_table_has_its_settings() {
    for service in [Inventory, Analytics, Search] {
        for table in config(service, SQLITE, &[]).expect("fine").tables {
            for what in ["topic", "table", "columns"] {
                let name = format!("{}-{what}", table.alias.replace('_', "-"));
                let setting = TABLE.settings.iter().find(|setting| setting.name == name);
                let setting = setting.unwrap_or_else(|| panic!("there is no setting {name}"));
                assert!(setting.services.contains(&service), "{name}");
            }
        }
    }
}

#[test]
fn the_tables_are_those_that_the_handler_declares_in_the_topics_that_are_set() {
    for service in [Inventory, Analytics, Search] {
        let args = format!("{SQLITE} --topic-prefix shop.sales. --products-table items");
        let args = match service {
            Analytics => args.replace(" --products-table items", " --orders-topic a.b.orders"),
            _ => args,
        };
        let config = config(service, &args, &[]).expect("fine");
        let topics: Vec<&str> = config.tables.iter().map(SourceTable::topic).collect();
        assert_eq!(topics, config.kafka.topics);
        let declared = crate::service::handler(&config).tables();
        let declared = declared.into_iter().zip(&config.tables);
        for (declared, table) in declared {
            assert_eq!(declared.in_topic(table.topic()), *table);
            let schema = if table.topic().starts_with("a.b") { "b" } else { "sales" };
            assert_eq!(table.schema, schema);
        }
    }
}

#[test]
fn sinks_and_where_their_state_goes() {
    let aws = config(Inventory, "--dlq s3://bucket --s3-bucket lake", &[]).expect("fine");
    assert_eq!(aws.dlq.to_string(), "s3://bucket/dlq");
    assert_eq!(aws.state, State::SlateDb("s3://lake".parse().expect("a place")));
    assert_eq!(
        (&*aws.aws.table, aws.policy.on_refusal),
        ("inventory-realtime", OnRefusal::SkipWrite)
    );
    assert_eq!(aws.policy.publish_every_ms, None);
    for service in [Inventory, Analytics, Search] {
        let dir = config(service, "--sink dir:reports --dlq dir:dlq", &[]).expect("fine");
        assert_eq!((dir.state, dir.policy.publish_every_ms), (State::InSink, Some(300_000)));
    }
    let lake = config(Analytics, "--dlq dir:dlq --s3-bucket lake --flush-interval-seconds 7", &[]);
    assert_eq!(lake.expect("fine").policy.publish_every_ms, Some(7_000));
    let bucket = &problems(config(Analytics, "--dlq dir:dlq --state memory", &[]))[0];
    assert!(bucket.contains("--s3-bucket or S3_BUCKET: not given"), "{bucket}");
    let search =
        config(Search, "--state slatedb:dir:s --dlq dir:d --aws-endpoint-url http://h:1", &[]);
    let search = search.expect("fine");
    assert_eq!(
        (&*search.aws.table, &*search.aws.tokens_table),
        ("product-search-index", "product-search-tokens")
    );
    let memory = config(Inventory, "--state memory --dlq dir:d", &[]).expect("allowed");
    assert!(memory.warnings.iter().any(|w| w.contains("wrong sums")), "{:?}", memory.warnings);
}

#[test]
fn places_are_understood_as_people_write_them() {
    let home = [("HOME", "/home/me")];
    let read = |args: &str| config(Inventory, args, &home).expect("fine");
    for (text, file) in [
        ("sqlite:x.db", "x.db"),
        ("sqlite://x.db", "x.db"),
        ("sqlite://data/x.db", "data/x.db"),
        ("sqlite:///abs/x.db", "/abs/x.db"),
        ("sqlite:/abs/x.db", "/abs/x.db"),
        ("sqlite:~/x.db", "/home/me/x.db"),
    ] {
        let sink = read(&format!("--sink {text} --dlq dir:dlq")).sink;
        assert_eq!(sink, Sink::Sqlite(file.into()), "{text}");
    }
    for (text, dir) in [("dir://x", "x"), ("dir:///x", "/x"), ("dir:~/x", "/home/me/x")] {
        let config = read(&format!("--sink {text} --dlq {text}"));
        assert_eq!(
            (config.sink, config.dlq),
            (Sink::Dir(dir.into()), Place::Dir(dir.into())),
            "{text}"
        );
        let config = read(&format!("--state slatedb:{text} --dlq dir:dlq"));
        assert_eq!(config.state, State::SlateDb(Place::Dir(dir.into())), "{text}");
    }
    for (text, path) in [
        ("ndjson:~/x.ndjson", "/home/me/x.ndjson"),
        ("ndjson:file:///x.ndjson", "/x.ndjson"),
        ("ndjson:file://localhost/x.ndjson", "/x.ndjson"),
        ("ndjson:-", "-"),
    ] {
        let source = read(&format!("{SQLITE} --source {text}")).source;
        assert_eq!(source, Source::Ndjson(path.to_owned()), "{text}");
    }
    for (args, says) in [
        (r"--source ndjson:C:\data\x.ndjson", "path of Windows"),
        ("--source ndjson:c:/data/x.ndjson", "path of Windows"),
        ("--source ndjson:file://x.ndjson", "file:///data/x"),
        ("--source ndjson:file:///a%20b", "without file://"),
        ("--source ndjson:", "give kafka or ndjson:PATH"),
        ("--source x.ndjson", "ndjson:x.ndjson"),
    ] {
        let wrong = problems(config(Inventory, &format!("{SQLITE} {args}"), &home));
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{args}: {wrong:?}");
    }
    for (args, says) in [
        ("--sink sqlite:// --dlq dir:d", "sqlite:FILE"),
        ("--sink x.db --dlq dir:d", "sqlite:FILE"),
        ("--sink sqlite:x.db --dlq dir://", "dir:DIR"),
        (r"--sink sqlite:C:\x.db --dlq dir:d", "path of Windows"),
    ] {
        let wrong = problems(config(Inventory, args, &home));
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{args}: {wrong:?}");
    }
    let homeless = problems(config(Inventory, &format!("{SQLITE} --source ndjson:~/x"), &[]));
    assert!(homeless[0].contains("HOME is not set"), "{homeless:?}");
}

#[test]
fn how_many_partitions_a_topic_has_is_told_for_files_only() {
    let files = format!("{SQLITE} --source ndjson:x");
    let read = |args: &str| config(Inventory, &format!("{files} {args}"), &[]);
    let told =
        read("--topic-partitions dbserver1.public.products=3,dbserver1.public.order_items=1");
    let told: Vec<_> = told.expect("fine").topic_partitions.into_iter().collect();
    assert_eq!(
        told,
        [
            ("dbserver1.public.order_items".to_owned(), 1),
            ("dbserver1.public.products".to_owned(), 3)
        ]
    );
    assert!(read("").expect("fine").topic_partitions.is_empty());
    for (args, says) in [
        (
            "--topic-partitions products=3",
            "no topic that is read here; these are: dbserver1.public.products",
        ),
        ("--topic-partitions dbserver1.public.products=0", "TOPIC=N"),
        ("--topic-partitions dbserver1.public.products", "TOPIC=N"),
        ("--placement mine", "default, custom"),
    ] {
        let wrong = problems(read(args));
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{args}: {wrong:?}");
    }
    let kafka = format!("{SQLITE} --topic-partitions dbserver1.public.products=3");
    assert!(problems(config(Inventory, &kafka, &[]))[0].contains("Kafka knows it"));
    assert_eq!(read("").expect("fine").placement, Placement::Default);
    assert_eq!(read("--placement custom").expect("fine").placement, Placement::Custom);
}

#[test]
fn a_profile_that_the_state_cannot_use_is_said() {
    let warnings = |args: &str, env: &[(&str, &str)]| {
        let all = config(Inventory, args, env).expect("fine").warnings;
        all.iter().filter(|text| text.contains("export-credentials")).count()
    };
    let args = "--dlq dir:dlq --s3-bucket lake";
    assert_eq!(warnings(args, &[("AWS_PROFILE", "read")]), 1);
    assert_eq!(warnings(args, &[("AWS_PROFILE", "read"), ("AWS_ACCESS_KEY_ID", "id")]), 0);
    assert_eq!(warnings(args, &[]), 0);
    assert_eq!(warnings(&format!("{args} --state slatedb:dir:x"), &[("AWS_PROFILE", "read")]), 0);
}

#[test]
fn the_state_is_in_the_bucket_unless_somebody_says_otherwise() {
    let args = "--dlq dir:dlq --s3-bucket lake";
    let slate = |text: &str| State::SlateDb(text.parse().expect("a place"));
    assert_eq!(config(Inventory, args, &[]).expect("fine").state, slate("s3://lake"));
    let elsewhere = format!("{args} --state slatedb:dir:here");
    assert_eq!(config(Inventory, &elsewhere, &[]).expect("fine").state, slate("dir:here"));
    let shown = |args| table(Inventory, &matches(Some(Inventory), args), &[]);
    let line = |table: &str| {
        let line = table.lines().find(|line| line.starts_with("STATE ")).expect("a line");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&shown(args)), ["STATE", "slatedb:s3://lake", "S3_BUCKET"]);
    assert_eq!(line(&shown(&elsewhere)), ["STATE", "slatedb:dir:here", "flag"]);
    assert_eq!(line(&shown("--sink sqlite:x.db --s3-bucket lake")), ["STATE", "-", "default"]);
    // A bucket that is wrong is one fault, not two.
    for bucket in ["la", "la?ke", "lake/reports", "lake/"] {
        let args = format!("--dlq dir:dlq --s3-bucket {bucket}");
        let wrong = problems(config(Inventory, &args, &[]));
        assert_eq!(wrong.len(), 1, "{bucket}: {wrong:?}");
        assert!(wrong[0].contains("--s3-bucket or S3_BUCKET"), "{wrong:?}");
    }
}

#[test]
fn all_problems_at_once_each_with_its_setting_and_a_way_out() {
    let args = "--sink sqlite:x.db --state memory --linger-ms soon --generation 0 --source rabbit \
                --stock-mode guess --column-formats products.price=money,x --products-columns nam=title \
                --log-level =,= --aws-endpoint-url localhost:4566 --dlq-percent-max 101 --order-items-topic x.orders \
                --unavailable-value hex:zz";
    let env = [
        ("KAFKA_PROPERTIES_AUTO_OFFSET_RESET", "latest"),
        ("KAFKA_PROPERTIES_SASL_PASWORD", "hunter2"),
    ];
    let all = problems(config(Inventory, args, &env));
    for (setting, why) in [
        ("--state or STATE", "the state is there too"),
        ("--dlq or DLQ: not given", "dir:DIR"),
        ("--linger-ms or LINGER_MS: `soon` (from the flag)", "whole number from 0"),
        ("--generation or GENERATION", "from 1"),
        ("--source or SOURCE", "ndjson:PATH"),
        ("--stock-mode or STOCK_MODE", "derived, source"),
        ("--column-formats or COLUMN_FORMATS", "no such format"),
        ("--unavailable-value or UNAVAILABLE_VALUE", "unavailable.value.placeholder"),
        ("--products-columns or PRODUCTS_COLUMNS", "stock_quantity"),
        ("--log-level or LOG_LEVEL", ""),
        ("--aws-endpoint-url or AWS_ENDPOINT_URL", "http://"),
        ("--dlq-percent-max or DLQ_PERCENT_MAX", "from 0 to 100"),
        ("--order-items-topic or ORDER_ITEMS_TOPIC", "end with `.order_items`"),
        ("KAFKA_PROPERTIES_AUTO_OFFSET_RESET (from the environment)", "Remove"),
        ("KAFKA_PROPERTIES_SASL_PASWORD", "no property"),
    ] {
        let found = all.iter().filter(|p| p.starts_with(setting) && p.contains(why)).count();
        assert_eq!(found, 1, "{setting} among {all:#?}");
    }
    assert_eq!(all.len(), 15, "{all:#?}");
    let text = Problems { texts: all, see: TABLE.see }.to_string();
    assert!(text.starts_with("15 settings are wrong:") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_services_own_endpoint_comes_before_the_general_one_and_the_flag_before_both() {
    let env = [("AWS_ENDPOINT_URL_S3", "http://s3:1")];
    let endpoints = |args: &str| {
        let aws = config(Search, &format!("{SQLITE} {args}"), &env).expect("fine").aws;
        (aws.s3_endpoint, aws.dynamodb_endpoint)
    };
    let url = |text: &str| Some(text.to_owned());
    assert_eq!(endpoints(""), (url("http://s3:1"), None));
    assert_eq!(endpoints("--aws-endpoint-url http://a:1"), (url("http://a:1"), url("http://a:1")));
}

#[test]
fn a_start_is_a_place_or_a_time_with_its_zone() {
    let start = |text: &str| config(Search, &format!("{SQLITE} --start {text}"), &[]);
    for (text, expected) in [
        ("earliest", Start::Earliest),
        ("latest", Start::Latest),
        ("1970-01-01T00:00:01.5Z", Start::At(1_500)),
        ("1970-01-01T01:00:02+01:00", Start::At(2_000)),
    ] {
        assert_eq!(start(text).expect("fine").policy.start, expected, "{text}");
    }
    for wrong in ["soon", "2026-11-29", "2026-11-29T10:00:00", "1969-12-31T23:59:59Z"] {
        let why = problems(start(wrong)).join(" ");
        assert!(why.starts_with("--start or START: `"), "{wrong}: {why}");
        assert!(why.contains("RFC 3339") || why.contains("1970"), "{wrong}: {why}");
    }
    let at = start("2026-11-29T10:00:00Z").expect("fine");
    assert!(at.warnings.iter().any(|text| text.starts_with("--start:")), "{:?}", at.warnings);
}

#[test]
fn nothing_starts_without_a_place_for_dead_letters() {
    let all = problems(config(Search, "--sink sqlite:x.db", &[]));
    assert!(all.len() == 1 && all[0].contains("nothing starts"), "{all:?}");
    assert!(
        problems(config(Search, "--sink sqlite:x.db --dlq nowhere", &[]))[0].contains("dir:DIR")
    );
}

#[test]
fn properties_come_from_the_environment_and_flags_win() {
    let env = [
        ("KAFKA_PROPERTIES_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_PROPERTIES_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_PROPERTIES_SESSION_TIMEOUT_MS", "9000"),
    ];
    let args = format!(
        "{SQLITE} --kafka-property session.timeout.ms=8000 --kafka-property heartbeat.interval.ms=1000"
    );
    let native = config(Inventory, &args, &env).expect("fine").kafka.client_config().expect("fine");
    assert_eq!(native.get("security.protocol"), Some("SASL_SSL"));
    assert_eq!(native.get("session.timeout.ms"), Some("8000"));
    assert_eq!(native.get("heartbeat.interval.ms"), Some("1000"));
    let all = problems(config(Inventory, &format!("{SQLITE} --kafka-property oops"), &[]));
    assert!(all[0].contains("NAME=VALUE"), "{all:?}");
}

#[test]
fn rust_log_counts_unless_the_flag_is_given() {
    let rust_log = [("RUST_LOG", "debug")];
    let filter = |args: &str, env: &[(&str, &str)]| {
        config(Search, &format!("{SQLITE} {args}"), env).map(|c| c.logs.filter)
    };
    assert_eq!(filter("", &[]), Ok("info".to_owned()));
    assert_eq!(filter("", &rust_log), Ok("debug".to_owned()));
    assert_eq!(filter("--log-level warn", &rust_log), Ok("warn".to_owned()));
}

#[test]
fn likely_misspellings_are_pointed_out_and_strangers_are_not() {
    let env = [
        ("KAFKA_BOOTSTRAP_SERVER", "x"),
        ("KAFKA_PROPERTY_SASL_USERNAME", "x"),
        ("LOW_STOCK_TRESHOLD", "5"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("HOSTNAME", "pod-0"),
    ];
    let warnings = config(Inventory, SQLITE, &env).expect("fine").warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("did you mean KAFKA_BOOTSTRAP_SERVERS"), "{warnings:?}");
}

#[test]
fn a_flag_of_another_service_is_refused() {
    let all = matches(None, &format!("{SQLITE} --stock-mode source"));
    assert!(Config::new(Inventory, &all, &[]).is_ok());
    let error = problems(Config::new(Search, &all, &[]));
    assert!(error[0].contains("--stock-mode") && error[0].contains("search-indexer"), "{error:?}");
}

#[test]
fn the_table_shows_values_origins_and_no_secrets() {
    let matches =
        matches(Some(Inventory), "--dlq dir:d --aws-endpoint-url http://me:secret@host:1/x");
    let env = vars(&[
        ("KAFKA_PROPERTIES_SASL_PASSWORD", "secret"),
        ("KAFKA_PROPERTIES_SASL_USERNAME", "me"),
    ]);
    let text = table(Inventory, &matches, &env);
    let has = |parts: &[&str]| {
        text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == parts)
    };
    assert!(has(&["DLQ", "dir:d", "flag"]), "{text}");
    assert!(has(&["GENERATION", "1", "default"]), "{text}");
    assert!(has(&["AWS_ENDPOINT_URL", "http://****@host:1/x", "flag"]), "{text}");
    assert!(has(&["kafka", "property", "sasl.username", "me", "environment"]), "{text}");
    assert!(has(&["kafka", "property", "sasl.password", "****", "environment"]), "{text}");
    assert!(!text.contains("secret") && !text.contains("ORDERS_TABLE"), "{text}");
}

#[test]
fn every_setting_has_a_name_of_its_own_and_help() {
    let mut flags: Vec<_> = TABLE.settings.iter().map(|s| s.name).collect();
    let mut envs: Vec<_> = TABLE.settings.iter().map(|s| s.env).collect();
    for names in [&mut flags, &mut envs] {
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.settings.len());
    }
    assert!(TABLE.settings.iter().all(|s| s.help.len() > 5 && !s.services.is_empty()));
    arguments(Command::new("test"), None).debug_assert();
}

#[test]
fn what_an_operator_vouches_for() {
    let args =
        "--source-tables order_items=public.lines_2026,order_items=* --key-columns products.tenant";
    let found = config(Inventory, &format!("{SQLITE} {args}"), &[]).expect("fine").exceptions;
    let pair = |table: &str, what: &str| (table.to_owned(), what.to_owned());
    let tables = [pair("order_items", "public.lines_2026"), pair("order_items", "*")];
    assert_eq!(found.source_tables, tables);
    assert_eq!(found.key_columns, [pair("products", "tenant")]);
    for (args, says) in [
        (
            "--source-tables orders=public.x",
            "`orders` is no table of this service: products, order_items",
        ),
        ("--source-tables public.x", "`public.x` is not TABLE=SCHEMA.NAME"),
        ("--key-columns tenant", "`tenant` is not TABLE.COLUMN"),
    ] {
        let wrong = problems(config(Inventory, &format!("{SQLITE} {args}"), &[]));
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{wrong:?}");
    }
}
