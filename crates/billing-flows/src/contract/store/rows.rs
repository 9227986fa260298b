//! What is written is what is read.

use super::sample::{
    after, at, attempt, bare_key, bare_subscription, creates, december, deletes, event, full_invoice, full_key,
    full_subscription, invoice, invoice_states, key, label, puts, registers, replaces, subscription,
    subscription_states, user, won, writes,
};
use super::{lines_of, rows, write};
use crate::ports::{MAX_READ, Store};
use billing_core::Timestamp;
use billing_core::billing_key::{BillingKey, CardInfo, KeyStatus, MethodKind, MethodLabel, RegisteredKey};
use billing_core::decline::Reason;
use billing_core::event::{Cause, Event, EventKind};
use billing_core::id::PaymentId;
use billing_core::invoice::{Attempt, Invoice, Outcome, State};
use billing_core::money::Currency;
use billing_core::notice::{Begun, EndReason, Notice, NoticeBody};
use billing_core::plan::Locale;
use billing_core::private::Private;
use billing_core::subscription::{self, Subscription};
use std::collections::BTreeSet;

/// In every state, with every optional field set and with none, by a read and by a listing.
pub async fn a_subscription_comes_back_as_it_was_written(store: &impl Store) {
    let mut written = Vec::new();
    for (number, state) in (0..).zip(subscription_states()) {
        written.push(Subscription { state: state.clone(), ..bare_subscription(&format!("sub_{number:02}_bare")) });
        written.push(Subscription { state, ..full_subscription(&format!("sub_{number:02}_full")) });
    }
    for row in &written {
        write(store, creates(row)).await;
    }
    for row in &written {
        assert_eq!(store.subscription(&row.key).await.unwrap().as_ref(), Some(row));
    }
    let listed = rows(async |after| store.subscriptions_of(&user("user_1"), after).await.unwrap()).await;
    assert_eq!(listed, written);
}

/// In every state, with attempts of every outcome and with none, with every optional field set and with none, by a read and by a listing.
pub async fn an_invoice_comes_back_as_it_was_written(store: &impl Store) {
    let mut written = Vec::new();
    for (number, state) in (0..).zip(invoice_states(Currency::Krw)) {
        let created_at = after(at("02T10:00:00"), -number);
        written.push(Invoice { state, created_at, ..invoice(&key("user_1", &format!("sub_{number}_bare"))) });
    }
    for (number, state) in (0..).zip(invoice_states(Currency::Usd)) {
        let created_at = after(at("01T10:00:00"), -number);
        written.push(Invoice { state, created_at, ..full_invoice(&format!("sub_{number}_full")) });
    }
    for row in &written {
        write(store, puts(row)).await;
    }
    for row in &written {
        assert_eq!(store.invoice(&row.payment_id).await.unwrap().as_ref(), Some(row));
    }
    let listed = rows(async |after| store.invoices_of(&user("user_1"), after).await.unwrap()).await;
    assert_eq!(listed, written);
}

/// Of every kind, with every cause and every notice, with every optional field set and with none.
pub async fn an_event_comes_back_as_it_was_written(store: &impl Store) {
    let mut written = Vec::new();
    for (number, kind) in (0..).zip(EventKind::ALL) {
        written.push(Event { kind, ..event("subject", &format!("{number:02}")) });
    }
    let causes = [Cause::Webhook("wh:1".to_owned()), Cause::Api("req 1".to_owned()), Cause::Reconcile(String::new())];
    for (number, cause) in (50..).zip(causes) {
        written.push(Event { cause, ..event("subject", &format!("{number}")) });
    }
    for (number, body) in (60..).zip(notices()) {
        let name = (number % 2 == 0).then(|| Private::new("김민수"));
        let locale = if number % 2 == 0 { Locale::Ko } else { Locale::En };
        written.push(Event {
            before: Some("open".to_owned()),
            after: Some("paid".to_owned()),
            detail: Some("a \"detail\" — 한 줄".to_owned()),
            notice: Some(Notice { to: Private::new("kim@example.com"), name, locale, body }),
            ..event("subject", &format!("{number}"))
        });
    }
    for row in &written {
        assert!(store.record(row).await.unwrap());
    }
    assert_eq!(rows(async |after| store.events_of("subject", after).await.unwrap()).await, written);
}

