//! Wishes of plan and seats: when they take effect, and what they cost.
//!
//! A change that makes the month dearer is an **upgrade**: it takes effect today, and the days that are left of the paid period, today
//! included, are charged at once. Any other takes effect with the next period, and nothing is given back. What was not billed yet (a trial)
//! takes any change at once, and for nothing.
//!
//! **Proration.** A day costs the month's price divided by the days of its month, in Seoul. The prices of a period's days are added up
//! undivided, as its *weight* (minor units × days), and divided once, rounded down to the minor unit. An upgrade is charged the difference
//! that it makes to that quotient. So whatever is changed within a period, and however often, all that was billed for it is the price of its
//! days, less than one minor unit below it, never above. On the day of a change the new price counts.

use crate::calendar::{self, Period};
use crate::guard::Guard;
use crate::money::{Money, MoneyError};
use crate::plan::Terms;
use crate::subscription::{State, Subscription};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// How many upgrades of one period may be charged, tried ones included: one for each of its days. More is no customer's wish.
pub const MAX_UPGRADES: u32 = 31;

/// Nothing is changed this long before a bill falls due, or once it has: the bill is made by machines whose clocks differ.
pub const BILL_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// An upgrade whose charge is not decided. Its invoice's identity is (subscription, month, number).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upgrade {
    /// From 1, within the period that was paid.
    pub number: u32,
    /// What the subscription becomes when it is paid.
    pub terms: Terms,
    /// The days it is charged for: from the day it was wished to the end of the month.
    pub covers: Period,
    /// What is charged.
    pub amount: Money,
    /// When it was wished.
    pub at: Timestamp,
}

/// What the days of a period weigh that was upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billed {
    /// The period, as it was first billed.
    pub period: Period,
    /// Minor units × days: divided by the days of the month it is all that was billed.
    pub weight: i64,
    /// How many upgrades were begun.
    pub upgrades: u32,
}

/// What has come of the wishes to change a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What it becomes with its next period.
    pub next: Option<Terms>,
    /// The upgrade that is under way.
    pub upgrade: Option<Upgrade>,
    /// What the present period was billed, once it was upgraded.
    pub billed: Option<Billed>,
}

/// What a wish comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is so, or will be.
    Unchanged,
    /// It takes effect at once, for nothing.
    AtOnce(Subscription),
    /// It takes effect when this is paid.
    Upgrade(Upgrade, Subscription),
    /// It takes effect with the next period.
    Later(Period, Subscription),
}

