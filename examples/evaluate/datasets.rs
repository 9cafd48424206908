//! Data sets of a run file to what they hold.

use std::error::Error;

use imagerag::evaluation::dataset::{self, Dataset, DatasetKind, OpenOptions};

use crate::run_file::{DatasetTable, RunFile};

/// Every data set of `file`; what their readers left out is told.
pub(crate) fn datasets(file: &RunFile) -> Result<Vec<Dataset>, Box<dyn Error>> {
    let mut all = Vec::new();
    for table in &file.datasets {
        let dataset = open(table, file).map_err(|error| {
            format!("data set {}: {}", table.name, imagerag::Chain::new(&error))
        })?;
        for note in &dataset.notes {
            eprintln!("{}: {note}", dataset.name);
        }
        all.push(dataset);
    }
    Ok(all)
}

fn open(table: &DatasetTable, file: &RunFile) -> imagerag::Result<Dataset> {
    let path = file.path(&table.path);
    let kind = table.kind.map_or_else(|| DatasetKind::guess(&path), Ok)?;
    let mut options = OpenOptions::default().with_level(table.level);
    options.split = table.split;
    options.names = table.names.as_deref().map(|names| file.path(names));
    options.common_names = table.common_names;
    let mut dataset = dataset::open(kind, path, &options)?;
    dataset.name.clone_from(&table.name);
    if let Some(first) = table.first {
        dataset = dataset.take(first)?;
    }
    if let Some(sample) = table.sample {
        dataset = dataset.sample(sample, table.sample_seed)?;
    }
    match &table.prompt {
        Some(template) => dataset.with_prompts(template),
        None => Ok(dataset),
    }
}
