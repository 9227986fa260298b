//! Notices: one notifier at a time, and one mail.

use super::sample::{after, at, event, label};
use crate::ports::{MAX_CLAIMS, NoticeClaim, Store};
use billing_core::Timestamp;
use billing_core::event::{Event, EventKey};
use billing_core::notice::{Notice, NoticeBody};
use billing_core::plan::Locale;
use billing_core::private::Private;
use futures::future::join_all;

/// When the first notifier comes, and when its lease ends.
fn lease() -> (Timestamp, Timestamp) {
    (at("01T10:00:05"), at("01T10:02:05"))
}

fn mail_worthy(discriminator: &str) -> Event {
    let body = NoticeBody::MethodRegistered { method: label(), at: at("01T10:00:00") };
    let notice = Notice { to: Private::new("kim@example.com"), name: None, locale: Locale::Ko, body };
    Event { notice: Some(notice), ..event("subject", discriminator) }
}

/// Records an event to be mailed.
async fn recorded(store: &impl Store, discriminator: &str) -> EventKey {
    let event = mail_worthy(discriminator);
    assert!(store.record(&event).await.unwrap());
    event.key()
}

/// Claims one notice; a store that was only busy is asked again.
async fn claim(store: &impl Store, key: &EventKey, now: Timestamp, until: Timestamp) -> NoticeClaim {
    let claims = claim_all(store, std::slice::from_ref(key), now, until).await;
    let [claim] = claims.as_slice() else { panic!("{} answers to one question", claims.len()) };
    *claim
}

async fn claim_all(store: &impl Store, keys: &[EventKey], now: Timestamp, until: Timestamp) -> Vec<NoticeClaim> {
    for _ in 0..super::TRIES {
        match store.claim_notices(keys, now, until).await {
            Ok(claims) => return claims,
            Err(error) if error.retryable => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store was busy {} times", super::TRIES)
}

/// The others learn until when it is taken.
pub async fn of_fifty_notifiers_one_claims_a_notice(store: &impl Store) {
    let (now, until) = lease();
    let key = recorded(store, "1").await;
    let claims = join_all((0..50).map(|_| claim(store, &key, now, until))).await;
    assert_eq!(claims.iter().filter(|claim| **claim == NoticeClaim::Claimed).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == NoticeClaim::InProgress(until)).count(), 49);
}

/// A notifier that died does not keep a mail from being sent; of fifty that come then, one gets it.
pub async fn a_claimed_notice_is_free_again_when_its_lease_ends(store: &impl Store) {
    let (now, until) = lease();
    let key = recorded(store, "1").await;
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Claimed);
    let next = after(until, 120_000);
    assert_eq!(claim(store, &key, after(until, -1), next).await, NoticeClaim::InProgress(until));
    let claims = join_all((0..50).map(|_| claim(store, &key, until, next))).await;
    assert_eq!(claims.iter().filter(|claim| **claim == NoticeClaim::Claimed).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == NoticeClaim::InProgress(next)).count(), 49);
}

/// Not during its lease, not after it, not after a release.
pub async fn a_mailed_notice_is_never_claimed_again(store: &impl Store) {
    let (now, until) = lease();
    let key = recorded(store, "1").await;
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Claimed);
    assert!(store.mark_mailed(&key, after(now, 500)).await.unwrap());
    assert_eq!(claim(store, &key, after(now, 1_000), until).await, NoticeClaim::Mailed);
    assert_eq!(claim(store, &key, after(until, 1), Timestamp::MAX).await, NoticeClaim::Mailed);
    // Whether a release that comes too late is an error is the store's affair.
    drop(store.release_notice(&key).await);
    assert_eq!(claim(store, &key, after(until, 2), Timestamp::MAX).await, NoticeClaim::Mailed);
}

/// Of fifty at once, one is told that it was the first.
pub async fn a_notice_is_marked_as_mailed_once(store: &impl Store) {
    let key = recorded(store, "1").await;
    let results = join_all((0..50).map(|_| store.mark_mailed(&key, at("01T10:00:06")))).await;
    assert_eq!(results.into_iter().filter(|first| *first.as_ref().unwrap()).count(), 1);
    assert!(!store.mark_mailed(&key, at("02T10:00:00")).await.unwrap());
}

