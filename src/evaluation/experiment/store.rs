//! [`Store`]: pictures, references and traces to files of an experiment's folder, and their records to
//! journals.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::{Journal, PictureRecord, Records, ScoreRecord, Spent, StoredPicture};
use crate::atomic_file::{sync_folder, write_bytes};
use crate::evaluation::metric::picture_hash;
use crate::{Error, Image, Result, pool};

const PICTURES: &str = "pictures.jsonl";
const SCORES: &str = "scores.jsonl";

/// An experiment's folder, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) pictures: Journal<PictureRecord>,
    pub(super) scores: Journal<ScoreRecord>,
}

/// What an experiment's folder holds: the newest record of each picture and score.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) pictures: HashMap<PictureKey, PictureRecord>,
    pub(super) scores: HashMap<ScoreKey, ScoreRecord>,
    /// What all records cost, older ones included.
    pub(super) spent: Spent,
    /// Lines that make no sense.
    pub(super) notes: Vec<String>,
}

/// What tells a picture from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PictureKey {
    pub(super) system: String,
    pub(super) settings: String,
    pub(super) dataset: String,
    pub(super) item: String,
    pub(super) prompt: String,
    pub(super) seed: u64,
}

/// What tells a score from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ScoreKey {
    pub(super) picture: String,
    pub(super) metric: String,
    pub(super) subject: String,
}

impl Store {
    /// Opens `folder`, which is made where it is not there.
    pub(super) fn open(folder: &Path) -> Result<(Self, Held)> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let (pictures, drawn) = Journal::open(folder.join(PICTURES))?;
        let (scores, scored) = Journal::open(folder.join(SCORES))?;
        Ok((Self { pictures, scores }, Held::new(drawn, scored)))
    }
}

impl Held {
    /// Reads `folder`, which may be open elsewhere.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let scores = Journal::read(folder.join(SCORES))?;
        Ok(Self::new(Journal::read(folder.join(PICTURES))?, scores))
    }

    fn new(pictures: Records<PictureRecord>, scores: Records<ScoreRecord>) -> Self {
        let mut held = Self::default();
        held.notes.extend(pictures.notes.into_iter().chain(scores.notes));
        pictures.records.into_iter().for_each(|record| held.add_picture(record));
        scores.records.into_iter().for_each(|record| held.add_score(record));
        held
    }

    pub(super) fn add_picture(&mut self, record: PictureRecord) {
        self.spent.add_picture(&record);
        self.pictures.insert(PictureKey::of(&record), record);
    }

    pub(super) fn add_score(&mut self, record: ScoreRecord) {
        self.spent.add_score(&record);
        self.scores.insert(ScoreKey::of(&record), record);
    }
}

impl PictureKey {
    fn of(record: &PictureRecord) -> Self {
        Self {
            system: record.system.clone(),
            settings: record.settings.clone(),
            dataset: record.dataset.clone(),
            item: record.item.clone(),
            prompt: record.prompt.clone(),
            seed: record.seed,
        }
    }
}

impl ScoreKey {
    fn of(record: &ScoreRecord) -> Self {
        let (picture, metric) = (record.picture.clone(), record.metric.clone());
        Self { picture, metric, subject: record.subject.clone() }
    }
}

/// Writes `image` to the folder `kind` of the experiment's `root`, under the hash of its pixels, unless it is
/// there. It is on the disk when this returns.
pub(super) async fn keep_picture(
    root: &Path,
    kind: &'static str,
    image: Image,
) -> Result<StoredPicture> {
    let root = root.to_owned();
    pool::run("writing a picture", move || {
        let (width, height, hash) = (image.width(), image.height(), picture_hash(&image));
        let file = place(&root, kind, &hash, "png", || image.encode_png())?;
        Ok(StoredPicture { file, hash, width, height })
    })
    .await
}

/// Writes `text` to the folder `traces`, under its hash. Returns the file, relative to `root`.
pub(super) async fn keep_trace(root: &Path, text: String) -> Result<String> {
    let root = root.to_owned();
    pool::run("writing a trace", move || {
        let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
        place(&root, "traces", &hash, "json", || Ok(text.into_bytes()))
    })
    .await
}

/// The file `KIND/ab/ab….ENDING` of `root`, made where it is not there. It has `/` on every system.
fn place(
    root: &Path,
    kind: &str,
    hash: &str,
    ending: &str,
    bytes: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<String> {
    // Folders of 100,000 files are slow to look at.
    let file = format!("{kind}/{}/{hash}.{ending}", &hash[..2]);
    let path = root.join(&file);
    if !path.exists() {
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        write_bytes(&path, &bytes()?)?;
        for folder in [folder, &root.join(kind), root] {
            sync_folder(folder)?;
        }
    }
    Ok(file)
}

/// Reads the picture that `stored` names, and makes sure that it is that one.
pub(super) async fn read_picture(root: &Path, stored: &StoredPicture) -> Result<Image> {
    let (path, hash) = (root.join(&stored.file), stored.hash.clone());
    pool::run("reading a picture", move || {
        let again = "remove the file, and it is drawn again";
        let image = Image::open(&path).map_err(|error| {
            let expected = format!("a picture ({again})");
            Error::invalid_file(&path, "file", expected, error.chain())
        })?;
        let found = picture_hash(&image);
        match found == hash {
            true => Ok(image),
            false => {
                let expected = format!("those of the hash {hash} ({again})");
                Err(Error::invalid_file(path, "pixels", expected, found))
            }
        }
    })
    .await
}
