//! The tables, in memory.

use super::kept;
use super::pages::{Listing, Position, sortable};
use super::{Faults, breathe, lock};
use crate::ports::{
    BookLine, Changes, CommitError, Conflict, Cursor, Expect, KeyChange, MAX_CLAIMS, MAX_KEYS, MAX_READ, NoticeClaim,
    Page, SessionChange, Stop, Store, StoreError, SubscriptionChange,
};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, KeyStatus, RegisteredKey};
use billing_core::calendar::Period;
use billing_core::event::{Event, EventKey};
use billing_core::guard::Guard;
use billing_core::id::{PaymentId, UserId};
use billing_core::invoice::{Invoice, State};
use billing_core::session::{Session, SessionId};
use billing_core::subscription::{Subscription, SubscriptionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

/// `DynamoDB` ends a page after 1 MB; at some 10 KB a row, which is a full invoice, that is this many.
pub const ROWS_PER_PAGE: usize = 100;

/// What a transaction may carry, by [`Changes`].
const MAX_OF_A_KIND: usize = 2;

#[derive(Debug)]
struct EventRow {
    event: Event,
    lease_until: Option<Timestamp>,
    mailed_at: Option<Timestamp>,
}

impl EventRow {
    fn new(event: &Event) -> Self {
        Self { event: kept::event(event), lease_until: None, mailed_at: None }
    }
}

/// Sees what is written.
type Watcher = Arc<dyn Fn(Written<'_>) + Send + Sync>;

/// What a request has just written.
#[derive(Debug, Clone, Copy)]
pub enum Written<'a> {
    /// A transaction.
    Committed(&'a Changes),
    /// An event on its own.
    Recorded(&'a Event),
}

#[derive(Default)]
struct Tables {
    watcher: Option<Watcher>,
    subscriptions: BTreeMap<SubscriptionKey, Subscription>,
    due: BTreeSet<(u8, Timestamp, SubscriptionKey)>,
    invoices: BTreeMap<PaymentId, Invoice>,
    keys: BTreeMap<(UserId, Timestamp), RegisteredKey>,
    sessions: BTreeMap<SessionId, Session>,
    stop: Option<Stop>,
    events: BTreeMap<EventKey, EventRow>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subscriptions, invoices) = (self.subscriptions.len(), self.invoices.len());
        let (keys, sessions, events) = (self.keys.len(), self.sessions.len(), self.events.len());
        write!(
            f,
            "Tables({subscriptions} subscriptions, {invoices} invoices, {keys} keys, {sessions} sessions, {events} events)"
        )
    }
}

/// The tables in memory, with `DynamoDB`'s semantics: conditional transactions that are all or nothing, sparse indexes, pages that end early
/// and name a successor that may be empty. Its indexes are immediate.
///
/// It is stricter than the port where a laxer one would hide a mistake: a transaction that is empty, too large or names one row twice, a
/// written version that is not above the expected one, a limit of 0 and a cursor of another listing are refused for good.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    faults: Faults,
    rows_per_page: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { tables: Arc::default(), faults: Faults::default(), rows_per_page: ROWS_PER_PAGE }
    }
}

impl MemoryStore {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same tables, with fewer or more rows to a page of any listing but [`Store::due`], whose caller sets the limit.
    #[must_use]
    pub fn with_rows_per_page(self, rows_per_page: usize) -> Self {
        Self { rows_per_page, ..self }
    }

