//! Law 3, classify by the error's type: declines become dunning; our own mistakes become alarms and dun nobody; refused credentials stop the
//! run, dun nobody and burn no attempt.

use crate::world::{HARD, SOFT, World, customer, decline};
use billing_core::event::EventKind;
use billing_core::subscription::Subscription;
use billing_flows::FlowError;
use billing_flows::collect::Collected;
use billing_flows::fake::{AskFault, Behaviour};

#[tokio::test]
async fn a_decline_is_dunning() {
    let world = World::where_charges(decline(SOFT));
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("failed"));
    assert_eq!((world.statuses(), world.notices()), (("failed", "past_due"), vec!["payment_failed"]));
    assert_eq!(world.telemetry.alarms(), []);
}

#[tokio::test]
async fn a_decline_code_nobody_has_seen_is_dunning_like_any_other() {
    let world = World::where_charges(decline("NEVER_SEEN_BEFORE"));
    world.run().await;
    world.live_until("2026-12-10T00:00").await;
    world.assert_expired_after_four_declines("unknown code");
}

#[tokio::test]
async fn a_mistake_of_ours_is_an_alarm_and_duns_nobody() {
    for code in ["INVALID_REQUEST", "CHANNEL_NOT_FOUND", "A_TYPE_OF_TOMORROW"] {
        let world = World::where_charges(Behaviour::Refuse(code.to_owned()));
        world.collect().await.unwrap();
        assert_eq!(world.telemetry.alarms(), [EventKind::PaymentRefused], "{code}");
        assert_eq!((world.statuses(), world.notices()), (("open", "active"), vec![]), "{code}");
    }
}

#[tokio::test]
async fn a_mistake_of_ours_is_tried_again_the_next_morning_and_not_within_the_day() {
    let world = World::new();
    world.gateway.next([Behaviour::Refuse("INVALID_REQUEST".to_owned())]);
    for _ in 0..5 {
        world.run().await;
        world.minutes_pass(60);
    }
    assert_eq!(world.attempts_sent(), [1]);
    world.go_to("2026-12-02T10:00");
    world.run().await;
    assert_eq!(world.attempts_sent(), [1, 2]);
    world.assert_paid_once("after it was mended");
}

#[tokio::test]
async fn our_mistakes_take_no_rung_of_the_customers_ladder() {
    let world = World::where_charges(Behaviour::Refuse("INVALID_REQUEST".to_owned()));
    world.run().await;
    world.live_until("2026-12-06T09:00").await;
    assert_eq!((world.invoice().declines(), world.notices()), (0, vec![]));
    world.gateway.always(decline(SOFT));
    world.live_until("2026-12-20T00:00").await;
    world.assert_expired_after_four_declines("after five refusals");
}

#[tokio::test]
async fn refused_credentials_are_an_error_and_dun_nobody() {
    let world = World::where_charges(Behaviour::Unauthorized);
    assert!(matches!(world.collect().await, Err(FlowError::Unauthorized(_))));
    assert_eq!((world.statuses(), world.notices()), (("open", "active"), vec![]));
    assert_eq!(world.telemetry.alarms(), [EventKind::PaymentRefused]);
}

#[tokio::test]
async fn refused_credentials_burn_no_attempt_however_often() {
    let world = World::where_charges(Behaviour::Unauthorized);
    for _ in 0..100 {
        world.run().await;
        world.minutes_pass(1);
    }
    assert_eq!(world.invoice().attempts.len(), 1);
    world.gateway.always(Behaviour::Approve);
    world.run().await;
    assert_eq!(world.invoice().attempts.len(), 1);
    world.assert_paid_once("by the first attempt");
}

#[tokio::test]
async fn credentials_that_are_refused_for_days_burn_no_attempt() {
    let world = World::where_charges(Behaviour::Unauthorized);
    world.run().await;
    world.live_until("2026-12-04T09:00").await;
    assert_eq!((world.invoice().attempts.len(), world.notices()), (1, vec![]));
    world.gateway.always(Behaviour::Approve);
    world.live_until("2026-12-04T11:00").await;
    world.assert_paid_once("when the secret was mended");
}

#[tokio::test]
async fn credentials_refused_to_a_question_conclude_nothing() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.gateway.all_asks(Some(AskFault::Unauthorized));
    world.minutes_pass(60);
    let before = world.tables();
    assert!(matches!(world.collect().await, Err(FlowError::Unauthorized(_))));
    assert_eq!(world.tables(), before);
}

#[tokio::test]
async fn refused_credentials_end_a_reconcilers_pass() {
    let many = (0..100).map(customer);
    let world = World::with(many);
    world.gateway.always(Behaviour::UnknownButPaid);
    world.run().await;
    world.minutes_pass(5);
    world.gateway.all_asks(Some(AskFault::Unauthorized));
    let asked = world.asked();
    assert!(matches!(world.billing.reconcile(world.now(), || false).await, Err(FlowError::Unauthorized(_))));
    assert!(world.asked() - asked <= 32, "{} questions", world.asked() - asked);
}

#[tokio::test]
async fn a_deleted_billing_key_is_a_hard_decline() {
    let world = World::new();
    world.gateway.delete_key(&world.subscription().method.unwrap().billing_key);
    world.run().await;
    world.live_until("2026-12-05T12:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("failed", "past_due"), vec![1]));
    assert_eq!(world.notices(), ["payment_failed"]);
}

#[tokio::test]
async fn one_customers_decline_is_not_anothers() {
    let world = World::with([customer(1), customer(2), customer(3)]);
    world.gateway.script_key(&customer(2).method.unwrap().billing_key, decline(HARD));
    world.run().await;
    let states: Vec<&str> =
        world.store.all_subscriptions().iter().map(|row: &Subscription| row.state.status()).collect();
    assert_eq!(states, ["active", "past_due", "active"]);
    assert_eq!(world.gateway.approvals().len(), 2);
}
