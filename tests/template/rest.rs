//! Tables, schedules, secrets, the HTTP API, logs, parameters.

use crate::yaml::{resources, template, text};
use billing_aws::config::Tables;
use billing_aws::tables::{self, Table};
use billing_core::calendar;
use charger::planner::PlannerEvent;
use reconciler::ReconcilerEvent;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn root_template() -> Value {
    template("template.yaml")
}

/// A table's keys, attributes, indexes and stream, as the code defines them.
fn defined(table: Table) -> Value {
    let definition = tables::definition(table, &Tables::with_prefix("stack")).expect("a definition");
    let schema = |keys: &[_]| -> Value { keys.iter().map(key).collect() };
    let mut attributes: Vec<Value> = definition
        .attribute_definitions()
        .iter()
        .map(|it| json!({ "AttributeName": it.attribute_name(), "AttributeType": it.attribute_type().as_str() }))
        .collect();
    attributes.sort_by_key(ToString::to_string);
    let indexes: Vec<Value> = definition
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection().expect("a projection");
            let mut projected = json!({ "ProjectionType": projection.projection_type().expect("a type").as_str() });
            if !projection.non_key_attributes().is_empty() {
                projected["NonKeyAttributes"] = json!(projection.non_key_attributes());
            }
            json!({ "IndexName": index.index_name(), "KeySchema": schema(index.key_schema()), "Projection": projected })
        })
        .collect();
    let stream = definition.stream_specification().and_then(|it| it.stream_view_type());
    json!({
        "attributes": attributes,
        "keys": schema(definition.key_schema()),
        "indexes": indexes,
        "stream": stream.map(|view| json!({ "StreamViewType": view.as_str() })),
    })
}

fn key(key: &aws_sdk_dynamodb::types::KeySchemaElement) -> Value {
    json!({ "AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str() })
}

#[test]
fn the_tables_are_those_of_the_code() {
    let template = root_template();
    let made: BTreeMap<&str, &Value> = resources(&template, "AWS::DynamoDB::Table").into_iter().collect();
    assert_eq!(made.keys().copied().collect::<BTreeSet<_>>(), Table::ALL.map(Table::name).into_iter().collect());
    for table in Table::ALL {
        let made = made[table.name()];
        let mut attributes = made["AttributeDefinitions"].as_array().expect("attributes").clone();
        attributes.sort_by_key(ToString::to_string);
        let mut indexes = made["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
        for index in indexes.iter_mut().filter_map(Value::as_object_mut) {
            // How fast it is when it is made is no part of what it is.
            index.remove("WarmThroughput");
        }
        let shown = json!({
            "attributes": attributes,
            "keys": made["KeySchema"],
            "indexes": indexes,
            "stream": made["StreamSpecification"],
        });
        assert_eq!(shown, defined(table), "{table}");
        assert_eq!(made["TableName"]["Fn::Sub"], format!("${{AWS::StackName}}-{table}"));
        let ttl = (table == Table::Sessions).then(|| json!({ "AttributeName": tables::TTL, "Enabled": true }));
        assert_eq!(made["TimeToLiveSpecification"], json!(ttl), "{table}");
    }
}

#[test]
fn invoices_and_its_index_of_customers_are_made_ready_for_a_large_run_if_the_operator_says_so() {
    let template = root_template();
    let warm = json!({ "Fn::If": [
        "WarmsInvoices",
        { "WriteUnitsPerSecond": { "Ref": "InvoiceWriteUnits" } },
        { "Ref": "AWS::NoValue" },
    ] });
    let mut warmed = Vec::new();
    for (name, table) in resources(&template, "AWS::DynamoDB::Table") {
        let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let indexes = indexes.map(|it| (it["IndexName"].as_str().expect("a name"), it));
        for (part, it) in [(name, table)].into_iter().chain(indexes) {
            if !it["WarmThroughput"].is_null() {
                assert_eq!(it["WarmThroughput"], warm, "{part}");
                warmed.push(part.to_owned());
            }
        }
    }
    assert_eq!(warmed, ["Invoices", "user-index"]);
    let condition = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "InvoiceWriteUnits" }, "0"] }] });
    assert_eq!(template["Conditions"]["WarmsInvoices"], condition);
    assert_eq!(template["Parameters"]["InvoiceWriteUnits"]["Default"], "0");
}

