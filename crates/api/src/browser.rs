//! What a browser sees: the page that registers a payment method, and the two that it comes back to.
//!
//! A page is had with a signed address, and nothing else that a query says is believed: the session is read from the table, and the billing
//! key from `PortOne`, by [`billing_flows::enrol`]. What the SDK says went wrong is shown under a good address only, so that nobody's words
//! appear on our pages at a stranger's wish.

use crate::answer;
use crate::backend::is_usable;
use crate::call::Call;
use crate::pages::failure::Failure;
use crate::pages::problem::Problem;
use crate::pages::register::{Customer, Method, Register};
use crate::pages::success::{Reload, Success};
use crate::pages::{self, Charge, Frame, Nonce, Offer, Page, Purpose, Sdk};
use crate::refusal::{Kind, Refusal};
use crate::token::{Claims, Signer};
use crate::{Desk, within};
use billing_aws::secrets::ReadSecret;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::date_at;
use billing_core::decline::Pg;
use billing_core::event::Cause;
use billing_core::money::Currency;
use billing_core::plan::Locale;
use billing_core::private::Private;
use billing_core::session::{Purpose as Agreed, Session};
use billing_core::subscription::{NextCharge, Subscription};
use billing_flows::FlowError;
use billing_flows::enrol::{Bound, Refusal as NotBound};
use billing_flows::ports::{Clock, Gateway, Queue, Store, Telemetry};
use lambda_http::http::Method as Verb;
use lambda_http::{Body, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// How often a page looks for itself whether `PortOne` shows a billing key; it mostly does at once.
const MAX_LOOKS: u32 = 10;

/// How many seconds lie between two looks.
const LOOK_AGAIN: u16 = 3;

/// The longest billing key that is asked about. `PortOne`'s have 48 characters.
const MAX_KEY_CHARS: usize = 256;

/// What is to be shown.
enum Shown {
    Register(Box<Register>),
    Success(Success),
    Failure(Failure),
    Problem(Problem),
}

/// What a page is shown in and with.
struct Visit {
    locale: Locale,
    shown: Shown,
}

impl<S: Store, G: Gateway, C: Clock, T: Telemetry, Q: Queue, R: ReadSecret, D: Clock> Desk<S, G, C, T, Q, R, D> {
    pub(crate) async fn page(&self, call: &Call<'_>, patience: impl Future<Output = ()>) -> Response<Body> {
        if call.method() != Verb::GET {
            return Refusal::method("GET").answer(call.request_id());
        }
        let signer = self.signer().await;
        let bytes = signer.as_ref().map_or_else(|| unsigned_nonce(call.request_id()), |it| it.nonce(call.request_id()));
        let visit = match &signer {
            Some(signer) => self.visit(call, signer, patience).await,
            None => Visit { locale: call.locale(), shown: Shown::Problem(Problem::Unavailable { retry_url: None }) },
        };
        let frame = Frame { locale: visit.locale, site: &self.site, nonce: &Nonce::new(bytes) };
        match set(frame, &visit.shown) {
            Ok(page) => answer::page(page),
            Err(error) => {
                tracing::error!(%error, "a page could not be written");
                Refusal::new(Kind::Internal).answer(call.request_id())
            }
        }
    }

    async fn visit(&self, call: &Call<'_>, signer: &Signer, patience: impl Future<Output = ()>) -> Visit {
        let problem = |locale, problem| Visit { locale, shown: Shown::Problem(problem) };
        let path = call.path();
        let Some(page) = path.strip_prefix("/payment/billing/").filter(|page| PAGES.contains(page)) else {
            return problem(call.locale(), Problem::NotFound);
        };
        let token = call.query("session").unwrap_or("");
        let Ok(claims) = signer.verify(token) else { return problem(call.locale(), Problem::BadLink) };
        let session = match self.billing.store.session(&claims.session_id).await {
            Ok(Some(session)) => session,
            Ok(None) => return problem(call.locale(), Problem::SessionExpired),
            Err(error) => return problem(call.locale(), self.unavailable(call, &error.into())),
        };
        let locale = session.locale;
        let shown = match page {
            "register" => self.register(&session, signer).await,
            "success" => self.success(call, session, token, patience).await,
            _ => Ok(Shown::Failure(self.failure(call, &session, signer))),
        };
        match shown {
            Ok(shown) => Visit { locale, shown },
            Err(error) => problem(locale, self.unavailable(call, &error)),
        }
    }

    async fn register(&self, session: &Session, signer: &Signer) -> Result<Shown, FlowError> {
        let now = self.billing.clock.now();
        if session.done.is_some() {
            return Ok(Shown::Problem(Problem::AlreadyCompleted));
        }
        if !session.covers(now) {
            return Ok(Shown::Problem(Problem::SessionExpired));
        }
        let Some(method) = self.method_for(session.currency()) else {
            return Ok(Shown::Problem(Problem::Unavailable { retry_url: None }));
        };
        let subscription = match session.begins(None, now) {
            Some(begun) => begun,
            None => match self.billing.store.subscription(&session.subscription_key()).await? {
                Some(subscription) if !subscription.has_ended() => subscription,
                _ => return Ok(Shown::Problem(Problem::SessionExpired)),
            },
        };
        let Ok(sdk) = Sdk::at(&self.checkout.sdk_url) else {
            return Ok(Shown::Problem(Problem::Internal { reference: None }));
        };
        let next = subscription.next_charge()?;
        let purpose = self.purpose(session, &subscription, next.as_ref());
        let token = signer.sign(&Claims::of(session));
        let public = &self.checkout.public_url;
        let plan = self.billing.settings.catalogue.name(subscription.plan, session.locale);
        let nobody = || Private::new("");
        Ok(Shown::Register(Box::new(Register {
            purpose,
            method,
            store_id: self.billing.settings.store_id.to_string(),
            issue_id: session.id.to_string(),
            issue_name: format!("{} {plan}", self.site.brand),
            customer: Customer {
                id: session.user_id.to_string(),
                name: session.customer.name.clone().unwrap_or_else(nobody),
                email: session.customer.email.clone().unwrap_or_else(nobody),
                phone: session.customer.phone.clone(),
            },
            custom_data: serde_json::json!({ "sessionId": session.id }),
            success_url: format!("{public}/payment/billing/success?session={token}"),
            failure_url: format!("{public}/payment/billing/failure?session={token}"),
            webhook_url: format!("{public}/api/portone/billing-webhook"),
            sdk,
        })))
    }

    async fn success(
        &self,
        call: &Call<'_>,
        session: Session,
        token: &str,
        patience: impl Future<Output = ()>,
    ) -> Result<Shown, FlowError> {
        // Phones come back here whatever happened; success is the absence of a code.
        if call.query("code").is_some() {
            let signer = self.signer().await;
            return Ok(Shown::Failure(match &signer {
                Some(signer) => self.failure(call, &session, signer),
                None => Failure::default(),
            }));
        }
        let known = call.query("billingKey").filter(|key| !key.is_empty() && key.len() <= MAX_KEY_CHARS);
        let key = match (known, &session.done) {
            (Some(key), _) => BillingKey::new(key),
            (None, Some(done)) => done.billing_key.clone(),
            (None, None) => return Ok(Shown::Problem(Problem::BadLink)),
        };
        let cause = Cause::Api(format!("request:{}", call.request_id()));
        let binding = self.billing.bind(&self.queue, &session.id, &key, &cause);
        let bound = within(patience, binding).await.unwrap_or(Ok(Bound::NotYet))?;
        Ok(match bound {
            Bound::Done(enrolment) => Shown::Success(Success::Registered {
                purpose: self.purpose(&enrolment.session, &enrolment.subscription, enrolment.next_charge.as_ref()),
                method: enrolment.method,
            }),
            Bound::NotYet => Shown::Success(Success::Checking { reload: reload(call, token, &key) }),
            Bound::Refused(refusal) => not_bound(refusal),
        })
    }

    fn failure(&self, call: &Call<'_>, session: &Session, signer: &Signer) -> Failure {
        let text = |name: &str| call.query(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let usable = is_usable(session, self.billing.clock.now());
        Failure {
            pg: self.method_for(session.currency()).map(|method| match method {
                Method::Card { pg, .. } => pg,
                Method::PayPal { .. } => Pg::PayPal,
            }),
            code: text("code"),
            message: text("message"),
            pg_code: text("pgCode"),
            pg_message: text("pgMessage"),
            retry_url: usable.then(|| self.register_url(&signer.sign(&Claims::of(session)))),
        }
    }

    /// The address of the page that registers a method.
    pub(crate) fn register_url(&self, token: &str) -> String {
        format!("{}/payment/billing/register?session={token}", self.checkout.public_url)
    }

    /// The method that a currency is charged with: won by card, dollars by `PayPal`, which cannot charge won.
    pub(crate) fn method_for(&self, currency: Currency) -> Option<Method> {
        match currency {
            Currency::Krw => {
                let card = self.checkout.card.clone()?;
                Some(Method::Card { channel_key: card.key, pg: card.pg })
            }
            Currency::Usd => self.checkout.paypal_channel_key.clone().map(|channel_key| Method::PayPal { channel_key }),
        }
    }

    fn purpose(&self, session: &Session, subscription: &Subscription, next: Option<&NextCharge>) -> Purpose {
        let plan_name = self.billing.settings.catalogue.name(subscription.plan, session.locale).to_owned();
        let charge = next.map(|next| Charge { on: date_at(next.at), amount: next.amount });
        match (&session.purpose, charge) {
            (Agreed::Subscribe { seats, monthly, .. }, Some(first)) => Purpose::Subscribe(Offer {
                plan_name,
                seats: *seats,
                monthly: *monthly,
                trial_end: subscription.trial_end,
                first,
            }),
            (Agreed::Subscribe { .. } | Agreed::ReplaceMethod { .. }, next) => {
                Purpose::ReplaceMethod { plan_name, next }
            }
        }
    }

    fn unavailable(&self, call: &Call<'_>, error: &FlowError) -> Problem {
        tracing::error!(%error, "a page could not be made; loading it again may help");
        Problem::Unavailable { retry_url: Some(format!("{}{}", self.checkout.public_url, call.path_and_query())) }
    }
}

/// The pages there are.
const PAGES: [&str; 3] = ["register", "success", "failure"];

fn set(frame: Frame<'_>, shown: &Shown) -> Result<Page, askama::Error> {
    match shown {
        Shown::Register(view) => pages::register(frame, view),
        Shown::Success(view) => pages::success(frame, view),
        Shown::Failure(view) => pages::failure(frame, view),
        Shown::Problem(view) => pages::problem(frame, view),
    }
}

/// The page for a billing key that its session does not take.
fn not_bound(refusal: NotBound) -> Shown {
    tracing::warn!(%refusal, "a billing key was not bound");
    Shown::Problem(match refusal {
        NotBound::NoSuchSession | NotBound::Expired | NotBound::Ended => Problem::SessionExpired,
        NotBound::Completed | NotBound::Subscribed => Problem::AlreadyCompleted,
        NotBound::NotIssued
        | NotBound::OtherStore
        | NotBound::WrongMode
        | NotBound::OtherCustomer
        | NotBound::OtherSession => Problem::NotYours,
    })
}

/// The next look; nothing after [`MAX_LOOKS`].
fn reload(call: &Call<'_>, token: &str, key: &BillingKey) -> Option<Reload> {
    let looks: u32 = call.query("looks").and_then(|text| text.parse().ok()).unwrap_or(0);
    let key = utf8_percent_encode(key.expose(), NON_ALPHANUMERIC);
    let next = looks.checked_add(1).filter(|next| *next <= MAX_LOOKS)?;
    let url = format!("/payment/billing/success?session={token}&billingKey={key}&looks={next}");
    Some(Reload { after_seconds: LOOK_AGAIN, url })
}

/// A nonce for a page that says only that something is missing: without the secret it could be guessed, but such a page shows nobody's words.
fn unsigned_nonce(request_id: &str) -> [u8; 16] {
    let digest = Sha256::digest(request_id.as_bytes());
    let mut nonce = [0; 16];
    nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    nonce
}
