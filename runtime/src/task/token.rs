//! Cancelling code from outside, by a token that it shares: a tree of them.
//!
//! A node knows its parent, which it keeps, and its children, which it does not. Cancelling goes
//! down the tree; a token that is dropped leaves its parent's list, and a child that is made of a
//! cancelled token is cancelled from the start.
//!
//! # Locks and memory ordering
//!
//! A node's flag is set under its lock, so whoever finds it clear under the lock is found by who
//! sets it: a child, or a frame that is to be woken. Two nodes are never locked at a time.
//!
//! The flag is set with Release and read with Acquire by [`CancelToken::is_cancelled`], so that who
//! sees it also sees what was done before. The frames read it Relaxed: they look again once they
//! are woken, and the wake synchronises.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::{fmt, mem};

use slab::Slab;

use super::{Cancelled, enclose};
use crate::primitive::{AtomicBool, Mutex, Ordering};
use crate::wait::{self, WaitQueue, Waiter, Wakeup};

/// Cancels code from outside: the calls of [`run_until_cancelled`](Self::run_until_cancelled) that
/// were given it, and those given one of its children.
///
/// Clones are the same token. Children are cancelled with it, and not the other way round. A token
/// stays cancelled. Dropping one cancels nothing; [`drop_guard`](Self::drop_guard) does.
///
/// A token cancels a stretch of code, in any number of tasks and threads;
/// [`JoinHandle::cancel`](super::JoinHandle::cancel) cancels a whole task.
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task::{self, CancelToken};
///
/// sedge::run(|| {
///     let server = CancelToken::new();
///     let connections: Vec<_> = (0..3)
///         .map(|_| {
///             let token = server.child_token();
///             task::spawn(move || token.run_until_cancelled(task::park))
///         })
///         .collect();
///     server.cancel();
///     for connection in connections {
///         assert!(connection.join().unwrap().is_err());
///     }
/// });
/// ```
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

// None of the user's code runs under a node's lock, so nothing is left half done there.
impl UnwindSafe for CancelToken {}
impl RefUnwindSafe for CancelToken {}

struct Node {
    cancelled: AtomicBool,
    links: Mutex<Links>,
    /// Who waits for it without anything to do meanwhile.
    waiters: WaitQueue,
    /// And where it stands in its list.
    parent: Option<(Arc<Self>, usize)>,
}

#[derive(Default)]
struct Links {
    children: Slab<Weak<Node>>,
    /// Who runs code in a frame that watches the flag.
    runners: Slab<Waiter>,
}