/// Why nothing can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeRefusal {
    /// It is over.
    #[error("the subscription has ended: start a new one")]
    Ended,
    /// It will be over.
    #[error("the subscription is to end: resume it first")]
    Ending,
    /// Something is owed for it.
    #[error("the subscription is past due: pay what is owed first")]
    PastDue,
    /// A person must look at it.
    #[error("the subscription is parked until a person has looked at its invoice")]
    Parked,
    /// It is free, and has no method.
    #[error("a free subscription is changed by enrolling")]
    Free,
    /// A free plan is no plan to change to.
    #[error("a subscription is not changed to the free plan: cancel it")]
    ToFree,
    /// A bill falls due.
    #[error("a bill falls due at {0}: change it after that was paid")]
    BillDue(Timestamp),
    /// Another upgrade is not decided.
    #[error("another upgrade is under way")]
    UpgradeUnderWay(Upgrade),
    /// It cannot be charged.
    #[error("the subscription has no payment method")]
    NoMethod,
    /// The price is in another currency.
    #[error("the subscription is billed in another currency")]
    OtherCurrency,
    /// [`MAX_UPGRADES`].
    #[error("the period was upgraded {MAX_UPGRADES} times: the next change is possible when it is over")]
    TooMany,
    /// The price cannot be represented.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Subscription {
    /// Its terms now.
    pub fn terms(&self) -> Terms {
        Terms { plan: self.plan, seats: self.seats, monthly: self.monthly }
    }

    /// The period before the one that is owed, or is owed next: the one it is used for now, if that was billed. Nothing is before its first.
    pub fn period_before(&self) -> Option<Period> {
        let next = self.period()?;
        let first = Period::first(self.started, self.trial_end);
        let month = Period::starting(next.start().yesterday().ok()?.first_of_month());
        (first < next).then(|| month.max(first))
    }

    /// What `wish` comes to at `now`. `is_billed` says whether the [`Subscription::period_before`] was paid.
    pub fn change(&self, wish: Terms, is_billed: bool, now: Timestamp) -> Result<Change, ChangeRefusal> {
        let next = self.changeable(wish, now)?;
        let terms = self.terms();
        if wish == self.wishes.next.unwrap_or(terms) {
            return Ok(Change::Unchanged);
        }
        let today = Period::starting(calendar::date_at(now));
        let paid = self.period_before().filter(|paid| is_billed && *paid <= today && today.start() < paid.end());
        let Some(paid) = paid else { return Ok(Change::AtOnce(self.with_terms(wish))) };
        if wish == terms || wish.monthly.minor() == terms.monthly.minor() {
            return Ok(Change::AtOnce(self.with_terms(wish)));
        }
        if wish.monthly.minor() < terms.monthly.minor() {
            let wishes = Wishes { next: Some(wish), ..self.wishes };
            return Ok(Change::Later(next, Self { wishes, ..self.moved_on() }));
        }
        let billed = self.billed(paid)?;
        let weight = heavier(&billed, terms, wish, today)?;
        let currency = terms.monthly.currency();
        let amount =
            Money::of_weight(weight, paid, currency)?.minus(Money::of_weight(billed.weight, paid, currency)?)?;
        if amount.is_zero() {
            let wishes = Wishes { billed: Some(Billed { weight, ..billed }), ..Wishes::default() };
            return Ok(Change::AtOnce(Self { wishes, ..self.with_terms(wish) }));
        }
        if self.method.is_none() {
            return Err(ChangeRefusal::NoMethod);
        }
        let number = billed.upgrades.saturating_add(1);
        if number > MAX_UPGRADES {
            return Err(ChangeRefusal::TooMany);
        }
        let upgrade = Upgrade { number, terms: wish, covers: today, amount, at: now };
        let billed = Some(Billed { upgrades: number, ..billed });
        let wishes = Wishes { upgrade: Some(upgrade), billed, ..self.wishes };
        Ok(Change::Upgrade(upgrade, Self { wishes, ..self.moved_on() }))
    }

    /// The next period, if anything may be changed.
    fn changeable(&self, wish: Terms, now: Timestamp) -> Result<Period, ChangeRefusal> {
        let next = match self.state {
            State::Canceled { .. } | State::Expired { .. } => return Err(ChangeRefusal::Ended),
            State::Parked { .. } => return Err(ChangeRefusal::Parked),
            State::PastDue { .. } => return Err(ChangeRefusal::PastDue),
            State::Active { next: None } => return Err(ChangeRefusal::Free),
            State::Active { next: Some(next) } => next,
        };
        // It would be refused below, for an upgrade under way is due; this says why.
        if let Some(upgrade) = self.wishes.upgrade {
            return Err(ChangeRefusal::UpgradeUnderWay(upgrade));
        }
        if self.cancel_at_period_end {
            return Err(ChangeRefusal::Ending);
        }
        if wish.monthly.is_zero() {
            return Err(ChangeRefusal::ToFree);
        }
        if wish.monthly.currency() != self.monthly.currency() {
            return Err(ChangeRefusal::OtherCurrency);
        }
        match self.due_at() {
            Some(due) if due <= now.checked_add(BILL_MARGIN).unwrap_or(Timestamp::MAX) && Guard::BillFirst.stands() => {
                Err(ChangeRefusal::BillDue(due))
            }
            _ => Ok(next),
        }
    }

    /// After an upgrade was paid. Nothing changes if it is not the one that is under way.
    #[must_use]
    pub fn upgraded(&self, covers: Period, number: u32) -> Option<Self> {
        let upgrade = self.upgrade_under_way(covers, number)?;
        // The weight could be reckoned when the upgrade was begun, and nothing has changed since.
        let billed = self.wishes.billed.and_then(|billed| {
            let weight = heavier(&billed, self.terms(), upgrade.terms, covers).ok()?;
            Some(Billed { weight, ..billed })
        });
        Some(Self { wishes: Wishes { billed, ..Wishes::default() }, ..self.with_terms(upgrade.terms) })
    }

    /// After an upgrade came to nothing: everything is as it was. Nothing changes if it is not the one that is under way.
    #[must_use]
    pub fn not_upgraded(&self, covers: Period, number: u32) -> Option<Self> {
        self.upgrade_under_way(covers, number)?;
        Some(Self { wishes: Wishes { upgrade: None, ..self.wishes }, ..self.moved_on() })
    }

    fn upgrade_under_way(&self, covers: Period, number: u32) -> Option<Upgrade> {
        self.wishes.upgrade.filter(|upgrade| upgrade.covers == covers && upgrade.number == number)
    }

    /// What it is billed for a period: what it becomes with its next one counts from that on.
    pub(crate) fn terms_for(&self, period: Period) -> Terms {
        self.wishes.next.filter(|_| self.period() == Some(period)).unwrap_or_else(|| self.terms())
    }

    /// What a cancellation today leaves unused of what was billed for the paid period: the price of the days after today, rounded up to the
    /// minor unit, for what was used is rounded down.
    pub fn unused(&self, now: Timestamp) -> Result<Money, MoneyError> {
        let nothing = Money::zero(self.monthly.currency());
        let Some(paid) = self.period_before() else { return Ok(nothing) };
        let tomorrow = calendar::date_at(now).tomorrow().unwrap_or(paid.end());
        if tomorrow < paid.start() || tomorrow >= paid.end() {
            return Ok(nothing);
        }
        let billed = self.billed(paid)?;
        let left = self.monthly.weight(Period::starting(tomorrow).days())?;
        let used = billed.weight.checked_sub(left).ok_or(MoneyError::Negative)?;
        let currency = self.monthly.currency();
        Money::of_weight(billed.weight, paid, currency)?.minus(Money::of_weight(used, paid, currency)?)
    }

    /// What was billed for the period that is paid.
    fn billed(&self, paid: Period) -> Result<Billed, MoneyError> {
        match self.wishes.billed.filter(|billed| billed.period == paid) {
            Some(billed) => Ok(billed),
            None => Ok(Billed { period: paid, weight: self.monthly.weight(paid.days())?, upgrades: 0 }),
        }
    }

    fn with_terms(&self, terms: Terms) -> Self {
        let Terms { plan, seats, monthly } = terms;
        let wishes = Wishes { next: None, ..self.wishes };
        Self { plan, seats, monthly, wishes, ..self.moved_on() }
    }

    fn moved_on(&self) -> Self {
        self.moved_to(self.state.clone())
    }
}

/// The weight of a period after an upgrade from `covers` on.
fn heavier(billed: &Billed, before: Terms, after: Terms, covers: Period) -> Result<i64, MoneyError> {
    let days = covers.days();
    let more = after.monthly.weight(days)?.checked_sub(before.monthly.weight(days)?).ok_or(MoneyError::TooLarge)?;
    billed.weight.checked_add(more).ok_or(MoneyError::TooLarge)
}

#[cfg(test)]
mod tests;
