//! Change: another plan, or more or fewer seats.
//!
//! What a wish comes to is decided by the rules ([`billing_core::change`]). One that costs nothing is written down, and that is all. An
//! upgrade is charged as a period is: one transaction writes the subscription with the upgrade under way *and* the claimed invoice; then
//! `PortOne`; then one transaction settles both. The plan changes with that settlement and not before.
//!
//! | crash | left behind | repaired by |
//! | --- | --- | --- |
//! | before the intent | nothing | the customer asks again |
//! | after it | the upgrade under way, its invoice `charging`; the subscription is due | the same wish again, or any pass: asking |
//! | after the settlement | the truth | nothing to repair |

use crate::collect::{Demand, is_paid};
use crate::enrol::event_of;
use crate::ports::{Changes, Clock, CommitError, Expect, Gateway, Signal, Store, SubscriptionChange, Telemetry};
use crate::settle::{Books, MAX_ROUNDS};
use crate::{Billing, FlowError};
use billing_core::calendar::{self, Period};
use billing_core::change::{Change, ChangeRefusal, MAX_UPGRADES, Upgrade};
use billing_core::event::{Cause, EventKind};
use billing_core::guard::Guard;
use billing_core::invoice::{Invoice, Part};
use billing_core::plan::{PlanError, PlanType, Terms};
use billing_core::subscription::{Subscription, SubscriptionKey};

