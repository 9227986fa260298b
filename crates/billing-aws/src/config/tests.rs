use super::*;
use billing_core::money::Currency;
use billing_core::plan::PlanType;
use std::collections::HashMap;

type Everything = (Tables, PortOne, Webhooks, Queues, MailFrom, Dunning);

fn good() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("TABLE_BILLING_KEYS", "b-BillingKeys"),
        ("TABLE_SUBSCRIPTIONS", "b-Subscriptions"),
        ("TABLE_INVOICES", "b-Invoices"),
        ("TABLE_EVENTS", "b-Events"),
        ("PORTONE_STORE_ID", "store-1"),
        ("PORTONE_API_SECRET_ID", "b/api"),
        ("PORTONE_WEBHOOK_SECRET_ID", "b/webhook"),
        ("QUEUE_COLLECT_URL", "https://sqs.ap-northeast-2.amazonaws.com/1/collect"),
        ("QUEUE_PLAN_URL", "http://127.0.0.1:3004/1/plan"),
        ("MAIL_FROM", "billing@sivera.example"),
        ("MAIL_MANAGE_URL", "https://sivera.example/billing"),
        ("MAIL_SUPPORT_EMAIL", "support@sivera.example"),
    ])
}

fn read_all<T: Group>(vars: &HashMap<&'static str, &'static str>) -> Result<T, ConfigErrors> {
    read(|name| vars.get(name).map(|text| (*text).to_owned()))
}

#[test]
fn what_is_optional_has_defaults() {
    let (tables, portone, _, _, mail, dunning): Everything = read_all(&good()).unwrap();
    assert_eq!(tables, Tables::with_prefix("b"));
    assert_eq!((portone.base_url, portone.read_timeout.as_secs(), portone.connect_timeout.as_secs()), (None, 60, 3));
    assert_eq!(dunning.ladder, Ladder::default());
    assert_eq!((mail.company_line, mail.configuration_set), (None, None));
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
    assert_eq!(read_all::<(Tables, Queues)>(&vars).unwrap_err().0.len(), 4);
}

#[test]
fn the_catalogue_of_this_build_can_be_sold() {
    let catalogue = catalogue().unwrap();
    for plan in [PlanType::Standard, PlanType::Pro] {
        assert!(!catalogue.monthly(plan, 1, Currency::Krw).unwrap().is_zero(), "{plan:?}");
    }
}
