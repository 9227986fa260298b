//! λ `POST /api/portone/billing-webhook`: verify, parse, hand to [`Billing::receive_webhook`], answer.
//!
//! | answer | when | what `PortOne` does |
//! | --- | --- | --- |
//! | 200 | settled, known already, unknown type, unknown payment | nothing more |
//! | 400 | wrong content type, not an event, a known type without its data | delivers again, up to five times |
//! | 401 | a header is missing or doubled, no signature matches, the timestamp is off by more than 300 s | the same |
//! | 413 | a body no event of `PortOne`'s comes near | the same |
//! | 500 | trouble on our side or `PortOne`'s that may pass | the same, which is what is wanted |
//!
//! `PortOne` stores and shows what is answered, so an answer holds one word and nothing else.

use billing_aws::secrets::{ReadSecret, SecretError, WebhookSecrets};
use billing_core::billing_key::BillingKey;
use billing_core::id::{PaymentId, StoreId};
use billing_flows::clean;
use billing_flows::ports::{Clock, Gateway, Queue, Signal, Store, Telemetry};
use billing_flows::receive_webhook::{Hint, KeyHint, PaymentHint, Received, Webhook};
use billing_flows::{Billing, FlowError};
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderValue, StatusCode};
use lambda_http::{Body, Request, Response};
use portone::webhook::{self as signed, BillingKeyEvent, Event, EventKind, TransactionEvent, WebhookHeaders};

/// The largest body that is looked at. The events of `PortOne` hold ids only and stay under 1 KB; this leaves room for fields to come.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Why a webhook is not answered 200.
#[derive(Debug)]
enum Refusal {
    TooLarge,
    WrongContentType,
    BadSignature(signed::VerifyError),
    NotAnEvent(signed::ParseError),
    NoSecrets(SecretError),
    Flow(FlowError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongContentType | Self::NotAnEvent(_) => StatusCode::BAD_REQUEST,
            Self::BadSignature(_) => StatusCode::UNAUTHORIZED,
            Self::NoSecrets(_) | Self::Flow(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::WrongContentType => "wrong_content_type",
            Self::BadSignature(_) => "bad_signature",
            Self::NotAnEvent(_) => "not_an_event",
            Self::NoSecrets(_) => "no_secrets",
            Self::Flow(_) => "try_again",
        }
    }
}

/// Answers one request.
pub async fn handle<S, G, C, T, Q, R, D>(
    billing: &Billing<S, G, C, T>,
    queue: &Q,
    secrets: &WebhookSecrets<R, D>,
    request: Request,
) -> Response<Body>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
    Q: Queue,
    R: ReadSecret,
    D: Clock,
{
    match receive(billing, queue, secrets, &request).await {
        Ok(name) => answer(StatusCode::OK, name),
        Err(refusal) => {
            match &refusal {
                Refusal::Flow(error) => {
                    tracing::error!(%error, "a webhook could not be settled; PortOne will deliver it again");
                }
                Refusal::NoSecrets(error) => tracing::error!(%error, "the webhook secrets could not be read"),
                Refusal::BadSignature(error) => tracing::warn!(%error, "a webhook was refused"),
                Refusal::NotAnEvent(error) => tracing::warn!(%error, "a webhook was refused"),
                Refusal::TooLarge | Refusal::WrongContentType => {
                    tracing::warn!(reason = refusal.name(), "a webhook was refused");
                }
            }
            billing.telemetry.signal(Signal::Webhook { result: refusal.name() });
            answer(refusal.status(), refusal.name())
        }
    }
}

