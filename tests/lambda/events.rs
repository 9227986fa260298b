//! Every event of `events/` gets its right answer, in the order in which a month would bring them.

use billing_core::calendar;
use lambda_tests::Host;
use lambda_tests::emulator::{self, Emulated};
use lambda_tests::function::Function;
use lambda_tests::private::{self, LOUDEST};
use lambda_tests::sandbox::{Sandbox, event, root};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Between 23:30 and 00:30 in Seoul nothing is charged, and by design there is no way around it.
#[expect(clippy::disallowed_methods, reason = "the functions under test read the machine's clock, too")]
pub(crate) fn banks_are_down() -> bool {
    let now = jiff::Timestamp::now();
    // The test takes its time.
    calendar::banks_are_down(now) || calendar::banks_are_down(now + jiff::SignedDuration::from_mins(10))
}

/// All functions, and what they were asked so far.
struct Stack<H> {
    sandbox: Sandbox,
    functions: BTreeMap<&'static str, H>,
    asked: BTreeSet<String>,
}

impl<H: Host> Stack<H> {
    async fn start() -> Self {
        let sandbox = Sandbox::start();
        let mut functions = BTreeMap::new();
        for name in ["api", "webhook", "planner", "worker", "reconciler", "notifier"] {
            functions.insert(name, H::start_with(name, &sandbox, &LOUDEST).await);
        }
        Self { sandbox, functions, asked: BTreeSet::new() }
    }

    /// Invokes the function that an event's directory names.
    async fn ask(&mut self, name: &str) -> Value {
        self.asked.insert(name.to_owned());
        let (function, _) = name.split_once('/').unwrap();
        self.functions.get_mut(function).unwrap().invoke(event(name)).await
    }

    /// The status and the JSON of an HTTP answer.
    async fn call(&mut self, name: &str) -> (u64, Value) {
        let answer = self.ask(name).await;
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    /// Whatever the level, no log holds a secret, a personal datum, or a line that is there to look into a fault: such lines hold whole events.
    async fn said_nothing_private(&self) {
        let private = private::all(&self.sandbox, &self.asked).await;
        assert!(private.len() > 40, "{private:?}");
        let mut said_in_all = String::new();
        for (name, function) in &self.functions {
            let said = std::fs::read_to_string(function.log()).unwrap();
            let told = private::told(&private, &said);
            assert!(told.is_empty(), "{name} tells {} of {}: {told:#?}", told.len(), private.len());
            assert_eq!(said.lines().find(|line| is_loud(line)), None, "{name}");
            said_in_all += &said;
        }
        // All of it was heard: what the functions log, and their metrics.
        for heard in [
            "PortOne answered",
            "collected",
            "reconciled",
            "a webhook was refused",
            "sub-1",
            "\"Charges\":1",
            "\"Mails\":1",
        ] {
            assert!(said_in_all.contains(heard), "{heard}");
        }
    }

    async fn waiting(&self) -> u64 {
        let queues = self.sandbox.get("/api/queues").await;
        queues["waiting"].as_u64().unwrap_or_else(|| panic!("{queues}"))
    }
}

/// Whether a line is of a level that a release build does not have: as Lambda has it written, and as the emulator has. (At its start the
/// subscriber says, without a level, that there is none.)
fn is_loud(line: &str) -> bool {
    ["DEBUG", "TRACE"]
        .iter()
        .any(|level| line.trim_start().starts_with(level) || line.contains(&format!("\"level\":\"{level}\"")))
}

fn every_event() -> BTreeSet<String> {
    let directories = std::fs::read_dir(root().join("events")).unwrap().map(|entry| entry.unwrap().path());
    let files = directories.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap());
    let name = |path: std::path::PathBuf| {
        let name = path.strip_prefix(root().join("events")).unwrap().with_extension("");
        name.to_str().unwrap().to_owned()
    };
    files.map(|file| name(file.unwrap().path())).collect()
}

const PAID: &str = "invF4WHK5AWFTE3NIDYQ77E3ZVJNUU742ZI";

#[tokio::test]
async fn every_event_gets_its_right_answer() {
    answer_every_event::<Function>().await;
}

