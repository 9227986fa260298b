//! How a refund of ours ends, and what is settled with it.

use super::*;
use crate::refund::{RefundReason, RefundWish};

/// Paid, and so much is being given back.
fn refunding(minor: i64) -> Books {
    let mut books = under_way().learn(&is_paid(), NOON);
    let wish = RefundWish {
        amount: Some(Money::new(minor, Currency::Krw).unwrap()),
        expected: None,
        reason: RefundReason::new("a wrong plan").unwrap(),
        key: None,
    };
    books.invoice = books.invoice.refunding(&wish, &Cause::Api("1".to_owned()), at(NOON)).unwrap();
    books
}

fn ended(outcome: RefundOutcome, total: Option<i64>) -> Fact {
    let total = total.map(|minor| of(minor, "KRW"));
    Fact::Refund { number: 1, outcome, total, at: at(SECOND_MORNING), chargeback: false }
}

fn succeeded(total: i64) -> Fact {
    ended(RefundOutcome::Succeeded, Some(total))
}

fn outcome(books: &Books) -> Option<&RefundOutcome> {
    books.invoice.refunds[0].outcome.as_ref()
}

#[test]
fn money_that_a_refund_gave_back_is_settled_with_its_end_and_told_once() {
    let books = refunding(10_000).learn(&succeeded(10_000), SECOND_MORNING);
    assert_eq!(books.statuses(), ("partially_refunded", "active"));
    assert_eq!(outcome(&books), Some(&RefundOutcome::Succeeded));
    assert_eq!(books.invoice.refunds[0].ended_at, Some(at(SECOND_MORNING)));
    assert_eq!((books.last().kind, books.mails()), (EventKind::InvoiceRefunded, vec!["receipt", "refunded"]));
    for again in [succeeded(10_000), refund(10_000)] {
        assert!(books.knows(&again, THIRD_MORNING));
    }
}

#[test]
fn money_that_was_settled_before_leaves_only_the_end_to_be_written() {
    let settled = refunding(30_000).learn(&refund(30_000), SECOND_MORNING);
    let books = settled.clone().learn(&succeeded(30_000), THIRD_MORNING);
    assert_eq!((outcome(&books), books.statuses().0), (Some(&RefundOutcome::Succeeded), "refunded"));
    assert_eq!(books.events.len(), settled.events.len());
    assert_eq!(books.invoice.version, settled.invoice.version + 1);
}

#[test]
fn what_gave_nothing_back_is_an_event_without_a_mail() {
    let code = || "X".to_owned();
    for (end, kind, detail) in [
        (RefundOutcome::Requested, EventKind::RefundRequested, "refund 1"),
        (RefundOutcome::Failed { code: code() }, EventKind::RefundFailed, "refund 1: X"),
        (RefundOutcome::Refused { code: code() }, EventKind::RefundFailed, "refund 1: X"),
        (RefundOutcome::Lost, EventKind::RefundFailed, "refund 1: it never reached PortOne"),
    ] {
        let books = refunding(10_000).learn(&ended(end.clone(), None), SECOND_MORNING);
        assert_eq!((outcome(&books), books.statuses()), (Some(&end), ("paid", "active")));
        assert_eq!((books.last().kind, books.last().detail.as_deref()), (kind, Some(detail)));
        assert!(books.last().notice.is_none());
        assert!(books.knows(&ended(end, None), THIRD_MORNING));
    }
}

#[test]
fn a_refund_that_was_believed_to_have_failed_and_gave_money_back_is_settled() {
    for believed in [RefundOutcome::Requested, RefundOutcome::Lost, RefundOutcome::Failed { code: "X".to_owned() }] {
        let books = refunding(10_000).learn(&ended(believed, None), SECOND_MORNING);
        let books = books.learn(&succeeded(10_000), THIRD_MORNING);
        assert_eq!((outcome(&books), books.statuses().0), (Some(&RefundOutcome::Succeeded), "partially_refunded"));
    }
}

#[test]
fn a_refund_that_gave_back_more_than_was_paid_parks_the_invoice() {
    let books = refunding(10_000).learn(&succeeded(30_001), SECOND_MORNING);
    assert!(books.invoice.quarantine.is_some());
    assert_eq!(outcome(&books), Some(&RefundOutcome::Succeeded));
}

#[test]
fn of_a_refund_that_was_never_begun_nothing_is_written() {
    let fact = Fact::Refund {
        number: 2,
        outcome: RefundOutcome::Lost,
        total: None,
        at: at(SECOND_MORNING),
        chargeback: false,
    };
    assert!(refunding(10_000).knows(&fact, SECOND_MORNING));
}
