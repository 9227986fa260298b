//! How often a hundred charges ask DynamoDB and PortOne, by function and operation: counted, and held against `requests.toml`. Approved ones,
//! declined ones, and ones whose answer is lost, so that their webhooks are news.
//!
//! The clock stands still, and the parts run one after the other: the planner, the workers, and only then the webhooks and the mails. So
//! nothing depends on who is faster, and the counts are the same each time.
#![expect(clippy::unwrap_used, reason = "this file is tests to its last line")]

use billing_core::calendar::{self, Period};
use charger::worker;
use jiff::Timestamp;
use sandbox::clock::Clock;
use sandbox::customers::{self, NewCustomers};
use sandbox::lambda::Function;
use sandbox::queue::{Message, Name};
use sandbox::stack::{Options, Stack};
use sandbox::usage::Usage;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const CHARGES: u32 = 100;

const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests.toml");

const RENEW: &str = "UPDATE=1 cargo test --workspace --test requests";

/// What was asked, by what it was.
type Counts = BTreeMap<String, u64>;

#[derive(Debug, Default, Deserialize, Serialize)]
struct Baselines {
    /// How many charges the counts are of.
    charges: u32,
    counts: BTreeMap<String, Counts>,
}

/// What becomes of the charges: its name, how the customers' billing keys behave, and how many are approved.
const FATES: [(&str, &str, usize); 3] =
    [("approved", "approve", 100), ("declined", "decline:insufficient_funds", 0), ("news", "drop_after_success", 100)];

fn is_to_be_renewed() -> bool {
    #[expect(clippy::disallowed_methods, reason = "whether counts are to be kept, is for whoever counts to say")]
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

fn sqs_record(message: &Message) -> Value {
    json!({
        "messageId": message.id.to_string(), "receiptHandle": message.id.to_string(), "body": message.body,
        "attributes": { "ApproximateReceiveCount": message.deliveries.to_string() }, "messageAttributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:ap-northeast-2:000000000000:sandbox",
        "awsRegion": "ap-northeast-2",
    })
}

/// A stack with customers who are all due now, and whose billing keys behave so.
async fn due(behavior: &str) -> Stack {
    let start: Timestamp = "2026-11-24T09:00:00+09:00".parse().unwrap();
    let options = Options { clock: Clock::frozen_at(start), ..Options::default() };
    let stack = Box::pin(Stack::open(options)).await.unwrap();
    let wish = NewCustomers {
        count: Some(CHARGES),
        mix: BTreeMap::from([(behavior.to_owned(), 1.0)]),
        pg_provider: Some("TOSSPAYMENTS".to_owned()),
        without_webhooks: true,
        ..NewCustomers::default()
    };
    customers::create(&stack, &wish).await.unwrap();
    stack.engine.come_to_rest().await.unwrap();
    stack.clock.advance_to(Period::starting(calendar::date_at(start)).next().due_at());
    stack
}

/// Has everybody charged who is due, told of it, and mailed.
async fn charge(stack: &Stack) {
    stack.lambda.invoke(Function::Planner, json!({ "scheduledTime": stack.clock.now() })).await.unwrap();
    loop {
        let batch = stack.queues.receive(Name::Collect, worker::BATCH);
        if batch.is_empty() {
            break;
        }
        let records: Vec<Value> = batch.iter().map(sqs_record).collect();
        let answer = stack.lambda.invoke(Function::Worker, json!({ "Records": records })).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]));
        for message in batch {
            stack.queues.delete(message.id).unwrap();
        }
    }
    stack.engine.come_to_rest().await.unwrap();
}

/// What was asked since `before`.
fn counted(before: &Usage, now: &Usage) -> Counts {
    let requests = now.requests.iter().map(|(key, count)| {
        let (app, operation) = key;
        (format!("DynamoDB, {app}, {operation}"), count - before.requests.get(key).copied().unwrap_or(0))
    });
    let calls = now.calls.iter().map(|(what, count)| (format!("PortOne, {what}"), count - before.calls_of(what)));
    let invocations = now.invocations.iter().map(|(function, count)| {
        let earlier = before.invocations.get(function).copied().unwrap_or(0);
        (format!("invocations, {function}"), count - earlier)
    });
    let rest =
        [("mails".to_owned(), now.mails - before.mails), ("messages".to_owned(), now.messages - before.messages)];
    requests.chain(calls).chain(invocations).chain(rest).filter(|(_, count)| *count > 0).collect()
}

/// All of both side by side, with what differs named. `None` if nothing does.
fn difference(fate: &str, kept: &Counts, now: &Counts) -> Option<String> {
    let mut table = format!("{:<60} {:>9} {:>9}", format!("a hundred charges, {fate}, ask"), "baseline", "now");
    for what in kept.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let (kept, now) = (kept.get(what).copied().unwrap_or(0), now.get(what).copied().unwrap_or(0));
        let verdict = match now.cmp(&kept) {
            std::cmp::Ordering::Greater => "  MORE",
            std::cmp::Ordering::Equal => "",
            std::cmp::Ordering::Less => "  LESS: keep it",
        };
        write!(table, "\n{what:<60} {kept:>9} {now:>9}{verdict}").unwrap();
    }
    (kept != now).then(|| format!("{table}\n`{RENEW}` keeps what is so now"))
}

#[tokio::test]
async fn a_hundred_charges_ask_no_more_and_no_less_than_the_baseline_whatever_becomes_of_them() {
    let mut counts = BTreeMap::new();
    for (fate, behavior, approved) in FATES {
        let stack = due(behavior).await;
        let before = Usage::of(&stack);
        charge(&stack).await;
        let mut of_fate = counted(&before, &Usage::of(&stack));
        if fate == "news" {
            // Their events come one by one, as the webhooks do: how many a notifier takes at once depends on who is faster.
            of_fate.retain(|what, _| {
                !["DynamoDB, notifier, TransactWriteItems", "invocations, notifier"].contains(&what.as_str())
            });
        }
        counts.insert(fate.to_owned(), of_fate);
        assert_eq!(stack.portone.ledger().approvals.len(), approved, "{fate}");
    }
    if is_to_be_renewed() {
        let kept = toml::to_string(&Baselines { charges: CHARGES, counts }).unwrap();
        std::fs::write(BASELINES, format!("# What charges ask for: `{RENEW}` writes this file.\n{kept}")).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(BASELINES).unwrap_or_else(|error| panic!("{BASELINES}: {error}"));
    let kept: Baselines = toml::from_str(&kept).unwrap_or_else(|error| panic!("{BASELINES}: {error}"));
    assert_eq!(kept.charges, CHARGES, "the baseline is of as many charges");
    assert!(kept.counts.keys().eq(counts.keys()), "the baseline is of the same fates");
    for (fate, counts) in &counts {
        if let Some(difference) = difference(fate, &kept.counts[fate], counts) {
            panic!("\n{difference}");
        }
    }
}

#[test]
fn a_request_more_or_less_or_of_another_kind_is_a_difference() {
    let kept = Counts::from([("one".to_owned(), 1), ("two".to_owned(), 2)]);
    assert_eq!(difference("approved", &kept, &kept), None);
    for (what, count, said) in [("one", 2, "MORE"), ("two", 1, "LESS"), ("two", 0, "LESS"), ("three", 3, "MORE")] {
        let mut now = kept.clone();
        now.insert(what.to_owned(), count);
        assert!(difference("approved", &kept, &now).unwrap().contains(said), "{what}");
    }
}
