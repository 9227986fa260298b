//! Everything that is sent, against `PortOne`'s own contract. Skipped, loudly, where the contract is not at hand.

use std::io::Write;

use jsonschema::Validator;
use portone::{
    BillingKeyQuery, BillingKeySort, BillingKeyStatus, BillingKeyTime, CancelPayment, Currency, Cursor, CursorQuery,
    CustomerInput, CustomerName, DeleteBillingKey, ErrorKind, PageRequest, PaymentQuery, PaymentSort, PaymentStatus,
    PaymentTime, Requester, SortOrder,
};
use serde_json::{Value, json};
use wiremock::Request;

use crate::client::{answering, query, seen};
use crate::samples::{self, attempt, full_cancel, full_order, id, key, order, store_client};

/// The contract: a subset of `PortOne`'s `OpenAPI` document.
struct Contract(Value);

impl Contract {
    #[expect(clippy::disallowed_methods, reason = "where the contract lies is the developer's to say")]
    fn find() -> Option<Self> {
        let path = std::env::var("PORTONE_OPENAPI").unwrap_or_else(|_| {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/portone/v2.openapi.subset.json").to_owned()
        });
        let Ok(text) = std::fs::read_to_string(&path) else {
            // Past the test harness, which swallows what passing tests print.
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "SKIPPED: PortOne's OpenAPI document is not here; name it in PORTONE_OPENAPI");
            return None;
        };
        Some(Self(serde_json::from_str(&text).unwrap()))
    }

    fn validator(&self, schema: &str, strict: bool) -> Validator {
        let mut components = self.0["components"].clone();
        assert!(components["schemas"][schema].is_object(), "no schema {schema}");
        honour_discriminators(&mut components);
        if strict {
            forbid_unknown_fields(&mut components);
        }
        let schema = json!({"$ref": format!("#/components/schemas/{schema}"), "components": components});
        jsonschema::draft4::new(&schema).unwrap()
    }

    /// Valid, and without a single field that the contract does not know.
    fn assert_request(&self, schema: &str, body: &Value) {
        assert_valid(&self.validator(schema, true), schema, body);
    }

    fn assert_answer(&self, schema: &str, body: &Value) {
        assert_valid(&self.validator(schema, false), schema, body);
    }
}

fn assert_valid(validator: &Validator, schema: &str, body: &Value) {
    let errors: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{schema}: {errors:?} in {body}");
}

/// A discriminator says which of several schemas applies; JSON Schema has no such thing, and would find many.
fn honour_discriminators(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(discriminator) = fields.remove("discriminator") {
                let property = discriminator["propertyName"].as_str().unwrap();
                let one_of = discriminator["mapping"].as_object().unwrap().iter().map(|(value, schema)| {
                    json!({"allOf": [{"$ref": schema}, {"properties": {property: {"enum": [value]}}}]})
                });
                fields.insert("oneOf".into(), one_of.collect());
            }
            fields.values_mut().for_each(honour_discriminators);
        }
        Value::Array(items) => items.iter_mut().for_each(honour_discriminators),
        _ => {}
    }
}

/// A misspelt optional field would pass otherwise.
fn forbid_unknown_fields(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(forbid_unknown_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_unknown_fields),
        _ => {}
    }
}

fn request_body(request: &Request) -> Value {
    serde_json::from_str(&query(request, "requestBody").unwrap()).unwrap()
}

#[tokio::test]
async fn charges_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    let mut separated = order();
    let name = CustomerName::Separated { first: "A".into(), last: "B".into() };
    separated.customer = Some(CustomerInput { name: Some(name), ..Default::default() });
    for order in [order(), full_order(), separated] {
        let server = answering(200, json!({})).await;
        let _ = store_client(&server.uri()).pay_with_billing_key(&id(), &attempt(), &order).await;
        contract.assert_request("BillingKeyPaymentInput", &seen(&server).await.body_json().unwrap());
    }
}

#[tokio::test]
async fn cancellations_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    for cancel in [CancelPayment::new("asked"), full_cancel()] {
        let server = answering(200, json!({})).await;
        let _ = store_client(&server.uri()).cancel_payment(&id(), Some(&attempt()), &cancel).await;
        let request = seen(&server).await;
        assert_eq!(request.url.path(), "/payments/payment1/cancel");
        contract.assert_request("CancelPaymentBody", &request.body_json().unwrap());
    }
}

