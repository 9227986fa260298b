//! What the worker and the planner do with the events they get, good and bad. (Laws 3, 5 and 8.)
#![expect(clippy::unwrap_used, reason = "the helpers of tests, too, may unwrap")]

use aws_lambda_events::event::sqs::SqsEvent;
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::id::{StoreId, SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::private::Private;
use billing_core::subscription::{Customer, DUE_SHARDS, Method, State, Subscription, SubscriptionKey};
use billing_flows::fake::{
    Behaviour, Fault, ManualClock, MemoryQueue, MemoryStore, QueueMessage, Recorder, ScriptedGateway,
};
use billing_flows::plan_run::run_id;
use billing_flows::ports::{Clock, CollectMessage, PlanMessage, Signal, Stop};
use billing_flows::{Billing, Settings};
use charger::planner::{self, PlannerEvent};
use charger::worker;
use jiff::SignedDuration;
use serde_json::{Value, json};

struct World {
    clock: ManualClock,
    store: MemoryStore,
    gateway: ScriptedGateway,
    queue: MemoryQueue,
    telemetry: Recorder,
    billing: Billing<MemoryStore, ScriptedGateway, ManualClock, Recorder>,
}

impl World {
    /// So many customers, whose December is due now.
    fn of(customers: u32) -> Self {
        let clock = ManualClock::new(now());
        let (store, gateway, telemetry) =
            (MemoryStore::new(), ScriptedGateway::new(clock.clone()), Recorder::default());
        for number in 0..customers {
            store.put_subscription(&customer(number));
        }
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
        let billing = Billing {
            store: store.clone(),
            gateway: gateway.clone(),
            clock: clock.clone(),
            telemetry: telemetry.clone(),
            settings,
        };
        Self { clock, store, gateway, queue: MemoryQueue::default(), telemetry, billing }
    }

    /// The messages that the worker gives back.
    async fn work(&self, bodies: impl IntoIterator<Item = String>) -> Vec<String> {
        let answer = worker::handle(&self.billing, &self.queue, batch(bodies)).await;
        let answer = serde_json::to_value(&answer).unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }

    async fn plan(&self, event: Value) -> Vec<String> {
        let event: PlannerEvent = serde_json::from_value(event).unwrap();
        let answer = planner::handle(&self.store, &self.queue, &self.telemetry, event, || false).await.unwrap();
        let answer = serde_json::to_value(&answer).unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }

    fn paid(&self) -> usize {
        self.gateway.approvals().len()
    }
}

fn now() -> Timestamp {
    at("10:00:00")
}

/// A time of the first of December, in Seoul.
fn at(time: &str) -> Timestamp {
    format!("2026-12-01T{time}+09:00").parse().unwrap()
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
        method: Some(key(number)),
        customer: Customer { email: Some(Private::new("kim@example.com")), ..Customer::default() },
        locale: Locale::Ko,
        started: "2026-11-01T09:00:00+09:00".parse().unwrap(),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(Period::parse("2026-12-01").unwrap()) },
        version: 1,
    }
}

fn key(number: u32) -> Method {
    Method { billing_key: BillingKey::new(format!("billing-key-{number:04}")), pg: Pg::TossPayments }
}

fn message(number: u32) -> String {
    let key = customer(number).key;
    let message =
        CollectMessage { run: run_id(now()), now: now(), user_id: key.user_id, subscription_id: key.id, asks: 0 };
    serde_json::to_string(&message).unwrap()
}

fn records(bodies: impl IntoIterator<Item = String>) -> Value {
    let record = |(number, body): (usize, String)| {
        json!({
            "messageId": format!("m{number}"), "receiptHandle": "r", "body": body, "md5OfBody": "x",
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1796086800000" },
            "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:ap-northeast-2:123456789012:collect", "awsRegion": "ap-northeast-2",
        })
    };
    json!({ "Records": bodies.into_iter().enumerate().map(record).collect::<Vec<_>>() })
}

fn batch(bodies: impl IntoIterator<Item = String>) -> SqsEvent {
    serde_json::from_value(records(bodies)).unwrap()
}

#[tokio::test]
async fn what_portones_allowance_has_no_room_for_comes_again_later_unbegun_and_as_it_was() {
    let world = World::of(4);
    world.gateway.set_room(3);
    assert_eq!(world.work((0..4).map(message)).await, [] as [&str; 0]);
    assert_eq!((world.paid(), world.store.all_invoices().len()), (3, 3));
    let [(again, wait)] = world.queue.take_held_back().try_into().unwrap();
    assert_eq!((serde_json::to_string(&again).unwrap(), wait), (message(3), SignedDuration::from_mins(2)));
}

