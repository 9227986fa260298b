//! The run: everything that is due, in every shard, over any number of pages, each once. (Laws 5 and 8.)

use crate::world::{World, at, customer, standard};
use billing_core::subscription::{DUE_SHARDS, Subscription};
use billing_flows::fake::{Fault, QueueMessage};
use billing_flows::plan_run::{PAGE, plan_run, plan_shard, run_id};
use billing_flows::ports::{MAX_BATCH, PlanMessage};
use std::cell::Cell;
use std::collections::BTreeSet;

fn planned(world: &World) -> Vec<String> {
    let subscription = |message: &QueueMessage| match message {
        QueueMessage::Collect(message) => Some(message.subscription_id.to_string()),
        QueueMessage::Plan(_) => None,
    };
    world.queue.messages().iter().filter_map(subscription).collect()
}

fn in_shard(shard: u8, count: usize) -> Vec<Subscription> {
    (0..).map(customer).filter(|row| row.due_shard() == shard).take(count).collect()
}

#[tokio::test]
async fn everything_that_is_due_in_any_shard_is_handed_over_once() {
    let customers: Vec<Subscription> = (0..200).map(customer).collect();
    let shards: BTreeSet<u8> = customers.iter().map(Subscription::due_shard).collect();
    assert_eq!(shards.len(), usize::from(DUE_SHARDS));
    let world = World::with(customers);
    let run = plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || false).await.unwrap();
    let handed = planned(&world);
    assert_eq!((run.due, run.continued, handed.len()), (200, 0, 200));
    assert_eq!(handed.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_shard_of_more_than_a_page_is_handed_over_whole() {
    let count = PAGE as usize + 7;
    let world = World::with(in_shard(1, count));
    let run = plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || false).await.unwrap();
    assert_eq!(run.due, u64::from(PAGE) + 7);
    assert_eq!(planned(&world).into_iter().collect::<BTreeSet<_>>().len(), count);
    let batches = *world.queue.faults().requests().get("send_collect").unwrap();
    assert_eq!(batches, u64::try_from((PAGE as usize).div_ceil(MAX_BATCH) + 1).unwrap());
}

#[tokio::test]
async fn what_is_not_due_is_not_handed_over() {
    let later = customer(2).declined(crate::world::december(), at("2026-12-02T10:00")).unwrap();
    let ended = customer(3).canceled(at("2026-11-30T10:00")).unwrap();
    let world = World::with([customer(1), later, ended]);
    plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || false).await.unwrap();
    assert_eq!(planned(&world), ["sub_0001"]);
}

#[tokio::test]
async fn a_message_carries_its_run_and_the_runs_now() {
    let world = World::new();
    world.run().await;
    let now = at("2026-12-02T10:00");
    world.go_to("2026-12-02T10:04");
    let world = World::new();
    plan_run(&world.store, &world.queue, &world.telemetry, now, || false).await.unwrap();
    let [QueueMessage::Collect(message)] = &world.queue.messages()[..] else { panic!("one message") };
    assert_eq!((&message.run, message.now, &message.user_id), (&run_id(now), now, &standard().key.user_id));
}

#[tokio::test]
async fn a_pass_that_is_late_from_the_start_leaves_every_shard_to_another() {
    let world = World::with((0..40).map(customer));
    let run = plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || true).await.unwrap();
    assert_eq!((run.due, run.continued), (0, u64::from(DUE_SHARDS)));
    assert_eq!(world.store.requests().len(), 0);
    let run_now = world.now();
    for (shard, message) in (0..).zip(world.queue.messages()) {
        let expected = PlanMessage { run: run_id(run_now), now: run_now, shard, after: None };
        assert_eq!(message, QueueMessage::Plan(expected));
    }
    world.work_off().await;
    assert_eq!(world.gateway.approvals().len(), 40);
}

#[tokio::test]
async fn a_pass_that_becomes_late_goes_on_where_it_was_and_hands_nobody_over_twice() {
    let world = World::with(in_shard(2, PAGE as usize * 2 + 5));
    let looks = Cell::new(0);
    // Late after the first page of shard 2, which is the fourth look.
    let is_late = || {
        looks.set(looks.get() + 1);
        looks.get() >= 4
    };
    let run = plan_run(&world.store, &world.queue, &world.telemetry, world.now(), is_late).await.unwrap();
    assert_eq!((run.due, run.continued), (u64::from(PAGE), 2));
    let first = planned(&world);
    let rest: Vec<QueueMessage> =
        world.queue.drain().into_iter().filter(|it| matches!(it, QueueMessage::Plan(_))).collect();
    for message in rest {
        if let QueueMessage::Plan(message) = message {
            plan_shard(&world.store, &world.queue, &world.telemetry, message, || false).await.unwrap();
        }
    }
    let second = planned(&world);
    assert_eq!(first.len() + second.len(), PAGE as usize * 2 + 5);
    assert_eq!(first.into_iter().chain(second).collect::<BTreeSet<_>>().len(), PAGE as usize * 2 + 5);
}

#[tokio::test]
async fn what_is_settled_between_two_pages_does_not_hide_what_follows() {
    let customers = in_shard(0, PAGE as usize + 20);
    let world = World::with(customers.clone());
    let store = world.store.clone();
    // As the second page is read, everyone of the first has been paid by quick workers.
    world.store.faults().by(move |call| {
        if call.method == "due" && call.number == 2 {
            for row in customers.iter().take(PAGE as usize) {
                store.put_subscription(&row.paid(crate::world::december()).unwrap());
            }
        }
        Fault::None
    });
    plan_run(&world.store, &world.queue, &world.telemetry, world.now(), || false).await.unwrap();
    assert_eq!(planned(&world).len(), PAGE as usize + 20);
}

#[tokio::test]
async fn a_duplicate_tick_of_a_run_that_is_done_finds_nothing() {
    let world = World::with((0..20).map(customer));
    let now = world.now();
    world.run().await;
    world.minutes_pass(3);
    let again = plan_run(&world.store, &world.queue, &world.telemetry, now, || false).await.unwrap();
    assert_eq!((again.due, world.queue.messages()), (0, vec![]));
}

#[tokio::test]
async fn a_duplicate_tick_in_the_midst_of_the_work_charges_nobody_twice() {
    let world = World::with((0..20).map(customer));
    let now = world.now();
    let tick = || plan_run(&world.store, &world.queue, &world.telemetry, now, || false);
    let (first, second, third) = futures::join!(tick(), tick(), tick());
    assert_eq!([first, second, third].map(|run| run.unwrap().due), [20; 3]);
    assert_eq!(world.work_off().await.len(), 60);
    assert_eq!((world.gateway.approvals().len(), world.gateway.charges().len()), (20, 20));
}