/// Of every kind, with every optional field set and with none.
pub async fn a_billing_key_comes_back_as_it_was_written(store: &impl Store) {
    let kinds = [MethodKind::Card, MethodKind::Paypal, MethodKind::EasyPay, MethodKind::Mobile, MethodKind::Transfer];
    let issued = at("01T09:00:00.001");
    let mut written: Vec<RegisteredKey> = (0..)
        .zip(kinds)
        .map(|(number, method)| {
            let row = bare_key("user_1", &format!("key-{number}"), after(issued, number));
            RegisteredKey { method, ..row }
        })
        .collect();
    written.push(full_key("user_1", "key-full", after(issued, 10)));
    let card = Some(CardInfo::default());
    written.push(RegisteredKey { card, ..bare_key("user_1", "key-blank-card", after(issued, 11)) });
    let status = KeyStatus::Deleted;
    written.push(RegisteredKey { status, ..bare_key("user_1", "key-deleted", after(issued, 12)) });
    for row in &written {
        write(store, registers(row)).await;
    }
    assert_eq!(rows(async |after| store.keys_of(&user("user_1"), after).await.unwrap()).await, written);
}

/// A new version replaces every field that this code knows, also where it has nothing to put there.
pub async fn what_a_new_version_leaves_out_is_gone(store: &impl Store) {
    let full = full_subscription("sub_1");
    write(store, creates(&full)).await;
    let bare = Subscription { version: full.version + 1, ..bare_subscription("sub_1") };
    write(store, writes(&full, &bare)).await;
    assert_eq!(store.subscription(&full.key).await.unwrap(), Some(bare));

    let full = Invoice { state: State::Failed { retry_at: Some(at("04T10:00:00")) }, ..full_invoice("sub_1") };
    write(store, puts(&full)).await;
    let bare = Invoice { version: full.version + 1, ..invoice(&full.subscription) };
    write(store, replaces(&full, &bare)).await;
    assert_eq!(store.invoice(&full.payment_id).await.unwrap(), Some(bare));
}

/// Tables keep epoch milliseconds, and what is written with a finer moment is found under it nevertheless.
pub async fn a_moment_is_kept_to_the_millisecond(store: &impl Store) {
    let fine: Timestamp = "2026-12-01T10:00:00.123456789+09:00".parse().unwrap();
    let kept = at("01T10:00:00.123");

    let state = subscription::State::PastDue { period: december(), due_at: fine };
    let row = Subscription { state, started: fine, trial_end: Some(fine), ..subscription("user_1", "sub_1") };
    write(store, creates(&row)).await;
    let state = subscription::State::PastDue { period: december(), due_at: kept };
    let read = Subscription { state, started: kept, trial_end: Some(kept), ..row.clone() };
    assert_eq!(store.subscription(&row.key).await.unwrap(), Some(read));
    let due = store.due(row.due_shard(), fine, None, 10).await.unwrap();
    assert_eq!(due.items, std::slice::from_ref(&row.key));

    let row = invoice(&row.key);
    let attempts = |at| vec![Attempt { started_at: at, ended_at: Some(at), ..attempt(1, Some(Outcome::Paid)) }];
    let timed = |at| Invoice {
        state: State::Paid { at },
        attempts: attempts(at),
        first_failed_at: Some(at),
        created_at: at,
        updated_at: at,
        ..row.clone()
    };
    write(store, puts(&timed(fine))).await;
    assert_eq!(store.invoice(&row.payment_id).await.unwrap(), Some(timed(kept)));

    let body = |at| NoticeBody::MethodRemoved { method: label(), at };
    let notice = |at| Notice { to: Private::new("kim@example.com"), name: None, locale: Locale::Ko, body: body(at) };
    let timed = |at| Event { at, notice: Some(notice(at)), ..event("subject", "1") };
    assert!(store.record(&timed(fine)).await.unwrap());
    assert_eq!(store.events_of("subject", None).await.unwrap().items, [timed(kept)]);

    let row = bare_key("user_1", "key-1", fine);
    write(store, registers(&row)).await;
    let owner = store.key_owner(&BillingKey::new("key-1")).await.unwrap();
    assert_eq!(owner, Some((user("user_1"), kept)));
    write(store, deletes(&row)).await;
}

