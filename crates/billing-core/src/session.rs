//! Checkout sessions: what a customer is asked to agree to in the browser, written down before the browser is asked.
//!
//! A session's id is `PortOne`'s `issueId`, so that a billing key names the session it was issued in, whoever tells of it: the browser that
//! comes back, or the webhook of a window that was closed.

use crate::billing_key::{BillingKey, MethodLabel};
use crate::calendar::Period;
use crate::change::Wishes;
use crate::id::{SubscriptionId, UserId, hash_of, named};
use crate::money::{Currency, Money};
use crate::plan::{Catalogue, Locale, MAX_TRIAL_DAYS, PlanError, PlanType};
use crate::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long a billing key may be issued in a session. Fetching a card and the bank's app take minutes; a price that is frozen, and an address
/// that opens a checkout, should not lie about for longer than that needs.
pub const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// How long an expired session is kept, so that a late webhook, a replayed address and a repeated request still find it. `PortOne` gives up a
/// webhook after some six hours; the rest is for people.
pub const SESSION_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most characters a session's id may have: what every PG takes as `issueId`.
pub const MAX_SESSION_ID_CHARS: usize = 40;

/// A text that is no session's id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a session id must be 1 to {MAX_SESSION_ID_CHARS} ASCII letters and digits")]
pub struct BadSessionId;

/// A session's id, and the `issueId` at `PortOne`: `[A-Za-z0-9]{1,40}`, never used twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// What a session's id is derived from beside its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed<'a> {
    /// The caller's idempotency key: a repeated request is answered with the same session.
    Key(&'a str),
    /// The id of the request itself: every request opens a session of its own.
    Request(&'a str),
}

impl SessionId {
    /// What every derived id starts with.
    pub const PREFIX: &'static str = "cs";

    /// Takes an id from outside.
    pub fn new(value: impl Into<String>) -> Result<Self, BadSessionId> {
        let value = value.into();
        let fits = (1..=MAX_SESSION_ID_CHARS).contains(&value.len());
        if fits && value.bytes().all(|b| b.is_ascii_alphanumeric()) { Ok(Self(value)) } else { Err(BadSessionId) }
    }

    /// The id of the session that `user`'s request opens: the same for the same request, by anyone, forever.
    pub fn derive(user: &UserId, seed: Seed<'_>) -> Self {
        let (kind, text) = match seed {
            Seed::Key(text) => ("key", text),
            Seed::Request(text) => ("request", text),
        };
        Self(named(Self::PREFIX, hash_of(&["session", user.as_str(), kind, text])))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;
    fn try_from(value: String) -> Result<Self, BadSessionId> {
        Self::new(value)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To begin a subscription.
    Subscribe {
        /// The plan.
        plan: PlanType,
        /// How many seats.
        seats: u32,
        /// The currency it is billed in.
        currency: Currency,
        /// How many days are free; if absent, the catalogue's for a user's first paid subscription, and none for a later one.
        trial_days: Option<u32>,
    },
    /// To charge a subscription with another method.
    ReplaceMethod {
        /// Which.
        subscription_id: SubscriptionId,
    },
}

/// A request to open a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who pays.
    pub user_id: UserId,
    /// What for.
    pub wish: Wish,
    /// Who is billed.
    pub customer: Customer,
    /// The language of pages and mails.
    pub locale: Locale,
}

/// Why a session is not opened. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotOpened {
    /// The free plan costs nothing: there is nothing to check out.
    #[error("the free plan needs no payment method: choose a plan that costs something")]
    Free,
    /// The plan is not sold so.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The trial is too long.
    #[error("a trial lasts 0 to {max} days, not {days}", max = MAX_TRIAL_DAYS)]
    Trial {
        /// How many days were asked for.
        days: u32,
    },
    /// The user has a paid subscription that is alive.
    #[error("the user already has the subscription {0}: change that one, or cancel it first")]
    Subscribed(SubscriptionId),
    /// There is no such subscription of the user's, or it has ended.
    #[error("the user has no subscription {0} that is alive: a payment method can be put to a living one only")]
    NoSubscription(SubscriptionId),
}

/// What a session is for, with everything that was decided when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Beginning a subscription.
    Subscribe {
        /// The subscription it begins.
        subscription_id: SubscriptionId,
        /// The plan.
        plan: PlanType,
        /// How many seats.
        seats: u32,
        /// The price of a whole month, frozen as it is shown.
        monthly: Money,
        /// How many times 24 hours are free; 0 for no trial.
        trial_days: u32,
    },
    /// Charging a subscription with another method.
    ReplaceMethod {
        /// Which.
        subscription_id: SubscriptionId,
        /// The currency it is billed in: which methods can be offered.
        currency: Currency,
    },
}

/// How a session was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// With which billing key.
    pub billing_key: BillingKey,
    /// How the customer knows that method.
    pub method: MethodLabel,
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who pays.
    pub user_id: UserId,
    /// What for.
    pub purpose: Purpose,
    /// Who is billed.
    pub customer: Customer,
    /// The language of pages and mails.
    pub locale: Locale,
    /// The fingerprint of the request that opened it: see [`Request::fingerprint`].
    pub request: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it expires: see [`Session::covers`].
    pub expires_at: Timestamp,
    /// How it was completed; nothing while it is open.
    pub done: Option<Done>,
}

