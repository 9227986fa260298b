//! Rows to test with: `full` ones have every field set, `bare` ones none that may be left out.

use crate::ports::{Changes, Conflict, Expect, KeyChange, SessionChange, SubscriptionChange};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, CardInfo, KeyStatus, MethodKind, MethodLabel, RegisteredKey};
use billing_core::calendar::Period;
use billing_core::change::{Billed, Upgrade, Wishes};
use billing_core::decline::{Decline, Pg};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::invoice::{Attempt, Invoice, Outcome, Part, Proof, State};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType, Terms};
use billing_core::private::Private;
use billing_core::refund::{CallerKey, Refund, RefundOutcome, RefundReason};
use billing_core::session::{Done, Purpose, Session, SessionId};
use billing_core::subscription::{self, Customer, Method, Subscription, SubscriptionKey};

/// A moment of December 2026, in Seoul.
pub(super) fn at(day_and_time: &str) -> Timestamp {
    format!("2026-12-{day_and_time}+09:00").parse().unwrap()
}

/// A moment so many milliseconds after another.
pub(super) fn after(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond() + millis).unwrap()
}

pub(super) fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

pub(super) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(super) fn key(user_id: &str, id: &str) -> SubscriptionKey {
    SubscriptionKey { user_id: user(user_id), id: SubscriptionId::new(id).unwrap() }
}

pub(super) fn won(minor: i64) -> Money {
    Money::new(minor, Currency::Krw).unwrap()
}

pub(super) fn method(billing_key: &str) -> Method {
    Method { billing_key: BillingKey::new(billing_key), pg: Pg::TossPayments }
}

/// An active subscription whose December is to be billed.
pub(super) fn subscription(user_id: &str, id: &str) -> Subscription {
    Subscription {
        key: key(user_id, id),
        plan: PlanType::Standard,
        seats: 3,
        monthly: won(29_700),
        method: Some(method("billing-key-1")),
        customer: Customer { name: None, email: Some(Private::new("kim@example.com")), phone: None },
        locale: Locale::Ko,
        started: at("01T09:00:00"),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: Wishes::default(),
        state: subscription::State::Active { next: Some(december()) },
        version: 1,
    }
}

pub(super) fn full_subscription(id: &str) -> Subscription {
    Subscription {
        plan: PlanType::Pro,
        seats: 1_000,
        monthly: Money::new(Money::MAX_MINOR, Currency::Usd).unwrap(),
        method: Some(Method {
            billing_key: BillingKey::new("billing-key-full"),
            pg: Pg::Other("SMARTRO_V2".to_owned()),
        }),
        customer: full_customer(),
        locale: Locale::En,
        trial_end: Some(at("15T15:30:00.123")),
        cancel_at_period_end: true,
        wishes: full_wishes(),
        version: 7,
        ..subscription("user_1", id)
    }
}

/// An upgrade under way, after another and before a change for less.
pub(super) fn full_wishes() -> Wishes {
    let terms = |plan, seats, minor| Terms { plan, seats, monthly: Money::new(minor, Currency::Usd).unwrap() };
    Wishes {
        next: Some(terms(PlanType::Standard, 2, 1_800)),
        upgrade: Some(Upgrade {
            number: 2,
            terms: terms(PlanType::Pro, 500, 900_000),
            covers: Period::parse("2026-12-17").unwrap(),
            amount: Money::new(321, Currency::Usd).unwrap(),
            at: at("17T11:22:33.444"),
        }),
        billed: Some(Billed { period: december(), weight: 3_100_000_000_000, upgrades: 2 }),
    }
}

pub(super) fn bare_subscription(id: &str) -> Subscription {
    Subscription { method: None, customer: Customer::default(), ..subscription("user_1", id) }
}

/// One of each.
pub(super) fn subscription_states() -> Vec<subscription::State> {
    use subscription::State;
    vec![
        State::Active { next: Some(december()) },
        State::Active { next: Some(Period::parse("2026-12-17").unwrap()) },
        State::Active { next: None },
        State::PastDue { period: december(), due_at: at("04T10:00:00.001") },
        State::Parked { period: december() },
        State::Canceled { at: at("05T11:22:33.444") },
        State::Expired { at: at("06T10:00:00") },
    ]
}

