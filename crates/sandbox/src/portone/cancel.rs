//! Giving money back.

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::PortOne;
use super::behavior::{Behavior, Plain};
use super::call::Call;
use super::charge::{after_work, fault, refused_by, slot, wait};
use super::declines::decline;
use super::entities::{Cancellation, CancellationStatus, Payment, PaymentStatus, Settles, Trigger};
use super::faults::{About, Operation, Plan};
use super::input::{Cancel, vat_of};
use super::ledger::Refund;
use super::once::{Done, Ticket};
use super::outcome::about;
use super::refusal::Refusal;
use super::reply::Reply;
use super::state::{Change, State as Known, after};
use super::view;
use super::webhooks::{Event, Subject};

/// How many cancellations a payment may have. `PortOne` has such a limit and does not say what it is.
const MAX_CANCELLATIONS: usize = 100;

/// What is to be given back.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) amount: Option<i64>,
    pub(crate) tax_free: Option<i64>,
    pub(crate) vat: Option<i64>,
    pub(crate) balance: Option<i64>,
    pub(crate) reason: String,
    pub(crate) trigger: Trigger,
    pub(crate) skip_webhook: bool,
}

impl From<Cancel> for Wish {
    fn from(input: Cancel) -> Self {
        Self {
            amount: input.amount,
            tax_free: input.tax_free_amount,
            vat: input.vat_amount,
            balance: input.current_cancellable_amount,
            reason: input.reason,
            trigger: Trigger::Api,
            skip_webhook: input.skip_webhook.unwrap_or(false),
        }
    }
}

/// `POST /payments/{paymentId}/cancel`
pub(crate) async fn cancel(State(portone): State<PortOne>, call: Call) -> Reply {
    portone.once(call, run).await
}

async fn run(portone: PortOne, call: Call, ticket: Ticket) -> Reply {
    let payment_id = call.id("paymentId");
    let started = {
        let mut state = portone.lock();
        start(&portone, &mut state, &call, &ticket, payment_id)
    };
    let (wish, plan, fault, wait) = match started {
        Ok(started) => started,
        Err(reply) => return reply,
    };
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    let (answer, early) = {
        let mut state = portone.lock();
        let now = portone.now();
        let (result, changes) = finish(&portone, &state, &plan, payment_id, &wish, now);
        let early = portone.claim_early(&plan, &changes);
        (portone.conclude(&mut state, &ticket, (result, changes), now), early)
    };
    drop(ticket);
    portone.deliver_claimed(early).await;
    after_work(fault, Reply::Answer(answer))
}

type Started = (Wish, Plan, Option<Plain>, Option<std::time::Duration>);

fn start(
    portone: &PortOne,
    state: &mut Known,
    call: &Call,
    ticket: &Ticket,
    payment_id: &str,
) -> Result<Started, Reply> {
    let now = portone.now();
    let prepared = prepare(portone, state, call, payment_id);
    let (wish, payment) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => {
            return Err(Reply::Answer(portone.conclude(state, ticket, (Err(refusal), Vec::new()), now)));
        }
    };
    let number = number_of_next(&payment);
    let plan = plan(state, &payment, number);
    let slot = slot(Operation::Cancel, payment_id, number);
    let fault = fault(state, &plan, &slot);
    let wait = wait(state, fault, payment_id, number);
    let hit = fault.map(|_| Change::FaultHit(slot)).into_iter().collect();
    portone.commit(state, hit).map_err(Reply::from)?;
    match fault.and_then(refused_by) {
        Some(reply) => Err(reply),
        None => Ok((wish, plan, fault, wait)),
    }
}

fn prepare(portone: &PortOne, state: &Known, call: &Call, payment_id: &str) -> Result<(Wish, Payment), Refusal> {
    let input: Cancel = call.body()?;
    portone.check_store(input.store_id.as_deref())?;
    let payment = cancellable(state, payment_id)?.clone();
    Ok((input.into(), payment))
}

