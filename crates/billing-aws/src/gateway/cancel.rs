//! Refunds: the request, and what a call's end lets us conclude.
//!
//! | `PortOne` says | the answer is |
//! | --- | --- |
//! | 200, `SUCCEEDED` of the ordered amount, with a time | `Succeeded` |
//! | 200, `REQUESTED` | `Requested` |
//! | 200, `FAILED` | `Failed` |
//! | 200, anything else | `Unknown` |
//! | `PG_PROVIDER` | `Failed`, with the PG's code |
//! | `UNAUTHORIZED`, `FORBIDDEN` | `Unauthorized` |
//! | the types that `PortOne` lists for this operation, `INVALID_REQUEST` | `Refused`: nothing was given back by this request |
//! | `IDEMPOTENCY_OUTSTANDING_REQUEST`, types that are not known or not expected, no answer, an answer that cannot be read | `Unknown` |

use crate::clock::whole_millis;
use billing_flows::ports::{CancelAnswer, CancelOrder};
use portone::{ApiError, CancelPayment, Cancellation, Error, ErrorKind, Requester};

/// What is sent: from the order alone, so that the same order is the same request. VAT is left to `PortOne`, as with the charge.
pub(super) fn request(order: &CancelOrder<'_>) -> CancelPayment {
    CancelPayment {
        amount: Some(order.amount.minor()),
        current_cancellable_amount: Some(order.cancellable.minor()),
        requester: Some(Requester::Admin),
        ..CancelPayment::new(order.reason)
    }
}

/// What the end of a call says about the refund.
pub(super) fn answer(answer: Result<Cancellation, Error>, order: &CancelOrder<'_>) -> CancelAnswer {
    match answer {
        Ok(Cancellation::Succeeded(details)) => match details.cancelled_at.or(details.requested_at) {
            Some(at) if details.total_amount == order.amount.minor() => {
                CancelAnswer::Succeeded { at: whole_millis(at) }
            }
            Some(_) => CancelAnswer::Unknown("PortOne gave another amount back than was ordered".to_owned()),
            None => CancelAnswer::Unknown("PortOne gave the money back without saying when".to_owned()),
        },
        Ok(Cancellation::Requested(_)) => CancelAnswer::Requested,
        Ok(Cancellation::Failed(_)) => CancelAnswer::Failed { code: "FAILED".to_owned() },
        Ok(Cancellation::Other { status, .. }) => CancelAnswer::Unknown(format!("the cancellation is {status}")),
        Err(Error::Api(error)) => refusal(&error),
        Err(error) => CancelAnswer::Unknown(error.to_string()),
    }
}

fn refusal(error: &ApiError) -> CancelAnswer {
    let code = || error.kind.as_str().to_owned();
    match &error.kind {
        ErrorKind::PgProvider => {
            let pg = error.pg.as_ref().map(|pg| pg.code.clone()).filter(|code| !code.is_empty());
            CancelAnswer::Failed { code: pg.unwrap_or_else(code) }
        }
        ErrorKind::Unauthorized | ErrorKind::Forbidden => CancelAnswer::Unauthorized { code: code() },
        ErrorKind::InvalidRequest
        | ErrorKind::PaymentNotFound
        | ErrorKind::PaymentNotPaid
        | ErrorKind::PaymentAlreadyCancelled
        | ErrorKind::CancellableAmountConsistencyBroken
        | ErrorKind::CancelAmountExceedsCancellableAmount
        | ErrorKind::SumOfPartsExceedsCancelAmount
        | ErrorKind::CancelTaxFreeAmountExceedsCancellableTaxFreeAmount
        | ErrorKind::CancelTaxAmountExceedsCancellableTaxAmount
        | ErrorKind::NegativePromotionAdjustedCancelAmount
        | ErrorKind::PromotionDiscountRetainOptionShouldNotBeChanged
        | ErrorKind::MaxCancelCountReached => {
            tracing::error!(kind = %error.kind, message = error.message.as_deref(), "PortOne refused a refund");
            CancelAnswer::Refused { code: code() }
        }
        // Still running; or of a type that no cancellation is said to end with, so that it proves nothing about this one.
        _ => CancelAnswer::Unknown(error.to_string()),
    }
}
