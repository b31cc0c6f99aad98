//! What the tests share: bounds on waiting, children, and what `/proc` says about this process.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sedge::task;
use sedge_runtime as sedge;

/// What takes longer than this hangs.
pub(crate) const HUNG: Duration = Duration::from_secs(30);

/// Set in a child to the name of the test whose body it is to run.
const CHILD: &str = "SEDGE_TEST_CHILD";

/// Runs `f` on a thread of its own, and fails if that takes longer than [`HUNG`]: a test that hangs
/// fails by name, and the others go on.
#[track_caller]
pub(crate) fn bounded<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let value = f();
        let _ = sender.send(value);
    });
    match receiver.recv_timeout(HUNG) {
        Ok(value) => {
            // Its thread-locals too.
            thread.join().expect("it has sent its value");
            value
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hung: not done after {HUNG:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => unreachable!("it would have sent its value"),
        },
    }
}

/// Waits until `holds`: a task parks in between, a thread sleeps.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < HUNG, "hung: still waiting for: {what}");
        sedge::time::sleep(Duration::from_micros(200));
    }
}

/// The same, in a task that never lets go of its worker meanwhile.
#[track_caller]
pub(crate) fn hog_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < HUNG, "hung: still hogging until: {what}");
        std::hint::spin_loop();
    }
}

/// Polls `future` once, for nobody.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A counter that many share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self) {
        self.add_and_get();
    }

    /// The count with this one.
    pub(crate) fn add_and_get(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.get() > 0
    }
}

/// Calls a function when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Counts the tasks that are inside; none may be once the scope has ended.
#[derive(Default)]
pub(crate) struct Inside(AtomicUsize);

impl Inside {
    pub(crate) fn enter(&self) -> OnDrop<impl FnMut()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        OnDrop(|| {
            self.0.fetch_sub(1, Ordering::SeqCst);
        })
    }

    pub(crate) fn park(&self) {
        let _inside = self.enter();
        task::park();
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs `f` in a task and on a plain thread.
pub(crate) fn everywhere(f: impl Fn() + Clone + Send + 'static) {
    let in_task = f.clone();
    bounded(move || sedge::run(in_task));
    bounded(f);
}

/// A runtime with this many workers on threads of its own.
pub(crate) fn runtime(workers: usize) -> sedge::runtime::Runtime {
    sedge::runtime::Builder::new().workers(workers).build().expect("a runtime starts")
}

/// Waits until fresh tasks of `runtime` start on the thread `member` only: the workers that its
/// monitor has added are to go, which it sees to within some looks (it keeps ticking while tasks
/// run).
#[track_caller]
pub(crate) fn added_workers_are_to_go(runtime: &sedge::runtime::Runtime, member: i64) {
    let mut in_a_row = 0;
    eventually("all fresh tasks run on the member", || {
        let fresh: Vec<_> = (0..8).map(|_| runtime.spawn(thread_id)).collect();
        let at_home = fresh.into_iter().all(|fresh| fresh.join().unwrap() == member);
        in_a_row = if at_home { in_a_row + 1 } else { 0 };
        in_a_row == 200
    });
}

/// The thread that runs this, as the kernel numbers it. A system call, so that it is asked anew.
#[inline(never)]
pub(crate) fn thread_id() -> i64 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Whether this process is the child that is to run the body of `test`.
pub(crate) fn is_child(test: &str) -> bool {
    std::env::var_os(CHILD).is_some_and(|name| name == OsStr::new(test))
}

/// This binary again, to run the body of `test` (`module::name`).
pub(crate) fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, test);
    command
}

/// Runs `command` to its end, killing it if it hangs.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("this binary starts again");
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let output = Child::wait_with_output(child).expect("a child can be waited for");
        let _ = sender.send(());
        output
    });
    let hung = receiver.recv_timeout(2 * HUNG).is_err();
    if hung {
        // SAFETY: a child of this process; should it just have ended, its number is not used again
        // so soon.
        unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    }
    let output = waiting.join().expect("the waiting thread does not panic");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!hung, "hung: a child is not done after {:?}: {stderr}", 2 * HUNG);
    output
}

/// Runs the body of `test` in a child, which must succeed, and returns what it wrote to stderr.
#[track_caller]
pub(crate) fn succeed_in_child(test: &str, set_up: impl FnOnce(&mut Command)) -> String {
    let mut command = child(test);
    set_up(&mut command);
    let output = output_of(&mut command);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "the child ran no body: {stdout}");
    stderr
}

/// Names of this process's threads.
pub(crate) fn thread_names() -> Vec<String> {
    tasks_of_this_process()
        .filter_map(|path| fs::read_to_string(path.join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// How often the kernel switched to each thread whose name begins with `prefix`.
pub(crate) fn context_switches(prefix: &str) -> u64 {
    tasks_of_this_process()
        .filter(|path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with(prefix))
        })
        .filter_map(|path| fs::read_to_string(path.join("status")).ok())
        .flat_map(|status| {
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            counts.map(number).collect::<Vec<_>>()
        })
        .sum()
}

fn tasks_of_this_process() -> impl Iterator<Item = std::path::PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs is mounted");
    tasks.filter_map(|entry| Some(entry.ok()?.path()))
}

/// A figure of `/proc/self/status`, in KiB.
pub(crate) fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is mounted");
    status.lines().find(|line| line.starts_with(field)).map_or(0, number)
}

/// Whether the page that holds `address` is in memory. Exact, where the counts in `status` also
/// move with the heap, and with a sanitizer's books.
pub(crate) fn is_present(address: usize) -> bool {
    const PRESENT: u64 = 1 << 63;
    // SAFETY: it only answers.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let mut entry = [0; 8];
    let pages = fs::File::open("/proc/self/pagemap").expect("procfs is mounted");
    let offset = address / page_bytes * entry.len();
    pages.read_exact_at(&mut entry, offset as u64).expect("an address of this process");
    u64::from_ne_bytes(entry) & PRESENT != 0
}

/// How many mappings this process has.
pub(crate) fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").expect("procfs is mounted").lines().count()
}

fn number(line: &str) -> u64 {
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// Lowers a limit of this process, for good: in a child.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the structure is initialised.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0, "a limit can be lowered");
}

/// The same, so that it can be raised again.
pub(crate) fn soft_limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is initialised.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0, "a soft limit can be changed");
}

/// Gives up root's rights, for good: in a child. There are limits that do not bind root.
pub(crate) fn become_ordinary_user() {
    // SAFETY: no pointers; the C library tells every thread.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setresgid(65_534, 65_534, 65_534), 0);
            assert_eq!(libc::setresuid(65_534, 65_534, 65_534), 0);
        }
    }
}
