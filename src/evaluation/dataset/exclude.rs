//! Pictures that were used otherwise, such as references, to a [`Dataset`] without them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Dataset, RealImage};
use crate::image::Image;
use crate::reference::Picture;
use crate::{Result, pool};

impl Dataset {
    /// The same without the real images that `sources` name: by identifier, by path, or as
    /// [`Source`](crate::reference::Source) has it, such as `/data/cub/images/001.…/x.jpg` or
    /// `shard-0.tar#0.jpg`. Otherwise a system that was given one as a reference would be compared with
    /// its own reference.
    #[must_use]
    pub fn without_images_of<S: AsRef<str>>(
        mut self,
        sources: impl IntoIterator<Item = S>,
    ) -> Self {
        let sources = Sources::new(sources);
        self.retain_images("images that were used otherwise", |image| !sources.name(image));
        self
    }

    /// The same without the real images whose pixels are those of one of `pictures`, under whatever name.
    /// All real images are decoded for it, one after the other. One that cannot be decoded is kept, and
    /// noted.
    ///
    /// # Errors
    /// Those of [`Picture::load`] for one of `pictures`.
    pub async fn without_pictures(mut self, pictures: &[Picture]) -> Result<Self> {
        let mut others = HashSet::new();
        for picture in pictures {
            others.insert(hash(picture.forgetful().load().await?).await?);
        }
        let (mut same, mut unreadable) = (HashSet::new(), Vec::new());
        for image in self.images() {
            // What a set has cropped, others may have whole.
            let file = image.path.as_deref().map(Picture::file);
            let file = file.filter(|file| *file != image.picture);
            for picture in [Some(image.picture.forgetful()), file].into_iter().flatten() {
                match picture.load().await {
                    Ok(pixels) => {
                        if others.contains(&hash(pixels).await?) {
                            same.insert(image.id.clone());
                        }
                    }
                    Err(error) => unreadable.push(format!("{}: {}", image.id, error.chain())),
                }
            }
        }
        self.retain_images("images whose pixels were used otherwise", |image| {
            !same.contains(&image.id)
        });
        let mut notes = super::Notes::default();
        unreadable.into_iter().for_each(|one| notes.count("images that cannot be read", one));
        self.notes.extend(notes.into_lines());
        Ok(self)
    }

    /// Keeps the real images that `keep` says; the others are noted as `what`.
    fn retain_images(&mut self, what: &str, keep: impl Fn(&RealImage) -> bool) {
        let mut notes = super::Notes::default();
        let of_classes = self.classes.iter_mut().map(|class| &mut class.images);
        for images in of_classes.chain(self.items.iter_mut().map(|item| &mut item.images)) {
            images.retain(|image| {
                let kept = keep(image);
                if !kept {
                    notes.count(what, &image.id);
                }
                kept
            });
        }
        self.notes.extend(notes.into_lines());
    }
}

impl RealImage {
    /// Whether `source` is this image: its identifier, its path, or a
    /// [`Source`](crate::reference::Source) of it.
    pub fn is_from(&self, source: &str) -> bool {
        Sources::new([source]).name(self)
    }
}

/// Texts that name pictures.
struct Sources {
    texts: HashSet<String>,
    paths: HashSet<PathBuf>,
}

impl Sources {
    fn new<S: AsRef<str>>(sources: impl IntoIterator<Item = S>) -> Self {
        let texts: HashSet<String> = sources.into_iter().map(|s| s.as_ref().to_owned()).collect();
        let paths =
            texts.iter().filter_map(|text| real(&crate::path_text::text_path(text))).collect();
        Self { texts, paths }
    }

    fn name(&self, image: &RealImage) -> bool {
        let by_text = |text: &str| self.texts.contains(text);
        by_text(&image.id)
            || image.picture.key().is_some_and(by_text)
            || image.path.as_deref().is_some_and(|path| {
                by_text(&crate::path_text::path_text(path))
                    || (!self.paths.is_empty()
                        && real(path).is_some_and(|path| self.paths.contains(&path)))
            })
    }
}

/// `path` without links; none where there is nothing.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// BLAKE3 of size and pixels.
async fn hash(image: Image) -> Result<blake3::Hash> {
    let hash = move || {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&image.width().to_le_bytes()).update(&image.height().to_le_bytes());
        Ok(hasher.update(image.pixels()).finalize())
    };
    pool::run("hashing a picture", hash).await
}
