//! WebDataset shards to a [`Dataset`] of their classes, or of their captions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Class, Dataset, Item, Notes, RealImage, Split, files};
use crate::folder::LeftOutKind;
use crate::folder::pairing::key;
use crate::folder::walk;
use crate::gallery::ingest::{Content, WebDataset, member_texts};
use crate::gallery::read_pixels;
use crate::image::Image;
use crate::path_text::{path_text, split_member, text_path};
use crate::reference::Picture;
use crate::{Error, Result, lenient, pool};

/// Folders of shards, and the parts that they are.
const PARTS: [(&str, Split); 4] = [
    ("train", Split::Train),
    ("val", Split::Validation),
    ("validation", Split::Validation),
    ("test", Split::Test),
];

/// The names of classes by number, as clip-benchmark's sets have it.
const CLASS_NAMES: &str = "classnames.txt";

/// The longest picture in a shard, in bytes.
const MAX_PICTURE: u64 = 1 << 30;

/// Whether there are shards at `path`.
pub(super) fn is(path: &Path) -> bool {
    parts(path).iter().any(|(folder, _)| has_shards(folder))
}

/// Whether a shard is at `path` or in the folder there.
fn has_shards(path: &Path) -> bool {
    match path.is_dir() {
        true => walk::list(path).is_ok_and(|paths| paths.iter().any(|path| is_shard(path))),
        false => is_shard(path),
    }
}

fn is_shard(path: &Path) -> bool {
    let name = files::name(path).to_lowercase();
    name.ends_with(".tar") && crate::folder::kind::left_out(&name).is_none()
}

fn parts(path: &Path) -> Vec<(PathBuf, Option<Split>)> {
    let parts = PARTS.iter().map(|(part, split)| (path.join(part), Some(*split)));
    let parts: Vec<_> = parts.filter(|(folder, _)| has_shards(folder)).collect();
    if parts.is_empty() { vec![(path.to_owned(), None)] } else { parts }
}

pub(super) fn open(path: &Path, notes: &mut Notes) -> Result<Dataset> {
    if !is(path) {
        let expected =
            "a .tar file, or a folder of them, here or in train/, val/, validation/ and test/";
        return Err(files::nothing_there(path, expected));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut dataset =
        Dataset::new(if path.is_dir() { files::name(path) } else { stem.into_owned() });
    let names = class_names(path)?;
    let mut samples = Vec::new();
    for (folder, split) in parts(path) {
        read(&folder, split, &mut samples, notes)?;
    }
    if samples.iter().all(|sample| sample.class.is_none()) {
        return of_captions(path, samples, dataset, notes);
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for Sample { image, class } in samples {
        let Some(id) = class else {
            notes.count("samples without a class", image.id);
            continue;
        };
        let at = *places.entry(id.clone()).or_insert_with(|| {
            let name = id.parse().ok().and_then(|at: usize| names.get(at).cloned());
            dataset.classes.push(Class::new(&id, name.unwrap_or_else(|| files::words(&id))));
            dataset.classes.len() - 1
        });
        dataset.classes[at].images.push(image);
    }
    // Numbers are in their order, and behind them names.
    let order = |class: &Class| (class.id.parse().unwrap_or(u64::MAX), class.id.clone());
    dataset.classes.sort_by_cached_key(order);
    let unnamed = dataset.classes.iter().filter(|class| class.name.parse::<u64>().is_ok());
    for class in unnamed {
        let what = "classes that are numbers, without a line of classnames.txt";
        notes.count(what, &class.id);
    }
    Ok(dataset)
}

/// A picture, and what its sample says of it.
struct Sample {
    image: RealImage,
    class: Option<String>,
}

/// Lines of `classnames.txt` beside the shards, by class from 0.
fn class_names(path: &Path) -> Result<Vec<String>> {
    let folders = [Some(path), path.parent()].into_iter().flatten();
    let file = folders.map(|folder| folder.join(CLASS_NAMES)).find(|file| file.is_file());
    let Some(file) = file else { return Ok(Vec::new()) };
    let lines = files::without_gaps(&file, files::lines(&file)?)?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

/// The class that a sample's JSON says.
fn class_in_json(json: &str) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    ["class", "label", "cls", "class_name"].iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn read(
    path: &Path,
    split: Option<Split>,
    samples: &mut Vec<Sample>,
    notes: &mut Notes,
) -> Result<()> {
    let classes = member_texts(path, "cls")?;
    let above = if split.is_some() { files::name(path) + "/" } else { String::new() };
    let mut reader = WebDataset::open(path)?;
    for item in &mut reader {
        let item = match item {
            Ok(item) => item,
            Err(rejected) => {
                let what = "members of shards that cannot be read";
                notes.count(what, format!("{}: {}", rejected.source, rejected.reason));
                continue;
            }
        };
        let Content::At(pixels) = item.content else { continue };
        let (archive, member) = split_member(&item.source);
        let (archive, member) = (text_path(archive), member.trim_start_matches('#').to_owned());
        let said = classes.get(&(archive.clone(), key(&member).to_owned()));
        let class = said.map(|bytes| lenient::text(bytes).trim().to_owned());
        let class = class.filter(|class| !class.is_empty());
        let in_json = item.metadata.json.as_deref().and_then(class_in_json);
        if let (Some(class), Some(other)) = (&class, &in_json) {
            // A number and a name may be of one class.
            let is_number = |class: &str| class.parse::<u64>().is_ok();
            if class != other && is_number(class) == is_number(other) {
                let what =
                    "samples whose .cls and .json have two classes, of which that of .cls is taken";
                notes.count(what, format!("{member} ({class}, not {other})"));
            }
        }
        let class = class.or(in_json);
        let id = format!("{above}{}#{member}", files::name(&archive));
        let picture = Picture::lazy(item.source, move || {
            let pixels = pixels.clone();
            pool::run("decoding a picture", move || {
                let remote = || Error::unavailable("the picture", "it is in no file");
                Image::decode(&read_pixels(&pixels, MAX_PICTURE)?.ok_or_else(remote)?)
            })
        });
        let image = RealImage { metadata: item.metadata, ..RealImage::new(id, picture) };
        samples.push(Sample { image: image.in_split(split), class });
    }
    // What the reader left out and is read here.
    let is_read = |name: &str| name.to_lowercase().ends_with(".cls") || name.ends_with(CLASS_NAMES);
    let read = classes.len() + usize::from(path.join(CLASS_NAMES).is_file());
    for (kind, read) in [(LeftOutKind::WithoutPicture, 0), (LeftOutKind::Other, read as u64)] {
        let left_out = reader.left_out();
        let names = left_out.names(kind).iter().filter(|name| !is_read(name)).take(3);
        let names: Vec<&str> = names.map(String::as_str).collect();
        let count = left_out.count(kind).saturating_sub(read);
        if count > 0 {
            let path = path_text(path);
            notes.say(format!(
                "{count} members of {path} are left out, such as {}",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Of shards without classes: an item for each caption, with its picture.
fn of_captions(
    path: &Path,
    samples: Vec<Sample>,
    mut dataset: Dataset,
    notes: &mut Notes,
) -> Result<Dataset> {
    for Sample { image, .. } in samples {
        match image.metadata.caption.clone() {
            Some(caption) => {
                dataset
                    .items
                    .push(Item { images: vec![image.clone()], ..Item::new(image.id, caption) });
            }
            None => notes.count("samples without a class or a caption", image.id),
        }
    }
    if dataset.items.is_empty() {
        let expected = "samples with .cls, .txt, or a class in .json";
        return Err(Error::invalid_file(path, "shards", expected, "none"));
    }
    Ok(dataset)
}
