//! The pages in English.

use super::failure::{Advice, Cause, Failure};
use super::problem::Problem;
use super::register::{Form, Method, Price, Register, Term, Words};
use super::sheet::{Fact, Link, Sheet, Step, Tone};
use super::success::Success;
use super::{Charge, ChromeWords, Offer, Purpose, Site, clean, pg_name};
use billing_core::billing_key::{MethodKind, MethodLabel};
use billing_core::calendar::{BILLING_HOUR, first_of_next_month, seoul};
use billing_core::decline::Reason;
use billing_core::plan::{Locale, month_in_english};
use billing_core::{Date, Timestamp};

pub(super) const CHROME: ChromeWords =
    ChromeWords { kind: "Payment method", contact: "Questions", terms: "Terms of use", privacy: "Privacy policy" };

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
        Method::Card { .. } => ("card", "Register your card"),
        Method::PayPal { .. } => ("PayPal account", "Register your PayPal"),
    };
    let Offer { seats, monthly, first, .. } = offer;
    let day = date(first.on);
    let vat = monthly.vat_included();
    let mut terms = vec![term(
        "Automatic payment",
        format!(
            "We charge {} on {day}, and after that {monthly} on the 1st of every month at {BILLING_HOUR} a.m. Seoul time, until you cancel.",
            first.amount
        ),
    )];
    terms.extend(common_terms(site, view));
    Form {
        title: title.to_owned(),
        lead: format!("Please register the {account} that will pay for your {brand} subscription."),
        plan: format!("{brand} {} · {}", clean::name(&offer.plan_name), seat_count(*seats)),
        price: Some(Price {
            amount: monthly.to_string(),
            per: "per month",
            vat: (!vat.is_zero()).then(|| format!("includes {vat} VAT")),
        }),
        note: (offer.trial_end).map(|end| {
            format!("Your free trial lasts until {}. If you cancel before then, you pay nothing.", moment(end))
        }),
        terms,
        consent: format!(
            "I agree to automatic payments of {} on {day} and {monthly} on the 1st of every month after that, and to the cancellation and refund terms above.",
            first.amount
        ),
        ..blank(site, view)
    }
}

fn replacement(site: &Site, view: &Register, plan_name: &str, next: Option<Charge>) -> Form {
    let title = match &view.method {
        Method::Card { .. } => "Change to a new card",
        Method::PayPal { .. } => "Change to a PayPal account",
    };
    let change = "From the next payment on, we charge the new method. If a payment is overdue, we try it again at once. Until you finish here, nothing changes.";
    let mut terms = vec![term("When it changes", change.to_owned())];
    terms.extend(common_terms(site, view));
    Form {
        title: title.to_owned(),
        lead: "Please register the payment method that will pay for your subscription from now on.".to_owned(),
        plan: format!("{} {}", clean::name(&site.brand), clean::name(plan_name)),
        note: next.is_none().then(|| "No payment is due at the moment.".to_owned()),
        terms,
        consent: "I agree that my subscription is charged automatically to the method I register now.".to_owned(),
        ..blank(site, view)
    }
}

/// The conditions of every subscription.
fn common_terms(site: &Site, view: &Register) -> [Term; 3] {
    let (brand, email) = (clean::name(&site.brand), clean::line(view.customer.email.expose()));
    let cancel = term("Cancelling", format!("You can cancel any time on {brand}'s subscription page."));
    let refund = "When you cancel, you can keep using what you have paid for until its period ends, or stop at once and get the remaining days refunded.";
    [
        term(
            "Mail",
            format!("We send a receipt to {email} for every payment, and also tell you by mail when a payment fails."),
        ),
        cancel.with(Link::to(&site.manage_url, "Manage subscription")),
        term("Refunds", refund.to_owned()),
    ]
}

