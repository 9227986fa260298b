//! Payments and billing keys as `PortOne` tells them, in our words.

use crate::clock::whole_millis;
use billing_core::billing_key::{BillingKey, CardInfo, MethodKind, last_four};
use billing_core::decline::{Decline, Pg};
use billing_core::id::PaymentId;
use billing_core::invoice::Proof;
use billing_core::private::Private;
use billing_core::settlement::Charged;
use billing_flows::ports::{AskError, CancellationSeen, CancellationStatus, KeySeen, Mode, PaymentSeen, SeenStatus};
use jiff::Timestamp;
use portone::{
    BillingKeyInfo, BillingKeyMethod, BillingKeyStatus, Cancellation, CancellationDetails, Card, Channel, ChannelKind,
    Payment, PaymentStatus, Personal,
};

/// The trigger of a cancellation that the customer's bank forced.
const CHARGEBACK: &str = "CHARGEBACK";

/// The triggers of cancellations that no API secret asked for.
const BY_OTHERS: [&str; 3] = ["CONSOLE", "PORTONE_ADMIN", CHARGEBACK];

/// A payment. Refused if its id is none that could be stored.
pub(super) fn payment(payment: &Payment) -> Result<PaymentSeen, AskError> {
    let payment_id = PaymentId::new(payment.id.as_str())
        .map_err(|_| AskError::Unavailable("PortOne told of a payment whose id cannot be stored".to_owned()))?;
    let done: Vec<&CancellationDetails> = payment.cancellations.iter().filter_map(succeeded).collect();
    let refunded = refunded(payment, &done);
    Ok(PaymentSeen {
        payment_id,
        status: status(payment, &done, refunded),
        billing_key: payment.billing_key.as_ref().map(|key| BillingKey::new(key.expose())),
        amount: Charged { minor: payment.amount.total, currency: payment.currency.as_str().to_owned() },
        refunded,
        cancellations: payment.cancellations.iter().map(cancellation).collect(),
        chargeback: done.iter().any(|details| details.trigger.as_deref() == Some(CHARGEBACK)),
        proof: Proof {
            pg_tx_id: payment.pg_tx_id.clone(),
            transaction_id: Some(payment.transaction_id.as_str().to_owned()),
            receipt_url: payment.receipt_url.clone(),
        },
    })
}

/// A cancellation. One that succeeded at no known moment is of no known status: the payment's own sum still counts it.
fn cancellation(cancellation: &Cancellation) -> CancellationSeen {
    let details = cancellation.details();
    let status = match cancellation {
        Cancellation::Succeeded(_) => details
            .cancelled_at
            .or(details.requested_at)
            .map_or(CancellationStatus::Other, |at| CancellationStatus::Succeeded { at: whole_millis(at) }),
        Cancellation::Requested(_) => CancellationStatus::Requested,
        Cancellation::Failed(_) => CancellationStatus::Failed,
        Cancellation::Other { .. } => CancellationStatus::Other,
    };
    CancellationSeen {
        amount: details.total_amount,
        status,
        reason: details.reason.clone(),
        by_api: !details.trigger.as_deref().is_some_and(|trigger| BY_OTHERS.contains(&trigger)),
        asked_at: details.requested_at.map(whole_millis),
    }
}

/// Only these have given money back.
fn succeeded(cancellation: &Cancellation) -> Option<&CancellationDetails> {
    match cancellation {
        Cancellation::Succeeded(details) => Some(details),
        Cancellation::Requested(_) | Cancellation::Failed(_) | Cancellation::Other { .. } => None,
    }
}

/// The sum of what was given back; `PortOne`'s own sum where it lists no cancellation of a payment that it calls cancelled.
fn refunded(payment: &Payment, done: &[&CancellationDetails]) -> i64 {
    let is_cancelled = matches!(payment.status, PaymentStatus::Cancelled | PaymentStatus::PartialCancelled);
    if is_cancelled && payment.cancellations.is_empty() {
        return payment.amount.cancelled;
    }
    done.iter().fold(0, |sum: i64, details| sum.saturating_add(details.total_amount))
}

