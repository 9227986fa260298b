//! Law 8, everything that waits can be asked again: every handler is safe to run twice, and two at once.

use crate::world::{
    FIRST_KEY, HARD, OTHER_KEY, SOFT, World, at, at_once, decline, interleave_everywhere, issued, method, payment_id,
    told, told_of_key,
};
use billing_core::billing_key::BillingKey;
use billing_core::event::{Cause, EventKind};
use billing_flows::fake::{Behaviour, QueueMessage};
use billing_flows::plan_run::plan_run;
use billing_flows::receive_webhook::{KeyHint, PaymentHint};

fn every_way() -> Vec<Behaviour> {
    vec![
        Behaviour::Approve,
        decline(SOFT),
        decline(HARD),
        Behaviour::Pending,
        Behaviour::AlreadyPaid,
        Behaviour::Refuse("INVALID_REQUEST".to_owned()),
    ]
}

#[tokio::test]
async fn a_collect_message_delivered_again_changes_nothing_more() {
    for way in every_way() {
        let world = World::where_charges(way.clone());
        let message = world.message();
        world.billing.collect(&world.queue, &message, None).await.unwrap();
        let (before, sent) = (world.tables(), world.attempts_sent());
        for minutes in [0, 1, 10] {
            world.minutes_pass(minutes);
            world.billing.collect(&world.queue, &message, None).await.unwrap();
        }
        assert_eq!((world.tables(), world.attempts_sent()), (before, sent), "{way:?}");
    }
}

#[tokio::test]
async fn a_subscription_that_changed_after_it_was_read_with_others_is_read_again() {
    let world = World::new();
    let read = world.subscription();
    let message = world.message();
    world.billing.collect(&world.queue, &message, Some(read.clone())).await.unwrap();
    let (before, sent) = (world.tables(), world.attempts_sent());
    // As a second worker has it that read when the first did.
    world.billing.collect(&world.queue, &message, Some(read)).await.unwrap();
    assert_eq!((world.tables(), world.attempts_sent()), (before, sent));
    world.assert_paid_once("by a worker that read too early");
}

#[tokio::test]
async fn a_subscription_that_was_canceled_after_it_was_read_with_others_is_not_charged() {
    let world = World::new();
    let read = world.subscription();
    world.customer_cancels();
    world.billing.collect(&world.queue, &world.message(), Some(read)).await.unwrap();
    assert!(world.attempts_sent().is_empty());
}

#[tokio::test]
async fn a_message_of_the_first_run_delivered_again_on_the_second_day_is_as_good_as_the_seconds() {
    let world = World::new();
    world.gateway.next([decline(SOFT)]);
    let message = world.message();
    world.billing.collect(&world.queue, &message, None).await.unwrap();
    world.go_to("2026-12-02T10:00");
    world.billing.collect(&world.queue, &message, None).await.unwrap();
    world.collect().await.unwrap();
    world.assert_paid_once("by an old message");
}

#[tokio::test]
async fn a_tick_delivered_twice_is_the_same_run() {
    let world = World::new();
    let now = world.now();
    let tick = || plan_run(&world.store, &world.queue, &world.telemetry, now, || false);
    tick().await.unwrap();
    let first = world.queue.drain();
    world.minutes_pass(1);
    tick().await.unwrap();
    assert_eq!(world.queue.messages(), first);
    for message in first {
        if let QueueMessage::Collect(message) = message {
            world.billing.collect(&world.queue, &message, None).await.unwrap();
        }
    }
    world.work_off().await;
    world.assert_paid_once("a doubled tick");
}

#[tokio::test]
async fn a_payment_webhook_delivered_again_changes_nothing_more() {
    let hints =
        [PaymentHint::Paid, PaymentHint::Failed, PaymentHint::Pending, PaymentHint::Cancelled, PaymentHint::Dispute];
    for way in [Behaviour::UnknownButPaid, Behaviour::UnknownButDeclined(SOFT.to_owned()), Behaviour::UnknownButPending]
    {
        for hint in hints {
            let world = World::where_charges(way.clone());
            world.collect().await.unwrap();
            world.receive(&told(hint)).await.unwrap();
            let before = world.tables();
            for _ in 0..2 {
                world.minutes_pass(10);
                world.receive(&told(hint)).await.unwrap();
            }
            assert_eq!(world.tables(), before, "{way:?} {hint:?}");
        }
    }
}

