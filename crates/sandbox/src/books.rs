//! The closed books of a run: what every subscription owed, what became of it, and whether that is what the simulator's own ledger says.

use crate::portone::Ledger;
use billing_core::Timestamp;
use billing_core::calendar::Period;
use billing_core::money::Currency;
use billing_core::subscription::{State, Subscription};
use billing_flows::ports::BookLine;
use std::collections::BTreeMap;

/// What became of a period's invoices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Invoices that were owed.
    pub due: u64,
    /// Of these, paid (also if money was given back later).
    pub paid: u64,
    /// Of the paid, those that an earlier attempt had failed for.
    pub recovered: u64,
    /// Given up.
    pub uncollectible: u64,
    /// Accepted by `PortOne` and not decided.
    pub pending: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Waiting for a retry or a new method.
    pub failed: u64,
    /// Opened or under way.
    pub open: u64,
    /// No longer owed.
    pub void: u64,
    /// Parked for a person.
    pub quarantined: u64,
    /// What was owed, by currency, in minor units.
    pub owed: BTreeMap<&'static str, i64>,
    /// What was collected, by currency, in minor units.
    pub collected: BTreeMap<&'static str, i64>,
}

impl Books {
    /// Adds the invoices up.
    pub fn close<'a>(lines: impl IntoIterator<Item = &'a BookLine>) -> Self {
        let mut books = Self::default();
        for line in lines.into_iter().filter(|line| !line.superseded) {
            let code = line.amount.currency().code();
            books.due += 1;
            *books.owed.entry(code).or_default() += line.amount.minor();
            books.quarantined += u64::from(line.quarantined);
            match line.status.as_str() {
                _ if is_paid(line) => {
                    books.paid += 1;
                    books.recovered += u64::from(line.attempts > 1);
                    *books.collected.entry(code).or_default() += line.amount.minor();
                }
                "uncollectible" => books.uncollectible += 1,
                "pending" => books.pending += 1,
                "unknown" => books.unknown += 1,
                "failed" => books.failed += 1,
                "void" => books.void += 1,
                _ => books.open += 1,
            }
        }
        books
    }

    /// Whether every invoice is in exactly one of the columns.
    pub fn is_balanced(&self) -> bool {
        let columns = [self.paid, self.uncollectible, self.pending, self.unknown, self.failed, self.open, self.void];
        columns.iter().sum::<u64>() == self.due
    }
}

/// Compares the books with the ledger and with the subscriptions; each difference is a sentence.
pub fn audit(lines: &[BookLine], subscriptions: &[Subscription], ledger: &Ledger, until: Timestamp) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut approved: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for approval in &ledger.approvals {
        approved.entry(&approval.payment_id).or_default().push((approval.amount, &approval.currency));
    }
    let by_id: BTreeMap<&str, &BookLine> = lines.iter().map(|line| (line.payment_id.as_str(), line)).collect();
    for (id, approvals) in &approved {
        match by_id.get(id) {
            _ if approvals.len() > 1 => wrong.push(format!("{id} was approved {} times", approvals.len())),
            None => wrong.push(format!("{id} was approved and is no invoice of ours")),
            Some(line) => {
                let owed = (line.amount.minor(), line.amount.currency().code());
                if !is_paid(line) {
                    wrong.push(format!("{id} was approved and is {} in our books", line.status));
                }
                if approvals.first() != Some(&owed) {
                    wrong.push(format!("{id} was approved for {approvals:?}, and {owed:?} was owed"));
                }
            }
        }
    }
    for line in lines {
        if is_paid(line) && !approved.contains_key(line.payment_id.as_str()) {
            wrong.push(format!("{} is paid in our books and was never approved", line.payment_id));
        }
        if line.declines > billing_core::dunning::MAX_DECLINES {
            wrong.push(format!("{} was declined {} times", line.payment_id, line.declines));
        }
    }
    wrong.extend(charged_twice(lines));
    wrong.extend(forgotten(lines, subscriptions, until));
    wrong
}

fn is_paid(line: &BookLine) -> bool {
    matches!(line.status.as_str(), "paid" | "partially_refunded" | "refunded")
}

/// No subscription may have two paid invoices for one period, whatever their names.
fn charged_twice(lines: &[BookLine]) -> Vec<String> {
    let mut paid: BTreeMap<(&str, Period), u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| is_paid(line)) {
        *paid.entry((line.subscription.id.as_str(), line.period)).or_default() += 1;
    }
    let twice = paid.iter().filter(|(_, count)| **count > 1);
    twice.map(|((id, period), count)| format!("{id} paid {count} times for {period}")).collect()
}

/// A subscription that still owes for a period that was due and has neither an invoice nor a reason.
fn forgotten(lines: &[BookLine], subscriptions: &[Subscription], until: Timestamp) -> Vec<String> {
    let mut billed: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.superseded) {
        *billed.entry(line.subscription.id.as_str()).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for subscription in subscriptions {
        let id = subscription.key.id.as_str();
        if let State::Active { next: Some(period) } = &subscription.state {
            if period.due_at() < until && !subscription.cancel_at_period_end {
                wrong.push(format!("{id} owes for {period} since {} and was forgotten", period.due_at()));
            }
            let expected = periods_between(first_period(subscription), *period);
            let has = billed.get(id).copied().unwrap_or(0);
            if has != expected {
                wrong.push(format!("{id} should have {expected} invoices and has {has}"));
            }
        }
    }
    wrong
}

fn first_period(subscription: &Subscription) -> Period {
    match subscription.trial_end {
        Some(end) => Period::first(subscription.started, Some(end)),
        None => Period::starting(billing_core::calendar::date_at(subscription.started)).next(),
    }
}

fn periods_between(first: Period, next: Period) -> u64 {
    let mut period = first;
    let mut count = 0;
    while period < next {
        period = period.next();
        count += 1;
    }
    count
}

/// A sum in minor units as people write it.
pub fn shown(minor: i64, code: &str) -> String {
    let money = Currency::from_code(code).map(|currency| billing_core::money::Money::new(minor, currency));
    match money {
        Some(Ok(money)) => money.to_string(),
        _ => format!("{minor} {code}"),
    }
}
