//! What the webhook's door does with what it should not get, through real API Gateway events. (Laws 4, 8, 11 and 12.)
#![expect(clippy::unwrap_used, reason = "the helpers of tests, too, may unwrap")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use billing_aws::secrets::{CachedSecret, ReadSecret, SecretError, SecretText, WebhookSecrets};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::event::{Event, EventKind};
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::invoice::Invoice;
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::private::Private;
use billing_core::settlement::Charged;
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::fake::{
    AskFault, Behaviour, Fault, ManualClock, MemoryQueue, MemoryStore, Recorder, ScriptedGateway,
};
use billing_flows::ports::{Clock, CollectMessage, Signal};
use billing_flows::{Billing, Settings};
use jiff::SignedDuration;
use lambda_http::Request;
use lambda_http::http::{HeaderName, HeaderValue};
use portone::webhook::{WebhookSecret, sign};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SECRET: &str = "whsec_dGhlIGZpcnN0IHNlY3JldCBvZiB0aGUgZG9vcg==";
const NEXT_SECRET: &str = "whsec_dGhlIG5leHQgc2VjcmV0IG9mIHRoZSBkb29y";
const FORGED_SECRET: &str = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA==";
const KEY: &str = "billing-key-0001-of-kim";
const EMAIL: &str = "minsu.kim@example.com";

/// Where the webhook secret is kept; nothing in it is a failure.
#[derive(Debug, Clone)]
struct Vault(Arc<Mutex<Option<String>>>);

impl Vault {
    fn put(&self, text: Option<&str>) {
        *self.0.lock().unwrap() = text.map(str::to_owned);
    }
}

impl ReadSecret for Vault {
    async fn read(&self, id: &str) -> Result<SecretText, SecretError> {
        let text = self.0.lock().unwrap().clone();
        text.map(|text| SecretText::new(&text))
            .ok_or_else(|| SecretError { id: id.to_owned(), detail: "not now".to_owned() })
    }
}

/// The function, and a customer whose December was charged with an answer that was lost.
struct Door {
    clock: ManualClock,
    store: MemoryStore,
    gateway: ScriptedGateway,
    queue: MemoryQueue,
    telemetry: Recorder,
    vault: Vault,
    secrets: WebhookSecrets<Vault, ManualClock>,
    billing: Billing<MemoryStore, ScriptedGateway, ManualClock, Recorder>,
}

type Tables = (Vec<Invoice>, Vec<Subscription>, Vec<Event>, usize);

impl Door {
    async fn new() -> Self {
        Self::with_secret(Some(SECRET)).await
    }

    async fn with_secret(text: Option<&str>) -> Self {
        let clock = ManualClock::new(now());
        let (store, gateway, telemetry) =
            (MemoryStore::new(), ScriptedGateway::new(clock.clone()), Recorder::default());
        store.put_subscription(&customer());
        gateway.next([Behaviour::UnknownButPaid]);
        let catalogue = Catalogue::parse(
            "brand = \"Sivera\"\ntrial_days = 14\n[plans.standard]\nname = { ko = \"S\", en = \"S\" }\nmax_seats = 9\nprice_per_seat = { KRW = 10000 }",
        )
        .unwrap();
        let billing = Billing {
            store: store.clone(),
            gateway: gateway.clone(),
            clock: clock.clone(),
            telemetry: telemetry.clone(),
            settings: Settings {
                store_id: store_id(),
                mode: billing_flows::ports::Mode::Live,
                catalogue,
                ladder: Ladder::default(),
            },
        };
        let key = customer().key;
        let message =
            CollectMessage { run: "1".to_owned(), now: now(), user_id: key.user_id, subscription_id: key.id, asks: 0 };
        let queue = MemoryQueue::default();
        billing.collect(&queue, &message, None).await.unwrap();
        let vault = Vault(Arc::default());
        vault.put(text);
        let secrets = WebhookSecrets::new(CachedSecret::new(vault.clone(), clock.clone(), "billing/webhook"));
        Self { clock, store, gateway, queue, telemetry, vault, secrets, billing }
    }

