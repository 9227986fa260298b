//! A sandbox that runs no function, with whom `events/world.json` tells of, or nobody.

use crate::{BETWEEN, TRIES};
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

/// DynamoDB's stand-in wants a signature, and does not check it.
const UNCHECKED: &str = "AWS4-HMAC-SHA256 Credential=sandbox/20260101/ap-northeast-2/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/// How many messages a batch has: what `template.yaml` has SQS hand over.
const BATCH: usize = 10;

/// A message of the planner's, made one about a customer.
fn about(record: &Value, customer: &Value) -> Value {
    let mut message: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
    for name in ["userId", "subscriptionId"] {
        message[name] = customer[name].clone();
    }
    let mut record = record.clone();
    record["messageId"] = customer["subscriptionId"].clone();
    record["body"] = message.to_string().into();
    record
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
        self.ledger().await.iter().filter(|approval| approval["paymentId"] == payment_id).count()
    }

    /// How many invoices are paid. Whoever was charged was charged once, and is paid; what is not paid was never approved.
    pub async fn approved_once_and_paid(&self) -> usize {
        let rows = self.rows("invoices").await;
        let paid = rows.iter().filter(|invoice| invoice["status"] == "paid");
        let paid: BTreeSet<&str> = paid.map(|invoice| invoice["paymentId"].as_str().unwrap()).collect();
        let ledger = self.ledger().await;
        let approved: BTreeSet<&str> = ledger.iter().map(|approval| approval["paymentId"].as_str().unwrap()).collect();
        assert_eq!(approved.len(), ledger.len(), "somebody was charged twice");
        assert_eq!(approved, paid, "approved, and paid");
        paid.len()
    }

    /// All approvals of the simulator's own ledger.
    async fn ledger(&self) -> Vec<Value> {
        self.get("/api/portone/ledger").await["approvals"].as_array().unwrap().clone()
    }

    /// Batches of ten messages of the planner's, each about a new customer who owes for a month.
    pub async fn batches(&self, count: usize) -> Vec<Value> {
        let wish = json!({
            "count": count * BATCH, "planType": "standard", "teamSeats": 1, "currency": "KRW", "locale": "ko", "pgProvider": "TOSSPAYMENTS",
            "firstPeriod": "2026-01-01", "withoutWebhooks": true,
        });
        let made = self.post("/api/customers", &wish).await;
        let record = &event("worker/batch-with-poison")["Records"][0];
        let records: Vec<Value> =
            made["customers"].as_array().unwrap().iter().map(|customer| about(record, customer)).collect();
        records.chunks(BATCH).map(|batch| json!({ "Records": batch })).collect()
    }

    /// Waits, within reason, until there are so many invoices, and `PortOne` has begun a charge for each and ended none.
    pub async fn until_all_are_charged_for(&self, count: usize) {
        for _ in 0..TRIES {
            let mut begun = 0;
            for invoice in self.rows("invoices").await {
                begun += usize::from(self.payment(invoice["paymentId"].as_str().unwrap()).await["status"] == "READY");
            }
            if begun == count {
                return;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        panic!("PortOne was not asked for {count} charges: {:?}", self.rows("invoices").await);
    }

    /// Waits, within reason, until the simulator's own ledger holds so many approvals.
    pub async fn until_approved(&self, count: usize) {
        for _ in 0..TRIES {
            if self.ledger().await.len() == count {
                return;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        panic!("PortOne did not approve {count} charges: {:?}", self.ledger().await);
    }

    /// Ends the lease of every invoice that a function is at work on, as if three minutes had gone by.
    pub async fn end_leases(&self) {
        let environment = self.environment().await;
        let (_, table) = environment.iter().find(|(name, _)| name == "TABLE_INVOICES").unwrap();
        for invoice in self.rows("invoices").await {
            let update = json!({
                "TableName": table, "Key": { "paymentId": { "S": invoice["paymentId"] } },
                "UpdateExpression": "SET leaseUntil = :then", "ConditionExpression": "attribute_exists(leaseUntil)",
                "ExpressionAttributeValues": { ":then": { "N": "0" } },
            });
            let request = self.http.post(self.told("dynamodb")).header("x-amz-target", "DynamoDB_20120810.UpdateItem");
            let request = request.header("x-amz-date", "20260101T010000Z").header("authorization", UNCHECKED);
            self.answer(request.header("content-type", "application/x-amz-json-1.0").body(update.to_string())).await;
        }
    }

    /// What `PortOne` says of a payment; an error where it has not heard of it.
    async fn payment(&self, id: &str) -> Value {
        let request = self.http.get(format!("{}/payments/{id}", self.told("portone")));
        let request = request.header("authorization", format!("PortOne {}", self.told("apiSecret")));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A secret, as functions read it.
    pub(crate) async fn secret(&self, id: &str) -> String {
        let request = self.http.post(self.told("aws")).header("x-amz-target", "secretsmanager.GetSecretValue");
        let answer: Value =
            request.body(json!({ "SecretId": id }).to_string()).send().await.unwrap().json().await.unwrap();
        answer["SecretString"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The moment that is so many hours from now, by its clock.
    pub async fn in_hours(&self, hours: i64) -> String {
        let now: jiff::Timestamp = self.get("/api/clock").await["now"].as_str().unwrap().parse().unwrap();
        (now + jiff::SignedDuration::from_hours(hours)).to_string()
    }

    /// The status of each invoice, by subscription.
    pub async fn invoices(&self) -> Value {
        let invoices = self.get("/api/invoices").await;
        let of = |invoice: &Value| (invoice["subscriptionId"].as_str().unwrap().to_owned(), invoice["status"].clone());
        json!(invoices["invoices"].as_array().unwrap().iter().map(of).collect::<serde_json::Map<_, _>>())
    }
}
