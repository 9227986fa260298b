use crate::bench::{Bench, order};
use crate::receiver::Receiver;
use serde_json::{Value, json};

async fn schedule(bench: &Bench, payment_id: &str, key: &str, at: &str) -> (u16, Value) {
    let body = json!({"payment": order(key), "timeToPay": at});
    bench.post(&format!("/payments/{payment_id}/schedule"), body).await
}

async fn scheduled(bench: &Bench, payment_id: &str, key: &str, at: &str) -> String {
    let (status, body) = schedule(bench, payment_id, key, at).await;
    assert_eq!(status, 200, "{body}");
    body["schedule"]["id"].as_str().unwrap().to_owned()
}

async fn revoke(bench: &Bench, asked: Value) -> (u16, Value) {
    bench.delete(&format!("/payment-schedules?requestBody={}", crate::bench::encoded(&asked.to_string()))).await
}

#[tokio::test]
async fn a_schedule_charges_at_its_time_and_tells_of_it() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    let (good, bad) = (bench.key("approve"), bench.key("decline:over_limit"));
    let id = scheduled(&bench, "payment1", &good, "2026-12-01T09:00:00+09:00").await;
    let failing = scheduled(&bench, "payment2", &bad, "2026-12-01T00:00:00Z").await;
    assert_eq!(bench.get("/payments/payment1").await.0, 404);
    bench.clock.advance_to("2026-12-01T00:00:00Z".parse().unwrap());
    assert!(!bench.portone.is_idle());
    bench.portone.fire_due().await;
    let payment = bench.payment("payment1").await;
    assert_eq!((&payment["status"], &payment["scheduleId"]), (&json!("PAID"), &json!(id)));
    assert_eq!(bench.get(&format!("/payment-schedules/{id}")).await.1["status"], "SUCCEEDED");
    assert_eq!(bench.get(&format!("/payment-schedules/{failing}")).await.1["status"], "FAILED");
    assert_eq!(bench.get("/payment-schedules/none").await.0, 404);
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["Transaction.Failed", "Transaction.Paid"]);
}

#[tokio::test]
async fn a_schedule_holds_its_payment_and_its_key() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let id = scheduled(&bench, "payment1", &key, "2026-12-01T00:00:00Z").await;
    let kinds = [
        bench.charge("payment1", &key).await,
        schedule(&bench, "payment1", &key, "2026-12-02T00:00:00Z").await,
        bench.delete(&format!("/billing-keys/{key}")).await,
    ];
    for (status, body) in kinds {
        assert_eq!((status, &body["type"]), (409, &json!("PAYMENT_SCHEDULE_ALREADY_EXISTS")));
    }
    let (status, body) = revoke(&bench, json!({"scheduleIds": [id]})).await;
    assert_eq!((status, &body["revokedScheduleIds"]), (200, &json!([id])));
    assert_eq!(bench.charge("payment1", &key).await.0, 200);
    let (_, late) = schedule(&bench, "payment1", &key, "2026-12-02T00:00:00Z").await;
    assert_eq!(late["type"], "ALREADY_PAID_OR_WAITING");
    assert_eq!(bench.portone.next_due(), None);
}

#[tokio::test]
async fn a_time_must_be_in_the_future_and_have_a_zone() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    for wrong in ["2026-11-22T01:00:00Z", "2026-12-01T00:00:00", "tomorrow"] {
        assert_eq!(schedule(&bench, "payment1", &key, wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(schedule(&bench, "payment1", "none", "2026-12-01T00:00:00Z").await.1["type"], "BILLING_KEY_NOT_FOUND");
}

#[tokio::test]
async fn schedules_are_revoked_all_or_none() {
    let bench = Bench::new().await;
    let (key, other) = (bench.key("approve"), bench.key("approve"));
    let first = scheduled(&bench, "payment1", &key, "2026-12-01T00:00:00Z").await;
    let second = scheduled(&bench, "payment2", &key, "2026-12-02T00:00:00Z").await;
    let foreign = scheduled(&bench, "payment3", &other, "2026-12-02T00:00:00Z").await;
    assert_eq!(revoke(&bench, json!({})).await.0, 400);
    assert_eq!(revoke(&bench, json!({"scheduleIds": [first, "none"]})).await.1["type"], "PAYMENT_SCHEDULE_NOT_FOUND");
    assert_eq!(revoke(&bench, json!({"billingKey": key, "scheduleIds": [first, foreign]})).await.0, 400);
    assert_eq!(revoke(&bench, json!({"billingKey": "none"})).await.1["type"], "BILLING_KEY_NOT_FOUND");
    assert_eq!(bench.get(&format!("/payment-schedules/{first}")).await.1["status"], "SCHEDULED");
    let (_, all) = revoke(&bench, json!({"billingKey": key})).await;
    assert_eq!(all["revokedScheduleIds"].as_array().unwrap().len(), 2);
    assert_eq!(revoke(&bench, json!({"scheduleIds": [second]})).await.1["type"], "PAYMENT_SCHEDULE_ALREADY_REVOKED");
    bench.clock.advance_to("2026-12-02T00:00:00Z".parse().unwrap());
    bench.portone.fire_due().await;
    assert_eq!(revoke(&bench, json!({"scheduleIds": [foreign]})).await.1["type"], "PAYMENT_SCHEDULE_ALREADY_PROCESSED");
}

#[tokio::test]
async fn future_schedules_are_seen_only_by_those_who_ask_for_them() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    scheduled(&bench, "payment1", &key, "2026-12-01T00:00:00Z").await;
    scheduled(&bench, "payment2", &key, "2026-12-02T00:00:00Z").await;
    assert_eq!(bench.get("/payment-schedules").await.1["items"], json!([]));
    let asked = json!({"filter": {"billingKey": key, "until": "2026-12-31T00:00:00Z", "status": ["SCHEDULED"]}});
    let (_, list) = bench.list("/payment-schedules", &asked).await;
    let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["paymentId"].clone()).collect();
    assert_eq!(ids, ["payment2", "payment1"]);
}
