//! Oxford Flowers 102 to a [`Dataset`].

mod names;

use std::path::{Path, PathBuf};

use super::files::{self, Files};
use super::lists::Place;
use super::mat::Mat;
use super::{Class, Dataset, Notes, Split};
use crate::Result;
use names::NAMES;

/// The variables of `setid.mat`. Test is the largest of them.
const SPLITS: [(&str, Split); 3] =
    [("trnid", Split::Train), ("valid", Split::Validation), ("tstid", Split::Test)];

/// The set at `path` or in it.
pub(super) fn root(path: &Path) -> Option<PathBuf> {
    let folders = ["", "flowers-102", "102flowers", "flowers102", "oxford-102-flowers"];
    files::holding(path, &folders, &["imagelabels.mat"])
}

pub(super) fn open(path: &Path, notes: &mut Notes) -> Result<Dataset> {
    let expected = "imagelabels.mat, setid.mat and jpg/, here or in flowers-102/, 102flowers/, flowers102/ or \
         oxford-102-flowers/";
    let root = root(path).ok_or_else(|| files::nothing_there(path, expected))?;
    let mut dataset = Dataset::new("Flowers");
    let class = |(at, name): (usize, &&str)| Class::new((at + 1).to_string(), *name);
    dataset.classes = NAMES.iter().enumerate().map(class).collect();
    let labels_file = root.join("imagelabels.mat");
    let labels = Mat::read(&labels_file)?.numbers("labels")?;
    let splits = splits(&root, labels.len(), notes)?;
    let mut pictures = Files::below(&root);
    for (at, label) in labels.into_iter().enumerate() {
        let class = usize::try_from(label).ok().and_then(|label| label.checked_sub(1));
        let place = Place { file: &labels_file, unit: "label of image", number: at as u64 + 1 };
        let class = class.and_then(|class| dataset.classes.get_mut(class));
        let class = class.ok_or_else(|| place.invalid("1 to 102", label))?;
        let relative = format!("jpg/image_{:05}.jpg", at + 1);
        let Some(image) = pictures.image(&relative, place, notes)? else { continue };
        if splits[at].is_none() && splits.iter().any(Option::is_some) {
            notes.count("pictures that no part of setid.mat names", relative);
        }
        class.images.push(image.in_split(splits[at]));
    }
    pictures.note_others(notes);
    Ok(dataset)
}

/// The part of each of `count` pictures, by `setid.mat`, which counts them from 1.
fn splits(root: &Path, count: usize, notes: &mut Notes) -> Result<Vec<Option<Split>>> {
    let mut splits = vec![None; count];
    let file = root.join("setid.mat");
    if !file.exists() {
        notes.say(format!("no setid.mat in {}: its pictures are of no part", root.display()));
        return Ok(splits);
    }
    let mat = Mat::read(&file)?;
    for (name, split) in SPLITS {
        for number in mat.numbers(name)? {
            let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            let part = at.and_then(|at| splits.get_mut(at)).ok_or_else(|| {
                mat.invalid(name, &format!("numbers of pictures, 1 to {count}"), number)
            })?;
            if let Some(other) = part.replace(split) {
                let found = format!("{number}, which is of {other} too");
                return Err(mat.invalid(name, "each picture in one part, and there once", found));
            }
        }
    }
    Ok(splits)
}
