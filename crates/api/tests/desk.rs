//! What the function answers when something that it needs fails, or takes too long. (Laws 2 and 7.)
#![expect(clippy::unwrap_used, reason = "the helpers of tests, too, may unwrap")]

use api::Desk;
use api::pages::Site;
use billing_aws::config::{self, CardChannel, Checkout, MailFrom};
use billing_aws::secrets::{CachedSecret, CheckoutSecrets, ReadSecret, SecretError, SecretText};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::fake::{Fault, ManualClock, MemoryQueue, MemoryStore, Recorder, ScriptedGateway};
use billing_flows::ports::{
    AskError, CancelAnswer, CancelOrder, ChargeAnswer, ChargeOrder, Cursor, Gateway, KeySeen, ListedBy, Mode, Page,
    PaymentSeen,
};
use billing_flows::{Billing, Settings};
use serde_json::{Value, json};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// `PortOne`, which hangs while it is told to: it takes what it is sent, and does not answer.
#[derive(Clone)]
struct Slow {
    portone: ScriptedGateway,
    hangs: Arc<AtomicBool>,
    taken: Arc<Notify>,
}

impl Slow {
    async fn answer<T>(&self, answer: T) -> T {
        if self.hangs.load(Ordering::Relaxed) {
            self.taken.notify_one();
            pending::<()>().await;
        }
        answer
    }
}

impl Gateway for Slow {
    async fn charge(&self, order: &ChargeOrder<'_>) -> ChargeAnswer {
        self.answer(self.portone.charge(order).await).await
    }

    async fn cancel(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        self.answer(self.portone.cancel(order).await).await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<PaymentSeen>, AskError> {
        self.portone.payment(id).await
    }

    async fn billing_key(&self, key: &BillingKey) -> Result<Option<KeySeen>, AskError> {
        self.portone.billing_key(key).await
    }

    async fn payments(
        &self,
        by: ListedBy,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<PaymentSeen>, AskError> {
        self.portone.payments(by, from, until, after).await
    }
}

/// Secrets Manager, which does not answer.
struct Down;

impl ReadSecret for Down {
    async fn read(&self, id: &str) -> Result<SecretText, SecretError> {
        Err(SecretError { id: id.to_owned(), detail: "not now".to_owned() })
    }
}

/// The function, and a customer who owes December since this moment.
struct World {
    store: MemoryStore,
    portone: Slow,
    queue: MemoryQueue,
    desk: Desk<MemoryStore, Slow, ManualClock, Recorder, MemoryQueue, Down, ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new("2026-12-01T10:00:00+09:00".parse().unwrap());
        let (store, queue, catalogue) = (MemoryStore::new(), MemoryQueue::default(), config::catalogue().unwrap());
        store.put_subscription(&customer());
        let portone =
            Slow { portone: ScriptedGateway::new(clock.clone()), hangs: Arc::default(), taken: Arc::default() };
        let checkout = Checkout {
            public_url: "https://billing.example".to_owned(),
            card: Some(CardChannel { key: "channel-key-1".to_owned(), pg: Pg::TossPayments }),
            paypal_channel_key: None,
            sdk_url: config::DEFAULT_SDK_URL.to_owned(),
            terms_url: None,
            privacy_url: None,
            secret_id: "billing/checkout".to_owned(),
        };
        let mail = MailFrom {
            address: "billing@example.com".to_owned(),
            manage_url: "https://example.com/billing".to_owned(),
            support_email: "help@example.com".to_owned(),
            company_line: None,
            configuration_set: None,
        };
        let desk = Desk {
            site: Site::of(&catalogue, &checkout, &mail),
            billing: Billing {
                store: store.clone(),
                gateway: portone.clone(),
                clock: clock.clone(),
                telemetry: Recorder::default(),
                settings: Settings {
                    store_id: StoreId::new("store-1").unwrap(),
                    mode: Mode::Live,
                    catalogue,
                    ladder: Ladder::default(),
                },
            },
            queue: queue.clone(),
            secrets: CheckoutSecrets::new(CachedSecret::new(Down, clock, "billing/checkout")),
            checkout,
        };
        Self { store, portone, queue, desk }
    }

    /// Posts, and waits for an answer until `patience` ends.
    async fn post(&self, path: &str, body: &Value, patience: impl Future<Output = ()>) -> (u16, Value, Option<String>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let route = format!("POST {path}");
        let event = json!({
            "version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query,
            "headers": { "content-type": "application/json", "idempotency-key": "order-1" },
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
                "authorizer": { "iam": { "accountId": "123456789012", "userArn": "arn:aws:iam::123456789012:user/a" } },
                "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t" },
                "requestId": "r-1", "routeKey": route, "stage": "$default",
                "time": "01/Dec/2026:01:00:00 +0000", "timeEpoch": 1_796_086_800_000_i64,
            },
            "body": body.to_string(), "isBase64Encoded": false,
        });
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let answer = Box::pin(api::handle(&self.desk, request, patience)).await;
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), serde_json::from_slice(answer.body().as_ref()).unwrap(), retry_after)
    }

    /// The same, with a `PortOne` that takes the request and hangs for longer than there is patience.
    async fn post_in_vain(&self, path: &str, body: &Value) -> (u16, Value) {
        self.portone.hangs.store(true, Ordering::Relaxed);
        let (status, body, _) = self.post(path, body, self.portone.taken.notified()).await;
        self.portone.hangs.store(false, Ordering::Relaxed);
        (status, body)
    }

    async fn pays(&self) -> String {
        let (status, body, _) = self.post("/api/portone/charge", &charge(), pending()).await;
        assert_eq!(status, 200, "{body}");
        body["paymentId"].as_str().unwrap().to_owned()
    }
}

