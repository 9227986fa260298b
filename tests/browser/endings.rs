//! How a window ends without a billing key, and that the customer can try again.

use crate::browser::{Device, walk};
use crate::sandbox::{DOE, KIM, LEE};
use thirtyfour::Key;

#[tokio::test]
async fn whoever_closes_the_window_is_told_that_nothing_happened_and_can_try_again_on_the_same_page() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.click("#close").await?;
        walk.driver.enter_default_frame().await?;
        let said = walk.text("#said:not(:empty)").await?;
        assert!(said.contains("아무것도 등록되거나 결제되지 않았"), "{said}");
        walk.picture("desktop-ko-closed").await?;
        walk.sandbox.has_nothing(&KIM).await;

        walk.click("#start").await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("결제 수단이 등록되었습니다").await?;
        walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn escape_closes_paypals_window_and_its_button_is_still_there() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&DOE).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.at("#title").await?.send_keys(Key::Escape).await?;
        walk.driver.enter_default_frame().await?;
        let said = walk.text("#said:not(:empty)").await?;
        assert!(said.contains("othing was registered or charged"), "{said}");
        walk.at("#portone-sandbox-paypal:enabled").await?;
        walk.sandbox.has_nothing(&DOE).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_cancels_on_a_phone_comes_back_to_a_page_that_offers_another_try() {
    walk(Device::Phone, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.click("#cancel").await?;
        walk.sees("등록을 마치지 않았습니다").await?;
        walk.picture("phone-ko-cancelled").await?;
        walk.sandbox.has_nothing(&KIM).await;
        walk.click("a.button").await?;
        walk.sees("카드 등록").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_gateways_refusal_is_explained_on_a_phone_and_the_next_try_can_succeed() {
    walk(Device::Phone, async |walk| {
        walk.open(&walk.sandbox.checkout(&LEE).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("decline").await?;
        walk.sees("Not registered").await?;
        assert!(walk.text("main").await?.contains("not enough money"));
        walk.picture("phone-en-refused").await?;
        walk.sandbox.has_nothing(&LEE).await;

        walk.click("a.button").await?;
        walk.sees("Register your card").await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("Your payment method is registered").await?;
        walk.sandbox.has_enrolled_once(&LEE, "CARD").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_gateways_code_that_nobody_knows_is_shown_on_a_desktop_for_the_customer_to_quote() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.click("#ending option[value=decline]").await?;
        let reason = walk.at("#reason").await?;
        reason.clear().await?;
        reason.send_keys("NEVER_SEEN_42").await?;
        walk.click("#submit").await?;
        walk.driver.enter_default_frame().await?;
        walk.sees("등록하지 못했습니다").await?;
        assert_eq!(walk.text(".quote code").await?, "NEVER_SEEN_42");
        walk.picture("desktop-ko-refused").await?;
        walk.sandbox.has_nothing(&KIM).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_error_without_a_gateways_code_is_explained_too() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&DOE).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("error").await?;
        walk.sees("Not registered").await?;
        walk.picture("desktop-en-error").await?;
        walk.sandbox.has_nothing(&DOE).await;
        Ok(())
    })
    .await;
}
