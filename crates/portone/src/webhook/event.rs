//! What a webhook says.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ids::{PaymentId, StoreId, TransactionId};
use crate::secret::BillingKey;

/// An event. It carries names only; amounts, statuses and customers are read from the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened, to what.
    pub kind: EventKind,
    /// When it happened; the same in every redelivery. `None` if absent or unreadable: no decision needs it.
    pub timestamp: Option<Timestamp>,
    /// The type as it was written.
    pub raw_type: String,
}

/// What happened, to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// Something about a payment.
    Transaction {
        /// What.
        what: TransactionEvent,
        /// The payment.
        payment_id: PaymentId,
        /// The attempt.
        transaction_id: TransactionId,
        /// Its store.
        store_id: StoreId,
        /// The cancellation, with the events about one.
        cancellation_id: Option<String>,
    },
    /// Something about a billing key.
    BillingKey {
        /// What.
        what: BillingKeyEvent,
        /// The key.
        billing_key: BillingKey,
        /// Its store.
        store_id: StoreId,
    },
    /// A type this crate does not know. `PortOne` adds types without notice: answer 200.
    Other {
        /// The type as it was written.
        kind: String,
    },
}

/// What happened to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionEvent {
    /// The payment window was opened.
    Ready,
    /// Approved.
    Paid,
    /// A virtual account was issued.
    VirtualAccountIssued,
    /// Cancelled in part.
    PartialCancelled,
    /// Cancelled in full.
    Cancelled,
    /// Failed.
    Failed,
    /// Waits for approval (`PayPal`).
    PayPending,
    /// A cancellation was asked for, to be decided later.
    CancelPending,
    /// A dispute was opened.
    DisputeCreated,
    /// A dispute was closed.
    DisputeResolved,
    /// `PortOne` asks before it approves. Only by special arrangement.
    Confirm,
}

/// What happened to a billing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BillingKeyEvent {
    /// The window was opened.
    Ready,
    /// Issued.
    Issued,
    /// The issue failed.
    Failed,
    /// Deleted.
    Deleted,
    /// The customer changed the method of payment behind it.
    Updated,
}

/// Why a verified body is not an event. No part of the body is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON in UTF-8, or nested too deeply.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A field is absent which an event of this type has.
    #[error("the field {0} is missing")]
    MissingField(&'static str),
    /// A field is not what an event of this type has there.
    #[error("the field {0} is malformed")]
    InvalidField(&'static str),
}

enum Known {
    Transaction(TransactionEvent),
    BillingKey(BillingKeyEvent),
}

fn known(kind: &str) -> Option<Known> {
    use Known::{BillingKey, Transaction};
    Some(match kind {
        "Transaction.Ready" => Transaction(TransactionEvent::Ready),
        "Transaction.Paid" => Transaction(TransactionEvent::Paid),
        "Transaction.VirtualAccountIssued" => Transaction(TransactionEvent::VirtualAccountIssued),
        "Transaction.PartialCancelled" => Transaction(TransactionEvent::PartialCancelled),
        "Transaction.Cancelled" => Transaction(TransactionEvent::Cancelled),
        "Transaction.Failed" => Transaction(TransactionEvent::Failed),
        "Transaction.PayPending" => Transaction(TransactionEvent::PayPending),
        "Transaction.CancelPending" => Transaction(TransactionEvent::CancelPending),
        "Transaction.DisputeCreated" => Transaction(TransactionEvent::DisputeCreated),
        "Transaction.DisputeResolved" => Transaction(TransactionEvent::DisputeResolved),
        "Transaction.Confirm" => Transaction(TransactionEvent::Confirm),
        "BillingKey.Ready" => BillingKey(BillingKeyEvent::Ready),
        "BillingKey.Issued" => BillingKey(BillingKeyEvent::Issued),
        "BillingKey.Failed" => BillingKey(BillingKeyEvent::Failed),
        "BillingKey.Deleted" => BillingKey(BillingKeyEvent::Deleted),
        "BillingKey.Updated" => BillingKey(BillingKeyEvent::Updated),
        _ => return None,
    })
}

impl Event {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        // By way of `Value`, whose parser limits nesting; a typed one skips unknown fields at any depth.
        let Value::Object(event) = serde_json::from_slice(body).map_err(|_| ParseError::NotJson)? else {
            return Err(ParseError::NotAnObject);
        };
        let raw_type = text(&event, "type")?;
        let kind = match known(raw_type) {
            None => EventKind::Other { kind: raw_type.to_owned() },
            Some(known) => known.with(data(&event)?)?,
        };
        let timestamp = event.get("timestamp").and_then(Value::as_str).and_then(|text| text.parse().ok());
        Ok(Self { kind, timestamp, raw_type: raw_type.to_owned() })
    }
}

impl Known {
    fn with(self, data: &Map<String, Value>) -> Result<EventKind, ParseError> {
        let store_id = StoreId::new(text(data, "storeId")?);
        Ok(match self {
            Self::Transaction(what) => EventKind::Transaction {
                what,
                payment_id: PaymentId::new(text(data, "paymentId")?)
                    .map_err(|_| ParseError::InvalidField("paymentId"))?,
                transaction_id: TransactionId::new(text(data, "transactionId")?),
                store_id,
                cancellation_id: data.get("cancellationId").and_then(Value::as_str).map(str::to_owned),
            },
            Self::BillingKey(what) => EventKind::BillingKey {
                what,
                billing_key: BillingKey::new(text(data, "billingKey")?)
                    .map_err(|_| ParseError::InvalidField("billingKey"))?,
                store_id,
            },
        })
    }
}

fn data(event: &Map<String, Value>) -> Result<&Map<String, Value>, ParseError> {
    let data = event.get("data").ok_or(ParseError::MissingField("data"))?;
    data.as_object().ok_or(ParseError::InvalidField("data"))
}

fn text<'a>(object: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, ParseError> {
    let value = object.get(name).ok_or(ParseError::MissingField(name))?;
    value.as_str().ok_or(ParseError::InvalidField(name))
}