    async fn post(&self, request: Request) -> (u16, String) {
        let answer = webhook::handle(&self.billing, &self.queue, &self.secrets, request).await;
        let body = String::from_utf8(answer.body().as_ref().to_vec()).unwrap();
        assert_eq!(answer.headers().get("content-type").unwrap(), "application/json");
        let told: BTreeMap<String, String> = serde_json::from_str(&body).unwrap();
        assert_eq!(told.keys().collect::<Vec<_>>(), ["result"]);
        for secret in [SECRET, NEXT_SECRET, KEY, EMAIL, payment_id().as_str(), "billing/webhook"] {
            assert!(!format!("{body} {:?}", answer.headers()).contains(secret), "{body}");
        }
        (answer.status().as_u16(), told.into_values().next().unwrap())
    }

    fn tables(&self) -> Tables {
        let store = &self.store;
        (store.all_invoices(), store.all_subscriptions(), store.all_events(), store.all_keys().len())
    }

    fn asked(&self) -> u64 {
        self.gateway.requests().into_iter().filter(|(method, _)| *method != "charge").map(|(_, count)| count).sum()
    }

    /// Is answered so, and leaves no trace: nothing written, read, asked, charged or sent.
    async fn refuses(&self, request: Request, answer: (u16, &str)) {
        let before = (self.tables(), self.asked(), self.gateway.charges(), self.store.requests());
        let (status, result) = self.post(request).await;
        assert_eq!((status, result.as_str()), answer);
        assert_eq!((self.tables(), self.asked(), self.gateway.charges(), self.store.requests()), before);
        assert_eq!((self.queue.messages(), self.telemetry.alarms()), (vec![], vec![]));
    }

    fn status(&self) -> &'static str {
        self.store.all_invoices().first().unwrap().state.status()
    }
}

fn now() -> Timestamp {
    "2026-12-01T10:00:00+09:00".parse().unwrap()
}

fn store_id() -> StoreId {
    StoreId::new("store-1").unwrap()
}

fn customer() -> Subscription {
    Subscription {
        key: SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() },
        plan: PlanType::Standard,
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw).unwrap(),
        method: Some(Method { billing_key: BillingKey::new(KEY), pg: Pg::TossPayments }),
        customer: Customer { email: Some(Private::new(EMAIL)), ..Customer::default() },
        locale: Locale::Ko,
        started: "2026-11-01T09:00:00+09:00".parse().unwrap(),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(december()) },
        version: 1,
    }
}

fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

fn payment_id() -> PaymentId {
    PaymentId::derive(&store_id(), &customer().key, december(), billing_core::invoice::Part::Period, 0)
}

fn event_of(kind: &str, payment_id: &str, store_id: &str) -> String {
    json!({
        "type": kind,
        "timestamp": "2026-12-01T01:00:00.000Z",
        "data": { "paymentId": payment_id, "transactionId": "tx-1", "storeId": store_id, "aNewField": [1] },
    })
    .to_string()
}

fn paid() -> String {
    event_of("Transaction.Paid", payment_id().as_str(), "store-1")
}

/// A request as API Gateway hands it over.
struct Sent {
    headers: BTreeMap<String, String>,
    body: Value,
    is_base64: bool,
}

impl Sent {
    fn text(headers: BTreeMap<String, String>, body: &str) -> Self {
        Self { headers, body: body.into(), is_base64: false }
    }

