//! `PortOne`, with a ledger of its own: the judge of the two promises.
//!
//! It is as harsh as what is not known of the real one allows. A payment id that has succeeded is refused (`ALREADY_PAID`); but of two
//! requests for one payment id that are under way *at once* under different idempotency keys, both may succeed: that nobody is charged twice
//! must not rest on it. What was sent goes on when its sender dies.

mod cancel;

pub use cancel::Wished;

use super::context::{Context, Journey};
use super::kernel::{TaskId, lock};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::decline::{Decline, Pg};
use billing_core::guard::Guard;
use billing_core::id::{PaymentId, UserId};
use billing_core::invoice::Proof;
use billing_core::money::Money;
use billing_core::settlement::Charged;
use billing_flows::ports::{
    AskError, CancelAnswer, CancelOrder, CancellationSeen, CancellationStatus, ChargeAnswer, ChargeOrder, Cursor,
    Gateway, KeySeen, ListedBy, Page, PaymentSeen, SeenStatus,
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// How long `PortOne` keeps an answer for its idempotency key.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(3);

/// How long worker and reconciler wait for an answer, as in the template.
const READ_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// How long webhook and API wait for one, whose own caller waits.
const SHORT_READ_TIMEOUT: SignedDuration = SignedDuration::from_secs(20);

/// How many payments fit on a page.
const PAGE: usize = 100;

/// What the PG makes of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Money moves.
    Approve,
    /// Too little money.
    Soft,
    /// The card is stolen.
    Hard,
    /// Accepted, and approved so many hours later.
    PendingThenPaid(i64),
    /// Accepted, and declined so many hours later.
    PendingThenFailed(i64),
    /// Accepted, and never decided.
    PendingForever,
}

/// A charge as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The payment id.
    pub payment_id: PaymentId,
    /// The idempotency key.
    pub key: String,
    /// The billing key.
    pub billing_key: BillingKey,
    /// The PG.
    pub pg: Pg,
    /// How much.
    pub amount: Money,
    /// What for: of one customer it names plan and month, so with the customer it names what is owed.
    pub order_name: String,
    /// Who pays.
    pub user_id: UserId,
}

/// Money that moved.
#[derive(Debug, Clone)]
pub struct Approval {
    /// For what.
    pub sent: Sent,
    /// As which transaction.
    pub transaction_id: String,
    /// When.
    pub at: Timestamp,
}

/// A charge that was decided.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which.
    pub sent: Sent,
    /// How: paid, soft, hard, pending.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
}

/// Something `PortOne` tells by webhook.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event's type.
    pub kind: &'static str,
    /// What it is about.
    pub about: About,
    /// When it happened.
    pub at: Timestamp,
}

/// What a webhook is about.
#[derive(Debug, Clone)]
pub enum About {
    /// A payment.
    Payment(PaymentId),
    /// A billing key.
    Key(BillingKey),
}

type Teller = Arc<dyn Fn(Told) + Send + Sync>;

#[derive(Debug)]
enum Kept {
    Outstanding,
    Answered(ChargeAnswer),
}

#[derive(Debug)]
struct Row {
    created_at: Timestamp,
    seen: PaymentSeen,
    last: Option<Sent>,
}

impl Row {
    fn changed_at(&self) -> Timestamp {
        match &self.seen.status {
            SeenStatus::Paid { at } | SeenStatus::Cancelled { at, .. } | SeenStatus::Failed { at, .. } => *at,
            SeenStatus::Ready | SeenStatus::Pending | SeenStatus::Other(_) => self.created_at,
        }
    }
}

/// Who waits for the answer to which charge: payment id, idempotency key, task. A charge that is decided is waited for in vain.
type Waiting = (PaymentId, String, TaskId);

#[derive(Default)]
struct State {
    teller: Option<Teller>,
    payments: BTreeMap<PaymentId, Row>,
    answers: BTreeMap<String, (Sent, Timestamp, Kept)>,
    keys: BTreeMap<BillingKey, KeySeen>,
    verdicts: BTreeMap<BillingKey, Vec<Verdict>>,
    waiting: BTreeSet<Waiting>,
    sent: Vec<(Sent, Timestamp)>,
    decided: Vec<Decided>,
    approvals: Vec<Approval>,
    refunds: BTreeMap<PaymentId, i64>,
    falsified: BTreeSet<PaymentId>,
    turned_away: Vec<Sent>,
    cancels: cancel::Cancels,
    salt: u64,
}

