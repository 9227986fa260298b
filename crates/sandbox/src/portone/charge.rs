//! Charging a billing key.

use std::time::Duration;

use axum::extract::State;
use jiff::Timestamp;

use super::behavior::Plain;
use super::call::Call;
use super::entities::{BillingKey, Order, Payment, PaymentStatus};
use super::faults::{About, Operation, Plan};
use super::input::Charge;
use super::once::Ticket;
use super::outcome::finish;
use super::pg_rules::breach;
use super::refusal::Refusal;
use super::reply::Reply;
use super::state::{Change, State as Known};
use super::{PortOne, lock};

/// How often a payment may be attempted. `PortOne` has such a limit and does not say what it is.
pub(crate) const MAX_ATTEMPTS: u32 = 100;

/// One attempt at a payment.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) payment_id: String,
    pub(crate) number: u32,
    pub(crate) transaction_id: String,
    pub(crate) order: Order,
    pub(crate) key: BillingKey,
    pub(crate) plan: Plan,
    pub(crate) schedule_id: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) requested_at: Timestamp,
}

/// `POST /payments/{paymentId}/billing-key`
pub(crate) async fn pay(State(portone): State<PortOne>, call: Call) -> Reply {
    portone.once(call, run).await
}

async fn run(portone: PortOne, call: Call, ticket: Ticket) -> Reply {
    let started = match start(&portone, &call, &ticket) {
        Ok(started) => started,
        Err(reply) => return reply,
    };
    if let Some(wait) = started.wait {
        tokio::time::sleep(wait).await;
    }
    let Started { attempt, fault, .. } = started;
    let (answer, early) = {
        let mut state = portone.lock();
        let now = portone.now();
        let (result, changes) = finish(&portone, &state, &attempt, now);
        let early = portone.claim_early(&attempt.plan, &changes);
        (portone.conclude(&mut state, &ticket, (result, changes), now), early)
    };
    drop(ticket);
    portone.deliver_claimed(early).await;
    after_work(fault, Reply::Answer(answer))
}

/// What becomes of an answer on its way.
pub(crate) fn after_work(fault: Option<Plain>, reply: Reply) -> Reply {
    match fault {
        Some(Plain::DropAfterSuccess) => Reply::Dropped,
        Some(Plain::Html5xxAfterSuccess) => Reply::Html(502),
        _ => reply,
    }
}

struct Started {
    attempt: Attempt,
    fault: Option<Plain>,
    wait: Option<Duration>,
}

/// Checks the request and begins an attempt, unless something keeps it from beginning.
fn start(portone: &PortOne, call: &Call, ticket: &Ticket) -> Result<Started, Reply> {
    let mut state = portone.lock();
    let now = portone.now();
    if state.faults.charges_per_second.is_some_and(|allowed| !lock(&portone.0.allowance).takes(allowed, now)) {
        let why = "more charges came within a second than `chargesPerSecond`";
        return Err(Refusal::new("TOO_MANY_REQUESTS", why).into());
    }
    let mut attempt = match prepare(portone, call, &state, now) {
        Ok(attempt) => attempt,
        Err(refusal) => {
            return Err(Reply::Answer(portone.conclude(&mut state, ticket, (Err(refusal), Vec::new()), now)));
        }
    };
    attempt.user_agent = call.user_agent();
    let slot = slot(Operation::Charge, &attempt.payment_id, attempt.number);
    let fault = fault(&state, &attempt.plan, &slot);
    let mut changes: Vec<_> = fault.map(|_| Change::FaultHit(slot)).into_iter().collect();
    if let Some(reply) = fault.and_then(refused_by) {
        return Err(portone.commit(&mut state, changes).map_or_else(Reply::from, |()| reply));
    }
    let wait = wait(&state, fault, &attempt.payment_id, attempt.number);
    if wait.is_some() {
        let old = state.payments.get(&attempt.payment_id);
        changes.push(Change::Payment(Box::new(attempt.payment(old, PaymentStatus::Ready, now))));
    }
    portone.commit(&mut state, changes).map_err(Reply::from)?;
    Ok(Started { attempt, fault, wait })
}

fn prepare(portone: &PortOne, call: &Call, state: &Known, now: Timestamp) -> Result<Attempt, Refusal> {
    let input: Charge = call.body()?;
    portone.check_store(input.store_id.as_deref())?;
    let payment_id = call.id("paymentId");
    if payment_id.trim().is_empty() {
        return Err(Refusal::invalid("the payment id is blank"));
    }
    if state.scheduled.contains_key(payment_id) {
        return Err(Refusal::new("PAYMENT_SCHEDULE_ALREADY_EXISTS", "a schedule holds this payment"));
    }
    let key = usable_key(state, &input)?;
    let order = input.order(&key.customer)?;
    let attempt = portone.attempt(state, payment_id, order, key, now)?;
    let rules = state.faults.pg_rules.then(|| breach(&attempt.key.channel.pg_provider, payment_id, &attempt.order));
    match rules.flatten() {
        Some(breach) => Err(Refusal::invalid(breach)),
        None => Ok(attempt),
    }
}

