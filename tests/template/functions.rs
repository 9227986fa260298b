//! Each function: its variables, what its role allows, what sets it off.

use crate::code::{FUNCTIONS, Function, Permission, Walk, permissions};
use crate::yaml::{resources, template, text};
use billing_aws::config::{self, Checkout, Dunning, Group, MailFrom, Metrics, PortOne, Queues, Tables, Webhooks};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

fn root_template() -> Value {
    template("template.yaml")
}

/// The functions' properties, by name.
fn functions(template: &Value) -> BTreeMap<&str, &Value> {
    let all = resources(template, "AWS::Serverless::Function").into_iter();
    all.map(|(name, it)| (name.strip_suffix("Function").expect("a function's name ends so"), it)).collect()
}

/// The variables that a group reads, told by reading it.
fn variables_of<G: Group>() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    drop(config::read::<G>(|name| {
        asked.borrow_mut().insert(name.to_owned());
        // The PG is asked for only where there is a channel for cards.
        (name == "PORTONE_CARD_CHANNEL_KEY").then(|| "channel-key".to_owned())
    }));
    asked.into_inner()
}

/// The groups of variables that a function's wiring names.
fn groups(function: &Function) -> Vec<String> {
    let source = text(function.main);
    let (before, _) = source.split_once("config::from_env()?").expect("a function reads its configuration");
    let (_, types) = before.rsplit_once("): (").expect("with its types");
    let (types, _) = types.split_once(')').expect("in parentheses");
    types.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The variables that a function's code reads.
fn variables(function: &Function) -> BTreeSet<String> {
    // Whoever counts anything reads this one, by way of `bootstrap::telemetry`.
    let mut all = variables_of::<Metrics>();
    for group in groups(function) {
        all.extend(match group.as_str() {
            "Tables" => variables_of::<Tables>(),
            "PortOne" => variables_of::<PortOne>(),
            "Webhooks" => variables_of::<Webhooks>(),
            "Queues" => variables_of::<Queues>(),
            "Checkout" => variables_of::<Checkout>(),
            "MailFrom" => variables_of::<MailFrom>(),
            "Dunning" => variables_of::<Dunning>(),
            other => panic!("a group that this test does not know: {other}"),
        });
    }
    all
}

/// The variables that the template gives a function, with their values.
fn given<'a>(template: &'a Value, properties: &'a Value) -> BTreeMap<&'a str, &'a Value> {
    let globals = template["Globals"]["Function"]["Environment"]["Variables"].as_object();
    let own = properties["Environment"]["Variables"].as_object();
    globals.into_iter().chain(own).flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

/// One statement's permissions: an action, and a resource as the template writes it.
fn allowed(role: &Value) -> BTreeMap<Permission, usize> {
    let mut all = BTreeMap::new();
    assert!(role["ManagedPolicyArns"].is_null(), "a policy of AWS's own allows more than is needed");
    for policy in role["Policies"].as_array().expect("policies") {
        for statement in policy["PolicyDocument"]["Statement"].as_array().expect("statements") {
            assert_eq!(statement["Effect"], "Allow");
            assert!(statement["NotAction"].is_null() && statement["NotResource"].is_null());
            let listed = |field: &Value| field.as_array().cloned().unwrap_or_else(|| vec![field.clone()]);
            for action in listed(&statement["Action"]) {
                for resource in listed(&statement["Resource"]) {
                    let action = action.as_str().expect("an action").to_owned();
                    *all.entry((action, shown(&resource))).or_default() += 1;
                }
            }
        }
    }
    all
}

/// A resource as text: a table or an index of it as the code calls them, anything else as the template writes it.
fn shown(resource: &Value) -> String {
    let by_arn = |text: &str| text.strip_suffix(".Arn").map(str::to_owned);
    if let Some(name) = resource["Fn::GetAtt"].as_str().and_then(by_arn) {
        return name;
    }
    if let Some(name) = resource["Ref"].as_str() {
        return name.to_owned();
    }
    match resource["Fn::Sub"].as_str().and_then(|text| text.strip_prefix("${")?.split_once(".Arn}")) {
        Some((table, rest)) => format!("{table}{rest}"),
        None => resource.to_string(),
    }
}

/// What the value of a variable names.
fn named(given: &BTreeMap<&str, &Value>, variable: &str) -> String {
    given[variable]["Ref"]
        .as_str()
        .unwrap_or_else(|| panic!("{variable} must name a resource of this template"))
        .to_owned()
}

/// What a function's code, and what sets it off, ask of IAM.
fn needed(template: &Value, function: &Function, properties: &Value) -> BTreeSet<Permission> {
    let given = given(template, properties);
    let mut all = BTreeSet::new();
    let mut may = |action: &str, on: String| {
        all.insert((action.to_owned(), on));
    };
    let walk = Walk::of(function);
    for request in walk.requests_from(&["handle"]) {
        match (request.0, request.1.as_str()) {
            ("queue", "send_collect" | "send_collect_later") => {
                may("sqs:SendMessage", named(&given, "QUEUE_COLLECT_URL"));
            }
            ("queue", "send_plan") => may("sqs:SendMessage", named(&given, "QUEUE_PLAN_URL")),
            ("queue", other) => panic!("a request of the queue that this test does not know: {other}"),
            ("mailer", "send") => {
                let arn = |what: &str| json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:ses:${{AWS::Region}}:${{AWS::AccountId}}:{what}") });
                may("ses:SendEmail", shown(&arn("identity/${MailDomain}")));
                assert_eq!(named(&given, "MAIL_CONFIGURATION_SET"), "AWS::StackName");
                may("ses:SendEmail", shown(&arn("configuration-set/${AWS::StackName}")));
            }
            ("mailer", other) => panic!("a request of the mailer that this test does not know: {other}"),
            _ => permissions(&request).into_iter().for_each(|(action, on)| may(&action, on)),
        }
    }
    for variable in given.keys().filter(|name| name.ends_with("_SECRET_ID")) {
        may("secretsmanager:GetSecretValue", named(&given, variable));
    }
    for event in properties["Events"].as_object().into_iter().flatten().map(|(_, event)| event) {
        let source = &event["Properties"];
        match event["Type"].as_str().expect("a type") {
            // The schedule has a role of its own.
            "ScheduleV2" => {}
            "SQS" => {
                for action in ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"] {
                    may(&format!("sqs:{action}"), shown(&source["Queue"]));
                }
            }
            "DynamoDB" => {
                for action in ["DescribeStream", "GetRecords", "GetShardIterator"] {
                    may(&format!("dynamodb:{action}"), shown(&source["Stream"]));
                }
                let table = source["Stream"]["Fn::GetAtt"].as_str().and_then(|it| it.strip_suffix(".StreamArn"));
                may("dynamodb:ListStreams", format!("{}/stream/*", table.expect("a table's stream")));
                may("sqs:SendMessage", shown(&source["DestinationConfig"]["OnFailure"]["Destination"]));
            }
            other => panic!("an event that this test does not know: {other}"),
        }
    }
    let destination = &properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"];
    if !destination.is_null() {
        may("sqs:SendMessage", shown(destination));
    }
    for action in ["CreateLogStream", "PutLogEvents"] {
        may(&format!("logs:{action}"), format!("{}Log", function.name));
    }
    // X-Ray has no resources to name: the only star there is.
    for action in ["PutTraceSegments", "PutTelemetryRecords"] {
        may(&format!("xray:{action}"), "\"*\"".to_owned());
    }
    all
}

