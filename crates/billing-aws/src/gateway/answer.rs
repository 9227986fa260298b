//! What a call's end lets us conclude.

use super::is_unauthorized;
use crate::clock::whole_millis;
use billing_core::decline::{Decline, Pg};
use billing_flows::ports::{AskError, ChargeAnswer};
use portone::{ApiError, BillingKeyPaymentReceipt, Error, ErrorKind};

/// What the end of a charge says about the payment.
pub(super) fn to_charge(answer: Result<BillingKeyPaymentReceipt, Error>, pg: &Pg) -> ChargeAnswer {
    match answer {
        Ok(_) if pg.may_be_undecided() => {
            ChargeAnswer::Ask("PortOne took the charge, which this PG may decide later".to_owned())
        }
        Ok(BillingKeyPaymentReceipt { pg_tx_id, paid_at: Some(at) }) => {
            ChargeAnswer::Paid { at: whole_millis(at), pg_tx_id }
        }
        Ok(BillingKeyPaymentReceipt { paid_at: None, .. }) => {
            ChargeAnswer::Ask("PortOne took the charge without saying when it was paid".to_owned())
        }
        Err(Error::Api(error)) => refusal(&error, pg),
        Err(error) => ChargeAnswer::Unknown(error.to_string()),
    }
}

fn refusal(error: &ApiError, pg: &Pg) -> ChargeAnswer {
    let code = || error.kind.as_str().to_owned();
    match &error.kind {
        ErrorKind::PgProvider => {
            let code = error.pg.as_ref().map(|pg| pg.code.as_str()).filter(|code| !code.is_empty());
            ChargeAnswer::Declined(Decline::from_pg(pg, code.unwrap_or("PG_PROVIDER")))
        }
        ErrorKind::BillingKeyNotFound | ErrorKind::BillingKeyAlreadyDeleted => {
            ChargeAnswer::Declined(Decline::no_method(error.kind.as_str()))
        }
        ErrorKind::AlreadyPaid => ChargeAnswer::Ask(code()),
        ErrorKind::MaxTransactionCountReached => ChargeAnswer::UsedUp,
        ErrorKind::Unauthorized | ErrorKind::Forbidden => ChargeAnswer::Unauthorized { code: code() },
        ErrorKind::InvalidRequest
        | ErrorKind::ChannelNotFound
        | ErrorKind::SumOfPartsExceedsTotalAmount
        | ErrorKind::PromotionPayMethodDoesNotMatch
        | ErrorKind::PromotionDiscountRetainOptionShouldNotBeChanged
        | ErrorKind::DiscountAmountExceedsTotalAmount
        | ErrorKind::PaymentScheduleAlreadyExists => {
            tracing::error!(kind = %error.kind, message = error.message.as_deref(), "PortOne refused a charge: our mistake");
            ChargeAnswer::Refused { code: code() }
        }
        // Still running; or of a type that no charge is said to end with, so that it proves nothing about this one.
        _ => ChargeAnswer::Unknown(error.to_string()),
    }
}

/// Why nothing was learned.
pub(super) fn to_ask(error: &Error) -> AskError {
    if is_unauthorized(error) {
        AskError::Unauthorized(error.kind().map(|kind| kind.as_str().to_owned()).unwrap_or_default())
    } else {
        AskError::Unavailable(error.to_string())
    }
}

/// What was found; nothing if `PortOne` says that there is no such thing.
pub(super) fn unless_missing<T>(answer: Result<T, Error>, missing: &ErrorKind) -> Result<Option<T>, AskError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Some(missing) => Ok(None),
        Err(error) => Err(to_ask(&error)),
    }
}
