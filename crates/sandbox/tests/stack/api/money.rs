//! Charges, changes, cancellations and refunds.

use super::contract::Call;
use super::{User, morning, refund};
use crate::process::Sandbox;
use serde_json::json;

#[tokio::test]
async fn a_charge_is_made_once_and_told_again_under_its_key() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let body = |amount: i64| json!({ "subscriptionId": user.subscription, "userId": user.id, "amount": amount, "currency": "KRW" });
    let charge = |amount: i64| Call::post(&sandbox, "/api/portone/charge").json(&body(amount));

    let differs = charge(29_000).key("order-1").send().await;
    assert_eq!(differs.is(409, "amount-differs")["owed"], json!({ "amount": 30_000, "currency": "KRW" }));
    let paid = charge(30_000).key("order-1").send().await;
    let again = charge(30_000).key("\"order-1\"").send().await;
    assert_eq!(paid.is(200, "paid"), again.is(200, "paid"));
    let other = charge(30_000).key("order-2").send().await;
    let other = other.is(409, "nothing-owed");
    assert_eq!(other["lastInvoice"]["paymentId"], paid.body["paymentId"]);
    assert_eq!(other["nextCharge"]["amount"], 30_000);
    user.post(&sandbox, "retry").send().await.is(409, "nothing-owed");
    charge(29_000).key("order-1").send().await.is(409, "amount-differs");
    assert_eq!(user.invoices(&sandbox).await.len(), 1);
    assert_eq!(sandbox.get("/api/portone/ledger").await["approvals"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_declined_charge_says_why_and_when_it_is_tried_again() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({ "behavior": "decline:insufficient_funds" })).await;
    let declined = user.charge(&sandbox).key("order-1").send().await;
    let body = declined.is(402, "declined");
    assert_eq!((&body["reason"], &body["invoiceStatus"]), (&json!("insufficient_funds"), &json!("failed")));
    assert!(body["retryAt"].is_i64());
    assert_eq!(&user.charge(&sandbox).key("order-1").send().await.body, body);
    assert_eq!(user.invoices(&sandbox).await[0]["attempts"].as_array().unwrap().len(), 1);
    user.change(&sandbox, "pro", 5).send().await.is(409, "not-now");

    user.behaves(&sandbox, "approve").await;
    // Two attempts lie two minutes apart.
    sandbox.post("/api/clock", json!({ "advance": "PT2M" })).await;
    user.post(&sandbox, "retry").key("order-2").send().await.is(200, "paid");
    assert_eq!(&user.charge(&sandbox).key("order-1").send().await.is(402, "declined")["reason"], "insufficient_funds");
}

#[tokio::test]
async fn a_charge_without_an_answer_is_not_called_failed_and_its_key_learns_the_end() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let rules = json!({ "rules": [{ "behavior": "drop_after_success" }, { "behavior": "webhook_lost" }] });
    sandbox.post("/api/portone/faults", rules).await;
    let unknown = user.charge(&sandbox).key("order-1").send().await;
    let id = unknown.is(202, "unknown")["paymentId"].clone();
    assert_eq!(user.invoices(&sandbox).await[0]["paymentId"], id);
    assert_eq!(user.charge(&sandbox).key("order-1").send().await.is(200, "paid")["paymentId"], id);
}

#[tokio::test]
async fn refused_credentials_are_trouble_of_ours() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let rules = json!({ "rules": [{ "behavior": "unauthorized", "requests": 100 }] });
    sandbox.post("/api/portone/faults", rules).await;
    let refused = user.charge(&sandbox).send().await;
    refused.is(503, "credentials");
    assert_eq!(refused.headers["retry-after"], "300");
}

/// `PortOne` has been paid another sum than is owed, under the invoice's own name.
async fn pays_another_sum(sandbox: &Sandbox, user: &User) -> String {
    user.behaves(sandbox, "empty_5xx").await;
    let unknown = user.charge(sandbox).send().await;
    let id = unknown.is(202, "unknown")["paymentId"].as_str().unwrap().to_owned();
    user.behaves(sandbox, "approve").await;
    let body = json!({ "billingKey": user.billing_key, "orderName": "x", "amount": { "total": 1_000 }, "currency": "KRW",
        "customer": { "id": user.id } });
    let path = format!("/payments/{id}/billing-key");
    let authorization = format!("PortOne {}", sandbox.ready["apiSecret"].as_str().unwrap());
    let request = sandbox.http().post(sandbox.url("portone", &path)).header("authorization", authorization);
    let answer = request.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    id
}

