//! The tables of `docs/SCALE.md`: what was measured, and what the model says.
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use crate::measured::{Measured, Pass};
use crate::prices;
use crate::{
    BATCH, BATCH_SECONDS, CHARGING_DAY, CLOSED_WITHIN, COMPARED_WITHIN, Expected, MAX_WAIT, NEW_TABLE_WRITES,
    RECONCILER_SHARE, STREAM_KEEPS, STREAM_SHARDS, Stack, USED, WEBHOOKS, closed, compared, thousands, with_nights,
};
use std::fmt::Write;

/// A table of the page, or a sentence of figures: it stands between `<!-- name -->` and `<!-- /name -->`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// In Markdown.
    pub text: String,
}

/// All tables.
#[must_use]
pub fn tables(all: &[Measured]) -> Vec<Table> {
    vec![
        Table { name: "measured", text: measured(all) },
        Table { name: "passes", text: passes(all) },
        Table { name: "parts", text: parts() },
        Table { name: "pace", text: pace() },
        Table { name: "advice", text: advice() },
        Table { name: "model", text: model() },
        Table { name: "waiting", text: waiting() },
        Table { name: "work", text: work(all) },
    ]
}

/// The page with these tables in their places; an error names the one that has none.
pub fn written(page: &str, tables: &[Table]) -> Result<String, String> {
    let mut page = page.to_owned();
    for Table { name, text } in tables {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
        let (before, after) = parts.ok_or_else(|| format!("the page has no place for the table {name:?}"))?;
        page = format!("{before}{begin}\n{text}\n{end}{after}");
    }
    Ok(page)
}

fn row(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).unwrap_or_default();
}

/// The first line of a table and the one below it. A name that begins with `>` is that of a column of figures.
fn head(names: &[&str]) -> String {
    let mut text = String::new();
    row(&mut text, &names.iter().map(|name| name.trim_start_matches('>').to_owned()).collect::<Vec<_>>());
    let line = |name: &&str| if name.starts_with('>') { "---:" } else { "---" }.to_owned();
    row(&mut text, &names.iter().map(line).collect::<Vec<_>>());
    text
}

fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1e3)
}

fn measured(all: &[Measured]) -> String {
    let mut text = head(&[
        ">customers",
        ">allowance",
        ">workers",
        ">batch",
        ">each",
        ">last charge",
        ">expected",
        ">of the allowance used",
        ">most sent in any second",
        ">most arrived",
        ">all at rest",
        ">deepest queue",
        ">handed over, a second",
        ">webhooks early",
        ">requests each",
        ">expected",
        ">memory of all",
    ]);
    for it in all {
        let is_short = it.customers < 1_000;
        row(
            &mut text,
            &[
                thousands(f64::from(it.customers)),
                thousands(f64::from(it.allowance)),
                it.workers.to_string(),
                it.batch.to_string(),
                it.per_worker.map_or_else(String::new, |each| each.to_string()),
                seconds(it.charged_ms),
                format!("{:.1} s", it.stack().expected().charged),
                it.used_percent.map_or_else(String::new, |percent| format!("{percent} %")),
                it.most_sent_in_a_second.map_or_else(String::new, |most| most.to_string()),
                it.most_in_a_second.to_string(),
                seconds(it.rested_ms),
                thousands(it.deepest() as f64),
                if is_short { String::new() } else { thousands(it.handed_over()) },
                format!("{:.0} %", it.early() * 1e2),
                format!("{:.2}", it.requests_each()),
                if is_short { String::new() } else { format!("{:.2}", it.expected_requests_each()) },
                format!("{} MB", it.peak_memory_kib / 1024),
            ],
        );
    }
    text
}

fn passes(all: &[Measured]) -> String {
    let mut text = head(&[
        ">customers",
        ">nightly comparison",
        ">of each",
        ">more memory",
        ">closing",
        ">of each",
        ">more memory",
    ]);
    let of_each = |it: &Measured, pass: Pass| format!("{:.2} ms", pass.ms as f64 / f64::from(it.customers));
    let memory = |pass: Pass| format!("{} MB", pass.memory_kib / 1024);
    for it in all.iter().filter(|it| it.is_bound_by_the_allowance()) {
        row(
            &mut text,
            &[
                thousands(f64::from(it.customers)),
                seconds(it.compared.ms),
                of_each(it, it.compared),
                memory(it.compared),
                seconds(it.closed.ms),
                of_each(it, it.closed),
                memory(it.closed),
            ],
        );
    }
    text
}

