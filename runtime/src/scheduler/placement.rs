//! Where a fresh task starts, and so lives: a home is for life.
//!
//! An accept loop that runs what it spawns ends up with every connection. So workers publish how
//! many started tasks they have, and one that has clearly more than the least loaded hands its
//! fresh tasks to that one's inbox. Spawning and joining keeps the counts level, so it stays local.
//!
//! Looking at the others' counts costs a cache miss each, so the least loaded is remembered for a
//! few starts, or until the worker has polled (time has passed).

use super::{Remote, Shared};

/// How many starts one look at the counts serves.
const STARTS_PER_LOOK: u32 = 16;

/// A worker's view of where homes are scarce.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    starts_left: u32,
    /// The least loaded other worker, and its count at the last look plus what went there since.
    least: Option<(usize, usize)>,
}

/// Whether `mine` is clearly more than `least`: by two at least, and by an eighth.
pub(crate) fn clearly_more(mine: usize, least: usize) -> bool {
    mine > least + (least / 8).max(1)
}

impl Placement {
    /// Forgets what it saw: time has passed.
    pub(crate) fn invalidate(&mut self) {
        self.starts_left = 0;
    }

    /// The worker that should start a fresh task in place of `me`, which has `mine` started tasks.
    pub(crate) fn hand_over(&mut self, shared: &Shared, me: usize, mine: usize) -> Option<usize> {
        if self.starts_left == 0 {
            self.starts_left = STARTS_PER_LOOK;
            self.least = least_loaded(shared, me);
        }
        self.starts_left -= 1;
        let (least, count) = self.least.as_mut()?;
        if !clearly_more(mine, *count) || !shared.remote(*least).takes_homes() {
            return None;
        }
        *count += 1;
        Some(*least)
    }
}

fn least_loaded(shared: &Shared, me: usize) -> Option<(usize, usize)> {
    let others = shared.remotes().filter(|remote| remote.index() != me && remote.takes_homes());
    let loads = others.map(|remote| (remote.index(), load(remote)));
    loads.min_by_key(|&(_, load)| load)
}

/// Started tasks, and those that wait in the inbox to be started.
fn load(remote: &Remote) -> usize {
    remote.homes() + remote.inbox.len()
}

#[cfg(test)]
mod tests {
    use super::clearly_more;

    #[test]
    fn level_is_within_an_eighth() {
        assert!(!clearly_more(1, 0), "the root task and its child stay together");
        assert!(clearly_more(2, 0));
        assert!(!clearly_more(9, 8));
        assert!(!clearly_more(1125, 1000));
        assert!(clearly_more(1126, 1000));
    }
}
