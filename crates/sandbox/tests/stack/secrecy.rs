//! What must never be printed: all that a month says, searched for every secret and every personal datum that there is in it. (Law 11.)

use crate::attack::Folder;
use crate::process::Sandbox;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{File, read_to_string};

/// Everything that our own code has to say, and what the deployed functions let their dependencies say.
const LOUD: &str = "info,api=trace,billing_aws=trace,billing_core=trace,billing_flows=trace,charger=trace,notifier=trace,portone=trace,\
    reconciler=trace,sandbox=trace,webhook=trace";

/// The attributes of rows that name a person, reach them, or charge them.
const PRIVATE: [&str; 6] = ["billingKey", "customerEmail", "customerName", "customerPhone", "paypalEmail", "to"];

#[tokio::test]
async fn nothing_that_is_said_in_a_month_holds_a_secret_or_a_personal_datum() {
    let folder = Folder::new("secrecy");
    let log = folder.path().join("stderr.log");
    let mut command = Sandbox::command(&["--metrics"]);
    command.env("RUST_LOG", LOUD).stderr(File::create(&log).unwrap());
    let sandbox = Sandbox::of(command.spawn().unwrap());
    let mut private = secrets(&sandbox).await;
    private.extend(lives_a_month(&sandbox).await);
    private.extend(in_tables(&sandbox).await);
    let invoices = sandbox.all("/api/invoices", "invoices").await;
    let said = sandbox.stop() + &read_to_string(&log).unwrap();

    // All of it was heard: the functions' logs, and their metrics.
    assert!(invoices.iter().any(|invoice| said.contains(invoice["subscriptionId"].as_str().unwrap())));
    for heard in ["\"PaidAmount\":30000", "\"Webhooks\":1", "collected", "a webhook was refused", "customerPhone"] {
        assert!(said.contains(heard), "{heard}");
    }
    assert!(private.len() > 100, "{}", private.len());
    let told: Vec<(&String, &str)> = private
        .iter()
        .filter_map(|datum| Some((datum, said.lines().find(|line| line.contains(datum.as_str()))?)))
        .collect();
    assert!(told.is_empty(), "{} of {} are told: {told:#?}", told.len(), private.len());
}

/// What the stack itself must keep.
async fn secrets(sandbox: &Sandbox) -> BTreeSet<String> {
    let named = ["apiSecret", "webhookSecret"].map(|name| sandbox.ready[name].as_str().unwrap().to_owned());
    let ask = sandbox.http().post(sandbox.url("aws", "/")).header("x-amz-target", "secretsmanager.GetSecretValue");
    let ask = ask.body(json!({ "SecretId": sandbox::stack::CHECKOUT_SECRET_ID }).to_string());
    let answer: Value = ask.send().await.unwrap().json().await.unwrap();
    let bare = named[1].strip_prefix("whsec_").unwrap().to_owned();
    named.into_iter().chain([bare, answer["SecretString"].as_str().unwrap().to_owned()]).collect()
}

