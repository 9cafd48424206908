//! Paths of pictures to paths relative to the gallery's folder, which hold when both are moved.

use std::path::{Component, Path, PathBuf, absolute};

use super::{Content, Item};
use crate::path_text::{archive_text, path_text, split_member, text_path};

/// `item` with its path, and that in its source, relative to the gallery in `folder`.
pub(super) fn relative_item(folder: &Path, mut item: Item) -> Item {
    if let Content::At(pixels) = &mut item.content
        && let Some(path) = pixels.path_mut()
        && let Some(relative) = relative(folder, path)
    {
        // The source is the path, or `SHARD.tar#MEMBER`.
        if text_path(split_member(&item.source).0) == *path {
            item.source = with_path(&item.source, &relative);
        }
        *path = folder.join(relative);
    }
    item
}

/// `source` relative to the gallery in `folder`, where it is an absolute path.
pub(super) fn relative_source(folder: &Path, source: String) -> String {
    let path = text_path(split_member(&source).0);
    let relative = path.is_absolute().then(|| relative(folder, &path)).flatten();
    relative.map_or_else(|| source.clone(), |relative| with_path(&source, &relative))
}

/// `source`, the text of a path or of an archive with that of a member, with another `path`.
fn with_path(source: &str, path: &Path) -> String {
    match split_member(source).1 {
        "" => path_text(path).into_owned(),
        member => format!("{}{member}", archive_text(path)),
    }
}

/// The path from `folder` to `path`; none where there is none.
fn relative(folder: &Path, path: &Path) -> Option<PathBuf> {
    // The system follows links before it goes up with `..`.
    let real = folder.canonicalize().ok()?;
    let mut path = absolute(path).ok()?;
    let plain = path.components().all(|part| part != Component::ParentDir);
    if !plain || absolute(folder).ok()? != real {
        path = path.canonicalize().unwrap_or(path);
    }
    let shared = real.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = real.components().skip(shared).map(|_| Component::ParentDir);
    (shared > 0).then(|| up.chain(path.components().skip(shared)).collect())
}
