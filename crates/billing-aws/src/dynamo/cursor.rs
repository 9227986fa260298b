//! Cursors: where a query goes on, as opaque text.

use crate::item::Attributes;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use billing_flows::ports::Cursor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A key attribute, as `DynamoDB` writes it in JSON.
#[derive(Serialize, Deserialize)]
enum Value {
    S(String),
    N(String),
}

/// The text of a key. Nothing if it is no key: then the listing has no way to go on, which `DynamoDB` never makes.
pub(super) fn encode(key: &Attributes) -> Option<Cursor> {
    let values: BTreeMap<&str, Value> = key
        .iter()
        .map(|(name, value)| match value {
            AttributeValue::S(text) => Some((name.as_str(), Value::S(text.clone()))),
            AttributeValue::N(number) => Some((name.as_str(), Value::N(number.clone()))),
            _ => None,
        })
        .collect::<Option<_>>()?;
    Some(Cursor(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&values).ok()?)))
}

/// The key of a text that [`encode`] made.
pub(super) fn decode(cursor: &Cursor) -> Option<Attributes> {
    let json = URL_SAFE_NO_PAD.decode(&cursor.0).ok()?;
    let values: BTreeMap<String, Value> = serde_json::from_slice(&json).ok()?;
    let attributes = values.into_iter().map(|(name, value)| match value {
        Value::S(text) => (name, AttributeValue::S(text)),
        Value::N(number) => (name, AttributeValue::N(number)),
    });
    Some(attributes.collect())
}
