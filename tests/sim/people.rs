//! The customers, and what they do.

use super::context::Context;
use super::portone::{About, PortOne, Verdict};
use super::world::{Asked, World, catalogue, wake};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, CardInfo, KeyStatus, MethodKind, RegisteredKey};
use billing_core::calendar::{self, Period};
use billing_core::decline::Pg;
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::refund::{CallerKey, RefundReason, RefundWish};
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::cancel::When;
use billing_flows::ports::{KeySeen, Mode};
use jiff::SignedDuration;

/// Something a customer, their bank or an operator does at a moment.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Cancels at once.
    CancelNow,
    /// Cancels at the end of the period.
    CancelLater,
    /// Takes a cancellation back.
    Resume,
    /// Wishes for a plan and so many seats, under a caller's key of this number.
    Change(PlanType, u32, u64),
    /// Wishes to pay what is owed now, under a caller's key of this number.
    Pay(u64),
    /// Deletes the billing key.
    DeleteKey,
    /// Registers a new billing key, whose charges go so; the browser comes back, or only the webhook tells.
    NewKey(Vec<Verdict>, bool),
    /// Somebody of ours gives one of so many parts back, with a key, or forgetting about it.
    GiveBack(i64, bool),
    /// The same wish comes twice at once.
    GiveBackTwice(i64),
    /// Two wishes at once, each for one of so many parts.
    GiveBackAtOnce(i64),
    /// Money is given back in the console: one of so many parts.
    Refund(i64),
    /// The bank takes money back.
    Chargeback,
    /// A dispute is opened.
    Dispute,
    /// Another sum moves than was ordered.
    OtherSum,
    /// All functions die.
    Blackout,
}

/// A customer with one subscription.
#[derive(Debug, Clone)]
pub struct Person {
    /// Which.
    pub number: u64,
    /// The plan.
    pub plan: PlanType,
    /// How many seats.
    pub seats: u32,
    /// Whether it pays in dollars, through `PayPal`.
    pub paypal: bool,
    /// The first period it owes for.
    pub first: Period,
    /// How its charges go.
    pub verdicts: Vec<Verdict>,
    /// What happens.
    pub deeds: Vec<(Timestamp, Deed)>,
}

/// A customer's subscription, and what it must cost: reckoned here a second time, so that a mistake in the rules is seen.
#[derive(Debug, Clone)]
pub struct Owes {
    /// Which.
    pub key: SubscriptionKey,
    /// The first period.
    pub first: Period,
    /// The currency.
    pub currency: Currency,
    /// What it has at first, and then everything that was ever wished for.
    pub wishes: Vec<Wish>,
}

/// A plan and so many seats.
pub type Wish = (PlanType, u32);

impl Owes {
    /// The price of a month of what is wished, in minor units.
    pub fn monthly(&self, (plan, seats): Wish) -> i64 {
        let seat = match (plan, self.currency) {
            (PlanType::Free, _) => 0,
            (PlanType::Standard, Currency::Krw) => 10_000,
            (PlanType::Standard, Currency::Usd) => 900,
            (PlanType::Pro, Currency::Krw) => 20_000,
            (PlanType::Pro, Currency::Usd) => 1_800,
        };
        seat * i64::from(seats)
    }

    /// What it had at first.
    pub fn first_wish(&self) -> Wish {
        self.wishes.first().copied().unwrap_or((PlanType::Free, 0))
    }
}

/// The days of a month that a period covers, and those of the month.
pub fn days_of(period: Period) -> (i64, i64) {
    let days = i64::from(period.start().days_in_month());
    (days + 1 - i64::from(period.start().day()), days)
}

fn billing_key(number: u64, generation: u64) -> BillingKey {
    BillingKey::new(format!("billing-key-{number:05}-{generation}"))
}

fn key_of(number: u64) -> SubscriptionKey {
    SubscriptionKey {
        user_id: UserId::new(format!("user_{number:05}")).expect("a user id"),
        id: SubscriptionId::new(format!("sub_{number:05}")).expect("a subscription id"),
    }
}

/// The address of whom a user or subscription id belongs to: both end with their number.
pub fn email_of(id: &str) -> String {
    let number = id.rsplit('_').next().unwrap_or(id);
    format!("user{}@example.com", number.trim_start_matches('0'))
}

