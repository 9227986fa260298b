//! Transactions: all or nothing, and the loser learns why.

use super::sample::{at, attempt, december, event, full_key, full_session, invoice, key, moved, opens, subscription};
use super::sample::{checks, claimed, creates, deletes, puts, records, registers, replaces, together, writes};
use super::sample::{ends_default, makes_default, on_event, on_invoice, on_key, on_subscription};
use super::{commit, conflict, race, write};
use crate::ports::{Changes, Conflict, Store, SubscriptionChange};
use billing_core::billing_key::RegisteredKey;
use billing_core::decline::Decline;
use billing_core::event::Event;
use billing_core::id::PaymentId;
use billing_core::invoice::{Invoice, Outcome, State};
use billing_core::subscription::Subscription;
use futures::future::join_all;

const WORKERS: usize = 100;

/// Law 6. The losers get the winner's invoice back, so they need not read it.
pub async fn of_a_hundred_claims_of_the_first_attempt_one_wins_and_the_others_see_whose_it_is(store: &impl Store) {
    let subscription = subscription("user_1", "sub_1");
    write(store, creates(&subscription)).await;
    let open = invoice(&subscription.key);
    let claim = |worker| together([puts(&claimed(&open, &format!("worker {worker}"))), checks(&subscription)]);
    one_claim_wins(store, &open.payment_id, &(0..WORKERS).map(claim).collect::<Vec<_>>()).await;
}

/// A claim of a later attempt is by version.
pub async fn of_a_hundred_claims_of_the_second_attempt_one_wins(store: &impl Store) {
    let subscription = subscription("user_1", "sub_1");
    write(store, creates(&subscription)).await;
    let declined = Outcome::Declined(Decline::no_method("BILLING_KEY_NOT_FOUND"));
    let failed = Invoice {
        state: State::Failed { retry_at: Some(at("02T10:00:00")) },
        attempts: vec![attempt(1, Some(declined))],
        ..invoice(&subscription.key)
    };
    write(store, puts(&failed)).await;
    let claim = |worker| {
        let next = claimed(&failed, &format!("worker {worker}"));
        together([replaces(&failed, &next), checks(&subscription)])
    };
    one_claim_wins(store, &failed.payment_id, &(0..WORKERS).map(claim).collect::<Vec<_>>()).await;
}

async fn one_claim_wins(store: &impl Store, id: &PaymentId, claims: &[Changes]) {
    let results = race(store, claims).await;
    let winners: Vec<&Changes> =
        results.iter().zip(claims).filter(|(result, _)| result.is_ok()).map(|(_, claim)| claim).collect();
    let [winner] = winners.as_slice() else { panic!("{} of {} claims won", winners.len(), claims.len()) };
    let there = store.invoice(id).await.unwrap().unwrap();
    assert_eq!(there, winner.invoices.first().unwrap().1);
    let lost = on_invoice(Some(&there));
    for conflict in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(*conflict, lost);
    }
}

/// Nothing is charged for a subscription that was cancelled a moment ago.
pub async fn a_claim_is_refused_once_the_subscription_has_moved(store: &impl Store) {
    let active = subscription("user_1", "sub_1");
    write(store, creates(&active)).await;
    let canceled = active.canceled(at("01T09:59:59")).unwrap();
    write(store, writes(&active, &canceled)).await;
    let claim = claimed(&invoice(&active.key), "worker");
    let changes = together([puts(&claim), checks(&active), records(&[event("subject", "1")])]);
    assert_eq!(conflict(store, &changes).await, on_subscription());
    assert_eq!(store.invoice(&claim.payment_id).await.unwrap(), None);
    assert!(store.events_of("subject", None).await.unwrap().items.is_empty());
}

/// It can be checked any number of times, and written under the same version afterwards.
pub async fn a_check_leaves_the_subscription_as_it_is(store: &impl Store) {
    let active = subscription("user_1", "sub_1");
    write(store, creates(&active)).await;
    for id in ["sub_1", "sub_2"] {
        write(store, together([puts(&invoice(&key("user_1", id))), checks(&active)])).await;
    }
    assert_eq!(store.subscription(&active.key).await.unwrap().as_ref(), Some(&active));
    let paid = active.paid(december()).unwrap();
    write(store, writes(&active, &paid)).await;
    assert_eq!(store.subscription(&active.key).await.unwrap(), Some(paid));
}

/// A charge that is under way.
struct Charging {
    subscription: Subscription,
    invoice: Invoice,
    /// What is to be written now that it was paid.
    settlement: Changes,
}

