//! `sandbox cost`: what AWS would ask for a month, line by line.
//!
//! Two months of different size are lived through and everything that costs something is counted. Each quantity is a straight line of the
//! number of customers: a part for a stack that nobody uses, and a part for each customer. The rest is `infra/prices.toml` (what AWS asks for, what
//! was measured, and what is assumed) and the template (memory, alarms, secrets). In these months nobody calls the API: what a backend asks of it is
//! not in the bill.

#![expect(clippy::float_arithmetic, reason = "an estimate of AWS's bill; no customer's money")]

use crate::clock::Clock;
use crate::lambda::Function;
use crate::run::{self, Progress, READ_TIMEOUT, RunArgs, START};
use crate::stack::{Options, Stack};
use crate::usage::Usage;
use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use billing_aws::tables::Table;
use billing_core::Timestamp;
use billing_core::calendar::{self, Period};
use billing_flows::notify::SENDS_AT_ONCE;
use clap::Args;
use saphyr::{LoadableYamlNode, Yaml};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Whose month is priced.
#[derive(Debug, Clone, Args)]
pub struct CostArgs {
    /// How many customers are billed.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub customers: u32,
    /// Prints the lines as JSON instead of as a table.
    #[arg(long)]
    pub json: bool,
}

/// How many customers the two months have that are lived through. Few, so that it takes a minute; far apart, so that the line is straight.
const SIZES: [u32; 2] = [100, 500];

/// Prints the bill.
#[expect(clippy::print_stdout, reason = "the bill is what the command is for")]
pub async fn cost(args: &CostArgs) -> anyhow::Result<bool> {
    let prices: Prices = toml::from_str(include_str!("../../../infra/prices.toml")).context("infra/prices.toml")?;
    let template = Template::read()?;
    let bar = Progress::new();
    let mut months = Vec::new();
    for size in SIZES {
        bar.line(&format!("counting a month of {size} customers"));
        months.push(month(size, &bar).await?);
    }
    bar.finish();
    let customers = f64::from(args.customers);
    let bill = bill_of(&months, customers, &prices, &template);
    let total: f64 = bill.iter().map(Line::dollars).sum();
    if args.json {
        let lines: Vec<_> = bill.iter().map(|it| json!({ "service": it.service, "what": it.what, "quantity": it.quantity, "price": it.price, "dollars": it.dollars() })).collect();
        println!(
            "{}",
            json!({ "customers": args.customers, "pricesAsOf": prices.as_of, "lines": lines, "total": total })
        );
        return Ok(true);
    }
    println!(
        "A month of {} customers on AWS in Seoul, prices as of {}, before free tiers and tax\n",
        args.customers, prices.as_of
    );
    println!("{:<18}{:<48}{:>16}{:>16}{:>12}", "service", "what", "quantity", "$ each", "$");
    for it in &bill {
        println!(
            "{:<18}{:<48}{:>16}{:>16}{:>12.2}",
            it.service,
            it.what,
            shown(it.quantity),
            shown(it.price),
            it.dollars()
        );
    }
    println!("{:<98}{total:>12.2}", "total");
    println!("{:<98}{:>12.5}", "for each customer", total / customers);
    Ok(true)
}

/// What AWS asks of so many customers, by the months of [`SIZES`].
fn bill_of(months: &[Counted], customers: f64, prices: &Prices, template: &Template) -> Vec<Line> {
    let [few, many] = [0, 1].map(|month: usize| months[month].quantities(prices, template));
    bill(&line_through([&few, &many], customers), prices, template)
}

/// A month lived through, and what it used.
async fn month(customers: u32, bar: &Progress) -> anyhow::Result<Counted> {
    let start: Timestamp = START.parse()?;
    let options = Options { clock: Clock::frozen_at(start), read_timeout: READ_TIMEOUT, ..Options::default() };
    let stack = Box::pin(Stack::open(options)).await?;
    let args = RunArgs { customers, months: 1, seed: 1, clean: false, json: false };
    run::enrol(&stack, &args, bar).await?;
    let month = Period::starting(calendar::date_at(start)).next();
    stack.engine.advance_to(calendar::moment(month.start(), 0), |_| ()).await?;
    let before = Usage::of(&stack);
    let watch = Mutex::new(Watch::begun(&stack));
    let look = |at| watch.lock().unwrap_or_else(PoisonError::into_inner).look(&stack, at);
    stack.engine.advance_to(calendar::moment(month.next().start(), 0), look).await?;
    look(stack.clock.now());
    let watch = watch.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(counted(&before, &Usage::of(&stack), &watch, stored(&stack).await?))
}

