//! A folder for each class, with or without parts above them, to a [`Dataset`].

use std::path::{Path, PathBuf};

use super::{Class, Dataset, Notes, OpenOptions, Split, files};
use crate::Result;
use crate::folder::kind::claims_to_be_picture;

/// What folders of parts are called, in lower case.
const PARTS: [(&str, Split); 9] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("val", Split::Validation),
    ("valid", Split::Validation),
    ("validation", Split::Validation),
    ("dev", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("eval", Split::Test),
];

/// Whether the folder at `path` has folders with pictures in it.
pub(super) fn is(path: &Path) -> Result<bool> {
    for (folder, _) in parts(path)? {
        for class in files::folders(&folder)? {
            if crate::folder::walk::list(&class)?
                .iter()
                .any(|path| claims_to_be_picture(&files::name(path)))
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The folders that hold those of classes. Folders are parts if they are called so and have folders in
/// them: a class may be called `train` too.
fn parts(path: &Path) -> Result<Vec<(PathBuf, Option<Split>)>> {
    let mut parts = Vec::new();
    for folder in files::folders(path)? {
        let name = files::name(&folder).to_lowercase();
        let split = PARTS.iter().find(|(part, _)| *part == name).map(|(_, split)| *split);
        if split.is_some() && !files::folders(&folder)?.is_empty() {
            parts.push((folder, split));
        }
    }
    if parts.is_empty() {
        let name = files::name(path).to_lowercase();
        let own = PARTS.iter().find(|(part, _)| *part == name).map(|(_, split)| *split);
        parts.push((path.to_owned(), own));
    }
    Ok(parts)
}

pub(super) fn open(path: &Path, options: &OpenOptions, notes: &mut Notes) -> Result<Dataset> {
    let mut dataset = Dataset::new(files::name(path));
    let parts = parts(path)?;
    let above = parts.iter().any(|(folder, _)| folder != path);
    for (folder, split) in &parts {
        // Classes are those of all parts, whichever are read.
        read(path, folder, *split, options, &mut dataset, notes)?;
    }
    if above {
        for folder in
            files::folders(path)?.iter().filter(|f| parts.iter().all(|(part, _)| part != *f))
        {
            notes.count("folders beside those of the parts", files::name(folder));
        }
    }
    if dataset.classes.is_empty() {
        return Err(files::nothing_there(path, "a folder for each class"));
    }
    dataset.classes.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(dataset)
}

fn read(
    root: &Path,
    folder: &Path,
    split: Option<Split>,
    options: &OpenOptions,
    dataset: &mut Dataset,
    notes: &mut Notes,
) -> Result<()> {
    for class in files::folders(folder)? {
        let id = files::name(&class);
        let at = dataset.classes.iter().position(|known| known.id == id);
        let at = at.unwrap_or_else(|| {
            dataset.classes.push(Class::new(&id, files::words(&id)));
            dataset.classes.len() - 1
        });
        if split.is_some_and(|split| !options.reads(split)) {
            continue;
        }
        let pictures = files::pictures(root, &class, notes)?.into_iter();
        let images = pictures.map(|picture| picture.into_image(root).in_split(split));
        dataset.classes[at].images.extend(images);
    }
    let beside = crate::folder::walk::list(folder)?;
    for picture in
        beside.iter().filter(|path| claims_to_be_picture(&files::name(path)) && path.is_file())
    {
        notes.count("pictures beside the folders of classes", files::id(root, picture));
    }
    Ok(())
}
