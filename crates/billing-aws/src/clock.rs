//! The real time.

use billing_core::Timestamp;
use billing_flows::ports::Clock;

/// The system's clock, in whole milliseconds: what is in memory is then what a table gives back.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one real clock; composition roots hand it out")]
    fn now(&self) -> Timestamp {
        whole_millis(Timestamp::now())
    }
}

/// A moment as the tables can hold it.
pub(crate) fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
