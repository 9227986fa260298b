//! The mails in Korean.

use super::{Fact, Footer, Letter, Link, Next, Target};
use crate::clean;
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::calendar::{Period, date_at, seoul};
use billing_core::decline::Reason;
use billing_core::money::Money;
use billing_core::notice::{Begun, Bought, EndReason, Notice, NoticeBody};
use billing_core::{Date, Timestamp};

/// Writes a notice's mail.
pub(super) fn letter(notice: &Notice) -> Letter {
    let said = match &notice.body {
        NoticeBody::Receipt { bought, vat, paid_at, receipt_url, next_billing } => {
            receipt(bought, *vat, *paid_at, receipt_url.as_deref(), *next_billing)
        }
        NoticeBody::PaymentFailed { bought, reason, retried: true, until } => retried(bought, *reason, *until),
        NoticeBody::PaymentFailed { bought, reason, retried: false, until } => awaited(bought, *reason, *until),
        NoticeBody::UpgradeFailed { bought, reason } => not_upgraded(bought, *reason),
        NoticeBody::SubscriptionEnded { plan_name, reason, unpaid, ended_at } => {
            ended(plan_name, *reason, unpaid.as_ref(), *ended_at)
        }
        NoticeBody::SubscriptionStarted { begun } => started(begun),
        NoticeBody::MethodRegistered { method, at } => registered(method, *at),
        NoticeBody::MethodRemoved { method, at } => removed(method, *at),
        NoticeBody::Refunded { bought, refunded, total_refunded, at } => {
            given_back(bought, *refunded, *total_refunded, *at)
        }
    };
    let name = notice.name.as_ref().and_then(|name| clean::person(name.expose()));
    Letter {
        greeting: name.map_or("안녕하세요.".to_owned(), |name| format!("{name} 님, 안녕하세요.")), ..said
    }
}

fn empty() -> Letter {
    Letter {
        subject: String::new(),
        preheader: String::new(),
        kind: "",
        title: "",
        figure: None,
        greeting: String::new(),
        paragraphs: Vec::new(),
        next: None,
        facts: Vec::new(),
        link: None,
        closing: Vec::new(),
        footer: Footer {
            contact: "문의",
            manage: "결제 수단 관리",
            why: "구독과 결제에 관한 안내 메일이며, 광고성 정보 수신 동의와 관계없이 보내 드립니다.",
        },
    }
}

fn receipt(bought: &Bought, vat: Money, paid_at: Timestamp, url: Option<&str>, next_billing: Option<Date>) -> Letter {
    let plan = clean::name(&bought.plan_name);
    let start = bought.period.start();
    let mut facts = bought_facts(bought, Fact::strong("결제 금액", &bought.amount));
    if !vat.is_zero() {
        facts.push(Fact::new("부가세 포함", &vat));
    }
    facts.push(Fact::new("결제 일시", &moment(paid_at)));
    facts.extend(next_billing.map(|next| Fact::new("다음 결제일", &date(next))));
    facts.push(payment_number(bought));
    Letter {
        subject: format!("{}년 {}월 영수증: {plan} 구독 {}", start.year(), start.month(), bought.amount),
        preheader: format!("{plan} 구독 요금이 결제되었습니다. 이용 기간은 {}입니다.", period(bought.period)),
        kind: "영수증",
        title: "결제가 완료되었습니다",
        figure: Some(bought.amount.to_string()),
        paragraphs: vec![format!("{plan} 구독 요금이 결제되었습니다. 이용해 주셔서 감사합니다.")],
        facts,
        link: url.and_then(clean::https).map(|url| Link { words: "영수증 보기", target: Target::Url(url) }),
        ..empty()
    }
}

fn retried(bought: &Bought, reason: Reason, at: Timestamp) -> Letter {
    Letter {
        subject: format!("결제 실패: {}에 다시 시도합니다", day(at)),
        next: Some(Next {
            heading: format!("{}에 다시 결제를 시도합니다", moment(at)),
            lines: vec![
                before_retry(reason).to_owned(),
                "새 결제 수단을 등록하시면 기다리지 않고 바로 다시 시도합니다.".to_owned(),
            ],
            link: Link { words: "결제 수단 변경하기", target: Target::Manage },
        }),
        closing: vec!["다음 결제 결과도 메일로 알려 드립니다. 계속 결제되지 않으면 구독이 종료됩니다.".to_owned()],
        ..failed(bought, reason)
    }
}

