//! The functions as they are deployed, the very `bootstrap` of each zip, as processes of this machine.
//!
//! Two things stand in the place of Lambda. [`function`] is its Runtime API and nothing else of it: what a function is timed and watched with. No
//! share of a processor and no limit of memory is set. [`emulator`] is AWS's own Runtime Interface Emulator, which `sam local` has in its images. Around
//! both stands a [`sandbox`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is wrong here ends the test or the bench that asked for it"
)]

pub mod emulator;
pub mod function;
pub mod sandbox;

use serde_json::Value;

/// What runs a function.
pub trait Host: Sized {
    /// Starts a function of `target/lambda` before a sandbox.
    fn start(name: &str, sandbox: &sandbox::Sandbox) -> impl Future<Output = Self>;

    /// What it answers to an event.
    fn invoke(&mut self, event: Value) -> impl Future<Output = Value>;
}
