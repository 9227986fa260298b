use super::*;
use billing_core::billing_key::MethodKind;
use billing_core::calendar::moment;
use billing_core::decline::{Reason, Severity};
use billing_core::id::PaymentId;
use billing_core::money::{Currency, Money};
use billing_core::notice::{Begun, Bought, EndReason, NoticeBody};
use billing_core::private::Private;
use billing_core::{Date, Timestamp};
use std::collections::BTreeSet;

const LOCALES: [Locale; 2] = [Locale::Ko, Locale::En];
const REASONS: [Reason; 10] = [
    Reason::InsufficientFunds,
    Reason::LimitExceeded,
    Reason::Expired,
    Reason::LostOrStolen,
    Reason::Invalid,
    Reason::Closed,
    Reason::NoMethod,
    Reason::Refused,
    Reason::Unavailable,
    Reason::Unknown,
];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn krw(minor: i64) -> Money {
    Money::new(minor, Currency::Krw).unwrap()
}

fn sender() -> Sender {
    Sender {
        brand: "Sivera".to_owned(),
        manage_url: "https://sivera.example/billing?tab=method&from=mail".to_owned(),
        support_email: "help@sivera.example".to_owned(),
        company_line: Some(
            "주식회사 시베라 | 대표 홍길동 | 사업자등록번호 123-45-67890 | 서울특별시 강남구 테헤란로 1".to_owned(),
        ),
    }
}

fn notice(locale: Locale, body: NoticeBody) -> Notice {
    let name = match locale {
        Locale::Ko => "김민지",
        Locale::En => "Minji Kim",
    };
    Notice { to: Private::new("kim@example.com"), name: Some(Private::new(name)), locale, body }
}

fn bought(amount: Money) -> Bought {
    Bought {
        payment_id: PaymentId::new("invLFPOUV6IGNL6TJ2QNXQTN3WHJRNU7KKA").unwrap(),
        plan_name: "Standard".to_owned(),
        seats: 3,
        period: Period::parse("2026-12-01").unwrap(),
        amount,
    }
}

fn card() -> MethodLabel {
    MethodLabel { kind: MethodKind::Card, name: Some("신한카드".to_owned()), last4: Some("1234".to_owned()) }
}

fn failed(reason: Reason) -> NoticeBody {
    let retried = reason.severity() == Severity::Soft;
    let until = at(if retried { "2026-12-02T10:00+09:00" } else { "2026-12-06T10:00+09:00" });
    NoticeBody::PaymentFailed { bought: bought(krw(30_000)), reason, retried, until }
}

/// Every sort of mail there is.
fn bodies() -> Vec<(&'static str, NoticeBody)> {
    let paid_at = at("2026-12-01T10:00:07+09:00");
    let receipt = |amount: Money, receipt_url: Option<&str>, next: Option<&str>| NoticeBody::Receipt {
        bought: bought(amount),
        vat: amount.vat_included(),
        paid_at,
        receipt_url: receipt_url.map(str::to_owned),
        next_billing: next.map(day),
    };
    let refund = |refunded: i64, total: i64| NoticeBody::Refunded {
        bought: bought(krw(30_000)),
        refunded: krw(refunded),
        total_refunded: krw(total),
        at: at("2026-12-10T15:30+09:00"),
    };
    let ended = |reason: EndReason, unpaid: Option<Bought>, ended_at: &str| NoticeBody::SubscriptionEnded {
        plan_name: "Standard".to_owned(),
        reason,
        unpaid,
        ended_at: at(ended_at),
    };
    let started = |trial_end: Option<&str>, first: &str, first_charge: Money| NoticeBody::SubscriptionStarted {
        begun: Begun {
            plan_name: "Standard".to_owned(),
            seats: 3,
            monthly: Money::new(30_000, first_charge.currency()).unwrap(),
            method: card(),
            trial_end: trial_end.map(at),
            first_charge_at: at(first),
            first_charge,
            first_period: Period::parse("2026-12-09").unwrap(),
        },
    };
    vec![
        ("receipt", receipt(krw(30_000), Some("https://receipt.example/r?id=1&lang=ko"), Some("2027-01-01"))),
        ("receipt_in_dollars_the_last", receipt(Money::new(3_000, Currency::Usd).unwrap(), None, None)),
        ("payment_failed_and_retried", failed(Reason::InsufficientFunds)),
        ("payment_failed_for_good", failed(Reason::Expired)),
        ("payment_failed_without_method", failed(Reason::NoMethod)),
        (
            "upgrade_failed",
            NoticeBody::UpgradeFailed {
                bought: Bought { period: Period::parse("2026-12-05").unwrap(), ..bought(krw(43_548)) },
                reason: Reason::InsufficientFunds,
            },
        ),
        (
            "subscription_ended_unpaid",
            ended(EndReason::PaymentFailed, Some(bought(krw(30_000))), "2026-12-06T10:00:04+09:00"),
        ),
        ("subscription_ended_canceled", ended(EndReason::Canceled, None, "2027-01-01T10:00+09:00")),
        (
            "subscription_started_with_a_trial",
            started(Some("2026-12-09T12:00+09:00"), "2026-12-10T10:00+09:00", krw(22_258)),
        ),
        (
            "subscription_started_in_dollars",
            started(None, "2026-12-09T12:00+09:00", Money::new(2_225, Currency::Usd).unwrap()),
        ),
        ("method_registered", NoticeBody::MethodRegistered { method: card(), at: at("2026-11-22T09:05+09:00") }),
        ("method_removed", NoticeBody::MethodRemoved { method: card(), at: at("2026-11-23T00:05+09:00") }),
        ("refunded_in_full", refund(30_000, 30_000)),
        ("refunded_in_part", refund(10_000, 10_000)),
        ("refunded_more", refund(5_000, 15_000)),
        ("refunded_the_rest", refund(20_000, 30_000)),
    ]
}

