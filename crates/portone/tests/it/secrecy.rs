//! What must not print does not print.

use std::fmt::Debug;

use portone::webhook::{self, WebhookHeaders, WebhookSecret};
use portone::{ApiSecret, BillingKeyInfo, Client, Payment, Personal};

use crate::samples::{SECRET, full_order, issued, key, paid};

const WEBHOOK_SECRET: &str = "c2VudGluZWw="; // "sentinel"

fn assert_silent(value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        for hidden in ["sentinel", "Sentinel", "01000000000", "1234****", "110-000", "c2VudGluZWw"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}

#[test]
fn secrets_keys_and_personal_data_do_not_print() {
    let secret = || ApiSecret::new(SECRET).unwrap();
    assert_silent(&secret());
    assert_silent(&Client::builder().build().unwrap().with_secret(secret()));
    assert_silent(&key());
    assert_silent(&Personal::new("sentinel"));
    assert_silent(&WebhookSecret::new(WEBHOOK_SECRET).unwrap());
    assert_silent(&full_order());
    assert_silent(&serde_json::from_value::<Payment>(paid()).unwrap());
    assert_silent(&serde_json::from_value::<BillingKeyInfo>(issued()).unwrap());
}

#[test]
fn a_webhook_does_not_print_its_billing_key() {
    let secret = WebhookSecret::new(WEBHOOK_SECRET).unwrap();
    let now = "2026-12-01T00:00:00Z".parse().unwrap();
    let body = br#"{"type":"BillingKey.Issued","data":{"billingKey":"sentinel","storeId":"s"}}"#;
    let signature = webhook::sign(&secret, "id", now, body);
    let headers = WebhookHeaders::new(b"id", b"1796083200", signature.as_bytes()).unwrap();
    let webhook = webhook::verify(&[secret], &headers, body, now).unwrap();
    assert_silent(&webhook);
    assert_silent(&webhook.parse().unwrap());
}

#[test]
fn an_unusable_secret_is_refused_without_being_quoted() {
    assert_silent(&ApiSecret::new("sentinel\n").unwrap_err());
    assert_silent(&WebhookSecret::new("sentinel!").unwrap_err());
    assert!(!ApiSecret::new("sentinel\n").unwrap_err().to_string().contains("sentinel"));
}
