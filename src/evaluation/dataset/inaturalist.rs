//! iNaturalist 2017, 2018 and 2021 to a [`Dataset`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::coco::{self, Annotation, Category, License};
use super::files::{self, Files};
use super::lists::Place;
use super::{Class, Dataset, DatasetKind, Notes, OpenOptions, Split};
use crate::license::license;
use crate::reference::Metadata;
use crate::{Error, Result};

/// By <https://github.com/visipedia/inat_comp>.
const LICENSE: &str = "non-commercial research and education, no redistribution \
     (github.com/visipedia/inat_comp); each image has a license of its own";

/// The JSON files of a year, with the parts that they are. Of those of one part the first that is there is
/// read.
fn lists(kind: DatasetKind) -> [(&'static [&'static str], Split); 2] {
    match kind {
        DatasetKind::INaturalist2017 => {
            [(&["train2017.json"], Split::Train), (&["val2017.json"], Split::Validation)]
        }
        DatasetKind::INaturalist2018 => {
            [(&["train2018.json"], Split::Train), (&["val2018.json"], Split::Validation)]
        }
        _ => {
            [(&["train.json", "train_mini.json"], Split::Train), (&["val.json"], Split::Validation)]
        }
    }
}

/// The year of the set in the folder at `path`, if it is one.
pub(super) fn kind(path: &Path) -> Result<Option<DatasetKind>> {
    let years =
        [DatasetKind::INaturalist2017, DatasetKind::INaturalist2018, DatasetKind::INaturalist2021];
    let known = years.into_iter().find(|year| {
        let mut files = lists(*year).into_iter().flat_map(|(files, _)| files);
        files.any(|file| path.join(file).is_file())
    });
    match known {
        Some(year) => Ok(Some(year)),
        None => Ok((!taxon_folders(path)?.is_empty()).then_some(DatasetKind::INaturalist2021)),
    }
}

pub(super) fn open(
    kind: DatasetKind,
    root: &Path,
    options: &OpenOptions,
    names_given: bool,
    notes: &mut Notes,
) -> Result<Dataset> {
    let year = kind.to_string().replace("inaturalist-", "");
    let mut dataset = Dataset::new(format!("iNaturalist {year}"));
    dataset.license = Some(LICENSE.to_owned());
    let mut reader =
        Reader { root, options, notes, files: Files::below(root), classes: BTreeMap::new() };
    let mut has_list = false;
    for (names, split) in lists(kind) {
        let is_there = |name: &&&str| root.join(name).is_file();
        // The pictures of the first may not be there, only those of `train_mini`.
        let has_pictures = |name: &&&str| root.join(name.trim_end_matches(".json")).is_dir();
        let list = names.iter().filter(is_there).find(has_pictures);
        let Some(list) = list.or_else(|| names.iter().find(is_there)) else { continue };
        has_list = true;
        if options.reads(split) {
            reader.list(list, split)?;
        }
    }
    let categories = root.join("categories.json");
    if !has_list {
        if kind != DatasetKind::INaturalist2021 || !reader.taxa()? {
            let names = lists(kind).map(|(names, _)| names.join(" or "));
            return Err(files::nothing_there(root, &names.join(" and ")));
        }
    } else if categories.is_file() {
        let renamed = coco::categories(&categories)?;
        unique(&categories, &renamed)?;
        reader.rename(renamed);
    }
    let is_number = |class: &Class| class.name.bytes().all(|byte| byte.is_ascii_digit());
    if !names_given && !reader.classes.is_empty() && reader.classes.values().all(is_number) {
        let expected = "categories.json, which has the names: those of the other files are numbers";
        return Err(files::nothing_there(root, expected));
    }
    if options.split.is_none() {
        reader.files.note_others(reader.notes);
    }
    dataset.classes = reader.classes.into_values().collect();
    Ok(dataset)
}

struct Reader<'a> {
    root: &'a Path,
    options: &'a OpenOptions,
    notes: &'a mut Notes,
    files: Files,
    /// By category.
    classes: BTreeMap<u64, Class>,
}

