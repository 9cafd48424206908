//! The files that participants send to their answers, in whichever form the page offers them.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Error, Result, lenient};

/// What stands before the code that can be copied.
const CODE: &str = "imagerag-study:";

/// The answers of one participant.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Sheet {
    pub study: String,
    pub version: String,
    pub participant: String,
    /// The number of the list that was shown, where it is known.
    pub list: Option<f64>,
    /// When the first page was shown; tells two sessions apart.
    pub started: Option<String>,
    /// When all was answered.
    pub finished: Option<String>,
    pub answers: Vec<Answer>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub item: String,
    pub question: String,
    /// `left` or `right`.
    pub side: String,
    /// The picture's opaque name, or `yes` or `no`.
    pub chosen: String,
    /// When the images of the page were there.
    pub shown: Option<String>,
    /// From then to the answer, in milliseconds.
    pub ms: Option<f64>,
    /// Of the window, in pixels.
    pub width: Option<f64>,
}

/// A line of the page's CSV.
#[derive(serde::Deserialize)]
struct Line {
    study: String,
    version: String,
    participant: String,
    item: String,
    question: String,
    side: String,
    chosen: String,
    #[serde(default)]
    list: Option<f64>,
    #[serde(default)]
    shown: Option<String>,
    /// As a spreadsheet writes it.
    #[serde(default)]
    ms: Option<String>,
}

/// The files in the folders among `paths`, and the others as they are, in order.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let io = |source| Error::io(path, source);
        if !fs::metadata(path).map_err(io)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !is_hidden && entry.path().is_file() {
                inside.push(entry.path());
            }
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

/// The sheets in a file: JSON, one or many behind each other or in a list; codes; or CSV. What cannot be
/// read is told behind what could be.
pub(super) fn read(path: &Path) -> (Vec<Sheet>, Option<String>) {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let text = lenient::text(&bytes);
    match text.trim_start().chars().next() {
        None => (Vec::new(), Some("it is empty".into())),
        Some('{' | '[') => json(&text),
        _ if text.contains(CODE) => codes(&text),
        _ => match csv(&text) {
            Ok(sheets) if sheets.is_empty() => {
                (sheets, Some("expected answers of a study, found none".into()))
            }
            Ok(sheets) => (sheets, None),
            Err(error) => (Vec::new(), Some(format!("expected answers of a study, found {error}"))),
        },
    }
}

fn json(text: &str) -> (Vec<Sheet>, Option<String>) {
    let mut sheets = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let found = value.map_err(|error| error.to_string()).and_then(of_value);
        match found {
            Ok(found) => sheets.extend(found),
            Err(why) => return (sheets, Some(format!("expected answers of a study: {why}"))),
        }
    }
    (sheets, None)
}

fn of_value(value: Value) -> Result<Vec<Sheet>, String> {
    let list = match value {
        Value::Array(list) => list,
        value => vec![value],
    };
    list.into_iter().map(|value| serde_json::from_value(value).map_err(|e| e.to_string())).collect()
}

fn codes(text: &str) -> (Vec<Sheet>, Option<String>) {
    let (mut sheets, mut wrong) = (Vec::new(), None);
    for code in text.split(CODE).skip(1) {
        // Mail breaks long lines. A full stop ends the code, and other text may follow.
        let code = code.split('.').next().unwrap_or_default();
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        match STANDARD.decode(&digits).ok().and_then(|bytes| lenient::json(&bytes).ok()) {
            Some(sheet) => sheets.push(sheet),
            None => wrong = Some("a code is not whole".to_owned()),
        }
    }
    (sheets, wrong)
}

fn csv(text: &str) -> Result<Vec<Sheet>, String> {
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') {
        b';'
    } else if header.contains('\t') {
        b'\t'
    } else {
        b','
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let mut sheets: Vec<Sheet> = Vec::new();
    for line in reader.deserialize::<Line>() {
        let Line { study, version, participant, item, question, side, chosen, list, shown, ms } =
            line.map_err(|error| error.to_string())?;
        let ms = ms.and_then(|ms| ms.replace(',', ".").parse().ok());
        let answer = Answer { item, question, side, chosen, shown, ms, width: None };
        let same = |s: &&mut Sheet| {
            (&s.study, &s.version, &s.participant) == (&study, &version, &participant)
        };
        match sheets.iter_mut().find(same) {
            Some(sheet) => sheet.answers.push(answer),
            None => {
                let answers = vec![answer];
                let sheet =
                    Sheet { study, version, participant, list, answers, ..Sheet::default() };
                sheets.push(sheet);
            }
        }
    }
    Ok(sheets)
}

/// The name of a file in reports.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or(Cow::Borrowed(""), |name| name.to_string_lossy()).into_owned()
}
