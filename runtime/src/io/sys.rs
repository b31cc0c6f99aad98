//! The system calls of the netpoller, and nothing else: safe signatures, no policy.
//!
//! libc and not rustix, although rustix needs no `unsafe` here: rustix chooses `epoll_pwait2` or
//! the millisecond call when it is *compiled* (a feature, which any crate in a user's program may
//! turn on for all), and this module must fall back when it *runs*.
#![expect(unsafe_code, reason = "calls epoll, eventfd, poll and fcntl")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is a long wait for events.
const LONG: Duration = Duration::from_secs(1);

/// What epoll says of one source: its token and its `EPOLL*` bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) token: u64,
    pub(super) bits: u32,
}

/// A reusable buffer for what one [`epoll_wait`] returns.
#[derive(Debug)]
pub(crate) struct Events {
    buffer: Vec<libc::epoll_event>,
}

impl Events {
    /// Makes room for `capacity` events. What does not fit is returned by the next wait.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { buffer: Vec::with_capacity(capacity.clamp(1, 1 << 16)) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.buffer.iter().map(|event| Event { token: event.u64, bits: event.events })
    }

    pub(super) fn clear(&mut self) {
        self.buffer.clear();
    }
}

impl Default for Events {
    /// Room for 256 events: 3 KiB, and a full buffer costs one more system call in 256 events.
    fn default() -> Self {
        Self::with_capacity(256)
    }
}

/// Whether the kernel has `epoll_pwait2` (Linux 5.11) and no filter forbids it.
///
/// Relaxed: it publishes nothing, and who misses the change finds out for itself.
static HAS_PWAIT2: AtomicBool = AtomicBool::new(!cfg!(sedge_test_old_kernel));

fn cvt(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd = cvt(result)?;
    // SAFETY: the system call that returned `fd` has just made it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

pub(super) fn timerfd() -> io::Result<OwnedFd> {
    // Any kernel has them, and descriptors run out.
    if cfg!(sedge_test_old_kernel) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: takes no pointer.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
}

/// Has `timerfd` expire once, after `time`, which is not zero, instead of when it was to.
pub(super) fn timerfd_set(timerfd: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let once = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(time) };
    // SAFETY: the pointer is to an initialised value that lives across the call; null asks for no
    // old one.
    cvt(unsafe { libc::timerfd_settime(timerfd.as_raw_fd(), 0, &once, ptr::null_mut()) })?;
    Ok(())
}

/// Adds one to `eventfd`. Fails only when 2^64 - 2 additions were never read, that is never.
pub(super) fn eventfd_add_one(eventfd: BorrowedFd<'_>) {
    let one = 1u64;
    // SAFETY: the pointer is to 8 readable bytes, which live across the call.
    unsafe { libc::write(eventfd.as_raw_fd(), ptr::from_ref(&one).cast(), size_of::<u64>()) };
}

pub(super) fn epoll_add(epoll: BorrowedFd<'_>, fd: RawFd, event: Event) -> io::Result<()> {
    let mut event = libc::epoll_event { events: event.bits, u64: event.token };
    // SAFETY: the pointer is to an initialised event, which lives across the call. A wrong `fd` is
    // refused, or registers some other file: no memory is touched through it.
    cvt(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
    Ok(())
}

pub(super) fn epoll_delete(epoll: BorrowedFd<'_>, fd: RawFd) -> io::Result<()> {
    // SAFETY: the event pointer is ignored for this operation, since Linux 2.6.9.
    cvt(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, ptr::null_mut()) })?;
    Ok(())
}

/// Fills `events`, waiting for at most `timeout` (`None`: for ever). An interruption by a signal
/// counts as no event.
pub(super) fn epoll_wait(
    epoll: BorrowedFd<'_>,
    events: &mut Events,
    timeout: Option<Duration>,
) -> io::Result<()> {
    events.clear();
    let result = match timeout {
        None => wait_ms(epoll, events, -1),
        Some(Duration::ZERO) => wait_ms(epoll, events, 0),
        Some(timeout) => wait_ns(epoll, events, timeout),
    };
    match result {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}

fn wait_ms(epoll: BorrowedFd<'_>, events: &mut Events, ms: libc::c_int) -> io::Result<()> {
    let spare = events.buffer.spare_capacity_mut();
    // SAFETY: pointer and length are those of the spare capacity, which the kernel may fill.
    let n = cvt(unsafe {
        libc::epoll_wait(epoll.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len() as _, ms)
    })?;
    // SAFETY: the kernel has initialised the first `n` elements of the spare capacity of a vector
    // that was empty.
    unsafe { events.buffer.set_len(n as usize) };
    Ok(())
}

/// `epoll_pwait2`, or the same in two calls: `ppoll` on the epoll descriptor has its precision.
///
/// A long wait is one of whole milliseconds, which costs 80 ns less, and the rest another.
fn wait_ns(epoll: BorrowedFd<'_>, events: &mut Events, timeout: Duration) -> io::Result<()> {
    if timeout >= LONG {
        return wait_ms(epoll, events, timeout.as_millis().try_into().unwrap_or(libc::c_int::MAX));
    }
    if HAS_PWAIT2.load(Ordering::Relaxed) {
        match pwait2(epoll, events, timeout) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                HAS_PWAIT2.store(false, Ordering::Relaxed);
            }
            other => return other,
        }
    }
    poll_then_wait(epoll, events, timeout)
}

