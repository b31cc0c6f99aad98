//! Where entries live: a process-wide slab whose pages are never freed.
//!
//! epoll gives back a number, and the source that the number stood for may be gone by then. An
//! entry is therefore never freed, only given to the next source, and it always *is* an entry: a
//! late event reads its generation, without `unsafe`, and finds out. Go's `pollDesc` does the same.
//!
//! The price is that the slab keeps the size of its peak: an entry for each source that has ever
//! waited at the same time as the others.
//!
//! Designs rejected: `Arc` pointers in the token (an event that is in flight would need a count
//! that nobody can drop), a slab for each runtime (a source may outlive its runtime and wait in
//! another).

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::entry::Entry;

/// Pages come in groups of [`STEPS`] equal ones, and each group holds twice as many entries as the
/// one before: so that the pages together hold every `u32`, and at most an eighth of them is
/// unused.
const FIRST_GROUP: usize = 64;
const STEPS: usize = 8;
const GROUPS: usize = 26;
const PAGES: usize = GROUPS * STEPS;

static SLAB: [OnceLock<Box<[Entry]>>; PAGES] = [const { OnceLock::new() }; PAGES];
static FREE: Mutex<FreeList> = Mutex::new(FreeList { indices: Vec::new(), pages: 0 });

/// The entries that have no source. Last in, first out: the next source gets a warm one.
struct FreeList {
    indices: Vec<u32>,
    pages: usize,
}

/// Takes an entry that no source has.
pub(super) fn allocate() -> &'static Entry {
    let mut free = FREE.lock();
    if free.indices.is_empty() {
        free.add_page();
    }
    let index = free.indices.pop().expect("a page was just added");
    drop(free);
    entry(index).expect("a free entry's page is there")
}

/// Gives an entry back. Its generation has ended.
pub(super) fn release(entry: &'static Entry) {
    FREE.lock().indices.push(entry.index());
}

/// The entry of this number, if there has ever been one.
pub(super) fn entry(index: u32) -> Option<&'static Entry> {
    let position = index as usize + FIRST_GROUP;
    let group = (position / FIRST_GROUP).ilog2() as usize;
    let offset = position - (FIRST_GROUP << group);
    let page_len = page_len(group);
    SLAB.get(group * STEPS + offset / page_len)?.get()?.get(offset % page_len)
}

/// How many entries each page of a group holds.
fn page_len(group: usize) -> usize {
    (FIRST_GROUP << group) / STEPS
}

/// Every entry that there is, those of no source included.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    SLAB.iter().map_while(OnceLock::get).flatten()
}

impl FreeList {
    #[cold]
    fn add_page(&mut self) {
        let page = self.pages;
        assert!(page < PAGES, "2^32 sources wait at the same time");
        let (group, step) = (page / STEPS, page % STEPS);
        let first = (FIRST_GROUP << group) - FIRST_GROUP + step * page_len(group);
        let indices = first as u32..(first + page_len(group)) as u32;
        let entries = indices.clone().map(Entry::new).collect();
        SLAB[page].set(entries).expect("pages are added under the free list's lock");
        self.pages += 1;
        // The lowest number is taken first.
        self.indices.extend(indices.rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_its_own_entry() {
        let held: Vec<_> = (0..FIRST_GROUP * 20).map(|_| allocate()).collect();
        for one in &held {
            assert!(std::ptr::eq(entry(one.index()).unwrap(), *one));
        }
        assert!(entry(u32::MAX).is_none());
        assert!(all().count() >= held.len());
        assert!(all().enumerate().all(|(i, entry)| entry.index() as usize == i));
        held.into_iter().for_each(release);
    }
}
