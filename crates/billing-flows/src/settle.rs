//! Settle: write a fact down.
//!
//! One transaction of invoice, subscription and event, on the versions that were read. Whoever loses a race reads again and decides again;
//! the decision itself ([`billing_core::settlement`]) makes a fact that is known already a matter of nothing.

use crate::ports::{
    Changes, Clock, CommitError, Expect, Gateway, Signal, Store, StoreError, SubscriptionChange, Telemetry,
};
use crate::{Billing, FlowError};
use billing_core::event::Cause;
use billing_core::invoice::Invoice;
use billing_core::settlement::{self, Context, Fact, Settled};
use billing_core::subscription::Subscription;

/// How often a settlement reads again after losing a race. Each loss means that another writer won, and a fact has only a handful of
/// bearers: the worker, a webhook, a reconciler, a customer.
pub const MAX_ROUNDS: usize = 6;

/// An invoice and the subscription it belongs to, as they were read. The subscription may be gone.
#[derive(Debug, Clone)]
pub struct Books {
    /// The invoice.
    pub invoice: Invoice,
    /// Its subscription.
    pub subscription: Option<Subscription>,
}

/// What a settlement came to.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The fact was news, and is written down.
    Written(Books),
    /// The books said so already, or knew better.
    Known(Books),
}

impl Settlement {
    /// The books after it.
    pub fn into_books(self) -> Books {
        match self {
            Self::Written(books) | Self::Known(books) => books,
        }
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Writes `fact` down, starting from `books` as they were read before the fact was learned. How an attempt ended is counted here, whoever
    /// learns it: the worker, a webhook or the reconciler.
    pub async fn settle(&self, books: Books, fact: &Fact, cause: &Cause) -> Result<Settlement, FlowError> {
        let settlement = self
            .write_decision(books, cause, |books, cx| {
                settlement::settle(&books.invoice, books.subscription.as_ref(), fact, cx)
            })
            .await?;
        if let (Settlement::Written(Books { invoice, .. }), Some(outcome)) = (&settlement, outcome(fact))
            && invoice.quarantine.is_none()
        {
            self.telemetry.signal(Signal::Charge { cause: cause.to_string(), outcome, amount: invoice.amount });
        }
        Ok(settlement)
    }

    /// Writes what `decide` makes of the books, deciding again on fresh books whenever someone else was first. `None` writes nothing.
    pub(crate) async fn write_decision(
        &self,
        mut books: Books,
        cause: &Cause,
        decide: impl Fn(&Books, &Context<'_>) -> Option<Settled>,
    ) -> Result<Settlement, FlowError> {
        let mut last_failure: Option<StoreError> = None;
        for _ in 0..MAX_ROUNDS {
            let cx = Context { now: self.clock.now(), cause, ladder: &self.settings.ladder };
            let Some(settled) = decide(&books, &cx) else { return Ok(Settlement::Known(books)) };
            match self.store.commit(&changes(&books, &settled)).await {
                Ok(()) => {
                    if let Some(event) = &settled.event {
                        self.telemetry.signal(Signal::Event(event.kind));
                    }
                    let subscription = settled.subscription.or(books.subscription);
                    return Ok(Settlement::Written(Books { invoice: settled.invoice, subscription }));
                }
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) if error.retryable => last_failure = Some(error),
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
            books = self.read_books(&books.invoice).await?;
        }
        Err(last_failure.map_or(FlowError::Contended, FlowError::Store))
    }

    /// Reads the books of an invoice again.
    pub(crate) async fn read_books(&self, invoice: &Invoice) -> Result<Books, FlowError> {
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let invoice = self.store.invoice(&invoice.payment_id).await?.ok_or(FlowError::Vanished)?;
        Ok(Books { invoice, subscription })
    }
}

fn outcome(fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::Paid { .. } => Some("paid"),
        Fact::Declined { .. } => Some("declined"),
        Fact::Pending { .. } => Some("pending"),
        Fact::Unknown { .. } => Some("unknown"),
        Fact::Refused { .. } => Some("refused"),
        Fact::Lost { .. } | Fact::Refunded { .. } | Fact::Refund { .. } | Fact::Contradiction(_) => None,
    }
}

fn changes(before: &Books, settled: &Settled) -> Changes {
    let subscription = match (&settled.subscription, &before.subscription) {
        (Some(next), Some(read)) => Some(SubscriptionChange::Write { expected: read.version, next: next.clone() }),
        // The decision was made on this version of the subscription: a write that only concerns the invoice still depends on it.
        (None, Some(read)) => Some(SubscriptionChange::Check { key: read.key.clone(), version: read.version }),
        (_, None) => None,
    };
    Changes {
        invoices: vec![(Expect::Version(before.invoice.version), settled.invoice.clone())],
        subscription,
        events: settled.event.iter().cloned().collect(),
        ..Changes::default()
    }
}