pub(super) fn full_customer() -> Customer {
    Customer {
        name: Some(Private::new("김\"민수\" 🙂")),
        email: Some(Private::new("kim+tag@example.com")),
        phone: Some(Private::new("010-1234-5678")),
    }
}

pub(super) fn attempt(number: u32, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number,
        started_at: after(at("01T10:00:00"), i64::from(number)),
        method: method("billing-key-1"),
        cause: format!("run:{number}"),
        ended_at: outcome.as_ref().map(|_| after(at("01T10:00:03"), i64::from(number))),
        outcome,
    }
}

/// The invoice of a subscription's December, open, never attempted.
pub(super) fn invoice(subscription: &SubscriptionKey) -> Invoice {
    Invoice {
        payment_id: PaymentId::derive(&StoreId::new("store-1").unwrap(), subscription, december(), Part::Period, 0),
        revision: 0,
        subscription: subscription.clone(),
        period: december(),
        part: Part::Period,
        amount: won(29_700),
        plan: PlanType::Standard,
        plan_name: "스탠다드".to_owned(),
        seats: 3,
        order_name: "12월 스탠다드 구독료".to_owned(),
        customer: Customer::default(),
        locale: Locale::Ko,
        state: State::Open { next_attempt_at: at("01T10:00:00") },
        attempts: Vec::new(),
        refunds: Vec::new(),
        first_failed_at: None,
        proof: Proof::default(),
        quarantine: None,
        superseded_by: None,
        created_at: at("01T10:00:00"),
        updated_at: at("01T10:00:00"),
        version: 1,
    }
}

pub(super) fn full_invoice(id: &str) -> Invoice {
    let outcomes = [
        Some(Outcome::Declined(Decline::from_pg(&Pg::TossPayments, "INVALID_CARD_EXPIRATION"))),
        Some(Outcome::Declined(Decline::from_pg(&Pg::Kcp, "새 코드"))),
        Some(Outcome::Declined(Decline::no_method("BILLING_KEY_NOT_FOUND"))),
        Some(Outcome::Pending),
        Some(Outcome::Unknown),
        Some(Outcome::Refused("INVALID_REQUEST".to_owned())),
        Some(Outcome::Lost),
        Some(Outcome::Paid),
        None,
    ];
    let mut attempts: Vec<Attempt> = (1..).zip(outcomes).map(|(number, outcome)| attempt(number, outcome)).collect();
    for (attempt, pg) in attempts.iter_mut().zip(["INICIS_V2", "KCP_V2", "NICE_V2", "PAYPAL_V2", "DANAL"]) {
        attempt.method = Method { billing_key: BillingKey::new(format!("key-{pg}")), pg: Pg::from_provider(pg) };
    }
    Invoice {
        revision: 9,
        part: Part::Upgrade(3),
        amount: Money::new(Money::MAX_MINOR, Currency::Usd).unwrap(),
        plan: PlanType::Pro,
        customer: full_customer(),
        locale: Locale::En,
        attempts,
        refunds: refunds(),
        first_failed_at: Some(at("02T10:00:00.999")),
        proof: Proof {
            pg_tx_id: Some("pg-1".to_owned()),
            transaction_id: Some("tx-1".to_owned()),
            receipt_url: Some("https://receipt.example/1?a=b&c=d".to_owned()),
        },
        quarantine: Some("PortOne says 1 KRW was paid".to_owned()),
        superseded_by: Some(PaymentId::new("invOTHER").unwrap()),
        updated_at: at("03T10:00:00.5"),
        version: 12,
        ..invoice(&key("user_1", id))
    }
}

/// One of each outcome, the last under way.
fn refunds() -> Vec<Refund> {
    let outcomes = [
        Some(RefundOutcome::Succeeded),
        Some(RefundOutcome::Requested),
        Some(RefundOutcome::Failed { code: "새 코드".to_owned() }),
        Some(RefundOutcome::Refused { code: "MAX_CANCEL_COUNT_REACHED".to_owned() }),
        Some(RefundOutcome::Lost),
        None,
    ];
    let refund = |(number, outcome): (u32, Option<RefundOutcome>)| Refund {
        number,
        amount: Money::new(100, Currency::Usd).unwrap(),
        cancellable_before: Money::new(Money::MAX_MINOR, Currency::Usd).unwrap(),
        reason: RefundReason::new("요금제를 \"잘못\" 골랐어요 🙂").unwrap(),
        key: (number > 1).then(|| CallerKey::new(format!("order-{number}")).unwrap()),
        cause: format!("api:{number}"),
        started_at: after(at("03T10:00:00"), i64::from(number)),
        ended_at: outcome.as_ref().map(|_| after(at("03T10:00:03"), i64::from(number))),
        outcome,
    };
    (1..).zip(outcomes).map(refund).collect()
}

