//! Law 4, webhooks are hints and the API is the truth: what a webhook names is read again and that is settled; what the books show already
//! costs no call; what nobody knows is recorded.

use crate::world::{SOFT, World, at, decline, interleave_everywhere, payment_id, seen, told, told_of};
use billing_core::decline::Decline;
use billing_core::event::EventKind;
use billing_core::id::PaymentId;
use billing_core::settlement::Charged;
use billing_flows::FlowError;
use billing_flows::fake::{AskFault, Behaviour, Charge};
use billing_flows::ports::{SeenStatus, Signal};
use billing_flows::receive_webhook::{Hint, PaymentHint, Received, Webhook};

fn requests(world: &World) -> u64 {
    world.gateway.requests().values().sum()
}

#[tokio::test]
async fn a_webhook_that_lies_changes_nothing() {
    for (truth, lie) in [(decline(SOFT), PaymentHint::Paid), (Behaviour::Approve, PaymentHint::Failed)] {
        let world = World::where_charges(truth.clone());
        world.collect().await.unwrap();
        let before = world.tables();
        world.receive(&told(lie)).await.unwrap();
        assert_eq!(world.tables(), before, "{truth:?}");
    }
}

#[tokio::test]
async fn a_webhook_about_a_payment_that_portone_does_not_find_settles_nothing() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    let before = world.tables();
    assert_eq!(world.receive(&told(PaymentHint::Paid)).await.unwrap(), Received::Unchanged);
    assert_eq!(world.tables(), before);
}

#[tokio::test]
async fn what_the_books_show_already_costs_no_call() {
    let cases = [
        (Behaviour::Approve, PaymentHint::Paid),
        (Behaviour::Approve, PaymentHint::Failed),
        (Behaviour::Approve, PaymentHint::Pending),
        (decline(SOFT), PaymentHint::Failed),
        (Behaviour::Pending, PaymentHint::Pending),
    ];
    for (charge, hint) in cases {
        let world = World::where_charges(charge.clone());
        world.collect().await.unwrap();
        let before = (world.tables(), requests(&world));
        assert_eq!(world.receive(&told(hint)).await.unwrap(), Received::Known, "{charge:?}");
        assert_eq!((world.tables(), requests(&world)), before, "{charge:?}");
    }
}

#[tokio::test]
async fn a_webhook_before_during_or_after_the_charges_own_answer_pays_once() {
    let ways = [Behaviour::Approve, Behaviour::UnknownButPaid, Behaviour::AlreadyPaid];
    for charge in ways {
        let polls = interleave_everywhere(
            || World::where_charges(charge.clone()),
            async |world| {
                world.collect().await.unwrap();
            },
            async |world| {
                world.receive(&told(PaymentHint::Paid)).await.unwrap();
            },
            async |world, told| {
                world.minutes_pass(5);
                world.reconcile().await;
                world.assert_paid_once(&format!("{charge:?}, {told}"));
            },
        )
        .await;
        assert!(polls >= 8, "{polls}");
    }
}

