//! Every item and method of `std::sync` that is stable: with `sedge` in place of `std` the same
//! code compiles, and does the same.

use sedge_runtime as sedge;

/// The same program with the one and with the other.
macro_rules! surface {
    ($module:ident: $($sync:ident)::+) => {
        mod $module {
            use std::fmt::{Debug, Display};
            use std::panic::{RefUnwindSafe, UnwindSafe};
            use std::time::Duration;

            use $($sync)::+::atomic::{AtomicUsize, Ordering};
            use $($sync)::+::{
                Arc, Barrier, BarrierWaitResult, Condvar, LazyLock, LockResult, Mutex, MutexGuard,
                Once, OnceLock, OnceState, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
                TryLockError, TryLockResult, WaitTimeoutResult, Weak,
            };

            const SHORT: Duration = Duration::from_millis(1);

            fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}

            #[test]
            fn auto_traits() {
                shared::<Mutex<u8>>();
                shared::<Mutex<std::cell::Cell<u8>>>();
                shared::<RwLock<u8>>();
                shared::<Condvar>();
                shared::<Barrier>();
                shared::<BarrierWaitResult>();
                shared::<WaitTimeoutResult>();
                shared::<Once>();
                shared::<OnceLock<u8>>();
                shared::<LazyLock<u8>>();
                fn unwind_safe<T: Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}
                unwind_safe::<MutexGuard<'_, u8>>();
                unwind_safe::<RwLockReadGuard<'_, u8>>();
                unwind_safe::<RwLockWriteGuard<'_, u8>>();
            }

            #[test]
            fn mutex() {
                static IN_STATIC: Mutex<u8> = Mutex::new(1);
                let locked: LockResult<MutexGuard<'_, u8>> = IN_STATIC.lock();
                let guard = locked.unwrap_or_else(PoisonError::into_inner);
                let tried: TryLockResult<MutexGuard<'_, u8>> = IN_STATIC.try_lock();
                assert!(matches!(tried, Err(TryLockError::WouldBlock)));
                let _: (&dyn Debug, &dyn Display) = (&guard, &guard);
                drop(guard);
                let mut mutex: Mutex<u8> = Mutex::from(1);
                *mutex.get_mut().unwrap() += 1;
                *mutex.lock().unwrap() += 1;
                assert!(!mutex.is_poisoned());
                mutex.clear_poison();
                assert_eq!(format!("{mutex:?}"), "Mutex { data: 3, poisoned: false, .. }");
                assert_eq!(mutex.into_inner().unwrap(), 3);
                assert_eq!(Mutex::<u8>::default().into_inner().unwrap(), 0);
                let unsized_one: Arc<Mutex<dyn Debug + Send>> = Arc::new(Mutex::new(1_u8));
                assert_eq!(format!("{:?}", &*unsized_one.lock().unwrap()), "1");
                let weak: Weak<_> = Arc::downgrade(&unsized_one);
                assert!(weak.upgrade().is_some());
            }

            #[test]
            fn rwlock() {
                static IN_STATIC: RwLock<u8> = RwLock::new(1);
                let read: LockResult<RwLockReadGuard<'_, u8>> = IN_STATIC.read();
                let guard = read.unwrap();
                let tried: TryLockResult<RwLockWriteGuard<'_, u8>> = IN_STATIC.try_write();
                assert!(tried.is_err() && IN_STATIC.try_read().is_ok());
                let _: (&dyn Debug, &dyn Display) = (&guard, &guard);
                drop(guard);
                let guard = IN_STATIC.write().unwrap();
                let _: (&dyn Debug, &dyn Display) = (&guard, &guard);
                drop(guard);
                let mut lock: RwLock<u8> = RwLock::from(1);
                *lock.get_mut().unwrap() += 1;
                *lock.write().unwrap() += 1;
                assert!(!lock.is_poisoned());
                lock.clear_poison();
                assert_eq!(format!("{lock:?}"), "RwLock { data: 3, poisoned: false, .. }");
                assert_eq!(lock.into_inner().unwrap(), 3);
                assert_eq!(RwLock::<u8>::default().into_inner().unwrap(), 0);
                let unsized_one: &RwLock<[u8]> = &RwLock::new([1, 2]);
                assert_eq!(unsized_one.read().unwrap().len(), 2);
            }

            #[test]
            fn condvar() {
                static IN_STATIC: Condvar = Condvar::new();
                IN_STATIC.notify_one();
                IN_STATIC.notify_all();
                let _: &dyn Debug = &Condvar::default();
                let mutex = Mutex::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        *mutex.lock().unwrap() = true;
                        IN_STATIC.notify_all();
                    });
                    let mut guard = mutex.lock().unwrap();
                    while !*guard {
                        guard = IN_STATIC.wait(guard).unwrap();
                    }
                    guard = IN_STATIC.wait_while(guard, |is_set| !*is_set).unwrap();
                    let (guard, result) = IN_STATIC.wait_timeout(guard, SHORT).unwrap();
                    let result: WaitTimeoutResult = result;
                    let _ = result.timed_out();
                    let waited = IN_STATIC.wait_timeout_while(guard, SHORT, |is_set| *is_set);
                    let (_guard, result) = waited.unwrap();
                    assert!(result.timed_out() && result == result.clone());
                });
            }

            #[test]
            fn barrier() {
                static IN_STATIC: Barrier = Barrier::new(1);
                let result: BarrierWaitResult = IN_STATIC.wait();
                assert!(result.is_leader());
                assert_eq!(format!("{:?}", IN_STATIC), "Barrier { .. }");
                assert_eq!(format!("{result:?}"), "BarrierWaitResult { is_leader: true }");
            }

            #[test]
            fn once() {
                static IN_STATIC: Once = Once::new();
                IN_STATIC.call_once(|| ());
                IN_STATIC.call_once_force(|state: &OnceState| assert!(!state.is_poisoned()));
                assert!(IN_STATIC.is_completed());
                IN_STATIC.wait();
                IN_STATIC.wait_force();
                assert_eq!(format!("{:?}", IN_STATIC), "Once { .. }");
                let other = Once::new();
                other.call_once_force(|state| {
                    assert_eq!(format!("{state:?}"), "OnceState { poisoned: false }");
                });
            }

            #[test]
            fn once_lock() {
                static IN_STATIC: OnceLock<u8> = OnceLock::new();
                assert_eq!(IN_STATIC.get(), None);
                assert_eq!(IN_STATIC.set(1), Ok(()));
                assert_eq!(IN_STATIC.get_or_init(|| 2), &1);
                assert_eq!(IN_STATIC.wait(), &1);
                let mut lock = OnceLock::from(1);
                assert_eq!(lock, lock.clone());
                assert_eq!(lock.get_mut(), Some(&mut 1));
                assert_eq!(lock.take(), Some(1));
                assert_eq!(format!("{lock:?}"), "OnceLock(<uninit>)");
                assert_eq!(OnceLock::<u8>::default().into_inner(), None);
            }

            #[test]
            fn lazy_lock() {
                static IN_STATIC: LazyLock<AtomicUsize> = LazyLock::new(|| AtomicUsize::new(1));
                assert_eq!(IN_STATIC.load(Ordering::Relaxed), 1);
                assert_eq!(format!("{:?}", LazyLock::<u8>::default()), "LazyLock(<uninit>)");
                assert_eq!(LazyLock::force(&LazyLock::new(|| 1)), &1);
                let captured = String::from("x");
                let lazy = LazyLock::new(move || captured.len());
                assert_eq!(*lazy, 1);
            }
        }
    };
}

surface!(with_sedge: super::sedge::sync);
surface!(with_std: std::sync);

/// What std has had for less long than the oldest Rust that this crate is for.
#[test]
fn newer_than_the_oldest_rust() {
    use sedge::sync::{LazyLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

    let lock = RwLock::new(1);
    let reading: RwLockReadGuard<'_, u8> = RwLockWriteGuard::downgrade(lock.write().unwrap());
    assert_eq!(*reading, 1);
    let mut lazy = LazyLock::new(|| 1);
    assert!(LazyLock::get(&lazy).is_none() && LazyLock::get_mut(&mut lazy).is_none());
    *LazyLock::force_mut(&mut lazy) += 1;
    *lazy += 1;
    assert_eq!(*lazy, 3);
}
