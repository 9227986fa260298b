//! What is remembered, as the contract shows it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::entities::{
    BillingKey, Cancellation, CancellationStatus, Channel, Dispute, Method, Payment, PaymentStatus, Schedule, Webhook,
};
use super::input::put;

/// How often a webhook is tried at most.
pub(crate) const MAX_TRIES: u32 = 6;

/// The store everything belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) id: String,
    pub(crate) merchant_id: String,
}

/// A moment, to the millisecond, as `PortOne` writes it.
pub(crate) fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A word of the contract.
fn word(word: impl Serialize) -> Value {
    serde_json::to_value(word).unwrap_or_default()
}

fn channel(channel: &Channel) -> Value {
    json!({
        "type": "TEST",
        "id": format!("id-of-{}", channel.key),
        "key": channel.key,
        "name": format!("sandbox {}", channel.pg_provider),
        "pgProvider": channel.pg_provider,
        "pgMerchantId": "sandbox",
    })
}

fn card() -> Value {
    json!({
        "publisher": "SANDBOX_CARD", "issuer": "SANDBOX_CARD", "brand": "MASTER", "type": "CREDIT", "ownerType": "PERSONAL",
        "bin": "43301234", "name": "Sandbox Card", "number": "43301234****123*",
    })
}

/// The easy pay of a gateway.
fn easy_pay(pg_provider: &str) -> &'static str {
    match pg_provider {
        name if name.starts_with("PAYPAL") => "PAYPAL",
        name if name.starts_with("NAVER") => "NAVERPAY",
        name if name.starts_with("TOSSPAY") && name != "TOSSPAYMENTS" => "TOSSPAY",
        _ => "KAKAOPAY",
    }
}

fn key_method(key: &BillingKey) -> Value {
    match key.method {
        Method::Card => json!({"type": "BillingKeyPaymentMethodCard", "card": card()}),
        Method::Paypal => json!({"type": "BillingKeyPaymentMethodPaypal"}),
        Method::EasyPay => {
            let method = json!({"type": "BillingKeyPaymentMethodCard", "card": card()});
            json!({"type": "BillingKeyPaymentMethodEasyPay", "provider": easy_pay(&key.channel.pg_provider), "method": method})
        }
        Method::Mobile => {
            let mut method = json!({"type": "BillingKeyPaymentMethodMobile"});
            put(&mut method, "phoneNumber", key.customer.phone_number.clone());
            method
        }
        Method::Transfer => {
            json!({"type": "BillingKeyPaymentMethodTransfer", "bank": "KOOKMIN", "accountNumber": "12****34"})
        }
    }
}

/// `BillingKeyInfo`.
pub(crate) fn billing_key(store: &Store, key: &BillingKey, unknown_fields: bool) -> Value {
    let channel = channel(&key.channel);
    let mut info = json!({
        "status": if key.deleted_at.is_some() { "DELETED" } else { "ISSUED" },
        "billingKey": key.key,
        "merchantId": store.merchant_id,
        "storeId": store.id,
        "methods": [key_method(key)],
        "channels": [channel],
        "customer": word(&key.customer),
        "requestedAt": stamp(key.issued_at),
        "issuedAt": stamp(key.issued_at),
        "pgBillingKeyIssueResponses": [{"type": "ISSUED", "channel": channel, "method": key_method(key)}],
    });
    put(&mut info, "customData", key.custom_data.clone());
    put(&mut info, "issueId", key.issue_id.clone());
    put(&mut info, "deletedAt", key.deleted_at.map(stamp));
    if unknown_fields {
        add_unknown(&mut info);
    }
    info
}

/// `BillingKeyInfoSummary`, of an issue by API.
pub(crate) fn billing_key_summary(key: &BillingKey) -> Value {
    json!({"billingKey": key.key, "channels": [channel(&key.channel)], "issuedAt": stamp(key.issued_at)})
}

