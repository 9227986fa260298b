//! `sandbox cost`: what AWS would ask for a month, line by line.
//!
//! Two months of different size are lived through and everything that costs something is counted. Each quantity is a straight line of the
//! number of customers: a part for a stack that nobody uses, and a part for each customer. The rest is `infra/prices.toml` (what AWS asks for, and
//! what is assumed) and the template (memory, alarms, secrets). In these months nobody calls the API: what a backend asks of it is not in the bill.

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
use serde::Deserialize;
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
        months.push(month(size, &bar, &prices.assumed, &template).await?);
    }
    bar.finish();
    let customers = f64::from(args.customers);
    let quantities = line_through([&months[0], &months[1]], customers);
    let bill = bill(&quantities, &prices, &template);
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

/// A month lived through, and what it used.
async fn month(customers: u32, bar: &Progress, assumed: &Assumed, template: &Template) -> anyhow::Result<Quantities> {
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
    let used = Used { before, after: Usage::of(&stack), watch };
    let bytes = stored(&stack).await?;
    Ok(used.quantities(assumed, template, bytes))
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

struct Used {
    before: Usage,
    after: Usage,
    watch: Watch,
}

impl Used {
    fn invocations(&self, function: Function) -> f64 {
        let count = |usage: &Usage| usage.invocations.get(function.name()).copied().unwrap_or(0);
        float(count(&self.after) - count(&self.before))
    }

    fn requests(&self, function: Function) -> f64 {
        float(self.after.requests_of(function.name()) - self.before.requests_of(function.name()))
    }

    fn calls(&self, operation: &str) -> f64 {
        float(self.after.calls_of(operation) - self.before.calls_of(operation))
    }

    /// How long a function ran, in seconds. What it waits for is waited for one after the other, but in
    /// a worker's batch, and for mails, at once.
    fn seconds(&self, function: Function, assumed: &Assumed) -> f64 {
        let invocations = self.invocations(function);
        let mut waits = self.requests(function) * assumed.dynamodb_ms;
        let mut at_once = 1.0;
        match function {
            Function::Worker => {
                waits += self.calls(CHARGE) * assumed.portone_charge_ms;
                at_once = (self.messages() / invocations.max(1.0)).clamp(1.0, 10.0);
            }
            // The worker's few questions are reckoned to it, too.
            Function::Webhook => waits += (self.calls(ASK) - self.asked_by_passes()) * assumed.portone_read_ms,
            Function::Reconciler => {
                waits += self.asked_by_passes() * assumed.portone_read_ms;
                waits += self.calls(LIST) * assumed.portone_list_ms;
            }
            Function::Notifier => {
                waits += self.mails() * assumed.ses_ms;
                at_once = (self.mails() / invocations.max(1.0)).clamp(1.0, float(SENDS_AT_ONCE as u64));
            }
            // Nobody calls the API in these months, and the planner waits for tables and queues only.
            Function::Api | Function::Planner => {}
        }
        (invocations * assumed.own_ms + waits / at_once) / 1000.0
    }

    fn asked_by_passes(&self) -> f64 {
        float(self.watch.asked_by_passes)
    }

    /// Metrics and the hours in which they had data: what the functions write, and what `CloudWatch` counts from lines of their logs.
    fn metric_hours(&self) -> usize {
        let written = self.after.written.metric_hours.difference(&self.before.written.metric_hours);
        // An error of PortOne's is counted by its type, and about each outcome that one leads to is one type.
        let errors = written.clone().filter(|(metric, _)| {
            ["declined", "refused", "unknown"].iter().any(|outcome| *metric == format!("Charges \"{outcome}\""))
        });
        written.count() + errors.count() + self.watch.hours.len()
    }

    fn messages(&self) -> f64 {
        float(self.after.messages - self.before.messages)
    }

    fn mails(&self) -> f64 {
        float(self.after.mails - self.before.mails)
    }

    fn units(&self, of: fn(&crate::dynamodb::Units) -> u64) -> f64 {
        // What the control API reads is no part of the deployed stack.
        let sum = |usage: &Usage| {
            usage.units.iter().filter(|(app, _)| *app != "console").map(|(_, units)| of(units)).sum::<u64>()
        };
        float(sum(&self.after) - sum(&self.before)) / 2.0
    }

    fn quantities(&self, assumed: &Assumed, template: &Template, stored: Stored) -> Quantities {
        let invocations: f64 = Function::ALL.iter().map(|it| self.invocations(*it)).sum();
        let http_requests = self.invocations(Function::Webhook) + self.invocations(Function::Api);
        let seconds = |it: &Function| self.seconds(*it, assumed) * template.gigabytes(*it);
        let portone_calls = self.calls(CHARGE) + self.calls(ASK) + self.calls(LIST);
        let written = float(self.after.written.bytes - self.before.written.bytes);
        // Each call to PortOne is a line, and what became of each message.
        let lines = (portone_calls + self.messages()) * assumed.line_log_bytes;
        let platform = invocations * assumed.platform_log_bytes + http_requests * assumed.access_log_bytes;
        let logs = written + lines + platform;
        Quantities {
            invocations,
            gb_seconds: Function::ALL.iter().map(seconds).sum(),
            write_units: self.units(|units| units.half_writes),
            read_units: self.units(|units| units.half_reads),
            gb_after_a_year: (float(stored.standing) + 12.0 * float(stored.added)) / GB,
            messages: self.messages(),
            http_requests,
            mails: self.mails(),
            schedules: self.invocations(Function::Reconciler) + DAYS,
            log_gb: logs / GB,
            metrics: float(u64::try_from(self.metric_hours()).unwrap_or(u64::MAX)) / (DAYS * 24.0),
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
    let secret_calls = DAYS * 24.0 * float(Function::ALL.len() as u64);
    vec![
        line("Lambda", "invocations", q.invocations, p.lambda.million_requests / MILLION),
        line("Lambda", "GB-seconds", q.gb_seconds, p.lambda.gb_second),
        line("DynamoDB", "write units", q.write_units, p.dynamodb.million_write_units / MILLION),
        line("DynamoDB", "read units", q.read_units, p.dynamodb.million_read_units / MILLION),
        line("DynamoDB", "GB stored after a year", q.gb_after_a_year, p.dynamodb.gb_month),
        line("DynamoDB", "GB kept for recovery", q.gb_after_a_year, p.dynamodb.gb_month_of_recovery),
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
    sqs: Sqs,
    http_api: HttpApi,
    ses: Ses,
    scheduler: Scheduler,
    secrets_manager: SecretsManager,
    cloudwatch: CloudWatch,
    xray: XRay,
    transfer: Transfer,
    assumed: Assumed,
}

macro_rules! prices {
    ($($name:ident { $($field:ident),* $(,)? })*) => { $(
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { $($field: f64),* }
    )* };
}

prices! {
    Lambda { gb_second, million_requests }
    DynamoDb { million_write_units, million_read_units, gb_month, gb_month_of_recovery }
    Sqs { million_requests }
    HttpApi { million_requests }
    Ses { thousand_mails }
    Scheduler { million_invocations }
    SecretsManager { secret_month, ten_thousand_calls }
    CloudWatch { gb_of_logs, metric_month, alarm_metric_month, dashboard_month }
    XRay { million_traces }
    Transfer { gb_out }
    Assumed {
        dynamodb_ms, portone_charge_ms, portone_read_ms, portone_list_ms, ses_ms, own_ms, platform_log_bytes, access_log_bytes,
        line_log_bytes, empty_receives_a_month, portone_request_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prices_are_read_whole_and_none_is_left_out() {
        let prices: Prices = toml::from_str(include_str!("../../../infra/prices.toml")).unwrap();
        let template = Template::read().unwrap();
        let lines = bill(&Quantities { invocations: 1.0, ..Quantities::default() }, &prices, &template);
        assert!(lines.iter().all(|line| line.price > 0.0), "{lines:?}");
        assert!(
            [template.secrets, template.alarm_metrics, template.dashboards].iter().all(|count| *count >= 1.0),
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
