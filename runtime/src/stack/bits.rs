//! Sets of slots, a bit each.
use std::ops::Range;

pub(super) const WORD_BITS: usize = u64::BITS as usize;

/// A set of the numbers below a bound.
#[derive(Debug)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    pub(super) fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(WORD_BITS)].into_boxed_slice())
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0[number / WORD_BITS] & mask(number) != 0
    }

    pub(super) fn insert(&mut self, number: usize) {
        self.0[number / WORD_BITS] |= mask(number);
    }

    pub(super) fn remove(&mut self, number: usize) {
        self.0[number / WORD_BITS] &= !mask(number);
    }

    /// The members from `64 * index` on, as the bits of a word.
    pub(super) fn word(&self, index: usize) -> u64 {
        self.0[index]
    }

    pub(super) fn words(&self) -> usize {
        self.0.len()
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn clone_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }
}

/// Finds the lowest `least` or more consecutive numbers below `bound` whose bits are set in what
/// `word` returns. What is longer than `most` is cut there.
pub(super) fn find_run(
    bound: usize,
    least: usize,
    most: usize,
    word: impl Fn(usize) -> u64,
) -> Option<Range<usize>> {
    let mut start = 0;
    while start < bound {
        let rest = word(start / WORD_BITS) >> (start % WORD_BITS);
        if rest == 0 {
            start = (start / WORD_BITS + 1) * WORD_BITS;
            continue;
        }
        start += rest.trailing_zeros() as usize;
        let end = end_of_run(start, bound.min(start.saturating_add(most)), &word);
        if end - start >= least {
            return Some(start..end);
        }
        start = end + 1;
    }
    None
}

fn end_of_run(start: usize, bound: usize, word: impl Fn(usize) -> u64) -> usize {
    let mut end = start;
    while end < bound {
        // The shift brings zeros in from above, which end the ones at the word's end.
        let rest = word(end / WORD_BITS) >> (end % WORD_BITS);
        let ones = rest.trailing_ones() as usize;
        end += ones;
        if ones == 0 || end % WORD_BITS != 0 {
            break;
        }
    }
    end.min(bound)
}

fn mask(number: usize) -> u64 {
    1 << (number % WORD_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(bound: usize, least: usize, most: usize, set: &Bits) -> Option<Range<usize>> {
        let end = |start| (start..bound).find(|n| !set.contains(*n)).unwrap_or(bound);
        let mut start = 0;
        while start < bound {
            let end = end(start).min(start.saturating_add(most));
            if end > start && end - start >= least {
                return Some(start..end);
            }
            start = end.max(start) + 1;
        }
        None
    }

    #[test]
    fn runs_are_those_that_counting_finds() {
        let mut random = 1_u64;
        for round in 0..20_000 {
            let bound = 1 + round % 300;
            let mut set = Bits::new(bound);
            let mut member = false;
            for number in 0..bound {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                member ^= (random >> 33) % 20 == 0;
                if member {
                    set.insert(number);
                }
            }
            for (least, most) in [(1, 1), (1, 1000), (20, 70), (64, 64), (100, usize::MAX)] {
                let found = find_run(bound, least, most, |index| set.word(index));
                assert_eq!(found, slow(bound, least, most, &set), "{set:?}");
            }
        }
    }

    #[test]
    fn a_set_remembers() {
        let mut set = Bits::new(200);
        [0, 63, 64, 199].into_iter().for_each(|n| set.insert(n));
        set.remove(64);
        assert_eq!(set.len(), 3);
        assert!(set.contains(63) && !set.contains(64) && set.contains(199));
    }
}
