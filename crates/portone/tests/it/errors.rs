//! What each way of going wrong lets the caller conclude.

use std::time::Duration;

use portone::{ApiError, ApiSecret, Client, Error, ErrorKind, MAX_ANSWER_BYTES, PgFailure, TransportPhase};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::answers::{Then, nobody, server};
use crate::client::answering;
use crate::samples::{KEY, SECRET, attempt, client, id, key, order};

async fn charge_answered(status: u16, body: Value) -> Error {
    let server = answering(status, body).await;
    client(&server.uri()).pay_with_billing_key(&id(), &attempt(), &order()).await.unwrap_err()
}

async fn read_answered(answer: ResponseTemplate) -> Error {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    client(&server.uri()).payment(&id()).await.unwrap_err()
}

fn phase(error: &Error) -> TransportPhase {
    assert!(error.outcome_unknown());
    match error {
        Error::Transport { phase, .. } => *phase,
        other => panic!("not a transport error: {other:?}"),
    }
}

fn not_json(error: &Error) -> (u16, &str) {
    assert!(error.outcome_unknown());
    match error {
        Error::NotJson { status, excerpt, .. } => (*status, excerpt),
        other => panic!("taken for JSON: {other:?}"),
    }
}

#[tokio::test]
async fn a_declined_card_is_a_502_and_a_known_outcome() {
    let body = json!({"type": "PG_PROVIDER", "message": "no", "pgCode": "REJECT", "pgMessage": "over limit"});
    let error = charge_answered(502, body).await;
    assert!(!error.outcome_unknown());
    let Error::Api(ApiError { status, kind, message, pg }) = error else { panic!("{error:?}") };
    assert_eq!((status, kind, message.as_deref()), (502, ErrorKind::PgProvider, Some("no")));
    assert_eq!(pg, Some(PgFailure { code: "REJECT".into(), message: "over limit".into() }));
}

#[tokio::test]
async fn a_wrong_secret_is_unauthorized() {
    let error = charge_answered(401, json!({"type": "UNAUTHORIZED"})).await;
    assert_eq!(error.kind(), Some(&ErrorKind::Unauthorized));
    assert!(!error.outcome_unknown());
}

#[tokio::test]
async fn the_type_decides_and_not_the_status() {
    let error = charge_answered(503, json!({"type": "ALREADY_PAID"})).await;
    assert_eq!(error.kind(), Some(&ErrorKind::AlreadyPaid));
}

