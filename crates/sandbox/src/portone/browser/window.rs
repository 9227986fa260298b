//! A window: what it was opened for, and how it ends.
//!
//! Guesses, where `PortOne` documents nothing: every window has the name of its billing key from its opening, so that `BillingKey.Ready`,
//! `Issued` and `Failed` say the same name and an error carries it, too; a cancellation is an error of the gateway with the gateway's own
//! code; closing the window is `Cancelled` to the page, and nothing to the server.

use std::collections::VecDeque;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::behavior::{Behavior, REASONS};
use super::super::declines::decline;
use super::super::entities::{BillingKey, Channel, Customer, Method};
use super::super::state::Change;
use super::super::webhooks::{Event, Subject};
use super::super::{PortOne, keys};
use super::Problem;
use super::request::Open;

/// How many windows are remembered; the oldest is forgotten first. One is a person before a screen, and there are never many of those.
const MAX_WINDOWS: usize = 256;
/// The longest code of a gateway.
const MAX_REASON_CHARS: usize = 64;
const TRANSACTION: &str = "ISSUE_BILLING_KEY";

/// The windows that were opened last.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    opened: u64,
    known: VecDeque<Window>,
}

impl Windows {
    pub(crate) fn put(&mut self, window: Window) {
        if let Some(known) = self.known.iter_mut().find(|known| known.id == window.id) {
            *known = window;
            return;
        }
        self.opened = self.opened.saturating_add(1);
        self.known.push_back(window);
        if self.known.len() > MAX_WINDOWS {
            self.known.pop_front();
        }
    }

    fn find(&self, id: &str) -> Result<&Window, Problem> {
        let found = self.known.iter().find(|window| window.id == id);
        found.ok_or_else(|| Problem::new("NotFound", format!("there is no window {id}: open a new one")))
    }

    /// Whether one of them has this name for its billing key.
    pub(crate) fn have_named(&self, key: &str) -> bool {
        self.known.iter().any(|window| window.billing_key == key)
    }
}

/// A window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Window {
    id: String,
    /// The name that the key has or will have.
    billing_key: String,
    channel: Channel,
    method: Method,
    customer: Customer,
    issue_id: Option<String>,
    issue_name: Option<String>,
    custom_data: Option<String>,
    notice_urls: Vec<String>,
    redirect_url: Option<String>,
    display_amount: Option<i64>,
    currency: Option<String>,
    locale: Option<String>,
    ended: Option<Ended>,
}

/// What is told to the page when a window has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    /// `None`: it is told nothing.
    result: Option<Outcome>,
    /// Where the whole page goes, instead.
    redirect: Option<String>,
}

/// The SDK's answer. Without a code it is success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    transaction_type: String,
    billing_key: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg_message: Option<String>,
}

/// How a window is to end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ending {
    /// The key is issued.
    Approve {
        /// What it does when it is charged.
        behavior: Option<Behavior>,
    },
    /// The key is issued, and the page never hears of it: the browser died.
    ApproveUnheard {
        /// What it does when it is charged.
        behavior: Option<Behavior>,
    },
    /// The gateway declines.
    Decline {
        /// One of [`REASONS`], or the gateway's own code.
        reason: String,
    },
    /// Something breaks that has no code of the gateway.
    Error,
    /// The customer cancels.
    Cancel,
}

impl Failure {
    fn of_gateway(code: &str, message: &str) -> Self {
        Self {
            code: "PGProviderError".to_owned(),
            message: message.to_owned(),
            pg_code: Some(code.to_owned()),
            pg_message: Some(message.to_owned()),
        }
    }

    fn without_gateway(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), pg_code: None, pg_message: None }
    }
}

impl Window {
    fn outcome(&self, failure: Option<Failure>) -> Outcome {
        Outcome { transaction_type: TRANSACTION.to_owned(), billing_key: self.billing_key.clone(), failure }
    }

    fn speaks_korean(&self) -> bool {
        self.locale.as_deref().is_none_or(|locale| locale.to_ascii_uppercase().starts_with("KO"))
    }

    /// What the page is told when the window is closed. The simulator is not.
    fn closed(&self) -> Outcome {
        let message = if self.speaks_korean() { "창이 닫혔습니다." } else { "The window was closed." };
        self.outcome(Some(Failure::without_gateway("Cancelled", message)))
    }

    fn cancelled(&self) -> Failure {
        // Toss Payments' is documented. The others' only have the right shape.
        let code = if self.channel.pg_provider == "TOSSPAYMENTS" { "PAY_PROCESS_CANCELED" } else { "USER_CANCEL" };
        let message = if self.speaks_korean() { "사용자가 취소했습니다." } else { "The customer cancelled." };
        Failure::of_gateway(code, message)
    }

    /// Why there is no key, if there is none, and whether the page is told.
    fn end(&self, ending: &Ending) -> Result<(Option<Failure>, bool), Problem> {
        let failure = match ending {
            Ending::Approve { .. } => return Ok((None, true)),
            Ending::ApproveUnheard { .. } => return Ok((None, false)),
            Ending::Decline { reason } => {
                if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
                    return Err(Problem::bad(format!("`reason` must have 1 to {MAX_REASON_CHARS} characters")));
                }
                let declined = decline(&self.channel.pg_provider, reason);
                Failure::of_gateway(&declined.pg_code, &declined.pg_message)
            }
            Ending::Error => Failure::without_gateway("UnknownError", "the sandbox was asked to fail"),
            Ending::Cancel => self.cancelled(),
        };
        Ok((Some(failure), true))
    }

    /// What the page is told.
    fn ended(&self, failure: Option<Failure>, told: bool) -> Result<Ended, Problem> {
        let outcome = self.outcome(failure);
        let redirect = match &self.redirect_url {
            Some(url) if told => Some(outcome.appended_to(url)?),
            Some(_) | None => None,
        };
        Ok(Ended { result: told.then_some(outcome), redirect })
    }

    fn issued(&self, behavior: Option<Behavior>, issued_at: jiff::Timestamp) -> BillingKey {
        BillingKey {
            key: self.billing_key.clone(),
            issued_at,
            deleted_at: None,
            customer: self.customer.clone(),
            channel: self.channel.clone(),
            method: self.method,
            issue_id: self.issue_id.clone(),
            custom_data: self.custom_data.clone(),
            behavior,
        }
    }
}

