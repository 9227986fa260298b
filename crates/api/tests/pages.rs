//! The pages, in every state and both languages: what they say (snapshots), and what no page may do.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its page has failed")]

use api::pages::failure::Failure;
use api::pages::problem::Problem;
use api::pages::register::{Customer, Register};
use api::pages::success::{Reload, Success};
use api::pages::{Page, Purpose, Site};
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::decline::Pg;
use billing_core::plan::Locale;
use billing_core::private::Private;
use samples::State;
use serde_json::{Value, json};

#[path = "../examples/pages/samples.rs"]
mod samples;

const LOCALES: [Locale; 2] = [Locale::Ko, Locale::En];

/// What a page is made to say by somebody who wants more than to be read.
const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick=\"alert(1)\" style='x' & \u{2028}<!--";

fn all() -> Vec<(String, Page)> {
    let mut pages = Vec::new();
    for (name, state) in samples::states().unwrap() {
        for locale in LOCALES {
            pages.push((format!("{name}-{}", locale.tag()), state.render(locale, &samples::site()).unwrap()));
        }
    }
    pages
}

fn header<'a>(page: &'a Page, name: &str) -> &'a str {
    page.headers.iter().find(|header| header.0 == name).map_or("", |header| &header.1)
}

/// The text between the first `from` and the `to` after it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap().0
}

/// The page without what its style and script elements hold.
fn markup(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    for end in ["</style>", "</script>", "</script>"] {
        let open = if end == "</style>" { "<style" } else { "<script" };
        let Some((before, inside)) = rest.split_once(open) else { break };
        let (attributes, inside) = inside.split_once('>').unwrap();
        out.extend([before, open, attributes, ">"]);
        rest = inside.split_once(end).unwrap().1;
    }
    out + rest
}

fn request(view: &Register) -> Value {
    let page = State::Register(view.clone()).render(Locale::Ko, &samples::site()).unwrap();
    data(&page.html)["request"].clone()
}

fn data(html: &str) -> Value {
    let element = between(html, "<script id=\"data\"", "</script>");
    serde_json::from_str(element.split_once('>').unwrap().1).unwrap()
}

#[test]
fn every_state_says_this() {
    for (name, page) in all() {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(name, format!("{}\n{}", page.status, markup(&page.html)));
        });
    }
}

#[test]
fn the_headers_are_these() {
    for (name, page) in
        all().into_iter().filter(|(name, _)| matches!(&**name, "register-card-trial-ko" | "failure-closed-ko"))
    {
        let lines: Vec<String> = page.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("headers-{name}"), lines.join("\n"));
        });
    }
}

#[test]
fn every_page_is_under_twenty_kilobytes() {
    for (name, page) in all() {
        assert!(page.html.len() < 20_000, "{name}: {} bytes", page.html.len());
    }
}

#[test]
fn what_is_inline_carries_the_nonce_of_the_policy() {
    for (name, page) in all() {
        let policy = header(&page, "content-security-policy");
        let html = markup(&page.html);
        let opened = html.matches("<style").count() + html.matches("<script").count();
        let nonce = between(&page.html, "nonce=\"", "\"");
        assert_eq!(html.matches(&format!(" nonce=\"{nonce}\">")).count(), opened, "{name}");
        let scripts = html.contains("<script");
        assert_eq!(
            policy.contains(&format!("script-src 'nonce-{nonce}' 'strict-dynamic'")),
            scripts,
            "{name}: {policy}"
        );
        assert_eq!(policy.contains(&format!("style-src 'nonce-{nonce}'")), !scripts, "{name}: {policy}");
    }
}

#[test]
fn no_element_has_a_style_or_an_event_handler_of_its_own() {
    for (name, page) in all() {
        for tag in markup(&page.html).split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag.to_owned())
        {
            let attributes =
                tag.split_whitespace().skip(1).filter_map(|word| word.split_once('=')).map(|(name, _)| name);
            for attribute in attributes {
                assert!(attribute != "style" && !attribute.starts_with("on"), "{name}: <{tag}>");
            }
        }
    }
}

#[test]
fn a_page_loads_nothing_but_the_sdk() {
    for (name, page) in all() {
        let html = markup(&page.html);
        for loading in [" src=", "<link", "<img", "<iframe", "@import", "url("] {
            assert!(
                !html.contains(loading) && !between(&page.html, "<style", "</style>").contains(loading),
                "{name}: {loading}"
            );
        }
    }
}

