//! A small, honest model of `PortOne`.

mod cancel;

pub use cancel::{Cancel, CancelBehaviour};

use super::pages::{Listing, sortable};
use super::{breathe, lock};
use crate::ports::{
    AskError, CancelAnswer, CancelOrder, CancellationSeen, CancellationStatus, ChargeAnswer, ChargeOrder, Clock,
    Cursor, Gateway, KeySeen, ListedBy, Page, PaymentSeen, SeenStatus,
};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::decline::{Decline, Pg};
use billing_core::id::{PaymentId, UserId};
use billing_core::invoice::Proof;
use billing_core::money::Money;
use billing_core::settlement::Charged;
use billing_core::subscription::Customer;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

/// How long `PortOne` keeps an answer for its idempotency key.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(3);

/// How many payments fit on a page of [`Gateway::payments`].
const PAYMENTS_PER_PAGE: usize = 100;

/// How a charge goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Money moves.
    #[default]
    Approve,
    /// The PG declines, with this code of its own.
    Decline(String),
    /// It is accepted and not decided; see [`ScriptedGateway::approve_pending`].
    Pending,
    /// The request never arrives: nothing happens, and nobody can say so.
    UnknownNotReceived,
    /// The request is on its way, unseen by any read, until [`ScriptedGateway::deliver`].
    UnknownInFlight,
    /// Money moves, and the answer is lost.
    UnknownButPaid,
    /// The PG declines, and the answer is lost.
    UnknownButDeclined(String),
    /// It is accepted and not decided, and the answer is lost.
    UnknownButPending,
    /// `PortOne` refuses the request with this error type, before any charge.
    Refuse(String),
    /// `PortOne` refuses our credentials.
    Unauthorized,
    /// `PortOne` calls the payment id used up.
    UsedUp,
    /// Money moved under this payment id before, by another hand.
    AlreadyPaid,
}

impl Behaviour {
    /// Whether the request reaches the part of `PortOne` that decides.
    fn arrives(&self) -> bool {
        match self {
            Self::UnknownNotReceived | Self::UnknownInFlight | Self::Unauthorized => false,
            Self::Approve
            | Self::Decline(_)
            | Self::Pending
            | Self::UnknownButPaid
            | Self::UnknownButDeclined(_)
            | Self::UnknownButPending
            | Self::Refuse(_)
            | Self::UsedUp
            | Self::AlreadyPaid => true,
        }
    }
}

/// Why a read fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskFault {
    /// No usable answer.
    Unavailable,
    /// Our credentials are refused.
    Unauthorized,
}

impl From<AskFault> for AskError {
    fn from(fault: AskFault) -> Self {
        match fault {
            AskFault::Unavailable => Self::Unavailable("a fault on order".to_owned()),
            AskFault::Unauthorized => Self::Unauthorized("UNAUTHORIZED".to_owned()),
        }
    }
}

/// An order as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The invoice's name.
    pub payment_id: PaymentId,
    /// The number of the attempt.
    pub attempt: u32,
    /// What was charged.
    pub billing_key: BillingKey,
    /// The PG behind it.
    pub pg: Pg,
    /// How much.
    pub amount: Money,
    /// What the customer reads.
    pub order_name: String,
    /// Whose.
    pub user_id: UserId,
    /// Who is billed.
    pub customer: Customer,
    /// When it was sent.
    pub at: Timestamp,
}

impl Charge {
    fn is_same_request(&self, other: &Self) -> bool {
        *self == Self { at: self.at, ..other.clone() }
    }
}

/// Money that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Under which payment id.
    pub payment_id: PaymentId,
    /// By which attempt.
    pub attempt: u32,
    /// From which key.
    pub billing_key: BillingKey,
    /// How much.
    pub amount: Money,
    /// `PortOne`'s id of the attempt.
    pub transaction_id: String,
    /// The PG's id of it.
    pub pg_tx_id: String,
    /// When.
    pub at: Timestamp,
}

/// An answer that is kept for its idempotency key.
#[derive(Debug)]
struct Kept {
    charge: Charge,
    answer: ChargeAnswer,
}

