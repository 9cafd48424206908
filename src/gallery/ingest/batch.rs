//! [`Batch`]: images that are ready to a [`Change`]: vectors and records, written durably.

use super::sources::Sources;
use super::workers::{Done, Outcome};
use super::writer::Writer;
use super::{IngestProgress, rejected};
use crate::embedder::{Embedder, EmbedderExt, Embedding, Gathered};
use crate::gallery::store::fingerprint::picture;
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
    let all = images.len();
    let mut todo = vec![images];
    while let Some(mut part) = todo.pop() {
        let error = match ask(embedder, &mut part, change).await {
            Ok(()) => continue,
            Err(error) if ends_run(&error) => return Err(error),
            Err(error) => error,
        };
        if part.len() == 1 {
            if let Err(reason) = ask_again(embedder, &mut part, change, error).await? {
                change
                    .rejected
                    .extend(part.pop().map(|(record, _)| rejected(record.source, reason)));
            }
        } else if part.len() == all && Fingerprint::of(embedder).await.is_err() {
            // Not the images: the embedder no longer works.
            return Err(error);
        } else {
            let second = part.split_off(part.len() / 2);
            todo.extend([second, part]);
        }
    }
    Ok(())
}

/// Embeds `images` into `change`; those that are neither embedded nor refused are left.
async fn ask(
    embedder: &dyn Embedder,
    images: &mut Vec<(ImageRecord, Image)>,
    change: &mut Change,
) -> Result<()> {
    let pictures: Vec<Image> = images.iter().map(|(_, image)| image.clone()).collect();
    let gathered = Gathered::new(pictures.len());
    let outcome = gathered.ask(embedder, &pictures).await;
    let mut found = gathered.end(Ok(()));
    change.usage += found.usage.unwrap_or_default();
    let answers = std::mem::take(images).into_iter().zip(found.embeddings);
    for (at, (image, embedding)) in answers.enumerate() {
        let refused = found.refused.iter().position(|(refused, _)| *refused == at);
        match (embedding, refused) {
            (Some(embedding), _) => change.embedded.push((image.0, embedding)),
            (None, Some(refused)) => {
                let (_, reason) = found.refused.swap_remove(refused);
                change.rejected.push(rejected(image.0.source, reason));
            }
            (None, None) => images.push(image),
        }
    }
    outcome
}

/// How often an image is asked for again before it is rejected, where it may not be to blame. A service
/// that fails every third call at random fails as often in a row for 1 of 20,000 images.
const AGAIN: usize = 8;

/// Asks again for an image that met `error` by itself, between two inputs of ours. What is left of it is
/// why it is to blame.
///
/// # Errors
/// Those of an embedder that no longer works.
async fn ask_again(
    embedder: &dyn Embedder,
    image: &mut Vec<(ImageRecord, Image)>,
    change: &mut Change,
    mut error: Error,
) -> Result<Result<(), Error>> {
    for again in 0..AGAIN {
        // After another number of calls each time, so that no regular fault hits the image alone.
        let works = match again {
            0 => Fingerprint::of(embedder).await.map(drop),
            _ => embedder.embed_image(&picture()?).await.map(drop),
        };
        if works.is_err() {
            return Err(error);
        }
        if is_of_the_input(&error) {
            break;
        }
        match ask(embedder, image, change).await {
            Ok(()) => return Ok(Ok(())),
            Err(found) if ends_run(&found) => return Err(found),
            Err(found) => error = found,
        }
    }
    Ok(Err(error))
}

/// Whether a service says that it has no time now, or is not there for the caller: nothing that an image
/// is to blame for. The status 500 and a broken connection may be what a service makes of one image.
fn ends_run(error: &Error) -> bool {
    match error {
        Error::Service { status: 400 | 413 | 415 | 422 | 500, .. } => error.is_about_access(),
        Error::Service { .. } | Error::Timeout { .. } | Error::Cancelled => true,
        Error::AllFailed { errors, .. } => errors.iter().any(ends_run),
        _ => false,
    }
}

/// Whether a service says that the input is at fault, and would say so again.
const fn is_of_the_input(error: &Error) -> bool {
    matches!(error, Error::Refused { .. } | Error::Service { status: 400 | 413 | 415 | 422, .. })
}
