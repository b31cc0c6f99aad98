//! A notification as a case of a selection.

use std::pin::Pin;

use super::{EMPTY, NOTIFIED, Notify, STATE, Sent, WAITING};
use crate::primitive::Ordering;
use crate::sync::select::{Arm, Chosen, Registered, Standing};
use crate::wait::{Place, Selection};

/// A case's place in line.
struct Case<'n> {
    notify: &'n Notify,
    place: Pin<Box<Place<'n, (), Option<Sent>>>>,
    is_accepted: bool,
}

impl Arm for Notify {
    fn try_choose(&self) -> Option<Chosen> {
        self.take().then_some(Chosen::Ready)
    }

    fn is_ready(&self) -> bool {
        self.word.load(Ordering::Acquire) & STATE == NOTIFIED
    }

    fn register<'a>(&'a self, selection: &'a Selection, case: usize, _: bool) -> Registered<'a> {
        let mut place = Box::pin(Place::of(&self.line, None, selection, case));
        place.as_mut().begin(None);
        let mut line = self.line.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        while word & STATE != WAITING {
            if word & STATE == NOTIFIED {
                // Nobody stands in line meanwhile: it begins again.
                return Registered::nowhere(true);
            }
            debug_assert_eq!(word & STATE, EMPTY);
            match self.exchange(word, word & !STATE | WAITING) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        line.push_back(0, place.as_ref());
        drop(line);
        Registered::new(Case { notify: self, place, is_accepted: false }, false)
    }

    fn abandon(&self, _: Chosen) {
        self.notify_one();
    }
}

impl Standing for Case<'_> {
    fn synchronise(&self) {
        self.place.synchronise();
    }

    fn accept(mut self: Box<Self>) -> Option<Chosen> {
        self.is_accepted = true;
        Some(Chosen::Ready)
    }
}

impl Drop for Case<'_> {
    /// A notification that was for this case and is not used is for another waiter.
    fn drop(&mut self) {
        if self.is_accepted || !self.place.leave() {
            return;
        }
        match self.place.as_mut().payload().copied().flatten() {
            Some(sent @ (Sent::First | Sent::Last)) => self.notify.notify(sent),
            Some(Sent::All) | None => {}
        }
    }
}
