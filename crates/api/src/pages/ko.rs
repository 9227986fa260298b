//! The pages in Korean.

use super::failure::{Advice, Cause, Failure};
use super::problem::Problem;
use super::register::{Form, Method, Price, Register, Term, Words};
use super::sheet::{Fact, Link, Sheet, Step, Tone};
use super::success::Success;
use super::{Charge, ChromeWords, Offer, Purpose, Site, clean, pg_name};
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::calendar::{BILLING_HOUR, first_of_next_month, seoul};
use billing_core::decline::Reason;
use billing_core::plan::Locale;
use billing_core::{Date, Timestamp};

pub(super) const CHROME: ChromeWords =
    ChromeWords {
        kind: "결제 수단 등록", contact: "문의", terms: "이용약관", privacy: "개인정보처리방침"
    };

/// Writes the registration page.
pub(super) fn form(site: &Site, view: &Register) -> Form {
    match &view.purpose {
        Purpose::Subscribe(offer) => subscription(site, view, offer),
        Purpose::ReplaceMethod { plan_name, next } => replacement(site, view, plan_name, *next),
    }
}

fn subscription(site: &Site, view: &Register, offer: &Offer) -> Form {
    let brand = clean::name(&site.brand);
    let (account, title) = match &view.method {
        Method::Card { .. } => ("카드를", "카드 등록"),
        Method::PayPal { .. } => ("PayPal 계정을", "PayPal 등록"),
    };
    let Offer { seats, monthly, first, .. } = offer;
    let day = date(first.on);
    let vat = monthly.vat_included();
    let mut terms = vec![term(
        "자동 결제",
        format!(
            "첫 결제는 {day}({})이고, 그다음부터는 해지할 때까지 매월 1일 오전 {BILLING_HOUR}시에 자동으로 결제됩니다({monthly}).",
            first.amount
        ),
    )];
    terms.extend(common_terms(site, view));
    Form {
        title: title.to_owned(),
        lead: format!("{brand} 구독료를 결제할 {account} 등록해 주세요."),
        plan: format!("{brand} {} · 좌석 {seats}개", clean::name(&offer.plan_name)),
        price: Some(Price {
            amount: monthly.to_string(),
            per: "매월",
            vat: (!vat.is_zero()).then(|| format!("부가세 {vat} 포함")),
        }),
        note: (offer.trial_end)
            .map(|end| format!("무료 체험은 {}까지입니다. 그 전에 해지하면 아무것도 결제되지 않습니다.", moment(end))),
        terms,
        consent: format!(
            "{day} {}, 이후 매월 1일 {monthly}의 자동 결제와 위의 해지·환불 조건에 동의합니다.",
            first.amount
        ),
        ..blank(site, view)
    }
}

fn replacement(site: &Site, view: &Register, plan_name: &str, next: Option<Charge>) -> Form {
    let title = match &view.method {
        Method::Card { .. } => "결제 수단 변경: 카드",
        Method::PayPal { .. } => "결제 수단 변경: PayPal",
    };
    let change = "등록을 마치면 다음 결제부터 새 결제 수단으로 결제됩니다. 결제되지 않은 요금이 있다면 바로 다시 결제합니다. 등록을 마치기 전에는 아무것도 바뀌지 않습니다.";
    let mut terms = vec![term("변경 시점", change.to_owned())];
    terms.extend(common_terms(site, view));
    Form {
        title: title.to_owned(),
        lead: "앞으로 구독료를 결제할 새 결제 수단을 등록해 주세요.".to_owned(),
        plan: format!("{} {}", clean::name(&site.brand), clean::name(plan_name)),
        note: next.is_none().then(|| "지금 예정된 결제가 없습니다.".to_owned()),
        terms,
        consent: "구독료가 앞으로 새로 등록하는 결제 수단으로 자동 결제되는 것에 동의합니다.".to_owned(),
        ..blank(site, view)
    }
}

/// The conditions of every subscription.
fn common_terms(site: &Site, view: &Register) -> [Term; 3] {
    let (brand, email) = (clean::name(&site.brand), clean::line(view.customer.email.expose()));
    let cancel = term("해지", format!("{brand}의 구독 관리 페이지에서 언제든지 해지할 수 있습니다."));
    let refund = "해지하면 이미 결제한 기간이 끝날 때까지 계속 이용하거나, 바로 종료하고 남은 날만큼의 요금을 환불받을 수 있습니다.";
    [
        term(
            "메일 안내",
            format!(
                "결제될 때마다 영수증을 {email} 주소로 보내 드립니다. 결제가 되지 않았을 때도 메일로 알려 드립니다."
            ),
        ),
        cancel.with(Link::to(&site.manage_url, "구독 관리")),
        term("환불", refund.to_owned()),
    ]
}

