//! Invoices: what one subscription owes for one billing period, and the attempts to collect it.

use crate::calendar::{self, Period};
use crate::change::Upgrade;
use crate::decline::Decline;
use crate::dunning::MAX_DECLINES;
use crate::guard::Guard;
use crate::id::{MAX_REVISION, PaymentId, StoreId};
use crate::money::{Money, MoneyError};
use crate::notice::Bought;
use crate::plan::{Catalogue, Locale, PlanType, Terms};
use crate::refund::Refund;
use crate::subscription::{Customer, Method, Subscription, SubscriptionKey};
use crate::text::cut_to_bytes;
use jiff::{SignedDuration, Timestamp};

/// How long a claim protects an attempt from others: longer than `PortOne`'s 60 s read timeout and the worker's own (90 s).
pub const LEASE: SignedDuration = SignedDuration::from_secs(180);

/// `PortOne` keeps an idempotency key for 3 hours. A re-send must arrive well inside them, so the window closes ten minutes early.
pub const RESEND_WINDOW: SignedDuration = SignedDuration::from_mins(170);

/// A 404 for a payment says something only once nothing sent under its idempotency key can still be on its way: after the 3 hours.
pub const LOST_AFTER: SignedDuration = SignedDuration::from_mins(190);

/// How far apart two attempts with one method are at least. A failure that `PortOne` shows is told from an earlier one by its time, and clocks
/// differ.
pub const APART: SignedDuration = SignedDuration::from_mins(2);

/// How many attempts an invoice keeps. Declines are limited to four by the ladder; the others are those that never reached `PortOne` or that
/// it refused, at most one a day. Beyond this a person must look.
pub const MAX_ATTEMPTS: usize = 60;

/// What of a billing period an invoice is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The period itself.
    #[default]
    Period,
    /// An upgrade within it, by its number: the difference, for the days from the period's start on.
    Upgrade(u32),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Paid.
    Paid,
    /// Declined.
    Declined(Decline),
    /// Accepted, not decided yet.
    Pending,
    /// Nobody knows yet.
    Unknown,
    /// Refused by `PortOne` before any charge, by its error type: our mistake.
    Refused(String),
    /// Proved never to have arrived.
    Lost,
}

impl Outcome {
    /// Its name in tables, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Declined(_) => "declined",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Refused(_) => "refused",
            Self::Lost => "lost",
        }
    }
}

/// One try to collect an invoice. Everything that goes into its request is frozen here or in the invoice, so that a re-send under its
/// idempotency key is the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// What was charged.
    pub method: Method,
    /// What brought it about.
    pub cause: String,
    /// How it ended; nothing while it runs.
    pub outcome: Option<Outcome>,
    /// When that was written down.
    pub ended_at: Option<Timestamp>,
}

impl Attempt {
    /// Whether `PortOne` refused our credentials before it looked at the request.
    fn is_unseen(&self) -> bool {
        matches!(&self.outcome, Some(Outcome::Refused(code)) if code == "UNAUTHORIZED" || code == "FORBIDDEN")
    }
}

/// Proof of payment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// The PG's own id of the transaction.
    pub pg_tx_id: Option<String>,
    /// `PortOne`'s id of the attempt that succeeded.
    pub transaction_id: Option<String>,
    /// `PortOne`'s receipt page.
    pub receipt_url: Option<String>,
}

/// The state of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Owed; no attempt is under way.
    Open {
        /// When it may be attempted.
        next_attempt_at: Timestamp,
    },
    /// An attempt is under way, and its worker has this long to write down how it ended.
    Charging {
        /// Until when.
        lease_until: Timestamp,
    },
    /// Nobody knows how the last attempt ended: ask before anything else.
    Unknown {
        /// Since when.
        since: Timestamp,
    },
    /// `PortOne` accepted the last attempt and has not decided it.
    Pending {
        /// Since when.
        since: Timestamp,
    },
    /// The last attempt was declined.
    Failed {
        /// When the same method is tried again; nothing if only a new method can help.
        retry_at: Option<Timestamp>,
    },
    /// Paid.
    Paid {
        /// When, by the PG's clock.
        at: Timestamp,
    },
    /// Given up.
    Uncollectible {
        /// When.
        at: Timestamp,
    },
    /// No longer owed: cancelled, or carried on under another payment id.
    Void {
        /// When.
        at: Timestamp,
    },
    /// Paid, and partly given back.
    PartiallyRefunded {
        /// When it was paid.
        paid_at: Timestamp,
        /// How much was given back.
        refunded: Money,
    },
    /// Paid, and given back.
    Refunded {
        /// When it was paid.
        paid_at: Timestamp,
    },
}

