mod give_up;
mod records;
mod refunds;

use super::*;
use crate::calendar;
use crate::decline::Reason;
use crate::dunning::MAX_DECLINES;
use crate::event::EventKey;
use crate::id::StoreId;
use crate::invoice::Step;
use crate::invoice::tests::{NOON, charging, opened};
use crate::money::Currency;
use crate::subscription::Due;
use crate::subscription::tests::{at, method, period, standard};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::collections::BTreeSet;

const SECOND_MORNING: &str = "2026-12-02T10:00:00+09:00";
const THIRD_MORNING: &str = "2026-12-03T10:00:00+09:00";
const DEADLINE: &str = "2026-12-06T10:00:00+09:00";

/// An invoice and its subscription, and what has been written about them.
#[derive(Debug, Clone)]
struct Books {
    invoice: Invoice,
    subscription: Subscription,
    events: Vec<Event>,
}

impl Books {
    fn new(invoice: Invoice, subscription: Subscription) -> Self {
        Self { invoice, subscription, events: Vec::new() }
    }

    /// What a fact would write.
    fn decide(&self, fact: &Fact, now: &str) -> Option<Settled> {
        decide(&self.invoice, Some(&self.subscription), fact, at(now))
    }

    fn knows(&self, fact: &Fact, now: &str) -> bool {
        self.decide(fact, now).is_none()
    }

    #[must_use]
    fn learn(self, fact: &Fact, now: &str) -> Self {
        let settled = self.decide(fact, now).expect("nothing was written");
        self.write(settled)
    }

    #[must_use]
    fn write(mut self, settled: Settled) -> Self {
        self.invoice = settled.invoice;
        self.subscription = settled.subscription.unwrap_or(self.subscription);
        self.events.extend(settled.event);
        self
    }

    /// Claims the next attempt, as a worker does: with the method the subscription has.
    #[must_use]
    fn attempt(mut self, now: &str) -> Self {
        let method = self.subscription.method.clone().expect("no method");
        self.invoice = self.invoice.claimed(&method, "run:n".to_owned(), at(now)).expect("not claimed");
        self
    }

    #[must_use]
    fn cancel(mut self, now: &str) -> Self {
        self.subscription = self.subscription.canceled(at(now)).expect("not cancelled");
        self
    }

    #[must_use]
    fn put_method(mut self, key: &str, now: &str) -> Self {
        self.subscription = self.subscription.with_method(&method(key), at(now)).expect("no new method");
        self
    }

    fn last(&self) -> &Event {
        self.events.last().expect("no event")
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|event| event.kind).collect()
    }

    fn mails(&self) -> Vec<&'static str> {
        self.events.iter().filter_map(|event| event.notice.as_ref()).map(|notice| notice.body.name()).collect()
    }

    fn statuses(&self) -> (&'static str, &'static str) {
        (self.invoice.state.status(), self.subscription.state.status())
    }
}

fn decide(invoice: &Invoice, subscription: Option<&Subscription>, fact: &Fact, now: Timestamp) -> Option<Settled> {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    settle(invoice, subscription, fact, &Context { now, cause: &cause, ladder: &ladder })
}

fn give_up_at(books: &Books, now: &str) -> Option<Settled> {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    give_up(&books.invoice, &books.subscription, &Context { now: at(now), cause: &cause, ladder: &ladder })
}

/// The first attempt of December is under way.
fn under_way() -> Books {
    Books::new(charging(), standard())
}

fn of(minor: i64, currency: &str) -> Charged {
    Charged { minor, currency: currency.to_owned() }
}

fn paid_as(amount: Option<Charged>) -> Fact {
    let proof = Proof { pg_tx_id: Some("pg-1".to_owned()), ..Proof::default() };
    Fact::Paid { at: at(NOON), amount, proof }
}

fn is_paid() -> Fact {
    paid_as(Some(of(30_000, "KRW")))
}

fn soft(attempt: u32) -> Fact {
    Fact::Declined {
        attempt,
        decline: Decline { reason: Reason::InsufficientFunds, code: "REJECT_CARD_PAYMENT".to_owned() },
    }
}

fn hard(attempt: u32) -> Fact {
    Fact::Declined {
        attempt,
        decline: Decline { reason: Reason::LostOrStolen, code: "INVALID_CARD_LOST_OR_STOLEN".to_owned() },
    }
}

fn unknown(attempt: u32) -> Fact {
    Fact::Unknown { attempt, why: "timeout".to_owned() }
}

fn refused(attempt: u32, at_once: bool) -> Fact {
    Fact::Refused { attempt, code: "INVALID_REQUEST".to_owned(), at_once }
}

fn refund(minor: i64) -> Fact {
    Fact::Refunded { total: of(minor, "KRW"), at: at(SECOND_MORNING), chargeback: false }
}

fn paid_books() -> Books {
    under_way().learn(&is_paid(), NOON)
}

fn hard_declined() -> Books {
    under_way().learn(&hard(1), NOON)
}

fn quarantined_books() -> Books {
    under_way().learn(&paid_as(Some(of(29_999, "KRW"))), NOON)
}

