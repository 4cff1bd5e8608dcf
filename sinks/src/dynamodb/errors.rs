//! What DynamoDB's errors mean to us: what passes by itself, what can never be written, what only an operator can help.
//! Every sentence names the table and the call, says what to do, and shows no value.
use crate::{SinkError, aws, objects::s3};
use anyhow::anyhow;
use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

pub enum Class {
    Refused(String),
    Error(SinkError),
}

/// An error's reaction, counted. Sorted by what the service names it; what it never answered is transient.
pub fn classify<E>(table: &str, call: &str, e: SdkError<E, HttpResponse>) -> Class
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = e.as_service_error().and_then(|service| service.code()).map(str::to_owned);
    let class = sorted(table, call, e);
    let name = match &class {
        Class::Refused(_) => "refused",
        Class::Error(error) => error.class(),
    };
    aws::count_error("dynamodb", call, code.as_deref(), name);
    class
}

fn sorted<E>(table: &str, call: &str, e: SdkError<E, HttpResponse>) -> Class
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = e.raw_response().map(|raw| raw.status().as_u16());
    let named = e.as_service_error().and_then(|service| {
        let message = service.message().unwrap_or_default();
        Some((service.code().filter(|code| !code.is_empty())?, message))
    });
    if let Some((code, message)) = named {
        return by_name(table, call, code, &without_values(message), status);
    }
    if status == Some(413) {
        return Class::Refused(format!(
            "DynamoDB table `{table}` refuses the item: the request is too large"
        ));
    }
    let text = s3::errors::chain(&e);
    if text.contains("credentials") && status.is_none() {
        return transient(format!(
            "{call} on DynamoDB table `{table}`: no AWS credentials can be loaded: set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or give the process a role ({text})"
        ));
    }
    match (e, status) {
        (SdkError::ConstructionFailure(_), _) => {
            fatal(format!("{call} on DynamoDB table `{table}` cannot be built: {text}"))
        }
        (_, Some(status)) => transient(format!(
            "{call} on DynamoDB table `{table}`: the answer, HTTP status {status}, is not one of DynamoDB's: it goes \
             on by itself; if it lasts, look at what is between (AWS_ENDPOINT_URL, a proxy, a load balancer)"
        )),
        (_, None) => transient(format!(
            "{call} on DynamoDB table `{table}` had no answer: it goes on by itself; if it lasts, look at the network \
             and at AWS_REGION and AWS_ENDPOINT_URL ({text})"
        )),
    }
}

fn transient(why: String) -> Class {
    Class::Error(SinkError::Transient(anyhow!(why)))
}
fn fatal(why: String) -> Class {
    Class::Error(SinkError::Fatal(anyhow!(why)))
}

fn by_name(table: &str, call: &str, code: &str, message: &str, status: Option<u16>) -> Class {
    let place = format!("{call} on DynamoDB table `{table}`");
    match code {
        "ResourceNotFoundException" | "TableNotFoundException" => fatal(format!(
            "{call}: DynamoDB table `{table}` does not exist: create it as the table list in CONSUMER_DEPLOYMENT.md \
             says, or name the one to use; AWS_REGION and AWS_ENDPOINT_URL decide where it is looked for. If it existed \
             before, restore it, or start with a new GENERATION: its items are gone, and the state stands further on"
        )),
        "ValidationException" => invalid(table, call, message),
        "ItemCollectionSizeLimitExceededException" => Class::Refused(format!(
            "DynamoDB table `{table}` refuses the item: its collection (a local index has one for each hash key) is \
             at its 10 GB: {message}"
        )),
        "AccessDeniedException" => fatal(format!(
            "no permission for dynamodb:{call} on table `{table}`: allow it for the role of this service (and the use \
             of the table's KMS key, if it has one)"
        )),
        "ExpiredTokenException" | "ExpiredToken" => transient(format!(
            "{place}: the AWS credentials have expired ({code}): renew them. Those of a role go on by themselves; \
             those that were set as variables need a new start"
        )),
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => clock(&place, code),
        // The same code for a wrong secret and for a wrong clock.
        "InvalidSignatureException" if speaks_of_time(message) => clock(&place, code),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "NotAuthorized"
        | "OptInRequired"
        | "InvalidClientTokenId" => fatal(format!(
            "AWS does not accept the credentials for {place} ({code}): check the access key and its secret, AWS_REGION, \
             and the clock"
        )),
        code if aws::is_throttle(code) => transient(format!(
            "{place} is throttled ({code}): it goes on by itself; if it lasts, raise the capacity of the table and its \
             indexes, or use on-demand billing"
        )),
        "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException"
        | "ResourceInUseException" => transient(format!(
            "{place}: somebody else is changing the item or the table ({code}): it goes on by itself; if it lasts, keep \
             others off the table"
        )),
        "InternalServerError" | "InternalFailure" | "ServiceUnavailable" | "RequestTimeout" => {
            failing(&place, code, status)
        }
        _ if matches!(status, Some(408 | 429 | 500..)) => failing(&place, code, status),
        "UnknownOperationException" | "SerializationException" => fatal(format!(
            "{place} was not understood ({code}): is AWS_ENDPOINT_URL that of DynamoDB?"
        )),
        _ => fatal(format!("{place} is refused ({code}: {message}): mend that, and start again")),
    }
}