#[tokio::test]
async fn a_webhook_before_during_or_after_a_declines_own_answer_duns_once() {
    for charge in [decline(SOFT), Behaviour::UnknownButDeclined(SOFT.to_owned())] {
        interleave_everywhere(
            || World::where_charges(charge.clone()),
            async |world| {
                world.collect().await.unwrap();
            },
            async |world| {
                world.receive(&told(PaymentHint::Failed)).await.unwrap();
            },
            async |world, told| {
                world.minutes_pass(5);
                world.reconcile().await;
                assert_eq!(world.invoice().declines(), 1, "{charge:?}, {told}");
                assert_eq!(world.notices(), ["payment_failed"], "{charge:?}, {told}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_charge_in_the_midst_of_a_webhook_pays_once() {
    interleave_everywhere(
        World::new,
        async |world| {
            world.receive(&told(PaymentHint::Paid)).await.unwrap();
        },
        async |world| {
            world.collect().await.unwrap();
        },
        async |world, told| {
            assert_eq!(world.receive(&crate::world::told(PaymentHint::Paid)).await.unwrap(), Received::Known);
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn an_old_failure_told_late_is_not_the_present_attempts() {
    interleave_everywhere(
        || World::where_charges(decline(SOFT)),
        async |world| {
            world.collect().await.unwrap();
            world.go_to("2026-12-02T10:00");
            world.gateway.always(Behaviour::Approve);
            world.collect().await.unwrap();
        },
        async |world| {
            world.receive(&told(PaymentHint::Failed)).await.unwrap();
        },
        async |world, told| {
            assert_eq!(world.invoice().declines(), 1, "{told}");
            world.assert_paid_once(told);
        },
    )
    .await;
}

#[tokio::test]
async fn money_that_moved_for_nobody_we_know_is_recorded_once_with_an_alarm() {
    for hint in [PaymentHint::Paid, PaymentHint::Cancelled] {
        let world = World::new();
        let stranger = told_of(hint, &PaymentId::new("invNOBODY").unwrap());
        for _ in 0..3 {
            assert_eq!(world.receive(&stranger).await.unwrap(), Received::Stranger);
        }
        assert_eq!((world.kinds(), requests(&world)), (vec![EventKind::UnknownPayment], 0));
        assert_eq!(world.telemetry.alarms(), [EventKind::UnknownPayment]);
    }
}

#[tokio::test]
async fn a_failure_of_nobody_we_know_is_nobodys_business() {
    let world = World::new();
    for hint in [PaymentHint::Failed, PaymentHint::Pending] {
        let stranger = told_of(hint, &PaymentId::new("invNOBODY").unwrap());
        assert_eq!(world.receive(&stranger).await.unwrap(), Received::Stranger);
    }
    assert_eq!((world.kinds(), world.telemetry.alarms()), (vec![], vec![]));
}

#[tokio::test]
async fn another_sum_or_currency_is_never_settled_as_paid() {
    let wrong = [(29_999, "KRW"), (30_001, "KRW"), (30_000, "USD"), (300, "KRW"), (30_000, "XXX"), (-30_000, "KRW")];
    for (minor, currency) in wrong {
        let world = World::where_charges(Behaviour::UnknownButPaid);
        world.collect().await.unwrap();
        world.gateway.set_amount(&payment_id(), Charged { minor, currency: currency.to_owned() });
        world.receive(&told(PaymentHint::Paid)).await.unwrap();
        assert_ne!(world.invoice().state.status(), "paid", "{minor} {currency}");
        assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceQuarantined], "{minor} {currency}");
        world.live_until("2026-12-09T00:00").await;
        assert_eq!((world.attempts_sent(), world.notices()), (vec![1], vec![]), "{minor} {currency}");
    }
}

#[tokio::test]
async fn a_wrong_sum_that_a_later_reading_shows_raises_the_alarm_once() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.set_amount(&payment_id(), Charged { minor: 29_000, currency: "KRW".to_owned() });
    for _ in 0..3 {
        world.compare_the_first().await;
    }
    assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceQuarantined]);
}

#[tokio::test]
async fn types_that_are_not_known_are_ignored_and_cost_nothing() {
    let world = World::new();
    let hints = [
        Hint::Unknown { kind: "Something.New".to_owned() },
        Hint::Payment { what: PaymentHint::Other, payment_id: payment_id() },
    ];
    for hint in hints {
        let webhook = Webhook { id: "wh-1".to_owned(), at: at("2026-12-01T10:00"), hint };
        assert_eq!(world.receive(&webhook).await.unwrap(), Received::Ignored);
    }
    assert_eq!((requests(&world), world.store.requests().len()), (0, 0));
}

#[tokio::test]
async fn a_webhook_that_cannot_be_checked_is_to_be_delivered_again() {
    for fault in [AskFault::Unavailable, AskFault::Unauthorized] {
        let world = World::where_charges(Behaviour::UnknownButPaid);
        world.collect().await.unwrap();
        world.gateway.all_asks(Some(fault));
        let before = world.tables();
        let error = world.receive(&told(PaymentHint::Paid)).await.unwrap_err();
        assert!(matches!(error, FlowError::Unavailable(_) | FlowError::Unauthorized(_)));
        assert_eq!(world.tables(), before);
        world.gateway.all_asks(None);
        assert_eq!(world.receive(&told(PaymentHint::Paid)).await.unwrap(), Received::Settled);
        world.assert_paid_once("delivered again");
    }
}

#[tokio::test]
async fn a_pending_payment_is_paid_when_a_webhook_says_so() {
    let world = World::where_charges(Behaviour::Pending);
    world.collect().await.unwrap();
    assert_eq!((world.statuses(), world.notices()), (("pending", "active"), vec![]));
    world.live_until("2026-12-03T12:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    world.gateway.approve_pending(&payment_id());
    assert_eq!(world.receive(&told(PaymentHint::Paid)).await.unwrap(), Received::Settled);
    world.assert_paid_once("decided on the third");
}

#[tokio::test]
async fn an_attempts_end_is_counted_once_whoever_learns_it() {
    let counted = |world: &World| -> Vec<(&'static str, i64)> {
        let signals = world.telemetry.signals().into_iter().filter_map(|signal| match signal {
            Signal::Charge { outcome, amount, .. } => Some((outcome, amount.minor())),
            _ => None,
        });
        signals.collect()
    };
    let by_webhook = World::where_charges(Behaviour::UnknownButPaid);
    by_webhook.collect().await.unwrap();
    for _ in 0..2 {
        by_webhook.billing.receive_webhook(&by_webhook.queue, &told(PaymentHint::Paid)).await.unwrap();
    }
    by_webhook.collect().await.unwrap();
    let by_night = World::where_charges(Behaviour::UnknownButPaid);
    by_night.collect().await.unwrap();
    by_night.compare_the_first().await;
    for world in [by_webhook, by_night] {
        assert_eq!(counted(&world), [("unknown", 30_000), ("paid", 30_000)]);
    }
}

#[tokio::test]
async fn a_pending_payment_fails_when_a_webhook_says_so() {
    let world = World::where_charges(Behaviour::Pending);
    world.collect().await.unwrap();
    world.minutes_pass(90);
    world.gateway.decline_pending(&payment_id(), SOFT);
    assert_eq!(world.receive(&told(PaymentHint::Failed)).await.unwrap(), Received::Settled);
    assert_eq!((world.statuses(), world.notices()), (("failed", "past_due"), vec!["payment_failed"]));
}

#[tokio::test]
async fn a_refund_is_told_once_for_each_time_money_was_given_back() {
    let world = World::new();
    world.collect().await.unwrap();
    for (minor, status) in [(10_000, "partially_refunded"), (20_000, "refunded")] {
        world.minutes_pass(10);
        world.gateway.refund(&payment_id(), minor);
        for _ in 0..2 {
            world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
        }
        assert_eq!(world.statuses(), (status, "active"));
    }
    assert_eq!(world.notices(), ["receipt", "refunded", "refunded"]);
}

#[tokio::test]
async fn a_refund_told_before_the_payment_was_settled_brings_both_into_the_books() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 30_000);
    assert_eq!(world.receive(&told(PaymentHint::Cancelled)).await.unwrap(), Received::Settled);
    assert_eq!((world.statuses(), world.notices()), (("refunded", "active"), vec!["receipt", "refunded"]));
    assert_eq!(world.receive(&told(PaymentHint::Paid)).await.unwrap(), Received::Known);
}

#[tokio::test]
async fn more_given_back_than_was_paid_is_a_case_for_a_person() {
    let world = World::new();
    world.collect().await.unwrap();
    world.gateway.refund(&payment_id(), 30_000);
    let mut payment = seen(SeenStatus::Cancelled { paid_at: at("2026-12-01T10:00"), at: at("2026-12-01T11:00") });
    payment.refunded = 30_001;
    world.gateway.put_payment(payment, at("2026-12-01T10:00"));
    world.receive(&told(PaymentHint::Cancelled)).await.unwrap();
    assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceQuarantined]);
}

