//! Events: the append-only record of what changed, and the outbox that mails are made from.

use crate::notice::Notice;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A subscription began.
    SubscriptionStarted,
    /// A customer wishes to cancel: nothing more is charged, and the subscription ends with the period that is paid.
    CancellationRequested,
    /// A customer does not wish to cancel any more.
    CancellationWithdrawn,
    /// A subscription ended at its customer's wish.
    SubscriptionCanceled,
    /// A subscription's plan or seats changed, for nothing.
    SubscriptionChanged,
    /// A subscription's plan or seats will change with its next period.
    ChangeScheduled,
    /// A customer wishes an upgrade, and its charge is under way.
    UpgradeBegun,
    /// An invoice was paid.
    InvoicePaid,
    /// An attempt was declined; the invoice will be tried again.
    PaymentFailed,
    /// The last attempt was declined, or no new method came in time: the subscription has ended.
    InvoiceUncollectible,
    /// `PortOne` accepted an attempt but has not decided it.
    PaymentPending,
    /// Nobody knows yet how an attempt ended.
    PaymentUnknown,
    /// `PortOne` refused a request of ours before any charge: our mistake or our configuration.
    PaymentRefused,
    /// An attempt was proved never to have reached `PortOne`.
    AttemptLost,
    /// `PortOne` called the payment id used up; the invoice goes on under its next revision.
    InvoiceSuperseded,
    /// An invoice is no longer owed, because its customer cancelled.
    InvoiceVoided,
    /// Money was given back, in part or in whole.
    InvoiceRefunded,
    /// `PortOne` took a refund and has not decided it.
    RefundRequested,
    /// A refund of ours gave nothing back: the PG or `PortOne` refused it, or it never arrived.
    RefundFailed,
    /// The invoice and `PortOne` contradict each other; it is parked for a person.
    InvoiceQuarantined,
    /// A billing key was registered.
    BillingKeyRegistered,
    /// A billing key was deleted.
    BillingKeyRemoved,
    /// A new billing key was put to a subscription that is owed for.
    MethodReplaced,
    /// A webhook named a payment our books do not know.
    UnknownPayment,
    /// `PortOne` said that a dispute was opened or closed.
    Dispute,
    /// A nightly comparison found our books and `PortOne`'s to differ.
    BooksDiffer,
    /// A nightly comparison got through all that it had to compare.
    BooksCompared,
}

impl EventKind {
    /// Every kind, for reports.
    pub const ALL: [Self; 27] = [
        Self::SubscriptionStarted,
        Self::CancellationRequested,
        Self::CancellationWithdrawn,
        Self::SubscriptionCanceled,
        Self::SubscriptionChanged,
        Self::ChangeScheduled,
        Self::UpgradeBegun,
        Self::InvoicePaid,
        Self::PaymentFailed,
        Self::InvoiceUncollectible,
        Self::PaymentPending,
        Self::PaymentUnknown,
        Self::PaymentRefused,
        Self::AttemptLost,
        Self::InvoiceSuperseded,
        Self::InvoiceVoided,
        Self::InvoiceRefunded,
        Self::RefundRequested,
        Self::RefundFailed,
        Self::InvoiceQuarantined,
        Self::BillingKeyRegistered,
        Self::BillingKeyRemoved,
        Self::MethodReplaced,
        Self::UnknownPayment,
        Self::Dispute,
        Self::BooksDiffer,
        Self::BooksCompared,
    ];

    /// Its name in tables, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubscriptionStarted => "subscription_started",
            Self::CancellationRequested => "cancellation_requested",
            Self::CancellationWithdrawn => "cancellation_withdrawn",
            Self::SubscriptionCanceled => "subscription_canceled",
            Self::SubscriptionChanged => "subscription_changed",
            Self::ChangeScheduled => "change_scheduled",
            Self::UpgradeBegun => "upgrade_begun",
            Self::InvoicePaid => "invoice_paid",
            Self::PaymentFailed => "payment_failed",
            Self::InvoiceUncollectible => "invoice_uncollectible",
            Self::PaymentPending => "payment_pending",
            Self::PaymentUnknown => "payment_unknown",
            Self::PaymentRefused => "payment_refused",
            Self::AttemptLost => "attempt_lost",
            Self::InvoiceSuperseded => "invoice_superseded",
            Self::InvoiceVoided => "invoice_voided",
            Self::InvoiceRefunded => "invoice_refunded",
            Self::RefundRequested => "refund_requested",
            Self::RefundFailed => "refund_failed",
            Self::InvoiceQuarantined => "invoice_quarantined",
            Self::BillingKeyRegistered => "billing_key_registered",
            Self::BillingKeyRemoved => "billing_key_removed",
            Self::MethodReplaced => "method_replaced",
            Self::UnknownPayment => "unknown_payment",
            Self::Dispute => "dispute",
            Self::BooksDiffer => "books_differ",
            Self::BooksCompared => "books_compared",
        }
    }

    /// Whether a person must look: each of these raises the alarm metric of its name.
    pub fn alarms(self) -> bool {
        match self {
            Self::PaymentRefused
            | Self::RefundFailed
            | Self::InvoiceQuarantined
            | Self::UnknownPayment
            | Self::Dispute
            | Self::BooksDiffer
            | Self::InvoiceSuperseded => true,
            Self::SubscriptionStarted
            | Self::CancellationRequested
            | Self::CancellationWithdrawn
            | Self::SubscriptionCanceled
            | Self::SubscriptionChanged
            | Self::ChangeScheduled
            | Self::UpgradeBegun
            | Self::InvoicePaid
            | Self::PaymentFailed
            | Self::InvoiceUncollectible
            | Self::PaymentPending
            | Self::PaymentUnknown
            | Self::AttemptLost
            | Self::InvoiceVoided
            | Self::InvoiceRefunded
            | Self::RefundRequested
            | Self::BillingKeyRegistered
            | Self::BillingKeyRemoved
            | Self::MethodReplaced
            | Self::BooksCompared => false,
        }
    }
}

