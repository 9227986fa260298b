//! Configuration: what the operator sets. Read once, at start-up; everything that is missing or wrong is reported together.
//!
//! Each need is a [`Group`] of variables, and each function reads the groups it needs:
//!
//! ```no_run
//! use billing_aws::config::{self, Dunning, PortOne, Tables};
//!
//! let (tables, portone, dunning): (Tables, PortOne, Dunning) = config::from_env()?;
//! # Ok::<(), config::ConfigErrors>(())
//! ```
//!
//! No variable holds a secret: those name the secret's entry in Secrets Manager.

use crate::tables::Table;
use crate::telemetry::NAMESPACE;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::id::StoreId;
use billing_core::plan::{Catalogue, PlanError};
use billing_flows::mail::Sender;
use billing_flows::ports::Mode;
use std::num::NonZeroU32;
use std::time::Duration;

#[cfg(test)]
mod tests;
mod vars;

pub use vars::{ConfigErrors, Group, Problem, Vars};

/// Reads groups of variables from wherever `get` finds them.
pub fn read<T: Group>(get: impl Fn(&str) -> Option<String>) -> Result<T, ConfigErrors> {
    Vars::read(&get)
}

/// Reads groups of variables from the environment. Nothing else in the system reads it.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
pub fn from_env<T: Group>() -> Result<T, ConfigErrors> {
    read(|name| std::env::var(name).ok())
}

/// The catalogue this build sells: `infra/catalogue.toml`.
pub fn catalogue() -> Result<Catalogue, PlanError> {
    Catalogue::parse(include_str!("../../../infra/catalogue.toml"))
}

/// What the tables are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// `TABLE_BILLING_KEYS`.
    pub billing_keys: String,
    /// `TABLE_SUBSCRIPTIONS`.
    pub subscriptions: String,
    /// `TABLE_INVOICES`.
    pub invoices: String,
    /// `TABLE_EVENTS`.
    pub events: String,
    /// `TABLE_SESSIONS`.
    pub sessions: String,
    /// `TABLE_CONTROLS`.
    pub controls: String,
}

impl Tables {
    /// Tables of one stack: `prefix-BillingKeys` and so on.
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |table: Table| format!("{prefix}-{table}");
        Self {
            billing_keys: name(Table::BillingKeys),
            subscriptions: name(Table::Subscriptions),
            invoices: name(Table::Invoices),
            events: name(Table::Events),
            sessions: name(Table::Sessions),
            controls: name(Table::Controls),
        }
    }

    /// What a table is called.
    pub fn name(&self, table: Table) -> &str {
        match table {
            Table::BillingKeys => &self.billing_keys,
            Table::Subscriptions => &self.subscriptions,
            Table::Invoices => &self.invoices,
            Table::Events => &self.events,
            Table::Sessions => &self.sessions,
            Table::Controls => &self.controls,
        }
    }
}

impl Group for Tables {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let billing_keys = vars.required("TABLE_BILLING_KEYS", "billing-prod-BillingKeys", table_name);
        let subscriptions = vars.required("TABLE_SUBSCRIPTIONS", "billing-prod-Subscriptions", table_name);
        let invoices = vars.required("TABLE_INVOICES", "billing-prod-Invoices", table_name);
        let events = vars.required("TABLE_EVENTS", "billing-prod-Events", table_name);
        let sessions = vars.required("TABLE_SESSIONS", "billing-prod-Sessions", table_name);
        let controls = vars.required("TABLE_CONTROLS", "billing-prod-Controls", table_name);
        Some(Self {
            billing_keys: billing_keys?,
            subscriptions: subscriptions?,
            invoices: invoices?,
            events: events?,
            sessions: sessions?,
            controls: controls?,
        })
    }
}

