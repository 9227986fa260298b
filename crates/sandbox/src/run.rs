//! `sandbox run`: a thousand customers, a month of billing, the closed books.

use crate::books;
use crate::clock::Clock;
use crate::customers::{self, CreateError, NewCustomers};
use crate::stack::{Options, Stack};
use crate::usage::Usage;
use billing_core::Timestamp;
use billing_core::books::Column;
use billing_core::calendar::{self, Period};
use billing_core::id::UserId;
use billing_core::money::Currency;
use billing_core::subscription::Subscription;
use billing_flows::close::Closing;
use billing_flows::ports::{BookLine, Store};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// What to live through.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// How many customers are enrolled.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub customers: u32,
    /// How many months are lived through.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=24))]
    pub months: u32,
    /// Decides who fails how. The same seed gives the same books.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Nobody is declined and nothing breaks: for counting what a clean charge costs.
    #[arg(long)]
    pub clean: bool,
    /// Prints the books as JSON instead of as a table.
    #[arg(long)]
    pub json: bool,
}

/// Where a run begins: a week before a month of 31 days. Always the same, so that a seed tells all.
pub(crate) const START: &str = "2026-11-24T09:00:00+09:00";

/// What customers do in a realistic month. Shares of a Korean card base: most declines are soft and pass.
const CUSTOMERS: [(&str, f64); 9] = [
    ("decline:insufficient_funds:1", 0.030),
    ("decline:insufficient_funds:2", 0.012),
    ("decline:insufficient_funds", 0.015),
    ("decline:over_limit:1", 0.010),
    ("decline:expired_card", 0.008),
    ("decline:stolen_card", 0.002),
    ("key_deleted", 0.003),
    ("pending", 0.010),
    ("pending_then_fail", 0.002),
];

/// What the network and `PortOne` do in that month.
const FAULTS: [(&str, f64); 11] = [
    ("hang", 0.003),
    ("drop_after_success", 0.004),
    ("html_5xx", 0.004),
    ("html_5xx_after_success", 0.002),
    ("slow", 0.010),
    ("webhook_lost", 0.010),
    ("webhook_duplicated", 0.010),
    ("webhook_late", 0.010),
    ("webhook_before_answer", 0.005),
    ("webhook_bad_signature", 0.003),
    ("webhook_unknown_type", 0.005),
];

/// In a run the client gives up after this long, so that a hanging `PortOne` does not make the run wait a real minute.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_millis(800);

/// Lives through the months and prints the books. `false` if anything does not balance.
pub async fn run(args: &RunArgs) -> anyhow::Result<bool> {
    let began = now();
    let start: Timestamp = START.parse()?;
    let options =
        Options { seed: args.seed, clock: Clock::frozen_at(start), read_timeout: READ_TIMEOUT, ..Options::default() };
    let stack = Box::pin(Stack::open(options)).await?;
    let bar = Progress::new();

    enrol(&stack, args, &bar).await?;
    let enrolled = Usage::of(&stack);

    let first = Period::starting(calendar::date_at(start)).next();
    let mut periods = vec![first];
    while periods.len() < args.months as usize {
        periods.extend(periods.last().map(|period| period.next()));
    }
    let end = periods.last().map_or(first, |last| last.next()).due_at().checked_sub(SignedDuration::from_mins(1))?;
    let whole = end.duration_since(start).as_hours();
    let mut day = String::new();
    let shown = std::sync::Mutex::new(&mut day);
    stack
        .engine
        .advance_to(end, |at| {
            let done = at.duration_since(start).as_hours();
            let date = calendar::date_at(at).to_string();
            let mut last = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if **last != date {
                bar.show(&date, u64::try_from(done).unwrap_or(0), u64::try_from(whole).unwrap_or(1));
                **last = date;
            }
        })
        .await?;
    bar.finish();

    let lines = book_lines(&stack, &periods).await?;
    let subscriptions = subscriptions(&stack).await?;
    let wrong = books::audit(&lines, &subscriptions, &stack.portone.ledger(), end);
    let mut closings = Vec::new();
    for period in &periods {
        closings.push(stack.console.close(*period).await?);
    }
    let report = Report { args, stack: &stack, closings: &closings, lines: &lines, wrong: &wrong, enrolled };
    report.print(now().duration_since(began));
    Ok(report.is_balanced())
}

