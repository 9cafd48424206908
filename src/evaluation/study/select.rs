//! Results to the pictures that a study shows.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;

use super::key::Role;
use super::settings::{Study, StudyKind};
use crate::Result;
use crate::error::require;
use crate::evaluation::dataset::{Dataset, RealImage, Split};
use crate::evaluation::experiment::{Drawing, Ended, PictureRecord, Results};
use crate::reference::Source;

/// The pictures of one screen.
pub(super) struct Chosen<'a> {
    pub pictures: Vec<System<'a>>,
}

/// A picture, and who drew it.
#[derive(Clone, Copy)]
pub(super) struct System<'a> {
    pub role: Role,
    pub record: &'a PictureRecord,
    pub drawing: &'a Drawing,
    /// The system that it is compared with.
    pub base: Option<&'a str>,
}

/// The screens of all pairs, and what was left out: a line each.
pub(super) fn choose<'a>(
    study: &'a Study,
    results: &'a Results,
    random: &mut Rng,
) -> Result<(Vec<Chosen<'a>>, Vec<String>)> {
    let (mut screens, mut left_out) = (Vec::new(), Vec::new());
    for (base, method) in pairs(study, results)? {
        let (mut pairs, notes) = pictures_of(study, results, base, method);
        left_out.extend(notes);
        if let Some(limit) = study.items_per_pair.filter(|&limit| limit < pairs.len()) {
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            random.shuffle(&mut order);
            let mut kept: Vec<usize> = order.into_iter().take(limit).collect();
            kept.sort_unstable();
            pairs = kept.into_iter().map(|i| pairs[i]).collect();
        }
        screens.extend(pairs.into_iter().map(|pair| Chosen { pictures: pair.into() }));
    }
    if study.kind == StudyKind::Absolute {
        screens = one_by_one(screens);
    }
    let found = format!("none; {}", left_out.join("; "));
    require(!screens.is_empty(), "items of a study", "at least one to show", found)?;
    Ok((screens, left_out))
}

/// The pairs of systems, each of which the results must have.
fn pairs<'a>(study: &'a Study, results: &'a Results) -> Result<Vec<(&'a str, &'a str)>> {
    let known = |name: &str| results.systems.iter().any(|system| system.name == name);
    let names = || {
        let names: Vec<&str> = results.systems.iter().map(|system| system.name.as_str()).collect();
        names.join(", ")
    };
    for (base, method) in &study.pairs {
        for name in [base, method] {
            require(known(name), "system of a study", format!("one of {}", names()), name)?;
        }
    }
    let given: Vec<_> = study.pairs.iter().map(|(b, m)| (b.as_str(), m.as_str())).collect();
    if !given.is_empty() {
        return Ok(given);
    }
    let with_base = results.systems.iter().filter_map(|system| {
        let base = system.base.as_deref().filter(|base| known(base))?;
        (base != system.name).then_some((base, system.name.as_str()))
    });
    let found: Vec<_> = with_base.collect();
    let expected = "pairs, or systems in the results that have a base among them";
    require(!found.is_empty(), "systems of a study", expected, names())?;
    Ok(found)
}

type Pair<'a> = [System<'a>; 2];

/// What both systems drew for the same item and seed.
fn pictures_of<'a>(
    study: &Study,
    results: &'a Results,
    base: &'a str,
    method: &str,
) -> (Vec<Pair<'a>>, Vec<String>) {
    type Records<'a> = BTreeMap<(&'a str, &'a str, u64), &'a PictureRecord>;
    let of = |system: &str| -> Records<'a> {
        let records = results.pictures.iter().filter(|record| record.system == system);
        records.map(|r| ((r.dataset.as_str(), r.item.as_str(), r.seed), r)).collect()
    };
    let (bases, methods) = (of(base), of(method));
    let (mut pairs, mut unpaired, mut same) = (Vec::new(), 0, 0);
    for record in results.pictures.iter().filter(|record| record.system == base) {
        let key = (record.dataset.as_str(), record.item.as_str(), record.seed);
        let other = methods.get(&key).copied();
        let drawn = drawing(record).zip(other).and_then(|(a, b)| Some((a, b, drawing(b)?)));
        let Some((first, other, second)) = drawn else {
            unpaired += 1;
            continue;
        };
        if study.only_changed && first.picture.hash == second.picture.hash {
            same += 1;
            continue;
        }
        pairs.push([
            System { role: Role::Base, record, drawing: first, base: None },
            System { role: Role::Method, record: other, drawing: second, base: Some(base) },
        ]);
    }
    unpaired += methods.keys().filter(|key| !bases.contains_key(*key)).count();
    let notes = [
        (unpaired, "without a picture of both"),
        (same, "with the same picture of both: nothing to compare"),
    ];
    let notes = notes.into_iter().filter(|(count, _)| *count > 0);
    (pairs, notes.map(|(n, why)| format!("{base} and {method}: {n} items {why}")).collect())
}

