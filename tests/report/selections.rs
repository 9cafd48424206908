//! Which pictures contact sheets show.

use std::collections::BTreeSet;

use imagerag::evaluation::report::{diversity, selections};

use crate::results::World;

#[test]
fn the_best_and_the_worst_come_first_and_the_random_ones_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(12).write(folder.path());
    let all = selections(&results, 3, 1);
    let named = |name: &str| all.iter().find(|selection| selection.name == name).unwrap();
    let best = named("cub-best-by-clip");
    assert_eq!(best.columns, ["OmniGen", "IR-O", "PixArt-Σ"]);
    assert_eq!(best.rows.len(), 3);
    // Class 4 and 9 have the most, 0.29 and 0.31.
    assert_eq!(best.rows[0].caption, "A photo of a tench 1: mean CLIP 0.300");
    assert!(best.rows[0].files[1].is_some() && best.rows[0].files[2].is_none());
    let worst = named("cub-worst-by-clip");
    assert!(worst.rows[0].caption.ends_with("mean CLIP 0.250"), "{}", worst.rows[0].caption);
    let improved = named("imagenet-most-improved-by-clip");
    assert!(
        improved.rows[0].caption.ends_with(": CLIP +0.020 by IR-O"),
        "{}",
        improved.rows[0].caption
    );
    let random = named("cub-chosen-randomly");
    assert_eq!(random.rows.len(), 3);
    assert_eq!(
        *random,
        *selections(&results, 3, 1).iter().find(|s| s.name == random.name).unwrap()
    );
    let others = selections(&results, 3, 2);
    assert!(others.iter().any(|s| s.name == random.name && s.rows != random.rows));
    let names: BTreeSet<_> = all.iter().map(|selection| &selection.name).collect();
    assert_eq!(names.len(), all.len());
    // There is one seed each.
    assert!(diversity(&results, 3).is_empty());
}

#[test]
fn seeds_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { seeds: vec![1, 2, 3], ..World::new(6) };
    let grids = diversity(&world.write(folder.path()), 2);
    let titles: Vec<_> = grids.iter().map(|grid| grid.title.as_str()).collect();
    let expected = [
        "OmniGen on CUB, several seeds",
        "OmniGen on ImageNet, several seeds",
        "IR-O on CUB, several seeds",
        "IR-O on ImageNet, several seeds",
    ];
    assert_eq!(titles, expected);
    assert_eq!(grids[0].columns, ["seed 1", "seed 2", "seed 3"]);
    assert_eq!((grids[0].rows.len(), grids[0].rows[0].files.len()), (2, 3));
    assert_eq!(grids[0].rows[0].caption, "A photo of a quetzal 1");
}
