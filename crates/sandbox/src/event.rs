//! `sandbox event`: an event of `events/`, as fresh as if it were sent now.
//!
//! A webhook's signature covers its time and is worth five minutes, so no file can hold a good one. The files hold [`UNSIGNED`] in its place,
//! and are signed here with the sandbox's own secret, by what signs the simulator's webhooks. A forged event keeps the signature that it has.

use crate::portone::{key_of, sign};
use crate::stack::WEBHOOK_SECRET;
use anyhow::Context;
use billing_core::Timestamp;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which event, and whose signature.
#[derive(Debug, Clone, Args)]
pub struct EventArgs {
    /// The event's file, such as `events/webhook/paid.json`.
    file: PathBuf,
    /// The webhook secret.
    #[arg(long, env = "PORTONE_WEBHOOK_SECRET", default_value = WEBHOOK_SECRET, hide_env_values = true)]
    webhook_secret: String,
}

/// The signature in a file whose event is to be signed afresh: base64 for "make event signs this afresh now".
pub const UNSIGNED: &str = "v1,bWFrZSBldmVudCBzaWducyB0aGlzIGFmcmVzaCBub3c=";

/// Prints the event.
#[expect(clippy::print_stdout, reason = "the event is what the command is for")]
#[expect(clippy::disallowed_methods, reason = "a command is where time comes from")]
pub fn print(args: &EventArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?;
    let event = serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
    let event = fresh(event, &args.webhook_secret, Timestamp::now()).with_context(|| format!("cannot sign {name}"))?;
    println!("{event}");
    Ok(())
}

/// The event as if it were sent now. One without a webhook's headers is left as it is.
pub fn fresh(mut event: Value, webhook_secret: &str, now: Timestamp) -> anyhow::Result<Value> {
    let body = event["body"].as_str().unwrap_or_default().to_owned();
    let Some(headers) = event.get_mut("headers").filter(|headers| headers.get("webhook-signature").is_some()) else {
        return Ok(event);
    };
    headers["webhook-timestamp"] = now.as_second().to_string().into();
    if headers["webhook-signature"] == UNSIGNED {
        let id = headers["webhook-id"].as_str().context("it has no webhook-id")?;
        headers["webhook-signature"] = sign(&key_of(webhook_secret)?, id, now.as_second(), &body)?.into();
    }
    event["requestContext"]["timeEpoch"] = json!(now.as_millisecond());
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-12-01T01:00:00Z".parse().unwrap()
    }

    fn webhook(signature: &str) -> Value {
        let headers =
            json!({ "webhook-id": "id-1", "webhook-timestamp": "1767258000", "webhook-signature": signature });
        json!({ "headers": headers, "requestContext": { "timeEpoch": 0 }, "body": "{}" })
    }

    #[test]
    fn a_webhook_is_signed_as_of_now() {
        let event = fresh(webhook(UNSIGNED), WEBHOOK_SECRET, now()).unwrap();
        let expected = sign(&key_of(WEBHOOK_SECRET).unwrap(), "id-1", now().as_second(), "{}").unwrap();
        assert_eq!(event["headers"]["webhook-signature"], expected);
        assert_eq!(event["headers"]["webhook-timestamp"], now().as_second().to_string());
        assert_eq!(event["requestContext"]["timeEpoch"], now().as_millisecond());
    }

    #[test]
    fn a_forged_webhook_stays_forged() {
        let event = fresh(webhook("v1,Zm9yZ2Vk"), WEBHOOK_SECRET, now()).unwrap();
        assert_eq!(event["headers"]["webhook-signature"], "v1,Zm9yZ2Vk");
    }

    #[test]
    fn what_is_not_a_webhook_is_left_as_it_is() {
        let tick = json!({ "scheduledTime": "2026-12-01T01:00:00Z" });
        assert_eq!(fresh(tick.clone(), WEBHOOK_SECRET, now()).unwrap(), tick);
    }
}
