//! Reading what `PortOne` writes, and what it may come to write.

use portone::{
    BillingKeyInfo, BillingKeyMethod, BillingKeyStatus, Cancellation, ChannelKind, Currency, DisputeStatus, Payment,
    PaymentStatus,
};
use serde_json::{Value, json};

use crate::samples::{cancellation, failed, issued, key, paid};

fn payment(document: Value) -> Payment {
    serde_json::from_value(document).unwrap()
}

#[test]
fn a_paid_payment_is_read() {
    let payment = payment(paid());
    assert_eq!(payment.status, PaymentStatus::Paid);
    assert_eq!((payment.amount.total, payment.amount.paid, payment.currency), (9_900, 9_900, Currency::Krw));
    assert_eq!(payment.billing_key, Some(key()));
    let channel = payment.channel.unwrap();
    assert_eq!((channel.kind, channel.pg_provider.as_str()), (ChannelKind::Test, "TOSSPAYMENTS"));
    assert_eq!(payment.paid_at.unwrap().to_string(), "2026-12-01T00:00:01Z");
    assert_eq!(payment.customer.id.as_deref(), Some("user-1"));
    assert_eq!(payment.customer.email.unwrap().expose(), "sentinel@example.com");
}

#[test]
fn a_failed_payment_tells_why() {
    let payment = payment(failed());
    assert_eq!(payment.status, PaymentStatus::Failed);
    assert_eq!(payment.channel, None);
    assert_eq!(payment.failure.unwrap().pg_code.as_deref(), Some("REJECT"));
}

#[test]
fn identity_and_money_are_all_a_payment_needs() {
    let payment = payment(json!({
        "status": "READY", "id": "p", "transactionId": "t", "storeId": "s", "currency": "USD",
        "amount": {"total": 1, "taxFree": 0, "paid": 0, "cancelled": 0},
    }));
    assert_eq!(payment.currency, Currency::Usd);
}

#[test]
fn money_is_never_guessed() {
    for field in ["total", "taxFree", "paid", "cancelled"] {
        let mut document = paid();
        document["amount"].as_object_mut().unwrap().remove(field);
        assert!(serde_json::from_value::<Payment>(document).is_err(), "{field}");
    }
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let mut document = paid();
    for field in ["customer", "channel", "disputes", "cancellations", "orderName", "billingKey", "pgTxId", "failure"] {
        document[field] = Value::Null;
    }
    assert_eq!(payment(document).disputes, []);
}

#[test]
fn values_nobody_knows_are_kept() {
    let mut document = paid();
    document["status"] = json!("FROZEN");
    document["currency"] = json!("EUR");
    document["channel"]["type"] = json!("SHADOW");
    document["disputes"] = json!([{"status": "MEDIATED"}]);
    document["future"] = json!({"deep": [1]});
    let payment = payment(document);
    assert_eq!(payment.status, PaymentStatus::Other("FROZEN".into()));
    assert_eq!(payment.currency, Currency::Other("EUR".into()));
    assert_eq!(payment.channel.unwrap().kind, ChannelKind::Other("SHADOW".into()));
    assert_eq!(payment.disputes[0].status, DisputeStatus::Other("MEDIATED".into()));
}

#[test]
fn a_cancellation_is_what_its_status_says() {
    let read = |status: &str| serde_json::from_value::<Cancellation>(cancellation(status)).unwrap();
    assert!(matches!(read("SUCCEEDED"), Cancellation::Succeeded(_)));
    assert!(matches!(read("REQUESTED"), Cancellation::Requested(_)));
    assert!(matches!(read("FAILED"), Cancellation::Failed(_)));
    assert!(matches!(read("HALTED"), Cancellation::Other { status, .. } if status == "HALTED"));
    assert_eq!(read("HALTED").details().total_amount, 1_100);
}

#[test]
fn cancellations_are_read_with_their_payment() {
    let mut document = paid();
    document["status"] = json!("PARTIAL_CANCELLED");
    document["cancellations"] = json!([cancellation("SUCCEEDED")]);
    assert_eq!(payment(document).cancellations.len(), 1);
}

#[test]
fn a_billing_key_is_read_with_its_methods() {
    let info: BillingKeyInfo = serde_json::from_value(issued()).unwrap();
    assert_eq!((info.status, info.billing_key), (BillingKeyStatus::Issued, key()));
    assert_eq!((info.issue_id.as_deref(), info.customer.id.as_deref()), (Some("issue-1"), Some("user-1")));
    assert_eq!(info.channels[0].kind, ChannelKind::Live);
    let [
        BillingKeyMethod::Card(card),
        BillingKeyMethod::EasyPay { provider, method },
        BillingKeyMethod::Mobile { phone_number: Some(_) },
        BillingKeyMethod::Paypal { email: None },
        BillingKeyMethod::Transfer { account_number: Some(_), .. },
    ] = &info.methods[..]
    else {
        panic!("{:?}", info.methods)
    };
    assert_eq!(card.number.as_ref().unwrap().expose(), "1234********5678");
    assert_eq!((provider.as_deref(), method.as_deref()), (Some("KAKAOPAY"), Some(&BillingKeyMethod::Charge)));
}

#[test]
fn a_method_nobody_knows_is_kept() {
    let mut document = issued();
    document["methods"] = json!([{"type": "BillingKeyPaymentMethodShell", "card": null}]);
    let info: BillingKeyInfo = serde_json::from_value(document).unwrap();
    assert_eq!(info.methods, [BillingKeyMethod::Other { kind: "BillingKeyPaymentMethodShell".into() }]);
}
