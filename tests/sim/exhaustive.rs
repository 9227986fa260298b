//! Small worlds, in which every crash point is tried with every fault.
//!
//! A world of one or two customers lives through twelve days in which nothing is left to chance and nothing takes any time, but a charge
//! that is told to. It is lived through once for each fault; then, for each await point that was passed, once more with whatever ran there
//! killed at that point. The bill falls due at 10:00:00, the planner comes 50 s later and the workers with it.
//!
//! What is crossed with what:
//!
//! - each of six scripts (how the charges go) with each journey of its first charge, and with each weather;
//! - each script with each deed: as the bill falls due, a millisecond after the workers came, and after 26 hours;
//! - each script with each deed 75 s after the bill fell due, where the first charge is being decided by then or hangs on its way; where
//!   its answer is lost, with those deeds that need money to have moved. A worker waits for its answer at that moment;
//! - each script with no tick for three days, and with a failure of each request to the tables: before it was done, and if it writes, after.
//!   Of the index of what is due none fails, and of the pages of the books those of one shard, for all are asked at once;
//! - each journey of a first charge with each of a second; journeys of what is wished (refunds, upgrades, payments on demand) with the
//!   wishes, and payments on demand also while the first charge is being decided.
//!
//! Functions that come by all the time (planner, reconciler) and mostly find nothing are killed on the first day only, but for four cases of
//! each script, in which they are killed wherever they stand, through all twelve days. No two of these faults meet but as said, and there is
//! one kill in each life: more at once is the business of the random months.

use super::checks::check;
use super::context::{Context, Journey, Weather};
use super::people::{Deed, Person, admit, december};
use super::portone::Verdict::{self, Approve, Hard, PendingThenFailed, PendingThenPaid, Soft};
use super::world::World;
use billing_core::Timestamp;
use billing_core::plan::PlanType;
use billing_flows::fake::{Fault, ROWS_PER_PAGE};
use jiff::SignedDuration;

/// A fault, and the world it strikes.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is tried, in words.
    pub name: String,
    verdicts: Vec<Verdict>,
    journeys: Vec<Journey>,
    deeds: Vec<(SignedDuration, Deed)>,
    weather: Weather,
    no_ticks_for: SignedDuration,
    store: Option<(usize, Fault)>,
    neighbour: bool,
    /// The errors of the functions' clocks, in seconds.
    skews: Vec<i64>,
    /// When the weather is calm for good.
    calm: &'static str,
    /// Whether planner and reconciler are killed wherever they stand, and not on the first day only.
    to_the_end: bool,
}

impl Case {
    fn new(name: String, verdicts: &[Verdict]) -> Self {
        Self {
            name,
            verdicts: verdicts.to_vec(),
            journeys: Vec::new(),
            deeds: Vec::new(),
            weather: Weather::default(),
            no_ticks_for: SignedDuration::ZERO,
            store: None,
            neighbour: false,
            skews: vec![0],
            calm: CALM,
            to_the_end: false,
        }
    }
}

/// What became of a case.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// How many await points it was killed at, one after the other.
    pub crash_points: u64,
    /// The promises that were broken: where it was killed, and what was broken there.
    pub broken: Vec<(Option<u64>, String)>,
}

const START: &str = "2026-12-01T09:59:00+09:00";
const CALM: &str = "2026-12-06T12:00:00+09:00";
const END: &str = "2026-12-13T12:00:00+09:00";

