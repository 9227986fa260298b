//! The attack: customers of every kind, faults of every kind, a month, and kills at moments that nobody can foresee.

use crate::process::Sandbox;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What customers' cards do, by share; the others pay.
const CUSTOMERS: [(&str, f64); 10] = [
    ("decline:insufficient_funds:1", 0.06),
    ("decline:insufficient_funds:2", 0.04),
    ("decline:insufficient_funds:3", 0.03),
    ("decline:insufficient_funds", 0.05),
    ("decline:over_limit:1", 0.03),
    ("decline:expired_card", 0.03),
    ("decline:stolen_card", 0.02),
    ("key_deleted", 0.03),
    ("pending", 0.06),
    ("pending_then_fail", 0.03),
];

/// What the network and PortOne do to a charge and its webhooks, by rate.
const FAULTS: [(&str, f64); 17] = [
    ("hang", 0.004),
    ("slow", 0.02),
    ("drop_after_success", 0.03),
    ("html_5xx", 0.03),
    ("html_5xx_after_success", 0.02),
    ("empty_5xx", 0.01),
    ("service_unavailable", 0.01),
    ("too_many_requests", 0.01),
    ("outstanding", 0.01),
    ("unknown_error_type", 0.01),
    ("key_deleted", 0.005),
    ("webhook_lost", 0.1),
    ("webhook_duplicated", 0.1),
    ("webhook_reordered", 0.1),
    ("webhook_late", 0.1),
    ("webhook_before_answer", 0.1),
    ("webhook_bad_signature", 0.1),
];

/// Where the clock is moved to: days after the first of the month, time, and the share of the kills in percent.
const STOPS: [(u8, &str, u32); 10] = [
    (0, "09:59:00", 0),  // nothing is due yet
    (0, "10:00:00", 50), // everyone is charged
    (0, "10:30:00", 5),  // what was given back is delivered again
    (0, "11:30:00", 10), // what is unknown is asked about; what is pending is decided
    (0, "12:30:00", 5),
    (0, "16:30:00", 5), // late webhooks
    (1, "02:50:00", 8), // the books are compared
    (1, "10:00:00", 7), // the three retries
    (3, "10:00:00", 5),
    (5, "10:00:00", 5),
];

/// When everything must be settled, without faults and kills: so many days after the first. The last retry is on the 6th.
const END: (u8, &str) = (9, "09:00:00");

/// How hard the attack is.
pub(crate) struct Attack {
    pub(crate) kills: u32,
    pub(crate) customers: u32,
    pub(crate) seed: u64,
}

/// A customer, as written down before the attack.
pub(crate) struct Enrolled {
    pub(crate) subscription: String,
    pub(crate) billing_key: String,
    /// The currency and the minor units of a month.
    pub(crate) owes: (String, i64),
}

/// What was lived through.
pub(crate) struct Month {
    /// The last process, at rest.
    pub(crate) sandbox: Sandbox,
    pub(crate) enrolled: Vec<Enrolled>,
    pub(crate) kills: Kills,
    /// What went wrong on the way.
    pub(crate) stumbles: Vec<String>,
    took: Duration,
}

/// The kills, by what they fell into.
#[derive(Default)]
pub(crate) struct Kills {
    /// While the clock was being moved, and whatever that set off was under way.
    at_work: u32,
    /// Before the process was ready.
    at_start: u32,
    /// After everything had come to rest.
    at_rest: u32,
    /// How long each start took until it was ready.
    starts: Vec<Duration>,
}

impl Kills {
    pub(crate) fn count(&self) -> u32 {
        self.at_work + self.at_start + self.at_rest
    }
}

