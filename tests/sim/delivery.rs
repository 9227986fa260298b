//! What brings things to the functions: queues, the stream, webhooks, the mail service. At least once, in any order, late, twice.

use super::context::Context;
use super::kernel::{TaskId, lock};
use billing_core::event::{Event, EventKey};
use billing_core::private::Private;
use billing_flows::mail::Mail;
use billing_flows::ports::{CollectMessage, MailError, Mailer, PlanMessage, Queue, QueueError};
use jiff::SignedDuration;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

/// How long a message to the workers that is being worked on is hidden: six times the worker's time limit and the second in which
/// a batch is gathered, as in the template.
pub const COLLECT_VISIBILITY: SignedDuration = SignedDuration::from_secs(541);

/// The same for a message to the planner.
pub const PLAN_VISIBILITY: SignedDuration = SignedDuration::from_secs(1_800);

/// After how many deliveries a message goes to the dead-letter queue.
pub const MAX_RECEIVES: u32 = 5;

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its name.
    pub id: String,
    /// Its text.
    pub body: String,
    /// How often it was delivered.
    pub receives: u32,
    /// Whether the queue made it of another.
    pub is_copy: bool,
}

/// Whom to call when something has arrived.
type Bell = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    count: u64,
    bell: Option<Bell>,
}

/// A queue: messages that can be seen now. Hidden ones are put in again when their time is over.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Waiting>>);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({:?})", lock(&self.0).messages)
    }
}

impl Seen {
    /// Whom to call when something has arrived.
    pub fn ring(&self, bell: impl Fn() + Send + Sync + 'static) {
        lock(&self.0).bell = Some(Arc::new(bell));
    }

    /// Puts a message in.
    pub fn put(&self, message: Message) {
        let bell = {
            let mut queue = lock(&self.0);
            queue.messages.push_back(message);
            queue.bell.clone()
        };
        if let Some(bell) = bell {
            bell();
        }
    }

    fn put_new(&self, body: String) {
        let id = {
            let mut queue = lock(&self.0);
            queue.count += 1;
            format!("m{}", queue.count)
        };
        self.put(Message { id, body, receives: 0, is_copy: false });
    }

    /// Takes up to `max` messages, from anywhere.
    pub fn take(&self, cx: &Context, max: usize) -> Vec<Message> {
        let mut queue = lock(&self.0);
        let mut taken = Vec::new();
        while taken.len() < max && !queue.messages.is_empty() {
            let length = u64::try_from(queue.messages.len()).unwrap_or(1);
            let at = usize::try_from(cx.below(length)).unwrap_or(0);
            taken.extend(queue.messages.remove(at));
        }
        for message in &mut taken {
            message.receives += 1;
        }
        taken
    }

    /// Whether anything can be seen.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).messages.is_empty()
    }
}

/// Both queues, as a function sends to them.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Chance and weather.
    pub cx: Context,
    /// To the workers.
    pub collect: Seen,
    /// To the planner.
    pub plan: Seen,
}

impl Queues {
    /// Empty queues.
    pub fn new(cx: Context) -> Self {
        Self { cx, collect: Seen::default(), plan: Seen::default() }
    }

    async fn send(&self, queue: &'static str, to: &Seen, bodies: Vec<String>) -> Result<(), QueueError> {
        self.cx.kernel.sleep(self.cx.millis(2, 60)).await;
        let rate = self.cx.weather(|w| w.queue);
        let (fails, takes_some) = (self.cx.strikes(rate), self.cx.below(2) == 0);
        let failed = || QueueError { queue, detail: "a fault".to_owned() };
        if fails && !takes_some {
            return Err(failed());
        }
        let keep = if fails { self.cx.below(10) } else { u64::MAX };
        for (number, body) in (0..).zip(bodies) {
            if number <= keep {
                to.put_new(body);
            }
        }
        self.cx.kernel.sleep(self.cx.millis(2, 60)).await;
        if fails { Err(failed()) } else { Ok(()) }
    }
}

