//! λ worker: collects what a batch of messages names, all at once, and reports each message's fate on its own.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use billing_flows::collect::Collected;
use billing_flows::ports::{Clock, CollectMessage, Gateway, Queue, Store, Telemetry};
use billing_flows::stop::is_stopped;
use billing_flows::{Billing, FlowError};
use futures::FutureExt;
use futures::future::ready;
use futures::stream::{FuturesUnordered, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

/// Collects a batch. Batch size × the mapping's maximum concurrency is the number of charges `PortOne` gets at once: both are parameters of
/// the deployment.
///
/// A message whose body is not ours, whose work failed, or whose work panicked is reported as failed and delivered again; after the queue's
/// last delivery it is kept in the dead-letter queue, under an alarm. Once `PortOne` has refused our credentials, the messages of the batch
/// that have not begun are given back unbegun; and so are those that would wait too long for their turn at `PortOne` ([`Gateway::room`]). While an operator has stopped collecting, messages are dropped untouched: what they are about stays
/// due, and the first run after that plans it. Whether it is so is read once for the batch (one `GetItem`); if it cannot be read, all are given
/// back.
pub async fn handle<S, G, C, T, Q>(billing: &Billing<S, G, C, T>, queue: &Q, batch: SqsEvent) -> SqsBatchResponse
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
    Q: Queue,
{
    let mut answer = SqsBatchResponse::default();
    match is_stopped(&billing.store, &billing.telemetry, "worker").await {
        Ok(false) => {}
        Ok(true) => {
            tracing::warn!(messages = batch.records.len(), "collecting is stopped: messages are dropped, and stay due");
            return answer;
        }
        Err(error) => {
            tracing::error!(%error, "nobody knows whether collecting is stopped; the batch will be delivered again");
            for record in batch.records {
                answer.add_failure(record.message_id.unwrap_or_default());
            }
            return answer;
        }
    }
    let mut records = batch.records;
    let rest = records.split_off(billing.gateway.room().min(records.len()));
    if !rest.is_empty() {
        tracing::warn!(
            messages = rest.len(),
            "PortOne's allowance has no room for more: messages will be delivered again"
        );
    }
    for record in rest {
        answer.add_failure(record.message_id.unwrap_or_default());
    }
    let stopped = AtomicBool::new(false);
    // Not `join_all`: that polls all ten whenever one can go on.
    let fates: FuturesUnordered<_> = records
        .into_iter()
        .map(|record| {
            let stopped = &stopped;
            async move {
                let id = record.message_id.clone().unwrap_or_default();
                let work = AssertUnwindSafe(collect(billing, queue, &record, stopped)).catch_unwind().await;
                let failure = match work {
                    Ok(Ok(_)) => return None,
                    Ok(Err(error)) => error,
                    Err(_) => "it panicked".to_owned(),
                };
                tracing::error!(
                    message_id = id,
                    error = failure,
                    "a message could not be worked on; it will be delivered again"
                );
                Some(id)
            }
        })
        .collect();
    let mut failed = fates.filter_map(ready);
    while let Some(id) = failed.next().await {
        answer.add_failure(id);
    }
    answer
}

async fn collect<S, G, C, T, Q>(
    billing: &Billing<S, G, C, T>,
    queue: &Q,
    record: &SqsMessage,
    stopped: &AtomicBool,
) -> Result<Option<Collected>, String>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
    Q: Queue,
{
    let body = record.body.as_deref().unwrap_or_default();
    let message: CollectMessage = crate::message(body)?;
    if stopped.load(Ordering::Relaxed) {
        return Err("the run is stopped: PortOne refused our credentials".to_owned());
    }
    match billing.collect(queue, &message).await {
        Ok(collected) => {
            tracing::info!(run = message.run, subscription_id = %message.subscription_id, ?collected, "collected");
            Ok(Some(collected))
        }
        Err(error) => {
            if matches!(error, FlowError::Unauthorized(_)) {
                stopped.store(true, Ordering::Relaxed);
            }
            Err(error.to_string())
        }
    }
}
