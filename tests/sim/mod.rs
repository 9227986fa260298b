//! A deterministic simulation of billing: one process, one seed, no sockets, no wall clock.
//!
//! The functions are the deployed ones, handlers and all. What surrounds them is simulated: tables with `DynamoDB`'s conditions, `PortOne`
//! with a ledger of its own, the scheduler, queues, the stream, webhooks, the mail service. Everything is delivered at least once, late, in
//! any order; any function may die at any await point; and when a month is over, the promises are checked against `PortOne`'s ledger.

#![expect(clippy::expect_used, reason = "the simulation is a test: what it cannot make up is a mistake in it")]

pub mod checks;
pub mod context;
pub mod delivery;
pub mod exhaustive;
pub mod guards;
pub mod kernel;
pub mod month;
pub mod people;
pub mod portone;
pub mod tables;
pub mod terms;
pub mod watch;
pub mod world;
