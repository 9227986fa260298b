//! Close: the books of a month, as data and as text.
//!
//! Books that add up prove little: they are sums over our own rows. So each line is held against `PortOne`'s own list of the month's payments,
//! and books are balanced only if nothing is left on either side, to the won. Nothing is written here: what differs, the nightly comparison
//! settles, parks or records.

use crate::ports::{BookLine, Clock, Cursor, Gateway, ListedBy, PaymentSeen, Signal, Store, Telemetry};
use crate::reconcile::{ASKS_AT_ONCE, PAID_AND_NOT_OURS, SLICES_AT_ONCE, differing, moved_money};
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::books::{Account, Books, Column, Sum};
use billing_core::calendar::{self, Period};
use billing_core::id::PaymentId;
use billing_core::money::Currency;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// How many of our lines are held against one list of `PortOne`'s payments: some tens of its pages.
const SPAN_LINES: usize = 10_000;

/// How many sentences say what does not balance. Whoever needs more than these has one cause to find, not many.
const MAX_SENTENCES: usize = 100;

/// What `PortOne` says of the invoices that our books call paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theirs {
    /// What was paid, also if it was given back.
    pub paid: Sum,
    /// What was given back of it.
    pub refunded: Sum,
}

/// The books of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// The month, such as `2026-12`: of all invoices whose period begins in it.
    pub month: String,
    /// When they were closed.
    pub at: Timestamp,
    /// Whether the columns add up to what was due, and `PortOne` says the same of every invoice that is not parked.
    pub balanced: bool,
    /// How many invoices are not decided for good: books that balance may still be open.
    pub unsettled: u64,
    /// Our side.
    pub books: Books,
    /// `PortOne`'s side, by currency.
    pub portone: BTreeMap<Currency, Theirs>,
    /// What does not balance, a sentence each; at most a hundred and one that counts the rest.
    pub wrong: Vec<String>,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Closes the books of the month that `month` lies in, as they stand now. May be repeated at any time.
    ///
    /// A charge that is under way is no difference. Money under a name of ours that no invoice has is one, if `PortOne` heard of it within
    /// the month.
    pub async fn close(&self, month: Period) -> Result<Closing, FlowError> {
        let month = Period::starting(month.start().first_of_month());
        let now = self.clock.now();
        let mut lines = self.lines(month, Timestamp::UNIX_EPOCH, Timestamp::MAX).await?;
        let mut theirs = self.payments_of(month, now, &lines).await?;
        let mut wrong = Vec::new();
        // The listings may be older than the rows or younger, and a payment may be younger than the month.
        let nameless = theirs.values().filter(|seen| moved_money(seen)).map(|seen| &seen.payment_id);
        let unlike = lines.values().filter(|line| differing(line, theirs.get(&line.payment_id)).is_some());
        let doubtful: BTreeSet<PaymentId> = (nameless.filter(|id| !lines.contains_key(id)))
            .chain(unlike.map(|line| &line.payment_id))
            .cloned()
            .collect();
        let doubtful: Vec<PaymentId> = doubtful.into_iter().collect();
        for some in doubtful.chunks(ASKS_AT_ONCE) {
            let looks: Vec<_> = some.iter().map(|id| self.look(id)).collect();
            for (id, looked) in some.iter().zip(futures::future::join_all(looks).await) {
                let (line, seen) = looked?;
                match line {
                    None => wrong.push(format!("{id}: {PAID_AND_NOT_OURS}")),
                    Some(line) if line.period.month_id() == month.month_id() => {
                        wrong.extend(differing(&line, seen.as_ref()).map(|why| format!("{id}: {why}")));
                        lines.insert(id.clone(), line);
                        theirs.extend(seen.map(|seen| (id.clone(), seen)));
                    }
                    Some(_) => {}
                }
            }
        }
        let mut portone: BTreeMap<Currency, Theirs> = BTreeMap::new();
        for line in lines.values().filter(|line| line.column() == Some(Column::Paid)) {
            if let Some(seen) = theirs.get(&line.payment_id).filter(|seen| moved_money(seen)) {
                add(&mut portone, seen)?;
            }
        }
        let books = Books::of(lines.values())?;
        wrong.extend(
            lines
                .values()
                .filter(|line| line.column().is_none())
                .map(|line| format!("{}: its status {:?} is none that is known", line.payment_id, line.status)),
        );
        wrong.extend(books.accounts.iter().filter_map(|(currency, account)| {
            let theirs = portone.get(currency).copied().unwrap_or_default();
            unequal(*currency, account, theirs)
        }));
        let closing = Closing {
            month: month.month_id(),
            at: now,
            balanced: wrong.is_empty(),
            unsettled: books.unsettled(),
            books,
            portone,
            wrong: shortened(wrong),
        };
        self.telemetry.signal(Signal::Closed {
            month: closing.month.clone(),
            balanced: closing.balanced,
            unsettled: closing.unsettled,
            parked: u64::try_from(closing.books.parked.len()).unwrap_or(u64::MAX),
        });
        Ok(closing)
    }

    /// Our row as it is, and after it what `PortOne` says now.
    async fn look(&self, id: &PaymentId) -> Result<(Option<BookLine>, Option<PaymentSeen>), FlowError> {
        let line = self.store.invoice(id).await?.map(|invoice| BookLine::of(&invoice));
        let seen = if line.is_some() { self.gateway.payment(id).await? } else { None };
        Ok((line, seen))
    }

    /// Listed in several spans at once if there are many: one list goes page by page, and a large month's has thousands.
    async fn payments_of(
        &self,
        month: Period,
        now: Timestamp,
        lines: &BTreeMap<PaymentId, BookLine>,
    ) -> Result<HashMap<PaymentId, PaymentSeen>, FlowError> {
        let (from, until) = (calendar::moment(month.start(), 0), calendar::moment(month.end(), 0).min(now));
        let mut found = HashMap::new();
        for some in spans(from, until, lines).chunks(SLICES_AT_ONCE) {
            let lists = some.iter().map(|(from, until)| self.payments_between(*from, *until));
            found.extend(futures::future::try_join_all(lists).await?.into_iter().flatten());
        }
        Ok(found)
    }

    async fn payments_between(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(PaymentId, PaymentSeen)>, FlowError> {
        let mut found = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.gateway.payments(ListedBy::Creation, from, until, after.as_ref()).await?;
            let ours = page.items.into_iter().filter(|seen| seen.payment_id.is_ours());
            found.extend(ours.map(|seen| (seen.payment_id.clone(), seen)));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// `[from, until)` in parts in each of which [`SPAN_LINES`] of our lines last changed: most payments were made moments before.
fn spans(from: Timestamp, until: Timestamp, lines: &BTreeMap<PaymentId, BookLine>) -> Vec<(Timestamp, Timestamp)> {
    let mut moments: Vec<Timestamp> = lines.values().map(|line| line.updated_at).collect();
    moments.sort_unstable();
    let cuts = moments.chunks(SPAN_LINES).skip(1).filter_map(|chunk| chunk.first().copied());
    let mut edges: Vec<Timestamp> = [from].into_iter().chain(cuts.filter(|at| (from..until).contains(at))).collect();
    edges.dedup();
    let ends = edges.iter().copied().skip(1).chain([until]);
    edges.iter().copied().zip(ends).filter(|(from, until)| from < until).collect()
}

fn add(portone: &mut BTreeMap<Currency, Theirs>, seen: &PaymentSeen) -> Result<(), FlowError> {
    // In another currency than is billed, it is a difference already.
    let Some(currency) = Currency::from_code(&seen.amount.currency) else { return Ok(()) };
    let theirs = portone.entry(currency).or_default();
    theirs.paid = theirs.paid.with(seen.amount.minor)?;
    if seen.refunded != 0 {
        theirs.refunded = theirs.refunded.with(seen.refunded)?;
    }
    Ok(())
}

/// The sums, beside the lines: a second reckoning, from `PortOne`'s figures alone.
fn unequal(currency: Currency, account: &Account, theirs: Theirs) -> Option<String> {
    let code = currency.code();
    if !account.is_balanced() {
        return Some(format!("{code}: the columns do not add up to what was due"));
    }
    let sums = [("paid", account.column(Column::Paid), theirs.paid), ("given back", account.refunded, theirs.refunded)];
    let (what, ours, theirs) = sums.into_iter().find(|(_, ours, theirs)| ours != theirs)?;
    Some(format!(
        "{code}: {what} in our books {} for {}, at PortOne {} for {}",
        ours.count,
        currency.shown(ours.minor),
        theirs.count,
        currency.shown(theirs.minor)
    ))
}

fn shortened(mut wrong: Vec<String>) -> Vec<String> {
    let rest = wrong.len().saturating_sub(MAX_SENTENCES);
    wrong.truncate(MAX_SENTENCES);
    if rest > 0 {
        wrong.push(format!("and {rest} more"));
    }
    wrong
}

/// For the operator: the table, `PortOne`'s side, and the verdict.
impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_zoned(calendar::seoul()).strftime("%Y-%m-%d %H:%M");
        writeln!(f, "Books of {} as of {at} in Seoul", self.month)?;
        write!(f, "{}", self.books)?;
        for (currency, theirs) in &self.portone {
            writeln!(
                f,
                "at PortOne: {} paid for {} {}, of which {} given back",
                theirs.paid.count,
                currency.shown(theirs.paid.minor),
                currency.code(),
                currency.shown(theirs.refunded.minor)
            )?;
        }
        for id in &self.books.parked {
            writeln!(f, "parked: {id}")?;
        }
        match (self.balanced, self.unsettled) {
            (true, 0) => writeln!(f, "BALANCED, and every invoice is settled"),
            (true, open) => writeln!(f, "BALANCED, with {open} invoices not settled yet"),
            (false, _) => {
                writeln!(f, "NOT BALANCED")?;
                self.wrong.iter().try_for_each(|sentence| writeln!(f, "  {sentence}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing_core::id::{SubscriptionId, UserId};
    use billing_core::money::Money;
    use billing_core::subscription::SubscriptionKey;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// One line of every second.
    fn lines(seconds: std::ops::Range<i64>) -> BTreeMap<PaymentId, BookLine> {
        let line = |second: i64| BookLine {
            payment_id: PaymentId::new(format!("inv{second}")).unwrap(),
            subscription: SubscriptionKey {
                user_id: UserId::new("kim").unwrap(),
                id: SubscriptionId::new("sub1").unwrap(),
            },
            period: Period::month_at(at(second)),
            status: "paid".to_owned(),
            amount: Money::new(1, Currency::Krw).unwrap(),
            refunded: 0,
            attempts: 1,
            declines: 0,
            refunding: false,
            quarantined: false,
            superseded: false,
            updated_at: at(second),
        };
        seconds.map(line).map(|line| (line.payment_id.clone(), line)).collect()
    }

    #[test]
    fn a_month_of_few_lines_is_one_list_and_a_month_that_has_not_begun_is_none() {
        assert_eq!(spans(at(0), at(100), &BTreeMap::new()), [(at(0), at(100))]);
        assert_eq!(spans(at(0), at(100), &lines(0..100)), [(at(0), at(100))]);
        assert_eq!(spans(at(100), at(100), &BTreeMap::new()), []);
    }

    #[test]
    fn a_month_of_many_lines_is_cut_where_they_lie_and_nothing_falls_between() {
        let many = i64::try_from(SPAN_LINES).unwrap();
        let spans = spans(at(0), at(3 * many), &lines(many..3 * many + many / 2));
        assert_eq!(spans, [(at(0), at(2 * many)), (at(2 * many), at(3 * many))]);
    }
}