    /// Its failures: methods are named as in [`Store`].
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How often each method of [`Store`] was called.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.faults.requests()
    }

    /// Lets `watcher` see every write as it is made, also one whose answer is lost: what a stream of the tables would show. It must not
    /// call the store.
    pub fn watch(&self, watcher: impl Fn(Written<'_>) + Send + Sync + 'static) {
        lock(&self.tables).watcher = Some(Arc::new(watcher));
    }

    /// Every invoice, by payment id.
    pub fn all_invoices(&self) -> Vec<Invoice> {
        lock(&self.tables).invoices.values().cloned().collect()
    }

    /// Every subscription, by key.
    pub fn all_subscriptions(&self) -> Vec<Subscription> {
        lock(&self.tables).subscriptions.values().cloned().collect()
    }

    /// Every event, by subject and then in time.
    pub fn all_events(&self) -> Vec<Event> {
        lock(&self.tables).events.values().map(|row| row.event.clone()).collect()
    }

    /// Every billing key, by user and then in time.
    pub fn all_keys(&self) -> Vec<RegisteredKey> {
        lock(&self.tables).keys.values().cloned().collect()
    }

    /// Every checkout session, by id.
    pub fn all_sessions(&self) -> Vec<Session> {
        lock(&self.tables).sessions.values().cloned().collect()
    }

    /// When an event was marked as mailed, if it was.
    pub fn mailed_at(&self, event: &EventKey) -> Option<Timestamp> {
        lock(&self.tables).events.get(event).and_then(|row| row.mailed_at)
    }

    /// Puts a subscription, whatever was there. Neither counted nor made to fail, like all of these.
    pub fn put_subscription(&self, row: &Subscription) {
        lock(&self.tables).put(row);
    }

    /// Puts an invoice, whatever was there.
    pub fn put_invoice(&self, row: &Invoice) {
        lock(&self.tables).invoices.insert(row.payment_id.clone(), kept::invoice(row));
    }

    /// Puts a billing key, whatever was there.
    pub fn put_key(&self, row: &RegisteredKey) {
        lock(&self.tables).keys.insert((row.user_id.clone(), kept::moment(row.created_at)), kept::key(row));
    }

    /// Puts a checkout session, whatever was there.
    pub fn put_session(&self, row: &Session) {
        lock(&self.tables).sessions.insert(row.id.clone(), kept::session(row));
    }

    /// Puts an event, neither claimed nor mailed, whatever was there.
    pub fn put_event(&self, row: &Event) {
        lock(&self.tables).events.insert(row.key(), EventRow::new(row));
    }

    /// Stops collecting, or lets it go on.
    pub fn put_stop(&self, stop: Option<Stop>) {
        lock(&self.tables).stop = stop;
    }

    async fn request<T: Send, E: From<StoreError> + Send>(
        &self,
        method: &'static str,
        act: impl FnOnce(&mut Tables) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        breathe().await;
        let fault = self.faults.take(method);
        let answer = fault.is_applied().then(|| act(&mut lock(&self.tables)));
        breathe().await;
        match (fault.retryable(), answer) {
            (None, Some(answer)) => answer,
            (retryable, _) => {
                let detail = "a fault on order".to_owned();
                let retryable = retryable.unwrap_or(true);
                Err(E::from(StoreError { action: method.to_owned(), detail, retryable, source: None }))
            }
        }
    }

    async fn list<T: Send>(
        &self,
        listing: Listing<'_>,
        after: Option<&Cursor>,
        rows: impl FnOnce(&Tables) -> Vec<(Position, T)> + Send,
    ) -> Result<Page<T>, StoreError> {
        let method = listing.name;
        let cut = |tables: &mut Tables| {
            listing.page(rows(tables).into_iter(), after).map_err(|detail| refused(method, detail))
        };
        self.request(method, cut).await
    }

    fn listing<'a>(&self, name: &'static str, partition: &'a str) -> Listing<'a> {
        Listing { name, partition, descending: false, rows: self.rows_per_page }
    }
}

/// A request that `DynamoDB` would call invalid.
fn refused(action: &str, detail: impl Into<String>) -> StoreError {
    StoreError { action: action.to_owned(), detail: detail.into(), retryable: false, source: None }
}

/// The guard that an invoice's condition is: what claims an attempt, what begins a refund, or what settles either.
fn guard_of(written: &Invoice) -> Guard {
    if written.refunds.last().is_some_and(|refund| refund.outcome.is_none()) {
        return Guard::RefundIntent;
    }
    match written.state {
        State::Charging { .. } => Guard::ClaimCondition,
        State::Open { .. }
        | State::Unknown { .. }
        | State::Pending { .. }
        | State::Failed { .. }
        | State::Paid { .. }
        | State::Uncollectible { .. }
        | State::Void { .. }
        | State::PartiallyRefunded { .. }
        | State::Refunded { .. } => Guard::SettleCondition,
    }
}

