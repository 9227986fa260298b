//! Makes customers: a billing key at the simulator, whose webhook registers it, and a subscription.

use crate::portone::{self, Behavior, NewBillingKey, NewCustomer, Plain};
use crate::stack::Stack;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::{self, Period};
use billing_core::decline::Pg;
use billing_core::event::Cause;
use billing_core::id::{SubscriptionId, UserId};
use billing_core::money::Currency;
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// How many customers one request makes; ask again for more.
pub const MAX_CUSTOMERS: u32 = 200_000;

/// Subscriptions written at once.
const AT_ONCE: usize = 16;

/// What is to be made: one customer described, or many by a mix of behaviours.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewCustomers {
    /// How many; one if absent.
    pub count: Option<u32>,
    /// The share of each behaviour, from 0 to 1; what is left approves.
    pub mix: BTreeMap<String, f64>,
    /// Decides who gets which behaviour, plan and PG.
    pub seed: u64,
    /// The user id; only for one.
    pub user_id: Option<String>,
    /// The subscription id; only for one.
    pub subscription_id: Option<String>,
    /// The plan.
    pub plan_type: Option<PlanType>,
    /// The seats.
    pub team_seats: Option<u32>,
    /// The currency.
    pub currency: Option<Currency>,
    /// The language.
    pub locale: Option<Locale>,
    /// The name.
    pub name: Option<String>,
    /// The address; only for one.
    pub email: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// `PortOne`'s name of the PG.
    pub pg_provider: Option<String>,
    /// The billing key's behaviour; only for one.
    pub behavior: Option<String>,
    /// A trial of so many days from now. Without it the first period is the next whole month.
    pub trial_days: Option<u32>,
    /// The first day of the first period, instead.
    pub first_period: Option<Date>,
    /// Whether it ends with its first paid period.
    pub cancel_at_period_end: bool,
    /// No webhook tells of the billing keys: they are charged like any other, and have no rows in table `BillingKeys`.
    pub without_webhooks: bool,
}

/// A customer that was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The user.
    pub user_id: String,
    /// The subscription.
    pub subscription_id: String,
    /// The billing key.
    pub billing_key: String,
}

