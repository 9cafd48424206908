//! Results to the few pictures that are worth a look: best, worst, most improved, random, and grids of
//! seeds.

use fastrand::Rng;

use super::grid::{Grid, drawn};
use super::table::metric_name;
use crate::evaluation::experiment::{Ended, PictureRecord, Results};

/// Rows of pictures for a contact sheet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// A name for its file, such as `cub-clip-best`: of Latin letters, digits and hyphens, and different
    /// for each selection of one report.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What its columns are: systems or seeds.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<SelectionRow>,
}

/// Pictures of one prompt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelectionRow {
    /// The prompt, and what the row was chosen by.
    pub caption: String,
    /// One for each column: the file, relative to [`Results::folder`]; none where there is no picture.
    pub files: Vec<Option<String>>,
}

/// How many rows a selection has by default: as many as fit on a page.
pub const SELECTION_ROWS: usize = 8;

/// For each data set and metric the best, worst and most improved pictures, and for each data set
/// randomly chosen ones by `seed`: `rows` prompts each, with the pictures of all systems side by side.
///
/// Best and worst are by the mean over all systems that have a number for the prompt. Improved is by the
/// difference between a system and its base, for the system that has the largest one.
pub fn selections(results: &Results, rows: usize, seed: u64) -> Vec<Selection> {
    let grid = Grid::new(results);
    let mut selections = Vec::new();
    for dataset in 0..results.datasets.len() {
        for metric in 0..results.metrics.len() {
            selections.extend(by_metric(&grid, dataset, metric, rows));
        }
        let mut places = grid.places(dataset);
        places.retain(|place| has_picture(&grid, dataset, *place));
        Rng::with_seed(seed).shuffle(&mut places);
        let all = places.into_iter().map(|place| (place, String::new()));
        let title = format!("{}, chosen randomly", results.datasets[dataset].name);
        selections.extend(selection(&grid, dataset, title, all.take(rows)));
    }
    named_apart(selections)
}

/// The paper's figures 17 to 19: for each system and data set the pictures of one prompt with several
/// seeds, `rows` prompts that have at least two.
pub fn diversity(results: &Results, rows: usize) -> Vec<Selection> {
    let grid = Grid::new(results);
    let mut selections = Vec::new();
    for (system, name) in grid.systems.iter().enumerate() {
        for (dataset, set) in results.datasets.iter().enumerate() {
            let pictures = grid.pictures(system, dataset);
            let mut items: Vec<(&str, Vec<&PictureRecord>)> = Vec::new();
            for (&(item, _), &record) in
                pictures.iter().filter(|(_, record)| drawn(record).is_some())
            {
                match items.last_mut() {
                    Some((last, records)) if *last == item => records.push(record),
                    _ => items.push((item, vec![record])),
                }
            }
            items.retain(|(_, records)| records.len() > 1);
            items.truncate(rows);
            let most = items.iter().map(|(_, records)| records.len()).max().unwrap_or(0);
            if most == 0 {
                continue;
            }
            let row = |(_, records): &(&str, Vec<&PictureRecord>)| {
                let file = |at: usize| Some(drawn(records.get(at)?)?.file.clone());
                let caption = records[0].prompt.clone();
                SelectionRow { caption, files: (0..most).map(file).collect() }
            };
            let title = format!("{name} on {}, several seeds", set.name);
            let columns = (1..=most).map(|n| format!("seed {n}")).collect();
            let rows = items.iter().map(row).collect();
            selections.push(Selection { name: file_name(&title), title, columns, rows });
        }
    }
    named_apart(selections)
}

