//! Law 7, phases: durable intent, call, durable outcome. A crash between any two awaits is repaired by whoever comes next.

use crate::world::{
    FIRST_KEY, HARD, OTHER_KEY, SOFT, World, at, crash_everywhere, customer, decline, issued, method, payment_id, seen,
    standard, told, told_of_key,
};
use billing_core::billing_key::{BillingKey, KeyStatus};
use billing_core::decline::Decline;
use billing_core::event::{Cause, EventKind};
use billing_core::subscription::Subscription;
use billing_flows::fake::Behaviour;
use billing_flows::ports::SeenStatus;
use billing_flows::receive_webhook::{KeyHint, PaymentHint};

/// The next run finds what the crash left.
async fn repair(world: &World) {
    world.minutes_pass(5);
    world.live_until("2026-12-04T12:00").await;
}

async fn collect(world: &World) {
    drop(world.collect().await);
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_charge_still_charges_once_and_only_once() {
    let ways = [
        Behaviour::Approve,
        Behaviour::UnknownButPaid,
        Behaviour::AlreadyPaid,
        Behaviour::UnknownNotReceived,
        Behaviour::Unauthorized,
        Behaviour::Refuse("INVALID_REQUEST".to_owned()),
    ];
    for way in ways {
        let world = || {
            let world = World::new();
            world.gateway.next([way.clone()]);
            world
        };
        let crashes = crash_everywhere(world, collect, async |world, told| {
            repair(world).await;
            world.assert_paid_once(&format!("{way:?}, {told}"));
        })
        .await;
        assert!(crashes >= 8, "{crashes}");
    }
}

#[tokio::test]
async fn a_crash_while_the_request_is_on_its_way_still_charges_once() {
    let world = || {
        let world = World::new();
        world.gateway.next([Behaviour::UnknownInFlight]);
        world
    };
    for hours_late in [0, 1, 5] {
        crash_everywhere(world, collect, async |world, told| {
            world.minutes_pass(5 + 60 * hours_late);
            world.reconcile().await;
            world.gateway.deliver(&Behaviour::Approve);
            repair(world).await;
            world.assert_paid_once(&format!("{hours_late} hours late, {told}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_decline_costs_no_rung_and_sends_no_mail_twice() {
    for way in [decline(SOFT), Behaviour::UnknownButDeclined(SOFT.to_owned())] {
        let world = || {
            let world = World::where_charges(decline(SOFT));
            world.gateway.script(&payment_id(), [way.clone()]);
            world
        };
        crash_everywhere(world, collect, async |world, told| {
            world.minutes_pass(5);
            world.live_until("2026-12-12T00:00").await;
            world.assert_expired_after_four_declines(&format!("{way:?}, {told}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_hard_decline_asks_for_a_method_once() {
    crash_everywhere(
        || World::where_charges(decline(HARD)),
        collect,
        async |world, told| {
            world.minutes_pass(5);
            world.live_until("2026-12-12T00:00").await;
            assert_eq!(world.attempts_sent().last(), Some(&1), "{told}");
            assert_eq!(world.notices(), ["payment_failed", "subscription_ended"], "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_pending_charge_leaves_it_to_be_decided() {
    crash_everywhere(
        || World::where_charges(Behaviour::Pending),
        collect,
        async |world, told| {
            world.minutes_pass(5);
            world.run().await;
            assert_eq!(world.statuses(), ("pending", "active"), "{told}");
            world.gateway.approve_pending(&payment_id());
            repair(world).await;
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_used_up_payment_id_takes_one_revision() {
    let world = || {
        let world = World::new();
        world.gateway.next([Behaviour::UsedUp]);
        let failed = SeenStatus::Failed { at: at("2026-12-01T09:00"), decline: Decline::no_method("X") };
        world.gateway.put_payment(seen(failed), at("2026-12-01T09:00"));
        world
    };
    crash_everywhere(world, collect, async |world, told| {
        repair(world).await;
        world.assert_paid_once(told);
        assert!(world.count(EventKind::InvoiceSuperseded) <= 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_later_attempt_still_charges_once() {
    let world = || {
        let world = World::new();
        world.gateway.next([decline(SOFT), decline(SOFT)]);
        world
    };
    let act = async |world: &World| {
        world.run().await;
        world.go_to("2026-12-02T10:00");
        world.run().await;
        world.go_to("2026-12-04T10:00");
        world.run().await;
    };
    let crashes = crash_everywhere(world, act, async |world, told| {
        world.minutes_pass(5);
        world.live_until("2026-12-12T12:00").await;
        world.assert_paid_once(told);
        assert_eq!(world.notices(), ["payment_failed", "payment_failed", "receipt"], "{told}");
    })
    .await;
    assert!(crashes > 30, "{crashes}");
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_resend_still_charges_once() {
    for again in [Behaviour::Approve, Behaviour::UnknownButPaid, Behaviour::UnknownNotReceived] {
        let world = || {
            let world = World::new();
            world.gateway.next([Behaviour::UnknownNotReceived, again.clone()]);
            world
        };
        let act = async |world: &World| {
            world.collect().await.unwrap();
            world.minutes_pass(60);
            world.reconcile().await;
        };
        crash_everywhere(world, act, async |world, told| {
            repair(world).await;
            world.assert_paid_once(&format!("{again:?}, {told}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_webhook_loses_nothing() {
    let world = || World::where_charges(Behaviour::UnknownButPaid);
    let act = async |world: &World| {
        world.collect().await.unwrap();
        world.receive(&told(PaymentHint::Paid)).await.unwrap();
    };
    crash_everywhere(world, act, async |world, told_when| {
        // PortOne had no answer, and delivers again.
        world.receive(&told(PaymentHint::Paid)).await.unwrap();
        repair(world).await;
        world.assert_paid_once(told_when);
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_refunds_webhook_tells_of_it_once() {
    let act = async |world: &World| {
        world.collect().await.unwrap();
        world.gateway.refund(&payment_id(), 10_000);
        world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
    };
    crash_everywhere(World::new, act, async |world, told_when| {
        repair(world).await;
        world.gateway.refund(&payment_id(), 10_000);
        world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
        assert_eq!(world.invoice().state.status(), "partially_refunded", "{told_when}");
        let receipts = world.notices().iter().filter(|name| **name == "receipt").count();
        assert_eq!(receipts, 1, "{told_when}");
    })
    .await;
}

/// Declined hard on the first; at noon the customer registers another key.
fn with_a_new_key() -> World {
    let world = World::new();
    world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(HARD));
    world.gateway.put_key(issued(FIRST_KEY, "2026-11-01T09:00"));
    world
}

async fn register_the_new_key(world: &World) {
    world.run().await;
    world.go_to("2026-12-01T12:00");
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
    drop(world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await);
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_registration_is_finished_by_the_next_delivery() {
    crash_everywhere(with_a_new_key, register_the_new_key, async |world, told| {
        world.go_to("2026-12-01T12:05");
        world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
        world.run().await;
        world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        world.work_off().await;
        assert_eq!(world.store.all_keys().len(), 1, "{told}");
        assert_eq!(world.notices().iter().filter(|name| **name == "method_registered").count(), 1, "{told}");
        world.run().await;
        world.assert_paid_once(told);
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_removal_is_finished_by_the_next_delivery() {
    let world = || {
        let world = World::new();
        world.gateway.put_key(issued(FIRST_KEY, "2026-11-01T09:00"));
        world.gateway.put_key(issued(OTHER_KEY, "2026-11-02T09:00"));
        world
    };
    let act = async |world: &World| {
        world
            .billing
            .register_key(&world.queue, &BillingKey::new(OTHER_KEY), &Cause::Api("1".to_owned()))
            .await
            .unwrap();
        world
            .billing
            .register_key(&world.queue, &BillingKey::new(FIRST_KEY), &Cause::Api("1".to_owned()))
            .await
            .unwrap();
        world.minutes_pass(1);
        world.gateway.delete_key(&BillingKey::new(FIRST_KEY));
        drop(world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await);
    };
    crash_everywhere(world, act, async |world, told| {
        for key in [OTHER_KEY, FIRST_KEY] {
            drop(world.billing.register_key(&world.queue, &BillingKey::new(key), &Cause::Api("2".to_owned())).await);
        }
        world.minutes_pass(1);
        world.gateway.delete_key(&BillingKey::new(FIRST_KEY));
        world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
        let rows = world.store.all_keys();
        let first = rows.iter().find(|row| row.billing_key.expose() == FIRST_KEY);
        assert_eq!(first.unwrap().status, KeyStatus::Deleted, "{told}");
        assert_eq!(world.subscription().method, Some(method(OTHER_KEY)), "{told}");
        assert_eq!(world.notices().iter().filter(|name| **name == "method_removed").count(), 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_planners_run_forgets_nobody() {
    let world = || World::with((0..9).map(customer));
    let act = async |world: &World| drop(world.run().await);
    let crashes = crash_everywhere(world, act, async |world, told| {
        world.minutes_pass(5);
        world.run().await;
        assert_eq!(world.gateway.approvals().len(), 9, "{told}");
    })
    .await;
    assert!(crashes > 60, "{crashes}");
}

#[tokio::test]
async fn a_crash_at_any_point_of_giving_up_ends_it_once() {
    let act = async |world: &World| {
        world.run().await;
        world.go_to("2026-12-06T10:00");
        world.run().await;
    };
    crash_everywhere(
        || World::where_charges(decline(HARD)),
        act,
        async |world, told| {
            world.minutes_pass(5);
            world.live_until("2026-12-14T12:00").await;
            assert_eq!(world.statuses(), ("uncollectible", "expired"), "{told}");
            assert_eq!(world.notices(), ["payment_failed", "subscription_ended"], "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_cancelled_subscriptions_end_ends_it_once() {
    let world = || World::with([Subscription { cancel_at_period_end: true, ..standard() }]);
    crash_everywhere(world, collect, async |world, told| {
        repair(world).await;
        assert_eq!(
            (world.subscription().state.status(), world.notices()),
            ("canceled", vec!["subscription_ended"]),
            "{told}"
        );
        assert_eq!(world.gateway.charges(), [], "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_between_sending_and_marking_repeats_a_mail_at_most_once_and_loses_none() {
    let act = async |world: &World| {
        world.collect().await.unwrap();
        world.notify().await;
    };
    crash_everywhere(World::new, act, async |world, told| {
        world.minutes_pass(5);
        world.run().await;
        world.notify().await;
        world.minutes_pass(5);
        world.notify().await;
        assert!((1..=2).contains(&world.mailer.sent().len()), "{told}: {}", world.mailer.sent().len());
    })
    .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_the_nightly_pass_records_a_difference_once() {
    let world = || {
        let world = World::new();
        let stranger = billing_flows::ports::PaymentSeen {
            payment_id: billing_core::id::PaymentId::new(format!("inv{}", "A".repeat(32))).unwrap(),
            ..seen(SeenStatus::Paid { at: at("2026-12-01T10:00") })
        };
        world.gateway.put_payment(stranger, at("2026-12-01T10:00"));
        world
    };
    let act = async |world: &World| {
        world.collect().await.unwrap();
        world.compare_the_first().await;
    };
    crash_everywhere(world, act, async |world, told| {
        world.minutes_pass(5);
        world.run().await;
        world.compare_the_first().await;
        world.assert_paid_once(told);
        assert_eq!(world.count(EventKind::BooksDiffer), 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn the_clock_may_stand_still_or_run_backwards_between_two_machines() {
    let world = World::new();
    world.gateway.next([decline(SOFT)]);
    world.collect().await.unwrap();
    world.clock.set(at("2026-12-01T09:59"));
    world.receive(&told(PaymentHint::Failed)).await.unwrap();
    world.go_to("2026-12-02T10:00");
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.clock.set(at("2026-12-02T09:50"));
    world.receive(&told(PaymentHint::Paid)).await.unwrap();
    assert_eq!(world.kinds(), [EventKind::PaymentFailed, EventKind::PaymentUnknown, EventKind::InvoicePaid]);
    assert!(world.now() < world.invoice().updated_at);
}
