//! A sandbox that runs no function, and whom `events/world.json` tells of.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `sandbox serve --bare` on any ports, killed when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    ready: Value,
    http: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The workspace's directory.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The program that Cargo has put beside this one.
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.ancestors().nth(2).unwrap().join("sandbox")
}

/// An event of `events/`, such as `webhook/paid`, as if it were sent now.
#[must_use]
pub fn event(name: &str) -> Value {
    let file = root().join("events").join(name).with_extension("json");
    let output = Command::new(program()).arg("event").arg(file).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Sandbox {
    /// Starts one on any ports, and waits until it is ready.
    #[must_use]
    pub fn start() -> Self {
        let mut command = Command::new(program());
        command.args(["serve", "--bare", "--read-timeout", "5", "--world"]).arg(root().join("events/world.json"));
        for port in ["--api-port", "--portone-port", "--dynamodb-port", "--console-port", "--aws-port"] {
            command.args([port, "0"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// What a function has in its environment.
    pub async fn environment(&self) -> Vec<(String, String)> {
        let variables = self.get("/api/environment").await;
        let variables = variables.as_object().unwrap().iter();
        variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// Asks the control API.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.ready["console"].as_str().unwrap());
        let answer = self.http.get(&url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{url}: {error}: {answer}"))
    }

    /// The subjects of the mails to a customer.
    pub async fn mails(&self, to: &str) -> Vec<String> {
        let mails = self.get(&format!("/api/emails?to={to}")).await;
        mails["emails"].as_array().unwrap().iter().map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect()
    }

    /// How many approvals the simulator's own ledger holds for a payment.
    pub async fn approvals(&self, payment_id: &str) -> usize {
        let ledger = self.get("/api/portone/ledger").await;
        let approvals = ledger["approvals"].as_array().unwrap();
        approvals.iter().filter(|approval| approval["paymentId"] == payment_id).count()
    }

    /// The status of each invoice, by subscription.
    pub async fn invoices(&self) -> Value {
        let invoices = self.get("/api/invoices").await;
        let of = |invoice: &Value| (invoice["subscriptionId"].as_str().unwrap().to_owned(), invoice["status"].clone());
        json!(invoices["invoices"].as_array().unwrap().iter().map(of).collect::<serde_json::Map<_, _>>())
    }
}