/// What the tables hold: what stays as it is, and what a month adds.
#[derive(Debug, Clone, Copy)]
struct Stored {
    standing: u64,
    added: u64,
}

async fn stored(stack: &Stack) -> anyhow::Result<Stored> {
    let mut stored = Stored { standing: 0, added: 0 };
    for table in Table::ALL {
        let grows = matches!(table, Table::Invoices | Table::Events);
        let mut pages = stack.dynamodb.scan().table_name(stack.tables.name(table)).into_paginator().items().send();
        while let Some(row) = pages.next().await {
            let bytes: u64 = row?.iter().map(|(name, value)| len(name) + size(value)).sum();
            // AWS adds 100 bytes to each row's own.
            *(if grows { &mut stored.added } else { &mut stored.standing }) += bytes + 100;
        }
    }
    Ok(stored)
}

/// About what DynamoDB counts a value as.
fn size(value: &AttributeValue) -> u64 {
    match value {
        AttributeValue::S(text) => len(text),
        AttributeValue::N(number) => len(number) / 2 + 1,
        AttributeValue::M(fields) => 3 + fields.iter().map(|(name, value)| 1 + len(name) + size(value)).sum::<u64>(),
        AttributeValue::L(items) => 3 + items.iter().map(|value| 1 + size(value)).sum::<u64>(),
        _ => 1,
    }
}

fn len(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Everything that a month used and that grows with customers, or at least might.
#[derive(Debug, Clone, Copy, Default)]
struct Quantities {
    invocations: f64,
    gb_seconds: f64,
    table_requests: f64,
    write_units: f64,
    read_units: f64,
    gb_after_a_year: f64,
    messages: f64,
    http_requests: f64,
    mails: f64,
    schedules: f64,
    log_gb: f64,
    metrics: f64,
    gb_out: f64,
}

/// Each quantity at a number of customers, on the straight line through two months. What is less for nobody than nothing is nothing.
fn line_through(months: [&Quantities; 2], customers: f64) -> Quantities {
    let at = |of: fn(&Quantities) -> f64| {
        let [few, many] = SIZES.map(f64::from);
        let each = ((of(months[1]) - of(months[0])) / (many - few)).max(0.0);
        (of(months[1]) - each * many).max(0.0) + each * customers
    };
    Quantities {
        invocations: at(|it| it.invocations),
        gb_seconds: at(|it| it.gb_seconds),
        table_requests: at(|it| it.table_requests),
        write_units: at(|it| it.write_units),
        read_units: at(|it| it.read_units),
        gb_after_a_year: at(|it| it.gb_after_a_year),
        messages: at(|it| it.messages),
        http_requests: at(|it| it.http_requests),
        mails: at(|it| it.mails),
        schedules: at(|it| it.schedules),
        log_gb: at(|it| it.log_gb),
        // Customers make no new ones; but a run that takes all day has data in more hours.
        metrics: months[1].metrics,
        gb_out: at(|it| it.gb_out),
    }
}

/// What of a month its sums do not tell: when `PortOne` was called, and for whom.
#[derive(Debug, Default)]
struct Watch {
    /// The moment that the engine is at.
    at: Timestamp,
    calls: BTreeMap<String, u64>,
    passes: u64,
    /// Questions at moments at which the reconciler ran.
    asked_by_passes: u64,
    /// Each operation with each hour in which it was called: a metric of `CloudWatch`'s, counted from the logs.
    hours: BTreeSet<(String, i64)>,
}

impl Watch {
    fn begun(stack: &Stack) -> Self {
        Self { at: stack.clock.now(), calls: stack.portone.calls(), passes: passes(stack), ..Self::default() }
    }

    /// Reckons what happened since the last look to the moment of that look, and goes on to this one.
    fn look(&mut self, stack: &Stack, at: Timestamp) {
        let (calls, passes) = (stack.portone.calls(), passes(stack));
        for (operation, count) in &calls {
            let made = count - self.calls.get(operation).copied().unwrap_or(0);
            if made > 0 && !operation.contains(BROWSER) {
                self.hours.insert((operation.clone(), self.at.as_second().div_euclid(3600)));
                if operation == ASK && passes > self.passes {
                    self.asked_by_passes += made;
                }
            }
        }
        *self =
            Self { at, calls, passes, asked_by_passes: self.asked_by_passes, hours: std::mem::take(&mut self.hours) };
    }
}

/// How often the reconciler was invoked.
fn passes(stack: &Stack) -> u64 {
    stack.lambda.invocations().get(Function::Reconciler.name()).copied().unwrap_or(0)
}

/// What a month used, before anything is said of how long it takes and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    charges: u64,
    /// Of single payments; the first are those at moments at which the reconciler ran.
    asked_by_passes: u64,
    asked_by_others: u64,
    lists: u64,
    messages: u64,
    mails: u64,
    half_write_units: u64,
    half_read_units: u64,
    written_bytes: u64,
    /// Metrics and the hours in which they had data.
    metric_hours: u64,
    standing_bytes: u64,
    added_bytes: u64,
    /// By function, as are its requests to `DynamoDB`.
    invocations: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
}

