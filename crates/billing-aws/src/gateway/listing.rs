//! The payments of a span of time, part by part.
//!
//! By creation: `GET /payments-by-cursor`. A payment that is tried again keeps its place in it, so walking it misses none; but `PortOne` does not
//! promise to keep the operation.
//!
//! By change of status: `GET /payments`, which it does promise. Its pages are numbered, and a payment whose status changes while they are read
//! leaves its page and moves the rest up: so no page is counted on to begin where the last one ended. Each part is the first page from the last
//! moment that was told, and **what changed at that moment is told twice.**

use super::seen;
use billing_core::Timestamp;
use billing_flows::ports::{AskError, Cursor, Page, PaymentSeen};
use portone::{CursorQuery, PageRequest, Paged, Payment, PaymentQuery, PaymentSort, PaymentTime, SortOrder};

/// Some 4 KB each: a part is far below what the client reads at most.
const SIZE: u16 = 500;

/// `PortOne`: `(number + 1) × size` may not pass this.
const DEPTH: u64 = 60_000;

pub(super) fn by_creation(from: Timestamp, until: Timestamp, after: Option<&Cursor>) -> CursorQuery {
    CursorQuery {
        from: Some(from),
        until: Some(until),
        cursor: after.map(|cursor| portone::Cursor::new(cursor.0.as_str())),
        size: Some(SIZE),
    }
}

/// `PortOne` does not say whether more follows: an empty part is the end.
pub(super) fn part(answer: &[(Payment, portone::Cursor)]) -> Page<PaymentSeen> {
    Page {
        items: told(answer.iter().map(|(payment, _)| payment)),
        next: answer.last().map(|(_, cursor)| Cursor(cursor.as_str().to_owned())),
    }
}

/// Where a listing by change of status stands: a moment, and how many full pages of that very moment were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    from: Timestamp,
    page: u16,
}

impl Place {
    pub(super) fn of(from: Timestamp, after: Option<&Cursor>) -> Result<Self, AskError> {
        let Some(cursor) = after else {
            return Ok(Self { from, page: 0 });
        };
        Self::parse(&cursor.0)
            .ok_or_else(|| AskError::Unavailable("the cursor is malformed: give it back as it was received".to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (from, page) = text.split_once('-')?;
        Some(Self { from: Timestamp::from_millisecond(from.parse().ok()?).ok()?, page: page.parse().ok()? })
    }

    fn cursor(self) -> Cursor {
        Cursor(format!("{}-{}", self.from.as_millisecond(), self.page))
    }

    pub(super) fn query(self, until: Timestamp) -> PaymentQuery {
        PaymentQuery {
            page: Some(PageRequest { number: self.page, size: SIZE }),
            timestamp_type: Some(PaymentTime::StatusChangedAt),
            from: Some(self.from),
            until: Some(until),
            sort_by: Some(PaymentSort::StatusChangedAt),
            sort_order: Some(SortOrder::Asc),
            ..PaymentQuery::default()
        }
    }

    pub(super) fn page(self, answer: &Paged<Payment>) -> Result<Page<PaymentSeen>, AskError> {
        let is_last = answer.items.len() < usize::from(SIZE);
        let last = answer.items.last().and_then(|payment| payment.status_changed_at);
        // In whole milliseconds, as the cursor is: rounded down, so that nothing falls between.
        let last = last.and_then(|at| Timestamp::from_millisecond(at.as_millisecond()).ok());
        let next = match last.filter(|at| *at > self.from) {
            _ if is_last => None,
            Some(from) => Some(Self { from, page: 0 }),
            None => Some(self.deeper()?),
        };
        Ok(Page { items: told(answer.items.iter()), next: next.map(Self::cursor) })
    }

    fn deeper(self) -> Result<Self, AskError> {
        let page = self.page.saturating_add(1);
        let reach = u64::from(page).saturating_add(1).saturating_mul(u64::from(SIZE));
        if reach > DEPTH {
            let at = self.from;
            return Err(AskError::Unavailable(format!(
                "more than {DEPTH} payments changed their status at {at}, and PortOne lists no more: compare them in its console"
            )));
        }
        Ok(Self { page, ..self })
    }
}

fn told<'a>(payments: impl Iterator<Item = &'a Payment>) -> Vec<PaymentSeen> {
    let read = payments.filter_map(|payment| {
        let read = seen::payment(payment);
        read.inspect_err(|error| tracing::warn!(%error, "a payment is left out of a list")).ok()
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn payment(status_changed_at: i64) -> serde_json::Value {
        serde_json::json!({
            "id": "inv1", "transactionId": "t", "storeId": "s", "status": "READY", "currency": "KRW",
            "amount": { "total": 1, "taxFree": 0, "paid": 0, "cancelled": 0 },
            "statusChangedAt": at(status_changed_at).to_string(),
        })
    }

    /// So many payments, the last of which changed its status then.
    fn answer(count: usize, last: i64) -> Paged<Payment> {
        let page = serde_json::json!({ "number": 0, "size": SIZE, "totalCount": 90_000 });
        serde_json::from_value(serde_json::json!({ "items": vec![payment(last); count], "page": page })).unwrap()
    }

    fn next(place: &str, answer: &Paged<Payment>) -> Option<String> {
        let place = Place::of(at(0), Some(&Cursor(place.to_owned()))).unwrap();
        place.page(answer).unwrap().next.map(|next| next.0)
    }

    #[test]
    fn a_full_page_is_followed_from_its_last_moment() {
        assert_eq!(next("0-0", &answer(500, 7_000)).as_deref(), Some("7000-0"));
        assert_eq!(next("7000-3", &answer(500, 7_001)).as_deref(), Some("7001-0"));
    }

    #[test]
    fn a_page_that_is_not_full_is_the_last() {
        assert_eq!(next("0-0", &answer(499, 7_000)), None);
        assert_eq!(next("0-0", &answer(0, 0)), None);
    }

    #[test]
    fn a_page_full_of_one_moment_is_followed_by_its_next_page() {
        assert_eq!(next("7000-0", &answer(500, 7_000)).as_deref(), Some("7000-1"));
        assert_eq!(next("7000-118", &answer(500, 7_000)).as_deref(), Some("7000-119"));
    }

    #[test]
    fn a_moment_deeper_than_portone_goes_is_said_and_not_cut_short() {
        let place = Place::of(at(0), Some(&Cursor("7000-119".to_owned()))).unwrap();
        assert!(matches!(place.page(&answer(500, 7_000)), Err(AskError::Unavailable(why)) if why.contains("60000")));
    }

    #[test]
    fn a_list_by_cursor_goes_on_until_nothing_comes() {
        let payment: Payment = serde_json::from_value(payment(0)).unwrap();
        let page = part(&[(payment.clone(), portone::Cursor::new("a")), (payment, portone::Cursor::new("b"))]);
        assert_eq!((page.items.len(), page.next), (2, Some(Cursor("b".to_owned()))));
        assert_eq!(part(&[]).next, None);
    }

    #[test]
    fn a_malformed_cursor_is_refused() {
        for wrong in ["", "x", "1", "1-x", "-1", "99999999999999999-0"] {
            assert!(Place::of(at(0), Some(&Cursor(wrong.to_owned()))).is_err(), "{wrong}");
        }
    }
}
