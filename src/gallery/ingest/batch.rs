//! [`Batch`]: images that are ready to a [`Change`]: vectors and records, written durably.

use super::sources::Sources;
use super::workers::{Done, Outcome};
use super::writer::Writer;
use super::{IngestProgress, rejected};
use crate::embedder::{self, Embedded, Embedder, Embedding, check_dim};
use crate::forward::check_count;
use crate::gallery::{Added, Fingerprint, GalleryWriter, ImageRecord, Rejected};
use crate::{Image, Result, Usage};

/// What is taken in together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    images: Vec<(ImageRecord, Image)>,
    embedded: Vec<(ImageRecord, Embedding)>,
    known: Vec<ImageRecord>,
    rejected: Vec<Rejected>,
    /// Sources of files that metadata was read from.
    read_from: Vec<String>,
}

/// Records without pixels that are acknowledged together.
const RECORDS: usize = 1024;

impl Batch {
    /// Takes one more, unless it has the source of another among `sources`; says whether its pixels
    /// stay in memory.
    pub(super) fn take(&mut self, done: Done, sources: &mut Sources) -> bool {
        let images = self.images.len();
        self.read_from.extend(done.read_from);
        match sources.check(done.outcome) {
            Outcome::Image(record, image) => self.images.push((record, image)),
            Outcome::Embedded(record, embedding) => self.embedded.push((record, embedding)),
            Outcome::Known(record) => self.known.push(record),
            Outcome::Rejected(rejected) => self.rejected.push(rejected),
        }
        self.images.len() > images
    }

    /// Images whose pixels are in memory.
    pub(super) const fn images(&self) -> usize {
        self.images.len()
    }

    /// Whether it is time to acknowledge it, with `batch` images at a time.
    pub(super) const fn is_full(&self, batch: usize) -> bool {
        let records = self.embedded.len() + self.known.len() + self.rejected.len();
        self.images.len() >= batch || records >= RECORDS
    }

    /// Embeds what has no embedding; afterwards no pixels are held.
    pub(super) async fn embed(self, embedder: Option<&dyn Embedder>) -> Result<Change> {
        let Self { images, mut embedded, known, mut rejected, read_from } = self;
        let mut usage = Usage::default();
        // A paid embedder is not asked for nothing.
        if let Some(embedder) = embedder.filter(|_| !images.is_empty()) {
            usage = embed(embedder, images, &mut embedded, &mut rejected).await?;
        }
        Ok(Change { embedded, known, rejected, read_from, usage })
    }
}

/// A batch that is ready to be written.
#[derive(Debug, Default)]
pub(super) struct Change {
    embedded: Vec<(ImageRecord, Embedding)>,
    known: Vec<ImageRecord>,
    rejected: Vec<Rejected>,
    read_from: Vec<String>,
    usage: Usage,
}

impl Change {
    /// Hands everything to the gallery, and counts what became of it.
    pub(super) async fn write(self, writer: &Writer, done: &mut IngestProgress) -> Result<()> {
        let Self { embedded, known, rejected, read_from, usage } = self;
        done.usage += usage;
        done.rejected += rejected.len() as u64;
        done.known += known.len() as u64;
        done.metadata_files += read_from.len() as u64;
        let write = move |writer: &mut GalleryWriter| {
            let before = writer.met.contradictions;
            let added = writer.add_part(&embedded, false)?;
            writer.renew(&known)?;
            writer.forget_rejected(&read_from)?;
            writer.reject(&rejected)?;
            Ok((added, writer.met.contradictions - before))
        };
        let (added, contradictions) = writer.run(write).await?;
        for added in added {
            match added {
                Added::New(_) => done.added += 1,
                Added::Updated { .. } => done.updated += 1,
                Added::Known(_) => done.known += 1,
            }
        }
        // Copies that are there already, and are listed for their license.
        done.known -= contradictions;
        done.rejected += contradictions;
        Ok(())
    }
}

/// Embeds `images` into `embedded`, and says what that took. Where the embedder fails on all of
/// them, they are tried one by one: a bad one costs the others nothing.
async fn embed(
    embedder: &dyn Embedder,
    images: Vec<(ImageRecord, Image)>,
    embedded: &mut Vec<(ImageRecord, Embedding)>,
    rejections: &mut Vec<Rejected>,
) -> Result<Usage> {
    let (records, pictures): (Vec<ImageRecord>, Vec<Image>) = images.into_iter().unzip();
    let failed = match embedder.embed_images(&pictures).await {
        Ok(Embedded { embeddings, usage }) => {
            check_count(embedder, "embeddings", records.len(), embeddings.len())?;
            check_dim(embedder, &embeddings)?;
            embedded.extend(records.into_iter().zip(embeddings));
            return Ok(usage.unwrap_or_default());
        }
        Err(error) => error,
    };
    let (before, mut used) = (embedded.len(), Usage::default());
    for (record, picture) in records.into_iter().zip(pictures) {
        let alone = embedder.embed_images(&[picture]).await;
        used += alone.as_ref().ok().and_then(|alone| alone.usage).unwrap_or_default();
        match alone.and_then(|alone| embedder::one(embedder, alone)) {
            Ok(embedding) => embedded.push((record, embedding)),
            Err(reason) => rejections.push(rejected(record.source, reason)),
        }
    }
    if embedded.len() == before && Fingerprint::of(embedder).await.is_err() {
        // Not the images: the embedder no longer works.
        return Err(failed);
    }
    Ok(used)
}
