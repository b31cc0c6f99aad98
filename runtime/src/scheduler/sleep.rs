//! How a worker without work falls asleep, and what it does first when it is awake.
//!
//! The order is the protocol (argued in `README.md` beside this file): it counts itself among the
//! sleepers, marks its mailbox, looks once more at everything that others fill, and only then
//! waits.

use std::time::{Duration, Instant};

use super::Worker;

impl Worker {
    /// Sleeps until an event, a message, a timer, new work that it was chosen for, or `done`.
    pub(super) fn sleep(&self, done: &impl Fn(&Self) -> bool) {
        if self.spin_before_sleep() {
            return;
        }
        self.shrink();
        if !self.takes_fresh() {
            self.stop_searching();
            self.wait(done);
        } else {
            let index = self.remote.index();
            let searching = self.searching.replace(false);
            if self.shared.idle.start_sleeping(index, searching) && self.sees_fresh_work() {
                // The last searcher: whoever submitted that relied on it.
                self.shared.wake_one();
            }
            self.wait(done);
            self.searching.set(self.shared.idle.stop_sleeping(index));
        }
        self.take_mail();
    }

    fn wait(&self, done: &impl Fn(&Self) -> bool) {
        if self.remote.mailbox().prepare_to_sleep() {
            // `done` may have made tasks ready, by cancelling them.
            let look_again = done(self) || self.has_ready() || self.may_take_fresh();
            let timeout = if look_again { Some(Duration::ZERO) } else { self.timeout() };
            self.poll(timeout);
            self.remote.mailbox().finish_sleeping();
            self.shared.monitor.notice_work();
        }
    }

    fn may_take_fresh(&self) -> bool {
        let empty = self.remote.inbox.is_empty() && self.shared.injector.is_empty();
        self.takes_fresh() && !empty
    }

    /// How long it may sleep: until the next timer, unless the alarm rings for that, or what the
    /// caller of the loop allows.
    fn timeout(&self) -> Option<Duration> {
        let limit = self.sleep_limit.get();
        let limit = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        let timer = self.remote.timers.next(&self.pending).and_then(|next| match &self.chance {
            Some(chance) => Some(self.sleep_by_chance(chance, next.left())),
            None => (!self.alarm.rings_for(next, &self.poller)).then(|| next.left()),
        });
        timer.into_iter().chain(limit).min()
    }
}
