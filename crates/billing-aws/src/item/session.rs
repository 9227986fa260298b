//! `Sessions`: PK `sessionId`.

use super::{Field, Millis, Row};
use crate::tables::Table;
use billing_core::billing_key::{BillingKey, MethodLabel};
use billing_core::id::{SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::session::{Done, Purpose, Session, SessionId};
use billing_core::subscription::Customer;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionRow {
    session_id: SessionId,
    user_id: UserId,
    purpose: Kind,
    subscription_id: SubscriptionId,
    currency: Currency,
    /// With the next three, of a session that begins a subscription.
    plan_type: Option<PlanType>,
    team_seats: Option<u32>,
    monthly_amount: Option<i64>,
    trial_days: Option<u32>,
    customer_name: Option<Private>,
    customer_email: Option<Private>,
    customer_phone: Option<Private>,
    #[serde(default)]
    locale: Locale,
    request_hash: String,
    created_at: Millis,
    expires_at: Millis,
    /// With the next two, of a session that is completed.
    done_at: Option<Millis>,
    billing_key: Option<BillingKey>,
    method: Option<MethodLabel>,
    /// When `DynamoDB` may delete the row, in epoch seconds. Never read.
    #[serde(default)]
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Subscribe,
    ReplaceMethod,
}

impl Row for SessionRow {
    type Core = Session;
    const TABLE: Table = Table::Sessions;

    fn of(core: &Session) -> Self {
        let (key, currency, ttl) = (core.subscription_key(), core.currency(), core.kept_until().as_second());
        let session = core.clone();
        let (purpose, agreed) = match session.purpose {
            Purpose::Subscribe { plan, seats, monthly, trial_days, .. } => {
                (Kind::Subscribe, Some((plan, seats, monthly.minor(), trial_days)))
            }
            Purpose::ReplaceMethod { .. } => (Kind::ReplaceMethod, None),
        };
        Self {
            session_id: session.id,
            user_id: key.user_id,
            purpose,
            subscription_id: key.id,
            currency,
            plan_type: agreed.map(|(plan, ..)| plan),
            team_seats: agreed.map(|(_, seats, ..)| seats),
            monthly_amount: agreed.map(|(_, _, monthly, _)| monthly),
            trial_days: agreed.map(|(.., trial_days)| trial_days),
            customer_name: session.customer.name,
            customer_email: session.customer.email,
            customer_phone: session.customer.phone,
            locale: session.locale,
            request_hash: session.request,
            created_at: Millis(session.created_at),
            expires_at: Millis(session.expires_at),
            done_at: session.done.as_ref().map(|done| Millis(done.at)),
            billing_key: session.done.as_ref().map(|done| done.billing_key.clone()),
            method: session.done.map(|done| done.method),
            ttl,
        }
    }

    fn into_core(self) -> Result<Session, Field> {
        let purpose = match self.purpose {
            Kind::Subscribe => {
                let monthly = self.monthly_amount.ok_or("monthlyAmount")?;
                Purpose::Subscribe {
                    subscription_id: self.subscription_id,
                    plan: self.plan_type.ok_or("planType")?,
                    seats: self.team_seats.ok_or("teamSeats")?,
                    monthly: Money::new(monthly, self.currency).map_err(|_| "monthlyAmount")?,
                    trial_days: self.trial_days.ok_or("trialDays")?,
                }
            }
            Kind::ReplaceMethod => {
                Purpose::ReplaceMethod { subscription_id: self.subscription_id, currency: self.currency }
            }
        };
        let done = match self.done_at {
            Some(at) => Some(Done {
                at: at.0,
                billing_key: self.billing_key.ok_or("billingKey")?,
                method: self.method.ok_or("method")?,
            }),
            None => None,
        };
        Ok(Session {
            id: self.session_id,
            user_id: self.user_id,
            purpose,
            customer: Customer { name: self.customer_name, email: self.customer_email, phone: self.customer_phone },
            locale: self.locale,
            request: self.request_hash,
            created_at: self.created_at.0,
            expires_at: self.expires_at.0,
            done,
        })
    }
}
