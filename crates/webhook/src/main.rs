//! λ `POST /api/portone/billing-webhook`: wiring.

use billing_aws::bootstrap;
use billing_aws::config::{self, Dunning, PortOne, Queues, Tables, Webhooks};
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("webhook").await;
    let (tables, portone, dunning, webhooks, queues): (Tables, PortOne, Dunning, Webhooks, Queues) =
        config::from_env()?;
    let queue = aws.queue(queues);
    let secrets = aws.webhook_secrets(&webhooks);
    let (billing, _) = tokio::join!(aws.billing(tables, &portone, dunning), secrets.get());
    let billing = billing?;
    let (billing, queue, secrets) = (&billing, &queue, &secrets);
    run(service_fn(move |request: Request| async move {
        Ok::<_, Error>(webhook::handle(billing, queue, secrets, request).await)
    }))
    .await
}
