//! What the notifier does with batches of the events' stream, good and bad. (Law 8.)
#![expect(clippy::unwrap_used, reason = "the helpers of tests, too, may unwrap")]

use aws_lambda_events::event::dynamodb::{Event as StreamEvent, EventRecord};
use billing_core::Timestamp;
use billing_core::event::{Cause, Event, EventKind};
use billing_core::notice::{EndReason, Notice, NoticeBody};
use billing_core::plan::Locale;
use billing_core::private::Private;
use billing_flows::fake::{Fault, ManualClock, MemoryMailer, MemoryStore, Recorder};
use billing_flows::mail::Sender;
use billing_flows::ports::Signal;

struct World {
    clock: ManualClock,
    store: MemoryStore,
    mailer: MemoryMailer,
    telemetry: Recorder,
}

impl World {
    /// So many events in the table, none mailed.
    fn of(events: u32) -> Self {
        let world = Self {
            clock: ManualClock::new(now()),
            store: MemoryStore::new(),
            mailer: MemoryMailer::default(),
            telemetry: Recorder::default(),
        };
        for number in 0..events {
            world.store.put_event(&event(number));
        }
        world
    }

    /// The sequence numbers that are reported as failed.
    async fn handle(&self, records: Vec<EventRecord>) -> Vec<String> {
        let sender = Sender {
            brand: "Sivera".to_owned(),
            manage_url: "https://sivera.example/billing".to_owned(),
            support_email: "help@sivera.example".to_owned(),
            company_line: None,
        };
        let mut batch = StreamEvent::default();
        batch.records = records;
        let answer = notifier::handle(&self.store, &self.mailer, &self.clock, &self.telemetry, &sender, batch).await;
        let answer = serde_json::to_value(&answer).unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }

    fn sent(&self) -> Vec<String> {
        self.mailer.sent().into_iter().map(|mail| mail.event.id).collect()
    }

    fn mailed(&self, number: u32) -> bool {
        self.store.mailed_at(&event(number).key()).is_some()
    }
}

fn now() -> Timestamp {
    "2026-12-01T10:00:00+09:00".parse().unwrap()
}

fn event(number: u32) -> Event {
    let body = NoticeBody::SubscriptionEnded {
        plan_name: "Standard".to_owned(),
        reason: EndReason::Canceled,
        unpaid: None,
        ended_at: now(),
    };
    Event {
        subject: "sub_123".to_owned(),
        id: Event::id_at(now(), &format!("{number:06}")),
        at: now(),
        kind: EventKind::SubscriptionCanceled,
        cause: Cause::Run("1".to_owned()),
        before: None,
        after: None,
        detail: None,
        notice: Some(Notice { to: Private::new("kim@example.com"), name: None, locale: Locale::Ko, body }),
    }
}

fn record(name: &str, number: u32) -> EventRecord {
    record_of(name, number, &event(number))
}

fn record_of(name: &str, number: u32, event: &Event) -> EventRecord {
    let mut record = EventRecord::default();
    name.clone_into(&mut record.event_name);
    record.change.sequence_number = Some(format!("s{number}"));
    record.change.new_image = billing_aws::item::image_of_event(event).unwrap();
    record
}

fn unreadable(number: u32) -> EventRecord {
    let mut record = record("INSERT", number);
    record.change.new_image = EventRecord::default().change.new_image;
    record
}

fn inserted(count: u32) -> Vec<EventRecord> {
    (0..count).map(|number| record("INSERT", number)).collect()
}

#[tokio::test]
async fn each_new_event_is_mailed_once_however_often_its_batch_comes() {
    let world = World::of(10);
    for _ in 0..3 {
        assert_eq!(world.handle(inserted(10)).await, [] as [&str; 0]);
    }
    assert_eq!(world.sent().len(), 10);
    assert!((0..10).all(|number| world.mailed(number)));
}

