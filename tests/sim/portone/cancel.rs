//! Giving money back, as harshly as what is not known of the real `PortOne` allows.
//!
//! The balance is compared at the door only: of two refunds that are at the PG at once both may succeed, as long as the money lasts. A refund
//! that is being decided is in no reading yet.

use super::super::context::Journey;
use super::super::kernel::lock;
use super::{About, Answer, KEPT_FOR, PortOne, Slot, State};
use billing_core::Timestamp;
use billing_core::decline::Pg;
use billing_core::guard::Guard;
use billing_core::id::PaymentId;
use billing_flows::ports::{CancelAnswer, CancelOrder, CancellationSeen, CancellationStatus, SeenStatus};
use jiff::SignedDuration;
use std::collections::BTreeMap;

impl Answer for CancelAnswer {
    fn unknown(why: &str) -> Self {
        Self::Unknown(why.to_owned())
    }

    fn refused() -> Self {
        Self::Refused { code: "INVALID_REQUEST".to_owned() }
    }

    fn unauthorized() -> Self {
        Self::Unauthorized { code: "UNAUTHORIZED".to_owned() }
    }

    fn used_up() -> Option<Self> {
        None
    }
}

/// An order for a refund as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wished {
    /// The payment id.
    pub payment_id: PaymentId,
    /// The idempotency key.
    pub key: String,
    /// The number of the refund.
    pub number: u32,
    /// How much.
    pub amount: i64,
    /// The balance that it was reckoned on.
    pub cancellable: i64,
    /// Why.
    pub reason: String,
}

/// What is known of an idempotency key: nothing as long as the first request under it is being decided.
type Kept = Option<CancelAnswer>;

/// The refunds that were asked for.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    sent: Vec<(Wished, Timestamp)>,
    answers: BTreeMap<String, (Wished, Timestamp, Kept)>,
    given: Vec<Wished>,
    salt: u64,
}

impl PortOne {
    /// What was given back at the wish of an API call, oldest first.
    pub fn given(&self) -> Vec<Wished> {
        lock(&self.state).cancels.given.clone()
    }

    pub(super) async fn give_back_by_api(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        let slot = Slot::default();
        self.send_cancel(order, &slot);
        let answer = slot.wait().await;
        self.cx.note(|| format!("answer to refund {} of {}: {answer:?}", order.refund, order.payment_id));
        answer
    }

    fn send_cancel(&self, order: &CancelOrder<'_>, slot: &Slot<CancelAnswer>) {
        let now = self.cx.now();
        let journey = self.cx.journey(false);
        let mut state = lock(&self.state);
        let mut key = order.payment_id.refund_key(order.refund);
        if !Guard::RefundKey.stands() {
            state.cancels.salt += 1;
            key = format!("{key}-{}", state.cancels.salt);
        }
        let wished = Wished {
            payment_id: order.payment_id.clone(),
            key,
            number: order.refund,
            amount: order.amount.minor(),
            cancellable: order.cancellable.minor(),
            reason: order.reason.to_owned(),
        };
        let is_other = |other: &Wished| other.payment_id == wished.payment_id && other.number != wished.number;
        if state.cancels.answers.values().any(|(other, _, kept)| kept.is_none() && is_other(other)) {
            self.cx.violation(format!("two refunds of {} are under way at once", wished.payment_id));
        }
        let first = state.cancels.sent.iter().find(|(before, _)| before.key == wished.key);
        if first.is_some_and(|(_, at)| now.duration_since(*at) >= KEPT_FOR) && journey != Journey::Unauthorized {
            self.cx.violation(format!("{} was sent again after its idempotency key was forgotten", wished.key));
        }
        if journey != Journey::Unauthorized {
            state.cancels.sent.push((wished.clone(), now));
        }
        drop(state);
        self.cx.note(|| format!("refund {} of {} ({journey:?})", wished.key, wished.amount));
        self.travel(journey, slot.clone(), |portone, deciding, back| portone.arrive_cancel(wished, deciding, back));
    }

    fn arrive_cancel(&self, wished: Wished, deciding: SignedDuration, back: Option<Slot<CancelAnswer>>) {
        let now = self.cx.now();
        let answer = {
            let mut state = lock(&self.state);
            let kept = state.cancels.answers.get(&wished.key).filter(|(_, at, _)| now.duration_since(*at) < KEPT_FOR);
            match kept {
                Some((first, _, _)) if *first != wished => {
                    self.cx.violation(format!("another request under the idempotency key {}", wished.key));
                    Some(CancelAnswer::Refused { code: "INVALID_REQUEST".to_owned() })
                }
                Some((_, _, Some(answer))) => Some(answer.clone()),
                Some((_, _, None)) => Some(CancelAnswer::Unknown("IDEMPOTENCY_OUTSTANDING_REQUEST".to_owned())),
                None => {
                    let refused = state.refuses_cancel(&wished);
                    if refused.is_none() && state.left(&wished.payment_id) != wished.cancellable {
                        self.cx
                            .violation(format!("{} was made on another balance than it was reckoned on", wished.key));
                    }
                    state.cancels.answers.insert(wished.key.clone(), (wished.clone(), now, refused.clone()));
                    refused
                }
            }
        };
        if let Some(answer) = answer {
            return self.answer(back, answer);
        }
        let portone = self.clone();
        self.cx.kernel.after(deciding, move || portone.decide_cancel(&wished, back));
    }

