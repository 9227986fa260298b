//! Identities. What must be the same on every try, by anyone, forever is derived here, from facts alone.

use crate::calendar::Period;
use crate::invoice::Part;
use crate::subscription::SubscriptionKey;
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// An id that came from outside was empty, too long, or held a control character.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a {what} must be 1 to {max} characters without control characters", max = MAX_ID_BYTES)]
pub struct BadId {
    what: &'static str,
}

/// `DynamoDB` allows key attributes of 1,024 (sort) bytes; nothing that names a person or a subscription comes near this.
pub const MAX_ID_BYTES: usize = 256;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes an id from outside.
            pub fn new(value: impl Into<String>) -> Result<Self, BadId> {
                let value = value.into();
                if value.is_empty() || value.len() > MAX_ID_BYTES || value.chars().any(char::is_control) {
                    return Err(BadId { what: $what });
                }
                Ok(Self(value))
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(value: String) -> Result<Self, BadId> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// Who pays: the customer's user id, and `PortOne`'s `customer.id`.
    UserId, "user id"
);
text_id!(
    /// One customer's agreement.
    SubscriptionId, "subscription id"
);
text_id!(
    /// `PortOne`'s store.
    StoreId, "store id"
);
text_id!(
    /// The invoice's name at `PortOne`. Ours come from [`PaymentId::derive`]; others arrive in webhooks.
    PaymentId, "payment id"
);

/// The parts of an identity, each with its length, so that no two identities share an input.
pub(crate) fn hash_of(parts: &[&str]) -> Sha256 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash
}

/// A prefix and the first 160 bits of a hash in base32: 32 characters of `[A-Z2-7]` and the prefix.
pub(crate) fn named(prefix: &str, hash: Sha256) -> String {
    let digest = hash.finalize();
    format!("{prefix}{}", BASE32_NOPAD.encode(digest.get(..20).unwrap_or(&digest)))
}

impl SubscriptionId {
    /// The id of a user's next subscription, who has `had` so many before. Two checkouts that are open at once name the same one, so that
    /// only one of them can start it; rows are never deleted, so the count only rises.
    pub fn derive(user: &UserId, had: usize) -> Self {
        Self(named("sub", hash_of(&["subscription", user.as_str(), &had.to_string()])))
    }
}

/// How often a `paymentId` that `PortOne` calls used up may be replaced.
pub const MAX_REVISION: u8 = 9;

/// How many shards the books of a month are kept in. A charge writes three units to its line there, and a partition of `DynamoDB` takes a
/// thousand a second: so four take some 1,300 charges a second.
pub const BOOKS_SHARDS: u8 = 4;

impl PaymentId {
    /// What every derived id starts with; what does not is no invoice of ours.
    pub const PREFIX: &'static str = "inv";

    /// The name of the invoice of (`store`, `subscription`, `period`): the same on every attempt, by anyone, forever. A subscription is known
    /// by its user and its id together, so two users' subscriptions of one id are two.
    ///
    /// `PREFIX` and 160 bits of SHA-256 in base32: 35 characters of `[A-Za-z0-9]`, which every PG accepts (the narrowest: Smartro's 40,
    /// KCP's letters and digits). Each part goes in with its length, so that no two identities share an input. `revision` is 0 but for an
    /// id that `PortOne` says is used up.
    ///
    /// An upgrade within the period has an invoice of its own, known by the month and its number: every period lies in a month of its own.
    pub fn derive(store: &StoreId, subscription: &SubscriptionKey, period: Period, part: Part, revision: u8) -> Self {
        let (period, upgrade) = match part {
            Part::Period => (period.to_string(), None),
            Part::Upgrade(number) => (period.month_id(), Some(format!("upgrade-{number}"))),
        };
        let names = [store.as_str(), subscription.user_id.as_str(), subscription.id.as_str(), period.as_str()];
        let names: Vec<&str> = names.into_iter().chain(upgrade.as_deref()).collect();
        let mut hash = hash_of(&names);
        if revision > 0 {
            hash.update([revision]);
        }
        Self(named(Self::PREFIX, hash))
    }

    /// The shard of a month's books that its invoice lies in: from its name, so that it never moves.
    pub fn books_shard(&self) -> u8 {
        self.0.bytes().next_back().unwrap_or(0).checked_rem(BOOKS_SHARDS).unwrap_or(0)
    }

    /// Whether the id has the shape of a derived one.
    pub fn is_ours(&self) -> bool {
        self.0.len() == 35 && self.0.starts_with(Self::PREFIX)
    }

    /// The idempotency key of one attempt: the same for a re-send, another for another attempt.
    ///
    /// `PortOne`: 16 to 256 ASCII characters, sent as a quoted string, kept for 3 hours, earlier answers replayed unchanged.
    pub fn idempotency_key(&self, attempt: u32) -> String {
        format!("{}-{attempt}", self.0)
    }