fn parts() -> String {
    let mut text = head(&["part", ">lets through, a second", "which are", "moved by"]);
    for limit in Stack::of_the_template(1e6).limits() {
        let rate = format!("{} {}", thousands(limit.rate), limit.of.name());
        row(&mut text, &[limit.what.to_owned(), rate, limit.from, limit.moved_by.to_owned()]);
    }
    text
}

/// Ways to give workers an allowance, and what comes of it.
fn pace() -> String {
    let names = [
        ">allowed",
        ">`WorkerConcurrency`",
        ">`ChargesPerSecond`",
        ">`WorkerBatch`",
        ">a batch takes",
        ">charges a second",
        ">of the allowance",
        ">a million in",
        ">GB-seconds of its workers",
        ">which are",
    ];
    let mut text = head(&names);
    for (workers, each, batch) in [
        (4.0, 10.0, 10.0),
        (4.0, 10.0, 50.0),
        (20.0, 2.0, 10.0),
        (40.0, 1.0, 10.0),
        (10.0, 10.0, 50.0),
        (5.0, 20.0, 100.0),
        (4.0, 25.0, 50.0),
        (50.0, 2.0, 10.0),
        (30.0, 10.0, 50.0),
        (15.0, 20.0, 100.0),
        (12.0, 25.0, 100.0),
        (12.0, 25.0, 50.0),
        (4.0, 75.0, 100.0),
        (150.0, 2.0, 10.0),
        (100.0, 10.0, 50.0),
        (50.0, 20.0, 100.0),
        (4.0, 250.0, 100.0),
        (4.0, 250.0, 10.0),
        (500.0, 2.0, 10.0),
    ] {
        let stack = Stack { each, workers, batch, ..Stack::of_the_template(1e6) };
        let rate = stack.sent_by_workers();
        row(
            &mut text,
            &[
                thousands(stack.allowance()),
                thousands(workers),
                thousands(each),
                thousands(batch),
                format!("{:.2} s", stack.batch_takes()),
                if rate < 100.0 { format!("{rate:.1}") } else { thousands(rate) },
                percent(stack.used()),
                time(with_nights(stack.customers / rate)),
                thousands(stack.worker_gb_seconds()),
                format!("${:.2}", stack.worker_gb_seconds() * prices::gb_second()),
            ],
        );
    }
    text
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 1e2)
}

/// `InvoiceWriteUnits` of the largest run of the table.
const LARGE_WRITES: f64 = 10_000.0;

/// `NotifiersPerShard` of the same.
const LARGE_NOTIFIERS: f64 = 3.0;

