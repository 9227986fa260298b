//! λ the customer's side: wiring.

use api::{ANSWER_WITHIN, Desk, pages::Site};
use billing_aws::bootstrap;
use billing_aws::config::{self, Checkout, Dunning, MailFrom, PortOne, Queues, Tables};
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = bootstrap::start("api").await;
    let (tables, portone, dunning, queues, checkout, mail): (Tables, PortOne, Dunning, Queues, Checkout, MailFrom) =
        config::from_env()?;
    let (queue, secrets) = (aws.queue(queues), aws.checkout_secrets(&checkout));
    let (billing, _) = tokio::join!(aws.billing(tables, &portone, dunning), secrets.get());
    let billing = billing?;
    let site = Site::of(&billing.settings.catalogue, &checkout, &mail);
    let desk = &Desk { billing, queue, secrets, checkout, site };
    run(service_fn(move |request: Request| async move {
        Ok::<_, Error>(api::handle(desk, request, tokio::time::sleep(ANSWER_WITHIN)).await)
    }))
    .await
}
