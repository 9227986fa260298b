//! `make sim`: lives through random months, many at once, and says what they came to.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use system_tests::sim::context::Line;
use system_tests::sim::month::{Month, Outcome, live};

/// Lives through random months of billing under attack and checks the promises at PortOne's own ledger.
#[derive(Debug, Parser)]
struct Arguments {
    /// One month, told in full where a promise was broken.
    #[arg(long)]
    seed: Option<u64>,
    /// How many months.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed; `random` begins somewhere else each time.
    #[arg(long, default_value = "0")]
    from: String,
    /// How many customers each month has.
    #[arg(long, default_value_t = 100)]
    customers: u64,
    /// How many months are lived through at once; as many as the machine has processors, if not said.
    #[arg(long)]
    threads: Option<usize>,
    /// With `--seed`: everything that happened, not only what concerns a broken promise.
    #[arg(long)]
    all: bool,
}

#[expect(clippy::print_stdout, reason = "this program prints a report")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let outcome = live(Month { seed, customers: arguments.customers, keeps_journal: true });
        println!("{}", story(&outcome, arguments.all));
        return if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some(from) = first_seed(&arguments.from) else {
        println!("--from takes a number or `random`, not {:?}", arguments.from);
        return ExitCode::FAILURE;
    };
    println!("seeds {from} to {}, {} customers each", from + arguments.seeds - 1, arguments.customers);
    let sum = live_all(&arguments, from);
    println!("{}", report(&sum));
    for (seed, violations) in &sum.broken {
        for violation in violations.iter().take(3) {
            println!("seed {seed}: {violation}");
        }
        println!("  to see it: make sim SEED={seed} CUSTOMERS={}", arguments.customers);
    }
    if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "a composition root: new seeds each time come from the time")]
fn first_seed(text: &str) -> Option<u64> {
    if text == "random" {
        // Far from the fixed seeds, and short enough to be typed.
        return u64::try_from(jiff::Timestamp::now().as_millisecond()).ok().map(|now| 1_000_000 + now % 1_000_000_000);
    }
    text.parse().ok()
}

#[derive(Debug, Default)]
struct Sum {
    months: u64,
    counts: BTreeMap<&'static str, u64>,
    simulated: SignedDuration,
    elapsed: SignedDuration,
    broken: BTreeMap<u64, Vec<String>>,
}

#[expect(clippy::disallowed_methods, reason = "a composition root: it says how long it took")]
fn live_all(arguments: &Arguments, from: u64) -> Sum {
    let began = std::time::Instant::now();
    let bar = ProgressBar::new(arguments.seeds);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} months  {elapsed} elapsed, {eta} to go  {msg}")
    {
        bar.set_style(style);
    }
    let next = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        return;
                    }
                    let seed = from + number;
                    let outcome = live(Month { seed, customers: arguments.customers, keeps_journal: false });
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(seed, outcome);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.elapsed = SignedDuration::try_from(began.elapsed()).unwrap_or(SignedDuration::MAX);
    sum
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        let tally = outcome.tally;
        self.months += 1;
        for (name, count) in [
            ("periods due", tally.due),
            ("paid", tally.paid),
            ("uncollectible", tally.uncollectible),
            ("void", tally.void),
            ("pending at PortOne", tally.pending),
            ("parked for a person", tally.parked),
            ("upgrades paid", tally.upgrades),
            ("upgrades not paid", tally.no_upgrades),
            ("charges sent", tally.sent),
            ("approvals", tally.approvals),
            ("mails", tally.mails),
            ("mails repeated after a disturbance", tally.repeats),
            ("faults", outcome.faults),
            ("await points", outcome.polls),
        ] {
            *self.counts.entry(name).or_default() += count;
        }
        self.simulated = self.simulated.saturating_add(outcome.simulated);
        if !outcome.violations.is_empty() {
            self.broken.insert(seed, outcome.violations);
        }
    }
}

fn report(sum: &Sum) -> String {
    let mut lines = vec![format!("{:>14}  months, {} of them with a broken promise", sum.months, sum.broken.len())];
    lines.extend(sum.counts.iter().map(|(name, count)| format!("{count:>14}  {name}")));
    let speed = sum.simulated.as_secs() / sum.elapsed.as_secs().max(1);
    lines.push(format!("{:>14}  times faster than life ({} s)", speed, sum.elapsed.as_secs()));
    lines.join("\n")
}

/// What happened: all of it, or what concerns the payments, customers and subscriptions of broken promises.
fn story(outcome: &Outcome, all: bool) -> String {
    let names: Vec<&str> = outcome
        .violations
        .iter()
        .flat_map(|violation| violation.split([' ', ':', ',']))
        .filter(|word| ["inv", "user_", "sub_"].iter().any(|start| word.starts_with(start)) && word.len() > 8)
        .collect();
    let numbers: Vec<&str> = names.iter().filter_map(|name| name.split_once('_')).map(|(_, number)| number).collect();
    let mut own: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    own.extend(numbers.iter().flat_map(|number| [format!("user_{number}"), format!("sub_{number}")]));
    // A payment is known by its subscription, and the other way round, from the line that first names both.
    for (_, _, line) in &outcome.journal {
        if let Some((_, rest)) = line.split_once("invoice inv")
            && own.iter().any(|name| line.contains(name))
            && let Some(id) = rest.split(' ').next()
        {
            own.push(format!("inv{id}"));
        }
    }
    own.sort();
    own.dedup();
    let matters =
        |line: &&Line| all || own.iter().any(|name| line.2.contains(name)) || line.2.starts_with("the weather");
    let told = outcome.journal.iter().filter(matters).map(|(at, task, line)| {
        let at = at.to_zoned(billing_core::calendar::seoul()).strftime("%m-%d %H:%M:%S%.3f").to_string();
        let task = if *task == 0 { String::new() } else { format!("#{task}") };
        format!("{at} {task:>7}  {line}")
    });
    let mut lines: Vec<String> = told.collect();
    lines.push(format!("{:?}", outcome.tally));
    lines.push(match outcome.violations.len() {
        0 => "no promise was broken".to_owned(),
        count => format!("{count} promises were broken:"),
    });
    lines.extend(outcome.violations.iter().cloned());
    lines.join("\n")
}
