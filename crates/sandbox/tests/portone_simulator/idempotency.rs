use crate::bench::{Bench, order};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

const ATTEMPT: &str = "payment1-attempt-1";

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer_and_is_not_done_again() {
    let bench = Bench::new().await;
    for (behavior, payment) in [("approve", "payment1"), ("decline:over_limit:1", "payment2")] {
        let key = bench.key(behavior);
        let attempt = format!("{payment}-attempt-1");
        let first = bench.charge_once(payment, &key, &attempt).await.unwrap();
        bench.advance(SignedDuration::from_mins(179));
        assert_eq!(bench.charge_once(payment, &key, &attempt).await.unwrap(), first);
    }
    assert_eq!(bench.payment("payment2").await["status"], "FAILED", "a failure is replayed, too");
    assert_eq!(bench.portone.ledger().approvals.len(), 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_three_hours() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    assert_eq!(bench.charge_once("payment1", &key, ATTEMPT).await.unwrap().0, 200);
    bench.advance(SignedDuration::from_hours(3));
    let (status, body) = bench.charge_once("payment1", &key, ATTEMPT).await.unwrap();
    assert_eq!(status, 409);
    assert!(body.contains("ALREADY_PAID"));
}

#[tokio::test]
async fn a_key_for_a_different_request_is_refused_loudly() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    bench.charge_once("payment1", &key, ATTEMPT).await.unwrap();
    let (status, body) = bench.charge_once("payment2", &key, ATTEMPT).await.unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("INVALID_REQUEST") && body.contains("different request"), "{body}");
    assert_eq!(bench.approvals("payment2"), 0);
}

#[tokio::test]
async fn a_key_that_is_no_quoted_string_of_16_to_256_characters_is_refused() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let (long, short) = (format!("\"{}\"", "x".repeat(257)), "\"short\"".to_owned());
    for wrong in [ATTEMPT.to_owned(), long, short] {
        let request = bench.request(Method::POST, "/payments/payment1/billing-key").header("idempotency-key", wrong);
        assert_eq!(request.json(&order(&key)).send().await.unwrap().status(), 400);
    }
    assert_eq!(bench.approvals("payment1"), 0);
}

#[tokio::test]
async fn a_key_is_ignored_when_reading() {
    let bench = Bench::new().await;
    let request = bench.request(Method::GET, "/payments/payment1").header("idempotency-key", "unquoted");
    assert_eq!(request.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn while_the_first_runs_the_second_is_outstanding_and_the_first_goes_on_though_its_caller_left() {
    let bench = Bench::new().await;
    bench.faults(&json!({"hangMs": 500, "rules": [{"behavior": "hang"}]}));
    let key = bench.key("approve");
    {
        let hanging = bench.charge_once("payment1", &key, ATTEMPT);
        tokio::pin!(hanging);
        let begun = async { while bench.get("/payments/payment1").await.0 == 404 {} };
        tokio::select! {
            answer = &mut hanging => panic!("it did not hang: {answer:?}"),
            () = begun => {}
        }
        assert_eq!(bench.payment("payment1").await["status"], "READY");
        let (status, body) = bench.charge_once("payment1", &key, ATTEMPT).await.unwrap();
        assert_eq!(status, 409);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["type"], "IDEMPOTENCY_OUTSTANDING_REQUEST");
        assert!(!bench.portone.is_idle());
    }
    bench.settled().await;
    let (status, _) = bench.charge_once("payment1", &key, ATTEMPT).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(bench.approvals("payment1"), 1);
}

#[tokio::test]
async fn a_dropped_answer_is_got_by_sending_again_and_the_money_moved_once() {
    let bench = Bench::new().await;
    let key = bench.key("drop_after_success");
    assert_eq!(bench.charge_once("payment1", &key, ATTEMPT).await, None);
    assert_eq!(bench.approvals("payment1"), 1);
    let (status, body) = bench.charge_once("payment1", &key, ATTEMPT).await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(bench.approvals("payment1"), 1);
}
