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

use billing_core::Timestamp;
use billing_flows::ports::{Clock, Signal, Telemetry};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::io::{self, Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The metrics' namespace, where none is configured.
pub const NAMESPACE: &str = "Billing";

/// Writes a line for each signal. Cheap to clone; clones share their writer.
#[derive(Debug)]
pub struct EmfTelemetry<C, W> {
    clock: C,
    namespace: Arc<str>,
    out: Arc<Mutex<Out<W>>>,
}

/// Where lines go, and the memory that each is put together in.
#[derive(Debug)]
struct Out<W> {
    writer: W,
    line: Vec<u8>,
}

impl<C: Clone, W> Clone for EmfTelemetry<C, W> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), namespace: Arc::clone(&self.namespace), out: Arc::clone(&self.out) }
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
        Self { clock, namespace: namespace.into(), out: Arc::new(Mutex::new(Out { writer, line: Vec::new() })) }
    }
}

impl<C: Clock, W: Write + Send> Telemetry for EmfTelemetry<C, W> {
    fn signal(&self, signal: Signal) {
        let now = self.clock.now();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A metric that cannot be written must not stop a charge.
        drop(out.write(&signal, &self.namespace, now));
    }
}

impl<W: Write> Out<W> {
    fn write(&mut self, signal: &Signal, namespace: &str, now: Timestamp) -> io::Result<()> {
        self.line.clear();
        let line = &mut self.line;
        told(signal, |metrics, fields| serde_json::to_writer(line, &Line { namespace, now, metrics, fields }))?;
        self.line.push(b'\n');
        self.writer.write_all(&self.line)?;
        self.writer.flush()
    }
}

/// Dimension sets, each of which a metric is counted under.
type Dimensions = &'static [&'static [&'static str]];

const TOTAL: Dimensions = &[&[]];

/// A number with a name, and what it is counted under.
struct Metric {
    name: &'static str,
    value: i64,
    unit: &'static str,
    dimensions: Dimensions,
}

/// What stands in a line beside its metrics: dimensions, and what caused it.
type Field<'a> = (&'static str, Said<'a>);

#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Text(&'a str),
    Number(u8),
}

fn count(name: &'static str, value: u64, dimensions: Dimensions) -> Metric {
    Metric { name, value: i64::try_from(value).unwrap_or(i64::MAX), unit: "Count", dimensions }
}

/// A line, as `CloudWatch` wants it:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
struct Line<'a> {
    namespace: &'a str,
    now: Timestamp,
    metrics: &'a [Metric],
    fields: &'a [Field<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: Dimensions,
    metrics: [Definition; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

/// The directives of a line.
struct Directives<'a>(&'a Line<'a>);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Head<'a> {
    timestamp: i64,
    cloud_watch_metrics: Directives<'a>,
}

impl Serialize for Directives<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Line { namespace, metrics, .. } = self.0;
        serializer.collect_seq(metrics.iter().map(|metric| Directive {
            namespace,
            dimensions: metric.dimensions,
            metrics: [Definition { name: metric.name, unit: metric.unit }],
        }))
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let timestamp = self.now.as_millisecond();
        map.serialize_entry("_aws", &Head { timestamp, cloud_watch_metrics: Directives(self) })?;
        self.metrics.iter().try_for_each(|metric| map.serialize_entry(metric.name, &metric.value))?;
        self.fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// What is told of a signal. It is handed on rather than answered, so that nothing is allocated for it.
fn told<T>(signal: &Signal, tell: impl FnOnce(&[Metric], &[Field<'_>]) -> T) -> T {
    use Said::{Number, Text};
    match signal {
        Signal::Charge { cause, outcome, amount } => {
            let fields =
                [("Outcome", Text(outcome)), ("cause", Text(cause)), ("Currency", Text(amount.currency().code()))];
            let charge = count("Charges", 1, &[&["Outcome"]]);
            if *outcome != "paid" {
                return tell(&[charge], &fields[..2]);
            }
            let paid = Metric { name: "PaidAmount", value: amount.minor(), unit: "None", dimensions: &[&["Currency"]] };
            tell(&[charge, paid], &fields)
        }
        Signal::Collected { run, result, skipped, asks } => {
            let collected = count("Collected", 1, &[&["Result"]]);
            match skipped {
                Some(why) => tell(
                    &[collected, count("Skipped", 1, &[&["Why"]])],
                    &[("Result", Text(result)), ("run", Text(run)), ("asks", Number(*asks)), ("Why", Text(why))],
                ),
                None => tell(&[collected], &[("Result", Text(result)), ("run", Text(run)), ("asks", Number(*asks))]),
            }
        }
        Signal::Planned { run, due, unfinished } => {
            let passes = count("UnfinishedPasses", u64::from(*unfinished), TOTAL);
            tell(&[count("Due", *due, TOTAL), passes], &[("run", Text(run))])
        }
        Signal::Stopped { who, reason } => {
            tell(&[count("Stopped", 1, TOTAL)], &[("function", Text(who)), ("reason", Text(reason))])
        }
        Signal::Webhook { result } => tell(&[count("Webhooks", 1, &[&["Result"]])], &[("Result", Text(result))]),
        Signal::Mail { kind, result } => {
            let mails = count("Mails", 1, &[&["Result"], &["Kind", "Result"]]);
            tell(&[mails], &[("Kind", Text(kind)), ("Result", Text(result))])
        }
        Signal::Event(kind) => {
            let events = count("Events", 1, &[&["Kind"]]);
            let fields = [("Kind", Text(kind.name()))];
            if kind.alarms() {
                tell(&[events, count("Alarms", 1, &[&[], &["Kind"]])], &fields)
            } else {
                tell(&[events], &fields)
            }
        }
        Signal::Reconciled { pass, asked, settled, differences, failed, unfinished } => {
            let metrics = [
                count("Asked", *asked, TOTAL),
                count("Settled", *settled, TOTAL),
                count("Unreconciled", *failed, TOTAL),
                count("CutShort", u64::from(*unfinished), TOTAL),
                count("Differences", differences.unwrap_or_default(), TOTAL),
            ];
            // An hourly pass compares nothing, and so says nothing of differences.
            let told = if differences.is_some() { &metrics[..] } else { &metrics[..4] };
            tell(told, &[("pass", Text(pass))])
        }
        Signal::LeftOver { not_attempted, unknown_for_long } => {
            let unknown = count("UnknownForLong", *unknown_for_long, TOTAL);
            tell(&[count("NotAttempted", *not_attempted, TOTAL), unknown], &[])
        }
        Signal::Closed { month, balanced, unsettled, parked } => {
            let metrics = [
                count("Unbalanced", u64::from(!balanced), TOTAL),
                count("Parked", *parked, TOTAL),
                count("Unsettled", *unsettled, TOTAL),
            ];
            tell(&metrics, &[("month", Text(month))])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing_core::event::EventKind;
    use billing_core::money::{Currency, Money};
    use serde_json::Value;

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
        let out = telemetry.out.lock().unwrap();
        String::from_utf8(out.writer.clone()).unwrap()
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
        let line: Value = serde_json::from_slice(&telemetry.out.lock().unwrap().writer).unwrap();
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
