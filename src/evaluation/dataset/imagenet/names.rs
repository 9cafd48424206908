//! The files of ImageNet that name its classes to names by WordNet identifier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::files::{self, text_lines};
use super::super::mat::Mat;
use super::super::unique_keys::UniqueKeys;
use super::is_wnid;
use crate::{Error, Result, lenient};

/// Names of classes, and the file that has them.
pub(super) struct Listed {
    pub(super) from: String,
    /// By identifier, in its order.
    pub(super) of: BTreeMap<String, String>,
    /// The identifiers by the numbers of the devkit, where it was read.
    pub(super) by_number: BTreeMap<u64, String>,
}

/// Kaggle's list, Caffe's of the same form, and Keras' list.
const SYNSETS: [&str; 2] = ["LOC_synset_mapping.txt", "synset_words.txt"];
const INDEX: &str = "imagenet_class_index.json";
/// The devkit's list, below these folders.
const META: &str = "meta.mat";
const DEVKIT: [&str; 6] = [
    "",
    "data",
    "devkit/data",
    "ILSVRC2012_devkit_t12/data",
    "ILSVRC2012_devkit_t3/data",
    "ILSVRC2014_devkit/data",
];

/// `path` and the folder above it, for a caller who named a part of the set.
fn places(path: &Path) -> impl Iterator<Item = PathBuf> {
    let above = path.parent().map(Path::to_owned);
    [Some(path.to_owned()), above].into_iter().flatten()
}

/// The file `name` of the set at `path`.
pub(super) fn find(path: &Path, name: &str) -> Option<PathBuf> {
    places(path).map(|place| place.join(name)).find(|file| file.is_file())
}

/// The folder `data` of the devkit of the set at `path`.
pub(super) fn devkit(path: &Path, file: &str) -> Option<PathBuf> {
    places(path).find_map(|place| files::holding(&place, &DEVKIT, &[file]))
}

/// Whether a file with names is in the folder at `path`.
pub(super) fn is_there(path: &Path) -> bool {
    SYNSETS.iter().chain([&INDEX]).any(|name| path.join(name).is_file())
        || files::holding(path, &DEVKIT, &[META]).is_some()
}

/// The names of the set at `path`; none where no file has them.
pub(super) fn read(path: &Path) -> Result<Option<Listed>> {
    if let Some((name, file)) = SYNSETS.iter().find_map(|name| Some((name, find(path, name)?))) {
        return synsets(&file, name).map(Some);
    }
    if let Some(file) = find(path, INDEX) {
        return index(&file).map(Some);
    }
    devkit(path, META).map(|folder| meta(&folder.join(META))).transpose()
}

/// That the class `id` has no name.
pub(super) fn missing(path: &Path, id: &str, listed: Option<&Listed>) -> Error {
    let expected = "LOC_synset_mapping.txt, synset_words.txt, imagenet_class_index.json or the devkit's \
         meta.mat with the names of classes, or names from a CSV file of your own";
    let found = match listed {
        Some(listed) => format!("{}, which has none of {id}", listed.from),
        None if find(path, "meta.bin").is_some() => {
            format!("none of {id}; torchvision's meta.bin is a pickle, which is not read")
        }
        None => format!("none of {id}"),
    };
    Error::invalid_file(path, "names of classes", expected, found)
}

/// Lines as `n01440764 tench, Tinca tinca`.
fn synsets(file: &Path, name: &str) -> Result<Listed> {
    let bytes = files::required(file)?;
    let mut of = BTreeMap::new();
    for line in text_lines(&lenient::text(&bytes)) {
        let expected = "an identifier such as n01440764 and names";
        let (id, names) = line.pair(file, expected)?;
        if !is_wnid(id) {
            return Err(line.invalid(file, expected));
        }
        if of.insert(id.to_owned(), first(names)).is_some() {
            return Err(line.invalid(file, "each identifier once"));
        }
    }
    Ok(Listed { from: name.to_owned(), of, by_number: BTreeMap::new() })
}

/// `{"0": ["n01440764", "tench"], …}`.
fn index(file: &Path) -> Result<Listed> {
    let bytes = files::required(file)?;
    let expected = "{\"0\": [\"n01440764\", \"tench\"], …}";
    let invalid = |found: String| Error::invalid_file(file, "names of classes", expected, found);
    let read = lenient::json(&bytes).and_then(|UniqueKeys(value)| serde_json::from_value(value));
    let classes: BTreeMap<String, Vec<String>> =
        read.map_err(|error| invalid(error.to_string()))?;
    let mut of = BTreeMap::new();
    for (index, class) in classes {
        match &class[..] {
            [id, name] if is_wnid(id) => {
                if of.insert(id.clone(), files::words(name)).is_some() {
                    return Err(invalid(format!("{id} twice, the last time at {index:?}")));
                }
            }
            _ => return Err(invalid(format!("{class:?} at {index:?}"))),
        }
    }
    Ok(Listed { from: INDEX.to_owned(), of, by_number: BTreeMap::new() })
}

/// The devkit's `synsets`. Those that have children are no classes of the challenge.
pub(super) fn meta(file: &Path) -> Result<Listed> {
    let mat = Mat::read(file)?;
    let (mut of, mut by_number) = (BTreeMap::new(), BTreeMap::new());
    for record in mat.records("synsets")? {
        if mat.number(record, "num_children")? > 0 {
            continue;
        }
        let id = mat.text(record, "WNID")?;
        if !is_wnid(&id) {
            return Err(mat.invalid("WNID", "an identifier such as n01440764", id));
        }
        let number = mat.number(record, "ILSVRC2012_ID")?;
        if by_number.insert(number, id.clone()).is_some() {
            return Err(mat.invalid("ILSVRC2012_ID", "each number once", number));
        }
        if of.insert(id.clone(), first(&mat.text(record, "words")?)).is_some() {
            return Err(mat.invalid("WNID", "each identifier once", id));
        }
    }
    Ok(Listed { from: META.to_owned(), of, by_number })
}

/// The first of several synonyms.
fn first(names: &str) -> String {
    files::words(names.split(',').next().unwrap_or(names))
}
