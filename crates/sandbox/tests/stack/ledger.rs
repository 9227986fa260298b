//! What is checked after the attack: `PortOne`'s own ledger, and its own word on every payment, against what was written down of each
//! customer before it; then our books, attempts and mails against those.

use crate::attack::{Enrolled, Month, text};
use billing_core::money::{Currency, Money};
use billing_flows::notify::SENDS_AT_ONCE;
use futures::stream::{self, StreamExt};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The first try and the three of the ladder.
const MAX_ATTEMPTS: usize = 4;

/// Events that say that something is wrong with the books.
const BAD_EVENTS: [&str; 4] = ["books_differ", "invoice_quarantined", "invoice_superseded", "unknown_payment"];

/// How many violations are told with all that is known of them.
const TOLD_IN_FULL: usize = 3;

/// Everything there is to see when all is over.
struct Evidence {
    approvals: Vec<Value>,
    cancellations: Vec<Value>,
    /// `PortOne`'s word on the payment of each invoice.
    payments: BTreeMap<String, Value>,
    subscriptions: Vec<Value>,
    invoices: Vec<Value>,
    events: Vec<Value>,
    emails: Vec<Value>,
    queues: Value,
}

impl Evidence {
    async fn of(month: &Month) -> Self {
        let sandbox = &month.sandbox;
        let invoices = sandbox.all("/api/invoices", "invoices").await;
        let ids = stream::iter(invoices.iter().map(|invoice| text(&invoice["paymentId"])));
        let asked = ids.map(async |id| (id.clone(), sandbox.payment(&id).await)).buffer_unordered(8);
        let payments = asked.collect::<Vec<_>>().await.into_iter().collect();
        let ledger = sandbox.get("/api/portone/ledger").await;
        Self {
            approvals: list(&ledger["approvals"]).to_vec(),
            cancellations: list(&ledger["cancellations"]).to_vec(),
            payments,
            subscriptions: sandbox.all("/api/subscriptions", "subscriptions").await,
            invoices,
            events: sandbox.all("/api/events", "events").await,
            emails: sandbox.all("/api/emails", "emails").await,
            queues: sandbox.get("/api/queues").await,
        }
    }
}

/// What the checks came to.
pub(crate) struct Verdict {
    evidence: Evidence,
    /// A subscription, if it is about one, and a sentence.
    violations: Vec<(Option<String>, String)>,
    lines: Vec<(String, String)>,
}

