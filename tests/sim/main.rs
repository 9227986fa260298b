//! `make sim`: lives through random months, many at once, and prints what they came to.

use system_tests::sim::month::{Month, live};

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (from, count, customers) = (args[0], args[1], args[2]);
    for seed in from..from + count {
        let outcome = live(Month { seed, customers, keeps_journal: count == 1 });
        println!(
            "{seed}: {:?} faults {} polls {} {}",
            outcome.tally,
            outcome.faults,
            outcome.polls,
            outcome.violations.len()
        );
        for (at, task, line) in &outcome.journal {
            println!("{at} {task} {line}");
        }
        for v in outcome.violations.iter().take(8) {
            println!("   {v}");
        }
    }
}
