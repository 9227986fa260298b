//! What AWS does between the functions: fires schedules, hands queues and the stream to their functions, and knows when all has come to rest.

use crate::aws::message_id;
use crate::clock::Clock;
use crate::dynamodb::Dynamo;
use crate::journal::Journal;
use crate::lambda::{Function, Lambda};
use crate::portone::PortOne;
use crate::queue::{Message, Name, Queues};
use billing_core::calendar;
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;

/// Workers at once, if nothing else is said: the template's own maximum concurrency of the mapping.
pub const WORKERS: usize = 4;

/// Stream records a notifier gets at once: the batch size of its event source mapping.
const STREAM_BATCH: usize = 100;

/// How long the stream waits before it delivers again what the notifier gave back.
const STREAM_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// A stream record that is given back this often is put aside, as the mapping's on-failure destination would have it.
const MAX_STREAM_DELIVERIES: u32 = 100;

/// The schedules of the stack, in Seoul.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Schedule {
    /// `cron(0 10 * * ? *)`
    Plan,
    /// `cron(15 1-23 * * ? *)`
    Reconcile,
    /// `cron(40 2 * * ? *)`
    Compare,
    /// `cron(10 3 * * ? *)`
    Close,
}

impl Schedule {
    const ALL: [Self; 4] = [Self::Plan, Self::Reconcile, Self::Compare, Self::Close];

    /// The first moment after `after` at which it fires.
    fn next(self, after: Timestamp) -> Timestamp {
        let local = after.to_zoned(calendar::seoul());
        let (hours, minute) = match self {
            Self::Plan => (10..=10, 0),
            Self::Reconcile => (1..=23, 15),
            Self::Compare => (2..=2, 40),
            Self::Close => (3..=3, 10),
        };
        for date in [local.date(), local.date().saturating_add(jiff::Span::new().days(1))] {
            for hour in hours.clone() {
                let time = Time::constant(hour, minute, 0, 0);
                let at = date.to_datetime(time).to_zoned(calendar::seoul()).map(|zoned| zoned.timestamp());
                if let Some(at) = at.ok().filter(|at| *at > after) {
                    return at;
                }
            }
        }
        Timestamp::MAX
    }
}

/// What moves the stack.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    lambda: Lambda,
    portone: PortOne,
    queues: Queues,
    dynamo: Dynamo,
    changed: Arc<Notify>,
    workers: usize,
    bare: bool,
    journal: Journal<Mark>,
    /// Schedules have fired up to here.
    fired: Mutex<Timestamp>,
    stream: Mutex<Stream>,
    /// One at a time moves time or waits for rest.
    turn: AsyncMutex<()>,
}

/// Where the clock and the schedules stood.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Mark {
    now: Timestamp,
    lead: SignedDuration,
    fired: Timestamp,
}

/// What a killed process had lived through.
#[derive(Debug)]
pub struct Past {
    journal: Journal<Mark>,
    fired: Timestamp,
}

impl Past {
    /// Sets the clock as it was, and what the killed process has been dead for besides: time has not stood still meanwhile. To be done
    /// before anything looks at the clock.
    pub fn open(journal: Option<&Path>, clock: &Clock) -> anyhow::Result<Self> {
        let (journal, marks) = Journal::open(journal)?;
        let last: Option<&Mark> = marks.last();
        if let Some(mark) = last {
            clock.take_lead(mark.lead);
            clock.advance_to(mark.now);
        }
        let fired = last.map_or_else(|| clock.now(), |mark| mark.fired);
        Ok(Self { journal, fired })
    }
}

/// The batch of stream records that the notifier has not finished.
#[derive(Debug, Default)]
struct Stream {
    batch: Vec<Value>,
    deliveries: u32,
    again_at: Option<Timestamp>,
    busy: bool,
}

