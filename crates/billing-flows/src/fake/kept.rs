//! Rows as a table keeps them: moments are epoch milliseconds.

use billing_core::Timestamp;
use billing_core::billing_key::RegisteredKey;
use billing_core::change::{Upgrade, Wishes};
use billing_core::event::Event;
use billing_core::invoice::{self, Invoice};
use billing_core::session::{Done, Session};
use billing_core::subscription::{self, Subscription};

/// A moment to the millisecond.
pub(super) fn moment(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// A subscription as it is read back.
pub(super) fn subscription(row: &Subscription) -> Subscription {
    use subscription::State;
    let state = match &row.state {
        State::PastDue { period, due_at } => State::PastDue { period: *period, due_at: moment(*due_at) },
        State::Canceled { at } => State::Canceled { at: moment(*at) },
        State::Expired { at } => State::Expired { at: moment(*at) },
        State::Active { .. } | State::Parked { .. } => row.state.clone(),
    };
    let upgrade = row.wishes.upgrade.map(|upgrade| Upgrade { at: moment(upgrade.at), ..upgrade });
    let wishes = Wishes { upgrade, ..row.wishes };
    Subscription { state, wishes, started: moment(row.started), trial_end: row.trial_end.map(moment), ..row.clone() }
}

/// An invoice as it is read back.
pub(super) fn invoice(row: &Invoice) -> Invoice {
    use invoice::State;
    let state = match &row.state {
        State::Open { next_attempt_at } => State::Open { next_attempt_at: moment(*next_attempt_at) },
        State::Charging { lease_until } => State::Charging { lease_until: moment(*lease_until) },
        State::Unknown { since } => State::Unknown { since: moment(*since) },
        State::Pending { since } => State::Pending { since: moment(*since) },
        State::Failed { retry_at } => State::Failed { retry_at: retry_at.map(moment) },
        State::Paid { at } => State::Paid { at: moment(*at) },
        State::Uncollectible { at } => State::Uncollectible { at: moment(*at) },
        State::Void { at } => State::Void { at: moment(*at) },
        State::PartiallyRefunded { paid_at, refunded } => {
            State::PartiallyRefunded { paid_at: moment(*paid_at), refunded: *refunded }
        }
        State::Refunded { paid_at } => State::Refunded { paid_at: moment(*paid_at) },
    };
    let mut kept = Invoice {
        state,
        first_failed_at: row.first_failed_at.map(moment),
        created_at: moment(row.created_at),
        updated_at: moment(row.updated_at),
        ..row.clone()
    };
    for attempt in &mut kept.attempts {
        attempt.started_at = moment(attempt.started_at);
        attempt.ended_at = attempt.ended_at.map(moment);
    }
    for refund in &mut kept.refunds {
        refund.started_at = moment(refund.started_at);
        refund.ended_at = refund.ended_at.map(moment);
    }
    kept
}

/// A billing key as it is read back.
pub(super) fn key(row: &RegisteredKey) -> RegisteredKey {
    RegisteredKey { created_at: moment(row.created_at), ..row.clone() }
}

/// A checkout session as it is read back.
pub(super) fn session(row: &Session) -> Session {
    Session {
        created_at: moment(row.created_at),
        expires_at: moment(row.expires_at),
        done: row.done.as_ref().map(done),
        ..row.clone()
    }
}

/// How a checkout session was completed, as it is read back.
pub(super) fn done(row: &Done) -> Done {
    Done { at: moment(row.at), ..row.clone() }
}

/// An event as it is read back. A notice is kept in its written form.
pub(super) fn event(row: &Event) -> Event {
    let written = row.notice.as_ref().and_then(|notice| serde_json::to_value(notice).ok());
    let notice = written.and_then(|written| serde_json::from_value(written).ok()).or_else(|| row.notice.clone());
    Event { at: moment(row.at), notice, ..row.clone() }
}
