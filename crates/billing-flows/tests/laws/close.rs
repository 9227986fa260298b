//! Closing: the books of a month add up, and `PortOne` says the same. (Laws 2 and 9.)

use crate::world::{
    SOFT, World, at, customer, december, decline, interleave_everywhere, payment_id, seen, store_id, told, told_of,
};
use billing_core::books::{BookLine, Books, Column, Sum};
use billing_core::id::PaymentId;
use billing_core::money::{Currency, Money};
use billing_core::settlement::Charged;
use billing_flows::close::Closing;
use billing_flows::fake::{AskFault, Behaviour, Fault, ROWS_PER_PAGE};
use billing_flows::ports::{CollectMessage, PaymentSeen, SeenStatus, Signal};
use billing_flows::receive_webhook::PaymentHint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn id(number: u32) -> PaymentId {
    PaymentId::derive(&store_id(), &customer(number).key, december(), billing_core::invoice::Part::Period, 0)
}

/// A name that has the shape of ours.
fn nobodys() -> PaymentId {
    PaymentId::new(format!("inv{}", "A".repeat(32))).unwrap()
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
    let named = nobodys();
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

/// So many customers, who are charged a minute apart. Listings of our tables tell so many rows to a page.
async fn minute_by_minute(customers: u32, rows_per_page: usize, ways: &[(u32, Behaviour)]) -> World {
    let mut world = World::with((0..customers).map(customer));
    world.billing.store = world.store.clone().with_rows_per_page(rows_per_page);
    for (number, way) in ways {
        world.gateway.script(&id(*number), [way.clone()]);
    }
    for number in 0..customers {
        let key = customer(number).key;
        let message = CollectMessage { user_id: key.user_id, subscription_id: key.id, ..world.message() };
        Box::pin(world.billing.collect(&world.queue, &message, None)).await.unwrap();
        world.minutes_pass(1);
    }
    world
}

impl World {
    async fn gives_back(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.gateway.refund(&id(number), 500);
            self.billing.receive_webhook(&self.queue, &told_of(PaymentHint::Cancelled, &id(number))).await.unwrap();
            self.minutes_pass(1);
        }
    }

    fn lists(&self) -> u64 {
        self.gateway.requests().get("payments_by_creation").copied().unwrap_or(0)
    }

    fn invoices_read(&self) -> u64 {
        self.store.requests().get("invoice").copied().unwrap_or(0)
    }

    fn sum_of_lines(&self) -> Books {
        Books::of(&self.store.all_invoices().iter().map(BookLine::of).collect::<Vec<_>>()).unwrap()
    }
}

#[tokio::test]
async fn a_month_of_several_slices_closes_to_the_sum_of_its_lines_and_to_the_same_sentences() {
    let ways = [(1, decline(SOFT)), (2, Behaviour::Pending), (3, Behaviour::UnknownButPaid)];
    let mut sentences = Vec::new();
    for rows_per_page in [1, 2, ROWS_PER_PAGE] {
        let world = minute_by_minute(16, rows_per_page, &ways).await;
        world.gives_back([4, 9]).await;
        world.gateway.forget_payment(&id(7));
        world.gateway.set_amount(&id(8), Charged { minor: 29_999, currency: "KRW".to_owned() });
        let payment = PaymentSeen { payment_id: nobodys(), ..world.payment(&id(5)).await };
        world.gateway.put_payment(payment, at("2026-12-01T10:07"));
        let closing = world.close().await;
        assert_eq!(closing.books, world.sum_of_lines(), "{rows_per_page}");
        assert_eq!(closing.portone[&Currency::Krw].paid, Sum { count: 12, minor: 359_999 }, "{rows_per_page}");
        assert_eq!(world.lists() == 1, rows_per_page == ROWS_PER_PAGE);
        let mut wrong = closing.wrong;
        wrong.sort_unstable();
        assert_eq!((wrong.len(), closing.balanced), (4, false), "{wrong:?}");
        sentences.push(wrong);
    }
    assert!(sentences.iter().all(|wrong| *wrong == sentences[0]), "{sentences:?}");
}

#[tokio::test]
async fn an_invoice_that_was_given_back_long_after_it_was_paid_meets_its_payment_without_a_question() {
    let world = minute_by_minute(40, 1, &[]).await;
    world.go_to("2026-12-20T12:00");
    world.gives_back([0, 20, 39]).await;
    let before = (world.invoices_read(), world.asked());
    let closing = world.close().await;
    assert_eq!((world.invoices_read(), world.asked()), before);
    assert_eq!((closing.wrong, closing.portone[&Currency::Krw].refunded.count), (vec![], 3));
    assert_eq!(closing.books, world.sum_of_lines());
}

