//! The control API: the clock, customers, faults, and a look at everything the stack has written.

use crate::customers::{self, NewCustomers};
use crate::stack::Stack;
use crate::tally::Run;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use billing_core::calendar::Period;
use billing_flows::ports::{Stop, Store};
use jiff::{Span, Timestamp, Zoned};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Control requests are small; a bulk of customers is described, not listed.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How far the clock may be moved at once: two years hold every rule there is.
const MAX_ADVANCE_DAYS: i32 = 732;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Something a caller of the control API got wrong, or that broke.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

type Answer = Result<Json<Value>, Refusal>;

/// The routes.
pub fn router(stack: Stack) -> Router {
    Router::new()
        .route("/api/clock", get(clock).post(move_clock))
        .route("/api/environment", get(environment))
        .route("/api/customers", post(create_customers))
        .route("/api/portone/faults", get(faults).post(set_faults))
        .route("/api/portone/ledger", get(ledger))
        .route("/api/portone/webhook-url", post(set_webhook_url))
        .route("/api/portone/refunds", post(refund))
        .route("/api/portone/pending", post(settle_pending))
        .route("/api/emails", get(emails))
        .route("/api/subscriptions", get(subscriptions))
        .route("/api/invoices", get(invoices))
        .route("/api/events", get(events))
        .route("/api/books", get(books))
        .route("/api/queues", get(queues))
        .route("/api/controls", get(controls).post(set_controls))
        .route("/api/triggers/{name}", post(trigger))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(stack)
}

/// What a function that runs elsewhere has in its environment.
async fn environment(State(stack): State<Stack>) -> Json<Value> {
    Json(json!(stack.environment))
}

