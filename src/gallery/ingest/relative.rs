//! Paths of pictures to paths relative to the gallery's folder, which hold when both are moved.

use std::path::{Component, Path, PathBuf, absolute};

use super::{Content, Item};

/// `item` with its path, and that in its source, relative to the gallery in `folder`.
pub(super) fn relative_item(folder: &Path, mut item: Item) -> Item {
    if let Content::At(pixels) = &mut item.content
        && let Some(path) = pixels.path_mut()
        && let Some(relative) = relative(folder, path)
    {
        // The source is the path, or `SHARD.tar#MEMBER`.
        let member = path.to_str().and_then(|path| item.source.strip_prefix(path));
        if let Some(member) = member.filter(|rest| rest.is_empty() || rest.starts_with('#')) {
            item.source = format!("{}{member}", relative.display());
        }
        *path = folder.join(relative);
    }
    item
}

/// `source` relative to the gallery in `folder`, where it is an absolute path.
pub(super) fn relative_source(folder: &Path, source: String) -> String {
    let path = Path::new(&source);
    let relative = path.is_absolute().then(|| relative(folder, path)).flatten();
    relative.map_or(source, |relative| relative.display().to_string())
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
