//! How long a first of the month takes on which everybody is due at once, and what bounds it.
//!
//! The model is arithmetic: every part of the stack lets through so many a second, and the narrowest decides. It is held against
//! first-of-the-months that were lived through in real time (`make rush`), in `measured/`, by `tests/measured.rs`.
#![expect(clippy::float_arithmetic, reason = "an estimate of time; no customer's money")]

pub mod measured;
pub mod page;
pub mod plot;
pub mod prices;

/// The messages of a worker's batch: `BatchSize` of its mapping.
pub const BATCH: f64 = 10.0;

/// The part of an allowance that a process uses (`crates/billing-aws/src/gateway/pace.rs`).
pub const USED: f64 = 0.96;

/// Shards of `due-index`, and of a month's books.
pub const SHARDS: f64 = 4.0;

/// Write units a second that one partition of `DynamoDB` takes, of a table or of an index.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub const PARTITION_WRITES: f64 = 1_000.0;

/// Read units a second of the same (the same page).
pub const PARTITION_READS: f64 = 3_000.0;

/// Write units a second that a new on-demand table takes; it takes twice its last peak half an hour later.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>
pub const NEW_TABLE_WRITES: f64 = 4_000.0;

/// Write units of the busiest table for a charge: Invoices takes the intent and the settlement, each in a transaction (twice the units), each
/// of up to 2 KB.
pub const INVOICE_UNITS: f64 = 8.0;

/// Write units of a line of `due-index` that moves to the next month.
pub const DUE_UNITS: f64 = 2.0;

/// Write units of a line of `month-index`: it is put there, and moves when it is settled.
pub const BOOKS_UNITS: f64 = 3.0;

/// Due customers that the planner reads at once: `PAGE` of `plan_run.rs`.
pub const DUE_PAGE: f64 = 500.0;

/// Read units of such a page: four keys of a row are up to 150 bytes, and 8 KB of an index are one unit.
pub const DUE_PAGE_UNITS: f64 = DUE_PAGE * 150.0 / 8_192.0;

/// Batches of messages that the planner sends at once for each shard: `SENDS_AT_ONCE` of `plan_run.rs`.
pub const SENDS: f64 = 8.0;

/// Seconds that SQS takes for a batch of ten messages. Assumed: it is not measured on AWS.
pub const SEND: f64 = 0.02;

/// Processor seconds of a request to AWS: a charge's four take the worker 1.1 ms (`make bench-compare`). Of the planner it is assumed to be the same.
pub const REQUEST: f64 = 0.000_28;

/// The share of a processor that Lambda gives at 256 MB; 1,769 MB are a whole one.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub const SHARE: f64 = 256.0 / 1_769.0;

/// The same of the reconciler, which has 512 MB.
pub const RECONCILER_SHARE: f64 = 512.0 / 1_769.0;

/// Memory of a worker: `MemorySize` of the template, in GB.
pub const WORKER_GB: f64 = 256.0 / 1_024.0;

/// Workers a second that Lambda begins to hand messages to, while there are more: 300 a minute.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
pub const MORE_WORKERS: f64 = 300.0 / 60.0;

/// Messages that SQS lets be under way at once.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const IN_FLIGHT: f64 = 120_000.0;

/// Instances that Lambda lets an account have at once, of all functions, before it is asked for more.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const INSTANCES: f64 = 1_000.0;

/// Seconds of a webhook that is news: three requests to `DynamoDB`, a read of `PortOne`'s and its own work, by `[assumed]` of
/// `infra/prices.toml`. One that the books know already takes a seventh of it.
pub const WEBHOOK: f64 = 3.0 * 0.005 + 0.150 + 0.020;

/// Webhooks a second that the HTTP API lets through: `WebhooksPerSecond`.
pub const WEBHOOKS: f64 = 200.0;

/// Mails that a notifier sends at once: `SENDS_AT_ONCE` of `notify.rs`.
pub const MAILS_AT_ONCE: f64 = 8.0;

/// Seconds of a mail: SES, and its mark in `DynamoDB`, by `[assumed]` of `infra/prices.toml`; and 5 ms of the notifier's own work, assumed.
pub const MAIL: f64 = 0.060 + 0.005 + 0.005;

/// Shards of a new table's stream, each read by one notifier: its 4,000 write units are four partitions', and a partition has a shard.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>
pub const STREAM_SHARDS: f64 = NEW_TABLE_WRITES / PARTITION_WRITES;

