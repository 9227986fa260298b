use crate::bench::{Bench, order, start};
use crate::receiver::Receiver;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

/// Status, content type and body of one charge.
async fn raw(bench: &Bench, payment_id: &str, key: &str) -> (u16, String, String) {
    let request = bench.request(Method::POST, &format!("/payments/{payment_id}/billing-key"));
    let request = request.header("idempotency-key", format!("\"{payment_id}-attempt-1\""));
    let response = request.json(&order(key)).send().await.unwrap();
    let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    (response.status().as_u16(), kind, response.text().await.unwrap())
}

#[tokio::test]
async fn faults_before_the_work_charge_nothing_and_hit_only_the_first_request_of_an_attempt() {
    let bench = Bench::new().await;
    for (behavior, status, kind, text) in [
        ("html_5xx", 503, "text/html", "<html>"),
        ("empty_5xx", 500, "", ""),
        ("service_unavailable", 503, "application/json", "SERVICE_UNAVAILABLE"),
        ("too_many_requests", 429, "application/json", "TOO_MANY_REQUESTS"),
        ("unauthorized", 401, "application/json", "UNAUTHORIZED"),
        ("outstanding", 409, "application/json", "IDEMPOTENCY_OUTSTANDING_REQUEST"),
        ("unknown_error_type", 409, "application/json", "SANDBOX_UNHEARD_OF"),
    ] {
        let (key, id) = (bench.key(behavior), behavior.replace('_', "-"));
        let first = raw(&bench, &id, &key).await;
        assert_eq!((first.0, first.1.as_str()), (status, kind), "{behavior}");
        assert!(first.2.contains(text), "{behavior}: {}", first.2);
        assert_eq!(bench.approvals(&id), 0, "{behavior}");
        assert_eq!(bench.get(&format!("/payments/{id}")).await.0, 404);
        let second = raw(&bench, &id, &key).await;
        assert_eq!(second.0, 200, "{behavior}: {}", second.2);
        assert_eq!(bench.approvals(&id), 1);
    }
}

#[tokio::test]
async fn an_error_page_after_the_work_hides_a_success() {
    let bench = Bench::new().await;
    let key = bench.key("html_5xx_after_success");
    let first = raw(&bench, "payment1", &key).await;
    assert_eq!((first.0, first.1.as_str()), (502, "text/html"));
    assert_eq!(bench.approvals("payment1"), 1);
    assert_eq!(raw(&bench, "payment1", &key).await.0, 200);
    assert_eq!(bench.approvals("payment1"), 1);
}

#[tokio::test]
async fn a_rule_may_hit_more_than_one_request_of_an_attempt() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    bench.faults(&json!({"billingKey": key, "behavior": "html_5xx", "requests": 3}));
    for status in [503, 503, 503, 200] {
        assert_eq!(raw(&bench, "payment1", &key).await.0, status);
    }
}

#[tokio::test]
async fn slow_answers_come() {
    let bench = Bench::new().await;
    bench.faults(&json!({"slowMs": [1, 5]}));
    let key = bench.key("slow");
    assert_eq!(bench.charge("payment1", &key).await.0, 200);
}

#[tokio::test]
async fn more_charges_than_portone_takes_within_a_second_are_answered_with_429_and_charge_nothing() {
    let bench = Bench::new().await;
    bench.faults(&json!({"chargesPerSecond": 2}));
    let key = bench.key("approve");
    let mut answers = Vec::new();
    for id in ["payment1", "payment2", "payment3"] {
        answers.push(raw(&bench, id, &key).await);
    }
    assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [200, 200, 429]);
    assert!(answers[2].2.contains("TOO_MANY_REQUESTS"), "{}", answers[2].2);
    assert_eq!((bench.portone.charges_refused(), bench.approvals("payment3")), (1, 0));
    bench.advance(SignedDuration::from_millis(999));
    assert_eq!(raw(&bench, "payment3", &key).await.0, 429);
    bench.advance(SignedDuration::from_millis(1));
    assert_eq!(raw(&bench, "payment3", &key).await.0, 200);
}