/// What every registration page says.
fn blank(site: &Site, view: &Register) -> Form {
    let brand = clean::name(&site.brand);
    let email = clean::line(view.customer.email.expose());
    let trust = match &view.method {
        Method::Card { pg, .. } => format!(
            "카드 정보는 결제 회사({})와 포트원이 직접 받습니다. 카드 번호는 {brand}에 전달되거나 저장되지 않습니다.",
            pg_name(pg, Locale::Ko).unwrap_or("PG사")
        ),
        Method::PayPal { .. } => {
            format!(
                "로그인과 승인은 PayPal 창에서 이루어집니다. PayPal 비밀번호와 카드 정보는 {brand}에 전달되지 않습니다."
            )
        }
    };
    Form {
        title: String::new(),
        lead: String::new(),
        plan: String::new(),
        price: None,
        timeline_title: "결제 일정",
        timeline: timeline(&view.purpose),
        note: None,
        terms_title: "결제 전에 확인해 주세요",
        terms: Vec::new(),
        required: "필수",
        consent: String::new(),
        button: "카드 등록하기",
        locked: match &view.method {
            Method::Card { .. } => "위 내용에 동의하시면 등록할 수 있습니다.",
            Method::PayPal { .. } => "위 내용에 동의하시면 PayPal 버튼이 나타납니다.",
        },
        trust,
        customer_label: "등록하는 분",
        customer: who(&clean::name(view.customer.name.expose()), &email),
        no_script: "이 페이지에서 등록하려면 자바스크립트가 필요합니다. 브라우저 설정에서 자바스크립트를 켜고 페이지를 새로 고치시거나, 다른 브라우저에서 같은 주소를 열어 주세요.",
        blocked: (
            "결제 모듈을 불러오지 못했습니다",
            format!(
                "인터넷 연결을 확인하고, 광고 차단 프로그램이 있다면 이 페이지에서 잠시 꺼 주세요. 계속되면 {} 주소로 알려 주세요. 아직 아무것도 등록되지 않았습니다.",
                clean::line(&site.support_email)
            ),
        ),
        reload: "다시 불러오기",
        words: Words {
            consent_first: "먼저 결제 내용에 동의해 주세요.",
            opening: "등록 창을 여는 중입니다. 창이 보이지 않으면 팝업 차단을 확인해 주세요.",
            closed: "등록을 마치기 전에 창을 닫으셨다면 아무것도 등록되거나 결제되지 않았으며, 언제든지 다시 하실 수 있습니다.",
            done: "등록 결과를 확인하는 중입니다.",
        },
    }
}

fn who(name: &str, email: &str) -> String {
    if name.is_empty() { email.to_owned() } else { format!("{name} ({email})") }
}

fn term(label: &'static str, text: String) -> Term {
    Term { label, text, link: None }
}

/// The charges to come.
fn timeline(purpose: &Purpose) -> Vec<Step> {
    match purpose {
        Purpose::Subscribe(Offer { monthly, trial_end, first, .. }) => {
            let part = if first.amount == *monthly { "첫 결제" } else { "첫 결제 (그달 남은 날의 요금)" };
            let mut steps = Vec::new();
            if trial_end.is_some() {
                steps.push(Step {
                    when: "오늘".to_owned(),
                    what: "무료 체험".to_owned(),
                    amount: Some("결제 없음".to_owned()),
                });
            }
            steps.push(step(date(first.on), part, *first));
            let then = Charge { on: first_of_next_month(first.on), amount: *monthly };
            steps.push(step(format!("{}부터", date(then.on)), "매월 1일 결제", then));
            steps
        }
        Purpose::ReplaceMethod { next, .. } => {
            next.iter().map(|next| step(date(next.on), "다음 결제", *next)).collect()
        }
    }
}

fn step(when: String, what: &str, charge: Charge) -> Step {
    Step { when, what: what.to_owned(), amount: Some(charge.amount.to_string()) }
}

