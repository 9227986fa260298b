//! Refund: give money of a paid invoice back.
//!
//! Load → begin (durable, on the version that was read) → `PortOne` → settle. Between begin and settle the refund is *undecided*: it is asked
//! about before anything else is done, and no other is begun. It is known again among the payment's cancellations by the mark in its reason.
//!
//! | crash | left behind | repaired by |
//! | --- | --- | --- |
//! | before the intent | nothing | the caller, who repeats |
//! | after the intent | an undecided refund | asking; the caller's repetition sends it again under the same idempotency key; it is lost after 190 minutes |
//! | after the call | the same | asking: by the caller's repetition, `PortOne`'s webhook, the nightly comparison |
//! | after the settlement | the truth | nothing to repair; the same key gets the same answer |

use crate::collect::Resend;
use crate::ports::{
    CancelAnswer, CancelOrder, CancellationSeen, CancellationStatus, Changes, Clock, CommitError, Expect, Gateway,
    PaymentSeen, SeenStatus, Store, Telemetry,
};
use crate::receive_webhook::{CLOCK_SKEW, facts_of};
use crate::settle::{Books, MAX_ROUNDS};
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::event::Cause;
use billing_core::guard::Guard;
use billing_core::id::PaymentId;
use billing_core::invoice::Invoice;
use billing_core::money::Money;
use billing_core::refund::{Refund, RefundOutcome, RefundRefusal, RefundWish};
use billing_core::settlement::{Charged, Fact};

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// The money is given back.
    Succeeded {
        /// How much.
        refunded: Money,
        /// What was left after it.
        left: Money,
    },
    /// `PortOne` took it and decides later. Repeating the wish with its key asks again.
    Requested,
    /// The PG did not give it back.
    Failed {
        /// Its code.
        code: String,
    },
    /// `PortOne` refused it; `CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN`: somebody else gave money back meanwhile.
    Refused {
        /// `PortOne`'s error type.
        code: String,
    },
    /// It never reached `PortOne`.
    Lost,
    /// Nobody knows yet. Repeating the wish with its key asks again; another wish is not begun before it is known.
    Unknown,
    /// Nothing was begun.
    No(RefundRefusal),
    /// There is no such invoice.
    NoSuchPayment,
    /// The key was given before, with another wish for the same payment.
    KeyReused,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Gives money back, in part or in whole. The subscription stays as it is. Safe to run twice, and two at once: with a key, whoever repeats
    /// a wish gets its answer; without one, a repetition is another wish.
    pub async fn refund(
        &self,
        payment_id: &PaymentId,
        wish: &RefundWish,
        cause: &Cause,
    ) -> Result<RefundAnswer, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(invoice) = self.store.invoice(payment_id).await? else { return Ok(RefundAnswer::NoSuchPayment) };
            if let Some(known) = wish.key.as_ref().and_then(|key| invoice.refund_of(key)) {
                if !known.is_of(wish) {
                    return Ok(RefundAnswer::KeyReused);
                }
                let number = known.number;
                let invoice = if known.is_open() {
                    self.ask_of_refund(invoice, number, cause, Resend::IfAllowed).await?
                } else {
                    invoice
                };
                return Ok(answer(&invoice, number));
            }
            let other =
                invoice.refund_under_way().filter(|_| invoice.quarantine.is_none() && Guard::OneRefund.stands());
            let invoice = match other.map(|other| other.number) {
                Some(number) => self.ask_of_refund(invoice, number, cause, Resend::No).await?,
                None => invoice,
            };
            let begun = match invoice.refunding(wish, cause, self.clock.now()) {
                Ok(begun) => begun,
                Err(refusal) => return Ok(RefundAnswer::No(refusal)),
            };
            let intent =
                Changes { invoices: vec![(Expect::Version(invoice.version), begun.clone())], ..Changes::default() };
            match self.store.commit(&intent).await {
                Ok(()) => {}
                Err(CommitError::Conflict(_)) => continue,
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
            let number = begun.refunds.last().map_or(0, |refund| refund.number);
            let invoice = self.send_refund(begun, number, cause, Sending::First).await?;
            return Ok(answer(&invoice, number));
        }
        Err(FlowError::Contended)
    }

    /// [`Billing::clear_up_refund`] for a caller: without an answer of `PortOne` the refund is as undecided as before.
    async fn ask_of_refund(
        &self,
        invoice: Invoice,
        number: u32,
        cause: &Cause,
        resend: Resend,
    ) -> Result<Invoice, FlowError> {
        match self.clear_up_refund(invoice.clone(), number, cause, resend).await {
            Err(FlowError::Unavailable(_)) => Ok(invoice),
            cleared => cleared,
        }
    }

    /// Asks about a refund that is not decided, and settles what is learned. One without a trace is lost where that is proved; before, it may
    /// be sent again under its idempotency key.
    pub(crate) async fn clear_up_refund(
        &self,
        invoice: Invoice,
        number: u32,
        cause: &Cause,
        resend: Resend,
    ) -> Result<Invoice, FlowError> {
        let seen = self.gateway.payment(&invoice.payment_id).await?;
        // That PortOne does not know what our books call paid, or knows it in a way that nobody here understands, proves nothing.
        let Some(seen) = seen.filter(|seen| !matches!(seen.status, SeenStatus::Other(_))) else { return Ok(invoice) };
        let invoice = self.settle_seen(invoice, &seen, cause).await?;
        let Some(refund) = invoice.refund(number) else { return Ok(invoice) };
        if invoice.quarantine.is_some() || trace(refund, &seen).is_some() {
            return Ok(invoice);
        }
        let now = self.clock.now();
        if refund.is_lost_without_trace(now) {
            return self.end_refund(invoice, number, RefundOutcome::Lost, now, None, cause).await;
        }
        if resend == Resend::IfAllowed && refund.may_be_sent_again(now) {
            return self.send_refund(invoice, number, cause, Sending::Again).await;
        }
        Ok(invoice)
    }

    /// Asks `PortOne` to give the money back, and settles what it answers.
    async fn send_refund(
        &self,
        invoice: Invoice,
        number: u32,
        cause: &Cause,
        sending: Sending,
    ) -> Result<Invoice, FlowError> {
        let Some(refund) = invoice.refund(number).cloned() else { return Ok(invoice) };
        let order = CancelOrder {
            payment_id: &invoice.payment_id,
            refund: number,
            amount: refund.amount,
            cancellable: refund.cancellable_before,
            reason: &refund.marked_reason(),
        };
        let (outcome, at) = match self.gateway.cancel(&order).await {
            CancelAnswer::Succeeded { at } => {
                // It was made on the balance that was stated, so this is all that was given back by then.
                let total = Charged::from(invoice.amount.minus(refund.left())?);
                return self.end_refund(invoice, number, RefundOutcome::Succeeded, at, Some(total), cause).await;
            }
            CancelAnswer::Requested => (RefundOutcome::Requested, self.clock.now()),
            CancelAnswer::Failed { code } => (RefundOutcome::Failed { code }, self.clock.now()),
            // The refusal of a re-send proves nothing about the first copy. Asking will tell.
            CancelAnswer::Refused { .. } if sending == Sending::Again => return Ok(invoice),
            CancelAnswer::Refused { code } => {
                let ended = self
                    .end_refund(invoice, number, RefundOutcome::Refused { code }, self.clock.now(), None, cause)
                    .await?;
                return self.catch_up(ended, cause).await;
            }
            // Not looked at: it stays undecided, and is sent again once the credentials are mended, or is lost.
            CancelAnswer::Unauthorized { code } => return Err(FlowError::Unauthorized(code)),
            CancelAnswer::Unknown(why) if Guard::UnknownRefund.stands() => {
                tracing::warn!(payment = %invoice.payment_id, number, why, "nobody knows how a refund ended; it is asked about");
                return Ok(invoice);
            }
            CancelAnswer::Unknown(_) => (RefundOutcome::Failed { code: "UNKNOWN".to_owned() }, self.clock.now()),
        };
        self.end_refund(invoice, number, outcome, at, None, cause).await
    }

    async fn end_refund(
        &self,
        invoice: Invoice,
        number: u32,
        outcome: RefundOutcome,
        at: Timestamp,
        total: Option<Charged>,
        cause: &Cause,
    ) -> Result<Invoice, FlowError> {
        let fact = Fact::Refund { number, outcome, total, at, chargeback: false };
        let subscription = self.store.subscription(&invoice.subscription).await?;
        Ok(self.settle(Books { invoice, subscription }, &fact, cause).await?.into_books().invoice)
    }

    /// `PortOne` refused a refund: most likely our books are behind it. So they learn what it knows, before the caller tries again.
    async fn catch_up(&self, invoice: Invoice, cause: &Cause) -> Result<Invoice, FlowError> {
        match self.gateway.payment(&invoice.payment_id).await {
            Ok(Some(seen)) => self.settle_seen(invoice, &seen, cause).await,
            // The refusal is written down; the nightly comparison finds out why.
            Ok(None) | Err(_) => Ok(invoice),
        }
    }

    async fn settle_seen(&self, invoice: Invoice, seen: &PaymentSeen, cause: &Cause) -> Result<Invoice, FlowError> {
        let facts = facts_of(seen, &invoice);
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let mut books = Books { invoice, subscription };
        for fact in &facts {
            books = self.settle(books, fact, cause).await?.into_books();
        }
        Ok(books.invoice)
    }
}