fn awaited(bought: &Bought, reason: Reason, until: Timestamp) -> Letter {
    let no_retry = "지금 등록된 결제 수단으로는 다시 시도하지 않습니다.";
    let at_once = "새 결제 수단을 등록하시면 바로 다시 결제를 시도합니다.";
    let or_else = "이때까지 결제되지 않으면 구독이 종료됩니다.";
    let lines = if reason == Reason::NoMethod { vec![at_once, or_else] } else { vec![no_retry, at_once, or_else] };
    Letter {
        subject: format!("결제 실패: {}까지 새 결제 수단을 등록해 주세요", day(until)),
        next: Some(Next {
            heading: format!("{}까지 새 결제 수단을 등록해 주세요", moment(until)),
            lines: lines.into_iter().map(str::to_owned).collect(),
            link: Link { words: "결제 수단 등록하기", target: Target::Manage },
        }),
        ..failed(bought, reason)
    }
}

fn not_upgraded(bought: &Bought, reason: Reason) -> Letter {
    Letter {
        subject: "플랜을 변경하지 못했습니다: 결제 실패".to_owned(),
        title: "플랜이 변경되지 않았습니다",
        next: Some(Next {
            heading: "결제된 금액은 없으며, 지금 이용 중인 플랜은 그대로 유지됩니다".to_owned(),
            lines: vec![
                "이 결제는 다시 시도하지 않습니다.".to_owned(),
                "플랜을 변경하시려면 결제 수단을 확인한 뒤 변경을 다시 요청해 주세요.".to_owned(),
            ],
            link: Link { words: "구독 관리하기", target: Target::Manage },
        }),
        ..failed(bought, reason)
    }
}

fn failed(bought: &Bought, reason: Reason) -> Letter {
    let mut facts = bought_facts(bought, Fact::strong("결제할 금액", &bought.amount));
    facts.push(payment_number(bought));
    Letter {
        preheader: why(reason).to_owned(),
        kind: "결제 실패",
        title: "구독 요금이 결제되지 않았습니다",
        paragraphs: vec![why(reason).to_owned()],
        facts,
        ..empty()
    }
}

/// What went wrong, in plain words.
pub(super) fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::InsufficientFunds => "계좌 잔액이나 카드 한도가 부족해 결제되지 않았습니다.",
        Reason::LimitExceeded => "결제 수단에 정해진 금액 또는 횟수 한도를 넘어 결제되지 않았습니다.",
        Reason::Expired => "카드 유효 기간이 지나 결제되지 않았습니다.",
        Reason::LostOrStolen => "분실 또는 도난 신고된 카드여서 결제되지 않았습니다.",
        Reason::Invalid => "카드 번호나 등록된 결제 정보가 유효하지 않아 결제되지 않았습니다.",
        Reason::Closed => "정지된 카드이거나 해지된 계좌여서 결제되지 않았습니다.",
        Reason::NoMethod => "사용할 수 있는 결제 수단이 등록되어 있지 않아 결제하지 못했습니다.",
        Reason::Refused => "카드사 또는 결제사에서 결제를 승인하지 않았습니다.",
        Reason::Unavailable => "은행, 카드사 또는 결제사 시스템을 일시적으로 이용할 수 없어 결제하지 못했습니다.",
        Reason::Unknown => "결제가 승인되지 않았습니다. 정확한 사유는 전달받지 못했습니다.",
    }
}

/// What to do before the same method is tried again.
fn before_retry(reason: Reason) -> &'static str {
    match reason {
        Reason::InsufficientFunds => "그 전에 계좌 잔액과 카드 한도를 확인해 주세요.",
        Reason::LimitExceeded => "그 전에 결제 수단의 이용 한도를 확인해 주세요.",
        Reason::Refused => "자세한 사유는 카드사 또는 결제사에서 확인하실 수 있습니다.",
        Reason::Unavailable => "지금 따로 하실 일은 없습니다.",
        Reason::Unknown => "그 전에 결제 수단을 사용할 수 있는지 확인해 주세요.",
        Reason::Expired | Reason::LostOrStolen | Reason::Invalid | Reason::Closed | Reason::NoMethod => {
            "그 전에 결제 수단을 변경해 주세요."
        }
    }
}