#[tokio::test]
async fn what_there_is_no_room_for_and_cannot_be_sent_again_is_given_back() {
    let world = World::of(3);
    world.gateway.set_room(1);
    world.queue.faults().next("send_collect_later", Fault::Before);
    let bodies = [message(0), message(1), message(2), "not ours".to_owned()];
    assert_eq!(world.work(bodies).await, ["m1", "m3"]);
    assert_eq!(world.queue.take_held_back().len(), 1);
}

#[tokio::test]
async fn a_batch_is_collected_and_nothing_is_given_back() {
    let world = World::of(10);
    assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
    assert_eq!(world.paid(), 10);
}

#[tokio::test]
async fn only_the_poison_of_a_batch_is_given_back() {
    let world = World::of(10);
    let bodies = (0..10).map(|number| if number == 4 { "{\"run\":".to_owned() } else { message(number) });
    assert_eq!(world.work(bodies).await, ["m4"]);
    assert_eq!(world.paid(), 9);
}

#[tokio::test]
async fn a_body_that_is_not_the_planners_is_given_back_and_not_guessed_at() {
    let whole: Value = serde_json::from_str(&message(0)).unwrap();
    let mut wrong = vec![String::new(), "null".to_owned(), "[]".to_owned(), "{}".to_owned(), "\u{0}".to_owned()];
    for field in ["run", "now", "userId", "subscriptionId"] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(field);
        wrong.push(without.to_string());
    }
    let mut grown = whole.clone();
    grown["amount"] = json!(1);
    wrong.push(grown.to_string());
    let mut nameless = whole.clone();
    nameless["userId"] = json!("");
    wrong.push(nameless.to_string());
    let world = World::of(1);
    let count = wrong.len();
    assert_eq!(world.work(wrong).await.len(), count);
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
}

#[tokio::test]
async fn a_record_without_a_body_is_given_back() {
    let world = World::of(1);
    let event: SqsEvent = serde_json::from_value(json!({ "Records": [{ "messageId": "m0" }] })).unwrap();
    let answer = serde_json::to_value(worker::handle(&world.billing, &world.queue, event).await).unwrap();
    assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m0");
}

#[tokio::test]
async fn only_the_message_whose_gateway_panicked_is_given_back() {
    let world = World::of(10);
    world.gateway.script_by(|charge| {
        assert!(charge.billing_key != key(3).billing_key, "a bug that only this customer meets");
        None
    });
    assert_eq!(world.work((0..10).map(message)).await, ["m3"]);
    assert_eq!(world.paid(), 9);
}

#[tokio::test]
async fn only_the_message_whose_store_panicked_is_given_back() {
    let world = World::of(10);
    world.store.faults().by(|call| {
        assert!((call.method, call.number) != ("subscription", 6), "a bug of the table's client");
        if call.method == "subscriptions" { Fault::Before } else { Fault::None }
    });
    assert_eq!(world.work((0..10).map(message)).await.len(), 1);
    assert_eq!(world.paid(), 9);
}

#[tokio::test]
async fn only_the_message_whose_tables_failed_is_given_back_and_its_next_delivery_works() {
    let world = World::of(10);
    world.store.faults().on("subscriptions", 1, Fault::Before);
    world.store.faults().on("subscription", 6, Fault::Before);
    let back = world.work((0..10).map(message)).await;
    assert_eq!((back.len(), world.paid()), (1, 9));
    assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
    assert_eq!((world.paid(), world.gateway.charges().len()), (10, 10));
}

#[tokio::test]
async fn the_subscriptions_of_a_batch_are_read_in_one_request() {
    let world = World::of(10);
    world.work((0..10).map(message)).await;
    let requests = world.store.requests();
    assert_eq!((requests.get("subscriptions"), requests.get("subscription")), (Some(&1), None));
}

#[tokio::test]
async fn subscriptions_that_cannot_be_read_together_are_read_one_by_one() {
    for fault in [Fault::Before, Fault::Refused, Fault::After] {
        let world = World::of(10);
        world.store.faults().next("subscriptions", fault);
        assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
        assert_eq!((world.paid(), world.store.requests().get("subscription")), (10, Some(&10)));
    }
}

#[tokio::test]
async fn a_panic_while_reading_together_costs_no_message() {
    let world = World::of(10);
    world.store.faults().by(|call| {
        assert!(call.method != "subscriptions", "a bug of the table's client");
        Fault::None
    });
    assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
    assert_eq!(world.paid(), 10);
}

#[tokio::test]
async fn more_messages_than_one_request_reads_are_collected_as_well() {
    let world = World::of(103);
    assert_eq!(world.work((0..103).map(message)).await, [] as [&str; 0]);
    assert_eq!((world.paid(), world.store.requests().get("subscription")), (103, Some(&3)));
}

#[tokio::test]
async fn a_message_that_stands_twice_in_a_batch_charges_once() {
    let world = World::of(1);
    assert_eq!(world.work((0..10).map(|_| message(0))).await, [] as [&str; 0]);
    assert_eq!((world.paid(), world.gateway.charges().len()), (1, 1));
}

