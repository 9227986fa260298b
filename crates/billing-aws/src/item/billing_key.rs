//! `BillingKeys`: PK `userId`, SK `createdAt`.

use super::{Field, Millis, Row};
use crate::tables::Table;
use billing_core::billing_key::{BillingKey, CardInfo, KeyStatus, MethodKind, RegisteredKey};
use billing_core::decline::Pg;
use billing_core::id::UserId;
use billing_core::private::Private;
use serde::{Deserialize, Serialize};

/// A row. `expiresAt` belongs to the tables too, but nothing here knows when a key expires: `PortOne` tells no one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillingKeyRow {
    user_id: UserId,
    created_at: Millis,
    billing_key: BillingKey,
    customer_id: String,
    payment_method: MethodKind,
    card_info: Option<CardInfo>,
    paypal_email: Option<Private>,
    #[serde(default)]
    is_default: bool,
    status: KeyStatus,
    channel_key: Option<String>,
    pg_provider: Option<Pg>,
    issue_id: Option<String>,
}

impl Row for BillingKeyRow {
    type Core = RegisteredKey;
    const TABLE: Table = Table::BillingKeys;

    fn of(core: &RegisteredKey) -> Self {
        let key = core.clone();
        Self {
            user_id: key.user_id,
            created_at: Millis(key.created_at),
            billing_key: key.billing_key,
            customer_id: key.customer_id,
            payment_method: key.method,
            card_info: key.card,
            paypal_email: key.paypal_email,
            is_default: key.is_default,
            status: key.status,
            channel_key: key.channel_key,
            pg_provider: key.pg,
            issue_id: key.issue_id,
        }
    }

    fn into_core(self) -> Result<RegisteredKey, Field> {
        Ok(RegisteredKey {
            user_id: self.user_id,
            created_at: self.created_at.0,
            billing_key: self.billing_key,
            customer_id: self.customer_id,
            method: self.payment_method,
            card: self.card_info,
            paypal_email: self.paypal_email,
            is_default: self.is_default,
            status: self.status,
            channel_key: self.channel_key,
            pg: self.pg_provider,
            issue_id: self.issue_id,
        })
    }
}