// Paid.

#[test]
fn a_payment_settles_the_invoice_and_moves_the_subscription_to_the_next_month() {
    let books = paid_books();
    assert_eq!(books.invoice.state, State::Paid { at: at(NOON) });
    assert_eq!(books.subscription.state, subscription::State::Active { next: Some(period("2027-01-01")) });
    assert_eq!(books.subscription.due_at(), Some(at("2027-01-01T10:00:00+09:00")));
    assert_eq!(books.invoice.attempts[0].outcome, Some(Outcome::Paid));
    assert_eq!(books.invoice.proof.pg_tx_id.as_deref(), Some("pg-1"));
}

#[test]
fn a_payment_makes_one_receipt_that_names_the_next_bill_and_the_tax() {
    let books = paid_books();
    let notice = books.last().notice.as_ref().unwrap();
    let NoticeBody::Receipt { vat, next_billing, paid_at, .. } = &notice.body else { panic!("no receipt") };
    assert_eq!(vat.minor(), 2_727);
    assert_eq!(*next_billing, Some(period("2027-01-01").start()));
    assert_eq!(*paid_at, at(NOON));
    assert_eq!((books.mails(), notice.to.expose()), (vec!["receipt"], "kim@example.com"));
}

#[test]
fn a_payment_learned_twice_is_nothing() {
    assert!(paid_books().knows(&is_paid(), SECOND_MORNING));
}

#[test]
fn a_payment_whose_answer_states_no_sum_is_a_payment() {
    assert_eq!(under_way().learn(&paid_as(None), NOON).statuses(), ("paid", "active"));
}

#[test]
fn the_receipt_of_a_subscription_that_ends_with_the_period_names_no_next_bill() {
    let ending = Subscription { cancel_at_period_end: true, ..standard() };
    let books = Books::new(charging(), ending).learn(&is_paid(), NOON);
    let body = books.last().notice.clone().unwrap().body;
    assert!(matches!(body, NoticeBody::Receipt { next_billing: None, .. }));
}

#[test]
fn another_amount_or_currency_is_never_settled_as_paid() {
    for other in [
        of(29_999, "KRW"),
        of(30_001, "KRW"),
        of(30_000, "USD"),
        of(30_000, "JPY"),
        of(-30_000, "KRW"),
        of(i64::MAX, "KRW"),
    ] {
        let books = under_way().learn(&paid_as(Some(other.clone())), NOON);
        assert_eq!(books.statuses(), ("unknown", "past_due"), "{other:?}");
        assert!(books.invoice.quarantine.is_some() && books.subscription.due_at().is_none(), "{other:?}");
    }
}

#[test]
fn another_amount_alarms_and_mails_nobody() {
    let books = quarantined_books();
    assert_eq!(books.kinds(), [EventKind::InvoiceQuarantined]);
    assert!(books.last().kind.alarms() && books.mails().is_empty());
    assert_eq!(books.last().detail.as_deref(), Some("PortOne says 29999 KRW was paid; owed is 30000 KRW"));
}

#[test]
fn another_amount_read_after_the_charge_was_answered_is_quarantined_too() {
    let books = paid_books().learn(&paid_as(Some(of(27_000, "KRW"))), SECOND_MORNING);
    assert_eq!(books.statuses(), ("paid", "active"));
    assert!(books.invoice.quarantine.is_some());
    assert_eq!(books.subscription.period(), Some(period("2027-01-01")), "what is not in question goes on");
}

#[test]
fn nothing_moves_a_quarantined_invoice() {
    let books = quarantined_books();
    for fact in every_fact(1) {
        assert!(books.knows(&fact, SECOND_MORNING), "{fact:?}");
    }
    assert!(give_up_at(&books, "2027-01-01T10:00:00+09:00").is_none());
    assert!(books.invoice.superseded(&StoreId::new("store-1").unwrap(), at(NOON)).is_none());
    assert!(Invoice { quarantine: Some("why".to_owned()), ..opened() }.voided(at(NOON)).is_none());
}

#[test]
fn a_payment_after_the_customer_cancelled_is_recorded_and_revives_nothing() {
    let books = under_way().cancel(NOON).learn(&is_paid(), NOON);
    assert_eq!(books.statuses(), ("paid", "canceled"));
    assert!(books.last().detail.is_some());
    let body = books.last().notice.clone().unwrap().body;
    assert!(matches!(body, NoticeBody::Receipt { next_billing: None, .. }));
}

#[test]
fn a_payment_of_an_invoice_that_was_given_up_is_recorded_and_revives_nothing() {
    let given_up = Books::new(hard_declined().invoice, hard_declined().subscription);
    let settled = give_up_at(&given_up, DEADLINE).unwrap();
    assert_eq!(given_up.write(settled).learn(&is_paid(), DEADLINE).statuses(), ("paid", "expired"));
}

