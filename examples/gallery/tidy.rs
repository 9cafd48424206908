//! `remove`, `dedup`, `compact` and `relocate`: images that are no longer found or elsewhere, and
//! their space.

use futures::executor::block_on;
use std::error::Error as StdError;
use std::path::PathBuf;

use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::Item;
use imagerag::{Error, Result};

use crate::Place;
use crate::command::tell;

#[derive(clap::Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    place: Place,
    /// Images to remove, by their source as `search` and `export` tell it.
    #[arg(required_unless_present = "hash")]
    sources: Vec<String>,
    /// Images to remove, by their hash.
    #[arg(long)]
    hash: Vec<String>,
}

pub(crate) fn remove(options: &Remove) -> Result<(), Box<dyn StdError>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let mut ids = Vec::new();
    for source in &options.sources {
        let absolute = std::path::absolute(source).map(|path| Item::file(path).source);
        let entry = match gallery.by_source(source)? {
            None => gallery.by_source(&absolute.unwrap_or_default())?,
            found => found,
        };
        let missing = || Error::invalid_input("source", "one of an image in the gallery", source);
        ids.push(entry.ok_or_else(missing)?.id);
    }
    for hash in &options.hash {
        let missing = || Error::invalid_input("hash", "one of an image in the gallery", hash);
        let entry = gallery.by_hash(&hash.parse()?)?;
        ids.push(entry.ok_or_else(missing)?.id);
    }
    told(&gallery, gallery.writer()?.remove(&ids)?)
}

#[derive(clap::Args)]
pub(crate) struct Dedup {
    #[command(flatten)]
    place: Place,
    /// Cosine similarity, in (0, 1], from which on two images are the same.
    #[arg(long, default_value_t = 0.94)]
    threshold: f32,
    /// Removes all of each group but the largest picture.
    #[arg(long)]
    remove: bool,
}

pub(crate) fn dedup(options: &Dedup) -> Result<(), Box<dyn StdError>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let groups = block_on(gallery.near_duplicates(options.threshold))?;
    for group in &groups {
        for (place, id) in group.iter().enumerate() {
            let source = gallery.entry(*id)?.map(|entry| entry.record.source).unwrap_or_default();
            tell!("{}  {source}", if place == 0 { "keep" } else { "same" });
        }
    }
    let ids: Vec<u64> = groups.iter().flat_map(|group| group.iter().skip(1)).copied().collect();
    tell!("groups     {}, with {} images that may go", groups.len(), ids.len());
    if !options.remove {
        return Ok(());
    }
    told(&gallery, gallery.writer()?.remove(&ids)?)
}

fn told(gallery: &Gallery, removed: usize) -> Result<(), Box<dyn StdError>> {
    tell!("removed    {removed} images; {} are left", gallery.count()?);
    Ok(())
}

pub(crate) fn compact(place: &Place) -> Result<(), Box<dyn StdError>> {
    let gallery = Gallery::open(&place.folder)?;
    let gone = gallery.writer()?.compact()?;
    tell!("compacted  {gone} vectors are gone; {} are left", gallery.count()?);
    Ok(())
}

#[derive(clap::Args)]
pub(crate) struct Relocate {
    #[command(flatten)]
    place: Place,
    /// The folder that the pictures were in, as it is in their sources: absolute, or relative to the
    /// gallery's.
    from: PathBuf,
    /// The folder that they are in now: absolute, or relative to the gallery's.
    to: PathBuf,
}

pub(crate) fn relocate(options: &Relocate) -> Result<(), Box<dyn StdError>> {
    let Relocate { place, from, to } = options;
    let moved = Gallery::open(&place.folder)?.writer()?.relocate(from, to)?;
    tell!("relocated  {moved} images from {} to {}", from.display(), to.display());
    Ok(())
}
