//! Payments as they are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::{Channel, Currency, Customer, PageRequest, SortOrder, null_as_default, optional_billing_key};
use crate::ids::{Cursor, PaymentId, StoreId, TransactionId};
use crate::open_enum::open_enum;
use crate::secret::BillingKey;

open_enum! {
    /// Where a payment stands. `Failed` is not final: a later attempt under the same id may succeed.
    PaymentStatus {
        /// Begun, nothing paid.
        Ready = "READY",
        /// The gateway has not decided yet (`PayPal`).
        PayPending = "PAY_PENDING",
        /// Waits for a transfer to a virtual account.
        VirtualAccountIssued = "VIRTUAL_ACCOUNT_ISSUED",
        /// Paid.
        Paid = "PAID",
        /// Paid and partly cancelled.
        PartialCancelled = "PARTIAL_CANCELLED",
        /// Paid and fully cancelled.
        Cancelled = "CANCELLED",
        /// The last attempt failed.
        Failed = "FAILED",
    }
}

/// A payment, whatever its status: fields that the status does not have are `None` or empty.
///
/// Identity and money are required, and an answer without them is [`Undecodable`](crate::Error::Undecodable).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The merchant's name for it.
    pub id: PaymentId,
    /// The attempt this answer describes.
    pub transaction_id: TransactionId,
    /// The store it belongs to.
    pub store_id: StoreId,
    /// Where it stands.
    pub status: PaymentStatus,
    /// The money.
    pub amount: PaymentAmount,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// What was bought.
    #[serde(default, deserialize_with = "null_as_default")]
    pub order_name: String,
    /// The billing key it was charged to, if it was.
    #[serde(default, deserialize_with = "optional_billing_key")]
    pub billing_key: Option<BillingKey>,
    /// The channel, once one is chosen. Its `kind` tells a rehearsal from real money.
    pub channel: Option<Channel>,
    /// When it was requested.
    pub requested_at: Option<Timestamp>,
    /// When anything about it last changed.
    pub updated_at: Option<Timestamp>,
    /// When its status last changed.
    pub status_changed_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
    /// When it was last cancelled, in part or in full.
    pub cancelled_at: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The gateway's name for it.
    pub pg_tx_id: Option<String>,
    /// The receipt, for the customer.
    pub receipt_url: Option<String>,
    /// Its cancellations, finished or not.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cancellations: Vec<Cancellation>,
    /// Its disputes. `PortOne` lists them on payments that are `Paid`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub disputes: Vec<Dispute>,
    /// The customer.
    #[serde(default, deserialize_with = "null_as_default")]
    pub customer: Customer,
    /// The merchant's own data, as text.
    pub custom_data: Option<String>,
    /// The schedule that charged it, if one did.
    pub schedule_id: Option<String>,
}

/// The money of a payment, in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAmount {
    /// What was asked for.
    pub total: i64,
    /// The tax-free part of it.
    pub tax_free: i64,
    /// The VAT in it.
    pub vat: Option<i64>,
    /// What remains of the total without VAT and the tax-free part.
    pub supply: Option<i64>,
    /// Discounts of card issuers, of easy pays, and of promotions.
    pub discount: Option<i64>,
    /// What was really paid.
    pub paid: i64,
    /// What was cancelled.
    pub cancelled: i64,
    /// The tax-free part of what was cancelled.
    pub cancelled_tax_free: Option<i64>,
}

/// Why a payment failed. All of it is optional, unlike in [`PgFailure`](crate::PgFailure).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `PortOne`'s text.
    pub reason: Option<String>,
    /// The gateway's code.
    pub pg_code: Option<String>,
    /// The gateway's text.
    pub pg_message: Option<String>,
}

open_enum! {
    /// Where a dispute stands.
    DisputeStatus {
        /// Open.
        Unresolved = "UNRESOLVED",
        /// Closed.
        Resolved = "RESOLVED",
    }
}

/// A dispute: the customer asked their issuer for the money back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dispute {
    /// Where it stands.
    pub status: DisputeStatus,
    /// The gateway's name for it.
    pub pg_dispute_id: Option<String>,
    /// The stated reason.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
    /// When it was opened.
    pub created_at: Option<Timestamp>,
    /// When it was closed.
    pub resolved_at: Option<Timestamp>,
}

/// A cancellation. **Only `Succeeded` means that the money went back**, and HTTP 200 comes with all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "CancellationOnWire")]
pub enum Cancellation {
    /// Done.
    Succeeded(CancellationDetails),
    /// Accepted, to be decided later (`PayPal`): a webhook tells the end.
    Requested(CancellationDetails),
    /// Refused.
    Failed(CancellationDetails),
    /// A status this crate does not know.
    Other {
        /// The status as it was written.
        status: String,
        /// The rest.
        details: CancellationDetails,
    },
}

