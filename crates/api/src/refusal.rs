//! Refusals: problem details by RFC 9457, each with a `type` that never changes.

use crate::answer;
use billing_core::money::Money;
use billing_flows::FlowError;
use lambda_http::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use lambda_http::{Body, Response};
use serde_json::{Map, Value, json};

/// What is wrong. Its name is part of the API: see `docs/API.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body is not JSON, or is not said to be.
    NotJson,
    /// A field is missing, unknown or wrong.
    Invalid,
    /// The caller is not signed.
    Forbidden,
    /// There is no such route.
    NotFound,
    /// The route has no such method.
    MethodNotAllowed,
    /// There is no such subscription of that user.
    NoSuchSubscription,
    /// There is no such payment.
    NoSuchPayment,
    /// The customer has no such method that can be charged.
    NoSuchMethod,
    /// Nothing is owed: the period is paid, or falls due later.
    NothingOwed,
    /// Another sum is owed, or left, than the caller said.
    AmountDiffers,
    /// The subscription has ended.
    Ended,
    /// What is asked for needs a person first.
    Parked,
    /// What is asked for does not go with the subscription's state.
    NotNow,
    /// Another charge or refund is not decided yet.
    UnderWay,
    /// The customer has a subscription already.
    Subscribed,
    /// The idempotency key was used for something else.
    KeyReused,
    /// The payment cannot be given back.
    NotRefundable,
    /// The body is too large.
    TooLarge,
    /// It is not sold so.
    NotSold,
    /// Banks are down for the night.
    BanksDown,
    /// An operator has stopped collecting.
    Stopped,
    /// `PortOne` refuses our credentials.
    Credentials,
    /// Trouble that may pass.
    Unavailable,
    /// A mistake of ours.
    Internal,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 24] = [
        Self::NotJson,
        Self::Invalid,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NoSuchSubscription,
        Self::NoSuchPayment,
        Self::NoSuchMethod,
        Self::NothingOwed,
        Self::AmountDiffers,
        Self::Ended,
        Self::Parked,
        Self::NotNow,
        Self::UnderWay,
        Self::Subscribed,
        Self::KeyReused,
        Self::NotRefundable,
        Self::TooLarge,
        Self::NotSold,
        Self::BanksDown,
        Self::Stopped,
        Self::Credentials,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Its `type`.
    pub fn urn(self) -> String {
        format!("{TYPE_PREFIX}{}", self.parts().0)
    }

    /// The HTTP status it is answered with.
    pub fn status(self) -> u16 {
        self.parts().1
    }

    /// Its name in `type`, status and title.
    fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::NotJson => ("not-json", 400, "The body must be JSON, and the content type application/json"),
            Self::Invalid => ("invalid", 422, "A field is missing, unknown or wrong"),
            Self::Forbidden => ("forbidden", 403, "The request must be signed with IAM credentials of this account"),
            Self::NotFound => ("not-found", 404, "There is no such route"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "The route has no such method"),
            Self::NoSuchSubscription => ("no-such-subscription", 404, "The user has no such subscription"),
            Self::NoSuchPayment => ("no-such-payment", 404, "There is no such payment"),
            Self::NoSuchMethod => ("no-such-method", 404, "The user has no such payment method that can be charged"),
            Self::NothingOwed => ("nothing-owed", 409, "Nothing is owed now"),
            Self::AmountDiffers => ("amount-differs", 409, "The amount is another than was said"),
            Self::Ended => ("ended", 409, "The subscription has ended"),
            Self::Parked => ("parked", 409, "A person must look at the invoice first"),
            Self::NotNow => ("not-now", 409, "The subscription's state does not allow it now"),
            Self::UnderWay => ("under-way", 409, "Another charge or refund is not decided yet"),
            Self::Subscribed => ("subscribed", 409, "The user has a subscription already"),
            Self::KeyReused => ("key-reused", 422, "The idempotency key was used for another request"),
            Self::NotRefundable => ("not-refundable", 409, "The payment cannot be given back"),
            Self::TooLarge => ("too-large", 413, "The body is too large"),
            Self::NotSold => ("not-sold", 422, "It is not sold so"),
            Self::BanksDown => ("banks-down", 503, "Korean banks are down from 23:30 to 00:30; nothing is charged"),
            Self::Stopped => ("stopped", 503, "The operator has stopped all charges for now; nothing is charged"),
            Self::Credentials => ("credentials", 503, "PortOne refuses our credentials; the operator has been told"),
            Self::Unavailable => ("unavailable", 503, "Something that is needed does not answer; try again"),
            Self::Internal => ("internal", 500, "A mistake of ours"),
        }
    }

    /// After how many seconds it is worth trying again.
    fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::BanksDown => Some("3600"),
            Self::Credentials | Self::Stopped => Some("300"),
            Self::Unavailable | Self::UnderWay => Some("5"),
            Self::NotJson
            | Self::Invalid
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::NoSuchSubscription
            | Self::NoSuchPayment
            | Self::NoSuchMethod
            | Self::NothingOwed
            | Self::AmountDiffers
            | Self::Ended
            | Self::Parked
            | Self::NotNow
            | Self::Subscribed
            | Self::KeyReused
            | Self::NotRefundable
            | Self::TooLarge
            | Self::NotSold
            | Self::Internal => None,
        }
    }
}