/// What `DynamoDB` refuses to look at, and what would break the versions.
fn validated(changes: &Changes) -> Result<(), StoreError> {
    let invoices: BTreeSet<&PaymentId> = changes.invoices.iter().map(|(_, invoice)| &invoice.payment_id).collect();
    let events: BTreeSet<EventKey> = changes.events.iter().map(Event::key).collect();
    let keys: BTreeSet<_> = changes.keys.iter().map(key_row).collect();
    let stale = |expected: u64, written: u64| written <= expected;
    let why = if *changes == Changes::default() {
        "an empty transaction"
    } else if changes.invoices.len() > MAX_OF_A_KIND || changes.events.len() > MAX_OF_A_KIND || keys.len() > MAX_KEYS {
        "more than two invoices or events, or too many billing keys"
    } else if (invoices.len(), events.len(), keys.len())
        != (changes.invoices.len(), changes.events.len(), changes.keys.len())
    {
        "one row twice in a transaction"
    } else if changes.invoices.iter().any(|(expect, invoice)| match expect {
        Expect::Absent => false,
        Expect::Version(expected) => stale(*expected, invoice.version),
    }) {
        "an invoice whose version is not above the expected one"
    } else if matches!(&changes.subscription, Some(SubscriptionChange::Write { expected, next }) if stale(*expected, next.version))
    {
        "a subscription whose version is not above the expected one"
    } else {
        return Ok(());
    };
    Err(refused("commit", why))
}

/// Which row a change of a billing key is about.
fn key_row(change: &KeyChange) -> (UserId, Timestamp) {
    let (user_id, created_at) = match change {
        KeyChange::Register(RegisteredKey { user_id, created_at, .. })
        | KeyChange::Delete { user_id, created_at }
        | KeyChange::MakeDefault { user_id, created_at }
        | KeyChange::EndDefault { user_id, created_at } => (user_id, created_at),
    };
    (user_id.clone(), kept::moment(*created_at))
}

impl Tables {
    fn conflict(&self, changes: &Changes) -> Option<Conflict> {
        let mut unmet = changes.invoices.iter().filter_map(|(expect, invoice)| {
            let there = self.invoices.get(&invoice.payment_id);
            let expected = match expect {
                Expect::Absent => None,
                Expect::Version(version) => Some(*version),
            };
            (there.map(|row| row.version) != expected && guard_of(invoice).stands()).then_some(there)
        });
        let first_unmet = unmet.next();
        let on_subscription = changes.subscription.as_ref().is_some_and(|change| {
            let (key, expected) = match change {
                SubscriptionChange::Create(row) => (&row.key, None),
                SubscriptionChange::Write { expected, next } => (&next.key, Some(*expected)),
                SubscriptionChange::Check { key, version } => (key, Some(*version)),
            };
            let stands = !matches!(change, SubscriptionChange::Write { .. }) || Guard::SubscriptionCondition.stands();
            self.subscriptions.get(key).map(|row| row.version) != expected && stands
        });
        let on_key = changes.keys.iter().any(|change| {
            let row = self.keys.get(&key_row(change));
            match change {
                KeyChange::Register(_) => row.is_some(),
                KeyChange::Delete { .. } | KeyChange::MakeDefault { .. } => {
                    row.is_none_or(|row| row.status != KeyStatus::Active)
                }
                KeyChange::EndDefault { .. } => row.is_none_or(|row| !row.is_default),
            }
        });
        let on_session = changes.session.as_deref().is_some_and(|change| match change {
            SessionChange::Open(row) => self.sessions.contains_key(&row.id),
            SessionChange::Complete { id, .. } => self.sessions.get(id).is_none_or(|row| row.done.is_some()),
        });
        let on_event = changes.events.iter().any(|event| self.events.contains_key(&event.key()));
        let conflict = Conflict {
            on_invoice: first_unmet.is_some(),
            invoice: first_unmet.flatten().cloned().map(Box::new),
            on_subscription,
            on_key,
            on_session,
            on_event,
        };
        (conflict != Conflict::default()).then_some(conflict)
    }

    fn tell(&self, written: Written<'_>) {
        if let Some(watcher) = &self.watcher {
            watcher(written);
        }
    }

