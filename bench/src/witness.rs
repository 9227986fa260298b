//! Stands before a service, passes all requests on, and notes what was asked, how long the answer took, and how many connections were opened.

use crate::clock::begin;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// A request that was passed on.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// An operation of AWS, or a method and a path.
    pub(crate) what: String,
    /// When it came.
    pub(crate) begun: Instant,
    /// Until all of the answer was there.
    pub(crate) took: Duration,
}

/// A service's witness.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Where it listens.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    opened: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Before {
    service: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Witness {
    /// Stands before the service at an origin.
    pub(crate) async fn before(service: &str) -> Self {
        let (seen, opened) = (Arc::default(), Arc::<AtomicU64>::default());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let before = Before { service: service.to_owned(), http, seen: Arc::clone(&seen) };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::clone(&opened);
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let router = Router::new().fallback(pass).with_state(before);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen, opened }
    }

    /// How many connections were opened to it since it was asked last.
    pub(crate) fn take_opened(&self) -> u64 {
        self.opened.swap(0, Ordering::Relaxed)
    }

    /// What it has seen since it was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// `DynamoDB_20120810.GetItem`, or `POST /payments/{paymentId}/billing-key`.
fn named(method: &Method, uri: &Uri, headers: &HeaderMap) -> String {
    if let Some((_, operation)) = headers.get("x-amz-target").and_then(|value| value.to_str().ok()?.split_once('.')) {
        return operation.to_owned();
    }
    let id = billing_core::id::PaymentId::PREFIX;
    let parts = uri.path().split('/').map(|part| if part.starts_with(id) { "{paymentId}" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

async fn pass(State(before): State<Before>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let begun = begin();
    let what = named(&method, &uri, &headers);
    let mut headers = headers;
    headers.remove(header::HOST);
    let sent = before.http.request(method, format!("{}{uri}", before.service)).headers(headers).body(body).send().await;
    let Ok(answer) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    let Ok(body) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    before.seen.lock().unwrap().push(Seen { what, begun, took: begun.elapsed() });
    (status, headers, Body::from(body)).into_response()
}
