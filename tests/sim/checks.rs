//! The promises, checked against `PortOne`'s own ledger when a world has come to rest.

use super::people::{Owes, days_of, december, email_of, is_pending};
use super::portone::{Sent, Verdict};
use super::terms::terms;
use super::world::World;
use billing_core::Timestamp;
use billing_core::books::Column;
use billing_core::calendar::Period;
use billing_core::dunning::MAX_DECLINES;
use billing_core::event::{Event, EventKey, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::{Attempt, Invoice, Outcome, Part, State};
use billing_core::money::{Currency, Money};
use billing_core::notice::NoticeBody;
use billing_core::refund::RefundOutcome;
use billing_core::subscription::{self, Subscription};
use billing_flows::refund::RefundAnswer;
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// How far apart the times of one thing may lie that two machines wrote down.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);

/// What a world came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Periods that were owed for.
    pub due: u64,
    /// Of these, paid.
    pub paid: u64,
    /// Given up.
    pub uncollectible: u64,
    /// No longer owed.
    pub void: u64,
    /// Undecided at `PortOne`.
    pub pending: u64,
    /// Parked for a person.
    pub parked: u64,
    /// Upgrades that were paid.
    pub upgrades: u64,
    /// Upgrades that came to nothing.
    pub no_upgrades: u64,
    /// Invoices of December that are paid, uncollectible and parked.
    pub closed: (u64, u64, u64),
    /// Approvals in the ledger.
    pub approvals: u64,
    /// Charges that were sent.
    pub sent: u64,
    /// Mails.
    pub mails: u64,
    /// Mails that repeat one, each because a notifier was disturbed.
    pub repeats: u64,
}

/// Checks everything, and reports what does not hold to the world's context.
pub fn check(world: &World, owes: &[Owes], until: Timestamp) -> Tally {
    let invoices = world.tables.rows.all_invoices();
    let mut tally = Tally::default();
    once(world, &mut tally);
    attempts(world);
    let unpaid = owed(world, owes, until, &invoices, &mut tally);
    balance(world, &invoices, &unpaid, &tally);
    upgrades(world, &invoices, &mut tally);
    terms(world, owes, &invoices);
    ledger(world, &invoices);
    refunds(world, &invoices);
    tried(world, &invoices);
    mails(world, &invoices, &mut tally);
    letters(world, &invoices);
    replay(world, &invoices);
    closed(world, &tally);
    if !world.is_at_rest() {
        world.cx.violation("something is still waiting to be delivered".to_owned());
    }
    tally
}

/// What is charged: of one customer a plan in a month; an upgrade within it has a payment id of its own, and is tried once.
fn what(sent: &Sent) -> (String, u32) {
    if sent.order_name.ends_with("변경") || sent.order_name.ends_with("upgrade") {
        return (format!("{} ({})", sent.order_name, sent.payment_id), 1);
    }
    (sent.order_name.clone(), MAX_DECLINES)
}

/// At most one approval for what a customer owes for.
fn once(world: &World, tally: &mut Tally) {
    let mut seen = BTreeMap::new();
    for approval in world.portone.approvals() {
        tally.approvals += 1;
        let count = seen.entry((approval.sent.user_id.clone(), what(&approval.sent).0)).or_insert(0);
        *count += 1;
        if *count == 2 {
            world.cx.violation(format!("{} was charged twice for {}", approval.sent.user_id, approval.sent.order_name));
        }
    }
    tally.sent = world.portone.sent().len() as u64;
}

/// Never more than four decided attempts, and one of an upgrade; never a dead card again; never while banks are down.
fn attempts(world: &World) {
    let mut decided: BTreeMap<_, u32> = BTreeMap::new();
    let mut dead = BTreeSet::new();
    for decision in world.portone.decided() {
        let (name, most) = what(&decision.sent);
        let what = (decision.sent.user_id.clone(), name);
        let count = decided.entry(what.clone()).or_default();
        *count += 1;
        if *count == most + 1 {
            world.cx.violation(format!("{} was tried more than {most} times for {}", what.0, what.1));
        }
        let card = (what, decision.sent.billing_key.clone());
        if dead.contains(&card) {
            world.cx.violation(format!("{}: a stolen card was charged again", decision.sent.payment_id));
        }
        if decision.verdict == Verdict::Hard {
            dead.insert(card);
        }
    }
    for (sent, at) in world.portone.sent() {
        let time = at.to_zoned(billing_core::calendar::seoul()).time();
        // A minute's grace for clocks that differ.
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        if !(29..=23 * 60 + 30).contains(&minute) {
            world.cx.violation(format!("{} was charged at {time}, while banks are down", sent.payment_id));
        }
    }
}