/// What every registration page says.
fn blank(site: &Site, view: &Register) -> Form {
    let brand = clean::name(&site.brand);
    let email = clean::line(view.customer.email.expose());
    let trust = match &view.method {
        Method::Card { pg, .. } => format!(
            "Your card details go straight to the payment company ({}) and PortOne. {brand} never sees or stores your card number.",
            pg_name(pg, Locale::En).unwrap_or("PG")
        ),
        Method::PayPal { .. } => {
            format!(
                "You log in and approve in PayPal's own window. {brand} never sees your PayPal password or card details."
            )
        }
    };
    Form {
        title: String::new(),
        lead: String::new(),
        plan: String::new(),
        price: None,
        timeline_title: "What you will pay, and when",
        timeline: timeline(&view.purpose),
        note: None,
        terms_title: "Before you register",
        terms: Vec::new(),
        required: "Required",
        consent: String::new(),
        button: "Register card",
        locked: match &view.method {
            Method::Card { .. } => "Please agree to the terms above first.",
            Method::PayPal { .. } => "The PayPal button appears once you agree to the terms above.",
        },
        trust,
        customer_label: "Registering for",
        customer: who(&clean::name(view.customer.name.expose()), &email),
        no_script: "Registering a payment method needs JavaScript. Please turn it on in your browser's settings and reload this page, or open the same address in another browser.",
        blocked: (
            "The payment module did not load",
            format!(
                "Please check your internet connection, and switch off any ad blocker for this page. If it keeps happening, write to {}. Nothing has been registered yet.",
                clean::line(&site.support_email)
            ),
        ),
        reload: "Reload",
        words: Words {
            consent_first: "Please agree to the payment terms first.",
            opening: "Opening the registration window. If you cannot see it, please check your pop-up blocker.",
            closed: "If you closed the window before you had finished, nothing was registered or charged, and you can try again any time.",
            done: "Checking your registration.",
        },
    }
}

fn who(name: &str, email: &str) -> String {
    if name.is_empty() { email.to_owned() } else { format!("{name} ({email})") }
}

fn seat_count(seats: u32) -> String {
    if seats == 1 { "1 seat".to_owned() } else { format!("{seats} seats") }
}

fn term(label: &'static str, text: String) -> Term {
    Term { label, text, link: None }
}

/// The charges to come.
fn timeline(purpose: &Purpose) -> Vec<Step> {
    match purpose {
        Purpose::Subscribe(Offer { monthly, trial_end, first, .. }) => {
            let part = if first.amount == *monthly { "First payment" } else { "First payment (rest of that month)" };
            let mut steps = Vec::new();
            if trial_end.is_some() {
                steps.push(Step {
                    when: "Today".to_owned(),
                    what: "Free trial".to_owned(),
                    amount: Some("No payment".to_owned()),
                });
            }
            steps.push(step(date(first.on), part, *first));
            let then = Charge { on: first_of_next_month(first.on), amount: *monthly };
            steps.push(step(format!("From {}", date(then.on)), "On the 1st of every month", then));
            steps
        }
        Purpose::ReplaceMethod { next, .. } => {
            next.iter().map(|next| step(date(next.on), "Next payment", *next)).collect()
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
                        Some(end) => format!("Your subscription has started. It is free until {}.", moment(end)),
                        None => "Your subscription has started.".to_owned(),
                    };
                    let free = "If you cancel before the free trial ends, you pay nothing. ";
                    let before = if offer.trial_end.is_some() { free } else { "" };
                    (format!("{} · {}", clean::name(&offer.plan_name), seat_count(offer.seats)), said, before)
                }
                Purpose::ReplaceMethod { plan_name, .. } => (
                    clean::name(plan_name),
                    "From now on, your subscription is charged to the new method.".to_owned(),
                    "",
                ),
            };
            Sheet {
                facts: vec![
                    Fact { label: "Payment method", value: method_name(method) },
                    Fact { label: "Subscription", value: plan },
                ],
                timeline: timeline(purpose),
                link: Link::to(&site.manage_url, "Manage subscription"),
                closing: vec![
                    format!(
                        "You can cancel any time on {brand}'s subscription page. {closing}What you have paid for you can use until its period ends, or have the remaining days refunded."
                    ),
                    "A confirmation is on its way by mail. You can close this window.".to_owned(),
                ],
                ..empty(Tone::Good, "Your payment method is registered", &said)
            }
        }
        Success::Checking { reload: Some(_) } => Sheet {
            closing: vec![
                "You can close this window: the registration is completed all the same, and we will tell you by mail."
                    .to_owned(),
            ],
            ..empty(
                Tone::Wait,
                "Checking your registration",
                "We are asking the payment company how your registration went. This usually takes a few seconds, and the page reloads by itself.",
            )
        },
        Success::Checking { reload: None } => Sheet {
            advice: vec![
                "You can close this window: the registration is completed all the same, and we will tell you by mail."
                    .to_owned(),
                "Please do not register again before that mail arrives, or you may end up registered twice.".to_owned(),
                "If no mail has come within an hour, please write to us at the address below.".to_owned(),
            ],
            link: Link::to(&site.manage_url, "Manage subscription"),
            ..empty(
                Tone::Wait,
                "This is taking longer than usual",
                "The payment company has not told us yet how your registration went. There is nothing you need to do now.",
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
        quote: view.quote(Locale::En, "The payment company"),
        link: view.retry_url.as_deref().and_then(|url| Link::to(url, "Try again")),
        closing: vec!["Nothing was registered or charged.".to_owned()],
        ..empty(if found == Cause::Closed { Tone::Wait } else { Tone::Bad }, title, why)
    }
}

