//! The ports: what the use cases need of the world, as narrow traits.
//!
//! A method of [`Store`] is one DynamoDB request, and its comment says which.

use crate::mail::Mail;
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, CardInfo, MethodKind, RegisteredKey};
pub use billing_core::books::BookLine;
use billing_core::calendar::Period;
use billing_core::decline::{Decline, Pg};
use billing_core::event::{Event, EventKey, EventKind};
use billing_core::id::{PaymentId, UserId};
use billing_core::invoice::{Invoice, Proof};
use billing_core::money::Money;
use billing_core::private::Private;
use billing_core::session::{Done, Session, SessionId};
use billing_core::settlement::Charged;
use billing_core::subscription::{Customer, Method, Subscription, SubscriptionKey};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::future::Future;
use thiserror::Error;

/// Tells the time. Only composition roots know a real one.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A table could not be read or written.
#[derive(Debug, Error)]
#[error("{action} failed: {detail}")]
pub struct StoreError {
    /// What was being done, to which table.
    pub action: String,
    /// What went wrong, without any item's contents.
    pub detail: String,
    /// Whether the same request may succeed later: throttling, a conflicting transaction, a lost answer. A write that failed this way **may
    /// have been applied**.
    pub retryable: bool,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where a listing goes on: opaque text, given back as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// A part of a listing. A part may be empty and still have a successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where it goes on; nothing at the end.
    pub next: Option<Cursor>,
}

/// What a written invoice must find in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No row.
    Absent,
    /// A row of this version.
    Version(u64),
}

/// What a transaction does about a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// Puts a new one; there must be none.
    Create(Subscription),
    /// Writes the next version over this one.
    Write {
        /// The version that must be there.
        expected: u64,
        /// What it becomes.
        next: Subscription,
    },
    /// Writes nothing, but must find this version: so that nothing is charged for a subscription that was cancelled a moment ago.
    Check {
        /// Which.
        key: SubscriptionKey,
        /// The version that must be there.
        version: u64,
    },
}

/// What a transaction does about a billing key.
#[expect(clippy::large_enum_variant, reason = "one is made per registration, and never many at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// Puts a new row; there must be none with its user and moment of issue.
    Register(RegisteredKey),
    /// Marks a row deleted, and no default any more; it must be active.
    Delete {
        /// Whose.
        user_id: UserId,
        /// When it was issued.
        created_at: Timestamp,
    },
    /// Marks a row as the default; it must be active.
    MakeDefault {
        /// Whose.
        user_id: UserId,
        /// When it was issued.
        created_at: Timestamp,
    },
    /// Takes that mark from a row; it must have it.
    EndDefault {
        /// Whose.
        user_id: UserId,
        /// When it was issued.
        created_at: Timestamp,
    },
}

/// How many billing keys a transaction changes: one comes, goes or is chosen, and one was the default before. Rows that another program wrote
/// may all say that they are; they are mended by so many at a time, far from the 100 actions that `TransactWriteItems` takes.
pub const MAX_KEYS: usize = 10;

/// What a transaction does about a checkout session.
#[expect(clippy::large_enum_variant, reason = "one is made per checkout, and never many at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// Puts a new one; there must be none.
    Open(Session),
    /// Writes down how it was completed; it must be there and open.
    Complete {
        /// Which.
        id: SessionId,
        /// How.
        done: Done,
    },
}

/// What is written together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Invoices, with what each must find. At most two.
    pub invoices: Vec<(Expect, Invoice)>,
    /// The subscription.
    pub subscription: Option<SubscriptionChange>,
    /// Billing keys, each at most once. At most [`MAX_KEYS`].
    pub keys: Vec<KeyChange>,
    /// The checkout session. Boxed: few transactions have one, and every future that commits would carry it.
    pub session: Option<Box<SessionChange>>,
    /// Events; none of their rows may exist. At most two.
    pub events: Vec<Event>,
}

/// Which expectations a transaction did not meet. Nothing of it was written.
#[expect(clippy::struct_excessive_bools, reason = "one per part of a transaction, each on its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflict {
    /// The invoice that is there instead, for the first that did not meet its expectation.
    pub invoice: Option<Box<Invoice>>,
    /// Whether an invoice's expectation was not met (also when nothing is there instead).
    pub on_invoice: bool,
    /// Whether the subscription's was not.
    pub on_subscription: bool,
    /// Whether a billing key's was not.
    pub on_key: bool,
    /// Whether the checkout session's was not.
    pub on_session: bool,
    /// Whether an event is there already.
    pub on_event: bool,
}

