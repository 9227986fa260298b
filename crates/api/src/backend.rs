//! What the customer's own backend asks for. Everything that is done may be asked for again: see `call.rs` for the idempotency key.
//!
//! API Gateway gives up on an answer after 30 s, and `PortOne` may take 60 to charge. So what charges is waited for as long as the caller of
//! [`handle`](crate::handle) has patience and no longer; then the answer says that the end is not known, the attempt is durable, and a worker
//! asks about it within minutes.

use crate::answer::json;
use crate::call::Call;
use crate::refusal::{Kind, Refusal};
use crate::token::{Claims, Signer};
use crate::view;
use crate::{Desk, within};
use billing_aws::secrets::ReadSecret;
use billing_core::Timestamp;
use billing_core::change::{Change, ChangeRefusal};
use billing_core::event::Cause;
use billing_core::id::{PaymentId, SubscriptionId, UserId};
use billing_core::invoice::{Invoice, Outcome, State};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::refund::{RefundReason, RefundRefusal, RefundWish};
use billing_core::session::{Request, Seed, Session, Wish};
use billing_core::subscription::{Customer, SubscriptionKey};
use billing_flows::cancel::{Canceled, Resumed, When};
use billing_flows::change::Changed;
use billing_flows::enrol::OpenError;
use billing_flows::pay::{Paying, Tried};
use billing_flows::ports::{Clock, Cursor, Gateway, Queue, Store, StoreError, Telemetry};
use billing_flows::refund::RefundAnswer;
use billing_flows::stop::is_stopped;
use billing_flows::subscribe::Chosen;
use lambda_http::{Body, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest name, address and phone number: mail's own limit for an address (RFC 5321), and more than any name or number needs.
const MAX_CONTACT_CHARS: usize = 254;

/// The body of `POST /api/portone/charge`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargeBody {
    subscription_id: SubscriptionId,
    user_id: UserId,
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    currency: Option<Currency>,
}

/// The body of `POST /api/billing/checkout-sessions`: a new subscription, or with `subscriptionId` another method for one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionBody {
    user_id: UserId,
    #[serde(default)]
    subscription_id: Option<SubscriptionId>,
    #[serde(default)]
    plan_type: Option<PlanType>,
    #[serde(default)]
    team_seats: Option<u32>,
    #[serde(default)]
    currency: Option<Currency>,
    #[serde(default)]
    trial_days: Option<u32>,
    customer: CustomerBody,
    locale: Locale,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomerBody {
    name: Private,
    email: Private,
    #[serde(default)]
    phone: Option<Private>,
}

/// The body of `POST …/change`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeBody {
    plan_type: PlanType,
    team_seats: u32,
}

/// The body of `POST …/cancel`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelBody {
    at: CancelAt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CancelAt {
    Now,
    PeriodEnd,
}

/// The body of `POST …/payment-method`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MethodBody {
    method_id: i64,
}

