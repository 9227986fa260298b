use crate::bench::{Bench, STORE, new_key};
use crate::receiver::Receiver;
use jiff::SignedDuration;
use sandbox::portone::{Method, NewBillingKey};
use serde_json::json;

#[tokio::test]
async fn an_issued_key_can_be_read() {
    let bench = Bench::new().await;
    for (provider, method, kind) in [
        ("TOSSPAYMENTS", Method::Card, "BillingKeyPaymentMethodCard"),
        ("PAYPAL_V2", Method::Paypal, "BillingKeyPaymentMethodPaypal"),
        ("KAKAOPAY", Method::EasyPay, "BillingKeyPaymentMethodEasyPay"),
        ("DANAL", Method::Mobile, "BillingKeyPaymentMethodMobile"),
        ("TOSSPAYMENTS", Method::Transfer, "BillingKeyPaymentMethodTransfer"),
    ] {
        let (issue_id, custom_data) = (Some(format!("issue-{kind}")), Some("{\"a\":1}".to_owned()));
        let new = NewBillingKey { method, issue_id, custom_data, ..new_key(provider, "approve") };
        let key = bench.portone.issue_billing_key(new).unwrap();
        assert!(key.starts_with("billing-key-"));
        let (status, info) = bench.get(&format!("/billing-keys/{key}")).await;
        assert_eq!((status, &info["status"]), (200, &json!("ISSUED")));
        assert_eq!((&info["storeId"], &info["customer"]["id"]), (&json!(STORE), &json!("customer-1")));
        assert_eq!((&info["methods"][0]["type"], &info["customData"]), (&json!(kind), &json!("{\"a\":1}")));
        assert_eq!(info["channels"][0]["pgProvider"], provider);
    }
    assert_eq!(bench.get("/billing-keys/none").await.0, 404);
    let unknown = NewBillingKey { pg_provider: "NO_SUCH".to_owned(), ..NewBillingKey::default() };
    assert!(bench.portone.issue_billing_key(unknown).is_err());
}

#[tokio::test]
async fn a_deleted_key_stays_readable_and_cannot_be_charged_or_deleted_again() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    let key =
        bench.portone.issue_billing_key(NewBillingKey { notify: true, ..new_key("TOSSPAYMENTS", "approve") }).unwrap();
    let path = format!("/billing-keys/{key}");
    let (status, body) = bench.delete(&format!("{path}?requester=CUSTOMER&reason=left")).await;
    assert_eq!((status, &body["deletedAt"]), (200, &json!("2026-11-22T01:00:00.000Z")));
    assert_eq!(bench.get(&path).await.1["status"], "DELETED");
    assert_eq!(bench.delete(&path).await.1["type"], "BILLING_KEY_ALREADY_DELETED");
    assert_eq!(bench.charge("payment1", &key).await.1["type"], "BILLING_KEY_ALREADY_DELETED");
    assert_eq!(bench.delete("/billing-keys/none").await.1["type"], "BILLING_KEY_NOT_FOUND");
    bench.portone.fire_due().await;
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["BillingKey.Deleted", "BillingKey.Issued"]);
    assert_eq!(receiver.hooks()[0].body["data"], json!({"storeId": STORE, "billingKey": key}));
}

#[tokio::test]
async fn a_key_can_be_deleted_underfoot_or_without_a_webhook() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    let (first, second) = (bench.key("approve"), bench.key("approve"));
    bench.portone.delete_billing_key_underfoot(&first).unwrap();
    assert_eq!(bench.charge("payment1", &first).await.1["type"], "BILLING_KEY_ALREADY_DELETED");
    assert_eq!(bench.delete(&format!("/billing-keys/{second}?skipWebhook=true")).await.0, 200);
    bench.portone.fire_due().await;
    assert!(receiver.hooks().is_empty());
    assert!(bench.portone.delete_billing_key_underfoot("none").is_err());
}

#[tokio::test]
async fn a_key_can_be_issued_with_a_card_by_api() {
    let bench = Bench::new().await;
    let card = json!({"credential": {"number": "4330123412341234", "expiryYear": "29", "expiryMonth": "12"}});
    let body = json!({"method": {"card": card}, "channelKey": "channel-key-1", "customer": {"id": "c1"}});
    let (status, issued) = bench.post("/billing-keys", body).await;
    assert_eq!(status, 200, "{issued}");
    let key = issued["billingKeyInfo"]["billingKey"].as_str().unwrap();
    assert_eq!(bench.get(&format!("/billing-keys/{key}")).await.1["customer"]["id"], "c1");
    assert_eq!(bench.charge("payment1", key).await.0, 200);
    assert_eq!(bench.post("/billing-keys", json!({"method": {"card": card}})).await.0, 400);
    let bypass = json!({"sandbox": {"behavior": "decline:over_limit", "pgProvider": "KCP_V2"}});
    let body = json!({"method": {"card": card}, "channelKey": "channel-key-2", "bypass": bypass});
    let (_, issued) = bench.post("/billing-keys", body).await;
    let key = issued["billingKeyInfo"]["billingKey"].as_str().unwrap();
    assert_eq!(bench.charge("payment2", key).await.1["pgCode"], "CC07");
}

#[tokio::test]
async fn keys_are_listed_by_customer_and_status_newest_first() {
    let bench = Bench::new().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(bench.key("approve"));
        bench.advance(SignedDuration::from_secs(1));
    }
    bench.delete(&format!("/billing-keys/{}", keys[0])).await;
    let asked = json!({"page": {"size": 2}, "filter": {"customerId": "customer-1", "status": ["ISSUED"]}});
    let (status, list) = bench.list("/billing-keys", &asked).await;
    assert_eq!((status, &list["page"]), (200, &json!({"number": 0, "size": 2, "totalCount": 2})));
    assert_eq!((&list["items"][0]["billingKey"], &list["items"][1]["billingKey"]), (&json!(keys[2]), &json!(keys[1])));
    assert_eq!(bench.list("/billing-keys", &json!({"filter": {"customerId": "other"}})).await.1["items"], json!([]));
    assert_eq!(bench.get("/billing-keys").await.1["page"]["totalCount"], 3);
    assert_eq!(bench.list("/billing-keys", &json!({"filter": {"status": ["READY"]}})).await.0, 400);
}
