//! Cases that are no channels: they have nothing to hand over, and are only ready or not.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, Waker};

use super::run::{Arm, Chosen, Registered, Standing};
use crate::io::{Source, WaitKey};
use crate::task::CancelToken;
use crate::wait::{Selection, Waiter};

/// A handle whose task can be waited for by a selection: those of [`spawn`](crate::spawn()) and of
/// scopes. Not for others to implement.
pub trait Joinable: sealed::Joinable {}

pub(crate) mod sealed {
    use crate::sync::select::Registered;

    pub trait Joinable {
        /// Whether the task has ended; waits for the few instructions that may be left.
        #[doc(hidden)]
        fn has_ended(&self) -> bool;

        /// Whether it is about to.
        #[doc(hidden)]
        fn is_ending(&self) -> bool;

        /// Has the caller woken when it ends. One at a time.
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn watch(&self) -> Registered<'_>;
    }
}

/// The end of a task.
pub(super) struct Join<'a> {
    pub(super) handle: &'a dyn sealed::Joinable,
    /// Whether a selection waits for it: a handle has room for one who waits.
    pub(super) in_use: Cell<bool>,
}

/// It is told of the end for as long as this lives.
struct Watch<'a> {
    _handle: Registered<'a>,
    in_use: &'a Cell<bool>,
}

impl Arm for Join<'_> {
    fn try_choose(&self) -> Option<Chosen> {
        self.handle.has_ended().then_some(Chosen::Ready)
    }

    fn is_ready(&self) -> bool {
        self.handle.is_ending()
    }

    fn only_wakes(&self) -> bool {
        true
    }

    fn register<'a>(&'a self, _: &'a Selection, _: usize, _: bool) -> Registered<'a> {
        assert!(!self.in_use.replace(true), "two selections wait for one handle");
        let watch = Watch { _handle: self.handle.watch(), in_use: &self.in_use };
        Registered::new(watch, self.is_ready())
    }
}

impl Standing for Watch<'_> {
    fn synchronise(&self) {}

    fn accept(self: Box<Self>) -> Option<Chosen> {
        unreachable!("nobody chooses it")
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.in_use.set(false);
    }
}

impl Arm for CancelToken {
    fn try_choose(&self) -> Option<Chosen> {
        self.is_ready().then_some(Chosen::Ready)
    }

    fn is_ready(&self) -> bool {
        self.is_cancelled()
    }

    fn register<'a>(&'a self, selection: &'a Selection, case: usize, _: bool) -> Registered<'a> {
        let place = self.waiters().register(selection, case);
        Registered::new(Told(place), self.is_ready())
    }
}

/// In a queue whose waiters are all told, so that no wake is for one alone.
struct Told<'a>(crate::wait::Standing<'a>);

impl Standing for Told<'_> {
    fn synchronise(&self) {
        self.0.synchronise();
    }

    fn accept(self: Box<Self>) -> Option<Chosen> {
        Some(Chosen::Ready)
    }
}

/// The readiness of a source.
pub(super) struct Readiness<'a, T: AsFd> {
    source: &'a Source<T>,
    writes: bool,
    error: RefCell<Option<io::Error>>,
}

impl<'a, T: AsFd> Readiness<'a, T> {
    pub(super) fn new(source: &'a Source<T>, writes: bool) -> Self {
        Self { source, writes, error: RefCell::new(None) }
    }

    fn poll(&self, waker: &Waker, key: &mut WaitKey) -> bool {
        let cx = &mut Context::from_waker(waker);
        let poll = match self.writes {
            true => self.source.poll_writable(cx, key),
            false => self.source.poll_readable(cx, key),
        };
        if let Poll::Ready(Err(error)) = poll {
            *self.error.borrow_mut() = Some(error);
            return true;
        }
        poll.is_ready()
    }
}

impl<T: AsFd> Arm for Readiness<'_, T> {
    fn try_choose(&self) -> Option<Chosen> {
        self.is_ready().then_some(Chosen::Ready)
    }

    /// By asking the kernel: what the netpoller knows is a hint.
    fn is_ready(&self) -> bool {
        if self.error.borrow().is_some() {
            return true;
        }
        match self.source.is_ready_now(self.writes) {
            Ok(is_ready) => is_ready,
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                true
            }
        }
    }

    fn only_wakes(&self) -> bool {
        true
    }

    fn register<'a>(&'a self, _: &'a Selection, _: usize, _: bool) -> Registered<'a> {
        let mut key = WaitKey::new();
        let is_ready = self.poll(&Waiter::current().into_waker(), &mut key);
        Registered::new(Key(key), is_ready)
    }

    fn take_error(&self) -> Option<io::Error> {
        self.error.borrow_mut().take()
    }
}

/// A place in a source's queue, which passes a wake on when it leaves.
struct Key(#[expect(dead_code, reason = "kept until it is dropped")] WaitKey);

impl Standing for Key {
    fn synchronise(&self) {}

    fn accept(self: Box<Self>) -> Option<Chosen> {
        unreachable!("nobody chooses it")
    }
}