#[tokio::test]
async fn a_request_still_running_has_an_unknown_outcome() {
    let error = charge_answered(409, json!({"type": "IDEMPOTENCY_OUTSTANDING_REQUEST"})).await;
    assert_eq!(error.kind(), Some(&ErrorKind::IdempotencyOutstandingRequest));
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_type_nobody_knows_is_kept_and_proves_nothing() {
    let error = charge_answered(429, json!({"type": "TOO_MANY", "message": 7, "more": {}})).await;
    assert_eq!(error.kind(), Some(&ErrorKind::Other("TOO_MANY".into())));
    assert!(error.outcome_unknown());
}

#[tokio::test]
async fn a_json_error_without_a_type_is_not_portones() {
    for (status, body) in [(429, json!({"message": "Too Many Requests"})), (500, json!([])), (502, json!({"type": 1}))]
    {
        assert_eq!(not_json(&charge_answered(status, body).await).0, status);
    }
}

#[tokio::test]
async fn a_page_of_html_is_kept_as_a_short_clean_excerpt() {
    let page = format!("<html>\r\n\u{1b}[31m503{}", "x".repeat(10_000));
    let error = read_answered(ResponseTemplate::new(503).set_body_raw(page, "text/html")).await;
    let (status, excerpt) = not_json(&error);
    assert_eq!(status, 503);
    assert!(excerpt.starts_with("<html>   [31m503"), "{excerpt}");
    assert_eq!(excerpt.chars().count(), portone::MAX_EXCERPT_CHARS);
    assert!(matches!(error, Error::NotJson { content_type: Some(t), .. } if t == "text/html"));
}

#[tokio::test]
async fn an_empty_body_is_not_json_whatever_the_status() {
    for status in [200, 204, 401, 404, 502] {
        assert_eq!(not_json(&read_answered(ResponseTemplate::new(status)).await), (status, ""));
    }
}

#[tokio::test]
async fn a_success_that_lacks_what_we_need_is_told_apart() {
    for body in [json!({}), json!({"payment": {}}), json!({"type": "PG_PROVIDER"})] {
        let error = charge_answered(200, body).await;
        assert!(matches!(&error, Error::Undecodable { status: 200, .. }), "{error:?}");
        assert!(error.outcome_unknown());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_success_is_told_without_its_values() {
    let error = charge_answered(200, json!({"payment": {"pgTxId": {"leak": KEY}}})).await;
    assert!(!format!("{error} {error:?}").contains("leak"));
    let error = charge_answered(200, json!({"payment": KEY})).await;
    assert!(!format!("{error} {error:?}").contains(KEY));
    let error = charge_answered(200, json!({"payment": {}})).await;
    assert!(error.to_string().contains("missing field `pgTxId`"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answering(200, crate::samples::paid()).await;
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.uri());
    assert_eq!(not_json(&read_answered(redirect).await).0, 307);
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let error = client(&nobody()).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::Connect);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_breaks_the_request() {
    let error = client(&server(Vec::new(), Then::Close)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::Request);
}

#[tokio::test]
async fn a_body_cut_off_breaks_the_body() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\":".to_vec();
    let error = client(&server(answer, Then::Close)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::Body);
}

#[tokio::test]
async fn json_that_stops_early_is_not_json() {
    let error = read_answered(ResponseTemplate::new(200).set_body_raw("{\"status\":", "application/json")).await;
    assert_eq!(not_json(&error).0, 200);
}

fn impatient(base_url: &str) -> Client {
    let secret = ApiSecret::new(SECRET).unwrap();
    Client::builder().base_url(base_url).read_timeout(Duration::from_millis(50)).build().unwrap().with_secret(secret)
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let error = impatient(&server(Vec::new(), Then::Hang)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::Timeout);
}

#[tokio::test]
async fn silence_inside_the_body_is_a_timeout() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let error = impatient(&server(answer, Then::Hang)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::Timeout);
}

#[tokio::test]
async fn a_body_declared_too_big_is_not_read() {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_ANSWER_BYTES + 1);
    let error = client(&server(answer.into_bytes(), Then::Hang)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::TooBig);
}

#[tokio::test]
async fn a_body_that_grows_too_big_is_dropped() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(answer.len() + MAX_ANSWER_BYTES + 1, b' ');
    let error = client(&server(answer, Then::Hang)).payment(&id()).await.unwrap_err();
    assert_eq!(phase(&error), TransportPhase::TooBig);
}

#[tokio::test]
async fn no_error_holds_the_billing_key_or_the_secret() {
    let echo = format!("no key {KEY} for {SECRET}");
    let envelope = json!({"type": echo, "message": echo, "pgCode": echo, "pgMessage": echo});
    let mut errors = vec![
        client(&nobody()).billing_key(&key()).await.unwrap_err(),
        impatient(&server(Vec::new(), Then::Hang)).billing_key(&key()).await.unwrap_err(),
        charge_answered(404, envelope).await,
        charge_answered(404, json!(echo)).await,
        charge_answered(200, json!(echo)).await,
    ];
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec();
    errors.push(client(&server(cut, Then::Close)).billing_key(&key()).await.unwrap_err());
    for error in errors {
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(cause) = source {
            let text = format!("{cause} {cause:?}");
            assert!(!text.contains("sentinel"), "{text}");
            source = cause.source();
        }
    }
}
