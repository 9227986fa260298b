//! Enrol: open a checkout session, and bind the billing key that was issued in it, whoever tells of it first: the browser or the webhook.
//!
//! Nothing that the browser says is believed: the key is read from `PortOne` and held against the session. Then one transaction writes the
//! key's row, the session's end, the subscription and the events; so of any number that bind at once one does, and the others find it done.
//!
//! | crash | left behind | repaired by |
//! | --- | --- | --- |
//! | before the session is written | nothing | the caller asks again: the same session, by its derived id |
//! | after the key was issued, before the transaction | a key at `PortOne` | the webhook, delivered up to six times; or the customer, who loads the page again |
//! | after the transaction, before what is due is handed over | a subscription that is due | the webhook or the page; or the next run |

use crate::ports::{
    AskError, Changes, Clock, CommitError, Gateway, KeySeen, Queue, SessionChange, Signal, Store, SubscriptionChange,
    Telemetry,
};
use crate::settle::MAX_ROUNDS;
use crate::subscribe::{key_event, method_of, registration, row_of};
use crate::{Billing, FlowError};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, KeyStatus, MethodLabel, RegisteredKey};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::notice::{Begun, Notice, NoticeBody};
use billing_core::session::{Done, NotOpened, Request, Seed, Session, SessionId, live_paid};
use billing_core::subscription::{Customer, NextCharge, Subscription};

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What was asked for is refused. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] NotOpened),
    /// The idempotency key was used for another request before.
    #[error("this idempotency key was used for another request of the same user: use a new key for a new request")]
    KeyReused,
    /// It could not be carried through; asking again may help.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

/// What a completed session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The session.
    pub session: Session,
    /// The subscription as it is now.
    pub subscription: Subscription,
    /// The payment method, as the customer knows it.
    pub method: MethodLabel,
    /// The next charge, if there is one.
    pub next_charge: Option<NextCharge>,
}

/// Why a billing key is not bound to a session. Nothing was changed, and trying again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such session (any more).
    #[error("there is no such checkout session")]
    NoSuchSession,
    /// The key was issued after the session had expired.
    #[error("the checkout session had expired when the billing key was issued")]
    Expired,
    /// The session was completed with another key.
    #[error("the checkout session was completed with another billing key")]
    Completed,
    /// The key was deleted.
    #[error("the billing key is not issued: it was deleted")]
    NotIssued,
    /// The key belongs to another store.
    #[error("the billing key belongs to another store")]
    OtherStore,
    /// The key's channel is a test channel and ours are live, or the other way round.
    #[error("the billing key was issued on a channel of the other mode")]
    WrongMode,
    /// The key is another customer's.
    #[error("the billing key is another customer's")]
    OtherCustomer,
    /// The key was issued in another session, or in none.
    #[error("the billing key was issued in another checkout session")]
    OtherSession,
    /// The customer has begun a subscription since the session was opened.
    #[error("the customer has a subscription already")]
    Subscribed,
    /// The subscription whose method was to be replaced has ended since.
    #[error("the subscription has ended")]
    Ended,
}