impl CancelToken {
    /// Makes a token that has no parent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let token = sedge::task::CancelToken::new();
    /// assert!(!token.is_cancelled());
    /// token.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    pub fn new() -> Self {
        Self { node: Arc::new(Node::new(false, None)) }
    }

    /// Makes a token that is cancelled with this one, and that can be cancelled by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let parent = sedge::task::CancelToken::new();
    /// let (one, other) = (parent.child_token(), parent.child_token());
    /// one.cancel();
    /// assert!(!parent.is_cancelled() && !other.is_cancelled());
    /// parent.cancel();
    /// assert!(other.is_cancelled());
    /// assert!(parent.child_token().is_cancelled());
    /// ```
    pub fn child_token(&self) -> Self {
        let mut links = self.node.links.lock();
        if self.is_cancelled() {
            return Self { node: Arc::new(Node::new(true, None)) };
        }
        let slot = links.children.vacant_key();
        let node = Arc::new(Node::new(false, Some((self.node.clone(), slot))));
        links.children.insert(Arc::downgrade(&node));
        Self { node }
    }

    /// Cancels what was given this token or one of its children. Once is enough.
    ///
    /// When it returns, every one of these tokens says that it
    /// [is cancelled](Self::is_cancelled) (unless another thread was cancelling it already, and is
    /// about to be done); what runs under it ends in its own time.
    ///
    /// # Blocking
    ///
    /// Nothing waits.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn cancel(&self) {
        // Not recursive: the tree may be deeper than a stack.
        let mut nodes = vec![self.node.clone()];
        while let Some(node) = nodes.pop() {
            nodes.extend(node.cancel());
        }
    }

    /// Returns whether the token, or one that it is a child of, was cancelled.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.load(Ordering::Acquire)
    }

    /// Waits until the token is cancelled.
    ///
    /// # Blocking
    ///
    /// Parks the task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point, at entry and while it waits. That is about the calling task: the
    /// token's own cancellation makes it return.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, CancelToken};
    ///
    /// sedge::run(|| {
    ///     let token = CancelToken::new();
    ///     let waiting = task::spawn({
    ///         let token = token.clone();
    ///         move || token.cancelled()
    ///     });
    ///     token.cancel();
    ///     waiting.join().unwrap();
    /// });
    /// ```
    pub fn cancelled(&self) {
        wait::checkpoint();
        let is_cancelled = || self.is_cancelled().then_some(());
        while self.node.waiters.wait_until(None, is_cancelled).is_err() {}
    }

    /// Calls `f`, and ends it when the token is cancelled. Returns what `f` returns, or that it was
    /// ended.
    ///
    /// # Blocking
    ///
    /// Neither the task nor the worker waits, but for what `f` does.
    ///
    /// # Cancellation
    ///
    /// `f` is ended as a cancelled task is: it unwinds, with its destructors, from the call that it
    /// waits in, or from the next that may wait. If the token is cancelled already, `f` still
    /// begins, and is ended at its first cancellation point. All that
    /// [`timeout`](crate::time::timeout()) says of where it does not end its closure, and of
    /// `panic = "abort"`, holds here, too, but for the kind of error: `Other`.
    ///
    /// # Errors
    ///
    /// [`Cancelled`]: `f` was ended.
    ///
    /// # Panics
    ///
    /// With `f`'s panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::task::{self, CancelToken};
    ///
    /// sedge::run(|| {
    ///     let token = CancelToken::new();
    ///     assert_eq!(token.run_until_cancelled(|| 6 * 7), Ok(42));
    ///
    ///     let guard = token.clone().drop_guard();
    ///     task::spawn(move || drop(guard));
    ///     assert!(token.run_until_cancelled(task::park).is_err());
    /// });
    /// ```
    pub fn run_until_cancelled<F, T>(&self, f: F) -> Result<T, Cancelled>
    where
        F: FnOnce() -> T,
    {
        let _runner = Runner::new(&self.node);
        enclose(None, Some(&self.node.cancelled), f).ok_or_else(Cancelled::of_task)
    }

    /// Who waits for it without anything to do meanwhile.
    pub(crate) fn waiters(&self) -> &WaitQueue {
        &self.node.waiters
    }

    /// Makes a guard that cancels the token when it is dropped.
    ///
    /// # Examples
    ///
    /// See [`DropGuard`].
    pub fn drop_guard(self) -> DropGuard {
        DropGuard(Some(self))
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

impl Node {
    fn new(cancelled: bool, parent: Option<(Arc<Self>, usize)>) -> Self {
        Self {
            cancelled: AtomicBool::new(cancelled),
            links: Mutex::default(),
            waiters: WaitQueue::new(),
            parent,
        }
    }

    /// Cancels this one; its children are the caller's to cancel.
    fn cancel(&self) -> Vec<Arc<Self>> {
        let (children, wakeups) = {
            let mut links = self.links.lock();
            if self.cancelled.swap(true, Ordering::Release) {
                return Vec::new();
            }
            let Links { children, runners } = mem::take(&mut *links);
            let children = children.into_iter().filter_map(|(_, child)| child.upgrade()).collect();
            // Claimed under the lock: see `wait`.
            let wakeups: Vec<_> =
                runners.into_iter().filter_map(|(_, runner)| runner.claim()).collect();
            (children, wakeups)
        };
        wakeups.into_iter().for_each(Wakeup::deliver);
        self.waiters.wake_all();
        children
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Not recursive: a chain of tokens may be longer than a stack.
        let mut parent = self.parent.take();
        while let Some((node, slot)) = parent {
            // A cancelled node has given its children up.
            let left = {
                let mut links = node.links.lock();
                (!node.cancelled.load(Ordering::Relaxed)).then(|| links.children.remove(slot))
            };
            drop(left);
            parent = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}

/// The caller, in a node's list of those to wake.
struct Runner<'a> {
    node: &'a Node,
    /// None where the node was cancelled already.
    slot: Option<usize>,
}

impl<'a> Runner<'a> {
    fn new(node: &'a Node) -> Self {
        // A waker is made, and later dropped, without the lock.
        Self::with(node, Waiter::current())
    }

    fn with(node: &'a Node, waiter: Waiter) -> Self {
        let mut links = node.links.lock();
        let is_cancelled = node.cancelled.load(Ordering::Relaxed);
        let slot = (!is_cancelled).then(|| links.runners.insert(waiter));
        Self { node, slot }
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let _left = self.node.links.lock().runners.try_remove(slot);
    }
}

/// Cancels its token when it is dropped, by a return, an error or an unwind. Made by
/// [`CancelToken::drop_guard`].
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::task::CancelToken;
///
/// let token = CancelToken::new();
/// drop(token.child_token().drop_guard());
/// assert!(!token.is_cancelled());
/// drop(token.clone().drop_guard());
/// assert!(token.is_cancelled());
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard cancels the token"]
pub struct DropGuard(Option<CancelToken>);

impl DropGuard {
    /// Gives the token back, and cancels nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// let guard = sedge::task::CancelToken::new().drop_guard();
    /// assert!(!guard.disarm().is_cancelled());
    /// ```
    pub fn disarm(mut self) -> CancelToken {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|token| token.cancel());
    }
}

#[cfg(all(test, sedge_loom))]
mod model {
    use std::sync::Arc as StdArc;
    use std::task::{Wake, Waker};

    use loom::sync::Arc;
    use loom::thread;

    use super::{Node, Runner};
    use crate::primitive::{AtomicUsize, Ordering};
    use crate::wait::Waiter;

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: StdArc<Self>) {
            self.0.fetch_add(1, Ordering::Release);
        }
    }

    /// Who begins to run under a node while it is cancelled sees the flag, or is woken and then
    /// sees it; and who has left is woken no more.
    #[test]
    fn a_runner_is_told() {
        loom::model(|| {
            let node = Arc::new(Node::new(false, None));
            let canceller = thread::spawn({
                let node = node.clone();
                move || node.cancel()
            });
            let wakes = StdArc::new(Wakes(AtomicUsize::new(0)));
            let runner = Runner::with(&node, Waiter::Waker(Waker::from(wakes.clone())));
            let mut seen = 0;
            while !node.cancelled.load(Ordering::Relaxed) {
                // Parked: without a wake the model never ends.
                while wakes.0.load(Ordering::Acquire) == seen {
                    thread::yield_now();
                }
                seen += 1;
            }
            drop(runner);
            canceller.join().unwrap();
            assert!(wakes.0.load(Ordering::Relaxed) <= 1);
        });
    }

    /// A child that is made while its parent is cancelled is cancelled from the start, or found.
    #[test]
    fn a_child_is_told() {
        loom::model(|| {
            let parent = super::CancelToken::new();
            let canceller = thread::spawn({
                let parent = parent.clone();
                move || parent.cancel()
            });
            let child = parent.child_token();
            let other = parent.child_token();
            drop(other);
            canceller.join().unwrap();
            assert!(child.is_cancelled());
        });
    }
}
