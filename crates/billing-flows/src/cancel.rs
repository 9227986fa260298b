//! Cancel: end a subscription at its customer's wish.
//!
//! The wish is written down first: from then on nothing is charged, for every intent checks the subscription's version. Then the period is
//! ended as any other that its customer does not want: a charge that was under way is cleared up before, and never sent again.

use crate::collect::Collected;
use crate::ports::{Changes, Clock, CommitError, Gateway, Signal, Store, SubscriptionChange, Telemetry};
use crate::settle::MAX_ROUNDS;
use crate::{Billing, FlowError};
use billing_core::event::{Cause, Event, EventKind};
use billing_core::subscription::{Subscription, SubscriptionKey};

/// When a subscription is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as no charge for it is under way.
    Now,
    /// With the period that is paid.
    PeriodEnd,
}

/// What became of the wish. It may be repeated: what was done stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceled {
    /// The subscription has ended, now or before.
    Ended,
    /// It ends with the period that is paid.
    AtPeriodEnd,
    /// A charge is under way. It ends as soon as that is decided: at once if nothing was paid, else with the period that was.
    WhenDecided,
    /// There is no such subscription.
    Missing,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry> Billing<S, G, C, T> {
    /// Cancels a subscription.
    pub async fn cancel(&self, key: &SubscriptionKey, when: When, cause: &Cause) -> Result<Canceled, FlowError> {
        for _ in 0..MAX_ROUNDS {
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Canceled::Missing) };
            if subscription.has_ended() {
                return Ok(Canceled::Ended);
            }
            if let Some(next) = subscription.to_end()
                && !self.write_wish(&subscription, next, cause).await?
            {
                continue;
            }
            if when == When::PeriodEnd {
                return Ok(Canceled::AtPeriodEnd);
            }
            let Some(subscription) = self.store.subscription(key).await? else { return Ok(Canceled::Missing) };
            match self.end_period(&subscription, self.clock.now(), cause).await? {
                Some(Collected::Ended) => return Ok(Canceled::Ended),
                Some(Collected::Settled(_)) | None => {}
                Some(Collected::Skipped(_)) => return Ok(Canceled::WhenDecided),
            }
        }
        Err(FlowError::Contended)
    }

    /// `false` if the subscription had changed since it was read.
    async fn write_wish(&self, before: &Subscription, next: Subscription, cause: &Cause) -> Result<bool, FlowError> {
        let now = self.clock.now();
        let event = Event {
            subject: before.key.id.to_string(),
            id: Event::id_at(now, &format!("{:06}", next.version)),
            at: now,
            kind: EventKind::CancellationRequested,
            cause: cause.clone(),
            before: Some(before.state.status().to_owned()),
            after: Some(next.state.status().to_owned()),
            detail: None,
            notice: None,
        };
        let changes = Changes {
            subscription: Some(SubscriptionChange::Write { expected: before.version, next }),
            events: vec![event],
            ..Changes::default()
        };
        match self.store.commit(&changes).await {
            Ok(()) => {
                self.telemetry.signal(Signal::Event(EventKind::CancellationRequested));
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}
