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
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// `DynamoDB` takes requests of 16 MB.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// The operations that can say what they used.
const METERED: [&str; 7] = ["BatchGetItem", "GetItem", "Query", "Scan", "PutItem", "UpdateItem", "TransactWriteItems"];

/// How many requests were made, by Lambda (the SDK's app name) and operation.
pub type Requests = BTreeMap<(String, String), u64>;

/// Request units, as DynamoDB bills them. An eventually consistent read of up to 4 KB is half a unit, so both are counted in halves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Half read units.
    pub half_reads: u64,
    /// Half write units, those of the indexes included.
    pub half_writes: u64,
}

/// The database's port.
#[derive(Debug, Clone)]
pub struct Dynamo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: String,
    client: reqwest::Client,
    events_table: String,
    is_rush: bool,
    state: Mutex<Counted>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counted {
    requests: Requests,
    units: BTreeMap<String, Units>,
    feed: VecDeque<Value>,
    sequence: u64,
}

impl Dynamo {
    /// Opens the database, in memory or on a file, and starts its engine on a port of its own that nobody else is told.
    pub async fn open(
        file: Option<&Path>,
        events_table: &str,
        changed: Arc<Notify>,
        is_rush: bool,
    ) -> anyhow::Result<Self> {
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
        Ok(Self(Arc::new(Inner { engine, client, events_table, is_rush, state: Mutex::default(), changed })))
    }

    /// The HTTP API that everyone uses.
    pub fn router(&self) -> Router {
        Router::new().fallback(forward).with_state(self.clone())
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> Requests {
        self.lock().requests.clone()
    }

    /// How many units were used so far, by Lambda. What a refused write used is not in its answer, and not counted.
    pub fn units(&self) -> BTreeMap<String, Units> {
        self.lock().units.clone()
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

    fn count(&self, app: &str, operation: &str) {
        *self.lock().requests.entry((app.to_owned(), operation.to_owned())).or_default() += 1;
    }

    fn count_units(&self, app: &str, operation: &str, answer: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Consumed>(answer) else { return };
        let halves = answer.consumed_capacity.halves();
        let mut state = self.lock();
        let units = state.units.entry(app.to_owned()).or_default();
        match operation {
            "GetItem" | "Query" | "Scan" | "BatchGetItem" => units.half_reads += halves,
            _ => units.half_writes += halves,
        }
    }
}

/// What an answer says of the capacity it has used.
#[derive(Deserialize)]
struct Consumed {
    #[serde(rename = "ConsumedCapacity")]
    consumed_capacity: Capacity,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Capacity {
    OfOne(TableUnits),
    OfSome(Vec<TableUnits>),
}

#[derive(Deserialize)]
struct TableUnits {
    #[serde(rename = "CapacityUnits")]
    units: f64,
}

impl Capacity {
    #[expect(clippy::float_arithmetic, reason = "DynamoDB states units with a fraction")]
    fn halves(&self) -> u64 {
        let units: f64 = match self {
            Self::OfOne(table) => table.units,
            Self::OfSome(tables) => tables.iter().map(|table| table.units).sum(),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count in steps of a half")]
        let halves = (units * 2.0).round() as u64;
        halves
    }
}

/// The same request, which also asks what it used. A body that is no object is passed on as it is, and refused there.
fn metered(body: &[u8]) -> Bytes {
    match body.trim_ascii_end().strip_suffix(b"}") {
        Some(open) if open.len() > 1 => [open, br#","ReturnConsumedCapacity":"TOTAL"}"#].concat().into(),
        _ => Bytes::copy_from_slice(body),
    }
}

/// The same request without the token that would make it idempotent.
fn without_token(body: &Bytes) -> Bytes {
    const BEGIN: &[u8] = b",\"ClientRequestToken\":\"";
    let Some(from) = body.windows(BEGIN.len()).position(|part| part == BEGIN) else { return body.clone() };
    let (before, rest) = body.split_at(from);
    match rest.iter().skip(BEGIN.len()).position(|byte| *byte == b'"') {
        Some(length) => [before, rest.get(BEGIN.len() + length + 1..).unwrap_or_default()].concat().into(),
        None => body.clone(),
    }
}

/// A query without a limit is given one that a page of 1 MB of our rows does not come to.
fn bounded(operation: &str, body: Bytes) -> Bytes {
    const LIMIT: &[u8] = b"\"Limit\":";
    if operation != "Query" || body.windows(LIMIT.len()).any(|part| part == LIMIT) {
        return body;
    }
    match body.trim_ascii_end().strip_suffix(b"}") {
        Some(open) if open.len() > 1 => [open, br#","Limit":5000}"#].concat().into(),
        _ => body,
    }
}

async fn forward(State(dynamo): State<Dynamo>, headers: HeaderMap, body: Bytes) -> Response {
    if body.len() > MAX_REQUEST_BYTES {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or("");
    let operation = target.rsplit('.').next().unwrap_or("").to_owned();
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    // Only our own clients are metered: others may ask for it themselves.
    let app = agent.split(' ').find_map(|part| part.strip_prefix("app/")).map(str::to_owned);
    dynamo.count(app.as_deref().unwrap_or("other"), &operation);
    let sent = if app.is_some() && METERED.contains(&operation.as_str()) { metered(&body) } else { body.clone() };
    let sent = if dynamo.0.is_rush { bounded(&operation, without_token(&sent)) } else { sent };
    let mut request = dynamo.0.client.post(&dynamo.0.engine).body(sent);
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
        if let Some(app) = app {
            dynamo.count_units(&app, &operation, &bytes);
        }
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
    fn a_request_is_asked_what_it_used_and_its_answer_counted() {
        assert_eq!(metered(br#"{"TableName":"t"} "#), br#"{"TableName":"t","ReturnConsumedCapacity":"TOTAL"}"#[..]);
        assert_eq!(metered(b"{}"), b"{}"[..]);
        for (answer, halves) in [
            (json!({ "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 0.5 } }), 1),
            (json!({ "ConsumedCapacity": [{ "CapacityUnits": 2.0 }, { "CapacityUnits": 4.0 }] }), 12),
        ] {
            let consumed: Consumed = serde_json::from_value(answer).unwrap();
            assert_eq!(consumed.consumed_capacity.halves(), halves);
        }
    }

    #[test]
    fn a_transaction_loses_its_token_and_nothing_else() {
        let of = |body: &'static str| without_token(&Bytes::from_static(body.as_bytes()));
        assert_eq!(
            of(r#"{"TransactItems":[],"ClientRequestToken":"a-1","Return":1}"#),
            r#"{"TransactItems":[],"Return":1}"#
        );
        assert_eq!(of(r#"{"TransactItems":[],"ClientRequestToken":"a-1"}"#), r#"{"TransactItems":[]}"#);
        assert_eq!(of(r#"{"TransactItems":[]}"#), r#"{"TransactItems":[]}"#);
    }

    #[test]
    fn a_query_that_says_no_limit_is_given_one() {
        let of = |operation, body: &'static str| bounded(operation, Bytes::from_static(body.as_bytes()));
        assert_eq!(of("Query", r#"{"TableName":"t"}"#), r#"{"TableName":"t","Limit":5000}"#);
        assert_eq!(of("Query", r#"{"TableName":"t","Limit":8}"#), r#"{"TableName":"t","Limit":8}"#);
        assert_eq!(of("GetItem", r#"{"TableName":"t"}"#), r#"{"TableName":"t"}"#);
    }

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
