//! The operations of the contract, and where they are; and, beside them, the stand-in for the browser SDK.

use std::future::{Ready, ready};

use axum::Router;
use axum::routing::{get, post};

use super::refusal::Refusal;
use super::reply::Answer;
use super::{PortOne, auth, browser, cancel, charge, delivery, keys, lists, schedules};

pub(crate) fn router(portone: PortOne) -> Router {
    Router::new()
        .route("/login/api-secret", post(auth::login))
        .route("/token/refresh", post(auth::refresh))
        .route("/payments", get(lists::payments))
        .route("/payments-by-cursor", get(lists::payments_by_cursor))
        .route("/payments/{paymentId}", get(lists::payment))
        .route("/payments/{paymentId}/billing-key", post(charge::pay))
        .route("/payments/{paymentId}/schedule", post(schedules::create))
        .route("/payments/{paymentId}/cancel", post(cancel::cancel))
        .route("/payments/{paymentId}/resend-webhook", post(delivery::resend))
        .route("/payments/{paymentId}/cash-receipt", get(lists::cash_receipt))
        .route("/payment-schedules", get(lists::schedules).delete(schedules::revoke))
        .route("/payment-schedules/{paymentScheduleId}", get(schedules::get))
        .route("/billing-keys", get(lists::billing_keys).post(keys::issue))
        .route("/billing-keys/{billingKey}", get(keys::get).delete(keys::delete))
        .merge(browser::router())
        .fallback(|| refuse("NOT_FOUND", "there is no such operation"))
        .method_not_allowed_fallback(|| refuse("METHOD_NOT_ALLOWED", "there is no such operation"))
        .with_state(portone)
}

fn refuse(kind: &'static str, message: &'static str) -> Ready<Answer> {
    ready(Err(Refusal::new(kind, message)).into())
}
