//! Every error of DynamoDB and S3 that can be provoked, in front of a real service. What passes by itself: nothing
//! moves while it lasts, the log says what is in the way, and it goes on without a new start. What can never be written
//! is a dead letter. What only an operator can help ends the process with a sentence that says how.
//!
//! With LocalStack: `TEST_DYNAMODB_ENDPOINT` and `TEST_S3_ENDPOINT`.
mod errors;
#[path = "../../consumers/tests/http/mod.rs"]
mod http;
mod proxy;

use consumers::telemetry::metrics::METRICS;
use errors::{Case, Emulators, Stuck, World};
use http::{get, metric, put};
use proxy::{Fault, Target};

const fn canned(status: u16, code: &'static str, message: &'static str) -> Fault {
    Fault::Canned { status, code, message, percent: 100, operation: None }
}

/// Under which error, and what the log says of it.
type Round = (&'static str, Fault, &'static str);

const DYNAMODB: &[Round] = &[
    ("throttled", Fault::Throttle { percent: 100 }, "is throttled ("),
    ("failing", Fault::ServerErrors { percent: 100 }, "DynamoDB cannot answer now"),
    ("expired", canned(400, "ExpiredTokenException", "expired"), "credentials have expired"),
    (
        "clock",
        canned(400, "InvalidSignatureException", "Signature expired: x"),
        "clock is wrong (InvalidSignatureException): set it",
    ),
    ("conflict", canned(400, "TransactionConflictException", "x"), "somebody else is changing"),
    ("bad gateway", canned(502, "", ""), "HTTP status 502, is not one of DynamoDB's"),
    ("a page, 408", canned(408, "", ""), "HTTP status 408, is not one of DynamoDB's"),
    ("a page, 429", canned(429, "", ""), "HTTP status 429, is not one of DynamoDB's"),
    ("a page, 403", canned(403, "", ""), "HTTP status 403, is not one of DynamoDB's"),
    ("garbage", Fault::Garbage { percent: 100 }, "HTTP status 200, is not one of DynamoDB's"),
    ("reset", Fault::Reset, "had no answer: it goes on by itself"),
    ("cut", Fault::Cut, "had no answer: it goes on by itself"),
    ("lost answers", Fault::LoseAnswers { percent: 100 }, "had no answer: it goes on by itself"),
    ("half answers", Fault::HalveAnswers { percent: 100 }, "it goes on by itself"),
    ("slow", Fault::Slow(9_000), "had no answer: it goes on by itself"),
    ("stall", Fault::Stall, "had no answer: it goes on by itself"),
];

/// Met when a dead letter is written.
const S3: &[Round] = &[
    ("throttled", Fault::Throttle { percent: 100 }, "is throttled: it goes on"),
    ("failing", Fault::ServerErrors { percent: 100 }, "cannot answer now"),
    ("expired", canned(400, "ExpiredToken", "expired"), "credentials have expired: renew them"),
    ("clock", canned(403, "RequestTimeTooSkewed", "x"), "clock is wrong: set it"),
    ("conflict", canned(409, "ConditionalRequestConflict", "x"), "somebody else is changing"),
    ("late", canned(400, "RequestTimeout", "x"), "arrived late or damaged"),
    ("a page, 429", canned(429, "", ""), "HTTP status 429, is not one of S3's"),
    ("garbage", Fault::Garbage { percent: 100 }, "has no ETag"),
    ("reset", Fault::Reset, "does not answer: it goes on by itself"),
    ("cut", Fault::Cut, "does not answer: it goes on by itself"),
    ("lost answers", Fault::LoseAnswers { percent: 100 }, "does not answer: it goes on by itself"),
    ("half answers", Fault::HalveAnswers { percent: 100 }, "it goes on by itself"),
    ("stall", Fault::Stall, "does not answer: it goes on by itself"),
];

#[test]
fn what_passes_by_itself_is_waited_for_and_nothing_is_lost_or_twice() {
    let Some(at) = Emulators::find() else { return };
    let mut world = World::new(&at, "passing");
    let service = world.start(&["--state", "slatedb:dir:state"]);
    world.trade(0);
    world.caught_up(&service);
    for (what, fault, says) in DYNAMODB {
        world.round(&service, Stuck::Writes, what, *fault, says);
    }
    for (what, fault, says) in S3 {
        world.round(&service, Stuck::Letter, what, *fault, says);
    }
    let cut = "had no answer: it goes on by itself";
    world.round(&service, Stuck::Everything, "nobody listens", Fault::Cut, cut);
    for (what, fault) in [
        ("some answers lost", Fault::LoseAnswers { percent: 30 }),
        ("some throttled", Fault::Throttle { percent: 30 }),
        ("some errors", Fault::ServerErrors { percent: 30 }),
    ] {
        world.proxy.set(fault);
        (0..4).for_each(|_| world.trade(1));
        world.bad_record();
        world.caught_up(&service);
        println!("{what}: caught up");
    }
    world.proxy.set(Fault::None);
    service.stop();
    world.check();
    let log = service.text();
    assert!(!log.contains("poll interval"), "polled all the time");
    assert!(world.proxy.counts().lost > 0);
    let calls = world.proxy.counts().operations;
    let batches: Vec<_> = calls
        .keys()
        .filter(|name| name.starts_with("Batch") || name.starts_with("Trans"))
        .collect();
    assert!(
        batches.is_empty(),
        "one item a request, for what is not done must be an error: {batches:?}"
    );
}