/// Sums of money, by currency: in minor units.
type Sums = BTreeMap<Currency, i64>;

/// What was billed, and what of it no money came for.
#[derive(Debug, Default)]
struct Unpaid {
    billed: Sums,
    unpaid: Sums,
}

fn add(sums: &mut Sums, money: Money) {
    *sums.entry(money.currency()).or_default() += money.minor();
}

/// Every period that fell due has come to an end, and costs what it must.
fn owed(world: &World, owes: &[Owes], until: Timestamp, invoices: &[Invoice], tally: &mut Tally) -> Unpaid {
    let cx = &world.cx;
    let mut sums = Unpaid::default();
    let subscriptions = world.tables.rows.all_subscriptions();
    let mut by_place: BTreeMap<_, Vec<&Invoice>> = BTreeMap::new();
    let periods = invoices.iter().filter(|invoice| invoice.part == Part::Period);
    for invoice in periods.filter(|invoice| invoice.superseded_by.is_none()) {
        by_place.entry((&invoice.subscription, invoice.period)).or_default().push(invoice);
    }
    for person in owes {
        let Some(subscription) = subscriptions.iter().find(|row| row.key == person.key) else {
            cx.violation(format!("the subscription {} is gone", person.key.id));
            continue;
        };
        // No table is believed that its customer wished it to end.
        let was_canceled =
            matches!(subscription.state, subscription::State::Canceled { .. }) && world.is_to_end(&person.key);
        let pending =
            invoices.iter().any(|it| it.subscription == person.key && is_pending(&world.portone, &it.payment_id));
        let mut is_parked = false;
        let mut period = person.first;
        let mut ended = false;
        while period.due_at() <= until && !ended && !is_parked {
            tally.due += 1;
            let found = by_place.get(&(&person.key, period)).map(Vec::as_slice).unwrap_or_default();
            match found {
                [] if was_canceled => {
                    tally.void += 1;
                    ended = true;
                }
                // What is owed next is not billed before what was is decided.
                [] if pending => tally.pending += 1,
                [] => cx.violation(format!("{} was forgotten: no invoice for {period}", person.key.id)),
                [invoice] => {
                    add(&mut sums.billed, invoice.amount);
                    ended = one(world, (person, subscription), period, invoice, tally);
                    if invoice.quarantine.is_some() || !is_paid(invoice) {
                        add(&mut sums.unpaid, invoice.amount);
                    }
                    // What is parked when the next period is owed already does not keep that from being billed.
                    is_parked |= invoice.quarantine.is_some() && !by_place.contains_key(&(&person.key, period.next()));
                }
                _ => cx.violation(format!("{} has {} invoices for {period}", person.key.id, found.len())),
            }
            period = period.next();
        }
        if !is_parked && !pending && subscription.due_at().is_some_and(|at| at <= until) {
            cx.violation(format!("{} is still due ({:?})", person.key.id, subscription.state));
        }
    }
    sums
}

