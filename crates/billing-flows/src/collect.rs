//! Collect: what a worker does with one subscription that is due.
//!
//! Load, is it still due? → claim the attempt (durable, with a lease) → `PortOne` → settle. On the clean path that is one read, which a batch
//! shares, one intent write, one call and one transaction. A crash between any two steps leaves a state that the next worker or the reconciler
//! repairs:
//!
//! | crash | left behind | repaired by |
//! | --- | --- | --- |
//! | before the claim | nothing | the next run: the subscription is still due |
//! | after the claim | `charging`, with a lease | asking, once the lease is over; re-sent under the same idempotency key if `PortOne` never saw it |
//! | after the call | the same | asking: `PortOne` knows the payment |
//! | after the settlement | the truth | nothing to repair; a redelivered message finds nothing due |

use crate::pay::number_by;
use crate::ports::{
    AskError, Changes, ChargeAnswer, ChargeOrder, Clock, CollectMessage, CommitError, Conflict, Expect, Gateway, Queue,
};
use crate::ports::{SeenStatus, Signal, Store, SubscriptionChange, Telemetry};
use crate::receive_webhook::facts_of;
use crate::settle::{Books, MAX_ROUNDS};
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_core::change::Upgrade;
use billing_core::decline::{Decline, Reason};
use billing_core::event::{Cause, EventKind};
use billing_core::guard::Guard;
use billing_core::id::{MAX_REVISION, PaymentId};
use billing_core::invoice::{Invoice, LOST_AFTER, Part, State, Step};
use billing_core::settlement::{self, Charged, Context, Fact};
use billing_core::subscription::{Due, Subscription, SubscriptionKey};
use jiff::SignedDuration;

/// `PortOne`'s name for a payment id that was attempted too often.
const USED_UP: &str = "MAX_TRANSACTION_COUNT_REACHED";

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    /// An attempt was made, or an open one was cleared up; the invoice has this status now.
    Settled(&'static str),
    /// The subscription ended, as its customer wished.
    Ended,
    /// Nothing was to be done.
    Skipped(Skip),
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// There is no such subscription.
    NoSubscription,
    /// It is not due: an earlier delivery did the work, or it was cancelled.
    NotDue,
    /// Another worker is at it.
    InProgress,
    /// Its next attempt is later.
    Waiting,
    /// Its invoice is settled, void, or parked for a person.
    Closed,
    /// Banks are down; it stays due.
    BanksDown,
    /// `PortOne` has not decided, or could not be asked; the reconciler will.
    Undecided,
}

/// How long a message waits before it comes back to ask: first until no lease can be running that was taken before it was sent, then longer.
/// After the last, the reconciler's hourly pass goes on asking.
pub(crate) const ASK_AFTER: [SignedDuration; 3] =
    [SignedDuration::from_mins(4), SignedDuration::from_mins(10), SignedDuration::from_mins(15)];

impl Collected {
    /// Whether nobody knows how an attempt ended, or a worker has it that may be dead. What `PortOne` calls pending is not meant: it takes
    /// its time, and tells.
    fn is_undecided(self) -> bool {
        match self {
            Self::Settled(status) => matches!(status, "unknown" | "charging"),
            Self::Skipped(why) => matches!(why, Skip::InProgress | Skip::Undecided),
            Self::Ended => false,
        }
    }
}

