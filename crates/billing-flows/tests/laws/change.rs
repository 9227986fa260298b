//! Changes of plan and seats: charged once, had when they are paid, and nothing lost by a crash. (Laws 1, 2, 6, 7 and 8.)

use crate::world::{SOFT, World, at, crash_everywhere, december, decline, interleave_everywhere, standard};
use billing_core::change::{Change, ChangeRefusal};
use billing_core::event::{Cause, EventKind};
use billing_core::invoice::{Invoice, Part};
use billing_core::plan::PlanType;
use billing_flows::cancel::When;
use billing_flows::change::Changed;
use billing_flows::fake::Behaviour;

/// December is paid, and it is the afternoon of the 5th.
async fn on_the_fifth() -> World {
    let world = World::new();
    world.collect().await.unwrap();
    world.go_to("2026-12-05T15:00");
    world
}

fn caller(key: &str) -> Cause {
    Cause::Api(key.to_owned())
}

async fn seats(world: &World, seats: u32, key: &str) -> Changed {
    let (subscription, caller) = (standard().key, caller(key));
    Box::pin(world.billing.change(&subscription, PlanType::Standard, seats, &caller)).await.unwrap()
}

fn upgrades(world: &World) -> Vec<Invoice> {
    world.store.all_invoices().into_iter().filter(|invoice| invoice.part != Part::Period).collect()
}

/// Five seats for three, for 27 of 31 days.
const DIFFERENCE: i64 = 50_000 * 27 / 31 - 30_000 * 27 / 31;

/// The upgrade was paid once, and is had; January is billed for it.
async fn assert_upgraded_once(world: &World, told: &str) {
    world.live_until("2027-01-01T12:00").await;
    let paid: Vec<_> = upgrades(world).into_iter().filter(|invoice| invoice.state.status() == "paid").collect();
    assert_eq!(paid.len(), 1, "{told}");
    assert_eq!(world.gateway.approvals_of(&paid[0].payment_id), 1, "{told}");
    assert_eq!(world.gateway.approvals().len(), 3, "December, the upgrade, January: {told}");
    assert_eq!(world.subscription().seats, 5, "{told}");
    let january = world.store.all_invoices().into_iter().find(|invoice| invoice.period == december().next()).unwrap();
    assert_eq!(january.amount.minor(), 50_000, "{told}");
    assert_eq!(world.notices().iter().filter(|name| **name == "receipt").count(), 3, "{told}");
    assert_eq!(world.gateway.violations(), [] as [&str; 0], "{told}");
}

/// Nothing was charged for an upgrade, nothing has changed, and nothing is under way.
async fn assert_as_before(world: &World, told: &str) {
    world.live_until("2027-01-01T12:00").await;
    assert_eq!((world.subscription().seats, world.gateway.approvals().len()), (3, 2), "{told}");
    assert!(world.subscription().wishes.upgrade.is_none(), "{told}");
    let open: Vec<_> = upgrades(world).into_iter().filter(|invoice| invoice.state.status() != "void").collect();
    assert_eq!(open, [], "{told}");
    assert_eq!(world.gateway.violations(), [] as [&str; 0], "{told}");
}

#[tokio::test]
async fn an_upgrade_is_charged_for_the_days_that_are_left_and_had_at_once() {
    let world = on_the_fifth().await;
    let Changed::Charged(invoice, subscription) = seats(&world, 5, "key-1").await else { panic!() };
    assert_eq!((invoice.state.status(), subscription.seats), ("paid", 5));
    assert!((invoice.amount.minor() - DIFFERENCE).abs() <= 1, "{}", invoice.amount);
    assert_eq!(invoice.order_name, "Sivera 스탠다드 - 12월 변경");
    assert_upgraded_once(&world, "").await;
}

#[tokio::test]
async fn a_declined_upgrade_leaves_everything_as_it_was_and_its_customer_is_told() {
    let world = on_the_fifth().await;
    world.gateway.next([decline(SOFT)]);
    let Changed::Charged(invoice, subscription) = seats(&world, 5, "key-1").await else { panic!() };
    assert_eq!((invoice.state.status(), subscription.seats), ("void", 3));
    assert_eq!(world.notices().last(), Some(&"upgrade_failed"));
    assert_as_before(&world, "").await;
}

#[tokio::test]
async fn the_same_call_again_makes_no_second_charge_and_another_call_tries_again() {
    let world = on_the_fifth().await;
    world.gateway.next([decline(SOFT)]);
    let first = seats(&world, 5, "key-1").await;
    assert_eq!(seats(&world, 5, "key-1").await, first);
    assert_eq!(world.gateway.charges().len(), 2);
    let Changed::Charged(second, _) = seats(&world, 5, "key-2").await else { panic!() };
    assert_eq!(seats(&world, 5, "key-3").await, Changed::Free(Change::Unchanged));
    assert_eq!((second.state.status(), upgrades(&world).len()), ("paid", 2));
    assert_upgraded_once(&world, "").await;
}

