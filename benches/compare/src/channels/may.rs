//! The batches in `may`, whose channels have no bound: where one is asked for, a semaphore counts
//! the room.

#![expect(unsafe_code, reason = "may's spawn is an unsafe function")]

use std::sync::Arc;

use anyhow::Result;
use may::{
    coroutine::{self, JoinHandle},
    sync::{Semphore, mpmc, mpsc},
};

use super::{
    Batch, Runtime,
    blocking::{self, Blocking, Receiver, Sender},
    nothing_to_prepare,
};
use crate::machine::locked_version;

pub(super) const RUNTIME: Runtime = Runtime {
    name: "may",
    about: || format!("its mpsc and mpmc {}", locked_version("may")),
    prepare: nothing_to_prepare,
    many_workers: true,
    shorter: 1,
    tasks: Some(|_| "may"),
    run,
};

fn run(batch: Batch, workers: usize) -> Result<()> {
    may::config().set_workers(workers);
    let root = may::go!(move || blocking::run::<May>(batch));
    root.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct May;

impl Blocking for May {
    type Task = JoinHandle<()>;

    fn spawn(task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        // SAFETY: the tasks of `blocking` touch no thread-local on both sides of a wait, and use a
        // few hundred bytes of their stack.
        unsafe { coroutine::spawn(task) }
    }

    fn join(task: JoinHandle<()>) {
        task.join().expect("it only sends and receives");
    }

    fn direct() -> (impl Sender, impl Receiver) {
        mpsc::channel()
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        mpsc::channel()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        let (sender, receiver) = mpmc::channel();
        let room = Arc::new(Semphore::new(capacity));
        (Bounded { end: sender, room: room.clone() }, Bounded { end: receiver, room })
    }
}

/// An end of a channel, and how much room is left in it.
#[derive(Clone)]
struct Bounded<E> {
    end: E,
    room: Arc<Semphore>,
}

impl Sender for mpsc::Sender<usize> {
    fn send(&self, message: usize) {
        self.send(message).expect("there is a receiver");
    }
}

impl Receiver for mpsc::Receiver<usize> {
    fn recv(&self) -> usize {
        self.recv().expect("there is a sender")
    }
}

impl Sender for Bounded<mpmc::Sender<usize>> {
    fn send(&self, message: usize) {
        self.room.wait();
        self.end.send(message).expect("there is a receiver");
    }
}

impl Receiver for Bounded<mpmc::Receiver<usize>> {
    fn recv(&self) -> usize {
        let message = self.end.recv().expect("there is a sender");
        self.room.post();
        message
    }
}