impl Request {
    /// What tells two requests apart: a hash over everything that was asked for. What was decided on it (the price, the subscription's id)
    /// is not in it, and may change between a request and its repetition.
    pub fn fingerprint(&self) -> String {
        let Self { user_id, wish, customer, locale } = self;
        let wish = match wish {
            Wish::Subscribe { plan, seats, currency, trial_days } => {
                format!("subscribe {} {seats} {} {trial_days:?}", plan.key(), currency.code())
            }
            Wish::ReplaceMethod { subscription_id } => format!("replace_method {subscription_id}"),
        };
        let mut parts = vec![user_id.as_str(), &wish, locale.tag()];
        for field in [&customer.name, &customer.email, &customer.phone] {
            match field {
                Some(text) => parts.extend(["+", text.expose()]),
                None => parts.push("-"),
            }
        }
        named("", hash_of(&parts))
    }

    /// The session that this request opens, for a user who `had` these subscriptions so far, living and ended.
    pub fn open(
        &self,
        id: SessionId,
        had: &[Subscription],
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Session, NotOpened> {
        let purpose = match &self.wish {
            Wish::Subscribe { plan: PlanType::Free, .. } => return Err(NotOpened::Free),
            Wish::Subscribe { plan, seats, currency, trial_days } => {
                if let Some(live) = live_paid(had) {
                    return Err(NotOpened::Subscribed(live.key.id.clone()));
                }
                let is_first = !had.iter().any(is_paid);
                let trial_days = trial_days.unwrap_or(if is_first { catalogue.trial_days() } else { 0 });
                if trial_days > MAX_TRIAL_DAYS {
                    return Err(NotOpened::Trial { days: trial_days });
                }
                Purpose::Subscribe {
                    subscription_id: SubscriptionId::derive(&self.user_id, had.len()),
                    plan: *plan,
                    seats: *seats,
                    monthly: catalogue.monthly(*plan, *seats, *currency)?,
                    trial_days,
                }
            }
            Wish::ReplaceMethod { subscription_id } => {
                let live = had.iter().find(|row| row.key.id == *subscription_id && !row.has_ended());
                let live = live.ok_or_else(|| NotOpened::NoSubscription(subscription_id.clone()))?;
                let (subscription_id, currency) = (subscription_id.clone(), live.monthly.currency());
                Purpose::ReplaceMethod { subscription_id, currency }
            }
        };
        Ok(Session {
            id,
            user_id: self.user_id.clone(),
            purpose,
            customer: self.customer.clone(),
            locale: self.locale,
            request: self.fingerprint(),
            created_at: now,
            expires_at: later(now, SESSION_LIFETIME),
            done: None,
        })
    }
}

impl Session {
    /// The subscription it is about: the one it begins, or the one whose method it replaces.
    pub fn subscription_key(&self) -> SubscriptionKey {
        let (Purpose::Subscribe { subscription_id, .. } | Purpose::ReplaceMethod { subscription_id, .. }) =
            &self.purpose;
        SubscriptionKey { user_id: self.user_id.clone(), id: subscription_id.clone() }
    }

    /// The currency it is about: which methods can be offered.
    pub fn currency(&self) -> Currency {
        match &self.purpose {
            Purpose::Subscribe { monthly, .. } => monthly.currency(),
            Purpose::ReplaceMethod { currency, .. } => *currency,
        }
    }

    /// Whether what the customer does at a moment counts: it has not expired by then. A page asks it of now; of a billing key it is asked of
    /// the moment `PortOne` issued it, so that a webhook may come as late as it likes.
    pub fn covers(&self, at: Timestamp) -> bool {
        at < self.expires_at
    }

    /// When its row may be thrown away.
    pub fn kept_until(&self) -> Timestamp {
        later(self.expires_at, SESSION_KEPT)
    }

    /// The subscription it begins at `now`, charged with `method`; nothing if it begins none. Without a method it is what a page shows before
    /// the customer agrees.
    ///
    /// A trial lasts `trial_days` times 24 hours from `now`, so that however late a webhook tells of a window that was closed, the customer
    /// has all of it.
    pub fn begins(&self, method: Option<Method>, now: Timestamp) -> Option<Subscription> {
        let Purpose::Subscribe { plan, seats, monthly, trial_days, .. } = &self.purpose else { return None };
        let hours = i64::from(*trial_days).saturating_mul(24);
        let trial_end = (hours > 0).then(|| later(now, SignedDuration::from_hours(hours)));
        Some(Subscription {
            key: self.subscription_key(),
            plan: *plan,
            seats: *seats,
            monthly: *monthly,
            method,
            customer: self.customer.clone(),
            locale: self.locale,
            started: now,
            trial_end,
            cancel_at_period_end: false,
            wishes: Wishes::default(),
            state: State::Active { next: Some(Period::first(now, trial_end)) },
            version: 1,
        })
    }
}

/// The paid subscription among these that is alive, if there is one.
pub fn live_paid(subscriptions: &[Subscription]) -> Option<&Subscription> {
    subscriptions.iter().find(|row| is_paid(row) && !row.has_ended())
}

fn is_paid(subscription: &Subscription) -> bool {
    subscription.plan != PlanType::Free
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
