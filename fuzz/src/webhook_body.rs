//! The body of a webhook, through the function's own handler: mostly signed, for a body that is not gets no further than its signature.

use crate::input::{Input, block_on};
use crate::world::{SECRET, World, now, webhook_secrets};
use billing_flows::fake::Behaviour;
use lambda_http::http::Request;
use lambda_http::{Body, Response};
use portone::webhook::{WebhookSecret, sign};
use serde_json::Value;

/// Who signs, and what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signer {
    PortOne,
    SomebodyElse,
    OfAnotherBody,
    LongAgo,
}

pub(crate) fn feed(bytes: &[u8]) {
    use Signer::{LongAgo, OfAnotherBody, PortOne, SomebodyElse};
    let mut input = Input::new(bytes);
    let signer = input.choose(&[PortOne, PortOne, PortOne, PortOne, PortOne, SomebodyElse, OfAnotherBody, LongAgo]);
    let was_paid = input.choose(&[true, false]);
    let is_base64 = input.choose(&[false, true]);
    let body = input.rest();
    block_on(async {
        let charge = if was_paid { Behaviour::UnknownButPaid } else { Behaviour::UnknownNotReceived };
        let world = World::after(charge).await;
        let before = (world.tables(), world.store.requests(), world.gateway.requests());
        let answer = post(&world, signer, is_base64, body).await;

        let told: Value = serde_json::from_slice(answer.body().as_ref()).unwrap();
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(1), "an answer is one word: {told}");
        let status = answer.status().as_u16();
        match signer {
            PortOne => assert!(matches!(status, 200 | 400 | 413), "HTTP {status}, with nothing amiss on our side"),
            SomebodyElse | OfAnotherBody | LongAgo => assert!(matches!(status, 401 | 413), "HTTP {status}"),
        }
        if status != 200 {
            let after = (world.tables(), world.store.requests(), world.gateway.requests());
            assert_eq!(after, before, "what is refused leaves a trace");
        }
        assert!(was_paid || world.status() == Some("unknown"), "a webhook was believed against PortOne's word");
        assert_eq!(world.gateway.charges().len(), 1, "a webhook charged somebody");

        // The same again, as PortOne delivers at least once.
        let once = world.tables();
        let again = post(&world, signer, is_base64, body).await;
        assert_eq!((again.status().as_u16(), world.tables()), (status, once), "the second delivery did something");
    });
}

async fn post(world: &World, signer: Signer, is_base64: bool, body: &[u8]) -> Response<Body> {
    let (secret, at, text) = match signer {
        Signer::PortOne => (SECRET, now(), body.to_vec()),
        Signer::SomebodyElse => ("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldA==", now(), body.to_vec()),
        Signer::OfAnotherBody => (SECRET, now(), [body, b" "].concat()),
        Signer::LongAgo => (SECRET, now() - jiff::SignedDuration::from_secs(301), body.to_vec()),
    };
    let body = match str::from_utf8(body) {
        Ok(text) if !is_base64 => Body::from(text),
        _ => Body::from(body.to_vec()),
    };
    let request = Request::builder()
        .method("POST")
        .header("content-type", "application/json")
        .header("webhook-id", "wh-1")
        .header("webhook-timestamp", at.as_second().to_string())
        .header("webhook-signature", sign(&WebhookSecret::new(secret).unwrap(), "wh-1", at, &text))
        .body(body)
        .unwrap();
    webhook::handle(&world.billing, &world.queue, &webhook_secrets(), request).await
}