fn counted(before: &Usage, after: &Usage, watch: &Watch, stored: Stored) -> Counted {
    let calls = |operation| after.calls_of(operation) - before.calls_of(operation);
    let units = |of: fn(&crate::dynamodb::Units) -> u64| {
        // What the control API reads is no part of the deployed stack.
        let sum = |usage: &Usage| {
            usage.units.iter().filter(|(app, _)| *app != "console").map(|(_, units)| of(units)).sum::<u64>()
        };
        sum(after) - sum(before)
    };
    let invoked = |usage: &Usage, function: Function| usage.invocations.get(function.name()).copied().unwrap_or(0);
    let by_function = |count: &dyn Fn(Function) -> u64| {
        Function::ALL.iter().map(|it| (it.name().to_owned(), count(*it))).collect::<BTreeMap<_, _>>()
    };
    Counted {
        charges: calls(CHARGE),
        asked_by_passes: watch.asked_by_passes,
        asked_by_others: calls(ASK).saturating_sub(watch.asked_by_passes),
        lists: calls(LIST),
        messages: after.messages - before.messages,
        mails: after.mails - before.mails,
        half_write_units: units(|units| units.half_writes),
        half_read_units: units(|units| units.half_reads),
        written_bytes: after.written.bytes - before.written.bytes,
        metric_hours: metric_hours(before, after, watch),
        standing_bytes: stored.standing,
        added_bytes: stored.added,
        invocations: by_function(&|it| invoked(after, it) - invoked(before, it)),
        requests: by_function(&|it| after.requests_of(it.name()) - before.requests_of(it.name())),
    }
}

/// What the functions write, and what `CloudWatch` counts from lines of their logs.
fn metric_hours(before: &Usage, after: &Usage, watch: &Watch) -> u64 {
    let written = after.written.metric_hours.difference(&before.written.metric_hours);
    // An error of PortOne's is counted by its type, and about each outcome that one leads to is one type.
    let errors = written.clone().filter(|(metric, _)| {
        ["declined", "refused", "unknown"].iter().any(|outcome| *metric == format!("Charges \"{outcome}\""))
    });
    u64::try_from(written.count() + errors.count() + watch.hours.len()).unwrap_or(u64::MAX)
}

impl Counted {
    fn invocations(&self, function: Function) -> f64 {
        float(self.invocations.get(function.name()).copied().unwrap_or(0))
    }

    fn requests(&self, function: Function) -> f64 {
        float(self.requests.get(function.name()).copied().unwrap_or(0))
    }

    /// How long a function works, in milliseconds, as was measured: a webhook is an invocation, and each message, mail or question to `PortOne`
    /// is taken for a charge of the worker's.
    fn own_ms(&self, function: Function, prices: &Prices) -> f64 {
        let invocations = self.invocations(function);
        let Measured { webhook_ms, charge_ms, ms_to_start_webhook, ms_to_start_worker } = prices.measured;
        let (each_ms, items, start_ms, starts) = match function {
            Function::Webhook | Function::Api => (webhook_ms, 0, ms_to_start_webhook, prices.assumed.start_share),
            Function::Worker => (charge_ms, self.messages, ms_to_start_worker, prices.assumed.start_share),
            Function::Notifier => (charge_ms, self.mails, ms_to_start_worker, prices.assumed.start_share),
            // Lambda keeps no process for what is invoked by the hour or the day.
            Function::Planner => (charge_ms, self.messages, ms_to_start_worker, 1.0),
            Function::Reconciler => (charge_ms, self.asked_by_passes + self.lists, ms_to_start_worker, 1.0),
        };
        each_ms * invocations.max(float(items)) + starts * invocations * start_ms
    }

