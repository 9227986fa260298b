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
pub mod private;
pub mod sandbox;

use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How often something that takes its time is asked for, and how long lies between two times.
pub(crate) const TRIES: u32 = 100;
pub(crate) const BETWEEN: Duration = Duration::from_millis(50);

/// What runs a function.
pub trait Host: Sized {
    /// Starts a function of `target/lambda` before a sandbox.
    fn start(name: &str, sandbox: &sandbox::Sandbox) -> impl Future<Output = Self> {
        Self::start_with(name, sandbox, &[])
    }

    /// Starts one with more in its environment.
    fn start_with(name: &str, sandbox: &sandbox::Sandbox, more: &[(&str, &str)]) -> impl Future<Output = Self>;

    /// Everything that it has printed.
    fn log(&self) -> &Path;

    /// What it answers to an event.
    fn invoke(&mut self, event: Value) -> impl Future<Output = Value>;
}
