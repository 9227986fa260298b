//! Closing: the books of a month add up, and `PortOne` says the same. (Laws 2 and 9.)

use crate::world::{
    SOFT, World, at, customer, december, decline, interleave_everywhere, payment_id, seen, store_id, told, told_of,
};
use billing_core::books::{Column, Sum};
use billing_core::id::PaymentId;
use billing_core::money::{Currency, Money};
use billing_core::settlement::Charged;
use billing_flows::close::Closing;
use billing_flows::fake::{AskFault, Behaviour, Fault};
use billing_flows::ports::{PaymentSeen, SeenStatus, Signal};
use billing_flows::receive_webhook::PaymentHint;

fn id(number: u32) -> PaymentId {
    PaymentId::derive(&store_id(), &customer(number).key, december(), billing_core::invoice::Part::Period, 0)
}

/// What `PortOne` comes to say.
type Way = fn(&World, &PaymentId);

/// Twelve customers to whom everything has happened that can.
async fn a_mixed_month() -> World {
    let in_dollars =
        billing_core::subscription::Subscription { monthly: Money::new(2_700, Currency::Usd).unwrap(), ..customer(11) };
    let world = World::with((0..11).map(customer).chain([in_dollars]));
    let ways = [
        (1, decline(SOFT)),
        (2, Behaviour::Pending),
        (3, Behaviour::UnknownButPaid),
        (4, Behaviour::UnknownNotReceived),
        (5, Behaviour::Refuse("INVALID_REQUEST".to_owned())),
    ];
    for (number, way) in ways {
        world.gateway.script(&id(number), [way]);
    }
    world.run().await;
    world.gateway.refund(&id(6), 1_000);
    world.gateway.refund(&id(7), 30_000);
    world.gateway.set_amount(&id(8), Charged { minor: 1, currency: "KRW".to_owned() });
    for number in [6, 7, 8] {
        world.gateway.put_payment(world.payment(&id(number)).await, at("2026-12-01T10:00"));
        world.billing.receive_webhook(&world.queue, &told_of(PaymentHint::Cancelled, &id(number))).await.unwrap();
    }
    world.minutes_pass(1);
    world
}

async fn paid_once() -> World {
    let world = World::new();
    world.collect().await.unwrap();
    world.minutes_pass(1);
    world
}

#[tokio::test]
async fn a_month_to_which_everything_has_happened_balances_and_reads_as_data_and_as_text() {
    let world = a_mixed_month().await;
    let asked = world.asked();
    let closing = world.close().await;
    assert_eq!(world.asked(), asked, "the listing says it all");
    assert_eq!((closing.wrong.clone(), closing.balanced, closing.unsettled), (vec![], true, 6));
    let krw = &closing.books.accounts[&Currency::Krw];
    assert_eq!(
        (krw.due, krw.column(Column::Paid)),
        (Sum { count: 11, minor: 330_000 }, Sum { count: 5, minor: 150_000 })
    );
    assert_eq!(krw.refunded, Sum { count: 2, minor: 31_000 });
    assert_eq!((closing.books.parked.clone(), krw.column(Column::Parked).count), (vec![id(8)], 1));
    assert_eq!(closing.portone[&Currency::Krw].paid, krw.column(Column::Paid));
    insta::assert_snapshot!(closing.to_string());
    let data = serde_json::to_string(&closing).unwrap();
    assert_eq!(serde_json::from_str::<Closing>(&data).unwrap(), closing);
}

#[tokio::test]
async fn a_month_without_invoices_balances() {
    let closing = World::with([]).close().await;
    assert_eq!((closing.balanced, closing.unsettled, closing.books.due()), (true, 0, 0));
}

#[tokio::test]
async fn whatever_portone_says_otherwise_unbalances_the_books_and_is_named() {
    let stranger = format!("inv{}", "A".repeat(32));
    let named = PaymentId::new(stranger.clone()).unwrap();
    let ways: [(&str, Way); 6] = [
        ("paid in our books, and not at PortOne", |world, _| world.gateway.forget_payment(&payment_id())),
        ("paid in our books, and pending at PortOne", |world, _| {
            world.gateway.set_status(&payment_id(), SeenStatus::Pending);
        }),
        ("30000 KRW is paid in our books, and 29999 KRW at PortOne", |world, _| {
            world.gateway.set_amount(&payment_id(), Charged { minor: 29_999, currency: "KRW".to_owned() });
        }),
        ("30000 KRW is paid in our books, and 30000 USD at PortOne", |world, _| {
            world.gateway.set_amount(&payment_id(), Charged { minor: 30_000, currency: "USD".to_owned() });
        }),
        ("0 KRW was given back in our books, and 500 KRW at PortOne", |world, _| {
            world.gateway.refund(&payment_id(), 500);
        }),
        ("paid at PortOne, and no invoice of ours", |world, named| {
            let payment_id = named.clone();
            let seen = PaymentSeen { payment_id, ..seen(SeenStatus::Paid { at: at("2026-12-01T10:00") }) };
            world.gateway.put_payment(seen, at("2026-12-01T10:00"));
        }),
    ];
    for (why, way) in ways {
        let world = paid_once().await;
        way(&world, &named);
        let before = (world.tables(), world.telemetry.alarms());
        let closing = world.close().await;
        assert!(!closing.balanced && closing.wrong[0].ends_with(why), "{why}: {:?}", closing.wrong);
        assert!(closing.to_string().contains("NOT BALANCED"));
        assert_eq!((world.tables(), world.telemetry.alarms()), before, "closing writes nothing: {why}");
    }
}

