//! What every [`Store`] promises, whatever it is made of.
//!
//! The suite is for stores on one machine, whose indexes show a write at once: the in-memory fake, the embedded `DynamoDB`. On `DynamoDB`
//! itself an index follows its table after a moment, and the behaviours that read one would have to wait. It also takes a store that loses
//! no answers: an error that may be tried again is tried again, and must then not have been applied.
//!
//! ```text
//! async fn empty_store() -> impl Store { … }
//! billing_flows::store_contract!(empty_store);
//! ```

mod commits;
mod due;
mod keys;
mod listings;
mod notices;
mod rows;
mod sample;
mod sessions;

pub use commits::*;
pub use due::*;
pub use keys::*;
pub use listings::*;
pub use notices::*;
pub use rows::*;
pub use sessions::*;

use crate::ports::{BookLine, Changes, CommitError, Conflict, Cursor, Page, Store};
use billing_core::Timestamp;
use billing_core::calendar::Period;
use billing_core::id::BOOKS_SHARDS;
use futures::future::join_all;

/// Makes one `#[tokio::test]` of every behaviour of [`contract::store`](crate::contract::store). Takes the path of an async function, or an
/// async closure, that makes an empty store; the crate that uses it needs `tokio` with `rt` and `macros`.
#[macro_export]
macro_rules! store_contract {
    ($empty:expr) => {
        $crate::store_contract! { @tests $empty =>
            // Rows.
            a_subscription_comes_back_as_it_was_written
            an_invoice_comes_back_as_it_was_written
            an_event_comes_back_as_it_was_written
            a_billing_key_comes_back_as_it_was_written
            what_a_new_version_leaves_out_is_gone
            a_moment_is_kept_to_the_millisecond
            what_was_never_written_is_not_there
            subscriptions_are_read_together
            of_more_subscriptions_than_one_request_reads_as_many_are_read
            // Commits.
            of_a_hundred_claims_of_the_first_attempt_one_wins_and_the_others_see_whose_it_is
            of_a_hundred_claims_of_the_second_attempt_one_wins
            a_claim_is_refused_once_the_subscription_has_moved
            a_check_leaves_the_subscription_as_it_is
            a_settlement_is_written_as_a_whole
            one_unmet_expectation_and_nothing_is_written
            a_conflict_names_every_unmet_expectation_and_the_first_invoice
            an_expected_invoice_that_is_missing_is_a_conflict_with_nothing_there
            two_invoices_change_together
            of_two_writers_of_one_version_one_wins
            a_subscription_is_created_once
            a_missing_subscription_is_neither_written_nor_checked
            an_event_is_recorded_once
            // Due.
            only_what_waits_for_something_is_due
            what_is_due_moves_with_the_subscription
            a_subscription_is_due_in_its_own_shard_only
            due_is_earliest_first_and_includes_its_last_moment
            a_walk_through_the_due_loses_and_repeats_nothing
            a_cursor_survives_its_row
            // Listings.
            subscriptions_are_listed_by_id
            invoices_are_listed_newest_first
            events_are_listed_in_their_order
            more_than_a_page_of_events_is_listed_completely
            more_than_a_page_of_invoices_is_listed_completely
            book_lines_are_those_of_the_period_that_changed_in_the_window
            book_lines_show_what_became_of_each_invoice
            // Keys.
            keys_are_listed_oldest_first
            a_key_is_registered_once
            a_key_is_deleted_once
            of_keys_that_become_the_default_at_once_one_does
            the_default_moves_between_keys_that_can_be_charged
            a_key_has_an_owner_even_when_it_is_deleted
            a_key_and_its_subscription_change_together
            // Sessions.
            a_session_comes_back_as_it_was_written
            a_session_is_opened_once
            a_session_is_completed_once
            what_a_checkout_begins_is_written_as_a_whole
            // Notices.
            of_fifty_notifiers_one_claims_a_notice
            a_claimed_notice_is_free_again_when_its_lease_ends
            a_mailed_notice_is_never_claimed_again
            a_notice_is_marked_as_mailed_once
            a_released_notice_can_be_claimed_at_once
            a_mixed_batch_of_claims_is_answered_in_its_order
            a_full_batch_of_notices_is_claimed
            what_is_no_event_is_never_claimed_or_mailed
            claiming_and_mailing_leave_the_event_as_it_is
        }
    };
    (@tests $empty:expr => $($behaviour:ident)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let store = ($empty)().await;
                $crate::contract::store::$behaviour(&store).await;
            }
        )+
    };
}

/// How often a contended transaction is tried.
const TRIES: u32 = 100;

/// Commits; a store that was only busy is asked again.
async fn commit(store: &impl Store, changes: &Changes) -> Result<(), Conflict> {
    for _ in 0..TRIES {
        match store.commit(changes).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Conflict(conflict)) => return Err(conflict),
            Err(CommitError::Store(error)) if error.retryable => {}
            Err(CommitError::Store(error)) => panic!("{error}"),
        }
    }
    panic!("the store was busy {TRIES} times")
}

/// Commits what must go through.
async fn write(store: &impl Store, changes: Changes) {
    assert_eq!(commit(store, &changes).await, Ok(()));
}

/// Commits what must not, and checks that a second try fares the same.
async fn conflict(store: &impl Store, changes: &Changes) -> Conflict {
    let first = commit(store, changes).await.unwrap_err();
    assert_eq!(commit(store, changes).await, Err(first.clone()), "nothing was written, so nothing is different");
    first
}

/// Commits at once, and answers in the same order.
async fn race(store: &impl Store, all: &[Changes]) -> Vec<Result<(), Conflict>> {
    join_all(all.iter().map(|changes| commit(store, changes))).await
}

/// The pages of a listing, to its end.
async fn pages<T>(mut next: impl AsyncFnMut(Option<&Cursor>) -> Page<T>) -> Vec<Page<T>> {
    let mut pages: Vec<Page<T>> = Vec::new();
    loop {
        let after = pages.last().and_then(|page| page.next.clone());
        let page = next(after.as_ref()).await;
        let ends = page.next.is_none();
        pages.push(page);
        assert!(pages.len() < 10_000, "a listing without end");
        if ends {
            return pages;
        }
    }
}

/// The lines of a month's books, shard after shard.
async fn lines_of(store: &impl Store, month: Period, from: Timestamp, until: Timestamp) -> Vec<BookLine> {
    let mut lines = Vec::new();
    for shard in 0..BOOKS_SHARDS {
        lines.extend(rows(async |after| store.book_lines(month, shard, from, until, after).await.unwrap()).await);
    }
    lines
}

/// The rows of a listing.
async fn rows<T>(next: impl AsyncFnMut(Option<&Cursor>) -> Page<T>) -> Vec<T> {
    pages(next).await.into_iter().flat_map(|page| page.items).collect()
}
