//! How to, at length: a page for each subject, with examples that run.
//!
//! - [Scopes](scopes): tasks that borrow, and that end together.
//! - [Cancellation](cancellation): ending what takes too long or is not wanted any more.
//! - [Channels](channels): handing things over, and waiting for several things at a time.
//!
//! # The same in other places
//!
//! | here | threads | tokio | Go | Erlang | `may` |
//! |---|---|---|---|---|---|
//! | [`scope`] | `thread::scope` | | `WaitGroup`; does not wait by itself | | `scope`, `unsafe` |
//! | [`try_scope`] | | `JoinSet` and `?` | `errgroup.WithContext` | links | |
//! | [`JoinSet`] | | `JoinSet` | a channel of results | | |
//! | [the first of several], [`select!`] | | `select!` | `select` | `receive` | `select!` |
//! | [channels] | `mpsc` | `mpsc` | `chan` | a mailbox | `mpsc`, `mpmc` |
//! | [`spawn_local`] | | `LocalSet` | | | `spawn_local`, `unsafe` |
//! | [`JoinHandle::cancel`] | | `abort` | | `exit(Pid, Reason)` | `cancel`, `unsafe` |
//! | [`CancelToken`] | a flag | `CancellationToken` | `context.WithCancel` | | |
//! | [`timeout`] | one for each call | `time::timeout` | `context.WithTimeout` | | |
//! | [`shield`] | | a task of its own | `context.WithoutCancel` | | |
//! | [`is_cancelled`], [`check`] | a flag | a token's `is_cancelled` | `ctx.Err()` | | |
//! | [`task_local!`] | `thread_local!` | `task_local!` | `ctx.Value` | | `coroutine_local!` |
//! | [`supervisor`] | | | | `supervisor` | |
//! | [`on_exit`] | | | `defer` in the goroutine | `monitor` | |
//!
//! Two differences go deep. **Go and threads ask, and here the code is ended:** where a goroutine
//! has to look at its context, and a thread at its flag, a task is unwound from whatever it waits
//! in. **tokio drops a future, and here a stack unwinds:** destructors run in the task, and may
//! wait.
//!
//! [`scope`]: crate::scope()
//! [`try_scope`]: crate::try_scope()
//! [`JoinSet`]: crate::task::JoinSet
//! [the first of several]: scopes#the-first-of-several
//! [`select!`]: crate::select!
//! [channels]: channels#the-same-in-other-places
//! [`spawn_local`]: crate::task::spawn_local()
//! [`JoinHandle::cancel`]: crate::task::JoinHandle::cancel
//! [`CancelToken`]: crate::task::CancelToken
//! [`timeout`]: crate::time::timeout()
//! [`shield`]: crate::task::shield()
//! [`is_cancelled`]: crate::task::is_cancelled()
//! [`check`]: crate::task::check()
//! [`task_local!`]: crate::task_local!
//! [`supervisor`]: crate::supervisor
//! [`on_exit`]: crate::task::JoinHandle::on_exit

pub mod cancellation;
pub mod channels;
pub mod scopes;
