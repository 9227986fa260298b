//! Refusals: the error envelope of the contract.

use serde::Serialize;

/// An error of the contract: its type settles its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    kind: &'static str,
    message: String,
    pg: Option<(String, String)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    r#type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_message: Option<&'a str>,
}

impl Refusal {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), pg: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("INVALID_REQUEST", message)
    }

    pub(crate) fn pg(code: &str, message: &str) -> Self {
        let pg = Some((code.to_owned(), message.to_owned()));
        Self { kind: "PG_PROVIDER", message: "the gateway refused".to_owned(), pg }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn status(&self) -> u16 {
        match self.kind {
            "UNAUTHORIZED" => 401,
            "FORBIDDEN" => 403,
            "NOT_FOUND"
            | "BILLING_KEY_NOT_FOUND"
            | "BILLING_KEY_NOT_ISSUED"
            | "CHANNEL_NOT_FOUND"
            | "PAYMENT_NOT_FOUND"
            | "PAYMENT_SCHEDULE_NOT_FOUND"
            | "CASH_RECEIPT_NOT_FOUND"
            | "WEBHOOK_NOT_FOUND" => 404,
            "METHOD_NOT_ALLOWED" => 405,
            "ALREADY_PAID"
            | "ALREADY_PAID_OR_WAITING"
            | "SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT"
            | "BILLING_KEY_ALREADY_DELETED"
            | "PAYMENT_SCHEDULE_ALREADY_EXISTS"
            | "PAYMENT_SCHEDULE_ALREADY_PROCESSED"
            | "PAYMENT_SCHEDULE_ALREADY_REVOKED"
            | "PAYMENT_NOT_PAID"
            | "PAYMENT_ALREADY_CANCELLED"
            | "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN"
            | "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT"
            | "SUM_OF_PARTS_EXCEEDS_CANCEL_AMOUNT"
            | "CANCEL_TAX_FREE_AMOUNT_EXCEEDS_CANCELLABLE_TAX_FREE_AMOUNT"
            | "CANCEL_TAX_AMOUNT_EXCEEDS_CANCELLABLE_TAX_AMOUNT"
            | "MAX_CANCEL_COUNT_REACHED"
            | "IDEMPOTENCY_OUTSTANDING_REQUEST"
            | "SANDBOX_UNHEARD_OF" => 409,
            "TOO_MANY_REQUESTS" => 429,
            "INTERNAL" => 500,
            "PG_PROVIDER" => 502,
            "SERVICE_UNAVAILABLE" => 503,
            _ => 400,
        }
    }

    pub(crate) fn body(&self) -> String {
        let envelope = Envelope {
            r#type: self.kind,
            message: &self.message,
            pg_code: self.pg.as_ref().map(|(code, _)| code.as_str()),
            pg_message: self.pg.as_ref().map(|(_, message)| message.as_str()),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

/// The journal cannot be written: nothing has become so, and the caller must know.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("the simulator cannot go on: {error:#}");
        Self::new("INTERNAL", format!("{error:#}"))
    }
}
