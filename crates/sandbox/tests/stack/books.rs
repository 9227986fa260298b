//! Months that are lived through.

use crate::process::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

#[tokio::test]
async fn the_ready_line_names_every_port_and_table() {
    let sandbox = Sandbox::start();
    assert_eq!(sandbox.ready["ready"], true);
    for port in ["api", "portone", "dynamodb", "console", "aws"] {
        assert!(sandbox.ready[port].as_str().unwrap().starts_with("http://127.0.0.1:"), "{port}");
    }
    for field in ["storeId", "apiSecret", "webhookSecret"] {
        assert!(!sandbox.ready[field].as_str().unwrap().is_empty(), "{field}");
    }
    for table in ["billingKeys", "subscriptions", "invoices", "events"] {
        assert!(!sandbox.ready["tables"][table].as_str().unwrap().is_empty(), "{table}");
    }
}

#[tokio::test]
async fn a_customer_is_charged_on_the_first_and_told_so() {
    let sandbox = Sandbox::start();
    let (user, _, key) = sandbox
        .customer(json!({ "email": "kim@example.com", "name": "김민수", "planType": "standard", "teamSeats": 3 }))
        .await;
    let moved = sandbox.to_the_first("10:00:00", 0).await;
    let run = moved["runs"].as_array().unwrap().iter().find(|run| run["due"] == 1).expect("a run that found it due");
    assert_eq!((&run["paid"], &run["failed"], &run["skipped"]), (&json!(1), &json!(0), &json!(0)));

    let invoices = sandbox.all(&format!("/api/invoices?userId={user}"), "invoices").await;
    assert_eq!(invoices.len(), 1);
    assert_eq!(invoices[0]["status"], "paid");
    let ledger = sandbox.get("/api/portone/ledger").await;
    let approvals = ledger["approvals"].as_array().unwrap();
    assert_eq!(approvals.len(), 1);
    assert_eq!(approvals[0]["paymentId"], invoices[0]["paymentId"]);
    assert_eq!(approvals[0]["amount"], invoices[0]["amount"]);
    assert_eq!(approvals[0]["billingKey"], Value::from(key));

    let subscription = &sandbox.get(&format!("/api/subscriptions?userId={user}")).await["subscriptions"][0];
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["nextBillingDate"], subscription["dueAt"]);
    let emails = sandbox.all("/api/emails?to=kim@example.com", "emails").await;
    let subjects: Vec<&str> = emails.iter().map(|email| email["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects.len(), 2, "a method registered, a receipt: {subjects:?}");
    assert!(emails[1]["text"].as_str().unwrap().contains("김민수"));
    assert!(!emails[1]["eventId"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_mixed_month_closes_to_the_won() {
    let sandbox = Sandbox::start();
    let mix = json!({ "decline:insufficient_funds": 0.1, "decline:insufficient_funds:2": 0.1, "pending": 0.1, "key_deleted": 0.05 });
    sandbox.post("/api/customers", json!({ "count": 40, "mix": mix, "seed": 3 })).await;
    let faults = json!({ "seed": 3, "rules": [
        { "behavior": "drop_after_success", "rate": 0.1 },
        { "behavior": "html_5xx", "rate": 0.1 },
        { "behavior": "webhook_duplicated", "rate": 0.2 },
        { "behavior": "webhook_lost", "rate": 0.2 },
    ]});
    sandbox.post("/api/portone/faults", faults).await;
    sandbox.to_the_first("09:00:00", 8).await;

    let invoices = sandbox.all("/api/invoices", "invoices").await;
    let of = |status: &str| invoices.iter().filter(|invoice| invoice["status"] == status).collect::<Vec<_>>();
    let (paid, lost) = (of("paid"), of("uncollectible"));
    assert_eq!(invoices.len(), 40);
    assert_eq!(paid.len() + lost.len(), 40);
    assert_eq!(lost.len(), 6, "four never pay, and two keys are gone");
    let ledger = sandbox.get("/api/portone/ledger").await;
    let approvals = ledger["approvals"].as_array().unwrap();
    let approved: BTreeSet<(&str, i64)> =
        approvals.iter().map(|a| (a["paymentId"].as_str().unwrap(), a["amount"].as_i64().unwrap())).collect();
    let collected: BTreeSet<(&str, i64)> =
        paid.iter().map(|i| (i["paymentId"].as_str().unwrap(), i["amount"].as_i64().unwrap())).collect();
    assert_eq!(approvals.len(), approved.len(), "nobody is charged twice");
    assert_eq!(approved, collected);
    for invoice in &invoices {
        assert!(invoice["attempts"].as_array().unwrap().len() <= 4, "{invoice}");
    }
    let queues = sandbox.get("/api/queues").await;
    assert_eq!((&queues["waiting"], &queues["deadLetters"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_refund_in_the_console_reaches_the_books_and_the_customer() {
    let sandbox = Sandbox::start();
    let (user, ..) = sandbox.customer(json!({ "email": "lee@example.com", "pgProvider": "TOSSPAYMENTS" })).await;
    sandbox.to_the_first("10:00:00", 0).await;
    let path = format!("/api/invoices?userId={user}");
    let invoice = sandbox.all(&path, "invoices").await.remove(0);
    sandbox.post("/api/portone/refunds", json!({ "paymentId": invoice["paymentId"], "amount": 100 })).await;
    assert_eq!(sandbox.all(&path, "invoices").await[0]["status"], "partially_refunded");
    sandbox.post("/api/portone/refunds", json!({ "paymentId": invoice["paymentId"] })).await;
    assert_eq!(sandbox.all(&path, "invoices").await[0]["status"], "refunded");
    let emails = sandbox.all("/api/emails?to=lee@example.com", "emails").await;
    assert_eq!(emails.len(), 4, "a method registered, a receipt, two refunds");
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_cleared_up_within_minutes_and_never_repeated() {
    let sandbox = Sandbox::start();
    let (user, _, key) = sandbox.customer(json!({ "email": "park@example.com", "pgProvider": "KCP_V2" })).await;
    let rule = json!({ "billingKey": key, "behavior": "html_5xx_after_success", "rate": 1.0 });
    sandbox.post("/api/portone/faults", json!({ "rules": [rule, { "behavior": "webhook_lost", "rate": 1.0 }] })).await;
    let moved = sandbox.to_the_first("10:00:00", 0).await;
    assert!(moved["runs"].as_array().unwrap().iter().any(|run| run["unknown"] == 1), "{moved}");
    let path = format!("/api/invoices?userId={user}");
    assert_eq!(sandbox.all(&path, "invoices").await[0]["status"], "unknown");
    sandbox.post("/api/clock", json!({ "advance": "PT5M" })).await;
    assert_eq!(sandbox.all(&path, "invoices").await[0]["status"], "paid");
    assert_eq!(sandbox.get("/api/portone/ledger").await["approvals"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_comes_when_portone_takes_no_more_charges_is_charged_within_half_an_hour_once_and_without_losing_a_try()
{
    let sandbox = Sandbox::start();
    sandbox.post("/api/customers", json!({ "count": 12 })).await;
    sandbox.post("/api/portone/faults", json!({ "chargesPerSecond": 3 })).await;
    sandbox.to_the_first("10:00:00", 0).await;
    let invoices = async || sandbox.all("/api/invoices", "invoices").await;
    let unknown = invoices().await.iter().filter(|invoice| invoice["status"] == "unknown").count();
    assert!(unknown > 0, "all were taken at once");
    sandbox.post("/api/clock", json!({ "advance": "PT30M" })).await;
    for invoice in invoices().await {
        assert_eq!(
            (&invoice["status"], invoice["attempts"].as_array().unwrap().len()),
            (&json!("paid"), 1),
            "{invoice}"
        );
    }
    assert_eq!(sandbox.get("/api/portone/ledger").await["approvals"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn a_new_card_on_a_failed_subscription_is_tried_at_once() {
    let sandbox = Sandbox::start();
    let card = json!({ "userId": "u1", "subscriptionId": "s1", "behavior": "decline:stolen_card", "pgProvider": "TOSSPAYMENTS" });
    sandbox.customer(card).await;
    sandbox.to_the_first("10:00:00", 0).await;
    assert_eq!(sandbox.get("/api/subscriptions?userId=u1").await["subscriptions"][0]["status"], "past_due");
    // The same user enrols again, as the payment window would have it: another key, another subscription of theirs.
    sandbox.customer(json!({ "userId": "u1", "subscriptionId": "s2", "pgProvider": "TOSSPAYMENTS" })).await;
    let subscriptions = sandbox.get("/api/subscriptions?userId=u1").await;
    let first =
        subscriptions["subscriptions"].as_array().unwrap().iter().find(|s| s["subscriptionId"] == "s1").unwrap();
    assert_eq!(first["status"], "active", "{subscriptions}");
    assert_eq!(sandbox.get("/api/portone/ledger").await["approvals"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_trial_is_billed_from_the_day_it_ends() {
    let sandbox = Sandbox::start();
    sandbox
        .customer(
            json!({ "userId": "u1", "trialDays": 0, "teamSeats": 1, "planType": "standard", "pgProvider": "KCP_V2" }),
        )
        .await;
    sandbox.post("/api/clock", json!({ "advance": "P2D" })).await;
    let invoices = sandbox.all("/api/invoices?userId=u1", "invoices").await;
    let (amount, days) = (invoices[0]["amount"].as_i64().unwrap(), &invoices[0]["period"]);
    let start: jiff::civil::Date = days.as_str().unwrap().parse().unwrap();
    let month = i64::from(start.days_in_month());
    let monthly =
        sandbox.get("/api/subscriptions?userId=u1").await["subscriptions"][0]["monthlyAmount"].as_i64().unwrap();
    assert_eq!(amount, monthly * (month + 1 - i64::from(start.day())) / month);
}

#[tokio::test]
async fn a_refund_that_no_webhook_told_of_is_found_at_night_and_the_books_balance_again() {
    let sandbox = Sandbox::start();
    sandbox.customer(json!({ "userId": "u1", "email": "choi@example.com", "pgProvider": "KCP_V2" })).await;
    let moved = sandbox.to_the_first("10:00:00", 10).await;
    let month = &moved["now"].as_str().unwrap()[..7];
    let path = format!("/api/books?month={month}");
    let books = sandbox.get(&path).await;
    assert_eq!((&books["balanced"], &books["unsettled"], &books["wrong"]), (&json!(true), &json!(0), &json!([])));
    assert_eq!(books["books"]["accounts"]["KRW"]["columns"]["paid"]["count"], 1);

    let rule = json!({ "behavior": "webhook_lost", "rate": 1.0 });
    sandbox.post("/api/portone/faults", json!({ "rules": [rule] })).await;
    let invoice = sandbox.all("/api/invoices?userId=u1", "invoices").await.remove(0);
    sandbox.post("/api/portone/refunds", json!({ "paymentId": invoice["paymentId"], "amount": 100 })).await;
    assert_eq!(sandbox.get(&path).await["balanced"], false);
    sandbox.post("/api/clock", json!({ "advance": "P1D" })).await;
    assert_eq!(sandbox.all("/api/invoices?userId=u1", "invoices").await[0]["status"], "partially_refunded");
    let url = sandbox.url("console", &format!("{path}&format=text"));
    let text = sandbox.http().get(url).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("given back of the paid          1                100"), "{text}");
    assert!(text.ends_with("BALANCED, and every invoice is settled\n"), "{text}");
}

#[test]
fn a_run_prints_balanced_books_and_the_same_seed_prints_the_same() {
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_sandbox"))
            .args(["run", "--customers", "25", "--seed", "5", "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let mut books: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The books are the seed's; how often someone had to look twice is the scheduler's: a webhook may overtake the answer it tells of.
        for noisy in ["milliseconds", "dynamodbRequests", "portoneCalls"] {
            books.as_object_mut().unwrap().remove(noisy);
        }
        books
    };
    let books = run();
    assert_eq!((&books["due"], &books["balanced"]), (&json!(25), &json!(true)));
    assert_eq!((&books["books"][0]["month"], &books["books"][0]["unsettled"]), (&json!("2026-12"), &json!(0)));
    assert_eq!(books, run());
}
