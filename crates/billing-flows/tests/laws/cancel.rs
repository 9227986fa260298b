//! Cancelling: nothing is charged after it, and nothing that was under way is forgotten. (Laws 6, 7 and 8.)

use crate::world::{SOFT, World, decline, payment_id, standard};
use billing_core::event::{Cause, EventKind};
use billing_core::settlement::Charged;
use billing_flows::cancel::{Canceled, When};
use billing_flows::fake::Behaviour;

async fn cancel(world: &World, when: When) -> Canceled {
    world.billing.cancel(&standard().key, when, &Cause::Api("request-1".to_owned())).await.unwrap()
}

#[tokio::test]
async fn who_cancels_before_the_bill_is_due_is_never_charged() {
    let world = World::new();
    world.go_to("2026-11-30T18:00");
    assert_eq!(cancel(&world, When::Now).await, Canceled::Ended);
    world.live_until("2026-12-10T12:00").await;
    assert_eq!(world.gateway.charges().len(), 0);
    assert_eq!(world.notices(), ["subscription_ended"]);
}

#[tokio::test]
async fn who_cancels_at_the_end_of_the_period_ends_when_the_next_bill_would_fall_due() {
    let world = World::new();
    world.go_to("2026-11-30T18:00");
    assert_eq!(cancel(&world, When::PeriodEnd).await, Canceled::AtPeriodEnd);
    world.live_until("2026-12-01T12:00").await;
    assert_eq!((world.gateway.charges().len(), world.store.all_subscriptions()[0].state.status()), (0, "canceled"));
}

#[tokio::test]
async fn cancelling_stops_the_retries_and_voids_what_was_owed() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    assert_eq!(cancel(&world, When::Now).await, Canceled::Ended);
    assert_eq!(world.statuses(), ("void", "canceled"));
    world.live_until("2026-12-10T12:00").await;
    assert_eq!(world.attempts_sent(), [1]);
    assert_eq!(world.count(EventKind::InvoiceVoided), 1);
}

#[tokio::test]
async fn a_charge_that_is_under_way_is_cleared_up_before_the_subscription_ends() {
    let world = World::where_charges(Behaviour::UnknownInFlight);
    world.run().await;
    assert_eq!(cancel(&world, When::Now).await, Canceled::WhenDecided);
    assert_eq!(world.statuses(), ("unknown", "active"));
    world.gateway.deliver(&Behaviour::Approve);
    world.live_until("2027-01-02T12:00").await;
    assert_eq!((world.gateway.approvals().len(), world.store.all_subscriptions()[0].state.status()), (1, "canceled"));
}

#[tokio::test]
async fn a_charge_that_portone_has_not_decided_keeps_the_subscription_until_it_is() {
    let world = World::where_charges(Behaviour::Pending);
    world.run().await;
    assert_eq!(cancel(&world, When::Now).await, Canceled::WhenDecided);
    assert_eq!(world.statuses(), ("pending", "active"));
}

#[tokio::test]
async fn a_charge_under_way_that_is_declined_after_the_cancellation_is_not_tried_again() {
    let world = World::where_charges(Behaviour::UnknownInFlight);
    world.run().await;
    cancel(&world, When::Now).await;
    world.gateway.deliver(&decline(SOFT));
    world.live_until("2026-12-10T12:00").await;
    assert_eq!((world.statuses(), world.attempts_sent()), (("void", "canceled"), vec![1]));
    assert_eq!(world.notices(), ["subscription_ended"]);
}

#[tokio::test]
async fn a_customer_whose_invoice_is_parked_can_still_cancel() {
    let world = World::where_charges(Behaviour::UnknownButPaid);
    world.run().await;
    world.gateway.set_amount(&payment_id(), Charged { minor: 1, currency: "KRW".to_owned() });
    world.minutes_pass(10);
    world.reconcile().await;
    assert_eq!(world.count(EventKind::InvoiceQuarantined), 1);
    assert_eq!(cancel(&world, When::Now).await, Canceled::Ended);
}

#[tokio::test]
async fn cancelling_twice_is_cancelling_once() {
    let world = World::new();
    world.go_to("2026-11-30T18:00");
    assert_eq!(cancel(&world, When::Now).await, Canceled::Ended);
    assert_eq!(cancel(&world, When::PeriodEnd).await, Canceled::Ended);
    assert_eq!(world.notices(), ["subscription_ended"]);
}
