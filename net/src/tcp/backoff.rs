//! What `accept` does when the process or the system has run out of something.
//!
//! The error is returned, as std returns it, and most callers try again at once; the connection is
//! still in the queue, so they would spin. The next `accept` therefore waits: 1 ms at first, twice
//! as long after each further failure, up to a second. A success forgets it all. Acceptors that
//! fail before that wait is over have met one and the same shortage, which counts once.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(1);

/// See the module. One for each listener.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<Option<Pause>>);

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Backoff {
    /// Waits until another `accept` makes sense.
    pub(super) fn wait(&self) {
        // Copied out in a statement of its own: a guard in `if let` would be held over the sleep.
        let pause = *self.lock();
        if let Some(Pause { until, .. }) = pause {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                sedge_runtime::time::sleep(left);
            }
        }
    }

    /// Notes how an `accept` ended.
    pub(super) fn note<R>(&self, result: &io::Result<R>) {
        match result {
            Ok(_) => *self.lock() = None,
            Err(e) if is_shortage(e) => self.note_shortage(Instant::now()),
            Err(_) => {}
        }
    }

    fn note_shortage(&self, now: Instant) {
        let mut pause = self.lock();
        let length = match *pause {
            None => FIRST,
            Some(Pause { until, .. }) if now < until => return,
            Some(Pause { length, .. }) => (length * 2).min(LONGEST),
        };
        *pause = Some(Pause { until: now + length, length });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pause>> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_shortage(e: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(errno: rustix::io::Errno) -> io::Result<()> {
        Err(errno.into())
    }

    #[test]
    fn it_grows_to_a_second_and_a_success_ends_it() {
        let backoff = Backoff::default();
        let length = || backoff.lock().map(|pause| pause.length.as_millis());
        backoff.note(&failure(rustix::io::Errno::CONNABORTED));
        assert_eq!(length(), None);
        backoff.note(&failure(rustix::io::Errno::MFILE));
        assert_eq!(length(), Some(1));
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000] {
            let until = backoff.lock().unwrap().until;
            backoff.note_shortage(until);
            assert_eq!(length(), Some(expected));
        }
        backoff.note(&failure(rustix::io::Errno::CONNABORTED));
        assert_eq!(length(), Some(1000));
        backoff.note(&Ok(()));
        assert_eq!(length(), None);
    }

    /// Sixteen acceptors fail at once, wait, and fail again: that is two failures, not 32.
    #[test]
    fn one_shortage_that_many_acceptors_see_counts_once() {
        let backoff = Backoff::default();
        let mut now = Instant::now();
        for expected in [1, 2, 4] {
            for late_us in 0..16 {
                backoff.note_shortage(now + Duration::from_micros(late_us));
            }
            let pause = backoff.lock().unwrap();
            assert_eq!(pause.length.as_millis(), expected);
            assert_eq!(pause.until, now + pause.length);
            now = pause.until;
        }
    }

    /// A lock that is held while a task parks would block the worker's thread at the second
    /// acceptor, and so the first one too.
    #[test]
    fn acceptors_of_one_worker_wait_together() {
        const ACCEPTORS: usize = 4;
        let (told, done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = sedge_runtime::runtime::Builder::new().workers(1).build().unwrap();
            let backoff = std::sync::Arc::new(Backoff::default());
            for _ in 0..4 {
                let until = backoff.lock().map_or_else(Instant::now, |pause| pause.until);
                backoff.note_shortage(until + Duration::from_millis(20));
                let acceptors: Vec<_> = (0..ACCEPTORS)
                    .map(|_| {
                        let backoff = backoff.clone();
                        runtime.spawn(move || backoff.wait())
                    })
                    .collect();
                for acceptor in acceptors {
                    acceptor.join().unwrap();
                    told.send(()).unwrap();
                }
            }
        });
        for _ in 0..4 * ACCEPTORS {
            done.recv_timeout(Duration::from_secs(20)).expect("hung: one keeps the others' worker");
        }
    }

    #[test]
    fn the_next_accept_waits() {
        let backoff = Backoff::default();
        backoff.note(&failure(rustix::io::Errno::NFILE));
        let until = backoff.lock().unwrap().until;
        backoff.wait();
        assert!(Instant::now() >= until);
    }
}
