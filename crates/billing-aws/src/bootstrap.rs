//! What every function does before its first event: start tracing, read the configuration, build the clients, open the connections.
//!
//! ```no_run
//! use billing_aws::{bootstrap::{self, StartError}, config};
//!
//! # async fn run() -> Result<(), StartError> {
//! let aws = bootstrap::start("worker").await;
//! let (tables, portone, dunning) = config::from_env()?;
//! let billing = aws.billing(tables, &portone, dunning).await?;
//! // run the handler over `billing`
//! # drop(billing);
//! # Ok(())
//! # }
//! ```
//!
//! A function's initialisation has a whole processor; its handler has the share that its memory buys. So connections are opened here: at
//! 128 MB the first TLS handshake inside a handler takes most of a second.

use crate::clock::SystemClock;
use crate::config::{self, Checkout, ConfigErrors, Dunning, MailFrom, Metrics, PortOne, Queues, Tables, Webhooks};
use crate::dynamo::DynamoStore;
use crate::gateway::{GatewayError, PortOneGateway};
use crate::secrets::{CachedSecret, CheckoutSecrets, SecretsManager, WebhookSecrets};
use crate::ses::SesMailer;
use crate::sqs::SqsQueue;
use crate::telemetry::{EmfTelemetry, NAMESPACE};
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use billing_core::plan::{Catalogue, PlanError};
use billing_flows::{Billing, Settings};
use std::future::Future;
use std::io::Stdout;
use std::sync::OnceLock;
use std::time::Duration;
use thiserror::Error;

/// `PortOne` as the functions reach it.
pub type LiveGateway = PortOneGateway<SecretsManager, SystemClock>;
/// The webhook secrets as the functions read them.
pub type LiveWebhookSecrets = WebhookSecrets<SecretsManager, SystemClock>;
/// The checkout secrets as the functions read them.
pub type LiveCheckoutSecrets = CheckoutSecrets<SecretsManager, SystemClock>;
/// Signals as the functions write them.
pub type LiveTelemetry = EmfTelemetry<SystemClock, Stdout>;
/// The ports and settings of the functions that charge.
pub type LiveBilling = Billing<DynamoStore, LiveGateway, SystemClock, LiveTelemetry>;

/// How long opening connections may hold a start up.
pub const PREWARM: Duration = Duration::from_secs(1);

/// How long one try of a request to AWS may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request to AWS may take with all its tries.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a function cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is not complete.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The catalogue of this build cannot be sold from.
    #[error(transparent)]
    Catalogue(#[from] PlanError),
    /// `PortOne` cannot be reached for want of something.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Starts tracing and loads the SDK's configuration: region, credentials, endpoints (`AWS_ENDPOINT_URL` and its per-service kin work as
/// everywhere). `function` names the function in the requests it makes.
pub async fn start(function: &'static str) -> Aws {
    lambda_runtime::tracing::init_default_subscriber();
    Aws::load(function).await
}

/// The clients of one function.
#[derive(Debug, Clone)]
pub struct Aws {
    sdk: SdkConfig,
    secrets: OnceLock<SecretsManager>,
}

impl Aws {
    /// Loads the SDK's configuration.
    pub async fn load(function: &'static str) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).operation_timeout(CALL_TIMEOUT);
        // Pinned: what a newer behaviour changes is to be read before it is taken.
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts.build());
        // It watches over bodies that trickle in. Ours are read whole, within the try's own limit.
        let mut loader = loader.stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Ok(name) = AppName::new(function) {
            loader = loader.app_name(name);
        }
        Self::with(loader.load().await)
    }

    /// Clients over a configuration that was loaded otherwise.
    pub fn with(sdk: SdkConfig) -> Self {
        Self { sdk, secrets: OnceLock::new() }
    }

    /// The SDK's configuration, for a client that is not built here.
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// The tables.
    pub fn store(&self, tables: Tables) -> DynamoStore {
        DynamoStore::new(aws_sdk_dynamodb::Client::new(&self.sdk), tables)
    }

    /// The queues.
    pub fn queue(&self, queues: Queues) -> SqsQueue {
        SqsQueue::new(aws_sdk_sqs::Client::new(&self.sdk), queues)
    }

    /// The mail service, sending as the catalogue's brand.
    pub fn mailer(&self, from: &MailFrom, catalogue: &Catalogue) -> SesMailer {
        SesMailer::new(aws_sdk_sesv2::Client::new(&self.sdk), from, catalogue.brand())
    }

    /// A secret, which is read when it is first needed.
    pub fn secret(&self, id: &str) -> CachedSecret<SecretsManager, SystemClock> {
        // One client for all of them: each has a TLS of its own, for which it goes through the system's certificates.
        let client = || SecretsManager::new(aws_sdk_secretsmanager::Client::new(&self.sdk));
        CachedSecret::new(self.secrets.get_or_init(client).clone(), SystemClock, id)
    }

    /// The webhook secrets, which are read when they are first needed.
    pub fn webhook_secrets(&self, webhooks: &Webhooks) -> LiveWebhookSecrets {
        WebhookSecrets::new(self.secret(&webhooks.secret_id))
    }

    /// The checkout secrets, which are read when they are first needed.
    pub fn checkout_secrets(&self, checkout: &Checkout) -> LiveCheckoutSecrets {
        CheckoutSecrets::new(self.secret(&checkout.secret_id))
    }

    /// `PortOne`: reads the API secret, and opens the connection at the same time.
    pub async fn gateway(&self, portone: &PortOne) -> Result<LiveGateway, GatewayError> {
        let secret = self.secret(&portone.api_secret_id);
        PortOneGateway::new(portone, secret, async |client| prewarm(client.warm_up()).await).await
    }

    /// Everything that charging needs, with its connections open.
    pub async fn billing(
        &self,
        tables: Tables,
        portone: &PortOne,
        dunning: Dunning,
    ) -> Result<LiveBilling, StartError> {
        let settings = Settings {
            store_id: portone.store_id.clone(),
            mode: portone.mode,
            catalogue: config::catalogue()?,
            ladder: dunning.ladder,
        };
        let store = self.store(tables);
        let (gateway, ()) = tokio::join!(Box::pin(self.gateway(portone)), Box::pin(prewarm(store.warm_up())));
        Ok(Billing { store, gateway: gateway?, clock: SystemClock, telemetry: telemetry(), settings })
    }
}

/// Signals to the function's log. A function does not stay down for the want of a name for its metrics.
pub fn telemetry() -> LiveTelemetry {
    match config::from_env::<Metrics>() {
        Ok(metrics) => EmfTelemetry::stdout(SystemClock, &metrics.namespace),
        Err(error) => {
            tracing::error!(%error, "metrics are written under {NAMESPACE}");
            EmfTelemetry::stdout(SystemClock, NAMESPACE)
        }
    }
}

/// Opens connections, for a second at most. What fails here will be seen when it is needed. Join several to open them at once.
pub async fn prewarm(work: impl Future<Output = ()>) {
    if tokio::time::timeout(PREWARM, work).await.is_err() {
        tracing::info!("connections were not open within {PREWARM:?}; the first event opens them");
    }
}
