//! A customer, and the functions' world in memory.

use billing_aws::secrets::{CachedSecret, FixedSecret, SecretText, WebhookSecrets};
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::change::Wishes;
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::event::Event;
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::invoice::{Invoice, Part};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::private::Private;
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use billing_flows::fake::{Behaviour, ManualClock, MemoryQueue, MemoryStore, Recorder, ScriptedGateway};
use billing_flows::mail::Sender;
use billing_flows::ports::{CollectMessage, Mode};
use billing_flows::{Billing, Settings};
use std::cell::LazyCell;

pub(crate) const STORE: &str = "store-1";
pub(crate) const KEY: &str = "billing-key-1";
pub(crate) const SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgZG9vcg==";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_796_086_800).unwrap() // 2026-12-01, 10:00 in Seoul
}

pub(crate) fn store_id() -> StoreId {
    StoreId::new(STORE).unwrap()
}

pub(crate) fn customer() -> Subscription {
    Subscription {
        key: SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() },
        plan: PlanType::Standard,
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw).unwrap(),
        method: Some(Method { billing_key: BillingKey::new(KEY), pg: Pg::TossPayments }),
        customer: Customer { email: Some(Private::new("kim@example.com")), ..Customer::default() },
        locale: Locale::Ko,
        started: Timestamp::from_second(1_793_000_000).unwrap(),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: Wishes::default(),
        state: State::Active { next: Some(december()) },
        version: 1,
    }
}

pub(crate) fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

/// The name of what the customer owes for December: `invSK4JET2JFQQ63KUAE2G2AZ2F37H74O2F` in the corpus.
pub(crate) fn payment_id() -> PaymentId {
    PaymentId::derive(&store_id(), &customer().key, december(), Part::Period, 0)
}

/// The message that has December collected.
pub(crate) fn message() -> CollectMessage {
    let SubscriptionKey { user_id, id } = customer().key;
    CollectMessage { run: "1".to_owned(), now: now(), user_id, subscription_id: id, asks: 0 }
}

pub(crate) fn sender() -> Sender {
    Sender {
        brand: "Sivera".to_owned(),
        manage_url: "https://sivera.example/billing".to_owned(),
        support_email: "help@sivera.example".to_owned(),
        company_line: None,
    }
}

thread_local! {
    static CATALOGUE: LazyCell<Catalogue> = LazyCell::new(|| {
        let plan = "[plans.standard]\nname = { ko = \"S\", en = \"S\" }\nmax_seats = 9\nprice_per_seat = { KRW = 10000 }";
        Catalogue::parse(&format!("brand = \"Sivera\"\ntrial_days = 14\n{plan}")).unwrap()
    });
}

pub(crate) fn settings() -> Settings {
    Settings {
        store_id: store_id(),
        mode: Mode::Test,
        catalogue: CATALOGUE.with(|catalogue| (**catalogue).clone()),
        ladder: Ladder::default(),
    }
}

/// The function of every port in memory, and one customer.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) gateway: ScriptedGateway,
    pub(crate) queue: MemoryQueue,
    pub(crate) telemetry: Recorder,
    pub(crate) billing: Billing<MemoryStore, ScriptedGateway, ManualClock, Recorder>,
}

/// Everything that is in the tables.
type Tables = (Vec<Invoice>, Vec<Subscription>, Vec<Event>, usize);

impl World {
    /// December is owed, and not charged yet.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(now());
        let store = MemoryStore::new();
        let gateway = ScriptedGateway::new(clock.clone());
        let telemetry = Recorder::default();
        store.put_subscription(&customer());
        let billing = Billing {
            store: store.clone(),
            gateway: gateway.clone(),
            clock: clock.clone(),
            telemetry: telemetry.clone(),
            settings: settings(),
        };
        Self { clock, store, gateway, queue: MemoryQueue::default(), telemetry, billing }
    }

    /// December was charged, and the answer was lost; so goes every charge.
    pub(crate) async fn after(charge: Behaviour) -> Self {
        let world = Self::new();
        world.gateway.always(charge);
        world.billing.collect(&world.queue, &message(), None).await.unwrap();
        world
    }

    pub(crate) fn tables(&self) -> Tables {
        let store = &self.store;
        (store.all_invoices(), store.all_subscriptions(), store.all_events(), store.all_keys().len())
    }

    /// What the books say of December.
    pub(crate) fn status(&self) -> Option<&'static str> {
        self.store.all_invoices().iter().find(|invoice| invoice.payment_id == payment_id()).map(|it| it.state.status())
    }
}

/// A secret that is known.
pub(crate) fn secret(text: &str) -> CachedSecret<FixedSecret, ManualClock> {
    CachedSecret::new(FixedSecret(SecretText::new(text)), ManualClock::new(now()), "secret")
}

pub(crate) fn webhook_secrets() -> WebhookSecrets<FixedSecret, ManualClock> {
    WebhookSecrets::new(secret(SECRET))
}
