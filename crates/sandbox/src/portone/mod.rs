//! The `PortOne` V2 simulator.
//!
//! Its state is a fold of the changes in its journal, so that it comes back from the same file as it was. Nothing in it depends on
//! chance: ids, jitter and faults are derived from a seed and from what they are for.

mod auth;
mod behavior;
mod browser;
mod call;
mod cancel;
mod charge;
mod codes;
mod console;
mod declines;
mod delivery;
mod entities;
mod faults;
mod ids;
mod input;
mod keys;
mod ledger;
mod lists;
mod once;
mod outcome;
mod pg_rules;
mod refusal;
mod reply;
mod routes;
mod schedules;
mod state;
mod view;
mod webhooks;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::journal::Journal;

pub use self::behavior::{Behavior, Plain, REASONS, UnknownBehavior};
pub use self::entities::Method;
pub use self::faults::{FaultSettings, Operation, Rate, Rule};
pub use self::keys::{NewBillingKey, NewCustomer};
pub use self::ledger::{Approval, Ledger, Refund};

use self::ids::Seed;
use self::refusal::Refusal;
use self::state::{Change, Due, State};
use self::view::Store;
pub(crate) use self::webhooks::{key_of, sign};

/// How long a webhook's receiver may take to accept a connection, and then to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// What a simulator is made of.
#[derive(Debug, Clone)]
pub struct PortOneConfig {
    /// The only store.
    pub store_id: String,
    /// The V2 API secret.
    pub api_secret: String,
    /// What webhooks are signed with: `whsec_` and base64.
    pub webhook_secret: String,
    /// What ids, jitter and faults are derived from.
    pub seed: u64,
    /// Where the state is kept. `None`: in memory only.
    pub journal: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
}

/// The simulator. Clones are the same simulator.
#[derive(Debug, Clone)]
pub struct PortOne(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    api_secret: String,
    webhook_key: Vec<u8>,
    seed: Seed,
    clock: Clock,
    journal: Journal<Vec<Change>>,
    state: Mutex<State>,
    console_url: Mutex<Option<String>>,
    /// Idempotency keys of requests that are being worked on, with what they ask for.
    running: Mutex<HashMap<String, String>>,
    /// Webhooks that are being delivered.
    delivering: Mutex<HashSet<String>>,
    busy: AtomicUsize,
    changed: Notify,
    calls: Mutex<BTreeMap<String, u64>>,
    allowance: Mutex<Allowance>,
    http: reqwest::Client,
}

/// What of `chargesPerSecond` is used.
#[derive(Debug, Default)]
struct Allowance {
    /// When the charges of the last second were taken.
    taken: VecDeque<Timestamp>,
    /// How many charges were too many, since the start.
    refused: u64,
}

impl Allowance {
    /// Whether a charge that comes now is taken, if so many are within any second.
    fn takes(&mut self, within_a_second: u32, now: Timestamp) -> bool {
        while self.taken.front().is_some_and(|taken| now.duration_since(*taken) >= SignedDuration::from_secs(1)) {
            self.taken.pop_front();
        }
        let is_taken = self.taken.len() < usize::try_from(within_a_second).unwrap_or(usize::MAX);
        if is_taken {
            self.taken.push_back(now);
        } else {
            self.refused += 1;
        }
        is_taken
    }
}