#[tokio::test]
async fn every_event_gets_its_right_answer_under_the_runtime_interface_emulator() {
    if emulator::is_there() {
        answer_every_event::<Emulated>().await;
    } else {
        println!("SKIPPED: the Runtime Interface Emulator; {} names none", emulator::PROGRAM);
    }
}

async fn answer_every_event<H: Host>() {
    if banks_are_down() {
        println!("SKIPPED: the events of events/; banks are down in Seoul, and nothing is charged");
        return;
    }
    let mut stack = Stack::<H>::start().await;
    let none_failed = json!({ "batchItemFailures": [] });

    // The public side.
    let (status, health) = stack.call("api/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert_eq!(stack.call("webhook/forged").await, (401, json!({ "result": "bad_signature" })));
    assert_eq!(stack.call("webhook/billing-key-issued").await, (200, json!({ "result": "settled" })));
    assert_eq!(stack.call("webhook/billing-key-issued").await, (200, json!({ "result": "known" })));

    // The first of the month: all ten are due, and a message to the planner plans its shard once more.
    let before = stack.waiting().await;
    assert_eq!(stack.ask("planner/tick").await, none_failed);
    assert_eq!(stack.waiting().await - before, 10);
    assert_eq!(stack.ask("planner/rest-of-a-run").await, none_failed);

    // Nine are collected beside the poison: seven paid, one declined, and one whose answer was lost.
    let failed = json!({ "batchItemFailures": [{ "itemIdentifier": "2e1424d4-f796-459a-8184-9c92662be605" }] });
    assert_eq!(stack.ask("worker/batch-with-poison").await, failed);
    let expected = json!({
        "sub-1": "paid", "sub-2": "paid", "sub-3": "paid", "sub-4": "paid", "sub-5": "paid", "sub-6": "paid", "sub-7": "paid",
        "sub-8": "failed", "sub-9": "unknown",
    });
    assert_eq!(stack.sandbox.invoices().await, expected);

    // PortOne tells of the lost one, twice, and of the declined one, which is known.
    assert_eq!(stack.call("webhook/paid").await, (200, json!({ "result": "settled" })));
    assert_eq!(stack.call("webhook/paid").await, (200, json!({ "result": "known" })));
    assert_eq!(stack.call("webhook/failed").await, (200, json!({ "result": "known" })));
    assert_eq!(stack.sandbox.invoices().await["sub-9"], "paid");

    // The same batch again charges nobody again.
    assert_eq!(stack.ask("worker/batch-with-poison").await, failed);
    assert_eq!(stack.sandbox.approvals(PAID).await, 1);

    // The mails, once.
    for _ in 0..2 {
        assert_eq!(stack.ask("notifier/batch").await, none_failed);
        assert_eq!(
            stack.sandbox.mails("user-1@example.com").await,
            ["[Sivera] 2026년 1월 영수증: Standard 구독 10,000원"]
        );
        assert_eq!(stack.sandbox.mails("user-8@example.com").await.len(), 1);
    }

    // The customer's own backend, signed and not; the same key again is the same charge.
    let (status, problem) = stack.call("api/charge-unsigned").await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:problem:billing:forbidden")));
    let (status, charge) = stack.call("api/charge").await;
    assert_eq!((status, &charge["status"]), (200, &json!("paid")), "{charge}");
    let (_, again) = stack.call("api/charge").await;
    assert_eq!(again["paymentId"], charge["paymentId"], "{again}");
    assert_eq!(stack.sandbox.approvals(charge["paymentId"].as_str().unwrap()).await, 1);
    let (status, list) = stack.call("api/invoices").await;
    let oldest = list["invoices"].as_array().unwrap().last().unwrap();
    assert_eq!((status, &oldest["from"], &oldest["status"]), (200, &json!("2026-01-01"), &json!("paid")), "{list}");

    // The nights.
    let pass = stack.ask("reconciler/hourly").await;
    assert_eq!((&pass["failed"], &pass["unfinished"]), (&json!(0), &json!(false)), "{pass}");
    let pass = stack.ask("reconciler/nightly").await;
    assert_eq!((&pass["failed"], &pass["differences"]), (&json!(0), &json!(0)), "{pass}");
    let closed = stack.ask("reconciler/close").await;
    assert_eq!(closed["books"][0]["balanced"], true, "{closed}");

    assert_eq!(stack.asked, every_event(), "every event has its answer here");
    stack.said_nothing_private().await;
}