#[tokio::test]
async fn declines_and_unknown_ends_are_results_and_not_given_back() {
    for way in [Behaviour::Decline("X".to_owned()), Behaviour::UnknownNotReceived, Behaviour::Pending] {
        let world = World::of(3);
        world.gateway.always(way.clone());
        assert_eq!(world.work((0..3).map(message)).await, [] as [&str; 0], "{way:?}");
    }
}

#[tokio::test]
async fn an_unknown_end_comes_back_as_a_message_that_the_worker_takes() {
    let world = World::of(3);
    world.gateway.script_key(&key(1).billing_key, Behaviour::UnknownButPaid);
    assert_eq!(world.work((0..3).map(message)).await, [] as [&str; 0]);
    let [(again, wait)] = world.queue.take_held_back().try_into().unwrap();
    assert!(!message(1).contains("asks"), "a message of the planner's says nothing of it");
    world.clock.set(world.clock.now() + wait);
    assert_eq!(world.work([serde_json::to_string(&again).unwrap()]).await, [] as [&str; 0]);
    assert!(world.store.all_invoices().iter().all(|row| row.state.status() == "paid"));
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_again_is_given_back() {
    let world = World::of(2);
    world.gateway.script_key(&key(1).billing_key, Behaviour::UnknownButPaid);
    world.queue.faults().next("send_collect_later", Fault::Before);
    assert_eq!(world.work((0..2).map(message)).await, ["m1"]);
}

#[tokio::test]
async fn refused_credentials_give_the_whole_batch_back_dun_nobody_and_burn_no_attempt() {
    let world = World::of(10);
    world.gateway.always(Behaviour::Unauthorized);
    for _ in 0..3 {
        assert_eq!(world.work((0..10).map(message)).await.len(), 10);
    }
    assert!(world.store.all_events().iter().all(|event| event.notice.is_none()));
    assert!(world.store.all_invoices().iter().all(|row| row.attempts.len() == 1 && row.declines() == 0));
    assert!(world.store.all_subscriptions().iter().all(|row| row.state.status() == "active"));
    world.gateway.always(Behaviour::Approve);
    assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
    assert_eq!(world.paid(), 10);
}

#[tokio::test]
async fn one_message_about_nobody_is_worked_off_and_not_given_back() {
    let world = World::of(0);
    assert_eq!(world.work([message(7)]).await, [] as [&str; 0]);
    assert_eq!((world.gateway.charges(), world.store.all_events()), (vec![], vec![]));
}

#[tokio::test]
async fn a_tick_plans_the_run_of_its_scheduled_time() {
    for text in ["2026-12-01T01:00:00Z", "2026-12-01T10:00:00+09:00", "2026-12-01T01:00:00.000Z"] {
        let world = World::of(5);
        // The delivery comes late; the run is the scheduled one all the same.
        world.clock.set(at("10:20:00"));
        world.plan(json!({ "scheduledTime": text })).await;
        let messages = world.queue.messages();
        assert_eq!(messages.len(), 5, "{text}");
        for message in messages {
            let QueueMessage::Collect(message) = message else { panic!("no continuation") };
            assert_eq!((message.run, message.now), (run_id(now()), now()));
        }
    }
}

#[tokio::test]
async fn a_planners_messages_are_what_the_worker_takes() {
    let world = World::of(5);
    world.plan(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).await;
    let bodies = world.queue.drain().into_iter().map(|message| match message {
        QueueMessage::Collect(message) => serde_json::to_string(&message).unwrap(),
        QueueMessage::Plan(_) => panic!("no continuation"),
    });
    assert_eq!(world.work(bodies).await, [] as [&str; 0]);
    assert_eq!(world.paid(), 5);
}

#[tokio::test]
async fn a_late_tick_sends_itself_its_shards_and_the_continuations_plan_them() {
    let world = World::of(40);
    let event: PlannerEvent = serde_json::from_value(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).unwrap();
    planner::handle(&world.store, &world.queue, &world.telemetry, event, || true).await.unwrap();
    let rests: Vec<String> = (world.queue.drain().into_iter())
        .map(|message| match message {
            QueueMessage::Plan(message) => serde_json::to_string(&message).unwrap(),
            QueueMessage::Collect(_) => panic!("too late for that"),
        })
        .collect();
    assert_eq!(rests.len(), usize::from(DUE_SHARDS));
    assert_eq!(world.plan(records(rests)).await, [] as [&str; 0]);
    assert_eq!(world.queue.messages().len(), 40);
}

#[tokio::test]
async fn only_the_continuation_that_fails_is_given_back() {
    let world = World::of(40);
    let rest =
        |shard| serde_json::to_string(&PlanMessage { run: run_id(now()), now: now(), shard, after: None }).unwrap();
    world.store.faults().on("due", 2, Fault::Before);
    let bodies = [rest(0), "not json".to_owned(), rest(1), "{\"shard\":1}".to_owned(), rest(2), rest(3)];
    assert_eq!(world.plan(records(bodies)).await, ["m1", "m2", "m3"]);
    world.plan(records([rest(1)])).await;
    assert_eq!(world.queue.messages().len(), 40);
}

#[tokio::test]
async fn a_tick_that_fails_is_an_error_so_that_it_is_delivered_again() {
    let world = World::of(5);
    world.store.faults().next("due", Fault::Before);
    let event: PlannerEvent = serde_json::from_value(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).unwrap();
    planner::handle(&world.store, &world.queue, &world.telemetry, event, || false).await.unwrap_err();
}

#[test]
fn an_event_that_is_neither_a_tick_nor_a_continuation_is_an_error() {
    for wrong in [
        json!({}),
        json!(null),
        json!([]),
        json!("2026-12-01T01:00:00Z"),
        json!({ "scheduledTime": "<aws.scheduler.scheduled-time>" }),
        json!({ "scheduledTime": "2026-12-01" }),
        json!({ "scheduledTime": 1_796_086_800_000_i64 }),
        json!({ "scheduledTime": null }),
        json!({ "time": "2026-12-01T01:00:00Z" }),
        json!({ "Records": {} }),
    ] {
        assert!(serde_json::from_value::<PlannerEvent>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_pass_is_late_ten_seconds_before_its_end_and_not_before() {
    let deadline = std::time::SystemTime::from(now());
    assert!(!planner::is_late(deadline, at("09:59:50")));
    assert!(planner::is_late(deadline, at("09:59:51")));
    assert!(planner::is_late(deadline, now()));
}

fn stop() -> Stop {
    Stop { reason: "the PG is ill".to_owned() }
}

fn stopped_signals(world: &World) -> usize {
    world.telemetry.signals().iter().filter(|signal| matches!(signal, Signal::Stopped { .. })).count()
}

#[tokio::test]
async fn while_collecting_is_stopped_a_tick_plans_nothing_and_says_so() {
    let world = World::of(5);
    world.store.put_stop(Some(stop()));
    let event: PlannerEvent = serde_json::from_value(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).unwrap();
    let answer = planner::handle(&world.store, &world.queue, &world.telemetry, event, || false).await.unwrap();
    assert_eq!(serde_json::to_value(&answer).unwrap(), json!({ "batchItemFailures": [], "stopped": true }));
    assert_eq!((world.queue.messages().len(), stopped_signals(&world)), (0, 1));

    let rest = PlanMessage { run: run_id(now()), now: now(), shard: 0, after: None };
    let event: PlannerEvent = serde_json::from_value(records([serde_json::to_string(&rest).unwrap()])).unwrap();
    let answer = planner::handle(&world.store, &world.queue, &world.telemetry, event, || false).await.unwrap();
    assert_eq!(serde_json::to_value(&answer).unwrap(), json!({ "batchItemFailures": [] }));
    assert!(world.queue.messages().is_empty());
}

#[tokio::test]
async fn while_collecting_is_stopped_a_worker_drops_its_messages_untouched_and_the_next_run_makes_them_again() {
    let world = World::of(10);
    world.store.put_stop(Some(stop()));
    assert_eq!(world.work((0..10).map(message)).await, [] as [&str; 0]);
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
    // It was read once for the batch, and nothing else was.
    assert_eq!(world.store.requests().into_iter().collect::<Vec<_>>(), [("stopped", 1)]);
    assert_eq!(stopped_signals(&world), 1);
    world.store.put_stop(None);
    world.plan(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).await;
    let bodies = world.queue.drain().into_iter().map(|message| match message {
        QueueMessage::Collect(message) => serde_json::to_string(&message).unwrap(),
        QueueMessage::Plan(_) => panic!("no continuation"),
    });
    world.work(bodies).await;
    assert_eq!(world.paid(), 10);
}

#[tokio::test]
async fn nobody_is_charged_while_nobody_knows_whether_collecting_is_stopped() {
    let world = World::of(3);
    for fault in [Fault::Before, Fault::Refused] {
        world.store.faults().next("stopped", fault);
        assert_eq!(world.work((0..3).map(message)).await, ["m0", "m1", "m2"]);
        world.store.faults().next("stopped", fault);
        let event: PlannerEvent = serde_json::from_value(json!({ "scheduledTime": "2026-12-01T01:00:00Z" })).unwrap();
        planner::handle(&world.store, &world.queue, &world.telemetry, event, || false).await.unwrap_err();
    }
    assert_eq!((world.gateway.charges(), world.queue.messages().len()), (vec![], 0));
}
