//! Delivering webhooks, and all else that the clock sets off.

use axum::extract::State;
use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde_json::json;

use super::behavior::Plain;
use super::call::Call;
use super::entities::{Exchange, Response, Webhook, WebhookStatus};
use super::faults::Plan;
use super::input::Resend;
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::state::{Change, Due, after};
use super::webhooks::sign;
use super::{PortOne, lock, view};

/// How many webhooks are delivered at a time.
const CONCURRENT_DELIVERIES: usize = 16;
/// How often a webhook may be sent again by hand. `PortOne` has such a limit and does not say what it is.
const MAX_RESENDS: u32 = 10;
/// How much of a receiver's answer is kept.
const KEPT_BYTES: usize = 4096;
/// How old the timestamp of `webhook_old_timestamp` is: beyond any tolerance.
const OLD_SECONDS: i64 = 3600;

/// The right to deliver a webhook. While it lives, no one else does.
struct Claim<'a>(&'a PortOne, &'a str);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.delivering).remove(self.1);
        self.0.notify();
    }
}

impl PortOne {
    /// Does all that is due, until nothing is: schedules and pending payments in the order of their times, then webhooks.
    ///
    /// If nothing is due, nothing happens, and no one is told: whoever fires whenever [`changed`](Self::changed) tells comes to rest.
    pub async fn fire_due(&self) {
        if self.next_due().is_none_or(|due| due > self.now()) {
            return;
        }
        let _busy = self.busy();
        loop {
            if let Err(refusal) = self.settle_due() {
                tracing::error!("what is due cannot be done: {refusal:?}");
                return;
            }
            let webhooks = self.due_webhooks();
            if webhooks.is_empty() || !self.deliver_all(webhooks).await {
                return;
            }
        }
    }

    fn settle_due(&self) -> Result<(), Refusal> {
        loop {
            let next = {
                let (state, now) = (self.lock(), self.now());
                let mut due = state.due.iter().take_while(|(at, _)| *at <= now).map(|(_, due)| due);
                due.find(|due| !matches!(due, Due::Webhook(_))).cloned()
            };
            match next {
                None => return Ok(()),
                Some(Due::Schedule(id)) => self.charge_by_schedule(&id)?,
                Some(Due::Payment(id)) => self.settle_by_clock(&id)?,
                Some(Due::Webhook(_)) => {}
            }
        }
    }

    fn due_webhooks(&self) -> Vec<String> {
        let (state, now) = (self.lock(), self.now());
        let delivering = lock(&self.0.delivering);
        let due = state.due.iter().take_while(|(at, _)| *at <= now).filter_map(|(_, due)| match due {
            Due::Webhook(id) if !delivering.contains(id) => Some(id.clone()),
            _ => None,
        });
        due.collect()
    }

    /// Delivers webhooks, a bounded number at a time. Whether any was.
    pub(crate) async fn deliver_all(&self, ids: Vec<String>) -> bool {
        let claimed = ids.into_iter().filter(|id| self.claim(id));
        self.deliver_claimed(claimed.collect()).await
    }

    /// Delivers webhooks that the caller has claimed.
    pub(crate) async fn deliver_claimed(&self, ids: Vec<String>) -> bool {
        let deliver = |id: String| async move { self.deliver(&id, false).await };
        let delivered = stream::iter(ids).map(deliver).buffer_unordered(CONCURRENT_DELIVERIES);
        delivered.fold(false, async |any, one| any || one).await
    }

    /// Takes a webhook to deliver. From now on no one else does, until it is delivered.
    fn claim(&self, id: &str) -> bool {
        lock(&self.0.delivering).insert(id.to_owned())
    }

    /// Takes the webhooks among changes that are about to become so, if they are to be delivered before the call is answered.
    pub(crate) fn claim_early(&self, plan: &Plan, changes: &[Change]) -> Vec<String> {
        let early = |change: &Change| match change {
            Change::Webhook(webhook) if webhook.next_try.is_some() && plan.has(Plain::WebhookBeforeAnswer) => {
                self.claim(&webhook.id).then(|| webhook.id.clone())
            }
            _ => None,
        };
        changes.iter().filter_map(early).collect()
    }

    /// One try of one claimed webhook. By hand: whether it is due or not, and without another to follow. Whether it was made and recorded.
    async fn deliver(&self, id: &str, by_hand: bool) -> bool {
        let claim = Claim(self, id);
        let _busy = self.busy();
        let webhook = self.lock().webhooks.get(id).cloned();
        let Some(webhook) = webhook.filter(|webhook| by_hand || webhook.next_try.is_some()) else {
            return false;
        };
        let (exchange, status) = self.send(&webhook, by_hand).await;
        let mut state = self.lock();
        // The event may have been let go meanwhile: what is changed is the webhook of now.
        let Some(mut webhook) = state.webhooks.get(id).cloned() else {
            return false;
        };
        if by_hand {
            webhook.manual_tries = webhook.manual_tries.saturating_add(1);
        } else {
            webhook.tries = webhook.tries.saturating_add(1);
            webhook.held = false;
            let wait = self.wait_after(id, webhook.tries);
            webhook.next_try = wait.map(|wait| after(self.now(), wait));
        }
        if status == WebhookStatus::Succeeded {
            webhook.next_try = None;
        }
        webhook.status = Some(status);
        webhook.last = Some(exchange);
        let recorded = self.commit(&mut state, vec![Change::Webhook(webhook)]).is_ok();
        drop(state);
        drop(claim);
        recorded
    }

