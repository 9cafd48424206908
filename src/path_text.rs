//! A path to text that tells it exactly, also where it is not UTF-8, and back.

use std::borrow::Cow;
use std::path::Path;
#[cfg(feature = "gallery")]
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What an escaped path begins with, and no other path's text.
const ESCAPED: &str = "file:";
/// Between an archive and the name of a member stands `#`; `%` begins an escaped byte.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'#').add(b'?').add(b' ').add(b'"');

/// `path` as text. Different paths have different texts, and none is that of a member of an archive.
///
/// It is the path itself where that is UTF-8. Otherwise it is a URL in which all other bytes are
/// percent-encoded, such as `file:///photos/caf%E9.jpg`; a relative path gives
/// `file:photos/caf%E9.jpg`. Paths that begin with `file:`, and those with `.tar#` in them, which
/// could be taken for members of an archive, are written as URLs too.
pub(crate) fn path_text(path: &Path) -> Cow<'_, str> {
    let plain = path.to_str().filter(|text| !text.starts_with(ESCAPED) && member(text).is_none());
    plain.map_or_else(|| url(path).into(), Cow::from)
}

/// The text of the member `name` of `archive`: `ARCHIVE.tar#NAME`.
#[cfg(feature = "gallery")]
pub(crate) fn member_text(archive: &Path, name: &str) -> String {
    format!("{}#{name}", archive_text(archive))
}

/// `archive` in the text of its members: as [`path_text`], so that the first `.tar#` ends it.
#[cfg(feature = "gallery")]
pub(crate) fn archive_text(archive: &Path) -> Cow<'_, str> {
    match path_text(archive) {
        plain if plain.starts_with(ESCAPED) => plain,
        plain if is_tar(&plain) && !plain.contains('#') => plain,
        _ => url(archive).into(),
    }
}

/// The path that [`path_text`] gave `text` for.
#[cfg(feature = "gallery")]
pub(crate) fn text_path(text: &str) -> PathBuf {
    let Some(rest) = text.strip_prefix(ESCAPED) else { return text.into() };
    let encoded = rest.strip_prefix("//").unwrap_or(rest);
    from_bytes(percent_encoding::percent_decode_str(encoded).collect())
        .unwrap_or_else(|| text.into())
}

/// What [`path_text`] or [`member_text`] gave, apart: the text of the path, and that of the member
/// from its `#` on.
#[cfg(feature = "gallery")]
pub(crate) fn split_member(text: &str) -> (&str, &str) {
    let at = match text.starts_with(ESCAPED) {
        true => text.find('#'),
        false => member(text),
    };
    text.split_at(at.unwrap_or(text.len()))
}

/// Where the `#` is that follows the name of an archive in `text`.
fn member(text: &str) -> Option<usize> {
    text.match_indices('#').map(|(at, _)| at).find(|&at| is_tar(&text[..at]))
}

fn is_tar(text: &str) -> bool {
    let ending = text.len().checked_sub(4).and_then(|at| text.get(at..));
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".tar"))
}

fn url(path: &Path) -> String {
    let slashes = if path.is_absolute() { "//" } else { "" };
    format!("{ESCAPED}{slashes}{}", percent_encode(path.as_os_str().as_encoded_bytes(), SPECIAL))
}

/// The name of a member of an archive as text. Different names have different texts: one that is
/// not UTF-8 is written as [`path_text`] writes a relative path.
#[cfg(feature = "gallery")]
pub(crate) fn name_text(name: &[u8]) -> String {
    let plain = std::str::from_utf8(name).ok().filter(|text| !text.starts_with(ESCAPED));
    let url = || format!("{ESCAPED}{}", percent_encode(name, SPECIAL));
    plain.map_or_else(url, str::to_owned)
}

/// A path of these bytes.
#[cfg(all(unix, feature = "gallery"))]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

/// A path of these bytes; elsewhere than on Unix only where they are UTF-8.
#[cfg(all(not(unix), feature = "gallery"))]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(all(test, unix, feature = "gallery"))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn path(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }

    #[test]
    fn paths_come_back_and_no_two_have_the_same_text() {
        let paths: [&[u8]; 16] = [
            b"/photos/caf\xe9.jpg",
            b"/photos/caf%E9.jpg",
            "/photos/café.jpg".as_bytes(),
            "/photos/caf\u{fffd}.jpg".as_bytes(),
            b"photos/caf\xe9.jpg",
            b"../photos/caf\xe9.jpg",
            b"file:photos/caf%E9.jpg",
            b"file:///photos/caf%E9.jpg",
            b"/a\nb/100% #1?.jpg",
            b"/a\nb/100% #1?\xff.jpg",
            b"/x/s.tar#0.jpg",
            b"/x/s.TAR#\xff.jpg",
            b"/x/s.tar",
            b"/x/a#b.tar",
            b"/x/shard",
            b"C:\\photos\\bee.jpg",
        ];
        let texts = paths.map(|bytes| path_text(path(bytes)).into_owned());
        for (bytes, text) in paths.iter().zip(&texts) {
            assert_eq!(text_path(text), path(bytes), "{text}");
            assert_eq!(split_member(text), (&**text, ""));
        }
        let mut different = texts.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), paths.len(), "{texts:?}");
        assert_eq!(texts[0], "file:///photos/caf%E9.jpg");
        assert_eq!(texts[4], "file:photos/caf%E9.jpg");
        assert_eq!(texts[8], "/a\nb/100% #1?.jpg");
    }

    #[test]
    fn a_member_is_told_from_every_file_and_from_members_of_other_archives() {
        let archives: [&[u8]; 5] =
            [b"/x/s.tar", b"/x/a#b.tar", b"/x/shard", b"/x/\xff.tar", b"s.TAR"];
        for bytes in archives {
            let text = member_text(path(bytes), "a.tar#0.jpg");
            let (archive, name) = split_member(&text);
            assert_eq!((text_path(archive), name), (path(bytes).to_owned(), "#a.tar#0.jpg"));
            assert_ne!(path_text(Path::new(&text)), text);
        }
        assert_eq!(member_text(Path::new("/x/s.tar"), "12:30.jpg"), "/x/s.tar#12:30.jpg");
    }
}