#[test]
fn state_in_s3_waits_and_says_why() {
    let Some(at) = Emulators::find() else { return };
    let mut world = World::new(&at, "state");
    let service = world.start(&[]);
    world.trade(0);
    world.caught_up(&service);
    // SlateDB tries for 30 s before it is heard of.
    for (what, fault, says) in [
        ("throttled", Fault::Throttle { percent: 100 }, "is throttled: it goes on by itself"),
        ("expired", canned(400, "ExpiredToken", "expired"), "credentials have expired: renew them"),
        ("cut", Fault::Cut, "does not answer: it goes on by itself"),
    ] {
        world.round(&service, Stuck::State, what, fault, says);
    }
    world.proxy.set(Fault::LoseAnswers { percent: 20 });
    world.trade(1);
    world.caught_up(&service);
    world.proxy.set(Fault::None);
    service.stop();
    world.check();
}

#[test]
fn what_can_never_be_written_is_a_letter_and_the_rest_goes_on() {
    let Some(at) = Emulators::find() else { return };
    let mut world = World::new(&at, "refused");
    let service = world.start(&["--state", "slatedb:dir:state"]);
    world.trade(0);
    world.caught_up(&service);
    for (code, message) in [
        ("ValidationException", "Item size has exceeded the maximum allowed size"),
        ("ItemCollectionSizeLimitExceededException", "Collection size exceeded."),
    ] {
        world.refused_product(&service, code, message);
        world.trade(0);
        world.caught_up(&service);
    }
    service.stop();
    world.check();
    let log = service.text();
    assert!(log.contains("refused=2"), "{log}");
}

#[test]
fn what_only_an_operator_can_help_ends_the_process_and_says_how() {
    let Some(at) = Emulators::find() else { return };
    let dynamo = |code, message, says| Case {
        target: Target::DynamoDb,
        fault: canned(400, code, message),
        says,
        ..Case::default()
    };
    let s3 = |status, code, says| Case {
        target: Target::S3,
        fault: canned(status, code, "x"),
        says,
        ..Case::default()
    };
    let cases = [
        dynamo("ResourceNotFoundException", "x", "does not exist: create it"),
        dynamo("AccessDeniedException", "x", "no permission for dynamodb:PutItem on table"),
        dynamo("UnrecognizedClientException", "x", "does not accept the credentials"),
        dynamo("InvalidSignatureException", "does not match", "check the access key"),
        dynamo(
            "ValidationException",
            "The provided key element does not match the schema",
            "name another table",
        ),
        dynamo("UnknownOperationException", "x", "is AWS_ENDPOINT_URL that of DynamoDB?"),
        s3(403, "AccessDenied", "access denied: allow it in the role's policy"),
        s3(301, "PermanentRedirect", "is in another region: set AWS_REGION"),
        s3(403, "InvalidAccessKeyId", "correct AWS_ACCESS_KEY_ID"),
        s3(404, "NoSuchBucket", "does not exist: create it"),
        s3(501, "NotImplemented", "conditional puts"),
        Case {
            state_in_s3: true,
            ..s3(403, "AccessDenied", "access denied: allow it in the role's policy")
        },
        Case {
            state_in_s3: true,
            ..s3(400, "AuthorizationHeaderMalformed", "another region: set AWS_REGION")
        },
        Case { state_in_s3: true, ..s3(403, "SignatureDoesNotMatch", "correct AWS_ACCESS_KEY_ID") },
        Case { missing: "table", says: "does not exist: create it", ..Case::default() },
        Case { missing: "bucket", says: "does not exist: create it", ..Case::default() },
        Case {
            missing: "bucket",
            state_in_s3: true,
            says: "does not exist: create it",
            ..Case::default()
        },
    ];
    let world = World::new(&at, "fatal");
    for (number, case) in cases.iter().enumerate() {
        let (status, log) = world.run_to_its_end(number, case);
        let what = format!("{number}, {}: {log}", case.says);
        assert_eq!(status, Some(1), "{what}");
        assert!(log.contains(case.says), "{what}");
        let halted = log.split("halted:").nth(1).unwrap_or_default();
        assert!(halted.contains(world.name()), "names the table or the bucket: {what}");
        assert!(!log.contains("Secret Name"), "no values: {what}");
    }
}

#[test]
fn without_credentials_it_ends_at_start_and_says_where_it_looked() {
    let Some(at) = Emulators::find() else { return };
    let world = World::new(&at, "nobody");
    world.trade_once();
    for (name, more) in [("a", &["--state", "slatedb:dir:state"][..]), ("b", &[])] {
        let (code, log) = world.run_without_credentials(name, more);
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("there are no AWS credentials. Looked for: AWS_ACCESS_KEY_ID"),
            "{log}"
        );
    }
}

