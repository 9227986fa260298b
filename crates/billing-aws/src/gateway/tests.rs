use super::*;
use crate::secrets::{MIN_INTERVAL, SecretText};
use billing_core::billing_key::MethodKind;
use billing_core::decline::{Pg, Reason};
use billing_core::id::{StoreId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::private::Private;
use billing_core::subscription::{Customer, Method};
use billing_flows::ports::{CancellationStatus, Cursor, ListedBy, Mode, Page, PaymentSeen, SeenStatus};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use wiremock::matchers::{header, method as verb, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// Gives the texts one after the other, the last for ever.
#[derive(Debug)]
struct Texts(Mutex<Vec<&'static str>>, AtomicUsize);

impl ReadSecret for Texts {
    async fn read(&self, _: &str) -> Result<SecretText, SecretError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut texts = self.0.lock().unwrap();
        let text = if texts.len() > 1 { texts.remove(0) } else { texts[0] };
        Ok(SecretText::new(text))
    }
}

/// Moves on by itself, so that every refusal may read the secret again.
#[derive(Debug, Default)]
struct Ticking(AtomicUsize);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let reads = i64::try_from(self.0.fetch_add(1, Ordering::SeqCst)).unwrap();
        Timestamp::from_second(reads * MIN_INTERVAL.as_secs()).unwrap()
    }
}

