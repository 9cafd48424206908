//! `remove`: sources and hashes to images that are no longer found.

use imagerag::Error;
use imagerag::gallery::Gallery;

use crate::Place;

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

pub(crate) fn remove(options: &Remove) -> Result<(), Box<dyn std::error::Error>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let mut ids = Vec::new();
    for source in &options.sources {
        let absolute = std::path::absolute(source).map(|path| path.display().to_string());
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
    let removed = gallery.writer()?.remove(&ids)?;
    println!("removed    {removed} images; {} are left", gallery.count()?);
    Ok(())
}