fn empty(tone: Tone, title: &str, paragraph: &str) -> Sheet {
    Sheet {
        tone,
        title: title.to_owned(),
        paragraphs: vec![paragraph.to_owned()],
        facts: Vec::new(),
        timeline: Vec::new(),
        advice: Vec::new(),
        quote: None,
        link: None,
        closing: Vec::new(),
    }
}

/// Writes the page after a registration.
pub(super) fn success(site: &Site, view: &Success) -> Sheet {
    let brand = clean::name(&site.brand);
    match view {
        Success::Registered { method, purpose } => {
            let (plan, said, closing) = match purpose {
                Purpose::Subscribe(offer) => {
                    let said = match offer.trial_end {
                        Some(end) => format!("구독이 시작되었습니다. {}까지 무료로 이용하실 수 있습니다.", moment(end)),
                        None => "구독이 시작되었습니다.".to_owned(),
                    };
                    let free = "무료 체험이 끝나기 전에 해지하면 아무것도 결제되지 않습니다. ";
                    let before = if offer.trial_end.is_some() { free } else { "" };
                    (format!("{} · 좌석 {}개", clean::name(&offer.plan_name), offer.seats), said, before)
                }
                Purpose::ReplaceMethod { plan_name, .. } => {
                    (clean::name(plan_name), "앞으로 구독료는 새 결제 수단으로 결제됩니다.".to_owned(), "")
                }
            };
            Sheet {
                facts: vec![
                    Fact { label: "결제 수단", value: method_name(method) },
                    Fact { label: "구독", value: plan },
                ],
                timeline: timeline(purpose),
                link: Link::to(&site.manage_url, "구독 관리로 가기"),
                closing: vec![
                    format!(
                        "해지는 {brand}의 구독 관리 페이지에서 언제든지 하실 수 있습니다. {closing}이미 결제한 기간은 끝까지 이용하거나 남은 날만큼 환불받을 수 있습니다."
                    ),
                    "등록 확인 메일도 보내 드립니다. 이 창은 닫으셔도 됩니다.".to_owned(),
                ],
                ..empty(Tone::Good, "결제 수단이 등록되었습니다", &said)
            }
        }
        Success::Checking { reload: Some(_) } => Sheet {
            closing: vec!["이 창을 닫으셔도 등록은 끝까지 처리되며, 끝나면 메일로 알려 드립니다.".to_owned()],
            ..empty(
                Tone::Wait,
                "등록을 확인하고 있습니다",
                "결제 회사에 등록 결과를 확인하고 있습니다. 보통 몇 초면 끝나며, 이 페이지는 저절로 새로 고쳐집니다.",
            )
        },
        Success::Checking { reload: None } => Sheet {
            advice: vec![
                "이 창을 닫으셔도 등록은 끝까지 처리되며, 끝나면 메일로 알려 드립니다.".to_owned(),
                "두 번 등록하지 않도록, 메일을 받으실 때까지 다시 등록하지 말아 주세요.".to_owned(),
                "한 시간이 지나도 메일이 없으면 아래 문의처로 알려 주세요.".to_owned(),
            ],
            link: Link::to(&site.manage_url, "구독 관리로 가기"),
            ..empty(
                Tone::Wait,
                "확인에 시간이 걸리고 있습니다",
                "결제 회사에서 아직 등록 결과를 받지 못했습니다. 지금 따로 하실 일은 없습니다.",
            )
        },
    }
}

/// Writes the page for a registration that failed.
pub(super) fn failure(view: &Failure) -> Sheet {
    let found = view.cause();
    let (title, why) = cause(found);
    Sheet {
        advice: vec![advice(found.advice()).to_owned()],
        quote: view.quote(Locale::Ko, "결제 회사"),
        link: view.retry_url.as_deref().and_then(|url| Link::to(url, "다시 등록하기")),
        closing: vec!["아무것도 등록되거나 결제되지 않았습니다.".to_owned()],
        ..empty(if found == Cause::Closed { Tone::Wait } else { Tone::Bad }, title, why)
    }
}

