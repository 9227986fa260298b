//! What the reconciler does with the events it gets, good and bad. (Laws 2, 7 and 8.)
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests, too, may fail loudly")]

use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::close::Closing;
use billing_flows::fake::{
    AskFault, Behaviour, Fault, ManualClock, MemoryQueue, MemoryStore, Recorder, ScriptedGateway,
};
use billing_flows::ports::{Clock, CollectMessage, Gateway};
use billing_flows::reconcile::Reconciled;
use billing_flows::{Billing, Settings};
use reconciler::{Answer, ReconcilerEvent, handle, is_late};
use serde_json::{Value, json};

type Flows = Billing<MemoryStore, ScriptedGateway, ManualClock, Recorder>;

const NOTHING: Reconciled = Reconciled { asked: 0, settled: 0, differences: 0, failed: 0, unfinished: false };

fn at(moment: &str) -> Timestamp {
    format!("{moment}+09:00").parse().unwrap()
}

fn customer(number: u32) -> Subscription {
    Subscription {
        key: SubscriptionKey {
            user_id: UserId::new(format!("user_{number:04}")).unwrap(),
            id: SubscriptionId::new(format!("sub_{number:04}")).unwrap(),
        },
        plan: PlanType::Standard,
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw).unwrap(),
        method: Some(Method { billing_key: BillingKey::new(format!("billing-key-{number:04}")), pg: Pg::TossPayments }),
        customer: Customer::default(),
        locale: Locale::Ko,
        started: at("2026-11-01T09:00"),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(december()) },
        version: 1,
    }
}

fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

/// So many customers, whose December was charged on the first so.
async fn after(customers: u32, way: Behaviour) -> Flows {
    let clock = ManualClock::new(at("2026-12-01T10:00"));
    let (store, gateway) = (MemoryStore::new(), ScriptedGateway::new(clock.clone()));
    gateway.always(way);
    let catalogue = Catalogue::parse(
        "brand = \"Sivera\"\ntrial_days = 14\n[plans.standard]\nname = { ko = \"S\", en = \"S\" }\nmax_seats = 9\nprice_per_seat = { KRW = 10000 }",
    )
    .unwrap();
    let settings = Settings {
        store_id: StoreId::new("store-1").unwrap(),
        mode: billing_flows::ports::Mode::Live,
        catalogue,
        ladder: Ladder::default(),
    };
    let billing = Billing { store, gateway, clock, telemetry: Recorder::default(), settings };
    for number in 0..customers {
        let (row, now) = (customer(number), billing.clock.now());
        billing.store.put_subscription(&row);
        let (user_id, subscription_id) = (row.key.user_id, row.key.id);
        let message = CollectMessage { run: "1".to_owned(), now, user_id, subscription_id, asks: 0 };
        billing.collect(&MemoryQueue::default(), &message, None).await.unwrap();
    }
    billing
}

fn event(task: &str, at: &str) -> ReconcilerEvent {
    serde_json::from_value(json!({ "task": task, "scheduledTime": at })).unwrap()
}

async fn pass(billing: &Flows, event: &ReconcilerEvent) -> Reconciled {
    match handle(billing, event, || false).await.unwrap() {
        Answer::Pass(pass) => pass,
        Answer::Books { .. } => panic!("books were not asked for"),
    }
}

async fn close(billing: &Flows, event: Value) -> Vec<Closing> {
    match handle(billing, &serde_json::from_value(event).unwrap(), || false).await.unwrap() {
        Answer::Books { books } => books,
        Answer::Pass(_) => panic!("books were asked for"),
    }
}

async fn hourly(billing: &Flows) -> Reconciled {
    billing.clock.set(at("2026-12-01T11:05"));
    pass(billing, &event("hourly", "2026-12-01T02:05:00Z")).await
}

async fn nightly(billing: &Flows) -> Reconciled {
    billing.clock.set(at("2026-12-02T03:00"));
    pass(billing, &event("nightly", "2026-12-01T18:00:00Z")).await
}

#[tokio::test]
async fn the_hourly_pass_settles_what_is_not_known() {
    let billing = after(5, Behaviour::UnknownButPaid).await;
    assert_eq!(hourly(&billing).await, Reconciled { asked: 5, settled: 5, ..NOTHING });
    assert_eq!(hourly(&billing).await, NOTHING);
    assert!(billing.store.all_invoices().iter().all(|row| row.state.status() == "paid"));
}

#[tokio::test]
async fn the_hourly_pass_stops_when_it_is_late_and_says_so() {
    let billing = after(5, Behaviour::UnknownButPaid).await;
    let answer = handle(&billing, &event("hourly", "2026-12-01T02:05:00Z"), || true).await.unwrap();
    assert_eq!(answer, Answer::Pass(Reconciled { unfinished: true, ..NOTHING }));
}

#[tokio::test]
async fn one_row_that_fails_is_counted_and_keeps_no_other() {
    let billing = after(5, Behaviour::UnknownButPaid).await;
    billing.store.faults().next("invoice", Fault::Before);
    assert_eq!(hourly(&billing).await, Reconciled { asked: 4, settled: 4, failed: 1, ..NOTHING });
}

#[tokio::test]
async fn refused_credentials_are_an_error_so_that_the_pass_is_delivered_again() {
    let billing = after(5, Behaviour::UnknownButPaid).await;
    billing.gateway.all_asks(Some(AskFault::Unauthorized));
    handle(&billing, &event("hourly", "2026-12-01T02:05:00Z"), || false).await.unwrap_err();
    handle(&billing, &event("nightly", "2026-12-01T18:00:00Z"), || false).await.unwrap_err();
}

