//! Starting subscriptions and keeping billing keys. (Laws 6 and 8.)

use crate::world::{OTHER_KEY, World, at, issued, standard, told_of_key};
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
