//! A random month: a crowd, a climate, and a seed that decides everything.

use super::checks::{Tally, check};
use super::context::{Context, Line, Weather};
use super::people::{self, december};
use super::world::World;
use billing_core::Timestamp;
use billing_flows::fake::ROWS_PER_PAGE;
use jiff::SignedDuration;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Month {
    /// Decides everything.
    pub seed: u64,
    /// How many customers.
    pub customers: u64,
    /// Whether a journal is kept.
    pub keeps_journal: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The promises that were broken.
    pub violations: Vec<String>,
    /// What the month came to.
    pub tally: Tally,
    /// What happened, if a journal was kept.
    pub journal: Vec<Line>,
    /// How many faults struck.
    pub faults: u64,
    /// How many await points were passed.
    pub polls: u64,
    /// How long it lasted.
    pub simulated: SignedDuration,
}

/// In a quarter of all months listings tell so few rows to a page that a crowd takes many: the comparison then goes slice by slice.
const FEW_ROWS: usize = 4;

/// In another quarter no tick comes for days on end: so many hours at least, and so many more at most.
const SPELL: (u64, u64) = (48, 48);

/// Simulated months begin here.
const START: &str = "2026-11-29T00:00:00+09:00";

/// Faults stop here.
const CALM: &str = "2026-12-13T00:00:00+09:00";

/// Twelve days later everything must have come to an end: the longest ladder takes five, and what came last before may begin one.
const END: &str = "2026-12-25T00:00:00+09:00";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// Lives through a month.
pub fn live(month: Month) -> Outcome {
    let cx = Context::new(at(START), month.seed, true, month.keeps_journal);
    let worst = [300, 2_000, 20_000][usize::try_from(cx.below(3)).unwrap_or(0)];
    let skews: Vec<SignedDuration> = (0..4)
        .map(|_| {
            let millis = i64::try_from(cx.below(worst)).unwrap_or(0);
            SignedDuration::from_millis(if cx.below(2) == 0 { millis } else { -millis })
        })
        .collect();
    let rows_per_page = if month.seed % 4 == 1 { FEW_ROWS } else { ROWS_PER_PAGE };
    let world = World::new(&cx, &skews, rows_per_page);
    let crowd: Vec<_> = (0..month.customers).map(|number| people::random(&cx, number, december(), at(CALM))).collect();
    let owes = people::admit(&world, &crowd);
    let hours: Vec<i8> = (1..=23).collect();
    world.schedule_days(at(START), at(END), &hours);
    fronts(&world, spell(month.seed));
    cx.kernel.run_until(at(END));
    let tally = check(&world, &owes, at(END));
    let outcome = Outcome {
        violations: cx.violations(),
        tally,
        journal: cx.journal(),
        faults: cx.faults(),
        polls: cx.kernel.polls(),
        simulated: at(END).duration_since(at(START)),
    };
    cx.kernel.clear();
    outcome
}

/// From when until when no tick comes, whatever the weather, if so. It has a chance of its own, so that a month is otherwise as it was.
fn spell(seed: u64) -> Option<(Timestamp, Timestamp)> {
    if seed % 4 != 2 {
        return None;
    }
    let mut chance = fastrand::Rng::with_seed(seed);
    let hours = |hours: u64| SignedDuration::from_hours(i64::try_from(hours).unwrap_or(0));
    let length = SPELL.0 + chance.u64(0..=SPELL.1);
    let last = at(CALM).duration_since(at(START)).as_hours().unsigned_abs() - length;
    let from = at(START).checked_add(hours(chance.u64(0..last))).unwrap_or(at(START));
    Some((from, from.checked_add(hours(length)).unwrap_or(from)))
}

/// The weather changes every few hours, until it is calm for good.
fn fronts(world: &World, spell: Option<(Timestamp, Timestamp)>) {
    let cx = &world.cx;
    // Some seeds are mild, some wild.
    let climate = u16::try_from(1 + cx.below(4)).unwrap_or(1);
    let mut when = at(START);
    while when < at(CALM) {
        let is_in_spell = spell.is_some_and(|(from, until)| from <= when && when < until);
        let weather = front(cx, climate);
        let weather = Weather { no_ticks: weather.no_ticks || is_in_spell, ..weather };
        let blackout = cx.below(12) == 0;
        world.at(when, move |world| {
            world.cx.note(|| format!("the weather: {weather:?}"));
            world.cx.turn(|now| *now = weather);
            if blackout {
                world.blackout();
            }
        });
        let minutes = i64::try_from(20 + cx.below(1 + cx.below(20 * 60))).unwrap_or(60);
        when = when.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
    }
    for (moment, no_ticks) in spell.into_iter().flat_map(|(from, until)| [(from, true), (until, false)]) {
        world.at(moment, move |world| {
            world.cx.note(|| format!("no tick comes for days: {no_ticks}"));
            world.cx.turn(|now| now.no_ticks = no_ticks);
        });
    }
    world.at(at(CALM), |world| {
        world.cx.note(|| "the weather is calm for good".to_owned());
        world.cx.turn(|now| *now = Weather::default());
    });
}

fn front(cx: &Context, climate: u16) -> Weather {
    let some = |most: u16| {
        if cx.below(3) == 0 { 0 } else { u16::try_from(cx.below(u64::from(most * climate) + 1)).unwrap_or(0) }
    };
    Weather {
        store_before: some(25),
        store_after: some(25),
        store_slow: some(10),
        stale_index: some(80),
        queue: some(40),
        queue_twice: some(80),
        journey: some(80),
        ask: some(80),
        webhook_lost: some(120),
        webhook_dead: some(50),
        webhook_late: some(80),
        webhook_twice: some(80),
        forged: some(30),
        mail: some(40),
        stream_twice: some(40),
        meddle: some(2),
        crash: some(60),
        tick_lost: some(60),
        tick_twice: some(120),
        late: some(40),
        outage: cx.below(12) == 0,
        unauthorized: cx.below(30) == 0,
        no_ticks: cx.below(12) == 0,
    }
}
