//! The events that functions are given: those of `events/`, about other customers and payments.

use crate::clock;
use lambda_tests::sandbox::root;
use serde_json::{Value, json};

/// How many messages a batch has. `template.yaml` has SQS hand over more: with these, a batch is a measure of ten charges.
pub(crate) const BATCH: usize = 10;

/// An event that is ready to be given.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) event: Value,
    /// What the right answer holds.
    pub(crate) right: Right,
}

/// The right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// An HTTP answer with that status, and that result.
    Http(u16, &'static str),
    /// A batch with no failure.
    NoFailure,
}

impl Right {
    /// Whether an answer is it.
    pub(crate) fn is(self, answer: &Value) -> bool {
        match self {
            Self::Http(status, result) => {
                let body = answer["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
                answer["statusCode"] == status && body.is_some_and(|body| body["result"] == result)
            }
            Self::NoFailure => *answer == json!({ "batchItemFailures": [] }),
        }
    }
}

/// Makes events.
pub(crate) struct Events {
    webhook: Value,
    forged: Value,
    batch: Value,
    signer: standardwebhooks::Webhook,
    store: String,
    sent: u32,
}

fn file(name: &str) -> Value {
    let text = std::fs::read_to_string(root().join("events").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

impl Events {
    /// For a sandbox's store, signed with its secret.
    pub(crate) fn new(store: &str, webhook_secret: &str) -> Self {
        Self {
            webhook: file("webhook/paid.json"),
            forged: file("webhook/forged.json"),
            batch: file("worker/batch-with-poison.json"),
            signer: standardwebhooks::Webhook::new(webhook_secret).unwrap(),
            store: store.to_owned(),
            sent: 0,
        }
    }

    /// `PortOne` tells, now, that a payment is paid.
    pub(crate) fn paid(&mut self, payment_id: &str, transaction_id: &str) -> Value {
        self.sent += 1;
        let mut event = self.webhook.clone();
        let mut body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        body["data"] = json!({ "paymentId": payment_id, "storeId": self.store, "transactionId": transaction_id });
        let body = body.to_string();
        let now = clock::now().as_second();
        let id = format!("webhook-{:08}", self.sent);
        let headers = &mut event["headers"];
        headers["webhook-signature"] = self.signer.sign(&id, now, body.as_bytes()).unwrap().into();
        headers["webhook-timestamp"] = now.to_string().into();
        headers["content-length"] = body.len().to_string().into();
        headers["webhook-id"] = id.into();
        event["body"] = body.into();
        event
    }

    /// Somebody without the key tells it.
    pub(crate) fn forged(&self) -> Value {
        let mut event = self.forged.clone();
        event["headers"]["webhook-timestamp"] = clock::now().as_second().to_string().into();
        event
    }

    /// The planner's messages about customers, in batches.
    pub(crate) fn batches(&self, customers: &[(String, String)]) -> Vec<Value> {
        let of = |customers: &[(String, String)]| {
            let records = customers.iter().enumerate().map(|(number, (user, subscription))| {
                let mut record = self.batch["Records"][0].clone();
                let mut message: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
                message["userId"] = user.as_str().into();
                message["subscriptionId"] = subscription.as_str().into();
                record["body"] = message.to_string().into();
                record["messageId"] = format!("2e1424d4-f796-459a-8184-9c92662be6{number:02}").into();
                record
            });
            json!({ "Records": records.collect::<Vec<_>>() })
        };
        customers.chunks(BATCH).map(of).collect()
    }
}
