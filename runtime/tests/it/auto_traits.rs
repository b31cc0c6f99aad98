//! Which types of `task` have which auto traits. Checked by the compiler: there is nothing to run.

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use sedge::sync;
use sedge::task::{
    AccessError, Builder, CancelToken, Cancelled, DropGuard, Exit, JoinHandle, JoinSet, LocalKey,
    Scope, ScopedJoinHandle, Task, TaskId, TryJoinHandle, TryScope,
};
use sedge_runtime as sedge;

/// Whether a type has a trait. Where it has, the constant of the type itself hides the trait's.
macro_rules! has {
    ($type:ty: $auto:ident) => {{
        trait Not {
            const HAS: bool = false;
        }

        struct Type<T>(PhantomData<T>);

        impl<T> Not for Type<T> {}

        impl<T: $auto> Type<T> {
            const HAS: bool = true;
        }

        // `u8` has every auto trait: of it the one constant is hidden, and the other is not.
        assert!(Type::<u8>::HAS && !<Type<u8> as Not>::HAS);
        Type::<$type>::HAS
    }};
}

macro_rules! assert_auto_traits {
    ($type:ty: $($auto:ident)*) => { assert_auto_traits!($type: $($auto)*, but not) };
    ($type:ty: $($auto:ident)*, but not $($missing:ident)*) => {
        const {
            $(assert!(has!($type: $auto), concat!(stringify!($type), " is ", stringify!($auto)));)*
            $(
                assert!(
                    !has!($type: $missing),
                    concat!(stringify!($type), " is not ", stringify!($missing))
                );
            )*
        }
    };
}

type NotSend = Rc<Cell<u8>>;
type NotSync = Cell<u8>;
type NotUnwindSafe = &'static mut Cell<u8>;

#[test]
fn of_what_owns_a_task() {
    assert_auto_traits!(JoinHandle<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinHandle<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinHandle<NotUnwindSafe>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinHandle<NotSend>: UnwindSafe RefUnwindSafe Unpin, but not Send Sync);

    type Scoped<T> = ScopedJoinHandle<'static, T>;
    assert_auto_traits!(Scoped<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Scoped<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Scoped<NotUnwindSafe>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Scoped<NotSend>: UnwindSafe RefUnwindSafe Unpin, but not Send Sync);

    type Try<T> = TryJoinHandle<'static, T>;
    assert_auto_traits!(Try<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Try<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Try<NotUnwindSafe>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Try<NotSend>: UnwindSafe RefUnwindSafe Unpin, but not Send Sync);

    assert_auto_traits!(JoinSet<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinSet<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinSet<NotUnwindSafe>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(JoinSet<NotSend>: UnwindSafe RefUnwindSafe Unpin, but not Send Sync);
}

/// As of std's, of which users have references only.
#[test]
fn of_scopes() {
    type Plain = Scope<'static, 'static>;
    assert_auto_traits!(Plain: Send Sync RefUnwindSafe Unpin, but not UnwindSafe);
    assert_auto_traits!(&'static Plain: Send Sync UnwindSafe RefUnwindSafe Unpin);

    type Try<E> = TryScope<'static, 'static, E>;
    assert_auto_traits!(Try<u8>: Send Sync RefUnwindSafe Unpin, but not UnwindSafe);
    assert_auto_traits!(&'static Try<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Try<NotSend>: RefUnwindSafe Unpin, but not Send Sync UnwindSafe);
}

/// Guards are bound to no thread, but for the re-entrant lock's.
#[test]
fn of_locks() {
    assert_auto_traits!(sync::Mutex<NotSync>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(sync::Mutex<NotSend>: UnwindSafe RefUnwindSafe Unpin, but not Send Sync);
    assert_auto_traits!(sync::RwLock<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(sync::RwLock<NotSync>: Send UnwindSafe RefUnwindSafe Unpin, but not Sync);

    type Locked<T> = sync::MutexGuard<'static, T>;
    assert_auto_traits!(Locked<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Locked<NotSync>: Send UnwindSafe RefUnwindSafe Unpin, but not Sync);
    assert_auto_traits!(Locked<NotSend>: Unpin, but not Send Sync);
    type Reading<T> = sync::RwLockReadGuard<'static, T>;
    assert_auto_traits!(Reading<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Reading<NotSync>: Unpin, but not Send Sync);
    type Writing<T> = sync::RwLockWriteGuard<'static, T>;
    assert_auto_traits!(Writing<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Writing<NotSend>: Unpin, but not Send Sync);

    type LockFuture<T> = sync::LockFuture<'static, T>;
    assert_auto_traits!(LockFuture<NotSync>: Send Sync Unpin);
    assert_auto_traits!(LockFuture<NotSend>: Unpin, but not Send Sync);
    assert_auto_traits!(sync::WriteFuture<'static, u8>: Send Sync Unpin);
    assert_auto_traits!(sync::ReadFuture<'static, u8>: Send Sync Unpin);

    assert_auto_traits!(sync::ReentrantMutex<NotSync>: Send Sync Unpin);
    type Reentrant = sync::ReentrantMutexGuard<'static, u8>;
    assert_auto_traits!(Reentrant: Unpin, but not Send);
    assert_auto_traits!(sync::OnceLock<NotSync>: Send Unpin, but not Sync);
    assert_auto_traits!(sync::LazyLock<NotSync>: Send Unpin, but not Sync);
}

#[test]
fn of_the_rest() {
    assert_auto_traits!(AccessError: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Builder: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(CancelToken: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Cancelled: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(DropGuard: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Exit<'static>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(LocalKey<u8>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(LocalKey<NotSend>: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(Task: Send Sync UnwindSafe RefUnwindSafe Unpin);
    assert_auto_traits!(TaskId: Send Sync UnwindSafe RefUnwindSafe Unpin);
}