#[test]
fn a_payment_under_a_replaced_payment_id_is_quarantined() {
    let (old, _) = charging().superseded(&StoreId::new("store-1").unwrap(), at(NOON)).unwrap();
    let books = Books::new(old, standard()).learn(&is_paid(), NOON);
    assert_eq!(books.statuses(), ("void", "past_due"));
    assert_eq!(books.kinds(), [EventKind::InvoiceQuarantined]);
}

#[test]
fn a_parked_subscription_is_not_dunned_for_a_decline_of_the_other_payment_id() {
    let (_, new) = charging().superseded(&StoreId::new("store-1").unwrap(), at(NOON)).unwrap();
    let parked = standard().parked(period("2026-12-01")).unwrap();
    let running = new.claimed(&method("billing-key-1"), "run:1".to_owned(), at(NOON)).unwrap();
    let books = Books::new(running, parked).learn(&soft(2), NOON);
    assert!(matches!(books.subscription.state, subscription::State::Parked { .. }), "a retry would charge twice");
    assert!(books.mails().is_empty());
}

#[test]
fn a_parked_subscription_does_not_expire() {
    let parked = standard().parked(period("2026-12-01")).unwrap();
    assert!(parked.expired(period("2026-12-01"), at(NOON)).is_none());
    assert!(give_up_at(&Books { subscription: parked, ..hard_declined() }, DEADLINE).is_none());
}

#[test]
fn an_invoice_whose_subscription_is_gone_is_settled_alone() {
    let settled = decide(&charging(), None, &is_paid(), at(NOON)).unwrap();
    assert_eq!((settled.invoice.state.status(), settled.subscription), ("paid", None));
}

// Declined.

#[test]
fn four_soft_declines_end_the_subscription_with_one_mail_each_and_none_that_contradicts_another() {
    let books = under_way().learn(&soft(1), NOON).attempt(SECOND_MORNING).learn(&soft(2), SECOND_MORNING);
    let books = books.attempt("2026-12-04T10:00:00+09:00").learn(&soft(3), "2026-12-04T10:00:00+09:00");
    let books = books.attempt(DEADLINE).learn(&soft(4), DEADLINE);
    assert_eq!(books.statuses(), ("uncollectible", "expired"));
    assert_eq!(books.invoice.declines(), MAX_DECLINES);
    assert_eq!(books.mails(), ["payment_failed", "payment_failed", "payment_failed", "subscription_ended"]);
    assert!(matches!(books.invoice.step(Some(&method("billing-key-2")), Timestamp::MAX), Step::Nothing));
}

#[test]
fn a_soft_decline_is_tried_again_when_its_mail_says() {
    let books = under_way().learn(&soft(1), NOON);
    let body = books.last().notice.clone().unwrap().body;
    let NoticeBody::PaymentFailed { retried: true, until, reason: Reason::InsufficientFunds, .. } = body else {
        panic!("{body:?}")
    };
    assert_eq!((until, books.subscription.due_at()), (at(SECOND_MORNING), Some(at(SECOND_MORNING))));
    assert_eq!(books.invoice.state, State::Failed { retry_at: Some(at(SECOND_MORNING)) });
    assert_eq!(books.last().detail.as_deref(), Some("REJECT_CARD_PAYMENT"));
}

#[test]
fn a_decline_learned_twice_is_nothing() {
    assert!(under_way().learn(&soft(1), NOON).knows(&soft(1), SECOND_MORNING));
}

#[test]
fn a_decline_of_an_attempt_that_is_no_longer_the_last_is_nothing() {
    let books = under_way().learn(&soft(1), NOON).attempt(SECOND_MORNING);
    assert!(books.knows(&soft(1), SECOND_MORNING));
    assert!(books.knows(&hard(3), SECOND_MORNING), "an attempt that was never made");
}

#[test]
fn a_decline_after_the_payment_is_nothing() {
    assert!(paid_books().knows(&hard(1), SECOND_MORNING));
}

#[test]
fn a_payment_after_the_decline_is_a_payment() {
    let books = under_way().learn(&soft(1), NOON).learn(&is_paid(), SECOND_MORNING);
    assert_eq!(books.statuses(), ("paid", "active"));
}

#[test]
fn a_hard_decline_waits_for_a_method_and_is_not_retried() {
    let books = hard_declined();
    let body = books.last().notice.clone().unwrap().body;
    let NoticeBody::PaymentFailed { retried: false, until, reason: Reason::LostOrStolen, .. } = body else {
        panic!("{body:?}")
    };
    assert_eq!((until, books.subscription.due_at()), (at(DEADLINE), Some(at(DEADLINE))));
    assert_eq!(books.invoice.step(books.subscription.method.as_ref(), at(DEADLINE)), Step::GiveUp);
    assert!(books.invoice.claimed(&method("billing-key-1"), "run:2".to_owned(), at(DEADLINE)).is_none());
}

#[test]
fn without_a_method_the_invoice_is_given_up_at_the_deadline_with_one_mail() {
    let books = hard_declined();
    let settled = give_up_at(&books, DEADLINE).unwrap();
    let books = books.write(settled);
    assert_eq!(books.statuses(), ("uncollectible", "expired"));
    assert_eq!(books.mails(), ["payment_failed", "subscription_ended"]);
    let body = books.last().notice.clone().unwrap().body;
    assert!(matches!(body, NoticeBody::SubscriptionEnded { reason: EndReason::PaymentFailed, unpaid: Some(_), .. }));
}

