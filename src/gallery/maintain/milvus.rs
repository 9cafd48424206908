//! A gallery to a collection of Milvus that holds the same images, and back.

use std::path::Path;
use std::pin::pin;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::embedder::Embedder;
use crate::gallery::ingest::Writer;
use crate::gallery::store::manifest;
use crate::gallery::store::record::{Entry, ImageRecord, Pixels};
use crate::gallery::{Fingerprint, Gallery};
use crate::index::IdSet;
use crate::path_text::{path_text, text_path};
use crate::reference::Filter;
use crate::retriever::{Milvus, MilvusImage, MilvusIndex, MilvusIndexType, MilvusRetriever};
use crate::{Error, Result, pool};

/// What reads beside the polling thread, for its errors.
const READING: &str = "reading a gallery";
/// Images that move together.
const BATCH: usize = 1_000;

/// What a gallery knows of an image and Milvus need not: [`MilvusImage::extra`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extra {
    hash: String,
    /// The picture file, or the archive that holds it, as text; none where the pixels are remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The first byte in the archive, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<(u64, u64)>,
}

impl Gallery {
    /// Copies the images of this gallery, with their ids, to the collection `name`. A new
    /// collection gets an index of the kind `index`. In the collection of an earlier call, missing
    /// images are added and images that the gallery no longer has are removed. `progress` is called
    /// with the number of images that are there and that of all.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the collection is of something else than a gallery of this
    /// encoder; those of [`Milvus::create`], [`Milvus::open`], [`MilvusIndex::add`] and
    /// [`iter`](Self::iter).
    pub async fn to_milvus(
        &self,
        milvus: &Milvus,
        name: &str,
        index: MilvusIndexType,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<MilvusIndex> {
        let there = milvus.has(name).await?;
        let index = if there {
            let index = milvus.open(name).await?;
            self.fingerprint().check(&fingerprint(&index)?)?;
            index
        } else {
            let note = String::from_utf8_lossy(&manifest::write(self.fingerprint())?).into_owned();
            milvus.create_noted(name, self.fingerprint().dim(), index, Some(note)).await?
        };
        let gallery = self.clone();
        let begin = move || Ok((gallery.count()?, gallery.iter()?));
        let (total, mut images) = pool::run(READING, begin).await?;
        let mut moved = IdSet::new();
        loop {
            let outward = |image: Result<(Entry, _)>| {
                image.and_then(|(entry, embedding)| Ok((outward(entry)?, embedding)))
            };
            let read = move || {
                let batch = images.by_ref().take(BATCH).map(outward);
                Ok((batch.collect::<Result<Vec<_>>>()?, images))
            };
            let batch;
            (batch, images) = pool::run(READING, read).await?;
            if batch.is_empty() {
                break;
            }
            index.add(&batch, |_, _| {}).await?;
            moved.extend(batch.iter().map(|(image, _)| image.id));
            progress(moved.len(), total);
        }
        if there {
            let mut gone = index.ids().await?;
            gone.retain(|&id| !moved.contains(id));
            index.remove(&gone).await?;
        }
        index.flush().await?;
        Ok(index)
    }

    /// Copies the images of a collection that [`to_milvus`](Self::to_milvus) made to the gallery in
    /// `folder`, which is created or, after an earlier call, gets the missing images. Images get
    /// new ids, without gaps. `progress` is called with the number of images that are there and
    /// that of all.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the collection, or the gallery in `folder`, is of something else;
    /// those of [`create`](Self::create), [`open`](Self::open) and
    /// [`GalleryWriter::add`](crate::gallery::GalleryWriter::add), and of every call of a server.
    pub async fn from_milvus(
        folder: impl AsRef<Path> + Send,
        index: &MilvusIndex,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<Self> {
        let (folder, fingerprint) = (folder.as_ref(), fingerprint(index)?);
        let folder = folder.to_owned();
        let provide = move || Self::provide(&folder, &fingerprint);
        let gallery = pool::run("opening a gallery", provide).await?;
        let everything = Filter::all();
        let (mut moved, total) = (0, index.count_filtered(&everything).await?);
        let writer = Writer::open(&gallery).await?;
        let mut batches = pin!(index.iter(&everything)?.ready_chunks(BATCH));
        while let Some(batch) = batches.next().await {
            let inward =
                |image: Result<_>| image.and_then(|(image, row)| Ok((inward(image)?, row)));
            let batch = batch.into_iter().map(inward).collect::<Result<Vec<_>>>()?;
            moved += batch.len();
            writer.run(move |writer| writer.add_part(&batch, false)).await?;
            progress(moved, total);
        }
        writer.run(|writer| writer.add_part(&[], true)).await?;
        writer.close().await?;
        Ok(gallery)
    }
}

impl<E: Embedder> MilvusRetriever<E> {
    /// Retrieves from a gallery that [`Gallery::to_milvus`] moved; its pixels stay where they are.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when `index` is of no gallery, or of one that another encoder or
    /// another preprocessing embedded. Those of the embedder.
    pub async fn of_gallery(embedder: E, index: MilvusIndex) -> Result<Self> {
        fingerprint(&index)?.check(&Fingerprint::of(&embedder).await?)?;
        let retriever = Self::new(embedder, index)?;
        Ok(retriever.with_pixels(|image| inward(image.clone())?.image()))
    }
}

/// The fingerprint of the gallery that `index` was made of.
fn fingerprint(index: &MilvusIndex) -> Result<Fingerprint> {
    let expected = "a collection that a gallery was moved to";
    let other = || Error::incompatible("a gallery", index, expected, "another");
    manifest::read(Path::new(index.name()), index.note().ok_or_else(other)?.as_bytes())
}

fn outward(entry: Entry) -> Result<MilvusImage> {
    let ImageRecord { hash, source, pixels, metadata } = entry.record;
    let (path, member) = pixels.parts();
    let path = path.map(|path| path_text(path).into_owned());
    let extra = Extra { hash: hash.to_string(), path, member };
    let extra = serde_json::to_string(&extra).map_err(|error| Error::backend("gallery", error))?;
    Ok(MilvusImage { id: entry.id, source, metadata, extra: Some(extra) })
}

fn inward(image: MilvusImage) -> Result<ImageRecord> {
    let invalid = |found: String| {
        let what = format!("extra of image {} in Milvus", image.id);
        Error::invalid_input(what, "what a gallery writes there", found)
    };
    let text = image.extra.as_deref().unwrap_or_default();
    let extra: Extra = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let hash = extra.hash.parse().map_err(|error: Error| invalid(error.chain().to_string()))?;
    let path = extra.path.map(|path| text_path(&path));
    let pixels = Pixels::from_parts(path, extra.member)
        .ok_or_else(|| invalid("a place in no archive".to_owned()))?;
    Ok(ImageRecord { hash, source: image.source, pixels, metadata: image.metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::ContentHash;
    use crate::reference::Metadata;

    #[test]
    fn what_a_gallery_knows_comes_back() {
        let member = Pixels::Member { archive: "a.tar".into(), offset: 512, length: 7 };
        let mut pixels = vec![Pixels::File("deep/é.png".into()), member, Pixels::Remote];
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"/deep/\xe9.png");
            pixels.push(Pixels::File(name.into()));
        }
        for pixels in pixels {
            let record = ImageRecord {
                hash: ContentHash::of(b"bytes"),
                source: "s3://x".into(),
                pixels,
                metadata: Metadata { width: Some(3), ..Metadata::default() },
            };
            let image = outward(Entry { id: 9, record: record.clone() }).unwrap();
            assert_eq!(image.id, 9);
            assert_eq!(inward(image).unwrap(), record);
        }
    }

    #[test]
    fn what_is_not_a_gallerys_is_named() {
        let hash = ContentHash::of(b"");
        for extra in [
            None,
            Some("{".to_owned()),
            Some(r#"{"hash": "12"}"#.to_owned()),
            Some(format!(r#"{{"hash": "{hash}", "member": [1, 2]}}"#)),
        ] {
            let error = inward(MilvusImage { extra, ..MilvusImage::new(4, "x") }).unwrap_err();
            assert!(error.to_string().starts_with("extra of image 4 in Milvus"), "{error}");
        }
    }
}