#[tokio::test]
async fn the_same_call_again_after_the_next_bill_makes_no_second_charge() {
    let world = on_the_fifth().await;
    world.live_until("2026-12-31T15:00").await;
    world.gateway.next([decline(SOFT)]);
    let first = seats(&world, 5, "key-1").await;
    world.live_until("2027-01-01T12:00").await;
    let charges = world.gateway.charges().len();
    let (Changed::Charged(first, _), Changed::Charged(again, _)) = (first, seats(&world, 5, "key-1").await) else {
        panic!()
    };
    assert_eq!((first.payment_id, world.gateway.charges().len()), (again.payment_id, charges));
}

#[tokio::test]
async fn the_same_call_again_after_the_next_bill_was_declined_is_told_of_its_own_upgrade() {
    let world = on_the_fifth().await;
    let first = seats(&world, 5, "key-1").await;
    world.gateway.always(decline(SOFT));
    world.live_until("2027-01-01T12:00").await;
    assert_eq!(world.subscription().state.status(), "past_due");
    let (Changed::Charged(first, _), Changed::Charged(again, _)) = (first, seats(&world, 5, "key-1").await) else {
        panic!()
    };
    assert_eq!(first.payment_id, again.payment_id);
    assert!(matches!(seats(&world, 7, "key-2").await, Changed::Refused(ChangeRefusal::PastDue)));
}

#[tokio::test]
async fn an_upgrade_whose_answer_is_lost_is_asked_about_and_had_if_it_was_paid() {
    for (way, paid) in [(Behaviour::UnknownButPaid, true), (Behaviour::UnknownButDeclined(SOFT.to_owned()), false)] {
        let world = on_the_fifth().await;
        world.gateway.next([way.clone()]);
        let Changed::Charged(invoice, subscription) = seats(&world, 5, "key-1").await else { panic!() };
        assert_eq!((invoice.state.status(), subscription.seats), ("unknown", 3), "{way:?}");
        assert!(matches!(seats(&world, 4, "key-2").await, Changed::Refused(ChangeRefusal::UpgradeUnderWay(_))));
        world.minutes_pass(5);
        if paid { assert_upgraded_once(&world, "paid").await } else { assert_as_before(&world, "declined").await }
    }
}

#[tokio::test]
async fn an_upgrade_that_never_arrived_comes_to_nothing_when_that_is_proved() {
    let world = on_the_fifth().await;
    world.gateway.all_asks(Some(billing_flows::fake::AskFault::Unavailable));
    world.gateway.next([Behaviour::UnknownNotReceived]);
    seats(&world, 5, "key-1").await;
    world.minutes_pass(200);
    world.gateway.all_asks(None);
    world.reconcile().await;
    assert_eq!(world.count(EventKind::AttemptLost), 1);
    assert_as_before(&world, "").await;
}

#[tokio::test]
async fn an_upgrade_that_never_arrived_is_sent_again_on_its_day_and_not_after() {
    for (from, until, sent) in
        [("2026-12-05T21:30", "2026-12-05T23:00", 2), ("2026-12-05T23:20", "2026-12-06T01:00", 1)]
    {
        let world = on_the_fifth().await;
        world.go_to(from);
        let before = world.gateway.charges().len();
        world.gateway.next([Behaviour::UnknownNotReceived]);
        seats(&world, 5, "key-1").await;
        world.go_to(until);
        world.reconcile().await;
        assert_eq!(world.gateway.charges().len() - before, sent, "{until}");
    }
}

#[tokio::test]
async fn a_refused_upgrade_is_not_tried_again_by_itself() {
    for way in [Behaviour::Refuse("INVALID_REQUEST".to_owned()), Behaviour::UsedUp] {
        let world = on_the_fifth().await;
        world.gateway.next([way.clone()]);
        let Changed::Charged(invoice, _) = seats(&world, 5, "key-1").await else { panic!() };
        assert_eq!(invoice.state.status(), "void", "{way:?}");
        assert_as_before(&world, &format!("{way:?}")).await;
    }
}

#[tokio::test]
async fn a_pending_upgrade_holds_the_next_bill_back_until_it_is_decided() {
    let world = on_the_fifth().await;
    world.go_to("2026-12-31T15:00");
    world.gateway.next([Behaviour::Pending]);
    let Changed::Charged(invoice, _) = seats(&world, 5, "key-1").await else { panic!() };
    world.live_until("2027-01-01T12:00").await;
    assert_eq!(world.gateway.approvals().len(), 1);
    world.gateway.approve_pending(&invoice.payment_id);
    world.live_until("2027-01-02T12:00").await;
    assert_eq!((world.subscription().seats, world.gateway.approvals().len()), (5, 3));
}