#[test]
fn the_template_has_exactly_the_functions_that_are_built() {
    let template = root_template();
    let ours: BTreeSet<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(functions(&template).keys().copied().collect::<BTreeSet<_>>(), ours);
    for (name, properties) in functions(&template) {
        let binary = name.to_lowercase();
        assert_eq!(properties["CodeUri"], format!("target/lambda/{binary}/bootstrap.zip"));
        assert_eq!(properties["FunctionName"]["Fn::Sub"], format!("${{AWS::StackName}}-{binary}"), "alarms go by it");
        assert_eq!(
            properties["LoggingConfig"],
            json!({ "LogFormat": "JSON", "LogGroup": { "Ref": format!("{name}Log") } })
        );
        assert_eq!(properties["Role"]["Fn::GetAtt"], format!("{name}Role.Arn"));
    }
    let all = &template["Globals"]["Function"];
    assert_eq!((&all["Runtime"], &all["Handler"]), (&json!("provided.al2023"), &json!("bootstrap")));
    assert_eq!((&all["Architectures"], &all["Tracing"]), (&json!(["arm64"]), &json!("Active")));
}

#[test]
fn each_function_is_given_exactly_the_variables_that_its_code_reads() {
    let template = root_template();
    for function in &FUNCTIONS {
        let given: BTreeSet<String> =
            given(&template, functions(&template)[function.name]).keys().map(|&name| name.to_owned()).collect();
        let read = variables(function);
        let (missing, idle): (Vec<_>, Vec<_>) = (read.difference(&given).collect(), given.difference(&read).collect());
        assert!(missing.is_empty() && idle.is_empty(), "{}: not set {missing:?}; not read {idle:?}", function.name);
    }
}

