//! The body of a request for a checkout session: what is taken of it, and that a repetition is known again.

use api::backend::parse_session;
use api::refusal::Kind;
use billing_core::session::Wish;

pub(crate) fn feed(bytes: &[u8]) {
    match parse_session(bytes) {
        Ok(request) => {
            assert_eq!(parse_session(bytes).unwrap().fingerprint(), request.fingerprint(), "a repetition is not known");
            let customer = &request.customer;
            for contact in [&customer.name, &customer.email, &customer.phone].into_iter().flatten() {
                let text = contact.expose();
                let is_good = !text.trim().is_empty() && text.chars().count() <= 254 && !text.contains('\n');
                assert!(is_good, "such a contact was taken");
            }
            let body: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let begins = matches!(request.wish, Wish::Subscribe { .. });
            assert_eq!(body["subscriptionId"].is_null(), begins, "it is not what it says it is for");
        }
        Err(refusal) => crate::api_bodies::is_the_callers(&refusal, &[Kind::NotJson, Kind::Invalid]),
    }
}
