//! The sandbox's one clock: it can be moved ahead, never back.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A clock that all parts of the sandbox share. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<Reading>>);

#[derive(Debug)]
enum Reading {
    /// The system's time and an offset. `last` keeps it from running back when the system's clock is set back.
    Real { offset: SignedDuration, last: Timestamp },
    /// Moves only when told.
    Frozen(Timestamp),
}

impl Clock {
    /// Starts at the real time and runs on with it.
    pub fn real() -> Self {
        Self::new(Reading::Real { offset: SignedDuration::ZERO, last: system_now() })
    }

    /// Starts at a moment, and runs on with the real time.
    pub fn running_from(start: Timestamp) -> Self {
        let now = system_now();
        Self::new(Reading::Real { offset: start.duration_since(now), last: start })
    }

    /// Stands still until it is moved.
    pub fn frozen_at(now: Timestamp) -> Self {
        Self::new(Reading::Frozen(now))
    }

    fn new(reading: Reading) -> Self {
        Self(Arc::new(Mutex::new(reading)))
    }

    /// The sandbox's time.
    pub fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read()
    }

    /// Moves the clock ahead to `target`. It stays where it is if it is already there or beyond.
    pub fn advance_to(&self, target: Timestamp) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = target.duration_since(reading.read());
        if ahead.is_positive() {
            match &mut *reading {
                Reading::Real { offset, .. } => *offset = offset.saturating_add(ahead),
                Reading::Frozen(now) => *now = target,
            }
        }
    }

    /// How far it is ahead of the system's time; nothing if it stands still.
    pub fn lead(&self) -> SignedDuration {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Reading::Real { offset, .. } => *offset,
            Reading::Frozen(_) => SignedDuration::ZERO,
        }
    }

    /// Moves the clock ahead until it is at least `lead` before the system's time, if it runs.
    pub fn take_lead(&self, lead: SignedDuration) {
        if let Reading::Real { offset, .. } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            *offset = lead.max(*offset);
        }
    }
}

impl Reading {
    fn read(&mut self) -> Timestamp {
        match self {
            Self::Real { offset, last } => {
                let now = system_now().saturating_add(*offset).unwrap_or(*last);
                *last = now.max(*last);
                *last
            }
            Self::Frozen(now) => *now,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the sandbox's clock is where its time comes from")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_when_told_and_never_back() {
        let start: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
        let clock = Clock::frozen_at(start);
        assert_eq!(clock.now(), start);
        let later = start + SignedDuration::from_hours(5);
        clock.clone().advance_to(later);
        assert_eq!(clock.now(), later);
        clock.advance_to(start);
        assert_eq!(clock.now(), later);
    }

    #[test]
    fn a_real_clock_runs_on_from_where_it_was_moved() {
        let clock = Clock::real();
        let target = clock.now() + SignedDuration::from_hours(1);
        clock.advance_to(target);
        let first = clock.now();
        assert!(first >= target);
        assert!(clock.now() >= first);
    }
}