/// A cause's title and sentence.
pub(super) fn cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Closed => ("등록을 마치지 않았습니다", "등록이 끝나기 전에 창이 닫혔거나 취소되었습니다."),
        Cause::WrongDetails => (
            "입력하신 정보를 확인해 주세요",
            "카드 번호, 유효 기간, 비밀번호 또는 생년월일 가운데 맞지 않는 것이 있습니다.",
        ),
        Cause::TimedOut => ("시간이 초과되었습니다", "등록이 제시간에 끝나지 않아 중단되었습니다."),
        Cause::Stale => ("이미 끝난 등록입니다", "이 등록은 이미 처리되었거나 종료되어 이어서 할 수 없습니다."),
        Cause::OurMistake => (
            "등록을 시작하지 못했습니다",
            "저희 쪽 설정에 문제가 있어 결제 회사에서 등록을 받지 않았습니다. 고객님의 결제 수단에는 문제가 없습니다.",
        ),
        Cause::Unknown => ("등록하지 못했습니다", "등록이 완료되지 않았습니다. 정확한 이유는 전달받지 못했습니다."),
        Cause::Method(reason) => match reason {
            Reason::InsufficientFunds => ("등록하지 못했습니다", "계좌 잔액이나 카드 한도가 부족합니다."),
            Reason::LimitExceeded => ("등록하지 못했습니다", "결제 수단에 정해진 금액 또는 횟수 한도를 넘었습니다."),
            Reason::Expired => ("유효 기간이 지난 카드입니다", "카드의 유효 기간이 지나 등록할 수 없습니다."),
            Reason::LostOrStolen => ("등록할 수 없는 카드입니다", "분실 또는 도난 신고된 카드여서 등록할 수 없습니다."),
            Reason::Invalid => {
                ("등록할 수 없는 카드입니다", "카드 번호가 올바르지 않거나, 정기 결제에 쓸 수 없는 종류의 카드입니다.")
            }
            Reason::Closed => ("등록할 수 없는 카드입니다", "정지된 카드이거나 해지된 계좌여서 등록할 수 없습니다."),
            Reason::NoMethod => ("등록하지 못했습니다", "결제 회사에서 이 결제 수단을 찾을 수 없습니다."),
            Reason::Refused => {
                ("카드사가 승인하지 않았습니다", "카드사 또는 결제 회사에서 등록을 승인하지 않았습니다.")
            }
            Reason::Unavailable => (
                "지금은 등록할 수 없습니다",
                "은행, 카드사 또는 결제 회사의 시스템을 일시적으로 이용할 수 없습니다. 밤 11시 30분부터 0시 30분까지는 은행 점검으로 자주 중단됩니다.",
            ),
            Reason::Unknown => ("등록하지 못했습니다", "결제 회사에서 등록을 받아들이지 않았습니다."),
        },
    }
}

/// What to do next.
pub(super) fn advice(advice: Advice) -> &'static str {
    match advice {
        Advice::TryAgain => {
            "다시 시도하실 수 있습니다. 같은 일이 되풀이되면 다른 결제 수단을 쓰시거나 아래 문의처로 알려 주세요."
        }
        Advice::CheckDetails => {
            "정보를 확인하고 다시 입력해 주세요. 여러 번 틀리면 카드사에서 한동안 막을 수 있습니다."
        }
        Advice::AnotherMethod => "다른 카드나 결제 수단으로 다시 등록해 주세요.",
        Advice::CheckBalance => "잔액과 이용 한도를 확인하고 다시 시도하시거나, 다른 카드로 등록해 주세요.",
        Advice::CallIssuer => {
            "자세한 이유는 카드사 고객센터에서 확인하실 수 있습니다. 다른 카드로 등록하실 수도 있습니다."
        }
        Advice::Wait => "몇 분 뒤에 다시 시도해 주세요.",
        Advice::StartOver => {
            "이미 등록 완료 메일을 받으셨다면 하실 일이 없습니다. 아니라면 구독 관리 페이지에서 등록을 새로 시작해 주세요."
        }
        Advice::Contact => "다시 시도해도 같은 결과일 수 있습니다. 아래 문의처로 알려 주시면 바로 확인하겠습니다.",
    }
}

