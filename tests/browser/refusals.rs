//! What an address must not be able to do.

use crate::browser::{Device, Walk, walk};
use crate::sandbox::{Customer, KIM, LEE};
use thirtyfour::error::WebDriverResult;

/// The address of another page of the same session, with more in its query.
fn page(checkout: &str, name: &str, query: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(&checkout.replace("/register", &format!("/{name}"))).unwrap();
    url.query_pairs_mut().extend_pairs(query);
    url.into()
}

#[tokio::test]
async fn another_customers_billing_key_in_the_address_is_refused() {
    walk(Device::Phone, async |walk| {
        let stolen = walk.sandbox.anothers_key().await;
        let checkout = walk.sandbox.checkout(&KIM).await;
        walk.open(&page(&checkout, "success", &[("billingKey", &stolen)])).await?;
        walk.sees("다른 고객의 결제 수단입니다").await?;
        walk.picture("phone-ko-not-yours").await?;
        walk.sandbox.has_nothing(&KIM).await;

        // The session is none the worse for it.
        walk.open(&checkout).await?;
        walk.sees("카드 등록").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_expired_session_begins_nothing_even_on_a_page_that_was_left_open() {
    walk(Device::Desktop, async |walk| {
        let checkout = walk.sandbox.checkout(&LEE).await;
        walk.open(&checkout).await?;
        walk.sees("Register your card").await?;
        walk.sandbox.wait("PT61M").await;

        // The page that was left open still leads to PortOne, but no further.
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("This link has expired").await?;
        // The key that PortOne issued all the same is in the books, and the customer is told of it; but nothing began with it.
        walk.sandbox.has_no_subscription(&LEE).await;

        walk.open(&checkout).await?;
        walk.sees("This link has expired").await?;
        walk.picture("desktop-en-expired").await?;
        assert_eq!(walk.driver.find_all(thirtyfour::By::Css("#start, script")).await?.len(), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_forged_session_is_refused_in_the_browsers_language() {
    walk(Device::Desktop, async |walk| {
        let key = walk.sandbox.anothers_key().await;
        let checkout = walk.sandbox.checkout(&LEE).await;
        let (front, token) = checkout.split_once("session=").unwrap();
        let mut letters: Vec<char> = token.chars().collect();
        // A letter in the middle of the signed part: the last one may carry no more than spare bits.
        letters[20] = if letters[20] == 'A' { 'B' } else { 'A' };
        let forged = format!("{front}session={}", letters.into_iter().collect::<String>());
        for address in [
            forged.clone(),
            page(&forged, "success", &[("billingKey", &key)]),
            page(&forged, "failure", &[("code", "Cancelled"), ("message", "call 010-0000-0000")]),
            format!("{front}session="),
            front.trim_end_matches('?').to_owned(),
        ] {
            walk.open(&address).await?;
            walk.sees("올바르지 않은 링크입니다").await?;
            assert!(!walk.text("body").await?.contains("010-0000-0000"));
        }
        walk.picture("desktop-ko-forged").await?;
        walk.sandbox.has_nothing(&LEE).await;
        Ok(())
    })
    .await;
}

/// Markup that would run in any of the places where a page could put it.
const SCRIPT: &str =
    r#"</script></template>"><script>window.ran=1;alert(1)</script><img src=x onerror="window.ran=1;alert(1)">"#;

async fn nothing_ran(walk: &Walk) -> WebDriverResult<()> {
    // A dialog would fail this call, too.
    assert_eq!(walk.js("return window.ran === undefined").await?, true);
    assert_eq!(walk.js("return document.querySelectorAll('img, main script').length").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_script_in_what_the_gateway_said_is_text() {
    walk(Device::Desktop, async |walk| {
        let checkout = walk.sandbox.checkout(&KIM).await;
        let said = [("code", "PGProviderError"), ("message", SCRIPT), ("pgCode", SCRIPT)];
        for query in [
            &said[..],
            &said[..2],
            &[("code", SCRIPT), ("message", SCRIPT)],
            &[("code", "PGProviderError"), ("pgMessage", SCRIPT)],
        ] {
            for name in ["failure", "success"] {
                walk.open(&page(&checkout, name, query)).await?;
                walk.sees("등록하지 못했습니다").await?;
                nothing_ran(walk).await?;
            }
        }
        assert!(walk.text(".quote blockquote").await?.contains("<script>window.ran=1;alert(1)</script>"));
        walk.picture("desktop-ko-script-in-message").await?;
        walk.sandbox.has_nothing(&KIM).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_script_in_a_customers_name_is_text_on_the_page_and_in_the_window() {
    walk(Device::Phone, async |walk| {
        let mallory = Customer { name: SCRIPT, ..LEE };
        walk.open(&walk.sandbox.checkout(&mallory).await).await?;
        walk.sees("Register your card").await?;
        nothing_ran(walk).await?;
        walk.picture("phone-en-script-in-name").await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        nothing_ran(walk).await?;
        walk.end_window("approve").await?;
        walk.sees("Your payment method is registered").await?;
        nothing_ran(walk).await?;
        walk.sandbox.has_enrolled_once(&mallory, "CARD").await;
        Ok(())
    })
    .await;
}
