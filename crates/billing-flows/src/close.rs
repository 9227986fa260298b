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
use billing_core::money::{Currency, MoneyError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;

/// How many payments a closing holds whose invoices it has not come to: those that were declined first and paid by a retry, and those given
/// back, change long after their payments were created. A fifth of a million invoices, at some 140 bytes each; for each beyond
/// these an invoice is read.
pub const WAITING_AT_MOST: usize = 200_000;

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
    ///
    /// It holds some slices of the month, and [`WAITING_AT_MOST`] payments; nothing else grows with the month but a number for each
    /// invoice.
    pub async fn close(&self, month: Period) -> Result<Closing, FlowError> {
        self.close_holding(WAITING_AT_MOST, month).await
    }

    /// The same, holding at most so many payments whose invoices it has not come to. The books are the same, by more questions.
    pub async fn close_holding(&self, waiting_at_most: usize, month: Period) -> Result<Closing, FlowError> {
        let month = Period::starting(month.start().first_of_month());
        let now = self.clock.now();
        let (begin, end) = (calendar::moment(month.start(), 0), calendar::moment(month.end(), 0).min(now));
        let mut tally = Tally::default();
        let mut from = Timestamp::UNIX_EPOCH;
        while from < Timestamp::MAX {
            let mut lines = BTreeMap::new();
            let mut lists = Vec::with_capacity(SLICES_AT_ONCE);
            while from < Timestamp::MAX && lists.len() < SLICES_AT_ONCE {
                let slice = self.slice_of(month, month, from, Timestamp::MAX).await?;
                lists.push(List { from: slice.from.max(begin), until: slice.until.min(end), after: None });
                lines.extend(slice.ours);
                from = slice.until;
            }
            lines.retain(|id, _| !tally.has_counted(id));
            lists.retain(|list| list.from < list.until);
            self.close_slices(month, lines, lists, waiting_at_most, &mut tally).await?;
        }
        // Their invoices were come to before them, are another month's, are not shown by the index yet, or do not exist.
        let left = tally.take_waiting();
        self.look_at(&left, month, &mut tally).await?;
        let closing = tally.closing(month, now);
        self.telemetry.signal(Signal::Closed {
            month: closing.month.clone(),
            balanced: closing.balanced,
            unsettled: closing.unsettled,
            parked: u64::try_from(closing.books.parked.len()).unwrap_or(u64::MAX),
        });
        Ok(closing)
    }

    /// Holds lines against the payments that were created while they last changed, for most payments are created moments before, and against
    /// those of the slices before. A page of each list at once: one list goes page by page, and a large month's has thousands.
    async fn close_slices(
        &self,
        month: Period,
        lines: BTreeMap<PaymentId, BookLine>,
        mut lists: Vec<List>,
        waiting_at_most: usize,
        tally: &mut Tally,
    ) -> Result<(), FlowError> {
        let mut met: BTreeMap<PaymentId, Moved> =
            lines.keys().filter_map(|id| tally.waiting.remove_entry(id)).collect();
        while !lists.is_empty() {
            let pages = lists
                .iter()
                .map(|list| self.gateway.payments(ListedBy::Creation, list.from, list.until, list.after.as_ref()));
            let pages = futures::future::try_join_all(pages).await?;
            let mut unread = Vec::with_capacity(lists.len());
            for (list, page) in lists.into_iter().zip(pages) {
                for seen in page.items.into_iter().filter(|seen| seen.payment_id.is_ours()) {
                    let Some(moved) = Moved::of(&seen) else { continue };
                    let to = if lines.contains_key(&seen.payment_id) { &mut met } else { &mut tally.waiting };
                    to.insert(seen.payment_id, moved);
                }
                unread.extend(page.next.map(|next| List { after: Some(next), ..list }));
            }
            lists = unread;
            if tally.waiting.len() > waiting_at_most {
                let waiting = tally.take_waiting();
                self.look_at(&waiting, month, tally).await?;
            }
        }
        let mut doubtful = Vec::new();
        for (id, line) in lines {
            let moved = met.remove(&id);
            if agree(&line, moved) {
                tally.count(&line, moved)?;
            } else {
                doubtful.push((id, moved));
            }
        }
        self.look_at(&doubtful, month, tally).await
    }

    /// The listings may be older than the rows or younger, and a payment may be younger than the month: nothing is wrong, or not ours, before
    /// the invoice was read again.
    async fn look_at(
        &self,
        doubtful: &[(PaymentId, Option<Moved>)],
        month: Period,
        tally: &mut Tally,
    ) -> Result<(), FlowError> {
        for some in doubtful.chunks(ASKS_AT_ONCE) {
            let looks: Vec<_> = some.iter().map(|(id, listed)| self.look(id, *listed, month)).collect();
            for ((id, _), looked) in some.iter().zip(futures::future::join_all(looks).await) {
                match looked? {
                    Look::NoInvoice => tally.wrong.add(format!("{id}: {PAID_AND_NOT_OURS}")),
                    Look::OtherMonth => {}
                    Look::Line { line, moved, why } => {
                        if let Some(why) = why {
                            tally.wrong.add(format!("{id}: {why}"));
                        }
                        tally.count(&line, moved)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Our row as it is, and after it, unless it agrees with what was listed, what `PortOne` says now.
    async fn look(&self, id: &PaymentId, listed: Option<Moved>, month: Period) -> Result<Look, FlowError> {
        let Some(invoice) = self.store.invoice(id).await? else { return Ok(Look::NoInvoice) };
        let line = BookLine::of(&invoice);
        if line.period.month_id() != month.month_id() {
            return Ok(Look::OtherMonth);
        }
        if listed.is_some() && agree(&line, listed) {
            return Ok(Look::Line { line: Box::new(line), moved: listed, why: None });
        }
        let seen = self.gateway.payment(id).await?;
        let why = differing(&line, seen.as_ref());
        Ok(Look::Line { line: Box::new(line), moved: seen.as_ref().and_then(Moved::of), why })
    }
}

/// What is left to read of `PortOne`'s payments that were created in a span.
struct List {
    from: Timestamp,
    until: Timestamp,
    after: Option<Cursor>,
}

/// What our row and `PortOne` say when they are asked again.
enum Look {
    NoInvoice,
    OtherMonth,
    Line { line: Box<BookLine>, moved: Option<Moved>, why: Option<String> },
}

/// What is kept of a payment by which money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moved {
    minor: i64,
    refunded: i64,
    /// Nothing if it is none that is billed.
    currency: Option<Currency>,
}

impl Moved {
    fn of(seen: &PaymentSeen) -> Option<Self> {
        let currency = Currency::from_code(&seen.amount.currency);
        moved_money(seen).then_some(Self { minor: seen.amount.minor, refunded: seen.refunded, currency })
    }
}

/// Whether [`differing`] finds nothing in a line and the payment of its name, by what is kept of it.
fn agree(line: &BookLine, moved: Option<Moved>) -> bool {
    match line.column() {
        Some(Column::Parked | Column::Charging | Column::Unknown | Column::Pending) => true,
        Some(Column::Paid) => {
            let (minor, currency) = (line.amount.minor(), Some(line.amount.currency()));
            moved == Some(Moved { minor, refunded: line.refunded, currency })
        }
        Some(Column::Uncollectible | Column::Void | Column::Failed | Column::Open) | None => moved.is_none(),
    }
}

/// What a closing comes to, slice by slice.
#[derive(Default)]
struct Tally {
    books: Books,
    portone: BTreeMap<Currency, Theirs>,
    wrong: Wrong,
    /// Payments whose invoices were not come to.
    waiting: BTreeMap<PaymentId, Moved>,
    /// The invoices in `books`, by eight bytes of their names' hashes. An invoice that changes moves to the end of the index and is come to
    /// again; and nobody can tell from its row whether it was counted before. Two names of ten million share eight bytes in one closing of
    /// some 400,000.
    counted: HashSet<u64>,
}

impl Tally {
    fn take_waiting(&mut self) -> Vec<(PaymentId, Option<Moved>)> {
        std::mem::take(&mut self.waiting).into_iter().map(|(id, moved)| (id, Some(moved))).collect()
    }

    fn has_counted(&self, id: &PaymentId) -> bool {
        self.counted.contains(&self.counted.hasher().hash_one(id))
    }

    /// Counts an invoice, and what `PortOne` says of it, unless it was counted.
    fn count(&mut self, line: &BookLine, moved: Option<Moved>) -> Result<(), MoneyError> {
        if !self.counted.insert(self.counted.hasher().hash_one(&line.payment_id)) {
            return Ok(());
        }
        self.books.add(line)?;
        match (line.column(), moved) {
            (None, _) => {
                self.wrong.add(format!("{}: its status {:?} is none that is known", line.payment_id, line.status));
            }
            (Some(Column::Paid), Some(moved)) => self.add(moved)?,
            (Some(_), _) => {}
        }
        Ok(())
    }

    fn add(&mut self, moved: Moved) -> Result<(), MoneyError> {
        // In another currency than is billed, it is a difference already.
        let Some(currency) = moved.currency else { return Ok(()) };
        let theirs = self.portone.entry(currency).or_default();
        theirs.paid = theirs.paid.with(moved.minor)?;
        if moved.refunded != 0 {
            theirs.refunded = theirs.refunded.with(moved.refunded)?;
        }
        Ok(())
    }

    fn closing(self, month: Period, at: Timestamp) -> Closing {
        let Self { books, portone, mut wrong, .. } = self;
        for (currency, account) in &books.accounts {
            let theirs = portone.get(currency).copied().unwrap_or_default();
            if let Some(sentence) = unequal(*currency, account, theirs) {
                wrong.add(sentence);
            }
        }
        Closing {
            month: month.month_id(),
            at,
            balanced: wrong.sentences.is_empty(),
            unsettled: books.unsettled(),
            books,
            portone,
            wrong: wrong.told(),
        }
    }
}

/// What does not balance: the first sentences, and how many more there are.
#[derive(Default)]
struct Wrong {
    sentences: Vec<String>,
    rest: u64,
}

impl Wrong {
    /// A payment may be listed twice.
    fn add(&mut self, sentence: String) {
        if self.sentences.contains(&sentence) {
            return;
        }
        if self.sentences.len() < MAX_SENTENCES {
            self.sentences.push(sentence);
        } else {
            self.rest = self.rest.saturating_add(1);
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.rest > 0 {
            self.sentences.push(format!("and {} more", self.rest));
        }
        self.sentences
    }
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
    use crate::ports::SeenStatus;
    use billing_core::decline::Decline;
    use billing_core::id::{SubscriptionId, UserId};
    use billing_core::invoice::Proof;
    use billing_core::money::Money;
    use billing_core::settlement::Charged;
    use billing_core::subscription::SubscriptionKey;

    fn line(status: &str, refunded: i64, quarantined: bool) -> BookLine {
        BookLine {
            payment_id: PaymentId::new("inv1").unwrap(),
            subscription: SubscriptionKey {
                user_id: UserId::new("kim").unwrap(),
                id: SubscriptionId::new("sub1").unwrap(),
            },
            period: Period::month_at(Timestamp::UNIX_EPOCH),
            status: status.to_owned(),
            amount: Money::new(1_000, Currency::Krw).unwrap(),
            refunded,
            attempts: 1,
            declines: 0,
            refunding: false,
            quarantined,
            superseded: false,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn seen(status: SeenStatus, minor: i64, currency: &str, refunded: i64) -> PaymentSeen {
        PaymentSeen {
            payment_id: PaymentId::new("inv1").unwrap(),
            status,
            billing_key: None,
            amount: Charged { minor, currency: currency.to_owned() },
            refunded,
            chargeback: false,
            cancellations: Vec::new(),
            proof: Proof::default(),
        }
    }

    #[test]
    fn a_line_agrees_with_what_is_kept_of_a_payment_exactly_if_it_does_not_differ_from_the_payment() {
        let at = Timestamp::UNIX_EPOCH;
        let statuses = [
            SeenStatus::Ready,
            SeenStatus::Pending,
            SeenStatus::Failed { at, decline: Decline::no_method("X") },
            SeenStatus::Other("NEW".to_owned()),
            SeenStatus::Paid { at },
            SeenStatus::Cancelled { paid_at: at, at },
        ];
        let sums = [(1_000, "KRW", 0), (999, "KRW", 0), (1_000, "USD", 0), (1_000, "JPY", 0), (1_000, "KRW", 300)];
        let mut payments = vec![None];
        for status in statuses {
            payments.extend(sums.map(|(minor, code, refunded)| Some(seen(status.clone(), minor, code, refunded))));
        }
        let ours =
            ["open", "charging", "unknown", "pending", "failed", "paid", "uncollectible", "void", "refunded", "new"];
        for (status, refunded, quarantined) in
            ours.into_iter().flat_map(|status| [(status, 0, false), (status, 300, false), (status, 0, true)])
        {
            let line = line(status, refunded, quarantined);
            for payment in &payments {
                let differ = differing(&line, payment.as_ref());
                let agree = agree(&line, payment.as_ref().and_then(Moved::of));
                assert_eq!(agree, differ.is_none(), "{line:?} {payment:?} {differ:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_once_and_what_is_beyond_a_hundred_sentences_is_counted() {
        let mut wrong = Wrong::default();
        for number in [1, 1, 2] {
            wrong.add(number.to_string());
        }
        assert_eq!((wrong.sentences.len(), wrong.rest), (2, 0));
        (3..=150).for_each(|number| wrong.add(number.to_string()));
        assert_eq!(wrong.told().last().unwrap(), "and 50 more");
    }
}