fn payment_method(payment: &Payment) -> Value {
    let card_method = || {
        json!({
            "type": "PaymentMethodCard",
            "card": card(),
            "approvalNumber": payment.transaction_id.chars().filter(char::is_ascii_digit).take(8).collect::<String>(),
            "installment": {"month": payment.order.installment_month.unwrap_or(0), "isInterestFree": false},
            "pointUsed": false,
        })
    };
    match payment.method {
        Method::Card => card_method(),
        Method::Paypal => json!({"type": "PaymentMethodEasyPay", "provider": "PAYPAL"}),
        Method::EasyPay => {
            let provider = easy_pay(&payment.channel.pg_provider);
            json!({"type": "PaymentMethodEasyPay", "provider": provider, "easyPayMethod": card_method()})
        }
        Method::Mobile => json!({"type": "PaymentMethodMobile"}),
        Method::Transfer => json!({"type": "PaymentMethodTransfer", "bank": "KOOKMIN", "accountNumber": "12****34"}),
    }
}

fn amount(payment: &Payment) -> Value {
    let order = &payment.order;
    let (cancelled, cancelled_tax_free, _) = payment.cancelled();
    json!({
        "total": order.total,
        "taxFree": order.tax_free,
        "vat": order.vat,
        "supply": order.total - order.tax_free - order.vat,
        "discount": 0,
        "paid": if payment.paid_at.is_some() { order.total } else { 0 },
        "cancelled": cancelled,
        "cancelledTaxFree": cancelled_tax_free,
    })
}

/// `PaymentCancellation`.
pub(crate) fn cancellation(cancellation: &Cancellation) -> Value {
    let mut view = json!({
        "status": word(cancellation.status),
        "id": cancellation.id,
        "pgCancellationId": format!("pg-{}", cancellation.id),
        "totalAmount": cancellation.total,
        "taxFreeAmount": cancellation.tax_free,
        "vatAmount": cancellation.vat,
        "reason": cancellation.reason,
        "requestedAt": stamp(cancellation.requested_at),
        "trigger": word(cancellation.trigger),
    });
    put(&mut view, "cancelledAt", cancellation.cancelled_at.map(stamp));
    view
}

fn dispute(dispute: &Dispute) -> Value {
    let status = if dispute.resolved_at.is_some() { "RESOLVED" } else { "UNRESOLVED" };
    let mut view = json!({"status": status, "reason": "the cardholder disputes the payment", "createdAt": stamp(dispute.created_at)});
    put(&mut view, "resolvedAt", dispute.resolved_at.map(stamp));
    view
}

/// `PaymentWebhook`.
pub(crate) fn webhook(webhook: &Webhook) -> Value {
    let url = webhook.last.as_ref().map(|last| last.url.clone()).or_else(|| webhook.url.clone());
    let mut view = json!({
        "id": webhook.id,
        "url": url.unwrap_or_default(),
        "isAsync": webhook.trigger.is_some(),
        "currentExecutionCount": webhook.tries + webhook.manual_tries,
        "maxExecutionCount": MAX_TRIES,
        "triggeredAt": stamp(webhook.triggered_at),
    });
    put(&mut view, "paymentStatus", webhook.payment_status.map(word));
    put(&mut view, "status", webhook.status.map(word));
    put(&mut view, "trigger", webhook.trigger.clone());
    if let Some(last) = &webhook.last {
        let request = json!({"header": last.header, "body": webhook.body, "requestedAt": stamp(last.requested_at)});
        put(&mut view, "request", Some(request));
        let response = last.response.as_ref().map(|response| {
            json!({
                "code": response.code.to_string(), "header": response.header, "body": response.body,
                "respondedAt": stamp(response.responded_at),
            })
        });
        put(&mut view, "response", response);
    }
    view
}

/// `Payment`.
pub(crate) fn payment<'a>(
    store: &Store,
    payment: &Payment,
    webhooks: impl Iterator<Item = &'a Webhook>,
    unknown_fields: bool,
) -> Value {
    let order = &payment.order;
    let mut origin = json!({"platformType": "API", "ipAddress": "127.0.0.1"});
    put(&mut origin, "userAgent", payment.user_agent.clone());
    let mut view = json!({
        "status": word(payment.status),
        "id": payment.id,
        "transactionId": payment.transaction_id,
        "merchantId": store.merchant_id,
        "storeId": store.id,
        "method": payment_method(payment),
        "channel": channel(&payment.channel),
        "version": "V2",
        "billingKey": order.billing_key,
        "webhooks": webhooks.map(webhook).collect::<Vec<_>>(),
        "requestedAt": stamp(payment.requested_at),
        "updatedAt": stamp(payment.updated_at),
        "statusChangedAt": stamp(payment.status_changed_at),
        "orderName": order.name,
        "amount": amount(payment),
        "currency": order.currency,
        "customer": word(&order.customer),
        "origin": origin,
        "isCulturalExpense": false,
    });
    put(&mut view, "scheduleId", payment.schedule_id.clone());
    put(&mut view, "promotionId", order.promotion_id.clone());
    put(&mut view, "products", (!order.products.is_empty()).then(|| order.products.clone()));
    put(&mut view, "productCount", order.product_count);
    put(&mut view, "customData", order.custom_data.clone());
    put(&mut view, "country", order.country.clone());
    add_status(&mut view, payment);
    if unknown_fields {
        add_unknown(&mut view);
    }
    view
}

