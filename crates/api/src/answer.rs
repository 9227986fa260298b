//! Answers: JSON, and pages.

use crate::pages::Page;
use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use lambda_http::http::{HeaderMap, StatusCode};
use lambda_http::{Body, Response};
use serde_json::Value;

/// JSON that nobody may keep: it is about somebody's money.
pub(crate) fn json(status: u16, body: &Value) -> Response<Body> {
    with(status, "application/json", body.to_string())
}

pub(crate) fn with(status: u16, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page with its headers. A header that cannot be written would be a policy that is missing: then there is no page.
pub(crate) fn page(page: Page) -> Response<Body> {
    let mut headers = HeaderMap::new();
    for (name, value) in page.headers {
        let Ok(value) = HeaderValue::try_from(value) else {
            tracing::error!(name, "a page's header cannot be written");
            return with(500, "text/plain; charset=utf-8", String::new());
        };
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut response = with(page.status, "text/html; charset=utf-8", page.html);
    response.headers_mut().extend(headers);
    response
}