    fn request(&self) -> Request {
        let event = json!({
            "version": "2.0",
            "routeKey": "POST /api/portone/billing-webhook",
            "rawPath": "/api/portone/billing-webhook",
            "rawQueryString": "",
            "headers": self.headers,
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
                "http": {
                    "method": "POST", "path": "/api/portone/billing-webhook", "protocol": "HTTP/1.1",
                    "sourceIp": "52.78.100.19", "userAgent": "PortOne",
                },
                "requestId": "r-1", "routeKey": "POST /api/portone/billing-webhook", "stage": "$default",
                "time": "01/Dec/2026:01:00:00 +0000", "timeEpoch": 1_796_086_800_000_i64,
            },
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        });
        lambda_http::request::from_str(&event.to_string()).unwrap()
    }
}

fn signature(secret: &str, id: &str, at: Timestamp, body: &[u8]) -> String {
    sign(&WebhookSecret::new(secret).unwrap(), id, at, body)
}

fn headers(secret: &str, at: Timestamp, body: &[u8]) -> BTreeMap<String, String> {
    let all = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", "wh-1".to_owned()),
        ("webhook-timestamp", at.as_second().to_string()),
        ("webhook-signature", signature(secret, "wh-1", at, body)),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Signed as `PortOne` does, now.
fn signed(body: &str) -> Request {
    Sent::text(headers(SECRET, now(), body.as_bytes()), body).request()
}

fn signed_bytes(body: &[u8]) -> Request {
    let (headers, body) = (headers(SECRET, now(), body), STANDARD.encode(body).into());
    Sent { headers, body, is_base64: true }.request()
}

fn with_header(name: &str, value: &str) -> Request {
    let mut headers = headers(SECRET, now(), paid().as_bytes());
    headers.insert(name.to_owned(), value.to_owned());
    Sent::text(headers, &paid()).request()
}

fn answer(told: &(u16, String)) -> (u16, &str) {
    (told.0, told.1.as_str())
}

#[tokio::test]
async fn a_true_webhook_is_settled_and_its_repetition_is_known() {
    let door = Door::new().await;
    assert_eq!(answer(&door.post(signed(&paid())).await), (200, "settled"));
    assert_eq!(answer(&door.post(signed(&paid())).await), (200, "known"));
    assert_eq!((door.status(), door.asked()), ("paid", 1));
}

#[tokio::test]
async fn a_true_webhook_in_base64_is_the_same() {
    let door = Door::new().await;
    assert_eq!(answer(&door.post(signed_bytes(paid().as_bytes())).await), (200, "settled"));
}

#[tokio::test]
async fn a_forged_webhook_is_refused() {
    let door = Door::new().await;
    let body = paid();
    let forged = Sent::text(headers(FORGED_SECRET, now(), body.as_bytes()), &body);
    door.refuses(forged.request(), (401, "bad_signature")).await;
}

#[tokio::test]
async fn a_signature_of_another_body_id_or_time_is_refused() {
    let door = Door::new().await;
    let another_body = Sent::text(headers(SECRET, now(), b"{}"), &paid()).request();
    door.refuses(another_body, (401, "bad_signature")).await;
    door.refuses(with_header("webhook-id", "wh-2"), (401, "bad_signature")).await;
    door.refuses(with_header("webhook-timestamp", &(now().as_second() + 1).to_string()), (401, "bad_signature")).await;
}

#[tokio::test]
async fn an_unsigned_webhook_is_refused_whichever_header_is_missing_or_empty() {
    let door = Door::new().await;
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut left = headers(SECRET, now(), paid().as_bytes());
        left.remove(name);
        door.refuses(Sent::text(left, &paid()).request(), (401, "bad_signature")).await;
        door.refuses(with_header(name, ""), (401, "bad_signature")).await;
    }
}

#[tokio::test]
async fn a_signature_that_is_no_signature_is_refused() {
    let door = Door::new().await;
    let real = signature(SECRET, "wh-1", now(), paid().as_bytes());
    let bare = real.strip_prefix("v1,").unwrap();
    for text in [bare, "v1,", "v1", ",", "v1,!!!", &format!("v1a,{bare}"), &format!("v2,{bare}"), &"x".repeat(5_000)] {
        door.refuses(with_header("webhook-signature", text), (401, "bad_signature")).await;
    }
}

