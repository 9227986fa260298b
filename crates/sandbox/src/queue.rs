//! The queues, with what matters of SQS: at least once, a visibility timeout, a last delivery, a dead-letter queue.

use crate::clock::Clock;
use crate::journal::Journal;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A message that was not deleted is visible again after this long: six times the worker's timeout of 90 s, as AWS
/// asks for, and the second in which a batch is gathered.
pub const VISIBILITY: SignedDuration = SignedDuration::from_secs(541);

/// How often a message is delivered before it is kept aside.
pub const MAX_DELIVERIES: u32 = 5;

/// The queues of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Planner to worker.
    Collect,
    /// Planner to itself.
    Plan,
}

impl Name {
    /// The last part of its URL.
    pub fn key(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Plan => "plan",
        }
    }

    /// The queue of a URL.
    pub fn of_url(url: &str) -> Option<Self> {
        match url.rsplit('/').next() {
            Some("collect") => Some(Self::Collect),
            Some("plan") => Some(Self::Plan),
            _ => None,
        }
    }
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// Its body.
    pub body: String,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Sent {
        queue: Name,
        id: u64,
        body: String,
        #[serde(default = "at_once")]
        visible_at: Timestamp,
    },
    Deleted {
        id: u64,
    },
    Returned {
        id: u64,
        deliveries: u32,
        visible_at: Timestamp,
    },
    Dead {
        id: u64,
    },
}

#[derive(Debug, Clone)]
struct Waiting {
    body: String,
    deliveries: u32,
    visible_at: Timestamp,
    in_flight: bool,
    dead: bool,
}

/// The queues. Clones are the same queues.
#[derive(Debug, Clone)]
pub struct Queues(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    journal: Journal<Record>,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<Name, Line>,
    next_id: u64,
}

/// One queue. It may be a hundred thousand messages long, so nothing is searched for among them.
#[derive(Debug, Default)]
struct Line {
    messages: BTreeMap<u64, Waiting>,
    /// Those that can be received, now or later, by when.
    ready: BTreeSet<(Timestamp, u64)>,
    dead: usize,
}

impl Line {
    fn put(&mut self, id: u64, message: Waiting) {
        self.remove(id);
        if message.is_ready() {
            self.ready.insert((message.visible_at, id));
        }
        self.dead += usize::from(message.dead);
        self.messages.insert(id, message);
    }

    fn remove(&mut self, id: u64) -> Option<Waiting> {
        let message = self.messages.remove(&id)?;
        self.ready.remove(&(message.visible_at, id));
        self.dead -= usize::from(message.dead);
        Some(message)
    }

    /// Takes the first message into a hand, if it can be received now.
    fn take(&mut self, now: Timestamp) -> Option<Message> {
        let (_, id) = self.ready.first().copied().filter(|(visible_at, _)| *visible_at <= now)?;
        let message = self.remove(id)?;
        let message = Waiting { in_flight: true, deliveries: message.deliveries + 1, ..message };
        let taken = Message { id, body: message.body.clone(), deliveries: message.deliveries };
        self.put(id, message);
        Some(taken)
    }
}

impl State {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Sent { queue, id, body, visible_at } => {
                self.next_id = self.next_id.max(id + 1);
                let waiting = Waiting {
                    body: body.clone(),
                    deliveries: 0,
                    visible_at: *visible_at,
                    in_flight: false,
                    dead: false,
                };
                self.queues.entry(*queue).or_default().put(*id, waiting);
            }
            Record::Deleted { id } => {
                for line in self.queues.values_mut() {
                    line.remove(*id);
                }
            }
            Record::Returned { id, deliveries, visible_at } => self.change(*id, |message| Waiting {
                deliveries: *deliveries,
                visible_at: *visible_at,
                in_flight: false,
                ..message
            }),
            Record::Dead { id } => self.change(*id, |message| Waiting { dead: true, in_flight: false, ..message }),
        }
    }

    fn change(&mut self, id: u64, change: impl Fn(Waiting) -> Waiting) {
        for line in self.queues.values_mut() {
            if let Some(message) = line.remove(id) {
                line.put(id, change(message));
            }
        }
    }
}

impl Queues {
    /// Opens the queues. What a killed process had received and not deleted is visible again.
    pub fn open(journal: Option<&Path>, clock: Clock, changed: Arc<Notify>) -> anyhow::Result<Self> {
        let (journal, records) = Journal::open(journal)?;
        let mut state = State::default();
        for record in &records {
            state.apply(record);
        }
        Ok(Self(Arc::new(Inner { clock, journal, state: Mutex::new(state), changed })))
    }

    /// Sends a message that is visible after `delay`; answers with its id once it is kept.
    pub fn send(&self, queue: Name, body: String, delay: SignedDuration) -> anyhow::Result<u64> {
        let visible_at = if delay.is_zero() { at_once() } else { self.0.clock.now().checked_add(delay)? };
        let mut state = self.lock();
        let record = Record::Sent { queue, id: state.next_id, body, visible_at };
        let id = state.next_id;
        self.0.journal.append(&record)?;
        state.apply(&record);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(id)
    }

