//! What is sent to charge a billing key and to cancel a payment.
//!
//! The store is not among the fields: it is the client's, and the client puts it where each operation wants it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::common::{Currency, Requester};
use crate::ids::ChannelKey;
use crate::open_enum::open_enum;
use crate::secret::{BillingKey, Personal};

/// A charge to a billing key. [`BillingKeyPayment::new`] takes what is required.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingKeyPayment {
    /// What to charge.
    pub billing_key: BillingKey,
    /// What is bought, for the customer's statement. Gateways limit it: 40 bytes is safe.
    pub order_name: String,
    /// How much.
    pub amount: AmountInput,
    /// In what.
    pub currency: Currency,
    /// The channel, if the key was issued on several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_key: Option<ChannelKey>,
    /// The customer. Some gateways require parts of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerInput>,
    /// The merchant's own data, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_data: Option<String>,
    /// Months of instalments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installment_month: Option<u16>,
    /// The country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Where to send webhooks of success and failure, instead of the console's address. Empty: the console's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notice_urls: Vec<String>,
    /// What is bought, in detail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<Product>,
    /// How many things are bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_count: Option<u32>,
    /// Of what kind they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_type: Option<ProductType>,
    /// Where they are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// The promotion to apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<String>,
    /// The language, which Eximbay requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Fields of one gateway's own, such as `PayPal`'s `additional_data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Map<String, Value>>,
    /// No webhook for a success. Those of failures and of outside events are sent nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_webhook: Option<bool>,
}

impl BillingKeyPayment {
    /// A charge of `total`, in minor units of the currency, and nothing optional.
    pub fn new(billing_key: BillingKey, order_name: impl Into<String>, total: i64, currency: Currency) -> Self {
        Self {
            billing_key,
            order_name: order_name.into(),
            amount: AmountInput { total, tax_free: None, vat: None },
            currency,
            channel_key: None,
            customer: None,
            custom_data: None,
            installment_month: None,
            country: None,
            notice_urls: Vec::new(),
            products: Vec::new(),
            product_count: None,
            product_type: None,
            shipping_address: None,
            promotion_id: None,
            locale: None,
            bypass: None,
            skip_webhook: None,
        }
    }
}

/// An amount to charge, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AmountInput {
    /// All of it.
    pub total: i64,
    /// The tax-free part. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_free: Option<i64>,
    /// The VAT in it. Absent: `PortOne` takes one eleventh of the taxable part, by a rounding it does not state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat: Option<i64>,
}

/// The customer, as told to `PortOne`. KG Inicis requires name, phone number and e-mail address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerInput {
    /// The merchant's own id of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<CustomerName>,
    /// The e-mail address. Toss Payments writes to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal>,
    /// The phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<Personal>,
    /// The country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zipcode: Option<Personal>,
}

/// A name, in one piece or in two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CustomerName {
    /// In one piece.
    Full(Personal),
    /// In two.
    Separated {
        /// The given name.
        first: Personal,
        /// The family name.
        last: Personal,
    },
}

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// The first line.
    pub address_line1: Personal,
    /// The second line. Required, though it may be empty.
    pub address_line2: Personal,
    /// The city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<Personal>,
    /// The province or state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub province: Option<Personal>,
    /// The country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// One thing that is bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// The merchant's own id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The price of one, in minor units.
    pub amount: i64,
    /// How many.
    pub quantity: u32,
}

/// Whether what is bought has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProductType {
    /// It has.
    Physical,
    /// It has not.
    Digital,
}

open_enum! {
    /// The language of what the gateway shows.
    Locale {
        /// Korean.
        Korean = "KO_KR",
        /// English.
        English = "EN_US",
    }
}

/// The answer to a charge. It has no status and no amount: read the payment to learn them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingKeyPaymentReceipt {
    /// The gateway's name for the payment.
    pub pg_tx_id: String,
    /// When it was paid. The contract promises it, but says nothing of a charge that is still pending (`PayPal`).
    pub paid_at: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(crate) struct PayAnswer {
    pub(crate) payment: BillingKeyPaymentReceipt,
}

/// A cancellation to ask for. [`CancelPayment::new`] takes what is required.
///
/// Send both `amount` and `current_cancellable_amount`: together they keep a partial cancellation from being done twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelPayment {
    /// Why.
    pub reason: String,
    /// How much, in minor units. Absent: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// The tax-free part. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_free_amount: Option<i64>,
    /// The VAT in it. Absent: computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat_amount: Option<i64>,
    /// The balance before this cancellation. If it is not that, the cancellation is refused. Absent: not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_cancellable_amount: Option<i64>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<Requester>,
    /// No webhook for a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_webhook: Option<bool>,
}

impl CancelPayment {
    /// A cancellation of everything, and nothing optional.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            amount: None,
            tax_free_amount: None,
            vat_amount: None,
            current_cancellable_amount: None,
            requester: None,
            skip_webhook: None,
        }
    }
}
