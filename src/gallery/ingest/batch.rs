//! [`Batch`]: images that are ready to a [`Change`]: vectors and records, written durably.

use super::sources::Sources;
use super::workers::{Done, Outcome};
use super::writer::Writer;
use super::{IngestProgress, rejected};
use crate::embedder::{Embedded, Embedder, Embedding, check_dim};
use crate::forward::check_count;
use crate::gallery::{Added, Fingerprint, GalleryWriter, ImageRecord, Rejected};
use crate::{Error, Image, Result, Usage};

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

    /// Embeds what has no embedding; afterwards no pixels are held. Where that fails, what is embedded
    /// is there all the same.
    pub(super) async fn embed(self, embedder: Option<&dyn Embedder>) -> (Change, Option<Error>) {
        let Self { images, embedded, known, rejected, read_from } = self;
        let mut change = Change { embedded, known, rejected, read_from, usage: Usage::default() };
        let outcome = match embedder {
            // A paid embedder is not asked for nothing.
            Some(embedder) if !images.is_empty() => embed(embedder, images, &mut change).await,
            _ => Ok(()),
        };
        (change, outcome.err())
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
    /// Takes in what comes after it.
    pub(super) fn append(&mut self, next: Self) {
        self.embedded.extend(next.embedded);
        self.known.extend(next.known);
        self.rejected.extend(next.rejected);
        self.read_from.extend(next.read_from);
        self.usage += next.usage;
    }

    /// Whether there is room for more before it is written.
    pub(super) const fn is_small(&self) -> bool {
        self.embedded.len() + self.known.len() + self.rejected.len() < RECORDS
    }

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

/// Embeds `images` into `change`. Where the embedder fails on some of them but works otherwise, the
/// halves are tried, and what fails by itself is rejected: a bad image costs the others nothing.
async fn embed(
    embedder: &dyn Embedder,
    images: Vec<(ImageRecord, Image)>,
    change: &mut Change,
) -> Result<()> {
    let (records, pictures): (Vec<ImageRecord>, Vec<Image>) = images.into_iter().unzip();
    let mut todo: Vec<_> = std::iter::once(0..records.len()).collect();
    while let Some(part) = todo.pop() {
        let error = match embedder.embed_images(&pictures[part.clone()]).await {
            Ok(Embedded { embeddings, usage }) => {
                check_count(embedder, "embeddings", part.len(), embeddings.len())?;
                check_dim(embedder, &embeddings)?;
                change.embedded.extend(records[part].iter().cloned().zip(embeddings));
                change.usage += usage.unwrap_or_default();
                continue;
            }
            Err(error) => error,
        };
        let is_all = part.len() == records.len();
        if (is_all || part.len() == 1)
            && (is_busy(&error) || Fingerprint::of(embedder).await.is_err())
        {
            // Not the images: the embedder no longer works.
            return Err(error);
        }
        let middle = part.start + part.len() / 2;
        if part.len() > 1 {
            todo.extend([middle..part.end, part.start..middle]);
        } else {
            change.rejected.push(rejected(records[part.start].source.as_str(), error));
        }
    }
    Ok(())
}

/// Whether a service says that it has no time now, which no image is to blame for.
fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Service { status, .. } if error.is_transient() && *status != 500)
}
