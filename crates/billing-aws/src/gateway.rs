//! The `Gateway` over `PortOne`'s client.
//!
//! An adapter of this kind can lose money in one way only: by concluding too much. So every error is told by its **type**, never by its HTTP
//! status (a declined card is a 502), and what is not known to be a refusal is [`ChargeAnswer::Unknown`].
//!
//! | `PortOne` says | the answer is |
//! | --- | --- |
//! | 200 with `paidAt` | `Paid` |
//! | 200 without it, `ALREADY_PAID` | `Ask` |
//! | `PG_PROVIDER` | `Declined`, by the method's PG |
//! | `BILLING_KEY_NOT_FOUND`, `BILLING_KEY_ALREADY_DELETED` | `Declined`: no method |
//! | `MAX_TRANSACTION_COUNT_REACHED` | `UsedUp` |
//! | `UNAUTHORIZED`, `FORBIDDEN` | after one more try with a secret that was replaced meanwhile: `Unauthorized` |
//! | `INVALID_REQUEST`, `CHANNEL_NOT_FOUND`, `SUM_OF_PARTS_…`, `PROMOTION_…`, `DISCOUNT_…`, `PAYMENT_SCHEDULE_ALREADY_EXISTS` | `Refused` |
//! | nothing, for the charge was not sent: its channel is slow | `Unknown` |
//! | `IDEMPOTENCY_OUTSTANDING_REQUEST`, types that are not known or not expected, no answer, an answer that cannot be read | `Unknown` |

use self::pace::{Load, Pace};
use crate::config::PortOne;
use crate::secrets::{CachedSecret, ReadSecret, SecretError, SecretText};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::id::PaymentId;
use billing_flows::ports::{
    AskError, CancelAnswer, CancelOrder, ChargeAnswer, ChargeOrder, Clock, Cursor, Gateway, KeySeen, ListedBy, Page,
    PaymentSeen,
};
use portone::{ApiSecret, BuildError, Client, Error, ErrorKind, IdempotencyKey, InvalidSecret, Unsigned};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error as ThisError;
use tokio::time::Instant;

mod answer;
mod cancel;
mod charge;
mod listing;
mod pace;
mod seen;
#[cfg(test)]
mod tests;

/// Why a charge was not sent: it was claimed, and then the channel became so slow that its turn would have come too late. As with any unknown
/// end `PortOne` is asked, has never heard of it, and gets it under the same idempotency key.
const NOT_SENT: &str = "NOT_SENT_FOR_WANT_OF_ALLOWANCE";

/// `PortOne`, through one store. Cheap to clone; clones share their connections, their secret and their pace.
#[derive(Debug)]
pub struct PortOneGateway<R, C> {
    client: Client,
    secret: Arc<CachedSecret<R, C>>,
    pace: Arc<Pace>,
    /// When a charge's credentials were refused last, and as what.
    refused: Arc<Mutex<Option<(Instant, String)>>>,
}

impl<R, C> Clone for PortOneGateway<R, C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            secret: Arc::clone(&self.secret),
            pace: Arc::clone(&self.pace),
            refused: Arc::clone(&self.refused),
        }
    }
}

/// Why there is no gateway.
#[derive(Debug, ThisError)]
pub enum GatewayError {
    /// The API secret could not be read.
    #[error("the API secret cannot be read")]
    Secret(#[from] SecretError),
    /// What was read is no API secret.
    #[error("secret {id} holds no API secret of PortOne; store it as plain text")]
    NotASecret {
        /// Its name.
        id: String,
        /// What is wrong.
        source: InvalidSecret,
    },
    /// The client cannot be set up.
    #[error("the client of PortOne cannot be set up; check PORTONE_BASE_URL")]
    Client(#[from] BuildError),
}

impl<R: ReadSecret, C: Clock> PortOneGateway<R, C> {
    /// Sets the client up, and reads the secret while `meanwhile` is done with the client: it may open the connection, for that sends no
    /// secret.
    pub async fn new<F: Future<Output = ()>>(
        config: &PortOne,
        secret: CachedSecret<R, C>,
        meanwhile: impl FnOnce(Unsigned) -> F,
    ) -> Result<Self, GatewayError> {
        let unsigned = Client::builder()
            .base_url(config.base_url.as_deref().unwrap_or(portone::DEFAULT_BASE_URL))
            .store_id(portone::StoreId::new(config.store_id.as_str()))
            .read_timeout(config.read_timeout)
            .connect_timeout(config.connect_timeout)
            .build()?;
        let (text, ()) = tokio::join!(secret.get(), meanwhile(unsigned.clone()));
        let api_secret = ApiSecret::new(text?.expose())
            .map_err(|source| GatewayError::NotASecret { id: secret.id().to_owned(), source })?;
        let client = unsigned.with_secret(api_secret);
        let pace = Arc::new(Pace::new(config.charges_per_second));
        Ok(Self { client, secret: Arc::new(secret), pace, refused: Arc::default() })
    }

    /// As what credentials were refused since then, if they were.
    fn refused_since(&self, then: Instant) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|(at, _)| *at >= then).map(|(_, code)| code.clone())
    }

