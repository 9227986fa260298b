//! How long the hot paths take: `cargo bench --package function-benches`. Times depend on the machine; what counts is what stands side by side.
//!
//! The webhooks are verified and read by our own crate and by [`standardwebhooks`], the Standard Webhooks project's, from the same headers and body.
#![expect(clippy::unwrap_used, reason = "what is wrong here ends the bench")]

use divan::{Bencher, black_box};
use function_benches::path;

fn main() {
    divan::main();
}

/// A webhook that is taken, and three that are refused.
mod webhook {
    use divan::{Bencher, black_box};
    use function_benches::delivery::{self, Delivery};
    use jiff::Timestamp;
    use serde::Deserialize;
    use serde::de::{DeserializeOwned, IgnoredAny};
    use serde_json::Value;
    use standardwebhooks::Webhook;

    /// An event as a user of the other crate would read it.
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        _kind: String,
        #[serde(rename = "timestamp")]
        _at: Timestamp,
        #[serde(rename = "data")]
        _data: Data,
    }

    /// Of any event: telling them apart while reading would cost more.
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "storeId")]
        _store: String,
        #[serde(rename = "paymentId")]
        _payment: Option<String>,
        #[serde(rename = "transactionId")]
        _transaction: Option<String>,
        #[serde(rename = "cancellationId")]
        _cancellation: Option<String>,
        #[serde(rename = "billingKey")]
        _key: Option<String>,
    }

    #[expect(clippy::disallowed_methods, reason = "the other crate reads the system's clock")]
    fn now() -> Timestamp {
        Timestamp::now()
    }

    fn event(name: &str) -> &'static str {
        if name == "paid" { delivery::PAID } else { delivery::ISSUED }
    }

    const EVENTS: [&str; 2] = ["paid", "issued"];

    #[divan::bench(args = EVENTS)]
    fn accepted_by_portone(bencher: Bencher<'_, '_>, name: &str) {
        let (delivery, secrets, now) = (Delivery::of(event(name), now()), delivery::secrets(), now());
        bencher.bench_local(|| black_box(&delivery).receive(&secrets, now).unwrap());
    }

    #[divan::bench(args = EVENTS, types = [Value, Event])]
    fn accepted_by_standardwebhooks<T: DeserializeOwned>(bencher: Bencher<'_, '_>, name: &str) {
        let (delivery, webhook) = (Delivery::of(event(name), now()), Webhook::new(delivery::SECRET).unwrap());
        bencher.bench_local(|| black_box(&delivery).receive_by_standardwebhooks::<T>(&webhook).unwrap());
    }

    const REFUSED: [&str; 3] = ["forged", "unsigned", "too old"];

    fn refused(name: &str) -> Delivery {
        match name {
            "forged" => Delivery::of(delivery::PAID, now()).forged(),
            "unsigned" => Delivery::of(delivery::PAID, now()).unsigned(),
            _ => Delivery::of(delivery::PAID, delivery::long_before(now())),
        }
    }

    #[divan::bench(args = REFUSED)]
    fn refused_by_portone(bencher: Bencher<'_, '_>, name: &str) {
        let (delivery, secrets, now) = (refused(name), delivery::secrets(), now());
        bencher.bench_local(|| black_box(&delivery).receive(&secrets, now).unwrap_err());
    }

    #[divan::bench(args = REFUSED)]
    fn refused_by_standardwebhooks(bencher: Bencher<'_, '_>, name: &str) {
        let (delivery, webhook) = (refused(name), Webhook::new(delivery::SECRET).unwrap());
        bencher.bench_local(|| black_box(&delivery).receive_by_standardwebhooks::<IgnoredAny>(&webhook).unwrap_err());
    }
}

/// Every path that `guard` counts.
#[divan::bench(args = path::ALL.map(|(name, _)| name))]
fn paths(bencher: Bencher<'_, '_>, name: &str) {
    let (_, ready) = path::ALL.into_iter().find(|(known, _)| *known == name).unwrap();
    let path = ready();
    bencher.bench_local(|| black_box(&path)());
}
