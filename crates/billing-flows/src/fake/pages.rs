//! Listings in pages, as `DynamoDB` makes them.

use crate::ports::{Cursor, Page};
use billing_core::Timestamp;

/// Where a row lies in its listing: unique, and in the listing's order.
pub(super) type Position = Vec<String>;

/// A moment as a part of a [`Position`]: text that sorts as time does.
pub(super) fn sortable(at: Timestamp) -> String {
    format!("{:016}", i128::from(at.as_millisecond()) + 1_000_000_000_000_000)
}

/// A listing that is about to be cut.
pub(super) struct Listing<'a> {
    /// Which listing.
    pub name: &'static str,
    /// Of which partition.
    pub partition: &'a str,
    /// Whether the highest position comes first.
    pub descending: bool,
    /// How many rows fit.
    pub rows: usize,
}

impl Listing<'_> {
    /// Cuts the part after `after`. As in `DynamoDB`, a full part names a successor even if nothing follows; and a cursor is a position, so it
    /// stays good when the row it was taken from has gone.
    pub(super) fn page<T>(
        &self,
        rows: impl Iterator<Item = (Position, T)>,
        after: Option<&Cursor>,
    ) -> Result<Page<T>, String> {
        if self.rows == 0 {
            return Err("a page of no rows".to_owned());
        }
        let after = after.map(|cursor| self.position(cursor)).transpose()?;
        let follows = |position: &Position| match &after {
            None => true,
            Some(after) if self.descending => position < after,
            Some(after) => position > after,
        };
        let mut rows: Vec<(Position, T)> = rows.filter(|(position, _)| follows(position)).collect();
        rows.sort_by(|(a, _), (b, _)| if self.descending { b.cmp(a) } else { a.cmp(b) });
        rows.truncate(self.rows);
        let next = match rows.last() {
            Some((last, _)) if rows.len() == self.rows => Some(self.cursor(last)?),
            _ => None,
        };
        Ok(Page { items: rows.into_iter().map(|(_, row)| row).collect(), next })
    }

    fn cursor(&self, position: &Position) -> Result<Cursor, String> {
        serde_json::to_string(&(self.name, self.partition, position)).map(Cursor).map_err(|error| error.to_string())
    }

    fn position(&self, cursor: &Cursor) -> Result<Position, String> {
        let (name, partition, position): (String, String, Position) =
            serde_json::from_str(&cursor.0).map_err(|_| "a cursor that no listing gave out".to_owned())?;
        if name == self.name && partition == self.partition {
            Ok(position)
        } else {
            Err("a cursor of another listing".to_owned())
        }
    }
}
