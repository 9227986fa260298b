//! The `Queue` on SQS.

use crate::config::Queues;
use crate::sdk::describe;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use billing_flows::ports::{CollectMessage, MAX_BATCH, MAX_DELAY, PlanMessage, Queue, QueueError};
use jiff::SignedDuration;

/// The queues of one stack. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    queues: Queues,
}

const COLLECT: &str = "collect";
const PLAN: &str = "plan";

impl SqsQueue {
    /// Queues over a client and their URLs.
    pub fn new(client: Client, queues: Queues) -> Self {
        Self { client, queues }
    }

    /// Opens the connection: asks for an attribute and ignores the answer, a refusal included.
    pub async fn warm_up(&self) {
        drop(self.client.get_queue_attributes().queue_url(&self.queues.collect_url).send().await);
    }
}

fn failed(queue: &'static str) -> impl Fn(String) -> QueueError {
    move |detail| QueueError { queue, detail }
}

impl Queue for SqsQueue {
    async fn send_collect(&self, messages: &[CollectMessage]) -> Result<(), QueueError> {
        let failed = failed(COLLECT);
        if messages.is_empty() {
            return Ok(());
        }
        if messages.len() > MAX_BATCH {
            return Err(failed(format!("{} messages are more than a batch takes", messages.len())));
        }
        let entries: Result<Vec<_>, String> = messages
            .iter()
            .enumerate()
            .map(|(i, message)| {
                let body = serde_json::to_string(message).map_err(|error| error.to_string())?;
                let entry = SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(body);
                entry.build().map_err(|error| error.to_string())
            })
            .collect();
        let request = self.client.send_message_batch().queue_url(&self.queues.collect_url);
        let answer = request.set_entries(Some(entries.map_err(&failed)?)).send().await;
        let answer = answer.map_err(|error| failed(describe(&error)))?;
        if answer.failed().is_empty() {
            return Ok(());
        }
        let mut codes: Vec<&str> = answer.failed().iter().map(BatchResultErrorEntry::code).collect();
        codes.sort_unstable();
        codes.dedup();
        Err(failed(format!(
            "{} of {} messages were not taken: {}",
            answer.failed().len(),
            messages.len(),
            codes.join(", ")
        )))
    }

    async fn send_collect_later(&self, message: &CollectMessage, wait: SignedDuration) -> Result<(), QueueError> {
        let failed = failed(COLLECT);
        let body = serde_json::to_string(message).map_err(|error| failed(error.to_string()))?;
        let delay = Some(wait).filter(|wait| *wait <= MAX_DELAY).and_then(|wait| i32::try_from(wait.as_secs()).ok());
        let delay = delay.ok_or_else(|| failed(format!("a wait of {wait:#} is longer than a queue holds back")))?;
        let request = self.client.send_message().queue_url(&self.queues.collect_url).message_body(body);
        let answer = request.delay_seconds(delay).send().await;
        answer.map(|_| ()).map_err(|error| failed(describe(&error)))
    }

    async fn send_plan(&self, message: &PlanMessage) -> Result<(), QueueError> {
        let failed = failed(PLAN);
        let body = serde_json::to_string(message).map_err(|error| failed(error.to_string()))?;
        let request = self.client.send_message().queue_url(&self.queues.plan_url).message_body(body);
        request.send().await.map(|_| ()).map_err(|error| failed(describe(&error)))
    }
}
