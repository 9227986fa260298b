//! A function starts fast, runs on without growing, and stops when it is told to.

use crate::events::banks_are_down;
use lambda_tests::Host;
use lambda_tests::emulator::{self, Emulated};
use lambda_tests::function::Function;
use lambda_tests::sandbox::{Sandbox, event};
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// What is said to be no leak: a function of 128 MB that lives for hours has this to lose, and allocators keep some of what they are given
/// back.
const MAX_GROWTH_KIB: u64 = 1024;

/// How often each function is invoked, and which part of that comes before its memory is taken for settled.
const INVOCATIONS: usize = 10_000;
const SETTLED_AFTER: usize = 10;

/// How many of a worker's batches have ten customers to be charged.
const FRESH_BATCHES: usize = 500;

/// A cold start is printed, and held to what no machine that is merely busy exceeds.
const MAX_INIT: Duration = Duration::from_secs(5);

/// How often each function is started under the emulator, which times it.
const COLD_STARTS: usize = 9;

/// Each function, and an event that its first invocation is measured by.
const FIRST_ASKED: [(&str, &str); 6] = [
    ("api", "api/health"),
    ("webhook", "webhook/billing-key-issued"),
    ("planner", "planner/tick"),
    ("worker", "worker/batch-with-poison"),
    ("reconciler", "reconciler/hourly"),
    ("notifier", "notifier/batch"),
];

#[tokio::test]
async fn a_cold_start_is_fast_and_small() {
    let sandbox = Sandbox::start();
    println!("{:<12} {:>10} {:>14} {:>10} {:>10}", "function", "init", "first answer", "second", "peak");
    for (name, asked) in FIRST_ASKED {
        let mut function = Function::start(name, &sandbox).await;
        let init = function.init;
        let (_, first) = function.timed(event(asked)).await;
        let (_, second) = function.timed(event(asked)).await;
        let (_, peak) = function.memory();
        println!("{name:<12} {init:>10.1?} {first:>14.1?} {second:>10.1?} {:>7} MB", peak / 1024);
        assert!(init < MAX_INIT, "{name} took {init:?} to start");
    }
}

#[tokio::test]
async fn a_cold_start_under_the_runtime_interface_emulator_is_fast() {
    if !emulator::is_there() {
        println!("SKIPPED: the Runtime Interface Emulator; {} names none", emulator::PROGRAM);
        return;
    }
    let sandbox = Sandbox::start();
    println!("{:<12} {:>16} {:>10}", "function", "init, median", "longest");
    for (name, asked) in FIRST_ASKED {
        let mut all = Vec::with_capacity(COLD_STARTS);
        for _ in 0..COLD_STARTS {
            let mut function = Emulated::start(name, &sandbox).await;
            function.invoke(event(asked)).await;
            all.push(function.init());
        }
        all.sort_unstable();
        let (median, longest) = (all[COLD_STARTS / 2], all[COLD_STARTS - 1]);
        println!("{name:<12} {median:>16.1?} {longest:>10.1?}");
        assert!(median < MAX_INIT, "{name} took {median:?} to start");
    }
}

/// What a function is asked again and again: so often, with these events in turn.
struct Work {
    asked: String,
    times: usize,
    events: Vec<Value>,
}

impl Work {
    /// An event of `events/`.
    fn again(asked: &str, times: usize) -> Self {
        Self { asked: asked.to_owned(), times, events: vec![event(asked)] }
    }

    /// The events of the first part, or of the rest.
    fn part(&self, first: bool) -> impl Iterator<Item = &Value> {
        let before = self.times / SETTLED_AFTER;
        let (skipped, taken) = if first { (0, before) } else { (before, self.times - before) };
        self.events.iter().cycle().skip(skipped).take(taken)
    }
}

/// An answer without when it was given, which closed books say.
fn lasting(mut answer: Value) -> Value {
    if let Some(at) = answer.pointer_mut("/books/0/at") {
        at.take();
    }
    answer
}

/// A function is invoked so often that a leak would show. Each event of a kind is answered as those before it.
async fn lives(name: &str, sandbox: &Sandbox, all: &[Work]) {
    assert_eq!(all.iter().map(|work| work.times).sum::<usize>(), INVOCATIONS, "{name}");
    let mut function = Function::start(name, sandbox).await;
    let mut expected = Vec::with_capacity(all.len());
    for work in all {
        let mut last = Value::Null;
        for event in work.part(true) {
            last = function.invoke(event.clone()).await;
        }
        expected.push(lasting(last));
    }
    let settled = function.memory().0;
    for (work, expected) in all.iter().zip(&expected) {
        for event in work.part(false) {
            assert_eq!(lasting(function.invoke(event.clone()).await), *expected, "{}", work.asked);
        }
        println!("{name}: {} times {}", work.times, work.asked);
    }
    let grown = function.memory().0;
    println!(
        "{name}: {settled} KiB after {} invocations, {grown} KiB after {INVOCATIONS}",
        INVOCATIONS / SETTLED_AFTER
    );
    assert!(grown < settled + MAX_GROWTH_KIB, "{name}: it grew from {settled} to {grown} KiB");
}

/// A sandbox in which functions were already asked.
async fn after(asked: &[&str]) -> Sandbox {
    let sandbox = Sandbox::start();
    for asked in asked {
        let (name, _) = asked.split_once('/').unwrap();
        Function::start(name, &sandbox).await.invoke(event(asked)).await;
    }
    sandbox
}

