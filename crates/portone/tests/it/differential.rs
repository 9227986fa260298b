//! Our verifier beside the Standard Webhooks project's own.
//!
//! They differ on purpose in two places, which are left out: ours takes no `+` before a timestamp and signs its text,
//! theirs reprints the number; ours verifies bodies that are not UTF-8, theirs refuses them.

use jiff::Timestamp;
use portone::webhook::{self, WebhookHeaders, WebhookSecret};
use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderValue};

/// What happens to a delivery on its way.
#[derive(Debug, Clone)]
enum Mishap {
    None,
    OtherBody(String),
    OtherId(String),
    OtherSecret(Vec<u8>),
    /// One character of the signature header becomes another.
    Character(prop::sample::Index, char),
    /// The signature header loses its end.
    Cut(prop::sample::Index),
    /// Other entries stand around the signature.
    Among(Vec<String>, Vec<String>),
    /// The signature header is something else altogether.
    Signature(String),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let entries = || prop::collection::vec("(v1|v1a|v2|V1|)[, ]{0,2}[A-Za-z0-9+/=,]{0,48}", 0..4);
    prop_oneof![
        2 => Just(Mishap::None),
        1 => ".{0,20}".prop_map(Mishap::OtherBody),
        1 => "[!-~]{1,20}".prop_map(Mishap::OtherId),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Mishap::OtherSecret),
        3 => (any::<prop::sample::Index>(), prop::char::range(' ', '~')).prop_map(|(i, c)| Mishap::Character(i, c)),
        1 => any::<prop::sample::Index>().prop_map(Mishap::Cut),
        2 => (entries(), entries()).prop_map(|(before, after)| Mishap::Among(before, after)),
        1 => "[!-~][ -~]{0,80}".prop_map(Mishap::Signature),
    ]
}

/// Seconds from now, clear of the edges of the tolerance: the other verifier reads its own clock.
fn age() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -290..=290_i64, 1 => 310..=1_000_000_i64, 1 => -1_000_000..=-310_i64]
}

proptest! {
    #[test]
    fn both_verifiers_agree(
        key in prop::collection::vec(any::<u8>(), 1..64),
        mut id in "[!-~]{1,40}",
        mut body in any::<String>(),
        age in age(),
        mishap in mishap(),
    ) {
        #[expect(clippy::disallowed_methods, reason = "the other verifier reads the system's clock")]
        let now = Timestamp::now();
        let seconds = now.as_second() - age;
        let theirs_signer = standardwebhooks::Webhook::from_bytes(key.clone()).unwrap();
        let mut signature = theirs_signer.sign(&id, seconds, body.as_bytes()).unwrap();
        let signed_at = Timestamp::from_second(seconds).unwrap();
        prop_assert_eq!(&webhook::sign(&ours(&key), &id, signed_at, body.as_bytes()), &signature);

        let (clean, mut key) = (matches!(mishap, Mishap::None), key);
        match mishap {
            Mishap::None => {}
            Mishap::OtherBody(other) => body = other,
            Mishap::OtherId(other) => id = other,
            Mishap::OtherSecret(other) => key = other,
            Mishap::Character(at, character) => {
                let at = at.index(signature.len());
                signature.replace_range(at..=at, &character.to_string());
            }
            Mishap::Cut(at) => signature.truncate(at.index(signature.len()).max(1)),
            Mishap::Among(before, after) => {
                signature = before.into_iter().chain([signature]).chain(after).collect::<Vec<_>>().join(" ");
            }
            Mishap::Signature(other) => signature = other,
        }

        let timestamp = seconds.to_string();
        let headers = WebhookHeaders::new(id.as_bytes(), timestamp.as_bytes(), signature.as_bytes()).unwrap();
        let verdict = webhook::verify(&[ours(&key)], &headers, body.as_bytes(), now);

        let mut map = HeaderMap::new();
        for (name, value) in [("webhook-id", &id), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)] {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let theirs = standardwebhooks::Webhook::from_bytes(key).unwrap().verify(body.as_bytes(), &map);
        prop_assert_eq!(verdict.is_ok(), theirs.is_ok(), "ours {:?}, theirs {:?}", verdict, theirs);
        if clean {
            prop_assert_eq!(verdict.is_ok(), age.abs() <= 300);
        }
    }
}

fn ours(key: &[u8]) -> WebhookSecret {
    use base64::Engine;
    WebhookSecret::new(&base64::engine::general_purpose::STANDARD.encode(key)).unwrap()
}