fn cancellable<'a>(state: &'a Known, payment_id: &str) -> Result<&'a Payment, Refusal> {
    let not_found = || Refusal::new("PAYMENT_NOT_FOUND", "there is no such payment");
    let payment = state.payments.get(payment_id).ok_or_else(not_found)?;
    match payment.status {
        PaymentStatus::Paid | PaymentStatus::PartialCancelled => Ok(payment),
        PaymentStatus::Cancelled => Err(Refusal::new("PAYMENT_ALREADY_CANCELLED", "all of it is cancelled")),
        status => Err(Refusal::new("PAYMENT_NOT_PAID", format!("the payment is {status:?}"))),
    }
}

fn number_of_next(payment: &Payment) -> u32 {
    u32::try_from(payment.cancellations.len()).unwrap_or(u32::MAX).saturating_add(1)
}

/// What is to happen to a cancellation.
pub(crate) fn plan(state: &Known, payment: &Payment, number: u32) -> Plan {
    let key = &payment.order.billing_key;
    let base = state.keys.get(key).and_then(|key| key.behavior.as_ref());
    let operation = Operation::Cancel;
    state.faults.plan(&About { operation, base, billing_key: key, payment_id: &payment.id, attempt: number })
}

/// What a wish comes to.
pub(crate) fn finish(
    portone: &PortOne,
    state: &Known,
    plan: &Plan,
    payment_id: &str,
    wish: &Wish,
    now: Timestamp,
) -> Done {
    let granted = cancellable(state, payment_id).and_then(|payment| Ok((payment, parts(payment, wish)?)));
    let (payment, (total, tax_free, vat)) = match granted {
        Ok(granted) => granted,
        Err(refusal) => return (Err(refusal), Vec::new()),
    };
    let number = number_of_next(payment);
    let mut cancellation = Cancellation {
        id: portone.seed().uuid(&["cancellation", payment_id, &number.to_string()]),
        status: CancellationStatus::Succeeded,
        total,
        tax_free,
        vat,
        reason: wish.reason.clone(),
        trigger: wish.trigger,
        requested_at: now,
        cancelled_at: None,
        skip_webhook: wish.skip_webhook,
        settles: None,
    };
    let mut payment = payment.clone();
    payment.updated_at = now;
    let undecided = match &plan.outcome {
        Some(Behavior::Plain(Plain::Pending)) => Some(true),
        Some(Behavior::Plain(Plain::PendingThenFail)) => Some(false),
        _ => payment.channel.pg_provider.starts_with("PAYPAL").then_some(true),
    };
    match (&plan.outcome, undecided) {
        (Some(Behavior::Decline { reason, .. }), _) => {
            let decline = decline(&payment.channel.pg_provider, reason);
            cancellation.status = CancellationStatus::Failed;
            payment.cancellations.push(cancellation);
            (Err(Refusal::pg(&decline.pg_code, &decline.pg_message)), vec![Change::Payment(Box::new(payment))])
        }
        (_, Some(approve)) if wish.trigger != Trigger::Chargeback => {
            let at = after(now, SignedDuration::from_secs(i64::from(state.faults.pending_seconds)));
            cancellation.status = CancellationStatus::Requested;
            cancellation.settles = Some(Settles { at, approve });
            let view = json!({"cancellation": view::cancellation(&cancellation)});
            let event = told(&payment, &cancellation, "Transaction.CancelPending", None);
            let mut changes = portone.tell(state, plan, event, now);
            payment.cancellations.push(cancellation);
            changes.push(Change::Payment(Box::new(payment)));
            (Ok(view), changes)
        }
        _ => {
            payment.cancellations.push(cancellation);
            let last = payment.cancellations.len() - 1;
            let (payment, changes) = succeeded(portone, state, plan, payment, last, None, now);
            let view = payment.cancellations.last().map(view::cancellation);
            (Ok(json!({"cancellation": view})), changes)
        }
    }
}