fn by_metric(grid: &Grid<'_>, dataset: usize, metric: usize, rows: usize) -> Vec<Selection> {
    let record = &grid.results.metrics[metric];
    let sign = if record.higher_is_better { 1.0 } else { -1.0 };
    let systems = 0..grid.systems.len();
    let value =
        |system: usize, place| grid.value(grid.pictures(system, dataset).get(&place)?, metric);
    let (mut means, mut gains) = (Vec::new(), Vec::new());
    for place in grid.places(dataset) {
        let values: Vec<f64> = systems.clone().filter_map(|system| value(system, place)).collect();
        if !values.is_empty() {
            means.push((place, values.iter().sum::<f64>() / values.len() as f64));
        }
        let gain =
            |system: usize| Some(value(system, place)? - value(grid.base(system, None)?, place)?);
        let most = systems.clone().filter_map(|system| Some((gain(system)?, system)));
        let most = most.max_by(|(a, _), (b, _)| (sign * a).total_cmp(&(sign * b)));
        gains.extend(most.filter(|(gain, _)| sign * gain > 0.0).map(|most| (place, most)));
    }
    means.sort_by(|(_, a), (_, b)| (sign * b).total_cmp(&(sign * a)));
    gains.sort_by(|(_, (a, _)), (_, (b, _))| (sign * b).total_cmp(&(sign * a)));
    let (set, name) = (&grid.results.datasets[dataset].name, metric_name(grid.results, metric));
    let decimals = record.decimals;
    let with = |&(place, mean): &(_, f64)| {
        (place, format!("mean {name} {}", super::table::number(mean, decimals)))
    };
    let gained = |&(place, (gain, system)): &(_, (f64, usize))| {
        (place, format!("{name} {gain:+.decimals$} by {}", grid.systems[system]))
    };
    let kinds = [
        ("best", means.iter().take(rows).map(with).collect::<Vec<_>>()),
        ("worst", means.iter().rev().take(rows).map(with).collect()),
        ("most improved", gains.iter().take(rows).map(gained).collect()),
    ];
    let titled =
        kinds.into_iter().map(|(kind, chosen)| (format!("{set}, {kind} by {name}"), chosen));
    titled.filter_map(|(title, chosen)| selection(grid, dataset, title, chosen)).collect()
}

fn selection<'a>(
    grid: &Grid<'a>,
    dataset: usize,
    title: String,
    places: impl IntoIterator<Item = ((&'a str, u64), String)>,
) -> Option<Selection> {
    let row = |(place, why): (_, String)| {
        let records: Vec<_> = (0..grid.systems.len())
            .map(|system| grid.pictures(system, dataset).get(&place).copied())
            .collect();
        let prompt = records.iter().flatten().next().map_or("", |record| &*record.prompt);
        let caption = if why.is_empty() { prompt.to_owned() } else { format!("{prompt}: {why}") };
        let file = |record: Option<&PictureRecord>| Some(drawn(record?)?.file.clone());
        SelectionRow { caption, files: records.into_iter().map(file).collect() }
    };
    let rows: Vec<_> = places.into_iter().map(row).collect();
    let (name, columns) = (file_name(&title), grid.systems.clone());
    (!rows.is_empty()).then_some(Selection { name, title, columns, rows })
}

fn has_picture(grid: &Grid<'_>, dataset: usize, place: (&str, u64)) -> bool {
    (0..grid.systems.len()).any(|system| {
        let record = grid.pictures(system, dataset).get(&place);
        record.is_some_and(|record| matches!(record.ended, Ended::Drawn(_)))
    })
}

/// Words as the name of a file on any system.
pub(super) fn file_name(words: &str) -> String {
    let mut name = String::new();
    for c in words.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ if !name.ends_with('-') && !name.is_empty() => name.push('-'),
            _ => {}
        }
    }
    // File systems have names of 255 bytes, some less.
    name.truncate(80);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "selection".to_owned() } else { name.to_owned() }
}

/// Gives those of one name numbers.
fn named_apart(mut selections: Vec<Selection>) -> Vec<Selection> {
    let mut taken = std::collections::BTreeSet::new();
    for selection in &mut selections {
        let name = selection.name.clone();
        let mut number = 1;
        while !taken.insert(selection.name.clone()) {
            number += 1;
            selection.name = format!("{name}-{number}");
        }
    }
    selections
}