impl Charging {
    async fn begun(store: &impl Store) -> Self {
        let subscription = subscription("user_1", "sub_1");
        let invoice = claimed(&invoice(&subscription.key), "worker");
        write(store, together([puts(&invoice), creates(&subscription)])).await;
        let settlement = together([
            replaces(&invoice, &moved(&invoice, State::Paid { at: at("01T10:00:02") })),
            writes(&subscription, &subscription.paid(december()).unwrap()),
            registers(&full_key("user_1", "billing-key-2", at("01T10:00:01"))),
            records(&[event("subject", "1"), event("subject", "2")]),
        ]);
        Self { subscription, invoice, settlement }
    }

    /// The settlement with one expectation that is not met, and what is to come of it.
    fn spoilt(&self, old_event: &Event, old_key: &RegisteredKey) -> Vec<(Changes, Conflict)> {
        let (subscription, invoice) = (&self.subscription, &self.invoice);
        let (_, paid) = self.settlement.invoices.first().unwrap();
        let with_invoice = |part: Changes| Changes { invoices: part.invoices, ..self.settlement.clone() };
        let with_subscription = |part: Changes| Changes { subscription: part.subscription, ..self.settlement.clone() };
        let with_key = |part: Changes| Changes { keys: part.keys, ..self.settlement.clone() };
        let with_events = |first, second| Changes { events: vec![first, second], ..self.settlement.clone() };

        let before = Invoice { version: invoice.version - 1, ..invoice.clone() };
        let stale = Subscription { version: 2, ..subscription.clone() };
        let staler = Subscription { version: 3, ..subscription.clone() };
        let no_key = RegisteredKey { created_at: at("01T10:00:00.001"), ..old_key.clone() };
        vec![
            (with_invoice(replaces(&before, paid)), on_invoice(Some(invoice))),
            (with_invoice(puts(paid)), on_invoice(Some(invoice))),
            (with_subscription(creates(subscription)), on_subscription()),
            (with_subscription(checks(&stale)), on_subscription()),
            (with_subscription(writes(&stale, &staler)), on_subscription()),
            (with_key(registers(old_key)), on_key()),
            (with_key(deletes(&no_key)), on_key()),
            (with_key(makes_default(&no_key)), on_key()),
            (with_key(ends_default(&no_key)), on_key()),
            (with_events(old_event.clone(), event("subject", "2")), on_event()),
            (with_events(event("subject", "1"), old_event.clone()), on_event()),
        ]
    }
}

/// Invoice, subscription, billing key and both events.
pub async fn a_settlement_is_written_as_a_whole(store: &impl Store) {
    let charging = Charging::begun(store).await;
    write(store, charging.settlement.clone()).await;
    let (_, paid) = charging.settlement.invoices.first().unwrap();
    assert_eq!(store.invoice(&paid.payment_id).await.unwrap().as_ref(), Some(paid));
    let subscription = store.subscription(&charging.subscription.key).await.unwrap();
    assert_eq!(subscription, charging.subscription.paid(december()));
    assert_eq!(store.events_of("subject", None).await.unwrap().items, charging.settlement.events);
    assert_eq!(store.keys_of(&charging.subscription.key.user_id, None).await.unwrap().items.len(), 1);
    let again = conflict(store, &charging.settlement).await;
    assert_eq!(again.invoice.as_deref(), Some(paid), "whoever brings the same settlement again sees that it is done");
}

/// Whichever it is.
pub async fn one_unmet_expectation_and_nothing_is_written(store: &impl Store) {
    let charging = Charging::begun(store).await;
    let (subscription, invoice) = (&charging.subscription, &charging.invoice);
    let old_event = event("subject", "0");
    let old_key = full_key("user_1", "billing-key-1", at("01T10:00:00"));
    write(store, together([records(std::slice::from_ref(&old_event)), registers(&old_key)])).await;
    for (changes, expected) in charging.spoilt(&old_event, &old_key) {
        assert_eq!(conflict(store, &changes).await, expected, "{changes:?}");
        assert_eq!(store.invoice(&invoice.payment_id).await.unwrap().as_ref(), Some(invoice));
        assert_eq!(store.subscription(&subscription.key).await.unwrap().as_ref(), Some(subscription));
        let events = store.events_of("subject", None).await.unwrap().items;
        assert_eq!(events, std::slice::from_ref(&old_event));
        let keys = store.keys_of(&old_key.user_id, None).await.unwrap().items;
        assert_eq!(keys, std::slice::from_ref(&old_key));
    }
    write(store, charging.settlement).await;
}

/// So that one answer is enough to decide what to read anew.
pub async fn a_conflict_names_every_unmet_expectation_and_the_first_invoice(store: &impl Store) {
    let active = subscription("user_1", "sub_1");
    let (first, second) = (invoice(&active.key), invoice(&key("user_1", "sub_2")));
    let there = together([
        puts(&first),
        puts(&second),
        creates(&active),
        registers(&full_key("user_1", "billing-key-1", at("01T10:00:00"))),
        opens(&full_session("cs1")),
        records(&[event("subject", "1")]),
    ]);
    write(store, there.clone()).await;
    let all = Conflict {
        invoice: Some(Box::new(first.clone())),
        on_invoice: true,
        on_subscription: true,
        on_key: true,
        on_session: true,
        on_event: true,
    };
    assert_eq!(conflict(store, &there).await, all);

    let next = moved(&first, State::Void { at: at("01T10:00:01") });
    let second_only = together([replaces(&first, &next), puts(&second)]);
    assert_eq!(conflict(store, &second_only).await, on_invoice(Some(&second)));
}