/// When the workers have come for what fell due and whatever takes no time is over, and a moment in which they wait for an answer that takes
/// its time.
const COLLECTED: SignedDuration = SignedDuration::from_millis(50_001);
const WAITING: SignedDuration = SignedDuration::from_secs(75);

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// Lives through a case, killed at an await point or not. Answers with how many await points were passed, which requests the tables got,
/// and what was broken.
fn live(case: &Case, kill_at: Option<u64>) -> (u64, Vec<bool>, Vec<String>) {
    let cx = Context::new(at(START), 7, false, false);
    if !case.to_the_end {
        cx.kernel.watch_until(at("2026-12-01T18:00:00+09:00"));
    }
    if let Some(number) = kill_at {
        cx.kernel.kill_at_poll(number);
    }
    let skews: Vec<SignedDuration> = case.skews.iter().map(|seconds| SignedDuration::from_secs(*seconds)).collect();
    let world = World::new(&cx, &skews, ROWS_PER_PAGE);
    let person = |number, verdicts: &[Verdict]| Person {
        number,
        plan: PlanType::Standard,
        seats: 3,
        paypal: false,
        first: december(),
        verdicts: verdicts.to_vec(),
        deeds: Vec::new(),
    };
    let mut people = vec![person(0, &case.verdicts)];
    if case.neighbour {
        people.push(person(1, &[Approve]));
    }
    if let Some(first) = people.first_mut() {
        let due = december().due_at();
        let at = |after: SignedDuration| due.checked_add(after).unwrap_or(due);
        first.deeds = case.deeds.iter().map(|(after, deed)| (at(*after), deed.clone())).collect();
    }
    let owes = admit(&world, &people);
    cx.plan(case.journeys.clone());
    let weather = case.weather.clone();
    cx.turn(move |now| *now = weather);
    if let Some((number, fault)) = case.store {
        world.tables.plan(number, fault);
    }
    world.schedule_days(at(START), at(END), &[11, 14, 17]);
    if !case.no_ticks_for.is_zero() {
        cx.turn(|now| now.no_ticks = true);
        let back = december().due_at().checked_add(case.no_ticks_for).unwrap_or(at(END));
        world.at(back, |world| world.cx.turn(|now| now.no_ticks = false));
    }
    world.at(at(case.calm), |world| world.cx.turn(|now| *now = Weather::default()));
    cx.kernel.run_until(at(END));
    check(&world, &owes, at(END));
    let (polls, requests, violations) = (cx.kernel.polls(), world.tables.requests(), cx.violations());
    cx.kernel.clear();
    (polls, requests, violations)
}

/// Tries a case at every crash point.
pub fn try_everywhere(case: &Case) -> Tried {
    let (polls, _, violations) = live(case, None);
    let mut tried = Tried { crash_points: polls, broken: violations.into_iter().map(|what| (None, what)).collect() };
    for number in 1..=polls {
        let (_, _, violations) = live(case, Some(number));
        tried.broken.extend(violations.into_iter().map(|what| (Some(number), what)));
    }
    tried
}

/// Every fault of the small worlds.
pub fn cases() -> Vec<Case> {
    let scripts: [(&str, Vec<Verdict>); 6] = [
        ("approved", vec![Approve]),
        ("declined, then approved", vec![Soft, Approve]),
        ("declined for ever", vec![Soft]),
        ("stolen", vec![Hard]),
        ("pending, then paid", vec![PendingThenPaid(5)]),
        ("pending, then declined, then approved", vec![PendingThenFailed(5), Approve]),
    ];
    let mut cases = Vec::new();
    for (script, verdicts) in &scripts {
        cases.extend(journeys().map(|journey| Case {
            journeys: vec![journey],
            neighbour: true,
            ..Case::new(format!("{script}; {journey:?}"), verdicts)
        }));
        cases.extend(deeds().into_iter().map(|(after, deed)| Case {
            deeds: vec![(after, deed.clone())],
            ..Case::new(format!("{script}; {deed:?} after {after:#}"), verdicts)
        }));
        cases.extend(deeds_under_way().map(|(journey, deed)| Case {
            journeys: vec![journey],
            deeds: vec![(WAITING, deed.clone())],
            ..Case::new(format!("{script}; {journey:?}; {deed:?} after {WAITING:#}"), verdicts)
        }));
        cases.extend(weathers().map(|(name, weather)| Case {
            weather,
            neighbour: true,
            ..Case::new(format!("{script}; {name}"), verdicts)
        }));
        cases.push(Case {
            weather: Weather { mail: 1_000, ..Weather::default() },
            // A mail is tried again every half minute.
            calm: "2026-12-01T10:06:00+09:00",
            ..Case::new(format!("{script}; no mail is sent, or its answer is lost, for minutes"), verdicts)
        });
        cases.push(Case {
            skews: vec![20, -20],
            neighbour: true,
            ..Case::new(format!("{script}; clocks are 40 s apart"), verdicts)
        });
        cases.extend(to_the_end(&Case::new((*script).to_owned(), verdicts)));
        cases.push(Case {
            no_ticks_for: SignedDuration::from_hours(75),
            ..Case::new(format!("{script}; no tick for three days"), verdicts)
        });
        cases.extend(store_faults(&Case::new((*script).to_owned(), verdicts)));
    }
    for first in journeys() {
        for second in journeys() {
            cases.push(Case {
                journeys: vec![first, second],
                ..Case::new(format!("approved; {first:?}, then {second:?}"), &[Approve])
            });
        }
    }
    cases.extend(refunds());
    cases.extend(changes());
    cases.extend(payments());
    cases
}