/// A cause's title and sentence.
pub(super) fn cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Closed => {
            ("You did not finish", "The window was closed or the registration cancelled before it was complete.")
        }
        Cause::WrongDetails => {
            ("Please check what you entered", "The card number, expiry date, password or date of birth does not match.")
        }
        Cause::TimedOut => ("It took too long", "The registration did not finish in time and was stopped."),
        Cause::Stale => {
            ("This registration is over", "It has already been completed or ended, so it cannot be continued.")
        }
        Cause::OurMistake => (
            "The registration could not start",
            "Something is set up wrong on our side, so the payment company refused the registration. There is nothing wrong with your payment method.",
        ),
        Cause::Unknown => ("Not registered", "The registration was not completed. We were not told exactly why."),
        Cause::Method(reason) => match reason {
            Reason::InsufficientFunds => {
                ("Not registered", "There is not enough money in the account, or the card's limit is reached.")
            }
            Reason::LimitExceeded => {
                ("Not registered", "An amount or count limit of your payment method was exceeded.")
            }
            Reason::Expired => ("This card has expired", "A card past its expiry date cannot be registered."),
            Reason::LostOrStolen => ("This card cannot be registered", "The card has been reported lost or stolen."),
            Reason::Invalid => (
                "This card cannot be registered",
                "The card number is not valid, or this kind of card cannot be used for recurring payments.",
            ),
            Reason::Closed => {
                ("This card cannot be registered", "The card is suspended, or the account has been closed.")
            }
            Reason::NoMethod => ("Not registered", "The payment company cannot find this payment method."),
            Reason::Refused => (
                "The card company did not approve",
                "The card company or the payment company did not approve the registration.",
            ),
            Reason::Unavailable => (
                "Not possible right now",
                "A bank, the card company or the payment company is unavailable for the moment. Korean banks are often down for maintenance between 11:30 p.m. and 12:30 a.m. Seoul time.",
            ),
            Reason::Unknown => ("Not registered", "The payment company did not accept the registration."),
        },
    }
}

/// What to do next.
pub(super) fn advice(advice: Advice) -> &'static str {
    match advice {
        Advice::TryAgain => {
            "You can try again. If the same happens, please use another payment method or write to us at the address below."
        }
        Advice::CheckDetails => {
            "Please check the details and enter them again. After several wrong tries the card company may block you for a while."
        }
        Advice::AnotherMethod => "Please register another card or payment method.",
        Advice::CheckBalance => "Please check the balance and limits and try again, or register another card.",
        Advice::CallIssuer => {
            "Your card company's customer service can tell you why. You can also register another card."
        }
        Advice::Wait => "Please try again in a few minutes.",
        Advice::StartOver => {
            "If you have received our confirmation mail, there is nothing to do. Otherwise please start again from the subscription page."
        }
        Advice::Contact => {
            "Trying again may give the same result. Please write to us at the address below and we will look into it at once."
        }
    }
}

