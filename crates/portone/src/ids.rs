//! Names: of payments, stores, channels, transactions, and of one attempt.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether the text, percent-encoded, stays one path segment. A blank one vanishes; `.` and `..` are folded away by
/// URL parsers even when encoded, so that the request would reach another endpoint.
pub(crate) fn is_path_segment(text: &str) -> bool {
    !text.trim().is_empty() && text != "." && text != ".."
}

macro_rules! plain_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

plain_id! {
    /// A store of the merchant, `store-…`.
    StoreId
}
plain_id! {
    /// A channel: one contract with one payment gateway, `channel-key-…`.
    ChannelKey
}
plain_id! {
    /// One try to pay a payment. A payment tried twice has had two.
    TransactionId
}
plain_id! {
    /// A place in a list read by cursor.
    Cursor
}

/// The merchant's own name for a payment. It can be *attempted* several times but can *succeed* only once: that is
/// `PortOne`'s guard against double payment.
///
/// Payment gateways have narrower rules than this type; `[A-Za-z0-9]{6,40}` suits all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId(String);

/// The text cannot be a payment id: it is blank, or it is `.` or `..`, which would name another URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payment id is blank or a dot segment")]
pub struct InvalidPaymentId;

impl PaymentId {
    /// Accepts any text that can stand in a URL path.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidPaymentId> {
        let id = id.into();
        if is_path_segment(&id) { Ok(Self(id)) } else { Err(InvalidPaymentId) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PaymentId {
    type Error = InvalidPaymentId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id)
    }
}

impl From<PaymentId> for String {
    fn from(id: PaymentId) -> Self {
        id.0
    }
}

/// The name of one attempt. For three hours `PortOne` answers a repeated key with the first answer, failures
/// included: a *retransmission* keeps the key, a *new attempt* needs a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The text cannot be an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdempotencyKey {
    /// Not 16 to 256 characters.
    #[error("an idempotency key has 16 to 256 characters, this one has {0}")]
    Length(usize),
    /// A character outside `[A-Za-z0-9_-]`.
    #[error("an idempotency key consists of ASCII letters, digits, `-` and `_`")]
    Alphabet,
}

impl IdempotencyKey {
    /// Accepts 16 to 256 characters of `[A-Za-z0-9_-]`, the length `PortOne` requires and the alphabet it recommends.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidIdempotencyKey> {
        let key = key.into();
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(InvalidIdempotencyKey::Alphabet);
        }
        if !(16..=256).contains(&key.len()) {
            return Err(InvalidIdempotencyKey::Length(key.len()));
        }
        Ok(Self(key))
    }

    /// The text, without the quotes it travels in.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
