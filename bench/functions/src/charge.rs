//! A charge: the request to `PortOne`, and what is made of its answer. No network lies between them.

use futures::FutureExt;
use http::header::CONTENT_TYPE;
use portone::{
    ApiSecret, BillingKey, BillingKeyPayment, BillingKeyPaymentReceipt, Client, Currency, CustomerInput, CustomerName,
    Error, IdempotencyKey, PaymentId, Personal, StoreId,
};

/// The answer to a charge that succeeded.
pub const PAID: &str = r#"{"payment":{"pgTxId":"tviva20261201100003AbCd1","paidAt":"2026-12-01T01:00:03Z"}}"#;

/// The answer to a charge that was declined, with HTTP 502.
pub const DECLINED: &str = r#"{"type":"PG_PROVIDER","message":"PG사에서 오류를 전달했습니다.","pgCode":"REJECT_CARD_PAYMENT","pgMessage":"한도초과 혹은 잔액부족으로 결제에 실패했습니다."}"#;

/// What a worker sends for one attempt.
pub struct Charge {
    client: Client,
    id: PaymentId,
    attempt: IdempotencyKey,
    payment: BillingKeyPayment,
}

impl Default for Charge {
    fn default() -> Self {
        let key = BillingKey::new("billing-key-12caf931-5ece-43c7-84df-addd9c707906").unwrap();
        let mut payment = BillingKeyPayment::new(key, "Sivera Standard - 12월 구독료", 30_000, Currency::Krw);
        payment.customer = Some(CustomerInput {
            id: Some("user_456".to_owned()),
            name: Some(CustomerName::Full(Personal::new("김민수"))),
            email: Some(Personal::new("kim@example.com")),
            phone_number: Some(Personal::new("010-0000-0000")),
            ..CustomerInput::default()
        });
        let secret = ApiSecret::new("not-the-secret-of-any-store-but-as-long-as-one").unwrap();
        let store = StoreId::new("store-5a4d0b07-5b0e-4f0a-9c2e-5a11db0c5a4d");
        Self {
            client: Client::builder().store_id(store).build().unwrap().with_secret(secret),
            id: PaymentId::new("invF4WHK5AWFTE3NIDYQ77E3ZVJNUU742ZI").unwrap(),
            attempt: IdempotencyKey::new("invF4WHK5AWFTE3NIDYQ77E3ZVJNUU742ZI-1").unwrap(),
            payment,
        }
    }
}

impl Charge {
    /// The bytes of the request's body, from the request as it would be sent.
    pub fn request(&self) -> usize {
        let request = self.client.charge_request(&self.id, &self.attempt, &self.payment).unwrap();
        request.body().unwrap().as_bytes().unwrap().len()
    }

    /// What an answer says.
    pub fn answer(&self, status: u16, body: &'static str) -> Result<BillingKeyPaymentReceipt, Error> {
        let answer = http::Response::builder().status(status).header(CONTENT_TYPE, "application/json").body(body);
        // The body is there, so nothing is waited for.
        self.client.charge_answer(answer.unwrap(), &self.payment).now_or_never().unwrap()
    }
}
