//! λ reconciler: asks `PortOne` about everything left open, hourly; compares yesterday's books with `PortOne`'s, nightly.

use billing_core::Timestamp;
use billing_core::calendar;
use billing_flows::ports::{Clock, Gateway, Store, Telemetry};
use billing_flows::reconcile::Reconciled;
use billing_flows::{Billing, FlowError};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What invokes the reconciler: the input of one of its two schedules.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconcilerEvent {
    /// Which pass.
    pub task: Task,
    /// When it was scheduled for (`<aws.scheduler.scheduled-time>`).
    pub scheduled_time: Timestamp,
}

/// The reconciler's passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Ask about invoices whose last attempt's end is not known.
    Hourly,
    /// Compare the day that is over, in Seoul, with `PortOne`'s payments, both ways.
    Nightly,
}

/// What a pass came to, as the runtime shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// How many payments `PortOne` was asked about.
    pub asked: u64,
    /// How many of them were settled by it.
    pub settled: u64,
    /// How many differences only a person can settle.
    pub differences: u64,
    /// How many could not be dealt with.
    pub failed: u64,
    /// Whether the pass ran out of time.
    pub unfinished: bool,
}

/// Runs a pass. One that fails is delivered again by the Scheduler, and what it has settled stays settled.
pub async fn handle<S, G, C, T>(
    billing: &Billing<S, G, C, T>,
    event: &ReconcilerEvent,
    is_late: impl Fn() -> bool + Sync,
) -> Result<Answer, FlowError>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
{
    let Reconciled { asked, settled, differences, failed, unfinished } = match event.task {
        Task::Hourly => billing.reconcile(event.scheduled_time, is_late).await?,
        Task::Nightly => {
            let (from, until) = day_before(event.scheduled_time);
            billing.compare(from, until).await?
        }
    };
    tracing::info!(task = ?event.task, asked, settled, differences, failed, unfinished, "reconciled");
    Ok(Answer { asked, settled, differences, failed, unfinished })
}

/// How much of its time limit a pass leaves unused: more than `PortOne` may take to answer what is under way.
const MARGIN_MS: i64 = 70_000;

/// Whether a pass that must end by `deadline` should stop; the next one begins again.
pub fn is_late(deadline: std::time::SystemTime, now: Timestamp) -> bool {
    let deadline = Timestamp::try_from(deadline).unwrap_or(Timestamp::MAX);
    deadline.as_millisecond().saturating_sub(now.as_millisecond()) < MARGIN_MS
}

/// The civil day in Seoul before the one `at` lies in, from midnight to midnight.
fn day_before(at: Timestamp) -> (Timestamp, Timestamp) {
    let until = calendar::moment(calendar::date_at(at), 0);
    (until.checked_sub(SignedDuration::from_hours(24)).unwrap_or(until), until)
}