/// How `PortOne` is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOne {
    /// `PORTONE_STORE_ID`: part of every payment id, so **it must never change** while anything is owed.
    pub store_id: StoreId,
    /// `PORTONE_MODE`: whether the store's channels move real money. It has no default: a wrong guess either refuses every customer, or lets
    /// one pay with a card that is only played.
    pub mode: Mode,
    /// `PORTONE_API_SECRET_ID`: the entry of Secrets Manager that holds the V2 API secret, as plain text.
    pub api_secret_id: String,
    /// `PORTONE_BASE_URL`: the API; absent for the real one.
    pub base_url: Option<String>,
    /// `PORTONE_READ_TIMEOUT_SECONDS`: how long an answer is waited for. `PortOne` asks for 60 or more.
    pub read_timeout: Duration,
    /// `PORTONE_CONNECT_TIMEOUT_SECONDS`: how long a connection is waited for.
    pub connect_timeout: Duration,
    /// `PORTONE_CHARGES_PER_SECOND`: how many charges a second this process sends on each channel at most; absent for as many as there are.
    pub charges_per_second: Option<NonZeroU32>,
}

impl Group for PortOne {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let store_id =
            vars.required("PORTONE_STORE_ID", "store-4ff4af41-85e3-4559-8eb8-0d08a2c6ceec", |text| StoreId::new(text));
        let mode = vars.required("PORTONE_MODE", "live", mode);
        let api_secret_id = vars.required("PORTONE_API_SECRET_ID", "billing/prod/portone-api-secret", secret_id);
        let base_url = vars.optional("PORTONE_BASE_URL", portone::DEFAULT_BASE_URL, http_url);
        // The lease of an attempt is 180 s; an answer that is waited for longer would come after it.
        let read_timeout = vars.optional("PORTONE_READ_TIMEOUT_SECONDS", "60", |text| seconds(text, 120));
        let connect_timeout = vars.optional("PORTONE_CONNECT_TIMEOUT_SECONDS", "3", |text| seconds(text, 30));
        let charges_per_second = vars.optional("PORTONE_CHARGES_PER_SECOND", "10", allowance);
        Some(Self {
            store_id: store_id?,
            mode: mode?,
            api_secret_id: api_secret_id?,
            base_url: base_url?,
            read_timeout: read_timeout?.unwrap_or(portone::DEFAULT_READ_TIMEOUT),
            connect_timeout: connect_timeout?.unwrap_or(portone::DEFAULT_CONNECT_TIMEOUT),
            charges_per_second: charges_per_second?,
        })
    }
}

/// How webhooks are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhooks {
    /// `PORTONE_WEBHOOK_SECRET_ID`: the entry of Secrets Manager that holds the webhook secret, or two while one replaces the other.
    pub secret_id: String,
}

impl Group for Webhooks {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let secret_id = vars.required("PORTONE_WEBHOOK_SECRET_ID", "billing/prod/portone-webhook-secret", secret_id);
        Some(Self { secret_id: secret_id? })
    }
}

/// How customers check out in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// `PUBLIC_URL`: where browsers and `PortOne` reach the API, without a slash at its end.
    pub public_url: String,
    /// `PORTONE_CARD_CHANNEL_KEY` and `PORTONE_CARD_PG`: the channel that cards are registered with.
    pub card: Option<CardChannel>,
    /// `PORTONE_PAYPAL_CHANNEL_KEY`: the channel that `PayPal` is registered with.
    pub paypal_channel_key: Option<String>,
    /// `PORTONE_SDK_URL`: `PortOne`'s browser SDK.
    pub sdk_url: String,
    /// `TERMS_URL`: the terms of the subscription.
    pub terms_url: Option<String>,
    /// `PRIVACY_URL`: what is done with personal data.
    pub privacy_url: Option<String>,
    /// `CHECKOUT_SECRET_ID`: the entry of Secrets Manager that holds what checkout addresses are signed with, or two texts while one replaces
    /// the other: the new one first.
    pub secret_id: String,
}

/// The channel that cards are registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardChannel {
    /// Its channel key.
    pub key: String,
    /// The PG behind it: each asks for other fields.
    pub pg: Pg,
}

/// `PortOne`'s browser SDK, version 2, at `PortOne`'s own address.
pub const DEFAULT_SDK_URL: &str = "https://cdn.portone.io/v2/browser-sdk.js";

