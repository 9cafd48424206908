//! A folder or a file, and what kind of data set it is, to a [`Dataset`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Dataset, Notes, Split};
use super::{aircraft, cars, class_folders, cub, dogs, flowers, imagenet, inaturalist};
use super::{files, names, prompts, web_dataset};
use crate::error::require;
use crate::{Error, Result};

/// The form of the paper's prompts (its figures 5 and 12, and E.5): always "a", never "an".
const TEMPLATE: &str = "A photo of a {}";

/// What a data set is, by how it lies on disk. In run files and on command lines it has the name that
/// `Display` gives, such as `imagenet` or `inaturalist-2021`; case, `-`, `_` and spaces do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DatasetKind {
    /// ImageNet-1k (ILSVRC 2012): `train/` and `val/`, or one of them alone, with a folder for each class
    /// or, for `val/`, without. The paths of Kaggle's copy (`ILSVRC/Data/CLS-LOC/val`) are known too.
    ///
    /// Names are read from the first of `LOC_synset_mapping.txt`, `synset_words.txt`,
    /// `imagenet_class_index.json` and the devkit's `meta.mat` that is there; of several synonyms the
    /// first is taken. What a picture of a flat `val/` shows is read from `LOC_val_solution.csv`, or from
    /// the devkit's `ILSVRC2012_validation_ground_truth.txt`, whose numbers are those of `meta.mat` and not
    /// the places of sorted identifiers. Classes are in the order of their identifiers (`n01440764`, …).
    ImageNet,
    /// iNaturalist 2017: `train2017.json`, `val2017.json` and `train_val_images/`.
    INaturalist2017,
    /// iNaturalist 2018: `train2018.json`, `val2018.json` and `train_val2018/`, with `categories.json`,
    /// which has the names: those in the other files are numbers.
    INaturalist2018,
    /// iNaturalist 2021: `train.json`, `train_mini.json`, `val.json` with the folders of the same names.
    /// Without the JSON files, names are read from the folders' names, and licenses are not known.
    INaturalist2021,
    /// CUB-200-2011: `images.txt`, `classes.txt`, `image_class_labels.txt`, `train_test_split.txt`,
    /// `bounding_boxes.txt` and `images/`. Its names have lost their hyphens ("Black footed Albatross").
    Cub,
    /// FGVC-Aircraft 2013b: `data/` with `images_variant_test.txt` and so on. A class is a variant, and its
    /// name the manufacturer's and the variant's ("Boeing 707-320"); see [`OpenOptions::level`]. The strip
    /// of 20 pixels at the bottom of each picture, which names its owner, is cut off when it is read.
    Aircraft,
    /// Stanford Dogs: `Images/n02085620-Chihuahua/`, with `train_list.mat` and `test_list.mat`. Its pictures
    /// are ImageNet's, many of them of its train set.
    Dogs,
    /// Oxford Flowers 102: `jpg/`, `imagelabels.mat` and `setid.mat`. The names are not among the files;
    /// they are those of the set's page.
    Flowers,
    /// Stanford Cars: `cars_train/` and `cars_test/` with `devkit/` or with Kaggle's `names.csv`,
    /// `anno_train.csv` and `anno_test.csv`; or folders with the names of the classes.
    Cars,
    /// A folder for each class, named as the class, where `_` is a space; above them may be `train/`,
    /// `val/` and `test/`. What `.json` or `.txt` files beside a picture say of it becomes its metadata.
    ClassFolders,
    /// WebDataset shards: one uncompressed `.tar` file or a folder of them. A class is what `.cls` says, or
    /// the field `class` or `label` of `.json`; without classes, each caption is a prompt.
    WebDataset,
    /// A list of prompts: a CSV, TSV, JSONL or JSON file, or a text with a prompt on each line. The columns
    /// or fields are `prompt`, and where they are known `id`, `class`, `category` (or `tag`), `seed` and
    /// `reference`, in any case. The fields of TSV are not quoted, as PartiPrompts has it. Items without an
    /// identifier are counted from `00000` on, as GenEval names its folders.
    Prompts,
    /// KnowGen: a JSON array of `id`, `prompt`, `meta.category` and `gt_image`, or a folder with one.
    KnowGen,
    /// FactIP: a JSON object from identifiers to `ip_name` and `image_prompt`, or a folder with one.
    FactIp,
}

