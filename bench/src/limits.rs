//! What a charge asks for, and what a batch waits for: the Rust worker against what is the least.

use crate::case::Case;
use crate::clock;
use crate::events::{BATCH, Event};
use crate::side::{Kind, Side, program};
use crate::statistics::number;
use crate::witness::{Seen, Witness};
use crate::world::World;
use billing_core::calendar;
use clap::Args;
use lambda_tests::function::Function;
use serde_json::json;
use std::collections::BTreeMap;
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
    async fn batches(&mut self, count: usize) -> Vec<(Duration, Duration)> {
        let mut times = Vec::new();
        for Event { event, right } in self.world.events(Case::Batch, count).await {
            let (answer, took) = self.worker.timed(event).await;
            assert!(right.is(&answer), "{answer}");
            let calls = self.portone.take();
            times.push((took, calls.iter().map(|call| call.took).max().unwrap()));
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

/// The requests of a charge.
async fn requests(batches: usize) {
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
    let charges = number((batches * BATCH) as u64);
    println!("\n{batches} batches of {BATCH} charges, all approved\n");
    println!("| {:<8} | {:<40} | {:>5} | {:>10} |", "of", "request", "count", "per charge");
    println!("| {:<8} | {:<40} | {:>5} | {:>10} |", "---", "---", "---:", "---:");
    for (of, seen) in [("DynamoDB", watched.dynamodb.take()), ("PortOne", calls), ("AWS", watched.aws.take())] {
        for (what, count) in counted(seen) {
            println!("| {of:<8} | {what:<40} | {count:>5} | {:>10.2} |", number(count) / charges);
        }
    }
}

/// The time of a batch.
async fn time(batches: usize, seed: u64) {
    let mut watched = Watched::start().await;
    let faults = json!({ "seed": seed, "slowMs": SLOW, "rules": [{ "behavior": "slow" }] });
    watched.world.sandbox.post("/api/portone/faults", &faults).await;
    let times = watched.batches(batches).await;
    watched.world.check().await;
    println!("\nBatches of {BATCH}; each call to PortOne takes {} to {} ms (seed {seed})\n", SLOW.0, SLOW.1);
    println!("| {:>5} | {:>9} | {:>16} | {:>6} |", "batch", "took, ms", "slowest call, ms", "of it");
    println!("| {:>5} | {:>9} | {:>16} | {:>6} |", "---:", "---:", "---:", "---:");
    let mut worst = 0.0_f64;
    for (number, (took, slowest)) in times.iter().enumerate() {
        let ratio = took.as_secs_f64() / slowest.as_secs_f64();
        worst = worst.max(ratio);
        let (took, slowest) = (took.as_millis(), slowest.as_millis());
        println!("| {:>5} | {took:>9} | {slowest:>16} | {ratio:>6.3} |", number + 1);
    }
    let is_met = if worst <= GOAL { "met" } else { "**missed**" };
    println!("\nThe worst: {worst:.3} of its slowest call; at most {GOAL:.2}: {is_met}");
}

/// Prints both.
pub(crate) async fn run(settings: &Settings) {
    let now = clock::now();
    if calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(5)) {
        println!("SKIPPED: the limits; banks are down in Seoul, or soon will be, and nothing is charged then");
        return;
    }
    requests(settings.batches).await;
    time(settings.batches, settings.seed).await;
}
