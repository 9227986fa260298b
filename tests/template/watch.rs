//! Alarms and the dashboard: they look at what is there, and each says what to do.

use crate::yaml::{resources, root, template, text};
use billing_aws::telemetry::EmfTelemetry;
use billing_core::Timestamp;
use billing_core::event::EventKind;
use billing_core::money::{Currency, Money};
use billing_flows::ports::{Clock, Signal, Telemetry};
use portone::ErrorKind;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Names of dimensions that belong together; none for a metric's total.
type Dimensions = BTreeSet<String>;

/// The metrics that the functions write, from the code that writes them.
fn written() -> BTreeSet<String> {
    let source = text("crates/billing-aws/src/telemetry.rs");
    let (source, _) = source.split_once("#[cfg(test)]").expect("tests at the end");
    let calls = source.split("count(\"").skip(1).chain(source.split("Metric { name: \"").skip(1));
    let mut all: BTreeSet<String> = calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    for (_, filter) in resources(&template("infra/watch.yaml"), "AWS::Logs::MetricFilter") {
        let name = filter["MetricTransformations"][0]["MetricName"].as_str();
        all.insert(name.expect("a metric's name").to_owned());
    }
    all
}

/// A writer whose lines can be read.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// One signal of each kind, with all that it may have.
fn signals() -> Vec<Signal> {
    let text = || "a".to_owned();
    let amount = Money::new(30_000, Currency::Krw).expect("an amount");
    let mut all = EventKind::ALL.map(Signal::Event).to_vec();
    all.extend([
        Signal::Charge { cause: text(), outcome: "paid", amount },
        Signal::Collected { run: text(), result: "skipped", skipped: Some("not_due"), asks: 0 },
        Signal::Planned { run: text(), due: 0, unfinished: false },
        Signal::Stopped { who: "planner", reason: text() },
        Signal::Webhook { result: "settled" },
        Signal::Mail { kind: "receipt", result: "sent" },
        Signal::Reconciled {
            pass: "nightly",
            asked: 0,
            settled: 0,
            differences: Some(0),
            failed: 0,
            unfinished: false,
        },
        Signal::LeftOver { not_attempted: 0, unknown_for_long: 0 },
        Signal::Closed { month: text(), balanced: true, unsettled: 0, parked: 0 },
    ]);
    all
}

/// Under which dimensions each metric is written: as the functions write it, and as filters of their logs do.
fn dimensions() -> BTreeMap<String, BTreeSet<Dimensions>> {
    let lines = Lines::default();
    let telemetry = EmfTelemetry::new(Fixed, "Billing", lines.clone());
    for signal in signals() {
        telemetry.signal(signal);
    }
    let lines = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut all: BTreeMap<String, BTreeSet<Dimensions>> = BTreeMap::new();
    let names = |set: &Value| -> Dimensions {
        set.as_array().expect("a set").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    for line in String::from_utf8(lines).expect("text").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().expect("directives") {
            let name = directive["Metrics"][0]["Name"].as_str().expect("a name").to_owned();
            all.entry(name).or_default().extend(directive["Dimensions"].as_array().expect("sets").iter().map(names));
        }
    }
    for (_, filter) in resources(&template("infra/watch.yaml"), "AWS::Logs::MetricFilter") {
        let made = &filter["MetricTransformations"][0];
        let set = made["Dimensions"].as_array().expect("dimensions").iter();
        let set = set.map(|dimension| dimension["Key"].as_str().expect("a name").to_owned());
        all.entry(made["MetricName"].as_str().expect("a name").to_owned()).or_default().insert(set.collect());
    }
    all
}

