//! λ worker: wiring.

use aws_lambda_events::event::sqs::SqsEvent;
use billing_aws::bootstrap;
use billing_aws::config::{self, Dunning, PortOne, Tables};
use charger::worker;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("worker").await;
    let (tables, portone, dunning): (Tables, PortOne, Dunning) = config::from_env()?;
    let billing = aws.billing(tables, &portone, dunning).await?;
    let billing = &billing;
    run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        Ok::<_, Error>(worker::handle(billing, event.payload).await)
    }))
    .await
}
