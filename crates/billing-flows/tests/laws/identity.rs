//! Law 1, identity before action: the invoice row and its attempt row are durable before `PortOne` is called; a payment id and an
//! idempotency key are the same on every try, by anyone; a revision only after "used up" and a GET that proves the payment unpaid.

use crate::world::{SOFT, World, at, december, decline, method, payment_id, poll_times, seen, standard, store_id};
use billing_core::decline::Decline;
use billing_core::event::EventKind;
use billing_core::id::PaymentId;
use billing_core::invoice::{Outcome, State};
use billing_core::subscription::Subscription;
use billing_flows::collect::{Collected, Skip};
use billing_flows::fake::{AskFault, Behaviour};
use billing_flows::ports::SeenStatus;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// From now on every call of `PortOne`'s finds its attempt written down, or the test fails.
fn watch(world: &World, then: Behaviour) -> Arc<AtomicUsize> {
    let (store, calls) = (world.store.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    world.gateway.script_by(move |charge| {
        let rows = store.all_invoices();
        let row = rows.iter().find(|row| row.payment_id == charge.payment_id).unwrap();
        let attempt = row.attempts.last().unwrap();
        assert!(matches!(row.state, State::Charging { .. }));
        assert_eq!(attempt.number, charge.attempt);
        assert!(matches!(attempt.outcome, None | Some(Outcome::Unknown)));
        assert_eq!((&attempt.method.billing_key, row.amount), (&charge.billing_key, charge.amount));
        count.fetch_add(1, Ordering::SeqCst);
        Some(then.clone())
    });
    calls
}

#[tokio::test]
async fn the_invoice_and_its_attempt_are_written_before_portone_is_called() {
    let world = World::new();
    let calls = watch(&world, Behaviour::Approve);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_attempt_of_a_ladder_is_written_before_portone_is_called() {
    let world = World::new();
    let calls = watch(&world, decline(SOFT));
    world.run().await;
    world.live_until("2026-12-10T00:00").await;
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn every_resend_takes_the_lease_before_portone_is_called() {
    let world = World::new();
    let calls = watch(&world, Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    world.live_until("2026-12-01T13:00").await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_worker_that_dies_in_the_call_leaves_its_attempt_behind() {
    let world = World::new();
    {
        let mut work = pin!(world.collect());
        while world.gateway.charges().is_empty() {
            assert!(poll_times(work.as_mut(), 1).is_none());
        }
    }
    assert_eq!(world.statuses(), ("charging", "active"));
    assert_eq!(world.invoice().attempts.len(), 1);
}

#[tokio::test]
async fn a_claim_that_cannot_be_written_calls_nobody() {
    let world = World::new();
    world.store.faults().next("commit", billing_flows::fake::Fault::Before);
    world.collect().await.unwrap_err();
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
}

#[tokio::test]
async fn the_payment_id_is_the_same_on_every_attempt_and_each_attempt_has_an_idempotency_key_of_its_own() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.live_until("2026-12-10T00:00").await;
    let sent: Vec<(PaymentId, u32)> =
        world.gateway.charges().into_iter().map(|charge| (charge.payment_id, charge.attempt)).collect();
    assert_eq!(sent, [1, 2, 3, 4].map(|attempt| (payment_id(), attempt)));
}

#[tokio::test]
async fn two_systems_that_know_nothing_of_each_other_give_a_period_one_name() {
    let (one, other) = (World::new(), World::new());
    other.go_to("2026-12-03T17:21");
    one.collect().await.unwrap();
    other.collect().await.unwrap();
    assert_eq!(one.invoice().payment_id, other.invoice().payment_id);
}

#[tokio::test]
async fn a_resend_is_the_same_request_even_if_the_customer_has_changed_meanwhile() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.collect().await.unwrap();
    let row = world.subscription();
    let changed = Subscription {
        seats: 9,
        monthly: crate::world::won(90_000),
        method: Some(method("another-key")),
        customer: billing_core::subscription::Customer::default(),
        version: row.version + 1,
        ..row
    };
    world.store.put_subscription(&changed);
    world.minutes_pass(60);
    world.reconcile().await;
    let [first, again] = world.gateway.charges().try_into().unwrap();
    assert_eq!(again, billing_flows::fake::Charge { at: again.at, ..first });
    assert_eq!(world.gateway.violations(), [] as [&str; 0]);
}

/// The first attempt was declined; the second finds the payment id used up.
async fn used_up_on_the_second_day() -> World {
    let world = World::new();
    world.gateway.next([decline(SOFT), Behaviour::UsedUp]);
    world.collect().await.unwrap();
    world.go_to("2026-12-02T10:00");
    world
}

#[tokio::test]
async fn a_used_up_payment_id_that_is_unpaid_takes_its_next_revision() {
    let world = used_up_on_the_second_day().await;
    assert_eq!(world.collect().await.unwrap(), Collected::Skipped(Skip::Undecided));
    assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceSuperseded]);
    world.run().await;
    world.assert_paid_once("under the next revision");
    let next = PaymentId::derive(&store_id(), &standard().key, december(), billing_core::invoice::Part::Period, 1);
    assert_eq!(world.gateway.approvals().first().unwrap().payment_id, next);
    let old = world.store.all_invoices().into_iter().find(|row| row.revision == 0).unwrap();
    assert_eq!((old.state.status(), old.superseded_by), ("void", Some(next)));
}

#[tokio::test]
async fn a_used_up_payment_id_that_is_paid_is_paid() {
    let world = used_up_on_the_second_day().await;
    world.gateway.put_payment(seen(SeenStatus::Paid { at: at("2026-12-01T10:00") }), at("2026-12-01T10:00"));
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    assert_eq!((world.store.all_invoices().len(), world.gateway.approvals().len()), (1, 0));
}

#[tokio::test]
async fn a_used_up_payment_id_is_kept_while_nothing_proves_it_unpaid() {
    let failed = SeenStatus::Failed { at: at("2026-12-01T10:00"), decline: Decline::no_method("X") };
    for status in [None, Some(SeenStatus::Pending), Some(SeenStatus::Other("NEW".to_owned()))] {
        let world = used_up_on_the_second_day().await;
        world.gateway.forget_payment(&payment_id());
        if let Some(status) = &status {
            world.gateway.put_payment(seen(status.clone()), at("2026-12-01T10:00"));
        }
        world.collect().await.unwrap();
        assert_eq!((world.invoice().revision, world.store.all_invoices().len()), (0, 1), "{status:?}");
    }
    let world = used_up_on_the_second_day().await;
    world.gateway.put_payment(seen(failed), at("2026-12-01T10:00"));
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.collect().await.unwrap();
    assert_eq!(world.statuses(), ("unknown", "past_due"));
    assert_eq!(world.store.all_invoices().len(), 1);
}

#[tokio::test]
async fn two_workers_who_find_a_payment_id_used_up_take_one_revision() {
    let world = used_up_on_the_second_day().await;
    let (one, other) = futures::join!(world.collect(), world.collect());
    drop((one, other));
    world.live_until("2026-12-04T00:00").await;
    world.assert_paid_once("two workers");
    assert_eq!(world.count(EventKind::InvoiceSuperseded), 1);
}

#[tokio::test]
async fn a_payment_id_that_is_used_up_for_ever_ends_before_a_person_and_not_in_a_loop() {
    let world = World::new();
    world.gateway.script_by(|_| Some(Behaviour::UsedUp));
    for revision in 0..=10u8 {
        let id =
            PaymentId::derive(&store_id(), &standard().key, december(), billing_core::invoice::Part::Period, revision);
        let failed = SeenStatus::Failed { at: at("2026-11-01T10:00"), decline: Decline::no_method("X") };
        let payment = billing_flows::ports::PaymentSeen { payment_id: id, ..seen(failed) };
        world.gateway.put_payment(payment, at("2026-12-01T10:00"));
    }
    for _ in 0..15 {
        world.run().await;
        world.minutes_pass(5);
    }
    assert!(world.invoice().quarantine.is_some());
    assert_eq!((world.invoice().revision, world.notices()), (9, vec![]));
}
