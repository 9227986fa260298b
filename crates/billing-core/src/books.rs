//! The books of a month: what its invoices came to, in columns that add up to what was due.
//!
//! Every invoice stands in exactly one column. Money given back is told beside the columns: an invoice that was paid stays paid.

use crate::calendar::Period;
use crate::id::PaymentId;
use crate::invoice::{Invoice, State};
use crate::money::{Currency, Money, MoneyError};
use crate::subscription::SubscriptionKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// An invoice as the books show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookLine {
    /// Its name.
    pub payment_id: PaymentId,
    /// Whose.
    pub subscription: SubscriptionKey,
    /// For which period.
    pub period: Period,
    /// Its status.
    pub status: String,
    /// What was owed.
    pub amount: Money,
    /// What was given back, in minor units of what was owed.
    pub refunded: i64,
    /// How many attempts were made.
    pub attempts: u32,
    /// How many of them were declined.
    pub declines: u32,
    /// Whether a refund of ours is undecided.
    pub refunding: bool,
    /// Whether it is parked for a person.
    pub quarantined: bool,
    /// Whether it goes on under another payment id, which has a line of its own.
    pub superseded: bool,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl BookLine {
    /// The line of an invoice.
    pub fn of(invoice: &Invoice) -> Self {
        Self {
            payment_id: invoice.payment_id.clone(),
            subscription: invoice.subscription.clone(),
            period: invoice.period,
            status: invoice.state.status().to_owned(),
            amount: invoice.amount,
            refunded: match &invoice.state {
                State::PartiallyRefunded { refunded, .. } => refunded.minor(),
                State::Refunded { .. } => invoice.amount.minor(),
                State::Open { .. }
                | State::Charging { .. }
                | State::Unknown { .. }
                | State::Pending { .. }
                | State::Failed { .. }
                | State::Paid { .. }
                | State::Uncollectible { .. }
                | State::Void { .. } => 0,
            },
            attempts: u32::try_from(invoice.attempts.len()).unwrap_or(u32::MAX),
            declines: invoice.declines(),
            refunding: invoice.refund_under_way().is_some(),
            quarantined: invoice.quarantine.is_some(),
            superseded: invoice.superseded_by.is_some(),
            updated_at: invoice.updated_at,
        }
    }

    /// Where it stands; nothing if its status is none that is known.
    pub fn column(&self) -> Option<Column> {
        if self.quarantined {
            return Some(Column::Parked);
        }
        match self.status.as_str() {
            "paid" | "partially_refunded" | "refunded" => Some(Column::Paid),
            "uncollectible" => Some(Column::Uncollectible),
            "void" => Some(Column::Void),
            "failed" => Some(Column::Failed),
            "pending" => Some(Column::Pending),
            "unknown" => Some(Column::Unknown),
            "charging" => Some(Column::Charging),
            "open" => Some(Column::Open),
            _ => None,
        }
    }
}

/// Where an invoice stands in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// Paid, also if money was given back later.
    Paid,
    /// Given up.
    Uncollectible,
    /// No longer owed.
    Void,
    /// Declined; waiting for a retry or for a new method.
    Failed,
    /// Accepted by `PortOne`, and not decided.
    Pending,
    /// Nobody knows how the last attempt ended.
    Unknown,
    /// An attempt is under way.
    Charging,
    /// Owed, and no attempt is under way.
    Open,
    /// Left alone until a person has looked, whatever its status.
    Parked,
}

impl Column {
    /// All of them, as the books show them.
    pub const ALL: [Self; 9] = [
        Self::Paid,
        Self::Uncollectible,
        Self::Void,
        Self::Failed,
        Self::Pending,
        Self::Unknown,
        Self::Charging,
        Self::Open,
        Self::Parked,
    ];

    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Uncollectible => "uncollectible",
            Self::Void => "void",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Charging => "charging",
            Self::Open => "open",
            Self::Parked => "parked",
        }
    }

    /// Whether nothing more happens to an invoice that stands here.
    pub fn is_final(self) -> bool {
        match self {
            Self::Paid | Self::Uncollectible | Self::Void => true,
            Self::Failed | Self::Pending | Self::Unknown | Self::Charging | Self::Open | Self::Parked => false,
        }
    }
}

/// So many invoices, and their money in minor units of one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// How much, in minor units.
    pub minor: i64,
}

impl Sum {
    /// With one more of so much.
    pub fn with(self, minor: i64) -> Result<Self, MoneyError> {
        self.plus(Self { count: 1, minor })
    }

    fn plus(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self {
            count: self.count.checked_add(other.count).ok_or(MoneyError::TooLarge)?,
            minor: self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge)?,
        })
    }
}

/// The books in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What was owed.
    pub due: Sum,
    /// What became of it. All columns are there.
    pub columns: BTreeMap<Column, Sum>,
    /// What was given back of what was paid.
    pub refunded: Sum,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            due: Sum::default(),
            columns: Column::ALL.map(|column| (column, Sum::default())).into(),
            refunded: Sum::default(),
        }
    }
}

impl Account {
    /// What stands in a column.
    pub fn column(&self, column: Column) -> Sum {
        self.columns.get(&column).copied().unwrap_or_default()
    }