/// Reads answer with nothing, listings with an end.
pub async fn what_was_never_written_is_not_there(store: &impl Store) {
    let nobody = user("nobody");
    assert_eq!(store.subscription(&key("nobody", "sub_1")).await.unwrap(), None);
    assert_eq!(store.invoice(&PaymentId::new("invNOTHING").unwrap()).await.unwrap(), None);
    assert_eq!(store.key_owner(&BillingKey::new("nothing")).await.unwrap(), None);
    // And nobody has stopped collecting.
    assert_eq!(store.stopped().await.unwrap(), None);
    assert!(rows(async |after| store.subscriptions_of(&nobody, after).await.unwrap()).await.is_empty());
    assert!(rows(async |after| store.invoices_of(&nobody, after).await.unwrap()).await.is_empty());
    assert!(rows(async |after| store.keys_of(&nobody, after).await.unwrap()).await.is_empty());
    assert!(rows(async |after| store.events_of("nothing", after).await.unwrap()).await.is_empty());
    for shard in 0..=subscription::DUE_SHARDS {
        assert!(rows(async |after| store.due(shard, Timestamp::MAX, after, 10).await.unwrap()).await.is_empty());
    }
    let (from, until) = (at("01T00:00:00"), at("31T00:00:00"));
    let lines = lines_of(store, december(), from, until).await;
    assert!(lines.is_empty());
}

/// Every kind of notice, with what may be left out set and unset.
fn notices() -> Vec<NoticeBody> {
    let bought = full_invoice("sub_1").bought();
    let then = at("01T10:00:03.004");
    let failed = |reason, retried| NoticeBody::PaymentFailed { bought: bought.clone(), reason, retried, until: then };
    let ended =
        |reason, unpaid| NoticeBody::SubscriptionEnded { plan_name: "Pro".to_owned(), reason, unpaid, ended_at: then };
    let started = |trial_end| {
        let (first_charge_at, first_charge, first_period) = (then, won(29_700), december());
        let (plan_name, seats, monthly, method) = ("Pro".to_owned(), 3, won(29_700), label());
        let begun = Begun { plan_name, seats, monthly, method, trial_end, first_charge_at, first_charge, first_period };
        NoticeBody::SubscriptionStarted { begun }
    };
    let receipt = |receipt_url, next_billing| NoticeBody::Receipt {
        bought: bought.clone(),
        vat: won(2_700),
        paid_at: then,
        receipt_url,
        next_billing,
    };
    vec![
        receipt(Some("https://receipt.example/1".to_owned()), Some(december().end())),
        receipt(None, None),
        failed(Reason::InsufficientFunds, true),
        failed(Reason::NoMethod, false),
        NoticeBody::UpgradeFailed { bought: bought.clone(), reason: Reason::LimitExceeded },
        ended(EndReason::PaymentFailed, Some(bought.clone())),
        ended(EndReason::Canceled, None),
        started(Some(then)),
        started(None),
        NoticeBody::MethodRegistered { method: label(), at: then },
        NoticeBody::MethodRemoved {
            method: MethodLabel { kind: MethodKind::Paypal, name: None, last4: None },
            at: then,
        },
        NoticeBody::Refunded { bought: bought.clone(), refunded: won(100), total_refunded: won(300), at: then },
    ]
}

/// Those that are there, and each once.
pub async fn subscriptions_are_read_together(store: &impl Store) {
    let written = ["sub_1", "sub_2", "sub_3"].map(|id| subscription("user_1", id));
    for row in &written {
        write(store, creates(row)).await;
    }
    let wanted = [key("user_1", "sub_1"), key("user_1", "sub_3"), key("user_1", "sub_4"), key("user_2", "sub_2")];
    let mut read = store.subscriptions(&wanted.into()).await.unwrap();
    read.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(read, [written[0].clone(), written[2].clone()]);
    assert_eq!(store.subscriptions(&BTreeSet::new()).await.unwrap(), []);
}

/// The others have to be read alone.
pub async fn of_more_subscriptions_than_one_request_reads_as_many_are_read(store: &impl Store) {
    let mut wanted = BTreeSet::new();
    for number in 0..MAX_READ + 2 {
        let row = subscription("user_1", &format!("sub_{number:03}"));
        write(store, creates(&row)).await;
        wanted.insert(row.key);
    }
    assert_eq!(store.subscriptions(&wanted).await.unwrap().len(), MAX_READ);
}
