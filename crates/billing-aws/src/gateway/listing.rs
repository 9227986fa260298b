//! The payments of a span of time, page by page.
//!
//! `GET /payments` by pages, sorted by the time of the request: `PortOne` keeps it stable, which it does not promise of the list by cursor.
//! It goes 60,000 payments deep; beyond that the list begins anew where it stands, so that **a payment may be told twice**.

use super::seen;
use billing_core::Timestamp;
use billing_flows::ports::{AskError, Cursor, Page, PaymentSeen};
use portone::{PageRequest, Paged, Payment, PaymentQuery, PaymentSort, PaymentTime, SortOrder};

/// Some 4 KB each: a page is far below what the client reads at most.
const SIZE: u16 = 500;

/// `PortOne`: `(number + 1) × size` may not pass this.
const DEPTH: u64 = 60_000;

/// Where a listing stands: `from` in epoch milliseconds, and the page after it.
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
            timestamp_type: Some(PaymentTime::CreatedAt),
            from: Some(self.from),
            until: Some(until),
            sort_by: Some(PaymentSort::RequestedAt),
            sort_order: Some(SortOrder::Asc),
            ..PaymentQuery::default()
        }
    }

    pub(super) fn page(self, answer: &Paged<Payment>, until: Timestamp) -> Page<PaymentSeen> {
        let size = u64::from(SIZE);
        let read = u64::from(self.page).saturating_add(1).saturating_mul(size);
        let is_last = answer.items.is_empty() || read >= answer.page.total_count;
        let last = answer.items.last().and_then(|payment| payment.requested_at).filter(|at| *at > self.from);
        let next = match last {
            _ if is_last => None,
            Some(at) if read.saturating_add(size) > DEPTH => Some(Self { from: at, page: 0 }),
            _ => Some(Self { page: self.page.saturating_add(1), ..self }),
        };
        let items = answer.items.iter().filter(|payment| payment.requested_at.is_none_or(|at| at < until));
        let items = items.filter_map(|payment| {
            let read = seen::payment(payment);
            read.inspect_err(|error| tracing::warn!(%error, "a payment is left out of a list")).ok()
        });
        Page { items: items.collect(), next: next.map(Self::cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn answer(requested_at: i64, total_count: u64) -> Paged<Payment> {
        let payment = serde_json::json!({
            "id": "inv1", "transactionId": "t", "storeId": "s", "status": "READY", "currency": "KRW",
            "amount": { "total": 1, "taxFree": 0, "paid": 0, "cancelled": 0 }, "requestedAt": at(requested_at).to_string(),
        });
        let page =
            serde_json::json!({ "items": [payment], "page": { "number": 0, "size": SIZE, "totalCount": total_count } });
        serde_json::from_value(page).unwrap()
    }

    #[test]
    fn a_list_goes_on_until_all_is_read() {
        let place = Place::of(at(0), None).unwrap();
        let page = place.page(&answer(7, 501), at(100));
        assert_eq!((page.items.len(), page.next.clone()), (1, Some(Cursor("0-1".to_owned()))));
        let place = Place::of(at(0), page.next.as_ref()).unwrap();
        assert_eq!(place.page(&answer(8, 501), at(100)).next, None);
    }

    #[test]
    fn a_list_deeper_than_portone_goes_begins_anew_where_it_stands() {
        let page = Place { from: at(0), page: 119 }.page(&answer(7, 90_000), at(100));
        assert_eq!(page.next, Some(Cursor("7000-0".to_owned())));
    }

    #[test]
    fn what_was_requested_at_the_end_belongs_to_the_next_span() {
        assert!(Place { from: at(0), page: 0 }.page(&answer(100, 1), at(100)).items.is_empty());
    }

    #[test]
    fn a_malformed_cursor_is_refused() {
        for wrong in ["", "x", "1", "1-x", "-1", "99999999999999999-0"] {
            assert!(Place::of(at(0), Some(&Cursor(wrong.to_owned()))).is_err(), "{wrong}");
        }
    }
}