#[test]
fn nothing_is_given_up_before_the_moment_the_customer_was_told() {
    // A new method makes the subscription due at once; if it is gone again before it was tried, the wait is not over.
    let mut books = hard_declined().put_method("billing-key-2", SECOND_MORNING);
    books.subscription = books.subscription.without_method(&method("billing-key-2").billing_key).unwrap();
    assert_eq!(books.subscription.due(at(THIRD_MORNING)), Due::Collect(period("2026-12-01")));
    assert_eq!(books.invoice.step(None, at(THIRD_MORNING)), Step::GiveUp);
    assert!(give_up_at(&books, THIRD_MORNING).is_none());
    assert!(give_up_at(&books, "2026-12-06T09:59:59+09:00").is_none());
    assert!(give_up_at(&books, DEADLINE).is_some());
}

#[test]
fn an_invoice_that_will_be_retried_or_is_no_longer_owed_is_not_given_up() {
    assert!(give_up_at(&under_way().learn(&soft(1), NOON), DEADLINE).is_none());
    assert!(give_up_at(&under_way(), DEADLINE).is_none());
    assert!(give_up_at(&hard_declined().cancel(SECOND_MORNING), DEADLINE).is_none());
    let elsewhere = standard().paid(period("2026-12-01")).unwrap();
    assert!(give_up_at(&Books { subscription: elsewhere, ..hard_declined() }, DEADLINE).is_none());
}

