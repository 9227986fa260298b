//! When an invoice may be attempted, under which number, and how often.

use super::*;
use crate::decline::Reason;
use crate::invoice::Outcome;

const LATER: &str = "2026-12-01T10:05:00+09:00";
const RETRY: &str = "2026-12-02T10:00:00+09:00";

/// The first attempt ended like this, and the next may be made.
fn reopened_after(outcome: Outcome) -> Invoice {
    charging().ended(outcome, at(NOON)).moved_to(State::Open { next_attempt_at: at(NOON) }, at(NOON))
}

fn refused(code: &str) -> Invoice {
    reopened_after(Outcome::Refused(code.to_owned()))
}

/// As many attempts as this came to the same end, and the next may be made.
fn reopened_after_many(count: u32, outcome: &Outcome) -> Invoice {
    let first = reopened_after(outcome.clone());
    let attempts = (1..=count).map(|number| Attempt { number, ..first.attempts[0].clone() }).collect();
    Invoice { attempts, ..first }
}

fn claim(invoice: &Invoice, key: &str) -> Option<Vec<u32>> {
    let claimed = invoice.claimed(&method(key), "run:2".to_owned(), at(LATER))?;
    Some(claimed.attempts.iter().map(|attempt| attempt.number).collect())
}

#[test]
fn an_open_invoice_is_attempted_from_its_moment_on() {
    assert_eq!(opened().step(None, at("2026-12-01T09:59:59+09:00")), Step::Wait(at(NOON)));
    assert_eq!(opened().step(None, at(NOON)), Step::Attempt);
    assert_eq!(opened().step(None, at(LATER)), Step::Attempt);
}

#[test]
fn a_declined_method_is_tried_again_from_its_moment_on() {
    let failed = charging().moved_to(State::Failed { retry_at: Some(at(RETRY)) }, at(NOON));
    let same = method("billing-key-1");
    assert_eq!(failed.step(Some(&same), at("2026-12-02T09:59:59+09:00")), Step::Wait(at(RETRY)));
    assert_eq!(failed.step(Some(&same), at(RETRY)), Step::Attempt);
    assert_eq!(failed.step(Some(&same), at("2026-12-02T10:00:01+09:00")), Step::Attempt);
}

#[test]
fn what_is_settled_or_void_is_not_attempted_even_with_a_new_method() {
    let then = at(NOON);
    for state in [
        State::Paid { at: then },
        State::Uncollectible { at: then },
        State::Void { at: then },
        State::PartiallyRefunded { paid_at: then, refunded: opened().amount },
        State::Refunded { paid_at: then },
    ] {
        let settled = charging().moved_to(state, then);
        assert_eq!(settled.step(Some(&method("billing-key-2")), at(RETRY)), Step::Nothing, "{:?}", settled.state);
    }
}

#[test]
fn an_attempt_keeps_what_it_charges_and_what_brought_it_about() {
    let failed = charging().moved_to(State::Failed { retry_at: None }, at(NOON));
    let claimed = failed.claimed(&method("billing-key-2"), "run:2".to_owned(), at(LATER)).unwrap();
    let attempt = claimed.attempts.last().unwrap();
    assert_eq!((&attempt.method, attempt.cause.as_str()), (&method("billing-key-2"), "run:2"));
    assert_eq!((attempt.started_at, attempt.ended_at), (at(LATER), None));
}

#[test]
fn a_lease_is_over_at_the_moment_it_ends() {
    let end = at("2026-12-01T10:03:00+09:00");
    assert_eq!(charging().step(None, end), Step::Ask);
    assert!(charging().reclaimed(end).is_some());
}

#[test]
fn an_attempt_whose_end_is_not_known_may_be_sent_again_at_once() {
    let unknown = charging().moved_to(State::Unknown { since: at(NOON) }, at(NOON));
    let again = unknown.reclaimed(at(NOON)).unwrap();
    assert_eq!(again.state, State::Charging { lease_until: at("2026-12-01T10:03:00+09:00") });
}

#[test]
fn an_attempt_that_was_refused_for_our_credentials_is_made_again_under_its_own_number() {
    for code in ["UNAUTHORIZED", "FORBIDDEN"] {
        let again = refused(code).claimed(&method("billing-key-1"), "run:2".to_owned(), at(LATER)).unwrap();
        let [attempt] = again.attempts.as_slice() else { panic!("{code}: {:?}", again.attempts) };
        assert_eq!((attempt.number, attempt.started_at, attempt.outcome.as_ref()), (1, at(LATER), None), "{code}");
    }
}

#[test]
fn another_method_after_our_credentials_were_refused_is_another_attempt() {
    assert_eq!(claim(&refused("UNAUTHORIZED"), "billing-key-2"), Some(vec![1, 2]));
}

#[test]
fn an_attempt_after_any_other_end_has_the_next_number() {
    assert_eq!(claim(&refused("INVALID_REQUEST"), "billing-key-1"), Some(vec![1, 2]));
    assert_eq!(claim(&reopened_after(Outcome::Lost), "billing-key-1"), Some(vec![1, 2]));
}

#[test]
fn a_fifth_attempt_after_four_declines_is_never_made() {
    let declined = Outcome::Declined(Decline { reason: Reason::Refused, code: "X".to_owned() });
    assert_eq!(claim(&reopened_after_many(3, &declined), "billing-key-2"), Some(vec![1, 2, 3, 4]));
    assert_eq!(claim(&reopened_after_many(4, &declined), "billing-key-2"), None);
}

#[test]
fn an_invoice_that_came_to_nothing_sixty_times_is_left_to_a_person() {
    assert!(claim(&reopened_after_many(59, &Outcome::Lost), "billing-key-1").is_some());
    assert_eq!(claim(&reopened_after_many(60, &Outcome::Lost), "billing-key-1"), None);
}
