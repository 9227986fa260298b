//! Queries, page by page.

use super::{DynamoStore, corrupt, cursor, failed};
use crate::item::{Attributes, CorruptRow};
use crate::tables::Table;
use aws_sdk_dynamodb::types::AttributeValue;
use billing_flows::ports::{Cursor, Page, StoreError};

/// Which sort keys are wanted.
pub(super) enum Range {
    /// All.
    All,
    /// A number up to this one.
    UpTo(&'static str, i64),
    /// A number from this one to that one.
    Between(&'static str, i64, i64),
}

/// A query.
pub(super) struct Listing<'a> {
    table: Table,
    index: Option<&'static str>,
    hash: (&'static str, AttributeValue),
    range: Range,
    forward: bool,
    limit: Option<i32>,
    after: Option<&'a Cursor>,
}

impl<'a> Listing<'a> {
    /// Everything under a partition key, oldest first; consistent, unless it is an index's.
    pub(super) fn of(table: Table, name: &'static str, value: AttributeValue) -> Self {
        Self { table, index: None, hash: (name, value), range: Range::All, forward: true, limit: None, after: None }
    }

    pub(super) fn index(self, index: &'static str) -> Self {
        Self { index: Some(index), ..self }
    }

    pub(super) fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }

    pub(super) fn newest_first(self) -> Self {
        Self { forward: false, ..self }
    }

    pub(super) fn limit(self, limit: i32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    pub(super) fn after(self, after: Option<&'a Cursor>) -> Self {
        Self { after, ..self }
    }

    /// The key to go on from. A cursor may come back from a client, so it is taken only if it is one of this very listing.
    fn start(&self) -> Result<Option<Attributes>, &'static str> {
        let Some(cursor) = self.after else { return Ok(None) };
        let key = cursor::decode(cursor).ok_or("the cursor is malformed: give it back as it was received")?;
        let mut names: Vec<&str> = key.keys().map(String::as_str).collect();
        names.sort_unstable();
        if names != self.table.cursor_attributes(self.index) || key.get(self.hash.0) != Some(&self.hash.1) {
            return Err("the cursor belongs to another listing");
        }
        Ok(Some(key))
    }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

impl DynamoStore {
    pub(super) async fn list<T>(
        &self,
        listing: Listing<'_>,
        read: impl Fn(Attributes) -> Result<T, CorruptRow>,
    ) -> Result<Page<T>, StoreError> {
        let action = || match listing.index {
            Some(index) => format!("{}, {index}", self.action("Query", listing.table)),
            None => self.action("Query", listing.table),
        };
        let start = listing.start().map_err(|detail| StoreError {
            action: action(),
            detail: detail.to_owned(),
            retryable: false,
            source: None,
        })?;
        let mut request = self
            .client
            .query()
            .table_name(self.tables.name(listing.table))
            .set_index_name(listing.index.map(str::to_owned))
            .consistent_read(listing.index.is_none())
            .scan_index_forward(listing.forward)
            .set_limit(listing.limit)
            .set_exclusive_start_key(start)
            .expression_attribute_names("#hash", listing.hash.0)
            .expression_attribute_values(":hash", listing.hash.1.clone());
        request = match listing.range {
            Range::All => request.key_condition_expression("#hash = :hash"),
            Range::UpTo(name, last) => request
                .key_condition_expression("#hash = :hash AND #range <= :last")
                .expression_attribute_names("#range", name)
                .expression_attribute_values(":last", number(last)),
            Range::Between(name, first, last) => request
                .key_condition_expression("#hash = :hash AND #range BETWEEN :first AND :last")
                .expression_attribute_names("#range", name)
                .expression_attribute_values(":first", number(first))
                .expression_attribute_values(":last", number(last)),
        };
        let answer = request.send().await.map_err(|error| failed(action(), &error))?;
        let next = answer.last_evaluated_key.as_ref().and_then(cursor::encode);
        let rows = answer.items.unwrap_or_default().into_iter().map(read);
        Ok(Page { items: rows.collect::<Result<_, _>>().map_err(|error| corrupt(action(), error))?, next })
    }
}