impl Group for Checkout {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        const CHANNEL: &str = "channel-key-893597d6-e62d-410f-83f9-119f530b4b11";
        let public_url = vars.required("PUBLIC_URL", "https://billing.sivera.example", |text| {
            browser_url(text).map(|url| url.trim_end_matches('/').to_owned())
        });
        let card_key = vars.optional("PORTONE_CARD_CHANNEL_KEY", CHANNEL, one_line);
        let read_pg = |text: &str| one_line(text).map(|provider| Pg::from_provider(&provider));
        let card = match &card_key {
            Some(Some(key)) => {
                let pg = vars.required("PORTONE_CARD_PG", "TOSSPAYMENTS", read_pg);
                pg.map(|pg| Some(CardChannel { key: key.clone(), pg }))
            }
            Some(None) => Some(None),
            None => None,
        };
        let paypal_channel_key = vars.optional("PORTONE_PAYPAL_CHANNEL_KEY", CHANNEL, one_line);
        if matches!((&card_key, &paypal_channel_key), (Some(None), Some(None))) {
            vars.problem(
                "PORTONE_CARD_CHANNEL_KEY",
                "and PORTONE_PAYPAL_CHANNEL_KEY are not set: one is needed",
                CHANNEL,
            );
        }
        let sdk_url = vars.optional("PORTONE_SDK_URL", DEFAULT_SDK_URL, browser_url);
        let terms_url = vars.optional("TERMS_URL", "https://sivera.example/terms", browser_url);
        let privacy_url = vars.optional("PRIVACY_URL", "https://sivera.example/privacy", browser_url);
        let secret_id = vars.required("CHECKOUT_SECRET_ID", "billing/prod/checkout-secret", secret_id);
        Some(Self {
            public_url: public_url?,
            card: card?,
            paypal_channel_key: paypal_channel_key?,
            sdk_url: sdk_url?.unwrap_or_else(|| DEFAULT_SDK_URL.to_owned()),
            terms_url: terms_url?,
            privacy_url: privacy_url?,
            secret_id: secret_id?,
        })
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues {
    /// `QUEUE_COLLECT_URL`: to the workers.
    pub collect_url: String,
    /// `QUEUE_PLAN_URL`: to the planner itself.
    pub plan_url: String,
}

impl Group for Queues {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        const COLLECT: &str = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/billing-prod-collect";
        const PLAN: &str = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/billing-prod-plan";
        let collect_url = vars.required("QUEUE_COLLECT_URL", COLLECT, http_url);
        let plan_url = vars.required("QUEUE_PLAN_URL", PLAN, http_url);
        Some(Self { collect_url: collect_url?, plan_url: plan_url? })
    }
}

/// Who mails are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFrom {
    /// `MAIL_FROM`: the sending address, of an identity that SES has verified. The name beside it is the catalogue's brand.
    pub address: String,
    /// `MAIL_MANAGE_URL`: the page where customers change their payment method.
    pub manage_url: String,
    /// `MAIL_SUPPORT_EMAIL`: where customers write to, and where replies go.
    pub support_email: String,
    /// `MAIL_COMPANY_LINE`: the legal footer, in one line.
    pub company_line: Option<String>,
    /// `MAIL_CONFIGURATION_SET`: the SES configuration set that counts bounces and complaints.
    pub configuration_set: Option<String>,
}

impl MailFrom {
    /// The sender as mails show it.
    pub fn sender(&self, catalogue: &Catalogue) -> Sender {
        Sender {
            brand: catalogue.brand().to_owned(),
            manage_url: self.manage_url.clone(),
            support_email: self.support_email.clone(),
            company_line: self.company_line.clone(),
        }
    }
}

impl Group for MailFrom {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let address = vars.required("MAIL_FROM", "billing@sivera.example", address);
        let manage_url = vars.required("MAIL_MANAGE_URL", "https://sivera.example/settings/billing", page_url);
        let support_email = vars.required("MAIL_SUPPORT_EMAIL", "support@sivera.example", self::address);
        let company_line =
            vars.optional("MAIL_COMPANY_LINE", "(주)시베라 · 사업자등록번호 000-00-00000 · 서울", one_line);
        let configuration_set = vars.optional("MAIL_CONFIGURATION_SET", "billing-prod", one_line);
        Some(Self {
            address: address?,
            manage_url: manage_url?,
            support_email: support_email?,
            company_line: company_line?,
            configuration_set: configuration_set?,
        })
    }
}

