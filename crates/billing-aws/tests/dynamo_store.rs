//! The store on an embedded `DynamoDB`, over real HTTP: the contract that every store is held to, and what only tables can promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use billing_aws::config::{Tables, catalogue};
use billing_aws::dynamo::DynamoStore;
use billing_aws::tables::{TablesError, check_tables, create_tables};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::Pg;
use billing_core::id::{StoreId, SubscriptionId, UserId};
use billing_core::invoice::Invoice;
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::ports::{Changes, CommitError, Cursor, Expect, Stop, Store, StoreError, SubscriptionChange};
use dynoxide::Database;
use std::collections::HashMap;

/// A `DynamoDB` of its own for every test.
async fn client() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, Database::memory().unwrap()));
    client_of(endpoint)
}

fn client_of(endpoint: String) -> Client {
    let credentials = Credentials::new("local", "local", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("ap-northeast-2"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build();
    Client::new(&config)
}

fn tables() -> Tables {
    Tables::with_prefix("test")
}

async fn open() -> (Client, DynamoStore) {
    let client = client().await;
    create_tables(&client, &tables()).await.unwrap();
    (client.clone(), DynamoStore::new(client, tables()))
}

async fn empty() -> DynamoStore {
    open().await.1
}

mod contract {
    billing_flows::store_contract!(super::empty);
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn subscription() -> Subscription {
    Subscription {
        key: SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() },
        plan: PlanType::Standard,
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw).unwrap(),
        method: Some(Method { billing_key: BillingKey::new("billing-key-1"), pg: Pg::TossPayments }),
        customer: Customer { email: Some(Private::new("kim@example.com")), ..Customer::default() },
        locale: Locale::Ko,
        started: at("2026-11-01T09:00:00+09:00"),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: State::Active { next: Some(december()) },
        version: 1,
    }
}

fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

fn invoice() -> Invoice {
    let store = StoreId::new("store-1").unwrap();
    Invoice::open(&subscription(), december(), &store, &catalogue().unwrap(), at("2026-12-01T10:00:00+09:00")).unwrap()
}

fn of_subscription(change: SubscriptionChange) -> Changes {
    Changes { subscription: Some(change), ..Changes::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_tasks_that_claim_an_invoice_over_http_one_wins() {
    let store = empty().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..100 {
        let store = store.clone();
        tasks.spawn(async move {
            let method = subscription().method.unwrap();
            let claimed = invoice().claimed(&method, format!("run:{worker}"), at("2026-12-01T10:00:00+09:00")).unwrap();
            let changes = Changes { invoices: vec![(Expect::Absent, claimed)], ..Changes::default() };
            loop {
                match store.commit(&changes).await {
                    Ok(()) => break None,
                    Err(CommitError::Conflict(conflict)) => break Some(conflict),
                    Err(CommitError::Store(error)) => assert!(error.retryable, "{error}"),
                }
            }
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Option::is_none);
    assert_eq!((won.len(), lost.len()), (1, 99));
    let winner = store.invoice(&invoice().payment_id).await.unwrap().unwrap();
    for conflict in lost.into_iter().flatten() {
        assert_eq!(*conflict.invoice.unwrap(), winner, "every loser sees whose it is");
    }
}

#[tokio::test]
async fn attributes_of_others_survive_a_commit() {
    let (client, store) = open().await;
    store.commit(&of_subscription(SubscriptionChange::Create(subscription()))).await.unwrap();
    let key = HashMap::from([
        ("userId".to_owned(), AttributeValue::S("user_456".to_owned())),
        ("subscriptionId".to_owned(), AttributeValue::S("sub_123".to_owned())),
    ]);
    client
        .update_item()
        .table_name(tables().subscriptions)
        .set_key(Some(key.clone()))
        .update_expression("SET teamName = :name")
        .expression_attribute_values(":name", AttributeValue::S("Sivera Crew".to_owned()))
        .send()
        .await
        .unwrap();
    let next = subscription().canceled(at("2026-12-01T10:00:00+09:00")).unwrap();
    store.commit(&of_subscription(SubscriptionChange::Write { expected: 1, next })).await.unwrap();
    let row =
        client.get_item().table_name(tables().subscriptions).set_key(Some(key)).send().await.unwrap().item.unwrap();
    assert_eq!(row["teamName"], AttributeValue::S("Sivera Crew".to_owned()));
    assert_eq!(row["status"], AttributeValue::S("canceled".to_owned()));
    assert!(!row.contains_key("dueAt") && !row.contains_key("nextBillingDate"), "what is absent is removed");
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let client = client().await;
    let store = DynamoStore::new(client.clone(), tables());
    let StoreError { action, detail, retryable, .. } = store.subscription(&subscription().key).await.unwrap_err();
    assert_eq!(action, "GetItem on table test-Subscriptions (Subscriptions)");
    assert!(detail.contains("does not exist") && !retryable, "{detail}");
    let write = store.commit(&of_subscription(SubscriptionChange::Create(subscription()))).await.unwrap_err();
    assert!(
        write.to_string().contains("test-Subscriptions") && write.to_string().contains("does not exist"),
        "{write}"
    );

    let TablesError::Missing(names) = check_tables(&client, &tables()).await.unwrap_err() else {
        panic!("they are missing")
    };
    assert_eq!(names.matches("test-").count(), 6, "{names}");
    for _ in 0..2 {
        create_tables(&client, &tables()).await.unwrap();
    }
    check_tables(&client, &tables()).await.unwrap();
}

#[tokio::test]
async fn a_corrupt_row_is_an_error_that_does_not_quote_it() {
    let (client, store) = open().await;
    store.commit(&of_subscription(SubscriptionChange::Create(subscription()))).await.unwrap();
    client
        .update_item()
        .table_name(tables().subscriptions)
        .key("userId", AttributeValue::S("user_456".to_owned()))
        .key("subscriptionId", AttributeValue::S("sub_123".to_owned()))
        .update_expression("SET currency = :wrong")
        .expression_attribute_values(":wrong", AttributeValue::S("kim@example.com".to_owned()))
        .send()
        .await
        .unwrap();
    let error = store.subscription(&subscription().key).await.unwrap_err();
    assert!(!format!("{error:?}").contains("kim@"), "{error:?}");
    assert!(error.to_string().contains("row user_456/sub_123 of table Subscriptions: attribute `currency`"), "{error}");
    let together = store.subscriptions(&[subscription().key].into()).await.unwrap();
    assert_eq!(together, [], "and is left out of what is read together");
}

/// What a store makes of the subscription, if `DynamoDB` answers with its row and one more attribute.
async fn read_with(name: &str, value: serde_json::Value) -> Result<Option<Subscription>, StoreError> {
    let row = serde_json::json!({
        "userId": { "S": "user_456" }, "subscriptionId": { "S": "sub_123" }, "planType": { "S": "standard" },
        "status": { "S": "active" }, "teamSeats": { "N": "3" }, "monthlyAmount": { "N": "30000" },
        "currency": { "S": "KRW" }, "startDate": { "N": "1793491200000" }, "version": { "N": "1" },
    });
    let mut answer = serde_json::json!({ "Item": row });
    answer["Item"][name] = value;
    let server = wiremock::MockServer::start().await;
    let with = wiremock::ResponseTemplate::new(200).set_body_raw(answer.to_string(), "application/x-amz-json-1.0");
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(with).mount(&server).await;
    DynamoStore::new(client_of(server.uri()), tables()).subscription(&subscription().key).await
}

#[tokio::test]
async fn a_value_of_a_type_that_a_later_dynamodb_has_is_no_panic() {
    let new = || serde_json::json!({ "DATE": "2026-12-01" });
    let others = serde_json::json!({ "L": [{ "M": { "a": new() } }] });
    for value in [new(), others] {
        assert!(read_with("teamName", value).await.unwrap().is_some(), "an attribute of others is passed over");
    }
    for ours in ["currency", "trialEndDate"] {
        let error = read_with(ours, new()).await.unwrap_err();
        assert!(error.detail.contains(&format!("attribute `{ours}` is missing or wrong")), "{error}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused() {
    let (_, store) = open().await;
    for text in ["", "no base64!", "e30", "eyJ1c2VySWQiOnsiUyI6Im90aGVyIn0sInN1YnNjcmlwdGlvbklkIjp7IlMiOiJhIn19"] {
        let cursor = Cursor(text.to_owned());
        let error = store.subscriptions_of(&subscription().key.user_id, Some(&cursor)).await.unwrap_err();
        assert!(error.detail.contains("cursor") && !error.retryable, "{text}: {error}");
    }
}

#[tokio::test]
async fn a_window_of_no_time_has_no_books() {
    let (_, store) = open().await;
    let now = at("2026-12-01T10:00:00+09:00");
    assert!(store.book_lines(december(), 0, now, now, None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn collecting_is_stopped_by_whatever_an_operator_writes_but_running() {
    let (client, store) = open().await;
    let write = async |attributes: &[(&str, &str)]| {
        let row = attributes.iter().map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())));
        client.put_item().table_name(tables().controls).set_item(Some(row.collect())).send().await.unwrap();
        store.stopped().await.unwrap()
    };
    let stop = |reason: &str| Some(Stop { reason: reason.to_owned() });
    let name = ("name", "collecting");
    assert_eq!(
        write(&[name, ("value", "stopped"), ("reason", "the PG is ill"), ("at", "noon")]).await,
        stop("the PG is ill")
    );
    assert_eq!(write(&[name, ("value", "running"), ("reason", "the PG is ill")]).await, None);
    assert_eq!(write(&[name, ("value", "stop")]).await, stop(""));
    assert_eq!(write(&[name]).await, stop(""));
    let at = at("2026-12-01T10:00:00+09:00");
    store.order(None, at).await.unwrap();
    assert_eq!(store.stopped().await.unwrap(), None);
    store.order(stop("x").as_ref(), at).await.unwrap();
    assert_eq!(store.stopped().await.unwrap(), stop("x"));
}