    /// How long a function waits for others, in milliseconds. What it waits for is waited for one after the other, but in a worker's batch, and for
    /// mails, at once.
    fn waiting_ms(&self, function: Function, assumed: &Assumed) -> f64 {
        let invocations = self.invocations(function);
        let mut waits = self.requests(function) * assumed.dynamodb_ms;
        let mut at_once = 1.0;
        match function {
            Function::Worker => {
                waits += float(self.charges) * assumed.portone_charge_ms;
                at_once = (float(self.messages) / invocations.max(1.0)).clamp(1.0, 10.0);
            }
            // The worker's few questions are reckoned to it, too.
            Function::Webhook => waits += float(self.asked_by_others) * assumed.portone_read_ms,
            Function::Reconciler => {
                waits += float(self.asked_by_passes) * assumed.portone_read_ms;
                waits += float(self.lists) * assumed.portone_list_ms;
            }
            Function::Notifier => {
                waits += float(self.mails) * assumed.ses_ms;
                at_once = (float(self.mails) / invocations.max(1.0)).clamp(1.0, float(SENDS_AT_ONCE as u64));
            }
            // Nobody calls the API in these months, and the planner waits for tables and queues only.
            Function::Api | Function::Planner => {}
        }
        waits / at_once
    }

    fn quantities(&self, prices: &Prices, template: &Template) -> Quantities {
        let assumed = &prices.assumed;
        let invocations: f64 = Function::ALL.iter().map(|it| self.invocations(*it)).sum();
        let http_requests = self.invocations(Function::Webhook) + self.invocations(Function::Api);
        let gb_seconds = |it: &Function| {
            (self.own_ms(*it, prices) + self.waiting_ms(*it, assumed)) / 1000.0 * template.gigabytes(*it)
        };
        let portone_calls = float(self.charges + self.asked_by_passes + self.asked_by_others + self.lists);
        // Each call to PortOne is a line, and what became of each message.
        let lines = (portone_calls + float(self.messages)) * assumed.line_log_bytes;
        let platform = invocations * assumed.platform_log_bytes + http_requests * assumed.access_log_bytes;
        Quantities {
            invocations,
            gb_seconds: Function::ALL.iter().map(gb_seconds).sum(),
            table_requests: Function::ALL.iter().map(|it| self.requests(*it)).sum(),
            write_units: float(self.half_write_units) / 2.0,
            read_units: float(self.half_read_units) / 2.0,
            gb_after_a_year: (float(self.standing_bytes) + 12.0 * float(self.added_bytes)) / GB,
            messages: float(self.messages),
            http_requests,
            mails: float(self.mails),
            schedules: self.invocations(Function::Reconciler) + DAYS,
            log_gb: (float(self.written_bytes) + lines + platform) / GB,
            metrics: float(self.metric_hours) / (DAYS * 24.0),
            gb_out: portone_calls * assumed.portone_request_bytes / GB,
        }
    }
}

const CHARGE: &str = "POST /payments/{paymentId}/billing-key";
const ASK: &str = "GET /payments/{paymentId}";
const LIST: &str = "GET /payments-by-cursor";
/// What only the simulator's browser calls lies under it.
const BROWSER: &str = " /sandbox/";
const GB: f64 = 1_000_000_000.0;
/// Of December, which is lived through.
const DAYS: f64 = 31.0;
const MILLION: f64 = 1_000_000.0;

#[expect(clippy::cast_precision_loss, reason = "a quantity is shown with three digits")]
fn float(count: u64) -> f64 {
    count as f64
}

