//! The whole stack, put together: ports, functions, engine.

use crate::apigw;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::dynamodb::Dynamo;
use crate::engine::{Engine, Parts, Past, WORKERS};
use crate::environment::{self, Environment};
use crate::lambda::{Desk, Functions, Lambda, Secret, Workers};
use crate::mailbox::Mailbox;
use crate::portone::{PortOne, PortOneConfig};
use crate::queue;
use crate::tally::Tally;
use anyhow::Context;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use billing_aws::config::{self, Checkout, MailFrom, Queues, Tables};
use billing_aws::dynamo::DynamoStore;
use billing_aws::gateway::PortOneGateway;
use billing_aws::secrets::{CachedSecret, CheckoutSecrets, SecretsManager, WebhookSecrets};
use billing_aws::ses::SesMailer;
use billing_aws::sqs::SqsQueue;
use billing_aws::tables::{self, Table};
use billing_core::dunning::Ladder;
use billing_core::event::EventKind;
use billing_core::id::StoreId;
use billing_core::plan::Catalogue;
use billing_flows::{Billing, Settings};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The sandbox's own API secret, where none is given.
pub const API_SECRET: &str = "sandbox-api-secret-not-for-anything-else";

/// The sandbox's own webhook secret, where none is given: 32 bytes that spell what they are.
pub const WEBHOOK_SECRET: &str = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC1vbmx5LWhlcmU=";

/// What the sandbox signs checkout addresses with.
const CHECKOUT_SECRET: &str = "sandbox-checkout-secret-not-for-anything-else";

/// The entry of the sandbox's Secrets Manager with the API secret.
pub const API_SECRET_ID: &str = "sandbox/portone-api-secret";
/// The entry of the sandbox's Secrets Manager with the webhook secret.
pub const WEBHOOK_SECRET_ID: &str = "sandbox/portone-webhook-secret";
/// The entry of the sandbox's Secrets Manager with what checkout addresses are signed with.
pub const CHECKOUT_SECRET_ID: &str = "sandbox/checkout-secret";

/// How the stack is opened.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Options {
    /// The address the ports listen on.
    pub bind: IpAddr,
    /// The ports of api, portone, dynamodb, console and aws; 0 is any.
    pub ports: [u16; 5],
    /// Where the state is kept; in memory if absent.
    pub data: Option<PathBuf>,
    /// Decides faults and ids.
    pub seed: u64,
    /// The clock.
    pub clock: Clock,
    /// Whether the metrics are written to standard error.
    pub metrics: bool,
    /// The API secret.
    pub api_secret: String,
    /// The webhook secret.
    pub webhook_secret: String,
    /// How long the client waits for `PortOne`'s answers.
    pub read_timeout: Duration,
    /// How many workers run at once: the maximum concurrency of the queue's mapping.
    pub workers: usize,
    /// Whether each worker is a process of its own, as deployed; otherwise one process is all of them.
    pub workers_apart: bool,
    /// How many charges a second a process sends on each channel; as many as come if absent.
    pub charges_per_second: Option<NonZeroU32>,
    /// Whether it is to stand up to a hundred thousand customers at once: `PortOne`'s simulator has a thread of its own (as long as the process
    /// lives), so that it notes when a charge comes however busy the rest is; and the tables' engine is not told the tokens of transactions,
    /// for with each one it looks through all of the last ten minutes (nothing is lost between the SDK and the tables here, so no transaction
    /// is sent again); and a query without a limit gets one, for the engine reads all that follows before it cuts off a page of 1 MB.
    pub is_rush: bool,
    /// Whether it runs no function by itself, for they run elsewhere: no schedule fires, and queues and stream keep what they get.
    /// `PortOne` sends no webhook before it is told where to.
    pub bare: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: [0; 5],
            data: None,
            seed: 1,
            clock: Clock::real(),
            metrics: false,
            api_secret: API_SECRET.to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            read_timeout: portone::DEFAULT_READ_TIMEOUT,
            workers: WORKERS,
            workers_apart: false,
            charges_per_second: None,
            is_rush: false,
            bare: false,
        }
    }
}

/// Where the stack listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// API Gateway's part.
    pub api: SocketAddr,
    /// The `PortOne` simulator.
    pub portone: SocketAddr,
    /// DynamoDB.
    pub dynamodb: SocketAddr,
    /// The control API.
    pub console: SocketAddr,
    /// SES, SQS and Secrets Manager.
    pub aws: SocketAddr,
}

