//! Transactions: everything or nothing, and if nothing, whose fault it was.

use super::expression::{Expression, Guard, check, upsert};
use super::{DynamoStore, corrupt, failed, millis, text};
use crate::item::{
    Attributes, BillingKeyRow, CorruptRow, EventRow, InvoiceRow, Row, SessionRow, SubscriptionRow, decode, encode,
};
use crate::tables::Table;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use billing_core::Timestamp;
use billing_core::event::Event;
use billing_core::id::UserId;
use billing_core::subscription::SubscriptionKey;
use billing_flows::ports::{
    Changes, CommitError, Conflict, Expect, KeyChange, SessionChange, StoreError, SubscriptionChange,
};
use std::collections::HashMap;

/// The order of a transaction's actions: a cancellation tells its reasons in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Invoice,
    Subscription,
    Key,
    Session,
    Event,
}

/// Reasons that may pass by themselves.
const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// Why an action could not be written down.
enum Unwritable {
    Row(CorruptRow),
    Request(BuildError),
}

impl From<CorruptRow> for Unwritable {
    fn from(error: CorruptRow) -> Self {
        Self::Row(error)
    }
}

impl From<BuildError> for Unwritable {
    fn from(error: BuildError) -> Self {
        Self::Request(error)
    }
}

impl DynamoStore {
    pub(super) async fn transact(&self, changes: &Changes) -> Result<(), CommitError> {
        let action = || format!("TransactWriteItems on tables {}", self.written(changes));
        let actions = self.actions(changes).map_err(|error| match error {
            Unwritable::Row(row) => corrupt(action(), row),
            Unwritable::Request(error) => {
                StoreError { action: action(), detail: error.to_string(), retryable: false, source: None }
            }
        })?;
        if actions.is_empty() {
            return Ok(());
        }
        let (parts, items): (Vec<Part>, Vec<TransactWriteItem>) = actions.into_iter().unzip();
        match self.client.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(match cancellation(&error) {
                Some(reasons) => cancelled(&parts, reasons, action),
                None => failed(action(), &error).into(),
            }),
        }
    }

    fn written(&self, changes: &Changes) -> String {
        let tables = [
            (Table::Invoices, !changes.invoices.is_empty()),
            (Table::Subscriptions, changes.subscription.is_some()),
            (Table::BillingKeys, !changes.keys.is_empty()),
            (Table::Sessions, changes.session.is_some()),
            (Table::Events, !changes.events.is_empty()),
        ];
        let names: Vec<&str> =
            tables.into_iter().filter(|(_, is)| *is).map(|(table, _)| self.tables.name(table)).collect();
        names.join(", ")
    }

    fn actions(&self, changes: &Changes) -> Result<Vec<(Part, TransactWriteItem)>, Unwritable> {
        let mut actions = Vec::new();
        for (expect, invoice) in &changes.invoices {
            let guard = match expect {
                Expect::Absent => Guard::Absent,
                Expect::Version(version) => Guard::Version(*version),
            };
            let made = upsert(Table::Invoices, encode::<InvoiceRow>(invoice)?, guard);
            actions.push((Part::Invoice, self.update(Table::Invoices, made, true)?));
        }
        if let Some(change) = &changes.subscription {
            actions.push((Part::Subscription, self.subscription_action(change)?));
        }
        for change in &changes.keys {
            actions.push((Part::Key, self.key_action(change)?));
        }
        if let Some(change) = &changes.session {
            actions.push((Part::Session, self.session_action(change)?));
        }
        for event in &changes.events {
            actions.push((Part::Event, self.event_action(event)?));
        }
        Ok(actions)
    }

    fn subscription_action(&self, change: &SubscriptionChange) -> Result<TransactWriteItem, Unwritable> {
        let table = Table::Subscriptions;
        match change {
            SubscriptionChange::Create(new) => {
                self.update(table, upsert(table, encode::<SubscriptionRow>(new)?, Guard::Absent), false)
            }
            SubscriptionChange::Write { expected, next } => {
                self.update(table, upsert(table, encode::<SubscriptionRow>(next)?, Guard::Version(*expected)), false)
            }
            SubscriptionChange::Check { key, version } => {
                let SubscriptionKey { user_id, id } = key;
                let key = HashMap::from([
                    ("userId".to_owned(), text(user_id.as_str())),
                    ("subscriptionId".to_owned(), text(id.as_str())),
                ]);
                let made = check(table, key, Guard::Version(*version));
                let check = ConditionCheck::builder()
                    .table_name(self.tables.name(table))
                    .set_key(Some(made.key))
                    .condition_expression(made.condition)
                    .set_expression_attribute_names(Some(made.names))
                    .set_expression_attribute_values(Some(made.values));
                Ok(TransactWriteItem::builder().condition_check(check.build()?).build())
            }
        }
    }

    fn key_action(&self, change: &KeyChange) -> Result<TransactWriteItem, Unwritable> {
        let table = Table::BillingKeys;
        match change {
            KeyChange::Register(key) => {
                self.update(table, upsert(table, encode::<BillingKeyRow>(key)?, Guard::Absent), false)
            }
            KeyChange::Delete { user_id, created_at } => {
                let made = Expression {
                    key: key_of(user_id, *created_at),
                    update: "SET #status = :deleted, #default = :no".to_owned(),
                    condition: "#status = :active".to_owned(),
                    names: names([("#status", "status"), ("#default", "isDefault")]),
                    values: HashMap::from([
                        (":deleted".to_owned(), text("DELETED")),
                        (":active".to_owned(), text("ACTIVE")),
                        (":no".to_owned(), AttributeValue::Bool(false)),
                    ]),
                };
                self.update(table, made, false)
            }
            KeyChange::MakeDefault { user_id, created_at } => {
                let made = Expression {
                    key: key_of(user_id, *created_at),
                    update: "SET #default = :yes".to_owned(),
                    condition: "#status = :active".to_owned(),
                    names: names([("#status", "status"), ("#default", "isDefault")]),
                    values: HashMap::from([
                        (":active".to_owned(), text("ACTIVE")),
                        (":yes".to_owned(), AttributeValue::Bool(true)),
                    ]),
                };
                self.update(table, made, false)
            }
            KeyChange::EndDefault { user_id, created_at } => {
                let made = Expression {
                    key: key_of(user_id, *created_at),
                    update: "SET #default = :no".to_owned(),
                    condition: "#default = :yes".to_owned(),
                    names: names([("#default", "isDefault")]),
                    values: HashMap::from([
                        (":no".to_owned(), AttributeValue::Bool(false)),
                        (":yes".to_owned(), AttributeValue::Bool(true)),
                    ]),
                };
                self.update(table, made, false)
            }
        }
    }

    fn session_action(&self, change: &SessionChange) -> Result<TransactWriteItem, Unwritable> {
        let table = Table::Sessions;
        match change {
            SessionChange::Open(new) => {
                self.update(table, upsert(table, encode::<SessionRow>(new)?, Guard::Absent), false)
            }
            SessionChange::Complete { id, done } => {
                let method = serde_dynamo::to_attribute_value(&done.method).map_err(|_| CorruptRow {
                    table,
                    key: id.to_string(),
                    field: "method".to_owned(),
                })?;
                let made = Expression {
                    key: HashMap::from([("sessionId".to_owned(), text(id.as_str()))]),
                    update: "SET #done = :done, #key = :key, #method = :method".to_owned(),
                    condition: "attribute_exists(#id) AND attribute_not_exists(#done)".to_owned(),
                    names: names([
                        ("#id", "sessionId"),
                        ("#done", "doneAt"),
                        ("#key", "billingKey"),
                        ("#method", "method"),
                    ]),
                    values: HashMap::from([
                        (":done".to_owned(), millis(done.at)),
                        (":key".to_owned(), text(done.billing_key.expose())),
                        (":method".to_owned(), method),
                    ]),
                };
                self.update(table, made, false)
            }
        }
    }

    fn event_action(&self, event: &Event) -> Result<TransactWriteItem, Unwritable> {
        let mut item = encode::<EventRow>(event)?;
        item.retain(|_, value: &mut AttributeValue| !value.is_null());
        let put = Put::builder()
            .table_name(self.tables.name(EventRow::TABLE))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#subject)")
            .expression_attribute_names("#subject", "subject");
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn update(&self, table: Table, made: Expression, returns_old: bool) -> Result<TransactWriteItem, Unwritable> {
        let returned = if returns_old {
            ReturnValuesOnConditionCheckFailure::AllOld
        } else {
            ReturnValuesOnConditionCheckFailure::None
        };
        let update = Update::builder()
            .table_name(self.tables.name(table))
            .set_key(Some(made.key))
            .update_expression(made.update)
            .condition_expression(made.condition)
            .set_expression_attribute_names(Some(made.names))
            .set_expression_attribute_values(Some(made.values))
            .return_values_on_condition_check_failure(returned);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }
}

