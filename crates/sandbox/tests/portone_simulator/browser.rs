//! The stand-in for the browser SDK, as the script and the window's page call it.

use crate::bench::{Bench, STORE, start};
use crate::receiver::Receiver;
use crate::restart::{killed, scratch};
use jiff::SignedDuration;
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// A page's request for a card, good for any of the gateways on a desktop.
fn request() -> Value {
    json!({
        "storeId": STORE,
        "channelKey": "channel-key-sandbox-card",
        "billingKeyMethod": "CARD",
        "issueId": "issue1",
        "issueName": "Sivera Pro",
        "customer": {
            "customerId": "customer-1",
            "fullName": "홍길동",
            "phoneNumber": "01012345678",
            "email": "hong@example.com",
        },
        "customData": {"checkout": "c1"},
        "redirectUrl": "https://shop.example/success?state=a%26b",
        "locale": "KO_KR",
    })
}

fn paypal() -> Value {
    let mut request = with("channelKey", json!("channel-key-sandbox-paypal"));
    request["billingKeyMethod"] = json!("PAYPAL");
    request["uiType"] = json!("PAYPAL_RT");
    request
}

fn with(field: &str, value: Value) -> Value {
    let mut request = request();
    request[field] = value;
    request
}

fn without(pointer: &str) -> Value {
    let mut request = request();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    request.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(field).unwrap();
    request
}