/// The parts that the engine moves.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The functions.
    pub lambda: Lambda,
    /// The simulator.
    pub portone: PortOne,
    /// The queues.
    pub queues: Queues,
    /// The database.
    pub dynamo: Dynamo,
    /// Told whenever a queue or the stream has something new.
    pub changed: Arc<Notify>,
    /// Workers at once.
    pub workers: usize,
    /// Whether only `PortOne` moves: the functions run elsewhere.
    pub bare: bool,
}

impl Engine {
    /// Puts the parts together; the schedules go on from where they were.
    pub fn new(parts: Parts, past: Past) -> Self {
        let Parts { clock, lambda, portone, queues, dynamo, changed, workers, bare } = parts;
        let Past { journal, fired } = past;
        let fired = Mutex::new(fired);
        let (stream, turn) = (Mutex::default(), AsyncMutex::new(()));
        Self(Arc::new(Inner {
            clock,
            lambda,
            portone,
            queues,
            dynamo,
            changed,
            workers,
            bare,
            journal,
            fired,
            stream,
            turn,
        }))
    }

    /// Moves time ahead to `target`; fires all that lies between, in order; answers when all that it set off has come to rest.
    pub async fn advance_to(&self, target: Timestamp, progress: impl Fn(Timestamp)) -> anyhow::Result<()> {
        let _turn = self.0.turn.lock().await;
        self.rest().await?;
        while let Some(next) = self.next_moment().filter(|next| *next <= target) {
            self.0.clock.advance_to(next);
            // Before anything is done at that time: a process that is killed meanwhile must not go on at an earlier one.
            self.mark(None)?;
            progress(next);
            self.fire(next).await?;
            self.rest().await?;
        }
        self.0.clock.advance_to(target);
        progress(target);
        self.mark(None)?;
        self.rest().await
    }

    /// Fires what has fallen due by the clock itself, and waits for rest.
    pub async fn tick(&self) -> anyhow::Result<()> {
        let _turn = self.0.turn.lock().await;
        while let Some(next) = self.next_moment().filter(|next| *next <= self.0.clock.now()) {
            self.fire(next).await?;
            self.rest().await?;
        }
        self.rest().await
    }

