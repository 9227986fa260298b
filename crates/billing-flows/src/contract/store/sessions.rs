//! Checkout sessions.

use super::sample::{
    at, bare_session, completes, creates, done, event, full_key, full_session, label, on_session, on_subscription,
    opens, records, registers, subscription, together,
};
use super::{conflict, race, write};
use crate::ports::Store;
use billing_core::billing_key::BillingKey;
use billing_core::session::{Done, Session, SessionId};

async fn read(store: &impl Store, row: &Session) -> Option<Session> {
    store.session(&row.id).await.unwrap()
}

/// Of either purpose, open and completed, with every optional field set and with none.
pub async fn a_session_comes_back_as_it_was_written(store: &impl Store) {
    let named = Done { method: label(), ..done() };
    for (row, done) in [(full_session("cs1"), named), (bare_session("cs2"), done())] {
        write(store, opens(&row)).await;
        assert_eq!(read(store, &row).await.as_ref(), Some(&row));
        write(store, completes(&row, &done)).await;
        assert_eq!(read(store, &row).await, Some(Session { done: Some(done), ..row }));
    }
    assert_eq!(store.session(&SessionId::new("cs3").unwrap()).await.unwrap(), None);
}

/// By whoever is first, of fifty at once.
pub async fn a_session_is_opened_once(store: &impl Store) {
    let row = full_session("cs1");
    let results = race(store, &vec![opens(&row); 50]).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(conflict(store, &opens(&bare_session("cs1"))).await, on_session());
    assert_eq!(read(store, &row).await, Some(row));
}

/// By whoever is first, of fifty at once; what is not there cannot be completed, and is not made by trying.
pub async fn a_session_is_completed_once(store: &impl Store) {
    let row = full_session("cs1");
    assert_eq!(conflict(store, &completes(&row, &done())).await, on_session());
    assert_eq!(read(store, &row).await, None);
    write(store, opens(&row)).await;
    let results = race(store, &vec![completes(&row, &done()); 50]).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let other = Done { billing_key: BillingKey::new("billing-key-2"), ..done() };
    assert_eq!(conflict(store, &completes(&row, &other)).await, on_session());
    assert_eq!(read(store, &row).await, Some(Session { done: Some(done()), ..row }));
}

/// The key, the session, the subscription and its events, or none of them.
pub async fn what_a_checkout_begins_is_written_as_a_whole(store: &impl Store) {
    let (session, key) = (full_session("cs1"), full_key("user_1", "billing-key-1", at("01T10:30:00")));
    let begun = subscription("user_1", "sub_1");
    let events = [event("user_1", "1"), event("sub_1", "1")];
    write(store, opens(&session)).await;
    let whole = together([registers(&key), completes(&session, &done()), creates(&begun), records(&events)]);
    write(store, whole).await;
    assert_eq!(store.subscription(&begun.key).await.unwrap().as_ref(), Some(&begun));
    assert_eq!(store.keys_of(&key.user_id, None).await.unwrap().items, [key]);

    let late = full_session("cs2");
    write(store, opens(&late)).await;
    let other = full_key("user_1", "billing-key-2", at("01T10:31:00"));
    let whole = together([registers(&other), completes(&late, &done()), creates(&begun)]);
    assert_eq!(conflict(store, &whole).await, on_subscription());
    assert_eq!(read(store, &late).await, Some(late));
    assert_eq!(store.keys_of(&other.user_id, None).await.unwrap().items.len(), 1);
}
