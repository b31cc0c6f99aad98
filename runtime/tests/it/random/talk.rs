//! What the tasks of a random program talk with: channels, selections, locks, and the rest, shared
//! by all of them. Who holds a lock or a permit goes on with the program meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use sedge::sync::channel::{Receiver, Select, Sender, bounded, unbounded};
use sedge::sync::{Condvar, Mutex, Notify, RwLock, Semaphore, broadcast, oneshot, watch};
use sedge::task::{CancelToken, block_on};
use sedge_runtime as sedge;

use super::{Dice, Outcome, Value, World};
use crate::support::OnDrop;

const PERMITS: usize = 3;

/// What all tasks of a program share.
pub(super) struct Talk {
    /// Of no capacity, of one, and without a bound.
    channels: [(Sender<Value>, Receiver<Value>); 3],
    mutex: Mutex<()>,
    condvar: Condvar,
    rwlock: RwLock<()>,
    readers: AtomicUsize,
    writers: AtomicUsize,
    semaphore: Arc<Semaphore>,
    in_use: AtomicUsize,
    notify: Notify,
    broadcast: broadcast::Sender<Arc<Value>>,
    watch: watch::Sender<Option<Arc<Value>>>,
    token: CancelToken,
}

/// One more in a count while this lives.
fn enter(count: &AtomicUsize, amount: usize) -> (usize, impl Drop) {
    let now = count.fetch_add(amount, Ordering::SeqCst) + amount;
    (
        now,
        OnDrop(move || {
            count.fetch_sub(amount, Ordering::SeqCst);
        }),
    )
}

impl Talk {
    pub(super) fn new() -> Self {
        Self {
            channels: [bounded(0), bounded(1), unbounded()],
            mutex: Mutex::new(()),
            condvar: Condvar::new(),
            rwlock: RwLock::new(()),
            readers: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
            semaphore: Arc::new(Semaphore::new(PERMITS)),
            in_use: AtomicUsize::new(0),
            notify: Notify::new(),
            broadcast: broadcast::Sender::new(2),
            watch: watch::Sender::new(None),
            token: CancelToken::new(),
        }
    }

    /// The program has ended: nobody holds anything, or waits for it.
    pub(super) fn end(&self) {
        assert!(!matches!(self.mutex.try_lock(), Err(std::sync::TryLockError::WouldBlock)));
        assert!(!matches!(self.rwlock.try_write(), Err(std::sync::TryLockError::WouldBlock)));
        assert_eq!(self.semaphore.available_permits(), PERMITS);
        for (sender, receiver) in &self.channels {
            receiver.try_iter().for_each(drop);
            // Nobody is left in a line, and no slot is.
            let room = sender.capacity().is_none_or(|capacity| capacity > 0);
            let mut select = Select::new();
            select.send(sender);
            assert_eq!(select.try_ready().is_ok(), room);
            assert!(receiver.try_recv().is_err());
        }
    }

    pub(super) fn step(&self, world: &World, dice: &mut Dice, depth: usize) -> Outcome {
        let channel = &self.channels[dice.below(3) as usize];
        match dice.below(13) {
            0 | 1 => self.send(world, dice, &channel.0),
            2 | 3 => recv(dice, &channel.1),
            4 => return self.select(world, dice, depth),
            5 => self.select_some(world, dice),
            6 => {
                let _guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
                let (now, _inside) = enter(&self.writers, 1);
                assert_eq!(now, 1, "the mutex excludes");
                return world.act(dice, depth);
            }
            7 => {
                let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = self.condvar.wait_timeout(guard, dice.moment());
                drop(waited);
                self.condvar.notify_one();
            }
            8 if dice.below(2) == 0 => {
                let _guard = self.rwlock.read().unwrap_or_else(PoisonError::into_inner);
                let (_, _inside) = enter(&self.readers, 1);
                return world.act(dice, depth);
            }
            8 => {
                let _guard = self.rwlock.write().unwrap_or_else(PoisonError::into_inner);
                assert_eq!(self.readers.load(Ordering::SeqCst), 0, "a writer excludes");
                return world.act(dice, depth);
            }
            9 => {
                let amount = 1 + dice.below(PERMITS as u64) as u32;
                let permit = match dice.below(3) {
                    0 => self.semaphore.try_acquire_many(amount).ok(),
                    1 => self.semaphore.acquire_many_timeout(amount, dice.moment()).ok(),
                    _ => self.semaphore.acquire_many(amount).ok(),
                };
                let Some(_permit) = permit else { return Ok(()) };
                let (now, _inside) = enter(&self.in_use, amount as usize);
                assert!(now <= PERMITS, "there are no more permits");
                return world.act(dice, depth);
            }
            10 => match dice.below(3) {
                0 => self.notify.notify_one(),
                1 => self.notify.notify_waiters(),
                _ => drop(Some(self.notify.notified_timeout(dice.moment()))),
            },
            11 => {
                let (sender, mut receiver) = oneshot::channel();
                let value = world.value(dice);
                let sends = dice.below(3) > 0;
                let task = sedge::spawn(move || sends.then(|| sender.send(value)).is_some());
                drop(receiver.recv_timeout(dice.moment()));
                drop(task);
            }
            _ => self.tell_all(world, dice),
        }
        Ok(())
    }

