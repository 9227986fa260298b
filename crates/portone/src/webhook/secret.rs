//! The secret that `PortOne` signs webhooks with.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use crate::secret::redacting_debug;

const PREFIX: &str = "whsec_";

/// A webhook secret, made in `PortOne`'s console, one set for test and one for live.
///
/// Up to two are alive at a time, so that one can replace the other: [`verify`](super::verify) takes several.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

redacting_debug!(WebhookSecret);

/// The text cannot be a webhook secret. It is not part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookSecret {
    /// Nothing is left after the prefix.
    #[error("the webhook secret is empty")]
    Empty,
    /// Not standard base64 with padding.
    #[error("the webhook secret is not base64")]
    NotBase64,
}

impl WebhookSecret {
    /// Reads a secret as the console shows it: standard base64, with `whsec_` before it or not.
    pub fn new(text: &str) -> Result<Self, InvalidWebhookSecret> {
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = STANDARD.decode(text).map_err(|_| InvalidWebhookSecret::NotBase64)?;
        if key.is_empty() {
            return Err(InvalidWebhookSecret::Empty);
        }
        // HMAC takes keys of any length; the error cannot occur, and refusing is right if it ever does.
        Hmac::new_from_slice(&key).map(Self).map_err(|_| InvalidWebhookSecret::Empty)
    }

    /// A signature in the making.
    pub(super) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}
