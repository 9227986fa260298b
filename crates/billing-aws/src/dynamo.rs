//! The `Store` on `DynamoDB`. One method is one request, but where the port says otherwise.
//!
//! - **Every write is conditional**, and a write that others may have been part of is an `UpdateItem`: it sets every attribute it knows,
//!   removes those that are absent, and leaves the rest of the row alone.
//! - **No `ClientRequestToken` is made here.** The conditions decide whether a write may happen, however often it is asked for. The SDK puts
//!   a random token into each transaction, which makes *its own* re-sends of a lost answer harmless: without it, a re-send would find the
//!   row it had just written, and report a conflict with itself. A token derived from the contents would add nothing, and would be refused
//!   when another write of the same version has other contents.
//! - **Errors name the table and the action**, never a row's contents: not the service's messages either, which quote them.

use crate::config::Tables;
use crate::item::{
    Attributes, BillingKeyRow, BookRow, CorruptRow, EventRow, InvoiceRow, Row, SessionRow, SubscriptionRow, books_of,
    decode, decode_as, encode,
};
use crate::sdk::{code, describe, may_pass};
use crate::tables::{BILLING_KEY_INDEX, COLLECTING, DUE_INDEX, MONTH_INDEX, RUNNING, Table, USER_INDEX};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, RegisteredKey};
use billing_core::calendar::Period;
use billing_core::event::{Event, EventKey};
use billing_core::id::{PaymentId, SubscriptionId, UserId};
use billing_core::invoice::Invoice;
use billing_core::session::{Session, SessionId};
use billing_core::subscription::{Subscription, SubscriptionKey};
use billing_flows::ports::{
    BookLine, Changes, CommitError, Cursor, MAX_READ, NoticeClaim, Page, Stop, Store, StoreError,
};
use listing::{Listing, Range};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

mod claims;
mod commit;
mod cursor;
mod expression;
mod listing;

/// The tables of one stack. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    tables: Tables,
}

/// How long rows are waited for that may be read one by one as well: whoever asks for them has no time to lose.
const TOGETHER: Duration = Duration::from_secs(2);

/// How many rows a listing for a person reads at once.
const LIST_PAGE: i32 = 100;

impl DynamoStore {
    /// A store over a client and the names of its tables.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }

    /// Opens the connection: reads a row that is not there and ignores the answer.
    pub async fn warm_up(&self) {
        let key = HashMap::from([("userId".to_owned(), text("-")), ("subscriptionId".to_owned(), text("-"))]);
        drop(self.client.get_item().table_name(&self.tables.subscriptions).set_key(Some(key)).send().await);
    }

    /// Stops collecting, or lets it go on; as an operator does, whom alone a stack's policies allow it. `PutItem`.
    pub async fn order(&self, stop: Option<&Stop>, at: Timestamp) -> Result<(), StoreError> {
        let mut row = HashMap::from([
            ("name".to_owned(), text(COLLECTING)),
            ("value".to_owned(), text(if stop.is_some() { "stopped" } else { RUNNING })),
            ("at".to_owned(), millis(at)),
        ]);
        if let Some(stop) = stop {
            row.insert("reason".to_owned(), text(&stop.reason));
        }
        let request = self.client.put_item().table_name(&self.tables.controls).set_item(Some(row));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(self.action("PutItem", Table::Controls), &error)),
        }
    }

    /// What is being done, for errors.
    fn action(&self, operation: &str, table: Table) -> String {
        format!("{operation} on table {} ({table})", self.tables.name(table))
    }

    async fn get<R: Row>(&self, key: Attributes) -> Result<Option<R::Core>, StoreError> {
        let action = || self.action("GetItem", R::TABLE);
        let request =
            self.client.get_item().table_name(self.tables.name(R::TABLE)).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.map_err(|error| failed(action(), &error))?;
        answer.item.map(decode::<R>).transpose().map_err(|error| corrupt(action(), error))
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn millis(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_millisecond().to_string())
}

/// The first whole millisecond that is not before a moment.
fn millis_from(at: Timestamp) -> i64 {
    let whole = at.as_millisecond();
    let is_cut = Timestamp::from_millisecond(whole).is_ok_and(|cut| cut < at);
    if is_cut { whole.saturating_add(1) } else { whole }
}

fn subscription_key(key: &SubscriptionKey) -> Attributes {
    HashMap::from([
        ("userId".to_owned(), text(key.user_id.as_str())),
        ("subscriptionId".to_owned(), text(key.id.as_str())),
    ])
}

