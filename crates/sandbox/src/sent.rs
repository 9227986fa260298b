//! When each charge was let go: by the line that the gateway writes when `PortOne` has answered, and the milliseconds that it says this took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The moments, to the millisecond. Clones are the same moments.
#[derive(Debug, Clone, Default)]
pub struct Sent(Arc<Mutex<Vec<Instant>>>);

impl Sent {
    /// What notes them.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        self.clone().with_filter(Targets::new().with_target("billing_aws::gateway", Level::INFO))
    }

    /// All so far, in order.
    pub fn moments(&self) -> Vec<Instant> {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        moments.sort_unstable();
        moments
    }
}

impl<S: Subscriber> Layer<S> for Sent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
        let answered = Instant::now();
        if let Some(moment) = line.portone_ms.filter(|_| line.is_charge).and_then(|ms| answered.checked_sub(ms)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    is_charge: bool,
    portone_ms: Option<Duration>,
}

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_charge |= field.name() == "operation" && value == "charge";
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "portone_ms" {
            self.portone_ms = Some(Duration::from_millis(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn a_charge_that_was_answered_is_noted_and_nothing_else_is() {
        let sent = Sent::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(sent.layer()), || {
            let (charge, payment) = ("charge", "payment");
            tracing::info!(target: "billing_aws::gateway", operation = charge, portone_ms = 700_u64, "PortOne answered");
            tracing::info!(target: "billing_aws::gateway", operation = payment, portone_ms = 1_u64, "PortOne answered");
            tracing::info!(target: "elsewhere", operation = charge, portone_ms = 1_u64, "PortOne answered");
        });
        assert_eq!(sent.moments().len(), 1);
    }
}