impl State {
    /// The status as the tables spell it.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Charging { .. } => "charging",
            Self::Unknown { .. } => "unknown",
            Self::Pending { .. } => "pending",
            Self::Failed { .. } => "failed",
            Self::Paid { .. } => "paid",
            Self::Uncollectible { .. } => "uncollectible",
            Self::Void { .. } => "void",
            Self::PartiallyRefunded { .. } => "partially_refunded",
            Self::Refunded { .. } => "refunded",
        }
    }
}

/// What one subscription owes for one billing period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Its name at `PortOne`, derived from (store, subscription, period).
    pub payment_id: PaymentId,
    /// How often that name was replaced because `PortOne` called it used up.
    pub revision: u8,
    /// Whose subscription.
    pub subscription: SubscriptionKey,
    /// The period; of an upgrade the days that it is charged for.
    pub period: Period,
    /// What of the period it is for.
    pub part: Part,
    /// What is owed, tax included, frozen.
    pub amount: Money,
    /// The plan, frozen.
    pub plan: PlanType,
    /// The plan's name, frozen in the customer's language.
    pub plan_name: String,
    /// The seats, frozen.
    pub seats: u32,
    /// The order name, frozen; each PG gets as much of it as it takes.
    pub order_name: String,
    /// Who is billed, frozen.
    pub customer: Customer,
    /// The language of its mails, frozen.
    pub locale: Locale,
    /// Its state.
    pub state: State,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The refunds that were begun here, oldest first.
    pub refunds: Vec<Refund>,
    /// When it first failed: the ladder's foot.
    pub first_failed_at: Option<Timestamp>,
    /// Proof of payment, as far as it is known.
    pub proof: Proof,
    /// Why it is parked for a person, if it is.
    pub quarantine: Option<String>,
    /// The payment id it is carried on under.
    pub superseded_by: Option<PaymentId>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its writes: every write is conditional on the version it read.
    pub version: u64,
}

/// What may be done to an invoice that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new attempt may be claimed.
    Attempt,
    /// Another worker has it, until its lease ends.
    InProgress(Timestamp),
    /// Ask `PortOne` first: the last attempt's end is not known.
    Ask,
    /// Not before this moment.
    Wait(Timestamp),
    /// Only a new method could have helped, and none came in time.
    GiveUp,
    /// It is settled, void or parked: nothing is to be collected.
    Nothing,
}

