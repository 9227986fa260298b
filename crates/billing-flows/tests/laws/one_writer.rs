//! Law 6, one writer per transition, by condition: however many come at once, one charges and one settles.

use crate::world::{
    HARD, OTHER_KEY, SOFT, World, at_once, decline, interleave_everywhere, issued, method, payment_id, told,
    told_of_key,
};
use billing_core::event::EventKind;
use billing_flows::fake::Behaviour;
use billing_flows::plan_run::plan_run;
use billing_flows::receive_webhook::{KeyHint, PaymentHint};
use futures::future::join_all;

#[tokio::test]
async fn two_workers_at_once_charge_once() {
    let world = World::new();
    let (one, other) = futures::join!(world.collect(), world.collect());
    one.unwrap();
    other.unwrap();
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("two workers");
}

#[tokio::test]
async fn fifty_workers_at_once_charge_once() {
    for charge in [Behaviour::Approve, Behaviour::UnknownButPaid, Behaviour::AlreadyPaid] {
        let world = World::where_charges(charge.clone());
        for worked in join_all((0..50).map(|_| world.collect())).await {
            worked.unwrap();
        }
        assert_eq!(world.attempts_sent(), [1], "{charge:?}");
        world.minutes_pass(5);
        world.reconcile().await;
        world.assert_paid_once(&format!("{charge:?}"));
    }
}

#[tokio::test]
async fn a_second_worker_at_any_point_of_the_first_charges_nothing_more() {
    let ways = [Behaviour::Approve, Behaviour::UnknownButPaid, Behaviour::AlreadyPaid, Behaviour::Pending];
    for charge in ways {
        interleave_everywhere(
            || World::where_charges(charge.clone()),
            async |world| {
                world.collect().await.unwrap();
            },
            async |world| {
                world.collect().await.unwrap();
            },
            async |world, told| {
                assert_eq!(world.attempts_sent(), [1], "{charge:?}, {told}");
                world.gateway.approve_pending(&payment_id());
                world.minutes_pass(60);
                world.reconcile().await;
                world.assert_paid_once(&format!("{charge:?}, {told}"));
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_second_worker_at_any_point_of_a_decline_duns_nothing_more() {
    for code in [SOFT, HARD] {
        interleave_everywhere(
            || World::where_charges(decline(code)),
            async |world| {
                world.collect().await.unwrap();
            },
            async |world| {
                world.collect().await.unwrap();
            },
            async |world, told| {
                assert_eq!((world.attempts_sent(), world.notices()), (vec![1], vec!["payment_failed"]), "{told}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn two_planners_at_once_and_all_their_workers_charge_once() {
    let world = World::new();
    let now = world.now();
    let plan = || plan_run(&world.store, &world.queue, &world.telemetry, now, || false);
    let (one, other) = futures::join!(plan(), plan());
    assert_eq!((one.unwrap().due, other.unwrap().due), (1, 1));
    world.work_off().await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("two planners");
}

#[tokio::test]
async fn a_crowd_of_workers_webhooks_and_reconcilers_settles_once() {
    for charge in [Behaviour::Approve, Behaviour::UnknownButPaid] {
        let world = World::where_charges(charge.clone());
        let hook = told(PaymentHint::Paid);
        for round in 0..3 {
            let workers = join_all((0..20).map(|_| world.collect()));
            let webhooks = join_all((0..10).map(|_| world.receive(&hook)));
            let reconcilers = join_all((0..20).map(|_| world.billing.reconcile(world.now(), || false)));
            let (worked, received, asked) = futures::join!(workers, webhooks, reconcilers);
            for each in worked {
                each.unwrap();
            }
            for each in received {
                each.unwrap();
            }
            for each in asked {
                each.unwrap();
            }
            world.minutes_pass(5);
            assert_eq!(world.attempts_sent(), [1], "{charge:?}, round {round}");
        }
        world.assert_paid_once(&format!("{charge:?}"));
    }
}

#[tokio::test]
async fn two_reconcilers_send_an_order_again_once() {
    interleave_everywhere(
        || {
            let world = World::new();
            world.gateway.next([Behaviour::UnknownNotReceived]);
            at_once(world.collect()).unwrap();
            world.minutes_pass(30);
            world
        },
        async |world| {
            world.reconcile().await;
        },
        async |world| {
            world.reconcile().await;
        },
        async |world, told| {
            assert_eq!(world.attempts_sent(), [1, 1], "{told}");
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn a_retry_and_a_new_key_at_once_are_one_attempt_each_at_most() {
    let world = || {
        let world = World::new();
        world.gateway.script_key(&method(crate::world::FIRST_KEY).billing_key, decline(SOFT));
        world.gateway.put_key(issued(OTHER_KEY, "2026-12-02T09:59"));
        at_once(world.run());
        world
    };
    interleave_everywhere(
        world,
        async |world| {
            world.go_to("2026-12-02T10:00");
            world.run().await;
        },
        async |world| {
            world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
            world.work_off().await;
        },
        async |world, told| {
            world.minutes_pass(5);
            world.run().await;
            world.live_until("2026-12-05T12:00").await;
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn a_customer_who_cancels_at_any_point_is_charged_once_or_not_at_all() {
    let polls = interleave_everywhere(
        World::new,
        async |world| {
            world.collect().await.unwrap();
        },
        async |world| world.customer_cancels(),
        async |world, told| {
            world.live_until("2026-12-04T12:00").await;
            let charged = world.gateway.approvals().len();
            assert_eq!(world.count(EventKind::InvoicePaid), charged, "{told}");
            assert_eq!(world.subscription().state.status(), "canceled", "{told}");
            assert!(charged <= 1, "{told}");
        },
    )
    .await;
    assert!(polls > 3);
}

#[tokio::test]
async fn a_cancellation_before_the_claim_is_written_stops_the_charge() {
    let world = World::new();
    let canceler = (world.store.clone(), world.subscription().canceled(world.now()).unwrap());
    world.store.faults().by(move |call| {
        if call.method == "commit" && call.number == 1 {
            canceler.0.put_subscription(&canceler.1);
        }
        billing_flows::fake::Fault::None
    });
    world.collect().await.unwrap();
    assert_eq!((world.gateway.charges(), world.subscription().state.status()), (vec![], "canceled"));
}
