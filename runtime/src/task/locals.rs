//! The values that a task has of the program's task-locals.
//!
//! Each key has a number, and a task a table of slots by these. A value is in a box of its own, so
//! that it stays in its place while others come, and goes only when the task ends: what `with`
//! lends is good for as long as the task's code runs.
//!
//! # Who may touch what
//!
//! The running task alone; or, for those of a closure in [`blocking`](crate::blocking()), the
//! thread that runs it. No borrow of the table lives while the user's code runs.
#![expect(unsafe_code, reason = "values are lent out while others come, and are not Send")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::{fmt, mem};

use crate::context;

/// See the module.
#[derive(Default)]
pub(crate) struct Locals {
    table: RefCell<Table>,
    /// Whether a new task inherits any.
    has_inheritable: Cell<bool>,
}

// SAFETY: used by one thread at a time, the one that the task is on, and a task that does not
// migrate stays there. A new task is given values that are `Send` only (`inherited`). One that
// migrates keeps its part of the contract of `task::Builder::migrating`.
unsafe impl Send for Locals {}
// SAFETY: as above: a reference is no right to use it.
unsafe impl Sync for Locals {}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locals").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    /// The numbers of those that have values, in the order in which they came.
    order: Vec<usize>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    /// Its initialiser runs.
    Initialising,
    Value(Value),
    /// The task ends.
    Destroyed,
}

/// A value, and how a new task comes by one of its own.
pub(super) struct Value {
    value: Box<dyn Any>,
    inherit: Option<Inherit>,
}

/// Clones a value for a new task, if it is of the type.
pub(super) type Inherit = fn(&dyn Any) -> Option<Box<dyn Any + Send>>;

/// What a key finds.
pub(super) enum Found<T> {
    Value(NonNull<T>),
    /// The caller makes it, with [`Locals::put`] or, if that fails, [`Locals::forget`].
    Nothing,
    Initialising,
    Destroyed,
}

impl Locals {
    pub(crate) const fn new() -> Self {
        let table = Table { slots: Vec::new(), order: Vec::new() };
        Self { table: RefCell::new(table), has_inheritable: Cell::new(false) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.borrow().order.is_empty()
    }

    /// Looks for the value of a key, and if there is none notes that it is being made.
    pub(super) fn find<T: 'static>(&self, number: usize) -> Found<T> {
        let mut table = self.table.borrow_mut();
        if table.slots.len() <= number {
            table.slots.resize_with(number + 1, Slot::default);
        }
        let slot = &mut table.slots[number];
        match slot {
            Slot::Value(value) => {
                // Shared: the caller's caller may have borrowed it.
                let value = value.value.downcast_ref::<T>();
                Found::Value(NonNull::from(value.expect("a key has one type")))
            }
            Slot::Initialising => Found::Initialising,
            Slot::Destroyed => Found::Destroyed,
            Slot::Empty => {
                *slot = Slot::Initialising;
                Found::Nothing
            }
        }
    }

    /// Puts the value that was to be made.
    pub(super) fn put<T: 'static>(
        &self,
        number: usize,
        value: T,
        inherit: Option<Inherit>,
    ) -> NonNull<T> {
        let mut value = Box::new(value);
        let place = NonNull::from(&mut *value);
        let mut table = self.table.borrow_mut();
        table.slots[number] = Slot::Value(Value { value, inherit });
        table.order.push(number);
        self.has_inheritable.set(self.has_inheritable.get() || inherit.is_some());
        place
    }

    /// There is no value after all.
    pub(super) fn forget(&self, number: usize) {
        self.table.borrow_mut().slots[number] = Slot::Empty;
    }

    /// Those that a new task inherits from these.
    fn inherited(&self) -> Self {
        let mut table = Table::default();
        let mut next = 0;
        // The clone is the user's code, so the table is looked at afresh each time.
        while let Some((number, inherit, value)) = self.inheritable(&mut next) {
            // SAFETY: values stay until the task ends, and this is its code.
            let Some(value) = inherit(unsafe { value.as_ref() }) else { continue };
            if table.slots.len() <= number {
                table.slots.resize_with(number + 1, Slot::default);
            }
            table.slots[number] = Slot::Value(Value { value, inherit: Some(inherit) });
            table.order.push(number);
        }
        let has_inheritable = Cell::new(!table.order.is_empty());
        Self { table: RefCell::new(table), has_inheritable }
    }

    /// The next value that is to be inherited, by the order in which they came.
    fn inheritable(&self, next: &mut usize) -> Option<(usize, Inherit, NonNull<dyn Any>)> {
        let table = self.table.borrow();
        loop {
            let number = *table.order.get(*next)?;
            *next += 1;
            if let Slot::Value(Value { value, inherit: Some(inherit) }) = &table.slots[number] {
                return Some((number, *inherit, NonNull::from(&**value)));
            }
        }
    }

    /// Takes out the value that came last. Its key finds nothing any more.
    fn pop(&self) -> Option<Box<dyn Any>> {
        let mut table = self.table.borrow_mut();
        let number = table.order.pop()?;
        match mem::replace(&mut table.slots[number], Slot::Destroyed) {
            Slot::Value(value) => Some(value.value),
            _ => unreachable!("what is in order has a value"),
        }
    }

    /// Calls `f`, and drops every value after it, by a return or an unwind: the last come first,
    /// and those that come meanwhile.
    pub(crate) fn destroyed_after<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Rest<'a>(&'a Locals);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(value) = self.0.pop() {
                    // Should it panic, the others are dropped by the unwind.
                    let rest = Rest(self.0);
                    drop(value);
                    mem::forget(rest);
                }
            }
        }

        let rest = Rest(self);
        let value = f();
        // Explicitly: the compiler leaks what is on its way out when a destructor unwinds.
        drop(rest);
        value
    }
}

/// Whether a task that the caller spawns, or a closure in `blocking`, may inherit anything.
#[inline]
pub(super) fn may_inherit() -> bool {
    match context::current_task() {
        Some(task) => {
            let extras = task.extras().get();
            extras.is_some_and(|extras| extras.locals.has_inheritable.get())
        }
        None => context::closure_locals().is_some(),
    }
}

/// What it inherits.
pub(crate) fn inherited() -> Locals {
    if !may_inherit() {
        return Locals::default();
    }
    // SAFETY: they are the running code's own.
    context::locals().map_or_else(Locals::default, |locals| unsafe { locals.as_ref() }.inherited())
}
