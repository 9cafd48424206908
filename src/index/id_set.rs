//! [`IdSet`]: a set of vectors' ids, as a bitmap.

use std::collections::BTreeMap;
use std::{fmt, iter};

/// A set of vectors' ids, as [`search_among`](super::VectorIndex::search_among) takes it. Dense ids
/// take one bit each; ids that are far apart take 512 bytes each.
///
/// ```
/// use imagerag::index::IdSet;
///
/// let free: IdSet = [3, 4, 9].into_iter().collect();
/// let mut left = IdSet::all(9); // 0 to 8
/// left.remove(4);
/// let both = left.intersection(&free);
/// assert_eq!(both.iter().collect::<Vec<_>>(), [3]);
/// assert!(free.contains(9) && !left.contains(9));
/// assert_eq!((left.len(), left.last()), (8, Some(8)));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IdSet {
    /// 4,096 neighboring ids each, by the number of the page; none is empty.
    pages: BTreeMap<u64, Page>,
    len: usize,
}

const WORDS: usize = 64;
const IDS_PER_PAGE: u64 = (WORDS * u64::BITS as usize) as u64;
type Page = [u64; WORDS];

impl IdSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { pages: BTreeMap::new(), len: 0 }
    }

    /// The ids from 0 to `count` - 1: all vectors of an index with the default ids.
    pub fn all(count: u64) -> Self {
        let mut set = Self::new();
        let whole = count / IDS_PER_PAGE;
        set.pages.extend((0..whole).map(|number| (number, [u64::MAX; WORDS])));
        set.len = (whole * IDS_PER_PAGE) as usize;
        set.extend(whole * IDS_PER_PAGE..count);
        set
    }

    /// Adds `id`; says whether it is new.
    pub fn insert(&mut self, id: u64) -> bool {
        let (page, word, bit) = place(id);
        let word = &mut self.pages.entry(page).or_insert([0; WORDS])[word];
        let new = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(new);
        new
    }

    /// Removes `id`; says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let (number, word, bit) = place(id);
        let Some(page) = self.pages.get_mut(&number) else { return false };
        let there = page[word] & bit != 0;
        page[word] &= !bit;
        self.len -= usize::from(there);
        if there && page.iter().all(|&word| word == 0) {
            self.pages.remove(&number);
        }
        there
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: u64) -> bool {
        let (page, word, bit) = place(id);
        self.pages.get(&page).is_some_and(|page| page[word] & bit != 0)
    }

    /// How many ids there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the set is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The highest id.
    pub fn last(&self) -> Option<u64> {
        let (number, page) = self.pages.last_key_value()?;
        let word = page.iter().rposition(|&word| word != 0)?;
        let bit = page[word].ilog2();
        Some(number * IDS_PER_PAGE + word as u64 * u64::from(u64::BITS) + u64::from(bit))
    }

    /// The ids that are in `other` too.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (&number, page) in &self.pages {
            let Some(others) = other.pages.get(&number) else { continue };
            let mut page = *page;
            page.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
            let ids: u32 = page.iter().map(|word| word.count_ones()).sum();
            if ids > 0 {
                both.pages.insert(number, page);
                both.len += ids as usize;
            }
        }
        both
    }

    /// The ids, rising.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.iter().flat_map(|(number, page)| {
            let words = page.iter().zip((number * IDS_PER_PAGE..).step_by(u64::BITS as usize));
            words.flat_map(|(&word, first)| {
                let rest = |word: u64| (word != 0).then_some(word);
                let rests = iter::successors(rest(word), move |word| rest(word & (word - 1)));
                rests.map(move |rest| first + u64::from(rest.trailing_zeros()))
            })
        })
    }

    /// One bit an id from 0 on, the lowest of a byte first; none where ids are too far apart for it.
    #[cfg(feature = "faiss")]
    pub(crate) fn to_bitmap(&self) -> Option<Vec<u8>> {
        /// A bitmap of this many pages is small, whatever is in it.
        const FEW: usize = 1_024;
        let highest = self.pages.last_key_value().map_or(0, |(&number, _)| number);
        let count = usize::try_from(highest).ok()? + 1;
        if count > self.pages.len().saturating_mul(64).max(FEW) {
            return None;
        }
        let mut bytes = vec![0; count * size_of::<Page>()];
        for (&number, page) in &self.pages {
            let place = &mut bytes[number as usize * size_of::<Page>()..][..size_of::<Page>()];
            for (place, word) in place.as_chunks_mut().0.iter_mut().zip(page) {
                *place = word.to_le_bytes();
            }
        }
        Some(bytes)
    }
}

/// The page, the word in it and the bit in that.
const fn place(id: u64) -> (u64, usize, u64) {
    let within = id % IDS_PER_PAGE;
    (id / IDS_PER_PAGE, (within / u64::BITS as u64) as usize, 1 << (within % u64::BITS as u64))
}

impl Extend<u64> for IdSet {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

impl FromIterator<u64> for IdSet {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut set = Self::new();
        set.extend(ids);
        set
    }
}

impl fmt::Debug for IdSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdSet({} ids)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_ids_up_to_a_count() {
        for count in [0, 1, 63, 64, 4_095, 4_096, 4_097, 10_000] {
            let set = IdSet::all(count);
            assert_eq!(set.len() as u64, count);
            assert!(set.iter().eq(0..count));
            assert_eq!(set, (0..count).collect());
            assert!(!set.contains(count));
        }
    }

    #[test]
    fn the_highest_id_costs_no_more_than_another() {
        let mut set = IdSet::from_iter([u64::MAX, 0]);
        assert!(set.contains(u64::MAX) && !set.contains(u64::MAX - 1));
        assert!(set.iter().eq([0, u64::MAX]));
        assert!(set.remove(u64::MAX) && !set.remove(u64::MAX));
        assert_eq!(set, IdSet::all(1));
    }

    proptest! {
        #[test]
        fn does_what_a_tree_of_ids_does(steps in prop::collection::vec((any::<bool>(), 0u64..9_000), 0..300)) {
            let (mut set, mut tree) = (IdSet::new(), BTreeSet::new());
            for (add, id) in steps {
                if add {
                    prop_assert_eq!(set.insert(id), tree.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), tree.remove(&id));
                }
                prop_assert_eq!(set.contains(id), add);
                prop_assert_eq!((set.len(), set.is_empty()), (tree.len(), tree.is_empty()));
            }
            prop_assert!(set.iter().eq(tree.iter().copied()));
            prop_assert_eq!(set.last(), tree.last().copied());
        }

        #[test]
        fn holds_in_common_what_trees_do(
            a in prop::collection::btree_set(0u64..9_000, 0..200),
            b in prop::collection::btree_set(0u64..9_000, 0..200),
        ) {
            let set = |tree: &BTreeSet<u64>| tree.iter().copied().collect::<IdSet>();
            prop_assert_eq!(set(&a).intersection(&set(&b)), a.intersection(&b).copied().collect());
        }
    }
}
