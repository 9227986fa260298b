//! The three headers of a webhook.

use super::verify::VerifyError;

/// The webhook's id, which its redeliveries keep.
pub const ID_HEADER: &str = "webhook-id";
/// When this delivery was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The signatures of this delivery.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The longest header that is looked at: ids and timestamps are tens of bytes, and
/// [`MAX_SIGNATURES`](super::MAX_SIGNATURES) signatures are under a kilobyte.
pub const MAX_HEADER_BYTES: usize = 4_096;

/// The three headers of a webhook, as they were received.
///
/// Repeated headers are refused: two ids or timestamps leave open which of them was signed. Some gateways (API Gateway
/// v2) join repeated headers with commas before we see them. That fails closed, too: `id,id` is not the id that was
/// signed (no matching signature), `123,123` is not a number (invalid timestamp), and a signature joined with another,
/// `v1,…,v1,…`, is not base64 (skipped).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookHeaders<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> WebhookHeaders<'a> {
    /// Takes the three values, already picked out.
    pub fn new(id: &'a [u8], timestamp: &'a [u8], signature: &'a [u8]) -> Result<Self, VerifyError> {
        Ok(Self {
            id: text(ID_HEADER, id)?,
            timestamp: text(TIMESTAMP_HEADER, timestamp)?,
            signature: text(SIGNATURE_HEADER, signature)?,
        })
    }

    /// Asks for the three by name: `values` answers with all values of a header. Refuses at the first that is missing or repeated, and begins with
    /// the one that strangers do not send.
    ///
    /// With a table of headers this is faster than [`from_iter`](Self::from_iter), which looks at every header.
    pub fn from_values<V: IntoIterator<Item = &'a [u8]>>(
        values: impl Fn(&'static str) -> V,
    ) -> Result<Self, VerifyError> {
        let only = |name| {
            let mut values = values(name).into_iter();
            let value = values.next().ok_or(VerifyError::MissingHeader(name))?;
            if values.next().is_some() { Err(VerifyError::DuplicateHeader(name)) } else { text(name, value) }
        };
        let signature = only(SIGNATURE_HEADER)?;
        Ok(Self { id: only(ID_HEADER)?, timestamp: only(TIMESTAMP_HEADER)?, signature })
    }

    /// Picks the three out of all headers, by name in any case. Other headers are ignored.
    #[expect(clippy::should_implement_trait, reason = "it can fail, which `FromIterator` cannot")]
    pub fn from_iter(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, VerifyError> {
        let (mut id, mut timestamp, mut signature) = (None, None, None);
        for (name, value) in headers {
            let (known, slot) = if name.eq_ignore_ascii_case(ID_HEADER) {
                (ID_HEADER, &mut id)
            } else if name.eq_ignore_ascii_case(TIMESTAMP_HEADER) {
                (TIMESTAMP_HEADER, &mut timestamp)
            } else if name.eq_ignore_ascii_case(SIGNATURE_HEADER) {
                (SIGNATURE_HEADER, &mut signature)
            } else {
                continue;
            };
            if slot.replace(value).is_some() {
                return Err(VerifyError::DuplicateHeader(known));
            }
        }
        Self::new(
            id.ok_or(VerifyError::MissingHeader(ID_HEADER))?,
            timestamp.ok_or(VerifyError::MissingHeader(TIMESTAMP_HEADER))?,
            signature.ok_or(VerifyError::MissingHeader(SIGNATURE_HEADER))?,
        )
    }
}

/// A header's text. An empty header is as good as none.
fn text<'a>(name: &'static str, value: &'a [u8]) -> Result<&'a str, VerifyError> {
    if value.is_empty() {
        return Err(VerifyError::MissingHeader(name));
    }
    if value.len() > MAX_HEADER_BYTES {
        return Err(VerifyError::HeaderTooLong(name));
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.is_ascii() => Ok(text),
        _ => Err(VerifyError::NotAscii(name)),
    }
}
