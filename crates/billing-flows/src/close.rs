//! Close: the books of a month, as data and as text.
//!
//! Books that add up prove little: they are sums over our own rows. So each line is held against `PortOne`'s own list of the month's payments,
//! and books are balanced only if nothing is left on either side, to the won. Nothing is written here: what differs, the nightly comparison
//! settles, parks or records.

use crate::ports::{BookLine, Clock, Cursor, Gateway, ListedBy, PaymentSeen, Signal, Store, Telemetry};
use crate::reconcile::{ASKS_AT_ONCE, PAID_AND_NOT_OURS, differing, moved_money};
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::books::{Account, Books, Column, Sum};
use billing_core::calendar::{self, Period};
use billing_core::id::PaymentId;
use billing_core::money::Currency;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

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
        // Theirs first: what is paid between the two readings is then in our books, and is asked about before it counts.
        let mut theirs = self.payments_of(month, now).await?;
        let mut lines = self.lines(month, Timestamp::UNIX_EPOCH, Timestamp::MAX).await?;
        let mut wrong = Vec::new();
        // The listings may be older than the rows, and a payment may be younger than the month.
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

    async fn payments_of(&self, month: Period, now: Timestamp) -> Result<HashMap<PaymentId, PaymentSeen>, FlowError> {
        let (from, until) = (calendar::moment(month.start(), 0), calendar::moment(month.end(), 0).min(now));
        let mut found = HashMap::new();
        let mut after: Option<Cursor> = None;
        if from >= until {
            return Ok(found);
        }
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
