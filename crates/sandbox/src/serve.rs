//! `sandbox serve`: the stack on five ports, until it is stopped.

use crate::clock::Clock;
use crate::stack::{API_SECRET, Options, Stack, WEBHOOK_SECRET, url};
use crate::world::World;
use billing_core::Timestamp;
use clap::Args;
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen and what to keep.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The address to listen on; another than the loopback for containers.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The HTTP routes of the deployed stack; 0 is any port.
    #[arg(long, default_value_t = 3000)]
    api_port: u16,
    /// The PortOne V2 simulator.
    #[arg(long, default_value_t = 3001)]
    portone_port: u16,
    /// The embedded DynamoDB.
    #[arg(long, default_value_t = 3002)]
    dynamodb_port: u16,
    /// The control API.
    #[arg(long, default_value_t = 3003)]
    console_port: u16,
    /// SES, SQS and Secrets Manager.
    #[arg(long, default_value_t = 3004)]
    aws_port: u16,
    /// Where the state is kept; in memory if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// When it begins, such as 2026-12-01T10:05:00+09:00, instead of now. The clock runs on from there.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Writes the metrics to standard error, as the deployed functions write them to their logs.
    #[arg(long)]
    metrics: bool,
    /// Decides the simulator's faults and ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seconds the functions wait for PortOne's answers.
    #[arg(long, default_value_t = 60)]
    read_timeout: u64,
    /// Runs no function by itself: they run elsewhere, with the environment that the control API tells.
    #[arg(long)]
    bare: bool,
    /// Whom there is when it opens: a file such as `events/world.json`.
    #[arg(long)]
    world: Option<PathBuf>,
    /// The API secret.
    #[arg(long, env = "PORTONE_API_SECRET", default_value = API_SECRET, hide_env_values = true)]
    api_secret: String,
    /// The webhook secret.
    #[arg(long, env = "PORTONE_WEBHOOK_SECRET", default_value = WEBHOOK_SECRET, hide_env_values = true)]
    webhook_secret: String,
}

/// How often the engine looks at the clock while nothing calls it.
const TICK: Duration = Duration::from_millis(250);

/// Serves until the process is stopped.
pub async fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let world = args.world.as_deref().map_or_else(|| Ok(World::default()), World::read)?;
    let stack = Box::pin(Stack::open(Options {
        bind: args.bind,
        ports: [args.api_port, args.portone_port, args.dynamodb_port, args.console_port, args.aws_port],
        data: args.data.clone(),
        seed: args.seed,
        metrics: args.metrics,
        clock: args.at.map_or_else(Clock::real, Clock::running_from),
        api_secret: args.api_secret.clone(),
        webhook_secret: args.webhook_secret.clone(),
        read_timeout: Duration::from_secs(args.read_timeout),
        bare: args.bare,
        ..Options::default()
    }))
    .await?;
    world.make(&stack).await?;
    announce(&stack, args);
    loop {
        if let Err(error) = stack.engine.tick().await {
            tracing::error!(%error, "the engine stumbled");
        }
        tokio::select! {
            () = stack.engine.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "the ready line is the contract of the command")]
fn announce(stack: &Stack, args: &ServeArgs) {
    let a = stack.addresses;
    let ready = json!({
        "ready": true,
        "api": url(a.api),
        "portone": url(a.portone),
        "dynamodb": url(a.dynamodb),
        "console": url(a.console),
        "aws": url(a.aws),
        "storeId": stack.store_id.as_str(),
        "apiSecret": args.api_secret,
        "webhookSecret": args.webhook_secret,
        "tables": {
            "billingKeys": stack.tables.billing_keys,
            "subscriptions": stack.tables.subscriptions,
            "invoices": stack.tables.invoices,
            "events": stack.tables.events,
            "sessions": stack.tables.sessions,
            "controls": stack.tables.controls,
        },
    });
    println!("{ready}");
}
