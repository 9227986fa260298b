//! Dunning: when a declined invoice is tried again, and when it is given up.

use crate::calendar;
use crate::decline::Severity;
use crate::guard::Guard;
use jiff::Timestamp;
use thiserror::Error;

/// A failed charge is retried at most three times.
pub const MAX_RETRIES: usize = 3;

/// Four: the first attempt and its retries. Only attempts that were declined count; one that `PortOne` never saw is not held against the
/// customer.
pub const MAX_DECLINES: u32 = 4;

/// The retry schedule: days after the first decline, at [`calendar::BILLING_HOUR`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    days: Vec<u32>,
}

/// A ladder that cannot be climbed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a retry ladder is 1 to {MAX_RETRIES} days after the first decline, each 1 to 27 and later than the one before; got {0:?}"
)]
pub struct BadLadder(Vec<u32>);

impl Default for Ladder {
    /// +1, +3 and +5 days.
    fn default() -> Self {
        Self { days: vec![1, 3, 5] }
    }
}

/// What follows a decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same method is tried again at this moment.
    Retry(Timestamp),
    /// Only a new method can help; without one the invoice is given up at this moment.
    AwaitMethod(Timestamp),
    /// Nothing is left to try.
    GiveUp,
}

impl Ladder {
    /// A ladder of the operator's.
    pub fn new(days: Vec<u32>) -> Result<Self, BadLadder> {
        let rising = days.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        let in_month = days.iter().all(|day| (1..=27).contains(day));
        if days.is_empty() || days.len() > MAX_RETRIES || !rising || !in_month {
            Err(BadLadder(days))
        } else {
            Ok(Self { days })
        }
    }

    /// What follows the `declines`-th decline of an invoice whose first was at `first`.
    ///
    /// A rung that has passed already (after downtime, or after a new method was tried in between) is taken the next morning instead: a
    /// retry is never made on the day of a decline.
    pub fn after(&self, declines: u32, first: Timestamp, now: Timestamp, severity: Severity) -> Next {
        let used = usize::try_from(declines).unwrap_or(usize::MAX);
        let endless = self.days.last().filter(|_| !Guard::RetryLimit.stands());
        let Some(rung) = used.checked_sub(1).and_then(|i| self.days.get(i)).or(endless) else {
            return Next::GiveUp;
        };
        match severity {
            Severity::Hard if Guard::HardDeclineEnds.stands() => Next::AwaitMethod(self.deadline(first, now)),
            Severity::Soft | Severity::Hard => {
                Next::Retry(calendar::morning_after(first, *rung).max(calendar::next_billing_morning(now)))
            }
        }
    }

    /// Until when a new method is waited for after a decline at `declined`, of an invoice whose first was at `first`: to the end of the
    /// ladder, and at least to the next morning.
    pub fn deadline(&self, first: Timestamp, declined: Timestamp) -> Timestamp {
        let last = self.days.last().copied().unwrap_or(1);
        calendar::morning_after(first, last).max(calendar::next_billing_morning(declined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn three_retries_follow_a_soft_decline_on_the_second_fourth_and_sixth() {
        let first = at("2026-12-01T10:00:07+09:00");
        let mut now = first;
        let mut days = Vec::new();
        for declines in 1..=3 {
            let Next::Retry(next) = Ladder::default().after(declines, first, now, Severity::Soft) else {
                panic!("no retry")
            };
            days.push(next);
            now = next;
        }
        assert_eq!(days, ["2026-12-02T10:00+09:00", "2026-12-04T10:00+09:00", "2026-12-06T10:00+09:00"].map(at));
        assert_eq!(Ladder::default().after(4, first, now, Severity::Soft), Next::GiveUp);
    }

    #[test]
    fn a_hard_decline_is_not_retried_but_leaves_until_the_end_of_the_ladder_for_a_new_method() {
        let first = at("2026-12-01T10:00:00+09:00");
        assert_eq!(
            Ladder::default().after(1, first, first, Severity::Hard),
            Next::AwaitMethod(at("2026-12-06T10:00:00+09:00"))
        );
    }

    #[test]
    fn a_rung_that_has_passed_is_taken_the_next_morning() {
        let first = at("2026-12-01T10:00:00+09:00");
        let now = at("2026-12-09T15:00:00+09:00");
        assert_eq!(
            Ladder::default().after(2, first, now, Severity::Soft),
            Next::Retry(at("2026-12-10T10:00:00+09:00"))
        );
    }

    #[test]
    fn a_ladder_rises_within_a_month_and_has_at_most_three_rungs() {
        for wrong in [vec![], vec![0], vec![3, 3], vec![3, 1], vec![1, 2, 3, 4], vec![28]] {
            assert!(Ladder::new(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert!(Ladder::new(vec![2, 7]).is_ok());
        assert!(Ladder::new(vec![1, 2, 27]).is_ok());
    }
}
