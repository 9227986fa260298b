//! Subscribe: start a subscription; register and remove the billing keys it is charged with.

use crate::ports::{Changes, Clock, CommitError, Cursor, Gateway, KeyChange, KeySeen, Signal, Store, SubscriptionChange, Telemetry};
use crate::receive_webhook::Received;
use crate::settle::MAX_ROUNDS;
use crate::{Billing, FlowError};
use billing_core::billing_key::{BillingKey, KeyStatus, RegisteredKey};
use billing_core::decline::Pg;
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::UserId;
use billing_core::notice::{Notice, NoticeBody};
use billing_core::subscription::{Customer, Method, Subscription};
use billing_core::{Timestamp, plan::Locale};

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

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Starts a subscription.
    pub async fn start(&self, subscription: Subscription, cause: &Cause) -> Result<(), SubscribeError> {
        let now = self.clock.now();
        let event = Event {
            subject: subscription.key.id.to_string(),
            id: Event::id_at(now, &format!("{:06}", subscription.version)),
            at: now,
            kind: EventKind::SubscriptionStarted,
            cause: cause.clone(),
            before: None,
            after: Some(subscription.state.status().to_owned()),
            detail: None,
            notice: None,
        };
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
            Err(CommitError::Conflict(_)) => Err(SubscribeError::Exists),
            Err(CommitError::Store(error)) => Err(FlowError::from(error).into()),
        }
    }

    /// Registers a billing key that a webhook or a redirect told of, after reading it from `PortOne`; then puts it to the customer's
    /// subscriptions that are owed for or have no method. Safe to repeat: a repetition finishes what an earlier try left.
    pub async fn register_key(&self, key: &BillingKey, cause: &Cause) -> Result<Received, FlowError> {
        let Some(seen) = self.read_key(key).await?.filter(|seen| seen.is_issued) else { return Ok(Received::Unchanged) };
        let Some(user_id) = seen.customer_id.as_deref().and_then(|id| UserId::new(id).ok()) else {
            // A key without a customer, or with one that is no user id of ours: nobody to bind it to.
            return Ok(Received::Stranger);
        };
        let known = self.known_key(&user_id, key).await?;
        let is_news = known.is_none();
        if let Some(deleted) = known.filter(|row| row.status == KeyStatus::Deleted) {
            return Ok(if deleted.billing_key == *key { Received::Known } else { Received::Unchanged });
        }
        let method = Method { billing_key: key.clone(), pg: seen.pg.clone().unwrap_or(Pg::Other("UNKNOWN".into())) };
        if is_news {
            self.write_key(&user_id, &seen, cause).await?;
        }
        let moved = self.put_method(&user_id, &method, cause).await?;
        Ok(if is_news || moved { Received::Settled } else { Received::Known })
    }

    /// Takes note that a billing key was deleted, after reading it from `PortOne`.
    pub async fn remove_key(&self, key: &BillingKey, cause: &Cause) -> Result<Received, FlowError> {
        let Some((user_id, created_at)) = self.store.key_owner(key).await? else { return Ok(Received::Stranger) };
        let Some(row) = self.known_key(&user_id, key).await? else { return Ok(Received::Stranger) };
        if self.read_key(key).await?.is_some_and(|seen| seen.is_issued) {
            return Ok(Received::Unchanged);
        }
        let is_news = row.status == KeyStatus::Active;
        if is_news {
            let now = self.clock.now();
            let notice = self.notice_for(&user_id, NoticeBody::MethodRemoved { method: row.label(), at: now }, None).await?;
            let event = key_event(&user_id, EventKind::BillingKeyRemoved, now, created_at, cause, notice);
            let change = KeyChange::Delete { user_id: user_id.clone(), created_at };
            self.write_key_change(change, event).await?;
        }
        let moved = self.take_method(&user_id, key).await?;
        Ok(if is_news || moved { Received::Settled } else { Received::Known })
    }

    async fn read_key(&self, key: &BillingKey) -> Result<Option<KeySeen>, FlowError> {
        self.gateway.billing_key(key).await.map_err(|error| match error {
            crate::ports::AskError::Unauthorized(code) => FlowError::Unauthorized(code),
            crate::ports::AskError::Unavailable(why) => FlowError::Unavailable(why),
        })
    }

    async fn known_key(&self, user_id: &UserId, key: &BillingKey) -> Result<Option<RegisteredKey>, FlowError> {
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.keys_of(user_id, after.as_ref()).await?;
            if let Some(row) = page.items.into_iter().find(|row| row.billing_key == *key) {
                return Ok(Some(row));
            }
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    async fn write_key(&self, user_id: &UserId, seen: &KeySeen, cause: &Cause) -> Result<(), FlowError> {
        let row = RegisteredKey {
            user_id: user_id.clone(),
            created_at: seen.issued_at,
            billing_key: seen.billing_key.clone(),
            customer_id: user_id.to_string(),
            method: seen.method,
            card: seen.card.clone(),
            paypal_email: None,
            is_default: true,
            status: KeyStatus::Active,
            channel_key: seen.channel_key.clone(),
            pg: seen.pg.clone(),
            issue_id: seen.issue_id.clone(),
        };
        let body = NoticeBody::MethodRegistered { method: row.label(), at: seen.issued_at };
        let stated = Customer { name: seen.customer_name.clone(), email: seen.customer_email.clone(), phone: None };
        let notice = self.notice_for(user_id, body, Some(&stated)).await?;
        let event = key_event(user_id, EventKind::BillingKeyRegistered, self.clock.now(), seen.issued_at, cause, notice);
        self.write_key_change(KeyChange::Register(row), event).await
    }

    async fn write_key_change(&self, change: KeyChange, event: Event) -> Result<(), FlowError> {
        let kind = event.kind;
        let changes = Changes { key: Some(change), events: vec![event], ..Changes::default() };
        match self.store.commit(&changes).await {
            Ok(()) => self.telemetry.signal(Signal::Event(kind)),
            // Another delivery of the same webhook was first.
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// A notice for a customer: in the language and to the address of the subscription, or of what the billing key was issued with.
    async fn notice_for(
        &self,
        user_id: &UserId,
        body: NoticeBody,
        stated: Option<&Customer>,
    ) -> Result<Option<Notice>, FlowError> {
        let page = self.store.subscriptions_of(user_id, None).await?;
        let known = page.items.iter().find(|subscription| subscription.customer.email.is_some());
        let customer = known.map(|subscription| &subscription.customer).or(stated);
        let locale = known.map_or(Locale::default(), |subscription| subscription.locale);
        Ok(customer.and_then(|customer| {
            customer.email.clone().map(|to| Notice { to, name: customer.name.clone(), locale, body })
        }))
    }

    /// Puts a new method to every subscription that is owed for or has none.
    async fn put_method(&self, user_id: &UserId, method: &Method, cause: &Cause) -> Result<bool, FlowError> {
        let now = self.clock.now();
        self.change_each(user_id, EventKind::MethodReplaced, cause, |subscription| {
            let wants = subscription.method.is_none()
                || matches!(subscription.state, billing_core::subscription::State::PastDue { .. });
            wants.then(|| subscription.with_method(method, now)).flatten()
        })
        .await
    }

    async fn take_method(&self, user_id: &UserId, key: &BillingKey) -> Result<bool, FlowError> {
        let cause = Cause::Api("billing key removed".to_owned());
        self.change_each(user_id, EventKind::MethodReplaced, &cause, |subscription| subscription.without_method(key)).await
    }

    async fn change_each(
        &self,
        user_id: &UserId,
        kind: EventKind,
        cause: &Cause,
        change: impl Fn(&Subscription) -> Option<Subscription>,
    ) -> Result<bool, FlowError> {
        let mut changed = false;
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.subscriptions_of(user_id, after.as_ref()).await?;
            for subscription in page.items {
                changed |= self.change_one(subscription, kind, cause, &change).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(changed);
            }
        }
    }

    async fn change_one(
        &self,
        mut subscription: Subscription,
        kind: EventKind,
        cause: &Cause,
        change: &impl Fn(&Subscription) -> Option<Subscription>,
    ) -> Result<bool, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(next) = change(&subscription) else { return Ok(false) };
            let now = self.clock.now();
            let event = Event {
                subject: subscription.key.id.to_string(),
                id: Event::id_at(now, &format!("{:06}", next.version)),
                at: now,
                kind,
                cause: cause.clone(),
                before: Some(subscription.state.status().to_owned()),
                after: Some(next.state.status().to_owned()),
                detail: None,
                notice: None,
            };
            let write = SubscriptionChange::Write { expected: subscription.version, next };
            let changes = Changes { subscription: Some(write), events: vec![event], ..Changes::default() };
            match self.store.commit(&changes).await {
                Ok(()) => {
                    self.telemetry.signal(Signal::Event(kind));
                    return Ok(true);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
            match self.store.subscription(&subscription.key).await? {
                Some(fresh) => subscription = fresh,
                None => return Ok(false),
            }
        }
        Err(FlowError::Contended)
    }
}

fn key_event(
    user_id: &UserId,
    kind: EventKind,
    now: Timestamp,
    issued_at: Timestamp,
    cause: &Cause,
    notice: Option<Notice>,
) -> Event {
    Event {
        subject: user_id.to_string(),
        id: Event::id_at(now, &issued_at.as_millisecond().to_string()),
        at: now,
        kind,
        cause: cause.clone(),
        before: None,
        after: None,
        detail: None,
        notice,
    }
}
