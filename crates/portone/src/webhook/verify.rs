//! Is it from `PortOne`, and recent?

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::event::{Event, ParseError};
use super::headers::WebhookHeaders;
use super::secret::WebhookSecret;

/// How far a webhook's timestamp may be from now, either way, both ends included. Every redelivery is signed anew.
pub const TOLERANCE_SECONDS: i64 = 300;

/// How many signatures of a header are looked at. Two secrets can be alive at a time; the rest is room.
pub const MAX_SIGNATURES: usize = 16;

/// Two of them are compared in constant time.
type Signature = CtOutput<Hmac<Sha256>>;

/// The only scheme we have a key for: HMAC-SHA256.
const SCHEME: &str = "v1";

/// Why a request is not a webhook of `PortOne`'s, or is too old to be taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The header is absent or empty.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The header occurs more than once.
    #[error("the header {0} occurs more than once")]
    DuplicateHeader(&'static str),
    /// The header is longer than [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES).
    #[error("the header {0} is too long")]
    HeaderTooLong(&'static str),
    /// The header holds something else than ASCII.
    #[error("the header {0} is not ASCII")]
    NotAscii(&'static str),
    /// The timestamp is not a number of seconds in ASCII digits.
    #[error("the timestamp is not a number of seconds")]
    InvalidTimestamp,
    /// The timestamp lies more than [`TOLERANCE_SECONDS`] in the past: a replay, or our clock is fast.
    #[error("the timestamp is too old")]
    TooOld,
    /// The timestamp lies more than [`TOLERANCE_SECONDS`] in the future: our clock is slow.
    #[error("the timestamp is too new")]
    TooNew,
    /// No signature was made with any of the secrets over exactly this id, timestamp and body.
    #[error("no signature matches")]
    NoMatchingSignature,
}

/// A webhook that `PortOne` has signed, lately. Only [`verify`] makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifiedWebhook<'a> {
    id: &'a str,
    body: &'a [u8],
}

impl<'a> VerifiedWebhook<'a> {
    /// The webhook's id, which its redeliveries keep.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The body as it was signed.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Decodes the body.
    pub fn parse(&self) -> Result<Event, ParseError> {
        Event::parse(self.body)
    }
}

impl fmt::Debug for VerifiedWebhook<'_> {
    /// Without the body, which may hold a billing key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedWebhook").field("id", &self.id).field("body_bytes", &self.body.len()).finish()
    }
}

/// Verifies a webhook over the raw bytes of its body. One signature that one of the secrets made is enough.
///
/// `now` is the caller's clock. With no secret at all nothing is verified. Nothing is put on the heap: whoever floods the
/// endpoint with forgeries gets a hash per secret and no more.
pub fn verify<'a>(
    secrets: &[WebhookSecret],
    headers: &WebhookHeaders<'a>,
    body: &'a [u8],
    now: Timestamp,
) -> Result<VerifiedWebhook<'a>, VerifyError> {
    check_timestamp(headers.timestamp, now)?;
    let matches = secrets.iter().any(|secret| {
        let ours = mac(secret, headers.id, headers.timestamp, body).finalize();
        signatures(headers.signature).any(|signature| signature == ours)
    });
    if matches { Ok(VerifiedWebhook { id: headers.id, body }) } else { Err(VerifyError::NoMatchingSignature) }
}

/// Signs a webhook as `PortOne` does: the value of the `webhook-signature` header. For simulators and tests.
///
/// The `webhook-timestamp` header must then be `timestamp` in whole seconds.
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: Timestamp, body: &[u8]) -> String {
    let mac = mac(secret, id, &timestamp.as_second().to_string(), body);
    format!("{SCHEME},{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Over `id.timestamp.body`, with the headers' text as it came.
fn mac(secret: &WebhookSecret, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = secret.mac();
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

fn check_timestamp(text: &str, now: Timestamp) -> Result<(), VerifyError> {
    // `parse` alone would take `+1`, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::InvalidTimestamp);
    }
    let signed_at: i64 = text.parse().map_err(|_| VerifyError::InvalidTimestamp)?;
    let now = now.as_second();
    if signed_at < now - TOLERANCE_SECONDS {
        Err(VerifyError::TooOld)
    } else if signed_at > now + TOLERANCE_SECONDS {
        Err(VerifyError::TooNew)
    } else {
        Ok(())
    }
}

/// The signatures of a header: `scheme,base64`, separated by spaces. What we cannot read is not ours, and is skipped.
fn signatures(header: &str) -> impl Iterator<Item = Signature> {
    header
        .split(' ')
        .take(MAX_SIGNATURES)
        .filter_map(|entry| entry.split_once(','))
        .filter(|(scheme, _)| *scheme == SCHEME)
        .filter_map(|(_, text)| signature(text))
}

/// A signature's 32 bytes. What decodes to more or less is not HMAC-SHA256.
fn signature(base64: &str) -> Option<Signature> {
    // The decoder asks for room by whole groups of three bytes.
    let mut bytes = [0; 33];
    let length = STANDARD.decode_slice(base64, &mut bytes).ok()?;
    let bytes: [u8; 32] = bytes.get(..length)?.try_into().ok()?;
    Some(Signature::new(bytes.into()))
}