impl Outcome {
    /// The address with the outcome in its query, after what it has there already.
    fn appended_to(&self, url: &str) -> Result<String, Problem> {
        let mut url = Url::parse(url).map_err(|error| Problem::bad(format!("`redirectUrl`: {error}")))?;
        let mut query = url.query_pairs_mut();
        query.append_pair("transactionType", &self.transaction_type).append_pair("billingKey", &self.billing_key);
        if let Some(Failure { code, message, pg_code, pg_message }) = &self.failure {
            query.append_pair("code", code).append_pair("message", message);
            for (name, value) in [("pgCode", pg_code), ("pgMessage", pg_message)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        drop(query);
        Ok(url.into())
    }
}

impl PortOne {
    /// Opens a window for a page's request.
    pub(super) fn open_window(&self, open: Open) -> Result<Value, Problem> {
        let mut state = self.lock();
        let asked = open.check(&self.store().id, state.faults.pg_rules)?;
        let nth = state.windows.opened.to_string();
        let request = open.request;
        let by_issue = request.issue_id.as_deref().map(|id| keys::name_by_issue(self, id));
        let window = Window {
            id: self.seed().uuid(&["window", &nth]),
            billing_key: by_issue
                .filter(|name| !state.keys.contains_key(name) && !state.windows.have_named(name))
                .unwrap_or_else(|| format!("billing-key-{}", self.seed().uuid(&["window key", &nth]))),
            channel: asked.channel,
            method: asked.method,
            customer: asked.customer,
            issue_id: request.issue_id,
            issue_name: request.issue_name,
            custom_data: asked.custom_data,
            notice_urls: asked.notice_urls,
            redirect_url: asked.redirect_url,
            display_amount: request.display_amount,
            currency: request.currency.map(|code| code.trim_start_matches("CURRENCY_").to_owned()),
            locale: request.locale,
            ended: None,
        };
        let answer = json!({
            "windowId": window.id,
            "path": format!("/sandbox/window/{}", window.id),
            "redirects": window.redirect_url.is_some(),
            "closed": window.closed(),
        });
        let plan = keys::plan_of(&state, &window.billing_key, None);
        let mut changes = self.tell(&state, &plan, event(&window, "BillingKey.Ready"), self.now());
        changes.push(Change::Window(Box::new(window)));
        self.commit(&mut state, changes)?;
        Ok(answer)
    }

    /// What the window's page shows.
    pub(super) fn window_view(&self, id: &str) -> Result<Value, Problem> {
        let state = self.lock();
        let window = state.windows.find(id)?;
        let behaviors: Vec<String> =
            Behavior::known().into_iter().filter(|known| !known.contains('<')).chain(declines()).collect();
        Ok(json!({
            "locale": if window.speaks_korean() { "ko" } else { "en" },
            "paypal": window.method == Method::Paypal,
            "pgProvider": window.channel.pg_provider,
            "channelKey": window.channel.key,
            "issueName": window.issue_name,
            "customer": {"name": window.customer.name, "email": window.customer.email},
            "displayAmount": window.display_amount,
            "currency": window.currency,
            "reasons": REASONS,
            "behaviors": behaviors,
            "redirects": window.redirect_url.is_some(),
            "ended": window.ended,
        }))
    }

    /// Ends a window. One that has ended stays as it ended.
    pub(super) async fn end_window(&self, id: &str, ending: Ending) -> Result<Value, Problem> {
        let (ended, early) = {
            let mut state = self.lock();
            let window = state.windows.find(id)?.clone();
            if let Some(ended) = &window.ended {
                return Ok(json!(ended));
            }
            let (failure, told) = window.end(&ending)?;
            let kind = if failure.is_none() { "BillingKey.Issued" } else { "BillingKey.Failed" };
            let ended = window.ended(failure, told)?;
            let issued = match ending {
                Ending::Approve { behavior } | Ending::ApproveUnheard { behavior } => {
                    Some(window.issued(behavior, self.now()))
                }
                Ending::Decline { .. } | Ending::Error | Ending::Cancel => None,
            };
            let behavior = issued.as_ref().and_then(|key| key.behavior.as_ref());
            let plan = keys::plan_of(&state, &window.billing_key, behavior);
            let mut changes = self.tell(&state, &plan, event(&window, kind), self.now());
            changes.extend(issued.map(Change::Key));
            changes.push(Change::Window(Box::new(Window { ended: Some(ended.clone()), ..window.clone() })));
            let early = self.claim_early(&plan, &changes);
            self.commit(&mut state, changes)?;
            (ended, early)
        };
        self.deliver_claimed(early).await;
        Ok(json!(ended))
    }
}

fn event<'a>(window: &'a Window, kind: &'a str) -> Event<'a> {
    Event { kind, about: Subject::Key(&window.billing_key), trigger: None, notice_urls: &window.notice_urls }
}

fn declines() -> impl Iterator<Item = String> {
    REASONS.iter().map(|reason| format!("decline:{reason}"))
}
