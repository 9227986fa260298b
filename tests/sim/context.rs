//! What every part of a simulated world shares: time, chance, weather, and the journal.

use super::kernel::{Kernel, TaskId, lock};
use billing_core::Timestamp;
use billing_flows::notify::SENDS_AT_ONCE;
use fastrand::Rng;
use jiff::SignedDuration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

/// How a charge travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journey {
    /// There and back.
    Smooth,
    /// It never arrives, and nobody can say so.
    NeverArrives,
    /// It hangs on its way for so many seconds, longer than anybody waits, and arrives.
    Stuck(i64),
    /// `PortOne` takes so many seconds to decide.
    Slow(i64),
    /// It is decided, and the answer is lost.
    AnswerLost,
    /// A proxy answers with a page instead; the charge goes no further.
    PageBefore,
    /// The same, and behind the proxy the charge goes on.
    PageAfter,
    /// `PortOne` calls the payment id used up.
    UsedUp,
    /// `PortOne` refuses the request as malformed.
    Refused,
    /// `PortOne` refuses our credentials.
    Unauthorized,
}

/// How likely what goes wrong is, in thousandths.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// A request to a table fails before it was done.
    pub store_before: u16,
    /// A request to a table is done, and its answer is lost.
    pub store_after: u16,
    /// A request to a table takes seconds.
    pub store_slow: u16,
    /// An index shows an old state.
    pub stale_index: u16,
    /// A message is not taken by a queue, or it is and the answer is lost.
    pub queue: u16,
    /// A message is delivered twice.
    pub queue_twice: u16,
    /// A charge does not go smoothly.
    pub journey: u16,
    /// A read from `PortOne` fails.
    pub ask: u16,
    /// A delivery of a webhook is lost; where chance has no part, only a webhook's first one.
    pub webhook_lost: u16,
    /// A webhook is never delivered.
    pub webhook_dead: u16,
    /// A webhook comes hours late.
    pub webhook_late: u16,
    /// A webhook is delivered twice.
    pub webhook_twice: u16,
    /// A forged webhook comes along.
    pub forged: u16,
    /// The mail service fails, before or after it sent.
    pub mail: u16,
    /// A stream batch is delivered again.
    pub stream_twice: u16,
    /// A function dies at some await point.
    pub crash: u16,
    /// A tick of the scheduler is lost.
    pub tick_lost: u16,
    /// A tick is delivered twice.
    pub tick_twice: u16,
    /// Somebody meddles with a subscription that a worker has just read.
    pub meddle: u16,
    /// A planner's or reconciler's pass runs out of time; where chance has no part, no planner's but one that a tick began.
    pub late: u16,
    /// `PortOne` cannot be reached at all.
    pub outage: bool,
    /// `PortOne` refuses our credentials.
    pub unauthorized: bool,
    /// No schedule fires.
    pub no_ticks: bool,
}

/// A line of the journal.
pub type Line = (Timestamp, TaskId, String);

/// Time, chance, weather and journal, shared by clones.
#[derive(Debug, Clone)]
pub struct Context {
    /// Time and tasks.
    pub kernel: Kernel,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rng: Mutex<Rng>,
    weather: Mutex<Weather>,
    journeys: Mutex<VecDeque<Journey>>,
    journal: Option<Mutex<Vec<Line>>>,
    disturbed: Mutex<BTreeMap<TaskId, u64>>,
    violations: Mutex<Vec<String>>,
    faults: Mutex<u64>,
    is_random: bool,
}

impl Context {
    /// A world's context. Without `is_random` nothing takes any time and nothing goes wrong that is not planned.
    pub fn new(now: Timestamp, seed: u64, is_random: bool, keeps_journal: bool) -> Self {
        let inner = Inner {
            rng: Mutex::new(Rng::with_seed(seed)),
            weather: Mutex::default(),
            journeys: Mutex::default(),
            journal: keeps_journal.then(Mutex::default),
            disturbed: Mutex::default(),
            violations: Mutex::default(),
            faults: Mutex::new(0),
            is_random,
        };
        Self { kernel: Kernel::new(now), inner: Arc::new(inner) }
    }

    /// The simulated moment.
    pub fn now(&self) -> Timestamp {
        self.kernel.now()
    }

