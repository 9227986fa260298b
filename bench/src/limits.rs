//! What a charge and a webhook ask for, and what a batch waits for: the Rust functions against what is the least.

use crate::case::Case;
use crate::events::{BATCH, Event};
use crate::results::Machine;
use crate::side::{Kind, Side, program};
use crate::statistics::{median, number};
use crate::witness::{Seen, Witness};
use crate::world::World;
use crate::{clock, machine};
use billing_core::calendar;
use clap::Args;
use lambda_tests::function::Function;
use scale::page::{Table, written};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// How slow `PortOne` is made, in milliseconds.
const SLOW: (u64, u64) = (300, 2_000);

/// What a batch may take at most of what it cannot take less than.
const GOAL: f64 = 1.10;

/// The allowance that `template.yaml` gives a worker, in charges a second on each channel.
const ALLOWANCE: u32 = 10;

/// How much of an allowance is used: what `gateway/pace.rs` says.
const USED: f64 = 0.96;

/// How much is measured.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Batches of ten charges, and webhooks of each kind
    #[arg(long, default_value_t = 20)]
    batches: usize,
    /// Decides how slow each call to `PortOne` is
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures are written
    #[arg(long, default_value = "bench/results/limits.json")]
    results: PathBuf,
    /// The page that the tables are written into
    #[arg(long, default_value = "docs/PERFORMANCE.md")]
    page: PathBuf,
}

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
struct Limits {
    machine: Machine,
    counts: Vec<Counted>,
    /// How slow `PortOne` was made for the batches, from and to, and by which seed.
    slow_ms: (u64, u64),
    seed: u64,
    series: Vec<Series>,
}

/// Requests of a kind, or connections, of one part of the measurement.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    /// What a function was asked, how often.
    of: String,
    service: String,
    what: String,
    count: u64,
    /// How many there are to be: `docs/PERFORMANCE.md` derives them.
    expected: u64,
}

/// Batches with an allowance of so many charges a second, or with none.
#[derive(Debug, Serialize, Deserialize)]
struct Series {
    allowance: Option<u32>,
    batches: Vec<Timed>,
}

/// A batch, and what it could not take less than: its slowest call to `PortOne`, or with an allowance the latest end of any, each of which leaves at
/// its turn.
#[derive(Debug, Serialize, Deserialize)]
struct Timed {
    took_us: u64,
    least_us: u64,
}

impl Timed {
    fn ratio(&self) -> f64 {
        number(self.took_us) / number(self.least_us)
    }
}

impl Series {
    fn worst(&self) -> f64 {
        self.batches.iter().map(Timed::ratio).fold(0.0, f64::max)
    }
}

/// A kind of request to a service, and how many there are to be.
type Expected = (&'static str, &'static str, u64);

const DYNAMODB: &str = "DynamoDB";
const PORTONE: &str = "PortOne";
const AWS: &str = "other AWS";
const CONNECTIONS: &str = "new connections";

/// Every service that is watched.
const SERVICES: [&str; 3] = [DYNAMODB, PORTONE, AWS];

/// A function whose requests are seen.
struct Watched {
    world: World,
    function: Function,
    witnesses: [Witness; 3],
}

impl Watched {
    /// Starts one, paced if there is an allowance.
    async fn start(kind: Kind, allowance: Option<u32>) -> Self {
        let world = World::open().await;
        let mut witnesses = Vec::new();
        for told in ["dynamodb", "portone", "aws"] {
            witnesses.push(Witness::before(world.sandbox.told(told)).await);
        }
        let witnesses: [Witness; 3] = witnesses.try_into().unwrap();
        let mut environment = world.environment.clone();
        for (name, value) in &mut environment {
            match name.as_str() {
                "AWS_ENDPOINT_URL_DYNAMODB" => value.clone_from(&witnesses[0].url),
                "PORTONE_BASE_URL" => value.clone_from(&witnesses[1].url),
                "AWS_ENDPOINT_URL" => value.clone_from(&witnesses[2].url),
                _ => {}
            }
        }
        if let Some(allowance) = allowance {
            environment.push(("PORTONE_CHARGES_PER_SECOND".to_owned(), allowance.to_string()));
        }
        let function = Function::launch(&program(Side::Rust, kind, &environment, None)).await;
        Self { world, function, witnesses }
    }