fn key_of(user: &UserId, issued_at: Timestamp) -> Attributes {
    HashMap::from([("userId".to_owned(), text(user.as_str())), ("createdAt".to_owned(), millis(issued_at))])
}

fn names<const N: usize>(names: [(&str, &str); N]) -> HashMap<String, String> {
    names.map(|(alias, name)| (alias.to_owned(), name.to_owned())).into()
}

/// The reasons of a cancelled transaction, one for each of its actions.
pub(super) fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// Whether an action's condition did not hold.
pub(super) fn is_refused(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

/// A transaction that was cancelled though every condition held.
pub(super) fn disturbed(reasons: &[CancellationReason], action: String) -> StoreError {
    let mut codes: Vec<&str> =
        reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None").collect();
    codes.sort_unstable();
    codes.dedup();
    let retryable = !codes.is_empty() && codes.iter().all(|code| PASSING.contains(code));
    StoreError {
        action,
        detail: format!("the transaction was cancelled: {}", codes.join(", ")),
        retryable,
        source: None,
    }
}

fn cancelled(parts: &[Part], reasons: &[CancellationReason], action: impl Fn() -> String) -> CommitError {
    let refused: Vec<(Part, &CancellationReason)> =
        parts.iter().copied().zip(reasons).filter(|(_, reason)| is_refused(reason)).collect();
    if refused.is_empty() {
        return disturbed(reasons, action()).into();
    }
    let has = |part| refused.iter().any(|(refused, _)| *refused == part);
    let first = refused.iter().find(|(part, _)| *part == Part::Invoice).and_then(|(_, reason)| reason.item());
    match first.cloned().map(decode::<InvoiceRow>).transpose() {
        Ok(invoice) => CommitError::Conflict(Conflict {
            invoice: invoice.map(Box::new),
            on_invoice: has(Part::Invoice),
            on_subscription: has(Part::Subscription),
            on_key: has(Part::Key),
            on_session: has(Part::Session),
            on_event: has(Part::Event),
        }),
        Err(error) => corrupt(action(), error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str) -> CancellationReason {
        CancellationReason::builder().code(code).build()
    }

    #[test]
    fn a_disturbance_may_pass_and_a_refusal_is_a_conflict() {
        let parts = [Part::Invoice, Part::Subscription, Part::Event];
        let verdict = |codes: [&str; 3]| cancelled(&parts, &codes.map(reason), || "x".to_owned());
        for code in PASSING {
            let error = verdict(["None", code, "None"]);
            assert!(matches!(&error, CommitError::Store(StoreError { retryable: true, .. })), "{code}: {error}");
        }
        assert!(matches!(
            verdict(["None", "TransactionConflict", "ValidationError"]),
            CommitError::Store(StoreError { retryable: false, .. })
        ));
        let CommitError::Conflict(conflict) = verdict(["None", "ConditionalCheckFailed", "TransactionConflict"]) else {
            panic!("a condition that does not hold is a conflict, whatever else happened");
        };
        assert_eq!(conflict, Conflict { on_subscription: true, ..Conflict::default() });
    }
}
