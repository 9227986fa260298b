//! What functions are asked, warm.

use crate::side::{Kind, Side};
use serde::{Deserialize, Serialize};

/// A kind of event, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Case {
    /// A webhook about a payment whose answer was lost: it is read again at `PortOne`, and settled.
    Paid,
    /// A webhook about a payment that the books have as paid.
    Known,
    /// A webhook with a wrong signature.
    Forged,
    /// Ten customers are charged for the first time.
    Batch,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [Self::Paid, Self::Known, Self::Forged, Self::Batch];

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Paid | Self::Known | Self::Forged => Kind::Webhook,
            Self::Batch => Kind::Worker,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paid => "webhook, news",
            Self::Known => "webhook, known",
            Self::Forged => "webhook, forged",
            Self::Batch => "worker, 10 charges",
        }
    }

    /// How many are measured where one of the others is: these take little time.
    pub(crate) fn weight(self) -> usize {
        match self {
            Self::Known | Self::Forged => 5,
            Self::Paid | Self::Batch => 1,
        }
    }

    /// How many rounds it gets where so many are asked for. V8 compiles for longest where news is settled; a batch takes long, and is ten charges.
    pub(crate) fn rounds(self, asked: usize) -> usize {
        match self {
            Self::Paid => asked * 2,
            Self::Known | Self::Forged => asked,
            Self::Batch => asked.div_ceil(2),
        }
    }

    /// What the Rust function asks for (`docs/PERFORMANCE.md`, "The fewest requests"): reads of rows; and how many do at once what follows, each so
    /// many calls to `PortOne` and transactions.
    pub(crate) fn asks(self) -> [u32; 4] {
        match self {
            // The invoice, the subscription; the payment, the settlement.
            Self::Paid => [2, 1, 1, 1],
            Self::Known => [1, 0, 0, 0],
            Self::Forged => [0, 0, 0, 0],
            // The stop, the subscriptions; each charge with its claim and its settlement.
            Self::Batch => [2, 10, 1, 2],
        }
    }

    /// What a side waits for on AWS, one after the other: requests to `DynamoDB`, reads and charges at `PortOne`.
    pub(crate) fn waits(self, side: Side) -> (u32, u32, u32) {
        match self {
            // The invoice, the payment, the subscription, the settlement; Node reads payment and subscription at the same time.
            Self::Paid if side == Side::Node => (2, 1, 0),
            Self::Paid => (3, 1, 0),
            Self::Known => (1, 0, 0),
            Self::Forged => (0, 0, 0),
            // The stop, the subscription, the claim, the settlement; all ten at once.
            Self::Batch => (4, 0, 1),
        }
    }
}
