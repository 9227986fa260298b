//! Reconciling: nobody who owes is ever forgotten, and the books say what `PortOne` says. (Laws 2, 7 and 8.)

use crate::world::{SOFT, World, at, customer, decline, payment_id, poll_times, seen, store_id};
use billing_core::decline::Decline;
use billing_core::event::EventKind;
use billing_core::id::PaymentId;
use billing_core::subscription::Subscription;
use billing_flows::fake::{AskFault, Behaviour, Fault};
use billing_flows::ports::{PaymentSeen, SeenStatus};
use billing_flows::reconcile::Reconciled;
use std::pin::pin;

fn december_of(subscription: &Subscription) -> PaymentId {
    PaymentId::derive(&store_id(), &subscription.key, crate::world::december(), 0)
}

/// A name that has the shape of ours.
fn stranger(status: SeenStatus) -> PaymentSeen {
    PaymentSeen { payment_id: PaymentId::new(format!("inv{}", "A".repeat(32))).unwrap(), ..seen(status) }
}

#[tokio::test]
async fn the_hourly_pass_settles_what_is_unknown() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    let pass = world.reconcile().await;
    assert_eq!((pass.asked, pass.settled, pass.failed), (1, 1, 0));
    world.assert_paid_once("by the hourly pass");
}

#[tokio::test]
async fn the_hourly_pass_settles_what_a_dead_worker_left_once_its_lease_is_over() {
    let world = World::new();
    {
        let mut work = pin!(world.collect());
        while world.gateway.approvals().is_empty() {
            assert!(poll_times(work.as_mut(), 1).is_none());
        }
    }
    world.minutes_pass(2);
    assert_eq!(world.reconcile().await.asked, 0);
    world.minutes_pass(1);
    assert_eq!(world.reconcile().await.settled, 1);
    world.assert_paid_once("after the lease");
}

#[tokio::test]
async fn the_hourly_pass_asks_about_nothing_that_is_decided() {
    for way in [Behaviour::Approve, decline(SOFT), Behaviour::Refuse("INVALID_REQUEST".to_owned())] {
        let world = World::where_charges(way.clone());
        world.collect().await.unwrap();
        world.go_to("2026-12-02T11:00");
        assert_eq!((world.reconcile().await, world.asked()), (Reconciled::default(), 0), "{way:?}");
    }
}

#[tokio::test]
async fn the_hourly_pass_charges_nobody_for_the_first_time() {
    let world = World::with((0..10).map(customer));
    world.reconcile().await;
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
}

#[tokio::test]
async fn one_row_that_fails_keeps_the_pass_from_no_other() {
    let world = World::with((0..20).map(customer));
    world.gateway.always(Behaviour::UnknownButPaid);
    world.run().await;
    world.minutes_pass(5);
    world.store.faults().next("invoice", Fault::Before);
    let pass = world.reconcile().await;
    assert_eq!((pass.settled, pass.failed), (19, 1));
    assert_eq!(world.reconcile().await.settled, 1);
}

#[tokio::test]
async fn a_pass_that_is_late_stops_and_the_next_one_begins_again() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    let pass = world.billing.reconcile(world.now(), || true).await.unwrap();
    assert_eq!((pass.asked, pass.unfinished), (0, true));
    assert!(!world.reconcile().await.unfinished);
    world.assert_paid_once("by the next pass");
}

#[tokio::test]
async fn the_nightly_pass_finds_nothing_when_both_books_agree() {
    let world = World::with((0..250).map(customer));
    world.gateway.script_key(&customer(7).method.unwrap().billing_key, decline(SOFT));
    world.run().await;
    let pass = world.compare_the_first().await;
    assert_eq!((pass.settled, pass.differences, pass.failed), (0, 0, 0));
    assert_eq!(world.telemetry.alarms(), []);
}

#[tokio::test]
async fn the_nightly_pass_settles_what_every_webhook_and_answer_was_lost_of() {
    let world = World::with((0..20).map(customer));
    world.gateway.always(Behaviour::UnknownButPaid);
    world.run().await;
    assert_eq!(world.compare_the_first().await.settled, 20);
    assert!(world.store.all_invoices().iter().all(|row| row.state.status() == "paid"));
}

