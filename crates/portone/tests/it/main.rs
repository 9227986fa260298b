//! Everything this crate promises, seen from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail, helpers included")]

mod answers;
mod client;
mod contract;
mod differential;
mod errors;
mod reading;
mod samples;
mod secrecy;
mod webhooks;
