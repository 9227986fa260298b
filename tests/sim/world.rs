//! The world: the functions as they are deployed, and everything that sets them going.

use super::context::{Context, SkewedClock};
use super::delivery::{COLLECT_VISIBILITY, MAX_RECEIVES, Message, PLAN_VISIBILITY, Post, Queues, Seen, Stream};
use super::kernel::{Doom, lock};
use super::people::Wish;
use super::portone::{About, PortOne, Told};
use super::tables::Tables;
use super::watch::{Had, Watch};
use aws_lambda_events::event::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use billing_aws::item::image_of_event;
use billing_aws::secrets::{CachedSecret, FixedSecret, SecretText, WebhookSecrets};
use billing_core::Timestamp;
use billing_core::calendar;
use billing_core::dunning::Ladder;
use billing_core::event::{Cause, Event};
use billing_core::guard::Guard;
use billing_core::id::{PaymentId, StoreId};
use billing_core::invoice::State;
use billing_core::plan::Catalogue;
use billing_core::refund::{RefundRefusal, RefundWish};
use billing_core::subscription::SubscriptionKey;
use billing_flows::cancel::{Resumed, When};
use billing_flows::change::Changed;
use billing_flows::close::Closing;
use billing_flows::fake::Written;
use billing_flows::mail::Sender;
use billing_flows::pay::Paying;
use billing_flows::ports::{Mode, Signal, Telemetry};
use billing_flows::refund::RefundAnswer;
use billing_flows::{Billing, Settings};
use charger::planner::PlannerEvent;
use jiff::SignedDuration;
use lambda_http::http;
use lambda_http::{Body, Request};
use portone::webhook::{WebhookSecret, sign};
use reconciler::{Answer, ReconcilerEvent, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, Weak};

/// The store of the simulated merchant.
pub const STORE: &str = "store-sim";

const SECRET: &str = "whsec_c2ltdWxhdGVkLXNlY3JldC1vZi0zMi1ieXRlcy0hISE=";
const WRONG_SECRET: &str = "whsec_YW5vdGhlci1zZWNyZXQtb2YtMzItYnl0ZXMtYmFkISE=";

/// How many workers there are at once.
const WORKERS: usize = 4;

/// How many records the notifier takes.
const STREAM_BATCH: usize = 100;

/// How many shards the stream has.
const SHARDS: usize = 2;

/// Time limits of the functions, in seconds: the template's.
const LIMITS: [(&str, i64); 6] =
    [("planner", 300), ("worker", 90), ("webhook", 29), ("reconciler", 900), ("notifier", 90), ("api", 29)];

/// How often a tick is tried: Lambda tries what Scheduler hands over twice more.
const TICK_TRIES: u32 = 3;

/// How many await points a function passes at most before it dies, and one in four that dies: most end sooner, a comparison of a night does
/// not.
const SHORT_LIFE: u64 = 60;
const LONG_LIFE: u64 = 2_000;

/// The waits before tries 2 to 6 of a webhook, in minutes; each is shortened at random.
const REDELIVERIES: [u64; 5] = [1, 4, 16, 64, 256];

/// Counts signals, and keeps what is alarming.
#[derive(Debug, Clone, Default)]
pub struct Signals(Arc<Mutex<BTreeMap<String, u64>>>);

impl Signals {
    /// The counts.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.0).clone()
    }
}

impl Telemetry for Signals {
    fn signal(&self, signal: Signal) {
        if let Signal::Event(kind) = signal {
            *lock(&self.0).entry(kind.name().to_owned()).or_default() += 1;
        }
    }
}

type Desk = Billing<Tables, PortOne, SkewedClock, Signals>;

/// One warm environment of a function: its clients, its clock.
#[derive(Debug)]
struct Environment {
    desk: Desk,
    /// The same for a function whose own caller waits.
    counter: Desk,
    secrets: WebhookSecrets<FixedSecret, SkewedClock>,
}

/// A world.
#[derive(Debug)]
pub struct World {
    /// Time, chance, weather, journal.
    pub cx: Context,
    /// The tables.
    pub tables: Tables,
    /// `PortOne`.
    pub portone: PortOne,
    /// The queues.
    pub queues: Queues,
    /// The mail service.
    pub post: Post,
    /// What was signalled.
    pub signals: Signals,
    environments: Vec<Arc<Environment>>,
    streams: Vec<Stream>,
    sender: Sender,
    state: Mutex<Loose>,
    this: Weak<World>,
}

