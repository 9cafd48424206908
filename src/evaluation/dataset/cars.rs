//! Stanford Cars, as its devkit, Kaggle's lists or folders of classes have it, to a [`Dataset`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::files::{self, Files};
use super::lists::Place;
use super::mat::Mat;
use super::{Class, Dataset, Notes, Split};
use crate::{Error, Result, lenient};

/// By the set's page, <https://ai.stanford.edu/~jkrause/cars/car_dataset.html>, which is gone.
const LICENSE: &str =
    "ImageNet's terms: non-commercial research and education (the readme of the set's devkit)";

/// The parts: their flat folders, their folders of classes, the devkit's lists and Kaggle's.
const PARTS: [Part; 2] = [
    Part {
        split: Split::Train,
        flat: ["cars_train", "cars_train/cars_train"],
        classes: ["train", "car_data/train", "car_data/car_data/train"],
        devkit: &["devkit/cars_train_annos.mat", "cars_train_annos.mat"],
        csv: "anno_train.csv",
    },
    Part {
        split: Split::Test,
        flat: ["cars_test", "cars_test/cars_test"],
        classes: ["test", "car_data/test", "car_data/car_data/test"],
        devkit: &[
            "devkit/cars_test_annos_withlabels.mat",
            "cars_test_annos_withlabels.mat",
            // Kaggle's has labels under this name; that of the devkit has none.
            "devkit/cars_test_annos.mat",
            "cars_test_annos.mat",
        ],
        csv: "anno_test.csv",
    },
];

/// The list of the set's other archive, whose pictures are in one folder, `car_ims`.
const ALL_IN_ONE: &str = "cars_annos.mat";

struct Part {
    split: Split,
    flat: [&'static str; 2],
    classes: [&'static str; 3],
    devkit: &'static [&'static str],
    csv: &'static str,
}

/// The set at `path` or in it.
pub(super) fn root(path: &Path) -> Option<PathBuf> {
    let folders = ["", "stanford_cars", "stanford-cars"];
    let known = [
        &["cars_train"][..],
        &["cars_test"],
        &["car_data"],
        &["car_ims"],
        &["devkit/cars_meta.mat"],
        &["names.csv", "anno_train.csv"],
    ];
    known.iter().find_map(|needed| files::holding(path, &folders, needed))
}

pub(super) fn open(path: &Path, notes: &mut Notes) -> Result<Dataset> {
    let expected = "cars_train/ or cars_test/ with devkit/ or names.csv, car_ims/ with cars_annos.mat, or folders \
         of classes in train/ and test/ or car_data/, here or in stanford_cars/ or stanford-cars/";
    let root = root(path).unwrap_or_else(|| path.to_owned());
    let names = names(&root)?;
    let mut dataset = Dataset::new("Cars");
    dataset.license = Some(LICENSE.to_owned());
    let class = |(at, name): (usize, &String)| Class::new((at + 1).to_string(), files::words(name));
    dataset.classes = names.iter().enumerate().map(class).collect();
    let mut reader = Reader { files: Files::below(&root), root, names, dataset, notes };
    let mut is_there = reader.in_one_folder()?;
    for part in &PARTS {
        is_there |= reader.flat(part)? || reader.folders(part)?;
    }
    if !is_there {
        return Err(files::nothing_there(path, expected));
    }
    reader.files.note_others(reader.notes);
    let mut dataset = reader.dataset;
    dataset.classes.sort_by_key(|class| (class.id.parse().unwrap_or(0_u32), class.id.clone()));
    Ok(dataset)
}

/// The names of the classes in the order of their numbers, from 1; none where no file has them.
fn names(root: &Path) -> Result<Vec<String>> {
    if let Some(file) = first_file(root, &["names.csv"]) {
        let bytes = files::required(&file)?;
        let text = lenient::text(&bytes);
        // A name on each line; some copies quote them.
        let lines = files::without_gaps(&file, files::text_lines(&text))?.into_iter();
        return Ok(lines.map(|line| line.text.trim_matches('"').trim().to_owned()).collect());
    }
    match first_file(root, &["devkit/cars_meta.mat", "cars_meta.mat", ALL_IN_ONE]) {
        Some(file) => Mat::read(&file)?.texts("class_names"),
        None => Ok(Vec::new()),
    }
}

fn first_file(root: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| root.join(name)).find(|file| file.is_file())
}

/// Which classes pictures are of.
struct List {
    file: PathBuf,
    /// What its rows are called.
    unit: &'static str,
    /// The number of the row, the picture's file and the class's number, all from 1.
    rows: Vec<(u64, String, u64)>,
}

