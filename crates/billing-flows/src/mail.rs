//! Mails: from a [`Notice`] to a subject, an HTML body and a text body, in the customer's language.
//!
//! A locale's file (`ko`, `en`) writes each mail once, as a `Letter`; `templates/mail/letter.html` and `letter.txt` set it. So the two
//! bodies cannot say different things, and a design is changed in one place.

use crate::clean;
use askama::Template;
use billing_core::Date;
use billing_core::billing_key::MethodLabel;
use billing_core::calendar::Period;
use billing_core::notice::Notice;
use billing_core::plan::Locale;

mod en;
mod ko;
#[cfg(test)]
mod tests;
mod wrap;

/// Who the mails are from, configured by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The brand: the subject's first word and the mail's letterhead.
    pub brand: String,
    /// The page where the payment method can be changed; `https`.
    pub manage_url: String,
    /// Where customers write to.
    pub support_email: String,
    /// The legal footer: name, business number, address, in one line.
    pub company_line: Option<String>,
}

/// A mail, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One line, without control characters.
    pub subject: String,
    /// The HTML body.
    pub html: String,
    /// The text body, wrapped at 72 columns.
    pub text: String,
}

/// Writes the mail a notice asks for.
pub fn render(notice: &Notice, sender: &Sender) -> Result<Mail, askama::Error> {
    let letter = match notice.locale {
        Locale::Ko => ko::letter(notice),
        Locale::En => en::letter(notice),
    };
    let sender = &Sender {
        brand: clean::name(&sender.brand),
        manage_url: sender.manage_url.clone(),
        support_email: clean::line(&sender.support_email),
        company_line: sender.company_line.as_deref().map(clean::line).filter(|line| !line.is_empty()),
    };
    let lang = notice.locale.tag();
    let html = Html { letter: &letter, sender, lang }.render()?;
    let text = wrap::wrapped(&Text { letter: &letter, sender }.render()?);
    Ok(Mail { subject: clean::line(&format!("[{}] {}", sender.brand, letter.subject)), html, text })
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    letter: &'a Letter,
    sender: &'a Sender,
    lang: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    letter: &'a Letter,
    sender: &'a Sender,
}

/// What a mail says, in reading order.
struct Letter {
    /// Without the brand, which goes before it.
    subject: String,
    /// What an inbox shows after the subject.
    preheader: String,
    /// What sort of mail this is, beside the brand.
    kind: &'static str,
    title: &'static str,
    /// The sum it is about, where there is one sum.
    figure: Option<String>,
    greeting: String,
    paragraphs: Vec<String>,
    /// What happens next and what to do.
    next: Option<Next>,
    facts: Vec<Fact>,
    /// A link beside the point; what must be done is in `next`.
    link: Option<Link>,
    closing: Vec<String>,
    footer: Footer,
}

/// What happens next, what to do about it, and where.
struct Next {
    heading: String,
    lines: Vec<String>,
    link: Link,
}

/// A row of the table of facts.
struct Fact {
    label: &'static str,
    value: String,
    weight: Weight,
}

/// How much a fact stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Plain,
    Strong,
    Faint,
}

impl Fact {
    fn new(label: &'static str, value: &impl ToString) -> Self {
        Self { label, value: value.to_string(), weight: Weight::Plain }
    }

    fn strong(label: &'static str, value: &impl ToString) -> Self {
        Self { weight: Weight::Strong, ..Self::new(label, value) }
    }

    fn faint(label: &'static str, value: &impl ToString) -> Self {
        Self { weight: Weight::Faint, ..Self::new(label, value) }
    }
}

struct Link {
    words: &'static str,
    target: Target,
}

/// Where a link leads.
enum Target {
    /// The sender's page for payment methods.
    Manage,
    /// An address that [`clean::https`] let through.
    Url(String),
}

impl Link {
    fn url<'a>(&'a self, sender: &'a Sender) -> &'a str {
        match &self.target {
            Target::Manage => &sender.manage_url,
            Target::Url(url) => url,
        }
    }
}

/// The words under every mail.
struct Footer {
    contact: &'static str,
    manage: &'static str,
    why: &'static str,
}

/// A payment method as its owner knows it: its name, or else the word for its kind, and a card's last digits.
fn method_name(method: &MethodLabel, kind: &str) -> String {
    let name = method.name.as_deref().map(clean::name).filter(|name| !name.is_empty());
    let last4 = method.last4.as_deref().map(clean::name).filter(|digits| !digits.is_empty());
    let name = name.as_deref().unwrap_or(kind);
    last4.map_or_else(|| name.to_owned(), |digits| format!("{name} {digits}"))
}

/// An hour on the clock's face, and whether it is after noon.
fn twelve_hours(hour: i8) -> (i8, bool) {
    let face = match hour {
        0 => 12,
        13.. => hour.saturating_sub(12),
        _ => hour,
    };
    (face, hour >= 12)
}

/// The last day a period covers. Periods end on the first of a month, so it lies in the month the period starts in.
fn last_day(period: Period) -> Date {
    period.end().yesterday().unwrap_or_else(|_| period.start())
}
