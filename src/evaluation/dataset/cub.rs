//! CUB-200-2011 to a [`Dataset`].

use std::path::{Path, PathBuf};

use serde_json::json;

use super::files::{self, Files};
use super::lists::Once;
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
    let expected =
        "images.txt, classes.txt, image_class_labels.txt and images/, here or in CUB_200_2011/";
    let root = root(path).ok_or_else(|| files::nothing_there(path, expected))?;
    let mut dataset = Dataset::new("CUB");
    dataset.license = Some(LICENSE.to_owned());
    let mut places = Once::each("number");
    let file = root.join("classes.txt");
    for line in files::some_lines(&file)? {
        let (number, folder) = line.pair(&file, "a number and 001.Name")?;
        let parts = folder.split_once('.').filter(|(_, name)| !name.is_empty());
        let (id, name) = parts.ok_or_else(|| line.invalid(&file, "a number and 001.Name"))?;
        places.insert(line.at(&file), number, dataset.classes.len())?;
        dataset.classes.push(Class::new(id, files::words(name)));
    }
    let labels = by_image(&root.join("image_class_labels.txt"), "an image's and a class's number")?;
    let optional = |name: &str, what: &str, notes: &mut Notes| -> Result<_> {
        if root.join(name).exists() {
            return by_image(&root.join(name), what);
        }
        notes.say(format!("no {name} in {}", root.display()));
        Ok(Once::each("image"))
    };
    let splits = optional("train_test_split.txt", "an image's number and 0 or 1", notes)?;
    let boxes = optional("bounding_boxes.txt", "an image's number and a box", notes)?;
    let (mut pictures, list) = (Files::below(&root), root.join("images.txt"));
    let mut images = Once::each("number");
    for line in files::some_lines(&list)? {
        let (number, picture) = line.pair(&list, "a number and a path")?;
        images.insert(line.at(&list), number, ())?;
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
            None if splits.is_empty() => None, // There is no such list.
            found => {
                let found = found.unwrap_or("none");
                return Err(invalid("train_test_split.txt", "0 (test) or 1 (train)", found));
            }
        };
        // x, y, width and height in pixels.
        let sides = boxes.get(number).map(|text| {
            let sides: Option<Vec<f64>> =
                text.split_whitespace().map(|side| side.parse().ok()).collect();
            let sides = sides.filter(|sides| sides.len() == 4);
            sides.ok_or_else(|| invalid("bounding_boxes.txt", "a box of 4 numbers", text))
        });
        let sides = sides.transpose()?;
        let relative = format!("images/{picture}");
        let Some(image) = pictures.image(&relative, line.at(&list), notes)? else { continue };
        let mut image = image.in_split(split);
        image.metadata.json = sides.map(|sides| json!({ "bounding_box": sides }).to_string());
        dataset.classes[*place].images.push(image);
    }
    for of_image in [&labels, &splits, &boxes] {
        of_image.note_all_but(&images, "entries of images that images.txt does not have", notes);
    }
    pictures.note_others(notes);
    Ok(dataset)
}

/// The lines of a list, by the number of the image that each begins with.
fn by_image(file: &Path, expected: &str) -> Result<Once<String>> {
    let mut found = Once::each("image");
    for line in files::some_lines(file)? {
        let (number, rest) = line.pair(file, expected)?;
        found.insert(line.at(file), number, rest.to_owned())?;
    }
    Ok(found)
}