impl Attack {
    pub(crate) async fn run(&self, folder: &Folder) -> Month {
        let began = now();
        let mut hand =
            Hand { folder, dice: Dice(self.seed), left: self.kills, kills: Kills::default(), stumbles: Vec::new() };
        let mut sandbox = hand.start();
        let mut moments = Vec::new();
        for (days, time) in STOPS.iter().map(|(days, time, ..)| (*days, *time)).chain([END]) {
            moments.push(sandbox.moment_on_the_first(time, days).await);
        }
        let end = moments.pop().unwrap();
        let enrolled = self.enrol(&sandbox).await;
        let faults = sandbox.post("/api/portone/faults", self.faults()).await;
        say(&format!("{} customers enrolled after {:.1} s", enrolled.len(), began.elapsed().as_secs_f32()));

        let mut quota = 0;
        for ((.., percent), moment) in STOPS.into_iter().zip(&moments) {
            quota += percent;
            let mut at_rest = 0;
            // Killing what is at rest again and again proves nothing: what is left over falls into the work of the next stop.
            while hand.kills.count() < self.kills * quota / 100 && (at_rest == 0 || quota == 100) {
                let before = hand.kills.at_rest;
                sandbox = hand.kill(sandbox, moment).await;
                at_rest = hand.kills.at_rest - before;
                let kept = sandbox.get("/api/portone/faults").await;
                assert_eq!(kept, faults, "the faults outlive the process");
            }
            let (done, cut_off) = (hand.kills.count(), approvals(&sandbox).await);
            hand.move_clock(&sandbox, moment).await;
            let (at_rest, seconds) = (approvals(&sandbox).await, began.elapsed().as_secs_f32());
            say(&format!(
                "{moment}: {done} kills so far; {cut_off} approvals after the last, {at_rest} at rest; {seconds:.0} s"
            ));
        }
        sandbox.post("/api/portone/faults", json!({ "reset": true })).await;
        hand.move_clock(&sandbox, &end).await;
        let Hand { kills, mut stumbles, .. } = hand;
        stumbles.extend(folder.panics());
        Month { sandbox, enrolled, kills, stumbles, took: began.elapsed() }
    }

    /// Enrols everyone, and lets the mails about their cards go out.
    async fn enrol(&self, sandbox: &Sandbox) -> Vec<Enrolled> {
        let mix: Value = CUSTOMERS.iter().map(|(behavior, share)| ((*behavior).to_owned(), json!(share))).collect();
        let wish = json!({ "count": self.customers, "mix": mix, "seed": self.seed });
        let made = sandbox.post("/api/customers", wish).await;
        let rows = sandbox.all("/api/subscriptions", "subscriptions").await;
        let of = |one: &Value| {
            let row = rows.iter().find(|row| row["subscriptionId"] == one["subscriptionId"]).unwrap();
            Enrolled {
                subscription: text(&one["subscriptionId"]),
                billing_key: text(&one["billingKey"]),
                owes: (text(&row["currency"]), row["monthlyAmount"].as_i64().unwrap()),
            }
        };
        made["customers"].as_array().unwrap().iter().map(of).collect()
    }

    fn faults(&self) -> Value {
        let rules: Vec<Value> = FAULTS.iter().map(|(fault, rate)| json!({ "behavior": fault, "rate": rate })).collect();
        json!({ "seed": self.seed, "hangMs": 1200, "slowMs": [50, 400], "rules": rules })
    }
}

/// What kills and starts processes, and writes down how that went.
struct Hand<'a> {
    folder: &'a Folder,
    dice: Dice,
    /// How many kills are to come.
    left: u32,
    kills: Kills,
    stumbles: Vec<String>,
}