/// The stack. Clones are the same stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Where it listens.
    pub addresses: Addresses,
    /// Its clock.
    pub clock: Clock,
    /// The simulator.
    pub portone: PortOne,
    /// The database's port.
    pub dynamo: Dynamo,
    /// A client of the database, for the control API.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The tables' names.
    pub tables: Tables,
    /// The mailbox.
    pub mailbox: Mailbox,
    /// The queues.
    pub queues: queue::Queues,
    /// What the functions signalled.
    pub tally: Tally,
    /// The functions.
    pub lambda: Lambda,
    /// What moves it.
    pub engine: Engine,
    /// The use cases as the control API has them.
    pub console: Arc<Desk>,
    /// What is sold.
    pub catalogue: Catalogue,
    /// What a function that runs elsewhere has in its environment.
    pub environment: Environment,
    /// The store's id.
    pub store_id: StoreId,
    /// How many customers were made.
    pub made: Arc<AtomicU64>,
}

impl Stack {
    /// Opens the stack and serves it.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let file = |name: &str| options.data.as_ref().map(|dir| dir.join(name));
        if let Some(dir) = &options.data {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let clock = options.clock.clone();
        let past = Past::open(file("engine.jsonl").as_deref(), &clock)?;
        let changed = Arc::new(Notify::new());
        let tables = Tables::with_prefix("sandbox");
        let store_id = StoreId::new("store-5a4d0b07-5b0e-4f0a-9c2e-5a11db0c5a4d")?;
        let catalogue = config::catalogue()?;
        let tally = Tally::new(clock.clone(), options.metrics);

        let (addresses, [api, portone_port, dynamodb_port, console_port, aws_port]) =
            listen(options.bind, options.ports).await?;

        let dynamo =
            Dynamo::open(file("dynamodb.sqlite").as_deref(), &tables.events, changed.clone(), options.is_rush).await?;
        serve(dynamodb_port, dynamo.router());
        let portone = PortOne::open(PortOneConfig {
            store_id: store_id.to_string(),
            api_secret: options.api_secret.clone(),
            webhook_secret: options.webhook_secret.clone(),
            seed: options.seed,
            journal: file("portone.jsonl"),
            clock: clock.clone(),
        })?;
        if options.is_rush {
            serve_apart(portone_port, portone.router())?;
        } else {
            serve(portone_port, portone.router());
        }
        let queues = queue::Queues::open(file("queues.jsonl").as_deref(), clock.clone(), changed.clone())?;
        let mailbox = Mailbox::open(file("mailbox.jsonl").as_deref(), clock.clone())?;
        let secrets = BTreeMap::from([
            (API_SECRET_ID.to_owned(), options.api_secret.clone()),
            (WEBHOOK_SECRET_ID.to_owned(), options.webhook_secret.clone()),
            (CHECKOUT_SECRET_ID.to_owned(), CHECKOUT_SECRET.to_owned()),
        ]);
        serve(aws_port, Aws { mailbox: mailbox.clone(), queues: queues.clone(), secrets: Arc::new(secrets) }.router());

        let environment = environment::of(&addresses, &tables, &store_id, options.read_timeout);
        let wiring = Wiring {
            addresses,
            environment: environment.clone(),
            clock: clock.clone(),
            tables: tables.clone(),
            tally: tally.clone(),
            settings: Settings {
                store_id: store_id.clone(),
                mode: billing_flows::ports::Mode::Test,
                catalogue: catalogue.clone(),
                ladder: Ladder::default(),
            },
            read_timeout: options.read_timeout,
            charges_per_second: options.charges_per_second,
            workers_apart: options.workers_apart.then_some(options.workers),
        };
        let (dynamodb, _) = wiring.sdk("console").await?;
        let dynamodb = aws_sdk_dynamodb::Client::new(&dynamodb);
        create_tables(&dynamodb, &tables).await?;
        let console = Arc::new(wiring.desk("console").await?);
        let lambda = Box::pin(wiring.lambda()).await?;
        serve(api, apigw::router(lambda.clone()));
        if !options.bare {
            portone.set_webhook_url(format!("{}/api/portone/billing-webhook", url(addresses.api)));
        }

        let parts = Parts {
            clock: clock.clone(),
            lambda: lambda.clone(),
            portone: portone.clone(),
            queues: queues.clone(),
            dynamo: dynamo.clone(),
            changed,
            workers: options.workers,
            bare: options.bare,
        };
        let engine = Engine::new(parts, past);
        let made = Arc::new(AtomicU64::new(feed_left_over(&dynamodb, &tables, &dynamo).await?));
        let stack = Self {
            addresses,
            clock,
            portone,
            dynamo,
            dynamodb,
            tables,
            mailbox,
            queues,
            tally,
            lambda,
            engine,
            console,
            catalogue,
            environment,
            store_id,
            made,
        };
        serve(console_port, crate::console::router(stack.clone()));
        Ok(stack)
    }
}