/// What the table of paces comes to.
fn advice() -> String {
    let stack = |workers, each, batch| Stack { each, workers, batch, ..Stack::of_the_template(1e6) };
    let (usual, large) = (Stack::of_the_template(1e6), stack(15.0, 20.0, 100.0));
    let ten_million = Stack { customers: 1e7, ..usual };
    let (patient, hasty) = (stack(150.0, 2.0, 10.0), stack(4.0, 250.0, usual.batch));
    let used = |each, batch| percent(stack(4.0, each, batch).used());
    let dollars = |stack: Stack| format!("${:.2}", stack.worker_gb_seconds() * prices::gb_second());
    let shown = |it: Stack| format!("{} workers at {} with batches of {}", it.workers, it.each, it.batch);
    let fit = |each: f64, halved: i32| (MAX_WAIT * USED * each / 2.0_f64.powi(halved)).floor();
    let whole = BATCH / BATCH_SECONDS;
    [
        format!(
            "- **What counts is for how long a batch leaves**, `WorkerBatch` ÷ `ChargesPerSecond`, for once a batch a worker waits for its last answer with \
             nothing else to do. Of batches of {BATCH} that leave for {BATCH_SECONDS} s, {} of the allowance are used; for 2 s, {}; for 1 s, {}.",
            used(whole, BATCH),
            used(BATCH / 2.0, BATCH),
            used(BATCH, BATCH),
        ),
        format!(
            "- **{BATCH_SECONDS} s are the most** of a batch of more than ten: the template refuses more. A charge waits for its turn for {MAX_WAIT} s at most, and when PortOne \
             says that it is too much, a worker's pace halves. Halved once, all {BATCH} still fit; halved twice, {} do; halved four times, \
             which is the least, {}. What does not fit is sent to the queue again, unbegun, for two minutes, which counts as no delivery. What had begun before the pace fell, and \
             then cannot have its turn in time, is asked about four minutes later, and sent under the same idempotency key.",
            fit(whole, 2),
            fit(whole, 4),
        ),
        format!(
            "- So **`ChargesPerSecond` is best a fifth of `WorkerBatch`, and `WorkerConcurrency` what is allowed ÷ `ChargesPerSecond`**: of 300, {} send {:.0} a second.",
            shown(large),
            large.sent_by_workers(),
        ),
        format!(
            "- A larger `ChargesPerSecond` alone helps little, and no further than the slowest answer: the template's {} workers send {:.0} a second at {} each, and {:.0} at {}.",
            usual.workers,
            usual.sent_by_workers(),
            usual.each,
            hasty.sent_by_workers(),
            hasty.each,
        ),
        format!(
            "- **A larger batch is cheaper**, for more charges wait in one worker. A million of them in batches of {} are {} of Lambda, in batches of {} {}. What little more of the \
             allowance small batches use is dear: {} use {} of it, for {}. And workers are instances: a young account may have ten at once, others have 1,000 of \
             all functions.",
            usual.batch,
            dollars(usual),
            large.batch,
            dollars(large),
            shown(patient),
            percent(patient.used()),
            dollars(patient),
        ),
        format!(
            "- Ten are let through at any pace. At 1 a second they use {}, and {} of them fit when the pace is halved, {} when it is halved again.",
            used(1.0, 10.0),
            fit(1.0, 1),
            fit(1.0, 2),
        ),
        format!(
            "\nA run has the {} from 10:00 to 23:30 in Seoul, when the banks pause. What the workers meet in the pause they drop: it stays due, and the next \
             run, at 10:00, plans it again. So what takes longer than that takes days, and the times on this page have the nights in them. As the template divides its {} a \
             second, a million take {}, and ten million {} ({} of charging). Nobody is forgotten by that, and nobody is charged twice; but an operator who has a million \
             customers asks PortOne for 300 a second first: {} take {}.",
            time(CHARGING_DAY),
            usual.allowance(),
            time(usual.expected().charged),
            time(ten_million.expected().charged),
            hours(ten_million.customers / ten_million.expected().charges),
            shown(large),
            time(large.expected().charged),
        ),
    ]
    .map(|line| line + "\n")
    .concat()
}

fn model() -> String {
    let names = [
        ">customers",
        ">allowance",
        ">workers",
        ">each",
        ">batch",
        ">mails a second",
        ">last charge",
        ">last mail",
        "charges bound by",
    ];
    let mut text = head(&names);
    for customers in [1e4, 1e5, 1e6, 1e7] {
        for (workers, each, batch, mails, table_writes, notifiers) in [
            (4.0, 10.0, 50.0, 14.0, NEW_TABLE_WRITES, STREAM_SHARDS),
            (10.0, 10.0, 50.0, 100.0, NEW_TABLE_WRITES, STREAM_SHARDS),
            (15.0, 20.0, 100.0, 300.0, NEW_TABLE_WRITES, STREAM_SHARDS),
            (150.0, 2.0, 10.0, 300.0, NEW_TABLE_WRITES, STREAM_SHARDS),
            (50.0, 20.0, 100.0, 1_000.0, LARGE_WRITES, LARGE_NOTIFIERS * STREAM_SHARDS),
        ] {
            let template = Stack::of_the_template(customers);
            let webhooks = f64::max(workers * each, WEBHOOKS);
            let stack = Stack { each, workers, batch, mails, notifiers, webhooks, table_writes, ..template };
            let expected = stack.expected();
            row(
                &mut text,
                &[
                    thousands(customers),
                    thousands(stack.allowance()),
                    thousands(workers),
                    thousands(each),
                    thousands(batch),
                    thousands(mails),
                    time(expected.charged),
                    mailed(&expected),
                    expected.bound.what.to_owned(),
                ],
            );
        }
    }
    text + &format!(
        "\nThe first line of each five is the template's parameters on a new account. Where more than {WEBHOOKS} charges a second are allowed, `WebhooksPerSecond` is as \
         many. The last line has {} `InvoiceWriteUnits`, and {LARGE_NOTIFIERS} `NotifiersPerShard`. *Too slow*: the stream keeps an event for {} hours, and a mail that \
         waits longer is not sent; the way out is a higher rate of SES.\n",
        thousands(LARGE_WRITES),
        STREAM_KEEPS / 3_600.0,
    )
}

