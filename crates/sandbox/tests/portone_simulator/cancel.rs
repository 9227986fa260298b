use crate::bench::Bench;
use crate::receiver::Receiver;
use reqwest::Method;
use serde_json::{Value, json};

async fn paid(bench: &Bench, id: &str) -> String {
    let key = bench.key("approve");
    assert_eq!(bench.charge(id, &key).await.0, 200);
    key
}

async fn cancel(bench: &Bench, id: &str, mut body: Value) -> (u16, Value) {
    body["reason"] = json!("asked for");
    bench.post(&format!("/payments/{id}/cancel"), body).await
}

fn refused(answer: &(u16, Value), status: u16, kind: &str) {
    assert_eq!((answer.0, &answer.1["type"]), (status, &json!(kind)));
}

#[tokio::test]
async fn all_of_a_payment_is_given_back_once() {
    let bench = Bench::new().await;
    paid(&bench, "payment1").await;
    let (status, body) = cancel(&bench, "payment1", json!({})).await;
    assert_eq!(status, 200);
    let cancellation = &body["cancellation"];
    assert_eq!((&cancellation["status"], &cancellation["totalAmount"]), (&json!("SUCCEEDED"), &json!(11_000)));
    assert_eq!((&cancellation["vatAmount"], &cancellation["trigger"]), (&json!(1000), &json!("API")));
    let payment = bench.payment("payment1").await;
    assert_eq!(payment["status"], "CANCELLED");
    assert_eq!(payment["amount"]["cancelled"], 11_000);
    refused(&cancel(&bench, "payment1", json!({})).await, 409, "PAYMENT_ALREADY_CANCELLED");
    refused(&bench.charge("payment1", "none").await, 404, "BILLING_KEY_NOT_FOUND");
    let ledger = bench.portone.ledger();
    assert_eq!(ledger.cancellations.len(), 1);
    assert_eq!(ledger.cancellations[0].amount, 11_000);
}

#[tokio::test]
async fn parts_are_given_back_while_the_balance_is_as_the_caller_believes() {
    let bench = Bench::new().await;
    paid(&bench, "payment1").await;
    let (status, _) = cancel(&bench, "payment1", json!({"amount": 1000, "currentCancellableAmount": 11_000})).await;
    assert_eq!(status, 200);
    let payment = bench.payment("payment1").await;
    assert_eq!((&payment["status"], &payment["amount"]["cancelled"]), (&json!("PARTIAL_CANCELLED"), &json!(1000)));
    let stale = cancel(&bench, "payment1", json!({"amount": 1000, "currentCancellableAmount": 11_000})).await;
    refused(&stale, 409, "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN");
    let more = cancel(&bench, "payment1", json!({"amount": 10_001})).await;
    refused(&more, 409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT");
    let parts = cancel(&bench, "payment1", json!({"amount": 100, "taxFreeAmount": 60, "vatAmount": 60})).await;
    refused(&parts, 409, "SUM_OF_PARTS_EXCEEDS_CANCEL_AMOUNT");
    let tax_free = cancel(&bench, "payment1", json!({"amount": 100, "taxFreeAmount": 60})).await;
    refused(&tax_free, 409, "CANCEL_TAX_FREE_AMOUNT_EXCEEDS_CANCELLABLE_TAX_FREE_AMOUNT");
    refused(&cancel(&bench, "payment1", json!({"amount": 0})).await, 400, "INVALID_REQUEST");
    let (status, body) = cancel(&bench, "payment1", json!({})).await;
    assert_eq!((status, &body["cancellation"]["totalAmount"]), (200, &json!(10_000)));
    assert_eq!(bench.payment("payment1").await["status"], "CANCELLED");
}

#[tokio::test]
async fn what_is_not_paid_is_not_cancelled() {
    let bench = Bench::new().await;
    refused(&cancel(&bench, "payment1", json!({})).await, 404, "PAYMENT_NOT_FOUND");
    let key = bench.key("decline:over_limit");
    bench.charge("payment1", &key).await;
    refused(&cancel(&bench, "payment1", json!({})).await, 409, "PAYMENT_NOT_PAID");
    refused(&bench.post("/payments/payment1/cancel", json!({})).await, 400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_doubled_partial_cancellation_with_one_key_is_done_once() {
    let bench = Bench::new().await;
    paid(&bench, "payment1").await;
    for _ in 0..2 {
        let request =
            bench.request(Method::POST, "/payments/payment1/cancel").header("idempotency-key", "\"payment1-cancel-1\"");
        let response = request.json(&json!({"reason": "r", "amount": 1000})).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(bench.payment("payment1").await["amount"]["cancelled"], 1000);
}

#[tokio::test]
async fn a_refund_at_paypal_is_requested_and_done_later() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    let key = bench.key_at_paypal("approve");
    bench.charge("payment1", &key).await;
    let (status, body) = cancel(&bench, "payment1", json!({})).await;
    assert_eq!((status, &body["cancellation"]["status"]), (200, &json!("REQUESTED")));
    bench.portone.fire_due().await;
    assert_eq!(bench.payment("payment1").await["status"], "PAID");
    assert!(bench.portone.ledger().cancellations.is_empty());
    refused(&cancel(&bench, "payment1", json!({})).await, 409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT");
    bench.clock.advance_to(bench.portone.next_due().unwrap());
    bench.portone.fire_due().await;
    assert_eq!(bench.payment("payment1").await["status"], "CANCELLED");
    assert_eq!(
        receiver.kinds(),
        ["Transaction.Paid", "Transaction.CancelPending", "Transaction.Cancelled"].map(str::to_owned).to_vec()
    );
}

#[tokio::test]
async fn a_cancellation_can_be_declined_and_its_answer_can_be_lost() {
    let bench = Bench::new().await;
    paid(&bench, "payment1").await;
    bench.faults(&json!({"behavior": "decline:pg_down", "operation": "cancel", "attempts": 1}));
    refused(&cancel(&bench, "payment1", json!({})).await, 502, "PG_PROVIDER");
    let payment = bench.payment("payment1").await;
    assert_eq!(payment["cancellations"][0]["status"], "FAILED");
    bench.faults(&json!({"behavior": "drop_after_success", "operation": "cancel"}));
    let send = || {
        let request = bench.request(Method::POST, "/payments/payment1/cancel");
        request.header("idempotency-key", "\"payment1-cancel-2\"").json(&json!({"reason": "r"})).send()
    };
    assert!(send().await.is_err());
    assert_eq!(send().await.unwrap().status(), 200);
    assert_eq!(bench.portone.ledger().cancellations.len(), 1);
}
