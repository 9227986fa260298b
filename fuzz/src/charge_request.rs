//! The body of a charge, as the customer's backend sends it.

use api::backend::parse_charge;
use api::refusal::Kind;

pub(crate) fn feed(bytes: &[u8]) {
    match parse_charge(bytes) {
        Ok(_) => {
            let body: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let known = ["subscriptionId", "userId", "amount", "currency"];
            let fields = body.as_object().unwrap();
            assert!(fields.keys().all(|name| known.contains(&name.as_str())), "an unknown field was taken");
        }
        Err(refusal) => crate::api_bodies::is_the_callers(&refusal, &[Kind::NotJson, Kind::Invalid]),
    }
}
