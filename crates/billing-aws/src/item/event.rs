//! `Events`: PK `subject`, SK `id`.

use super::{Field, Millis, Row};
use crate::tables::Table;
use billing_core::event::{Cause, Event, EventKind};
use billing_core::notice::Notice;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventRow {
    subject: String,
    id: String,
    at: Millis,
    kind: EventKind,
    cause: String,
    before: Option<String>,
    after: Option<String>,
    detail: Option<String>,
    notice: Option<Notice>,
}

impl Row for EventRow {
    type Core = Event;
    const TABLE: Table = Table::Events;

    fn of(core: &Event) -> Self {
        let event = core.clone();
        Self {
            subject: event.subject,
            id: event.id,
            at: Millis(event.at),
            kind: event.kind,
            cause: event.cause.to_string(),
            before: event.before,
            after: event.after,
            detail: event.detail,
            notice: event.notice,
        }
    }

    fn into_core(self) -> Result<Event, Field> {
        Ok(Event {
            subject: self.subject,
            id: self.id,
            at: self.at.0,
            kind: self.kind,
            cause: Cause::parse(&self.cause),
            before: self.before,
            after: self.after,
            detail: self.detail,
            notice: self.notice,
        })
    }
}

/// What the notifiers write on an event's row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimRow {
    /// There once its mail was sent.
    pub(crate) mailed_at: Option<Millis>,
    /// There while a notifier has it.
    pub(crate) mail_lease_until: Option<Millis>,
}
