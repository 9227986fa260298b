use crate::bench::Bench;
use crate::receiver::Receiver;
use serde_json::json;

#[tokio::test]
async fn a_refund_in_the_console_looks_like_any_other_but_for_its_trigger() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.set_webhook_url(receiver.url.clone());
    let id = bench.portone.refund_in_console("payment1", Some(1000)).unwrap();
    bench.portone.fire_due().await;
    let payment = bench.payment("payment1").await;
    assert_eq!(payment["status"], "PARTIAL_CANCELLED");
    assert_eq!(
        (&payment["cancellations"][0]["id"], &payment["cancellations"][0]["trigger"]),
        (&json!(id), &json!("CONSOLE"))
    );
    let hooks = receiver.hooks();
    assert_eq!(hooks[0].kind(), "Transaction.PartialCancelled");
    assert_eq!(hooks[0].body["data"]["cancellationId"], id);
    assert!(bench.portone.refund_in_console("payment1", Some(20_000)).is_err());
    assert!(bench.portone.refund_in_console("payment2", None).is_err());
}

#[tokio::test]
async fn a_chargeback_takes_all_back_and_tells_of_the_dispute() {
    let bench = Bench::new().await;
    let receiver = Receiver::new().await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.portone.set_webhook_url(receiver.url.clone());
    bench.portone.chargeback("payment1").unwrap();
    bench.portone.fire_due().await;
    let payment = bench.payment("payment1").await;
    assert_eq!(
        (&payment["status"], &payment["cancellations"][0]["trigger"]),
        (&json!("CANCELLED"), &json!("CHARGEBACK"))
    );
    let mut kinds = receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["Transaction.Cancelled", "Transaction.DisputeCreated", "Transaction.DisputeResolved"]);
    assert_eq!(bench.portone.ledger().cancellations[0].trigger, "CHARGEBACK");
}

#[tokio::test]
async fn a_pending_payment_can_be_decided_by_hand() {
    let bench = Bench::new().await;
    let key = bench.key_at_paypal("pending");
    bench.charge("payment1", &key).await;
    bench.charge("payment2", &key).await;
    bench.portone.settle_pending("payment1", true).unwrap();
    bench.portone.settle_pending("payment2", false).unwrap();
    assert_eq!(bench.payment("payment1").await["status"], "PAID");
    assert_eq!(bench.payment("payment2").await["status"], "FAILED");
    assert!(bench.portone.settle_pending("payment1", true).is_err());
    assert_eq!(bench.portone.next_due(), None);
}