fn address(number: u64) -> Private {
    Private::new(email_of(&format!("_{number}")))
}

fn seen(person: &Person, generation: u64, at: Timestamp) -> KeySeen {
    KeySeen {
        billing_key: billing_key(person.number, generation),
        is_issued: true,
        store_id: super::world::STORE.to_owned(),
        mode: Some(Mode::Live),
        customer_id: Some(key_of(person.number).user_id.to_string()),
        customer_name: Some(Private::new("김민수")),
        customer_email: Some(address(person.number)),
        issued_at: at,
        method: if person.paypal { MethodKind::Paypal } else { MethodKind::Card },
        card: (!person.paypal).then(|| CardInfo { last4: Some("1234".to_owned()), ..CardInfo::default() }),
        channel_key: None,
        pg: Some(pg(person)),
        issue_id: None,
    }
}

fn pg(person: &Person) -> Pg {
    if person.paypal { Pg::PayPal } else { Pg::TossPayments }
}

/// Lets people in: their rows, their keys, and what they will do.
pub fn admit(world: &World, people: &[Person]) -> Vec<Owes> {
    people.iter().map(|person| admit_one(world, person)).collect()
}

fn admit_one(world: &World, person: &Person) -> Owes {
    let (key, currency) = (key_of(person.number), if person.paypal { Currency::Usd } else { Currency::Krw });
    let monthly = catalogue().monthly(person.plan, person.seats, currency).expect("the plan is sold");
    let start = world.cx.now().checked_sub(SignedDuration::from_hours(24)).unwrap_or(world.cx.now());
    // Whoever is first billed for a part of a month had a trial before.
    let trial_end = (person.first.start().day() > 1).then(|| calendar::moment(person.first.start(), 0));
    let row = Subscription {
        key: key.clone(),
        plan: person.plan,
        seats: person.seats,
        monthly,
        method: Some(Method { billing_key: billing_key(person.number, 0), pg: pg(person) }),
        customer: Customer {
            name: Some(Private::new("김민수")),
            email: Some(address(person.number)),
            phone: Some(Private::new("010-0000-0000")),
        },
        locale: if person.number.is_multiple_of(3) { Locale::En } else { Locale::Ko },
        started: start,
        trial_end,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(person.first) },
        version: 1,
    };
    world.tables.rows.put_subscription(&row);
    let issued = seen(person, 0, start);
    world.tables.rows.put_key(&RegisteredKey {
        user_id: key.user_id.clone(),
        created_at: start,
        billing_key: issued.billing_key.clone(),
        customer_id: key.user_id.to_string(),
        method: issued.method,
        card: issued.card.clone(),
        paypal_email: None,
        is_default: true,
        status: KeyStatus::Active,
        channel_key: None,
        pg: issued.pg.clone(),
        issue_id: None,
    });
    world.portone.issue(issued, person.verdicts.clone());
    for (generation, (at, deed)) in (1..).zip(person.deeds.clone()) {
        let (person, key) = (person.clone(), key.clone());
        world.at(at, move |world| act(world, &person, &key, &deed, generation));
    }
    let later = person.deeds.iter().filter_map(|(_, deed)| match deed {
        Deed::Change(plan, seats, _) => Some((*plan, *seats)),
        _ => None,
    });
    let wishes = [(person.plan, person.seats)].into_iter().chain(later).collect();
    Owes { key, first: person.first, currency, wishes }
}

