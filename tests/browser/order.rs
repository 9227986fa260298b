//! Who tells of a billing key first, the browser or the webhook, or who alone: it comes to the same.

use crate::browser::{Device, walk};
use crate::sandbox::{KIM, LEE};

#[tokio::test]
async fn a_webhook_before_the_browser_begins_the_subscription_and_the_page_shows_it() {
    walk(Device::Desktop, async |walk| {
        walk.sandbox.webhooks_are("webhook_before_answer").await;
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("결제 수단이 등록되었습니다").await?;
        let cause = walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        assert!(cause.starts_with("webhook:"), "{cause}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_webhook_hours_after_the_browser_changes_nothing() {
    walk(Device::Phone, async |walk| {
        walk.sandbox.webhooks_are("webhook_late").await;
        walk.open(&walk.sandbox.checkout(&LEE).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("Your payment method is registered").await?;
        let cause = walk.sandbox.has_enrolled_once(&LEE, "CARD").await;
        assert!(cause.starts_with("api:"), "{cause}");
        walk.sandbox.wait("PT7H").await;
        assert_eq!(walk.sandbox.has_enrolled_once(&LEE, "CARD").await, cause);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_never_comes_is_not_missed() {
    walk(Device::Desktop, async |walk| {
        walk.sandbox.webhooks_are("webhook_lost").await;
        walk.open(&walk.sandbox.checkout(&LEE).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("Your payment method is registered").await?;
        let cause = walk.sandbox.has_enrolled_once(&LEE, "CARD").await;
        assert!(cause.starts_with("api:"), "{cause}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_dies_after_the_key_was_issued_is_not_missed() {
    walk(Device::Phone, async |walk| {
        let checkout = walk.sandbox.checkout(&KIM).await;
        walk.open(&checkout).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve_unheard").await?;
        walk.at("#done").await?;
        let cause = walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        assert!(cause.starts_with("webhook:"), "{cause}");

        // Who opens the address again is told so, and cannot register twice.
        walk.open(&checkout).await?;
        walk.sees("이미 등록을 마쳤습니다").await?;
        walk.picture("phone-ko-already-completed").await?;
        walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_success_page_that_is_loaded_again_shows_the_same_and_does_nothing() {
    walk(Device::Desktop, async |walk| {
        walk.open(&walk.sandbox.checkout(&KIM).await).await?;
        walk.agree_and_start().await?;
        walk.enter_window().await?;
        walk.end_window("approve").await?;
        walk.sees("결제 수단이 등록되었습니다").await?;
        let (address, shown) = (walk.driver.current_url().await?, walk.text("main").await?);
        let cause = walk.sandbox.has_enrolled_once(&KIM, "CARD").await;
        for _ in 0..2 {
            walk.open(address.as_str()).await?;
            assert_eq!(walk.text("main").await?, shown);
        }
        walk.sandbox.wait("PT1H").await;
        walk.open(address.as_str()).await?;
        walk.sees("결제 수단이 등록되었습니다").await?;
        assert_eq!(walk.sandbox.has_enrolled_once(&KIM, "CARD").await, cause);
        Ok(())
    })
    .await;
}
