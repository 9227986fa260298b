//! Refunds: what one wish gives back is given back once, whatever crashes, is lost or comes twice; and no wish is left without an answer.

use crate::world::{World, at, at_once, crash_everywhere, interleave_everywhere, payment_id, standard, told, won};
use billing_core::event::{Cause, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::Invoice;
use billing_core::money::Money;
use billing_core::refund::{CallerKey, RefundOutcome, RefundReason, RefundRefusal, RefundWish};
use billing_flows::FlowError;
use billing_flows::fake::CancelBehaviour::{self, Fail, Refuse, Request, Succeed, Unauthorized};
use billing_flows::fake::CancelBehaviour::{
    UnknownButDone, UnknownButFailed, UnknownButRequested, UnknownInFlight, UnknownNotReceived,
};
use billing_flows::fake::{AskFault, Fault};
use billing_flows::receive_webhook::PaymentHint;
use billing_flows::refund::RefundAnswer;

/// December is paid, and it is noon of the third.
fn paid() -> World {
    let world = World::new();
    at_once(world.collect()).unwrap();
    world.go_to("2026-12-03T12:00");
    world
}

/// The same, and the next refunds go so.
fn paid_and(behaviours: &[CancelBehaviour]) -> World {
    let world = paid();
    world.gateway.next_cancels(behaviours.to_vec());
    world
}

fn wish(minor: Option<i64>, key: &str) -> RefundWish {
    RefundWish {
        amount: minor.map(won),
        expected: None,
        reason: RefundReason::new("요금제를 잘못 골랐어요").unwrap(),
        key: Some(CallerKey::new(key).unwrap()),
    }
}

async fn try_refund(world: &World, wish: &RefundWish) -> Result<RefundAnswer, FlowError> {
    world.billing.refund(&payment_id(), wish, &Cause::Api("req-1".to_owned())).await
}

async fn refund(world: &World, wish: &RefundWish) -> RefundAnswer {
    try_refund(world, wish).await.unwrap()
}

/// 10,000 of the 30,000 won.
fn some() -> RefundWish {
    wish(Some(10_000), "order-77")
}

fn succeeded(refunded: i64, left: i64) -> RefundAnswer {
    RefundAnswer::Succeeded { refunded: won(refunded), left: won(left) }
}

fn given_back(world: &World) -> i64 {
    at_once(world.gateway_says()).refunded
}

fn outcome(world: &World) -> Option<RefundOutcome> {
    world.invoice().refunds[0].outcome.clone()
}

/// The caller repeats until it knows. Answers how it ended.
async fn repeat(world: &World, wish: &RefundWish) -> RefundAnswer {
    for _ in 0..80 {
        match try_refund(world, wish).await {
            Ok(RefundAnswer::Unknown | RefundAnswer::Requested) | Err(_) => world.minutes_pass(5),
            Ok(answer) => return answer,
        }
    }
    RefundAnswer::Unknown
}

/// Exactly what the refund's end says was given back, told once, and nothing else of the system moved.
async fn assert_right(world: &World, answer: &RefundAnswer, told: &str) {
    assert_eq!(refund(world, &some()).await, *answer, "the same key, the same answer: {told}");
    let is_done = matches!(answer, RefundAnswer::Succeeded { .. });
    let expected = if is_done { 10_000 } else { 0 };
    assert_eq!(given_back(world), expected, "{told}: {answer:?}");
    let status = if is_done { "partially_refunded" } else { "paid" };
    assert_eq!(world.statuses(), (status, "active"), "{told}: {answer:?}");
    assert_eq!(world.count(EventKind::InvoiceRefunded), usize::from(is_done), "{told}");
    assert_eq!(world.notices().iter().filter(|name| **name == "refunded").count(), usize::from(is_done), "{told}");
    assert_eq!(world.count(EventKind::RefundFailed), usize::from(!is_done), "{told}");
    assert_eq!(world.invoice().refunds.len(), 1, "{told}");
    assert_eq!(world.gateway.violations(), [] as [&str; 0], "{told}");
}

#[tokio::test]
async fn money_is_given_back_in_parts_and_then_the_rest() {
    let world = paid();
    let before = world.subscription();
    assert_eq!(refund(&world, &some()).await, succeeded(10_000, 20_000));
    assert_eq!(world.statuses(), ("partially_refunded", "active"));
    assert_eq!(refund(&world, &wish(None, "order-78")).await, succeeded(20_000, 0));
    assert_eq!(world.statuses(), ("refunded", "active"));
    assert_eq!(world.subscription(), before);
    assert_eq!(world.notices(), ["receipt", "refunded", "refunded"]);
    let sent: Vec<(u32, Money, Money)> =
        world.gateway.cancels().iter().map(|it| (it.refund, it.amount, it.cancellable)).collect();
    assert_eq!(sent, [(1, won(10_000), won(30_000)), (2, won(20_000), won(20_000))]);
    assert_eq!(world.gateway.cancels()[0].reason, "요금제를 잘못 골랐어요 (refund 1)");
}

#[tokio::test]
async fn the_intent_is_durable_before_portone_is_asked() {
    let world = paid();
    world.store.faults().on("commit", 3, Fault::Before);
    assert!(try_refund(&world, &some()).await.is_err());
    assert_eq!((world.gateway.cancels().len(), world.invoice().refunds.len()), (0, 0));
}

#[tokio::test]
async fn a_wish_that_cannot_be_met_is_refused_and_changes_nothing() {
    let world = paid();
    let before = world.tables();
    let expected = |minor| RefundWish { expected: Some(won(minor)), ..some() };
    for (wish, refusal) in [
        (wish(Some(30_001), "a"), RefundRefusal::MoreThanLeft { left: won(30_000) }),
        (wish(Some(0), "a"), RefundRefusal::NoSuchMoney),
        (expected(20_000), RefundRefusal::CancellableDiffers { ours: won(30_000), said: won(20_000) }),
    ] {
        assert_eq!(refund(&world, &wish).await, RefundAnswer::No(refusal));
    }
    let stranger = PaymentId::new("invNOBODY").unwrap();
    let answer = world.billing.refund(&stranger, &some(), &Cause::Api("1".to_owned())).await.unwrap();
    assert_eq!(answer, RefundAnswer::NoSuchPayment);
    assert_eq!((world.tables(), world.gateway.cancels().len()), (before, 0));
}

#[tokio::test]
async fn of_what_is_not_paid_parked_or_given_back_nothing_is_given_back() {
    let unpaid = World::where_charges(crate::world::decline(crate::world::SOFT));
    unpaid.collect().await.unwrap();
    assert_eq!(refund(&unpaid, &some()).await, RefundAnswer::No(RefundRefusal::NotPaid));
    let parked = paid();
    parked.store.put_invoice(&Invoice { quarantine: Some("why".to_owned()), ..parked.invoice() });
    assert_eq!(refund(&parked, &some()).await, RefundAnswer::No(RefundRefusal::Parked));
    let whole = paid();
    refund(&whole, &wish(None, "a")).await;
    assert_eq!(refund(&whole, &some()).await, RefundAnswer::No(RefundRefusal::NothingLeft));
    assert_eq!((unpaid.gateway.cancels().len(), parked.gateway.cancels().len()), (0, 0));
}

#[tokio::test]
async fn each_answer_of_portone_is_an_answer_of_ours_and_the_same_for_the_same_key() {
    let code = || "REJECTED".to_owned();
    for (behaviour, answer) in [
        (Succeed, succeeded(10_000, 20_000)),
        (Fail(code()), RefundAnswer::Failed { code: code() }),
        (
            Refuse("MAX_CANCEL_COUNT_REACHED".to_owned()),
            RefundAnswer::Refused { code: "MAX_CANCEL_COUNT_REACHED".to_owned() },
        ),
    ] {
        let world = paid_and(&[behaviour]);
        assert_eq!(refund(&world, &some()).await, answer);
        for _ in 0..3 {
            world.minutes_pass(100);
            assert_right(&world, &answer, "at once").await;
        }
        assert_eq!(world.gateway.cancels().len(), 1);
    }
}

#[tokio::test]
async fn a_key_is_good_for_one_wish() {
    let world = paid();
    refund(&world, &some()).await;
    for other in [wish(Some(9_999), "order-77"), wish(None, "order-77")] {
        assert_eq!(refund(&world, &other).await, RefundAnswer::KeyReused);
    }
    assert_eq!(given_back(&world), 10_000);
}

#[tokio::test]
async fn without_a_key_a_repetition_is_another_wish_but_not_while_the_first_is_undecided() {
    let keyless = RefundWish { key: None, ..some() };
    let world = paid_and(&[UnknownNotReceived]);
    assert_eq!(refund(&world, &keyless).await, RefundAnswer::Unknown);
    let blocked = RefundAnswer::No(RefundRefusal::AnotherUnderWay { number: 1 });
    assert_eq!(refund(&world, &keyless).await, blocked);
    world.minutes_pass(191);
    assert_eq!(refund(&world, &keyless).await, succeeded(10_000, 20_000));
    assert_eq!(outcome(&world), Some(RefundOutcome::Lost));
    assert_eq!(refund(&world, &keyless).await, succeeded(10_000, 10_000));
}

#[tokio::test]
async fn what_never_arrived_is_sent_again_under_its_key_but_not_before_its_lease_is_over() {
    let world = paid_and(&[UnknownNotReceived]);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Unknown);
    world.minutes_pass(2);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Unknown);
    assert_eq!(world.gateway.cancels().len(), 1);
    world.minutes_pass(2);
    assert_eq!(refund(&world, &some()).await, succeeded(10_000, 20_000));
    assert_right(&world, &succeeded(10_000, 20_000), "sent again").await;
}

