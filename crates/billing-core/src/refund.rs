//! Refunds: the tries to give money of a paid invoice back at our own wish.
//!
//! As with attempts, the intent is durable before `PortOne` is asked, everything that goes into the request is frozen in it, and how it ended
//! may be unknown. While that is so, no other is begun: so money that one wish gave back is never given back for a second.

use crate::event::Cause;
use crate::guard::Guard;
use crate::invoice::{Invoice, LEASE, LOST_AFTER, RESEND_WINDOW, State, after};
use crate::money::Money;
use jiff::Timestamp;
use thiserror::Error;

/// How many refunds an invoice keeps, also those that failed. A customer is given money back once or twice; `PortOne`, too, has a limit
/// (`MAX_CANCEL_COUNT_REACHED`), which it does not state. Beyond this a person must look, in `PortOne`'s console.
pub const MAX_REFUNDS: usize = 20;

/// How long a reason may be, in characters. Toss Payments takes 200; the rest is left for our mark.
pub const MAX_REASON_CHARS: usize = 150;

/// How long a caller's idempotency key may be: as long as `PortOne` takes them.
pub const MAX_CALLER_KEY_CHARS: usize = 256;

/// A reason or a key that a caller gave is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadWish {
    /// The reason is blank, too long, or holds a control character.
    #[error(
        "the reason of a refund must be 1 to {MAX_REASON_CHARS} characters without control characters, and not blank"
    )]
    Reason,
    /// The idempotency key is empty, too long, or holds something else than visible ASCII.
    #[error("an idempotency key must be 1 to {MAX_CALLER_KEY_CHARS} visible ASCII characters")]
    Key,
}

/// Why money is given back, as `PortOne`, the PG and perhaps the customer read it: no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundReason(String);

impl RefundReason {
    /// Takes a reason from outside, without the blanks around it.
    pub fn new(text: &str) -> Result<Self, BadWish> {
        let text = text.trim();
        let is_good =
            !text.is_empty() && text.chars().count() <= MAX_REASON_CHARS && !text.chars().any(char::is_control);
        is_good.then(|| Self(text.to_owned())).ok_or(BadWish::Reason)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The idempotency key that a caller of ours gave a wish: the same key, the same answer, however often it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerKey(String);

impl CallerKey {
    /// Takes a key from outside.
    pub fn new(text: impl Into<String>) -> Result<Self, BadWish> {
        let text = text.into();
        let is_good = (1..=MAX_CALLER_KEY_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_good.then_some(Self(text)).ok_or(BadWish::Key)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a caller wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundWish {
    /// How much; nothing for all that is left.
    pub amount: Option<Money>,
    /// What the caller believes to be left before it: if it is not, nothing is done.
    pub expected: Option<Money>,
    /// Why.
    pub reason: RefundReason,
    /// The caller's key, if it gave one.
    pub key: Option<CallerKey>,
}

/// How a refund ended, or that it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was given back.
    Succeeded,
    /// `PortOne` took it and decides later (`PayPal`).
    Requested,
    /// The PG did not give it back.
    Failed {
        /// The PG's code.
        code: String,
    },
    /// `PortOne` refused it before the PG was asked.
    Refused {
        /// `PortOne`'s error type.
        code: String,
    },
    /// Proved never to have arrived.
    Lost,
}

impl RefundOutcome {
    /// Its name in tables and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Requested => "requested",
            Self::Failed { .. } => "failed",
            Self::Refused { .. } => "refused",
            Self::Lost => "lost",
        }
    }

    /// Whether it is news to a refund that is known to have ended like `before`. That money moved always is, for it is a fact; an end is
    /// news only of what was open.
    fn is_news_after(&self, before: Option<&Self>) -> bool {
        match before {
            None => true,
            Some(Self::Requested) => matches!(self, Self::Succeeded | Self::Failed { .. }),
            Some(Self::Failed { .. } | Self::Refused { .. } | Self::Lost) => *self == Self::Succeeded,
            Some(Self::Succeeded) => false,
        }
    }
}

/// One try to give money back. All that goes into its request is frozen here, so that a re-send under its idempotency key is the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// From 1.
    pub number: u32,
    /// How much.
    pub amount: Money,
    /// What was left before it: `PortOne` does it on this balance or not at all.
    pub cancellable_before: Money,
    /// Why.
    pub reason: RefundReason,
    /// The idempotency key of whoever wished it.
    pub key: Option<CallerKey>,
    /// What brought it about.
    pub cause: String,
    /// When it was begun.
    pub started_at: Timestamp,
    /// How it ended; nothing while that is under way or unknown.
    pub outcome: Option<RefundOutcome>,
    /// When that was written down.
    pub ended_at: Option<Timestamp>,
}

impl Refund {
    /// Whether it may still give money back, as far as we know.
    pub fn is_open(&self) -> bool {
        match &self.outcome {
            None | Some(RefundOutcome::Requested) => true,
            Some(
                RefundOutcome::Succeeded
                | RefundOutcome::Failed { .. }
                | RefundOutcome::Refused { .. }
                | RefundOutcome::Lost,
            ) => false,
        }
    }

