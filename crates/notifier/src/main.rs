//! λ notifier: wiring.

use aws_lambda_events::event::dynamodb::Event;
use billing_aws::bootstrap::{self, prewarm, telemetry};
use billing_aws::clock::SystemClock;
use billing_aws::config::{self, MailFrom, Tables};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("notifier").await;
    let (tables, from): (Tables, MailFrom) = config::from_env()?;
    let catalogue = config::catalogue()?;
    let (store, mailer, sender) = (aws.store(tables), aws.mailer(&from, &catalogue), from.sender(&catalogue));
    tokio::join!(prewarm(store.warm_up()), prewarm(mailer.warm_up()));
    let (store, mailer, telemetry, sender) = (&store, &mailer, &telemetry(), &sender);
    run(service_fn(move |event: LambdaEvent<Event>| async move {
        Ok::<_, Error>(notifier::handle(store, mailer, &SystemClock, telemetry, sender, event.payload).await)
    }))
    .await
}
