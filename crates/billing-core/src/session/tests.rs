#![expect(clippy::arithmetic_side_effects, reason = "a test reckons in small numbers")]

use super::*;
use crate::calendar::{self, date_at};
use crate::private::Private;
use crate::subscription::tests::{at, method, period, standard};
use proptest::prelude::*;

fn catalogue() -> Catalogue {
    let text = "brand = \"Sivera\"\ntrial_days = 14\n[plans.standard]\nname = { ko = \"S\", en = \"S\" }\nmax_seats = 100\n\
                price_per_seat = { KRW = 10000, USD = 900 }";
    Catalogue::parse(text).unwrap()
}

fn user() -> UserId {
    UserId::new("user_456").unwrap()
}

fn id() -> SessionId {
    SessionId::derive(&user(), Seed::Key("key-1"))
}

fn subscribe(trial_days: Option<u32>) -> Request {
    let wish = Wish::Subscribe { plan: PlanType::Standard, seats: 3, currency: Currency::Krw, trial_days };
    Request { user_id: user(), wish, customer: standard().customer, locale: Locale::Ko }
}

fn noon() -> Timestamp {
    at("2026-11-25T12:00:00+09:00")
}

fn open(request: &Request, had: &[Subscription]) -> Result<Session, NotOpened> {
    request.open(id(), had, &catalogue(), noon())
}

fn ended() -> Subscription {
    standard().canceled(noon()).unwrap()
}

fn trial_days(session: &Session) -> u32 {
    match session.purpose {
        Purpose::Subscribe { trial_days, .. } => trial_days,
        Purpose::ReplaceMethod { .. } => panic!("it begins a subscription"),
    }
}

#[test]
fn a_sessions_id_never_changes_and_fits_every_pg() {
    assert_eq!(id().as_str(), "csPFNJLSTQQMB6BXZH6CT6HLVQTQR5MK7O");
    let others = [
        SessionId::derive(&user(), Seed::Key("key-2")),
        SessionId::derive(&user(), Seed::Request("key-1")),
        SessionId::derive(&UserId::new("user_4").unwrap(), Seed::Key("key-1")),
    ];
    for other in others {
        assert_ne!(other, id());
        assert_eq!(SessionId::new(other.as_str()), Ok(other));
    }
}

#[test]
fn a_session_id_from_outside_is_letters_and_digits_and_bounded() {
    for wrong in ["", "cs-1", "cs 1", "세션", "cs\n", &"x".repeat(41)] {
        assert_eq!(SessionId::new(wrong), Err(BadSessionId), "{wrong}");
    }
    assert!(SessionId::new("x".repeat(40)).is_ok());
}

#[test]
fn a_users_first_subscription_has_the_catalogues_trial_and_a_later_one_has_none() {
    let free = Subscription { plan: PlanType::Free, ..standard() };
    assert_eq!(trial_days(&open(&subscribe(None), &[]).unwrap()), 14);
    assert_eq!(trial_days(&open(&subscribe(None), &[free]).unwrap()), 14);
    assert_eq!(trial_days(&open(&subscribe(None), &[ended()]).unwrap()), 0);
    assert_eq!(trial_days(&open(&subscribe(Some(7)), &[ended()]).unwrap()), 7);
}

#[test]
fn a_trial_is_never_longer_than_the_law_lets_one_consent_reach() {
    assert_eq!(trial_days(&open(&subscribe(Some(30)), &[]).unwrap()), 30);
    assert_eq!(open(&subscribe(Some(31)), &[]), Err(NotOpened::Trial { days: 31 }));
}

#[test]
fn a_living_paid_subscription_is_changed_and_not_joined_by_another() {
    let refused = Err(NotOpened::Subscribed(standard().key.id));
    assert_eq!(open(&subscribe(None), &[ended(), standard()]), refused);
    let parked = standard().parked(period("2026-12-01")).unwrap();
    assert_eq!(open(&subscribe(None), &[parked]), refused);
}

#[test]
fn what_is_not_sold_is_not_checked_out() {
    let wish = |plan, seats| Wish::Subscribe { plan, seats, currency: Currency::Krw, trial_days: None };
    let refusal = |wish| open(&Request { wish, ..subscribe(None) }, &[]).unwrap_err();
    assert_eq!(refusal(wish(PlanType::Free, 1)), NotOpened::Free);
    assert_eq!(refusal(wish(PlanType::Pro, 1)), NotOpened::Plan(PlanError::NotSold(PlanType::Pro)));
    assert!(matches!(refusal(wish(PlanType::Standard, 0)), NotOpened::Plan(PlanError::Seats { .. })));
}

#[test]
fn a_method_is_put_to_a_living_subscription_only() {
    let wish = Wish::ReplaceMethod { subscription_id: standard().key.id };
    let request = Request { wish, ..subscribe(None) };
    let session = open(&request, &[standard()]).unwrap();
    assert_eq!((session.subscription_key(), session.currency()), (standard().key, Currency::Krw));
    assert_eq!(session.begins(Some(method("billing-key-1")), noon()), None);
    for had in [vec![], vec![ended()]] {
        assert_eq!(open(&request, &had), Err(NotOpened::NoSubscription(standard().key.id)));
    }
}

#[test]
fn two_open_sessions_of_one_user_name_one_subscription() {
    let key = |had: &[Subscription]| open(&subscribe(None), had).unwrap().subscription_key();
    assert_eq!(key(&[]), key(&[]));
    assert_ne!(key(&[]), key(&[ended()]));
}

