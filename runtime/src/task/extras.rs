//! What few tasks have, in a box of its own: one word in the header until it is needed.
//!
//! `name` is given at spawn, and constant. `locals` and `owner` are the task's own: see [`Locals`].
//! `monitors` are the handle's to add to and the task's to call, under their lock.

use std::fmt;

use once_cell::race::OnceBox;
use parking_lot::Mutex;

use super::locals::{self, Locals};
use super::monitor::Monitor;
use super::owner::Owner;

/// See the module.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) name: Option<Box<str>>,
    pub(super) locals: Locals,
    pub(super) owner: Owner,
    pub(super) monitors: Mutex<Vec<Monitor>>,
}

/// The word in the header.
#[derive(Debug, Default)]
pub(super) struct ExtrasSlot(OnceBox<Extras>);

impl ExtrasSlot {
    /// Of a task that the caller spawns under this name: with the task-locals that it inherits.
    /// They are cloned by the user's code, so not where nothing may switch.
    #[inline]
    pub(super) fn of_spawned(name: Option<Box<str>>) -> Self {
        if name.is_none() && !locals::may_inherit() {
            return Self::default();
        }
        Self::of_spawned_slow(name)
    }

    #[cold]
    fn of_spawned_slow(name: Option<Box<str>>) -> Self {
        let locals = locals::inherited();
        if name.is_none() && locals.is_empty() {
            return Self::default();
        }
        let extras = Extras { name, locals, ..Extras::default() };
        Self(OnceBox::with_value(Box::new(extras)))
    }

    pub(super) fn get(&self) -> Option<&Extras> {
        self.0.get()
    }

    pub(super) fn get_or_init(&self) -> &Extras {
        self.0.get_or_init(Box::default)
    }
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extras").field("name", &self.name).finish_non_exhaustive()
    }
}
