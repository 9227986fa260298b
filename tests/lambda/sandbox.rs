//! A sandbox that runs no function, with whom `events/world.json` tells of, or nobody.

use serde_json::{Value, json};
use std::ffi::OsStr;
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

/// The sandbox's program, instead of the one that Cargo has put beside this.
pub const PROGRAM: &str = "SANDBOX";

/// A test's program lies in a directory below.
#[expect(clippy::disallowed_methods, reason = "where the program is depends on the machine, and no function reads it")]
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return program.into();
    }
    let here = std::env::current_exe().unwrap();
    let near = here.ancestors().skip(1).take(2).map(|directory| directory.join("sandbox")).find(|file| file.is_file());
    near.unwrap_or_else(|| panic!("there is no sandbox near {}: cargo build --workspace --bin sandbox", here.display()))
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
    /// Starts one with whom `events/world.json` tells of.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(&["--world".as_ref(), root().join("events/world.json").as_ref()])
    }

    /// Starts one in which there is nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self::serve(&[])
    }

    /// Starts one on any ports, and waits until it is ready.
    fn serve(arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(program());
        command.args(["serve", "--bare", "--read-timeout", "5"]).args(arguments);
        for port in ["--api-port", "--portone-port", "--dynamodb-port", "--console-port", "--aws-port"] {
            command.args([port, "0"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// What it told when it was ready: an address or a secret of it, by name.
    #[must_use]
    pub fn told(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{}", self.ready))
    }

    /// What a function has in its environment.
    pub async fn environment(&self) -> Vec<(String, String)> {
        let variables = self.get("/api/environment").await;
        let variables = variables.as_object().unwrap().iter();
        variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// Asks the control API.
    pub async fn get(&self, path: &str) -> Value {
        self.answer(self.http.get(format!("{}{path}", self.told("console")))).await
    }

    /// Tells the control API something.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.answer(self.http.post(format!("{}{path}", self.told("console"))).json(body)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let (url, status) = (answer.url().clone(), answer.status());
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
    }

    /// All rows of a table, such as `invoices`.
    pub async fn rows(&self, table: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut path = format!("/api/{table}?limit=1000");
        loop {
            let mut page = self.get(&path).await;
            rows.append(page[table].as_array_mut().unwrap());
            let Some(cursor) = page["cursor"].as_str() else { return rows };
            path = format!("/api/{table}?limit=1000&cursor={cursor}");
        }
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