    /// Whether a wish with the same key is this one again.
    pub fn is_of(&self, wish: &RefundWish) -> bool {
        wish.amount.unwrap_or(self.cancellable_before) == self.amount
            && wish.expected.is_none_or(|expected| expected == self.cancellable_before)
    }

    /// What is left after it.
    pub fn left(&self) -> Money {
        self.cancellable_before.minus(self.amount).unwrap_or_else(|_| Money::zero(self.amount.currency()))
    }

    /// The reason as `PortOne` is told it: with a mark, by which the refund is known again among a payment's cancellations. Nothing else
    /// of a request for a refund comes back in them.
    pub fn marked_reason(&self) -> String {
        format!("{} (refund {})", self.reason.as_str(), self.number)
    }

    /// The number in the mark of a reason, if it bears one.
    pub fn number_in(reason: &str) -> Option<u32> {
        let (_, mark) = reason.rsplit_once(" (refund ")?;
        mark.strip_suffix(')')?.parse().ok()
    }

    /// Whether nobody can be waiting for its answer any more, so that it may be sent again under its idempotency key; and `PortOne` still
    /// keeps that.
    pub fn may_be_sent_again(&self, now: Timestamp) -> bool {
        let is_kept = now < after(self.started_at, RESEND_WINDOW) || !Guard::ResendWindow.stands();
        self.outcome.is_none() && now >= after(self.started_at, LEASE) && is_kept
    }

    /// Whether no trace of it at `PortOne` means that it never arrived.
    pub fn is_lost_without_trace(&self, now: Timestamp) -> bool {
        let is_over = now >= after(self.started_at, LOST_AFTER) || !Guard::LostAfter.stands();
        self.outcome.is_none() && is_over
    }
}

/// Why no refund is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundRefusal {
    /// The invoice is not paid.
    NotPaid,
    /// All of it was given back.
    NothingLeft,
    /// Nothing, or money of another currency, was to be given back.
    NoSuchMoney,
    /// Less is left.
    MoreThanLeft {
        /// How much.
        left: Money,
    },
    /// The caller believes something else to be left.
    CancellableDiffers {
        /// What our books say.
        ours: Money,
        /// What the caller said.
        said: Money,
    },
    /// How another refund ends is not known yet.
    AnotherUnderWay {
        /// Its number.
        number: u32,
    },
    /// The invoice waits for a person.
    Parked,
    /// It has had [`MAX_REFUNDS`].
    TooMany,
}

