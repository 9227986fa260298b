//! The promises that are checked at the moment of the deed: what is made good later must not have been done either.

use super::context::Context;
use super::people::Wish;
use super::portone::PortOne;
use billing_core::Timestamp;
use billing_core::id::PaymentId;
use billing_core::invoice::{Invoice, State};
use billing_core::subscription::{Subscription, SubscriptionKey};
use billing_flows::ports::{Changes, SubscriptionChange};
use std::collections::{BTreeMap, BTreeSet};

/// What the tables have come to, as far as the next deed is judged by it.
#[derive(Debug, Default)]
pub struct Watch {
    attempts: BTreeMap<PaymentId, usize>,
    undecided: BTreeSet<(SubscriptionKey, PaymentId)>,
    unwanted: BTreeSet<SubscriptionKey>,
    callers: BTreeMap<String, (PaymentId, u32)>,
    had: BTreeMap<SubscriptionKey, Vec<Had>>,
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
    /// Subscriptions whose customer wished them to end, or that have ended.
    pub fn unwanted(&self) -> &BTreeSet<SubscriptionKey> {
        &self.unwanted
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

    /// Nothing ends while an attempt is undecided: nobody would ask about it before the night.
    fn end(&mut self, next: &Subscription, cx: &Context) {
        if next.has_ended() || next.cancel_at_period_end {
            self.unwanted.insert(next.key.clone());
        } else {
            self.unwanted.remove(&next.key);
        }
        let undecided = self.undecided.iter().find(|(key, _)| next.has_ended() && *key == next.key);
        if let Some((_, payment_id)) = undecided {
            cx.violation(format!("{} ended while {payment_id} was undecided", next.key.id));
        }
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