fn act(world: &World, person: &Person, key: &SubscriptionKey, deed: &Deed, generation: u64) {
    match deed {
        Deed::CancelNow => world.cancel(key.clone(), When::Now),
        Deed::CancelLater => world.cancel(key.clone(), When::PeriodEnd),
        Deed::Resume => world.resume(key.clone()),
        Deed::Change(plan, seats, number) => {
            let caller = format!("key-{}-{number}", key.user_id);
            world.change(Asked { key: key.clone(), wish: (*plan, *seats), caller }, 0);
        }
        Deed::Pay(number) => world.pay(key.clone(), format!("key-{}-{number}", key.user_id), 0),
        Deed::DeleteKey => world.portone.delete(&billing_key(person.number, 0)),
        Deed::NewKey(verdicts, comes_back) => {
            let seen = seen(person, generation, world.cx.now());
            let new = seen.billing_key.clone();
            world.cx.note(|| format!("{} registers a new key", key.user_id));
            world.portone.issue(seen, verdicts.clone());
            world.portone.tell("BillingKey.Issued", About::Key(new.clone()));
            if *comes_back {
                wake(&world.this(), 3_000, move |world| world.redirect(new));
            }
        }
        Deed::GiveBack(parts, has_key) => {
            give_back(world, &payment_of(person, key), *parts, has_key.then_some(generation));
        }
        Deed::GiveBackTwice(parts) => {
            give_back(world, &payment_of(person, key), *parts, Some(generation));
            give_back(world, &payment_of(person, key), *parts, Some(generation));
        }
        Deed::GiveBackAtOnce(parts) => {
            give_back(world, &payment_of(person, key), *parts, Some(generation));
            give_back(world, &payment_of(person, key), *parts + 1, Some(1_000 + generation));
        }
        Deed::Refund(parts) => drop(world.portone.give_back(&payment_of(person, key), *parts, false)),
        Deed::Chargeback => drop(world.portone.give_back(&payment_of(person, key), 1, true)),
        Deed::Dispute => world.portone.dispute(&payment_of(person, key)),
        Deed::OtherSum => world.portone.falsify(&payment_of(person, key)),
        Deed::Blackout => world.blackout(),
    }
}

/// A wish for one of so many parts of what was paid; for all that is left, if there is one part.
fn give_back(world: &World, id: &PaymentId, parts: i64, key: Option<u64>) {
    let invoice = world.tables.rows.all_invoices().into_iter().find(|invoice| invoice.payment_id == *id);
    let part = invoice.map(|invoice| money(invoice.amount.minor() / parts, invoice.amount.currency()));
    let wish = RefundWish {
        amount: part.filter(|_| parts > 1),
        expected: None,
        reason: RefundReason::new("요금제를 잘못 골랐어요").expect("a reason"),
        key: key.map(|number| CallerKey::new(format!("wish-{number}")).expect("a key")),
    };
    world.refund(id.clone(), wish, 0);
}

fn payment_of(person: &Person, key: &SubscriptionKey) -> PaymentId {
    PaymentId::derive(
        &StoreId::new(super::world::STORE).expect("a store id"),
        key,
        person.first,
        billing_core::invoice::Part::Period,
        0,
    )
}

/// A random person, whose bill falls due on the first of the month after `start` or a few days later.
pub fn random(cx: &Context, number: u64, first: Period, calm: Timestamp) -> Person {
    let paypal = cx.below(100) < 8;
    let late = cx.below(10) == 0;
    let first = if late {
        let day = i64::try_from(cx.below(6)).unwrap_or(0);
        Period::starting(first.start().checked_add(jiff::Span::new().days(day)).unwrap_or(first.start()))
    } else {
        first
    };
    let wishes_much = cx.below(100) < 30;
    // A month that ends soon is billed, changed and followed by another.
    let first = if wishes_much && cx.below(3) == 0 { november() } else { first };
    let due = first.due_at();
    let verdicts = if wishes_much && cx.below(2) == 0 { upgrade_verdicts(cx, paypal) } else { verdicts(cx, paypal) };
    let plan = if cx.below(4) == 0 { PlanType::Pro } else { PlanType::Standard };
    let seats = u32::try_from(1 + cx.below(20)).unwrap_or(1);
    let mut deeds = Vec::new();
    if wishes_much {
        deeds.extend(changes(cx, due, seats).into_iter().map(|(at, deed)| (at.min(calm), deed)));
    }
    if cx.below(100) < 25 {
        deeds.extend(payments(cx, due).into_iter().map(|(at, deed)| (at.min(calm), deed)));
    }
    if cx.below(100) < 30 {
        let near = offset(due, cx, 240);
        let far = offset(due, cx, 6 * 86_400);
        let at = if cx.below(2) == 0 { near } else { far };
        let spoken = match cx.below(12) {
            0 | 1 => vec![(at, Deed::CancelNow)],
            2 => vec![(at, Deed::CancelLater)],
            3 => vec![(at, Deed::DeleteKey)],
            4 => {
                vec![(at, Deed::NewKey(vec![Verdict::Approve], cx.below(2) == 0)), (later(at, 30, cx), Deed::DeleteKey)]
            }
            5 | 6 => vec![(far.max(due), Deed::NewKey(vec![Verdict::Approve], cx.below(2) == 0))],
            7 => vec![(far.max(due), Deed::Refund(1))],
            8 => vec![(far.max(due), Deed::Refund(3)), (later(far.max(due), 86_400, cx), Deed::Refund(2))],
            9 => vec![(far.max(due), Deed::Chargeback), (far.max(due), Deed::Dispute)],
            10 => vec![(later(due, 30, cx), Deed::OtherSum)],
            _ => vec![(at, Deed::NewKey(vec![Verdict::Soft, Verdict::Approve], false)), (far, Deed::CancelNow)],
        };
        deeds.extend(spoken.into_iter().map(|(at, deed)| (at.min(calm), deed)));
    }
    deeds.extend(refunds(cx, due).into_iter().map(|(at, deed)| (at.min(calm), deed)));
    Person { number, plan, seats, paypal, first, verdicts, deeds }
}