#[tokio::test]
async fn nothing_is_sent_again_once_portone_may_have_forgotten_its_key_and_then_it_is_lost() {
    let world = paid_and(&[UnknownNotReceived]);
    refund(&world, &some()).await;
    world.minutes_pass(170);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Unknown);
    world.minutes_pass(20);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Lost);
    assert_eq!(world.gateway.cancels().len(), 1);
    assert_right(&world, &RefundAnswer::Lost, "lost").await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_by_asking_and_nothing_is_sent_again() {
    for (behaviour, answer) in [
        (UnknownButDone, succeeded(10_000, 20_000)),
        (UnknownButFailed("REJECTED".to_owned()), RefundAnswer::Failed { code: "FAILED".to_owned() }),
    ] {
        let world = paid_and(&[behaviour]);
        assert_eq!(refund(&world, &some()).await, RefundAnswer::Unknown);
        assert_right(&world, &answer, "asked").await;
        assert_eq!(world.gateway.cancels().len(), 1);
    }
}

#[tokio::test]
async fn a_refund_that_portone_decides_later_is_open_until_then() {
    for behaviour in [Request, UnknownButRequested] {
        for (is_given_back, answer) in
            [(true, succeeded(10_000, 20_000)), (false, RefundAnswer::Failed { code: "FAILED".to_owned() })]
        {
            let world = paid_and(std::slice::from_ref(&behaviour));
            refund(&world, &some()).await;
            world.minutes_pass(300);
            assert_eq!(refund(&world, &some()).await, RefundAnswer::Requested);
            let blocked = RefundAnswer::No(RefundRefusal::AnotherUnderWay { number: 1 });
            assert_eq!(refund(&world, &wish(None, "order-78")).await, blocked);
            assert_eq!(world.count(EventKind::RefundRequested), 1);
            assert!(world.gateway.decide_refund(&payment_id(), 1, is_given_back));
            assert_right(&world, &answer, "decided later").await;
        }
    }
}

