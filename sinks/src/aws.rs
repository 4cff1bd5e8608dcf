//! What is counted about calls of AWS. Recorded through the `metrics` facade: nothing happens where nobody listens.
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef},
        },
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::{ConfigBag, Layer, Storable, StoreReplace};
use metrics::{counter, histogram};
use std::time::Instant;

/// Takes the time of every call of a client: `dynamodb` or `s3`.
#[derive(Debug)]
pub struct Timed(pub &'static str);

#[derive(Debug)]
struct Begun(Instant);
impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Timed {
    fn name(&self) -> &'static str {
        "timed"
    }
    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut layer = Layer::new("timed");
        layer.store_put(Begun(Instant::now()));
        cfg.push_layer(layer);
        Ok(())
    }
    fn read_after_execution(
        &self,
        _: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(begun), Some(call)) = (cfg.load::<Begun>(), cfg.load::<Metadata>()) {
            let operation = call.name().to_owned();
            histogram!("cdc_aws_request_duration_seconds", "api" => self.0, "operation" => operation)
                .record(begun.0.elapsed());
        }
        Ok(())
    }
}

/// Names that AWS gives to being throttled.
const THROTTLES: [&str; 12] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequests",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "BandwidthLimitExceeded",
    "SlowDown",
];

pub fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

/// A call that failed, and what is done about it.
pub fn count_error(api: &'static str, operation: &str, code: Option<&str>, class: &'static str) {
    let operation = operation.to_owned();
    let labels = [("api", api.to_owned()), ("operation", operation), ("class", class.to_owned())];
    counter!("cdc_aws_request_errors_total", &labels).increment(1);
    if code.is_some_and(is_throttle) {
        counter!("cdc_aws_throttles_total", "api" => api).increment(1);
    }
}
