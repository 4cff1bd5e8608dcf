//! Errors by reaction, from answers that no emulator gives: a server that says one thing to everybody.
use crate::shop::*;
use sinks::{
    Sink, SinkError,
    dynamodb::{Config, DynamoDb},
};
use std::{
    io::{Read, Write as _},
    net::TcpListener,
};

/// Answers every request the same way, until the test is over.
fn server(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
async fn error(endpoint: &str) -> SinkError {
    let config = Config::new(1, vec![inventory(true)]);
    let sink = DynamoDb::new(client(endpoint).await, &config).expect("settings");
    let one = batch("products", 0, 4, 5, vec![product(4, 1, 20)]);
    sink.write(&one).await.expect_err("an error")
}
async fn coded(status: &'static str, code: &str, message: &str) -> SinkError {
    let body =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#);
    error(&server(status, body)).await
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Later,
    Never,
    Halt,
}
use Class::{Halt, Later, Never};

/// Status, code (none: a page that something on the way made), message, class, what the sentence says.
type Row = (&'static str, &'static str, &'static str, Class, &'static str);

const BAD: &str = "400 Bad Request";
const VALID: &str = "ValidationException";
const SIGNATURE: &str = "InvalidSignatureException";

const ERRORS: &[Row] = &[
    (BAD, "ProvisionedThroughputExceededException", "x", Later, "is throttled (Provisioned"),
    (BAD, "ThrottlingException", "x", Later, "raise the capacity of the table"),
    (BAD, "RequestLimitExceeded", "x", Later, "is throttled"),
    (BAD, "LimitExceededException", "x", Later, "is throttled"),
    (BAD, "TransactionConflictException", "x", Later, "keep others off the table"),
    (BAD, "ReplicatedWriteConflictException", "x", Later, "somebody else is changing"),
    (BAD, "ResourceInUseException", "x", Later, "somebody else is changing"),
    (
        BAD,
        "ExpiredTokenException",
        "x",
        Later,
        "credentials have expired (ExpiredTokenException): renew them",
    ),
    (BAD, "RequestExpired", "x", Later, "clock is wrong (RequestExpired): set it"),
    (BAD, SIGNATURE, "Signature expired: 1 is now earlier than 2", Later, "clock is wrong"),
    (BAD, SIGNATURE, "Signature not yet current: 1 is still later than 2", Later, "clock is wrong"),
    (
        "500 Internal Server Error",
        "InternalServerError",
        "x",
        Later,
        "DynamoDB cannot answer now (HTTP status 500",
    ),
    (
        "503 Service Unavailable",
        "ServiceUnavailable",
        "x",
        Later,
        "look at the health of the service",
    ),
    ("502 Bad Gateway", "Unheard", "x", Later, "DynamoDB cannot answer now"),
    ("408 Request Timeout", "Unheard", "x", Later, "DynamoDB cannot answer now"),
    ("429 Too Many Requests", "Unheard", "x", Later, "DynamoDB cannot answer now"),
    ("200 OK", "", "", Later, "HTTP status 200, is not one of DynamoDB's"),
    ("403 Forbidden", "", "", Later, "look at what is between (AWS_ENDPOINT_URL"),
    ("404 Not Found", "", "", Later, "is not one of DynamoDB's"),
    ("408 Request Timeout", "", "", Later, "is not one of DynamoDB's"),
    ("429 Too Many Requests", "", "", Later, "is not one of DynamoDB's"),
    ("504 Gateway Timeout", "", "", Later, "is not one of DynamoDB's"),
    (BAD, "ResourceNotFoundException", "x", Halt, "restore it, or start with a new GENERATION"),
    (
        BAD,
        "AccessDeniedException",
        "x",
        Halt,
        "no permission for dynamodb:PutItem on table `inventory-realtime`",
    ),
    (BAD, "UnrecognizedClientException", "x", Halt, "check the access key"),
    (BAD, "MissingAuthenticationTokenException", "x", Halt, "check the access key"),
    (
        BAD,
        SIGNATURE,
        "The request signature we calculated does not match",
        Halt,
        "check the access key",
    ),
    (BAD, SIGNATURE, "Credential should be scoped to a valid region", Halt, "AWS_REGION"),
    (
        BAD,
        VALID,
        "The provided key element does not match the schema",
        Halt,
        "another key than this view",
    ),
    (
        BAD,
        VALID,
        "Type mismatch for Index Key price Expected: N",
        Halt,
        "another key than this view",
    ),
    (BAD, VALID, "Invalid UpdateExpression: Syntax error", Halt, "please report it"),
    (BAD, VALID, "ExpressionAttributeNames contains invalid key", Halt, "please report it"),
    (
        BAD,
        VALID,
        "Value 'a b' at 'tableName' failed to satisfy constraint",
        Halt,
        "a DynamoDB table's name: correct it",
    ),
    (
        BAD,
        VALID,
        "An operand in the update expression has an incorrect data type",
        Halt,
        "keep others off the table",
    ),
    (BAD, "UnknownOperationException", "x", Halt, "is AWS_ENDPOINT_URL that of DynamoDB?"),
    (BAD, "SerializationException", "x", Halt, "is AWS_ENDPOINT_URL that of DynamoDB?"),
    (BAD, "SomethingNew", "no", Halt, "is refused (SomethingNew: no)"),
    (
        BAD,
        VALID,
        "Item size has exceeded the maximum allowed size",
        Never,
        "refuses the item: Item size",
    ),
    (BAD, VALID, "One or more parameter values were invalid: empty", Never, "refuses the item"),
    (
        BAD,
        VALID,
        "ExpressionAttributeValues contains invalid value: empty string",
        Never,
        "refuses the item",
    ),
    (
        BAD,
        VALID,
        "The parameter cannot be converted to a numeric value: hidden",
        Never,
        "numeric value: (not shown)",
    ),
    (BAD, "ItemCollectionSizeLimitExceededException", "x", Never, "at its 10 GB"),
    ("413 Payload Too Large", "", "", Never, "the request is too large"),
];

#[tokio::test]
async fn each_error_has_its_class_and_says_what_to_do() {
    for (status, code, message, class, says) in ERRORS {
        let e = match code.is_empty() {
            true => error(&server(status, "<html>hidden".into())).await,
            false => coded(status, code, message).await,
        };
        let (found, text) = match &e {
            SinkError::Transient(why) => (Later, why.to_string()),
            SinkError::Fatal(why) => (Halt, why.to_string()),
            SinkError::Refused(list) => {
                assert_eq!(list.iter().map(|refusal| refusal.offset).collect::<Vec<_>>(), [4]);
                (Never, list[0].reason.clone())
            }
            SinkError::Fenced => panic!("{status} {code}: fenced"),
        };
        assert_eq!(found, *class, "{status} {code}: {text}");
        assert!(text.contains(says), "{status} {code}: {text}");
        assert!(text.contains("`inventory-realtime`"), "{status} {code} names the table: {text}");
        assert!(
            found == Never || text.contains("PutItem"),
            "{status} {code} names the call: {text}"
        );
        assert!(!text.contains("hidden"), "{status} {code} shows no value: {text}");
    }
}

/// Items that stand against a product's put at offset 4 of products/1, as DynamoDB shows them.
const OWNED_BY_0: &str = r#""own":{"S":"p0"},"p0":{"B":"AwA="},"base_stock":{"N":"7"}"#;
/// Deleted: its owner is known all the same.
const DELETED_BY_0: &str = r#""own":{"S":"p0"},"p0":{"B":"AwA="}"#;
const OURS_AT_4: &str = r#""own":{"S":"p1"},"p1":{"B":"BAA="},"base_stock":{"N":"20"}"#;
/// From before items said whose they are.
const NOBODYS_AT_4: &str = r#""p1":{"B":"BAA="},"base_stock":{"N":"20"}"#;

#[tokio::test]
async fn a_row_of_another_partition_halts_at_the_first_answer() {
    for (item, stands) in
        [(OWNED_BY_0, false), (DELETED_BY_0, false), (OURS_AT_4, true), (NOBODYS_AT_4, true)]
    {
        let body = format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"x",
               "Item":{{"product_id":{{"N":"4711"}},"gen":{{"N":"1"}},"sold":{{"N":"0"}},
               "stock_quantity":{{"N":"20"}},{item}}}}}"#
        );
        let (endpoint, config) = (server(BAD, body), Config::new(1, vec![inventory(true)]));
        let sink = DynamoDb::new(client(&endpoint).await, &config).expect("settings");
        let one = batch("products", 1, 4, 5, vec![product(4, 4711, 20)]);
        let result = sink.write(&one).await;
        if stands {
            result.expect("there already");
            continue;
        }
        let why = fatal(result);
        let says = "products/1 offset 4: its row of view inventory_realtime is owned by products/0. One primary key";
        assert!(why.starts_with(says) && why.contains("GENERATION"), "{item}: {why}");
        assert!(!why.contains("4711"), "shows no value: {why}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_transient() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let e = error(&format!("http://{port}")).await;
    assert!(matches!(e, SinkError::Transient(_)), "{e}");
}

/// A connection is accepted and nothing ever comes: the read timeout ends it.
#[tokio::test]
async fn silence_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let e = error(&endpoint).await;
    assert!(matches!(e, SinkError::Transient(_)), "{e}");
    drop(listener);
}
