//! The audit of a run: whether the books say what the simulator's own ledger says, and whether anybody was charged twice or forgotten.

use crate::portone::Ledger;
use billing_core::Timestamp;
use billing_core::books::BookLine;
use billing_core::calendar::Period;
use billing_core::subscription::{State, Subscription};
use std::collections::BTreeMap;

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