/// One of each, of an invoice in this currency.
pub(super) fn invoice_states(currency: Currency) -> Vec<State> {
    let then = at("07T08:09:10.011");
    vec![
        State::Open { next_attempt_at: then },
        State::Charging { lease_until: then },
        State::Unknown { since: then },
        State::Pending { since: then },
        State::Failed { retry_at: Some(then) },
        State::Failed { retry_at: None },
        State::Paid { at: then },
        State::Uncollectible { at: then },
        State::Void { at: then },
        State::PartiallyRefunded { paid_at: then, refunded: Money::new(100, currency).unwrap() },
        State::Refunded { paid_at: then },
    ]
}

/// An invoice under an attempt that `worker` claimed.
pub(super) fn claimed(before: &Invoice, worker: &str) -> Invoice {
    let number = u32::try_from(before.attempts.len()).unwrap() + 1;
    let mut next = moved(before, State::Charging { lease_until: at("01T10:03:00") });
    next.attempts.push(Attempt { cause: worker.to_owned(), ..attempt(number, None) });
    next
}

/// An invoice in another state, one version on.
pub(super) fn moved(before: &Invoice, state: State) -> Invoice {
    Invoice { state, version: before.version + 1, ..before.clone() }
}

/// Writes a subscription's next version.
pub(super) fn writes(expected: &Subscription, next: &Subscription) -> Changes {
    let (expected, next) = (expected.version, next.clone());
    Changes { subscription: Some(SubscriptionChange::Write { expected, next }), ..Changes::default() }
}

/// Checks that a subscription has not moved.
pub(super) fn checks(expected: &Subscription) -> Changes {
    let (key, version) = (expected.key.clone(), expected.version);
    Changes { subscription: Some(SubscriptionChange::Check { key, version }), ..Changes::default() }
}

/// Writes an invoice's next version.
pub(super) fn replaces(expected: &Invoice, next: &Invoice) -> Changes {
    Changes { invoices: vec![(Expect::Version(expected.version), next.clone())], ..Changes::default() }
}

pub(super) fn registers(key: &RegisteredKey) -> Changes {
    Changes { keys: vec![KeyChange::Register(key.clone())], ..Changes::default() }
}

pub(super) fn deletes(key: &RegisteredKey) -> Changes {
    let change = KeyChange::Delete { user_id: key.user_id.clone(), created_at: key.created_at };
    Changes { keys: vec![change], ..Changes::default() }
}

pub(super) fn makes_default(key: &RegisteredKey) -> Changes {
    let change = KeyChange::MakeDefault { user_id: key.user_id.clone(), created_at: key.created_at };
    Changes { keys: vec![change], ..Changes::default() }
}

pub(super) fn ends_default(key: &RegisteredKey) -> Changes {
    let change = KeyChange::EndDefault { user_id: key.user_id.clone(), created_at: key.created_at };
    Changes { keys: vec![change], ..Changes::default() }
}

pub(super) fn records(events: &[Event]) -> Changes {
    Changes { events: events.to_vec(), ..Changes::default() }
}

/// Changes that are made in one transaction.
pub(super) fn together<const N: usize>(parts: [Changes; N]) -> Changes {
    parts.into_iter().fold(Changes::default(), |mut whole, part| {
        whole.invoices.extend(part.invoices);
        whole.subscription = whole.subscription.or(part.subscription);
        whole.keys.extend(part.keys);
        whole.session = whole.session.or(part.session);
        whole.events.extend(part.events);
        whole
    })
}

pub(super) fn on_invoice(there: Option<&Invoice>) -> Conflict {
    Conflict { invoice: there.cloned().map(Box::new), on_invoice: true, ..Conflict::default() }
}

pub(super) fn on_subscription() -> Conflict {
    Conflict { on_subscription: true, ..Conflict::default() }
}

