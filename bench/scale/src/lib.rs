//! How long a first of the month takes on which everybody is due at once, and what bounds it.
//!
//! The model is arithmetic: every part of the stack lets through so many a second, and the narrowest decides. It is held against
//! first-of-the-months that were lived through in real time (`make rush`), in `measured/`, by `tests/measured.rs`.
#![expect(clippy::float_arithmetic, reason = "an estimate of time; no customer's money")]

pub mod measured;
pub mod page;
pub mod plot;
pub mod prices;

/// The messages of a worker's batch: `WorkerBatch` of the template.
pub const BATCH: f64 = 50.0;

/// How many times `ChargesPerSecond` a worker's batch may be: the template's rules refuse more.
pub const BATCH_SECONDS: f64 = 5.0;

/// Seconds that a charge waits for its turn at most: `MAX_WAIT` of `crates/billing-aws/src/gateway/pace.rs`.
pub const MAX_WAIT: f64 = 20.0;

/// The customers that the planner hands over in one request: SQS takes no more.
pub const SENT: f64 = 10.0;

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

/// Write units of `user-index` for a charge: the same two writes of a whole row of up to 2 KB, which of an index are no transaction's.
pub const USER_UNITS: f64 = 4.0;

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

/// Processor seconds of a request: ten charges' 32 take the worker 9.3 ms (`make bench-compare`). Of the planner it is assumed to be the same.
pub const REQUEST: f64 = 0.000_292;

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

/// Requests to `DynamoDB` of a charge that goes well, but for the claim of its mail and for what its batch asks once: the intent, the settlement,
/// the webhook's look, the mail's mark. `crates/sandbox/tests/requests.toml` counts them.
pub const REQUESTS: f64 = 4.0;

/// Requests of a batch, however many it holds: the stop, and its subscriptions.
pub const BATCH_REQUESTS: f64 = 2.0;

/// Requests more, if its webhook comes before its answer is written down: the webhook reads the subscription and settles, and the worker, whose
/// settlement then fails, reads both rows.
pub const EARLY_REQUESTS: f64 = 4.0;

/// Claims of a mail in the sandbox. A batch of up to a hundred mails has one; but where events come one by one, its notifier takes most of them
/// one by one.
pub const SANDBOX_CLAIMS: f64 = 0.8;

/// Customers a second that the sandbox's planner hands over on two cores, beside all else that the machine then does. Not to 15 %: it is done with
/// ten thousand within half a second and with a hundred thousand within three, and runs of so many had 18,000 to 37,000.
pub const SANDBOX_PLANNED: f64 = 26_000.0;

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

/// Seconds of a day.
pub const DAY: f64 = 24.0 * 3_600.0;

/// Seconds of a day in which a run charges: from its plan at 10:00 in Seoul (`BILLING_HOUR` of `crates/billing-core/src/calendar.rs`, the
/// planner's only schedule) to 23:30, when the banks pause (`banks_are_down` of the same). The workers drop what they meet in the hour of the
/// pause; it stays due, and is planned again at the next 10:00. That the hour is enough to drop all is assumed: what were left would be charged
/// from 00:30 on, and so sooner than the model says.
pub const CHARGING_DAY: f64 = (23.5 - 10.0) * 3_600.0;

