//! Errors by reaction, from answers that no emulator gives: a server that says one thing to everybody.
use crate::shop::*;
use sinks::{
    Sink, SinkError, StockMode,
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
    let config = Config::new(1, vec![inventory(StockMode::Derived)]);
    let sink = DynamoDb::new(client(endpoint).await, &config).expect("settings");
    let one = batch("products", 0, 4, 5, vec![product(4, 1, 20)]);
    sink.write(&one).await.expect_err("an error")
}
async fn coded(status: &'static str, code: &str, message: &str) -> SinkError {
    let body =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#);
    error(&server(status, body)).await
}

#[tokio::test]
async fn what_may_pass_is_transient() {
    const BAD: &str = "400 Bad Request";
    for (status, code) in [
        (BAD, "ProvisionedThroughputExceededException"),
        (BAD, "ThrottlingException"),
        (BAD, "RequestLimitExceeded"),
        (BAD, "TransactionConflictException"),
        (BAD, "ExpiredTokenException"),
        ("500 Internal Server Error", "InternalServerError"),
        ("503 Service Unavailable", "ServiceUnavailable"),
        ("502 Bad Gateway", "Whatever"),
    ] {
        let e = coded(status, code, "later").await;
        assert!(matches!(e, SinkError::Transient(_)), "{code}: {e}");
        assert!(e.to_string().contains("inventory-realtime"), "{e}");
    }
    let e = error(&server("500 Internal Server Error", "<html>".into())).await;
    assert!(matches!(e, SinkError::Transient(_)), "{e}");
}

#[tokio::test]
async fn what_an_operator_must_mend_is_fatal_and_says_so() {
    const BAD: &str = "400 Bad Request";
    for (code, message, says) in [
        (
            "AccessDeniedException",
            "no",
            "no permission for dynamodb:PutItem on table `inventory-realtime`",
        ),
        ("ResourceNotFoundException", "no", "restore it, or start with a new GENERATION"),
        ("UnrecognizedClientException", "no", "check the access key"),
        (
            "ValidationException",
            "The provided key element does not match the schema",
            "another key than this view",
        ),
        ("ValidationException", "Invalid UpdateExpression: Syntax error", "was not understood"),
    ] {
        let e = coded(BAD, code, message).await;
        assert!(matches!(e, SinkError::Fatal(_)) && e.to_string().contains(says), "{code}: {e}");
    }
}

#[tokio::test]
async fn what_can_never_be_written_is_refused() {
    const BAD: &str = "400 Bad Request";
    for message in [
        "Item size has exceeded the maximum allowed size",
        "One or more parameter values were invalid: empty",
    ] {
        match coded(BAD, "ValidationException", message).await {
            SinkError::Refused(list) => assert_eq!(list[0].offset, 4),
            e => panic!("{e}"),
        }
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
