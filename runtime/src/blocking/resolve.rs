//! Name resolution, which a caller may abandon.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::Location;
use std::sync::{Arc, OnceLock};

use super::job::Job;
use super::lane::Lane;
use crate::{context, wait};

/// The addresses of `host`, with `port`, in the order in which to try them.
///
/// For the net crate, which handles address literals itself: they need no look-up. Look-ups run in
/// their own lane of the pool, so that slow name servers do not keep files waiting, nor the
/// reverse.
///
/// # Blocking
///
/// Parks the task while a pool thread is in `getaddrinfo`. Outside tasks, and inside `no_park`,
/// blocks the thread.
///
/// # Cancellation
///
/// A cancellation, or a timeout, ends the wait at once. The look-up goes on, on its thread, and
/// what it finds is dropped.
///
/// # Errors
///
/// Those of [`ToSocketAddrs`]: the kinds are not specified there. In a task that is being
/// cancelled, an error at once in place of a look-up.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let addrs = sedge_runtime::blocking::resolve("localhost", 80)?;
/// assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let caller = Location::caller();
    wait::checkpoint();
    let pool = context::with_parkable(|worker, _| worker.shared().pool.clone());
    let Some(pool) = pool else { return look_up(host, port) };
    if let Some(refusal) = wait::refusal() {
        return Err(refusal);
    }
    resolve_on(&pool.resolve, caller, host, port)
}

/// Looks up on a thread of `lane`, and waits, unless cancelled.
fn resolve_on(
    lane: &Arc<Lane>,
    caller: &'static Location<'static>,
    host: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    let found = Arc::new(OnceLock::new());
    let (job, done) = Job::owned(caller, {
        let (host, found) = (host.to_owned(), found.clone());
        move || {
            let _ = found.set(look_up(&host, port));
        }
    });
    // A job that comes back is dropped, which finishes it.
    drop(lane.submit(job));
    done.wait_unless_refused()?;
    // The thread is done with it, and so this is the last reference, unless nobody looked up.
    Arc::into_inner(found).and_then(OnceLock::into_inner).unwrap_or_else(|| look_up(host, port))
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::pool::RESOLVE_THREADS;
    use crate::blocking::tests::lane;

    #[test]
    fn looks_up_on_its_lane() {
        let lane = lane(2);
        let addrs = resolve_on(&lane, Location::caller(), "localhost", 7).unwrap();
        assert!(!addrs.is_empty());
        assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 7));
        assert_eq!(lane.stats().done, 1);
    }

    #[test]
    fn errors_come_back() {
        assert!(resolve_on(&lane(1), Location::caller(), "no such name", 7).is_err());
    }

    #[test]
    fn looks_up_inline_where_there_is_no_thread() {
        let lane = lane(1);
        lane.close();
        assert!(resolve_on(&lane, Location::caller(), "localhost", 7).is_ok());
        assert_eq!(lane.stats().done, 0);
    }

    /// Keeps every thread of the calling task's lane until `gate` opens.
    fn hold_up_the_lane(gate: &Arc<std::sync::Barrier>) {
        let pool = context::with_parkable(|worker, _| worker.shared().pool.clone());
        let lane = &pool.expect("a task").resolve;
        for _ in 0..lane.stats().threads_max {
            let gate = gate.clone();
            let hold = move || {
                gate.wait();
            };
            assert!(lane.submit(Job::owned(Location::caller(), hold).0).is_ok());
        }
    }

    #[test]
    fn a_cancelled_task_abandons_its_look_up() {
        // Holds up the lane until the end of the test.
        let gate = Arc::new(std::sync::Barrier::new(RESOLVE_THREADS + 1));
        let task = crate::run(|| {
            hold_up_the_lane(&gate);
            let task = crate::spawn(|| resolve("localhost", 7));
            crate::task::yield_now();
            task
        });
        assert!(task.join().unwrap_err().is::<crate::task::Cancelled>());
        gate.wait();
    }

    /// The unwind is a panic's, and the cancellation comes when a destructor waits already.
    #[test]
    fn a_cancellation_abandons_a_look_up_in_mid_unwind() {
        struct LookUp(Arc<OnceLock<io::ErrorKind>>);

        impl Drop for LookUp {
            fn drop(&mut self) {
                if let Err(error) = resolve("localhost", 7) {
                    self.0.set(error.kind()).expect("it is dropped once");
                }
            }
        }

        // Holds up the lane until the end of the test.
        let gate = Arc::new(std::sync::Barrier::new(RESOLVE_THREADS + 1));
        let refused = Arc::new(OnceLock::new());
        let runtime = crate::runtime::Builder::new().workers(1).build().unwrap();
        let task = runtime.spawn({
            let (gate, refused) = (gate.clone(), refused.clone());
            move || {
                hold_up_the_lane(&gate);
                let _look_up = LookUp(refused);
                std::panic::resume_unwind(Box::new("on its way out"));
            }
        });
        // The one worker runs another task: the first has parked.
        runtime.spawn(|| ()).join().unwrap();
        let abandoned = runtime.shutdown_timeout(std::time::Duration::from_secs(30));
        assert_eq!(abandoned, 0, "tasks were abandoned");
        assert_eq!(refused.get(), Some(&io::ErrorKind::Other));
        assert!(!task.join().unwrap_err().is::<crate::task::Cancelled>());
        gate.wait();
    }
}