#[tokio::test]
async fn ten_thousand_invocations_leave_nothing_behind() {
    if banks_are_down() {
        println!("SKIPPED: ten thousand invocations; banks are down in Seoul, and nothing is charged");
        return;
    }
    let sandbox = after(&["worker/batch-with-poison"]).await;
    let work = [
        Work::again("api/health", 2_000),
        Work::again("api/charge-unsigned", 2_000),
        Work::again("api/charge", 3_000),
        Work::again("api/invoices", 3_000),
    ];
    lives("api", &sandbox, &work).await;

    let sandbox = after(&["worker/batch-with-poison"]).await;
    let work = [
        // Those that are signed come first: a signature is good for five minutes.
        Work::again("webhook/billing-key-issued", 3_000),
        Work::again("webhook/paid", 3_000),
        Work::again("webhook/forged", 4_000),
    ];
    lives("webhook", &sandbox, &work).await;

    let work = [Work::again("planner/tick", 5_000), Work::again("planner/rest-of-a-run", 5_000)];
    lives("planner", &Sandbox::start(), &work).await;

    // Charges, which are what a worker is for, and batches in which there is nothing to be charged any more.
    let sandbox = Sandbox::start();
    let fresh = sandbox.batches(FRESH_BATCHES).await;
    let fresh = Work { asked: "a batch of new customers".to_owned(), times: FRESH_BATCHES, events: fresh };
    lives("worker", &sandbox, &[Work::again("worker/batch-with-poison", INVOCATIONS - FRESH_BATCHES), fresh]).await;
    assert!(sandbox.approved_once_and_paid().await > 10 * FRESH_BATCHES);

    // The night after: what the worker charged is compared with PortOne's, and added up.
    let sandbox = after(&["worker/batch-with-poison", "webhook/paid"]).await;
    let work = [
        Work::again("reconciler/hourly", 9_000),
        Work { events: vec![night_after(&sandbox).await], ..Work::again("reconciler/nightly", 500) },
        Work::again("reconciler/close", 500),
    ];
    lives("reconciler", &sandbox, &work).await;

    lives("notifier", &Sandbox::start(), &[Work::again("notifier/batch", INVOCATIONS)]).await;
}

/// Lambda tells a function without extensions nothing before it ends it, so there is nothing to be done when told: all that is durable is
/// durable before a function answers. What matters is that it does not linger, and leaves no half a line.
fn stops_at_once(function: &mut Function, what: &str) {
    let (status, took) = function.terminate();
    assert!(status.code() == Some(0) || status.signal() == Some(15), "{what}: {status}");
    assert!(took < Duration::from_secs(1), "{what}: it took {took:?}");
    let log = std::fs::read_to_string(&function.log).unwrap();
    assert!(log.is_empty() || log.ends_with('\n'), "{what}: {log}");
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{what}: {error}: {line:?}"));
    }
}

#[tokio::test]
async fn a_function_that_is_told_to_stop_stops_at_once() {
    let sandbox = Sandbox::start();
    for (name, asked) in FIRST_ASKED {
        let mut idle = Function::start(name, &sandbox).await;
        idle.invoke(event(asked)).await;
        stops_at_once(&mut idle, &format!("{name}, idle"));
        let mut asked_just_now = Function::start(name, &sandbox).await;
        asked_just_now.begin(event(asked));
        stops_at_once(&mut asked_just_now, &format!("{name}, asked just now"));
    }
}

#[tokio::test]
async fn a_worker_that_is_stopped_amid_its_charges_charges_nobody_twice_and_loses_nobody() {
    if banks_are_down() {
        println!("SKIPPED: a worker that is stopped amid its charges; banks are down in Seoul, and nothing is charged");
        return;
    }
    let sandbox = Sandbox::empty();
    let batch = sandbox.batches(1).await.remove(0);
    // Long enough to be stopped before the first answer, and not so long that the worker gives up first.
    sandbox.post("/api/portone/faults", &json!({ "hangMs": 4_000, "rules": [{ "behavior": "hang" }] })).await;
    let mut worker = Function::start("worker", &sandbox).await;
    worker.begin(batch.clone());
    sandbox.until_all_are_charged_for(10).await;
    stops_at_once(&mut worker, "amid its charges");

    // PortOne goes on, and nobody hears of it. The message comes again: first while the first worker's lease lasts, then after it.
    sandbox.until_approved(10).await;
    for leases_are_over in [false, true] {
        if leases_are_over {
            sandbox.end_leases().await;
        }
        let again = Function::start("worker", &sandbox).await.invoke(batch.clone()).await;
        assert_eq!(again, json!({ "batchItemFailures": [] }));
        let paid = sandbox.invoices().await.as_object().unwrap().values().filter(|status| *status == "paid").count();
        assert_eq!(paid, if leases_are_over { 10 } else { 0 });
    }
    assert_eq!(sandbox.approved_once_and_paid().await, 10);
}

/// The nightly pass over what happens today.
async fn night_after(sandbox: &Sandbox) -> Value {
    let mut night = event("reconciler/nightly");
    night["scheduledTime"] = sandbox.in_hours(24).await.into();
    night
}