/// What was due is what `PortOne` approved, and what was given up, is no longer owed, is pending, or is parked: in number, and to the won.
fn balance(world: &World, invoices: &[Invoice], books: &Unpaid, tally: &Tally) {
    let cx = &world.cx;
    // What was approved for an upgrade is no part of what fell due; what is parked is a person's.
    let set_aside: BTreeSet<&PaymentId> = invoices
        .iter()
        .filter(|invoice| invoice.part != Part::Period || invoice.quarantine.is_some())
        .map(|invoice| &invoice.payment_id)
        .collect();
    let (mut count, mut sums) = (0, books.unpaid.clone());
    for approval in world.portone.approvals() {
        if !set_aside.contains(&approval.sent.payment_id) {
            count += 1;
            add(&mut sums, approval.sent.amount);
        }
    }
    let all = count + tally.uncollectible + tally.void + tally.pending + tally.parked;
    if tally.due != all {
        cx.violation(format!("the books do not balance: {} periods were due, {count} approved: {tally:?}", tally.due));
    }
    let currencies: BTreeSet<&Currency> = books.billed.keys().chain(sums.keys()).collect();
    for currency in currencies {
        let sum = |sums: &Sums| sums.get(currency).copied().unwrap_or_default();
        let (due, parts) = (sum(&books.billed), sum(&sums));
        if due != parts {
            cx.violation(format!("the books do not balance: {due} {currency:?} were due, and the parts are {parts}"));
        }
    }
}

/// Whether nothing more can be owed after this invoice.
fn one(world: &World, of: (&Owes, &Subscription), period: Period, invoice: &Invoice, tally: &mut Tally) -> bool {
    let (cx, (person, subscription)) = (&world.cx, of);
    let (days, of) = days_of(period);
    let may: Vec<i64> = person.wishes.iter().map(|wish| person.monthly(*wish) * days / of).collect();
    if !may.contains(&invoice.amount.minor()) || invoice.amount.currency() != person.currency {
        cx.violation(format!("{} is for {} and must be for one of {may:?}", invoice.payment_id, invoice.amount));
    }
    let in_books = u64::from(period.month() == december().month());
    if invoice.quarantine.is_some() {
        parked(world, invoice);
        tally.parked += 1;
        tally.closed.2 += in_books;
        return false;
    }
    match &invoice.state {
        State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. } => {
            tally.paid += 1;
            tally.closed.0 += in_books;
            false
        }
        State::Uncollectible { .. } => {
            given_up(world, subscription, invoice);
            tally.uncollectible += 1;
            tally.closed.1 += in_books;
            true
        }
        State::Void { .. } => {
            if !world.is_to_end(&person.key) {
                cx.violation(format!("{} is void, and its customer did not cancel", invoice.payment_id));
            }
            tally.void += 1;
            true
        }
        State::Pending { .. }
        | State::Unknown { .. }
        | State::Charging { .. }
        | State::Open { .. }
        | State::Failed { .. } => {
            if is_pending(&world.portone, &invoice.payment_id) {
                tally.pending += 1;
            } else {
                cx.violation(format!(
                    "{} of {} was forgotten: it is still {}",
                    invoice.payment_id,
                    person.key.id,
                    invoice.state.status()
                ));
            }
            false
        }
    }
}

/// Something is parked only where money moved that was not asked for.
fn parked(world: &World, invoice: &Invoice) {
    let id = &invoice.payment_id;
    let approvals = world.portone.approvals();
    let moved_other = approvals.iter().any(|it| it.sent.payment_id == *id && it.sent.amount != invoice.amount);
    if !world.portone.is_falsified(id) || !moved_other {
        world.cx.violation(format!("{id} is parked ({:?}), and PortOne contradicts nothing", invoice.quarantine));
    }
}

/// Something is given up only where a PG declined it four times, or where what the subscription is to be charged with can never be charged:
/// its card is stolen, or its billing key is gone. Whoever has a new method meanwhile is not given up for the old one.
fn given_up(world: &World, subscription: &Subscription, invoice: &Invoice) {
    let is_same =
        |sent: &Sent| (&sent.user_id, &sent.order_name) == (&invoice.subscription.user_id, &invoice.order_name);
    let decided = world.portone.decided();
    let declines: Vec<_> = decided.iter().filter(|it| is_same(&it.sent) && is_decline(it.verdict)).collect();
    let turned_away = world.portone.turned_away().iter().filter(|sent| is_same(sent)).count();
    let tries = u32::try_from(declines.len() + turned_away).unwrap_or(u32::MAX);
    let is_dead = match &subscription.method {
        Some(method) => {
            let key = &method.billing_key;
            let is_stolen = declines.iter().any(|it| it.verdict == Verdict::Hard && it.sent.billing_key == *key);
            is_stolen || !world.portone.is_issued(key)
        }
        None => world.portone.has_deleted_key(&invoice.subscription.user_id),
    };
    if tries < MAX_DECLINES && !is_dead {
        let (id, method) = (&invoice.payment_id, if subscription.method.is_some() { "a" } else { "no" });
        world
            .cx
            .violation(format!("{id} was given up after {tries} declines, with {method} method that can be charged"));
    }
}

