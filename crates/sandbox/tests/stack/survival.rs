//! `kill -9`.

use crate::attack::Folder;
use crate::process::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn paid(invoices: &[Value]) -> BTreeSet<String> {
    invoices.iter().filter(|i| i["status"] == "paid").map(|i| i["paymentId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stack_that_is_killed_goes_on_where_it_was() {
    let folder = Folder::new("goes-on");
    let sandbox = Sandbox::start_on(folder.path());
    sandbox.post("/api/customers", json!({ "count": 5 })).await;
    sandbox.to_the_first("10:00:00", 0).await;
    let clock = sandbox.get("/api/clock").await["now"].as_str().unwrap().to_owned();
    let (ledger, mails) = (sandbox.get("/api/portone/ledger").await, sandbox.all("/api/emails", "emails").await);
    sandbox.kill();

    let sandbox = Sandbox::start_on(folder.path());
    assert!(sandbox.get("/api/clock").await["now"].as_str().unwrap() >= clock.as_str());
    assert_eq!(sandbox.get("/api/portone/ledger").await, ledger);
    assert_eq!(sandbox.all("/api/emails", "emails").await, mails);
    sandbox.post("/api/customers", json!({ "count": 1 })).await;
    assert_eq!(sandbox.all("/api/subscriptions", "subscriptions").await.len(), 6);
}

#[tokio::test]
async fn a_stack_that_is_killed_in_the_middle_of_a_run_charges_everyone_once_all_the_same() {
    let folder = Folder::new("middle");
    let sandbox = Sandbox::start_on(folder.path());
    sandbox.post("/api/customers", json!({ "count": 40, "seed": 9, "pgProvider": "TOSSPAYMENTS" })).await;
    let (console, http) = (sandbox.url("console", "/api/portone/ledger"), sandbox.http().clone());
    // The run is cut off as soon as the simulator has approved something.
    let cut = async {
        loop {
            let ledger: Value = http.get(&console).send().await.unwrap().json().await.unwrap();
            if !ledger["approvals"].as_array().unwrap().is_empty() {
                return;
            }
        }
    };
    let noon = sandbox.moment_on_the_first("12:00:00", 0).await;
    tokio::select! {
        () = cut => {}
        _ = sandbox.post("/api/clock", json!({ "advanceTo": noon })) => {}
    }
    sandbox.kill();

    let sandbox = Sandbox::start_on(folder.path());
    sandbox.post("/api/clock", json!({ "advanceTo": noon })).await;
    sandbox.post("/api/clock", json!({ "advance": "P2D" })).await;
    let invoices = sandbox.all("/api/invoices", "invoices").await;
    let ledger = sandbox.get("/api/portone/ledger").await;
    let approvals = ledger["approvals"].as_array().unwrap();
    let approved: BTreeSet<String> = approvals.iter().map(|a| a["paymentId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(approvals.len(), approved.len(), "nobody is charged twice");
    assert_eq!(approved, paid(&invoices));
    let subscriptions: BTreeSet<&str> = invoices.iter().map(|i| i["subscriptionId"].as_str().unwrap()).collect();
    assert_eq!(subscriptions.len(), 40, "nobody is forgotten");
}

#[tokio::test]
async fn a_charge_that_a_kill_interrupts_fails_after_it_began_by_the_sandboxs_clock() {
    let folder = Folder::new("interrupted");
    let sandbox = Sandbox::start_on(folder.path());
    sandbox.customer(json!({ "behavior": "hang", "pgProvider": "TOSSPAYMENTS" })).await;
    let noon = sandbox.moment_on_the_first("12:00:00", 0).await;
    let hanging = async {
        loop {
            for invoice in sandbox.all("/api/invoices", "invoices").await {
                let id = invoice["paymentId"].as_str().unwrap().to_owned();
                if sandbox.payment(&id).await["status"] == "READY" {
                    return id;
                }
            }
        }
    };
    let id = tokio::select! {
        id = hanging => id,
        _ = sandbox.post("/api/clock", json!({ "advanceTo": noon })) => panic!("the charge did not hang"),
    };
    sandbox.kill();

    let payment = Sandbox::start_on(folder.path()).payment(&id).await;
    let at = |name: &str| payment[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("failedAt") >= at("requestedAt"), "{payment}");
}
