use crate::bench::{Bench, order};
use serde_json::json;

#[tokio::test]
async fn a_charge_is_paid_once_and_then_already_paid() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let (status, paid) = bench.charge("payment1", &key).await;
    assert_eq!(status, 200, "{paid}");
    assert_eq!(paid["payment"]["paidAt"], "2026-11-22T01:00:00.000Z");
    let (status, again) = bench.charge("payment1", &key).await;
    assert_eq!((status, &again["type"]), (409, &json!("ALREADY_PAID")));
    let payment = bench.payment("payment1").await;
    assert_eq!(payment["status"], "PAID");
    assert_eq!(payment["pgTxId"], paid["payment"]["pgTxId"]);
    assert_eq!(payment["channel"]["type"], "TEST");
    assert_eq!(payment["customer"]["name"], "홍길동");
    let amount = json!({"total": 11_000, "taxFree": 0, "vat": 1000, "supply": 10_000, "discount": 0, "paid": 11_000,
        "cancelled": 0, "cancelledTaxFree": 0});
    assert_eq!(payment["amount"], amount);
    let ledger = serde_json::to_value(bench.portone.ledger()).unwrap();
    let approval = json!({"paymentId": "payment1", "transactionId": payment["transactionId"], "amount": 11_000,
        "currency": "KRW", "billingKey": key, "approvedAt": "2026-11-22T01:00:00Z"});
    assert_eq!(ledger, json!({"approvals": [approval], "cancellations": []}));
}

#[tokio::test]
async fn a_decline_is_a_502_with_the_gateways_words_and_leaves_a_failed_payment() {
    let bench = Bench::new().await;
    for (provider, code) in
        [("TOSSPAYMENTS", "REJECT_CARD_PAYMENT"), ("KCP_V2", "CC10"), ("NICE_V2", "3095"), ("INICIS_V2", "5153")]
    {
        let key = bench.key_at(provider, "decline:insufficient_funds");
        let id = format!("declined{}", provider.replace('_', ""));
        let (status, refused) = bench.charge(&id, &key).await;
        assert_eq!((status, &refused["type"], &refused["pgCode"]), (502, &json!("PG_PROVIDER"), &json!(code)));
        let payment = bench.payment(&id).await;
        assert_eq!(payment["status"], "FAILED");
        assert_eq!(payment["failure"]["pgCode"], code);
    }
    assert!(bench.portone.ledger().approvals.is_empty());
}

#[tokio::test]
async fn a_failed_payment_can_be_attempted_again_with_a_fresh_transaction() {
    let bench = Bench::new().await;
    let key = bench.key("decline:EXCEED_MAX_AMOUNT:1");
    assert_eq!(bench.charge("payment1", &key).await.0, 502);
    let failed = bench.payment("payment1").await;
    assert_eq!(bench.charge("payment1", &key).await.0, 200);
    let paid = bench.payment("payment1").await;
    assert_eq!(paid["status"], "PAID");
    assert_ne!(paid["transactionId"], failed["transactionId"]);
    assert_eq!(bench.approvals("payment1"), 1);
}

#[tokio::test]
async fn of_many_charges_of_one_payment_at_once_one_succeeds() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let charges = futures::future::join_all((0..20).map(|_| bench.charge("payment1", &key))).await;
    assert_eq!(charges.iter().filter(|(status, _)| *status == 200).count(), 1);
    assert_eq!(charges.iter().filter(|(_, body)| body["type"] == "ALREADY_PAID").count(), 19);
    assert_eq!(bench.approvals("payment1"), 1);
}

