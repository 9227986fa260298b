use crate::bench::{Bench, STORE, order};
use crate::receiver::Receiver;
use futures::FutureExt;
use jiff::SignedDuration;
use serde_json::json;

async fn hooked() -> (Bench, Receiver) {
    let (bench, receiver) = (Bench::new().await, Receiver::new().await);
    bench.portone.set_webhook_url(receiver.url.clone());
    (bench, receiver)
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_only_what_it_is_about() {
    let (bench, receiver) = hooked().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    assert!(!bench.portone.is_idle());
    bench.portone.fire_due().await;
    assert!(bench.portone.is_idle());
    let hook = &receiver.hooks()[0];
    assert!(hook.is_signed());
    assert_eq!(hook.timestamp, bench.clock.now().as_second());
    let transaction = bench.payment("payment1").await["transactionId"].as_str().unwrap().to_owned();
    assert_eq!(
        hook.text,
        format!(
            "{{\"type\":\"Transaction.Paid\",\"timestamp\":\"2026-11-22T01:00:00.000Z\",\"data\":{{\"paymentId\":\"payment1\",\
             \"storeId\":\"{STORE}\",\"transactionId\":\"{transaction}\"}}}}"
        )
    );
}

#[tokio::test]
async fn a_decline_and_a_pending_charge_are_told_of_too() {
    let (bench, receiver) = hooked().await;
    let (declined, pending) = (bench.key("decline:over_limit"), bench.key_at_paypal("pending"));
    bench.charge("payment1", &declined).await;
    bench.charge("payment2", &pending).await;
    bench.portone.fire_due().await;
    bench.advance(SignedDuration::from_hours(1));
    bench.portone.fire_due().await;
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["Transaction.Failed", "Transaction.Paid", "Transaction.PayPending"]);
    let webhooks = bench.payment("payment2").await["webhooks"].clone();
    assert_eq!((&webhooks[1]["trigger"], &webhooks[1]["isAsync"]), (&json!("ASYNC_PAY_APPROVED"), &json!(true)));
}

#[tokio::test]
async fn a_refused_webhook_is_sent_again_with_the_same_id_and_a_fresh_timestamp_six_times_in_all() {
    let (bench, receiver) = hooked().await;
    receiver.answers(204);
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    let mut last = bench.clock.now();
    for (tries, most) in (1..).zip([1, 4, 16, 64, 256]) {
        assert_eq!(receiver.hooks().len(), tries);
        let due = bench.portone.next_due().unwrap();
        assert!(due.duration_since(last) <= SignedDuration::from_mins(most), "{due} {last}");
        bench.clock.advance_to(due - SignedDuration::from_millis(1));
        bench.portone.fire_due().await;
        assert_eq!(receiver.hooks().len(), tries, "not yet");
        bench.clock.advance_to(due);
        bench.portone.fire_due().await;
        last = due;
    }
    assert_eq!(receiver.hooks().len(), 6);
    assert_eq!(bench.portone.next_due(), None);
    let hooks = receiver.hooks();
    assert!(hooks.iter().all(|hook| hook.is_signed() && hook.id == hooks[0].id && hook.text == hooks[0].text));
    assert!(hooks.is_sorted_by_key(|hook| hook.timestamp));
    let webhook = bench.payment("payment1").await["webhooks"][0].clone();
    assert_eq!((&webhook["status"], &webhook["currentExecutionCount"]), (&json!("FAILED_NOT_OK_RESPONSE"), &json!(6)));
    assert_eq!((&webhook["response"]["code"], &webhook["request"]["body"]), (&json!("204"), &json!(hooks[0].text)));
}

#[tokio::test]
async fn a_200_ends_it() {
    let (bench, receiver) = hooked().await;
    receiver.answers(500);
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    receiver.answers(200);
    bench.clock.advance_to(bench.portone.next_due().unwrap());
    bench.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 2);
    assert_eq!(bench.portone.next_due(), None);
    assert_eq!(bench.payment("payment1").await["webhooks"][0]["status"], "SUCCEEDED");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_tried_again() {
    let bench = Bench::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bench.portone.set_webhook_url(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    assert_eq!(bench.payment("payment1").await["webhooks"][0]["status"], "FAILED_UNEXPECTED_ERROR");
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    bench.clock.advance_to(bench.portone.next_due().unwrap());
    bench.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 1, "at the console's address of now");
}

#[tokio::test]
async fn notice_urls_take_the_place_of_the_consoles() {
    let (bench, receiver) = hooked().await;
    let own = Receiver::new().await;
    let key = bench.key("approve");
    let mut order = order(&key);
    order["noticeUrls"] = json!([own.url]);
    bench.post("/payments/payment1/billing-key", order.clone()).await;
    order["noticeUrls"] = json!([]);
    bench.post("/payments/payment2/billing-key", order).await;
    bench.portone.fire_due().await;
    assert_eq!(own.hooks()[0].body["data"]["paymentId"], "payment1");
    assert_eq!(receiver.hooks()[0].body["data"]["paymentId"], "payment2");
    assert_eq!((own.hooks().len(), receiver.hooks().len()), (1, 1));
}

#[tokio::test]
async fn skip_webhook_hushes_a_success_and_nothing_else() {
    let (bench, receiver) = hooked().await;
    for (behavior, id) in [("approve", "payment1"), ("decline:over_limit", "payment2")] {
        let mut order = order(&bench.key(behavior));
        order["skipWebhook"] = json!(true);
        bench.post(&format!("/payments/{id}/billing-key"), order).await;
    }
    bench.portone.fire_due().await;
    assert_eq!(receiver.kinds(), ["Transaction.Failed"]);
    bench.post("/payments/payment1/cancel", json!({"reason": "r", "skipWebhook": true})).await;
    bench.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 1);
}

#[tokio::test]
async fn a_webhook_can_be_sent_again_by_hand() {
    let (bench, receiver) = hooked().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    let (status, body) = bench.post("/payments/payment1/resend-webhook", json!({})).await;
    assert_eq!((status, &body["webhook"]["status"]), (200, &json!("SUCCEEDED")));
    let hooks = receiver.hooks();
    assert_eq!((hooks.len(), &hooks[0].id), (2, &hooks[1].id));
    let (_, none) = bench.post("/payments/payment1/resend-webhook", json!({"webhookId": "none"})).await;
    assert_eq!(none["type"], "WEBHOOK_NOT_FOUND");
    let (_, none) = bench.post("/payments/payment2/resend-webhook", json!({})).await;
    assert_eq!(none["type"], "PAYMENT_NOT_FOUND");
    for _ in 0..9 {
        bench.post("/payments/payment1/resend-webhook", json!({})).await;
    }
    let (status, worn_out) = bench.post("/payments/payment1/resend-webhook", json!({})).await;
    assert_eq!((status, &worn_out["type"]), (400, &json!("MAX_WEBHOOK_RETRY_COUNT_REACHED")));
}

#[tokio::test]
async fn one_who_fires_whenever_told_comes_to_rest() {
    let (bench, receiver) = hooked().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    let mut rounds = 0;
    while bench.portone.changed().notified().now_or_never().is_some() {
        bench.portone.fire_due().await;
        rounds += 1;
        assert!(rounds < 10);
    }
    assert_eq!(receiver.hooks().len(), 1);
}