#[test]
fn the_manual_lists_each_variable_with_the_functions_that_read_it() {
    let manual = text("docs/OPERATIONS.md");
    let (_, table) = manual.split_once("\n| variable | needed | is | read by |\n").expect("the table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    let mut listed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in table.lines().filter(|row| row.contains('`')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [names, _, _, readers] = cells.as_slice() else { panic!("four cells: {row}") };
        let names = names.split('`').skip(1).step_by(2).map(str::to_owned);
        for function in FUNCTIONS.iter().map(|function| function.name) {
            if *readers == "all" || readers.split(", ").any(|reader| reader.eq_ignore_ascii_case(function)) {
                listed.entry(function).or_default().extend(names.clone());
            }
        }
    }
    for function in &FUNCTIONS {
        assert_eq!(listed[function.name], variables(function), "{}", function.name);
    }
}

#[test]
fn each_variable_of_a_table_names_that_table() {
    let template = root_template();
    let of_tables = variables_of::<Tables>();
    let given = &template["Globals"]["Function"]["Environment"]["Variables"];
    for variable in &of_tables {
        let plain = variable.trim_start_matches("TABLE_").replace('_', "").to_lowercase();
        let named = given[variable]["Ref"].as_str().unwrap_or_default();
        assert_eq!(named.to_lowercase(), plain, "{variable}");
        assert_eq!(template["Resources"][named]["Type"], "AWS::DynamoDB::Table");
    }
    assert_eq!(of_tables.len(), billing_aws::tables::Table::ALL.len());
}

/// What each variable refers to, but for those of tables, whose names say it.
const REFERS: [(&str, &str); 21] = [
    ("CHECKOUT_SECRET_ID", "CheckoutSecret"),
    ("DUNNING_DAYS", "DunningDays"),
    ("MAIL_COMPANY_LINE", "MailCompanyLine"),
    ("MAIL_CONFIGURATION_SET", "AWS::StackName"),
    ("MAIL_FROM", "MailFrom"),
    ("MAIL_MANAGE_URL", "MailManageUrl"),
    ("MAIL_SUPPORT_EMAIL", "MailSupportEmail"),
    ("PORTONE_API_SECRET_ID", "PortOneApiSecret"),
    ("PORTONE_BASE_URL", "PortOneBaseUrl"),
    ("PORTONE_CARD_CHANNEL_KEY", "CardChannelKey"),
    ("PORTONE_CARD_PG", "CardPg"),
    ("PORTONE_CHARGES_PER_SECOND", "ChargesPerSecond"),
    ("PORTONE_MODE", "PortOneMode"),
    ("PORTONE_PAYPAL_CHANNEL_KEY", "PayPalChannelKey"),
    ("PORTONE_SDK_URL", "PortOneSdkUrl"),
    ("PORTONE_STORE_ID", "PortOneStoreId"),
    ("PORTONE_WEBHOOK_SECRET_ID", "PortOneWebhookSecret"),
    ("PRIVACY_URL", "PrivacyUrl"),
    ("QUEUE_COLLECT_URL", "CollectQueue"),
    ("QUEUE_PLAN_URL", "PlanQueue"),
    ("TERMS_URL", "TermsUrl"),
];

