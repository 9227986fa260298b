//! Subscriptions: one customer's agreement, and what is to be done about it next.

use crate::billing_key::BillingKey;
use crate::calendar::{self, Period};
use crate::change::{Upgrade, Wishes};
use crate::decline::Pg;
use crate::guard::Guard;
use crate::id::{SubscriptionId, UserId};
use crate::invoice::Part;
use crate::money::{Money, MoneyError};
use crate::plan::{Locale, PlanType, Terms};
use crate::private::Private;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// How many shards the index of due subscriptions has. One partition of a `DynamoDB` index takes 1,000 writes a second and a charge moves its
/// entry twice, so four shards carry 2,000 charges a second: far above what any PG allows.
pub const DUE_SHARDS: u8 = 4;

/// Who is billed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customer {
    /// The name; KG Inicis refuses a charge without it.
    pub name: Option<Private>,
    /// The address that mails go to; KG Inicis refuses a charge without it.
    pub email: Option<Private>,
    /// The phone number; KG Inicis refuses a charge without it.
    pub phone: Option<Private>,
}

/// What a subscription is charged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// The billing key.
    pub billing_key: BillingKey,
    /// The PG behind it, whose decline codes apply.
    pub pg: Pg,
}

/// The state of a subscription. What it owes for is part of its state, so that it cannot owe for two periods at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is owed before `next` begins; a free plan has no next period.
    Active {
        /// The next period to bill.
        next: Option<Period>,
    },
    /// A charge was declined.
    PastDue {
        /// The period that is owed for.
        period: Period,
        /// When the next thing is to be done: a retry, or giving up.
        due_at: Timestamp,
    },
    /// The invoice contradicts `PortOne`: nothing is done until a person has looked.
    Parked {
        /// The period in question.
        period: Period,
    },
    /// Ended by the customer.
    Canceled {
        /// When.
        at: Timestamp,
    },
    /// Ended because it could not be collected.
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl State {
    /// The status as the tables spell it.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Active { .. } => "active",
            Self::PastDue { .. } | Self::Parked { .. } => "past_due",
            Self::Canceled { .. } => "canceled",
            Self::Expired { .. } => "expired",
        }
    }
}

/// Where a subscription lies: the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey {
    /// Whose it is.
    pub user_id: UserId,
    /// Which.
    pub id: SubscriptionId,
}

/// One customer's agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its key.
    pub key: SubscriptionKey,
    /// The plan.
    pub plan: PlanType,
    /// How many seats.
    pub seats: u32,
    /// The price of a whole month, frozen when the customer agreed to it.
    pub monthly: Money,
    /// What it is charged with; nothing after its billing key was deleted.
    pub method: Option<Method>,
    /// Who is billed.
    pub customer: Customer,
    /// The language of mails.
    pub locale: Locale,
    /// When it began.
    pub started: Timestamp,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// Whether it ends with the period that is paid: nothing more is charged.
    pub cancel_at_period_end: bool,
    /// What has come of wishes to change it.
    pub wishes: Wishes,
    /// Its state.
    pub state: State,
    /// Counts its writes: every write is conditional on the version it read.
    pub version: u64,
}

/// The next charge of a subscription, as its customer is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextCharge {
    /// When it is made.
    pub at: Timestamp,
    /// What for.
    pub period: Period,
    /// How much, tax included.
    pub amount: Money,
}

/// What is to be done about a subscription now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It ends: the customer cancelled, and what was paid for is over.
    End,
    /// The period is to be collected.
    Collect(Period),
    /// The charge of an upgrade is to be cleared up.
    Upgrade(Upgrade),
}

impl Subscription {
    /// The next moment anything is to be done; nothing keeps the subscription out of the index of due ones.
    pub fn due_at(&self) -> Option<Timestamp> {
        // What is not decided comes before what is owed next.
        if let Some(upgrade) = self.wishes.upgrade {
            return Some(upgrade.at);
        }
        match &self.state {
            State::Active { .. } => self.next_bill_at(),
            State::PastDue { due_at, .. } => Some(*due_at),
            State::Parked { .. } | State::Canceled { .. } | State::Expired { .. } => None,
        }
    }

    /// When the period that it owes for, or will owe for next, falls due.
    pub fn next_bill_at(&self) -> Option<Timestamp> {
        let period = self.period()?;
        let is_first = period == Period::first(self.started, self.trial_end);
        Some(match self.trial_end {
            // A trial lasts to its last minute, even past the hour at which bills fall due.
            Some(trial_end) if is_first => period.due_at().max(trial_end),
            // Without a trial it is paid for as it starts, be it before that hour or after.
            None if is_first => self.started,
            Some(_) | None => period.due_at(),
        })
    }

