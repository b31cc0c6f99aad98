//! What a socket's owner has set, and the kernel does not keep for us: whether calls wait, and for
//! how long.
//!
//! The kernel keeps all three in the open file, which clones share. So do these, among the clones
//! that [`try_clone`](super::TcpStream::try_clone) makes. A setting is made in the kernel too, so
//! that it survives a conversion to std's type; a conversion from std's type asks the kernel. Only
//! duplicates that are made behind the type's back (`as_fd().try_clone_to_owned()`) go their own
//! way from then on.
//!
//! Most sockets never have a setting, and then this is an empty cell and the default.
//!
//! The atomics are Relaxed: each is a value by itself and publishes nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Settings(OnceLock<Arc<Values>>);

#[derive(Debug, Default)]
struct Values {
    nonblocking: AtomicBool,
    read_timeout: Timeout,
    write_timeout: Timeout,
}

/// Nanoseconds; zero is none.
#[derive(Debug, Default)]
struct Timeout(AtomicU64);

impl Timeout {
    fn load(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }

    fn store(&self, timeout: Option<Duration>) {
        // What does not fit is 584 years.
        let ns = timeout.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(ns, Ordering::Relaxed);
    }
}

impl Settings {
    fn values(&self) -> &Arc<Values> {
        self.0.get_or_init(Arc::default)
    }

    /// For a clone of the socket: what is set on either holds for both.
    pub(super) fn share(&self) -> Self {
        Self(OnceLock::from(Arc::clone(self.values())))
    }

    /// Whether a call returns `WouldBlock` where it would have to wait.
    #[inline]
    pub(super) fn nonblocking(&self) -> bool {
        self.0.get().is_some_and(|values| values.nonblocking.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn read_timeout(&self) -> Option<Duration> {
        self.0.get()?.read_timeout.load()
    }

    #[inline]
    pub(super) fn write_timeout(&self) -> Option<Duration> {
        self.0.get()?.write_timeout.load()
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        if nonblocking != self.nonblocking() {
            self.values().nonblocking.store(nonblocking, Ordering::Relaxed);
        }
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) {
        if timeout != self.read_timeout() {
            self.values().read_timeout.store(timeout);
        }
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) {
        if timeout != self.write_timeout() {
            self.values().write_timeout.store(timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share() {
        let one = Settings::default();
        one.set_nonblocking(false);
        one.set_read_timeout(None);
        assert!(one.0.get().is_none(), "the defaults cost nothing");
        let two = one.share();
        one.set_nonblocking(true);
        one.set_read_timeout(Some(Duration::from_nanos(1)));
        two.set_write_timeout(Some(Duration::MAX));
        assert!(two.nonblocking());
        assert_eq!(two.read_timeout(), Some(Duration::from_nanos(1)));
        assert_eq!(one.write_timeout(), Some(Duration::from_nanos(u64::MAX)));
        two.set_write_timeout(None);
        assert_eq!(one.write_timeout(), None);
    }
}
