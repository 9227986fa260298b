//! Webhooks: whose they are, and what they say.

use jiff::{SignedDuration, Timestamp};
use portone::webhook::{
    self, BillingKeyEvent, Event, EventKind, ID_HEADER, InvalidWebhookSecret, MAX_HEADER_BYTES, MAX_SIGNATURES,
    ParseError, SIGNATURE_HEADER, TIMESTAMP_HEADER, TransactionEvent, VerifyError, WebhookHeaders, WebhookSecret,
};
use serde_json::{Value, json};

const SECRET: &str = "pzQGE83cSIRKM4/WH5QY+g==";
const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "dummy-webhook-id";
const SECONDS: &str = "1714039200";
const BODY: &[u8] = br#"{"test":"test payload"}"#;
const SIGNATURE: &str = "v1,AMuZERspSjUAnx8CvPtk1FoKRwbyI5Dg3Uj9585DiMQ=";

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(text).unwrap()
}

fn at(seconds: &str) -> Timestamp {
    Timestamp::from_second(seconds.parse().unwrap()).unwrap()
}

/// The verdict on `PortOne`'s own example with these headers, at the second it was signed.
fn verdict(id: &str, timestamp: &str, signature: &str) -> Result<(), VerifyError> {
    let headers = WebhookHeaders::new(id.as_bytes(), timestamp.as_bytes(), signature.as_bytes())?;
    webhook::verify(&[secret(SECRET)], &headers, BODY, at(SECONDS)).map(|_| ())
}

fn signed_by(signature: &str) -> Result<(), VerifyError> {
    verdict(ID, SECONDS, signature)
}

/// Signs a body and parses it, as a handler would.
fn parse_bytes(body: &[u8]) -> Result<Event, ParseError> {
    let signature = webhook::sign(&secret(SECRET), ID, at(SECONDS), body);
    let headers = WebhookHeaders::new(ID.as_bytes(), SECONDS.as_bytes(), signature.as_bytes()).unwrap();
    webhook::verify(&[secret(SECRET)], &headers, body, at(SECONDS)).unwrap().parse()
}

fn parse(body: &Value) -> Result<Event, ParseError> {
    parse_bytes(body.to_string().as_bytes())
}

#[test]
fn the_known_vectors_verify_and_are_reproduced() {
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/webhook-vectors.json")).unwrap();
    for vector in vectors["vectors"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (secret, now) = (secret(text("secret")), at(text(TIMESTAMP_HEADER)));
        let body = text("body").as_bytes();
        let names = [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER];
        let headers = WebhookHeaders::from_iter(names.map(|name| (name, text(name).as_bytes()))).unwrap();
        assert_eq!(webhook::sign(&secret, text(ID_HEADER), now, body), text(SIGNATURE_HEADER));
        let webhook = webhook::verify(&[secret], &headers, body, now).unwrap();
        assert_eq!((webhook.id(), webhook.body()), (text(ID_HEADER), body));
    }
}

#[test]
fn header_names_match_in_any_case_among_others() {
    let headers = WebhookHeaders::from_iter([
        ("Host", "example.com".as_bytes()),
        ("WEBHOOK-ID", ID.as_bytes()),
        ("Webhook-Timestamp", SECONDS.as_bytes()),
        ("webhook-signature", SIGNATURE.as_bytes()),
    ]);
    assert!(webhook::verify(&[secret(SECRET)], &headers.unwrap(), BODY, at(SECONDS)).is_ok());
}

/// The three, each as often as it is named, out of a table that is asked by name.
fn from_table<'a>(table: &[(&str, &'a str)]) -> Result<WebhookHeaders<'a>, VerifyError> {
    WebhookHeaders::from_values(|name| {
        let of_name = table.iter().filter(|(known, _)| *known == name);
        of_name.map(|(_, value)| value.as_bytes()).collect::<Vec<_>>()
    })
}

