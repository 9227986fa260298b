//! Law 2, unknown is an outcome: it is asked about before anything else is done; a 404 soon after proves nothing; within the window the same
//! idempotency key may be sent again, and that is the only re-send there is.

use crate::world::{SOFT, World, at, decline, payment_id, seen};
use billing_core::decline::Decline;
use billing_core::event::EventKind;
use billing_core::invoice::{LOST_AFTER, Outcome, RESEND_WINDOW};
use billing_flows::collect::{Collected, Skip};
use billing_flows::fake::{AskFault, Behaviour};
use billing_flows::ports::SeenStatus;

#[tokio::test]
async fn an_unknown_end_is_no_failure() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("unknown"));
    assert_eq!(world.statuses(), ("unknown", "active"));
    assert_eq!((world.kinds(), world.notices()), (vec![EventKind::PaymentUnknown], vec![]));
}

#[tokio::test]
async fn an_unknown_end_is_asked_about_and_not_charged_again_if_it_was_paid() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.minutes_pass(5);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    assert_eq!((world.asked(), world.attempts_sent()), (1, vec![1]));
    world.assert_paid_once("asked");
}

#[tokio::test]
async fn an_unknown_end_that_was_a_decline_becomes_one_when_it_is_known() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButDeclined(SOFT.to_owned())]);
    world.collect().await.unwrap();
    world.minutes_pass(5);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("failed"));
    assert_eq!((world.notices(), world.attempts_sent()), (vec!["payment_failed"], vec![1]));
}

#[tokio::test]
async fn portone_is_asked_before_it_is_sent_anything_again() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    for resends in 1..=2u64 {
        world.minutes_pass(60);
        world.gateway.all_asks(Some(AskFault::Unavailable));
        world.reconcile().await;
        let before = usize::try_from(resends).unwrap();
        assert_eq!(world.attempts_sent().len(), before, "sent again without an answer");
        world.gateway.all_asks(None);
        world.reconcile().await;
        assert_eq!(world.attempts_sent().len(), before + 1);
    }
    assert_eq!(world.asked(), 4);
}

#[tokio::test]
async fn a_404_soon_after_proves_nothing_and_the_first_copy_may_still_arrive() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownInFlight, Behaviour::UnknownInFlight]);
    world.collect().await.unwrap();
    world.minutes_pass(60);
    world.reconcile().await;
    assert_eq!((world.attempts_sent(), world.count(EventKind::AttemptLost)), (vec![1, 1], 0));
    assert_eq!(world.gateway.deliver(&Behaviour::Approve), 2);
    world.minutes_pass(60);
    world.reconcile().await;
    world.assert_paid_once("both copies arrived");
}

#[tokio::test]
async fn an_order_is_sent_again_only_under_its_own_idempotency_key_and_only_within_the_window() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    for _ in 0..200 {
        world.minutes_pass(1);
        world.reconcile().await;
    }
    let last = world.gateway.charges().into_iter().last().unwrap();
    assert!(last.at < at("2026-12-01T10:00") + RESEND_WINDOW);
    assert!(world.attempts_sent().iter().all(|attempt| *attempt == 1));
    assert_eq!(world.gateway.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn after_the_window_a_404_proves_the_attempt_lost_and_the_next_run_makes_another() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.collect().await.unwrap();
    world.clock.set(at("2026-12-01T10:00") + LOST_AFTER - jiff::SignedDuration::from_secs(1));
    world.reconcile().await;
    assert_eq!(world.statuses(), ("unknown", "active"));
    world.clock.set(at("2026-12-01T10:00") + LOST_AFTER);
    world.reconcile().await;
    assert_eq!(world.kinds(), [EventKind::PaymentUnknown, EventKind::AttemptLost]);
    world.run().await;
    assert_eq!((world.attempts_sent(), world.invoice().declines()), (vec![1, 2], 0));
    world.assert_paid_once("by the second attempt");
}

#[tokio::test]
async fn a_lost_copy_that_arrives_after_all_does_not_charge_twice() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownInFlight]);
    world.collect().await.unwrap();
    world.clock.set(at("2026-12-01T10:00") + LOST_AFTER);
    world.reconcile().await;
    world.run().await;
    world.gateway.deliver(&Behaviour::Approve);
    world.live_until("2026-12-03T00:00").await;
    world.assert_paid_once("the lost copy arrived late");
}

#[tokio::test]
async fn days_of_not_knowing_tell_the_customer_nothing_and_are_not_held_against_them() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.run().await;
    world.live_until("2026-12-09T09:00").await;
    assert_eq!((world.notices(), world.mailer.sent(), world.invoice().declines()), (vec![], vec![], 0));
    assert_eq!(world.subscription().state.status(), "active");
    world.gateway.always(Behaviour::Approve);
    world.live_until("2026-12-11T00:00").await;
    world.assert_paid_once("when PortOne was back");
}

