//! Listings: in order, of one owner, complete over any number of pages.

use super::sample::{
    after, at, attempt, creates, december, event, full_invoice, invoice, key, puts, replaces, subscription, user, won,
};
use super::{lines_of, pages, rows, write};
use crate::ports::{BookLine, Store};
use billing_core::decline::Decline;
use billing_core::event::Event;
use billing_core::id::{BOOKS_SHARDS, PaymentId};
use billing_core::invoice::{Invoice, Outcome, State};
use futures::future::join_all;
use std::collections::BTreeMap;

/// `DynamoDB` ends a page after this much.
const PAGE_BYTES: usize = 1_024 * 1_024;

/// Of one user; ids sort as text.
pub async fn subscriptions_are_listed_by_id(store: &impl Store) {
    for (owner, id) in
        [("user_1", "sub_2"), ("user_1", "sub_10"), ("user_10", "sub_0"), ("user_1", "sub_1"), ("user_2", "sub_3")]
    {
        write(store, creates(&subscription(owner, id))).await;
    }
    let listed = rows(async |after| store.subscriptions_of(&user("user_1"), after).await.unwrap()).await;
    assert_eq!(listed, ["sub_1", "sub_10", "sub_2"].map(|id| subscription("user_1", id)));
    let listed = rows(async |after| store.subscriptions_of(&user("user_10"), after).await.unwrap()).await;
    assert_eq!(listed, [subscription("user_10", "sub_0")]);
}

/// Of one user, by when they were opened and not by when they changed.
pub async fn invoices_are_listed_newest_first(store: &impl Store) {
    let opened = at("01T10:00:00");
    let of = |owner, minutes: i64| Invoice {
        created_at: after(opened, minutes * 60_000),
        updated_at: after(opened, (100 - minutes) * 60_000),
        ..invoice(&key(owner, &format!("{owner}_{minutes}")))
    };
    for (owner, minutes) in [("user_1", 5), ("user_1", 9), ("user_2", 6), ("user_1", 7)] {
        write(store, puts(&of(owner, minutes))).await;
    }
    let listed = rows(async |after| store.invoices_of(&user("user_1"), after).await.unwrap()).await;
    assert_eq!(listed, [9, 7, 5].map(|minutes| of("user_1", minutes)));

    let before = of("user_1", 5);
    let changed = Invoice { updated_at: at("20T10:00:00"), version: 2, ..before };
    write(store, replaces(&of("user_1", 5), &changed)).await;
    let listed = rows(async |after| store.invoices_of(&user("user_1"), after).await.unwrap()).await;
    assert_eq!(listed, [of("user_1", 9), of("user_1", 7), changed]);
}

/// Of one subject, by id.
pub async fn events_are_listed_in_their_order(store: &impl Store) {
    let of = |subject, seconds: i64, discriminator| {
        let moment = after(at("01T10:00:00"), seconds * 1_000);
        Event { id: Event::id_at(moment, discriminator), at: moment, ..event(subject, "") }
    };
    let written =
        [of("a", 2, "1"), of("a", 1, "2"), of("ab", 0, "1"), of("a", 1, "1"), of("b", 1, "1"), of("a", 3, "1")];
    for row in &written {
        assert!(store.record(row).await.unwrap());
    }
    let listed = rows(async |after| store.events_of("a", after).await.unwrap()).await;
    assert_eq!(listed, [of("a", 1, "1"), of("a", 1, "2"), of("a", 2, "1"), of("a", 3, "1")]);
}

/// 1.6 MB of them.
pub async fn more_than_a_page_of_events_is_listed_completely(store: &impl Store) {
    let detail = Some("x".repeat(8 * 1_024));
    let written: Vec<Event> =
        (0..200).map(|number| Event { detail: detail.clone(), ..event("subject", &format!("{number:03}")) }).collect();
    assert!(written.iter().filter_map(|row| row.detail.as_ref()).map(String::len).sum::<usize>() > PAGE_BYTES);
    for some in written.chunks(20) {
        assert!(join_all(some.iter().map(|row| store.record(row))).await.into_iter().all(Result::unwrap));
    }
    let walked = pages(async |after| store.events_of("subject", after).await.unwrap()).await;
    assert!(walked.len() > 1, "so much does not fit on a page");
    assert_eq!(walked.into_iter().flat_map(|page| page.items).collect::<Vec<_>>(), written);
}