fn is_decline(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Soft | Verdict::Hard | Verdict::PendingThenFailed(_))
}

/// Every upgrade was paid or came to nothing, unless `PortOne` has not decided.
fn upgrades(world: &World, invoices: &[Invoice], tally: &mut Tally) {
    for invoice in invoices.iter().filter(|invoice| invoice.part != Part::Period) {
        let in_books = u64::from(invoice.period.month() == december().month());
        let id = &invoice.payment_id;
        if invoice.quarantine.is_some() {
            parked(world, invoice);
            tally.closed.2 += in_books;
        } else if is_paid(invoice) {
            tally.upgrades += 1;
            tally.closed.0 += in_books;
        } else if matches!(invoice.state, State::Void { .. }) {
            tally.no_upgrades += 1;
        } else if !is_pending(&world.portone, id) {
            let is = invoice.state.status();
            world.cx.violation(format!("{id} of {} was forgotten: it is still {is}", invoice.subscription.id));
        }
        if invoice.superseded_by.is_some() || invoice.attempts.len() > 1 {
            world.cx.violation(format!("{id} was tried again, and its customer wished for it once"));
        }
    }
}

/// What the ledger says and what the invoices say is the same, to the won.
fn ledger(world: &World, invoices: &[Invoice]) {
    let cx = &world.cx;
    let approvals = world.portone.approvals();
    let by_id: BTreeMap<&PaymentId, &Invoice> = invoices.iter().map(|invoice| (&invoice.payment_id, invoice)).collect();
    let mut paid_there = BTreeSet::new();
    for approval in &approvals {
        let id = &approval.sent.payment_id;
        paid_there.insert(id.clone());
        let Some(invoice) = by_id.get(id) else {
            cx.violation(format!("{id} was charged, and there is no such invoice"));
            continue;
        };
        if invoice.quarantine.is_some() {
            continue;
        }
        if !is_paid(invoice) {
            cx.violation(format!("{id} was charged, and our books call it {}", invoice.state.status()));
        }
        if approval.sent.amount != invoice.amount {
            cx.violation(format!("{id} was charged {} and owed {}", approval.sent.amount, invoice.amount));
        }
    }
    let refunds = world.portone.refunds();
    for invoice in invoices.iter().filter(|invoice| invoice.quarantine.is_none()) {
        let id = &invoice.payment_id;
        if is_paid(invoice) && !paid_there.contains(id) {
            cx.violation(format!("our books call {id} paid, and nothing was ever charged"));
        }
        let ours = match &invoice.state {
            State::PartiallyRefunded { refunded, .. } => refunded.minor(),
            State::Refunded { .. } => invoice.amount.minor(),
            _ => 0,
        };
        let theirs = refunds.get(id).copied().unwrap_or(0);
        if ours != theirs {
            cx.violation(format!("{theirs} of {id} was given back, and our books say {ours}"));
        }
    }
}