/// Writes the page for whatever else is wrong.
pub(super) fn problem(site: &Site, view: &Problem) -> Sheet {
    let brand = clean::name(&site.brand);
    let manage = Link::to(&site.manage_url, "구독 관리로 가기");
    match view {
        Problem::SessionExpired => Sheet {
            advice: vec![format!("{brand}의 구독 관리 페이지에서 등록을 새로 시작해 주세요.")],
            link: manage,
            ..empty(
                Tone::Wait,
                "등록 링크가 만료되었습니다",
                "안전을 위해 등록 링크는 정해진 시간 동안만 쓸 수 있습니다.",
            )
        },
        Problem::BadLink => Sheet {
            advice: vec![format!(
                "주소가 중간에 잘리지 않았는지 확인하시거나, {brand}의 구독 관리 페이지에서 다시 시작해 주세요."
            )],
            link: manage,
            ..empty(Tone::Bad, "올바르지 않은 링크입니다", "주소가 빠졌거나 바뀌어 이 페이지를 열 수 없습니다.")
        },
        Problem::NotYours => Sheet {
            advice: vec![
                "결제 수단을 등록하던 계정으로 로그인한 뒤 구독 관리 페이지에서 다시 시작해 주세요.".to_owned(),
                "본인이 등록한 결제 수단이 맞다면 아래 문의처로 알려 주세요.".to_owned(),
            ],
            link: manage,
            ..empty(
                Tone::Bad,
                "다른 고객의 결제 수단입니다",
                "이 결제 수단은 다른 고객의 이름으로 등록되어 있어 연결하지 않았습니다. 아무것도 바뀌거나 결제되지 않았습니다.",
            )
        },
        Problem::AlreadyCompleted => Sheet {
            advice: vec![
                "등록된 결제 수단은 구독 관리 페이지에서 확인하실 수 있습니다. 다시 등록하지 않으셔도 됩니다."
                    .to_owned(),
            ],
            link: manage,
            ..empty(
                Tone::Good,
                "이미 등록을 마쳤습니다",
                "이 링크로는 등록이 끝났습니다. 다른 창이나 기기에서 마치셨을 수 있습니다.",
            )
        },
        Problem::Unavailable { retry_url } => Sheet {
            advice: vec![
                "몇 분 뒤에 다시 시도해 주세요. 은행 점검 시간(밤 11시 30분~0시 30분)에는 조금 더 걸릴 수 있습니다."
                    .to_owned(),
            ],
            link: retry_url.as_deref().and_then(|url| Link::to(url, "다시 시도하기")),
            closing: vec!["등록을 이미 마치셨다면 자동으로 처리되며, 끝나면 메일로 알려 드립니다.".to_owned()],
            ..empty(Tone::Wait, "잠시 이용할 수 없습니다", "결제 회사나 은행의 시스템에 지금 연결할 수 없습니다.")
        },
        Problem::NotFound => Sheet {
            advice: vec!["주소를 다시 확인해 주세요.".to_owned()],
            link: manage,
            ..empty(Tone::Bad, "페이지를 찾을 수 없습니다", "이 주소에는 페이지가 없습니다.")
        },
        Problem::Internal { reference } => Sheet {
            facts: (reference.as_deref().and_then(clean::code))
                .map(|value| Fact { label: "문의 번호", value: value.to_owned() })
                .into_iter()
                .collect(),
            advice: vec!["잠시 뒤에 다시 시도해 주세요. 계속되면 아래 문의처로 알려 주세요.".to_owned()],
            closing: vec!["등록을 이미 마치셨다면 자동으로 처리되며, 끝나면 메일로 알려 드립니다.".to_owned()],
            ..empty(
                Tone::Bad,
                "문제가 생겼습니다",
                "저희 쪽 오류로 페이지를 보여 드리지 못했습니다. 기록해 두었으며 확인하겠습니다.",
            )
        },
    }
}

fn method_name(method: &MethodLabel) -> String {
    let kind = match method.kind {
        MethodKind::Card => "카드",
        MethodKind::Paypal => "PayPal",
        MethodKind::EasyPay => "간편결제",
        MethodKind::Mobile => "휴대폰 결제",
        MethodKind::Transfer => "계좌이체",
    };
    super::sheet::method_name(method, kind)
}

/// `2026년 12월 1일`.
fn date(date: Date) -> String {
    format!("{}년 {}월 {}일", date.year(), date.month(), date.day())
}

/// `2026년 12월 1일 오전 10:00`.
fn moment(at: Timestamp) -> String {
    let at = at.to_zoned(seoul());
    let (hour, afternoon) = super::sheet::twelve_hours(at.hour());
    format!("{} {} {hour}:{:02}", date(at.date()), if afternoon { "오후" } else { "오전" }, at.minute())
}
