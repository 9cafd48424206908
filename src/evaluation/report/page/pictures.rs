//! Picture files to what the page shows: in the page itself, or small files beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;

use crate::atomic_file::write_bytes;
use crate::evaluation::experiment::StoredPicture;
use crate::image::Image;
use crate::page::{Thumbnail, encoded, thumbnail};
use crate::{Error, Result};

/// The longest side of a picture on the page, in pixels.
const SIDE: u32 = 512;
/// The folder beside the page for pictures that are too many for it.
const FOLDER: &str = "report_pictures";

/// The pictures that a page shows, each once.
#[derive(Default)]
pub(super) struct Pictures<'a> {
    by_hash: BTreeMap<&'a str, &'a StoredPicture>,
}

impl<'a> Pictures<'a> {
    /// Asks for a picture. Returns its key.
    pub(super) fn add(&mut self, picture: &'a StoredPicture) -> String {
        self.by_hash.insert(&picture.hash, picture);
        picture.hash.clone()
    }

    /// The pictures by their keys, from files relative to `results`, and notes on what went otherwise
    /// than usual. Up to `inline` pictures are in the page itself; of more, small copies are made in a
    /// folder beside the page, in `folder`.
    pub(super) fn made(
        self,
        results: &Path,
        folder: &Path,
        inline: usize,
    ) -> Result<(BTreeMap<String, Thumbnail>, Vec<String>)> {
        let beside = (self.by_hash.len() > inline).then(|| folder.join(FOLDER));
        if let Some(beside) = &beside {
            fs::create_dir_all(beside).map_err(|source| Error::io(beside, source))?;
        }
        let pictures: Vec<_> = self.by_hash.into_values().collect();
        let made: Vec<_> = pictures
            .par_iter()
            .map(|picture| (picture, shown(picture, results, beside.as_deref())))
            .collect();
        let mut notes = Vec::new();
        if beside.is_some() {
            notes.push(format!(
                "The pictures are files in the folder {FOLDER} beside this page, because there are {}: \
                 move or send both together.",
                pictures.len()
            ));
        }
        let (mut by_key, mut unreadable) = (BTreeMap::new(), Vec::new());
        for (picture, made) in made {
            match made {
                Ok(made) => drop(by_key.insert(picture.hash.clone(), made)),
                // The disk is full, or the like: a page without pictures would hide it.
                Err(error) if error.is_of_writing => return Err(error.error),
                Err(error) => unreadable.push(error.error.chain().to_string()),
            }
        }
        if let Some(first) = unreadable.first() {
            let count = unreadable.len();
            notes.push(format!("{count} picture files cannot be read. The first: {first}"));
        }
        Ok((by_key, notes))
    }
}

struct Failure {
    error: Error,
    is_of_writing: bool,
}

fn shown(
    picture: &StoredPicture,
    results: &Path,
    beside: Option<&Path>,
) -> std::result::Result<Thumbnail, Failure> {
    let reading = |error| Failure { error, is_of_writing: false };
    let writing = |error| Failure { error, is_of_writing: true };
    let StoredPicture { hash, width, height, .. } = picture;
    let Some(beside) = beside else {
        return thumbnail(&open(picture, results).map_err(reading)?, SIDE).map_err(reading);
    };
    // A hash from a file could be any text.
    let name = blake3::hash(hash.as_bytes()).to_hex()[..24].to_owned();
    let source = |kind: &str| format!("{FOLDER}/{name}-{SIDE}.{kind}");
    // What a former report made is there still.
    let path = |kind: &str| beside.join(format!("{name}-{SIDE}.{kind}"));
    if let Some(kind) = ["png", "jpeg"].into_iter().find(|kind| path(kind).is_file()) {
        return Ok(Thumbnail { src: source(kind), width: *width, height: *height });
    }
    let image = open(picture, results).map_err(reading)?;
    let (bytes, kind) = encoded(&image, SIDE).map_err(reading)?;
    write_bytes(&path(kind), &bytes).map_err(writing)?;
    Ok(Thumbnail { src: source(kind), width: image.width(), height: image.height() })
}

fn open(picture: &StoredPicture, results: &Path) -> Result<Image> {
    Image::open(within(results, &picture.file)?)
}

/// The file `name` in `folder`.
///
/// # Errors
/// [`Error::InvalidFile`] where the name leads out of the folder.
pub(in crate::evaluation::report) fn within(folder: &Path, name: &str) -> Result<PathBuf> {
    let stays = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match stays && !name.is_empty() {
        true => Ok(folder.join(name)),
        false => Err(Error::invalid_file(folder, "name of a file", "one below the folder", name)),
    }
}
