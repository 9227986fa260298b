use super::*;
use billing_core::billing_key::{BillingKey, CardInfo, KeyStatus, MethodKind, MethodLabel, RegisteredKey};
use billing_core::calendar::Period;
use billing_core::change::{Upgrade, Wishes};
use billing_core::decline::{Decline, Pg};
use billing_core::event::{Cause, EventKind};
use billing_core::id::{PaymentId, SubscriptionId, UserId};
use billing_core::invoice::{Attempt, Invoice, Outcome, Proof, State as Paying};
use billing_core::money::{Currency, Money};
use billing_core::notice::{Bought, Notice, NoticeBody};
use billing_core::plan::{Locale, PlanType};
use billing_core::private::Private;
use billing_core::refund::{CallerKey, Refund, RefundOutcome, RefundReason};
use billing_core::session::{Done, Purpose, Session, SessionId};
use billing_core::subscription::{Customer, Method, State, Subscription, SubscriptionKey};
use serde_json::{Value, json};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn december() -> Period {
    Period::parse("2026-12-01").unwrap()
}

fn won(minor: i64) -> Money {
    Money::new(minor, Currency::Krw).unwrap()
}

fn key() -> SubscriptionKey {
    SubscriptionKey { user_id: UserId::new("user_456").unwrap(), id: SubscriptionId::new("sub_123").unwrap() }
}

fn method() -> Method {
    Method { billing_key: BillingKey::new("billing-key-1"), pg: Pg::TossPayments }
}

fn customer() -> Customer {
    Customer {
        name: Some(Private::new("김민수")),
        email: Some(Private::new("kim@example.com")),
        phone: Some(Private::new("01012345678")),
    }
}

fn subscription(state: State) -> Subscription {
    Subscription {
        key: key(),
        plan: PlanType::Standard,
        seats: 3,
        monthly: won(30_000),
        method: Some(method()),
        customer: customer(),
        locale: Locale::Ko,
        started: at("2026-11-17T09:00:00+09:00"),
        trial_end: Some(at("2026-12-01T09:00:00+09:00")),
        cancel_at_period_end: false,
        wishes: billing_core::change::Wishes::default(),
        state,
        version: 7,
    }
}

fn attempt(number: u32, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number,
        started_at: at("2026-12-01T10:00:00+09:00"),
        method: method(),
        cause: "run:2026-12-01T01:00:00Z".to_owned(),
        ended_at: outcome.as_ref().map(|_| at("2026-12-01T10:00:02+09:00")),
        outcome,
    }
}

fn invoice(state: Paying) -> Invoice {
    let declined = Decline::from_pg(&Pg::TossPayments, "NOT_ENOUGH_BALANCE");
    Invoice {
        payment_id: PaymentId::new("invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L").unwrap(),
        revision: 0,
        subscription: key(),
        period: december(),
        part: billing_core::invoice::Part::Period,
        amount: won(30_000),
        plan: PlanType::Standard,
        plan_name: "Standard".to_owned(),
        seats: 3,
        order_name: "Sivera Standard - 12월 구독료".to_owned(),
        customer: customer(),
        locale: Locale::Ko,
        state,
        attempts: vec![attempt(1, Some(Outcome::Declined(declined))), attempt(2, None)],
        refunds: Vec::new(),
        first_failed_at: Some(at("2026-12-01T10:00:02+09:00")),
        proof: Proof {
            pg_tx_id: Some("pg-1".to_owned()),
            transaction_id: Some("tx-1".to_owned()),
            receipt_url: Some("https://receipts.example/1".to_owned()),
        },
        quarantine: None,
        superseded_by: None,
        created_at: at("2026-12-01T10:00:00+09:00"),
        updated_at: at("2026-12-02T10:00:00+09:00"),
        version: 4,
    }
}

fn event() -> Event {
    let bought = Bought {
        payment_id: PaymentId::new("invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L").unwrap(),
        plan_name: "Standard".to_owned(),
        seats: 3,
        period: december(),
        amount: won(30_000),
    };
    let paid_at = at("2026-12-01T10:00:02+09:00");
    Event {
        subject: bought.payment_id.to_string(),
        id: Event::id_at(paid_at, "000003"),
        at: paid_at,
        kind: EventKind::InvoicePaid,
        cause: Cause::Run("2026-12-01T01:00:00Z".to_owned()),
        before: Some("charging".to_owned()),
        after: Some("paid".to_owned()),
        detail: None,
        notice: Some(Notice {
            to: Private::new("kim@example.com"),
            name: Some(Private::new("김민수")),
            locale: Locale::Ko,
            body: NoticeBody::Receipt {
                bought,
                vat: won(2_727),
                paid_at,
                receipt_url: None,
                next_billing: Some("2027-01-01".parse().unwrap()),
            },
        }),
    }
}

