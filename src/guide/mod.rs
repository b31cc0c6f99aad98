//! How to, at length: a page for each subject, with examples that run.
//!
//! - [Scopes](scopes): tasks that borrow, and that end together.
//! - [Cancellation](cancellation): ending what takes too long or is not wanted any more.
//!
//! # The same in other places
//!
//! | here | threads | tokio | Go | `may` |
//! |---|---|---|---|---|
//! | [`scope`](crate::scope()) | `thread::scope` | none: futures of tasks are `'static` | `errgroup`, `WaitGroup`; nothing borrows | `coroutine::scope`; to spawn is `unsafe` |
//! | [`try_scope`](crate::try_scope()) | | `JoinSet` and `?`, by hand | `errgroup.WithContext` | |
//! | [`JoinSet`](crate::task::JoinSet) | | `JoinSet` | a channel of results | |
//! | [`spawn_local`](crate::task::spawn_local()) | | `spawn_local` in a `LocalSet` | | `spawn_local`, `unsafe` |
//! | [`JoinHandle::cancel`](crate::task::JoinHandle::cancel) | | `JoinHandle::abort` | | `Coroutine::cancel`, `unsafe` |
//! | [`CancelToken`](crate::task::CancelToken) | a flag, looked at | `CancellationToken` | `context.WithCancel` | |
//! | [`timeout`](crate::time::timeout()) | a timeout for each call | `time::timeout` | `context.WithTimeout` | |
//! | [`shield`](crate::task::shield()) | | a task that is spawned for it | a context of its own | |
//! | [`is_cancelled`](crate::task::is_cancelled()), [`check`](crate::task::check()) | a flag | `is_cancelled` of a token | `ctx.Err()` | |
//! | [`task_local!`](crate::task_local!) | `thread_local!` | `task_local!`, in a scope of its own | `context.WithValue` | `coroutine_local!` |
//! | [`supervisor`](crate::supervisor) | | | | |
//! | [`on_exit`](crate::task::JoinHandle::on_exit) | | | `defer` in the goroutine | |
//!
//! Two differences go deep. **Go and threads ask, and here the code is ended:** where a goroutine
//! has to look at its context, and a thread at its flag, a task is unwound from whatever it waits
//! in. **tokio drops a future, and here a stack unwinds:** destructors run in the task, and may
//! wait.

pub mod cancellation;
pub mod scopes;
