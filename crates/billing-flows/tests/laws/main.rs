//! The laws of billing, as behaviour: what must hold whatever crashes, arrives twice, arrives late or never arrives.
//!
//! Each module names at its top the law it specifies. The laws are written out in `docs/ARCHITECTURE.md`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests, too, may fail loudly")]

mod world;

mod cancel;
mod change;
mod close;
mod come_back;
mod crashes;
mod declines;
mod due_by;
mod dunning;
mod enrol;
mod identity;
mod notify;
mod one_writer;
mod pay;
mod plan_run;
mod reconcile;
mod refund;
mod stop;
mod store_faults;
mod subscribe;
mod twice;
mod unknown;
mod values;
mod webhooks;
