//! Restarting tasks that fail, as Erlang's supervisors do.
//!
//! A [`Supervisor`] starts its children, waits for them, and starts those again that should not
//! have ended. Where that happens too often it gives up, ends them all, and returns an error. So a
//! child's closure may itself run a supervisor, which the one above starts anew:
//!
//! ```
//! # use sedge_runtime as sedge;
//! use sedge::supervisor::{GaveUp, Restart, Strategy, Supervisor};
//!
//! fn listeners() -> Result<(), GaveUp> {
//!     Supervisor::new(Strategy::OneForOne)
//!         .child("http", Restart::Transient, || Ok(println!("listening")))
//!         .child("https", Restart::Transient, || Ok(println!("listening")))
//!         .run()
//! }
//!
//! Supervisor::new(Strategy::RestForOne)
//!     .child("database", Restart::Transient, || Ok(println!("connected")))
//!     .child("listeners", Restart::Transient, || Ok(listeners()?))
//!     .run()?;
//! # Ok::<_, GaveUp>(())
//! ```
//!
//! The names and their meanings are those of [Erlang/OTP's
//! `supervisor`](https://www.erlang.org/doc/apps/stdlib/supervisor.html); the back-off is an
//! addition. There is no limit on how long a child that is told to stop may take: a task cannot be
//! killed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{error, fmt, io, panic, thread};

use crate::clock;
use crate::task::{self, Builder, Exit, JoinSet, TaskId, discard};
use crate::time::sleep_until;

/// Any error: what a child returns where it fails.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// How a child has ended, or why it has not begun. Displayed it is what the child did: "failed: no
/// such file", "panicked: out of luck", "returned".
///
/// # Examples
///
/// See [`Supervisor::on_restart`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Its closure has returned `Ok`: no failure, unless it is [`Restart::Permanent`].
    Returned,
    /// Its closure has returned this error.
    Error(BoxError),
    /// It panicked, with this message; none where the payload is no string.
    Panicked(Option<String>),
    /// It was cancelled, though not by its supervisor.
    Cancelled,
    /// It could not be spawned.
    NotStarted(io::Error),
}

/// Is called with a child's name, and how it has ended.
type Log = Box<dyn Fn(&str, &Failure) + Send>;

/// Which children are started again when one has failed.
///
/// # Examples
///
/// See [`Supervisor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// That one.
    OneForOne,
    /// All of them, after the others were stopped: none makes sense without the rest.
    OneForAll,
    /// That one and those that were added after it, which may depend on it.
    RestForOne,
}

/// When a child is started again.
///
/// # Examples
///
/// See [`Supervisor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it ends.
    Permanent,
    /// When it ends otherwise than by returning `Ok`.
    Transient,
    /// Never, not even with the others.
    Temporary,
}

/// Starts tasks, and starts those again that fail. See [the module](self).
///
/// # Examples
///
/// ```
/// # use sedge_runtime as sedge;
/// use sedge::supervisor::{Restart, Strategy, Supervisor};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// static STARTS: AtomicUsize = AtomicUsize::new(0);
///
/// sedge::run(|| {
///     Supervisor::new(Strategy::OneForOne)
///         .child("third time lucky", Restart::Transient, || {
///             match STARTS.fetch_add(1, Ordering::Relaxed) {
///                 2 => Ok(()),
///                 n => Err(format!("try {n} failed").into()),
///             }
///         })
///         .run()
/// })?;
/// assert_eq!(STARTS.load(Ordering::Relaxed), 3);
/// # Ok::<_, sedge::supervisor::GaveUp>(())
/// ```
#[must_use = "a supervisor does nothing until it runs"]
pub struct Supervisor {
    strategy: Strategy,
    restarts_max: u32,
    within: Duration,
    first_delay: Duration,
    longest_delay: Duration,
    children: Vec<Child>,
    on_restart: Log,
}