    fn decide_cancel(&self, wished: &Wished, back: Option<Slot<CancelAnswer>>) {
        let now = self.cx.now();
        let fails = self.cx.is_random() && self.cx.below(100) < 8;
        let (answer, told) = {
            let mut state = lock(&self.state);
            let is_paypal = state.last_pg(&wished.payment_id) == Some(Pg::PayPal);
            let (status, answer, told) = if state.left(&wished.payment_id) < wished.amount {
                let code = "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT".to_owned();
                (None, CancelAnswer::Refused { code }, None)
            } else if fails {
                (Some(CancellationStatus::Failed), CancelAnswer::Failed { code: "REJECTED".to_owned() }, None)
            } else if is_paypal {
                (Some(CancellationStatus::Requested), CancelAnswer::Requested, Some("Transaction.CancelPending"))
            } else {
                let told = state.give(wished, now);
                (Some(CancellationStatus::Succeeded { at: now }), CancelAnswer::Succeeded { at: now }, Some(told))
            };
            if let (Some(status), Some(row)) = (status, state.payments.get_mut(&wished.payment_id)) {
                row.seen.cancellations.push(CancellationSeen {
                    amount: wished.amount,
                    status,
                    reason: wished.reason.clone(),
                    by_api: true,
                    asked_at: Some(now),
                });
            }
            if let Some((_, _, kept)) = state.cancels.answers.get_mut(&wished.key) {
                *kept = Some(answer.clone());
            }
            (answer, told)
        };
        self.cx.note(|| format!("PortOne: refund {} is decided: {answer:?}", wished.key));
        if let Some(kind) = told {
            self.tell(kind, About::Payment(wished.payment_id.clone()));
        }
        if answer == CancelAnswer::Requested {
            let (portone, wished) = (self.clone(), wished.clone());
            let hours = i64::try_from(1 + self.cx.below(60)).unwrap_or(1);
            let is_given = self.cx.below(4) > 0;
            self.cx.kernel.after(SignedDuration::from_hours(hours), move || portone.decide_later(&wished, is_given));
        }
        self.answer(back, answer);
    }

    /// What was taken is decided. That it failed is told by no webhook.
    fn decide_later(&self, wished: &Wished, is_given: bool) {
        let now = self.cx.now();
        let told = {
            let mut state = lock(&self.state);
            let is_given = is_given && state.left(&wished.payment_id) >= wished.amount;
            let told = is_given.then(|| state.give(wished, now));
            let row = state.payments.get_mut(&wished.payment_id);
            let mut taken = row
                .into_iter()
                .flat_map(|row| row.seen.cancellations.iter_mut())
                .filter(|it| it.reason == wished.reason && it.status == CancellationStatus::Requested);
            if let Some(cancellation) = taken.next() {
                cancellation.status =
                    if is_given { CancellationStatus::Succeeded { at: now } } else { CancellationStatus::Failed };
            }
            told
        };
        self.cx.note(|| format!("PortOne: refund {} was taken and is decided: {told:?}", wished.key));
        if let Some(kind) = told {
            self.tell(kind, About::Payment(wished.payment_id.clone()));
        }
    }
}

impl State {
    fn left(&self, id: &PaymentId) -> i64 {
        self.payments.get(id).map_or(0, |row| row.seen.amount.minor - row.seen.refunded)
    }

    fn last_pg(&self, id: &PaymentId) -> Option<Pg> {
        self.payments.get(id).and_then(|row| row.last.as_ref()).map(|sent| sent.pg.clone())
    }

    fn refuses_cancel(&self, wished: &Wished) -> Option<CancelAnswer> {
        let left = self.left(&wished.payment_id);
        let moved_money = self
            .payments
            .get(&wished.payment_id)
            .is_some_and(|row| matches!(row.seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. }));
        let code = if !moved_money {
            "PAYMENT_NOT_PAID"
        } else if left == 0 {
            "PAYMENT_ALREADY_CANCELLED"
        } else if wished.cancellable != left && Guard::CancellableChecked.stands() {
            "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN"
        } else if wished.amount > left {
            "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT"
        } else {
            return None;
        };
        Some(CancelAnswer::Refused { code: code.to_owned() })
    }

    /// Money goes back. Answers what is told of it.
    fn give(&mut self, wished: &Wished, now: Timestamp) -> &'static str {
        self.cancels.given.push(wished.clone());
        self.add_refunded(&wished.payment_id, wished.amount, now)
    }
}