#[tokio::test]
async fn a_refund_given_back_late_is_settled_by_the_webhook_alone() {
    let world = paid_and(&[Request]);
    refund(&world, &some()).await;
    world.gateway.decide_refund(&payment_id(), 1, true);
    world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
    assert_eq!(outcome(&world), Some(RefundOutcome::Succeeded));
    assert_right(&world, &succeeded(10_000, 20_000), "by webhook").await;
    let asked = world.asked();
    refund(&world, &some()).await;
    assert_eq!(world.asked(), asked, "what has ended is not asked about");
}

#[tokio::test]
async fn money_given_back_by_hand_meanwhile_refuses_the_refund_and_the_books_learn_of_it() {
    let world = paid();
    world.gateway.refund(&payment_id(), 5_000);
    let broken = RefundAnswer::Refused { code: "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN".to_owned() };
    assert_eq!(refund(&world, &some()).await, broken);
    assert_eq!((given_back(&world), world.statuses().0), (5_000, "partially_refunded"));
    assert_eq!(refund(&world, &wish(None, "order-78")).await, succeeded(25_000, 0));
    assert_eq!(refund(&world, &some()).await, broken);
}

#[tokio::test]
async fn refused_credentials_decide_nothing_and_the_repetition_is_made_when_they_are_mended() {
    let world = paid_and(&[Unauthorized]);
    assert!(matches!(try_refund(&world, &some()).await, Err(FlowError::Unauthorized(_))));
    world.minutes_pass(5);
    assert_right(&world, &refund(&world, &some()).await, "mended").await;
    assert_eq!(given_back(&world), 10_000);
}

