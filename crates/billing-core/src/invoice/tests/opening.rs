//! What an invoice freezes when it is opened, and what mails show of it.

use super::*;
use crate::money::Currency;

/// A team's first period, which starts within a month, in English.
fn first() -> Invoice {
    let subscription = Subscription { locale: Locale::En, ..standard() };
    let store = StoreId::new("store-1").unwrap();
    Invoice::open(&subscription, period("2026-12-17"), &store, &catalogue(), at(NOON)).unwrap()
}

#[test]
fn an_invoice_is_opened_for_the_share_of_the_month_that_its_period_covers() {
    assert_eq!(first().amount, Money::new(30_000 * 15 / 31, Currency::Krw).unwrap());
}

#[test]
fn an_invoice_keeps_what_was_agreed_when_it_was_opened() {
    let invoice = first();
    assert_eq!((invoice.plan, invoice.plan_name.as_str(), invoice.seats), (PlanType::Standard, "Standard", 3));
    assert_eq!(invoice.order_name, "Sivera Standard - December subscription");
    assert_eq!((invoice.locale, &invoice.customer), (Locale::En, &standard().customer));
}

#[test]
fn a_new_invoice_is_the_first_version_of_the_first_revision_and_may_be_attempted_at_once() {
    let invoice = first();
    let id =
        PaymentId::derive(&StoreId::new("store-1").unwrap(), &standard().key, period("2026-12-17"), Part::Period, 0);
    assert_eq!((&invoice.payment_id, invoice.revision, invoice.version), (&id, 0, 1));
    assert_eq!((invoice.created_at, invoice.updated_at), (at(NOON), at(NOON)));
    assert_eq!(invoice.state, State::Open { next_attempt_at: at(NOON) });
}

#[test]
fn mails_show_what_was_bought_as_the_invoice_has_it() {
    let invoice = first();
    let Bought { payment_id, plan_name, seats, period, amount } = invoice.bought();
    assert_eq!((payment_id, plan_name, seats), (invoice.payment_id, invoice.plan_name, invoice.seats));
    assert_eq!((period, amount), (invoice.period, invoice.amount));
}
