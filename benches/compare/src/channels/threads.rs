//! The batches among threads, which talk through crossbeam-channel.

use std::thread::{self, JoinHandle};

use super::{
    Runtime,
    blocking::{self, Blocking, Receiver, Sender},
    nothing_to_prepare,
};
use crate::machine::locked_version;

pub(super) const RUNTIME: Runtime = Runtime {
    name: "threads",
    about: || format!("crossbeam-channel {}", locked_version("crossbeam-channel")),
    prepare: nothing_to_prepare,
    many_workers: true,
    shorter: 10,
    tasks: None,
    run: |batch, _| blocking::run::<Threads>(batch),
};

struct Threads;

impl Blocking for Threads {
    type Task = JoinHandle<()>;

    fn spawn(task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        thread::spawn(task)
    }

    fn join(task: JoinHandle<()>) {
        task.join().expect("it only sends and receives");
    }

    fn direct() -> (impl Sender, impl Receiver) {
        crossbeam_channel::bounded(0)
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        crossbeam_channel::unbounded()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        crossbeam_channel::bounded(capacity)
    }
}

impl Sender for crossbeam_channel::Sender<usize> {
    fn send(&self, message: usize) {
        self.send(message).expect("there is a receiver");
    }
}

impl Receiver for crossbeam_channel::Receiver<usize> {
    fn recv(&self) -> usize {
        self.recv().expect("there is a sender")
    }
}