fn bill(q: &Quantities, p: &Prices, template: &Template) -> Vec<Line> {
    let line = |service, what, quantity, price| Line { service, what, quantity, price };
    let empty_receives = p.assumed.empty_receives_a_month * template.queues;
    // DynamoDB asks for a table's key at most once in five minutes on each connection, and at most once for a request; whoever reads the stream,
    // as often.
    let five_minutes = DAYS * 24.0 * 12.0;
    let key_calls = q.table_requests.min(five_minutes * template.tables * p.assumed.table_connections) + five_minutes;
    let secret_calls = DAYS * 24.0 * float(Function::ALL.len() as u64);
    vec![
        line("Lambda", "invocations", q.invocations, p.lambda.million_requests / MILLION),
        line("Lambda", "GB-seconds", q.gb_seconds, p.lambda.gb_second),
        line("DynamoDB", "write units", q.write_units, p.dynamodb.million_write_units / MILLION),
        line("DynamoDB", "read units", q.read_units, p.dynamodb.million_read_units / MILLION),
        line("DynamoDB", "GB stored after a year", q.gb_after_a_year, p.dynamodb.gb_month),
        line("DynamoDB", "GB kept for recovery", q.gb_after_a_year, p.dynamodb.gb_month_of_recovery),
        line("KMS", "calls for the tables' keys, at most", key_calls, p.kms.ten_thousand_calls / 10_000.0),
        line("SQS", "requests: send, receive, delete", q.messages * 3.0, p.sqs.million_requests / MILLION),
        line("SQS", "receives of queues that are empty", empty_receives, p.sqs.million_requests / MILLION),
        line("API Gateway", "requests", q.http_requests, p.http_api.million_requests / MILLION),
        line("SES", "mails", q.mails, p.ses.thousand_mails / 1000.0),
        line("Scheduler", "invocations", q.schedules, p.scheduler.million_invocations / MILLION),
        line("Secrets Manager", "secrets", template.secrets, p.secrets_manager.secret_month),
        line(
            "Secrets Manager",
            "reads, one an hour and function",
            secret_calls,
            p.secrets_manager.ten_thousand_calls / 10_000.0,
        ),
        line("CloudWatch", "GB of logs", q.log_gb, p.cloudwatch.gb_of_logs),
        line("CloudWatch", "metrics, by the hours with data", q.metrics, p.cloudwatch.metric_month),
        line("CloudWatch", "metrics that alarms look at", template.alarm_metrics, p.cloudwatch.alarm_metric_month),
        line("CloudWatch", "dashboards", template.dashboards, p.cloudwatch.dashboard_month),
        line("X-Ray", "traces, at most", q.invocations, p.xray.million_traces / MILLION),
        line("Transfer", "GB to PortOne", q.gb_out, p.transfer.gb_out),
    ]
}

/// A line of the bill.
#[derive(Debug)]
struct Line {
    service: &'static str,
    what: &'static str,
    quantity: f64,
    price: f64,
}

impl Line {
    fn dollars(&self) -> f64 {
        self.quantity * self.price
    }
}

/// A number with as many digits as say something.
fn shown(number: f64) -> String {
    if number == 0.0 || number >= 1000.0 {
        format!("{number:.0}")
    } else if number >= 0.01 {
        format!("{number:.2}")
    } else {
        format!("{number:.9}").trim_end_matches('0').to_owned()
    }
}

/// What the template decides.
#[derive(Debug)]
struct Template {
    memory: Vec<(&'static str, f64)>,
    queues: f64,
    /// Those whose key is in KMS, in the account.
    tables: f64,
    secrets: f64,
    alarm_metrics: f64,
    dashboards: f64,
}

impl Template {
    fn read() -> anyhow::Result<Self> {
        let texts = [include_str!("../../../template.yaml"), include_str!("../../../infra/watch.yaml")];
        let mut documents = Vec::new();
        for text in texts {
            let parsed = Yaml::load_from_str(text).context("a template is no YAML")?;
            documents.push(parsed.into_iter().next().context("a template is empty")?);
        }
        let resources = |kind: &str| -> Vec<&Yaml<'_>> {
            let all = documents.iter().filter_map(|it| it.as_mapping_get("Resources")?.as_mapping());
            let all = all.flatten().map(|(_, it)| it);
            all.filter(|it| it.as_mapping_get("Type").and_then(Yaml::as_str) == Some(kind)).collect()
        };
        let count = |kind: &str| float(u64::try_from(resources(kind).len()).unwrap_or(u64::MAX));
        let globals = memory(documents[0].as_mapping_get("Globals").and_then(|it| it.as_mapping_get("Function")));
        let globals = globals.context("Globals.Function.MemorySize is not in template.yaml")?;
        let own = |function: Function| {
            let mut name = function.name().to_owned();
            name[..1].make_ascii_uppercase();
            let resource = documents[0].as_mapping_get("Resources")?.as_mapping_get(&format!("{name}Function"))?;
            memory(resource.as_mapping_get("Properties"))
        };
        Ok(Self {
            memory: Function::ALL.iter().map(|it| (it.name(), own(*it).unwrap_or(globals))).collect(),
            // Dead letters are polled by nobody.
            queues: 2.0,
            tables: float(
                u64::try_from(resources("AWS::DynamoDB::Table").into_iter().filter(|it| has_a_key(it)).count())
                    .unwrap_or(u64::MAX),
            ),
            secrets: count("AWS::SecretsManager::Secret"),
            alarm_metrics: resources("AWS::CloudWatch::Alarm").into_iter().map(alarm_metrics).sum(),
            dashboards: count("AWS::CloudWatch::Dashboard"),
        })
    }

