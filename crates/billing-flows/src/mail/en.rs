//! The mails in English.

use super::{Fact, Footer, Letter, Link, Next, Target};
use crate::clean;
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::calendar::{Period, date_at, seoul};
use billing_core::decline::Reason;
use billing_core::money::Money;
use billing_core::notice::{Begun, Bought, EndReason, Notice, NoticeBody};
use billing_core::plan::month_in_english;
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
    Letter { greeting: name.map_or("Hello,".to_owned(), |name| format!("Hello {name},")), ..said }
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
            contact: "Questions",
            manage: "Manage payment methods",
            why: "This mail is about your subscription or a payment. It is not advertising.",
        },
    }
}

fn receipt(bought: &Bought, vat: Money, paid_at: Timestamp, url: Option<&str>, next_billing: Option<Date>) -> Letter {
    let plan = clean::name(&bought.plan_name);
    let start = bought.period.start();
    let mut facts = bought_facts(bought, Fact::strong("Amount paid", &bought.amount));
    if !vat.is_zero() {
        facts.push(Fact::new("VAT included", &vat));
    }
    facts.push(Fact::new("Paid on", &moment(paid_at)));
    facts.extend(next_billing.map(|next| Fact::new("Next payment", &date(next))));
    facts.push(payment_number(bought));
    Letter {
        subject: format!(
            "Receipt for {} {}: {plan} subscription, {}",
            month_in_english(start.month()),
            start.year(),
            bought.amount
        ),
        preheader: format!("Your {plan} subscription is paid for {}.", period(bought.period)),
        kind: "Receipt",
        title: "Payment received",
        figure: Some(bought.amount.to_string()),
        paragraphs: vec![format!("We received your payment for the {plan} subscription. Thank you.")],
        facts,
        link: url.and_then(clean::https).map(|url| Link { words: "View receipt", target: Target::Url(url) }),
        ..empty()
    }
}

fn retried(bought: &Bought, reason: Reason, at: Timestamp) -> Letter {
    Letter {
        subject: format!("Payment failed: we will try again on {}", day(at)),
        next: Some(Next {
            heading: format!("We will try again on {}", moment(at)),
            lines: vec![
                before_retry(reason).to_owned(),
                "If you register a new payment method, we will try it right away.".to_owned(),
            ],
            link: Link { words: "Change payment method", target: Target::Manage },
        }),
        closing: vec![
            "We will let you know how the next payment goes. If it keeps failing, your subscription will end."
                .to_owned(),
        ],
        ..failed(bought, reason)
    }
}

fn awaited(bought: &Bought, reason: Reason, until: Timestamp) -> Letter {
    let no_retry = "We will not try the current payment method again.";
    let at_once = "Once you register a new one, we will try it right away.";
    let or_else = "If we cannot collect the payment by then, your subscription will end.";
    let lines = if reason == Reason::NoMethod { vec![at_once, or_else] } else { vec![no_retry, at_once, or_else] };
    Letter {
        subject: format!("Payment failed: please register a new payment method by {}", day(until)),
        next: Some(Next {
            heading: format!("Please register a new payment method by {}", moment(until)),
            lines: lines.into_iter().map(str::to_owned).collect(),
            link: Link { words: "Register payment method", target: Target::Manage },
        }),
        ..failed(bought, reason)
    }
}

fn not_upgraded(bought: &Bought, reason: Reason) -> Letter {
    Letter {
        subject: "Your plan was not changed: the payment failed".to_owned(),
        title: "Your plan was not changed",
        next: Some(Next {
            heading: "Nothing was charged, and you keep the plan you have".to_owned(),
            lines: vec![
                "We will not try this payment again.".to_owned(),
                "To change your plan, check your payment method, then request the change once more.".to_owned(),
            ],
            link: Link { words: "Manage subscription", target: Target::Manage },
        }),
        ..failed(bought, reason)
    }
}

fn failed(bought: &Bought, reason: Reason) -> Letter {
    let mut facts = bought_facts(bought, Fact::strong("Amount due", &bought.amount));
    facts.push(payment_number(bought));
    Letter {
        preheader: why(reason).to_owned(),
        kind: "Payment failed",
        title: "Your subscription payment did not go through",
        paragraphs: vec![why(reason).to_owned()],
        facts,
        ..empty()
    }
}

