//! Webhooks: verification by Standard Webhooks (HMAC-SHA256), then decoding.
//!
//! An event is known to come from `PortOne` once [`verify`] has returned it, and not before: [`VerifiedWebhook`] cannot
//! be made otherwise. It is still only a hint, delivered at least once and in any order. Read the truth from the API.
//!
//! ```
//! use portone::webhook::{self, EventKind, WebhookHeaders, WebhookSecret};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = WebhookSecret::new("pzQGE83cSIRKM4/WH5QY+g==")?;
//! let now = "2024-04-25T10:00:00Z".parse()?; // from the caller's clock
//! let body = br#"{"type":"Something.New","timestamp":"2024-04-25T10:00:00Z","data":{}}"#;
//! let signature = webhook::sign(&secret, "some-id", now, body); // PortOne's part
//!
//! let headers = WebhookHeaders::from_iter([
//!     ("Webhook-Id", "some-id".as_bytes()),
//!     ("Webhook-Timestamp", b"1714039200"),
//!     ("Webhook-Signature", signature.as_bytes()),
//! ])?;
//! let event = webhook::verify(&[secret], &headers, body, now)?.parse()?;
//! assert_eq!(event.kind, EventKind::Other { kind: "Something.New".to_owned() });
//! # Ok(())
//! # }
//! ```

mod event;
mod headers;
mod secret;
mod verify;

pub use event::{BillingKeyEvent, Event, EventKind, ParseError, TransactionEvent};
pub use headers::{ID_HEADER, MAX_HEADER_BYTES, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookHeaders};
pub use secret::{InvalidWebhookSecret, WebhookSecret};
pub use verify::{MAX_SIGNATURES, TOLERANCE_SECONDS, VerifiedWebhook, VerifyError, sign, verify};
