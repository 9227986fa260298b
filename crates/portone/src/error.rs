//! What can go wrong, and what each case lets the caller conclude.

use crate::open_enum::open_enum;

/// Why a call gave no result. Each variant says what it proves.
///
/// No variant carries a secret, a billing key that was sent, a URL, or a whole body.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No complete answer arrived: **the result is unknown.** `PortOne` finishes a request whose client has gone away.
    ///
    /// Ask about the payment, or send the same request with the same idempotency key; never a new key first.
    #[error("no complete answer from PortOne ({phase})")]
    Transport {
        /// How far the exchange got.
        phase: TransportPhase,
        /// The cause, without its URL, where there is one.
        #[source]
        source: Option<reqwest::Error>,
    },

    /// `PortOne` answered with an error of its own: [`ApiError::kind`] says which.
    ///
    /// This is a refusal, except for the kinds for which [`Error::outcome_unknown`] is true.
    #[error(transparent)]
    Api(ApiError),

    /// Something answered, but not `PortOne`'s API: an HTML page, a redirect, an empty body, JSON without a `type`.
    /// **The result is unknown**, whatever the status: a proxy can answer 504 after the money has moved.
    #[error("the answer (HTTP {status}) is not PortOne's JSON")]
    NotJson {
        /// The HTTP status.
        status: u16,
        /// The declared content type.
        content_type: Option<String>,
        /// The beginning of the body, cleaned of control characters; at most
        /// [`MAX_EXCERPT_CHARS`](crate::MAX_EXCERPT_CHARS) characters.
        excerpt: String,
    },

    /// A success (2xx) in JSON which lacks what this crate needs. The request was most likely carried out, but
    /// **the result is unknown** until it is read another way.
    #[error("cannot decode the answer (HTTP {status}): {detail}")]
    Undecodable {
        /// The HTTP status.
        status: u16,
        /// What is wrong and where, without any value from the body.
        detail: String,
    },
}

impl Error {
    /// Whether the request may have been carried out nevertheless.
    ///
    /// True for [`Transport`](Error::Transport), [`NotJson`](Error::NotJson) and [`Undecodable`](Error::Undecodable),
    /// for [`ErrorKind::IdempotencyOutstandingRequest`] (the first copy is still running), and for
    /// [`ErrorKind::Other`]: a type nobody here has read about cannot prove that no money moved.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::NotJson { .. } | Self::Undecodable { .. } => true,
            Self::Api(error) => matches!(error.kind, ErrorKind::IdempotencyOutstandingRequest | ErrorKind::Other(_)),
        }
    }

    /// The type of the error, if `PortOne` itself reported one.
    pub fn kind(&self) -> Option<&ErrorKind> {
        match self {
            Self::Api(error) => Some(&error.kind),
            _ => None,
        }
    }
}

/// How far an exchange got before it failed. Every one of them leaves the result unknown to a caller who may have sent
/// the same request before; [`Prepare`](TransportPhase::Prepare) and [`Connect`](TransportPhase::Connect) alone prove
/// that *this* copy was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportPhase {
    /// The request could not be put together.
    Prepare,
    /// The connection was not established: refused, unreachable, no name, no TLS, or too slow.
    Connect,
    /// The time limit passed before the answer was complete.
    Timeout,
    /// The connection broke before the head of the answer.
    Request,
    /// The connection broke inside the body.
    Body,
    /// The body is larger than [`MAX_ANSWER_BYTES`](crate::MAX_ANSWER_BYTES) and was not read to its end.
    TooBig,
}

impl std::fmt::Display for TransportPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "request not sent",
            Self::Connect => "no connection",
            Self::Timeout => "timeout",
            Self::Request => "connection broken before the answer",
            Self::Body => "connection broken inside the answer",
            Self::TooBig => "answer too big",
        })
    }
}

/// An error reported by `PortOne`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PortOne answered {kind} (HTTP {status})")]
pub struct ApiError {
    /// The HTTP status. For logs: **classify by `kind`.**
    pub status: u16,
    /// The error's type.
    pub kind: ErrorKind,
    /// The text for humans; at most [`MAX_MESSAGE_CHARS`](crate::MAX_MESSAGE_CHARS) characters.
    pub message: Option<String>,
    /// The payment gateway's own code and text, with [`ErrorKind::PgProvider`].
    pub pg: Option<PgFailure>,
}

/// What the payment gateway said, in its own codes: `PortOne` translates nothing and keeps no common table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgFailure {
    /// The gateway's code.
    pub code: String,
    /// The gateway's text. `NaverPay` demands that customers see it unaltered.
    pub message: String,
}

