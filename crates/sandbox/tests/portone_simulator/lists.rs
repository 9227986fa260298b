use crate::bench::Bench;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

async fn charged(count: usize) -> Bench {
    let bench = Bench::new().await;
    let (good, bad) = (bench.key("approve"), bench.key("decline:over_limit"));
    for n in 0..count {
        bench.charge(&format!("payment{n:02}"), if n % 3 == 2 { &bad } else { &good }).await;
        bench.advance(SignedDuration::from_mins(1));
    }
    bench
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn payments_are_listed_by_page_newest_first() {
    let bench = charged(12).await;
    let (_, first) = bench.get("/payments").await;
    assert_eq!(first["page"], json!({"number": 0, "size": 10, "totalCount": 12}));
    assert_eq!(ids(&first)[..2], ["payment11", "payment10"]);
    let (_, second) = bench.list("/payments", &json!({"page": {"number": 1, "size": 10}})).await;
    assert_eq!(ids(&second), ["payment01", "payment00"]);
    let (status, far) = bench.list("/payments", &json!({"page": {"number": 9, "size": 10}})).await;
    assert_eq!((status, &far["items"]), (200, &json!([])));
    let (status, too_far) = bench.list("/payments", &json!({"page": {"number": 6000, "size": 10}})).await;
    assert_eq!((status, &too_far["type"]), (400, &json!("INVALID_REQUEST")));
}

#[tokio::test]
async fn payments_are_found_by_status_time_and_text() {
    let bench = charged(6).await;
    let (_, failed) = bench.list("/payments", &json!({"filter": {"status": ["FAILED"], "sortOrder": "ASC"}})).await;
    assert_eq!(ids(&failed), ["payment02", "payment05"]);
    let window = json!({"filter": {"from": "2026-11-22T01:01:00Z", "until": "2026-11-22T10:02:00+09:00"}});
    assert_eq!(ids(&bench.list("/payments", &window).await.1), ["payment02", "payment01"]);
    let text = json!({"filter": {"textSearch": [{"field": "PAYMENT_ID", "value": "t03"}]}});
    assert_eq!(ids(&bench.list("/payments", &text).await.1), ["payment03"]);
    let wrong = json!({"filter": {"status": ["PAY_PENDING"]}});
    assert_eq!(bench.list("/payments", &wrong).await.0, 400, "the filter spells it PENDING");
    bench.advance(SignedDuration::from_hours(91 * 24));
    assert_eq!(bench.get("/payments").await.1["items"], json!([]), "90 days are looked back on");
}

#[tokio::test]
async fn money_given_back_later_is_listed_by_change_of_status_and_a_second_part_is_no_change() {
    let bench = charged(2).await;
    let since = |by: &str, from: &str| json!({"filter": {"timestampType": by, "from": from, "sortBy": "STATUS_CHANGED_AT", "sortOrder": "ASC"}});
    for (days, amount) in [(1, 100), (2, 200)] {
        bench.advance(SignedDuration::from_hours(24 * days));
        let part = json!({"reason": "asked", "amount": amount});
        assert_eq!(bench.post("/payments/payment00/cancel", part).await.0, 200);
    }
    let (_, first) = bench.list("/payments", &since("STATUS_CHANGED_AT", "2026-11-23T00:00:00Z")).await;
    assert_eq!(ids(&first), ["payment00"]);
    assert_eq!(first["items"][0]["amount"]["cancelled"], 300);
    let (_, second) = bench.list("/payments", &since("STATUS_CHANGED_AT", "2026-11-24T00:00:00Z")).await;
    assert_eq!(ids(&second), [] as [&str; 0]);
    let (_, created) = bench.list("/payments", &since("CREATED_AT", "2026-11-23T00:00:00Z")).await;
    assert_eq!(ids(&created), [] as [&str; 0]);
}

#[tokio::test]
async fn a_page_of_changes_alone_is_the_page_that_any_other_filter_would_find() {
    let bench = charged(7).await;
    bench.advance(SignedDuration::from_hours(1));
    assert_eq!(bench.post("/payments/payment01/cancel", json!({"reason": "asked", "amount": 100})).await.0, 200);
    for (order, until) in [("ASC", "2026-11-23T00:00:00Z"), ("DESC", "2026-11-22T01:04:00Z")] {
        for number in 0..4 {
            let page = json!({"number": number, "size": 2});
            let alone = json!({"from": "2026-11-22T01:01:00Z", "until": until, "sortBy": "STATUS_CHANGED_AT", "sortOrder": order});
            let mut filtered = alone.clone();
            filtered["currency"] = json!("KRW");
            let of = async |filter: &Value| bench.list("/payments", &json!({"page": page, "filter": filter})).await.1;
            assert_eq!(of(&alone).await, of(&filtered).await);
        }
    }
    let all = json!({"filter": {"sortBy": "STATUS_CHANGED_AT"}});
    let (_, listed) = bench.list("/payments", &all).await;
    assert_eq!((ids(&listed).len(), ids(&listed)[0], listed["page"]["totalCount"].as_u64()), (7, "payment01", Some(7)));
}

#[tokio::test]
async fn a_list_may_be_asked_for_in_the_body_as_well() {
    let bench = charged(2).await;
    let request = bench.request(Method::GET, "/payments").body(json!({"page": {"size": 1}}).to_string());
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn payments_are_walked_by_cursor_each_once() {
    let bench = charged(25).await;
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let (status, listed) = bench.list("/payments-by-cursor", &json!({"size": 7, "cursor": cursor})).await;
        assert_eq!(status, 200, "{listed}");
        let items = listed["items"].as_array().unwrap().clone();
        let Some(last) = items.last() else { break };
        cursor = last["cursor"].clone();
        seen.extend(items.iter().map(|item| item["payment"]["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, (0..25).map(|n| format!("payment{n:02}")).collect::<Vec<_>>());
    assert_eq!(bench.list("/payments-by-cursor", &json!({"size": 1001})).await.0, 400);
    assert_eq!(bench.list("/payments-by-cursor", &json!({"cursor": "???"})).await.0, 400);
}

#[tokio::test]
async fn a_card_payment_has_no_cash_receipt() {
    let bench = charged(1).await;
    let (status, body) = bench.get("/payments/payment00/cash-receipt").await;
    assert_eq!((status, &body["type"]), (404, &json!("CASH_RECEIPT_NOT_FOUND")));
}

#[tokio::test]
async fn what_is_no_operation_is_said_to_be_none() {
    let bench = Bench::new().await;
    assert_eq!(bench.post("/payments/payment1/schedules", json!({})).await.0, 404);
    assert_eq!(bench.post("/payments/billing-key", json!({})).await.0, 405);
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let bench = Bench::new().await;
    let request = bench.request(Method::POST, "/payments/payment1/billing-key").body(vec![b' '; 2 * 1024 * 1024]);
    // The server may close the connection while we still send.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 400);
    }
}