impl DatasetKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::ImageNet,
        Self::INaturalist2017,
        Self::INaturalist2018,
        Self::INaturalist2021,
        Self::Cub,
        Self::Aircraft,
        Self::Dogs,
        Self::Flowers,
        Self::Cars,
        Self::ClassFolders,
        Self::WebDataset,
        Self::Prompts,
        Self::KnowGen,
        Self::FactIp,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::INaturalist2017 => "inaturalist-2017",
            Self::INaturalist2018 => "inaturalist-2018",
            Self::INaturalist2021 => "inaturalist-2021",
            Self::Cub => "cub",
            Self::Aircraft => "aircraft",
            Self::Dogs => "dogs",
            Self::Flowers => "flowers",
            Self::Cars => "cars",
            Self::ClassFolders => "class-folders",
            Self::WebDataset => "web-dataset",
            Self::Prompts => "prompts",
            Self::KnowGen => "knowgen",
            Self::FactIp => "factip",
        }
    }

    /// The kind of the data set at `path`, by the files that each has.
    ///
    /// # Errors
    /// [`Error::Io`] when there is nothing; [`Error::InvalidFile`] when it is none of them: it says what
    /// was looked for, and what is there.
    pub fn guess(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let found = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        let kind = match found.is_dir() {
            true => Self::of_folder(path)?,
            false => {
                prompts::kind(path)?.or_else(|| web_dataset::is(path).then_some(Self::WebDataset))
            }
        };
        kind.ok_or_else(|| {
            let looked_for = "images.txt and classes.txt (CUB), data/variants.txt (Aircraft), \
                 imagelabels.mat (Flowers), Images/ with folders as n02085620-Chihuahua (Dogs), cars_train/ \
                 (Cars), folders as n01440764 or LOC_synset_mapping.txt (ImageNet), val.json, val2017.json or \
                 val2018.json (iNaturalist), .tar files (WebDataset), folders with pictures, or a .csv, .tsv, \
                 .jsonl, .json or .txt file of prompts";
            files::nothing_there(path, looked_for)
        })
    }

    fn of_folder(path: &Path) -> Result<Option<Self>> {
        let known = [
            (Self::Cub, cub::root(path)),
            (Self::Aircraft, aircraft::root(path)),
            (Self::Flowers, flowers::root(path)),
            (Self::Dogs, dogs::root(path)),
            (Self::Cars, cars::root(path)),
        ];
        if let Some((kind, _)) = known.into_iter().find(|(_, root)| root.is_some()) {
            return Ok(Some(kind));
        }
        let year = inaturalist::kind(path)?;
        Ok(if imagenet::is(path)? {
            Some(Self::ImageNet)
        } else if year.is_some() {
            year
        } else if web_dataset::is(path) {
            Some(Self::WebDataset)
        } else if let Some(benchmark) = prompts::kind(path)? {
            Some(benchmark)
        } else {
            class_folders::is(path)?.then_some(Self::ClassFolders)
        })
    }
}