#[tokio::test]
async fn the_key_must_exist_and_the_channel_must_be_its_own() {
    let bench = Bench::new().await;
    let (status, body) = bench.charge("payment1", "billing-key-none").await;
    assert_eq!((status, &body["type"]), (404, &json!("BILLING_KEY_NOT_FOUND")));
    let key = bench.key("approve");
    let mut wrong = order(&key);
    wrong["channelKey"] = json!("channel-key-other");
    let (status, body) = bench.post("/payments/payment1/billing-key", wrong).await;
    assert_eq!((status, &body["type"]), (404, &json!("CHANNEL_NOT_FOUND")));
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let good = order(&key);
    for (field, value) in [
        ("billingKey", json!(null)),
        ("orderName", json!(7)),
        ("amount", json!(11_000)),
        ("amount", json!({"total": "11000"})),
        ("amount", json!({"total": -1})),
        ("amount", json!({"total": 1.5})),
        ("currency", json!("WON")),
        ("currency", json!("CURRENCY_KRW")),
        ("customer", json!({"name": "홍길동"})),
        ("country", json!("Korea")),
        ("locale", json!("ko")),
        ("products", json!([{"id": "1"}])),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let (status, body) = bench.post("/payments/payment1/billing-key", bad.clone()).await;
        assert_eq!((status, &body["type"]), (400, &json!("INVALID_REQUEST")), "{bad}");
    }
    // The body of the old guide: the currency within the amount.
    let old = json!({"storeId": crate::bench::STORE, "billingKey": key, "orderName": "o", "amount": {"total": 1, "currency": "KRW"}});
    assert_eq!(bench.post("/payments/payment1/billing-key", old).await.0, 400);
    let mut parts = good.clone();
    parts["amount"] = json!({"total": 100, "taxFree": 90, "vat": 20});
    let (status, body) = bench.post("/payments/payment1/billing-key", parts).await;
    assert_eq!((status, &body["type"]), (409, &json!("SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT")));
    let mut more = good;
    more["unheardOf"] = json!({"x": 1});
    more["customer"] = json!({"id": "c", "name": {"separated": {"first": "A", "last": "B"}},
        "address": {"addressLine1": "1", "addressLine2": ""}});
    assert_eq!(bench.post("/payments/payment1/billing-key", more).await.0, 200);
    let payment = bench.payment("payment1").await;
    assert_eq!(payment["customer"]["name"], "A B");
    assert_eq!(payment["customer"]["address"]["type"], "SEPARATED");
}

#[tokio::test]
async fn ids_in_the_path_are_decoded() {
    let bench = Bench::new().await;
    bench.faults(&json!({"pgRules": false}));
    let key = bench.key("approve");
    assert_eq!(bench.charge("a%2Fb%20c", &key).await.0, 200);
    assert_eq!(bench.portone.ledger().approvals[0].payment_id, "a/b c");
    assert_eq!(bench.payment("a%2Fb%20c").await["id"], "a/b c");
    assert_eq!(bench.get("/payments/%20").await.0, 404);
}

#[tokio::test]
async fn a_gateways_own_rules_are_applied_unless_switched_off() {
    let bench = Bench::new().await;
    let key = bench.key_at("PAYPAL_V2", "approve");
    assert_eq!(bench.charge("payment1", &key).await.0, 400, "no won at PayPal");
    bench.faults(&json!({"pgRules": false}));
    assert_eq!(bench.charge("payment1", &key).await.0, 200);
}

#[tokio::test]
async fn a_pending_charge_is_decided_by_the_clock() {
    let bench = Bench::new().await;
    let (later, never) = (bench.key_at_paypal("pending"), bench.key_at_paypal("pending_then_fail"));
    assert_eq!(bench.charge("payment1", &later).await.0, 200);
    assert_eq!(bench.charge("payment2", &never).await.0, 200);
    assert_eq!(bench.payment("payment1").await["status"], "PAY_PENDING");
    assert!(bench.portone.ledger().approvals.is_empty());
    assert_eq!(bench.charge("payment1", &later).await.1["type"], "ALREADY_PAID");
    let due = bench.portone.next_due().unwrap();
    bench.clock.advance_to(due);
    bench.portone.fire_due().await;
    assert_eq!(bench.payment("payment1").await["status"], "PAID");
    assert_eq!(bench.payment("payment2").await["status"], "FAILED");
    assert_eq!(bench.portone.ledger().approvals.len(), 1);
    assert!(bench.portone.is_idle());
}

#[tokio::test]
async fn a_gateway_that_is_not_paypal_says_nothing_of_a_time_when_a_charge_is_pending() {
    let bench = Bench::new().await;
    let order = order(&bench.key("pending"));
    let request = bench.request(reqwest::Method::POST, "/payments/payment1/billing-key").json(&order);
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert!(answer["payment"]["pgTxId"].is_string() && answer["payment"]["paidAt"].is_null(), "{answer}");
}

#[tokio::test]
async fn a_payment_cannot_be_attempted_without_end() {
    let bench = Bench::new().await;
    let key = bench.key("decline:over_limit");
    for _ in 0..100 {
        assert_eq!(bench.charge("payment1", &key).await.0, 502);
    }
    let (status, body) = bench.charge("payment1", &key).await;
    assert_eq!((status, &body["type"]), (400, &json!("MAX_TRANSACTION_COUNT_REACHED")));
}

#[tokio::test]
async fn calls_are_counted_by_operation() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.charge("payment2", &key).await;
    bench.get("/payments/payment1").await;
    let calls = bench.portone.calls();
    assert_eq!(calls["POST /payments/{paymentId}/billing-key"], 2);
    assert_eq!(calls["GET /payments/{paymentId}"], 1);
}