    /// A function's memory.
    fn gigabytes(&self, function: Function) -> f64 {
        self.memory.iter().find(|(name, _)| *name == function.name()).map_or(0.0, |(_, megabytes)| megabytes / 1024.0)
    }
}

fn memory(properties: Option<&Yaml<'_>>) -> Option<f64> {
    let megabytes = properties?.as_mapping_get("MemorySize")?.as_integer()?;
    u32::try_from(megabytes).ok().map(f64::from)
}

/// Whether a table is encrypted by a key of the account's, which is asked for by calls that are paid; else AWS's own is, which costs nothing.
fn has_a_key(table: &Yaml<'_>) -> bool {
    let settings = table.as_mapping_get("Properties").and_then(|it| it.as_mapping_get("SSESpecification"));
    settings.and_then(|it| it.as_mapping_get("SSEEnabled")).and_then(Yaml::as_bool) == Some(true)
}

/// How many metrics an alarm is paid for: those that it looks at, and each of them three times if it looks at a band around them, for the band
/// has an upper and a lower bound.
fn alarm_metrics(alarm: &Yaml<'_>) -> f64 {
    let queries = alarm.as_mapping_get("Properties").and_then(|it| it.as_mapping_get("Metrics")?.as_sequence());
    let Some(queries) = queries else { return 1.0 };
    let has = |field: &'static str| move |query: &&Yaml<'_>| query.as_mapping_get(field).is_some();
    let metrics = queries.iter().filter(has("MetricStat")).count();
    let mut expressions = queries.iter().filter_map(|query| query.as_mapping_get("Expression")?.as_str());
    let times = if expressions.any(|expression| expression.contains("ANOMALY_DETECTION_BAND")) { 3 } else { 1 };
    float(u64::try_from(metrics.max(1) * times).unwrap_or(u64::MAX))
}

/// `infra/prices.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    as_of: String,
    lambda: Lambda,
    dynamodb: DynamoDb,
    kms: Kms,
    sqs: Sqs,
    http_api: HttpApi,
    ses: Ses,
    scheduler: Scheduler,
    secrets_manager: SecretsManager,
    cloudwatch: CloudWatch,
    xray: XRay,
    transfer: Transfer,
    measured: Measured,
    assumed: Assumed,
}

macro_rules! prices {
    ($($name:ident { $($field:ident),* $(,)? })*) => { $(
        #[derive(Debug, Clone, Copy, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { $($field: f64),* }
    )* };
}

