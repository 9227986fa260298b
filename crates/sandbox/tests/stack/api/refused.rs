//! What is wrong with a request, and how that is said.

use super::contract::Call;
use super::{User, bodies, field, morning, refund};
use reqwest::Method;
use reqwest::header::HeaderMap;
use sandbox::apigw;
use sandbox::clock::Clock;
use sandbox::lambda::Function;
use sandbox::stack::{Options, Stack};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_not_json_of_the_right_form_is_refused_and_changes_nothing() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    for path in bodies(&user) {
        let post = |kind, body: &str| Call::post(&sandbox, &path).bytes(kind, body);
        post("application/json", "{").send().await.is(400, "not-json");
        post("application/json", "{} {}").send().await.is(400, "not-json");
        post("application/json", "").send().await.is(400, "not-json");
        post("text/plain", "{}").send().await.is(400, "not-json");
        Call::post(&sandbox, &path).send().await.is(400, "not-json");
        post("application/json", "[]").send().await.is(422, "invalid");
        post("application/json", "{}").send().await.is(422, "invalid");
        post("application/json; charset=utf-8", r#"{"surprise":1}"#).send().await.is(422, "invalid");
        post("application/json", &"x".repeat(16 * 1024 + 1)).send().await.is(413, "too-large");
        let binary = Call::post(&sandbox, &path).bytes("application/json", vec![0xff, 0xfe]);
        binary.send().await.is(400, "not-json");
    }
    assert!(user.invoices(&sandbox).await.is_empty());
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named() {
    let sandbox = morning().await;
    let (user, id) = User::who_paid(&sandbox, json!({})).await;
    let charge = |more: Value| {
        let mut body = json!({ "subscriptionId": user.subscription, "userId": user.id });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Call::post(&sandbox, "/api/portone/charge").json(&body)
    };
    assert_eq!(field(&charge(json!({ "amount": 30_000 })).send().await), "amount");
    assert_eq!(field(&charge(json!({ "amount": -1, "currency": "KRW" })).send().await), "amount");
    assert_eq!(field(&charge(json!({ "amount": 1.5, "currency": "KRW" })).send().await), "amount");
    assert_eq!(field(&charge(json!({ "amount": 1, "currency": "EUR" })).send().await), "currency");
    assert_eq!(field(&charge(json!({ "userId": "" })).send().await), "userId");
    assert_eq!(field(&charge(json!({ "surprise": 1 })).send().await), "surprise");
    let short = Call::post(&sandbox, "/api/portone/charge").json(&json!({ "userId": user.id }));
    assert_eq!(field(&short.send().await), "subscriptionId");
    assert_eq!(field(&charge(json!({})).key("a b").send().await), "Idempotency-Key");
    assert_eq!(field(&charge(json!({})).key(&"k".repeat(257)).send().await), "Idempotency-Key");
    assert_eq!(
        field(
            &user.post(&sandbox, "change?preview=yes").json(&json!({ "planType": "pro", "teamSeats": 1 })).send().await
        ),
        "preview"
    );
    assert_eq!(field(&user.change(&sandbox, "gold", 1).send().await), "planType");
    assert_eq!(field(&user.cancel(&sandbox, "tomorrow").send().await), "at");
    assert_eq!(field(&refund(&sandbox, &id, &json!({ "reason": " " })).send().await), "reason");
    assert_eq!(field(&refund(&sandbox, &id, &json!({ "reason": "x", "amount": 0 })).send().await), "amount");
    assert_eq!(
        field(&refund(&sandbox, &id, &json!({ "reason": "x", "currentCancellableAmount": -1 })).send().await),
        "currentCancellableAmount"
    );
}

#[tokio::test]
async fn a_subscription_is_asked_for_with_its_user_and_a_listing_goes_on_at_its_own_cursor() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    let plain = format!("/api/billing/subscriptions/{}", user.subscription);
    assert_eq!(field(&Call::get(&sandbox, "/api/billing/subscriptions").send().await), "userId");
    assert_eq!(field(&Call::get(&sandbox, &plain).send().await), "userId");
    assert_eq!(field(&Call::get(&sandbox, format!("{plain}/invoices")).send().await), "userId");
    for verb in ["change", "cancel", "resume", "payment-method", "retry"] {
        assert_eq!(field(&Call::post(&sandbox, format!("{plain}/{verb}")).send().await), "userId");
    }
    let mine = Call::get(&sandbox, format!("/api/billing/subscriptions?userId={}", user.id)).send().await;
    assert_eq!(mine.body["subscriptions"][0]["subscriptionId"], json!(user.subscription));
    let nobodys = Call::get(&sandbox, "/api/billing/subscriptions?userId=nobody").send().await;
    assert_eq!(nobodys.body, json!({ "subscriptions": [], "cursor": null }));
    for cursor in ["nonsense", "", "e30"] {
        let listing = Call::get(&sandbox, format!("/api/billing/subscriptions?userId=u&cursor={cursor}"));
        assert_eq!(field(&listing.send().await), "cursor");
        assert_eq!(field(&user.get(&sandbox, &format!("invoices?cursor={cursor}")).send().await), "cursor");
    }
}

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let sandbox = morning().await;
    let mut user = User::who_owes(&sandbox, json!({})).await;
    let method = json!({ "methodId": 1 });
    user.post(&sandbox, "payment-method").json(&method).send().await.is(404, "no-such-method");
    let far = json!({ "methodId": i64::MAX });
    user.post(&sandbox, "payment-method").json(&far).send().await.is(404, "no-such-method");
    for id in ["invNOBODY", "%00", "a%2Fb"] {
        refund(&sandbox, id, &json!({ "reason": "x" })).send().await.is(404, "no-such-payment");
    }
    for path in ["/api/billing/", "/api/billing/nothing", "/api/billing/subscriptions/a/b", "/api/billing/payments/a"] {
        let answer = Call::get(&sandbox, path).send().await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for id in ["nobody", "%00", "a%2Fb", "%EA%B9%80"] {
        user.subscription = id.to_owned();
        user.get(&sandbox, "").send().await.is(404, "no-such-subscription");
        user.get(&sandbox, "invoices").send().await.is(404, "no-such-subscription");
        user.post(&sandbox, "retry").send().await.is(404, "no-such-subscription");
        user.post(&sandbox, "resume").send().await.is(404, "no-such-subscription");
        user.change(&sandbox, "pro", 5).send().await.is(404, "no-such-subscription");
        user.quote(&sandbox, "pro", 5).send().await.is(404, "no-such-subscription");
        user.cancel(&sandbox, "now").send().await.is(404, "no-such-subscription");
        user.post(&sandbox, "payment-method").json(&method).send().await.is(404, "no-such-subscription");
    }
    user.subscription = "nobody".to_owned();
    user.charge(&sandbox).send().await.is(404, "no-such-subscription");
}