#[tokio::test]
async fn a_re_send_that_is_refused_proves_nothing_about_the_first() {
    let world = paid_and(&[UnknownInFlight, Refuse("INVALID_REQUEST".to_owned())]);
    refund(&world, &some()).await;
    world.minutes_pass(5);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Unknown);
}

#[tokio::test]
async fn what_arrives_after_it_was_called_lost_is_a_fact_all_the_same() {
    let world = paid_and(&[UnknownInFlight]);
    refund(&world, &some()).await;
    world.minutes_pass(190);
    assert_eq!(refund(&world, &some()).await, RefundAnswer::Lost);
    assert_eq!(world.gateway.deliver_cancels(), 1);
    world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
    assert_eq!((outcome(&world), world.statuses().0), (Some(RefundOutcome::Succeeded), "partially_refunded"));
    assert_eq!(refund(&world, &some()).await, succeeded(10_000, 20_000));
}

#[tokio::test]
async fn a_refund_whose_reason_portone_changed_is_known_by_its_amount_and_its_time() {
    for (by_api, is_ours) in [(true, true), (false, false)] {
        let world = paid_and(&[UnknownButDone]);
        refund(&world, &some()).await;
        let mut seen = world.gateway_says().await;
        seen.cancellations[0].reason = "cut".to_owned();
        seen.cancellations[0].by_api = by_api;
        world.gateway.put_payment(seen, at("2026-12-01T10:00"));
        let known = refund(&world, &some()).await == succeeded(10_000, 20_000);
        assert_eq!(known, is_ours);
    }
}

#[tokio::test]
async fn a_crash_at_any_point_gives_back_once_and_is_answered() {
    let code = || "REJECTED".to_owned();
    for first in [
        Succeed,
        Fail(code()),
        Refuse("MAX_CANCEL_COUNT_REACHED".to_owned()),
        Unauthorized,
        UnknownNotReceived,
        UnknownInFlight,
        UnknownButDone,
        UnknownButFailed(code()),
    ] {
        let act = async |world: &World| drop(try_refund(world, &some()).await);
        let crashes = crash_everywhere(
            || paid_and(std::slice::from_ref(&first)),
            act,
            async |world, told| {
                let answer = repeat(world, &some()).await;
                world.gateway.deliver_cancels();
                assert_right(world, &answer, &format!("{first:?}, {told}")).await;
            },
        )
        .await;
        assert!(crashes >= 6, "{first:?}: {crashes}");
    }
}