    fn send(&self, world: &World, dice: &mut Dice, sender: &Sender<Value>) {
        let value = world.value(dice);
        match dice.below(5) {
            0 => drop(sender.try_send(value)),
            1 => drop(sender.send_timeout(value, dice.moment())),
            2 => drop(block_on(sender.send_async(value))),
            3 => drop(poll_once(sender.send_async(value))),
            _ => drop(sender.send(value)),
        }
    }

    fn select(&self, world: &World, dice: &mut Dice, depth: usize) -> Outcome {
        let [none, one, many] = &self.channels;
        sedge::select! {
            recv(none.1) -> value => drop(value),
            recv(one.1) -> value => drop(value),
            recv(many.1) -> value => drop(value),
            send(none.0, world.value(dice)) -> sent => drop(sent),
            send(one.0, world.value(dice)) -> sent => drop(sent),
            notified(self.notify) => {}
            cancelled(self.token) => unreachable!("nobody cancels it"),
            default(dice.moment()) => return world.act(dice, depth),
        }
        Ok(())
    }

    fn select_some(&self, world: &World, dice: &mut Dice) {
        let mut select = Select::new();
        let mut cases = Vec::new();
        for _ in 0..1 + dice.below(5) {
            let which = dice.below(3) as usize;
            let sends = dice.below(2) == 0;
            match sends {
                true => select.send(&self.channels[which].0),
                false => select.recv(&self.channels[which].1),
            };
            cases.push((which, sends));
        }
        let operation = match dice.below(4) {
            0 => select.try_select().ok(),
            1 => {
                let _ready = select.ready_timeout(dice.moment());
                None
            }
            2 => select.select_timeout(dice.moment()).ok(),
            _ => Some(select.select()),
        };
        let Some(operation) = operation else { return };
        match cases[operation.index()] {
            (which, true) => {
                drop(operation.send(&self.channels[which].0, world.value(dice)));
            }
            (which, false) => drop(operation.recv(&self.channels[which].1)),
        }
    }

    fn tell_all(&self, world: &World, dice: &mut Dice) {
        match dice.below(4) {
            0 => drop(self.broadcast.send(Arc::new(world.value(dice)))),
            1 => {
                let mut receiver = self.broadcast.subscribe();
                drop(receiver.recv_timeout(dice.moment()));
                drop(receiver.try_recv());
            }
            2 => drop(self.watch.send_replace(Some(Arc::new(world.value(dice))))),
            _ => {
                let mut receiver = self.watch.subscribe();
                let _changed = receiver.changed_timeout(dice.moment());
                let seen = receiver.borrow_and_update().clone();
                drop(seen);
            }
        }
    }
}

fn recv(dice: &mut Dice, receiver: &Receiver<Value>) {
    match dice.below(5) {
        0 => drop(receiver.try_recv()),
        1 => drop(receiver.recv_timeout(dice.moment())),
        2 => drop(block_on(receiver.recv_async())),
        3 => drop(poll_once(receiver.recv_async())),
        _ => drop(receiver.recv()),
    }
}

/// Polls a future once, and drops it.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
