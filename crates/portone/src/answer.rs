//! From an HTTP answer to a value or an [`Error`].

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{ApiError, Error, ErrorKind, PgFailure, TransportPhase};

/// The largest body that is read: the largest page of payments, 1000 of some 4 KB, fits with room to spare, and a
/// function with 256 MB of memory survives it.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The longest excerpt of a foreign answer kept in an error: enough to recognise a gateway's error page in a log.
pub const MAX_EXCERPT_CHARS: usize = 200;

/// The longest message of `PortOne` or of a gateway kept in an error: they are sentences, and they end up in tables.
pub const MAX_MESSAGE_CHARS: usize = 1_000;

/// Texts of the request which must not come back in an error: servers like to quote what they refuse.
pub(crate) struct Scrub<'a>(pub(crate) Vec<&'a str>);

impl Scrub<'_> {
    /// The beginning of a text without the secrets and without control characters.
    fn clean(&self, text: &str, max_chars: usize) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, "(redacted)");
        }
        text.chars().take(max_chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Reads an answer to its end and decodes it.
pub(crate) async fn decode<T: DeserializeOwned>(response: Response, scrub: &Scrub<'_>) -> Result<T, Error> {
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|text| scrub.clean(text, MAX_EXCERPT_CHARS));
    let body = read(response).await?;

    let not_json = |content_type| Error::NotJson {
        status: status.as_u16(),
        content_type,
        excerpt: scrub.clean(&String::from_utf8_lossy(&body), MAX_EXCERPT_CHARS),
    };
    if status.is_success() {
        serde_json::from_slice(&body).map_err(|error| match error.classify() {
            Category::Data => Error::Undecodable { status: status.as_u16(), detail: detail(&error) },
            _ => not_json(content_type),
        })
    } else {
        match serde_json::from_slice::<Envelope>(&body) {
            Ok(envelope) => Err(Error::Api(envelope.into_error(status.as_u16(), scrub))),
            Err(_) => Err(not_json(content_type)),
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Error> {
    let too_big = || Error::Transport { phase: TransportPhase::TooBig, source: None };
    if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES as u64) {
        return Err(too_big());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(error, TransportPhase::Body))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_big());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A failure of the connection. Its URL may hold a billing key, so it goes.
pub(crate) fn transport(error: reqwest::Error, otherwise: TransportPhase) -> Error {
    let phase = if error.is_builder() {
        TransportPhase::Prepare
    } else if error.is_connect() {
        TransportPhase::Connect
    } else if error.is_timeout() {
        TransportPhase::Timeout
    } else {
        otherwise
    };
    Error::Transport { phase, source: Some(error.without_url()) }
}

/// What is wrong with a body. The parser's own text may quote values, except where it names a missing field.
fn detail(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field `") {
        text
    } else {
        format!("wrong type or value at line {} column {}", error.line(), error.column())
    }
}

/// How `PortOne` reports errors. Only `type` is certain.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    message: Option<serde_json::Value>,
    pg_code: Option<serde_json::Value>,
    pg_message: Option<serde_json::Value>,
}

impl Envelope {
    fn into_error(self, status: u16, scrub: &Scrub<'_>) -> ApiError {
        let clean = |value: Option<serde_json::Value>| match value? {
            serde_json::Value::String(text) => Some(scrub.clean(&text, MAX_MESSAGE_CHARS)),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let kind = match ErrorKind::from(self.kind.as_str()) {
            ErrorKind::Other(text) => ErrorKind::Other(scrub.clean(&text, MAX_MESSAGE_CHARS)),
            known => known,
        };
        let pg = match (clean(self.pg_code), clean(self.pg_message)) {
            (None, None) => None,
            (code, message) => Some(PgFailure { code: code.unwrap_or_default(), message: message.unwrap_or_default() }),
        };
        ApiError { status, kind, message: clean(self.message), pg }
    }
}