    /// What the invoice of whatever it owes is for: an upgrade that is not decided comes first.
    pub fn owed(&self) -> Option<(Period, Part)> {
        match self.wishes.upgrade {
            Some(upgrade) => Some((upgrade.covers, Part::Upgrade(upgrade.number))),
            None => self.period().map(|period| (period, Part::Period)),
        }
    }

    /// The shard of the due index it lies in: from its id, so that it never moves.
    pub fn due_shard(&self) -> u8 {
        let digest = Sha256::digest(self.key.id.as_str().as_bytes());
        digest.first().copied().unwrap_or(0).checked_rem(DUE_SHARDS).unwrap_or(0)
    }

    /// What is to be done at `now`. Due means `due_at <= now`, never "today is the 1st": being down for days changes nothing.
    pub fn due(&self, now: Timestamp) -> Due {
        let is_due = |at| at <= now && (Guard::DueByNow.stands() || calendar::date_at(at) == calendar::date_at(now));
        if !self.due_at().is_some_and(is_due) {
            return Due::Nothing;
        }
        if let Some(upgrade) = self.wishes.upgrade {
            return Due::Upgrade(upgrade);
        }
        match &self.state {
            State::Active { .. } | State::PastDue { .. } if self.cancel_at_period_end => Due::End,
            State::Active { next: Some(period) } | State::PastDue { period, .. } => Due::Collect(*period),
            State::Active { next: None } | State::Parked { .. } | State::Canceled { .. } | State::Expired { .. } => {
                Due::Nothing
            }
        }
    }

    /// What the period costs: the month's price, or for a first period that starts within a month its share by days.
    pub fn amount_for(&self, period: Period) -> Result<Money, MoneyError> {
        self.terms_for(period).monthly.share(period.days(), period.month_days())
    }

    /// The next charge, if there is one: at once if it falls due as the customer acts, else in the first morning's run from when it does.
    pub fn next_charge(&self) -> Result<Option<NextCharge>, MoneyError> {
        // What is paid beside it, an upgrade, is no charge of a period.
        let due_at = Self { wishes: Wishes { upgrade: None, ..self.wishes }, ..self.clone() }.due_at();
        let (Some(due_at), Some(period), false) = (due_at, self.period(), self.cancel_at_period_end) else {
            return Ok(None);
        };
        let is_handed_over = due_at == self.started || matches!(self.state, State::PastDue { .. });
        let is_at_once = is_handed_over && !calendar::banks_are_down(due_at);
        let at = if is_at_once { due_at } else { calendar::billing_morning_from(due_at) };
        Ok(Some(NextCharge { at, period, amount: self.amount_for(period)? }))
    }

    /// The period it owes for or will owe for next.
    pub fn period(&self) -> Option<Period> {
        match &self.state {
            State::Active { next } => *next,
            State::PastDue { period, .. } | State::Parked { period } => Some(*period),
            State::Canceled { .. } | State::Expired { .. } => None,
        }
    }

    /// After `period` was paid. Nothing changes if it owes for another period by now, or has ended.
    #[must_use]
    pub fn paid(&self, period: Period) -> Option<Self> {
        (self.period() == Some(period)).then(|| self.begun(period, State::Active { next: Some(period.next()) }))
    }

    /// After `period` was declined and something is left to be done at `due_at`. Nothing changes if it is parked: the decline may be of
    /// another payment id than the one that money moved under, and a retry would charge twice.
    #[must_use]
    pub fn declined(&self, period: Period, due_at: Timestamp) -> Option<Self> {
        self.is_dunned_for(period).then(|| self.begun(period, State::PastDue { period, due_at }))
    }

    /// After `period` was given up. Nothing changes if it is parked.
    #[must_use]
    pub fn expired(&self, period: Period, at: Timestamp) -> Option<Self> {
        let ended = || Self { wishes: Wishes::default(), ..self.moved_to(State::Expired { at }) };
        self.is_dunned_for(period).then(ended)
    }

    fn is_dunned_for(&self, period: Period) -> bool {
        self.period() == Some(period) && !matches!(self.state, State::Parked { .. })
    }

