//! A folder that pictures were in, and the one that they are in now, to the catalog's new paths.

use std::path::{Path, PathBuf};

use crate::gallery::GalleryWriter;
use crate::gallery::store::record::{Entry, Rejected};
use crate::gallery::store::snapshot::for_each_page;
use crate::path_text::{archive_text, path_text, split_member, text_path};
use crate::{Error, Result};

impl GalleryWriter {
    /// Notes that pictures were moved from the folder `from` to the folder `to`; returns how many
    /// images that concerns. Every source, and every path of a picture or archive, that begins with
    /// `from` begins with `to` afterwards.
    ///
    /// Whole names are compared: `/photos` is not the beginning of `/photos2/bee.jpg`. A path that
    /// is not absolute is relative to the gallery's folder, as
    /// [`with_relative_paths`](crate::gallery::ingest::Ingest::with_relative_paths) writes it; so
    /// `relocate("/home/me/photos", "../photos")` makes paths relative. Pictures that the gallery
    /// keeps itself always move with it and need no call.
    ///
    /// No file is moved, and none is looked for:
    /// [`Gallery::verify`](crate::gallery::Gallery::verify) tells which are missing.
    ///
    /// ```
    /// # use imagerag::embedder::Embedding;
    /// # use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
    /// # use imagerag::reference::Metadata;
    /// # let folder = std::env::temp_dir().join(format!("imagerag-doc-m-{}", std::process::id()));
    /// # let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
    /// # let record = ImageRecord {
    /// #     hash: ContentHash::of(b"the file's bytes"),
    /// #     source: "/home/me/photos/quetzal.jpg".into(),
    /// #     pixels: Pixels::File("/home/me/photos/quetzal.jpg".into()),
    /// #     metadata: Metadata::default(),
    /// # };
    /// # gallery.writer()?.add(&[(record, Embedding::new([0.6, 0.8])?)])?;
    /// assert_eq!(gallery.writer()?.relocate("/home/me/photos", "/mnt/photos")?, 1);
    /// assert!(gallery.by_source("/mnt/photos/quetzal.jpg")?.is_some());
    /// # std::fs::remove_dir_all(folder).unwrap();
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `from` is empty, and, with the names of both images, when one
    /// would get the source of another.
    pub fn relocate(&mut self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<usize> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if from.as_os_str().is_empty() {
            return Err(Error::invalid_input("folder to relocate from", "a path", "nothing"));
        }
        self.change(|change| {
            let (mut moved, folder) = (Vec::new(), change.folder);
            for_each_page(change.catalog, 0, |page| {
                moved.extend(
                    page.into_iter().filter_map(|entry| relocated(entry, folder, from, to)),
                );
                Ok(())
            })?;
            // All are taken out first: one may get the source that another one had.
            for (Entry { id, .. }, _) in &moved {
                change.touch("DELETE FROM images WHERE id = ?1", [id])?;
            }
            for (entry, old) in &moved {
                let source = &entry.record.source;
                if let Some(other) = change.catalog.by_source(source)? {
                    let (what, found) = (format!("new source of {old}"), &other.record.source);
                    let found = format!("{found}, the source of image {}", other.id);
                    return Err(Error::invalid_input(what, "one that no other image has", found));
                }
                change.catalog.write(entry)?;
            }
            let mut rejected = change.catalog.rejected()?;
            let of = |one: &Rejected| replaced_source(&one.source, from, to);
            rejected.retain(|one| of(one).is_some());
            for Rejected { source, .. } in &rejected {
                change.touch("DELETE FROM rejected WHERE source = ?1", [source])?;
            }
            for one in rejected {
                let source = of(&one).unwrap_or_default();
                change.catalog.reject(&Rejected { source, ..one }, change.state.revision)?;
            }
            Ok(moved.len())
        })
    }
}

/// `entry` of the gallery in `folder` with its new places, and its old source; none where nothing
/// of it is below `from`.
fn relocated(mut entry: Entry, folder: &Path, from: &Path, to: &Path) -> Option<(Entry, String)> {
    let (old, record) = (entry.record.source.clone(), &mut entry.record);
    let source = replaced_source(&old, from, to);
    let path = record.pixels.path_mut().and_then(|path| {
        let new = replaced(path.strip_prefix(folder).unwrap_or(path), from, to)?;
        *path = folder.join(new);
        Some(())
    });
    path.or(source.as_ref().map(|_| ()))?;
    if let Some(source) = source {
        record.source = source;
    }
    Some((entry, old))
}

/// `source`, which is an address, the text of a path, or that of an archive with that of a member,
/// with `to` in place of `from`, where it begins with that.
fn replaced_source(source: &str, from: &Path, to: &Path) -> Option<String> {
    let (path, member) = split_member(source);
    let path = replaced(&text_path(path), from, to)?;
    let path = if member.is_empty() { path_text(&path) } else { archive_text(&path) };
    Some(format!("{path}{member}"))
}

/// `path` with `to` in place of `from`, where it begins with that.
fn replaced(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
}
