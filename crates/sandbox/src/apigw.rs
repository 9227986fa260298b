//! API Gateway's part: an HTTP request becomes the event an HTTP API (payload version 2.0) makes of it, and the function's answer becomes the
//! HTTP answer.

use crate::lambda::{Function, Lambda};
use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// An HTTP API refuses bodies above 10 MB.
pub const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anyone,
    /// Who signs with IAM credentials. The sandbox has no account: it takes every caller for one who did.
    Signed,
}

/// The function behind a route of the deployed stack, and who may call it. The customer's side knows its own routes and refuses others.
fn route(method: &Method, path: &str) -> Option<(Function, Caller)> {
    match (method, path) {
        (&Method::POST, "/api/portone/billing-webhook") => Some((Function::Webhook, Caller::Anyone)),
        (_, "/api/portone/billing-webhook") => None,
        (_, "/health") => Some((Function::Api, Caller::Anyone)),
        (_, path) if path.starts_with("/payment/billing/") => Some((Function::Api, Caller::Anyone)),
        (_, path) if path == "/api/portone/charge" || path.starts_with("/api/billing/") => {
            Some((Function::Api, Caller::Signed))
        }
        _ => None,
    }
}

/// The HTTP routes of the deployed stack.
pub fn router(lambda: Lambda) -> Router {
    Router::new().fallback(serve).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(lambda)
}

async fn serve(State(lambda): State<Lambda>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some((function, caller)) = route(&method, uri.path()) else {
        return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], r#"{"message":"Not Found"}"#)
            .into_response();
    };
    let mut event = event(&method, &uri, &headers, &body, lambda.now().as_millisecond());
    if caller == Caller::Signed {
        event["requestContext"]["authorizer"] = json!({ "iam": {
            "accessKey": "SANDBOX", "accountId": "000000000000", "callerId": "sandbox", "principalOrgId": null,
            "userArn": "arn:aws:iam::000000000000:user/sandbox", "userId": "sandbox",
        } });
    }
    match lambda.invoke(function, event).await.and_then(|answer| response(&answer)) {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a function failed");
            let body = r#"{"message":"Internal Server Error"}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

/// How many requests this process has taken: with the time it makes another id of each, also after a restart.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// The event of a request. Header names are lower case and doubled headers are joined by commas; a body that is not text is base64.
pub fn event(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8], at: i64) -> Value {
    let mut joined = Map::new();
    for name in headers.keys() {
        let values: Vec<String> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        joined.insert(name.as_str().to_owned(), values.join(",").into());
    }
    let (body, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(body), true),
    };
    let route = format!("{method} {}", uri.path());
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or(""),
        "headers": joined,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "sandbox",
            "domainName": "127.0.0.1",
            "domainPrefix": "127",
            "http": {
                "method": method.as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("")
            },
            "requestId": format!("sandbox-{at}-{number}"),
            "routeKey": route,
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": at
        },
        "body": body,
        "isBase64Encoded": is_base64
    })
}

fn response(answer: &Value) -> anyhow::Result<Response> {
    let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = StatusCode::from_u16(status.context("the function's answer has no statusCode")?)?;
    let text = answer["body"].as_str().unwrap_or("");
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(text)? } else { text.as_bytes().to_vec() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = answer["headers"].as_object().into_iter().flatten();
    for (name, value) in headers.filter_map(|(name, value)| Some((name, value.as_str()?))) {
        response.headers_mut().insert(HeaderName::try_from(name.as_str())?, HeaderValue::from_str(value)?);
    }
    Ok(response)
}
