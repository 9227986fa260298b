//! `Invoices`: PK `paymentId`.

use super::{Field, Millis, Row};
use crate::tables::Table;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::{Decline, Pg, Reason};
use billing_core::id::{PaymentId, SubscriptionId, UserId};
use billing_core::invoice::{Attempt, Invoice, Outcome, Part, Proof, State};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::refund::{CallerKey, Refund, RefundOutcome, RefundReason};
use billing_core::subscription::{Customer, Method, SubscriptionKey};
use billing_flows::ports::BookLine;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoiceRow {
    payment_id: PaymentId,
    #[serde(default)]
    revision: u8,
    user_id: UserId,
    subscription_id: SubscriptionId,
    /// The key of `month-index`: [`books_of`] its period. Derived and never read.
    #[serde(default)]
    month: String,
    period: Period,
    /// The number of an upgrade; absent on the invoice of a period itself.
    upgrade: Option<u32>,
    amount: i64,
    currency: Currency,
    plan_type: PlanType,
    plan_name: String,
    team_seats: u32,
    order_name: String,
    customer_name: Option<Private>,
    customer_email: Option<Private>,
    customer_phone: Option<Private>,
    #[serde(default)]
    locale: Locale,
    status: String,
    /// `open` and `failed`: when it is tried next.
    next_attempt_at: Option<Millis>,
    /// `charging`: how long its worker has.
    lease_until: Option<Millis>,
    /// `unknown` and `pending`: since when.
    since: Option<Millis>,
    /// `paid` and refunded: when it was paid, by the PG's clock.
    paid_at: Option<Millis>,
    /// `uncollectible` and `void`: when it was given up.
    closed_at: Option<Millis>,
    refunded_amount: Option<i64>,
    #[serde(default)]
    attempts: Vec<AttemptRow>,
    /// What `attempts` has, for the index that does not project it.
    #[serde(default)]
    attempt_count: u32,
    #[serde(default)]
    decline_count: u32,
    refunds: Option<Vec<RefundRow>>,
    /// The refund that is undecided, for the index that does not project `refunds`.
    refund_under_way: Option<u32>,
    first_failed_at: Option<Millis>,
    pg_tx_id: Option<String>,
    transaction_id: Option<String>,
    receipt_url: Option<String>,
    quarantine: Option<String>,
    superseded_by: Option<PaymentId>,
    created_at: Millis,
    updated_at: Millis,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttemptRow {
    number: u32,
    started_at: Millis,
    billing_key: BillingKey,
    pg_provider: Pg,
    cause: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Millis>,
}

impl AttemptRow {
    fn of(attempt: &Attempt) -> Self {
        let (reason, code) = match &attempt.outcome {
            Some(Outcome::Declined(decline)) => (Some(decline.reason), Some(decline.code.clone())),
            Some(Outcome::Refused(code)) => (None, Some(code.clone())),
            Some(Outcome::Paid | Outcome::Pending | Outcome::Unknown | Outcome::Lost) | None => (None, None),
        };
        Self {
            number: attempt.number,
            started_at: Millis(attempt.started_at),
            billing_key: attempt.method.billing_key.clone(),
            pg_provider: attempt.method.pg.clone(),
            cause: attempt.cause.clone(),
            outcome: attempt.outcome.as_ref().map(|outcome| outcome.name().to_owned()),
            reason,
            code,
            ended_at: attempt.ended_at.map(Millis),
        }
    }

    fn into_core(self) -> Result<Attempt, Field> {
        let outcome = match self.outcome.as_deref() {
            None => None,
            Some("paid") => Some(Outcome::Paid),
            Some("declined") => Some(Outcome::Declined(Decline {
                reason: self.reason.ok_or("attempts.reason")?,
                code: self.code.ok_or("attempts.code")?,
            })),
            Some("pending") => Some(Outcome::Pending),
            Some("unknown") => Some(Outcome::Unknown),
            Some("refused") => Some(Outcome::Refused(self.code.ok_or("attempts.code")?)),
            Some("lost") => Some(Outcome::Lost),
            Some(_) => return Err("attempts.outcome"),
        };
        Ok(Attempt {
            number: self.number,
            started_at: self.started_at.0,
            method: Method { billing_key: self.billing_key, pg: self.pg_provider },
            cause: self.cause,
            outcome,
            ended_at: self.ended_at.map(|at| at.0),
        })
    }
}

/// Its money is of the invoice's currency.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundRow {
    number: u32,
    amount: i64,
    cancellable_before: i64,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    cause: String,
    started_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Millis>,
}