/// `PortOne`. Clones share it.
#[derive(Clone)]
pub struct PortOne {
    cx: Context,
    state: Arc<Mutex<State>>,
    patience: SignedDuration,
}

impl fmt::Debug for PortOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortOne")
    }
}

/// Where an answer arrives.
#[derive(Debug)]
struct Slot<A>(Arc<Mutex<(Option<A>, Option<Waker>)>>);

/// What may come back from a journey that does not end at the PG.
trait Answer: Clone + Send + 'static {
    fn unknown(why: &str) -> Self;
    fn refused() -> Self;
    fn unauthorized() -> Self;
    /// That the payment id is used up, where there is such an answer.
    fn used_up() -> Option<Self>;
}

impl Answer for ChargeAnswer {
    fn unknown(why: &str) -> Self {
        Self::Unknown(why.to_owned())
    }

    fn refused() -> Self {
        Self::Refused { code: "INVALID_REQUEST".to_owned() }
    }

    fn unauthorized() -> Self {
        Self::Unauthorized { code: "UNAUTHORIZED".to_owned() }
    }

    fn used_up() -> Option<Self> {
        Some(Self::UsedUp)
    }
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((None, None))))
    }
}

impl<A> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Clone> Slot<A> {
    fn fill(&self, answer: A) {
        let mut slot = lock(&self.0);
        if slot.0.is_none() {
            slot.0 = Some(answer);
            if let Some(waker) = slot.1.take() {
                waker.wake();
            }
        }
    }

