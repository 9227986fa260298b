//! Reconciling: nobody who owes is ever forgotten, and the books say what `PortOne` says. (Laws 2, 7 and 8.)

use crate::world::{
    SOFT, World, at, customer, decline, interleave_everywhere, payment_id, poll_times, seen, standard, store_id, told,
};
use billing_core::decline::Decline;
use billing_core::event::EventKind;
use billing_core::id::PaymentId;
use billing_core::settlement::Charged;
use billing_core::subscription::Subscription;
use billing_flows::fake::{AskFault, Behaviour, Fault, ROWS_PER_PAGE};
use billing_flows::ports::{CollectMessage, PaymentSeen, SeenStatus, Signal};
use billing_flows::receive_webhook::PaymentHint;
use billing_flows::reconcile::Reconciled;
use std::pin::pin;

fn december_of(subscription: &Subscription) -> PaymentId {
    PaymentId::derive(&store_id(), &subscription.key, crate::world::december(), billing_core::invoice::Part::Period, 0)
}

/// A name that has the shape of ours.
fn stranger(status: SeenStatus) -> PaymentSeen {
    PaymentSeen { payment_id: PaymentId::new(format!("inv{}", "A".repeat(32))).unwrap(), ..seen(status) }
}

#[tokio::test]
async fn the_hourly_pass_settles_what_is_unknown() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    let pass = world.reconcile().await;
    assert_eq!((pass.asked, pass.settled, pass.failed), (1, 1, 0));
    world.assert_paid_once("by the hourly pass");
}

#[tokio::test]
async fn the_hourly_pass_settles_what_a_dead_worker_left_once_its_lease_is_over() {
    let world = World::new();
    {
        let mut work = pin!(world.collect());
        while world.gateway.approvals().is_empty() {
            assert!(poll_times(work.as_mut(), 1).is_none());
        }
    }
    world.minutes_pass(2);
    assert_eq!(world.reconcile().await.asked, 0);
    world.minutes_pass(1);
    assert_eq!(world.reconcile().await.settled, 1);
    world.assert_paid_once("after the lease");
}

#[tokio::test]
async fn the_hourly_pass_asks_about_nothing_that_is_decided() {
    for way in [Behaviour::Approve, decline(SOFT), Behaviour::Refuse("INVALID_REQUEST".to_owned())] {
        let world = World::where_charges(way.clone());
        world.collect().await.unwrap();
        world.go_to("2026-12-02T11:00");
        assert_eq!((world.reconcile().await, world.asked()), (Reconciled::default(), 0), "{way:?}");
    }
}

#[tokio::test]
async fn the_hourly_pass_charges_nobody_for_the_first_time() {
    let world = World::with((0..10).map(customer));
    world.reconcile().await;
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
}

#[tokio::test]
async fn one_row_that_fails_keeps_the_pass_from_no_other() {
    let world = World::with((0..20).map(customer));
    world.gateway.always(Behaviour::UnknownButPaid);
    world.run().await;
    world.minutes_pass(5);
    world.store.faults().next("invoice", Fault::Before);
    let pass = world.reconcile().await;
    assert_eq!((pass.settled, pass.failed), (19, 1));
    assert_eq!(world.reconcile().await.settled, 1);
}

#[tokio::test]
async fn a_pass_that_is_late_stops_and_the_next_one_begins_again() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    let pass = world.billing.reconcile(world.now(), || true).await.unwrap();
    assert_eq!((pass.asked, pass.unfinished), (0, true));
    assert!(!world.reconcile().await.unfinished);
    world.assert_paid_once("by the next pass");
}

#[tokio::test]
async fn the_nightly_pass_finds_nothing_when_both_books_agree() {
    let world = World::with((0..250).map(customer));
    world.gateway.script_key(&customer(7).method.unwrap().billing_key, decline(SOFT));
    world.run().await;
    let pass = world.compare_the_first().await;
    assert_eq!((pass.settled, pass.differences, pass.failed), (0, 0, 0));
    assert_eq!(world.telemetry.alarms(), []);
}