/// Why a transaction was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Someone else was first.
    #[error("the rows have changed since they were read")]
    Conflict(Conflict),
    /// The store failed; if retryable, the transaction may have been applied.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the wish to send an event's notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeClaim {
    /// It is ours to send until the lease ends.
    Claimed,
    /// It was sent before.
    Mailed,
    /// Another notifier has it until this moment.
    InProgress(Timestamp),
    /// There is no such event.
    Missing,
}

/// An operator's order to stop collecting: until it is taken back nothing is planned and nothing is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Why, in the operator's words. It is logged, so it must name nobody.
    pub reason: String,
}

/// How many rows one request reads at most: `DynamoDB` refuses more keys than that.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
pub const MAX_READ: usize = 100;

/// The tables.
pub trait Store: Send + Sync {
    /// The operator's order to stop collecting, if it stands. `GetItem`, consistent.
    fn stopped(&self) -> impl Future<Output = Result<Option<Stop>, StoreError>> + Send;

    /// One subscription. `GetItem`, consistent.
    fn subscription(
        &self,
        key: &SubscriptionKey,
    ) -> impl Future<Output = Result<Option<Subscription>, StoreError>> + Send;

    /// Those of these subscriptions that one request brings, in any order: of at most [`MAX_READ`]. One that is not among them is not known to be
    /// missing; it has to be read alone, for a request brings what it can, and a row that cannot be read is left out. `BatchGetItem`, consistent.
    fn subscriptions(
        &self,
        keys: &BTreeSet<SubscriptionKey>,
    ) -> impl Future<Output = Result<Vec<Subscription>, StoreError>> + Send;

