//! Stop: obey the operator who has stopped collecting.
//!
//! The switch is a row that only operators write. Whoever is about to plan or to charge reads it once per invocation, before anything else, and
//! does nothing while it stands: the planner plans nothing, the worker drops its messages, the API refuses. What they would have collected stays
//! due, so the first run after the order was taken back plans it, as after any downtime. Asking goes on: the webhook charges nobody, and the
//! reconciler sends nothing again meanwhile.

use crate::FlowError;
use crate::ports::{Signal, Store, Telemetry};

/// Whether an operator has stopped collecting; if so, it is signalled. `who` is about to collect. If it cannot be read, nobody may be charged.
pub async fn is_stopped<S: Store, T: Telemetry>(
    store: &S,
    telemetry: &T,
    who: &'static str,
) -> Result<bool, FlowError> {
    let Some(stop) = store.stopped().await? else { return Ok(false) };
    telemetry.signal(Signal::Stopped { who, reason: stop.reason });
    Ok(true)
}
