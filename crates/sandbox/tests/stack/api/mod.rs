//! The customer's side over HTTP: every route, what it does and what it refuses. Each answer is held against `docs/openapi.json`.

mod contract;
mod money;
mod refused;
mod sessions;

use self::contract::{Answer, Call, check, document};
use crate::process::Sandbox;
use serde_json::{Value, json};

/// A sandbox on the morning of a 1st, after the run: banks are up, and a month is whole.
async fn morning() -> Sandbox {
    let sandbox = Sandbox::start();
    sandbox.to_the_first("10:05:00", 0).await;
    sandbox
}

/// A customer.
struct User {
    id: String,
    subscription: String,
    billing_key: String,
}

impl User {
    /// Three seats of the standard plan for 30,000 won, owed from now on; `more` says what is different.
    async fn who_owes(sandbox: &Sandbox, more: Value) -> Self {
        let mut wish = json!({ "planType": "standard", "teamSeats": 3, "pgProvider": "TOSSPAYMENTS", "trialDays": 0 });
        let Value::Object(more) = more else { panic!("{more}") };
        wish.as_object_mut().unwrap().extend(more);
        // Their key's webhook would have them charged before the test does.
        let rules = json!({ "rules": [{ "behavior": "webhook_lost", "operation": "issue" }] });
        sandbox.post("/api/portone/faults", rules).await;
        let (id, subscription, billing_key) = sandbox.customer(wish).await;
        sandbox.post("/api/portone/faults", json!({ "rules": [] })).await;
        Self { id, subscription, billing_key }
    }

    /// The same, and paid.
    async fn who_paid(sandbox: &Sandbox, more: Value) -> (Self, String) {
        let user = Self::who_owes(sandbox, more).await;
        let paid = user.post(sandbox, "retry").send().await;
        let id = paid.is(200, "paid")["paymentId"].as_str().unwrap().to_owned();
        (user, id)
    }

    fn path(&self, verb: &str) -> String {
        let slash = if verb.is_empty() { "" } else { "/" };
        let join = if verb.contains('?') { '&' } else { '?' };
        format!("/api/billing/subscriptions/{}{slash}{verb}{join}userId={}", self.subscription, self.id)
    }

    fn get<'a>(&self, sandbox: &'a Sandbox, verb: &str) -> Call<'a> {
        Call::get(sandbox, self.path(verb))
    }

    fn post<'a>(&self, sandbox: &'a Sandbox, verb: &str) -> Call<'a> {
        Call::post(sandbox, self.path(verb))
    }

    fn charge<'a>(&self, sandbox: &'a Sandbox) -> Call<'a> {
        let body = json!({ "subscriptionId": self.subscription, "userId": self.id });
        Call::post(sandbox, "/api/portone/charge").json(&body)
    }

    fn change<'a>(&self, sandbox: &'a Sandbox, plan: &str, seats: u32) -> Call<'a> {
        self.post(sandbox, "change").json(&json!({ "planType": plan, "teamSeats": seats }))
    }

    fn quote<'a>(&self, sandbox: &'a Sandbox, plan: &str, seats: u32) -> Call<'a> {
        self.post(sandbox, "change?preview=true").json(&json!({ "planType": plan, "teamSeats": seats }))
    }

    fn cancel<'a>(&self, sandbox: &'a Sandbox, at: &str) -> Call<'a> {
        self.post(sandbox, "cancel").json(&json!({ "at": at }))
    }

    async fn subscription(&self, sandbox: &Sandbox) -> Value {
        let answer = self.get(sandbox, "").send().await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    async fn invoices(&self, sandbox: &Sandbox) -> Vec<Value> {
        let answer = self.get(sandbox, "invoices").send().await;
        answer.body["invoices"].as_array().unwrap().clone()
    }

    /// What becomes of charges from now on.
    async fn behaves(&self, sandbox: &Sandbox, behavior: &str) {
        let rules = json!({ "rules": [{ "behavior": behavior, "billingKey": self.billing_key }] });
        sandbox.post("/api/portone/faults", rules).await;
    }
}

fn refund<'a>(sandbox: &'a Sandbox, payment_id: &str, body: &Value) -> Call<'a> {
    Call::post(sandbox, format!("/api/billing/payments/{payment_id}/refund")).json(body)
}

/// Routes that have a body.
fn bodies(user: &User) -> Vec<String> {
    let mut paths = vec!["/api/portone/charge".to_owned(), "/api/billing/checkout-sessions".to_owned()];
    paths.extend(["change", "cancel", "payment-method"].map(|verb| user.path(verb)));
    paths.push("/api/billing/payments/invNOBODY/refund".to_owned());
    paths
}

#[tokio::test]
async fn it_says_that_it_runs() {
    let sandbox = Sandbox::start();
    let answer = Call::get(&sandbox, "/health").send().await;
    assert_eq!(answer.is(200, "ok")["card"], true);
}

#[test]
fn the_documents_examples_are_what_it_describes() {
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap().values();
            for part in answers.chain(operation.get("requestBody")) {
                for (kind, content) in part["content"].as_object().unwrap() {
                    let named = content["examples"].as_object().into_iter().flatten().map(|(_, it)| &it["value"]);
                    for example in named.chain(content.get("example")) {
                        check(&content["schema"], example, &format!("{method} {path} {kind}"));
                    }
                }
            }
        }
    }
}

/// A problem's one field.
fn field(answer: &Answer) -> &str {
    answer.is(422, "invalid")["field"].as_str().unwrap()
}