#[test]
fn nobody_agrees_without_knowing() {
    for (name, page) in all().into_iter().filter(|(name, _)| name.starts_with("register")) {
        let html = markup(&page.html);
        let consent = between(&html, "<input id=\"consent\"", ">");
        assert!(!consent.contains("checked") && consent.contains("aria-describedby=\"locked\""), "{name}");
        assert!(
            html.contains("id=\"paypal\"") || html.contains("aria-disabled=\"true\" aria-describedby=\"locked\""),
            "{name}"
        );
        assert!(
            html.contains("<noscript>") && html.contains("role=\"alert\"") && html.contains("role=\"status\""),
            "{name}"
        );
    }
}

#[test]
fn price_tax_trial_and_first_charge_stand_before_the_button() {
    for locale in LOCALES {
        let view = samples::register(samples::trial().unwrap(), samples::card(Pg::TossPayments)).unwrap();
        let html = State::Register(view).render(locale, &samples::site()).unwrap().html;
        let before = html.split_once("id=\"start\"").unwrap().0;
        let (trial, first) = match locale {
            Locale::Ko => ("2026년 12월 9일 오후 3:00", "2026년 12월 9일"),
            Locale::En => ("December 9, 2026, 3:00 p.m. (Seoul)", "December 9, 2026"),
        };
        for fact in ["30,000원", "2,727원", "22,258원", trial, first] {
            assert!(before.contains(fact), "{fact}");
        }
    }
}

#[test]
fn a_cards_request_is_what_its_pg_needs() {
    let of = |pg: Pg| request(&samples::register(samples::trial().unwrap(), samples::card(pg)).unwrap());
    let toss = of(Pg::TossPayments);
    assert_eq!(toss["billingKeyMethod"], "CARD");
    assert_eq!(toss["windowType"], json!({ "pc": "IFRAME", "mobile": "REDIRECTION" }));
    assert_eq!((&toss["displayAmount"], &toss["currency"]), (&json!(30_000), &json!("KRW")));
    assert_eq!(toss["redirectUrl"], "https://pay.sivera.example/payment/billing/success?session=token");
    assert_eq!(toss["offerPeriod"], Value::Null);
    assert_eq!(toss["customer"]["customerId"], "user-1");
    for pg in [Pg::Inicis, Pg::Kcp] {
        assert_eq!(of(pg)["offerPeriod"], json!({ "interval": "1m" }));
    }
}

#[test]
fn names_are_cut_to_what_kg_inicis_takes() {
    let mut view = samples::register(samples::trial().unwrap(), samples::card(Pg::Inicis)).unwrap();
    view.issue_name = "구".repeat(20);
    view.customer.name = Private::new("김".repeat(20));
    let request = request(&view);
    assert_eq!(
        (&request["issueName"], &request["customer"]["fullName"]),
        (&json!("구".repeat(13)), &json!("김".repeat(10)))
    );
}

#[test]
fn paypals_request_is_its_buttons() {
    let request = request(&samples::register(samples::trial().unwrap(), samples::paypal()).unwrap());
    assert_eq!((&request["uiType"], &request["billingKeyMethod"]), (&json!("PAYPAL_RT"), &json!("PAYPAL")));
    for ignored in ["redirectUrl", "windowType", "currency", "displayAmount"] {
        assert_eq!(request[ignored], Value::Null, "{ignored}");
    }
}

/// The page has the elements it would have had, and no link to a script.
fn assert_tame(hostile: &Page, tame: &Page) {
    let count = |page: &Page, what: &str| page.html.matches(what).count();
    for what in ["<script", "</script", "<style", "<img", "<!--"] {
        assert_eq!(count(hostile, what), count(tame, what), "{what}\n{}", hostile.html);
    }
    assert!(!hostile.html.contains("href=\"javascript:"), "{}", hostile.html);
    let html = markup(&hostile.html);
    for raw in ["\" onclick=\"", "<img", "style='x'"] {
        assert!(!html.contains(raw), "{raw}\n{html}");
    }
}

fn hostile_site() -> Site {
    Site {
        brand: HOSTILE.to_owned(),
        manage_url: "javascript:alert(1)".to_owned(),
        support_email: HOSTILE.to_owned(),
        terms_url: Some("javascript:alert(1)".to_owned()),
        privacy_url: Some(format!("https://x.example/{HOSTILE}")),
        company_line: Some(HOSTILE.to_owned()),
    }
}