async fn gateway(server: &MockServer, secrets: &[&'static str]) -> PortOneGateway<Texts, Ticking> {
    gateway_at(server.uri(), secrets).await
}

async fn gateway_at(base_url: String, secrets: &[&'static str]) -> PortOneGateway<Texts, Ticking> {
    let config = PortOne {
        store_id: StoreId::new("store-1").unwrap(),
        api_secret_id: "b/api".to_owned(),
        mode: Mode::Test,
        base_url: Some(base_url),
        read_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_secs(1),
        charges_per_second: None,
    };
    let texts = Texts(Mutex::new(secrets.to_vec()), AtomicUsize::new(0));
    PortOneGateway::new(&config, CachedSecret::new(texts, Ticking::default(), "b/api"), async |_| ()).await.unwrap()
}

struct Order {
    id: PaymentId,
    user: UserId,
    method: Method,
    customer: Customer,
    name: &'static str,
}

fn order(pg: Pg) -> Order {
    Order {
        id: PaymentId::new("invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L").unwrap(),
        user: UserId::new("user_456").unwrap(),
        method: Method { billing_key: BillingKey::new("billing-key-1"), pg },
        customer: Customer {
            name: Some(Private::new("김민수")),
            email: Some(Private::new("kim@example.com")),
            phone: Some(Private::new("01012345678")),
        },
        name: "Sivera Standard - 12월 구독료",
    }
}

impl Order {
    fn order(&self) -> ChargeOrder<'_> {
        ChargeOrder {
            payment_id: &self.id,
            attempt: 2,
            method: &self.method,
            order_name: self.name,
            amount: Money::new(30_000, Currency::Krw).unwrap(),
            user_id: &self.user,
            customer: &self.customer,
        }
    }
}

async fn charged(answer: ResponseTemplate) -> ChargeAnswer {
    let server = MockServer::start().await;
    Mock::given(verb("POST")).respond_with(answer).expect(1).mount(&server).await;
    gateway(&server, &["secret"]).await.charge(&order(Pg::TossPayments).order()).await
}

fn error(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn bodies(requests: &[Request]) -> Vec<Value> {
    requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[tokio::test]
async fn a_charge_is_this_request() {
    let server = MockServer::start().await;
    let paid = json!({ "payment": { "pgTxId": "pg-1", "paidAt": "2026-12-01T01:00:02.123456Z" } });
    Mock::given(verb("POST"))
        .and(path("/payments/invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L/billing-key"))
        .and(header("authorization", "PortOne secret"))
        .and(header("idempotency-key", "\"invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L-2\""))
        .respond_with(ResponseTemplate::new(200).set_body_json(paid))
        .expect(2)
        .mount(&server)
        .await;
    let gateway = gateway(&server, &["secret"]).await;
    let answer = gateway.charge(&order(Pg::TossPayments).order()).await;
    let at = "2026-12-01T01:00:02.123Z".parse().unwrap();
    assert_eq!(answer, ChargeAnswer::Paid { at, pg_tx_id: "pg-1".to_owned() });
    assert_eq!(gateway.charge(&order(Pg::TossPayments).order()).await, answer);

    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].body, requests[1].body, "the same order is the same request, byte for byte");
    assert_eq!(
        bodies(&requests)[0],
        json!({
            "storeId": "store-1",
            "billingKey": "billing-key-1",
            "orderName": "Sivera Standard - 12월 구독료",
            "amount": { "total": 30_000 },
            "currency": "KRW",
            "customer": {
                "id": "user_456",
                "name": { "full": "김민수" },
                "email": "kim@example.com",
                "phoneNumber": "01012345678",
            },
        })
    );
}

#[tokio::test]
async fn texts_are_cut_to_what_the_pg_takes() {
    let server = MockServer::start().await;
    Mock::given(verb("POST")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let gateway = gateway(&server, &["secret"]).await;
    for pg in [Pg::Inicis, Pg::Nice] {
        let long = Customer { name: Some(Private::new("가".repeat(20))), ..Customer::default() };
        gateway
            .charge(&Order { name: "시베라 스탠더드 - 12월 구독료 [연장]", customer: long, ..order(pg) }.order())
            .await;
    }
    let sent = bodies(&server.received_requests().await.unwrap());
    assert_eq!(sent[0]["orderName"], "시베라 스탠더드 - 12월 구독료");
    assert_eq!(sent[0]["customer"]["name"]["full"].as_str().unwrap().len(), 30);
    assert_eq!(sent[1]["orderName"], "시베라 스탠더드 12월 구독료");
    assert_eq!(sent[1]["customer"]["name"]["full"].as_str().unwrap().len(), 60);
}

#[tokio::test]
async fn a_decline_is_the_pgs_code_in_the_methods_pg() {
    let body =
        json!({ "type": "PG_PROVIDER", "message": "m", "pgCode": "INVALID_CARD_LOST_OR_STOLEN", "pgMessage": "분실" });
    let ChargeAnswer::Declined(decline) = charged(error(502, body)).await else { panic!("a decline is a 502") };
    assert_eq!((decline.reason, decline.code.as_str()), (Reason::LostOrStolen, "INVALID_CARD_LOST_OR_STOLEN"));
    let bare = charged(error(502, json!({ "type": "PG_PROVIDER" }))).await;
    assert!(matches!(bare, ChargeAnswer::Declined(decline) if decline.code == "PG_PROVIDER"));
}

#[tokio::test]
async fn a_dead_billing_key_is_a_decline_without_method() {
    for (status, kind) in [(404, "BILLING_KEY_NOT_FOUND"), (409, "BILLING_KEY_ALREADY_DELETED")] {
        let ChargeAnswer::Declined(decline) = charged(error(status, json!({ "type": kind }))).await else {
            panic!("{kind}")
        };
        assert_eq!((decline.reason, decline.code.as_str()), (Reason::NoMethod, kind));
    }
}

#[tokio::test]
async fn what_does_not_say_how_it_ended_is_asked_about() {
    let pending = json!({ "payment": { "pgTxId": "pg-1" } });
    assert!(matches!(charged(ResponseTemplate::new(200).set_body_json(pending)).await, ChargeAnswer::Ask(_)));
    assert!(matches!(charged(error(409, json!({ "type": "ALREADY_PAID" }))).await, ChargeAnswer::Ask(_)));
}

#[tokio::test]
async fn a_used_up_payment_id_is_told() {
    assert_eq!(charged(error(400, json!({ "type": "MAX_TRANSACTION_COUNT_REACHED" }))).await, ChargeAnswer::UsedUp);
}

#[tokio::test]
async fn our_own_mistakes_are_refusals() {
    for (status, kind) in [
        (400, "INVALID_REQUEST"),
        (404, "CHANNEL_NOT_FOUND"),
        (409, "SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT"),
        (400, "PROMOTION_PAY_METHOD_DOES_NOT_MATCH"),
        (400, "DISCOUNT_AMOUNT_EXCEEDS_TOTAL_AMOUNT"),
        (409, "PAYMENT_SCHEDULE_ALREADY_EXISTS"),
    ] {
        assert_eq!(
            charged(error(status, json!({ "type": kind }))).await,
            ChargeAnswer::Refused { code: kind.to_owned() }
        );
    }
}

#[tokio::test]
async fn whatever_proves_nothing_is_unknown() {
    for (name, answer) in [
        ("still running", error(409, json!({ "type": "IDEMPOTENCY_OUTSTANDING_REQUEST" }))),
        ("a new type", error(400, json!({ "type": "CARD_COMPANY_ON_HOLIDAY" }))),
        ("a type of another operation", error(404, json!({ "type": "PAYMENT_NOT_FOUND" }))),
        ("too many requests", ResponseTemplate::new(429)),
        ("a gateway's page", ResponseTemplate::new(502).set_body_raw("<html>Bad Gateway</html>", "text/html")),
        ("nothing", ResponseTemplate::new(500)),
        ("a 401 that is not PortOne's", ResponseTemplate::new(401).set_body_raw("<html></html>", "text/html")),
        ("a success that cannot be read", ResponseTemplate::new(200).set_body_json(json!({ "payment": {} }))),
        ("half a success", ResponseTemplate::new(200).set_body_raw("{\"payment\":", "application/json")),
        ("no answer in time", ResponseTemplate::new(200).set_delay(Duration::from_secs(5))),
    ] {
        assert!(matches!(charged(answer).await, ChargeAnswer::Unknown(_)), "{name}");
    }
}

#[tokio::test]
async fn no_connection_is_unknown() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = gateway_at(format!("http://{unused}"), &["secret"]).await;
    assert!(matches!(gateway.charge(&order(Pg::TossPayments).order()).await, ChargeAnswer::Unknown(_)));
}

#[tokio::test]
async fn a_replaced_secret_is_read_again_and_the_same_charge_sent_once_more() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "PortOne old"))
        .respond_with(error(401, json!({ "type": "UNAUTHORIZED" })))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(header("authorization", "PortOne new"))
        .and(header("idempotency-key", "\"invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L-2\""))
        .respond_with(error(400, json!({ "type": "MAX_TRANSACTION_COUNT_REACHED" })))
        .expect(2)
        .mount(&server)
        .await;
    let gateway = gateway(&server, &["old", "new"]).await;
    for _ in 0..2 {
        assert_eq!(gateway.charge(&order(Pg::TossPayments).order()).await, ChargeAnswer::UsedUp);
    }
}

