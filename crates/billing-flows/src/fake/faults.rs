//! Failures on order.

use super::lock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// One call of a fake's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The method, by its name in the trait.
    pub method: &'static str,
    /// Which call of this method, from 1.
    pub number: u64,
    /// Which call of any method, from 1.
    pub of_all: u64,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It fails before anything was done; trying again may help.
    Before,
    /// It is done, but the answer is lost: the caller sees the same error as for [`Fault::Before`].
    After,
    /// It is refused for good, and nothing was done.
    Refused,
    /// It is done, but the answer says that it was refused for good.
    RefusedAfter,
}

impl Fault {
    /// Whether the call does what it is for.
    pub(super) fn is_applied(self) -> bool {
        match self {
            Self::None | Self::After | Self::RefusedAfter => true,
            Self::Before | Self::Refused => false,
        }
    }

    /// Whether the caller sees an error, and if so whether it is told to try again.
    pub(super) fn retryable(self) -> Option<bool> {
        match self {
            Self::None => None,
            Self::Before | Self::After => Some(true),
            Self::Refused | Self::RefusedAfter => Some(false),
        }
    }
}

type Rule = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

#[derive(Default)]
struct Inner {
    planned: BTreeMap<(&'static str, u64), Fault>,
    rule: Option<Rule>,
    requests: BTreeMap<&'static str, u64>,
    total: u64,
}

/// Decides about every call of a fake, and counts them.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = lock(&self.0);
        f.debug_struct("Faults")
            .field("planned", &inner.planned)
            .field("requests", &inner.requests)
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// Plans a fault for the call `number` of `method`, counted from 1 since the fake was made.
    pub fn on(&self, method: &'static str, number: u64, fault: Fault) {
        lock(&self.0).planned.insert((method, number), fault);
    }

    /// Plans a fault for the next call of `method`.
    pub fn next(&self, method: &'static str, fault: Fault) {
        let mut inner = lock(&self.0);
        let number = inner.requests.get(method).copied().unwrap_or(0) + 1;
        inner.planned.insert((method, number), fault);
    }

    /// Lets a rule decide about every call that no fault is planned for. It is asked just before the call acts and while nothing is locked,
    /// so it may also change the fake: what somebody else did a moment before.
    pub fn by(&self, rule: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        lock(&self.0).rule = Some(Arc::new(rule));
    }

    /// Ends all faults. The counts stay.
    pub fn clear(&self) {
        let mut inner = lock(&self.0);
        inner.planned.clear();
        inner.rule = None;
    }

    /// How often each method was called.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).requests.clone()
    }

    /// Counts a call and decides about it.
    pub(super) fn take(&self, method: &'static str) -> Fault {
        let (call, planned, rule) = {
            let mut inner = lock(&self.0);
            inner.total += 1;
            let count = inner.requests.entry(method).or_default();
            *count += 1;
            let call = Call { method, number: *count, of_all: inner.total };
            (call, inner.planned.remove(&(method, call.number)), inner.rule.clone())
        };
        planned.unwrap_or_else(|| rule.map_or(Fault::None, |rule| rule(&call)))
    }
}
