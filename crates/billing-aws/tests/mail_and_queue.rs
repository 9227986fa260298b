//! The mailer and the queues against recorded answers of SES and SQS.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use billing_aws::bootstrap::Aws;
use billing_aws::config::{MailFrom, Queues, catalogue};
use billing_aws::ses::SesMailer;
use billing_core::event::EventKey;
use billing_core::id::{SubscriptionId, UserId};
use billing_core::private::Private;
use billing_flows::mail::Mail;
use billing_flows::ports::{CollectMessage, MAX_DELAY, Mailer, PlanMessage, Queue};
use jiff::SignedDuration;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn aws(endpoint: &str) -> Aws {
    let credentials = Credentials::new("local", "local", None, None, "tests");
    Aws::with(
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("ap-northeast-2"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(endpoint)
            .build(),
    )
}

fn mailer(endpoint: &str) -> SesMailer {
    let from = MailFrom {
        address: "billing@sivera.example".to_owned(),
        manage_url: "https://sivera.example/billing".to_owned(),
        support_email: "support@sivera.example".to_owned(),
        company_line: None,
        configuration_set: Some("billing".to_owned()),
    };
    aws(endpoint).mailer(&from, &catalogue().unwrap())
}

fn mail() -> Mail {
    Mail {
        subject: "[Sivera] 결제 완료".to_owned(),
        html: "<p>감사합니다</p>".to_owned(),
        text: "감사합니다".to_owned(),
    }
}

fn event() -> EventKey {
    EventKey { subject: "inv1".to_owned(), id: "1796086802000-000003".to_owned() }
}

fn to() -> Private {
    Private::new("kim@example.com")
}

#[tokio::test]
async fn a_mail_is_this_request() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v2/email/outbound-emails"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "MessageId": "m" })))
        .mount(&server)
        .await;
    mailer(&server.uri()).send(&to(), &mail(), &event()).await.unwrap();
    let sent: Value = serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    insta::assert_json_snapshot!(sent);
}

#[tokio::test]
async fn a_refused_mail_is_not_tried_again_and_a_refused_sender_is() {
    for (status, code, words, retryable) in [
        (400, "MessageRejected", "Email content is refused for kim@example.com", false),
        (400, "BadRequestException", "Illegal address kim@example.com", false),
        (
            400,
            "MessageRejected",
            "Email address is not verified. The following identities failed: kim@example.com",
            true,
        ),
        (400, "MailFromDomainNotVerifiedException", "x", true),
        (400, "SendingPausedException", "x", true),
        (400, "AccountSuspendedException", "x", true),
        (403, "AccessDeniedException", "x", true),
        (404, "NotFoundException", "x", true),
        (429, "TooManyRequestsException", "x", true),
        (400, "SomethingNewException", "x", true),
        (500, "InternalFailure", "x", true),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status)
            .insert_header("x-amzn-errortype", code)
            .set_body_json(json!({ "message": words }));
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let error = mailer(&server.uri()).send(&to(), &mail(), &event()).await.unwrap_err();
        assert_eq!(error.retryable, retryable, "{code}: {error}");
        assert!(error.detail.contains(code) && !format!("{error:?}").contains("kim@"), "{error:?}");
    }
}

#[tokio::test]
async fn no_connection_may_pass() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = mailer(&format!("http://{unused}")).send(&to(), &mail(), &event()).await.unwrap_err();
    assert!(error.retryable, "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_asking() {
    let server = MockServer::start().await;
    let error = mailer(&server.uri())
        .send(&Private::new("kim@example.com, lee@example.com"), &mail(), &event())
        .await
        .unwrap_err();
    assert!(!error.retryable && server.received_requests().await.unwrap().is_empty());
}

fn messages(count: usize) -> Vec<CollectMessage> {
    let message = |i| CollectMessage {
        run: "2026-12-01T01:00:00Z".to_owned(),
        now: "2026-12-01T01:00:00Z".parse().unwrap(),
        user_id: UserId::new("user_456").unwrap(),
        subscription_id: SubscriptionId::new(format!("sub_{i}")).unwrap(),
        asks: 0,
    };
    (0..count).map(message).collect()
}

async fn queue(target: &str, answer: Value) -> (MockServer, impl Queue) {
    let server = MockServer::start().await;
    Mock::given(header("x-amz-target", target))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&server)
        .await;
    let queues =
        Queues { collect_url: "http://sqs.local/1/collect".to_owned(), plan_url: "http://sqs.local/1/plan".to_owned() };
    let queue = aws(&server.uri()).queue(queues);
    (server, queue)
}

#[tokio::test]
async fn a_batch_is_one_request() {
    let sent = |i: usize| json!({ "Id": i.to_string(), "MessageId": "m", "MD5OfMessageBody": "" });
    let answer = json!({ "Successful": (0..10).map(sent).collect::<Vec<_>>(), "Failed": [] });
    let (server, queue) = queue("AmazonSQS.SendMessageBatch", answer).await;
    // The checksums are not real: the request is what is looked at.
    drop(queue.send_collect(&messages(10)).await);
    let request = &server.received_requests().await.unwrap()[0];
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (body["QueueUrl"].as_str().unwrap(), body["Entries"].as_array().unwrap().len()),
        ("http://sqs.local/1/collect", 10)
    );
    insta::assert_snapshot!(body["Entries"][0]["MessageBody"].as_str().unwrap());
    assert!(queue.send_collect(&messages(11)).await.is_err());
}

#[tokio::test]
async fn an_entry_that_was_not_taken_fails_the_call() {
    let failed = json!({ "Id": "1", "Code": "InternalError", "SenderFault": false });
    let (_server, queue) = queue("AmazonSQS.SendMessageBatch", json!({ "Successful": [], "Failed": [failed] })).await;
    let error = queue.send_collect(&messages(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "sending to collect failed: 1 of 2 messages were not taken: InternalError");
}

#[tokio::test]
async fn nothing_is_not_sent() {
    let (server, queue) = queue("AmazonSQS.SendMessageBatch", json!({})).await;
    queue.send_collect(&[]).await.unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_is_to_come_later_is_held_back_by_the_queue() {
    let (server, queue) = queue("AmazonSQS.SendMessage", json!({ "MessageId": "m" })).await;
    let message = CollectMessage { asks: 1, ..messages(1).remove(0) };
    queue.send_collect_later(&message, SignedDuration::from_mins(4)).await.unwrap();
    assert!(queue.send_collect_later(&message, MAX_DELAY + SignedDuration::from_secs(1)).await.is_err());
    let requests = server.received_requests().await.unwrap();
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!((&body["QueueUrl"], &body["DelaySeconds"]), (&json!("http://sqs.local/1/collect"), &json!(240)));
    assert_eq!(serde_json::from_str::<CollectMessage>(body["MessageBody"].as_str().unwrap()).unwrap(), message);
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn the_rest_of_a_shard_is_one_message() {
    let (server, queue) = queue("AmazonSQS.SendMessage", json!({ "MessageId": "m" })).await;
    let message = PlanMessage {
        run: "2026-12-01T01:00:00Z".to_owned(),
        now: "2026-12-01T01:00:00Z".parse().unwrap(),
        shard: 3,
        after: None,
    };
    queue.send_plan(&message).await.unwrap();
    let body: Value = serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    assert_eq!(serde_json::from_str::<PlanMessage>(body["MessageBody"].as_str().unwrap()).unwrap(), message);
}