#[test]
fn each_other_variable_refers_to_what_its_name_says() {
    let template = root_template();
    let mut met = BTreeSet::new();
    for (function, properties) in functions(&template) {
        for (variable, value) in properties["Environment"]["Variables"].as_object().into_iter().flatten() {
            let expected = REFERS.iter().find(|(name, _)| name == variable).map(|(_, it)| *it);
            met.extend(expected.map(|_| variable.to_owned()));
            match variable.as_str() {
                "PORTONE_READ_TIMEOUT_SECONDS" | "PORTONE_CONNECT_TIMEOUT_SECONDS" => assert!(value.is_string()),
                "PUBLIC_URL" => assert_eq!(
                    (&value["Fn::If"][0], &value["Fn::If"][1]["Ref"]),
                    (&json!("HasPublicUrl"), &json!("PublicUrl"))
                ),
                _ => assert_eq!(value["Ref"].as_str(), expected, "{function}: {variable}"),
            }
        }
    }
    assert_eq!(met.len(), REFERS.len(), "only {met:?} are given to a function");
}

#[test]
fn each_role_allows_exactly_what_its_functions_code_does() {
    let template = root_template();
    let roles: BTreeMap<&str, &Value> = resources(&template, "AWS::IAM::Role").into_iter().collect();
    let mut wrong = Vec::new();
    for function in &FUNCTIONS {
        let allowed = allowed(roles[format!("{}Role", function.name).as_str()]);
        let needed = needed(&template, function, functions(&template)[function.name]);
        wrong.extend(
            needed.iter().filter(|it| !allowed.contains_key(*it)).map(|it| format!("{}: needs {it:?}", function.name)),
        );
        wrong.extend(
            allowed
                .keys()
                .filter(|it| !needed.contains(*it))
                .map(|it| format!("{}: has no use for {it:?}", function.name)),
        );
        let twice: Vec<_> = allowed.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{} is allowed twice: {twice:?}", function.name);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(roles.len(), FUNCTIONS.len(), "a role that belongs to no function");
}

#[test]
fn no_request_is_out_of_the_walks_reach() {
    let (mut reached, mut requesting) = (BTreeSet::new(), BTreeSet::new());
    for function in &FUNCTIONS {
        let walk = Walk::of(function);
        reached.extend(walk.reached(&["handle"]));
        requesting.extend(walk.requesting());
    }
    let lost: Vec<_> = requesting.difference(&reached).collect();
    // What the sandbox and its tests call, and no function.
    assert_eq!(lost, ["start"], "requests in functions that no handler reaches");
}

#[test]
fn a_queue_hides_its_messages_for_six_times_as_long_as_their_function_may_run_and_while_a_batch_is_gathered() {
    let template = root_template();
    for (name, properties) in functions(&template) {
        for event in properties["Events"].as_object().into_iter().flatten().map(|(_, it)| it) {
            if event["Type"] == "SQS" {
                let queue = shown(&event["Properties"]["Queue"]);
                let queue = &template["Resources"][&queue]["Properties"];
                let (hides, runs) = (queue["VisibilityTimeout"].as_u64(), properties["Timeout"].as_u64());
                let gathered = event["Properties"]["MaximumBatchingWindowInSeconds"].as_u64().unwrap_or(0);
                assert!(hides.expect("seconds") >= 6 * runs.expect("seconds") + gathered, "{name}");
                let dead = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].as_str();
                assert!(dead.is_some_and(|it| it.ends_with("DeadLetters.Arn")), "{name}");
                assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], 5, "docs/OPERATIONS.md says five");
                assert_eq!(event["Properties"]["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
            }
        }
    }
}

