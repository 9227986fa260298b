//! The `PortOne` simulator, over HTTP, as its clients see it.

#![expect(clippy::unwrap_used, reason = "what helpers unwrap is a test's failure, too")]

mod bench;
mod contract;
mod receiver;

mod auth;
mod browser;
mod cancel;
mod charge;
mod console;
mod faults;
mod idempotency;
mod keys;
mod lists;
mod restart;
mod schedules;
mod webhooks;
