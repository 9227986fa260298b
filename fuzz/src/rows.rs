//! What `DynamoDB` answers, as JSON through the SDK and the store: rows that were stored by anybody, in any year.

use crate::input::{Input, block_on};
use crate::world::{KEY, customer, december, now, payment_id};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use billing_aws::config::Tables;
use billing_aws::dynamo::DynamoStore;
use billing_core::billing_key::BillingKey;
use billing_core::event::EventKey;
use billing_core::id::UserId;
use billing_core::session::SessionId;
use billing_flows::ports::{Changes, Expect, KeyChange, SessionChange, Store, SubscriptionChange};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::cell::{LazyCell, RefCell};

#[derive(Clone, Copy)]
enum Read {
    Subscription,
    Invoice,
    Events,
    Keys,
    Subscriptions,
    Due,
    BookLines,
    Owner,
    Claims,
    Conflict,
    Session,
}

pub(crate) fn feed(bytes: &[u8]) {
    use Read::{BookLines, Claims, Conflict, Due, Events, Invoice, Keys, Owner, Session, Subscription, Subscriptions};
    let mut input = Input::new(bytes);
    let read = input.choose(&[
        Subscription,
        Invoice,
        Events,
        Keys,
        Subscriptions,
        Due,
        BookLines,
        Owner,
        Claims,
        Conflict,
        Session,
    ]);
    let status = input.choose(&[200, 400, 500]);
    ANSWER.set((status, input.rest().to_vec()));
    let store = STORE.with(|store| (*store).clone());
    block_on(async {
        match read {
            Subscription => subscription(&store).await,
            Invoice => invoice(&store).await,
            Events => events(&store).await,
            Keys => keys(&store).await,
            Subscriptions => pages(&store).await,
            Due => drop(store.due(0, now(), None, 10).await),
            BookLines => drop(store.book_lines(december(), 0, Timestamp::UNIX_EPOCH, now(), None).await),
            Owner => drop(store.key_owner(&BillingKey::new(KEY)).await),
            Claims => drop(store.claim_notices(&[event_key()], now(), now()).await),
            Conflict => conflict(&store).await,
            Session => session(&store).await,
        }
    });
}

async fn subscription(store: &DynamoStore) {
    let answer = store.subscription(&customer().key).await;
    let Ok(Some(read)) = answer else { return };
    let changes = Changes { subscription: Some(SubscriptionChange::Create(read.clone())), ..Changes::default() };
    answer_with(&json!({ "Item": written_by(store, &changes).await }));
    assert_eq!(store.subscription(&customer().key).await.unwrap(), Some(read), "written and read again");
}

async fn invoice(store: &DynamoStore) {
    let answer = store.invoice(&payment_id()).await;
    let Ok(Some(read)) = answer else { return };
    let changes = Changes { invoices: vec![(Expect::Absent, read.clone())], ..Changes::default() };
    answer_with(&json!({ "Item": written_by(store, &changes).await }));
    assert_eq!(store.invoice(&payment_id()).await.unwrap(), Some(read), "written and read again");
}

async fn keys(store: &DynamoStore) {
    let user = UserId::new("user_456").unwrap();
    let answer = store.keys_of(&user, None).await;
    let Some(read) = answer.ok().and_then(|page| page.items.into_iter().next()) else { return };
    let changes = Changes { keys: vec![KeyChange::Register(read.clone())], ..Changes::default() };
    answer_with(&json!({ "Items": [written_by(store, &changes).await] }));
    assert_eq!(store.keys_of(&user, None).await.unwrap().items, [read], "written and read again");
}

async fn events(store: &DynamoStore) {
    let answer = store.events_of("inv", None).await;
    let Some(read) = answer.ok().and_then(|page| page.items.into_iter().next()) else { return };
    answer_with(&json!({}));
    assert!(store.record(&read).await.unwrap());
    let item = REQUEST.take()["Item"].take();
    answer_with(&json!({ "Items": [item] }));
    assert_eq!(store.events_of("inv", None).await.unwrap().items, [read], "written and read again");
}

async fn session(store: &DynamoStore) {
    let id = SessionId::new("cs1").unwrap();
    let answer = store.session(&id).await;
    let Ok(Some(read)) = answer else { return };
    let changes = Changes { session: Some(Box::new(SessionChange::Open(read.clone()))), ..Changes::default() };
    answer_with(&json!({ "Item": written_by(store, &changes).await }));
    assert_eq!(store.session(&id).await.unwrap(), Some(read), "written and read again");
}

/// Where a listing goes on comes back from clients and queues, so it is taken or refused.
async fn pages(store: &DynamoStore) {
    let user = UserId::new("user_456").unwrap();
    let answer = store.subscriptions_of(&user, None).await;
    let Some(next) = answer.ok().and_then(|page| page.next) else { return };
    drop(store.subscriptions_of(&user, Some(&next)).await);
    drop(store.due(0, now(), Some(&next), 10).await);
}

async fn conflict(store: &DynamoStore) {
    let changes = Changes {
        subscription: Some(SubscriptionChange::Check { key: customer().key, version: 1 }),
        ..Changes::default()
    };
    drop(store.commit(&changes).await);
}

fn event_key() -> EventKey {
    EventKey { subject: "inv".to_owned(), id: "1".to_owned() }
}

fn answer_with(json: &Value) {
    ANSWER.set((200, json.to_string().into_bytes()));
}

/// The row that a transaction of one row leaves behind in an empty table.
async fn written_by(store: &DynamoStore, changes: &Changes) -> Value {
    answer_with(&json!({}));
    store.commit(changes).await.unwrap();
    let mut update = REQUEST.take()["TransactItems"][0]["Update"].take();
    let mut row: Map<String, Value> = update["Key"].as_object().unwrap().clone();
    let values = update["ExpressionAttributeValues"].take();
    for (alias, value) in values.as_object().unwrap() {
        let name = update["ExpressionAttributeNames"][alias.replace(':', "#")].as_str().unwrap();
        row.insert(name.to_owned(), value.clone());
    }
    row.into()
}

thread_local! {
    static ANSWER: RefCell<(u16, Vec<u8>)> = const { RefCell::new((200, Vec::new())) };
    static REQUEST: RefCell<Value> = const { RefCell::new(Value::Null) };
    static STORE: LazyCell<DynamoStore> = LazyCell::new(|| {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("ap-northeast-2"))
            .credentials_provider(Credentials::new("local", "local", None, None, "fuzz"))
            .endpoint_url("http://127.0.0.1")
            .retry_config(RetryConfig::disabled())
            .http_client(Wire)
            .build();
        DynamoStore::new(Client::from_conf(config), Tables::with_prefix("fuzz"))
    });
}

/// Instead of the network: keeps the request, and answers with [`ANSWER`].
#[derive(Debug, Clone)]
struct Wire;

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        REQUEST.set(request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default());
        let (status, body) = ANSWER.with_borrow(Clone::clone);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body.into())))
    }
}
