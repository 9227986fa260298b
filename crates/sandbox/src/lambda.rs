//! The functions, invoked as Lambda invokes them: JSON in, JSON out, through the typed events and the very handlers that are deployed. Each
//! has its own clients, named after it, so that the ports can tell whose request is whose.

use crate::clock::Clock;
use crate::tally::Tally;
use anyhow::Context as _;
use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use billing_aws::dynamo::DynamoStore;
use billing_aws::gateway::PortOneGateway;
use billing_aws::secrets::{CachedSecret, SecretsManager, WebhookSecrets};
use billing_aws::ses::SesMailer;
use billing_aws::sqs::SqsQueue;
use billing_flows::mail::Sender;
use billing_flows::{Billing, ports};
use charger::planner::PlannerEvent;
use lambda_http::lambda_runtime::{Context, LambdaEvent};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Request, Response, Service, service_fn};
use reconciler::ReconcilerEvent;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

impl ports::Clock for Clock {
    fn now(&self) -> jiff::Timestamp {
        Self::now(self)
    }
}

/// The deployed functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// λ webhook.
    Webhook,
    /// λ api.
    Api,
    /// λ planner.
    Planner,
    /// λ worker.
    Worker,
    /// λ reconciler.
    Reconciler,
    /// λ notifier.
    Notifier,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Webhook, Self::Api, Self::Planner, Self::Worker, Self::Reconciler, Self::Notifier];

    /// Its name: that of its binary, and of its clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Api => "api",
            Self::Planner => "planner",
            Self::Worker => "worker",
            Self::Reconciler => "reconciler",
            Self::Notifier => "notifier",
        }
    }
}

/// The gateway as the sandbox's functions have it.
pub type Gateway = PortOneGateway<SecretsManager, Clock>;

/// What a function that charges or asks has.
pub type Desk = Billing<DynamoStore, Gateway, Clock, Tally>;

/// What λ api has.
pub type ApiDesk = api::Desk<DynamoStore, Gateway, Clock, Tally, SqsQueue, SecretsManager, Clock>;

/// All functions, with their clients.
#[derive(Debug, Clone)]
pub struct Lambda(Arc<Functions>, Arc<Mutex<BTreeMap<&'static str, u64>>>);

/// What each function has.
#[derive(Debug)]
pub struct Functions {
    /// The time.
    pub clock: Clock,
    /// Where signals go.
    pub tally: Tally,
    /// Of the webhook.
    pub webhook: Desk,
    /// Of the webhook, too.
    pub webhook_queue: SqsQueue,
    /// Of the webhook, too.
    pub webhook_secrets: WebhookSecrets<SecretsManager, Clock>,
    /// Of the customer's side.
    pub api: ApiDesk,
    /// Of the planner.
    pub planner: (DynamoStore, SqsQueue),
    /// Of the worker.
    pub worker: (Workers, SqsQueue),
    /// Of the reconciler.
    pub reconciler: Desk,
    /// Of the notifier.
    pub notifier: (DynamoStore, SesMailer, Sender),
}

/// The processes of λ worker.
#[derive(Debug)]
pub enum Workers {
    /// One, which works on all batches at once. They share its connections and its pace.
    One(Box<Desk>),
    /// As many as there are batches at once, as deployed: each has its own connections and its own pace. These are free.
    Each(Mutex<Vec<Desk>>),
}

impl Workers {
    async fn handle(&self, queue: &SqsQueue, event: SqsEvent) -> anyhow::Result<SqsBatchResponse> {
        match self {
            Self::One(desk) => Ok(charger::worker::handle(desk, queue, event).await),
            Self::Each(free) => {
                let free = || free.lock().unwrap_or_else(PoisonError::into_inner);
                let desk = free().pop().context("there are more batches at once than workers")?;
                let answer = charger::worker::handle(&desk, queue, event).await;
                free().push(desk);
                Ok(answer)
            }
        }
    }
}

/// The type of the secrets' cache.
pub type Secret = CachedSecret<SecretsManager, Clock>;

impl Lambda {
    /// Brings the functions together.
    pub fn new(functions: Functions) -> Self {
        Self(Arc::new(functions), Arc::default())
    }

    /// The time.
    pub fn now(&self) -> jiff::Timestamp {
        self.0.clock.now()
    }

    /// How often each function was invoked so far.
    pub fn invocations(&self) -> BTreeMap<&'static str, u64> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Invokes a function with an event; an error is what Lambda would report as a failed invocation.
    pub async fn invoke(&self, function: Function, event: Value) -> anyhow::Result<Value> {
        let f = &self.0;
        *self.1.lock().unwrap_or_else(PoisonError::into_inner).entry(function.name()).or_default() += 1;
        // The sandbox has no time limit; the limits of the deployed functions are the template's.
        let never = || false;
        Ok(match function {
            Function::Webhook => {
                over_http(event, |request| webhook::handle(&f.webhook, &f.webhook_queue, &f.webhook_secrets, request))
                    .await?
            }
            Function::Api => {
                over_http(event, |request| api::handle(&f.api, request, tokio::time::sleep(api::ANSWER_WITHIN))).await?
            }
            Function::Planner => {
                let event: PlannerEvent = serde_json::from_value(event)?;
                let (store, queue) = &f.planner;
                serde_json::to_value(charger::planner::handle(store, queue, &f.tally, event, never).await?)?
            }
            Function::Worker => {
                let event: SqsEvent = serde_json::from_value(event)?;
                let (workers, queue) = &f.worker;
                serde_json::to_value(workers.handle(queue, event).await?)?
            }
            Function::Reconciler => {
                let event: ReconcilerEvent = serde_json::from_value(event)?;
                serde_json::to_value(reconciler::handle(&f.reconciler, &event, never).await?)?
            }
            Function::Notifier => {
                let event: StreamEvent = serde_json::from_value(event)?;
                let (store, mailer, sender) = &f.notifier;
                serde_json::to_value(notifier::handle(store, mailer, &f.clock, &f.tally, sender, event).await)?
            }
        })
    }
}

/// Invokes a function behind HTTP as its `main` does: through the adapter of `lambda_http`.
async fn over_http<'a, F>(event: Value, handle: impl Fn(Request) -> F + Clone + Send + 'a) -> anyhow::Result<Value>
where
    F: Future<Output = Response<Body>> + Send + 'a,
{
    let request: LambdaRequest = serde_json::from_value(event)?;
    let handler = move |request: Request| {
        let answered = handle(request);
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    };
    let mut adapter = Adapter::from(service_fn(handler));
    Ok(serde_json::to_value(adapter.call(LambdaEvent::new(request, Context::default())).await?)?)
}