/// Something that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(PortOne);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.fetch_sub(1, Ordering::SeqCst);
        self.0.notify();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PortOne {
    /// Opens a simulator, with the state that its journal holds.
    pub fn open(config: PortOneConfig) -> anyhow::Result<Self> {
        let PortOneConfig { store_id, api_secret, webhook_secret, seed, journal, clock } = config;
        let (journal, records) = Journal::open(journal.as_deref())?;
        let faults = FaultSettings { seed, ..FaultSettings::default() };
        let mut state = State::default();
        state.apply(Change::Faults(faults));
        for change in records.into_iter().flatten() {
            state.apply(change);
        }
        let seed = Seed(seed);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(WEBHOOK_TIMEOUT)
            .read_timeout(WEBHOOK_TIMEOUT)
            .timeout(WEBHOOK_TIMEOUT.saturating_mul(2))
            .build()?;
        let portone = Self(Arc::new(Inner {
            store: Store { merchant_id: format!("merchant-{}", seed.uuid(&["merchant", &store_id])), id: store_id },
            api_secret,
            webhook_key: webhooks::key_of(&webhook_secret)?,
            seed,
            clock,
            journal,
            state: Mutex::new(state),
            console_url: Mutex::default(),
            running: Mutex::default(),
            delivering: Mutex::default(),
            busy: AtomicUsize::new(0),
            changed: Notify::new(),
            calls: Mutex::default(),
            allowance: Mutex::default(),
            http,
        }));
        portone.fail_the_interrupted()?;
        Ok(portone)
    }

    /// The API, to be served at the root of a port.
    pub fn router(&self) -> axum::Router {
        routes::router(self.clone())
    }

    /// Sets the address of webhooks, as it is set in the console. It is not kept: set it at every start.
    pub fn set_webhook_url(&self, url: String) {
        *lock(&self.0.console_url) = Some(url);
        self.notify();
    }

    /// Replaces the settings of faults, and returns them.
    pub fn set_faults(&self, faults: FaultSettings) -> anyhow::Result<FaultSettings> {
        let mut state = self.lock();
        self.commit(&mut state, vec![Change::Faults(faults)])?;
        Ok(state.faults.clone())
    }

    /// Changes the settings of faults as a request to the control API asks, and returns them. The error says what is wrong with it.
    pub fn request_faults(&self, request: &Value) -> anyhow::Result<FaultSettings> {
        let mut state = self.lock();
        let initial = FaultSettings { seed: self.0.seed.0, ..FaultSettings::default() };
        let faults = state.faults.requested(&initial, request).map_err(anyhow::Error::msg)?;
        self.commit(&mut state, vec![Change::Faults(faults.clone())])?;
        Ok(faults)
    }

    /// The settings of faults in force.
    pub fn faults(&self) -> FaultSettings {
        self.lock().faults.clone()
    }

    /// All money that ever moved.
    pub fn ledger(&self) -> Ledger {
        self.lock().ledger.clone().in_order()
    }

    /// When each payment was last asked for: the arrival of its charge.
    pub fn charges_came_at(&self) -> Vec<Timestamp> {
        self.lock().payments.values().map(|payment| payment.requested_at).collect()
    }

    /// How many charges were answered with 429, for more came than `chargesPerSecond`, since the start.
    pub fn charges_refused(&self) -> u64 {
        lock(&self.0.allowance).refused
    }

    /// How often each operation was called since the start.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.0.calls).clone()
    }

    /// When the clock next has something to set off: the earliest, which may be in the past.
    pub fn next_due(&self) -> Option<Timestamp> {
        let state = self.lock();
        let delivering = lock(&self.0.delivering);
        let free = |due: &Due| !matches!(due, Due::Webhook(id) if delivering.contains(id));
        state.due.iter().find(|(_, due)| free(due)).map(|(at, _)| *at)
    }

    /// Whether nothing is under way and nothing is due.
    pub fn is_idle(&self) -> bool {
        self.0.busy.load(Ordering::SeqCst) == 0 && self.next_due().is_none_or(|due| due > self.now())
    }

    /// Told whenever there is new work, or some is finished. It may be told too often; one that was not waiting is told at once.
    pub fn changed(&self) -> &Notify {
        &self.0.changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn seed(&self) -> Seed {
        self.0.seed
    }

    fn console_url(&self) -> Option<String> {
        lock(&self.0.console_url).clone()
    }

    /// The time to the millisecond, which is all that answers show.
    fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    fn count(&self, operation: String) {
        let mut calls = lock(&self.0.calls);
        let count = calls.entry(operation).or_default();
        *count = count.saturating_add(1);
    }

    /// Makes changes so, together: in the journal first.
    fn commit(&self, state: &mut State, changes: Vec<Change>) -> Result<(), Refusal> {
        if changes.is_empty() {
            return Ok(());
        }
        self.0.journal.append(&changes)?;
        for change in changes {
            state.apply(change);
        }
        self.notify();
        Ok(())
    }

    /// Wakes all that wait, and the next that will.
    fn notify(&self) {
        self.0.changed.notify_waiters();
        self.0.changed.notify_one();
    }
}
