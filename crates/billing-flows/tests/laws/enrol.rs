//! Enrolment: what a customer agreed to in the browser begins once, whoever tells of it first, and nothing else begins. (Laws 4, 6, 7, 8.)

use crate::world::{
    EMAIL, FIRST_KEY, OTHER_KEY, World, at, crash_everywhere, interleave_everywhere, issued, method, standard,
    store_id, told_of_key, won,
};
use billing_core::billing_key::BillingKey;
use billing_core::calendar::Period;
use billing_core::event::{Cause, EventKind};
use billing_core::id::{PaymentId, SubscriptionId, UserId};
use billing_core::money::Currency;
use billing_core::plan::{Locale, PlanType};
use billing_core::session::{NotOpened, Purpose, Request, Seed, Session, SessionId, Wish};
use billing_core::subscription::{State, Subscription};
use billing_flows::FlowError;
use billing_flows::cancel::When;
use billing_flows::enrol::{Bound, Enrolment, OpenError, Refusal};
use billing_flows::fake::{AskFault, Behaviour, Fault};
use billing_flows::ports::{KeySeen, Mode};
use billing_flows::receive_webhook::{KeyHint, Received};

/// The session that the customer's backend opens, by its idempotency key.
fn session_id() -> SessionId {
    id_of("checkout-1")
}

fn id_of(key: &str) -> SessionId {
    SessionId::derive(&standard().key.user_id, Seed::Key(key))
}

fn subscribe(trial_days: u32) -> Request {
    let (user_id, customer, locale) = (standard().key.user_id, standard().customer, standard().locale);
    let wish =
        Wish::Subscribe { plan: PlanType::Standard, seats: 3, currency: Currency::Krw, trial_days: Some(trial_days) };
    Request { user_id, wish, customer, locale }
}

fn replace_method() -> Request {
    Request { wish: Wish::ReplaceMethod { subscription_id: standard().key.id }, ..subscribe(0) }
}

async fn open(world: &World, request: &Request, key: &str) -> Result<Session, OpenError> {
    world.billing.open_session(request, Seed::Key(key)).await
}

/// A key that `PortOne` issued in a session.
fn issued_in(session: &SessionId, key: &str, issued_at: &str) -> KeySeen {
    KeySeen { issue_id: Some(session.to_string()), ..issued(key, issued_at) }
}

/// A new customer at noon on the first, in whose session a key was just issued.
fn checked_out(request: &Request) -> World {
    let world = World::with([]);
    checked_out_in(&world, request);
    world
}

fn checked_out_in(world: &World, request: &Request) {
    world.go_to("2026-12-01T12:00");
    crate::world::at_once(open(world, request, "checkout-1")).unwrap();
    world.go_to("2026-12-01T12:05");
    world.gateway.put_key(issued_in(&session_id(), FIRST_KEY, "2026-12-01T12:04"));
}

/// The standard customer, past due since the morning, in whose session a key was just issued.
async fn past_due() -> World {
    let world = World::where_charges(Behaviour::Decline(crate::world::SOFT.to_owned()));
    world.run().await;
    world.gateway.always(Behaviour::Approve);
    checked_out_in(&world, &replace_method());
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04"));
    world
}

fn cause() -> Cause {
    Cause::Api("request-1".to_owned())
}

/// The browser comes back with a key.
async fn comes_back(world: &World, key: &str) -> Result<Bound, FlowError> {
    world.billing.bind(&world.queue, &session_id(), &BillingKey::new(key), &cause()).await
}

async fn redirect(world: &World) {
    drop(comes_back(world, FIRST_KEY).await);
}

async fn webhook(world: &World) {
    drop(world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await);
}

fn done(bound: Result<Bound, FlowError>) -> Enrolment {
    match bound.unwrap() {
        Bound::Done(enrolment) => *enrolment,
        other => panic!("{other:?}"),
    }
}

