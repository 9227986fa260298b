//! The tables as data: keys, indexes and the stream. The sandbox and the tests create them from here; the deployed ones are in
//! `template.yaml`, which must say the same.

use crate::config::Tables;
use crate::sdk::{code, describe};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::CreateTableInput;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType,
};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// A table, whatever it is called in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Customers' registered payment methods.
    BillingKeys,
    /// Customers' agreements.
    Subscriptions,
    /// What is owed and was paid.
    Invoices,
    /// What happened, and what is to be mailed.
    Events,
    /// What customers are asked to agree to in the browser. Its rows expire by [`TTL`].
    Sessions,
    /// What operators order: see [`COLLECTING`].
    Controls,
}

/// The row of Controls that stops collecting while its `value` is not [`RUNNING`]. There need be none.
pub const COLLECTING: &str = "collecting";
/// The `value` of a control that orders nothing.
pub const RUNNING: &str = "running";

/// The attribute of Sessions by which a row expires, in epoch **seconds**. `DynamoDB` deletes such rows within some days, so that nothing may
/// be concluded from a row's being there. The template must switch it on; the sandbox keeps its rows.
pub const TTL: &str = "ttl";

/// What is due, by shard and time; sparse.
pub const DUE_INDEX: &str = "due-index";
/// Whose a billing key is.
pub const BILLING_KEY_INDEX: &str = "billing-key-index";
/// A customer's invoices, by time.
pub const USER_INDEX: &str = "user-index";
/// The books of a period, by time of the last change.
pub const MONTH_INDEX: &str = "month-index";

/// A key attribute and its type.
type Key = (&'static str, ScalarAttributeType);

/// A secondary index.
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) hash: Key,
    pub(crate) range: Option<Key>,
    projected: Projected,
}

enum Projected {
    Keys,
    All,
    Also(&'static [&'static str]),
}

const S: ScalarAttributeType = ScalarAttributeType::S;
const N: ScalarAttributeType = ScalarAttributeType::N;

/// What a line of the books shows beside the keys.
const BOOK_ATTRIBUTES: [&str; 12] = [
    "period",
    "userId",
    "subscriptionId",
    "status",
    "amount",
    "currency",
    "refundedAmount",
    "attemptCount",
    "declineCount",
    "refundUnderWay",
    "quarantine",
    "supersededBy",
];

impl Table {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::BillingKeys, Self::Subscriptions, Self::Invoices, Self::Events, Self::Sessions, Self::Controls];

    /// What it is called in the design, and in errors about its rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::BillingKeys => "BillingKeys",
            Self::Subscriptions => "Subscriptions",
            Self::Invoices => "Invoices",
            Self::Events => "Events",
            Self::Sessions => "Sessions",
            Self::Controls => "Controls",
        }
    }

    pub(crate) fn hash(self) -> Key {
        match self {
            Self::BillingKeys | Self::Subscriptions => ("userId", S),
            Self::Invoices => ("paymentId", S),
            Self::Events => ("subject", S),
            Self::Sessions => ("sessionId", S),
            Self::Controls => ("name", S),
        }
    }

    pub(crate) fn range(self) -> Option<Key> {
        match self {
            Self::BillingKeys => Some(("createdAt", N)),
            Self::Subscriptions => Some(("subscriptionId", S)),
            Self::Invoices | Self::Sessions | Self::Controls => None,
            Self::Events => Some(("id", S)),
        }
    }

    pub(crate) fn indexes(self) -> Vec<Index> {
        match self {
            Self::BillingKeys => vec![Index {
                name: BILLING_KEY_INDEX,
                hash: ("billingKey", S),
                range: None,
                projected: Projected::Keys,
            }],
            Self::Subscriptions => vec![Index {
                name: DUE_INDEX,
                hash: ("dueShard", N),
                range: Some(("dueAt", N)),
                projected: Projected::Keys,
            }],
            Self::Invoices => vec![
                Index {
                    name: USER_INDEX,
                    hash: ("userId", S),
                    range: Some(("createdAt", N)),
                    projected: Projected::All,
                },
                Index {
                    name: MONTH_INDEX,
                    hash: ("month", S),
                    range: Some(("updatedAt", N)),
                    projected: Projected::Also(&BOOK_ATTRIBUTES),
                },
            ],
            Self::Events | Self::Sessions | Self::Controls => Vec::new(),
        }
    }

    pub(crate) fn is_key(self, attribute: &str) -> bool {
        self.hash().0 == attribute || self.range().is_some_and(|(name, _)| name == attribute)
    }

    /// The names of the key attributes of one of its indexes, or of itself.
    pub(crate) fn cursor_attributes(self, index: Option<&str>) -> Vec<&'static str> {
        let mut names = vec![self.hash().0];
        names.extend(self.range().map(|(name, _)| name));
        for index in self.indexes().iter().filter(|candidate| Some(candidate.name) == index) {
            names.push(index.hash.0);
            names.extend(index.range.as_ref().map(|(name, _)| *name));
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The tables could not be made, or are not what they must be.
#[derive(Debug, Error)]
pub enum TablesError {
    /// Some are not there.
    #[error(
        "these tables do not exist: {0}. Check the TABLE_… variables, the region and the account; in the sandbox, that it has started"
    )]
    Missing(String),
    /// One is there but lacks an index.
    #[error("table {table} has no index {index}: it was not made by this version's template")]
    NoIndex {
        /// The table.
        table: String,
        /// The index.
        index: &'static str,
    },
    /// The service refused or did not answer.
    #[error("{action} {table} failed: {detail}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// To which table.
        table: String,
        /// What went wrong.
        detail: String,
    },
}