    fn put(&mut self, row: &Subscription) {
        let row = kept::subscription(row);
        let place = |row: &Subscription| row.due_at().map(|at| (row.due_shard(), at, row.key.clone()));
        if let Some(place) = self.subscriptions.get(&row.key).and_then(place) {
            self.due.remove(&place);
        }
        self.due.extend(place(&row));
        self.subscriptions.insert(row.key.clone(), row);
    }

    fn write(&mut self, changes: &Changes) {
        for (_, invoice) in &changes.invoices {
            self.invoices.insert(invoice.payment_id.clone(), kept::invoice(invoice));
        }
        match &changes.subscription {
            Some(SubscriptionChange::Create(row) | SubscriptionChange::Write { next: row, .. }) => {
                self.put(row);
            }
            Some(SubscriptionChange::Check { .. }) | None => {}
        }
        for change in &changes.keys {
            let row = self.keys.entry(key_row(change));
            match change {
                KeyChange::Register(new) => {
                    row.insert_entry(kept::key(new));
                }
                KeyChange::Delete { .. } => {
                    row.and_modify(|row| (row.status, row.is_default) = (KeyStatus::Deleted, false));
                }
                KeyChange::MakeDefault { .. } => {
                    row.and_modify(|row| row.is_default = true);
                }
                KeyChange::EndDefault { .. } => {
                    row.and_modify(|row| row.is_default = false);
                }
            }
        }
        match changes.session.as_deref() {
            Some(SessionChange::Open(row)) => {
                self.sessions.insert(row.id.clone(), kept::session(row));
            }
            Some(SessionChange::Complete { id, done }) => {
                if let Some(row) = self.sessions.get_mut(id) {
                    row.done = Some(kept::done(done));
                }
            }
            None => {}
        }
        for event in &changes.events {
            self.events.insert(event.key(), EventRow::new(event));
        }
    }

    fn claim(&mut self, key: &EventKey, now: Timestamp, lease_until: Timestamp) -> NoticeClaim {
        let Some(row) = self.events.get_mut(key) else {
            return NoticeClaim::Missing;
        };
        if row.mailed_at.is_some() {
            return NoticeClaim::Mailed;
        }
        if let Some(until) = row.lease_until.filter(|until| *until > kept::moment(now)) {
            return NoticeClaim::InProgress(until);
        }
        row.lease_until = Some(kept::moment(lease_until));
        NoticeClaim::Claimed
    }
}

impl Store for MemoryStore {
    async fn stopped(&self) -> Result<Option<Stop>, StoreError> {
        self.request("stopped", |tables| Ok(tables.stop.clone())).await
    }

    async fn subscription(&self, key: &SubscriptionKey) -> Result<Option<Subscription>, StoreError> {
        self.request("subscription", |tables| Ok(tables.subscriptions.get(key).cloned())).await
    }

    async fn subscriptions(&self, keys: &BTreeSet<SubscriptionKey>) -> Result<Vec<Subscription>, StoreError> {
        self.request("subscriptions", |tables| {
            let rows = keys.iter().take(MAX_READ).filter_map(|key| tables.subscriptions.get(key).cloned());
            Ok(rows.collect())
        })
        .await
    }

