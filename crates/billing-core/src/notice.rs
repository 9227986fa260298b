//! Notices: what a customer is to be told, complete enough to write the mail from.

use crate::billing_key::MethodLabel;
use crate::calendar::Period;
use crate::decline::Reason;
use crate::id::PaymentId;
use crate::money::Money;
use crate::plan::Locale;
use crate::private::Private;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Timestamps in stored rows are epoch milliseconds, as JavaScript's `Date.now()`.
pub mod millis {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a moment as epoch milliseconds.
    pub fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(at.as_millisecond())
    }

    /// Reads a moment from epoch milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_millisecond(i64::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}

/// Like [`millis`], for a moment that may be absent.
pub mod some_millis {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a moment as epoch milliseconds, or nothing.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::as_millisecond).serialize(out)
    }

    /// Reads a moment from epoch milliseconds, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
        let millis = Option::<i64>::deserialize(input)?;
        millis.map(Timestamp::from_millisecond).transpose().map_err(serde::de::Error::custom)
    }
}

/// Something a customer is to be told by e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The address.
    pub to: Private,
    /// The customer's name, to be greeted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Private>,
    /// The language.
    pub locale: Locale,
    /// What to tell.
    pub body: NoticeBody,
}

/// What was bought: the lines every mail about an invoice shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bought {
    /// The invoice's name at `PortOne`.
    pub payment_id: PaymentId,
    /// The plan's name in the customer's language.
    pub plan_name: String,
    /// How many seats.
    pub seats: u32,
    /// For which period.
    pub period: Period,
    /// For how much, tax included.
    pub amount: Money,
}

/// What a customer agreed to: the lines the mail about a beginning shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    /// The plan's name in the customer's language.
    pub plan_name: String,
    /// How many seats.
    pub seats: u32,
    /// The price of a whole month, tax included.
    pub monthly: Money,
    /// What it is charged with.
    pub method: MethodLabel,
    /// When its trial ends; nothing without one.
    #[serde(default, with = "some_millis", skip_serializing_if = "Option::is_none")]
    pub trial_end: Option<Timestamp>,
    /// When the first charge is made.
    #[serde(with = "millis")]
    pub first_charge_at: Timestamp,
    /// How much it is, tax included.
    pub first_charge: Money,
    /// What it is for.
    pub first_period: Period,
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It could not be collected.
    PaymentFailed,
    /// The customer cancelled.
    Canceled,
}

/// The things a customer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum NoticeBody {
    /// A charge succeeded.
    Receipt {
        /// What was bought.
        bought: Bought,
        /// The value-added tax inside the amount.
        vat: Money,
        /// When it was paid.
        #[serde(with = "millis")]
        paid_at: Timestamp,
        /// `PortOne`'s receipt page, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt_url: Option<String>,
        /// When the next charge falls due; nothing if the subscription has ended meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_billing: Option<Date>,
    },
    /// A charge was declined.
    PaymentFailed {
        /// What was to be paid.
        bought: Bought,
        /// Why, as far as is known.
        reason: Reason,
        /// Whether the same method is tried again.
        retried: bool,
        /// When it is tried again; or, if it is not, until when a new method is waited for.
        #[serde(with = "millis")]
        until: Timestamp,
    },
    /// The charge of an upgrade was declined: nothing has changed.
    UpgradeFailed {
        /// What was to be paid.
        bought: Bought,
        /// Why, as far as is known.
        reason: Reason,
    },
    /// The subscription is over.
    SubscriptionEnded {
        /// The plan's name.
        plan_name: String,
        /// Why.
        reason: EndReason,
        /// What stayed unpaid, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unpaid: Option<Bought>,
        /// When it ended.
        #[serde(with = "millis")]
        ended_at: Timestamp,
    },
    /// A subscription began.
    SubscriptionStarted {
        /// What its customer agreed to.
        begun: Begun,
    },
    /// A payment method was registered.
    MethodRegistered {
        /// Which.
        method: MethodLabel,
        /// When.
        #[serde(with = "millis")]
        at: Timestamp,
    },
    /// A payment method was removed.
    MethodRemoved {
        /// Which.
        method: MethodLabel,
        /// When.
        #[serde(with = "millis")]
        at: Timestamp,
    },
    /// Money was given back.
    Refunded {
        /// What had been bought.
        bought: Bought,
        /// How much was given back this time.
        refunded: Money,
        /// How much has been given back in all.
        total_refunded: Money,
        /// When.
        #[serde(with = "millis")]
        at: Timestamp,
    },
}

impl NoticeBody {
    /// Its kind's name, for templates, metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Receipt { .. } => "receipt",
            Self::PaymentFailed { .. } => "payment_failed",
            Self::UpgradeFailed { .. } => "upgrade_failed",
            Self::SubscriptionEnded { .. } => "subscription_ended",
            Self::SubscriptionStarted { .. } => "subscription_started",
            Self::MethodRegistered { .. } => "method_registered",
            Self::MethodRemoved { .. } => "method_removed",
            Self::Refunded { .. } => "refunded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing_key::MethodKind;
    use crate::invoice::tests::opened;

    #[test]
    fn a_notice_survives_being_stored_with_its_moments_in_milliseconds() {
        let until = Timestamp::from_millisecond(1_796_086_800_123).unwrap();
        let body =
            NoticeBody::PaymentFailed { bought: opened().bought(), reason: Reason::Expired, retried: false, until };
        let notice = Notice { to: Private::new("kim@example.com"), name: None, locale: Locale::Ko, body };
        let stored = toml::Value::try_from(&notice).unwrap();
        assert_eq!(stored["body"]["until"].as_integer(), Some(1_796_086_800_123));
        assert_eq!(stored.try_into::<Notice>(), Ok(notice));
    }

    #[test]
    fn what_is_told_has_one_name_in_templates_and_in_stored_rows() {
        let (bought, at) = (opened().bought(), Timestamp::UNIX_EPOCH);
        let (amount, paid_at) = (bought.amount, at);
        let method = MethodLabel { kind: MethodKind::Paypal, name: None, last4: None };
        let reason = EndReason::Canceled;
        let bodies = [
            NoticeBody::Receipt { bought: bought.clone(), vat: amount, paid_at, receipt_url: None, next_billing: None },
            NoticeBody::PaymentFailed { bought: bought.clone(), reason: Reason::Expired, retried: true, until: at },
            NoticeBody::UpgradeFailed { bought: bought.clone(), reason: Reason::Expired },
            NoticeBody::SubscriptionEnded { plan_name: "Standard".to_owned(), reason, unpaid: None, ended_at: at },
            NoticeBody::SubscriptionStarted {
                begun: Begun {
                    plan_name: "Standard".to_owned(),
                    seats: 3,
                    monthly: amount,
                    method: method.clone(),
                    trial_end: Some(at),
                    first_charge_at: at,
                    first_charge: amount,
                    first_period: bought.period,
                },
            },
            NoticeBody::MethodRegistered { method: method.clone(), at },
            NoticeBody::MethodRemoved { method, at },
            NoticeBody::Refunded { bought, refunded: amount, total_refunded: amount, at },
        ];
        for body in &bodies {
            assert_eq!(toml::Value::try_from(body).unwrap()["kind"].as_str(), Some(body.name()));
        }
    }
}
