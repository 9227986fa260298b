//! Notices: one event, one mail, even across redeliveries; a crash may repeat one, and nothing loses one. (Law 8.)

use crate::world::{EMAIL, SOFT, World, customer, decline, standard};
use billing_core::event::Event;
use billing_core::subscription::{Customer, Subscription};
use billing_flows::fake::Fault;
use billing_flows::notify::{MAIL_LEASE, Notified};
use jiff::SignedDuration;

#[tokio::test]
async fn an_event_becomes_one_mail_to_its_customer() {
    let world = World::new();
    world.collect().await.unwrap();
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Sent]));
    assert_eq!(world.mailer.sent().first().unwrap().to.expose(), EMAIL);
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Before]));
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn an_event_that_tells_nobody_anything_sends_nothing() {
    let world = World::where_charges(billing_flows::fake::Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Nothing]));
    let silent = World::with([Subscription { customer: Customer::default(), ..standard() }]);
    silent.collect().await.unwrap();
    assert!(matches!(silent.notify_of(&silent.events()).await[..], [Notified::Nothing]));
}

#[tokio::test]
async fn the_answers_are_in_the_order_of_the_events_however_many() {
    let world = World::with((0..130).map(customer));
    world.run().await;
    let mut events = world.events();
    world.notify_of(events.get(50..60).unwrap()).await;
    let quiet = Event { notice: None, ..events.first().unwrap().clone() };
    events.insert(0, quiet);
    let answers = world.notify_of(&events).await;
    let names: Vec<&str> = (answers.iter())
        .map(|answer| match answer {
            Notified::Sent => "sent",
            Notified::Before => "before",
            Notified::Nothing => "nothing",
            Notified::Refused(_) | Notified::Later(_) => "other",
        })
        .collect();
    let expected = |place: usize| {
        if place == 0 {
            "nothing"
        } else if (51..61).contains(&place) {
            "before"
        } else {
            "sent"
        }
    };
    assert!(names.iter().enumerate().all(|(place, name)| *name == expected(place)), "{names:?}");
    assert_eq!(world.mailer.sent().len(), 130);
}

#[tokio::test]
async fn a_mail_that_failed_is_sent_by_the_next_delivery_without_waiting() {
    let world = World::new();
    world.collect().await.unwrap();
    world.mailer.faults().next("send", Fault::Before);
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Later(_)]));
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Sent]));
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_marked_not_tried_again_and_says_why() {
    let world = World::new();
    world.collect().await.unwrap();
    world.mailer.faults().next("send", Fault::Refused);
    let answers = world.notify_of(&world.events()).await;
    assert!(matches!(&answers[..], [Notified::Refused(why)] if why == "a fault on order"), "{answers:?}");
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Before]));
    assert_eq!(world.mailer.sent(), []);
}

#[tokio::test]
async fn one_mail_that_fails_keeps_no_other() {
    let world = World::with((0..10).map(customer));
    world.run().await;
    world.mailer.faults().on("send", 4, Fault::Before);
    let answers = world.notify_of(&world.events()).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Notified::Sent)).count(), 9);
}

#[tokio::test]
async fn a_mark_that_could_not_be_written_repeats_the_mail_once_the_claim_is_over_and_not_before() {
    let world = World::new();
    world.collect().await.unwrap();
    world.store.faults().next("mark_mailed", Fault::Before);
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Later(_)]));
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Later(_)]));
    assert_eq!(world.mailer.sent().len(), 1);
    world.clock.advance(MAIL_LEASE + SignedDuration::from_secs(1));
    assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Sent]));
    assert_eq!(world.mailer.sent().len(), 2);
}

#[tokio::test]
async fn a_mark_whose_answer_was_lost_repeats_nothing() {
    let world = World::new();
    world.collect().await.unwrap();
    world.store.faults().next("mark_mailed", Fault::After);
    world.notify_of(&world.events()).await;
    world.minutes_pass(5);
    world.notify_of(&world.events()).await;
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn claims_that_cannot_be_written_send_nothing_and_are_tried_again() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::where_charges(decline(SOFT));
        world.collect().await.unwrap();
        world.store.faults().next("claim_notices", fault);
        assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Later(_)]));
        assert_eq!(world.mailer.sent(), []);
        world.minutes_pass(5);
        assert!(matches!(world.notify_of(&world.events()).await[..], [Notified::Sent]));
    }
}

#[tokio::test]
async fn an_event_that_stands_twice_in_a_batch_is_mailed_once() {
    let world = World::with([customer(1), customer(2)]);
    world.run().await;
    let mut events = world.events();
    events.extend(world.events());
    let answers = world.notify_of(&events).await;
    assert!(!answers.iter().any(|answer| matches!(answer, Notified::Later(_))), "{answers:?}");
    assert_eq!(world.mailer.sent().len(), 2);
}
