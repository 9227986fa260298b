//! Every state of every page, for the pictures and for the tests.

use api::pages::failure::Failure;
use api::pages::problem::Problem;
use api::pages::register::{Customer, Method, Register};
use api::pages::success::{Reload, Success};
use api::pages::{Charge, Frame, Nonce, Offer, Page, Purpose, Sdk, Site};
use billing_core::Date;
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::decline::Pg;
use billing_core::money::{Currency, Money};
use billing_core::plan::Locale;
use billing_core::private::Private;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The state of a page, to be rendered.
#[expect(clippy::large_enum_variant, reason = "a few dozen samples, each rendered once")]
pub(crate) enum State {
    Register(Register),
    Success(Success),
    Failure(Failure),
    Problem(Problem),
}

impl State {
    pub(crate) fn render(&self, locale: Locale, site: &Site) -> Result<Page> {
        let nonce = Nonce::new(*b"sixteen random b");
        let frame = Frame { locale, site, nonce: &nonce };
        Ok(match self {
            Self::Register(view) => api::pages::register(frame, view)?,
            Self::Success(view) => api::pages::success(frame, view)?,
            Self::Failure(view) => api::pages::failure(frame, view)?,
            Self::Problem(view) => api::pages::problem(frame, view)?,
        })
    }
}

pub(crate) fn site() -> Site {
    Site {
        brand: "Sivera".to_owned(),
        manage_url: "https://sivera.example/billing?tab=method&from=page".to_owned(),
        support_email: "help@sivera.example".to_owned(),
        terms_url: Some("https://sivera.example/terms".to_owned()),
        privacy_url: Some("https://sivera.example/privacy".to_owned()),
        company_line: Some(
            "주식회사 시베라 | 대표 홍길동 | 사업자등록번호 123-45-67890 | 통신판매업신고 2026-서울강남-00000 | 서울특별시 강남구 테헤란로 1"
                .to_owned(),
        ),
    }
}

fn charge(on: &str, minor: i64, currency: Currency) -> Result<Charge> {
    Ok(Charge { on: on.parse::<Date>()?, amount: Money::new(minor, currency)? })
}

pub(crate) fn trial() -> Result<Purpose> {
    Ok(Purpose::Subscribe(Offer {
        plan_name: "Standard".to_owned(),
        seats: 3,
        monthly: Money::new(30_000, Currency::Krw)?,
        trial_end: Some("2026-12-09T15:00:00+09:00".parse()?),
        first: charge("2026-12-09", 22_258, Currency::Krw)?,
    }))
}

fn dollars() -> Result<Purpose> {
    Ok(Purpose::Subscribe(Offer {
        plan_name: "Pro".to_owned(),
        seats: 1,
        monthly: Money::new(1_900, Currency::Usd)?,
        trial_end: None,
        first: charge("2026-12-01", 1_900, Currency::Usd)?,
    }))
}

fn replace(next: Option<Charge>) -> Purpose {
    Purpose::ReplaceMethod { plan_name: "Standard".to_owned(), next }
}

pub(crate) fn register(purpose: Purpose, method: Method) -> Result<Register> {
    Ok(Register {
        purpose,
        method,
        store_id: "store-4a9b0c52-0000-4000-8000-000000000000".to_owned(),
        issue_id: "cs01HZY3V5T8Q2W4".to_owned(),
        issue_name: "Sivera Standard 정기 구독".to_owned(),
        customer: Customer {
            id: "user-1".to_owned(),
            name: Private::new("김민지"),
            email: Private::new("minji.kim@example.com"),
            phone: Some(Private::new("010-0000-0000")),
        },
        custom_data: serde_json::json!({ "session": "cs01HZY3V5T8Q2W4" }),
        success_url: "https://pay.sivera.example/payment/billing/success?session=token".to_owned(),
        failure_url: "https://pay.sivera.example/payment/billing/failure?session=token".to_owned(),
        webhook_url: "https://pay.sivera.example/api/portone/billing-webhook".to_owned(),
        sdk: Sdk::at(Sdk::PORTONE)?,
    })
}