/// What is private in the tables, and in the simulator's books.
async fn in_tables(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, table) in sandbox.ready["tables"].as_object().unwrap() {
        let mut scan = json!({ "TableName": table });
        loop {
            let page = sandbox.dynamodb("Scan", &scan).await;
            collect(&page["Items"], &mut found);
            if page["LastEvaluatedKey"].is_null() {
                break;
            }
            scan["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        }
    }
    collect(&sandbox.get("/api/portone/ledger").await, &mut found);
    collect(&json!(sandbox.all("/api/emails", "emails").await), &mut found);
    found
}

/// The private values of some JSON, plain or as DynamoDB writes it.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                // A notice is to somebody, by name.
                if PRIVATE.contains(&name.as_str()) || (name == "name" && members.contains_key("to")) {
                    found.extend(inner.as_str().or_else(|| inner["S"].as_str()).map(str::to_owned));
                }
                collect(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A month with everything that makes somebody say something: declines, faults, forged and broken requests, rows that cannot be read. Answers
/// with what was private in them and is in no table.
async fn lives_a_month(sandbox: &Sandbox) -> BTreeSet<String> {
    let mix = json!({ "decline:insufficient_funds": 0.1, "decline:lost_or_stolen": 0.1, "pending": 0.1, "key_deleted": 0.1, "max_transactions": 0.1 });
    sandbox.post("/api/customers", json!({ "count": 20, "mix": mix, "seed": 5 })).await;
    let one = |number: u32, behavior: &str| {
        json!({ "userId": format!("user-{number}"), "subscriptionId": format!("sub-{number}"), "behavior": behavior,
            "name": format!("한비밀{number}"), "email": format!("hidden.{number}@example.com"), "phone": format!("010-5555-{number:04}"),
            "planType": "standard", "teamSeats": 3, "pgProvider": "TOSSPAYMENTS" })
    };
    let behaviors =
        ["approve", "hang", "drop_after_success", "html_5xx", "unauthorized", "unknown_error_type", "unknown_fields"];
    for (number, behavior) in (1..).zip(behaviors) {
        sandbox.post("/api/customers", one(number, behavior)).await;
    }
    let (.., key) = sandbox.customer(one(99, "approve")).await;
    spoils(sandbox, "user-99", "sub-99").await;
    let mut private = asks_wrongly(sandbox, &key).await;
    private.extend(checks_out(sandbox, &key).await);
    let faults = json!({ "seed": 5, "rules": [
        { "behavior": "webhook_bad_signature", "rate": 0.2 }, { "behavior": "webhook_unknown_type", "rate": 0.2 },
        { "behavior": "webhook_duplicated", "rate": 0.2 }, { "behavior": "service_unavailable", "rate": 0.1 },
    ]});
    sandbox.post("/api/portone/faults", faults).await;
    sandbox.to_the_first("10:05:00", 9).await;
    let charge = json!({ "subscriptionId": "sub-99", "userId": "user-99" });
    assert_eq!(api(sandbox, "/api/portone/charge", &charge.to_string()).await, 500);
    let paid = sandbox.all("/api/invoices?userId=user-1", "invoices").await.remove(0);
    let path = format!("/api/billing/payments/{}/refund", paid["paymentId"].as_str().unwrap());
    assert_eq!(api(sandbox, &path, r#"{"reason":"x","amount":1000}"#).await, 200);
    sandbox.to_the_first("04:00:00", 0).await;
    private
}

async fn api(sandbox: &Sandbox, path: &str, body: &str) -> u16 {
    let request = sandbox.http().post(sandbox.url("api", path)).header(CONTENT_TYPE, "application/json");
    request.body(body.to_owned()).send().await.unwrap().status().as_u16()
}

/// Makes a subscription's row one that nobody can read.
async fn spoils(sandbox: &Sandbox, user: &str, subscription: &str) {
    let update = json!({
        "TableName": sandbox.ready["tables"]["subscriptions"],
        "Key": { "userId": { "S": user }, "subscriptionId": { "S": subscription } },
        "UpdateExpression": "SET customerPhone = :p",
        "ExpressionAttributeValues": { ":p": { "M": { "customerPhone": { "S": "010-5555-0098" } } } },
    });
    sandbox.dynamodb("UpdateItem", &update).await;
}

/// Requests that are refused, with private things in every place where they do not belong.
async fn asks_wrongly(sandbox: &Sandbox, key: &str) -> BTreeSet<String> {
    let (name, email) = ("남모를이름", "nobody.knows@example.com");
    for body in [
        format!(r#"{{"userId":"u","subscriptionId":{{"{name}":"{email}"}}}}"#),
        format!(r#"{{"userId":"u","subscriptionId":"s","{email}":"{key}"}}"#),
        format!(r#"{{"userId":"u","subscriptionId":"s","currency":"{email}"}}"#),
        format!("{name} {email} {key}"),
    ] {
        assert!(matches!(api(sandbox, "/api/portone/charge", &body).await, 400 | 422), "{body}");
        assert!(matches!(api(sandbox, "/api/billing/checkout-sessions", &body).await, 400 | 422), "{body}");
    }
    let secret = portone::webhook::WebhookSecret::new(sandbox.ready["webhookSecret"].as_str().unwrap()).unwrap();
    let now: jiff::Timestamp = sandbox.get("/api/clock").await["now"].as_str().unwrap().parse().unwrap();
    for body in [
        format!("{name} {email} {key}"),
        json!({ "type": email, "timestamp": now.to_string(), "data": { "storeId": name, "billingKey": key } })
            .to_string(),
        json!({ "type": "BillingKey.Issued", "timestamp": email, "data": { "storeId": name, "billingKey": key } })
            .to_string(),
    ] {
        let signature = portone::webhook::sign(&secret, "wh_1", now, body.as_bytes());
        for signature in [signature, format!("v1,{key}")] {
            let request = sandbox
                .http()
                .post(sandbox.url("api", "/api/portone/billing-webhook"))
                .header(CONTENT_TYPE, "application/json")
                .header("webhook-id", "wh_1")
                .header("webhook-timestamp", now.as_second().to_string())
                .header("webhook-signature", signature);
            request.body(body.clone()).send().await.unwrap();
        }
    }
    [name, email].map(str::to_owned).into()
}

/// A checkout, and a browser that comes back with what it should not have.
async fn checks_out(sandbox: &Sandbox, key: &str) -> BTreeSet<String> {
    let message = "보낸이의비밀";
    let wish = json!({ "userId": "user-50", "planType": "standard", "teamSeats": 3, "currency": "KRW", "locale": "ko",
        "customer": { "name": "한비밀오십", "email": "hidden.50@example.com", "phone": "010-5555-0050" } });
    let request = sandbox.http().post(sandbox.url("api", "/api/billing/checkout-sessions"));
    let answer: Value = request.json(&wish).send().await.unwrap().json().await.unwrap();
    let url = answer["url"].as_str().unwrap();
    let (_, token) = url.split_once("session=").unwrap();
    let success = url.replace("/register", "/success");
    for url in [
        url.to_owned(),
        format!("{success}&billingKey={key}"),
        format!("{success}&billingKey=nobodys-billing-key"),
        format!("{success}x&billingKey={key}"),
        format!("{}&code=X&message={message}", url.replace("/register", "/failure")),
    ] {
        sandbox.http().get(url).send().await.unwrap();
    }
    [token, "nobodys-billing-key", message].map(str::to_owned).into()
}
