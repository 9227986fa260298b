//! Billing keys.

use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::PortOne;
use super::behavior::Behavior;
use super::call::Call;
use super::entities::{BillingKey, Channel, Customer, Method};
use super::faults::{About, Operation, Plan};
use super::input::{CustomerInput, Issue, SandboxBypass};
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::state::{Change, State as Known};
use super::view;
use super::webhooks::{Event, Subject};

/// Whom a billing key belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCustomer {
    /// The merchant's own id of the customer.
    pub id: Option<String>,
    /// The name, in one piece.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
}

/// A billing key to issue, as the payment window does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBillingKey {
    /// Whose it is.
    pub customer: NewCustomer,
    /// The gateway, in `PortOne`'s name for it: `TOSSPAYMENTS`, `INICIS_V2`, `KCP_V2`, `NICE_V2`, `PAYPAL_V2`, …
    pub pg_provider: String,
    /// How it pays.
    pub method: Method,
    /// The channel it is issued on.
    pub channel_key: String,
    /// The merchant's name for the issue.
    pub issue_id: Option<String>,
    /// The merchant's own data, as text.
    pub custom_data: Option<String>,
    /// What it does when it is charged. `None`: it pays.
    pub behavior: Option<Behavior>,
    /// Whether a `BillingKey.Issued` webhook is sent.
    pub notify: bool,
}

impl Default for NewBillingKey {
    fn default() -> Self {
        Self {
            customer: NewCustomer::default(),
            pg_provider: "TOSSPAYMENTS".to_owned(),
            method: Method::Card,
            channel_key: "channel-key-sandbox".to_owned(),
            issue_id: None,
            custom_data: None,
            behavior: None,
            notify: false,
        }
    }
}

impl PortOne {
    /// Issues a billing key.
    pub fn issue_billing_key(&self, new: NewBillingKey) -> anyhow::Result<String> {
        let NewCustomer { id, name, email, phone } = new.customer;
        let customer = Customer { id, name, email, phone_number: phone, ..Customer::default() };
        super::codes::PgProvider::try_from(new.pg_provider.clone()).map_err(anyhow::Error::msg)?;
        let mut state = self.lock();
        let now = self.now();
        let key = BillingKey {
            key: self.new_key(&state, new.issue_id.as_deref()),
            issued_at: now,
            deleted_at: None,
            customer,
            channel: Channel { key: new.channel_key, pg_provider: new.pg_provider },
            method: new.method,
            issue_id: new.issue_id,
            custom_data: new.custom_data,
            behavior: new.behavior,
        };
        let name = key.key.clone();
        let mut changes = Vec::new();
        if new.notify {
            changes = self.tell_of_key(&state, &key, "BillingKey.Issued", &[], now);
        }
        changes.push(Change::Key(key));
        self.commit(&mut state, changes)?;
        Ok(name)
    }

    /// A name that depends on the issue id alone, while that is used once.
    fn new_key(&self, state: &Known, issue_id: Option<&str>) -> String {
        let count = state.keys.len().to_string();
        let nth = format!("billing-key-{}", self.seed().uuid(&["nth", &count]));
        let names = [issue_id.map(|id| name_by_issue(self, id)), Some(nth)];
        let mut free = names
            .into_iter()
            .flatten()
            .filter(|name| !state.keys.contains_key(name) && !state.windows.have_named(name));
        free.next().unwrap_or_else(|| format!("billing-key-{}", self.seed().uuid(&["again", &count])))
    }

    fn tell_of_key(
        &self,
        state: &Known,
        key: &BillingKey,
        kind: &str,
        notice_urls: &[String],
        now: Timestamp,
    ) -> Vec<Change> {
        let event = Event { kind, about: Subject::Key(&key.key), trigger: None, notice_urls };
        self.tell(state, &plan_of_key(state, key), event, now)
    }
}

/// The name of the key that is issued first under an issue id.
pub(crate) fn name_by_issue(portone: &PortOne, issue_id: &str) -> String {
    format!("billing-key-{}", portone.seed().uuid(&["issue", issue_id]))
}

/// What is wrong with the webhooks of a key, and the answers about it.
fn plan_of_key(state: &Known, key: &BillingKey) -> Plan {
    plan_of(state, &key.key, key.behavior.as_ref())
}

/// The same of a key that may never be issued.
pub(crate) fn plan_of(state: &Known, billing_key: &str, base: Option<&Behavior>) -> Plan {
    let about = About { operation: Operation::Issue, base, billing_key, payment_id: "", attempt: 0 };
    let plan = state.faults.plan(&about);
    Plan { outcome: None, network: None, ..plan }
}

