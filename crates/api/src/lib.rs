//! λ the customer's side: what their own backend asks for (`/api/…`), and the pages a browser sees (`/payment/billing/…`).
//!
//! | routes | who may call | in |
//! | --- | --- | --- |
//! | `POST /api/portone/charge`, `/api/billing/…` | the customer's own backend, signed with IAM | [`backend`] |
//! | `GET /payment/billing/{register,success,failure}` | any browser that has a signed address | [`browser`] |
//! | `GET /health` | anyone | here |
//!
//! API Gateway checks the signature; that it did is checked again here, so that a route which lost its authorizer answers nobody.

pub mod backend;
pub mod browser;
pub mod pages;
pub mod refusal;
pub mod token;

mod answer;
mod call;
mod view;

use crate::call::Call;
use crate::pages::Site;
use crate::refusal::Refusal;
use billing_aws::config::Checkout;
use billing_aws::secrets::{CheckoutSecrets, ReadSecret};
use billing_flows::Billing;
use billing_flows::ports::{Clock, Gateway, Queue, Store, Telemetry};
use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use std::time::Duration;

/// Everything the function has.
#[derive(Debug)]
pub struct Desk<S, G, C, T, Q, R, D> {
    /// The use cases.
    pub billing: Billing<S, G, C, T>,
    /// To the workers.
    pub queue: Q,
    /// What addresses of pages are signed with.
    pub secrets: CheckoutSecrets<R, D>,
    /// How methods are registered.
    pub checkout: Checkout,
    /// Whose pages they are.
    pub site: Site,
}

/// How long a request is worked on before its end is called unknown: API Gateway's 30 s, less what reading and answering take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// Answers one request. A charge, a change, a refund or a registration that is not decided when `patience` ends, after [`ANSWER_WITHIN`],
/// is answered as one whose end nobody knows.
pub async fn handle<S, G, C, T, Q, R, D>(
    desk: &Desk<S, G, C, T, Q, R, D>,
    request: Request,
    patience: impl Future<Output = ()>,
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
    let call = Call::of(&request);
    if call.path().starts_with("/payment/") {
        return Box::pin(desk.page(&call, patience)).await;
    }
    let answered = match (call.method(), call.path()) {
        (&Method::GET, "/health") => Ok(health(&desk.checkout)),
        (_, "/health") => Err(Refusal::method("GET")),
        _ => Box::pin(desk.backend(&call, patience)).await,
    };
    answered.unwrap_or_else(|refusal| refusal.answer(call.request_id()))
}

/// What is ready before the patience ends. What is not is dropped: what it began is durable.
pub(crate) async fn within<F: Future>(patience: impl Future<Output = ()>, work: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = Box::pin(work) => Some(done),
        () = patience => None,
    }
}

/// That it runs, and what it is built and configured for; nothing secret. The start of a function fails if its configuration is not whole.
fn health(checkout: &Checkout) -> Response<Body> {
    let (card, paypal) = (checkout.card.is_some(), checkout.paypal_channel_key.is_some());
    let version = match option_env!("BILLING_COMMIT") {
        Some(commit) => concat!(env!("CARGO_PKG_VERSION"), "+").to_owned() + commit,
        None => env!("CARGO_PKG_VERSION").to_owned(),
    };
    answer::json(200, &serde_json::json!({ "status": "ok", "version": version, "card": card, "paypal": paypal }))
}
