//! Notify: turn an event into a mail, once.
//!
//! Claim → send → mark. A crash between sending and marking may repeat that one mail, once the claim has lapsed; nothing loses one, for the
//! stream delivers an event until it is reported as done.

use crate::FlowError;
use crate::mail::{self, Sender};
use crate::ports::{Clock, MAX_CLAIMS, MailError, Mailer, NoticeClaim, Signal, Store, Telemetry};
use billing_core::event::{Event, EventKey};
use billing_core::guard::Guard;
use billing_core::notice::Notice;
use futures::stream::{self, StreamExt};
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// How long a claim keeps other notifiers off: longer than a batch of mails takes to send.
pub const MAIL_LEASE: SignedDuration = SignedDuration::from_secs(120);

/// How many mails are on their way at once. SES allows 14 a second by default.
pub const SENDS_AT_ONCE: usize = 8;

/// What became of one event.
#[derive(Debug)]
pub enum Notified {
    /// Its mail was sent.
    Sent,
    /// It tells nobody anything.
    Nothing,
    /// Its mail was sent before.
    Before,
    /// Its mail is refused for good, and why, without the address; it is marked, so that it is not tried again.
    Refused(String),
    /// Not now: deliver the event again.
    Later(FlowError),
}

/// Mails what a batch of events have to tell. Answers in the order of the events.
pub async fn notify<S: Store, M: Mailer, C: Clock, T: Telemetry>(
    store: &S,
    mailer: &M,
    clock: &C,
    telemetry: &T,
    sender: &Sender,
    events: &[Event],
) -> Vec<Notified> {
    // An event that stands twice in a batch is told by its first copy; a transaction takes no row twice.
    let mut named: BTreeSet<EventKey> = BTreeSet::new();
    let wanted: Vec<(usize, EventKey, &Notice)> = events
        .iter()
        .enumerate()
        .filter_map(|(i, event)| event.notice.as_ref().map(|notice| (i, event.key(), notice)))
        .filter(|(_, key, _)| named.insert(key.clone()))
        .collect();
    let mut outcomes: Vec<Notified> = events.iter().map(|_| Notified::Nothing).collect();
    for chunk in wanted.chunks(MAX_CLAIMS) {
        let keys: Vec<EventKey> = chunk.iter().map(|(_, key, _)| key.clone()).collect();
        let now = clock.now();
        let until = now.checked_add(MAIL_LEASE).unwrap_or(billing_core::Timestamp::MAX);
        let claims = match store.claim_notices(&keys, now, until).await {
            Ok(claims) => claims,
            Err(error) => {
                let detail = error.to_string();
                for (i, _, _) in chunk {
                    put(&mut outcomes, *i, Notified::Later(later(&detail)));
                }
                continue;
            }
        };
        let sends: Vec<_> = chunk
            .iter()
            .zip(claims)
            .map(|((i, key, notice), claim)| async move {
                let outcome = match claim {
                    _ if !Guard::NoticeClaim.stands() => {
                        send(store, mailer, clock, telemetry, sender, key, notice).await
                    }
                    NoticeClaim::Claimed => send(store, mailer, clock, telemetry, sender, key, notice).await,
                    NoticeClaim::Mailed => Notified::Before,
                    NoticeClaim::InProgress(_) => Notified::Later(FlowError::Contended),
                    NoticeClaim::Missing => Notified::Nothing,
                };
                (*i, outcome)
            })
            .collect();
        let sent: Vec<(usize, Notified)> = stream::iter(sends).buffer_unordered(SENDS_AT_ONCE).collect().await;
        for (i, outcome) in sent {
            put(&mut outcomes, i, outcome);
        }
    }
    outcomes
}

async fn send<S: Store, M: Mailer, C: Clock, T: Telemetry>(
    store: &S,
    mailer: &M,
    clock: &C,
    telemetry: &T,
    sender: &Sender,
    key: &EventKey,
    notice: &Notice,
) -> Notified {
    let kind = notice.body.name();
    let sent = match mail::render(notice, sender) {
        Ok(mail) => mailer.send(&notice.to, &mail, key).await.map_err(FlowError::Mail),
        Err(error) => Err(FlowError::Render(error)),
    };
    let (outcome, result) = match sent {
        Ok(()) => (Notified::Sent, "sent"),
        Err(FlowError::Mail(MailError { retryable: false, detail })) => (Notified::Refused(detail), "refused"),
        Err(error) => {
            telemetry.signal(Signal::Mail { kind, result: "failed" });
            // The claim would keep a redelivery waiting; if it cannot be given back, it lapses by itself.
            drop(store.release_notice(key).await);
            return Notified::Later(error);
        }
    };
    telemetry.signal(Signal::Mail { kind, result });
    if !Guard::NoticeMark.stands() {
        return outcome;
    }
    match store.mark_mailed(key, clock.now()).await {
        Ok(_) => outcome,
        // The mail is out. The event is delivered again, finds the claim, and later sends once more: the one repetition that is allowed.
        Err(error) => Notified::Later(error.into()),
    }
}

fn later(detail: &str) -> FlowError {
    FlowError::Mail(MailError { detail: format!("its claim could not be written: {detail}"), retryable: true })
}

fn put(outcomes: &mut [Notified], at: usize, outcome: Notified) {
    if let Some(slot) = outcomes.get_mut(at) {
        *slot = outcome;
    }
}
