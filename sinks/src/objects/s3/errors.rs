//! What S3's errors mean to us; also those that the state's store meets. Every sentence names the bucket and the call,
//! and says what to do.
use crate::{SinkError, aws::is_throttle};
use anyhow::anyhow;

/// The error and its causes, without the answer's body.
pub fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}

/// What an operator can do about it decides the class. `call` names the operation and the object, `text` the cause.
pub fn classify(
    bucket: &str,
    call: &str,
    code: Option<&str>,
    status: Option<u16>,
    text: &str,
) -> SinkError {
    match code.filter(|code| !code.is_empty()) {
        Some(code) => by_name(bucket, call, code, status, text),
        None => unnamed(bucket, call, status, text),
    }
}

fn by_name(bucket: &str, call: &str, code: &str, status: Option<u16>, text: &str) -> SinkError {
    let later = |advice: &str| SinkError::Transient(anyhow!("{call}: {advice} ({text})"));
    let never = |advice: &str| SinkError::Fatal(anyhow!("{call}: {advice} ({text})"));
    match code {
        "NoSuchBucket" => {
            never(&format!("bucket {bucket} does not exist: create it, or correct the name"))
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            never(&format!("bucket {bucket} is in another region: set AWS_REGION to it"))
        }
        "InvalidBucketName" => never(&format!("{bucket} cannot be a bucket's name: correct it")),
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => later(
            "the AWS credentials have expired: renew them. Those of a role go on by themselves; those that were set as \
             variables need a new start",
        ),
        "RequestTimeTooSkewed" | "RequestExpired" => {
            later("this machine's clock is wrong: set it, it goes on by itself")
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => {
            never("AWS does not accept the credentials: correct AWS_ACCESS_KEY_ID and its secret")
        }
        "InvalidObjectState" => never(
            "the object is archived: restore it, and keep lifecycle rules off state/, dlq/ and the newest reports",
        ),
        "EntityTooLarge" => never("the object is larger than the store takes in one put"),
        "NotImplemented" => never(
            "the store does not know this request, as S3 does: it must have conditional puts (If-None-Match)",
        ),
        code if code.starts_with("KMS.") => never(&format!(
            "the KMS key of bucket {bucket} cannot be used: enable it, allow its use"
        )),
        code if is_throttle(code) => {
            later(&format!("bucket {bucket} is throttled: it goes on by itself"))
        }
        "OperationAborted" | "ConditionalRequestConflict" => {
            later("somebody else is changing the object: it goes on by itself")
        }
        "RequestTimeout" | "IncompleteBody" | "BadDigest" | "XAmzContentSHA256Mismatch" => later(
            "the request arrived late or damaged: it goes on by itself; if it lasts, look at the network",
        ),
        "InternalError" | "ServiceUnavailable" | "TemporaryRedirect" => {
            unnamed(bucket, call, status, text)
        }
        _ if matches!(status, Some(403)) => {
            never(&format!("access denied: allow it in the role's policy, for bucket {bucket}"))
        }
        _ if matches!(status, None | Some(408 | 409 | 412 | 429 | 500..)) => {
            unnamed(bucket, call, status, text)
        }
        _ => never(&format!("bucket {bucket} refuses the request: mend that, and start again")),
    }
}

/// No error of S3's own making decides about more than now.
fn unnamed(bucket: &str, call: &str, status: Option<u16>, text: &str) -> SinkError {
    let later = |advice: &str| SinkError::Transient(anyhow!("{call}: {advice} ({text})"));
    // Where a role's credentials are asked for.
    let is_of_role = text.contains("/latest/api/token") || text.contains("/latest/meta-data");
    match status {
        _ if is_of_role || status.is_none() && text.contains("credentials") => later(
            "no AWS credentials can be loaded: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the process a \
             role",
        ),
        None => later(&format!(
            "the store of bucket {bucket} does not answer: it goes on by itself; if it lasts, look at the network and at \
             AWS_REGION and AWS_ENDPOINT_URL"
        )),
        Some(500..) => later(&format!(
            "the store of bucket {bucket} cannot answer now: it goes on by itself; if it lasts, look at its health"
        )),
        Some(status) => later(&format!(
            "the answer, HTTP status {status}, is not one of S3's: it goes on by itself; if it lasts, look at what is \
             between (AWS_ENDPOINT_URL, a proxy, a load balancer)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: bool = false;
    const NEVER: bool = true;

    #[test]
    fn each_error_has_its_class_and_says_what_to_do() {
        let table = [
            ("NoSuchBucket", 404, NEVER, "bucket b does not exist: create it"),
            ("PermanentRedirect", 301, NEVER, "another region: set AWS_REGION"),
            ("AuthorizationHeaderMalformed", 400, NEVER, "another region: set AWS_REGION"),
            ("IllegalLocationConstraintException", 400, NEVER, "another region"),
            ("InvalidBucketName", 400, NEVER, "correct it"),
            (
                "AccessDenied",
                403,
                NEVER,
                "access denied: allow it in the role's policy, for bucket b",
            ),
            ("AllAccessDisabled", 403, NEVER, "access denied"),
            ("SomethingNew", 403, NEVER, "access denied"),
            ("InvalidAccessKeyId", 403, NEVER, "correct AWS_ACCESS_KEY_ID"),
            ("SignatureDoesNotMatch", 403, NEVER, "correct AWS_ACCESS_KEY_ID"),
            ("InvalidObjectState", 403, NEVER, "restore it"),
            ("KMS.DisabledException", 400, NEVER, "the KMS key of bucket b"),
            ("EntityTooLarge", 400, NEVER, "larger than the store takes"),
            ("NotImplemented", 501, NEVER, "conditional puts"),
            ("InvalidArgument", 400, NEVER, "bucket b refuses the request"),
            ("ExpiredToken", 400, LATER, "have expired: renew them"),
            ("TokenRefreshRequired", 400, LATER, "renew them"),
            ("RequestTimeTooSkewed", 403, LATER, "clock is wrong: set it"),
            ("SlowDown", 503, LATER, "bucket b is throttled"),
            ("TooManyRequests", 429, LATER, "bucket b is throttled"),
            ("OperationAborted", 409, LATER, "goes on by itself"),
            ("ConditionalRequestConflict", 409, LATER, "goes on by itself"),
            ("RequestTimeout", 400, LATER, "look at the network"),
            ("IncompleteBody", 400, LATER, "look at the network"),
            ("BadDigest", 400, LATER, "look at the network"),
            ("InternalError", 500, LATER, "look at its health"),
            ("ServiceUnavailable", 503, LATER, "look at its health"),
            ("TemporaryRedirect", 307, LATER, "goes on by itself"),
            ("Unheard", 500, LATER, "look at its health"),
            // Pages that something on the way has made.
            ("", 200, LATER, "is not one of S3's"),
            ("", 403, LATER, "look at what is between"),
            ("", 404, LATER, "look at what is between"),
            ("", 408, LATER, "look at what is between"),
            ("", 429, LATER, "look at what is between"),
            ("", 502, LATER, "look at its health"),
            // No answer.
            (
                "",
                0,
                LATER,
                "does not answer: it goes on by itself; if it lasts, look at the network",
            ),
        ];
        for (code, status, is_fatal, says) in table {
            let status = (status > 0).then_some(status);
            let e = classify("b", "s3:PutObject of s3://b/n", Some(code), status, "cause");
            let text = e.to_string();
            assert_eq!(matches!(e, SinkError::Fatal(_)), is_fatal, "{code} {status:?}: {text}");
            assert_eq!(
                matches!(e, SinkError::Transient(_)),
                !is_fatal,
                "{code} {status:?}: {text}"
            );
            assert!(text.contains(says), "{code} {status:?}: {text}");
            assert!(text.contains("s3:PutObject of s3://b/n") && text.contains("cause"), "{text}");
        }
        for (status, text) in
            [(None, "no credentials in the chain"), (Some(403), "PUT http://h/latest/api/token")]
        {
            let e = classify("b", "s3:GetObject of s3://b/n", None, status, text);
            assert!(matches!(e, SinkError::Transient(_)), "{e}");
            assert!(e.to_string().contains("give the process a role"), "{e}");
        }
    }
}