#[tokio::test]
async fn a_change_for_less_is_billed_with_the_next_period() {
    let world = on_the_fifth().await;
    let Changed::Free(Change::Later(from, _)) = seats(&world, 2, "key-1").await else { panic!() };
    assert_eq!((from, world.subscription().seats), (december().next(), 3));
    world.live_until("2027-01-01T12:00").await;
    let amounts: Vec<_> = world.gateway.charges().iter().map(|charge| charge.amount.minor()).collect();
    assert_eq!((amounts, world.subscription().seats), (vec![30_000, 20_000], 2));
}

#[tokio::test]
async fn asking_what_a_change_would_cost_changes_nothing() {
    let world = on_the_fifth().await;
    let before = world.tables();
    let quote = world.billing.quote_change(&standard().key, PlanType::Standard, 5).await.unwrap();
    let Changed::Quoted(upgrade) = quote else { panic!() };
    assert!((upgrade.amount.minor() - DIFFERENCE).abs() <= 1);
    assert_eq!((world.tables(), world.gateway.charges().len()), (before, 1));
}

#[tokio::test]
async fn what_is_not_sold_or_while_banks_are_down_is_refused() {
    let world = on_the_fifth().await;
    let pro = world.billing.change(&standard().key, PlanType::Pro, 5, &caller("k")).await.unwrap();
    assert!(matches!(pro, Changed::NotSold(_)));
    world.go_to("2026-12-05T23:45");
    assert_eq!(seats(&world, 5, "key-1").await, Changed::BanksDown);
    assert_eq!(world.gateway.charges().len(), 1);
}

#[tokio::test]
async fn a_crash_at_any_point_of_an_upgrade_charges_it_once_or_not_at_all() {
    let ways = [Behaviour::Approve, Behaviour::UnknownButPaid, Behaviour::UnknownNotReceived];
    for way in ways {
        let fifth = || {
            let world = crate::world::at_once(on_the_fifth());
            world.gateway.next([way.clone()]);
            world
        };
        let upgrade = async |world: &World| drop(seats(world, 5, "key-1").await);
        let crashes = crash_everywhere(fifth, upgrade, async |world, told| {
            world.minutes_pass(5);
            // The customer asks again, under the same key.
            seats(world, 5, "key-1").await;
            world.reconcile().await;
            assert_upgraded_once(world, &format!("{way:?}, {told}")).await;
        })
        .await;
        assert!(crashes >= 6, "{crashes}");
    }
}

#[tokio::test]
async fn two_who_upgrade_at_once_charge_once() {
    interleave_everywhere(
        || crate::world::at_once(on_the_fifth()),
        async |world| drop(seats(world, 5, "key-1").await),
        async |world| drop(seats(world, 5, "key-2").await),
        async |world, told| assert_upgraded_once(world, told).await,
    )
    .await;
}

#[tokio::test]
async fn an_upgrade_and_a_cancellation_at_once_end_the_subscription_and_charge_at_most_the_upgrade() {
    interleave_everywhere(
        || crate::world::at_once(on_the_fifth()),
        async |world| drop(seats(world, 5, "key-1").await),
        async |world| drop(world.billing.cancel(&standard().key, When::Now, &caller("cancel")).await),
        async |world, told| {
            world.minutes_pass(5);
            world.live_until("2027-01-02T12:00").await;
            let subscription = world.subscription();
            assert_eq!(subscription.state.status(), "canceled", "{told}");
            assert!(world.gateway.approvals().len() <= 2, "{told}");
            assert!(upgrades(world).iter().all(|it| matches!(it.state.status(), "paid" | "void")), "{told}");
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_cancellation_leaves_unused_is_given_back_of_the_newest_payment_first() {
    let world = on_the_fifth().await;
    seats(&world, 5, "key-1").await;
    let unused = world.billing.unused(&world.subscription()).await.unwrap();
    assert_eq!(unused.amount.minor(), (50_000 * 26 + 30) / 31);
    let parts: Vec<i64> = unused.of.iter().map(|(_, money)| money.minor()).collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0], upgrades(&world)[0].amount.minor());
    assert_eq!(parts.iter().sum::<i64>(), unused.amount.minor());
}

#[tokio::test]
async fn a_cancellation_is_taken_back_while_the_paid_period_lasts() {
    let world = on_the_fifth().await;
    world.billing.cancel(&standard().key, When::PeriodEnd, &caller("cancel")).await.unwrap();
    assert_eq!(seats(&world, 5, "key-1").await, Changed::Refused(ChangeRefusal::Ending));
    world.billing.resume(&standard().key, &caller("resume")).await.unwrap();
    world.live_until("2027-01-01T12:00").await;
    assert_eq!(world.gateway.approvals().len(), 2);
    assert_eq!(world.subscription().state.status(), "active");
    assert_eq!(world.now(), at("2027-01-01T12:00"));
}