/// Within the lease that was given back. Releasing what nobody holds changes nothing.
pub async fn a_released_notice_can_be_claimed_at_once(store: &impl Store) {
    let (now, until) = lease();
    let key = recorded(store, "1").await;
    store.release_notice(&key).await.unwrap();
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Claimed);
    store.release_notice(&key).await.unwrap();
    assert_eq!(claim(store, &key, after(now, 1), until).await, NoticeClaim::Claimed);
    assert_eq!(claim(store, &key, after(now, 2), until).await, NoticeClaim::InProgress(until));
}

/// And what can be claimed of it is.
pub async fn a_mixed_batch_of_claims_is_answered_in_its_order(store: &impl Store) {
    let (now, until) = lease();
    let (mailed, taken, expired) = (recorded(store, "1").await, recorded(store, "2").await, recorded(store, "3").await);
    let (fresh, last) = (recorded(store, "4").await, recorded(store, "5").await);
    let missing = event("subject", "6").key();
    assert!(store.mark_mailed(&mailed, now).await.unwrap());
    assert_eq!(claim(store, &taken, now, until).await, NoticeClaim::Claimed);
    assert_eq!(claim(store, &expired, after(now, -10), now).await, NoticeClaim::Claimed);

    let batch = [fresh, mailed, missing, expired, taken, last];
    let later = after(until, 60_000);
    let answers = claim_all(store, &batch, now, later).await;
    let expected = [
        NoticeClaim::Claimed,
        NoticeClaim::Mailed,
        NoticeClaim::Missing,
        NoticeClaim::Claimed,
        NoticeClaim::InProgress(until),
        NoticeClaim::Claimed,
    ];
    assert_eq!(answers, expected);
    let reversed: Vec<EventKey> = batch.into_iter().rev().collect();
    let held = NoticeClaim::InProgress(later);
    let expected = [held, NoticeClaim::InProgress(until), held, NoticeClaim::Missing, NoticeClaim::Mailed, held];
    assert_eq!(claim_all(store, &reversed, now, after(later, 1)).await, expected);
}

/// As many as a transaction takes.
pub async fn a_full_batch_of_notices_is_claimed(store: &impl Store) {
    let (now, until) = lease();
    let events: Vec<Event> = (0..MAX_CLAIMS).map(|number| mail_worthy(&format!("{number:03}"))).collect();
    assert!(join_all(events.iter().map(|event| store.record(event))).await.into_iter().all(Result::unwrap));
    let keys: Vec<EventKey> = events.iter().map(Event::key).collect();
    assert_eq!(claim_all(store, &keys, now, until).await, vec![NoticeClaim::Claimed; MAX_CLAIMS]);
    assert_eq!(claim_all(store, &keys, now, until).await, vec![NoticeClaim::InProgress(until); MAX_CLAIMS]);
}

/// And no row comes into being by trying.
pub async fn what_is_no_event_is_never_claimed_or_mailed(store: &impl Store) {
    let (now, until) = lease();
    let key = mail_worthy("1").key();
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Missing);
    // `false` or an error: nobody may take it for the first mail.
    assert!(!matches!(store.mark_mailed(&key, now).await, Ok(true)));
    drop(store.release_notice(&key).await);
    assert!(store.events_of(&key.subject, None).await.unwrap().items.is_empty());
    assert_eq!(recorded(store, "1").await, key);
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Claimed);
}

/// And it stays recorded: the same event is not recorded anew.
pub async fn claiming_and_mailing_leave_the_event_as_it_is(store: &impl Store) {
    let (now, until) = lease();
    let key = recorded(store, "1").await;
    let event = mail_worthy("1");
    assert_eq!(claim(store, &key, now, until).await, NoticeClaim::Claimed);
    assert_eq!(store.events_of(&key.subject, None).await.unwrap().items, std::slice::from_ref(&event));
    assert!(store.mark_mailed(&key, now).await.unwrap());
    assert_eq!(store.events_of(&key.subject, None).await.unwrap().items, std::slice::from_ref(&event));
    assert!(!store.record(&event).await.unwrap());
    assert_eq!(claim(store, &key, until, Timestamp::MAX).await, NoticeClaim::Mailed);
}
