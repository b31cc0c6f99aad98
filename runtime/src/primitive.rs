//! The atomics and locks of every modelled protocol: std's and `parking_lot`'s, or loom's under
//! `cfg(sedge_loom)`, so that the code that is modelled is the code that runs.

#[cfg(not(sedge_loom))]
mod imp {
    pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence,
    };
}

#[cfg(sedge_loom)]
mod imp {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence,
    };

    /// loom's lock under `parking_lot`'s signature.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// A queue that works as crossbeam's do, for a few messages in all.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        capacity: usize,
        head: AtomicUsize,
        tail: AtomicUsize,
        slots: [Slot<T>; 4],
    }

    #[derive(Debug)]
    struct Slot<T> {
        is_full: AtomicBool,
        value: std::sync::Mutex<Option<T>>,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            let slot = |_| Slot { is_full: AtomicBool::new(false), value: Default::default() };
            let (head, tail) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Self { capacity, head, tail, slots: std::array::from_fn(slot) }
        }

        pub(crate) fn capacity(&self) -> usize {
            self.capacity
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            let at = self.tail.fetch_add(1, Ordering::SeqCst);
            *self.slots[at].value.lock().expect("not held over a step") = Some(value);
            self.slots[at].is_full.store(true, Ordering::Release);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            let is_left = |head: usize| (head < self.len_to()).then_some(head + 1);
            let head = self.head.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_left).ok()?;
            while !self.slots[head].is_full.load(Ordering::Acquire) {
                loom::thread::yield_now();
            }
            self.slots[head].value.lock().expect("not held over a step").take()
        }

        fn len_to(&self) -> usize {
            self.tail.load(Ordering::SeqCst)
        }

        pub(crate) fn len(&self) -> usize {
            self.len_to().saturating_sub(self.head.load(Ordering::SeqCst))
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.head.load(Ordering::SeqCst) >= self.len_to()
        }
    }

    /// The same, without a bound.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T>(ArrayQueue<T>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self(ArrayQueue::new(usize::MAX))
        }

        pub(crate) fn push(&self, value: T) {
            assert!(self.0.push(value).is_ok());
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.pop()
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model's thread panicked")
        }
    }
}

/// Keeps what is in it from sharing a cache line, and the one that is fetched with it, with others.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct CachePadded<T>(T);

impl<T> From<T> for CachePadded<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> std::ops::Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub(crate) use imp::*;