/// The quoted words between two places of a source, which is a file or one of a folder's.
fn words(path: &str, from: &str, to: &str) -> BTreeSet<String> {
    let folder = std::fs::read_dir(root().join(path)).into_iter().flatten();
    let files =
        folder.map(|entry| entry.expect("an entry").path()).filter(|it| it.extension().is_some_and(|it| it == "rs"));
    let mut files: Vec<_> = files.collect();
    if files.is_empty() {
        files.push(root().join(path));
    }
    let sources = files.into_iter().map(|file| std::fs::read_to_string(file).expect("a source"));
    let parts: Vec<String> = sources
        .filter_map(|source| Some(source.split_once(from)?.1.split_once(to).expect("its end").0.to_owned()))
        .collect();
    let [part] = parts.as_slice() else { panic!("{path} has {from:?} in {} places", parts.len()) };
    part.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether the code writes a metric with this value of a dimension, sooner or later.
fn is_said(metric: &str, dimension: &str, value: &str) -> bool {
    const END: &str = "\n}\n";
    match (metric, dimension) {
        ("Charges", "Outcome") => words("crates/billing-flows/src", "\nfn outcome(fact: &Fact)", END).contains(value),
        ("Webhooks", "Result") => {
            words("crates/billing-flows/src", "\nimpl Received {", END).contains(value)
                || words("crates/webhook/src/lib.rs", "\nimpl Refusal {", END).contains(value)
        }
        ("Mails", "Result") => {
            words("crates/billing-flows/src", "let (outcome, result) = match sent {", "Guard::").contains(value)
        }
        ("PaidAmount", "Currency") => Currency::from_code(value).is_some(),
        ("PortOneErrors", "Type") => !matches!(ErrorKind::from(value), ErrorKind::Other(_)),
        other => panic!("a dimension whose values this test does not know: {other:?}"),
    }
}

/// What is wrong with looking at a metric of ours under these dimensions.
fn wrong(
    metric: &str,
    looked_at: &BTreeMap<String, String>,
    written: &BTreeMap<String, BTreeSet<Dimensions>>,
) -> Option<String> {
    let names: Dimensions = looked_at.keys().cloned().collect();
    let Some(sets) = written.get(metric) else { return Some(format!("nobody writes {metric}")) };
    if !sets.contains(&names) {
        return Some(format!("{metric} is written under {sets:?}, not under {names:?}"));
    }
    let (name, value) = looked_at.iter().find(|(name, value)| !is_said(metric, name, value))?;
    Some(format!("{metric} never has {value} as its {name}"))
}

/// Every metric that a template looks at, with its namespace: objects with `Namespace` and `MetricName`.
fn metrics<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    if !node["Namespace"].is_null() && node["MetricName"].is_string() {
        found.push(node);
    }
    match node {
        Value::Object(fields) => fields.values().for_each(|value| metrics(value, found)),
        Value::Array(items) => items.iter().for_each(|value| metrics(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A metric's dimensions: a reference is shown as `${what it refers to}`.
fn dimensions_of(metric: &Value) -> BTreeMap<String, String> {
    let listed = metric["Dimensions"].as_array().into_iter().flatten();
    let listed = listed.map(|it| {
        let value = &it["Value"];
        let reference = value["Ref"].as_str().map(|name| format!("${{{name}}}"));
        let value = reference.or_else(|| Some(value["Fn::Sub"].as_str().or_else(|| value.as_str())?.to_owned()));
        (it["Name"].as_str().expect("a name").to_owned(), value.expect("a value"))
    });
    listed.collect()
}

/// The names that resources of a type have in the account, with the stack's name as `${Stack}`.
fn named(kind: &str, property: &str) -> BTreeSet<String> {
    let root = template("template.yaml");
    let all = resources(&root, kind).into_iter();
    all.map(|(_, it)| it[property]["Fn::Sub"].as_str().expect("a name").replace("${AWS::StackName}", "${Stack}"))
        .collect()
}

#[test]
fn this_tests_signals_are_of_every_kind_that_is_written() {
    assert_eq!(dimensions().into_keys().collect::<BTreeSet<_>>(), written());
}

#[test]
fn alarms_look_at_dimensions_and_values_that_are_written() {
    let watch = template("infra/watch.yaml");
    let mut found = Vec::new();
    metrics(&watch["Resources"], &mut found);
    let written = dimensions();
    let (functions, queues) =
        (named("AWS::Serverless::Function", "FunctionName"), named("AWS::SQS::Queue", "QueueName"));
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mut mistakes = Vec::new();
    for metric in &found {
        let (name, dimensions) = (metric["MetricName"].as_str().expect("a name"), dimensions_of(metric));
        let is_known = match metric["Namespace"].as_str() {
            None if metric["Namespace"]["Fn::Sub"] == "Billing/${Stack}" => {
                mistakes.extend(wrong(name, &dimensions, &written));
                true
            }
            Some("AWS/Lambda") => functions.iter().any(|function| dimensions == one("FunctionName", function)),
            Some("AWS/SQS") => queues.iter().any(|queue| dimensions == one("QueueName", queue)),
            Some("AWS/ApiGateway") => dimensions == one("ApiId", "${ApiId}"),
            Some("AWS/SES") if name.starts_with("Reputation.") => dimensions.is_empty(),
            Some("AWS/SES") => dimensions == one("ses:configuration-set", "${Stack}"),
            _ => false,
        };
        if !is_known {
            mistakes.push(format!("{name} of {}: there is no {dimensions:?}", metric["Namespace"]));
        }
    }
    assert!(found.len() > 40 && mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn the_band_is_of_what_its_alarm_looks_at() {
    let watch = template("infra/watch.yaml");
    let model = &watch["Resources"]["DeclinesOutOfBandModel"]["Properties"]["MetricMathAnomalyDetector"];
    let alarm = &watch["Resources"]["DeclinesOutOfBand"]["Properties"];
    let (band, rest) =
        alarm["Metrics"].as_array().and_then(|all| all.split_first()).expect("a band, and what it is of");
    assert_eq!(model["MetricDataQueries"], json!(rest), "another expression is another model");
    assert_eq!(alarm["ThresholdMetricId"], band["Id"]);
    assert!(band["Expression"].as_str().is_some_and(|it| it.starts_with("ANOMALY_DETECTION_BAND(share,")));
    let bound = &watch["Resources"]["TooManyDeclines"]["Properties"]["Metrics"][0]["Expression"];
    assert_eq!((&rest[0]["Id"], &rest[0]["Expression"]), (&json!("share"), bound), "both are of the same share");
}

#[test]
fn alarms_that_look_by_the_clock_look_at_the_time_at_which_the_run_begins() {
    let root = template("template.yaml");
    let events = &root["Resources"]["PlannerFunction"]["Properties"]["Events"];
    let cron = events["EveryMorning"]["Properties"]["ScheduleExpression"].as_str().expect("a schedule");
    let hour =
        cron.strip_prefix("cron(0 ").and_then(|it| it.split_once(" * * ? *)")).expect("every day, at a full hour");
    // CloudWatch reckons in UTC, nine hours behind Seoul.
    let hour = hour.0.parse::<u32>().expect("an hour") - 9;
    let watch = template("infra/watch.yaml");
    // Each looks at spans of time that begin from some minutes before the run begins to when it does: of what, and until when, differs.
    for (name, metric, minute, period, counted) in [
        ("RunDidNotStart", "due", 45, 1800, "SampleCount"),
        ("NoWebhookIsTaken", "paid", 55, 3600, "Sum"),
        ("NotifierIsSilent", "paid", 55, 3600, "Sum"),
    ] {
        let metrics = watch["Resources"][name]["Properties"]["Metrics"].as_array().expect("metrics");
        let before = format!("(HOUR({metric})=={} AND MINUTE({metric})>={minute})", hour - 1);
        let at = format!("(HOUR({metric})=={hour} AND MINUTE({metric})==0)");
        let expression = metrics[0]["Expression"].as_str().expect("an expression");
        assert!(expression.starts_with(&format!("IF({before} OR {at},")), "{name}: {expression}");
        let all = |field: &str, value: Value| metrics[1..].iter().all(|it| it["MetricStat"][field] == value);
        assert!(all("Period", json!(period)) && all("Stat", json!(counted)), "{name}");
    }
}

/// The alarms on expressions, each with its metrics and its expressions.
fn on_expressions(watch: &Value) -> Vec<(String, &Vec<Value>)> {
    let alarms = resources(watch, "AWS::CloudWatch::Alarm").into_iter();
    alarms
        .filter_map(|(_, it)| Some((it["AlarmName"]["Fn::Sub"].as_str()?.to_owned(), it["Metrics"].as_array()?)))
        .collect()
}

#[test]
fn an_expression_is_of_all_metrics_that_stand_beside_it() {
    let watch = template("infra/watch.yaml");
    for (name, metrics) in on_expressions(&watch) {
        let expressions: Vec<&str> = metrics.iter().filter_map(|it| it["Expression"].as_str()).collect();
        let words: BTreeSet<&str> =
            expressions.iter().flat_map(|it| it.split(|c: char| !c.is_ascii_alphanumeric())).collect();
        for metric in metrics.iter().filter(|it| it["MetricStat"].is_object()) {
            let id = metric["Id"].as_str().expect("an id");
            assert!(words.contains("METRICS") || words.contains(id), "{name}: {expressions:?} leave {id} out");
        }
    }
}

#[test]
fn the_manual_says_which_alarms_are_on_expressions_and_so_were_never_seen_to_ring() {
    let manual = text("docs/OPERATIONS.md");
    let (_, told) = manual.split_once("\n**Not tried:**").expect("what was not tried");
    let (told, _) = told.split_once("\n\n").expect("its end");
    let told: BTreeSet<&str> = told.split('`').skip(1).step_by(2).collect();
    let watch = template("infra/watch.yaml");
    for (name, _) in on_expressions(&watch) {
        let name = name.trim_start_matches("${Stack}-");
        assert!(told.contains(name), "{name} is not told of");
    }
}

#[test]
fn a_notifier_that_stands_still_is_told_of_within_the_time_that_the_stream_keeps() {
    let watch = template("infra/watch.yaml");
    let late = &watch["Resources"]["MailsAreLate"]["Properties"];
    assert_eq!((&late["MetricName"], &late["Statistic"]), (&json!("IteratorAge"), &json!("Maximum")));
    let outbox = &template("template.yaml")["Resources"]["NotifierFunction"]["Properties"]["Events"]["Outbox"];
    let kept = outbox["Properties"]["MaximumRecordAgeInSeconds"].as_u64().expect("seconds") * 1000;
    assert!(
        late["Threshold"].as_u64().is_some_and(|milliseconds| milliseconds * 20 < kept),
        "a day is left to mend it"
    );
}

#[test]
fn the_dashboard_is_json_and_shows_metrics_that_are_written() {
    let watch = template("infra/watch.yaml");
    let body = watch["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str().expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let (written, under) = (written(), dimensions());
    let mut shown = BTreeSet::new();
    let mut mistakes = Vec::new();
    for widget in body["widgets"].as_array().expect("widgets") {
        for metric in widget["properties"]["metrics"].as_array().expect("metrics") {
            if metric[0] == "Billing/${Stack}" {
                // Name, then a dimension's name and its value in turn, then perhaps how it is shown.
                let texts: Vec<&str> = metric.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
                let pairs = texts[2..].chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned()));
                mistakes.extend(wrong(texts[1], &pairs.collect(), &under));
            } else if let Some(search) = metric[0]["expression"].as_str().and_then(|it| it.strip_prefix("SEARCH('{")) {
                let (sets, rest) = search.split_once("} MetricName=\"").expect("a metric's name");
                let name = rest.split_once('"').expect("its end").0;
                let set: Dimensions = sets.split(',').skip(1).map(str::to_owned).collect();
                if !under[name].contains(&set) {
                    mistakes.push(format!("{name} is not written under {set:?}"));
                }
            }
            if metric[0] == "Billing/${Stack}" {
                shown.insert(metric[1].as_str().expect("a name").to_owned());
            } else if let Some((_, rest)) =
                metric[0]["expression"].as_str().and_then(|it| it.split_once("MetricName=\""))
            {
                shown.insert(rest.split_once('"').expect("its end").0.to_owned());
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
    let idle: Vec<_> = shown.difference(&written).collect();
    assert!(idle.is_empty(), "nobody writes {idle:?}");
    let hidden: Vec<_> = written.difference(&shown).collect();
    assert_eq!(hidden, ["Events", "Skipped", "UnfinishedPasses"], "metrics that only logs and searches show");
}

#[test]
fn every_alarm_names_its_part_of_the_operators_manual() {
    let manual = text("docs/OPERATIONS.md");
    let anchors: BTreeSet<String> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")))
        .map(|title| {
            let kept = title.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect();
    let watch = template("infra/watch.yaml");
    let alarms = resources(&watch, "AWS::CloudWatch::Alarm");
    assert!(alarms.len() > 20);
    for (name, alarm) in alarms {
        let description = alarm["AlarmDescription"]["Fn::Sub"].as_str().expect("a description");
        let (_, anchor) = description.split_once("${Runbook}#").unwrap_or_else(|| panic!("{name} names no part"));
        assert!(anchors.contains(anchor), "{name}: docs/OPERATIONS.md has no part #{anchor}");
        assert_eq!(alarm["AlarmActions"][0]["Ref"], "Topic", "{name} tells nobody");
        assert!(alarm["TreatMissingData"].is_string(), "{name} does not say what no data means");
        let named = alarm["AlarmName"]["Fn::Sub"].as_str().and_then(|it| it.strip_prefix("${Stack}-")).expect("a name");
        assert!(manual.contains(&format!("`{named}`")), "docs/OPERATIONS.md does not list {named}");
    }
}

#[test]
fn the_links_of_alarms_lead_somewhere() {
    let runbook = &template("template.yaml")["Parameters"]["Runbook"];
    assert!(runbook["Default"].is_null(), "nobody but the operator knows where the manual can be read");
    assert!(runbook["AllowedPattern"].as_str().is_some_and(|it| it.starts_with("^https://")));
}

#[test]
fn alarms_that_ring_before_their_first_data_are_told_of_where_the_first_deployment_is() {
    let watch = template("infra/watch.yaml");
    let manual = text("docs/OPERATIONS.md");
    let (_, step) = manual.split_once("**Somebody who is told.**").expect("a step of the first deployment");
    let (step, _) = step.split_once("\n8. ").expect("the next one");
    for (name, alarm) in resources(&watch, "AWS::CloudWatch::Alarm") {
        let named = alarm["AlarmName"]["Fn::Sub"].as_str().and_then(|it| it.strip_prefix("${Stack}-")).expect("a name");
        let rings = alarm["TreatMissingData"] == "breaching";
        assert_eq!(step.contains(&format!("`{named}`")), rings || name == "RunDidNotStart", "{name}");
    }
}

#[test]
fn every_queue_of_dead_letters_has_an_alarm() {
    let root = template("template.yaml");
    let watch = template("infra/watch.yaml");
    let watched: BTreeSet<String> = resources(&watch, "AWS::CloudWatch::Alarm")
        .into_iter()
        .filter(|(_, alarm)| alarm["MetricName"] == "ApproximateNumberOfMessagesVisible")
        .map(|(_, alarm)| {
            alarm["Dimensions"][0]["Value"]["Fn::Sub"]
                .as_str()
                .expect("a queue")
                .replace("${Stack}", "${AWS::StackName}")
        })
        .collect();
    let dead: BTreeSet<String> = resources(&root, "AWS::SQS::Queue")
        .into_iter()
        .filter(|(name, _)| name.ends_with("DeadLetters"))
        .map(|(_, queue)| queue["QueueName"]["Fn::Sub"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(watched, dead);
}

#[test]
fn lines_that_filters_count_are_lines_that_the_gateway_logs() {
    let gateway = text("crates/billing-aws/src/gateway.rs");
    for (name, filter) in resources(&template("infra/watch.yaml"), "AWS::Logs::MetricFilter") {
        let pattern = filter["FilterPattern"].as_str().expect("a pattern");
        let field = pattern.strip_prefix("{ $.fields.").and_then(|it| it.strip_suffix(" = * }")).expect(name);
        assert!(gateway.contains(&format!("let {field} =")), "{name}: the gateway logs no {field}");
        for dimension in filter["MetricTransformations"][0]["Dimensions"].as_array().expect("dimensions") {
            let field = dimension["Value"].as_str().and_then(|it| it.strip_prefix("$.fields.")).expect(name);
            let mut lines = gateway.split("tracing::info!(").skip(1).filter_map(|it| it.split_once(')'));
            assert!(
                lines.any(|(line, _)| line.split(", ").any(|it| it == field)),
                "{name}: the gateway logs no {field}"
            );
        }
        assert!(!filter["LogGroupName"].is_null());
    }
}
