//! What the stack refuses, and how it says so.

use crate::process::Sandbox;
use serde_json::json;

#[tokio::test]
async fn the_control_api_refuses_nonsense_with_a_reason_and_changes_nothing() {
    let sandbox = Sandbox::start();
    let before = sandbox.get("/api/portone/faults").await;
    for (path, body) in [
        ("/api/clock", json!({})),
        ("/api/clock", json!({ "advance": "tomorrow" })),
        ("/api/clock", json!({ "advanceTo": "2001-01-01T00:00:00+09:00" })),
        ("/api/clock", json!({ "advance": "P30Y" })),
        ("/api/clock", json!({ "advance": "P1D", "surprise": 1 })),
        ("/api/customers", json!({ "count": 0 })),
        ("/api/customers", json!({ "count": 100_000_000 })),
        ("/api/customers", json!({ "count": 2, "email": "a@example.com" })),
        ("/api/customers", json!({ "mix": { "no_such_behavior": 0.5 } })),
        ("/api/customers", json!({ "mix": { "approve": 1.5 } })),
        ("/api/customers", json!({ "planType": "gold" })),
        ("/api/customers", json!({ "teamSeats": 0 })),
        ("/api/portone/faults", json!({ "rules": [{ "behavior": "no_such_behavior", "rate": 1.0 }] })),
        ("/api/portone/refunds", json!({ "paymentId": "invNOBODY" })),
    ] {
        let (status, answer) = sandbox.try_post(path, body.clone()).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().len() > 10, "{path} {body}: {answer}");
    }
    for month in ["", "?month=december", "?month=2026-12-01", "?month=2026-12&format=xml"] {
        let url = sandbox.url("console", &format!("/api/books{month}"));
        assert_eq!(sandbox.http().get(url).send().await.unwrap().status(), 400, "{month}");
    }
    let (status, _) = sandbox.try_post("/api/triggers/nobody", json!({})).await;
    assert_eq!(status, 404);
    assert_eq!(sandbox.get("/api/portone/faults").await, before);
    assert_eq!(sandbox.all("/api/subscriptions", "subscriptions").await.len(), 0);
}

#[tokio::test]
async fn the_webhook_route_answers_as_the_deployed_one() {
    let sandbox = Sandbox::start();
    let url = sandbox.url("api", "/api/portone/billing-webhook");
    let unsigned =
        sandbox.http().post(&url).header("content-type", "application/json").body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    let elsewhere = sandbox.http().post(sandbox.url("api", "/nowhere")).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404);
    let verb = sandbox.http().get(&url).send().await.unwrap();
    assert_eq!(verb.status(), 404);

    let secret = portone::webhook::WebhookSecret::new(sandbox.ready["webhookSecret"].as_str().unwrap()).unwrap();
    let now: jiff::Timestamp = sandbox.get("/api/clock").await["now"].as_str().unwrap().parse().unwrap();
    let store = &sandbox.ready["storeId"];
    let body = json!({ "type": "Transaction.Paid", "timestamp": now.to_string(),
        "data": { "storeId": store, "paymentId": "never-made-by-us", "transactionId": "t-1" } })
    .to_string();
    let signature = portone::webhook::sign(&secret, "wh_1", now, body.as_bytes());
    let signed = sandbox
        .http()
        .post(&url)
        .header("content-type", "application/json")
        .header("webhook-id", "wh_1")
        .header("webhook-timestamp", now.as_second().to_string())
        .header("webhook-signature", signature)
        .body(body);
    let answer = signed.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, r#"{"result":"stranger"}"#));
    let events = sandbox.all("/api/events?subject=never-made-by-us", "events").await;
    assert_eq!(events[0]["kind"], "unknown_payment");
}

#[tokio::test]
async fn a_listing_goes_on_where_its_cursor_says() {
    let sandbox = Sandbox::start();
    sandbox.post("/api/customers", json!({ "count": 7 })).await;
    let first = sandbox.get("/api/subscriptions?limit=5").await;
    assert_eq!(first["subscriptions"].as_array().unwrap().len(), 5);
    let cursor = first["cursor"].as_str().unwrap();
    let rest = sandbox.get(&format!("/api/subscriptions?limit=5&cursor={cursor}")).await;
    assert_eq!(rest["subscriptions"].as_array().unwrap().len(), 2);
    let wrong = sandbox.http().get(sandbox.url("console", "/api/subscriptions?cursor=nonsense")).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}