#[tokio::test]
async fn refused_credentials_are_not_a_decline() {
    for (status, kind) in [(401, "UNAUTHORIZED"), (403, "FORBIDDEN")] {
        let answer = charged(error(status, json!({ "type": kind }))).await;
        assert_eq!(answer, ChargeAnswer::Unauthorized { code: kind.to_owned() });
    }
    // Whoever waited for a turn meanwhile is not sent, and whoever comes later is.
    let server = MockServer::start().await;
    Mock::given(verb("POST")).respond_with(error(401, json!({ "type": "UNAUTHORIZED" }))).mount(&server).await;
    let (of_one, before) = (gateway(&server, &["secret"]).await, Instant::now());
    of_one.charge(&order(Pg::TossPayments).order()).await;
    assert_eq!(of_one.refused_since(before).as_deref(), Some("UNAUTHORIZED"));
    assert_eq!(of_one.refused_since(Instant::now() + Duration::from_secs(1)), None);
    // Replaced, and refused again: no third try.
    let server = MockServer::start().await;
    Mock::given(verb("GET")).respond_with(error(401, json!({ "type": "UNAUTHORIZED" }))).expect(2).mount(&server).await;
    let asked = gateway(&server, &["old", "new"]).await.payment(&order(Pg::Kcp).id).await;
    assert!(matches!(asked, Err(AskError::Unauthorized(code)) if code == "UNAUTHORIZED"));
}

#[tokio::test]
async fn an_order_that_cannot_be_sent_is_refused() {
    let server = MockServer::start().await;
    let blank = Order { method: Method { billing_key: BillingKey::new(" "), pg: Pg::Kcp }, ..order(Pg::Kcp) };
    let answer = gateway(&server, &["secret"]).await.charge(&blank.order()).await;
    assert!(matches!(answer, ChargeAnswer::Refused { .. }));
    assert!(server.received_requests().await.unwrap().is_empty());
}

