//! Personal data that does not print.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A customer's name, e-mail address or phone number.
///
/// `Debug` is redacted and there is no `Display`, so it cannot reach a log by accident; [`Private::expose`] is the one way to read it, and
/// the place to look for when auditing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private(String);

impl Private {
    /// Wraps a piece of personal data.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The data itself: for the wire, a table or a mail, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

#[cfg(test)]
mod tests {
    use super::Private;

    #[test]
    fn personal_data_does_not_print() {
        assert_eq!(format!("{:?}", Private::new("kim@example.com")), "[private]");
    }
}