struct Child {
    name: String,
    restart: Restart,
    body: Arc<dyn Fn() -> Result<(), BoxError> + Send + Sync>,
    /// Its task, while it runs.
    task: Option<TaskId>,
    was_started: bool,
}

/// Children failed too often. See [`Supervisor::run`].
///
/// # Examples
///
/// See [`Supervisor::intensity`].
#[derive(Debug)]
pub struct GaveUp {
    child: String,
    failure: Failure,
    restarts: u32,
    within: Duration,
}

impl Supervisor {
    /// Makes a supervisor without children.
    ///
    /// # Examples
    ///
    /// See [`Supervisor`].
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            restarts_max: 3,
            within: Duration::from_secs(5),
            first_delay: Duration::from_millis(10),
            longest_delay: Duration::from_secs(1),
            children: Vec::new(),
            on_restart: Box::new(|_, _| ()),
        }
    }

    /// Sets how many restarts within how long a time are borne: with one more it gives up. Default:
    /// 3 within 5 seconds. [`u32::MAX`]: any number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::supervisor::{Restart, Strategy, Supervisor};
    /// use std::time::Duration;
    ///
    /// let gave_up = Supervisor::new(Strategy::OneForOne)
    ///     .intensity(1, Duration::from_secs(60))
    ///     .child("doomed", Restart::Permanent, || Err("as expected".into()))
    ///     .run()
    ///     .unwrap_err();
    /// assert_eq!(gave_up.child(), "doomed");
    /// assert_eq!(gave_up.failure().to_string(), "failed: as expected");
    /// ```
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.restarts_max = restarts;
        self.within = within;
        self
    }

    /// Sets how long it waits before a restart: `first`, and twice as long each time, up to
    /// `longest`, or `first` if that is longer. It begins anew after a time without restarts as
    /// long as that of [`intensity`](Self::intensity). Default: from 10 milliseconds to one second.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::supervisor::{Strategy, Supervisor};
    /// use std::time::Duration;
    ///
    /// // As Erlang: at once.
    /// let at_once = Supervisor::new(Strategy::OneForAll).backoff(Duration::ZERO, Duration::ZERO);
    /// assert!(at_once.run().is_ok(), "without children it has nothing to do");
    /// ```
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first_delay = first;
        self.longest_delay = longest;
        self
    }

    /// Has `f` called before each restart, with the name of the child that has ended, and how: for
    /// a log. Default: nothing is called. Should it panic, [`run`](Self::run) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sedge_runtime as sedge;
    /// use sedge::supervisor::{Restart, Strategy, Supervisor};
    ///
    /// let failing = Supervisor::new(Strategy::OneForOne)
    ///     .on_restart(|child, failure| println!("{child} {failure}; it is restarted"))
    ///     .child("listener", Restart::Permanent, || Err("no luck".into()));
    /// assert!(failing.run().is_err());
    /// ```
    pub fn on_restart<F>(mut self, f: F) -> Self
    where
        F: Fn(&str, &Failure) + Send + 'static,
    {
        self.on_restart = Box::new(f);
        self
    }

    /// Adds a child: a task of that name, whose body is `f`. Children are started in the order in
    /// which they were added, and stopped in the reverse one.
    ///
    /// # Examples
    ///
    /// See [`Supervisor`].
    pub fn child<F>(mut self, name: impl Into<String>, restart: Restart, f: F) -> Self
    where
        F: Fn() -> Result<(), BoxError> + Send + Sync + 'static,
    {
        let (name, body) = (name.into(), Arc::new(f));
        self.children.push(Child { name, restart, body, task: None, was_started: false });
        self
    }

    /// Starts the children and sees to them, until none is left that it would restart.
    ///
    /// # Blocking
    ///
    /// Parks the calling task, or blocks a plain thread.
    ///
    /// # Cancellation
    ///
    /// A cancellation point. The children are stopped in the reverse order, each once the one
    /// before it has ended; then the caller unwinds.
    ///
    /// # Errors
    ///
    /// [`GaveUp`]: there were more restarts than the [`intensity`](Self::intensity) allows. All
    /// children have been stopped.
    ///
    /// # Panics
    ///
    /// As the closure of [`on_restart`](Self::on_restart), once all children have been stopped.
    ///
    /// # Examples
    ///
    /// See [`Supervisor`].
    pub fn run(self) -> Result<(), GaveUp> {
        let mut running = Running {
            tasks: JoinSet::new(),
            ended: VecDeque::new(),
            due: Vec::new(),
            restarts: VecDeque::new(),
            delay: self.first_delay,
            spec: self,
        };
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| running.run()));
        task::shield(|| running.stop(0, running.spec.children.len()));
        result.unwrap_or_else(|payload| task::pass_on(payload))
    }
}

