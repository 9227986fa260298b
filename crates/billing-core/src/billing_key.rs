//! Billing keys: `PortOne`'s tokens for a customer's payment method.

use crate::decline::Pg;
use crate::id::UserId;
use crate::private::Private;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A billing key: whoever holds it and the API secret can charge the customer. It does not print.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BillingKey(String);

impl BillingKey {
    /// Wraps a key.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The key itself: for `PortOne` and the tables, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BillingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[billing key]")
    }
}

/// The kinds of payment method, as the tables spell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MethodKind {
    /// A credit or debit card.
    Card,
    /// `PayPal`.
    Paypal,
    /// An easy-pay wallet such as `KakaoPay` or `NaverPay`.
    EasyPay,
    /// A phone bill.
    Mobile,
    /// A bank account.
    Transfer,
}

/// What is known of a card. Nothing here can charge it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardInfo {
    /// The card's product name, such as `신한카드`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The issuer's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The brand's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
}

/// A payment method as a customer knows it, for mails: `신한카드 1234`, `PayPal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodLabel {
    /// Its kind.
    pub kind: MethodKind,
    /// Its name where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The last four digits of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
}

/// Whether a key can still be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyStatus {
    /// It can.
    Active,
    /// It was deleted at `PortOne`.
    Deleted,
}

/// A registered payment method: a row of `BillingKeys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Whose it is.
    pub user_id: UserId,
    /// When `PortOne` issued it; with the user it is the row's identity.
    pub created_at: Timestamp,
    /// The key.
    pub billing_key: BillingKey,
    /// `PortOne`'s customer id; ours are user ids.
    pub customer_id: String,
    /// The kind of method.
    pub method: MethodKind,
    /// The card, if it is one.
    pub card: Option<CardInfo>,
    /// The `PayPal` account, if it is one and `PortOne` tells.
    pub paypal_email: Option<Private>,
    /// Whether it is the one that the customer registered or chose last. At most one of a customer's keys is.
    pub is_default: bool,
    /// Whether it can be charged.
    pub status: KeyStatus,
    /// The channel that issued it.
    pub channel_key: Option<String>,
    /// The PG behind that channel.
    pub pg: Option<Pg>,
    /// The merchant's own id of the issuing.
    pub issue_id: Option<String>,
}

impl RegisteredKey {
    /// How a customer knows it.
    pub fn label(&self) -> MethodLabel {
        let card = self.card.clone().unwrap_or_default();
        MethodLabel { kind: self.method, name: card.name.or(card.issuer), last4: card.last4 }
    }
}

/// The last four digits of a masked card number such as `1234-56**-****-7890`; nothing if they are masked themselves.
pub fn last_four(masked: &str) -> Option<String> {
    let mut tail: Vec<char> = masked.chars().rev().filter(|c| c.is_ascii_digit() || *c == '*').take(4).collect();
    tail.reverse();
    (tail.len() == 4 && tail.iter().all(char::is_ascii_digit)).then(|| tail.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(method: MethodKind, card: Option<CardInfo>) -> RegisteredKey {
        RegisteredKey {
            user_id: UserId::new("user_456").unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            billing_key: BillingKey::new("billing-key-1"),
            customer_id: "user_456".to_owned(),
            method,
            card,
            paypal_email: None,
            is_default: true,
            status: KeyStatus::Active,
            channel_key: None,
            pg: None,
            issue_id: None,
        }
    }

    #[test]
    fn a_billing_key_does_not_print() {
        assert_eq!(format!("{:?}", BillingKey::new("billing-key-1")), "[billing key]");
    }

    #[test]
    fn a_billing_key_is_shown_only_when_it_is_asked_for() {
        assert_eq!(BillingKey::new("billing-key-1").expose(), "billing-key-1");
    }

    #[test]
    fn a_customer_knows_a_card_by_its_name_or_its_issuer_and_its_last_digits() {
        let card = CardInfo {
            name: Some("신한카드".to_owned()),
            issuer: Some("SHINHAN".to_owned()),
            brand: None,
            last4: Some("1234".to_owned()),
        };
        let named = registered(MethodKind::Card, Some(card.clone())).label();
        assert_eq!((named.name.as_deref(), named.last4.as_deref()), (Some("신한카드"), Some("1234")));
        let issued = registered(MethodKind::Card, Some(CardInfo { name: None, ..card })).label();
        assert_eq!(issued.name.as_deref(), Some("SHINHAN"));
    }

    #[test]
    fn a_method_that_is_no_card_is_known_by_its_kind() {
        let label = registered(MethodKind::Paypal, None).label();
        assert_eq!(label, MethodLabel { kind: MethodKind::Paypal, name: None, last4: None });
    }

    #[test]
    fn the_last_four_digits_are_read_from_a_masked_number() {
        assert_eq!(last_four("1234-56**-****-7890").as_deref(), Some("7890"));
        assert_eq!(last_four("123456******123*"), None);
        assert_eq!(last_four("12"), None);
    }
}
