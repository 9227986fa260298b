//! A small world to test in: one standard customer, whose December of 2026 falls due as it begins.

use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, CardInfo, MethodKind};
use billing_core::calendar::{self, Period};
use billing_core::decline::Pg;
use billing_core::dunning::Ladder;
use billing_core::event::{Event, EventKind};
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::invoice::{Invoice, Proof};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::private::Private;
use billing_core::subscription::{self, Customer, Method, Subscription, SubscriptionKey};
use billing_flows::close::Closing;
use billing_flows::collect::Collected;
use billing_flows::fake::{
    Behaviour, ManualClock, MemoryMailer, MemoryQueue, MemoryStore, QueueMessage, Recorder, ScriptedGateway,
};
use billing_flows::mail::Sender;
use billing_flows::notify::{Notified, notify};
use billing_flows::plan_run::{plan_run, plan_shard};
use billing_flows::ports::{Clock, CollectMessage, Gateway, KeySeen, Mode, PaymentSeen, SeenStatus};
use billing_flows::receive_webhook::{Hint, KeyHint, PaymentHint, Received, Webhook};
use billing_flows::stop::is_stopped;
use billing_flows::{Billing, FlowError, Settings};
use jiff::SignedDuration;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

pub(crate) const SOFT: &str = "REJECT_CARD_PAYMENT";
pub(crate) const HARD: &str = "INVALID_CARD_LOST_OR_STOLEN";

pub(crate) const FIRST_KEY: &str = "billing-key-0001-of-kim";
pub(crate) const OTHER_KEY: &str = "billing-key-0002-of-kim";
pub(crate) const NAME: &str = "김민수";
pub(crate) const EMAIL: &str = "minsu.kim@example.com";
pub(crate) const PHONE: &str = "010-1234-5678";

type Flows = Billing<MemoryStore, ScriptedGateway, ManualClock, Recorder>;

/// Everything a test looks at. The fakes are shared with `billing`.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) gateway: ScriptedGateway,
    pub(crate) queue: MemoryQueue,
    pub(crate) mailer: MemoryMailer,
    pub(crate) telemetry: Recorder,
    pub(crate) billing: Flows,
}

/// What the tables hold.
pub(crate) type Tables = (Vec<Invoice>, Vec<Subscription>, Vec<Event>);

impl World {
    /// It is the moment December falls due: 10:00 on the 1st, in Seoul.
    pub(crate) fn new() -> Self {
        Self::with([standard()])
    }

    /// Charges go so from now on.
    pub(crate) fn where_charges(behaviour: Behaviour) -> Self {
        let world = Self::new();
        world.gateway.always(behaviour);
        world
    }