/// What is wished of plan and seats by somebody who has so many seats, and whose bill falls due then.
fn changes(cx: &Context, due: Timestamp, seats: u32) -> Vec<(Timestamp, Deed)> {
    use PlanType::{Pro, Standard};
    let at = later(later(due, 600, cx), if cx.below(2) == 0 { 34 * 3_600 } else { 6 * 86_400 }, cx);
    let (soon, then) = (later(at, 90, cx), later(at, 2 * 86_400, cx));
    let near = offset(due, cx, 900);
    // Twice the seats of a Standard cost what the seats of a Pro cost.
    let change = |more: u32, key: u64| Deed::Change(Pro, seats.div_ceil(2) + more, key);
    let (up, higher, down) = (change(seats, 1), change(seats + 3, 2), Deed::Change(Standard, 1, 3));
    let end = if cx.below(2) == 0 { Deed::CancelNow } else { Deed::CancelLater };
    match cx.below(14) {
        0 => vec![(at, up)],
        1 => vec![(at, up.clone()), (at, up.clone()), (soon, up.clone()), (then, up)],
        2 => vec![(at, up), (at, change(seats, 2))],
        3 => vec![(at, up), (at, higher)],
        4 => vec![(at, up), (soon, higher), (then, change(seats + 9, 4))],
        5 => vec![(at, down), (then, change(seats, 2))],
        6 => vec![(at, up.clone()), (soon, down), (then, up)],
        7 => vec![(at, up), (at, end)],
        8 => vec![(at, Deed::CancelLater), (soon, Deed::Resume), (then, up)],
        9 => vec![(at, Deed::CancelLater), (at, up), (soon, Deed::Resume), (then, higher)],
        10 => vec![(near, up), (at, higher)],
        11 => vec![(near, down), (at, up)],
        12 => vec![(at, down.clone()), (soon, up), (soon, down), (then, Deed::Resume)],
        _ => vec![(near, up), (near, higher), (near, down)],
    }
}

/// When somebody whose bill falls due then wishes to pay it at once.
fn payments(cx: &Context, due: Timestamp) -> Vec<(Timestamp, Deed)> {
    let retry = calendar::next_billing_morning(due);
    let at = match cx.below(3) {
        0 => later(due, 60, cx),
        1 => offset(retry, cx, 60),
        _ => later(later(due, 600, cx), 4 * 86_400, cx),
    };
    let (soon, then) = (later(at, 20, cx), later(at, 86_400, cx));
    match cx.below(5) {
        0 => vec![(at, Deed::Pay(11))],
        1 => vec![(at, Deed::Pay(11)), (at, Deed::Pay(11)), (soon, Deed::Pay(11)), (then, Deed::Pay(11))],
        2 => vec![(at, Deed::Pay(11)), (at, Deed::Pay(12))],
        3 => vec![(at, Deed::Pay(11)), (soon, Deed::Pay(12)), (then, Deed::Pay(13)), (then, Deed::Pay(11))],
        _ => (11..19).map(|number| (later(at, 3 * 86_400, cx), Deed::Pay(number))).collect(),
    }
}

