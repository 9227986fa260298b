//! λ worker: wiring.

use aws_lambda_events::event::sqs::SqsEvent;
use billing_aws::bootstrap;
use billing_aws::config::{self, Dunning, PortOne, Queues, Tables};
use charger::worker;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("worker").await;
    let (tables, queues, portone, dunning): (Tables, Queues, PortOne, Dunning) = config::from_env()?;
    // The queue's connection is opened when it is first needed: only an unknown end needs it.
    let (queue, billing) = (aws.queue(queues), aws.billing(tables, &portone, dunning).await?);
    let (queue, billing) = (&queue, &billing);
    run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        Ok::<_, Error>(worker::handle(billing, queue, event.payload).await)
    }))
    .await
}