#[test]
fn functions_run_for_as_long_as_their_work_may_take() {
    let template = root_template();
    let functions = functions(&template);
    let seconds = |name: &str| i64::try_from(functions[name]["Timeout"].as_u64().expect("a timeout")).expect("seconds");
    let answer = |name: &str| -> i64 {
        let value = functions[name]["Environment"]["Variables"]["PORTONE_READ_TIMEOUT_SECONDS"].as_str();
        value.expect("a limit").parse().expect("seconds")
    };
    // PortOne asks to be waited for 60 s or more; a charge waits once, and has its rows to read and to write.
    assert!(answer("Worker") >= 60 && seconds("Worker") >= answer("Worker") + 20);
    assert!(seconds("Worker") < billing_core::invoice::LEASE.as_secs(), "an answer comes before its lease is over");
    assert!(answer("Reconciler") >= 60 && seconds("Reconciler") == 900);
    for behind_http in ["Webhook", "Api"] {
        assert!(seconds(behind_http) < 30, "the HTTP API waits for 30 s");
        assert!(answer(behind_http) + 5 <= seconds(behind_http));
    }
    assert!(seconds("Notifier") < billing_flows::notify::MAIL_LEASE.as_secs(), "a claim outlives the batch");
}

#[test]
fn the_stream_is_read_in_batches_that_lose_nothing() {
    let template = root_template();
    let outbox = &functions(&template)["Notifier"]["Events"]["Outbox"]["Properties"];
    assert_eq!(outbox["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(outbox["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(
        (&outbox["BisectBatchOnFunctionError"], &outbox["MaximumRecordAgeInSeconds"]),
        (&json!(true), &json!(86_400))
    );
    assert_eq!(outbox["ParallelizationFactor"]["Ref"], "NotifiersPerShard");
    let limits = &template["Parameters"]["NotifiersPerShard"];
    assert_eq!((&limits["MinValue"], &limits["MaxValue"]), (&json!(1), &json!(10)), "Lambda takes no less and no more");
    assert_eq!(outbox["MaximumRetryAttempts"], -1, "docs/OPERATIONS.md says that its age alone ends a record");
    assert!(outbox["BatchSize"].as_u64().is_some_and(|size| size <= billing_flows::ports::MAX_CLAIMS as u64));
    let filters = outbox["FilterCriteria"]["Filters"].as_array().expect("filters");
    let patterns: Vec<Value> = filters
        .iter()
        .map(|filter| serde_json::from_str(filter["Pattern"].as_str().expect("a pattern")).expect("a pattern is JSON"))
        .collect();
    assert_eq!(patterns, [json!({ "eventName": ["INSERT"] })], "the records that `notifier` does not leave aside");
}

#[test]
fn the_sandbox_and_the_attack_hide_a_workers_messages_for_as_long_as_the_template_does() {
    let template = root_template();
    let seconds = template["Resources"]["CollectQueue"]["Properties"]["VisibilityTimeout"].as_u64();
    for path in ["crates/sandbox/src/queue.rs", "tests/sim/delivery.rs"] {
        let hidden = number_after(path, "VISIBILITY: SignedDuration = SignedDuration::from_secs(");
        assert_eq!(Some(hidden), seconds, "{path}");
    }
}

#[test]
fn a_workers_batch_is_a_parameter_and_so_is_the_number_of_workers() {
    let template = root_template();
    let due = &functions(&template)["Worker"]["Events"]["Due"]["Properties"];
    assert_eq!(due["BatchSize"]["Ref"], "WorkerBatch");
    assert_eq!(template["Parameters"]["WorkerBatch"]["Default"], charger::worker::BATCH);
    assert_eq!(due["MaximumBatchingWindowInSeconds"], 1, "SQS gathers more than ten messages for a second or more");
    assert_eq!(due["ScalingConfig"]["MaximumConcurrency"]["Ref"], "WorkerConcurrency");
    let limits = &template["Parameters"]["WorkerConcurrency"];
    assert_eq!((&limits["MinValue"], &limits["MaxValue"]), (&json!(2), &json!(1000)), "SQS takes no less and no more");
}

#[test]
fn each_shard_that_is_due_may_have_a_planner_of_its_own() {
    let template = root_template();
    let rest = &functions(&template)["Planner"]["Events"]["Rest"]["Properties"];
    assert_eq!(rest["ScalingConfig"]["MaximumConcurrency"], billing_core::subscription::DUE_SHARDS);
}

/// A condition of a rule, as `CloudFormation` decides it: parameters are text.
fn holds(condition: &Value, parameters: &BTreeMap<&str, String>) -> bool {
    let parts = |name: &str| condition[name].as_array().map(Vec::as_slice);
    let shown = |value: &Value| match value["Ref"].as_str() {
        Some(name) => parameters[name].clone(),
        None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    match (parts("Fn::Not"), parts("Fn::And"), parts("Fn::Equals"), parts("Fn::Contains")) {
        (Some([inner]), None, None, None) => !holds(inner, parameters),
        (None, Some(all), None, None) => all.iter().all(|one| holds(one, parameters)),
        (None, None, Some([one, other]), None) => shown(one) == shown(other),
        (None, None, None, Some([list, one])) => {
            list.as_array().expect("a list").iter().any(|it| shown(it) == shown(one))
        }
        _ => panic!("a condition that this test does not know: {condition}"),
    }
}

/// What the rules say against such a batch at such a pace.
fn refused(template: &Value, batch: u64, charges_per_second: u64) -> Vec<&str> {
    let parameters = template["Parameters"].as_object().expect("parameters").iter();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parameters: BTreeMap<&str, String> =
        parameters.map(|(name, it)| (name.as_str(), shown(&it["Default"]))).collect();
    parameters.insert("CardChannelKey", "channel-key".to_owned());
    parameters.insert("CardPg", "TOSSPAYMENTS".to_owned());
    parameters.insert("WorkerBatch", batch.to_string());
    parameters.insert("ChargesPerSecond", charges_per_second.to_string());
    let rules = template["Rules"].as_object().expect("rules").values();
    let asked = rules.filter(|rule| rule["RuleCondition"].is_null() || holds(&rule["RuleCondition"], &parameters));
    let assertions = asked.flat_map(|rule| rule["Assertions"].as_array().expect("assertions"));
    let wrong = assertions.filter(|it| !holds(&it["Assert"], &parameters));
    wrong.map(|it| it["AssertDescription"].as_str().expect("what to do")).collect()
}

/// The first whole number of a source file that stands behind such text.
fn number_after(path: &str, before: &str) -> u64 {
    let source = text(path);
    let (_, rest) = source.split_once(before).unwrap_or_else(|| panic!("{before:?} is not in {path}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn a_batch_is_no_larger_than_five_times_what_its_worker_sends_in_a_second() {
    let template = root_template();
    let batches = template["Parameters"]["WorkerBatch"]["AllowedValues"].as_array().expect("values");
    let batches: Vec<u64> = batches.iter().map(|it| it.as_u64().expect("a number")).collect();
    assert_eq!(batches.first(), Some(&10), "what SQS hands over at once without gathering has no rule");
    for &batch in batches.iter().skip(1) {
        for each in (1..=200).chain([1_000, 10_000]) {
            let refused = refused(&template, batch, each);
            assert_eq!(refused.is_empty(), batch <= 5 * each, "{batch} at {each} a second: {refused:?}");
            let says = format!("A WorkerBatch of {batch} wants a ChargesPerSecond of {} or more.", batch.div_ceil(5));
            assert!(refused.iter().all(|text| text.starts_with(&says)), "{refused:?}");
        }
    }
    assert!((1..=200).all(|each| refused(&template, 10, each).is_empty()));
}

/// `room` and `take` of `pace.rs`: at the usual distance, at twice that, and at four times that.
#[test]
fn the_largest_batch_at_a_pace_has_its_turns_in_time_when_that_pace_is_halved_and_nearly_all_when_it_is_halved_again() {
    let of_the_pace = |before: &str| number_after("crates/billing-aws/src/gateway/pace.rs", before);
    let wait = of_the_pace("const MAX_WAIT: Duration = Duration::from_secs(");
    let used = of_the_pace("const USED_PERCENT: u32 = ");
    let template = root_template();
    for batch in template["Parameters"]["WorkerBatch"]["AllowedValues"].as_array().expect("values") {
        let batch = batch.as_u64().expect("a number");
        let each = batch.div_ceil(5);
        let fit = |stretch: u64| wait * each * used / 100 / stretch;
        assert!(fit(2) >= batch, "{} of {batch} fit at {each} a second, halved", fit(2));
        assert!(fit(4) * 10 >= batch * 9, "{} of {batch} fit at {each} a second, halved twice", fit(4));
    }
}
