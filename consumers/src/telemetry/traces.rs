//! A span for each batch, from when it was sent off until it was durable, linked with the traces that its records'
//! headers carry (W3C `traceparent`).
use crate::source::Record;
use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator,
    trace::{Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use sinks::{Batch, Partition};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, SystemTime},
};

/// Links of a span, at most; a batch may hold more traces than anybody looks at.
const LINKS_MAX: usize = 128;
/// Remembered for each partition until its records are durable.
const REMEMBERED_MAX: usize = 1_024;

pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    /// Of records read and not yet durable, by offset.
    seen: HashMap<Partition, VecDeque<(i64, SpanContext)>>,
}

impl Traces {
    /// `None`: nobody asked for them.
    pub fn from_env(service: &'static str, generation: u64) -> anyhow::Result<Option<Self>> {
        let attributes = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("cdc.generation", i64::try_from(generation).unwrap_or(i64::MAX)),
        ];
        let Some(provider) = serving::traces::from_env(service, attributes)? else {
            return Ok(None);
        };
        let tracer = provider.tracer("cdc-consumers");
        Ok(Some(Self {
            provider,
            tracer,
            propagator: TraceContextPropagator::new(),
            seen: HashMap::new(),
        }))
    }

    pub fn record(&mut self, record: &Record<'_>) {
        let headers = record.headers.0.list_with("trace");
        if headers.is_empty() {
            return;
        }
        let text = |(name, value): (String, Option<Vec<u8>>)| {
            Some((name, String::from_utf8(value?).ok()?))
        };
        let carrier: HashMap<String, String> = headers.into_iter().filter_map(text).collect();
        let context = self.propagator.extract(&carrier).span().span_context().clone();
        if context.is_valid() {
            let seen = self.seen.entry(record.partition.clone()).or_default();
            if seen.len() == REMEMBERED_MAX {
                seen.pop_front();
            }
            seen.push_back((record.offset, context));
        }
    }

    /// A try to make a batch durable is over.
    pub fn committed(&mut self, batch: &Batch, took: Duration, worked: bool) {
        let (start, end) = (batch.span.start, batch.span.end);
        let mut links = Vec::new();
        if let Some(seen) = self.seen.get_mut(&batch.partition) {
            let ours = |(offset, _): &&(i64, SpanContext)| (start..end).contains(offset);
            let contexts = seen.iter().filter(ours).map(|(_, context)| context.clone());
            links.extend(contexts.take(LINKS_MAX).map(Link::with_context));
            if worked {
                seen.retain(|(offset, _)| *offset >= end);
            }
        }
        let now = SystemTime::now();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut span = self
            .tracer
            .span_builder("commit")
            .with_kind(SpanKind::Consumer)
            .with_start_time(now.checked_sub(took).unwrap_or(now))
            .with_links(links)
            .with_attributes([
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.destination.name", batch.partition.topic.to_string()),
                KeyValue::new(
                    "messaging.destination.partition.id",
                    batch.partition.index.to_string(),
                ),
                KeyValue::new("cdc.offset.start", start),
                KeyValue::new("cdc.offset.end", end),
                KeyValue::new("cdc.writes", count(batch.writes.len())),
            ])
            .start(&self.tracer);
        if !worked {
            span.set_status(Status::error("tried again"));
        }
        span.end_with_timestamp(now);
    }

    /// Sends the spans that are still here.
    pub fn finish(&self) {
        serving::traces::finish(&self.provider);
    }
}
