//! Stanford Dogs to a [`Dataset`].

use std::path::{Path, PathBuf};

use super::imagenet::{LICENSE, is_wnid};
use super::lists::{Once, Place};
use super::mat::Mat;
use super::{Class, Dataset, Notes, Split, files};
use crate::Result;

/// The lists of its parts, and where they may be.
const LISTS: [(&str, Split); 2] =
    [("train_list.mat", Split::Train), ("test_list.mat", Split::Test)];
const LISTS_IN: [&str; 5] = ["", "lists", "Lists", "..", "../lists"];

/// The set at `path` or in it: the folder with `Images`, which is `images` in Kaggle's copy.
pub(super) fn root(path: &Path) -> Option<PathBuf> {
    let root = files::holding(path, &["", "images", "stanford-dogs", "StanfordDogs"], &["Images"])?;
    let folders = files::folders(&root.join("Images")).ok()?;
    folders.iter().any(|folder| breed(&files::name(folder)).is_some()).then_some(root)
}

/// Identifier and name of the class of the folder `n02085620-Chihuahua`.
fn breed(folder: &str) -> Option<(&str, &str)> {
    folder.split_once('-').filter(|(id, name)| is_wnid(id) && !name.is_empty())
}

pub(super) fn open(path: &Path, notes: &mut Notes) -> Result<Dataset> {
    let expected = "Images/ with folders as n02085620-Chihuahua, here or in images/, stanford-dogs/ or StanfordDogs/";
    let root = root(path).ok_or_else(|| files::nothing_there(path, expected))?;
    let splits = splits(&root, notes)?;
    let mut dataset = Dataset::new("Dogs");
    dataset.license = Some(LICENSE.to_owned());
    for folder in files::folders(&root.join("Images"))? {
        let name = files::name(&folder);
        let Some((id, breed)) = breed(&name) else {
            notes.count("folders that are not named as n02085620-Chihuahua", name);
            continue;
        };
        let mut class = Class::new(id, files::words(breed));
        for picture in files::pictures(&root, &folder, notes)? {
            let image = picture.into_image(&root);
            let listed = image.id.strip_prefix("Images/").unwrap_or(&image.id);
            let split = splits.get(listed).copied();
            if split.is_none() && !splits.is_empty() {
                notes.count("pictures that neither list names", listed);
            }
            class.images.push(image.in_split(split));
        }
        dataset.classes.push(class);
    }
    Ok(dataset)
}

/// The parts of the pictures, such as `n02085620-Chihuahua/n02085620_5927.jpg`; none without lists.
fn splits(root: &Path, notes: &mut Notes) -> Result<Once<Split>> {
    let mut splits = Once::each("picture");
    for (list, split) in LISTS {
        let Some(folder) = files::holding(root, &LISTS_IN, &[list]) else {
            notes.say(format!("no {list} in {}: its pictures are of no part", root.display()));
            continue;
        };
        let path = folder.join(list);
        for (at, file) in Mat::read(&path)?.texts("file_list")?.into_iter().enumerate() {
            if !root.join("Images").join(&file).exists() {
                notes.count(&format!("pictures that {list} names and that are not there"), &file);
            }
            let place = Place { file: &path, unit: "entry", number: at as u64 + 1 };
            splits.insert(place, &file, split)?;
        }
    }
    Ok(splits)
}
