//! Files of traces to what the page shows of them, long texts that they share once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json as object};

use super::pictures::within;
use crate::evaluation::experiment::StoredReference;
use crate::lenient;
use crate::pipeline::RagTrace;
use crate::pipeline::page::TraceView;
use crate::reference::Source;
use crate::{Error, Result};

/// How much of traces is in the page itself, in bytes of JSON. Browsers read some 100 MB a second.
const INLINE: usize = 48 << 20;
/// From this length on a text is kept once, in bytes: the questions of the loop are longer.
const LONG: usize = 80;

/// The traces of a page.
pub(super) struct Traces {
    /// The folder of the results, which traces are relative to.
    results: PathBuf,
    /// The way there from the page, as the beginning of an address.
    way: Option<String>,
    texts: Vec<String>,
    by_text: HashMap<String, usize>,
    bytes: usize,
    linked: usize,
    unreadable: Vec<String>,
}

impl Traces {
    /// Those of `results` for a page in `folder`.
    pub(super) fn new(results: &Path, folder: &Path) -> Self {
        Self {
            results: results.to_owned(),
            way: way(folder, results),
            texts: Vec::new(),
            by_text: HashMap::new(),
            bytes: 0,
            linked: 0,
            unreadable: Vec::new(),
        }
    }

    /// What the page shows of the trace in `file`, and the address of the file where it is not in the
    /// page. `references`, `draft` and `result` are pictures that the trace speaks of.
    pub(super) fn add(
        &mut self,
        file: &str,
        references: &[StoredReference],
        draft: &Option<String>,
        result: &Option<String>,
    ) -> (Value, Option<String>) {
        let address = self.way.as_ref().map(|way| {
            let name = file.split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC));
            format!("{way}{}", name.map(|part| part.to_string()).collect::<Vec<_>>().join("/"))
        });
        if self.bytes > INLINE {
            self.linked += 1;
            return (Value::Null, address.or_else(|| Some(file.to_owned())));
        }
        let trace = match read(&self.results, file) {
            Ok(trace) => trace,
            Err(error) => {
                self.unreadable.push(error.chain().to_string());
                return (Value::Null, None);
            }
        };
        let picture = |source: &Source| {
            let mut references = references.iter();
            let found = references.find(|reference| reference.provenance.source == *source)?;
            Some(found.picture.hash.clone())
        };
        let mut view = TraceView::new(&trace, &picture, None);
        view.place(draft.clone(), result.clone());
        let value = self.shared(&view);
        self.bytes += value.to_string().len();
        (value, None)
    }

    /// JSON in which long texts are numbers of [`texts`](Self::texts).
    pub(super) fn shared(&mut self, of: &impl Serialize) -> Value {
        let mut value = serde_json::to_value(of).unwrap_or_default();
        self.share(&mut value);
        value
    }

    /// Puts numbers in the place of long texts.
    fn share(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if text.len() >= LONG => {
                let next = self.texts.len();
                let at = *self.by_text.entry(text.clone()).or_insert(next);
                if at == next {
                    self.bytes += text.len();
                    self.texts.push(std::mem::take(text));
                }
                *value = object!({ "$": at });
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.share(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.share(value)),
            _ => {}
        }
    }

    /// What went otherwise than usual.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.linked > 0 {
            notes.push(format!(
                "The traces of {} pictures are links to their files, because all together are too large \
                 for this page.",
                self.linked
            ));
        }
        if let Some(first) = self.unreadable.first() {
            let count = self.unreadable.len();
            notes.push(format!("{count} traces cannot be read. The first: {first}"));
        }
        notes
    }

    /// The long texts, by their numbers.
    pub(super) fn texts(self) -> Vec<String> {
        self.texts
    }
}

fn read(results: &Path, file: &str) -> Result<RagTrace> {
    let path = within(results, file)?;
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    lenient::json(&bytes)
        .map_err(|error| Error::invalid_file(&path, "trace", "the JSON of a trace", error))
}

/// The way from the folder `from` to the folder `to`, as the beginning of a relative address.
fn way(from: &Path, to: &Path) -> Option<String> {
    let (from, to) = (fs::canonicalize(from).ok()?, fs::canonicalize(to).ok()?);
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = "../".repeat(from.components().count() - common);
    let down = to.components().skip(common).map(|part| {
        let part = part.as_os_str().to_str()?;
        Some(format!("{}/", utf8_percent_encode(part, NON_ALPHANUMERIC)))
    });
    (common > 0).then(|| Some(up + &down.collect::<Option<String>>()?)).flatten()
}
