//! A sandbox process under test.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running `sandbox serve`, killed when it is dropped.
pub(crate) struct Sandbox {
    child: Child,
    /// The line it said when it was ready.
    pub(crate) ready: Value,
    /// What it says after that.
    stdout: BufReader<ChildStdout>,
    client: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sandbox {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_on(data: &Path) -> Self {
        Self::start_with(&["--data", data.to_str().unwrap()])
    }

    fn start_with(more: &[&str]) -> Self {
        Self::of(Self::command(more).spawn().unwrap())
    }

    /// `sandbox serve` on any ports.
    pub(crate) fn command(more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command.arg("serve");
        for port in ["--api-port", "--portone-port", "--dynamodb-port", "--console-port", "--aws-port"] {
            command.args([port, "0"]);
        }
        // Noon of a day in the middle of a month, whenever the tests run: banks are up, and no schedule is near.
        command.args(["--at", "2026-11-18T12:00:00+09:00"]);
        // The functions give a hanging PortOne up after a second, so that no test waits a minute.
        command.args(["--read-timeout", "1"]).args(more).stdout(Stdio::piped());
        command
    }

    /// A process that was started, once it is ready.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, stdout, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it, and answers with all that it said on standard output since it was ready.
    pub(crate) fn stop(mut self) -> String {
        self.child.kill().unwrap();
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        said
    }

    pub(crate) fn url(&self, port: &str, path: &str) -> String {
        format!("{}{path}", self.ready[port].as_str().unwrap())
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.client
    }

    /// Asks the control API, whatever it answers.
    pub(crate) async fn try_post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(self.url("console", path)).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Asks PortOne's simulator about a payment, as PortOne's customers do.
    pub(crate) async fn payment(&self, payment_id: &str) -> Value {
        let authorization = format!("PortOne {}", self.ready["apiSecret"].as_str().unwrap());
        let path = format!("/payments/{payment_id}");
        let request = self.client.get(self.url("portone", &path)).header("authorization", authorization);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Asks the tables, as the `aws` CLI does; what DynamoDB's own API answers.
    pub(crate) async fn dynamodb(&self, operation: &str, body: &Value) -> Value {
        let credential = "Credential=sandbox/20261201/ap-northeast-2/dynamodb/aws4_request";
        let request = self
            .client
            .post(self.url("dynamodb", "/"))
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-date", "20261201T010000Z")
            .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{operation}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_post(path, body).await;
        assert_eq!(status, 200, "POST {path}: {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.url("console", path)).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "GET {path}: {body}");
        body
    }

    /// One customer, described; answers with (user, subscription, billing key).
    pub(crate) async fn customer(&self, description: Value) -> (String, String, String) {
        let made = self.post("/api/customers", description).await;
        let one = &made["customers"][0];
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (text("userId"), text("subscriptionId"), text("billingKey"))
    }

    /// A moment on the first of the next month in Seoul, and some days further.
    pub(crate) async fn moment_on_the_first(&self, time: &str, days: u8) -> String {
        let now = self.get("/api/clock").await["now"].as_str().unwrap().to_owned();
        let date: jiff::civil::Date = now[..10].parse().unwrap();
        let first = date.last_of_month().tomorrow().unwrap();
        let date = first.checked_add(jiff::Span::new().days(days)).unwrap();
        format!("{date}T{time}+09:00")
    }

    /// Moves the clock there.
    pub(crate) async fn to_the_first(&self, time: &str, days: u8) -> Value {
        let target = self.moment_on_the_first(time, days).await;
        self.post("/api/clock", json!({ "advanceTo": target })).await
    }

    /// Every item of a listing, page by page.
    pub(crate) async fn all(&self, path: &str, name: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{join}limit=1000{cursor}")).await;
            items.extend(page[name].as_array().unwrap().iter().cloned());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}
