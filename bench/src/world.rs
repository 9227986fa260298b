//! A sandbox with customers of whom functions are told, and whether what was to be done to them was done.

use crate::case::Case;
use crate::events::{BATCH, Event, Events, Right};
use crate::side::{Kind, Side, program};
use lambda_tests::Host;
use lambda_tests::function::Function;
use lambda_tests::sandbox::Sandbox;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One side's sandbox.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) environment: Vec<(String, String)>,
    events: Events,
    /// Charges those of whom a webhook shall tell: a Rust one on both sides, so that both have the same rows before them.
    charger: Function,
    /// Whose payment is long in the books: `paymentId`, `transactionId`.
    known: (String, String),
    customers: usize,
}

struct Made {
    customers: Vec<(String, String)>,
    keys: BTreeSet<String>,
}

impl World {
    /// Opens one with a customer whose payment is known.
    pub(crate) async fn open() -> Self {
        let sandbox = Sandbox::empty();
        let environment = sandbox.environment().await;
        let events = Events::new(sandbox.told("storeId"), sandbox.told("webhookSecret"));
        let charger = Function::launch(&program(Side::Rust, Kind::Worker, &environment, None)).await;
        let known = (String::new(), String::new());
        let mut world = Self { sandbox, environment, events, charger, known, customers: 0 };
        let payments = world.charged(1, "approve").await;
        world.known = payments.into_iter().next().unwrap();
        world
    }

    /// Makes customers who owe for a month, whose keys behave so.
    async fn make(&mut self, count: usize, behavior: &str) -> Made {
        let mut wish = json!({
            "count": count, "planType": "standard", "teamSeats": 1, "currency": "KRW", "locale": "ko",
            "pgProvider": "TOSSPAYMENTS", "firstPeriod": "2026-01-01",
        });
        wish["mix"][behavior] = json!(1.0);
        let made = self.sandbox.post("/api/customers", &wish).await;
        self.customers += count;
        let made = made["customers"].as_array().unwrap();
        let text = |customer: &Value, name: &str| customer[name].as_str().unwrap().to_owned();
        Made {
            customers: made.iter().map(|c| (text(c, "userId"), text(c, "subscriptionId"))).collect(),
            keys: made.iter().map(|c| text(c, "billingKey")).collect(),
        }
    }

    /// Payments, by `paymentId` and `transactionId`, of new customers who were charged.
    async fn charged(&mut self, count: usize, behavior: &str) -> Vec<(String, String)> {
        let made = self.make(count, behavior).await;
        for batch in self.events.batches(&made.customers) {
            assert!(Right::NoFailure.is(&self.charger.invoke(batch).await));
        }
        let ledger = self.sandbox.get("/api/portone/ledger").await;
        let of = |approval: &Value, name: &str| approval[name].as_str().unwrap().to_owned();
        let approvals = ledger["approvals"].as_array().unwrap().iter();
        let approvals = approvals.filter(|approval| made.keys.contains(approval["billingKey"].as_str().unwrap()));
        approvals.map(|approval| (of(approval, "paymentId"), of(approval, "transactionId"))).collect()
    }

    /// Events of a case which this world has not seen.
    pub(crate) async fn events(&mut self, case: Case, count: usize) -> Vec<Event> {
        let (events, right): (Vec<Value>, _) = match case {
            Case::Paid => {
                let payments = self.charged(count, "drop_after_success").await;
                let events = payments.iter().map(|(payment, transaction)| self.events.paid(payment, transaction));
                (events.collect(), Right::Http(200, "settled"))
            }
            Case::Known => {
                let (payment, transaction) = self.known.clone();
                let events = (0..count).map(|_| self.events.paid(&payment, &transaction));
                (events.collect(), Right::Http(200, "known"))
            }
            Case::Forged => ((0..count).map(|_| self.events.forged()).collect(), Right::Http(401, "bad_signature")),
            Case::Batch => {
                let made = self.make(count * BATCH, "approve").await;
                (self.events.batches(&made.customers), Right::NoFailure)
            }
        };
        assert_eq!(events.len(), count, "there is an event for each");
        events.into_iter().map(|event| Event { event, right }).collect()
    }

    /// Each customer has one invoice, which is paid, and which `PortOne` approved once.
    pub(crate) async fn check(&self) {
        let ledger = self.sandbox.get("/api/portone/ledger").await;
        let mut approvals: BTreeMap<&str, u32> = BTreeMap::new();
        for approval in ledger["approvals"].as_array().unwrap() {
            *approvals.entry(approval["paymentId"].as_str().unwrap()).or_default() += 1;
        }
        let invoices = self.sandbox.rows("invoices").await;
        for invoice in &invoices {
            assert_eq!(invoice["status"], "paid", "the work was not done: {invoice}");
            let payment = invoice["paymentId"].as_str().unwrap();
            assert_eq!(approvals.get(payment), Some(&1), "{payment} was not approved once");
        }
        assert_eq!((invoices.len(), approvals.len()), (self.customers, self.customers), "invoices, and approvals");
    }
}
