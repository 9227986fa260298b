//! Laws 6 to 8 when the tables fail: a write whose answer was lost may have been applied, and is neither done twice nor given up.

use crate::world::{FIRST_KEY, HARD, OTHER_KEY, SOFT, World, decline, issued, method, payment_id, told, told_of_key};
use billing_core::event::EventKind;
use billing_flows::FlowError;
use billing_flows::collect::Collected;
use billing_flows::fake::{Behaviour, Fault};
use billing_flows::receive_webhook::{KeyHint, PaymentHint};

const FAULTS: [Fault; 2] = [Fault::Before, Fault::After];

/// Runs `act` again and again, with the tables failing once at each of its requests in turn; then `after`.
async fn fail_everywhere(
    world: impl Fn() -> World,
    act: impl AsyncFn(&World),
    after: impl AsyncFn(&World, &str),
) -> u64 {
    let mut requests = 0;
    for fault in FAULTS {
        for call in 1..200 {
            let world = world();
            world.store.faults().by(move |this| if this.of_all == call { fault } else { Fault::None });
            act(&world).await;
            requests = world.store.requests().values().sum();
            world.store.faults().clear();
            after(&world, &format!("{fault:?} of request {call}")).await;
            if requests < call {
                break;
            }
        }
    }
    requests
}

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_not_charged_twice() {
    let world = World::new();
    world.store.faults().on("commit", 2, Fault::After);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    world.live_until("2026-12-03T12:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("the answer was lost");
}

#[tokio::test]
async fn a_settlement_that_was_throttled_is_written_all_the_same() {
    let world = World::new();
    for commit in 2..=6 {
        world.store.faults().on("commit", commit, Fault::Before);
    }
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    world.assert_paid_once("throttled five times");
}

#[tokio::test]
async fn a_settlement_that_is_refused_for_good_is_an_error_and_is_repaired_by_asking() {
    let world = World::new();
    world.store.faults().on("commit", 2, Fault::Refused);
    assert!(matches!(world.collect().await, Err(FlowError::Store(error)) if !error.retryable));
    world.live_until("2026-12-01T14:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("asked");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_sends_nothing_until_it_is_asked_about() {
    let world = World::new();
    world.store.faults().on("commit", 1, Fault::After);
    world.collect().await.unwrap_err();
    assert_eq!((world.statuses().0, world.attempts_sent()), ("charging", vec![]));
    world.live_until("2026-12-01T14:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("after the lease");
}

#[tokio::test]
async fn a_fault_of_any_request_of_a_charge_ends_in_the_same_books() {
    let ways = [
        Behaviour::Approve,
        decline(SOFT),
        decline(HARD),
        Behaviour::Pending,
        Behaviour::UnknownButPaid,
        Behaviour::AlreadyPaid,
        Behaviour::UsedUp,
    ];
    for way in ways {
        let world = || {
            let world = World::where_charges(decline(SOFT));
            world.gateway.script(&payment_id(), [way.clone()]);
            world
        };
        let act = async |world: &World| {
            world.run().await;
            world.minutes_pass(5);
            drop(world.billing.reconcile(world.now(), || false).await);
        };
        let still = world();
        act(&still).await;
        still.live_until("2026-12-08T12:00").await;
        let requests = fail_everywhere(world, act, async |world, told| {
            world.live_until("2026-12-08T12:00").await;
            assert_eq!((world.statuses(), world.notices()), (still.statuses(), still.notices()), "{way:?}, {told}");
            let due = [world.subscription().due_at(), still.subscription().due_at()];
            assert_eq!(due[0], due[1], "{way:?}, {told}");
            assert!(world.gateway.approvals().len() <= 1, "{way:?}, {told}");
            assert_eq!(world.gateway.violations(), [] as [&str; 0], "{way:?}, {told}");
        })
        .await;
        assert!(requests > 8, "{way:?}: {requests}");
    }
}

#[tokio::test]
async fn a_fault_of_any_request_of_a_webhook_is_mended_by_its_next_delivery() {
    fail_everywhere(
        || World::where_charges(Behaviour::UnknownButPaid),
        async |world| {
            drop(world.collect().await);
            drop(world.receive(&told(PaymentHint::Paid)).await);
        },
        async |world, told_when| {
            drop(world.collect().await);
            world.receive(&told(PaymentHint::Paid)).await.unwrap();
            world.live_until("2026-12-02T12:00").await;
            world.assert_paid_once(told_when);
        },
    )
    .await;
}

#[tokio::test]
async fn a_fault_of_any_request_of_a_registration_is_mended_by_its_next_delivery() {
    let world = || {
        let world = World::new();
        world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(HARD));
        world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
        world
    };
    let act = async |world: &World| {
        world.run().await;
        world.go_to("2026-12-01T12:00");
        drop(world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await);
    };
    fail_everywhere(world, act, async |world, told| {
        world.run().await;
        world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        world.live_until("2026-12-02T12:00").await;
        world.assert_paid_once(told);
        assert_eq!((world.store.all_keys().len(), world.count(EventKind::BillingKeyRegistered)), (1, 1), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_any_request_of_a_removal_is_mended_by_its_next_delivery() {
    let world = || {
        let world = World::new();
        world.gateway.put_key(issued(FIRST_KEY, "2026-11-01T09:00"));
        world
    };
    let act = async |world: &World| {
        drop(world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await);
        world.minutes_pass(1);
        world.gateway.delete_key(&method(FIRST_KEY).billing_key);
        drop(world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await);
    };
    fail_everywhere(world, act, async |world, told| {
        world.gateway.put_key(issued(FIRST_KEY, "2026-11-01T09:00"));
        if world.store.all_keys().is_empty() {
            world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap();
        }
        world.minutes_pass(1);
        world.gateway.delete_key(&method(FIRST_KEY).billing_key);
        world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
        assert_eq!(world.subscription().method, None, "{told}");
        assert_eq!(world.count(EventKind::BillingKeyRemoved), 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_any_request_of_the_notifier_loses_no_mail() {
    fail_everywhere(
        World::new,
        async |world| {
            drop(world.collect().await);
            world.notify().await;
        },
        async |world, told| {
            world.live_until("2026-12-02T12:00").await;
            assert!((1..=2).contains(&world.mailer.sent().len()), "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn tables_that_fail_every_few_requests_for_days_make_billing_slow_and_not_wrong() {
    for every in [2, 3, 5, 7] {
        for fault in FAULTS {
            let world = World::new();
            world.gateway.next([Behaviour::UnknownButPaid]);
            world.store.faults().by(move |call| if call.of_all % every == 0 { fault } else { Fault::None });
            world.run().await;
            world.live_until("2026-12-02T12:00").await;
            world.store.faults().clear();
            world.live_until("2026-12-04T12:00").await;
            world.assert_paid_once(&format!("{fault:?} of every {every}th"));
        }
    }
}

#[tokio::test]
async fn a_queue_that_fails_leaves_the_run_to_be_delivered_again() {
    for fault in FAULTS {
        let world = World::new();
        world.queue.faults().next("send_collect", fault);
        let now = world.now();
        let tick = || billing_flows::plan_run::plan_run(&world.store, &world.queue, &world.telemetry, now, || false);
        assert!(matches!(tick().await, Err(FlowError::Queue(_))));
        tick().await.unwrap();
        world.work_off().await;
        world.assert_paid_once(&format!("{fault:?}"));
    }
}

#[tokio::test]
async fn a_queue_that_fails_after_a_new_key_leaves_the_webhook_to_be_delivered_again() {
    let world = World::new();
    world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(HARD));
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
    world.run().await;
    world.go_to("2026-12-01T12:00");
    world.queue.faults().next("send_collect", Fault::Before);
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap_err();
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    world.work_off().await;
    world.assert_paid_once("delivered again");
}