#[tokio::test]
async fn the_nightly_pass_settles_what_every_webhook_and_answer_was_lost_of() {
    let world = World::with((0..20).map(customer));
    world.gateway.always(Behaviour::UnknownButPaid);
    world.run().await;
    assert_eq!(world.compare_the_first().await.settled, 20);
    assert!(world.store.all_invoices().iter().all(|row| row.state.status() == "paid"));
}

#[tokio::test]
async fn money_at_portone_that_no_invoice_of_ours_asked_for_is_a_difference_recorded_once() {
    let world = World::new();
    world.gateway.put_payment(stranger(SeenStatus::Paid { at: at("2026-12-01T12:00") }), at("2026-12-01T12:00"));
    for _ in 0..3 {
        assert_eq!(world.compare_the_first().await.differences, 1);
        world.minutes_pass(1440);
    }
    assert_eq!(world.telemetry.alarms(), [EventKind::BooksDiffer]);
}

#[tokio::test]
async fn payments_of_others_in_the_same_store_and_payments_that_moved_no_money_are_no_difference() {
    let world = World::new();
    let others = PaymentSeen {
        payment_id: PaymentId::new("shop-order-1").unwrap(),
        ..seen(SeenStatus::Paid { at: at("2026-12-01T12:00") })
    };
    let failed = SeenStatus::Failed { at: at("2026-12-01T12:00"), decline: Decline::no_method("X") };
    for payment in [others, stranger(failed)] {
        world.gateway.put_payment(payment, at("2026-12-01T12:00"));
    }
    assert_eq!((world.compare_the_first().await.differences, world.kinds()), (0, vec![]));
}

#[tokio::test]
async fn an_invoice_that_is_paid_in_our_books_only_is_a_difference_recorded_once() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.forget_payment(&payment_id());
    for _ in 0..3 {
        assert_eq!(world.compare_the_first().await.differences, 1);
    }
    assert_eq!(world.telemetry.alarms(), [EventKind::BooksDiffer]);
}

#[tokio::test]
async fn an_invoice_paid_today_under_a_payment_created_before_is_no_difference() {
    let world = World::new();
    world.gateway.next([Behaviour::Pending]);
    world.collect().await.unwrap();
    world.go_to("2026-12-03T12:00");
    world.gateway.approve_pending(&payment_id());
    world.reconcile().await;
    let pass = world.compare("2026-12-03T00:00", "2026-12-04T00:00").await;
    assert_eq!((pass.differences, world.telemetry.alarms()), (0, vec![]));
}

#[tokio::test]
async fn an_undecided_charge_of_a_cancelled_subscription_is_cleared_up_by_the_nightly_pass() {
    for (way, status) in [
        (Behaviour::UnknownButPaid, "paid"),
        (Behaviour::UnknownButDeclined(SOFT.to_owned()), "void"),
        (Behaviour::UnknownNotReceived, "void"),
    ] {
        let world = World::new();
        world.gateway.next([way.clone()]);
        world.collect().await.unwrap();
        world.customer_cancels();
        world.go_to("2026-12-02T03:00");
        world.compare_the_first().await;
        assert_eq!((world.statuses(), world.attempts_sent()), ((status, "canceled"), vec![1]), "{way:?}");
    }
}

#[tokio::test]
async fn a_night_that_got_no_answer_about_an_undecided_charge_is_no_good_one() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownNotReceived]);
    world.collect().await.unwrap();
    world.customer_cancels();
    world.go_to("2026-12-02T03:00");
    world.gateway.next_asks([None, None, Some(AskFault::Unavailable)]);
    assert_eq!(world.billing.nightly(world.now(), || false).await.unwrap().failed, 1);
    assert_eq!(night(&world, "2026-12-20T03:00").await.settled, 1);
    assert_eq!(world.statuses(), ("void", "canceled"));
}