/// Requests to `DynamoDB` of a charge that goes well, but for the claim of its mail: the subscription, the intent, the settlement, the webhook's
/// look, the mail's mark, and a tenth of the stop. `crates/sandbox/tests/requests.toml` counts them.
pub const REQUESTS: f64 = 5.1;

/// Requests more, if its webhook comes before its answer is written down: the webhook reads the subscription and settles, and the worker, whose
/// settlement then fails, reads both rows.
pub const EARLY_REQUESTS: f64 = 4.0;

/// Claims of a mail in the sandbox. A batch of up to a hundred mails has one; but where events come one by one, its notifier takes most of them
/// one by one.
pub const SANDBOX_CLAIMS: f64 = 0.8;

/// Customers a second that the sandbox's planner hands over on two cores, beside all else that the machine then does. Not to 15 %: two runs of ten
/// thousand, each done within half a second, had 18,000 and 25,000.
pub const SANDBOX_PLANNED: f64 = 20_000.0;

/// Payments of a page of `PortOne`'s listings: `SIZE` of `crates/billing-aws/src/gateway/listing.rs`.
pub const LISTED: f64 = 500.0;

/// Pages that are read at once: `SLICES_AT_ONCE` of `reconcile.rs`.
pub const LISTINGS_AT_ONCE: f64 = 4.0;

/// Seconds that `PortOne` takes for a page of 500. Assumed: nobody has measured it.
pub const LISTING: f64 = 0.5;

/// Seconds of a nightly comparison before it stops: the function's time limit, less `MARGIN_MS` of `crates/reconciler`.
pub const COMPARED_WITHIN: f64 = 900.0 - 70.0;

/// Seconds that the closing of a month has: the function's time limit.
pub const CLOSED_WITHIN: f64 = 900.0;

/// Parts in which the mean of a batch's time is summed up, of less than a millisecond each.
const STEPS: u32 = 2_000;

/// What decides how long it takes.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    /// How many customers are due.
    pub customers: f64,
    /// Charges a second that a process sends on the channel at most: `ChargesPerSecond`.
    pub each: f64,
    /// `WorkerConcurrency`.
    pub workers: f64,
    /// Whether one process is all the workers, so that a batch's charges need not wait for each other: in the sandbox only.
    pub is_one_process: bool,
    /// Workers a second that begin.
    pub more_workers: f64,
    /// The least and the most seconds that PortOne takes for a charge; every time between is as likely.
    pub latency: (f64, f64),
    /// Seconds that a worker adds to a batch: its reads, its intents, its settlements.
    pub own: f64,
    /// Customers a second that the planner hands over.
    pub planned: f64,
    /// Mails a second that SES takes from the account.
    pub mails: f64,
    /// Notifiers at once: shards of the stream × `ParallelizationFactor`.
    pub notifiers: f64,
    /// Webhooks a second that are let through.
    pub webhooks: f64,
    /// Units a second that table Invoices takes.
    pub table_writes: f64,
    /// Instances of all functions at once.
    pub instances: f64,
}

/// What a part lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A charge waits for it.
    Charges,
    /// A mail waits for it, and no charge does.
    Mails,
    /// What is more is turned away, and sent again by PortOne.
    Webhooks,
}

impl Of {
    /// As the page has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Charges => "charges",
            Self::Mails => "mails",
            Self::Webhooks => "webhooks",
        }
    }
}

/// A part that bounds something, and what moves that.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The part.
    pub what: &'static str,
    /// What it lets through.
    pub of: Of,
    /// How many of them a second.
    pub rate: f64,
    /// What it is reckoned from.
    pub from: String,
    /// The parameter that moves it.
    pub moved_by: &'static str,
}

/// What is to be expected.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Charges a second.
    pub charges: f64,
    /// What keeps it from being more.
    pub bound: Limit,
    /// Seconds until everybody was handed over.
    pub planned: f64,
    /// Seconds until the last charge has come to PortOne.
    pub charged: f64,
    /// Seconds until the last mail is sent.
    pub mailed: f64,
    /// The most messages that wait or are under way.
    pub deepest: f64,
    /// The most messages that are under way.
    pub in_flight: f64,
}

