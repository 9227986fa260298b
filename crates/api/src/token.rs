//! The signed part of a checkout's addresses: which session, and until when.
//!
//! ```text
//! base64url( version (1 byte) ‖ expires at (8 bytes, epoch ms, big-endian) ‖ session id (1 to 40 bytes) ‖ HMAC-SHA256 (32 bytes) )
//! ```
//!
//! Who has the address has the session, and nothing more: what a session is about is in the table. The nonce of a page's
//! Content-Security-Policy comes from the same secret, under another context, so that no randomness is needed.

use billing_aws::secrets::SecretText;
use billing_core::Timestamp;
use billing_core::session::{MAX_SESSION_ID_CHARS, Session, SessionId};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use thiserror::Error;

/// The longest token: everything longer is refused unread.
pub const MAX_TOKEN_CHARS: usize = (HEAD + MAX_SESSION_ID_CHARS + MAC_BYTES) * 4 / 3;

/// Version and expiry.
const HEAD: usize = 1 + 8;

/// SHA-256's.
const MAC_BYTES: usize = 32;

/// The form above.
const VERSION: u8 = 1;

/// What the secret is used for here; another use must never give the same bytes.
const TOKEN: &[u8] = b"billing checkout token";
const NONCE: &[u8] = b"billing page nonce";

/// What a token says. It was signed by us; whether it has expired is for the caller to judge: a register page refuses an expired one, a success
/// page asks the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Which session.
    pub session_id: SessionId,
    /// When the session expires.
    pub expires_at: Timestamp,
}

impl Claims {
    /// Of a session.
    pub fn of(session: &Session) -> Self {
        Self { session_id: session.id.clone(), expires_at: session.expires_at }
    }

    /// Whether the session has expired by `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// Why a token is no token of ours. It says nothing about what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It does not have the form: it was cut, or mangled by a mail program, or is of a later version.
    #[error("the address is not complete: ask for a new one")]
    Malformed,
    /// It was not signed with any of our secrets, or changed since.
    #[error("the address is not one of ours, or was signed with a secret that has been replaced: ask for a new one")]
    Forged,
}

/// There is no secret to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no checkout secret: store one under CHECKOUT_SECRET_ID")]
pub struct NoSecret;

/// Signs and verifies. It does not print.
#[derive(Clone)]
pub struct Signer {
    current: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// Signs with the first of some secrets, and verifies with all: the others are those it replaces.
    pub fn new(secrets: &[SecretText]) -> Result<Self, NoSecret> {
        // HMAC takes keys of any length; the error cannot occur, and refusing is right if it ever does.
        let keyed =
            |secret: &SecretText| Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map_err(|_| NoSecret);
        let (current, previous) = secrets.split_first().ok_or(NoSecret)?;
        Ok(Self { current: keyed(current)?, previous: previous.iter().map(keyed).collect::<Result<_, _>>()? })
    }

    /// The token of some claims: the same for the same claims.
    pub fn sign(&self, claims: &Claims) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(claims.expires_at.as_millisecond().to_be_bytes());
        bytes.extend(claims.session_id.as_str().as_bytes());
        let mac = over(&self.current, TOKEN, &bytes).finalize().into_bytes();
        bytes.extend(mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// What a token says, if it is one of ours. The comparison takes the same time wherever a forgery differs.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_CHARS {
            return Err(TokenError::Malformed);
        }
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| TokenError::Malformed)?;
        let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(TokenError::Malformed)?;
        let is_ours = |key: &Hmac<Sha256>| over(key, TOKEN, signed).verify_slice(mac).is_ok();
        if !is_ours(&self.current) && !self.previous.iter().any(is_ours) {
            return Err(TokenError::Forged);
        }
        let (version, rest) = signed.split_first().ok_or(TokenError::Malformed)?;
        let (expires_at, id) = rest.split_first_chunk::<8>().ok_or(TokenError::Malformed)?;
        let expires_at = Timestamp::from_millisecond(i64::from_be_bytes(*expires_at));
        let session_id = std::str::from_utf8(id).ok().and_then(|id| SessionId::new(id).ok());
        match (*version, expires_at, session_id) {
            (VERSION, Ok(expires_at), Some(session_id)) => Ok(Claims { session_id, expires_at }),
            _ => Err(TokenError::Malformed),
        }
    }

    /// The nonce of the page that answers a request: unguessable, and never the same for two requests.
    pub fn nonce(&self, request_id: &str) -> [u8; 16] {
        let mac = over(&self.current, NONCE, request_id.as_bytes()).finalize().into_bytes();
        let mut nonce = [0; 16];
        nonce.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        nonce
    }
}