/// What each wish for a refund gave back is what its caller was told, once; no refund is left undecided.
fn refunds(world: &World, invoices: &[Invoice]) {
    let cx = &world.cx;
    let mut given: BTreeMap<(PaymentId, u32), Vec<i64>> = BTreeMap::new();
    for wished in world.portone.given() {
        given.entry((wished.payment_id, wished.number)).or_default().push(wished.amount);
    }
    for ((id, number), amounts) in given.iter().filter(|(_, amounts)| amounts.len() > 1) {
        cx.violation(format!("{id} was refunded {} times by refund {number}", amounts.len()));
    }
    let told = world.refunded();
    for invoice in invoices.iter().filter(|invoice| invoice.quarantine.is_none()) {
        let id = &invoice.payment_id;
        let mut keys = BTreeSet::new();
        for refund in &invoice.refunds {
            let moved = given.remove(&(id.clone(), refund.number)).unwrap_or_default();
            let is_done = refund.outcome == Some(RefundOutcome::Succeeded);
            if refund.is_open() {
                cx.violation(format!(
                    "refund {} of {id} was forgotten: it is still {:?}",
                    refund.number, refund.outcome
                ));
            } else if is_done != moved.contains(&refund.amount.minor()) {
                cx.violation(format!("refund {} of {id} is {:?} and moved {moved:?}", refund.number, refund.outcome));
            }
            if refund.key.as_ref().is_some_and(|key| !keys.insert(key.as_str())) {
                cx.violation(format!("{id} was refunded more than once for one wish ({:?})", refund.key));
            }
            for told in
                told.iter().filter(|it| it.payment_id == *id && refund.key.is_some() && it.wish.key == refund.key)
            {
                // What was proved never to have arrived, as far as anything can be, may arrive all the same.
                let is_right = match &told.answer {
                    RefundAnswer::Succeeded { .. } => is_done,
                    RefundAnswer::Failed { .. } | RefundAnswer::Refused { .. } => !is_done,
                    // And what could not be given back yet is given back to a caller who repeats the wish once there is something.
                    RefundAnswer::Lost | RefundAnswer::No(_) | RefundAnswer::NoSuchPayment => true,
                    RefundAnswer::Requested | RefundAnswer::Unknown | RefundAnswer::KeyReused => false,
                };
                if !is_right {
                    cx.violation(format!(
                        "refund {} of {id} was answered {:?} and is {:?}",
                        refund.number, told.answer, refund.outcome
                    ));
                }
            }
        }
        if let Some(((_, number), _)) = given.iter().find(|((of, _), _)| of == id) {
            cx.violation(format!("refund {number} of {id} is not in our books"));
        }
    }
}

fn is_paid(invoice: &Invoice) -> bool {
    matches!(invoice.state, State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. })
}

/// What our books say of each attempt, `PortOne` says of the same attempt, and its customer was told once.
fn tried(world: &World, invoices: &[Invoice]) {
    let cx = &world.cx;
    let approved: BTreeSet<String> = world.portone.approvals().into_iter().map(|it| it.sent.key).collect();
    let decided = world.portone.decided().into_iter().filter(|it| is_decline(it.verdict)).map(|it| it.sent.key);
    let declined: BTreeSet<String> =
        decided.chain(world.portone.turned_away().into_iter().map(|sent| sent.key)).collect();
    // What is carried on under another payment id keeps the attempts that were made under the one before.
    let mut places: BTreeMap<_, Vec<&Invoice>> = BTreeMap::new();
    for invoice in invoices {
        let place = (&invoice.subscription, invoice.period, invoice.part);
        places.entry(place).or_default().push(invoice);
    }
    let log = world.log();
    for revisions in places.values() {
        let Some(newest) = revisions.iter().find(|invoice| invoice.superseded_by.is_none()) else { continue };
        let ids: Vec<&PaymentId> = revisions.iter().map(|invoice| &invoice.payment_id).collect();
        let is_in =
            |keys: &BTreeSet<String>, attempt: u32| ids.iter().any(|id| keys.contains(&id.idempotency_key(attempt)));
        for attempt in &newest.attempts {
            let (is_right, outcome) = match &attempt.outcome {
                Some(Outcome::Declined(_)) => (is_in(&declined, attempt.number), "declined"),
                Some(Outcome::Paid) => (is_in(&approved, attempt.number), "paid"),
                // The others decide nothing; what is left undecided is told elsewhere.
                Some(Outcome::Pending | Outcome::Unknown | Outcome::Refused(_) | Outcome::Lost) | None => (true, ""),
            };
            // Another sum may be another's attempt.
            if !is_right && newest.quarantine.is_none() {
                let (id, number) = (&newest.payment_id, attempt.number);
                cx.violation(format!("attempt {number} of {id} is {outcome}, and PortOne says otherwise"));
            }
        }
        told_once(world, newest, &ids, &log);
    }
}

