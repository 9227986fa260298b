//! Cancel: end a subscription at its customer's wish.
//!
//! The wish is written down first: from then on nothing is charged, for every intent checks the subscription's version. Then the period is
//! ended as any other that its customer does not want: a charge that was under way is cleared up before, and never sent again.

use crate::collect::Collected;
use crate::enrol::event_of;
use crate::ports::{Changes, Clock, CommitError, Gateway, Signal, Store, SubscriptionChange, Telemetry};
use crate::settle::MAX_ROUNDS;
use crate::{Billing, FlowError};

use billing_core::event::{Cause, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::{Part, State};
use billing_core::money::Money;
use billing_core::subscription::{Subscription, SubscriptionKey};

/// When a subscription is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as no charge for it is under way.
    Now,
    /// With the period that is paid.
    PeriodEnd,
}

/// What became of the wish. It may be repeated: what was done stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceled {
    /// The subscription has ended, now or before.
    Ended,
    /// It ends with the period that is paid.
    AtPeriodEnd,
    /// A charge is under way. It ends as soon as that is decided: at once if nothing was paid, else with the period that was.
    WhenDecided,
    /// There is no such subscription.
    Missing,
}

/// What became of the wish not to cancel.
#[expect(clippy::large_enum_variant, reason = "one is made per request, and never many at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// The subscription goes on.
    GoesOn(Subscription),
    /// It has ended: too late.
    Ended,
    /// There is no such subscription.
    Missing,
}

/// What is left unused of what was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// How much in all.
    pub amount: Money,
    /// How much of each payment.
    pub of: Vec<(PaymentId, Money)>,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Cancels a subscription.
    pub async fn cancel(&self, key: &SubscriptionKey, when: When, cause: &Cause) -> Result<Canceled, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Canceled::Missing) };
            if subscription.has_ended() {
                return Ok(Canceled::Ended);
            }
            if let Some(next) = subscription.to_end()
                && !self.write_subscription(&subscription, next, EventKind::CancellationRequested, cause).await?
            {
                continue;
            }
            if when == When::PeriodEnd {
                return Ok(Canceled::AtPeriodEnd);
            }
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Canceled::Missing) };
            match self.end_period(&subscription, self.clock.now(), cause).await? {
                Some(Collected::Ended) => return Ok(Canceled::Ended),
                // Asked, PortOne says that it has not decided: asking once more would hear the same.
                Some(Collected::Settled("pending") | Collected::Skipped(_)) => return Ok(Canceled::WhenDecided),
                Some(Collected::Settled(_)) | None => {}
            }
        }
        Err(FlowError::Contended)
    }

    /// Takes the wish to cancel back: the subscription goes on, at the price it had.
    pub async fn resume(&self, key: &SubscriptionKey, cause: &Cause) -> Result<Resumed, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Resumed::Missing) };
            if subscription.has_ended() {
                return Ok(Resumed::Ended);
            }
            let Some(next) = subscription.resumed() else { return Ok(Resumed::GoesOn(subscription)) };
            if self.write_subscription(&subscription, next.clone(), EventKind::CancellationWithdrawn, cause).await? {
                return Ok(Resumed::GoesOn(next));
            }
        }
        Err(FlowError::Contended)
    }

    /// What a cancellation now leaves unused of the paid period, and the payments it can be given back of: the newest first, for it is the
    /// smallest.
    pub async fn unused(&self, subscription: &Subscription) -> Result<Unused, FlowError> {
        let mut left = subscription.unused(self.clock.now())?;
        let mut unused = Unused { amount: Money::zero(left.currency()), of: Vec::new() };
        let Some(paid) = subscription.period_before() else { return Ok(unused) };
        let upgrades = subscription.wishes.billed.filter(|billed| billed.period == paid).map_or(0, |it| it.upgrades);
        let parts = (1..=upgrades).rev().map(Part::Upgrade).chain([Part::Period]);
        for part in parts {
            if left.is_zero() {
                break;
            }
            let Some(invoice) = self.invoice_of(&subscription.key, paid, part).await? else { continue };
            let there = match &invoice.state {
                State::Paid { .. } => invoice.amount,
                State::PartiallyRefunded { refunded, .. } => invoice.amount.minus(*refunded)?,
                State::Refunded { .. }
                | State::Open { .. }
                | State::Charging { .. }
                | State::Unknown { .. }
                | State::Pending { .. }
                | State::Failed { .. }
                | State::Uncollectible { .. }
                | State::Void { .. } => continue,
            };
            let some = if there.minor() < left.minor() { there } else { left };
            left = left.minus(some)?;
            unused.amount = unused.amount.plus(some)?;
            if !some.is_zero() {
                unused.of.push((invoice.payment_id, some));
            }
        }
        Ok(unused)
    }

    /// Writes the next version of a subscription with the event of it; `false` if it had changed since it was read.
    pub(crate) async fn write_subscription(
        &self,
        before: &Subscription,
        next: Subscription,
        kind: EventKind,
        cause: &Cause,
    ) -> Result<bool, FlowError> {
        let event = event_of(&next, Some(before), kind, self.clock.now(), cause, None);
        let changes = Changes {
            subscription: Some(SubscriptionChange::Write { expected: before.version, next }),
            events: vec![event],
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) => {
                self.telemetry.signal(Signal::Event(kind));
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