/// The bill is paid, and the upgrade after it goes so.
fn upgrade_verdicts(cx: &Context, paypal: bool) -> Vec<Verdict> {
    use Verdict::{Approve, Hard, PendingForever, PendingThenFailed, PendingThenPaid, Soft};
    let hours = i64::try_from(1 + cx.below(60)).unwrap_or(1);
    match cx.below(8) {
        0 => vec![Approve, Soft, Approve],
        1 if !paypal => vec![Approve, Hard],
        2 => vec![Approve, PendingThenPaid(hours), Approve],
        3 => vec![Approve, PendingThenFailed(hours), Approve],
        4 => vec![Approve, PendingForever],
        5 => vec![Approve, Approve, Soft],
        _ => vec![Approve],
    }
}

/// What is given back of a bill that fell due then.
fn refunds(cx: &Context, due: Timestamp) -> Vec<(Timestamp, Deed)> {
    if cx.below(100) >= 15 {
        return Vec::new();
    }
    let at = later(later(due, 600, cx), 5 * 86_400, cx);
    let soon = later(at, 90, cx);
    let parts = i64::try_from(2 + cx.below(4)).unwrap_or(2);
    match cx.below(8) {
        0 => vec![(at, Deed::GiveBack(1, true))],
        1 => vec![(at, Deed::GiveBack(parts, true))],
        2 => vec![(at, Deed::GiveBack(parts, false))],
        3 => vec![(at, Deed::GiveBackTwice(parts))],
        4 => vec![(at, Deed::GiveBackAtOnce(parts))],
        5 => vec![(at, Deed::Refund(parts)), (soon, Deed::GiveBack(parts, true))],
        6 => vec![(at, Deed::GiveBack(parts, true)), (soon, Deed::Refund(parts))],
        _ => vec![(at, Deed::GiveBack(parts, true)), (later(soon, 86_400, cx), Deed::GiveBack(1, true))],
    }
}

fn verdicts(cx: &Context, paypal: bool) -> Vec<Verdict> {
    use Verdict::{Approve, Hard, PendingForever, PendingThenFailed, PendingThenPaid, Soft};
    let hours = i64::try_from(1 + cx.below(60)).unwrap_or(1);
    if paypal {
        return match cx.below(10) {
            0..=3 => vec![PendingThenPaid(hours)],
            4 => vec![PendingThenFailed(hours), Approve],
            5 => vec![PendingForever],
            6 => vec![Soft, PendingThenPaid(hours)],
            _ => vec![Approve],
        };
    }
    match cx.below(100) {
        0..=9 => vec![Soft, Approve],
        10..=15 => vec![Soft, Soft, Soft, Approve],
        16..=21 => vec![Soft],
        22..=28 => vec![Hard],
        29..=30 => vec![Soft, Hard],
        _ => vec![Approve],
    }
}

fn offset(at: Timestamp, cx: &Context, seconds: u64) -> Timestamp {
    let half = i64::try_from(seconds / 2).unwrap_or(0);
    let shift = i64::try_from(cx.below(seconds)).unwrap_or(0) - half / 2;
    at.checked_add(SignedDuration::from_secs(shift)).unwrap_or(at)
}

fn later(at: Timestamp, seconds: u64, cx: &Context) -> Timestamp {
    let some = i64::try_from(cx.below(seconds)).unwrap_or(0);
    at.checked_add(SignedDuration::from_secs(some)).unwrap_or(at)
}

/// The period that is due on a first of the month.
pub fn december() -> Period {
    Period::starting(calendar::date_at("2026-12-01T10:00:00+09:00".parse().expect("a moment")))
}

/// The last days of the month before.
fn november() -> Period {
    Period::starting(calendar::date_at("2026-11-29T10:00:00+09:00".parse().expect("a moment")))
}

/// `PortOne`'s word on whether anything of a payment is still undecided.
pub fn is_pending(portone: &PortOne, id: &PaymentId) -> bool {
    portone.status(id) == Some(billing_flows::ports::SeenStatus::Pending)
}

/// The sum of a currency.
pub fn money(minor: i64, currency: Currency) -> Money {
    Money::new(minor, currency).unwrap_or(Money::zero(currency))
}