fn registered() -> RegisteredKey {
    RegisteredKey {
        user_id: UserId::new("user_456").unwrap(),
        created_at: at("2026-11-17T09:00:00+09:00"),
        billing_key: BillingKey::new("billing-key-1"),
        customer_id: "user_456".to_owned(),
        method: MethodKind::Card,
        card: Some(CardInfo {
            name: Some("신한카드".to_owned()),
            last4: Some("1234".to_owned()),
            ..CardInfo::default()
        }),
        paypal_email: None,
        is_default: true,
        status: KeyStatus::Active,
        channel_key: Some("channel-key-1".to_owned()),
        pg: Some(Pg::TossPayments),
        issue_id: Some("issue1".to_owned()),
    }
}

fn session() -> Session {
    Session {
        id: SessionId::new("csPFNJLSTQQMB6BXZH6CT6HLVQTQR5MK7O").unwrap(),
        user_id: key().user_id,
        purpose: Purpose::Subscribe {
            subscription_id: key().id,
            plan: PlanType::Standard,
            seats: 3,
            monthly: won(30_000),
            trial_days: 14,
        },
        customer: customer(),
        locale: Locale::Ko,
        request: "FINGERPRINT".to_owned(),
        created_at: at("2026-11-17T09:00:00+09:00"),
        expires_at: at("2026-11-17T10:00:00+09:00"),
        done: Some(Done {
            at: at("2026-11-17T09:04:00+09:00"),
            billing_key: BillingKey::new("billing-key-1"),
            method: MethodLabel { kind: MethodKind::Card, name: Some("신한카드".to_owned()), last4: None },
        }),
    }
}

/// A row as it is stored: without its `NULL`s.
fn stored<R: Row>(core: &R::Core) -> Attributes {
    let mut attributes = encode::<R>(core).unwrap();
    attributes.retain(|_, value| !value.is_null());
    attributes
}

/// A stored row as `DynamoDB` writes it in JSON.
fn shown<R: Row>(core: &R::Core) -> Value {
    let attributes = stored::<R>(core).into_iter().map(|(name, value)| (name, json_of(&value)));
    Value::Object(attributes.collect::<std::collections::BTreeMap<_, _>>().into_iter().collect())
}

fn json_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(truth) => json!({ "BOOL": truth }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(json_of).collect::<Vec<_>>() }),
        AttributeValue::M(map) => {
            let sorted: std::collections::BTreeMap<_, _> =
                map.iter().map(|(name, value)| (name, json_of(value))).collect();
            json!({ "M": sorted })
        }
        other => panic!("no row holds {other:?}"),
    }
}

#[test]
fn rows_are_stored_under_the_tables_names() {
    let active = State::Active { next: Some(december()) };
    insta::assert_json_snapshot!("subscription", shown::<SubscriptionRow>(&subscription(active)));
    let charging = Paying::Charging { lease_until: at("2026-12-02T10:03:00+09:00") };
    insta::assert_json_snapshot!("invoice", shown::<InvoiceRow>(&invoice(charging)));
    insta::assert_json_snapshot!("event", shown::<EventRow>(&event()));
    insta::assert_json_snapshot!("billing_key", shown::<BillingKeyRow>(&registered()));
    insta::assert_json_snapshot!("session", shown::<SessionRow>(&session()));
}

#[test]
fn a_session_lacks_nothing_of_what_it_claims_to_be() {
    for name in ["monthlyAmount", "planType", "teamSeats", "trialDays", "billingKey", "method", "expiresAt"] {
        let mut row = stored::<SessionRow>(&session());
        row.remove(name).unwrap();
        assert_eq!(decode::<SessionRow>(row).unwrap_err().field, name);
    }
    let mut row = stored::<SessionRow>(&session());
    row.remove("ttl").unwrap();
    assert_eq!(decode::<SessionRow>(row).unwrap(), session());
}

#[test]
fn a_subscription_survives_its_row_in_every_state() {
    let now = at("2026-12-02T10:00:00+09:00");
    for state in [
        State::Active { next: Some(december()) },
        State::Active { next: None },
        State::PastDue { period: december(), due_at: now },
        State::Parked { period: december() },
        State::Canceled { at: now },
        State::Expired { at: now },
    ] {
        let subscription = subscription(state);
        let row = stored::<SubscriptionRow>(&subscription);
        assert_eq!(row.contains_key("dueAt"), subscription.due_at().is_some());
        assert_eq!(row.contains_key("dueShard"), subscription.due_at().is_some());
        assert_eq!(decode::<SubscriptionRow>(row).unwrap(), subscription);
    }
}