    pub(crate) fn with(subscriptions: impl IntoIterator<Item = Subscription>) -> Self {
        let clock = ManualClock::new(at("2026-12-01T10:00"));
        let store = MemoryStore::new();
        for subscription in subscriptions {
            store.put_subscription(&subscription);
        }
        let (gateway, telemetry) = (ScriptedGateway::new(clock.clone()), Recorder::default());
        let billing = Billing {
            store: store.clone(),
            gateway: gateway.clone(),
            clock: clock.clone(),
            telemetry: telemetry.clone(),
            settings: Settings {
                store_id: store_id(),
                mode: Mode::Live,
                catalogue: catalogue(),
                ladder: Ladder::default(),
            },
        };
        let (queue, mailer) = (MemoryQueue::default(), MemoryMailer::default());
        Self { clock, store, gateway, queue, mailer, telemetry, billing }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn go_to(&self, moment: &str) {
        self.clock.set(at(moment));
    }

    pub(crate) fn minutes_pass(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// The planner's message about the standard customer, of a run that is scheduled now.
    pub(crate) fn message(&self) -> CollectMessage {
        let (now, key) = (self.clock.now(), standard().key);
        CollectMessage { run: now.to_string(), now, user_id: key.user_id, subscription_id: key.id, asks: 0 }
    }

    /// A worker takes the standard customer's message.
    pub(crate) async fn collect(&self) -> Result<Collected, FlowError> {
        Box::pin(self.billing.collect(&self.queue, &self.message(), None)).await
    }

    /// A planner's tick now, its continuations, and workers for all that it finds. What fails is left to the next run.
    pub(crate) async fn run(&self) -> Vec<Result<Collected, FlowError>> {
        if is_stopped(&self.store, &self.telemetry, "planner").await.unwrap_or(true) {
            return Vec::new();
        }
        drop(plan_run(&self.store, &self.queue, &self.telemetry, self.clock.now(), || false).await);
        self.work_off().await
    }

    /// Planner and workers empty the queue.
    pub(crate) async fn work_off(&self) -> Vec<Result<Collected, FlowError>> {
        let mut collected = Vec::new();
        loop {
            let messages = self.queue.drain();
            if messages.is_empty() || is_stopped(&self.store, &self.telemetry, "worker").await.unwrap_or(true) {
                return collected;
            }
            for message in messages {
                match message {
                    QueueMessage::Collect(message) => {
                        collected.push(Box::pin(self.billing.collect(&self.queue, &message, None)).await);
                    }
                    QueueMessage::Plan(message) => {
                        drop(plan_shard(&self.store, &self.queue, &self.telemetry, message, || false).await);
                    }
                }
            }
        }
    }

    /// The hourly pass, now.
    pub(crate) async fn reconcile(&self) -> billing_flows::reconcile::Reconciled {
        self.billing.reconcile(self.clock.now(), || false).await.unwrap()
    }

    /// The nightly pass over the first of December.
    pub(crate) async fn compare_the_first(&self) -> billing_flows::reconcile::Reconciled {
        self.compare("2026-12-01T00:00", "2026-12-02T00:00").await
    }

    /// The nightly pass over a span of its own.
    pub(crate) async fn compare(&self, from: &str, until: &str) -> billing_flows::reconcile::Reconciled {
        self.billing.compare(at(from), at(until), || false).await.unwrap()
    }

    /// What `PortOne` says of the standard customer's December.
    pub(crate) async fn gateway_says(&self) -> PaymentSeen {
        self.payment(&payment_id()).await
    }

    pub(crate) async fn payment(&self, id: &PaymentId) -> PaymentSeen {
        self.gateway.payment(id).await.unwrap().unwrap()
    }

    /// The books of December, now.
    pub(crate) async fn close(&self) -> Closing {
        self.billing.close(december()).await.unwrap()
    }

    /// Every message that was held back comes back, after its wait.
    pub(crate) async fn come_back(&self) {
        for (message, wait) in self.queue.take_held_back() {
            self.clock.advance(wait);
            drop(Box::pin(self.billing.collect(&self.queue, &message, None)).await);
        }
    }

    /// The notifier gets every event that is not mailed yet, oldest first.
    pub(crate) async fn notify(&self) -> Vec<Notified> {
        let mut events = self.events();
        events.retain(|event| self.store.mailed_at(&event.key()).is_none());
        self.notify_of(&events).await
    }

    pub(crate) async fn notify_of(&self, events: &[Event]) -> Vec<Notified> {
        notify(&self.store, &self.mailer, &self.clock, &self.telemetry, &sender(), events).await
    }

    /// The system at work until `until`: a run every morning at ten, a reconciler's pass and mails every hour.
    pub(crate) async fn live_until(&self, until: &str) {
        while self.clock.now() < at(until) {
            let hour_later = self.clock.now() + SignedDuration::from_hours(1);
            self.clock.set(hour_later.min(at(until)));
            drop(self.billing.reconcile(self.clock.now(), || false).await);
            if self.clock.now().to_zoned(calendar::seoul()).hour() == calendar::BILLING_HOUR {
                self.run().await;
            }
            self.work_off().await;
            self.notify().await;
        }
    }

    pub(crate) async fn receive(&self, webhook: &Webhook) -> Result<Received, FlowError> {
        self.billing.receive_webhook(&self.queue, webhook).await
    }

    pub(crate) fn subscription(&self) -> Subscription {
        let key = standard().key;
        self.store.all_subscriptions().into_iter().find(|row| row.key == key).unwrap()
    }

    /// December's invoice of the standard customer, under its newest payment id.
    pub(crate) fn invoice(&self) -> Invoice {
        let mut invoices = self.store.all_invoices();
        invoices.retain(|invoice| invoice.subscription == standard().key && invoice.period == december());
        invoices.into_iter().max_by_key(|invoice| invoice.revision).unwrap()
    }

    /// What December's invoice and the subscription are, as the tables spell it.
    pub(crate) fn statuses(&self) -> (&'static str, &'static str) {
        (self.invoice().state.status(), self.subscription().state.status())
    }

    pub(crate) fn tables(&self) -> Tables {
        (self.store.all_invoices(), self.store.all_subscriptions(), self.events())
    }

    /// All events, oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.store.all_events();
        events.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        events
    }

    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.events().into_iter().map(|event| event.kind).collect()
    }