impl Invoice {
    /// Opens the invoice of a period.
    pub fn open(
        subscription: &Subscription,
        period: Period,
        store: &StoreId,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Self, MoneyError> {
        let terms = subscription.terms_for(period);
        let order_name = catalogue.order_name(terms.plan, subscription.locale, period);
        let amount = subscription.amount_for(period)?;
        Ok(Self::opened(subscription, (period, Part::Period), terms, (amount, order_name), store, catalogue, now))
    }

    /// Opens the invoice of an upgrade.
    pub fn open_upgrade(
        subscription: &Subscription,
        upgrade: &Upgrade,
        store: &StoreId,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Self {
        let owed = (upgrade.covers, Part::Upgrade(upgrade.number));
        let order_name = catalogue.upgrade_order_name(upgrade.terms.plan, subscription.locale, upgrade.covers);
        Self::opened(subscription, owed, upgrade.terms, (upgrade.amount, order_name), store, catalogue, now)
    }

    fn opened(
        subscription: &Subscription,
        (period, part): (Period, Part),
        terms: Terms,
        (amount, order_name): (Money, String),
        store: &StoreId,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Self {
        let guard = match part {
            Part::Period => Guard::DerivedId,
            Part::Upgrade(_) => Guard::UpgradeId,
        };
        let salt = if guard.stands() { 0 } else { now.as_millisecond().to_le_bytes()[0] };
        Self {
            payment_id: PaymentId::derive(store, &subscription.key, period, part, salt),
            revision: 0,
            subscription: subscription.key.clone(),
            period,
            part,
            amount,
            plan: terms.plan,
            plan_name: catalogue.name(terms.plan, subscription.locale).to_owned(),
            seats: terms.seats,
            order_name,
            customer: subscription.customer.clone(),
            locale: subscription.locale,
            state: State::Open { next_attempt_at: now },
            attempts: Vec::new(),
            refunds: Vec::new(),
            first_failed_at: None,
            proof: Proof::default(),
            quarantine: None,
            superseded_by: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// As if it might be tried now: its customer wants it tried. What cannot succeed is not tried all the same, and nothing within [`APART`] of
    /// the last attempt.
    #[must_use]
    pub fn brought_forward(mut self, now: Timestamp) -> Self {
        let ended = self.attempts.last().and_then(|last| last.ended_at);
        let earliest = ended.map_or(now, |ended| after(ended, APART)).max(now);
        match &mut self.state {
            State::Open { next_attempt_at: at } | State::Failed { retry_at: Some(at) } => *at = earliest.min(*at),
            State::Failed { retry_at: None }
            | State::Charging { .. }
            | State::Unknown { .. }
            | State::Pending { .. }
            | State::Paid { .. }
            | State::Uncollectible { .. }
            | State::Void { .. }
            | State::PartiallyRefunded { .. }
            | State::Refunded { .. } => {}
        }
        self
    }

    /// What may be done at `now`, with the method the subscription has now.
    pub fn step(&self, method: Option<&Method>, now: Timestamp) -> Step {
        if self.quarantine.is_some() {
            return Step::Nothing;
        }
        match &self.state {
            State::Open { next_attempt_at } if *next_attempt_at > now => Step::Wait(*next_attempt_at),
            State::Charging { lease_until } if *lease_until > now && Guard::Lease.stands() => {
                Step::InProgress(*lease_until)
            }
            State::Charging { .. } | State::Unknown { .. } | State::Pending { .. } if Guard::AskFirst.stands() => {
                Step::Ask
            }
            State::Open { .. } | State::Charging { .. } | State::Unknown { .. } | State::Pending { .. } => {
                Step::Attempt
            }
            State::Failed { retry_at } => {
                let tried = self.attempts.last().map(|attempt| &attempt.method.billing_key);
                let is_new = method.is_some_and(|method| tried != Some(&method.billing_key));
                match retry_at {
                    _ if is_new => Step::Attempt,
                    Some(at) if *at > now => Step::Wait(*at),
                    Some(_) => Step::Attempt,
                    None => Step::GiveUp,
                }
            }
            State::Paid { .. }
            | State::Uncollectible { .. }
            | State::Void { .. }
            | State::PartiallyRefunded { .. }
            | State::Refunded { .. } => Step::Nothing,
        }
    }

    /// Claims the next attempt: the durable intent that must be written before `PortOne` is called. Refused unless [`Invoice::step`] says
    /// that an attempt may be made, and never beyond the limits.
    #[must_use]
    pub fn claimed(&self, method: &Method, cause: String, now: Timestamp) -> Option<Self> {
        if self.step(Some(method), now) != Step::Attempt
            || (self.declines() >= MAX_DECLINES && Guard::RetryLimit.stands())
            || self.attempts.len() >= MAX_ATTEMPTS
        {
            return None;
        }
        // An attempt that was refused for our credentials was never looked at: it is made again under its own number, and so under its own
        // idempotency key.
        let unseen = self.attempts.last().filter(|last| last.is_unseen() && last.method == *method);
        let number = match unseen {
            Some(last) => last.number,
            None => self.attempts.last().map_or(0, |last| last.number).checked_add(1)?,
        };
        let mut next = self.moved_to(State::Charging { lease_until: after(now, LEASE) }, now);
        next.attempts.retain(|attempt| attempt.number < number);
        next.attempts.push(Attempt {
            number,
            started_at: now,
            method: method.clone(),
            cause,
            outcome: None,
            ended_at: None,
        });
        Some(next)
    }

    /// Takes the lease of the last attempt anew, to send it again under the same idempotency key. Refused unless its end is unknown, its
    /// lease is over, and the key is still kept by `PortOne`; and for an upgrade after the first of the days that it is the price of, which
    /// would be paid for and not had.
    #[must_use]
    pub fn reclaimed(&self, now: Timestamp) -> Option<Self> {
        let open_ended = self.quarantine.is_none()
            && match &self.state {
                State::Charging { lease_until } => *lease_until <= now || !Guard::Lease.stands(),
                State::Unknown { .. } => true,
                State::Open { .. }
                | State::Pending { .. }
                | State::Failed { .. }
                | State::Paid { .. }
                | State::Uncollectible { .. }
                | State::Void { .. }
                | State::PartiallyRefunded { .. }
                | State::Refunded { .. } => false,
            };
        let attempt = self.attempts.last()?;
        let is_in_time = match self.part {
            Part::Period => true,
            Part::Upgrade(_) => calendar::date_at(now) <= self.period.start(),
        };
        (open_ended && is_in_time && (now < after(attempt.started_at, RESEND_WINDOW) || !Guard::ResendWindow.stands()))
            .then(|| self.moved_to(State::Charging { lease_until: after(now, LEASE) }, now))
    }

    /// The attempt that is under way or whose end is not decided.
    pub fn undecided(&self) -> Option<&Attempt> {
        match &self.state {
            State::Charging { .. } | State::Unknown { .. } | State::Pending { .. } => self.attempts.last(),
            State::Open { .. }
            | State::Failed { .. }
            | State::Paid { .. }
            | State::Uncollectible { .. }
            | State::Void { .. }
            | State::PartiallyRefunded { .. }
            | State::Refunded { .. } => None,
        }
    }

    /// How many attempts were declined.
    pub fn declines(&self) -> u32 {
        let count =
            self.attempts.iter().filter(|attempt| matches!(attempt.outcome, Some(Outcome::Declined(_)))).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The order name as far as the PG of `method` takes it.
    pub fn order_name_for(&self, method: &Method) -> &str {
        cut_to_bytes(&self.order_name, method.pg.order_name_bytes())
    }

    /// What mails about it show.
    pub fn bought(&self) -> Bought {
        Bought {
            payment_id: self.payment_id.clone(),
            plan_name: self.plan_name.clone(),
            seats: self.seats,
            period: self.period,
            amount: self.amount,
        }
    }

    /// Voids it: the customer cancelled before it was paid. Refused while an attempt's end is not known, once it is settled, and while it is
    /// parked.
    #[must_use]
    pub fn voided(&self, now: Timestamp) -> Option<Self> {
        let unpaid = matches!(self.state, State::Open { .. } | State::Failed { .. });
        (unpaid && self.quarantine.is_none()).then(|| self.moved_to(State::Void { at: now }, now))
    }

    /// Replaces a payment id that `PortOne` called used up and a GET proved unpaid: the old invoice is void, and the new one goes on with
    /// the old one's history and may be attempted at once. Refused if our books call it paid or it is parked, and beyond [`MAX_REVISION`].
    pub fn superseded(&self, store: &StoreId, now: Timestamp) -> Option<(Self, Self)> {
        let is_paid =
            matches!(self.state, State::Paid { .. } | State::PartiallyRefunded { .. } | State::Refunded { .. });
        if is_paid || self.quarantine.is_some() {
            return None;
        }
        let revision = self.revision.checked_add(1).filter(|revision| *revision <= MAX_REVISION)?;
        let payment_id = PaymentId::derive(store, &self.subscription, self.period, self.part, revision);
        let mut old = self.moved_to(State::Void { at: now }, now);
        old.superseded_by = Some(payment_id.clone());
        let mut attempts = self.attempts.clone();
        if let Some(last) = attempts.last_mut() {
            last.outcome = Some(Outcome::Refused("MAX_TRANSACTION_COUNT_REACHED".to_owned()));
            last.ended_at = Some(now);
        }
        let new = Self {
            payment_id,
            revision,
            attempts,
            state: State::Open { next_attempt_at: now },
            version: 1,
            updated_at: now,
            ..self.clone()
        };
        Some((old, new))
    }

    /// The invoice in another state, one write later. Clocks of two machines differ; an invoice's own time never goes back.
    pub(crate) fn moved_to(&self, state: State, now: Timestamp) -> Self {
        Self { state, updated_at: now.max(self.updated_at), version: self.version.saturating_add(1), ..self.clone() }
    }

    /// The last attempt, ended.
    pub(crate) fn ended(mut self, outcome: Outcome, now: Timestamp) -> Self {
        if let Some(last) = self.attempts.last_mut() {
            last.outcome = Some(outcome);
            last.ended_at = Some(now);
        }
        self
    }
}

/// `at` and a while, or the end of time.
pub(crate) fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// When an invoice that `PortOne` refused for a mistake of ours is tried again: the next morning, when someone may have mended it.
pub(crate) fn after_refusal(now: Timestamp) -> Timestamp {
    calendar::next_billing_morning(now)
}

#[cfg(test)]
pub(crate) mod tests {
    mod attempts;
    mod opening;

    use super::*;
    use crate::subscription::tests::{at, method, period, standard};

    pub(crate) fn catalogue() -> Catalogue {
        Catalogue::parse(
            "brand = \"Sivera\"\ntrial_days = 14\n[plans.standard]\nname = { ko = \"Standard\", en = \"Standard\" }\n\
             max_seats = 100\nprice_per_seat = { KRW = 10000, USD = 900 }",
        )
        .unwrap()
    }

    pub(crate) const NOON: &str = "2026-12-01T10:00:00+09:00";

    pub(crate) fn opened() -> Invoice {
        Invoice::open(&standard(), period("2026-12-01"), &StoreId::new("store-1").unwrap(), &catalogue(), at(NOON))
            .unwrap()
    }

    pub(crate) fn charging() -> Invoice {
        opened().claimed(&method("billing-key-1"), "run:1".into(), at(NOON)).unwrap()
    }

    #[test]
    fn an_attempt_under_way_cannot_be_claimed_by_another() {
        assert_eq!(
            charging().step(None, at("2026-12-01T10:02:59+09:00")),
            Step::InProgress(at("2026-12-01T10:03:00+09:00"))
        );
        assert!(charging().claimed(&method("billing-key-1"), "run:1".into(), at(NOON)).is_none());
    }

    #[test]
    fn a_lapsed_lease_is_asked_about_never_simply_charged_again() {
        let later = at("2026-12-01T11:00:00+09:00");
        assert_eq!(charging().step(Some(&method("billing-key-1")), later), Step::Ask);
        assert!(charging().claimed(&method("billing-key-1"), "run:2".into(), later).is_none());
    }

    #[test]
    fn an_upgrade_is_sent_again_on_the_first_of_the_days_it_is_the_price_of_and_not_after() {
        let at_once = |period| Invoice { part: Part::Upgrade(1), period, ..charging() };
        let later = at("2026-12-01T11:00:00+09:00");
        assert!(at_once(period("2026-12-01")).reclaimed(later).is_some());
        assert!(at_once(period("2026-11-30")).reclaimed(later).is_none());
    }

    #[test]
    fn a_resend_keeps_the_attempt_and_is_refused_when_the_key_is_no_longer_kept() {
        let again = charging().reclaimed(at("2026-12-01T11:00:00+09:00")).unwrap();
        assert_eq!(again.attempts, charging().attempts);
        assert!(charging().reclaimed(at("2026-12-01T10:01:00+09:00")).is_none(), "the lease is not over");
        assert!(charging().reclaimed(at("2026-12-01T12:50:00+09:00")).is_none(), "the key may be forgotten");
    }

    #[test]
    fn a_new_method_may_be_tried_at_once_and_the_old_one_not() {
        let failed = Invoice { state: State::Failed { retry_at: None }, ..charging() };
        assert_eq!(failed.step(Some(&method("billing-key-2")), at(NOON)), Step::Attempt);
        assert_eq!(failed.step(Some(&method("billing-key-1")), at(NOON)), Step::GiveUp);
        assert_eq!(failed.step(None, at(NOON)), Step::GiveUp);
    }

    #[test]
    fn a_parked_invoice_is_left_alone() {
        let parked = Invoice { quarantine: Some("amounts differ".into()), ..opened() };
        assert_eq!(parked.step(Some(&method("billing-key-2")), Timestamp::MAX), Step::Nothing);
        assert!(parked.reclaimed(at(NOON)).is_none());
    }

    #[test]
    fn an_order_name_is_cut_to_what_the_pg_takes() {
        let long = Invoice { order_name: "시베라 ".repeat(20), ..opened() };
        let inicis = Method { pg: crate::decline::Pg::Inicis, ..method("billing-key-1") };
        assert!(long.order_name_for(&inicis).len() <= 40);
        assert_eq!(opened().order_name_for(&inicis), "Sivera Standard - 12월 구독료");
    }

    #[test]
    fn a_used_up_payment_id_is_replaced_by_the_next_revision_with_its_history() {
        let store = StoreId::new("store-1").unwrap();
        let (old, new) = charging().superseded(&store, at(NOON)).unwrap();
        assert_eq!(old.state.status(), "void");
        assert_eq!(old.superseded_by.as_ref(), Some(&new.payment_id));
        assert_ne!(old.payment_id, new.payment_id);
        assert_eq!((new.revision, new.attempts.len(), new.state.status()), (1, 1, "open"));
    }

    #[test]
    fn the_ninth_revision_of_a_payment_id_is_the_last() {
        let store = StoreId::new("store-1").unwrap();
        let superseded = |revision| Invoice { revision, ..charging() }.superseded(&store, at(NOON));
        assert_eq!(superseded(8).unwrap().1.revision, 9);
        assert!(superseded(9).is_none());
    }

    #[test]
    fn an_invoice_that_was_paid_is_not_replaced_whatever_became_of_the_money() {
        let paid_at = at(NOON);
        for state in [
            State::Paid { at: paid_at },
            State::PartiallyRefunded { paid_at, refunded: opened().amount },
            State::Refunded { paid_at },
        ] {
            let paid = charging().moved_to(state, paid_at);
            assert!(paid.superseded(&StoreId::new("store-1").unwrap(), paid_at).is_none(), "{:?}", paid.state);
        }
    }

    #[test]
    fn portone_is_asked_whether_an_attempt_is_lost_only_after_it_forgot_the_key_and_not_re_sent_shortly_before() {
        let kept = SignedDuration::from_hours(3);
        assert!(RESEND_WINDOW < kept && kept < LOST_AFTER);
        assert!(LEASE > SignedDuration::from_secs(90), "the worker's own read timeout");
    }

    #[test]
    fn what_replaces_a_used_up_payment_id_begins_anew_and_says_how_the_last_attempt_ended() {
        let later = at("2026-12-01T10:05:00+09:00");
        let (_, new) = charging().superseded(&StoreId::new("store-1").unwrap(), later).unwrap();
        assert_eq!((new.version, new.updated_at), (1, later));
        assert_eq!(new.step(None, later), Step::Attempt);
        let last = new.attempts.last().unwrap();
        assert_eq!(last.outcome, Some(Outcome::Refused("MAX_TRANSACTION_COUNT_REACHED".to_owned())));
        assert_eq!(last.ended_at, Some(later));
    }

    #[test]
    fn an_invoice_is_voided_only_while_it_is_unpaid_and_no_attempt_is_under_way() {
        let later = at("2026-12-01T10:05:00+09:00");
        let failed = charging().moved_to(State::Failed { retry_at: None }, at(NOON));
        for unpaid in [opened(), failed] {
            let void = unpaid.voided(later).unwrap();
            assert_eq!((void.state, void.updated_at), (State::Void { at: later }, later));
        }
        for state in [
            State::Unknown { since: later },
            State::Pending { since: later },
            State::Paid { at: later },
            State::Uncollectible { at: later },
        ] {
            let other = charging().moved_to(state, at(NOON));
            assert!(other.voided(later).is_none(), "{:?}", other.state);
        }
        assert!(charging().voided(later).is_none());
    }

    #[test]
    fn the_end_of_an_attempt_has_one_name_in_tables_and_logs() {
        let declined = Decline { reason: crate::decline::Reason::Expired, code: "X".to_owned() };
        let ends = [
            Outcome::Paid,
            Outcome::Declined(declined),
            Outcome::Pending,
            Outcome::Unknown,
            Outcome::Refused("X".to_owned()),
            Outcome::Lost,
        ];
        let names = ends.map(|end| end.name());
        assert_eq!(names, ["paid", "declined", "pending", "unknown", "refused", "lost"]);
    }
}
