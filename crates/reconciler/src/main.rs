//! λ reconciler: wiring.
// A pass is many questions at once, and each may charge, settle and ask again: futures nested deeper than the compiler's default.
#![recursion_limit = "256"]

use billing_aws::bootstrap;
use billing_aws::clock::SystemClock;
use billing_aws::config::{self, Dunning, PortOne, Tables};
use billing_flows::ports::Clock;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reconciler::ReconcilerEvent;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("reconciler").await;
    let (tables, portone, dunning): (Tables, PortOne, Dunning) = config::from_env()?;
    let billing = aws.billing(tables, &portone, dunning).await?;
    let billing = &billing;
    run(service_fn(move |event: LambdaEvent<ReconcilerEvent>| async move {
        let deadline = event.context.deadline();
        let is_late = || reconciler::is_late(deadline, SystemClock.now());
        Ok::<_, Error>(reconciler::handle(billing, &event.payload, is_late).await?)
    }))
    .await
}
