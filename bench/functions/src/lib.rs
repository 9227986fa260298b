//! The functions' hot paths, each as one call on real-sized data, for three who measure them: `benches/` their time, `tests/` what they
//! allocate, and `guard` their instructions.
//!
//! What talks to AWS is left out: here is what the functions compute themselves.
#![expect(clippy::unwrap_used, reason = "what is wrong here ends the bench")]

pub mod billing;
pub mod charge;
pub mod delivery;
pub mod path;

use jiff::Timestamp;

/// The morning on which all of it happens.
pub fn morning() -> Timestamp {
    "2026-12-01T10:00:03+09:00".parse().unwrap()
}