#[tokio::test]
async fn the_same_webhook_twice_at_once_settles_once() {
    for (way, hint) in [
        (Behaviour::UnknownButPaid, PaymentHint::Paid),
        (Behaviour::UnknownButDeclined(SOFT.to_owned()), PaymentHint::Failed),
        (Behaviour::UnknownButPending, PaymentHint::Pending),
    ] {
        interleave_everywhere(
            || {
                let world = World::where_charges(way.clone());
                at_once(world.collect()).unwrap();
                world
            },
            async |world| {
                world.receive(&told(hint)).await.unwrap();
            },
            async |world| {
                world.receive(&told(hint)).await.unwrap();
            },
            async |world, told_when| {
                let settled = world.kinds().into_iter().filter(|kind| *kind != EventKind::PaymentUnknown).count();
                assert_eq!(settled, 1, "{hint:?}, {told_when}: {:?}", world.kinds());
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_registration_delivered_twice_at_once_registers_and_charges_once() {
    let world = || {
        let world = World::new();
        world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(HARD));
        world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
        world
    };
    interleave_everywhere(
        world,
        async |world| {
            world.run().await;
            world.go_to("2026-12-01T12:00");
            world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
            world.work_off().await;
        },
        async |world| {
            if world.now() >= at("2026-12-01T12:00") {
                world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
                world.work_off().await;
            }
        },
        async |world, told| {
            world.work_off().await;
            world.assert_paid_once(told);
            assert_eq!((world.store.all_keys().len(), world.count(EventKind::BillingKeyRegistered)), (1, 1), "{told}");
            assert_eq!(world.count(EventKind::MethodReplaced), 1, "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_removal_delivered_twice_at_once_removes_once() {
    let world = || {
        let world = World::new();
        world.gateway.put_key(issued(FIRST_KEY, "2026-11-01T09:00"));
        world
    };
    interleave_everywhere(
        world,
        async |world| {
            let cause = Cause::Api("1".to_owned());
            world.billing.register_key(&world.queue, &BillingKey::new(FIRST_KEY), &cause).await.unwrap();
            world.minutes_pass(1);
            world.gateway.delete_key(&BillingKey::new(FIRST_KEY));
            world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
        },
        async |world| {
            world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
        },
        async |world, told| {
            assert_eq!(world.count(EventKind::BillingKeyRemoved), 1, "{told}");
            assert_eq!(world.subscription().method, None, "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn the_hourly_pass_run_twice_at_once_settles_once() {
    interleave_everywhere(
        || World::where_charges(Behaviour::UnknownButPaid),
        async |world| {
            world.collect().await.unwrap();
            world.minutes_pass(5);
            world.reconcile().await;
        },
        async |world| {
            world.reconcile().await;
        },
        async |world, told| world.assert_paid_once(told),
    )
    .await;
}

#[tokio::test]
async fn the_nightly_pass_run_twice_at_once_settles_once() {
    interleave_everywhere(
        || World::where_charges(Behaviour::UnknownButPaid),
        async |world| {
            world.collect().await.unwrap();
            world.go_to("2026-12-02T03:00");
            world.compare_the_first().await;
        },
        async |world| {
            world.compare_the_first().await;
        },
        async |world, told| world.assert_paid_once(told),
    )
    .await;
}

#[tokio::test]
async fn a_stream_batch_delivered_again_sends_nothing_more() {
    let world = World::new();
    world.collect().await.unwrap();
    let events = world.events();
    for _ in 0..3 {
        world.notify_of(&events).await;
        world.minutes_pass(5);
    }
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn two_notifiers_at_once_send_one_mail() {
    interleave_everywhere(
        World::new,
        async |world| {
            world.collect().await.unwrap();
            world.notify_of(&world.events()).await;
        },
        async |world| drop(world.notify_of(&world.events()).await),
        async |world, told| {
            world.minutes_pass(5);
            world.notify_of(&world.events()).await;
            assert_eq!(world.mailer.sent().len(), 1, "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn an_end_by_two_messages_at_once_is_one_end() {
    interleave_everywhere(
        || {
            let world = World::new();
            world.customer_cancels_at_period_end();
            world
        },
        async |world| {
            world.collect().await.unwrap();
        },
        async |world| {
            world.collect().await.unwrap();
        },
        async |world, told| assert_eq!(world.kinds(), [EventKind::SubscriptionCanceled], "{told}"),
    )
    .await;
}

#[tokio::test]
async fn facts_in_any_order_end_in_the_same_books() {
    let mut ends = Vec::new();
    for order in [[PaymentHint::Paid, PaymentHint::Cancelled], [PaymentHint::Cancelled, PaymentHint::Paid]] {
        let world = World::where_charges(Behaviour::UnknownButPaid);
        world.collect().await.unwrap();
        world.gateway.refund(&payment_id(), 10_000);
        for hint in order {
            world.receive(&told(hint)).await.unwrap();
        }
        let invoice = world.invoice();
        ends.push((invoice.state, invoice.attempts.len(), invoice.proof, world.subscription().state));
    }
    assert!(ends.windows(2).all(|pair| matches!(pair, [a, b] if a == b)), "{ends:?}");
}
