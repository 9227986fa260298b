//! Dunning: up to three retries, then the end; a hard decline waits for a new method; a new method is tried at once; a cancellation ends it.
//! (Laws 3 and 5 over days.)

use crate::world::{
    FIRST_KEY, HARD, OTHER_KEY, SOFT, World, at, customer, decline, issued, method, payment_id, standard, told,
    told_of_key,
};
use billing_core::billing_key::{BillingKey, KeyStatus};
use billing_core::calendar;
use billing_core::event::EventKind;
use billing_core::subscription::Subscription;
use billing_flows::fake::{Behaviour, QueueMessage};
use billing_flows::ports::{PaymentSeen, SeenStatus};
use billing_flows::receive_webhook::{KeyHint, PaymentHint, Received};
use jiff::SignedDuration;

fn days(world: &World) -> Vec<(i8, i8)> {
    let seoul = |at: billing_core::Timestamp| at.to_zoned(calendar::seoul());
    world.gateway.charges().iter().map(|charge| (seoul(charge.at).day(), seoul(charge.at).hour())).collect()
}

/// Declined for good on the first.
async fn stolen() -> World {
    let world = World::new();
    world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(HARD));
    world.run().await;
    world
}

async fn issue(world: &World, key: &str, issued_at: &str) -> Received {
    world.gateway.put_key(issued(key, issued_at));
    world.receive(&told_of_key(KeyHint::Issued, key)).await.unwrap()
}

#[tokio::test]
async fn four_declines_on_four_mornings_end_the_subscription_with_one_mail_each() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.live_until("2027-02-02T12:00").await;
    assert_eq!(days(&world), [(1, 10), (2, 10), (4, 10), (6, 10)]);
    world.assert_expired_after_four_declines("to the end of the ladder");
    assert_eq!(world.mailer.sent().len(), 4);
}

#[tokio::test]
async fn a_retry_that_succeeds_ends_the_dunning() {
    for declines in 1..=3 {
        let world = World::new();
        world.gateway.next((0..declines).map(|_| decline(SOFT)));
        world.run().await;
        world.live_until("2026-12-20T12:00").await;
        world.assert_paid_once(&format!("after {declines}"));
        assert_eq!(world.notices().len(), declines + 1);
        assert_eq!(world.invoice().attempts.len(), declines + 1);
    }
}

#[tokio::test]
async fn each_mail_says_when_it_is_tried_again() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.live_until("2026-12-05T12:00").await;
    let until: Vec<_> = (world.events().into_iter().filter_map(|event| event.notice))
        .filter_map(|notice| match notice.body {
            billing_core::notice::NoticeBody::PaymentFailed { retried: true, until, .. } => Some(until),
            _ => None,
        })
        .collect();
    assert_eq!(until, ["2026-12-02T10:00", "2026-12-04T10:00", "2026-12-06T10:00"].map(at));
}

#[tokio::test]
async fn a_hard_decline_is_not_tried_again_and_given_up_on_the_date_that_was_told() {
    let world = stolen().await;
    world.live_until("2026-12-06T09:59").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("failed", "past_due"), vec![1]));
    world.live_until("2026-12-06T10:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("uncollectible", "expired"), vec![1]));
    assert_eq!(world.notices(), ["payment_failed", "subscription_ended"]);
}

#[tokio::test]
async fn a_new_key_on_what_is_owed_is_handed_to_the_workers_at_once_and_charged() {
    let world = stolen().await;
    world.go_to("2026-12-03T15:20");
    assert_eq!(issue(&world, OTHER_KEY, "2026-12-03T15:20").await, Received::Settled);
    assert!(matches!(world.queue.messages().as_slice(), [QueueMessage::Collect(_)]));
    world.work_off().await;
    assert_eq!(world.gateway.approvals().first().unwrap().billing_key, BillingKey::new(OTHER_KEY));
    world.assert_paid_once("by the new key");
}

#[tokio::test]
async fn a_new_key_does_not_wait_for_the_next_rung() {
    let world = World::new();
    world.gateway.script_key(&method(FIRST_KEY).billing_key, decline(SOFT));
    world.run().await;
    world.go_to("2026-12-01T10:30");
    issue(&world, OTHER_KEY, "2026-12-01T10:30").await;
    world.work_off().await;
    world.assert_paid_once("on the same day");
}

#[tokio::test]
async fn a_new_key_that_is_declined_too_goes_on_where_the_ladder_was() {
    let world = stolen().await;
    world.gateway.script_key(&method(OTHER_KEY).billing_key, decline(SOFT));
    world.go_to("2026-12-02T15:00");
    issue(&world, OTHER_KEY, "2026-12-02T15:00").await;
    world.work_off().await;
    world.live_until("2026-12-20T00:00").await;
    assert_eq!(days(&world), [(1, 10), (2, 15), (4, 10), (6, 10)]);
    world.assert_expired_after_four_declines("two keys, one ladder");
}