    /// Whether the columns add up to what was due, in number and in money.
    pub fn is_balanced(&self) -> bool {
        let whole = self.columns.values().try_fold(Sum::default(), |sum, column| sum.plus(*column));
        whole == Ok(self.due)
    }

    fn add(&mut self, line: &BookLine) -> Result<(), MoneyError> {
        self.due = self.due.with(line.amount.minor())?;
        let column = line.column();
        if let Some(column) = column {
            let sum = self.columns.entry(column).or_default();
            *sum = sum.with(line.amount.minor())?;
        }
        if column == Some(Column::Paid) && line.refunded != 0 {
            self.refunded = self.refunded.with(line.refunded)?;
        }
        Ok(())
    }
}

/// What invoices came to, by currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Each currency's own columns: money of two currencies is never added.
    pub accounts: BTreeMap<Currency, Account>,
    /// How many of the paid invoices an earlier attempt had failed for.
    pub recovered: u64,
    /// The invoices that are parked for a person.
    pub parked: Vec<PaymentId>,
}

impl Books {
    /// Adds invoices up.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a BookLine>) -> Result<Self, MoneyError> {
        let mut books = Self::default();
        lines.into_iter().try_for_each(|line| books.add(line))?;
        Ok(books)
    }

    /// Adds an invoice. A superseded one is not owed under its own name, and counts only while it is parked.
    pub fn add(&mut self, line: &BookLine) -> Result<(), MoneyError> {
        if line.quarantined {
            self.parked.push(line.payment_id.clone());
        }
        if line.superseded {
            return Ok(());
        }
        self.accounts.entry(line.amount.currency()).or_default().add(line)?;
        let again = line.column() == Some(Column::Paid) && line.attempts > 1;
        self.recovered = self.recovered.saturating_add(u64::from(again));
        Ok(())
    }

    /// How many invoices were owed.
    pub fn due(&self) -> u64 {
        self.accounts.values().fold(0, |count, account| count.saturating_add(account.due.count))
    }

    /// How many invoices stand in a column.
    pub fn count(&self, column: Column) -> u64 {
        self.accounts.values().fold(0, |count, account| count.saturating_add(account.column(column).count))
    }

    /// How many are not decided for good.
    pub fn unsettled(&self) -> u64 {
        let open = Column::ALL.into_iter().filter(|column| !column.is_final());
        open.fold(0, |count, column| count.saturating_add(self.count(column)))
    }

    /// Whether every currency's columns add up to what was due.
    pub fn is_balanced(&self) -> bool {
        self.accounts.values().all(Account::is_balanced)
    }
}

/// A table with a row for each column, and the money of each currency.
impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = String::new();
        for currency in self.accounts.keys() {
            write!(head, " {:>18}", currency.code())?;
        }
        writeln!(f, "{:<24} {:>8}{head}", "", "invoices")?;
        self.row(f, "due", self.due(), |account| account.due)?;
        for column in Column::ALL {
            self.row(f, &format!("  {}", column.name()), self.count(column), |account| account.column(column))?;
        }
        let refunds =
            self.accounts.values().fold(0, |count: u64, account| count.saturating_add(account.refunded.count));
        self.row(f, "given back of the paid", refunds, |account| account.refunded)
    }
}