#[derive(Debug)]
struct Row {
    /// The latest attempt; nothing for a payment that was put here by hand.
    charge: Option<Charge>,
    created_at: Timestamp,
    status_changed_at: Timestamp,
    seen: PaymentSeen,
}

#[derive(Debug, Default)]
struct Books {
    charges: Vec<Charge>,
    looked_at: Vec<Charge>,
    approvals: Vec<Approval>,
    violations: Vec<String>,
    payments: BTreeMap<PaymentId, Row>,
    answers: BTreeMap<(PaymentId, u32), Kept>,
    in_flight: Vec<Charge>,
    cancels: Vec<Cancel>,
    cancel_answers: BTreeMap<(PaymentId, u32), (Timestamp, CancelAnswer)>,
    cancels_in_flight: Vec<Cancel>,
    keys: BTreeMap<BillingKey, KeySeen>,
    deleted: BTreeSet<BillingKey>,
    requests: BTreeMap<&'static str, u64>,
    room: Option<usize>,
}

impl Row {
    fn add_given_back(&mut self, minor: i64, now: Timestamp) {
        let (SeenStatus::Paid { at: paid_at } | SeenStatus::Cancelled { paid_at, .. }) = self.seen.status else {
            return;
        };
        let total = self.seen.refunded.saturating_add(minor);
        // To PortOne one partial refund after another is no change of status.
        if self.seen.refunded == 0 || total == self.seen.amount.minor {
            self.status_changed_at = now;
        }
        self.seen.refunded = total;
        self.seen.status = SeenStatus::Cancelled { paid_at, at: now };
    }
}

type Rule = Arc<dyn Fn(&Charge) -> Option<Behaviour> + Send + Sync>;

#[derive(Default)]
struct Script {
    rule: Option<Rule>,
    by_payment: BTreeMap<PaymentId, VecDeque<Behaviour>>,
    by_key: BTreeMap<BillingKey, Behaviour>,
    next: VecDeque<Behaviour>,
    otherwise: Behaviour,
    next_cancels: VecDeque<CancelBehaviour>,
    next_asks: VecDeque<Option<AskFault>>,
    asks: Option<AskFault>,
}

/// `PortOne`, as far as billing sees it. Until it is told otherwise it approves every charge.
///
/// What no script can change, because it is `PortOne`'s own promise:
/// - a payment id succeeds at most once; charged again it answers [`ChargeAnswer::Ask`];
/// - the same order under the same (payment id, attempt) within three hours gets the same answer again and does nothing;
/// - a deleted billing key cannot be charged.
///
/// Every call of `charge` takes one scripted behaviour. A behaviour that says how the journey went (never arrived, answer lost, credentials
/// refused) holds for a replayed answer too; one that says how the charge went does not.
///
/// A billing key need not be registered here to be charged; to be read it must be.
#[derive(Clone)]
pub struct ScriptedGateway {
    books: Arc<Mutex<Books>>,
    script: Arc<Mutex<Script>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ScriptedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedGateway").field("books", &*lock(&self.books)).finish_non_exhaustive()
    }
}

impl ScriptedGateway {
    /// A gateway that approves everything.
    pub fn new(clock: impl Clock + 'static) -> Self {
        Self { books: Arc::default(), script: Arc::default(), clock: Arc::new(clock) }
    }

    /// Has it room for so many charges only.
    pub fn set_room(&self, room: usize) {
        lock(&self.books).room = Some(room);
    }

    /// How charges go that no script is for.
    pub fn always(&self, behaviour: Behaviour) {
        lock(&self.script).otherwise = behaviour;
    }

