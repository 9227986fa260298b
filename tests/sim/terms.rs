//! What was had and what was paid for it, reckoned a second time: from what each customer wished and had from day to day, and from what
//! `PortOne` approved. No weight and no amount of our own tables has a part in it.

use super::people::{Owes, Wish, days_of, is_pending};
use super::portone::Approval;
use super::watch::Had;
use super::world::World;
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_core::id::PaymentId;
use billing_core::invoice::{Invoice, Part};
use billing_core::subscription::Subscription;
use jiff::SignedDuration;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

/// How far a function's clock is off, at most: around midnight what it calls today is not what is.
const CLOCK_ERROR: SignedDuration = SignedDuration::from_secs(20);

/// The month that was billed last: what its days weigh (minor units × days), and what `PortOne` approved for it.
struct Month {
    period: Period,
    weight: i64,
    approved: i64,
}

impl Month {
    /// Whether what was approved is the price of the days, less than a minor unit off.
    fn is_right(&self) -> bool {
        let (_, days) = days_of(self.period);
        (self.weight - self.approved * days).abs() < days
    }
}

/// No seat is had that was not paid for, and none is paid for that is not had; what a customer was told they have they have; nothing is
/// under way.
pub fn terms(world: &World, owes: &[Owes], invoices: &[Invoice]) {
    let mut first_sent: BTreeMap<PaymentId, Timestamp> = BTreeMap::new();
    for (sent, at) in world.portone.sent() {
        first_sent.entry(sent.payment_id).or_insert(at);
    }
    let approvals = world.portone.approvals();
    let subscriptions = world.tables.rows.all_subscriptions();
    for person in owes {
        let own: Vec<&Invoice> = invoices.iter().filter(|invoice| invoice.subscription == person.key).collect();
        let Some(subscription) = subscriptions.iter().find(|row| row.key == person.key) else { continue };
        at_rest(world, person, subscription, &own);
        // A person settles what is parked, and what becomes of it is theirs to say.
        if own.iter().all(|invoice| invoice.quarantine.is_none()) {
            let of_person = approvals.iter().filter(|approval| approval.sent.user_id == person.key.user_id);
            paid_for(world, person, &of_person.collect::<Vec<_>>(), &first_sent);
        }
    }
}

fn at_rest(world: &World, person: &Owes, subscription: &Subscription, own: &[&Invoice]) {
    let (cx, id) = (&world.cx, &person.key.id);
    let is_undecided = own.iter().any(|it| it.part != Part::Period && is_pending(&world.portone, &it.payment_id));
    if subscription.wishes.upgrade.is_some() && !is_undecided {
        cx.violation(format!("an upgrade of {id} is still under way"));
    }
    let has: Wish = (subscription.plan, subscription.seats);
    let next = subscription.wishes.next.map_or(has, |next| (next.plan, next.seats));
    if subscription.monthly.minor() != person.monthly(has) {
        cx.violation(format!("{id} has {has:?} for {} a month", subscription.monthly));
    }
    if !person.wishes.contains(&has) || !person.wishes.contains(&next) {
        cx.violation(format!("{id} has {has:?} and then {next:?}, and nobody wished that"));
    }
    let is_over = subscription.has_ended() || subscription.cancel_at_period_end;
    if let Some(promised) = world.promised(&person.key).filter(|promised| *promised != next && !is_over) {
        cx.violation(format!("the customer of {id} was told {promised:?}, and is to have {next:?}"));
    }
}

/// Walks through what was had, and pays for it from the ledger.
fn paid_for(world: &World, person: &Owes, approvals: &[&Approval], first_sent: &BTreeMap<PaymentId, Timestamp>) {
    let (cx, id) = (&world.cx, &person.key.id);
    let mut had = person.first_wish();
    let mut month: Option<Month> = None;
    let mut used = BTreeSet::new();
    for Had { at, wish, by } in world.had(&person.key) {
        let (before, after) = (person.monthly(had), person.monthly(wish));
        let todays = [at.checked_sub(CLOCK_ERROR), at.checked_add(CLOCK_ERROR)].map(|at| at.map(calendar::date_at));
        had = wish;
        let paid = by.as_ref().filter(|invoice| is_paid_by(invoice, approvals) && !used.contains(&invoice.payment_id));
        let Some(invoice) = paid else {
            let is_of = |it: &Month, day: Date| it.period.start() <= day && day < it.period.end();
            let is_billed = month.as_ref().is_some_and(|it| todays.iter().flatten().all(|day| is_of(it, *day)));
            // What was scheduled begins with its period, also where that is not paid.
            let may_fall = by.is_some_and(|invoice| invoice.part == Part::Period);
            if is_billed && after > before {
                cx.violation(format!("{id} has {wish:?} since {at}, and nobody paid for that"));
            }
            if is_billed && after < before && !may_fall {
                cx.violation(format!("{id} has only {wish:?} since {at}, and more was paid for"));
            }
            continue;
        };
        used.insert(invoice.payment_id.clone());
        let amount = approved(&invoice.payment_id, approvals);
        let reckoned = match invoice.part {
            Part::Period => {
                let (days, _) = days_of(invoice.period);
                if after > before {
                    cx.violation(format!("{id} was billed for {wish:?} and had less before"));
                }
                Month { period: invoice.period, weight: after * days, approved: amount }
            }
            Part::Upgrade(_) => {
                let sent = first_sent.get(&invoice.payment_id).copied().unwrap_or(at);
                let (days, _) = days_of(Period::starting(calendar::date_at(sent)));
                let Some(Month { period, weight, approved }) = month else {
                    cx.violation(format!("{id} was charged for an upgrade of a period that was not paid"));
                    return;
                };
                if after <= before {
                    cx.violation(format!("{id} paid for {wish:?} and had it before"));
                }
                Month { period, weight: weight + (after - before) * days, approved: approved + amount }
            }
        };
        if !reckoned.is_right() {
            let (_, days) = days_of(reckoned.period);
            cx.violation(format!(
                "{id} was charged {} for days that cost {} with {}",
                reckoned.approved,
                reckoned.weight / days,
                invoice.payment_id
            ));
        }
        month = Some(reckoned);
    }
    for approval in approvals.iter().filter(|approval| !used.contains(&approval.sent.payment_id)) {
        cx.violation(format!("{} of {id} was paid for, and is not had", approval.sent.payment_id));
    }
}

fn is_paid_by(invoice: &Invoice, approvals: &[&Approval]) -> bool {
    invoice.state.status() == "paid" && approvals.iter().any(|it| it.sent.payment_id == invoice.payment_id)
}

fn approved(id: &PaymentId, approvals: &[&Approval]) -> i64 {
    approvals.iter().filter(|it| it.sent.payment_id == *id).map(|it| it.sent.amount.minor()).sum()
}