fn text<T: serde::Serialize>(message: &T) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

impl Queue for Queues {
    async fn send_collect_later(&self, message: &CollectMessage, wait: SignedDuration) -> Result<(), QueueError> {
        let later = Seen::default();
        let sent = self.send("collect", &later, vec![text(message)]).await;
        for message in later.take(&self.cx, 1) {
            let queue = self.collect.clone();
            self.cx.kernel.after(wait, move || queue.put_new(message.body));
        }
        sent
    }

    async fn send_collect(&self, messages: &[CollectMessage]) -> Result<(), QueueError> {
        self.send("collect", &self.collect, messages.iter().map(text).collect()).await
    }

    async fn send_plan(&self, message: &PlanMessage) -> Result<(), QueueError> {
        self.send("plan", &self.plan, vec![text(message)]).await
    }
}

/// A mail that was sent.
#[derive(Debug, Clone)]
pub struct SentMail {
    /// The event it tells of.
    pub event: EventKey,
    /// The notifier that sent it.
    pub by: TaskId,
    /// The address it went to.
    pub to: String,
    /// What it said, as text.
    pub text: String,
}

/// The mail service.
#[derive(Debug, Clone)]
pub struct Post {
    /// Chance and weather.
    pub cx: Context,
    sent: Arc<Mutex<Vec<SentMail>>>,
}

impl Post {
    /// A mail service.
    pub fn new(cx: Context) -> Self {
        Self { cx, sent: Arc::default() }
    }

    /// Every mail, oldest first.
    pub fn sent(&self) -> Vec<SentMail> {
        lock(&self.sent).clone()
    }
}

impl Mailer for Post {
    async fn send(&self, to: &Private, mail: &Mail, event: &EventKey) -> Result<(), MailError> {
        self.cx.kernel.sleep(self.cx.millis(5, 900)).await;
        let rate = self.cx.weather(|w| w.mail);
        let (fails, sends) = (self.cx.strikes(rate), self.cx.below(2) == 0);
        if fails {
            self.cx.disturb();
        }
        if !fails || sends {
            let (to, text) = (to.expose().to_owned(), mail.text.clone());
            lock(&self.sent).push(SentMail { event: event.clone(), by: self.cx.kernel.current(), to, text });
            self.cx.note(|| format!("mail: {} {}", event.subject, event.id));
        }
        self.cx.kernel.sleep(self.cx.millis(5, 400)).await;
        if fails { Err(MailError { detail: "a fault".to_owned(), retryable: true }) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Line {
    records: VecDeque<(u64, Event)>,
    bell: Option<Bell>,
    is_busy: bool,
}

/// A shard of the stream of events: in order, one batch at a time.
#[derive(Clone, Default)]
pub struct Stream(Arc<Mutex<Line>>);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} records)", lock(&self.0).records.len())
    }
}

impl Stream {
    /// Whom to call when something has arrived.
    pub fn ring(&self, bell: impl Fn() + Send + Sync + 'static) {
        lock(&self.0).bell = Some(Arc::new(bell));
    }

    /// Puts an event in line.
    pub fn put(&self, number: u64, event: Event) {
        let bell = {
            let mut line = lock(&self.0);
            line.records.push_back((number, event));
            line.bell.clone()
        };
        if let Some(bell) = bell {
            bell();
        }
    }

    /// The first records, which stay in line until they are taken off. Nothing while a batch is out.
    pub fn batch(&self, max: usize) -> Vec<(u64, Event)> {
        let mut line = lock(&self.0);
        if line.is_busy || line.records.is_empty() {
            return Vec::new();
        }
        line.is_busy = true;
        line.records.iter().take(max).cloned().collect()
    }

    /// A batch has come back: what lies before `until` is done.
    pub fn checkpoint(&self, until: u64) {
        let mut line = lock(&self.0);
        line.is_busy = false;
        line.records.retain(|(number, _)| *number >= until);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).records.is_empty()
    }
}
