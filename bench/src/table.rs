//! The figures side by side: what is said of the raw ones.

use crate::case::Case;
use crate::prices::{COLD_SHARE, PerMillion, Prices};
use crate::results::{Cold, Results, Warm};
use crate::side::{Kind, MEMORY, Side};
use crate::statistics::{median, number, percentile};
use std::fmt::Write;

/// What Rust may need at most of what Node needs.
const COLD_GOAL: f64 = 1.0 / 5.0;
const MEMORY_GOAL: f64 = 1.0 / 4.0;
const PROCESSOR_GOAL: f64 = 1.0 / 8.0;
const SIZE_GOAL: f64 = 1.0;

/// What the start of a Rust function may take at most, in milliseconds.
const INIT_GOAL: f64 = 50.0;

/// One measure of both sides. Less is better, but for a rate.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured: a function, or a function with an event.
    pub(crate) of: &'static str,
    pub(crate) what: String,
    unit: &'static str,
    rust: f64,
    node: f64,
    pub(crate) goal: Option<f64>,
    is_rate: bool,
    /// Whether the plot has it.
    pub(crate) is_drawn: bool,
}

impl Row {
    /// What Rust needs of what Node needs; of a rate, the other way round, so that less is better.
    pub(crate) fn ratio(&self) -> f64 {
        if self.is_rate { self.node / self.rust } else { self.rust / self.node }
    }

    fn new(of: &'static str, what: impl Into<String>, unit: &'static str, sides: [f64; 2]) -> Self {
        let [rust, node] = sides;
        Self { of, what: what.into(), unit, rust, node, goal: None, is_rate: false, is_drawn: false }
    }

    fn goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), is_drawn: true, ..self }
    }

    fn drawn(self) -> Self {
        Self { is_drawn: true, ..self }
    }

    fn rate(self) -> Self {
        Self { is_rate: true, ..self }
    }
}

fn ms(us: u64) -> f64 {
    number(us) / 1e3
}

fn mb(kib: u64) -> f64 {
    number(kib) * 1024.0 / 1e6
}

/// The processor seconds of a thousand invocations.
fn seconds_per_thousand(warm: &Warm) -> f64 {
    number(warm.processor_us.iter().sum()) / 1e3 / number(warm.us().len() as u64)
}

/// The processor time of a start with its first answer.
fn processor_ms(cold: &Cold) -> f64 {
    number(cold.processor_us.iter().sum()) / 1e3 / number(cold.processor_us.len() as u64)
}

/// The rows of a function: its package, its starts, its memory.
fn of_function(results: &Results, kind: Kind, shares: &[u32], rows: &mut Vec<Row>) {
    let of = kind.name();
    let both = |figure: &dyn Fn(Side) -> f64| Side::BOTH.map(figure);
    let zip = both(&|side| number(results.package(side, kind).zip_bytes) / 1e3);
    rows.push(Row::new(of, "package, zipped", "KB", zip).goal(SIZE_GOAL));
    let loaded = both(&|side| number(results.package(side, kind).loaded_bytes) / 1e6);
    rows.push(Row::new(of, "the same unpacked, with its runtime", "MB", loaded));
    let cold = |share, figure: fn(&Cold) -> u64| both(&|side| ms(figure(results.cold(side, kind, share).unwrap())));
    rows.push(Row::new(of, "init, median", "ms", cold(None, |cold| median(&cold.init_us))));
    rows.push(Row::new(of, "first answer, median", "ms", cold(None, |cold| median(&cold.first_us))));
    let start: fn(&Cold) -> u64 = |cold| median(&cold.start_us());
    rows.push(Row::new(of, "cold start, median", "ms", cold(None, start)).goal(COLD_GOAL));
    rows.push(Row::new(of, "cold start, p95", "ms", cold(None, |cold| percentile(&cold.start_us(), 95))));
    for share in shares {
        if results.cold(Side::Rust, kind, Some(*share)).is_some() {
            let what = format!("cold start at the share of {share} MB, median");
            rows.push(Row::new(of, what, "ms", cold(Some(*share), start)).goal(COLD_GOAL));
        }
    }
    let processor = both(&|side| processor_ms(results.cold(side, kind, None).unwrap()));
    rows.push(Row::new(of, "processor time of a cold start, mean", "ms", processor).drawn());
    let peak = both(&|side| {
        let peaks = results.warm.iter().filter(|warm| warm.side == side && warm.case.kind() == kind);
        mb(peaks.map(|warm| warm.peak_kib).max().unwrap())
    });
    rows.push(Row::new(of, "peak memory", "MB", peak).goal(MEMORY_GOAL));
}

/// What a million invocations cost: warm, at the share of the memory they are paid for where that could be given, beside starts with a whole
/// processor, as Lambda gives it until a function asks for the first event.
fn cost(results: &Results, prices: &Prices, side: Side, case: Case, waiting: u32) -> PerMillion {
    let share = results.warm(side, case, Some(MEMORY)).map(|_| MEMORY);
    let warm = results.warm(side, case, share).unwrap();
    let init = median(&results.cold(side, case.kind(), None).unwrap().init_us);
    let first =
        results.cold(side, case.kind(), share).unwrap_or_else(|| results.cold(side, case.kind(), None).unwrap());
    prices.per_million(MEMORY, &warm.us(), waiting, init, median(&first.first_us))
}

