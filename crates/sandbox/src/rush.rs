//! `sandbox rush`: a first of the month on which everybody is due at once, in real time, and how the stack stood up to it.
//!
//! All customers have a card on one channel. `PortOne` takes 300 ms to 2 s for each charge, as it does. Planner, workers, webhook function and
//! notifier run as deployed and at the same time. Either the workers are one process with many batches at once, and every charge goes through its
//! allowance: that shows what a pace can do. Or each is a process with one batch at a time and its own part of the allowance: so it is deployed.

use crate::clock::Clock;
use crate::customers::{self, CreateError, NewCustomers};
use crate::run::{Progress, START};
use crate::sent::Sent;
use crate::stack::{Options, Stack};
use crate::usage::Usage;
use anyhow::Context as _;
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use charger::worker::BATCH;
use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::json;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// How large a first of the month.
#[derive(Debug, Clone, Args)]
pub struct RushArgs {
    /// How many customers are due at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub customers: u32,
    /// How many charges a second the channel allows.
    #[arg(long, default_value_t = NonZeroU32::MIN.saturating_add(99))]
    pub allowance: NonZeroU32,
    /// How many workers run at once, each on a batch of messages. As many as keep the allowance busy, if it is not said.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub workers: Option<u32>,
    /// Has each worker be a process with a pace of its own, as deployed: the allowance, of which each has the same whole number, is theirs
    /// together.
    #[arg(long, requires = "workers")]
    pub per_worker: bool,
    /// Has `PortOne` take no more charges a second than this, and answer the others with 429: it allows less than was thought.
    #[arg(long)]
    pub limit: Option<NonZeroU32>,
    /// Writes everything that was measured to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// How long `PortOne` takes for a charge, from and to, in milliseconds.
const LATENCY_MS: (u32, u32) = (300, 2_000);

/// How many charges may arrive within a second at most, in percent of what may leave: `PortOne`'s simulator shares the processor with whoever
/// charges, and what is held up on its way for 50 ms arrives with those that left 50 ms later.
const ARRIVED_PERCENT: usize = 105;

/// How often the queue and the memory are looked at.
const EVERY: Duration = Duration::from_millis(500);

/// How long it is before looking again whether all has come to rest.
const BETWEEN: Duration = Duration::from_millis(5);

/// How many customers are made at once.
const MADE_AT_ONCE: u32 = 500;

/// One look.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Look {
    /// Since the planner's tick.
    ms: u64,
    /// Messages to workers that wait or are worked on.
    waiting: usize,
    /// Charges that came to `PortOne` so far.
    charges: u64,
    /// What the whole stack holds in memory.
    memory_kib: u64,
}

/// What a pass of the reconciler took.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pass {
    /// How long it ran.
    ms: u64,
    /// By how much it raised the most memory that was ever held.
    memory_kib: u64,
    /// Whether it found our books and `PortOne`'s the same.
    is_equal: bool,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rushed {
    customers: u32,
    allowance: u32,
    workers: u32,
    /// The most messages that each worker takes at once.
    batch: usize,
    /// The part of the allowance that each worker has, if each has a pace of its own.
    per_worker: Option<NonZeroU32>,
    latency_ms: (u32, u32),
    /// How many charges a second `PortOne` takes: fewer than the allowance, or all of them.
    limit: Option<NonZeroU32>,
    /// How many it would not take.
    refused: u64,
    /// The planner's own time, from its tick until it had handed everybody over.
    planned_ms: u64,
    /// From the tick until the last charge came to `PortOne`.
    charged_ms: u64,
    /// From the tick until nothing moved any more: webhooks taken, mails sent.
    rested_ms: u64,
    /// The most charges that came within one second, wherever it begins, but for those that `PortOne` would not take.
    most_in_a_second: usize,
    /// The most that were let go within one second, wherever it begins.
    most_sent_in_a_second: usize,
    /// The share of the allowance that was used from the first charge to the last, in percent; none if that is less than two seconds, or there is a limit.
    used_percent: Option<u64>,
    approvals: usize,
    mails: u64,
    dynamodb_requests: u64,
    portone_calls: u64,
    messages: u64,
    peak_memory_kib: u64,
    /// What the nightly comparison of the day took.
    compared: Pass,
    /// What closing the month took.
    closed: Pass,
    /// The memory before anybody was due, with the tables and `PortOne`'s simulator in it.
    memory_before_kib: u64,
    looks: Vec<Look>,
}

