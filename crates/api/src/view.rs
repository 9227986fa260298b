//! What is shown of subscriptions and invoices: JSON for the customer's backend. Moments are epoch milliseconds, sums are minor units. No
//! billing key and no personal datum is shown.

use billing_core::Timestamp;
use billing_core::billing_key::{KeyStatus, RegisteredKey};
use billing_core::change::Upgrade;
use billing_core::invoice::{Attempt, Invoice, Outcome, Part, State};
use billing_core::money::Money;
use billing_core::plan::{Catalogue, Terms};
use billing_core::refund::{Refund, RefundOutcome};
use billing_core::subscription::{NextCharge, State as Standing, Subscription};
use serde_json::{Value, json};

pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

pub(crate) fn money(money: Money) -> Value {
    json!({ "amount": money.minor(), "currency": money.currency().code() })
}

pub(crate) fn next_charge(next: &NextCharge) -> Value {
    json!({
        "at": millis(next.at),
        "period": next.period.to_string(),
        "amount": next.amount.minor(),
        "currency": next.amount.currency().code(),
    })
}

pub(crate) fn terms(terms: &Terms) -> Value {
    json!({ "planType": terms.plan.key(), "teamSeats": terms.seats, "monthlyAmount": terms.monthly.minor() })
}

pub(crate) fn upgrade(upgrade: &Upgrade) -> Value {
    json!({
        "planType": upgrade.terms.plan.key(),
        "teamSeats": upgrade.terms.seats,
        "monthlyAmount": upgrade.terms.monthly.minor(),
        "amount": upgrade.amount.minor(),
        "from": upgrade.covers.to_string(),
        "until": upgrade.covers.end().to_string(),
    })
}

pub(crate) fn subscription(it: &Subscription, catalogue: &Catalogue) -> Value {
    let (canceled_at, expired_at) = match it.state {
        Standing::Canceled { at } => (Some(millis(at)), None),
        Standing::Expired { at } => (None, Some(millis(at))),
        Standing::Active { .. } | Standing::PastDue { .. } | Standing::Parked { .. } => (None, None),
    };
    // A price that cannot be represented was never sold; then no charge is shown.
    let next = it.next_charge().ok().flatten();
    json!({
        "subscriptionId": it.key.id,
        "userId": it.key.user_id,
        "status": it.state.status(),
        "parked": matches!(it.state, Standing::Parked { .. }),
        "planType": it.plan.key(),
        "planName": catalogue.name(it.plan, it.locale),
        "teamSeats": it.seats,
        "monthlyAmount": it.monthly.minor(),
        "currency": it.monthly.currency().code(),
        "locale": it.locale.tag(),
        "startDate": millis(it.started),
        "trialEndDate": it.trial_end.map(millis),
        "cancelAtPeriodEnd": it.cancel_at_period_end,
        "canceledAt": canceled_at,
        "expiredAt": expired_at,
        "hasMethod": it.method.is_some(),
        "nextCharge": next.as_ref().map(next_charge),
        "scheduledChange": it.wishes.next.as_ref().map(terms),
        "upgradeUnderWay": it.wishes.upgrade.as_ref().map(upgrade),
    })
}

/// A method, by what may be shown of it. `methodId` names it in `…/payment-method`.
pub(crate) fn method(row: &RegisteredKey, current: bool) -> Value {
    let label = row.label();
    json!({
        "methodId": millis(row.created_at),
        "paymentMethod": label.kind,
        "name": label.name,
        "last4": label.last4,
        "status": match row.status { KeyStatus::Active => "ACTIVE", KeyStatus::Deleted => "DELETED" },
        "current": current,
    })
}

pub(crate) fn invoice(it: &Invoice) -> Value {
    let (paid_at, refunded) = match &it.state {
        State::Paid { at } => (Some(millis(*at)), 0),
        State::PartiallyRefunded { paid_at, refunded } => (Some(millis(*paid_at)), refunded.minor()),
        State::Refunded { paid_at } => (Some(millis(*paid_at)), it.amount.minor()),
        State::Open { .. }
        | State::Charging { .. }
        | State::Unknown { .. }
        | State::Pending { .. }
        | State::Failed { .. }
        | State::Uncollectible { .. }
        | State::Void { .. } => (None, 0),
    };
    json!({
        "paymentId": it.payment_id,
        "subscriptionId": it.subscription.id,
        "kind": match it.part { Part::Period => "period", Part::Upgrade(_) => "upgrade" },
        "from": it.period.to_string(),
        "until": it.period.end().to_string(),
        "status": it.state.status(),
        "parked": it.quarantine.is_some(),
        "amount": it.amount.minor(),
        "currency": it.amount.currency().code(),
        "vat": it.amount.vat_included().minor(),
        "refundedAmount": refunded,
        "planType": it.plan.key(),
        "planName": it.plan_name,
        "teamSeats": it.seats,
        "orderName": it.order_name,
        "createdAt": millis(it.created_at),
        "paidAt": paid_at,
        "receiptUrl": it.proof.receipt_url,
        "attempts": it.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "refunds": it.refunds.iter().map(refund).collect::<Vec<_>>(),
    })
}

fn attempt(it: &Attempt) -> Value {
    let (reason, code) = match &it.outcome {
        Some(Outcome::Declined(decline)) => (Some(json!(decline.reason)), Some(decline.code.as_str())),
        Some(Outcome::Refused(code)) => (None, Some(code.as_str())),
        Some(Outcome::Paid | Outcome::Pending | Outcome::Unknown | Outcome::Lost) | None => (None, None),
    };
    json!({
        "number": it.number,
        "startedAt": millis(it.started_at),
        "endedAt": it.ended_at.map(millis),
        "outcome": it.outcome.as_ref().map(Outcome::name),
        "reason": reason,
        "code": code,
    })
}

fn refund(it: &Refund) -> Value {
    json!({
        "number": it.number,
        "amount": it.amount.minor(),
        "reason": it.reason.as_str(),
        "startedAt": millis(it.started_at),
        "outcome": it.outcome.as_ref().map(RefundOutcome::name),
    })
}
