//! Reconcile: ask `PortOne` about everything left open, and compare a day's books with its own.
//!
//! What is left open needs no index of its own: a subscription stays due until its invoice is settled, so everything that a crash, a timeout
//! or a lost answer left behind is among the due ones.

use crate::collect::Resend;
use crate::plan_run::PAGE;
use crate::ports::{BookLine, Clock, Cursor, Gateway, ListedBy, PaymentSeen, SeenStatus, Signal, Store, Telemetry};
use crate::receive_webhook::facts_of;
use crate::settle::Books;
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::books::Column;
use billing_core::calendar::{self, BILLING_HOUR, Period};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::{BOOKS_SHARDS, PaymentId};
use billing_core::invoice::{Invoice, State, Step};
use billing_core::settlement::{self, Charged, Context, Fact};
use billing_core::subscription::{DUE_SHARDS, Due, Subscription, SubscriptionKey};
use jiff::SignedDuration;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many questions each shard of the hourly pass, and each slice of the nightly one, asks at once. `PortOne` states no limit
/// for reads; this is far below the worker's charges.
pub(crate) const ASKS_AT_ONCE: usize = 8;

/// How many slices of a span are compared at once, each by listings and questions of its own.
pub(crate) const SLICES_AT_ONCE: usize = 4;

/// How many months back invoices are looked for that changed: a card's payment can be given back for a year. One request each, and a row
/// that did not change costs nothing.
const MONTHS_BACK: i64 = 12;

/// How many days the nightly pass compares in an ordinary night: each day is compared in so many nights, for what is undecided in the first
/// is decided in the last, and a change may come late into a listing or an index.
pub const NIGHTS: i64 = 7;

/// How far back the nightly pass goes at most, in days, if no night was good for so long: the span that `PortOne` lists when it is told none.
/// The first night of all goes back so far.
pub const NIGHTS_AT_MOST: i64 = 90;

/// How long a run has, before what it was to attempt and did not is an operator's matter.
const RUN_HAS: SignedDuration = SignedDuration::from_mins(15);

/// How long the end of an attempt may stay unknown before it is an operator's matter: messages ask after 4, 14 and 29 minutes.
const UNKNOWN_HAS: SignedDuration = SignedDuration::from_mins(60);

/// What an hourly pass finds that should have been dealt with before.
#[derive(Debug, Default)]
struct LeftOver {
    not_attempted: AtomicU64,
    unknown_for_long: AtomicU64,
}

