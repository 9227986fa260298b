//! What requests ask for. A field the contract does not have is let pass.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::behavior::Behavior;
use super::codes::{Country, Currency, PgProvider};
use super::entities::{Customer, Order};
use super::refusal::Refusal;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read only to be checked")]
pub(crate) struct Charge {
    pub(crate) store_id: Option<String>,
    pub(crate) billing_key: String,
    pub(crate) channel_key: Option<String>,
    pub(crate) order_name: String,
    pub(crate) customer: Option<CustomerInput>,
    pub(crate) custom_data: Option<String>,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) installment_month: Option<i32>,
    use_free_interest_from_merchant: Option<bool>,
    use_card_point: Option<bool>,
    cash_receipt: Option<CashReceipt>,
    pub(crate) country: Option<Country>,
    pub(crate) notice_urls: Option<Vec<String>>,
    pub(crate) products: Option<Vec<Product>>,
    pub(crate) product_count: Option<i32>,
    product_type: Option<ProductType>,
    shipping_address: Option<Address>,
    pub(crate) promotion_id: Option<String>,
    locale: Option<Locale>,
    bypass: Option<Map<String, Value>>,
    pub(crate) skip_webhook: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Amount {
    pub(crate) total: i64,
    pub(crate) tax_free: Option<i64>,
    pub(crate) vat: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read only to be checked")]
pub(crate) struct CustomerInput {
    id: Option<String>,
    name: Option<Name>,
    birth_year: Option<String>,
    birth_month: Option<String>,
    birth_day: Option<String>,
    country: Option<Country>,
    gender: Option<Gender>,
    email: Option<String>,
    phone_number: Option<String>,
    address: Option<Address>,
    zipcode: Option<String>,
    business_registration_number: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Name {
    full: Option<String>,
    separated: Option<Separated>,
}

#[derive(Debug, Clone, Deserialize)]
struct Separated {
    first: String,
    last: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the contract's names")]
struct Address {
    address_line1: String,
    address_line2: String,
    city: Option<String>,
    province: Option<String>,
    country: Option<Country>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Product {
    id: String,
    name: String,
    tag: Option<String>,
    code: Option<String>,
    amount: i64,
    quantity: i32,
    link: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read only to be checked")]
struct CashReceipt {
    r#type: CashReceiptType,
    customer_identity_number: Option<String>,
}

macro_rules! words {
    ($($name:ident { $($word:ident)+ })+) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub(crate) enum $name { $($word,)+ }
    )+};
}

words! {
    CashReceiptType { Personal Corporate NoReceipt }
    ProductType { Physical Digital }
    Locale { KoKr EnUs ZhCn ZhTw JaJp RuRu ThTh ViVn }
    Gender { Male Female Other }
    Requester { Customer Admin }
    RetainOption { Retain Release }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleInput {
    pub(crate) payment: Charge,
    pub(crate) time_to_pay: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read only to be checked")]
pub(crate) struct Cancel {
    pub(crate) store_id: Option<String>,
    pub(crate) amount: Option<i64>,
    pub(crate) tax_free_amount: Option<i64>,
    pub(crate) vat_amount: Option<i64>,
    pub(crate) reason: String,
    requester: Option<Requester>,
    promotion_discount_retain_option: Option<RetainOption>,
    pub(crate) current_cancellable_amount: Option<i64>,
    refund_account: Option<Map<String, Value>>,
    refund_email: Option<String>,
    pub(crate) skip_webhook: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revoke {
    pub(crate) store_id: Option<String>,
    pub(crate) billing_key: Option<String>,
    pub(crate) schedule_ids: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resend {
    pub(crate) store_id: Option<String>,
    pub(crate) webhook_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginInput {
    pub(crate) api_secret: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefreshInput {
    pub(crate) refresh_token: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Issue {
    pub(crate) store_id: Option<String>,
    pub(crate) method: IssueMethod,
    pub(crate) channel_key: Option<String>,
    pub(crate) channel_group_id: Option<String>,
    pub(crate) customer: Option<CustomerInput>,
    pub(crate) custom_data: Option<String>,
    pub(crate) notice_urls: Option<Vec<String>>,
    pub(crate) bypass: Option<IssueBypass>,
}

/// Where others have their own fields, the sandbox has its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IssueBypass {
    pub(crate) sandbox: SandboxBypass,
}

/// What the key is to be: its gateway, and what it does when it is charged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SandboxBypass {
    pub(crate) behavior: Option<Behavior>,
    pub(crate) pg_provider: Option<PgProvider>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct IssueMethod {
    pub(crate) card: Option<IssueCard>,
}

#[derive(Debug, Clone, Deserialize)]
#[expect(dead_code, reason = "read only to be checked")]
pub(crate) struct IssueCard {
    credential: Credential,
}

/// Only checked: a card's number is not kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read only to be checked")]
pub(crate) struct Credential {
    number: String,
    expiry_year: String,
    expiry_month: String,
}

impl Charge {
    /// What is charged, given what is known of the key's customer.
    pub(crate) fn order(self, customer: &Customer) -> Result<Order, Refusal> {
        let Amount { total, tax_free, vat } = self.amount;
        let tax_free = tax_free.unwrap_or(0);
        if total <= 0 || tax_free < 0 || vat.is_some_and(|vat| vat < 0) {
            return Err(Refusal::invalid("amounts are positive"));
        }
        let parts = tax_free.saturating_add(vat.unwrap_or(0));
        if parts > total {
            return Err(Refusal::new(
                "SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT",
                format!("the parts are {parts}, the total is {total}"),
            ));
        }
        Ok(Order {
            billing_key: self.billing_key,
            name: self.order_name,
            total,
            tax_free,
            vat: vat.unwrap_or_else(|| vat_of(total - tax_free)),
            currency: self.currency.0,
            customer: self.customer.map_or_else(|| customer.clone(), CustomerInput::flat),
            custom_data: self.custom_data,
            installment_month: self.installment_month,
            notice_urls: self.notice_urls.unwrap_or_default(),
            products: self.products.unwrap_or_default().into_iter().map(Product::into_json).collect(),
            product_count: self.product_count,
            promotion_id: self.promotion_id,
            country: self.country.map(|country| country.0),
            skip_webhook: self.skip_webhook.unwrap_or(false),
        })
    }
}

/// One eleventh, to the nearest unit. `PortOne` does not say how it rounds.
pub(crate) fn vat_of(taxable: i64) -> i64 {
    taxable.saturating_add(5) / 11
}

impl CustomerInput {
    /// As it is read again: a name in one piece, an address with its kind.
    pub(crate) fn flat(self) -> Customer {
        let name = self.name.and_then(|name| match name {
            Name { full: Some(full), .. } => Some(full),
            Name { separated: Some(Separated { first, last }), .. } => Some(format!("{first} {last}")),
            Name { .. } => None,
        });
        Customer {
            id: self.id,
            name,
            birth_year: self.birth_year,
            birth_month: self.birth_month,
            birth_day: self.birth_day,
            gender: self.gender.map(|gender| format!("{gender:?}").to_uppercase()),
            email: self.email,
            phone_number: self.phone_number,
            address: self.address.map(Address::into_json),
            zipcode: self.zipcode,
        }
    }
}

impl Address {
    fn into_json(self) -> Value {
        let one_line = format!("{} {}", self.address_line1, self.address_line2);
        let mut address = json!({
            "type": "SEPARATED",
            "oneLine": one_line.trim_end(),
            "addressLine1": self.address_line1,
            "addressLine2": self.address_line2,
        });
        put(&mut address, "city", self.city);
        put(&mut address, "province", self.province);
        put(&mut address, "country", self.country.map(|country| country.0));
        address
    }
}

impl Product {
    fn into_json(self) -> Value {
        let mut product = json!({"id": self.id, "name": self.name, "amount": self.amount, "quantity": self.quantity});
        put(&mut product, "tag", self.tag);
        put(&mut product, "code", self.code);
        put(&mut product, "link", self.link);
        product
    }
}

/// Sets a field of an object, if there is a value for it.
pub(crate) fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(name.to_owned(), value.into());
    }
}