/// What went wrong, in plain words.
pub(super) fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::InsufficientFunds => "There was not enough money in the account, or the card's limit was reached.",
        Reason::LimitExceeded => "The payment is over an amount or count limit of your payment method.",
        Reason::Expired => "The card has expired.",
        Reason::LostOrStolen => "The card has been reported lost or stolen.",
        Reason::Invalid => "The card number or the registered payment details are not valid.",
        Reason::Closed => "The card is suspended, or the account has been closed.",
        Reason::NoMethod => "There is no registered payment method that we can charge.",
        Reason::Refused => "The card company or payment provider did not approve the payment.",
        Reason::Unavailable => "The bank, card company or payment provider was temporarily unavailable.",
        Reason::Unknown => "The payment was not approved. We were not told exactly why.",
    }
}

/// What to do before the same method is tried again.
fn before_retry(reason: Reason) -> &'static str {
    match reason {
        Reason::InsufficientFunds => "Before then, please check your balance and your card limit.",
        Reason::LimitExceeded => "Before then, please check the limits of your payment method.",
        Reason::Refused => "The card company or payment provider can tell you more about the reason.",
        Reason::Unavailable => "There is nothing you need to do now.",
        Reason::Unknown => "Before then, please check that your payment method can be used.",
        Reason::Expired | Reason::LostOrStolen | Reason::Invalid | Reason::Closed | Reason::NoMethod => {
            "Before then, please change your payment method."
        }
    }
}

fn ended(plan_name: &str, reason: EndReason, unpaid: Option<&Bought>, ended_at: Timestamp) -> Letter {
    let plan = clean::name(plan_name);
    let on = date(date_at(ended_at));
    let (what, mut paragraphs, closing) = match reason {
        EndReason::PaymentFailed => (
            format!("Your {plan} subscription ended on {on} because its payment could not be collected."),
            Vec::new(),
            "If you would like to use it again, you can start a new subscription.",
        ),
        EndReason::Canceled => (
            format!("Your {plan} subscription ended on {on}, as you cancelled it."),
            vec!["You will not be charged for this subscription again.".to_owned()],
            "Thank you for using it until now.",
        ),
    };
    let mut facts = match unpaid {
        Some(bought) => bought_facts(bought, Fact::strong("Amount not paid", &bought.amount)),
        None => vec![Fact::new("Subscription", &plan)],
    };
    facts.push(Fact::new("Ended on", &moment(ended_at)));
    if let Some(bought) = unpaid {
        paragraphs.push("We will not try to collect the amount below again.".to_owned());
        facts.push(payment_number(bought));
    }
    paragraphs.insert(0, what.clone());
    Letter {
        subject: format!("Your {plan} subscription has ended"),
        preheader: what,
        kind: "Subscription ended",
        title: "Your subscription has ended",
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
            format!("Your {plan} subscription has started: first payment on {}", day(begun.first_charge_at)),
            format!("Your {plan} subscription has started. It is free until {}.", moment(end)),
            [
                format!(
                    "When the trial is over, your payment method is charged automatically, and from then on {monthly} on the 1st of every month."
                ),
                "If you cancel before the first payment, you will not be charged.".to_owned(),
            ],
        ),
        None => (
            format!("Your {plan} subscription has started"),
            format!("Your {plan} subscription has started. Thank you."),
            [
                format!(
                    "You will get a receipt once it is paid. From then on {monthly} is charged automatically on the 1st of every month."
                ),
                "You can cancel at any time. Once you have, no further payment is charged.".to_owned(),
            ],
        ),
    };
    let mut facts = vec![
        Fact::new("Subscription", &plan),
        Fact::new("Seats", &begun.seats),
        Fact::new("Price per month", &monthly),
        Fact::new("Payment method", &method_name(&begun.method)),
    ];
    facts.extend(begun.trial_end.map(|end| Fact::new("Trial ends", &moment(end))));
    facts.push(Fact::new("First period", &period(begun.first_period)));
    facts.push(Fact::strong("First payment", &begun.first_charge));
    let vat = begun.first_charge.vat_included();
    if !vat.is_zero() {
        facts.push(Fact::new("VAT included", &vat));
    }
    Letter {
        subject,
        preheader: what.clone(),
        kind: "Subscription started",
        title: "Your subscription has started",
        paragraphs: vec![what],
        next: Some(Next {
            heading: format!("First payment: {} on {}", begun.first_charge, date(date_at(begun.first_charge_at))),
            lines: lines.into(),
            link: Link { words: "Manage or cancel", target: Target::Manage },
        }),
        facts,
        closing: vec!["If this was not you, please write to us right away at the address below.".to_owned()],
        ..empty()
    }
}