#[tokio::test]
async fn a_question_that_fails_keeps_the_nightly_pass_from_no_other() {
    let world = World::with((0..10).map(customer));
    world.run().await;
    for number in 0..10 {
        world.gateway.forget_payment(&december_of(&customer(number)));
    }
    // Both listings are read, and one of the questions is not answered.
    world.gateway.next_asks([None, None, Some(AskFault::Unavailable)]);
    let pass = world.compare_the_first().await;
    assert_eq!((pass.differences, pass.failed), (9, 1));
    assert_eq!(world.compare_the_first().await.differences, 10);
}

#[tokio::test]
async fn a_nightly_pass_that_cannot_list_is_an_error_to_be_tried_again() {
    let world = World::new();
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.billing.compare(at("2026-12-01T00:00"), at("2026-12-02T00:00"), || false).await.unwrap_err();
}

#[tokio::test]
async fn a_refund_whose_webhook_was_lost_is_found_by_the_nightly_pass() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 30_000);
    world.go_to("2026-12-02T03:00");
    assert_eq!(world.compare_the_first().await.settled, 1);
    assert_eq!(world.statuses(), ("refunded", "active"));
}

#[tokio::test]
async fn a_paid_invoice_whose_subscription_did_not_move_on_is_healed_and_not_charged_again() {
    let world = World::new();
    let before = world.subscription();
    world.collect().await.unwrap();
    world.store.put_subscription(&Subscription { version: world.subscription().version + 1, ..before });
    world.minutes_pass(1);
    world.run().await;
    assert_eq!(world.attempts_sent(), [1]);
    world.assert_paid_once("healed");
}

#[tokio::test]
async fn money_given_back_days_later_is_found_on_the_day_it_was_though_every_webhook_was_lost() {
    for chargeback in [false, true] {
        let world = World::new();
        world.collect().await.unwrap();
        world.go_to("2026-12-20T15:00");
        if chargeback {
            world.gateway.charge_back(&payment_id(), 30_000);
        } else {
            world.gateway.refund(&payment_id(), 30_000);
        }
        let pass = world.compare("2026-12-20T00:00", "2026-12-21T00:00").await;
        assert_eq!((pass.settled, pass.differences, world.statuses()), (1, 0, ("refunded", "active")));
        assert_eq!(world.notices(), ["receipt", "refunded"]);
    }
}

#[tokio::test]
async fn a_second_partial_refund_is_no_change_of_status_and_is_found_while_the_first_is_compared() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 10_000);
    world.go_to("2026-12-05T15:00");
    world.gateway.refund(&payment_id(), 5_000);
    assert_eq!(world.compare("2026-12-05T00:00", "2026-12-06T00:00").await.settled, 0);
    assert_eq!(world.compare("2026-11-29T00:00", "2026-12-06T00:00").await.settled, 1);
    assert_eq!(world.close().await.books.accounts.values().next().unwrap().refunded.minor, 15_000);
}

#[tokio::test]
async fn another_sum_or_currency_at_portone_parks_the_invoice_once() {
    for (minor, currency) in [(29_999, "KRW"), (30_001, "KRW"), (30_000, "USD"), (30_000, "JPY")] {
        let world = World::new();
        world.collect().await.unwrap();
        world.gateway.set_amount(&payment_id(), Charged { minor, currency: currency.to_owned() });
        assert_eq!(world.compare_the_first().await.differences, 1, "{minor} {currency}");
        assert!(world.invoice().quarantine.is_some());
        assert_eq!(world.compare_the_first().await.differences, 0, "it is a person's now");
        assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceQuarantined]);
    }
}