/// The body of `POST /api/billing/payments/{paymentId}/refund`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundBody {
    reason: String,
    #[serde(default)]
    amount: Option<i64>,
    #[serde(default)]
    current_cancellable_amount: Option<i64>,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry, Q: Queue, R: ReadSecret, D: Clock> Desk<S, G, C, T, Q, R, D> {
    pub(crate) async fn backend(
        &self,
        call: &Call<'_>,
        patience: impl Future<Output = ()>,
    ) -> Result<Response<Body>, Refusal> {
        let path: Vec<&str> = call.path().trim_start_matches('/').split('/').collect();
        match path.as_slice() {
            ["api", "portone", "charge"] => self.charge(call.post()?, patience).await,
            ["api", "billing", "checkout-sessions"] => self.open_session(call.post()?).await,
            ["api", "billing", "payments", id, "refund"] => self.give_back(call.post()?, id, patience).await,
            ["api", "billing", "subscriptions"] => self.subscriptions(call.get()?).await,
            ["api", "billing", "subscriptions", id] => self.subscription(&key_of(call.get()?, id)?).await,
            ["api", "billing", "subscriptions", id, "invoices"] => self.invoices(call, &key_of(call.get()?, id)?).await,
            ["api", "billing", "subscriptions", id, "change"] => {
                self.change(call, &key_of(call.post()?, id)?, patience).await
            }
            ["api", "billing", "subscriptions", id, "cancel"] => self.cancel(call, &key_of(call.post()?, id)?).await,
            ["api", "billing", "subscriptions", id, "resume"] => self.resume(call, &key_of(call.post()?, id)?).await,
            ["api", "billing", "subscriptions", id, "payment-method"] => {
                self.choose(call, &key_of(call.post()?, id)?).await
            }
            ["api", "billing", "subscriptions", id, "retry"] => {
                self.pay(&key_of(call.post()?, id)?, None, &call.cause()?, patience).await
            }
            _ => Err(Refusal::new(Kind::NotFound)),
        }
    }

    async fn charge(&self, call: &Call<'_>, patience: impl Future<Output = ()>) -> Result<Response<Body>, Refusal> {
        let body: ChargeBody = call.body()?;
        let expected = match (body.amount, body.currency) {
            (Some(minor), Some(currency)) => {
                Some(Money::new(minor, currency).map_err(|error| Refusal::invalid("amount", &error.to_string()))?)
            }
            (None, None) => None,
            _ => return Err(Refusal::invalid("amount", "is given together with currency, or not at all")),
        };
        let key = SubscriptionKey { user_id: body.user_id, id: body.subscription_id };
        self.pay(&key, expected, &call.cause()?, patience).await
    }

    async fn pay(
        &self,
        key: &SubscriptionKey,
        expected: Option<Money>,
        cause: &Cause,
        patience: impl Future<Output = ()>,
    ) -> Result<Response<Body>, Refusal> {
        self.may_charge().await?;
        let paying = self.billing.pay(&self.queue, key, expected, cause);
        let Some(paying) = within(patience, paying).await else { return self.not_known_yet(key, cause).await };
        match paying? {
            Paying::Tried(tried) => Ok(told(&tried, self.billing.clock.now())),
            Paying::Missing => Err(Refusal::new(Kind::NoSuchSubscription)),
            Paying::Ended => Err(Refusal::new(Kind::Ended)),
            Paying::Parked => Err(Refusal::new(Kind::Parked)),
            Paying::BanksDown => Err(Refusal::new(Kind::BanksDown)),
            Paying::Differs { owed } => {
                let refusal = Refusal::new(Kind::AmountDiffers).with_money("owed", owed);
                Err(match expected {
                    Some(said) => refusal.with_money("said", said),
                    None => refusal,
                })
            }
            Paying::NothingOwed { paid, next } => {
                let mut refusal = Refusal::new(Kind::NothingOwed);
                if let Some(invoice) = paid {
                    refusal = refusal.with("lastInvoice", view::invoice(&invoice));
                }
                Err(match next {
                    Some(next) => refusal.with("nextCharge", view::next_charge(&next)),
                    None => refusal,
                })
            }
        }
    }

    /// Refuses what charges while an operator has stopped collecting. One `GetItem`.
    async fn may_charge(&self) -> Result<(), Refusal> {
        let is_stopped = is_stopped(&self.billing.store, &self.billing.telemetry, "api").await?;
        if is_stopped { Err(Refusal::new(Kind::Stopped)) } else { Ok(()) }
    }

    /// The answer of what takes too long. The attempt is durable: a worker asks about it, and the same call again, too.
    async fn not_known_yet(&self, key: &SubscriptionKey, cause: &Cause) -> Result<Response<Body>, Refusal> {
        self.billing.ask_later(&self.queue, key, cause).await?;
        let payment_id = self.billing.invoice_owed(key).await?.map(|invoice| invoice.payment_id);
        Ok(json(202, &json!({ "status": "unknown", "paymentId": payment_id })))
    }

    async fn open_session(&self, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
        let body: SessionBody = call.body()?;
        let request = request_of(body)?;
        let key = call.key()?;
        let seed = key.as_ref().map_or(Seed::Request(call.request_id()), |key| Seed::Key(key.as_str()));
        let session = self.billing.open_session(&request, seed).await.map_err(|error| match error {
            OpenError::Refused(refusal) => not_opened(&refusal),
            OpenError::KeyReused => Refusal::new(Kind::KeyReused),
            OpenError::Flow(error) => error.into(),
        })?;
        if self.method_for(session.currency()).is_none() {
            let currency = session.currency().code();
            return Err(
                Refusal::new(Kind::NotSold).saying(format!("No channel is configured that charges {currency}."))
            );
        }
        let signer = self.signer().await.ok_or(Refusal::new(Kind::Unavailable))?;
        let url = self.register_url(&signer.sign(&Claims::of(&session)));
        let body = json!({ "sessionId": session.id, "url": url, "expiresAt": view::millis(session.expires_at) });
        Ok(json(201, &body))
    }

    /// Signs and verifies addresses; nothing if the secret cannot be read.
    pub(crate) async fn signer(&self) -> Option<Signer> {
        let secrets =
            self.secrets.get().await.inspect_err(|error| tracing::error!(%error, "no checkout secret")).ok()?;
        Signer::new(&secrets).inspect_err(|error| tracing::error!(%error, "no checkout secret")).ok()
    }

    async fn subscriptions(&self, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
        let (user, after) = (call.user()?, cursor(call));
        let page = self.billing.store.subscriptions_of(&user, after.as_ref()).await;
        let page = page.map_err(|error| not_listed(error, after.as_ref()))?;
        let shown: Vec<Value> =
            page.items.iter().map(|it| view::subscription(it, &self.billing.settings.catalogue)).collect();
        Ok(json(200, &json!({ "subscriptions": shown, "cursor": page.next })))
    }

    async fn subscription(&self, key: &SubscriptionKey) -> Result<Response<Body>, Refusal> {
        let subscription = self.billing.store.subscription(key).await.map_err(from_store)?;
        let subscription = subscription.ok_or(Refusal::new(Kind::NoSuchSubscription))?;
        let rows = self.billing.store.keys_of(&key.user_id, None).await.map_err(from_store)?;
        let current = subscription.method.as_ref().map(|method| &method.billing_key);
        let methods: Vec<Value> =
            rows.items.iter().map(|row| view::method(row, current == Some(&row.billing_key))).collect();
        let mut shown = view::subscription(&subscription, &self.billing.settings.catalogue);
        if let Some(members) = shown.as_object_mut() {
            members.insert("paymentMethods".to_owned(), methods.into());
        }
        Ok(json(200, &shown))
    }

    async fn invoices(&self, call: &Call<'_>, key: &SubscriptionKey) -> Result<Response<Body>, Refusal> {
        if self.billing.store.subscription(key).await.map_err(from_store)?.is_none() {
            return Err(Refusal::new(Kind::NoSuchSubscription));
        }
        let after = cursor(call);
        let page = self.billing.store.invoices_of(&key.user_id, after.as_ref()).await;
        let page = page.map_err(|error| not_listed(error, after.as_ref()))?;
        let own = page.items.iter().filter(|invoice| invoice.subscription == *key);
        let shown: Vec<Value> = own.map(view::invoice).collect();
        Ok(json(200, &json!({ "invoices": shown, "cursor": page.next })))
    }

    async fn change(
        &self,
        call: &Call<'_>,
        key: &SubscriptionKey,
        patience: impl Future<Output = ()>,
    ) -> Result<Response<Body>, Refusal> {
        let body: ChangeBody = call.body()?;
        let cause = call.cause()?;
        let preview = is_preview(call)?;
        let changed = if preview {
            self.billing.quote_change(key, body.plan_type, body.team_seats).await
        } else {
            self.may_charge().await?;
            let changing = self.billing.change(key, body.plan_type, body.team_seats, &cause);
            match within(patience, changing).await {
                Some(changed) => changed,
                None => return self.not_known_yet(key, &cause).await,
            }
        };
        let answered = match changed? {
            Changed::Missing => Err(Refusal::new(Kind::NoSuchSubscription)),
            Changed::NotSold(error) => Err(Refusal::new(Kind::NotSold).saying(sentence(&error))),
            Changed::BanksDown => Err(Refusal::new(Kind::BanksDown)),
            Changed::Refused(refusal) => Err(not_changed(&refusal)),
            Changed::Free(Change::Unchanged) => Ok(json(200, &json!({ "status": "unchanged", "preview": preview }))),
            Changed::Free(Change::AtOnce(next)) => {
                let terms = view::terms(&next.terms());
                Ok(json(200, &json!({ "status": "changed", "preview": preview, "charge": null, "terms": terms })))
            }
            Changed::Free(Change::Later(from, next)) => {
                let terms = next.wishes.next.as_ref().map(view::terms);
                let from = from.to_string();
                Ok(json(200, &json!({ "status": "scheduled", "preview": preview, "from": from, "terms": terms })))
            }
            // A quote is never a change; one that costs something is told as one.
            Changed::Free(Change::Upgrade(upgrade, _)) | Changed::Quoted(upgrade) => {
                let terms = view::terms(&upgrade.terms);
                Ok(json(
                    200,
                    &json!({ "status": "quoted", "preview": true, "charge": view::upgrade(&upgrade), "terms": terms }),
                ))
            }
            Changed::Charged(invoice, subscription) => {
                Ok(upgraded(&invoice, &view::terms(&subscription.terms()), self.billing.clock.now()))
            }
        };
        if let Ok(answer) = &answered
            && answer.status() == 202
        {
            self.billing.ask_later(&self.queue, key, &cause).await?;
        }
        answered
    }

    async fn cancel(&self, call: &Call<'_>, key: &SubscriptionKey) -> Result<Response<Body>, Refusal> {
        let body: CancelBody = call.body()?;
        let subscription = self.billing.store.subscription(key).await.map_err(from_store)?;
        let subscription = subscription.ok_or(Refusal::new(Kind::NoSuchSubscription))?;
        let unused = match body.at {
            CancelAt::Now => Some(self.billing.unused(&subscription).await?),
            CancelAt::PeriodEnd => None,
        };
        let unused = unused.map(|unused| {
            let parts = unused.of.iter().map(|(id, part)| json!({ "paymentId": id, "amount": part.minor() }));
            json!({
                "amount": unused.amount.minor(),
                "currency": unused.amount.currency().code(),
                "of": parts.collect::<Vec<_>>(),
            })
        });
        if is_preview(call)? {
            let ends_at = match body.at {
                CancelAt::Now => self.billing.clock.now(),
                CancelAt::PeriodEnd => subscription.next_bill_at().unwrap_or(self.billing.clock.now()),
            };
            let body =
                json!({ "status": "quoted", "preview": true, "endsAt": view::millis(ends_at), "unused": unused });
            return Ok(json(200, &body));
        }
        let when = match body.at {
            CancelAt::Now => When::Now,
            CancelAt::PeriodEnd => When::PeriodEnd,
        };
        let cause = call.cause()?;
        let status = match self.billing.cancel(key, when, &cause).await? {
            Canceled::Ended => "canceled",
            Canceled::AtPeriodEnd => "ends_at_period_end",
            Canceled::WhenDecided => {
                self.billing.ask_later(&self.queue, key, &cause).await?;
                return Ok(json(202, &json!({ "status": "ends_when_decided", "unused": null })));
            }
            Canceled::Missing => return Err(Refusal::new(Kind::NoSuchSubscription)),
        };
        Ok(json(200, &json!({ "status": status, "unused": unused })))
    }

    async fn resume(&self, call: &Call<'_>, key: &SubscriptionKey) -> Result<Response<Body>, Refusal> {
        match self.billing.resume(key, &call.cause()?).await? {
            Resumed::GoesOn(subscription) => {
                Ok(json(200, &view::subscription(&subscription, &self.billing.settings.catalogue)))
            }
            Resumed::Ended => Err(Refusal::new(Kind::Ended)),
            Resumed::Missing => Err(Refusal::new(Kind::NoSuchSubscription)),
        }
    }

    async fn choose(&self, call: &Call<'_>, key: &SubscriptionKey) -> Result<Response<Body>, Refusal> {
        let body: MethodBody = call.body()?;
        let issued_at = Timestamp::from_millisecond(body.method_id).map_err(|_| Refusal::new(Kind::NoSuchMethod))?;
        match self.billing.choose_method(&self.queue, key, issued_at, &call.cause()?).await? {
            Chosen::Done(subscription) => {
                Ok(json(200, &view::subscription(&subscription, &self.billing.settings.catalogue)))
            }
            Chosen::NoSuchMethod => Err(Refusal::new(Kind::NoSuchMethod)),
            Chosen::Ended => Err(Refusal::new(Kind::Ended)),
            Chosen::Missing => Err(Refusal::new(Kind::NoSuchSubscription)),
        }
    }

    async fn give_back(
        &self,
        call: &Call<'_>,
        id: &str,
        patience: impl Future<Output = ()>,
    ) -> Result<Response<Body>, Refusal> {
        let body: RefundBody = call.body()?;
        let (key, cause) = (call.key()?, call.cause()?);
        let reason = RefundReason::new(&body.reason).map_err(|error| Refusal::invalid("reason", &error.to_string()))?;
        let unknown = || Refusal::new(Kind::NoSuchPayment);
        let id = PaymentId::new(decoded(id)?).map_err(|_| unknown())?;
        let invoice = self.billing.store.invoice(&id).await.map_err(from_store)?.ok_or_else(unknown)?;
        let currency = invoice.amount.currency();
        let sum = |minor: Option<i64>, field: &str| {
            let sum = minor.map(|minor| Money::new(minor, currency)).transpose();
            sum.map_err(|error| Refusal::invalid(field, &error.to_string()))
        };
        let wish = RefundWish {
            amount: sum(body.amount, "amount")?,
            expected: sum(body.current_cancellable_amount, "currentCancellableAmount")?,
            reason,
            key,
        };
        let asked = json!({ "paymentId": id, "status": "unknown" });
        let refunding = self.billing.refund(&id, &wish, &cause);
        let Some(answer) = within(patience, refunding).await else { return Ok(json(202, &asked)) };
        let told = |status: u16, word: &str| json(status, &json!({ "paymentId": id, "status": word }));
        match answer? {
            RefundAnswer::Succeeded { refunded, left } => Ok(json(
                200,
                &json!({
                    "paymentId": id,
                    "status": "succeeded",
                    "refunded": view::money(refunded),
                    "cancellable": view::money(left),
                }),
            )),
            RefundAnswer::Requested => Ok(told(202, "requested")),
            RefundAnswer::Unknown => Ok(told(202, "unknown")),
            RefundAnswer::Failed { code } | RefundAnswer::Refused { code } => {
                Ok(json(402, &json!({ "paymentId": id, "status": "failed", "code": code })))
            }
            RefundAnswer::Lost => Ok(json(402, &json!({ "paymentId": id, "status": "failed", "code": "LOST" }))),
            RefundAnswer::No(refusal) => Err(not_refunded(&refusal)),
            RefundAnswer::NoSuchPayment => Err(unknown()),
            RefundAnswer::KeyReused => Err(Refusal::new(Kind::KeyReused)),
        }
    }
}