open_enum! {
    /// The type of an error: what `PortOne` means, as against the HTTP status it travels with.
    ErrorKind {
        /// The request is malformed or breaks a rule: a mistake of the caller.
        InvalidRequest = "INVALID_REQUEST",
        /// The API secret is wrong or has expired.
        Unauthorized = "UNAUTHORIZED",
        /// The API secret may not do this.
        Forbidden = "FORBIDDEN",
        /// The payment gateway refused. **A declined card arrives as this, with HTTP 502.**
        PgProvider = "PG_PROVIDER",
        /// Some of a billing key's channels failed, and others may have succeeded.
        ChannelSpecific = "CHANNEL_SPECIFIC",
        /// The first request with this idempotency key is still running: wait, then send the same again.
        IdempotencyOutstandingRequest = "IDEMPOTENCY_OUTSTANDING_REQUEST",
        /// The payment has succeeded already.
        AlreadyPaid = "ALREADY_PAID",
        /// The payment has succeeded or waits for a virtual account transfer.
        AlreadyPaidOrWaiting = "ALREADY_PAID_OR_WAITING",
        /// This payment id has been attempted too often.
        MaxTransactionCountReached = "MAX_TRANSACTION_COUNT_REACHED",
        /// There is no such payment. Shortly after a timeout this proves nothing.
        PaymentNotFound = "PAYMENT_NOT_FOUND",
        /// The payment has not succeeded, so it cannot be cancelled.
        PaymentNotPaid = "PAYMENT_NOT_PAID",
        /// The payment is fully cancelled already.
        PaymentAlreadyCancelled = "PAYMENT_ALREADY_CANCELLED",
        /// There is no such billing key.
        BillingKeyNotFound = "BILLING_KEY_NOT_FOUND",
        /// The billing key has been deleted.
        BillingKeyAlreadyDeleted = "BILLING_KEY_ALREADY_DELETED",
        /// The billing key was never issued.
        BillingKeyNotIssued = "BILLING_KEY_NOT_ISSUED",
        /// There is no such channel.
        ChannelNotFound = "CHANNEL_NOT_FOUND",
        /// A schedule holds the payment id or the billing key.
        PaymentScheduleAlreadyExists = "PAYMENT_SCHEDULE_ALREADY_EXISTS",
        /// There is no such schedule.
        PaymentScheduleNotFound = "PAYMENT_SCHEDULE_NOT_FOUND",
        /// The schedule has run already.
        PaymentScheduleAlreadyProcessed = "PAYMENT_SCHEDULE_ALREADY_PROCESSED",
        /// The schedule has been revoked already.
        PaymentScheduleAlreadyRevoked = "PAYMENT_SCHEDULE_ALREADY_REVOKED",
        /// Tax-free and VAT together exceed the total.
        SumOfPartsExceedsTotalAmount = "SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT",
        /// The discount exceeds the total.
        DiscountAmountExceedsTotalAmount = "DISCOUNT_AMOUNT_EXCEEDS_TOTAL_AMOUNT",
        /// The promotion does not apply to this method of payment.
        PromotionPayMethodDoesNotMatch = "PROMOTION_PAY_METHOD_DOES_NOT_MATCH",
        /// After the promotion's adjustment nothing would be left to cancel.
        NegativePromotionAdjustedCancelAmount = "NEGATIVE_PROMOTION_ADJUSTED_CANCEL_AMOUNT",
        /// The promotion's retain option must stay as it was.
        PromotionDiscountRetainOptionShouldNotBeChanged = "PROMOTION_DISCOUNT_RETAIN_OPTION_SHOULD_NOT_BE_CHANGED",
        /// The balance is not what `current_cancellable_amount` said.
        CancellableAmountConsistencyBroken = "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN",
        /// More than the balance was to be cancelled.
        CancelAmountExceedsCancellableAmount = "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT",
        /// Tax-free and VAT together exceed the amount to cancel.
        SumOfPartsExceedsCancelAmount = "SUM_OF_PARTS_EXCEEDS_CANCEL_AMOUNT",
        /// More tax-free amount than is left was to be cancelled.
        CancelTaxFreeAmountExceedsCancellableTaxFreeAmount =
            "CANCEL_TAX_FREE_AMOUNT_EXCEEDS_CANCELLABLE_TAX_FREE_AMOUNT",
        /// More taxable amount than is left was to be cancelled.
        CancelTaxAmountExceedsCancellableTaxAmount = "CANCEL_TAX_AMOUNT_EXCEEDS_CANCELLABLE_TAX_AMOUNT",
        /// The payment has been cancelled in too many parts.
        MaxCancelCountReached = "MAX_CANCEL_COUNT_REACHED",
        /// There is no such webhook.
        WebhookNotFound = "WEBHOOK_NOT_FOUND",
        /// The webhook has been sent again too often.
        MaxWebhookRetryCountReached = "MAX_WEBHOOK_RETRY_COUNT_REACHED",
        /// There is no such cash receipt.
        CashReceiptNotFound = "CASH_RECEIPT_NOT_FOUND",
    }
}
