//! The page that registers a payment method, `GET /payment/billing/register`: its view, and what it asks `PortOne`'s browser SDK for.
//!
//! Facts are from `PortOne`'s guides and its browser-sdk.yml (`IssueBillingKeyRequest`, `LoadIssueBillingKeyUIRequest`).

use super::sheet::{Link, Step};
use super::{Chrome, Purpose, Sdk, clean, failure};
use askama::Template;
use billing_core::decline::Pg;
use billing_core::money::Money;
use billing_core::plan::Locale;
use billing_core::private::Private;
use billing_core::text::cut_to_bytes;
use serde::Serialize;

/// How much of a customer's name KG Inicis takes, in bytes; it is the shortest of all.
const MAX_NAME_BYTES: usize = 30;

/// A registration to be made. It does not print: its addresses carry the session's token.
#[derive(Clone)]
pub struct Register {
    /// What for.
    pub purpose: Purpose,
    /// The method on offer.
    pub method: Method,
    /// `PortOne`'s store.
    pub store_id: String,
    /// The session's id: `[A-Za-z0-9]{1,40}` suits every PG, and none takes it twice.
    pub issue_id: String,
    /// What the PG's window calls it; cut to what the PG takes.
    pub issue_name: String,
    /// Who registers it.
    pub customer: Customer,
    /// What `PortOne` keeps with the billing key and gives back.
    pub custom_data: serde_json::Value,
    /// The success page, absolute, with the session's token. `PortOne` comes back to it on phones whatever happened, so its handler must
    /// look for `code` in the query.
    pub success_url: String,
    /// The failure page, absolute, with the session's token.
    pub failure_url: String,
    /// Where the webhooks of this registration go.
    pub webhook_url: String,
    /// The browser SDK.
    pub sdk: Sdk,
}

/// The methods that can be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A card, in won, in the window of a PG. (Not Nice's: its window registers easy pay only.)
    Card {
        /// The channel.
        channel_key: String,
        /// The PG behind it.
        pg: Pg,
    },
    /// `PayPal`, in dollars, by its own button.
    PayPal {
        /// The channel.
        channel_key: String,
    },
}

impl Method {
    pub(super) fn is_paypal(&self) -> bool {
        match self {
            Self::Card { .. } => false,
            Self::PayPal { .. } => true,
        }
    }
}

/// Who registers a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The user's id; Toss Payments takes 2 to 50 of letters, digits and `-_=.@`.
    pub id: String,
    /// The name; KG Inicis needs it.
    pub name: Private,
    /// The address for receipts; KG Inicis needs it.
    pub email: Private,
    /// The phone number; KG Inicis needs it.
    pub phone: Option<Private>,
}

/// What the page says, in reading order.
pub(super) struct Form {
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) plan: String,
    pub(super) price: Option<Price>,
    pub(super) timeline_title: &'static str,
    pub(super) timeline: Vec<Step>,
    pub(super) note: Option<String>,
    pub(super) terms_title: &'static str,
    pub(super) terms: Vec<Term>,
    pub(super) required: &'static str,
    pub(super) consent: String,
    /// The words of the button for a card; `PayPal` draws its own.
    pub(super) button: &'static str,
    /// Why the button does nothing yet.
    pub(super) locked: &'static str,
    pub(super) trust: String,
    pub(super) customer_label: &'static str,
    pub(super) customer: String,
    pub(super) no_script: &'static str,
    /// What to do if the SDK does not load: heading and sentence.
    pub(super) blocked: (&'static str, String),
    pub(super) reload: &'static str,
    pub(super) words: Words,
}

/// A month's price.
pub(super) struct Price {
    pub(super) amount: String,
    pub(super) per: &'static str,
    pub(super) vat: Option<String>,
}

/// One of the conditions.
pub(super) struct Term {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) link: Option<Link>,
}

impl Term {
    /// The same, with a link where there is one.
    pub(super) fn with(self, link: Option<Link>) -> Self {
        Self { link, ..self }
    }
}

/// What the script says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Words {
    pub(super) consent_first: &'static str,
    pub(super) opening: &'static str,
    pub(super) closed: &'static str,
    pub(super) done: &'static str,
}