#[tokio::test]
async fn a_timestamp_that_is_no_number_is_refused() {
    let door = Door::new().await;
    for text in ["", "soon", "+1796086800", "1796086800.0", "99999999999999999999", "-1"] {
        door.refuses(with_header("webhook-timestamp", text), (401, "bad_signature")).await;
    }
}

#[tokio::test]
async fn a_webhook_that_is_replayed_or_from_the_future_is_refused() {
    for (seconds, status) in [(-301, 401), (301, 401), (-300, 200), (300, 200)] {
        let door = Door::new().await;
        let at = now() + SignedDuration::from_secs(seconds);
        let request = Sent::text(headers(SECRET, at, paid().as_bytes()), &paid()).request();
        if status == 401 {
            door.refuses(request, (401, "bad_signature")).await;
        } else {
            assert_eq!(door.post(request).await.0, 200);
        }
    }
}

#[tokio::test]
async fn one_true_signature_among_others_is_enough() {
    let door = Door::new().await;
    let real = signature(SECRET, "wh-1", now(), paid().as_bytes());
    let forged = signature(FORGED_SECRET, "wh-1", now(), paid().as_bytes());
    let both = with_header("webhook-signature", &format!("{forged} {real}"));
    assert_eq!(answer(&door.post(both).await), (200, "settled"));
}

#[tokio::test]
async fn a_doubled_header_is_refused_joined_by_the_gateway_or_not() {
    let door = Door::new().await;
    let real = headers(SECRET, now(), paid().as_bytes());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = real.get(name).unwrap();
        door.refuses(with_header(name, &format!("{value},{value}")), (401, "bad_signature")).await;
        let mut doubled = signed(&paid());
        doubled.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        door.refuses(doubled, (401, "bad_signature")).await;
    }
}

#[tokio::test]
async fn a_truncated_body_is_refused_by_its_signature_and_a_signed_truncation_by_its_form() {
    let door = Door::new().await;
    let (whole, cut) = (paid(), paid()[..40].to_owned());
    let truncated = Sent::text(headers(SECRET, now(), whole.as_bytes()), &cut).request();
    door.refuses(truncated, (401, "bad_signature")).await;
    door.refuses(signed(&cut), (400, "not_an_event")).await;
}

#[tokio::test]
async fn a_body_that_is_no_event_is_refused() {
    let door = Door::new().await;
    let no_data = json!({"type": "Transaction.Paid", "timestamp": "2026-12-01T01:00:00Z"}).to_string();
    let wrong_data = json!({"type": "Transaction.Paid", "data": {"paymentId": 1}}).to_string();
    for body in ["", "null", "[]", "\"Transaction.Paid\"", "{}", "{\"type\":1}", &no_data, &wrong_data] {
        door.refuses(signed(body), (400, "not_an_event")).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_text_is_refused() {
    let door = Door::new().await;
    door.refuses(signed_bytes(b"\xff\xfe{\"type\":\"Transaction.Paid\"}"), (400, "not_an_event")).await;
    let mut latin = paid().into_bytes();
    latin.extend(b"\xe9");
    door.refuses(signed_bytes(&latin), (400, "not_an_event")).await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_unread() {
    let door = Door::new().await;
    let body = "x".repeat(10 * 1024 * 1024);
    door.refuses(Sent::text(BTreeMap::new(), &body).request(), (413, "too_large")).await;
    let padded = format!("{}{}", paid(), " ".repeat(webhook::MAX_BODY_BYTES));
    door.refuses(signed(&padded), (413, "too_large")).await;
}

#[tokio::test]
async fn a_body_nested_without_end_is_refused() {
    let door = Door::new().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}0{}", open.repeat(10_000), close.repeat(10_000));
        door.refuses(signed(&nested), (400, "not_an_event")).await;
    }
    let inside = paid().replacen("[1]", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), 1);
    door.refuses(signed(&inside), (400, "not_an_event")).await;
}

