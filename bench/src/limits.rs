//! What a charge asks for, and what a batch waits for: the Rust worker against what is the least.

use crate::case::Case;
use crate::events::{BATCH, Event};
use crate::results::Machine;
use crate::side::{Kind, Side, program};
use crate::statistics::number;
use crate::witness::{Seen, Witness};
use crate::world::World;
use crate::{clock, machine};
use billing_core::calendar;
use clap::Args;
use lambda_tests::function::Function;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How slow `PortOne` is made, in milliseconds.
const SLOW: (u64, u64) = (300, 2_000);

/// What a batch may take at most of its slowest call.
const GOAL: f64 = 1.10;

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Batches of ten charges
    #[arg(long, default_value_t = 20)]
    batches: usize,
    /// Decides how slow each call to `PortOne` is
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures are written
    #[arg(long, default_value = "bench/results/limits.json")]
    results: PathBuf,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Limits {
    machine: Machine,
    charges: u64,
    requests: Vec<Asked>,
    /// How slow `PortOne` was made for the batches, from and to, and by which seed.
    slow_ms: (u64, u64),
    seed: u64,
    batches: Vec<Timed>,
}

/// Requests of a kind, of all charges.
#[derive(Debug, Serialize)]
struct Asked {
    of: &'static str,
    what: String,
    count: u64,
    /// How many the laws leave: `docs/PERFORMANCE.md` derives them.
    least: u64,
}

/// A batch beside its slowest call to `PortOne`.
#[derive(Debug, Serialize)]
struct Timed {
    took_us: u64,
    slowest_us: u64,
}

impl Timed {
    fn ratio(&self) -> f64 {
        number(self.took_us) / number(self.slowest_us)
    }
}

/// A worker whose requests are seen.
struct Watched {
    world: World,
    worker: Function,
    dynamodb: Witness,
    portone: Witness,
    aws: Witness,
}

impl Watched {
    async fn start() -> Self {
        let world = World::open().await;
        let dynamodb = Witness::before(world.sandbox.told("dynamodb")).await;
        let portone = Witness::before(world.sandbox.told("portone")).await;
        let aws = Witness::before(world.sandbox.told("aws")).await;
        let mut environment = world.environment.clone();
        for (name, value) in &mut environment {
            match name.as_str() {
                "AWS_ENDPOINT_URL_DYNAMODB" => value.clone_from(&dynamodb.url),
                "PORTONE_BASE_URL" => value.clone_from(&portone.url),
                "AWS_ENDPOINT_URL" => value.clone_from(&aws.url),
                _ => {}
            }
        }
        let worker = Function::launch(&program(Side::Rust, Kind::Worker, &environment, None)).await;
        let mut watched = Self { world, worker, dynamodb, portone, aws };
        // The first batch opens connections.
        watched.batches(1).await;
        watched
    }

    /// Has new customers charged. Answers with the time of each batch, and of its slowest call to `PortOne`.
    async fn batches(&mut self, count: usize) -> Vec<Timed> {
        let us = |took: Duration| u64::try_from(took.as_micros()).unwrap();
        let mut times = Vec::new();
        for Event { event, right } in self.world.events(Case::Batch, count).await {
            let (answer, took) = self.worker.timed(event).await;
            assert!(right.is(&answer), "{answer}");
            let calls = self.portone.take();
            let slowest = calls.iter().map(|call| call.took).max().unwrap();
            times.push(Timed { took_us: us(took), slowest_us: us(slowest) });
        }
        times
    }
}

fn counted(seen: Vec<Seen>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for Seen { what, .. } in seen {
        *counts.entry(what).or_default() += 1;
    }
    counts
}

/// How many requests of a kind the laws leave of approved charges.
fn least(of: &str, what: &str, batches: u64) -> u64 {
    let charges = batches * BATCH as u64;
    match (of, what) {
        // The subscription; and the stop, for each batch.
        ("DynamoDB", "GetItem") => charges + batches,
        // The intent, and the settlement.
        ("DynamoDB", "TransactWriteItems") => 2 * charges,
        ("PortOne", "POST /payments/{paymentId}/billing-key") => charges,
        _ => 0,
    }
}

