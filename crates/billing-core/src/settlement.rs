//! Settling: what becomes of an invoice and its subscription when a fact about them is learned.
//!
//! Every fact, whoever brings it (the worker's own answer, a webhook, the reconciler), goes through [`settle`]; so two who bring the same
//! fact, or facts in the wrong order, end in the same state.

use crate::calendar::Period;
use crate::decline::Decline;
use crate::dunning::{Ladder, Next};
use crate::event::{Cause, Event, EventKind};
use crate::guard::Guard;
use crate::invoice::{Invoice, Outcome, Part, Proof, State, after_refusal};
use crate::money::Money;
use crate::notice::{EndReason, Notice, NoticeBody};
use crate::refund::RefundOutcome;
use crate::subscription::{self, Subscription};
use jiff::Timestamp;

/// Something that is known about an invoice because `PortOne` said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Money moved.
    Paid {
        /// When, by the PG's clock.
        at: Timestamp,
        /// How much, where `PortOne` said so: the answer to a charge does not.
        amount: Option<Charged>,
        /// Its proof.
        proof: Proof,
    },
    /// An attempt was declined.
    Declined {
        /// Which.
        attempt: u32,
        /// Why.
        decline: Decline,
    },
    /// An attempt was accepted and not decided.
    Pending {
        /// Which.
        attempt: u32,
    },
    /// It is not known how an attempt ended.
    Unknown {
        /// Which.
        attempt: u32,
        /// What was seen instead of an answer.
        why: String,
    },
    /// An attempt was refused before any charge, for a mistake of ours.
    Refused {
        /// Which.
        attempt: u32,
        /// `PortOne`'s error type.
        code: String,
        /// Whether it may be tried again at once, because the mistake was in our credentials and not in the request.
        at_once: bool,
    },
    /// An attempt is proved never to have reached `PortOne`.
    Lost {
        /// Which.
        attempt: u32,
    },
    /// Money was given back.
    Refunded {
        /// How much in all, so far.
        total: Charged,
        /// When.
        at: Timestamp,
        /// Whether the customer's bank took it back.
        chargeback: bool,
    },
    /// A refund of ours ended, or was taken to be decided later.
    Refund {
        /// Which.
        number: u32,
        /// How.
        outcome: RefundOutcome,
        /// How much was given back in all, where it succeeded.
        total: Option<Charged>,
        /// When.
        at: Timestamp,
        /// Whether some of that was taken back by the customer's bank.
        chargeback: bool,
    },
    /// `PortOne` knows the payment in a way that fits no invoice.
    Contradiction(String),
}

/// A sum as `PortOne` states it; its currency may be one that is not billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Minor units.
    pub minor: i64,
    /// The ISO 4217 code.
    pub currency: String,
}

impl Charged {
    /// Whether it is exactly this sum.
    pub fn is(&self, money: Money) -> bool {
        self.minor == money.minor() && self.currency == money.currency().code()
    }
}

impl std::fmt::Display for Charged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.minor, self.currency)
    }
}

impl From<Money> for Charged {
    fn from(money: Money) -> Self {
        Self { minor: money.minor(), currency: money.currency().code().to_owned() }
    }
}

/// What surrounds a decision.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The moment of the decision.
    pub now: Timestamp,
    /// What brought it about.
    pub cause: &'a Cause,
    /// The retry schedule.
    pub ladder: &'a Ladder,
}

/// What is to be written, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The invoice, one version on.
    pub invoice: Invoice,
    /// The subscription, one version on, if it changes.
    pub subscription: Option<Subscription>,
    /// What happened; nothing if only a detail is written that changes nothing for anybody.
    pub event: Option<Event>,
}

