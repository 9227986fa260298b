//! What the deployed functions read from their environment, filled in with the sandbox: a function that runs elsewhere, as its own program,
//! starts with this and works against the sandbox's ports.

use crate::stack::{API_SECRET_ID, Addresses, CHECKOUT_SECRET_ID, WEBHOOK_SECRET_ID, url};
use billing_aws::config::Tables;
use billing_core::id::StoreId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Variables by name.
pub type Environment = BTreeMap<&'static str, String>;

/// All variables of all functions. None is a secret: the keys are any, for nothing here checks a signature of AWS.
pub fn of(addresses: &Addresses, tables: &Tables, store_id: &StoreId, read_timeout: Duration) -> Environment {
    let (portone, aws) = (url(addresses.portone), url(addresses.aws));
    // What browsers load is on this machine, or has TLS: the configuration takes nothing else.
    let here = |address: SocketAddr| {
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            url(address)
        } else {
            format!("http://localhost:{}", address.port())
        }
    };
    let table = |name: &String| name.clone();
    let text = |text: &str| text.to_owned();
    BTreeMap::from([
        ("AWS_REGION", text("ap-northeast-2")),
        ("AWS_ACCESS_KEY_ID", text("sandbox")),
        ("AWS_SECRET_ACCESS_KEY", text("sandbox")),
        ("AWS_ENDPOINT_URL", aws.clone()),
        ("AWS_ENDPOINT_URL_DYNAMODB", url(addresses.dynamodb)),
        ("TABLE_BILLING_KEYS", table(&tables.billing_keys)),
        ("TABLE_SUBSCRIPTIONS", table(&tables.subscriptions)),
        ("TABLE_INVOICES", table(&tables.invoices)),
        ("TABLE_EVENTS", table(&tables.events)),
        ("TABLE_SESSIONS", table(&tables.sessions)),
        ("TABLE_CONTROLS", table(&tables.controls)),
        ("PORTONE_STORE_ID", store_id.to_string()),
        ("PORTONE_MODE", text("test")),
        ("PORTONE_API_SECRET_ID", text(API_SECRET_ID)),
        ("PORTONE_WEBHOOK_SECRET_ID", text(WEBHOOK_SECRET_ID)),
        ("PORTONE_BASE_URL", portone),
        ("PORTONE_READ_TIMEOUT_SECONDS", read_timeout.as_secs().max(1).to_string()),
        ("PORTONE_SDK_URL", format!("{}/v2/browser-sdk.js", here(addresses.portone))),
        ("PORTONE_CARD_CHANNEL_KEY", text("channel-key-sandbox-card")),
        ("PORTONE_CARD_PG", text("TOSSPAYMENTS")),
        ("PORTONE_PAYPAL_CHANNEL_KEY", text("channel-key-sandbox-paypal")),
        ("QUEUE_COLLECT_URL", format!("{aws}/000000000000/collect")),
        ("QUEUE_PLAN_URL", format!("{aws}/000000000000/plan")),
        ("MAIL_FROM", text("billing@sivera.example")),
        ("MAIL_MANAGE_URL", text("https://sivera.example/settings/billing")),
        ("MAIL_SUPPORT_EMAIL", text("support@sivera.example")),
        ("PUBLIC_URL", here(addresses.api)),
        ("CHECKOUT_SECRET_ID", text(CHECKOUT_SECRET_ID)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing_aws::config::{self, Checkout, Dunning, MailFrom, PortOne, Queues, Webhooks};
    use std::net::Ipv4Addr;

    #[test]
    fn a_function_that_runs_elsewhere_finds_every_variable_it_reads() {
        let port = |port: u16| SocketAddr::from((Ipv4Addr::new(172, 17, 0, 1), port));
        let addresses = Addresses { api: port(1), portone: port(2), dynamodb: port(3), console: port(4), aws: port(5) };
        let environment =
            of(&addresses, &Tables::with_prefix("sandbox"), &StoreId::new("store-1").unwrap(), Duration::from_mins(1));
        let read: Result<(Tables, PortOne, Dunning, Webhooks, Queues), _> =
            config::read(|name| environment.get(name).cloned());
        assert_eq!(read.unwrap().0, Tables::with_prefix("sandbox"));
        let read: Result<(Checkout, MailFrom), _> = config::read(|name| environment.get(name).cloned());
        read.unwrap();
    }
}
