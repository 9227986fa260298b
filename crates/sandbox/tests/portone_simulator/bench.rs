//! A simulator on a port, and a client of it that holds every answer against the contract.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Response};
use sandbox::clock::Clock;
use sandbox::portone::{Behavior, NewBillingKey, NewCustomer, PortOne, PortOneConfig};
use serde_json::{Value, json};

use crate::contract;

pub(crate) const STORE: &str = "store-00000000-0000-4000-8000-000000000000";
pub(crate) const SECRET: &str = "sandbox-api-secret";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) struct Bench {
    pub(crate) portone: PortOne,
    pub(crate) clock: Clock,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

pub(crate) fn start() -> Timestamp {
    "2026-11-22T01:00:00Z".parse().unwrap()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(None, 1, start()).await
    }

    pub(crate) async fn with(journal: Option<PathBuf>, seed: u64, now: Timestamp) -> Self {
        let clock = Clock::frozen_at(now);
        let config = PortOneConfig {
            store_id: STORE.to_owned(),
            api_secret: SECRET.to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            seed,
            journal,
            clock: clock.clone(),
        };
        let portone = PortOne::open(config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = portone.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Each request has its own connection: a dropped one is then seen as such, and never sent again.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { portone, clock, url, http }
    }

    pub(crate) fn key(&self, behavior: &str) -> String {
        self.key_at("TOSSPAYMENTS", behavior)
    }

    pub(crate) fn key_at(&self, pg_provider: &str, behavior: &str) -> String {
        self.portone.issue_billing_key(new_key(pg_provider, behavior)).unwrap()
    }

    /// A key at `PayPal`, whose charges and refunds may stay undecided. The gateway's own rules are off: won will do.
    pub(crate) fn key_at_paypal(&self, behavior: &str) -> String {
        self.faults(&json!({"pgRules": false}));
        self.key_at("PAYPAL_V2", behavior)
    }

    pub(crate) fn faults(&self, request: &Value) {
        self.portone.request_faults(request).unwrap();
    }

    pub(crate) fn advance(&self, span: SignedDuration) {
        self.clock.advance_to(self.clock.now() + span);
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header("authorization", format!("PortOne {SECRET}"))
    }

    /// Sends a request, and holds the answer against the contract.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            // As the official JavaScript SDK sends it.
            request = request.header("content-type", "text/plain;charset=UTF-8").body(body.to_string());
        }
        checked(&method, path, request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, None).await
    }

    /// A list, asked for in the query.
    pub(crate) async fn list(&self, path: &str, asked: &Value) -> (u16, Value) {
        self.get(&format!("{path}?requestBody={}", encoded(&asked.to_string()))).await
    }

    pub(crate) async fn charge(&self, payment_id: &str, key: &str) -> (u16, Value) {
        self.post(&format!("/payments/{payment_id}/billing-key"), order(key)).await
    }

    /// A charge with an idempotency key. `None`: no answer.
    pub(crate) async fn charge_once(&self, payment_id: &str, key: &str, attempt: &str) -> Option<(u16, String)> {
        let request = self.request(Method::POST, &format!("/payments/{payment_id}/billing-key"));
        let request = request.header("idempotency-key", format!("\"{attempt}\"")).json(&order(key));
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    pub(crate) async fn payment(&self, payment_id: &str) -> Value {
        let (status, payment) = self.get(&format!("/payments/{payment_id}")).await;
        assert_eq!(status, 200, "{payment}");
        payment
    }

    /// How often money was taken for a payment.
    pub(crate) fn approvals(&self, payment_id: &str) -> usize {
        self.portone.ledger().approvals.iter().filter(|approval| approval.payment_id == payment_id).count()
    }

    /// Waits, without looking at any clock, until nothing is under way.
    pub(crate) async fn settled(&self) {
        while !self.portone.is_idle() {
            self.portone.changed().notified().await;
        }
    }
}

pub(crate) async fn checked(method: &Method, path: &str, response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json", "{method} {path}");
    let body: Value = response.json().await.unwrap();
    contract::check(method.as_str(), path, status, &body);
    (status, body)
}

pub(crate) fn new_key(pg_provider: &str, behavior: &str) -> NewBillingKey {
    let behavior: Behavior = behavior.parse().unwrap();
    let customer = NewCustomer {
        id: Some("customer-1".to_owned()),
        name: Some("홍길동".to_owned()),
        email: Some("hong@example.com".to_owned()),
        phone: Some("01012345678".to_owned()),
    };
    NewBillingKey {
        customer,
        pg_provider: pg_provider.to_owned(),
        behavior: Some(behavior),
        ..NewBillingKey::default()
    }
}

pub(crate) fn order(key: &str) -> Value {
    json!({"billingKey": key, "orderName": "monthly", "amount": {"total": 11_000}, "currency": "KRW"})
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect()
}
