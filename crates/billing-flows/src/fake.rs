//! In-memory, fault-injecting versions of every port, for tests. They are cheap to clone; clones share what they hold.
//!
//! Every asynchronous method yields to the executor once before it acts and once after, so that concurrent callers interleave as they
//! would over a network, and a test that drops a future between two polls is a crash between two requests.
//!
//! [`MemoryStore`] is held to the same promises as the real tables by [`crate::contract::store`].

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

mod clock;
mod faults;
mod gateway;
mod kept;
mod mailer;
mod pages;
mod queue;
mod recorder;
mod store;

pub use clock::ManualClock;
pub use faults::{Call, Fault, Faults};
pub use gateway::{Approval, AskFault, Behaviour, Cancel, CancelBehaviour, Charge, ScriptedGateway};
pub use mailer::{MemoryMailer, SentMail};
pub use queue::{MemoryQueue, QueueMessage};
pub use recorder::Recorder;
pub use store::{MemoryStore, ROWS_PER_PAGE, Written};

/// Locks; a test that failed while it held the lock has said so itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An await point: lets every other task go first, once.
async fn breathe() {
    let mut waited = false;
    poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