impl fmt::Display for DatasetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DatasetKind {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidInput`] when there is no kind of this name: it lists them.
    fn from_str(text: &str) -> Result<Self> {
        let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
        let wanted = plain(text);
        Self::ALL.into_iter().find(|kind| plain(kind.name()) == wanted).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid_input("kind of data set", format!("one of {names}"), text)
        })
    }
}

impl serde::Serialize for DatasetKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for DatasetKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a data set is read. The default is right for most.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Only real images of this part are read; otherwise those of all parts. With
    /// [`Split::Validation`] the million pictures of ImageNet's `train/` are not even listed.
    pub split: Option<Split>,
    /// Names of classes, instead of those of the set: a CSV file as
    /// [`with_names`](Dataset::with_names) reads it.
    pub names: Option<PathBuf>,
    /// iNaturalist 2021 only: the common names, such as "Common Earthworm", where there are some, instead of
    /// the scientific ones.
    pub common_names: bool,
    /// Aircraft only: what a class is.
    pub level: AircraftLevel,
}

/// What a class of FGVC-Aircraft is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AircraftLevel {
    /// One of 100 variants, such as `Boeing 737-700`; the paper's choice.
    #[default]
    Variant,
    /// One of 70 families, such as `Boeing 737`.
    Family,
    /// One of 30 manufacturers, such as `Boeing`.
    Manufacturer,
}

impl OpenOptions {
    /// Those with real images of this part only.
    #[must_use]
    pub fn with_split(mut self, split: Split) -> Self {
        self.split = Some(split);
        self
    }

    /// Those with names from the CSV file at `path`.
    #[must_use]
    pub fn with_names(mut self, path: impl Into<PathBuf>) -> Self {
        self.names = Some(path.into());
        self
    }

    /// Those with common instead of scientific names.
    #[must_use]
    pub const fn with_common_names(mut self) -> Self {
        self.common_names = true;
        self
    }

    /// Those with classes of this level.
    #[must_use]
    pub const fn with_level(mut self, level: AircraftLevel) -> Self {
        self.level = level;
        self
    }

    /// Whether images of `split` are read.
    pub(super) fn reads(&self, split: Split) -> bool {
        self.split.is_none_or(|wanted| wanted == split)
    }

    /// That each setting is one of `kind`.
    fn check(&self, kind: DatasetKind) -> Result<()> {
        let is_2021 = kind == DatasetKind::INaturalist2021;
        require(!self.common_names || is_2021, "common_names", "inaturalist-2021", kind)?;
        let is_default = self.level == AircraftLevel::default();
        require(is_default || kind == DatasetKind::Aircraft, "level", "aircraft", kind)
    }
}

/// The data set of this kind at `path`: the folder that its archive unpacks to, the one that this lies in,
/// or a file of prompts. A set of classes has an item for each class, with the prompt
/// "A photo of a …"; [`Dataset::with_prompts`] has others. No picture is read before it is needed.
///
/// ```no_run
/// use imagerag::evaluation::dataset::{self, DatasetKind, OpenOptions, Split};
///
/// let options = OpenOptions::default().with_split(Split::Validation);
/// let imagenet = dataset::open(DatasetKind::ImageNet, "/data/imagenet", &options)?;
/// assert_eq!(imagenet.items[0].prompt, "A photo of a tench");
/// for note in &imagenet.notes {
///     eprintln!("{note}"); // What was left out, and why.
/// }
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when something cannot be read; [`Error::InvalidFile`] when a file is missing or does not
/// hold what it should; [`Error::InvalidInput`] when an option is not one of this kind, or
/// [`Dataset::validate`] refuses what was read.
pub fn open(kind: DatasetKind, path: impl AsRef<Path>, options: &OpenOptions) -> Result<Dataset> {
    options.check(kind)?;
    let (path, mut notes) = (path.as_ref(), Notes::default());
    std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
    let mut given = options.names.as_deref().map(names::read).transpose()?;
    // Relative paths would be others in a process that changes its folder.
    let path = &std::path::absolute(path).map_err(|source| Error::io(path, source))?;
    let mut dataset = match kind {
        DatasetKind::ImageNet => imagenet::open(path, options, given.as_mut(), &mut notes),
        DatasetKind::INaturalist2017
        | DatasetKind::INaturalist2018
        | DatasetKind::INaturalist2021 => {
            inaturalist::open(kind, path, options, given.is_some(), &mut notes)
        }
        DatasetKind::Cub => cub::open(path, &mut notes),
        DatasetKind::Aircraft => aircraft::open(path, options, &mut notes),
        DatasetKind::Dogs => dogs::open(path, &mut notes),
        DatasetKind::Flowers => flowers::open(path, &mut notes),
        DatasetKind::Cars => cars::open(path, &mut notes),
        DatasetKind::ClassFolders => class_folders::open(path, options, &mut notes),
        DatasetKind::WebDataset => web_dataset::open(path, &mut notes),
        DatasetKind::Prompts | DatasetKind::KnowGen | DatasetKind::FactIp => {
            prompts::open(kind, path, &mut notes)
        }
    }?;
    dataset.notes.extend(notes.into_lines());
    if dataset.items.is_empty() {
        dataset = dataset.with_prompts(TEMPLATE)?;
    }
    if let Some(given) = given {
        dataset = dataset.renamed(given)?;
    }
    if let Some(split) = options.split {
        let expected = format!("a part of {} with images", dataset.name);
        require(dataset.images().next().is_some(), "split", expected, split)?;
        dataset = dataset.only_split(split)?;
    }
    dataset.note_classes();
    dataset.validate()?;
    Ok(dataset)
}

impl Dataset {
    /// The data set at `path`, whose kind is [guessed](DatasetKind::guess), with default options.
    ///
    /// # Errors
    /// Those of [`DatasetKind::guess`] and [`open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        open(DatasetKind::guess(path)?, path, &OpenOptions::default())
    }
}
