//! The rules of billing, and nothing else.
//!
//! Every decision is a function of (state, fact, now) to (new state, events) or a refusal. This crate has no async, no AWS, no HTTP, no
//! clock, no environment and no randomness; a test over `cargo metadata` and `clippy.toml` keep it so.
//!
//! The words used here are the project's words: see `docs/ARCHITECTURE.md`, "Words".
#![deny(clippy::arithmetic_side_effects)]

pub mod billing_key;
pub mod books;
pub mod calendar;
pub mod change;
pub mod decline;
pub mod dunning;
pub mod event;
pub mod guard;
pub mod id;
pub mod invoice;
pub mod money;
pub mod notice;
pub mod plan;
pub mod private;
pub mod refund;
pub mod session;
pub mod settlement;
pub mod subscription;
pub mod text;

pub use jiff::Timestamp;
pub use jiff::civil::Date;