impl Invoice {
    /// What is left to be given back.
    pub fn cancellable(&self) -> Result<Money, RefundRefusal> {
        match &self.state {
            State::Paid { .. } => Ok(self.amount),
            State::PartiallyRefunded { refunded, .. } => {
                self.amount.minus(*refunded).map_err(|_| RefundRefusal::NothingLeft)
            }
            State::Refunded { .. } => Err(RefundRefusal::NothingLeft),
            State::Open { .. }
            | State::Charging { .. }
            | State::Unknown { .. }
            | State::Pending { .. }
            | State::Failed { .. }
            | State::Uncollectible { .. }
            | State::Void { .. } => Err(RefundRefusal::NotPaid),
        }
    }

    /// The refund of this number.
    pub fn refund(&self, number: u32) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.number == number)
    }

    /// The refund that a caller's key belongs to.
    pub fn refund_of(&self, key: &CallerKey) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.key.as_ref() == Some(key)).filter(|_| Guard::RefundOnce.stands())
    }

    /// The refund whose end is not known yet.
    pub fn refund_under_way(&self) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.is_open())
    }

    /// Begins a refund: the durable intent that must be written before `PortOne` is asked. It is the last of the invoice's refunds then.
    pub fn refunding(&self, wish: &RefundWish, cause: &Cause, now: Timestamp) -> Result<Self, RefundRefusal> {
        if self.quarantine.is_some() {
            return Err(RefundRefusal::Parked);
        }
        let left = self.cancellable()?;
        if let Some(other) = self.refund_under_way().filter(|_| Guard::OneRefund.stands()) {
            return Err(RefundRefusal::AnotherUnderWay { number: other.number });
        }
        if let Some(said) = wish.expected.filter(|said| *said != left) {
            return Err(RefundRefusal::CancellableDiffers { ours: left, said });
        }
        let amount = wish.amount.unwrap_or(left);
        if amount.is_zero() || amount.currency() != left.currency() {
            return Err(RefundRefusal::NoSuchMoney);
        }
        left.minus(amount).map_err(|_| RefundRefusal::MoreThanLeft { left })?;
        let last = self.refunds.last().map_or(0, |refund| refund.number);
        let number = last.checked_add(1).filter(|_| self.refunds.len() < MAX_REFUNDS).ok_or(RefundRefusal::TooMany)?;
        let mut next = self.moved_to(self.state.clone(), now);
        next.refunds.push(Refund {
            number,
            amount,
            cancellable_before: left,
            reason: wish.reason.clone(),
            key: wish.key.clone(),
            cause: cause.to_string(),
            started_at: now,
            outcome: None,
            ended_at: None,
        });
        Ok(next)
    }

    /// Whether it would be news that a refund ended so.
    pub(crate) fn is_news_of_refund(&self, number: u32, outcome: &RefundOutcome) -> bool {
        self.refund(number).is_some_and(|refund| outcome.is_news_after(refund.outcome.as_ref()))
    }

    /// The invoice, with how a refund ended.
    pub(crate) fn with_refund_ended(mut self, number: u32, outcome: &RefundOutcome, now: Timestamp) -> Self {
        for refund in self.refunds.iter_mut().filter(|refund| refund.number == number) {
            refund.outcome = Some(outcome.clone());
            refund.ended_at = Some(now);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::{NOON, charging};
    use crate::money::Currency;
    use crate::subscription::tests::at;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    fn won(minor: i64) -> Money {
        Money::new(minor, Currency::Krw).unwrap()
    }

    /// An invoice of 30,000 won, paid.
    fn paid() -> Invoice {
        charging().moved_to(State::Paid { at: at(NOON) }, at(NOON))
    }

    fn wish(amount: Option<i64>) -> RefundWish {
        RefundWish {
            amount: amount.map(won),
            expected: None,
            reason: RefundReason::new("a wrong plan").unwrap(),
            key: None,
        }
    }

    fn begin(invoice: &Invoice, wish: &RefundWish) -> Result<Invoice, RefundRefusal> {
        invoice.refunding(wish, &Cause::Api("req-1".to_owned()), at(NOON))
    }

    #[test]
    fn a_refund_is_begun_with_all_that_its_request_needs() {
        let begun = begin(&paid(), &wish(Some(10_000))).unwrap();
        let refund = begun.refunds.last().unwrap();
        assert_eq!((refund.number, refund.amount, refund.cancellable_before), (1, won(10_000), won(30_000)));
        assert_eq!((refund.left(), refund.started_at, refund.cause.as_str()), (won(20_000), at(NOON), "api:req-1"));
        assert_eq!((begun.version, &begun.state), (paid().version + 1, &paid().state));
    }

    #[test]
    fn without_an_amount_all_that_is_left_is_given_back() {
        let partly = State::PartiallyRefunded { paid_at: at(NOON), refunded: won(12_000) };
        let begun = begin(&paid().moved_to(partly, at(NOON)), &wish(None)).unwrap();
        assert_eq!(begun.refunds[0].amount, won(18_000));
    }

    #[test]
    fn what_cannot_be_given_back_is_refused_and_says_why() {
        let refused = |invoice: &Invoice, wish: &RefundWish| begin(invoice, wish).unwrap_err();
        let dollars = Money::new(100, Currency::Usd).unwrap();
        assert_eq!(refused(&charging(), &wish(None)), RefundRefusal::NotPaid);
        let whole = paid().moved_to(State::Refunded { paid_at: at(NOON) }, at(NOON));
        assert_eq!(refused(&whole, &wish(None)), RefundRefusal::NothingLeft);
        assert_eq!(refused(&paid(), &wish(Some(30_001))), RefundRefusal::MoreThanLeft { left: won(30_000) });
        assert_eq!(refused(&paid(), &wish(Some(0))), RefundRefusal::NoSuchMoney);
        assert_eq!(refused(&paid(), &RefundWish { amount: Some(dollars), ..wish(None) }), RefundRefusal::NoSuchMoney);
        let other = RefundWish { expected: Some(won(29_999)), ..wish(None) };
        let differs = RefundRefusal::CancellableDiffers { ours: won(30_000), said: won(29_999) };
        assert_eq!(refused(&paid(), &other), differs);
        let parked = Invoice { quarantine: Some("why".to_owned()), ..paid() };
        assert_eq!(refused(&parked, &wish(None)), RefundRefusal::Parked);
    }

    #[test]
    fn while_a_refund_is_open_no_other_is_begun() {
        let begun = begin(&paid(), &wish(Some(1))).unwrap();
        for (outcome, is_open) in [
            (None, true),
            (Some(RefundOutcome::Requested), true),
            (Some(RefundOutcome::Succeeded), false),
            (Some(RefundOutcome::Failed { code: "X".to_owned() }), false),
            (Some(RefundOutcome::Refused { code: "X".to_owned() }), false),
            (Some(RefundOutcome::Lost), false),
        ] {
            let mut invoice = begun.clone();
            invoice.refunds[0].outcome = outcome.clone();
            let again = begin(&invoice, &wish(Some(1)));
            let expected = if is_open { Err(RefundRefusal::AnotherUnderWay { number: 1 }) } else { Ok(2) };
            assert_eq!(again.map(|next| next.refunds[1].number), expected, "{outcome:?}");
        }
    }

    #[test]
    fn an_invoice_has_at_most_twenty_refunds() {
        let mut invoice = paid();
        for _ in 0..MAX_REFUNDS {
            let begun = begin(&invoice, &wish(Some(1))).unwrap();
            let number = begun.refunds.last().unwrap().number;
            invoice = begun.with_refund_ended(number, &RefundOutcome::Lost, at(NOON));
        }
        assert_eq!(begin(&invoice, &wish(Some(1))).unwrap_err(), RefundRefusal::TooMany);
    }

    #[test]
    fn a_callers_key_finds_its_refund_and_only_a_wish_for_the_same() {
        let key = CallerKey::new("order-77").unwrap();
        let first = RefundWish { key: Some(key.clone()), ..wish(Some(10_000)) };
        let begun = begin(&paid(), &first).unwrap();
        let refund = begun.refund_of(&key).unwrap();
        assert!(refund.is_of(&first) && refund.is_of(&RefundWish { expected: Some(won(30_000)), ..first.clone() }));
        assert!(!refund.is_of(&RefundWish { amount: Some(won(9_999)), ..first.clone() }));
        assert!(!refund.is_of(&RefundWish { amount: None, ..first.clone() }), "all that is left was not the wish");
        assert!(!refund.is_of(&RefundWish { expected: Some(won(20_000)), ..first }));
        assert_eq!(begun.refund_of(&CallerKey::new("order-78").unwrap()), None);
        let whole = begin(&paid(), &wish(None)).unwrap();
        assert!(whole.refunds[0].is_of(&wish(None)) && whole.refunds[0].is_of(&wish(Some(30_000))));
    }

    #[test]
    fn a_refund_is_sent_again_after_the_lease_while_the_key_is_kept_and_lost_once_nothing_of_it_can_be_under_way() {
        let refund = begin(&paid(), &wish(None)).unwrap().refunds.remove(0);
        let after = |minutes| at(NOON) + SignedDuration::from_mins(minutes);
        let may = [2, 3, 169, 170].map(|minutes| refund.may_be_sent_again(after(minutes)));
        assert_eq!(may, [false, true, true, false]);
        assert_eq!([189, 190].map(|minutes| refund.is_lost_without_trace(after(minutes))), [false, true]);
        let requested = Refund { outcome: Some(RefundOutcome::Requested), ..refund };
        assert!(!requested.may_be_sent_again(after(10)) && !requested.is_lost_without_trace(after(500)));
    }

    #[test]
    fn that_money_moved_is_news_whatever_was_believed_and_no_other_end_replaces_an_end() {
        use RefundOutcome::{Lost, Requested, Succeeded};
        let failed = RefundOutcome::Failed { code: "F".to_owned() };
        let refused = RefundOutcome::Refused { code: "R".to_owned() };
        let news = |before: Option<&RefundOutcome>| {
            [&Succeeded, &Requested, &failed, &refused, &Lost].map(|outcome| outcome.is_news_after(before))
        };
        assert_eq!(news(None), [true; 5]);
        assert_eq!(news(Some(&Requested)), [true, false, true, false, false]);
        for ended in [&failed, &refused, &Lost] {
            assert_eq!(news(Some(ended)), [true, false, false, false, false], "{ended:?}");
        }
        assert_eq!(news(Some(&Succeeded)), [false; 5]);
    }

    #[test]
    fn reasons_and_keys_from_outside_are_bounded() {
        assert!(RefundReason::new(&"가".repeat(150)).is_ok() && RefundReason::new(&"가".repeat(151)).is_err());
        assert!(RefundReason::new("  ").is_err() && RefundReason::new("a\nb").is_err());
        assert_eq!(RefundReason::new(" wrong plan ").unwrap().as_str(), "wrong plan");
        assert!(CallerKey::new("k".repeat(256)).is_ok() && CallerKey::new("k".repeat(257)).is_err());
        assert!(["", "a b", "키", "a\n"].into_iter().all(|key| CallerKey::new(key).is_err()));
    }

    proptest! {
        #[test]
        fn a_refund_is_known_again_by_its_mark_whatever_its_reason(reason in "[^\\p{C}]{1,150}", number in 1..=99_u32) {
            prop_assume!(RefundReason::new(&reason).is_ok());
            let mut refund = begin(&paid(), &wish(None)).unwrap().refunds.remove(0);
            refund.reason = RefundReason::new(&reason).unwrap();
            refund.number = number;
            prop_assert_eq!(Refund::number_in(&refund.marked_reason()), Some(number));
            prop_assert!(refund.marked_reason().chars().count() <= 200);
        }
    }
}
