use std::path::{Path, PathBuf};

use crate::bench::{Bench, start};
use crate::receiver::Receiver;
use jiff::SignedDuration;
use serde_json::json;

/// A file of its own, in a directory of the build's.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// What a process leaves that is killed now.
pub(crate) fn killed(path: &Path, name: &str) -> PathBuf {
    let copy = scratch(name);
    std::fs::copy(path, &copy).unwrap();
    copy
}

#[tokio::test]
async fn a_restart_restores_everything() {
    let path = scratch("restart");
    let bench = Bench::with(Some(path.clone()), 1, start()).await;
    let receiver = Receiver::new().await;
    bench.portone.set_webhook_url(receiver.url.clone());
    bench.faults(&json!({"lateSeconds": 5}));
    let (key, pending, dropped) =
        (bench.key("approve"), bench.key_at_paypal("pending"), bench.key("drop_after_success"));
    bench.charge("payment1", &key).await;
    bench.charge("payment2", &pending).await;
    bench.post("/payments/payment1/cancel", json!({"reason": "r", "amount": 1000})).await;
    bench.charge_once("payment3", &dropped, "payment3-attempt-1").await;
    let schedule = json!({"payment": crate::bench::order(&key), "timeToPay": "2026-12-01T00:00:00Z"});
    bench.post("/payments/payment4/schedule", schedule).await;

    let copy = killed(&path, "restart-copy");
    let after = Bench::with(Some(copy), 1, start()).await;
    after.portone.set_webhook_url(receiver.url.clone());
    assert_eq!(after.portone.ledger(), bench.portone.ledger());
    assert_eq!(after.portone.faults(), bench.portone.faults());
    assert_eq!(after.portone.next_due(), bench.portone.next_due());
    for id in ["payment1", "payment2", "payment3"] {
        assert_eq!(after.payment(id).await, bench.payment(id).await);
    }
    let path = format!("/billing-keys/{key}");
    assert_eq!(after.get(&path).await, bench.get(&path).await);
    let (status, _) = after.charge_once("payment3", &dropped, "payment3-attempt-1").await.unwrap();
    assert_eq!(status, 200, "the answer that was lost is still there");
    assert_eq!(after.approvals("payment3"), 1);
    after.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 4, "paid, pending, partly cancelled, paid");
    after.advance(SignedDuration::from_hours(24 * 10));
    after.portone.fire_due().await;
    assert_eq!(after.payment("payment2").await["status"], "PAID");
    assert_eq!(after.payment("payment4").await["status"], "PAID");
}

#[tokio::test]
async fn a_torn_last_record_never_was() {
    let path = scratch("torn");
    let bench = Bench::with(Some(path.clone()), 1, start()).await;
    let key = bench.key("approve");
    bench.charge("payment1", &key).await;
    bench.charge("payment2", &key).await;
    let bytes = std::fs::read(&path).unwrap();
    let torn = scratch("torn-copy");
    std::fs::write(&torn, &bytes[..bytes.len() - 10]).unwrap();
    let after = Bench::with(Some(torn), 1, start()).await;
    assert_eq!((after.approvals("payment1"), after.approvals("payment2")), (1, 0));
    assert_eq!(after.get("/payments/payment2").await.0, 404);
    assert_eq!(after.charge("payment2", &key).await.0, 200);
}

#[tokio::test]
async fn a_charge_that_was_interrupted_has_failed() {
    let path = scratch("interrupted");
    let bench = Bench::with(Some(path.clone()), 1, start()).await;
    bench.faults(&json!({"hangMs": 300}));
    let key = bench.key("hang");
    let hanging = bench.charge("payment1", &key);
    let begun = async { while bench.get("/payments/payment1").await.0 == 404 {} };
    let (_, copy) = futures::join!(hanging, async {
        begun.await;
        killed(&path, "interrupted-copy")
    });
    let after = Bench::with(Some(copy), 1, start()).await;
    assert_eq!(after.payment("payment1").await["status"], "FAILED");
    assert!(after.portone.ledger().approvals.is_empty());
    assert_eq!(bench.approvals("payment1"), 1);
}

#[tokio::test]
async fn one_journal_serves_one_simulator() {
    let path = scratch("locked");
    let bench = Bench::with(Some(path.clone()), 1, start()).await;
    let config = sandbox::portone::PortOneConfig {
        store_id: "s".to_owned(),
        api_secret: "a".to_owned(),
        webhook_secret: crate::bench::WEBHOOK_SECRET.to_owned(),
        seed: 1,
        journal: Some(path),
        clock: bench.clock.clone(),
    };
    assert!(sandbox::portone::PortOne::open(config).is_err());
}
