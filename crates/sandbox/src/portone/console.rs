//! What happens without a call: by the clock, by an operator in the console, by the customer's bank, by a restart.

use jiff::Timestamp;

use super::PortOne;
use super::cancel::{self, Wish};
use super::declines::decline;
use super::entities::{BillingKey, CancellationStatus, Dispute, Payment, PaymentStatus, Settles, Trigger};
use super::faults::{About, Operation, Plan};
use super::outcome::{about, approved, declined};
use super::refusal::Refusal;
use super::state::{Change, State};

impl PortOne {
    /// Deletes a billing key behind the merchant's back: without a webhook.
    pub fn delete_billing_key_underfoot(&self, key: &str) -> anyhow::Result<()> {
        let mut state = self.lock();
        let old = state.keys.get(key).ok_or_else(|| anyhow::anyhow!("there is no billing key {key}"))?;
        let deleted = BillingKey { deleted_at: old.deleted_at.or(Some(self.now())), ..old.clone() };
        self.commit(&mut state, vec![Change::Key(deleted)]).map_err(Into::into)
    }

    /// Refunds in the console: all that is left, or a part. The id of the cancellation is returned.
    pub fn refund_in_console(&self, payment_id: &str, amount: Option<i64>) -> anyhow::Result<String> {
        self.give_back(payment_id, amount, Trigger::Console)
    }

    /// The customer's bank takes back all that is left. The id of the cancellation is returned.
    pub fn chargeback(&self, payment_id: &str) -> anyhow::Result<String> {
        self.give_back(payment_id, None, Trigger::Chargeback)
    }

    fn give_back(&self, payment_id: &str, amount: Option<i64>, trigger: Trigger) -> anyhow::Result<String> {
        let mut state = self.lock();
        let now = self.now();
        let reason = if trigger == Trigger::Chargeback { "chargeback" } else { "refunded in the console" };
        let reason = reason.to_owned();
        let wish = Wish { amount, tax_free: None, vat: None, balance: None, reason, trigger, skip_webhook: false };
        let plan = state.payments.get(payment_id).map(|payment| cancel::plan(&state, payment, 0)).unwrap_or_default();
        let (result, mut changes) = cancel::finish(self, &state, &plan, payment_id, &wish, now);
        let view = result?;
        if trigger == Trigger::Chargeback {
            self.dispute(&state, &plan, &mut changes, now);
        }
        self.commit(&mut state, changes)?;
        let id = view.pointer("/cancellation/id").and_then(|id| id.as_str());
        Ok(id.unwrap_or_default().to_owned())
    }

    /// A dispute that was lost goes with the payments among the changes.
    fn dispute(&self, state: &State, plan: &Plan, changes: &mut Vec<Change>, now: Timestamp) {
        let mut told = Vec::new();
        for change in changes.iter_mut() {
            let Change::Payment(payment) = change else { continue };
            payment.disputes.push(Dispute { created_at: now, resolved_at: Some(now) });
            for (kind, trigger) in
                [("Transaction.DisputeCreated", "DISPUTE_CREATED"), ("Transaction.DisputeResolved", "DISPUTE_RESOLVED")]
            {
                told.extend(self.tell(state, plan, about(payment, kind, Some(trigger)), now));
            }
        }
        changes.extend(told);
    }

    /// Decides a pending payment, or else a requested refund of it, now.
    pub fn settle_pending(&self, payment_id: &str, approve: bool) -> anyhow::Result<()> {
        let mut state = self.lock();
        let missing = || anyhow::anyhow!("there is no payment {payment_id}");
        let payment = state.payments.get(payment_id).ok_or_else(missing)?.clone();
        let changes = self.settled(&state, payment, |_| Some(approve));
        anyhow::ensure!(!changes.is_empty(), "nothing about the payment {payment_id} is undecided");
        self.commit(&mut state, changes).map_err(Into::into)
    }

    /// Decides what the clock has decided about a payment.
    pub(crate) fn settle_by_clock(&self, payment_id: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let now = self.now();
        let Some(payment) = state.payments.get(payment_id).cloned() else {
            return Ok(());
        };
        let changes = self.settled(&state, payment, |settles| (settles.at <= now).then_some(settles.approve));
        self.commit(&mut state, changes)
    }

    /// One thing that `decide` decides about a payment.
    fn settled(&self, state: &State, payment: Payment, decide: impl Fn(Settles) -> Option<bool>) -> Vec<Change> {
        let now = self.now();
        if let Some(approve) = payment.settles.and_then(&decide) {
            let plan = webhooks_of_charge(state, &payment);
            if approve {
                return approved(self, state, &plan, payment, Some("ASYNC_PAY_APPROVED"), now);
            }
            let decline = decline(&payment.channel.pg_provider, "insufficient_funds");
            return declined(self, state, &plan, payment, &decline, Some("ASYNC_PAY_FAILED"), now);
        }
        let place = payment.cancellations.iter().position(|refund| refund.settles.and_then(&decide).is_some());
        let Some(place) = place else { return Vec::new() };
        let approve = payment.cancellations.get(place).and_then(|refund| refund.settles).and_then(&decide);
        if approve == Some(true) {
            let number = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
            let plan = cancel::plan(state, &payment, number);
            return cancel::succeeded(self, state, &plan, payment, place, Some("ASYNC_CANCEL_APPROVED"), now).1;
        }
        let mut payment = payment;
        payment.updated_at = now;
        if let Some(refund) = payment.cancellations.get_mut(place) {
            refund.status = CancellationStatus::Failed;
            refund.settles = None;
        }
        vec![Change::Payment(Box::new(payment))]
    }

    /// Charges that the end of the process interrupted have failed.
    pub(crate) fn fail_the_interrupted(&self) -> Result<(), Refusal> {
        let mut state = self.lock();
        let now = self.now();
        let interrupted = state.payments.values().filter(|payment| payment.status == PaymentStatus::Ready);
        let changes = interrupted.flat_map(|payment| {
            let decline = decline(&payment.channel.pg_provider, "pg_down");
            declined(self, &state, &Plan::default(), payment.clone(), &decline, None, now)
        });
        let changes = changes.collect();
        self.commit(&mut state, changes)
    }
}

/// What is wrong with the webhooks of a charge that is decided later.
fn webhooks_of_charge(state: &State, payment: &Payment) -> Plan {
    let billing_key = &payment.order.billing_key;
    let base = state.keys.get(billing_key).and_then(|key| key.behavior.as_ref());
    let operation = Operation::Charge;
    state.faults.plan(&About { operation, base, billing_key, payment_id: &payment.id, attempt: payment.attempt })
}

/// A refusal of what an operator asked for.
impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        anyhow::anyhow!("{}: {}", refusal.kind(), refusal.message())
    }
}
