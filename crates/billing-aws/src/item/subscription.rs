//! `Subscriptions`: PK `userId`, SK `subscriptionId`.

use super::{Field, Millis, Row};
use crate::tables::Table;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::change::{Billed, Upgrade, Wishes};
use billing_core::decline::Pg;
use billing_core::id::{SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType, Terms};
use billing_core::private::Private;
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionRow {
    user_id: UserId,
    subscription_id: SubscriptionId,
    plan_type: PlanType,
    status: String,
    team_seats: u32,
    monthly_amount: i64,
    currency: Currency,
    billing_key: Option<BillingKey>,
    pg_provider: Option<Pg>,
    trial_end_date: Option<Millis>,
    /// When the period that is owed, or owed next, falls due. For people and front ends: what counts is `period`.
    next_billing_date: Option<Millis>,
    start_date: Millis,
    canceled_at: Option<Millis>,
    expired_at: Option<Millis>,
    customer_name: Option<Private>,
    customer_email: Option<Private>,
    customer_phone: Option<Private>,
    #[serde(default)]
    locale: Locale,
    #[serde(default)]
    cancel_at_period_end: bool,
    /// What it becomes with its next period.
    next_terms: Option<TermsRow>,
    /// The upgrade that is under way.
    upgrade: Option<UpgradeRow>,
    /// What the present period was billed, once it was upgraded.
    billed: Option<BilledRow>,
    period: Option<Period>,
    /// There, and true, on a subscription that a person must look at.
    parked: Option<bool>,
    /// With `dueAt`, or not at all: a subscription with nothing to do is not in the index.
    due_shard: Option<u8>,
    due_at: Option<Millis>,
    /// `past_due`: when something is to be done about the period; absent if that is `dueAt`, as it is unless an upgrade comes first.
    retry_at: Option<Millis>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TermsRow {
    plan_type: PlanType,
    team_seats: u32,
    monthly_amount: i64,
}

impl TermsRow {
    fn of(terms: &Terms) -> Self {
        Self { plan_type: terms.plan, team_seats: terms.seats, monthly_amount: terms.monthly.minor() }
    }

    fn into_core(self, currency: Currency) -> Option<Terms> {
        let monthly = Money::new(self.monthly_amount, currency).ok()?;
        Some(Terms { plan: self.plan_type, seats: self.team_seats, monthly })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpgradeRow {
    number: u32,
    #[serde(flatten)]
    terms: TermsRow,
    covers: Period,
    amount: i64,
    at: Millis,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BilledRow {
    period: Period,
    /// Minor units × days.
    weight: i64,
    upgrades: u32,
}

fn wishes(row: &mut SubscriptionRow) -> Result<Wishes, Field> {
    let currency = row.currency;
    let next = row.next_terms.take().map(|terms| terms.into_core(currency).ok_or("nextTerms")).transpose()?;
    let upgrade = row.upgrade.take().map(|row| {
        let UpgradeRow { number, terms, covers, amount, at: Millis(at) } = row;
        let terms = terms.into_core(currency)?;
        Some(Upgrade { number, terms, covers, amount: Money::new(amount, currency).ok()?, at })
    });
    let upgrade = upgrade.map(|upgrade| upgrade.ok_or("upgrade")).transpose()?;
    let billed = row.billed.take().map(|BilledRow { period, weight, upgrades }| Billed { period, weight, upgrades });
    Ok(Wishes { next, upgrade, billed })
}

impl Row for SubscriptionRow {
    type Core = Subscription;
    const TABLE: Table = Table::Subscriptions;

    fn of(core: &Subscription) -> Self {
        let due_at = core.due_at();
        let (canceled_at, expired_at) = match core.state {
            State::Canceled { at } => (Some(Millis(at)), None),
            State::Expired { at } => (None, Some(Millis(at))),
            State::Active { .. } | State::PastDue { .. } | State::Parked { .. } => (None, None),
        };
        let retry_at = match core.state {
            State::PastDue { due_at: retry_at, .. } if due_at != Some(retry_at) => Some(Millis(retry_at)),
            State::PastDue { .. }
            | State::Active { .. }
            | State::Parked { .. }
            | State::Canceled { .. }
            | State::Expired { .. } => None,
        };
        let subscription = core.clone();
        let (billing_key, pg_provider) = subscription.method.map(|method| (method.billing_key, method.pg)).unzip();
        Self {
            status: core.state.status().to_owned(),
            next_billing_date: core.next_bill_at().map(Millis),
            next_terms: core.wishes.next.as_ref().map(TermsRow::of),
            upgrade: core.wishes.upgrade.map(|upgrade| UpgradeRow {
                number: upgrade.number,
                terms: TermsRow::of(&upgrade.terms),
                covers: upgrade.covers,
                amount: upgrade.amount.minor(),
                at: Millis(upgrade.at),
            }),
            billed: core.wishes.billed.map(|billed| BilledRow {
                period: billed.period,
                weight: billed.weight,
                upgrades: billed.upgrades,
            }),
            period: core.period(),
            parked: matches!(core.state, State::Parked { .. }).then_some(true),
            due_shard: due_at.map(|_| core.due_shard()),
            due_at: due_at.map(Millis),
            retry_at,
            canceled_at,
            expired_at,
            user_id: subscription.key.user_id,
            subscription_id: subscription.key.id,
            plan_type: subscription.plan,
            team_seats: subscription.seats,
            monthly_amount: subscription.monthly.minor(),
            currency: subscription.monthly.currency(),
            billing_key,
            pg_provider,
            trial_end_date: subscription.trial_end.map(Millis),
            start_date: Millis(subscription.started),
            customer_name: subscription.customer.name,
            customer_email: subscription.customer.email,
            customer_phone: subscription.customer.phone,
            locale: subscription.locale,
            cancel_at_period_end: subscription.cancel_at_period_end,
            version: subscription.version,
        }
    }

    fn into_core(mut self) -> Result<Subscription, Field> {
        let wishes = wishes(&mut self)?;
        let state = match (self.status.as_str(), self.parked) {
            // A next bill without the period it is for would never be made: better refused than forgotten.
            ("active", _) if self.period.is_none() && self.next_billing_date.is_some() => return Err("period"),
            ("active", _) => State::Active { next: self.period },
            ("past_due", Some(true)) => State::Parked { period: self.period.ok_or("period")? },
            ("past_due", _) => {
                let due_at = self.retry_at.or(self.due_at).ok_or("dueAt")?.0;
                State::PastDue { period: self.period.ok_or("period")?, due_at }
            }
            ("canceled", _) => State::Canceled { at: self.canceled_at.ok_or("canceledAt")?.0 },
            ("expired", _) => State::Expired { at: self.expired_at.ok_or("expiredAt")?.0 },
            _ => return Err("status"),
        };
        // A key without its PG can be charged; only its declines cannot be explained.
        let pg = self.pg_provider.unwrap_or_else(|| Pg::Other("UNKNOWN".to_owned()));
        Ok(Subscription {
            key: SubscriptionKey { user_id: self.user_id, id: self.subscription_id },
            plan: self.plan_type,
            seats: self.team_seats,
            monthly: Money::new(self.monthly_amount, self.currency).map_err(|_| "monthlyAmount")?,
            method: self.billing_key.map(|billing_key| Method { billing_key, pg }),
            customer: Customer { name: self.customer_name, email: self.customer_email, phone: self.customer_phone },
            locale: self.locale,
            started: self.start_date.0,
            trial_end: self.trial_end_date.map(|at| at.0),
            cancel_at_period_end: self.cancel_at_period_end,
            wishes,
            state,
            version: self.version,
        })
    }
}
