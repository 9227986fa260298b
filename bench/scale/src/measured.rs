//! First-of-the-months that were lived through: what `sandbox rush --json` writes.
#![expect(clippy::cast_precision_loss, reason = "figures for the model, which is coarser")]

use crate::{Of, SANDBOX_PLANNED, Stack, sandbox_requests};
use serde::Deserialize;

/// One of them. Times in milliseconds from the planner's tick.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// How many customers were due at once.
    pub customers: u32,
    /// Charges a second that the channel allowed.
    pub allowance: u32,
    /// Workers.
    pub workers: u32,
    /// The most messages that each worker took at once.
    pub batch: u32,
    /// Charges a second that each worker may send, if each is a process; otherwise one process is all of them.
    #[serde(default)]
    pub per_worker: Option<u32>,
    /// What PortOne's simulator took for a charge, from and to.
    pub latency_ms: (u32, u32),
    /// Until everybody was handed over.
    pub planned_ms: u64,
    /// Until the last charge came to PortOne.
    pub charged_ms: u64,
    /// Until all mails were sent and all webhooks taken.
    pub rested_ms: u64,
    /// The most charges that arrived within any second.
    pub most_in_a_second: u64,
    /// The most that were let go within any second; runs before this was noted have none.
    pub most_sent_in_a_second: Option<u64>,
    /// The share of the allowance that was used, in percent.
    pub used_percent: Option<u64>,
    /// Approvals in PortOne's ledger.
    pub approvals: u64,
    /// Mails that were sent.
    pub mails: u64,
    /// Requests to DynamoDB of all functions.
    pub dynamodb_requests: u64,
    /// Calls to PortOne.
    pub portone_calls: u64,
    /// Messages to queues.
    pub messages: u64,
    /// The most memory of the whole stack, its tables and PortOne's simulator in it.
    pub peak_memory_kib: u64,
    /// The nightly comparison of the day.
    pub compared: Pass,
    /// Closing the month.
    pub closed: Pass,
    /// The same before anybody was due.
    pub memory_before_kib: u64,
    /// Twice a second.
    pub looks: Vec<Look>,
}

/// What a pass of the reconciler took, after it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// How long it ran.
    pub ms: u64,
    /// By how much it raised the most memory that the stack ever held: what was free by then it took first.
    pub memory_kib: u64,
    /// Whether it found our books and PortOne's the same.
    pub is_equal: bool,
}

/// What there was at a moment.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// When.
    pub ms: u64,
    /// Messages that waited or were worked on.
    pub waiting: u64,
    /// Charges so far.
    pub charges: u64,
}

impl Measured {
    /// All that are kept, by the number of customers and what was allowed.
    ///
    /// # Panics
    /// If a file of `measured/` is not what `sandbox rush` writes.
    #[must_use]
    #[expect(clippy::panic, reason = "a broken file of this repository is a mistake of the one who changed it")]
    pub fn all() -> Vec<Self> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/measured");
        let files = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
        let mut all: Vec<Self> = files
            .map(|file| {
                let path = file.unwrap_or_else(|error| panic!("{directory}: {error}")).path();
                let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            })
            .collect();
        all.sort_by_key(|measured| (measured.customers, measured.allowance, measured.per_worker));
        all
    }

    /// The stack that it was measured on, to the model: one machine, tables without limits, no limit of mails, webhooks or instances. What
    /// happened is not among it.
    #[must_use]
    pub fn stack(&self) -> Stack {
        let (least, most) = self.latency_ms;
        Stack {
            customers: f64::from(self.customers),
            each: f64::from(self.per_worker.unwrap_or(self.allowance)),
            workers: f64::from(self.workers),
            batch: f64::from(self.batch),
            is_one_process: self.per_worker.is_none(),
            more_workers: f64::INFINITY,
            latency: (f64::from(least) / 1e3, f64::from(most) / 1e3),
            planned: SANDBOX_PLANNED,
            mails: f64::INFINITY,
            notifiers: f64::INFINITY,
            webhooks: f64::INFINITY,
            table_writes: f64::INFINITY,
            instances: f64::INFINITY,
            ..Stack::of_the_template(0.0)
        }
    }

    /// Whether the allowance is the narrowest part; otherwise the workers are.
    #[must_use]
    pub fn is_bound_by_the_allowance(&self) -> bool {
        self.stack().narrowest(Of::Charges).what == "allowance of PortOne and the PG"
    }

    /// The part of the webhooks that came before the charge's own answer was written down: each of them has read its payment at PortOne.
    #[must_use]
    pub fn early(&self) -> f64 {
        self.portone_calls.saturating_sub(u64::from(self.customers)) as f64 / f64::from(self.customers)
    }

    /// Requests to `DynamoDB` of each customer.
    #[must_use]
    pub fn requests_each(&self) -> f64 {
        self.dynamodb_requests as f64 / f64::from(self.customers)
    }

    /// The same as the model has it.
    #[must_use]
    pub fn expected_requests_each(&self) -> f64 {
        sandbox_requests(f64::from(self.batch), self.early())
    }

    /// Customers a second that the planner handed over.
    #[must_use]
    pub fn handed_over(&self) -> f64 {
        f64::from(self.customers) / (self.planned_ms.max(1) as f64 / 1e3)
    }

    /// The most messages that waited or were worked on.
    #[must_use]
    pub fn deepest(&self) -> u64 {
        self.looks.iter().map(|look| look.waiting).max().unwrap_or(0)
    }
}
