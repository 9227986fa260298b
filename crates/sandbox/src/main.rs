//! The whole system on one machine.

use clap::{Parser, Subcommand};
use sandbox::cost::CostArgs;
use sandbox::event::EventArgs;
use sandbox::run::RunArgs;
use sandbox::rush::RushArgs;
use sandbox::sent::Sent;
use sandbox::serve::ServeArgs;
use std::process::ExitCode;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Recurring billing on PortOne V2, on one machine: embedded DynamoDB, PortOne simulator, mailbox, clock, and the real Lambda handlers.
#[derive(Debug, Parser)]
#[command(name = "sandbox")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lives through months of billing and prints the closed books; exit code 1 if they do not balance.
    Run(RunArgs),
    /// Prints what AWS would ask for a month, line by line.
    Cost(CostArgs),
    /// Lives through a first of the month on which everybody is due at once, in real time, and tells how the stack stood up to it.
    Rush(RushArgs),
    /// Serves the stack on five ports until it is stopped.
    Serve(ServeArgs),
    /// Prints an event of a file as if it were sent now: webhooks are signed afresh.
    Event(EventArgs),
}

/// What Lambda gives the thread that a function runs on. Tokio gives its own 2 MB, which a debug build's frames of a charge do not fit.
const STACK_BYTES: usize = 8 * 1024 * 1024;

#[expect(clippy::print_stderr, reason = "a command says why it failed")]
fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build() {
        Ok(runtime) => runtime.block_on(obey()),
        Err(error) => {
            eprintln!("sandbox: no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command says why it failed")]
async fn obey() -> ExitCode {
    let command = Cli::parse().command;
    // A run is full of faults on purpose; their warnings are for those who ask (RUST_LOG).
    let filter =
        filter(if matches!(command, Command::Run(_) | Command::Cost(_) | Command::Rush(_)) { "off" } else { QUIET });
    let sent = Sent::default();
    if matches!(command, Command::Rush(_)) {
        let lines = fmt::layer().with_writer(std::io::stderr).with_filter(filter);
        tracing_subscriber::registry().with(lines).with(sent.layer()).init();
    } else {
        fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let done = match command {
        Command::Cost(args) => sandbox::cost::cost(&args).await,
        Command::Rush(args) => Box::pin(sandbox::rush::rush(&args, &sent)).await,
        Command::Run(args) => sandbox::run::run(&args).await,
        Command::Serve(args) => sandbox::serve::serve(&args).await.map(|()| true),
        Command::Event(args) => sandbox::event::print(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Warnings, but for the table engine's: a condition that does not hold is an answer like others, and there are thousands.
const QUIET: &str = "warn,dynoxide=error";

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}