    /// Parks it for a person.
    #[must_use]
    pub fn parked(&self, period: Period) -> Option<Self> {
        (self.period() == Some(period)).then(|| self.moved_to(State::Parked { period }))
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Canceled { .. } | State::Expired { .. })
    }

    /// With its customer's wish that it end. Nothing changes if that is known, or it has ended.
    #[must_use]
    pub fn to_end(&self) -> Option<Self> {
        let is_news = !self.cancel_at_period_end && !self.has_ended();
        is_news.then(|| Self { cancel_at_period_end: true, ..self.moved_to(self.state.clone()) })
    }

    /// Ends it at the customer's wish. Nothing changes if it has ended already.
    #[must_use]
    pub fn canceled(&self, at: Timestamp) -> Option<Self> {
        match self.state {
            State::Active { .. } | State::PastDue { .. } | State::Parked { .. } => {
                Some(Self { wishes: Wishes::default(), ..self.moved_to(State::Canceled { at }) })
            }
            State::Canceled { .. } | State::Expired { .. } => None,
        }
    }

    /// Puts a new method to it. What is owed becomes due at once. Nothing changes if it has ended or has this method already.
    #[must_use]
    pub fn with_method(&self, method: &Method, now: Timestamp) -> Option<Self> {
        if self.method.as_ref() == Some(method) {
            return None;
        }
        let state = match &self.state {
            State::PastDue { period, .. } => State::PastDue { period: *period, due_at: now },
            State::Active { .. } | State::Parked { .. } => self.state.clone(),
            State::Canceled { .. } | State::Expired { .. } => return None,
        };
        Some(Self { method: Some(method.clone()), ..self.moved_to(state) })
    }

    /// Takes a deleted method away from it. Nothing changes if it has another.
    #[must_use]
    pub fn without_method(&self, key: &BillingKey) -> Option<Self> {
        let has_it = self.method.as_ref().is_some_and(|method| method.billing_key == *key);
        has_it.then(|| Self { method: None, ..self.moved_to(self.state.clone()) })
    }

    /// The period has begun: what it was to become with it, it is now.
    fn begun(&self, period: Period, state: State) -> Self {
        let Terms { plan, seats, monthly } = self.terms_for(period);
        let wishes = Wishes { next: None, billed: None, ..self.wishes };
        Self { plan, seats, monthly, wishes, ..self.moved_to(state) }
    }

    /// As if what it owes were due now: its customer wants it tried.
    #[must_use]
    pub fn brought_forward(mut self, now: Timestamp) -> Self {
        if let State::PastDue { due_at, .. } = &mut self.state {
            *due_at = now.min(*due_at);
        }
        self
    }

    /// Takes its customer's wish back that it end. Nothing changes if there is none, or it has ended.
    #[must_use]
    pub fn resumed(&self) -> Option<Self> {
        let is_news = self.cancel_at_period_end && !self.has_ended();
        is_news.then(|| Self { cancel_at_period_end: false, ..self.moved_to(self.state.clone()) })
    }

    pub(crate) fn moved_to(&self, state: State) -> Self {
        Self { state, version: self.version.saturating_add(1), ..self.clone() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::money::Currency;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(crate) fn period(id: &str) -> Period {
        Period::parse(id).unwrap()
    }

    pub(crate) fn method(key: &str) -> Method {
        Method { billing_key: BillingKey::new(key), pg: Pg::TossPayments }
    }

    pub(crate) fn standard() -> Subscription {
        Subscription {
            key: SubscriptionKey {
                user_id: UserId::new("user_456").unwrap(),
                id: SubscriptionId::new("sub_123").unwrap(),
            },
            plan: PlanType::Standard,
            seats: 3,
            monthly: Money::new(30_000, Currency::Krw).unwrap(),
            method: Some(method("billing-key-1")),
            customer: Customer {
                name: Some(Private::new("김민수")),
                email: Some(Private::new("kim@example.com")),
                phone: None,
            },
            locale: Locale::Ko,
            started: at("2026-11-01T09:00:00+09:00"),
            trial_end: None,
            cancel_at_period_end: false,
            wishes: Wishes::default(),
            state: State::Active { next: Some(period("2026-12-01")) },
            version: 1,
        }
    }

    #[test]
    fn due_is_everything_up_to_now_whatever_day_it_is() {
        let subscription = standard();
        assert_eq!(subscription.due(at("2026-12-01T09:59:59+09:00")), Due::Nothing);
        for now in ["2026-12-01T10:00:00+09:00", "2026-12-04T10:00:00+09:00", "2027-03-15T12:00:00+09:00"] {
            assert_eq!(subscription.due(at(now)), Due::Collect(period("2026-12-01")), "{now}");
        }
    }

    #[test]
    fn a_paid_period_is_followed_by_the_next_month_and_paying_it_twice_changes_nothing() {
        let paid = standard().paid(period("2026-12-01")).unwrap();
        assert_eq!(paid.due_at(), Some(at("2027-01-01T10:00:00+09:00")));
        assert_eq!(paid.paid(period("2026-12-01")), None);
    }

    #[test]
    fn a_subscription_that_ended_is_never_due_and_never_revived() {
        let ended = standard().canceled(at("2026-11-30T00:00:00+09:00")).unwrap();
        assert_eq!(ended.due(at("2027-12-01T10:00:00+09:00")), Due::Nothing);
        assert_eq!(ended.paid(period("2026-12-01")), None);
        assert_eq!(ended.declined(period("2026-12-01"), ended.started), None);
        assert_eq!(ended.with_method(&method("billing-key-2"), ended.started), None);
        assert_eq!(ended.canceled(ended.started), None);
    }

    #[test]
    fn cancelling_at_period_end_ends_it_when_the_next_bill_would_fall_due() {
        let subscription = Subscription { cancel_at_period_end: true, ..standard() };
        assert_eq!(subscription.due(at("2026-12-01T10:00:00+09:00")), Due::End);
    }

    #[test]
    fn a_trial_lasts_to_its_last_minute() {
        let trial_end = at("2026-12-06T15:00:00+09:00");
        let state = State::Active { next: Some(period("2026-12-06")) };
        let trial = Subscription { trial_end: Some(trial_end), state, ..standard() };
        assert_eq!(trial.due_at(), Some(trial_end));
        assert_eq!(trial.paid(period("2026-12-06")).unwrap().due_at(), Some(at("2027-01-01T10:00:00+09:00")));
    }

    #[test]
    fn nothing_more_is_collected_of_a_subscription_that_is_to_end() {
        let late = standard().declined(period("2026-12-01"), at("2026-12-02T10:00:00+09:00")).unwrap();
        let ending = Subscription { cancel_at_period_end: true, ..late };
        assert_eq!(ending.due(at("2026-12-02T10:00:00+09:00")), Due::End);
    }

    #[test]
    fn a_parked_subscription_may_be_cancelled_but_no_method_makes_it_due() {
        let parked = standard().parked(period("2026-12-01")).unwrap();
        let now = at("2026-12-02T15:00:00+09:00");
        assert_eq!(parked.canceled(now).unwrap().state, State::Canceled { at: now });
        assert_eq!(parked.with_method(&method("billing-key-2"), now).unwrap().due(Timestamp::MAX), Due::Nothing);
    }

    #[test]
    fn a_new_method_makes_what_is_owed_due_at_once() {
        let late = standard().declined(period("2026-12-01"), at("2026-12-04T10:00:00+09:00")).unwrap();
        let now = at("2026-12-02T15:00:00+09:00");
        assert_eq!(late.due(now), Due::Nothing);
        assert_eq!(
            late.with_method(&method("billing-key-2"), now).unwrap().due(now),
            Due::Collect(period("2026-12-01"))
        );
        assert_eq!(late.with_method(&method("billing-key-1"), now), None);
    }

    #[test]
    fn a_deleted_method_is_taken_away_and_another_stays() {
        let none = standard().without_method(&BillingKey::new("billing-key-1")).unwrap();
        assert_eq!((none.method, none.version, none.state), (None, 2, standard().state));
        assert_eq!(standard().without_method(&BillingKey::new("billing-key-2")), None);
    }

    fn shard(id: &str) -> u8 {
        let key = SubscriptionKey { id: SubscriptionId::new(id).unwrap(), ..standard().key };
        Subscription { key, ..standard() }.due_shard()
    }

    #[test]
    fn a_subscription_never_leaves_its_shard() {
        // Deriving it otherwise would leave rows in shards where they are no longer written.
        assert_eq!(["sub_1", "sub_2", "sub_3", "sub_4"].map(shard), [3, 2, 0, 2]);
    }

    #[test]
    fn subscriptions_lie_in_every_shard() {
        let used: BTreeSet<u8> = (0..100).map(|n| shard(&format!("sub_{n}"))).collect();
        assert_eq!(used, (0..DUE_SHARDS).collect());
    }

    #[test]
    fn a_first_period_that_starts_within_a_month_costs_its_share() {
        assert_eq!(standard().amount_for(period("2026-12-17")).unwrap().minor(), 30_000 * 15 / 31);
        assert_eq!(standard().amount_for(period("2026-12-01")).unwrap().minor(), 30_000);
    }

    #[test]
    fn a_free_plan_is_never_due() {
        let free = Subscription { plan: PlanType::Free, state: State::Active { next: None }, ..standard() };
        assert_eq!((free.due_at(), free.due(Timestamp::MAX)), (None, Due::Nothing));
    }

    proptest! {
        #[test]
        fn every_transition_raises_the_version_by_one(step in 0..6u8) {
            let (subscription, p, now) = (standard(), period("2026-12-01"), at("2026-12-01T10:00:00+09:00"));
            let next = match step {
                0 => subscription.paid(p),
                1 => subscription.declined(p, now),
                2 => subscription.expired(p, now),
                3 => subscription.parked(p),
                4 => subscription.canceled(now),
                _ => subscription.with_method(&method("billing-key-2"), now),
            };
            prop_assert_eq!(next.unwrap().version, 2);
        }
    }
}