/// Seconds for which a stream keeps an event: a mail that waits longer is not sent.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html>
pub const STREAM_KEEPS: f64 = 24.0 * 3_600.0;

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
    /// The messages that a worker takes at once: `WorkerBatch`.
    pub batch: f64,
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
    /// Notifiers at once: shards of the stream × `NotifiersPerShard`.
    pub notifiers: f64,
    /// Webhooks a second that are let through.
    pub webhooks: f64,
    /// Units a second that table Invoices takes, and as many its `user-index`: `InvoiceWriteUnits`.
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
    /// Seconds until the last charge has come to PortOne, with the nights in which nothing is charged ([`CHARGING_DAY`]).
    pub charged: f64,
    /// Seconds until the last mail is sent: mails go on through the night.
    pub mailed: f64,
    /// The most seconds that a mail waits for its turn.
    pub mail_waits: f64,
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
            batch: BATCH,
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
    pub fn batch_takes(&self) -> f64 {
        let (least, most) = self.latency;
        let last_leaves = (self.batch - 1.0) * self.distance();
        let at_least = f64::max(last_leaves + least + self.own, self.batch * self.distance());
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
        let before =
            std::iter::successors(Some(0.0), |before| Some(before + 1.0)).take_while(|before| *before < self.batch);
        before.map(|before| answered(before * self.distance())).product()
    }

    /// Charges a second that the workers send, if nothing else is in the way.
    #[must_use]
    pub fn sent_by_workers(&self) -> f64 {
        self.workers * self.batch / self.batch_takes()
    }

    /// The part of the allowance that the workers use, if nothing else is in the way.
    #[must_use]
    pub fn used(&self) -> f64 {
        self.sent_by_workers() / self.allowance()
    }

    /// GB-seconds that workers are billed: those of their batches, waiting for a turn and for PortOne included.
    #[must_use]
    pub fn worker_gb_seconds(&self) -> f64 {
        self.customers / self.batch * self.batch_takes() * WORKER_GB
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
        let takes = self.batch_takes();
        let notified = MAIL / MAILS_AT_ONCE;
        let busy = takes / self.batch + WEBHOOK + notified;
        vec![
            limit(
                "allowance of PortOne and the PG",
                USED * self.allowance(),
                format!("{USED} × {} allowed", self.allowance()),
                "`ChargesPerSecond` × `WorkerConcurrency`, after asking PortOne and the PG",
            ),
            limit(
                "workers × batch",
                self.sent_by_workers(),
                format!(
                    "{} × {} charges in the {takes:.2} s of a batch, whose charges leave {:.0} ms apart",
                    self.workers,
                    self.batch,
                    self.distance() * 1e3,
                ),
                "`WorkerConcurrency`; `WorkerBatch`; `ChargesPerSecond`, which is the distance",
            ),
            limit(
                "planner",
                self.planned,
                format!(
                    "{SENT} customers in a request of {:.3} ms of a processor, of which 256 MB have {SHARE:.3}; waiting for SQS would let through {}",
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
                PARTITION_READS * self.batch,
                format!("{} units, one a batch of {}", thousands(PARTITION_READS), self.batch),
                "none is needed",
            ),
            limit(
                "writes to table Invoices",
                self.table_writes / INVOICE_UNITS,
                format!(
                    "{} units, {INVOICE_UNITS} a charge; a new table's, and twice its last peak after that",
                    thousands(self.table_writes)
                ),
                "`InvoiceWriteUnits`, before the first large run",
            ),
            limit(
                "writes to `user-index` of Invoices",
                self.table_writes / USER_UNITS,
                format!("{} units, {USER_UNITS} a charge; a new table's, as above", thousands(self.table_writes)),
                "`InvoiceWriteUnits`",
            ),
            limit(
                "messages under way in SQS",
                IN_FLIGHT / takes,
                format!("{}, each for a batch", thousands(IN_FLIGHT)),
                "none is needed",
            ),
            limit(
                "instances of Lambda",
                self.instances / busy,
                format!(
                    "{} of an account; a charge a second keeps {:.2} of a worker busy, {WEBHOOK:.3} of a webhook function at most and {notified:.3} of a notifier",
                    thousands(self.instances),
                    takes / self.batch,
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
                moved_by: "`NotifiersPerShard`",
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

    /// Seconds of charging until everybody is charged, at a rate that is reached when so many workers as it needs have begun.
    fn works(&self, rate: f64) -> f64 {
        let begun = (rate * self.batch_takes() / self.batch).min(self.workers) / self.more_workers;
        if self.customers < rate * begun / 2.0 {
            (2.0 * self.customers * begun / rate).sqrt()
        } else {
            self.customers / rate + begun / 2.0
        }
    }

    /// Seconds until the last mail has its turn, and the longest that one waits for it, if so many seconds are charged for at this rate. A day's mails
    /// begin with its charges, or when those of the days before are sent, and are over no sooner than its charges.
    fn mails(&self, works: f64, rate: f64) -> (f64, f64) {
        let mails = self.narrowest(Of::Mails).rate;
        let days = std::iter::successors(Some(0.0), |day| Some(day + 1.0)).take_while(|day| *day <= nights(works));
        let (sent, waits, _) = days.fold((0.0_f64, 0.0_f64, 0.0), |(sent, waits, before), day| {
            let worked = works.min((day + 1.0) * CHARGING_DAY);
            let (begins, ends) = (day * DAY, day * DAY + worked - day * CHARGING_DAY);
            let charges = self.customers - (works - worked) * rate;
            let sent = f64::max(sent.max(begins) + (charges - before) / mails, ends);
            (sent, waits.max(sent - ends), charges)
        });
        (sent, waits)
    }

    /// What is to be expected.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let bound = self.narrowest(Of::Charges);
        let planned = self.customers / self.planned;
        // A worker waits for the first messages, and the last charge is sent before its batch is over.
        let works = self.works(bound.rate);
        let charged = with_nights(works);
        let (mailed, mail_waits) = self.mails(works, bound.rate);
        let at_once = (self.workers * self.batch).min(self.customers);
        Expected {
            charges: bound.rate,
            bound,
            planned,
            charged,
            mailed: mailed + self.batch_takes(),
            mail_waits,
            deepest: (self.customers - planned * self.customers / works).max(at_once),
            in_flight: at_once,
        }
    }
}

/// The nights between the days that so many seconds of charging take.
fn nights(works: f64) -> f64 {
    ((works / CHARGING_DAY).ceil() - 1.0).max(0.0)
}

/// The seconds from a run's beginning until it has charged for so many: what does not fit into a day goes on with the next day's run.
#[must_use]
pub fn with_nights(works: f64) -> f64 {
    works + nights(works) * (DAY - CHARGING_DAY)
}

/// Customers a second that the planner hands over on Lambda: as its share of a processor lets it, or as SQS does.
#[must_use]
pub fn planned_on_lambda() -> f64 {
    (SENT * SHARE / REQUEST).min(sent_by_waiting())
}

/// Customers a second of all shards, if sending did nothing but wait.
fn sent_by_waiting() -> f64 {
    SHARDS * SENDS * SENT / SEND
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

/// Requests to `DynamoDB` of a customer in the sandbox whose charge is one of a batch of so many, if this part of the webhooks comes before the
/// charge's answer is written down.
#[must_use]
pub fn sandbox_requests(batch: f64, early: f64) -> f64 {
    REQUESTS + BATCH_REQUESTS / batch + SANDBOX_CLAIMS + early * EARLY_REQUESTS
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
        assert_eq!(bound(stack), "workers × batch");
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

    fn hours(works: f64) -> f64 {
        with_nights(works * 3_600.0) / 3_600.0
    }

    #[test]
    fn what_is_charged_by_half_past_eleven_needs_no_second_day() {
        assert!((hours(13.0) - 13.0).abs() < 1e-9);
        assert!((hours(13.5) - 13.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_at_half_past_eleven_goes_on_at_ten_of_the_next_day() {
        assert!((hours(14.0) - 24.5).abs() < 1e-9);
        assert!((hours(27.0) - 37.5).abs() < 1e-9);
        assert!((hours(27.5) - 48.5).abs() < 1e-9);
    }

    #[test]
    fn a_run_of_more_than_a_day_has_the_nights_in_it_and_is_no_deeper_a_queue_for_that() {
        let stack = Stack::of_the_template(2e6);
        let expected = stack.expected();
        let works = stack.works(expected.charges);
        assert!((13.5..27.0).contains(&(works / 3_600.0)), "{works}");
        assert!((expected.charged - works - 10.5 * 3_600.0).abs() < 1e-6);
        assert!((expected.deepest - (2e6 - expected.planned * 2e6 / works)).abs() < 1e-6);
    }

    #[test]
    fn mails_that_are_slower_than_charges_go_on_through_the_night_and_those_of_the_last_day_begin_with_it() {
        let stack = Stack { mails: 14.0, ..Stack::of_the_template(1e7) };
        assert!(
            (stack.expected().mailed - 1e7 / 14.0 - stack.batch_takes()).abs() < 1e-6,
            "they never wait for charges"
        );
        // By day 20 a second are less than the charges, by day and night they are more: each night catches up.
        let stack = Stack { mails: 20.0, ..stack };
        let (expected, works) = (stack.expected(), stack.works(stack.expected().charges));
        let last_day = (works - nights(works) * CHARGING_DAY) * expected.charges / 20.0;
        assert!(expected.mailed > 1e7 / 20.0 + 3_600.0);
        assert!((expected.mailed - nights(works) * DAY - last_day - stack.batch_takes()).abs() < 1e-6);
        let stack = Stack { mails: 1e3, ..stack };
        assert!((stack.expected().mailed - stack.expected().charged - stack.batch_takes()).abs() < 1e-6);
    }

    #[test]
    fn a_mail_waits_longest_at_the_end_of_a_day_that_had_more_charges_than_mails() {
        // One whole day, and a second of the next: the night sends what the day had left.
        let stack = Stack { mails: 20.0, ..Stack::of_the_template(1.0) };
        let rate = stack.expected().charges;
        let (sent, waits) = Stack { customers: rate * (CHARGING_DAY + 1.0), ..stack }.mails(CHARGING_DAY + 1.0, rate);
        assert!((sent - DAY - rate / 20.0).abs() < 1e-6, "{sent}");
        assert!((waits - CHARGING_DAY * (rate / 20.0 - 1.0)).abs() < 1e-6, "{waits}");
        let least = Stack { mails: f64::INFINITY, notifiers: f64::INFINITY, ..stack };
        assert!(least.expected().mail_waits < 1e-9);
    }

    #[test]
    fn a_batch_that_leaves_at_once_takes_its_slowest_charge() {
        let stack = Stack { own: 0.0, is_one_process: true, batch: 10.0, ..Stack::of_the_template(1.0) };
        assert!((stack.batch_takes() - 1.845).abs() < 0.001, "{}", stack.batch_takes());
        assert!((Stack { latency: (1.0, 1.0), ..stack }.batch_takes() - 1.0).abs() < 1e-9);
    }

    /// The means of 20,000 batches or more each, one after the other, whose times were drawn by lot.
    #[test]
    fn a_batch_that_leaves_at_its_workers_pace_takes_the_greatest_of_turn_and_answer() {
        let drawn = [
            (10.0, 1.0, 10.717),
            (10.0, 2.0, 5.992),
            (10.0, 5.0, 3.353),
            (10.0, 10.0, 2.547),
            (10.0, 250.0, 1.915),
            (50.0, 10.0, 6.713),
            (50.0, 25.0, 3.793),
            (100.0, 20.0, 6.876),
            (100.0, 75.0, 3.244),
        ];
        for (batch, each, drawn) in drawn {
            let takes = Stack { each, batch, ..Stack::of_the_template(1.0) }.batch_takes();
            assert!((takes / drawn - 1.0).abs() < 0.002, "{batch} at {each} a second: {takes}, and {drawn} drawn");
        }
    }

    #[test]
    fn the_longer_a_batch_leaves_the_more_of_its_pace_is_used() {
        let used = |batch, each| Stack { each, batch, ..Stack::of_the_template(1e6) }.used();
        let times = [(10.0, 250.0), (10.0, 10.0), (50.0, 25.0), (50.0, 10.0), (10.0, 1.0)];
        let times = times.map(|(batch, each)| used(batch, each));
        assert!(times.is_sorted() && times[1] < 0.4 && times[3] > 0.7, "{times:?}");
        assert!((used(100.0, 20.0) / used(50.0, 10.0) - 1.0).abs() < 0.03, "as long, as much of it");
    }

    #[test]
    fn workers_that_begin_one_after_the_other_charge_half_as_many_meanwhile() {
        let of = |customers| Stack { workers: 300.0, each: 1.0, ..Stack::of_the_template(customers) };
        let rate = of(1e6).expected().charges;
        assert!((of(rate * 30.0).works(rate) - 60.0).abs() < 1e-6);
        assert!((of(rate * 7.5).works(rate) - 30.0).abs() < 1e-6);
        assert!((of(rate * 100.0).works(rate) - 130.0).abs() < 1e-6);
    }

    #[test]
    fn the_planner_is_bound_by_its_share_of_a_processor() {
        assert!((4_900.0..5_000.0).contains(&planned_on_lambda()), "{}", planned_on_lambda());
    }
}