/// Takes the ports, in the order of [`Addresses`].
async fn listen(bind: IpAddr, ports: [u16; 5]) -> anyhow::Result<(Addresses, [TcpListener; 5])> {
    let mut listeners = Vec::new();
    for port in ports {
        let bound = TcpListener::bind((bind, port)).await;
        listeners.push(bound.with_context(|| format!("cannot listen on {bind}:{port}"))?);
    }
    let listeners: [TcpListener; 5] = listeners.try_into().map_err(|_| anyhow::anyhow!("five ports were asked for"))?;
    let [api, portone, dynamodb, console, aws] = &listeners;
    let addresses = Addresses {
        api: api.local_addr()?,
        portone: portone.local_addr()?,
        dynamodb: dynamodb.local_addr()?,
        console: console.local_addr()?,
        aws: aws.local_addr()?,
    };
    Ok((addresses, listeners))
}

/// Makes the tables that are not there yet, all without a stream: see [`crate::dynamodb`].
async fn create_tables(client: &aws_sdk_dynamodb::Client, names: &Tables) -> anyhow::Result<()> {
    for table in Table::ALL {
        let mut definition = tables::definition(table, names)?;
        definition.stream_specification = None;
        tables::create(client, definition).await?;
    }
    Ok(())
}

/// The address of a port, as clients on this machine use it.
pub fn url(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

fn serve(listener: TcpListener, router: axum::Router) {
    tokio::spawn(serve_on(listener, router));
}

fn serve_apart(listener: TcpListener, router: axum::Router) -> anyhow::Result<()> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve_on(listener, router).await,
                Err(error) => tracing::error!(%error, "a port is closed"),
            }
        });
    });
    Ok(())
}

async fn serve_on(listener: TcpListener, router: axum::Router) {
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "a port is closed");
    }
}

/// Puts the events that a killed process had not mailed in line again; answers with how many subscriptions have been started so far.
async fn feed_left_over(client: &aws_sdk_dynamodb::Client, tables: &Tables, dynamo: &Dynamo) -> anyhow::Result<u64> {
    let (mut start, mut made) = (None, 0);
    loop {
        let page = client.scan().table_name(&tables.events).set_exclusive_start_key(start).send().await?;
        for row in page.items() {
            let kind = row.get("kind").and_then(|kind| kind.as_s().ok());
            made += u64::from(kind.is_some_and(|kind| kind == EventKind::SubscriptionStarted.name()));
            if row.contains_key("notice") && !row.contains_key("mailedAt") {
                dynamo.feed(&image(row));
            }
        }
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            return Ok(made);
        }
    }
}

/// A row in DynamoDB's own JSON.
fn image(row: &std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>) -> serde_json::Value {
    use aws_sdk_dynamodb::types::AttributeValue as V;
    fn value(v: &V) -> serde_json::Value {
        match v {
            V::S(s) => serde_json::json!({ "S": s }),
            V::N(n) => serde_json::json!({ "N": n }),
            V::Bool(b) => serde_json::json!({ "BOOL": b }),
            V::M(m) => serde_json::json!({ "M": image(m) }),
            V::L(l) => serde_json::json!({ "L": l.iter().map(value).collect::<Vec<_>>() }),
            _ => serde_json::json!({ "NULL": true }),
        }
    }
    row.iter().map(|(name, v)| (name.clone(), value(v))).collect::<serde_json::Map<_, _>>().into()
}

/// What the functions' clients are made of.
struct Wiring {
    addresses: Addresses,
    environment: Environment,
    clock: Clock,
    tables: Tables,
    tally: Tally,
    settings: Settings,
    read_timeout: Duration,
    charges_per_second: Option<NonZeroU32>,
    /// How many workers are processes of their own.
    workers_apart: Option<usize>,
}

