//! The model says what was measured, within 15 %.
#![expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "figures of the model")]

use scale::Stack;
use scale::measured::Measured;

/// As it was measured: one machine, tables without limits, no limit of mails.
fn stack(measured: &Measured) -> Stack {
    let (least, most) = measured.latency_ms;
    Stack {
        customers: f64::from(measured.customers),
        allowance: f64::from(measured.allowance),
        workers: f64::from(measured.workers),
        latency: (f64::from(least) / 1e3, f64::from(most) / 1e3),
        own: 0.05,
        planned: f64::from(measured.customers) / (measured.planned_ms as f64 / 1e3),
        mails: f64::INFINITY,
        table_writes: f64::INFINITY,
    }
}

fn differs_by(expected: f64, measured: f64) -> f64 {
    (expected / measured - 1.0).abs()
}

#[test]
fn the_time_to_the_last_charge_is_as_expected_from_a_thousand_customers_on() {
    let all: Vec<_> = Measured::all().into_iter().filter(|measured| measured.customers >= 1_000).collect();
    assert!(!all.is_empty(), "a thousand were lived through");
    for measured in all {
        let expected = stack(&measured).expected().charged;
        let took = measured.charged_ms as f64 / 1e3;
        assert!(differs_by(expected, took) < 0.15, "{}: {expected} s expected, {took} s taken", measured.customers);
    }
}

#[test]
fn requests_grow_as_the_customers_do() {
    let all = Measured::all();
    let largest = all.last().expect("one was measured");
    let each = largest.dynamodb_requests as f64 / f64::from(largest.customers);
    for measured in all.iter().filter(|measured| measured.customers >= 1_000) {
        let expected = each * f64::from(measured.customers);
        let requests = measured.dynamodb_requests as f64;
        assert!(differs_by(expected, requests) < 0.15, "{}: {expected} expected, {requests} made", measured.customers);
    }
}

#[test]
fn everybody_was_charged_once_and_no_second_held_more_than_was_allowed() {
    for measured in Measured::all() {
        assert_eq!(measured.approvals, u64::from(measured.customers));
        assert!(measured.most_in_a_second <= u64::from(measured.allowance), "{}", measured.customers);
    }
}
