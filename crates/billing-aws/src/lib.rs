//! The ports on AWS.
//!
//! | module | is |
//! | --- | --- |
//! | [`config`] | what the operator sets, read once, all mistakes reported together |
//! | [`item`] | the tables' rows: attribute names, and the way to the core's types and back |
//! | [`tables`] | the tables themselves, as data |
//! | [`dynamo`] | the `Store` on `DynamoDB` |
//! | [`sqs`], [`ses`] | the `Queue` and the `Mailer` |
//! | [`secrets`] | secrets that can be replaced while functions run |
//! | [`gateway`] | the `Gateway` over `PortOne`'s client |
//! | [`telemetry`], [`clock`] | metrics as log lines; the real time |
//! | [`bootstrap`] | what every function does before its first event |
//!
//! There is no rule of billing here: an adapter translates, and says honestly what it does not know.

pub mod bootstrap;
pub mod clock;
pub mod config;
pub mod dynamo;
pub mod gateway;
pub mod item;
mod sdk;
pub mod secrets;
pub mod ses;
pub mod sqs;
pub mod tables;
pub mod telemetry;