/// The context goes in with its length, so that no context and text run into another's.
fn over(key: &Hmac<Sha256>, context: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let length = u64::try_from(context.len()).unwrap_or(u64::MAX).to_be_bytes();
    key.clone().chain_update(length).chain_update(context).chain_update(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(letter: char) -> SecretText {
        SecretText::new(&letter.to_string().repeat(32))
    }

    fn signer_of(letters: &str) -> Signer {
        let secrets: Vec<SecretText> = letters.chars().map(secret).collect();
        Signer::new(&secrets).unwrap()
    }

    fn signer() -> Signer {
        signer_of("a")
    }

    fn claims() -> Claims {
        Claims {
            session_id: SessionId::new("csPFNJLSTQQMB6BXZH6CT6HLVQTQR5MK7O").unwrap(),
            expires_at: "2026-12-01T13:00:00.123+09:00".parse().unwrap(),
        }
    }

    /// Computed with another implementation of HMAC (Python's).
    const TOKEN_OF_CLAIMS: &str =
        "AQAAAaIvwmp7Y3NQRk5KTFNUUVFNQjZCWFpINkNUNkhMVlFUUVI1TUs3TwJkRB74Z1WxpbIqas4xlXyd65aG07lS198XwYpLK6H8";

    #[test]
    fn a_token_never_changes_its_form() {
        assert_eq!(signer().sign(&claims()), TOKEN_OF_CLAIMS);
        assert_eq!(signer().verify(TOKEN_OF_CLAIMS), Ok(claims()));
    }

    #[test]
    fn a_token_fits_an_address_and_a_longer_one_is_refused_unread() {
        let longest = Claims { session_id: SessionId::new("x".repeat(40)).unwrap(), ..claims() };
        let token = signer().sign(&longest);
        assert_eq!((token.len(), signer().verify(&token)), (MAX_TOKEN_CHARS, Ok(longest)));
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
        assert_eq!(signer().verify(&"A".repeat(MAX_TOKEN_CHARS + 1)), Err(TokenError::Malformed));
    }

    #[test]
    fn a_secret_that_is_being_replaced_still_verifies_and_does_not_sign() {
        let (old, both, new) = (signer_of("a"), signer_of("ba"), signer_of("b"));
        assert_eq!(both.verify(&old.sign(&claims())), Ok(claims()));
        assert_eq!(both.sign(&claims()), new.sign(&claims()));
        assert_eq!(new.verify(&old.sign(&claims())), Err(TokenError::Forged));
        assert_eq!(Signer::new(&[]).unwrap_err(), NoSecret);
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let token = signer().sign(&claims());
        for wrong in
            ["", "A", "!!!", "세션", &format!("{token}="), &format!("{token} "), &BASE64URL_NOPAD.encode(&[0; 31])]
        {
            assert_eq!(signer().verify(wrong), Err(TokenError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn what_we_signed_in_another_form_is_malformed_and_not_believed() {
        let signed = |bytes: &[u8]| {
            let mac = over(&signer().current, TOKEN, bytes).finalize().into_bytes();
            BASE64URL_NOPAD.encode(&[bytes, &mac].concat())
        };
        let later = [&[2][..], &[0; 8], b"cs1"].concat();
        for bytes in [&b""[..], &[VERSION], &[VERSION, 0, 0, 0, 0, 0, 0, 0, 0], &later] {
            assert_eq!(signer().verify(&signed(bytes)), Err(TokenError::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn an_expired_token_is_still_read_and_says_so() {
        let read = signer().verify(TOKEN_OF_CLAIMS).unwrap();
        assert!(!read.is_expired("2026-12-01T13:00:00.122+09:00".parse().unwrap()));
        assert!(read.is_expired("2026-12-01T13:00:00.123+09:00".parse().unwrap()));
    }

    #[test]
    fn a_nonce_is_its_requests_own_and_no_part_of_a_token() {
        assert_eq!(BASE64URL_NOPAD.encode(&signer().nonce("request-1")), "5zGssjkoZsEiNy49hjAgoQ");
        assert_ne!(signer().nonce("request-1"), signer().nonce("request-2"));
        assert_ne!(signer().nonce("request-1"), signer_of("b").nonce("request-1"));
    }

    #[test]
    fn a_signer_does_not_print() {
        assert_eq!(format!("{:?}", signer()), "Signer");
    }

    fn any_claims() -> impl Strategy<Value = Claims> {
        ("[A-Za-z0-9]{1,40}", 0_i64..4_000_000_000_000).prop_map(|(id, ms)| Claims {
            session_id: SessionId::new(id).unwrap(),
            expires_at: Timestamp::from_millisecond(ms).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn a_token_says_what_was_signed(claims in any_claims()) {
            prop_assert_eq!(signer().verify(&signer().sign(&claims)), Ok(claims));
        }

        #[test]
        fn a_token_with_any_bit_flipped_is_refused(claims in any_claims(), bit in any::<prop::sample::Index>()) {
            let mut bytes = BASE64URL_NOPAD.decode(signer().sign(&claims).as_bytes()).unwrap();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(signer().verify(&BASE64URL_NOPAD.encode(&bytes)), Err(TokenError::Forged));
        }

        #[test]
        fn a_token_with_any_character_replaced_or_cut_is_refused(
            claims in any_claims(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]",
        ) {
            let token = signer().sign(&claims);
            let at = at.index(token.len());
            let mut other = token.clone();
            other.replace_range(at..=at, &with);
            if other != token {
                prop_assert!(signer().verify(&other).is_err());
            }
            prop_assert!(signer().verify(&token[..at]).is_err());
        }

        #[test]
        fn no_text_from_outside_is_believed_or_panics(text in ".{0,200}") {
            prop_assert!(signer().verify(&text).is_err());
        }
    }
}