    /// Runs the planner now, and waits for rest.
    pub async fn plan_now(&self) -> anyhow::Result<Timestamp> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        self.invoke_schedule(Schedule::Plan, now).await?;
        self.rest().await?;
        Ok(now)
    }

    /// Runs all of the reconciler's tasks now, and waits for rest.
    pub async fn reconcile_now(&self) -> anyhow::Result<Timestamp> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        self.invoke_schedule(Schedule::Reconcile, now).await?;
        self.invoke_schedule(Schedule::Compare, now).await?;
        self.invoke_schedule(Schedule::Close, now).await?;
        self.rest().await?;
        Ok(now)
    }

    /// Waits for rest without moving time.
    pub async fn come_to_rest(&self) -> anyhow::Result<()> {
        let _turn = self.0.turn.lock().await;
        self.rest().await
    }

    /// Told whenever there may be something to do before the clock says so.
    pub async fn changed(&self) {
        tokio::select! {
            () = self.0.changed.notified() => {}
            () = self.0.portone.changed().notified() => {}
        }
    }

    fn next_moment(&self) -> Option<Timestamp> {
        if self.0.bare {
            return self.0.portone.next_due();
        }
        let fired = *self.0.fired.lock().unwrap_or_else(PoisonError::into_inner);
        let schedules = Schedule::ALL.iter().map(|schedule| schedule.next(fired)).min();
        let stream = self.stream().again_at;
        [schedules, self.0.portone.next_due(), self.0.queues.next_visible(), stream].into_iter().flatten().min()
    }

    /// Fires the schedules whose moment is `at`; everything else that waited for it moves by itself in [`Engine::rest`].
    async fn fire(&self, at: Timestamp) -> anyhow::Result<()> {
        if self.0.bare {
            return self.mark(Some(at));
        }
        let fired = *self.0.fired.lock().unwrap_or_else(PoisonError::into_inner);
        for schedule in Schedule::ALL.into_iter().filter(|schedule| schedule.next(fired) <= at) {
            self.invoke_schedule(schedule, schedule.next(fired)).await?;
        }
        self.mark(Some(at))
    }

    fn mark(&self, fired: Option<Timestamp>) -> anyhow::Result<()> {
        let mut last = self.0.fired.lock().unwrap_or_else(PoisonError::into_inner);
        *last = fired.unwrap_or(*last).max(*last);
        self.0.journal.append(&Mark { now: self.0.clock.now(), lead: self.0.clock.lead(), fired: *last })
    }

    /// EventBridge Scheduler delivers again what failed; here twice more, at once.
    async fn invoke_schedule(&self, schedule: Schedule, at: Timestamp) -> anyhow::Result<()> {
        let (function, input) = match schedule {
            Schedule::Plan => (Function::Planner, json!({ "scheduledTime": at })),
            Schedule::Reconcile => (Function::Reconciler, json!({ "task": "hourly", "scheduledTime": at })),
            Schedule::Compare => (Function::Reconciler, json!({ "task": "nightly", "scheduledTime": at })),
            Schedule::Close => (Function::Reconciler, json!({ "task": "close", "scheduledTime": at })),
        };
        for left in (0..3).rev() {
            match self.0.lambda.invoke(function, input.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => tracing::warn!(%error, ?schedule, left, "a scheduled function failed"),
            }
        }
        Ok(())
    }

    /// Hands queues, stream and webhooks on until nothing is left that can move now.
    async fn rest(&self) -> anyhow::Result<()> {
        let mut busy = JoinSet::new();
        let (mut workers, mut plans, mut portone) = (0_usize, 0_usize, 0_usize);
        loop {
            while workers < self.0.workers
                && let Some(batch) = self.take(Name::Collect, charger::worker::BATCH)
            {
                workers += 1;
                let engine = self.clone();
                busy.spawn(async move { engine.hand_over(Function::Worker, batch).await.map(|()| Kind::Worker) });
            }
            while plans < 1
                && let Some(batch) = self.take(Name::Plan, 1)
            {
                plans += 1;
                let engine = self.clone();
                busy.spawn(async move { engine.hand_over(Function::Planner, batch).await.map(|()| Kind::Plan) });
            }
            if self.stream_is_ready() {
                let engine = self.clone();
                busy.spawn(async move { engine.notify().await.map(|()| Kind::Stream) });
            }
            if portone == 0 && self.0.portone.next_due().is_some_and(|due| due <= self.0.clock.now()) {
                portone += 1;
                let engine = self.clone();
                busy.spawn(async move {
                    engine.0.portone.fire_due().await;
                    Ok(Kind::PortOne)
                });
            }
            if busy.is_empty() && self.0.portone.is_idle() {
                return Ok(());
            }
            tokio::select! {
                Some(done) = busy.join_next() => match done?? {
                    Kind::Worker => workers -= 1,
                    Kind::Plan => plans -= 1,
                    Kind::Stream => {}
                    Kind::PortOne => portone -= 1,
                },
                () = self.changed() => {}
                // A notification may fall between looking and waiting; looking again soon is all it costs.
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
            }
        }
    }

    fn take(&self, queue: Name, max: usize) -> Option<Vec<Message>> {
        if self.0.bare {
            return None;
        }
        let batch = self.0.queues.receive(queue, max);
        (!batch.is_empty()).then_some(batch)
    }

    /// A batch of SQS messages: what is not reported as failed is deleted.
    async fn hand_over(&self, function: Function, batch: Vec<Message>) -> anyhow::Result<()> {
        let records: Vec<Value> = batch.iter().map(sqs_record).collect();
        let answer = self.0.lambda.invoke(function, json!({ "Records": records })).await;
        let failed = match &answer {
            Ok(answer) => failures(answer),
            Err(error) => {
                tracing::warn!(%error, "a batch failed whole");
                batch.iter().map(|message| message_id(message.id)).collect()
            }
        };
        for message in batch {
            if failed.contains(&message_id(message.id)) {
                self.0.queues.give_back(&message)?;
            } else {
                self.0.queues.delete(message.id)?;
            }
        }
        Ok(())
    }

    fn stream(&self) -> std::sync::MutexGuard<'_, Stream> {
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn at the stream if there is something to deliver: one batch at a time, in order.
    fn stream_is_ready(&self) -> bool {
        let mut stream = self.stream();
        if self.0.bare || stream.busy || stream.again_at.is_some_and(|at| at > self.0.clock.now()) {
            return false;
        }
        if stream.batch.is_empty() {
            stream.batch = self.0.dynamo.take_records(STREAM_BATCH);
            stream.deliveries = 0;
        }
        stream.busy = !stream.batch.is_empty();
        stream.busy
    }

    /// A batch of stream records: from the first that is reported as failed, all are delivered again.
    async fn notify(&self) -> anyhow::Result<()> {
        let batch = self.stream().batch.clone();
        let answer = self.0.lambda.invoke(Function::Notifier, json!({ "Records": batch })).await;
        let first_failed = match &answer {
            Ok(answer) => {
                let failed = failures(answer);
                batch.iter().position(|record| failed.iter().any(|id| record["dynamodb"]["SequenceNumber"] == **id))
            }
            Err(error) => {
                tracing::warn!(%error, "a stream batch failed whole");
                Some(0)
            }
        };
        let mut stream = self.stream();
        stream.busy = false;
        stream.again_at = None;
        stream.batch.drain(..first_failed.unwrap_or(batch.len()));
        if first_failed.is_some() {
            stream.deliveries += 1;
            if stream.deliveries >= MAX_STREAM_DELIVERIES {
                tracing::error!("a stream record was given back {MAX_STREAM_DELIVERIES} times and is put aside");
                stream.batch.drain(..1);
                stream.deliveries = 0;
            } else {
                stream.again_at = Some(self.0.clock.now().checked_add(STREAM_RETRY)?);
            }
        }
        Ok(())
    }
}