impl Hand<'_> {
    fn start(&mut self) -> Sandbox {
        let began = now();
        let sandbox = Sandbox::of(self.folder.command().spawn().unwrap());
        self.kills.starts.push(began.elapsed());
        sandbox
    }

    /// Kills a process while it works its way to a moment, and now and then its successor before it is ready, too. Answers with the process
    /// that comes after.
    async fn kill(&mut self, sandbox: Sandbox, moment: &str) -> Sandbox {
        let delay = self.delay();
        let is_at_rest = tokio::select! {
            () = self.move_clock(&sandbox, moment) => true,
            () = tokio::time::sleep(delay) => false,
        };
        let before = clock(&sandbox).await;
        sandbox.kill();
        self.left -= 1;
        if is_at_rest {
            self.kills.at_rest += 1;
        } else {
            self.kills.at_work += 1;
        }
        if self.left > 0 && self.dice.below(10) == 0 {
            self.kill_at_start();
        }
        let sandbox = self.start();
        let after = clock(&sandbox).await;
        if after < before {
            self.stumbles.push(format!("a kill put the clock back from {before} to {after}"));
        }
        sandbox
    }

    /// Some moment from now: no later than the last start took, which is longer on a machine that is busy.
    fn delay(&mut self) -> Duration {
        let last = self.kills.starts.last().map_or(0, Duration::as_micros);
        Duration::from_micros(self.dice.below(u64::try_from(last).unwrap()))
    }

    /// Kills a process before it is ready, if it is not uncommonly fast.
    fn kill_at_start(&mut self) {
        let delay = self.delay();
        let mut child = self.folder.command().spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        self.left -= 1;
        self.kills.at_start += 1;
    }

    /// Moves the clock to a moment, unless it is there already, and waits for rest.
    async fn move_clock(&mut self, sandbox: &Sandbox, moment: &str) {
        let is_before = clock(sandbox).await.as_str() < moment;
        let target = if is_before { json!({ "advanceTo": moment }) } else { json!({ "advance": "PT0S" }) };
        let (status, answer) = sandbox.try_post("/api/clock", target).await;
        if status != 200 {
            self.stumbles.push(format!("the clock was not moved to {moment}: {status} {answer}"));
        }
    }
}

/// The sandbox's time, in Seoul and to the second: such texts sort as their moments do.
async fn clock(sandbox: &Sandbox) -> String {
    text(&sandbox.get("/api/clock").await["now"])
}

/// How often money was taken so far.
async fn approvals(sandbox: &Sandbox) -> usize {
    sandbox.get("/api/portone/ledger").await["approvals"].as_array().unwrap().len()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was expected, not {value}")).to_owned()
}

/// Numbers that only the seed decides: `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Where the processes keep their state and write their log; taken away at the end, unless it is to be kept.
pub(crate) struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sandbox-stack-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self { path, is_kept: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn keep(&mut self) -> &Path {
        self.is_kept = true;
        &self.path
    }

    fn log(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    fn command(&self) -> Command {
        let mut command = Sandbox::command(&["--data", self.path.to_str().unwrap()]);
        let log = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.env("RUST_LOG", "warn,dynoxide=off").stderr(log);
        command
    }

    /// What was logged that must not happen to any process, killed or not.
    fn panics(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap();
        log.lines()
            .filter(|line| line.contains("panicked at") || line.contains("stumbled"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Month {
    /// What was lived through, to be read by people.
    pub(crate) fn table(&self) -> String {
        let Kills { at_work, at_start, at_rest, starts } = &self.kills;
        let sum: Duration = starts.iter().sum();
        let mean = sum / u32::try_from(starts.len()).unwrap();
        let longest = starts.iter().max().unwrap();
        [
            ("customers", self.enrolled.len().to_string()),
            ("kills", self.kills.count().to_string()),
            ("  of a process at work", at_work.to_string()),
            ("  of a process that was starting", at_start.to_string()),
            ("  of a process at rest", at_rest.to_string()),
            ("starts that became ready", starts.len().to_string()),
            ("  each, mean and longest", format!("{} and {} ms", mean.as_millis(), longest.as_millis())),
            ("seconds", self.took.as_secs().to_string()),
        ]
        .map(|(name, value)| format!("  {name:<34} {value}\n"))
        .concat()
    }
}

#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "the attack reports how long things took")]
fn now() -> Instant {
    Instant::now()
}
