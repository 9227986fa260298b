//! The business calendar: civil dates in `Asia/Seoul`, billed from the first of the month.

use crate::guard::Guard;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The hour of the day, in Seoul, at which a bill falls due and retries are made. Banks are down around midnight.
pub const BILLING_HOUR: i8 = 10;

/// Korea has kept one offset, +09:00, since 1988; a fixed offset is exact for every date that can be billed.
pub fn seoul() -> TimeZone {
    TimeZone::fixed(Offset::constant(9))
}

/// The civil date in Seoul at a moment.
pub fn date_at(at: Timestamp) -> Date {
    at.to_zoned(seoul()).date()
}

/// The moment a clock in Seoul shows `hour` o'clock on `date`.
///
/// Falls back to the far future for dates at the very end of the calendar (year 9999), which no bill reaches.
pub fn moment(date: Date, hour: i8) -> Timestamp {
    date.at(hour, 0, 0, 0).to_zoned(seoul()).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// The first day of the month after the one `date` lies in.
pub fn first_of_next_month(date: Date) -> Date {
    date.last_of_month().tomorrow().unwrap_or(Date::MAX)
}

/// The billing moment of the day after the one `at` lies in.
pub fn next_billing_morning(at: Timestamp) -> Timestamp {
    moment(date_at(at).tomorrow().unwrap_or(Date::MAX), BILLING_HOUR)
}

/// The first billing moment that is not before `at`: when the daily run finds what has fallen due by then.
pub fn billing_morning_from(at: Timestamp) -> Timestamp {
    let this = moment(date_at(at), BILLING_HOUR);
    if this >= at { this } else { next_billing_morning(at) }
}

/// The billing moment `days` days after the day `at` lies in.
pub fn morning_after(at: Timestamp, days: u32) -> Timestamp {
    let date = date_at(at).checked_add(jiff::Span::new().days(i64::from(days))).unwrap_or(Date::MAX);
    moment(date, BILLING_HOUR)
}

/// Whether Korean banks and card networks are in their nightly maintenance (23:30 to 00:30): nothing is charged then.
pub fn banks_are_down(at: Timestamp) -> bool {
    let time = at.to_zoned(seoul()).time();
    let minute = i32::from(time.hour()).saturating_mul(60).saturating_add(i32::from(time.minute()));
    !(30..23 * 60 + 30).contains(&minute) && Guard::BanksDown.stands()
}

/// A period's id was not the first day of something that can be billed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a billing period: expected the civil date of its start, such as 2026-12-01")]
pub struct BadPeriod(String);

/// A billing period: civil dates `[start, end)` in Seoul. Its id is its start.
///
/// Every period ends on a first of the month. All start on one too, but for a subscription's first, which starts when the trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    start: Date,
}

impl Period {
    /// The period that starts on `start`.
    pub fn starting(start: Date) -> Self {
        Self { start }
    }

    /// The period a new subscription pays first: from the day its trial ends, or from the day it starts.
    pub fn first(started: Timestamp, trial_end: Option<Timestamp>) -> Self {
        Self::starting(date_at(trial_end.unwrap_or(started)))
    }

    /// Reads a period's id.
    pub fn parse(id: &str) -> Result<Self, BadPeriod> {
        let start: Date = id.parse().map_err(|_| BadPeriod(id.to_owned()))?;
        if start.to_string() == id { Ok(Self { start }) } else { Err(BadPeriod(id.to_owned())) }
    }

    /// The period that is a whole month, by the month's id, such as `2026-12`.
    pub fn of_month(id: &str) -> Result<Self, BadPeriod> {
        Self::parse(&format!("{id}-01")).map_err(|_| BadPeriod(id.to_owned()))
    }

    /// The whole month that a moment lies in, in Seoul.
    pub fn month_at(at: Timestamp) -> Self {
        Self::starting(date_at(at).first_of_month())
    }

    /// The first day.
    pub fn start(self) -> Date {
        self.start
    }

    /// The day after the last: always a first of the month.
    pub fn end(self) -> Date {
        first_of_next_month(self.start)
    }

    /// The period that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self { start: self.end() }
    }

    /// The moment from which it is owed: its first day at [`BILLING_HOUR`].
    pub fn due_at(self) -> Timestamp {
        moment(self.start, BILLING_HOUR)
    }

    /// The number of days it covers.
    pub fn days(self) -> u32 {
        let covered = self.month_days().saturating_add(1).saturating_sub(u32::from(self.start.day().unsigned_abs()));
        covered.max(1)
    }

    /// The number of days of the month it lies in.
    pub fn month_days(self) -> u32 {
        u32::from(self.start.days_in_month().unsigned_abs())
    }

    /// The id of the month it lies in, such as `2026-12`: books are closed by month, first periods that start within one included.
    pub fn month_id(self) -> String {
        self.start.strftime("%Y-%m").to_string()
    }

    /// The month it lies in, 1 to 12.
    pub fn month(self) -> i8 {
        self.start.month()
    }
}

