//! The tables as a function sees them over a network: slow, failing, with indexes that lag.

use super::context::Context;
use super::kernel::lock;
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, RegisteredKey};
use billing_core::calendar::Period;
use billing_core::event::{Event, EventKey};
use billing_core::id::{PaymentId, UserId};
use billing_core::invoice::Invoice;
use billing_core::session::{Session, SessionId};
use billing_core::subscription::{Subscription, SubscriptionKey};
use billing_flows::fake::{Fault, MemoryStore};
use billing_flows::ports::{BookLine, Changes, CommitError, Cursor, NoticeClaim, Page, Stop, Store, StoreError};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

/// The requests that have a number, and which of them is to fail how.
#[derive(Debug, Default)]
struct Plan {
    numbered: Vec<&'static str>,
    wanted: Option<(usize, Fault)>,
}

/// Methods that write: that a request was done before it failed matters for these alone.
const WRITES: [&str; 5] = ["commit", "record", "claim_notices", "mark_mailed", "release_notice"];

/// Of every so many requests for a page of the books one has a number: all shards are asked at once, and one stands for all.
const SHARDS_OF_BOOKS: u64 = billing_core::subscription::DUE_SHARDS as u64;

/// How long a slow request takes where chance has no part: so many of them as a function makes one after the other fit into its time.
const SLOW: SignedDuration = SignedDuration::from_secs(2);

type Reader = Arc<dyn Fn(&SubscriptionKey) + Send + Sync>;
type Shown = BTreeMap<(u8, Option<String>), Page<SubscriptionKey>>;

/// The tables. Clones share them.
#[derive(Clone)]
pub struct Tables {
    cx: Context,
    /// What is really in them.
    pub rows: MemoryStore,
    shown: Arc<Mutex<Shown>>,
    planned: Arc<Mutex<Plan>>,
    reader: Arc<Mutex<Option<Reader>>>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.rows)
    }
}

impl Tables {
    /// Empty tables, whose listings tell so many rows to a page.
    pub fn new(cx: Context, rows_per_page: usize) -> Self {
        let rows = MemoryStore::new().with_rows_per_page(rows_per_page);
        let weather = cx.clone();
        let planned: Arc<Mutex<Plan>> = Arc::default();
        let plan = Arc::clone(&planned);
        rows.faults().by(move |call| {
            let (before, after) = weather.weather(|w| (w.store_before, w.store_after));
            // Ticks that find nothing due read the index and no more: those requests have no number.
            let has_number = match call.method {
                "due" => false,
                "book_lines" => call.number % SHARDS_OF_BOOKS == 1,
                _ => true,
            };
            let number = has_number.then(|| {
                let mut plan = lock(&plan);
                plan.numbered.push(call.method);
                plan.numbered.len()
            });
            let planned = lock(&plan).wanted.filter(|(wanted, _)| Some(*wanted) == number);
            let fault = if let Some((_, fault)) = planned {
                fault
            } else if weather.strikes(before) {
                Fault::Before
            } else if weather.strikes(after) {
                Fault::After
            } else {
                return Fault::None;
            };
            weather.disturb();
            weather.note(|| format!("the tables fail: {} ({fault:?})", call.method));
            fault
        });
        Self { cx, rows, shown: Arc::default(), planned, reader: Arc::default() }
    }

    /// Plans a fault for the request of this number, counted from 1 over all tables but not the index of what is due, and of the books' pages
    /// those of one shard.
    pub fn plan(&self, number: usize, fault: Fault) {
        lock(&self.planned).wanted = Some((number, fault));
    }

    /// Whether each such request that was made wrote anything.
    pub fn requests(&self) -> Vec<bool> {
        lock(&self.planned).numbered.iter().map(|method| WRITES.contains(method)).collect()
    }

    /// Who is told that a subscription was read, and who meddles then.
    pub fn read_by(&self, reader: impl Fn(&SubscriptionKey) + Send + Sync + 'static) {
        *lock(&self.reader) = Some(Arc::new(reader));
    }