#[tokio::test]
async fn what_portone_and_our_books_contradict_each_other_about_waits_for_a_person() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let id = pays_another_sum(&sandbox, &user).await;
    // Its webhook is heard.
    sandbox.post("/api/clock", json!({ "advance": "PT1M" })).await;
    assert_eq!(user.subscription(&sandbox).await["parked"], true);
    user.charge(&sandbox).send().await.is(409, "parked");
    user.post(&sandbox, "retry").send().await.is(409, "parked");
    user.change(&sandbox, "pro", 5).send().await.is(409, "parked");
    refund(&sandbox, &id, &json!({ "reason": "x" })).send().await.is(409, "parked");
}

#[tokio::test]
async fn a_row_that_nobody_can_read_is_a_mistake_of_ours() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let spoil = json!({
        "TableName": sandbox.ready["tables"]["subscriptions"],
        "Key": { "userId": { "S": user.id }, "subscriptionId": { "S": user.subscription } },
        "UpdateExpression": "SET planType = :p", "ExpressionAttributeValues": { ":p": { "S": "gold" } },
    });
    sandbox.dynamodb("UpdateItem", &spoil).await;
    let broken = user.charge(&sandbox).send().await;
    broken.is(500, "internal");
    assert!(!broken.body.to_string().contains("gold"), "{}", broken.body);
    user.get(&sandbox, "").send().await.is(500, "internal");
    user.cancel(&sandbox, "now").send().await.is(500, "internal");
}

#[tokio::test]
async fn while_an_operator_has_stopped_collecting_nothing_is_charged_and_then_it_is() {
    let sandbox = morning().await;
    let (changer, paid) = User::who_paid(&sandbox, json!({})).await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let stop = json!({ "collecting": "stopped", "reason": "the PG is ill" });
    assert_eq!(sandbox.post("/api/controls", stop.clone()).await, stop);
    let refused = user.charge(&sandbox).send().await;
    refused.is(503, "stopped");
    assert_eq!(refused.headers["retry-after"], "300");
    user.post(&sandbox, "retry").send().await.is(503, "stopped");
    changer.change(&sandbox, "pro", 5).send().await.is(503, "stopped");
    changer.quote(&sandbox, "pro", 5).send().await.is(200, "quoted");
    refund(&sandbox, &paid, &json!({ "reason": "x", "amount": 1_000 })).send().await.is(200, "succeeded");
    // Runs come and go.
    sandbox.post("/api/clock", json!({ "advance": "P2D" })).await;
    assert!(user.invoices(&sandbox).await.is_empty());
    sandbox.post("/api/controls", json!({ "collecting": "running" })).await;
    assert_eq!(sandbox.get("/api/controls").await, json!({ "collecting": "running" }));
    sandbox.post("/api/clock", json!({ "advance": "P1D" })).await;
    assert_eq!(user.invoices(&sandbox).await[0]["status"], "paid");
}

#[tokio::test]
async fn while_banks_are_down_nothing_is_charged() {
    let sandbox = morning().await;
    let (changer, _) = User::who_paid(&sandbox, json!({})).await;
    sandbox.to_the_first("23:35:00", 0).await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let refused = user.charge(&sandbox).send().await;
    refused.is(503, "banks-down");
    assert_eq!(refused.headers["retry-after"], "3600");
    changer.change(&sandbox, "pro", 5).send().await.is(503, "banks-down");
    assert!(user.invoices(&sandbox).await.is_empty());
}

