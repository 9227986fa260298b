//! The raw figures, as they are written to a file.

use crate::case::Case;
use crate::side::{Kind, Side};
use crate::statistics::number;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) packages: Vec<Package>,
    pub(crate) cold: Vec<Cold>,
    pub(crate) warm: Vec<Warm>,
    pub(crate) floors: Vec<Floor>,
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
    /// The processor time of the first answer alone, each.
    pub(crate) first_processor_us: Vec<u64>,
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

/// A function with nothing of its own that asked for as much as a case does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) case: Case,
    /// How many invocations a round has.
    pub(crate) count: usize,
    /// The processor time of each round.
    pub(crate) processor_us: Vec<u64>,
}

impl Floor {
    /// The processor time of an invocation, in milliseconds.
    pub(crate) fn processor_ms(&self) -> f64 {
        number(self.processor_us.iter().sum()) / 1e3 / number((self.processor_us.len() * self.count) as u64)
    }
}

impl Cold {
    /// Start and first answer together, each.
    pub(crate) fn start_us(&self) -> Vec<u64> {
        self.init_us.iter().zip(&self.first_us).map(|(init, first)| init + first).collect()
    }
}

impl Warm {
    /// The later half of its rounds: before that V8 may still compile.
    pub(crate) fn steady(&self) -> Range<usize> {
        self.rounds_us.len() / 2..self.rounds_us.len()
    }

    /// The invocations of some rounds.
    pub(crate) fn us(&self, rounds: Range<usize>) -> Vec<u64> {
        self.rounds_us[rounds].concat()
    }

    /// The processor time of an invocation of some rounds, in milliseconds.
    pub(crate) fn processor_ms(&self, rounds: Range<usize>) -> f64 {
        let used = self.processor_us[rounds.clone()].iter().sum();
        number(used) / 1e3 / number(self.us(rounds).len() as u64)
    }

    /// The processor time of the last quarter of the rounds beside that of the quarter before: 1 where nothing changes any more. `None` of fewer
    /// than four rounds.
    pub(crate) fn drift(&self) -> Option<f64> {
        let (all, quarter) = (self.rounds_us.len(), self.rounds_us.len() / 4);
        let of = |end: usize| self.processor_ms(end - quarter..end);
        (quarter > 0).then(|| of(all) / of(all - quarter))
    }

    /// Which invocations of the process were measured, from and to: as many as a round has were left out before.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        let round = self.rounds_us[0].len();
        (round + 1, round * (self.rounds_us.len() + 1))
    }
}

impl Results {
    pub(crate) fn package(&self, side: Side, kind: Kind) -> &Package {
        self.packages.iter().find(|package| (package.side, package.kind) == (side, kind)).unwrap()
    }

    pub(crate) fn cold(&self, side: Side, kind: Kind, share_of_mb: Option<u32>) -> Option<&Cold> {
        self.cold.iter().find(|cold| (cold.side, cold.kind, cold.share_of_mb) == (side, kind, share_of_mb))
    }

    pub(crate) fn floor(&self, case: Case) -> &Floor {
        self.floors.iter().find(|floor| floor.case == case).unwrap()
    }

    pub(crate) fn warm(&self, side: Side, case: Case, share_of_mb: Option<u32>) -> Option<&Warm> {
        self.warm.iter().find(|warm| (warm.side, warm.case, warm.share_of_mb) == (side, case, share_of_mb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warm(processor_us: [u64; 8]) -> Warm {
        Warm {
            side: Side::Node,
            case: Case::Forged,
            share_of_mb: None,
            rounds_us: processor_us.iter().map(|us| vec![*us; 10]).collect(),
            processor_us: processor_us.to_vec(),
            peak_kib: 0,
        }
    }

    #[test]
    fn what_is_told_as_warm_is_the_later_half() {
        let warm = warm([90_000, 80_000, 70_000, 60_000, 20_000, 20_000, 20_000, 20_000]);
        assert_eq!(warm.us(warm.steady()), [20_000; 40]);
        assert!((warm.processor_ms(warm.steady()) - 2.0).abs() < 1e-9);
        assert_eq!(warm.numbers(), (11, 90));
    }

    #[test]
    fn a_process_that_becomes_faster_still_is_told_by_its_drift() {
        let of = |last: u64| warm([9, 9, 9, 9, 1_000, 1_000, last, last]).drift().unwrap();
        assert!((of(1_000) - 1.0).abs() < 1e-9);
        assert!((of(800) - 0.8).abs() < 1e-9);
    }
}