pub(crate) fn card(pg: Pg) -> Method {
    Method::Card { channel_key: "channel-key-11111111-0000-4000-8000-000000000000".to_owned(), pg }
}

pub(crate) fn paypal() -> Method {
    Method::PayPal { channel_key: "channel-key-22222222-0000-4000-8000-000000000000".to_owned() }
}

fn failed(pg: Pg, pg_code: &str, pg_message: &str) -> Failure {
    Failure {
        pg: Some(pg),
        code: Some("PGProviderError".to_owned()),
        message: Some(pg_message.to_owned()),
        pg_code: Some(pg_code.to_owned()),
        pg_message: Some(pg_message.to_owned()),
        retry_url: Some("/payment/billing/register?session=token".to_owned()),
    }
}

fn coded(code: &str) -> Failure {
    let retry_url = Some("/payment/billing/register?session=token".to_owned());
    Failure { code: Some(code.to_owned()), retry_url, ..Failure::default() }
}

/// All states, by name.
pub(crate) fn states() -> Result<Vec<(&'static str, State)>> {
    let method =
        MethodLabel { kind: MethodKind::Card, name: Some("신한카드".to_owned()), last4: Some("1234".to_owned()) };
    let wallet = MethodLabel { kind: MethodKind::Paypal, name: None, last4: None };
    let next = Some(charge("2027-01-01", 30_000, Currency::Krw)?);
    let reload = Reload { after_seconds: 3, url: "/payment/billing/success?session=token&look=2".to_owned() };
    let retry_url = Some("/payment/billing/register?session=token".to_owned());
    let naver = Pg::Other("NAVERPAY".to_owned());
    let register = |purpose, method| register(purpose, method).map(State::Register);
    let registered =
        |method: &MethodLabel, purpose| State::Success(Success::Registered { method: method.clone(), purpose });
    Ok(vec![
        ("register-card-trial", register(trial()?, card(Pg::TossPayments))?),
        ("register-paypal", register(dollars()?, paypal())?),
        ("register-card-replace", register(replace(next), card(Pg::Inicis))?),
        ("register-card-replace-nothing-due", register(replace(None), card(Pg::Other("SMARTRO_V2".to_owned())))?),
        ("success-registered-trial", registered(&method, trial()?)),
        ("success-registered-paypal", registered(&wallet, dollars()?)),
        ("success-replaced", registered(&method, replace(next))),
        ("success-checking", State::Success(Success::Checking { reload: Some(reload) })),
        ("success-checking-long", State::Success(Success::Checking { reload: None })),
        (
            "failure-expired",
            State::Failure(failed(
                Pg::TossPayments,
                "INVALID_CARD_EXPIRATION",
                "카드 정보를 다시 확인해주세요. (유효기간)",
            )),
        ),
        ("failure-refused", State::Failure(failed(Pg::Kcp, "8003", "카드사 전화요망 (1544-0000)"))),
        (
            "failure-naverpay",
            State::Failure(failed(
                naver,
                "Fail",
                "네이버페이 비밀번호 입력 횟수를 초과했습니다. 네이버페이에서 비밀번호를 다시 설정해 주세요.",
            )),
        ),
        ("failure-closed", State::Failure(coded("Cancelled"))),
        ("failure-our-mistake", State::Failure(Failure { retry_url: None, ..coded("ChannelNotFound") })),
        ("failure-unavailable", State::Failure(coded("Unavailable"))),
        ("failure-unknown", State::Failure(Failure::default())),
        ("problem-session-expired", State::Problem(Problem::SessionExpired)),
        ("problem-bad-link", State::Problem(Problem::BadLink)),
        ("problem-not-yours", State::Problem(Problem::NotYours)),
        ("problem-already-completed", State::Problem(Problem::AlreadyCompleted)),
        ("problem-unavailable", State::Problem(Problem::Unavailable { retry_url })),
        ("problem-not-found", State::Problem(Problem::NotFound)),
        (
            "problem-internal",
            State::Problem(Problem::Internal { reference: Some("1-5759e988-bd862e3fe1be46a9".to_owned()) }),
        ),
    ])
}