/// Enrols the customers, and switches on what breaks in their month.
pub(crate) async fn enrol(stack: &Stack, args: &RunArgs, bar: &Progress) -> anyhow::Result<()> {
    let mix = if args.clean { BTreeMap::new() } else { CUSTOMERS.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect() };
    let batches = args.customers.div_ceil(500);
    for batch in 0..batches {
        let count = 500.min(args.customers - batch * 500);
        let wish = NewCustomers {
            count: Some(count),
            mix: mix.clone(),
            seed: args.seed + u64::from(batch),
            ..Default::default()
        };
        customers::create(stack, &wish).await.map_err(|error| match error {
            CreateError::Wrong(message) => anyhow::anyhow!(message),
            CreateError::Broken(error) => error,
        })?;
        stack.engine.come_to_rest().await?;
        bar.show("enrolling", u64::from(batch + 1), u64::from(batches));
    }
    bar.line(&format!("{} customers enrolled", args.customers));
    if !args.clean {
        stack.portone.request_faults(&faults(args.seed))?;
    }
    Ok(())
}

fn faults(seed: u64) -> serde_json::Value {
    let hang = u64::try_from(READ_TIMEOUT.as_millis()).unwrap_or(u64::MAX).saturating_add(200);
    let rules: Vec<_> = FAULTS.iter().map(|(behavior, rate)| json!({ "behavior": behavior, "rate": rate })).collect();
    json!({ "seed": seed, "hangMs": hang, "slowMs": [50, 400], "rules": rules })
}

#[expect(clippy::disallowed_methods, reason = "the run reports how long it took")]
fn now() -> Instant {
    Instant::now()
}

async fn book_lines(stack: &Stack, periods: &[Period]) -> anyhow::Result<Vec<BookLine>> {
    let mut lines = Vec::new();
    for period in periods {
        lines.extend(stack.console.lines(*period, Timestamp::UNIX_EPOCH, Timestamp::MAX).await?.into_values());
    }
    Ok(lines)
}

async fn subscriptions(stack: &Stack) -> anyhow::Result<Vec<Subscription>> {
    let mut users = BTreeSet::new();
    let mut start = None;
    loop {
        let scan = stack.dynamodb.scan().table_name(&stack.tables.subscriptions).projection_expression("userId");
        let page = scan.set_exclusive_start_key(start).send().await?;
        users.extend(page.items().iter().filter_map(|row| row.get("userId")?.as_s().ok().cloned()));
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            break;
        }
    }
    let mut all = Vec::new();
    for user in users {
        // Nobody in a sandbox has more subscriptions than fit a page.
        all.extend(stack.console.store.subscriptions_of(&UserId::new(user)?, None).await?.items);
    }
    Ok(all)
}

struct Report<'a> {
    args: &'a RunArgs,
    stack: &'a Stack,
    closings: &'a [Closing],
    lines: &'a [BookLine],
    wrong: &'a [String],
    enrolled: Usage,
}