fn key_of(call: &Call<'_>, id: &str) -> Result<SubscriptionKey, Refusal> {
    let id = SubscriptionId::new(decoded(id)?).map_err(|_| Refusal::new(Kind::NoSuchSubscription))?;
    Ok(SubscriptionKey { user_id: call.user()?, id })
}

/// A part of the path as it was meant.
fn decoded(part: &str) -> Result<String, Refusal> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Refusal::new(Kind::NotFound))
}

fn is_preview(call: &Call<'_>) -> Result<bool, Refusal> {
    match call.query("preview") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Refusal::invalid("preview", "is true or false")),
    }
}

fn from_store(error: StoreError) -> Refusal {
    billing_flows::FlowError::from(error).into()
}

fn cursor(call: &Call<'_>) -> Option<Cursor> {
    call.query("cursor").map(|cursor| Cursor(cursor.to_owned()))
}

/// A listing that cannot go on where a caller says it was, and never will, was not left there.
fn not_listed(error: StoreError, after: Option<&Cursor>) -> Refusal {
    if after.is_some() && !error.retryable {
        tracing::warn!(%error, "a listing does not go on at the cursor that was given");
        return Refusal::invalid("cursor", "is none of this listing: give it back as it was received");
    }
    from_store(error)
}

fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// How an attempt ended, or stands.
fn told(tried: &Tried, now: Timestamp) -> Response<Body> {
    let invoice = &tried.invoice;
    let id = &invoice.payment_id;
    match tried.outcome() {
        Some(Outcome::Paid) => json(200, &paid(invoice)),
        Some(Outcome::Declined(decline)) => declined(invoice, &json!(decline.reason), &decline.code, now),
        Some(Outcome::Pending) => json(202, &json!({ "status": "pending", "paymentId": id })),
        Some(Outcome::Unknown) | None => json(202, &json!({ "status": "unknown", "paymentId": id })),
        // Nothing was charged, for a mistake of ours or because nothing arrived; it is tried again.
        Some(Outcome::Refused(code)) => declined(invoice, &Value::Null, code, now),
        Some(Outcome::Lost) => declined(invoice, &Value::Null, "LOST", now),
    }
}