fn refused(bound: Result<Bound, FlowError>) -> Refusal {
    match bound.unwrap() {
        Bound::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The one subscription that there is.
fn only(world: &World) -> Subscription {
    let [row] = <[Subscription; 1]>::try_from(world.store.all_subscriptions()).unwrap();
    row
}

/// One trial began with one key, and was told of once.
fn assert_trial_began_once(world: &World, told: &str) {
    let row = only(world);
    assert_eq!((&row.method, row.monthly), (&Some(method(FIRST_KEY)), won(30_000)), "{told}");
    assert_eq!(row.state, State::Active { next: Some(Period::parse("2026-12-15").unwrap()) }, "{told}");
    assert_eq!(world.store.all_keys().len(), 1, "{told}");
    let kinds = world.kinds();
    assert_eq!(kinds.len(), 2, "{told}: {kinds:?}");
    for kind in [EventKind::BillingKeyRegistered, EventKind::SubscriptionStarted] {
        assert!(kinds.contains(&kind), "{told}: {kinds:?}");
    }
    assert_eq!(world.notices(), ["subscription_started"], "{told}");
    assert_eq!(
        world.store.all_sessions().first().and_then(|row| row.done.clone()).unwrap().billing_key,
        method(FIRST_KEY).billing_key
    );
    assert_eq!(world.gateway.charges(), [], "{told}");
}

#[tokio::test]
async fn a_customer_who_comes_back_has_a_trial_and_is_told_when_it_is_charged() {
    let world = checked_out(&subscribe(14));
    let enrolment = done(comes_back(&world, FIRST_KEY).await);
    let charge = enrolment.next_charge.unwrap();
    assert_eq!(enrolment.subscription.trial_end, Some(at("2026-12-15T12:05")));
    assert_eq!((charge.at, charge.amount), (at("2026-12-16T10:00"), won(30_000 * 17 / 31)));
    assert_eq!(enrolment.method.last4.as_deref(), Some("1234"));
    assert_trial_began_once(&world, "the redirect alone");
    world.notify().await;
    let mail = world.mailer.sent().into_iter().next().unwrap();
    assert_eq!(mail.to.expose(), EMAIL);
    assert!(mail.mail.text.contains("2026년 12월 16일") && mail.mail.text.contains("16,451원"), "{}", mail.mail.text);
}

#[tokio::test]
async fn a_trial_is_collected_in_the_morning_that_was_told() {
    let world = checked_out(&subscribe(14));
    let charge = done(comes_back(&world, FIRST_KEY).await).next_charge.unwrap();
    world.go_to("2026-12-01T13:00");
    world.live_until("2026-12-17T00:00").await;
    let [approval] = <[_; 1]>::try_from(world.gateway.approvals()).unwrap();
    assert_eq!((approval.at, approval.amount), (charge.at, charge.amount));
}

#[tokio::test]
async fn a_customer_who_closes_the_window_has_what_was_agreed_by_the_webhook_alone() {
    let world = checked_out(&subscribe(14));
    let received = world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap();
    assert_eq!(received, Received::Settled);
    assert_trial_began_once(&world, "the webhook alone");
    let again = world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap();
    assert_eq!(again, Received::Known);
    assert_trial_began_once(&world, "the webhook twice");
}

#[tokio::test]
async fn redirect_and_webhook_in_either_order_begin_one_trial() {
    for webhook_first in [true, false] {
        let world = checked_out(&subscribe(14));
        if webhook_first {
            webhook(&world).await;
        }
        let enrolment = done(comes_back(&world, FIRST_KEY).await);
        webhook(&world).await;
        assert_eq!(enrolment.subscription, only(&world));
        assert_trial_began_once(&world, &format!("the webhook first: {webhook_first}"));
    }
}

#[tokio::test]
async fn redirect_and_webhook_at_any_moment_of_one_another_begin_one_trial_and_the_customer_is_told_so() {
    let redirect = async |world: &World| drop(done(comes_back(world, FIRST_KEY).await));
    let world = || checked_out(&subscribe(14));
    let after = async |world: &World, told: &str| {
        done(comes_back(world, FIRST_KEY).await);
        assert_trial_began_once(world, told);
    };
    let points = interleave_everywhere(world, redirect, webhook, after).await;
    interleave_everywhere(world, webhook, redirect, after).await;
    interleave_everywhere(world, redirect, redirect, after).await;
    assert!(points >= 10, "{points}");
}

#[tokio::test]
async fn a_crash_at_any_point_is_finished_by_the_page_loaded_again_or_by_the_webhook() {
    for act in [true, false] {
        let first = async |world: &World| if act { redirect(world).await } else { webhook(world).await };
        crash_everywhere(
            || checked_out(&subscribe(14)),
            first,
            async |world, told| {
                webhook(world).await;
                assert_trial_began_once(world, told);
            },
        )
        .await;
        crash_everywhere(
            || checked_out(&subscribe(14)),
            first,
            async |world, told| {
                redirect(world).await;
                assert_trial_began_once(world, told);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_crash_at_any_point_without_a_trial_still_charges_once() {
    let act = async |world: &World| {
        redirect(world).await;
        world.work_off().await;
    };
    let crashes = crash_everywhere(
        || checked_out(&subscribe(0)),
        act,
        async |world, told| {
            webhook(world).await;
            world.work_off().await;
            world.minutes_pass(10);
            world.live_until("2026-12-02T12:00").await;
            assert_eq!(world.gateway.approvals().len(), 1, "{told}");
            assert_eq!(world.notices(), ["subscription_started", "receipt"], "{told}");
            assert_eq!(world.gateway.violations(), [] as [&str; 0], "{told}");
        },
    )
    .await;
    assert!(crashes >= 15, "{crashes}");
}

#[tokio::test]
async fn a_fault_of_any_request_before_or_after_it_is_applied_loses_and_repeats_nothing() {
    for fault in [Fault::Before, Fault::After] {
        for number in 1..=20 {
            let world = checked_out(&subscribe(14));
            let opening = world.store.requests().values().sum::<u64>();
            world.store.faults().by(move |call| if call.of_all == opening + number { fault } else { Fault::None });
            redirect(&world).await;
            webhook(&world).await;
            world.store.faults().clear();
            done(comes_back(&world, FIRST_KEY).await);
            assert_trial_began_once(&world, &format!("{fault:?} of request {number}"));
        }
    }
}

#[tokio::test]
async fn without_a_trial_it_is_charged_at_once_and_once() {
    let world = checked_out(&subscribe(0));
    let enrolment = done(comes_back(&world, FIRST_KEY).await);
    let charge = enrolment.next_charge.unwrap();
    assert_eq!((charge.at, charge.amount), (world.now(), won(30_000)));
    webhook(&world).await;
    world.work_off().await;
    done(comes_back(&world, FIRST_KEY).await);
    world.work_off().await;
    let [approval] = <[_; 1]>::try_from(world.gateway.approvals()).unwrap();
    let period = Period::parse("2026-12-01").unwrap();
    assert_eq!(
        approval.payment_id,
        PaymentId::derive(&store_id(), &only(&world).key, period, billing_core::invoice::Part::Period, 0)
    );
    assert_eq!(world.notices(), ["subscription_started", "receipt"]);
}

#[tokio::test]
async fn a_url_that_is_replayed_answers_the_same_and_asks_nobody_even_after_the_session_has_expired() {
    let world = checked_out(&subscribe(14));
    let first = done(comes_back(&world, FIRST_KEY).await);
    world.go_to("2026-12-03T12:00");
    let asked = world.gateway.requests();
    assert_eq!(done(comes_back(&world, FIRST_KEY).await), first);
    assert_eq!(world.gateway.requests(), asked);
    assert_trial_began_once(&world, "replayed");
}

#[tokio::test]
async fn a_key_that_was_issued_in_time_binds_however_late_its_webhook_comes() {
    let world = checked_out(&subscribe(14));
    world.go_to("2026-12-01T18:00");
    assert_eq!(world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap(), Received::Settled);
    // The trial is as long as was agreed, from when it began.
    assert_eq!(only(&world).trial_end, Some(at("2026-12-15T18:00")));
}

#[tokio::test]
async fn a_key_that_was_issued_too_late_begins_nothing() {
    let world = checked_out(&subscribe(14));
    world.go_to("2026-12-01T13:01");
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T13:00"));
    assert_eq!(refused(comes_back(&world, OTHER_KEY).await), Refusal::Expired);
    // It is a key of the customer's all the same.
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    assert_eq!((world.store.all_subscriptions(), world.store.all_keys().len()), (vec![], 1));
}

#[tokio::test]
async fn a_customer_is_told_of_a_key_that_came_too_late_in_the_language_of_its_session() {
    let world = checked_out(&Request { locale: Locale::En, ..subscribe(14) });
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T13:00"));
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    let locales: Vec<Locale> =
        world.events().into_iter().filter_map(|event| event.notice).map(|it| it.locale).collect();
    assert_eq!(locales, [Locale::En]);
}

#[tokio::test]
async fn a_key_that_is_not_the_sessions_is_refused_and_changes_nothing() {
    let key = || issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04");
    for (seen, refusal) in [
        (KeySeen { is_issued: false, ..key() }, Refusal::NotIssued),
        (KeySeen { store_id: "store-2".to_owned(), ..key() }, Refusal::OtherStore),
        (KeySeen { mode: Some(Mode::Test), ..key() }, Refusal::WrongMode),
        (KeySeen { mode: None, ..key() }, Refusal::WrongMode),
        (KeySeen { customer_id: Some("user_789".to_owned()), ..key() }, Refusal::OtherCustomer),
        (KeySeen { customer_id: None, ..key() }, Refusal::OtherCustomer),
        (KeySeen { issue_id: Some(id_of("checkout-2").to_string()), ..key() }, Refusal::OtherSession),
        (KeySeen { issue_id: None, ..key() }, Refusal::OtherSession),
    ] {
        let world = checked_out(&subscribe(14));
        let before = (world.tables(), world.store.all_sessions());
        world.gateway.put_key(seen);
        assert_eq!(refused(comes_back(&world, OTHER_KEY).await), refusal);
        assert_eq!((world.tables(), world.store.all_sessions()), before, "{refusal:?}");
        assert!(world.store.all_keys().is_empty(), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_registered_for_another_customer_is_refused() {
    let world = checked_out(&subscribe(14));
    let other = KeySeen { customer_id: Some("user_789".to_owned()), ..issued(FIRST_KEY, "2026-12-01T12:04") };
    world.gateway.put_key(other);
    world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap();
    world.gateway.put_key(issued_in(&session_id(), FIRST_KEY, "2026-12-01T12:04"));
    assert_eq!(refused(comes_back(&world, FIRST_KEY).await), Refusal::OtherCustomer);
    assert!(world.store.all_subscriptions().is_empty());
}

#[tokio::test]
async fn a_key_that_our_books_call_deleted_begins_nothing_even_if_portone_says_that_it_is_issued() {
    let world = World::with([]);
    world.gateway.put_key(issued(FIRST_KEY, "2026-12-01T09:00"));
    world.receive(&told_of_key(KeyHint::Issued, FIRST_KEY)).await.unwrap();
    world.gateway.delete_key(&BillingKey::new(FIRST_KEY));
    world.receive(&told_of_key(KeyHint::Deleted, FIRST_KEY)).await.unwrap();
    checked_out_in(&world, &subscribe(14));
    assert_eq!(refused(comes_back(&world, FIRST_KEY).await), Refusal::NotIssued);
    assert!(world.store.all_subscriptions().is_empty());
}

#[tokio::test]
async fn no_key_of_a_test_channel_or_of_another_store_is_registered_by_a_webhook() {
    for seen in [
        KeySeen { mode: Some(Mode::Test), ..issued(OTHER_KEY, "2026-12-01T09:00") },
        KeySeen { mode: None, ..issued(OTHER_KEY, "2026-12-01T09:00") },
        KeySeen { store_id: "store-2".to_owned(), ..issued(OTHER_KEY, "2026-12-01T09:00") },
    ] {
        let world = World::new();
        world.gateway.put_key(seen);
        let received = world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        assert_eq!((received, world.store.all_keys()), (Received::Stranger, vec![]));
    }
}

#[tokio::test]
async fn a_session_that_nobody_opened_binds_nothing() {
    let world = World::with([]);
    world.gateway.put_key(issued_in(&session_id(), FIRST_KEY, "2026-12-01T09:59"));
    assert_eq!(refused(comes_back(&world, FIRST_KEY).await), Refusal::NoSuchSession);
    assert!(world.store.all_subscriptions().is_empty());
}

#[tokio::test]
async fn while_portone_does_not_answer_or_does_not_know_the_key_it_is_not_decided() {
    let world = checked_out(&subscribe(14));
    assert_eq!(comes_back(&world, "billing-key-of-nobody").await.unwrap(), Bound::NotYet);
    world.gateway.next_asks([Some(AskFault::Unavailable)]);
    assert_eq!(comes_back(&world, FIRST_KEY).await.unwrap(), Bound::NotYet);
    world.gateway.next_asks([Some(AskFault::Unauthorized)]);
    assert!(matches!(comes_back(&world, FIRST_KEY).await, Err(FlowError::Unauthorized(_))));
    done(comes_back(&world, FIRST_KEY).await);
    assert_trial_began_once(&world, "asked again");
}

#[tokio::test]
async fn a_second_key_of_one_session_begins_nothing_more() {
    let world = checked_out(&subscribe(14));
    done(comes_back(&world, FIRST_KEY).await);
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:06"));
    assert_eq!(refused(comes_back(&world, OTHER_KEY).await), Refusal::Completed);
    world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
    assert_eq!(only(&world).method, Some(method(FIRST_KEY)));
}

/// Two tabs: two sessions, two keys.
fn two_tabs() -> World {
    let world = checked_out(&subscribe(14));
    crate::world::at_once(open(&world, &subscribe(14), "checkout-2")).unwrap();
    world.gateway.put_key(issued_in(&id_of("checkout-2"), OTHER_KEY, "2026-12-01T12:05"));
    world
}

async fn second_tab(world: &World) {
    drop(world.billing.bind(&world.queue, &id_of("checkout-2"), &BillingKey::new(OTHER_KEY), &cause()).await);
}

#[tokio::test]
async fn two_tabs_at_any_moment_of_one_another_begin_one_subscription() {
    interleave_everywhere(two_tabs, redirect, second_tab, async |world, told| {
        assert_eq!(world.count(EventKind::SubscriptionStarted), 1, "{told}");
        assert_eq!((world.notices(), world.store.all_keys().len()), (vec!["subscription_started"], 1), "{told}");
        only(world);
        let completed = world.store.all_sessions().into_iter().filter(|row| row.done.is_some()).count();
        assert_eq!(completed, 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_tab_left_open_begins_nothing_after_the_other_one_has_begun_and_even_ended() {
    let world = two_tabs();
    let key = done(comes_back(&world, FIRST_KEY).await).subscription.key;
    let (tab, other, cause) = (id_of("checkout-2"), BillingKey::new(OTHER_KEY), cause());
    let late = || world.billing.bind(&world.queue, &tab, &other, &cause);
    assert_eq!(refused(late().await), Refusal::Subscribed);
    world.billing.cancel(&key, When::Now, &cause).await.unwrap();
    assert_eq!(refused(late().await), Refusal::Subscribed);
}

#[tokio::test]
async fn a_request_that_is_repeated_opens_one_session_and_another_with_its_key_is_refused() {
    let world = World::with([]);
    let first = open(&world, &subscribe(14), "checkout-1").await.unwrap();
    world.minutes_pass(10);
    assert_eq!(open(&world, &subscribe(14), "checkout-1").await.unwrap(), first);
    assert!(matches!(open(&world, &subscribe(7), "checkout-1").await, Err(OpenError::KeyReused)));
    assert_ne!(open(&world, &subscribe(14), "checkout-2").await.unwrap().id, first.id);
    assert_eq!(world.store.all_sessions().len(), 2);
}

#[tokio::test]
async fn a_request_that_is_repeated_after_its_session_was_completed_gets_that_session() {
    let world = checked_out(&subscribe(14));
    let session = done(comes_back(&world, FIRST_KEY).await).session;
    assert_eq!(open(&world, &subscribe(14), "checkout-1").await.unwrap(), session);
}

#[tokio::test]
async fn of_many_repetitions_at_once_one_session_comes() {
    let world = World::with([]);
    let request = subscribe(14);
    let all = futures::future::join_all((0..20).map(|_| open(&world, &request, "checkout-1"))).await;
    let ids: std::collections::BTreeSet<SessionId> = all.into_iter().map(|session| session.unwrap().id).collect();
    assert_eq!((ids.len(), world.store.all_sessions().len()), (1, 1));
}

#[tokio::test]
async fn what_is_refused_opens_no_session() {
    let world = World::new();
    let subscribed = open(&world, &subscribe(14), "checkout-1").await;
    assert!(matches!(subscribed, Err(OpenError::Refused(NotOpened::Subscribed(_)))));
    let wish = Wish::ReplaceMethod { subscription_id: SubscriptionId::new("sub_of_nobody").unwrap() };
    let nothing = open(&world, &Request { wish, ..subscribe(14) }, "checkout-2").await;
    assert!(matches!(nothing, Err(OpenError::Refused(NotOpened::NoSubscription(_)))));
    let other = Request { user_id: UserId::new("user_789").unwrap(), ..replace_method() };
    assert!(matches!(open(&world, &other, "checkout-3").await, Err(OpenError::Refused(NotOpened::NoSubscription(_)))));
    assert!(world.store.all_sessions().is_empty());
}

#[tokio::test]
async fn a_method_is_replaced_once_and_what_is_owed_is_tried_with_it_at_once() {
    for webhook_first in [true, false] {
        let world = past_due().await;
        if webhook_first {
            world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        }
        let enrolment = done(comes_back(&world, OTHER_KEY).await);
        assert!(matches!(enrolment.session.purpose, Purpose::ReplaceMethod { .. }));
        assert_eq!(enrolment.subscription.method, Some(method(OTHER_KEY)));
        world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        world.work_off().await;
        assert_eq!(world.gateway.approvals().len(), 1);
        let mut told = world.notices();
        told.sort_unstable();
        assert_eq!(told, ["method_registered", "payment_failed", "receipt"]);
        assert_eq!(world.count(EventKind::MethodReplaced), 1);
        // After the charge, the page shows the next one.
        let shown = done(comes_back(&world, OTHER_KEY).await).next_charge.unwrap();
        assert_eq!(shown.at, at("2027-01-01T10:00"));
    }
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_replacement_is_finished_by_the_webhook() {
    let act = async |world: &World| {
        world.run().await;
        checked_out_in(world, &replace_method());
        world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04"));
        drop(comes_back(world, OTHER_KEY).await);
        world.work_off().await;
    };
    let world = || {
        let world = World::new();
        world.gateway.next([Behaviour::Decline(crate::world::SOFT.to_owned())]);
        world
    };
    crash_everywhere(world, act, async |world, told| {
        world.minutes_pass(10);
        world.run().await;
        if world.store.all_sessions().is_empty() {
            return;
        }
        world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04"));
        world.receive(&told_of_key(KeyHint::Issued, OTHER_KEY)).await.unwrap();
        world.work_off().await;
        world.minutes_pass(10);
        world.live_until("2026-12-02T12:00").await;
        world.assert_paid_once(told);
        assert_eq!(world.notices().iter().filter(|name| **name == "method_registered").count(), 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_method_is_put_to_an_active_subscription_without_charging_it() {
    let world = World::with([Subscription {
        state: State::Active { next: Some(Period::parse("2027-01-01").unwrap()) },
        ..standard()
    }]);
    checked_out_in(&world, &replace_method());
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04"));
    let enrolment = done(comes_back(&world, OTHER_KEY).await);
    assert_eq!(enrolment.next_charge.unwrap().at, at("2027-01-01T10:00"));
    assert!(world.work_off().await.is_empty());
    assert_eq!((only(&world).method, world.gateway.charges()), (Some(method(OTHER_KEY)), vec![]));
}

#[tokio::test]
async fn a_method_is_not_put_to_a_subscription_that_has_ended_meanwhile() {
    let world = World::new();
    checked_out_in(&world, &replace_method());
    world.gateway.put_key(issued_in(&session_id(), OTHER_KEY, "2026-12-01T12:04"));
    world.customer_cancels();
    assert_eq!(refused(comes_back(&world, OTHER_KEY).await), Refusal::Ended);
    assert_eq!(world.subscription().method, Some(method(FIRST_KEY)));
}