impl Stack {
    /// As `template.yaml` has it, on tables that have seen no load.
    #[must_use]
    pub fn of_the_template(customers: f64) -> Self {
        Self {
            customers,
            each: 10.0,
            workers: 4.0,
            is_one_process: false,
            more_workers: MORE_WORKERS,
            latency: (0.3, 2.0),
            own: 0.05,
            planned: planned_on_lambda(),
            mails: 14.0,
            notifiers: STREAM_SHARDS,
            webhooks: WEBHOOKS,
            table_writes: NEW_TABLE_WRITES,
            instances: INSTANCES,
        }
    }

    /// Charges a second that may be sent on the channel, by all workers.
    #[must_use]
    pub fn allowance(&self) -> f64 {
        if self.is_one_process { self.each } else { self.each * self.workers }
    }

    /// Seconds from a charge of a batch to the next: a worker has one batch at a time, and a pace of its own.
    fn distance(&self) -> f64 {
        if self.is_one_process { 0.0 } else { 1.0 / (USED * self.each) }
    }

    /// The seconds that a batch takes, on average. Its charges leave one distance after the other, and the batch is over when the last of them is
    /// answered, whichever that is; but the next batch's first charge is a distance away from this one's last.
    #[must_use]
    pub fn batch(&self) -> f64 {
        let (least, most) = self.latency;
        let last_leaves = (BATCH - 1.0) * self.distance();
        let at_least = f64::max(last_leaves + least + self.own, BATCH * self.distance());
        let at_most = f64::max(last_leaves + most + self.own, at_least);
        if at_most <= at_least {
            return at_least;
        }
        // The mean of what is never less than `at_least`: that, and the chance that it takes longer than each time after it.
        let step = (at_most - at_least) / f64::from(STEPS);
        let middles = (0..STEPS).map(|n| at_least + (f64::from(n) + 0.5) * step);
        at_least + middles.map(|time| (1.0 - self.is_over_by(time)) * step).sum::<f64>()
    }

    /// The chance that all charges of a batch are answered by so many seconds after its beginning.
    fn is_over_by(&self, time: f64) -> f64 {
        let (least, most) = self.latency;
        let answered = |sent: f64| ((time - self.own - sent - least) / (most - least)).clamp(0.0, 1.0);
        let before = std::iter::successors(Some(0.0), |before| Some(before + 1.0)).take_while(|before| *before < BATCH);
        before.map(|before| answered(before * self.distance())).product()
    }

    /// GB-seconds that workers are billed: those of their batches, waiting for a turn and for PortOne included.
    #[must_use]
    pub fn worker_gb_seconds(&self) -> f64 {
        self.customers / BATCH * self.batch() * WORKER_GB
    }