fn written(locale: Locale, body: NoticeBody) -> Mail {
    render(&notice(locale, body), &sender()).unwrap()
}

/// A mail with hostile text in every place that takes text from outside.
fn hostile(text: &str) -> Vec<Mail> {
    let method = MethodLabel { kind: MethodKind::Card, name: Some(text.to_owned()), last4: Some(text.to_owned()) };
    let sender = Sender { brand: text.to_owned(), company_line: Some(text.to_owned()), ..sender() };
    let mut mails = Vec::new();
    for (_, mut body) in bodies() {
        match &mut body {
            NoticeBody::Receipt { bought, receipt_url, .. } => {
                bought.plan_name = text.to_owned();
                *receipt_url = Some(format!("https://receipt.example/{text}"));
            }
            NoticeBody::PaymentFailed { bought, .. }
            | NoticeBody::UpgradeFailed { bought, .. }
            | NoticeBody::Refunded { bought, .. } => {
                bought.plan_name = text.to_owned();
            }
            NoticeBody::SubscriptionEnded { plan_name, unpaid, .. } => {
                *plan_name = text.to_owned();
                if let Some(bought) = unpaid {
                    bought.plan_name = text.to_owned();
                }
            }
            NoticeBody::SubscriptionStarted { begun } => {
                begun.plan_name = text.to_owned();
                begun.method = method.clone();
            }
            NoticeBody::MethodRegistered { method: label, .. } | NoticeBody::MethodRemoved { method: label, .. } => {
                *label = method.clone();
            }
        }
        for locale in LOCALES {
            let notice = Notice { name: Some(Private::new(text)), ..notice(locale, body.clone()) };
            mails.push(render(&notice, &sender).unwrap());
        }
    }
    mails
}

#[test]
fn every_mail_reads_as_it_was_approved() {
    for (name, body) in bodies() {
        for locale in LOCALES {
            let mail = written(locale, body.clone());
            insta::assert_snapshot!(format!("{name}.{}", locale.tag()), format!("{}\n\n{}", mail.subject, mail.text));
        }
    }
}

#[test]
fn the_html_is_as_it_was_approved() {
    for (name, body) in bodies() {
        if matches!(name, "receipt" | "payment_failed_and_retried") {
            for locale in LOCALES {
                insta::assert_snapshot!(format!("{name}.{}.html", locale.tag()), written(locale, body.clone()).html);
            }
        }
    }
}

#[test]
fn the_html_says_what_the_text_says() {
    for (name, body) in bodies() {
        for locale in LOCALES {
            let mail = written(locale, body.clone());
            let said = mail.text.split("\n--\n").next().unwrap();
            for line in said.lines().filter(|line| !line.is_empty() && !line.contains("https://")) {
                for part in line.trim_start_matches("- ").trim_end_matches(':').split(": ") {
                    assert!(mail.html.contains(part.trim()) || part.trim().contains('\''), "{name} {locale:?}: {part}");
                }
            }
        }
    }
}

#[test]
fn hostile_text_is_escaped_in_html() {
    for mail in hostile("<script>alert('1')</script>\"><img src=x onerror=\"1\">&amp;") {
        for tag in ["<script", "<img", "onerror=\""] {
            assert!(!mail.html.contains(tag), "{}", mail.html);
        }
        assert!(mail.html.contains("&#60;script&#62;"));
    }
}