fn customer() -> Subscription {
    Subscription {
        key: SubscriptionKey { user_id: UserId::new("user-1").unwrap(), id: SubscriptionId::new("sub-1").unwrap() },
        plan: PlanType::Standard,
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw).unwrap(),
        method: Some(Method { billing_key: BillingKey::new("billing-key-1"), pg: Pg::TossPayments }),
        customer: Customer::default(),
        locale: Locale::Ko,
        started: "2026-11-01T09:00:00+09:00".parse().unwrap(),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(Period::parse("2026-12-01").unwrap()) },
        version: 1,
    }
}

fn charge() -> Value {
    json!({ "subscriptionId": "sub-1", "userId": "user-1" })
}

fn of_type(body: &Value) -> &str {
    body["type"].as_str().unwrap().rsplit(':').next().unwrap()
}

#[tokio::test]
async fn a_charge_that_takes_too_long_is_unknown_and_a_worker_is_to_ask() {
    let world = World::new();
    let (status, body) = world.post_in_vain("/api/portone/charge", &charge()).await;
    let [invoice] = <[_; 1]>::try_from(world.store.all_invoices()).unwrap();
    assert_eq!((status, body), (202, json!({ "status": "unknown", "paymentId": invoice.payment_id })));
    // The attempt was durable before PortOne had it.
    assert_eq!((invoice.state.status(), invoice.attempts.len()), ("charging", 1));
    let asked: Vec<u8> = world.queue.take_held_back().into_iter().map(|(message, _)| message.asks).collect();
    assert_eq!(asked, [1]);
    // The same key makes no other attempt.
    let (status, body) = world.post_in_vain("/api/portone/charge", &charge()).await;
    assert_eq!((status, &body["status"]), (202, &json!("unknown")));
    assert_eq!(world.portone.portone.charges().len(), 1);
}

#[tokio::test]
async fn an_upgrade_that_takes_too_long_is_unknown_and_a_worker_is_to_ask() {
    let world = World::new();
    world.pays().await;
    let wish = json!({ "planType": "standard", "teamSeats": 5 });
    let (status, body) = world.post_in_vain("/api/billing/subscriptions/sub-1/change?userId=user-1", &wish).await;
    assert_eq!((status, &body["status"]), (202, &json!("unknown")));
    let [subscription] = <[_; 1]>::try_from(world.store.all_subscriptions()).unwrap();
    assert_eq!((subscription.seats, subscription.wishes.upgrade.is_some()), (3, true));
    assert_eq!(world.queue.take_held_back().len(), 1);
}

#[tokio::test]
async fn a_refund_that_takes_too_long_is_unknown_and_its_key_learns_the_end() {
    let world = World::new();
    let path = format!("/api/billing/payments/{}/refund", world.pays().await);
    let (status, body) = world.post_in_vain(&path, &json!({ "reason": "x" })).await;
    assert_eq!((status, &body["status"]), (202, &json!("unknown")));
    let (status, body, _) = world.post(&path, &json!({ "reason": "x" }), pending()).await;
    assert_eq!((status, &body["status"]), (200, &json!("succeeded")));
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_trouble_that_passes() {
    let world = World::new();
    for method in ["subscription", "invoice", "commit"] {
        world.store.faults().next(method, Fault::Before);
        let (status, body, retry_after) = world.post("/api/portone/charge", &charge(), pending()).await;
        assert_eq!((status, of_type(&body), retry_after.as_deref()), (503, "unavailable", Some("5")), "{method}");
    }
    world.pays().await;
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_trouble_that_passes() {
    let world = World::new();
    world.queue.faults().next("send_collect_later", Fault::Before);
    let (status, body) = world.post_in_vain("/api/portone/charge", &charge()).await;
    assert_eq!((status, of_type(&body)), (503, "unavailable"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_trouble_that_passes() {
    let world = World::new();
    let body = json!({
        "userId": "user-2", "planType": "standard", "teamSeats": 3, "currency": "KRW", "locale": "en",
        "customer": { "name": "Kim", "email": "kim@example.com" },
    });
    let (status, body, retry_after) = world.post("/api/billing/checkout-sessions", &body, pending()).await;
    assert_eq!((status, of_type(&body), retry_after.as_deref()), (503, "unavailable", Some("5")));
}

#[tokio::test]
async fn a_table_that_refuses_for_good_is_a_mistake_of_ours_and_says_nothing_of_it() {
    let world = World::new();
    world.store.faults().next("subscription", Fault::Refused);
    let (status, body, retry_after) = world.post("/api/portone/charge", &charge(), pending()).await;
    assert_eq!((status, of_type(&body), retry_after), (500, "internal", None));
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["instance", "status", "title", "type"]);
}
