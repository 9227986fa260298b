//! The contract: the OpenAPI document, where it is at hand.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

struct Contract {
    document: Value,
    /// Its schemas, made strict.
    components: Value,
    validators: Mutex<BTreeMap<String, &'static Validator>>,
}

fn contract() -> Option<&'static Contract> {
    static CONTRACT: OnceLock<Option<Contract>> = OnceLock::new();
    CONTRACT.get_or_init(load).as_ref()
}

#[expect(clippy::disallowed_methods, reason = "a test may be told where the contract is")]
fn load() -> Option<Contract> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/portone/v2.openapi.subset.json");
    let path = std::env::var("PORTONE_OPENAPI").unwrap_or_else(|_| beside.to_owned());
    let Ok(text) = std::fs::read(&path) else {
        // Past the test harness, which swallows what passing tests print.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: PortOne's OpenAPI document is not here, so answers are not held against it; name it in PORTONE_OPENAPI"
        );
        return None;
    };
    let document: Value = serde_json::from_slice(&text).unwrap();
    let mut components = document["components"].clone();
    strict(&mut components);
    Some(Contract { document, components, validators: Mutex::default() })
}

/// Makes alternatives depend on their discriminator, and lets no object have other fields than those that are declared.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(discriminator) = object.remove("discriminator") {
                let name = discriminator["propertyName"].as_str().unwrap();
                let case = |(tag, target): (&String, &Value)| json!({"allOf": [{"$ref": target}, {"properties": {name: {"const": tag}}}]});
                let cases: Vec<_> = discriminator["mapping"].as_object().unwrap().iter().map(case).collect();
                object.insert("oneOf".to_owned(), cases.into());
            } else {
                object.values_mut().for_each(strict);
                if object.get("properties").is_some_and(|fields| !fields.as_object().unwrap().is_empty()) {
                    object.insert("additionalProperties".to_owned(), false.into());
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

/// Holds an answer against the contract. Operations that it does not have are let pass.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &Value) {
    let Some(contract) = contract() else { return };
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
    };
    let paths = contract.document["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, methods)| fits(template) && methods.get(method.to_lowercase()).is_some());
    let Some((template, methods)) = found else { return };
    let name = format!("{method} {template} {status}");
    let outstanding = body["type"] == "IDEMPOTENCY_OUTSTANDING_REQUEST";
    if outstanding {
        return;
    }
    let response = &methods[method.to_lowercase()]["responses"][status.to_string()];
    assert!(!response.is_null(), "{name} is not in the contract: {body}");
    if let Some(types) = response["x-derived-error-types"].as_array() {
        assert!(types.contains(&body["type"]), "{name} does not have this type: {body}");
    }
    let schema = &response["content"]["application/json"]["schema"];
    let validator = *contract.validators.lock().unwrap().entry(name.clone()).or_insert_with(|| {
        let mut root = schema.clone();
        root["components"] = contract.components.clone();
        let validator = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true).build(&root);
        Box::leak(Box::new(validator.unwrap()))
    });
    let errors: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{body:#}");
}

#[test]
fn the_contract_refuses_what_is_not_in_it() {
    if contract().is_none() {
        return;
    }
    let refused = |body: Value| std::panic::catch_unwind(|| check("GET", "/payments/p", 404, &body)).is_err();
    assert!(!refused(json!({"type": "PAYMENT_NOT_FOUND", "message": "m"})));
    assert!(refused(json!({"type": "PAYMENT_NOT_FOUND", "mesage": "m"})));
    assert!(refused(json!({"type": "BILLING_KEY_NOT_FOUND"})));
}