/// Applies a fact. `None`: the books already say so, or know better; nothing is to be written.
pub fn settle(
    invoice: &Invoice,
    subscription: Option<&Subscription>,
    fact: &Fact,
    cx: &Context<'_>,
) -> Option<Settled> {
    if invoice.quarantine.is_some() {
        return None;
    }
    match fact {
        Fact::Paid { at, amount, proof } => paid(invoice, subscription, *at, amount.as_ref(), proof, cx),
        Fact::Declined { attempt, decline } => {
            is_undecided(invoice, *attempt).then(|| declined(invoice, subscription, decline, cx))
        }
        Fact::Pending { attempt } => {
            let news = is_undecided(invoice, *attempt) && !matches!(invoice.state, State::Pending { .. });
            news.then(|| {
                let next = invoice.moved_to(State::Pending { since: cx.now }, cx.now).ended(Outcome::Pending, cx.now);
                record(invoice, next, None, EventKind::PaymentPending, None, None, cx)
            })
        }
        Fact::Unknown { attempt, why } => {
            let news = is_undecided(invoice, *attempt) && matches!(invoice.state, State::Charging { .. });
            news.then(|| {
                let next = invoice.moved_to(State::Unknown { since: cx.now }, cx.now).ended(Outcome::Unknown, cx.now);
                record(invoice, next, None, EventKind::PaymentUnknown, Some(why.clone()), None, cx)
            })
        }
        Fact::Refused { attempt, code, at_once } => is_undecided(invoice, *attempt).then(|| {
            let next_attempt_at = if *at_once { cx.now } else { after_refusal(cx.now) };
            let next =
                reopened(invoice, subscription, next_attempt_at, cx).ended(Outcome::Refused(code.clone()), cx.now);
            let back = not_upgraded(invoice, subscription);
            record(invoice, next, back, EventKind::PaymentRefused, Some(code.clone()), None, cx)
        }),
        Fact::Lost { attempt } => is_undecided(invoice, *attempt).then(|| {
            let next = reopened(invoice, subscription, cx.now, cx).ended(Outcome::Lost, cx.now);
            record(invoice, next, not_upgraded(invoice, subscription), EventKind::AttemptLost, None, None, cx)
        }),
        Fact::Refunded { total, at, chargeback } => refunded(invoice, subscription, total, *at, *chargeback, cx),
        Fact::Refund { number, outcome, total, at, chargeback } => {
            let given_back = || refunded(invoice, subscription, total.as_ref()?, *at, *chargeback, cx);
            invoice.is_news_of_refund(*number, outcome).then(|| refund_ended(invoice, *number, outcome, given_back, cx))
        }
        Fact::Contradiction(why) => Some(quarantined(invoice, subscription, why.clone(), cx)),
    }
}

/// Gives an invoice up that only a new method could have saved. Refused unless the invoice is waiting for one, is still owed, and the
/// moment the customer was told has come: a method that came and went again in between does not shorten the wait.
pub fn give_up(invoice: &Invoice, subscription: &Subscription, cx: &Context<'_>) -> Option<Settled> {
    let waits = invoice.quarantine.is_none() && matches!(invoice.state, State::Failed { retry_at: None });
    // A failed invoice is not written again before something comes of it, so it last changed when it was declined.
    let first = invoice.first_failed_at.unwrap_or(invoice.updated_at);
    let is_over = cx.now >= cx.ladder.deadline(first, invoice.updated_at);
    let is_owed = is_owed(invoice, Some(subscription)) && !is_parked(Some(subscription));
    (waits && is_over && is_owed).then(|| uncollectible(invoice, invoice, Some(subscription), cx))
}

/// Opens the books of a period that cannot even be attempted, because the subscription has no method: the customer is asked for one.
pub fn fail_without_method(opened: &Invoice, subscription: &Subscription, cx: &Context<'_>) -> Settled {
    declined(opened, Some(subscription), &Decline::no_method("NO_BILLING_KEY"), cx)
}

/// The end of a subscription whose customer cancelled at the end of a period that is over.
pub fn end_canceled(subscription: &Subscription, plan_name: &str, cx: &Context<'_>) -> Option<(Subscription, Event)> {
    let ended = subscription.canceled(cx.now)?;
    let body = NoticeBody::SubscriptionEnded {
        plan_name: plan_name.to_owned(),
        reason: EndReason::Canceled,
        unpaid: None,
        ended_at: cx.now,
    };
    let notice = subscription.customer.email.clone().map(|to| Notice {
        to,
        name: subscription.customer.name.clone(),
        locale: subscription.locale,
        body,
    });
    let event = Event {
        subject: subscription.key.id.to_string(),
        id: Event::id_at(cx.now, &format!("{:06}", ended.version)),
        at: cx.now,
        kind: EventKind::SubscriptionCanceled,
        cause: cx.cause.clone(),
        before: Some(subscription.state.status().to_owned()),
        after: Some(ended.state.status().to_owned()),
        detail: None,
        notice,
    };
    Some((ended, event))
}

