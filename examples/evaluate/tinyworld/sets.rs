//! The tiny world to data sets and retrieval sets: half of the pictures of each species is retrieved from,
//! the other half compared with.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use imagerag::embedder::ClipEmbedder;
use imagerag::evaluation::dataset::{Class, Dataset, Item, RealImage, Split};
use imagerag::gallery::Gallery;
use imagerag::gallery::ingest::{Ingest, Item as Picture};
use imagerag::reference::{Metadata, Picture as Pixels};
use serde::Deserialize;

use crate::world::World;

/// A picture of the world.
pub(crate) struct Known {
    path: PathBuf,
    file: String,
    pub(crate) species: String,
    pub(crate) is_retrieved: bool,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Line {
    file: String,
    caption: String,
    concept: Option<String>,
    license: String,
    author: String,
    source: String,
}

/// Every picture of the world. Of each species, which has ten, those with odd numbers are retrieved.
pub(crate) fn pictures(world: &World) -> Result<Vec<Known>, Box<dyn Error>> {
    let folder = world.folder.join("gallery");
    let lines: Vec<Line> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("catalog.json"))?)?;
    let known = |line: Line| {
        let number = line.file.trim_end_matches(".png").rsplit('-').next();
        Known {
            path: folder.join(&line.file),
            is_retrieved: number.and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n % 2 == 1),
            file: line.file,
            species: line.concept.unwrap_or_default(),
            metadata: Metadata {
                license: Some(line.license),
                author: Some(line.author),
                origin: Some(line.source),
                caption: Some(line.caption),
                ..Metadata::default()
            },
        }
    };
    Ok(lines.into_iter().map(known).collect())
}

/// The data set of `species`: `prompts` prompts for each.
pub(crate) fn dataset(
    world: &World,
    name: &str,
    species: &[String],
    prompts: usize,
    pictures: &[Known],
) -> Dataset {
    let mut dataset = Dataset::new(name);
    dataset.license = Some("CC0-1.0".to_owned());
    for (number, species) in species.iter().enumerate() {
        let mut class = Class::new(species, species);
        let compared = pictures.iter().filter(|one| !one.is_retrieved && one.species == *species);
        class.images.extend(compared.map(|one| {
            let mut image = RealImage::new(&one.file, Pixels::file(&one.path));
            image.path = Some(one.path.clone());
            image.split = Some(Split::Test);
            image.metadata = one.metadata.clone();
            image
        }));
        dataset.classes.push(class);
        for (place, template) in world.prompts.iter().take(prompts).enumerate() {
            let background = &world.backgrounds[(number + 3 * place) % world.backgrounds.len()];
            let prompt = template.replace("{species}", species).replace("{background}", background);
            dataset
                .items
                .push(Item::new(format!("{species} {}", place + 1), prompt).of_class(species));
        }
    }
    dataset
}

/// A gallery of `pictures` in `folder`.
pub(crate) fn gallery<'a>(
    folder: &Path,
    embedder: &Arc<ClipEmbedder>,
    pictures: impl Iterator<Item = &'a Known>,
) -> Result<Gallery, Box<dyn Error>> {
    let gallery = block_on(Gallery::open_or_create(folder, embedder))?;
    let items: Vec<_> = pictures
        .map(|one| Ok(Picture::file(&one.path).with_metadata(one.metadata.clone())))
        .collect();
    let ingest = Ingest::into(&gallery).with_embedder(Arc::clone(embedder));
    block_on(ingest.run(items, |_| {}))?;
    Ok(gallery)
}
