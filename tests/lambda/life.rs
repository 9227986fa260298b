//! A function starts fast, runs on without growing, and stops when it is told to.

use lambda_tests::Host;
use lambda_tests::function::Function;
use lambda_tests::sandbox::{Sandbox, event};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// What is said to be no leak: a function of 128 MB that lives for hours has this to lose, and allocators keep some of what they are given
/// back.
const MAX_GROWTH_KIB: u64 = 1024;

/// How often a function is invoked before its memory is taken for settled, and in all.
const SETTLED: usize = 1_000;
const INVOCATIONS: usize = 10_000;

/// A cold start is printed, and held to what no machine that is merely busy exceeds.
const MAX_INIT: Duration = Duration::from_secs(5);

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

/// A function is invoked so often that a leak would show. The answers are those of events that change nothing more once they were worked on.
async fn invoke_often(asked: &str) {
    let (name, _) = asked.split_once('/').unwrap();
    let event = event(asked);
    let sandbox = Sandbox::start();
    let mut function = Function::start(name, &sandbox).await;
    let mut settled = 0;
    let mut expected = Value::Null;
    for number in 0..INVOCATIONS {
        let answer = function.invoke(event.clone()).await;
        if number == SETTLED {
            settled = function.memory().0;
            expected = answer;
        } else if number > SETTLED {
            assert_eq!(answer, expected, "{asked}, invocation {number}");
        }
    }
    let grown = function.memory().0;
    println!("{asked}: {settled} KiB after {SETTLED} invocations, {grown} KiB after {INVOCATIONS}");
    assert!(grown < settled + MAX_GROWTH_KIB, "{asked}: it grew from {settled} to {grown} KiB");
}

#[tokio::test]
async fn ten_thousand_invocations_leave_nothing_behind() {
    for asked in [
        "api/health",
        "webhook/forged",
        "webhook/billing-key-issued",
        "planner/tick",
        "worker/batch-with-poison",
        "reconciler/hourly",
        "notifier/batch",
    ] {
        invoke_often(asked).await;
    }
}

/// Lambda tells a function without extensions nothing before it ends it, so there is nothing to be done when told: all that is durable is
/// durable before a function answers. What matters is that it does not linger, and leaves no half a line.
#[tokio::test]
async fn a_function_that_is_told_to_stop_stops_at_once() {
    let sandbox = Sandbox::start();
    for (name, asked) in FIRST_ASKED {
        let mut idle = Function::start(name, &sandbox).await;
        idle.invoke(event(asked)).await;
        let busy = Function::start(name, &sandbox).await;
        busy.begin(event(asked));
        for (mut function, what) in [(idle, "idle"), (busy, "at work")] {
            let (status, took) = function.terminate();
            assert!(status.code() == Some(0) || status.signal() == Some(15), "{name}, {what}: {status}");
            assert!(took < Duration::from_secs(1), "{name}, {what}: it took {took:?}");
            let log = std::fs::read_to_string(&function.log).unwrap();
            assert!(log.is_empty() || log.ends_with('\n'), "{name}, {what}: {log}");
            for line in log.lines() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{name}, {what}: {error}: {line:?}"));
            }
        }
    }
}