#[tokio::test]
async fn another_sum_under_a_payment_that_no_listing_shows_is_found_from_our_side() {
    let world = World::new();
    world.gateway.next([Behaviour::Pending]);
    world.collect().await.unwrap();
    world.go_to("2026-12-03T12:00");
    world.gateway.approve_pending(&payment_id());
    world.reconcile().await;
    world.gateway.set_amount(&payment_id(), Charged { minor: 1, currency: "KRW".to_owned() });
    world.gateway.put_payment(world.gateway_says().await, at("2026-11-01T00:00"));
    assert_eq!(world.compare("2026-12-03T00:00", "2026-12-04T00:00").await.differences, 1);
    assert!(world.invoice().quarantine.is_some());
}

#[tokio::test]
async fn an_invoice_that_is_paid_here_and_not_paid_there_is_parked_and_nothing_is_guessed() {
    let failed = SeenStatus::Failed { at: at("2026-12-01T10:00"), decline: Decline::no_method("X") };
    for status in [failed, SeenStatus::Ready, SeenStatus::Pending] {
        let world = World::new();
        world.collect().await.unwrap();
        world.gateway.set_status(&payment_id(), status.clone());
        assert_eq!(world.compare_the_first().await.differences, 1, "{status:?}");
        let why = format!("paid in our books, and {} at PortOne", status.name());
        assert_eq!((world.invoice().quarantine, world.invoice().state.status()), (Some(why), "paid"));
        // The customer keeps what they bought, is told nothing, and is billed for January as ever.
        assert_eq!((world.subscription().state.status(), world.notices()), ("active", vec!["receipt"]));
        assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceQuarantined]);
    }
}

#[tokio::test]
async fn what_portone_does_not_know_or_calls_by_an_unknown_name_proves_nothing_and_is_recorded() {
    let unknown: fn(&World) = |world| {
        world.gateway.set_status(&payment_id(), SeenStatus::Other("NEW".to_owned()));
    };
    let absent: fn(&World) = |world| world.gateway.forget_payment(&payment_id());
    for change in [unknown, absent] {
        let world = World::new();
        world.collect().await.unwrap();
        change(&world);
        assert_eq!(world.compare_the_first().await.differences, 1);
        assert_eq!((world.invoice().quarantine, world.telemetry.alarms()), (None, vec![EventKind::BooksDiffer]));
    }
}

#[tokio::test]
async fn money_that_our_books_gave_back_and_portone_did_not_parks_the_invoice() {
    for (given_back, stated) in [(30_000, 0), (30_000, 10_000), (10_000, 9_999)] {
        let world = World::new();
        world.collect().await.unwrap();
        world.gateway.refund(&payment_id(), given_back);
        world.compare_the_first().await;
        world.gateway.set_refunded(&payment_id(), stated);
        if stated == 0 {
            world.gateway.set_status(&payment_id(), SeenStatus::Paid { at: at("2026-12-01T10:00") });
        }
        assert_eq!(world.compare_the_first().await.differences, 1, "{given_back} {stated}");
        let why = format!("{given_back} KRW was given back in our books, and {stated} KRW at PortOne");
        assert_eq!(world.invoice().quarantine, Some(why));
    }
}

#[tokio::test]
async fn money_that_moved_for_an_invoice_that_was_given_up_or_void_is_a_fact_and_settled() {
    let given_up = World::where_charges(decline(SOFT));
    given_up.run().await;
    given_up.live_until("2026-12-10T00:00").await;
    let void = World::where_charges(Behaviour::UnknownInFlight);
    void.collect().await.unwrap();
    void.customer_cancels();
    void.go_to("2026-12-02T03:00");
    void.compare_the_first().await;
    for (world, before) in [(given_up, "uncollectible"), (void, "void")] {
        assert_eq!(world.invoice().state.status(), before);
        world.gateway.put_payment(seen(SeenStatus::Paid { at: world.now() }), world.now());
        let pass = world.compare("2026-12-01T00:00", "2026-12-31T00:00").await;
        assert_eq!((pass.settled, pass.differences, world.invoice().state.status()), (1, 0, "paid"), "{before}");
    }
}