    /// How the next charges go that neither a rule, nor their payment id, nor their billing key decides.
    pub fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        lock(&self.script).next.extend(behaviours);
    }

    /// How the next charges of a payment go.
    pub fn script(&self, id: &PaymentId, behaviours: impl IntoIterator<Item = Behaviour>) {
        lock(&self.script).by_payment.entry(id.clone()).or_default().extend(behaviours);
    }

    /// How every charge of a billing key goes.
    pub fn script_key(&self, key: &BillingKey, behaviour: Behaviour) {
        lock(&self.script).by_key.insert(key.clone(), behaviour);
    }

    /// Lets a rule decide first, about every charge. Nothing is locked while it is asked.
    pub fn script_by(&self, rule: impl Fn(&Charge) -> Option<Behaviour> + Send + Sync + 'static) {
        lock(&self.script).rule = Some(Arc::new(rule));
    }

    /// Lets the next reads fail, or (`None`) not.
    pub fn next_asks(&self, faults: impl IntoIterator<Item = Option<AskFault>>) {
        lock(&self.script).next_asks.extend(faults);
    }

    /// Lets every read fail from now on, or (`None`) none.
    pub fn all_asks(&self, fault: Option<AskFault>) {
        lock(&self.script).asks = fault;
    }

    /// Every order that was sent, oldest first, also those that never arrived.
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.books).charges.clone()
    }

    /// Every approval, oldest first: at most one for a payment id.
    pub fn approvals(&self) -> Vec<Approval> {
        lock(&self.books).approvals.clone()
    }

    /// How often money moved under a payment id.
    pub fn approvals_of(&self, id: &PaymentId) -> usize {
        lock(&self.books).approvals.iter().filter(|approval| approval.payment_id == *id).count()
    }

    /// What a client must never do: send another request under an idempotency key it used before, or send
    /// one again when `PortOne` may have forgotten the key.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.books).violations.clone()
    }

    /// How often each method of [`Gateway`] was called.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.books).requests.clone()
    }

    /// Lets every request arrive that is on its way, each to be handled as `behaviour` says (one that never arrives is dropped). Answers how
    /// many there were. Arriving after a re-send of the same order, it finds the answer to that and does nothing.
    pub fn deliver(&self, behaviour: &Behaviour) -> usize {
        let now = self.clock.now();
        let mut books = lock(&self.books);
        let arriving = std::mem::take(&mut books.in_flight);
        for charge in arriving.iter().filter(|_| behaviour.arrives()) {
            books.process(charge, behaviour, now);
        }
        arriving.len()
    }

    /// Decides a pending payment: paid. `false` if it is not pending.
    pub fn approve_pending(&self, id: &PaymentId) -> bool {
        let now = self.clock.now();
        let mut books = lock(&self.books);
        let Some(charge) = books.pending(id) else { return false };
        books.approve(&charge, now);
        true
    }

    /// Decides a pending payment: declined. `false` if it is not pending.
    pub fn decline_pending(&self, id: &PaymentId, code: &str) -> bool {
        let now = self.clock.now();
        let mut books = lock(&self.books);
        let Some(charge) = books.pending(id) else { return false };
        books.decline(&charge, code, now);
        true
    }

    /// Gives money back, in part or in whole. `false` if so much was not paid.
    pub fn refund(&self, id: &PaymentId, minor: i64) -> bool {
        lock(&self.books).give_back(id, minor, false, self.clock.now())
    }

    /// The customer's bank takes money back. `false` if so much was not paid.
    pub fn charge_back(&self, id: &PaymentId, minor: i64) -> bool {
        lock(&self.books).give_back(id, minor, true, self.clock.now())
    }

    /// Makes `PortOne` state another sum for a payment than was charged. `false` if it does not know the payment.
    pub fn set_amount(&self, id: &PaymentId, amount: Charged) -> bool {
        lock(&self.books).payments.get_mut(id).map(|row| row.seen.amount = amount).is_some()
    }

    /// Makes `PortOne` state another status for a payment. `false` if it does not know the payment.
    pub fn set_status(&self, id: &PaymentId, status: SeenStatus) -> bool {
        let now = self.clock.now();
        let mut books = lock(&self.books);
        let Some(row) = books.payments.get_mut(id) else { return false };
        row.seen.status = status;
        row.status_changed_at = now;
        true
    }

    /// Makes `PortOne` state that another sum was given back than was, and say nothing else. `false` if it does not know the payment.
    pub fn set_refunded(&self, id: &PaymentId, minor: i64) -> bool {
        lock(&self.books).payments.get_mut(id).map(|row| row.seen.refunded = minor).is_some()
    }

    /// Puts a payment here that no charge of ours made, or replaces one that did.
    pub fn put_payment(&self, seen: PaymentSeen, created_at: Timestamp) {
        let row = Row { charge: None, created_at, status_changed_at: created_at, seen };
        lock(&self.books).payments.insert(row.seen.payment_id.clone(), row);
    }

    /// Makes `PortOne` forget a payment. Its approvals stay in the ledger.
    pub fn forget_payment(&self, id: &PaymentId) {
        lock(&self.books).payments.remove(id);
    }

    /// Registers a billing key, or replaces it.
    pub fn put_key(&self, key: KeySeen) {
        let mut books = lock(&self.books);
        if key.is_issued {
            books.deleted.remove(&key.billing_key);
        } else {
            books.deleted.insert(key.billing_key.clone());
        }
        books.keys.insert(key.billing_key.clone(), key);
    }

    /// Deletes a billing key: it can no longer be charged, and reads as deleted.
    pub fn delete_key(&self, key: &BillingKey) {
        let mut books = lock(&self.books);
        books.deleted.insert(key.clone());
        if let Some(seen) = books.keys.get_mut(key) {
            seen.is_issued = false;
        }
    }

    fn behaviour(&self, charge: &Charge) -> Behaviour {
        let rule = lock(&self.script).rule.clone();
        if let Some(behaviour) = rule.and_then(|rule| rule(charge)) {
            return behaviour;
        }
        let mut script = lock(&self.script);
        let scripted = script.by_payment.get_mut(&charge.payment_id).and_then(VecDeque::pop_front);
        scripted
            .or_else(|| script.by_key.get(&charge.billing_key).cloned())
            .or_else(|| script.next.pop_front())
            .unwrap_or_else(|| script.otherwise.clone())
    }

    async fn ask<T: Send>(
        &self,
        method: &'static str,
        read: impl FnOnce(&Books) -> Result<T, AskError> + Send,
    ) -> Result<T, AskError> {
        breathe().await;
        let fault = {
            let mut script = lock(&self.script);
            script.next_asks.pop_front().unwrap_or(script.asks)
        };
        let answer = {
            let mut books = lock(&self.books);
            books.count(method);
            fault.map_or_else(|| read(&books), |fault| Err(fault.into()))
        };
        breathe().await;
        answer
    }
}

