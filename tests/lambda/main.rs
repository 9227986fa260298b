//! The functions as they are deployed, the very `bootstrap` of each zip, work against a sandbox: every file of `events/` gets its right
//! answer, and a function starts, runs on and stops as Lambda's functions must.
//!
//! `make test-lambda` builds the functions for this machine, and the sandbox, and runs this. In place of Lambda stands
//! [`function`]: its Runtime API, and nothing else of it. No share of a processor and no limit of memory is set, so the times told here are
//! those of a machine that has a whole processor to give.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test to its last line")]

mod events;
mod function;
mod life;
mod sandbox;