/// Checks everything.
pub(crate) async fn audit(month: &Month) -> Verdict {
    let mut verdict = Verdict { evidence: Evidence::of(month).await, violations: Vec::new(), lines: Vec::new() };
    for stumble in &month.stumbles {
        verdict.violations.push((None, stumble.clone()));
    }
    for check in [ledger, books, causes, attempts, mails, leftovers] {
        let (wrong, lines) = check(month, &verdict.evidence);
        verdict.violations.extend(wrong);
        verdict.lines.extend(lines.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    verdict.lines.push(("violations".to_owned(), verdict.violations.len().to_string()));
    verdict
}

type Checked = (Vec<(Option<String>, String)>, Vec<(&'static str, String)>);

/// `PortOne`'s ledger alone. Each customer has a billing key of their own and only one period fell due, so that a second approval under a
/// key is a second charge for the period, whatever its name.
fn ledger(month: &Month, evidence: &Evidence) -> Checked {
    let mut wrong = Vec::new();
    let mut owners: BTreeMap<&str, &Enrolled> = month.enrolled.iter().map(|one| (&*one.billing_key, one)).collect();
    for approval in &evidence.approvals {
        match owners.remove(approval["billingKey"].as_str().unwrap()) {
            Some(one) if money(approval) == one.owes => {}
            Some(one) => {
                wrong.push((Some(one.subscription.clone()), format!("owes {:?} and was charged {approval}", one.owes)));
            }
            None => {
                let one = month.enrolled.iter().find(|one| approval["billingKey"] == *one.billing_key);
                let whose = one.map(|one| one.subscription.clone());
                wrong.push((whose, format!("charged again, or never enrolled: {approval}")));
            }
        }
    }
    for refund in &evidence.cancellations {
        wrong.push((None, format!("money was given back, and nobody asked for it: {refund}")));
    }
    let sums = shown(&sums(evidence.approvals.iter().map(money)));
    (wrong, vec![("approvals in PortOne's ledger", format!("{} of {sums}", evidence.approvals.len()))])
}

/// Every customer has one invoice, for what they owe, and it ended as `PortOne` says.
fn books(month: &Month, evidence: &Evidence) -> Checked {
    let mut wrong = Vec::new();
    let mut approved: BTreeMap<String, (String, i64)> =
        evidence.approvals.iter().map(|approval| (text(&approval["paymentId"]), money(approval))).collect();
    let mut invoices: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for invoice in &evidence.invoices {
        invoices.entry(invoice["subscriptionId"].as_str().unwrap()).or_default().push(invoice);
    }
    let mut columns: BTreeMap<&str, Vec<(String, i64)>> = BTreeMap::new();
    for one in &month.enrolled {
        let mut say = |what: String| wrong.push((Some(one.subscription.clone()), what));
        let [invoice] = invoices.remove(&*one.subscription).unwrap_or_default()[..] else {
            say("has not exactly one invoice".to_owned());
            continue;
        };
        let (id, status) = (invoice["paymentId"].as_str().unwrap(), invoice["status"].as_str().unwrap());
        columns.entry(status).or_default().push(money(invoice));
        if money(invoice) != one.owes {
            say(format!("owes {:?} and was billed {:?}", one.owes, money(invoice)));
        }
        let theirs = evidence.payments[id]["status"].as_str().unwrap_or("unheard of");
        let row = evidence.subscriptions.iter().find(|row| row["subscriptionId"] == *one.subscription).unwrap();
        let agreement = row["status"].as_str().unwrap();
        let charged = approved.remove(id).is_some();
        match (status, theirs, charged, agreement) {
            ("paid", "PAID", true, "active")
            | ("uncollectible", "FAILED" | "unheard of", false, "expired")
            | ("void", "FAILED" | "unheard of", false, "canceled")
            | ("pending", "PAY_PENDING", false, _) => {}
            _ => say(format!(
                "the invoice is {status}, the subscription {agreement}, PortOne calls the payment {theirs}, and its ledger has {} approval of it",
                if charged { "an" } else { "no" }
            )),
        }
    }
    for id in approved.keys() {
        wrong.push((None, format!("{id} was approved and is no customer's invoice")));
    }
    for (subscription, _) in invoices {
        wrong.push((Some(subscription.to_owned()), "was billed and never enrolled".to_owned()));
    }
    let due = sums(month.enrolled.iter().map(|one| one.owes.clone()));
    let total = sums(columns.values().flatten().cloned());
    if total != due {
        wrong.push((None, format!("{} were due and {} are in the books", shown(&due), shown(&total))));
    }
    let column = |name: &str| {
        let of = columns.get(name).cloned().unwrap_or_default();
        format!("{} of {}", of.len(), shown(&sums(of)))
    };
    let lines = vec![
        ("due", format!("{} of {}", month.enrolled.len(), shown(&due))),
        ("  paid", column("paid")),
        ("  uncollectible", column("uncollectible")),
        ("  void", column("void")),
        ("  pending at PortOne", column("pending")),
    ];
    (wrong, lines)
}

/// How our books came to know of the approvals: whom a kill cut off is asked about, or told of by webhook.
fn causes(_: &Month, evidence: &Evidence) -> Checked {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for event in evidence.events.iter().filter(|event| event["kind"] == "invoice_paid") {
        *causes.entry(event["cause"].as_str().unwrap().split(':').next().unwrap()).or_default() += 1;
    }
    let told: Vec<String> = causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
    (Vec::new(), vec![("  paid, written down by", told.join(", "))])
}

/// No invoice is tried more than four times: by our books, and by the transactions that `PortOne` tells of.
fn attempts(_: &Month, evidence: &Evidence) -> Checked {
    let mut wrong = Vec::new();
    let (mut all, mut lost) = (0, 0);
    for invoice in &evidence.invoices {
        let attempts = list(&invoice["attempts"]);
        // An attempt that is proved never to have reached PortOne is none of the four.
        let reached = attempts.iter().filter(|attempt| attempt["outcome"] != "lost").count();
        all += reached;
        lost += attempts.len() - reached;
        let payment = &evidence.payments[invoice["paymentId"].as_str().unwrap()];
        let bodies = list(&payment["webhooks"]).iter().map(|webhook| &webhook["request"]["body"]);
        let mut transactions: BTreeSet<String> = bodies
            .filter_map(|body| {
                serde_json::from_str::<Value>(body.as_str()?).ok()?["data"]["transactionId"].as_str().map(str::to_owned)
            })
            .collect();
        transactions.extend(payment["transactionId"].as_str().map(str::to_owned));
        if reached > MAX_ATTEMPTS || transactions.len() > MAX_ATTEMPTS {
            let what = format!("{reached} attempts by our books, {} transactions at PortOne", transactions.len());
            wrong.push((Some(text(&invoice["subscriptionId"])), what));
        }
    }
    (wrong, vec![("attempts", all.to_string()), ("attempts proved lost", lost.to_string())])
}

/// Every event that tells something was mailed: once, but for what kills cut off between a mail and its mark.
fn mails(month: &Month, evidence: &Evidence) -> Checked {
    let mut wrong = Vec::new();
    let mut sent: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for email in &evidence.emails {
        *sent.entry((email["to"].as_str().unwrap(), email["eventId"].as_str().unwrap())).or_default() += 1;
    }
    let (mut notices, mut repeats) = (0, 0);
    for event in evidence.events.iter().filter(|event| !event["notice"].is_null()) {
        notices += 1;
        let key = (event["notice"]["to"].as_str().unwrap(), event["id"].as_str().unwrap());
        let times = sent.remove(&key).unwrap_or(0);
        repeats += times.saturating_sub(1);
        if times == 0 || event["mailedAt"].is_null() {
            let (subject, id, marked) = (&event["subject"], &event["id"], &event["mailedAt"]);
            let what = format!("{subject} {id} was mailed {times} times; marked as mailed: {marked}");
            wrong.push((whose(evidence, event), what));
        }
    }
    for (key, times) in sent {
        wrong.push((None, format!("{times} mails to {} tell of an event that does not exist: {}", key.0, key.1)));
    }
    let allowed = month.kills.count() as usize * SENDS_AT_ONCE;
    if repeats > allowed {
        wrong.push((None, format!("{repeats} mails were repeated, and the kills explain at most {allowed}")));
    }
    let lines = vec![
        ("events with a notice", notices.to_string()),
        ("mails", evidence.emails.len().to_string()),
        ("mails repeated by kills", format!("{repeats} (at most {SENDS_AT_ONCE} a kill: {allowed})")),
    ];
    (wrong, lines)
}

/// Nothing waits, and no event says that books differ.
fn leftovers(_: &Month, evidence: &Evidence) -> Checked {
    let mut wrong = Vec::new();
    if evidence.queues["waiting"] != 0 {
        wrong.push((None, format!("messages still wait: {}", evidence.queues)));
    }
    for event in &evidence.events {
        if BAD_EVENTS.iter().any(|kind| event["kind"] == *kind) {
            wrong.push((whose(evidence, event), format!("{} {} is {}", event["subject"], event["id"], event["kind"])));
        }
    }
    (wrong, vec![("dead letters", evidence.queues["deadLetters"].to_string())])
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The figures, to be read by people.
    pub(crate) fn table(&self) -> String {
        self.lines.iter().fold(String::new(), |mut table, (name, value)| {
            let _ = writeln!(table, "  {name:<34} {value}");
            table
        })
    }

    /// Every violation; of the first few, all that is known.
    pub(crate) fn account(&self) -> String {
        let mut account = format!("{} violations\n", self.violations.len());
        for (i, (subscription, what)) in self.violations.iter().enumerate() {
            let _ = writeln!(account, "{}: {what}", subscription.as_deref().unwrap_or("in all"));
            if let Some(subscription) = subscription.as_ref().filter(|_| i < TOLD_IN_FULL) {
                account += &self.evidence.story(subscription);
            }
        }
        account
    }
}

impl Evidence {
    /// What there is to know of a subscription: its row, and of each invoice what happened, what the books say and what `PortOne` says.
    fn story(&self, subscription: &str) -> String {
        let mut story = String::new();
        tell(
            &mut story,
            &self.subscriptions,
            ("subscriptionId", subscription),
            &["status", "billingKey", "dueAt", "version"],
        );
        tell(&mut story, &self.events, ("subject", subscription), EVENT);
        for invoice in self.invoices.iter().filter(|invoice| invoice["subscriptionId"] == subscription) {
            let id = invoice["paymentId"].as_str().unwrap();
            tell(
                &mut story,
                &self.invoices,
                ("paymentId", id),
                &["paymentId", "status", "currency", "amount", "quarantine"],
            );
            let attempts = list(&invoice["attempts"]);
            tell(&mut story, attempts, ("", ""), &["number", "startedAt", "cause", "outcome", "code", "endedAt"]);
            tell(&mut story, &self.events, ("subject", id), EVENT);
            tell(&mut story, &self.approvals, ("paymentId", id), &["transactionId", "amount", "approvedAt"]);
            let seen = self.payments.get(id).cloned().into_iter().collect::<Vec<_>>();
            tell(&mut story, &seen, ("", ""), &["type", "status", "requestedAt", "statusChangedAt", "transactionId"]);
        }
        story
    }
}

const EVENT: &[&str] = &["id", "kind", "before", "after", "cause", "detail", "mailedAt"];

/// Some fields of the rows that have a value, or of all; moments in UTC.
fn tell(story: &mut String, rows: &[Value], (name, value): (&str, &str), fields: &[&str]) {
    for row in rows.iter().filter(|row| name.is_empty() || row[name] == value) {
        let shown = |field: &&str| match &row[*field] {
            Value::Null => None,
            Value::Number(ms) if field.ends_with("At") => {
                let at = jiff::Timestamp::from_millisecond(ms.as_i64()?).ok()?;
                Some(format!("{field} {at}"))
            }
            value => Some(format!("{field} {value}")),
        };
        let fields: Vec<String> = fields.iter().filter_map(shown).collect();
        let _ = writeln!(story, "    {}", fields.join(", "));
    }
}

/// The subscription that an event is about, if it is about one.
fn whose(evidence: &Evidence, event: &Value) -> Option<String> {
    let subject = &event["subject"];
    let invoice = evidence.invoices.iter().find(|invoice| invoice["paymentId"] == *subject);
    let row = evidence.subscriptions.iter().find(|row| row["subscriptionId"] == *subject);
    invoice.or(row).map(|row| text(&row["subscriptionId"]))
}

/// The currency and the minor units of a row.
fn money(row: &Value) -> (String, i64) {
    (text(&row["currency"]), row["amount"].as_i64().unwrap())
}

fn sums(all: impl IntoIterator<Item = (String, i64)>) -> BTreeMap<String, i64> {
    all.into_iter().fold(BTreeMap::new(), |mut sums, (currency, minor)| {
        *sums.entry(currency).or_default() += minor;
        sums
    })
}

fn shown(sums: &BTreeMap<String, i64>) -> String {
    let shown = |(code, minor): (&String, &i64)| {
        let currency = Currency::from_code(code).unwrap();
        Money::new(*minor, currency).unwrap().to_string()
    };
    let sums: Vec<String> = sums.iter().map(shown).collect();
    if sums.is_empty() { "nothing".to_owned() } else { sums.join(" and ") }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