impl Reader<'_> {
    /// Reads the JSON file `name`.
    fn list(&mut self, name: &str, split: Split) -> Result<()> {
        let path = self.root.join(name);
        let coco = coco::read(&path)?;
        let invalid = |what: &str, expected: &str, found: &str| {
            Error::invalid_file(&path, what, expected, found)
        };
        let Some(listed) = coco.annotations else {
            return Err(invalid(
                "annotations",
                "the category of each image",
                "none, as in a test set",
            ));
        };
        if coco.categories.is_empty() {
            return Err(invalid("categories", "at least one", "none"));
        }
        unique(&path, &coco.categories)?;
        for category in coco.categories {
            let name = self.name(&category);
            let new = || Class::new(category.id.to_string(), &name);
            let known = self.classes.entry(category.id).or_insert_with(new);
            if known.name != name {
                let place = Place { file: &path, unit: "category", number: category.id };
                let expected = format!("{:?}, as in the list of another part", known.name);
                return Err(place.invalid(expected, format!("{name:?}")));
            }
        }
        if coco.images.is_empty() {
            self.notes.say(format!("{name} has no images"));
        }
        let licenses = licenses(coco.licenses);
        let mut annotations = HashMap::new();
        for Annotation { image_id, category_id } in listed {
            // Lists of boxes say the same category more than once.
            if let Some(other) = annotations.insert(image_id, category_id)
                && other != category_id
            {
                let place = Place { file: &path, unit: "image", number: image_id };
                let found = format!("{other} and {category_id}");
                return Err(place.invalid("annotations with one category", found));
            }
        }
        let mut met = HashSet::new();
        for image in coco.images {
            let place = Place { file: &path, unit: "image", number: image.id };
            if !met.insert(image.id) {
                let found = format!("another one, {}", image.file_name);
                return Err(place.invalid("one image of this identifier", found));
            }
            let category = annotations.get(&image.id);
            let Some(category) = category else {
                self.notes
                    .count(&format!("images of {name} without an annotation"), &*image.file_name);
                continue;
            };
            let class = self.classes.get_mut(category);
            let class = class.ok_or_else(|| place.invalid("a category of the file's", category))?;
            let Some(mut real) = self.files.image(&image.file_name, place, self.notes)? else {
                continue;
            };
            let license = image.license.and_then(|id| {
                let listed = licenses.get(&id);
                if listed.is_none_or(|(license, _)| license.is_none()) {
                    let what =
                        format!("licenses of {name} that are not clear, so that images have none");
                    let example = listed.map_or_else(|| id.to_string(), |(_, said)| said.clone());
                    self.notes.count(&what, example);
                }
                listed.and_then(|(license, _)| license.clone())
            });
            let author = image.rights_holder.map(|holder| holder.to_string());
            let (width, height) = (image.width, image.height);
            real.metadata = Metadata { license, author, width, height, ..Metadata::default() };
            class.images.push(real.in_split(split));
        }
        let mut nowhere: Vec<u64> =
            annotations.into_keys().filter(|image| !met.contains(image)).collect();
        nowhere.sort_unstable();
        let what = format!("annotations of {name} of images that are not in it");
        nowhere.iter().for_each(|image| self.notes.count(&what, format!("image {image}")));
        Ok(())
    }

    /// The name of a class: the scientific one, unless common ones were asked for.
    fn name(&mut self, category: &Category) -> String {
        let common = category.common_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        match common {
            _ if !self.options.common_names => category.name.trim().to_owned(),
            Some(common) => common.to_owned(),
            None => {
                self.notes.count("categories without a common name", &category.name);
                category.name.trim().to_owned()
            }
        }
    }

    /// Takes the names of `categories`, which replace those of the set of 2018.
    fn rename(&mut self, categories: Vec<Category>) {
        let renamed: HashSet<u64> = categories.iter().map(|category| category.id).collect();
        for id in self.classes.keys().filter(|id| !renamed.contains(id)) {
            self.notes.count("categories that categories.json does not name", id.to_string());
        }
        for category in categories {
            let name = self.name(&category);
            if let Some(class) = self.classes.get_mut(&category.id) {
                class.name = name;
            }
        }
    }

    /// Reads the folders of 2021, whose names are those of taxa; whether there are some.
    fn taxa(&mut self) -> Result<bool> {
        let folders = taxon_folders(self.root)?;
        if folders.is_empty() {
            return Ok(false);
        }
        let is_mini = |folder: &Path| files::name(folder).ends_with("train_mini");
        let has_train =
            folders.iter().any(|(one, split)| *split == Some(Split::Train) && !is_mini(one));
        self.notes.say("no JSON files: names are those of the folders, and licenses are not known");
        for (folder, split) in folders {
            // Its pictures are those of `train/` again.
            if has_train && is_mini(&folder) {
                self.notes.say("train_mini/ is left out: it is a part of train/");
                continue;
            }
            for class in files::folders(&folder)? {
                let name = files::name(&class);
                let Some((id, taxon)) = taxon(&name) else {
                    self.notes.count("folders that are not named as taxa", name);
                    continue;
                };
                let new = || Class::new(id.to_string(), &taxon);
                let known = self.classes.entry(id).or_insert_with(new);
                if known.name != taxon {
                    let found = format!("{} and {taxon}", known.name);
                    let what = format!("category {id}");
                    return Err(Error::invalid_file(&class, what, "folders of one name", found));
                }
                if split.is_some_and(|split| !self.options.reads(split)) {
                    continue;
                }
                let pictures = files::pictures(self.root, &class, self.notes)?.into_iter();
                known.images.extend(pictures.map(|one| one.into_image(self.root).in_split(split)));
            }
        }
        Ok(true)
    }
}

