//! λ planner: a tick of EventBridge Scheduler starts a run; a message to itself carries one on.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use billing_core::Timestamp;
use billing_flows::FlowError;
use billing_flows::plan_run::{Planned, plan_run, plan_shard};
use billing_flows::ports::{PlanMessage, Queue, Store, Telemetry};
use billing_flows::stop::is_stopped;
use serde::{Deserialize, Serialize};

/// What invokes the planner.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum PlannerEvent {
    /// A tick. The schedule's input carries `<aws.scheduler.scheduled-time>`, so that a repeated delivery is the same run.
    #[serde(rename_all = "camelCase")]
    Tick {
        /// When the run was scheduled for: the run's now.
        scheduled_time: Timestamp,
    },
    /// The rests of runs.
    Continue(SqsEvent),
}

/// What the planner answers: the runtime shows it, SQS reads it.
#[derive(Debug, Default, Serialize)]
pub struct PlannerAnswer {
    /// The continuations that are to be delivered again.
    #[serde(flatten)]
    pub batch: SqsBatchResponse,
    /// Whether a tick planned nothing because an operator has stopped collecting. SQS is told what it knows and no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// Plans. A tick that fails is delivered again by the Scheduler; a continuation by SQS. While collecting is stopped nothing is planned, and the
/// rests of runs are dropped: what is due stays due. One `GetItem` more for each invocation.
pub async fn handle<S: Store, Q: Queue, T: Telemetry>(
    store: &S,
    queue: &Q,
    telemetry: &T,
    event: PlannerEvent,
    is_late: impl Fn() -> bool,
) -> Result<PlannerAnswer, FlowError> {
    let mut answer = PlannerAnswer::default();
    if is_stopped(store, telemetry, "planner").await? {
        tracing::warn!("collecting is stopped: nothing is planned");
        answer.stopped = matches!(event, PlannerEvent::Tick { .. });
        return Ok(answer);
    }
    match event {
        PlannerEvent::Tick { scheduled_time } => {
            let planned = plan_run(store, queue, telemetry, scheduled_time, &is_late).await?;
            log(scheduled_time, planned);
        }
        PlannerEvent::Continue(batch) => {
            for record in batch.records {
                let id = record.message_id.unwrap_or_default();
                let body = record.body.unwrap_or_default();
                let planned = match crate::message::<PlanMessage>(&body) {
                    Ok(message) => {
                        plan_shard(store, queue, telemetry, message, &is_late).await.map_err(|e| e.to_string())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = planned {
                    tracing::error!(message_id = id, error, "a shard could not be planned; it will be delivered again");
                    answer.batch.add_failure(id);
                }
            }
        }
    }
    Ok(answer)
}

/// How much of its time limit a pass leaves unused: enough to send the rest of a shard to another pass.
const MARGIN_MS: i64 = 10_000;

/// Whether a pass that must end by `deadline` should hand its rest to another.
pub fn is_late(deadline: std::time::SystemTime, now: Timestamp) -> bool {
    let deadline = Timestamp::try_from(deadline).unwrap_or(Timestamp::MAX);
    deadline.as_millisecond().saturating_sub(now.as_millisecond()) < MARGIN_MS
}

fn log(now: Timestamp, planned: Planned) {
    tracing::info!(run = %now, due = planned.due, continued_shards = planned.continued, "the run is planned");
}