fn paid(invoice: &Invoice) -> Value {
    let mut body = view::invoice(invoice);
    if let Some(members) = body.as_object_mut() {
        // Also of one that was given back since: what was asked for was paid.
        members.insert("status".to_owned(), json!("paid"));
        members.insert("invoiceStatus".to_owned(), json!(invoice.state.status()));
    }
    body
}

fn declined(invoice: &Invoice, reason: &Value, code: &str, now: Timestamp) -> Response<Body> {
    let retry_at = match &invoice.state {
        State::Open { next_attempt_at } => Some(*next_attempt_at.max(&now)),
        State::Failed { retry_at } => *retry_at,
        State::Charging { .. }
        | State::Unknown { .. }
        | State::Pending { .. }
        | State::Paid { .. }
        | State::Uncollectible { .. }
        | State::Void { .. }
        | State::PartiallyRefunded { .. }
        | State::Refunded { .. } => None,
    };
    let body = json!({
        "status": "declined",
        "paymentId": invoice.payment_id,
        "reason": reason,
        "code": code,
        "retryAt": retry_at.map(view::millis),
        "invoiceStatus": invoice.state.status(),
    });
    json(402, &body)
}

fn upgraded(invoice: &Invoice, terms: &Value, now: Timestamp) -> Response<Body> {
    let tried = Tried { invoice: invoice.clone(), attempt: None };
    match tried.outcome() {
        Some(Outcome::Paid) => {
            let body =
                json!({ "status": "changed", "preview": false, "charge": view::invoice(invoice), "terms": terms });
            json(200, &body)
        }
        Some(Outcome::Declined(_) | Outcome::Pending | Outcome::Unknown | Outcome::Refused(_) | Outcome::Lost)
        | None => told(&tried, now),
    }
}