/// What became of the wish to bind a billing key. It may be repeated: what was done stays done, and is answered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// It is bound, now or before.
    Done(Box<Enrolment>),
    /// It is not, and will not be.
    Refused(Refusal),
    /// `PortOne` could not be asked, or does not know the key (yet): ask again in a moment.
    NotYet,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Opens a checkout session. A repetition of the same request is answered with the same session, whatever has become of it since.
    pub async fn open_session(&self, request: &Request, seed: Seed<'_>) -> Result<Session, OpenError> {
        let id = SessionId::derive(&request.user_id, seed);
        for _ in 0..MAX_ROUNDS {
            if let Some(session) = self.store.session(&id).await.map_err(FlowError::from)? {
                let is_same = session.request == request.fingerprint();
                return if is_same { Ok(session) } else { Err(OpenError::KeyReused) };
            }
            let had = self.subscriptions_of(&request.user_id).await?;
            let session = request.open(id.clone(), &had, &self.settings.catalogue, self.clock.now())?;
            let open = SessionChange::Open(session.clone());
            let changes = Changes { session: Some(Box::new(open)), ..Changes::default() };
            match self.store.commit(&changes).await {
                Ok(()) => return Ok(session),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) => return Err(FlowError::from(error).into()),
            }
        }
        Err(FlowError::Contended.into())
    }

    /// Binds the billing key that a browser came back with to the session it says it was issued in; begins the subscription or replaces its
    /// method; and has what is due charged at once.
    pub async fn bind<Q: Queue>(
        &self,
        queue: &Q,
        id: &SessionId,
        key: &BillingKey,
        cause: &Cause,
    ) -> Result<Bound, FlowError> {
        let Some(session) = self.store.session(id).await? else { return Ok(Bound::Refused(Refusal::NoSuchSession)) };
        let bound = match &session.done {
            // PortOne need not be asked: the books say so already.
            Some(done) => self.completed(session.clone(), done, key).await?,
            None => match self.gateway.billing_key(key).await {
                Ok(Some(seen)) => Box::pin(self.bind_seen(session, &seen, cause)).await?,
                Ok(None) | Err(AskError::Unavailable(_)) => Bound::NotYet,
                Err(error @ AskError::Unauthorized(_)) => return Err(error.into()),
            },
        };
        if let Bound::Done(enrolment) = &bound {
            self.collect_now(queue, std::slice::from_ref(&enrolment.subscription), key, cause).await?;
        }
        Ok(bound)
    }

    /// The session that a key names, if there is one (still).
    pub(crate) async fn session_of(&self, seen: &KeySeen) -> Result<Option<Session>, FlowError> {
        match seen.issue_id.as_deref().and_then(|id| SessionId::new(id).ok()) {
            Some(id) => Ok(self.store.session(&id).await?),
            None => Ok(None),
        }
    }

    /// Completes the session that a key names, if it is open and takes it; whether that is news.
    pub(crate) async fn complete_session(
        &self,
        session: Option<Session>,
        seen: &KeySeen,
        cause: &Cause,
    ) -> Result<bool, FlowError> {
        let Some(session) = session.filter(|session| session.done.is_none()) else { return Ok(false) };
        Ok(matches!(self.bind_seen(session, seen, cause).await?, Bound::Done(_)))
    }

    async fn bind_seen(&self, mut session: Session, seen: &KeySeen, cause: &Cause) -> Result<Bound, FlowError> {
        for _ in 0..MAX_ROUNDS {
            if let Some(done) = session.done.clone() {
                return self.completed(session, &done, &seen.billing_key).await;
            }
            if let Some(refusal) = self.refusal(&session, seen) {
                return Ok(Bound::Refused(refusal));
            }
            let rows = self.keys_of(&session.user_id).await?;
            let known = rows.iter().find(|row| row.billing_key == seen.billing_key);
            if known.is_some_and(|row| row.status == KeyStatus::Deleted) {
                return Ok(Bound::Refused(Refusal::NotIssued));
            }
            if known.is_none() && self.is_anothers(&session, &seen.billing_key).await? {
                return Ok(Bound::Refused(Refusal::OtherCustomer));
            }
            let row = known.cloned().unwrap_or_else(|| row_of(&session.user_id, seen, &rows));
            let had = self.subscriptions_of(&session.user_id).await?;
            let there = had.iter().find(|subscription| subscription.key == session.subscription_key());
            let now = self.clock.now();
            let step = match (session.begins(Some(method_of(&row)), now), there) {
                (Some(begun), None) if live_paid(&had).is_none() => self.begin(&session, begun, &row, now, cause)?,
                (Some(_), _) => return self.subscribed(&session.id, &seen.billing_key).await,
                (None, Some(before)) if !before.has_ended() => replace(&session, before, &row, now, cause),
                (None, _) => return Ok(Bound::Refused(Refusal::Ended)),
            };
            let done = Done { at: now, billing_key: row.billing_key.clone(), method: row.label() };
            let mut events = Vec::new();
            if known.is_none() {
                let (kind, issued_at) = (EventKind::BillingKeyRegistered, row.created_at);
                events.push(key_event(&session.user_id, kind, now, issued_at, cause, step.of_key));
            }
            events.extend(step.event);
            let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
            let changes = Changes {
                subscription: step.change,
                keys: if known.is_none() { registration(row, &rows) } else { Vec::new() },
                session: Some(Box::new(SessionChange::Complete { id: session.id.clone(), done: done.clone() })),
                events,
                ..Changes::default()
            };
            match self.store.commit(&changes).await {
                Ok(()) => {
                    for kind in kinds {
                        self.telemetry.signal(Signal::Event(kind));
                    }
                    let method = done.method.clone();
                    return enrolment(Session { done: Some(done), ..session }, method, step.subscription);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
            let Some(fresh) = self.store.session(&session.id).await? else {
                return Ok(Bound::Refused(Refusal::NoSuchSession));
            };
            session = fresh;
        }
        Err(FlowError::Contended)
    }

    /// What is answered to whoever finds a subscription where the session was to begin one: it is another's, or the session's own, begun since
    /// the session was read.
    async fn subscribed(&self, id: &SessionId, key: &BillingKey) -> Result<Bound, FlowError> {
        if let Some(fresh) = self.store.session(id).await?
            && let Some(done) = fresh.done.clone()
        {
            return self.completed(fresh, &done, key).await;
        }
        Ok(Bound::Refused(Refusal::Subscribed))
    }

    /// What is answered about a session that is completed.
    async fn completed(&self, session: Session, done: &Done, key: &BillingKey) -> Result<Bound, FlowError> {
        if done.billing_key != *key {
            return Ok(Bound::Refused(Refusal::Completed));
        }
        match self.store.subscription(&session.subscription_key()).await? {
            Some(subscription) => enrolment(session, done.method.clone(), subscription),
            None => Ok(Bound::Refused(Refusal::Ended)),
        }
    }

    /// Why a session does not take a key, if it does not.
    fn refusal(&self, session: &Session, seen: &KeySeen) -> Option<Refusal> {
        let is_customers = seen.customer_id.as_deref() == Some(session.user_id.as_str());
        let is_sessions = seen.issue_id.as_deref() == Some(session.id.as_str());
        let checks = [
            (seen.is_issued, Refusal::NotIssued),
            (seen.store_id == self.settings.store_id.as_str(), Refusal::OtherStore),
            (seen.mode == Some(self.settings.mode), Refusal::WrongMode),
            (is_customers, Refusal::OtherCustomer),
            (is_sessions, Refusal::OtherSession),
            (session.covers(seen.issued_at), Refusal::Expired),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, refusal)| refusal)
    }

    /// Whether a key is registered for another customer. Its own customer was compared before; this is against a row that should not be.
    async fn is_anothers(&self, session: &Session, key: &BillingKey) -> Result<bool, FlowError> {
        Ok(self.store.key_owner(key).await?.is_some_and(|(owner, _)| owner != session.user_id))
    }

    fn begin(
        &self,
        session: &Session,
        begun: Subscription,
        row: &RegisteredKey,
        now: Timestamp,
        cause: &Cause,
    ) -> Result<Step, FlowError> {
        let told = begun.next_charge()?.map(|first| NoticeBody::SubscriptionStarted {
            begun: Begun {
                plan_name: self.settings.catalogue.name(begun.plan, begun.locale).to_owned(),
                seats: begun.seats,
                monthly: begun.monthly,
                method: row.label(),
                trial_end: begun.trial_end,
                first_charge_at: first.at,
                first_charge: first.amount,
                first_period: first.period,
            },
        });
        let notice = told.and_then(|body| notice_for(session, &session.customer, body));
        let event = event_of(&begun, None, EventKind::SubscriptionStarted, now, cause, notice);
        let change = Some(SubscriptionChange::Create(begun.clone()));
        Ok(Step { subscription: begun, change, event: Some(event), of_key: None })
    }
}

