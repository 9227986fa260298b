//! The state: a fold of changes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::browser::{Window, Windows};
use super::entities::{BillingKey, Cancellation, Payment, Schedule, ScheduleStatus, Webhook};
use super::faults::FaultSettings;
use super::ledger::{Approval, Ledger, Refund};

/// For how long an answer is kept under its idempotency key.
pub(crate) const IDEMPOTENCY_WINDOW: SignedDuration = SignedDuration::from_hours(3);
/// How long an access token lives.
const ACCESS_TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(30);
/// How long a refresh token lives.
const REFRESH_TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Below this many stored answers it is not worth looking for old ones.
const PRUNE_FROM: usize = 4096;

/// Something that became so. A journal record is a list of them that became so together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    Key(BillingKey),
    Payment(Box<Payment>),
    Schedule(Schedule),
    Webhook(Webhook),
    Approved(Approval),
    Refunded(Refund),
    Answered(Stored),
    /// A network fault hit a request of this attempt.
    FaultHit(String),
    Faults(FaultSettings),
    Login(Login),
    Window(Box<Window>),
}

/// An answer that is given again to the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Login {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) at: Timestamp,
}

/// Something that waits for the clock. State changes go before deliveries of the same moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Schedule(String),
    Payment(String),
    Webhook(String),
}

/// Ids in the order of a time, and of themselves where that is the same. How many lie in a window, and which are on a page of it, is told
/// without looking at the others. What comes has nearly always the latest time, and moves nothing.
#[derive(Debug, Default)]
pub(crate) struct ByTime(Vec<(Timestamp, String)>);

impl ByTime {
    fn put(&mut self, id: &str, old: Option<Timestamp>, new: Timestamp) {
        let place = |ids: &[(Timestamp, String)], at| {
            ids.binary_search_by(|(known, other)| (*known, other.as_str()).cmp(&(at, id)))
        };
        if let Some(Ok(place)) = old.map(|at| place(&self.0, at)) {
            self.0.remove(place);
        }
        if let Err(place) = place(&self.0, new) {
            self.0.insert(place, (new, id.to_owned()));
        }
    }

    /// Those of a window of time, both ends included.
    pub(crate) fn within(&self, (from, until): (Timestamp, Timestamp)) -> &[(Timestamp, String)] {
        let first = self.0.partition_point(|(at, _)| *at < from);
        let end = self.0.partition_point(|(at, _)| *at <= until);
        self.0.get(first..end).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) keys: BTreeMap<String, BillingKey>,
    pub(crate) payments: BTreeMap<String, Payment>,
    /// Payments by creation.
    pub(crate) created: BTreeSet<(Timestamp, String)>,
    /// Payments by the last change of their status.
    pub(crate) changed: ByTime,
    pub(crate) schedules: BTreeMap<String, Schedule>,
    /// The live schedule of a payment.
    pub(crate) scheduled: BTreeMap<String, String>,
    pub(crate) webhooks: BTreeMap<String, Webhook>,
    /// Webhooks of a payment or a billing key, oldest first.
    pub(crate) webhooks_of: BTreeMap<String, Vec<String>>,
    pub(crate) ledger: Ledger,
    answers: BTreeMap<String, Stored>,
    prune_at: usize,
    pub(crate) fault_hits: BTreeMap<String, u32>,
    pub(crate) faults: FaultSettings,
    pub(crate) windows: Windows,
    pub(crate) logins: u64,
    access: Vec<(String, Timestamp)>,
    refresh: Option<(String, Timestamp)>,
    pub(crate) due: BTreeSet<(Timestamp, Due)>,
}

