//! Starting subscriptions and keeping billing keys. (Laws 6 and 8.)

use crate::world::{FIRST_KEY, OTHER_KEY, World, at, at_once, interleave_everywhere, issued, standard, told_of_key};
use billing_core::billing_key::BillingKey;
use billing_core::event::{Cause, EventKind};
use billing_core::id::UserId;
use billing_core::subscription::{Subscription, SubscriptionKey};
use billing_flows::receive_webhook::KeyHint;
use billing_flows::subscribe::SubscribeError;

fn cause() -> Cause {
    Cause::Api("1".to_owned())
}

#[tokio::test]
async fn a_subscription_is_started_once() {
    let world = World::with([]);
    world.billing.start(standard(), &cause()).await.unwrap();
    assert!(matches!(world.billing.start(standard(), &cause()).await, Err(SubscribeError::Exists)));
    assert_eq!(
        (world.store.all_subscriptions(), world.kinds()),
        (vec![standard()], vec![EventKind::SubscriptionStarted])
    );
}

#[tokio::test]
async fn two_users_subscriptions_of_one_id_are_two() {
    let world = World::with([]);
    let key = SubscriptionKey { user_id: UserId::new("user_789").unwrap(), ..standard().key };
    world.billing.start(standard(), &cause()).await.unwrap();
    let other = Subscription { key, ..standard() };
    // In the very same millisecond their events would be one row: to be tried again, and not "it exists already".
    assert!(matches!(world.billing.start(other.clone(), &cause()).await, Err(SubscribeError::Flow(_))));
    world.minutes_pass(1);
    world.billing.start(other, &cause()).await.unwrap();
    world.run().await;
    assert_eq!(world.gateway.approvals().len(), 2);
}

#[tokio::test]
async fn two_keys_issued_in_one_millisecond_are_two() {
    let world = World::new();
    for key in ["billing-key-a", "billing-key-b"] {
        world.gateway.put_key(issued(key, "2026-12-01T09:00"));
        world.receive(&told_of_key(KeyHint::Issued, key)).await.unwrap();
    }
    assert_eq!((world.store.all_keys().len(), world.count(EventKind::BillingKeyRegistered)), (2, 2));
}

#[tokio::test]
async fn a_key_registered_and_deleted_in_one_moment_is_deleted() {
    let world = World::new();
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T09:00"));
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    world.gateway.delete_key(&billing_core::billing_key::BillingKey::new(OTHER_KEY));
    world.receive(&told_of_key(KeyHint::Deleted, OTHER_KEY)).await.unwrap();
    let row = world.store.all_keys().into_iter().next().unwrap();
    assert_eq!(row.status, billing_core::billing_key::KeyStatus::Deleted);
}

#[tokio::test]
async fn a_customer_is_told_of_a_new_method_where_the_subscription_says() {
    let world = World::new();
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T09:00"));
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    world.notify().await;
    let mail = world.mailer.sent().into_iter().next().unwrap();
    assert_eq!(mail.to.expose(), crate::world::EMAIL);
    assert!(mail.mail.text.contains("1234"));
    assert_eq!(world.store.all_keys().first().unwrap().created_at, at("2026-12-01T09:00"));
}

/// Which of the standard customer's keys are the default.
fn defaults(world: &World) -> Vec<String> {
    let rows = world.store.all_keys().into_iter().filter(|row| row.is_default);
    rows.map(|row| row.billing_key.expose().to_owned()).collect()
}

async fn registers(world: &World, key: &str, issued_at: &str) {
    world.gateway.put_key(issued(key, issued_at));
    drop(world.receive(&told_of_key(KeyHint::Issued, key)).await);
}

async fn chooses(world: &World, issued_at: &str) {
    drop(world.billing.choose_method(&world.queue, &standard().key, at(issued_at), &cause()).await);
}

#[tokio::test]
async fn the_default_is_the_method_that_was_registered_or_chosen_last() {
    let world = World::new();
    registers(&world, FIRST_KEY, "2026-12-01T09:00").await;
    registers(&world, OTHER_KEY, "2026-12-01T09:10").await;
    assert_eq!(defaults(&world), [OTHER_KEY]);
    // The subscription has it: only the mark moves.
    chooses(&world, "2026-12-01T09:00").await;
    assert_eq!((defaults(&world), world.count(EventKind::MethodReplaced)), (vec![FIRST_KEY.to_owned()], 0));
    // A webhook that comes again, or late, is no choice.
    registers(&world, OTHER_KEY, "2026-12-01T09:10").await;
    registers(&world, "billing-key-late", "2026-12-01T09:05").await;
    assert_eq!(defaults(&world), [FIRST_KEY]);
    chooses(&world, "2026-12-01T09:10").await;
    assert_eq!((defaults(&world), world.count(EventKind::MethodReplaced)), (vec![OTHER_KEY.to_owned()], 1));
}

#[tokio::test]
async fn a_choice_costs_two_reads_and_one_transaction_and_its_repetition_none() {
    let world = World::new();
    registers(&world, FIRST_KEY, "2026-12-01T09:00").await;
    registers(&world, OTHER_KEY, "2026-12-01T09:10").await;
    chooses(&world, "2026-12-01T09:10").await;
    let commits = |world: &World| world.store.requests()["commit"];
    let before = commits(&world);
    chooses(&world, "2026-12-01T09:00").await;
    assert_eq!(commits(&world), before + 1);
    chooses(&world, "2026-12-01T09:00").await;
    assert_eq!(commits(&world), before + 1);
}

#[tokio::test]
async fn when_the_default_is_deleted_the_newest_that_is_left_becomes_it() {
    let world = World::new();
    registers(&world, FIRST_KEY, "2026-12-01T09:00").await;
    registers(&world, OTHER_KEY, "2026-12-01T09:10").await;
    for (deleted, left) in [(OTHER_KEY, vec![FIRST_KEY]), (FIRST_KEY, vec![])] {
        world.gateway.delete_key(&BillingKey::new(deleted));
        world.receive(&told_of_key(KeyHint::Deleted, deleted)).await.unwrap();
        assert_eq!(defaults(&world), left);
    }
}

#[tokio::test]
async fn two_first_keys_at_any_moment_of_one_another_leave_one_default() {
    let first = async |world: &World| registers(world, FIRST_KEY, "2026-12-01T09:00").await;
    let second = async |world: &World| registers(world, OTHER_KEY, "2026-12-01T09:10").await;
    let after = async |world: &World, told: &str| assert_eq!(defaults(world), [OTHER_KEY], "{told}");
    interleave_everywhere(World::new, first, second, after).await;
    interleave_everywhere(World::new, second, first, after).await;
}

#[tokio::test]
async fn a_choice_at_any_moment_of_a_registration_leaves_one_default() {
    let world = || {
        let world = World::new();
        at_once(registers(&world, FIRST_KEY, "2026-12-01T09:00"));
        at_once(registers(&world, OTHER_KEY, "2026-12-01T09:10"));
        world
    };
    let choice = async |world: &World| chooses(world, "2026-12-01T09:00").await;
    let third = async |world: &World| registers(world, "billing-key-0003", "2026-12-01T09:20").await;
    let after = async |world: &World, told: &str| assert_eq!(defaults(world).len(), 1, "{told}");
    assert!(interleave_everywhere(world, choice, third, after).await > 3);
    assert!(interleave_everywhere(world, third, choice, after).await > 3);
}
