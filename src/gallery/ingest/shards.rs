//! A path to the shards there, what their statistics say, and what is beside them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{list, rejected};
use crate::folder::kind::{claims_to_be_picture, left_out};
use crate::folder::read::read;
use crate::folder::{LeftOutKind, MAX_TEXT};
use crate::gallery::Rejected;
use crate::path_text::path_text;
use crate::{Error, Result, lenient};

/// Endings of shards; those that are compressed are rejected by name.
const SHARDS: [&str; 10] = [
    ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4", ".tgz", ".tbz2", ".txz",
    ".tzst",
];

/// The shards at a path.
#[derive(Debug, Default)]
pub(super) struct Shards {
    /// They, in the order of their names; at least one.
    pub(super) shards: Vec<PathBuf>,
    /// Pictures beside them.
    pub(super) rejected: Vec<Rejected>,
    /// What else is beside them.
    pub(super) left_out: Vec<(LeftOutKind, String)>,
}

impl Shards {
    /// The shard at `path`, or those directly in the folder there.
    pub(super) fn at(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let absolute = std::path::absolute(path).map_err(io)?;
        if !std::fs::metadata(path).map_err(io)?.is_dir() {
            return Ok(Self { shards: vec![absolute], ..Self::default() });
        }
        let mut found = Self::default();
        let others: Vec<PathBuf>;
        (found.shards, others) = list(&absolute)?.into_iter().partition(|path| is_shard(path));
        if found.shards.is_empty() {
            let none = format!("none in {}", path.display());
            return Err(Error::invalid_input("shards", "at least one .tar file", none));
        }
        others.iter().for_each(|path| found.beside(path));
        Ok(found)
    }

    /// Notes what becomes of the file at `path`, which is no shard.
    fn beside(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kind = left_out(&name);
        if self.shards.iter().any(|shard| statistics(shard).is_some_and(|of| of == path)) {
            // img2dataset's statistics, which are read.
        } else if kind.is_none() && claims_to_be_picture(&name) {
            let found = "a picture beside shards, which is not in one";
            let reason = Error::invalid_file(path, "kind", "a shard", found);
            self.rejected.push(rejected(path_text(path), reason));
        } else {
            let kind = kind.unwrap_or(LeftOutKind::Other);
            self.left_out.push((kind, path_text(path).into_owned()));
        }
    }
}

/// Whether the file at `path` is a shard, by its name.
pub(super) fn is_shard(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    left_out(&name).is_none() && SHARDS.iter().any(|ending| name.ends_with(ending))
}

/// The file beside `shard` with img2dataset's statistics of it.
fn statistics(shard: &Path) -> Option<PathBuf> {
    Some(shard.with_file_name(format!("{}_stats.json", shard.file_stem()?.to_str()?)))
}

/// The images of a shard, as img2dataset's statistics beside it say.
pub(super) fn successes(shard: &Path) -> Option<usize> {
    let bytes = read(&statistics(shard)?, MAX_TEXT).ok()??;
    let statistics: Value = lenient::json(&bytes).ok()?;
    usize::try_from(statistics.get("successes")?.as_u64()?).ok()
}
