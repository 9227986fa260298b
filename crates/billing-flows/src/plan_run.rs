//! Plan a run: find everything that is due and hand it to the workers.
//!
//! A run is named by its scheduled time, which is also its now; so a tick delivered twice is the same run, and its messages find the work
//! done. What a pass has no time for goes on in another pass, shard by shard.

use crate::FlowError;
use crate::ports::{CollectMessage, Cursor, MAX_BATCH, PlanMessage, Queue, Signal, Store, Telemetry};
use billing_core::Timestamp;
use billing_core::subscription::DUE_SHARDS;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};

/// How many due subscriptions one query reads. Their keys are small: a page of 500 is far below DynamoDB's 1 MB.
pub const PAGE: u32 = 500;

/// How many message batches are on their way at once.
const SENDS_AT_ONCE: usize = 8;

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// How many subscriptions were handed over.
    pub due: u64,
    /// How many shards were left to another pass.
    pub continued: u64,
}

/// The name of the run that is scheduled at a moment.
pub fn run_id(scheduled: Timestamp) -> String {
    scheduled.to_string()
}

/// Plans every shard of the run scheduled at `now`, all at once. `is_late` tells that the pass is near its time limit.
pub async fn plan_run<S: Store, Q: Queue, T: Telemetry>(
    store: &S,
    queue: &Q,
    telemetry: &T,
    now: Timestamp,
    is_late: impl Fn() -> bool,
) -> Result<Planned, FlowError> {
    let run = run_id(now);
    let messages = (0..DUE_SHARDS).map(|shard| PlanMessage { run: run.clone(), now, shard, after: None });
    let shards = messages.map(|message| plan_shard(store, queue, telemetry, message, &is_late));
    let shards = try_join_all(shards).await?;
    Ok(Planned {
        due: shards.iter().map(|shard| shard.due).sum(),
        continued: shards.iter().map(|shard| shard.continued).sum(),
    })
}

/// Plans one shard from where a pass left it.
pub async fn plan_shard<S: Store, Q: Queue, T: Telemetry>(
    store: &S,
    queue: &Q,
    telemetry: &T,
    message: PlanMessage,
    is_late: impl Fn() -> bool,
) -> Result<Planned, FlowError> {
    let mut planned = Planned::default();
    let mut after: Option<Cursor> = message.after.clone();
    loop {
        if is_late() {
            queue.send_plan(&PlanMessage { after, ..message.clone() }).await?;
            planned.continued = 1;
            break;
        }
        let page = store.due(message.shard, message.now, after.as_ref(), PAGE).await?;
        let messages: Vec<CollectMessage> = page
            .items
            .into_iter()
            .map(|key| CollectMessage {
                run: message.run.clone(),
                now: message.now,
                user_id: key.user_id,
                subscription_id: key.id,
                asks: 0,
            })
            .collect();
        planned.due += messages.len() as u64;
        let sends: Vec<_> = messages.chunks(MAX_BATCH).map(|batch| queue.send_collect(batch)).collect();
        stream::iter(sends).buffer_unordered(SENDS_AT_ONCE).try_collect::<Vec<()>>().await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    telemetry.signal(Signal::Planned { run: message.run.clone(), due: planned.due, unfinished: planned.continued > 0 });
    Ok(planned)
}