/// Each decline of an attempt has one event, and each payment has one; an event of an attempt has its outcome.
fn told_once(world: &World, invoice: &Invoice, ids: &[&PaymentId], log: &[Event]) {
    let own = || log.iter().filter(|event| ids.iter().any(|id| id.as_str() == event.subject));
    // Without a method nothing is attempted, and what is given up in the end was attempted before.
    let is_of_attempt = |event: &&Event| matches!(event.before.as_deref(), Some("charging" | "unknown" | "pending"));
    let is_failure = |event: &&Event| matches!(event.kind, EventKind::PaymentFailed | EventKind::InvoiceUncollectible);
    let failures: Vec<Timestamp> = own().filter(is_of_attempt).filter(is_failure).map(|event| event.at).collect();
    let is_declined = |attempt: &&Attempt| matches!(attempt.outcome, Some(Outcome::Declined(_)));
    let declines: Vec<Timestamp> =
        invoice.attempts.iter().filter(is_declined).filter_map(|attempt| attempt.ended_at).collect();
    let is_at = |(event, ended): (&Timestamp, &Timestamp)| event.duration_since(*ended).abs() <= CLOCKS;
    if failures.len() != declines.len() || !failures.iter().zip(&declines).all(is_at) {
        world.cx.violation(format!(
            "{}: attempts were declined at {declines:?}, and failures told of at {failures:?}",
            invoice.payment_id
        ));
    }
    let paid = own().filter(|event| event.kind == EventKind::InvoicePaid).count();
    let attempts = invoice.attempts.iter().filter(|attempt| attempt.outcome == Some(Outcome::Paid)).count();
    if paid != attempts {
        world.cx.violation(format!("{}: {attempts} attempts were paid, and {paid} told of", invoice.payment_id));
    }
}

/// One mail for an event, no mail missing, none that contradicts another.
fn mails(world: &World, invoices: &[Invoice], tally: &mut Tally) {
    let cx = &world.cx;
    let mut senders: BTreeMap<EventKey, Vec<u64>> = BTreeMap::new();
    for mail in world.post.sent() {
        tally.mails += 1;
        senders.entry(mail.event).or_default().push(mail.by);
    }
    let mut again: BTreeMap<u64, u64> = BTreeMap::new();
    for (event, senders) in &senders {
        for (earlier, _) in senders.iter().zip(senders.iter().skip(1)) {
            tally.repeats += 1;
            *again.entry(*earlier).or_default() += 1;
            if cx.disturbances(*earlier) == 0 {
                cx.violation(format!("the mail of {} {} was sent twice for no reason", event.subject, event.id));
            }
        }
    }
    for (notifier, count) in again {
        let may = cx.disturbances(notifier);
        if count > may {
            cx.violation(format!("{count} mails of notifier {notifier} were sent again, and {may} may have been"));
        }
    }
    let declines = world.portone.decided();
    let events = world.tables.rows.all_events();
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    let mut receipts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut no_upgrades: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        if event.notice.is_some() && !senders.contains_key(&event.key()) {
            cx.violation(format!("nobody was told of {} {} ({})", event.subject, event.id, event.kind.name()));
        }
        match event.notice.as_ref().map(|notice| &notice.body) {
            Some(NoticeBody::PaymentFailed { .. }) if !is_keyless(event) => {
                *failures.entry(&event.subject).or_default() += 1;
            }
            Some(NoticeBody::UpgradeFailed { .. }) if !is_keyless(event) => {
                *no_upgrades.entry(&event.subject).or_default() += 1;
            }
            Some(NoticeBody::Receipt { .. }) => *receipts.entry(&event.subject).or_default() += 1,
            _ => {}
        }
    }
    for invoice in invoices {
        let id = invoice.payment_id.as_str();
        let told = failures.get(id).copied().unwrap_or(0);
        let told = told + no_upgrades.get(id).copied().unwrap_or(0);
        let owner = (&invoice.subscription.user_id, &invoice.order_name);
        let real = declines
            .iter()
            .filter(|it| (&it.sent.user_id, &it.sent.order_name) == owner)
            .filter(|it| invoice.part == Part::Period || it.sent.payment_id == invoice.payment_id)
            .filter(|it| is_decline(it.verdict))
            .count();
        if told > real {
            cx.violation(format!("{id}: {told} mails say that a payment failed, and {real} did"));
        }
        let receipts = receipts.get(id).copied().unwrap_or(0);
        if receipts > 1 {
            cx.violation(format!("{id} has more than one receipt"));
        }
        if invoice.quarantine.is_none() && is_paid(invoice) != (receipts > 0) {
            cx.violation(format!("{id} is {} and has {receipts} receipts", invoice.state.status()));
        }
    }
}