#[tokio::test]
async fn a_new_key_of_a_customer_who_owes_nothing_charges_nothing() {
    let world = World::new();
    world.run().await;
    issue(&world, OTHER_KEY, "2026-12-03T15:00").await;
    assert_eq!(world.queue.messages(), []);
    assert_eq!((world.subscription().method, world.attempts_sent()), (Some(method(FIRST_KEY)), vec![1]));
}

#[tokio::test]
async fn a_late_webhook_of_an_older_key_does_not_displace_a_newer_one() {
    let world = stolen().await;
    world.go_to("2026-12-02T15:00");
    world.gateway.put_key(issued("billing-key-in-between", "2026-12-02T14:00"));
    issue(&world, OTHER_KEY, "2026-12-02T14:30").await;
    assert_eq!(issue(&world, "billing-key-in-between", "2026-12-02T14:00").await, Received::Settled);
    assert_eq!(world.subscription().method, Some(method(OTHER_KEY)));
    world.work_off().await;
    assert_eq!(world.gateway.approvals().first().unwrap().billing_key, BillingKey::new(OTHER_KEY));
}

#[tokio::test]
async fn a_cancellation_stops_the_retries() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.customer_cancels();
    world.live_until("2026-12-20T00:00").await;
    assert_eq!((world.attempts_sent(), world.notices()), (vec![1], vec!["payment_failed"]));
    assert_eq!(world.subscription().state.status(), "canceled");
}

#[tokio::test]
async fn a_decline_that_comes_after_the_cancellation_voids_the_invoice_and_tells_nobody() {
    let world = World::where_charges(Behaviour::UnknownButDeclined(SOFT.to_owned()));
    world.collect().await.unwrap();
    world.customer_cancels();
    world.receive(&told(PaymentHint::Failed)).await.unwrap();
    assert_eq!((world.statuses(), world.notices()), (("void", "canceled"), vec![]));
}

#[tokio::test]
async fn a_cancellation_at_the_periods_end_ends_it_unbilled() {
    let world = World::new();
    world.customer_cancels_at_period_end();
    world.run().await;
    assert_eq!((world.gateway.charges(), world.notices()), (vec![], vec!["subscription_ended"]));
    assert_eq!(world.subscription().state.status(), "canceled");
}

#[tokio::test]
async fn a_cancellation_at_the_periods_end_waits_for_a_charge_whose_end_is_not_known() {
    for (way, end, mails) in [
        (Behaviour::UnknownButPaid, ("paid", "active"), vec!["receipt"]),
        (Behaviour::UnknownNotReceived, ("void", "canceled"), vec!["subscription_ended"]),
    ] {
        let world = World::new();
        world.gateway.next([way.clone()]);
        world.collect().await.unwrap();
        world.customer_cancels_at_period_end();
        world.live_until("2026-12-02T12:00").await;
        assert_eq!((world.statuses(), world.notices(), world.attempts_sent()), (end, mails, vec![1]), "{way:?}");
    }
}

#[tokio::test]
async fn a_cancelled_subscription_that_was_charged_once_more_ends_with_that_period() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.customer_cancels_at_period_end();
    world.live_until("2027-01-02T12:00").await;
    assert_eq!((world.subscription().state.status(), world.gateway.approvals().len()), ("canceled", 1));
    assert_eq!(world.notices(), ["receipt", "subscription_ended"]);
}

#[tokio::test]
async fn a_deleted_key_leaves_the_customers_newest_other_one() {
    let world = World::new();
    for (key, issued_at) in [(OTHER_KEY, "2026-11-02T09:00"), (FIRST_KEY, "2026-11-03T09:00")] {
        issue(&world, key, issued_at).await;
        world.minutes_pass(1);
    }
    world.gateway.delete_key(&BillingKey::new(FIRST_KEY));
    world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
    assert_eq!(world.subscription().method, Some(method(OTHER_KEY)));
    world.run().await;
    assert_eq!(world.gateway.approvals().first().unwrap().billing_key, BillingKey::new(OTHER_KEY));
}

#[tokio::test]
async fn a_webhook_that_says_a_living_key_was_deleted_changes_nothing() {
    let world = World::new();
    issue(&world, FIRST_KEY, "2026-11-01T09:00").await;
    let before = world.tables();
    assert_eq!(world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap(), Received::Unchanged);
    assert_eq!((world.tables(), world.store.all_keys().first().unwrap().status), (before, KeyStatus::Active));
}

#[tokio::test]
async fn a_customer_without_any_method_is_asked_for_one_and_charged_when_there_is_one() {
    let world = World::with([Subscription { method: None, ..standard() }]);
    world.run().await;
    assert_eq!((world.statuses(), world.notices()), (("failed", "past_due"), vec!["payment_failed"]));
    assert_eq!(world.gateway.charges(), []);
    world.go_to("2026-12-03T11:00");
    issue(&world, OTHER_KEY, "2026-12-03T11:00").await;
    world.work_off().await;
    world.assert_paid_once("by the first key there was");
}