    /// Has `PortOne` take so long for each call, or none.
    async fn slow(&self, ms: Option<(u64, u64)>, seed: u64) {
        let faults = match ms {
            Some(ms) => json!({ "seed": seed, "slowMs": ms, "rules": [{ "behavior": "slow" }] }),
            None => json!({ "rules": [] }),
        };
        self.world.sandbox.post("/api/portone/faults", &faults).await;
    }

    /// Has it open its connections, and forgets what it asked for. It needs as many as there are calls at the same time, which slow ones are.
    async fn warm(&mut self, case: Case) {
        // These are made before `PortOne` is slow: a charge that is slow is not one whose answer is lost.
        let events = self.world.events(case, 2).await;
        self.slow(Some((SLOW.0, SLOW.0)), 0).await;
        for Event { event, right } in events {
            let answer = self.function.timed(event).await.0;
            assert!(right.is(&answer), "{answer}");
        }
        self.slow(None, 0).await;
        for witness in &self.witnesses {
            witness.take();
            witness.take_opened();
        }
    }

    /// What was asked since this was asked last, beside what is expected.
    fn counted(&self, of: &str, expected: &[Expected], connections: Option<u64>) -> Vec<Counted> {
        let mut seen = BTreeMap::new();
        for (service, witness) in SERVICES.into_iter().zip(&self.witnesses) {
            for Seen { what, .. } in witness.take() {
                *seen.entry((service, what)).or_default() += 1;
            }
            let opened = witness.take_opened();
            if connections.is_some() {
                seen.insert((service, CONNECTIONS.to_owned()), opened);
            }
        }
        let none = SERVICES.map(|service| connections.map(|count| (service, CONNECTIONS, count)));
        let expected: Vec<Expected> = expected.iter().copied().chain(none.into_iter().flatten()).collect();
        beside(of, seen, &expected)
    }

    /// Has new customers charged. Answers with the time of each batch, and what it could not take less than.
    async fn batches(&mut self, count: usize, allowance: Option<u32>) -> Vec<Timed> {
        let mut times = Vec::new();
        for Event { event, right } in self.world.events(Case::Batch, count).await {
            let (answer, took) = self.function.timed(event).await;
            assert!(right.is(&answer), "{answer}");
            let mut calls = self.witnesses[1].take();
            calls.sort_by_key(|call| call.begun);
            let calls: Vec<Duration> = calls.iter().map(|call| call.took).collect();
            times.push(Timed { took_us: clock::micros(took), least_us: clock::micros(least(&calls, allowance)) });
        }
        times
    }
}

/// What a batch with these calls, in the order in which they left, cannot take less than: the first leaves at once, and each of the others at its turn.
fn least(calls: &[Duration], allowance: Option<u32>) -> Duration {
    let distance =
        allowance.map_or(Duration::ZERO, |allowance| Duration::from_secs_f64(1.0 / (f64::from(allowance) * USED)));
    let ends = (0_u32..).zip(calls).map(|(number, took)| distance * number + *took);
    ends.max().unwrap_or_default()
}

