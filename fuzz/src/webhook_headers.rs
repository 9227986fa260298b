//! The headers of a webhook, and its raw body: whoever can reach the address can send these.
//!
//! An input is the three headers, a line each, and the body. A `$` among the signatures stands for the signature that is right.

use crate::input::Input;
use crate::world::{SECRET, now};
use lambda_http::http::HeaderValue;
use portone::webhook::{MAX_SIGNATURES, WebhookHeaders, WebhookSecret, sign, verify};
use standardwebhooks::Webhook;

pub(crate) fn feed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (id, timestamp, signatures, body) = (input.line(), input.line(), input.line(), input.rest());
    let (Ok(id), Ok(timestamp), Ok(signatures)) =
        (str::from_utf8(id), str::from_utf8(timestamp), str::from_utf8(signatures))
    else {
        assert!(WebhookHeaders::new(id, timestamp, signatures).is_err(), "a header that is no text was taken");
        return;
    };
    let secret = WebhookSecret::new(SECRET).unwrap();
    let signed_at = timestamp.parse().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let right = sign(&secret, id, signed_at.unwrap_or_default(), body);
    let header = signatures.replace('$', &right);

    let headers = WebhookHeaders::new(id.as_bytes(), timestamp.as_bytes(), header.as_bytes());
    let verdict = headers.and_then(|headers| verify(std::slice::from_ref(&secret), &headers, body, now()));
    assert!(verdict.is_err() || signatures.contains('$'), "a signature was forged");
    if verdict.is_ok() {
        assert!(signed_at.is_some_and(|at| at.duration_since(now()).abs().as_secs() <= 300), "a replay was taken");
        let headers = WebhookHeaders::new(id.as_bytes(), timestamp.as_bytes(), header.as_bytes()).unwrap();
        let other = [body, b" "].concat();
        assert!(verify(&[secret], &headers, &other, now()).is_err(), "it verifies another body, too");
    }

    // The Standard Webhooks project's verifier, but for its clock. It signs the number that it read, and text only.
    let Some(at) = signed_at.filter(|at| at.duration_since(now()).abs().as_secs() <= 300) else { return };
    let can_be_sent = [id, timestamp, header.as_str()]
        .iter()
        .all(|text| !text.is_empty() && text.is_ascii() && text.len() <= 4_096 && HeaderValue::from_str(text).is_ok());
    let few = header.split(' ').count() <= MAX_SIGNATURES;
    if can_be_sent && few && str::from_utf8(body).is_ok() && timestamp == at.as_second().to_string() {
        let theirs = Webhook::new(SECRET).unwrap().sign(id, at.as_second(), body).unwrap();
        let accepts = header.split(' ').any(|entry| entry == theirs);
        assert_eq!(verdict.is_ok(), accepts, "ours {verdict:?}");
    }
}
