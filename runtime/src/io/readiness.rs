//! What is known of a source's readiness: one word.
//!
//! ```text
//!  63            32 31          8 7      0
//! +----------------+-------------+--------+
//! |   generation   |    tick     | flags  |
//! +----------------+-------------+--------+
//! ```
//!
//! - *generation*: counts the sources that have had this entry of the slab. An event names the
//!   generation it was registered for, and changes nothing if that source is gone.
//! - *tick*: counts the events. A clear names the tick that was read **before** the system call
//!   that found nothing, and fails if an event has come since.
//! - *flags*: [`READ`] and [`WRITE`] say "try"; the others say what epoll has ever reported, are
//!   never cleared, and withdraw the trust in short reads and writes.
//!
//! # Invariants
//!
//! 1. While a direction's flag is clear, an event for it is still to come: either epoll has not
//!    seen it yet, or it waits in epoll to be dispatched. (A flag that is *set* promises nothing.)
//! 2. Flags are clear only while the source is registered. An unregistered source is "ready", so
//!    that the first call tries.
//!
//! Why 1 holds for a clear after `EAGAIN`: the tick was read, then the system call found nothing.
//! Data that came later made an event later. If it was dispatched before the clear, the tick has
//! moved, and the clear fails; if not, the flag will be set again.
//!
//! Why it holds after a *short* read of a TCP stream: the call emptied the queue, except where the
//! queue is cut by an out-of-band byte, or ends in FIN or an error. Those make events with `PRI`,
//! `RDHUP`, `HUP` or `ERR`. If one was dispatched before the tick was read, its flag forbids the
//! clear; if between that and the clear, the tick forbids it; if it is dispatched later, it sets
//! the flag again. A short write has met a full buffer, and the kernel owes an event when it
//! drains.
//!
//! # Memory ordering
//!
//! - [`Readiness::load`]: Acquire. Pairs with the Release of `set`: who sees a tick makes its
//!   system call after that event's data had arrived, so an `EAGAIN` or a short count speaks of
//!   what came later.
//! - [`Readiness::set`]: AcqRel. Pairs with the Acquire of `load`, see there; and with that of the
//!   clear, so that a failed clear is followed by a call that sees the data.
//! - [`Readiness::clear`]: AcqRel, Relaxed on failure. Release keeps the system call before the
//!   clear. The failure value is only compared; the caller loads again.
//! - [`Readiness::retire`]: AcqRel. Pairs with nothing: the entry goes to its next owner under the
//!   free list's lock.
//!
//! A waiter checks the flag under its queue's lock, and who sets the flag wakes under that lock
//! afterwards: a waiter either sees the flag or is in the queue when the wake comes.
//!
//! The tick wraps after 2^24 events. A clear is wrong only if exactly a multiple of that many
//! events of one source were dispatched during one system call; the generation wraps after 2^32
//! uses of one entry, and then only matters to an event that has waited in epoll for as long.

use std::fmt;

use crate::primitive::{AtomicUsize, Ordering};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("Sedge needs a 64-bit target: its readiness word is 64 bits wide");

const READ: usize = 1;
const WRITE: usize = 1 << 1;
const PRI: usize = 1 << 2;
const RDHUP: usize = 1 << 3;
const HUP: usize = 1 << 4;
const ERR: usize = 1 << 5;

const TICK_SHIFT: u32 = 8;
const TICK_MASK: usize = 0xff_ffff << TICK_SHIFT;
const GENERATION_SHIFT: u32 = 32;

/// One of the two directions in which a source is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    const fn flag(self) -> usize {
        match self {
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }

    /// What `poll(2)` calls this direction.
    pub(super) const fn poll_bits(self) -> i16 {
        match self {
            Self::Read => libc::POLLIN | libc::POLLRDHUP,
            Self::Write => libc::POLLOUT,
        }
    }
}

/// The word as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(usize);

