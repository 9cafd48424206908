//! FGVC-Aircraft to a [`Dataset`] of variants, families or manufacturers, whose pictures have lost the
//! strip with their owner's name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files::{self, Files};
use super::lists::{Once, Place};
use super::{AircraftLevel, Class, Dataset, Notes, OpenOptions, RealImage, Split};
use crate::image::Image;
use crate::path_text::path_text;
use crate::reference::Picture;
use crate::{Error, Result, pool};

/// By <https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/>.
const LICENSE: &str = "non-commercial research (robots.ox.ac.uk/~vgg/data/fgvc-aircraft); the images are their owners'";

/// Rows of pixels at the bottom of each picture that are no part of it, by the set's README.
const STRIP: u32 = 20;

const SPLITS: [(&str, Split); 3] =
    [("train", Split::Train), ("val", Split::Validation), ("test", Split::Test)];

/// The folder with the lists, at `path` or in it.
pub(super) fn root(path: &Path) -> Option<PathBuf> {
    let folders = ["", "data", "fgvc-aircraft-2013b/data", "fgvc-aircraft-2013b"];
    files::holding(path, &folders, &["variants.txt", "images"])
}

pub(super) fn open(path: &Path, options: &OpenOptions, notes: &mut Notes) -> Result<Dataset> {
    let expected = "variants.txt and images/, here or in data/, fgvc-aircraft-2013b/ or \
         fgvc-aircraft-2013b/data/";
    let root = root(path).ok_or_else(|| files::nothing_there(path, expected))?;
    let (level, list) = match options.level {
        AircraftLevel::Variant => ("variant", "variants.txt"),
        AircraftLevel::Family => ("family", "families.txt"),
        AircraftLevel::Manufacturer => ("manufacturer", "manufacturers.txt"),
    };
    let mut dataset = Dataset::new("Aircraft");
    dataset.license = Some(LICENSE.to_owned());
    dataset.classes = files::some_lines(&root.join(list))?
        .iter()
        .map(|line| Class::new(&line.text, &line.text))
        .collect();
    let labels = labels(&root, level, notes)?;
    if labels.is_empty() {
        let expected = format!("images_{level}_test.txt, …_train.txt, …_val.txt or …_trainval.txt");
        return Err(files::nothing_there(&root, &expected));
    }
    let mut manufacturers = Once::each("image");
    if level != "manufacturer" {
        for label in self::labels(&root, "manufacturer", notes)? {
            manufacturers.insert(label.place(), &label.image, label.class.clone())?;
        }
    }
    if manufacturers.is_empty() && level != "manufacturer" {
        notes.say("no images_manufacturer_….txt: names are without their manufacturers");
    }
    let places: HashMap<String, usize> =
        dataset.classes.iter().enumerate().map(|(at, class)| (class.id.clone(), at)).collect();
    let boxes = boxes(&root.join("images_box.txt"), notes)?;
    let mut pictures = Files::below(&root);
    for label in labels {
        let place = label.place();
        let at = places.get(&label.class);
        let at = *at.ok_or_else(|| place.invalid(format!("a {level} of {list}"), &label.class))?;
        let class = &mut dataset.classes[at];
        if let Some(manufacturer) = manufacturers.get(&label.image) {
            let name = with_manufacturer(manufacturer, &class.id);
            if class.name == class.id {
                class.name = name;
            } else if class.name != name {
                let what = "images of another manufacturer than others of their class, whose name has the first";
                notes.count(what, format!("{} ({name}, not {})", label.image, class.name));
            }
        }
        let relative = format!("images/{}.jpg", label.image);
        let Some(mut real) = pictures.image(&relative, place, notes)? else { continue };
        let sides = boxes.get(&label.image);
        real.metadata.json = sides.map(|sides| json!({ "bounding_box": sides }).to_string());
        class.images.push(cropped(real).in_split(label.split));
    }
    pictures.note_others(notes);
    Ok(dataset)
}

/// `name`, of a variant or family, behind its manufacturer's, unless it begins with it.
fn with_manufacturer(manufacturer: &str, name: &str) -> String {
    match name.to_lowercase().starts_with(&manufacturer.to_lowercase()) {
        true => name.to_owned(),
        false => format!("{manufacturer} {name}"),
    }
}

/// What one line of a list says.
struct Label {
    image: String,
    class: String,
    split: Split,
    file: PathBuf,
    line: u64,
}

impl Label {
    fn place(&self) -> Place<'_> {
        Place { file: &self.file, unit: "line", number: self.line }
    }
}

/// The lines of `images_{level}_{split}.txt`, such as `0034309 707-320`. Where there are `trainval` and no
/// `train` and `val`, it is of train.
fn labels(root: &Path, level: &str, notes: &mut Notes) -> Result<Vec<Label>> {
    let file = |split: &str| root.join(format!("images_{level}_{split}.txt"));
    let mut lists: Vec<(PathBuf, Split)> =
        SPLITS.iter().map(|(name, split)| (file(name), *split)).collect();
    if !lists[0].0.exists() && !lists[1].0.exists() {
        lists.push((file("trainval"), Split::Train));
    }
    let mut labels = Vec::new();
    for (file, split) in lists.into_iter().filter(|(file, _)| file.exists()) {
        let lines = files::lines(&file)?;
        if lines.is_empty() {
            notes.say(format!("{} names no image", files::name(&file)));
        }
        for line in lines {
            let (image, class) = line.pair(&file, &format!("an image and its {level}"))?;
            let (image, class) = (image.to_owned(), class.to_owned());
            labels.push(Label {
                image,
                class,
                split,
                file: file.clone(),
                line: line.number as u64,
            });
        }
    }
    Ok(labels)
}

/// The boxes of `images_box.txt`: left, top, right and bottom, in pixels from 1.
fn boxes(file: &Path, notes: &mut Notes) -> Result<Once<Vec<u32>>> {
    if !file.exists() {
        notes.say("no images_box.txt");
        return Ok(Once::each("image"));
    }
    let mut boxes = Once::each("image");
    for line in files::lines(file)? {
        let expected = "an image and a box of 4 numbers";
        let (image, sides) = line.pair(file, expected)?;
        let sides: Option<Vec<u32>> =
            sides.split_whitespace().map(|side| side.parse().ok()).collect();
        let sides = sides.filter(|sides| sides.len() == 4);
        let sides = sides.ok_or_else(|| line.invalid(file, expected))?;
        boxes.insert(line.at(file), image, sides)?;
    }
    Ok(boxes)
}

/// `image` without its strip, which is cut off when it is read.
fn cropped(image: RealImage) -> RealImage {
    let Some(path) = image.path.clone() else { return image };
    let key = format!("{} without its lowest {STRIP} rows", path_text(&path));
    let picture = Picture::lazy(key, move || {
        let path = path.clone();
        pool::run("decoding a picture", move || without_strip(&path, &Image::open(&path)?))
    });
    RealImage { picture, ..image }
}

fn without_strip(path: &Path, image: &Image) -> Result<Image> {
    let height = image.height().checked_sub(STRIP).filter(|height| *height > 0);
    let height = height.ok_or_else(|| {
        let expected = format!("more than {STRIP} rows, the lowest of which are a strip of text");
        Error::invalid_file(path, "height", expected, image.height())
    })?;
    let length = image.width() as usize * height as usize * 3;
    Image::new(image.width(), height, &image.pixels()[..length])
}