/// Nothing is put where a version was expected.
pub async fn an_expected_invoice_that_is_missing_is_a_conflict_with_nothing_there(store: &impl Store) {
    let open = invoice(&key("user_1", "sub_1"));
    let changes = replaces(&open, &claimed(&open, "worker"));
    assert_eq!(conflict(store, &changes).await, on_invoice(None));
    assert_eq!(store.invoice(&open.payment_id).await.unwrap(), None);
}

/// A payment id that is used up is left and its successor opened in one step.
pub async fn two_invoices_change_together(store: &impl Store) {
    let old = claimed(&invoice(&key("user_1", "sub_1")), "worker");
    write(store, puts(&old)).await;
    let successor = Invoice { payment_id: PaymentId::new("invSUCCESSOR").unwrap(), revision: 1, ..old.clone() };
    let left = moved(&old, State::Void { at: at("01T10:00:04") });
    let left = Invoice { superseded_by: Some(successor.payment_id.clone()), ..left };
    write(store, together([replaces(&old, &left), puts(&successor)])).await;
    assert_eq!(store.invoice(&old.payment_id).await.unwrap(), Some(left));
    assert_eq!(store.invoice(&successor.payment_id).await.unwrap(), Some(successor));
}

/// Law 6, for a subscription; the loser's event is not written either.
pub async fn of_two_writers_of_one_version_one_wins(store: &impl Store) {
    let active = subscription("user_1", "sub_1");
    write(store, creates(&active)).await;
    let (paid, canceled) = (active.paid(december()).unwrap(), active.canceled(at("01T10:00:00")).unwrap());
    let writers = [("paid", &paid), ("canceled", &canceled)]
        .map(|(name, next)| together([writes(&active, next), records(&[event("subject", name)])]));
    let results = race(store, &writers).await;
    let lost = Err(on_subscription());
    let winner = match results.as_slice() {
        [Ok(()), second] if *second == lost => paid,
        [first, Ok(())] if *first == lost => canceled,
        _ => panic!("{results:?}"),
    };
    assert_eq!(store.events_of("subject", None).await.unwrap().items.len(), 1);
    assert_eq!(store.subscription(&active.key).await.unwrap(), Some(winner));
}

/// Also by fifty at once; and another user's of the same id is another.
pub async fn a_subscription_is_created_once(store: &impl Store) {
    let rows: Vec<Subscription> =
        (1..=50).map(|seats| Subscription { seats, ..subscription("user_1", "sub_1") }).collect();
    let results = race(store, &rows.iter().map(creates).collect::<Vec<_>>()).await;
    let winners: Vec<&Subscription> =
        results.iter().zip(&rows).filter(|(result, _)| result.is_ok()).map(|(_, row)| row).collect();
    let [winner] = winners.as_slice() else { panic!("{} of {} were created", winners.len(), rows.len()) };
    assert_eq!(store.subscription(&winner.key).await.unwrap().as_ref(), Some(*winner));
    write(store, creates(&subscription("user_2", "sub_1"))).await;
}

/// Nothing is put where a version was expected.
pub async fn a_missing_subscription_is_neither_written_nor_checked(store: &impl Store) {
    let row = subscription("user_1", "sub_1");
    let event = records(&[event("subject", "1")]);
    let writing = together([writes(&row, &row.paid(december()).unwrap()), event.clone()]);
    assert_eq!(conflict(store, &writing).await, on_subscription());
    let check = SubscriptionChange::Check { key: row.key.clone(), version: 0 };
    let checking = Changes { subscription: Some(check), ..event };
    assert_eq!(conflict(store, &checking).await, on_subscription());
    assert_eq!(store.subscription(&row.key).await.unwrap(), None);
}

/// On its own or in a transaction, the first stays; of fifty at once, one is told that it was the first.
pub async fn an_event_is_recorded_once(store: &impl Store) {
    let first = event("subject", "1");
    assert!(store.record(&first).await.unwrap());
    let second = Event { detail: Some("another".to_owned()), ..first.clone() };
    assert!(!store.record(&second).await.unwrap());
    assert_eq!(commit(store, &records(&[second])).await, Err(on_event()));
    assert_eq!(store.events_of("subject", None).await.unwrap().items, [first]);

    let raced = event("raced", "1");
    let results = join_all((0..50).map(|_| store.record(&raced))).await;
    assert_eq!(results.into_iter().filter(|result| *result.as_ref().unwrap()).count(), 1);
}