impl Bench {
    async fn send(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.http.post(format!("{}/sandbox/window/{path}", self.url)).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn open_by(&self, by: &str, platform: &str, request: &Value) -> (u16, Value) {
        self.send("open", &json!({"request": request, "platform": platform, "by": by})).await
    }

    async fn open(&self, platform: &str, request: &Value) -> (u16, Value) {
        self.open_by("requestIssueBillingKey", platform, request).await
    }

    /// Opens a window and ends it; answers with what the page is told.
    async fn walk(&self, platform: &str, request: &Value, ending: Value) -> Value {
        let (status, opened) = self.open(platform, request).await;
        assert_eq!(status, 200, "{opened}");
        self.end(&opened, ending).await
    }

    async fn end(&self, opened: &Value, ending: Value) -> Value {
        let (status, ended) = self.send(&format!("{}/end", opened["windowId"].as_str().unwrap()), &ending).await;
        assert_eq!(status, 200, "{ended}");
        ended
    }

    async fn refused(&self, platform: &str, request: &Value) -> (Value, String) {
        let (status, problem) = self.open(platform, request).await;
        assert!(matches!(status, 400 | 404), "{status} {problem}");
        (problem["code"].clone(), problem["message"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn the_script_is_where_the_cdn_has_it() {
    let bench = Bench::new().await;
    for (path, kind) in [
        ("/v2/browser-sdk.js", "text/javascript; charset=utf-8"),
        ("/sandbox/window/window.js", "text/javascript; charset=utf-8"),
        ("/sandbox/window/window.css", "text/css; charset=utf-8"),
        ("/sandbox/window/any", "text/html; charset=utf-8"),
    ] {
        let response = bench.http.get(format!("{}{path}", bench.url)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &kind.parse().unwrap()));
        assert!(response.text().await.unwrap().len() < 8 * 1024, "{path} is small");
    }
}

#[tokio::test]
async fn any_page_may_open_a_window() {
    let bench = Bench::new().await;
    let url = format!("{}/sandbox/window/open", bench.url);
    let preflight = bench.http.request(Method::OPTIONS, &url).header("origin", "https://shop.example").send();
    let preflight = preflight.await.unwrap();
    assert_eq!(preflight.status(), 204);
    let allowed = |name: &str| preflight.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(allowed("access-control-allow-origin"), "*");
    assert_eq!(allowed("access-control-allow-methods"), "POST");
    assert_eq!(allowed("access-control-allow-headers"), "content-type");
    let refused = bench.http.post(&url).json(&json!({})).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["access-control-allow-origin"]),
        (400, &"*".parse().unwrap())
    );
}

#[tokio::test]
async fn an_approved_window_issues_a_key_that_can_be_read_and_charged() {
    let bench = Bench::new().await;
    let ended = bench.walk("PC", &request(), json!({"ending": "approve"})).await;
    let key = ended["result"]["billingKey"].as_str().unwrap();
    assert_eq!(ended["result"], json!({"transactionType": "ISSUE_BILLING_KEY", "billingKey": key}));
    assert_eq!(ended["redirect"], Value::Null, "a desktop's page is told, and stays");
    let (_, info) = bench.get(&format!("/billing-keys/{key}")).await;
    assert_eq!((&info["status"], &info["issueId"]), (&json!("ISSUED"), &json!("issue1")));
    assert_eq!(info["customData"], "{\"checkout\":\"c1\"}");
    let customer =
        json!({"id": "customer-1", "name": "홍길동", "phoneNumber": "01012345678", "email": "hong@example.com"});
    assert_eq!(info["customer"], customer);
    let channel = &info["channels"][0];
    assert_eq!((&channel["key"], &channel["type"]), (&json!("channel-key-sandbox-card"), &json!("TEST")));
    assert_eq!(channel["pgProvider"], "TOSSPAYMENTS");
    assert_eq!(bench.charge("payment1", key).await.0, 200);
}

#[tokio::test]
async fn what_the_key_does_later_is_chosen_in_the_window() {
    let bench = Bench::new().await;
    let ending = json!({"ending": "approve", "behavior": "decline:expired_card"});
    let ended = bench.walk("PC", &request(), ending).await;
    let (_, declined) = bench.charge("payment1", ended["result"]["billingKey"].as_str().unwrap()).await;
    assert_eq!(declined["pgCode"], "INVALID_CARD_EXPIRATION");
}

#[tokio::test]
async fn paypals_button_opens_a_window_of_its_own() {
    let bench = Bench::new().await;
    let (_, opened) = bench.open_by("loadIssueBillingKeyUI", "MOBILE", &paypal()).await;
    assert_eq!(opened["redirects"], false, "`redirectUrl` is ignored");
    let ended = bench.end(&opened, json!({"ending": "approve"})).await;
    let (_, info) = bench.get(&format!("/billing-keys/{}", ended["result"]["billingKey"].as_str().unwrap())).await;
    assert_eq!(info["channels"][0]["pgProvider"], "PAYPAL_V2");
    assert_eq!(info["methods"][0]["type"], "BillingKeyPaymentMethodPaypal");
}

#[tokio::test]
async fn every_other_ending_makes_no_key_and_says_so() {
    for (ending, code, pg_code) in [
        (json!({"ending": "decline", "reason": "over_limit"}), "PGProviderError", json!("EXCEED_MAX_AMOUNT")),
        (json!({"ending": "decline", "reason": "8186"}), "PGProviderError", json!("8186")),
        (json!({"ending": "cancel"}), "PGProviderError", json!("PAY_PROCESS_CANCELED")),
        (json!({"ending": "error"}), "UnknownError", Value::Null),
    ] {
        let (bench, receiver) = (Bench::new().await, Receiver::new().await);
        bench.portone.set_webhook_url(receiver.url.clone());
        let (_, opened) = bench.open("PC", &request()).await;
        bench.portone.fire_due().await;
        let result = bench.end(&opened, ending).await["result"].clone();
        bench.portone.fire_due().await;
        assert_eq!((&result["code"], &result["pgCode"]), (&json!(code), &pg_code));
        assert!(result["message"].is_string());
        let key = result["billingKey"].as_str().unwrap();
        assert_eq!(bench.get(&format!("/billing-keys/{key}")).await.1["type"], "BILLING_KEY_NOT_FOUND");
        assert_eq!(receiver.kinds(), ["BillingKey.Ready", "BillingKey.Failed"]);
        assert_eq!(receiver.hooks()[1].body["data"], json!({"storeId": STORE, "billingKey": key}));
    }
}

#[tokio::test]
async fn webhooks_tell_of_the_opening_and_then_of_the_key_at_the_requests_own_address() {
    let (bench, console, own) = (Bench::new().await, Receiver::new().await, Receiver::new().await);
    bench.portone.set_webhook_url(console.url.clone());
    let (_, opened) = bench.open("PC", &with("noticeUrls", json!([own.url]))).await;
    bench.portone.fire_due().await;
    assert_eq!(own.kinds(), ["BillingKey.Ready"]);
    let ended = bench.end(&opened, json!({"ending": "approve"})).await;
    bench.portone.fire_due().await;
    assert_eq!(own.kinds(), ["BillingKey.Ready", "BillingKey.Issued"]);
    let about = json!({"storeId": STORE, "billingKey": ended["result"]["billingKey"]});
    assert!(own.hooks().iter().all(|hook| hook.is_signed() && hook.body["data"] == about));
    assert_eq!(console.hooks().len(), 0);
}

#[tokio::test]
async fn webhook_first_page_first_and_page_only_are_rules_of_faults() {
    for (behavior, at_once, later) in
        [("webhook_before_answer", 1, 1), ("webhook_late", 0, 1), ("webhook_lost", 0, 0), ("webhook_duplicated", 0, 2)]
    {
        let (bench, receiver) = (Bench::new().await, Receiver::new().await);
        let (_, opened) = bench.open("PC", &request()).await;
        bench.portone.set_webhook_url(receiver.url.clone());
        bench.faults(&json!({"behavior": behavior, "operation": "issue"}));
        let ended = bench.end(&opened, json!({"ending": "approve"})).await;
        assert_eq!(receiver.hooks().len(), at_once, "{behavior}, when the page is told");
        assert!(ended["result"]["code"].is_null());
        bench.advance(SignedDuration::from_hours(7));
        bench.portone.fire_due().await;
        assert_eq!(receiver.hooks().len(), later, "{behavior}, in the end");
    }
}

#[tokio::test]
async fn a_key_can_be_issued_without_the_page_hearing() {
    let (bench, receiver) = (Bench::new().await, Receiver::new().await);
    bench.portone.set_webhook_url(receiver.url.clone());
    let ended = bench.walk("MOBILE", &request(), json!({"ending": "approve_unheard"})).await;
    assert_eq!(ended, json!({"result": null, "redirect": null}));
    bench.portone.fire_due().await;
    let issued = receiver.hooks().into_iter().find(|hook| hook.kind() == "BillingKey.Issued").unwrap();
    let key = issued.body["data"]["billingKey"].as_str().unwrap();
    assert_eq!(bench.get(&format!("/billing-keys/{key}")).await.1["status"], "ISSUED");
}

#[tokio::test]
async fn a_window_ends_once() {
    let bench = Bench::new().await;
    let (_, opened) = bench.open("PC", &request()).await;
    let first = bench.end(&opened, json!({"ending": "approve"})).await;
    assert_eq!(bench.end(&opened, json!({"ending": "cancel"})).await, first);
    assert_eq!(bench.get("/billing-keys").await.1["page"]["totalCount"], 1);
}

#[tokio::test]
async fn two_windows_for_one_issue_id_issue_two_keys() {
    let bench = Bench::new().await;
    let (first, second) = (bench.open("PC", &request()).await.1, bench.open("PC", &request()).await.1);
    let first = bench.end(&first, json!({"ending": "approve"})).await;
    let second = bench.end(&second, json!({"ending": "approve"})).await;
    assert_ne!(first["result"]["billingKey"], second["result"]["billingKey"]);
    assert_eq!(bench.get("/billing-keys").await.1["page"]["totalCount"], 2);
}

#[tokio::test]
async fn a_redirect_keeps_its_own_query_and_encodes_what_is_appended() {
    let bench = Bench::new().await;
    let request = with("redirectUrl", json!("https://shop.example/success?state=a%26b#top"));
    let ended = bench.walk("MOBILE", &request, json!({"ending": "decline", "reason": "a&b=c #"})).await;
    let redirect = ended["redirect"].as_str().unwrap();
    assert!(
        redirect.starts_with("https://shop.example/success?state=a%26b&transactionType=ISSUE_BILLING_KEY&"),
        "{redirect}"
    );
    let url = Url::parse(redirect).unwrap();
    assert_eq!(url.fragment(), Some("top"));
    let fields: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["state", "transactionType", "billingKey", "code", "message", "pgCode", "pgMessage"]);
    let told = &ended["result"];
    assert!(fields[1..].iter().all(|(name, value)| told[name] == *value), "the same as a promise would tell: {told}");
    assert_eq!(told["pgCode"], "a&b=c #");
}

#[tokio::test]
async fn mobiles_and_whoever_asks_for_it_are_redirected() {
    let bench = Bench::new().await;
    let redirects = async |platform, request: Value| bench.open(platform, &request).await.1["redirects"].clone();
    assert_eq!(redirects("PC", request()).await, false);
    assert_eq!(redirects("MOBILE", request()).await, true);
    assert_eq!(redirects("PC", with("forceRedirect", json!(true))).await, true);
    assert_eq!(redirects("PC", with("windowType", json!({"pc": "REDIRECTION"}))).await, true);
    assert_eq!(redirects("PC", without("/redirectUrl")).await, false);
}

#[tokio::test]
async fn a_request_that_portone_would_not_take_opens_no_window() {
    let (bench, receiver) = (Bench::new().await, Receiver::new().await);
    bench.portone.set_webhook_url(receiver.url.clone());
    for (platform, request, code, word) in [
        ("PC", without("/storeId"), "BadRequest", "storeId"),
        ("PC", with("storeId", json!("store-other")), "StoreNotFound", "store-other"),
        ("PC", without("/channelKey"), "BadRequest", "channelKey"),
        ("PC", with("channelKey", json!("channel-key-other")), "ChannelNotFound", "channel-key-other"),
        ("PC", without("/billingKeyMethod"), "BadRequest", "billingKeyMethod"),
        ("PC", with("billingKeyMethod", json!("EASY_PAY")), "BadRequest", "method"),
        ("PC", with("customData", json!("text")), "BadRequest", "string"),
        ("PC", with("redirectUrl", json!("javascript:alert(1)")), "BadRequest", "redirectUrl"),
        ("PC", with("noticeUrls", json!(["ftp://shop.example"])), "BadRequest", "noticeUrls"),
        ("PC", with("noticeUrls", json!(vec!["https://shop.example"; 11])), "BadRequest", "noticeUrls"),
        ("PC", with("windowType", json!({"pc": "UI"})), "BadRequest", "windowType"),
        ("PC", paypal(), "BadRequest", "loadIssueBillingKeyUI"),
        ("MOBILE", without("/redirectUrl"), "BadRequest", "redirectUrl"),
        ("MOBILE", with("windowType", json!({"mobile": "IFRAME"})), "BadRequest", "REDIRECTION"),
        ("PC", with("customer", json!({"customerId": "한글"})), "BadRequest", "customerId"),
    ] {
        let (refused, message) = bench.refused(platform, &request).await;
        assert_eq!(refused, code, "{message}");
        assert!(message.contains(word), "{message}");
    }
    let mut other = paypal();
    other["uiType"] = json!("OTHER");
    for request in [other, request()] {
        assert_eq!(bench.open_by("loadIssueBillingKeyUI", "PC", &request).await.1["code"], "BadRequest");
    }
    bench.portone.fire_due().await;
    assert_eq!(receiver.hooks().len(), 0);
}

#[tokio::test]
async fn a_gateways_rules_for_its_window_are_applied_unless_they_are_off() {
    let bench = Bench::new().await;
    let at = |gateway: &str, mut request: Value| {
        request["channelKey"] = json!(format!("channel-key-sandbox-card-{gateway}"));
        request
    };
    for (gateway, platform, broken, word) in [
        ("inicis", "PC", with("issueId", json!("이슈")), "issueId"),
        ("inicis", "PC", without("/issueName"), "issueName"),
        ("inicis", "PC", without("/customer/phoneNumber"), "phoneNumber"),
        ("inicis", "MOBILE", request(), "offerPeriod"),
        ("kcp", "PC", without("/issueId"), "issueId"),
        ("kcp", "MOBILE", without("/issueName"), "issueName"),
        ("kcp", "PC", with("offerPeriod", json!({"range": {}})), "interval"),
    ] {
        let (code, message) = bench.refused(platform, &at(gateway, broken.clone())).await;
        assert!(code == "BadRequest" && message.contains(word), "{code} {message}");
        bench.faults(&json!({"pgRules": false}));
        assert_eq!(bench.open(platform, &at(gateway, broken)).await.0, 200);
        bench.faults(&json!({"pgRules": true}));
    }
    for gateway in ["inicis", "kcp"] {
        let good = at(gateway, with("offerPeriod", json!({"interval": "1m"})));
        assert_eq!(bench.open("PC", &good).await.0, 200);
        assert_eq!(bench.open("MOBILE", &good).await.0, 200);
    }
}

#[tokio::test]
async fn an_ending_that_does_not_exist_leaves_the_window_open() {
    let bench = Bench::new().await;
    let (_, opened) = bench.open("PC", &request()).await;
    let path = format!("{}/end", opened["windowId"].as_str().unwrap());
    for ending in [
        json!({"ending": "explode"}),
        json!({"ending": "approve", "behavior": "explode"}),
        json!({"ending": "decline"}),
        json!({"ending": "decline", "reason": ""}),
        json!({"ending": "decline", "reason": "x".repeat(65)}),
    ] {
        let (status, problem) = bench.send(&path, &ending).await;
        assert_eq!((status, &problem["code"]), (400, &json!("BadRequest")), "{ending}");
    }
    assert!(bench.end(&opened, json!({"ending": "approve"})).await["result"]["code"].is_null());
    assert_eq!(bench.send("none/end", &json!({"ending": "cancel"})).await.0, 404);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let bench = Bench::new().await;
    let (status, problem) = bench.open("PC", &with("customData", json!({"a": "x".repeat(64 * 1024)}))).await;
    assert_eq!((status, &problem["code"]), (400, &json!("BadRequest")));
    assert_eq!(bench.open("PC", &with("customData", json!({"a": "x".repeat(60 * 1024)}))).await.0, 200);
}

#[tokio::test]
async fn a_restart_leaves_windows_open() {
    let path = scratch("windows");
    let before = Bench::with(Some(path.clone()), 1, start()).await;
    let (open, ended) = (before.open("PC", &request()).await.1, before.open("PC", &request()).await.1);
    let cancelled = before.end(&ended, json!({"ending": "cancel"})).await;
    let after = Bench::with(Some(killed(&path, "windows-copy")), 1, start()).await;
    assert_eq!(after.end(&ended, json!({"ending": "approve"})).await, cancelled);
    let issued = after.end(&open, json!({"ending": "approve"})).await;
    assert_eq!(after.charge("payment1", issued["result"]["billingKey"].as_str().unwrap()).await.0, 200);
    assert_ne!(after.open("PC", &request()).await.1["windowId"], open["windowId"], "names go on where they were");
}

#[tokio::test]
async fn only_so_many_windows_are_remembered() {
    let bench = Bench::new().await;
    let (_, first) = bench.open("PC", &without("/issueId")).await;
    for _ in 0..256 {
        bench.open("PC", &without("/issueId")).await;
    }
    let path = format!("{}/end", first["windowId"].as_str().unwrap());
    assert_eq!(bench.send(&path, &json!({"ending": "approve"})).await.0, 404);
}

#[tokio::test]
async fn a_window_speaks_korean_unless_another_language_is_asked_for() {
    let bench = Bench::new().await;
    for (request, locale) in [
        (request(), "ko"),
        (without("/locale"), "ko"),
        (with("locale", json!("EN_US")), "en"),
        (with("locale", json!("JA_JP")), "en"),
    ] {
        let (_, opened) = bench.open("PC", &request).await;
        let url = format!("{}{}/view", bench.url, opened["path"].as_str().unwrap());
        let view: Value = bench.http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!((&view["locale"], &view["customer"]["name"]), (&json!(locale), &json!("홍길동")));
    }
}
