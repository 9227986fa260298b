//! The client: one method per operation, no retries, no opinions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, RequestBuilder, Response, Url, redirect, retry};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::{Scrub, decode, transport};
use crate::billing_key::{BillingKeyInfo, BillingKeyQuery, BillingKeySort, DeleteAnswer, DeleteBillingKey};
use crate::common::{PageRequest, Paged, Requester};
use crate::error::{Error, TransportPhase};
use crate::ids::{Cursor, IdempotencyKey, PaymentId, StoreId};
use crate::payment::{
    CancelAnswer, Cancellation, CursorAnswer, CursorQuery, Payment, PaymentQuery, PaymentWebhook, WebhookAnswer,
};
use crate::request::{BillingKeyPayment, BillingKeyPaymentReceipt, CancelPayment, PayAnswer};
use crate::secret::{ApiSecret, BillingKey};

/// The only host there is, for real money and for rehearsals alike: the channel decides which it is.
pub const DEFAULT_BASE_URL: &str = "https://api.portone.io";

/// What `PortOne` asks for at least: gateways and card networks are slow.
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection that takes longer than this will not get better by waiting.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Shorter than the 60 s after which load balancers usually drop an idle connection. Sending a charge into a dropped
/// one turns it into an unknown outcome; opening a new one costs milliseconds.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything but RFC 3986's unreserved characters, in paths and in query values.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of `PortOne` V2. Cheap to clone; clones share their connections.
///
/// Every method is one HTTP request: nothing is retried and no redirect is followed.
#[derive(Clone)]
pub struct Client {
    unsigned: Unsigned,
    secret: ApiSecret,
}

/// A client that has no secret yet: it can open its connection while the secret is still being read, and nothing else.
#[derive(Clone)]
pub struct Unsigned {
    http: reqwest::Client,
    base: Arc<str>,
    store: Option<StoreId>,
}

impl fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsigned").field("base_url", &self.base).field("store_id", &self.store).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.unsigned.base)
            .field("store_id", &self.unsigned.store)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`Client`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientBuilder {
    base_url: String,
    store: Option<StoreId>,
    read_timeout: Duration,
    connect_timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The base URL is not `http://host…` or `https://host…`, or carries a user, a query or a fragment.
    #[error("the base URL is not a plain http or https URL")]
    BaseUrl,
    /// The HTTP client could not be set up, usually for want of root certificates.
    #[error("cannot set up the HTTP client")]
    Http(#[source] reqwest::Error),
}

impl ClientBuilder {
    /// Where the API is. Default: [`DEFAULT_BASE_URL`]. A path is kept as a prefix.
    pub fn base_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.base_url);
        self
    }

    /// The store to speak for. Default: the secret's own; but **lists then read the whole merchant.**
    pub fn store_id(mut self, store: StoreId) -> Self {
        self.store = Some(store);
        self
    }

    /// How long to wait for the answer: for each piece of it, and, with the connect timeout on top, for all of it.
    /// Default: [`DEFAULT_READ_TIMEOUT`].
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// How long to wait for a connection. Default: [`DEFAULT_CONNECT_TIMEOUT`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The client, but for its secret. Opens no connection.
    pub fn build(self) -> Result<Unsigned, BuildError> {
        let url = Url::parse(&self.base_url).map_err(|_| BuildError::BaseUrl)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(BuildError::BaseUrl);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout)
            .timeout(self.connect_timeout.saturating_add(self.read_timeout))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            // The API redirects nowhere; a redirect must not carry a charge to another host.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            // Configuration comes by argument, not from the environment.
            .no_proxy()
            .user_agent(concat!("portone-rust/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BuildError::Http(error.without_url()))?;
        Ok(Unsigned { http, base: url.as_str().trim_end_matches('/').into(), store: self.store })
    }
}

impl Unsigned {
    /// The client that signs its requests with this secret, on the same connections.
    pub fn with_secret(self, secret: ApiSecret) -> Client {
        Client { unsigned: self, secret }
    }

