//! Signals as metrics: one line of `CloudWatch`'s embedded metric format each, which Lambda's log turns into metrics by itself.
//!
//! | metric | unit | dimensions | is |
//! | --- | --- | --- | --- |
//! | `Charges` | count | `Outcome` | attempts that ended so |
//! | `PaidAmount` | minor units | `Currency` | what was collected |
//! | `Collected` | count | `Result` | messages a worker dealt with, by the invoice's status then |
//! | `Skipped` | count | `Why` | those of them that needed nothing |
//! | `Due` | count | none | subscriptions a planner's pass handed over |
//! | `UnfinishedPasses` | count | none | passes that left a rest to another |
//! | `Stopped` | count | none | invocations that planned or charged nothing because an operator has stopped collecting |
//! | `Webhooks` | count | `Result` | webhooks answered |
//! | `Mails` | count | `Result`; `Kind` and `Result` | mails sent, failed, refused |
//! | `Events` | count | `Kind` | events written down |
//! | `Alarms` | count | none; `Kind` | events that a person must look at |
//! | `Asked`, `Settled` | count | none | what a reconciler's pass asked about or compared, and settled |
//! | `Unreconciled` | count | none | what a reconciler's pass could not deal with |
//! | `CutShort` | count | none | reconciler's passes that ran out of time |
//! | `Differences` | count | none | what a nightly pass found that only a person can settle |
//! | `NotAttempted` | count | none | what fell due before the morning's run and was not attempted a quarter of an hour later |
//! | `UnknownForLong` | count | none | attempts of more than an hour ago whose end could not be found out |
//! | `Unbalanced` | count | none | closings of a month whose books do not balance |
//! | `Parked` | count | none | a month's invoices that wait for a person |
//! | `Unsettled` | count | none | a month's invoices that are not decided for good, the parked among them |
//!
//! `PortOneLatency` (milliseconds, by `Operation`) and `PortOneErrors` (count, by `Type`) are not written here: `infra/watch.yaml` has
//! `CloudWatch` count them from the lines that the gateway logs.
//!
//! The dimensions are few and closed: none names a customer, a payment or a run. What caused a line is in it, beside the metrics.

use billing_core::event::EventKind;
use billing_core::money::Money;
use billing_flows::ports::{Clock, Signal, Telemetry};
use serde_json::{Map, Value, json};
use std::io::{Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The metrics' namespace, where none is configured.
pub const NAMESPACE: &str = "Billing";

/// Writes a line for each signal. Cheap to clone; clones share their writer.
#[derive(Debug)]
pub struct EmfTelemetry<C, W> {
    clock: C,
    namespace: Arc<str>,
    writer: Arc<Mutex<W>>,
}

impl<C: Clone, W> Clone for EmfTelemetry<C, W> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), namespace: Arc::clone(&self.namespace), writer: Arc::clone(&self.writer) }
    }
}

impl<C> EmfTelemetry<C, Stdout> {
    /// Writes where Lambda reads logs.
    pub fn stdout(clock: C, namespace: &str) -> Self {
        Self::new(clock, namespace, std::io::stdout())
    }
}

impl<C, W> EmfTelemetry<C, W> {
    /// Writes to a writer.
    pub fn new(clock: C, namespace: &str, writer: W) -> Self {
        Self { clock, namespace: namespace.into(), writer: Arc::new(Mutex::new(writer)) }
    }
}

impl<C: Clock, W: Write + Send> Telemetry for EmfTelemetry<C, W> {
    fn signal(&self, signal: Signal) {
        let line = line(signal, &self.namespace, self.clock.now().as_millisecond());
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A metric that cannot be written must not stop a charge.
        drop(writeln!(writer, "{line}").and_then(|()| writer.flush()));
    }
}

