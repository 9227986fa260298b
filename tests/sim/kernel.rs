//! Time and tasks: a discrete-event executor.
//!
//! Nothing here waits for real. A task that sleeps is woken when the clock, which jumps from event to event, gets there. Between any two
//! polls of a task it can be killed: its future is dropped, and what it had sent is sent.

use billing_core::Timestamp;
use jiff::SignedDuration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Tasks that come by all the time, and mostly find nothing to do.
const WATCHMEN: [&str; 2] = ["planner", "reconciler"];

/// A task's number; also the order in which tasks began.
pub type TaskId = u64;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Act = Box<dyn FnOnce() + Send>;

/// When a task dies, if it has not ended by then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doom {
    /// Before this poll, counted from 1.
    pub at_poll: Option<u64>,
    /// At this moment: the function's time limit.
    pub at: Option<Timestamp>,
}

struct Task {
    name: &'static str,
    work: Option<Work>,
    polls: u64,
    doom: Doom,
    on_death: Option<Act>,
}

enum What {
    Wake(Waker),
    Act(Act),
    Kill(TaskId),
}

struct Entry {
    at: i64,
    number: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Inner {
    now: i64,
    number: u64,
    entries: BinaryHeap<Reverse<Entry>>,
    tasks: BTreeMap<TaskId, Task>,
    current: Option<TaskId>,
    polls: u64,
    kill_at_poll: Option<u64>,
    watched_until: i64,
    killed: Option<(&'static str, TaskId)>,
}

/// The executor. Clones share it.
#[derive(Clone)]
pub struct Kernel {
    inner: Arc<Mutex<Inner>>,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel(at {})", self.now())
    }
}

struct Bell {
    task: TaskId,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.task) {
            ready.push_back(self.task);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

impl Kernel {
    /// A kernel whose clock stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        let inner = Inner {
            now: now.as_millisecond(),
            number: 0,
            entries: BinaryHeap::new(),
            tasks: BTreeMap::new(),
            current: None,
            polls: 0,
            kill_at_poll: None,
            watched_until: i64::MAX,
            killed: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)), ready: Arc::default() }
    }

    /// The simulated moment.
    pub fn now(&self) -> Timestamp {
        moment(lock(&self.inner).now)
    }

    /// Counts the polls of tasks that keep watch (planner, reconciler) only until a moment: most of them find nothing.
    pub fn watch_until(&self, until: Timestamp) {
        lock(&self.inner).watched_until = until.as_millisecond();
    }

    /// How many polls were made: each is an await point that something came back from, or began at.
    pub fn polls(&self) -> u64 {
        lock(&self.inner).polls
    }

    /// Kills whatever task would make the poll of this number, counted from 1.
    pub fn kill_at_poll(&self, number: u64) {
        lock(&self.inner).kill_at_poll = Some(number);
    }

    /// What [`Kernel::kill_at_poll`] hit.
    pub fn killed(&self) -> Option<(&'static str, TaskId)> {
        lock(&self.inner).killed
    }

    /// The task that is being polled.
    pub fn current(&self) -> TaskId {
        lock(&self.inner).current.unwrap_or_default()
    }

    /// Does something at a moment, or at once if that is past.
    pub fn at(&self, at: Timestamp, act: impl FnOnce() + Send + 'static) {
        self.enter(at.as_millisecond(), What::Act(Box::new(act)));
    }

    /// Does something a while from now.
    pub fn after(&self, wait: SignedDuration, act: impl FnOnce() + Send + 'static) {
        self.at(self.now().checked_add(wait).unwrap_or(Timestamp::MAX), act);
    }

    /// Waits. A zero wait is not one.
    pub async fn sleep(&self, wait: SignedDuration) {
        if wait.is_zero() {
            return;
        }
        let until = lock(&self.inner).now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let mut entered = false;
        poll_fn(|cx| {
            if !entered {
                entered = true;
                self.enter(until, What::Wake(cx.waker().clone()));
                return Poll::Pending;
            }
            if lock(&self.inner).now < until { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    fn enter(&self, at: i64, what: What) {
        let mut inner = lock(&self.inner);
        inner.number += 1;
        let entry = Entry { at: at.max(inner.now), number: inner.number, what };
        inner.entries.push(Reverse(entry));
    }

    /// Begins a task. `on_death` is called if it is killed.
    pub fn spawn(
        &self,
        name: &'static str,
        doom: Doom,
        work: impl Future<Output = ()> + Send + 'static,
        on_death: impl FnOnce() + Send + 'static,
    ) -> TaskId {
        let id = {
            let mut inner = lock(&self.inner);
            inner.number += 1;
            let id = inner.number;
            let task = Task { name, work: Some(Box::pin(work)), polls: 0, doom, on_death: Some(Box::new(on_death)) };
            inner.tasks.insert(id, task);
            id
        };
        if let Some(at) = doom.at {
            self.enter(at.as_millisecond(), What::Kill(id));
        }
        lock(&self.ready).push_back(id);
        id
    }

    /// The tasks that have not ended.
    pub fn tasks(&self) -> Vec<TaskId> {
        lock(&self.inner).tasks.keys().copied().collect()
    }

    /// Kills a task: drops it where it stands.
    pub fn kill(&self, id: TaskId) {
        let task = lock(&self.inner).tasks.remove(&id);
        if let Some(mut task) = task {
            drop(task.work.take());
            if let Some(on_death) = task.on_death.take() {
                on_death();
            }
        }
    }

    /// Forgets all that is still to come, and every task: the world has ended.
    pub fn clear(&self) {
        let (entries, tasks) = {
            let mut inner = lock(&self.inner);
            (std::mem::take(&mut inner.entries), std::mem::take(&mut inner.tasks))
        };
        drop((entries, tasks));
        lock(&self.ready).clear();
    }

    /// Lets everything happen that happens until a moment, and goes there.
    pub fn run_until(&self, until: Timestamp) {
        let until = until.as_millisecond();
        loop {
            while let Some(id) = { lock(&self.ready).pop_front() } {
                self.poll(id);
            }
            let what = {
                let mut inner = lock(&self.inner);
                if inner.entries.peek().is_none_or(|Reverse(next)| next.at > until) {
                    inner.now = inner.now.max(until);
                    return;
                }
                let Some(Reverse(entry)) = inner.entries.pop() else { return };
                inner.now = inner.now.max(entry.at);
                entry.what
            };
            match what {
                What::Wake(waker) => waker.wake(),
                What::Act(act) => act(),
                What::Kill(id) => self.kill(id),
            }
        }
    }

    fn poll(&self, id: TaskId) {
        let (mut work, dies) = {
            let mut inner = lock(&self.inner);
            let (kill_at, is_watched) = (inner.kill_at_poll, inner.now < inner.watched_until);
            let before = inner.polls;
            let Some(task) = inner.tasks.get_mut(&id) else { return };
            task.polls += 1;
            let counts = is_watched || !WATCHMEN.contains(&task.name);
            let polls = before + u64::from(counts);
            let hit = counts && kill_at == Some(polls);
            let dies = hit || task.doom.at_poll == Some(task.polls);
            let (work, name) = (task.work.take(), task.name);
            inner.polls = polls;
            if hit {
                inner.killed = Some((name, id));
            }
            inner.current = Some(id);
            (work, dies)
        };
        let Some(running) = &mut work else { return };
        if dies {
            drop(work);
            self.kill(id);
            lock(&self.inner).current = None;
            return;
        }
        let waker = Waker::from(Arc::new(Bell { task: id, ready: Arc::clone(&self.ready) }));
        let poll = running.as_mut().poll(&mut Context::from_waker(&waker));
        let mut inner = lock(&self.inner);
        inner.current = None;
        if poll.is_ready() {
            inner.tasks.remove(&id);
        } else if let Some(task) = inner.tasks.get_mut(&id) {
            task.work = work;
        }
    }
}