struct Reader<'a> {
    root: PathBuf,
    files: Files,
    names: Vec<String>,
    dataset: Dataset,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    /// Reads the pictures of both parts from one folder; whether there is one.
    fn in_one_folder(&mut self) -> Result<bool> {
        let Some(list) = first_file(&self.root, &[ALL_IN_ONE]) else { return Ok(false) };
        if !self.root.join("car_ims").is_dir() {
            return Ok(false);
        }
        let mat = Mat::read(&list)?;
        for (number, record) in (1..).zip(mat.records("annotations")?) {
            let split = if mat.number(record, "test")? == 1 { Split::Test } else { Split::Train };
            let file = mat.text(record, "relative_im_path")?;
            let place = Place { file: &list, unit: "annotation", number };
            self.add(place, &file, mat.number(record, "class")?, split)?;
        }
        Ok(true)
    }

    /// Adds the picture at `relative`, which `place` says to be of this class.
    fn add(&mut self, place: Place<'_>, relative: &str, class: u64, split: Split) -> Result<()> {
        let at = usize::try_from(class).ok().and_then(|class| class.checked_sub(1));
        let at = at.filter(|at| *at < self.names.len()).ok_or_else(|| {
            let expected = format!("a class from 1 to {}", self.names.len());
            place.invalid(expected, format!("{class} of {relative}"))
        })?;
        let image = self.files.image(relative, place, self.notes)?;
        self.dataset.classes[at].images.extend(image.map(|image| image.in_split(split)));
        Ok(())
    }

    /// Reads a flat folder by its list; whether there is one.
    fn flat(&mut self, part: &Part) -> Result<bool> {
        // Kaggle's `cars_train/cars_train` is the inner one.
        let folders = part.flat.iter().rev();
        let Some(folder) = folders.copied().find(|folder| self.root.join(folder).is_dir()) else {
            return Ok(false);
        };
        if self.names.is_empty() {
            let expected = "names.csv or devkit/cars_meta.mat, which have the names of the classes";
            return Err(files::nothing_there(&self.root, expected));
        }
        let Some(List { file: list, unit, rows }) = self.list(part)? else { return Ok(true) };
        for (number, file, class) in rows {
            let place = Place { file: &list, unit, number };
            self.add(place, &format!("{folder}/{file}"), class, part.split)?;
        }
        Ok(true)
    }

    /// The files and classes of a list; none, with a note, where there is no list with classes.
    fn list(&mut self, part: &Part) -> Result<Option<List>> {
        if let Some(file) = first_file(&self.root, &[part.csv]) {
            let rows = csv_rows(&file)?;
            return Ok(Some(List { file, unit: "line", rows }));
        }
        for file in part.devkit.iter().filter_map(|name| first_file(&self.root, &[name])) {
            let mat = Mat::read(&file)?;
            let records = mat.records("annotations")?;
            if records.iter().any(|record| record.iter().all(|(field, _)| field != "class")) {
                continue; // The test set's list as it was given to participants.
            }
            let row = |(number, record)| {
                Ok((number, mat.text(record, "fname")?, mat.number(record, "class")?))
            };
            let rows = (1..).zip(records).map(row).collect::<Result<_>>()?;
            return Ok(Some(List { file, unit: "annotation", rows }));
        }
        let lists = part.devkit.first().copied().unwrap_or_default();
        let line =
            format!("the {} images are left out: neither {} nor {lists}", part.split, part.csv);
        self.notes.say(line);
        Ok(None)
    }

    /// Reads folders of classes; whether there are some.
    fn folders(&mut self, part: &Part) -> Result<bool> {
        let folders = part.classes.iter().rev().map(|folder| self.root.join(folder));
        let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else {
            return Ok(false);
        };
        let plain = |name: &str| name.replace(['/', '-', '_', ' ', ':'], "").to_lowercase();
        let mut places = HashMap::new();
        for (at, name) in self.names.iter().enumerate() {
            if let Some(other) = places.insert(plain(name), at) {
                let found = format!("{} and {name}", self.names[other]);
                let expected =
                    "names that differ in more than case and signs, as folders are named by them";
                return Err(Error::invalid_file(&self.root, "names of classes", expected, found));
            }
        }
        let classes = files::folders(&folder)?;
        for class in &classes {
            let name = files::name(class);
            let at = match places.get(&plain(&name)) {
                Some(&at) => at,
                None if self.names.is_empty() => self.by_folder(&name),
                None => {
                    self.notes.count("folders that no class is called as", name);
                    continue;
                }
            };
            let pictures = files::pictures(&self.root, class, self.notes)?.into_iter();
            let images = pictures.map(|image| image.into_image(&self.root).in_split(part.split));
            self.dataset.classes[at].images.extend(images);
        }
        Ok(!classes.is_empty())
    }

    /// The class of the folder `name`, in a copy without a list of names.
    fn by_folder(&mut self, name: &str) -> usize {
        let classes = &mut self.dataset.classes;
        classes.iter().position(|class| class.id == name).unwrap_or_else(|| {
            classes.push(Class::new(name, files::words(name)));
            classes.len() - 1
        })
    }
}

/// Rows as `00001.jpg,39,116,569,375,14`: file, box and class, without headers.
fn csv_rows(file: &Path) -> Result<Vec<(u64, String, u64)>> {
    let mut rows = Vec::new();
    for line in files::lines(file)? {
        let columns: Vec<&str> = line.text.split(',').map(|c| c.trim().trim_matches('"')).collect();
        let class = columns.last().and_then(|class| class.parse().ok());
        match (&columns[..], class) {
            ([name, _, _, _, _, _], Some(class)) => {
                rows.push((line.number as u64, (*name).to_owned(), class));
            }
            _ if line.number == 1 && !line.text.contains(".jpg") => {}
            _ => return Err(line.invalid(file, "fname,x1,y1,x2,y2,class")),
        }
    }
    match rows.is_empty() {
        true => Err(Error::invalid_file(file, "rows", "at least one", "none")),
        false => Ok(rows),
    }
}
