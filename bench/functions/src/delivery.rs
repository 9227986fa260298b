//! Webhooks as they arrive: an event of `events/webhook/`, with all of its headers, signed afresh.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use portone::webhook::{self, Event, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, VerifyError, WebhookHeaders};
use serde::de::DeserializeOwned;
use serde_json::Value;
use standardwebhooks::{Webhook, WebhookError};

/// `Transaction.Paid`: most of what `PortOne` sends.
pub const PAID: &str = include_str!("../../../events/webhook/paid.json");

/// `BillingKey.Issued`: a registration.
pub const ISSUED: &str = include_str!("../../../events/webhook/billing-key-issued.json");

/// The secret it is signed with.
pub const SECRET: &str = "whsec_bm90LXRoZS1zZWNyZXQtb2YtYW55LXN0b3JlISE=";

/// One webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// All headers, the signature's three among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// The secret, as the function keeps it between two webhooks.
pub fn secrets() -> Vec<webhook::WebhookSecret> {
    vec![webhook::WebhookSecret::new(SECRET).unwrap()]
}

impl Delivery {
    /// An event of API Gateway's, as if it were sent at `at`.
    pub fn of(event: &str, at: Timestamp) -> Self {
        let event: Value = serde_json::from_str(event).unwrap();
        let body = event["body"].as_str().unwrap().to_owned();
        let mut headers: HeaderMap = event["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap()))
            .collect();
        let id = headers[ID_HEADER].to_str().unwrap();
        let signature = webhook::sign(&secrets()[0], id, at, body.as_bytes());
        headers.insert(SIGNATURE_HEADER, signature.parse().unwrap());
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from(at.as_second()));
        Self { headers, body }
    }

    /// The same with a signature that somebody else made.
    #[must_use]
    pub fn forged(mut self) -> Self {
        self.headers
            .insert(SIGNATURE_HEADER, HeaderValue::from_static("v1,bWFrZSBldmVudCBzaWducyB0aGlzIGFmcmVzaCBub3c="));
        self
    }

    /// The same without a signature.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.headers.remove(SIGNATURE_HEADER);
        self
    }

    /// What our webhook function does with it before anything is written, refused or read.
    pub fn receive(&self, secrets: &[webhook::WebhookSecret], now: Timestamp) -> Result<Event, VerifyError> {
        let headers =
            WebhookHeaders::from_values(|name| self.headers.get_all(name).into_iter().map(HeaderValue::as_bytes))?;
        let verified = webhook::verify(secrets, &headers, self.body.as_bytes(), now)?;
        Ok(verified.parse().unwrap())
    }

    /// The same by the Standard Webhooks project's own crate, which reads no bodies: `T` is read by `serde_json`.
    pub fn receive_by_standardwebhooks<T: DeserializeOwned>(&self, webhook: &Webhook) -> Result<T, WebhookError> {
        webhook.verify(self.body.as_bytes(), &self.headers)?;
        Ok(serde_json::from_str(&self.body).unwrap())
    }
}

/// So long before a moment that what was signed then is too old.
pub fn long_before(at: Timestamp) -> Timestamp {
    at - SignedDuration::from_secs(webhook::TOLERANCE_SECONDS + 1)
}
