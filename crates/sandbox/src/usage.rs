//! What a stack has used of what costs something.

use crate::dynamodb::{Requests, Units};
use crate::stack::Stack;
use billing_core::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// What was used up to a moment.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Requests to DynamoDB, by function and operation.
    pub requests: Requests,
    /// Request units of DynamoDB, by function.
    pub units: BTreeMap<String, Units>,
    /// Calls to `PortOne`, by operation.
    pub calls: BTreeMap<String, u64>,
    /// Mails sent.
    pub mails: u64,
    /// Invocations, by function.
    pub invocations: BTreeMap<&'static str, u64>,
    /// Messages sent to queues.
    pub messages: u64,
    /// What the functions' signals wrote.
    pub written: Written,
}

impl Usage {
    /// What a stack has used so far.
    pub fn of(stack: &Stack) -> Self {
        Self {
            requests: stack.dynamo.requests(),
            units: stack.dynamo.units(),
            calls: stack.portone.calls(),
            mails: u64::try_from(stack.mailbox.count()).unwrap_or(u64::MAX),
            invocations: stack.lambda.invocations(),
            messages: stack.queues.sent(),
            written: stack.tally.written(),
        }
    }

    /// Calls to one of `PortOne`'s operations.
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or(0)
    }

    /// Requests to DynamoDB of one function.
    pub fn requests_of(&self, app: &str) -> u64 {
        self.requests.iter().filter(|((whose, _), _)| whose == app).map(|(_, count)| count).sum()
    }
}

/// What signals come to in `CloudWatch`: bytes of log, and hours of metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// How many bytes of log.
    pub bytes: u64,
    /// Each metric (name and values of its dimensions) with each hour in which it had data: a metric is paid for by the hour.
    pub metric_hours: BTreeSet<(String, i64)>,
}

/// Takes the lines that the deployed telemetry writes, and counts what they come to.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    written: Arc<Mutex<Written>>,
    shows: bool,
}

impl Meter {
    /// Counts from nothing; one that shows also passes each line on to standard error.
    pub fn new(shows: bool) -> Self {
        Self { written: Arc::default(), shows }
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Meter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.write_all(line)?;
        Ok(line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.shows {
            std::io::stderr().write_all(line)?;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.bytes = written.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        if let Ok(line) = serde_json::from_slice::<Line>(line) {
            let hour = line.aws.timestamp.as_second().div_euclid(3600);
            for directive in line.aws.metrics {
                for dimensions in directive.dimensions {
                    let values = dimensions.iter().filter_map(|name| line.fields.get(name));
                    let values: Vec<String> = values.map(ToString::to_string).collect();
                    for metric in &directive.metrics {
                        written.metric_hours.insert((format!("{} {}", metric.name, values.join(" ")), hour));
                    }
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A line of the embedded metric format, as far as it is counted.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "_aws")]
    aws: Aws,
    #[serde(flatten)]
    fields: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Aws {
    #[serde(rename = "Timestamp", deserialize_with = "milliseconds")]
    timestamp: Timestamp,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: Vec<Directive>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: String,
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let ms = i64::deserialize(from)?;
    Timestamp::from_millisecond(ms).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use billing_aws::telemetry::EmfTelemetry;
    use billing_flows::ports::{Signal, Telemetry};
    use jiff::SignedDuration;

    #[test]
    fn a_metric_is_counted_once_an_hour_and_a_byte_each_time() {
        let clock = Clock::frozen_at("2026-12-01T10:00:00+09:00".parse().unwrap());
        let meter = Meter::default();
        let telemetry = EmfTelemetry::new(clock.clone(), "Billing", meter.clone());
        for result in ["settled", "settled", "refused"] {
            telemetry.signal(Signal::Webhook { result });
        }
        let (first, bytes) = (meter.written().metric_hours.len(), meter.written().bytes);
        clock.advance_to(clock.now() + SignedDuration::from_hours(1));
        telemetry.signal(Signal::Webhook { result: "settled" });
        assert_eq!((first, meter.written().metric_hours.len()), (2, 3));
        assert!(meter.written().bytes > bytes);
    }
}
