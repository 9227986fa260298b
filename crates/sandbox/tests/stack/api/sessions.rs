//! Checkout sessions, the pages they open, and payment methods.

use super::contract::Call;
use super::{User, field, morning};
use crate::process::Sandbox;
use serde_json::{Value, json};

fn wish(user: &str) -> Value {
    json!({
        "userId": user, "planType": "standard", "teamSeats": 3, "currency": "KRW", "locale": "en",
        "customer": { "name": "김하늘", "email": "user@example.com", "phone": "010-0000-0000" },
    })
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn open<'a>(sandbox: &'a Sandbox, body: &Value) -> Call<'a> {
    Call::post(sandbox, "/api/billing/checkout-sessions").json(body)
}

fn path_of(url: &Value) -> &str {
    let url = url.as_str().unwrap();
    &url[url.find("/payment/").unwrap()..]
}

#[tokio::test]
async fn a_session_opens_a_page_and_its_key_opens_no_other() {
    let sandbox = morning().await;
    let opened = open(&sandbox, &wish("user-1")).key("signup").send().await;
    assert_eq!(opened.status, 201);
    let again = open(&sandbox, &wish("user-1")).key("signup").send().await;
    assert_eq!(opened.body, again.body);
    let other_user = open(&sandbox, &wish("user-2")).key("signup").send().await;
    assert_ne!(opened.body["sessionId"], other_user.body["sessionId"]);
    let unkeyed = open(&sandbox, &wish("user-1")).send().await;
    assert_ne!(opened.body["sessionId"], unkeyed.body["sessionId"]);
    let other = with(wish("user-1"), &json!({ "teamSeats": 4 }));
    open(&sandbox, &other).key("signup").send().await.is(422, "key-reused");

    let register = path_of(&opened.body["url"]);
    let page = Call::get(&sandbox, register).send().await;
    assert_eq!((page.status, &page.headers["referrer-policy"]), (200, &"no-referrer".parse().unwrap()));
    assert!(page.body.as_str().unwrap().contains("30,000"));
    let success = register.replace("/register", "/success");
    assert_eq!(Call::get(&sandbox, &success).send().await.status, 400);
    let unknown_key = Call::get(&sandbox, format!("{success}&billingKey=nobodys")).send().await;
    assert_eq!(unknown_key.status, 200);
    let failure = register.replace("/register", "/failure");
    let failed = Call::get(&sandbox, format!("{failure}&code=X&message=%3Cscript%3E")).send().await;
    assert_eq!(failed.status, 200);
    assert!(!failed.body.as_str().unwrap().contains("<script>"));
    for forged in ["/payment/billing/register", "/payment/billing/success?session=AQAA", &format!("{failure}x")] {
        assert_eq!(Call::get(&sandbox, forged).send().await.status, 400, "{forged}");
    }

    sandbox.post("/api/clock", json!({ "advance": "PT1H" })).await;
    assert_eq!(Call::get(&sandbox, register).send().await.status, 410);
}

#[tokio::test]
async fn a_session_is_for_what_is_sold_to_who_has_none() {
    let sandbox = morning().await;
    let user = User::who_owes(&sandbox, json!({})).await;
    open(&sandbox, &wish(&user.id)).send().await.is(409, "subscribed");
    for more in [
        json!({ "planType": "free" }),
        json!({ "teamSeats": 0 }),
        json!({ "teamSeats": 101 }),
        json!({ "trialDays": 31 }),
    ] {
        open(&sandbox, &with(wish("user-9"), &more)).send().await.is(422, "not-sold");
    }
    let replace = |id: &str| {
        json!({ "userId": user.id, "subscriptionId": id, "locale": "ko",
            "customer": { "name": "김하늘", "email": "user@example.com" } })
    };
    assert_eq!(open(&sandbox, &replace(&user.subscription)).send().await.status, 201);
    open(&sandbox, &replace("nobody")).send().await.is(404, "no-such-subscription");
    let both = with(replace(&user.subscription), &json!({ "planType": "pro" }));
    assert_eq!(field(&open(&sandbox, &both).send().await), "subscriptionId");
    let neither = with(wish("user-9"), &json!({ "planType": null }));
    assert_eq!(field(&open(&sandbox, &neither).send().await), "planType");
    for (name, customer) in [
        ("customer.name", json!({ "name": " ", "email": "a@example.com" })),
        ("customer.email", json!({ "name": "a", "email": "nobody" })),
        ("customer.email", json!({ "name": "a" })),
        ("customer.phone", json!({ "name": "a", "email": "a@example.com", "phone": "\u{7}" })),
        ("customer.surprise", json!({ "name": "a", "email": "a@example.com", "surprise": 1 })),
    ] {
        let body = with(wish("user-9"), &json!({ "customer": customer }));
        assert_eq!(field(&open(&sandbox, &body).send().await), name);
    }
}

#[tokio::test]
async fn a_subscription_is_charged_with_the_method_that_is_chosen() {
    let sandbox = morning().await;
    let wish = json!({ "planType": "standard", "teamSeats": 3, "pgProvider": "TOSSPAYMENTS" });
    let (id, subscription, billing_key) = sandbox.customer(wish).await;
    let user = User { id, subscription, billing_key };
    let shown = user.subscription(&sandbox).await;
    let [method] = shown["paymentMethods"].as_array().unwrap().as_slice() else { panic!("{shown:#}") };
    assert_eq!((&method["status"], &method["current"]), (&json!("ACTIVE"), &json!(true)));
    let choose = || user.post(&sandbox, "payment-method").json(&json!({ "methodId": method["methodId"] }));
    assert_eq!(choose().send().await.is(200, "active")["hasMethod"], true);
    choose().send().await.is(200, "active");
}