#[tokio::test]
async fn money_at_portone_that_no_invoice_of_ours_asked_for_is_a_difference_recorded_once() {
    let world = World::new();
    world.gateway.put_payment(stranger(SeenStatus::Paid { at: at("2026-12-01T12:00") }), at("2026-12-01T12:00"));
    for _ in 0..3 {
        assert_eq!(world.compare_the_first().await.differences, 1);
        world.minutes_pass(1440);
    }
    assert_eq!(world.telemetry.alarms(), [EventKind::BooksDiffer]);
}

#[tokio::test]
async fn payments_of_others_in_the_same_store_and_payments_that_moved_no_money_are_no_difference() {
    let world = World::new();
    let others = PaymentSeen {
        payment_id: PaymentId::new("shop-order-1").unwrap(),
        ..seen(SeenStatus::Paid { at: at("2026-12-01T12:00") })
    };
    let failed = SeenStatus::Failed { at: at("2026-12-01T12:00"), decline: Decline::no_method("X") };
    for payment in [others, stranger(failed)] {
        world.gateway.put_payment(payment, at("2026-12-01T12:00"));
    }
    assert_eq!((world.compare_the_first().await.differences, world.kinds()), (0, vec![]));
}

#[tokio::test]
async fn an_invoice_that_is_paid_in_our_books_only_is_a_difference_recorded_once() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.forget_payment(&payment_id());
    for _ in 0..3 {
        assert_eq!(world.compare_the_first().await.differences, 1);
    }
    assert_eq!(world.telemetry.alarms(), [EventKind::BooksDiffer]);
}

#[tokio::test]
async fn an_invoice_paid_today_under_a_payment_created_before_is_no_difference() {
    let world = World::new();
    world.gateway.next([Behaviour::Pending]);
    world.collect().await.unwrap();
    world.go_to("2026-12-03T12:00");
    world.gateway.approve_pending(&payment_id());
    world.reconcile().await;
    let pass = world.billing.compare(at("2026-12-03T00:00"), at("2026-12-04T00:00")).await.unwrap();
    assert_eq!((pass.differences, world.telemetry.alarms()), (0, vec![]));
}

#[tokio::test]
async fn an_undecided_charge_of_a_cancelled_subscription_is_cleared_up_by_the_nightly_pass() {
    for (way, status) in [
        (Behaviour::UnknownButPaid, "paid"),
        (Behaviour::UnknownButDeclined(SOFT.to_owned()), "void"),
        (Behaviour::UnknownNotReceived, "void"),
    ] {
        let world = World::new();
        world.gateway.next([way.clone()]);
        world.collect().await.unwrap();
        world.customer_cancels();
        world.go_to("2026-12-02T03:00");
        world.compare_the_first().await;
        assert_eq!((world.statuses(), world.attempts_sent()), ((status, "canceled"), vec![1]), "{way:?}");
    }
}

#[tokio::test]
async fn a_question_that_fails_keeps_the_nightly_pass_from_no_other() {
    let world = World::with((0..10).map(customer));
    world.run().await;
    for number in 0..10 {
        world.gateway.forget_payment(&december_of(&customer(number)));
    }
    world.gateway.next_asks([None, Some(AskFault::Unavailable)]);
    let pass = world.compare_the_first().await;
    assert_eq!((pass.differences, pass.failed), (9, 1));
    assert_eq!(world.compare_the_first().await.differences, 10);
}

#[tokio::test]
async fn a_nightly_pass_that_cannot_list_is_an_error_to_be_tried_again() {
    let world = World::new();
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.billing.compare(at("2026-12-01T00:00"), at("2026-12-02T00:00")).await.unwrap_err();
}

#[tokio::test]
async fn a_refund_whose_webhook_was_lost_is_found_by_the_nightly_pass_of_its_payments_day() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 30_000);
    world.go_to("2026-12-02T03:00");
    assert_eq!(world.compare_the_first().await.settled, 1);
    assert_eq!(world.statuses(), ("refunded", "active"));
}

#[tokio::test]
async fn a_paid_invoice_whose_subscription_did_not_move_on_is_healed_and_not_charged_again() {
    let world = World::new();
    let before = world.subscription();
    world.collect().await.unwrap();
    world.store.put_subscription(&Subscription { version: world.subscription().version + 1, ..before });
    world.minutes_pass(1);
    world.run().await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("healed");
}