#[tokio::test]
async fn a_route_names_the_method_it_has() {
    let sandbox = morning().await;
    let user = User { id: "u".to_owned(), subscription: "s".to_owned(), billing_key: String::new() };
    let posts = bodies(&user).into_iter().chain(["resume", "retry"].map(|verb| user.path(verb)));
    let gets = ["/health", "/payment/billing/register", "/payment/billing/success", "/payment/billing/failure"];
    let gets = gets.map(str::to_owned).into_iter().chain(["", "invoices"].map(|verb| user.path(verb)));
    let posts = posts.map(|path| (path, Method::POST));
    for (path, method) in gets.map(|path| (path, Method::GET)).chain(posts) {
        for other in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            if other == method {
                continue;
            }
            let answer = Call::of(&sandbox, other, &path).send().await;
            answer.is(405, "method-not-allowed");
            assert_eq!(answer.headers["allow"], method.as_str(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_caller_whose_signature_nobody_checked_is_refused_everywhere() {
    let stack = Box::pin(Stack::open(Options {
        clock: Clock::frozen_at("2026-11-18T12:00:00+09:00".parse().unwrap()),
        ..Options::default()
    }))
    .await
    .unwrap();
    let user = User { id: "u".to_owned(), subscription: "s".to_owned(), billing_key: String::new() };
    let posts = bodies(&user).into_iter().chain(["resume", "retry"].map(|verb| user.path(verb)));
    let gets = ["/api/billing/subscriptions?userId=u".to_owned(), user.path(""), user.path("invoices")];
    let routes = gets.map(|path| ("GET", path)).into_iter().chain(posts.map(|path| ("POST", path)));
    for (method, path) in routes {
        let method = method.parse().unwrap();
        // API Gateway's event of a route without an authorizer.
        let event = apigw::event(&method, &path.parse().unwrap(), &HeaderMap::new(), b"{}", 0);
        let answer = stack.lambda.invoke(Function::Api, event).await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!((&answer["statusCode"], &body["type"]), (&json!(403), &json!("urn:problem:billing:forbidden")));
    }
}