#[tokio::test]
async fn a_customer_without_any_method_is_given_up_on_the_date_that_was_told() {
    let world = World::with([Subscription { method: None, ..standard() }]);
    world.run().await;
    world.live_until("2026-12-20T00:00").await;
    assert_eq!((world.statuses(), world.gateway.charges()), (("uncollectible", "expired"), vec![]));
    let ended = world.events().into_iter().last().unwrap();
    assert_eq!((ended.kind, ended.at), (EventKind::InvoiceUncollectible, at("2026-12-06T10:00")));
}

#[tokio::test]
async fn a_key_that_came_and_went_again_does_not_shorten_the_wait() {
    let world = stolen().await;
    world.gateway.script_key(&method(OTHER_KEY).billing_key, decline(HARD));
    world.go_to("2026-12-03T15:00");
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-03T15:00"));
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    world.queue.drain();
    world.gateway.delete_key(&BillingKey::new(OTHER_KEY));
    world.minutes_pass(1);
    world.receive(&told_of_key(KeyHint::Deleted, OTHER_KEY)).await.unwrap();
    world.live_until("2026-12-06T09:00").await;
    assert_eq!(world.statuses(), ("failed", "past_due"));
    world.live_until("2026-12-06T11:00").await;
    assert_eq!(world.statuses(), ("uncollectible", "expired"));
}

#[tokio::test]
async fn a_key_that_comes_after_the_end_revives_nothing() {
    let world = stolen().await;
    world.live_until("2026-12-07T12:00").await;
    issue(&world, OTHER_KEY, "2026-12-07T12:00").await;
    world.live_until("2027-01-03T12:00").await;
    assert_eq!((world.statuses(), world.gateway.approvals()), (("uncollectible", "expired"), vec![]));
}

#[tokio::test]
async fn money_that_is_found_after_giving_up_is_in_the_books_and_revives_nothing() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.live_until("2026-12-08T00:00").await;
    let status = billing_flows::ports::SeenStatus::Paid { at: at("2026-12-06T10:00") };
    world.gateway.put_payment(crate::world::seen(status), at("2026-12-06T10:00"));
    world.receive(&told(PaymentHint::Paid)).await.unwrap();
    assert_eq!(world.statuses(), ("paid", "expired"));
}

#[tokio::test]
async fn a_key_of_nobody_and_a_key_that_is_not_issued_bind_nothing() {
    let world = World::new();
    let nobodys = billing_flows::ports::KeySeen { customer_id: None, ..issued("key-of-nobody", "2026-12-01T09:00") };
    let unissued = billing_flows::ports::KeySeen { is_issued: false, ..issued("key-unissued", "2026-12-01T09:00") };
    world.gateway.put_key(nobodys);
    world.gateway.put_key(unissued);
    for (key, answer) in [
        ("key-of-nobody", Received::Stranger),
        ("key-unissued", Received::Unchanged),
        ("key-that-is-not-there", Received::Unchanged),
    ] {
        assert_eq!(world.receive(&told_of_key(KeyHint::Issued, key)).await.unwrap(), answer);
    }
    assert_eq!((world.store.all_keys(), world.kinds()), (vec![], vec![]));
}

#[tokio::test]
async fn a_pending_charge_in_the_midst_of_a_ladder_waits_and_then_goes_on() {
    let world = World::new();
    world.gateway.next([decline(SOFT), Behaviour::Pending]);
    world.run().await;
    world.live_until("2026-12-03T12:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("pending", "past_due"), vec![1, 2]));
    world.gateway.decline_pending(&payment_id(), SOFT);
    world.receive(&told(PaymentHint::Failed)).await.unwrap();
    world.live_until("2026-12-20T00:00").await;
    world.assert_paid_once("on the third attempt");
}

#[tokio::test]
async fn a_whole_town_is_dunned_each_by_their_own_ladder() {
    let world = World::with((0..40).map(customer));
    for number in (0..40).step_by(4) {
        world.gateway.script_key(&customer(number).method.unwrap().billing_key, decline(SOFT));
    }
    world.run().await;
    world.live_until("2026-12-10T00:00").await;
    let ended = world.store.all_subscriptions().iter().filter(|row| row.state.status() == "expired").count();
    assert_eq!((ended, world.gateway.approvals().len(), world.mailer.sent().len()), (10, 30, 30 + 10 * 4));
}

#[tokio::test]
async fn the_decline_of_an_old_method_is_not_held_against_a_new_one_however_clocks_differ() {
    let world = stolen().await;
    let declined = world.gateway_says().await;
    world.gateway.script_key(&BillingKey::new(OTHER_KEY), Behaviour::UnknownNotReceived);
    issue(&world, OTHER_KEY, "2026-12-01T10:00").await;
    world.work_off().await;
    let SeenStatus::Failed { decline, .. } = declined.status.clone() else { panic!("{declined:?}") };
    let status = SeenStatus::Failed { at: world.now() + SignedDuration::from_secs(10), decline };
    world.gateway.put_payment(PaymentSeen { status, ..declined }, world.now());
    world.receive(&told(PaymentHint::Failed)).await.unwrap();
    assert_eq!((world.statuses(), world.attempts_sent()), (("unknown", "past_due"), vec![1, 2]));
    assert_eq!(world.notices(), ["payment_failed", "method_registered"]);
}
