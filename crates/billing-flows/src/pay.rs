//! Pay: charge now what a subscription owes, because its customer wants it.
//!
//! It is collected as a worker collects it, only sooner: what waits for its next retry is tried at once, and counts as that retry. What
//! cannot succeed (a method that was declined for good) is not tried.

use crate::collect::{ASK_AFTER, Collected, Demand, Skip};
use crate::ports::{Clock, CollectMessage, Gateway, Queue, Store, Telemetry};
use crate::{Billing, FlowError};
use billing_core::event::Cause;
use billing_core::guard::Guard;
use billing_core::invoice::{Attempt, Invoice, Outcome, Part};
use billing_core::money::Money;
use billing_core::subscription::{NextCharge, State, Subscription, SubscriptionKey};

/// What came of the wish to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paying {
    /// There is no such subscription.
    Missing,
    /// Nothing is owed: it was paid, or falls due later.
    NothingOwed {
        /// The invoice of the period that is paid, if there is one.
        paid: Option<Box<Invoice>>,
        /// The next charge, if one is to come.
        next: Option<NextCharge>,
    },
    /// The subscription has ended.
    Ended,
    /// A person must look at it first.
    Parked,
    /// Another sum is owed than the caller said.
    Differs {
        /// What is owed.
        owed: Money,
    },
    /// Banks are down: nothing is charged.
    BanksDown,
    /// This is how it went, or stands.
    Tried(Box<Tried>),
}

/// An attempt and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The invoice.
    pub invoice: Invoice,
    /// The number of the attempt that was asked for; nothing if none was made.
    pub attempt: Option<u32>,
}

