//! What a browser may do with a page: the headers.

use super::clean::{self, BadUrl};
use data_encoding::BASE64URL_NOPAD;

/// What ties a page's inline style and script to its Content-Security-Policy: used once, never guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// A nonce of sixteen random bytes: the 128 bits the standard asks for.
    pub fn new(random: [u8; 16]) -> Self {
        Self(BASE64URL_NOPAD.encode(&random))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `PortOne`'s browser SDK: where it is loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdk {
    url: String,
    origin: String,
}

impl Sdk {
    /// The address of the real one.
    pub const PORTONE: &str = "https://cdn.portone.io/v2/browser-sdk.js";

    /// An SDK at an address; the sandbox has a stand-in on its own.
    ///
    /// # Errors
    /// If it is neither `https` nor on this very machine.
    pub fn at(url: &str) -> Result<Self, BadUrl> {
        let origin = clean::origin(url).ok_or_else(|| BadUrl(url.to_owned()))?;
        Ok(Self { url: url.to_owned(), origin: origin.to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// The two sorts of page.
pub(super) enum Policy<'a> {
    /// The page that runs `PortOne`'s SDK.
    Register(&'a Sdk),
    /// A page that runs nothing and loads nothing.
    Sheet,
}

impl Policy<'_> {
    /// The headers of a page.
    pub(super) fn headers(&self, nonce: &Nonce) -> Vec<(&'static str, String)> {
        let (security, features, opener) = match self {
            // The nonce admits the page's own script, and `strict-dynamic` what that one loads: the SDK, and what the SDK loads for the PG;
            // the origin is for browsers that know no `strict-dynamic`. Which hosts a PG's window, form and calls go to is the PG's
            // affair and changes without notice, so they are held to https only: a narrower list breaks registrations one PG at a time. PGs
            // also put styles into the page, which a nonce would forbid; a style runs nothing, and every text here is escaped.
            Self::Register(Sdk { origin, .. }) => (
                format!(
                    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' {origin}; style-src 'unsafe-inline' https:; \
                     img-src https: data: {origin}; font-src https: data:; connect-src https: {origin}; frame-src https: {origin}; \
                     form-action https: {origin}; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
                    nonce = nonce.0
                ),
                "camera=(), geolocation=(), microphone=(), usb=()",
                "same-origin-allow-popups",
            ),
            Self::Sheet => (
                format!(
                    "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
                    nonce = nonce.0
                ),
                "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
                "same-origin",
            ),
        };
        vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            ("content-security-policy", security),
            // The address carries the session's token and a billing key.
            ("referrer-policy", "no-referrer".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-robots-tag", "noindex, nofollow".to_owned()),
            ("strict-transport-security", "max-age=63072000".to_owned()),
            ("permissions-policy", features.to_owned()),
            ("cross-origin-opener-policy", opener.to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdk_is_loaded_from_https_or_from_this_machine() {
        assert!(Sdk::at(Sdk::PORTONE).is_ok());
        assert!(Sdk::at("http://127.0.0.1:3001/v2/browser-sdk.js").is_ok());
        for wrong in ["http://cdn.portone.io/x.js", "/x.js", "https://a;script-src *", "javascript:x"] {
            assert_eq!(Sdk::at(wrong), Err(BadUrl(wrong.to_owned())));
        }
    }

    #[test]
    fn a_nonce_needs_no_escaping() {
        let nonce = Nonce::new([0xff; 16]);
        assert!(nonce.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{nonce:?}");
    }
}