/// Dimension sets, each of which a metric is counted under.
type Dimensions = &'static [&'static [&'static str]];

const TOTAL: Dimensions = &[&[]];

/// A line in the making.
struct Line {
    directives: Vec<Value>,
    fields: Map<String, Value>,
}

impl Line {
    fn new() -> Self {
        Self { directives: Vec::new(), fields: Map::new() }
    }

    fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn metric(
        mut self,
        name: &'static str,
        value: impl Into<Value>,
        unit: &'static str,
        dimensions: Dimensions,
    ) -> Self {
        self.directives.push(json!({
            "Dimensions": dimensions,
            "Metrics": [{ "Name": name, "Unit": unit }],
        }));
        self.field(name, value)
    }

    fn count(self, name: &'static str, value: impl Into<Value>, dimensions: Dimensions) -> Self {
        self.metric(name, value, "Count", dimensions)
    }

    fn text(self, namespace: &str, now_ms: i64) -> String {
        let Self { mut directives, mut fields } = self;
        for directive in directives.iter_mut().filter_map(Value::as_object_mut) {
            directive.insert("Namespace".to_owned(), namespace.into());
        }
        fields.insert("_aws".to_owned(), json!({ "Timestamp": now_ms, "CloudWatchMetrics": directives }));
        Value::Object(fields).to_string()
    }
}

fn line(signal: Signal, namespace: &str, now_ms: i64) -> String {
    let line = match signal {
        Signal::Charge { cause, outcome, amount } => charge(cause, outcome, amount),
        Signal::Collected { run, result, skipped, asks } => collected(run, result, skipped).field("asks", asks),
        Signal::Planned { run, due, unfinished } => Line::new()
            .count("Due", due, TOTAL)
            .count("UnfinishedPasses", u8::from(unfinished), TOTAL)
            .field("run", run),
        Signal::Stopped { who, reason } => {
            Line::new().count("Stopped", 1, TOTAL).field("function", who).field("reason", reason)
        }
        Signal::Webhook { result } => Line::new().count("Webhooks", 1, &[&["Result"]]).field("Result", result),
        Signal::Mail { kind, result } => Line::new()
            .count("Mails", 1, &[&["Result"], &["Kind", "Result"]])
            .field("Kind", kind)
            .field("Result", result),
        Signal::Event(kind) => event(kind),
        Signal::Reconciled { pass, asked, settled, differences, failed, unfinished } => {
            let line = Line::new()
                .count("Asked", asked, TOTAL)
                .count("Settled", settled, TOTAL)
                .count("Unreconciled", failed, TOTAL)
                .count("CutShort", u8::from(unfinished), TOTAL)
                .field("pass", pass);
            match differences {
                Some(differences) => line.count("Differences", differences, TOTAL),
                None => line,
            }
        }
        Signal::LeftOver { not_attempted, unknown_for_long } => {
            Line::new().count("NotAttempted", not_attempted, TOTAL).count("UnknownForLong", unknown_for_long, TOTAL)
        }
        Signal::Closed { month, balanced, unsettled, parked } => Line::new()
            .count("Unbalanced", u8::from(!balanced), TOTAL)
            .count("Parked", parked, TOTAL)
            .count("Unsettled", unsettled, TOTAL)
            .field("month", month),
    };
    line.text(namespace, now_ms)
}

fn charge(cause: String, outcome: &'static str, amount: Money) -> Line {
    let line = Line::new().count("Charges", 1, &[&["Outcome"]]).field("Outcome", outcome).field("cause", cause);
    if outcome == "paid" {
        let currency = amount.currency().code();
        line.metric("PaidAmount", amount.minor(), "None", &[&["Currency"]]).field("Currency", currency)
    } else {
        line
    }
}

fn collected(run: String, result: &'static str, skipped: Option<&'static str>) -> Line {
    let line = Line::new().count("Collected", 1, &[&["Result"]]).field("Result", result).field("run", run);
    match skipped {
        Some(why) => line.count("Skipped", 1, &[&["Why"]]).field("Why", why),
        None => line,
    }
}

fn event(kind: EventKind) -> Line {
    let line = Line::new().count("Events", 1, &[&["Kind"]]).field("Kind", kind.name());
    if kind.alarms() { line.count("Alarms", 1, &[&[], &["Kind"]]) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing_core::Timestamp;
    use billing_core::money::Currency;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millisecond(1_796_086_800_000).unwrap()
        }
    }

    fn lines(signals: Vec<Signal>) -> String {
        let telemetry = EmfTelemetry::new(Fixed, NAMESPACE, Vec::new());
        for signal in signals {
            telemetry.signal(signal);
        }
        let written = telemetry.writer.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn every_signal_is_a_line_that_cloudwatch_reads() {
        let amount = Money::new(30_000, Currency::Krw).unwrap();
        let cause = || "run:2026-12-01T01:00:00Z".to_owned();
        insta::assert_snapshot!(lines(vec![
            Signal::Charge { cause: cause(), outcome: "paid", amount },
            Signal::Charge { cause: cause(), outcome: "declined", amount },
            Signal::Collected { run: "2026-12-01T01:00:00Z".to_owned(), result: "paid", skipped: None, asks: 0 },
            Signal::Collected {
                run: "2026-12-01T01:00:00Z".to_owned(),
                result: "skipped",
                skipped: Some("not due"),
                asks: 1
            },
            Signal::Planned { run: "2026-12-01T01:00:00Z".to_owned(), due: 1_000, unfinished: true },
            Signal::Stopped { who: "worker", reason: "the PG is ill".to_owned() },
            Signal::Webhook { result: "settled" },
            Signal::Mail { kind: "receipt", result: "sent" },
            Signal::Event(EventKind::InvoicePaid),
            Signal::Event(EventKind::BooksDiffer),
            Signal::Reconciled { pass: "hourly", asked: 3, settled: 2, differences: None, failed: 1, unfinished: true },
            Signal::Reconciled {
                pass: "nightly",
                asked: 3,
                settled: 2,
                differences: Some(1),
                failed: 0,
                unfinished: false,
            },
            Signal::LeftOver { not_attempted: 3, unknown_for_long: 1 },
            Signal::Closed { month: "2026-12".to_owned(), balanced: false, unsettled: 2, parked: 1 },
        ]),);
    }

    #[test]
    fn a_line_names_the_namespace_that_it_is_written_under() {
        let telemetry = EmfTelemetry::new(Fixed, "Billing/billing-dev", Vec::new());
        telemetry.signal(Signal::Event(EventKind::BooksDiffer));
        let line: Value = serde_json::from_slice(&telemetry.writer.lock().unwrap()).unwrap();
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert!(directives.iter().all(|directive| directive["Namespace"] == "Billing/billing-dev"), "{line}");
    }

    #[test]
    fn every_dimension_and_metric_of_a_line_has_its_value_in_it() {
        let mut signals = EventKind::ALL.map(Signal::Event).to_vec();
        signals.push(Signal::Closed { month: "2026-12".to_owned(), balanced: true, unsettled: 0, parked: 0 });
        for line in lines(signals).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
                let dimensions =
                    directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap());
                assert!(dimensions.clone().all(|name| line[name.as_str().unwrap()].is_string()), "{line}");
                let metrics = directive["Metrics"].as_array().unwrap();
                assert!(metrics.iter().all(|metric| line[metric["Name"].as_str().unwrap()].is_number()), "{line}");
            }
        }
    }
}
