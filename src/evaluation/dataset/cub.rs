//! CUB-200-2011 to a [`Dataset`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files::{self, Files};
use super::{Class, Dataset, Notes, Split};
use crate::{Error, Result};

/// By <https://www.vision.caltech.edu/datasets/cub_200_2011/>.
const LICENSE: &str = "non-commercial research and education; the images are their owners' \
     (vision.caltech.edu/datasets/cub_200_2011)";

/// The set at `path` or in it.
pub(super) fn root(path: &Path) -> Option<PathBuf> {
    files::holding(path, &["", "CUB_200_2011"], &["images.txt", "classes.txt"])
}

pub(super) fn open(path: &Path, notes: &mut Notes) -> Result<Dataset> {
    let expected = "CUB_200_2011 with images.txt, classes.txt and images/";
    let root = root(path).ok_or_else(|| files::nothing_there(path, expected))?;
    let mut dataset = Dataset::new("CUB");
    dataset.license = Some(LICENSE.to_owned());
    let mut places = HashMap::new();
    let file = root.join("classes.txt");
    for line in files::lines(&file)? {
        let (number, folder) = line.pair(&file, "a number and 001.Name")?;
        let parts = folder.split_once('.').filter(|(_, name)| !name.is_empty());
        let (id, name) = parts.ok_or_else(|| line.invalid(&file, "a number and 001.Name"))?;
        if places.insert(number.to_owned(), dataset.classes.len()).is_some() {
            return Err(line.invalid(&file, "each number once"));
        }
        dataset.classes.push(Class::new(id, files::words(name)));
    }
    let labels = by_image(&root.join("image_class_labels.txt"), "an image's and a class's number")?;
    let optional = |name: &str, what: &str, notes: &mut Notes| -> Result<_> {
        if root.join(name).exists() {
            return by_image(&root.join(name), what);
        }
        notes.say(format!("no {name} in {}", root.display()));
        Ok(HashMap::new())
    };
    let splits = optional("train_test_split.txt", "an image's number and 0 or 1", notes)?;
    let boxes = optional("bounding_boxes.txt", "an image's number and a box", notes)?;
    let (mut pictures, images) = (Files::below(&root), root.join("images.txt"));
    for line in files::lines(&images)? {
        let (number, picture) = line.pair(&images, "a number and a path")?;
        let invalid = |file: &str, expected: &str, found: &str| {
            Error::invalid_file(root.join(file), format!("image {number}"), expected, found)
        };
        let label = labels.get(number);
        let place = label.and_then(|label| places.get(label)).ok_or_else(|| {
            let found = label.map_or("none", |label| label);
            invalid("image_class_labels.txt", "a class of classes.txt", found)
        })?;
        let split = match splits.get(number).map(String::as_str) {
            Some("1") => Some(Split::Train),
            Some("0") => Some(Split::Test),
            None if splits.is_empty() => None,
            found => {
                let found = found.unwrap_or("none");
                return Err(invalid("train_test_split.txt", "0 (test) or 1 (train)", found));
            }
        };
        let relative = format!("images/{picture}");
        let Some(image) = pictures.image(&relative, "images.txt", notes)? else { continue };
        let mut image = image.in_split(split);
        let sides = boxes.get(number).map(|sides| sides.split_whitespace());
        let sides: Option<Vec<f64>> = sides.and_then(|s| s.map(|side| side.parse().ok()).collect());
        // x, y, width and height in pixels.
        image.metadata.json = sides.map(|sides| json!({ "bounding_box": sides }).to_string());
        dataset.classes[*place].images.push(image);
    }
    pictures.note_others(notes);
    Ok(dataset)
}

/// The lines of a list, by the number of the image that each begins with.
fn by_image(file: &Path, expected: &str) -> Result<HashMap<String, String>> {
    let mut found = HashMap::new();
    for line in files::lines(file)? {
        let (number, rest) = line.pair(file, expected)?;
        if found.insert(number.to_owned(), rest.to_owned()).is_some() {
            return Err(line.invalid(file, "each image once"));
        }
    }
    Ok(found)
}