fn clock(place: &str, code: &str) -> Class {
    transient(format!(
        "{place}: this machine's clock is wrong ({code}): set it, it goes on by itself"
    ))
}

fn failing(place: &str, code: &str, status: Option<u16>) -> Class {
    let status = status.unwrap_or(0);
    transient(format!(
        "{place}: DynamoDB cannot answer now (HTTP status {status}, {code}): it goes on by itself; if it lasts, look \
         at the health of the service"
    ))
}

fn speaks_of_time(message: &str) -> bool {
    ["Signature expired", "Signature not yet current"].iter().any(|text| message.contains(text))
}

fn invalid(table: &str, call: &str, message: &str) -> Class {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    // The table, not the item, is wrong.
    if says(&[
        "does not match the schema",
        "Missing the key",
        "required keys was not given",
        "Type mismatch for key",
        "Type mismatch for Index Key",
        "number of conditions on the keys",
    ]) {
        return fatal(format!(
            "{call}: DynamoDB table `{table}` has another key than this view ({message}): name another table, one made \
             as the table list in CONSUMER_DEPLOYMENT.md says"
        ));
    }
    // Somebody else has written to it.
    if says(&[
        "operand in the update expression has an incorrect data type",
        "refers to an attribute that does not exist in the item",
    ]) {
        return fatal(format!(
            "{call}: an item of DynamoDB table `{table}` is not as this service writes it ({message}): keep others off \
             the table, and set a new GENERATION, which writes its items anew"
        ));
    }
    if says(&["Invalid table/index name", "Invalid TableName", "at 'tableName'"]) {
        return fatal(format!("{call}: `{table}` cannot be a DynamoDB table's name: correct it"));
    }
    // No record can cause this.
    if says(&["Invalid UpdateExpression", "Invalid ConditionExpression", "ExpressionAttribute"])
        && !says(&["empty string", "numeric value"])
    {
        return fatal(format!(
            "{call} on DynamoDB table `{table}` was not understood: {message}: a defect of this program, please report \
             it"
        ));
    }
    Class::Refused(format!("DynamoDB table `{table}` refuses the item: {message}"))
}

/// DynamoDB repeats parts of some requests in its messages; rows must not get into logs and letters that way.
fn without_values(message: &str) -> String {
    let mut text = message.to_owned();
    for (from, to) in [
        ("to a numeric value: ", None),
        ("Input collection ", Some(" contains")),
        ("Value '", Some("' at '")),
    ] {
        let Some(start) = text.find(from).map(|at| at + from.len()) else { continue };
        let end = to.and_then(|to| text.rfind(to)).filter(|end| *end >= start);
        text.replace_range(start..end.unwrap_or(text.len()), "(not shown)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dynamodb_repeats_of_an_item_is_not_shown() {
        for (message, shown) in [
            (
                "The parameter cannot be converted to a numeric value: 4711x",
                "The parameter cannot be converted to a numeric value: (not shown)",
            ),
            (
                "One or more parameter values were invalid: Input collection [a' at 'b, secret] contains duplicates.",
                "One or more parameter values were invalid: Input collection (not shown) contains duplicates.",
            ),
            (
                "1 validation error detected: Value 'it's secret' at 'item' failed to satisfy constraint",
                "1 validation error detected: Value '(not shown)' at 'item' failed to satisfy constraint",
            ),
            ("Value 'secret", "Value '(not shown)"),
            (
                "Item size has exceeded the maximum allowed size",
                "Item size has exceeded the maximum allowed size",
            ),
        ] {
            assert_eq!(without_values(message), shown);
        }
    }
}
