//! λ reconciler: asks `PortOne` about everything left open, hourly; compares our books with `PortOne`'s, nightly; closes the books of a month.

use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_flows::close::Closing;
use billing_flows::ports::{Clock, Gateway, Store, Telemetry};
use billing_flows::reconcile::{NIGHTS, Reconciled};
use billing_flows::{Billing, FlowError};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// What invokes the reconciler: the input of one of its schedules, or a person's.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconcilerEvent {
    /// Which task.
    pub task: Task,
    /// When it was scheduled for (`<aws.scheduler.scheduled-time>`).
    pub scheduled_time: Timestamp,
    /// Whose books are closed, such as `2026-12`. Absent: those of each month that the nightly pass before it compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

/// A month, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month(pub Period);

impl TryFrom<String> for Month {
    type Error = calendar::BadPeriod;
    fn try_from(id: String) -> Result<Self, calendar::BadPeriod> {
        Period::of_month(&id).map(Self)
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.0.month_id()
    }
}

/// The reconciler's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Ask about invoices whose last attempt's end is not known.
    Hourly,
    /// Compare the days that are over, in Seoul, with `PortOne`'s payments, both ways.
    Nightly,
    /// Close the books of a month: add them up, and hold each line against `PortOne`'s.
    Close,
}

/// What a task came to, as the runtime shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What a pass came to.
    Pass(Reconciled),
    /// The books, by month.
    Books {
        /// Oldest first.
        books: Vec<Closing>,
    },
}

/// Does a task. One that fails is delivered again by the Scheduler, and what it has settled stays settled.
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
    let pass = match event.task {
        Task::Hourly => billing.reconcile(event.scheduled_time, is_late).await?,
        Task::Nightly => billing.nightly(event.scheduled_time, is_late).await?,
        Task::Close => {
            let months = event.month.map_or_else(|| months_compared(event.scheduled_time), |it| vec![it.0]);
            let mut books = Vec::new();
            for month in months {
                books.push(closed(billing, month).await?);
            }
            return Ok(Answer::Books { books });
        }
    };
    let Reconciled { asked, settled, differences, failed, unfinished } = pass;
    tracing::info!(task = ?event.task, asked, settled, differences, failed, unfinished, "reconciled");
    Ok(Answer::Pass(pass))
}

async fn closed<S, G, C, T>(billing: &Billing<S, G, C, T>, month: Period) -> Result<Closing, FlowError>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
{
    let closing = billing.close(month).await?;
    if closing.balanced {
        tracing::info!(month = closing.month, "closed:\n{closing}");
    } else {
        tracing::error!(month = closing.month, "the books do not balance:\n{closing}");
    }
    Ok(closing)
}

/// How much of its time limit a pass leaves unused: more than `PortOne` may take to answer what is under way.
const MARGIN_MS: i64 = 70_000;

/// Whether a pass that must end by `deadline` should stop; the next one begins again.
pub fn is_late(deadline: std::time::SystemTime, now: Timestamp) -> bool {
    let deadline = Timestamp::try_from(deadline).unwrap_or(Timestamp::MAX);
    deadline.as_millisecond().saturating_sub(now.as_millisecond()) < MARGIN_MS
}

/// The months of the days that a nightly pass compares in an ordinary night: one or two.
fn months_compared(at: Timestamp) -> Vec<Period> {
    let days_ago = |days: i64| {
        let before = at.checked_sub(SignedDuration::from_hours(24i64.saturating_mul(days)));
        Period::month_at(before.unwrap_or(at))
    };
    let mut months = vec![days_ago(NIGHTS), days_ago(1)];
    months.dedup();
    months
}
