//! The attack, attacked: one guard is taken away, and some month must notice.

use super::month::{Month, live};
use billing_core::guard::{Guard, removed};

/// How a missing guard was noticed.
#[derive(Debug, Clone)]
pub struct Caught {
    /// How many months were lived through, the last of which noticed.
    pub months: u64,
    /// The seed that noticed.
    pub seed: u64,
    /// What it said first.
    pub violation: String,
}

/// Lives through months without a guard until one notices, at most so many; from the same seeds each time.
pub fn hunt(guard: Guard, months: u64, customers: u64) -> Option<Caught> {
    removed::set(Some(guard));
    let caught = (0..months).find_map(|seed| {
        let violation = live(Month { seed, customers, keeps_journal: false }).violations.into_iter().next()?;
        Some(Caught { months: seed + 1, seed, violation })
    });
    removed::set(None);
    caught
}
