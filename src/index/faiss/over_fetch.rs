//! A filter to the number of neighbors that a GPU is asked for, so that enough of them pass.

/// The most neighbors, and the most lists to visit, of FAISS on a GPU (`GPU_MAX_SELECTION_K`).
pub(crate) const MOST: usize = 2_048;

/// Neighbors to ask for, of `held` vectors of which `findable` pass the filter, so that `wanted` of
/// those are likely among them, and one more, which shows whether the last score is shared by others;
/// none where that is more than a GPU finds.
pub(crate) fn candidates(wanted: usize, findable: usize, held: usize) -> Option<usize> {
    let least = wanted.saturating_add(1);
    let most = MOST.min(held);
    if findable >= held {
        return Some(least.min(held)).filter(|&k| k <= MOST);
    }
    // Twice as many as pass on average, for neighbors are alike in what filters look at.
    let likely = 2 * least as u128 * held as u128 / findable.max(1) as u128;
    usize::try_from(likely).ok().map(|k| k.min(held)).filter(|&k| k <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_widens_the_search_until_the_gpu_finds_no_more() {
        for (wanted, findable, held, expected) in [
            (10, 100_000, 100_000, Some(11)),
            (10, 50_000, 100_000, Some(44)),
            (10, 1_100, 100_000, Some(2_000)),
            (10, 1_000, 100_000, None),
            (10, 10, 100_000, None),
            (2_047, 100_000, 100_000, Some(2_048)),
            (2_048, 100_000, 100_000, None),
            (2_048, 2_048, 2_048, Some(2_048)),
            (300, 300, 300, Some(300)),
            (200, 200, 300, Some(300)),
            (usize::MAX, 5_000, 5_000, None),
        ] {
            let found = candidates(wanted, findable, held);
            assert_eq!(found, expected, "{wanted} of {findable} of {held}");
        }
    }
}
