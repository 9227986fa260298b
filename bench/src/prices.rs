//! What Lambda asks for invocations, by `infra/prices.toml`.

use lambda_tests::sandbox::root;
use serde::Deserialize;

/// The prices that are needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Prices {
    pub(crate) as_of: String,
    lambda: Lambda,
    assumed: Assumed,
}

#[derive(Debug, Deserialize)]
struct Lambda {
    gb_second: f64,
    million_requests: f64,
}

/// In milliseconds, but for the share.
#[derive(Debug, Deserialize)]
struct Assumed {
    start_share: f64,
    #[serde(rename = "dynamodb_ms")]
    dynamodb: u32,
    #[serde(rename = "portone_charge_ms")]
    charge: u32,
    #[serde(rename = "portone_read_ms")]
    read: u32,
}

/// What a million invocations cost, in US dollars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerMillion {
    /// All of it.
    pub(crate) total: f64,
    /// What cold starts add.
    pub(crate) cold: f64,
}

impl Prices {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(root().join("infra/prices.toml")).unwrap();
        toml::from_str(&text).unwrap()
    }

    /// How many of all invocations find no process that waits for them. It is small where there is work all the time, and near all where there is
    /// hardly any; what a cold start costs is told beside the total, so that any other share can be reckoned.
    pub(crate) fn cold_share(&self) -> f64 {
        self.assumed.start_share
    }

    /// How long a function waits on AWS for so many requests to `DynamoDB`, reads and charges at `PortOne`, one after the other. In
    /// milliseconds.
    pub(crate) fn waiting(&self, (requests, reads, charges): (u32, u32, u32)) -> u32 {
        let Assumed { dynamodb, charge, read, .. } = self.assumed;
        requests * dynamodb + reads * read + charges * charge
    }

    /// Of a function of `memory` MB whose invocations take so long, in milliseconds, warm ones and the [share](Self::cold_share) that begin with a start.
    /// Each is charged by the millisecond begun.
    pub(crate) fn per_million(&self, memory: u32, warm_ms: f64, cold_ms: f64) -> PerMillion {
        let (warm, first) = (warm_ms.ceil(), cold_ms.ceil());
        let per_ms = f64::from(memory) / 1024.0 / 1000.0 * self.lambda.gb_second * 1e6;
        let cold = self.cold_share() * (first - warm) * per_ms;
        PerMillion { total: self.lambda.million_requests + warm * per_ms + cold, cold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let text = "as_of = 'today'\n[lambda]\ngb_second = 0.00001\nmillion_requests = 0.2\n[assumed]\ndynamodb_ms = 5\n\
                    portone_charge_ms = 1500\nportone_read_ms = 150\nstart_share = 0.01";
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_million_is_charged_by_the_millisecond_begun() {
        // 100 ms of a gigabyte, a million times, are 100,000 GB-seconds.
        let cost = prices().per_million(1024, 99.001, 100.0);
        assert!((cost.total - 1.2).abs() < 1e-9, "{cost:?}");
        assert!(cost.cold.abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn a_cold_start_adds_its_share() {
        let cost = prices().per_million(1024, 100.0, 1_000.0);
        assert!((cost.cold - 0.01 * 9.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.total - 1.29).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn what_is_waited_for_is_reckoned_one_after_the_other() {
        assert_eq!(prices().waiting((3, 1, 0)), 165);
        assert_eq!(prices().waiting((4, 0, 1)), 1_520);
    }
}
