//! How a payment method is registered, on every device and in every language.

use crate::browser::{Device, walk};
use crate::sandbox::{DOE, KIM, LEE};

#[tokio::test]
async fn on_a_desktop_a_card_is_registered_in_a_window_over_the_page() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.sees("카드 등록").await?;
        assert!(walk.text(".price").await?.contains("30,000원"));
        walk.picture("desktop-ko-1-register").await?;

        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.screen("desktop-ko-2-window").await?;
        walk.end_window("approve").await?;

        walk.sees("결제 수단이 등록되었습니다").await?;
        walk.picture("desktop-ko-3-success").await?;
        let facts = walk.text(".facts").await?;
        assert!(facts.contains("Sandbox Card") && facts.contains("Standard · 좌석 3개"), "{facts}");
        walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn on_a_phone_a_card_is_registered_on_a_page_of_its_own_and_the_browser_comes_back() {
    walk(Device::Phone, async |walk| {
        walk.open(&walk.sandbox.checkout(&LEE).await).await?;
        walk.sees("Register your card").await?;
        walk.picture("phone-en-1-register").await?;

        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.picture("phone-en-2-window").await?;
        walk.end_window("approve").await?;

        walk.sees("Your payment method is registered").await?;
        walk.picture("phone-en-3-success").await?;
        let address = walk.driver.current_url().await?;
        assert!(address.path() == "/payment/billing/success" && address.query().unwrap().contains("billingKey="));
        walk.sandbox.has_enrolled_once(&LEE, "CARD").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn paypals_button_appears_with_consent_and_registers_an_account() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&DOE).await).await?;
        walk.sees("Register your PayPal").await?;
        assert!(walk.text(".price").await?.contains("$27.00"));
        assert!(!walk.driver.find(thirtyfour::By::Id("paypal")).await?.is_displayed().await?);
        walk.click("#consent").await?;
        walk.at("#portone-sandbox-paypal").await?;
        walk.picture("desktop-en-paypal-1-register").await?;

        walk.click("#portone-sandbox-paypal").await?;
        walk.enter_window().await?;
        walk.screen("desktop-en-paypal-2-window").await?;
        walk.end_window("approve").await?;

        walk.sees("Your payment method is registered").await?;
        walk.picture("desktop-en-paypal-3-success").await?;
        assert!(walk.text(".facts").await?.contains("PayPal"));
        walk.sandbox.has_enrolled_once(&DOE, "PAYPAL").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn on_a_dark_phone_paypal_is_registered_too() {
    walk(Device::Phone, async |walk| {
        walk.prefers_dark().await?;
        walk.open(&walk.sandbox.checkout(&DOE).await).await?;
        walk.click("#consent").await?;
        walk.at("#portone-sandbox-paypal").await?;
        walk.picture("phone-dark-paypal-1-register").await?;
        walk.click("#portone-sandbox-paypal").await?;
        walk.enter_window().await?;
        walk.screen("phone-dark-paypal-2-window").await?;
        walk.end_window("approve").await?;
        walk.sees("Your payment method is registered").await?;
        walk.picture("phone-dark-paypal-3-success").await?;
        walk.sandbox.has_enrolled_once(&DOE, "PAYPAL").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_consent_the_button_asks_for_it_and_opens_nothing() {
    walk(Device::Phone, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        assert_eq!(walk.at("#start").await?.attr("aria-disabled").await?.as_deref(), Some("true"));
        walk.click("#start").await?;
        assert_eq!(walk.text("#alert").await?, "먼저 결제 내용에 동의해 주세요.");
        assert_eq!(walk.driver.active_element().await?.id().await?.as_deref(), Some("consent"));
        walk.picture("phone-ko-consent-first").await?;
        walk.sandbox.has_nothing(&KIM).await;
        Ok(())
    })
    .await;
}
