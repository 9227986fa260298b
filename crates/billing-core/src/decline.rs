//! Declines: what a payment gateway's code means, for the dunning ladder and in plain words.

use serde::{Deserialize, Serialize};

mod table;

/// The payment gateways (PG) whose decline codes are known here. `PortOne` passes a PG's own code on, untranslated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Pg {
    /// Toss Payments.
    TossPayments,
    /// KG Inicis.
    Inicis,
    /// NHN KCP.
    Kcp,
    /// Nice Payments.
    Nice,
    /// `PayPal`.
    PayPal,
    /// Any other, by `PortOne`'s name for it.
    Other(String),
}

impl Pg {
    /// The PG of `PortOne`'s `pgProvider`.
    pub fn from_provider(provider: &str) -> Self {
        match provider {
            "TOSSPAYMENTS" => Self::TossPayments,
            "INICIS" | "INICIS_V2" => Self::Inicis,
            "KCP" | "KCP_V2" => Self::Kcp,
            "NICE" | "NICE_V2" => Self::Nice,
            "PAYPAL" | "PAYPAL_V2" => Self::PayPal,
            other => Self::Other(other.to_owned()),
        }
    }

    /// `PortOne`'s name for it, in its current form.
    pub fn provider(&self) -> &str {
        match self {
            Self::TossPayments => "TOSSPAYMENTS",
            Self::Inicis => "INICIS_V2",
            Self::Kcp => "KCP_V2",
            Self::Nice => "NICE_V2",
            Self::PayPal => "PAYPAL_V2",
            Self::Other(name) => name,
        }
    }

    /// Whether a charge it accepts may still be undecided (`PAY_PENDING`): PayPal's, and for all that is known any other's. `PortOne`'s answer
    /// to such a charge cannot be told from that to a paid one (its contract makes `paidAt` required in both), so the payment is read.
    pub fn may_be_undecided(&self) -> bool {
        match self {
            Self::PayPal | Self::Other(_) => true,
            Self::TossPayments | Self::Inicis | Self::Kcp | Self::Nice => false,
        }
    }

    /// How many bytes of an order name it takes; longer ones are refused or cut at the PG (`PortOne`'s PG guides: Inicis and Nice 40 bytes,
    /// KCP 100 bytes, Toss Payments 100 characters; 40 is safe with the others).
    pub fn order_name_bytes(&self) -> usize {
        match self {
            Self::TossPayments | Self::Kcp | Self::PayPal => 100,
            Self::Inicis | Self::Nice | Self::Other(_) => 40,
        }
    }
}

impl From<String> for Pg {
    fn from(name: String) -> Self {
        Self::from_provider(&name)
    }
}

impl From<Pg> for String {
    fn from(pg: Pg) -> Self {
        pg.provider().to_owned()
    }
}

/// Why a charge was declined, as far as a customer can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too little money in the account, or the card's limit reached: the PG does not say which.
    InsufficientFunds,
    /// An amount or count limit was exceeded.
    LimitExceeded,
    /// The card has expired.
    Expired,
    /// The card was reported lost or stolen.
    LostOrStolen,
    /// The card number or billing key is not valid.
    Invalid,
    /// The card is suspended or the account closed.
    Closed,
    /// The billing key no longer exists, or there is none.
    NoMethod,
    /// The issuer or the PG refused for a reason of its own, which may pass.
    Refused,
    /// The PG, the card network or the bank was unavailable.
    Unavailable,
    /// A code that is not in the table.
    Unknown,
}

/// What the dunning ladder makes of a decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Trying again with the same method cannot help: the customer is asked for a new one at once.
    Hard,
    /// It may pass later. Unknown codes are soft, for a needless retry costs less than a lost customer.
    Soft,
}

impl Reason {
    /// Whether a retry can help.
    pub fn severity(self) -> Severity {
        match self {
            Self::Expired | Self::LostOrStolen | Self::Invalid | Self::Closed | Self::NoMethod => Severity::Hard,
            Self::InsufficientFunds | Self::LimitExceeded | Self::Refused | Self::Unavailable | Self::Unknown => {
                Severity::Soft
            }
        }
    }
}

/// A decline: the PG's own words, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// What it means.
    pub reason: Reason,
    /// The PG's own code, or `PortOne`'s error type where the PG was not asked.
    pub code: String,
}

/// Longer codes are cut before they are kept; no PG's code comes near it.
pub const MAX_CODE_BYTES: usize = 128;

