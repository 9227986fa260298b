//! The mailbox: where mails end that SES would have sent.

use crate::clock::Clock;
use crate::journal::Journal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A mail, as it was handed to SES.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// The address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// The event it tells of: the mail's `event` tag.
    pub event_id: String,
    /// When it was handed over.
    pub sent_at: Timestamp,
}

/// The mailbox. Clones are the same mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    journal: Journal<Email>,
    emails: Mutex<Vec<Email>>,
}

impl Mailbox {
    /// Opens the mailbox.
    pub fn open(journal: Option<&Path>, clock: Clock) -> anyhow::Result<Self> {
        let (journal, emails) = Journal::open(journal)?;
        Ok(Self(Arc::new(Inner { clock, journal, emails: Mutex::new(emails) })))
    }

    /// Keeps a mail; answers with its number, from 1.
    pub fn deliver(&self, mail: impl FnOnce(Timestamp) -> Email) -> anyhow::Result<usize> {
        let mut emails = self.lock();
        let email = mail(self.0.clock.now());
        self.0.journal.append(&email)?;
        emails.push(email);
        Ok(emails.len())
    }

    /// The mails to an address, or all, from number `after` on.
    pub fn list(&self, to: Option<&str>, after: usize, limit: usize) -> (Vec<Email>, Option<usize>) {
        let emails = self.lock();
        let mut found = emails
            .iter()
            .enumerate()
            .skip(after)
            .filter(|(_, email)| to.is_none_or(|to| email.to.eq_ignore_ascii_case(to)));
        let page: Vec<Email> = found.by_ref().take(limit).map(|(_, email)| email.clone()).collect();
        let next = found.next().map(|(i, _)| i);
        (page, next)
    }

    /// How many mails were kept.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Email>> {
        self.0.emails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
