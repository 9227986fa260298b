//! How long a first of the month takes on which everybody is due at once, and what bounds it.
//!
//! The model is arithmetic: every part of the stack lets through so many charges a second, and the least of them decides. It is held against
//! first-of-the-months that were lived through in real time (`make rush`), in `measured/`, by `tests/measured.rs`.
#![expect(clippy::float_arithmetic, reason = "an estimate of time; no customer's money")]

pub mod measured;
pub mod plot;

/// The messages of a worker's batch: `BatchSize` of its mapping.
pub const BATCH: f64 = 10.0;

/// The part of an allowance that a process uses (`crates/billing-aws/src/gateway/pace.rs`).
pub const USED: f64 = 0.97;

/// Shards of `due-index`, and of a month's books.
pub const SHARDS: f64 = 4.0;

/// Write units a second that one partition of `DynamoDB` takes, of a table or of an index.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub const PARTITION_WRITES: f64 = 1_000.0;

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

/// Messages that SQS lets be under way at once.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const IN_FLIGHT: f64 = 120_000.0;

/// What decides how long it takes.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    /// How many customers are due.
    pub customers: f64,
    /// Charges a second that PortOne and the PG allow on the channel: `ChargesPerSecond` × `WorkerConcurrency`.
    pub allowance: f64,
    /// `WorkerConcurrency`.
    pub workers: f64,
    /// The least and the most seconds that PortOne takes for a charge; every time between is as likely.
    pub latency: (f64, f64),
    /// Seconds that a worker adds to a batch: its reads, its intents, its settlements.
    pub own: f64,
    /// Messages a second that the planner hands over.
    pub planned: f64,
    /// Mails a second that SES takes from the account.
    pub mails: f64,
    /// Units a second that table Invoices takes.
    pub table_writes: f64,
}

/// What bounds it, and what moves that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// What it is.
    pub what: &'static str,
    /// Charges a second that it lets through.
    pub charges: f64,
    /// The parameter that moves it.
    pub moved_by: &'static str,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy)]
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
    /// The most messages that wait.
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
            allowance: 40.0,
            workers: 4.0,
            latency: (0.3, 2.0),
            own: 0.05,
            planned: 5_000.0,
            mails: 14.0,
            table_writes: NEW_TABLE_WRITES,
        }
    }

    /// The seconds that a batch takes: its slowest charge, for they are made at once. Of so many times between least and most the greatest is on
    /// average so far up.
    #[must_use]
    pub fn batch(&self) -> f64 {
        let (least, most) = self.latency;
        least + (most - least) * BATCH / (BATCH + 1.0) + self.own
    }

    /// Everything that bounds the charges, the narrowest first.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let limit = |what, charges, moved_by| Limit { what, charges, moved_by };
        let mut limits = vec![
            limit("allowance of PortOne and the PG", USED * self.allowance, "ChargesPerSecond, after asking PortOne"),
            limit(
                "workers × ten, each batch its slowest charge",
                self.workers * BATCH / self.batch(),
                "WorkerConcurrency",
            ),
            limit("planner", self.planned, "SENDS_AT_ONCE; more shards"),
            limit("partitions of month-index", SHARDS * PARTITION_WRITES / BOOKS_UNITS, "BOOKS_SHARDS"),
            limit("partitions of due-index", SHARDS * PARTITION_WRITES / DUE_UNITS, "DUE_SHARDS"),
            limit("writes to table Invoices", self.table_writes / INVOICE_UNITS, "warm throughput of the table"),
            limit("messages under way in SQS", IN_FLIGHT / self.batch(), "none is needed"),
        ];
        limits.sort_by(|one, other| one.charges.total_cmp(&other.charges));
        limits
    }

    /// What is to be expected.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let bound = self.limits()[0];
        let planned = self.customers / self.planned;
        // A worker waits for the first messages, and the last charge is sent before its batch is over.
        let charged = self.customers / bound.charges;
        let at_once = (self.workers * BATCH).min(self.customers);
        Expected {
            charges: bound.charges,
            bound,
            planned,
            charged,
            mailed: (self.customers / self.mails).max(charged) + self.batch(),
            deepest: (self.customers - planned * bound.charges).max(at_once),
            in_flight: at_once,
        }
    }
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
        assert_eq!(bound(stack), "workers × ten, each batch its slowest charge");
        assert_eq!(bound(Stack { workers: 40.0, ..stack }), "allowance of PortOne and the PG");
        let wide = Stack { workers: 1_000.0, allowance: 1e5, ..stack };
        assert_eq!(bound(wide), "writes to table Invoices");
        assert_eq!(bound(Stack { table_writes: 4e4, ..wide }), "partitions of month-index");
    }

    #[test]
    fn ten_times_the_customers_take_ten_times_as_long() {
        let of = |customers| Stack::of_the_template(customers).expected().charged;
        assert!((of(1e6) / of(1e5) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_batch_takes_about_its_slowest_charge() {
        let stack = Stack { own: 0.0, ..Stack::of_the_template(1.0) };
        assert!((stack.batch() - 1.845).abs() < 0.001);
    }
}