/// The key a request names, if it can be charged on the channel the request names.
pub(crate) fn usable_key(state: &Known, input: &Charge) -> Result<BillingKey, Refusal> {
    let unknown = || Refusal::new("BILLING_KEY_NOT_FOUND", "there is no such billing key");
    let key = state.keys.get(&input.billing_key).ok_or_else(unknown)?;
    if key.deleted_at.is_some() {
        return Err(key_deleted());
    }
    if input.channel_key.as_ref().is_some_and(|channel| *channel != key.channel.key) {
        return Err(Refusal::new("CHANNEL_NOT_FOUND", "the billing key was not issued on this channel"));
    }
    Ok(key.clone())
}

pub(crate) fn key_deleted() -> Refusal {
    Refusal::new("BILLING_KEY_ALREADY_DELETED", "the billing key is deleted")
}

pub(crate) fn already_paid(payment: &Payment) -> Refusal {
    Refusal::new("ALREADY_PAID", format!("the payment is {:?}", payment.status))
}

impl PortOne {
    /// The next attempt at a payment, with what is to happen to it.
    pub(crate) fn attempt(
        &self,
        state: &Known,
        payment_id: &str,
        order: Order,
        key: BillingKey,
        now: Timestamp,
    ) -> Result<Attempt, Refusal> {
        let old = state.payments.get(payment_id);
        if let Some(taken) = old.filter(|payment| payment.is_taken()) {
            return Err(already_paid(taken));
        }
        let number = old.map_or(0, |payment| payment.attempts).saturating_add(1);
        if number > MAX_ATTEMPTS {
            return Err(Refusal::new("MAX_TRANSACTION_COUNT_REACHED", "the payment was attempted too often"));
        }
        let operation = Operation::Charge;
        let about =
            About { operation, base: key.behavior.as_ref(), billing_key: &key.key, payment_id, attempt: number };
        let plan = state.faults.plan(&about);
        Ok(Attempt {
            payment_id: payment_id.to_owned(),
            number,
            transaction_id: self.seed().uuid(&["transaction", payment_id, &number.to_string()]),
            order,
            key,
            plan,
            schedule_id: None,
            user_agent: None,
            requested_at: now,
        })
    }
}

impl Attempt {
    /// The payment as this attempt leaves it.
    pub(crate) fn payment(&self, old: Option<&Payment>, status: PaymentStatus, now: Timestamp) -> Payment {
        Payment {
            id: self.payment_id.clone(),
            status,
            transaction_id: self.transaction_id.clone(),
            attempts: old.map_or(0, |old| old.attempts).max(self.number),
            attempt: self.number,
            order: self.order.clone(),
            channel: self.key.channel.clone(),
            method: self.key.method,
            schedule_id: self.schedule_id.clone(),
            user_agent: self.user_agent.clone(),
            created_at: old.map_or(self.requested_at, |old| old.created_at),
            requested_at: self.requested_at,
            updated_at: now,
            status_changed_at: now,
            paid_at: None,
            pg_tx_id: None,
            failure: None,
            cancellations: Vec::new(),
            disputes: Vec::new(),
            settles: None,
        }
    }
}

/// The name under which network faults of an attempt are counted.
pub(crate) fn slot(operation: Operation, payment_id: &str, number: u32) -> String {
    format!("{}:{payment_id}:{number}", operation.name())
}

/// The network fault of a plan, unless enough requests of the attempt were hit by it.
pub(crate) fn fault(state: &Known, plan: &Plan, slot: &str) -> Option<Plain> {
    let (fault, requests) = plan.network?;
    let hits = state.fault_hits.get(slot).copied().unwrap_or(0);
    (hits < requests).then_some(fault)
}

/// What a fault answers in place of doing anything.
pub(crate) fn refused_by(fault: Plain) -> Option<Reply> {
    let refusal = |kind| Some(Refusal::new(kind, "a fault of the sandbox").into());
    match fault {
        Plain::Html5xx => Some(Reply::Html(503)),
        Plain::Empty5xx => Some(Reply::Empty(500)),
        Plain::ServiceUnavailable => refusal("SERVICE_UNAVAILABLE"),
        Plain::TooManyRequests => refusal("TOO_MANY_REQUESTS"),
        Plain::Unauthorized => refusal("UNAUTHORIZED"),
        Plain::Outstanding => refusal("IDEMPOTENCY_OUTSTANDING_REQUEST"),
        Plain::UnknownErrorType => refusal("SANDBOX_UNHEARD_OF"),
        _ => None,
    }
}

/// How long a fault keeps the caller waiting, in real time.
pub(crate) fn wait(state: &Known, fault: Option<Plain>, payment_id: &str, number: u32) -> Option<Duration> {
    match fault {
        Some(Plain::Hang) => Some(Duration::from_millis(state.faults.hang_ms)),
        Some(Plain::Slow) => Some(Duration::from_millis(state.faults.slow_for(payment_id, number))),
        _ => None,
    }
}