/// The requests of a charge.
async fn requests(batches: usize) -> Vec<Asked> {
    let mut watched = Watched::start().await;
    let (dynamodb, aws) = (watched.dynamodb.take(), watched.aws.take());
    println!("A new worker asks, with its first batch: {:?}, {:?}", counted(dynamodb), counted(aws));
    let mut calls = Vec::new();
    for Event { event, right } in watched.world.events(Case::Batch, batches).await {
        let (answer, _) = watched.worker.timed(event).await;
        assert!(right.is(&answer), "{answer}");
        calls.append(&mut watched.portone.take());
    }
    watched.world.check().await;
    let mut asked = Vec::new();
    for (of, seen) in [("DynamoDB", watched.dynamodb.take()), ("PortOne", calls), ("AWS", watched.aws.take())] {
        for (what, count) in counted(seen) {
            let least = least(of, &what, batches as u64);
            asked.push(Asked { of, what, count, least });
        }
    }
    asked
}

/// The time of a batch.
async fn time(batches: usize, seed: u64) -> Vec<Timed> {
    let mut watched = Watched::start().await;
    let faults = json!({ "seed": seed, "slowMs": SLOW, "rules": [{ "behavior": "slow" }] });
    watched.world.sandbox.post("/api/portone/faults", &faults).await;
    let times = watched.batches(batches).await;
    watched.world.check().await;
    times
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

impl Limits {
    fn are_requests_met(&self) -> bool {
        self.requests.iter().all(|asked| asked.count <= asked.least)
    }

    fn worst(&self) -> f64 {
        self.batches.iter().map(Timed::ratio).fold(0.0, f64::max)
    }

    fn are_met(&self) -> bool {
        self.are_requests_met() && self.worst() <= GOAL
    }

    fn print(&self) {
        println!("\n{} charges in batches of {BATCH}, all approved\n", self.charges);
        println!("| {:<8} | {:<40} | {:>5} | {:>5} | {:>10} |", "of", "request", "count", "least", "per charge");
        println!("| {:<8} | {:<40} | {:>5} | {:>5} | {:>10} |", "---", "---", "---:", "---:", "---:");
        for Asked { of, what, count, least } in &self.requests {
            let each = number(*count) / number(self.charges);
            println!("| {of:<8} | {what:<40} | {count:>5} | {least:>5} | {each:>10.2} |");
        }
        println!("\nNo more than the least: {}", verdict(self.are_requests_met()));
        let (from, to) = self.slow_ms;
        println!("\nBatches of {BATCH}; each call to PortOne takes {from} to {to} ms (seed {})\n", self.seed);
        println!("| {:>5} | {:>9} | {:>16} | {:>6} |", "batch", "took, ms", "slowest call, ms", "of it");
        println!("| {:>5} | {:>9} | {:>16} | {:>6} |", "---:", "---:", "---:", "---:");
        for (number, timed) in self.batches.iter().enumerate() {
            let (took, slowest, ratio) = (timed.took_us / 1_000, timed.slowest_us / 1_000, timed.ratio());
            println!("| {:>5} | {took:>9} | {slowest:>16} | {ratio:>6.3} |", number + 1);
        }
        let (worst, is_met) = (self.worst(), verdict(self.worst() <= GOAL));
        println!("\nThe worst: {worst:.3} of its slowest call; at most {GOAL:.2}: {is_met}");
    }
}

/// Measures both, prints them and writes them to a file. Whether all goals are met.
pub(crate) async fn run(settings: &Settings) -> bool {
    let now = clock::now();
    if calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(5)) {
        println!("SKIPPED: the limits; banks are down in Seoul, or soon will be, and nothing is charged then");
        return true;
    }
    let limits = Limits {
        machine: machine::this(),
        charges: (settings.batches * BATCH) as u64,
        requests: requests(settings.batches).await,
        slow_ms: SLOW,
        seed: settings.seed,
        batches: time(settings.batches, settings.seed).await,
    };
    limits.print();
    let file = &settings.results;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&limits).unwrap() + "\n").unwrap();
    limits.are_met()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(count: u64, took_us: u64) -> Limits {
        let (of, what) = ("DynamoDB", "TransactWriteItems");
        Limits {
            machine: machine::this(),
            charges: 10,
            requests: vec![Asked { of, what: what.to_owned(), count, least: least(of, what, 1) }],
            slow_ms: SLOW,
            seed: 1,
            batches: vec![Timed { took_us: 1_000, slowest_us: 1_000 }, Timed { took_us, slowest_us: 1_000 }],
        }
    }

    #[test]
    fn a_request_more_or_a_slow_batch_misses_the_goal() {
        assert!(limits(20, 1_100).are_met());
        assert!(!limits(21, 1_100).are_met());
        assert!(!limits(20, 1_101).are_met());
    }

    #[test]
    fn a_kind_of_request_that_the_laws_do_not_ask_for_is_one_too_many() {
        assert_eq!(least("AWS", "GetSecretValue", 20), 0);
    }
}
