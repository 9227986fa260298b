//! The gateways' own rules for charges, which `PortOne` passes on. Only those that refuse; what a gateway cuts short is let pass.

use super::entities::Order;

/// Gateways that charge in won only.
const WON_ONLY: [&str; 6] = ["TOSSPAYMENTS", "INICIS_V2", "KCP_V2", "NICE_V2", "KAKAOPAY", "NAVERPAY"];

/// Why the gateway would refuse this charge, if it would.
pub(crate) fn breach(pg_provider: &str, payment_id: &str, order: &Order) -> Option<String> {
    let breach = |rule: &str| Some(format!("{pg_provider}: {rule}"));
    if WON_ONLY.contains(&pg_provider) && order.currency != "KRW" {
        return breach("the currency must be KRW");
    }
    if pg_provider.starts_with("PAYPAL") && order.currency == "KRW" {
        return breach("the currency must not be KRW");
    }
    let alphanumeric = payment_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name_chars = order.name.chars().count();
    match pg_provider {
        "TOSSPAYMENTS" => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !(6..=64).contains(&payment_id.len()) || !payment_id.bytes().all(plain) {
                return breach("the payment id must be 6 to 64 of A-Z a-z 0-9 - _");
            }
            if name_chars > 100 {
                return breach("the order name must have at most 100 characters");
            }
        }
        "INICIS_V2" => {
            if !payment_id.bytes().all(|byte| byte.is_ascii_graphic()) {
                return breach("the payment id must be printable ASCII");
            }
            let customer = &order.customer;
            if customer.name.is_none() || customer.email.is_none() || customer.phone_number.is_none() {
                return breach("the customer's name, e-mail address and phone number are required");
            }
        }
        "KCP_V2" | "KPN" | "SMARTRO_V2" if !alphanumeric => return breach("the payment id must be letters and digits"),
        "KCP_V2" if order.name.len() > 100 => return breach("the order name must have at most 100 bytes"),
        "NICE_V2" if order.name.len() > 40 => return breach("the order name must have at most 40 bytes"),
        "NAVERPAY" if order.total < 100 => return breach("the least amount is 100 won"),
        "PAYPAL_V2" if order.tax_free > 0 => return breach("a tax-free amount is not supported"),
        _ => {}
    }
    None
}