/// Every metric is there, moves, and says what the test did; probes say what they ought to.
#[test]
fn metrics_and_probes_tell_the_truth() {
    let Some(at) = Emulators::find() else { return };
    let mut world = World::new(&at, "metrics");
    let service = world.start(&["--http-listen", "127.0.0.1:0"]);
    let http = service.http();
    let is = |name: &str, labels: &[&str], wanted: i64| {
        service.wait(&format!("{name}{labels:?} {wanted}"), |_| {
            metric(http, name, labels).is_some_and(|value| (value - wanted as f64).abs() < 0.5)
        });
    };
    let grows = |name: &str, labels: &[&str]| {
        service.wait(name, |_| metric(http, name, labels).is_some_and(|value| value > 0.0));
    };
    let ready = |wanted: u16| {
        service.wait(&format!("ready: {wanted}"), |_| get(http, "/health/ready").0 == wanted);
    };

    ready(200);
    world.trade(1);
    world.bad_record();
    world.caught_up(&service);
    world.run_low();
    world.caught_up(&service);
    world.refused_product(&service, "ValidationException", "Item size has exceeded the maximum");
    world.caught_up(&service);
    is("cdc_owned_partitions", &[], 3);
    is("cdc_position_offset", &[], world.total());
    is("cdc_log_end_offset", &[], world.total());
    is("cdc_consumer_lag_records", &[], 0);
    is("cdc_dead_letters_total", &["reason=\"malformed\""], 1);
    is("cdc_dead_letters_total", &["reason=\"refused\""], 1);
    is("cdc_low_stock_alerts_total", &[], world.proxy.ledger().len() as i64);
    // What was refused was read again, as a letter.
    service.wait("every record, once", |_| {
        let all = |name| metric(http, name, &[]).expect("there");
        let read = all("cdc_records_total") - all("cdc_records_given_back_total");
        (read - world.total() as f64).abs() < 0.5
    });
    is("cdc_breaker_state", &["state=\"closed\""], 1);
    is("cdc_breaker_opened_total", &[], 0);
    assert!(!world.proxy.ledger().is_empty(), "no alert to count");

    // Cut off: only ready is red. What waits is the lag.
    let before = world.total();
    world.proxy.set(Fault::Cut);
    world.trade(0);
    ready(503);
    let (_, body) = get(http, "/health/ready");
    assert!(body.contains("\"sink\":\"unreachable\""), "{body}");
    assert!(body.contains("had no answer") || body.contains("does not answer"), "{body}");
    assert_eq!(get(http, "/health/live").0, 200);
    is("cdc_consumer_lag_records", &[], world.total() - before);
    grows("cdc_retries_total", &[]);
    grows("cdc_errors_total", &["class=\"transient\""]);
    grows("cdc_breaker_opened_total", &[]);
    grows("cdc_aws_request_errors_total", &["api=\"dynamodb\"", "class=\"transient\""]);
    is("cdc_position_offset", &[], before);
    world.proxy.set(Fault::None);
    ready(200);
    world.caught_up(&service);
    is("cdc_consumer_lag_records", &[], 0);
    is("cdc_position_offset", &[], world.total());

    world.proxy.set_for(Target::DynamoDb, Fault::Throttle { percent: 100 });
    world.trade(0);
    grows("cdc_aws_throttles_total", &["api=\"dynamodb\""]);
    world.proxy.set(Fault::None);
    world.caught_up(&service);

    let (_, text) = get(http, "/metrics");
    for shown in METRICS.iter().filter(|m| m.name != "cdc_publish_duration_seconds") {
        assert!(text.contains(&format!("# TYPE {} ", shown.name)), "{} is not there", shown.name);
    }
    for line in text.lines().filter(|line| line.starts_with("cdc_")) {
        assert!(line.contains("service=\"inventory-service\""), "{line}");
    }
    assert!(!text.contains("Too large") && !text.contains("Product "), "values of rows");

    assert_eq!(put(http, "/log-level", "no,such=filter=").0, 400);
    assert_eq!(put(http, "/log-level", "consumers=debug").0, 200);
    service.wait("says so", |log| log.contains("log level changed"));
    assert!(get(http, "/log-level").1.contains("consumers=debug"));
    let address = http.to_string();
    for (what, wanted) in [("live", 0), ("ready", 0)] {
        let mut asking = std::process::Command::new(env!("CARGO_BIN_EXE_cdc"));
        let asked = asking.args(["health", what, "--http-listen", &address]).output();
        let asked = asked.expect("starts");
        assert_eq!(asked.status.code(), Some(wanted), "{what}: {asked:?}");
    }
    service.stop();
    world.check();
    let gone = std::process::Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args(["health", "--http-listen", &address])
        .output();
    assert_eq!(gone.expect("starts").status.code(), Some(1), "nobody answers");
}
