//! The floor of processor time: what `bench/floor` takes, a function with nothing of its own, that asks for as much as a case does.

use crate::case::Case;
use crate::clock::micros;
use crate::results::{Floor, Results};
use crate::side::{MEMORY, Side, logs};
use crate::world::World;
use lambda_tests::function::{Function, Program};
use lambda_tests::sandbox::root;
use serde_json::{Value, json};
use std::fmt::Write;

/// What a case asks for, as `bench/floor` takes it.
fn asks(case: Case, environment: &[(String, String)]) -> Value {
    let of =
        |wanted: &str| &environment.iter().find(|(name, _)| name == wanted).unwrap_or_else(|| panic!("{wanted}")).1;
    let [reads, at_once, calls, writes] = case.asks();
    let url = format!("{}/payments/none", of("PORTONE_BASE_URL"));
    json!({
        "table": of("TABLE_INVOICES"), "url": url, "reads": reads, "atOnce": at_once, "calls": calls, "writes": writes,
    })
}

/// Rounds of so many invocations each, one more at the beginning than is told of, for it opens connections.
pub(crate) async fn measure(case: Case, rounds: usize, count: usize) -> Floor {
    let world = World::open().await;
    let bootstrap = root().join("target/floor/floor/bootstrap");
    let program = Program {
        name: "floor".to_owned(),
        command: vec![bootstrap.into()],
        environment: world.environment.clone(),
        memory: MEMORY,
        logs: logs(),
    };
    let mut function = Function::launch(&program).await;
    let event = asks(case, &world.environment);
    let mut processor_us = Vec::with_capacity(rounds);
    for number in 0..=rounds {
        let before = function.processor_time();
        for _ in 0..count {
            assert_eq!(function.timed(event.clone()).await.0, "done");
        }
        if number > 0 {
            processor_us.push(micros(function.processor_time().saturating_sub(before)));
        }
    }
    Floor { case, count, processor_us }
}

/// The floors beside what the functions of both sides take, in Markdown. Milliseconds of one are seconds of a thousand.
pub(crate) fn text(results: &Results) -> String {
    let mut text = "| 1,000 of | asks for: reads, calls, transactions | the packages alone, s | our function, s | Node, s | an eighth of Node, s |\n\
                    | --- | --- | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for case in Case::ALL {
        let of = |side| {
            let warm = results.warm(side, case, None).unwrap();
            warm.processor_ms(warm.steady())
        };
        let (floor, node, [reads, at_once, calls, writes]) =
            (results.floor(case).processor_ms(), of(Side::Node), case.asks());
        let (calls, writes) = (at_once * calls, at_once * writes);
        writeln!(
            text,
            "| {} | {reads}, {calls}, {writes} | {floor:.3} | {:.3} | {node:.3} | {:.3} |",
            case.name(),
            of(Side::Rust),
            node / 8.0
        )
        .unwrap();
    }
    text
}
