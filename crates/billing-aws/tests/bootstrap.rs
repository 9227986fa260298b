//! A function's start: its configuration from a real environment, its endpoints from `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_DYNAMODB`.
//!
//! A process's environment is not changed by tests, so the start is made in a process of its own: this same binary, asked for the one test
//! that is ignored otherwise.

use billing_aws::bootstrap;
use billing_aws::config::{self, Tables};
use billing_core::id::{SubscriptionId, UserId};
use billing_core::subscription::SubscriptionKey;
use billing_flows::ports::Store;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
#[ignore = "run by the other test, with an environment"]
async fn in_a_process_of_its_own() {
    let aws = bootstrap::start("worker").await;
    let (tables, portone, dunning) = config::from_env().unwrap();
    let billing = aws.billing(tables, &portone, dunning).await.unwrap();
    let key =
        SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() };
    assert!(billing.store.subscription(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_function_starts_with_what_its_environment_says() {
    let (dynamodb, others, portone) = (MockServer::start().await, MockServer::start().await, MockServer::start().await);
    Mock::given(header("x-amz-target", "DynamoDB_20120810.GetItem"))
        .respond_with(ResponseTemplate::new(200).set_body_raw("{}", "application/x-amz-json-1.0"))
        .mount(&dynamodb)
        .await;
    Mock::given(header("x-amz-target", "secretsmanager.GetSecretValue"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_raw(json!({ "SecretString": "secret\n" }).to_string(), "application/x-amz-json-1.1"),
        )
        .expect(1)
        .mount(&others)
        .await;
    Mock::given(method("HEAD")).respond_with(ResponseTemplate::new(404)).expect(1).mount(&portone).await;
    let tables = Tables::with_prefix("test");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "in_a_process_of_its_own"])
        .env("AWS_ENDPOINT_URL", others.uri())
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.uri())
        .env("AWS_REGION", "ap-northeast-2")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("TABLE_BILLING_KEYS", tables.billing_keys)
        .env("TABLE_SUBSCRIPTIONS", tables.subscriptions)
        .env("TABLE_INVOICES", tables.invoices)
        .env("TABLE_EVENTS", tables.events)
        .env("TABLE_SESSIONS", tables.sessions)
        .env("TABLE_CONTROLS", tables.controls)
        .env("PORTONE_STORE_ID", "store-1")
        .env("PORTONE_MODE", "test")
        .env("PORTONE_API_SECRET_ID", "b/api")
        .env("PORTONE_BASE_URL", portone.uri())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success());
    let requests = dynamodb.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2, "one to open the connection, one to read");
    let agent = requests[1].headers["user-agent"].to_str().unwrap();
    assert!(agent.contains("app/worker"), "{agent}");
}