#[tokio::test]
async fn a_key_may_be_found_deleted_and_a_payment_worn_out() {
    let bench = Bench::new().await;
    let key = bench.key("key_deleted");
    let (status, body) = bench.charge("payment1", &key).await;
    assert_eq!((status, &body["type"]), (409, &json!("BILLING_KEY_ALREADY_DELETED")));
    assert_eq!(bench.get(&format!("/billing-keys/{key}")).await.1["status"], "DELETED");
    let key = bench.key("max_transactions");
    let (status, body) = bench.charge("payment2", &key).await;
    assert_eq!((status, &body["type"]), (400, &json!("MAX_TRANSACTION_COUNT_REACHED")));
}

#[tokio::test]
async fn answers_may_hold_what_the_contract_does_not_know() {
    let bench = Bench::new().await;
    let key = bench.key("unknown_fields");
    bench.charge("payment1", &key).await;
    let response = bench.request(Method::GET, "/payments/payment1").send().await.unwrap();
    let payment: Value = response.json().await.unwrap();
    assert_eq!(
        (&payment["status"], &payment["origin"]["platformType"]),
        (&json!("PAID"), &json!("SANDBOX_UNHEARD_OF"))
    );
    assert!(payment["sandboxUnheardOf"].is_object());
}

async fn outcomes(seed: u64, reversed: bool) -> Vec<(String, u16)> {
    let bench = Bench::with(None, seed, start()).await;
    let key = |n: usize| {
        let new = crate::bench::new_key("TOSSPAYMENTS", "approve");
        let issue_id = Some(format!("issue{n}"));
        bench.portone.issue_billing_key(sandbox::portone::NewBillingKey { issue_id, ..new }).unwrap()
    };
    let mut payments: Vec<_> = (0..60).map(|n| (format!("payment{n}"), key(n))).collect();
    bench.faults(&json!({"rules": [
        {"behavior": "decline:over_limit", "rate": 0.3},
        {"behavior": "html_5xx", "rate": 0.3},
    ]}));
    if reversed {
        payments.reverse();
    }
    let charges = payments.iter().map(|(id, key)| raw(&bench, id, key));
    let answers = futures::future::join_all(charges).await;
    let mut outcomes: Vec<_> = payments.into_iter().zip(answers).map(|((id, _), answer)| (id, answer.0)).collect();
    outcomes.sort();
    outcomes
}

#[tokio::test]
async fn the_same_seed_gives_the_same_outcomes_in_any_order() {
    let first = outcomes(7, false).await;
    assert_eq!(outcomes(7, true).await, first);
    assert_ne!(outcomes(8, false).await, first);
    for status in [200, 502, 503] {
        assert!(first.iter().any(|(_, s)| *s == status), "{first:?}");
    }
}

#[tokio::test]
async fn unknown_settings_are_refused_and_reset_begins_anew() {
    let bench = Bench::new().await;
    let error = bench.portone.request_faults(&json!({"behavior": "explode"})).unwrap_err().to_string();
    assert!(error.contains("explode") && error.contains("drop_after_success"), "{error}");
    bench.faults(&json!({"behavior": "hang"}));
    assert_eq!(bench.portone.faults().rules.len(), 1);
    let settings = bench.portone.request_faults(&json!({"reset": true})).unwrap();
    assert!(settings.rules.is_empty());
    assert_eq!(settings.seed, 1);
}

async fn hooked(behavior: &str) -> (Bench, Receiver, String) {
    let (bench, receiver) = (Bench::new().await, Receiver::new().await);
    bench.portone.set_webhook_url(receiver.url.clone());
    let key = bench.key(behavior);
    (bench, receiver, key)
}

#[tokio::test]
async fn a_webhook_may_be_lost_or_doubled() {
    let (bench, receiver, key) = hooked("webhook_lost").await;
    bench.charge("payment1", &key).await;
    assert_eq!(bench.portone.next_due(), None);
    let doubled = bench.key("webhook_duplicated");
    bench.charge("payment2", &doubled).await;
    bench.portone.fire_due().await;
    let hooks = receiver.hooks();
    assert_eq!(hooks.len(), 2);
    assert_eq!(hooks[0].id, hooks[1].id);
    assert!(hooks.iter().all(|hook| hook.is_signed() && hook.body["data"]["paymentId"] == "payment2"));
}