fn poll_then_wait(epoll: BorrowedFd<'_>, events: &mut Events, timeout: Duration) -> io::Result<()> {
    if poll(epoll, libc::POLLIN, Some(timeout))? { wait_ms(epoll, events, 0) } else { Ok(()) }
}

fn pwait2(epoll: BorrowedFd<'_>, events: &mut Events, timeout: Duration) -> io::Result<()> {
    let timeout = timespec(timeout);
    let spare = events.buffer.spare_capacity_mut();
    // By number: glibc has a wrapper only since 2.35.
    // SAFETY: pointer and length are those of the spare capacity, which the kernel may fill; the
    // timespec lives across the call; a null signal mask is allowed, and its size is then ignored.
    let n = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            spare.as_mut_ptr(),
            spare.len() as libc::c_int,
            ptr::from_ref(&timeout),
            ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    let n = cvt(n as libc::c_int)?;
    // SAFETY: the kernel has initialised the first `n` elements of the spare capacity of a vector
    // that was empty.
    unsafe { events.buffer.set_len(n as usize) };
    Ok(())
}

/// Waits until `fd` has one of the `POLL*` bits `interest` (or an error or hang-up, which count as
/// all of them), on the calling thread. Returns false when `timeout` passes first.
///
/// # Errors
/// `Interrupted` after a signal, and what `ppoll(2)` returns.
pub(super) fn poll(
    fd: BorrowedFd<'_>,
    interest: i16,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut pollfd = libc::pollfd { fd: fd.as_raw_fd(), events: interest, revents: 0 };
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: one `pollfd` lives across the call, as does the timespec if there is one; a null
    // timeout waits for ever, a null signal mask changes nothing.
    let n = cvt(unsafe { libc::ppoll(&mut pollfd, 1, timeout, ptr::null()) })?;
    Ok(n > 0)
}

pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointer.
    let flags = cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    if flags & libc::O_NONBLOCK == 0 {
        // SAFETY: takes no pointer.
        cvt(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    }
    Ok(())
}

/// `send(2)` with flags, which std lacks: for tests with out-of-band data.
#[cfg(test)]
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: pointer and length are those of the slice, which lives across the call.
    let n = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

fn timespec(duration: Duration) -> libc::timespec {
    // 68 years are for ever, and some 32-bit `time_t` hold no more.
    libc::timespec {
        tv_sec: duration.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: duration.subsec_nanos() as _,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// Both ways to wait see an event, and both come back without one.
    #[test]
    fn the_fallback_does_what_pwait2_does() {
        type Wait = fn(BorrowedFd<'_>, &mut Events, Duration) -> io::Result<()>;
        let ways: [(&str, Wait); 2] = [("pwait2", pwait2), ("fallback", poll_then_wait)];
        for (name, wait) in ways {
            let (epoll, counter) = (epoll_create().unwrap(), eventfd().unwrap());
            let bits = (libc::EPOLLIN | libc::EPOLLET) as u32;
            epoll_add(epoll.as_fd(), counter.as_raw_fd(), Event { token: 7, bits }).unwrap();
            let mut events = Events::default();
            match wait(epoll.as_fd(), &mut events, Duration::from_micros(50)) {
                Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => continue,
                done => done.unwrap(),
            }
            assert_eq!(events.iter().count(), 0, "{name}");
            for _ in 0..2 {
                eventfd_add_one(counter.as_fd());
                events.clear();
                wait(epoll.as_fd(), &mut events, Duration::from_secs(600)).unwrap();
                let tokens: Vec<_> = events.iter().map(|event| event.token).collect();
                assert_eq!(tokens, [7], "{name}: every write to an unread eventfd is an edge");
            }
        }
    }

    #[test]
    fn a_full_buffer_leaves_the_rest_for_the_next_wait() {
        let epoll = epoll_create().unwrap();
        let eventfds: Vec<_> = (0..5).map(|_| eventfd().unwrap()).collect();
        for (token, eventfd) in eventfds.iter().enumerate() {
            let bits = (libc::EPOLLIN | libc::EPOLLET) as u32;
            let event = Event { token: token as u64, bits };
            epoll_add(epoll.as_fd(), eventfd.as_raw_fd(), event).unwrap();
            eventfd_add_one(eventfd.as_fd());
        }
        let mut events = Events::with_capacity(2);
        let mut seen = Vec::new();
        for _ in 0..3 {
            epoll_wait(epoll.as_fd(), &mut events, None).unwrap();
            seen.extend(events.iter().map(|event| event.token));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn poll_times_out_and_sees_readiness() {
        let eventfd = eventfd().unwrap();
        let wait = |timeout| poll(eventfd.as_fd(), libc::POLLIN, timeout).unwrap();
        assert!(!wait(Some(Duration::ZERO)));
        assert!(!wait(Some(Duration::from_micros(50))));
        eventfd_add_one(eventfd.as_fd());
        assert!(wait(None));
        assert!(wait(Some(Duration::MAX)));
    }
}
