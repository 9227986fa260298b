use super::*;
use billing_core::money::Currency;
use billing_core::plan::PlanType;
use std::collections::HashMap;

type Everything = (Tables, PortOne, Webhooks, Queues, MailFrom, Dunning, Checkout);

fn good() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("TABLE_BILLING_KEYS", "b-BillingKeys"),
        ("TABLE_SUBSCRIPTIONS", "b-Subscriptions"),
        ("TABLE_INVOICES", "b-Invoices"),
        ("TABLE_EVENTS", "b-Events"),
        ("TABLE_SESSIONS", "b-Sessions"),
        ("TABLE_CONTROLS", "b-Controls"),
        ("PORTONE_STORE_ID", "store-1"),
        ("PORTONE_MODE", "live"),
        ("PORTONE_API_SECRET_ID", "b/api"),
        ("PORTONE_WEBHOOK_SECRET_ID", "b/webhook"),
        ("QUEUE_COLLECT_URL", "https://sqs.ap-northeast-2.amazonaws.com/1/collect"),
        ("QUEUE_PLAN_URL", "http://127.0.0.1:3004/1/plan"),
        ("MAIL_FROM", "billing@sivera.example"),
        ("MAIL_MANAGE_URL", "https://sivera.example/billing"),
        ("MAIL_SUPPORT_EMAIL", "support@sivera.example"),
        ("PUBLIC_URL", "https://billing.sivera.example/"),
        ("PORTONE_CARD_CHANNEL_KEY", "channel-key-1"),
        ("PORTONE_CARD_PG", "TOSSPAYMENTS"),
        ("CHECKOUT_SECRET_ID", "b/checkout"),
    ])
}

fn read_all<T: Group>(vars: &HashMap<&'static str, &'static str>) -> Result<T, ConfigErrors> {
    read(|name| vars.get(name).map(|text| (*text).to_owned()))
}

#[test]
fn what_is_optional_has_defaults() {
    let (tables, portone, _, _, mail, dunning, checkout): Everything = read_all(&good()).unwrap();
    assert_eq!(tables, Tables::with_prefix("b"));
    assert_eq!((portone.base_url, portone.read_timeout.as_secs(), portone.connect_timeout.as_secs()), (None, 60, 3));
    assert_eq!(dunning.ladder, Ladder::default());
    assert_eq!((mail.company_line, mail.configuration_set), (None, None));
    assert_eq!((checkout.sdk_url.as_str(), checkout.terms_url, checkout.privacy_url), (DEFAULT_SDK_URL, None, None));
    assert_eq!((checkout.card.unwrap().pg, checkout.paypal_channel_key), (Pg::TossPayments, None));
    assert_eq!(checkout.public_url, "https://billing.sivera.example", "without the slash");
}

#[test]
fn metrics_are_written_where_the_stack_says() {
    let namespace = |text: &str| read(|_| Some(text.to_owned())).map(|Metrics { namespace }| namespace);
    assert_eq!(namespace(""), Ok("Billing".to_owned()));
    assert_eq!(namespace("Billing/billing-prod"), Ok("Billing/billing-prod".to_owned()));
    for wrong in ["AWS/Lambda", "two words", &"x".repeat(256)] {
        assert_eq!(namespace(wrong).unwrap_err().0.len(), 1, "{wrong}");
    }
}

#[test]
fn a_checkout_needs_a_channel_and_a_card_channel_its_pg() {
    let without = |names: &[&str]| {
        let mut vars = good();
        vars.retain(|name, _| !names.contains(name));
        read_all::<Checkout>(&vars).unwrap_err().0
    };
    let [neither] = <[Problem; 1]>::try_from(without(&["PORTONE_CARD_CHANNEL_KEY", "PORTONE_CARD_PG"])).unwrap();
    assert_eq!(neither.name, "PORTONE_CARD_CHANNEL_KEY");
    let [no_pg] = <[Problem; 1]>::try_from(without(&["PORTONE_CARD_PG"])).unwrap();
    assert_eq!(no_pg.name, "PORTONE_CARD_PG");
    let mut paypal = good();
    paypal.retain(|name, _| !name.starts_with("PORTONE_CARD"));
    paypal.insert("PORTONE_PAYPAL_CHANNEL_KEY", "channel-key-2");
    assert_eq!(read_all::<Checkout>(&paypal).unwrap().card, None);
}

#[test]
fn everything_that_is_missing_is_reported_at_once() {
    let errors = read_all::<Everything>(&HashMap::new()).unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_without_its_value() {
    let mut vars = good();
    vars.extend([
        ("TABLE_EVENTS", "no such name!"),
        ("PORTONE_BASE_URL", "api.portone.io"),
        ("PORTONE_API_SECRET_ID", " "),
        ("PORTONE_READ_TIMEOUT_SECONDS", "600"),
        ("PORTONE_WEBHOOK_SECRET_ID", "whsec_c2VjcmV0"),
        ("QUEUE_PLAN_URL", "https:///"),
        ("MAIL_FROM", "Sivera <billing@sivera.example>"),
        ("MAIL_MANAGE_URL", "http://sivera.example/billing"),
        ("DUNNING_DAYS", "5,3"),
        ("PORTONE_MODE", "production"),
        ("PUBLIC_URL", "http://billing.sivera.example"),
        ("PORTONE_SDK_URL", "cdn.portone.io"),
    ]);
    let errors = read_all::<Everything>(&vars).unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_function_reads_only_what_it_needs() {
    let vars = HashMap::from([
        ("QUEUE_COLLECT_URL", "https://sqs.ap-northeast-2.amazonaws.com/1/collect"),
        ("QUEUE_PLAN_URL", "https://sqs.ap-northeast-2.amazonaws.com/1/plan"),
    ]);
    assert!(read_all::<Queues>(&vars).is_ok());
    assert_eq!(read_all::<(Tables, Queues)>(&vars).unwrap_err().0.len(), 6);
}

#[test]
fn the_catalogue_of_this_build_can_be_sold() {
    let catalogue = catalogue().unwrap();
    for plan in [PlanType::Standard, PlanType::Pro] {
        assert!(!catalogue.monthly(plan, 1, Currency::Krw).unwrap().is_zero(), "{plan:?}");
    }
}