#[tokio::test]
async fn a_resend_that_is_refused_proves_nothing_about_the_first_copy() {
    for again in [Behaviour::Refuse("INVALID_REQUEST".to_owned()), Behaviour::Unauthorized] {
        let world = World::new();
        world.gateway.next([Behaviour::UnknownInFlight, again.clone()]);
        world.collect().await.unwrap();
        world.minutes_pass(30);
        drop(world.billing.reconcile(world.now(), || false).await);
        assert_eq!(world.statuses(), ("unknown", "active"), "{again:?}");
        assert_eq!(world.invoice().attempts.last().unwrap().outcome, Some(Outcome::Unknown), "{again:?}");
        if again == Behaviour::Unauthorized {
            world.gateway.deliver(&Behaviour::Approve);
            world.live_until("2026-12-03T00:00").await;
            world.assert_paid_once("the first copy arrived");
        }
    }
}

#[tokio::test]
async fn an_earlier_attempts_failure_says_nothing_about_this_one() {
    let world = World::new();
    world.gateway.next([decline(SOFT), Behaviour::UnknownInFlight]);
    world.collect().await.unwrap();
    world.go_to("2026-12-02T10:00");
    world.collect().await.unwrap();
    world.gateway.all_asks(None);
    world.minutes_pass(5);
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.reconcile().await;
    assert_eq!((world.invoice().declines(), world.invoice().state.status()), (1, "unknown"));
    world.gateway.deliver(&Behaviour::Approve);
    world.minutes_pass(5);
    world.reconcile().await;
    world.assert_paid_once("the second attempt arrived");
}

#[tokio::test]
async fn while_portone_cannot_be_asked_nothing_is_concluded_however_long_it_takes() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.live_until("2026-12-04T12:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("unknown", "active"), vec![1]));
    world.gateway.all_asks(None);
    world.live_until("2026-12-04T14:00").await;
    world.assert_paid_once("asked at last");
}

#[tokio::test]
async fn a_status_that_is_not_known_decides_nothing() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.collect().await.unwrap();
    world.gateway.put_payment(seen(SeenStatus::Other("SOMETHING_NEW".to_owned())), at("2026-12-01T10:00"));
    world.live_until("2026-12-03T12:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("unknown", "active"), vec![1]));
    world.gateway.set_status(&payment_id(), SeenStatus::Paid { at: at("2026-12-01T10:00") });
    world.reconcile().await;
    assert_eq!(world.statuses(), ("paid", "active"));
}

#[tokio::test]
async fn a_failure_before_the_attempt_began_is_not_the_attempts() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownInFlight]);
    world.collect().await.unwrap();
    let long_ago = SeenStatus::Failed { at: at("2026-12-01T09:00"), decline: Decline::no_method("OLD") };
    world.gateway.put_payment(seen(long_ago), at("2026-12-01T09:00"));
    world.go_to("2026-12-01T23:45"); // banks are down, so nothing is sent again
    world.clock.set(at("2026-12-01T10:00") + jiff::SignedDuration::from_mins(175));
    world.reconcile().await;
    assert_eq!(world.statuses(), ("unknown", "active"));
}

#[tokio::test]
async fn a_resend_that_is_told_the_payment_id_is_used_up_proves_nothing_about_the_first_copy() {
    let world = World::new();
    world.gateway.next([decline(SOFT), Behaviour::UnknownInFlight, Behaviour::UsedUp]);
    world.run().await;
    world.go_to("2026-12-02T10:00");
    world.run().await;
    world.minutes_pass(20);
    world.reconcile().await;
    assert_eq!((world.statuses(), world.count(EventKind::InvoiceSuperseded)), (("unknown", "past_due"), 0));
    world.gateway.deliver(&Behaviour::Approve);
    world.live_until("2026-12-10T12:00").await;
    world.assert_paid_once("the first copy arrived");
}

#[tokio::test]
async fn nothing_is_sent_again_while_banks_are_down() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.go_to("2026-12-01T23:25");
    world.collect().await.unwrap();
    world.go_to("2026-12-01T23:45");
    world.reconcile().await;
    assert_eq!(world.attempts_sent(), [1]);
    world.go_to("2026-12-02T00:31");
    world.reconcile().await;
    world.assert_paid_once("sent again after the banks' night");
}

#[tokio::test]
async fn an_answer_that_only_says_to_ask_is_asked_about_at_once() {
    let world = World::where_charges(Behaviour::AlreadyPaid);
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("paid"));
    world.assert_paid_once("already paid");
    let world = World::where_charges(Behaviour::AlreadyPaid);
    world.gateway.all_asks(Some(AskFault::Unavailable));
    assert_eq!(world.collect().await.unwrap(), Collected::Settled("unknown"));
    world.gateway.all_asks(None);
    world.live_until("2026-12-01T12:00").await;
    world.assert_paid_once("asked later");
}

#[tokio::test]
async fn while_a_worker_may_still_be_in_the_call_nobody_else_does_anything() {
    let world = World::new();
    {
        let mut work = std::pin::pin!(world.collect());
        while world.gateway.charges().is_empty() {
            assert!(crate::world::poll_times(work.as_mut(), 1).is_none());
        }
    }
    world.minutes_pass(2);
    assert_eq!(world.collect().await.unwrap(), Collected::Skipped(Skip::InProgress));
    assert_eq!((world.reconcile().await.asked, world.asked()), (0, 0));
}