    /// Opens a connection, so that the first real request finds it open. Ignores the answer.
    pub async fn warm_up(&self) {
        let _ = self.http.head(&*self.base).send().await;
    }
}

impl Client {
    /// Begins a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            base_url: DEFAULT_BASE_URL.to_owned(),
            store: None,
            read_timeout: DEFAULT_READ_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }

    /// The same client with another secret, on the same connections: secrets expire and are replaced.
    #[must_use]
    pub fn with_secret(&self, secret: ApiSecret) -> Self {
        self.unsigned.clone().with_secret(secret)
    }

    /// Charges a billing key. **A declined card is [`ErrorKind::PgProvider`](crate::ErrorKind::PgProvider).**
    ///
    /// The key names the attempt: for three hours the same key gets the same answer, and it must never serve two
    /// different attempts. The payment id is what keeps a second attempt from being paid twice.
    pub async fn pay_with_billing_key(
        &self,
        id: &PaymentId,
        attempt: &IdempotencyKey,
        payment: &BillingKeyPayment,
    ) -> Result<BillingKeyPaymentReceipt, Error> {
        let request = self.charge(id, attempt, payment);
        let answer: PayAnswer = self.send(request, Some(&payment.billing_key)).await?;
        Ok(answer.payment)
    }

    fn charge(&self, id: &PaymentId, attempt: &IdempotencyKey, payment: &BillingKeyPayment) -> RequestBuilder {
        let url = self.url(&["payments", id.as_str(), "billing-key"]);
        self.request(Method::POST, &url, Some(attempt)).json(&self.with_store(payment))
    }

    /// Reads a payment.
    pub async fn payment(&self, id: &PaymentId) -> Result<Payment, Error> {
        let url = self.url(&["payments", id.as_str()])
            + &query(&[("storeId", self.unsigned.store.as_ref().map(StoreId::as_str))]);
        self.send(self.request(Method::GET, &url, None), None).await
    }

    /// Lists payments by page.
    pub async fn payments(&self, query: &PaymentQuery) -> Result<Paged<Payment>, Error> {
        let body = Listing { page: query.page, sort: None, filter: self.with_store(query) };
        self.list(&["payments"], &body).await
    }

    /// Lists payments by time of creation, each with the cursor to go on from. An empty list is the end.
    ///
    /// `PortOne` marks this operation as unstable.
    pub async fn payments_by_cursor(&self, query: &CursorQuery) -> Result<Vec<(Payment, Cursor)>, Error> {
        let answer: CursorAnswer = self.list(&["payments-by-cursor"], &self.with_store(query)).await?;
        Ok(answer.items.into_iter().map(|item| (item.payment, item.cursor)).collect())
    }

    /// Cancels a payment, in part or in full. **`Ok` does not mean refunded:** see [`Cancellation`].
    pub async fn cancel_payment(
        &self,
        id: &PaymentId,
        attempt: Option<&IdempotencyKey>,
        cancel: &CancelPayment,
    ) -> Result<Cancellation, Error> {
        let url = self.url(&["payments", id.as_str(), "cancel"]);
        let request = self.request(Method::POST, &url, attempt).json(&self.with_store(cancel));
        let answer: CancelAnswer = self.send(request, None).await?;
        Ok(answer.cancellation)
    }

    /// Reads a billing key.
    pub async fn billing_key(&self, key: &BillingKey) -> Result<BillingKeyInfo, Error> {
        let url = self.url(&["billing-keys", key.expose()])
            + &query(&[("storeId", self.unsigned.store.as_ref().map(StoreId::as_str))]);
        self.send(self.request(Method::GET, &url, None), Some(key)).await
    }

    /// Lists billing keys by page.
    pub async fn billing_keys(&self, query: &BillingKeyQuery) -> Result<Paged<BillingKeyInfo>, Error> {
        let body = Listing { page: query.page, sort: query.sort, filter: self.with_store(query) };
        self.list(&["billing-keys"], &body).await
    }

    /// Deletes a billing key, and answers when it was deleted.
    pub async fn delete_billing_key(
        &self,
        key: &BillingKey,
        delete: &DeleteBillingKey,
        attempt: Option<&IdempotencyKey>,
    ) -> Result<Timestamp, Error> {
        let url = self.url(&["billing-keys", key.expose()])
            + &query(&[
                ("storeId", self.unsigned.store.as_ref().map(StoreId::as_str)),
                ("reason", delete.reason.as_deref()),
                ("requester", delete.requester.map(Requester::as_str)),
                ("skipWebhook", delete.skip_webhook.map(|skip| if skip { "true" } else { "false" })),
            ]);
        let answer: DeleteAnswer = self.send(self.request(Method::DELETE, &url, attempt), Some(key)).await?;
        Ok(answer.deleted_at)
    }

    /// Has a webhook of a payment sent again: the named one, or its newest.
    pub async fn resend_webhook(&self, id: &PaymentId, webhook_id: Option<&str>) -> Result<PaymentWebhook, Error> {
        let url = self.url(&["payments", id.as_str(), "resend-webhook"]);
        let body = self.with_store(Resend { webhook_id });
        let answer: WebhookAnswer = self.send(self.request(Method::POST, &url, None).json(&body), None).await?;
        Ok(answer.webhook)
    }

    fn url(&self, path: &[&str]) -> String {
        let mut url = self.unsigned.base.to_string();
        for segment in path {
            url.push('/');
            url.extend(utf8_percent_encode(segment, ENCODED));
        }
        url
    }

    fn with_store<T>(&self, rest: T) -> WithStore<'_, T> {
        WithStore { store_id: self.unsigned.store.as_ref(), rest }
    }

    fn request(&self, method: Method, url: &str, attempt: Option<&IdempotencyKey>) -> RequestBuilder {
        let request = self.unsigned.http.request(method, url).header(AUTHORIZATION, self.secret.header());
        match attempt {
            // The value is an RFC 8941 string: the quotes belong to it.
            Some(key) => request.header("idempotency-key", format!("\"{}\"", key.as_str())),
            None => request,
        }
    }

    /// A GET whose JSON body travels in the query, as `PortOne`'s own SDKs send it.
    async fn list<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_string(body)
            .map_err(|_| Error::Transport { phase: TransportPhase::Prepare, source: None })?;
        let url = self.url(path) + &query(&[("requestBody", Some(&body))]);
        self.send(self.request(Method::GET, &url, None), None).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder, key: Option<&BillingKey>) -> Result<T, Error> {
        let response = request.send().await.map_err(|error| transport(error, TransportPhase::Request))?;
        self.read(response, key).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response, key: Option<&BillingKey>) -> Result<T, Error> {
        let scrub = Scrub([Some(self.secret.expose()), key.map(BillingKey::expose)].into_iter().flatten().collect());
        decode(response, &scrub).await
    }
}

