//! Counts what the functions signal, where the deployed stack would have `CloudWatch` metrics.

use crate::clock::Clock;
use crate::usage::{Meter, Written};
use billing_aws::telemetry::EmfTelemetry;
use billing_core::calendar;
use billing_flows::ports::{Signal, Telemetry};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The counts. Clones are the same counts.
#[derive(Debug, Clone)]
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
    /// The deployed telemetry, whose lines are counted.
    emf: EmfTelemetry<Clock, Meter>,
    meter: Meter,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Runs by their id, with what became of each message.
    pub runs: BTreeMap<String, Run>,
    /// Attempts that ended so, by outcome.
    pub charges: BTreeMap<&'static str, u64>,
    /// Invocations that found collecting stopped, by function.
    pub stopped: BTreeMap<&'static str, u64>,
    /// Webhooks by what was done with them.
    pub webhooks: BTreeMap<&'static str, u64>,
    /// Mails by (notice, result).
    pub mails: BTreeMap<(&'static str, &'static str), u64>,
    /// Events by name.
    pub events: BTreeMap<&'static str, u64>,
    /// Events that raise an alarm, by name.
    pub alarms: BTreeMap<&'static str, u64>,
    /// Why messages were skipped.
    pub skipped: BTreeMap<&'static str, u64>,
    /// How many invoices the reconciler settled.
    pub reconciled: u64,
    /// How many differences its nightly passes found.
    pub differences: u64,
    /// How often the books of a month were closed and balanced, and how often they did not.
    pub closings: (u64, u64),
}

/// One planner's run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first day of the month it ran in.
    pub period: String,
    /// How many subscriptions it handed over.
    pub due: u64,
    /// How many of their invoices are paid now.
    pub paid: u64,
    /// How many were declined, given up, or refused.
    pub failed: u64,
    /// How many `PortOne` has accepted and not decided.
    pub pending: u64,
    /// How many ended nobody knows how.
    pub unknown: u64,
    /// How many needed nothing, or ended as their customer wished.
    pub skipped: u64,
}

impl Tally {
    /// Counts from nothing; with `metrics` it also writes each signal to standard error as the deployed functions write it to their logs.
    pub fn new(clock: Clock, metrics: bool) -> Self {
        let meter = Meter::new(metrics);
        Self { counts: Arc::default(), emf: EmfTelemetry::new(clock, "Billing", meter.clone()), meter }
    }

    /// What the signals would have written to `CloudWatch`.
    pub fn written(&self) -> Written {
        self.meter.written()
    }

    /// A copy of the counts.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Telemetry for Tally {
    fn signal(&self, signal: Signal) {
        self.emf.signal(signal.clone());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match signal {
            Signal::Charge { outcome, .. } => *counts.charges.entry(outcome).or_default() += 1,
            // A message that came back to ask was counted when it came first.
            Signal::Collected { asks: 1.., .. } | Signal::LeftOver { .. } => {}
            Signal::Collected { run, result, skipped, .. } => {
                if let Some(why) = skipped {
                    *counts.skipped.entry(why).or_default() += 1;
                }
                // What a webhook had tried at once belongs to no run.
                if run.parse::<Timestamp>().is_err() {
                    return;
                }
                let run = counts.runs.entry(run).or_default();
                match result {
                    "paid" | "partially_refunded" | "refunded" => run.paid += 1,
                    "pending" => run.pending += 1,
                    "unknown" | "charging" => run.unknown += 1,
                    "ended" | "skipped" | "void" => run.skipped += 1,
                    _ => run.failed += 1,
                }
            }
            Signal::Planned { run, due, .. } => {
                let period = run.parse::<Timestamp>().map(|at| calendar::date_at(at).first_of_month().to_string());
                let run = counts.runs.entry(run).or_default();
                run.period = period.unwrap_or_default();
                run.due += due;
            }
            Signal::Stopped { who, .. } => *counts.stopped.entry(who).or_default() += 1,
            Signal::Webhook { result } => *counts.webhooks.entry(result).or_default() += 1,
            Signal::Mail { kind, result } => *counts.mails.entry((kind, result)).or_default() += 1,
            Signal::Event(kind) => {
                *counts.events.entry(kind.name()).or_default() += 1;
                if kind.alarms() {
                    *counts.alarms.entry(kind.name()).or_default() += 1;
                }
            }
            Signal::Reconciled { settled, differences, .. } => {
                counts.reconciled += settled;
                counts.differences += differences.unwrap_or(0);
            }
            Signal::Closed { balanced: true, .. } => counts.closings.0 += 1,
            Signal::Closed { balanced: false, .. } => counts.closings.1 += 1,
        }
    }
}