#[test]
fn hostile_text_in_a_registration_stays_text() {
    let tame = samples::register(samples::trial().unwrap(), samples::card(Pg::TossPayments)).unwrap();
    let private = || Private::new(HOSTILE);
    let customer = Customer { id: HOSTILE.to_owned(), name: private(), email: private(), phone: Some(private()) };
    let Purpose::Subscribe(mut offer) = tame.purpose.clone() else { unreachable!() };
    offer.plan_name = HOSTILE.to_owned();
    let view = Register {
        purpose: Purpose::Subscribe(offer),
        store_id: HOSTILE.to_owned(),
        issue_id: HOSTILE.to_owned(),
        issue_name: HOSTILE.to_owned(),
        customer,
        custom_data: json!({ HOSTILE: HOSTILE }),
        success_url: HOSTILE.to_owned(),
        failure_url: HOSTILE.to_owned(),
        webhook_url: HOSTILE.to_owned(),
        ..tame.clone()
    };
    for locale in LOCALES {
        let page = State::Register(view.clone()).render(locale, &hostile_site()).unwrap();
        assert_tame(&page, &State::Register(tame.clone()).render(locale, &samples::site()).unwrap());
        let data = data(&page.html);
        assert_eq!((&data["request"]["storeId"], &data["successUrl"]), (&json!(HOSTILE), &json!(HOSTILE)));
    }
}

#[test]
fn hostile_text_on_the_other_pages_stays_text() {
    let text = || Some(HOSTILE.to_owned());
    let script = || Some("javascript:alert(1)".to_owned());
    let naver = Some(Pg::Other("NAVERPAY".to_owned()));
    let failure =
        |pg| Failure { pg, code: text(), message: text(), pg_code: text(), pg_message: text(), retry_url: script() };
    let method = MethodLabel { kind: MethodKind::Card, name: text(), last4: text() };
    let purpose = Purpose::ReplaceMethod { plan_name: HOSTILE.to_owned(), next: None };
    let reload = Reload { after_seconds: 3, url: "javascript:alert(1)".to_owned() };
    let states = [
        State::Failure(failure(None)),
        State::Failure(failure(naver)),
        State::Success(Success::Registered { method, purpose }),
        State::Success(Success::Checking { reload: Some(reload) }),
        State::Problem(Problem::Unavailable { retry_url: script() }),
        State::Problem(Problem::Internal { reference: text() }),
    ];
    let tame = State::Problem(Problem::NotFound);
    for state in &states {
        for locale in LOCALES {
            let page = state.render(locale, &hostile_site()).unwrap();
            assert_tame(&page, &tame.render(locale, &samples::site()).unwrap());
            assert!(!page.html.contains("http-equiv=\"refresh\""));
        }
    }
}

#[test]
fn only_a_page_that_checks_loads_itself_again() {
    for (name, page) in all() {
        let reloads = page.html.contains("http-equiv=\"refresh\"");
        assert_eq!(reloads, matches!(&*name, "success-checking-ko" | "success-checking-en"), "{name}");
    }
}

/// The relative luminance of `#rgb` or `#rrggbb` (WCAG 2.2, "relative luminance").
#[expect(clippy::float_arithmetic, reason = "the contrast of colours, not money")]
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let long = if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits.to_owned() };
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(long.get(at..at + 2).unwrap(), 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

#[expect(clippy::float_arithmetic, reason = "the contrast of colours, not money")]
fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn text_and_controls_can_be_seen_in_both_schemes() {
    let style = include_str!("../templates/pages/style.css");
    let light = between(style, ":root{", "}");
    let dark = between(style, "(prefers-color-scheme:dark){:root{", "}");
    for scheme in [light, dark] {
        let colour = |name: &str| scheme.split(';').find_map(|rule| rule.strip_prefix(&format!("--{name}:"))).unwrap();
        let text = [
            ("ink", "page"),
            ("ink", "card"),
            ("soft", "page"),
            ("soft", "card"),
            ("soft", "quiet"),
            ("on-act", "act"),
            ("good", "good-bg"),
            ("wait", "wait-bg"),
            ("bad", "bad-bg"),
            ("ink", "quiet"),
        ];
        for (front, back) in text {
            assert!(contrast(colour(front), colour(back)) >= 4.5, "{front} on {back}");
        }
        for (front, back) in [("edge", "card"), ("focus", "card"), ("focus", "page"), ("act", "card"), ("good", "card")]
        {
            assert!(contrast(colour(front), colour(back)) >= 3.0, "{front} on {back}");
        }
    }
}
