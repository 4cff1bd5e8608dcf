//! Answers that the services never gave, in the form in which they would.
use super::{Fault, Target};

#[derive(Clone, Copy)]
pub struct MadeUp {
    status: u16,
    code: &'static str,
    message: &'static str,
}

const DYNAMODB_THROTTLES: [MadeUp; 3] = [
    MadeUp {
        status: 400,
        code: "ProvisionedThroughputExceededException",
        message: "The level of configured provisioned throughput for the table was exceeded",
    },
    MadeUp {
        status: 400,
        code: "ThrottlingException",
        message: "Rate of requests exceeds the allowed throughput",
    },
    MadeUp {
        status: 400,
        code: "RequestLimitExceeded",
        message: "Throughput exceeds the current account limit",
    },
];
const DYNAMODB_BREAKS: [MadeUp; 2] = [
    MadeUp { status: 500, code: "InternalServerError", message: "Internal server error" },
    MadeUp { status: 503, code: "ServiceUnavailable", message: "Service unavailable" },
];
const S3_THROTTLE: MadeUp =
    MadeUp { status: 503, code: "SlowDown", message: "Please reduce your request rate." };
const S3_BREAKS: [MadeUp; 2] = [
    MadeUp {
        status: 500,
        code: "InternalError",
        message: "We encountered an internal error. Please try again.",
    },
    MadeUp {
        status: 503,
        code: "ServiceUnavailable",
        message: "Service is unable to handle request.",
    },
];

/// What stands for the answer under this fault; `choice` is any number.
pub fn made_up(fault: Fault, target: Target, choice: usize) -> MadeUp {
    match (fault, target) {
        (Fault::Throttle { .. }, Target::DynamoDb) => DYNAMODB_THROTTLES[choice % 3],
        (Fault::Throttle { .. }, Target::S3) => S3_THROTTLE,
        (Fault::ServerErrors { .. }, Target::DynamoDb) => DYNAMODB_BREAKS[choice % 2],
        (Fault::ServerErrors { .. }, Target::S3) => S3_BREAKS[choice % 2],
        (Fault::Canned { status, code, message, .. }, _) => MadeUp { status, code, message },
        _ => MadeUp { status: 200, code: "", message: "" },
    }
}

impl MadeUp {
    /// The whole message; the connection may be used again.
    pub fn bytes(&self, target: Target, method: &str) -> Vec<u8> {
        let Self { status, code, message } = self;
        let (kind, body) = match (*code, target) {
            ("", _) => ("text/html", "<html><h1>not what you asked for".to_owned()),
            (_, Target::DynamoDb) => (
                "application/x-amz-json-1.0",
                serde_json::json!({
                    "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"),
                    "message": message,
                })
                .to_string(),
            ),
            (_, Target::S3) => (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
                     <RequestId>MADEUP</RequestId></Error>"
                ),
            ),
        };
        let length = body.len();
        let body = if method == "HEAD" { String::new() } else { body };
        format!(
            "HTTP/1.1 {status} Made Up\r\ncontent-type: {kind}\r\nx-amzn-requestid: MADEUP\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}
