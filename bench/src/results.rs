//! The raw figures, as they are written to a file.

use crate::case::Case;
use crate::side::{Kind, Side};
use serde::{Deserialize, Serialize};

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) packages: Vec<Package>,
    pub(crate) cold: Vec<Cold>,
    pub(crate) warm: Vec<Warm>,
}

/// What it was measured on, and with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// How many processes wanted a core in the minute before what was measured last: what is far from 0 makes times longer, on either side.
    pub(crate) load: String,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) node: String,
}

/// What is deployed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    pub(crate) zip_bytes: u64,
    /// What is loaded when it runs, Node itself included.
    pub(crate) loaded_bytes: u64,
}

/// Processes that were started and given one event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cold {
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    /// The memory whose share of a processor it had, in MB; a whole one without.
    pub(crate) share_of_mb: Option<u32>,
    /// From the start until it asks for the first event, each.
    pub(crate) init_us: Vec<u64>,
    /// From that event to its answer, each.
    pub(crate) first_us: Vec<u64>,
    /// The most memory it had, each.
    pub(crate) peak_kib: Vec<u64>,
    /// The processor time of all of it, each.
    pub(crate) processor_us: Vec<u64>,
}

/// A process that was given event after event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Warm {
    pub(crate) side: Side,
    pub(crate) case: Case,
    /// As with [`Cold`].
    pub(crate) share_of_mb: Option<u32>,
    /// Each round's invocations, from the event to its answer; the first ones of a process are not among them.
    pub(crate) rounds_us: Vec<Vec<u64>>,
    /// The processor time of each round.
    pub(crate) processor_us: Vec<u64>,
    /// The most memory it ever had.
    pub(crate) peak_kib: u64,
}

impl Cold {
    /// Start and first answer together, each.
    pub(crate) fn start_us(&self) -> Vec<u64> {
        self.init_us.iter().zip(&self.first_us).map(|(init, first)| init + first).collect()
    }
}

impl Warm {
    /// All invocations.
    pub(crate) fn us(&self) -> Vec<u64> {
        self.rounds_us.concat()
    }
}

impl Results {
    pub(crate) fn package(&self, side: Side, kind: Kind) -> &Package {
        self.packages.iter().find(|package| (package.side, package.kind) == (side, kind)).unwrap()
    }

    pub(crate) fn cold(&self, side: Side, kind: Kind, share_of_mb: Option<u32>) -> Option<&Cold> {
        self.cold.iter().find(|cold| (cold.side, cold.kind, cold.share_of_mb) == (side, kind, share_of_mb))
    }

    pub(crate) fn warm(&self, side: Side, case: Case, share_of_mb: Option<u32>) -> Option<&Warm> {
        self.warm.iter().find(|warm| (warm.side, warm.case, warm.share_of_mb) == (side, case, share_of_mb))
    }
}
