//! Real images to their embeddings, each read and embedded once.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt};
use lru::LruCache;

use crate::embedder::{Embedding, ImageEmbedder};
use crate::evaluation::dataset::RealImage;
use crate::evaluation::metric::cosine::{cosine, image_embeddings};
use crate::evaluation::metric::{Subject, picture_hash};
use crate::reference::Picture;
use crate::{Image, Result, pool};

/// The most embeddings that are kept: those of all of ImageNet's validation images; 200 MB of 768 values.
const KEPT: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// Images that are read at a time, and so the most whose pixels wait.
const AT_ONCE: usize = 8;
/// Images that are embedded at a time.
const BATCH: usize = 32;

/// An embedder of real images, and what it has embedded.
pub(super) struct RealImages {
    embedder: Arc<dyn ImageEmbedder>,
    known: Mutex<LruCache<Key, Known>>,
    /// Held by the call that embeds: others of the same class wait for what it finds.
    turn: futures::lock::Mutex<()>,
}

/// The identifier in the data set and the file: two data sets may have the same identifiers.
type Key = (String, Option<PathBuf>);

#[derive(Clone)]
struct Known {
    /// Where the pixels are; they themselves are not kept.
    picture: Picture,
    hash: Arc<str>,
    embedding: Embedding,
}

/// What a picture is compared with.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) embeddings: Vec<Embedding>,
    /// Why each has none that could not be read, by its identifier.
    pub(super) unreadable: Vec<String>,
    /// How many were left out because the picture was drawn from them.
    pub(super) excluded: usize,
    /// How many were left out because they are all but one of its references.
    pub(super) alike: usize,
    /// Why references could not be looked at.
    pub(super) unknown: Vec<String>,
    /// How many were looked at, whatever became of them.
    pub(super) tried: usize,
}

impl RealImages {
    pub(super) fn new(embedder: Arc<dyn ImageEmbedder>) -> Self {
        Self {
            embedder,
            known: Mutex::new(LruCache::new(KEPT)),
            turn: futures::lock::Mutex::new(()),
        }
    }

    /// The embeddings of `most` of the subject's real images, in an order that is `seed`'s alone, without
    /// those that it must not be compared with, whose cosine with a reference is at least `near`, or that
    /// cannot be read: others take their place.
    ///
    /// # Errors
    /// Those of the embedder that are not about one image.
    pub(super) async fn chosen(
        &self,
        subject: &Subject,
        most: usize,
        seed: u64,
        near: Option<f64>,
    ) -> Result<Chosen> {
        let mut images: Vec<&RealImage> = subject.real_images.iter().collect();
        if most < images.len() {
            images.sort_by_cached_key(|image| order(seed, &image.id));
        }
        let excluded: HashSet<&str> = subject.excluded.iter().map(String::as_str).collect();
        let mut chosen = Chosen::default();
        let mut references = Vec::new();
        if near.is_some() && !images.is_empty() {
            for found in self.references(subject).await? {
                match found {
                    Ok(known) => references.push(known.embedding),
                    Err(reason) => chosen.unknown.push(reason),
                }
            }
        }
        let is_alike = |embedding: &Embedding| -> Result<bool> {
            let Some(least) = near else { return Ok(false) };
            for reference in &references {
                if cosine(embedding, reference)? >= least {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let mut rest = images.as_slice();
        while chosen.embeddings.len() < most && !rest.is_empty() {
            let wanted = (most - chosen.embeddings.len()).min(rest.len());
            let (next, others) = rest.split_at(wanted);
            rest = others;
            chosen.tried += next.len();
            for (image, found) in next.iter().zip(self.embedded(next).await?) {
                match found {
                    Ok(known) if excluded.contains(&*known.hash) => chosen.excluded += 1,
                    Ok(known) if is_alike(&known.embedding)? => chosen.alike += 1,
                    Ok(known) => chosen.embeddings.push(known.embedding),
                    Err(reason) => chosen.unreadable.push(format!("{}: {reason}", image.id)),
                }
            }
        }
        Ok(chosen)
    }

    /// What is known of each reference of the subject, or why nothing is. They are kept as real images are,
    /// under what their picture is called.
    async fn references(&self, subject: &Subject) -> Result<Vec<Result<Known, String>>> {
        let named = |picture: &Picture| {
            let picture = picture.forgetful();
            RealImage::new(format!("reference {picture:?}"), picture)
        };
        let references: Vec<RealImage> = subject.references.iter().map(named).collect();
        self.embedded(&references.iter().collect::<Vec<_>>()).await
    }

    /// What is known of each of `images`, or why nothing is.
    async fn embedded(&self, images: &[&RealImage]) -> Result<Vec<Result<Known, String>>> {
        let recalled =
            || -> Vec<Option<Known>> { images.iter().map(|image| self.recall(image)).collect() };
        let known = recalled();
        if let Some(all) = known.into_iter().map(|known| known.map(Ok)).collect() {
            return Ok(all);
        }
        let _turn = self.turn.lock().await;
        let mut found: Vec<Option<Result<Known, String>>> =
            recalled().into_iter().map(|known| known.map(Ok)).collect();
        let missing: Vec<usize> = (0..images.len()).filter(|at| found[*at].is_none()).collect();
        let read = missing.iter().map(|&at| {
            let picture = images[at].picture.forgetful();
            async move { (at, read(&picture).await, picture) }
        });
        let read = stream::iter(read.collect::<Vec<_>>());
        let mut batches = std::pin::pin!(read.buffered(AT_ONCE).chunks(BATCH));
        while let Some(batch) = batches.next().await {
            let mut readable = Vec::with_capacity(batch.len());
            for (at, image, picture) in batch {
                match image {
                    Ok((image, hash)) => readable.push((at, image, hash, picture)),
                    Err(error) => found[at] = Some(Err(error.chain().to_string())),
                }
            }
            let pixels: Vec<Image> = readable.iter().map(|(_, image, ..)| image.clone()).collect();
            if pixels.is_empty() {
                continue;
            }
            let embeddings = image_embeddings(&*self.embedder, &pixels).await?;
            for ((at, _, hash, picture), embedding) in readable.into_iter().zip(embeddings) {
                // Read, its clone remembers its pixels; where to get them is enough.
                let picture = picture.forgetful();
                let known = embedding.map(|embedding| Known { picture, hash, embedding });
                if let Ok(known) = &known {
                    self.lock().put(key(images[at]), known.clone());
                }
                found[at] = Some(known.map_err(|error| error.chain().to_string()));
            }
        }
        let nothing = || Err("it was not embedded".to_owned());
        Ok(found.into_iter().map(|found| found.unwrap_or_else(nothing)).collect())
    }

    fn recall(&self, image: &RealImage) -> Option<Known> {
        let mut known = self.lock();
        let found = known.get(&key(image))?;
        (found.picture == image.picture.forgetful()).then(|| found.clone())
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(image: &RealImage) -> Key {
    (image.id.clone(), image.path.clone())
}

/// Where an image stands among others: at random, and the same in every run.
fn order(seed: u64, id: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(id.as_bytes());
    *hasher.finalize().as_bytes()
}

/// The pixels and their hash.
async fn read(picture: &Picture) -> Result<(Image, Arc<str>)> {
    let image = picture.load().await?;
    let hashed = image.clone();
    let hash = pool::run("hashing a picture", move || Ok(picture_hash(&hashed).into())).await?;
    Ok((image, hash))
}

impl fmt::Debug for RealImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealImages({}, {} embedded)", self.embedder, self.lock().len())
    }
}