/// A supervisor at work.
struct Running {
    spec: Supervisor,
    tasks: JoinSet<Result<(), BoxError>>,
    /// Children that ended while another was waited for: which, and how.
    ended: VecDeque<(TaskId, Failure)>,
    /// Restarts to come: when, and the first child and the last. At most one for each first child.
    due: Vec<(Instant, usize, usize)>,
    /// When there were restarts, as far back as it matters.
    restarts: VecDeque<Instant>,
    /// Before the next restart.
    delay: Duration,
}

impl Running {
    fn run(&mut self) -> Result<(), GaveUp> {
        self.start(0, self.spec.children.len())?;
        loop {
            match self.next_end() {
                Some((index, failure)) => self.note_end(index, failure)?,
                None if self.due.is_empty() => return Ok(()),
                None => self.restart_due()?,
            }
        }
    }

    /// Waits for a child to end, or a restart to be due: then it returns none, as it does if no
    /// child is left.
    fn next_end(&mut self) -> Option<(usize, Failure)> {
        let (id, failure) = match self.ended.pop_front() {
            Some(ended) => ended,
            None => {
                let due = self.due.iter().map(|due| due.0).min();
                if self.tasks.is_empty() {
                    due.into_iter().for_each(sleep_until);
                }
                let (id, result) = self.tasks.join_next_until(due)?;
                (id, Failure::of(result))
            }
        };
        let index = self.spec.children.iter().position(|child| child.task == Some(id));
        Some((index.expect("its task is a child's"), failure))
    }

    /// A child has ended by itself.
    fn note_end(&mut self, index: usize, failure: Failure) -> Result<(), GaveUp> {
        let child = &mut self.spec.children[index];
        child.task = None;
        match child.restart {
            Restart::Permanent => self.plan_restart(index, failure),
            Restart::Transient if !matches!(failure, Failure::Returned) => {
                self.plan_restart(index, failure)
            }
            Restart::Transient | Restart::Temporary => Ok(()),
        }
    }

    /// A child is to be restarted, and with it those that the strategy says, which are stopped.
    fn plan_restart(&mut self, index: usize, failure: Failure) -> Result<(), GaveUp> {
        let now = clock::now();
        let within = self.spec.within;
        let is_recent = |then: &Instant| now.duration_since(*then) <= within;
        if !self.restarts.back().is_some_and(is_recent) {
            self.delay = self.spec.first_delay;
        }
        while self.restarts.front().is_some_and(|then| !is_recent(then)) {
            self.restarts.pop_front();
        }
        let max = self.spec.restarts_max;
        let child = &self.spec.children[index];
        if max != u32::MAX && self.restarts.len() as u64 >= u64::from(max) {
            return Err(GaveUp { child: child.name.clone(), failure, restarts: max, within });
        }
        (self.spec.on_restart)(&child.name, &failure);
        if max == u32::MAX {
            // One is enough to tell whether it begins anew.
            self.restarts.clear();
        }
        self.restarts.push_back(now);
        let (first, end) = match self.spec.strategy {
            Strategy::OneForOne => (index, index + 1),
            Strategy::OneForAll => (0, self.spec.children.len()),
            Strategy::RestForOne => (index, self.spec.children.len()),
        };
        self.stop(first, end);
        self.due.retain(|due| !(first..end).contains(&due.1));
        // A time that no `Instant` can tell does not come: then it is not started again.
        self.due.extend(now.checked_add(self.delay).map(|at| (at, first, end)));
        let longest = self.spec.longest_delay.max(self.spec.first_delay);
        self.delay = self.delay.saturating_mul(2).min(longest);
        Ok(())
    }