impl State {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Key(key) => {
                self.keys.insert(key.key.clone(), key);
            }
            Change::Payment(payment) => self.put_payment(*payment),
            Change::Schedule(schedule) => self.put_schedule(schedule),
            Change::Webhook(webhook) => self.put_webhook(webhook),
            Change::Approved(approval) => self.ledger.approvals.push(approval),
            Change::Refunded(refund) => self.ledger.cancellations.push(refund),
            Change::Answered(stored) => self.put_answer(stored),
            Change::FaultHit(attempt) => {
                let hits = self.fault_hits.entry(attempt).or_default();
                *hits = hits.saturating_add(1);
            }
            Change::Faults(faults) => self.faults = faults,
            Change::Login(login) => self.put_login(login),
            Change::Window(window) => self.windows.put(*window),
        }
    }

    fn put_payment(&mut self, payment: Payment) {
        let due = Due::Payment(payment.id.clone());
        let old = self.payments.get(&payment.id).and_then(settles_at);
        self.redue(&due, old, settles_at(&payment));
        self.created.insert((payment.created_at, payment.id.clone()));
        let changed = self.payments.get(&payment.id).map(|old| old.status_changed_at);
        self.changed.put(&payment.id, changed, payment.status_changed_at);
        self.payments.insert(payment.id.clone(), payment);
    }

    fn put_schedule(&mut self, schedule: Schedule) {
        let live = |schedule: &Schedule| schedule.status == ScheduleStatus::Scheduled;
        let due_at = |schedule: &Schedule| live(schedule).then_some(schedule.time_to_pay);
        let old = self.schedules.get(&schedule.id).and_then(due_at);
        self.redue(&Due::Schedule(schedule.id.clone()), old, due_at(&schedule));
        if live(&schedule) {
            self.scheduled.insert(schedule.payment_id.clone(), schedule.id.clone());
        } else if self.scheduled.get(&schedule.payment_id) == Some(&schedule.id) {
            self.scheduled.remove(&schedule.payment_id);
        }
        self.schedules.insert(schedule.id.clone(), schedule);
    }

    fn put_webhook(&mut self, webhook: Webhook) {
        let old = self.webhooks.get(&webhook.id);
        if old.is_none() {
            self.webhooks_of.entry(webhook.subject.clone()).or_default().push(webhook.id.clone());
        }
        let old = old.and_then(|old| old.next_try);
        self.redue(&Due::Webhook(webhook.id.clone()), old, webhook.next_try);
        self.webhooks.insert(webhook.id.clone(), webhook);
    }

    fn put_answer(&mut self, stored: Stored) {
        let now = stored.at;
        self.answers.insert(stored.key.clone(), stored);
        if self.answers.len() >= self.prune_at.max(PRUNE_FROM) {
            self.answers.retain(|_, stored| is_kept(stored, now));
            self.prune_at = self.answers.len().saturating_mul(2);
        }
    }

    fn put_login(&mut self, login: Login) {
        self.logins = self.logins.saturating_add(1);
        self.access.retain(|(_, until)| *until > login.at);
        self.access.push((login.access, after(login.at, ACCESS_TOKEN_LIFE)));
        self.refresh = Some((login.refresh, after(login.at, REFRESH_TOKEN_LIFE)));
    }

    fn redue(&mut self, due: &Due, old: Option<Timestamp>, new: Option<Timestamp>) {
        if let Some(old) = old {
            self.due.remove(&(old, due.clone()));
        }
        if let Some(new) = new {
            self.due.insert((new, due.clone()));
        }
    }

    /// The answer kept under an idempotency key.
    pub(crate) fn answer(&self, key: &str, now: Timestamp) -> Option<&Stored> {
        self.answers.get(key).filter(|stored| is_kept(stored, now))
    }

    pub(crate) fn is_access_token(&self, token: &str, now: Timestamp) -> bool {
        self.access.iter().any(|(known, until)| known == token && *until > now)
    }

    pub(crate) fn is_refresh_token(&self, token: &str, now: Timestamp) -> bool {
        self.refresh.as_ref().is_some_and(|(known, until)| known == token && *until > now)
    }

    /// The schedules that have not been charged yet, of one key.
    pub(crate) fn live_schedules<'a>(&'a self, billing_key: &'a str) -> impl Iterator<Item = &'a Schedule> {
        let live = self.scheduled.values().filter_map(|id| self.schedules.get(id));
        live.filter(move |schedule| schedule.order.billing_key == billing_key)
    }
}

fn is_kept(stored: &Stored, now: Timestamp) -> bool {
    after(stored.at, IDEMPOTENCY_WINDOW) > now
}

/// `at` and `span`, or the end of time.
pub(crate) fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// When the clock next does something to a payment or one of its cancellations.
fn settles_at(payment: &Payment) -> Option<Timestamp> {
    let refunds = payment.cancellations.iter().filter_map(|Cancellation { settles, .. }| *settles);
    payment.settles.into_iter().chain(refunds).map(|settles| settles.at).min()
}
