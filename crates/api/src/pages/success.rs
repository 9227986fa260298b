//! The view of the page that a browser comes back to: `GET /payment/billing/success`.

use super::Purpose;
use billing_core::billing_key::MethodLabel;

/// How far a registration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// `PortOne` was asked, and the billing key is bound to the customer.
    Registered {
        /// The method.
        method: MethodLabel,
        /// What it was registered for, as it was agreed to.
        purpose: Purpose,
    },
    /// `PortOne` could not be asked, or does not show the key yet. Nothing is lost: the webhook completes the registration.
    Checking {
        /// The next look; nothing when there were enough, and the customer may look again by hand.
        reload: Option<Reload>,
    },
}

/// A page that loads itself again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// After how many seconds.
    pub after_seconds: u16,
    /// What is loaded: this page, with whatever counts the looks.
    pub url: String,
}
