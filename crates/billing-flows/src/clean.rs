//! What comes from outside, made fit to show, in mails and on pages. HTML is escaped by the templates; this is about everything else.

/// No name that is a name is longer.
const MAX_NAME_CHARS: usize = 60;

/// One line: control characters and line breaks become spaces, runs of spaces become one, and characters that reorder or hide text go.
pub fn line(text: &str) -> String {
    let visible = text.chars().filter(|c| !hides(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One line of at most `max` characters.
pub fn cut(text: &str, max: usize) -> String {
    let line = line(text);
    match line.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or("").trim_end()),
        None => line,
    }
}

/// A name of something: one line of bounded length.
pub fn name(text: &str) -> String {
    cut(text, MAX_NAME_CHARS)
}

/// A code as PGs and `PortOne` write them, to quote or to log: nothing if it could be a sentence, an address or markup.
pub fn code(text: &str) -> Option<&str> {
    let sound = (1..=64).contains(&text.len());
    (sound && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))).then_some(text)
}

/// A customer's name, to be greeted by: nothing if it is empty or could be read as a link. Whoever may choose a name and an address may
/// otherwise send strangers a link in our name.
pub(crate) fn person(text: &str) -> Option<String> {
    let name = name(text);
    let dotted = name.as_bytes().windows(2).any(|pair| matches!(pair, [b'.', next] if next.is_ascii_alphanumeric()));
    let linkish = dotted || name.contains(['/', '@']);
    (!name.is_empty() && !linkish).then_some(name)
}

/// An address to link to: only `https`, and nothing that could end it early.
pub(crate) fn https(url: &str) -> Option<String> {
    (url.starts_with("https://") && is_one_word(url)).then(|| url.to_owned())
}

/// Whether nothing in it could end it early or hide: no space, no control character, no mark that turns the direction of text.
pub fn is_one_word(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control() || hides(c))
}

/// Zero-width spaces, and the marks that turn the direction of text.
fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_was() {
        assert_eq!(line(" a\r\nBcc: b\u{2028}c\u{202e}d\0\te "), "a Bcc: b cd e");
    }

    #[test]
    fn a_name_is_bounded() {
        assert_eq!(name("김민지"), "김민지");
        assert_eq!(name(&"가".repeat(60)), "가".repeat(60));
        assert_eq!(name(&"가".repeat(61)), format!("{}…", "가".repeat(60)));
    }

    #[test]
    fn a_code_is_a_word_of_letters_and_digits() {
        for right in ["PGProviderError", "PAY_PROCESS_CANCELED", "8186", "a.b-c"] {
            assert_eq!(code(right), Some(right));
        }
        for wrong in ["", "a b", "<b>", "카드", "a\"b", &"x".repeat(65)] {
            assert_eq!(code(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_is_greeted_by_a_link() {
        for linkish in ["evil.example", "https://evil", "win@evil", "김민지 evil.kr", " ", "\n"] {
            assert_eq!(person(linkish), None, "{linkish}");
        }
        for name in ["김민지", "J. R. Kim", "O'Brien", "Kim & Lee", "주식회사 한빛 (본사)"] {
            assert_eq!(person(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn only_https_is_linked_to() {
        assert!(https("https://receipt.example/1?a=b").is_some());
        for wrong in ["http://receipt.example", "javascript:alert(1)", "https://a b", "https://a\nb", ""] {
            assert_eq!(https(wrong), None, "{wrong}");
        }
    }
}