impl Wiring {
    /// The SDK's configuration for a function: for DynamoDB, and for the rest.
    async fn sdk(&self, app: &'static str) -> anyhow::Result<(SdkConfig, SdkConfig)> {
        let base = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new("ap-northeast-2"))
            .credentials_provider(Credentials::new("sandbox", "sandbox", None, None, "sandbox"))
            .app_name(AppName::new(app)?)
            .load()
            .await;
        let at = |address| base.clone().into_builder().endpoint_url(url(address)).build();
        Ok((at(self.addresses.dynamodb), at(self.addresses.aws)))
    }

    async fn store(&self, app: &'static str) -> anyhow::Result<DynamoStore> {
        let (dynamodb, _) = self.sdk(app).await?;
        Ok(DynamoStore::new(aws_sdk_dynamodb::Client::new(&dynamodb), self.tables.clone()))
    }

    async fn secret(&self, app: &'static str, id: &str) -> anyhow::Result<Secret> {
        let (_, aws) = self.sdk(app).await?;
        let manager = SecretsManager::new(aws_sdk_secretsmanager::Client::new(&aws));
        Ok(CachedSecret::new(manager, self.clock.clone(), id))
    }

    async fn desk(&self, app: &'static str) -> anyhow::Result<Desk> {
        let config = config::PortOne {
            store_id: self.settings.store_id.clone(),
            mode: self.settings.mode,
            api_secret_id: API_SECRET_ID.to_owned(),
            base_url: Some(url(self.addresses.portone)),
            read_timeout: self.read_timeout,
            connect_timeout: portone::DEFAULT_CONNECT_TIMEOUT,
            charges_per_second: self.charges_per_second,
        };
        Ok(Billing {
            store: self.store(app).await?,
            gateway: PortOneGateway::new(&config, self.secret(app, API_SECRET_ID).await?, async |_| ()).await?,
            clock: self.clock.clone(),
            telemetry: self.tally.clone(),
            settings: self.settings.clone(),
        })
    }

    async fn workers(&self) -> anyhow::Result<Workers> {
        let Some(count) = self.workers_apart else { return Ok(Workers::One(Box::new(self.desk("worker").await?))) };
        let mut free = Vec::new();
        for _ in 0..count {
            free.push(self.desk("worker").await?);
        }
        Ok(Workers::Each(free.into()))
    }

    async fn lambda(&self) -> anyhow::Result<Lambda> {
        let (_, planner) = self.sdk("planner").await?;
        let (_, worker) = self.sdk("worker").await?;
        let (_, webhook) = self.sdk("webhook").await?;
        let (_, notifier) = self.sdk("notifier").await?;
        let (_, api) = self.sdk("api").await?;
        let (queues, checkout, from): (Queues, Checkout, MailFrom) =
            config::read(|name| self.environment.get(name).cloned())?;
        let catalogue = &self.settings.catalogue;
        Ok(Lambda::new(Functions {
            api: api::Desk {
                billing: self.desk("api").await?,
                queue: SqsQueue::new(aws_sdk_sqs::Client::new(&api), queues.clone()),
                secrets: CheckoutSecrets::new(self.secret("api", CHECKOUT_SECRET_ID).await?),
                site: api::pages::Site::of(catalogue, &checkout, &from),
                checkout,
            },
            clock: self.clock.clone(),
            tally: self.tally.clone(),
            webhook: self.desk("webhook").await?,
            webhook_queue: SqsQueue::new(aws_sdk_sqs::Client::new(&webhook), queues.clone()),
            webhook_secrets: WebhookSecrets::new(self.secret("webhook", WEBHOOK_SECRET_ID).await?),
            planner: (self.store("planner").await?, SqsQueue::new(aws_sdk_sqs::Client::new(&planner), queues.clone())),
            worker: (self.workers().await?, SqsQueue::new(aws_sdk_sqs::Client::new(&worker), queues)),
            reconciler: self.desk("reconciler").await?,
            notifier: (
                self.store("notifier").await?,
                SesMailer::new(aws_sdk_sesv2::Client::new(&notifier), &from, catalogue.brand()),
                from.sender(catalogue),
            ),
        }))
    }
}
