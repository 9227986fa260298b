//! Values that must never be printed.
//!
//! None of these types has `Display`, and `Debug` shows only the type's name. Reading the text takes a call to
//! `expose`, which is easy to search for.

use std::fmt;

use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

macro_rules! redacting_debug {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}
pub(crate) use redacting_debug;

/// A V2 API secret, made in `PortOne`'s console. It expires, so it must be replaceable: see
/// [`Client::with_secret`](crate::Client::with_secret).
#[derive(Clone)]
pub struct ApiSecret {
    text: String,
    header: HeaderValue,
}

redacting_debug!(ApiSecret);

/// The text cannot be an API secret. It is not part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// There is no text at all.
    #[error("the API secret is empty")]
    Empty,
    /// A space, a line end, a control or a non-ASCII character: usually a secret pasted or stored with a line end.
    #[error("the API secret holds a character that is not visible ASCII")]
    NotHeaderSafe,
}

impl ApiSecret {
    /// Accepts visible ASCII only: anything else cannot be sent in a header, or was not meant to be.
    pub fn new(secret: impl Into<String>) -> Result<Self, InvalidSecret> {
        let text = secret.into();
        if text.is_empty() {
            return Err(InvalidSecret::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidSecret::NotHeaderSafe);
        }
        let mut header = HeaderValue::try_from(format!("PortOne {text}")).map_err(|_| InvalidSecret::NotHeaderSafe)?;
        header.set_sensitive(true);
        Ok(Self { text, header })
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The text, to remove it from what others sent us.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

/// A billing key: whoever holds it together with the API secret can charge the customer.
///
/// Opaque text. In JSON it is a plain string.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BillingKey(String);

redacting_debug!(BillingKey);

/// The text cannot be a billing key: it is blank, or it is `.` or `..`, which would name another URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the billing key is blank or a dot segment")]
pub struct InvalidBillingKey;

impl BillingKey {
    /// Accepts any text that can stand in a URL path: the shape is `PortOne`'s to choose.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidBillingKey> {
        let key = key.into();
        if crate::ids::is_path_segment(&key) { Ok(Self(key)) } else { Err(InvalidBillingKey) }
    }

    /// The key itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BillingKey {
    type Error = InvalidBillingKey;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        Self::new(key)
    }
}

impl From<BillingKey> for String {
    fn from(key: BillingKey) -> Self {
        key.0
    }
}

/// A piece of personal data: a name, an e-mail address, a phone or account number. In JSON it is a plain string.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal(String);

redacting_debug!(Personal);

impl Personal {
    /// Wraps any text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Personal {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Personal {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