/// What is under way.
#[derive(Debug, Default)]
struct Loose {
    workers: usize,
    planners: usize,
    webhooks: u64,
    records: u64,
    watch: Watch,
    log: Vec<Event>,
    dead_letters: u64,
    books: Vec<Closing>,
    told: Vec<Refunded>,
    promises: BTreeMap<SubscriptionKey, Promise>,
}

/// A wish for a plan and so many seats.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Of which subscription.
    pub key: SubscriptionKey,
    /// For what.
    pub wish: Wish,
    /// The caller's idempotency key.
    pub caller: String,
}

/// What a customer was told they have, or will have with the next period.
#[derive(Debug, Default)]
struct Promise {
    open: usize,
    calls: u64,
    used: BTreeSet<String>,
    holds: Option<Wish>,
}

/// How a wish for a refund was answered for good.
#[derive(Debug, Clone)]
pub struct Refunded {
    /// Of which payment.
    pub payment_id: PaymentId,
    /// The wish.
    pub wish: RefundWish,
    /// The answer.
    pub answer: RefundAnswer,
}

/// How long a caller waits before it repeats a wish that has no answer yet, and how often it does at most: longer than a refund can stay
/// unknown.
const REFUND_AGAIN: (SignedDuration, u32) = (SignedDuration::from_mins(4), 400);

/// How long a customer waits before they repeat a wish that has no answer yet, and how often they do at most.
const AGAIN: (SignedDuration, u32) = (SignedDuration::from_mins(4), 100);

/// What is sold in it.
pub fn catalogue() -> Catalogue {
    static PARSED: LazyLock<Catalogue> = LazyLock::new(parsed);
    PARSED.clone()
}

fn parsed() -> Catalogue {
    let text = "brand = \"Sivera\"\ntrial_days = 14\n\
        [plans.standard]\nname = { ko = \"Standard\", en = \"Standard\" }\nmax_seats = 100\nprice_per_seat = { KRW = 10000, USD = 900 }\n\
        [plans.pro]\nname = { ko = \"Pro\", en = \"Pro\" }\nmax_seats = 500\nprice_per_seat = { KRW = 20000, USD = 1800 }";
    Catalogue::parse(text).expect("the catalogue of the simulation is valid")
}

impl World {
    /// A world in which nothing has happened. `skews` are the clocks' errors, one for each environment; listings of its tables tell so
    /// many rows to a page.
    pub fn new(cx: &Context, skews: &[SignedDuration], rows_per_page: usize) -> Arc<Self> {
        let (tables, portone, signals) =
            (Tables::new(cx.clone(), rows_per_page), PortOne::new(cx.clone()), Signals::default());
        let catalogue = catalogue();
        let store_id = StoreId::new(STORE).expect("a store id");
        let environments = skews
            .iter()
            .map(|skew| {
                let clock = SkewedClock { kernel: cx.kernel.clone(), skew: *skew };
                let secret = FixedSecret(SecretText::new(SECRET));
                let desk = |gateway: PortOne| Billing {
                    store: tables.clone(),
                    gateway,
                    clock: clock.clone(),
                    telemetry: signals.clone(),
                    settings: Settings {
                        store_id: store_id.clone(),
                        mode: Mode::Live,
                        catalogue: catalogue.clone(),
                        ladder: Ladder::default(),
                    },
                };
                Arc::new(Environment {
                    desk: desk(portone.clone()),
                    counter: desk(portone.in_a_hurry()),
                    secrets: WebhookSecrets::new(CachedSecret::new(secret, clock, "webhook-secret")),
                })
            })
            .collect();
        let sender = Sender {
            brand: "Sivera".to_owned(),
            manage_url: "https://sivera.example/billing".to_owned(),
            support_email: "help@sivera.example".to_owned(),
            company_line: None,
        };
        let world = Arc::new_cyclic(|this| Self {
            cx: cx.clone(),
            tables,
            portone,
            queues: Queues::new(cx.clone()),
            post: Post::new(cx.clone()),
            signals,
            environments,
            streams: (0..SHARDS).map(|_| Stream::default()).collect(),
            sender,
            state: Mutex::default(),
            this: this.clone(),
        });
        world.wire();
        world
    }

