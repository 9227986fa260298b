//! What a forged webhook costs the whole function in allocations: its answer and its metric, and nothing else.
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

    /// The allocations of a forged webhook; of the second, for the first has the secret read.
    fn allocations(&self) -> u64 {
        self.answer(forged());
        let request = forged();
        measure(|| drop(self.answer(request))).count_total
    }
}

fn forged() -> Request {
    let request = lambda_http::http::Request::builder()
        .method("POST")
        .header("content-type", "application/json")
        .header("webhook-id", "whk-1")
        .header("webhook-timestamp", "1796086803")
        .header("webhook-signature", "v1,bWFrZSBldmVudCBzaWducyB0aGlzIGFmcmVzaCBub3c=");
    request.body(Body::from(r#"{"type":"Transaction.Paid"}"#)).unwrap()
}

#[test]
fn a_forged_webhook_allocates_its_answer_and_its_metric_and_its_log_line_nothing() {
    let answer = Door::with(Silent).allocations();
    let with_metric = Door::with(EmfTelemetry::new(clock(), "Billing", io::sink())).allocations();
    // As Lambda's runtime sets it up.
    let log = tracing_subscriber::fmt().with_target(false).without_time().json().with_writer(|| Log).finish();
    let with_log = tracing::subscriber::with_default(log, || Door::with(Silent).allocations());
    assert!(LOGGED.load(Ordering::Relaxed) > 0, "there is a log line");
    assert_eq!((answer, with_metric - answer, with_log - answer), (8, 44, 0), "answer, metric, log line");
}