#[tokio::test]
async fn a_crash_at_any_point_of_the_repetition_gives_back_once() {
    for first in [UnknownNotReceived, UnknownButDone, UnknownInFlight, UnknownButRequested] {
        let act = async |world: &World| {
            refund(world, &some()).await;
            world.minutes_pass(5);
            world.gateway.decide_refund(&payment_id(), 1, true);
            drop(try_refund(world, &some()).await);
        };
        crash_everywhere(
            || paid_and(std::slice::from_ref(&first)),
            act,
            async |world, told| {
                world.minutes_pass(5);
                let mut answer = RefundAnswer::Unknown;
                for _ in 0..80 {
                    world.gateway.decide_refund(&payment_id(), 1, true);
                    answer = repeat(world, &some()).await;
                    if answer != RefundAnswer::Unknown {
                        break;
                    }
                }
                world.gateway.deliver_cancels();
                assert_right(world, &answer, &format!("{first:?}, {told}")).await;
                assert_eq!(given_back(world), 10_000, "{told}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_table_that_fails_at_any_request_costs_no_second_refund_and_no_answer() {
    for fault in [Fault::Before, Fault::After] {
        for behaviour in [Succeed, UnknownButDone, UnknownNotReceived, Refuse("MAX_CANCEL_COUNT_REACHED".to_owned())] {
            for request in 1..12 {
                let world = paid_and(std::slice::from_ref(&behaviour));
                let before: u64 = world.store.requests().values().sum();
                world.store.faults().by(move |call| if call.of_all == before + request { fault } else { Fault::None });
                drop(try_refund(&world, &some()).await);
                let answer = repeat(&world, &some()).await;
                world.store.faults().clear();
                assert_right(&world, &answer, &format!("{behaviour:?}, {fault:?} of request {request}")).await;
            }
        }
    }
}

#[tokio::test]
async fn a_webhook_at_any_point_of_a_refund_tells_nobody_twice() {
    for behaviour in [Succeed, UnknownButDone] {
        interleave_everywhere(
            || paid_and(std::slice::from_ref(&behaviour)),
            async |world| drop(try_refund(world, &some()).await),
            async |world| drop(world.receive(&told(PaymentHint::Cancelled)).await),
            async |world, told| {
                let answer = repeat(world, &some()).await;
                assert_right(world, &answer, told).await;
                assert_eq!(given_back(world), 10_000, "{told}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn two_callers_with_one_key_give_back_once() {
    for behaviour in [Succeed, UnknownButDone, UnknownNotReceived] {
        interleave_everywhere(
            || paid_and(std::slice::from_ref(&behaviour)),
            async |world| drop(try_refund(world, &some()).await),
            async |world| drop(try_refund(world, &some()).await),
            async |world, told| {
                let answer = repeat(world, &some()).await;
                assert_right(world, &answer, told).await;
                assert_eq!(given_back(world), 10_000, "{told}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn of_two_wishes_at_once_each_that_is_said_to_have_succeeded_was_given_back() {
    interleave_everywhere(
        paid,
        async |world| drop(try_refund(world, &wish(Some(10_000), "a")).await),
        async |world| drop(try_refund(world, &wish(Some(25_000), "b")).await),
        async |world, told| {
            let done = world.invoice().refunds.into_iter().filter(|it| it.outcome == Some(RefundOutcome::Succeeded));
            let sum: i64 = done.map(|refund| refund.amount.minor()).sum();
            assert_eq!(given_back(world), sum, "{told}");
            assert!(sum == 10_000 || sum == 25_000, "{told}");
            assert_eq!(world.gateway.violations(), [] as [&str; 0], "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn money_given_back_by_hand_at_any_point_is_never_more_in_all_than_was_wished() {
    interleave_everywhere(
        paid,
        async |world| drop(try_refund(world, &some()).await),
        async |world| {
            world.gateway.refund(&payment_id(), 5_000);
        },
        async |world, told| {
            let answer = repeat(world, &some()).await;
            world.receive(&crate::world::told(PaymentHint::Cancelled)).await.unwrap();
            let ours = if matches!(answer, RefundAnswer::Succeeded { .. }) { 10_000 } else { 0 };
            assert_eq!(given_back(world), 5_000 + ours, "{told}");
            let refunded = match world.invoice().state {
                billing_core::invoice::State::PartiallyRefunded { refunded, .. } => refunded.minor(),
                _ => 0,
            };
            assert_eq!(refunded, 5_000 + ours, "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_refund_that_nobody_repeats_is_decided_by_the_next_nights() {
    for (behaviour, is_given_back, end) in [
        (UnknownButDone, None, RefundOutcome::Succeeded),
        (UnknownNotReceived, None, RefundOutcome::Lost),
        (UnknownButFailed("X".to_owned()), None, RefundOutcome::Failed { code: "FAILED".to_owned() }),
        (Request, Some(true), RefundOutcome::Succeeded),
        (Request, Some(false), RefundOutcome::Failed { code: "FAILED".to_owned() }),
    ] {
        let world = paid_and(std::slice::from_ref(&behaviour));
        refund(&world, &some()).await;
        if let Some(is_given_back) = is_given_back {
            world.gateway.decide_refund(&payment_id(), 1, is_given_back);
        }
        world.go_to("2026-12-04T02:40");
        let told = world.compare("2026-11-27T00:00", "2026-12-04T00:00").await;
        assert_eq!(outcome(&world), Some(end), "{behaviour:?}");
        assert_eq!((told.settled, told.differences, told.failed), (1, 0, 0), "{behaviour:?}");
        assert_eq!(world.gateway.cancels().len(), 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn whichever_question_of_a_night_is_not_answered_a_later_night_decides_the_refund() {
    for answered in 0..4 {
        let world = paid_and(&[UnknownNotReceived]);
        refund(&world, &some()).await;
        world.go_to("2026-12-04T02:40");
        world.gateway.next_asks(std::iter::repeat_n(None, answered).chain([Some(AskFault::Unavailable)]));
        let _ = world.billing.nightly(world.now(), || false).await;
        world.gateway.all_asks(None);
        world.go_to("2026-12-20T02:40");
        world.billing.nightly(world.now(), || false).await.unwrap();
        assert_eq!(outcome(&world), Some(RefundOutcome::Lost), "after {answered} answers");
    }
}

#[tokio::test]
async fn a_refund_of_a_payment_of_last_year_is_decided_at_night_as_well() {
    let world = paid_and(&[UnknownButRequested]);
    world.go_to("2027-11-20T12:00");
    refund(&world, &some()).await;
    world.gateway.decide_refund(&payment_id(), 1, false);
    world.go_to("2027-11-21T02:40");
    world.compare("2027-11-14T00:00", "2027-11-21T00:00").await;
    assert_eq!(outcome(&world), Some(RefundOutcome::Failed { code: "FAILED".to_owned() }));
}

#[tokio::test]
async fn a_refund_leaves_the_next_period_as_it_is() {
    let world = paid();
    refund(&world, &wish(None, "a")).await;
    world.live_until("2027-01-02T00:00").await;
    assert_eq!(world.store.all_invoices().len(), 2);
    let january = world.store.all_invoices().into_iter().find(|it| it.payment_id != payment_id()).unwrap();
    assert_eq!((january.state.status(), &january.subscription), ("paid", &standard().key));
}