#[test]
fn headers_of_a_table_are_taken_and_refused_as_those_of_a_list() {
    let all = [(ID_HEADER, ID), (TIMESTAMP_HEADER, SECONDS), (SIGNATURE_HEADER, SIGNATURE)];
    let listed = |table: &[(&'static str, &'static str)]| {
        WebhookHeaders::from_iter(table.iter().map(|(name, value)| (*name, value.as_bytes())))
    };
    assert!(from_table(&all).is_ok());
    assert_eq!(from_table(&all), listed(&all));
    for (index, (name, value)) in all.into_iter().enumerate() {
        let without: Vec<_> = all.into_iter().filter(|(other, _)| *other != name).collect();
        assert_eq!(from_table(&without), Err(VerifyError::MissingHeader(name)));
        let twice: Vec<_> = all.into_iter().chain([(name, value)]).collect();
        assert_eq!(from_table(&twice), Err(VerifyError::DuplicateHeader(name)));
        for wrong in ["", "\u{1f4b3}", &"1".repeat(MAX_HEADER_BYTES + 1)] {
            let mut table = all;
            table[index] = (name, wrong);
            let listed = WebhookHeaders::from_iter(table.iter().map(|(name, value)| (*name, value.as_bytes())));
            assert!(listed.is_err(), "{name}");
            assert_eq!(from_table(&table), listed);
        }
    }
}

#[test]
fn a_missing_header_is_named() {
    let all = [(ID_HEADER, ID), (TIMESTAMP_HEADER, SECONDS), (SIGNATURE_HEADER, SIGNATURE)];
    for (missing, _) in all {
        let rest = all.into_iter().filter(|(name, _)| *name != missing).map(|(name, value)| (name, value.as_bytes()));
        assert_eq!(WebhookHeaders::from_iter(rest), Err(VerifyError::MissingHeader(missing)));
    }
}

#[test]
fn an_empty_header_is_missing() {
    assert_eq!(verdict("", SECONDS, SIGNATURE), Err(VerifyError::MissingHeader(ID_HEADER)));
}

#[test]
fn a_repeated_header_is_named() {
    let all = [(ID_HEADER, ID), (TIMESTAMP_HEADER, SECONDS), (SIGNATURE_HEADER, SIGNATURE)];
    for (repeated, value) in all {
        let upper = repeated.to_uppercase();
        let headers = all.into_iter().chain([(upper.as_str(), value)]).map(|(name, value)| (name, value.as_bytes()));
        assert_eq!(WebhookHeaders::from_iter(headers), Err(VerifyError::DuplicateHeader(repeated)));
    }
}

#[test]
fn repeated_headers_joined_by_a_gateway_are_refused() {
    let twice = |text: &str| format!("{text},{text}");
    assert_eq!(verdict(&twice(ID), SECONDS, SIGNATURE), Err(VerifyError::NoMatchingSignature));
    assert_eq!(verdict(ID, &twice(SECONDS), SIGNATURE), Err(VerifyError::InvalidTimestamp));
    assert_eq!(verdict(ID, SECONDS, &twice(SIGNATURE)), Err(VerifyError::NoMatchingSignature));
}

#[test]
fn headers_beyond_reason_are_refused() {
    let long = "1".repeat(MAX_HEADER_BYTES + 1);
    assert_eq!(verdict(&long, SECONDS, SIGNATURE), Err(VerifyError::HeaderTooLong(ID_HEADER)));
    assert_eq!(verdict("한", SECONDS, SIGNATURE), Err(VerifyError::NotAscii(ID_HEADER)));
    let not_text = WebhookHeaders::new(ID.as_bytes(), b"\xff", SIGNATURE.as_bytes());
    assert_eq!(not_text, Err(VerifyError::NotAscii(TIMESTAMP_HEADER)));
}

#[test]
fn a_wrong_secret_does_not_verify() {
    let headers = WebhookHeaders::new(ID.as_bytes(), SECONDS.as_bytes(), SIGNATURE.as_bytes()).unwrap();
    let verdict = |secrets: &[WebhookSecret]| webhook::verify(secrets, &headers, BODY, at(SECONDS)).map(|_| ());
    assert_eq!(verdict(&[secret(OTHER)]), Err(VerifyError::NoMatchingSignature));
    assert_eq!(verdict(&[]), Err(VerifyError::NoMatchingSignature));
    // While secrets are being replaced, either will do.
    assert_eq!(verdict(&[secret(OTHER), secret(SECRET)]), Ok(()));
    assert_eq!(verdict(&[secret(SECRET), secret(OTHER)]), Ok(()));
}

#[test]
fn id_timestamp_and_body_are_all_signed() {
    assert_eq!(verdict("another-id", SECONDS, SIGNATURE), Err(VerifyError::NoMatchingSignature));
    assert_eq!(verdict(ID, "1714039201", SIGNATURE), Err(VerifyError::NoMatchingSignature));
    let headers = WebhookHeaders::new(ID.as_bytes(), SECONDS.as_bytes(), SIGNATURE.as_bytes()).unwrap();
    let verdict = webhook::verify(&[secret(SECRET)], &headers, b"{}", at(SECONDS));
    assert_eq!(verdict, Err(VerifyError::NoMatchingSignature));
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let decoy = "AAAAERspSjUAnx8CvPtk1FoKRwbyI5Dg3Uj9585DiMQ=";
    assert_eq!(signed_by(&format!("v1,{decoy} v2,{decoy} {SIGNATURE} v1,{decoy}")), Ok(()));
    assert_eq!(signed_by(&format!("v1,{decoy} v2,{decoy}")), Err(VerifyError::NoMatchingSignature));
}