#[tokio::test]
async fn lists_of_payments_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    let time = Some("2026-12-01T00:00:00Z".parse().unwrap());
    let full = PaymentQuery {
        page: Some(PageRequest { number: 0, size: 10 }),
        timestamp_type: Some(PaymentTime::StatusChangedAt),
        from: time,
        until: time,
        statuses: [
            "READY",
            "PAY_PENDING",
            "VIRTUAL_ACCOUNT_ISSUED",
            "PAID",
            "PARTIAL_CANCELLED",
            "CANCELLED",
            "FAILED",
        ]
        .map(PaymentStatus::from)
        .to_vec(),
        is_test: Some(true),
        is_scheduled: Some(false),
        currency: Some(Currency::Krw),
        sort_by: Some(PaymentSort::RequestedAt),
        sort_order: Some(SortOrder::Asc),
    };
    for query in [PaymentQuery::default(), full] {
        let server = answering(200, json!({})).await;
        let _ = store_client(&server.uri()).payments(&query).await;
        contract.assert_request("GetPaymentsBody", &request_body(&seen(&server).await));
    }
    let full = CursorQuery { from: time, until: time, cursor: Some(Cursor::new("c")), size: Some(1_000) };
    for query in [CursorQuery::default(), full] {
        let server = answering(200, json!({})).await;
        let _ = store_client(&server.uri()).payments_by_cursor(&query).await;
        contract.assert_request("GetAllPaymentsByCursorBody", &request_body(&seen(&server).await));
    }
}

#[tokio::test]
async fn lists_of_billing_keys_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    let time = Some("2026-12-01T00:00:00Z".parse().unwrap());
    let full = BillingKeyQuery {
        page: Some(PageRequest { number: 0, size: 10 }),
        sort: Some(BillingKeySort { by: BillingKeyTime::IssuedAt, order: SortOrder::Desc }),
        time_range_field: Some(BillingKeyTime::StatusTimestamp),
        from: time,
        until: time,
        statuses: vec![BillingKeyStatus::Issued, BillingKeyStatus::Deleted],
        customer_id: Some("user-1".into()),
    };
    for query in [BillingKeyQuery::default(), full] {
        let server = answering(200, json!({})).await;
        let _ = store_client(&server.uri()).billing_keys(&query).await;
        contract.assert_request("GetBillingKeyInfosBody", &request_body(&seen(&server).await));
    }
}

#[tokio::test]
async fn resends_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    let server = answering(200, json!({})).await;
    let _ = store_client(&server.uri()).resend_webhook(&id(), Some("w1")).await;
    contract.assert_request("ResendWebhookBody", &seen(&server).await.body_json().unwrap());
}

#[tokio::test]
async fn deletions_use_the_contracts_query_fields() {
    let Some(contract) = Contract::find() else { return };
    let delete =
        DeleteBillingKey { reason: Some("r".into()), requester: Some(Requester::Admin), skip_webhook: Some(true) };
    let server = answering(200, json!({})).await;
    let _ = store_client(&server.uri()).delete_billing_key(&key(), &delete, None).await;
    let known = contract.0["paths"]["/billing-keys/{billingKey}"]["delete"]["parameters"].as_array().unwrap();
    for (name, _) in seen(&server).await.url.query_pairs() {
        assert!(known.iter().any(|field| field["in"] == "query" && field["name"] == *name), "{name}");
    }
}

/// The samples the other tests read are documents the contract allows.
#[test]
fn the_samples_keep_the_contract() {
    let Some(contract) = Contract::find() else { return };
    contract.assert_answer("Payment", &samples::paid());
    contract.assert_answer("Payment", &samples::failed());
    contract.assert_answer("BillingKeyInfo", &samples::issued());
    for status in ["SUCCEEDED", "REQUESTED", "FAILED"] {
        contract.assert_answer("PaymentCancellation", &samples::cancellation(status));
    }
}

#[test]
fn every_error_type_of_the_contract_is_known() {
    let Some(contract) = Contract::find() else { return };
    let mut known = 0;
    for (name, schema) in contract.0["components"]["schemas"].as_object().unwrap() {
        let Some(types) = schema["discriminator"]["mapping"].as_object().filter(|_| name.ends_with("Error")) else {
            continue;
        };
        for kind in types.keys() {
            assert!(!matches!(ErrorKind::from(kind.as_str()), ErrorKind::Other(_)), "{kind} in {name}");
            known += 1;
        }
    }
    assert!(known > 30, "only {known} error types found");
}

/// The contract refuses what is wrong, or the tests above prove nothing.
#[test]
fn the_contract_notices_mistakes() {
    let Some(contract) = Contract::find() else { return };
    let validator = contract.validator("BillingKeyPaymentInput", true);
    let good = json!({"billingKey": "k", "orderName": "o", "amount": {"total": 1}, "currency": "KRW"});
    assert!(validator.is_valid(&good));
    for (field, wrong) in [
        ("billingKey", json!(null)),
        ("billing_key", json!("k")),
        ("currency", json!("XXXX")),
        ("amount", json!({"total": "1"})),
        ("amount", json!({"total": 1, "tax_free": 1})),
        ("customer", json!({"name": "flat"})),
    ] {
        let mut bad = good.clone();
        bad[field] = wrong;
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}