/// What each status adds.
fn add_status(view: &mut Value, payment: &Payment) {
    let pg_tx_id = payment.pg_tx_id.clone();
    match payment.status {
        PaymentStatus::Ready => {}
        PaymentStatus::PayPending => put(view, "pgTxId", pg_tx_id),
        PaymentStatus::Failed => {
            if let Some(failure) = &payment.failure {
                put(view, "failedAt", Some(stamp(failure.at)));
                let failure =
                    json!({"reason": failure.reason, "pgCode": failure.pg_code, "pgMessage": failure.pg_message});
                put(view, "failure", Some(failure));
            }
        }
        PaymentStatus::Paid | PaymentStatus::PartialCancelled | PaymentStatus::Cancelled => {
            put(view, "pgTxId", pg_tx_id);
            put(view, "paidAt", payment.paid_at.map(stamp));
            put(view, "receiptUrl", Some(format!("https://receipt.invalid/{}", payment.transaction_id)));
            put(view, "cashReceiptIssuanceStatus", Some("NOT_ISSUED"));
            let cancellations: Vec<_> = payment.cancellations.iter().map(cancellation).collect();
            if payment.status == PaymentStatus::Paid {
                put(view, "disputes", Some(payment.disputes.iter().map(dispute).collect::<Vec<_>>()));
                put(view, "cancellations", (!cancellations.is_empty()).then_some(cancellations));
            } else {
                put(view, "cancellations", Some(cancellations));
                let done = payment.cancellations.iter().filter(|c| c.status == CancellationStatus::Succeeded);
                put(view, "cancelledAt", done.filter_map(|c| c.cancelled_at).max().map(stamp));
            }
        }
    }
}

/// `PaymentSchedule`.
pub(crate) fn schedule(store: &Store, schedule: &Schedule) -> Value {
    let order = &schedule.order;
    let mut view = json!({
        "status": word(schedule.status),
        "id": schedule.id,
        "merchantId": store.merchant_id,
        "storeId": store.id,
        "paymentId": schedule.payment_id,
        "billingKey": order.billing_key,
        "orderName": order.name,
        "isCulturalExpense": false,
        "isEscrow": false,
        "customer": word(&order.customer),
        "customData": order.custom_data.clone().unwrap_or_default(),
        "totalAmount": order.total,
        "taxFreeAmount": order.tax_free,
        "vatAmount": order.vat,
        "currency": order.currency,
        "noticeUrls": order.notice_urls,
        "createdAt": stamp(schedule.created_at),
        "timeToPay": stamp(schedule.time_to_pay),
    });
    put(&mut view, "installmentMonth", order.installment_month);
    put(&mut view, "products", (!order.products.is_empty()).then(|| order.products.clone()));
    put(&mut view, "startedAt", schedule.started_at.map(stamp));
    put(&mut view, "completedAt", schedule.completed_at.map(stamp));
    put(&mut view, "revokedAt", schedule.revoked_at.map(stamp));
    view
}

/// What a later version of the contract may bring: a field and an enum value that are not in this one.
fn add_unknown(view: &mut Value) {
    put(view, "sandboxUnheardOf", Some(json!({"kind": "NEW", "values": [1, null, "x"]})));
    if let Some(origin) = view.get_mut("origin") {
        put(origin, "platformType", Some("SANDBOX_UNHEARD_OF"));
    }
    if let Some(channel) = view.get_mut("channel") {
        put(channel, "pgProvider", Some("SANDBOX_UNHEARD_OF"));
    }
}
