//! Receive a webhook: a hint that something happened at `PortOne`. The API is the truth.
//!
//! What arrives here has passed the signature check. It is read again from the API and that is settled; so a webhook that lies, comes late,
//! comes twice or comes before the charge's own answer changes nothing that is not so.

use crate::ports::{Clock, Gateway, PaymentSeen, Queue, SeenStatus, Signal, Store, Telemetry};
use crate::refund::refund_facts;
use crate::settle::Books;
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::decline::{Decline, Reason};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::guard::Guard;
use billing_core::id::PaymentId;
use billing_core::invoice::{Attempt, Invoice, Proof, State};
use billing_core::settlement::{Charged, Fact};
use jiff::SignedDuration;

/// What a webhook says happened to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentHint {
    /// It was paid.
    Paid,
    /// An attempt failed.
    Failed,
    /// An attempt was accepted and not decided.
    Pending,
    /// Money was given back, in part or in whole.
    Cancelled,
    /// A dispute was opened or closed.
    Dispute,
    /// Something that changes no books: a window was opened, a refund was asked for.
    Other,
}

/// What a webhook says happened to a billing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHint {
    /// It was issued, or its method was changed.
    Issued,
    /// It was deleted.
    Deleted,
    /// Something that changes no books: a window was opened, issuing failed.
    Other,
}

/// A verified webhook, as far as billing understands it.
#[derive(Debug, Clone)]
pub enum Hint {
    /// About a payment.
    Payment {
        /// What happened.
        what: PaymentHint,
        /// To which.
        payment_id: PaymentId,
    },
    /// About a billing key.
    Key {
        /// What happened.
        what: KeyHint,
        /// To which.
        billing_key: BillingKey,
    },
    /// Of a type that is not known here.
    Unknown {
        /// Its type.
        kind: String,
    },
}

/// A verified webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its `webhook-id`: the same on every delivery.
    pub id: String,
    /// The time of the event: the same on every delivery.
    pub at: Timestamp,
    /// What it says.
    pub hint: Hint,
}

/// What was done with a webhook. Each of these is answered 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Something new was learned and written down.
    Settled,
    /// The books said so already; `PortOne` was not asked.
    Known,
    /// `PortOne` was asked, and there was nothing new.
    Unchanged,
    /// It is about a payment or a customer our books do not know; recorded where it matters.
    Stranger,
    /// It changes no books.
    Ignored,
}

impl Received {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Known => "known",
            Self::Unchanged => "unchanged",
            Self::Stranger => "stranger",
            Self::Ignored => "ignored",
        }
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Takes a verified webhook. An error means trouble on our side or `PortOne`'s that may pass: answer 500, so that it is delivered again.
    pub async fn receive_webhook<Q: Queue>(&self, queue: &Q, webhook: &Webhook) -> Result<Received, FlowError> {
        let received = match &webhook.hint {
            Hint::Payment { what: PaymentHint::Other, .. } | Hint::Key { what: KeyHint::Other, .. } => {
                Received::Ignored
            }
            Hint::Payment { what, payment_id } => self.receive_payment(webhook, *what, payment_id).await?,
            Hint::Key { what: KeyHint::Issued, billing_key } => {
                self.register_key(queue, billing_key, &cause(webhook)).await?
            }
            Hint::Key { what: KeyHint::Deleted, billing_key } => self.remove_key(billing_key, &cause(webhook)).await?,
            Hint::Unknown { .. } => Received::Ignored,
        };
        self.telemetry.signal(Signal::Webhook { result: received.name() });
        Ok(received)
    }

    async fn receive_payment(
        &self,
        webhook: &Webhook,
        what: PaymentHint,
        payment_id: &PaymentId,
    ) -> Result<Received, FlowError> {
        if what == PaymentHint::Dispute {
            return self.note(webhook, payment_id, EventKind::Dispute, None).await.map(|()| Received::Settled);
        }
        let Some(invoice) = self.store.invoice(payment_id).await? else {
            return match what {
                PaymentHint::Paid | PaymentHint::Cancelled => {
                    let detail = Some(format!("{what:?}").to_lowercase());
                    self.note(webhook, payment_id, EventKind::UnknownPayment, detail).await?;
                    Ok(Received::Stranger)
                }
                PaymentHint::Failed | PaymentHint::Pending | PaymentHint::Dispute | PaymentHint::Other => {
                    Ok(Received::Stranger)
                }
            };
        };
        if is_known(what, &invoice) {
            return Ok(Received::Known);
        }
        let cause = cause(webhook);
        // PortOne tells of a payment that it does not find: nothing to settle. The reconciler asks again.
        let facts = if Guard::ReadAgain.stands() {
            let Some(seen) = self.gateway.payment(payment_id).await? else { return Ok(Received::Unchanged) };
            facts_of(&seen, &invoice)
        } else {
            taken_at_its_word(what, webhook.at, &invoice)
        };
        if facts.is_empty() {
            return Ok(Received::Unchanged);
        }
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let before = invoice.version;
        let mut books = Books { invoice, subscription };
        for fact in &facts {
            books = self.settle(books, fact, &cause).await?.into_books();
        }
        Ok(if books.invoice.version == before { Received::Unchanged } else { Received::Settled })
    }

    /// Records something about a payment that changes no invoice: once, however often it is delivered.
    async fn note(
        &self,
        webhook: &Webhook,
        payment_id: &PaymentId,
        kind: EventKind,
        detail: Option<String>,
    ) -> Result<(), FlowError> {
        let event = Event {
            subject: payment_id.to_string(),
            id: Event::id_at(webhook.at, &webhook.id),
            at: self.clock.now(),
            kind,
            cause: cause(webhook),
            before: None,
            after: None,
            detail,
            notice: None,
        };
        if self.store.record(&event).await? {
            self.telemetry.signal(Signal::Event(kind));
        }
        Ok(())
    }
}