/// Writes the page for whatever else is wrong.
pub(super) fn problem(site: &Site, view: &Problem) -> Sheet {
    let brand = clean::name(&site.brand);
    let manage = Link::to(&site.manage_url, "Manage subscription");
    match view {
        Problem::SessionExpired => Sheet {
            advice: vec![format!("Please start again from {brand}'s subscription page.")],
            link: manage,
            ..empty(Tone::Wait, "This link has expired", "For your safety, a registration link works for a limited time only.")
        },
        Problem::BadLink => Sheet {
            advice: vec![format!("Please check that the address was not cut off, or start again from {brand}'s subscription page.")],
            link: manage,
            ..empty(Tone::Bad, "This link is not valid", "A part of the address is missing or was changed, so we cannot open the page.")
        },
        Problem::NotYours => Sheet {
            advice: vec![
                "Please log in with the account you were registering for, and start again from the subscription page.".to_owned(),
                "If it is your own payment method, please write to us at the address below.".to_owned(),
            ],
            link: manage,
            ..empty(
                Tone::Bad,
                "This payment method is another customer's",
                "It is registered in another customer's name, so we did not connect it. Nothing was changed or charged.",
            )
        },
        Problem::AlreadyCompleted => Sheet {
            advice: vec!["You can see the registered method on the subscription page. There is no need to register again.".to_owned()],
            link: manage,
            ..empty(
                Tone::Good,
                "Already registered",
                "The registration of this link is complete. You may have finished it in another window or on another device.",
            )
        },
        Problem::Unavailable { retry_url } => Sheet {
            advice: vec!["Please try again in a few minutes. While Korean banks are in maintenance (11:30 p.m. to 12:30 a.m. Seoul time) it may take a little longer.".to_owned()],
            link: retry_url.as_deref().and_then(|url| Link::to(url, "Try again")),
            closing: vec!["If you had already finished registering, it is completed by itself and we will tell you by mail.".to_owned()],
            ..empty(Tone::Wait, "Unavailable for the moment", "We cannot reach the payment company or a bank right now.")
        },
        Problem::NotFound => Sheet {
            advice: vec!["Please check the address.".to_owned()],
            link: manage,
            ..empty(Tone::Bad, "Page not found", "There is no page at this address.")
        },
        Problem::Internal { reference } => Sheet {
            facts: (reference.as_deref().and_then(clean::code))
                .map(|value| Fact { label: "Reference", value: value.to_owned() })
                .into_iter()
                .collect(),
            advice: vec!["Please try again in a moment. If it keeps happening, write to us at the address below.".to_owned()],
            closing: vec!["If you had already finished registering, it is completed by itself and we will tell you by mail.".to_owned()],
            ..empty(Tone::Bad, "Something went wrong", "A mistake on our side kept this page from you. It has been recorded and we will look into it.")
        },
    }
}

fn method_name(method: &MethodLabel) -> String {
    let kind = match method.kind {
        MethodKind::Card => "Card",
        MethodKind::Paypal => "PayPal",
        MethodKind::EasyPay => "Easy pay",
        MethodKind::Mobile => "Phone bill",
        MethodKind::Transfer => "Bank account",
    };
    super::sheet::method_name(method, kind)
}

/// `December 1, 2026`.
fn date(date: Date) -> String {
    format!("{} {}, {}", month_in_english(date.month()), date.day(), date.year())
}

/// `December 1, 2026, 10:00 a.m. (Seoul)`.
fn moment(at: Timestamp) -> String {
    let at = at.to_zoned(seoul());
    let (hour, afternoon) = super::sheet::twelve_hours(at.hour());
    format!("{}, {hour}:{:02} {} (Seoul)", date(at.date()), at.minute(), if afternoon { "p.m." } else { "a.m." })
}