    pub(crate) fn count(&self, kind: EventKind) -> usize {
        self.kinds().into_iter().filter(|some| *some == kind).count()
    }

    /// What the events say is to be mailed, oldest first.
    pub(crate) fn notices(&self) -> Vec<&'static str> {
        self.events().into_iter().filter_map(|event| event.notice.map(|notice| notice.body.name())).collect()
    }

    /// The numbers of the attempts as they were sent, oldest first.
    pub(crate) fn attempts_sent(&self) -> Vec<u32> {
        self.gateway.charges().into_iter().map(|charge| charge.attempt).collect()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.gateway.requests().get("payment").copied().unwrap_or(0)
    }

    /// The customer cancels, now.
    pub(crate) fn customer_cancels(&self) {
        self.store.put_subscription(&self.subscription().canceled(self.clock.now()).unwrap());
    }

    /// The customer wishes to end with the period that is paid.
    pub(crate) fn customer_cancels_at_period_end(&self) {
        let row = self.subscription();
        let version = row.version + 1;
        self.store.put_subscription(&Subscription { cancel_at_period_end: true, version, ..row });
    }

    /// The two sentences this system is for, said of the standard customer's December.
    pub(crate) fn assert_paid_once(&self, told: &str) {
        assert_eq!(self.gateway.approvals().len(), 1, "approvals, {told}");
        assert_eq!(self.invoice().state.status(), "paid", "{told}");
        let january = subscription::State::Active { next: Some(december().next()) };
        assert_eq!(self.subscription().state, january, "{told}");
        assert_eq!(self.count(EventKind::InvoicePaid), 1, "{told}: {:?}", self.kinds());
        let receipts = self.notices().into_iter().filter(|name| *name == "receipt").count();
        assert_eq!(receipts, 1, "receipts, {told}");
        assert_eq!(self.gateway.violations(), [] as [&str; 0], "{told}");
    }

    /// The ladder was climbed to its end, once, and nobody was charged.
    pub(crate) fn assert_expired_after_four_declines(&self, told: &str) {
        assert_eq!(self.statuses(), ("uncollectible", "expired"), "{told}");
        assert_eq!(self.invoice().declines(), 4, "{told}");
        let mails = ["payment_failed", "payment_failed", "payment_failed", "subscription_ended"];
        let mut told_of_money = self.notices();
        told_of_money.retain(|name| *name != "method_registered");
        assert_eq!(told_of_money, mails, "{told}");
        assert_eq!(self.gateway.approvals(), [], "{told}");
        assert_eq!(self.gateway.violations(), [] as [&str; 0], "{told}");
    }
}

/// A moment in Seoul, such as `2026-12-01T10:00`.
pub(crate) fn at(moment: &str) -> Timestamp {
    format!("{moment}+09:00").parse().unwrap()
}

pub(crate) fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

pub(crate) fn store_id() -> StoreId {
    StoreId::new("store-1").unwrap()
}

pub(crate) fn payment_id() -> PaymentId {
    PaymentId::derive(&store_id(), &standard().key, december(), billing_core::invoice::Part::Period, 0)
}

pub(crate) fn won(minor: i64) -> Money {
    Money::new(minor, Currency::Krw).unwrap()
}

pub(crate) fn method(key: &str) -> Method {
    Method { billing_key: BillingKey::new(key), pg: Pg::TossPayments }
}

pub(crate) fn standard() -> Subscription {
    Subscription {
        key: SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() },
        plan: PlanType::Standard,
        seats: 3,
        monthly: won(30_000),
        method: Some(method(FIRST_KEY)),
        customer: Customer {
            name: Some(Private::new(NAME)),
            email: Some(Private::new(EMAIL)),
            phone: Some(Private::new(PHONE)),
        },
        locale: Locale::Ko,
        started: at("2026-11-01T09:00"),
        trial_end: None,
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state: subscription::State::Active { next: Some(december()) },
        version: 1,
    }
}

/// Another customer, with a key of their own.
pub(crate) fn customer(number: u32) -> Subscription {
    let key = SubscriptionKey {
        user_id: UserId::new(format!("user_{number:04}")).unwrap(),
        id: SubscriptionId::new(format!("sub_{number:04}")).unwrap(),
    };
    Subscription { key, method: Some(method(&format!("billing-key-of-{number:04}"))), ..standard() }
}