/// Lives through it, and prints what was measured. `false` if not everybody was charged exactly once.
#[expect(clippy::print_stdout, reason = "the figures are what the command is for")]
pub async fn rush(args: &RushArgs, sent: &Sent) -> anyhow::Result<bool> {
    let start: Timestamp = START.parse()?;
    anyhow::ensure!(
        args.limit.is_none_or(|limit| limit < args.allowance),
        "a limit is less than the allowance, or nobody meets it"
    );
    // The mean latency × the allowance is how many charges are under way; twice that, for a batch takes the time of its slowest.
    let busy = args.allowance.get().saturating_mul(LATENCY_MS.1) / 1_000;
    let batch = u32::try_from(BATCH)?;
    let workers = args.workers.unwrap_or_else(|| busy.div_ceil(batch) + 1);
    let per_worker = args.per_worker.then(|| part_of(args.allowance, workers)).transpose()?;
    let options = Options {
        clock: Clock::running_from(start),
        workers: usize::try_from(workers)?,
        workers_apart: args.per_worker,
        charges_per_second: Some(per_worker.unwrap_or(args.allowance)),
        is_rush: true,
        ..Options::default()
    };
    let stack = Box::pin(Stack::open(options)).await?;
    let bar = Progress::new();
    make(&stack, args.customers, &bar).await?;
    let rules = json!([{ "behavior": "slow", "rate": 1.0 }]);
    let faults = json!({ "slowMs": LATENCY_MS, "chargesPerSecond": args.limit, "rules": rules });
    stack.portone.request_faults(&faults)?;
    let month = Period::starting(calendar::date_at(start)).next();
    stack.engine.advance_to(month.due_at().checked_sub(SignedDuration::from_secs(1))?, |_| ()).await?;
    stack.clock.advance_to(month.due_at());
    let rushed = Rushed { per_worker, ..measure(&stack, args, workers, month, sent, &bar).await? };
    bar.finish();
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string(&rushed)?)?;
    }
    println!("{}", rushed.table());
    Ok(rushed.is_right())
}

/// What each of so many workers may send, if all may send so much.
fn part_of(allowance: NonZeroU32, workers: u32) -> anyhow::Result<NonZeroU32> {
    let part = NonZeroU32::new(allowance.get() / workers.max(1)).filter(|part| part.get() * workers == allowance.get());
    part.with_context(|| format!("an allowance of {allowance} cannot be divided among {workers} workers"))
}

async fn make(stack: &Stack, customers: u32, bar: &Progress) -> anyhow::Result<()> {
    let mut made = 0;
    while made < customers {
        let count = MADE_AT_ONCE.min(customers - made);
        let wish = NewCustomers {
            count: Some(count),
            seed: u64::from(made),
            pg_provider: Some("TOSSPAYMENTS".to_owned()),
            // Nobody's registration is measured here, and a webhook each would take as long as the charges.
            without_webhooks: true,
            ..NewCustomers::default()
        };
        customers::create(stack, &wish).await.map_err(|error| match error {
            CreateError::Wrong(message) => anyhow::anyhow!(message),
            CreateError::Broken(error) => error,
        })?;
        stack.engine.come_to_rest().await?;
        made += count;
        bar.show("enrolling", u64::from(made), u64::from(customers));
    }
    bar.line(&format!("{customers} customers enrolled"));
    Ok(())
}