/// Each mail went to its customer, and names what its customer owes, paid or got back; what was told to be given back was.
fn letters(world: &World, invoices: &[Invoice]) {
    let cx = &world.cx;
    let events = world.tables.rows.all_events();
    let by_key: BTreeMap<EventKey, &Event> = events.iter().map(|event| (event.key(), event)).collect();
    let by_id: BTreeMap<&str, &Invoice> =
        invoices.iter().map(|invoice| (invoice.payment_id.as_str(), invoice)).collect();
    for mail in world.post.sent() {
        let subject = &mail.event.subject;
        let invoice = by_id.get(subject.as_str());
        let owner = invoice.map_or(subject.as_str(), |invoice| invoice.subscription.user_id.as_str());
        if mail.to != email_of(owner) {
            cx.violation(format!("the mail of {subject} went to {} and not to {}", mail.to, email_of(owner)));
        }
        let Some(notice) = by_key.get(&mail.event).and_then(|event| event.notice.as_ref()) else {
            cx.violation(format!("a mail tells of {subject} {}, which has nothing to tell", mail.event.id));
            continue;
        };
        let says = |money: Money| mail.text.contains(&money.to_string());
        let is_right = match (&notice.body, invoice) {
            (
                NoticeBody::Receipt { .. } | NoticeBody::PaymentFailed { .. } | NoticeBody::UpgradeFailed { .. },
                Some(invoice),
            ) => says(invoice.amount),
            (NoticeBody::SubscriptionEnded { unpaid, .. }, Some(invoice)) => unpaid.is_none() || says(invoice.amount),
            (NoticeBody::Refunded { refunded, .. }, Some(invoice)) => says(invoice.amount) && says(*refunded),
            // What is about a subscription or a method names no sum of an invoice; what was bought or given back is about an invoice.
            (body, None) => !matches!(body, NoticeBody::Receipt { .. } | NoticeBody::Refunded { .. }),
            (_, Some(_)) => false,
        };
        if !is_right {
            cx.violation(format!("the mail of {subject} {} does not say how much: {}", mail.event.id, mail.text));
        }
    }
    let refunds = world.portone.refunds();
    for invoice in invoices.iter().filter(|invoice| invoice.quarantine.is_none()) {
        let id = &invoice.payment_id;
        let own = events.iter().filter(|event| event.subject == id.as_str());
        let told: i64 = own
            .filter_map(|event| match event.notice.as_ref().map(|notice| &notice.body) {
                Some(NoticeBody::Refunded { refunded, .. }) => Some(refunded.minor()),
                _ => None,
            })
            .sum();
        let given = refunds.get(id).copied().unwrap_or_default();
        if told != given {
            cx.violation(format!("{given} of {id} was given back, and its customer was told of {told}"));
        }
    }
}

/// Whether a failure is that the billing key is gone: no PG is asked then.
fn is_keyless(event: &Event) -> bool {
    event.detail.as_ref().is_some_and(|code| code.contains("BILLING_KEY"))
}