    /// Sends a webhook once, or, if it is to be duplicated, twice at once.
    async fn send(&self, webhook: &Webhook, by_hand: bool) -> (Exchange, WebhookStatus) {
        let first = webhook.tries == 0 && !by_hand;
        if first && webhook.flaws.duplicated {
            let (outcome, _) = tokio::join!(self.post(webhook, first), self.post(webhook, first));
            return outcome;
        }
        self.post(webhook, first).await
    }

    async fn post(&self, webhook: &Webhook, first: bool) -> (Exchange, WebhookStatus) {
        let url = webhook.url.clone().or_else(|| self.console_url()).unwrap_or_default();
        let requested_at = self.now();
        let mut signed_at = requested_at;
        if first && webhook.flaws.old_timestamp {
            signed_at = requested_at.saturating_sub(SignedDuration::from_secs(OLD_SECONDS)).unwrap_or(requested_at);
        }
        let headers = self.headers(webhook, signed_at, first && webhook.flaws.bad_signature);
        let mut exchange = Exchange { url: url.clone(), header: as_text(&headers), requested_at, response: None };
        let sent = self.0.http.post(url).headers(headers).body(webhook.body.clone()).send().await;
        let Ok(response) = sent else {
            return (exchange, WebhookStatus::FailedUnexpectedError);
        };
        let code = response.status().as_u16();
        let header = as_text(response.headers());
        let body = start_of(response).await;
        exchange.response = Some(Response { code, header, body, responded_at: self.now() });
        // Only 200 is known to be taken for success.
        let status = if code == 200 { WebhookStatus::Succeeded } else { WebhookStatus::FailedNotOkResponse };
        (exchange, status)
    }

    fn headers(&self, webhook: &Webhook, signed_at: Timestamp, badly: bool) -> HeaderMap {
        let timestamp = signed_at.as_second();
        let mut key = self.0.webhook_key.clone();
        if badly {
            key.push(1);
        }
        let signature = sign(&key, &webhook.id, timestamp, &webhook.body).unwrap_or_default();
        let pairs = [
            ("content-type", "application/json".to_owned()),
            ("webhook-id", webhook.id.clone()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?))).collect()
    }
}

fn as_text(headers: &HeaderMap) -> String {
    let line = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    headers.iter().map(line).collect()
}

/// The beginning of a body. The rest is not read.
async fn start_of(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= KEPT_BYTES {
            body.truncate(KEPT_BYTES);
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// `POST /payments/{paymentId}/resend-webhook`
pub(crate) async fn resend(State(portone): State<PortOne>, call: Call) -> Reply {
    portone
        .once(call, |portone, call, ticket| async move {
            let chosen = chosen(&portone, &call);
            if let Ok(id) = &chosen
                && portone.claim(id)
            {
                portone.deliver(id, true).await;
            }
            let mut state = portone.lock();
            let now = portone.now();
            let sent = chosen.map(|id| json!({"webhook": state.webhooks.get(&id).map(view::webhook)}));
            let answer: Answer = portone.conclude(&mut state, &ticket, (sent, Vec::new()), now);
            Reply::Answer(answer)
        })
        .await
}

/// The webhook to send again: the payment's newest if none is named.
fn chosen(portone: &PortOne, call: &Call) -> Result<String, Refusal> {
    let Resend { store_id, webhook_id } = call.body()?;
    portone.check_store(store_id.as_deref())?;
    let state = portone.lock();
    let payment_id = call.id("paymentId");
    if !state.payments.contains_key(payment_id) {
        return Err(Refusal::new("PAYMENT_NOT_FOUND", "there is no such payment"));
    }
    let sent = state.webhooks_of.get(payment_id).map_or(&[][..], Vec::as_slice);
    let chosen = match &webhook_id {
        Some(id) => sent.iter().find(|sent| *sent == id),
        None => sent.last(),
    };
    let webhook = chosen.and_then(|id| state.webhooks.get(id));
    let webhook = webhook.ok_or_else(|| Refusal::new("WEBHOOK_NOT_FOUND", "there is no such webhook"))?;
    if webhook.manual_tries >= MAX_RESENDS {
        return Err(Refusal::new("MAX_WEBHOOK_RETRY_COUNT_REACHED", "it was sent again too often"));
    }
    Ok(webhook.id.clone())
}
