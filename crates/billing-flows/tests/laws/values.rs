//! Laws 9 to 12 where they show in flows: money is minor units with a currency, time is injected and events sort, nothing that is private
//! prints, and the outside world can grow.

use crate::world::{
    EMAIL, FIRST_KEY, NAME, OTHER_KEY, PHONE, SOFT, World, at, decline, issued, standard, told, told_of_key,
};
use billing_core::billing_key::BillingKey;
use billing_core::decline::Pg;
use billing_core::event::EventKind;
use billing_core::money::{Currency, Money};
use billing_core::subscription::{Method, Subscription};
use billing_flows::fake::{AskFault, Behaviour, Fault};
use billing_flows::ports::ChargeOrder;
use billing_flows::receive_webhook::{KeyHint, PaymentHint};

fn assert_tells_nothing(what: &str, text: &str) {
    for private in [EMAIL, NAME, PHONE, FIRST_KEY, OTHER_KEY] {
        assert!(!text.contains(private), "{what} tells {private}: {text}");
    }
}

#[tokio::test]
async fn what_is_owed_in_dollars_is_charged_in_cents() {
    let monthly = Money::new(2_700, Currency::Usd).unwrap();
    let paypal = Method { billing_key: BillingKey::new("paypal-key"), pg: Pg::PayPal };
    let world = World::with([Subscription { monthly, method: Some(paypal), ..standard() }]);
    world.collect().await.unwrap();
    assert_eq!(world.gateway.charges().first().unwrap().amount, monthly);
    world.assert_paid_once("in dollars");
}

#[tokio::test]
async fn a_free_plan_is_never_charged() {
    let state = billing_core::subscription::State::Active { next: None };
    let world = World::with([Subscription { plan: billing_core::plan::PlanType::Free, state, ..standard() }]);
    world.live_until("2027-03-02T12:00").await;
    assert_eq!((world.gateway.charges(), world.store.all_invoices()), (vec![], vec![]));
}

#[tokio::test]
async fn the_price_of_an_invoice_is_frozen_when_it_is_opened() {
    let world = World::where_charges(decline(SOFT));
    world.collect().await.unwrap();
    let row = world.subscription();
    world.store.put_subscription(&Subscription { monthly: crate::world::won(99_000), version: row.version + 1, ..row });
    world.gateway.always(Behaviour::Approve);
    world.go_to("2026-12-02T10:00");
    world.run().await;
    assert_eq!(world.gateway.approvals().first().unwrap().amount.minor(), 30_000);
}

#[tokio::test]
async fn what_happens_is_dated_by_the_clock_that_was_given() {
    let world = World::new();
    world.go_to("2031-04-05T06:07");
    world.collect().await.unwrap();
    let invoice = world.invoice();
    assert_eq!((invoice.created_at, invoice.updated_at), (at("2031-04-05T06:07"), at("2031-04-05T06:07")));
    assert!(world.events().iter().all(|event| event.at == at("2031-04-05T06:07")));
}

#[tokio::test]
async fn events_of_one_subject_never_sort_before_an_earlier_one() {
    let world = World::new();
    world.gateway.next([Behaviour::UnknownButPaid]);
    world.collect().await.unwrap();
    world.clock.set(at("2026-12-01T09:00"));
    world.receive(&told(PaymentHint::Paid)).await.unwrap();
    assert_eq!(world.kinds(), [EventKind::PaymentUnknown, EventKind::InvoicePaid]);
}

#[tokio::test]
async fn nothing_that_is_kept_or_sent_prints_what_is_private() {
    let world = World::new();
    world.gateway.next([decline(SOFT)]);
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
    world.run().await;
    let hook = told_of_key(KeyHint::Issued, OTHER_KEY);
    world.receive(&hook).await.unwrap();
    assert_tells_nothing("a queue", &format!("{:?}", world.queue.messages()));
    world.work_off().await;
    world.notify().await;
    assert_eq!(world.mailer.sent().len(), 3);
    assert_tells_nothing("the tables", &format!("{:?}", world.tables()));
    assert_tells_nothing("the billing keys", &format!("{:?}", world.store.all_keys()));
    assert_tells_nothing("the signals", &format!("{:?}", world.telemetry.signals()));
    assert_tells_nothing("the charges", &format!("{:?}", world.gateway.charges()));
    assert_tells_nothing("a webhook", &format!("{hook:?}"));
    assert_tells_nothing("a billing", &format!("{:?}", world.billing.settings));
    let (subscription, id) = (standard(), crate::world::payment_id());
    let order = ChargeOrder {
        payment_id: &id,
        attempt: 1,
        method: subscription.method.as_ref().unwrap(),
        order_name: "12월",
        amount: subscription.monthly,
        user_id: &subscription.key.user_id,
        customer: &subscription.customer,
    };
    assert_tells_nothing("an order", &format!("{order:?} {subscription:?}"));
}

#[tokio::test]
async fn no_event_holds_a_billing_key_and_none_but_its_notice_a_person() {
    let world = World::new();
    world.gateway.next([decline(SOFT)]);
    world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
    world.run().await;
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    world.work_off().await;
    for event in world.events() {
        let written = serde_json::to_string(&event.notice).unwrap();
        assert!(!written.contains(FIRST_KEY) && !written.contains(OTHER_KEY));
        let rest = [Some(event.subject), Some(event.id), event.detail, Some(event.cause.to_string())];
        assert_tells_nothing("an event", &rest.into_iter().flatten().collect::<String>());
    }
}

#[tokio::test]
async fn no_error_tells_what_is_private() {
    for fault in [Fault::Before, Fault::Refused] {
        for call in 1..=4 {
            let world = World::new();
            world.gateway.put_key(issued(OTHER_KEY, "2026-12-01T12:00"));
            world.store.faults().by(move |this| if this.of_all == call { fault } else { Fault::None });
            for error in
                [world.collect().await.err(), world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.err()]
            {
                assert_tells_nothing(
                    "an error",
                    &format!("{error:?} {}", error.as_ref().map_or(String::new(), ToString::to_string)),
                );
            }
        }
    }
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.collect().await.unwrap();
    for fault in [AskFault::Unavailable, AskFault::Unauthorized] {
        world.gateway.all_asks(Some(fault));
        let error = world.receive(&told(PaymentHint::Paid)).await.unwrap_err();
        assert_tells_nothing("an error", &format!("{error:?} {error}"));
    }
}

#[tokio::test]
async fn a_mails_failure_does_not_tell_the_address() {
    let world = World::new();
    world.collect().await.unwrap();
    world.mailer.faults().next("send", Fault::Before);
    assert_tells_nothing("a failed mail", &format!("{:?}", world.notify().await));
}