impl Books {
    fn count(&mut self, method: &'static str) {
        *self.requests.entry(method).or_default() += 1;
    }

    /// The journey of a request.
    fn receive(&mut self, charge: Charge, behaviour: &Behaviour, now: Timestamp) -> ChargeAnswer {
        // An order that was refused for its credentials was not looked at: it uses no idempotency key.
        if *behaviour != Behaviour::Unauthorized {
            self.judge(&charge);
            self.looked_at.push(charge.clone());
        }
        self.charges.push(charge.clone());
        match behaviour {
            Behaviour::UnknownNotReceived => ChargeAnswer::Unknown("the connection was refused".to_owned()),
            Behaviour::UnknownInFlight => {
                self.in_flight.push(charge);
                ChargeAnswer::Unknown("no answer in time".to_owned())
            }
            Behaviour::Unauthorized => ChargeAnswer::Unauthorized { code: "UNAUTHORIZED".to_owned() },
            Behaviour::UnknownButPaid | Behaviour::UnknownButDeclined(_) | Behaviour::UnknownButPending => {
                self.process(&charge, behaviour, now);
                ChargeAnswer::Unknown("the answer was lost".to_owned())
            }
            Behaviour::Approve
            | Behaviour::Decline(_)
            | Behaviour::Pending
            | Behaviour::Refuse(_)
            | Behaviour::UsedUp
            | Behaviour::AlreadyPaid => self.process(&charge, behaviour, now),
        }
    }