/// The period's id, such as `2026-12-01`.
impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.start.fmt(f)
    }
}

impl TryFrom<String> for Period {
    type Error = BadPeriod;
    fn try_from(id: String) -> Result<Self, BadPeriod> {
        Self::parse(&id)
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_day_changes_at_midnight_in_seoul() {
        assert_eq!(date_at(at("2026-11-30T23:59:59+09:00")), date(2026, 11, 30));
        assert_eq!(date_at(at("2026-12-01T00:00:00+09:00")), date(2026, 12, 1));
    }

    #[test]
    fn a_month_is_not_thirty_days() {
        let mut period = Period::starting(date(2028, 1, 1));
        let mut days = Vec::new();
        for _ in 0..12 {
            days.push(period.days());
            period = period.next();
        }
        assert_eq!(days, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
        assert_eq!(period, Period::starting(date(2029, 1, 1)));
    }

    #[test]
    fn what_falls_due_is_found_by_the_first_run_from_then() {
        let ten = at("2026-12-06T10:00:00+09:00");
        assert_eq!(billing_morning_from(at("2026-12-06T00:00:00+09:00")), ten);
        assert_eq!(billing_morning_from(ten), ten);
        assert_eq!(billing_morning_from(at("2026-12-06T10:00:00.001+09:00")), at("2026-12-07T10:00:00+09:00"));
    }

    #[test]
    fn a_trial_that_ends_mid_month_bills_the_rest_of_that_month_first() {
        let period = Period::first(at("2026-11-22T15:00:00+09:00"), Some(at("2026-12-06T15:00:00+09:00")));
        assert_eq!((period.start(), period.end(), period.days()), (date(2026, 12, 6), date(2027, 1, 1), 26));
        assert_eq!(period.next().start(), date(2027, 1, 1));
    }

    #[test]
    fn a_bill_falls_due_at_ten_in_the_morning_in_seoul() {
        assert_eq!(Period::starting(date(2026, 12, 1)).due_at(), at("2026-12-01T10:00:00+09:00"));
    }

    #[test]
    fn what_lies_beyond_the_calendar_falls_due_at_its_end() {
        assert_eq!(moment(Date::MAX, BILLING_HOUR), Timestamp::MAX);
        assert_eq!(first_of_next_month(Date::MAX), Date::MAX);
        assert_eq!(next_billing_morning(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(morning_after(Timestamp::MAX, 1), Timestamp::MAX);
    }

    #[test]
    fn banks_are_down_from_half_past_eleven_to_half_past_midnight() {
        for (time, down) in [("23:29", false), ("23:30", true), ("00:00", true), ("00:29", true), ("00:30", false)] {
            assert_eq!(banks_are_down(at(&format!("2026-12-01T{time}:00+09:00"))), down, "{time}");
        }
    }

    #[test]
    fn a_period_id_is_a_whole_date_and_nothing_else() {
        assert_eq!(Period::parse("2026-12-01").unwrap().start(), date(2026, 12, 1));
        for wrong in ["2026-12", "2026-13-01", "", "2026-12-01T00:00", "2026-02-30", "20261201"] {
            assert!(Period::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn books_are_closed_by_the_month_a_period_lies_in() {
        assert_eq!(Period::starting(date(2026, 12, 17)).month_id(), "2026-12");
        assert_eq!(Period::starting(date(2027, 1, 1)).month_id(), "2027-01");
    }

    #[test]
    fn a_period_is_stored_as_its_id() {
        let period = Period::starting(date(2026, 12, 1));
        assert_eq!(toml::Value::try_from(period).unwrap().as_str(), Some("2026-12-01"));
        assert_eq!(toml::Value::from("2026-12-01").try_into::<Period>(), Ok(period));
        assert!(toml::Value::from("2026-12").try_into::<Period>().is_err());
    }

    proptest! {
        #[test]
        fn periods_tile_time_without_gap_or_overlap(offset in 0i64..20_000) {
            let start = date(2000, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap();
            let period = Period::starting(start);
            prop_assert_eq!(period.end(), period.next().start());
            prop_assert_eq!(period.next().start().day(), 1);
            prop_assert_eq!(i64::from(period.days()), i64::from(start.until(period.end()).unwrap().get_days()));
            prop_assert_eq!(period.next().days(), period.next().month_days());
        }

        #[test]
        fn a_period_survives_its_id(offset in 0i64..20_000) {
            let period = Period::starting(date(2000, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap());
            prop_assert_eq!(Period::parse(&period.to_string()).unwrap(), period);
        }
    }
}