fn ended(plan_name: &str, reason: EndReason, unpaid: Option<&Bought>, ended_at: Timestamp) -> Letter {
    let plan = clean::name(plan_name);
    let on = date(date_at(ended_at));
    let (what, mut paragraphs, closing) = match reason {
        EndReason::PaymentFailed => (
            format!("{plan} 구독 요금이 결제되지 않아 {on}에 구독이 종료되었습니다."),
            Vec::new(),
            "다시 이용하시려면 구독을 새로 시작해 주세요.",
        ),
        EndReason::Canceled => (
            format!("해지하신 {plan} 구독이 {on}에 종료되었습니다."),
            vec!["앞으로 이 구독의 요금은 결제되지 않습니다.".to_owned()],
            "그동안 이용해 주셔서 감사합니다.",
        ),
    };
    let mut facts = match unpaid {
        Some(bought) => bought_facts(bought, Fact::strong("미결제 금액", &bought.amount)),
        None => vec![Fact::new("구독", &plan)],
    };
    facts.push(Fact::new("종료 일시", &moment(ended_at)));
    if let Some(bought) = unpaid {
        paragraphs.push("아래 금액의 결제는 더 이상 시도하지 않습니다.".to_owned());
        facts.push(payment_number(bought));
    }
    paragraphs.insert(0, what.clone());
    Letter {
        subject: format!("{plan} 구독이 종료되었습니다"),
        preheader: what,
        kind: "구독 종료",
        title: "구독이 종료되었습니다",
        paragraphs,
        facts,
        closing: vec![closing.to_owned()],
        ..empty()
    }
}

fn started(begun: &Begun) -> Letter {
    let plan = clean::name(&begun.plan_name);
    let monthly = begun.monthly;
    let (subject, what, lines) = match begun.trial_end {
        Some(end) => (
            format!("{plan} 구독 시작: 첫 결제는 {}입니다", day(begun.first_charge_at)),
            format!("{plan} 구독이 시작되었습니다. {}까지 무료로 이용하실 수 있습니다.", moment(end)),
            [
                format!(
                    "무료 이용이 끝나면 등록하신 결제 수단으로 자동 결제되고, 그 뒤로는 매월 1일에 월 요금 {monthly}씩 결제됩니다."
                ),
                "첫 결제 전에 해지하시면 요금이 결제되지 않습니다.".to_owned(),
            ],
        ),
        None => (
            format!("{plan} 구독이 시작되었습니다"),
            format!("{plan} 구독이 시작되었습니다. 이용해 주셔서 감사합니다."),
            [
                format!(
                    "결제가 끝나면 영수증을 보내 드립니다. 그 뒤로는 매월 1일에 월 요금 {monthly}씩 자동 결제됩니다."
                ),
                "언제든지 해지하실 수 있으며, 해지하시면 다음 결제일부터 요금이 결제되지 않습니다.".to_owned(),
            ],
        ),
    };
    let mut facts = vec![
        Fact::new("구독", &plan),
        Fact::new("좌석 수", &format!("{}개", begun.seats)),
        Fact::new("월 요금", &monthly),
        Fact::new("결제 수단", &method_name(&begun.method)),
    ];
    facts.extend(begun.trial_end.map(|end| Fact::new("무료 이용 종료", &moment(end))));
    facts.push(Fact::new("첫 이용 기간", &period(begun.first_period)));
    facts.push(Fact::strong("첫 결제 금액", &begun.first_charge));
    let vat = begun.first_charge.vat_included();
    if !vat.is_zero() {
        facts.push(Fact::new("부가세 포함", &vat));
    }
    Letter {
        subject,
        preheader: what.clone(),
        kind: "구독 시작",
        title: "구독이 시작되었습니다",
        paragraphs: vec![what],
        next: Some(Next {
            heading: format!("첫 결제: {}, {}", date(date_at(begun.first_charge_at)), begun.first_charge),
            lines: lines.into(),
            link: Link { words: "구독 관리 및 해지하기", target: Target::Manage },
        }),
        facts,
        closing: vec!["직접 신청하지 않으셨다면 아래 문의처로 바로 알려 주세요.".to_owned()],
        ..empty()
    }
}

fn registered(method: &MethodLabel, at: Timestamp) -> Letter {
    let label = method_name(method);
    Letter {
        subject: format!("결제 수단 등록: {label}"),
        preheader: "이제 이 결제 수단으로 구독 요금을 결제할 수 있습니다.".to_owned(),
        kind: "결제 수단",
        title: "결제 수단이 등록되었습니다",
        paragraphs: vec!["이제 이 결제 수단으로 구독 요금을 결제할 수 있습니다.".to_owned()],
        facts: vec![Fact::strong("결제 수단", &label), Fact::new("등록 일시", &moment(at))],
        closing: vec!["직접 등록하지 않으셨다면 아래 문의처로 바로 알려 주세요.".to_owned()],
        ..empty()
    }
}

