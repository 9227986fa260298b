//! `PortOne` V2: a client for the payment and billing-key API, and verification of its webhooks.
//!
//! The crate knows HTTP and JSON and nothing else: it reads no clock, no environment and no file, it retries nothing,
//! and it decides nothing about money. What it does promise:
//!
//! - **An unknown outcome looks like one.** A timeout, a dropped connection, an HTML page from a gateway: none of them
//!   says that a payment failed. [`Error::outcome_unknown`] tells them from a real refusal, and a refusal is told by
//!   its [`ErrorKind`], never by its HTTP status: a declined card is a 502.
//! - **The outside world may grow.** Unknown fields are ignored and unknown enum values are kept in an `Other` arm.
//! - **Secrets do not print.** API secrets, webhook secrets, billing keys and personal data have redacting `Debug`
//!   and no `Display`, and no error carries one.
//!
//! ```no_run
//! use portone::{ApiSecret, BillingKey, BillingKeyPayment, Client, Currency, ErrorKind, IdempotencyKey, PaymentId};
//!
//! # async fn charge(secret: String, key: String) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().build()?.with_secret(ApiSecret::new(secret)?);
//! let id = PaymentId::new("inv20261201a")?;
//! // The key names this attempt: send the same one again only to ask again about the same attempt.
//! let attempt = IdempotencyKey::new("inv20261201a-attempt-1")?;
//! let order = BillingKeyPayment::new(BillingKey::new(key)?, "Pro, December", 9_900, Currency::Krw);
//!
//! match client.pay_with_billing_key(&id, &attempt, &order).await {
//!     Ok(receipt) => println!("paid: {}", receipt.pg_tx_id),
//!     Err(e) if e.outcome_unknown() => println!("ask: {:?}", client.payment(&id).await?.status),
//!     Err(e) if e.kind() == Some(&ErrorKind::PgProvider) => println!("declined: {e}"),
//!     Err(e) => return Err(e.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Webhooks are in [`webhook`]: verify the raw bytes, then treat the event as a hint and read the truth from the API.

mod open_enum;

mod answer;
mod billing_key;
mod client;
mod common;
mod error;
mod ids;
mod payment;
mod request;
mod secret;
pub mod webhook;

pub use answer::{MAX_ANSWER_BYTES, MAX_EXCERPT_CHARS, MAX_MESSAGE_CHARS};
pub use billing_key::{
    BillingKeyInfo, BillingKeyMethod, BillingKeyQuery, BillingKeySort, BillingKeyStatus, BillingKeyTime, Card,
    DeleteBillingKey,
};
pub use client::{
    BuildError, Client, ClientBuilder, DEFAULT_BASE_URL, DEFAULT_CONNECT_TIMEOUT, DEFAULT_READ_TIMEOUT, Unsigned,
};
pub use common::{Channel, ChannelKind, Currency, Customer, PageInfo, PageRequest, Paged, Requester, SortOrder};
pub use error::{ApiError, Error, ErrorKind, PgFailure, TransportPhase};
pub use ids::{
    ChannelKey, Cursor, IdempotencyKey, InvalidIdempotencyKey, InvalidPaymentId, PaymentId, StoreId, TransactionId,
};
pub use payment::{
    Cancellation, CancellationDetails, CursorQuery, Dispute, DisputeStatus, Failure, Payment, PaymentAmount,
    PaymentQuery, PaymentSort, PaymentStatus, PaymentTime, PaymentWebhook,
};
pub use request::{
    Address, AmountInput, BillingKeyPayment, BillingKeyPaymentReceipt, CancelPayment, CustomerInput, CustomerName,
    Locale, Product, ProductType,
};
pub use secret::{ApiSecret, BillingKey, InvalidBillingKey, InvalidSecret, Personal};
