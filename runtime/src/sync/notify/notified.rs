//! The wait of a future, which may be dropped with a notification that it has not seen.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::{Notify, Sent};
use crate::wait::{Place, Waiter};

/// Waits for a [`Notify`]. Made by [`Notify::notified_async`].
///
/// # Examples
///
/// See [`Notify::notified_async`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Notified<'a> {
    notify: &'a Notify,
    /// How often `notify_waiters` had been called when this was made.
    calls: usize,
    progress: Progress<'a>,
}

#[derive(Debug)]
enum Progress<'a> {
    Made,
    Waiting(Pin<Box<Place<'a, (), Option<Sent>>>>),
    Done,
}

impl<'a> Notified<'a> {
    pub(super) fn new(notify: &'a Notify, calls: usize) -> Self {
        Self { notify, calls, progress: Progress::Made }
    }

    /// Has it stand in line without polling it, or take the notification that is stored. Returns
    /// whether it is notified, so that it is ready.
    ///
    /// Who looks at a condition after this, and before it awaits the future, misses no
    /// [`notify_one`](Notify::notify_one) in between.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use std::pin::pin;
    ///
    /// let notify = sedge::sync::Notify::new();
    /// let mut notified = pin!(notify.notified_async());
    /// assert!(!notified.as_mut().enable());
    /// notify.notify_one();
    /// assert!(notified.enable());
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let notify = self.notify;
        match &mut self.progress {
            Progress::Done => return Poll::Ready(()),
            Progress::Waiting(place) => {
                if place.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            Progress::Made => {
                let waiter = Waiter::Waker(cx.waker().clone());
                let mut place = Box::pin(Place::new(&notify.line, None));
                place.as_mut().begin(Some(waiter));
                let mut line = notify.line.lock();
                if !notify.take_or_expect(&line, Some(self.calls)) {
                    line.push_back(0, place.as_ref());
                    drop(line);
                    self.progress = Progress::Waiting(place);
                    return Poll::Pending;
                }
            }
        }
        self.progress = Progress::Done;
        Poll::Ready(())
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Progress::Waiting(place) = &mut self.progress else { return };
        place.leave();
        let sent = place.as_mut().payload().expect("it has left the line");
        if let Some(sent @ (Sent::First | Sent::Last)) = sent {
            self.notify.notify(*sent);
        }
    }
}
