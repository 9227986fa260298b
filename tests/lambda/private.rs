//! What no function may print: every secret and every personal datum of a sandbox, and the ways in which it might be written.

use crate::sandbox::{Sandbox, event};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What has a function print as much as it can.
pub const LOUDEST: [(&str, &str); 2] = [("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RUST_LOG", "trace")];

/// What names a person, reaches them, or charges them.
const PRIVATE: [&str; 6] = ["billingKey", "customerEmail", "customerName", "customerPhone", "paypalEmail", "to"];

/// All of it: the stack's own secrets, and what is in the tables, the mailbox, the simulator's books and the events that functions are given.
pub async fn all<'a>(sandbox: &Sandbox, events: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, id) in sandbox.environment().await {
        if name.ends_with("_SECRET_ID") {
            let secret = sandbox.secret(&id).await;
            found.extend(secret.strip_prefix("whsec_").map(str::to_owned));
            found.insert(secret);
        }
    }
    assert!(found.len() > 3, "the API secret, the webhook secret with and without its prefix, the checkout secret");
    for table in ["subscriptions", "invoices", "events", "emails"] {
        collect(&json!(sandbox.rows(table).await), &mut found);
    }
    collect(&sandbox.get("/api/portone/ledger").await, &mut found);
    for name in events {
        collect(&event(name), &mut found);
    }
    found
}

/// The private values of some JSON, plain or as DynamoDB writes it, also of JSON that is a text in it.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                // A notice is to somebody, by name.
                if PRIVATE.contains(&name.as_str()) || (name == "name" && members.contains_key("to")) {
                    let texts = inner.as_str().or_else(|| inner["S"].as_str());
                    found.extend(texts.filter(|text| !text.is_empty()).map(str::to_owned));
                }
                collect(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::String(text) if text.starts_with('{') => {
            if let Ok(inner) = serde_json::from_str(text) {
                collect(&inner, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A text as it may be written: itself, in an address, in JSON without a letter beyond ASCII, and as bytes that are printed. In lower case.
fn spellings(text: &str) -> [String; 4] {
    let escaped = |is_plain: fn(char) -> bool, escape: fn(char) -> Vec<String>| -> String {
        let each = |letter| if is_plain(letter) { vec![letter.to_string()] } else { escape(letter) };
        text.chars().flat_map(each).collect()
    };
    let address = escaped(
        |letter| letter.is_ascii_alphanumeric() || "-._~".contains(letter),
        |letter| letter.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect(),
    );
    let json = escaped(
        |letter| letter.is_ascii(),
        |letter| letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    );
    let bytes = escaped(
        |letter| letter.is_ascii(),
        |letter| letter.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
    );
    [text.to_owned(), address, json, bytes].map(|text| text.to_lowercase())
}

/// Those of `private` that are in what was said, each with its line.
pub fn told<'a>(private: &'a BTreeSet<String>, said: &str) -> Vec<(&'a str, String)> {
    let said = said.to_lowercase();
    let line = |text: &String| {
        let spellings = spellings(text);
        said.lines().find(|line| spellings.iter().any(|spelling| line.contains(spelling))).map(str::to_owned)
    };
    private.iter().filter_map(|text| Some((text.as_str(), line(text)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let private = BTreeSet::from(["김하나".to_owned(), "a+b@example.com".to_owned()]);
        for said in [
            "it is 김하나",
            "?name=%EA%B9%80%ED%95%98%EB%82%98",
            r#"{"name":"\uAE40\ud558\ub098"}"#,
            r#"{"message":"b\"\\xea\xb9\x80\xed\x95\x98\xeb\x82\x98\""}"#,
            "A+B@example.com",
            "?email=a%2Bb%40example.com",
        ] {
            assert_eq!(told(&private, said).len(), 1, "{said}");
        }
        assert!(told(&private, "it is 김하니, a@example.com").is_empty());
    }

    #[test]
    fn what_is_private_is_found_in_rows_and_in_texts() {
        let event = json!({
            "body": r#"{"billingKey":"key-1","storeId":"store-1"}"#,
            "notice": { "M": { "to": { "S": "a@example.com" }, "name": { "S": "김하나" } } },
            "name": "nobody",
        });
        let mut found = BTreeSet::new();
        collect(&event, &mut found);
        assert_eq!(found, ["a@example.com", "key-1", "김하나"].map(str::to_owned).into());
    }
}
