//! What a refused webhook costs the whole function in allocations: its answer, and nothing else.
//!
//! `bench/functions/tests/refusals.rs` shows that telling that it is forged costs none.
#![expect(clippy::unwrap_used, reason = "tests stop where they fail, helpers included")]

use allocation_counter::measure;
use billing_aws::secrets::{CachedSecret, FixedSecret, SecretText, WebhookSecrets};
use billing_aws::telemetry::EmfTelemetry;
use billing_core::dunning::Ladder;
use billing_core::id::StoreId;
use billing_core::plan::Catalogue;
use billing_flows::fake::{ManualClock, MemoryQueue, MemoryStore, ScriptedGateway};
use billing_flows::ports::{Mode, Signal, Telemetry};
use billing_flows::{Billing, Settings};
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// Telemetry without a word.
struct Silent;

impl Telemetry for Silent {
    fn signal(&self, _: Signal) {}
}

/// The function with this telemetry.
struct Door<T> {
    billing: Billing<MemoryStore, ScriptedGateway, ManualClock, T>,
    queue: MemoryQueue,
    secrets: WebhookSecrets<FixedSecret, ManualClock>,
}

/// Where log lines go, of which the bytes are counted.
struct Log;

static LOGGED: AtomicUsize = AtomicUsize::new(0);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.fetch_add(bytes.len(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn clock() -> ManualClock {
    ManualClock::new("2026-12-01T10:00:03+09:00".parse().unwrap())
}

impl<T: Telemetry> Door<T> {
    fn with(telemetry: T) -> Self {
        let catalogue = "brand = \"Sivera\"\ntrial_days = 14\n[plans.standard]\nname = { ko = \"S\", en = \"S\" }\nmax_seats = 9\n\
                         price_per_seat = { KRW = 10000 }";
        let settings = Settings {
            store_id: StoreId::new("store-1").unwrap(),
            mode: Mode::Live,
            catalogue: Catalogue::parse(catalogue).unwrap(),
            ladder: Ladder::default(),
        };
        let secret = FixedSecret(SecretText::new("whsec_dGhlIGZpcnN0IHNlY3JldCBvZiB0aGUgZG9vcg=="));
        Self {
            billing: Billing {
                store: MemoryStore::new(),
                gateway: ScriptedGateway::new(clock()),
                clock: clock(),
                telemetry,
                settings,
            },
            queue: MemoryQueue::default(),
            secrets: WebhookSecrets::new(CachedSecret::new(secret, clock(), "billing/webhook")),
        }
    }

    /// Everything it needs is in memory, so it never waits.
    fn answer(&self, request: Request) -> Response<Body> {
        let answer = pin!(webhook::handle(&self.billing, &self.queue, &self.secrets, request));
        let Poll::Ready(answer) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("a forged webhook waits for nothing")
        };
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        answer
    }

    /// The allocations of such a webhook; of the second, for the first has the secret read, and memory set aside that is kept.
    fn allocations(&self, webhook: fn() -> Request) -> u64 {
        self.answer(webhook());
        let request = webhook();
        measure(|| drop(self.answer(request))).count_total
    }
}

const SIGNATURE: &str = "v1,bWFrZSBldmVudCBzaWducyB0aGlzIGFmcmVzaCBub3c=";

fn webhook(timestamp: &str, signature: Option<&str>) -> Request {
    let mut request = lambda_http::http::Request::builder()
        .method("POST")
        .header("content-type", "application/json")
        .header("webhook-id", "whk-1")
        .header("webhook-timestamp", timestamp);
    if let Some(signature) = signature {
        request = request.header("webhook-signature", signature);
    }
    request.body(Body::from(r#"{"type":"Transaction.Paid"}"#)).unwrap()
}

fn forged() -> Request {
    webhook("1796086803", Some(SIGNATURE))
}

fn unsigned() -> Request {
    webhook("1796086803", None)
}

fn too_old() -> Request {
    webhook("1796000000", Some(SIGNATURE))
}

#[test]
fn a_refused_webhook_allocates_its_answer_and_nothing_for_its_metric_and_its_log_line() {
    for refused in [forged, unsigned, too_old] {
        allocates_its_answer_alone(refused);
    }
}

fn allocates_its_answer_alone(refused: fn() -> Request) {
    let answer = Door::with(Silent).allocations(refused);
    let with_metric = Door::with(EmfTelemetry::new(clock(), "Billing", io::sink())).allocations(refused);
    // As Lambda's runtime sets it up.
    let log = tracing_subscriber::fmt().with_target(false).without_time().json().with_writer(|| Log).finish();
    let with_log = tracing::subscriber::with_default(log, || Door::with(Silent).allocations(refused));
    assert!(LOGGED.load(Ordering::Relaxed) > 0, "there is a log line");
    assert_eq!((answer, with_metric - answer, with_log - answer), (8, 0, 0), "answer, metric, log line");
}