#[tokio::test]
async fn another_content_type_is_refused_and_a_charset_is_not() {
    let door = Door::new().await;
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"] {
        door.refuses(with_header("content-type", wrong), (400, "wrong_content_type")).await;
    }
    let mut without = headers(SECRET, now(), paid().as_bytes());
    without.remove("content-type");
    door.refuses(Sent::text(without, &paid()).request(), (400, "wrong_content_type")).await;
    let told = door.post(with_header("content-type", "Application/JSON; charset=utf-8")).await;
    assert_eq!(answer(&told), (200, "settled"));
}

#[tokio::test]
async fn a_type_that_is_not_known_is_taken_and_ignored_whatever_it_holds() {
    let door = Door::new().await;
    for body in [
        json!({"type": "Something.New", "timestamp": "2030-01-01T00:00:00Z", "data": {"storeId": "store-1"}}),
        json!({"type": "Transaction.Paid.V2", "data": [1, 2, 3]}),
        json!({"type": "", "data": null}),
    ] {
        door.refuses(signed(&body.to_string()), (200, "ignored")).await;
    }
}

#[tokio::test]
async fn another_stores_event_is_taken_and_ignored() {
    let door = Door::new().await;
    let others = event_of("Transaction.Paid", payment_id().as_str(), "store-2");
    door.refuses(signed(&others), (200, "ignored")).await;
    let unknown = event_of("Transaction.Paid", "somebody-elses-order", "store-2");
    door.refuses(signed(&unknown), (200, "ignored")).await;
}

#[tokio::test]
async fn a_paid_webhook_for_an_unknown_payment_is_taken_recorded_once_and_raises_an_alarm() {
    let door = Door::new().await;
    let stranger = event_of("Transaction.Paid", "invNOBODY", "store-1");
    let before = door.store.all_events().len();
    for _ in 0..2 {
        assert_eq!(answer(&door.post(signed(&stranger)).await), (200, "stranger"));
    }
    assert_eq!(door.telemetry.alarms(), [EventKind::UnknownPayment]);
    assert_eq!((door.store.all_events().len() - before, door.asked(), door.status()), (1, 0, "unknown"));
}

#[tokio::test]
async fn a_payment_of_another_sum_or_currency_is_never_paid_and_raises_an_alarm() {
    for (minor, currency) in [(1, "KRW"), (30_001, "KRW"), (30_000, "USD"), (30_000, "JPY")] {
        let door = Door::new().await;
        door.gateway.set_amount(&payment_id(), Charged { minor, currency: currency.to_owned() });
        assert_eq!(door.post(signed(&paid())).await.0, 200);
        assert_eq!((door.status(), door.telemetry.alarms()), ("unknown", vec![EventKind::InvoiceQuarantined]));
        assert_eq!(door.store.all_subscriptions().first().unwrap().state, State::Parked { period: december() });
    }
}

#[tokio::test]
async fn a_payment_that_portone_does_not_confirm_is_not_paid() {
    let door = Door::new().await;
    door.gateway.forget_payment(&payment_id());
    let before = door.tables();
    assert_eq!(answer(&door.post(signed(&paid())).await), (200, "unchanged"));
    assert_eq!(door.tables(), before);
}

#[tokio::test]
async fn while_portone_cannot_be_asked_the_webhook_is_to_come_again() {
    let door = Door::new().await;
    for fault in [AskFault::Unavailable, AskFault::Unauthorized] {
        door.gateway.all_asks(Some(fault));
        let before = door.tables();
        assert_eq!(answer(&door.post(signed(&paid())).await), (500, "try_again"));
        assert_eq!(door.tables(), before);
    }
    door.gateway.all_asks(None);
    assert_eq!(answer(&door.post(signed(&paid())).await), (200, "settled"));
}

