//! The local stack's contract, tested from outside: the real process, its ports, and what it says on standard output.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this file and its modules are tests to their last line")]

mod api;
mod attack;
mod books;
mod kills;
mod ledger;
mod process;
mod refusals;
mod secrecy;
mod survival;
