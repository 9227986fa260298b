//! Queues that remember.

use super::{Fault, Faults, breathe, lock};
use crate::ports::{CollectMessage, MAX_BATCH, PlanMessage, Queue, QueueError};
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

    async fn send(
        &self,
        method: &'static str,
        queue: &'static str,
        messages: impl Iterator<Item = QueueMessage> + Send,
    ) -> Result<(), QueueError> {
        breathe().await;
        let fault = self.faults.take(method);
        if fault.is_applied() {
            lock(&self.messages).extend(messages);
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
        self.send("send_collect", "collect", messages.iter().cloned().map(QueueMessage::Collect)).await
    }

    async fn send_plan(&self, message: &PlanMessage) -> Result<(), QueueError> {
        self.send("send_plan", "plan", std::iter::once(QueueMessage::Plan(message.clone()))).await
    }
}
