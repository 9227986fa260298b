//! Reconcile: ask `PortOne` about everything left open, and compare a day's books with its own.
//!
//! What is left open needs no index of its own: a subscription stays due until its invoice is settled, so everything that a crash, a timeout
//! or a lost answer left behind is among the due ones.

use crate::collect::Resend;
use crate::plan_run::PAGE;
use crate::ports::{BookLine, Clock, Cursor, Gateway, PaymentSeen, SeenStatus, Signal, Store, Telemetry};
use crate::receive_webhook::facts_of;
use crate::settle::Books;
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::Step;
use billing_core::settlement::{self, Context};
use billing_core::subscription::{DUE_SHARDS, Due, SubscriptionKey};
use std::collections::HashSet;

/// How many questions are asked at once. `PortOne` states no limit for reads; this is far below the worker's charges.
const ASKS_AT_ONCE: usize = 8;

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// How many invoices `PortOne` was asked about.
    pub asked: u64,
    /// How many of them are decided now.
    pub settled: u64,
    /// How many differences were found that only a person can settle.
    pub differences: u64,
    /// How many could not be dealt with, because a table or `PortOne` failed; the next pass tries again.
    pub failed: u64,
    /// Whether the pass ran out of time; the next one begins again.
    pub unfinished: bool,
}

