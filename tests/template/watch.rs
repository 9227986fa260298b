//! Alarms and the dashboard: they look at what is there, and each says what to do.

use crate::yaml::{resources, template, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The metrics that the functions write, from the code that writes them.
fn written() -> BTreeSet<String> {
    let source = text("crates/billing-aws/src/telemetry.rs");
    let (source, _) = source.split_once("#[cfg(test)]").expect("tests at the end");
    let calls = source.split(".count(\"").skip(1).chain(source.split(".metric(\"").skip(1));
    let mut all: BTreeSet<String> = calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    for (_, filter) in resources(&template("infra/watch.yaml"), "AWS::Logs::MetricFilter") {
        let name = filter["MetricTransformations"][0]["MetricName"].as_str();
        all.insert(name.expect("a metric's name").to_owned());
    }
    all
}

/// Every metric of ours that a template looks at: objects with `Namespace` and `MetricName`.
fn looked_at(node: &Value, found: &mut BTreeSet<String>) {
    if node["Namespace"]["Fn::Sub"] == "Billing/${Stack}"
        && let Some(name) = node["MetricName"].as_str()
    {
        found.insert(name.to_owned());
    }
    match node {
        Value::Object(fields) => fields.values().for_each(|value| looked_at(value, found)),
        Value::Array(items) => items.iter().for_each(|value| looked_at(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn alarms_look_at_metrics_that_are_written() {
    let mut found = BTreeSet::new();
    looked_at(&template("infra/watch.yaml"), &mut found);
    let written = written();
    let idle: Vec<_> = found.difference(&written).collect();
    assert!(found.len() > 10 && idle.is_empty(), "nobody writes {idle:?}");
}

#[test]
fn the_dashboard_is_json_and_shows_metrics_that_are_written() {
    let watch = template("infra/watch.yaml");
    let body = watch["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str().expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let written = written();
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().expect("widgets") {
        for metric in widget["properties"]["metrics"].as_array().expect("metrics") {
            if metric[0] == "Billing/${Stack}" {
                shown.insert(metric[1].as_str().expect("a name").to_owned());
            } else if let Some((_, rest)) =
                metric[0]["expression"].as_str().and_then(|it| it.split_once("MetricName=\""))
            {
                shown.insert(rest.split_once('"').expect("its end").0.to_owned());
            }
        }
    }
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
        assert!(!filter["LogGroupName"].is_null());
    }
}