    /// Whether a client may send this after what it sent before.
    fn judge(&mut self, charge: &Charge) {
        let is_resend = |before: &&Charge| before.payment_id == charge.payment_id && before.attempt == charge.attempt;
        let Some(first) = self.looked_at.iter().find(is_resend) else {
            return;
        };
        let (id, attempt) = (&charge.payment_id, charge.attempt);
        if !first.is_same_request(charge) {
            self.violations.push(format!("another request under the idempotency key of {id}, attempt {attempt}"));
        }
        if charge.at.duration_since(first.at) >= KEPT_FOR {
            self.violations
                .push(format!("{id}, attempt {attempt}, was sent again after its idempotency key was forgotten"));
        }
    }

    /// A request that arrived: answered from the idempotency key, or decided and kept for it.
    fn process(&mut self, charge: &Charge, behaviour: &Behaviour, now: Timestamp) -> ChargeAnswer {
        let name = (charge.payment_id.clone(), charge.attempt);
        if let Some(kept) = self.answers.get(&name).filter(|kept| now.duration_since(kept.charge.at) < KEPT_FOR) {
            if kept.charge.is_same_request(charge) {
                return kept.answer.clone();
            }
            return ChargeAnswer::Refused { code: "INVALID_REQUEST".to_owned() };
        }
        let answer = self.decide(charge, behaviour, now);
        self.answers.insert(name, Kept { charge: Charge { at: now, ..charge.clone() }, answer: answer.clone() });
        answer
    }

    fn decide(&mut self, charge: &Charge, behaviour: &Behaviour, now: Timestamp) -> ChargeAnswer {
        if let Behaviour::Refuse(code) = behaviour {
            return ChargeAnswer::Refused { code: code.clone() };
        }
        if *behaviour == Behaviour::UsedUp {
            return ChargeAnswer::UsedUp;
        }
        match self.payments.get(&charge.payment_id).map(|row| &row.seen.status) {
            Some(SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. }) => {
                return ChargeAnswer::Ask("ALREADY_PAID".to_owned());
            }
            Some(SeenStatus::Pending) => return ChargeAnswer::Ask("it is pending".to_owned()),
            Some(SeenStatus::Ready | SeenStatus::Failed { .. } | SeenStatus::Other(_)) | None => {}
        }
        if self.approvals.iter().any(|approval| approval.payment_id == charge.payment_id) {
            return ChargeAnswer::Ask("ALREADY_PAID".to_owned());
        }
        if self.deleted.contains(&charge.billing_key) {
            return ChargeAnswer::Declined(Decline::no_method("BILLING_KEY_ALREADY_DELETED"));
        }
        match behaviour {
            Behaviour::Decline(code) | Behaviour::UnknownButDeclined(code) => self.decline(charge, code, now),
            Behaviour::Pending | Behaviour::UnknownButPending => {
                self.put(charge, SeenStatus::Pending, Proof::default(), now);
                ChargeAnswer::Ask("it is pending".to_owned())
            }
            Behaviour::AlreadyPaid => {
                self.approve(charge, now);
                ChargeAnswer::Ask("ALREADY_PAID".to_owned())
            }
            Behaviour::Approve | Behaviour::UnknownButPaid => self.approve(charge, now),
            Behaviour::Refuse(_)
            | Behaviour::UsedUp
            | Behaviour::UnknownNotReceived
            | Behaviour::UnknownInFlight
            | Behaviour::Unauthorized => ChargeAnswer::Unknown("it was never decided".to_owned()),
        }
    }

    fn approve(&mut self, charge: &Charge, now: Timestamp) -> ChargeAnswer {
        let number = self.approvals.len() + 1;
        let approval = Approval {
            payment_id: charge.payment_id.clone(),
            attempt: charge.attempt,
            billing_key: charge.billing_key.clone(),
            amount: charge.amount,
            transaction_id: format!("tx-{number}"),
            pg_tx_id: format!("pg-{number}"),
            at: now,
        };
        let proof = Proof {
            pg_tx_id: Some(approval.pg_tx_id.clone()),
            transaction_id: Some(approval.transaction_id.clone()),
            receipt_url: Some(format!("https://receipt.example/{number}")),
        };
        self.put(charge, SeenStatus::Paid { at: now }, proof, now);
        let answer = ChargeAnswer::Paid { at: now, pg_tx_id: approval.pg_tx_id.clone() };
        self.approvals.push(approval);
        answer
    }

    fn decline(&mut self, charge: &Charge, code: &str, now: Timestamp) -> ChargeAnswer {
        let decline = Decline::from_pg(&charge.pg, code);
        self.put(charge, SeenStatus::Failed { at: now, decline: decline.clone() }, Proof::default(), now);
        ChargeAnswer::Declined(decline)
    }

    fn put(&mut self, charge: &Charge, status: SeenStatus, proof: Proof, now: Timestamp) {
        let created_at = self.payments.get(&charge.payment_id).map_or(now, |row| row.created_at);
        let seen = PaymentSeen {
            payment_id: charge.payment_id.clone(),
            status,
            billing_key: Some(charge.billing_key.clone()),
            amount: charge.amount.into(),
            refunded: 0,
            chargeback: false,
            cancellations: Vec::new(),
            proof,
        };
        let row = Row { charge: Some(charge.clone()), created_at, status_changed_at: now, seen };
        self.payments.insert(charge.payment_id.clone(), row);
    }

    fn pending(&self, id: &PaymentId) -> Option<Charge> {
        let row = self.payments.get(id).filter(|row| row.seen.status == SeenStatus::Pending)?;
        row.charge.clone()
    }

    fn give_back(&mut self, id: &PaymentId, minor: i64, chargeback: bool, now: Timestamp) -> bool {
        let Some(row) = self.payments.get_mut(id) else {
            return false;
        };
        let seen = &mut row.seen;
        let moved_money = matches!(seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. });
        if !moved_money || minor <= 0 || seen.refunded.saturating_add(minor) > seen.amount.minor {
            return false;
        }
        seen.chargeback |= chargeback;
        seen.cancellations.push(CancellationSeen {
            amount: minor,
            status: CancellationStatus::Succeeded { at: now },
            reason: "by hand".to_owned(),
            by_api: false,
            asked_at: Some(now),
        });
        row.add_given_back(minor, now);
        true
    }
}