/// A payment of `status` with some fields more.
fn payment(status: &str, more: &Value) -> Value {
    let mut payment = json!({
        "id": "invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L",
        "transactionId": "tx-1",
        "storeId": "store-1",
        "status": status,
        "currency": "KRW",
        "amount": { "total": 30_000, "taxFree": 0, "paid": 30_000, "cancelled": 0, "futureField": true },
        "channel": { "type": "TEST", "pgProvider": "TOSSPAYMENTS" },
        "requestedAt": "2026-12-01T01:00:00Z",
    });
    payment.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payment
}

async fn seen(status: &str, more: Value) -> PaymentSeen {
    let server = MockServer::start().await;
    Mock::given(verb("GET"))
        .and(path("/payments/invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L"))
        .respond_with(ResponseTemplate::new(200).set_body_json(payment(status, &more)))
        .mount(&server)
        .await;
    gateway(&server, &["secret"]).await.payment(&order(Pg::Kcp).id).await.unwrap().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_paid_payment_is_seen_with_its_proof() {
    let paid = seen(
        "PAID",
        json!({ "paidAt": "2026-12-01T01:00:02Z", "pgTxId": "pg-1", "receiptUrl": "https://r.example/1", "disputes": [] }),
    )
    .await;
    assert_eq!(paid.status, SeenStatus::Paid { at: at("2026-12-01T01:00:02Z") });
    assert!(paid.amount.is(Money::new(30_000, Currency::Krw).unwrap()));
    assert_eq!((paid.refunded, paid.chargeback), (0, false));
    let proof =
        (paid.proof.pg_tx_id.as_deref(), paid.proof.transaction_id.as_deref(), paid.proof.receipt_url.as_deref());
    assert_eq!(proof, (Some("pg-1"), Some("tx-1"), Some("https://r.example/1")));
}

fn cancellation(status: &str, amount: i64, at: &str, trigger: &str) -> Value {
    json!({ "status": status, "id": "c", "totalAmount": amount, "taxFreeAmount": 0, "vatAmount": 0, "reason": "r",
            "requestedAt": at, "cancelledAt": at, "trigger": trigger })
}

#[tokio::test]
async fn only_refunds_that_succeeded_are_summed() {
    let cancellations = json!([
        cancellation("SUCCEEDED", 10_000, "2026-12-02T01:00:00Z", "CONSOLE"),
        cancellation("FAILED", 4_000, "2026-12-05T01:00:00Z", "CHARGEBACK"),
        cancellation("SUCCEEDED", 5_000, "2026-12-03T01:00:00Z", "API"),
        cancellation("REQUESTED", 15_000, "2026-12-04T01:00:00Z", "API"),
    ]);
    let paid_at = "2026-12-01T01:00:02Z";
    let partly = seen("PARTIAL_CANCELLED", json!({ "paidAt": paid_at, "cancellations": cancellations })).await;
    assert_eq!((partly.refunded, partly.chargeback), (15_000, false));
    assert_eq!(partly.status, SeenStatus::Cancelled { paid_at: at(paid_at), at: at("2026-12-03T01:00:00Z") });

    let asked = json!([cancellation("REQUESTED", 30_000, "2026-12-04T01:00:00Z", "API")]);
    let paid = seen("PAID", json!({ "paidAt": paid_at, "cancellations": asked })).await;
    assert_eq!((paid.status, paid.refunded), (SeenStatus::Paid { at: at(paid_at) }, 0));
}

#[tokio::test]
async fn a_chargeback_is_a_refund_that_the_bank_took() {
    let taken = json!([cancellation("SUCCEEDED", 30_000, "2026-12-09T01:00:00Z", "CHARGEBACK")]);
    let seen = seen("CANCELLED", json!({ "paidAt": "2026-12-01T01:00:02Z", "cancellations": taken })).await;
    assert_eq!((seen.refunded, seen.chargeback), (30_000, true));
}

#[tokio::test]
async fn a_failed_payment_tells_its_decline_by_its_channels_pg() {
    let more = |failure: Value| json!({ "failedAt": "2026-12-01T01:00:02Z", "failure": failure });
    let failed = seen("FAILED", more(json!({ "pgCode": "INVALID_CARD_LOST_OR_STOLEN" }))).await;
    let SeenStatus::Failed { at: failed_at, decline } = failed.status else { panic!("it failed") };
    assert_eq!((failed_at, decline.reason), (at("2026-12-01T01:00:02Z"), Reason::LostOrStolen));
    let bare = seen("FAILED", more(json!({}))).await;
    assert!(matches!(bare.status, SeenStatus::Failed { decline, .. } if decline.reason == Reason::Unknown));
}

#[tokio::test]
async fn the_other_statuses_are_seen_as_they_are() {
    assert_eq!(seen("READY", json!({})).await.status, SeenStatus::Ready);
    assert_eq!(seen("PAY_PENDING", json!({})).await.status, SeenStatus::Pending);
    for status in ["VIRTUAL_ACCOUNT_ISSUED", "SOMETHING_NEW"] {
        assert_eq!(seen(status, json!({})).await.status, SeenStatus::Other(status.to_owned()));
    }
}

#[tokio::test]
async fn what_portone_does_not_know_is_nothing_and_what_it_does_not_say_is_an_error() {
    let server = MockServer::start().await;
    Mock::given(path("/payments/unknown"))
        .respond_with(error(404, json!({ "type": "PAYMENT_NOT_FOUND" })))
        .mount(&server)
        .await;
    Mock::given(path("/billing-keys/unknown"))
        .respond_with(error(404, json!({ "type": "BILLING_KEY_NOT_FOUND" })))
        .mount(&server)
        .await;
    Mock::given(path("/payments/lost")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let gateway = gateway(&server, &["secret"]).await;
    assert!(gateway.payment(&PaymentId::new("unknown").unwrap()).await.unwrap().is_none());
    assert!(gateway.billing_key(&BillingKey::new("unknown")).await.unwrap().is_none());
    assert!(gateway.billing_key(&BillingKey::new("..")).await.unwrap().is_none());
    let lost = gateway.payment(&PaymentId::new("lost").unwrap()).await;
    assert!(matches!(lost, Err(AskError::Unavailable(_))));
}

async fn key_seen(more: Value) -> KeySeen {
    let mut key = json!({
        "status": "ISSUED", "billingKey": "billing-key-1", "merchantId": "m", "storeId": "store-1", "issueId": "issue1",
        "issuedAt": "2026-11-17T00:00:00.000999Z",
        "customer": { "id": "user_456", "name": "김민수", "email": "kim@example.com" },
        "channels": [{ "type": "TEST", "pgProvider": "TOSSPAYMENTS", "key": "channel-key-1" }],
    });
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let server = MockServer::start().await;
    Mock::given(path("/billing-keys/billing-key-1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(key))
        .mount(&server)
        .await;
    gateway(&server, &["secret"]).await.billing_key(&BillingKey::new("billing-key-1")).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_card_is_seen_by_its_last_digits() {
    let card =
        json!({ "name": "신한카드", "issuer": "SHINHAN_CARD", "brand": "LOCAL", "number": "1234-56**-****-7890" });
    let seen = key_seen(json!({ "methods": [{ "type": "BillingKeyPaymentMethodCard", "card": card }] })).await;
    assert!(seen.is_issued);
    assert_eq!(
        (seen.method, seen.pg, seen.channel_key.as_deref()),
        (MethodKind::Card, Some(Pg::TossPayments), Some("channel-key-1"))
    );
    assert_eq!(seen.card.unwrap().last4.as_deref(), Some("7890"));
    assert_eq!((seen.customer_id.as_deref(), seen.issue_id.as_deref()), (Some("user_456"), Some("issue1")));
    assert_eq!(seen.customer_email.unwrap().expose(), "kim@example.com");
    assert_eq!(seen.issued_at, at("2026-11-17T00:00:00Z"), "in whole milliseconds, as the row's key");
}

#[tokio::test]
async fn the_mode_of_a_key_is_that_of_all_its_channels_or_none() {
    for (kinds, mode) in [
        (vec!["LIVE"], Some(Mode::Live)),
        (vec!["TEST", "TEST"], Some(Mode::Test)),
        (vec!["LIVE", "TEST"], None),
        (vec!["REHEARSAL"], None),
        (vec![], None),
    ] {
        let channels: Vec<Value> =
            kinds.iter().map(|kind| json!({ "type": kind, "pgProvider": "TOSSPAYMENTS" })).collect();
        let seen = key_seen(json!({ "channels": channels })).await;
        assert_eq!((seen.mode, seen.store_id.as_str()), (mode, "store-1"), "{kinds:?}");
    }
}

#[tokio::test]
async fn other_methods_are_seen_by_their_kind() {
    for (kind, method) in [
        ("EasyPay", MethodKind::EasyPay),
        ("Mobile", MethodKind::Mobile),
        ("Paypal", MethodKind::Paypal),
        ("Transfer", MethodKind::Transfer),
    ] {
        let told = json!([{ "type": format!("BillingKeyPaymentMethod{kind}") }]);
        assert_eq!(key_seen(json!({ "methods": told })).await.method, method);
    }
    let paypal = key_seen(json!({ "channels": [{ "type": "TEST", "pgProvider": "PAYPAL_V2" }] })).await;
    assert_eq!((paypal.method, paypal.card), (MethodKind::Paypal, None));
    let deleted = key_seen(json!({ "status": "DELETED", "deletedAt": "2026-11-18T00:00:00Z" })).await;
    assert!(!deleted.is_issued);
}

/// What the gateway asks for, and what it makes of the answer.
async fn listed(by: ListedBy, operation: &str, answer: &Value, after: Option<&Cursor>) -> (Page<PaymentSeen>, Value) {
    let server = MockServer::start().await;
    Mock::given(path(operation)).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    let (from, until) = (at("2026-12-01T00:00:00Z"), at("2026-12-02T00:00:00Z"));
    let listed = gateway(&server, &["secret"]).await.payments(by, from, until, after).await.unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    let query = request.url.query_pairs().find(|(name, _)| name == "requestBody").unwrap().1.into_owned();
    (listed, serde_json::from_str(&query).unwrap())
}

#[tokio::test]
async fn payments_are_listed_by_creation_and_cursor_in_our_store() {
    let paid = payment("PAID", &json!({ "id": "someone elses", "paidAt": "2026-12-01T01:00:02Z" }));
    let items =
        json!([{ "payment": payment("READY", &json!({})), "cursor": "c1" }, { "payment": paid, "cursor": "c2" }]);
    let after = Cursor("c0".to_owned());
    let (page, query) =
        listed(ListedBy::Creation, "/payments-by-cursor", &json!({ "items": items }), Some(&after)).await;
    assert_eq!((page.items.len(), page.next), (2, Some(Cursor("c2".to_owned()))));
    assert_eq!(
        query,
        json!({
            "storeId": "store-1", "from": "2026-12-01T00:00:00Z", "until": "2026-12-02T00:00:00Z", "cursor": "c0", "size": 500,
        })
    );
}

#[tokio::test]
async fn payments_are_listed_by_change_of_status_in_our_store() {
    let page =
        json!({ "items": [payment("READY", &json!({}))], "page": { "number": 0, "size": 500, "totalCount": 1 } });
    let (page, query) = listed(ListedBy::StatusChange, "/payments", &page, None).await;
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(
        query,
        json!({
            "page": { "number": 0, "size": 500 },
            "filter": {
                "storeId": "store-1", "timestampType": "STATUS_CHANGED_AT",
                "from": "2026-12-01T00:00:00Z", "until": "2026-12-02T00:00:00Z",
                "sortBy": "STATUS_CHANGED_AT", "sortOrder": "ASC",
            },
        })
    );
}

fn cancel_order(id: &PaymentId) -> CancelOrder<'_> {
    let won = |minor| Money::new(minor, Currency::Krw).unwrap();
    CancelOrder {
        payment_id: id,
        refund: 2,
        amount: won(10_000),
        cancellable: won(30_000),
        reason: "a wrong plan (refund 2)",
    }
}

async fn cancelled(answer: ResponseTemplate) -> CancelAnswer {
    let server = MockServer::start().await;
    Mock::given(verb("POST")).respond_with(answer).expect(1).mount(&server).await;
    gateway(&server, &["secret"]).await.cancel(&cancel_order(&order(Pg::Kcp).id)).await
}

#[tokio::test]
async fn a_refund_is_this_request() {
    let server = MockServer::start().await;
    let done = json!({ "cancellation": cancellation("SUCCEEDED", 10_000, "2026-12-03T01:00:00.5Z", "API") });
    Mock::given(verb("POST"))
        .and(path("/payments/invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L/cancel"))
        .and(header("idempotency-key", "\"invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L-refund-2\""))
        .respond_with(ResponseTemplate::new(200).set_body_json(done))
        .expect(2)
        .mount(&server)
        .await;
    let gateway = gateway(&server, &["secret"]).await;
    let id = order(Pg::Kcp).id;
    let answer = gateway.cancel(&cancel_order(&id)).await;
    assert_eq!(answer, CancelAnswer::Succeeded { at: at("2026-12-03T01:00:00.5Z") });
    assert_eq!(gateway.cancel(&cancel_order(&id)).await, answer);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].body, requests[1].body, "the same order is the same request, byte for byte");
    let body = json!({
        "storeId": "store-1", "reason": "a wrong plan (refund 2)", "amount": 10_000,
        "currentCancellableAmount": 30_000, "requester": "ADMIN",
    });
    assert_eq!(bodies(&requests)[0], body);
}

#[tokio::test]
async fn the_status_of_a_cancellation_decides_not_the_200_it_comes_with() {
    let at = "2026-12-03T01:00:00Z";
    let told = async |status: &str, amount: i64| {
        let body = json!({ "cancellation": cancellation(status, amount, at, "API") });
        cancelled(ResponseTemplate::new(200).set_body_json(body)).await
    };
    assert_eq!(told("REQUESTED", 10_000).await, CancelAnswer::Requested);
    assert_eq!(told("FAILED", 10_000).await, CancelAnswer::Failed { code: "FAILED".to_owned() });
    assert!(matches!(told("NEW_STATUS", 10_000).await, CancelAnswer::Unknown(_)));
    assert!(matches!(told("SUCCEEDED", 9_999).await, CancelAnswer::Unknown(_)), "another amount than was ordered");
}

#[tokio::test]
async fn a_refused_refund_is_told_by_the_type_of_the_error() {
    let refused = [
        (400, "INVALID_REQUEST"),
        (404, "PAYMENT_NOT_FOUND"),
        (409, "PAYMENT_NOT_PAID"),
        (409, "PAYMENT_ALREADY_CANCELLED"),
        (409, "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN"),
        (409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT"),
        (409, "MAX_CANCEL_COUNT_REACHED"),
    ];
    for (status, code) in refused {
        let answer = cancelled(error(status, json!({ "type": code }))).await;
        assert_eq!(answer, CancelAnswer::Refused { code: code.to_owned() });
    }
    let by_the_pg = json!({ "type": "PG_PROVIDER", "pgCode": "ALREADY_SETTLED", "pgMessage": "no" });
    assert_eq!(cancelled(error(502, by_the_pg)).await, CancelAnswer::Failed { code: "ALREADY_SETTLED".to_owned() });
    let code = "FORBIDDEN".to_owned();
    assert_eq!(cancelled(error(403, json!({ "type": code }))).await, CancelAnswer::Unauthorized { code });
}

#[tokio::test]
async fn what_does_not_prove_how_a_refund_ended_is_unknown() {
    for answer in [
        error(409, json!({ "type": "IDEMPOTENCY_OUTSTANDING_REQUEST" })),
        error(409, json!({ "type": "NEW_TYPE" })),
        error(409, json!({ "type": "ALREADY_PAID" })),
        ResponseTemplate::new(502).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({ "cancellation": { "status": "SUCCEEDED" } })),
        ResponseTemplate::new(200).set_body_string(""),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(2)),
    ] {
        assert!(matches!(cancelled(answer).await, CancelAnswer::Unknown(_)));
    }
}

#[tokio::test]
async fn the_cancellations_of_a_payment_are_seen_with_what_tells_ours_from_others() {
    let at_noon = "2026-12-02T03:00:00Z";
    let cancellations = json!([
        cancellation("SUCCEEDED", 10_000, at_noon, "CONSOLE"),
        cancellation("REQUESTED", 5_000, at_noon, "API"),
        cancellation("NEW_STATUS", 5_000, at_noon, "NEW_TRIGGER"),
    ]);
    let more = json!({ "paidAt": "2026-12-01T01:00:02Z", "cancellations": cancellations });
    let seen = seen("PARTIAL_CANCELLED", more).await.cancellations;
    let told: Vec<_> = seen.iter().map(|it| (it.amount, it.status, it.by_api)).collect();
    let expected = [
        (10_000, CancellationStatus::Succeeded { at: at(at_noon) }, false),
        (5_000, CancellationStatus::Requested, true),
        (5_000, CancellationStatus::Other, true),
    ];
    assert_eq!(told, expected);
    assert_eq!((seen[1].reason.as_str(), seen[1].asked_at), ("r", Some(at(at_noon))));
}
