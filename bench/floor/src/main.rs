//! A function with nothing of its own: it asks for what its event says, and throws the answers away. What is left of a real one that asks for as much
//! is its own part, and what its packages take for larger rows. `bench compare` measures it beside them.

use aws_config::BehaviorVersion;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use futures::future::try_join_all;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reqwest::{redirect, retry};
use serde::Deserialize;
use std::collections::HashMap;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asks {
    /// The table of the rows.
    table: String,
    /// The URL of the calls.
    url: String,
    /// How often a row is read that is not there, before all else.
    reads: u32,
    /// How many do at once what follows.
    at_once: u32,
    /// How often each then gets what is at the URL.
    calls: u32,
    /// How often each then writes a row of its key alone, in a transaction of one.
    writes: u32,
}

fn key(name: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("paymentId".to_owned(), AttributeValue::S(name.to_owned()))])
}

async fn part(client: &Client, http: &reqwest::Client, asks: &Asks, number: u32) -> Result<(), Error> {
    for _ in 0..asks.calls {
        http.get(&asks.url).send().await?.bytes().await?;
    }
    for _ in 0..asks.writes {
        let put = Put::builder().table_name(&asks.table).set_item(Some(key(&format!("floor{number}")))).build()?;
        client.transact_write_items().transact_items(TransactWriteItem::builder().put(put).build()).send().await?;
    }
    Ok(())
}

async fn answer(client: &Client, http: &reqwest::Client, asks: Asks) -> Result<&'static str, Error> {
    for _ in 0..asks.reads {
        client.get_item().table_name(&asks.table).set_key(Some(key("none"))).consistent_read(true).send().await?;
    }
    try_join_all((0..asks.at_once).map(|number| part(client, http, &asks, number))).await?;
    Ok("done")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    // As the functions have it: `billing_aws::bootstrap`, `portone::Client`.
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let config = config.stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let client = Client::new(&config.load().await);
    let http =
        reqwest::Client::builder().redirect(redirect::Policy::none()).retry(retry::never()).no_proxy().build()?;
    let (client, http) = (&client, &http);
    run(service_fn(move |event: LambdaEvent<Asks>| answer(client, http, event.payload))).await
}
