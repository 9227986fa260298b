//! Subscribe: start a subscription; register and remove the billing keys it is charged with.

use crate::enrol::event_of;
use crate::ports::{
    Changes, Clock, CollectMessage, CommitError, Cursor, Gateway, KeyChange, KeySeen, MAX_BATCH, MAX_KEYS, Queue,
    Signal, Store, SubscriptionChange, Telemetry,
};
use crate::receive_webhook::Received;
use crate::settle::MAX_ROUNDS;
use crate::{Billing, FlowError};
use billing_core::billing_key::{BillingKey, KeyStatus, RegisteredKey};
use billing_core::decline::Pg;
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::UserId;
use billing_core::notice::{Notice, NoticeBody};
use billing_core::subscription::{Customer, Due, Method, State, Subscription, SubscriptionKey};
use billing_core::{Timestamp, plan::Locale};
use jiff::SignedDuration;

/// A subscription could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// There is one of that id.
    #[error("the customer has a subscription of that id already")]
    Exists,
    /// It could not be written.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

/// What became of the choice of a payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// The subscription is charged with it from now on.
    Done(Box<Subscription>),
    /// The customer has no such method that can be charged.
    NoSuchMethod,
    /// The subscription has ended.
    Ended,
    /// There is no such subscription.
    Missing,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Puts one of the customer's registered methods, known by its moment of issue, to a subscription, and has what is owed tried with it at
    /// once. A repetition finds it done.
    pub async fn choose_method<Q: Queue>(
        &self,
        queue: &Q,
        key: &SubscriptionKey,
        issued_at: Timestamp,
        cause: &Cause,
    ) -> Result<Chosen, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Chosen::Missing) };
            if subscription.has_ended() {
                return Ok(Chosen::Ended);
            }
            let rows = self.keys_of(&key.user_id).await?;
            let row = rows.iter().find(|row| row.created_at.as_millisecond() == issued_at.as_millisecond());
            let Some(row) = row.filter(|row| row.status == KeyStatus::Active) else { return Ok(Chosen::NoSuchMethod) };
            let next = subscription.with_method(&method_of(row), self.clock.now());
            let keys = default_to(row, &rows);
            if self.write_method(&subscription, next.as_ref(), keys, cause).await? {
                let subscription = next.unwrap_or(subscription);
                self.collect_now(queue, std::slice::from_ref(&subscription), &row.billing_key, cause).await?;
                return Ok(Chosen::Done(Box::new(subscription)));
            }
        }
        Err(FlowError::Contended)
    }

    /// Starts a subscription.
    pub async fn start(&self, subscription: Subscription, cause: &Cause) -> Result<(), SubscribeError> {
        let now = self.clock.now();
        let event = event_of(&subscription, None, EventKind::SubscriptionStarted, now, cause, None);
        let changes = Changes {
            subscription: Some(SubscriptionChange::Create(subscription)),
            events: vec![event],
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) => {
                self.telemetry.signal(Signal::Event(EventKind::SubscriptionStarted));
                Ok(())
            }
            Err(CommitError::Conflict(conflict)) if conflict.on_subscription => Err(SubscribeError::Exists),
            // Another customer's subscription of the same id began in this very millisecond.
            Err(CommitError::Conflict(_)) => Err(FlowError::Contended.into()),
            Err(CommitError::Store(error)) => Err(FlowError::from(error).into()),
        }
    }

    /// Registers a billing key that a webhook told of, after reading it from `PortOne`. If it was issued in a checkout session of ours, that
    /// is completed with it, so that a customer who closes the window still gets what was agreed. Then puts it to the customer's subscriptions
    /// that are owed for or have no method, and has what is owed tried at once. Safe to repeat: a repetition finishes what an earlier try left.
    ///
    /// A key whose session does not take it (it had expired, was completed with another key, is another customer's) is registered like any
    /// other. A key of another store, or of channels of the other mode, is not registered at all.
    pub async fn register_key<Q: Queue>(
        &self,
        queue: &Q,
        key: &BillingKey,
        cause: &Cause,
    ) -> Result<Received, FlowError> {
        let Some(seen) = self.gateway.billing_key(key).await?.filter(|seen| seen.is_issued) else {
            return Ok(Received::Unchanged);
        };
        if !self.is_ours(&seen) {
            return Ok(Received::Stranger);
        }
        let Some(user_id) = seen.customer_id.as_deref().and_then(|id| UserId::new(id).ok()) else {
            // A key without a customer, or with one that is no user id of ours: nobody to bind it to.
            return Ok(Received::Stranger);
        };
        let session = self.session_of(&seen).await?.filter(|session| session.user_id == user_id);
        let locale = session.as_ref().map(|session| session.locale).unwrap_or_default();
        // Boxed: few keys name a session, and every webhook would carry its state.
        let is_completed = Box::pin(self.complete_session(session, &seen, cause)).await?;
        let subscriptions = self.subscriptions_of(&user_id).await?;
        let is_news = self.write_key(&user_id, &seen, &subscriptions, locale, cause).await? || is_completed;
        let rows = self.keys_of(&user_id).await?;
        self.keep_one_default(&rows).await?;
        // A late delivery about an older key must not displace a newer one.
        let newest = newest_active(&rows).map(method_of);
        let Some(method) = newest.filter(|method| method.billing_key == *key) else {
            return Ok(if is_news { Received::Settled } else { Received::Known });
        };
        let mut moved = false;
        let mut owed = Vec::new();
        for subscription in subscriptions {
            let written = self
                .change_one(&subscription, cause, |subscription| {
                    let wants = subscription.method.is_none() || matches!(subscription.state, State::PastDue { .. });
                    if wants { subscription.with_method(&method, self.clock.now()) } else { None }
                })
                .await?;
            moved |= written.is_some();
            owed.push(written.unwrap_or(subscription));
        }
        self.collect_now(queue, &owed, key, cause).await?;
        Ok(if is_news || moved { Received::Settled } else { Received::Known })
    }

    /// Takes note that a billing key was deleted, after reading it from `PortOne`. Subscriptions that had it get the customer's newest other
    /// one, if there is one.
    pub async fn remove_key(&self, key: &BillingKey, cause: &Cause) -> Result<Received, FlowError> {
        let seen = self.gateway.billing_key(key).await?;
        if seen.as_ref().is_some_and(|seen| seen.is_issued) {
            return Ok(Received::Unchanged);
        }
        // The index of keys lags behind a registration a moment ago; what PortOne says of the key's customer does not.
        let stated = seen.and_then(|seen| seen.customer_id).and_then(|id| UserId::new(id).ok());
        let user_id = match stated {
            Some(user_id) => user_id,
            None => match self.store.key_owner(key).await? {
                Some((user_id, _)) => user_id,
                None => return Ok(Received::Stranger),
            },
        };
        let keys = self.keys_of(&user_id).await?;
        let Some(row) = keys.iter().find(|row| row.billing_key == *key) else { return Ok(Received::Stranger) };
        let subscriptions = self.subscriptions_of(&user_id).await?;
        let is_news = row.status == KeyStatus::Active;
        let others: Vec<RegisteredKey> = keys.iter().filter(|row| row.billing_key != *key).cloned().collect();
        let newest = newest_active(&others);
        if is_news {
            let now = self.clock.now();
            let body = NoticeBody::MethodRemoved { method: row.label(), at: now };
            let notice = notice_for(&subscriptions, body, None);
            let event = key_event(&user_id, EventKind::BillingKeyRemoved, now, row.created_at, cause, notice);
            let mut changes = vec![KeyChange::Delete { user_id: user_id.clone(), created_at: row.created_at }];
            if let Some(newest) = newest.filter(|_| row.is_default) {
                changes.extend(default_to(newest, &others));
            }
            self.write_keys(changes, event).await?;
        }
        let newest = newest.map(method_of);
        let now = self.clock.now();
        let mut moved = false;
        for subscription in &subscriptions {
            let written = self
                .change_one(subscription, cause, |subscription| {
                    let bare = subscription.without_method(key)?;
                    match &newest {
                        Some(method) => subscription.with_method(method, now),
                        None => Some(bare),
                    }
                })
                .await?;
            moved |= written.is_some();
        }
        Ok(if is_news || moved { Received::Settled } else { Received::Known })
    }

    /// Whether a key belongs to this store, and its channels are of the mode that is configured.
    pub(crate) fn is_ours(&self, seen: &KeySeen) -> bool {
        seen.store_id == self.settings.store_id.as_str() && seen.mode == Some(self.settings.mode)
    }

    /// Hands what the customer owes to the workers, to be tried with the new method at once. A repetition finds nothing due.
    pub(crate) async fn collect_now<Q: Queue>(
        &self,
        queue: &Q,
        subscriptions: &[Subscription],
        key: &BillingKey,
        cause: &Cause,
    ) -> Result<(), FlowError> {
        let now = self.clock.now();
        let owed = subscriptions.iter().filter(|subscription| {
            let has_it = subscription.method.as_ref().is_some_and(|method| method.billing_key == *key);
            has_it && matches!(subscription.due(now), Due::Collect(_))
        });
        let messages: Vec<CollectMessage> = owed
            .map(|subscription| CollectMessage {
                run: cause.to_string(),
                now,
                user_id: subscription.key.user_id.clone(),
                subscription_id: subscription.key.id.clone(),
                asks: 0,
            })
            .collect();
        for batch in messages.chunks(MAX_BATCH) {
            queue.send_collect(batch).await?;
        }
        Ok(())
    }

    pub(crate) async fn keys_of(&self, user_id: &UserId) -> Result<Vec<RegisteredKey>, FlowError> {
        let mut all = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.keys_of(user_id, after.as_ref()).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn subscriptions_of(&self, user_id: &UserId) -> Result<Vec<Subscription>, FlowError> {
        let mut all = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.subscriptions_of(user_id, after.as_ref()).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Writes the row of a key and tells the customer; `false` if the row was there.
    async fn write_key(
        &self,
        user_id: &UserId,
        seen: &KeySeen,
        subscriptions: &[Subscription],
        locale: Locale,
        cause: &Cause,
    ) -> Result<bool, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let rows = self.keys_of(user_id).await?;
            if rows.iter().any(|row| row.billing_key == seen.billing_key) {
                return Ok(false);
            }
            let row = row_of(user_id, seen, &rows);
            let created_at = row.created_at;
            let body = NoticeBody::MethodRegistered { method: row.label(), at: seen.issued_at };
            let stated = Customer { name: seen.customer_name.clone(), email: seen.customer_email.clone(), phone: None };
            let notice = notice_for(subscriptions, body, Some((&stated, locale)));
            let now = self.clock.now();
            let event = key_event(user_id, EventKind::BillingKeyRegistered, now, created_at, cause, notice);
            if self.write_keys(registration(row, &rows), event).await? {
                return Ok(true);
            }
        }
        Err(FlowError::Contended)
    }

    /// `false` if another delivery was first.
    async fn write_keys(&self, keys: Vec<KeyChange>, event: Event) -> Result<bool, FlowError> {
        let kind = event.kind;
        let changes = Changes { keys, events: vec![event], ..Changes::default() };
        match self.store.commit(&changes).await {
            Ok(()) => {
                self.telemetry.signal(Signal::Event(kind));
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Writes what `change` makes of a subscription, deciding again whenever someone else was first; `None` if it leaves it as it is.
    async fn change_one(
        &self,
        subscription: &Subscription,
        cause: &Cause,
        change: impl Fn(&Subscription) -> Option<Subscription>,
    ) -> Result<Option<Subscription>, FlowError> {
        let mut subscription = subscription.clone();
        for _ in 0..MAX_ROUNDS {
            let Some(next) = change(&subscription) else { return Ok(None) };
            if self.write_subscription(&subscription, next.clone(), EventKind::MethodReplaced, cause).await? {
                return Ok(Some(next));
            }
            match self.store.subscription(&subscription.key).await? {
                Some(fresh) => subscription = fresh,
                None => return Ok(None),
            }
        }
        Err(FlowError::Contended)
    }

    /// Writes a subscription with another method, and which keys are the default; whatever of that is news. `false` if someone else was first.
    async fn write_method(
        &self,
        before: &Subscription,
        next: Option<&Subscription>,
        keys: Vec<KeyChange>,
        cause: &Cause,
    ) -> Result<bool, FlowError> {
        let now = self.clock.now();
        let write = |next: &Subscription| SubscriptionChange::Write { expected: before.version, next: next.clone() };
        let event = |next| event_of(next, Some(before), EventKind::MethodReplaced, now, cause, None);
        let events = next.map(event).into_iter().collect();
        let changes = Changes { subscription: next.map(write), keys, events, ..Changes::default() };
        if changes == Changes::default() {
            return Ok(true);
        }
        match self.store.commit(&changes).await {
            Ok(()) => {
                if next.is_some() {
                    self.telemetry.signal(Signal::Event(EventKind::MethodReplaced));
                }
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Leaves the newest of several defaults: two first keys that were registered at once have no row in common that would tell the second
    /// writer of the first. Whoever is in its way has seen both, too.
    async fn keep_one_default(&self, rows: &[RegisteredKey]) -> Result<(), FlowError> {
        let newest = rows.iter().filter(|row| row.is_default).max_by_key(|row| row.created_at);
        let keys = newest.map_or_else(Vec::new, |newest| default_to(newest, rows));
        if keys.is_empty() {
            return Ok(());
        }
        match self.store.commit(&Changes { keys, ..Changes::default() }).await {
            Ok(()) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// A notice for a customer: in the language and to the address of the subscription, or of what the billing key was issued with.
fn notice_for(subscriptions: &[Subscription], body: NoticeBody, stated: Option<(&Customer, Locale)>) -> Option<Notice> {
    let known = subscriptions.iter().find(|subscription| subscription.customer.email.is_some());
    let (customer, locale) = known.map(|known| (&known.customer, known.locale)).or(stated)?;
    Some(Notice { to: customer.email.clone()?, name: customer.name.clone(), locale, body })
}

/// The customer's newest key that can be charged.
fn newest_active(keys: &[RegisteredKey]) -> Option<&RegisteredKey> {
    let active = keys.iter().filter(|row| row.status == KeyStatus::Active);
    active.max_by_key(|row| row.created_at)
}

/// What makes one of a customer's `rows`, or one that is registered beside them, the default in place of whichever is.
fn default_to(row: &RegisteredKey, rows: &[RegisteredKey]) -> Vec<KeyChange> {
    let place = |row: &RegisteredKey| (row.user_id.clone(), row.created_at);
    let others = rows.iter().filter(|other| other.is_default && other.created_at != row.created_at);
    let end =
        others.take(MAX_KEYS - 1).map(place).map(|(user_id, created_at)| KeyChange::EndDefault { user_id, created_at });
    let make = (!row.is_default)
        .then(|| place(row))
        .map(|(user_id, created_at)| KeyChange::MakeDefault { user_id, created_at });
    make.into_iter().chain(end).collect()
}

/// What registers a key beside the customer's others.
pub(crate) fn registration(row: RegisteredKey, others: &[RegisteredKey]) -> Vec<KeyChange> {
    let mut changes = if row.is_default { default_to(&row, others) } else { Vec::new() };
    changes.push(KeyChange::Register(row));
    changes
}

/// What a subscription is charged with when it is charged with this key.
pub(crate) fn method_of(row: &RegisteredKey) -> Method {
    Method {
        billing_key: row.billing_key.clone(),
        pg: row.pg.clone().unwrap_or_else(|| Pg::Other("UNKNOWN".to_owned())),
    }
}

/// The row of a key, beside the customer's others.
pub(crate) fn row_of(user_id: &UserId, seen: &KeySeen, others: &[RegisteredKey]) -> RegisteredKey {
    let mut created_at = seen.issued_at;
    // Two keys of one customer issued in one millisecond are two rows.
    while others.iter().any(|row| row.created_at.as_millisecond() == created_at.as_millisecond()) {
        created_at = created_at.checked_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX);
    }
    RegisteredKey {
        user_id: user_id.clone(),
        created_at,
        billing_key: seen.billing_key.clone(),
        customer_id: user_id.to_string(),
        method: seen.method,
        card: seen.card.clone(),
        paypal_email: None,
        // A late delivery about an older key must not displace a newer one.
        is_default: newest_active(others).is_none_or(|newest| newest.created_at < created_at),
        status: KeyStatus::Active,
        channel_key: seen.channel_key.clone(),
        pg: seen.pg.clone(),
        issue_id: seen.issue_id.clone(),
    }
}

pub(crate) fn key_event(
    user_id: &UserId,
    kind: EventKind,
    now: Timestamp,
    issued_at: Timestamp,
    cause: &Cause,
    notice: Option<Notice>,
) -> Event {
    Event {
        subject: user_id.to_string(),
        // Of one key two things can happen in one millisecond, and of one customer to two keys.
        id: Event::id_at(now, &format!("{}-{}", issued_at.as_millisecond(), kind.name())),
        at: now,
        kind,
        cause: cause.clone(),
        before: None,
        after: None,
        detail: None,
        notice,
    }
}
