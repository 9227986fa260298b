//! What comes from outside, made fit for a page. HTML is escaped by the templates; this is about addresses and JSON, and
//! [`billing_flows::clean`] about text.

use billing_flows::clean::is_one_word;
pub(super) use billing_flows::clean::{code, cut, line, name};
use serde::Serialize;
use thiserror::Error;

/// An address that a page must not link to or load.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an address for a page: expected https://…, or http://… on this very machine, without spaces")]
pub struct BadUrl(pub String);

/// An address to link to: `https`, plain `http` on this very machine (the sandbox), or a path of this site. Never a script.
pub(super) fn link(url: &str) -> Option<String> {
    let path = url.starts_with('/') && !url.starts_with("//") && !url.contains('\\');
    (path && is_one_word(url) || origin(url).is_some()).then(|| url.to_owned())
}

/// The origin of an absolute address that [`link`] allows.
pub(super) fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let loopback = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let allowed = scheme == "https" && named || matches!(scheme, "http" | "https") && loopback;
    let end = scheme.len().saturating_add("://".len()).saturating_add(authority.len());
    if allowed && is_one_word(url) { url.get(..end) } else { None }
}

/// JSON that can stand in a `<script>` element: nothing in it can end the element, open a comment or end a line of script.
pub(super) fn json(data: &impl Serialize) -> Result<String, serde_json::Error> {
    let plain = serde_json::to_string(data)?;
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_https_the_own_site_and_the_own_machine_are_linked_to() {
        for right in [
            "https://sivera.example/billing?a=b&c=d#e",
            "https://sivera.example:8443",
            "/payment/billing/register?session=x",
            "http://127.0.0.1:3000/x",
            "http://localhost/x",
            "http://[::1]:3000/x",
        ] {
            assert_eq!(link(right).as_deref(), Some(right));
        }
        for wrong in [
            "http://sivera.example",
            "javascript:alert(1)",
            "JAVASCRIPT://x/%0aalert(1)",
            "data:text/html,x",
            "//evil.example",
            "/\\evil.example",
            "https://",
            "https://user@evil.example",
            "https://a b",
            "https://a\nb",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "https://evil.example;script-src *",
            "",
        ] {
            assert_eq!(link(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://cdn.portone.io/v2/browser-sdk.js"), Some("https://cdn.portone.io"));
        assert_eq!(origin("http://127.0.0.1:3001/sdk.js?x"), Some("http://127.0.0.1:3001"));
        assert_eq!(origin("/sdk.js"), None);
    }

    proptest! {
        #[test]
        fn json_in_a_script_is_the_same_json_and_cannot_leave_it(text in any::<String>()) {
            let written = json(&text).unwrap();
            let leaves = written.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
            prop_assert!(!leaves);
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
