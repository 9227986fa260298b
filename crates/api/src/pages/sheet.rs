//! A page that only says something: what happened, what comes next, what to do.

use super::{Chrome, clean};
use askama::Template;
use billing_core::billing_key::MethodLabel;

/// What a sheet says, in reading order.
pub(super) struct Sheet {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) paragraphs: Vec<String>,
    pub(super) facts: Vec<Fact>,
    /// The charges to come.
    pub(super) timeline: Vec<Step>,
    /// What to do about it.
    pub(super) advice: Vec<String>,
    /// What somebody else said of it.
    pub(super) quote: Option<Quote>,
    pub(super) link: Option<Link>,
    pub(super) closing: Vec<String>,
}

/// How the news is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Wait,
    Bad,
}

/// A row of the table of facts.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

/// One thing that will happen to the customer's money.
pub(super) struct Step {
    pub(super) when: String,
    pub(super) what: String,
    pub(super) amount: Option<String>,
}

/// Another's words, and whose.
pub(super) struct Quote {
    pub(super) by: String,
    pub(super) text: Option<String>,
    pub(super) code: Option<String>,
    /// Whether it must stand out, as it was written.
    pub(super) verbatim: bool,
}

/// Words that lead somewhere.
pub(super) struct Link {
    pub(super) words: String,
    pub(super) url: String,
}

impl Link {
    /// A link, unless the address is none to link to.
    pub(super) fn to(url: &str, words: impl Into<String>) -> Option<Self> {
        Some(Self { words: words.into(), url: clean::link(url)? })
    }
}

#[derive(Template)]
#[template(path = "pages/sheet.html")]
pub(super) struct Html<'a> {
    pub(super) sheet: &'a Sheet,
    pub(super) page: Chrome<'a>,
    /// After how many seconds the page loads what.
    pub(super) reload: Option<(u16, String)>,
}

/// A payment method as its owner knows it: its name, or else the word for its kind, and a card's last digits.
pub(super) fn method_name(method: &MethodLabel, kind: &str) -> String {
    let name = method.name.as_deref().map(clean::name).filter(|name| !name.is_empty());
    let last4 = method.last4.as_deref().map(clean::name).filter(|digits| !digits.is_empty());
    let name = name.as_deref().unwrap_or(kind);
    last4.map_or_else(|| name.to_owned(), |digits| format!("{name} {digits}"))
}

/// An hour on the clock's face, and whether it is after noon.
pub(super) fn twelve_hours(hour: i8) -> (i8, bool) {
    let face = match hour {
        0 => 12,
        13.. => hour.saturating_sub(12),
        _ => hour,
    };
    (face, hour >= 12)
}