/// That no two of `categories`, which are those of `file`, have one identifier.
fn unique(file: &Path, categories: &[Category]) -> Result<()> {
    let mut met = HashMap::new();
    for Category { id, name, .. } in categories {
        if let Some(other) = met.insert(*id, name) {
            let place = Place { file, unit: "category", number: *id };
            return Err(place.invalid("each category once", format!("{other:?} and {name:?}")));
        }
    }
    Ok(())
}

/// What the licenses of a file are, where that is clear, and their words, by their identifiers.
fn licenses(listed: Vec<License>) -> HashMap<u64, (Option<String>, String)> {
    let mut licenses = HashMap::new();
    for License { id, name, url } in listed {
        let (name, url) = (name.unwrap_or_default(), url.unwrap_or_default());
        let known = license(&name, &url).filter(|name| !name.is_empty());
        let new = (known, format!("{name} {url}"));
        let both = match licenses.remove(&id) {
            // Two of one identifier: which one an image has is not known.
            Some((_, words)) if words != new.1 => (None, format!("{words} and {}", new.1)),
            _ => new,
        };
        licenses.insert(id, both);
    }
    licenses
}

/// The folders at and in `path` that hold those of taxa.
fn taxon_folders(path: &Path) -> Result<Vec<(PathBuf, Option<Split>)>> {
    // torchvision's names are those with the year.
    let parts = [
        ("train", Some(Split::Train)),
        ("train_mini", Some(Split::Train)),
        ("val", Some(Split::Validation)),
        ("2021_train", Some(Split::Train)),
        ("2021_train_mini", Some(Split::Train)),
        ("2021_valid", Some(Split::Validation)),
    ];
    let of_part = |name: &str| parts.iter().find(|(part, _)| *part == name).and_then(|(_, s)| *s);
    let inner = parts.iter().map(|(part, split)| (path.join(part), *split));
    let own = (path.to_owned(), of_part(&files::name(path)));
    let mut found = Vec::new();
    for (folder, split) in inner.chain([own]).filter(|(folder, _)| folder.is_dir()) {
        if files::folders(&folder)?.iter().any(|class| taxon(&files::name(class)).is_some()) {
            found.push((folder, split));
        }
    }
    Ok(found)
}

/// Category and scientific name of the folder
/// `00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris`.
fn taxon(folder: &str) -> Option<(u64, String)> {
    let parts: Vec<&str> = folder.splitn(8, '_').collect();
    let [id, .., genus, species] = parts[..] else { return None };
    let is_id = id.len() == 5 && id.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 8 && is_id).then_some(())?;
    Some((id.parse().ok()?, files::words(&format!("{genus} {species}"))))
}