    async fn wire(&self) {
        let slow = self.cx.weather(|w| w.store_slow);
        let wait = match (self.cx.strikes(slow), self.cx.is_random()) {
            (true, true) => self.cx.millis(500, 20_000),
            (true, false) => SLOW,
            (false, _) => self.cx.millis(2, 40),
        };
        self.cx.kernel.sleep(wait).await;
    }
}

impl Store for Tables {
    async fn stopped(&self) -> Result<Option<Stop>, StoreError> {
        self.wire().await;
        self.rows.stopped().await
    }

    async fn subscription(&self, key: &SubscriptionKey) -> Result<Option<Subscription>, StoreError> {
        self.wire().await;
        let row = self.rows.subscription(key).await;
        let reader = lock(&self.reader).clone();
        if let Some(reader) = reader {
            reader(key);
        }
        row
    }

    async fn subscriptions(&self, keys: &BTreeSet<SubscriptionKey>) -> Result<Vec<Subscription>, StoreError> {
        self.wire().await;
        let mut rows = self.rows.subscriptions(keys).await?;
        let reader = lock(&self.reader).clone();
        if let Some(reader) = reader {
            for row in &rows {
                reader(&row.key);
            }
        }
        // It brings what it can.
        let slow = self.cx.weather(|w| w.store_slow);
        if self.cx.strikes(slow) {
            rows.pop();
        }
        Ok(rows)
    }

    async fn subscriptions_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Subscription>, StoreError> {
        self.wire().await;
        self.rows.subscriptions_of(user, after).await
    }

    async fn due(
        &self,
        shard: u8,
        until: Timestamp,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<SubscriptionKey>, StoreError> {
        let place = (shard, after.map(|cursor| cursor.0.clone()));
        let stale = self.cx.weather(|w| w.stale_index);
        if self.cx.strikes(stale)
            && let Some(old) = lock(&self.shown).get(&place).cloned()
        {
            return Ok(old);
        }
        let page = self.rows.due(shard, until, after, limit).await?;
        lock(&self.shown).insert(place, page.clone());
        Ok(page)
    }

    async fn invoice(&self, id: &PaymentId) -> Result<Option<Invoice>, StoreError> {
        self.wire().await;
        self.rows.invoice(id).await
    }

    async fn invoices_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<Invoice>, StoreError> {
        self.rows.invoices_of(user, after).await
    }

    async fn book_lines(
        &self,
        period: Period,
        shard: u8,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<BookLine>, StoreError> {
        // All shards are asked at once: one journey stands for theirs.
        if shard == 0 {
            self.wire().await;
        }
        self.rows.book_lines(period, shard, from, until, after).await
    }

    async fn commit(&self, changes: &Changes) -> Result<(), CommitError> {
        self.wire().await;
        let committed = self.rows.commit(changes).await;
        if let Err(CommitError::Conflict(_)) = &committed {
            self.cx.note(|| "someone else was first".to_owned());
        }
        self.wire().await;
        committed
    }

    async fn key_owner(&self, key: &BillingKey) -> Result<Option<(UserId, Timestamp)>, StoreError> {
        let stale = self.cx.weather(|w| w.stale_index);
        if self.cx.strikes(stale) {
            return Ok(None);
        }
        self.rows.key_owner(key).await
    }

    async fn keys_of(&self, user: &UserId, after: Option<&Cursor>) -> Result<Page<RegisteredKey>, StoreError> {
        self.wire().await;
        self.rows.keys_of(user, after).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.wire().await;
        self.rows.session(id).await
    }

    async fn record(&self, event: &Event) -> Result<bool, StoreError> {
        self.wire().await;
        self.rows.record(event).await
    }

    async fn events_of(&self, subject: &str, after: Option<&Cursor>) -> Result<Page<Event>, StoreError> {
        self.rows.events_of(subject, after).await
    }

    async fn claim_notices(
        &self,
        events: &[EventKey],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<NoticeClaim>, StoreError> {
        self.wire().await;
        self.rows.claim_notices(events, now, lease_until).await
    }

    async fn mark_mailed(&self, event: &EventKey, at: Timestamp) -> Result<bool, StoreError> {
        self.wire().await;
        self.rows.mark_mailed(event, at).await
    }

    async fn release_notice(&self, event: &EventKey) -> Result<(), StoreError> {
        self.rows.release_notice(event).await
    }
}