#[test]
fn what_is_not_v1_or_not_base64_is_not_ours() {
    let base64 = SIGNATURE.strip_prefix("v1,").unwrap();
    for bad in [
        format!("v1a,{base64}"),
        format!("v2,{base64}"),
        format!("V1,{base64}"),
        format!(",{base64}"),
        base64.to_owned(),
        format!("v1,{base64},junk"),
        format!("v1,{}", base64.trim_end_matches('=')),
        format!("v1,{}A", base64.trim_end_matches('=')), // one byte more
        format!("v1,{}", &base64[..8]),
        "v1,".to_owned(),
        "v1".to_owned(),
        "한".to_owned(),
    ] {
        let refused = matches!(signed_by(&bad), Err(VerifyError::NoMatchingSignature | VerifyError::NotAscii(_)));
        assert!(refused, "{bad}");
        if bad.is_ascii() {
            assert_eq!(signed_by(&format!("{bad}  {SIGNATURE}")), Ok(()), "skips {bad}");
        }
    }
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let after = |decoys: usize| format!("{}{SIGNATURE}", "v1,AAAA ".repeat(decoys));
    assert_eq!(signed_by(&after(MAX_SIGNATURES - 1)), Ok(()));
    assert_eq!(signed_by(&after(MAX_SIGNATURES)), Err(VerifyError::NoMatchingSignature));
}

#[test]
fn three_hundred_seconds_pass_and_one_more_does_not() {
    let headers = WebhookHeaders::new(ID.as_bytes(), SECONDS.as_bytes(), SIGNATURE.as_bytes()).unwrap();
    let after = |seconds: i64| {
        let now = at(SECONDS) + SignedDuration::from_secs(seconds);
        webhook::verify(&[secret(SECRET)], &headers, BODY, now).map(|_| ())
    };
    assert_eq!(after(300), Ok(()));
    assert_eq!(after(-300), Ok(()));
    assert_eq!(after(301), Err(VerifyError::TooOld));
    assert_eq!(after(-301), Err(VerifyError::TooNew));
}

#[test]
fn a_timestamp_is_ascii_digits() {
    for bad in ["+1714039200", "-1714039200", " 1714039200", "1714039200.0", "0x10", "1e9", "99999999999999999999"] {
        assert_eq!(verdict(ID, bad, SIGNATURE), Err(VerifyError::InvalidTimestamp), "{bad}");
    }
    assert_eq!(verdict(ID, "9223372036854775807", SIGNATURE), Err(VerifyError::TooNew));
    assert_eq!(verdict(ID, "0", SIGNATURE), Err(VerifyError::TooOld));
}

#[test]
fn a_webhook_secret_is_base64_with_or_without_its_prefix() {
    assert!(WebhookSecret::new("whsec_pzQGE83cSIRKM4/WH5QY+g==").is_ok());
    assert_eq!(WebhookSecret::new("").unwrap_err(), InvalidWebhookSecret::Empty);
    assert_eq!(WebhookSecret::new("whsec_").unwrap_err(), InvalidWebhookSecret::Empty);
    assert_eq!(WebhookSecret::new("not base64").unwrap_err(), InvalidWebhookSecret::NotBase64);
    assert_eq!(WebhookSecret::new("pzQGE83cSIRKM4/WH5QY+g==\n").unwrap_err(), InvalidWebhookSecret::NotBase64);
}

#[test]
fn any_bytes_can_be_signed_but_only_utf8_parsed() {
    assert_eq!(parse_bytes(b"{\"type\":\"\xff\"}"), Err(ParseError::NotJson));
    assert_eq!(parse_bytes(b""), Err(ParseError::NotJson));
}

