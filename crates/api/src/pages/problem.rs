//! The view of the pages for people for whom something else is wrong.

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The link was good, but not any more.
    SessionExpired,
    /// The link is incomplete, or its signature is not ours.
    BadLink,
    /// The billing key belongs to somebody else.
    NotYours,
    /// The registration was completed, perhaps in another window.
    AlreadyCompleted,
    /// `PortOne`, a bank or something of ours does not answer.
    Unavailable {
        /// Where to try again.
        retry_url: Option<String>,
    },
    /// There is no such page.
    NotFound,
    /// A mistake of ours.
    Internal {
        /// What support finds it by in the log.
        reference: Option<String>,
    },
}

impl Problem {
    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::SessionExpired => 410,
            Self::BadLink => 400,
            Self::NotYours => 403,
            Self::AlreadyCompleted => 409,
            Self::Unavailable { .. } => 503,
            Self::NotFound => 404,
            Self::Internal { .. } => 500,
        }
    }
}
