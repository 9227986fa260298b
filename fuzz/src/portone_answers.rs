//! What answers where `PortOne` should, over a real connection, through the client and the gateway that the functions use.

use crate::input::{Input, block_on};
use crate::world::{KEY, customer, december, message, now, payment_id, secret, settings, store_id};
use billing_aws::config::PortOne;
use billing_aws::gateway::PortOneGateway;
use billing_aws::secrets::FixedSecret;
use billing_core::billing_key::BillingKey;
use billing_core::decline::Pg;
use billing_core::id::UserId;
use billing_core::money::{Currency, Money};
use billing_core::subscription::Method;
use billing_flows::Billing;
use billing_flows::fake::{ManualClock, MemoryQueue, MemoryStore, Recorder};
use billing_flows::ports::{AskError, ChargeAnswer, ChargeOrder, Gateway, ListedBy, Mode, SeenStatus};
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What must not come back out of an answer, however an answer quotes it.
const API_SECRET: &str = "the-api-secret";

const STATUSES: [u16; 14] = [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 409, 429, 502, 503];

#[derive(Clone, Copy)]
enum Call {
    Charge,
    Payment,
    Key,
    ByCreation,
    ByChange,
    Collect,
}

pub(crate) fn feed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let call = input.choose(&[Call::Charge, Call::Payment, Call::Key, Call::ByCreation, Call::ByChange, Call::Collect]);
    let status = input.choose(&STATUSES);
    let pg = input.choose(&["TOSSPAYMENTS", "INICIS_V2", "KCP_V2", "NICE_V2", "PAYPAL_V2", "SOMETHING_NEW"]);
    let content_type = input.choose(&["application/json", "text/html; charset=utf-8", ""]);
    let body = input.rest();
    // The client does not look into the strings of fields it does not know; neither shall this.
    let text = String::from_utf8_lossy(body);
    let said = Said { is_success: (200..300).contains(&status), json: serde_json::from_str(&text).ok() };
    block_on(async {
        let gateway = gateway().await;
        ANSWER.set(answer(status, content_type, body));
        match call {
            Call::Charge => charge(&gateway, &said, &Pg::from_provider(pg)).await,
            Call::Payment => payment(&gateway, &said).await,
            Call::Key => key(&gateway, &said).await,
            Call::ByCreation => list(&gateway, &said, ListedBy::Creation).await,
            Call::ByChange => list(&gateway, &said, ListedBy::StatusChange).await,
            Call::Collect => collect(gateway, &said).await,
        }
    });
}

/// What was answered, read by other means.
struct Said {
    is_success: bool,
    json: Option<Value>,
}

impl Said {
    /// A text of the answer.
    fn text(&self, pointer: &str) -> Option<&str> {
        self.json.as_ref()?.pointer(pointer)?.as_str()
    }

    /// Whether it is an error of one of these types.
    fn refuses(&self, types: &[&str]) -> bool {
        !self.is_success && self.text("/type").is_some_and(|kind| types.contains(&kind))
    }
}

async fn charge(gateway: &Real, said: &Said, pg: &Pg) {
    let customer = customer();
    let method = Method { billing_key: BillingKey::new(KEY), pg: pg.clone() };
    let id = payment_id();
    let order = ChargeOrder {
        payment_id: &id,
        attempt: 1,
        method: &method,
        order_name: "Sivera Standard - 12월 구독료",
        amount: Money::new(30_000, Currency::Krw).unwrap(),
        user_id: &UserId::new("user_456").unwrap(),
        customer: &customer.customer,
    };
    let answer = gateway.charge(&order).await;
    let told = format!("{answer:?}");
    match answer {
        ChargeAnswer::Paid { pg_tx_id, .. } => {
            assert!(said.is_success && said.text("/payment/paidAt").is_some(), "paid, and PortOne does not say when");
            assert_eq!(said.text("/payment/pgTxId"), Some(pg_tx_id.as_str()));
            assert!(!pg.may_be_undecided(), "{pg:?} may decide later");
        }
        ChargeAnswer::Declined(_) => {
            assert!(said.refuses(&["PG_PROVIDER", "BILLING_KEY_NOT_FOUND", "BILLING_KEY_ALREADY_DELETED"]), "{told}");
        }
        ChargeAnswer::Ask(_) => assert!(said.is_success || said.refuses(&["ALREADY_PAID"]), "{told}"),
        ChargeAnswer::UsedUp => assert!(said.refuses(&["MAX_TRANSACTION_COUNT_REACHED"]), "{told}"),
        ChargeAnswer::Unauthorized { .. } => assert!(said.refuses(&["UNAUTHORIZED", "FORBIDDEN"]), "{told}"),
        ChargeAnswer::Refused { code } => assert!(said.refuses(&[&code]), "{told}"),
        ChargeAnswer::Unknown(_) => {} // concludes nothing, so it is never wrong
    }
    if !said.is_success {
        assert!(!told.contains(API_SECRET) && !told.contains(KEY), "a secret came back: {told}");
    }
}

