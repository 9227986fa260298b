//! A real browser walks the customer's side, from the checkout's address to the mail.
//!
//! `make test-browser` installs what is missing on a Debian, builds the sandbox and runs this; `tests/browser/install` says what it takes
//! elsewhere.
//!
//! Every test has a sandbox and a browser of its own, so that no clock, fault or cookie is another's. What the page shows is waited for,
//! within [`browser::PATIENCE`]; what is durable is read once the sandbox has come to rest. A walk also fails if the page wrote anything
//! into the console, a breach of its Content-Security-Policy above all, or is wider than the screen. Pictures lie in `target/browser/`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test to its last line")]

mod browser;
mod endings;
mod enrolment;
mod order;
mod refusals;
mod sandbox;
