//! The functions as they are deployed answer every file of `events/` rightly, and each starts, runs on and stops as Lambda's functions must.
//!
//! `make test-lambda` builds the functions for this machine, and the sandbox, and runs this.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test to its last line")]
#![expect(clippy::print_stdout, reason = "the figures, and what was skipped, are for the reader")]

mod events;
mod life;