#[test]
fn everything_that_is_asked_for_makes_another_request() {
    let base = subscribe(None);
    let wish = |plan, seats, currency, trial_days| Wish::Subscribe { plan, seats, currency, trial_days };
    let other = |wish| Request { wish, ..base.clone() };
    let named = |name: Option<&str>, phone: Option<&str>| Request {
        customer: Customer { name: name.map(Private::new), phone: phone.map(Private::new), ..Customer::default() },
        ..base.clone()
    };
    let requests = [
        base.clone(),
        subscribe(Some(0)),
        subscribe(Some(14)),
        other(wish(PlanType::Pro, 3, Currency::Krw, None)),
        other(wish(PlanType::Standard, 4, Currency::Krw, None)),
        other(wish(PlanType::Standard, 3, Currency::Usd, None)),
        other(Wish::ReplaceMethod { subscription_id: standard().key.id }),
        Request { locale: Locale::En, ..base.clone() },
        Request { user_id: UserId::new("user_4").unwrap(), ..base.clone() },
        named(None, None),
        named(Some("a"), None),
        named(None, Some("a")),
        named(Some(""), None),
    ];
    let mut seen: Vec<String> = requests.iter().map(Request::fingerprint).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), requests.len());
    assert_eq!(subscribe(None).fingerprint(), base.fingerprint());
}

#[test]
fn a_session_covers_what_happens_before_it_expires_and_is_kept_for_days_after() {
    let session = open(&subscribe(None), &[]).unwrap();
    assert!(session.covers(at("2026-11-25T12:59:59.999+09:00")));
    assert!(!session.covers(at("2026-11-25T13:00:00+09:00")));
    assert_eq!(session.kept_until(), at("2026-12-02T13:00:00+09:00"));
}

fn first_charge(days: u32, now: &str) -> (Timestamp, i64) {
    let session = open(&subscribe(Some(days)), &[]).unwrap();
    let charge = session.begins(None, at(now)).unwrap().next_charge().unwrap().unwrap();
    (charge.at, charge.amount.minor())
}

#[test]
fn the_first_charge_is_when_and_what_the_customer_is_told() {
    for (days, now, charged_at, amount) in [
        // A trial that ends in the afternoon is collected the next morning; December's last 23 of 31 days are owed.
        (14, "2026-11-25T12:00:00+09:00", "2026-12-10T10:00:00+09:00", 30_000 * 23 / 31),
        // One that ends before ten is collected that morning.
        (14, "2026-11-25T09:00:00+09:00", "2026-12-09T10:00:00+09:00", 30_000 * 23 / 31),
        // One that ends with a month is followed by a whole one.
        (6, "2026-11-25T09:00:00+09:00", "2026-12-01T10:00:00+09:00", 30_000),
        // Without a trial it is charged at once, whatever the hour…
        (0, "2026-11-25T08:00:00+09:00", "2026-11-25T08:00:00+09:00", 6_000),
        (0, "2026-11-25T15:00:00+09:00", "2026-11-25T15:00:00+09:00", 6_000),
        // …but that of the banks' night.
        (0, "2026-11-25T23:45:00+09:00", "2026-11-26T10:00:00+09:00", 6_000),
        (0, "2026-11-26T00:15:00+09:00", "2026-11-26T10:00:00+09:00", 5_000),
    ] {
        assert_eq!(first_charge(days, now), (at(charged_at), amount), "{days} days from {now}");
    }
}

proptest! {
    #[test]
    fn a_first_charge_is_never_before_the_trial_ends_and_within_a_day_of_it(
        days in 0..=MAX_TRIAL_DAYS, second in 0_i64..400 * 86_400,
    ) {
        let now = noon().checked_add(SignedDuration::from_secs(second)).unwrap();
        let session = open(&subscribe(Some(days)), &[]).unwrap();
        let begun = session.begins(Some(method("billing-key-1")), now).unwrap();
        let agreed = begun.trial_end.unwrap_or(now);
        prop_assert_eq!(agreed.duration_since(now), SignedDuration::from_hours(24 * i64::from(days)));
        let charge = begun.next_charge().unwrap().unwrap();
        prop_assert!(charge.at >= agreed && charge.at.duration_since(agreed) < SignedDuration::from_hours(24));
        prop_assert!(!calendar::banks_are_down(charge.at));
        prop_assert_eq!(begun.due(charge.at), crate::subscription::Due::Collect(charge.period));
        prop_assert_eq!(charge.period.start(), date_at(agreed));
        // A day costs its share of its month, and never more than a whole month.
        let whole = i64::from(charge.period.month_days());
        prop_assert_eq!(charge.amount.minor(), 30_000 * i64::from(charge.period.days()) / whole);
        prop_assert!(charge.amount.minor() <= 30_000 && charge.amount.minor() > 0);
        // What is shown before the customer agrees is what begins a moment later.
        prop_assert_eq!(session.begins(None, now).unwrap().next_charge().unwrap().unwrap(), charge);
    }

    #[test]
    fn a_session_freezes_the_catalogues_price(seats in 1_u32..=100) {
        let wish = Wish::Subscribe { plan: PlanType::Standard, seats, currency: Currency::Usd, trial_days: None };
        let session = open(&Request { wish, ..subscribe(None) }, &[]).unwrap();
        prop_assert_eq!(session.begins(None, noon()).unwrap().monthly.minor(), 900 * i64::from(seats));
        prop_assert_eq!(session.currency(), Currency::Usd);
    }
}