    /// A customer's subscriptions, oldest id first. `Query`, consistent.
    fn subscriptions_of(
        &self,
        user: &UserId,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<Subscription>, StoreError>> + Send;

    /// The subscriptions of a shard with `due_at <= until`, earliest first, at most `limit`. `Query` on `due-index`, eventually consistent.
    fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&Cursor>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<SubscriptionKey>, StoreError>> + Send;

    /// One invoice. `GetItem`, consistent.
    fn invoice(&self, id: &PaymentId) -> impl Future<Output = Result<Option<Invoice>, StoreError>> + Send;

    /// A customer's invoices, newest first. `Query` on `user-index`, eventually consistent.
    fn invoices_of(
        &self,
        user: &UserId,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<Invoice>, StoreError>> + Send;

    /// The invoices of a month (of all periods that start in the same month as `period`), of one shard of its books, that last changed in
    /// `[from, until)`, in that order. `Query` on `month-index`, eventually consistent.
    fn book_lines(
        &self,
        period: Period,
        shard: u8,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<BookLine>, StoreError>> + Send;

    /// Writes changes together or not at all. `TransactWriteItems`; each invoice returns the row that was there instead.
    ///
    /// Attributes that these tables carry but this code does not know are left as they are.
    fn commit(&self, changes: &Changes) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Whose a billing key is, by user and moment of issue. `Query` on `billing-key-index`, eventually consistent.
    fn key_owner(
        &self,
        key: &BillingKey,
    ) -> impl Future<Output = Result<Option<(UserId, Timestamp)>, StoreError>> + Send;

    /// A customer's registered billing keys, oldest first. `Query`, consistent.
    fn keys_of(
        &self,
        user: &UserId,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<RegisteredKey>, StoreError>> + Send;

    /// One checkout session. `GetItem`, consistent. A row that has expired may be there or not.
    fn session(&self, id: &SessionId) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Writes one event on its own; `false` if its row exists. `PutItem`, conditional.
    fn record(&self, event: &Event) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// A subject's events, oldest first. `Query`, consistent.
    fn events_of(
        &self,
        subject: &str,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<Event>, StoreError>> + Send;

    /// Claims the notices of several events (at most [`MAX_CLAIMS`]) for one notifier until `lease_until`; answers in the same order. An
    /// event is claimed if it is not mailed and no lease on it runs past `now`. `TransactWriteItems`; one more for each round in which some
    /// had been claimed or mailed before.
    fn claim_notices(
        &self,
        events: &[EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Vec<NoticeClaim>, StoreError>> + Send;

    /// Marks an event as mailed; `false` if it was marked before. `UpdateItem`, conditional.
    fn mark_mailed(&self, event: &EventKey, at: Timestamp) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives the claim on an event back, so that a redelivery may try at once. `UpdateItem`, conditional on not being mailed.
    fn release_notice(&self, event: &EventKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// `TransactWriteItems` takes 100 actions.
pub const MAX_CLAIMS: usize = 100;

/// One charge, complete: the same order makes the same request, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct ChargeOrder<'a> {
    /// The invoice's name.
    pub payment_id: &'a PaymentId,
    /// The number of the attempt.
    pub attempt: u32,
    /// What is charged.
    pub method: &'a Method,
    /// What the customer reads on the statement.
    pub order_name: &'a str,
    /// How much.
    pub amount: Money,
    /// Whose.
    pub user_id: &'a UserId,
    /// Who is billed.
    pub customer: &'a Customer,
}

/// What `PortOne` answered to a charge. Every way it can go is a value: there is no error that could be taken for a failure of the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeAnswer {
    /// Paid.
    Paid {
        /// When, by the PG's clock.
        at: Timestamp,
        /// The PG's id of the transaction.
        pg_tx_id: String,
    },
    /// Declined: by the PG, or because the billing key is gone.
    Declined(Decline),
    /// `PortOne` answered, but the answer does not say how it ended: it was paid before, or it is pending. Asking will tell.
    Ask(String),
    /// `PortOne` calls the payment id used up.
    UsedUp,
    /// Refused before any charge: our mistake.
    Refused {
        /// `PortOne`'s error type.
        code: String,
    },
    /// Our credentials were refused: no charge can succeed before that is mended.
    Unauthorized {
        /// `PortOne`'s error type.
        code: String,
    },
    /// Nobody knows. The same order may be sent again; nothing else may be concluded.
    Unknown(String),
}

/// One refund, complete: the same order makes the same request, byte for byte.
#[derive(Debug, Clone, Copy)]
pub struct CancelOrder<'a> {
    /// The invoice's name.
    pub payment_id: &'a PaymentId,
    /// The number of the refund.
    pub refund: u32,
    /// How much.
    pub amount: Money,
    /// What is left before it: on any other balance it must not be done.
    pub cancellable: Money,
    /// Why, with the refund's mark.
    pub reason: &'a str,
}

/// What `PortOne` answered to a refund. As with charges, every way it can go is a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelAnswer {
    /// Given back, exactly as ordered.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// Taken, and decided later.
    Requested,
    /// The PG did not give it back.
    Failed {
        /// The PG's code.
        code: String,
    },
    /// Refused before the PG was asked.
    Refused {
        /// `PortOne`'s error type.
        code: String,
    },
    /// Our credentials were refused.
    Unauthorized {
        /// `PortOne`'s error type.
        code: String,
    },
    /// Nobody knows. The same order may be sent again; nothing else may be concluded.
    Unknown(String),
}

/// Why `PortOne` could not be asked. Nothing may be concluded about what was asked.
#[derive(Debug, Error)]
pub enum AskError {
    /// Our credentials were refused.
    #[error("PortOne refused our credentials ({0}): check the API secret and its expiry in the console")]
    Unauthorized(String),
    /// No usable answer.
    #[error("PortOne gave no usable answer: {0}")]
    Unavailable(String),
}

/// The status of a payment, as `PortOne` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenStatus {
    /// Known, not attempted.
    Ready,
    /// Accepted, not decided.
    Pending,
    /// Paid.
    Paid {
        /// When.
        at: Timestamp,
    },
    /// Paid, and given back in part or in whole.
    Cancelled {
        /// When it was paid.
        paid_at: Timestamp,
        /// When money was last given back.
        at: Timestamp,
    },
    /// The latest attempt failed.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        decline: Decline,
    },
    /// A status this code does not know.
    Other(String),
}

impl SeenStatus {
    /// Its name in events and reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Ready => "ready",
            Self::Pending => "pending",
            Self::Paid { .. } => "paid",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
            Self::Other(status) => status,
        }
    }
}

/// A payment, as `PortOne` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentSeen {
    /// Its name.
    pub payment_id: PaymentId,
    /// Its status.
    pub status: SeenStatus,
    /// What was charged, if `PortOne` says so: of the attempt that it shows.
    pub billing_key: Option<BillingKey>,
    /// What it was for.
    pub amount: Charged,
    /// What was given back so far, in minor units.
    pub refunded: i64,
    /// Whether some of that was taken back by the customer's bank.
    pub chargeback: bool,
    /// Its cancellations, finished or not, as far as `PortOne` lists them.
    pub cancellations: Vec<CancellationSeen>,
    /// Its proof.
    pub proof: Proof,
}

