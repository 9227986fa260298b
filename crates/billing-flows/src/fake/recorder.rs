//! Telemetry that remembers.

use super::lock;
use crate::ports::{Signal, Telemetry};
use billing_core::event::EventKind;
use std::sync::{Arc, Mutex};

/// Keeps every signal.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Signal>>>);

impl Recorder {
    /// Every signal, oldest first.
    pub fn signals(&self) -> Vec<Signal> {
        lock(&self.0).clone()
    }

    /// The events among them that a person must look at.
    pub fn alarms(&self) -> Vec<EventKind> {
        let alarm = |signal: &Signal| {
            if let Signal::Event(kind) = signal { kind.alarms().then_some(*kind) } else { None }
        };
        lock(&self.0).iter().filter_map(alarm).collect()
    }
}

impl Telemetry for Recorder {
    fn signal(&self, signal: Signal) {
        lock(&self.0).push(signal);
    }
}
