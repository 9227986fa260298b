use crate::bench::{Bench, SECRET, checked};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;

async fn with(bench: &Bench, authorization: &str) -> u16 {
    let path = "/billing-keys/none";
    let request = bench.http.get(format!("{}{path}", bench.url)).header("authorization", authorization);
    checked(&Method::GET, path, request.send().await.unwrap()).await.0
}

#[tokio::test]
async fn only_the_secret_under_the_scheme_portone_is_accepted() {
    let bench = Bench::new().await;
    assert_eq!(with(&bench, &format!("PortOne {SECRET}")).await, 404);
    for wrong in
        ["PortOne undefined", "PortOne ", "", SECRET, &format!("portone {SECRET}"), &format!("Bearer {SECRET}")]
    {
        assert_eq!(with(&bench, wrong).await, 401, "{wrong}");
    }
    let (status, body) =
        checked(&Method::GET, "/payments/p", bench.http.get(format!("{}/payments/p", bench.url)).send().await.unwrap())
            .await;
    assert_eq!((status, &body["type"]), (401, &json!("UNAUTHORIZED")));
}

#[tokio::test]
async fn a_charge_without_credentials_charges_nothing() {
    let bench = Bench::new().await;
    let key = bench.key("approve");
    let request = bench.http.post(format!("{}/payments/payment1/billing-key", bench.url));
    let response = request.json(&crate::bench::order(&key)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(bench.approvals("payment1"), 0);
}

#[tokio::test]
async fn an_access_token_lives_half_an_hour_and_a_login_kills_the_refresh_token_before_it() {
    let bench = Bench::new().await;
    let (status, wrong) = bench.post("/login/api-secret", json!({"apiSecret": "wrong"})).await;
    assert_eq!((status, &wrong["type"]), (401, &json!("UNAUTHORIZED")));
    let (_, first) = bench.post("/login/api-secret", json!({"apiSecret": SECRET})).await;
    let bearer = format!("Bearer {}", first["accessToken"].as_str().unwrap());
    assert_eq!(with(&bench, &bearer).await, 404);
    let (status, second) = bench.post("/token/refresh", json!({"refreshToken": first["refreshToken"]})).await;
    assert_eq!(status, 200);
    let (status, _) = bench.post("/token/refresh", json!({"refreshToken": first["refreshToken"]})).await;
    assert_eq!(status, 401, "replaced");
    bench.advance(SignedDuration::from_mins(31));
    assert_eq!(with(&bench, &bearer).await, 401);
    let (status, _) = bench.post("/token/refresh", json!({"refreshToken": second["refreshToken"]})).await;
    assert_eq!(status, 200);
    let (status, _) = bench.post("/token/refresh", json!({})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn another_store_is_forbidden() {
    let bench = Bench::new().await;
    let (status, body) = bench.get("/payments/p?storeId=store-other").await;
    assert_eq!((status, &body["type"]), (403, &json!("FORBIDDEN")));
}
