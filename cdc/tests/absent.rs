//! A build without features (`--no-default-features`): what is left out says so when it is asked for, and how to get it;
//! what is there works.
#![cfg(not(any(feature = "aws", feature = "otlp", feature = "tls")))]
use std::{
    path::Path,
    process::{Command, Output},
};

/// In an environment of its own.
fn cdc(dir: &Path, args: &str, env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.env_clear().envs(env.iter().copied()).current_dir(dir);
    let output = command.args(args.split_whitespace()).output().expect("it runs");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

const NO_AWS: &str = "this build has no AWS (DynamoDB, S3, SlateDB): build it without --no-default-features, or with \
                      --features aws";

/// Each problem of a run with these settings, of which nothing is made.
fn problems(args: &str, env: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, stdout, stderr) = cdc(dir.path(), args, env);
    assert_eq!(code, Some(64), "{stdout}{stderr}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was made");
    stderr
}

#[test]
fn settings_that_need_aws_or_traces_are_refused_all_at_once() {
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")];
    let said = problems("run inventory --dlq s3://lake/dlq --state slatedb:dir:state", &env);
    for problem in [
        format!("--sink or SINK: `aws` (from the default): {NO_AWS}."),
        format!("--dlq or DLQ: `s3://lake/dlq` (from the flag): {NO_AWS}."),
        format!("--state or STATE: `slatedb:dir:state` (from the flag): {NO_AWS}."),
        "OTEL_EXPORTER_OTLP_ENDPOINT: this build has no OpenTelemetry: build it without --no-default-features, or with \
         --features otlp."
            .to_owned(),
    ] {
        assert!(said.contains(&problem), "{problem} is not in {said}");
    }
    let said = problems("run search --sink dir:views --dlq s3://lake", &[]);
    assert!(said.contains(NO_AWS) && !said.contains("--sink or SINK"), "{said}");
}

#[test]
fn brokers_that_are_reached_by_tls_are_refused() {
    let no_tls =
        "this build has no TLS: build it without --no-default-features, or with --features tls";
    let args = "run search --sink sqlite:x.db --dlq dir:dlq";
    for (name, property, value) in [
        ("KAFKA_PROPERTIES_SECURITY_PROTOCOL", "security.protocol", "SASL_SSL"),
        ("KAFKA_PROPERTIES_SSL_CA_LOCATION", "ssl.ca.location", "ca.pem"),
        ("KAFKA_PROPERTIES_SASL_MECHANISM", "sasl.mechanism", "SCRAM-SHA-512"),
    ] {
        let said = problems(args, &[(name, value)]);
        assert!(said.contains(&format!("`{property}`: {no_tls}")), "{said}");
        assert!(!said.contains("ca.pem"), "{said}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plain = [
        ("KAFKA_PROPERTIES_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_PROPERTIES_SASL_MECHANISM", "PLAIN"),
    ];
    let (code, _, said) = cdc(dir.path(), &args.replace("run", "config"), &plain);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn commands_that_ask_the_source_say_that_they_are_not_there() {
    for args in ["verify all --source-dsn postgres://h/d", "verify --help", "doctor all", "shop"] {
        let name = args.split(' ').next().unwrap_or_default();
        let said = problems(args, &[]);
        let why = "this build has no PostgreSQL: build it without --no-default-features, or with --features postgres";
        assert_eq!(said, format!("cdc {name}: {why}\n"));
    }
}

#[test]
fn dead_letters_in_s3_cannot_be_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, said) = cdc(dir.path(), "dlq list --dlq s3://lake/dlq", &[]);
    assert_eq!((code, &*said), (Some(1), &*format!("{NO_AWS}\n")));
}

#[test]
fn the_demo_is_exact() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, stdout, stderr) = cdc(dir.path(), "demo --dir shop", &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.ends_with("\nexact\n"), "{stdout}");
}