/// What is counted for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// `METRICS_NAMESPACE`: under which metrics are written, so that two stacks in one account are told apart; absent for `Billing`.
    pub namespace: String,
}

impl Group for Metrics {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let namespace = vars.optional("METRICS_NAMESPACE", "Billing/billing-prod", metrics_namespace);
        Some(Self { namespace: namespace?.unwrap_or_else(|| NAMESPACE.to_owned()) })
    }
}

/// When a declined invoice is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dunning {
    /// `DUNNING_DAYS`: days after the first decline; absent for 1, 3 and 5.
    pub ladder: Ladder,
}

impl Group for Dunning {
    fn read(vars: &mut Vars<'_>) -> Option<Self> {
        let ladder = vars.optional("DUNNING_DAYS", "1,3,5", |text| {
            let days: Result<Vec<u32>, _> = text.split(',').map(|day| day.trim().parse()).collect();
            Ladder::new(days.map_err(|_| "must be days separated by commas".to_owned())?)
                .map_err(|error| format!("is wrong: {error}"))
        });
        Some(Self { ladder: ladder?.unwrap_or_default() })
    }
}

fn table_name(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if plain && (3..=255).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("must be the name of a DynamoDB table: 3 to 255 letters, digits, '-', '_' and '.'")
    }
}

fn metrics_namespace(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'#' | b':'));
    if plain && text.len() <= 255 && !text.starts_with("AWS/") {
        Ok(text.to_owned())
    } else {
        Err(
            "must be a namespace of CloudWatch: at most 255 letters, digits and any of . - _ / # :, not beginning with AWS/",
        )
    }
}

fn secret_id(text: &str) -> Result<String, &'static str> {
    if text.starts_with("whsec_") {
        return Err("must be the name of a secret in Secrets Manager, not the secret itself");
    }
    one_line(text)
}

fn one_line(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        Err("must be one line without control characters")
    } else {
        Ok(text.to_owned())
    }
}

fn http_url(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && !text.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        _ => Err("must be a URL that begins with https:// (or http:// for a local stack)"),
    }
}

/// A page that customers are sent to.
fn page_url(text: &str) -> Result<String, &'static str> {
    browser_url(text).map_err(|_| "must be a URL that begins with https://, for it is a link in mails")
}

/// What a customer's browser loads: `https`, but on the machine itself.
fn browser_url(text: &str) -> Result<String, &'static str> {
    let is_local = text.starts_with("http://localhost") || text.starts_with("http://127.0.0.1");
    if text.starts_with("https://") || is_local {
        http_url(text)
    } else {
        Err("must be a URL that begins with https://, for customers' browsers load it")
    }
}

fn mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "test" => Ok(Mode::Test),
        "live" => Ok(Mode::Live),
        _ => Err("must be `live`, or `test` if all channels of the store are test channels"),
    }
}

fn address(text: &str) -> Result<String, &'static str> {
    let plain =
        text.is_ascii() && !text.contains(|c: char| c.is_ascii_control() || matches!(c, ' ' | ',' | '<' | '>' | '"'));
    match text.split_once('@') {
        Some((local, domain)) if plain && !local.is_empty() && domain.contains('.') && !domain.contains('@') => {
            Ok(text.to_owned())
        }
        _ => Err("must be a bare e-mail address"),
    }
}

/// No PG is known to take more.
const MAX_CHARGES_PER_SECOND: u32 = 10_000;

fn allowance(text: &str) -> Result<NonZeroU32, String> {
    match text.parse() {
        Ok(count) if u32::from(count) <= MAX_CHARGES_PER_SECOND => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {MAX_CHARGES_PER_SECOND}")),
    }
}

fn seconds(text: &str, max: u64) -> Result<Duration, String> {
    match text.parse() {
        Ok(count) if (1..=max).contains(&count) => Ok(Duration::from_secs(count)),
        _ => Err(format!("must be a whole number of seconds from 1 to {max}")),
    }
}
