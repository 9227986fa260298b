//! The guards: the checks that keep anybody from being charged twice or forgotten, each by its name.
//!
//! The attack on the system (`tests/`, "sim") takes one guard away at a time and must notice. So each is written where it belongs as a
//! question to [`Guard::stands`]. That is constantly `true` unless the feature `removable-guards` is on *and* debug assertions are: a
//! release build has no switch, whatever features are asked for.

/// A check that the promises rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Guard {
    /// A payment id is derived from (store, subscription, period), so two who open an invoice open the same one.
    DerivedId,
    /// The intent is written on the version that was read: of two workers, one gets to charge.
    ClaimCondition,
    /// A settlement is written on the version that was read: what two learned at once is not written over each other.
    SettleCondition,
    /// A subscription is written on the version that was read: a cancellation is not undone by a settlement.
    SubscriptionCondition,
    /// The intent checks that the subscription is as it was read: nothing is charged after a cancellation.
    IntentCheck,
    /// An attempt whose end is not known is asked about before anything else is done.
    AskFirst,
    /// While an attempt's lease runs, nobody else touches it.
    Lease,
    /// The idempotency key names the attempt, so that a re-send is no second charge.
    AttemptKey,
    /// Nothing is sent again once `PortOne` may have forgotten its idempotency key.
    ResendWindow,
    /// A 404 proves an attempt lost only when nothing of it can be under way any more.
    LostAfter,
    /// No answer is not a decline.
    UnknownIsNoDecline,
    /// A refusal for a mistake of ours is not a decline.
    RefusalIsNoDecline,
    /// A failure that `PortOne` shows is held against the attempt that it belongs to, not an earlier one's against a later.
    FailureOfThisAttempt,
    /// A decline counts only while the attempt it ended is undecided.
    DecidedOnce,
    /// What is paid is not paid again.
    PaidOnce,
    /// What was paid is compared with what is owed.
    AmountCompared,
    /// A payment id that is called used up is replaced only when it is proved unpaid.
    SupersedeProof,
    /// A charge is retried at most three times.
    RetryLimit,
    /// A method that can never succeed is not charged again.
    HardDeclineEnds,
    /// Nothing is charged while banks are down.
    BanksDown,
    /// Due is everything up to now, whatever day it is.
    DueByNow,
    /// A subscription ends only when no charge for it is undecided.
    EndWhenDecided,
    /// A webhook is a hint: what it says is read again.
    ReadAgain,
    /// A webhook is believed only under a signature.
    Signature,
    /// A notice is claimed before it is sent: of two notifiers, one sends.
    NoticeClaim,
    /// A notice is marked when it is sent: a redelivery sends nothing.
    NoticeMark,
    /// A refund is begun on the version that was read: of two callers, one begins it.
    RefundIntent,
    /// The idempotency key names the refund, so that a re-send gives nothing back a second time.
    RefundKey,
    /// A caller's key finds the refund that was begun for it.
    RefundOnce,
    /// While a refund is undecided, no other is begun.
    OneRefund,
    /// A refund is made on the balance it was reckoned on, or not at all.
    CancellableChecked,
    /// No answer is not the end of a refund.
    UnknownRefund,
    /// An upgrade is begun by one transaction of its invoice and its subscription: what is paid for is had.
    UpgradeIntent,
    /// The payment id of an upgrade is derived from (store, subscription, month, number), so whoever clears it up finds it.
    UpgradeId,
    /// Nothing is changed once a bill falls due, or while an upgrade is under way: what is billed is what is had.
    BillFirst,
    /// A caller's key finds the upgrade that was begun for it.
    ChangeOnce,
    /// A caller's key finds the attempt to pay that was made for it.
    PayOnce,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 37] = [
        Self::DerivedId,
        Self::ClaimCondition,
        Self::SettleCondition,
        Self::SubscriptionCondition,
        Self::IntentCheck,
        Self::AskFirst,
        Self::Lease,
        Self::AttemptKey,
        Self::ResendWindow,
        Self::LostAfter,
        Self::UnknownIsNoDecline,
        Self::RefusalIsNoDecline,
        Self::FailureOfThisAttempt,
        Self::DecidedOnce,
        Self::PaidOnce,
        Self::AmountCompared,
        Self::SupersedeProof,
        Self::RetryLimit,
        Self::HardDeclineEnds,
        Self::BanksDown,
        Self::DueByNow,
        Self::EndWhenDecided,
        Self::ReadAgain,
        Self::Signature,
        Self::NoticeClaim,
        Self::NoticeMark,
        Self::RefundIntent,
        Self::RefundKey,
        Self::RefundOnce,
        Self::OneRefund,
        Self::CancellableChecked,
        Self::UnknownRefund,
        Self::UpgradeIntent,
        Self::UpgradeId,
        Self::BillFirst,
        Self::ChangeOnce,
        Self::PayOnce,
    ];

    /// Whether the guard stands: always, but under an attack of this thread.
    #[cfg(not(all(feature = "removable-guards", debug_assertions)))]
    #[inline]
    pub const fn stands(self) -> bool {
        true
    }

    /// Whether the guard stands: always, but under an attack of this thread.
    #[cfg(all(feature = "removable-guards", debug_assertions))]
    #[inline]
    pub fn stands(self) -> bool {
        removed::get() != Some(self)
    }
}

/// Takes a guard away from this thread, or puts it back.
#[cfg(all(feature = "removable-guards", debug_assertions))]
pub mod removed {
    use super::Guard;
    use std::cell::Cell;

    thread_local! {
        static REMOVED: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// The guard that is missing, if one is.
    pub fn get() -> Option<Guard> {
        REMOVED.get()
    }

    /// Takes `guard` away; `None` puts all back.
    pub fn set(guard: Option<Guard>) {
        REMOVED.set(guard);
    }
}