/// Why customers were not made.
#[derive(Debug)]
pub enum CreateError {
    /// The wish makes no sense.
    Wrong(String),
    /// Something broke.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for CreateError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

fn wrong(message: impl std::fmt::Display) -> CreateError {
    CreateError::Wrong(message.to_string())
}

/// Makes customers. Their webhooks are on their way when it answers.
pub async fn create(stack: &Stack, wish: &NewCustomers) -> Result<Vec<Made>, CreateError> {
    let count = wish.count.unwrap_or(1);
    if count == 0 || count > MAX_CUSTOMERS {
        return Err(wrong(format!("count is 1 to {MAX_CUSTOMERS}")));
    }
    let for_one = [&wish.user_id, &wish.subscription_id, &wish.email, &wish.behavior];
    if count > 1 && for_one.iter().any(|field| field.is_some()) {
        return Err(wrong("userId, subscriptionId, email and behavior describe one customer; count is more"));
    }
    let behaviors = match &wish.behavior {
        Some(text) => vec![Some(text.parse::<Behavior>().map_err(|error| wrong(format!("{error:#}")))?)],
        None => spread(&wish.mix, count, wish.seed)?,
    };
    let first = stack.made.fetch_add(u64::from(count), Ordering::Relaxed) + 1;
    let plans = (0_u64..).zip(behaviors).map(|(i, behavior)| plan_one(stack, wish, first + i, behavior));
    let planned: Vec<(NewBillingKey, Subscription)> = plans.collect::<Result<_, CreateError>>()?;
    stream::iter(planned)
        .map(|(key, mut subscription)| async move {
            let billing_key = stack.portone.issue_billing_key(key);
            let billing_key = billing_key.map_err(CreateError::Broken)?;
            if let Some(method) = &mut subscription.method {
                method.billing_key = BillingKey::new(billing_key.as_str());
            }
            let made = Made {
                user_id: subscription.key.user_id.to_string(),
                subscription_id: subscription.key.id.to_string(),
                billing_key,
            };
            let cause = Cause::Api("sandbox".to_owned());
            stack.console.start(subscription, &cause).await.map_err(wrong)?;
            Ok(made)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Gives each of `count` customers a behaviour, in the shares of `mix`, in an order that only the seed decides.
#[expect(clippy::float_arithmetic, reason = "a share of customers, not of money")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most 200,000 is rounded to a count"
)]
fn spread(mix: &BTreeMap<String, f64>, count: u32, seed: u64) -> Result<Vec<Option<Behavior>>, CreateError> {
    if mix.values().any(|share| !(0.0..=1.0).contains(share)) || mix.values().sum::<f64>() > 1.000_001 {
        return Err(wrong("the shares of a mix are 0 to 1 and add up to at most 1"));
    }
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by_key(|i| number(seed, "order", u64::from(*i)));
    let mut behaviors = vec![None; count as usize];
    let mut next = order.into_iter();
    for (text, share) in mix {
        let behavior: Behavior = text.parse().map_err(|error| wrong(format!("{error:#}")))?;
        let many = (share * f64::from(count)).round() as usize;
        for i in next.by_ref().take(many) {
            if let Some(slot) = behaviors.get_mut(i as usize) {
                *slot = Some(behavior.clone());
            }
        }
    }
    Ok(behaviors)
}

fn plan_one(
    stack: &Stack,
    wish: &NewCustomers,
    i: u64,
    behavior: Option<Behavior>,
) -> Result<(NewBillingKey, Subscription), CreateError> {
    let now = stack.clock.now();
    let pick = |what: &str, of: u64| number(wish.seed, what, i) % of;
    // Only PayPal leaves charges undecided.
    let is_undecided = matches!(behavior, Some(Behavior::Plain(Plain::Pending | Plain::PendingThenFail)));
    let provider = wish.pg_provider.clone().unwrap_or_else(|| {
        let provider = match pick("pg", 100) {
            _ if is_undecided => "PAYPAL_V2",
            0..45 => "TOSSPAYMENTS",
            45..75 => "INICIS_V2",
            75..96 => "KCP_V2",
            _ => "PAYPAL_V2",
        };
        provider.to_owned()
    });
    let pg = Pg::from_provider(&provider);
    let is_paypal = pg == Pg::PayPal;
    let currency = wish.currency.unwrap_or(if is_paypal { Currency::Usd } else { Currency::Krw });
    let plan = wish.plan_type.unwrap_or(if pick("plan", 4) == 0 { PlanType::Pro } else { PlanType::Standard });
    let seats = wish.team_seats.unwrap_or_else(|| u32::try_from(pick("seats", 20)).unwrap_or(0) + 1);
    let monthly = stack.catalogue.monthly(plan, seats, currency).map_err(wrong)?;
    let user = wish.user_id.clone().unwrap_or_else(|| format!("user-{i:06}"));
    let id = wish.subscription_id.clone().unwrap_or_else(|| format!("sub-{i:06}"));
    let email = wish.email.clone().unwrap_or_else(|| format!("{user}@example.com"));
    let name = wish.name.clone().unwrap_or_else(|| format!("고객 {i}"));
    let phone = wish.phone.clone().unwrap_or_else(|| format!("010-0000-{:04}", i % 10_000));
    let trial_end = match wish.trial_days {
        Some(days) => Some(later(now, days)?),
        None => None,
    };
    let first = match (wish.first_period, trial_end) {
        (Some(date), _) => Period::starting(date),
        (None, Some(end)) => Period::first(now, Some(end)),
        (None, None) => Period::starting(calendar::date_at(now)).next(),
    };
    // Whose first period is over began with it.
    let started = wish.first_period.map_or(now, |date| now.min(calendar::moment(date, 0)));
    let next = (plan != PlanType::Free).then_some(first);
    let key = NewBillingKey {
        customer: NewCustomer {
            id: Some(user.clone()),
            name: Some(name.clone()),
            email: Some(email.clone()),
            phone: Some(phone.clone()),
        },
        pg_provider: provider,
        method: if is_paypal { portone::Method::Paypal } else { portone::Method::Card },
        issue_id: Some(format!("issue{i:06}")),
        behavior,
        notify: !wish.without_webhooks,
        ..NewBillingKey::default()
    };
    let subscription = Subscription {
        key: SubscriptionKey {
            user_id: UserId::new(user).map_err(wrong)?,
            id: SubscriptionId::new(id).map_err(wrong)?,
        },
        plan,
        seats,
        monthly,
        method: Some(Method { billing_key: BillingKey::new(""), pg }),
        customer: Customer {
            name: Some(Private::new(name)),
            email: Some(Private::new(email)),
            phone: Some(Private::new(phone)),
        },
        locale: wish.locale.unwrap_or(if is_paypal { Locale::En } else { Locale::Ko }),
        started,
        trial_end,
        cancel_at_period_end: wish.cancel_at_period_end,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next },
        version: 1,
    };
    Ok((key, subscription))
}

fn later(now: Timestamp, days: u32) -> Result<Timestamp, CreateError> {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map_err(wrong)
}

/// A number that only the seed, the question and the customer decide.
fn number(seed: u64, what: &str, i: u64) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{what}/{i}"));
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_met_exactly_and_only_the_seed_decides_who() {
        let mix = BTreeMap::from([("decline:insufficient_funds".to_owned(), 0.05), ("hang".to_owned(), 0.01)]);
        let a = spread(&mix, 1000, 7).unwrap();
        assert_eq!(a.iter().flatten().count(), 60);
        assert_eq!(a, spread(&mix, 1000, 7).unwrap());
        assert_ne!(a, spread(&mix, 1000, 8).unwrap());
    }

    #[test]
    fn a_mix_of_more_than_everyone_is_refused() {
        let mix = BTreeMap::from([("hang".to_owned(), 0.6), ("slow".to_owned(), 0.6)]);
        assert!(matches!(spread(&mix, 10, 1), Err(CreateError::Wrong(_))));
    }
}
