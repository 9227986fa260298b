//! What goes over the wire.

use portone::{
    ApiSecret, BillingKeyQuery, BuildError, Cancellation, Client, CursorQuery, DeleteBillingKey, IdempotencyKey,
    PageRequest, PaymentId, PaymentQuery, PaymentStatus, Requester,
};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::samples::{self, KEY, SECRET, attempt, client, id, key, order, store_client};

/// A server that gives everyone the same answer.
pub(crate) async fn answering(status: u16, body: Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_json(body)).mount(&server).await;
    server
}

/// The one request the server has seen.
pub(crate) async fn seen(server: &MockServer) -> Request {
    let mut requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

pub(crate) fn query(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn receipt() -> Value {
    json!({"payment": {"pgTxId": "pg-1", "paidAt": "2026-12-01T00:00:00Z"}})
}

#[tokio::test]
async fn the_secret_travels_in_the_portone_scheme() {
    let server = answering(200, samples::paid()).await;
    client(&server.uri()).payment(&id()).await.unwrap();
    assert_eq!(header(&seen(&server).await, "authorization"), Some(format!("PortOne {SECRET}").as_str()));
}

#[tokio::test]
async fn another_secret_takes_over_on_a_clone() {
    let server = answering(200, samples::paid()).await;
    let rotated = client(&server.uri()).with_secret(ApiSecret::new("second").unwrap());
    rotated.payment(&id()).await.unwrap();
    assert_eq!(header(&seen(&server).await, "authorization"), Some("PortOne second"));
}

#[tokio::test]
async fn the_quotes_belong_to_the_idempotency_key() {
    let server = answering(200, receipt()).await;
    client(&server.uri()).pay_with_billing_key(&id(), &attempt(), &order()).await.unwrap();
    assert_eq!(header(&seen(&server).await, "idempotency-key"), Some("\"payment1-attempt-1\""));
}

#[tokio::test]
async fn a_charge_is_a_json_post() {
    let server = answering(200, receipt()).await;
    let receipt = store_client(&server.uri()).pay_with_billing_key(&id(), &attempt(), &order()).await.unwrap();
    assert_eq!(receipt.pg_tx_id, "pg-1");
    assert!(receipt.paid_at.is_some());
    let request = seen(&server).await;
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    let expected = json!({"storeId": "store-1", "billingKey": KEY, "orderName": "Pro", "amount": {"total": 9900},
                          "currency": "KRW"});
    assert_eq!(request.body_json::<Value>().unwrap(), expected);
}

#[tokio::test]
async fn a_receipt_without_a_time_is_still_a_receipt() {
    let server = answering(200, json!({"payment": {"pgTxId": "pg-1"}})).await;
    let receipt = client(&server.uri()).pay_with_billing_key(&id(), &attempt(), &order()).await.unwrap();
    assert_eq!(receipt.paid_at, None);
}

#[tokio::test]
async fn a_payment_id_is_one_path_segment_whatever_it_holds() {
    let server = answering(200, receipt()).await;
    let id = PaymentId::new("a/b c?d#e%2F한").unwrap();
    client(&server.uri()).pay_with_billing_key(&id, &attempt(), &order()).await.unwrap();
    assert_eq!(seen(&server).await.url.path(), "/payments/a%2Fb%20c%3Fd%23e%252F%ED%95%9C/billing-key");
}

#[test]
fn ids_that_would_leave_their_path_segment_are_refused() {
    for bad in ["", " ", ".", ".."] {
        assert!(PaymentId::new(bad).is_err(), "{bad:?}");
        assert!(portone::BillingKey::new(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_path_in_the_base_url_is_kept() {
    let server = answering(200, samples::paid()).await;
    client(&format!("{}/prefix/", server.uri())).payment(&id()).await.unwrap();
    assert_eq!(seen(&server).await.url.path(), "/prefix/payments/payment1");
}

#[tokio::test]
async fn one_payment_and_one_key_take_the_store_in_the_query() {
    let server = answering(200, samples::paid()).await;
    store_client(&server.uri()).payment(&id()).await.unwrap();
    assert_eq!(query(&seen(&server).await, "storeId").as_deref(), Some("store-1"));

    let server = answering(200, samples::issued()).await;
    store_client(&server.uri()).billing_key(&key()).await.unwrap();
    let request = seen(&server).await;
    assert_eq!(request.url.path(), format!("/billing-keys/{KEY}"));
    assert_eq!(query(&request, "storeId").as_deref(), Some("store-1"));
}

#[tokio::test]
async fn a_list_takes_its_body_and_its_store_in_request_body() {
    let server = answering(200, json!({"items": [samples::paid()], "page": page()})).await;
    let query_ = PaymentQuery {
        page: Some(PageRequest { number: 1, size: 5 }),
        statuses: vec![PaymentStatus::Paid, PaymentStatus::PayPending],
        ..Default::default()
    };
    let page = store_client(&server.uri()).payments(&query_).await.unwrap();
    assert_eq!((page.items.len(), page.page.total_count), (1, 1));
    let request = seen(&server).await;
    assert!(request.body.is_empty());
    let body: Value = serde_json::from_str(&query(&request, "requestBody").unwrap()).unwrap();
    // The filter's word for PAY_PENDING is PENDING.
    let filter = json!({"storeId": "store-1", "status": ["PAID", "PENDING"]});
    assert_eq!(body, json!({"page": {"number": 1, "size": 5}, "filter": filter}));
}

fn page() -> Value {
    json!({"number": 0, "size": 10, "totalCount": 1})
}

#[tokio::test]
async fn a_list_of_keys_takes_its_store_in_the_filter() {
    let server = answering(200, json!({"items": [samples::issued()], "page": page()})).await;
    store_client(&server.uri()).billing_keys(&BillingKeyQuery::default()).await.unwrap();
    let body: Value = serde_json::from_str(&query(&seen(&server).await, "requestBody").unwrap()).unwrap();
    assert_eq!(body, json!({"filter": {"storeId": "store-1"}}));
}

#[tokio::test]
async fn a_list_by_cursor_gives_payments_with_their_cursors() {
    let server = answering(200, json!({"items": [{"payment": samples::paid(), "cursor": "c1"}]})).await;
    let items = store_client(&server.uri()).payments_by_cursor(&CursorQuery::default()).await.unwrap();
    assert_eq!(items[0].1.as_str(), "c1");
    assert_eq!(query(&seen(&server).await, "requestBody").as_deref(), Some(r#"{"storeId":"store-1"}"#));
}

#[tokio::test]
async fn a_deletion_takes_everything_in_the_query() {
    let server = answering(200, json!({"deletedAt": "2026-12-01T00:00:00Z"})).await;
    let delete = DeleteBillingKey {
        reason: Some("left & gone".into()),
        requester: Some(Requester::Customer),
        skip_webhook: Some(true),
    };
    store_client(&server.uri()).delete_billing_key(&key(), &delete, Some(&attempt())).await.unwrap();
    let request = seen(&server).await;
    assert_eq!(request.method.as_str(), "DELETE");
    assert_eq!(
        request.url.query(),
        Some("storeId=store-1&reason=left%20%26%20gone&requester=CUSTOMER&skipWebhook=true")
    );
    assert!(header(&request, "idempotency-key").is_some());
}

#[tokio::test]
async fn an_accepted_cancellation_is_not_a_refund() {
    let server = answering(200, json!({"cancellation": samples::cancellation("REQUESTED")})).await;
    let cancellation = client(&server.uri()).cancel_payment(&id(), None, &samples::full_cancel()).await.unwrap();
    assert!(matches!(cancellation, Cancellation::Requested(_)));
    assert_eq!(header(&seen(&server).await, "idempotency-key"), None);
}

#[tokio::test]
async fn a_resend_may_name_the_webhook() {
    let server = answering(200, json!({"webhook": {"id": "w1", "url": "https://example.com"}})).await;
    let webhook = store_client(&server.uri()).resend_webhook(&id(), Some("w1")).await.unwrap();
    assert_eq!(webhook.id, "w1");
    assert_eq!(seen(&server).await.body_json::<Value>().unwrap(), json!({"storeId": "store-1", "webhookId": "w1"}));
}

#[tokio::test]
async fn warming_up_shows_no_secret_and_minds_no_answer() {
    let server = answering(500, json!({})).await;
    Client::builder().base_url(&server.uri()).build().unwrap().warm_up().await;
    let request = seen(&server).await;
    assert_eq!(request.method.as_str(), "HEAD");
    assert_eq!(header(&request, "authorization"), None);
}

#[test]
fn an_idempotency_key_has_16_to_256_safe_characters() {
    for (length, ok) in [(0, false), (15, false), (16, true), (256, true), (257, false)] {
        assert_eq!(IdempotencyKey::new("a".repeat(length)).is_ok(), ok, "{length}");
    }
    for bad in ["0123456789abcde\"", "0123456789abcde ", "0123456789abcde한"] {
        assert!(IdempotencyKey::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_secret_that_does_not_fit_a_header_is_refused() {
    for bad in ["", "two words", "line\n", "한"] {
        assert!(ApiSecret::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_base_url_that_is_not_plain_is_refused() {
    for bad in ["", "api.portone.io", "ftp://x", "https://u:p@x", "https://x?q", "https://x#f"] {
        let built = Client::builder().base_url(bad).build();
        assert!(matches!(built, Err(BuildError::BaseUrl)), "{bad}");
    }
}