async fn measure(
    stack: &Stack,
    args: &RushArgs,
    workers: u32,
    month: Period,
    sent: &Sent,
    bar: &Progress,
) -> anyhow::Result<Rushed> {
    let before = Usage::of(stack);
    let (memory_before_kib, _) = memory();
    let began = stack.clock.now();
    let since = |at: Timestamp| u64::try_from(at.duration_since(began).as_millis()).unwrap_or(0);
    let lambda = stack.lambda.clone();
    let clock = stack.clock.clone();
    // The workers begin while the planner still plans, as on AWS.
    let planning = tokio::spawn(async move {
        lambda.invoke(crate::lambda::Function::Planner, json!({ "scheduledTime": began })).await?;
        anyhow::Ok(clock.now())
    });
    let rest = async {
        while !planning.is_finished() || stack.queues.depth().0 > 0 {
            stack.engine.come_to_rest().await?;
            tokio::time::sleep(BETWEEN).await;
        }
        stack.engine.come_to_rest().await
    };
    let mut rest = Box::pin(rest);
    let mut every = tokio::time::interval(EVERY);
    let mut looks = Vec::new();
    loop {
        tokio::select! {
            done = &mut rest => { done?; break; }
            _ = every.tick() => {
                let charges = charges(&Usage::of(stack), &before);
                let (memory_kib, _) = memory();
                looks.push(Look { ms: since(stack.clock.now()), waiting: stack.queues.depth().0, charges, memory_kib });
                bar.show("charging", charges, u64::from(args.customers));
            }
        }
    }
    drop(rest);
    let rested_ms = since(stack.clock.now());
    let planned_ms = since(planning.await??);
    let mut came = stack.portone.charges_came_at();
    came.sort_unstable();
    let arrived: Vec<Duration> = came.iter().map(|at| Duration::from_millis(since(*at))).collect();
    let sent = sent.moments();
    let sent: Vec<Duration> =
        sent.iter().map(|at| sent.first().map_or(Duration::ZERO, |first| at.duration_since(*first))).collect();
    let (first, last) = (came.first().copied().unwrap_or(began), came.last().copied().unwrap_or(began));
    let allowed_ms = u64::from(args.customers) * 1_000 / u64::from(args.allowance.get());
    let took_ms = u64::try_from(last.duration_since(first).as_millis()).unwrap_or(0);
    let used = Usage::of(stack);
    let (_, peak_memory_kib) = memory();
    let night = began.checked_add(SignedDuration::from_hours(17))?;
    bar.show("comparing", 0, 1);
    let compared = pass(stack, json!({ "task": "nightly", "scheduledTime": night })).await?;
    let closed = pass(stack, json!({ "task": "close", "scheduledTime": night, "month": month.month_id() })).await?;
    Ok(Rushed {
        customers: args.customers,
        allowance: args.allowance.get(),
        workers,
        batch: BATCH,
        per_worker: None,
        latency_ms: LATENCY_MS,
        limit: args.limit,
        refused: stack.portone.charges_refused(),
        planned_ms,
        charged_ms: since(last),
        rested_ms,
        most_in_a_second: most_in_a_second(&arrived),
        most_sent_in_a_second: most_in_a_second(&sent),
        // Whoever was not taken comes again after minutes, and would be taken for time that was not used.
        used_percent: (took_ms >= 2_000 && args.limit.is_none()).then(|| allowed_ms * 100 / took_ms),
        approvals: stack.portone.ledger().approvals.len(),
        mails: used.mails - before.mails,
        dynamodb_requests: total(&used) - total(&before),
        portone_calls: used.calls.values().sum::<u64>() - before.calls.values().sum::<u64>(),
        messages: used.messages - before.messages,
        peak_memory_kib,
        compared,
        closed,
        memory_before_kib,
        looks,
    })
}

/// Has the reconciler do a task.
async fn pass(stack: &Stack, event: serde_json::Value) -> anyhow::Result<Pass> {
    let ((_, before), began) = (memory(), stack.clock.now());
    let answer = stack.lambda.invoke(crate::lambda::Function::Reconciler, event).await?;
    let ms = u64::try_from(stack.clock.now().duration_since(began).as_millis()).unwrap_or(0);
    let books = answer.pointer("/books/0/balanced").and_then(serde_json::Value::as_bool);
    let is_equal = books.unwrap_or_else(|| {
        answer.get("differences") == Some(&json!(0)) && answer.get("unfinished") == Some(&json!(false))
    });
    Ok(Pass { ms, memory_kib: memory().1.saturating_sub(before), is_equal })
}