#[test]
fn no_line_break_reaches_a_subject_or_adds_a_line_to_a_body() {
    for (mail, plain) in hostile("a\r\nBcc: eve\u{2028}\u{85}\u{b}\u{7f}b").iter().zip(hostile("a Bcc: eve b")) {
        assert!(!mail.subject.chars().any(|c| c.is_control() || c == '\u{2028}'), "{:?}", mail.subject);
        assert_eq!(mail.subject, plain.subject);
        assert_eq!(mail.text, plain.text);
    }
}

#[test]
fn a_payment_number_neither_hides_nor_turns_what_a_mail_says() {
    let payment_id = PaymentId::new("inv\u{202e}1\u{2028}2\u{200b}<b>").unwrap();
    let bought = Bought { payment_id, ..bought(krw(30_000)) };
    let at = at("2026-12-01T10:00+09:00");
    for locale in LOCALES {
        let body = NoticeBody::Refunded { bought: bought.clone(), refunded: krw(1), total_refunded: krw(1), at };
        let mail = written(locale, body);
        assert!(mail.text.contains(": inv1 2<b>\n"), "{}", mail.text);
        assert!(mail.html.contains(">inv1 2&#60;b&#62;<"), "{}", mail.html);
    }
}

#[test]
fn an_endless_name_stays_short() {
    for mail in hostile(&"가".repeat(5_000)) {
        assert!(mail.html.len() < 60_000 && mail.subject.chars().count() < 256);
    }
}

#[test]
fn a_greeting_does_without_a_name() {
    for (locale, greeting) in [(Locale::Ko, "안녕하세요."), (Locale::En, "Hello,")] {
        for name in [None, Some(Private::new(" \n ")), Some(Private::new("visit https://evil.example"))] {
            let nameless = Notice { name, ..notice(locale, failed(Reason::Unknown)) };
            let mail = render(&nameless, &sender()).unwrap();
            assert!(mail.text.lines().any(|line| line == greeting), "{}", mail.text);
            assert!(!mail.html.contains("evil"));
        }
    }
}