    /// How many messages were ever sent.
    pub fn sent(&self) -> u64 {
        self.lock().next_id
    }

    /// Receives up to `max` visible messages, those first that were visible first.
    pub fn receive(&self, queue: Name, max: usize) -> Vec<Message> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let line = state.queues.entry(queue).or_default();
        std::iter::from_fn(|| line.take(now)).take(max).collect()
    }

    /// Deletes a message that was worked on.
    pub fn delete(&self, id: u64) -> anyhow::Result<()> {
        self.write(&Record::Deleted { id })
    }

    /// Returns a message whose work failed: visible again later, or kept aside after its last delivery.
    pub fn give_back(&self, message: &Message) -> anyhow::Result<()> {
        if message.deliveries >= MAX_DELIVERIES {
            return self.write(&Record::Dead { id: message.id });
        }
        let visible_at = self.0.clock.now().checked_add(VISIBILITY)?;
        self.write(&Record::Returned { id: message.id, deliveries: message.deliveries, visible_at })
    }

    /// When the next message becomes visible that is not yet.
    pub fn next_visible(&self) -> Option<Timestamp> {
        let state = self.lock();
        let first = state.queues.values().filter_map(|line| line.ready.first());
        first.map(|(visible_at, _)| *visible_at).min()
    }

    /// Whether a message waits that can be received now.
    pub fn has_visible(&self) -> bool {
        self.next_visible().is_some_and(|at| at <= self.0.clock.now())
    }

    /// How many messages wait or are being worked on, and how many are kept aside.
    pub fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        let dead = state.queues.values().map(|line| line.dead).sum();
        (state.queues.values().map(|line| line.messages.len()).sum::<usize>() - dead, dead)
    }

    fn write(&self, record: &Record) -> anyhow::Result<()> {
        let mut state = self.lock();
        self.0.journal.append(record)?;
        state.apply(record);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_once() -> Timestamp {
    Timestamp::MIN
}

impl Waiting {
    fn is_ready(&self) -> bool {
        !self.in_flight && !self.dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues() -> (Queues, Clock) {
        let clock = Clock::frozen_at("2026-12-01T01:00:00Z".parse().unwrap());
        (Queues::open(None, clock.clone(), Arc::default()).unwrap(), clock)
    }

    #[test]
    fn a_message_is_in_one_hand_at_a_time_and_comes_back_after_the_timeout() {
        let (queues, clock) = queues();
        queues.send(Name::Collect, "one".into(), SignedDuration::ZERO).unwrap();
        let [message] = queues.receive(Name::Collect, 10).try_into().unwrap();
        assert!(queues.receive(Name::Collect, 10).is_empty());
        queues.give_back(&message).unwrap();
        assert!(queues.receive(Name::Collect, 10).is_empty());
        clock.advance_to(queues.next_visible().unwrap());
        assert_eq!(queues.receive(Name::Collect, 10)[0].deliveries, 2);
    }

    #[test]
    fn a_message_that_fails_again_and_again_is_kept_aside() {
        let (queues, clock) = queues();
        queues.send(Name::Plan, "poison".into(), SignedDuration::ZERO).unwrap();
        for _ in 0..MAX_DELIVERIES {
            let [message] = queues.receive(Name::Plan, 10).try_into().unwrap();
            queues.give_back(&message).unwrap();
            clock.advance_to(clock.now() + VISIBILITY);
        }
        assert!(queues.receive(Name::Plan, 10).is_empty());
        assert_eq!(queues.depth(), (0, 1));
    }

    #[test]
    fn a_message_that_was_sent_to_come_later_is_not_there_before() {
        let (queues, clock) = queues();
        queues.send(Name::Collect, "later".into(), SignedDuration::from_mins(4)).unwrap();
        assert!(queues.receive(Name::Collect, 10).is_empty());
        clock.advance_to("2026-12-01T01:04:00Z".parse().unwrap());
        assert_eq!(queues.receive(Name::Collect, 10)[0].deliveries, 1);
    }

    #[test]
    fn what_was_received_and_not_deleted_survives_the_process() {
        let path = std::env::temp_dir().join(format!("sandbox-queue-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let clock = Clock::frozen_at("2026-12-01T01:00:00Z".parse().unwrap());
        let queues = Queues::open(Some(&path), clock.clone(), Arc::default()).unwrap();
        queues.send(Name::Collect, "one".into(), SignedDuration::ZERO).unwrap();
        queues.send(Name::Collect, "two".into(), SignedDuration::ZERO).unwrap();
        queues.delete(queues.receive(Name::Collect, 1)[0].id).unwrap();
        queues.receive(Name::Collect, 1);
        drop(queues);
        let queues = Queues::open(Some(&path), clock, Arc::default()).unwrap();
        assert_eq!(queues.receive(Name::Collect, 10)[0].body, "two");
        std::fs::remove_file(path).unwrap();
    }
}