prices! {
    Lambda { gb_second, million_requests }
    DynamoDb { million_write_units, million_read_units, gb_month, gb_month_of_recovery }
    Kms { ten_thousand_calls }
    Sqs { million_requests }
    HttpApi { million_requests }
    Ses { thousand_mails }
    Scheduler { million_invocations }
    SecretsManager { secret_month, ten_thousand_calls }
    CloudWatch { gb_of_logs, metric_month, alarm_metric_month, dashboard_month }
    XRay { million_traces }
    Transfer { gb_out }
    Measured { webhook_ms, charge_ms, ms_to_start_webhook, ms_to_start_worker }
    Assumed {
        dynamodb_ms, portone_charge_ms, portone_read_ms, portone_list_ms, ses_ms, start_share, table_connections, platform_log_bytes,
        access_log_bytes, line_log_bytes, empty_receives_a_month, portone_request_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cost.toml");
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    const RENEW: &str = "UPDATE=1 cargo test --workspace --lib cost::";

    fn prices() -> Prices {
        toml::from_str(include_str!("../../../infra/prices.toml")).unwrap()
    }

    fn is_to_be_renewed() -> bool {
        #[expect(clippy::disallowed_methods, reason = "whether pages are to be written, is for whoever prices to say")]
        std::env::var("UPDATE").is_ok_and(|value| value == "1")
    }

    /// The months of [`SIZES`], as they were counted.
    #[derive(Debug, Deserialize, Serialize)]
    struct Months {
        months: Vec<Counted>,
    }

    impl Months {
        fn kept() -> Self {
            toml::from_str(&std::fs::read_to_string(COUNTED).unwrap()).unwrap()
        }

        fn bill(&self, customers: f64) -> Vec<Line> {
            bill_of(&self.months, customers, &prices(), &Template::read().unwrap())
        }
    }

    /// `$1,234.56`.
    fn dollars(sum: f64) -> String {
        let text = format!("{sum:.2}");
        let (whole, cents) = text.split_once('.').unwrap();
        let digits: Vec<char> = whole.chars().rev().collect();
        let groups: Vec<String> = digits.chunks(3).map(|three| three.iter().rev().collect()).collect();
        format!("${}.{cents}", groups.into_iter().rev().collect::<Vec<_>>().join(","))
    }

    fn sum<'a>(lines: impl IntoIterator<Item = &'a Line>) -> f64 {
        lines.into_iter().map(Line::dollars).sum()
    }

    /// What a page says between `<!-- name -->` and `<!-- /name -->`: (page, name, text).
    fn said(months: &Months) -> [(&'static str, &'static str, String); 2] {
        const SERVICES: [&str; 5] = ["SES", "DynamoDB", "CloudWatch", "SQS", "Lambda"];
        let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let named = ["customers".to_owned(), format!("a month, with the prices of {}", prices().as_of)].into_iter();
        let head: Vec<_> = named.chain(SERVICES.map(str::to_owned)).chain(["all else".to_owned()]).collect();
        let mut rows = vec![row(&head), row(&vec!["---:".to_owned(); head.len()])];
        for customers in ["1", "10,000", "1,000,000", "10,000,000"] {
            let bill = months.bill(customers.replace(',', "").parse().unwrap());
            let parts = SERVICES.map(|name| sum(bill.iter().filter(|line| line.service == name)));
            let rest = sum(&bill) - parts.iter().sum::<f64>();
            let sums = [sum(&bill)].into_iter().chain(parts).chain([rest]).map(dollars);
            rows.push(row(&[customers.to_owned()].into_iter().chain(sums).collect::<Vec<_>>()));
        }
        let [million, ten] = [1e6, 1e7].map(|customers| months.bill(customers));
        let mails = sum(ten.iter().filter(|line| line.service == "SES"));
        let sentence = format!(
            "`make cost CUSTOMERS=1000000`: {} for the month, `10000000`: {}, of which mails are {}.",
            dollars(sum(&million)),
            dollars(sum(&ten)),
            dollars(mails)
        );
        [("docs/OPERATIONS.md", "cost", rows.join("\n")), ("docs/SCALE.md", "dollars", sentence)]
    }

    fn written(page: &str, name: &str, text: &str) -> String {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no place for {name}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{name} has no end"));
        format!("{before}{begin}\n{text}\n\n{end}{after}")
    }

    #[tokio::test]
    async fn a_month_uses_what_was_counted_and_the_pages_say_what_that_costs() {
        let bar = Progress::new();
        if is_to_be_renewed() {
            let months = vec![month(SIZES[0], &bar).await.unwrap(), month(SIZES[1], &bar).await.unwrap()];
            let kept = toml::to_string(&Months { months }).unwrap();
            let head = format!("# What months of {SIZES:?} customers use: `{RENEW}` writes this file.");
            std::fs::write(COUNTED, format!("{head}\n\n{kept}")).unwrap();
        }
        let kept = Months::kept();
        for (file, name, text) in said(&kept) {
            let page = std::fs::read_to_string(format!("{ROOT}{file}")).unwrap();
            let now = written(&page, name, &text);
            if is_to_be_renewed() {
                std::fs::write(format!("{ROOT}{file}"), &now).unwrap();
            }
            assert!(is_to_be_renewed() || page == now, "{file} has another {name}; `{RENEW}` writes it");
        }
        let (kept, now) = (&kept.months[0], month(SIZES[0], &bar).await.unwrap());
        let exact = |it: &Counted| (it.charges, it.mails, it.lists, it.standing_bytes);
        assert_eq!(exact(&now), exact(kept), "`{RENEW}`");
        // How many webhooks come early depends on the machine; each costs its own function three requests, and the worker two.
        for function in [Function::Planner, Function::Notifier, Function::Reconciler] {
            let (kept, now) = (kept.requests[function.name()], now.requests[function.name()]);
            assert!(
                kept.abs_diff(now) <= 10 + kept / 20,
                "{function:?}: {now} requests, and {kept} were counted; `{RENEW}`"
            );
        }
    }

    #[test]
    fn the_functions_durations_are_those_that_were_measured_at_their_memorys_share() {
        let file = std::fs::read_to_string(format!("{ROOT}bench/results/compare.json")).unwrap();
        let results: serde_json::Value = serde_json::from_str(&file).unwrap();
        let of = |part: &str, kind: &str, which: &str| {
            let all = results[part].as_array().unwrap().iter();
            let mut ours = all.filter(|it| it["side"] == "rust" && it["share_of_mb"] == 256 && it[kind] == which);
            ours.next().unwrap().clone()
        };
        let mean = |all: Vec<f64>| (all.iter().sum::<f64>() / float(all.len() as u64) / 100.0).round() / 10.0;
        let numbers = |it: &serde_json::Value| -> Vec<f64> {
            it.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
        };
        let warm =
            |case| mean(of("warm", "case", case)["rounds_us"].as_array().unwrap().iter().flat_map(numbers).collect());
        let start = |kind| {
            let it = of("cold", "kind", kind);
            mean(
                numbers(&it["init_us"])
                    .iter()
                    .zip(numbers(&it["first_us"]))
                    .map(|(init, first)| init + first)
                    .collect(),
            )
        };
        // A batch is ten charges.
        let charge = (warm("batch") * 10.0).round() / 100.0;
        let measured = format!("{:?}", [warm("paid"), charge, start("webhook"), start("worker")]);
        let Measured { webhook_ms, charge_ms, ms_to_start_webhook, ms_to_start_worker } = prices().measured;
        let said = format!("{:?}", [webhook_ms, charge_ms, ms_to_start_webhook, ms_to_start_worker]);
        assert_eq!(said, measured, "[measured] of infra/prices.toml is not what bench/results/compare.json has");
    }

    #[test]
    fn keys_are_asked_for_no_oftener_than_tables_and_than_every_five_minutes_on_each_connection() {
        let (prices, template) = (prices(), Template::read().unwrap());
        let calls = |table_requests| {
            let lines = bill(&Quantities { table_requests, ..Quantities::default() }, &prices, &template);
            lines.iter().find(|line| line.service == "KMS").unwrap().quantity
        };
        let months_of_one = 31.0 * 288.0;
        assert_eq!(calls(100.0).to_string(), (months_of_one + 100.0).to_string());
        let most = months_of_one * (1.0 + 6.0 * prices.assumed.table_connections);
        assert_eq!(calls(1e12).to_string(), most.to_string());
    }

    #[test]
    fn the_prices_are_read_whole_and_none_is_left_out() {
        let (prices, template) = (prices(), Template::read().unwrap());
        let lines = bill(&Quantities { invocations: 1.0, ..Quantities::default() }, &prices, &template);
        assert!(lines.iter().all(|line| line.price > 0.0), "{lines:?}");
        assert!(
            [template.tables, template.secrets, template.alarm_metrics, template.dashboards]
                .iter()
                .all(|count| *count >= 1.0),
            "{template:?}"
        );
        assert!(Function::ALL.iter().all(|it| template.gigabytes(*it) >= 0.125), "{template:?}");
    }

    #[test]
    fn an_alarm_is_paid_for_by_the_metrics_that_it_looks_at_and_a_band_is_three_of_each() {
        let of = |properties: &str| {
            let text = format!("Properties: {{ {properties} }}");
            alarm_metrics(Yaml::load_from_str(&text).unwrap().first().unwrap())
        };
        assert_eq!(of("MetricName: Alarms").to_string(), "1");
        let two = "{ Id: a, MetricStat: {} }, { Id: b, MetricStat: {} }";
        assert_eq!(of(&format!("Metrics: [{{ Id: sum, Expression: 'a+b' }}, {two}]")).to_string(), "2");
        let band = "{ Id: band, Expression: 'ANOMALY_DETECTION_BAND(sum,3)' }, { Id: sum, Expression: 'a+b' }";
        assert_eq!(of(&format!("Metrics: [{band}, {two}]")).to_string(), "6");
    }

    #[test]
    fn a_quantity_is_a_fixed_part_and_a_part_for_each_customer() {
        let of = |mails, schedules| Quantities { mails, schedules, ..Quantities::default() };
        let at = line_through([&of(110.0, 750.0), &of(510.0, 750.0)], 1_000_000.0);
        assert_eq!((at.mails.round(), at.schedules.round()), (1_000_010.0, 750.0));
    }
}
