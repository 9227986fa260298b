//! Charges on a schedule.

use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::PortOne;
use super::call::Call;
use super::charge::usable_key;
use super::entities::{PaymentStatus, Schedule, ScheduleStatus};
use super::input::{Revoke, ScheduleInput};
use super::outcome::finish;
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::state::{Change, State as Known};
use super::view;

/// `POST /payments/{paymentId}/schedule`
pub(crate) async fn create(State(portone): State<PortOne>, call: Call) -> Reply {
    portone.at_once(call, created).await
}

fn created(portone: &PortOne, call: &Call, state: &Known, now: Timestamp) -> Result<(Value, Vec<Change>), Refusal> {
    let ScheduleInput { payment: input, time_to_pay } = call.body()?;
    portone.check_store(input.store_id.as_deref())?;
    let payment_id = call.id("paymentId").to_owned();
    if payment_id.trim().is_empty() {
        return Err(Refusal::invalid("the payment id is blank"));
    }
    if time_to_pay <= now {
        return Err(Refusal::invalid("`timeToPay` is not in the future"));
    }
    if state.payments.get(&payment_id).is_some_and(super::entities::Payment::is_taken) {
        return Err(Refusal::new("ALREADY_PAID_OR_WAITING", "the payment is paid, or waits to be"));
    }
    if state.scheduled.contains_key(&payment_id) {
        return Err(Refusal::new("PAYMENT_SCHEDULE_ALREADY_EXISTS", "a schedule holds this payment"));
    }
    let key = usable_key(state, &input)?;
    let mut order = input.order(&key.customer)?;
    order.skip_webhook = false;
    let nth = state.schedules.values().filter(|schedule| schedule.payment_id == payment_id).count();
    let schedule = Schedule {
        id: portone.seed().uuid(&["schedule", &payment_id, &nth.to_string()]),
        payment_id,
        status: ScheduleStatus::Scheduled,
        order,
        created_at: now,
        time_to_pay,
        started_at: None,
        completed_at: None,
        revoked_at: None,
    };
    Ok((json!({"schedule": {"id": schedule.id}}), vec![Change::Schedule(schedule)]))
}

/// `GET /payment-schedules/{paymentScheduleId}`
pub(crate) async fn get(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        portone.check_store(call.query("storeId"))?;
        let state = portone.lock();
        let schedule = state.schedules.get(call.id("paymentScheduleId")).ok_or_else(not_found)?;
        Ok(view::schedule(portone.store(), schedule))
    };
    read().into()
}

fn not_found() -> Refusal {
    Refusal::new("PAYMENT_SCHEDULE_NOT_FOUND", "there is no such schedule")
}

/// `DELETE /payment-schedules`
pub(crate) async fn revoke(State(portone): State<PortOne>, call: Call) -> Reply {
    portone.at_once(call, revoked).await
}

/// All or nothing.
fn revoked(portone: &PortOne, call: &Call, state: &Known, now: Timestamp) -> Result<(Value, Vec<Change>), Refusal> {
    let Revoke { store_id, billing_key, schedule_ids } = call.asked()?;
    portone.check_store(store_id.as_deref())?;
    let ids = schedule_ids.unwrap_or_default();
    if let Some(key) = &billing_key {
        let unknown = || Refusal::new("BILLING_KEY_NOT_FOUND", "there is no such billing key");
        if state.keys.get(key).ok_or_else(unknown)?.deleted_at.is_some() {
            return Err(super::charge::key_deleted());
        }
    }
    let chosen: Vec<&Schedule> = match (&billing_key, ids.is_empty()) {
        (None, true) => return Err(Refusal::invalid("`billingKey` or `scheduleIds` is required")),
        (Some(key), true) => state.live_schedules(key).collect(),
        (_, false) => ids.iter().map(|id| state.schedules.get(id).ok_or_else(not_found)).collect::<Result<_, _>>()?,
    };
    let mut changes = Vec::new();
    for schedule in &chosen {
        if billing_key.as_ref().is_some_and(|key| *key != schedule.order.billing_key) {
            return Err(Refusal::invalid("a schedule belongs to another billing key"));
        }
        match schedule.status {
            ScheduleStatus::Scheduled => {}
            ScheduleStatus::Revoked => return Err(Refusal::new("PAYMENT_SCHEDULE_ALREADY_REVOKED", "it is revoked")),
            _ => return Err(Refusal::new("PAYMENT_SCHEDULE_ALREADY_PROCESSED", "it is processed")),
        }
        let revoked = Schedule { status: ScheduleStatus::Revoked, revoked_at: Some(now), ..(*schedule).clone() };
        changes.push(Change::Schedule(revoked));
    }
    let ids: Vec<_> = chosen.iter().map(|schedule| schedule.id.as_str()).collect();
    let mut answer = json!({"revokedScheduleIds": ids});
    super::input::put(&mut answer, "revokedAt", (!ids.is_empty()).then(|| view::stamp(now)));
    Ok((answer, changes))
}

impl PortOne {
    /// Charges a schedule that is due.
    pub(crate) fn charge_by_schedule(&self, id: &str) -> Result<(), Refusal> {
        let mut state = self.lock();
        let now = self.now();
        let due = state.schedules.get(id).filter(|schedule| schedule.status == ScheduleStatus::Scheduled);
        let Some(mut schedule) = due.cloned() else {
            return Ok(());
        };
        let key = state.keys.get(&schedule.order.billing_key).cloned();
        let key = key.ok_or_else(|| Refusal::new("BILLING_KEY_NOT_FOUND", "there is no such billing key"));
        let attempt = key.and_then(|key| self.attempt(&state, &schedule.payment_id, schedule.order.clone(), key, now));
        let mut changes = match attempt {
            Ok(mut attempt) => {
                attempt.schedule_id = Some(schedule.id.clone());
                finish(self, &state, &attempt, now).1
            }
            Err(_) => Vec::new(),
        };
        let status = changes.iter().find_map(|change| match change {
            Change::Payment(payment) => Some(payment.status),
            _ => None,
        });
        schedule.status = match status {
            Some(PaymentStatus::Paid) => ScheduleStatus::Succeeded,
            Some(PaymentStatus::PayPending) => ScheduleStatus::Pending,
            _ => ScheduleStatus::Failed,
        };
        schedule.started_at = Some(now);
        schedule.completed_at = Some(now);
        changes.push(Change::Schedule(schedule));
        self.commit(&mut state, changes)
    }
}