#[tokio::test]
async fn the_nightly_pass_compares_the_days_that_are_over_in_seoul() {
    let billing = after(3, Behaviour::UnknownButPaid).await;
    assert_eq!(pass(&billing, &event("nightly", "2026-11-30T18:00:00Z")).await, NOTHING);
    assert_eq!(nightly(&billing).await.settled, 3);
    let again = nightly(&billing).await;
    assert_eq!((again.settled, again.differences, again.failed), (0, 0, 0));
}

#[tokio::test]
async fn the_nightly_pass_finds_what_only_one_of_the_books_holds() {
    let billing = after(2, Behaviour::Approve).await;
    let id = |number| {
        PaymentId::derive(
            &billing.settings.store_id,
            &customer(number).key,
            december(),
            billing_core::invoice::Part::Period,
            0,
        )
    };
    let stranger = billing_flows::ports::PaymentSeen {
        payment_id: PaymentId::new(format!("inv{}", "A".repeat(32))).unwrap(),
        ..billing.gateway.payment(&id(0)).await.unwrap().unwrap()
    };
    billing.gateway.put_payment(stranger, at("2026-12-01T10:00"));
    billing.gateway.forget_payment(&id(1));
    for _ in 0..2 {
        assert_eq!(nightly(&billing).await.differences, 2);
    }
    assert_eq!(billing.telemetry.alarms().len(), 2);
}

#[tokio::test]
async fn a_pass_delivered_twice_changes_nothing_more() {
    let billing = after(5, Behaviour::UnknownButPaid).await;
    hourly(&billing).await;
    nightly(&billing).await;
    let tables = || (billing.store.all_invoices(), billing.store.all_subscriptions(), billing.store.all_events());
    let before = tables();
    hourly(&billing).await;
    nightly(&billing).await;
    assert_eq!(tables(), before);
    assert_eq!(billing.gateway.charges().len(), 5);
}

#[tokio::test]
async fn nights_that_were_missed_are_made_good_by_the_next_and_by_an_old_event() {
    for (night, settled) in [
        ("2026-12-02T18:00:00Z", 1),
        ("2027-02-28T18:00:00Z", 1),
        ("2027-03-01T18:00:00Z", 0),
        ("2026-12-01T18:00:00Z", 1),
    ] {
        let billing = after(1, Behaviour::UnknownButPaid).await;
        billing.clock.set(at("2027-03-03T03:00"));
        assert_eq!(pass(&billing, &event("nightly", night)).await.settled, settled, "{night}");
    }
}

#[tokio::test]
async fn the_books_are_closed_for_the_month_that_is_asked_for() {
    let billing = after(3, Behaviour::Approve).await;
    billing.clock.set(at("2027-03-01T12:00"));
    let at = "2027-03-01T03:00:00Z";
    let [december] =
        close(&billing, json!({ "task": "close", "scheduledTime": at, "month": "2026-12" })).await.try_into().unwrap();
    assert_eq!((december.month.as_str(), december.balanced, december.books.due()), ("2026-12", true, 3));
    let shown = serde_json::to_value(Answer::Books { books: vec![december] }).unwrap();
    assert_eq!(
        shown["books"][0]["books"]["accounts"]["KRW"]["columns"]["paid"],
        json!({ "count": 3, "minor": 90_000 })
    );
}

#[tokio::test]
async fn every_night_the_months_of_the_days_before_are_closed() {
    let billing = after(1, Behaviour::Approve).await;
    for (scheduled, months) in [
        ("2026-12-31T18:10:00Z", vec!["2026-12"]),
        ("2027-01-01T18:10:00Z", vec!["2026-12", "2027-01"]),
        ("2027-01-06T18:10:00Z", vec!["2026-12", "2027-01"]),
        ("2027-01-07T18:10:00Z", vec!["2027-01"]),
    ] {
        billing.clock.set(scheduled.parse().unwrap());
        let books = close(&billing, json!({ "task": "close", "scheduledTime": scheduled })).await;
        assert_eq!(books.iter().map(|books| books.month.as_str()).collect::<Vec<_>>(), months, "{scheduled}");
    }
}

#[test]
fn an_event_of_another_form_is_an_error() {
    let at = "2026-12-01T02:05:00Z";
    for wrong in [
        json!({}),
        json!(null),
        json!({ "task": "hourly" }),
        json!({ "scheduledTime": at }),
        json!({ "task": "weekly", "scheduledTime": at }),
        json!({ "task": "Hourly", "scheduledTime": at }),
        json!({ "task": "hourly", "scheduledTime": "<aws.scheduler.scheduled-time>" }),
        json!({ "task": "hourly", "scheduledTime": 1_796_086_800 }),
        json!({ "task": null, "scheduledTime": at }),
        json!({ "task": "close", "scheduledTime": at, "month": "2026-13" }),
        json!({ "task": "close", "scheduledTime": at, "month": "2026-12-01" }),
        json!({ "task": "close", "scheduledTime": at, "month": 12 }),
    ] {
        assert!(serde_json::from_value::<ReconcilerEvent>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn an_answer_is_shown_in_the_tables_spelling() {
    let shown = serde_json::to_value(Answer::Pass(Reconciled { asked: 1, ..NOTHING })).unwrap();
    let expected: Value = json!({"asked": 1, "settled": 0, "differences": 0, "failed": 0, "unfinished": false});
    assert_eq!(shown, expected);
}

#[test]
fn a_pass_is_late_seventy_seconds_before_its_end() {
    let deadline = std::time::SystemTime::from(at("2026-12-01T10:00"));
    assert!(!is_late(deadline, at("2026-12-01T09:58:50")));
    assert!(is_late(deadline, at("2026-12-01T09:58:51")));
}
