//! The embedded DynamoDB: `dynoxide` (`SQLite` inside) behind a port that counts, and that feeds the notifier.
//!
//! Two things are honest substitutes and are said so here. `dynoxide` emulates no throttling, no transaction conflicts and no stale reads.
//! And it has streams, but every write to a table with one gets slower as records pile up; so the Events table has none, and the stream's
//! records are made from the rows that were committed through this port: the same JSON, in the order of the commits. Records that a killed
//! process had not delivered yet are made again, when it restarts, from the rows that carry no mail mark.

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// `DynamoDB` takes requests of 16 MB.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// How many requests were made, by Lambda (the SDK's app name) and operation.
pub type Requests = BTreeMap<(String, String), u64>;

/// The database's port.
#[derive(Debug, Clone)]
pub struct Dynamo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: String,
    client: reqwest::Client,
    events_table: String,
    state: Mutex<Counted>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counted {
    requests: Requests,
    feed: VecDeque<Value>,
    sequence: u64,
}

impl Dynamo {
    /// Opens the database, in memory or on a file, and starts its engine on a port of its own that nobody else is told.
    pub async fn open(file: Option<&Path>, events_table: &str, changed: Arc<Notify>) -> anyhow::Result<Self> {
        let database = match file {
            Some(path) => {
                let path = path.to_str().context("the data directory's path is not UTF-8")?;
                Database::new(path).map_err(|error| anyhow::anyhow!("cannot open {path}: {error}"))?
            }
            None => Database::memory().map_err(|error| anyhow::anyhow!("cannot open the database: {error}"))?,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let engine = format!("http://{}", listener.local_addr()?);
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let client = reqwest::Client::builder().no_proxy().build()?;
        let events_table = events_table.to_owned();
        Ok(Self(Arc::new(Inner { engine, client, events_table, state: Mutex::default(), changed })))
    }

    /// The HTTP API that everyone uses.
    pub fn router(&self) -> Router {
        Router::new().fallback(forward).with_state(self.clone())
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> Requests {
        self.lock().requests.clone()
    }

    /// Takes up to `max` stream records, oldest first.
    pub fn take_records(&self, max: usize) -> Vec<Value> {
        let mut state = self.lock();
        let count = max.min(state.feed.len());
        state.feed.drain(..count).collect()
    }

    /// Whether records wait.
    pub fn has_records(&self) -> bool {
        !self.lock().feed.is_empty()
    }

    /// Puts the image of a committed row in line for the notifier.
    pub fn feed(&self, image: &Value) {
        let mut state = self.lock();
        state.sequence += 1;
        let record = stream_record(state.sequence, image);
        state.feed.push_back(record);
        drop(state);
        self.0.changed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, headers: &HeaderMap, operation: &str) {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
        let app = agent.split(' ').find_map(|part| part.strip_prefix("app/")).unwrap_or("other");
        *self.lock().requests.entry((app.to_owned(), operation.to_owned())).or_default() += 1;
    }
}

async fn forward(State(dynamo): State<Dynamo>, headers: HeaderMap, body: Bytes) -> Response {
    if body.len() > MAX_REQUEST_BYTES {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or("");
    let operation = target.rsplit('.').next().unwrap_or("").to_owned();
    dynamo.count(&headers, &operation);
    let mut request = dynamo.0.client.post(&dynamo.0.engine).body(body.clone());
    for (name, value) in &headers {
        if name != header::HOST && name != header::CONTENT_LENGTH {
            request = request.header(name, value);
        }
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.without_url().to_string()).into_response(),
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = match answer.bytes().await {
        Ok(bytes) => bytes,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.without_url().to_string()).into_response(),
    };
    if status.is_success() {
        for image in new_events(&operation, &body, &dynamo.0.events_table) {
            dynamo.feed(&image);
        }
    }
    let mut response = (status, bytes).into_response();
    for (name, value) in &headers {
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The images of the rows that a committed request put into the Events table.
fn new_events(operation: &str, body: &[u8], events_table: &str) -> Vec<Value> {
    if !matches!(operation, "PutItem" | "TransactWriteItems") {
        return Vec::new();
    }
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let puts = match request.get_mut("TransactItems").and_then(Value::as_array_mut) {
        Some(actions) => actions.iter_mut().filter_map(|action| action.get_mut("Put").map(Value::take)).collect(),
        None => vec![request],
    };
    puts.into_iter()
        .filter(|put| put.get("TableName").and_then(Value::as_str) == Some(events_table))
        .filter_map(|mut put| put.get_mut("Item").map(Value::take))
        .collect()
}

/// A record as a stream of new images delivers it.
fn stream_record(sequence: u64, image: &Value) -> Value {
    let keys = json!({ "subject": image.get("subject"), "id": image.get("id") });
    let size = image.to_string().len();
    json!({
        "eventID": format!("sandbox-{sequence}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "ap-northeast-2",
        "dynamodb": {
            "ApproximateCreationDateTime": 0,
            "Keys": keys,
            "NewImage": image,
            "SequenceNumber": format!("{sequence:021}"),
            "SizeBytes": size,
            "StreamViewType": "NEW_IMAGE"
        },
        "eventSourceARN": "arn:aws:dynamodb:ap-northeast-2:000000000000:table/events/stream/2026-01-01T00:00:00.000"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_put_into_the_events_table_are_fed() {
        let body = json!({ "TransactItems": [
            { "Update": { "TableName": "invoices" } },
            { "Put": { "TableName": "events", "Item": { "subject": { "S": "a" } } } },
            { "Put": { "TableName": "keys", "Item": { "userId": { "S": "b" } } } },
        ] });
        let images = new_events("TransactWriteItems", body.to_string().as_bytes(), "events");
        assert_eq!(images, [json!({ "subject": { "S": "a" } })]);
        assert!(new_events("UpdateItem", body.to_string().as_bytes(), "events").is_empty());
    }
}