/// Whether an order is sent for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    First,
    Again,
}

/// The answer to a wish whose refund is in the books.
fn answer(invoice: &Invoice, number: u32) -> RefundAnswer {
    let Some(refund) = invoice.refund(number) else { return RefundAnswer::Unknown };
    match &refund.outcome {
        Some(RefundOutcome::Succeeded) => RefundAnswer::Succeeded { refunded: refund.amount, left: refund.left() },
        Some(RefundOutcome::Failed { code }) => RefundAnswer::Failed { code: code.clone() },
        Some(RefundOutcome::Refused { code }) => RefundAnswer::Refused { code: code.clone() },
        Some(RefundOutcome::Lost) => RefundAnswer::Lost,
        // Nothing is written about an invoice that waits for a person.
        Some(RefundOutcome::Requested) | None if invoice.quarantine.is_some() => {
            RefundAnswer::No(RefundRefusal::Parked)
        }
        Some(RefundOutcome::Requested) => RefundAnswer::Requested,
        None => RefundAnswer::Unknown,
    }
}

/// What a payment, as `PortOne` tells it, says about our refunds.
pub(crate) fn refund_facts(seen: &PaymentSeen, invoice: &Invoice) -> Vec<Fact> {
    let end = |refund: &Refund| {
        let cancellation = trace(refund, seen)?;
        let outcome = match cancellation.status {
            CancellationStatus::Succeeded { .. } => RefundOutcome::Succeeded,
            CancellationStatus::Requested => RefundOutcome::Requested,
            CancellationStatus::Failed => RefundOutcome::Failed { code: "FAILED".to_owned() },
            CancellationStatus::Other => return None,
        };
        let (total, at) = match cancellation.status {
            CancellationStatus::Succeeded { at } => {
                (Some(Charged { minor: seen.refunded, currency: seen.amount.currency.clone() }), at)
            }
            CancellationStatus::Requested | CancellationStatus::Failed | CancellationStatus::Other => {
                (None, refund.started_at)
            }
        };
        Some(Fact::Refund { number: refund.number, outcome, total, at, chargeback: seen.chargeback })
    };
    let unsettled = invoice.refunds.iter().filter(|refund| refund.outcome != Some(RefundOutcome::Succeeded));
    unsettled.filter_map(end).collect()
}

/// A refund among the cancellations of a payment: by its mark; or, should `PortOne` not give our reasons back as they were, the one that our
/// API secret alone can have asked for since.
fn trace<'a>(refund: &Refund, seen: &'a PaymentSeen) -> Option<&'a CancellationSeen> {
    let of_ours = || seen.cancellations.iter().filter(|cancellation| cancellation.by_api);
    let marked = of_ours().find(|cancellation| Refund::number_in(&cancellation.reason) == Some(refund.number));
    let began = refund.started_at.checked_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
    let unmarked = || {
        of_ours().find(|cancellation| {
            Refund::number_in(&cancellation.reason).is_none()
                && cancellation.amount == refund.amount.minor()
                && cancellation.asked_at.is_some_and(|at| at >= began)
        })
    };
    marked.or_else(unmarked)
}