impl RefundRow {
    fn of(refund: &Refund) -> Self {
        let code = match &refund.outcome {
            Some(RefundOutcome::Failed { code } | RefundOutcome::Refused { code }) => Some(code.clone()),
            Some(RefundOutcome::Succeeded | RefundOutcome::Requested | RefundOutcome::Lost) | None => None,
        };
        Self {
            number: refund.number,
            amount: refund.amount.minor(),
            cancellable_before: refund.cancellable_before.minor(),
            reason: refund.reason.as_str().to_owned(),
            key: refund.key.as_ref().map(|key| key.as_str().to_owned()),
            cause: refund.cause.clone(),
            started_at: Millis(refund.started_at),
            outcome: refund.outcome.as_ref().map(|outcome| outcome.name().to_owned()),
            code,
            ended_at: refund.ended_at.map(Millis),
        }
    }

    fn into_core(self, currency: Currency) -> Result<Refund, Field> {
        let code = self.code.ok_or("refunds.code");
        let outcome = match self.outcome.as_deref() {
            None => None,
            Some("succeeded") => Some(RefundOutcome::Succeeded),
            Some("requested") => Some(RefundOutcome::Requested),
            Some("failed") => Some(RefundOutcome::Failed { code: code? }),
            Some("refused") => Some(RefundOutcome::Refused { code: code? }),
            Some("lost") => Some(RefundOutcome::Lost),
            Some(_) => return Err("refunds.outcome"),
        };
        Ok(Refund {
            number: self.number,
            amount: Money::new(self.amount, currency).map_err(|_| "refunds.amount")?,
            cancellable_before: Money::new(self.cancellable_before, currency)
                .map_err(|_| "refunds.cancellableBefore")?,
            reason: RefundReason::new(&self.reason).map_err(|_| "refunds.reason")?,
            key: self.key.map(CallerKey::new).transpose().map_err(|_| "refunds.key")?,
            cause: self.cause,
            started_at: self.started_at.0,
            outcome,
            ended_at: self.ended_at.map(|at| at.0),
        })
    }
}

/// The attributes that only some states have.
#[derive(Default)]
struct Moments {
    next_attempt_at: Option<Millis>,
    lease_until: Option<Millis>,
    since: Option<Millis>,
    paid_at: Option<Millis>,
    closed_at: Option<Millis>,
    refunded: Option<i64>,
}

impl Moments {
    fn of(invoice: &Invoice) -> Self {
        let none = Self::default();
        match &invoice.state {
            State::Open { next_attempt_at } => Self { next_attempt_at: Some(Millis(*next_attempt_at)), ..none },
            State::Charging { lease_until } => Self { lease_until: Some(Millis(*lease_until)), ..none },
            State::Unknown { since } | State::Pending { since } => Self { since: Some(Millis(*since)), ..none },
            State::Failed { retry_at } => Self { next_attempt_at: retry_at.map(Millis), ..none },
            State::Paid { at } => Self { paid_at: Some(Millis(*at)), ..none },
            State::Uncollectible { at } | State::Void { at } => Self { closed_at: Some(Millis(*at)), ..none },
            State::PartiallyRefunded { paid_at, refunded } => {
                Self { paid_at: Some(Millis(*paid_at)), refunded: Some(refunded.minor()), ..none }
            }
            State::Refunded { paid_at } => {
                Self { paid_at: Some(Millis(*paid_at)), refunded: Some(invoice.amount.minor()), ..none }
            }
        }
    }
}

impl InvoiceRow {
    fn state(&self) -> Result<State, Field> {
        let paid_at = || self.paid_at.map(|at| at.0).ok_or("paidAt");
        let since = || self.since.map(|at| at.0).ok_or("since");
        let closed_at = || self.closed_at.map(|at| at.0).ok_or("closedAt");
        Ok(match self.status.as_str() {
            "open" => State::Open { next_attempt_at: self.next_attempt_at.ok_or("nextAttemptAt")?.0 },
            "charging" => State::Charging { lease_until: self.lease_until.ok_or("leaseUntil")?.0 },
            "unknown" => State::Unknown { since: since()? },
            "pending" => State::Pending { since: since()? },
            "failed" => State::Failed { retry_at: self.next_attempt_at.map(|at| at.0) },
            "paid" => State::Paid { at: paid_at()? },
            "uncollectible" => State::Uncollectible { at: closed_at()? },
            "void" => State::Void { at: closed_at()? },
            "partially_refunded" => {
                let refunded = self.refunded_amount.and_then(|minor| Money::new(minor, self.currency).ok());
                State::PartiallyRefunded { paid_at: paid_at()?, refunded: refunded.ok_or("refundedAmount")? }
            }
            "refunded" => State::Refunded { paid_at: paid_at()? },
            _ => return Err("status"),
        })
    }
}

impl Row for InvoiceRow {
    type Core = Invoice;
    const TABLE: Table = Table::Invoices;