async fn payment(gateway: &Real, said: &Said) {
    match gateway.payment(&payment_id()).await {
        Ok(Some(seen)) => {
            assert!(said.is_success, "an error told of a payment");
            let status = said.text("/status").unwrap();
            match seen.status {
                SeenStatus::Paid { .. } => assert_eq!(status, "PAID"),
                SeenStatus::Failed { .. } => assert_eq!(status, "FAILED"),
                SeenStatus::Pending => assert_eq!(status, "PAY_PENDING"),
                SeenStatus::Ready => assert_eq!(status, "READY"),
                SeenStatus::Cancelled { .. } => {
                    assert!(matches!(status, "PAID" | "CANCELLED" | "PARTIAL_CANCELLED"), "{status}");
                }
                SeenStatus::Other(_) => {}
            }
            assert_eq!(said.text("/id"), Some(seen.payment_id.as_str()));
        }
        Ok(None) => assert!(said.refuses(&["PAYMENT_NOT_FOUND"]), "there is no payment, and PortOne does not say so"),
        Err(error) => tells_no_secret(&error, &[API_SECRET]),
    }
}

async fn key(gateway: &Real, said: &Said) {
    match gateway.billing_key(&BillingKey::new(KEY)).await {
        Ok(Some(seen)) => {
            assert!(said.is_success, "an error told of a billing key");
            assert_eq!(seen.is_issued, said.text("/status") == Some("ISSUED"));
            assert!(seen.card.and_then(|card| card.last4).is_none_or(|digits| digits.chars().count() <= 4));
        }
        Ok(None) => assert!(said.refuses(&["BILLING_KEY_NOT_FOUND"]), "there is no key, and PortOne does not say so"),
        Err(error) => tells_no_secret(&error, &[API_SECRET, KEY]),
    }
}

async fn list(gateway: &Real, said: &Said, by: ListedBy) {
    match gateway.payments(by, now(), now(), None).await {
        Ok(page) => {
            assert!(said.is_success, "an error told of payments");
            let items = said.json.as_ref().and_then(|json| json["items"].as_array()).unwrap();
            assert!(page.items.len() <= items.len());
        }
        Err(error) => tells_no_secret(&error, &[API_SECRET]),
    }
}

/// The worker's whole way, with this answer to whatever it asks: then December is paid only if that was said.
async fn collect(gateway: Real, said: &Said) {
    let store = MemoryStore::new();
    store.put_subscription(&customer());
    let (clock, telemetry) = (ManualClock::new(now()), Recorder::default());
    let billing = Billing { store: store.clone(), gateway, clock, telemetry, settings: settings() };
    for _ in 0..2 {
        drop(billing.collect(&MemoryQueue::default(), &message(), None).await);
    }
    for invoice in store.all_invoices() {
        assert_eq!(invoice.period, december());
        let says_paid = said.text("/payment/paidAt").is_some() || said.text("/status") == Some("PAID");
        assert!(invoice.state.status() != "paid" || says_paid && said.is_success, "paid, and PortOne does not say so");
    }
}

/// What the request held does not come back. A billing key that it did not hold is unknown to the client, too.
fn tells_no_secret(error: &AskError, sent: &[&str]) {
    let told = format!("{error} {error:?}");
    assert!(!sent.iter().any(|secret| told.contains(secret)), "a secret came back: {told}");
}

type Real = PortOneGateway<FixedSecret, ManualClock>;

thread_local! {
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static GATEWAY: RefCell<Option<Real>> = const { RefCell::new(None) };
}

fn answer(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let content_type =
        if content_type.is_empty() { String::new() } else { format!("content-type: {content_type}\r\n") };
    // No body belongs to a 204: what follows would be taken for the next answer.
    let body = if status == 204 { b"" } else { body };
    let head = format!("HTTP/1.1 {status} X\r\n{content_type}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The gateway, and on the other end of its connection what answers every request with [`ANSWER`]; both on the runtime of this thread.
async fn gateway() -> Real {
    if let Some(gateway) = GATEWAY.with_borrow(Option::clone) {
        return gateway;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = PortOne {
        store_id: store_id(),
        mode: Mode::Test,
        api_secret_id: "secret".to_owned(),
        base_url: Some(format!("http://{}", listener.local_addr().unwrap())),
        read_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        charges_per_second: None,
    };
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer_all(connection));
        }
    });
    let gateway = PortOneGateway::new(&config, secret(API_SECRET), async |_| ()).await.unwrap();
    GATEWAY.set(Some(gateway.clone()));
    gateway
}

/// Answers each request of a connection. Ours are far below a buffer, and come in one piece or two.
async fn answer_all(mut connection: TcpStream) {
    connection.set_nodelay(true).unwrap();
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4_096];
        match connection.read(&mut part).await {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            Ok(_) | Err(_) => return,
        }
        if is_whole(&request) {
            request.clear();
            let answer = ANSWER.with_borrow(Clone::clone);
            if connection.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    request.len() >= head.len() + 4 + length.unwrap_or(0)
}
