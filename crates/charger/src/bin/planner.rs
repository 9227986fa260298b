//! λ planner: wiring.

use billing_aws::bootstrap::{self, prewarm, telemetry};
use billing_aws::config::{self, Queues, Tables};
use billing_flows::ports::Clock;
use charger::planner::{self, PlannerEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("planner").await;
    let (tables, queues): (Tables, Queues) = config::from_env()?;
    let (store, queue, telemetry) = (aws.store(tables), aws.queue(queues), telemetry());
    tokio::join!(prewarm(store.warm_up()), prewarm(queue.warm_up()));
    let (store, queue, telemetry) = (&store, &queue, &telemetry);
    run(service_fn(move |event: LambdaEvent<PlannerEvent>| async move {
        let deadline = event.context.deadline();
        let is_late = || planner::is_late(deadline, billing_aws::clock::SystemClock.now());
        Ok::<_, Error>(planner::handle(store, queue, telemetry, event.payload, is_late).await?)
    }))
    .await
}
