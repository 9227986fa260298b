//! What mails are made from: customers and `PortOne` choose the names, numbers and addresses in it.

use crate::world::sender;
use billing_core::notice::Notice;
use billing_core::plan::Locale;
use billing_flows::mail::{Mail, render};

pub(crate) fn feed(bytes: &[u8]) {
    let Ok(notice) = serde_json::from_slice::<Notice>(bytes) else { return };
    let stored = serde_json::to_string(&notice).unwrap();
    assert_eq!(serde_json::from_str::<Notice>(&stored).unwrap(), notice, "written and read again");
    for locale in [Locale::Ko, Locale::En] {
        assert_sound(&render(&Notice { locale, ..notice.clone() }, &sender()).unwrap());
    }
}

/// What the templates themselves have.
const TAGS: [&str; 27] = [
    "!--",
    "!DOCTYPE",
    "!",
    "a",
    "body",
    "div",
    "h1",
    "head",
    "html",
    "meta",
    "p",
    "style",
    "table",
    "td",
    "th",
    "title",
    "tr",
    "xml",
    "o:OfficeDocumentSettings",
    "o:PixelsPerInch",
    "/o:PixelsPerInch",
    "br",
    "span",
    "b",
    "i",
    "strong",
    "small",
];

/// Nothing that came from outside is markup, ends a line, or hides.
pub(crate) fn assert_sound(mail: &Mail) {
    let hides = |c: char| c.is_control() && c != '\n' || HIDING.contains(&c);
    for (part, text) in [("subject", &mail.subject), ("text", &mail.text), ("html", &mail.html)] {
        let hidden: Vec<char> = text.chars().filter(|c| hides(*c)).collect();
        assert!(hidden.is_empty(), "the {part} hides {hidden:?}: {text:?}");
    }
    assert!(!mail.subject.contains('\n'), "a subject of two lines: {:?}", mail.subject);
    for tag in mail.html.split('<').skip(1) {
        let name = tag.trim_start_matches('/');
        let end =
            name.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, ':' | '!' | '-')).unwrap_or(name.len());
        assert!(TAGS.contains(&name[..end].trim_end_matches("[if")), "a tag that no template has: <{}", &name[..end]);
    }
    for link in mail.html.split("href=\"").skip(1) {
        let target = link.split('"').next().unwrap_or_default();
        assert!(target.starts_with("https://") || target.starts_with("mailto:help@"), "a link to {target}");
    }
}

/// Zero-width characters, line separators, and the marks that turn the direction of text.
const HIDING: [char; 18] = [
    '\u{ad}', '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}',
    '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{feff}',
];
