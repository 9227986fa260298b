//! Giving money back, as `PortOne` does it.

use super::{Books, KEPT_FOR, ScriptedGateway};
use crate::fake::lock;
use crate::ports::{CancelAnswer, CancelOrder, CancellationSeen, CancellationStatus, SeenStatus};
use billing_core::Timestamp;
use billing_core::id::PaymentId;
use billing_core::money::Money;
use billing_core::refund::Refund;

/// How a refund goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CancelBehaviour {
    /// The money is given back.
    #[default]
    Succeed,
    /// It is taken and decided later; see [`ScriptedGateway::decide_refund`].
    Request,
    /// The PG does not give it back, with this code of its own.
    Fail(String),
    /// `PortOne` refuses the request with this error type.
    Refuse(String),
    /// `PortOne` refuses our credentials.
    Unauthorized,
    /// The request never arrives: nothing happens, and nobody can say so.
    UnknownNotReceived,
    /// The request is on its way, unseen by any read, until [`ScriptedGateway::deliver_cancels`].
    UnknownInFlight,
    /// The money is given back, and the answer is lost.
    UnknownButDone,
    /// It is taken and decided later, and the answer is lost.
    UnknownButRequested,
    /// The PG does not give it back, and the answer is lost.
    UnknownButFailed(String),
}

/// An order as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The invoice's name.
    pub payment_id: PaymentId,
    /// The number of the refund.
    pub refund: u32,
    /// How much.
    pub amount: Money,
    /// What was to be left before it.
    pub cancellable: Money,
    /// Why.
    pub reason: String,
    /// When it was sent.
    pub at: Timestamp,
}

impl ScriptedGateway {
    /// How the next refunds go.
    pub fn next_cancels(&self, behaviours: impl IntoIterator<Item = CancelBehaviour>) {
        lock(&self.script).next_cancels.extend(behaviours);
    }

    /// Every order for a refund that was sent, oldest first, also those that never arrived.
    pub fn cancels(&self) -> Vec<Cancel> {
        lock(&self.books).cancels.clone()
    }

    /// Lets every order for a refund arrive that is on its way. Answers how many there were.
    pub fn deliver_cancels(&self) -> usize {
        let now = self.clock.now();
        let mut books = lock(&self.books);
        let arriving = std::mem::take(&mut books.cancels_in_flight);
        for cancel in &arriving {
            books.process_cancel(cancel, &CancelBehaviour::Succeed, now);
        }
        arriving.len()
    }

    /// Decides a refund that was taken. `false` if it is not undecided.
    pub fn decide_refund(&self, id: &PaymentId, number: u32, is_given_back: bool) -> bool {
        lock(&self.books).decide_refund(id, number, is_given_back, self.clock.now())
    }

    pub(super) fn take_cancel(&self, order: &CancelOrder<'_>) -> CancelAnswer {
        let cancel = Cancel {
            payment_id: order.payment_id.clone(),
            refund: order.refund,
            amount: order.amount,
            cancellable: order.cancellable,
            reason: order.reason.to_owned(),
            at: self.clock.now(),
        };
        let behaviour = lock(&self.script).next_cancels.pop_front().unwrap_or_default();
        let mut books = lock(&self.books);
        books.count("cancel");
        books.receive_cancel(cancel, &behaviour)
    }
}

impl Books {
    fn receive_cancel(&mut self, cancel: Cancel, behaviour: &CancelBehaviour) -> CancelAnswer {
        let now = cancel.at;
        self.judge_cancel(&cancel);
        self.cancels.push(cancel.clone());
        match behaviour {
            CancelBehaviour::UnknownNotReceived => CancelAnswer::Unknown("the connection was refused".to_owned()),
            CancelBehaviour::UnknownInFlight => {
                self.cancels_in_flight.push(cancel);
                CancelAnswer::Unknown("no answer in time".to_owned())
            }
            CancelBehaviour::Unauthorized => CancelAnswer::Unauthorized { code: "UNAUTHORIZED".to_owned() },
            CancelBehaviour::UnknownButDone
            | CancelBehaviour::UnknownButRequested
            | CancelBehaviour::UnknownButFailed(_) => {
                self.process_cancel(&cancel, behaviour, now);
                CancelAnswer::Unknown("the answer was lost".to_owned())
            }
            CancelBehaviour::Succeed
            | CancelBehaviour::Request
            | CancelBehaviour::Fail(_)
            | CancelBehaviour::Refuse(_) => self.process_cancel(&cancel, behaviour, now),
        }
    }

