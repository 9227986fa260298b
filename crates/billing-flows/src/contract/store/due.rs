//! The index of what is due.

use super::sample::{after, at, creates, december, subscription, subscription_states, writes};
use super::{pages, rows, write};
use crate::ports::Store;
use billing_core::Timestamp;
use billing_core::calendar::Period;
use billing_core::subscription::{DUE_SHARDS, State, Subscription, SubscriptionKey};
use std::collections::BTreeSet;

/// In a small page, so that every behaviour here also walks.
const LIMIT: u32 = 3;

/// What is due until then, in every shard.
async fn all_due(store: &impl Store, until: Timestamp) -> BTreeSet<SubscriptionKey> {
    let mut all = BTreeSet::new();
    for shard in 0..DUE_SHARDS {
        for key in rows(async |after| store.due(shard, until, after, LIMIT).await.unwrap()).await {
            assert!(all.insert(key), "a subscription in two shards");
        }
    }
    all
}

/// A past-due subscription of a given shard, due at a given moment.
fn late(shard: u8, number: i64, due_at: Timestamp) -> Subscription {
    let state = State::PastDue { period: december(), due_at };
    (0..10_000)
        .map(|salt| Subscription { state: state.clone(), ..subscription("user_1", &format!("sub_{number}_{salt}")) })
        .find(|row| row.due_shard() == shard)
        .unwrap()
}

/// The index is sparse: active and past due subscriptions are in it; free, parked, cancelled and expired ones are not.
pub async fn only_what_waits_for_something_is_due(store: &impl Store) {
    let written: Vec<Subscription> = (0..)
        .zip(subscription_states())
        .map(|(number, state)| Subscription { state, ..subscription("user_1", &format!("sub_{number}")) })
        .collect();
    for row in &written {
        write(store, creates(row)).await;
    }
    for until in [at("01T09:59:59.999"), at("01T10:00:00"), at("04T10:00:00.001"), at("17T10:00:00"), at("31T10:00:00")]
    {
        let expected =
            written.iter().filter(|row| row.due_at().is_some_and(|due| due <= until)).map(|row| row.key.clone());
        assert_eq!(all_due(store, until).await, expected.collect(), "until {until}");
    }
}

/// Paid, it waits for the next month; declined, for its retry; ended, for nothing.
pub async fn what_is_due_moves_with_the_subscription(store: &impl Store) {
    let row = subscription("user_1", "sub_1");
    write(store, creates(&row)).await;
    let only = BTreeSet::from([row.key.clone()]);
    let january: Period = december().next();
    assert_eq!(all_due(store, december().due_at()).await, only);

    let declined = row.declined(december(), at("04T10:00:00")).unwrap();
    write(store, writes(&row, &declined)).await;
    assert!(all_due(store, at("04T09:59:59.999")).await.is_empty());
    assert_eq!(all_due(store, at("04T10:00:00")).await, only);

    let paid = declined.paid(december()).unwrap();
    write(store, writes(&declined, &paid)).await;
    assert!(all_due(store, after(january.due_at(), -1)).await.is_empty());
    assert_eq!(all_due(store, january.due_at()).await, only);

    let parked = paid.parked(january).unwrap();
    write(store, writes(&paid, &parked)).await;
    assert!(all_due(store, Timestamp::MAX).await.is_empty());

    let paid = parked.paid(january).unwrap();
    write(store, writes(&parked, &paid)).await;
    assert_eq!(all_due(store, Timestamp::MAX).await, only);

    let canceled = paid.canceled(at("31T10:00:00")).unwrap();
    write(store, writes(&paid, &canceled)).await;
    assert!(all_due(store, Timestamp::MAX).await.is_empty());
}

/// The shard that [`Subscription::due_shard`] says.
pub async fn a_subscription_is_due_in_its_own_shard_only(store: &impl Store) {
    for shard in 0..DUE_SHARDS {
        write(store, creates(&late(shard, i64::from(shard), at("02T10:00:00")))).await;
    }
    for shard in 0..DUE_SHARDS {
        let due = rows(async |after| store.due(shard, at("02T10:00:00"), after, LIMIT).await.unwrap()).await;
        assert_eq!(due, [late(shard, i64::from(shard), at("02T10:00:00")).key]);
    }
}

/// To the millisecond; the ids sort the other way.
pub async fn due_is_earliest_first_and_includes_its_last_moment(store: &impl Store) {
    let first = at("02T10:00:00");
    let times = [5, 0, 3, 1, 4, 2];
    for offset in times {
        write(store, creates(&late(0, 9 - offset, after(first, offset)))).await;
    }
    for last in 0..=5 {
        let due = rows(async |cursor| store.due(0, after(first, last), cursor, 100).await.unwrap()).await;
        let expected: Vec<SubscriptionKey> = (0..=last).map(|offset| late(0, 9 - offset, first).key).collect();
        assert_eq!(due, expected);
    }
    assert!(store.due(0, after(first, -1), None, 100).await.unwrap().items.is_empty());
}

/// At any limit, also where many are due at the same moment.
pub async fn a_walk_through_the_due_loses_and_repeats_nothing(store: &impl Store) {
    let written: Vec<Subscription> =
        (0..40).map(|number| late(1, number, after(at("02T10:00:00"), number / 15))).collect();
    for row in &written {
        write(store, creates(row)).await;
    }
    let expected: BTreeSet<SubscriptionKey> = written.iter().map(|row| row.key.clone()).collect();
    for limit in [1, 7, 10, 40, 1_000] {
        let walked = pages(async |after| store.due(1, at("03T00:00:00"), after, limit).await.unwrap()).await;
        let limit = usize::try_from(limit).unwrap();
        assert!(walked.iter().all(|page| page.items.len() <= limit), "at most {limit}");
        let keys: Vec<SubscriptionKey> = walked.into_iter().flat_map(|page| page.items).collect();
        assert_eq!(keys.len(), expected.len(), "limit {limit}");
        let moment = |key: &SubscriptionKey| written.iter().find(|row| row.key == *key).unwrap().due_at();
        assert!(keys.is_sorted_by_key(moment), "limit {limit}");
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), expected, "limit {limit}");
    }
}

/// Workers take rows out of the index while the planner walks it.
pub async fn a_cursor_survives_its_row(store: &impl Store) {
    let written: Vec<Subscription> = (0..6).map(|number| late(2, number, after(at("02T10:00:00"), number))).collect();
    for row in &written {
        write(store, creates(row)).await;
    }
    let until = at("03T00:00:00");
    let first = store.due(2, until, None, 3).await.unwrap();
    assert_eq!(first.items.len(), 3);
    for row in written.iter().take(3) {
        let paid = row.paid(december()).unwrap();
        write(store, writes(row, &paid)).await;
    }
    let mut cursor = first.next;
    let mut rest = Vec::new();
    while let Some(after) = cursor {
        let page = store.due(2, until, Some(&after), 3).await.unwrap();
        rest.extend(page.items);
        cursor = page.next;
    }
    let expected: Vec<SubscriptionKey> = written.iter().skip(3).map(|row| row.key.clone()).collect();
    assert_eq!(rest, expected);
}
