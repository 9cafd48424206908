//! ImageNet-1k on disk, in any of its usual layouts, to a [`Dataset`].

mod ground_truth;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::names::Names;
use super::{Class, Dataset, Notes, OpenOptions, RealImage, Split, files};
use crate::Result;
use crate::folder::walk;

/// By <https://image-net.org/download>.
pub(super) const LICENSE: &str = "ImageNet's terms of access (image-net.org/download): non-commercial research and education; the \
     images are their owners'";

/// Folders with pictures, and the parts that they are.
const PARTS: [(&str, Split); 6] = [
    ("train", Split::Train),
    ("val", Split::Validation),
    ("validation", Split::Validation),
    ("test", Split::Test),
    // The names of its own archives.
    ("ILSVRC2012_img_train", Split::Train),
    ("ILSVRC2012_img_val", Split::Validation),
];

/// What the names of validation pictures begin with.
const VALIDATION: &str = "ILSVRC2012_val_";

/// Where Kaggle's archive has them.
const KAGGLE: &str = "ILSVRC/Data/CLS-LOC";

/// Whether the folder at `path` is ImageNet, or a part of it.
pub(super) fn is(path: &Path) -> Result<bool> {
    if path.join(KAGGLE).is_dir() || names::is_there(path) {
        return Ok(true);
    }
    let has_classes = |folder: &Path| -> Result<bool> {
        let names = walk::list(folder)?;
        let mut names = names.iter().map(|path| files::name(path));
        Ok(names.any(|name| is_wnid(&name) || name.starts_with(VALIDATION)))
    };
    let parts = PARTS.iter().map(|(part, _)| path.join(part)).filter(|part| part.is_dir());
    for folder in parts.chain([path.to_owned()]) {
        if has_classes(&folder)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `text` is a WordNet identifier of a noun, such as `n01440764`.
pub(super) fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn open(
    path: &Path,
    options: &OpenOptions,
    mut given: Option<&mut Names>,
    notes: &mut Notes,
) -> Result<Dataset> {
    let reader = Reader { root: path.to_owned(), names: names::read(path)? };
    let mut images: BTreeMap<String, Vec<RealImage>> = BTreeMap::new();
    for (folder, split) in parts(path) {
        if split.is_none_or(|split| options.reads(split)) {
            reader.read(&folder, split, &mut images, notes)?;
        }
    }
    if let Some(names) = &reader.names {
        match images.is_empty() {
            true => images = names.of.keys().map(|id| (id.clone(), Vec::new())).collect(),
            false => names.of.iter().filter(|(id, _)| !images.contains_key(*id)).for_each(
                |(id, name)| {
                    let what = format!("classes of {} that no folder or list is of", names.from);
                    notes.count(&what, format!("{id} {name}"));
                },
            ),
        }
    }
    let mut dataset = Dataset::new("ImageNet");
    for (id, images) in images {
        let listed = reader.names.as_ref().and_then(|names| names.of.get(&id)).map(String::as_str);
        let name = given.as_deref().and_then(|names| names.get(&id)).or(listed);
        let name = name.ok_or_else(|| names::missing(path, &id, reader.names.as_ref()))?;
        dataset.classes.push(Class { images, ..Class::new(&id, name) });
    }
    if dataset.classes.is_empty() {
        let expected = "folders with names such as n01440764 or pictures such as ILSVRC2012_val_00000001.JPEG, here or in \
             train/, val/, test/ or ILSVRC/Data/CLS-LOC/";
        return Err(files::nothing_there(path, expected));
    }
    if let Some(names) = &mut given {
        // They may be those of all classes, where there are only some.
        names.retain(|id| !is_wnid(id) || dataset.class(id).is_some(), notes);
    }
    dataset.license = Some(LICENSE.to_owned());
    Ok(dataset)
}

/// The folders with pictures, and which parts they are.
fn parts(path: &Path) -> Vec<(PathBuf, Option<Split>)> {
    let root =
        Some(path.join(KAGGLE)).filter(|root| root.is_dir()).unwrap_or_else(|| path.to_owned());
    let parts = PARTS.iter().map(|(part, split)| (root.join(part), Some(*split)));
    let parts: Vec<_> = parts.filter(|(folder, _)| folder.is_dir()).collect();
    if !parts.is_empty() {
        return parts;
    }
    // The caller may have named one of the parts.
    let name = files::name(path);
    let own = PARTS.iter().find(|(part, _)| part.eq_ignore_ascii_case(&name));
    let own = own.map(|(_, split)| *split);
    vec![(path.to_owned(), own)]
}

struct Reader {
    root: PathBuf,
    names: Option<names::Listed>,
}

impl Reader {
    /// Adds the pictures in `folder`, which has a folder for each class, or files whose names or lists say
    /// what they show.
    fn read(
        &self,
        folder: &Path,
        split: Option<Split>,
        images: &mut BTreeMap<String, Vec<RealImage>>,
        notes: &mut Notes,
    ) -> Result<()> {
        for folder in files::folders(folder)? {
            let name = files::name(&folder);
            if is_wnid(&name) {
                images.entry(name).or_default();
            }
        }
        let mut truth: Option<ground_truth::Truth> = None;
        for picture in files::pictures(&self.root, folder, notes)? {
            let below = picture.path.strip_prefix(folder).unwrap_or(&picture.path);
            let first = below.iter().next().map(|part| part.to_string_lossy().into_owned());
            let first = first.unwrap_or_default();
            let stem = below.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let class = if is_wnid(&first) {
                if wnid_in(&stem).is_some_and(|other| other != first) {
                    let what = "pictures whose folder and name say two classes, of which the folder's is taken";
                    notes.count(what, files::id(&self.root, &picture.path));
                }
                Some(first)
            } else if let Some(class) = wnid_in(&stem) {
                Some(class)
            } else if stem.starts_with(VALIDATION) {
                let read = || ground_truth::read(&self.root, self.names.as_ref());
                let truth = match &mut truth {
                    Some(truth) => truth,
                    none => none.insert(read()?),
                };
                truth.get(&stem).cloned()
            } else {
                None
            };
            match class {
                Some(class) => {
                    let validation = stem.starts_with(VALIDATION).then_some(Split::Validation);
                    let image = picture.into_image(&self.root).in_split(split.or(validation));
                    images.entry(class).or_default().push(image);
                }
                None => {
                    let example = files::id(&self.root, &picture.path);
                    notes.count("pictures of which no folder and no list says the class", example);
                }
            }
        }
        if let (Some(truth), Some(names)) = (truth, &self.names) {
            // A class of a list may have lost its pictures.
            let listed = truth.into_values().filter(|id| names.of.contains_key(id));
            for id in listed {
                images.entry(id).or_default();
            }
        }
        Ok(())
    }
}

/// The class that the name of a file says, as the copy on the Hugging Face Hub has it
/// (`ILSVRC2012_val_00000293_n01440764`), and as train archives have it (`n01440764_18`).
fn wnid_in(stem: &str) -> Option<String> {
    let last = stem.rsplit('_').next().filter(|part| is_wnid(part));
    last.or_else(|| stem.split('_').next().filter(|part| is_wnid(part))).map(str::to_owned)
}