impl Snapshot {
    /// Of a source that never waited: try, and trust no short count.
    pub(super) const UNREGISTERED: Self = Self(READ | WRITE | ERR);

    pub(super) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.flag() != 0
    }

    /// True if nothing was ever reported that could leave data queued behind a short read.
    pub(super) fn trusts_short_counts(self) -> bool {
        self.0 & (PRI | RDHUP | HUP | ERR) == 0
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    fn tick(self) -> usize {
        self.0 & TICK_MASK
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(usize, &str); 6] = [
            (READ, "READ"),
            (WRITE, "WRITE"),
            (PRI, "PRI"),
            (RDHUP, "RDHUP"),
            (HUP, "HUP"),
            (ERR, "ERR"),
        ];
        write!(f, "generation {} tick {}", self.generation(), self.tick() >> TICK_SHIFT)?;
        for (flag, name) in NAMES {
            if self.0 & flag != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// What an event says, in this module's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report(usize);

impl Report {
    /// Both directions are to be tried; nothing is known.
    pub(super) const TRY_BOTH: Self = Self(READ | WRITE);

    /// Decodes `EPOLL*` bits. A hang-up and an error concern both directions: reads and writes
    /// return at once then.
    pub(super) fn from_epoll(bits: u32) -> Self {
        const fn bit(epoll: i32) -> u32 {
            epoll as u32
        }
        const EITHER: u32 = bit(libc::EPOLLHUP | libc::EPOLLERR);
        const MAP: [(u32, usize); 6] = [
            (bit(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLPRI) | EITHER, READ),
            (bit(libc::EPOLLOUT) | EITHER, WRITE),
            (bit(libc::EPOLLPRI), PRI),
            (bit(libc::EPOLLRDHUP), RDHUP),
            (bit(libc::EPOLLHUP), HUP),
            (bit(libc::EPOLLERR), ERR),
        ];
        Self(MAP.iter().filter(|(epoll, _)| bits & epoll != 0).fold(0, |all, (_, flag)| all | flag))
    }

    pub(super) fn concerns(self, direction: Direction) -> bool {
        self.0 & direction.flag() != 0
    }
}

/// The word.
pub(super) struct Readiness(AtomicUsize);

impl Readiness {
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(READ | WRITE))
    }

    /// Reads the word. Precedes the system call that a later [`clear`](Self::clear) is about.
    #[inline]
    pub(super) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Adds an event's flags and moves the tick. Returns false, and changes nothing, if
    /// `generation` is not the present one: the event's source is gone.
    pub(super) fn set(&self, generation: u32, report: Report) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if Snapshot(word).generation() != generation {
                return false;
            }
            let tick = word.wrapping_add(1 << TICK_SHIFT) & TICK_MASK;
            let next = (word & !TICK_MASK) | tick | report.0;
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                // Another event, a clear, or the end of the source came between: look again.
                Err(now) => word = now,
            }
        }
    }

    /// Notes that a system call, made after `seen` was loaded, found nothing in `direction`.
    /// Returns false, and changes nothing, if an event has come since: try again.
    pub(super) fn clear(&self, seen: Snapshot, direction: Direction) -> bool {
        let mut word = seen.0;
        loop {
            let next = word & !direction.flag();
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                // The other direction was cleared, or another reader cleared this one: the tick
                // still stands, so what `seen` says still holds.
                Err(now)
                    if Snapshot(now).tick() == seen.tick()
                        && Snapshot(now).generation() == seen.generation() =>
                {
                    word = now;
                }
                Err(_) => return false,
            }
        }
    }

    /// Ends the present generation: no event that was registered for it changes anything any more.
    pub(super) fn retire(&self) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let generation = Snapshot(word).generation().wrapping_add(1);
            let next = (generation as usize) << GENERATION_SHIFT | READ | WRITE;
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                // A late event moved the tick.
                Err(now) => word = now,
            }
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(all(test, not(sedge_loom)))]
mod tests {
    use super::*;

