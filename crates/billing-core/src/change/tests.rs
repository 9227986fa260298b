#![expect(clippy::arithmetic_side_effects, reason = "a test reckons in small numbers")]

use super::*;
use crate::invoice::tests::catalogue;
use crate::money::Currency;
use crate::plan::PlanType;
use crate::subscription::Due;
use crate::subscription::tests::{at, period, standard};
use proptest::prelude::*;

/// Ten seats of December, paid.
fn december() -> Subscription {
    with_seats(10).paid(period("2026-12-01")).unwrap()
}

fn with_seats(seats: u32) -> Subscription {
    Subscription { seats, monthly: terms(seats).monthly, ..standard() }
}

fn terms(seats: u32) -> Terms {
    catalogue().terms(PlanType::Standard, seats, Currency::Krw).unwrap()
}

const FIFTH: &str = "2026-12-05T15:00:00+09:00";

fn upgrade(subscription: &Subscription, seats: u32, now: &str) -> (Upgrade, Subscription) {
    match subscription.change(terms(seats), true, at(now)) {
        Ok(Change::Upgrade(upgrade, next)) => (upgrade, next),
        other => panic!("{other:?}"),
    }
}

fn paid(subscription: &Subscription, upgrade: &Upgrade) -> Subscription {
    subscription.upgraded(upgrade.covers, upgrade.number).unwrap()
}

#[test]
fn more_seats_are_charged_for_the_days_that_are_left_today_included() {
    let (upgrade, under_way) = upgrade(&december(), 15, FIFTH);
    assert_eq!((upgrade.covers.days(), upgrade.amount.minor()), (27, 50_000 * 27 / 31));
    assert_eq!((under_way.seats, under_way.due(at(FIFTH))), (10, Due::Upgrade(upgrade)), "nothing changes unpaid");
    let after = paid(&under_way, &upgrade);
    assert_eq!((after.seats, after.due_at()), (15, december().due_at()));
    assert_eq!(after.amount_for(period("2027-01-01")).unwrap().minor(), 150_000);
}

#[test]
fn an_upgrade_that_is_not_paid_leaves_all_as_it_was() {
    let (upgrade, under_way) = upgrade(&december(), 15, FIFTH);
    let after = under_way.not_upgraded(upgrade.covers, upgrade.number).unwrap();
    assert_eq!((after.terms(), after.due_at()), (december().terms(), december().due_at()));
    let (next, _) = self::upgrade(&after, 15, FIFTH);
    assert_eq!((next.number, next.amount), (2, upgrade.amount), "another try has another name");
    assert_eq!(after.upgraded(upgrade.covers, upgrade.number), None);
}

#[test]
fn only_the_upgrade_that_is_under_way_can_be_settled() {
    let (upgrade, under_way) = upgrade(&december(), 15, FIFTH);
    for (covers, number) in [(upgrade.covers, 2), (period("2026-12-06"), upgrade.number)] {
        assert_eq!((under_way.upgraded(covers, number), under_way.not_upgraded(covers, number)), (None, None));
    }
}

#[test]
fn another_plan_is_had_once_it_is_paid() {
    let pro = Terms { plan: PlanType::Pro, ..terms(15) };
    let Ok(Change::Upgrade(upgrade, under_way)) = december().change(pro, true, at(FIFTH)) else { panic!() };
    assert_eq!((under_way.plan, paid(&under_way, &upgrade).plan), (PlanType::Standard, PlanType::Pro));
}

#[test]
fn of_a_period_that_has_not_begun_all_is_unused_on_its_eve_and_nothing_is_reckoned_before() {
    let unused = |now| december().unused(at(now)).unwrap().minor();
    assert_eq!((unused("2026-11-29T23:59:00+09:00"), unused("2026-11-30T00:00:00+09:00")), (0, 100_000));
}

#[test]
fn fewer_seats_are_had_from_the_next_period_on() {
    let Ok(Change::Later(from, later)) = december().change(terms(4), true, at(FIFTH)) else { panic!() };
    assert_eq!((from, later.seats), (period("2027-01-01"), 10));
    assert_eq!(later.amount_for(from).unwrap().minor(), 40_000);
    let january = later.paid(from).unwrap();
    assert_eq!((january.seats, january.wishes), (4, Wishes::default()));
    let late = later.declined(from, at("2027-01-02T10:00:00+09:00")).unwrap();
    assert_eq!((late.seats, late.amount_for(from).unwrap().minor()), (4, 40_000));
}

#[test]
fn a_wish_for_less_is_taken_back_by_wishing_for_what_there_is() {
    let Ok(Change::Later(_, later)) = december().change(terms(4), true, at(FIFTH)) else { panic!() };
    assert_eq!(later.change(terms(4), true, at(FIFTH)), Ok(Change::Unchanged));
    let Ok(Change::AtOnce(back)) = later.change(terms(10), true, at(FIFTH)) else { panic!() };
    assert_eq!((back.seats, back.wishes.next), (10, None));
    let (upgrade, under_way) = upgrade(&later, 15, FIFTH);
    assert_eq!(paid(&under_way, &upgrade).wishes.next, None, "the newer wish counts");
}