enum Kind {
    Worker,
    Plan,
    Stream,
    PortOne,
}

fn sqs_record(message: &Message) -> Value {
    json!({
        "messageId": message_id(message.id),
        "receiptHandle": message.id.to_string(),
        "body": message.body,
        "attributes": { "ApproximateReceiveCount": message.deliveries.to_string() },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:ap-northeast-2:000000000000:sandbox",
        "awsRegion": "ap-northeast-2"
    })
}

fn failures(answer: &Value) -> Vec<String> {
    let items = answer["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item["itemIdentifier"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_opened_again_is_where_it_would_be_had_it_never_stopped() {
        let path = std::env::temp_dir().join(format!("sandbox-past-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let clock = Clock::real();
        clock.advance_to(clock.now() + SignedDuration::from_hours(24));
        let fired = clock.now();
        let past = Past::open(Some(&path), &clock).unwrap();
        past.journal.append(&Mark { now: clock.now(), lead: clock.lead(), fired }).unwrap();
        drop(past);
        let again = Clock::real();
        assert_eq!(Past::open(Some(&path), &again).unwrap().fired, fired);
        let never_stopped = clock.now();
        assert!(again.now() >= never_stopped);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_planner_runs_at_ten_every_day_in_seoul_and_nothing_runs_while_banks_are_down() {
        let start: Timestamp = "2026-11-30T10:00:00+09:00".parse().unwrap();
        assert_eq!(Schedule::Plan.next(start), "2026-12-01T10:00:00+09:00".parse::<Timestamp>().unwrap());
        let mut at = start;
        for _ in 0..60 {
            at = Schedule::ALL.iter().map(|schedule| schedule.next(at)).min().unwrap();
            assert!(!calendar::banks_are_down(at), "{at}");
        }
    }
}