/// What a wish comes to, or came to.
#[expect(clippy::large_enum_variant, reason = "one is made per request, and never many at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// There is no such subscription.
    Missing,
    /// It is not sold.
    NotSold(PlanError),
    /// It cannot be changed now.
    Refused(ChangeRefusal),
    /// Banks are down: nothing is charged.
    BanksDown,
    /// It costs nothing now.
    Free(Change),
    /// An upgrade that would be charged.
    Quoted(Upgrade),
    /// An upgrade that was charged: its invoice's state says how that went.
    Charged(Box<Invoice>, Box<Subscription>),
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// What a change would come to, without making it.
    pub async fn quote_change(&self, key: &SubscriptionKey, plan: PlanType, seats: u32) -> Result<Changed, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(Changed::Missing) };
        let wish = match self.settings.catalogue.terms(plan, seats, subscription.monthly.currency()) {
            Ok(wish) => wish,
            Err(error) => return Ok(Changed::NotSold(error)),
        };
        Ok(match self.decide(&subscription, wish).await? {
            Ok(Change::Upgrade(upgrade, _)) => Changed::Quoted(upgrade),
            Ok(free) => Changed::Free(free),
            Err(ChangeRefusal::UpgradeUnderWay(upgrade)) if upgrade.terms == wish => Changed::Quoted(upgrade),
            Err(refusal) => Changed::Refused(refusal),
        })
    }

    /// Changes a subscription. The same wish again finds it fulfilled, or under way; under the same cause also when its charge was declined.
    pub async fn change(
        &self,
        key: &SubscriptionKey,
        plan: PlanType,
        seats: u32,
        cause: &Cause,
    ) -> Result<Changed, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Changed::Missing) };
            let wish = match self.settings.catalogue.terms(plan, seats, subscription.monthly.currency()) {
                Ok(wish) => wish,
                Err(error) => return Ok(Changed::NotSold(error)),
            };
            if let Some(earlier) = self.upgrade_by(&subscription, cause).await? {
                return self.charged(key, earlier, cause).await;
            }
            let written = match self.decide(&subscription, wish).await? {
                Ok(Change::Unchanged) => return Ok(Changed::Free(Change::Unchanged)),
                Ok(Change::AtOnce(next)) => {
                    let kind = EventKind::SubscriptionChanged;
                    let written = self.write_subscription(&subscription, next.clone(), kind, cause).await?;
                    written.then_some(Changed::Free(Change::AtOnce(next)))
                }
                Ok(Change::Later(from, next)) => {
                    let kind = EventKind::ChangeScheduled;
                    let written = self.write_subscription(&subscription, next.clone(), kind, cause).await?;
                    written.then_some(Changed::Free(Change::Later(from, next)))
                }
                Ok(Change::Upgrade(upgrade, next)) => self.upgrade(&subscription, &upgrade, next, cause).await?,
                Err(ChangeRefusal::UpgradeUnderWay(upgrade)) if upgrade.terms == wish => {
                    let part = Part::Upgrade(upgrade.number);
                    match self.invoice_of(key, upgrade.covers, part).await? {
                        Some(invoice) => Some(self.charged(key, invoice, cause).await?),
                        None => Some(Changed::Refused(ChangeRefusal::UpgradeUnderWay(upgrade))),
                    }
                }
                Err(refusal) => Some(Changed::Refused(refusal)),
            };
            if let Some(changed) = written {
                return Ok(changed);
            }
        }
        Err(FlowError::Contended)
    }

    async fn decide(
        &self,
        subscription: &Subscription,
        wish: Terms,
    ) -> Result<Result<Change, ChangeRefusal>, FlowError> {
        let is_billed = match subscription.period_before() {
            Some(period) => {
                let invoice = self.invoice_of(&subscription.key, period, Part::Period).await?;
                invoice.is_some_and(|invoice| is_paid(&invoice))
            }
            None => false,
        };
        Ok(subscription.change(wish, is_billed, self.clock.now()))
    }

    /// `None` if a row had changed since it was read.
    async fn upgrade(
        &self,
        subscription: &Subscription,
        upgrade: &Upgrade,
        next: Subscription,
        cause: &Cause,
    ) -> Result<Option<Changed>, FlowError> {
        let now = self.clock.now();
        if calendar::banks_are_down(now) {
            return Ok(Some(Changed::BanksDown));
        }
        let Some(method) = &subscription.method else {
            return Ok(Some(Changed::Refused(ChangeRefusal::NoMethod)));
        };
        let settings = &self.settings;
        let opened = Invoice::open_upgrade(subscription, upgrade, &settings.store_id, &settings.catalogue, now);
        let Some(claimed) = opened.claimed(method, cause.to_string(), now) else { return Ok(None) };
        let kind = EventKind::UpgradeBegun;
        let intent = Changes {
            invoices: vec![(Expect::Absent, claimed.clone())],
            events: vec![event_of(&next, Some(subscription), kind, now, cause, None)],
            subscription: Some(SubscriptionChange::Write { expected: subscription.version, next: next.clone() })
                .filter(|_| Guard::UpgradeIntent.stands()),
            ..Changes::default()
        };
        match self.store.commit(&intent).await {
            Ok(()) => self.telemetry.signal(Signal::Event(kind)),
            Err(CommitError::Conflict(_)) => return Ok(None),
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        let key = claimed.subscription.clone();
        let id = claimed.payment_id.clone();
        Box::pin(self.charge_first(Books { invoice: claimed, subscription: Some(next) }, cause)).await?;
        let invoice = self.store.invoice(&id).await?.ok_or(FlowError::Vanished)?;
        Ok(Some(self.told(&key, invoice).await?))
    }

    /// How an upgrade went that was begun before; one whose end is not known is asked about.
    async fn charged(&self, key: &SubscriptionKey, invoice: Invoice, cause: &Cause) -> Result<Changed, FlowError> {
        if invoice.undecided().is_none() {
            return self.told(key, invoice).await;
        }
        Box::pin(self.collect_due(key, None, self.clock.now(), cause, Demand::Of(invoice.period))).await?;
        let invoice = self.store.invoice(&invoice.payment_id).await?.ok_or(FlowError::Vanished)?;
        self.told(key, invoice).await
    }

    async fn told(&self, key: &SubscriptionKey, invoice: Invoice) -> Result<Changed, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(Changed::Missing) };
        Ok(Changed::Charged(Box::new(invoice), Box::new(subscription)))
    }

    /// The upgrade that this very cause began: in the last period that was paid, or in the month before, for a call may be repeated after a bill.
    async fn upgrade_by(&self, subscription: &Subscription, cause: &Cause) -> Result<Option<Invoice>, FlowError> {
        let cause = cause.to_string();
        let paid = subscription.period_before();
        let before = paid.and_then(|paid| paid.start().first_of_month().yesterday().ok());
        for period in [paid, before.map(Period::starting)].into_iter().flatten() {
            for number in 1..=MAX_UPGRADES {
                let part = Part::Upgrade(number);
                // They are numbered without a gap.
                let Some(invoice) = self.invoice_of(&subscription.key, period, part).await? else { break };
                let is_by = invoice.attempts.iter().any(|attempt| attempt.cause == cause);
                if is_by && Guard::ChangeOnce.stands() {
                    return Ok(Some(invoice));
                }
            }
        }
        Ok(None)
    }
}