#[tokio::test]
async fn an_upgrade_is_quoted_charged_and_told_again_and_a_downgrade_waits() {
    let sandbox = morning().await;
    let (user, _) = User::who_paid(&sandbox, json!({})).await;
    let quoted = user.quote(&sandbox, "pro", 5).send().await;
    assert_eq!(quoted.is(200, "quoted")["charge"]["amount"], 70_000);
    assert_eq!(user.subscription(&sandbox).await["planType"], "standard");

    let changed = user.change(&sandbox, "pro", 5).key("change-1").send().await;
    let body = changed.is(200, "changed");
    assert_eq!((&body["charge"]["amount"], &body["charge"]["kind"]), (&json!(70_000), &json!("upgrade")));
    assert_eq!(&user.change(&sandbox, "pro", 5).key("change-1").send().await.body, body);
    user.change(&sandbox, "pro", 5).send().await.is(200, "unchanged");
    user.quote(&sandbox, "pro", 5).send().await.is(200, "unchanged");

    let later = user.change(&sandbox, "standard", 1).send().await;
    assert_eq!(later.is(200, "scheduled")["terms"]["monthlyAmount"], 10_000);
    let shown = user.subscription(&sandbox).await;
    assert_eq!((&shown["monthlyAmount"], &shown["nextCharge"]["amount"]), (&json!(100_000), &json!(10_000)));
    user.change(&sandbox, "pro", 501).send().await.is(422, "not-sold");
    user.change(&sandbox, "free", 1).send().await.is(422, "not-sold");
    assert_eq!(user.invoices(&sandbox).await.len(), 2);
}

#[tokio::test]
async fn a_trial_takes_any_change_for_nothing() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({ "trialDays": 14 })).await;
    user.charge(&sandbox).send().await.is(409, "nothing-owed");
    user.quote(&sandbox, "pro", 5).send().await.is(200, "changed");
    assert_eq!(user.change(&sandbox, "pro", 5).send().await.is(200, "changed")["charge"], json!(null));
    let ended = user.cancel(&sandbox, "now").send().await;
    assert_eq!(ended.is(200, "canceled")["unused"]["amount"], 0);
}

#[tokio::test]
async fn a_declined_upgrade_changes_nothing() {
    let sandbox = morning().await;
    let (user, _) = User::who_paid(&sandbox, json!({})).await;
    user.behaves(&sandbox, "decline:limit_exceeded").await;
    let declined = user.change(&sandbox, "pro", 5).key("change-1").send().await;
    let body = declined.is(402, "declined");
    assert_eq!((&body["retryAt"], &body["invoiceStatus"]), (&json!(null), &json!("void")));
    assert_eq!(&user.change(&sandbox, "pro", 5).key("change-1").send().await.body, body);
    let shown = user.subscription(&sandbox).await;
    assert_eq!((&shown["planType"], &shown["status"]), (&json!("standard"), &json!("active")));
}

#[tokio::test]
async fn an_upgrade_that_is_not_decided_takes_no_other_beside_it() {
    let sandbox = morning().await;
    let (user, _) = User::who_paid(&sandbox, json!({})).await;
    let rules = json!({ "rules": [{ "behavior": "drop_after_success" }, { "behavior": "webhook_lost" }] });
    sandbox.post("/api/portone/faults", rules).await;
    user.change(&sandbox, "pro", 5).key("change-1").send().await.is(202, "unknown");
    assert_eq!(user.subscription(&sandbox).await["upgradeUnderWay"]["teamSeats"], 5);
    let other = user.change(&sandbox, "pro", 6).send().await;
    other.is(409, "under-way");
    assert_eq!(other.headers["retry-after"], "5");
    user.change(&sandbox, "pro", 5).key("change-1").send().await.is(200, "changed");
}

#[tokio::test]
async fn a_subscription_ends_with_its_period_or_now_and_can_be_resumed_until_then() {
    let sandbox = morning().await;
    let (user, id) = User::who_paid(&sandbox, json!({})).await;
    let preview = |at: &str| user.post(&sandbox, "cancel?preview=true").json(&json!({ "at": at }));
    assert_eq!(preview("period_end").send().await.is(200, "quoted")["unused"], json!(null));
    let quoted = preview("now").send().await;
    let unused = quoted.is(200, "quoted")["unused"].clone();
    assert_eq!(unused["of"][0]["paymentId"], json!(id));

    user.cancel(&sandbox, "period_end").send().await.is(200, "ends_at_period_end");
    user.cancel(&sandbox, "period_end").send().await.is(200, "ends_at_period_end");
    user.change(&sandbox, "pro", 5).send().await.is(409, "not-now");
    assert_eq!(user.subscription(&sandbox).await["nextCharge"], json!(null));
    let resumed = user.post(&sandbox, "resume").send().await;
    assert_eq!(resumed.is(200, "active")["cancelAtPeriodEnd"], false);
    user.post(&sandbox, "resume").send().await.is(200, "active");

    assert_eq!(user.cancel(&sandbox, "now").send().await.is(200, "canceled")["unused"], unused);
    user.cancel(&sandbox, "now").send().await.is(200, "canceled");
    user.post(&sandbox, "resume").send().await.is(409, "ended");
    user.post(&sandbox, "retry").send().await.is(409, "ended");
    user.charge(&sandbox).send().await.is(409, "ended");
    user.change(&sandbox, "pro", 5).send().await.is(409, "ended");
    user.post(&sandbox, "payment-method").json(&json!({ "methodId": 1 })).send().await.is(409, "ended");
    let back = json!({ "reason": "unused", "amount": unused["amount"] });
    refund(&sandbox, &id, &back).send().await.is(200, "succeeded");
}

