//! Law 5, due means `due at <= now`: never "today is the 1st". Being down changes when, not what.

use crate::world::{SOFT, World, at, customer, december, decline, standard};
use billing_core::calendar::Period;
use billing_core::subscription::{State, Subscription};
use billing_flows::collect::{Collected, Skip};

/// What was charged, of whom, by which attempt.
fn charged(world: &World) -> Vec<(String, u32, i64, &'static str)> {
    let mut all: Vec<_> = (world.gateway.charges().into_iter())
        .map(|charge| {
            let amount = charge.amount;
            (charge.payment_id.to_string(), charge.attempt, amount.minor(), amount.currency().code())
        })
        .collect();
    all.sort();
    all
}

fn statuses(world: &World) -> Vec<(String, &'static str)> {
    (world.store.all_invoices().into_iter().map(|row| (row.payment_id.to_string(), row.state.status())))
        .chain(world.store.all_subscriptions().into_iter().map(|row| (row.key.id.to_string(), row.state.status())))
        .collect()
}

#[tokio::test]
async fn nothing_is_due_before_its_moment() {
    let world = World::new();
    world.clock.set(at("2026-12-01T10:00") - jiff::SignedDuration::from_millis(1));
    assert_eq!(world.run().await.len(), 0);
    assert_eq!(world.collect().await.unwrap(), Collected::Skipped(Skip::NotDue));
    assert_eq!(world.gateway.charges(), []);
}

#[tokio::test]
async fn any_run_at_or_after_the_moment_collects_it() {
    for moment in ["2026-12-01T10:00", "2026-12-01T18:30", "2026-12-02T10:00", "2026-12-31T10:00"] {
        let world = World::new();
        world.go_to(moment);
        world.run().await;
        world.assert_paid_once(moment);
    }
}

#[tokio::test]
async fn being_down_from_the_first_to_the_fourth_gives_the_same_charges() {
    let customers = || {
        let world = World::with((0..20).map(customer));
        for number in [3, 7] {
            world.gateway.script_key(&customer(number).method.unwrap().billing_key, decline(SOFT));
        }
        world
    };
    let (up, down) = (customers(), customers());
    up.run().await;
    up.live_until("2026-12-20T12:00").await;
    down.go_to("2026-12-04T09:30");
    down.live_until("2026-12-20T12:00").await;
    assert_eq!(charged(&down), charged(&up));
    assert_eq!(statuses(&down), statuses(&up));
    let next = |world: &World| world.store.all_subscriptions().into_iter().map(|row| row.due_at()).collect::<Vec<_>>();
    assert_eq!(next(&down), next(&up));
}

#[tokio::test]
async fn being_down_in_the_midst_of_a_ladder_skips_no_rung_and_takes_none_twice() {
    let world = World::where_charges(decline(SOFT));
    world.run().await;
    world.go_to("2026-12-05T09:30");
    world.live_until("2026-12-20T00:00").await;
    world.assert_expired_after_four_declines("down from the 1st to the 5th");
    let days: Vec<i8> = (world.gateway.charges().iter())
        .map(|charge| charge.at.to_zoned(billing_core::calendar::seoul()).day())
        .collect();
    assert_eq!(days, [1, 5, 6, 7]);
}

#[tokio::test]
async fn being_down_for_two_months_bills_each_of_them_once() {
    let world = World::new();
    world.go_to("2027-01-31T09:30");
    world.live_until("2027-02-05T12:00").await;
    let periods: Vec<String> = (world.gateway.approvals().iter())
        .map(|approval| {
            let rows = world.store.all_invoices();
            rows.iter().find(|row| row.payment_id == approval.payment_id).unwrap().period.to_string()
        })
        .collect();
    assert_eq!(periods, ["2026-12-01", "2027-01-01", "2027-02-01"]);
    assert_eq!(world.subscription().state, State::Active { next: Some(Period::parse("2027-03-01").unwrap()) });
}

#[tokio::test]
async fn a_message_that_waited_in_the_queue_is_still_worked_on() {
    let world = World::new();
    let message = world.message();
    world.go_to("2026-12-03T22:10");
    world.billing.collect(&world.queue, &message, None).await.unwrap();
    world.assert_paid_once("two days late");
}

#[tokio::test]
async fn a_worker_whose_clock_is_behind_sees_what_its_planner_saw() {
    let world = World::new();
    let message = world.message();
    world.clock.set(at("2026-12-01T09:58"));
    world.billing.collect(&world.queue, &message, None).await.unwrap();
    world.assert_paid_once("two minutes early by its own clock");
}

#[tokio::test]
async fn a_bill_that_falls_into_the_banks_night_stays_due() {
    for moment in ["2026-12-01T23:30", "2026-12-02T00:29"] {
        let world = World::new();
        world.go_to(moment);
        assert_eq!(world.collect().await.unwrap(), Collected::Skipped(Skip::BanksDown));
        assert_eq!(world.store.all_invoices(), []);
        world.go_to("2026-12-02T10:00");
        world.run().await;
        world.assert_paid_once(moment);
    }
}

#[tokio::test]
async fn a_trial_is_not_billed_before_its_last_minute_and_then_for_the_rest_of_its_month() {
    let trial_end = Some(at("2026-12-17T15:00"));
    let first = Period::parse("2026-12-17").unwrap();
    let world = World::with([Subscription { trial_end, state: State::Active { next: Some(first) }, ..standard() }]);
    world.go_to("2026-12-17T14:59");
    assert_eq!(world.run().await.len(), 0);
    world.go_to("2026-12-18T10:00");
    world.run().await;
    let charge = world.gateway.charges().into_iter().next().unwrap();
    assert_eq!(charge.amount.minor(), 30_000 * 15 / 31);
    assert_eq!(world.subscription().due_at(), Some(at("2027-01-01T10:00")));
}

#[tokio::test]
async fn what_is_owed_for_is_the_period_and_not_the_day_of_the_charge() {
    let world = World::new();
    world.go_to("2026-12-28T10:00");
    world.run().await;
    let invoice = world.invoice();
    assert_eq!((invoice.period, invoice.amount.minor()), (december(), 30_000));
}
