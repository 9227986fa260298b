//! What is sent back, rightly or not.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::refusal::Refusal;

/// An answer in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// How a request ends.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// A gateway's error page.
    Html(u16),
    /// Only a status.
    Empty(u16),
    /// The connection is closed.
    Dropped,
}

impl From<Result<Value, Refusal>> for Answer {
    fn from(result: Result<Value, Refusal>) -> Self {
        match result {
            Ok(value) => Self { status: 200, body: value.to_string() },
            Err(refusal) => Self { status: refusal.status(), body: refusal.body() },
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(Err(refusal).into())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        respond(self.status, Some("application/json"), Body::from(self.body))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Answer(answer) => answer.into_response(),
            Self::Html(status) => {
                let page =
                    format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\r\n");
                respond(status, Some("text/html"), Body::from(page))
            }
            Self::Empty(status) => respond(status, None, Body::empty()),
            // A body that fails before its first byte makes the server close the connection with nothing sent.
            Self::Dropped => {
                let failure = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("dropped")) });
                respond(200, None, Body::from_stream(failure))
            }
        }
    }
}

fn respond(status: u16, content_type: Option<&'static str>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(content_type));
    }
    response
}