impl Tried {
    /// The attempt that was asked for, or else the last.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self.attempt {
            Some(number) => self.invoice.attempts.iter().find(|attempt| attempt.number == number),
            None => self.invoice.attempts.last(),
        }
    }

    /// How it ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.attempt().and_then(|attempt| attempt.outcome.as_ref())
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Charges what is owed now. `expected` is what the caller takes that to be.
    ///
    /// With a `cause` that made an attempt before (a caller's idempotency key), that attempt is told of, and no other is made.
    pub async fn pay<Q: Queue>(
        &self,
        queue: &Q,
        key: &SubscriptionKey,
        expected: Option<Money>,
        cause: &Cause,
    ) -> Result<Paying, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(Paying::Missing) };
        if let Some(tried) = self.tried_by(&subscription, cause).await? {
            return self.tell_again(key, tried, expected, cause).await;
        }
        let period = match &subscription.state {
            State::Canceled { .. } | State::Expired { .. } => return Ok(Paying::Ended),
            State::Parked { .. } => return Ok(Paying::Parked),
            State::PastDue { period, .. } => *period,
            State::Active { next: Some(period) } if self.is_due(&subscription) => *period,
            State::Active { .. } => return self.nothing_owed(&subscription).await,
        };
        if subscription.cancel_at_period_end {
            return self.nothing_owed(&subscription).await;
        }
        let known = self.invoice_of(key, period, Part::Period).await?;
        let owed = match &known {
            Some(invoice) => invoice.amount,
            None => subscription.amount_for(period)?,
        };
        if expected.is_some_and(|expected| expected != owed) {
            return Ok(Paying::Differs { owed });
        }
        match Box::pin(self.collect_due(key, None, self.clock.now(), cause, Demand::Now(period))).await? {
            Collected::Skipped(Skip::BanksDown) => return Ok(Paying::BanksDown),
            Collected::Settled(_) | Collected::Ended | Collected::Skipped(_) => {}
        }
        let Some(invoice) = self.invoice_of(key, period, Part::Period).await? else {
            // It was changed or ended by someone else meanwhile.
            return self.nothing_owed(&subscription).await;
        };
        let attempt = number_by(&invoice, cause);
        if invoice.undecided().is_some() {
            self.ask_later(queue, key, cause).await?;
        }
        Ok(Paying::Tried(Box::new(Tried { invoice, attempt })))
    }

    /// Has a worker ask, in a few minutes, how an attempt ended that is not decided now.
    pub async fn ask_later<Q: Queue>(&self, queue: &Q, key: &SubscriptionKey, cause: &Cause) -> Result<(), FlowError> {
        let message = CollectMessage {
            run: cause.to_string(),
            now: self.clock.now(),
            user_id: key.user_id.clone(),
            subscription_id: key.id.clone(),
            asks: 1,
        };
        let [wait, ..] = ASK_AFTER;
        Ok(queue.send_collect_later(&message, wait).await?)
    }

    /// The invoice of whatever a subscription owes, an upgrade under way included: what is told of a charge that takes too long to be waited for.
    pub async fn invoice_owed(&self, key: &SubscriptionKey) -> Result<Option<Invoice>, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(None) };
        match subscription.owed() {
            Some((period, part)) => self.invoice_of(key, period, part).await,
            None => Ok(None),
        }
    }

    fn is_due(&self, subscription: &Subscription) -> bool {
        subscription.next_bill_at().is_some_and(|at| at <= self.clock.now())
    }

    async fn nothing_owed(&self, subscription: &Subscription) -> Result<Paying, FlowError> {
        let paid = match subscription.period_before() {
            Some(period) => self.invoice_of(&subscription.key, period, Part::Period).await?.map(Box::new),
            None => None,
        };
        let next = subscription.next_charge()?;
        Ok(Paying::NothingOwed { paid, next })
    }

    /// The attempt that this very cause made: of what is owed, or of the period before.
    async fn tried_by(&self, subscription: &Subscription, cause: &Cause) -> Result<Option<Tried>, FlowError> {
        if subscription.has_ended() {
            // Its last attempt may have ended it.
            let page = self.store.invoices_of(&subscription.key.user_id, None).await?;
            let own = page.items.into_iter().filter(|invoice| invoice.subscription == subscription.key);
            return Ok(own.into_iter().find_map(|invoice| tried(invoice, cause)));
        }
        for period in [subscription.period(), subscription.period_before()].into_iter().flatten() {
            let invoice = self.invoice_of(&subscription.key, period, Part::Period).await?;
            if let Some(tried) = invoice.and_then(|invoice| tried(invoice, cause)) {
                return Ok(Some(tried));
            }
        }
        Ok(None)
    }

    async fn tell_again(
        &self,
        key: &SubscriptionKey,
        tried: Tried,
        expected: Option<Money>,
        cause: &Cause,
    ) -> Result<Paying, FlowError> {
        let owed = tried.invoice.amount;
        if expected.is_some_and(|expected| expected != owed) {
            return Ok(Paying::Differs { owed });
        }
        let is_undecided = tried.invoice.undecided().is_some_and(|last| Some(last.number) == tried.attempt);
        if !is_undecided {
            return Ok(Paying::Tried(Box::new(tried)));
        }
        Box::pin(self.collect_due(key, None, self.clock.now(), cause, Demand::Of(tried.invoice.period))).await?;
        let read = self.store.invoice(&tried.invoice.payment_id).await?.ok_or(FlowError::Vanished)?;
        Ok(Paying::Tried(Box::new(Tried { invoice: read, attempt: tried.attempt })))
    }
}

fn tried(invoice: Invoice, cause: &Cause) -> Option<Tried> {
    let attempt = Some(number_by(&invoice, cause)?);
    Some(Tried { invoice, attempt })
}

/// The attempt that this very cause made.
pub(crate) fn number_by(invoice: &Invoice, cause: &Cause) -> Option<u32> {
    let cause = cause.to_string();
    let made = |attempt: &&Attempt| attempt.cause == cause && Guard::PayOnce.stands();
    invoice.attempts.iter().rev().find(made).map(|attempt| attempt.number)
}
