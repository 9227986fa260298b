//! `template.yaml` and what it pulls in, held against the code: every variable, table, index, queue and secret that a function's code reads
//! is set and granted, and nothing more is.
#![expect(clippy::expect_used, clippy::panic, reason = "this file is a test to its last line")]

mod code;
mod functions;
mod rest;
mod watch;
mod yaml;
