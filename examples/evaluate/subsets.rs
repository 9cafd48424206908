//! `evaluate subsets`: one gallery to galleries of random images of it, each within the next larger one, for
//! the paper's figure 16.

use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;

use clap::Args;
use imagerag::gallery::{ContentHash, Gallery, Pixels};

use crate::command::tell;

/// Makes galleries of so many random images of one gallery. They are nested: the images of each are among
/// those of every larger one. No picture is copied, and none is embedded again.
#[derive(Args)]
pub(crate) struct Subsets {
    /// The gallery.
    gallery: PathBuf,
    /// The sizes, such as 1000,10000,100000: the paper's, besides the whole set of 350,000.
    #[arg(long, value_delimiter = ',', required = true)]
    sizes: Vec<usize>,
    /// Chooses the images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where they go: OUT/SIZE.gallery.
    #[arg(long)]
    out: PathBuf,
}

/// Images that are written at once.
const BATCH: usize = 1_000;

pub(crate) fn subsets(options: &Subsets) -> Result<(), Box<dyn Error>> {
    let gallery = Gallery::open(&options.gallery)?;
    for folder in make(&gallery, &options.sizes, options.seed, &options.out)? {
        tell!("{}", folder.display());
    }
    Ok(())
}

/// The folders of the subsets of `gallery`, made where they are not there.
pub(crate) fn make(
    gallery: &Gallery,
    sizes: &[usize],
    seed: u64,
    out: &std::path::Path,
) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    // A rank for each image that depends on its content and the seed alone.
    let mut ranks = Vec::new();
    for image in gallery.iter()? {
        ranks.push(rank(&image?.0.record.hash, seed));
    }
    ranks.sort_unstable();
    let mut folders = Vec::new();
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    for &size in sizes {
        if size == 0 || size > ranks.len() {
            let found = format!("sizes: expected 1 to {}, found {size}", ranks.len());
            return Err(found.into());
        }
        let folder = out.join(format!("{size}.gallery"));
        let last = ranks[size - 1];
        match Gallery::open(&folder) {
            Ok(made) if made.count()? == size => {}
            Ok(made) => fill(gallery, &made, last, seed)?, // It was cut off.
            Err(_) => fill(gallery, &Gallery::create(&folder, gallery.fingerprint())?, last, seed)?,
        }
        folders.push(folder);
    }
    Ok(folders)
}

fn fill(from: &Gallery, to: &Gallery, last: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    let home = std::path::absolute(from.folder())?;
    let mut writer = to.writer()?;
    let mut batch = Vec::new();
    for image in from.iter()? {
        let (entry, embedding) = image?;
        let mut record = entry.record;
        if rank(&record.hash, seed) > last {
            continue;
        }
        if let Pixels::File(path) | Pixels::Member { archive: path, .. } = &mut record.pixels {
            *path = home.join(&*path);
        }
        batch.push((record, embedding));
        if batch.len() == BATCH {
            writer.add(&std::mem::take(&mut batch))?;
        }
    }
    writer.add(&batch)?;
    Ok(())
}

fn rank(hash: &ContentHash, seed: u64) -> u64 {
    // FNV-1a over a hash that is random already: enough to choose by.
    let mut hasher = Fnv::default().build_hasher();
    hasher.write_u64(seed);
    hasher.write(hash.as_bytes());
    hasher.finish()
}

/// Fowler, Noll and Vo's hash with its published constants: the same on every machine and in every release,
/// as that of the standard library is not.
#[derive(Clone)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl BuildHasher for Fnv {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}