#[tokio::test]
async fn changes_and_removals_of_rows_tell_nothing() {
    let world = World::of(3);
    let batch = vec![record("MODIFY", 0), record("REMOVE", 1), record("SOMETHING_NEW", 2)];
    assert_eq!(world.handle(batch).await, [] as [&str; 0]);
    assert_eq!(world.sent(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_removal_without_an_image_is_no_failure() {
    let world = World::of(1);
    let mut removal = unreadable(0);
    removal.event_name = "REMOVE".to_owned();
    assert_eq!(world.handle(vec![removal]).await, [] as [&str; 0]);
}

#[tokio::test]
async fn an_image_that_cannot_be_read_holds_up_no_other_and_is_counted_as_refused() {
    let world = World::of(3);
    let batch = vec![record("INSERT", 0), unreadable(1), record("INSERT", 2)];
    assert_eq!(world.handle(batch).await, [] as [&str; 0]);
    assert_eq!((world.sent().len(), world.mailed(1)), (2, false));
    assert!(world.telemetry.signals().contains(&Signal::Mail { kind: "unreadable", result: "refused" }));
}

#[tokio::test]
async fn an_event_that_tells_nobody_anything_is_done() {
    let world = World::of(0);
    let quiet = Event { notice: None, ..event(0) };
    assert_eq!(world.handle(vec![record_of("INSERT", 0, &quiet)]).await, [] as [&str; 0]);
    assert_eq!(world.store.requests().len(), 0);
}

#[tokio::test]
async fn a_mail_that_may_succeed_later_is_reported_and_sent_by_the_next_delivery() {
    let world = World::of(5);
    world.mailer.faults().on("send", 3, Fault::Before);
    let failed = world.handle(inserted(5)).await;
    assert_eq!((failed.len(), world.sent().len()), (1, 4));
    let from: u32 = failed.first().unwrap().trim_start_matches('s').parse().unwrap();
    // Lambda repeats from the first failure.
    assert_eq!(world.handle(inserted(5).split_off(usize::try_from(from).unwrap())).await, [] as [&str; 0]);
    assert_eq!(world.sent().len(), 5);
}

#[tokio::test]
async fn a_refused_address_is_marked_and_holds_the_stream_up_no_longer() {
    let world = World::of(3);
    world.mailer.faults().by(|call| if call.number == 2 { Fault::Refused } else { Fault::None });
    assert_eq!(world.handle(inserted(3)).await, [] as [&str; 0]);
    assert!((0..3).all(|number| world.mailed(number)));
    assert_eq!(world.handle(inserted(3)).await, [] as [&str; 0]);
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test]
async fn while_the_table_fails_every_event_is_reported_and_none_is_mailed() {
    let world = World::of(3);
    world.store.faults().by(|_| Fault::Before);
    assert_eq!(world.handle(inserted(3)).await, ["s0", "s1", "s2"]);
    assert_eq!(world.sent(), [] as [&str; 0]);
    world.store.faults().clear();
    assert_eq!(world.handle(inserted(3)).await, [] as [&str; 0]);
    assert_eq!(world.sent().len(), 3);
}

#[tokio::test]
async fn an_event_whose_row_is_gone_is_done() {
    let world = World::of(0);
    assert_eq!(world.handle(inserted(1)).await, [] as [&str; 0]);
    assert_eq!(world.sent(), [] as [&str; 0]);
}

#[tokio::test]
async fn an_event_that_stands_twice_in_a_batch_is_mailed_once_and_stops_nothing() {
    let world = World::of(2);
    let batch = vec![record("INSERT", 0), record("INSERT", 0), record("INSERT", 1)];
    assert_eq!(world.handle(batch).await, [] as [&str; 0]);
    assert_eq!(world.sent().len(), 2);
}

#[tokio::test]
async fn two_deliveries_at_once_send_each_mail_once() {
    let world = World::of(20);
    let (one, other) = futures_of(&world).await;
    assert!(one.is_empty() || other.is_empty());
    world.clock.set("2026-12-01T10:05:00+09:00".parse().unwrap());
    assert_eq!(world.handle(inserted(20)).await, [] as [&str; 0]);
    assert_eq!(world.sent().len(), 20);
}

async fn futures_of(world: &World) -> (Vec<String>, Vec<String>) {
    tokio::join!(world.handle(inserted(20)), world.handle(inserted(20)))
}
