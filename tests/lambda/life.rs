//! A function starts fast, runs on without growing, and stops when it is told to.

use crate::function::Function;
use crate::sandbox::{Sandbox, event};
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

#[tokio::test]
async fn a_cold_start_is_fast_and_small() {
    let sandbox = Sandbox::start();
    println!("{:<12} {:>10} {:>14} {:>10} {:>10}", "function", "init", "first answer", "second", "peak");
    for (name, asked) in [
        ("api", "api/health"),
        ("webhook", "webhook/billing-key-issued"),
        ("planner", "planner/tick"),
        ("worker", "worker/batch-with-poison"),
        ("reconciler", "reconciler/hourly"),
        ("notifier", "notifier/batch"),
    ] {
        let mut function = Function::start(name, &sandbox).await;
        let init = function.init;
        let (_, first) = function.timed(event(asked)).await;
        let (_, second) = function.timed(event(asked)).await;
        let (_, peak) = function.memory();
        println!("{name:<12} {init:>10.1?} {first:>14.1?} {second:>10.1?} {:>7} MB", peak / 1024);
        assert!(init < MAX_INIT, "{name} took {init:?} to start");
    }
}

/// Invokes the webhook so often that a leak would show; answers with the last answer's status.
#[expect(clippy::print_stdout, reason = "the figures are for the reader")]
async fn invoke_often(function: &mut Function, what: &str, event: &Value) -> Value {
    let mut settled = 0;
    let mut status = Value::Null;
    for number in 0..INVOCATIONS {
        if number == SETTLED {
            settled = function.memory().0;
        }
        status = function.invoke(event.clone()).await["statusCode"].clone();
    }
    let grown = function.memory().0;
    println!("{what}: {settled} KiB after {SETTLED} invocations, {grown} KiB after {INVOCATIONS}");
    assert!(grown < settled + MAX_GROWTH_KIB, "{what}: it grew from {settled} to {grown} KiB");
    status
}

#[tokio::test]
async fn ten_thousand_forged_webhooks_leave_nothing_behind() {
    let mut webhook = Function::start("webhook", &Sandbox::start()).await;
    assert_eq!(invoke_often(&mut webhook, "forged webhooks", &event("webhook/forged")).await, 401);
}

#[tokio::test]
async fn ten_thousand_webhooks_that_reach_the_tables_leave_nothing_behind() {
    let sandbox = Sandbox::start();
    let mut webhook = Function::start("webhook", &sandbox).await;
    let status = invoke_often(&mut webhook, "known webhooks", &event("webhook/billing-key-issued")).await;
    assert_eq!(status, 200);
}

/// Lambda tells a function without extensions nothing before it ends it, so there is nothing to be done when told: all that is durable is
/// durable before a function answers. What matters is that it does not linger, and leaves no half a line.
#[tokio::test]
async fn a_function_that_is_told_to_stop_stops_at_once() {
    let sandbox = Sandbox::start();
    let mut webhook = Function::start("webhook", &sandbox).await;
    webhook.invoke(event("webhook/forged")).await;
    let mut worker = Function::start("worker", &sandbox).await;
    worker.begin(event("worker/batch-with-poison"));
    for function in [&mut webhook, &mut worker] {
        let (status, took) = function.terminate();
        assert!(status.code() == Some(0) || status.signal() == Some(15), "{status}");
        assert!(took < Duration::from_secs(1), "it took {took:?}");
        let log = std::fs::read_to_string(&function.log).unwrap();
        assert!(log.is_empty() || log.ends_with('\n'), "{log}");
        for line in log.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        }
    }
}
