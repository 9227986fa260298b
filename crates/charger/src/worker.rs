//! λ worker: collects what a batch of messages names, all at once, and reports each message's fate on its own.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use billing_core::subscription::{Subscription, SubscriptionKey};
use billing_flows::ports::{Clock, CollectMessage, Gateway, Queue, Store, Telemetry};
use billing_flows::stop::is_stopped;
use billing_flows::{Billing, FlowError};
use futures::FutureExt;
use futures::future::{join_all, ready};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most messages that a worker gets at once, as long as nothing else is said: the default of the template's `WorkerBatch`.
///
/// A batch's charges leave one after the other, at `ChargesPerSecond`, and the worker waits for its last answer before it takes the next: the
/// longer they leave, the less of the allowance that wait costs. But a charge waits for its turn for 20 s at most (`MAX_WAIT` of `pace.rs`), and
/// when `PortOne` says that it is too much, the pace is halved. Five times `ChargesPerSecond` is what leaves within 5.2 s then, within 10.4 s at
/// half of the pace, and but for a twenty-fifth within 20 s at a quarter of it. `ChargesPerSecond` is 10, if nothing else is said.
pub const BATCH: usize = 50;

/// How long a message waits that `PortOne`'s allowance has no room for.
const LATER: SignedDuration = SignedDuration::from_mins(2);

/// Collects a batch, all of it at once: at `PortOne` its charges leave one after the other ([`Gateway::charge`]).
///
/// A message whose body is not ours, whose work failed, or whose work panicked is reported as failed and delivered again; after the queue's
/// last delivery it is kept in the dead-letter queue, under an alarm. Those that would wait too long for their turn at `PortOne`
/// ([`Gateway::room`]) are sent again to come later, unbegun; so are not those that have begun when `PortOne` slows down: their end is asked
/// about. Once `PortOne` has refused our credentials, what has not begun is given back, and what waits for its turn is not sent.
///
/// While an operator has stopped collecting, messages are dropped untouched: what they are about stays due, and the first run after that plans
/// it. Whether it is so is read once for the batch (one `GetItem`); if it cannot be read, all are given back. What the batch is about is read
/// together ([`Store::subscriptions`]); what that does not bring, each message reads alone.
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
    let with_message = |record: SqsMessage| {
        let message = crate::message(record.body.as_deref().unwrap_or_default());
        (record.message_id.unwrap_or_default(), message)
    };
    let mut messages: Vec<(String, Result<CollectMessage, String>)> =
        batch.records.into_iter().map(with_message).collect();
    let rest = messages.split_off(billing.gateway.room().min(messages.len()));
    if !rest.is_empty() {
        tracing::warn!(messages = rest.len(), "PortOne's allowance has no room for more: messages come again later");
    }
    let back = rest.into_iter().map(|(id, message)| put_off(queue, id, message));
    for id in join_all(back).await.into_iter().flatten() {
        answer.add_failure(id);
    }
    let stopped = AtomicBool::new(false);
    let keys = messages.iter().filter_map(|(_, message)| message.as_ref().ok()).map(CollectMessage::key);
    let mut read = read(billing, keys.collect()).await;
    // Not `join_all`: that polls all of them whenever one can go on.
    let fates: FuturesUnordered<_> = (messages.into_iter())
        .map(|(id, message)| {
            let stopped = &stopped;
            // Of two messages about the same subscription, one has to read it again.
            let read = message.as_ref().ok().and_then(|message| read.remove(&message.key()));
            async move {
                let work = AssertUnwindSafe(collect(billing, queue, message, read, stopped)).catch_unwind().await;
                let failure = match work {
                    Ok(Ok(())) => return None,
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

/// Sends a message again, unbegun, to come later. To fail it would count against its deliveries, and as long as `PortOne` is slow a part of every
/// batch is put off. Answers with the record's id if it is to be delivered again instead: it is not ours, or cannot be sent.
async fn put_off<Q: Queue>(queue: &Q, id: String, message: Result<CollectMessage, String>) -> Option<String> {
    let failure = match message {
        Ok(message) => match queue.send_collect_later(&message, LATER).await {
            Ok(()) => return None,
            Err(error) => error.to_string(),
        },
        Err(error) => error,
    };
    tracing::error!(message_id = id, error = failure, "a message could not be put off; it will be delivered again");
    Some(id)
}

/// The subscriptions that one request brings. If it fails, each message finds out for itself, and fails or not on its own.
async fn read<S, G, C, T>(
    billing: &Billing<S, G, C, T>,
    keys: BTreeSet<SubscriptionKey>,
) -> BTreeMap<SubscriptionKey, Subscription>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
{
    let failure = match AssertUnwindSafe(billing.store.subscriptions(&keys)).catch_unwind().await {
        Ok(Ok(read)) => return read.into_iter().map(|subscription| (subscription.key.clone(), subscription)).collect(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    tracing::warn!(error = failure, "a batch's subscriptions could not be read together; each is read alone");
    BTreeMap::new()
}

async fn collect<S, G, C, T, Q>(
    billing: &Billing<S, G, C, T>,
    queue: &Q,
    message: Result<CollectMessage, String>,
    read: Option<Subscription>,
    stopped: &AtomicBool,
) -> Result<(), String>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
    Q: Queue,
{
    let message = message?;
    if stopped.load(Ordering::Relaxed) {
        return Err("the run is stopped: PortOne refused our credentials".to_owned());
    }
    match billing.collect(queue, &message, read).await {
        Ok(collected) => {
            tracing::info!(run = message.run, subscription_id = %message.subscription_id, ?collected, "collected");
            Ok(())
        }
        Err(error) => {
            if matches!(error, FlowError::Unauthorized(_)) {
                stopped.store(true, Ordering::Relaxed);
            }
            Err(error.to_string())
        }
    }
}