    fn of(core: &Invoice) -> Self {
        let moments = Moments::of(core);
        let invoice = core.clone();
        Self {
            status: core.state.status().to_owned(),
            next_attempt_at: moments.next_attempt_at,
            lease_until: moments.lease_until,
            since: moments.since,
            paid_at: moments.paid_at,
            closed_at: moments.closed_at,
            refunded_amount: moments.refunded,
            attempts: core.attempts.iter().map(AttemptRow::of).collect(),
            attempt_count: u32::try_from(core.attempts.len()).unwrap_or(u32::MAX),
            decline_count: core.declines(),
            refunds: (!core.refunds.is_empty()).then(|| core.refunds.iter().map(RefundRow::of).collect()),
            refund_under_way: core.refund_under_way().map(|refund| refund.number),
            month: books_of(invoice.period, invoice.payment_id.books_shard()),
            payment_id: invoice.payment_id,
            revision: invoice.revision,
            user_id: invoice.subscription.user_id,
            subscription_id: invoice.subscription.id,
            period: invoice.period,
            upgrade: match invoice.part {
                Part::Period => None,
                Part::Upgrade(number) => Some(number),
            },
            amount: invoice.amount.minor(),
            currency: invoice.amount.currency(),
            plan_type: invoice.plan,
            plan_name: invoice.plan_name,
            team_seats: invoice.seats,
            order_name: invoice.order_name,
            customer_name: invoice.customer.name,
            customer_email: invoice.customer.email,
            customer_phone: invoice.customer.phone,
            locale: invoice.locale,
            first_failed_at: invoice.first_failed_at.map(Millis),
            pg_tx_id: invoice.proof.pg_tx_id,
            transaction_id: invoice.proof.transaction_id,
            receipt_url: invoice.proof.receipt_url,
            quarantine: invoice.quarantine,
            superseded_by: invoice.superseded_by,
            created_at: Millis(invoice.created_at),
            updated_at: Millis(invoice.updated_at),
            version: invoice.version,
        }
    }

    fn into_core(self) -> Result<Invoice, Field> {
        Ok(Invoice {
            state: self.state()?,
            amount: Money::new(self.amount, self.currency).map_err(|_| "amount")?,
            attempts: self.attempts.into_iter().map(AttemptRow::into_core).collect::<Result<_, _>>()?,
            refunds: self
                .refunds
                .unwrap_or_default()
                .into_iter()
                .map(|refund| refund.into_core(self.currency))
                .collect::<Result<_, _>>()?,
            payment_id: self.payment_id,
            revision: self.revision,
            subscription: SubscriptionKey { user_id: self.user_id, id: self.subscription_id },
            period: self.period,
            part: self.upgrade.map_or(Part::Period, Part::Upgrade),
            plan: self.plan_type,
            plan_name: self.plan_name,
            seats: self.team_seats,
            order_name: self.order_name,
            customer: Customer { name: self.customer_name, email: self.customer_email, phone: self.customer_phone },
            locale: self.locale,
            first_failed_at: self.first_failed_at.map(|at| at.0),
            proof: Proof {
                pg_tx_id: self.pg_tx_id,
                transaction_id: self.transaction_id,
                receipt_url: self.receipt_url,
            },
            quarantine: self.quarantine,
            superseded_by: self.superseded_by,
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
            version: self.version,
        })
    }
}

/// The partition of `month-index` that a shard of a month's books lies in, such as `2026-12#3`.
pub(crate) fn books_of(period: Period, shard: u8) -> String {
    format!("{}#{shard}", period.month_id())
}

/// What `month-index` projects.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookRow {
    payment_id: PaymentId,
    user_id: UserId,
    subscription_id: SubscriptionId,
    period: Period,
    status: String,
    amount: i64,
    currency: Currency,
    #[serde(default)]
    refunded_amount: Option<i64>,
    #[serde(default)]
    attempt_count: u32,
    #[serde(default)]
    decline_count: u32,
    #[serde(default)]
    refund_under_way: Option<u32>,
    #[serde(default)]
    quarantine: Option<String>,
    #[serde(default)]
    superseded_by: Option<PaymentId>,
    updated_at: Millis,
}

impl BookRow {
    pub(crate) fn into_line(self) -> Result<BookLine, Field> {
        Ok(BookLine {
            payment_id: self.payment_id,
            subscription: SubscriptionKey { user_id: self.user_id, id: self.subscription_id },
            period: self.period,
            status: self.status,
            amount: Money::new(self.amount, self.currency).map_err(|_| "amount")?,
            refunded: self.refunded_amount.unwrap_or(0),
            attempts: self.attempt_count,
            declines: self.decline_count,
            refunding: self.refund_under_way.is_some(),
            quarantined: self.quarantine.is_some(),
            superseded: self.superseded_by.is_some(),
            updated_at: self.updated_at.0,
        })
    }
}