#[tokio::test]
async fn a_webhook_may_be_late() {
    let (bench, receiver, key) = hooked("webhook_late").await;
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    assert!(receiver.hooks().is_empty());
    assert_eq!(bench.portone.next_due(), Some(start() + SignedDuration::from_hours(6)));
    bench.advance(SignedDuration::from_hours(6));
    bench.portone.fire_due().await;
    let hooks = receiver.hooks();
    assert_eq!(hooks[0].body["timestamp"], "2026-11-22T01:00:00.000Z", "the event's time, not the delivery's");
    assert_eq!(hooks[0].timestamp, bench.clock.now().as_second());
}

#[tokio::test]
async fn a_webhook_may_be_overtaken_by_the_next_one() {
    let (bench, receiver, key) = hooked("webhook_reordered").await;
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    assert!(receiver.hooks().is_empty());
    let old = bench.portone.faults();
    bench.faults(&json!({"rules": []}));
    assert_eq!(bench.portone.faults(), old);
    // The base behaviour holds the refund's webhook back as well, for as long as it may.
    bench.portone.refund_in_console("payment1", None).unwrap();
    bench.advance(SignedDuration::from_secs(1));
    bench.portone.fire_due().await;
    assert_eq!(receiver.kinds(), ["Transaction.Paid"]);
    bench.advance(SignedDuration::from_hours(6));
    bench.portone.fire_due().await;
    assert_eq!(receiver.kinds(), ["Transaction.Paid", "Transaction.Cancelled"]);
}

#[tokio::test]
async fn a_held_webhook_goes_out_after_the_next_one() {
    let (bench, receiver, key) = hooked("approve").await;
    bench.faults(&json!({"behavior": "webhook_reordered", "operation": "charge"}));
    bench.charge("payment1", &key).await;
    bench.portone.refund_in_console("payment1", None).unwrap();
    bench.portone.fire_due().await;
    bench.advance(SignedDuration::from_secs(1));
    bench.portone.fire_due().await;
    assert_eq!(receiver.kinds(), ["Transaction.Cancelled", "Transaction.Paid"]);
}

#[tokio::test]
async fn a_webhook_may_come_before_the_answer() {
    let (bench, receiver, key) = hooked("webhook_before_answer").await;
    let driver = bench.portone.clone();
    let driver = tokio::spawn(async move {
        loop {
            driver.changed().notified().await;
            driver.fire_due().await;
        }
    });
    assert_eq!(bench.charge("payment1", &key).await.0, 200);
    assert_eq!(receiver.kinds(), ["Transaction.Paid"]);
    driver.abort();
    assert_eq!(bench.payment("payment1").await["webhooks"][0]["status"], "SUCCEEDED");
    bench.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 1);
}

#[tokio::test]
async fn a_webhook_may_be_badly_signed_or_signed_long_ago_at_first_and_rightly_later() {
    for behavior in ["webhook_bad_signature", "webhook_old_timestamp"] {
        let (bench, receiver, key) = hooked(behavior).await;
        receiver.answers(400);
        bench.charge("payment1", &key).await;
        bench.portone.fire_due().await;
        let first = receiver.hooks()[0].clone();
        let old = bench.clock.now().as_second() - first.timestamp > 300;
        assert_eq!(
            (first.is_signed(), old),
            (behavior == "webhook_old_timestamp", behavior == "webhook_old_timestamp")
        );
        receiver.answers(200);
        bench.clock.advance_to(bench.portone.next_due().unwrap());
        bench.portone.fire_due().await;
        let second = receiver.hooks()[1].clone();
        assert!(second.is_signed());
        assert_eq!(second.timestamp, bench.clock.now().as_second());
        assert_eq!(second.id, first.id);
    }
}

#[tokio::test]
async fn a_webhook_of_an_unknown_type_may_come_along() {
    let (bench, receiver, key) = hooked("webhook_unknown_type").await;
    bench.charge("payment1", &key).await;
    bench.portone.fire_due().await;
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["Transaction.Paid", "Transaction.SandboxUnheardOf"]);
}