#[tokio::test]
async fn a_subscription_whose_charge_is_not_decided_ends_when_it_is() {
    let sandbox = morning().await;
    let user =
        User::who_owes(&sandbox, json!({ "pgProvider": "PAYPAL_V2", "currency": "USD", "behavior": "pending" })).await;
    let pending = user.charge(&sandbox).send().await;
    pending.is(202, "pending");
    user.cancel(&sandbox, "now").send().await.is(202, "ends_when_decided");
}

#[tokio::test]
async fn a_payment_is_given_back_in_part_and_in_full_and_never_twice_under_one_key() {
    let sandbox = morning().await;
    let (_, id) = User::who_paid(&sandbox, json!({})).await;
    let part = |amount: i64| json!({ "reason": "고객 요청", "amount": amount, "currentCancellableAmount": 30_000 });
    let given = refund(&sandbox, &id, &part(10_000)).key("refund-1").send().await;
    assert_eq!(given.is(200, "succeeded")["cancellable"], json!({ "amount": 20_000, "currency": "KRW" }));
    let again = refund(&sandbox, &id, &part(10_000)).key("refund-1").send().await;
    assert_eq!(given.body, again.body);
    refund(&sandbox, &id, &part(11_000)).key("refund-1").send().await.is(422, "key-reused");
    let stale = refund(&sandbox, &id, &part(10_000)).key("refund-2").send().await;
    assert_eq!(stale.is(409, "amount-differs")["cancellable"]["amount"], 20_000);
    let more = refund(&sandbox, &id, &json!({ "reason": "x", "amount": 20_001 })).send().await;
    assert_eq!(more.is(409, "amount-differs")["cancellable"]["amount"], 20_000);
    let rest = refund(&sandbox, &id, &json!({ "reason": "x" })).key("refund-3").send().await;
    assert_eq!(rest.is(200, "succeeded")["refunded"]["amount"], 20_000);
    refund(&sandbox, &id, &json!({ "reason": "x" })).send().await.is(409, "not-refundable");
}

#[tokio::test]
async fn paypal_decides_a_refund_later_and_no_other_is_begun_meanwhile() {
    let sandbox = morning().await;
    let (user, id) = User::who_paid(&sandbox, json!({ "pgProvider": "PAYPAL_V2", "currency": "USD" })).await;
    sandbox.post("/api/portone/faults", json!({ "rules": [{ "behavior": "pending", "operation": "cancel" }] })).await;
    let body = json!({ "reason": "x", "amount": 100 });
    refund(&sandbox, &id, &body).key("refund-1").send().await.is(202, "requested");
    refund(&sandbox, &id, &body).key("refund-1").send().await.is(202, "requested");
    refund(&sandbox, &id, &body).key("refund-2").send().await.is(409, "under-way");
    assert_eq!(user.invoices(&sandbox).await[0]["refunds"][0]["outcome"], "requested");
}

#[tokio::test]
async fn a_refund_that_fails_says_so_and_one_that_nobody_knows_of_does_not() {
    let sandbox = morning().await;
    let (_, failing) = User::who_paid(&sandbox, json!({})).await;
    let (_, lost) = User::who_paid(&sandbox, json!({})).await;
    let rule = |behavior: &str| json!({ "rules": [{ "behavior": behavior, "operation": "cancel" }] });
    sandbox.post("/api/portone/faults", rule("decline:refused")).await;
    refund(&sandbox, &failing, &json!({ "reason": "x" })).send().await.is(402, "failed");
    sandbox.post("/api/portone/faults", rule("drop_after_success")).await;
    let body = json!({ "reason": "x", "amount": 1000 });
    refund(&sandbox, &lost, &body).key("refund-1").send().await.is(202, "unknown");
    refund(&sandbox, &lost, &body).key("refund-1").send().await.is(200, "succeeded");
}