    /// Everything that bounds something, the narrowest first.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let mut limits = [self.of_charges(), self.of_the_rest()].concat();
        limits.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        limits
    }

    fn of_charges(&self) -> Vec<Limit> {
        let limit = |what, rate, from: String, moved_by| Limit { what, of: Of::Charges, rate, from, moved_by };
        let batch = self.batch();
        let notified = MAIL / MAILS_AT_ONCE;
        let busy = batch / BATCH + WEBHOOK + notified;
        vec![
            limit(
                "allowance of PortOne and the PG",
                USED * self.allowance(),
                format!("{USED} × {} allowed", self.allowance()),
                "`ChargesPerSecond` × `WorkerConcurrency`, after asking PortOne and the PG",
            ),
            limit(
                "workers × ten",
                self.workers * BATCH / batch,
                format!(
                    "{} × {BATCH} charges in the {batch:.2} s of a batch, whose charges leave {:.0} ms apart",
                    self.workers,
                    self.distance() * 1e3,
                ),
                "`WorkerConcurrency`; `ChargesPerSecond`, which is the distance",
            ),
            limit(
                "planner",
                self.planned,
                format!(
                    "{BATCH} customers in a request of {:.2} ms of a processor, of which 256 MB have {SHARE:.3}; waiting for SQS would let through {}",
                    REQUEST * 1e3,
                    thousands(sent_by_waiting()),
                ),
                "`MemorySize` of the planner, a line of `template.yaml`",
            ),
            limit(
                "writes to the partitions of `month-index`",
                SHARDS * PARTITION_WRITES / BOOKS_UNITS,
                format!("{SHARDS} × {} units, {BOOKS_UNITS} a charge", thousands(PARTITION_WRITES)),
                "`BOOKS_SHARDS`, a constant that is part of stored rows: a migration",
            ),
            limit(
                "writes to the partitions of `due-index`",
                SHARDS * PARTITION_WRITES / DUE_UNITS,
                format!("{SHARDS} × {} units, {DUE_UNITS} a charge", thousands(PARTITION_WRITES)),
                "`DUE_SHARDS`, a constant that is part of stored rows: a migration",
            ),
            limit(
                "reads of the partitions of `due-index`",
                SHARDS * PARTITION_READS * DUE_PAGE / DUE_PAGE_UNITS,
                format!("{SHARDS} × {} units, {DUE_PAGE_UNITS:.1} a page of {DUE_PAGE}", thousands(PARTITION_READS)),
                "`DUE_SHARDS`, a constant that is part of stored rows: a migration",
            ),
            limit(
                "reads of the stop, one row in one partition",
                PARTITION_READS * BATCH,
                format!("{} units, one a batch of {BATCH}", thousands(PARTITION_READS)),
                "none is needed",
            ),
            limit(
                "writes to table Invoices",
                self.table_writes / INVOICE_UNITS,
                format!(
                    "{} units, {INVOICE_UNITS} a charge; a new table's, and twice its last peak after that",
                    thousands(self.table_writes)
                ),
                "`WarmThroughput` of the table, which the template does not set, before the first large run",
            ),
            limit(
                "messages under way in SQS",
                IN_FLIGHT / batch,
                format!("{}, each for a batch", thousands(IN_FLIGHT)),
                "none is needed",
            ),
            limit(
                "instances of Lambda",
                self.instances / busy,
                format!(
                    "{} of an account; a charge a second keeps {:.2} of a worker busy, {WEBHOOK:.3} of a webhook function at most and {notified:.3} of a notifier",
                    thousands(self.instances),
                    batch / BATCH,
                ),
                "a quota increase",
            ),
        ]
    }

    fn of_the_rest(&self) -> Vec<Limit> {
        vec![
            Limit {
                what: "SES",
                of: Of::Mails,
                rate: self.mails,
                from: "the account's rate, 14 in a new production account".to_owned(),
                moved_by: "a quota increase",
            },
            Limit {
                what: "notifiers",
                of: Of::Mails,
                rate: self.notifiers * MAILS_AT_ONCE / MAIL,
                from: format!(
                    "{} shards of the stream, {MAILS_AT_ONCE} mails at once, {:.0} ms each",
                    self.notifiers,
                    MAIL * 1e3
                ),
                moved_by: "`ParallelizationFactor` of its mapping, which the template does not set",
            },
            Limit {
                what: "webhooks of the HTTP API",
                of: Of::Webhooks,
                rate: self.webhooks,
                from: "what is turned away PortOne sends again, and the books know it already".to_owned(),
                moved_by: "`WebhooksPerSecond`",
            },
        ]
    }

    /// The narrowest part that something goes through.
    #[must_use]
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "each kind has a part")]
    pub fn narrowest(&self, of: Of) -> Limit {
        self.limits().into_iter().find(|limit| limit.of == of).expect("each kind has a part")
    }

    /// Seconds until everybody is charged, at a rate that is reached when so many workers as it needs have begun.
    fn charged(&self, rate: f64) -> f64 {
        let begun = (rate * self.batch() / BATCH).min(self.workers) / self.more_workers;
        if self.customers < rate * begun / 2.0 {
            (2.0 * self.customers * begun / rate).sqrt()
        } else {
            self.customers / rate + begun / 2.0
        }
    }

    /// What is to be expected.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let bound = self.narrowest(Of::Charges);
        let planned = self.customers / self.planned;
        // A worker waits for the first messages, and the last charge is sent before its batch is over.
        let charged = self.charged(bound.rate);
        let at_once = (self.workers * BATCH).min(self.customers);
        Expected {
            charges: bound.rate,
            bound,
            planned,
            charged,
            mailed: (self.customers / self.narrowest(Of::Mails).rate).max(charged) + self.batch(),
            deepest: (self.customers - planned * self.customers / charged).max(at_once),
            in_flight: at_once,
        }
    }
}

/// Customers a second that the planner hands over on Lambda: as its share of a processor lets it, or as SQS does.
#[must_use]
pub fn planned_on_lambda() -> f64 {
    (BATCH * SHARE / REQUEST).min(sent_by_waiting())
}

/// Customers a second of all shards, if sending did nothing but wait.
fn sent_by_waiting() -> f64 {
    SHARDS * SENDS * BATCH / SEND
}

