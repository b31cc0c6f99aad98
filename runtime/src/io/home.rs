//! The one place where the netpoller asks who is calling.

use std::io;
use std::sync::Arc;

use super::poller::Poller;

/// Calls `f` with the poller of the worker that runs the calling task; with `None` on a plain
/// thread and inside `no_park`.
pub(super) fn with_current<R>(f: impl FnOnce(Option<&Arc<Poller>>) -> R) -> R {
    #[cfg(test)]
    if let Some(poller) = pretend::current() {
        return f(Some(&poller));
    }
    let poller = crate::context::with_parkable(|worker, _| worker.poller().clone());
    f(poller.as_ref())
}

/// The same; where there is none, with one of the default runtime's, which starts now if it has
/// not.
pub(super) fn with_any<R>(f: impl FnOnce(&Arc<Poller>) -> io::Result<R>) -> io::Result<R> {
    with_current(|here| match here {
        Some(here) => f(here),
        None => f(&crate::runtime::default()?.remote(0).poller()?),
    })
}

/// Lets the tests of this module wait as a worker's task does, on a plain thread, while another
/// thread polls.
#[cfg(test)]
pub(super) mod pretend {
    use std::collections::HashMap;
    use std::sync::{Arc, LazyLock};
    use std::thread::{self, ThreadId};

    use parking_lot::Mutex;

    use super::Poller;

    static POLLERS: LazyLock<Mutex<HashMap<ThreadId, Arc<Poller>>>> = LazyLock::new(Mutex::default);

    pub(super) fn current() -> Option<Arc<Poller>> {
        POLLERS.lock().get(&thread::current().id()).cloned()
    }

    /// From now on, waits of this thread rely on `poller`.
    pub(in crate::io) fn set(poller: &Arc<Poller>) {
        POLLERS.lock().insert(thread::current().id(), Arc::clone(poller));
    }
}