/// The sums to give back: all, its tax-free part, its VAT.
fn parts(payment: &Payment, wish: &Wish) -> Result<(i64, i64, i64), Refusal> {
    let refuse = |kind, message: String| Err(Refusal::new(kind, message));
    let (balance, balance_tax_free, balance_vat) = payment.cancellable();
    if payment.cancellations.len() >= MAX_CANCELLATIONS {
        return refuse("MAX_CANCEL_COUNT_REACHED", format!("there are {MAX_CANCELLATIONS} cancellations"));
    }
    if wish.balance.is_some_and(|expected| expected != balance) {
        return refuse("CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN", format!("the balance is {balance}"));
    }
    let negative = |amount: Option<i64>| amount.is_some_and(i64::is_negative);
    let total = wish.amount.unwrap_or(balance);
    if wish.amount.is_some_and(|amount| amount <= 0) || negative(wish.tax_free) || negative(wish.vat) {
        return Err(Refusal::invalid("amounts are positive"));
    }
    if total > balance || balance == 0 {
        return refuse("CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT", format!("the balance is {balance}"));
    }
    let tax_free = wish.tax_free.unwrap_or(if wish.amount.is_none() { balance_tax_free } else { 0 });
    let all = total == balance && tax_free == balance_tax_free;
    let vat = wish.vat.unwrap_or_else(|| if all { balance_vat } else { vat_of(total - tax_free).min(balance_vat) });
    if tax_free.saturating_add(vat) > total {
        return refuse("SUM_OF_PARTS_EXCEEDS_CANCEL_AMOUNT", format!("{tax_free} and {vat} are more than {total}"));
    }
    if tax_free > balance_tax_free {
        let kind = "CANCEL_TAX_FREE_AMOUNT_EXCEEDS_CANCELLABLE_TAX_FREE_AMOUNT";
        return refuse(kind, format!("the tax-free balance is {balance_tax_free}"));
    }
    if total - tax_free > balance - balance_tax_free || vat > balance_vat {
        let kind = "CANCEL_TAX_AMOUNT_EXCEEDS_CANCELLABLE_TAX_AMOUNT";
        return refuse(kind, format!("the taxable balance is {}, its VAT {balance_vat}", balance - balance_tax_free));
    }
    Ok((total, tax_free, vat))
}

/// Money goes back: the cancellation at `place` is done.
pub(crate) fn succeeded(
    portone: &PortOne,
    state: &Known,
    plan: &Plan,
    mut payment: Payment,
    place: usize,
    trigger: Option<&str>,
    now: Timestamp,
) -> (Payment, Vec<Change>) {
    if let Some(cancellation) = payment.cancellations.get_mut(place) {
        cancellation.status = CancellationStatus::Succeeded;
        cancellation.cancelled_at = Some(now);
        cancellation.settles = None;
    }
    let all = payment.cancelled().0 >= payment.order.total;
    let status = if all { PaymentStatus::Cancelled } else { PaymentStatus::PartialCancelled };
    // PortOne does not say whether a second partial refund counts: the less helpful answer is taken here.
    if payment.status != status {
        payment.status = status;
        payment.status_changed_at = now;
    }
    payment.updated_at = now;
    let mut changes = Vec::new();
    if let Some(cancellation) = payment.cancellations.get(place) {
        changes.push(Change::Refunded(Refund {
            payment_id: payment.id.clone(),
            transaction_id: payment.transaction_id.clone(),
            cancellation_id: cancellation.id.clone(),
            amount: cancellation.total,
            currency: payment.order.currency.clone(),
            billing_key: payment.order.billing_key.clone(),
            cancelled_at: now,
            trigger: format!("{:?}", cancellation.trigger).to_uppercase(),
        }));
        if trigger.is_some() || !cancellation.skip_webhook {
            let kind = if all { "Transaction.Cancelled" } else { "Transaction.PartialCancelled" };
            changes.extend(portone.tell(state, plan, told(&payment, cancellation, kind, trigger), now));
        }
    }
    changes.push(Change::Payment(Box::new(payment.clone())));
    (payment, changes)
}

/// Something that happened to a cancellation.
fn told<'a>(
    payment: &'a Payment,
    cancellation: &'a Cancellation,
    kind: &'a str,
    trigger: Option<&'a str>,
) -> Event<'a> {
    let event = about(payment, kind, trigger);
    let cancellation_id = Some(cancellation.id.as_str());
    let transaction_id = &payment.transaction_id;
    let about = Subject::Payment { id: &payment.id, transaction_id, cancellation_id, status: payment.status };
    Event { about, ..event }
}
