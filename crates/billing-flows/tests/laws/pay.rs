//! Paying on demand: what is owed, once, and the same answer for the same key. (Laws 1, 2, 3, 6 and 8.)

use crate::world::{
    FIRST_KEY, HARD, SOFT, World, at, crash_everywhere, decline, interleave_everywhere, standard, told, won,
};
use billing_core::event::Cause;
use billing_core::invoice::Outcome;
use billing_flows::fake::Behaviour;
use billing_flows::pay::{Paying, Tried};
use billing_flows::receive_webhook::PaymentHint;

fn caller(key: &str) -> Cause {
    Cause::Api(key.to_owned())
}

async fn pay(world: &World, key: &str) -> Paying {
    let (subscription, caller) = (standard().key, caller(key));
    Box::pin(world.billing.pay(&world.queue, &subscription, None, &caller)).await.unwrap()
}

async fn tried(world: &World, key: &str) -> Tried {
    match pay(world, key).await {
        Paying::Tried(tried) => *tried,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_due_is_charged_and_the_period_is_paid() {
    let world = World::new();
    let paid = tried(&world, "key-1").await;
    assert_eq!((paid.outcome(), paid.invoice.state.status()), (Some(&Outcome::Paid), "paid"));
    world.assert_paid_once("on demand");
    let Paying::NothingOwed { paid: Some(invoice), next } = pay(&world, "key-2").await else { panic!() };
    let next = next.map(|next| (next.at, next.amount));
    assert_eq!((invoice.payment_id, next), (paid.invoice.payment_id, Some((at("2027-01-01T10:00"), won(30_000)))));
}

#[tokio::test]
async fn nothing_is_charged_before_it_is_due() {
    let world = World::new();
    world.go_to("2026-11-30T18:00");
    assert!(matches!(pay(&world, "key-1").await, Paying::NothingOwed { paid: None, next: Some(_) }));
    assert_eq!(world.gateway.charges().len(), 0);
}

#[tokio::test]
async fn another_sum_than_is_owed_is_refused_and_not_charged() {
    let world = World::new();
    let key = standard().key;
    let paying = world.billing.pay(&world.queue, &key, Some(won(29_000)), &caller("key-1")).await.unwrap();
    assert_eq!(paying, Paying::Differs { owed: won(30_000) });
    assert_eq!(world.gateway.charges().len(), 0);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_charges_once() {
    for way in [Behaviour::Approve, decline(SOFT)] {
        let world = World::where_charges(way.clone());
        let first = tried(&world, "key-1").await;
        let again = tried(&world, "key-1").await;
        assert_eq!((first.attempt, first.outcome()), (again.attempt, again.outcome()), "{way:?}");
        assert_eq!(world.gateway.charges().len(), 1, "{way:?}");
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_after_others_were_used() {
    let world = World::where_charges(decline(SOFT));
    let first = tried(&world, "key-1").await;
    world.gateway.always(Behaviour::Approve);
    world.minutes_pass(2);
    let second = tried(&world, "key-2").await;
    assert_eq!(second.outcome(), Some(&Outcome::Paid));
    let again = tried(&world, "key-1").await;
    assert_eq!(again.outcome(), first.outcome());
    assert_eq!(tried(&world, "key-2").await.outcome(), Some(&Outcome::Paid));
    assert_eq!(world.gateway.charges().len(), 2);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_after_the_next_bill_was_declined() {
    let world = World::new();
    let first = tried(&world, "key-1").await;
    world.gateway.always(decline(SOFT));
    world.live_until("2027-01-01T12:00").await;
    assert_eq!(world.subscription().state.status(), "past_due");
    let again = tried(&world, "key-1").await;
    assert_eq!((again.invoice.payment_id, again.attempt), (first.invoice.payment_id, first.attempt));
    assert_eq!(world.gateway.charges().len(), 2, "December and January, once each");
}

#[tokio::test]
async fn a_customer_who_pays_sooner_uses_a_retry_up_and_the_last_one_ends_the_subscription() {
    let world = World::where_charges(decline(SOFT));
    for key in ["key-1", "key-2", "key-3", "key-4"] {
        tried(&world, key).await;
        world.minutes_pass(2);
    }
    world.assert_expired_after_four_declines("on demand");
    assert_eq!(tried(&world, "key-4").await.invoice.state.status(), "uncollectible", "the same key, the same answer");
    assert_eq!(pay(&world, "key-5").await, Paying::Ended);
}

#[tokio::test]
async fn nothing_is_tried_again_within_two_minutes_for_clocks_differ() {
    let world = World::where_charges(decline(SOFT));
    tried(&world, "key-1").await;
    world.minutes_pass(1);
    let sooner = tried(&world, "key-2").await;
    assert_eq!((sooner.attempt, world.gateway.charges().len()), (None, 1));
    world.minutes_pass(1);
    assert_eq!((tried(&world, "key-2").await.attempt, world.gateway.charges().len()), (Some(2), 2));
}

#[tokio::test]
async fn a_method_that_was_declined_for_good_is_not_charged_again() {
    let world = World::where_charges(decline(HARD));
    tried(&world, "key-1").await;
    let again = tried(&world, "key-2").await;
    assert_eq!((again.attempt, again.invoice.declines(), world.gateway.charges().len()), (None, 1, 1));
    assert!(again.outcome().is_some(), "the answer says why the last one failed");
}

#[tokio::test]
async fn an_attempt_that_is_not_decided_is_asked_about_when_its_key_comes_again_and_later_by_itself() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    let first = tried(&world, "key-1").await;
    assert_eq!(first.invoice.state.status(), "unknown");
    assert_eq!(tried(&world, "key-1").await.outcome(), Some(&Outcome::Paid));
    world.assert_paid_once("asked by the caller");

    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    tried(&world, "key-1").await;
    world.come_back().await;
    world.assert_paid_once("asked by the message");
}

#[tokio::test]
async fn nothing_is_charged_while_banks_are_down() {
    let world = World::new();
    world.go_to("2026-12-01T23:40");
    assert_eq!(pay(&world, "key-1").await, Paying::BanksDown);
}

#[tokio::test]
async fn a_crash_at_any_point_of_paying_charges_once_when_the_caller_asks_again() {
    crash_everywhere(
        World::new,
        async |world| drop(pay(world, "key-1").await),
        async |world, told| {
            world.minutes_pass(5);
            pay(world, "key-1").await;
            world.live_until("2026-12-02T12:00").await;
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn a_caller_and_a_worker_at_once_charge_once() {
    interleave_everywhere(
        World::new,
        async |world| drop(pay(world, "key-1").await),
        async |world| drop(world.collect().await),
        async |world, told| {
            world.minutes_pass(5);
            world.live_until("2026-12-02T12:00").await;
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn the_same_key_twice_at_once_makes_one_attempt_also_where_it_is_declined() {
    interleave_everywhere(
        || World::where_charges(decline(SOFT)),
        async |world| drop(pay(world, "key-1").await),
        async |world| drop(pay(world, "key-1").await),
        async |world, told| assert_eq!(world.gateway.charges().len(), 1, "{told}"),
    )
    .await;
}

#[tokio::test]
async fn the_same_key_twice_at_once_pays_one_period_also_where_the_next_is_due_already() {
    interleave_everywhere(
        || {
            let world = World::new();
            world.go_to("2027-01-05T12:00");
            world
        },
        async |world| drop(pay(world, "key-1").await),
        async |world| drop(pay(world, "key-1").await),
        async |world, told| assert_eq!(world.gateway.charges().len(), 1, "{told}"),
    )
    .await;
}

#[tokio::test]
async fn the_same_key_again_pays_no_other_period_where_its_own_is_settled_by_a_webhook_meanwhile() {
    interleave_everywhere(
        || {
            let world = World::new();
            world.go_to("2027-01-05T12:00");
            world.gateway.next([Behaviour::UnknownButPaid]);
            world
        },
        async |world| {
            pay(world, "key-1").await;
            pay(world, "key-1").await;
        },
        async |world| drop(world.receive(&told(PaymentHint::Paid)).await),
        async |world, told| assert_eq!(world.gateway.charges().len(), 1, "{told}"),
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_gone_is_answered_as_a_decline() {
    let world = World::new();
    world.gateway.delete_key(&billing_core::billing_key::BillingKey::new(FIRST_KEY));
    assert!(matches!(tried(&world, "key-1").await.outcome(), Some(Outcome::Declined(_))));
}