fn charges(now: &Usage, before: &Usage) -> u64 {
    const CHARGE: &str = "POST /payments/{paymentId}/billing-key";
    now.calls_of(CHARGE) - before.calls_of(CHARGE)
}

fn total(usage: &Usage) -> u64 {
    // The sandbox's own looks are nobody's cost.
    usage.requests.iter().filter(|((app, _), _)| app != "console").map(|(_, count)| count).sum()
}

/// The most of these moments, in order, that lie within one second.
fn most_in_a_second(moments: &[Duration]) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, moment) in moments.iter().enumerate() {
        while moments.get(first).is_some_and(|from| moment.saturating_sub(*from) >= Duration::from_secs(1)) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// The memory that this process holds, and the most that it ever held, in KiB, where the system tells (Linux).
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    (of("VmRSS:"), of("VmHWM:"))
}

impl Rushed {
    fn is_right(&self) -> bool {
        let allowance = usize::try_from(self.allowance).unwrap_or(0);
        let is_limited =
            |limit: NonZeroU32| usize::try_from(limit.get()).is_ok_and(|limit| self.most_in_a_second <= limit);
        self.approvals == usize::try_from(self.customers).unwrap_or(0)
            && self.compared.is_equal
            && self.closed.is_equal
            && self.limit.is_none_or(is_limited)
            && (1..=allowance).contains(&self.most_sent_in_a_second)
            && self.most_in_a_second * 100 <= allowance * ARRIVED_PERCENT
    }

    fn table(&self) -> String {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
        let each = |count: u64| {
            let hundredths = count * 100 / u64::from(self.customers).max(1);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        };
        let passed = |pass: Pass| format!("{}, {} MB", seconds(pass.ms), pass.memory_kib / 1024);
        let deepest = self.looks.iter().map(|look| look.waiting).max().unwrap_or(0);
        let rows = [
            ("customers due at once", self.customers.to_string()),
            ("allowance of the channel, a second", self.allowance.to_string()),
            (
                "of which PortOne takes",
                self.limit.map_or_else(|| "all".to_owned(), |limit| format!("{limit}, and refused {}", self.refused)),
            ),
            ("workers", self.workers.to_string()),
            ("messages that each takes at once", self.batch.to_string()),
            (
                "of the allowance, each worker has",
                self.per_worker.map_or_else(|| "any part".to_owned(), |part| part.to_string()),
            ),
            ("everybody handed over after", seconds(self.planned_ms)),
            ("deepest queue", deepest.to_string()),
            ("last charge after", seconds(self.charged_ms)),
            ("all mails sent and webhooks taken after", seconds(self.rested_ms)),
            ("most charges let go within any second", self.most_sent_in_a_second.to_string()),
            ("most that came and were taken within any second", self.most_in_a_second.to_string()),
            (
                "of the allowance used",
                self.used_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
            ),
            ("approvals", self.approvals.to_string()),
            ("mails", self.mails.to_string()),
            ("PortOne calls for each", each(self.portone_calls)),
            ("DynamoDB requests for each", each(self.dynamodb_requests)),
            ("queue messages for each", each(self.messages)),
            (
                "memory of the whole stack, before and at most",
                format!("{} and {} MB", self.memory_before_kib / 1024, self.peak_memory_kib / 1024),
            ),
            ("the day compared in, with memory", passed(self.compared)),
            ("the month closed in, with memory", passed(self.closed)),
        ];
        rows.map(|(what, figure)| format!("{what:<48}{figure:>20}")).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_counted_wherever_it_begins() {
        assert_eq!(most_in_a_second(&[]), 0);
        assert_eq!(most_in_a_second(&[0, 900, 999, 1000, 1001, 5000].map(Duration::from_millis)), 4);
    }

    #[test]
    fn each_worker_has_a_whole_part_of_the_allowance() {
        let of =
            |allowance: u32, workers| part_of(NonZeroU32::new(allowance).unwrap(), workers).ok().map(NonZeroU32::get);
        assert_eq!((of(100, 20), of(100, 30), of(3, 4)), (Some(5), None, None));
    }
}
