//! Claiming notices: many in one transaction, and a round more for each time some of them had been claimed or mailed before.

use super::commit::{cancellation, disturbed, is_refused};
use super::{DynamoStore, corrupt, event_key, failed, millis};
use crate::item::{ClaimRow, decode_as};
use crate::tables::Table;
use aws_sdk_dynamodb::types::{CancellationReason, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use billing_core::Timestamp;
use billing_core::event::EventKey;
use billing_flows::ports::{NoticeClaim, StoreError};
use std::collections::HashMap;

impl DynamoStore {
    pub(super) async fn claim(
        &self,
        events: &[EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<NoticeClaim>, StoreError> {
        let mut decided: HashMap<&EventKey, NoticeClaim> = HashMap::new();
        // A transaction refuses to touch a row twice.
        let mut open: Vec<&EventKey> = events.iter().collect();
        open.sort_unstable();
        open.dedup();
        while !open.is_empty() {
            let Some(refused) = self.claim_all(&open, now, lease_until).await? else {
                decided.extend(open.drain(..).map(|key| (key, NoticeClaim::Claimed)));
                break;
            };
            open.retain(|key| !refused.contains_key(key));
            decided.extend(refused);
        }
        // An event that was named twice is claimed once: its other places see the first one's lease.
        let claims = events.iter().map(|key| {
            let claim = decided.get(key).copied().unwrap_or(NoticeClaim::Missing);
            if claim == NoticeClaim::Claimed {
                decided.insert(key, NoticeClaim::InProgress(lease_until));
            }
            claim
        });
        Ok(claims.collect())
    }

    /// Claims all of them, or answers which cannot be claimed; then none was.
    async fn claim_all<'a>(
        &self,
        events: &[&'a EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<HashMap<&'a EventKey, NoticeClaim>>, StoreError> {
        let action = || self.action("TransactWriteItems", Table::Events);
        let items: Result<Vec<TransactWriteItem>, _> = events
            .iter()
            .map(|key| {
                let update = Update::builder()
                    .table_name(&self.tables.events)
                    .set_key(Some(event_key(key)))
                    .update_expression("SET #lease = :until")
                    .condition_expression(
                        "attribute_exists(#subject) AND attribute_not_exists(#mailed) AND (attribute_not_exists(#lease) OR #lease <= :now)",
                    )
                    .expression_attribute_names("#subject", "subject")
                    .expression_attribute_names("#mailed", "mailedAt")
                    .expression_attribute_names("#lease", "mailLeaseUntil")
                    .expression_attribute_values(":until", millis(lease_until))
                    .expression_attribute_values(":now", millis(now))
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
                update.build().map(|update| TransactWriteItem::builder().update(update).build())
            })
            .collect();
        let items = items.map_err(|error| StoreError {
            action: action(),
            detail: error.to_string(),
            retryable: false,
            source: None,
        })?;
        let Err(error) = self.client.transact_write_items().set_transact_items(Some(items)).send().await else {
            return Ok(None);
        };
        let Some(reasons) = cancellation(&error) else {
            return Err(failed(action(), &error));
        };
        let refused = events.iter().zip(reasons).filter(|(_, reason)| is_refused(reason));
        let refused: HashMap<&EventKey, NoticeClaim> = refused
            .map(|(key, reason)| Ok((*key, claimed_before(reason)?)))
            .collect::<Result<_, _>>()
            .map_err(|error| corrupt(action(), error))?;
        if refused.is_empty() { Err(disturbed(reasons, action())) } else { Ok(Some(refused)) }
    }
}

/// Why an event cannot be claimed, from the row that was there.
fn claimed_before(reason: &CancellationReason) -> Result<NoticeClaim, crate::item::CorruptRow> {
    let Some(item) = reason.item().filter(|item| !item.is_empty()) else {
        return Ok(NoticeClaim::Missing);
    };
    let row: ClaimRow = decode_as(Table::Events, item.clone())?;
    Ok(match (row.mailed_at, row.mail_lease_until) {
        (None, Some(until)) => NoticeClaim::InProgress(until.0),
        // Without either it could have been claimed.
        (Some(_), _) | (None, None) => NoticeClaim::Mailed,
    })
}