impl Skip {
    /// Its name in logs, metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSubscription => "no_subscription",
            Self::NotDue => "not_due",
            Self::InProgress => "in_progress",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
            Self::BanksDown => "banks_down",
            Self::Undecided => "undecided",
        }
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Collects what the message's subscription owes. Safe to run twice, and two at once.
    ///
    /// A message whose attempt is not decided is sent again to come back in a few minutes, and so finds out what became of it: one request to
    /// the queue where an answer was lost, and none elsewhere. If it cannot be sent, that is this delivery's error: the queue then delivers
    /// this one again, which comes to the same.
    ///
    /// `read` is the subscription, if it was read a moment ago together with others ([`Store::subscriptions`]): should its row have changed since,
    /// what is written on it is refused, and it is read again.
    pub async fn collect<Q: Queue>(
        &self,
        queue: &Q,
        message: &CollectMessage,
        read: Option<Subscription>,
    ) -> Result<Collected, FlowError> {
        let cause = Cause::Run(message.run.clone());
        let key = message.key();
        // Boxed, for it is the largest of all, and a batch holds one for each message.
        let collected = Box::pin(self.collect_due(&key, read, message.now, &cause, Demand::WhenDue)).await?;
        let (result, skipped) = match collected {
            Collected::Settled(status) => (status, None),
            Collected::Ended => ("ended", None),
            Collected::Skipped(why) => ("skipped", Some(why.name())),
        };
        let asks = message.asks;
        self.telemetry.signal(Signal::Collected { run: message.run.clone(), result, skipped, asks });
        if let Some(wait) = ASK_AFTER.get(usize::from(asks)).filter(|_| collected.is_undecided()) {
            let again = CollectMessage { asks: asks.saturating_add(1), ..message.clone() };
            queue.send_collect_later(&again, *wait).await?;
        }
        Ok(collected)
    }

    /// Collects what a subscription owes at `due_by`, the run's now: the same for every delivery of a message.
    pub(crate) async fn collect_due(
        &self,
        key: &SubscriptionKey,
        mut read: Option<Subscription>,
        due_by: Timestamp,
        cause: &Cause,
        demand: Demand,
    ) -> Result<Collected, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let found = match read.take() {
                Some(subscription) => Some(subscription),
                None => self.store.subscription(key).await?,
            };
            let Some(subscription) = found else {
                return Ok(Collected::Skipped(Skip::NoSubscription));
            };
            // A run that is handled late sees what fell due since; one whose clock is behind still sees what its planner saw.
            let now = self.clock.now().max(due_by);
            let subscription = match demand {
                Demand::WhenDue | Demand::Of(_) => subscription,
                Demand::Now(_) => subscription.brought_forward(now),
            };
            let round = match subscription.due(now) {
                Due::Collect(period) if !demand.is_for(period) => Some(Collected::Skipped(Skip::NotDue)),
                Due::Nothing => Some(Collected::Skipped(Skip::NotDue)),
                Due::End => self.end_period(&subscription, now, cause).await?,
                Due::Collect(period) => self.collect_period(subscription, period, now, cause, demand).await?,
                Due::Upgrade(upgrade) => self.clear_up_upgrade(&subscription, &upgrade, now, cause).await?,
            };
            if let Some(collected) = round {
                return Ok(collected);
            }
        }
        Err(FlowError::Contended)
    }

    /// One round: `None` if a row had changed since it was read, and all is to be read again.
    async fn collect_period(
        &self,
        subscription: Subscription,
        period: Period,
        now: Timestamp,
        cause: &Cause,
        demand: Demand,
    ) -> Result<Option<Collected>, FlowError> {
        let wanted = |invoice: Invoice| match demand {
            Demand::WhenDue | Demand::Of(_) => invoice,
            Demand::Now(_) => invoice.brought_forward(now),
        };
        let opened = Invoice::open(&subscription, period, &self.settings.store_id, &self.settings.catalogue, now)?;
        // A subscription that has failed before has an invoice; a new period's is opened by claiming its first attempt.
        let known = match subscription.state {
            billing_core::subscription::State::PastDue { .. } => self.newest_revision(&opened.payment_id).await?,
            _ => None,
        };
        let (invoice, expect) = match known {
            Some(invoice) => {
                let version = invoice.version;
                (invoice, Expect::Version(version))
            }
            None => (opened, Expect::Absent),
        };
        match self.advance(&subscription, wanted(invoice), expect, now, cause).await? {
            Advanced::Done(collected) => Ok(Some(collected)),
            Advanced::Stale => Ok(None),
            Advanced::Found(found) => {
                let Some(found) = self.newest_from(*found).await? else { return Ok(None) };
                let version = found.version;
                match self.advance(&subscription, wanted(found), Expect::Version(version), now, cause).await? {
                    Advanced::Done(collected) => Ok(Some(collected)),
                    Advanced::Stale | Advanced::Found(_) => Ok(None),
                }
            }
        }
    }

    async fn advance(
        &self,
        subscription: &Subscription,
        invoice: Invoice,
        expect: Expect,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Advanced, FlowError> {
        let done = |skip| Ok(Advanced::Done(Collected::Skipped(skip)));
        match invoice.step(subscription.method.as_ref(), now) {
            Step::InProgress(_) => done(Skip::InProgress),
            Step::Wait(_) => done(Skip::Waiting),
            Step::Nothing => self.heal(subscription, &invoice).await.map(Advanced::Done),
            Step::GiveUp => {
                let books = Books { invoice, subscription: Some(subscription.clone()) };
                let settled = self.give_up(books, cause).await?;
                Ok(Advanced::Done(settled))
            }
            Step::Ask => {
                let books = Books { invoice, subscription: Some(subscription.clone()) };
                Ok(Advanced::Done(self.clear_up(books, now, cause).await?.collected))
            }
            // A caller's key makes one attempt, also where it comes twice at once.
            Step::Attempt if matches!(cause, Cause::Api(_)) && number_by(&invoice, cause).is_some() => {
                done(Skip::Waiting)
            }
            Step::Attempt if calendar::banks_are_down(now) => done(Skip::BanksDown),
            Step::Attempt => self.attempt(subscription, invoice, expect, now, cause).await,
        }
    }

    async fn attempt(
        &self,
        subscription: &Subscription,
        invoice: Invoice,
        expect: Expect,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Advanced, FlowError> {
        let Some(method) = &subscription.method else {
            return self.fail_without_method(subscription, &invoice, expect, now, cause).await;
        };
        let Some(claimed) = invoice.claimed(method, cause.to_string(), now) else {
            let why = format!("{} attempts were made and none was decided: no more are made", invoice.attempts.len());
            let books = Books { invoice, subscription: Some(subscription.clone()) };
            let books = self.settle(books, &Fact::Contradiction(why), cause).await?.into_books();
            return Ok(Advanced::Done(Collected::Settled(books.invoice.state.status())));
        };
        let intent = Changes {
            invoices: vec![(expect, claimed.clone())],
            subscription: Some(check(subscription)).filter(|_| Guard::IntentCheck.stands()),
            ..Changes::default()
        };
        match self.store.commit(&intent).await {
            Ok(()) => {}
            Err(CommitError::Conflict(conflict)) => return Ok(Advanced::after(conflict)),
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        let books = Books { invoice: claimed, subscription: Some(subscription.clone()) };
        Ok(Advanced::Done(self.charge_first(books, cause).await?))
    }

    /// Sends the order of an attempt that was claimed just now.
    pub(crate) async fn charge_first(&self, books: Books, cause: &Cause) -> Result<Collected, FlowError> {
        self.charge(books, cause, Sending::First).await
    }

    /// Sends the order of the claimed attempt and writes down what came of it.
    async fn charge(&self, books: Books, cause: &Cause, sending: Sending) -> Result<Collected, FlowError> {
        let Some(attempt) = books.invoice.undecided() else { return Ok(Collected::Skipped(Skip::Closed)) };
        let order = ChargeOrder {
            payment_id: &books.invoice.payment_id,
            attempt: attempt.number,
            method: &attempt.method,
            order_name: books.invoice.order_name_for(&attempt.method),
            amount: books.invoice.amount,
            user_id: &books.invoice.subscription.user_id,
            customer: &books.invoice.customer,
        };
        let attempt = attempt.number;
        let answer = self.gateway.charge(&order).await;
        let fact = match answer {
            ChargeAnswer::Paid { at, pg_tx_id } => Fact::Paid {
                at,
                // The answer carries no amount; it is the answer to an order for exactly this one.
                amount: Some(Charged::from(books.invoice.amount)),
                proof: billing_core::invoice::Proof { pg_tx_id: Some(pg_tx_id), ..Default::default() },
            },
            ChargeAnswer::Declined(decline) => Fact::Declined { attempt, decline },
            // A refusal of a re-send proves nothing about the first copy, which may still be on its way.
            ChargeAnswer::Refused { code } if sending == Sending::Again => Fact::Unknown { attempt, why: code },
            ChargeAnswer::UsedUp if sending == Sending::Again && Guard::SupersedeProof.stands() => {
                Fact::Unknown { attempt, why: USED_UP.to_owned() }
            }
            // The payment id of an upgrade is used once; what comes to nothing is not carried on.
            ChargeAnswer::UsedUp if books.invoice.part != Part::Period => {
                Fact::Refused { attempt, code: USED_UP.to_owned(), at_once: false }
            }
            ChargeAnswer::Refused { code } if Guard::RefusalIsNoDecline.stands() => {
                Fact::Refused { attempt, code, at_once: false }
            }
            ChargeAnswer::Unauthorized { code } => {
                let fact = match sending {
                    Sending::First => Fact::Refused { attempt, code: code.clone(), at_once: true },
                    Sending::Again => Fact::Unknown { attempt, why: code.clone() },
                };
                self.settle(books, &fact, cause).await?;
                return Err(FlowError::Unauthorized(code));
            }
            ChargeAnswer::Unknown(why) if Guard::UnknownIsNoDecline.stands() => Fact::Unknown { attempt, why },
            // Only under an attack on the two guards above.
            ChargeAnswer::Refused { code } | ChargeAnswer::Unknown(code) => {
                Fact::Declined { attempt, decline: Decline { reason: Reason::Unknown, code } }
            }
            ChargeAnswer::Ask(why) => {
                // The claim is durable and says all that a crash here would leave to find out.
                let cleared = self.ask(books.clone(), cause, Resend::No).await?;
                if cleared.changed {
                    return Ok(cleared.collected);
                }
                Fact::Unknown { attempt, why }
            }
            ChargeAnswer::UsedUp => {
                let fact = Fact::Unknown { attempt, why: USED_UP.to_owned() };
                let books = self.settle(books, &fact, cause).await?.into_books();
                return self.supersede(books, cause).await;
            }
        };
        let settled = self.settle(books, &fact, cause).await?.into_books();
        Ok(Collected::Settled(settled.invoice.state.status()))
    }

    /// Clears up an attempt whose end is not known: ask, settle what is learned; send it again under the same idempotency key where that
    /// is allowed; call it lost where it is proved so.
    pub(crate) async fn clear_up(&self, books: Books, now: Timestamp, cause: &Cause) -> Result<ClearedUp, FlowError> {
        // Nothing is charged while banks are down, not even again.
        let resend = if calendar::banks_are_down(now) { Resend::No } else { Resend::IfAllowed };
        self.ask(books, cause, resend).await
    }

    pub(crate) async fn ask(&self, books: Books, cause: &Cause, resend: Resend) -> Result<ClearedUp, FlowError> {
        let was = books.invoice.state.status();
        let seen = match self.gateway.payment(&books.invoice.payment_id).await {
            Ok(seen) => seen,
            Err(AskError::Unauthorized(code)) => return Err(FlowError::Unauthorized(code)),
            Err(AskError::Unavailable(why)) => {
                return Ok(ClearedUp { unanswered: Some(why), ..ClearedUp::undecided() });
            }
        };
        let facts = seen.as_ref().map(|seen| facts_of(seen, &books.invoice)).unwrap_or_default();
        if !facts.is_empty() {
            let mut books = books;
            for fact in &facts {
                books = self.settle(books, fact, cause).await?.into_books();
            }
            let is = books.invoice.state.status();
            return Ok(ClearedUp { collected: Collected::Settled(is), changed: was != is, unanswered: None });
        }
        if matches!(seen.as_ref().map(|seen| &seen.status), Some(SeenStatus::Other(_))) {
            return Ok(ClearedUp::undecided());
        }
        // PortOne knows nothing of this attempt (yet).
        let now = self.clock.now();
        let Some(attempt) = books.invoice.undecided().filter(|_| !matches!(books.invoice.state, State::Pending { .. }))
        else {
            return Ok(ClearedUp::undecided());
        };
        let is_lost = now >= later(attempt.started_at, LOST_AFTER) || !Guard::LostAfter.stands();
        if is_lost {
            let fact = Fact::Lost { attempt: attempt.number };
            let books = self.settle(books, &fact, cause).await?.into_books();
            let collected = Collected::Settled(books.invoice.state.status());
            return Ok(ClearedUp { collected, changed: true, unanswered: None });
        }
        match (resend, books.invoice.reclaimed(now)) {
            (Resend::IfAllowed, Some(again)) => self.resend(books, again, cause).await,
            _ => Ok(ClearedUp::undecided()),
        }
    }

    async fn resend(&self, books: Books, again: Invoice, cause: &Cause) -> Result<ClearedUp, FlowError> {
        let intent = Changes {
            invoices: vec![(Expect::Version(books.invoice.version), again.clone())],
            // An attempt that was made before the customer cancelled is not made again after.
            subscription: books.subscription.as_ref().map(check),
            ..Changes::default()
        };
        match self.store.commit(&intent).await {
            Ok(()) => {}
            Err(CommitError::Conflict(_)) => return Ok(ClearedUp::undecided()),
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        let books = Books { invoice: again, ..books };
        // `charge` asks at most once more and never re-sends, so this recursion is one level deep.
        let collected = Box::pin(self.charge(books, cause, Sending::Again)).await?;
        Ok(ClearedUp { collected, changed: true, unanswered: None })
    }

    /// The payment id is used up. If a GET proves it unpaid, the invoice goes on under the next revision and is collected by the next run.
    async fn supersede(&self, books: Books, cause: &Cause) -> Result<Collected, FlowError> {
        if books.invoice.undecided().is_none() {
            // Someone else has learned meanwhile how the attempt ended.
            return Ok(Collected::Settled(books.invoice.state.status()));
        }
        let seen = match self.gateway.payment(&books.invoice.payment_id).await {
            Ok(seen) => seen,
            Err(AskError::Unauthorized(code)) => return Err(FlowError::Unauthorized(code)),
            Err(AskError::Unavailable(_)) => return Ok(Collected::Skipped(Skip::Undecided)),
        };
        let is_unpaid =
            matches!(seen.as_ref().map(|seen| &seen.status), Some(SeenStatus::Failed { .. } | SeenStatus::Ready));
        if !is_unpaid && Guard::SupersedeProof.stands() {
            return Ok(self.ask(books, cause, Resend::No).await?.collected);
        }
        let now = self.clock.now();
        let Some((old, new)) = books.invoice.superseded(&self.settings.store_id, now) else {
            let fact = Fact::Contradiction(format!(
                "PortOne calls payment id after payment id used up ({MAX_REVISION} so far)"
            ));
            let books = self.settle(books, &fact, cause).await?.into_books();
            return Ok(Collected::Settled(books.invoice.state.status()));
        };
        let event = settlement::superseded_event(
            &books.invoice,
            &old,
            &new,
            &Context { now, cause, ladder: &self.settings.ladder },
        );
        let kind = event.kind;
        let changes = Changes {
            invoices: vec![(Expect::Version(books.invoice.version), old), (Expect::Absent, new)],
            subscription: books.subscription.as_ref().map(check),
            events: vec![event],
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) => self.telemetry.signal(Signal::Event(kind)),
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        Ok(Collected::Skipped(Skip::Undecided))
    }

    async fn fail_without_method(
        &self,
        subscription: &Subscription,
        invoice: &Invoice,
        expect: Expect,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Advanced, FlowError> {
        let cx = Context { now, cause, ladder: &self.settings.ladder };
        let settled = settlement::fail_without_method(invoice, subscription, &cx);
        let kind = settled.event.as_ref().map(|event| event.kind);
        let status = settled.invoice.state.status();
        let changes = Changes {
            invoices: vec![(expect, settled.invoice)],
            subscription: Some(match settled.subscription {
                Some(next) => SubscriptionChange::Write { expected: subscription.version, next },
                None => check(subscription),
            }),
            events: settled.event.into_iter().collect(),
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) => {
                if let Some(kind) = kind {
                    self.telemetry.signal(Signal::Event(kind));
                }
                Ok(Advanced::Done(Collected::Settled(status)))
            }
            Err(CommitError::Conflict(conflict)) => Ok(Advanced::after(conflict)),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    async fn give_up(&self, books: Books, cause: &Cause) -> Result<Collected, FlowError> {
        let settlement = self
            .write_decision(books, cause, |books, cx| {
                let subscription = books.subscription.as_ref()?;
                let still = books.invoice.step(subscription.method.as_ref(), cx.now) == Step::GiveUp;
                let due = matches!(subscription.due(cx.now), Due::Collect(period) if period == books.invoice.period);
                if still && due { settlement::give_up(&books.invoice, subscription, cx) } else { None }
            })
            .await?;
        Ok(Collected::Settled(settlement.into_books().invoice.state.status()))
    }

    /// A subscription that its customer cancelled ends; but not before a charge that was made for it is cleared up.
    pub(crate) async fn end_period(
        &self,
        subscription: &Subscription,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Option<Collected>, FlowError> {
        if let Some(upgrade) = subscription.wishes.upgrade {
            return self.clear_up_upgrade(subscription, &upgrade, now, cause).await;
        }
        let invoice = match subscription.period() {
            Some(period) => self.invoice_of(&subscription.key, period, Part::Period).await?,
            None => None,
        };
        let Some(invoice) = invoice else { return self.end(subscription, now, cause, None).await };
        if invoice.quarantine.is_some() {
            // A person looks at it whether the subscription goes on or not.
            return self.end(subscription, now, cause, None).await;
        }
        if invoice.undecided().is_some() && Guard::EndWhenDecided.stands() {
            if let Step::InProgress(_) = invoice.step(None, now) {
                return Ok(Some(Collected::Skipped(Skip::InProgress)));
            }
            let books = Books { invoice, subscription: Some(subscription.clone()) };
            // What was sent before the wish to cancel is asked about, and never sent again.
            return Ok(Some(self.ask(books, cause, Resend::No).await?.collected));
        }
        if is_paid(&invoice) {
            return Ok(Some(self.heal(subscription, &invoice).await?));
        }
        self.end(subscription, now, cause, Some(&invoice)).await
    }

    /// An upgrade whose charge is not decided is asked about; what has come to nothing leaves the subscription as it was. `None`: all is to be
    /// read again.
    async fn clear_up_upgrade(
        &self,
        subscription: &Subscription,
        upgrade: &Upgrade,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Option<Collected>, FlowError> {
        let invoice = self.invoice_of(&subscription.key, upgrade.covers, Part::Upgrade(upgrade.number)).await?;
        match invoice {
            Some(invoice) if invoice.quarantine.is_none() && invoice.undecided().is_some() => {
                if let Step::InProgress(_) = invoice.step(None, now) {
                    return Ok(Some(Collected::Skipped(Skip::InProgress)));
                }
                let is_wanted = !subscription.cancel_at_period_end;
                let books = Books { invoice, subscription: Some(subscription.clone()) };
                let cleared = if is_wanted {
                    self.clear_up(books, now, cause).await?
                } else {
                    self.ask(books, cause, Resend::No).await?
                };
                Ok(Some(cleared.collected))
            }
            // Every settlement writes both rows: one of them was changed by hand.
            decided => {
                let next = if decided.is_some_and(|invoice| is_paid(&invoice) && invoice.quarantine.is_none()) {
                    subscription.upgraded(upgrade.covers, upgrade.number)
                } else {
                    subscription.not_upgraded(upgrade.covers, upgrade.number)
                };
                if let Some(next) = next {
                    self.write_subscription(subscription, next, EventKind::SubscriptionChanged, cause).await?;
                }
                Ok(None)
            }
        }
    }

    /// The invoice of a period or an upgrade within it, under its newest payment id.
    pub(crate) async fn invoice_of(
        &self,
        key: &SubscriptionKey,
        period: Period,
        part: Part,
    ) -> Result<Option<Invoice>, FlowError> {
        self.newest_revision(&PaymentId::derive(&self.settings.store_id, key, period, part, 0)).await
    }

    async fn end(
        &self,
        subscription: &Subscription,
        now: Timestamp,
        cause: &Cause,
        unpaid: Option<&Invoice>,
    ) -> Result<Option<Collected>, FlowError> {
        let plan = self.settings.catalogue.name(subscription.plan, subscription.locale);
        let cx = Context { now, cause, ladder: &self.settings.ladder };
        let Some((next, event)) = settlement::end_canceled(subscription, plan, &cx) else {
            return Ok(Some(Collected::Skipped(Skip::NotDue)));
        };
        let kind = event.kind;
        let mut changes = Changes {
            subscription: Some(SubscriptionChange::Write { expected: subscription.version, next }),
            events: vec![event],
            ..Changes::default()
        };
        if let Some((before, (void, event))) =
            unpaid.and_then(|invoice| Some((invoice, settlement::void(invoice, &cx)?)))
        {
            changes.invoices.push((Expect::Version(before.version), void));
            changes.events.push(event);
        }
        match self.store.commit(&changes).await {
            Ok(()) => {
                self.telemetry.signal(Signal::Event(kind));
                Ok(Some(Collected::Ended))
            }
            Err(CommitError::Conflict(_)) => Ok(None),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// A subscription that is due for an invoice which is closed: its own row must have been changed by hand, for every settlement writes
    /// both. A paid invoice moves it on; anything else is left for a person.
    async fn heal(&self, subscription: &Subscription, invoice: &Invoice) -> Result<Collected, FlowError> {
        let may_move = is_paid(invoice) && invoice.quarantine.is_none();
        let Some(next) = subscription.paid(invoice.period).filter(|_| may_move) else {
            return Ok(Collected::Skipped(Skip::Closed));
        };
        let changes = Changes {
            subscription: Some(SubscriptionChange::Write { expected: subscription.version, next }),
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) | Err(CommitError::Conflict(_)) => Ok(Collected::Settled(invoice.state.status())),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    async fn newest_revision(&self, id: &PaymentId) -> Result<Option<Invoice>, FlowError> {
        match self.store.invoice(id).await? {
            Some(invoice) => self.newest_from(invoice).await,
            None => Ok(None),
        }
    }

    /// Follows the payment ids that an invoice was carried on under.
    pub(crate) async fn newest_from(&self, mut invoice: Invoice) -> Result<Option<Invoice>, FlowError> {
        for _ in 0..=MAX_REVISION {
            let Some(next) = &invoice.superseded_by else { return Ok(Some(invoice)) };
            match self.store.invoice(next).await? {
                Some(newer) => invoice = newer,
                None => return Ok(None),
            }
        }
        Ok(Some(invoice))
    }
}

enum Advanced {
    Done(Collected),
    /// Another invoice was there than was expected.
    Found(Box<Invoice>),
    /// The subscription had changed.
    Stale,
}

impl Advanced {
    /// Someone else was first: go on from the invoice that was there, if the subscription is still the one that was read.
    fn after(conflict: Conflict) -> Self {
        match conflict.invoice {
            Some(found) if !conflict.on_subscription => Self::Found(found),
            _ => Self::Stale,
        }
    }
}

/// Whether something is collected because it is due, or because its customer wants it tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    WhenDue,
    /// This period and no other: once it is paid, by whomever, the wish is fulfilled, though the next may be due already.
    Now(Period),
    /// What is under way of this period, and of no other, though the next may be due already: a call that is repeated asks for nothing new.
    Of(Period),
}

impl Demand {
    fn is_for(self, period: Period) -> bool {
        match self {
            Self::WhenDue => true,
            Self::Now(wanted) | Self::Of(wanted) => wanted == period,
        }
    }
}

/// Whether an attempt `PortOne` knows nothing of may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    IfAllowed,
    No,
}

/// Whether an order is sent for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    First,
    Again,
}

/// What asking came to.
#[derive(Debug, Clone)]
pub(crate) struct ClearedUp {
    pub(crate) collected: Collected,
    /// Whether anything was learned.
    pub(crate) changed: bool,
    /// Why `PortOne` gave no answer, if it gave none.
    pub(crate) unanswered: Option<String>,
}

impl ClearedUp {
    fn undecided() -> Self {
        Self { collected: Collected::Skipped(Skip::Undecided), changed: false, unanswered: None }
    }
}

fn check(subscription: &Subscription) -> SubscriptionChange {
    SubscriptionChange::Check { key: subscription.key.clone(), version: subscription.version }
}

pub(crate) fn is_paid(invoice: &Invoice) -> bool {
    matches!(invoice.state, State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. })
}

fn later(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}