fn removed(method: &MethodLabel, at: Timestamp) -> Letter {
    let label = method_name(method);
    Letter {
        subject: format!("결제 수단 삭제: {label}"),
        preheader: "앞으로 이 결제 수단으로는 결제되지 않습니다.".to_owned(),
        kind: "결제 수단",
        title: "결제 수단이 삭제되었습니다",
        paragraphs: vec![
            "앞으로 이 결제 수단으로는 결제되지 않습니다.".to_owned(),
            "이용 중인 구독이 있다면, 다음 결제일 전에 다른 결제 수단이 등록되어 있는지 확인해 주세요.".to_owned(),
        ],
        facts: vec![Fact::strong("결제 수단", &label), Fact::new("삭제 일시", &moment(at))],
        link: Some(Link { words: "결제 수단 확인하기", target: Target::Manage }),
        closing: vec!["직접 삭제하지 않으셨다면 아래 문의처로 바로 알려 주세요.".to_owned()],
        ..empty()
    }
}

fn given_back(bought: &Bought, refunded: Money, total: Money, at: Timestamp) -> Letter {
    let plan = clean::name(&bought.plan_name);
    let whole = total == bought.amount;
    let (sort, title, what) = match (whole, refunded == total) {
        (true, true) => ("환불", "결제 금액이 전액 환불되었습니다", format!("{plan} 구독 요금이 전액 환불되었습니다.")),
        (true, false) => (
            "환불",
            "남은 금액이 모두 환불되었습니다",
            format!("{plan} 구독 요금의 남은 금액이 환불되어, 이제 전액이 환불되었습니다."),
        ),
        (false, _) => {
            ("일부 환불", "결제 금액의 일부가 환불되었습니다", format!("{plan} 구독 요금의 일부가 환불되었습니다."))
        }
    };
    let mut facts = vec![Fact::strong("환불 금액", &refunded)];
    if refunded != total {
        facts.push(Fact::new("총 환불 금액", &total));
    }
    facts.push(Fact::new("환불 일시", &moment(at)));
    facts.extend(bought_facts(bought, Fact::new("결제 금액", &bought.amount)));
    facts.push(payment_number(bought));
    Letter {
        subject: format!("{sort}: {plan} 구독 {refunded}"),
        preheader: what.clone(),
        kind: "환불",
        title,
        figure: Some(refunded.to_string()),
        paragraphs: vec![what],
        facts,
        closing: vec!["결제 수단에 따라 환불이 계좌나 카드 내역에 반영되기까지 며칠 걸릴 수 있습니다.".to_owned()],
        ..empty()
    }
}

fn bought_facts(bought: &Bought, amount: Fact) -> Vec<Fact> {
    vec![
        Fact::new("구독", &clean::name(&bought.plan_name)),
        Fact::new("좌석 수", &format!("{}개", bought.seats)),
        Fact::new("이용 기간", &period(bought.period)),
        amount,
    ]
}

fn payment_number(bought: &Bought) -> Fact {
    Fact::faint("결제 번호", &clean::line(bought.payment_id.as_str()))
}

fn method_name(method: &MethodLabel) -> String {
    let kind = match method.kind {
        MethodKind::Card => "카드",
        MethodKind::Paypal => "PayPal",
        MethodKind::EasyPay => "간편결제",
        MethodKind::Mobile => "휴대폰 결제",
        MethodKind::Transfer => "계좌이체",
    };
    super::method_name(method, kind)
}

/// `2026년 12월 1일`.
pub(super) fn date(date: Date) -> String {
    format!("{}년 {}월 {}일", date.year(), date.month(), date.day())
}

/// `12월 1일`.
fn day(at: Timestamp) -> String {
    let date = date_at(at);
    format!("{}월 {}일", date.month(), date.day())
}

/// `2026년 12월 1일 오전 10:00`.
pub(super) fn moment(at: Timestamp) -> String {
    let at = at.to_zoned(seoul());
    let (hour, afternoon) = super::twelve_hours(at.hour());
    format!("{} {} {hour}:{:02}", date(at.date()), if afternoon { "오후" } else { "오전" }, at.minute())
}

/// `2026년 12월 1일 ~ 12월 31일`: the last day, not the day after it. A period never leaves its month.
pub(super) fn period(period: Period) -> String {
    let (start, last) = (period.start(), super::last_day(period));
    if start == last { date(start) } else { format!("{} ~ {}월 {}일", date(start), last.month(), last.day()) }
}