    /// Makes a call, and logs how long it took and what it came to: `infra/watch.yaml` counts these lines.
    async fn call<T, F>(&self, operation: &'static str, call: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let began = self.secret.now();
        let answer = self.call_twice(call).await;
        let portone_ms = u64::try_from(self.secret.now().duration_since(began).as_millis()).unwrap_or(0);
        match &answer {
            Ok(_) => tracing::info!(operation, portone_ms, "PortOne answered"),
            Err(error) => {
                let portone_error = error.kind().map_or("NO_ANSWER", ErrorKind::as_str);
                tracing::info!(operation, portone_ms, portone_error, "PortOne answered with an error, or not at all");
            }
        }
        answer
    }

    /// Makes a call, and once more if the secret was refused and has been replaced. `call` must make the same request each time.
    async fn call_twice<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        // Once the gateway exists, a secret is always at hand: an old one if no newer one can be read.
        let Ok(used) = self.secret.get().await else {
            return call(self.client.clone()).await;
        };
        let answer = call(self.with(&used)).await;
        match &answer {
            Err(error) if is_unauthorized(error) => match self.secret.other_than(&used).await {
                Some(other) => call(self.with(&other)).await,
                None => answer,
            },
            Ok(_) | Err(_) => answer,
        }
    }

    fn with(&self, secret: &SecretText) -> Client {
        ApiSecret::new(secret.expose()).map_or_else(
            |error| {
                tracing::error!(id = self.secret.id(), %error, "the API secret was replaced by something else; the first one is used on");
                self.client.clone()
            },
            |secret| self.client.with_secret(secret),
        )
    }
}

fn is_unauthorized(error: &Error) -> bool {
    matches!(error.kind(), Some(ErrorKind::Unauthorized | ErrorKind::Forbidden))
}

impl<R: ReadSecret, C: Clock> Gateway for PortOneGateway<R, C> {
    fn room(&self) -> usize {
        self.pace.room(Instant::now())
    }

    async fn charge(&self, order: &ChargeOrder<'_>) -> ChargeAnswer {
        let (Ok(id), Ok(attempt), Ok(payment)) = (
            portone::PaymentId::new(order.payment_id.as_str()),
            IdempotencyKey::new(order.payment_id.idempotency_key(order.attempt)),
            charge::request(order),
        ) else {
            // A blank billing key, or a payment id that is not one of ours: nothing was sent.
            return ChargeAnswer::Refused { code: "INVALID_ORDER".to_owned() };
        };
        let asked = Instant::now();
        let Ok(began) = self.pace.turn(&order.method.pg).await else {
            return ChargeAnswer::Unknown(NOT_SENT.to_owned());
        };
        // Whoever waited for a turn meanwhile would be refused as well.
        if let Some(code) = self.refused_since(asked) {
            return ChargeAnswer::Unauthorized { code };
        }
        let call = self.call("charge", |client| {
            let (id, attempt, payment) = (&id, &attempt, &payment);
            async move { client.pay_with_billing_key(id, attempt, payment).await }
        });
        let answer = call.await;
        self.pace.heard(&order.method.pg, Load::of(&answer, began.elapsed()), Instant::now());
        let answer = answer::to_charge(answer, &order.method.pg);
        if let ChargeAnswer::Unauthorized { code } = &answer {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), code.clone()));
        }
        answer
    }

    async fn cancel(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        let (Ok(id), Ok(key)) = (
            portone::PaymentId::new(order.payment_id.as_str()),
            IdempotencyKey::new(order.payment_id.refund_key(order.refund)),
        ) else {
            // A payment id that is not one of ours: nothing was sent.
            return CancelAnswer::Refused { code: "INVALID_ORDER".to_owned() };
        };
        let cancel = cancel::request(order);
        let call = self.call("cancel", |client| {
            let (id, key, cancel) = (&id, &key, &cancel);
            async move { client.cancel_payment(id, Some(key), cancel).await }
        });
        cancel::answer(call.await, order)
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<PaymentSeen>, AskError> {
        let Ok(id) = portone::PaymentId::new(id.as_str()) else {
            return Ok(None);
        };
        let call = self.call("payment", |client| {
            let id = &id;
            async move { client.payment(id).await }
        });
        let answer = call.await;
        let found = answer::unless_missing(answer, &ErrorKind::PaymentNotFound)?;
        found.map(|payment| seen::payment(&payment)).transpose()
    }

    async fn billing_key(&self, key: &BillingKey) -> Result<Option<KeySeen>, AskError> {
        let Ok(key) = portone::BillingKey::new(key.expose()) else {
            return Ok(None);
        };
        let call = self.call("billing_key", |client| {
            let key = &key;
            async move { client.billing_key(key).await }
        });
        let answer = call.await;
        let found = answer::unless_missing(answer, &ErrorKind::BillingKeyNotFound)?;
        found.map(seen::billing_key).transpose()
    }

    async fn payments(
        &self,
        by: ListedBy,
        from: Timestamp,
        until: Timestamp,
        after: Option<&Cursor>,
    ) -> Result<Page<PaymentSeen>, AskError> {
        match by {
            ListedBy::Creation => {
                let query = listing::by_creation(from, until, after);
                let call = self.call("payments_by_cursor", |client| {
                    let query = &query;
                    async move { client.payments_by_cursor(query).await }
                });
                let answer = call.await;
                Ok(listing::part(&answer.map_err(|error| answer::to_ask(&error))?))
            }
            ListedBy::StatusChange => {
                let place = listing::Place::of(from, after)?;
                let query = place.query(until);
                let call = self.call("payments", |client| {
                    let query = &query;
                    async move { client.payments(query).await }
                });
                let answer = call.await;
                place.page(&answer.map_err(|error| answer::to_ask(&error))?)
            }
        }
    }
}
