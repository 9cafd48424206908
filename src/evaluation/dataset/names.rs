//! A CSV file of two columns, identifiers and names, to names of classes.

use std::path::{Path, PathBuf};

use super::{Dataset, Notes, csv_quotes, files};
use crate::{Error, Result, lenient};

/// Names that the caller gives to classes.
#[derive(Debug)]
pub(super) struct Names {
    path: PathBuf,
    /// Line, identifier and name.
    rows: Vec<(u64, String, String)>,
}

impl Names {
    /// The name of the class `id`.
    pub(super) fn get(&self, id: &str) -> Option<&str> {
        self.rows.iter().find(|(_, known, _)| known == id).map(|(_, _, name)| &**name)
    }

    /// Leaves out those of other classes than `keep` says, which is noted.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool, notes: &mut Notes) {
        self.rows.retain(|(_, id, name)| {
            let kept = keep(id);
            if !kept {
                let what =
                    format!("names in {} of classes that are not there", self.path.display());
                notes.count(&what, format!("{id} {name}"));
            }
            kept
        });
    }
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Names> {
    const HEADERS: [&str; 10] = [
        "id",
        "class",
        "class_id",
        "classid",
        "category",
        "category_id",
        "wnid",
        "synset",
        "label",
        "key",
    ];
    let bytes = files::required(path)?;
    let text = lenient::text(&bytes);
    csv_quotes::check(path, &text, b',')?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows: Vec<(u64, String, String)> = Vec::new();
    for (at, row) in reader.records().enumerate() {
        let row = row.map_err(|error| Error::invalid_file(path, "names", "CSV", error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let what = || format!("line {line}");
        let [id, name] = row.iter().collect::<Vec<_>>()[..] else {
            let expected = "an identifier and a name (in quotation marks where it has a comma)";
            let found = format!("{} columns", row.len());
            return Err(Error::invalid_file(path, what(), expected, found));
        };
        if at == 0 && HEADERS.contains(&&*id.to_lowercase()) {
            continue;
        }
        if id.is_empty() || name.is_empty() {
            let found = row.iter().collect::<Vec<_>>().join(",");
            return Err(Error::invalid_file(path, what(), "an identifier and a name", found));
        }
        if rows.iter().any(|(_, known, _)| known == id) {
            return Err(Error::invalid_file(path, what(), "each identifier once", id));
        }
        rows.push((line, id.to_owned(), name.to_owned()));
    }
    if rows.is_empty() {
        return Err(Error::invalid_file(path, "names", "at least one", "none"));
    }
    Ok(Names { path: path.to_owned(), rows })
}

impl Dataset {
    /// The same with names of classes from the CSV file at `path`: two columns, the class's identifier and
    /// its name, with or without a line of headers (`id,name`). A name with a comma stands in quotation
    /// marks. Classes that the file does not name keep theirs. Prompts that were made from names are made
    /// again.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is no such file, or names a class
    /// that there is not.
    pub fn with_names(self, path: impl AsRef<Path>) -> Result<Self> {
        self.renamed(read(path.as_ref())?)
    }

    pub(super) fn renamed(mut self, names: Names) -> Result<Self> {
        let places: std::collections::HashMap<String, usize> =
            self.classes.iter().enumerate().map(|(at, class)| (class.id.clone(), at)).collect();
        let mut unknown = Notes::default();
        for (line, id, name) in names.rows {
            match places.get(&id) {
                Some(&at) => self.classes[at].name = name,
                None => {
                    let example = format!("{id} (line {line})");
                    unknown.count("identifiers that no class has", example);
                }
            }
        }
        if let Some(unknown) = unknown.into_lines().into_iter().next() {
            let ids = self.classes.iter().take(3).map(|class| &*class.id).collect::<Vec<_>>();
            let expected =
                format!("identifiers of classes of {}, such as {}", self.name, ids.join(", "));
            return Err(Error::invalid_file(names.path, "names", expected, unknown));
        }
        match self.template.clone() {
            Some(template) => self.with_prompts(template),
            None => Ok(self),
        }
    }
}