fn cause(webhook: &Webhook) -> Cause {
    Cause::Webhook(webhook.id.clone())
}

/// Whether the books already show what the webhook says, so that `PortOne` need not be asked.
fn is_known(what: PaymentHint, invoice: &Invoice) -> bool {
    match (&invoice.state, what) {
        (State::Paid { .. } | State::PartiallyRefunded { .. }, hint) => hint != PaymentHint::Cancelled,
        (State::Refunded { .. }, hint) => hint != PaymentHint::Cancelled || invoice.refund_under_way().is_none(),
        (State::Failed { .. } | State::Uncollectible { .. }, hint) => hint == PaymentHint::Failed,
        (State::Pending { .. }, hint) => hint == PaymentHint::Pending,
        (State::Open { .. } | State::Charging { .. } | State::Unknown { .. } | State::Void { .. }, _) => false,
    }
}

/// What a payment, as `PortOne` tells it, says about an invoice, in the order it must be settled.
///
/// A failure is a fact about the last attempt only if it happened after that attempt began: `PortOne` shows the latest attempt it knows,
/// which may be an earlier one of ours while the last is still on its way.
pub(crate) fn facts_of(seen: &PaymentSeen, invoice: &Invoice) -> Vec<Fact> {
    let attempt = invoice.undecided();
    match &seen.status {
        SeenStatus::Pending => attempt.map(|a| Fact::Pending { attempt: a.number }).into_iter().collect(),
        SeenStatus::Paid { at } => [paid(seen, *at)].into_iter().chain(refund_facts(seen, invoice)).collect(),
        SeenStatus::Cancelled { paid_at, at } => {
            let given_back = Fact::Refunded {
                total: Charged { minor: seen.refunded, currency: seen.amount.currency.clone() },
                at: *at,
                chargeback: seen.chargeback,
            };
            // Our own refunds first: what they gave back is settled with their end.
            let ours = refund_facts(seen, invoice);
            [paid(seen, *paid_at)].into_iter().chain(ours).chain([given_back]).collect()
        }
        SeenStatus::Failed { at, decline } => attempt
            .filter(|a| is_of(a, invoice, seen, *at) || !Guard::FailureOfThisAttempt.stands())
            .map(|a| Fact::Declined { attempt: a.number, decline: decline.clone() })
            .into_iter()
            .collect(),
        // Not attempted yet; or a status that is not known here, which decides nothing: the attempt stays undecided.
        SeenStatus::Ready | SeenStatus::Other(_) => Vec::new(),
    }
}

/// What a webhook itself says: never settled, but under an attack on [`Guard::ReadAgain`].
fn taken_at_its_word(what: PaymentHint, at: Timestamp, invoice: &Invoice) -> Vec<Fact> {
    match what {
        PaymentHint::Paid => vec![Fact::Paid { at, amount: None, proof: Proof::default() }],
        PaymentHint::Failed => invoice
            .undecided()
            .map(|a| Fact::Declined {
                attempt: a.number,
                decline: Decline { reason: Reason::Unknown, code: String::new() },
            })
            .into_iter()
            .collect(),
        PaymentHint::Pending | PaymentHint::Cancelled | PaymentHint::Dispute | PaymentHint::Other => Vec::new(),
    }
}

/// How far `PortOne`'s clock and ours may differ. Lambda's are kept within a second; this leaves room for one that is not.
pub(crate) const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Whether a failure is the last attempt's, and not the one's before: it is of the method that was charged, and it happened after that attempt
/// began, or so little before that clocks may differ by it; and nearer to its beginning than to the end of the one before.
///
/// A new method is tried at once, when no clock can tell two attempts apart; two with one method lie
/// [`APART`](billing_core::invoice::APART).
fn is_of(attempt: &Attempt, invoice: &Invoice, seen: &PaymentSeen, failed_at: Timestamp) -> bool {
    if seen.billing_key.as_ref().is_some_and(|key| *key != attempt.method.billing_key) {
        return false;
    }
    let before = invoice.attempts.iter().rev().nth(1).and_then(|before| before.ended_at);
    let half = before.map_or(CLOCK_SKEW, |ended| attempt.started_at.duration_since(ended) / 2);
    attempt.started_at.duration_since(failed_at) < half.min(CLOCK_SKEW)
}

fn paid(seen: &PaymentSeen, at: Timestamp) -> Fact {
    Fact::Paid { at, amount: Some(seen.amount.clone()), proof: seen.proof.clone() }
}
