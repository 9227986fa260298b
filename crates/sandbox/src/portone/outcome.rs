//! What an attempt comes to.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::PortOne;
use super::behavior::{Behavior, Plain};
use super::charge::{Attempt, already_paid, key_deleted};
use super::declines::{Decline, decline};
use super::entities::{BillingKey, Failure, Payment, PaymentStatus, Settles};
use super::faults::Plan;
use super::ledger::Approval;
use super::once::Done;
use super::refusal::Refusal;
use super::state::{Change, State, after};
use super::view::stamp;
use super::webhooks::{Event, Subject};

/// What an attempt comes to, if nothing has overtaken it.
pub(crate) fn finish(portone: &PortOne, state: &State, attempt: &Attempt, now: Timestamp) -> Done {
    let old = state.payments.get(&attempt.payment_id);
    if let Some(taken) = old.filter(|payment| payment.is_taken()) {
        return (Err(already_paid(taken)), Vec::new());
    }
    if state.keys.get(&attempt.key.key).is_none_or(|key| key.deleted_at.is_some()) {
        return (Err(key_deleted()), Vec::new());
    }
    let made = |status| attempt.payment(old, status, now);
    match &attempt.plan.outcome {
        Some(Behavior::Decline { reason, .. }) => {
            let decline = decline(&attempt.key.channel.pg_provider, reason);
            let changes = declined(portone, state, &attempt.plan, made(PaymentStatus::Failed), &decline, None, now);
            (Err(Refusal::pg(&decline.pg_code, &decline.pg_message)), changes)
        }
        Some(Behavior::Plain(Plain::KeyDeleted)) => {
            let key = BillingKey { deleted_at: Some(now), ..attempt.key.clone() };
            (Err(key_deleted()), vec![Change::Key(key)])
        }
        Some(Behavior::Plain(Plain::MaxTransactions)) => {
            (Err(Refusal::new("MAX_TRANSACTION_COUNT_REACHED", "the payment was attempted too often")), Vec::new())
        }
        Some(Behavior::Plain(undecided @ (Plain::Pending | Plain::PendingThenFail))) => {
            let at = after(now, SignedDuration::from_secs(i64::from(state.faults.pending_seconds)));
            let settles = Some(Settles { at, approve: *undecided == Plain::Pending });
            let payment =
                Payment { settles, pg_tx_id: Some(pg_tx_id(portone, attempt)), ..made(PaymentStatus::PayPending) };
            pending(portone, state, &attempt.plan, payment, now)
        }
        _ => {
            let payment = Payment { pg_tx_id: Some(pg_tx_id(portone, attempt)), ..made(PaymentStatus::Paid) };
            let answer = answer(&payment, now);
            (Ok(answer), approved(portone, state, &attempt.plan, payment, None, now))
        }
    }
}

fn pg_tx_id(portone: &PortOne, attempt: &Attempt) -> String {
    format!("sandbox{}", portone.seed().hex(&["pg", &attempt.transaction_id], 24))
}

/// `PayWithBillingKeyResponse`.
fn answer(payment: &Payment, now: Timestamp) -> serde_json::Value {
    json!({"payment": {"pgTxId": payment.pg_tx_id, "paidAt": stamp(now)}})
}

/// Money moves.
pub(crate) fn approved(
    portone: &PortOne,
    state: &State,
    plan: &Plan,
    mut payment: Payment,
    trigger: Option<&str>,
    now: Timestamp,
) -> Vec<Change> {
    payment.status = PaymentStatus::Paid;
    payment.paid_at = Some(now);
    payment.status_changed_at = now;
    payment.updated_at = now;
    payment.settles = None;
    let approval = Approval {
        payment_id: payment.id.clone(),
        transaction_id: payment.transaction_id.clone(),
        amount: payment.order.total,
        currency: payment.order.currency.clone(),
        billing_key: payment.order.billing_key.clone(),
        approved_at: now,
    };
    let mut changes = Vec::new();
    // Only the success of the call itself can be hushed.
    if trigger.is_some() || !payment.order.skip_webhook {
        changes = portone.tell(state, plan, about(&payment, "Transaction.Paid", trigger), now);
    }
    changes.extend([Change::Payment(Box::new(payment)), Change::Approved(approval)]);
    changes
}

/// No money moves.
pub(crate) fn declined(
    portone: &PortOne,
    state: &State,
    plan: &Plan,
    mut payment: Payment,
    decline: &Decline,
    trigger: Option<&str>,
    now: Timestamp,
) -> Vec<Change> {
    payment.status = PaymentStatus::Failed;
    payment.status_changed_at = now;
    payment.updated_at = now;
    payment.settles = None;
    let Decline { pg_code, pg_message } = decline.clone();
    payment.failure = Some(Failure { reason: format!("[{pg_code}] {pg_message}"), pg_code, pg_message, at: now });
    let mut changes = portone.tell(state, plan, about(&payment, "Transaction.Failed", trigger), now);
    changes.push(Change::Payment(Box::new(payment)));
    changes
}

/// The gateway has not decided. What the live service answers then is not documented. The contract knows no other answer than that of a
/// paid charge, and PayPal, the one gateway that is known to leave charges undecided, is given it, for that is the harder case. The others
/// do not do this in life; made to, they say nothing of a time of payment.
fn pending(portone: &PortOne, state: &State, plan: &Plan, payment: Payment, now: Timestamp) -> Done {
    let mut answer = answer(&payment, now);
    if !payment.channel.pg_provider.starts_with("PAYPAL")
        && let Some(summary) = answer.get_mut("payment").and_then(serde_json::Value::as_object_mut)
    {
        summary.remove("paidAt");
    }
    let mut changes = portone.tell(state, plan, about(&payment, "Transaction.PayPending", None), now);
    changes.push(Change::Payment(Box::new(payment)));
    (Ok(answer), changes)
}

/// Something that happened to a payment.
pub(crate) fn about<'a>(payment: &'a Payment, kind: &'a str, trigger: Option<&'a str>) -> Event<'a> {
    let about = Subject::Payment {
        id: &payment.id,
        transaction_id: &payment.transaction_id,
        cancellation_id: None,
        status: payment.status,
    };
    Event { kind, about, trigger, notice_urls: &payment.order.notice_urls }
}