#[test]
fn a_new_method_after_a_hard_decline_is_tried_at_once_and_may_pay() {
    let books = hard_declined().put_method("billing-key-2", SECOND_MORNING);
    assert_eq!(books.subscription.due(at(SECOND_MORNING)), Due::Collect(period("2026-12-01")));
    let books = books.attempt(SECOND_MORNING).learn(&is_paid(), SECOND_MORNING);
    assert_eq!(books.statuses(), ("paid", "active"));
    assert_eq!(books.mails(), ["payment_failed", "receipt"]);
    assert_eq!(books.invoice.attempts.iter().map(|a| a.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_decline_after_the_customer_cancelled_voids_the_invoice_and_mails_no_failure() {
    for declined in [soft(1), hard(1)] {
        let books = under_way().cancel(NOON).learn(&declined, NOON);
        assert_eq!(books.statuses(), ("void", "canceled"));
        assert!(books.mails().is_empty());
    }
}

#[test]
fn a_period_without_any_method_asks_for_one_and_may_still_be_paid() {
    let none = Subscription { method: None, ..standard() };
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let settled = fail_without_method(&opened(), &none, &Context { now: at(NOON), cause: &cause, ladder: &ladder });
    let books = Books::new(opened(), none).write(settled);
    assert_eq!(books.statuses(), ("failed", "past_due"));
    assert_eq!((books.invoice.attempts.len(), books.mails()), (0, vec!["payment_failed"]));
    assert_eq!(books.subscription.due_at(), Some(at(DEADLINE)));
    let books = books.put_method("billing-key-2", SECOND_MORNING).attempt(SECOND_MORNING);
    assert_eq!(books.learn(&is_paid(), SECOND_MORNING).statuses(), ("paid", "active"));
}

#[test]
fn a_period_without_any_method_is_given_up_at_the_deadline() {
    let none = Subscription { method: None, ..standard() };
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let settled = fail_without_method(&opened(), &none, &Context { now: at(NOON), cause: &cause, ladder: &ladder });
    let books = Books::new(opened(), none).write(settled);
    assert!(give_up_at(&books, "2026-12-05T10:00:00+09:00").is_none());
    assert!(give_up_at(&books, DEADLINE).is_some());
}

// Unknown, pending, lost, refused.

#[test]
fn an_unknown_end_changes_no_subscription_and_mails_nobody() {
    let books = under_way().learn(&unknown(1), NOON);
    assert_eq!(books.statuses(), ("unknown", "active"));
    assert_eq!(books.subscription, standard());
    assert!(books.mails().is_empty());
    assert_eq!(books.invoice.step(books.subscription.method.as_ref(), at(SECOND_MORNING)), Step::Ask);
    assert!(books.knows(&unknown(1), SECOND_MORNING));
}

#[test]
fn an_unknown_end_turns_out_paid() {
    assert_eq!(under_way().learn(&unknown(1), NOON).learn(&is_paid(), NOON).statuses(), ("paid", "active"));
}

#[test]
fn an_unknown_end_turns_out_declined() {
    let books = under_way().learn(&unknown(1), NOON).learn(&soft(1), NOON);
    assert_eq!((books.statuses(), books.invoice.declines()), (("failed", "past_due"), 1));
}

#[test]
fn an_unknown_end_turns_out_lost_and_is_not_held_against_the_customer() {
    let books = under_way().learn(&unknown(1), NOON).learn(&Fact::Lost { attempt: 1 }, SECOND_MORNING);
    assert_eq!(books.statuses(), ("open", "active"));
    assert_eq!((books.invoice.declines(), books.invoice.first_failed_at, books.mails().len()), (0, None, 0));
    let books = books.attempt(SECOND_MORNING);
    assert_eq!(books.invoice.attempts[1].number, 2);
    let books = books.learn(&soft(2), SECOND_MORNING);
    assert_eq!(books.invoice.state, State::Failed { retry_at: Some(at(THIRD_MORNING)) }, "the ladder's first rung");
}

#[test]
fn an_unknown_that_comes_after_the_answer_is_nothing() {
    for books in
        [paid_books(), under_way().learn(&soft(1), NOON), under_way().learn(&Fact::Pending { attempt: 1 }, NOON)]
    {
        assert!(books.knows(&unknown(1), NOON));
    }
}

#[test]
fn a_pending_charge_turns_out_paid() {
    let books = under_way().learn(&Fact::Pending { attempt: 1 }, NOON);
    assert_eq!(books.statuses(), ("pending", "active"));
    assert!(books.mails().is_empty() && books.knows(&Fact::Pending { attempt: 1 }, NOON));
    assert_eq!(books.learn(&is_paid(), SECOND_MORNING).statuses(), ("paid", "active"));
}

#[test]
fn a_pending_charge_turns_out_declined() {
    let books = under_way().learn(&Fact::Pending { attempt: 1 }, NOON).learn(&soft(1), SECOND_MORNING);
    assert_eq!(books.statuses(), ("failed", "past_due"));
    assert_eq!(books.invoice.first_failed_at, Some(at(SECOND_MORNING)));
}

#[test]
fn a_pending_charge_is_neither_sent_nor_claimed_again() {
    let books = under_way().learn(&Fact::Pending { attempt: 1 }, NOON);
    assert!(books.invoice.reclaimed(at(SECOND_MORNING)).is_none());
    assert!(books.invoice.claimed(&method("billing-key-2"), "run:2".to_owned(), at(SECOND_MORNING)).is_none());
}

#[test]
fn a_refusal_of_our_request_reopens_for_the_next_morning_and_mails_nobody() {
    let books = under_way().learn(&refused(1, false), NOON);
    assert_eq!(books.invoice.state, State::Open { next_attempt_at: at(SECOND_MORNING) });
    assert_eq!((books.subscription.clone(), books.mails().len()), (standard(), 0));
    assert!(books.last().kind.alarms());
    assert_eq!(books.invoice.declines(), 0);
}

#[test]
fn a_refusal_of_our_credentials_reopens_at_once() {
    let books = under_way().learn(&refused(1, true), NOON);
    assert_eq!(books.invoice.step(books.subscription.method.as_ref(), at(NOON)), Step::Attempt);
}

#[test]
fn an_attempt_that_came_to_nothing_after_the_customer_cancelled_leaves_nothing_owed() {
    for fact in [Fact::Lost { attempt: 1 }, refused(1, false), refused(1, true)] {
        assert_eq!(under_way().cancel(NOON).learn(&fact, NOON).statuses(), ("void", "canceled"), "{fact:?}");
    }
}

#[test]
fn a_contradiction_is_parked_once() {
    let books = under_way().learn(&Fact::Contradiction("odd".to_owned()), NOON);
    assert_eq!(books.kinds(), [EventKind::InvoiceQuarantined]);
    assert!(books.knows(&Fact::Contradiction("odder".to_owned()), NOON));
}

// Refunds.

#[test]
fn money_is_given_back_in_parts_until_all_of_it_is() {
    let books = paid_books().learn(&refund(10_000), SECOND_MORNING);
    let refunded = Money::new(10_000, Currency::Krw).unwrap();
    assert_eq!(books.invoice.state, State::PartiallyRefunded { paid_at: at(NOON), refunded });
    let books = books.learn(&refund(30_000), THIRD_MORNING);
    assert_eq!(books.invoice.state, State::Refunded { paid_at: at(NOON) });
    assert_eq!(books.mails(), ["receipt", "refunded", "refunded"]);
}

#[test]
fn a_refund_mail_tells_this_time_and_in_all() {
    let books = paid_books().learn(&refund(10_000), SECOND_MORNING).learn(&refund(25_000), THIRD_MORNING);
    let body = books.last().notice.clone().unwrap().body;
    let NoticeBody::Refunded { refunded, total_refunded, .. } = body else { panic!("{body:?}") };
    assert_eq!((refunded.minor(), total_refunded.minor()), (15_000, 25_000));
}

#[test]
fn a_refund_changes_no_subscription() {
    let books = paid_books();
    assert_eq!(books.decide(&refund(30_000), SECOND_MORNING).unwrap().subscription, None);
}

#[test]
fn a_refund_learned_twice_or_late_or_of_nothing_is_nothing() {
    let books = paid_books();
    assert!(books.knows(&refund(0), SECOND_MORNING));
    let books = books.learn(&refund(10_000), SECOND_MORNING);
    assert!(books.knows(&refund(10_000), THIRD_MORNING) && books.knows(&refund(5_000), THIRD_MORNING));
    let books = books.learn(&refund(30_000), THIRD_MORNING);
    assert!(books.knows(&refund(30_000), THIRD_MORNING) && books.knows(&refund(10_000), THIRD_MORNING));
}

#[test]
fn more_than_was_paid_or_another_currency_given_back_is_quarantined() {
    for total in [of(30_001, "KRW"), of(10_000, "USD"), of(-1, "KRW"), of(i64::MAX, "KRW")] {
        let fact = Fact::Refunded { total, at: at(NOON), chargeback: false };
        let books = paid_books().learn(&fact, SECOND_MORNING);
        assert_eq!(
            (books.last().kind, books.invoice.state.status()),
            (EventKind::InvoiceQuarantined, "paid"),
            "{fact:?}"
        );
    }
}

#[test]
fn a_payment_learned_again_after_a_refund_is_nothing() {
    for total in [10_000, 30_000] {
        let books = paid_books().learn(&refund(total), SECOND_MORNING);
        assert!(books.knows(&is_paid(), THIRD_MORNING) && books.knows(&paid_as(None), THIRD_MORNING));
    }
}

#[test]
fn a_refund_of_what_was_not_paid_is_nothing() {
    assert!(under_way().knows(&refund(10_000), NOON));
    assert!(under_way().learn(&soft(1), NOON).knows(&refund(10_000), NOON));
}

#[test]
fn a_chargeback_is_a_refund_that_says_so() {
    let fact = Fact::Refunded { total: of(30_000, "KRW"), at: at(SECOND_MORNING), chargeback: true };
    let books = paid_books().learn(&fact, SECOND_MORNING);
    assert_eq!((books.last().detail.as_deref(), books.invoice.state.status()), (Some("chargeback"), "refunded"));
}

// The end of a cancelled subscription.

#[test]
fn a_subscription_cancelled_at_the_end_of_its_period_ends_once_with_one_mail() {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let cx = Context { now: at(NOON), cause: &cause, ladder: &ladder };
    let (ended, event) = end_canceled(&standard(), "Standard", &cx).unwrap();
    assert_eq!(ended.state, subscription::State::Canceled { at: at(NOON) });
    let body = event.notice.clone().unwrap().body;
    assert!(matches!(body, NoticeBody::SubscriptionEnded { reason: EndReason::Canceled, unpaid: None, .. }));
    assert_eq!((event.before.as_deref(), event.after.as_deref()), (Some("active"), Some("canceled")));
    assert!(end_canceled(&ended, "Standard", &cx).is_none());
}

// Events.

#[test]
fn an_event_says_what_was_and_what_is() {
    let books = paid_books();
    let event = books.last();
    assert_eq!((event.before.as_deref(), event.after.as_deref()), (Some("charging"), Some("paid")));
    assert_eq!((event.subject.as_str(), event.at), (books.invoice.payment_id.as_str(), at(NOON)));
    assert_eq!(event.cause.to_string(), "run:1");
}

#[test]
fn events_of_one_millisecond_keep_their_order_and_the_same_write_has_the_same_id() {
    let books =
        under_way().learn(&unknown(1), NOON).learn(&soft(1), NOON).learn(&is_paid(), NOON).learn(&refund(1), NOON);
    let ids: Vec<&str> = books.events.iter().map(|event| event.id.as_str()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert_eq!(ids[0], "1796086800000-000003");
    assert_eq!(under_way().learn(&unknown(1), NOON).last().key(), books.events[0].key());
}

#[test]
fn a_customer_without_an_address_gets_no_notice_and_the_event_is_written() {
    let mut books = under_way();
    books.invoice.customer.email = None;
    let books = books.learn(&is_paid(), NOON);
    assert_eq!((books.last().kind, books.last().notice.clone()), (EventKind::InvoicePaid, None));
}

#[test]
fn an_event_that_replaces_a_payment_id_alarms_and_names_the_new_one() {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let cx = Context { now: at(NOON), cause: &cause, ladder: &ladder };
    let (old, new) = charging().superseded(&StoreId::new("store-1").unwrap(), at(NOON)).unwrap();
    let event = superseded_event(&charging(), &old, &new, &cx);
    assert_eq!((event.kind, event.subject.as_str()), (EventKind::InvoiceSuperseded, old.payment_id.as_str()));
    assert!(event.kind.alarms() && event.notice.is_none() && event.detail.unwrap().ends_with(new.payment_id.as_str()));
}

// Any order, any number of times.

/// One of each fact, about attempt `n`.
fn every_fact(n: u32) -> Vec<Fact> {
    vec![
        is_paid(),
        paid_as(None),
        paid_as(Some(of(1, "KRW"))),
        soft(n),
        hard(n),
        Fact::Pending { attempt: n },
        unknown(n),
        refused(n, false),
        refused(n, true),
        Fact::Lost { attempt: n },
        refund(10_000),
        refund(30_000),
        refund(30_001),
        Fact::Contradiction("odd".to_owned()),
    ]
}

#[derive(Debug, Clone)]
enum Move {
    Learn(Fact),
    Attempt,
    PutMethod(u8),
    TakeMethod,
    Cancel,
    GiveUp,
}

/// Mostly what happens, seldom what ends a story early.
fn moves() -> impl Strategy<Value = Move> {
    let fact = (1..6u32).prop_flat_map(|n| {
        let rare = prop_oneof![
            Just(paid_as(Some(of(1, "KRW")))),
            Just(refund(30_001)),
            Just(Fact::Contradiction("odd".to_owned()))
        ];
        prop_oneof![
            6 => prop_oneof![Just(soft(n)), Just(hard(n))],
            3 => prop_oneof![Just(Fact::Pending { attempt: n }), Just(unknown(n)), Just(Fact::Lost { attempt: n })],
            1 => any::<bool>().prop_map(move |at_once| refused(n, at_once)),
            1 => prop_oneof![Just(is_paid()), Just(paid_as(None))],
            1 => prop_oneof![Just(30_000i64), 0..=30_000i64].prop_map(refund),
            1 => rare,
        ]
    });
    prop_oneof![
        12 => fact.prop_map(Move::Learn),
        8 => Just(Move::Attempt),
        2 => (1..4u8).prop_map(Move::PutMethod),
        1 => Just(Move::TakeMethod),
        1 => Just(Move::Cancel),
        2 => Just(Move::GiveUp),
    ]
}

fn is_paid_state(invoice: &Invoice) -> bool {
    matches!(invoice.state, State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. })
}

fn has_ended(subscription: &Subscription) -> bool {
    matches!(subscription.state, subscription::State::Canceled { .. } | subscription::State::Expired { .. })
}

fn given_back(invoice: &Invoice) -> i64 {
    match &invoice.state {
        State::PartiallyRefunded { refunded, .. } => refunded.minor(),
        State::Refunded { .. } => invoice.amount.minor(),
        _ => 0,
    }
}

/// Makes a move as the flows do. `None`: it is not allowed now.
fn moved(books: &Books, next: &Move, now: Timestamp) -> Option<Books> {
    let (cause, ladder) = (Cause::Run("1".to_owned()), Ladder::default());
    let cx = Context { now, cause: &cause, ladder: &ladder };
    let with = |subscription: Subscription| Some(Books { subscription, ..books.clone() });
    match next {
        Move::Learn(fact) => Some(books.clone().write(settle(&books.invoice, Some(&books.subscription), fact, &cx)?)),
        Move::Attempt => {
            let due = books.subscription.due(now) == Due::Collect(books.invoice.period);
            let method = books.subscription.method.as_ref().filter(|_| due)?;
            Some(Books { invoice: books.invoice.claimed(method, "run:n".to_owned(), now)?, ..books.clone() })
        }
        Move::PutMethod(n) => with(books.subscription.with_method(&method(&format!("billing-key-{n}")), now)?),
        Move::TakeMethod => {
            let key = books.subscription.method.as_ref()?.billing_key.clone();
            with(books.subscription.without_method(&key)?)
        }
        Move::Cancel => with(books.subscription.canceled(now)?),
        Move::GiveUp => Some(books.clone().write(give_up(&books.invoice, &books.subscription, &cx)?)),
    }
}

fn check(before: &Books, after: &Books) -> Result<(), TestCaseError> {
    let (old, new) = (&before.invoice, &after.invoice);
    prop_assert!(new.version >= old.version && new.version.abs_diff(old.version) <= 1, "versions count writes");
    prop_assert_eq!(new == old, new.version == old.version, "a change without a version");
    prop_assert_eq!(
        before.subscription == after.subscription,
        before.subscription.version == after.subscription.version
    );
    prop_assert!(before.subscription.version <= after.subscription.version);
    prop_assert!(after.events.len() <= before.events.len().saturating_add(1), "one event per write");
    prop_assert!(!is_paid_state(old) || is_paid_state(new), "a paid invoice became unpaid");
    prop_assert!(old.quarantine.is_none() || old == new, "a parked invoice moved");
    prop_assert!(!has_ended(&before.subscription) || after.subscription.state == before.subscription.state, "revived");
    prop_assert!(
        after.subscription.period() >= before.subscription.period() || has_ended(&after.subscription),
        "an earlier period"
    );
    prop_assert!(new.declines() <= MAX_DECLINES);
    prop_assert!(given_back(new) >= given_back(old) && given_back(new) <= new.amount.minor());
    prop_assert_eq!(new.amount, old.amount);
    prop_assert_eq!(&new.payment_id, &old.payment_id);
    prop_assert!(new.attempts.len() >= old.attempts.len(), "an attempt was forgotten");
    prop_assert!(new.attempts.iter().zip(1..).all(|(attempt, number)| attempt.number == number));
    Ok(())
}

/// What is owed is not forgotten: while the invoice is unpaid and not parked, its subscription is due some day or has ended.
fn check_not_forgotten(books: &Books) -> Result<(), TestCaseError> {
    let is_owed = matches!(
        books.invoice.state,
        State::Open { .. }
            | State::Charging { .. }
            | State::Unknown { .. }
            | State::Pending { .. }
            | State::Failed { .. }
    );
    if is_owed && books.invoice.quarantine.is_none() && !has_ended(&books.subscription) {
        prop_assert!(books.subscription.due_at().is_some());
        prop_assert_eq!(books.subscription.period(), Some(books.invoice.period));
    }
    Ok(())
}

/// Plays a story; each move may be a while after the one before.
fn play(
    story: &[(Move, i64)],
    mut each: impl FnMut(&Books, &Books) -> Result<(), TestCaseError>,
) -> Result<Books, TestCaseError> {
    let (mut books, mut now) = (under_way(), at(NOON));
    for (next, minutes) in story {
        now = now.checked_add(SignedDuration::from_mins(*minutes)).unwrap();
        if let Some(after) = moved(&books, next, now) {
            each(&books, &after)?;
            books = after;
        }
    }
    Ok(books)
}

fn stories() -> impl Strategy<Value = Vec<(Move, i64)>> {
    proptest::collection::vec((moves(), prop_oneof![Just(0i64), 1..4_000i64]), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_story_breaks_a_law(story in stories()) {
        play(&story, |before, after| {
            check(before, after)?;
            check_not_forgotten(after)
        })?;
    }

    #[test]
    fn a_fact_learned_is_a_fact_known(story in stories(), fact in 0..14usize, n in 1..6u32, later in 0..10_000i64) {
        let books = play(&story, |_, _| Ok(()))?;
        let now = at("2027-02-01T10:00:00+09:00");
        let facts = every_fact(n);
        if let Some(settled) = decide(&books.invoice, Some(&books.subscription), &facts[fact], now) {
            let after = books.write(settled);
            let later = now.checked_add(SignedDuration::from_mins(later)).unwrap();
            prop_assert_eq!(decide(&after.invoice, Some(&after.subscription), &facts[fact], later), None);
        }
    }

    #[test]
    fn the_same_fact_decided_twice_is_the_same_write(story in stories(), fact in 0..14usize, n in 1..6u32) {
        let books = play(&story, |_, _| Ok(()))?;
        let facts = every_fact(n);
        let now = at("2027-02-01T10:00:00+09:00");
        prop_assert_eq!(
            decide(&books.invoice, Some(&books.subscription), &facts[fact], now),
            decide(&books.invoice, Some(&books.subscription), &facts[fact], now)
        );
    }

    #[test]
    fn every_event_of_a_story_has_a_place_of_its_own_in_order(story in stories()) {
        let books = play(&story, |_, _| Ok(()))?;
        let keys: Vec<EventKey> = books.events.iter().map(Event::key).collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    }

    #[test]
    fn a_customer_is_told_of_one_receipt_and_of_one_end_at_most_and_of_no_failure_after_either(story in stories()) {
        let mails = play(&story, |_, _| Ok(()))?.mails();
        let count = |name| mails.iter().filter(|mail| **mail == name).count();
        prop_assert!(count("receipt") <= 1 && count("subscription_ended") <= 1 && count("payment_failed") <= 4);
        let done = mails.iter().position(|mail| *mail != "payment_failed").unwrap_or(mails.len());
        prop_assert!(!mails[done..].contains(&"payment_failed"), "{mails:?}");
    }

    #[test]
    fn who_brings_the_news_of_one_attempt_first_does_not_matter(
        news in Just(vec![is_paid(), paid_as(None), unknown(1), Fact::Pending { attempt: 1 }]).prop_shuffle(),
        again in proptest::collection::vec(0..4usize, 0..8),
    ) {
        let mut books = under_way();
        let sequence = news.iter().chain(again.iter().map(|i| &news[*i]));
        for fact in sequence {
            books = match books.decide(fact, NOON) {
                Some(settled) => books.write(settled),
                None => books,
            };
        }
        prop_assert_eq!(books.statuses(), ("paid", "active"));
        prop_assert_eq!(books.mails(), ["receipt"]);
    }

    #[test]
    fn a_retry_is_on_a_later_day_in_the_morning(minutes in 0..60_000i64, declines in 1..4u32, late in 0..60_000i64) {
        let first = at(NOON).checked_add(SignedDuration::from_mins(minutes)).unwrap();
        let now = first.checked_add(SignedDuration::from_mins(late)).unwrap();
        for severity in [crate::decline::Severity::Soft, crate::decline::Severity::Hard] {
            match Ladder::default().after(declines, first, now, severity) {
                Next::Retry(then) | Next::AwaitMethod(then) => {
                    prop_assert!(calendar::date_at(then) > calendar::date_at(now));
                    prop_assert_eq!(then, calendar::moment(calendar::date_at(then), calendar::BILLING_HOUR));
                }
                Next::GiveUp => prop_assert!(declines > 3),
            }
        }
    }
}