impl Gateway for ScriptedGateway {
    fn room(&self) -> usize {
        lock(&self.books).room.unwrap_or(usize::MAX)
    }

    async fn charge(&self, order: &ChargeOrder<'_>) -> ChargeAnswer {
        breathe().await;
        let now = self.clock.now();
        let charge = Charge {
            payment_id: order.payment_id.clone(),
            attempt: order.attempt,
            billing_key: order.method.billing_key.clone(),
            pg: order.method.pg.clone(),
            amount: order.amount,
            order_name: order.order_name.to_owned(),
            user_id: order.user_id.clone(),
            customer: order.customer.clone(),
            at: now,
        };
        let behaviour = self.behaviour(&charge);
        let answer = {
            let mut books = lock(&self.books);
            books.count("charge");
            books.receive(charge, &behaviour, now)
        };
        breathe().await;
        answer
    }

    async fn cancel(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        breathe().await;
        let answer = self.take_cancel(order);
        breathe().await;
        answer
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<PaymentSeen>, AskError> {
        self.ask("payment", |books| Ok(books.payments.get(id).map(|row| row.seen.clone()))).await
    }

    async fn billing_key(&self, key: &BillingKey) -> Result<Option<KeySeen>, AskError> {
        self.ask("billing_key", |books| Ok(books.keys.get(key).cloned())).await
    }

    async fn payments(
        &self,
        by: ListedBy,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<PaymentSeen>, AskError> {
        let (name, moment): (_, fn(&Row) -> Timestamp) = match by {
            ListedBy::Creation => ("payments_by_creation", |row| row.created_at),
            ListedBy::StatusChange => ("payments_by_status_change", |row| row.status_changed_at),
        };
        self.ask(name, |books| {
            let listing = Listing { name, partition: "", descending: false, rows: PAYMENTS_PER_PAGE };
            let rows = books.payments.values().filter(|row| (from..until).contains(&moment(row)));
            let rows = rows.map(|row| (vec![sortable(moment(row)), row.seen.payment_id.to_string()], row.seen.clone()));
            listing.page(rows, after).map_err(AskError::Unavailable)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::ManualClock;
    use billing_core::money::Currency;
    use billing_core::subscription::Method;

    const ALL: [fn() -> Behaviour; 12] = [
        || Behaviour::Approve,
        || Behaviour::Decline("NEVER_SEEN".to_owned()),
        || Behaviour::Pending,
        || Behaviour::UnknownNotReceived,
        || Behaviour::UnknownInFlight,
        || Behaviour::UnknownButPaid,
        || Behaviour::UnknownButDeclined("NEVER_SEEN".to_owned()),
        || Behaviour::UnknownButPending,
        || Behaviour::Refuse("INVALID_REQUEST".to_owned()),
        || Behaviour::Unauthorized,
        || Behaviour::UsedUp,
        || Behaviour::AlreadyPaid,
    ];

    fn id() -> PaymentId {
        PaymentId::new("inv1").unwrap()
    }

    fn method() -> Method {
        Method { billing_key: BillingKey::new("billing-key-1"), pg: Pg::TossPayments }
    }

    fn gateway() -> (ScriptedGateway, ManualClock) {
        let clock = ManualClock::new("2026-12-01T10:00:00+09:00".parse().unwrap());
        (ScriptedGateway::new(clock.clone()), clock)
    }

    async fn charge(gateway: &ScriptedGateway, attempt: u32) -> ChargeAnswer {
        charge_for(gateway, attempt, 29_700).await
    }

    async fn charge_for(gateway: &ScriptedGateway, attempt: u32, minor: i64) -> ChargeAnswer {
        let order = ChargeOrder {
            payment_id: &id(),
            attempt,
            method: &method(),
            order_name: "12월 스탠다드",
            amount: Money::new(minor, Currency::Krw).unwrap(),
            user_id: &UserId::new("user_1").unwrap(),
            customer: &Customer::default(),
        };
        gateway.charge(&order).await
    }

    async fn status(gateway: &ScriptedGateway) -> Option<SeenStatus> {
        gateway.payment(&id()).await.unwrap().map(|seen| seen.status)
    }

    #[tokio::test]
    async fn no_script_makes_a_payment_id_succeed_twice() {
        for script in (0..12usize.pow(3)).map(|n| [n / 144, n / 12 % 12, n % 12]) {
            for attempts in [[1, 1, 1], [1, 2, 2], [1, 1, 2], [1, 2, 3]] {
                let (gateway, clock) = gateway();
                gateway.next(script.map(|index| ALL[index]()));
                for attempt in attempts {
                    charge(&gateway, attempt).await;
                    clock.advance(SignedDuration::from_hours(2));
                }
                gateway.deliver(&Behaviour::Approve);
                gateway.approve_pending(&id());
                assert!(gateway.approvals_of(&id()) <= 1, "{script:?} {attempts:?}");
                let is_paid = matches!(status(&gateway).await, Some(SeenStatus::Paid { .. }));
                assert_eq!(is_paid, gateway.approvals_of(&id()) == 1, "{script:?} {attempts:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_resend_within_three_hours_gets_the_answer_that_was_lost() {
        let (gateway, clock) = gateway();
        gateway.next([Behaviour::UnknownButPaid]);
        assert!(matches!(charge(&gateway, 1).await, ChargeAnswer::Unknown(_)));
        clock.advance(SignedDuration::from_mins(179));
        let replayed = charge(&gateway, 1).await;
        assert!(matches!(replayed, ChargeAnswer::Paid { .. }));
        assert_eq!(charge(&gateway, 1).await, replayed);
        assert_eq!(charge(&gateway, 2).await, ChargeAnswer::Ask("ALREADY_PAID".to_owned()));
        assert_eq!((gateway.approvals().len(), gateway.violations().len()), (1, 0));
        clock.advance(SignedDuration::from_mins(1));
        assert_eq!(charge(&gateway, 1).await, ChargeAnswer::Ask("ALREADY_PAID".to_owned()));
        assert_eq!((gateway.approvals().len(), gateway.violations().len()), (1, 1));
    }

    #[tokio::test]
    async fn another_request_under_a_used_idempotency_key_is_a_violation() {
        let (gateway, _) = gateway();
        gateway.next([Behaviour::Decline("NEVER_SEEN".to_owned())]);
        charge(&gateway, 1).await;
        assert!(matches!(charge_for(&gateway, 1, 1).await, ChargeAnswer::Refused { .. }));
        assert_eq!((gateway.approvals().len(), gateway.violations().len()), (0, 1));
    }

    #[tokio::test]
    async fn a_request_on_its_way_is_unseen_until_it_arrives() {
        let (gateway, _) = gateway();
        gateway.next([Behaviour::UnknownInFlight]);
        charge(&gateway, 1).await;
        assert_eq!(status(&gateway).await, None);
        assert_eq!(gateway.deliver(&Behaviour::Approve), 1);
        assert!(matches!(status(&gateway).await, Some(SeenStatus::Paid { .. })));
        assert_eq!(gateway.deliver(&Behaviour::Approve), 0);
    }

    #[tokio::test]
    async fn a_pending_payment_is_decided_once() {
        let (gateway, _) = gateway();
        gateway.next([Behaviour::Pending]);
        assert!(matches!(charge(&gateway, 1).await, ChargeAnswer::Ask(_)));
        assert_eq!(status(&gateway).await, Some(SeenStatus::Pending));
        assert!(matches!(charge(&gateway, 2).await, ChargeAnswer::Ask(_)));
        assert!(gateway.approvals().is_empty());
        assert!(gateway.approve_pending(&id()));
        assert!(!gateway.approve_pending(&id()) && !gateway.decline_pending(&id(), "NEVER_SEEN"));
        assert_eq!(gateway.approvals_of(&id()), 1);
    }

    #[tokio::test]
    async fn no_more_is_given_back_than_was_paid() {
        let (gateway, _) = gateway();
        assert!(!gateway.refund(&id(), 1));
        charge(&gateway, 1).await;
        assert!(gateway.refund(&id(), 29_000) && !gateway.refund(&id(), 701) && gateway.charge_back(&id(), 700));
        let seen = gateway.payment(&id()).await.unwrap().unwrap();
        assert_eq!((seen.refunded, seen.chargeback), (29_700, true));
        assert!(matches!(charge(&gateway, 2).await, ChargeAnswer::Ask(_)));
    }

    #[tokio::test]
    async fn a_deleted_key_cannot_be_charged() {
        let (gateway, _) = gateway();
        gateway.delete_key(&method().billing_key);
        let gone = Decline::no_method("BILLING_KEY_ALREADY_DELETED");
        assert_eq!(charge(&gateway, 1).await, ChargeAnswer::Declined(gone));
        assert_eq!(status(&gateway).await, None);
    }

    #[tokio::test]
    async fn reads_fail_on_order() {
        let (gateway, _) = gateway();
        gateway.next_asks([Some(AskFault::Unavailable), None, Some(AskFault::Unauthorized)]);
        assert!(matches!(gateway.payment(&id()).await, Err(AskError::Unavailable(_))));
        assert!(gateway.payment(&id()).await.unwrap().is_none());
        assert!(matches!(gateway.payment(&id()).await, Err(AskError::Unauthorized(_))));
        assert_eq!(gateway.requests().get("payment"), Some(&3));
    }

    #[tokio::test]
    async fn payments_are_listed_by_when_they_were_made_over_any_number_of_pages() {
        let (gateway, clock) = gateway();
        charge(&gateway, 1).await;
        let seen = gateway.payment(&id()).await.unwrap().unwrap();
        let from = clock.now();
        for minutes in 1..=250 {
            let payment_id = PaymentId::new(format!("other{}", 1_000 - minutes)).unwrap();
            gateway.put_payment(PaymentSeen { payment_id, ..seen.clone() }, from + SignedDuration::from_mins(minutes));
        }
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let until = from + SignedDuration::from_mins(250);
            let page = gateway.payments(ListedBy::Creation, from, until, after.as_ref()).await.unwrap();
            listed.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let names: Vec<&str> = listed.iter().map(|seen| seen.payment_id.as_str()).collect();
        assert_eq!((names.len(), names[0], names[1], names[249]), (250, "inv1", "other999", "other751"));
    }
}