/// 1.6 MB of them, in both listings of invoices.
pub async fn more_than_a_page_of_invoices_is_listed_completely(store: &impl Store) {
    let plan_name = "x".repeat(8 * 1_024);
    let written: Vec<Invoice> = (0..200)
        .map(|number| Invoice {
            plan_name: plan_name.clone(),
            created_at: after(at("02T10:00:00"), -number),
            updated_at: after(at("02T10:00:00"), number),
            ..invoice(&key("user_1", &format!("sub_{number}")))
        })
        .collect();
    for some in written.chunks(20) {
        join_all(some.iter().map(|row| write(store, puts(row)))).await;
    }
    let walked = pages(async |after| store.invoices_of(&user("user_1"), after).await.unwrap()).await;
    assert!(walked.len() > 1, "so much does not fit on a page");
    assert_eq!(walked.into_iter().flat_map(|page| page.items).collect::<Vec<_>>(), written);

    let (from, until) = (at("01T00:00:00"), at("31T00:00:00"));
    let lines = lines_of(store, december(), from, until).await;
    assert_eq!(lines.into_iter().map(|line| line.payment_id).collect::<Vec<_>>(), ids_by_shard(&written));
}

/// The ids of invoices as the books list them: shard after shard, and in each in this order.
fn ids_by_shard(rows: &[Invoice]) -> Vec<PaymentId> {
    let of = |shard| rows.iter().map(|row| &row.payment_id).filter(move |id| id.books_shard() == shard).cloned();
    (0..BOOKS_SHARDS).flat_map(of).collect()
}

/// From the first moment to before the last, by when they last changed.
pub async fn book_lines_are_those_of_the_period_that_changed_in_the_window(store: &impl Store) {
    let (from, until) = (at("02T00:00:00"), at("03T00:00:00"));
    let changed = |id: &str, updated_at| Invoice { updated_at, ..invoice(&key("user_1", id)) };
    let written = [
        changed("last", after(until, -1)),
        changed("first", from),
        changed("too_late", until),
        changed("between", after(from, 1)),
        changed("too_early", after(from, -1)),
        Invoice { period: december().next(), ..changed("of_january", after(from, 1)) },
    ];
    for row in &written {
        write(store, puts(row)).await;
    }
    let [last, first, _, between, ..] = &written;
    let listed = async || {
        let lines = lines_of(store, december(), from, until).await;
        lines.into_iter().map(|line| line.payment_id).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ids_by_shard(&[first.clone(), between.clone(), last.clone()]));

    let moved = Invoice { version: 2, ..changed("first", after(until, -2)) };
    write(store, replaces(first, &moved)).await;
    let expected = ids_by_shard(&[between.clone(), moved, last.clone()]);
    assert_eq!(listed().await, expected, "a line moves with its invoice");
}

/// Status, refunds, attempts, declines, quarantine, supersession.
pub async fn book_lines_show_what_became_of_each_invoice(store: &impl Store) {
    let declined = || Some(Outcome::Declined(Decline::no_method("BILLING_KEY_NOT_FOUND")));
    let plain = |id: &str, millis, state| Invoice {
        state,
        updated_at: after(at("02T10:00:00"), millis),
        ..invoice(&key("user_1", id))
    };
    let paid_at = at("01T10:00:02");
    let line = |row: &Invoice| BookLine {
        payment_id: row.payment_id.clone(),
        subscription: row.subscription.clone(),
        period: row.period,
        status: row.state.status().to_owned(),
        amount: row.amount,
        refunded: 0,
        attempts: 0,
        declines: 0,
        refunding: false,
        quarantined: false,
        superseded: false,
        updated_at: row.updated_at,
    };
    let paid = Invoice {
        attempts: vec![
            attempt(1, declined()),
            attempt(2, Some(Outcome::Lost)),
            attempt(3, declined()),
            attempt(4, Some(Outcome::Paid)),
        ],
        ..plain("paid", 0, State::Paid { at: paid_at })
    };
    let part = plain("part", 1, State::PartiallyRefunded { paid_at, refunded: won(700) });
    let whole = plain("whole", 2, State::Refunded { paid_at });
    let parked =
        Invoice { quarantine: Some("why".to_owned()), ..plain("parked", 3, State::Unknown { since: paid_at }) };
    let superseded = Invoice {
        superseded_by: Some(PaymentId::new("invOTHER").unwrap()),
        ..plain("superseded", 4, State::Void { at: paid_at })
    };
    let dollars = Invoice {
        updated_at: after(at("02T10:00:00"), 5),
        state: State::Failed { retry_at: None },
        quarantine: None,
        superseded_by: None,
        ..full_invoice("dollars")
    };
    for row in [&paid, &part, &whole, &parked, &superseded, &dollars] {
        write(store, puts(row)).await;
    }
    let (from, until) = (at("02T00:00:00"), at("03T00:00:00"));
    let by_id = |lines: Vec<BookLine>| {
        lines.into_iter().map(|line| (line.payment_id.clone(), line)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        by_id(lines_of(store, december(), from, until).await),
        by_id(vec![
            BookLine { attempts: 4, declines: 2, ..line(&paid) },
            BookLine { refunded: 700, ..line(&part) },
            BookLine { refunded: 29_700, ..line(&whole) },
            BookLine { quarantined: true, ..line(&parked) },
            BookLine { superseded: true, ..line(&superseded) },
            BookLine { attempts: 9, declines: 3, refunding: true, ..line(&dollars) },
        ])
    );
}
