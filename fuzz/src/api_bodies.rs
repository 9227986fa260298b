//! What holds of every body that is refused.

use api::refusal::{Kind, Refusal};

/// It is the caller's mistake, of one of these kinds, and is answered as a problem that any client can read.
pub(crate) fn is_the_callers(refusal: &Refusal, kinds: &[Kind]) {
    assert!(kinds.contains(&refusal.kind), "{refusal:?}");
    let answer = refusal.clone().answer("request-1");
    let told: serde_json::Value = serde_json::from_slice(answer.body().as_ref()).unwrap();
    assert_eq!(told["type"], refusal.kind.urn());
    assert!((400..500).contains(&answer.status().as_u16()));
}
