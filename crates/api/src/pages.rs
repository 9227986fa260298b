//! The pages a browser sees at `/payment/billing/…`: from a view to HTML and the headers it is answered with. Nothing here reads anything.
//!
//! A locale's file (`ko`, `en`) writes each page once, as a `Form` or a `Sheet`; `templates/pages/` sets it. So the two languages cannot
//! differ in design, and the design is changed in one place. A page needs no other request than for `PortOne`'s browser SDK: styles and the
//! one script are inline, under a nonce, and fonts are the system's.

use askama::Template;
use billing_aws::config::{Checkout, MailFrom};
use billing_core::decline::Pg;
use billing_core::money::Money;
use billing_core::plan::{Catalogue, Locale};
use billing_core::{Date, Timestamp};

pub mod failure;
pub mod problem;
pub mod register;
pub mod success;

mod clean;
mod en;
mod ko;
mod policy;
mod sheet;

pub use clean::BadUrl;
pub use policy::{Nonce, Sdk};

use failure::Failure;
use policy::Policy;
use problem::Problem;
use register::Register;
use sheet::{Link, Sheet};
use success::Success;

/// A page, ready to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Every header it needs, content type included; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The document.
    pub html: String,
}

/// Whose pages they are, configured by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The brand: the letterhead of every page.
    pub brand: String,
    /// The brand's own page where a subscription is cancelled and its payment method changed; `https`.
    pub manage_url: String,
    /// Where customers write to.
    pub support_email: String,
    /// The terms of use; `https`.
    pub terms_url: Option<String>,
    /// The privacy policy; `https`.
    pub privacy_url: Option<String>,
    /// The legal footer: name, business number, address, in one line.
    pub company_line: Option<String>,
}

impl Site {
    /// From what is configured for checkouts and for mails.
    pub fn of(catalogue: &Catalogue, checkout: &Checkout, mail: &MailFrom) -> Self {
        Self {
            brand: catalogue.brand().to_owned(),
            manage_url: mail.manage_url.clone(),
            support_email: mail.support_email.clone(),
            terms_url: checkout.terms_url.clone(),
            privacy_url: checkout.privacy_url.clone(),
            company_line: mail.company_line.clone(),
        }
    }
}

/// What every page is set in.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The language.
    pub locale: Locale,
    /// Whose page it is.
    pub site: &'a Site,
    /// New for every answer.
    pub nonce: &'a Nonce,
}

/// What a payment method is registered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A new subscription.
    Subscribe(Offer),
    /// Another method for a subscription that there is.
    ReplaceMethod {
        /// The plan's name in the customer's language.
        plan_name: String,
        /// What the new method is charged with first; nothing if nothing is to come.
        next: Option<Charge>,
    },
}

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The plan's name in the customer's language.
    pub plan_name: String,
    /// How many seats.
    pub seats: u32,
    /// The price of a whole month, tax included.
    pub monthly: Money,
    /// When the trial ends, if there is one.
    pub trial_end: Option<Timestamp>,
    /// The first charge: the rest of its month. From then on a whole month is charged on every 1st.
    pub first: Charge,
}

/// A charge to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The day in Seoul.
    pub on: Date,
    /// How much, tax included.
    pub amount: Money,
}

/// The page that registers a payment method: `GET /payment/billing/register`, 200.
///
/// # Errors
/// Only if the template cannot be written.
pub fn register(frame: Frame<'_>, view: &Register) -> Result<Page, askama::Error> {
    let form = match frame.locale {
        Locale::Ko => ko::form(frame.site, view),
        Locale::En => en::form(frame.site, view),
    };
    let data = register::data(frame.locale, view, &form)?;
    let html = register::Html { form: &form, data: &data, page: Chrome::of(frame), paypal: view.method.is_paypal() };
    Ok(Page { status: 200, headers: Policy::Register(&view.sdk).headers(frame.nonce), html: html.render()? })
}

/// The page after a registration: `GET /payment/billing/success`, 200.
///
/// # Errors
/// Only if the template cannot be written.
pub fn success(frame: Frame<'_>, view: &Success) -> Result<Page, askama::Error> {
    let sheet = match frame.locale {
        Locale::Ko => ko::success(frame.site, view),
        Locale::En => en::success(frame.site, view),
    };
    let reload = match view {
        Success::Checking { reload: Some(reload) } => clean::link(&reload.url).map(|url| (reload.after_seconds, url)),
        Success::Checking { reload: None } | Success::Registered { .. } => None,
    };
    set(frame, 200, &sheet, reload)
}

/// The page after a registration that failed: `GET /payment/billing/failure`, 200.
///
/// # Errors
/// Only if the template cannot be written.
pub fn failure(frame: Frame<'_>, view: &Failure) -> Result<Page, askama::Error> {
    let sheet = match frame.locale {
        Locale::Ko => ko::failure(view),
        Locale::En => en::failure(view),
    };
    set(frame, 200, &sheet, None)
}

/// The page for whatever else is wrong; its status is the problem's.
///
/// # Errors
/// Only if the template cannot be written.
pub fn problem(frame: Frame<'_>, view: &Problem) -> Result<Page, askama::Error> {
    let sheet = match frame.locale {
        Locale::Ko => ko::problem(frame.site, view),
        Locale::En => en::problem(frame.site, view),
    };
    set(frame, view.status(), &sheet, None)
}

fn set(frame: Frame<'_>, status: u16, sheet: &Sheet, reload: Option<(u16, String)>) -> Result<Page, askama::Error> {
    let html = sheet::Html { sheet, page: Chrome::of(frame), reload }.render()?;
    Ok(Page { status, headers: Policy::Sheet.headers(frame.nonce), html })
}

/// What stands around every page.
struct Chrome<'a> {
    lang: &'static str,
    nonce: &'a str,
    brand: String,
    support_email: String,
    company_line: Option<String>,
    links: Vec<Link>,
    words: ChromeWords,
}

/// The words around every page.
struct ChromeWords {
    kind: &'static str,
    contact: &'static str,
    terms: &'static str,
    privacy: &'static str,
}

impl<'a> Chrome<'a> {
    fn of(frame: Frame<'a>) -> Self {
        let words = match frame.locale {
            Locale::Ko => ko::CHROME,
            Locale::En => en::CHROME,
        };
        let site = frame.site;
        let links = [(&site.terms_url, words.terms), (&site.privacy_url, words.privacy)];
        Self {
            lang: frame.locale.tag(),
            nonce: frame.nonce.as_str(),
            brand: clean::name(&site.brand),
            support_email: clean::line(&site.support_email),
            company_line: site.company_line.as_deref().map(clean::line).filter(|line| !line.is_empty()),
            links: links.into_iter().filter_map(|(url, words)| Link::to(url.as_deref()?, words)).collect(),
            words,
        }
    }
}

/// A PG by the name customers know it by; nothing if there is none.
fn pg_name(pg: &Pg, locale: Locale) -> Option<&'static str> {
    let (ko, en) = match pg {
        Pg::TossPayments => ("토스페이먼츠", "Toss Payments"),
        Pg::Inicis => ("KG이니시스", "KG Inicis"),
        Pg::Kcp => ("NHN KCP", "NHN KCP"),
        Pg::Nice => ("나이스페이먼츠", "NICE Payments"),
        Pg::PayPal => ("PayPal", "PayPal"),
        Pg::Other(name) if name == failure::NAVERPAY => ("네이버페이", "Naver Pay"),
        Pg::Other(_) => return None,
    };
    Some(match locale {
        Locale::Ko => ko,
        Locale::En => en,
    })
}