#[tokio::test]
async fn while_the_tables_fail_the_webhook_is_to_come_again() {
    let door = Door::new().await;
    door.store.faults().by(|_| Fault::Before);
    assert_eq!(answer(&door.post(signed(&paid())).await), (500, "try_again"));
    door.store.faults().clear();
    assert_eq!(answer(&door.post(signed(&paid())).await), (200, "settled"));
}

#[tokio::test]
async fn a_rotated_secret_is_picked_up_by_the_first_webhook_that_needs_it() {
    let door = Door::new().await;
    assert_eq!(door.post(signed(&paid())).await.0, 200);
    door.vault.put(Some(NEXT_SECRET));
    door.clock.advance(SignedDuration::from_secs(30));
    let body = paid();
    let request = Sent::text(headers(NEXT_SECRET, door.clock.now(), body.as_bytes()), &body).request();
    assert_eq!(answer(&door.post(request).await), (200, "known"));
}

#[tokio::test]
async fn the_old_secret_is_refused_once_it_is_gone() {
    let door = Door::new().await;
    door.post(signed(&paid())).await;
    door.vault.put(Some(NEXT_SECRET));
    door.clock.advance(SignedDuration::from_mins(6));
    let body = paid();
    let request = Sent::text(headers(SECRET, door.clock.now(), body.as_bytes()), &body).request();
    assert_eq!(door.post(request).await.0, 401);
}

#[tokio::test]
async fn either_of_two_living_secrets_will_do_and_no_third() {
    let both = json!([SECRET, NEXT_SECRET]).to_string();
    for text in [format!("{SECRET}\n{NEXT_SECRET}"), both] {
        let door = Door::with_secret(Some(&text)).await;
        for (secret, status) in [(SECRET, 200), (NEXT_SECRET, 200), (FORGED_SECRET, 401)] {
            let request = Sent::text(headers(secret, now(), paid().as_bytes()), &paid()).request();
            assert_eq!(door.post(request).await.0, status);
        }
    }
}

#[tokio::test]
async fn without_readable_secrets_nothing_is_let_in_and_all_is_to_come_again() {
    for text in [None, Some(""), Some("not base64!"), Some("whsec_"), Some("[]")] {
        let door = Door::with_secret(text).await;
        door.refuses(signed(&paid()), (500, "no_secrets")).await;
    }
}

#[tokio::test]
async fn a_billing_key_that_nobody_knows_writes_nothing() {
    let door = Door::new().await;
    for (kind, result) in
        [("BillingKey.Issued", "unchanged"), ("BillingKey.Deleted", "stranger"), ("BillingKey.Ready", "ignored")]
    {
        let body = json!({"type": kind, "data": {"billingKey": "key-of-nobody", "storeId": "store-1"}}).to_string();
        let before = door.tables();
        assert_eq!(answer(&door.post(signed(&body)).await), (200, result));
        assert_eq!((door.tables(), door.queue.messages()), (before, vec![]));
    }
}

#[tokio::test]
async fn a_payment_id_that_no_table_could_hold_is_no_crash() {
    let door = Door::new().await;
    for id in ["", "a\u{0}b", &"x".repeat(10_000), "../../payments", "한글"] {
        let (status, _) = door.post(signed(&event_of("Transaction.Paid", id, "store-1"))).await;
        assert!([200, 400].contains(&status), "{status} to {id:?}");
    }
    assert_eq!(door.status(), "unknown");
}

#[tokio::test]
async fn every_answer_is_counted_once() {
    let door = Door::new().await;
    let requests = [signed(&paid()), signed("{}"), with_header("webhook-id", "x"), signed(r#"{"type":"New"}"#)];
    for request in requests {
        door.post(request).await;
    }
    let counted = |signal: &Signal| if let Signal::Webhook { result } = signal { Some(*result) } else { None };
    let results: Vec<&str> = door.telemetry.signals().iter().filter_map(counted).collect();
    assert_eq!(results, ["settled", "not_an_event", "bad_signature", "ignored"]);
}
