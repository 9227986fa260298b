//! The request of a charge.

use billing_core::decline::Pg;
use billing_core::money;
use billing_core::private::Private;
use billing_core::text::cut_to_bytes;
use billing_flows::ports::ChargeOrder;
use portone::{BillingKey, BillingKeyPayment, Currency, CustomerInput, CustomerName, InvalidBillingKey, Personal};
use std::borrow::Cow;

/// KG Inicis takes 30 bytes of a name.
const INICIS_NAME_BYTES: usize = 30;

/// Characters that Nice does not take in an order name.
const NOT_AT_NICE: [char; 9] = ['%', '&', '|', '$', '-', '+', '=', '[', ']'];

/// What is sent: from the order alone, so that the same order is the same request.
///
/// **Neither VAT nor a tax-free part is stated.** `PortOne` then takes one eleventh of the total as VAT, which is what the invoice shows. To
/// state them, KG Inicis and NHN KCP want a contract, without which they may charge another amount; Toss Payments wants one for tax-free
/// sums. (Nice's easy-pay keys, on the other hand, are refused *without* a tax-free amount: they are not supported.)
pub(super) fn request(order: &ChargeOrder<'_>) -> Result<BillingKeyPayment, InvalidBillingKey> {
    let currency = match order.amount.currency() {
        money::Currency::Krw => Currency::Krw,
        money::Currency::Usd => Currency::Usd,
    };
    let key = BillingKey::new(order.method.billing_key.expose())?;
    let mut payment = BillingKeyPayment::new(key, order_name(order), order.amount.minor(), currency);
    let personal = |value: &Private| Personal::new(value.expose());
    payment.customer = Some(CustomerInput {
        id: Some(order.user_id.to_string()),
        name: order
            .customer
            .name
            .as_ref()
            .map(|name| CustomerName::Full(Personal::new(full_name(name, &order.method.pg)))),
        email: order.customer.email.as_ref().map(personal),
        phone_number: order.customer.phone.as_ref().map(personal),
        ..CustomerInput::default()
    });
    Ok(payment)
}

/// As much of the order name as the PG takes, in characters it takes.
fn order_name(order: &ChargeOrder<'_>) -> String {
    let name: Cow<'_, str> = match order.method.pg {
        Pg::Nice => {
            let plain: String = order.order_name.replace(NOT_AT_NICE, " ");
            plain.split_whitespace().collect::<Vec<_>>().join(" ").into()
        }
        Pg::TossPayments | Pg::Inicis | Pg::Kcp | Pg::PayPal | Pg::Other(_) => order.order_name.into(),
    };
    cut_to_bytes(&name, order.method.pg.order_name_bytes()).trim_end().to_owned()
}

fn full_name<'a>(name: &'a Private, pg: &Pg) -> &'a str {
    if *pg == Pg::Inicis { cut_to_bytes(name.expose(), INICIS_NAME_BYTES) } else { name.expose() }
}