#[test]
fn a_retry_that_waits_behind_an_upgrade_keeps_its_own_moment() {
    let (now, retry) = (at("2026-12-02T10:00:00+09:00"), at("2026-12-04T10:00:00+09:00"));
    let past_due = subscription(State::PastDue { period: december(), due_at: retry });
    assert!(!stored::<SubscriptionRow>(&past_due).contains_key("retryAt"));
    let upgrade = Upgrade { number: 1, terms: past_due.terms(), covers: december(), amount: won(1_000), at: now };
    let both = Subscription { wishes: Wishes { upgrade: Some(upgrade), ..Wishes::default() }, ..past_due };
    let row = stored::<SubscriptionRow>(&both);
    assert_ne!(row["dueAt"], row["retryAt"]);
    assert_eq!(decode::<SubscriptionRow>(row).unwrap(), both);
}

#[test]
fn an_invoice_survives_its_row_in_every_state_and_with_every_outcome() {
    let now = at("2026-12-02T10:00:00+09:00");
    for state in [
        Paying::Open { next_attempt_at: now },
        Paying::Charging { lease_until: now },
        Paying::Unknown { since: now },
        Paying::Pending { since: now },
        Paying::Failed { retry_at: Some(now) },
        Paying::Failed { retry_at: None },
        Paying::Paid { at: now },
        Paying::Uncollectible { at: now },
        Paying::Void { at: now },
        Paying::PartiallyRefunded { paid_at: now, refunded: won(10_000) },
        Paying::Refunded { paid_at: now },
    ] {
        let invoice = invoice(state);
        assert_eq!(decode::<InvoiceRow>(stored::<InvoiceRow>(&invoice)).unwrap(), invoice);
    }
    for outcome in [
        Outcome::Paid,
        Outcome::Declined(Decline::no_method("BILLING_KEY_NOT_FOUND")),
        Outcome::Pending,
        Outcome::Unknown,
        Outcome::Refused("INVALID_REQUEST".to_owned()),
        Outcome::Lost,
    ] {
        let invoice =
            Invoice { attempts: vec![attempt(1, Some(outcome))], ..invoice(Paying::Open { next_attempt_at: now }) };
        assert_eq!(decode::<InvoiceRow>(stored::<InvoiceRow>(&invoice)).unwrap(), invoice);
    }
}

fn refund(number: u32, outcome: Option<RefundOutcome>) -> Refund {
    Refund {
        number,
        amount: won(10_000),
        cancellable_before: won(30_000),
        reason: RefundReason::new("요금제를 잘못 골랐어요").unwrap(),
        key: Some(CallerKey::new("order-77").unwrap()),
        cause: "api:req-1".to_owned(),
        started_at: at("2026-12-03T10:00:00+09:00"),
        ended_at: outcome.as_ref().map(|_| at("2026-12-03T10:00:02+09:00")),
        outcome,
    }
}

#[test]
fn an_invoices_refunds_survive_its_row_and_an_old_row_has_none() {
    let paid = || invoice(Paying::Paid { at: at("2026-12-02T10:00:00+09:00") });
    for outcome in [
        None,
        Some(RefundOutcome::Succeeded),
        Some(RefundOutcome::Requested),
        Some(RefundOutcome::Failed { code: "X".to_owned() }),
        Some(RefundOutcome::Refused { code: "X".to_owned() }),
        Some(RefundOutcome::Lost),
    ] {
        let keyless = Refund { key: None, ..refund(2, outcome.clone()) };
        let invoice = Invoice { refunds: vec![refund(1, outcome), keyless], ..paid() };
        assert_eq!(decode::<InvoiceRow>(stored::<InvoiceRow>(&invoice)).unwrap(), invoice);
    }
    let old = stored::<InvoiceRow>(&paid());
    assert!(!old.contains_key("refunds") && !old.contains_key("refundUnderWay"));
    assert_eq!(decode::<InvoiceRow>(old).unwrap(), paid());
}

#[test]
fn a_refund_is_stored_like_this() {
    let refunds = vec![refund(1, Some(RefundOutcome::Failed { code: "REJECTED".to_owned() })), refund(2, None)];
    let invoice = Invoice { refunds, ..invoice(Paying::Paid { at: at("2026-12-02T10:00:00+09:00") }) };
    let row = shown::<InvoiceRow>(&invoice);
    insta::assert_json_snapshot!("refunds", (&row["refunds"], &row["refundUnderWay"]));
}