/// The definition of a table under the name it has in `tables`.
///
/// Events has a stream of new images, which the notifier reads. Leave `stream_specification` out where nothing reads it.
pub fn definition(table: Table, tables: &Tables) -> Result<CreateTableInput, BuildError> {
    let mut types: BTreeMap<&str, ScalarAttributeType> = BTreeMap::from([table.hash()]);
    types.extend(table.range());
    let mut input = CreateTableInput::builder()
        .table_name(tables.name(table))
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(table.hash().0, table.range().map(|(name, _)| name))?));
    for index in table.indexes() {
        let (range, projection) = (index.range.as_ref().map(|(name, _)| *name), Projection::builder());
        let projection = match index.projected {
            Projected::Keys => projection.projection_type(ProjectionType::KeysOnly),
            Projected::All => projection.projection_type(ProjectionType::All),
            Projected::Also(names) => projection
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(names.iter().map(|name| (*name).to_owned()).collect())),
        };
        input = input.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(schema(index.hash.0, range)?))
                .projection(projection.build())
                .build()?,
        );
        types.extend([index.hash]);
        types.extend(index.range);
    }
    for (name, kind) in types {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?;
        input = input.attribute_definitions(definition);
    }
    if table == Table::Events {
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
        input = input.stream_specification(stream.build()?);
    }
    input.build()
}

fn schema(hash: &str, range: Option<&str>) -> Result<Vec<KeySchemaElement>, BuildError> {
    [Some((hash, KeyType::Hash)), range.map(|name| (name, KeyType::Range))]
        .into_iter()
        .flatten()
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build())
        .collect()
}

/// Creates the tables that are not there yet. Does not wait for them: an embedded `DynamoDB` has them at once.
pub async fn create_tables(client: &Client, tables: &Tables) -> Result<(), TablesError> {
    for table in Table::ALL {
        let failed = |detail| TablesError::Failed { action: "creating", table: tables.name(table).to_owned(), detail };
        create(client, definition(table, tables).map_err(|error| failed(error.to_string()))?).await?;
    }
    Ok(())
}

/// Creates one table, unless it is there.
pub async fn create(client: &Client, definition: CreateTableInput) -> Result<(), TablesError> {
    let table = definition.table_name().unwrap_or_default().to_owned();
    let request = client
        .create_table()
        .set_table_name(definition.table_name)
        .set_billing_mode(definition.billing_mode)
        .set_key_schema(definition.key_schema)
        .set_attribute_definitions(definition.attribute_definitions)
        .set_global_secondary_indexes(definition.global_secondary_indexes)
        .set_stream_specification(definition.stream_specification);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some("ResourceInUseException") => Ok(()),
        Err(error) => Err(TablesError::Failed { action: "creating", table, detail: describe(&error) }),
    }
}

/// Checks that the tables and their indexes are there.
pub async fn check_tables(client: &Client, tables: &Tables) -> Result<(), TablesError> {
    let mut missing = Vec::new();
    for table in Table::ALL {
        let name = tables.name(table);
        let found = match client.describe_table().table_name(name).send().await {
            Ok(answer) => answer.table,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => None,
            Err(error) => {
                let detail = describe(&error);
                return Err(TablesError::Failed { action: "describing", table: name.to_owned(), detail });
            }
        };
        let Some(found) = found else {
            missing.push(format!("{name} ({table})"));
            continue;
        };
        let has = |index: &str| found.global_secondary_indexes().iter().any(|there| there.index_name() == Some(index));
        if let Some(index) = table.indexes().into_iter().find(|index| !has(index.name)) {
            return Err(TablesError::NoIndex { table: name.to_owned(), index: index.name });
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(TablesError::Missing(missing.join(", "))) }
}