/// When the last mail is sent, and whether one waits longer than the stream keeps it.
fn mailed(expected: &Expected) -> String {
    let verdict = if expected.mail_waits > STREAM_KEEPS { ": too slow" } else { "" };
    format!("{}{verdict}", time(expected.mailed))
}

fn waiting() -> String {
    let mut text = head(&[">payments", ">nightly comparison", ">closing"]);
    let within = |seconds: f64, limit: f64| {
        let verdict = if seconds > limit { ": does not finish" } else { "" };
        format!("{}{verdict}", time(seconds))
    };
    for payments in [1e5, 1e6, 2e6, 5e6, 1e7] {
        let (night, month) = (within(compared(payments), COMPARED_WITHIN), within(closed(payments), CLOSED_WITHIN));
        row(&mut text, &[thousands(payments), night, month]);
    }
    text
}

/// A sentence: what the comparison works while it waits, by the largest run.
fn work(all: &[Measured]) -> String {
    const FUNCTIONS_OWN: f64 = 0.5;
    let runs = all.iter().filter(|it| it.is_bound_by_the_allowance());
    let Some(largest) = runs.max_by_key(|it| it.customers) else { return String::new() };
    let processor = largest.compared.ms as f64 / 1e3 / f64::from(largest.customers) * FUNCTIONS_OWN;
    let on_lambda = processor / RECONCILER_SHARE;
    format!(
        "The comparison of {} took {} in the sandbox, with nothing to wait for and all that stands in for PortOne and DynamoDB in it. If half of \
         that is the function's own, a million payments are {:.0} s of a whole processor, and {} of the {RECONCILER_SHARE:.2} that 512 MB have: \
         waiting and working, a night gets through {}.\n",
        thousands(f64::from(largest.customers)),
        seconds(largest.compared.ms),
        processor * 1e6,
        time(on_lambda * 1e6),
        thousands((COMPARED_WITHIN / (compared(1.0) + on_lambda) / 1e4).floor() * 1e4),
    )
}

fn time(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    if minutes < 2.0 {
        format!("{seconds:.0} s")
    } else if minutes < 120.0 {
        format!("{minutes:.0} min")
    } else if minutes < 24.0 * 60.0 {
        hours(seconds)
    } else {
        // Rounded before it is divided, so that no day has 24.0 h.
        let tenths = (minutes / 6.0).round();
        format!("{} d {:.1} h", (tenths / 240.0).floor(), tenths % 240.0 / 10.0)
    }
}

fn hours(seconds: f64) -> String {
    format!("{:.1} h", seconds / 3_600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_into_its_place_and_nothing_else_is_touched() {
        let page = "a\n<!-- one -->\nold\n<!-- /one -->\nb\n";
        let tables = [Table { name: "one", text: "| new |\n".to_owned() }];
        let once = written(page, &tables).unwrap();
        assert_eq!(once, "a\n<!-- one -->\n\n| new |\n\n<!-- /one -->\nb\n");
        assert_eq!(written(&once, &tables).unwrap(), once);
    }

    #[test]
    fn a_table_without_a_place_is_an_error() {
        let tables = [Table { name: "one", text: String::new() }];
        assert!(written("a\n<!-- one -->\nno end", &tables).is_err());
        assert!(written("a", &tables).is_err());
    }

    #[test]
    fn what_takes_a_day_or_longer_is_told_in_days() {
        let of_hours = [13.5, 23.9, 24.0, 24.5, 47.97, 156.2].map(|hours| time(hours * 3_600.0));
        assert_eq!(of_hours, ["13.5 h", "23.9 h", "1 d 0.0 h", "1 d 0.5 h", "2 d 0.0 h", "6 d 12.2 h"]);
    }

    #[test]
    fn numbers_are_written_by_thousands() {
        assert_eq!(["1", "999", "1,000", "10,000,000"], [1.0, 999.0, 1e3, 1e7].map(thousands));
    }
}
