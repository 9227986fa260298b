//! A sandbox process, and what is durable in it.

use crate::browser::stop;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running `sandbox serve` on any ports, killed when it is dropped.
pub(crate) struct Sandbox {
    child: Child,
    ready: Value,
    http: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A customer at the beginning of a walk.
pub(crate) struct Customer {
    pub(crate) user: &'static str,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) locale: &'static str,
    pub(crate) currency: &'static str,
}

/// Pays won by card, and reads Korean.
pub(crate) const KIM: Customer =
    Customer { user: "user-kim", name: "김하나", email: "hana@example.com", locale: "ko", currency: "KRW" };

/// Pays won by card, and reads English.
pub(crate) const LEE: Customer =
    Customer { user: "user-lee", name: "Sam Lee", email: "sam@example.com", locale: "en", currency: "KRW" };

/// Pays dollars with `PayPal`, and reads English.
pub(crate) const DOE: Customer =
    Customer { user: "user-doe", name: "Jan Doe", email: "jan@example.com", locale: "en", currency: "USD" };

impl Sandbox {
    /// Starts the program that Cargo has put beside this one.
    pub(crate) fn start() -> Self {
        let here = std::env::current_exe().unwrap();
        let program = here.ancestors().nth(2).unwrap().join("sandbox");
        let mut command = Command::new(&program);
        command.arg("serve");
        for port in ["--api-port", "--portone-port", "--dynamodb-port", "--console-port", "--aws-port"] {
            command.args([port, "0"]);
        }
        // Noon of a day in the middle of a month, whenever the walks are walked: banks are up.
        command.args(["--at", "2026-11-18T12:00:00+09:00"]);
        let started = command.stdout(Stdio::piped()).spawn();
        let mut child =
            started.unwrap_or_else(|error| panic!("{}: {error}; `make test-browser` builds it", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn ask(&self, port: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.ready[port].as_str().unwrap());
        let request = match &body {
            Some(body) => self.http.post(&url).header("content-type", "application/json").body(body.to_string()),
            None => self.http.get(&url),
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Opens a checkout session for three seats of Standard, and answers with its address, as the customer's backend would.
    pub(crate) async fn checkout(&self, customer: &Customer) -> String {
        let wish = json!({
            "userId": customer.user, "planType": "standard", "teamSeats": 3,
            "currency": customer.currency, "locale": customer.locale,
            "customer": { "name": customer.name, "email": customer.email, "phone": "010-0000-0000" },
        });
        let session = self.ask("api", "/api/billing/checkout-sessions", Some(wish)).await;
        session["url"].as_str().unwrap().to_owned()
    }

    /// The billing key of a customer who enrolled long ago.
    pub(crate) async fn anothers_key(&self) -> String {
        let wish = json!({ "userId": "user-other", "email": "other@example.com", "planType": "pro", "teamSeats": 1 });
        let made = self.ask("console", "/api/customers", Some(wish)).await;
        made["customers"][0]["billingKey"].as_str().unwrap().to_owned()
    }

    /// From now on the webhooks about billing keys behave like this.
    pub(crate) async fn webhooks_are(&self, behavior: &str) {
        let rule = json!({ "rules": [{ "behavior": behavior, "operation": "issue" }] });
        self.ask("console", "/api/portone/faults", Some(rule)).await;
    }

    /// Moves the clock, and answers when all that was set off has come to rest.
    pub(crate) async fn wait(&self, duration: &str) {
        self.ask("console", "/api/clock", Some(json!({ "advance": duration }))).await;
    }

    /// Whose subscriptions there are.
    async fn subscriptions(&self, customer: &Customer) -> Vec<Value> {
        self.wait("PT1S").await;
        let path = format!("/api/billing/subscriptions?userId={}", customer.user);
        self.ask("api", &path, None).await["subscriptions"].as_array().unwrap().clone()
    }

    async fn mails(&self, customer: &Customer) -> Vec<Value> {
        let path = format!("/api/emails?to={}", customer.email);
        self.ask("console", &path, None).await["emails"].as_array().unwrap().clone()
    }

    /// Holds that the customer has what was agreed to, once: one active subscription, one method, one mail. Answers with what the
    /// subscription began by: `api:…`, a page, or `webhook:…`.
    pub(crate) async fn has_enrolled_once(&self, customer: &Customer, method: &str) -> String {
        let subscriptions = self.subscriptions(customer).await;
        assert_eq!(subscriptions.len(), 1, "{subscriptions:?}");
        let it = &subscriptions[0];
        let agreed = [&it["status"], &it["planType"], &it["teamSeats"], &it["currency"], &it["locale"]];
        assert_eq!(json!(agreed), json!(["active", "standard", 3, customer.currency, customer.locale]));
        let id = it["subscriptionId"].as_str().unwrap();

        let path = format!("/api/billing/subscriptions/{id}?userId={}", customer.user);
        let methods = self.ask("api", &path, None).await["paymentMethods"].as_array().unwrap().clone();
        let kinds: Vec<_> =
            methods.iter().map(|it| json!([it["paymentMethod"], it["status"], it["current"]])).collect();
        assert_eq!(kinds, [json!([method, "ACTIVE", true])]);

        let mails = self.mails(customer).await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        let subject = mails[0]["subject"].as_str().unwrap();
        let begins = if customer.locale == "ko" {
            "[Sivera] Standard 구독 시작"
        } else {
            "[Sivera] Your Standard subscription has started"
        };
        assert!(subject.starts_with(begins), "{subject}");

        let events = self.ask("console", &format!("/api/events?subject={id}"), None).await;
        let started = events["events"].as_array().unwrap().iter().find(|it| it["kind"] == "subscription_started");
        started.unwrap()["cause"].as_str().unwrap().to_owned()
    }

    /// Holds that nothing was bound, begun or mailed.
    pub(crate) async fn has_nothing(&self, customer: &Customer) {
        self.has_no_subscription(customer).await;
        assert_eq!(self.mails(customer).await, [] as [Value; 0]);
    }

    /// Holds that nothing was begun.
    pub(crate) async fn has_no_subscription(&self, customer: &Customer) {
        assert_eq!(self.subscriptions(customer).await, [] as [Value; 0]);
    }
}