    async fn wait(&self) -> A {
        poll_fn(|cx| {
            let mut slot = lock(&self.0);
            if let Some(answer) = &slot.0 {
                return Poll::Ready(answer.clone());
            }
            slot.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// A client that waits for an answer; it stops waiting when it is dropped.
struct Client {
    state: Arc<Mutex<State>>,
    place: Waiting,
}

impl Drop for Client {
    fn drop(&mut self) {
        lock(&self.state).waiting.remove(&self.place);
    }
}

impl PortOne {
    /// An empty `PortOne`.
    pub fn new(cx: Context) -> Self {
        Self { cx, state: Arc::default(), patience: READ_TIMEOUT }
    }

    /// The same, as a client sees it that does not wait long for an answer.
    #[must_use]
    pub fn in_a_hurry(&self) -> Self {
        Self { patience: SHORT_READ_TIMEOUT, ..self.clone() }
    }

    /// Who delivers its webhooks.
    pub fn tell_by(&self, teller: impl Fn(Told) + Send + Sync + 'static) {
        lock(&self.state).teller = Some(Arc::new(teller));
    }

    /// Issues a billing key whose charges go so, in this order; the last verdict holds on.
    pub fn issue(&self, key: KeySeen, verdicts: Vec<Verdict>) {
        let mut state = lock(&self.state);
        state.verdicts.insert(key.billing_key.clone(), verdicts);
        state.keys.insert(key.billing_key.clone(), key);
    }

    /// Deletes a billing key.
    pub fn delete(&self, key: &BillingKey) {
        if let Some(seen) = lock(&self.state).keys.get_mut(key) {
            seen.is_issued = false;
        }
        self.cx.note(|| "PortOne: a billing key is deleted".to_owned());
        self.tell("BillingKey.Deleted", About::Key(key.clone()));
    }

    /// Gives money back by hand: so many of `parts` parts of what is left. Tells whether there was anything to give back.
    pub fn give_back(&self, id: &PaymentId, parts: i64, chargeback: bool) -> bool {
        let now = self.cx.now();
        let kind = {
            let mut state = lock(&self.state);
            let Some(row) = state.payments.get_mut(id) else { return false };
            if !matches!(row.seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. }) {
                return false;
            }
            let left = row.seen.amount.minor - row.seen.refunded;
            let some = if parts <= 1 { left } else { left / parts };
            if some <= 0 {
                return false;
            }
            row.seen.chargeback |= chargeback;
            row.seen.cancellations.push(CancellationSeen {
                amount: some,
                status: CancellationStatus::Succeeded { at: now },
                reason: "by hand".to_owned(),
                by_api: false,
                asked_at: Some(now),
            });
            state.add_refunded(id, some, now)
        };
        self.cx.note(|| format!("PortOne: {kind} of {id}"));
        self.tell(kind, About::Payment(id.clone()));
        true
    }

    /// Tells of a dispute.
    pub fn dispute(&self, id: &PaymentId) {
        self.tell("Transaction.DisputeCreated", About::Payment(id.clone()));
    }

    /// Makes it charge another sum than was ordered, also where the charge is still to come: money of that sum moved, by somebody else's
    /// mistake.
    pub fn falsify(&self, id: &PaymentId) {
        let is_paid = {
            let mut state = lock(&self.state);
            state.falsified.insert(id.clone());
            state.restate(id)
        };
        self.cx.note(|| format!("PortOne: the sum of {id} is changed"));
        if is_paid {
            self.tell("Transaction.Paid", About::Payment(id.clone()));
        }
    }

    /// Whether another sum was made to move than was ordered.
    pub fn is_falsified(&self, id: &PaymentId) -> bool {
        lock(&self.state).falsified.contains(id)
    }

    /// Charges that no PG was asked about, for their billing key was deleted; oldest first.
    pub fn turned_away(&self) -> Vec<Sent> {
        lock(&self.state).turned_away.clone()
    }

    /// Whether any billing key of a customer was deleted.
    pub fn has_deleted_key(&self, user_id: &UserId) -> bool {
        let state = lock(&self.state);
        state.keys.values().any(|key| !key.is_issued && key.customer_id.as_deref() == Some(user_id.as_str()))
    }

    /// Every payment id it knows.
    pub fn payment_ids(&self) -> Vec<PaymentId> {
        lock(&self.state).payments.keys().cloned().collect()
    }

    /// Everything that was sent, oldest first.
    pub fn sent(&self) -> Vec<(Sent, Timestamp)> {
        lock(&self.state).sent.clone()
    }

    /// Everything that was decided, oldest first.
    pub fn decided(&self) -> Vec<Decided> {
        lock(&self.state).decided.clone()
    }

    /// The ledger.
    pub fn approvals(&self) -> Vec<Approval> {
        lock(&self.state).approvals.clone()
    }

    /// The sum that a transaction moved, if the ledger has it.
    pub fn moved_by(&self, transaction_id: &str) -> Option<Money> {
        let state = lock(&self.state);
        let approval = state.approvals.iter().find(|approval| approval.transaction_id == transaction_id);
        approval.map(|approval| approval.sent.amount)
    }

    /// How much was given back of each payment.
    pub fn refunds(&self) -> BTreeMap<PaymentId, i64> {
        lock(&self.state).refunds.clone()
    }

    /// The status of a payment.
    pub fn status(&self, id: &PaymentId) -> Option<SeenStatus> {
        lock(&self.state).payments.get(id).map(|row| row.seen.status.clone())
    }

    /// Whether a key exists and can be charged.
    pub fn is_issued(&self, key: &BillingKey) -> bool {
        lock(&self.state).keys.get(key).is_some_and(|seen| seen.is_issued)
    }

    /// Tells of an event.
    pub fn tell(&self, kind: &'static str, about: About) {
        let teller = lock(&self.state).teller.clone();
        if let Some(teller) = teller {
            teller(Told { kind, about, at: self.cx.now() });
        }
    }

    fn send(&self, order: &ChargeOrder<'_>, slot: &Slot<ChargeAnswer>) -> Client {
        let (now, task) = (self.cx.now(), self.cx.kernel.current());
        let mut key = order.payment_id.idempotency_key(order.attempt);
        let mut state = lock(&self.state);
        if !Guard::AttemptKey.stands() {
            state.salt += 1;
            key = format!("{key}-{}", state.salt);
        }
        let sent = Sent {
            payment_id: order.payment_id.clone(),
            key,
            billing_key: order.method.billing_key.clone(),
            pg: order.method.pg.clone(),
            amount: order.amount,
            order_name: order.order_name.to_owned(),
            user_id: order.user_id.clone(),
        };
        let is_resend = state.sent.iter().any(|(before, _)| before.payment_id == sent.payment_id);
        let journey = self.cx.journey(is_resend);
        let place = (sent.payment_id.clone(), sent.key.clone(), task);
        if state.waiting.iter().any(|(id, _, other)| *id == sent.payment_id && *other != task) {
            self.cx.violation(format!("two workers charge {} at once", sent.payment_id));
        }
        let first = state.sent.iter().find(|(before, _)| before.key == sent.key);
        if first.is_some_and(|(_, at)| now.duration_since(*at) >= KEPT_FOR) && journey != Journey::Unauthorized {
            self.cx.violation(format!("{} was sent again after its idempotency key was forgotten", sent.key));
        }
        state.waiting.insert(place.clone());
        if journey != Journey::Unauthorized {
            state.sent.push((sent.clone(), now));
        }
        drop(state);
        self.cx.note(|| format!("charge {} from {} ({journey:?})", sent.key, sent.user_id));
        self.travel(journey, slot.clone(), |portone, deciding, back| portone.arrive(sent, deciding, back));
        Client { state: Arc::clone(&self.state), place }
    }

    /// Takes a request to `arrive`, which is told how long deciding takes and where an answer goes, unless its journey ends before.
    fn travel<A: Answer>(
        &self,
        journey: Journey,
        slot: Slot<A>,
        arrive: impl FnOnce(Self, SignedDuration, Option<Slot<A>>) + Send + 'static,
    ) {
        let (there, timeout) = (self.cx.millis(5, 400), slot.clone());
        self.cx.kernel.after(self.patience, move || timeout.fill(A::unknown("no answer in time")));
        let refuse = |answer: A| {
            let slot = slot.clone();
            self.cx.kernel.after(there, move || slot.fill(answer));
        };
        match journey {
            Journey::NeverArrives => return,
            Journey::PageBefore => return refuse(A::unknown("a page, 502")),
            Journey::Refused => return refuse(A::refused()),
            Journey::Unauthorized => return refuse(A::unauthorized()),
            Journey::UsedUp => {
                if let Some(answer) = A::used_up() {
                    return refuse(answer);
                }
            }
            Journey::PageAfter => refuse(A::unknown("a page, 504")),
            Journey::Smooth | Journey::Stuck(_) | Journey::Slow(_) | Journey::AnswerLost => {}
        }
        let on_the_way = if let Journey::Stuck(seconds) = journey { SignedDuration::from_secs(seconds) } else { there };
        let deciding = match journey {
            Journey::Slow(seconds) => SignedDuration::from_secs(seconds),
            _ => self.cx.millis(100, 4_000),
        };
        let back = if journey == Journey::AnswerLost { None } else { Some(slot) };
        let portone = self.clone();
        self.cx.kernel.after(on_the_way, move || arrive(portone, deciding, back));
    }

    fn arrive(&self, sent: Sent, deciding: SignedDuration, back: Option<Slot<ChargeAnswer>>) {
        let now = self.cx.now();
        let answer = {
            let mut state = lock(&self.state);
            let kept = state.answers.get(&sent.key).filter(|(_, at, _)| now.duration_since(*at) < KEPT_FOR);
            match kept {
                Some((first, _, _)) if *first != sent => {
                    self.cx.violation(format!("another request under the idempotency key {}", sent.key));
                    Some(ChargeAnswer::Refused { code: "INVALID_REQUEST".to_owned() })
                }
                Some((_, _, Kept::Answered(answer))) => Some(answer.clone()),
                Some((_, _, Kept::Outstanding)) => {
                    Some(ChargeAnswer::Unknown("IDEMPOTENCY_OUTSTANDING_REQUEST".to_owned()))
                }
                None => {
                    let refused = state.refuses(&sent);
                    let kept = refused.clone().map_or(Kept::Outstanding, Kept::Answered);
                    if matches!(refused, Some(ChargeAnswer::Declined(_))) {
                        state.turned_away.push(sent.clone());
                    }
                    state.answers.insert(sent.key.clone(), (sent.clone(), now, kept));
                    refused
                }
            }
        };
        if let Some(answer) = answer {
            return self.answer(back, answer);
        }
        let portone = self.clone();
        self.cx.kernel.after(deciding, move || portone.decide(&sent, back));
    }

    fn answer<A: Clone + Send + 'static>(&self, back: Option<Slot<A>>, answer: A) {
        if let Some(slot) = back {
            self.cx.kernel.after(self.cx.millis(5, 400), move || slot.fill(answer));
        }
    }

    fn decide(&self, sent: &Sent, back: Option<Slot<ChargeAnswer>>) {
        let now = self.cx.now();
        let (answer, verdict) = {
            let mut state = lock(&self.state);
            state.waiting.retain(|(_, key, _)| *key != sent.key);
            let verdict = state.verdict(&sent.billing_key);
            state.decided.push(Decided { sent: sent.clone(), verdict, at: now });
            let answer = match verdict {
                Verdict::Approve => state.approve(sent, now),
                Verdict::Soft => state.decline(sent, "REJECT_CARD_PAYMENT", now),
                Verdict::Hard => state.decline(sent, "INVALID_CARD_LOST_OR_STOLEN", now),
                Verdict::PendingThenPaid(_) | Verdict::PendingThenFailed(_) | Verdict::PendingForever => {
                    state.put(sent, SeenStatus::Pending, Proof::default(), now);
                    ChargeAnswer::Ask("it is pending".to_owned())
                }
            };
            if let Some((_, _, kept)) = state.answers.get_mut(&sent.key) {
                *kept = Kept::Answered(answer.clone());
            }
            (answer, verdict)
        };
        self.cx.note(|| format!("PortOne: {} is decided: {verdict:?}", sent.key));
        self.tell(kind_of(verdict), About::Payment(sent.payment_id.clone()));
        if let Verdict::PendingThenPaid(hours) | Verdict::PendingThenFailed(hours) = verdict {
            let (portone, sent) = (self.clone(), sent.clone());
            let is_paid = matches!(verdict, Verdict::PendingThenPaid(_));
            self.cx.kernel.after(SignedDuration::from_hours(hours), move || portone.decide_pending(&sent, is_paid));
        }
        self.answer(back, answer);
    }

    fn decide_pending(&self, sent: &Sent, is_paid: bool) {
        let now = self.cx.now();
        {
            let mut state = lock(&self.state);
            if state.payments.get(&sent.payment_id).is_none_or(|row| row.seen.status != SeenStatus::Pending) {
                return;
            }
            if is_paid {
                state.approve(sent, now);
            } else {
                state.decline(sent, "DECLINED_LATER", now);
            }
        }
        let verdict = if is_paid { Verdict::Approve } else { Verdict::Soft };
        self.cx.note(|| format!("PortOne: {} was pending and is decided: {verdict:?}", sent.key));
        self.tell(kind_of(verdict), About::Payment(sent.payment_id.clone()));
    }

    async fn ask<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, AskError> {
        self.cx.kernel.sleep(self.cx.millis(5, 300)).await;
        let (outage, unauthorized, rate) = self.cx.weather(|w| (w.outage, w.unauthorized, w.ask));
        if outage || self.cx.strikes(rate) {
            let patience = u64::try_from(self.patience.as_millis()).unwrap_or(60_000);
            self.cx.kernel.sleep(self.cx.millis(5, patience)).await;
            return Err(AskError::Unavailable("no usable answer".to_owned()));
        }
        if unauthorized {
            return Err(AskError::Unauthorized("UNAUTHORIZED".to_owned()));
        }
        let answer = read(&lock(&self.state));
        self.cx.kernel.sleep(self.cx.millis(5, 300)).await;
        Ok(answer)
    }
}

fn kind_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "Transaction.Paid",
        Verdict::Soft | Verdict::Hard => "Transaction.Failed",
        Verdict::PendingThenPaid(_) | Verdict::PendingThenFailed(_) | Verdict::PendingForever => {
            "Transaction.PayPending"
        }
    }
}