#[test]
fn no_table_is_lost_by_mistake() {
    let template = root_template();
    for (name, resource) in template["Resources"].as_object().expect("resources") {
        if resource["Type"] == "AWS::DynamoDB::Table" {
            let it = &resource["Properties"];
            assert_eq!(it["BillingMode"], "PAY_PER_REQUEST", "{name}");
            assert_eq!(it["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
            assert_eq!(it["DeletionProtectionEnabled"]["Ref"], "DeletionProtection", "{name}");
            assert_eq!(it["SSESpecification"]["SSEEnabled"], true, "{name}");
            assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
            assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
        }
    }
    assert_eq!(template["Parameters"]["DeletionProtection"]["Default"], "true");
}

/// The schedules: cron expression, function and input.
fn schedules(template: &Value) -> Vec<(String, &'static str, String)> {
    let mut all = Vec::new();
    for (name, function) in resources(template, "AWS::Serverless::Function") {
        for event in function["Events"].as_object().into_iter().flatten().map(|(_, it)| it) {
            if event["Type"] != "ScheduleV2" {
                continue;
            }
            let it = &event["Properties"];
            assert_eq!(it["ScheduleExpressionTimezone"], "Asia/Seoul");
            assert_eq!(it["FlexibleTimeWindow"]["Mode"], "OFF");
            assert_eq!(it["State"]["Ref"], "Schedules");
            assert_eq!(it["DeadLetterConfig"]["Arn"]["Fn::GetAtt"], "TickDeadLetters.Arn");
            assert!(it["RetryPolicy"]["MaximumRetryAttempts"].as_u64().is_some_and(|times| times > 0));
            let function = if name == "PlannerFunction" { "planner" } else { "reconciler" };
            let text = |field: &str| it[field].as_str().expect(field).to_owned();
            all.push((text("ScheduleExpression"), function, text("Input")));
        }
    }
    all
}

/// Every minute of the day at which a cron expression of ours fires.
fn minutes(cron: &str) -> Vec<u32> {
    let fields = cron.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')')).expect("a cron expression");
    let fields: Vec<&str> = fields.split(' ').collect();
    let [minute, hours, "*", "*", "?", "*"] = fields.as_slice() else {
        panic!("six fields, of which the last four say every day: {cron}");
    };
    let minute: u32 = minute.parse().expect("a minute");
    let (first, last) = hours.split_once('-').unwrap_or((hours, hours));
    let hours = first.parse::<u32>().expect("an hour")..=last.parse().expect("an hour");
    assert!(minute < 60 && *hours.end() < 24);
    hours.map(|hour| hour * 60 + minute).collect()
}

#[test]
fn the_schedules_are_those_that_the_sandbox_lives_by() {
    let template = root_template();
    let ours: BTreeSet<String> = schedules(&template).into_iter().map(|(cron, ..)| cron).collect();
    let engine = text("crates/sandbox/src/engine.rs");
    let theirs = engine.lines().filter_map(|line| line.trim().strip_prefix("/// `cron(")?.strip_suffix(")`"));
    assert_eq!(ours, theirs.map(|fields| format!("cron({fields})")).collect());
    assert_eq!(schedules(&template).len(), 4);
}

#[test]
fn nothing_is_scheduled_while_banks_are_down() {
    for (cron, ..) in schedules(&root_template()) {
        for minute in minutes(&cron) {
            assert!((30..23 * 60 + 30).contains(&minute), "{cron} fires at {:02}:{:02}", minute / 60, minute % 60);
        }
    }
}

#[test]
fn the_planner_runs_every_day_at_ten_and_so_on_the_first() {
    let crons: Vec<_> = schedules(&root_template()).into_iter().filter(|it| it.1 == "planner").collect();
    assert_eq!(crons.iter().map(|(cron, ..)| minutes(cron)).collect::<Vec<_>>(), [vec![600]]);
}

#[test]
fn a_schedules_input_is_an_event_of_its_function_and_carries_the_scheduled_time() {
    for (_, function, input) in schedules(&root_template()) {
        assert!(input.contains("\"<aws.scheduler.scheduled-time>\""), "{input}");
        let input = input.replace("<aws.scheduler.scheduled-time>", "2026-12-01T01:00:00Z");
        match function {
            "planner" => assert!(matches!(serde_json::from_str(&input), Ok(PlannerEvent::Tick { .. })), "{input}"),
            _ => assert!(serde_json::from_str::<ReconcilerEvent>(&input).is_ok(), "{input}"),
        }
    }
}

#[test]
fn no_secrets_text_is_in_the_template() {
    let template = root_template();
    let secrets = resources(&template, "AWS::SecretsManager::Secret");
    assert_eq!(secrets.len(), 3);
    for (name, secret) in secrets {
        assert!(secret["SecretString"].is_null(), "{name}");
        if let Some(generated) = secret["GenerateSecretString"].as_object() {
            assert!(generated["PasswordLength"].as_u64().is_some_and(|it| it >= 32), "the code takes no less");
            assert_eq!(generated["ExcludePunctuation"], true, "two are separated by a blank, or are a JSON list");
        }
    }
}

