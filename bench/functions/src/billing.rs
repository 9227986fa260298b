//! A subscription that falls due, and the fact that it was paid.

use crate::morning;
use billing_core::Timestamp;
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::decline::{Decline, Pg, Reason};
use billing_core::dunning::Ladder;
use billing_core::event::Cause;
use billing_core::id::{PaymentId, StoreId, SubscriptionId, UserId};
use billing_core::invoice::{Invoice, Part, Proof};
use billing_core::money::{Currency, Money};
use billing_core::plan::{Catalogue, Locale, PlanType};
use billing_core::private::Private;
use billing_core::settlement::{Charged, Context, Fact, Settled, settle};
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};

/// What a worker knows of one subscription on the morning it is due.
#[derive(Debug)]
pub struct Bill {
    now: Timestamp,
    store: StoreId,
    catalogue: Catalogue,
    subscription: Subscription,
    method: Method,
    period: Period,
    cause: Cause,
    ladder: Ladder,
}

impl Default for Bill {
    fn default() -> Self {
        let period = Period::parse("2026-12-01").unwrap();
        let method = Method {
            billing_key: BillingKey::new("billing-key-12caf931-5ece-43c7-84df-addd9c707906"),
            pg: Pg::TossPayments,
        };
        let subscription = Subscription {
            key: SubscriptionKey {
                user_id: UserId::new("user_456").unwrap(),
                id: SubscriptionId::new("subF4WHK5AWFTE3NIDYQ77E3ZVJNUU742ZI").unwrap(),
            },
            plan: PlanType::Standard,
            seats: 3,
            monthly: Money::new(30_000, Currency::Krw).unwrap(),
            method: Some(method.clone()),
            customer: Customer {
                name: Some(Private::new("김민수")),
                email: Some(Private::new("kim@example.com")),
                phone: Some(Private::new("010-0000-0000")),
            },
            locale: Locale::Ko,
            started: "2026-11-01T09:00:00+09:00".parse().unwrap(),
            trial_end: None,
            cancel_at_period_end: false,
            wishes: billing_core::change::Wishes::default(),
            state: State::Active { next: Some(period) },
            version: 1,
        };
        Self {
            now: morning(),
            store: StoreId::new("store-5a4d0b07-5b0e-4f0a-9c2e-5a11db0c5a4d").unwrap(),
            catalogue: Catalogue::parse(include_str!("../../../infra/catalogue.toml")).unwrap(),
            subscription,
            method,
            period,
            cause: Cause::Run("2026-12-01T10:00:00+09:00".to_owned()),
            ladder: Ladder::default(),
        }
    }
}

impl Bill {
    /// The name of its invoice.
    pub fn payment_id(&self) -> PaymentId {
        PaymentId::derive(&self.store, &self.subscription.key, self.period, Part::Period, 0)
    }

    /// What the calendar is asked for each bill: what it covers, when it was due, when the next one is.
    pub fn dates(&self) -> (u32, Timestamp, Timestamp, String) {
        let period = Period::month_at(self.now);
        (period.days(), period.due_at(), period.next().due_at(), period.month_id())
    }

    /// Its invoice, opened and claimed: what is written before `PortOne` is called.
    pub fn claimed(&self) -> Invoice {
        let invoice = Invoice::open(&self.subscription, self.period, &self.store, &self.catalogue, self.now).unwrap();
        invoice.claimed(&self.method, self.cause.to_string(), self.now).unwrap()
    }

    /// What is written once `PortOne` has answered.
    pub fn settled(&self, claimed: &Invoice, fact: &Fact) -> Settled {
        let cx = Context { now: self.now, cause: &self.cause, ladder: &self.ladder };
        settle(claimed, Some(&self.subscription), fact, &cx).unwrap()
    }

    /// The fact that all of it was paid.
    pub fn paid(&self) -> Fact {
        Fact::Paid {
            at: self.now,
            amount: Some(Charged::from(self.subscription.monthly)),
            proof: Proof {
                pg_tx_id: Some("tviva20261201100003AbCd1".to_owned()),
                transaction_id: Some("8bde6abe-62e5-45f9-a91d-c1e3d14dc5f7".to_owned()),
                receipt_url: Some("https://receipt.example.com/tviva20261201100003AbCd1".to_owned()),
            },
        }
    }
}

/// The fact that the first attempt was declined.
pub fn declined() -> Fact {
    let decline = Decline { reason: Reason::InsufficientFunds, code: "REJECT_CARD_PAYMENT".to_owned() };
    Fact::Declined { attempt: 1, decline }
}
