//! What payments and billing keys share.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::ChannelKey;
use crate::open_enum::open_enum;
use crate::secret::{BillingKey, Personal};

/// Reads `null` like an absent field.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a billing key that may be absent. A blank one is as good as none.
pub(crate) fn optional_billing_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BillingKey>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| BillingKey::new(text).ok()))
}

open_enum! {
    /// A currency by its ISO 4217 code. Amounts are integers in its minor unit: KRW ×1, JPY ×1, USD ×100.
    Currency {
        /// Korean won: no minor unit.
        Krw = "KRW",
        /// US dollar: cents.
        Usd = "USD",
        /// Japanese yen: no minor unit.
        Jpy = "JPY",
    }
}

open_enum! {
    /// Whether real money moves.
    ChannelKind {
        /// Real money.
        Live = "LIVE",
        /// A rehearsal. A browser can be made to pay on a test channel: check this in production.
        Test = "TEST",
    }
}

/// The channel a payment or a billing key went through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Real money or a rehearsal.
    #[serde(rename = "type")]
    pub kind: ChannelKind,
    /// The payment gateway, such as `TOSSPAYMENTS` or `PAYPAL_V2`. Empty if `PortOne` did not say.
    #[serde(default, deserialize_with = "null_as_default")]
    pub pg_provider: String,
    /// The merchant's name at that gateway.
    pub pg_merchant_id: Option<String>,
    /// The channel's internal id.
    pub id: Option<String>,
    /// The channel key.
    pub key: Option<ChannelKey>,
    /// The name given to the channel in the console.
    pub name: Option<String>,
}

/// The customer, as `PortOne` knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The merchant's own id of the customer.
    pub id: Option<String>,
    /// The name, in one piece.
    pub name: Option<Personal>,
    /// The e-mail address.
    pub email: Option<Personal>,
    /// The phone number.
    pub phone_number: Option<Personal>,
}

/// Which page of a list to read. Pages start at 0; `PortOne` reads absent as page 0 of 10 items, and refuses
/// `(number + 1) × size` above 60,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageRequest {
    /// The page, from 0.
    pub number: u16,
    /// Items per page.
    pub size: u16,
}

/// One page of a list. A page past the end has no items; it is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Paged<T> {
    /// The items, in the order asked for.
    pub items: Vec<T>,
    /// Where this page stands.
    pub page: PageInfo,
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// The page, from 0.
    pub number: u64,
    /// Items per page.
    pub size: u64,
    /// Items in the whole list.
    pub total_count: u64,
}

/// The direction of a sorted list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SortOrder {
    /// Newest first.
    Desc,
    /// Oldest first.
    Asc,
}

/// Who asked for a cancellation or a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Requester {
    /// The customer.
    Customer,
    /// The merchant.
    Admin,
}

impl Requester {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "CUSTOMER",
            Self::Admin => "ADMIN",
        }
    }
}