/// Some faults of a script in which whatever keeps watch is killed on all of the twelve days: retry mornings, hourly questions, nightly
/// comparisons, the closing of the books.
fn to_the_end(script: &Case) -> Vec<Case> {
    let case = |name: &str| Case { to_the_end: true, name: format!("{}; {name}", script.name), ..script.clone() };
    vec![
        case("killed to the end"),
        Case { journeys: vec![Journey::AnswerLost], ..case("the answer is lost, killed to the end") },
        Case { journeys: vec![Journey::Stuck(6_000)], ..case("stuck for 100 minutes, killed to the end") },
        Case {
            weather: Weather { webhook_dead: 1_000, ..Weather::default() },
            ..case("no webhook at all, killed to the end")
        },
    ]
}

/// The wishes that were fulfilled in these worlds meet every journey of the charge they lead to, and every failure of the tables.
fn changes() -> Vec<Case> {
    let after = SignedDuration::from_hours;
    let change = |seats, key| Deed::Change(PlanType::Standard, seats, key);
    let wishes: [(&str, Vec<(SignedDuration, Deed)>); 8] = [
        ("an upgrade", vec![(after(2), change(5, 1))]),
        ("an upgrade under one key twice at once", vec![(after(2), change(5, 1)), (after(2), change(5, 1))]),
        ("the same upgrade under two keys at once", vec![(after(2), change(5, 1)), (after(2), change(5, 2))]),
        ("two upgrades at once", vec![(after(2), change(5, 1)), (after(2), change(7, 2))]),
        ("an upgrade and its end at once", vec![(after(2), change(5, 1)), (after(2), Deed::CancelNow)]),
        (
            "an upgrade, and cancelled later and resumed",
            vec![(after(2), Deed::CancelLater), (after(2), change(5, 1)), (after(3), Deed::Resume)],
        ),
        ("less, and then more", vec![(after(2), change(1, 1)), (after(3), change(5, 2))]),
        ("changed as the bill falls due", vec![(after(0), change(5, 1)), (after(0), change(1, 2))]),
    ];
    let mut cases = Vec::new();
    for (name, deeds) in &wishes {
        cases.extend(journeys().map(|journey| Case {
            journeys: vec![Journey::Smooth, journey],
            deeds: deeds.clone(),
            ..Case::new(format!("{name}; {journey:?}"), &[Approve])
        }));
        for second in [Soft, Hard, PendingThenPaid(5), PendingThenFailed(5)] {
            cases.push(Case {
                deeds: deeds.clone(),
                ..Case::new(format!("{name}; {second:?}"), &[Approve, second, Approve])
            });
        }
    }
    let upgrade = Case { deeds: vec![(after(2), change(5, 1))], ..Case::new("an upgrade".to_owned(), &[Approve]) };
    cases.extend(store_faults(&upgrade));
    cases
}

/// What is owed is paid on demand: at the same moment as a worker collects it, while that worker waits for its answer, and once it was
/// declined.
fn payments() -> Vec<Case> {
    let moments: [(SignedDuration, Journey); 3] = [
        (SignedDuration::from_secs(50), Journey::Smooth),
        (WAITING, Journey::Slow(50)),
        (SignedDuration::from_hours(2), Journey::Smooth),
    ];
    let mut cases = Vec::new();
    for (at, first) in moments {
        let deeds = [
            vec![(at, Deed::Pay(1))],
            vec![(at, Deed::Pay(1)), (at, Deed::Pay(1))],
            vec![(at, Deed::Pay(1)), (at, Deed::Pay(2))],
        ];
        for deeds in deeds {
            cases.extend(journeys().map(|journey| Case {
                journeys: vec![first, journey],
                deeds: deeds.clone(),
                ..Case::new(format!("declined, then approved; {first:?}; {deeds:?}; {journey:?}"), &[Soft, Approve])
            }));
            for verdicts in [vec![Soft], vec![Soft, Hard], vec![Soft, PendingThenPaid(5)]] {
                cases.push(Case {
                    journeys: vec![first],
                    deeds: deeds.clone(),
                    ..Case::new(format!("{verdicts:?}; {first:?}; {deeds:?}"), &verdicts)
                });
            }
        }
    }
    cases
}

/// Paid, and then so much is wished to be given back, whose order travels so.
fn refunds() -> impl Iterator<Item = Case> {
    let deeds = [
        Deed::GiveBack(1, true),
        Deed::GiveBack(3, true),
        Deed::GiveBack(3, false),
        Deed::GiveBackTwice(3),
        Deed::GiveBackAtOnce(3),
    ];
    deeds.into_iter().flat_map(|deed| {
        journeys().map(move |journey| Case {
            journeys: vec![Journey::Smooth, journey],
            deeds: vec![(SignedDuration::from_hours(2), deed.clone())],
            ..Case::new(format!("approved; {deed:?}; {journey:?}"), &[Approve])
        })
    })
}

