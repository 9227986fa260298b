//! The attack, attacked: one guard is taken away, and some month must notice. The month that did is lived through again with all guards
//! standing, and must then notice nothing.

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
    /// What the same month says with all guards standing. Nothing; or it was not the guard's loss that was noticed.
    pub with_guards: Vec<String>,
}

/// Lives through months without a guard until one notices, at most so many; from the same seeds each time.
pub fn hunt(guard: Guard, months: u64, customers: u64) -> Option<Caught> {
    let without = |seed, guard| {
        removed::set(guard);
        let violations = live(Month { seed, customers, keeps_journal: false }).violations;
        removed::set(None);
        violations
    };
    (0..months).find_map(|seed| {
        let violation = without(seed, Some(guard)).into_iter().next()?;
        Some(Caught { months: seed + 1, seed, violation, with_guards: without(seed, None) })
    })
}
