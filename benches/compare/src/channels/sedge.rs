//! The batches in Sedge.

use sedge::{runtime::Builder, sync::channel, task::JoinHandle};

use super::{
    Runtime,
    blocking::{self, Blocking, Receiver, Sender},
    nothing_to_prepare,
};
use crate::machine::locked_version;

pub(super) const RUNTIME: Runtime = Runtime {
    name: "sedge",
    about: || locked_version("sedge"),
    prepare: nothing_to_prepare,
    many_workers: true,
    shorter: 1,
    tasks: Some(|_| "sedge"),
    run: |batch, workers| Builder::new().workers(workers).run(|| blocking::run::<Sedge>(batch))?,
};

struct Sedge;

impl Blocking for Sedge {
    type Task = JoinHandle<()>;

    fn spawn(task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        sedge::spawn(task)
    }

    fn join(task: JoinHandle<()>) {
        task.join().expect("it only sends and receives");
    }

    fn direct() -> (impl Sender, impl Receiver) {
        channel::bounded(0)
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        channel::unbounded()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        channel::bounded(capacity)
    }
}

impl Sender for channel::Sender<usize> {
    fn send(&self, message: usize) {
        self.send(message).expect("there is a receiver");
    }
}

impl Receiver for channel::Receiver<usize> {
    fn recv(&self) -> usize {
        self.recv().expect("there is a sender")
    }
}