impl Report<'_> {
    #[expect(clippy::print_stdout, reason = "the report is what the command is for")]
    fn print(&self, took: Duration) {
        let text = if self.args.json { self.json(took).to_string() } else { self.table(took) };
        println!("{text}");
    }

    fn requests(&self) -> BTreeMap<String, u64> {
        let now = Usage::of(self.stack);
        let apps: BTreeSet<&String> = now.requests.keys().map(|(app, _)| app).collect();
        apps.into_iter().map(|app| (app.clone(), now.requests_of(app) - self.enrolled.requests_of(app))).collect()
    }

    fn calls(&self, operation: &str) -> u64 {
        Usage::of(self.stack).calls_of(operation) - self.enrolled.calls_of(operation)
    }

    fn mails(&self) -> u64 {
        Usage::of(self.stack).mails - self.enrolled.mails
    }

    fn attempts(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.attempts)).sum()
    }

    /// Per charge, in hundredths, by whole numbers.
    fn per_charge(&self, count: u64) -> String {
        let attempts = self.attempts().max(1);
        let hundredths = (count * 100 + attempts / 2) / attempts;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    fn portone_calls(&self) -> u64 {
        self.calls("POST /payments/{paymentId}/billing-key") + self.calls("GET /payments/{paymentId}")
    }

    fn charge_requests(&self) -> u64 {
        let requests = self.requests();
        ["planner", "worker", "webhook", "notifier"].iter().filter_map(|app| requests.get(*app)).sum()
    }

    fn json(&self, took: Duration) -> serde_json::Value {
        let due: u64 = self.closings.iter().map(|closing| closing.books.due()).sum();
        let mut report = json!({
            "customers": self.args.customers, "months": self.args.months, "seed": self.args.seed,
            "due": due, "recovered": self.closings.iter().map(|closing| closing.books.recovered).sum::<u64>(),
            "books": self.closings,
            "mails": self.mails(),
            "attempts": self.attempts(), "portoneCalls": self.portone_calls(),
            "dynamodbRequests": self.requests(),
            "balanced": self.is_balanced(), "wrong": self.wrong,
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        for column in Column::ALL {
            report[column.name()] = self.closings.iter().map(|closing| closing.books.count(column)).sum::<u64>().into();
        }
        report
    }

    fn is_balanced(&self) -> bool {
        self.wrong.is_empty() && self.closings.iter().all(|closing| closing.balanced)
    }

    fn table(&self, took: Duration) -> String {
        let counts = self.stack.tally.counts();
        let mut lines: Vec<String> = self.closings.iter().map(ToString::to_string).collect();
        lines.push(format!("Lived through with {} customers, seed {}\n", self.args.customers, self.args.seed));
        let mut out = lines.join("\n");
        let mut row = |name: &str, value: String| {
            out.extend(["  ", &format!("{name:<30}"), " ", &value, "\n"]);
        };
        let recovered: u64 = self.closings.iter().map(|closing| closing.books.recovered).sum();
        row("recovered by a retry", recovered.to_string());
        let skipped: Vec<String> = counts.skipped.iter().map(|(why, count)| format!("{why} {count}")).collect();
        row("messages skipped", if skipped.is_empty() { "none".into() } else { skipped.join(", ") });
        let alarms: Vec<String> = counts.alarms.iter().map(|(name, count)| format!("{name} {count}")).collect();
        row("alarms", if alarms.is_empty() { "none".into() } else { alarms.join(", ") });
        let (balanced, unbalanced) = counts.closings;
        row("closings that balanced", format!("{balanced} of {}", balanced + unbalanced));
        row("mails sent", self.mails().to_string());
        row("attempts", self.attempts().to_string());
        let asked = self.calls("GET /payments/{paymentId}");
        row(
            "PortOne calls per charge",
            format!("{} ({asked} of them questions)", self.per_charge(self.portone_calls())),
        );
        let requests = self.requests();
        row(
            "DynamoDB requests per charge",
            format!("{} (planner, worker, webhook, notifier)", self.per_charge(self.charge_requests())),
        );
        let by_app: Vec<String> =
            requests.iter().filter(|(_, n)| **n > 0).map(|(app, n)| format!("{app} {n}")).collect();
        row("DynamoDB requests in all", by_app.join(", "));
        if let Some(peak) = peak_memory() {
            row("peak memory", peak);
        }
        row("wall time", format!("{}.{:01} s", took.as_secs(), took.subsec_millis() / 100));
        out + &self.verdict()
    }

    fn verdict(&self) -> String {
        if !self.is_balanced() {
            let shown: Vec<&str> = self.wrong.iter().take(20).map(String::as_str).collect();
            return format!("NOT BALANCED: the audit found {} differences\n  {}", self.wrong.len(), shown.join("\n  "));
        }
        let ledger = self.stack.portone.ledger();
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for approval in &ledger.approvals {
            *sums.entry(&approval.currency).or_default() += approval.amount;
        }
        let sums: Vec<String> = sums.iter().map(|(code, minor)| format!("{} {code}", shown(*minor, code))).collect();
        format!(
            "BALANCED: PortOne's ledger holds {} approvals for {}, one for each paid invoice, to the won.",
            ledger.approvals.len(),
            sums.join(" and ")
        )
    }
}

fn shown(minor: i64, code: &str) -> String {
    Currency::from_code(code).map_or_else(|| minor.to_string(), |currency| currency.shown(minor))
}

/// The most memory the process has held, where the system tells (Linux).
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(format!("{} MB", kilobytes / 1024))
}

/// A bar on a terminal, plain lines where the output is piped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub(crate) fn show(&self, what: &str, done: u64, of: u64) {
        match &self.0 {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
            None => self.line(&format!("{what} ({}%)", done * 100 / of.max(1))),
        }
    }

    #[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
    pub(crate) fn line(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