/// An invoice that is no longer owed because its customer cancelled, and the record of it. Refused as [`Invoice::voided`] is.
pub fn void(invoice: &Invoice, cx: &Context<'_>) -> Option<(Invoice, Event)> {
    let void = invoice.voided(cx.now)?;
    let event = event(invoice, &void, EventKind::InvoiceVoided, None, None, cx);
    Some((void, event))
}

/// The record of an invoice that goes on under the next revision of its payment id.
pub fn superseded_event(before: &Invoice, old: &Invoice, new: &Invoice, cx: &Context<'_>) -> Event {
    let detail = Some(format!("carried on as {}", new.payment_id));
    event(before, old, EventKind::InvoiceSuperseded, detail, None, cx)
}

fn is_undecided(invoice: &Invoice, attempt: u32) -> bool {
    invoice.undecided().is_some_and(|last| last.number == attempt) || !Guard::DecidedOnce.stands()
}

fn paid(
    invoice: &Invoice,
    subscription: Option<&Subscription>,
    at: Timestamp,
    amount: Option<&Charged>,
    proof: &Proof,
    cx: &Context<'_>,
) -> Option<Settled> {
    // Before all else, also when it is known to be paid: the answer to a charge states no sum, a later reading does.
    if let Some(said) = amount.filter(|said| !said.is(invoice.amount) && Guard::AmountCompared.stands()) {
        let why = format!("PortOne says {said} was paid; owed is {}", Charged::from(invoice.amount));
        return Some(quarantined(invoice, subscription, why, cx));
    }
    let is_paid =
        matches!(invoice.state, State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. });
    if is_paid && Guard::PaidOnce.stands() {
        return None;
    }
    if invoice.superseded_by.is_some() {
        let why = "paid under a payment id that PortOne had called used up and unpaid".to_owned();
        return Some(quarantined(invoice, subscription, why, cx));
    }
    let mut next = invoice.moved_to(State::Paid { at }, cx.now).ended(Outcome::Paid, cx.now);
    next.proof = proof.clone();
    let advanced = subscription.and_then(|subscription| match invoice.part {
        Part::Period => subscription.paid(invoice.period),
        Part::Upgrade(number) => subscription.upgraded(invoice.period, number),
    });
    let body = NoticeBody::Receipt {
        bought: invoice.bought(),
        vat: invoice.amount.vat_included(),
        paid_at: at,
        receipt_url: proof.receipt_url.clone(),
        next_billing: advanced
            .as_ref()
            .filter(|next| !next.cancel_at_period_end)
            .and_then(Subscription::period)
            .map(Period::start),
    };
    let detail = advanced.is_none().then(|| "the subscription had ended or moved on before this was paid".to_owned());
    Some(record(invoice, next, advanced, EventKind::InvoicePaid, detail, Some(body), cx))
}

fn declined(invoice: &Invoice, subscription: Option<&Subscription>, decline: &Decline, cx: &Context<'_>) -> Settled {
    let first = invoice.first_failed_at.unwrap_or(cx.now);
    let mut next = match invoice.undecided() {
        Some(_) => invoice.clone().ended(Outcome::Declined(decline.clone()), cx.now),
        None => invoice.clone(),
    };
    next.first_failed_at = Some(first);
    if !is_owed(invoice, subscription) {
        let void = next.moved_to(State::Void { at: cx.now }, cx.now);
        return record(invoice, void, None, EventKind::PaymentFailed, Some(decline.code.clone()), None, cx);
    }
    if let Some(back) = not_upgraded(invoice, subscription) {
        // An upgrade is tried once: its customer is there to try again, and keeps what they have.
        let void = next.moved_to(State::Void { at: cx.now }, cx.now);
        let body = NoticeBody::UpgradeFailed { bought: invoice.bought(), reason: decline.reason };
        let code = Some(decline.code.clone());
        return record(invoice, void, Some(back), EventKind::PaymentFailed, code, Some(body), cx);
    }
    if let Some(ended) = subscription.filter(|it| it.cancel_at_period_end && !is_parked(Some(it))) {
        // Its customer does not want it any more: nothing is tried again.
        let void = next.moved_to(State::Void { at: cx.now }, cx.now);
        let body = NoticeBody::SubscriptionEnded {
            plan_name: invoice.plan_name.clone(),
            reason: EndReason::Canceled,
            unpaid: None,
            ended_at: cx.now,
        };
        let code = Some(decline.code.clone());
        return record(invoice, void, ended.canceled(cx.now), EventKind::PaymentFailed, code, Some(body), cx);
    }
    let (retry_at, until) = match cx.ladder.after(next.declines().max(1), first, cx.now, decline.reason.severity()) {
        Next::Retry(at) => (Some(at), at),
        Next::AwaitMethod(until) => (None, until),
        Next::GiveUp => return uncollectible(&next, invoice, subscription, cx),
    };
    let failed = next.moved_to(State::Failed { retry_at }, cx.now);
    let body = NoticeBody::PaymentFailed {
        bought: invoice.bought(),
        reason: decline.reason,
        retried: retry_at.is_some(),
        until,
    };
    let late = subscription.and_then(|subscription| subscription.declined(invoice.period, until));
    let body = Some(body).filter(|_| !is_parked(subscription));
    record(invoice, failed, late, EventKind::PaymentFailed, Some(decline.code.clone()), body, cx)
}