#[test]
fn what_is_not_billed_yet_takes_any_change_at_once_and_for_nothing() {
    for seats in [4, 15] {
        let Ok(Change::AtOnce(next)) = december().change(terms(seats), false, at(FIFTH)) else { panic!() };
        assert_eq!((next.seats, next.wishes), (seats, Wishes::default()));
    }
    // On the morning of a first, before its bill: the day belongs to the period that is billed at ten.
    let first = at("2027-01-01T08:00:00+09:00");
    let Ok(Change::AtOnce(next)) = december().change(terms(15), true, first) else { panic!() };
    assert_eq!((next.seats, next.wishes), (15, Wishes::default()));
}

#[test]
fn nothing_is_changed_around_a_bill() {
    for now in ["2027-01-01T09:55:00+09:00", "2027-01-04T00:00:00+09:00"] {
        let refused = december().change(terms(15), true, at(now));
        assert_eq!(refused, Err(ChangeRefusal::BillDue(at("2027-01-01T10:00:00+09:00"))), "{now}");
    }
}

#[test]
fn a_subscription_that_owes_or_ends_is_not_changed() {
    let wish = |subscription: &Subscription| subscription.change(terms(15), true, at(FIFTH)).unwrap_err();
    let late = standard().declined(period("2026-12-01"), at(FIFTH)).unwrap();
    assert_eq!(wish(&late), ChangeRefusal::PastDue);
    assert_eq!(wish(&december().canceled(at(FIFTH)).unwrap()), ChangeRefusal::Ended);
    assert_eq!(wish(&december().to_end().unwrap()), ChangeRefusal::Ending);
    assert_eq!(wish(&december().parked(period("2027-01-01")).unwrap()), ChangeRefusal::Parked);
    assert_eq!(wish(&Subscription { state: State::Active { next: None }, ..december() }), ChangeRefusal::Free);
    assert_eq!(wish(&Subscription { method: None, ..december() }), ChangeRefusal::NoMethod);
    let (upgrade, under_way) = upgrade(&december(), 15, FIFTH);
    assert_eq!(wish(&under_way), ChangeRefusal::UpgradeUnderWay(upgrade));
    let dollars = catalogue().terms(PlanType::Standard, 15, Currency::Usd).unwrap();
    assert_eq!(december().change(dollars, true, at(FIFTH)), Err(ChangeRefusal::OtherCurrency));
    let free = catalogue().terms(PlanType::Free, 1, Currency::Krw).unwrap();
    assert_eq!(december().change(free, true, at(FIFTH)), Err(ChangeRefusal::ToFree));
}

#[test]
fn a_difference_that_rounds_to_nothing_is_not_charged_and_not_forgotten() {
    let cheap = |minor| Terms { monthly: Money::new(minor, Currency::Krw).unwrap(), ..terms(1) };
    let start = Subscription { monthly: cheap(100).monthly, ..december() };
    let last = at("2026-12-31T12:00:00+09:00");
    let Ok(Change::AtOnce(next)) = start.change(cheap(120), true, last) else { panic!() };
    assert_eq!(next.wishes.billed.map(|billed| billed.weight), Some(100 * 31 + 20));
    let Ok(Change::Upgrade(upgrade, _)) = next.change(cheap(140), true, last) else { panic!() };
    assert_eq!(upgrade.amount.minor(), 1, "40 / 31, for both");
}

#[test]
fn an_upgrade_is_decided_before_the_next_bill_is_made() {
    let (upgrade, under_way) = upgrade(&december(), 15, "2026-12-31T23:00:00+09:00");
    let new_year = at("2027-01-01T10:00:00+09:00");
    assert_eq!(under_way.due(new_year), Due::Upgrade(upgrade));
    assert_eq!(paid(&under_way, &upgrade).due(new_year), Due::Collect(period("2027-01-01")));
}

#[test]
fn only_so_many_upgrades_are_tried() {
    let mut subscription = december();
    for _ in 0..MAX_UPGRADES {
        let (upgrade, under_way) = upgrade(&subscription, 15, FIFTH);
        subscription = under_way.not_upgraded(upgrade.covers, upgrade.number).unwrap();
    }
    assert_eq!(subscription.change(terms(15), true, at(FIFTH)), Err(ChangeRefusal::TooMany));
    let january = subscription.paid(period("2027-01-01")).unwrap();
    assert!(january.change(terms(15), true, at("2027-01-05T15:00:00+09:00")).is_ok());
}