pub(super) fn on_key() -> Conflict {
    Conflict { on_key: true, ..Conflict::default() }
}

pub(super) fn on_session() -> Conflict {
    Conflict { on_session: true, ..Conflict::default() }
}

pub(super) fn on_event() -> Conflict {
    Conflict { on_event: true, ..Conflict::default() }
}

pub(super) fn creates(subscription: &Subscription) -> Changes {
    Changes { subscription: Some(SubscriptionChange::Create(subscription.clone())), ..Changes::default() }
}

pub(super) fn puts(invoice: &Invoice) -> Changes {
    Changes { invoices: vec![(Expect::Absent, invoice.clone())], ..Changes::default() }
}

/// An event with nothing but what it must have.
pub(super) fn event(subject: &str, discriminator: &str) -> Event {
    Event {
        subject: subject.to_owned(),
        id: Event::id_at(at("01T10:00:03"), discriminator),
        at: at("01T10:00:03"),
        kind: EventKind::InvoicePaid,
        cause: Cause::Run("1".to_owned()),
        before: None,
        after: None,
        detail: None,
        notice: None,
    }
}

pub(super) fn bare_key(user_id: &str, billing_key: &str, created_at: Timestamp) -> RegisteredKey {
    RegisteredKey {
        user_id: user(user_id),
        created_at,
        billing_key: BillingKey::new(billing_key),
        customer_id: user_id.to_owned(),
        method: MethodKind::Card,
        card: None,
        paypal_email: None,
        is_default: false,
        status: KeyStatus::Active,
        channel_key: None,
        pg: None,
        issue_id: None,
    }
}

pub(super) fn full_key(user_id: &str, billing_key: &str, created_at: Timestamp) -> RegisteredKey {
    RegisteredKey {
        customer_id: "another customer id".to_owned(),
        method: MethodKind::Paypal,
        card: Some(CardInfo {
            name: Some("신한카드".to_owned()),
            issuer: Some("SHINHAN".to_owned()),
            brand: Some("VISA".to_owned()),
            last4: Some("0042".to_owned()),
        }),
        paypal_email: Some(Private::new("kim@example.com")),
        is_default: true,
        channel_key: Some("channel-key-1".to_owned()),
        pg: Some(Pg::Inicis),
        issue_id: Some("issue-1".to_owned()),
        ..bare_key(user_id, billing_key, created_at)
    }
}

/// An open session that begins a subscription.
pub(super) fn full_session(id: &str) -> Session {
    Session {
        id: SessionId::new(id).unwrap(),
        user_id: user("user_1"),
        purpose: Purpose::Subscribe {
            subscription_id: SubscriptionId::new("sub_1").unwrap(),
            plan: PlanType::Pro,
            seats: 1_000,
            monthly: Money::new(Money::MAX_MINOR, Currency::Usd).unwrap(),
            trial_days: 30,
        },
        customer: full_customer(),
        locale: Locale::En,
        request: "A fingerprint".to_owned(),
        created_at: at("01T10:00:00.001"),
        expires_at: at("01T11:00:00.001"),
        done: None,
    }
}

/// An open session that replaces a method.
pub(super) fn bare_session(id: &str) -> Session {
    let subscription_id = SubscriptionId::new("sub_1").unwrap();
    Session {
        purpose: Purpose::ReplaceMethod { subscription_id, currency: Currency::Krw },
        customer: Customer::default(),
        locale: Locale::Ko,
        ..full_session(id)
    }
}

pub(super) fn done() -> Done {
    let bare = MethodLabel { kind: MethodKind::Paypal, name: None, last4: None };
    Done { at: at("01T10:30:00.123"), billing_key: BillingKey::new("billing-key-1"), method: bare }
}

pub(super) fn opens(session: &Session) -> Changes {
    Changes { session: Some(Box::new(SessionChange::Open(session.clone()))), ..Changes::default() }
}

pub(super) fn completes(session: &Session, done: &Done) -> Changes {
    let change = SessionChange::Complete { id: session.id.clone(), done: done.clone() };
    Changes { session: Some(Box::new(change)), ..Changes::default() }
}

pub(super) fn label() -> MethodLabel {
    MethodLabel { kind: MethodKind::Card, name: Some("신한카드".to_owned()), last4: Some("0042".to_owned()) }
}