impl LeftOver {
    /// Takes in a due subscription that could be attempted; it should have been if the last run that is over had it.
    fn could_be_attempted(&self, subscription: &Subscription, now: Timestamp) {
        if subscription.due_at().is_some_and(|due| due <= last_run(now)) {
            self.not_attempted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn signal(&self) -> Signal {
        Signal::LeftOver {
            not_attempted: self.not_attempted.load(Ordering::Relaxed),
            unknown_for_long: self.unknown_for_long.load(Ordering::Relaxed),
        }
    }
}

/// What an hourly pass has in common for all that it asks about.
struct Hourly {
    now: Timestamp,
    cause: Cause,
    resend: Resend,
    left: LeftOver,
}

/// When the last run was scheduled for that should be over at `now`.
fn last_run(now: Timestamp) -> Timestamp {
    let over = now.checked_sub(RUN_HAS).unwrap_or(now);
    let today = calendar::moment(calendar::date_at(over), BILLING_HOUR);
    if today <= over { today } else { today.checked_sub(SignedDuration::from_hours(24)).unwrap_or(today) }
}

/// Whether nobody has known for long how the last attempt ended. What is pending is known.
fn is_unknown_for_long(invoice: &Invoice, now: Timestamp) -> bool {
    let began = invoice.attempts.last().map(|attempt| attempt.started_at);
    let is_long = began.is_some_and(|at| now.duration_since(at) > UNKNOWN_HAS);
    is_long && matches!(invoice.state, State::Unknown { .. } | State::Charging { .. })
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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

    fn signal(&self, pass: &'static str, differences: Option<u64>) -> Signal {
        let Self { asked, settled, failed, unfinished, .. } = *self;
        Signal::Reconciled { pass, asked, settled, differences, failed, unfinished }
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
        tracing::error!(%error, "a part of this pass failed; the next one tries again");
        self.failed += 1;
        Ok(())
    }
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// The hourly pass: asks about every due invoice whose last attempt's end is not known, and sends again what never arrived, unless an operator
    /// has stopped collecting. If nobody knows whether one has, nothing is sent again, and the pass counts a failure.
    ///
    /// One row that fails does not keep the pass from the others; only refused credentials end it, for then every question is refused.
    pub async fn reconcile(&self, now: Timestamp, is_late: impl Fn() -> bool + Sync) -> Result<Reconciled, FlowError> {
        let cause = Cause::Reconcile(now.to_string());
        let mut total = Reconciled::default();
        let resend = match self.may_resend().await {
            Ok(resend) => resend,
            Err(error) => {
                total.count_failure(error)?;
                Resend::No
            }
        };
        let pass = Hourly { now, cause, resend, left: LeftOver::default() };
        let shards: Vec<_> = (0..DUE_SHARDS).map(|shard| self.reconcile_shard(shard, &pass, &is_late)).collect();
        let done = futures::future::try_join_all(shards).await;
        // Also by a pass that failed: what it found until then is left over all the same.
        self.telemetry.signal(pass.left.signal());
        for shard in done? {
            total.add(shard);
        }
        self.telemetry.signal(total.signal("hourly", None));
        Ok(total)
    }

    /// Whether what never arrived may be sent again: not while collecting is stopped. Asking goes on. It is not signalled, for this is no run, and
    /// a run that did not start is told by the want of a run's signals.
    async fn may_resend(&self) -> Result<Resend, FlowError> {
        if self.store.stopped().await?.is_none() {
            return Ok(Resend::IfAllowed);
        }
        tracing::warn!("collecting is stopped: what never arrived is asked about, and not sent again");
        Ok(Resend::No)
    }

    async fn reconcile_shard(
        &self,
        shard: u8,
        pass: &Hourly,
        is_late: &(impl Fn() -> bool + Sync),
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.due(shard, pass.now, after.as_ref(), PAGE).await?;
            for some in page.items.chunks(ASKS_AT_ONCE) {
                if is_late() {
                    return Ok(Reconciled { unfinished: true, ..total });
                }
                let asks: Vec<_> = some.iter().map(|key| self.reconcile_one(key, pass)).collect();
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
    async fn reconcile_one(&self, key: &SubscriptionKey, pass: &Hourly) -> Result<Option<bool>, FlowError> {
        let Hourly { now, cause, resend, left } = pass;
        let now = *now;
        let Some(subscription) = self.store.subscription(key).await? else { return Ok(None) };
        let due = subscription.due(now);
        let (Due::Collect(_) | Due::Upgrade(_) | Due::End, Some((period, part))) = (due, subscription.owed()) else {
            return Ok(None);
        };
        let invoice = self.invoice_of(key, period, part).await?;
        let step = invoice.as_ref().map(|it| it.step(subscription.method.as_ref(), self.clock.now()));
        if due != Due::End && matches!(step, None | Some(Step::Attempt)) {
            left.could_be_attempted(&subscription, now);
        }
        let (Some(invoice), Some(Step::Ask)) = (invoice, step) else { return Ok(None) };
        let is_long = is_unknown_for_long(&invoice, now);
        let is_wanted = due != Due::End && !subscription.cancel_at_period_end;
        let books = Books { invoice, subscription: Some(subscription) };
        let cleared = match resend {
            Resend::IfAllowed if is_wanted => self.clear_up(books, now, cause).await,
            Resend::IfAllowed | Resend::No => self.ask(books, cause, Resend::No).await,
        };
        if is_long && !cleared.as_ref().is_ok_and(|cleared| cleared.changed) {
            left.unknown_for_long.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Some(cleared?.changed))
    }

    /// The nightly pass at `now`: compares the days that are over in Seoul, from [`NIGHTS`] before the last night that got through everything.
    /// A night that failed for a row, ran out of time or never came is so made good by the next that does, however late.
    pub async fn nightly(&self, now: Timestamp, is_late: impl Fn() -> bool + Sync) -> Result<Reconciled, FlowError> {
        let until = calendar::moment(calendar::date_at(now), 0);
        let from = match self.compared_before(until).await? {
            Some(last) => earlier(last, NIGHTS - 1).max(earlier(until, NIGHTS_AT_MOST)),
            None => earlier(until, NIGHTS_AT_MOST),
        };
        let pass = self.compare(from, until, is_late).await?;
        if pass.failed == 0 && !pass.unfinished {
            let event = Event {
                subject: nights_of(until),
                id: Event::id_at(until, "compared"),
                at: until,
                kind: EventKind::BooksCompared,
                cause: Cause::Reconcile(now.to_string()),
                before: None,
                after: None,
                detail: Some(format!("from {from}")),
                notice: None,
            };
            if self.store.record(&event).await? {
                self.telemetry.signal(Signal::Event(EventKind::BooksCompared));
            }
        }
        Ok(pass)
    }

    /// Up to when the books were compared by the last night before this one that got through: looked for among this year's and last year's.
    async fn compared_before(&self, until: Timestamp) -> Result<Option<Timestamp>, FlowError> {
        for subject in [nights_of(earlier(until, 1)), nights_of(earlier(until, NIGHTS_AT_MOST))] {
            let mut last = None;
            let mut after: Option<Cursor> = None;
            loop {
                let page = self.store.events_of(&subject, after.as_ref()).await?;
                last = page.items.iter().map(|event| event.at).filter(|at| *at < until).max().max(last);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// `PortOne`'s payments that were created or changed their status in `[from, until)` against our invoices, and our
    /// invoices that changed in it against `PortOne`. What can be settled is. An invoice that `PortOne` contradicts is parked; what only one
    /// of the two knows is an event and an alarm.
    ///
    /// Both of `PortOne`'s listings are read: the one by creation goes by a cursor of its own and shows every payment once, but not what
    /// became of it later; the one by change of status shows refunds and late payments.
    pub async fn compare(
        &self,
        from: Timestamp,
        until: Timestamp,
        is_late: impl Fn() -> bool + Sync,
    ) -> Result<Reconciled, FlowError> {
        let cx = Comparison { cause: Cause::Reconcile(format!("{from}/{until}")), is_late: &is_late };
        let mut total = Reconciled::default();
        let whole = self.slice(from, until).await?;
        if whole.until == until {
            total.add(self.compare_slice(&whole, &cx).await?);
        } else {
            // The newest day first: what a pass has no time for was compared in the nights before.
            let mut end = until;
            while from < end && !total.unfinished {
                let begin = earlier(end, 1).max(from);
                total.add(self.compare_day(begin, end, &cx).await?);
                end = begin;
                total.unfinished |= from < end && is_late();
            }
        }
        self.telemetry.signal(total.signal("nightly", Some(total.differences)));
        Ok(total)
    }

    async fn compare_day(
        &self,
        from: Timestamp,
        until: Timestamp,
        cx: &Comparison<'_>,
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let mut from = from;
        while from < until && !total.unfinished {
            let mut slices = Vec::with_capacity(SLICES_AT_ONCE);
            while from < until && slices.len() < SLICES_AT_ONCE {
                let slice = self.slice(from, until).await?;
                from = slice.until;
                slices.push(slice);
            }
            let compared: Vec<_> = slices.iter().map(|slice| self.compare_slice(slice, cx)).collect();
            for slice in futures::future::join_all(compared).await {
                total.add(slice?);
            }
            total.unfinished |= from < until && (cx.is_late)();
        }
        Ok(total)
    }

    /// A payment whose line lies in another slice costs reading its invoice, and a line whose payment does, asking `PortOne` for it.
    async fn compare_slice(&self, slice: &Slice, cx: &Comparison<'_>) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let mut compared = HashSet::new();
        for by in [ListedBy::Creation, ListedBy::StatusChange] {
            match self.compare_theirs(by, slice, cx, &mut compared).await {
                // PortOne does not promise to keep this listing; the other one is promised, and shows whatever moved in the span.
                Err(FlowError::Unavailable(why)) if by == ListedBy::Creation => {
                    tracing::error!(why, "PortOne's payments could not be listed by creation");
                    total.failed += 1;
                }
                theirs => total.add(theirs?),
            }
        }
        total.add(self.compare_ours(slice, cx, &compared).await?);
        Ok(total)
    }

    async fn compare_theirs(
        &self,
        by: ListedBy,
        slice: &Slice,
        cx: &Comparison<'_>,
        compared: &mut HashSet<PaymentId>,
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let mut after: Option<Cursor> = None;
        loop {
            let mut page = self.gateway.payments(by, slice.from, slice.until, after.as_ref()).await?;
            page.items.retain(|seen| !compared.contains(&seen.payment_id));
            for some in page.items.chunks(ASKS_AT_ONCE) {
                if (cx.is_late)() {
                    return Ok(Reconciled { unfinished: true, ..total });
                }
                let work =
                    some.iter().map(|seen| self.compare_payment(seen, slice.ours.get(&seen.payment_id), &cx.cause));
                let work: Vec<_> = work.collect();
                for (seen, done) in some.iter().zip(futures::future::join_all(work).await) {
                    if done.is_ok() {
                        compared.insert(seen.payment_id.clone());
                    }
                    total.count_compared(done)?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(total);
            }
        }
    }

    /// A line that the payment does not contradict spares reading the invoice; what is undecided is asked about with ours.
    async fn compare_payment(
        &self,
        seen: &PaymentSeen,
        line: Option<&BookLine>,
        cause: &Cause,
    ) -> Result<Compared, FlowError> {
        if line.is_some_and(|line| !line.refunding && differing(line, Some(seen)).is_none()) {
            return Ok(Compared::Same);
        }
        let Some(invoice) = self.store.invoice(&seen.payment_id).await? else {
            if !(moved_money(seen) && seen.payment_id.is_ours()) {
                // A payment some other system made in the same store, or one that moved no money.
                return Ok(Compared::Same);
            }
            self.differs(&seen.payment_id, PAID_AND_NOT_OURS, cause).await?;
            return Ok(Compared::Differs);
        };
        let before = invoice.version;
        let invoice = self.learn(invoice, seen, cause).await?;
        match differing(&BookLine::of(&invoice), Some(seen)) {
            Some(_) => self.look_again(&seen.payment_id, cause).await,
            None => Ok(Compared::since(before, &invoice)),
        }
    }

    /// Settles what a payment says about an invoice.
    async fn learn(&self, invoice: Invoice, seen: &PaymentSeen, cause: &Cause) -> Result<Invoice, FlowError> {
        let facts = facts_of(seen, &invoice);
        let cx = Context { now: self.clock.now(), cause, ladder: &self.settings.ladder };
        if facts.iter().all(|fact| settlement::settle(&invoice, None, fact, &cx).is_none()) {
            return Ok(invoice);
        }
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let mut books = Books { invoice, subscription };
        for fact in &facts {
            books = self.settle(books, fact, cause).await?.into_books();
        }
        Ok(books.invoice)
    }

    /// What a listing tells may be older than our row, and a row of ours may not be in it: so nothing is held against our books before
    /// `PortOne` was asked again. If it then states otherwise, the invoice is parked; if it states nothing, that is recorded.
    async fn look_again(&self, id: &PaymentId, cause: &Cause) -> Result<Compared, FlowError> {
        let Some(invoice) = self.store.invoice(id).await? else { return Ok(Compared::Same) };
        let seen = self.gateway.payment(id).await?;
        let before = invoice.version;
        let invoice = match &seen {
            Some(seen) => self.learn(invoice, seen, cause).await?,
            None => invoice,
        };
        let Some(why) = differing(&BookLine::of(&invoice), seen.as_ref()) else {
            return Ok(Compared::since(before, &invoice));
        };
        if seen.is_some_and(|seen| !matches!(seen.status, SeenStatus::Other(_))) {
            let subscription = self.store.subscription(&invoice.subscription).await?;
            self.settle(Books { invoice, subscription }, &Fact::Contradiction(why), cause).await?;
        } else {
            self.differs(id, &why, cause).await?;
        }
        Ok(Compared::Differs)
    }

    /// What one request for each shard of our books shows of `[from, until)`: the span up to where the first of them has more to tell. So a
    /// comparison holds some thousand lines however many there are. Of the months that the span touches, and of those whose money may still be
    /// given back.
    async fn slice(&self, from: Timestamp, until: Timestamp) -> Result<Slice, FlowError> {
        let (first, last) = (Period::month_at(from), Period::month_at(until));
        let back = first.start().checked_sub(jiff::Span::new().months(MONTHS_BACK));
        self.slice_of(back.map_or(first, Period::starting), last, from, until).await
    }

    /// The same of the months from `first` to `last`.
    pub(crate) async fn slice_of(
        &self,
        first: Period,
        last: Period,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Slice, FlowError> {
        let mut slice = Slice { from, until, ours: BTreeMap::new() };
        let mut month = first;
        while month <= last {
            // A slice has to end after it begins.
            let has_an_end = |last: Timestamp| last > from;
            let shards =
                (0..BOOKS_SHARDS).map(|shard| self.lines_of_shard(month, shard, from, slice.until, has_an_end));
            for (lines, told_until) in futures::future::try_join_all(shards).await? {
                slice.ours.extend(lines.into_iter().map(|line| (line.payment_id.clone(), line)));
                slice.until = slice.until.min(told_until);
            }
            month = month.next();
        }
        slice.ours.retain(|_, line| line.updated_at < slice.until);
        Ok(slice)
    }

    /// The lines of a shard that changed in `[from, until)`, oldest first, and up to when they are all there are: to the end, or page by page
    /// until `is_enough` says so of the last one's moment, which may be that of more lines.
    async fn lines_of_shard(
        &self,
        month: Period,
        shard: u8,
        from: Timestamp,
        until: Timestamp,
        is_enough: impl Fn(Timestamp) -> bool + Send,
    ) -> Result<(Vec<BookLine>, Timestamp), FlowError> {
        let mut found: Vec<BookLine> = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.book_lines(month, shard, from, until, after.as_ref()).await?;
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok((found, until));
            }
            if let Some(last) = found.last().map(|line| line.updated_at).filter(|last| is_enough(*last)) {
                return Ok((found, last));
            }
        }
    }

    /// The invoices of a month that changed in a span.
    pub async fn lines(
        &self,
        month: Period,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<PaymentId, BookLine>, FlowError> {
        let shards = (0..BOOKS_SHARDS).map(|shard| self.lines_of_shard(month, shard, from, until, |_| false));
        let shards = futures::future::try_join_all(shards).await?;
        Ok(shards.into_iter().flat_map(|(lines, _)| lines).map(|line| (line.payment_id.clone(), line)).collect())
    }

    /// Our invoices of the span that were not compared yet: those that are paid; and those that nobody asks about any more, because their
    /// subscription was cancelled while an attempt was under way.
    async fn compare_ours(
        &self,
        slice: &Slice,
        cx: &Comparison<'_>,
        compared: &HashSet<PaymentId>,
    ) -> Result<Reconciled, FlowError> {
        let mut total = Reconciled::default();
        let rest = |line: &&BookLine| {
            is_undecided(line)
                || line.refunding
                || (line.column() == Some(Column::Paid) && !compared.contains(&line.payment_id))
        };
        let rest: Vec<&BookLine> = slice.ours.values().filter(rest).collect();
        for some in rest.chunks(ASKS_AT_ONCE) {
            if (cx.is_late)() {
                return Ok(Reconciled { unfinished: true, ..total });
            }
            let work: Vec<_> = some.iter().map(|line| self.compare_line(line, &cx.cause)).collect();
            for done in futures::future::join_all(work).await {
                total.count_compared(done)?;
            }
        }
        Ok(total)
    }

    async fn compare_line(&self, line: &BookLine, cause: &Cause) -> Result<Compared, FlowError> {
        if line.refunding {
            return self.compare_refund(&line.payment_id, cause).await;
        }
        if !is_undecided(line) {
            return self.look_again(&line.payment_id, cause).await;
        }
        let Some(invoice) = self.store.invoice(&line.payment_id).await? else { return Ok(Compared::Same) };
        if invoice.step(None, self.clock.now()) != Step::Ask {
            return Ok(Compared::Same);
        }
        let subscription = self.store.subscription(&invoice.subscription).await?;
        let cleared = self.ask(Books { invoice, subscription }, cause, Resend::No).await?;
        // A night that did not hear of it did not get through everything.
        if let Some(why) = cleared.unanswered {
            return Err(FlowError::Unavailable(why));
        }
        Ok(if cleared.changed { Compared::Settled } else { Compared::Same })
    }

    /// A refund that is not decided is asked about though nobody calls; but what its caller began, the caller alone sends again.
    async fn compare_refund(&self, id: &PaymentId, cause: &Cause) -> Result<Compared, FlowError> {
        let Some(invoice) = self.store.invoice(id).await? else { return Ok(Compared::Same) };
        if let Some(number) = invoice.refund_under_way().map(|refund| refund.number) {
            let before = invoice.version;
            let invoice = self.clear_up_refund(invoice, number, cause, Resend::No).await?;
            if invoice.version != before {
                return Ok(Compared::since(before, &invoice));
            }
        }
        self.look_again(id, cause).await
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

/// The subject of the comparisons of a year: some 366 events, so that one request finds the last.
fn nights_of(at: Timestamp) -> String {
    format!("comparisons-{}", calendar::date_at(at).year())
}

fn earlier(at: Timestamp, days: i64) -> Timestamp {
    at.checked_sub(SignedDuration::from_hours(24i64.saturating_mul(days))).unwrap_or(at)
}

/// A part of a span.
pub(crate) struct Slice {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Our invoices that last changed in it.
    pub(crate) ours: BTreeMap<PaymentId, BookLine>,
}

/// What all slices of a comparison share.
struct Comparison<'a> {
    cause: Cause,
    is_late: &'a (dyn Fn() -> bool + Sync),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Same,
    Settled,
    Differs,
}

impl Compared {
    /// What became of an invoice that was of this version before.
    fn since(before: u64, invoice: &Invoice) -> Self {
        match (invoice.version == before, invoice.quarantine.is_some()) {
            (true, _) => Self::Same,
            (false, true) => Self::Differs,
            (false, false) => Self::Settled,
        }
    }
}

pub(crate) const PAID_AND_NOT_OURS: &str = "paid at PortOne, and no invoice of ours";

/// Whether money moved, even if it was given back.
pub(crate) fn moved_money(seen: &PaymentSeen) -> bool {
    matches!(seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. })
}

/// Whether our books do not claim to know how the last attempt ended.
fn is_undecided(line: &BookLine) -> bool {
    matches!(line.column(), Some(Column::Charging | Column::Unknown | Column::Pending))
}

/// How an invoice and the payment of its name contradict each other, if they do. `None` also where a person is at it, and where our books
/// claim nothing yet.
pub(crate) fn differing(line: &BookLine, seen: Option<&PaymentSeen>) -> Option<String> {
    if is_undecided(line) {
        return None;
    }
    match (line.column(), seen) {
        (Some(Column::Parked), _) => None,
        (Some(Column::Paid), None) => Some("paid in our books, and not at PortOne".to_owned()),
        (Some(Column::Paid), Some(seen)) if !moved_money(seen) => {
            Some(format!("paid in our books, and {} at PortOne", seen.status.name()))
        }
        (Some(Column::Paid), Some(seen)) => {
            let booked = Charged { minor: line.refunded, currency: line.amount.currency().code().to_owned() };
            if !seen.amount.is(line.amount) {
                Some(format!("{} is paid in our books, and {} at PortOne", Charged::from(line.amount), seen.amount))
            } else if seen.refunded != line.refunded {
                let theirs = Charged { minor: seen.refunded, ..seen.amount.clone() };
                Some(format!("{booked} was given back in our books, and {theirs} at PortOne"))
            } else {
                None
            }
        }
        (_, Some(seen)) if moved_money(seen) => Some(format!("paid at PortOne, and {} in our books", line.status)),
        (_, _) => None,
    }
}