    /// Whether a client may send this after what it sent before.
    fn judge_cancel(&mut self, cancel: &Cancel) {
        let (id, number) = (&cancel.payment_id, cancel.refund);
        let Some(first) = self.cancels.iter().find(|it| it.payment_id == *id && it.refund == number) else { return };
        if *first != (Cancel { at: first.at, ..cancel.clone() }) {
            self.violations.push(format!("another request under the idempotency key of {id}, refund {number}"));
        }
        if cancel.at.duration_since(first.at) >= KEPT_FOR {
            self.violations
                .push(format!("{id}, refund {number}, was sent again after its idempotency key was forgotten"));
        }
    }

    /// A request that arrived: answered from the idempotency key, or decided and kept for it.
    fn process_cancel(&mut self, cancel: &Cancel, behaviour: &CancelBehaviour, now: Timestamp) -> CancelAnswer {
        let name = (cancel.payment_id.clone(), cancel.refund);
        if let Some((_, answer)) = self.cancel_answers.get(&name).filter(|(at, _)| now.duration_since(*at) < KEPT_FOR) {
            return answer.clone();
        }
        let answer = self.decide_cancel(cancel, behaviour, now);
        self.cancel_answers.insert(name, (now, answer.clone()));
        answer
    }

    fn decide_cancel(&mut self, cancel: &Cancel, behaviour: &CancelBehaviour, now: Timestamp) -> CancelAnswer {
        let refuse = |code: &str| CancelAnswer::Refused { code: code.to_owned() };
        if let CancelBehaviour::Refuse(code) = behaviour {
            return refuse(code);
        }
        let Some(row) = self.payments.get_mut(&cancel.payment_id) else { return refuse("PAYMENT_NOT_FOUND") };
        let left = row.seen.amount.minor.saturating_sub(row.seen.refunded);
        if !matches!(row.seen.status, SeenStatus::Paid { .. } | SeenStatus::Cancelled { .. }) {
            return refuse("PAYMENT_NOT_PAID");
        } else if left == 0 {
            return refuse("PAYMENT_ALREADY_CANCELLED");
        } else if cancel.cancellable.minor() != left {
            return refuse("CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN");
        } else if cancel.amount.minor() > left {
            return refuse("CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT");
        }
        let (status, answer) = match behaviour {
            CancelBehaviour::Fail(code) | CancelBehaviour::UnknownButFailed(code) => {
                (CancellationStatus::Failed, CancelAnswer::Failed { code: code.clone() })
            }
            CancelBehaviour::Request | CancelBehaviour::UnknownButRequested => {
                (CancellationStatus::Requested, CancelAnswer::Requested)
            }
            CancelBehaviour::Succeed
            | CancelBehaviour::Refuse(_)
            | CancelBehaviour::Unauthorized
            | CancelBehaviour::UnknownNotReceived
            | CancelBehaviour::UnknownInFlight
            | CancelBehaviour::UnknownButDone => {
                (CancellationStatus::Succeeded { at: now }, CancelAnswer::Succeeded { at: now })
            }
        };
        row.seen.cancellations.push(CancellationSeen {
            amount: cancel.amount.minor(),
            status,
            reason: cancel.reason.clone(),
            by_api: true,
            asked_at: Some(now),
        });
        if let CancellationStatus::Succeeded { .. } = status {
            row.add_given_back(cancel.amount.minor(), now);
        }
        answer
    }

    fn decide_refund(&mut self, id: &PaymentId, number: u32, is_given_back: bool, now: Timestamp) -> bool {
        let Some(row) = self.payments.get_mut(id) else { return false };
        let mut undecided = row.seen.cancellations.iter_mut().filter(|cancellation| {
            cancellation.status == CancellationStatus::Requested
                && Refund::number_in(&cancellation.reason) == Some(number)
        });
        let Some(cancellation) = undecided.next() else { return false };
        if !is_given_back {
            cancellation.status = CancellationStatus::Failed;
            return true;
        }
        cancellation.status = CancellationStatus::Succeeded { at: now };
        let minor = cancellation.amount;
        row.add_given_back(minor, now);
        true
    }
}