    fn wire(&self) {
        self.tables.rows.watch(self.with(|world, written: Written<'_>| world.wrote(written)));
        let read = self.this.clone();
        self.tables.read_by(move |key| {
            if let Some(world) = read.upgrade() {
                world.was_read(key);
            }
        });
        let told = self.this.clone();
        self.portone.tell_by(move |event| {
            if let Some(world) = told.upgrade() {
                world.told(&event);
            }
        });
        let (collect, plan) = (self.this.clone(), self.this.clone());
        self.queues.collect.ring(move || wake(&collect, 300, Self::start_worker));
        self.queues.plan.ring(move || wake(&plan, 300, Self::start_planner));
        for (shard, stream) in self.streams.iter().enumerate() {
            let this = self.this.clone();
            stream.ring(move || wake(&this, 900, move |world| world.start_notifier(shard)));
        }
    }

    fn with<A>(&self, act: A) -> impl Fn(Written<'_>) + Send + Sync + use<A>
    where
        A: Fn(&World, Written<'_>) + Send + Sync + 'static,
    {
        let this = self.this.clone();
        move |written: Written<'_>| {
            if let Some(world) = this.upgrade() {
                act(&world, written);
            }
        }
    }

    /// Whether nothing waits to be delivered.
    pub fn is_at_rest(&self) -> bool {
        let loose = lock(&self.state);
        self.queues.collect.is_empty()
            && self.queues.plan.is_empty()
            && self.streams.iter().all(Stream::is_empty)
            && (loose.workers, loose.planners) == (0, 0)
    }

    /// How many messages ended in the dead-letter queue.
    pub fn dead_letters(&self) -> u64 {
        lock(&self.state).dead_letters
    }

    /// The books as they were last closed.
    pub fn books(&self) -> Vec<Closing> {
        lock(&self.state).books.clone()
    }

    /// Whether its customer wished a subscription to end, and has not taken that back.
    pub fn is_to_end(&self, key: &SubscriptionKey) -> bool {
        lock(&self.state).watch.is_to_end(key)
    }

    /// Every event, in the order in which they were written.
    pub fn log(&self) -> Vec<Event> {
        lock(&self.state).log.clone()
    }

    fn environment(&self) -> Arc<Environment> {
        let count = u64::try_from(self.environments.len()).unwrap_or(1);
        let at = usize::try_from(self.cx.below(count)).unwrap_or(0);
        Arc::clone(&self.environments[at])
    }

    fn doom(&self, function: &'static str) -> Doom {
        let limit = LIMITS.iter().find(|(name, _)| *name == function).map_or(60, |(_, seconds)| *seconds);
        let crash = self.cx.weather(|w| w.crash);
        let at_poll = self.cx.strikes(crash).then(|| {
            let most = if self.cx.below(4) == 0 { LONG_LIFE } else { SHORT_LIFE };
            1 + self.cx.below(1 + self.cx.below(most))
        });
        Doom { at_poll, at: Some(self.cx.later(SignedDuration::from_secs(limit))) }
    }

    /// Begins an invocation. `done` is told how it ended; nothing if it died.
    fn invoke<A: Send + 'static>(
        &self,
        function: &'static str,
        work: impl Future<Output = A> + Send + 'static,
        done: impl FnOnce(&World, Option<A>) + Send + 'static,
    ) {
        let fate = Arc::new(Mutex::new(Some(done)));
        let (on_end, on_death) = (Arc::clone(&fate), fate);
        let (ended, died) = (self.this.clone(), self.this.clone());
        let cx = self.cx.clone();
        let id = Arc::new(Mutex::new(0));
        let own = Arc::clone(&id);
        let work = async move {
            let answer = work.await;
            let done = lock(&on_end).take();
            if let (Some(world), Some(done)) = (ended.upgrade(), done) {
                done(&world, Some(answer));
            }
        };
        let task = self.cx.kernel.spawn(function, self.doom(function), work, move || {
            cx.disturb_dead(*lock(&own));
            cx.note(|| format!("{function} {} dies", *lock(&own)));
            let done = lock(&on_death).take();
            if let (Some(world), Some(done)) = (died.upgrade(), done) {
                done(&world, None);
            }
        });
        *lock(&id) = task;
        self.cx.note(|| format!("{function} {task} begins"));
    }

    /// A subscription was read; at this very moment its customer may change their mind.
    fn was_read(&self, key: &SubscriptionKey) {
        let meddle = self.cx.weather(|w| w.meddle);
        if self.cx.strikes(meddle) && !lock(&self.state).watch.is_unwanted(key) {
            let when = if self.cx.below(2) == 0 { When::Now } else { When::PeriodEnd };
            self.cancel(key.clone(), when);
        }
    }

    /// The tables have been written to.
    fn wrote(&self, written: Written<'_>) {
        match written {
            Written::Committed(changes) => {
                lock(&self.state).watch.see(changes, &self.portone, &self.cx);
                for event in &changes.events {
                    self.feed(event);
                }
            }
            Written::Recorded(event) => self.feed(event),
        }
    }

    fn feed(&self, event: &Event) {
        let number = {
            let mut loose = lock(&self.state);
            loose.records += 1;
            loose.log.push(event.clone());
            loose.records
        };
        let bytes: usize = event.subject.bytes().map(usize::from).sum();
        let Some(stream) = self.streams.get(bytes % SHARDS) else { return };
        stream.put(number, event.clone());
    }

    fn start_notifier(&self, shard: usize) {
        let Some(stream) = self.streams.get(shard).cloned() else { return };
        let batch = stream.batch(STREAM_BATCH);
        if batch.is_empty() {
            return;
        }
        self.notify(&batch.clone(), move |world, failed| {
            let last = batch.last().map_or(0, |(number, _)| *number);
            stream.checkpoint(failed.unwrap_or(last + 1));
            if failed.is_some() {
                wake(&world.this, 30_000, move |world| world.start_notifier(shard));
            } else {
                wake(&world.this, 100, move |world| world.start_notifier(shard));
            }
            let twice = world.cx.weather(|w| w.stream_twice);
            if world.cx.strikes(twice) {
                let again = batch.clone();
                wake(&world.this, 400_000, move |world| world.notify(&again, |_, _| {}));
            }
        });
    }

    /// Invokes the notifier; `done` is told the first record that has to be delivered again.
    fn notify(&self, batch: &[(u64, Event)], done: impl FnOnce(&World, Option<u64>) + Send + 'static) {
        let environment = self.environment();
        let mut event = StreamEvent::default();
        for (number, row) in batch {
            let mut record = EventRecord::default();
            "INSERT".clone_into(&mut record.event_name);
            record.change.sequence_number = Some(number.to_string());
            record.change.new_image = image_of_event(row).expect("an event has an image");
            event.records.push(record);
        }
        let first = batch.first().map(|(number, _)| *number);
        let (post, sender) = (self.post.clone(), self.sender.clone());
        let work = async move {
            let desk = &environment.desk;
            notifier::handle(&desk.store, &post, &desk.clock, &desk.telemetry, &sender, event).await
        };
        self.invoke("notifier", work, move |world, answer| {
            let failed = match answer {
                None => first,
                Some(answer) => {
                    let numbers = answer.batch_item_failures.iter().filter_map(|f| f.item_identifier.as_deref());
                    numbers.filter_map(|number| number.parse().ok()).min()
                }
            };
            done(world, failed);
        });
    }

    fn start_worker(&self) {
        let messages = {
            let mut loose = lock(&self.state);
            if loose.workers >= WORKERS {
                return;
            }
            let messages = self.queues.collect.take(&self.cx, charger::worker::BATCH);
            if messages.is_empty() {
                return;
            }
            loose.workers += 1;
            messages
        };
        let environment = self.environment();
        let batch = sqs_event(&messages);
        self.copy(&self.queues.collect, &messages);
        let queues = self.queues.clone();
        let work = async move { charger::worker::handle(&environment.desk, &queues, batch).await };
        self.invoke("worker", work, move |world, answer| {
            lock(&world.state).workers -= 1;
            let failed: Option<BTreeSet<String>> = answer.map(|answer| {
                answer.batch_item_failures.iter().map(|failure| failure.item_identifier.clone()).collect()
            });
            for message in messages {
                if failed.as_ref().is_none_or(|failed| failed.contains(&message.id)) {
                    world.hide(&world.queues.collect, message, COLLECT_VISIBILITY);
                }
            }
            wake(&world.this, 10, Self::start_worker);
        });
        wake(&self.this, 20, Self::start_worker);
    }

    /// Some messages are delivered twice.
    fn copy(&self, queue: &Seen, messages: &[Message]) {
        let twice = self.cx.weather(|w| w.queue_twice);
        for message in messages {
            if !message.is_copy && self.cx.strikes(twice) {
                let (queue, again) = (queue.clone(), Message { is_copy: true, ..message.clone() });
                self.cx.kernel.after(self.cx.millis(10, 600_000), move || queue.put(again));
            }
        }
    }

    /// A message that was not dealt with comes back after a while; but not for ever.
    fn hide(&self, queue: &Seen, message: Message, visibility: SignedDuration) {
        if message.receives >= MAX_RECEIVES {
            self.cx.note(|| format!("message {} goes to the dead-letter queue", message.id));
            lock(&self.state).dead_letters += 1;
            return;
        }
        let queue = queue.clone();
        self.cx.kernel.after(visibility, move || queue.put(message));
    }

    fn start_planner(&self) {
        let messages = self.queues.plan.take(&self.cx, 1);
        if messages.is_empty() {
            return;
        }
        self.copy(&self.queues.plan, &messages);
        let event = PlannerEvent::Continue(sqs_event(&messages));
        self.plan(event, move |world, is_done| {
            if !is_done {
                for message in messages {
                    world.hide(&world.queues.plan, message, PLAN_VISIBILITY);
                }
            }
        });
    }

    fn plan(&self, event: PlannerEvent, done: impl FnOnce(&World, bool) + Send + 'static) {
        lock(&self.state).planners += 1;
        let (environment, queues, cx) = (self.environment(), self.queues.clone(), self.cx.clone());
        let may_be_late = cx.is_random() || matches!(event, PlannerEvent::Tick { .. });
        let work = async move {
            let is_late = || {
                let late = cx.weather(|w| w.late);
                may_be_late && cx.strikes(late)
            };
            let desk = &environment.desk;
            charger::planner::handle(&desk.store, &queues, &desk.telemetry, event, is_late).await
        };
        self.invoke("planner", work, move |world, answer| {
            lock(&world.state).planners -= 1;
            done(world, matches!(answer, Some(Ok(answer)) if answer.batch.batch_item_failures.is_empty()));
        });
    }

    /// A tick of the daily schedule.
    pub fn tick_planner(&self, scheduled: Timestamp, tries: u32) {
        self.plan(PlannerEvent::Tick { scheduled_time: scheduled }, move |world, is_done| {
            if !is_done && tries > 1 {
                wake(&world.this, 300_000, move |world| world.tick_planner(scheduled, tries - 1));
            }
        });
    }

    /// A tick of one of the reconciler's schedules.
    pub fn tick_reconciler(&self, task: Task, scheduled: Timestamp, tries: u32) {
        let (environment, cx) = (self.environment(), self.cx.clone());
        let event = ReconcilerEvent { task, scheduled_time: scheduled, month: None };
        let work = async move {
            let is_late = || {
                let late = cx.weather(|w| w.late);
                cx.strikes(late)
            };
            reconciler::handle(&environment.desk, &event, is_late).await
        };
        self.invoke("reconciler", work, move |world, answer| {
            if let Some(Ok(Answer::Books { books })) = &answer {
                lock(&world.state).books.clone_from(books);
            }
            if !matches!(answer, Some(Ok(_))) && tries > 1 {
                wake(&world.this, 300_000, move |world| world.tick_reconciler(task, scheduled, tries - 1));
            }
        });
    }

    /// Has a schedule fire at a moment, as reliably as the weather lets it.
    pub fn schedule(&self, at: Timestamp, fire: impl Fn(&World) + Send + Sync + 'static) {
        let this = self.this.clone();
        self.cx.kernel.at(at, move || {
            let Some(world) = this.upgrade() else { return };
            let (no_ticks, lost, twice) = world.cx.weather(|w| (w.no_ticks, w.tick_lost, w.tick_twice));
            if no_ticks || world.cx.strikes(lost) {
                world.cx.note(|| "a tick is lost".to_owned());
                return;
            }
            let fire = Arc::new(fire);
            if world.cx.strikes(twice) {
                let again = Arc::clone(&fire);
                wake(&world.this, 50_000, move |world| again(world));
            }
            wake(&world.this, 50_000, move |world| fire(world));
        });
    }

    /// `PortOne` has something to tell.
    fn told(&self, told: &Told) {
        let (dead, late, twice, forged) =
            self.cx.weather(|w| (w.webhook_dead, w.webhook_late, w.webhook_twice, w.forged));
        let number = {
            let mut loose = lock(&self.state);
            loose.webhooks += 1;
            loose.webhooks
        };
        let webhook = Arc::new(Hook { id: format!("wh_{number:06}"), body: body(told) });
        if self.cx.strikes(forged) {
            let (forged, manner) = (Arc::clone(&webhook), self.cx.below(4));
            wake(&self.this, 20_000, move |world| world.deliver_forged(&forged, manner));
        }
        if self.cx.strikes(dead) {
            self.cx.note(|| format!("{} {} is never delivered", webhook.id, told.kind));
            return;
        }
        let is_late = self.cx.strikes(late);
        if is_late && !self.cx.is_random() {
            let this = self.this.clone();
            let at = self.cx.later(SignedDuration::from_hours(5));
            return self.cx.kernel.at(at, move || wake(&this, 0, move |world| world.deliver(&webhook, 0)));
        }
        let most = if is_late { 5 * 3_600_000 } else { 4_000 };
        if self.cx.strikes(twice) {
            let again = Arc::clone(&webhook);
            wake(&self.this, 3 * 3_600_000, move |world| world.deliver(&again, 0));
        }
        wake(&self.this, most, move |world| world.deliver(&webhook, 0));
    }

    fn deliver(&self, webhook: &Arc<Hook>, tries: usize) {
        let again = {
            let webhook = Arc::clone(webhook);
            move |world: &World| {
                if let Some(minutes) = REDELIVERIES.get(tries) {
                    wake(&world.this, minutes * 60_000, move |world| world.deliver(&webhook, tries + 1));
                }
            }
        };
        let lost = self.cx.weather(|w| w.webhook_lost);
        if self.cx.strikes(lost) && (self.cx.is_random() || tries == 0) {
            self.cx.note(|| format!("a delivery of {} is lost", webhook.id));
            return again(self);
        }
        let (now, secret) = (self.cx.now(), secret(SECRET));
        let request = webhook.request(now, Some(&secret), &webhook.body);
        self.receive(request, move |world, status| {
            if status != Some(200) {
                again(world);
            }
        });
    }

    /// A forger knows no secret. (An attack on [`Guard::Signature`] hands it over: to a forger, an unchecked signature is a known secret.)
    fn deliver_forged(&self, webhook: &Hook, manner: u64) {
        let now = self.cx.now();
        let old = now.checked_sub(SignedDuration::from_mins(10)).unwrap_or(now);
        let (real, wrong) = (secret(SECRET), secret(WRONG_SECRET));
        let request = match manner {
            _ if !Guard::Signature.stands() => webhook.request(now, Some(&real), &webhook.body),
            0 => webhook.request(now, None, &webhook.body),
            1 => webhook.request(now, Some(&wrong), &webhook.body),
            2 => webhook.request(old, Some(&real), &webhook.body),
            _ => webhook.request(now, Some(&real), &webhook.body.replace("Failed", "Paid").replace('}', " }")),
        };
        let id = webhook.id.clone();
        self.receive(request, move |world, status| {
            if status == Some(200) {
                world.cx.violation(format!("a forged webhook ({id}, manner {manner}) was believed"));
            }
        });
    }

    fn receive(&self, request: Request, done: impl FnOnce(&World, Option<u16>) + Send + 'static) {
        let (environment, queues) = (self.environment(), self.queues.clone());
        let work = async move {
            let answer = webhook::handle(&environment.counter, &queues, &environment.secrets, request).await;
            answer.status().as_u16()
        };
        self.invoke("webhook", work, done);
    }

    /// The customer cancels, and tries again until it is done.
    pub fn cancel(&self, key: SubscriptionKey, when: When) {
        let environment = self.environment();
        let wish = key.clone();
        let work = async move {
            let cause = Cause::Api("cancel".to_owned());
            environment.counter.cancel(&wish, when, &cause).await
        };
        self.cx.note(|| format!("the customer cancels {} ({when:?})", key.id));
        lock(&self.state).watch.cancel_begins(&key);
        self.invoke("api", work, move |world, answer| {
            lock(&world.state).watch.cancel_ends(&key);
            if !matches!(answer, Some(Ok(_))) {
                wake(&world.this, 600_000, move |world| world.cancel(key, when));
            }
        });
    }

    /// The customer takes a cancellation back, and tries again until that is done.
    pub fn resume(&self, key: SubscriptionKey) {
        let environment = self.environment();
        let wish = key.clone();
        let work = async move {
            let cause = Cause::Api("resume".to_owned());
            environment.counter.resume(&wish, &cause).await
        };
        self.cx.note(|| format!("the customer resumes {}", key.id));
        let seen = lock(&self.state).watch.cancels(&key);
        self.invoke("api", work, move |world, answer| {
            if matches!(answer, Some(Ok(Resumed::GoesOn(_)))) {
                lock(&world.state).watch.goes_on(&key, seen);
            }
            if !matches!(answer, Some(Ok(_))) {
                wake(&world.this, 600_000, move |world| world.resume(key));
            }
        });
    }

    /// The customer wishes for a plan and so many seats, and repeats it under the same key until there is an answer; now and then once more
    /// after that.
    pub fn change(&self, asked: Asked, tries: u32) {
        let environment = self.environment();
        let same = asked.clone();
        let work = async move {
            let ((plan, seats), cause) = (same.wish, Cause::Api(same.caller));
            environment.counter.change(&same.key, plan, seats, &cause).await
        };
        self.cx.note(|| format!("the customer of {} wishes for {:?} ({})", asked.key.id, asked.wish, asked.caller));
        let (call, is_alone, is_news) = {
            let mut loose = lock(&self.state);
            let promise = loose.promises.entry(asked.key.clone()).or_default();
            // A key that comes again may tell of a charge that was followed by other wishes.
            let is_news = promise.used.insert(asked.caller.clone());
            let is_alone = promise.open == 0;
            promise.open += 1;
            promise.calls += 1;
            (promise.calls, is_alone, is_news)
        };
        self.invoke("api", work, move |world, answer| {
            world.cx.note(|| format!("{} is answered: {}", asked.caller, told(answer.as_ref())));
            let answer = answer.and_then(Result::ok);
            let is_open = match &answer {
                None => true,
                Some(Changed::Charged(invoice, _)) => invoice.undecided().is_some(),
                Some(_) => false,
            };
            {
                let mut loose = lock(&world.state);
                let promise = loose.promises.entry(asked.key.clone()).or_default();
                promise.open -= 1;
                let is_alone = is_alone && promise.calls == call;
                match &answer {
                    Some(Changed::Free(_)) if is_alone => promise.holds = Some(asked.wish),
                    Some(Changed::Charged(invoice, _)) if is_alone && is_news && invoice.undecided().is_none() => {
                        if !matches!(invoice.state, State::Void { .. }) {
                            promise.holds = Some(asked.wish);
                        }
                    }
                    Some(Changed::Refused(_) | Changed::BanksDown) if is_alone => {}
                    _ => promise.holds = None,
                }
            }
            let again = is_open || (tries == 0 && world.cx.below(3) == 0);
            if again && tries < AGAIN.1 {
                let later = world.cx.later(AGAIN.0);
                world.at(later, move |world| world.change(asked, tries + 1));
            }
        });
    }

    /// The customer wishes to pay what is owed now, and repeats it under the same key until there is an answer.
    pub fn pay(&self, key: SubscriptionKey, caller: String, tries: u32) {
        let (environment, queues) = (self.environment(), self.queues.clone());
        let (wish, cause) = (key.clone(), Cause::Api(caller.clone()));
        let work = async move { environment.counter.pay(&queues, &wish, None, &cause).await };
        self.cx.note(|| format!("the customer of {} wishes to pay ({caller})", key.id));
        self.invoke("api", work, move |world, answer| {
            world.cx.note(|| format!("{caller} is answered: {}", told(answer.as_ref())));
            let is_open = match answer {
                Some(Ok(Paying::Tried(made))) => made.attempt.is_some() && made.outcome().is_none(),
                Some(Ok(_)) => false,
                Some(Err(_)) | None => true,
            };
            if (is_open || (tries == 0 && world.cx.below(3) == 0)) && tries < AGAIN.1 {
                let later = world.cx.later(AGAIN.0);
                world.at(later, move |world| world.pay(key, caller, tries + 1));
            }
        });
    }

    /// What a customer was told for certain that they have, or will have with the next period.
    pub fn promised(&self, key: &SubscriptionKey) -> Option<Wish> {
        lock(&self.state).promises.get(key).and_then(|promise| promise.holds)
    }

    /// What a subscription was, one after the other.
    pub fn had(&self, key: &SubscriptionKey) -> Vec<Had> {
        lock(&self.state).watch.had(key)
    }

    /// How wishes for refunds were answered for good, oldest answer first.
    pub fn refunded(&self) -> Vec<Refunded> {
        lock(&self.state).told.clone()
    }

    /// Somebody wishes to give money back, and with a key repeats it until there is an answer; now and then once more after that.
    pub fn refund(&self, payment_id: PaymentId, wish: RefundWish, tries: u32) {
        let environment = self.environment();
        let (id, same) = (payment_id.clone(), wish.clone());
        let work = async move {
            let cause = Cause::Api("refund".to_owned());
            environment.counter.refund(&id, &same, &cause).await
        };
        self.cx.note(|| format!("a wish to give back of {payment_id}: {:?} ({:?})", wish.amount, wish.key));
        self.invoke("api", work, move |world, answer| {
            let is_open = |answer: &RefundAnswer| {
                let waits = matches!(answer, RefundAnswer::No(RefundRefusal::AnotherUnderWay { .. }));
                matches!(answer, RefundAnswer::Unknown | RefundAnswer::Requested) || waits
            };
            let ended = answer.and_then(Result::ok).filter(|answer| !is_open(answer));
            let again = ended.is_none() || (tries == 0 && world.cx.below(3) == 0);
            if let Some(answer) = ended {
                let told = Refunded { payment_id: payment_id.clone(), wish: wish.clone(), answer };
                lock(&world.state).told.push(told);
            }
            if again && wish.key.is_some() && tries < REFUND_AGAIN.1 {
                let later = world.cx.later(REFUND_AGAIN.0);
                world.at(later, move |world| world.refund(payment_id, wish, tries + 1));
            }
        });
    }

    /// The browser comes back from registering a billing key.
    pub fn redirect(&self, key: billing_core::billing_key::BillingKey) {
        let (environment, queues) = (self.environment(), self.queues.clone());
        let work = async move {
            let cause = Cause::Api("redirect".to_owned());
            drop(environment.counter.register_key(&queues, &key, &cause).await);
        };
        self.invoke("api", work, |_, _| {});
    }

    /// A handle that does not keep the world.
    pub fn this(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Does something at a moment.
    pub fn at(&self, at: Timestamp, act: impl FnOnce(&World) + Send + 'static) {
        let this = self.this.clone();
        self.cx.kernel.at(at, move || {
            if let Some(world) = this.upgrade() {
                act(&world);
            }
        });
    }

    /// Every function that runs dies at once.
    pub fn blackout(&self) {
        self.cx.note(|| "everything dies".to_owned());
        for task in self.cx.kernel.tasks() {
            self.cx.kernel.kill(task);
        }
    }

    /// Lets the schedules of a span of days fire, as in the template: daily at 10:00, hourly at 15 past, nightly at 02:40, and at 03:10 the books are closed.
    pub fn schedule_days(&self, from: Timestamp, until: Timestamp, hours: &[i8]) {
        let mut day = calendar::date_at(from);
        while calendar::moment(day, 0) < until {
            let at = |hour: i8, minutes: i64| {
                calendar::moment(day, hour).checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX)
            };
            let ten = at(calendar::BILLING_HOUR, 0);
            self.schedule(ten, move |world| world.tick_planner(ten, TICK_TRIES));
            for hour in hours {
                let tick = at(*hour, 15);
                self.schedule(tick, move |world| world.tick_reconciler(Task::Hourly, tick, TICK_TRIES));
            }
            let night = at(2, 40);
            self.schedule(night, move |world| world.tick_reconciler(Task::Nightly, night, TICK_TRIES));
            let after = at(3, 11);
            self.schedule(after, move |world| world.tick_reconciler(Task::Close, after, TICK_TRIES));
            day = day.tomorrow().unwrap_or(day);
        }
    }
}

/// An answer in the journal, cut short.
fn told<A: Debug>(answer: Option<&A>) -> String {
    answer.map_or_else(|| "not at all".to_owned(), |answer| format!("{answer:?}").chars().take(160).collect())
}

/// From so many milliseconds on, a wait is a wait and no delay: it takes its time even where nothing is left to chance.
const WAIT: u64 = 5_000;

/// Does something to a world up to so many milliseconds from now, if it is still there. Where nothing is left to chance, at once, or after
/// the whole of a wait.
pub fn wake(world: &Weak<World>, most: u64, act: impl FnOnce(&World) + Send + 'static) {
    let Some(now) = world.upgrade() else { return };
    let this = world.clone();
    let wait = match i64::try_from(most) {
        Ok(most) if !now.cx.is_random() && most >= WAIT.cast_signed() => SignedDuration::from_millis(most),
        _ => now.cx.millis(0, most),
    };
    now.cx.kernel.after(wait, move || {
        if let Some(world) = this.upgrade() {
            act(&world);
        }
    });
}

/// A webhook as `PortOne` keeps it for its deliveries.
#[derive(Debug)]
struct Hook {
    id: String,
    body: String,
}

impl Hook {
    fn request(&self, at: Timestamp, secret: Option<&WebhookSecret>, body: &str) -> Request {
        let mut request = http::Request::builder().method("POST").header("content-type", "application/json");
        if let Some(secret) = secret {
            request = request
                .header("webhook-id", &self.id)
                .header("webhook-timestamp", at.as_second().to_string())
                .header("webhook-signature", sign(secret, &self.id, at, self.body.as_bytes()));
        }
        request.body(Body::Text(body.to_owned())).expect("a request")
    }
}

fn body(told: &Told) -> String {
    let data = match &told.about {
        About::Payment(id) => serde_json::json!({ "paymentId": id, "transactionId": "tx", "storeId": STORE }),
        About::Key(key) => serde_json::json!({ "billingKey": key.expose(), "storeId": STORE }),
    };
    serde_json::json!({ "type": told.kind, "timestamp": told.at.to_string(), "data": data }).to_string()
}

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(text).expect("a secret")
}

fn sqs_event(messages: &[Message]) -> SqsEvent {
    let mut event = SqsEvent::default();
    for message in messages {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.id.clone());
        record.body = Some(message.body.clone());
        event.records.push(record);
    }
    event
}