#[test]
fn each_reason_has_its_own_sentence_in_both_languages() {
    for (locale, why) in [(Locale::Ko, ko::why as fn(Reason) -> &'static str), (Locale::En, en::why)] {
        assert_eq!(REASONS.map(why).iter().collect::<BTreeSet<_>>().len(), REASONS.len());
        for reason in REASONS {
            let sentence = why(reason);
            assert!(sentence.ends_with('.') && sentence.len() > 20, "{sentence}");
            assert!(!sentence.contains("고객님") && !sentence.contains("your fault"), "{sentence}");
            assert!(written(locale, failed(reason)).text.replace('\n', " ").contains(sentence), "{sentence}");
        }
    }
}

#[test]
fn a_failed_payment_promises_a_retry_or_asks_for_a_method_never_both() {
    for reason in REASONS {
        let soft = reason.severity() == Severity::Soft;
        let (ko, en) = (written(Locale::Ko, failed(reason)), written(Locale::En, failed(reason)));
        assert_eq!(ko.text.contains("2026년 12월 2일 오전 10:00에 다시 결제를 시도합니다"), soft);
        assert_eq!(ko.text.contains("2026년 12월 6일 오전 10:00까지 새 결제 수단을 등록해 주세요"), !soft);
        assert_eq!(en.text.contains("We will try again on December 2, 2026, 10:00 AM (KST)"), soft);
        assert_eq!(en.text.contains("register a new payment method by December 6, 2026"), !soft);
        for mail in [ko, en] {
            assert!(mail.text.contains(&sender().manage_url));
            assert!(mail.html.contains("https://sivera.example/billing?tab=method&#38;from=mail"));
        }
    }
}

#[test]
fn a_receipt_says_nothing_of_failure_and_a_failure_nothing_of_success() {
    for (name, body) in bodies() {
        for locale in LOCALES {
            let mail = written(locale, body.clone());
            let all = format!("{}\n{}\n{}", mail.subject, mail.text, mail.html).to_lowercase();
            let never: &[&str] = match name {
                "receipt" | "receipt_in_dollars_the_last" => {
                    &["실패", "않았습니다", "종료", "fail", "not go through", "ended"]
                }
                "payment_failed_and_retried" | "payment_failed_for_good" | "payment_failed_without_method" => {
                    &["영수증", "결제되었습니다", "receipt", "received", "thank you", "감사합니다"]
                }
                _ => &[],
            };
            for word in never {
                assert!(!all.contains(word), "{name} {locale:?}: {word}");
            }
        }
    }
}

#[test]
fn a_receipt_states_the_tax_only_where_there_is_any() {
    let [won, dollars] = [bodies().swap_remove(0).1, bodies().swap_remove(1).1];
    assert!(written(Locale::Ko, won.clone()).text.contains("부가세 포함: 2,727원"));
    assert!(written(Locale::En, won).text.contains("VAT included: 2,727원"));
    assert!(!written(Locale::Ko, dollars.clone()).text.contains("부가세"));
    assert!(written(Locale::En, dollars.clone()).text.contains("Amount paid: $30.00"));
    assert!(!written(Locale::En, dollars).text.contains("VAT"));
}

#[test]
fn dates_are_written_as_their_readers_write_them() {
    assert_eq!(ko::date(day("2026-12-01")), "2026년 12월 1일");
    assert_eq!(en::date(day("2026-12-01")), "December 1, 2026");
    for (time, ko, en) in [
        ("00:00", "오전 12:00", "12:00 AM"),
        ("09:05", "오전 9:05", "9:05 AM"),
        ("10:00", "오전 10:00", "10:00 AM"),
        ("12:00", "오후 12:00", "12:00 PM"),
        ("13:07", "오후 1:07", "1:07 PM"),
        ("23:59", "오후 11:59", "11:59 PM"),
    ] {
        let at = at(&format!("2026-12-01T{time}+09:00"));
        assert_eq!(ko::moment(at), format!("2026년 12월 1일 {ko}"));
        assert_eq!(en::moment(at), format!("December 1, 2026, {en} (KST)"));
    }
    assert_eq!(ko::moment(moment(day("2027-01-01"), 0)), "2027년 1월 1일 오전 12:00");
}

#[test]
fn a_period_is_shown_by_its_first_and_last_day() {
    for (id, ko, en) in [
        ("2026-12-01", "2026년 12월 1일 ~ 12월 31일", "December 1 – 31, 2026"),
        ("2028-02-17", "2028년 2월 17일 ~ 2월 29일", "February 17 – 29, 2028"),
        ("2026-12-31", "2026년 12월 31일", "December 31, 2026"),
    ] {
        let period = Period::parse(id).unwrap();
        assert_eq!((ko::period(period).as_str(), en::period(period).as_str()), (ko, en));
    }
}

#[test]
fn a_payment_method_is_called_by_its_name_or_else_by_its_kind() {
    let of = |kind, name: Option<&str>, last4: Option<&str>| NoticeBody::MethodRegistered {
        method: MethodLabel { kind, name: name.map(str::to_owned), last4: last4.map(str::to_owned) },
        at: at("2026-12-01T10:00+09:00"),
    };
    for (body, ko, en) in [
        (of(MethodKind::Card, Some("신한카드"), Some("1234")), "신한카드 1234", "신한카드 1234"),
        (of(MethodKind::Card, None, Some("1234")), "카드 1234", "Card 1234"),
        (of(MethodKind::Paypal, None, None), "PayPal", "PayPal"),
        (of(MethodKind::EasyPay, Some(" "), None), "간편결제", "Easy pay"),
        (of(MethodKind::Mobile, None, None), "휴대폰 결제", "Mobile phone bill"),
        (of(MethodKind::Transfer, None, None), "계좌이체", "Bank transfer"),
    ] {
        assert_eq!(written(Locale::Ko, body.clone()).subject, format!("[Sivera] 결제 수단 등록: {ko}"));
        assert_eq!(written(Locale::En, body).subject, format!("[Sivera] Payment method registered: {en}"));
    }
}

#[test]
fn a_mail_loads_nothing_from_anywhere() {
    for (_, body) in bodies() {
        let html = written(Locale::Ko, body).html;
        for word in ["<img", "<link", "<script", "src=", "url(", "@import", "background="] {
            assert!(!html.contains(word), "{word}");
        }
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"ko\""));
    }
}

#[test]
fn a_receipt_links_only_to_https() {
    let mut body = bodies().swap_remove(0).1;
    if let NoticeBody::Receipt { receipt_url, .. } = &mut body {
        *receipt_url = Some("javascript:alert(1)".to_owned());
    }
    let mail = written(Locale::Ko, body);
    assert!(
        !mail.html.contains("javascript") && !mail.text.contains("javascript") && !mail.text.contains("영수증 보기")
    );
}