/// The rows of a function with an event: its times, its processor time, its costs.
fn of_case(results: &Results, prices: &Prices, case: Case, rows: &mut Vec<Row>) {
    let of = case.name();
    let both = |figure: &dyn Fn(&Warm) -> f64| Side::BOTH.map(|side| figure(results.warm(side, case, None).unwrap()));
    rows.push(Row::new(of, "warm, p50", "ms", both(&|warm| ms(median(&warm.us())))).drawn());
    rows.push(Row::new(of, "warm, p99", "ms", both(&|warm| ms(percentile(&warm.us(), 99)))).drawn());
    if results.warm(Side::Rust, case, Some(MEMORY)).is_some() {
        let p50 = Side::BOTH.map(|side| ms(median(&results.warm(side, case, Some(MEMORY)).unwrap().us())));
        rows.push(Row::new(of, format!("warm at the share of {MEMORY} MB, p50"), "ms", p50).drawn());
    }
    let seconds = both(&seconds_per_thousand);
    rows.push(Row::new(of, "processor time of 1,000", "s", seconds).goal(PROCESSOR_GOAL));
    let mixed = Side::BOTH.map(|side| {
        let warm = seconds_per_thousand(results.warm(side, case, None).unwrap());
        // Milliseconds of one are seconds of a thousand.
        warm * (1.0 - COLD_SHARE) + processor_ms(results.cold(side, case.kind(), None).unwrap()) * COLD_SHARE
    });
    let what = format!("processor time of 1,000, {} of them cold", COLD_SHARE * 1000.0);
    rows.push(Row::new(of, what, "s", mixed));
    rows.push(
        Row::new(of, "invocations a second of a core, by that", "", seconds.map(|seconds| 1000.0 / seconds)).rate(),
    );
    let cost = |waiting| Side::BOTH.map(|side| cost(results, prices, side, case, waiting));
    let waiting = prices.waiting(case.waits());
    let here = cost(0).map(|cost| cost.total);
    rows.push(Row::new(of, "cost of a million, answers as fast as here", "$", here).drawn());
    if waiting > 0 {
        let there = cost(waiting).map(|cost| cost.total);
        rows.push(Row::new(of, format!("cost of a million, with {waiting} ms of waiting"), "$", there).drawn());
    }
    rows.push(Row::new(of, "of that, cold starts", "$", cost(waiting).map(|cost| cost.cold)));
}

/// All rows.
pub(crate) fn rows(results: &Results, prices: &Prices) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in Kind::BOTH {
        of_function(results, kind, &crate::compare::SHARES, &mut rows);
    }
    for case in Case::ALL {
        of_case(results, prices, case, &mut rows);
    }
    rows
}

/// A number with three digits that say something.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0..0.1 => format!("{value:.4}"),
        0.1..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A ratio as a part or a multiple.
pub(crate) fn part(ratio: f64) -> String {
    if ratio < 1.0 { format!("1/{}", shown(1.0 / ratio)) } else { format!("{} times", shown(ratio)) }
}

/// The table, in Markdown.
pub(crate) fn text(results: &Results, prices: &Prices) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} cores, load {} before it; Linux {}, {}, Node {}; prices of {}\n\n",
        machine.processor, machine.cores, machine.load, machine.kernel, machine.rustc, machine.node, prices.as_of
    );
    let line = |text: &mut String, [of, what, rust, node, ratio, goal]: [&str; 6]| {
        writeln!(text, "| {of:<18} | {what:<47} | {rust:>9} | {node:>9} | {ratio:>10} | {goal:<16} |").unwrap();
    };
    line(&mut text, ["of", "what", "Rust", "Node", "Rust/Node", "goal"]);
    line(&mut text, ["---", "---", "---:", "---:", "---:", "---"]);
    for row in rows(results, prices) {
        let what = if row.unit.is_empty() { row.what.clone() } else { format!("{}, {}", row.what, row.unit) };
        let ratio = if row.is_rate { 1.0 / row.ratio() } else { row.ratio() };
        let goal = row.goal.map_or(String::new(), |goal| {
            let is_met = if row.ratio() <= goal { "met" } else { "**missed**" };
            let goal = if goal < 1.0 { format!("1/{:.0}", 1.0 / goal) } else { "less".to_owned() };
            format!("{goal}: {is_met}")
        });
        line(&mut text, [row.of, &what, &shown(row.rust), &shown(row.node), &part(ratio), &goal]);
    }
    text.push('\n');
    for kind in Kind::BOTH {
        let init = ms(median(&results.cold(Side::Rust, kind, None).unwrap().init_us));
        let is_met = if init < INIT_GOAL { "met" } else { "**missed**" };
        writeln!(text, "{}: init {} ms of at most {INIT_GOAL} ms: {is_met}", kind.name(), shown(init)).unwrap();
    }
    text
}