impl Cancellation {
    /// What all cancellations have.
    pub fn details(&self) -> &CancellationDetails {
        match self {
            Self::Succeeded(details)
            | Self::Requested(details)
            | Self::Failed(details)
            | Self::Other { details, .. } => details,
        }
    }
}

/// What all cancellations have. Amounts are in minor units of the payment's currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancellationDetails {
    /// `PortOne`'s name for it, the `cancellation_id` of webhooks.
    pub id: String,
    /// The gateway's name for it.
    pub pg_cancellation_id: Option<String>,
    /// What is given back.
    pub total_amount: i64,
    /// The tax-free part of it.
    pub tax_free_amount: Option<i64>,
    /// The VAT in it.
    pub vat_amount: Option<i64>,
    /// The stated reason.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
    /// When it was asked for.
    pub requested_at: Option<Timestamp>,
    /// When it was done.
    pub cancelled_at: Option<Timestamp>,
    /// The receipt, for the customer.
    pub receipt_url: Option<String>,
    /// Who started it: `CONSOLE`, `API`, `PORTONE_ADMIN`, or `CHARGEBACK`.
    pub trigger: Option<String>,
}

#[derive(Deserialize)]
struct CancellationOnWire {
    status: String,
    #[serde(flatten)]
    details: CancellationDetails,
}

impl From<CancellationOnWire> for Cancellation {
    fn from(CancellationOnWire { status, details }: CancellationOnWire) -> Self {
        match status.as_str() {
            "SUCCEEDED" => Self::Succeeded(details),
            "REQUESTED" => Self::Requested(details),
            "FAILED" => Self::Failed(details),
            _ => Self::Other { status, details },
        }
    }
}

/// Which payments to list, by page. By default: those whose status changed in the last 90 days, 10 to a page.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentQuery {
    /// The page. It travels beside the filter.
    #[serde(skip)]
    pub page: Option<PageRequest>,
    /// The time `from` and `until` speak of. `PortOne`'s default: the change of status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_type: Option<PaymentTime>,
    /// The beginning. Absent: 90 days before `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The end. Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only these statuses. Empty: all.
    #[serde(rename = "status", skip_serializing_if = "Vec::is_empty", serialize_with = "statuses_of_filter")]
    pub statuses: Vec<PaymentStatus>,
    /// Only rehearsals, or only real money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_test: Option<bool>,
    /// Only scheduled payments, or only others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_scheduled: Option<bool>,
    /// Only this currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The time to sort by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<PaymentSort>,
    /// The direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_order: Option<SortOrder>,
}

/// The filter spells the pending state `PENDING`, the payment itself `PAY_PENDING`.
fn statuses_of_filter<S: Serializer>(statuses: &[PaymentStatus], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(statuses.iter().map(|status| match status {
        PaymentStatus::PayPending => "PENDING",
        other => other.as_str(),
    }))
}

/// The time a list of payments is cut by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentTime {
    /// When it was created.
    CreatedAt,
    /// When its status last changed.
    StatusChangedAt,
}

/// The time a list of payments is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentSort {
    /// When it was requested.
    RequestedAt,
    /// When its status last changed.
    StatusChangedAt,
}

/// Which payments to list, by cursor and time of creation. By default the last 90 days, 10 at a time.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CursorQuery {
    /// The beginning. Absent: 90 days before `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The end. Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Where to go on: the cursor of the last item read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Items to read, at most 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u16>,
}

/// A webhook that `PortOne` has sent, or tried to send, about a payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentWebhook {
    /// Its name.
    pub id: String,
    /// `SUCCEEDED`, `FAILED_NOT_OK_RESPONSE` or `FAILED_UNEXPECTED_ERROR`.
    pub status: Option<String>,
    /// Where it goes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub url: String,
    /// Deliveries so far.
    pub current_execution_count: Option<u32>,
    /// Deliveries at most.
    pub max_execution_count: Option<u32>,
}

#[derive(Deserialize)]
pub(crate) struct WebhookAnswer {
    pub(crate) webhook: PaymentWebhook,
}

#[derive(Deserialize)]
pub(crate) struct CancelAnswer {
    pub(crate) cancellation: Cancellation,
}

#[derive(Deserialize)]
pub(crate) struct CursorAnswer {
    pub(crate) items: Vec<CursorItem>,
}

#[derive(Deserialize)]
pub(crate) struct CursorItem {
    pub(crate) payment: Payment,
    pub(crate) cursor: Cursor,
}