/// The routes: method and path as the template writes them, whether signed, and behind which function.
fn routes(template: &Value) -> Vec<(String, String, bool, String)> {
    let routes = resources(template, "AWS::ApiGatewayV2::Route").into_iter();
    let routes = routes.map(|(_, route)| {
        let (method, path) = route["RouteKey"].as_str().and_then(|key| key.split_once(' ')).expect("a route's key");
        let is_signed = match route["AuthorizationType"].as_str() {
            Some("AWS_IAM") => true,
            Some("NONE") => false,
            other => panic!("{other:?}"),
        };
        let target = route["Target"]["Fn::Sub"].as_str().expect("a target").to_owned();
        (method.to_owned(), path.to_owned(), is_signed, target)
    });
    routes.collect()
}

/// Whether a route takes a path: `{page}` is one part of it, `{proxy+}` all the rest.
fn takes(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    if route.last() == Some(&"{proxy+}") {
        let before = route.len() - 1;
        return path.len() > before && path.starts_with(&route[..before]);
    }
    route.len() == path.len() && route.iter().zip(&path).all(|(route, part)| route == part || route.starts_with('{'))
}

#[test]
fn every_documented_operation_has_one_route_and_the_backends_are_signed() {
    let template = root_template();
    let routes = routes(&template);
    let document: Value = serde_json::from_str(&text("docs/openapi.json")).expect("JSON");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let takers: Vec<_> =
                routes.iter().filter(|route| route.0.eq_ignore_ascii_case(method) && takes(&route.1, path)).collect();
            let [(_, _, is_signed, target)] = takers.as_slice() else { panic!("{method} {path}: {takers:?}") };
            let is_webhook = path == "/api/portone/billing-webhook";
            let is_open = is_webhook || path == "/health" || path.starts_with("/payment/");
            assert_eq!(*is_signed, !is_open, "{method} {path}");
            assert_eq!(target == "integrations/${WebhookIntegration}", is_webhook, "{method} {path}");
        }
    }
    let waited: Vec<_> = template["Resources"]["HttpStage"]["DependsOn"].as_array().expect("routes").clone();
    assert_eq!(waited.len(), routes.len(), "a stage is made after its routes");
}

#[test]
fn the_access_log_is_json_and_holds_nothing_of_a_query() {
    let template = root_template();
    let stage = &template["Resources"]["HttpStage"]["Properties"];
    let format: Value =
        serde_json::from_str(stage["AccessLogSettings"]["Format"].as_str().expect("a format")).expect("JSON");
    let allowed = [
        "$context.requestId",
        "$context.requestTime",
        "$context.routeKey",
        "$context.status",
        "$context.responseLatency",
        "$context.responseLength",
        "$context.identity.sourceIp",
        "$context.identity.userArn",
        "$context.error.message",
        "$context.integrationErrorMessage",
    ];
    for value in format.as_object().expect("fields").values() {
        assert!(
            allowed.contains(&value.as_str().expect("a variable")),
            "{value}: a billing key is in the query of a redirect"
        );
    }
    assert!(stage["DefaultRouteSettings"]["ThrottlingRateLimit"]["Ref"].is_string());
    assert!(stage["RouteSettings"]["POST /api/portone/billing-webhook"]["ThrottlingRateLimit"]["Ref"].is_string());
}

#[test]
fn every_log_is_kept_for_as_long_as_the_operator_says() {
    for path in ["template.yaml", "infra/mail.yaml"] {
        for (name, log) in resources(&template(path), "AWS::Logs::LogGroup") {
            assert_eq!(log["RetentionInDays"]["Ref"], "LogDays", "{name}");
        }
    }
}

#[test]
fn only_this_stacks_rule_may_write_bounces_into_the_log() {
    let mail = template("infra/mail.yaml");
    let policy = &mail["Resources"]["FeedbackMayBeLogged"]["Properties"]["PolicyDocument"]["Fn::Sub"];
    let policy: Value = serde_json::from_str(policy.as_str().expect("a policy")).expect("JSON");
    for statement in policy["Statement"].as_array().expect("statements") {
        let condition = match statement["Action"].as_str() {
            Some("logs:PutLogEvents") => json!({ "ArnEquals": { "aws:SourceArn": "${FeedbackRule.Arn}" } }),
            Some("logs:CreateLogStream") => Value::Null,
            other => panic!("{other:?}"),
        };
        assert_eq!(statement["Condition"], condition);
    }
    assert_eq!(mail["Resources"]["FeedbackRule"]["Type"], "AWS::Events::Rule");
}

#[test]
fn every_queue_is_encrypted_and_dead_letters_are_kept_for_two_weeks() {
    for (name, queue) in resources(&root_template(), "AWS::SQS::Queue") {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
        if name.ends_with("DeadLetters") {
            assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 3600, "{name}");
        }
    }
}

