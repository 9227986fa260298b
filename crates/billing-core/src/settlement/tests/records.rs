//! What is written down beside the states: how attempts ended, what events say, and what mails show.

use super::*;
use crate::plan::Locale;
use crate::private::Private;

const PAID_AT: &str = "2026-12-01T10:00:07+09:00";
const LEARNED_AT: &str = "2026-12-01T10:00:30+09:00";

/// What is told to the customer of the only event so far.
fn told(books: &Books) -> &Notice {
    books.last().notice.as_ref().expect("nothing was told")
}

fn end_of_standard(cause: &Cause) -> (Subscription, Event) {
    end_canceled(&standard(), "Standard", &Context { now: at(NOON), cause, ladder: &Ladder::default() }).unwrap()
}

#[test]
fn an_attempt_keeps_how_and_when_its_end_was_learned() {
    let Fact::Declined { decline, .. } = soft(1) else { unreachable!() };
    for (fact, outcome) in [
        (is_paid(), Outcome::Paid),
        (soft(1), Outcome::Declined(decline)),
        (Fact::Pending { attempt: 1 }, Outcome::Pending),
        (unknown(1), Outcome::Unknown),
        (refused(1, false), Outcome::Refused("INVALID_REQUEST".to_owned())),
        (Fact::Lost { attempt: 1 }, Outcome::Lost),
    ] {
        let books = under_way().learn(&fact, LEARNED_AT);
        let attempt = &books.invoice.attempts[0];
        assert_eq!((attempt.outcome.as_ref(), attempt.ended_at), (Some(&outcome), Some(at(LEARNED_AT))), "{fact:?}");
    }
}

#[test]
fn each_fact_is_an_event_of_its_own_kind_that_says_why() {
    for (fact, kind, detail) in [
        (is_paid(), EventKind::InvoicePaid, None),
        (soft(1), EventKind::PaymentFailed, Some("REJECT_CARD_PAYMENT")),
        (Fact::Pending { attempt: 1 }, EventKind::PaymentPending, None),
        (unknown(1), EventKind::PaymentUnknown, Some("timeout")),
        (refused(1, false), EventKind::PaymentRefused, Some("INVALID_REQUEST")),
        (Fact::Lost { attempt: 1 }, EventKind::AttemptLost, None),
        (Fact::Contradiction("odd".to_owned()), EventKind::InvoiceQuarantined, Some("odd")),
    ] {
        let books = under_way().learn(&fact, LEARNED_AT);
        assert_eq!((books.last().kind, books.last().detail.as_deref()), (kind, detail), "{fact:?}");
    }
}

#[test]
fn the_decline_of_a_cancelled_customer_is_recorded_with_its_code() {
    let books = under_way().cancel(NOON).learn(&soft(1), NOON);
    assert_eq!(
        (books.last().kind, books.last().detail.as_deref()),
        (EventKind::PaymentFailed, Some("REJECT_CARD_PAYMENT"))
    );
}

#[test]
fn an_invoice_that_is_no_longer_owed_is_void_from_the_moment_that_was_learned() {
    for fact in [soft(1), Fact::Lost { attempt: 1 }, refused(1, true)] {
        let books = under_way().cancel(NOON).learn(&fact, LEARNED_AT);
        assert_eq!(books.invoice.state, State::Void { at: at(LEARNED_AT) }, "{fact:?}");
    }
}

#[test]
fn an_expired_subscription_owes_nothing() {
    let expired = standard().expired(period("2026-12-01"), at(NOON)).unwrap();
    let books = Books::new(charging(), expired).learn(&soft(1), LEARNED_AT);
    assert_eq!((books.statuses(), books.mails().len()), (("void", "expired"), 0));
}

#[test]
fn a_charge_that_was_never_attempted_says_that_there_is_no_method() {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let none = Subscription { method: None, ..standard() };
    let settled = fail_without_method(&opened(), &none, &Context { now: at(NOON), cause: &cause, ladder: &ladder });
    assert_eq!(settled.event.unwrap().detail.as_deref(), Some("NO_BILLING_KEY"));
}

#[test]
fn a_receipt_shows_when_the_pg_was_paid_and_where_the_proof_is() {
    let proof = Proof { receipt_url: Some("https://receipt.example/1".to_owned()), ..Proof::default() };
    let books = under_way().learn(&Fact::Paid { at: at(PAID_AT), amount: None, proof }, LEARNED_AT);
    assert_eq!(books.invoice.state, State::Paid { at: at(PAID_AT) });
    let NoticeBody::Receipt { paid_at, receipt_url, .. } = &told(&books).body else { panic!("no receipt") };
    assert_eq!((*paid_at, receipt_url.as_deref()), (at(PAID_AT), Some("https://receipt.example/1")));
}

#[test]
fn a_refund_mail_tells_when_the_money_was_given_back() {
    let books = paid_books().learn(&refund(10_000), THIRD_MORNING);
    assert!(matches!(told(&books).body, NoticeBody::Refunded { at: then, .. } if then == at(SECOND_MORNING)));
}

#[test]
fn an_invoice_keeps_how_much_was_given_back_in_all() {
    let books = paid_books().learn(&refund(10_000), SECOND_MORNING).learn(&refund(25_000), THIRD_MORNING);
    let refunded = Money::new(25_000, Currency::Krw).unwrap();
    assert_eq!(books.invoice.state, State::PartiallyRefunded { paid_at: at(NOON), refunded });
}

#[test]
fn a_mail_about_an_invoice_is_written_to_whom_it_billed_in_their_language() {
    let mut english = charging();
    english.locale = Locale::En;
    let books = Books::new(english, standard()).learn(&is_paid(), NOON);
    let Notice { name, locale, .. } = told(&books);
    assert_eq!((name.as_ref().map(Private::expose), *locale), (Some("김민수"), Locale::En));
    assert_eq!(told(&paid_books()).locale, Locale::Ko);
}

#[test]
fn the_end_of_an_uncollectible_invoice_is_an_event_and_a_mail_of_that_moment() {
    let books = hard_declined();
    let settled = give_up_at(&books, DEADLINE).unwrap();
    let books = books.write(settled);
    assert_eq!(books.last().kind, EventKind::InvoiceUncollectible);
    let expected = NoticeBody::SubscriptionEnded {
        plan_name: "Standard".to_owned(),
        reason: EndReason::PaymentFailed,
        unpaid: Some(opened().bought()),
        ended_at: at(DEADLINE),
    };
    assert_eq!(told(&books).body, expected);
    assert_eq!(books.subscription.state, subscription::State::Expired { at: at(DEADLINE) });
}

#[test]
fn the_end_of_a_cancelled_subscription_is_an_event_of_the_subscription() {
    let cause = Cause::Run("1".to_owned());
    let (ended, event) = end_of_standard(&cause);
    assert_eq!((event.subject.as_str(), event.kind), ("sub_123", EventKind::SubscriptionCanceled));
    assert_eq!(event.id, Event::id_at(at(NOON), "000002"));
    assert_eq!((event.at, event.cause, ended.version), (at(NOON), cause, 2));
}

#[test]
fn the_end_of_a_cancelled_subscription_is_told_to_its_customer() {
    let (_, event) = end_of_standard(&Cause::Run("1".to_owned()));
    let expected = Notice {
        to: Private::new("kim@example.com"),
        name: Some(Private::new("김민수")),
        locale: Locale::Ko,
        body: NoticeBody::SubscriptionEnded {
            plan_name: "Standard".to_owned(),
            reason: EndReason::Canceled,
            unpaid: None,
            ended_at: at(NOON),
        },
    };
    assert_eq!(event.notice, Some(expected));
}
