//! Billing keys as they are read, and their deletion.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::common::{Channel, Customer, PageRequest, Requester, SortOrder, null_as_default};
use crate::ids::StoreId;
use crate::open_enum::open_enum;
use crate::secret::{BillingKey, Personal};

open_enum! {
    /// Where a billing key stands. A key whose issue failed cannot be read at all.
    BillingKeyStatus {
        /// Usable.
        Issued = "ISSUED",
        /// Not usable any more.
        Deleted = "DELETED",
    }
}

/// A billing key with what `PortOne` knows about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingKeyInfo {
    /// Where it stands.
    pub status: BillingKeyStatus,
    /// The key.
    pub billing_key: BillingKey,
    /// The store it belongs to.
    pub store_id: StoreId,
    /// The customer it was issued for.
    #[serde(default, deserialize_with = "null_as_default")]
    pub customer: Customer,
    /// The merchant's name for the act of issuing.
    pub issue_id: Option<String>,
    /// The merchant's title for it.
    pub issue_name: Option<String>,
    /// When it was issued.
    pub issued_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The merchant's own data, as text.
    pub custom_data: Option<String>,
    /// The channels it can be charged through; several if it was issued on several.
    #[serde(default, deserialize_with = "null_as_default")]
    pub channels: Vec<Channel>,
    /// The customer's method of payment. `PayPal` tells nothing about it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub methods: Vec<BillingKeyMethod>,
}

/// The method of payment behind a billing key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "MethodOnWire")]
pub enum BillingKeyMethod {
    /// A card.
    Card(Card),
    /// An easy pay account.
    EasyPay {
        /// Whose, such as `KAKAOPAY`.
        provider: Option<String>,
        /// What the customer chose inside it.
        method: Option<Box<BillingKeyMethod>>,
    },
    /// The prepaid balance of an easy pay account. Found only inside `EasyPay`.
    Charge,
    /// A phone bill.
    Mobile {
        /// The number.
        phone_number: Option<Personal>,
    },
    /// `PayPal`.
    Paypal {
        /// The buyer's address. Not in `PortOne`'s contract, so expect none.
        email: Option<Personal>,
    },
    /// A bank account.
    Transfer {
        /// The bank, such as `SHINHAN`.
        bank: Option<String>,
        /// The account number.
        account_number: Option<Personal>,
    },
    /// A method this crate does not know.
    Other {
        /// Its type as it was written; empty if it had none.
        kind: String,
    },
}

/// A card. `PortOne` exposes no expiry date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// The company that put its name on it.
    pub publisher: Option<String>,
    /// The company that issued it.
    pub issuer: Option<String>,
    /// The network, such as `VISA` or `LOCAL`.
    pub brand: Option<String>,
    /// `CREDIT`, `DEBIT` or `GIFT`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `PERSONAL` or `CORPORATE`.
    pub owner_type: Option<String>,
    /// The first digits of its number, which name the issuer.
    pub bin: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// Its number, masked by `PortOne`.
    pub number: Option<Personal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodOnWire {
    #[serde(rename = "type", default)]
    kind: String,
    card: Option<Card>,
    provider: Option<String>,
    method: Option<Box<BillingKeyMethod>>,
    phone_number: Option<Personal>,
    email: Option<Personal>,
    bank: Option<String>,
    account_number: Option<Personal>,
}

impl From<MethodOnWire> for BillingKeyMethod {
    fn from(wire: MethodOnWire) -> Self {
        match wire.kind.as_str() {
            "BillingKeyPaymentMethodCard" => Self::Card(wire.card.unwrap_or_default()),
            "BillingKeyPaymentMethodEasyPay" => Self::EasyPay { provider: wire.provider, method: wire.method },
            "BillingKeyPaymentMethodEasyPayCharge" => Self::Charge,
            "BillingKeyPaymentMethodMobile" => Self::Mobile { phone_number: wire.phone_number },
            "BillingKeyPaymentMethodPaypal" => Self::Paypal { email: wire.email },
            "BillingKeyPaymentMethodTransfer" => {
                Self::Transfer { bank: wire.bank, account_number: wire.account_number }
            }
            _ => Self::Other { kind: wire.kind },
        }
    }
}

/// Which billing keys to list, by page. By default: those of the last 90 days, newest first, 10 to a page.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingKeyQuery {
    /// The page. It travels beside the filter.
    #[serde(skip)]
    pub page: Option<PageRequest>,
    /// The order. It travels beside the filter.
    #[serde(skip)]
    pub sort: Option<BillingKeySort>,
    /// The time `from` and `until` speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range_field: Option<BillingKeyTime>,
    /// The beginning. Absent: 90 days before `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The end. Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only these statuses. Empty: all.
    #[serde(rename = "status", skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<BillingKeyStatus>,
    /// Only this customer's, by the merchant's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
}

/// The order of a list of billing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BillingKeySort {
    /// The time to sort by.
    pub by: BillingKeyTime,
    /// The direction.
    pub order: SortOrder,
}

/// A time in the life of a billing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BillingKeyTime {
    /// When its issue was requested.
    RequestedAt,
    /// When it was issued.
    IssuedAt,
    /// When it was deleted.
    DeletedAt,
    /// When its status last changed.
    StatusTimestamp,
}

/// How to delete a billing key. `NaverPay` requires `reason` and `requester`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteBillingKey {
    /// Why.
    pub reason: Option<String>,
    /// Who asked for it.
    pub requester: Option<Requester>,
    /// No webhook for the success.
    pub skip_webhook: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeleteAnswer {
    pub(crate) deleted_at: Timestamp,
}