#[tokio::test]
async fn money_for_an_invoice_that_is_closed_unpaid_unbalances_the_books() {
    let world = World::where_charges(decline(SOFT));
    world.collect().await.unwrap();
    world.minutes_pass(1);
    world.gateway.set_status(&payment_id(), SeenStatus::Paid { at: world.now() });
    assert_eq!(world.close().await.wrong, [format!("{}: paid at PortOne, and failed in our books", payment_id())]);
}

#[tokio::test]
async fn what_the_nightly_pass_settles_balances_the_books_again() {
    let world = paid_once().await;
    world.gateway.refund(&payment_id(), 500);
    assert!(!world.close().await.balanced);
    world.compare_the_first().await;
    let closing = world.close().await;
    assert_eq!((closing.wrong, closing.portone[&Currency::Krw].refunded.minor), (vec![], 500));
}

#[tokio::test]
async fn a_charge_that_is_under_way_is_no_difference() {
    for way in [Behaviour::UnknownButPaid, Behaviour::UnknownButDeclined(SOFT.to_owned()), Behaviour::Pending] {
        let world = World::where_charges(way.clone());
        world.collect().await.unwrap();
        world.minutes_pass(1);
        let closing = world.close().await;
        assert_eq!((closing.wrong, closing.unsettled), (vec![], 1), "{way:?}");
    }
}

#[tokio::test]
async fn books_that_are_closed_while_money_moves_balance_at_every_moment() {
    let crossings = interleave_everywhere(
        World::new,
        async |world| {
            world.minutes_pass(1);
            let closing = world.close().await;
            assert!(closing.balanced, "{:?}", closing.wrong);
        },
        async |world| {
            world.collect().await.unwrap();
            world.gateway.refund(&payment_id(), 500);
            world.billing.receive_webhook(&world.queue, &told(PaymentHint::Cancelled)).await.unwrap();
        },
        async |world, told| assert!(world.close().await.balanced, "{told}"),
    )
    .await;
    assert!(crossings > 2, "{crossings}");
}

#[tokio::test]
async fn a_payment_made_after_the_month_for_an_invoice_of_the_month_belongs_to_it() {
    let world = World::new();
    world.go_to("2027-01-04T10:00");
    world.run().await;
    let closing = world.close().await;
    assert_eq!((closing.wrong, closing.books.count(Column::Paid), world.asked()), (vec![], 1, 1));
}

#[tokio::test]
async fn a_payment_made_within_the_month_for_an_invoice_of_another_is_that_months() {
    let world = paid_once().await;
    world.gateway.put_payment(world.gateway_says().await, at("2027-01-01T10:00"));
    world.go_to("2027-01-02T10:00");
    let closing = world.billing.close(december().next()).await.unwrap();
    assert_eq!((closing.wrong, closing.books.due()), (vec![], 0));
}

#[tokio::test]
async fn an_invoice_that_the_index_does_not_show_yet_is_in_the_books() {
    let world = paid_once().await;
    let row = world.invoice();
    let other = World::with([]);
    other.minutes_pass(2);
    other.gateway.put_payment(world.gateway_says().await, at("2026-12-01T10:00"));
    let store = other.store.clone();
    other.store.faults().by(move |call| {
        // The row is read after the index, and only then is it there.
        if call.method == "invoice" {
            store.put_invoice(&row);
        }
        Fault::None
    });
    let closing = other.close().await;
    assert_eq!((closing.wrong, closing.books.count(Column::Paid)), (vec![], 1));
}

#[tokio::test]
async fn portone_is_not_asked_about_a_month_that_has_not_begun() {
    let world = World::new();
    let closing = world.billing.close(december().next()).await.unwrap();
    assert_eq!((closing.balanced, closing.books.due(), world.gateway.requests().len()), (true, 0, 0));
}

#[tokio::test]
async fn a_hundred_sentences_are_enough() {
    let world = World::with((0..150).map(customer));
    world.run().await;
    for number in 0..150 {
        world.gateway.forget_payment(&id(number));
    }
    world.minutes_pass(1);
    let wrong = world.close().await.wrong;
    assert_eq!((wrong.len(), wrong.last().unwrap().as_str()), (101, "and 51 more"));
}

#[tokio::test]
async fn books_that_portone_cannot_be_asked_about_are_not_closed() {
    let world = paid_once().await;
    world.gateway.all_asks(Some(AskFault::Unavailable));
    world.billing.close(december()).await.unwrap_err();
}

#[tokio::test]
async fn a_closing_tells_whether_the_books_balance() {
    let world = paid_once().await;
    world.close().await;
    world.gateway.forget_payment(&payment_id());
    world.close().await;
    let told: Vec<Signal> =
        world.telemetry.signals().into_iter().filter(|signal| matches!(signal, Signal::Closed { .. })).collect();
    let closed = |balanced| Signal::Closed { month: "2026-12".to_owned(), balanced, unsettled: 0, parked: 0 };
    assert_eq!(told, [closed(true), closed(false)]);
}