/// All that is expected and all that was seen, side by side.
fn beside(of: &str, seen: BTreeMap<(&'static str, String), u64>, expected: &[Expected]) -> Vec<Counted> {
    let mut all: BTreeMap<(&str, String), (u64, u64)> = BTreeMap::new();
    for (service, what, count) in expected {
        all.entry((service, (*what).to_owned())).or_default().1 += count;
    }
    for (key, count) in seen {
        all.entry(key).or_default().0 += count;
    }
    let counted = |((service, what), (count, expected)): ((&str, String), (u64, u64))| Counted {
        of: of.to_owned(),
        service: service.to_owned(),
        what,
        count,
        expected,
    };
    all.into_iter().map(counted).collect()
}

/// What opens connections, and reads each secret once.
fn start_of(kind: Kind) -> [Expected; 3] {
    let secrets = match kind {
        Kind::Worker => 1,
        Kind::Webhook => 2,
    };
    [(DYNAMODB, "GetItem", 1), (PORTONE, "HEAD /", 1), (AWS, "GetSecretValue", secrets)]
}

/// What the laws leave of so many events.
fn least_of(case: Case, count: u64) -> Vec<Expected> {
    let charges = count * BATCH as u64;
    match case {
        Case::Batch => vec![
            // The stop, and the subscriptions, of each batch.
            (DYNAMODB, "GetItem", count),
            (DYNAMODB, "BatchGetItem", count),
            // The intent, and the settlement.
            (DYNAMODB, "TransactWriteItems", 2 * charges),
            (PORTONE, "POST /payments/{paymentId}/billing-key", charges),
        ],
        // The invoice, and the subscription; the settlement; the payment.
        Case::Paid => vec![
            (DYNAMODB, "GetItem", 2 * count),
            (DYNAMODB, "TransactWriteItems", count),
            (PORTONE, "GET /payments/{paymentId}", count),
        ],
        Case::Known => vec![(DYNAMODB, "GetItem", count)],
        Case::Forged => Vec::new(),
    }
}

/// The requests of new functions, and of those that are warm, and the connections that the latter open.
async fn counts(batches: usize) -> Vec<Counted> {
    let count = batches as u64;
    let mut all = Vec::new();
    for kind in [Kind::Worker, Kind::Webhook] {
        let mut watched = Watched::start(kind, None).await;
        all.append(&mut watched.counted(&format!("a new {}", kind.name()), &start_of(kind), None));
        let cases: &[Case] = match kind {
            Kind::Worker => &[Case::Batch],
            Kind::Webhook => &[Case::Paid, Case::Known],
        };
        for case in cases {
            watched.warm(*case).await;
            for Event { event, right } in watched.world.events(*case, batches).await {
                let answer = watched.function.timed(event).await.0;
                assert!(right.is(&answer), "{answer}");
            }
            let of = match case {
                Case::Batch => format!("{} charges", batches * BATCH),
                _ => format!("{batches} webhooks, {}", if *case == Case::Paid { "news" } else { "known" }),
            };
            all.append(&mut watched.counted(&of, &least_of(*case, count), Some(0)));
        }
        watched.world.check().await;
    }
    all
}

/// The time of batches.
async fn time(batches: usize, seed: u64, allowance: Option<u32>) -> Series {
    let mut watched = Watched::start(Kind::Worker, allowance).await;
    watched.warm(Case::Batch).await;
    watched.slow(Some(SLOW), seed).await;
    let times = watched.batches(batches, allowance).await;
    watched.world.check().await;
    Series { allowance, batches: times }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

impl Limits {
    fn are_counts_met(&self) -> bool {
        self.counts.iter().all(|counted| counted.count == counted.expected)
    }

    fn are_met(&self) -> bool {
        self.are_counts_met() && self.series.iter().all(|series| series.worst() <= GOAL)
    }

    fn text(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{}, {} cores, load {} before it; Linux {}, {}\n\n",
            machine.processor, machine.cores, machine.load, machine.kernel, machine.rustc
        );
        let line = |text: &mut String, [of, service, what, count, expected]: [&str; 5]| {
            writeln!(text, "| {of:<22} | {service:<9} | {what:<38} | {count:>5} | {expected:>8} |").unwrap();
        };
        line(&mut text, ["of", "service", "request", "count", "expected"]);
        line(&mut text, ["---", "---", "---", "---:", "---:"]);
        for Counted { of, service, what, count, expected } in &self.counts {
            line(&mut text, [of, service, what, &count.to_string(), &expected.to_string()]);
        }
        writeln!(text, "\nAll as expected: {}\n", verdict(self.are_counts_met())).unwrap();
        let line = |text: &mut String, cells: [&str; 6]| {
            let [allowance, batches, took, least, more, worst] = cells;
            writeln!(text, "| {allowance:>9} | {batches:>7} | {took:>8} | {least:>9} | {more:>8} | {worst:>20} |")
                .unwrap();
        };
        line(&mut text, ["allowance", "batches", "took, ms", "least, ms", "more, ms", "worst, of its least"]);
        line(&mut text, ["---:"; 6]);
        for series in &self.series {
            let of = |figure: fn(&Timed) -> u64| series.batches.iter().map(figure).collect::<Vec<_>>();
            let more = of(|timed| timed.took_us.saturating_sub(timed.least_us));
            let (fewest, most) = (more.iter().min().unwrap() / 1_000, more.iter().max().unwrap() / 1_000);
            let worst = series.worst();
            line(
                &mut text,
                [
                    &series.allowance.map_or_else(|| "none".to_owned(), |allowance| format!("{allowance} / s")),
                    &series.batches.len().to_string(),
                    &(median(&of(|timed| timed.took_us)) / 1_000).to_string(),
                    &(median(&of(|timed| timed.least_us)) / 1_000).to_string(),
                    &format!("{fewest} to {most}"),
                    &format!("{worst:.3}: {}", verdict(worst <= GOAL)),
                ],
            );
        }
        text
    }
}

/// What the page says, where nothing was measured as well.
fn of_page(limits: Option<&Limits>) -> [Table; 1] {
    let text = limits.map_or_else(|| "Not measured yet.\n".to_owned(), Limits::text);
    [Table { name: "limits", text }]
}

/// Measures all, prints it and writes it to a file and into the page. Whether all goals are met.
pub(crate) async fn run(settings: &Settings) -> bool {
    let now = clock::now();
    if calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(10)) {
        println!("SKIPPED: the limits; banks are down in Seoul, or soon will be, and nothing is charged then");
        return true;
    }
    let limits = Limits {
        machine: machine::this(),
        counts: counts(settings.batches).await,
        slow_ms: SLOW,
        seed: settings.seed,
        series: vec![
            time(settings.batches, settings.seed, None).await,
            time(settings.batches, settings.seed, Some(ALLOWANCE)).await,
        ],
    };
    let tables = of_page(Some(&limits));
    println!("\n{}", tables[0].text);
    let file = &settings.results;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, serde_json::to_string(&limits).unwrap() + "\n").unwrap();
    let page = std::fs::read_to_string(&settings.page).unwrap();
    std::fs::write(&settings.page, written(&page, &tables).unwrap()).unwrap();
    limits.are_met()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_tests::sandbox::root;

    fn limits(count: u64, took_us: u64) -> Limits {
        let seen = BTreeMap::from([((DYNAMODB, "TransactWriteItems".to_owned()), count)]);
        Limits {
            machine: machine::this(),
            counts: beside("10 charges", seen, &[(DYNAMODB, "TransactWriteItems", 20)]),
            slow_ms: SLOW,
            seed: 1,
            series: vec![Series {
                allowance: None,
                batches: vec![Timed { took_us: 1_000, least_us: 1_000 }, Timed { took_us, least_us: 1_000 }],
            }],
        }
    }

    #[test]
    fn a_request_more_or_less_or_a_slow_batch_misses_the_goal() {
        assert!(limits(20, 1_100).are_met());
        assert!(!limits(21, 1_100).are_met());
        assert!(!limits(19, 1_100).are_met());
        assert!(!limits(20, 1_101).are_met());
    }

    #[test]
    fn what_nobody_expects_and_what_never_came_are_counted() {
        let seen = BTreeMap::from([((AWS, "GetSecretValue".to_owned()), 2)]);
        let counted = beside("a webhook", seen, &[(DYNAMODB, CONNECTIONS, 0), (DYNAMODB, "GetItem", 1)]);
        let all: Vec<_> =
            counted.iter().map(|counted| (counted.what.as_str(), counted.count, counted.expected)).collect();
        assert_eq!(all, [("GetItem", 0, 1), (CONNECTIONS, 0, 0), ("GetSecretValue", 2, 0)]);
    }

    #[test]
    fn an_allowance_has_a_batch_wait_for_the_turn_of_each_call() {
        let calls = [300, 2_000, 300, 1_900].map(Duration::from_millis);
        assert_eq!(least(&calls, None), Duration::from_secs(2));
        // Of 9.6 in a second the second leaves 104 ms after the first, and the fourth 312 ms after it.
        let paced = least(&calls, Some(10));
        assert!((2_212..2_213).contains(&paced.as_millis()), "{paced:?}");
    }

    #[test]
    fn the_page_has_the_committed_figures_or_says_that_there_are_none() {
        let text = std::fs::read_to_string(root().join("bench/results/limits.json")).ok();
        let limits: Option<Limits> = text.map(|text| serde_json::from_str(&text).unwrap());
        let page = std::fs::read_to_string(root().join("docs/PERFORMANCE.md")).unwrap();
        let now = written(&page, &of_page(limits.as_ref())).unwrap();
        assert!(page == now, "docs/PERFORMANCE.md is not what `make bench-limits` writes");
    }
}