/// What a session does about its subscription.
struct Step {
    /// The subscription after it.
    subscription: Subscription,
    change: Option<SubscriptionChange>,
    event: Option<Event>,
    /// What the registration of the key tells the customer, where the subscription's event tells nothing.
    of_key: Option<Notice>,
}

fn replace(session: &Session, before: &Subscription, row: &RegisteredKey, now: Timestamp, cause: &Cause) -> Step {
    let of_key =
        notice_for(session, &before.customer, NoticeBody::MethodRegistered { method: row.label(), at: row.created_at });
    match before.with_method(&method_of(row), now) {
        Some(next) => Step {
            event: Some(event_of(&next, Some(before), EventKind::MethodReplaced, now, cause, None)),
            change: Some(SubscriptionChange::Write { expected: before.version, next: next.clone() }),
            subscription: next,
            of_key,
        },
        // It has this method already.
        None => Step { subscription: before.clone(), change: None, event: None, of_key },
    }
}

fn enrolment(session: Session, method: MethodLabel, subscription: Subscription) -> Result<Bound, FlowError> {
    let next_charge = subscription.next_charge()?;
    Ok(Bound::Done(Box::new(Enrolment { session, subscription, method, next_charge })))
}

/// A notice to whom the subscription is billed, or else to whom the session names.
fn notice_for(session: &Session, customer: &Customer, body: NoticeBody) -> Option<Notice> {
    let customer = if customer.email.is_some() { customer } else { &session.customer };
    Some(Notice { to: customer.email.clone()?, name: customer.name.clone(), locale: session.locale, body })
}

/// The record of what became of a subscription.
pub(crate) fn event_of(
    after: &Subscription,
    before: Option<&Subscription>,
    kind: EventKind,
    now: Timestamp,
    cause: &Cause,
    notice: Option<Notice>,
) -> Event {
    Event {
        subject: after.key.id.to_string(),
        id: Event::id_at(now, &format!("{:06}", after.version)),
        at: now,
        kind,
        cause: cause.clone(),
        before: before.map(|before| before.state.status().to_owned()),
        after: Some(after.state.status().to_owned()),
        detail: None,
        notice,
    }
}
