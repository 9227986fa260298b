//! What a page asks the browser SDK for, and whether `PortOne` and the gateway would take it.
//!
//! The fields and their meaning are those of the SDK's types. That a breach of a gateway's rule is a `BadRequest` is a guess.

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::entities::{Channel, Customer, Method};
use super::{Problem, channels};

/// The most addresses of webhooks that one request may name: each of them is called, and called again.
const MAX_NOTICE_URLS: usize = 10;

/// What the script sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Open {
    pub(super) request: Request,
    /// What kind of browser it runs in.
    platform: Platform,
    /// Which operation was called.
    by: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Platform {
    Pc,
    Mobile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Operation {
    RequestIssueBillingKey,
    LoadIssueBillingKeyUI,
}

/// A request of either operation. A field that is not looked at is let pass.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    store_id: String,
    channel_key: Option<String>,
    billing_key_method: BillingKeyMethod,
    ui_type: Option<String>,
    pub(super) issue_id: Option<String>,
    pub(super) issue_name: Option<String>,
    customer: Option<BrowserCustomer>,
    custom_data: Option<Map<String, Value>>,
    notice_urls: Option<Vec<String>>,
    redirect_url: Option<String>,
    force_redirect: Option<bool>,
    window_type: Option<WindowTypes>,
    /// Minor units; only shown.
    pub(super) display_amount: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) locale: Option<String>,
    offer_period: Option<OfferPeriod>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum BillingKeyMethod {
    Card,
    Mobile,
    EasyPay,
    Paypal,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BrowserCustomer {
    customer_id: Option<String>,
    full_name: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    phone_number: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct WindowTypes {
    pc: Option<WindowType>,
    mobile: Option<WindowType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum WindowType {
    Iframe,
    Popup,
    Redirection,
    #[serde(rename = "UI")]
    Ui,
}

#[derive(Debug, Clone, Deserialize)]
struct OfferPeriod {
    interval: Option<String>,
}

/// A request that was found good.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) channel: Channel,
    pub(super) method: Method,
    pub(super) customer: Customer,
    /// As the server API gives it back: text.
    pub(super) custom_data: Option<String>,
    pub(super) notice_urls: Vec<String>,
    /// Where the whole page goes in the end. `None`: the window is an overlay, and the page is told.
    pub(super) redirect_url: Option<String>,
}

impl Open {
    /// What is asked for, or what is wrong with it. `pg_rules`: whether the gateways' own rules are applied.
    pub(super) fn check(&self, store_id: &str, pg_rules: bool) -> Result<Asked, Problem> {
        let Self { request, by, .. } = self;
        if request.store_id != store_id {
            return Err(Problem::new("StoreNotFound", format!("there is no store {}", request.store_id)));
        }
        let key = request.channel_key.as_deref().ok_or_else(|| {
            Problem::bad("`channelKey` is missing; the sandbox has no channel groups to choose a channel from")
        })?;
        let (channel, method) =
            channels::find(key).ok_or_else(|| Problem::new("ChannelNotFound", format!("there is no channel {key}")))?;
        match (method, request.billing_key_method) {
            (Method::Card, BillingKeyMethod::Card) | (Method::Paypal, BillingKeyMethod::Paypal) => {}
            (_, asked) => {
                return Err(Problem::bad(format!("the channel {key} issues no billing keys of the method {asked:?}")));
            }
        }
        match (by, method) {
            (Operation::RequestIssueBillingKey, Method::Paypal) => {
                return Err(Problem::bad("PayPal issues billing keys through `loadIssueBillingKeyUI` only"));
            }
            (Operation::LoadIssueBillingKeyUI, Method::Paypal) => {
                if request.ui_type.as_deref() != Some("PAYPAL_RT") {
                    return Err(Problem::bad("`uiType` must be PAYPAL_RT"));
                }
            }
            (Operation::LoadIssueBillingKeyUI, _) => {
                return Err(Problem::bad("`loadIssueBillingKeyUI` is for channels of PayPal only"));
            }
            (Operation::RequestIssueBillingKey, _) => {}
        }
        let redirect_url = self.redirect_url()?;
        let customer = request.customer.clone().unwrap_or_default().flat();
        if pg_rules && let Some(rule) = self.breach(&channel.pg_provider, &customer) {
            return Err(Problem::bad(format!("{}: {rule}", channel.pg_provider)));
        }
        let notice_urls = request.notice_urls.clone().unwrap_or_default();
        if notice_urls.len() > MAX_NOTICE_URLS {
            return Err(Problem::bad(format!("`noticeUrls` has more than {MAX_NOTICE_URLS} addresses")));
        }
        for url in &notice_urls {
            web_address("noticeUrls", url)?;
        }
        let custom_data = request.custom_data.clone().map(|data| Value::Object(data).to_string());
        Ok(Asked { channel, method, customer, custom_data, notice_urls, redirect_url })
    }

    /// Where the window redirects to, if it does.
    fn redirect_url(&self) -> Result<Option<String>, Problem> {
        let Self { request, platform, by } = self;
        if let Some(url) = &request.redirect_url {
            web_address("redirectUrl", url)?;
        }
        let types = request.window_type.unwrap_or_default();
        let redirects = match by {
            // PayPal's button always opens a window of its own.
            Operation::LoadIssueBillingKeyUI => false,
            Operation::RequestIssueBillingKey => {
                let kind = match platform {
                    Platform::Pc => types.pc.unwrap_or(WindowType::Iframe),
                    Platform::Mobile => types.mobile.unwrap_or(WindowType::Redirection),
                };
                match kind {
                    WindowType::Redirection => true,
                    WindowType::Iframe | WindowType::Popup => request.force_redirect == Some(true),
                    WindowType::Ui => return Err(Problem::bad("`windowType` UI is for `loadIssueBillingKeyUI`")),
                }
            }
        };
        if redirects && request.redirect_url.is_none() {
            return Err(Problem::bad("`redirectUrl` is missing, and this window redirects"));
        }
        Ok(request.redirect_url.clone().filter(|_| redirects))
    }

    /// Which of the gateway's rules for its window is broken, if one is.
    fn breach(&self, pg_provider: &str, customer: &Customer) -> Option<&'static str> {
        let Self { request, platform, .. } = self;
        let interval = request.offer_period.as_ref().and_then(|period| period.interval.as_deref());
        match pg_provider {
            "TOSSPAYMENTS" => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.@".contains(&byte);
                let fits = |id: &String| (2..=50).contains(&id.len()) && id.bytes().all(plain);
                if !customer.id.as_ref().is_none_or(fits) {
                    return Some("`customer.customerId` must be 2 to 50 of A-Z a-z 0-9 - _ = . @");
                }
                if customer.email.as_ref().is_some_and(|email| email.len() > 100) {
                    return Some("`customer.email` must have at most 100 characters");
                }
                let mobile = request.window_type.and_then(|types| types.mobile);
                if *platform == Platform::Mobile && mobile.is_some_and(|kind| kind != WindowType::Redirection) {
                    return Some("`windowType.mobile` must be REDIRECTION");
                }
            }
            "INICIS_V2" => {
                let graphic = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
                if !request.issue_id.as_ref().is_some_and(graphic) {
                    return Some("`issueId` is required, in printable ASCII");
                }
                if request.issue_name.is_none() {
                    return Some("`issueName` is required");
                }
                let known = customer.name.is_some() && customer.phone_number.is_some() && customer.email.is_some();
                match platform {
                    Platform::Pc if !known => {
                        return Some("`customer` requires `fullName`, `phoneNumber` and `email`");
                    }
                    Platform::Mobile if !interval.is_some_and(|interval| matches!(interval, "1m" | "1y")) => {
                        return Some("`offerPeriod.interval` is required on mobiles, 1m or 1y");
                    }
                    Platform::Pc | Platform::Mobile => {}
                }
            }
            "KCP_V2" => {
                if request.issue_id.is_none() {
                    return Some("`issueId` is required");
                }
                if *platform == Platform::Mobile && request.issue_name.is_none() {
                    return Some("`issueName` is required on mobiles");
                }
                if request.offer_period.is_some() && interval.is_none() {
                    return Some("`offerPeriod` must be an `interval`");
                }
            }
            _ => {}
        }
        None
    }
}

impl BrowserCustomer {
    /// As the server API reads it: a name in one piece.
    fn flat(self) -> Customer {
        let name = self.full_name.or_else(|| match (self.last_name, self.first_name) {
            (Some(last), Some(first)) => Some(format!("{last} {first}")),
            (one, other) => one.or(other),
        });
        Customer {
            id: self.customer_id,
            name,
            email: self.email,
            phone_number: self.phone_number,
            ..Customer::default()
        }
    }
}

fn web_address(field: &str, url: &str) -> Result<(), Problem> {
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(()),
        Ok(_) | Err(_) => Err(Problem::bad(format!("`{field}` must be an address with http or https, not `{url}`"))),
    }
}