    async fn subscriptions_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Subscription>, StoreError> {
        let listing = self.listing("subscriptions_of", user.as_str());
        self.list(listing, after, |tables| {
            let rows = tables.subscriptions.values().filter(|row| row.key.user_id == *user);
            rows.map(|row| (vec![row.key.id.to_string()], row.clone())).collect()
        })
        .await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<SubscriptionKey>, StoreError> {
        let partition = shard.to_string();
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        let listing = Listing { rows, ..self.listing("due", &partition) };
        self.list(listing, after, |tables| {
            let until = kept::moment(until);
            let in_shard = tables.due.iter().filter(|(of, at, _)| *of == shard && *at <= until);
            in_shard
                .map(|(_, at, key)| (vec![sortable(*at), key.user_id.to_string(), key.id.to_string()], key.clone()))
                .collect()
        })
        .await
    }

    async fn invoice(&self, id: &PaymentId) -> Result<Option<Invoice>, StoreError> {
        self.request("invoice", |tables| Ok(tables.invoices.get(id).cloned())).await
    }

    async fn invoices_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Invoice>, StoreError> {
        let listing = Listing { descending: true, ..self.listing("invoices_of", user.as_str()) };
        self.list(listing, after, |tables| {
            let rows = tables.invoices.values().filter(|row| row.subscription.user_id == *user);
            rows.map(|row| (vec![sortable(row.created_at), row.payment_id.to_string()], row.clone())).collect()
        })
        .await
    }

    async fn book_lines(
        &self,
        period: Period,
        shard: u8,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<BookLine>, StoreError> {
        let month = period.month_id();
        let partition = format!("{month}#{shard}");
        let listing = self.listing("book_lines", &partition);
        self.list(listing, after, |tables| {
            let window = kept::moment(from)..kept::moment(until);
            let rows = tables
                .invoices
                .values()
                .filter(|row| row.period.month_id() == month && row.payment_id.books_shard() == shard)
                .filter(|row| window.contains(&row.updated_at));
            rows.map(|row| (vec![sortable(row.updated_at), row.payment_id.to_string()], BookLine::of(row))).collect()
        })
        .await
    }

    async fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.request("commit", |tables| {
            validated(changes)?;
            if let Some(conflict) = tables.conflict(changes) {
                return Err(CommitError::Conflict(conflict));
            }
            tables.write(changes);
            tables.tell(Written::Committed(changes));
            Ok(())
        })
        .await
    }

    async fn key_owner(&self, key: &BillingKey) -> Result<Option<(UserId, Timestamp)>, StoreError> {
        self.request("key_owner", |tables| {
            let row = tables.keys.values().find(|row| row.billing_key == *key);
            Ok(row.map(|row| (row.user_id.clone(), row.created_at)))
        })
        .await
    }

    async fn keys_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<RegisteredKey>, StoreError> {
        let listing = self.listing("keys_of", user.as_str());
        self.list(listing, after, |tables| {
            let rows = tables.keys.values().filter(|row| row.user_id == *user);
            rows.map(|row| (vec![sortable(row.created_at)], row.clone())).collect()
        })
        .await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.request("session", |tables| Ok(tables.sessions.get(id).cloned())).await
    }

    async fn record(&self, event: &Event) -> Result<bool, StoreError> {
        self.request("record", |tables| {
            if tables.events.contains_key(&event.key()) {
                return Ok(false);
            }
            tables.events.insert(event.key(), EventRow::new(event));
            tables.tell(Written::Recorded(event));
            Ok(true)
        })
        .await
    }

    async fn events_of(&self, subject: &str, after: Option<&Cursor>) -> Result<Page<Event>, StoreError> {
        let listing = self.listing("events_of", subject);
        self.list(listing, after, |tables| {
            let rows = tables.events.values().map(|row| &row.event).filter(|event| event.subject == subject);
            rows.map(|event| (vec![event.id.clone()], event.clone())).collect()
        })
        .await
    }

    async fn claim_notices(
        &self,
        events: &[EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<NoticeClaim>, StoreError> {
        self.request("claim_notices", |tables| {
            if events.len() > MAX_CLAIMS || events.iter().collect::<BTreeSet<_>>().len() < events.len() {
                return Err(refused("claim_notices", "too many events, or one of them twice"));
            }
            Ok(events.iter().map(|key| tables.claim(key, now, lease_until)).collect())
        })
        .await
    }

    async fn mark_mailed(&self, event: &EventKey, at: Timestamp) -> Result<bool, StoreError> {
        self.request("mark_mailed", |tables| match tables.events.get_mut(event) {
            Some(row) if row.mailed_at.is_none() => {
                row.mailed_at = Some(kept::moment(at));
                Ok(true)
            }
            Some(_) | None => Ok(false),
        })
        .await
    }

    async fn release_notice(&self, event: &EventKey) -> Result<(), StoreError> {
        self.request("release_notice", |tables| {
            if let Some(row) = tables.events.get_mut(event).filter(|row| row.mailed_at.is_none()) {
                row.lease_until = None;
            }
            Ok(())
        })
        .await
    }
}