#[tokio::test]
async fn a_refund_that_comes_while_the_listing_is_read_is_no_difference() {
    let crossings = interleave_everywhere(
        || {
            let world = World::new();
            crate::world::at_once(world.collect()).unwrap();
            world
        },
        async |world| drop(world.billing.compare(at("2026-12-01T00:00"), at("2026-12-02T00:00"), || false).await),
        async |world| {
            world.gateway.refund(&payment_id(), 30_000);
            world.billing.receive_webhook(&world.queue, &told(PaymentHint::Cancelled)).await.unwrap();
        },
        async |world, told| {
            assert_eq!((world.statuses(), world.invoice().quarantine), (("refunded", "active"), None), "{told}");
            assert_eq!(world.telemetry.alarms(), [], "{told}");
        },
    )
    .await;
    assert!(crossings > 5, "{crossings}");
}

#[tokio::test]
async fn without_the_listing_by_creation_the_other_one_still_settles_and_the_pass_says_that_it_failed() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    world.gateway.next_asks([Some(AskFault::Unavailable)]);
    let pass = world.compare_the_first().await;
    assert_eq!((pass.settled, pass.failed), (1, 1));
    world.assert_paid_once("by the other listing");
}

#[tokio::test]
async fn a_payment_whose_comparison_failed_is_compared_again_with_the_other_listing() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 30_000);
    world.store.faults().next("invoice", Fault::Before);
    let pass = world.compare_the_first().await;
    assert_eq!((pass.settled, pass.failed, world.invoice().state.status()), (1, 1, "refunded"));
}

#[tokio::test]
async fn books_that_agree_are_compared_without_reading_an_invoice_or_asking_about_a_payment() {
    let world = World::with((0..20).map(customer));
    world.run().await;
    let before = (world.store.faults().requests().get("invoice").copied(), world.asked());
    world.compare_the_first().await;
    assert_eq!((world.store.faults().requests().get("invoice").copied(), world.asked()), before);
}

#[tokio::test]
async fn a_nightly_pass_that_is_late_stops_and_says_so() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    let pass = world.billing.compare(at("2026-12-01T00:00"), at("2026-12-02T00:00"), || true).await.unwrap();
    assert_eq!((pass.asked, pass.unfinished), (0, true));
}

/// Six customers, a minute apart: two paid, one paid with its answer lost, one declined, one forgotten by `PortOne`, one given back in part; and
/// money that nobody asked for. Listings of our tables tell so many rows to a page.
async fn six_minutes(rows_per_page: usize) -> World {
    let mut world = World::with((0..6).map(customer));
    world.billing.store = world.store.clone().with_rows_per_page(rows_per_page);
    let id = |number| december_of(&customer(number));
    world.gateway.script(&id(2), [Behaviour::UnknownButPaid]);
    world.gateway.script(&id(3), [decline(SOFT)]);
    for number in 0..6 {
        let key = customer(number).key;
        let message = CollectMessage { user_id: key.user_id, subscription_id: key.id, ..world.message() };
        Box::pin(world.billing.collect(&world.queue, &message, None)).await.unwrap();
        world.minutes_pass(1);
    }
    world.gateway.forget_payment(&id(4));
    world.gateway.refund(&id(5), 1_000);
    world.gateway.put_payment(stranger(SeenStatus::Paid { at: at("2026-12-01T12:00") }), at("2026-12-01T12:00"));
    world
}

#[tokio::test]
async fn a_span_of_more_lines_than_a_page_is_compared_slice_by_slice_with_the_same_result() {
    let mut found = Vec::new();
    for rows_per_page in [1, 2, ROWS_PER_PAGE] {
        let world = six_minutes(rows_per_page).await;
        let pass = world.compare_the_first().await;
        let lists = world.gateway.requests()["payments_by_status_change"];
        found.push((lists > 1, pass.settled, pass.differences, pass.failed, world.tables(), world.telemetry.alarms()));
    }
    let whole = found.pop().unwrap();
    assert_eq!((whole.0, whole.1, whole.2, whole.3), (false, 2, 2, 0));
    for sliced in found {
        assert!(sliced.0);
        assert_eq!(
            (sliced.1, sliced.2, sliced.3, sliced.4, sliced.5),
            (whole.1, whole.2, whole.3, whole.4.clone(), whole.5.clone())
        );
    }
}

