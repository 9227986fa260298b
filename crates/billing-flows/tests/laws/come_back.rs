//! Coming back: an end that is not known is asked about within minutes, by the message that was about it. (Laws 2, 7 and 8.)

use crate::world::{SOFT, World, at, crash_everywhere, decline, poll_times};
use billing_flows::FlowError;
use billing_flows::collect::{Collected, Skip};
use billing_flows::fake::{AskFault, Behaviour, Fault};
use std::pin::pin;

fn sent_again(world: &World) -> u64 {
    world.queue.faults().requests().get("send_collect_later").copied().unwrap_or(0)
}

#[tokio::test]
async fn a_lost_answer_is_found_out_within_minutes_and_without_the_reconciler() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.come_back().await;
    assert_eq!((world.now(), world.asked(), sent_again(&world)), (at("2026-12-01T10:04"), 1, 1));
    world.assert_paid_once("by the message that came back");
}

#[tokio::test]
async fn an_order_that_never_arrived_is_sent_again_under_its_own_key_within_minutes() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.collect().await.unwrap();
    world.come_back().await;
    assert_eq!((world.attempts_sent(), world.asked()), (vec![1, 1], 1));
    world.assert_paid_once("sent again");
}

#[tokio::test]
async fn a_charge_whose_end_is_known_sends_no_message() {
    let refused = Behaviour::Refuse("INVALID_REQUEST".to_owned());
    for way in [Behaviour::Approve, decline(SOFT), Behaviour::Pending, refused] {
        let world = World::where_charges(way.clone());
        world.collect().await.unwrap();
        world.collect().await.unwrap();
        assert_eq!(sent_again(&world), 0, "{way:?}");
    }
}

#[tokio::test]
async fn the_message_comes_back_three_times_within_half_an_hour_and_the_hourly_pass_goes_on_asking() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.collect().await.unwrap();
    for minute in [4, 14, 29] {
        world.come_back().await;
        assert_eq!(world.now(), at(&format!("2026-12-01T10:{minute:02}")));
    }
    world.come_back().await;
    assert_eq!((world.asked(), sent_again(&world)), (3, 3));
    world.gateway.all_asks(None);
    world.reconcile().await;
    world.assert_paid_once("by the hourly pass");
}

#[tokio::test]
async fn a_message_that_finds_another_worker_at_it_comes_back_when_that_lease_is_over() {
    let world = World::new();
    {
        let mut dies = pin!(world.collect());
        while world.gateway.charges().is_empty() {
            assert!(poll_times(dies.as_mut(), 1).is_none());
        }
    }
    // The queue delivers twice, and the second delivery is the one that is worked off.
    assert_eq!(world.collect().await.unwrap(), Collected::Skipped(Skip::InProgress));
    world.come_back().await;
    world.assert_paid_once("after the lease");
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_again_is_not_worked_off_so_that_the_queue_delivers_it_again() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    let message = world.message();
    world.queue.faults().next("send_collect_later", Fault::Before);
    let failed = world.billing.collect(&world.queue, &message, None).await;
    assert!(matches!(failed, Err(FlowError::Queue(_))), "{failed:?}");
    world.minutes_pass(9);
    world.billing.collect(&world.queue, &message, None).await.unwrap();
    world.assert_paid_once("by the next delivery");
}

#[tokio::test]
async fn a_crash_anywhere_is_repaired_by_the_message_alone() {
    for way in [Behaviour::UnknownButPaid, Behaviour::UnknownNotReceived, Behaviour::Approve] {
        let crashes = crash_everywhere(
            || {
                let world = World::new();
                world.gateway.next([way.clone()]);
                world
            },
            async |world| drop(world.collect().await),
            async |world, told| {
                // The queue delivers again what was not worked off, and what was held back.
                world.minutes_pass(9);
                drop(world.collect().await);
                world.come_back().await;
                world.assert_paid_once(told);
            },
        )
        .await;
        assert!(crashes > 5, "{crashes}");
    }
}
