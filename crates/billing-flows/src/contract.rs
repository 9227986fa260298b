//! The promises of the ports, as tests that every implementation of them must pass.
//!
//! A behaviour is a function that takes a fresh, empty implementation and panics where it breaks the promise the function is named after.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests; they live outside `tests/` so that other crates can run them"
)]

pub mod store;