fn event_key(key: &EventKey) -> Attributes {
    HashMap::from([("subject".to_owned(), text(&key.subject)), ("id".to_owned(), text(&key.id))])
}

/// A request that failed.
fn failed<E: std::error::Error + ProvideErrorMetadata + 'static>(action: String, error: &SdkError<E>) -> StoreError {
    let hint = match code(error) {
        Some("ResourceNotFoundException") => {
            ": the table or its index does not exist; check the TABLE_… variables, the region and the account"
        }
        Some("AccessDeniedException") => ": this function's policy does not allow it",
        _ => "",
    };
    StoreError { action, detail: format!("{}{hint}", describe(error)), retryable: may_pass(error), source: None }
}

/// A row that cannot be read.
fn corrupt(action: String, error: CorruptRow) -> StoreError {
    StoreError { action, detail: error.to_string(), retryable: false, source: Some(Box::new(error)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DueRow {
    user_id: UserId,
    subscription_id: SubscriptionId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerRow {
    user_id: UserId,
    created_at: crate::item::Millis,
}

/// A row of Controls. What is not said to be running is stopped: whoever mistypes an order meant one.
#[derive(Deserialize)]
struct ControlRow {
    #[serde(default)]
    value: String,
    #[serde(default)]
    reason: String,
}

impl Store for DynamoStore {
    async fn stopped(&self) -> Result<Option<Stop>, StoreError> {
        let action = || self.action("GetItem", Table::Controls);
        let request = self.client.get_item().table_name(&self.tables.controls).key("name", text(COLLECTING));
        let answer = request.consistent_read(true).send().await.map_err(|error| failed(action(), &error))?;
        let row = answer.item.map(|row| decode_as::<ControlRow>(Table::Controls, row)).transpose();
        let row = row.map_err(|error| corrupt(action(), error))?;
        Ok(row.filter(|row| row.value != RUNNING).map(|row| Stop { reason: row.reason }))
    }

    async fn subscription(&self, key: &SubscriptionKey) -> Result<Option<Subscription>, StoreError> {
        self.get::<SubscriptionRow>(subscription_key(key)).await
    }

    async fn subscriptions(&self, keys: &BTreeSet<SubscriptionKey>) -> Result<Vec<Subscription>, StoreError> {
        let action = || self.action("BatchGetItem", Table::Subscriptions);
        if keys.is_empty() {
            return Ok(Vec::new()); // a request for no row would be refused
        }
        let keys = keys.iter().take(MAX_READ).map(subscription_key).collect();
        let rows = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let rows = rows.map_err(|error| StoreError {
            action: action(),
            detail: error.to_string(),
            retryable: false,
            source: Some(Box::new(error)),
        })?;
        let request = self.client.batch_get_item().request_items(&self.tables.subscriptions, rows);
        let soon = TimeoutConfig::builder().operation_timeout(TOGETHER).build();
        let request = request.customize().config_override(Builder::new().timeout_config(soon));
        let answer = request.send().await.map_err(|error| failed(action(), &error))?;
        let rows = answer.responses.unwrap_or_default().into_values().flatten();
        Ok(rows.filter_map(|row| decode::<SubscriptionRow>(row).ok()).collect())
    }

    async fn subscriptions_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Subscription>, StoreError> {
        let listing = Listing::of(Table::Subscriptions, "userId", text(user.as_str())).limit(LIST_PAGE).after(after);
        self.list(listing, decode::<SubscriptionRow>).await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<SubscriptionKey>, StoreError> {
        let listing = Listing::of(Table::Subscriptions, "dueShard", AttributeValue::N(shard.to_string()))
            .index(DUE_INDEX)
            .range(Range::UpTo("dueAt", until.as_millisecond()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .after(after);
        let page = self.list(listing, |item| Ok(decode_as::<DueRow>(Table::Subscriptions, item))).await?;
        let readable = page.items.into_iter().filter_map(|row| match row {
            Ok(row) => Some(SubscriptionKey { user_id: row.user_id, id: row.subscription_id }),
            // One such row must not keep everyone behind it from being billed.
            Err(error) => {
                tracing::error!(%error, "a due subscription is left out: its key cannot be ours");
                None
            }
        });
        Ok(Page { items: readable.collect(), next: page.next })
    }

    async fn invoice(&self, id: &PaymentId) -> Result<Option<Invoice>, StoreError> {
        self.get::<InvoiceRow>(HashMap::from([("paymentId".to_owned(), text(id.as_str()))])).await
    }

    async fn invoices_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Invoice>, StoreError> {
        let listing = Listing::of(Table::Invoices, "userId", text(user.as_str()))
            .index(USER_INDEX)
            .newest_first()
            .limit(LIST_PAGE)
            .after(after);
        self.list(listing, decode::<InvoiceRow>).await
    }

    async fn book_lines(
        &self,
        period: Period,
        shard: u8,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<BookLine>, StoreError> {
        let (first, last) = (millis_from(from), millis_from(until).saturating_sub(1));
        if first > last {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let listing = Listing::of(Table::Invoices, "month", text(&books_of(period, shard)))
            .index(MONTH_INDEX)
            .range(Range::Between("updatedAt", first, last))
            .after(after);
        self.list(listing, |item| {
            let key = item.get("paymentId").and_then(|value| value.as_s().ok()).cloned();
            decode_as::<BookRow>(Table::Invoices, item)?.into_line().map_err(|field| CorruptRow {
                table: Table::Invoices,
                key: key.unwrap_or_default(),
                field: field.to_owned(),
            })
        })
        .await
    }

    async fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.transact(changes).await
    }

    async fn key_owner(&self, key: &BillingKey) -> Result<Option<(UserId, Timestamp)>, StoreError> {
        if key.expose().is_empty() {
            return Ok(None); // no key attribute may be empty, so nothing can be there
        }
        let listing = Listing::of(Table::BillingKeys, "billingKey", text(key.expose())).index(BILLING_KEY_INDEX);
        let page = self.list(listing, |item| decode_as::<OwnerRow>(Table::BillingKeys, item)).await?;
        Ok(page.items.into_iter().next().map(|row| (row.user_id, row.created_at.0)))
    }

    async fn keys_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<RegisteredKey>, StoreError> {
        let listing = Listing::of(Table::BillingKeys, "userId", text(user.as_str())).limit(LIST_PAGE).after(after);
        self.list(listing, decode::<BillingKeyRow>).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.get::<SessionRow>(HashMap::from([("sessionId".to_owned(), text(id.as_str()))])).await
    }

    async fn record(&self, event: &Event) -> Result<bool, StoreError> {
        let action = || self.action("PutItem", Table::Events);
        let mut item = encode::<EventRow>(event).map_err(|error| corrupt(action(), error))?;
        item.retain(|_, value| !value.is_null());
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.events)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#subject)")
            .expression_attribute_names("#subject", "subject");
        unless_refused(request.send().await, action)
    }

    async fn events_of(&self, subject: &str, after: Option<&Cursor>) -> Result<Page<Event>, StoreError> {
        if subject.is_empty() {
            return Ok(Page { items: Vec::new(), next: None }); // no key attribute may be empty
        }
        let listing = Listing::of(Table::Events, "subject", text(subject)).limit(LIST_PAGE).after(after);
        self.list(listing, decode::<EventRow>).await
    }

    async fn claim_notices(
        &self,
        events: &[EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<NoticeClaim>, StoreError> {
        self.claim(events, now, lease_until).await
    }

    async fn mark_mailed(&self, event: &EventKey, at: Timestamp) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.events)
            .set_key(Some(event_key(event)))
            .update_expression("SET #mailed = :at REMOVE #lease")
            .condition_expression("attribute_exists(#subject) AND attribute_not_exists(#mailed)")
            .expression_attribute_names("#subject", "subject")
            .expression_attribute_names("#mailed", "mailedAt")
            .expression_attribute_names("#lease", "mailLeaseUntil")
            .expression_attribute_values(":at", millis(at));
        unless_refused(request.send().await, || self.action("UpdateItem", Table::Events))
    }

    async fn release_notice(&self, event: &EventKey) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.events)
            .set_key(Some(event_key(event)))
            .update_expression("REMOVE #lease")
            .condition_expression("attribute_exists(#subject) AND attribute_not_exists(#mailed)")
            .expression_attribute_names("#subject", "subject")
            .expression_attribute_names("#mailed", "mailedAt")
            .expression_attribute_names("#lease", "mailLeaseUntil");
        unless_refused(request.send().await, || self.action("UpdateItem", Table::Events)).map(|_| ())
    }
}

/// Whether a conditional write was made; `false` if its condition did not hold.
fn unless_refused<T, E: std::error::Error + ProvideErrorMetadata + 'static>(
    answer: Result<T, SdkError<E>>,
    action: impl FnOnce() -> String,
) -> Result<bool, StoreError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(action(), &error)),
    }
}