/// A whole number, by thousands.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Requests to `DynamoDB` of a customer in the sandbox, if this part of the webhooks comes before the charge's answer is written down.
#[must_use]
pub fn sandbox_requests(early: f64) -> f64 {
    REQUESTS + SANDBOX_CLAIMS + early * EARLY_REQUESTS
}

/// Seconds of a nightly comparison of so many payments, if it did nothing but wait for `PortOne`'s two listings.
#[must_use]
pub fn compared(payments: f64) -> f64 {
    2.0 * closed(payments)
}

/// Seconds of the closing of a month of so many payments, if it did nothing but wait for `PortOne`'s one listing.
#[must_use]
pub fn closed(payments: f64) -> f64 {
    payments / LISTED / LISTINGS_AT_ONCE * LISTING
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(stack: Stack) -> &'static str {
        stack.expected().bound.what
    }

    #[test]
    fn the_narrowest_limit_decides() {
        let stack = Stack::of_the_template(1e6);
        assert_eq!(bound(stack), "workers × ten");
        assert_eq!(bound(Stack { each: 0.1, ..stack }), "allowance of PortOne and the PG");
        assert_eq!(bound(Stack { workers: 40.0, is_one_process: true, ..stack }), "allowance of PortOne and the PG");
        let wide = Stack { workers: 1_000.0, each: 1e5, ..stack };
        assert_eq!(bound(wide), "writes to table Invoices");
        assert_eq!(bound(Stack { table_writes: 4e4, ..wide }), "writes to the partitions of `month-index`");
        assert_eq!(bound(Stack { instances: 100.0, ..wide }), "instances of Lambda");
    }

    #[test]
    fn neither_mails_nor_webhooks_hold_a_charge_back() {
        let stack = Stack::of_the_template(1e6);
        let slow = Stack { mails: 1.0, webhooks: 1.0, ..stack };
        assert!((slow.expected().charged - stack.expected().charged).abs() < 1e-9);
        assert!(slow.expected().mailed > 9e5);
    }

    #[test]
    fn ten_times_the_customers_take_ten_times_as_long() {
        let of = |customers| Stack::of_the_template(customers).expected().charged;
        assert!((of(1e6) / of(1e5) - 10.0).abs() < 1e-2);
    }

    #[test]
    fn a_batch_that_leaves_at_once_takes_its_slowest_charge() {
        let stack = Stack { own: 0.0, is_one_process: true, ..Stack::of_the_template(1.0) };
        assert!((stack.batch() - 1.845).abs() < 0.001, "{}", stack.batch());
        assert!((Stack { latency: (1.0, 1.0), ..stack }.batch() - 1.0).abs() < 1e-9);
    }

    /// The means of 200,000 batches each, one after the other, whose times were drawn by lot.
    #[test]
    fn a_batch_that_leaves_at_its_workers_pace_takes_the_greatest_of_turn_and_answer() {
        for (each, drawn) in [(1.0, 10.717), (2.0, 5.992), (5.0, 3.353), (10.0, 2.547), (250.0, 1.915)] {
            let batch = Stack { each, ..Stack::of_the_template(1.0) }.batch();
            assert!((batch / drawn - 1.0).abs() < 0.002, "{each} a second: {batch}, and {drawn} drawn");
        }
    }

    #[test]
    fn a_slow_pace_is_nearly_all_used_and_a_fast_one_is_not() {
        let used = |each| {
            let stack = Stack { each, ..Stack::of_the_template(1e6) };
            stack.expected().charges / stack.allowance()
        };
        assert!(used(1.0) > 0.9 && used(10.0) < 0.4, "{} and {}", used(1.0), used(10.0));
    }

    #[test]
    fn workers_that_begin_one_after_the_other_charge_half_as_many_meanwhile() {
        let of = |customers| Stack { workers: 300.0, each: 1.0, ..Stack::of_the_template(customers) };
        let rate = of(1e6).expected().charges;
        assert!((of(rate * 30.0).charged(rate) - 60.0).abs() < 1e-6);
        assert!((of(rate * 7.5).charged(rate) - 30.0).abs() < 1e-6);
        assert!((of(rate * 100.0).charged(rate) - 130.0).abs() < 1e-6);
    }

    #[test]
    fn the_planner_is_bound_by_its_share_of_a_processor() {
        assert!((5_000.0..5_300.0).contains(&planned_on_lambda()), "{}", planned_on_lambda());
    }
}
