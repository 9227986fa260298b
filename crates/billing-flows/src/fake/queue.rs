//! Queues that remember.

use super::{Fault, Faults, breathe, lock};
use crate::ports::{CollectMessage, MAX_BATCH, MAX_DELAY, PlanMessage, Queue, QueueError};
use jiff::SignedDuration;
use std::sync::{Arc, Mutex};

/// A message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueMessage {
    /// To a worker.
    Collect(CollectMessage),
    /// To the planner.
    Plan(PlanMessage),
}

/// Both queues, in one order. Like SQS it takes 1 to 10 messages at a time.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue {
    messages: Arc<Mutex<Vec<QueueMessage>>>,
    held_back: Arc<Mutex<Vec<(CollectMessage, SignedDuration)>>>,
    faults: Faults,
}

impl MemoryQueue {
    /// Its failures and its counts of requests.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What is in it, oldest first.
    pub fn messages(&self) -> Vec<QueueMessage> {
        lock(&self.messages).clone()
    }

    /// Takes everything out of it, oldest first.
    pub fn drain(&self) -> Vec<QueueMessage> {
        std::mem::take(&mut *lock(&self.messages))
    }

    /// Takes out what was sent to arrive later, each with its wait: the queue knows no time, and delivers none of it by itself.
    pub fn take_held_back(&self) -> Vec<(CollectMessage, SignedDuration)> {
        std::mem::take(&mut *lock(&self.held_back))
    }

    async fn send(
        &self,
        method: &'static str,
        queue: &'static str,
        keep: impl FnOnce() + Send,
    ) -> Result<(), QueueError> {
        breathe().await;
        let fault = self.faults.take(method);
        if fault.is_applied() {
            keep();
        }
        breathe().await;
        if fault == Fault::None { Ok(()) } else { Err(QueueError { queue, detail: "a fault on order".to_owned() }) }
    }
}

impl Queue for MemoryQueue {
    async fn send_collect(&self, messages: &[CollectMessage]) -> Result<(), QueueError> {
        if messages.is_empty() || messages.len() > MAX_BATCH {
            return Err(QueueError { queue: "collect", detail: format!("a batch of {} messages", messages.len()) });
        }
        let kept = messages.iter().cloned().map(QueueMessage::Collect);
        self.send("send_collect", "collect", || lock(&self.messages).extend(kept)).await
    }

    async fn send_collect_later(&self, message: &CollectMessage, wait: SignedDuration) -> Result<(), QueueError> {
        if wait > MAX_DELAY || wait.is_negative() {
            return Err(QueueError { queue: "collect", detail: format!("a wait of {wait:#}") });
        }
        let kept = (message.clone(), wait);
        self.send("send_collect_later", "collect", || lock(&self.held_back).push(kept)).await
    }

    async fn send_plan(&self, message: &PlanMessage) -> Result<(), QueueError> {
        let kept = QueueMessage::Plan(message.clone());
        self.send("send_plan", "plan", || lock(&self.messages).push(kept)).await
    }
}
