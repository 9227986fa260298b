//! When an invoice that waits for a method is given up.

use super::*;

#[test]
fn a_method_is_waited_for_at_least_to_the_morning_after_the_decline() {
    // The last rung has come: a wait that were counted from the first decline would be over already.
    let books = under_way().learn(&soft(1), NOON).attempt(DEADLINE).learn(&hard(2), DEADLINE);
    let next_morning = "2026-12-07T10:00:00+09:00";
    assert_eq!(books.subscription.due_at(), Some(at(next_morning)), "what the mail says");
    assert!(give_up_at(&books, "2026-12-07T09:59:59+09:00").is_none());
    assert!(give_up_at(&books, next_morning).is_some());
}
