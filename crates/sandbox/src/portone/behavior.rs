//! What a billing key does when it is charged, and what goes wrong on the way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way of behaving. It is written as text: `approve`, `decline:insufficient_funds`, `decline:8186:2`, `hang`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Behavior {
    /// The charge is approved.
    Approve,
    /// The charge is declined.
    Decline {
        /// One of [`REASONS`], or else the gateway's own code as it is.
        reason: String,
        /// Only this many first attempts on each payment; later ones are approved. `None`: all.
        first: Option<u32>,
    },
    /// Any of those that have nothing more to say.
    Plain(Plain),
}

/// The reasons of `decline:` that are translated into the gateway's own codes.
pub const REASONS: [&str; 9] = [
    "insufficient_funds",
    "over_limit",
    "expired_card",
    "stolen_card",
    "closed_account",
    "invalid_card",
    "suspended_card",
    "pg_down",
    "unknown",
];

/// Which part of a charge a behaviour concerns. One outcome, one network fault and any number of the others act together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What becomes of the charge.
    Outcome,
    /// What becomes of the request and its answer.
    Network,
    /// What becomes of its webhooks.
    Webhook,
    /// What is in answers.
    Answer,
}

macro_rules! plain {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $part:ident;)+) => {
        /// A behaviour without parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Plain {
            $($(#[$doc])* $variant,)+
        }

        impl Plain {
            const ALL: &'static [(&'static str, Plain, Part)] = &[$(($text, Plain::$variant, Part::$part),)+];
        }
    };
}

plain! {
    /// Accepted and undecided; paid after a while.
    Pending = "pending", Outcome;
    /// Accepted and undecided; failed after a while.
    PendingThenFail = "pending_then_fail", Outcome;
    /// The billing key is found deleted when it is charged.
    KeyDeleted = "key_deleted", Outcome;
    /// The payment has been attempted too often.
    MaxTransactions = "max_transactions", Outcome;
    /// Keeps the caller waiting beyond its patience, then goes on.
    Hang = "hang", Network;
    /// Keeps the caller waiting a little.
    Slow = "slow", Network;
    /// Does the work, then closes the connection without an answer.
    DropAfterSuccess = "drop_after_success", Network;
    /// An HTML 503; nothing is done.
    Html5xx = "html_5xx", Network;
    /// An HTML 502 after the work is done.
    Html5xxAfterSuccess = "html_5xx_after_success", Network;
    /// A 500 without a body; nothing is done.
    Empty5xx = "empty_5xx", Network;
    /// A JSON 503; nothing is done.
    ServiceUnavailable = "service_unavailable", Network;
    /// A 429; nothing is done.
    TooManyRequests = "too_many_requests", Network;
    /// A 401 to the right secret; nothing is done.
    Unauthorized = "unauthorized", Network;
    /// A 409 `IDEMPOTENCY_OUTSTANDING_REQUEST`; nothing is done.
    Outstanding = "outstanding", Network;
    /// An error of a type nobody has heard of; nothing is done.
    UnknownErrorType = "unknown_error_type", Network;
    /// The webhook is never delivered.
    WebhookLost = "webhook_lost", Webhook;
    /// The webhook is delivered twice at once.
    WebhookDuplicated = "webhook_duplicated", Webhook;
    /// The webhook is held back until the payment's next one has gone out.
    WebhookReordered = "webhook_reordered", Webhook;
    /// The webhook's first delivery is late, by the sandbox's clock.
    WebhookLate = "webhook_late", Webhook;
    /// The webhook is delivered, and answered, before the call that caused it is answered.
    WebhookBeforeAnswer = "webhook_before_answer", Webhook;
    /// The webhook's first delivery is signed with another secret.
    WebhookBadSignature = "webhook_bad_signature", Webhook;
    /// The webhook's first delivery is signed as of long ago.
    WebhookOldTimestamp = "webhook_old_timestamp", Webhook;
    /// An extra webhook of a type nobody has heard of goes out, too.
    WebhookUnknownType = "webhook_unknown_type", Webhook;
    /// Answers have fields and enum values that are not in the contract.
    UnknownFields = "unknown_fields", Answer;
}

impl Behavior {
    /// All that can be written, with placeholders.
    pub fn known() -> Vec<String> {
        let decline = format!("decline:<{}|PG code>[:<first n attempts>]", REASONS.join("|"));
        let plain = Plain::ALL.iter().map(|(text, ..)| (*text).to_owned());
        ["approve".to_owned(), decline].into_iter().chain(plain).collect()
    }

    pub(crate) fn part(&self) -> Part {
        match self {
            Self::Approve | Self::Decline { .. } => Part::Outcome,
            Self::Plain(plain) => {
                Plain::ALL.iter().find(|(_, p, _)| p == plain).map_or(Part::Outcome, |(.., part)| *part)
            }
        }
    }
}

/// A behaviour that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBehavior(String);

impl fmt::Display for UnknownBehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown behavior `{}`; known are: {}", self.0, Behavior::known().join(", "))
    }
}

impl std::error::Error for UnknownBehavior {}

impl FromStr for Behavior {
    type Err = UnknownBehavior;

    fn from_str(text: &str) -> Result<Self, UnknownBehavior> {
        let unknown = || UnknownBehavior(text.to_owned());
        if text == "approve" {
            return Ok(Self::Approve);
        }
        let Some(decline) = text.strip_prefix("decline:") else {
            let plain = Plain::ALL.iter().find(|(known, ..)| *known == text);
            return plain.map(|(_, plain, _)| Self::Plain(*plain)).ok_or_else(unknown);
        };
        let (reason, first) = match decline.rsplit_once(':') {
            Some((reason, first)) => (reason, Some(first.parse().map_err(|_| unknown())?)),
            None => (decline, None),
        };
        if reason.is_empty() || first == Some(0) {
            return Err(unknown());
        }
        Ok(Self::Decline { reason: reason.to_owned(), first })
    }
}

impl fmt::Display for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approve => f.write_str("approve"),
            Self::Decline { reason, first: None } => write!(f, "decline:{reason}"),
            Self::Decline { reason, first: Some(first) } => write!(f, "decline:{reason}:{first}"),
            Self::Plain(plain) => {
                let text = Plain::ALL.iter().find(|(_, p, _)| p == plain).map_or("", |(text, ..)| *text);
                f.write_str(text)
            }
        }
    }
}

impl TryFrom<String> for Behavior {
    type Error = UnknownBehavior;

    fn try_from(text: String) -> Result<Self, UnknownBehavior> {
        text.parse()
    }
}

impl From<Behavior> for String {
    fn from(behavior: Behavior) -> Self {
        behavior.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_printed_as_it_is_written() {
        let plain = Plain::ALL.iter().map(|(text, ..)| *text);
        for text in plain.chain(["approve", "decline:over_limit", "decline:8186:2", "decline:CARD_EXPIRED:1"]) {
            assert_eq!(text.parse::<Behavior>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_unknown_behaviour_is_refused_with_a_list_of_the_known_ones() {
        for text in ["", "aprove", "decline", "decline:", "decline:x:0", "decline:x:many", "hang:3"] {
            let message = text.parse::<Behavior>().unwrap_err().to_string();
            assert!(message.contains("webhook_duplicated") && message.contains("insufficient_funds"), "{message}");
        }
    }
}
