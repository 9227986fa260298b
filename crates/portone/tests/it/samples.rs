//! Values and documents the tests share.

use portone::{
    Address, ApiSecret, BillingKey, BillingKeyPayment, Client, Currency, CustomerInput, CustomerName, IdempotencyKey,
    PaymentId, Personal, Product, ProductType, Requester, StoreId,
};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "sentinel-api-secret";
pub(crate) const KEY: &str = "billing-key-sentinel";

pub(crate) fn client(base_url: &str) -> Client {
    Client::builder().base_url(base_url).build().unwrap().with_secret(ApiSecret::new(SECRET).unwrap())
}

pub(crate) fn store_client(base_url: &str) -> Client {
    let secret = ApiSecret::new(SECRET).unwrap();
    Client::builder().base_url(base_url).store_id(StoreId::new("store-1")).build().unwrap().with_secret(secret)
}

pub(crate) fn id() -> PaymentId {
    PaymentId::new("payment1").unwrap()
}

pub(crate) fn attempt() -> IdempotencyKey {
    IdempotencyKey::new("payment1-attempt-1").unwrap()
}

pub(crate) fn key() -> BillingKey {
    BillingKey::new(KEY).unwrap()
}

pub(crate) fn order() -> BillingKeyPayment {
    BillingKeyPayment::new(key(), "Pro", 9_900, Currency::Krw)
}

/// Every field in use.
pub(crate) fn full_order() -> BillingKeyPayment {
    let mut order = order();
    order.amount.tax_free = Some(0);
    order.amount.vat = Some(900);
    order.channel_key = Some(portone::ChannelKey::new("channel-key-1"));
    order.customer = Some(CustomerInput {
        id: Some("user-1".into()),
        name: Some(CustomerName::Full("Sentinel Person".into())),
        email: Some("sentinel@example.com".into()),
        phone_number: Some("01000000000".into()),
        country: Some("KR".into()),
        address: Some(address()),
        zipcode: Some("00000".into()),
    });
    order.custom_data = Some("{}".into());
    order.installment_month = Some(0);
    order.country = Some("KR".into());
    order.notice_urls = vec!["https://example.com/hook".into()];
    order.products = vec![Product { id: "pro".into(), name: "Pro".into(), amount: 9_900, quantity: 1 }];
    order.product_count = Some(1);
    order.product_type = Some(ProductType::Digital);
    order.shipping_address = Some(address());
    order.promotion_id = Some("promotion-1".into());
    order.locale = Some(portone::Locale::Korean);
    order.bypass = Some(serde_json::Map::from_iter([("paypal_v2".to_owned(), json!({}))]));
    order.skip_webhook = Some(true);
    order
}

fn address() -> Address {
    Address {
        address_line1: "Sentinel Street 1".into(),
        address_line2: Personal::new(""),
        city: Some("Seoul".into()),
        province: Some("Seoul".into()),
        country: Some("KR".into()),
    }
}

pub(crate) fn full_cancel() -> portone::CancelPayment {
    portone::CancelPayment {
        amount: Some(1_100),
        tax_free_amount: Some(0),
        vat_amount: Some(100),
        current_cancellable_amount: Some(9_900),
        requester: Some(Requester::Admin),
        skip_webhook: Some(false),
        ..portone::CancelPayment::new("asked")
    }
}

/// A paid payment with the contract's required fields and a few more.
pub(crate) fn paid() -> Value {
    json!({
        "status": "PAID", "id": "payment1", "transactionId": "tx-1", "merchantId": "merchant-1", "storeId": "store-1",
        "channel": {"type": "TEST", "id": "channel-1", "key": "channel-key-1", "name": "toss",
                    "pgProvider": "TOSSPAYMENTS", "pgMerchantId": "mid"},
        "version": "V2", "billingKey": KEY,
        "requestedAt": "2026-12-01T00:00:00Z", "updatedAt": "2026-12-01T00:00:02Z",
        "statusChangedAt": "2026-12-01T00:00:01.5Z", "orderName": "Pro",
        "amount": {"total": 9900, "taxFree": 0, "vat": 900, "supply": 9000, "discount": 0, "paid": 9900,
                   "cancelled": 0, "cancelledTaxFree": 0},
        "currency": "KRW",
        "customer": {"id": "user-1", "name": "Sentinel Person", "email": "sentinel@example.com",
                     "phoneNumber": "01000000000"},
        "origin": {"platformType": "API", "ipAddress": "192.0.2.1"},
        "customData": "{\"a\":1}", "paidAt": "2026-12-01T00:00:01Z", "pgTxId": "pg-1",
        "receiptUrl": "https://example.com/receipt", "disputes": [],
    })
}

/// A payment that failed before a channel was chosen.
pub(crate) fn failed() -> Value {
    let mut payment = paid();
    let fields = payment.as_object_mut().unwrap();
    for absent in ["channel", "paidAt", "pgTxId", "receiptUrl", "disputes"] {
        fields.remove(absent);
    }
    fields.insert("status".into(), json!("FAILED"));
    fields.insert("failedAt".into(), json!("2026-12-01T00:00:01Z"));
    fields.insert("failure".into(), json!({"reason": "declined", "pgCode": "REJECT", "pgMessage": "over limit"}));
    payment
}

pub(crate) fn cancellation(status: &str) -> Value {
    json!({"status": status, "id": "cancellation-1", "totalAmount": 1100, "taxFreeAmount": 0, "vatAmount": 100,
           "reason": "asked", "requestedAt": "2026-12-02T00:00:00Z", "cancelledAt": "2026-12-02T00:00:01Z",
           "trigger": "API"})
}

pub(crate) fn issued() -> Value {
    json!({
        "status": "ISSUED", "billingKey": KEY, "merchantId": "merchant-1", "storeId": "store-1",
        "methods": [
            {"type": "BillingKeyPaymentMethodCard",
             "card": {"issuer": "SHINHAN_CARD", "brand": "VISA", "type": "CREDIT", "ownerType": "PERSONAL",
                      "bin": "123456", "name": "Deep", "number": "1234********5678"}},
            {"type": "BillingKeyPaymentMethodEasyPay", "provider": "KAKAOPAY",
             "method": {"type": "BillingKeyPaymentMethodEasyPayCharge"}},
            {"type": "BillingKeyPaymentMethodMobile", "phoneNumber": "01000000000"},
            {"type": "BillingKeyPaymentMethodPaypal"},
            {"type": "BillingKeyPaymentMethodTransfer", "bank": "SHINHAN", "accountNumber": "110-000"},
        ],
        "channels": [{"type": "LIVE", "pgProvider": "KAKAOPAY", "pgMerchantId": "mid"}],
        "customer": {"id": "user-1"}, "customData": "data", "issueId": "issue-1", "issueName": "Pro",
        "issuedAt": "2026-12-01T00:00:00Z",
    })
}
