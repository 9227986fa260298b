//! Which webhooks are to be sent, and how they are signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::Sha256;

use super::PortOne;
use super::behavior::Plain;
use super::entities::{Flaws, PaymentStatus, Webhook, WebhookStatus};
use super::faults::Plan;
use super::state::{Change, State, after};
use super::view::stamp;

/// The waits before the tries, in minutes, each to be multiplied by a number from 0 to 1.
const WAITS: [u64; 6] = [0, 1, 4, 16, 64, 256];

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) kind: &'a str,
    pub(crate) about: Subject<'a>,
    /// Why it is told, if not because of the call itself.
    pub(crate) trigger: Option<&'a str>,
    pub(crate) notice_urls: &'a [String],
}

/// What it happened to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Payment { id: &'a str, transaction_id: &'a str, cancellation_id: Option<&'a str>, status: PaymentStatus },
    Key(&'a str),
}

impl<'a> Subject<'a> {
    fn name(&self) -> &'a str {
        match self {
            Self::Payment { id, .. } => id,
            Self::Key(key) => key,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
    store_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_unheard_of: Option<&'a str>,
}

impl PortOne {
    /// The webhooks of an event, and those held back until it.
    pub(crate) fn tell(&self, state: &State, plan: &Plan, event: Event<'_>, now: Timestamp) -> Vec<Change> {
        let subject = event.about.name();
        let told = state.webhooks_of.get(subject).map_or(&[][..], Vec::as_slice);
        let mut changes = Vec::new();
        for held in told.iter().filter_map(|id| state.webhooks.get(id)).filter(|webhook| webhook.held) {
            let next_try = Some(after(now, SignedDuration::from_secs(1)));
            changes.push(Change::Webhook(Webhook { held: false, next_try, ..held.clone() }));
        }
        changes.extend(self.addressed(plan, event, (told.len(), state.faults.late_seconds), now));
        if plan.has(Plain::WebhookUnknownType) {
            let event = Event { kind: "Transaction.SandboxUnheardOf", ..event };
            changes.extend(self.addressed(plan, event, (told.len(), state.faults.late_seconds), now));
        }
        changes
    }

    /// One webhook for each address.
    fn addressed(
        &self,
        plan: &Plan,
        event: Event<'_>,
        (nth, late_seconds): (usize, u32),
        now: Timestamp,
    ) -> Vec<Change> {
        let mut urls: Vec<Option<String>> = event.notice_urls.iter().cloned().map(Some).collect();
        if urls.is_empty() && self.console_url().is_some() {
            urls.push(None);
        }
        let late = SignedDuration::from_secs(i64::from(late_seconds));
        let held = plan.has(Plain::WebhookReordered);
        let delay = if held || plan.has(Plain::WebhookLate) { late } else { SignedDuration::ZERO };
        let lost = plan.has(Plain::WebhookLost);
        let body = self.body(event, plan, now);
        let (payment_id, payment_status) = match event.about {
            Subject::Payment { id, status, .. } => (Some(id.to_owned()), Some(status)),
            Subject::Key(_) => (None, None),
        };
        let webhook = |(place, url): (usize, Option<String>)| Webhook {
            id: self.seed().uuid(&["webhook", event.about.name(), event.kind, &nth.to_string(), &place.to_string()]),
            subject: event.about.name().to_owned(),
            payment_id: payment_id.clone(),
            payment_status,
            trigger: event.trigger.map(str::to_owned),
            url,
            body: body.clone(),
            flaws: Flaws::of(&plan.webhook),
            held: held && !lost,
            triggered_at: now,
            tries: 0,
            manual_tries: 0,
            next_try: (!lost).then(|| after(now, delay)),
            status: lost.then_some(WebhookStatus::FailedUnexpectedError),
            last: None,
        };
        urls.into_iter().enumerate().map(webhook).map(Change::Webhook).collect()
    }

    fn body(&self, event: Event<'_>, plan: &Plan, now: Timestamp) -> String {
        let mut data = Data {
            payment_id: None,
            store_id: &self.store().id,
            transaction_id: None,
            cancellation_id: None,
            billing_key: None,
            sandbox_unheard_of: plan.unknown_fields.then_some("NEW"),
        };
        match event.about {
            Subject::Payment { id, transaction_id, cancellation_id, .. } => {
                data.payment_id = Some(id);
                data.transaction_id = Some(transaction_id);
                data.cancellation_id = cancellation_id;
            }
            Subject::Key(key) => data.billing_key = Some(key),
        }
        serde_json::to_string(&Body { r#type: event.kind, timestamp: stamp(now), data }).unwrap_or_default()
    }

    /// How long to wait before the try after `tries`, or `None` if there is none.
    pub(crate) fn wait_after(&self, webhook_id: &str, tries: u32) -> Option<SignedDuration> {
        let nominal = WAITS.get(usize::try_from(tries).ok()?)?;
        let millis = self.seed().below(nominal * 60_000, &["jitter", webhook_id, &tries.to_string()]);
        Some(SignedDuration::from_millis(i64::try_from(millis).ok()?))
    }
}

/// The key bytes of a secret such as `whsec_…`.
pub(crate) fn key_of(secret: &str) -> anyhow::Result<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret))?;
    anyhow::ensure!(!key.is_empty(), "the webhook secret is empty");
    Ok(key)
}

/// The `webhook-signature` header.
pub(crate) fn sign(key: &[u8], id: &str, timestamp: i64, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_official_sdk() {
        let key = key_of("pzQGE83cSIRKM4/WH5QY+g==").unwrap();
        let signature = sign(&key, "dummy-webhook-id", 1_714_039_200, r#"{"test":"test payload"}"#).unwrap();
        assert_eq!(signature, "v1,AMuZERspSjUAnx8CvPtk1FoKRwbyI5Dg3Uj9585DiMQ=");
    }

    #[test]
    fn the_signature_is_the_one_of_standard_webhooks() {
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
