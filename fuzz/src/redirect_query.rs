//! The query that a browser comes back with: it is shown or asked about, and believed in nothing.

use crate::input::block_on;
use crate::world;
use api::Desk;
use api::pages::Site;
use billing_aws::config::{CardChannel, Checkout, DEFAULT_SDK_URL, MailFrom};
use billing_aws::secrets::{CheckoutSecrets, FixedSecret};
use billing_core::decline::Pg;
use billing_flows::fake::{ManualClock, MemoryQueue, MemoryStore, Recorder, ScriptedGateway};
use serde_json::{Value, json};
use std::future::pending;

type TheDesk = Desk<MemoryStore, ScriptedGateway, ManualClock, Recorder, MemoryQueue, FixedSecret, ManualClock>;

/// The longest page: what Korean words and a long message may make of 20 KB.
const MAX_PAGE_BYTES: usize = 24 * 1024;

/// An input is a query; a `$` in it stands for the token of a session that is open.
pub(crate) fn feed(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    block_on(async {
        let desk = desk();
        let token = token(&desk).await;
        let query = as_sent(&text.replacen('$', &token, 1));
        let before = (desk.billing.store.all_subscriptions(), desk.billing.store.all_events());
        for page in ["success", "failure"] {
            let tags = tags_of(&desk, page, &query).await;
            assert_eq!(tags, tags_of(&desk, page, &query.replace("%3C", "(")).await, "what a query says is a tag");
        }
        // PortOne knows no billing key here, so none can have been bound.
        assert_eq!((desk.billing.store.all_subscriptions(), desk.billing.store.all_events()), before);
    });
}

/// As browsers and API Gateway send it: what no address may hold is written in percents, and so is `<`.
fn as_sent(query: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%&=+!$'()*,;:@/?".contains(byte);
    query
        .bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// How many tags a page has.
async fn tags_of(desk: &TheDesk, page: &str, query: &str) -> usize {
    let event = event("GET", &format!("/payment/billing/{page}"), query, "");
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let answer = Box::pin(api::handle(desk, request, pending())).await;
    let (status, body) = (answer.status().as_u16(), answer.body().as_ref());
    assert!(status < 500 && body.len() <= MAX_PAGE_BYTES, "{page}: {status}, {} bytes", body.len());
    String::from_utf8_lossy(body).matches('<').count()
}

async fn token(desk: &TheDesk) -> String {
    let body = json!({
        "userId": "user-1", "planType": "standard", "teamSeats": 3, "currency": "KRW", "locale": "en",
        "customer": { "name": "Kim", "email": "kim@example.com", "phone": "010-0000-0000" },
    });
    let event = event("POST", "/api/billing/checkout-sessions", "", &body.to_string());
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let answer = Box::pin(api::handle(desk, request, pending())).await;
    let answer: Value = serde_json::from_slice(answer.body().as_ref()).unwrap();
    answer["url"].as_str().unwrap().split_once("session=").unwrap().1.to_owned()
}

fn event(verb: &str, path: &str, query: &str, body: &str) -> Value {
    let route = format!("{verb} {path}");
    json!({
        "version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query,
        "headers": { "content-type": "application/json", "idempotency-key": "order-1" },
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
            "authorizer": { "iam": { "accountId": "123456789012", "userArn": "arn:aws:iam::123456789012:user/a" } },
            "http": { "method": verb, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t" },
            "requestId": "r-1", "routeKey": route, "stage": "$default",
            "time": "01/Dec/2026:01:00:00 +0000", "timeEpoch": 1_796_086_800_000_i64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

fn desk() -> TheDesk {
    let clock = ManualClock::new(world::now());
    let settings = world::settings();
    let checkout = Checkout {
        public_url: "https://billing.example".to_owned(),
        card: Some(CardChannel { key: "channel-key-1".to_owned(), pg: Pg::TossPayments }),
        paypal_channel_key: None,
        sdk_url: DEFAULT_SDK_URL.to_owned(),
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
    Desk {
        site: Site::of(&settings.catalogue, &checkout, &mail),
        billing: billing_flows::Billing {
            store: MemoryStore::new(),
            gateway: ScriptedGateway::new(clock.clone()),
            clock,
            telemetry: Recorder::default(),
            settings,
        },
        queue: MemoryQueue::default(),
        secrets: CheckoutSecrets::new(world::secret(&"s".repeat(32))),
        checkout,
    }
}
