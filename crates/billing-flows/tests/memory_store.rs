//! The in-memory store keeps the promises of [`Store`], and its faults do what they say.
#![expect(clippy::unwrap_used, reason = "the helpers of tests, too, may unwrap")]

use billing_core::event::{Cause, Event, EventKind};
use billing_flows::fake::{Fault, MemoryStore};
use billing_flows::ports::{Changes, CommitError, Cursor, Store, StoreError};

billing_flows::store_contract!(async || MemoryStore::new());

/// A behaviour that is written but not listed would never run.
#[test]
fn every_behaviour_of_the_contract_is_listed() {
    let suite = include_str!("../src/contract/store.rs");
    let (_, listed) = suite.split_once("macro_rules! store_contract").unwrap();
    let (listed, _) = listed.split_once("(@tests $empty:expr").unwrap();
    let listed: Vec<&str> = listed.lines().map(str::trim).collect();
    let sources = [
        include_str!("../src/contract/store/rows.rs"),
        include_str!("../src/contract/store/commits.rs"),
        include_str!("../src/contract/store/due.rs"),
        include_str!("../src/contract/store/listings.rs"),
        include_str!("../src/contract/store/keys.rs"),
        include_str!("../src/contract/store/notices.rs"),
    ];
    let mut count = 0;
    for line in sources.iter().flat_map(|source| source.lines()) {
        if let Some((name, _)) = line.strip_prefix("pub async fn ").and_then(|rest| rest.split_once('(')) {
            assert!(listed.contains(&name), "{name} is not listed");
            count += 1;
        }
    }
    assert!(count > 40);
}

fn event(id: &str) -> Event {
    Event {
        subject: "subject".to_owned(),
        id: id.to_owned(),
        at: "2026-12-01T10:00:00+09:00".parse().unwrap(),
        kind: EventKind::InvoicePaid,
        cause: Cause::Run("1".to_owned()),
        before: None,
        after: None,
        detail: None,
        notice: None,
    }
}

fn is_retryable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    result.unwrap_err().retryable
}

#[tokio::test]
async fn a_fault_fails_the_call_it_was_ordered_for_before_or_after_it_acts() {
    let store = MemoryStore::new();
    for (number, fault) in (1..).zip([Fault::Before, Fault::After, Fault::Refused, Fault::RefusedAfter]) {
        store.faults().on("record", number, fault);
    }
    assert!(is_retryable(store.record(&event("1")).await));
    assert!(is_retryable(store.record(&event("2")).await));
    assert!(!is_retryable(store.record(&event("3")).await));
    assert!(!is_retryable(store.record(&event("4")).await));
    assert!(store.record(&event("5")).await.unwrap());
    assert_eq!(store.all_events(), [event("2"), event("4"), event("5")]);
    assert_eq!(store.requests().get("record"), Some(&5));
}

#[tokio::test]
async fn a_lost_answer_hides_a_conflict_too() {
    let store = MemoryStore::new();
    let changes = Changes { events: vec![event("1")], ..Changes::default() };
    store.faults().next("commit", Fault::After);
    assert!(matches!(store.commit(&changes).await, Err(CommitError::Store(error)) if error.retryable));
    store.faults().next("commit", Fault::After);
    assert!(matches!(store.commit(&changes).await, Err(CommitError::Store(error)) if error.retryable));
    assert!(matches!(store.commit(&changes).await, Err(CommitError::Conflict(conflict)) if conflict.on_event));
}

#[tokio::test]
async fn a_rule_sees_every_call_and_may_change_the_store_before_it() {
    let store = MemoryStore::new();
    let somebody_else = store.clone();
    store.faults().by(move |call| {
        assert_eq!(call.method, "record");
        somebody_else.put_event(&event("1"));
        if call.of_all == 2 { Fault::Before } else { Fault::None }
    });
    assert!(!store.record(&event("1")).await.unwrap());
    assert!(is_retryable(store.record(&event("2")).await));
    store.faults().clear();
    assert!(store.record(&event("2")).await.unwrap());
}

#[tokio::test]
async fn a_page_is_as_small_as_the_test_wants_and_a_full_one_has_a_successor() {
    let store = MemoryStore::new().with_rows_per_page(2);
    for id in ["1", "2", "3", "4"] {
        store.put_event(&event(id));
    }
    let first = store.events_of("subject", None).await.unwrap();
    let second = store.events_of("subject", first.next.as_ref()).await.unwrap();
    assert_eq!((first.items.len(), second.items), (2, vec![event("3"), event("4")]));
    let last = store.events_of("subject", second.next.as_ref()).await.unwrap();
    assert_eq!((last.items, last.next), (vec![], None));
}

#[tokio::test]
async fn what_dynamodb_would_call_invalid_is_refused_for_good() {
    let store = MemoryStore::new();
    store.put_event(&event("1"));
    let cursor = store.clone().with_rows_per_page(1).events_of("subject", None).await.unwrap().next;
    assert!(!is_retryable(store.events_of("another", cursor.as_ref()).await));
    assert!(!is_retryable(store.events_of("subject", Some(&Cursor("made up".to_owned()))).await));
    assert!(!is_retryable(store.due(0, event("1").at, None, 0).await));
    let key = event("1").key();
    assert!(!is_retryable(store.claim_notices(&[key.clone(), key], event("1").at, event("1").at).await));
    let twice = Changes { events: vec![event("2"), event("2")], ..Changes::default() };
    for changes in [Changes::default(), twice] {
        assert!(matches!(store.commit(&changes).await, Err(CommitError::Store(error)) if !error.retryable));
    }
}
