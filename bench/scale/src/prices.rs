//! What Lambda asks for a second of a worker: `infra/prices.toml`.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Prices {
    lambda: Lambda,
}

#[derive(Debug, Deserialize)]
struct Lambda {
    gb_second: f64,
}

/// US dollars for a GB-second.
///
/// # Panics
/// If the file is not what it was.
#[must_use]
#[expect(clippy::panic, reason = "a broken file of this repository is a mistake of the one who changed it")]
pub fn gb_second() -> f64 {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/prices.toml");
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let prices: Prices = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    prices.lambda.gb_second
}