pub(crate) fn view_of(portone: &PortOne, state: &Known, key: &BillingKey) -> Value {
    view::billing_key(portone.store(), key, plan_of_key(state, key).unknown_fields)
}

/// `GET /billing-keys/{billingKey}`
pub(crate) async fn get(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        portone.check_store(call.query("storeId"))?;
        let state = portone.lock();
        let key = state.keys.get(call.id("billingKey")).ok_or_else(not_found)?;
        Ok(view_of(&portone, &state, key))
    };
    read().into()
}

fn not_found() -> Refusal {
    Refusal::new("BILLING_KEY_NOT_FOUND", "there is no such billing key")
}

/// `POST /billing-keys`. What the key does when it is charged may be said in `bypass.sandbox.behavior`.
pub(crate) async fn issue(State(portone): State<PortOne>, call: Call) -> Reply {
    let work = |portone: &PortOne, call: &Call, state: &Known, now| {
        let input: Issue = call.body()?;
        portone.check_store(input.store_id.as_deref())?;
        if input.method.card.is_none() {
            return Err(Refusal::invalid("`method.card` is required"));
        }
        let channel_key = input.channel_key.or(input.channel_group_id);
        let channel_key =
            channel_key.ok_or_else(|| Refusal::invalid("`channelKey` or `channelGroupId` is required"))?;
        let SandboxBypass { behavior, pg_provider } = input.bypass.unwrap_or_default().sandbox;
        let known = || {
            state.keys.values().find(|key| key.channel.key == channel_key).map(|key| key.channel.pg_provider.clone())
        };
        let pg_provider =
            pg_provider.map(|wanted| wanted.0).or_else(known).unwrap_or_else(|| "TOSSPAYMENTS".to_owned());
        let key = BillingKey {
            key: portone.new_key(state, None),
            issued_at: now,
            deleted_at: None,
            customer: input.customer.map(CustomerInput::flat).unwrap_or_default(),
            channel: Channel { key: channel_key, pg_provider },
            method: Method::Card,
            issue_id: None,
            custom_data: input.custom_data,
            behavior,
        };
        let urls = input.notice_urls.unwrap_or_default();
        let mut changes = portone.tell_of_key(state, &key, "BillingKey.Issued", &urls, now);
        let answer = json!({"billingKeyInfo": view::billing_key_summary(&key)});
        changes.push(Change::Key(key));
        Ok((answer, changes))
    };
    portone.at_once(call, work).await
}

/// `DELETE /billing-keys/{billingKey}`
pub(crate) async fn delete(State(portone): State<PortOne>, call: Call) -> Reply {
    portone
        .once(call, |portone, call, ticket| async move {
            let (answer, early) = {
                let mut state = portone.lock();
                let now = portone.now();
                let deleted = deleted(&portone, &call, &state, now);
                let plan =
                    state.keys.get(call.id("billingKey")).map(|key| plan_of_key(&state, key)).unwrap_or_default();
                let (result, changes) = match deleted {
                    Ok((value, changes)) => (Ok(value), changes),
                    Err(refusal) => (Err(refusal), Vec::new()),
                };
                let early = portone.claim_early(&plan, &changes);
                (portone.conclude(&mut state, &ticket, (result, changes), now), early)
            };
            portone.deliver_claimed(early).await;
            Reply::Answer(answer)
        })
        .await
}

fn deleted(portone: &PortOne, call: &Call, state: &Known, now: Timestamp) -> Result<(Value, Vec<Change>), Refusal> {
    portone.check_store(call.query("storeId"))?;
    let hushed = call.flag("skipWebhook")?;
    let requester = call.query("requester");
    if requester.is_some_and(|requester| !matches!(requester, "CUSTOMER" | "ADMIN")) {
        return Err(Refusal::invalid("`requester` is CUSTOMER or ADMIN"));
    }
    let key = state.keys.get(call.id("billingKey")).ok_or_else(not_found)?;
    if key.deleted_at.is_some() {
        return Err(super::charge::key_deleted());
    }
    if state.live_schedules(&key.key).next().is_some() {
        return Err(Refusal::new("PAYMENT_SCHEDULE_ALREADY_EXISTS", "the key has schedules; revoke them first"));
    }
    if key.channel.pg_provider == "NAVERPAY" && (requester.is_none() || call.query("reason").is_none()) {
        return Err(Refusal::invalid("NaverPay requires `reason` and `requester`"));
    }
    let key = BillingKey { deleted_at: Some(now), ..key.clone() };
    let mut changes = Vec::new();
    if !hushed {
        changes = portone.tell_of_key(state, &key, "BillingKey.Deleted", &[], now);
    }
    changes.push(Change::Key(key));
    Ok((json!({"deletedAt": view::stamp(now)}), changes))
}