fn drawing(record: &PictureRecord) -> Option<&Drawing> {
    match &record.ended {
        Ended::Drawn(drawing) => Some(drawing),
        Ended::Failed { .. } => None,
    }
}

/// Every picture of the pairs by itself, and once, although several pairs may have it.
fn one_by_one(screens: Vec<Chosen<'_>>) -> Vec<Chosen<'_>> {
    let mut seen = BTreeMap::new();
    let mut single: Vec<System<'_>> = Vec::new();
    for picture in screens.into_iter().flat_map(|screen| screen.pictures) {
        let record = picture.record;
        let key = (&record.system, &record.dataset, &record.item, record.seed);
        let place = *seen.entry(key).or_insert(single.len());
        match single.get_mut(place) {
            Some(known) => known.base = known.base.or(picture.base),
            None => single.push(System { role: Role::Rated, ..picture }),
        }
    }
    single.into_iter().map(|picture| Chosen { pictures: vec![picture] }).collect()
}

/// The real images that may stand beside the pictures of an item, the best first: those of its own
/// before those of its class, of a test set before others, and none that a picture was drawn with.
pub(super) fn photos<'a>(
    datasets: &'a [Dataset],
    pictures: &[System<'_>],
    random: &mut Rng,
) -> Vec<&'a RealImage> {
    let Some(record) = pictures.first().map(|picture| picture.record) else { return Vec::new() };
    let Some(dataset) = datasets.iter().find(|dataset| dataset.name == record.dataset) else {
        return Vec::new();
    };
    let of_item = dataset.items.iter().find(|item| item.id == record.item);
    let of_item = of_item.map_or(&[][..], |item| &item.images);
    let of_class = record.class.as_deref().and_then(|class| dataset.class(class));
    let of_class = of_class.map_or(&[][..], |class| &class.images);
    let images = if of_item.is_empty() { of_class } else { of_item };
    let used: Vec<&Path> = pictures
        .iter()
        .flat_map(|picture| &picture.drawing.references)
        .filter_map(|reference| match &reference.provenance.source {
            Source::Uri(uri) => Some(Path::new(uri.trim_start_matches("file://"))),
            _ => None,
        })
        .collect();
    let is_unused = |image: &&RealImage| {
        image.path.as_deref().is_none_or(|path| !used.iter().any(|used| path.ends_with(used)))
    };
    let mut images: Vec<&RealImage> = images.iter().filter(is_unused).collect();
    random.shuffle(&mut images);
    images.sort_by_key(|image| match image.split {
        Some(Split::Test) => 0,
        Some(Split::Validation) => 1,
        None => 2,
        Some(Split::Train) => 3,
    });
    images
}

/// What the real images of an item show, in words.
pub(super) fn concept(
    results: &Results,
    datasets: &[Dataset],
    record: &PictureRecord,
) -> Option<String> {
    let class = record.class.as_deref()?;
    let recorded = results.datasets.iter().find(|dataset| dataset.name == record.dataset);
    let recorded = recorded.and_then(|dataset| dataset.classes.get(class)).cloned();
    let read = || datasets.iter().find(|d| d.name == record.dataset)?.class(class);
    recorded.or_else(|| Some(read()?.name.clone()))
}