/// [`Client::pay_with_billing_key`] without the network in its middle.
#[cfg(feature = "halves")]
impl Client {
    /// The request that it sends.
    pub fn charge_request(
        &self,
        id: &PaymentId,
        attempt: &IdempotencyKey,
        payment: &BillingKeyPayment,
    ) -> Result<reqwest::Request, Error> {
        self.charge(id, attempt, payment).build().map_err(|error| transport(error, TransportPhase::Prepare))
    }

    /// What it makes of an answer.
    pub async fn charge_answer(
        &self,
        answer: impl Into<Response>,
        payment: &BillingKeyPayment,
    ) -> Result<BillingKeyPaymentReceipt, Error> {
        let answer: PayAnswer = self.read(answer.into(), Some(&payment.billing_key)).await?;
        Ok(answer.payment)
    }
}

/// `?name=value&…` of what is there.
fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.extend(utf8_percent_encode(value, ENCODED));
        }
    }
    query
}

/// A body, or a filter, with the client's store in it.
#[derive(Serialize)]
struct WithStore<'a, T> {
    #[serde(rename = "storeId", skip_serializing_if = "Option::is_none")]
    store_id: Option<&'a StoreId>,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Listing<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<BillingKeySort>,
    filter: WithStore<'a, T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resend<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<&'a str>,
}