/// Who or what brought a change about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A planner's run, by its id.
    Run(String),
    /// A webhook, by its `webhook-id`.
    Webhook(String),
    /// A caller of our own API, by its request id.
    Api(String),
    /// A reconciler's pass, by its id.
    Reconcile(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(id) => write!(f, "run:{id}"),
            Self::Webhook(id) => write!(f, "webhook:{id}"),
            Self::Api(id) => write!(f, "api:{id}"),
            Self::Reconcile(id) => write!(f, "reconcile:{id}"),
        }
    }
}

impl Cause {
    /// Reads a stored cause; text of another form is an API caller's.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("run", id)) => Self::Run(id.to_owned()),
            Some(("webhook", id)) => Self::Webhook(id.to_owned()),
            Some(("reconcile", id)) => Self::Reconcile(id.to_owned()),
            Some(("api", id)) => Self::Api(id.to_owned()),
            _ => Self::Api(text.to_owned()),
        }
    }
}

/// One state change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about: a payment id, a subscription id, or a year of nightly comparisons.
    pub subject: String,
    /// Its place in the subject's order: see [`Event::id_at`].
    pub id: String,
    /// When it was written down.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// What brought it about.
    pub cause: Cause,
    /// The subject's status before, where it had one.
    pub before: Option<String>,
    /// The subject's status after.
    pub after: Option<String>,
    /// What a person who looks will want to know, in one line without personal data.
    pub detail: Option<String>,
    /// What is to be mailed, and to whom.
    pub notice: Option<Notice>,
}

/// Where an event lies: the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// What it is about.
    pub subject: String,
    /// Its place in the subject's order.
    pub id: String,
}

impl Event {
    /// A time-ordered id: epoch milliseconds in 13 digits, then what tells two events of one millisecond apart (the subject's version, or
    /// the webhook's id). The same fact written twice gets the same id, so the second write finds the first.
    pub fn id_at(at: Timestamp, discriminator: &str) -> String {
        format!("{:013}-{discriminator}", at.as_millisecond().max(0))
    }

    /// The key of its row.
    pub fn key(&self) -> EventKey {
        EventKey { subject: self.subject.clone(), id: self.id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_sort_by_time() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        assert!(Event::id_at(at(999), "9") < Event::id_at(at(1_000), "1"));
        assert!(Event::id_at(at(999_999_999_999), "9") < Event::id_at(at(1_000_000_000_000), "1"));
        assert!(Event::id_at(at(1_764_550_800_000), "1") < Event::id_at(at(1_764_550_800_000), "2"));
    }

    #[test]
    fn a_kind_has_one_name_everywhere() {
        for kind in EventKind::ALL {
            let text = toml::Value::try_from(kind).unwrap();
            assert_eq!(text.as_str(), Some(kind.name()));
        }
    }

    #[test]
    fn only_what_a_person_must_look_at_alarms() {
        let alarms: Vec<_> = EventKind::ALL.into_iter().filter(|kind| kind.alarms()).map(EventKind::name).collect();
        assert_eq!(
            alarms,
            [
                "payment_refused",
                "invoice_superseded",
                "refund_failed",
                "invoice_quarantined",
                "unknown_payment",
                "dispute",
                "books_differ"
            ]
        );
    }

    #[test]
    fn a_cause_survives_its_text() {
        for text in ["run:2026-12-01T01:00:00Z", "webhook:wh_1", "api:req-1", "reconcile:2026-12-01T01:30:00Z"] {
            assert_eq!(Cause::parse(text).to_string(), text);
        }
    }
}