    fn restart_due(&mut self) -> Result<(), GaveUp> {
        let now = clock::now();
        while let Some(at) = self.due.iter().position(|due| due.0 <= now) {
            let (_, first, end) = self.due.remove(at);
            self.start(first, end)?;
        }
        Ok(())
    }

    /// Starts the children from `first` up to `end`, but for those that run once only and have.
    fn start(&mut self, first: usize, end: usize) -> Result<(), GaveUp> {
        for index in first..end {
            let child = &mut self.spec.children[index];
            if child.was_started && child.restart == Restart::Temporary {
                continue;
            }
            let body = child.body.clone();
            let builder = Builder::new().name(child.name.as_str());
            match builder.spawn_in_set(&mut self.tasks, move || body()) {
                Ok(id) => {
                    child.task = Some(id);
                    child.was_started = true;
                }
                Err(error) => {
                    self.plan_restart(index, Failure::NotStarted(error))?;
                    if self.spec.strategy != Strategy::OneForOne {
                        // The rest is started with it.
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Stops the children from `first` up to `end`, the last first.
    fn stop(&mut self, first: usize, end: usize) {
        for index in (first..end).rev() {
            let Some(id) = self.spec.children[index].task else { continue };
            self.tasks.cancel(id);
            self.wait_for(id);
            // Not before: should the wait unwind, the child is stopped at the end.
            self.spec.children[index].task = None;
        }
    }

    /// Waits until a child has ended, whichever way.
    fn wait_for(&mut self, id: TaskId) {
        if let Some(at) = self.ended.iter().position(|ended| ended.0 == id) {
            self.ended.remove(at).into_iter().for_each(|ended| discard(Ok(ended)));
            return;
        }
        while let Some((other, result)) = self.tasks.join_next_with_id() {
            if other == id {
                return discard(result);
            }
            self.ended.push_back((other, Failure::of(result)));
        }
    }
}

impl Failure {
    fn of(result: thread::Result<Result<(), BoxError>>) -> Self {
        match result {
            Ok(Ok(())) => Self::Returned,
            Ok(Err(error)) => Self::Error(error),
            Err(payload) => {
                let failure = match Exit::of(Some(&*payload)) {
                    Exit::Panicked(message) => Self::Panicked(message.map(str::to_owned)),
                    Exit::Cancelled | Exit::Returned => Self::Cancelled,
                };
                discard(Err::<(), _>(payload));
                failure
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => Exit::Returned.fmt(f),
            Self::Error(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => Exit::Panicked(message.as_deref()).fmt(f),
            Self::Cancelled => Exit::Cancelled.fmt(f),
            Self::NotStarted(error) => write!(f, "could not be started: {error}"),
        }
    }
}

impl GaveUp {
    /// Returns the name of the child that failed last.
    ///
    /// # Examples
    ///
    /// See [`Supervisor::intensity`].
    pub fn child(&self) -> &str {
        &self.child
    }

    /// Returns how it failed.
    ///
    /// # Examples
    ///
    /// See [`Supervisor::intensity`].
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, failure, restarts, within } = self;
        write!(f, "gave up after {restarts} restarts within {within:?}: '{child}' {failure}")
    }
}

/// Without a source: the failure is a part of the text.
impl error::Error for GaveUp {}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.children.iter().map(|child| &child.name).collect();
        f.debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &names)
            .finish_non_exhaustive()
    }
}
