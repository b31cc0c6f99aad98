//! The batches in tokio: with its own channels, and with two libraries of channels that may have
//! several receivers. tokio's have one: where there are four, it is behind a lock.

use std::sync::Arc;

use anyhow::Result;
use tokio::{
    runtime::{Builder, Runtime as Tokio},
    sync::{Mutex, mpsc},
};

use super::{
    Batch, Runtime,
    future::{self, Channels, Receiver, Sender},
    nothing_to_prepare,
};
use crate::machine::locked_version;

pub(super) const CURRENT_THREAD: Runtime = Runtime {
    name: "tokio",
    about: || format!("its mpsc {}", locked_version("tokio")),
    prepare: nothing_to_prepare,
    many_workers: false,
    shorter: 1,
    tasks: Some(tasks),
    run: run::<Mpsc>,
};

pub(super) const MULTI_THREAD: Runtime = Runtime {
    name: "tokio-mt",
    about: || "the same on multi_thread".to_owned(),
    many_workers: true,
    tasks: Some(|_| "tokio-mt"),
    run: run_multi_thread::<Mpsc>,
    ..CURRENT_THREAD
};

pub(super) const ASYNC_CHANNEL: Runtime = Runtime {
    name: "async-channel",
    about: || format!("{} on tokio", locked_version("async-channel")),
    many_workers: true,
    run: run::<AsyncChannel>,
    ..CURRENT_THREAD
};

pub(super) const FLUME: Runtime = Runtime {
    name: "flume",
    about: || format!("{} on tokio", locked_version("flume")),
    many_workers: true,
    run: run::<Flume>,
    ..CURRENT_THREAD
};

/// On whichever of its schedulers is made for so many.
fn run<C: Channels + 'static>(batch: Batch, workers: usize) -> Result<()> {
    match workers {
        1 => run_on::<C>(&Builder::new_current_thread().build()?, batch),
        _ => run_multi_thread::<C>(batch, workers),
    }
}

fn run_multi_thread<C: Channels + 'static>(batch: Batch, workers: usize) -> Result<()> {
    run_on::<C>(&Builder::new_multi_thread().worker_threads(workers).build()?, batch)
}

/// The root is a task: the one that `block_on` is given is none, and is woken more slowly.
fn run_on<C: Channels + 'static>(runtime: &Tokio, batch: Batch) -> Result<()> {
    runtime.block_on(runtime.spawn(future::run::<C>(batch)))?
}

fn tasks(workers: usize) -> &'static str {
    if workers == 1 { "tokio" } else { "tokio-mt" }
}

struct Mpsc;

impl Channels for Mpsc {
    fn direct() -> (impl Sender, impl Receiver) {
        mpsc::channel(1)
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        mpsc::unbounded_channel()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, Arc::new(Mutex::new(receiver)))
    }
}

impl Sender for mpsc::Sender<usize> {
    async fn send(&self, message: usize) {
        self.send(message).await.expect("there is a receiver");
    }
}

impl Receiver for mpsc::Receiver<usize> {
    async fn recv(&mut self) -> usize {
        self.recv().await.expect("there is a sender")
    }
}

impl Sender for mpsc::UnboundedSender<usize> {
    async fn send(&self, message: usize) {
        self.send(message).expect("there is a receiver");
    }
}

impl Receiver for mpsc::UnboundedReceiver<usize> {
    async fn recv(&mut self) -> usize {
        self.recv().await.expect("there is a sender")
    }
}

impl Receiver for Arc<Mutex<mpsc::Receiver<usize>>> {
    async fn recv(&mut self) -> usize {
        self.lock().await.recv().await.expect("there is a sender")
    }
}

struct AsyncChannel;

impl Channels for AsyncChannel {
    fn direct() -> (impl Sender, impl Receiver) {
        async_channel::bounded(1)
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        async_channel::unbounded()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        async_channel::bounded(capacity)
    }
}

impl Sender for async_channel::Sender<usize> {
    async fn send(&self, message: usize) {
        self.send(message).await.expect("there is a receiver");
    }
}

impl Receiver for async_channel::Receiver<usize> {
    async fn recv(&mut self) -> usize {
        (*self).recv().await.expect("there is a sender")
    }
}

struct Flume;

impl Channels for Flume {
    fn direct() -> (impl Sender, impl Receiver) {
        flume::bounded(0)
    }

    fn unbounded() -> (impl Sender, impl Receiver) {
        flume::unbounded()
    }

    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone) {
        flume::bounded(capacity)
    }
}

impl Sender for flume::Sender<usize> {
    async fn send(&self, message: usize) {
        self.send_async(message).await.expect("there is a receiver");
    }
}

impl Receiver for flume::Receiver<usize> {
    async fn recv(&mut self) -> usize {
        self.recv_async().await.expect("there is a sender")
    }
}
