//! Billing keys.

use super::sample::{
    after, at, bare_key, creates, deletes, ends_default, event, full_key, makes_default, method, on_key, records,
    registers, subscription, together, user, writes,
};
use super::{conflict, race, rows, write};
use crate::ports::{Changes, Store};
use billing_core::billing_key::{BillingKey, KeyStatus, RegisteredKey};

async fn keys_of(store: &impl Store, owner: &str) -> Vec<RegisteredKey> {
    rows(async |after| store.keys_of(&user(owner), after).await.unwrap()).await
}

/// Of one user.
pub async fn keys_are_listed_oldest_first(store: &impl Store) {
    let issued = at("01T10:00:00");
    let row = |owner, millis: i64| bare_key(owner, &format!("key-{owner}-{millis}"), after(issued, millis));
    for (owner, millis) in [("user_1", 900), ("user_1", 1_000), ("user_2", 950), ("user_1", -5_000)] {
        write(store, registers(&row(owner, millis))).await;
    }
    assert_eq!(keys_of(store, "user_1").await, [row("user_1", -5_000), row("user_1", 900), row("user_1", 1_000)]);
    assert_eq!(keys_of(store, "user_2").await, [row("user_2", 950)]);
}

/// Its row is its user and its moment of issue; of fifty at once, one registers it.
pub async fn a_key_is_registered_once(store: &impl Store) {
    let row = full_key("user_1", "key-1", at("01T10:00:00"));
    let results = race(store, &vec![registers(&row); 50]).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let other = bare_key("user_1", "key-2", row.created_at);
    assert_eq!(conflict(store, &registers(&other)).await, on_key());
    assert_eq!(keys_of(store, "user_1").await, [row]);
}

/// And never registered anew; what is not there cannot be deleted, and is not made by trying.
pub async fn a_key_is_deleted_once(store: &impl Store) {
    let row = full_key("user_1", "key-1", at("01T10:00:00"));
    let on_key = on_key();
    assert_eq!(conflict(store, &deletes(&row)).await, on_key);
    assert!(keys_of(store, "user_1").await.is_empty());
    write(store, registers(&row)).await;
    write(store, deletes(&row)).await;
    assert_eq!(conflict(store, &deletes(&row)).await, on_key);
    assert_eq!(conflict(store, &registers(&row)).await, on_key);
    let deleted = RegisteredKey { status: KeyStatus::Deleted, is_default: false, ..row };
    assert_eq!(keys_of(store, "user_1").await, [deleted]);
}

/// A customer's default is taken the place of in one step; of fifty keys that come at once, one takes it.
pub async fn of_keys_that_become_the_default_at_once_one_does(store: &impl Store) {
    let first = full_key("user_1", "key-1", at("01T10:00:00"));
    write(store, registers(&first)).await;
    let next = |n: i64| full_key("user_1", &format!("key-{n}"), after(first.created_at, n));
    let all: Vec<Changes> = (1..=50).map(|n| together([registers(&next(n)), ends_default(&first)])).collect();
    let results = race(store, &all).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.into_iter().find(Result::is_err), Some(Err(on_key())));
    let rows = keys_of(store, "user_1").await;
    let defaults: Vec<bool> = rows.iter().map(|row| row.is_default).collect();
    assert_eq!(defaults, [false, true]);
}

/// The mark goes from one to the other and back, and is not taken from a row that has none.
pub async fn the_default_moves_between_keys_that_can_be_charged(store: &impl Store) {
    let [old, new] =
        ["key-1", "key-2"].map(|key| full_key("user_1", key, after(at("01T10:00:00"), i64::from(key == "key-2"))));
    write(store, registers(&RegisteredKey { is_default: false, ..old.clone() })).await;
    write(store, registers(&new)).await;
    write(store, together([makes_default(&old), ends_default(&new)])).await;
    let unmarked = RegisteredKey { is_default: false, ..new.clone() };
    assert_eq!(keys_of(store, "user_1").await, [old.clone(), unmarked.clone()]);

    assert_eq!(conflict(store, &ends_default(&new)).await, on_key());
    write(store, together([deletes(&old), makes_default(&new)])).await;
    let deleted = RegisteredKey { status: KeyStatus::Deleted, is_default: false, ..old.clone() };
    assert_eq!(conflict(store, &makes_default(&old)).await, on_key());
    assert_eq!(keys_of(store, "user_1").await, [deleted, new]);
}

/// A webhook about a key that was deleted still finds whose it was.
pub async fn a_key_has_an_owner_even_when_it_is_deleted(store: &impl Store) {
    let row = full_key("user_1", "key-1", at("01T10:00:00"));
    write(store, registers(&row)).await;
    write(store, registers(&full_key("user_2", "key-2", at("01T10:00:00")))).await;
    let owner = Some((row.user_id.clone(), row.created_at));
    assert_eq!(store.key_owner(&row.billing_key).await.unwrap(), owner);
    write(store, deletes(&row)).await;
    assert_eq!(store.key_owner(&row.billing_key).await.unwrap(), owner);
    assert_eq!(store.key_owner(&BillingKey::new("key-3")).await.unwrap(), None);
}

/// A deleted key is taken from its subscription in the same step, or neither happens.
pub async fn a_key_and_its_subscription_change_together(store: &impl Store) {
    let row = full_key("user_1", "billing-key-1", at("01T10:00:00"));
    let before = subscription("user_1", "sub_1");
    write(store, together([registers(&row), creates(&before)])).await;
    let without = before.without_method(&row.billing_key).unwrap();
    let event = event("sub_1", "1");
    let parts = [deletes(&row), writes(&before, &without), records(std::slice::from_ref(&event))];
    write(store, together(parts)).await;
    assert_eq!(store.subscription(&before.key).await.unwrap().as_ref(), Some(&without));
    assert_eq!(store.events_of("sub_1", None).await.unwrap().items, [event]);

    let again = without.with_method(&method("billing-key-2"), at("02T10:00:00")).unwrap();
    let late = together([deletes(&row), writes(&without, &again)]);
    assert_eq!(conflict(store, &late).await, on_key());
    assert_eq!(store.subscription(&before.key).await.unwrap(), Some(without));
}