impl State {
    /// What is answered at the door, without asking any PG.
    fn refuses(&self, sent: &Sent) -> Option<ChargeAnswer> {
        match self.payments.get(&sent.payment_id).map(|row| &row.seen.status) {
            Some(SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. }) => {
                return Some(ChargeAnswer::Ask("ALREADY_PAID".to_owned()));
            }
            Some(SeenStatus::Pending) => return Some(ChargeAnswer::Ask("it is pending".to_owned())),
            Some(SeenStatus::Ready | SeenStatus::Failed { .. } | SeenStatus::Other(_)) | None => {}
        }
        let is_gone = self.keys.get(&sent.billing_key).is_none_or(|key| !key.is_issued);
        is_gone.then(|| ChargeAnswer::Declined(Decline::no_method("BILLING_KEY_ALREADY_DELETED")))
    }

    fn verdict(&mut self, key: &BillingKey) -> Verdict {
        match self.verdicts.get_mut(key) {
            Some(verdicts) if verdicts.len() > 1 => verdicts.remove(0),
            Some(verdicts) => verdicts.first().copied().unwrap_or(Verdict::Approve),
            None => Verdict::Approve,
        }
    }

    fn approve(&mut self, sent: &Sent, now: Timestamp) -> ChargeAnswer {
        let number = self.approvals.len() + 1;
        let transaction_id = format!("tx-{number}");
        self.approvals.push(Approval { sent: sent.clone(), transaction_id: transaction_id.clone(), at: now });
        let proof =
            Proof { pg_tx_id: Some(format!("pg-{number}")), transaction_id: Some(transaction_id), receipt_url: None };
        self.put(sent, SeenStatus::Paid { at: now }, proof, now);
        if self.falsified.contains(&sent.payment_id) {
            self.restate(&sent.payment_id);
        }
        ChargeAnswer::Paid { at: now, pg_tx_id: format!("pg-{number}") }
    }

    /// Puts another transaction of another sum in the place of a payment's last. Tells whether it was paid.
    fn restate(&mut self, id: &PaymentId) -> bool {
        let last = self.approvals.iter_mut().rev().find(|approval| approval.sent.payment_id == *id);
        let (Some(approval), Some(row)) = (last, self.payments.get_mut(id)) else { return false };
        row.seen.amount.minor += 1;
        approval.sent.amount =
            Money::new(row.seen.amount.minor, approval.sent.amount.currency()).unwrap_or(approval.sent.amount);
        approval.transaction_id.push_str("-other");
        row.seen.proof.transaction_id = Some(approval.transaction_id.clone());
        true
    }

    fn decline(&mut self, sent: &Sent, code: &str, now: Timestamp) -> ChargeAnswer {
        let decline = Decline::from_pg(&sent.pg, code);
        let is_paid = self.payments.get(&sent.payment_id).is_some_and(|row| {
            matches!(row.seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. } | SeenStatus::Pending)
                && row.last.as_ref() != Some(sent)
        });
        if !is_paid {
            self.put(sent, SeenStatus::Failed { at: now, decline: decline.clone() }, Proof::default(), now);
        }
        ChargeAnswer::Declined(decline)
    }

    /// Answers what is told of it.
    fn add_refunded(&mut self, id: &PaymentId, some: i64, now: Timestamp) -> &'static str {
        let Some(row) = self.payments.get_mut(id) else { return "Transaction.Cancelled" };
        if let SeenStatus::Paid { at: paid_at } | SeenStatus::Cancelled { paid_at, .. } = row.seen.status {
            row.seen.refunded += some;
            row.seen.status = SeenStatus::Cancelled { paid_at, at: now };
        }
        let refunded = row.seen.refunded;
        self.refunds.insert(id.clone(), refunded);
        if refunded == row.seen.amount.minor { "Transaction.Cancelled" } else { "Transaction.PartialCancelled" }
    }

    fn put(&mut self, sent: &Sent, status: SeenStatus, proof: Proof, now: Timestamp) {
        let created_at = self.payments.get(&sent.payment_id).map_or(now, |row| row.created_at);
        let seen = PaymentSeen {
            payment_id: sent.payment_id.clone(),
            status,
            billing_key: Some(sent.billing_key.clone()),
            amount: Charged::from(sent.amount),
            refunded: 0,
            chargeback: false,
            cancellations: Vec::new(),
            proof,
        };
        self.payments.insert(sent.payment_id.clone(), Row { created_at, seen, last: Some(sent.clone()) });
    }
}