impl Reconciled {
    fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.settled += other.settled;
        self.differences += other.differences;
        self.failed += other.failed;
        self.unfinished |= other.unfinished;
    }

    fn count(&mut self, asked: Result<Option<bool>, FlowError>) -> Result<(), FlowError> {
        match asked {
            Ok(learned) => {
                self.asked += u64::from(learned.is_some());
                self.settled += u64::from(learned == Some(true));
                Ok(())
            }
            Err(error) => self.count_failure(error),
        }
    }

    fn count_compared(&mut self, compared: Result<Compared, FlowError>) -> Result<(), FlowError> {
        match compared {
            Ok(compared) => {
                self.asked += 1;
                self.settled += u64::from(compared == Compared::Settled);
                self.differences += u64::from(compared == Compared::Differs);
                Ok(())
            }
            Err(error) => self.count_failure(error),
        }
    }

    fn count_failure(&mut self, error: FlowError) -> Result<(), FlowError> {
        if matches!(error, FlowError::Unauthorized(_)) {
            return Err(error);
        }
        tracing::error!(%error, "an invoice could not be reconciled; the next pass tries again");
        self.failed += 1;
        Ok(())
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// The hourly pass: asks about every due invoice whose last attempt's end is not known.
    ///
    /// One row that fails does not keep the pass from the others; only refused credentials end it, for then every question is refused.
    pub async fn reconcile(&self, now: Timestamp, is_late: impl Fn() -> bool + Sync) -> Result<Reconciled, FlowError> {
        let cause = Cause::Reconcile(now.to_string());
        let shards: Vec<_> = (0..DUE_SHARDS).map(|shard| self.reconcile_shard(shard, now, &cause, &is_late)).collect();
        let mut total = Reconciled::default();
        for shard in futures::future::try_join_all(shards).await? {
            total.add(shard);
        }
        self.telemetry.signal(Signal::Reconciled { asked: total.asked, settled: total.settled });
        Ok(total)
    }

    async fn reconcile_shard(
        &self,
        shard: u8,
        now: Timestamp,
        cause: &Cause,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.due(shard, now, after.as_ref(), PAGE).await?;
            for some in page.items.chunks(ASKS_AT_ONCE) {
                if is_late() {
                    return Ok(Reconciled { unfinished: true, ..total });
                }
                let asks: Vec<_> = some.iter().map(|key| self.reconcile_one(key, now, cause)).collect();
                for asked in futures::future::join_all(asks).await {
                    total.count(asked)?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(total);
            }
        }
    }

    /// `None` if there was nothing to ask; otherwise whether anything was learned.
    async fn reconcile_one(
        &self,
        key: &SubscriptionKey,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Option<bool>, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(None) };
        let (Due::Collect(_) | Due::End, Some(period)) = (subscription.due(now), subscription.period()) else {
            return Ok(None);
        };
        let id = PaymentId::derive(&self.settings.store_id, key, period, 0);
        let Some(invoice) = self.store.invoice(&id).await? else { return Ok(None) };
        let Some(invoice) = self.newest_from(invoice).await? else { return Ok(None) };
        if invoice.step(subscription.method.as_ref(), self.clock.now()) != Step::Ask {
            return Ok(None);
        }
        let is_wanted = matches!(subscription.due(now), Due::Collect(_));
        let books = Books { invoice, subscription: Some(subscription) };
        let cleared = if is_wanted {
            self.clear_up(books, now, cause).await?
        } else {
            self.ask(books, cause, Resend::No).await?
        };
        Ok(Some(cleared.changed))
    }

    /// The nightly pass: `PortOne`'s payments created in `[from, until)` against ours, both ways. What can be settled is; the rest is an event
    /// and an alarm.
    pub async fn compare(&self, from: Timestamp, until: Timestamp) -> Result<Reconciled, FlowError> {
        let cause = Cause::Reconcile(format!("{from}/{until}"));
        let mut total = Reconciled::default();
        let mut theirs: HashSet<PaymentId> = HashSet::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.gateway.payments(from, until, after.as_ref()).await?;
            for seen in &page.items {
                theirs.insert(seen.payment_id.clone());
            }
            for some in page.items.chunks(ASKS_AT_ONCE) {
                let work: Vec<_> = some.iter().map(|seen| self.compare_theirs(seen, &cause)).collect();
                for done in futures::future::join_all(work).await {
                    total.count_compared(done)?;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        total.add(self.compare_ours(from, until, &theirs, &cause).await?);
        self.telemetry.signal(Signal::Reconciled { asked: total.asked, settled: total.settled });
        Ok(total)
    }

    async fn compare_theirs(&self, seen: &PaymentSeen, cause: &Cause) -> Result<Compared, FlowError> {
        let Some(invoice) = self.store.invoice(&seen.payment_id).await? else {
            let moved = matches!(seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. });
            if !(moved && seen.payment_id.is_ours()) {
                // A payment some other system made in the same store, or one that moved no money.
                return Ok(Compared::Same);
            }
            self.differs(&seen.payment_id, "paid at PortOne, and no invoice of ours", cause).await?;
            return Ok(Compared::Differs);
        };
        let facts = facts_of(seen, &invoice);
        if facts.is_empty() {
            return Ok(Compared::Same);
        }
        let cx = Context { now: self.clock.now(), cause, ladder: &self.settings.ladder };
        if facts.iter().all(|fact| settlement::settle(&invoice, None, fact, &cx).is_none()) {
            return Ok(Compared::Same);
        }
        let before = invoice.version;
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let mut books = Books { invoice, subscription };
        for fact in &facts {
            books = self.settle(books, fact, cause).await?.into_books();
        }
        Ok(match (books.invoice.version == before, books.invoice.quarantine.is_some()) {
            (true, _) => Compared::Same,
            (false, true) => Compared::Differs,
            (false, false) => Compared::Settled,
        })
    }

    /// Our invoices of the window: those that are paid and `PortOne` did not list; and those that nobody asks about any more, because their
    /// subscription was cancelled while an attempt was under way. Retries are over within a month, so what changed in the window belongs to
    /// the month it lies in or the one before.
    async fn compare_ours(
        &self,
        from: Timestamp,
        until: Timestamp,
        theirs: &HashSet<PaymentId>,
        cause: &Cause,
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let this_month = Period::starting(calendar::date_at(until).first_of_month());
        let last_month =
            this_month.start().yesterday().map_or(this_month, |day| Period::starting(day.first_of_month()));
        for month in [last_month, this_month] {
            let mut after: Option<Cursor> = None;
            loop {
                let page = self.store.book_lines(month, from, until, after.as_ref()).await?;
                for some in page.items.chunks(ASKS_AT_ONCE) {
                    let work: Vec<_> = some.iter().map(|line| self.compare_line(line, theirs, cause)).collect();
                    for done in futures::future::join_all(work).await {
                        total.count_compared(done)?;
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(total)
    }

    async fn compare_line(
        &self,
        line: &BookLine,
        theirs: &HashSet<PaymentId>,
        cause: &Cause,
    ) -> Result<Compared, FlowError> {
        match line.status.as_str() {
            _ if line.quarantined => Ok(Compared::Same),
            "paid" if theirs.contains(&line.payment_id) || self.is_paid_there(&line.payment_id).await? => {
                Ok(Compared::Same)
            }
            "paid" => {
                self.differs(&line.payment_id, "paid in our books, and not at PortOne", cause).await?;
                Ok(Compared::Differs)
            }
            "charging" | "unknown" | "pending" => {
                let Some(invoice) = self.store.invoice(&line.payment_id).await? else { return Ok(Compared::Same) };
                if invoice.step(None, self.clock.now()) != Step::Ask {
                    return Ok(Compared::Same);
                }
                let subscription = self.store.subscription(&invoice.subscription).await?;
                let cleared = self.ask(Books { invoice, subscription }, cause, Resend::No).await?;
                Ok(if cleared.changed { Compared::Settled } else { Compared::Same })
            }
            _ => Ok(Compared::Same),
        }
    }

    /// A payment may have been created before the window it was paid in: only `PortOne`'s own answer counts against our books.
    async fn is_paid_there(&self, id: &PaymentId) -> Result<bool, FlowError> {
        let status = self.gateway.payment(id).await?.map(|seen| seen.status);
        Ok(matches!(status, Some(SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. })))
    }

    /// Writes a difference down: once, however often it is found.
    async fn differs(&self, payment_id: &PaymentId, why: &str, cause: &Cause) -> Result<(), FlowError> {
        let event = Event {
            subject: payment_id.to_string(),
            id: Event::id_at(Timestamp::UNIX_EPOCH, why),
            at: self.clock.now(),
            kind: EventKind::BooksDiffer,
            cause: cause.clone(),
            before: None,
            after: None,
            detail: Some(why.to_owned()),
            notice: None,
        };
        if self.store.record(&event).await? {
            self.telemetry.signal(Signal::Event(EventKind::BooksDiffer));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Same,
    Settled,
    Differs,
}
