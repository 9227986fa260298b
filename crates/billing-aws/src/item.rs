//! Stored rows: the tables' attribute names, and the way to the core's types and back.
//!
//! A row is a flat serde structure with the tables' names. An optional attribute that is absent is written by removing it, and attributes
//! that are not known here are neither read nor touched, so others may keep theirs in the same rows. Times are epoch milliseconds.

use crate::tables::Table;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use billing_core::Timestamp;
use billing_core::event::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_dynamo::Item;
use std::collections::HashMap;
use thiserror::Error;

mod billing_key;
mod event;
mod invoice;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use billing_key::BillingKeyRow;
pub(crate) use event::{ClaimRow, EventRow};
pub(crate) use invoice::{BookRow, InvoiceRow, books_of};
pub(crate) use session::SessionRow;
pub(crate) use subscription::SubscriptionRow;

/// A row that cannot be what it claims to be. It tells where to look, not what is there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("row {key} of table {table}: attribute `{field}` is missing or wrong")]
pub struct CorruptRow {
    /// Which table.
    pub table: Table,
    /// The row's key.
    pub key: String,
    /// Which attribute.
    pub field: String,
}

/// The attributes of a row, as the client takes and gives them.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// The attribute that does not fit.
pub(crate) type Field = &'static str;

/// A row of a table and what it means.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// What it means.
    type Core;
    /// Where it lies.
    const TABLE: Table;
    /// Writes it.
    fn of(core: &Self::Core) -> Self;
    /// Reads it.
    fn into_core(self) -> Result<Self::Core, Field>;
}

/// A moment as the tables hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Millis(#[serde(with = "billing_core::notice::millis")] pub(crate) Timestamp);

/// A row's attributes; those that are absent are `NULL`.
pub(crate) fn encode<R: Row>(core: &R::Core) -> Result<Attributes, CorruptRow> {
    serde_dynamo::to_item(R::of(core)).map_err(|_| CorruptRow {
        table: R::TABLE,
        key: "(to be written)".to_owned(),
        field: "(all)".to_owned(),
    })
}

/// What a row's attributes mean.
pub(crate) fn decode<R: Row>(attributes: Attributes) -> Result<R::Core, CorruptRow> {
    read::<R>(of_known_types(attributes).into())
}

/// Some of a row's attributes, as an index projects them.
pub(crate) fn decode_as<T: DeserializeOwned>(table: Table, attributes: Attributes) -> Result<T, CorruptRow> {
    read_as(table, of_known_types(attributes).into())
}

/// The attributes, with bytes in place of each value of a type that this SDK does not know: `serde_dynamo` panics at those. No attribute that
/// is read here is bytes, so one of ours is called wrong, and one of others' is passed over.
fn of_known_types(attributes: Attributes) -> Attributes {
    attributes.into_iter().map(|(name, value)| (name, of_known_type(value))).collect()
}

fn of_known_type(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::M(attributes) => AttributeValue::M(of_known_types(attributes)),
        AttributeValue::L(values) => AttributeValue::L(values.into_iter().map(of_known_type).collect()),
        AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Bs(_)
        | AttributeValue::N(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Null(_)
        | AttributeValue::S(_)
        | AttributeValue::Ss(_) => value,
        _ => AttributeValue::B(Blob::new([])),
    }
}

fn read<R: Row>(item: Item) -> Result<R::Core, CorruptRow> {
    let key = key_of(R::TABLE, &item);
    let row: R = read_as(R::TABLE, item)?;
    row.into_core().map_err(|field| CorruptRow { table: R::TABLE, key, field: field.to_owned() })
}

fn read_as<T: DeserializeOwned>(table: Table, item: Item) -> Result<T, CorruptRow> {
    let key = key_of(table, &item);
    let map = serde_dynamo::AttributeValue::M(item.into_inner());
    serde_path_to_error::deserialize(serde_dynamo::Deserializer::from_attribute_value(map)).map_err(|error| {
        let path = error.path().to_string();
        // The parser's own words may quote values, except where they name a field that is not there.
        let words = error.inner().to_string();
        let absent = words.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`'));
        let field = match absent {
            Some((name, _)) if path == "." => name.to_owned(),
            Some((name, _)) => format!("{path}.{name}"),
            None => path,
        };
        CorruptRow { table, key, field }
    })
}

fn key_of(table: Table, item: &Item) -> String {
    let text = |name: &str| match item.get(name) {
        Some(serde_dynamo::AttributeValue::S(text) | serde_dynamo::AttributeValue::N(text)) => text.clone(),
        _ => "?".to_owned(),
    };
    let hash = text(table.hash().0);
    table.range().map_or_else(|| hash.clone(), |(range, _)| format!("{hash}/{}", text(range)))
}

/// Reads an event from the new image of a stream record of the Events table.
pub fn event_from_image(image: Item) -> Result<Event, CorruptRow> {
    read::<EventRow>(image)
}

/// The image a stream record has of an event that was just written: for tests, and for stacks without streams.
pub fn image_of_event(event: &Event) -> Result<Item, CorruptRow> {
    let mut attributes = encode::<EventRow>(event)?;
    attributes.retain(|_, value| !value.is_null());
    Ok(attributes.into())
}