    /// A moment a while from now.
    pub fn later(&self, wait: SignedDuration) -> Timestamp {
        self.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// A number from `0..n`.
    pub fn below(&self, n: u64) -> u64 {
        lock(&self.inner.rng).u64(0..n.max(1))
    }

    /// Whether chance has a part in it.
    pub fn is_random(&self) -> bool {
        self.inner.is_random
    }

    /// A number of milliseconds, log-like: mostly near `from`, seldom near `to`. Nothing where chance has no part.
    pub fn millis(&self, from: u64, to: u64) -> SignedDuration {
        if !self.inner.is_random {
            return SignedDuration::ZERO;
        }
        let spread = to.saturating_sub(from).max(1);
        let mut rng = lock(&self.inner.rng);
        let bound = rng.u64(1..=spread);
        let millis = from + rng.u64(0..bound);
        SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// Whether something of this likelihood (in thousandths) happens. It is counted as a fault if it does.
    pub fn strikes(&self, thousandths: u16) -> bool {
        let strikes = thousandths > 0 && lock(&self.inner.rng).u16(0..1000) < thousandths;
        if strikes {
            *lock(&self.inner.faults) += 1;
        }
        strikes
    }

    /// How many faults struck.
    pub fn faults(&self) -> u64 {
        *lock(&self.inner.faults)
    }

    /// The weather now.
    pub fn weather<T>(&self, read: impl FnOnce(&Weather) -> T) -> T {
        read(&lock(&self.inner.weather))
    }

    /// Changes the weather.
    pub fn turn(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut lock(&self.inner.weather));
    }

    /// Plans how the next charges travel.
    pub fn plan(&self, journeys: impl IntoIterator<Item = Journey>) {
        lock(&self.inner.journeys).extend(journeys);
    }

    /// How the charge that is being sent travels.
    pub fn journey(&self, is_resend: bool) -> Journey {
        let (unauthorized, outage, rate) = self.weather(|w| (w.unauthorized, w.outage, w.journey));
        if let Some(planned) = lock(&self.inner.journeys).pop_front() {
            return planned;
        }
        if outage {
            return if self.strikes(500) { Journey::PageBefore } else { Journey::NeverArrives };
        }
        if unauthorized {
            return Journey::Unauthorized;
        }
        if !self.strikes(rate) {
            return Journey::Smooth;
        }
        let seconds = i64::try_from(self.below(1_500)).unwrap_or(0);
        // The more is sent under a payment id, the sooner it is used up.
        if is_resend && self.below(2) == 0 {
            return Journey::UsedUp;
        }
        match self.below(10) {
            0 => Journey::NeverArrives,
            1 => Journey::Stuck(65 + seconds),
            2 => Journey::Slow(seconds),
            3 | 4 => Journey::AnswerLost,
            5 => Journey::PageBefore,
            6 | 7 => Journey::PageAfter,
            8 => Journey::UsedUp,
            _ => Journey::Refused,
        }
    }

    /// Notes that the task that runs was disturbed: one thing that it did may have to be done again.
    pub fn disturb(&self) {
        *lock(&self.inner.disturbed).entry(self.kernel.current()).or_default() += 1;
    }

    /// Notes that a task died: all that it had under way at once may have to be done again.
    pub fn disturb_dead(&self, task: TaskId) {
        *lock(&self.inner.disturbed).entry(task).or_default() += SENDS_AT_ONCE as u64;
    }

    /// How many things that a task did may have to be done again, at most.
    pub fn disturbances(&self, task: TaskId) -> u64 {
        lock(&self.inner.disturbed).get(&task).copied().unwrap_or_default()
    }

    /// Writes a line into the journal, if one is kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(journal) = &self.inner.journal {
            let line = (self.now(), self.kernel.current(), line());
            lock(journal).push(line);
        }
    }

    /// The journal.
    pub fn journal(&self) -> Vec<Line> {
        self.inner.journal.as_ref().map(|journal| lock(journal).clone()).unwrap_or_default()
    }

    /// Writes down that a promise was broken.
    pub fn violation(&self, what: String) {
        self.note(|| format!("VIOLATION: {what}"));
        lock(&self.inner.violations).push(what);
    }

    /// The promises that were broken.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.inner.violations).clone()
    }
}

/// A clock of one machine: off by a little, always the same.
#[derive(Debug, Clone)]
pub struct SkewedClock {
    /// The true time.
    pub kernel: Kernel,
    /// How far it is off.
    pub skew: SignedDuration,
}

impl billing_flows::ports::Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.kernel.now().checked_add(self.skew).unwrap_or(Timestamp::MAX)
    }
}