#[tokio::test]
async fn a_moment_at_which_more_lines_changed_than_a_page_holds_is_one_slice() {
    let mut world = World::with((0..20).map(customer));
    world.run().await;
    world.billing.store = world.store.clone().with_rows_per_page(1);
    let asked = world.asked();
    let pass = world.compare_the_first().await;
    assert_eq!((pass.asked, pass.differences, world.asked()), (20, 0, asked));
}

#[tokio::test]
async fn a_late_pass_of_many_slices_begins_no_more_of_them() {
    let world = six_minutes(1).await;
    let late = || world.gateway.requests().contains_key("payments_by_creation");
    let pass = world.billing.compare(at("2026-12-01T00:00"), at("2026-12-02T00:00"), late).await.unwrap();
    assert!(pass.unfinished);
    assert!(world.gateway.requests()["payments_by_creation"] <= 4, "{:?}", world.gateway.requests());
}

#[tokio::test]
async fn of_days_that_a_pass_has_no_time_for_the_newest_is_compared_first() {
    let mut world = World::with((0..16).map(customer));
    world.billing.store = world.store.clone().with_rows_per_page(1);
    world.gateway.always(Behaviour::UnknownButPaid);
    for number in 0..16 {
        world.go_to(&format!("2026-12-0{}T10:{number:02}", 1 + number / 8));
        let key = customer(number).key;
        let message = CollectMessage { user_id: key.user_id, subscription_id: key.id, ..world.message() };
        Box::pin(world.billing.collect(&world.queue, &message, None)).await.unwrap();
    }
    let late = || world.asked() > 0;
    let pass = world.billing.compare(at("2026-12-01T00:00"), at("2026-12-03T00:00"), late).await.unwrap();
    assert!(pass.settled > 0 && pass.unfinished, "{pass:?}");
    let settled = world.store.all_invoices().into_iter().filter(|row| row.state.status() == "paid");
    assert!(settled.into_iter().all(|row| row.attempts[0].started_at >= at("2026-12-02T00:00")));
}

/// What the hourly passes so far found left over: (not attempted, unknown for long).
fn left_over(world: &World) -> Vec<(u64, u64)> {
    let left = world.telemetry.signals().into_iter().filter_map(|signal| match signal {
        Signal::LeftOver { not_attempted, unknown_for_long } => Some((not_attempted, unknown_for_long)),
        _ => None,
    });
    left.collect()
}

#[tokio::test]
async fn an_hourly_pass_tells_how_many_the_run_did_not_attempt_a_quarter_of_an_hour_after_it_was_to_begin() {
    let world = World::with((0..10).map(customer));
    world.go_to("2026-12-01T10:14");
    world.reconcile().await;
    world.go_to("2026-12-01T10:15");
    world.reconcile().await;
    world.go_to("2026-12-01T10:16");
    world.run().await;
    world.go_to("2026-12-01T11:15");
    world.reconcile().await;
    assert_eq!(left_over(&world), [(0, 0), (10, 0), (0, 0)]);
}

#[tokio::test]
async fn an_hourly_pass_that_fails_tells_what_it_found_until_then() {
    let world = World::with((0..10).map(customer).chain([standard()]));
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.go_to("2026-12-01T10:15");
    world.gateway.all_asks(Some(AskFault::Unauthorized));
    world.billing.reconcile(world.now(), || false).await.unwrap_err();
    assert!(left_over(&world)[0].0 > 0, "{:?}", left_over(&world));
}