fn uncollectible(next: &Invoice, before: &Invoice, subscription: Option<&Subscription>, cx: &Context<'_>) -> Settled {
    let next = next.moved_to(State::Uncollectible { at: cx.now }, cx.now);
    let expired = subscription.and_then(|subscription| subscription.expired(before.period, cx.now));
    let body = NoticeBody::SubscriptionEnded {
        plan_name: before.plan_name.clone(),
        reason: EndReason::PaymentFailed,
        unpaid: Some(before.bought()),
        ended_at: cx.now,
    };
    let body = Some(body).filter(|_| !is_parked(subscription));
    record(before, next, expired, EventKind::InvoiceUncollectible, None, body, cx)
}

fn refunded(
    invoice: &Invoice,
    subscription: Option<&Subscription>,
    total: &Charged,
    at: Timestamp,
    chargeback: bool,
    cx: &Context<'_>,
) -> Option<Settled> {
    let (paid_at, before) = match &invoice.state {
        State::Paid { at } => (*at, Money::zero(invoice.amount.currency())),
        State::PartiallyRefunded { paid_at, refunded } => (*paid_at, *refunded),
        State::Refunded { .. }
        | State::Open { .. }
        | State::Charging { .. }
        | State::Unknown { .. }
        | State::Pending { .. }
        | State::Failed { .. }
        | State::Uncollectible { .. }
        | State::Void { .. } => return None,
    };
    let whole = Money::new(total.minor, invoice.amount.currency()).ok().filter(|money| total.is(*money));
    let Some((total, left)) = whole.and_then(|total| Some((total, invoice.amount.minus(total).ok()?))) else {
        let why = format!("PortOne says {total} was given back of an invoice of {}", invoice.amount);
        return Some(quarantined(invoice, subscription, why, cx));
    };
    let this_time = total.minus(before).ok().filter(|money| !money.is_zero())?;
    let state = if left.is_zero() {
        State::Refunded { paid_at }
    } else {
        State::PartiallyRefunded { paid_at, refunded: total }
    };
    let body = NoticeBody::Refunded { bought: invoice.bought(), refunded: this_time, total_refunded: total, at };
    let detail = chargeback.then(|| "chargeback".to_owned());
    Some(record(invoice, invoice.moved_to(state, cx.now), None, EventKind::InvoiceRefunded, detail, Some(body), cx))
}

/// The end of a refund. The money that it gave back is settled with it, in the same transaction; if that was settled before, by a webhook or
/// the nightly comparison, only the end is written down, and nobody is told twice.
fn refund_ended(
    invoice: &Invoice,
    number: u32,
    outcome: &RefundOutcome,
    given_back: impl FnOnce() -> Option<Settled>,
    cx: &Context<'_>,
) -> Settled {
    let next = || invoice.moved_to(invoice.state.clone(), cx.now);
    let failed = |code: &str| {
        let detail = Some(format!("refund {number}: {code}"));
        record(invoice, next(), None, EventKind::RefundFailed, detail, None, cx)
    };
    let settled = match outcome {
        RefundOutcome::Succeeded => {
            given_back().unwrap_or_else(|| Settled { invoice: next(), subscription: None, event: None })
        }
        RefundOutcome::Requested => {
            record(invoice, next(), None, EventKind::RefundRequested, Some(format!("refund {number}")), None, cx)
        }
        RefundOutcome::Failed { code } | RefundOutcome::Refused { code } => failed(code),
        RefundOutcome::Lost => failed("it never reached PortOne"),
    };
    Settled { invoice: settled.invoice.with_refund_ended(number, outcome, cx.now), ..settled }
}