#[tokio::test]
async fn a_dispute_is_recorded_once_with_an_alarm_and_changes_no_books() {
    let world = World::new();
    world.collect().await.unwrap();
    let before = (world.invoice(), world.subscription());
    for _ in 0..2 {
        world.receive(&told(PaymentHint::Dispute)).await.unwrap();
    }
    assert_eq!((world.invoice(), world.subscription()), before);
    assert_eq!(world.telemetry.alarms(), [EventKind::Dispute]);
}

#[tokio::test]
async fn money_that_moves_after_the_customer_cancelled_is_in_the_books_and_revives_nothing() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    world.customer_cancels();
    assert_eq!(world.receive(&told(PaymentHint::Paid)).await.unwrap(), Received::Settled);
    assert_eq!((world.statuses(), world.notices()), (("paid", "canceled"), vec!["receipt"]));
}

#[tokio::test]
async fn money_under_a_payment_id_that_was_called_used_up_stops_everything_for_a_person() {
    let world = World::new();
    world.gateway.next([decline(SOFT), Behaviour::UsedUp]);
    world.collect().await.unwrap();
    world.go_to("2026-12-02T10:00");
    world.collect().await.unwrap();
    world.gateway.put_payment(seen(SeenStatus::Paid { at: at("2026-12-01T10:00") }), at("2026-12-01T10:00"));
    world.receive(&told(PaymentHint::Paid)).await.unwrap();
    world.live_until("2026-12-09T00:00").await;
    assert_eq!((world.gateway.approvals(), world.attempts_sent()), (vec![], vec![1, 2]));
    assert_eq!(world.telemetry.alarms(), [EventKind::InvoiceSuperseded, EventKind::InvoiceQuarantined]);
}

#[tokio::test]
async fn a_webhook_may_arrive_while_portone_is_still_in_the_call() {
    let world = World::new();
    let store = world.store.clone();
    world.gateway.script_by(move |_: &Charge| {
        assert_eq!(store.all_invoices().first().unwrap().state.status(), "charging");
        None
    });
    let hook = told(PaymentHint::Paid);
    let (worked, received) = futures::join!(world.collect(), world.receive(&hook));
    worked.unwrap();
    received.unwrap();
    world.assert_paid_once("both at once");
}

#[tokio::test]
async fn a_decline_seen_by_webhook_keeps_its_reason() {
    let world = World::where_charges(Behaviour::UnknownNotReceived);
    world.collect().await.unwrap();
    let decline = Decline::no_method("BILLING_KEY_NOT_FOUND");
    world.gateway.put_payment(seen(SeenStatus::Failed { at: at("2026-12-01T10:00"), decline }), at("2026-12-01T10:00"));
    world.receive(&told(PaymentHint::Failed)).await.unwrap();
    let event = world.events().into_iter().last().unwrap();
    assert_eq!((event.kind, event.detail.as_deref()), (EventKind::PaymentFailed, Some("BILLING_KEY_NOT_FOUND")));
}
