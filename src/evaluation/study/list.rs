//! Items to what each participant sees: balanced lists with order and sides.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::published::Shown;

/// Lists of `per_list` of `groups.len()` screens, until each screen is in `votes` of them at least.
///
/// As in a Latin square, a screen is in each place of a list, and on each side, about equally often. A list
/// has as few screens of one group, such as those of one prompt, as it can without more lists for that:
/// one where there are enough groups.
/// `checks` are inserted at random places behind the first, in turns.
pub(super) fn lists(
    groups: &[usize],
    per_list: usize,
    votes: usize,
    checks: &[usize],
    checks_per_list: usize,
    random: &mut Rng,
) -> Vec<Vec<Shown>> {
    let n = groups.len();
    let per_list = per_list.min(n);
    if per_list == 0 {
        return Vec::new();
    }
    let mut seen = vec![0; n];
    let mut places = vec![vec![0_usize; per_list]; n];
    let mut sizes = BTreeMap::<usize, usize>::new();
    groups.iter().for_each(|group| *sizes.entry(*group).or_default() += 1);
    let largest = sizes.into_values().max().unwrap_or(1);
    let per_group = (largest * per_list).div_ceil(n);
    let first_side: Vec<bool> = (0..n).map(|_| random.bool()).collect();
    let mut queue = Vec::new();
    let mut lists = Vec::new();
    let mut check = 0;
    while seen.iter().any(|&count| count < votes) {
        let block = block(groups, per_list, per_group, &mut queue, random);
        let mut list = Vec::with_capacity(per_list + checks_per_list);
        for screen in in_places(block, &mut places) {
            list.push(Shown { screen, swapped: first_side[screen] ^ (seen[screen] % 2 == 1) });
            seen[screen] += 1;
        }
        for _ in 0..checks_per_list.min(checks.len()) {
            let shown = Shown { screen: checks[check % checks.len()], swapped: random.bool() };
            list.insert(random.usize(1..=list.len()), shown);
            check += 1;
        }
        lists.push(list);
    }
    lists
}

/// The next `size` different screens of the queue, at most `per_group` of one group. The queue is filled
/// with all in a new order when it has none of them.
fn block(
    groups: &[usize],
    size: usize,
    per_group: usize,
    queue: &mut Vec<usize>,
    random: &mut Rng,
) -> Vec<usize> {
    let mut block: Vec<usize> = Vec::with_capacity(size);
    while block.len() < size {
        let of_group =
            |screen: usize| block.iter().filter(|&&other| groups[other] == groups[screen]).count();
        let may_come = |&(_, screen): &(usize, &usize)| {
            !block.contains(screen) && of_group(*screen) < per_group
        };
        let place = queue.iter().enumerate().filter(may_come).min_by_key(|(_, s)| of_group(**s));
        match place.map(|(place, _)| place) {
            Some(place) => block.push(queue.remove(place)),
            None => {
                let mut all: Vec<usize> = (0..groups.len()).collect();
                random.shuffle(&mut all);
                queue.extend(all);
            }
        }
    }
    block
}

/// `block` in an order in which each screen is where it was least often before.
fn in_places(mut block: Vec<usize>, places: &mut [Vec<usize>]) -> Vec<usize> {
    (0..block.len())
        .map(|place| {
            let least = (0..block.len()).min_by_key(|&i| places[block[i]][place]).unwrap_or(0);
            let screen = block.remove(least);
            places[screen][place] += 1;
            screen
        })
        .collect()
}