    const IN: u32 = libc::EPOLLIN as u32;

    #[test]
    fn a_clear_fails_once_an_event_came() {
        let word = Readiness::new();
        let seen = word.load();
        assert!(word.set(0, Report::from_epoll(IN)));
        assert!(!word.clear(seen, Direction::Read));
        assert!(word.load().is_ready(Direction::Read));
        assert!(word.clear(word.load(), Direction::Read));
        assert!(!word.load().is_ready(Direction::Read));
        assert!(word.load().is_ready(Direction::Write));
    }

    #[test]
    fn the_directions_clear_independently() {
        let word = Readiness::new();
        let seen = word.load();
        assert!(word.clear(seen, Direction::Read));
        assert!(word.clear(seen, Direction::Write));
        assert!(word.clear(seen, Direction::Write));
    }

    #[test]
    fn an_event_of_an_earlier_generation_finds_nobody() {
        let word = Readiness::new();
        word.retire();
        let seen = word.load();
        assert_eq!(seen.generation(), 1);
        assert!(!word.set(0, Report::from_epoll(IN)));
        assert_eq!(word.load(), seen);
    }

    #[test]
    fn the_tick_wraps_into_nothing_else() {
        let word = Readiness(AtomicUsize::new(7 << GENERATION_SHIFT | TICK_MASK | WRITE));
        assert!(word.set(7, Report::from_epoll(IN)));
        assert_eq!(word.load(), Snapshot(7 << GENERATION_SHIFT | READ | WRITE));
    }

    #[test]
    fn what_withdraws_trust() {
        for bits in [libc::EPOLLPRI, libc::EPOLLRDHUP, libc::EPOLLHUP, libc::EPOLLERR] {
            let word = Readiness::new();
            assert!(word.load().trusts_short_counts());
            word.set(0, Report::from_epoll(bits as u32));
            assert!(!word.load().trusts_short_counts(), "{:?}", word);
            assert!(word.load().is_ready(Direction::Read));
        }
        assert!(!Snapshot::UNREGISTERED.trusts_short_counts());
        assert_eq!(format!("{:?}", Snapshot::UNREGISTERED), "generation 0 tick 0 READ WRITE ERR");
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize as LoomUsize;

    /// Data comes (the kernel's queue is `data`), then its event is dispatched; a reader that found
    /// nothing clears. Whatever the order: data is left over only under a set flag.
    #[test]
    fn a_clear_never_hides_data() {
        loom::model(|| {
            let word = Arc::new(Readiness::new());
            let data = Arc::new(LoomUsize::new(0));
            let poller = {
                let (word, data) = (word.clone(), data.clone());
                loom::thread::spawn(move || {
                    // Relaxed, as the model's kernel promises nothing by itself: what the reader
                    // learns of the data, it must learn through the word.
                    data.store(1, Ordering::Relaxed);
                    assert!(word.set(0, Report::from_epoll(libc::EPOLLIN as u32)));
                })
            };
            let mut left = true;
            for _ in 0..2 {
                let seen = word.load();
                if !seen.is_ready(Direction::Read) {
                    break;
                }
                if data.load(Ordering::Relaxed) == 1 {
                    left = false;
                    break;
                }
                word.clear(seen, Direction::Read);
            }
            poller.join().unwrap();
            assert!(!left || word.load().is_ready(Direction::Read));
        });
    }

    /// A late event against the end of the source: the next owner's word is never touched.
    #[test]
    fn a_late_event_never_reaches_the_next_owner() {
        loom::model(|| {
            let word = Arc::new(Readiness::new());
            let poller = {
                let word = word.clone();
                loom::thread::spawn(move || word.set(0, Report::from_epoll(libc::EPOLLERR as u32)))
            };
            word.retire();
            poller.join().unwrap();
            assert!(word.load().trusts_short_counts());
            assert_eq!(word.load().generation(), 1);
        });
    }
}