/// How a cancellation stands, as `PortOne` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancellationStatus {
    /// The money is given back.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// Taken, and not decided.
    Requested,
    /// Nothing is given back.
    Failed,
    /// A status this code does not know.
    Other,
}

/// A cancellation of a payment, as `PortOne` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationSeen {
    /// How much, in minor units.
    pub amount: i64,
    /// How it stands.
    pub status: CancellationStatus,
    /// Why, as it was told to `PortOne`.
    pub reason: String,
    /// Whether it may have been asked for by the API, and so by us: not in the console, nor by the customer's bank.
    pub by_api: bool,
    /// When it was asked for.
    pub asked_at: Option<Timestamp>,
}

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A rehearsal.
    Test,
    /// Real money.
    Live,
}

/// A billing key, as `PortOne` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySeen {
    /// The key.
    pub billing_key: BillingKey,
    /// Whether it can be charged.
    pub is_issued: bool,
    /// The store it belongs to.
    pub store_id: String,
    /// Whether its channels move real money; nothing if `PortOne` does not tell, or has several that differ.
    pub mode: Option<Mode>,
    /// Whose it is: `customer.id`.
    pub customer_id: Option<String>,
    /// The customer's name, if it was given when the key was issued.
    pub customer_name: Option<Private>,
    /// The customer's address, if it was given when the key was issued.
    pub customer_email: Option<Private>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The kind of method.
    pub method: MethodKind,
    /// The card, if it is one.
    pub card: Option<CardInfo>,
    /// The channel that issued it.
    pub channel_key: Option<String>,
    /// The PG behind that channel.
    pub pg: Option<Pg>,
    /// The merchant's own id of the issuing.
    pub issue_id: Option<String>,
}

/// Which moment of a payment a listing goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedBy {
    /// When `PortOne` first heard of it.
    Creation,
    /// When its status last changed: it was paid, failed, or given back.
    StatusChange,
}

