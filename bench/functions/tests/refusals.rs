//! Whoever floods the endpoint with forgeries makes the crate hash, and nothing else: no webhook that is refused costs it an allocation.
//!
//! What the crate returns is a value of a few bytes, which needs none either. The function around it allocates an answer and a metric, which
//! `crates/webhook/tests/refusals.rs` counts; and it reads the secret again, once in five seconds at most, for it may have been replaced.
#![expect(clippy::unwrap_used, reason = "tests stop where they fail, helpers included")]

use allocation_counter::measure;
use function_benches::delivery::{self, Delivery, long_before};
use function_benches::morning;
use http::HeaderValue;
use portone::webhook::{MAX_SIGNATURES, SIGNATURE_HEADER, TIMESTAMP_HEADER, VerifyError, WebhookSecret};

/// What is answered, and how many allocations that took.
fn refused(delivery: &Delivery, secrets: &[WebhookSecret]) -> (VerifyError, u64) {
    let mut answer = None;
    let counted = measure(|| answer = Some(delivery.receive(secrets, morning()).unwrap_err()));
    (answer.unwrap(), counted.count_total)
}

fn paid() -> Delivery {
    Delivery::of(delivery::PAID, morning())
}

#[test]
fn allocations_are_counted() {
    let (delivery, secrets) = (paid(), delivery::secrets());
    let counted = measure(|| drop(delivery.receive(&secrets, morning()).unwrap()));
    assert!(counted.count_total > 0, "an event that is read owns its texts");
}

#[test]
fn a_forged_signature_is_refused_without_an_allocation() {
    assert_eq!(refused(&paid().forged(), &delivery::secrets()), (VerifyError::NoMatchingSignature, 0));
}

#[test]
fn a_missing_signature_is_refused_without_an_allocation() {
    let expected = VerifyError::MissingHeader(SIGNATURE_HEADER);
    assert_eq!(refused(&paid().unsigned(), &delivery::secrets()), (expected, 0));
}

#[test]
fn an_old_signature_is_refused_without_an_allocation() {
    let old = Delivery::of(delivery::PAID, long_before(morning()));
    assert_eq!(refused(&old, &delivery::secrets()), (VerifyError::TooOld, 0));
}

#[test]
fn many_signatures_of_any_kind_before_two_secrets_are_refused_without_an_allocation() {
    let secrets = [delivery::secrets(), vec![WebhookSecret::new("cHpRR0U4M2NTSVJLTTQ=").unwrap()]].concat();
    let forged = "v1,bWFrZSBldmVudCBzaWducyB0aGlzIGFmcmVzaCBub3c=";
    for one in [forged, "v1,", "v1,AAAA", "v1,not base64", "v2,AAAA", "v1", &format!("v1,{}", "A".repeat(200))] {
        let mut delivery = paid();
        let all = vec![one; MAX_SIGNATURES].join(" ");
        delivery.headers.insert(SIGNATURE_HEADER, all.parse().unwrap());
        assert_eq!(refused(&delivery, &secrets), (VerifyError::NoMatchingSignature, 0), "{one}");
    }
}

#[test]
fn headers_that_are_no_webhooks_are_refused_without_an_allocation() {
    for (name, value, expected) in [
        (TIMESTAMP_HEADER, "soon", VerifyError::InvalidTimestamp),
        (TIMESTAMP_HEADER, "99999999999999999999", VerifyError::InvalidTimestamp),
        (SIGNATURE_HEADER, "", VerifyError::MissingHeader(SIGNATURE_HEADER)),
    ] {
        let mut delivery = paid();
        delivery.headers.insert(name, HeaderValue::from_static(value));
        assert_eq!(refused(&delivery, &delivery::secrets()), (expected, 0), "{value}");
    }
    let mut twice = paid();
    twice.headers.append(TIMESTAMP_HEADER, HeaderValue::from_static("1"));
    assert_eq!(refused(&twice, &delivery::secrets()), (VerifyError::DuplicateHeader(TIMESTAMP_HEADER), 0));
}