fn registered(method: &MethodLabel, at: Timestamp) -> Letter {
    let label = method_name(method);
    let what = "Your subscription can now be paid with this payment method.";
    Letter {
        subject: format!("Payment method registered: {label}"),
        preheader: what.to_owned(),
        kind: "Payment method",
        title: "Payment method registered",
        paragraphs: vec![what.to_owned()],
        facts: vec![Fact::strong("Payment method", &label), Fact::new("Registered on", &moment(at))],
        closing: vec!["If this was not you, please write to us right away at the address below.".to_owned()],
        ..empty()
    }
}

fn removed(method: &MethodLabel, at: Timestamp) -> Letter {
    let label = method_name(method);
    let what = "This payment method will not be charged any more.";
    Letter {
        subject: format!("Payment method removed: {label}"),
        preheader: what.to_owned(),
        kind: "Payment method",
        title: "Payment method removed",
        paragraphs: vec![
            what.to_owned(),
            "If you have a subscription, please check that another payment method is registered before the next payment."
                .to_owned(),
        ],
        facts: vec![Fact::strong("Payment method", &label), Fact::new("Removed on", &moment(at))],
        link: Some(Link { words: "Check payment methods", target: Target::Manage }),
        closing: vec!["If this was not you, please write to us right away at the address below.".to_owned()],
        ..empty()
    }
}

fn given_back(bought: &Bought, refunded: Money, total: Money, at: Timestamp) -> Letter {
    let plan = clean::name(&bought.plan_name);
    let whole = total == bought.amount;
    let (sort, title, what) = match (whole, refunded == total) {
        (true, true) => (
            "Refund",
            "Your payment was refunded",
            format!("Your payment for the {plan} subscription was refunded in full."),
        ),
        (true, false) => (
            "Refund",
            "The rest of your payment was refunded",
            format!("The rest of your payment for the {plan} subscription was refunded. It is now refunded in full."),
        ),
        (false, _) => (
            "Partial refund",
            "Part of your payment was refunded",
            format!("Part of your payment for the {plan} subscription was refunded."),
        ),
    };
    let mut facts = vec![Fact::strong("Refunded", &refunded)];
    if refunded != total {
        facts.push(Fact::new("Refunded in total", &total));
    }
    facts.push(Fact::new("Refunded on", &moment(at)));
    facts.extend(bought_facts(bought, Fact::new("Amount paid", &bought.amount)));
    facts.push(payment_number(bought));
    Letter {
        subject: format!("{sort}: {plan} subscription, {refunded}"),
        preheader: what.clone(),
        kind: "Refund",
        title,
        figure: Some(refunded.to_string()),
        paragraphs: vec![what],
        facts,
        closing: vec![
            "Depending on the payment method, it may take a few days until your account or card statement shows it."
                .to_owned(),
        ],
        ..empty()
    }
}

fn bought_facts(bought: &Bought, amount: Fact) -> Vec<Fact> {
    vec![
        Fact::new("Subscription", &clean::name(&bought.plan_name)),
        Fact::new("Seats", &bought.seats),
        Fact::new("Period", &period(bought.period)),
        amount,
    ]
}

fn payment_number(bought: &Bought) -> Fact {
    Fact::faint("Payment ID", &clean::line(bought.payment_id.as_str()))
}

fn method_name(method: &MethodLabel) -> String {
    let kind = match method.kind {
        MethodKind::Card => "Card",
        MethodKind::Paypal => "PayPal",
        MethodKind::EasyPay => "Easy pay",
        MethodKind::Mobile => "Mobile phone bill",
        MethodKind::Transfer => "Bank transfer",
    };
    super::method_name(method, kind)
}

/// `December 1, 2026`.
pub(super) fn date(date: Date) -> String {
    format!("{} {}, {}", month_in_english(date.month()), date.day(), date.year())
}

/// `December 1`.
fn day(at: Timestamp) -> String {
    let date = date_at(at);
    format!("{} {}", month_in_english(date.month()), date.day())
}

/// `December 1, 2026, 10:00 AM (KST)`.
pub(super) fn moment(at: Timestamp) -> String {
    let at = at.to_zoned(seoul());
    let (hour, afternoon) = super::twelve_hours(at.hour());
    format!("{}, {hour}:{:02} {} (KST)", date(at.date()), at.minute(), if afternoon { "PM" } else { "AM" })
}

/// `December 1 – 31, 2026`: the last day, not the day after it. A period never leaves its month.
pub(super) fn period(period: Period) -> String {
    let (start, last) = (period.start(), super::last_day(period));
    if start == last {
        return date(start);
    }
    format!("{} {} – {}, {}", month_in_english(start.month()), start.day(), last.day(), last.year())
}