#[derive(Template)]
#[template(path = "pages/register.html")]
pub(super) struct Html<'a> {
    pub(super) form: &'a Form,
    pub(super) page: Chrome<'a>,
    pub(super) data: &'a str,
    pub(super) paypal: bool,
}

/// What the script reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    sdk_url: &'a str,
    success_url: &'a str,
    failure_url: &'a str,
    request: Request<'a>,
    closed_codes: Vec<&'static str>,
    closed_words: [&'static str; 6],
    words: &'a Words,
}

/// The SDK's request: `requestIssueBillingKey`'s for a card, `loadIssueBillingKeyUI`'s for `PayPal`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    store_id: &'a str,
    channel_key: &'a str,
    billing_key_method: &'static str,
    issue_id: &'a str,
    issue_name: &'a str,
    customer: RequestCustomer<'a>,
    custom_data: &'a serde_json::Value,
    notice_urls: [&'a str; 1],
    #[serde(flatten)]
    window: Window<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestCustomer<'a> {
    customer_id: &'a str,
    full_name: &'a str,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
}

/// Where the customer enters the method.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Window<'a> {
    Pg {
        redirect_url: &'a str,
        window_type: WindowType,
        locale: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        display_amount: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        currency: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offer_period: Option<OfferPeriod>,
    },
    PayPalButton {
        ui_type: &'static str,
    },
}

#[derive(Serialize)]
struct WindowType {
    pc: &'static str,
    mobile: &'static str,
}

#[derive(Serialize)]
struct OfferPeriod {
    interval: &'static str,
}

/// The script's data, as JSON that can stand in a script element.
pub(super) fn data(locale: Locale, view: &Register, form: &Form) -> Result<String, askama::Error> {
    let (channel_key, billing_key_method, pg, window) = match &view.method {
        Method::Card { channel_key, pg } => (channel_key, "CARD", pg, pg_window(locale, view, pg)),
        Method::PayPal { channel_key } => {
            (channel_key, "PAYPAL", &Pg::PayPal, Window::PayPalButton { ui_type: "PAYPAL_RT" })
        }
    };
    let customer = &view.customer;
    let request = Request {
        store_id: &view.store_id,
        channel_key,
        billing_key_method,
        issue_id: &view.issue_id,
        issue_name: cut_to_bytes(&view.issue_name, pg.order_name_bytes()),
        customer: RequestCustomer {
            customer_id: &customer.id,
            full_name: cut_to_bytes(customer.name.expose(), MAX_NAME_BYTES),
            email: customer.email.expose(),
            phone_number: customer.phone.as_ref().map(Private::expose),
        },
        custom_data: &view.custom_data,
        notice_urls: [&view.webhook_url],
        window,
    };
    let data = Data {
        sdk_url: view.sdk.url(),
        success_url: &view.success_url,
        failure_url: &view.failure_url,
        request,
        closed_codes: failure::closed_codes(),
        closed_words: failure::CLOSED_WORDS,
        words: &form.words,
    };
    clean::json(&data).map_err(askama::Error::custom)
}

fn pg_window<'a>(locale: Locale, view: &'a Register, pg: &Pg) -> Window<'a> {
    let amount = shown_amount(&view.purpose);
    // A period is needed by KG Inicis on phones and taken by KCP; the others are not asked to know it.
    let offer_period = match pg {
        Pg::Inicis | Pg::Kcp => Some(OfferPeriod { interval: "1m" }),
        Pg::TossPayments | Pg::Nice | Pg::PayPal | Pg::Other(_) => None,
    };
    Window::Pg {
        redirect_url: &view.success_url,
        window_type: WindowType { pc: "IFRAME", mobile: "REDIRECTION" },
        locale: match locale {
            Locale::Ko => "KO_KR",
            Locale::En => "EN_US",
        },
        display_amount: amount.map(Money::minor),
        currency: amount.map(|amount| amount.currency().code()),
        offer_period,
    }
}

/// The amount that a PG's window shows: the month's, or the next charge's.
fn shown_amount(purpose: &Purpose) -> Option<Money> {
    match purpose {
        Purpose::Subscribe(offer) => Some(offer.monthly),
        Purpose::ReplaceMethod { next, .. } => next.map(|next| next.amount),
    }
}
