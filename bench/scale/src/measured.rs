//! First-of-the-months that were lived through: what `sandbox rush --json` writes.

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
    /// What PortOne's simulator took for a charge, from and to.
    pub latency_ms: (u32, u32),
    /// Until everybody was handed over.
    pub planned_ms: u64,
    /// Until the last charge came to PortOne.
    pub charged_ms: u64,
    /// Until all mails were sent and all webhooks taken.
    pub rested_ms: u64,
    /// The most charges within any second.
    pub most_in_a_second: u64,
    /// The share of the allowance that was used, in percent.
    pub used_percent: u64,
    /// Approvals in PortOne's ledger.
    pub approvals: u64,
    /// Requests to DynamoDB of all functions.
    pub dynamodb_requests: u64,
    /// Calls to PortOne.
    pub portone_calls: u64,
    /// Messages to queues.
    pub messages: u64,
    /// The most memory of the whole stack, its tables and PortOne's simulator in it.
    pub peak_memory_kib: u64,
    /// The same before anybody was due.
    pub memory_before_kib: u64,
    /// Twice a second.
    pub looks: Vec<Look>,
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
    /// All that are kept, by the number of customers.
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
        all.sort_by_key(|measured| measured.customers);
        all
    }
}
