//! The whole system on one machine.

use clap::{Parser, Subcommand};
use sandbox::run::RunArgs;
use sandbox::serve::ServeArgs;
use std::process::ExitCode;

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
    /// Serves the stack on five ports until it is stopped.
    Serve(ServeArgs),
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => sandbox::run::run(&args).await,
        Command::Serve(args) => sandbox::serve::serve(&args).await.map(|()| true),
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
