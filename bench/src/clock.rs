//! Time of this machine.

use jiff::Timestamp;
use std::time::{Duration, Instant};

/// When a measurement begins.
#[expect(clippy::disallowed_methods, reason = "time is what is measured")]
pub(crate) fn begin() -> Instant {
    Instant::now()
}

/// The time of day, which a signature holds.
#[expect(clippy::disallowed_methods, reason = "the functions read the machine's clock, too")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
