//! A mail service that remembers.

use super::{Faults, breathe, lock};
use crate::mail::Mail;
use crate::ports::{MailError, Mailer};
use billing_core::event::EventKey;
use billing_core::private::Private;
use std::sync::{Arc, Mutex};

/// A mail that reached its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    /// The address.
    pub to: Private,
    /// The mail.
    pub mail: Mail,
    /// The event it was made from.
    pub event: EventKey,
}

/// Keeps every mail. Its one method is `send`; all of [`super::Fault`] can happen to it.
#[derive(Debug, Clone, Default)]
pub struct MemoryMailer {
    sent: Arc<Mutex<Vec<SentMail>>>,
    faults: Faults,
}

impl MemoryMailer {
    /// Its failures and its counts of requests.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every mail that was really sent, oldest first: also those whose sender was told otherwise.
    pub fn sent(&self) -> Vec<SentMail> {
        lock(&self.sent).clone()
    }
}

impl Mailer for MemoryMailer {
    async fn send(&self, to: &Private, mail: &Mail, event: &EventKey) -> Result<(), MailError> {
        breathe().await;
        let fault = self.faults.take("send");
        if fault.is_applied() {
            lock(&self.sent).push(SentMail { to: to.clone(), mail: mail.clone(), event: event.clone() });
        }
        breathe().await;
        fault
            .retryable()
            .map_or(Ok(()), |retryable| Err(MailError { detail: "a fault on order".to_owned(), retryable }))
    }
}
