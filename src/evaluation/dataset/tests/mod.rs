//! Data sets on disk, as `tests/fixtures/make_datasets.py` lays them out, to what is read of them.

mod contradictions;
mod layouts;
mod refusals;
mod selection;

use std::path::{Path, PathBuf};

use super::*;
use crate::Result;

/// What `make_datasets.py` wrote at `path`.
pub(super) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets").join(path)
}

/// A copy of the fixture `name` that can be changed.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    fn copy_all(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy_all(&entry.path(), &to),
                false => drop(std::fs::copy(entry.path(), to).unwrap()),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(name);
    copy_all(&fixture(name), &root);
    (folder, root)
}

/// The data set at `path` with default options, and of the kind that is guessed.
fn read(path: &Path) -> Result<Dataset> {
    Dataset::open(path)
}

fn read_as(kind: DatasetKind, path: &Path) -> Result<Dataset> {
    open(kind, path, &OpenOptions::default())
}

/// Identifier, name, and numbers of images of the three parts and of none, of each class.
fn classes(dataset: &Dataset) -> Vec<(&str, &str, [usize; 4])> {
    let parts = [Some(Split::Train), Some(Split::Validation), Some(Split::Test), None];
    let count = |class: &Class, part| class.images.iter().filter(|i| i.split == part).count();
    let of = |class| parts.map(|part| count(class, part));
    dataset.classes.iter().map(|class| (&*class.id, &*class.name, of(class))).collect()
}

fn prompts(dataset: &Dataset) -> Vec<&str> {
    dataset.items.iter().map(|item| &*item.prompt).collect()
}

/// Decodes every image of `dataset`; their sizes.
fn sizes(dataset: &Dataset) -> Vec<(u32, u32)> {
    let load = |image: &RealImage| futures::executor::block_on(image.picture.load()).unwrap();
    dataset.images().map(load).map(|image| (image.width(), image.height())).collect()
}

#[track_caller]
fn has_note(dataset: &Dataset, words: &str) {
    assert!(dataset.notes.iter().any(|note| note.contains(words)), "{words}: {:#?}", dataset.notes);
}

/// What is said of `path` as a set of this kind.
fn error(kind: DatasetKind, path: &Path) -> String {
    read_as(kind, path).unwrap_err().chain().to_string()
}
