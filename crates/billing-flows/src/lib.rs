//! The use cases of billing, one file per verb, over ports that are narrow traits.
//!
//! | verb | does |
//! | --- | --- |
//! | [`plan_run`] | finds everything that is due and hands it to the workers |
//! | [`collect`] | collects one subscription's due period: claim, charge, settle |
//! | [`settle`] | writes a fact down: invoice, subscription and event in one transaction |
//! | [`receive_webhook`] | takes a verified webhook as a hint, re-reads, settles |
//! | [`reconcile`] | asks about everything left open; compares our books with `PortOne`'s |
//! | [`close`] | the books of a month, balanced, as data and as text |
//! | [`refund`] | gives money of a paid invoice back |
//! | [`cancel`] | ends a subscription at its customer's wish, or takes the wish back |
//! | [`change`] | another plan, more or fewer seats; an upgrade is charged at once |
//! | [`pay`] | charges now what is owed |
//! | [`enrol`] | opens checkout sessions, and binds the billing key that was issued in one |
//! | [`subscribe`] | starts subscriptions, registers and removes billing keys |
//! | [`notify`] | turns events into mails, once each |

pub mod cancel;
pub mod change;
pub mod clean;
pub mod close;
pub mod collect;
#[cfg(feature = "fake")]
pub mod contract;
pub mod enrol;
#[cfg(feature = "fake")]
pub mod fake;
pub mod mail;
pub mod notify;
pub mod pay;
pub mod plan_run;
pub mod ports;
pub mod receive_webhook;
pub mod reconcile;
pub mod refund;
pub mod settle;
pub mod stop;
pub mod subscribe;

use billing_core::dunning::Ladder;
use billing_core::id::StoreId;
use billing_core::money::MoneyError;
use billing_core::plan::Catalogue;
use ports::Mode;
use thiserror::Error;

/// Why a use case could not be carried through. What it had begun is durable, and is repaired by whoever comes next.
#[derive(Debug, Error)]
pub enum FlowError {
    /// A table failed.
    #[error(transparent)]
    Store(#[from] ports::StoreError),
    /// A queue failed.
    #[error(transparent)]
    Queue(#[from] ports::QueueError),
    /// A mail could not be handed over.
    #[error(transparent)]
    Mail(#[from] ports::MailError),
    /// A mail could not be written.
    #[error("a mail could not be rendered")]
    Render(#[from] askama::Error),
    /// `PortOne` refused our credentials: stop, and dun nobody.
    #[error("PortOne refused our credentials ({0}): check the API secret and its expiry in the console")]
    Unauthorized(String),
    /// `PortOne` could not be asked.
    #[error("PortOne gave no usable answer: {0}")]
    Unavailable(String),
    /// Other writers were first again and again.
    #[error("the rows kept changing while they were being written; the next delivery will find them at rest")]
    Contended,
    /// An invoice that was read a moment ago is gone.
    #[error("an invoice that was read a moment ago is gone: was the table restored?")]
    Vanished,
    /// A price, or the sum of many, cannot be represented.
    #[error("a price or a sum cannot be represented")]
    Money(#[from] MoneyError),
}

impl From<ports::AskError> for FlowError {
    fn from(error: ports::AskError) -> Self {
        match error {
            ports::AskError::Unauthorized(code) => Self::Unauthorized(code),
            ports::AskError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `PortOne`'s store; a part of every payment id.
    pub store_id: StoreId,
    /// Whether real money moves: billing keys of the other mode are refused. A browser can be made to issue a key on a test channel.
    pub mode: Mode,
    /// What is sold.
    pub catalogue: Catalogue,
    /// The retry schedule.
    pub ladder: Ladder,
}

/// The ports and settings that charging needs, together.
#[derive(Debug, Clone)]
pub struct Billing<S, G, C, T> {
    /// The tables.
    pub store: S,
    /// `PortOne`.
    pub gateway: G,
    /// The time.
    pub clock: C,
    /// Where signals go.
    pub telemetry: T,
    /// What the operator decides.
    pub settings: Settings,
}