#[test]
fn attributes_of_others_are_passed_over() {
    let with_more = |mut row: Attributes| {
        row.insert("expiresAt".to_owned(), AttributeValue::N("1".to_owned()));
        row.insert(
            "teamName".to_owned(),
            AttributeValue::M(Attributes::from([("a".to_owned(), AttributeValue::Null(true))])),
        );
        row
    };
    let active = subscription(State::Active { next: Some(december()) });
    assert_eq!(decode::<SubscriptionRow>(with_more(stored::<SubscriptionRow>(&active))).unwrap(), active);
    assert_eq!(decode::<BillingKeyRow>(with_more(stored::<BillingKeyRow>(&registered()))).unwrap(), registered());
    assert_eq!(decode::<EventRow>(with_more(stored::<EventRow>(&event()))).unwrap(), event());
    let open = invoice(Paying::Open { next_attempt_at: at("2026-12-02T10:00:00+09:00") });
    assert_eq!(decode::<InvoiceRow>(with_more(stored::<InvoiceRow>(&open))).unwrap(), open);
}

#[test]
fn a_row_with_only_what_is_required_is_read() {
    let mut row = stored::<SubscriptionRow>(&subscription(State::Active { next: Some(december()) }));
    for name in [
        "pgProvider",
        "trialEndDate",
        "nextBillingDate",
        "customerName",
        "customerEmail",
        "customerPhone",
        "locale",
        "cancelAtPeriodEnd",
        "dueAt",
        "dueShard",
    ] {
        row.remove(name).unwrap();
    }
    let read = decode::<SubscriptionRow>(row).unwrap();
    assert_eq!(
        (read.customer, read.locale, read.method.unwrap().pg),
        (Customer::default(), Locale::Ko, Pg::Other("UNKNOWN".into()))
    );

    let mut row = stored::<BillingKeyRow>(&registered());
    for name in ["cardInfo", "isDefault", "channelKey", "pgProvider", "issueId"] {
        row.remove(name).unwrap();
    }
    assert_eq!(decode::<BillingKeyRow>(row).unwrap().card, None);
}

#[test]
fn a_corrupt_row_names_its_table_its_key_and_the_attribute_and_nothing_else() {
    let base = || stored::<InvoiceRow>(&invoice(Paying::Paid { at: at("2026-12-02T10:00:00+09:00") }));
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let wrong: [(&str, Option<AttributeValue>, &str); 8] = [
        ("amount", None, "amount"),
        ("amount", Some(text("kim@example.com")), "amount"),
        ("amount", Some(AttributeValue::N("-1".to_owned())), "amount"),
        ("currency", Some(text("kim@example.com")), "currency"),
        ("status", Some(text("kim@example.com")), "status"),
        ("paidAt", None, "paidAt"),
        ("attempts", Some(AttributeValue::L(vec![AttributeValue::M(Attributes::new())])), "attempts[0].number"),
        ("period", Some(text("kim@example.com")), "period"),
    ];
    for (name, value, field) in wrong {
        let mut row = base();
        match value {
            Some(value) => row.insert(name.to_owned(), value),
            None => row.remove(name),
        };
        let error = decode::<InvoiceRow>(row).unwrap_err();
        assert_eq!((error.table, error.key.as_str()), (Table::Invoices, "invHSFKN5XUD4X2A27XNLWEVCAMWRNBIQ5L"));
        assert_eq!(error.field, field, "{name}");
        assert!(!format!("{error} {error:?}").contains("kim@"), "{error}");
    }
}

#[test]
fn a_next_bill_without_its_period_is_refused_not_forgotten() {
    let mut row = stored::<SubscriptionRow>(&subscription(State::Active { next: Some(december()) }));
    row.remove("period").unwrap();
    assert_eq!(decode::<SubscriptionRow>(row).unwrap_err().field, "period");
}

#[test]
fn an_event_is_read_from_a_stream_record() {
    let record = json!({
        "eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb", "eventVersion": "1.1", "awsRegion": "ap-northeast-2",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_796_086_802, "SequenceNumber": "1", "SizeBytes": 1, "StreamViewType": "NEW_IMAGE",
            "Keys": { "subject": { "S": event().subject }, "id": { "S": event().id } },
            "NewImage": shown::<EventRow>(&event()),
        },
    });
    let record: aws_lambda_events::event::dynamodb::EventRecord = serde_json::from_value(record).unwrap();
    assert_eq!(event_from_image(record.change.new_image).unwrap(), event());
    assert_eq!(event_from_image(image_of_event(&event()).unwrap()).unwrap(), event());
    assert_eq!(event_from_image(Item::default()).unwrap_err().field, "subject");
}