impl Gateway for PortOne {
    async fn charge(&self, order: &ChargeOrder<'_>) -> ChargeAnswer {
        let slot = Slot::default();
        let client = self.send(order, &slot);
        let answer = slot.wait().await;
        drop(client);
        self.cx.note(|| format!("answer to {}-{}: {answer:?}", order.payment_id, order.attempt));
        answer
    }

    async fn cancel(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        self.give_back_by_api(order).await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<PaymentSeen>, AskError> {
        let seen = self.ask(|state| state.payments.get(id).map(|row| row.seen.clone())).await;
        self.cx.note(|| format!("asked about {id}: {:?}", seen.as_ref().map(|seen| seen.as_ref().map(|s| &s.status))));
        seen
    }

    async fn billing_key(&self, key: &BillingKey) -> Result<Option<KeySeen>, AskError> {
        self.ask(|state| state.keys.get(key).cloned()).await
    }

    async fn payments(
        &self,
        by: ListedBy,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<PaymentSeen>, AskError> {
        self.ask(|state| {
            let moment = |row: &Row| match by {
                ListedBy::Creation => row.created_at,
                ListedBy::StatusChange => row.changed_at(),
            };
            let position = |row: &Row| format!("{:015}-{}", moment(row).as_millisecond(), row.seen.payment_id);
            let mut rows: Vec<(String, &Row)> = state
                .payments
                .values()
                .filter(|row| (from..until).contains(&moment(row)))
                .map(|row| (position(row), row))
                .filter(|(position, _)| after.is_none_or(|after| *position > after.0))
                .collect();
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            rows.truncate(PAGE);
            let next =
                (rows.len() == PAGE).then(|| rows.last().map(|(position, _)| Cursor(position.clone()))).flatten();
            Page { items: rows.into_iter().map(|(_, row)| row.seen.clone()).collect(), next }
        })
        .await
    }
}
