//! Reconcile: ask `PortOne` about everything left open, and compare a day's books with its own.
//!
//! What is left open needs no index of its own: a subscription stays due until its invoice is settled, so everything that a crash, a timeout
//! or a lost answer left behind is among the due ones.

use crate::plan_run::PAGE;
use crate::ports::{Clock, Cursor, Gateway, PaymentSeen, SeenStatus, Signal, Store, Telemetry};
use crate::receive_webhook::facts_of;
use crate::settle::Books;
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::Step;
use billing_core::subscription::{DUE_SHARDS, Due, SubscriptionKey};
use futures::stream::{self, StreamExt, TryStreamExt};
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
    /// Whether the pass ran out of time; the next one begins again.
    pub unfinished: bool,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// The hourly pass: asks about every due invoice whose last attempt's end is not known.
    pub async fn reconcile(&self, now: Timestamp, is_late: impl Fn() -> bool + Sync) -> Result<Reconciled, FlowError> {
        let cause = Cause::Reconcile(now.to_string());
        let mut total = Reconciled::default();
        for shard in 0..DUE_SHARDS {
            let mut after: Option<Cursor> = None;
            loop {
                if is_late() {
                    total.unfinished = true;
                    break;
                }
                let page = self.store.due(shard, now, after.as_ref(), PAGE).await?;
                let asked: Vec<Option<bool>> = stream::iter(page.items.iter())
                    .map(|key| self.reconcile_one(key, now, &cause))
                    .buffer_unordered(ASKS_AT_ONCE)
                    .try_collect()
                    .await?;
                total.asked += asked.iter().flatten().count() as u64;
                total.settled += asked.iter().flatten().filter(|settled| **settled).count() as u64;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        self.telemetry.signal(Signal::Reconciled { asked: total.asked, settled: total.settled });
        Ok(total)
    }

    /// `None` if there was nothing to ask; otherwise whether anything was learned.
    async fn reconcile_one(&self, key: &SubscriptionKey, now: Timestamp, cause: &Cause) -> Result<Option<bool>, FlowError> {
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(None) };
        let Due::Collect(period) = subscription.due(now) else { return Ok(None) };
        let id = PaymentId::derive(&self.settings.store_id, &key.id, period, 0);
        let Some(invoice) = self.store.invoice(&id).await? else { return Ok(None) };
        let Some(invoice) = self.newest_from(invoice).await? else { return Ok(None) };
        if invoice.step(subscription.method.as_ref(), self.clock.now()) != Step::Ask {
            return Ok(None);
        }
        let books = Books { invoice, subscription: Some(subscription) };
        Ok(Some(self.clear_up(books, now, cause).await?.changed))
    }

    /// The nightly pass: `PortOne`'s payments created in `[from, until)` against ours, both ways. What can be settled is; the rest is an event
    /// and an alarm.
    pub async fn compare(&self, from: Timestamp, until: Timestamp) -> Result<Reconciled, FlowError> {
        let cause = Cause::Reconcile(format!("{from}/{until}"));
        let mut total = Reconciled::default();
        let mut theirs: HashSet<PaymentId> = HashSet::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.gateway.payments(from, until, after.as_ref()).await.map_err(|error| match error {
                crate::ports::AskError::Unauthorized(code) => FlowError::Unauthorized(code),
                crate::ports::AskError::Unavailable(why) => FlowError::Unavailable(why),
            })?;
            for seen in &page.items {
                theirs.insert(seen.payment_id.clone());
            }
            let compared: Vec<Compared> = stream::iter(page.items.iter())
                .map(|seen| self.compare_theirs(seen, &cause))
                .buffer_unordered(ASKS_AT_ONCE)
                .try_collect()
                .await?;
            total.asked += compared.len() as u64;
            total.settled += compared.iter().filter(|c| **c == Compared::Settled).count() as u64;
            total.differences += compared.iter().filter(|c| **c == Compared::Differs).count() as u64;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        total.differences += self.compare_ours(from, until, &theirs, &cause).await?;
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
            self.differs(&seen.payment_id, "paid at PortOne, and no invoice of ours".to_owned(), cause).await?;
            return Ok(Compared::Differs);
        };
        let facts = facts_of(seen, &invoice);
        if facts.is_empty() {
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

    /// Our paid invoices of the window that `PortOne` did not list. Retries are over within a month, so what was paid in the window belongs
    /// to the month it lies in or the one before. First periods that start within a month have a period of their own each.
    async fn compare_ours(
        &self,
        from: Timestamp,
        until: Timestamp,
        theirs: &HashSet<PaymentId>,
        cause: &Cause,
    ) -> Result<u64, FlowError> {
        let mut differences = 0;
        for period in periods_before(calendar::date_at(until)) {
            let mut after: Option<Cursor> = None;
            loop {
                let page = self.store.book_lines(period, from, until, after.as_ref()).await?;
                for line in page.items {
                    let is_paid = line.status == "paid" && !theirs.contains(&line.payment_id);
                    if is_paid && !self.is_paid_there(&line.payment_id).await? {
                        let why = "paid in our books, and not at PortOne".to_owned();
                        self.differs(&line.payment_id, why, cause).await?;
                        differences += 1;
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(differences)
    }

    /// A payment may have been created before the window it was paid in: only `PortOne`'s own answer counts against our books.
    async fn is_paid_there(&self, id: &PaymentId) -> Result<bool, FlowError> {
        match self.gateway.payment(id).await {
            Ok(seen) => {
                let status = seen.map(|seen| seen.status);
                Ok(matches!(status, Some(SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. })))
            }
            Err(crate::ports::AskError::Unauthorized(code)) => Err(FlowError::Unauthorized(code)),
            Err(crate::ports::AskError::Unavailable(why)) => Err(FlowError::Unavailable(why)),
        }
    }

    /// Writes a difference down: once, however often it is found.
    async fn differs(&self, payment_id: &PaymentId, why: String, cause: &Cause) -> Result<(), FlowError> {
        let event = Event {
            subject: payment_id.to_string(),
            id: Event::id_at(Timestamp::UNIX_EPOCH, &format!("books-differ-{}", why.len())),
            at: self.clock.now(),
            kind: EventKind::BooksDiffer,
            cause: cause.clone(),
            before: None,
            after: None,
            detail: Some(why),
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

/// The periods an invoice that changed on `date` can belong to: those that start on a day of that month up to `date`, or of the month before.
fn periods_before(date: billing_core::Date) -> Vec<Period> {
    let first = date.first_of_month();
    let mut day = first.yesterday().map_or(first, billing_core::Date::first_of_month);
    let mut periods = Vec::new();
    while day <= date {
        periods.push(Period::starting(day));
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    periods
}
