//! The batches for whatever sends and receives as plain code does: the same code for each.

use std::{
    hint::black_box,
    io::Write as _,
    sync::{Mutex, atomic::Ordering},
};

use anyhow::Result;

use super::{Batch, CAPACITY, CROWD, Job, LEFT, one_less_left};

pub(super) trait Sender: Send + 'static {
    fn send(&self, message: usize);
}

pub(super) trait Receiver: Send + 'static {
    fn recv(&self) -> usize;
}

/// What such a runtime offers.
pub(super) trait Blocking {
    type Task;

    fn spawn(task: impl FnOnce() + Send + 'static) -> Self::Task;
    fn join(task: Self::Task);
    /// From hand to hand, or what is nearest to it.
    fn direct() -> (impl Sender, impl Receiver);
    fn unbounded() -> (impl Sender, impl Receiver);
    /// For several of each.
    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone);
}

/// Runs one batch, called by the root.
pub(super) fn run<B: Blocking>(batch: Batch) -> Result<()> {
    let stopwatch = batch.stopwatch()?;
    match batch.job {
        Job::RoundTrip => round_trips::<B>(batch.count),
        Job::OneToOne => one_to_one::<B>(batch.count),
        Job::FourToFour => four_to_four::<B>(batch.share()),
        Job::Parked => parked::<B>(batch.count),
    }
    stopwatch.stop()?;
    // What is still parked goes with the process.
    std::io::stdout().flush()?;
    std::process::exit(0)
}

fn round_trips<B: Blocking>(count: usize) {
    let (questions, asked) = B::direct();
    let (answers, answered) = B::direct();
    let echo = B::spawn(move || (0..count).for_each(|_| answers.send(asked.recv())));
    for n in 0..count {
        questions.send(n);
        assert_eq!(answered.recv(), n);
    }
    B::join(echo);
}

fn one_to_one<B: Blocking>(count: usize) {
    let (sender, receiver) = B::unbounded();
    let producer = B::spawn(move || (0..count).for_each(|n| sender.send(n)));
    (0..count).for_each(|n| assert_eq!(receiver.recv(), n));
    B::join(producer);
}

fn four_to_four<B: Blocking>(share: usize) {
    let (sender, receiver) = B::bounded(CAPACITY);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        crowd.push(B::spawn(move || (0..share).for_each(|n| sender.send(n))));
        crowd.push(B::spawn(move || {
            (0..share).for_each(|_| {
                black_box(receiver.recv());
            });
        }));
    }
    crowd.into_iter().for_each(B::join);
}

/// Returns once all of them wait, or are about to.
fn parked<B: Blocking>(count: usize) {
    let (sender, receiver) = B::bounded(CAPACITY);
    let (last, all) = B::unbounded();
    let last: &Mutex<_> = Box::leak(Box::new(Mutex::new(last)));
    LEFT.store(count, Ordering::Relaxed);
    for _ in 0..count {
        let receiver = receiver.clone();
        B::spawn(move || {
            if one_less_left() {
                last.lock().expect("one only has it").send(0);
            }
            receiver.recv();
        });
    }
    all.recv();
    // They would see it go.
    std::mem::forget(sender);
}