/// `PortOne`.
pub trait Gateway: Send + Sync {
    /// Charges a billing key. One request, with the idempotency key of (payment id, attempt).
    fn charge(&self, order: &ChargeOrder<'_>) -> impl Future<Output = ChargeAnswer> + Send;

    /// How many charges this process can take on now without one having to wait too long for its turn: whoever has more work gives the rest
    /// back. At least one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Gives money back. One request, with the idempotency key of (payment id, refund).
    fn cancel(&self, order: &CancelOrder<'_>) -> impl Future<Output = CancelAnswer> + Send;

    /// Reads a payment; `None` if `PortOne` does not know it.
    fn payment(&self, id: &PaymentId) -> impl Future<Output = Result<Option<PaymentSeen>, AskError>> + Send;

    /// Reads a billing key; `None` if `PortOne` does not know it.
    fn billing_key(&self, key: &BillingKey) -> impl Future<Output = Result<Option<KeySeen>, AskError>> + Send;

    /// Lists the payments that were created in `[from, until)`, or whose status last changed in it, oldest first. One that lies at `until`, or
    /// at the seam of two pages, may be told as well, or twice.
    fn payments(
        &self,
        by: ListedBy,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page<PaymentSeen>, AskError>> + Send;
}

/// One subscription to collect from: the body of a message to the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CollectMessage {
    /// The run that found it due.
    pub run: String,
    /// The run's now, in epoch milliseconds: the scheduled time, the same on every delivery.
    #[serde(with = "billing_core::notice::millis")]
    pub now: Timestamp,
    /// Whose subscription.
    pub user_id: UserId,
    /// Which.
    pub subscription_id: billing_core::id::SubscriptionId,
    /// How often it was sent again, to ask how an attempt ended; 0 as it comes from the planner.
    #[serde(default, skip_serializing_if = "is_first")]
    pub asks: u8,
}

impl CollectMessage {
    /// The subscription's key.
    pub fn key(&self) -> SubscriptionKey {
        SubscriptionKey { user_id: self.user_id.clone(), id: self.subscription_id.clone() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_first(asks: &u8) -> bool {
    *asks == 0
}

/// The rest of a shard that a planner's pass had no time for: the body of a message to the planner itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanMessage {
    /// The run.
    pub run: String,
    /// The run's now, in epoch milliseconds.
    #[serde(with = "billing_core::notice::millis")]
    pub now: Timestamp,
    /// The shard.
    pub shard: u8,
    /// Where it goes on.
    pub after: Option<Cursor>,
}

/// A message could not be handed over. It may have been.
#[derive(Debug, Error)]
#[error("sending to {queue} failed: {detail}")]
pub struct QueueError {
    /// Which queue.
    pub queue: &'static str,
    /// What went wrong.
    pub detail: String,
}

/// `SendMessageBatch` takes 10 messages.
pub const MAX_BATCH: usize = 10;

/// SQS holds a message back for 15 minutes at most.
pub const MAX_DELAY: SignedDuration = SignedDuration::from_mins(15);

/// The queues.
pub trait Queue: Send + Sync {
    /// Hands subscriptions to the workers, at most [`MAX_BATCH`]. One `SendMessageBatch`; an entry that fails fails the call.
    fn send_collect(&self, messages: &[CollectMessage]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Hands a subscription to a worker after a wait of at most [`MAX_DELAY`]. One `SendMessage`.
    fn send_collect_later(
        &self,
        message: &CollectMessage,
        wait: SignedDuration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Hands the rest of a shard to another pass of the planner. One `SendMessage`.
    fn send_plan(&self, message: &PlanMessage) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// A mail could not be handed over. It may have been.
#[derive(Debug, Error)]
#[error("sending a mail failed: {detail}")]
pub struct MailError {
    /// What went wrong, without the address.
    pub detail: String,
    /// Whether trying again can help: not if the address is refused.
    pub retryable: bool,
}

/// The mail service.
pub trait Mailer: Send + Sync {
    /// Sends a mail. One SES v2 `SendEmail`; the event is its tag.
    fn send(&self, to: &Private, mail: &Mail, event: &EventKey) -> impl Future<Output = Result<(), MailError>> + Send;
}

/// Something an operator counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// An attempt ended so.
    Charge {
        /// The run that made it, or whatever else caused it.
        cause: String,
        /// `paid`, `declined`, `pending`, `unknown`, `refused`.
        outcome: &'static str,
        /// How much it was about.
        amount: Money,
    },
    /// A message for the worker was worked on.
    Collected {
        /// The run.
        run: String,
        /// The invoice's status now (`paid`, `failed`, …), `ended`, or `skipped`.
        result: &'static str,
        /// Why it was skipped, if it was.
        skipped: Option<&'static str>,
        /// How often the message was sent again to ask; 0 for the planner's own.
        asks: u8,
    },
    /// A planner's pass ended.
    Planned {
        /// The run.
        run: String,
        /// How many subscriptions it handed over.
        due: u64,
        /// Whether it left a rest to another pass.
        unfinished: bool,
    },
    /// Nothing was planned or charged, because an operator has stopped collecting.
    Stopped {
        /// Who found it so: `planner`, `worker`, `api`.
        who: &'static str,
        /// Why, in the operator's words.
        reason: String,
    },
    /// A webhook was answered.
    Webhook {
        /// What was done with it.
        result: &'static str,
    },
    /// A mail was sent, or could not be.
    Mail {
        /// The notice's name; `unreadable` where that cannot be told.
        kind: &'static str,
        /// `sent`, `failed`, `refused`.
        result: &'static str,
    },
    /// An event was written down.
    Event(EventKind),
    /// A reconciler's pass ended.
    Reconciled {
        /// Which: `hourly`, `nightly`.
        pass: &'static str,
        /// How many it asked about, or compared.
        asked: u64,
        /// How many of them it settled.
        settled: u64,
        /// How many differences it found that only a person can settle. An hourly pass compares nothing.
        differences: Option<u64>,
        /// How many it could not deal with, because a table or `PortOne` failed.
        failed: u64,
        /// Whether it ran out of time.
        unfinished: bool,
    },
    /// What an hourly pass found that should have been dealt with before.
    LeftOver {
        /// Subscriptions that fell due before the morning's run, which began a quarter of an hour ago or longer, and were not attempted since.
        not_attempted: u64,
        /// Attempts that began more than an hour ago, and whose end could not be found out.
        unknown_for_long: u64,
    },
    /// The books of a month were closed.
    Closed {
        /// The month, such as `2026-12`.
        month: String,
        /// Whether they balance: among themselves, and with `PortOne`'s.
        balanced: bool,
        /// How many invoices are not decided for good.
        unsettled: u64,
        /// How many are parked for a person.
        parked: u64,
    },
}

/// Where signals go.
pub trait Telemetry: Send + Sync {
    /// Takes a signal. Never fails, never waits.
    fn signal(&self, signal: Signal);
}