    /// The idempotency key of one refund; no attempt has such a one.
    pub fn refund_key(&self, refund: u32) -> String {
        format!("{}-refund-{refund}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn derive(store: &str, subscription: &str, period: &str, revision: u8) -> PaymentId {
        derive_for("user_1", store, subscription, period, revision)
    }

    fn derive_for(user: &str, store: &str, subscription: &str, period: &str, revision: u8) -> PaymentId {
        let key =
            SubscriptionKey { user_id: UserId::new(user).unwrap(), id: SubscriptionId::new(subscription).unwrap() };
        PaymentId::derive(&StoreId::new(store).unwrap(), &key, Period::parse(period).unwrap(), Part::Period, revision)
    }

    #[test]
    fn a_payment_id_never_changes() {
        // Changing the derivation would charge every open invoice again under another name.
        assert_eq!(derive("store-1", "sub_1", "2026-12-01", 0).as_str(), "invXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEVW");
    }

    #[test]
    fn an_invoice_never_leaves_its_shard_of_the_books_and_every_shard_is_used() {
        let shard = |id: usize| derive("store-1", &format!("sub_{id}"), "2026-12-01", 0).books_shard();
        assert_eq!([1, 2, 3, 4].map(shard), [3, 1, 3, 1]);
        let used: std::collections::BTreeSet<u8> = (0..100).map(shard).collect();
        assert_eq!(used, (0..BOOKS_SHARDS).collect());
    }

    #[test]
    fn store_subscription_period_and_revision_each_make_another_payment_id() {
        let ids = [
            derive("store-1", "sub_1", "2026-12-01", 0),
            derive("store-2", "sub_1", "2026-12-01", 0),
            derive("store-1", "sub_2", "2026-12-01", 0),
            derive("store-1", "sub_1", "2027-01-01", 0),
            derive("store-1", "sub_1", "2026-12-01", 1),
            derive("store-1s", "ub_1", "2026-12-01", 0),
            derive_for("user_2", "store-1", "sub_1", "2026-12-01", 0),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids.iter().skip(i + 1).all(|b| a != b));
        }
    }

    #[test]
    fn each_upgrade_of_a_period_has_a_payment_id_of_its_own() {
        let key =
            SubscriptionKey { user_id: UserId::new("user_1").unwrap(), id: SubscriptionId::new("sub_1").unwrap() };
        let id = |part, revision| {
            let period = Period::parse("2026-12-01").unwrap();
            PaymentId::derive(&StoreId::new("store-1").unwrap(), &key, period, part, revision)
        };
        let ids = [id(Part::Period, 0), id(Part::Upgrade(1), 0), id(Part::Upgrade(2), 0), id(Part::Upgrade(1), 1)];
        for (i, a) in ids.iter().enumerate() {
            assert!(a.is_ours() && ids.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(ids[1].as_str(), "inv6D5SLFRJ4WEFOPAZ7HEEPQLNJGVGLDBI", "never changes either");
    }

    #[test]
    fn a_payment_id_of_another_shape_is_no_invoice_of_ours() {
        let is_ours = |id: &str| PaymentId::new(id).unwrap().is_ours();
        assert!(is_ours("invXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEVW"));
        assert!(!is_ours("ordXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEVW"), "another start");
        assert!(!is_ours("invXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEV"), "too short");
        assert!(!is_ours("invXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEVWX"), "too long");
    }

    #[test]
    fn a_users_next_subscription_has_one_name_and_every_other_another() {
        let (kim, lee) = (UserId::new("user_456").unwrap(), UserId::new("user_4").unwrap());
        assert_eq!(SubscriptionId::derive(&kim, 0), SubscriptionId::derive(&kim, 0));
        assert_ne!(SubscriptionId::derive(&kim, 0), SubscriptionId::derive(&kim, 1));
        assert_ne!(SubscriptionId::derive(&kim, 0), SubscriptionId::derive(&lee, 560));
        assert_eq!(SubscriptionId::derive(&kim, 0).as_str().len(), 35);
    }

    #[test]
    fn each_attempt_has_its_own_idempotency_key() {
        let id = derive("store-1", "sub_1", "2026-12-01", 0);
        assert_eq!(id.idempotency_key(1), format!("{id}-1"));
        assert_ne!(id.idempotency_key(1), id.idempotency_key(2));
    }

    #[test]
    fn an_id_from_outside_is_bounded() {
        assert!(UserId::new("").is_err());
        assert!(UserId::new("a\nb").is_err());
        assert!(UserId::new("x".repeat(257)).is_err());
        assert!(UserId::new("x".repeat(256)).is_ok());
        assert!(UserId::new("user_456").is_ok());
    }

    proptest! {
        #[test]
        fn a_payment_id_is_accepted_by_every_pg(store in "[!-~]{1,60}", sub in "[!-~]{1,60}", revision in 0..=MAX_REVISION) {
            let id = derive(&store, &sub, "2026-12-01", revision);
            prop_assert!(id.as_str().len() <= 40 && id.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
            prop_assert!(id.is_ours());
            prop_assert!((16..=256).contains(&id.idempotency_key(4).len()));
            prop_assert!((16..=256).contains(&id.refund_key(u32::MAX).len()));
        }
    }
}