impl Decline {
    /// Reads a PG's code. Codes that are not in the table are kept, as [`Reason::Unknown`].
    pub fn from_pg(pg: &Pg, code: &str) -> Self {
        let reason = table::TABLE.iter().find(|row| row.0 == *pg && row.1 == code).map_or(Reason::Unknown, |row| row.2);
        Self { reason, code: crate::text::cut_to_bytes(code, MAX_CODE_BYTES).to_owned() }
    }

    /// The billing key is gone: said by `PortOne` itself (`BILLING_KEY_NOT_FOUND`, `BILLING_KEY_ALREADY_DELETED`) or found in our own books.
    pub fn no_method(code: &str) -> Self {
        Self { reason: Reason::NoMethod, code: crate::text::cut_to_bytes(code, MAX_CODE_BYTES).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_kept_and_is_soft() {
        let decline = Decline::from_pg(&Pg::TossPayments, "NEVER_SEEN");
        assert_eq!((decline.reason, decline.code.as_str()), (Reason::Unknown, "NEVER_SEEN"));
        assert_eq!(decline.reason.severity(), Severity::Soft);
    }

    #[test]
    fn a_stolen_or_expired_card_is_hard() {
        for code in ["INVALID_CARD_LOST_OR_STOLEN", "INVALID_CARD_EXPIRATION"] {
            assert_eq!(Decline::from_pg(&Pg::TossPayments, code).reason.severity(), Severity::Hard, "{code}");
        }
    }

    #[test]
    fn a_code_means_something_only_at_its_own_pg() {
        assert_eq!(Decline::from_pg(&Pg::Kcp, "INVALID_CARD_EXPIRATION").reason, Reason::Unknown);
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        for (i, a) in table::TABLE.iter().enumerate() {
            assert!(table::TABLE.iter().skip(i + 1).all(|b| (&a.0, a.1) != (&b.0, b.1)), "{:?} {}", a.0, a.1);
        }
    }

    #[test]
    fn a_pg_survives_its_name() {
        for name in ["TOSSPAYMENTS", "INICIS_V2", "KCP_V2", "NICE_V2", "PAYPAL_V2", "SMARTRO_V2"] {
            assert_eq!(Pg::from_provider(name).provider(), name);
            assert_eq!(toml::Value::try_from(Pg::from_provider(name)).unwrap().as_str(), Some(name));
        }
    }

    #[test]
    fn a_pg_is_the_same_in_its_old_and_its_current_form() {
        for name in ["INICIS", "KCP", "NICE", "PAYPAL"] {
            assert_eq!(Pg::from_provider(name).provider(), format!("{name}_V2"));
        }
    }

    #[test]
    fn an_order_name_may_be_as_long_as_the_pg_takes() {
        for (name, bytes) in [
            ("TOSSPAYMENTS", 100),
            ("KCP_V2", 100),
            ("PAYPAL_V2", 100),
            ("INICIS_V2", 40),
            ("NICE_V2", 40),
            ("SMARTRO_V2", 40),
        ] {
            assert_eq!(Pg::from_provider(name).order_name_bytes(), bytes, "{name}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for soft in
            [Reason::InsufficientFunds, Reason::LimitExceeded, Reason::Refused, Reason::Unavailable, Reason::Unknown]
        {
            assert_eq!(soft.severity(), Severity::Soft, "{soft:?}");
        }
        for hard in [Reason::Expired, Reason::LostOrStolen, Reason::Invalid, Reason::Closed, Reason::NoMethod] {
            assert_eq!(hard.severity(), Severity::Hard, "{hard:?}");
        }
    }

    #[test]
    fn a_code_longer_than_any_pgs_is_cut() {
        let long = "X".repeat(200);
        assert_eq!(Decline::from_pg(&Pg::Kcp, &long).code.len(), MAX_CODE_BYTES);
        assert_eq!(Decline::no_method(&long).code.len(), MAX_CODE_BYTES);
    }

    #[test]
    fn a_charge_may_stay_undecided_at_paypal_and_at_a_pg_nobody_knows() {
        for (provider, may) in [
            ("PAYPAL_V2", true),
            ("SMARTRO_V2", true),
            ("TOSSPAYMENTS", false),
            ("INICIS_V2", false),
            ("KCP_V2", false),
            ("NICE_V2", false),
        ] {
            assert_eq!(Pg::from_provider(provider).may_be_undecided(), may, "{provider}");
        }
    }
}