#[tokio::test]
async fn an_invoice_that_changes_while_the_books_are_closed_is_counted_once() {
    for number in [0, 6, 11] {
        let later = minute_by_minute(12, 1, &[]).await;
        later.gives_back([number]).await;
        let row = later.store.all_invoices().into_iter().find(|row| row.payment_id == id(number)).unwrap();
        let mut calls = 0;
        loop {
            calls += 1;
            let world = minute_by_minute(12, 1, &[]).await;
            let (store, gateway, row) = (world.store.clone(), world.gateway.clone(), row.clone());
            let begun = world.store.requests().get("book_lines").copied().unwrap_or(0);
            world.store.faults().by(move |call| {
                if call.method == "book_lines" && call.number == begun + calls {
                    gateway.refund(&row.payment_id, 500);
                    store.put_invoice(&row);
                }
                Fault::None
            });
            world.minutes_pass(1);
            let closing = world.close().await;
            let told = format!("{number}, at call {calls}");
            assert_eq!((closing.wrong, closing.books.count(Column::Paid)), (vec![], 12), "{told}");
            assert_eq!(closing.portone[&Currency::Krw].paid.count, 12, "{told}");
            if world.store.requests()["book_lines"] <= begun + calls {
                break;
            }
        }
        assert!(calls > 12, "{calls}");
    }
}

#[tokio::test]
async fn more_payments_that_wait_for_their_invoices_than_are_held_cost_reading_an_invoice_each_and_no_question() {
    for held in [0, 5, 20] {
        let world = minute_by_minute(20, 1, &[]).await;
        world.go_to("2026-12-20T12:00");
        world.gives_back(0..20).await;
        let before = (world.invoices_read(), world.asked());
        let closing = world.billing.close_holding(held, december()).await.unwrap();
        assert_eq!((world.invoices_read() > before.0, world.asked()), (held < 20, before.1), "{held}");
        assert_eq!((closing.wrong, closing.books), (vec![], world.sum_of_lines()), "{held}");
        assert_eq!(closing.portone[&Currency::Krw].refunded, Sum { count: 20, minor: 10_000 }, "{held}");
    }
}

#[tokio::test]
async fn what_differs_is_said_once_also_of_a_payment_that_could_not_be_held() {
    for held in [0, 20] {
        let world = minute_by_minute(20, 1, &[]).await;
        world.go_to("2026-12-20T12:00");
        world.gives_back(0..20).await;
        world.gateway.refund(&id(3), 1);
        let closing = world.billing.close_holding(held, december()).await.unwrap();
        assert!(closing.wrong[0].ends_with("500 KRW was given back in our books, and 501 KRW at PortOne"));
        assert_eq!((closing.wrong.len(), closing.books), (2, world.sum_of_lines()), "{held}");
    }
}

#[tokio::test]
async fn a_list_of_many_pages_is_read_to_its_end() {
    let world = World::with((0..250).map(customer));
    world.run().await;
    world.minutes_pass(1);
    let asked = world.asked();
    let closing = world.close().await;
    assert_eq!((closing.wrong, world.lists(), world.asked()), (vec![], 3, asked));
}

#[tokio::test]
async fn money_without_an_invoice_in_the_middle_of_many_slices_is_named_and_nothing_else() {
    let world = minute_by_minute(40, 1, &[]).await;
    let payment = PaymentSeen { payment_id: nobodys(), ..world.payment(&id(5)).await };
    world.gateway.put_payment(payment, at("2026-12-01T10:20"));
    let closing = world.close().await;
    assert!(world.lists() > 4);
    assert_eq!(closing.wrong, [format!("{}: paid at PortOne, and no invoice of ours", nobodys())]);
    assert_eq!((closing.books.count(Column::Paid), closing.portone[&Currency::Krw].paid.count), (40, 40));
}

#[tokio::test]
async fn money_that_came_slices_after_its_invoice_last_changed_unbalances_the_books() {
    let world = minute_by_minute(40, 1, &[(0, decline(SOFT))]).await;
    let paid = PaymentSeen { payment_id: id(0), ..world.payment(&id(5)).await };
    world.gateway.put_payment(paid, at("2026-12-01T10:38"));
    let closing = world.close().await;
    assert_eq!(closing.wrong, [format!("{}: paid at PortOne, and failed in our books", id(0))]);
    assert_eq!(closing.books, world.sum_of_lines());
}

#[tokio::test]
async fn no_more_lines_are_held_however_many_the_month_has() {
    for customers in [40, 120] {
        let world = minute_by_minute(customers, 1, &[]).await;
        // A page is a line: how many are read before the lines so far are held against the next lists.
        let (most, since) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new((0, 0))));
        let (told, gateway) = (Arc::clone(&most), world.gateway.clone());
        world.store.faults().by(move |call| {
            let lists = gateway.requests().get("payments_by_creation").copied().unwrap_or(0);
            let mut since = since.lock().unwrap();
            if call.method == "book_lines" {
                let read = if since.0 == lists { since.1 + 1 } else { 1 };
                *since = (lists, read);
                told.fetch_max(read, Ordering::Relaxed);
            }
            Fault::None
        });
        let closing = world.close().await;
        assert_eq!((closing.wrong, closing.books.due()), (vec![], u64::from(customers)));
        // Four slices, each of a page of four shards and one more of the shard whose line the slice begins with.
        assert_eq!(most.load(Ordering::Relaxed), 20, "{customers}");
    }
}
