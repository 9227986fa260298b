//! An input, taken apart.

use std::cell::LazyCell;
use std::future::Future;
use tokio::runtime::{Builder, Runtime};

/// The bytes of one input. Choices come first, a byte each, so that what follows them can be JSON or text as it really arrives.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One of several things. The seeds choose by digit.
    pub(crate) fn choose<T: Copy>(&mut self, of: &[T]) -> T {
        let byte = self.0.split_off_first().copied().unwrap_or(b'0');
        of[usize::from(byte.wrapping_sub(b'0')) % of.len()]
    }

    /// Everything to the next line feed.
    pub(crate) fn line(&mut self) -> &'a [u8] {
        let mut parts = self.0.splitn(2, |byte| *byte == b'\n');
        let line = parts.next().unwrap_or_default();
        self.0 = parts.next().unwrap_or_default();
        line
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

thread_local! {
    static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| Builder::new_current_thread().enable_all().build().unwrap());
}

/// Runs a future to its end, always on the same runtime, so that connections outlive an input.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}