fn shown(at: Timestamp) -> String {
    at.to_zoned(billing_core::calendar::seoul()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

async fn clock(State(stack): State<Stack>) -> Json<Value> {
    Json(json!({ "now": shown(stack.clock.now()) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Move {
    advance_to: Option<String>,
    advance: Option<String>,
}

async fn move_clock(State(stack): State<Stack>, body: String) -> Answer {
    let wish: Move = read(&body)?;
    let now = stack.clock.now();
    let target = match (wish.advance_to, wish.advance) {
        (Some(to), None) => parse_moment(&to)?,
        (None, Some(by)) => {
            let span: Span = by.parse().map_err(|e| bad(format!("advance {by:?} is not an ISO 8601 duration: {e}")))?;
            let zoned: Zoned = now.to_zoned(billing_core::calendar::seoul());
            zoned.checked_add(span).map_err(|e| bad(format!("advance {by:?} cannot be added: {e}")))?.timestamp()
        }
        _ => return Err(bad("give either advanceTo (a moment) or advance (a duration such as P1D)")),
    };
    if target < now {
        return Err(bad(format!("the clock moves forward only; it is {}", shown(now))));
    }
    if target.duration_since(now).as_hours() > i64::from(MAX_ADVANCE_DAYS) * 24 {
        return Err(bad(format!("the clock moves at most {MAX_ADVANCE_DAYS} days at once")));
    }
    let before = stack.tally.counts().runs;
    stack.engine.advance_to(target, |_| ()).await?;
    Ok(Json(json!({ "now": shown(stack.clock.now()), "runs": new_runs(&stack, &before) })))
}

fn parse_moment(text: &str) -> Result<Timestamp, Refusal> {
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<Zoned>().map(|zoned| zoned.timestamp()))
        .map_err(|e| bad(format!("{text:?} is not a moment such as 2026-12-01T10:00:00+09:00: {e}")))
}

/// The runs that are new since, and what became of earlier ones' messages that were delivered again.
fn new_runs(stack: &Stack, before: &std::collections::BTreeMap<String, Run>) -> Vec<Run> {
    let runs = stack.tally.counts().runs;
    runs.into_iter().filter(|(id, run)| before.get(id) != Some(run)).map(|(_, run)| run).collect()
}

async fn trigger(State(stack): State<Stack>, Path(name): Path<String>) -> Answer {
    let before = stack.tally.counts().runs;
    let now = match name.as_str() {
        "planner" => stack.engine.plan_now().await?,
        "reconciler" => stack.engine.reconcile_now().await?,
        _ => return Err(Refusal(StatusCode::NOT_FOUND, "the triggers are planner and reconciler".into())),
    };
    Ok(Json(json!({ "now": shown(now), "runs": new_runs(&stack, &before) })))
}

async fn create_customers(State(stack): State<Stack>, body: String) -> Answer {
    let wish: NewCustomers = read(&body)?;
    let made = customers::create(&stack, &wish).await.map_err(|error| match error {
        customers::CreateError::Wrong(message) => bad(message),
        customers::CreateError::Broken(error) => error.into(),
    })?;
    stack.engine.come_to_rest().await?;
    Ok(Json(json!({ "customers": made })))
}

async fn faults(State(stack): State<Stack>) -> Answer {
    Ok(Json(serde_json::to_value(stack.portone.faults()).map_err(anyhow::Error::from)?))
}

async fn set_faults(State(stack): State<Stack>, body: String) -> Answer {
    let now = stack.portone.request_faults(&read::<Value>(&body)?).map_err(|error| bad(format!("{error:#}")))?;
    Ok(Json(serde_json::to_value(now).map_err(anyhow::Error::from)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookUrl {
    url: String,
}

/// As it is set in `PortOne`'s console.
async fn set_webhook_url(State(stack): State<Stack>, body: String) -> Answer {
    let WebhookUrl { url } = read(&body)?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(bad("url begins with http:// or https://"));
    }
    stack.portone.set_webhook_url(url);
    Ok(Json(json!({})))
}

async fn ledger(State(stack): State<Stack>) -> Answer {
    Ok(Json(serde_json::to_value(stack.portone.ledger()).map_err(anyhow::Error::from)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Refund {
    payment_id: String,
    amount: Option<i64>,
    #[serde(default)]
    chargeback: bool,
}

async fn refund(State(stack): State<Stack>, body: String) -> Answer {
    let wish: Refund = read(&body)?;
    let done = if wish.chargeback {
        stack.portone.chargeback(&wish.payment_id)
    } else {
        stack.portone.refund_in_console(&wish.payment_id, wish.amount)
    };
    let cancellation = done.map_err(|error| bad(format!("{error:#}")))?;
    stack.engine.come_to_rest().await?;
    Ok(Json(json!({ "cancellationId": cancellation })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pending {
    payment_id: String,
    approve: bool,
}

async fn settle_pending(State(stack): State<Stack>, body: String) -> Answer {
    let wish: Pending = read(&body)?;
    stack.portone.settle_pending(&wish.payment_id, wish.approve).map_err(|error| bad(format!("{error:#}")))?;
    stack.engine.come_to_rest().await?;
    Ok(Json(json!({})))
}

async fn queues(State(stack): State<Stack>) -> Json<Value> {
    let (waiting, dead) = stack.queues.depth();
    Json(json!({ "waiting": waiting, "deadLetters": dead }))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Collecting {
    Running,
    Stopped,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controls {
    collecting: Collecting,
    #[serde(default)]
    reason: String,
}

async fn controls(State(stack): State<Stack>) -> Answer {
    Ok(Json(match stack.console.store.stopped().await.map_err(anyhow::Error::from)? {
        Some(stop) => json!({ "collecting": "stopped", "reason": stop.reason }),
        None => json!({ "collecting": "running" }),
    }))
}

async fn set_controls(state: State<Stack>, body: String) -> Answer {
    let wish: Controls = read(&body)?;
    let stop = match wish.collecting {
        Collecting::Running => None,
        Collecting::Stopped => Some(Stop { reason: wish.reason }),
    };
    state.console.store.order(stop.as_ref(), state.clock.now()).await.map_err(anyhow::Error::from)?;
    controls(state).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listing {
    to: Option<String>,
    user_id: Option<String>,
    period: Option<String>,
    subject: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Listing {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }

    fn cursor<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, Refusal> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("the cursor is not one of ours"))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| bad("the cursor is not one of ours"))
    }
}

fn listed(name: &str, items: &Value, next: Option<Value>) -> Json<Value> {
    let cursor = next.map(|next| URL_SAFE_NO_PAD.encode(next.to_string()));
    Json(json!({ name: items, "cursor": cursor }))
}

async fn emails(State(stack): State<Stack>, Query(wish): Query<Listing>) -> Answer {
    let after = wish.cursor::<usize>()?.unwrap_or(0);
    let (emails, next) = stack.mailbox.list(wish.to.as_deref(), after, wish.limit());
    Ok(listed("emails", &json!(emails), next.map(|next| json!(next))))
}

async fn subscriptions(State(stack): State<Stack>, Query(wish): Query<Listing>) -> Answer {
    let table = &stack.tables.subscriptions;
    rows(&stack, "subscriptions", table, None, ("userId", wish.user_id.as_deref()), &wish).await
}

async fn invoices(State(stack): State<Stack>, Query(wish): Query<Listing>) -> Answer {
    let table = &stack.tables.invoices;
    match (&wish.user_id, &wish.period) {
        (Some(user), None) => rows(&stack, "invoices", table, Some("user-index"), ("userId", Some(user)), &wish).await,
        // The period's index holds what the books need; whole rows come from a scan, which a sandbox can afford.
        (None, Some(period)) => scan(&stack, "invoices", table, Some(("period", period)), &wish).await,
        (None, None) => scan(&stack, "invoices", table, None, &wish).await,
        (Some(_), Some(_)) => Err(bad("give userId or period, not both")),
    }
}

async fn events(State(stack): State<Stack>, Query(wish): Query<Listing>) -> Answer {
    rows(&stack, "events", &stack.tables.events, None, ("subject", wish.subject.as_deref()), &wish).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Month {
    month: String,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

/// The books of a month, as they stand now.
async fn books(State(stack): State<Stack>, Query(wish): Query<Month>) -> Result<Response, Refusal> {
    let month =
        Period::of_month(&wish.month).map_err(|_| bad(format!("{:?} is not a month such as 2026-12", wish.month)))?;
    let closing = stack.console.close(month).await.map_err(anyhow::Error::from)?;
    Ok(match wish.format {
        Format::Json => Json(closing).into_response(),
        Format::Text => closing.to_string().into_response(),
    })
}

type Row = HashMap<String, AttributeValue>;

async fn rows(
    stack: &Stack,
    name: &str,
    table: &str,
    index: Option<&str>,
    (key, value): (&str, Option<&str>),
    wish: &Listing,
) -> Answer {
    let Some(value) = value else { return scan(stack, name, table, None, wish).await };
    let page = stack
        .dynamodb
        .query()
        .table_name(table)
        .set_index_name(index.map(str::to_owned))
        .key_condition_expression("#k = :v")
        .expression_attribute_names("#k", key)
        .expression_attribute_values(":v", AttributeValue::S(value.to_owned()))
        .limit(i32::try_from(wish.limit()).unwrap_or(i32::MAX))
        .set_exclusive_start_key(start(wish)?)
        .send()
        .await
        .map_err(anyhow::Error::from)?;
    Ok(listed(name, &plain(page.items())?, page.last_evaluated_key().map(plain_row).transpose()?))
}

async fn scan(stack: &Stack, name: &str, table: &str, filter: Option<(&str, &str)>, wish: &Listing) -> Answer {
    let mut request = stack.dynamodb.scan().table_name(table).set_exclusive_start_key(start(wish)?);
    request = match filter {
        Some((key, value)) => request
            .filter_expression("#k = :v")
            .expression_attribute_names("#k", key)
            .expression_attribute_values(":v", AttributeValue::S(value.to_owned())),
        None => request,
    };
    let limit = i32::try_from(wish.limit()).unwrap_or(i32::MAX);
    let page = request.limit(limit).send().await.map_err(anyhow::Error::from)?;
    Ok(listed(name, &plain(page.items())?, page.last_evaluated_key().map(plain_row).transpose()?))
}

fn start(wish: &Listing) -> Result<Option<Row>, Refusal> {
    wish.cursor::<Value>()?
        .map(|key| serde_dynamo::to_item(key).map_err(|_| bad("the cursor is not one of ours")))
        .transpose()
}

fn plain(items: &[Row]) -> Result<Value, Refusal> {
    items.iter().map(plain_row).collect::<Result<Vec<Value>, Refusal>>().map(Value::from)
}

fn plain_row(row: &Row) -> Result<Value, Refusal> {
    Ok(serde_dynamo::from_item(row.clone()).map_err(anyhow::Error::from)?)
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Refusal> {
    serde_json::from_str(body).map_err(|error| bad(format!("the request's body cannot be read: {error}")))
}