#[test]
fn a_functions_messages_outlive_the_pause_and_their_deliveries_and_are_gone_by_the_next_run() {
    let template = root_template();
    let queues = resources(&template, "AWS::SQS::Queue");
    let kept: Vec<_> = queues.into_iter().filter(|(_, queue)| !queue["RedrivePolicy"].is_null()).collect();
    assert_eq!(kept.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["CollectQueue", "PlanQueue"]);
    let planner = &template["Resources"]["PlannerFunction"]["Properties"]["Events"];
    let ticks = planner.as_object().expect("events").values().filter(|it| it["Type"] == "ScheduleV2");
    let late = ticks.map(|it| it["Properties"]["RetryPolicy"]["MaximumEventAgeInSeconds"].as_u64().expect("seconds"));
    let late = late.max().expect("a tick");
    let begins = 3_600 * u64::try_from(calendar::BILLING_HOUR).expect("an hour");
    let pause_ends = (24 * 60 + 30) * 60 - begins;
    for (name, queue) in kept {
        let seconds = |field: &Value| field.as_u64().expect("a number");
        let kept = seconds(&queue["MessageRetentionPeriod"]);
        let deliveries = seconds(&queue["RedrivePolicy"]["maxReceiveCount"]) * seconds(&queue["VisibilityTimeout"]);
        assert!(kept >= pause_ends + deliveries, "{name}: gone before it is put aside");
        assert!(kept + late <= 24 * 3_600, "{name}: the next run finds this one's messages");
    }
}

#[test]
fn every_parameter_says_in_plain_words_what_it_is_and_refuses_nonsense() {
    let template = root_template();
    let grouped: Vec<Value> = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        .as_array()
        .expect("groups")
        .iter()
        .flat_map(|group| group["Parameters"].as_array().expect("parameters").clone())
        .collect();
    let parameters = template["Parameters"].as_object().expect("parameters");
    for (name, parameter) in parameters {
        assert!(
            parameter["Description"].as_str().is_some_and(|text| text.ends_with('.') || text.ends_with(')')),
            "{name}"
        );
        let limits = ["AllowedPattern", "AllowedValues", "MinValue"];
        assert!(limits.iter().any(|limit| !parameter[limit].is_null()), "{name} takes anything");
        assert_eq!(parameter["AllowedPattern"].is_null(), parameter["ConstraintDescription"].is_null(), "{name}");
        assert!(grouped.contains(&json!(name)), "{name} is in no group");
    }
    assert_eq!(grouped.len(), parameters.len());
}

#[test]
fn the_policy_checker_is_told_of_each_resource_what_it_is_not_asked_and_why() {
    assert!(!text("infra/validate/checkov.yaml").contains("skip-check"), "a check that is left out everywhere");
    for path in ["template.yaml", "infra/mail.yaml", "infra/watch.yaml"] {
        let template = template(path);
        for (name, resource) in template["Resources"].as_object().expect("resources") {
            for skipped in resource["Metadata"]["checkov"]["skip"].as_array().into_iter().flatten() {
                assert!(skipped["id"].as_str().is_some_and(|id| id.starts_with("CKV_")), "{name}");
                assert!(skipped["comment"].as_str().is_some_and(|why| why.ends_with('.')), "{name}");
            }
        }
    }
}

#[test]
fn the_first_output_is_the_address_for_portones_console() {
    let template = text("template.yaml");
    let (_, outputs) = template.split_once("\nOutputs:\n").expect("outputs");
    assert!(outputs.trim_start().starts_with("WebhookUrl:"));
}

/// The policy of the customer's backend names routes by hand: with a wrong one, its calls would be refused on the first day.
#[test]
fn the_backends_policy_allows_exactly_the_signed_routes() {
    let template = root_template();
    let policies = resources(&template, "AWS::IAM::ManagedPolicy");
    let [("BackendPolicy", policy)] = policies.as_slice() else { panic!("{policies:?}") };
    let [statement] = policy["PolicyDocument"]["Statement"].as_array().expect("statements").as_slice() else {
        panic!("one statement: {policy}");
    };
    assert_eq!((&statement["Effect"], &statement["Action"]), (&json!("Allow"), &json!("execute-api:Invoke")));
    let api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}";
    let stage = template["Resources"]["HttpStage"]["Properties"]["StageName"].as_str().expect("a stage");
    let allowed = statement["Resource"].as_array().expect("routes").iter();
    let allowed: BTreeSet<String> = allowed.map(|it| it["Fn::Sub"].as_str().expect("an ARN").to_owned()).collect();
    let signed = routes(&template).into_iter().filter(|(_, _, is_signed, _)| *is_signed);
    let signed = signed.map(|(method, path, ..)| format!("{api}/{stage}/{method}{}", path.replace("{proxy+}", "*")));
    assert_eq!(allowed, signed.collect());
}
