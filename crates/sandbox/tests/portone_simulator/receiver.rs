//! A merchant's webhook endpoint that writes down what it gets.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::bench::WEBHOOK_SECRET;

#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Hook {
    pub(crate) fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }

    /// Whether the signature is what Standard Webhooks says, computed here and not by the simulator.
    pub(crate) fn is_signed(&self) -> bool {
        let key = STANDARD.decode(WEBHOOK_SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.text).as_bytes());
        self.signature == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    hooks: Arc<Mutex<Vec<Hook>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    pub(crate) async fn new() -> Self {
        let hooks = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(200));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let (seen, answer) = (Arc::clone(&hooks), Arc::clone(&status));
        let receive = async move |headers: HeaderMap, text: String| {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), "application/json");
            let body = serde_json::from_str(&text).unwrap();
            let (id, signature) = (header("webhook-id"), header("webhook-signature"));
            let timestamp = header("webhook-timestamp").parse().unwrap();
            seen.lock().unwrap().push(Hook { id, timestamp, signature, text, body });
            (StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap(), "noted")
        };
        let router = Router::new().route("/webhook", post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, hooks, status }
    }

    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn hooks(&self) -> Vec<Hook> {
        self.hooks.lock().unwrap().clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.hooks().iter().map(|hook| hook.kind().to_owned()).collect()
    }
}
