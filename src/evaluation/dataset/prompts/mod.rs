//! A list of prompts, in any of its usual forms, to a [`Dataset`].

mod json;
mod row;
mod table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Class, Dataset, DatasetKind, Item, Notes, files};
use crate::{Error, Result, lenient};
use row::{References, Row};

/// The form of a list, by its ending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Tsv,
    JsonLines,
    Json,
    Lines,
}

fn form(path: &Path) -> Option<Form> {
    let name = files::name(path);
    crate::folder::kind::left_out(&name).is_none().then_some(())?;
    let (_, ending) = name.rsplit_once('.')?;
    Some(match &*ending.to_lowercase() {
        "csv" => Form::Csv,
        "tsv" | "tab" => Form::Tsv,
        "jsonl" | "ndjson" => Form::JsonLines,
        "json" => Form::Json,
        "txt" => Form::Lines,
        _ => return None,
    })
}

/// What kind of list is at `path`, a file or a folder with one JSON file; none where there is no list.
pub(super) fn kind(path: &Path) -> Result<Option<DatasetKind>> {
    let file = match path.is_dir() {
        true => match &lists(path, true)?[..] {
            [file] => file.clone(),
            _ => return Ok(None),
        },
        false => path.to_owned(),
    };
    let Some(form) = form(&file) else { return Ok(None) };
    if form != Form::Json {
        return Ok(Some(DatasetKind::Prompts));
    }
    Ok(json::kind(&file)?.filter(|kind| !path.is_dir() || *kind != DatasetKind::Prompts))
}

/// The lists in `folder`; only those of JSON.
fn lists(folder: &Path, only_json: bool) -> Result<Vec<PathBuf>> {
    let is_list = |path: &PathBuf| match form(path) {
        Some(form) => (form == Form::Json || !only_json) && path.is_file(),
        None => false,
    };
    Ok(crate::folder::walk::list(folder)?.into_iter().filter(is_list).collect())
}

pub(super) fn open(kind: DatasetKind, path: &Path, notes: &mut Notes) -> Result<Dataset> {
    let only_json = kind != DatasetKind::Prompts;
    let file = match path.is_dir() {
        false => path.to_owned(),
        true => match &lists(path, only_json)?[..] {
            [file] => file.clone(),
            found => {
                let expected = match only_json {
                    true => "one .json file, or its path instead of the folder's",
                    false => {
                        "one .csv, .tsv, .jsonl, .json or .txt file of prompts, or its path instead of the \
                         folder's"
                    }
                };
                let names: Vec<String> = found.iter().map(|file| files::name(file)).collect();
                return Err(match names.is_empty() {
                    true => files::nothing_there(path, expected),
                    false => {
                        Error::invalid_file(path, "lists of prompts", expected, names.join(", "))
                    }
                });
            }
        },
    };
    let name = match kind {
        DatasetKind::KnowGen => "KnowGen".to_owned(),
        DatasetKind::FactIp => "FactIP".to_owned(),
        _ => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let bytes = files::required(&file)?;
    let form = form(&file).ok_or_else(|| {
        let expected = "a .csv, .tsv, .jsonl, .json or .txt file";
        Error::invalid_file(&file, "list of prompts", expected, "another ending")
    })?;
    let rows = match form {
        Form::Csv => table::csv(&file, &lenient::text(&bytes), notes)?,
        Form::Tsv => table::tsv(&file, &lenient::text(&bytes), notes)?,
        Form::JsonLines => json::lines(&file, &lenient::text(&bytes))?,
        Form::Json => json::whole(&file, &bytes)?,
        Form::Lines => {
            let lines = files::text_lines(&lenient::text(&bytes)).into_iter();
            lines.map(|line| Row::of_prompt(format!("line {}", line.number), line.text)).collect()
        }
    };
    dataset(name, &file, rows, notes)
}

/// The data set of the rows of `file`.
fn dataset(name: String, file: &Path, rows: Vec<Row>, notes: &mut Notes) -> Result<Dataset> {
    let mut dataset = Dataset::new(name);
    let mut references = References::of(file);
    let (mut classes, mut unread, mut ids) = (HashSet::new(), BTreeSet::new(), HashMap::new());
    for (at, row) in rows.into_iter().enumerate() {
        let Some(prompt) = row.prompt() else {
            notes.count("rows without a prompt", row.place());
            continue;
        };
        // GenEval's folders are counted so.
        let mut item = Item::new(row.id().unwrap_or_else(|| format!("{at:05}")), prompt);
        if let Some(other) = ids.insert(item.id.clone(), row.place().to_owned()) {
            let found = format!("{}, which {other} has too", item.id);
            let expected = "an identifier that no other row has";
            return Err(Error::invalid_file(file, row.place(), expected, found));
        }
        item.seed = row.seed(file)?;
        item.category = row.category();
        item.class = row.class();
        if let Some(class) = &item.class
            && classes.insert(class.clone())
        {
            dataset.classes.push(Class::new(class, class));
        }
        item.images = references.images(&row, notes);
        unread.extend(row.unread().map(str::to_owned));
        dataset.items.push(item);
    }
    if !unread.is_empty() {
        let names: Vec<String> = unread.into_iter().collect();
        notes.say(format!("columns or fields that are not read: {}", names.join(", ")));
    }
    if dataset.items.is_empty() {
        return Err(Error::invalid_file(file, "prompts", "at least one", "none"));
    }
    Ok(dataset)
}