#[test]
fn a_cancellation_leaves_the_days_after_today_unused() {
    assert_eq!(december().unused(at(FIFTH)).unwrap().minor(), 83_871, "100,000 × 26 / 31, rounded up");
    assert!(december().unused(at("2026-12-31T12:00:00+09:00")).unwrap().is_zero());
    assert_eq!(december().unused(at("2026-12-01T12:00:00+09:00")).unwrap().minor(), 96_775);
    let trial = Subscription { trial_end: Some(at("2026-12-20T15:00:00+09:00")), ..with_seats(10) };
    let trial = Subscription { state: State::Active { next: Some(period("2026-12-20")) }, ..trial };
    assert!(trial.unused(at(FIFTH)).unwrap().is_zero());
}

#[test]
fn the_period_before_the_next_is_the_month_or_what_is_left_of_it_after_a_trial() {
    assert_eq!(december().period_before(), Some(period("2026-12-01")));
    let trial = Subscription { trial_end: Some(at("2026-12-20T15:00:00+09:00")), ..standard() };
    let due = |id| Subscription { state: State::Active { next: Some(period(id)) }, ..trial.clone() };
    assert_eq!(due("2026-12-20").period_before(), None);
    assert_eq!(due("2027-01-01").period_before(), Some(period("2026-12-20")));
    assert_eq!(due("2027-02-01").period_before(), Some(period("2027-01-01")));
    let declined = due("2027-01-01").declined(period("2027-01-01"), at("2027-01-02T10:00:00+09:00")).unwrap();
    assert_eq!(declined.period_before(), Some(period("2026-12-20")), "also while the next is past due");
}

#[test]
fn what_ends_has_no_wishes_left() {
    let (_, under_way) = upgrade(&december(), 15, FIFTH);
    assert_eq!(under_way.canceled(at(FIFTH)).unwrap().wishes, Wishes::default());
    assert_eq!(under_way.expired(period("2027-01-01"), at(FIFTH)).unwrap().wishes, Wishes::default());
}

proptest! {
    /// Whatever is wished on whatever day, whether it is paid or declined: what was billed is the price of the days, less than one unit below.
    #[test]
    fn any_chain_of_changes_bills_the_price_of_its_days(
        year in 2026i16..2030, month in 1i8..=12, first_day in 1i8..=28, seats in 1..=50u32, price in 1..5_000i64,
        mut wishes in prop::collection::vec((0..31u32, 1..=60u32, any::<bool>()), 0..12),
    ) {
        let priced = |seats: u32| Terms {
            plan: PlanType::Standard, seats, monthly: Money::new(price, Currency::Krw).unwrap().times(seats).unwrap(),
        };
        let start = jiff::civil::date(year, month, first_day);
        let first = Period::starting(start);
        let started = calendar::moment(start, 0);
        let mut subscription = Subscription { monthly: priced(seats).monthly, seats, started, ..standard() };
        subscription.state = State::Active { next: Some(first) };
        let mut billed = subscription.amount_for(first).unwrap().minor();
        subscription = subscription.paid(first).unwrap();
        for (day, ..) in &mut wishes {
            *day %= first.days();
        }
        wishes.sort_by_key(|(day, ..)| *day);
        let mut prices = vec![subscription.monthly.minor(); first.days() as usize];
        for (day, seats, is_paid) in wishes {
            let date = start.checked_add(jiff::Span::new().days(i64::from(day))).unwrap();
            let now = calendar::moment(date, 15);
            match subscription.change(priced(seats), true, now) {
                Ok(Change::Upgrade(upgrade, under_way)) if is_paid => {
                    billed += upgrade.amount.minor();
                    subscription = paid(&under_way, &upgrade);
                }
                Ok(Change::Upgrade(upgrade, under_way)) => {
                    subscription = under_way.not_upgraded(upgrade.covers, upgrade.number).unwrap();
                }
                Ok(Change::AtOnce(next) | Change::Later(_, next)) => subscription = next,
                Ok(Change::Unchanged) => {}
                Err(error) => panic!("{error}"),
            }
            for price in prices.iter_mut().skip(day as usize) {
                *price = subscription.monthly.minor();
            }
        }
        let weight: i64 = prices.iter().sum();
        let days = i64::from(first.month_days());
        prop_assert!(billed * days <= weight && weight - billed * days < days, "{billed} for {weight}/{days}");
    }

    #[test]
    fn what_was_used_and_what_was_not_are_what_was_billed(day in 1..=31i8, seats in 1..=100u32, more in 0..=50u32) {
        let mut subscription = with_seats(seats).paid(period("2026-12-01")).unwrap();
        let mut billed = subscription.amount_for(period("2026-12-01")).unwrap().minor();
        if more > 0 && seats + more <= 100 {
            let (upgrade, under_way) = upgrade(&subscription, seats + more, "2026-12-01T15:00:00+09:00");
            billed += upgrade.amount.minor();
            subscription = paid(&under_way, &upgrade);
        }
        let unused = subscription.unused(calendar::moment(jiff::civil::date(2026, 12, day), 15)).unwrap().minor();
        let exact = subscription.monthly.minor() * i64::from(31 - day);
        prop_assert!(unused <= billed && unused * 31 >= exact && unused * 31 - exact < 31);
    }
}