fn not_changed(refusal: &ChangeRefusal) -> Refusal {
    let kind = match refusal {
        ChangeRefusal::Ended => Kind::Ended,
        ChangeRefusal::Parked => Kind::Parked,
        ChangeRefusal::UpgradeUnderWay(_) => Kind::UnderWay,
        ChangeRefusal::NoMethod => Kind::NoSuchMethod,
        ChangeRefusal::OtherCurrency | ChangeRefusal::ToFree => Kind::NotSold,
        ChangeRefusal::Ending
        | ChangeRefusal::PastDue
        | ChangeRefusal::Free
        | ChangeRefusal::BillDue(_)
        | ChangeRefusal::TooMany => Kind::NotNow,
        ChangeRefusal::Money(_) => Kind::Internal,
    };
    Refusal::new(kind).saying(sentence(refusal))
}

fn not_opened(refusal: &billing_core::session::NotOpened) -> Refusal {
    use billing_core::session::NotOpened;
    let kind = match refusal {
        NotOpened::Free | NotOpened::Plan(_) | NotOpened::Trial { .. } => Kind::NotSold,
        NotOpened::Subscribed(_) => Kind::Subscribed,
        NotOpened::NoSubscription(_) => Kind::NoSuchSubscription,
    };
    Refusal::new(kind).saying(sentence(refusal))
}

