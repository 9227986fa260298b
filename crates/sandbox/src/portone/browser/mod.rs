//! What stands in for `PortOne`'s browser SDK: the script, and the window it opens.
//!
//! The script is served where the CDN has it, `/v2/browser-sdk.js`, and gives the page the same global `PortOne` with
//! `requestIssueBillingKey`, `loadIssueBillingKeyUI` and `updateLoadIssueBillingKeyUIRequest`. All else is below `/sandbox/window`, which is
//! no path of `PortOne`'s: the script sends the page's request to `open`, which checks it ([`request`]) and remembers it as a window
//! ([`window`]); the window's own page shows the form, and tells `{id}/end` how it is to end.
//!
//! A page needs the simulator's origin in its policy's `script-src`, `connect-src` and `frame-src`, and nothing else: the script sets
//! styles through the CSSOM alone, and evaluates nothing.
//!
//! # For a driver of a browser
//!
//! | where | selector | what |
//! | --- | --- | --- |
//! | the merchant's page | `#portone-sandbox-overlay`, in it `#portone-sandbox-frame` | the overlay, and its `iframe`, while a window is open |
//! | | `#portone-sandbox-paypal` | `PayPal`'s button, in `.portone-ui-container` |
//! | the window, in the `iframe` or as the whole page | `#window[data-ready=true]` | the form can be used |
//! | | `#card-number`, `#card-expiry` | pre-filled; they are not sent anywhere |
//! | | `#ending` | a `select`: `approve`, `approve_unheard`, `decline`, `error` |
//! | | `#reason` | of `decline`: one of [`REASONS`](super::REASONS), or a PG's own code |
//! | | `#behavior` | what the key does when it is charged: a [`Behavior`](super::Behavior) as text |
//! | | `#submit`, `#cancel`, `#close` | end it as chosen; cancel; close the window (`Escape` does, too). A whole page has no `#close`: leave it |
//! | | `#error` | why the window could not end so |
//! | | `#done` | what is said when nothing more happens by itself: after `approve_unheard`, or in a window that had ended before |
//!
//! `approve_unheard` is the customer whose browser dies after the key was issued: the page is not told, and there is no redirect. Which of
//! webhook and page comes first is arranged by rules of faults on the operation `issue`: `webhook_before_answer`, `webhook_late`,
//! `webhook_lost`.

mod channels;
mod request;
mod window;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PortOne;
use super::refusal::Refusal;

pub(crate) use self::window::{Window, Windows};

/// The longest body that a page or a window may send. A request is a page of text; `customData` is the only field without a natural end.
const MAX_BODY_BYTES: usize = 64 * 1024;

const SCRIPT: &str = include_str!("browser-sdk.js");
const PAGE: &str = include_str!("window.html");
const PAGE_SCRIPT: &str = include_str!("window.js");
const PAGE_STYLE: &str = include_str!("window.css");

/// The window's own policy. Any page may frame it, as any page may load the script.
const PAGE_POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'";

pub(crate) fn router() -> Router<PortOne> {
    Router::new()
        .route("/v2/browser-sdk.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/sandbox/window/window.js", get(async || file("text/javascript; charset=utf-8", PAGE_SCRIPT)))
        .route("/sandbox/window/window.css", get(async || file("text/css; charset=utf-8", PAGE_STYLE)))
        .route("/sandbox/window/open", post(open).options(preflight))
        .route("/sandbox/window/{id}", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/sandbox/window/{id}/view", get(view))
        .route("/sandbox/window/{id}/end", post(end))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// Why something is not done, in the words of the browser SDK's errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    code: &'static str,
    message: String,
}

impl Problem {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new("BadRequest", message)
    }

    fn status(&self) -> StatusCode {
        match self.code {
            "ChannelNotFound" | "StoreNotFound" | "NotFound" => StatusCode::NOT_FOUND,
            "UnknownError" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status(), axum::Json(self)).into_response()
    }
}

/// The journal cannot be written.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new("UnknownError", refusal.message())
    }
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}

fn parsed<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let too_long = |_| Problem::bad(format!("the body has more than {MAX_BODY_BYTES} bytes, or broke off"));
    let body = body.map_err(too_long)?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad(format!("the request does not fit: {error}")))
}

/// Any page may open a window, so any page may read the answer.
const ANY_ORIGIN: (HeaderName, &str) = (ACCESS_CONTROL_ALLOW_ORIGIN, "*");

async fn preflight() -> impl IntoResponse {
    let allow = [ANY_ORIGIN, (ACCESS_CONTROL_ALLOW_METHODS, "POST"), (ACCESS_CONTROL_ALLOW_HEADERS, "content-type")];
    (StatusCode::NO_CONTENT, allow)
}

async fn open(State(portone): State<PortOne>, body: Result<Bytes, BytesRejection>) -> impl IntoResponse {
    let opened = parsed(body).and_then(|input| portone.open_window(input)).map(axum::Json);
    ([ANY_ORIGIN], opened)
}

async fn view(State(portone): State<PortOne>, Path(id): Path<String>) -> Result<axum::Json<Value>, Problem> {
    portone.window_view(&id).map(axum::Json)
}

async fn end(
    State(portone): State<PortOne>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<axum::Json<Value>, Problem> {
    portone.end_window(&id, parsed(body)?).await.map(axum::Json)
}