/// What every `type` begins with.
pub const TYPE_PREFIX: &str = "urn:problem:billing:";

/// A call that is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What is wrong.
    pub kind: Kind,
    detail: Option<String>,
    more: Map<String, Value>,
    allow: Option<&'static str>,
}

impl Refusal {
    /// A refusal of a kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, detail: None, more: Map::new(), allow: None }
    }

    /// A method that a route does not have; it has this one alone.
    pub fn method(allowed: &'static str) -> Self {
        Self { allow: Some(allowed), ..Self::new(Kind::MethodNotAllowed) }
    }

    /// A field that is wrong, by its name and not its value.
    pub fn invalid(field: &str, what: &str) -> Self {
        // A field's name comes from the caller where it is unknown.
        let field: String = field.chars().filter(|c| !c.is_control()).take(64).collect();
        Self::new(Kind::Invalid).saying(format!("{field}: {what}.")).with("field", json!(field))
    }

    /// With a sentence about this very case.
    #[must_use]
    pub fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// With a sum.
    #[must_use]
    pub fn with_money(self, name: &str, money: Money) -> Self {
        self.with(name, json!({ "amount": money.minor(), "currency": money.currency().code() }))
    }

    /// The answer. `instance` is what the operator finds the request by.
    pub fn answer(self, instance: &str) -> Response<Body> {
        let (_, status, title) = self.kind.parts();
        let mut body = self.more;
        body.insert("type".to_owned(), json!(self.kind.urn()));
        body.insert("title".to_owned(), json!(title));
        body.insert("status".to_owned(), json!(status));
        if let Some(detail) = self.detail {
            body.insert("detail".to_owned(), json!(detail));
        }
        if !instance.is_empty() {
            body.insert("instance".to_owned(), json!(format!("urn:request:{instance}")));
        }
        let mut response = answer::with(status, "application/problem+json", Value::Object(body).to_string());
        if let Some(seconds) = self.kind.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if let Some(allowed) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

impl From<FlowError> for Refusal {
    fn from(error: FlowError) -> Self {
        tracing::error!(%error, "a request could not be carried through; what it began is durable, and may be repeated");
        Self::new(match error {
            FlowError::Unauthorized(_) => Kind::Credentials,
            // Asking again would come to the same.
            FlowError::Store(error) if !error.retryable => Kind::Internal,
            FlowError::Store(_)
            | FlowError::Queue(_)
            | FlowError::Mail(_)
            | FlowError::Unavailable(_)
            | FlowError::Contended => Kind::Unavailable,
            FlowError::Render(_) | FlowError::Vanished | FlowError::Money(_) => Kind::Internal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_kinds_leaves_none_out() {
        assert!(Kind::ALL.iter().enumerate().all(|(i, kind)| *kind as usize == i));
        assert_eq!(Kind::ALL.len(), Kind::Internal as usize + 1);
    }

    #[test]
    fn every_kind_is_documented_with_its_status() {
        let page = include_str!("../../../docs/API.md");
        let contract: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let types = contract["components"]["schemas"]["Problem"]["properties"]["type"]["enum"].as_array().unwrap();
        for kind in Kind::ALL {
            let (name, status, _) = kind.parts();
            assert!(page.contains(&format!("| `{name}` | {status} |")), "docs/API.md, {name}");
            assert!(types.contains(&json!(kind.urn())), "docs/openapi.json, {name}");
        }
        assert_eq!(types.len(), Kind::ALL.len());
    }
}