fn not_refunded(refusal: &RefundRefusal) -> Refusal {
    match refusal {
        RefundRefusal::NotPaid => Refusal::new(Kind::NotRefundable).saying("It is not paid."),
        RefundRefusal::NothingLeft => Refusal::new(Kind::NotRefundable).saying("All of it was given back."),
        RefundRefusal::TooMany => Refusal::new(Kind::NotRefundable).saying("It has had too many refunds."),
        RefundRefusal::NoSuchMoney => Refusal::invalid("amount", "must be more than nothing"),
        RefundRefusal::MoreThanLeft { left } => Refusal::new(Kind::AmountDiffers).with_money("cancellable", *left),
        RefundRefusal::CancellableDiffers { ours, said } => {
            Refusal::new(Kind::AmountDiffers).with_money("cancellable", *ours).with_money("said", *said)
        }
        RefundRefusal::AnotherUnderWay { number } => Refusal::new(Kind::UnderWay).with("refund", json!(number)),
        RefundRefusal::Parked => Refusal::new(Kind::Parked),
    }
}

fn request_of(body: SessionBody) -> Result<Request, Refusal> {
    let wish = match (body.subscription_id, body.plan_type, body.team_seats, body.currency) {
        (Some(subscription_id), None, None, None) if body.trial_days.is_none() => {
            Wish::ReplaceMethod { subscription_id }
        }
        (Some(_), ..) => {
            let what =
                "is given alone, for another payment method; planType, teamSeats, currency and trialDays begin one";
            return Err(Refusal::invalid("subscriptionId", what));
        }
        (None, Some(plan), Some(seats), Some(currency)) => {
            Wish::Subscribe { plan, seats, currency, trial_days: body.trial_days }
        }
        (None, ..) => return Err(Refusal::invalid("planType", "is needed with teamSeats and currency")),
    };
    let CustomerBody { name, email, phone } = body.customer;
    contact("customer.name", &name)?;
    contact("customer.email", &email)?;
    if !email.expose().contains('@') {
        return Err(Refusal::invalid("customer.email", "must be an e-mail address"));
    }
    if let Some(phone) = &phone {
        contact("customer.phone", phone)?;
    }
    let customer = Customer { name: Some(name), email: Some(email), phone };
    Ok(Request { user_id: body.user_id, wish, customer, locale: body.locale })
}

fn contact(field: &str, text: &Private) -> Result<(), Refusal> {
    let text = text.expose();
    let is_good =
        !text.trim().is_empty() && text.chars().count() <= MAX_CONTACT_CHARS && !text.chars().any(char::is_control);
    let what = format!("must be 1 to {MAX_CONTACT_CHARS} characters without control characters");
    if is_good { Ok(()) } else { Err(Refusal::invalid(field, &what)) }
}

/// Reads the body of a charge: for whoever feeds it bytes.
pub fn parse_charge(bytes: &[u8]) -> Result<ChargeBody, Refusal> {
    crate::call::parse(bytes)
}

/// What a session is to be opened for, from the body of its request.
pub fn parse_session(bytes: &[u8]) -> Result<Request, Refusal> {
    request_of(crate::call::parse(bytes)?)
}

/// Whether a session can still be used to register a method.
pub(crate) fn is_usable(session: &Session, now: Timestamp) -> bool {
    session.done.is_none() && session.covers(now)
}