fn status(payment: &Payment, done: &[&CancellationDetails], refunded: i64) -> SeenStatus {
    // A moment that a status must have, or the nearest one that is there; without any, the status says less than it should.
    let moment = |own: Option<Timestamp>| own.or(payment.status_changed_at).or(payment.updated_at).map(whole_millis);
    let other = || SeenStatus::Other(format!("{} without its time", payment.status));
    let cancelled = || {
        let last = done.iter().filter_map(|details| details.cancelled_at).max().or(payment.cancelled_at);
        let paid_at = payment.paid_at.or(payment.requested_at).map(whole_millis);
        match (paid_at, moment(last)) {
            (Some(paid_at), Some(at)) => SeenStatus::Cancelled { paid_at, at },
            _ => other(),
        }
    };
    match &payment.status {
        PaymentStatus::Ready => SeenStatus::Ready,
        PaymentStatus::PayPending => SeenStatus::Pending,
        PaymentStatus::Paid if refunded > 0 => cancelled(),
        PaymentStatus::Paid => moment(payment.paid_at).map_or_else(other, |at| SeenStatus::Paid { at }),
        PaymentStatus::PartialCancelled | PaymentStatus::Cancelled => cancelled(),
        PaymentStatus::Failed => {
            moment(payment.failed_at).map_or_else(other, |at| SeenStatus::Failed { at, decline: decline(payment) })
        }
        PaymentStatus::VirtualAccountIssued | PaymentStatus::Other(_) => {
            SeenStatus::Other(payment.status.as_str().to_owned())
        }
    }
}

fn decline(payment: &Payment) -> Decline {
    let pg = pg_of(payment.channel.as_ref()).unwrap_or_else(|| Pg::Other("UNKNOWN".to_owned()));
    let code = payment.failure.as_ref().and_then(|failure| failure.pg_code.as_deref()).filter(|code| !code.is_empty());
    Decline::from_pg(&pg, code.unwrap_or("FAILED"))
}

fn pg_of(channel: Option<&Channel>) -> Option<Pg> {
    channel.map(|channel| channel.pg_provider.as_str()).filter(|name| !name.is_empty()).map(Pg::from_provider)
}

/// A billing key. Refused if it is not told when it was issued: that is half of its row's key.
pub(super) fn billing_key(key: BillingKeyInfo) -> Result<KeySeen, AskError> {
    let issued_at = key.issued_at.ok_or_else(|| {
        AskError::Unavailable("PortOne told of a billing key without saying when it was issued".to_owned())
    })?;
    let channel = key.channels.first();
    let pg = pg_of(channel);
    let (method, card) = method(key.methods.first(), pg.as_ref());
    let private = |value: Option<Personal>| value.map(|value| Private::new(value.expose()));
    Ok(KeySeen {
        billing_key: BillingKey::new(key.billing_key.expose()),
        is_issued: key.status == BillingKeyStatus::Issued,
        store_id: key.store_id.as_str().to_owned(),
        mode: mode_of(&key.channels),
        customer_id: key.customer.id,
        customer_name: private(key.customer.name),
        customer_email: private(key.customer.email),
        issued_at: whole_millis(issued_at),
        method,
        card,
        channel_key: channel.and_then(|channel| channel.key.as_ref()).map(|key| key.as_str().to_owned()),
        pg,
        issue_id: key.issue_id,
    })
}

/// The mode of all channels of a key. A key of several channels may be charged through any of them, so one that differs leaves none.
fn mode_of(channels: &[Channel]) -> Option<Mode> {
    let mode = |channel: &Channel| match &channel.kind {
        ChannelKind::Live => Some(Mode::Live),
        ChannelKind::Test => Some(Mode::Test),
        ChannelKind::Other(_) => None,
    };
    let first = channels.first().and_then(mode);
    first.filter(|_| channels.iter().all(|channel| mode(channel) == first))
}

/// The kind of method. `PayPal` tells nothing about it; for the rest, what is not told is most likely a card.
fn method(told: Option<&BillingKeyMethod>, pg: Option<&Pg>) -> (MethodKind, Option<CardInfo>) {
    match told {
        Some(BillingKeyMethod::Card(card)) => (MethodKind::Card, Some(card_info(card))),
        Some(BillingKeyMethod::EasyPay { .. } | BillingKeyMethod::Charge) => (MethodKind::EasyPay, None),
        Some(BillingKeyMethod::Mobile { .. }) => (MethodKind::Mobile, None),
        Some(BillingKeyMethod::Paypal { .. }) => (MethodKind::Paypal, None),
        Some(BillingKeyMethod::Transfer { .. }) => (MethodKind::Transfer, None),
        Some(BillingKeyMethod::Other { .. }) | None if pg == Some(&Pg::PayPal) => (MethodKind::Paypal, None),
        Some(BillingKeyMethod::Other { .. }) | None => (MethodKind::Card, None),
    }
}

fn card_info(card: &Card) -> CardInfo {
    CardInfo {
        name: card.name.clone(),
        issuer: card.issuer.clone(),
        brand: card.brand.clone(),
        last4: card.number.as_ref().and_then(|number| last_four(number.expose())),
    }
}
