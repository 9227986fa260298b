//! What the simulator remembers. The journal holds these as they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behavior::{Behavior, Plain};

/// How a customer pays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// By card.
    #[default]
    Card,
    /// By `PayPal`.
    Paypal,
    /// By an easy pay: which one follows from the gateway.
    EasyPay,
    /// By phone bill.
    Mobile,
    /// By bank transfer.
    Transfer,
}

/// A customer as the contract reads it: a name in one piece.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Customer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) birth_year: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) birth_month: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) birth_day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zipcode: Option<String>,
}

/// The channel a key was issued on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Channel {
    pub(crate) key: String,
    pub(crate) pg_provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillingKey {
    pub(crate) key: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) deleted_at: Option<Timestamp>,
    pub(crate) customer: Customer,
    pub(crate) channel: Channel,
    pub(crate) method: Method,
    pub(crate) issue_id: Option<String>,
    pub(crate) custom_data: Option<String>,
    pub(crate) behavior: Option<Behavior>,
}

/// What a charge asked for, now or on a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) billing_key: String,
    pub(crate) name: String,
    pub(crate) total: i64,
    pub(crate) tax_free: i64,
    pub(crate) vat: i64,
    pub(crate) currency: String,
    pub(crate) customer: Customer,
    pub(crate) custom_data: Option<String>,
    pub(crate) installment_month: Option<i32>,
    pub(crate) notice_urls: Vec<String>,
    pub(crate) products: Vec<Value>,
    pub(crate) product_count: Option<i32>,
    pub(crate) promotion_id: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) skip_webhook: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum PaymentStatus {
    Ready,
    PayPending,
    Paid,
    PartialCancelled,
    Cancelled,
    Failed,
}

/// A payment: its latest attempt, or the one that was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) status: PaymentStatus,
    pub(crate) transaction_id: String,
    pub(crate) attempts: u32,
    /// Which attempt this is.
    pub(crate) attempt: u32,
    pub(crate) order: Order,
    pub(crate) channel: Channel,
    pub(crate) method: Method,
    pub(crate) schedule_id: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) requested_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) status_changed_at: Timestamp,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) pg_tx_id: Option<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) cancellations: Vec<Cancellation>,
    pub(crate) disputes: Vec<Dispute>,
    /// What the clock will make of a pending payment.
    pub(crate) settles: Option<Settles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settles {
    pub(crate) at: Timestamp,
    pub(crate) approve: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) pg_code: String,
    pub(crate) pg_message: String,
    pub(crate) at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dispute {
    pub(crate) created_at: Timestamp,
    pub(crate) resolved_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CancellationStatus {
    Requested,
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Trigger {
    Console,
    Api,
    Chargeback,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cancellation {
    pub(crate) id: String,
    pub(crate) status: CancellationStatus,
    pub(crate) total: i64,
    pub(crate) tax_free: i64,
    pub(crate) vat: i64,
    pub(crate) reason: String,
    pub(crate) trigger: Trigger,
    pub(crate) requested_at: Timestamp,
    pub(crate) cancelled_at: Option<Timestamp>,
    pub(crate) skip_webhook: bool,
    /// What the clock will make of a requested one.
    pub(crate) settles: Option<Settles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ScheduleStatus {
    Scheduled,
    Succeeded,
    Failed,
    Pending,
    Revoked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) payment_id: String,
    pub(crate) status: ScheduleStatus,
    pub(crate) order: Order,
    pub(crate) created_at: Timestamp,
    pub(crate) time_to_pay: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// What is wrong with a webhook's first delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Flaws {
    pub(crate) duplicated: bool,
    pub(crate) bad_signature: bool,
    pub(crate) old_timestamp: bool,
}

impl Flaws {
    pub(crate) fn of(flaws: &[Plain]) -> Self {
        Self {
            duplicated: flaws.contains(&Plain::WebhookDuplicated),
            bad_signature: flaws.contains(&Plain::WebhookBadSignature),
            old_timestamp: flaws.contains(&Plain::WebhookOldTimestamp),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum WebhookStatus {
    Succeeded,
    FailedNotOkResponse,
    FailedUnexpectedError,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    pub(crate) id: String,
    /// The payment or the billing key it is about.
    pub(crate) subject: String,
    pub(crate) payment_id: Option<String>,
    pub(crate) payment_status: Option<PaymentStatus>,
    /// Why it was sent, if not because of the call itself.
    pub(crate) trigger: Option<String>,
    /// `None`: the console's address, whatever that is when it is sent.
    pub(crate) url: Option<String>,
    pub(crate) body: String,
    pub(crate) flaws: Flaws,
    /// Waits for the subject's next webhook.
    pub(crate) held: bool,
    pub(crate) triggered_at: Timestamp,
    pub(crate) tries: u32,
    pub(crate) manual_tries: u32,
    pub(crate) next_try: Option<Timestamp>,
    pub(crate) status: Option<WebhookStatus>,
    pub(crate) last: Option<Exchange>,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exchange {
    pub(crate) url: String,
    pub(crate) header: String,
    pub(crate) requested_at: Timestamp,
    pub(crate) response: Option<Response>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    pub(crate) code: u16,
    pub(crate) header: String,
    pub(crate) body: String,
    pub(crate) responded_at: Timestamp,
}

impl Payment {
    /// Whether money moved, or may yet.
    pub(crate) fn is_taken(&self) -> bool {
        !matches!(self.status, PaymentStatus::Ready | PaymentStatus::Failed)
    }

    fn cancellations(&self, statuses: &[CancellationStatus]) -> impl Iterator<Item = &Cancellation> {
        self.cancellations.iter().filter(move |cancellation| statuses.contains(&cancellation.status))
    }

    /// What is cancelled: total, tax-free part, VAT.
    pub(crate) fn cancelled(&self) -> (i64, i64, i64) {
        sums(self.cancellations(&[CancellationStatus::Succeeded]))
    }

    /// What can still be cancelled: total, tax-free part, VAT.
    pub(crate) fn cancellable(&self) -> (i64, i64, i64) {
        let taken: Vec<_> =
            self.cancellations(&[CancellationStatus::Succeeded, CancellationStatus::Requested]).cloned().collect();
        let (total, tax_free, vat) = sums(taken.iter());
        (self.order.total - total, self.order.tax_free - tax_free, self.order.vat - vat)
    }
}

fn sums<'a>(cancellations: impl Iterator<Item = &'a Cancellation>) -> (i64, i64, i64) {
    cancellations.fold((0, 0, 0), |(total, tax_free, vat), c| (total + c.total, tax_free + c.tax_free, vat + c.vat))
}
