//! Measures whole Lambda functions from outside: the ones that are deployed, as built by `make build`, and the same two in JavaScript on Node,
//! as built in `bench/node`. Lambda's Runtime API and the sandbox stand around both; see `lambda_tests`.
//!
//! `make bench-compare` builds all of it and runs `bench compare`.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what goes wrong ends the bench: there is no figure then"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tables and progress are what it is for")]
#![expect(clippy::float_arithmetic, reason = "times, ratios and prices; no money of a customer is here")]

mod case;
mod clock;
mod cold;
mod compare;
mod events;
mod floor;
mod limits;
mod machine;
mod plot;
mod prices;
mod results;
mod share;
mod side;
mod statistics;
mod table;
mod warm;
mod witness;
mod world;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures whole Lambda functions from outside.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measures both sides, prints the table, and writes the figures, the plots and the page; fails if a goal is missed that was met before
    Compare(compare::Settings),
    /// Prints the table of figures that were measured before, writes it into the page, and draws their plots again
    Show(compare::Files),
    /// Counts requests and connections of worker and webhook, and holds the time of a batch against its slowest call
    Limits(limits::Settings),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let is_good = match Arguments::parse().what {
        What::Compare(settings) => compare::run(&settings).await,
        What::Show(files) => compare::show(&files),
        What::Limits(settings) => limits::run(&settings).await,
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
