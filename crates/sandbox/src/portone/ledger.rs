//! Every approval and every refund the simulator ever gave.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All money that ever moved, in the order of its moving.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Money taken.
    pub approvals: Vec<Approval>,
    /// Money given back.
    pub cancellations: Vec<Refund>,
}

/// Money taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The payment.
    pub payment_id: String,
    /// The attempt that succeeded.
    pub transaction_id: String,
    /// Minor units.
    pub amount: i64,
    /// The ISO 4217 code.
    pub currency: String,
    /// The key that was charged.
    pub billing_key: String,
    /// When.
    pub approved_at: Timestamp,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// The payment.
    pub payment_id: String,
    /// The attempt that had succeeded.
    pub transaction_id: String,
    /// The cancellation.
    pub cancellation_id: String,
    /// Minor units.
    pub amount: i64,
    /// The ISO 4217 code.
    pub currency: String,
    /// The key that had been charged.
    pub billing_key: String,
    /// When.
    pub cancelled_at: Timestamp,
    /// `API`, `CONSOLE` or `CHARGEBACK`.
    pub trigger: String,
}

impl Ledger {
    /// The same in an order that does not depend on which of two simultaneous requests came first.
    pub(crate) fn in_order(mut self) -> Self {
        self.approvals.sort_by(|a, b| (a.approved_at, &a.payment_id).cmp(&(b.approved_at, &b.payment_id)));
        let key = |refund: &Refund| (refund.cancelled_at, refund.payment_id.clone());
        self.cancellations.sort_by_key(key);
        self
    }
}