fn journeys() -> impl Iterator<Item = Journey> {
    [
        Journey::Smooth,
        Journey::NeverArrives,
        Journey::Stuck(600),
        Journey::Stuck(6_000),
        Journey::Slow(50),
        Journey::Slow(1_000),
        Journey::AnswerLost,
        Journey::PageBefore,
        Journey::PageAfter,
        Journey::UsedUp,
        Journey::Refused,
        Journey::Unauthorized,
    ]
    .into_iter()
}

fn every_deed() -> [Deed; 10] {
    [
        Deed::CancelNow,
        Deed::CancelLater,
        Deed::DeleteKey,
        Deed::NewKey(vec![Approve], true),
        Deed::NewKey(vec![Soft, Approve], false),
        Deed::Refund(1),
        Deed::Refund(3),
        Deed::Chargeback,
        Deed::OtherSum,
        Deed::Blackout,
    ]
}

fn needs_money(deed: &Deed) -> bool {
    matches!(deed, Deed::Refund(_) | Deed::Chargeback)
}

fn deeds() -> Vec<(SignedDuration, Deed)> {
    let moments = [SignedDuration::ZERO, COLLECTED, SignedDuration::from_hours(26)];
    let all = moments.into_iter().flat_map(|after| every_deed().map(|deed| (after, deed)));
    all.filter(|(after, deed)| !(after.is_zero() && needs_money(deed))).collect()
}

/// Deeds that fall into a worker's waiting for an answer, and how the charge travels meanwhile. Where nothing is decided yet, no money moved
/// that could be taken back; where the answer is lost, it did.
fn deeds_under_way() -> impl Iterator<Item = (Journey, Deed)> {
    let undecided = [Journey::Slow(50), Journey::Stuck(600)];
    let before = undecided.into_iter().flat_map(|journey| every_deed().map(|deed| (journey, deed)));
    let after = every_deed().map(|deed| (Journey::AnswerLost, deed));
    before.filter(|(_, deed)| !needs_money(deed)).chain(
        after
            .into_iter()
            .filter(|(_, deed)| needs_money(deed) || matches!(deed, Deed::CancelNow | Deed::OtherSum | Deed::Blackout)),
    )
}

fn weathers() -> impl Iterator<Item = (&'static str, Weather)> {
    let calm = Weather::default;
    [
        ("every webhook twice", Weather { webhook_twice: 1_000, ..calm() }),
        ("every webhook five hours late", Weather { webhook_late: 1_000, ..calm() }),
        ("no webhook at all", Weather { webhook_dead: 1_000, ..calm() }),
        ("a forged webhook with each", Weather { forged: 1_000, ..calm() }),
        ("every message twice", Weather { queue_twice: 1_000, ..calm() }),
        ("every tick twice, so two planners at once", Weather { tick_twice: 1_000, ..calm() }),
        ("every stream batch twice", Weather { stream_twice: 1_000, ..calm() }),
        ("PortOne is down for days", Weather { outage: true, ..calm() }),
        ("PortOne refuses our credentials for days", Weather { unauthorized: true, ..calm() }),
        ("the first delivery of each webhook is lost", Weather { webhook_lost: 1_000, ..calm() }),
        ("no queue takes anything for sure for days", Weather { queue: 1_000, ..calm() }),
        ("indexes show for days what they showed first", Weather { stale_index: 1_000, ..calm() }),
        ("no question is answered for days", Weather { ask: 1_000, ..calm() }),
        ("planner and reconciler run out of time at once", Weather { late: 1_000, ..calm() }),
        ("every request to a table takes two seconds", Weather { store_slow: 1_000, ..calm() }),
    ]
    .into_iter()
}

/// A fault of each request to the tables that a world makes: before it was done, and where that makes a difference, after.
fn store_faults(case: &Case) -> Vec<Case> {
    let (_, requests, _) = live(case, None);
    let numbers = (1..).zip(requests).flat_map(|(number, writes)| {
        let after = writes.then_some((number, Fault::After));
        [(number, Fault::Before)].into_iter().chain(after)
    });
    numbers
        .map(|(number, fault)| Case {
            store: Some((number, fault)),
            name: format!("{}; request {number} to the tables fails ({fault:?})", case.name),
            ..case.clone()
        })
        .collect()
}