fn catalogue() -> Catalogue {
    Catalogue::parse(
        r#"
        brand = "Sivera"
        trial_days = 14
        [plans.standard]
        name = { ko = "스탠다드", en = "Standard" }
        max_seats = 100
        price_per_seat = { KRW = 10000, USD = 900 }
        "#,
    )
    .unwrap()
}

fn sender() -> Sender {
    Sender {
        brand: "Sivera".to_owned(),
        manage_url: "https://sivera.example/billing".to_owned(),
        support_email: "help@sivera.example".to_owned(),
        company_line: None,
    }
}

/// A key of the standard customer's, as `PortOne` tells it.
pub(crate) fn issued(key: &str, issued_at: &str) -> KeySeen {
    KeySeen {
        billing_key: BillingKey::new(key),
        is_issued: true,
        store_id: store_id().to_string(),
        mode: Some(Mode::Live),
        customer_id: Some(standard().key.user_id.to_string()),
        customer_name: Some(Private::new(NAME)),
        customer_email: Some(Private::new(EMAIL)),
        issued_at: at(issued_at),
        method: MethodKind::Card,
        card: Some(CardInfo {
            name: Some("신한카드".to_owned()),
            last4: Some("1234".to_owned()),
            ..CardInfo::default()
        }),
        channel_key: Some("channel-1".to_owned()),
        pg: Some(Pg::TossPayments),
        issue_id: None,
    }
}

/// A payment as `PortOne` tells it, of the standard customer's December.
pub(crate) fn seen(status: SeenStatus) -> PaymentSeen {
    PaymentSeen {
        payment_id: payment_id(),
        status,
        billing_key: None,
        amount: won(30_000).into(),
        refunded: 0,
        chargeback: false,
        cancellations: Vec::new(),
        proof: Proof { transaction_id: Some("tx-seen".to_owned()), ..Proof::default() },
    }
}

/// A webhook about the standard customer's December.
pub(crate) fn told(what: PaymentHint) -> Webhook {
    told_of(what, &payment_id())
}

pub(crate) fn told_of(what: PaymentHint, payment_id: &PaymentId) -> Webhook {
    let hint = Hint::Payment { what, payment_id: payment_id.clone() };
    Webhook { id: format!("wh-{what:?}"), at: at("2026-12-01T10:00"), hint }
}

pub(crate) fn told_of_key(what: KeyHint, key: &str) -> Webhook {
    let hint = Hint::Key { what, billing_key: BillingKey::new(key) };
    let number: u32 = key.bytes().map(u32::from).sum();
    Webhook { id: format!("wh-{what:?}-{number}"), at: at("2026-12-01T10:00"), hint }
}

pub(crate) fn decline(code: &str) -> Behaviour {
    Behaviour::Decline(code.to_owned())
}

/// Polls a future so often and no more; its output, if that was enough.
pub(crate) fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
    }
    None
}

/// Runs something that waits for nothing but the fakes.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    poll_times(pin!(work), 100_000).unwrap()
}

/// A crash at each await point of `act` in turn, each in a world of its own, until it comes to its end; then `after`. Answers how many
/// crashes there were.
pub(crate) async fn crash_everywhere(
    world: impl Fn() -> World,
    act: impl AsyncFn(&World),
    after: impl AsyncFn(&World, &str),
) -> usize {
    for polls in 0..500 {
        let world = world();
        let is_done = poll_times(Box::pin(act(&world)).as_mut(), polls).is_some();
        after(&world, &format!("crashed after {polls} polls")).await;
        if is_done {
            return polls;
        }
    }
    panic!("it never ends");
}

/// `first` is stopped at each of its await points in turn, `second` runs to its end, and `first` goes on.
pub(crate) async fn interleave_everywhere(
    world: impl Fn() -> World,
    first: impl AsyncFn(&World),
    second: impl AsyncFn(&World),
    after: impl AsyncFn(&World, &str),
) -> usize {
    for polls in 0..500 {
        let world = world();
        let is_done = {
            let mut first = Box::pin(first(&world));
            let is_done = poll_times(first.as_mut(), polls).is_some();
            Box::pin(second(&world)).await;
            if !is_done {
                first.await;
            }
            is_done
        };
        after(&world, &format!("the second came after {polls} polls of the first")).await;
        if is_done {
            return polls;
        }
    }
    panic!("it never ends");
}