/// The events of each subject, one after the other, lead to what the tables say.
fn replay(world: &World, invoices: &[Invoice]) {
    let cx = &world.cx;
    let events = world.tables.rows.all_events();
    let mut by_subject: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &events {
        by_subject.entry(&event.subject).or_default().push(event);
    }
    for invoice in invoices {
        let id = invoice.payment_id.as_str();
        let mut status: Option<&str> = None;
        let mut is_paid = false;
        for event in by_subject.get(id).map(Vec::as_slice).unwrap_or_default() {
            let (Some(before), Some(after)) = (event.before.as_deref(), event.after.as_deref()) else { continue };
            // A claim is no event: what may be attempted becomes `charging` without one.
            let follows = status == Some(before)
                || (before == "charging" && matches!(status, None | Some("open" | "failed" | "unknown")))
                || (status.is_none() && before == "open");
            if !follows {
                cx.violation(format!("{id}: {} follows {status:?} but says {before}", event.kind.name()));
            }
            let may_follow = matches!(
                event.kind,
                EventKind::InvoiceRefunded
                    | EventKind::RefundRequested
                    | EventKind::RefundFailed
                    | EventKind::InvoiceQuarantined
            );
            if is_paid && !may_follow {
                cx.violation(format!("{id}: {} after it was paid", event.kind.name()));
            }
            is_paid |= event.kind == EventKind::InvoicePaid;
            status = Some(after);
        }
        let is = invoice.state.status();
        let matches = status == Some(is)
            || (is == "charging" && matches!(status, None | Some("open" | "failed" | "unknown")))
            || (matches!(is, "open" | "void") && status.is_none());
        if !matches {
            cx.violation(format!("{id} is {is}, and its events lead to {status:?}"));
        }
    }
    let log = world.log();
    for subscription in world.tables.rows.all_subscriptions() {
        // An upgrade that is not paid leaves its subscription as it was.
        let of_periods = invoices.iter().filter(|invoice| invoice.part == Part::Period);
        let of_invoices = of_periods.filter(|invoice| invoice.subscription == subscription.key);
        let periods: BTreeSet<&str> = of_invoices.map(|invoice| invoice.payment_id.as_str()).collect();
        let (id, is) = (subscription.key.id.as_str(), subscription.state.status());
        match replayed(&log, id, &periods) {
            Ok(told) if told == is => {}
            Ok(told) => cx.violation(format!("{id} is {is}, and its events lead to {told}")),
            Err(why) => cx.violation(format!("{id}: {why}")),
        }
    }
}

/// The books as they were last closed say the same, and say that they balance.
fn closed(world: &World, tally: &Tally) {
    let [books] = &world.books()[..] else {
        world.cx.violation("the books were not closed".to_owned());
        return;
    };
    let count = |column: Column| -> u64 {
        books.books.accounts.values().filter_map(|account| account.columns.get(&column)).map(|sum| sum.count).sum()
    };
    let said = (count(Column::Paid), count(Column::Uncollectible), count(Column::Parked));
    if !books.balanced || said != tally.closed {
        world.cx.violation(format!("the books were closed wrongly: {:?} {said:?} {:?}", tally, books.wrong));
    }
}

/// What a subscription's events, and those of its periods' invoices, make of it, one after the other in the order they were written.
fn replayed(log: &[Event], subscription: &str, periods: &BTreeSet<&str>) -> Result<String, String> {
    let mut status = "active".to_owned();
    for event in log {
        if event.subject == subscription {
            if event.before.as_deref().is_some_and(|before| before != status) {
                return Err(format!("{} follows {status} but says {:?}", event.kind.name(), event.before));
            }
            status = event.after.clone().unwrap_or(status);
        } else if periods.contains(event.subject.as_str()) {
            let becomes = match (event.kind, event.before.as_deref(), event.after.as_deref()) {
                // One that had ended or moved on before says so.
                (EventKind::InvoicePaid, ..) if event.detail.is_none() => "active",
                (EventKind::PaymentFailed, _, Some("failed")) => "past_due",
                // What fails silently is no longer owed, or is parked.
                (EventKind::PaymentFailed, _, Some("void")) if event.notice.is_some() => "canceled",
                (EventKind::InvoiceUncollectible, ..) if event.notice.is_some() => "expired",
                (EventKind::InvoiceQuarantined, before, _) if !was_paid(before) && !has_ended(&status) => "past_due",
                _ => continue,
            };
            becomes.clone_into(&mut status);
        }
    }
    Ok(status)
}

fn was_paid(before: Option<&str>) -> bool {
    matches!(before, Some("paid" | "partially_refunded" | "refunded"))
}

fn has_ended(status: &str) -> bool {
    matches!(status, "canceled" | "expired")
}