#[tokio::test]
async fn a_retry_that_the_run_did_not_make_is_told_too_and_one_that_is_not_due_is_not() {
    let world = World::where_charges(decline(SOFT));
    world.collect().await.unwrap();
    world.go_to("2026-12-02T09:15");
    world.reconcile().await;
    world.go_to("2026-12-02T10:15");
    world.reconcile().await;
    assert_eq!(left_over(&world), [(0, 0), (1, 0)]);
}

#[tokio::test]
async fn an_hourly_pass_tells_how_many_ends_have_been_unknown_for_more_than_an_hour() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.minutes_pass(60);
    world.reconcile().await;
    world.minutes_pass(1);
    world.reconcile().await;
    world.gateway.all_asks(None);
    world.reconcile().await;
    assert_eq!(left_over(&world), [(0, 0), (0, 1), (0, 0)]);
}

#[tokio::test]
async fn each_pass_tells_what_it_came_to() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.forget_payment(&payment_id());
    world.reconcile().await;
    world.compare_the_first().await;
    let passes: Vec<Signal> =
        world.telemetry.signals().into_iter().filter(|signal| matches!(signal, Signal::Reconciled { .. })).collect();
    let pass = |pass, asked, differences| Signal::Reconciled {
        pass,
        asked,
        settled: 0,
        differences,
        failed: 0,
        unfinished: false,
    };
    assert_eq!(passes, [pass("hourly", 0, None), pass("nightly", 1, Some(1))]);
}

/// A night, and what has happened before it at `PortOne` alone.
async fn night(world: &World, at: &str) -> Reconciled {
    world.go_to(at);
    world.billing.nightly(world.now(), || false).await.unwrap()
}

#[tokio::test]
async fn a_good_night_compares_the_days_of_the_last_week_again_and_no_more() {
    for (day, settled) in [("2026-12-03T00:00", 1), ("2026-12-02T23:59", 0)] {
        let world = World::new();
        world.collect().await.unwrap();
        night(&world, "2026-12-09T03:00").await;
        world.gateway.put_payment(
            PaymentSeen {
                refunded: 1_000,
                status: SeenStatus::Cancelled { paid_at: at("2026-12-01T10:00"), at: at(day) },
                ..world.gateway_says().await
            },
            at(day),
        );
        assert_eq!(night(&world, "2026-12-10T03:00").await.settled, settled, "{day}");
    }
}

#[tokio::test]
async fn a_refund_is_found_by_the_first_good_night_however_many_bad_ones_came_before() {
    let world = World::new();
    world.collect().await.unwrap();
    night(&world, "2026-12-02T03:00").await;
    world.go_to("2026-12-03T15:00");
    world.gateway.refund(&payment_id(), 10_000);
    for day in 4..28 {
        world.go_to(&format!("2026-12-{day:02}T03:00"));
        world.store.faults().next("book_lines", Fault::Before);
        world.billing.nightly(world.now(), || false).await.unwrap_err();
    }
    assert_eq!(night(&world, "2026-12-28T03:00").await.settled, 1);
}

#[tokio::test]
async fn a_night_that_ran_out_of_time_is_none() {
    let world = World::new();
    world.collect().await.unwrap();
    night(&world, "2026-12-02T03:00").await;
    world.gateway.refund(&payment_id(), 10_000);
    for day in 3..28 {
        world.go_to(&format!("2026-12-{day:02}T03:00"));
        assert!(world.billing.nightly(world.now(), || true).await.unwrap().unfinished);
    }
    assert_eq!(night(&world, "2026-12-28T03:00").await.settled, 1);
}

#[tokio::test]
async fn a_night_of_the_new_year_goes_on_from_one_of_the_old() {
    let world = World::new();
    night(&world, "2026-12-20T03:00").await;
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 10_000);
    assert_eq!(night(&world, "2027-01-01T03:00").await.settled, 1);
    assert_eq!(world.count(EventKind::BooksCompared), 2);
}