#[test]
fn a_body_nested_too_deeply_is_an_error_and_no_crash() {
    let deep = |open: &str, close: &str| {
        let body = format!(r#"{{"type":"New","x":{}1{}}}"#, open.repeat(100_000), close.repeat(100_000));
        parse_bytes(body.as_bytes())
    };
    assert_eq!(deep("[", "]"), Err(ParseError::NotJson));
    assert_eq!(deep(r#"{"a":"#, "}"), Err(ParseError::NotJson));
}

#[test]
fn a_body_is_an_object_with_a_type() {
    for body in [json!([]), json!("Transaction.Paid"), json!(null)] {
        assert_eq!(parse(&body), Err(ParseError::NotAnObject), "{body}");
    }
    // The older format, which the console can still be set to.
    let old = json!({"payment_id": "p", "tx_id": "t", "status": "Paid"});
    assert_eq!(parse(&old), Err(ParseError::MissingField("type")));
    assert_eq!(parse(&json!({"type": 1})), Err(ParseError::InvalidField("type")));
}

#[test]
fn a_type_nobody_knows_is_other_whatever_it_carries() {
    for kind in ["Transaction.Teleported", "BillingKey", "transaction.paid", "Transaction.Paid ", ""] {
        for body in [json!({"type": kind}), json!({"type": kind, "timestamp": 1, "data": "x"})] {
            let event = parse(&body).unwrap();
            assert_eq!(event.kind, EventKind::Other { kind: kind.to_owned() });
            assert_eq!(event.raw_type, kind);
        }
    }
}

#[test]
fn every_known_transaction_event_decodes() {
    use TransactionEvent as T;
    for (name, expected) in [
        ("Ready", T::Ready),
        ("Paid", T::Paid),
        ("VirtualAccountIssued", T::VirtualAccountIssued),
        ("PartialCancelled", T::PartialCancelled),
        ("Cancelled", T::Cancelled),
        ("Failed", T::Failed),
        ("PayPending", T::PayPending),
        ("CancelPending", T::CancelPending),
        ("DisputeCreated", T::DisputeCreated),
        ("DisputeResolved", T::DisputeResolved),
        ("Confirm", T::Confirm),
    ] {
        let data = json!({"paymentId": "p", "transactionId": "t", "storeId": "s", "cancellationId": "c", "new": 1});
        let body =
            json!({"type": format!("Transaction.{name}"), "timestamp": "2024-04-25T10:00:00.000Z", "data": data});
        let event = parse(&body).unwrap();
        assert_eq!(event.timestamp.unwrap(), at(SECONDS));
        let EventKind::Transaction { what, payment_id, transaction_id, store_id, cancellation_id } = event.kind else {
            panic!("{name}")
        };
        assert_eq!(what, expected);
        let ids = (payment_id.as_str(), transaction_id.as_str(), store_id.as_str(), cancellation_id.as_deref());
        assert_eq!(ids, ("p", "t", "s", Some("c")));
    }
}

#[test]
fn every_known_billing_key_event_decodes() {
    use BillingKeyEvent as B;
    for (name, expected) in [
        ("Ready", B::Ready),
        ("Issued", B::Issued),
        ("Failed", B::Failed),
        ("Deleted", B::Deleted),
        ("Updated", B::Updated),
    ] {
        let body = json!({"type": format!("BillingKey.{name}"), "data": {"billingKey": "k", "storeId": "s"}});
        let EventKind::BillingKey { what, billing_key, store_id } = parse(&body).unwrap().kind else {
            panic!("{name}")
        };
        assert_eq!((what, billing_key.expose(), store_id.as_str()), (expected, "k", "s"));
    }
}

#[test]
fn a_known_event_without_its_ids_is_an_error() {
    let paid = json!({"paymentId": "p", "transactionId": "t", "storeId": "s"});
    let issued = json!({"billingKey": "k", "storeId": "s"});
    for (kind, data) in [("Transaction.Paid", paid), ("BillingKey.Issued", issued)] {
        for field in data.as_object().unwrap().keys() {
            let mut without = data.clone();
            without.as_object_mut().unwrap().remove(field);
            let error = parse(&json!({"type": kind, "data": without})).unwrap_err();
            assert!(matches!(error, ParseError::MissingField(name) if name == field), "{error}");
            let mut wrong = data.clone();
            wrong[field] = json!(1);
            let error = parse(&json!({"type": kind, "data": wrong})).unwrap_err();
            assert!(matches!(error, ParseError::InvalidField(name) if name == field), "{error}");
        }
        assert_eq!(parse(&json!({"type": kind})), Err(ParseError::MissingField("data")));
    }
    let blank = json!({"type": "BillingKey.Issued", "data": {"billingKey": "", "storeId": "s"}});
    assert_eq!(parse(&blank), Err(ParseError::InvalidField("billingKey")));
}