async fn receive<S, G, C, T, Q, R, D>(
    billing: &Billing<S, G, C, T>,
    queue: &Q,
    secrets: &WebhookSecrets<R, D>,
    request: &Request,
) -> Result<&'static str, Refusal>
where
    S: Store,
    G: Gateway,
    C: Clock,
    T: Telemetry,
    Q: Queue,
    R: ReadSecret,
    D: Clock,
{
    let body = request.body().as_ref();
    if body.len() > MAX_BODY_BYTES {
        return Err(Refusal::TooLarge);
    }
    let verified = verify(secrets, request, body, billing.clock.now()).await?;
    if !is_json(request) {
        return Err(Refusal::WrongContentType);
    }
    let event = verified.parse().map_err(Refusal::NotAnEvent)?;
    let Some(webhook) = understand(verified.id(), event, &billing.settings.store_id) else { return Ok("ignored") };
    if let Hint::Unknown { kind } = &webhook.hint {
        tracing::info!(kind = clean::code(kind).unwrap_or("(no word)"), "a webhook of an unknown type");
    }
    billing.receive_webhook(queue, &webhook).await.map(Received::name).map_err(Refusal::Flow)
}

async fn verify<'a, R: ReadSecret, D: Clock>(
    secrets: &WebhookSecrets<R, D>,
    request: &'a Request,
    body: &'a [u8],
    now: jiff::Timestamp,
) -> Result<signed::VerifiedWebhook<'a>, Refusal> {
    let all = request.headers();
    let headers = WebhookHeaders::from_values(|name| all.get_all(name).into_iter().map(HeaderValue::as_bytes));
    let headers = headers.map_err(Refusal::BadSignature)?;
    let (known, text) = secrets.get().await.map_err(Refusal::NoSecrets)?;
    let refused = match signed::verify(&known, &headers, body, now) {
        Ok(verified) => return Ok(verified),
        Err(error) => error,
    };
    if refused != signed::VerifyError::NoMatchingSignature {
        return Err(Refusal::BadSignature(refused));
    }
    // The secret may have been replaced since it was read.
    match secrets.other_than(&text).await.map_err(Refusal::NoSecrets)? {
        Some(fresh) => signed::verify(&fresh, &headers, body, now).map_err(Refusal::BadSignature),
        None => Err(Refusal::BadSignature(refused)),
    }
}

/// `PortOne` sends `application/json` and nothing else in webhook version 2024-04-25.
fn is_json(request: &Request) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json")
}

/// The event in billing's words; `None` if it is about another store.
fn understand(id: &str, event: Event, store: &StoreId) -> Option<Webhook> {
    let (of_store, hint) = match event.kind {
        EventKind::Transaction { what, payment_id, store_id, .. } => {
            let payment_id = PaymentId::new(payment_id.as_str()).ok();
            let hint = payment_id.map(|payment_id| Hint::Payment { what: payment_hint(what), payment_id });
            (Some(store_id), hint)
        }
        EventKind::BillingKey { what, billing_key, store_id } => {
            let billing_key = BillingKey::new(billing_key.expose());
            (Some(store_id), Some(Hint::Key { what: key_hint(what), billing_key }))
        }
        EventKind::Other { kind } => (None, Some(Hint::Unknown { kind })),
    };
    if of_store.is_some_and(|of_store| of_store.as_str() != store.as_str()) {
        return None;
    }
    // An event without a time is the same event on every delivery all the same.
    let at = event.timestamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    hint.map(|hint| Webhook { id: id.to_owned(), at, hint })
}

fn payment_hint(what: TransactionEvent) -> PaymentHint {
    match what {
        TransactionEvent::Paid => PaymentHint::Paid,
        TransactionEvent::Failed => PaymentHint::Failed,
        TransactionEvent::PayPending => PaymentHint::Pending,
        TransactionEvent::Cancelled | TransactionEvent::PartialCancelled => PaymentHint::Cancelled,
        TransactionEvent::DisputeCreated | TransactionEvent::DisputeResolved => PaymentHint::Dispute,
        TransactionEvent::Ready
        | TransactionEvent::VirtualAccountIssued
        | TransactionEvent::CancelPending
        | TransactionEvent::Confirm => PaymentHint::Other,
    }
}

fn key_hint(what: BillingKeyEvent) -> KeyHint {
    match what {
        BillingKeyEvent::Issued | BillingKeyEvent::Updated => KeyHint::Issued,
        BillingKeyEvent::Deleted => KeyHint::Deleted,
        BillingKeyEvent::Ready | BillingKeyEvent::Failed => KeyHint::Other,
    }
}

fn answer(status: StatusCode, result: &str) -> Response<Body> {
    let body = serde_json::json!({ "result": result }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
