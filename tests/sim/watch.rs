//! The promises that are checked at the moment of the deed: what is made good later must not have been done either.

use super::context::Context;
use super::people::Wish;
use super::portone::PortOne;
use billing_core::Timestamp;
use billing_core::event::{Event, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::{Invoice, State};
use billing_core::subscription::{self, Subscription, SubscriptionKey};
use billing_flows::ports::{Changes, SubscriptionChange};
use std::collections::{BTreeMap, BTreeSet};

/// What the tables have come to, as far as the next deed is judged by it.
#[derive(Debug, Default)]
pub struct Watch {
    attempts: BTreeMap<PaymentId, usize>,
    undecided: BTreeSet<(SubscriptionKey, PaymentId)>,
    unwanted: BTreeSet<SubscriptionKey>,
    ends: BTreeMap<SubscriptionKey, Ends>,
    invoices: BTreeMap<PaymentId, &'static str>,
    subscriptions: BTreeMap<SubscriptionKey, &'static str>,
    callers: BTreeMap<String, (PaymentId, u32)>,
    had: BTreeMap<SubscriptionKey, Vec<Had>>,
}

/// A customer's wish that a subscription end.
#[derive(Debug, Default)]
struct Ends {
    /// How many calls of it are under way.
    open: u64,
    /// How many there were.
    calls: u64,
    /// Whether it stands.
    stands: bool,
}

/// What a subscription became, and by what.
#[derive(Debug, Clone)]
pub struct Had {
    /// When.
    pub at: Timestamp,
    /// Plan and seats from then on.
    pub wish: Wish,
    /// By the settlement of this invoice: by nothing but a wish, if there is none.
    pub by: Option<Invoice>,
}

impl Watch {
    /// Whether the tables say that a subscription has ended or is to end, whoever wrote that.
    pub fn is_unwanted(&self, key: &SubscriptionKey) -> bool {
        self.unwanted.contains(key)
    }

    /// Whether its customer wished a subscription to end, and has not taken that back. No table is asked.
    pub fn is_to_end(&self, key: &SubscriptionKey) -> bool {
        self.ends.get(key).is_some_and(|ends| ends.stands)
    }

    /// The customer wishes it to end.
    pub fn cancel_begins(&mut self, key: &SubscriptionKey) {
        let ends = self.ends.entry(key.clone()).or_default();
        (ends.open, ends.calls, ends.stands) = (ends.open + 1, ends.calls + 1, true);
    }

    /// The call is over.
    pub fn cancel_ends(&mut self, key: &SubscriptionKey) {
        let ends = self.ends.entry(key.clone()).or_default();
        ends.open = ends.open.saturating_sub(1);
    }

    /// How many such calls there were, if none is under way.
    pub fn cancels(&self, key: &SubscriptionKey) -> Option<u64> {
        self.ends.get(key).map_or(Some(0), |ends| (ends.open == 0).then_some(ends.calls))
    }

    /// The customer was told that it goes on, by a call that began after so many calls to cancel. One that came between may have been later.
    pub fn goes_on(&mut self, key: &SubscriptionKey, cancels: Option<u64>) {
        if cancels.is_some() && self.cancels(key) == cancels {
            self.ends.entry(key.clone()).or_default().stands = false;
        }
    }

    /// What a subscription was, one after the other, as far as anything was settled or changed.
    pub fn had(&self, key: &SubscriptionKey) -> Vec<Had> {
        self.had.get(key).cloned().unwrap_or_default()
    }

    /// Judges a transaction that was just written.
    pub fn see(&mut self, changes: &Changes, portone: &PortOne, cx: &Context) {
        for (_, invoice) in &changes.invoices {
            cx.note(|| {
                format!("invoice {} of {} is {}", invoice.payment_id, invoice.subscription.id, invoice.state.status())
            });
            self.claim(invoice, cx);
            self.chained(invoice, changes, cx);
            receipt(invoice, portone, cx);
            let place = (invoice.subscription.clone(), invoice.payment_id.clone());
            // What is parked is a person's business, whether the subscription goes on or not.
            if invoice.undecided().is_some() && invoice.quarantine.is_none() {
                self.undecided.insert(place);
            } else {
                self.undecided.remove(&place);
            }
        }
        if let Some(SubscriptionChange::Write { next, .. }) = &changes.subscription {
            cx.note(|| format!("subscription {} is {:?}", next.key.id, next.state));
            self.end(next, cx);
            self.followed(next, changes, cx);
            let by = changes.invoices.first().map(|(_, invoice)| invoice.clone());
            let had = Had { at: cx.now(), wish: (next.plan, next.seats), by };
            self.had.entry(next.key.clone()).or_default().push(had);
        }
    }

    /// Nothing is attempted after a cancellation.
    fn claim(&mut self, invoice: &Invoice, cx: &Context) {
        let before = self.attempts.insert(invoice.payment_id.clone(), invoice.attempts.len()).unwrap_or(0);
        let is_claim = matches!(invoice.state, State::Charging { .. }) && invoice.attempts.len() > before;
        if is_claim && self.unwanted.contains(&invoice.subscription) {
            cx.violation(format!(
                "{} was attempted after its customer had cancelled {}",
                invoice.payment_id, invoice.subscription.id
            ));
        }
        if let (true, Some(attempt)) = (matches!(invoice.state, State::Charging { .. }), invoice.attempts.last()) {
            let this = (invoice.payment_id.clone(), attempt.number);
            // What was refused for our credentials was never looked at, and is made anew under its number, by whoever comes next.
            self.callers.retain(|cause, made| *made != this || *cause == attempt.cause);
            let is_callers = attempt.cause.starts_with("api:");
            let first = self.callers.entry(attempt.cause.clone()).or_insert_with(|| this.clone());
            if is_callers && *first != this {
                cx.violation(format!(
                    "{} made attempt {} of {} and attempt {} of {}",
                    attempt.cause, first.1, first.0, this.1, this.0
                ));
            }
        }
    }

    /// An invoice's event says what the invoice was and what it is; without one it is claimed, opened, or stays what it was.
    fn chained(&mut self, invoice: &Invoice, changes: &Changes, cx: &Context) {
        let (id, is) = (&invoice.payment_id, invoice.state.status());
        let was = self.invoices.insert(id.clone(), is);
        if let Some(event) = changes.events.iter().find(|event| event.subject == id.as_str()) {
            return told_rightly(event, was.unwrap_or("open"), is, cx);
        }
        let may_be_claimed = matches!(was, None | Some("open" | "failed" | "unknown"));
        let is_silent = was == Some(is) || (was.is_none() && is == "open") || (may_be_claimed && is == "charging");
        if !is_silent {
            cx.violation(format!("{id} was {was:?} and is {is}, and no event says so"));
        }
    }

    /// The same of a subscription: without an event of its own it becomes what its period's invoice makes of it.
    fn followed(&mut self, next: &Subscription, changes: &Changes, cx: &Context) {
        let (id, is) = (&next.key.id, next.state.status());
        let was = self.subscriptions.insert(next.key.clone(), is).unwrap_or("active");
        if let Some(event) = changes.events.iter().find(|event| event.subject == id.as_str()) {
            return told_rightly(event, was, is, cx);
        }
        let kinds: Vec<EventKind> = changes.events.iter().map(|event| event.kind).collect();
        let follows = match is {
            _ if was == is => true,
            "active" => kinds.contains(&EventKind::InvoicePaid),
            "past_due" => kinds.contains(&EventKind::PaymentFailed) || kinds.contains(&EventKind::InvoiceQuarantined),
            "canceled" => kinds.contains(&EventKind::PaymentFailed),
            "expired" => kinds.contains(&EventKind::InvoiceUncollectible),
            _ => false,
        };
        if !follows {
            cx.violation(format!("{id} was {was} and is {is}, and no event says so"));
        }
    }

    /// Nothing ends that its customer did not wish to end, and nothing while an attempt is undecided: nobody would ask about it before the
    /// night.
    fn end(&mut self, next: &Subscription, cx: &Context) {
        if next.has_ended() || next.cancel_at_period_end {
            self.unwanted.insert(next.key.clone());
        } else {
            self.unwanted.remove(&next.key);
        }
        let is_canceled = matches!(next.state, subscription::State::Canceled { .. }) || next.cancel_at_period_end;
        if is_canceled && !self.is_to_end(&next.key) {
            cx.violation(format!("{} is to end, and its customer did not wish that", next.key.id));
        }
        let undecided = self.undecided.iter().find(|(key, _)| next.has_ended() && *key == next.key);
        if let Some((_, payment_id)) = undecided {
            cx.violation(format!("{} ended while {payment_id} was undecided", next.key.id));
        }
    }
}

fn told_rightly(event: &Event, was: &str, is: &str, cx: &Context) {
    if event.before.as_deref() != Some(was) || event.after.as_deref() != Some(is) {
        let (subject, kind) = (&event.subject, event.kind.name());
        cx.violation(format!("{subject} was {was} and is {is}; {kind} says {:?} and {:?}", event.before, event.after));
    }
}

/// Nothing is called paid by a transaction that moved another sum. (The answer to a charge names no transaction, and states no sum.)
fn receipt(invoice: &Invoice, portone: &PortOne, cx: &Context) {
    let transaction = invoice.proof.transaction_id.as_deref();
    let moved = transaction.and_then(|transaction| portone.moved_by(transaction));
    if let Some(moved) = moved.filter(|moved| *moved != invoice.amount && invoice.quarantine.is_none()) {
        cx.violation(format!("{} of {} was called paid by {moved}", invoice.payment_id, invoice.amount));
    }
}
