//! What is fed, and what must hold of whatever comes out. `docs/RELIABILITY.md`, "Fuzzing", says it in a table.
//!
//! A target is a function of bytes that panics if something is wrong. To add one: a file with the function, a line in [`TARGETS`], and a
//! directory in `corpus/` with what it should begin from.
#![expect(clippy::unwrap_used, reason = "a panic is how a target says that something is wrong")]

mod api_bodies;
mod charge_request;
mod checkout_token;
mod input;
mod mails;
mod messages;
mod portone_answers;
mod redirect_query;
mod rows;
mod session_request;
mod stream;
mod ticks;
mod webhook_body;
mod webhook_headers;
mod world;

/// What takes the bytes of one input, and panics if something is wrong.
pub type Target = fn(&[u8]);

/// Each target and its name, which is also that of its directory in `corpus/`.
pub const TARGETS: [(&str, Target); 12] = [
    ("webhook_headers", webhook_headers::feed),
    ("webhook_body", webhook_body::feed),
    ("portone_answers", portone_answers::feed),
    ("messages", messages::feed),
    ("ticks", ticks::feed),
    ("stream", stream::feed),
    ("rows", rows::feed),
    ("mails", mails::feed),
    ("charge_request", charge_request::feed),
    ("session_request", session_request::feed),
    ("checkout_token", checkout_token::feed),
    ("redirect_query", redirect_query::feed),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(own, _)| *own == name).map(|(_, target)| *target)
}
