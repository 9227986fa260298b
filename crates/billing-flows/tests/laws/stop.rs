//! The operator's switch: while it stands nobody is charged, and nobody who owes is forgotten for it. (Laws 5 and 8.)

use crate::world::{SOFT, World, customer, decline};
use billing_core::event::EventKind;
use billing_flows::fake::{Behaviour, Fault};
use billing_flows::ports::{Signal, Stop};
use billing_flows::stop::is_stopped;

fn stop() -> Stop {
    Stop { reason: "the PG is ill".to_owned() }
}

#[tokio::test]
async fn what_fell_due_while_collecting_was_stopped_is_collected_when_it_goes_on() {
    let world = World::with((0..20).map(customer));
    let before = world.tables();
    world.store.put_stop(Some(stop()));
    world.live_until("2026-12-04T09:00").await;
    assert_eq!((world.tables(), world.gateway.charges()), (before, vec![]));
    world.store.put_stop(None);
    world.live_until("2026-12-04T11:00").await;
    assert_eq!((world.gateway.approvals().len(), world.count(EventKind::InvoicePaid)), (20, 20));
}

#[tokio::test]
async fn messages_that_were_on_their_way_when_it_was_stopped_are_made_again_by_the_next_run() {
    let world = World::new();
    billing_flows::plan_run::plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || false)
        .await
        .unwrap();
    world.store.put_stop(Some(stop()));
    assert!(world.work_off().await.is_empty());
    assert!(world.queue.messages().is_empty());
    world.store.put_stop(None);
    world.go_to("2026-12-02T10:00");
    world.run().await;
    world.assert_paid_once("after the messages were dropped");
}

#[tokio::test]
async fn a_ladder_that_was_stopped_on_goes_on_and_skips_no_rung() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.store.put_stop(Some(stop()));
    world.live_until("2026-12-10T09:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    world.store.put_stop(None);
    world.live_until("2026-12-20T09:00").await;
    world.assert_expired_after_four_declines("after nine days of nothing");
}

#[tokio::test]
async fn an_end_that_nobody_knows_is_asked_about_all_the_same() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.run().await;
    world.store.put_stop(Some(stop()));
    world.live_until("2026-12-01T12:00").await;
    world.assert_paid_once("by the reconciler");
}

#[tokio::test]
async fn what_never_arrived_is_not_sent_again_until_it_goes_on() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.run().await;
    world.store.put_stop(Some(stop()));
    world.minutes_pass(60);
    world.reconcile().await;
    assert_eq!((world.asked(), world.attempts_sent()), (1, vec![1]));
    world.store.put_stop(None);
    world.minutes_pass(60);
    world.reconcile().await;
    assert_eq!(world.attempts_sent(), [1, 1]);
}

#[tokio::test]
async fn what_never_arrived_is_not_sent_again_while_nobody_knows_whether_it_is_stopped() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.run().await;
    world.minutes_pass(60);
    world.store.faults().next("stopped", Fault::Before);
    assert_eq!(world.reconcile().await.failed, 1);
    assert_eq!((world.asked(), world.attempts_sent()), (1, vec![1]));
}

#[tokio::test]
async fn whoever_finds_it_stopped_says_so_and_why() {
    let world = World::new();
    assert!(!is_stopped(&world.store, &world.telemetry, "planner").await.unwrap());
    world.store.put_stop(Some(stop()));
    assert!(is_stopped(&world.store, &world.telemetry, "planner").await.unwrap());
    let said = Signal::Stopped { who: "planner", reason: "the PG is ill".to_owned() };
    assert_eq!(world.telemetry.signals(), [said]);
}