impl Books {
    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, count: u64, sum: impl Fn(&Account) -> Sum) -> fmt::Result {
        write!(f, "{name:<24} {count:>8}")?;
        for (currency, account) in &self.accounts {
            write!(f, " {:>18}", currency.shown(sum(account).minor))?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SubscriptionId, UserId};
    use proptest::prelude::*;

    const STATUSES: [&str; 10] = [
        "open",
        "charging",
        "unknown",
        "pending",
        "failed",
        "paid",
        "uncollectible",
        "void",
        "partially_refunded",
        "refunded",
    ];

    fn line(status: &str, minor: i64, currency: Currency) -> BookLine {
        BookLine {
            payment_id: PaymentId::new(format!("inv{status}")).unwrap(),
            subscription: SubscriptionKey {
                user_id: UserId::new("user_1").unwrap(),
                id: SubscriptionId::new("sub_1").unwrap(),
            },
            period: Period::parse("2026-12-01").unwrap(),
            status: status.to_owned(),
            amount: Money::new(minor, currency).unwrap(),
            refunded: if status == "refunded" { minor } else { 0 },
            attempts: 1,
            declines: 0,
            refunding: false,
            quarantined: false,
            superseded: false,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn won(status: &str, minor: i64) -> BookLine {
        line(status, minor, Currency::Krw)
    }

    #[test]
    fn every_status_has_one_column_and_the_columns_add_up_to_what_was_due() {
        let books = Books::of(&STATUSES.map(|status| won(status, 1_000))).unwrap();
        let krw = &books.accounts[&Currency::Krw];
        assert_eq!(krw.due, Sum { count: 10, minor: 10_000 });
        assert_eq!(krw.column(Column::Paid), Sum { count: 3, minor: 3_000 });
        let others = Column::ALL.into_iter().filter(|column| !matches!(column, Column::Paid | Column::Parked));
        assert!(others.into_iter().all(|column| krw.column(column).count == 1));
        assert!(books.is_balanced());
    }

    #[test]
    fn what_is_paid_uncollectible_or_void_is_settled_and_nothing_else() {
        let books = Books::of(&STATUSES.map(|status| won(status, 1_000))).unwrap();
        assert_eq!((books.due(), books.unsettled()), (10, 5));
        assert_eq!(Books::of(&[won("paid", 1)]).unwrap().unsettled(), 0);
    }

    #[test]
    fn an_invoice_is_recovered_if_it_was_paid_by_a_later_attempt_than_its_first() {
        let again = |status| BookLine { attempts: 2, ..won(status, 1) };
        let recovered = |lines: &[BookLine]| Books::of(lines).unwrap().recovered;
        assert_eq!(recovered(&[again("paid"), won("paid", 1), won("failed", 1), again("failed")]), 1);
        assert_eq!(recovered(&[won("paid", 1)]), 0);
    }

    #[test]
    fn a_status_that_nobody_knows_does_not_balance() {
        let books = Books::of(&[won("paid", 1), won("sleeping", 1)]).unwrap();
        assert!(!books.is_balanced());
    }

    #[test]
    fn money_given_back_is_told_beside_and_the_invoice_stays_paid() {
        let part = BookLine { refunded: 300, ..won("partially_refunded", 1_000) };
        let books = Books::of(&[part, won("refunded", 500), won("paid", 1)]).unwrap();
        let krw = &books.accounts[&Currency::Krw];
        assert_eq!(krw.refunded, Sum { count: 2, minor: 800 });
        assert_eq!(krw.column(Column::Paid), Sum { count: 3, minor: 1_501 });
    }

    #[test]
    fn a_parked_invoice_stands_among_the_parked_whatever_its_status() {
        for status in STATUSES {
            let books = Books::of(&[BookLine { quarantined: true, ..won(status, 1) }]).unwrap();
            assert_eq!((books.count(Column::Parked), books.parked.len(), books.unsettled()), (1, 1, 1), "{status}");
            assert_eq!(books.accounts[&Currency::Krw].refunded, Sum::default(), "{status}");
            assert!(books.is_balanced());
        }
    }

    #[test]
    fn a_superseded_invoice_is_not_owed_under_its_old_name_but_is_named_while_it_is_parked() {
        let old = BookLine { superseded: true, ..won("void", 1) };
        let paid_after_all = BookLine { quarantined: true, ..old.clone() };
        assert_eq!(Books::of(&[old]).unwrap(), Books::default());
        let books = Books::of(&[paid_after_all]).unwrap();
        assert_eq!((books.due(), books.parked.len()), (0, 1));
    }

    #[test]
    fn currencies_are_never_added() {
        let books = Books::of(&[won("paid", 1_000), line("paid", 900, Currency::Usd)]).unwrap();
        assert_eq!((books.due(), books.count(Column::Paid)), (2, 2));
        assert_eq!(books.accounts[&Currency::Usd].due, Sum { count: 1, minor: 900 });
    }

    #[test]
    fn a_sum_that_no_number_holds_is_refused() {
        let mut sum = Sum { count: 1, minor: i64::MAX };
        assert_eq!(sum.with(1), Err(MoneyError::TooLarge));
        sum = Sum { count: u64::MAX, minor: 0 };
        assert_eq!(sum.with(0), Err(MoneyError::TooLarge));
    }

    #[test]
    fn the_books_read_as_a_table() {
        let dollars = line("pending", 90_000, Currency::Usd);
        let books = Books::of(&[won("paid", 1_234_567), won("refunded", 30_000), won("failed", 30_000), dollars]);
        let expected = "
                         invoices                KRW                USD
due                             4          1,294,567             900.00
  paid                          2          1,264,567               0.00
  uncollectible                 0                  0               0.00
  void                          0                  0               0.00
  failed                        1             30,000               0.00
  pending                       1                  0             900.00
  unknown                       0                  0               0.00
  charging                      0                  0               0.00
  open                          0                  0               0.00
  parked                        0                  0               0.00
given back of the paid          1             30,000               0.00
";
        assert_eq!(format!("\n{}", books.unwrap()), expected);
    }

    proptest! {
        #[test]
        fn books_of_known_statuses_always_balance(
            lines in prop::collection::vec((0..STATUSES.len(), 0..1_000_000_i64, any::<(bool, bool, bool)>()), 0..50),
        ) {
            let lines: Vec<_> = lines
                .into_iter()
                .map(|(status, minor, (quarantined, superseded, dollars))| BookLine {
                    quarantined,
                    superseded,
                    ..line(STATUSES[status], minor, if dollars { Currency::Usd } else { Currency::Krw })
                })
                .collect();
            let books = Books::of(&lines).unwrap();
            prop_assert!(books.is_balanced());
            prop_assert_eq!(books.due(), lines.iter().filter(|line| !line.superseded).count() as u64);
            prop_assert_eq!(books.parked.len(), lines.iter().filter(|line| line.quarantined).count());
        }
    }
}