fn quarantined(invoice: &Invoice, subscription: Option<&Subscription>, why: String, cx: &Context<'_>) -> Settled {
    let state = match &invoice.state {
        State::Charging { .. } => State::Unknown { since: cx.now },
        other => other.clone(),
    };
    let mut next = invoice.moved_to(state, cx.now);
    next.quarantine = Some(why.clone());
    let parked = subscription.and_then(|subscription| match invoice.part {
        Part::Period => subscription.parked(invoice.period),
        // What is owed for the periods to come is not in question.
        Part::Upgrade(number) => subscription.not_upgraded(invoice.period, number),
    });
    record(invoice, next, parked, EventKind::InvoiceQuarantined, Some(why), None, cx)
}

/// Whether the subscription still owes for the invoice's period; one that was cancelled meanwhile does not.
fn is_owed(invoice: &Invoice, subscription: Option<&Subscription>) -> bool {
    subscription.is_none_or(|subscription| match subscription.state {
        subscription::State::Canceled { .. } | subscription::State::Expired { .. } => false,
        subscription::State::Active { .. }
        | subscription::State::PastDue { .. }
        | subscription::State::Parked { .. } => match invoice.part {
            Part::Period => subscription.period() == Some(invoice.period),
            Part::Upgrade(_) => subscription.owed() == Some((invoice.period, invoice.part)),
        },
    })
}

/// The subscription without the upgrade that the invoice is for; nothing if it is for none.
fn not_upgraded(invoice: &Invoice, subscription: Option<&Subscription>) -> Option<Subscription> {
    match invoice.part {
        Part::Period => None,
        Part::Upgrade(number) => subscription?.not_upgraded(invoice.period, number),
    }
}

/// Whether nothing is done about the subscription until a person has looked: its customer is promised nothing, and not told that it ended.
fn is_parked(subscription: Option<&Subscription>) -> bool {
    subscription.is_some_and(|subscription| matches!(subscription.state, subscription::State::Parked { .. }))
}

fn reopened(
    invoice: &Invoice,
    subscription: Option<&Subscription>,
    next_attempt_at: Timestamp,
    cx: &Context<'_>,
) -> Invoice {
    let is_tried_again = invoice.part == Part::Period && is_owed(invoice, subscription);
    let state = if is_tried_again { State::Open { next_attempt_at } } else { State::Void { at: cx.now } };
    invoice.moved_to(state, cx.now)
}

fn record(
    before: &Invoice,
    invoice: Invoice,
    subscription: Option<Subscription>,
    kind: EventKind,
    detail: Option<String>,
    body: Option<NoticeBody>,
    cx: &Context<'_>,
) -> Settled {
    let event = event(before, &invoice, kind, detail, body, cx);
    Settled { invoice, subscription, event: Some(event) }
}

fn event(
    before: &Invoice,
    invoice: &Invoice,
    kind: EventKind,
    detail: Option<String>,
    body: Option<NoticeBody>,
    cx: &Context<'_>,
) -> Event {
    let notice = body.and_then(|body| {
        let customer = &invoice.customer;
        customer.email.clone().map(|to| Notice { to, name: customer.name.clone(), locale: invoice.locale, body })
    });
    // An invoice's events sort as its versions do, whatever the clocks say.
    let at = cx.now.max(before.updated_at);
    Event {
        subject: invoice.payment_id.to_string(),
        id: Event::id_at(at, &format!("{:06}", invoice.version)),
        at,
        kind,
        cause: cx.cause.clone(),
        before: Some(before.state.status().to_owned()),
        after: Some(invoice.state.status().to_owned()),
        detail,
        notice,
    }
}

#[cfg(test)]
mod tests;
