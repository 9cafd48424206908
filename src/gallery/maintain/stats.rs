//! [`GalleryStats`]: a gallery in numbers.

use std::collections::BTreeMap;
use std::fmt;

use crate::Result;
use crate::gallery::store::snapshot::for_each;
use crate::gallery::store::vectors::bytes;
use crate::gallery::{Gallery, Pixels};

/// A gallery in numbers.
///
/// ```
/// # use imagerag::embedder::Embedding;
/// # use imagerag::gallery::{ContentHash, Fingerprint, Gallery, ImageRecord, Pixels};
/// # use imagerag::reference::Metadata;
/// use imagerag::gallery::GalleryStats;
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-s-{}", std::process::id()));
/// # let gallery = Gallery::create(&folder, &Fingerprint::named("CLIP ViT-B/32", 2)?)?;
/// # let record = ImageRecord {
/// #     hash: ContentHash::of(b"the file's bytes"),
/// #     source: "https://example.org/quetzal.jpg".into(),
/// #     pixels: Pixels::Remote,
/// #     metadata: Metadata { license: Some("CC0-1.0".into()), ..Metadata::default() },
/// # };
/// # gallery.writer()?.add(&[(record, Embedding::new([0.6, 0.8])?)])?;
/// let stats = gallery.stats()?;
/// println!("{stats}");
/// let GalleryStats { images, remote, licenses, .. } = stats;
/// assert_eq!((images, remote, licenses["CC0-1.0"]), (1, 1, 1));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct GalleryStats {
    /// Images that can be found.
    pub images: usize,
    /// Vectors whose image was removed or updated; compacting gives their space back.
    pub removed: usize,
    /// Images that could not be added, and metadata that was not understood.
    pub rejected: usize,
    /// Size of the vectors in bytes, those of removed images included.
    pub vector_bytes: u64,
    /// Images by license; "" is that of unknown license.
    pub licenses: BTreeMap<String, usize>,
    /// Images with a caption.
    pub captioned: usize,
    /// Images whose pixels are in a file of their own.
    pub files: usize,
    /// Images whose pixels are in an archive.
    pub members: usize,
    /// Images whose pixels are not on this machine.
    pub remote: usize,
}

impl Gallery {
    /// The gallery in numbers. Reads the whole catalog.
    pub fn stats(&self) -> Result<GalleryStats> {
        let rejected = self.rejected()?.len();
        let reader = self.reader()?;
        let rows = reader.snapshot.vectors.rows();
        let vector_bytes = bytes(self.fingerprint().dim(), rows);
        let mut stats = GalleryStats { rejected, vector_bytes, ..GalleryStats::default() };
        for_each(&reader.catalog, 0, |entry| {
            stats.images += 1;
            let metadata = entry.record.metadata;
            *stats.licenses.entry(metadata.license.unwrap_or_default()).or_default() += 1;
            stats.captioned += usize::from(metadata.caption.is_some());
            *match entry.record.pixels {
                Pixels::File(_) => &mut stats.files,
                Pixels::Member { .. } => &mut stats.members,
                Pixels::Remote => &mut stats.remote,
            } += 1;
        })?;
        stats.removed = (rows as usize).saturating_sub(stats.images);
        Ok(stats)
    }
}

impl fmt::Display for GalleryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "images    {}", self.images)?;
        writeln!(f, "removed   {}", self.removed)?;
        writeln!(f, "rejected  {}", self.rejected)?;
        writeln!(f, "vectors   {:.1} MiB", self.vector_bytes as f64 / f64::from(1 << 20))?;
        writeln!(f, "captions  {}", self.captioned)?;
        let Self { files, members, remote, .. } = self;
        writeln!(f, "pixels    {files} files, {members} in archives, {remote} elsewhere")?;
        for (license, count) in &self.licenses {
            let license = if license.is_empty() { "unknown" } else { license };
            writeln!(f, "license   {count} {license}")?;
        }
        Ok(())
    }
}
