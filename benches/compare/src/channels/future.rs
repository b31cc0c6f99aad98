//! The batches for futures on tokio: the same code for each kind of channel.

use std::{future::Future, hint::black_box, io::Write as _, sync::atomic::Ordering};

use anyhow::Result;

use super::{Batch, CAPACITY, CROWD, Job, LEFT, one_less_left};

pub(super) trait Sender: Send + Sync + 'static {
    fn send(&self, message: usize) -> impl Future<Output = ()> + Send;
}

pub(super) trait Receiver: Send + 'static {
    fn recv(&mut self) -> impl Future<Output = usize> + Send;
}

/// A kind of channels.
pub(super) trait Channels {
    /// From hand to hand, or what is nearest to it.
    fn direct() -> (impl Sender, impl Receiver);
    fn unbounded() -> (impl Sender, impl Receiver);
    /// For several of each.
    fn bounded(capacity: usize) -> (impl Sender + Clone, impl Receiver + Clone);
}

/// Runs one batch, called by the root.
pub(super) async fn run<C: Channels>(batch: Batch) -> Result<()> {
    let stopwatch = batch.stopwatch()?;
    match batch.job {
        Job::RoundTrip => round_trips::<C>(batch.count).await,
        Job::OneToOne => one_to_one::<C>(batch.count).await,
        Job::FourToFour => four_to_four::<C>(batch.share()).await,
        Job::Parked => parked::<C>(batch.count).await,
    }
    stopwatch.stop()?;
    // What is still parked goes with the process.
    std::io::stdout().flush()?;
    std::process::exit(0)
}

async fn round_trips<C: Channels>(count: usize) {
    let (questions, mut asked) = C::direct();
    let (answers, mut answered) = C::direct();
    let echo = tokio::spawn(async move {
        for _ in 0..count {
            answers.send(asked.recv().await).await;
        }
    });
    for n in 0..count {
        questions.send(n).await;
        assert_eq!(answered.recv().await, n);
    }
    echo.await.expect("it only sends and receives");
}

async fn one_to_one<C: Channels>(count: usize) {
    let (sender, mut receiver) = C::unbounded();
    let producer = tokio::spawn(async move {
        for n in 0..count {
            sender.send(n).await;
        }
    });
    for n in 0..count {
        assert_eq!(receiver.recv().await, n);
    }
    producer.await.expect("it only sends");
}

async fn four_to_four<C: Channels>(share: usize) {
    let (sender, receiver) = C::bounded(CAPACITY);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let (sender, mut receiver) = (sender.clone(), receiver.clone());
        crowd.push(tokio::spawn(async move {
            for n in 0..share {
                sender.send(n).await;
            }
        }));
        crowd.push(tokio::spawn(async move {
            for _ in 0..share {
                black_box(receiver.recv().await);
            }
        }));
    }
    for task in crowd {
        task.await.expect("it only sends or receives");
    }
}

/// Returns once all of them wait, or are about to.
async fn parked<C: Channels>(count: usize) {
    let (sender, receiver) = C::bounded(CAPACITY);
    let (last, mut all) = C::unbounded();
    let last: &_ = Box::leak(Box::new(last));
    LEFT.store(count, Ordering::Relaxed);
    for _ in 0..count {
        let mut receiver = receiver.clone();
        tokio::spawn(async move {
            if one_less_left() {
                last.send(0).await;
            }
            receiver.recv().await;
        });
    }
    all.recv().await;
    // They would see it go.
    std::mem::forget(sender);
}
