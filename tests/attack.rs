//! The attack on the two promises, with a budget that every change can afford. `make sim` and `docs/RELIABILITY.md` tell of longer ones.
#![expect(clippy::expect_used, reason = "this file is a test to its last line")]

use billing_core::guard::Guard;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use system_tests::sim::exhaustive::{Tried, cases, try_everywhere};
use system_tests::sim::guards::hunt;
use system_tests::sim::month::{Month, Outcome, live};

/// How many random months of fixed seeds are lived through.
const MONTHS: u64 = 80;

/// How many of new seeds.
const NEW_MONTHS: u64 = 80;

/// How many customers such a month has.
const CUSTOMERS: u64 = 100;

/// Within how many months of how many customers the loss of a guard must be noticed.
const HUNT: (u64, u64) = (400, 40);

/// How many crash points of small worlds are tried at least: a little less than there are, so that none gets lost unnoticed.
const MIN_CRASH_POINTS: u64 = 425_000;

/// Does `work` to each of `0..count`, on all processors.
fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = work(number);
                    done.lock().expect("a result").push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("results");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn months(from: u64, count: u64) -> Vec<(u64, Outcome)> {
    let count = usize::try_from(count).expect("a count");
    at_once(count, |number| {
        let seed = from + number as u64;
        (seed, live(Month { seed, customers: CUSTOMERS, keeps_journal: false }))
    })
}

fn assert_kept(months: &[(u64, Outcome)]) -> String {
    let broken: Vec<String> = months
        .iter()
        .filter(|(_, outcome)| !outcome.violations.is_empty())
        .map(|(seed, outcome)| {
            let first: Vec<&String> = outcome.violations.iter().take(3).collect();
            format!("make sim SEED={seed} CUSTOMERS={CUSTOMERS}: {first:?}")
        })
        .collect();
    assert!(broken.is_empty(), "{} months with a broken promise:\n{}", broken.len(), broken.join("\n"));
    let charges: u64 = months.iter().map(|(_, outcome)| outcome.tally.approvals).sum();
    let faults: u64 = months.iter().map(|(_, outcome)| outcome.faults).sum();
    format!("{} months, {charges} charges, {faults} faults, no promise broken", months.len())
}

#[test]
fn every_crash_point_of_every_fault_of_a_small_world_keeps_the_promises() {
    let cases = cases();
    let tried: Vec<Tried> = at_once(cases.len(), |number| try_everywhere(&cases[number]));
    let crash_points: u64 = tried.iter().map(|tried| tried.crash_points).sum();
    println!("{} faults, {crash_points} crash points", cases.len());
    let lived: Vec<_> = cases.iter().zip(&tried).map(|(case, tried)| (tried.crash_points, &case.name)).collect();
    if let Some((most, name)) = lived.iter().max() {
        println!("the most in one of them, {most}: {name}");
    }
    let broken: Vec<String> = cases
        .iter()
        .zip(&tried)
        .filter_map(|(case, tried)| {
            tried.broken.first().map(|(at, what)| format!("{}; killed at {at:?}: {what}", case.name))
        })
        .collect();
    assert!(broken.is_empty(), "{} faults break a promise:\n{}", broken.len(), broken.join("\n"));
    assert!(crash_points > MIN_CRASH_POINTS, "only {crash_points} crash points were tried");
}

#[test]
fn random_months_of_fixed_seeds_keep_the_promises() {
    println!("{}", assert_kept(&months(0, MONTHS)));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "new seeds each time come from the time; a broken promise names its seed"
)]
fn random_months_of_new_seeds_keep_the_promises() {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("a time after 1970");
    println!("{}", assert_kept(&months(1_000_000 + now % 1_000_000_000, NEW_MONTHS)));
}

#[test]
fn no_guard_can_be_taken_away_unnoticed() {
    let caught = at_once(Guard::ALL.len(), |number| (Guard::ALL[number], hunt(Guard::ALL[number], HUNT.0, HUNT.1)));
    for (guard, caught) in &caught {
        match caught {
            Some(caught) => println!("{guard:?}: noticed after {} months: {}", caught.months, caught.violation),
            None => println!("{guard:?}: not noticed"),
        }
    }
    let unnoticed: Vec<_> = caught.iter().filter(|(_, caught)| caught.is_none()).map(|(guard, _)| guard).collect();
    assert!(unnoticed.is_empty(), "nobody noticed that these were gone: {unnoticed:?}");
    let broken: Vec<_> = caught
        .iter()
        .filter_map(|(guard, caught)| caught.as_ref().map(|caught| (guard, caught.seed, &caught.with_guards)))
        .filter(|(_, _, with_guards)| !with_guards.is_empty())
        .collect();
    assert!(broken.is_empty(), "with all guards standing the same months break promises, too: {broken:?}");
}

#[test]
fn a_seed_decides_everything() {
    let told = || live(Month { seed: 11, customers: 20, keeps_journal: true }).journal;
    let (first, second) = (told(), told());
    assert!(first.len() > 1_000);
    assert!(first == second, "two months of one seed differ");
}
