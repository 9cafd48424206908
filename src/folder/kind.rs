//! A file's name and first bytes to what it is: a picture, a text about one, or neither.

use std::io;

use super::LeftOutKind;
use crate::image::format::{Format, format};

/// What a file is to a reader of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A picture, or something that claims to be one by its ending.
    Picture,
    /// A picture in the format of this name, which is not read.
    NotRead(&'static str),
    /// What may be said of a picture.
    Text(Text),
    /// Neither of them.
    LeftOut(LeftOutKind),
}

/// What is said of a picture, by the ending of the file that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Text {
    /// A JSON object, as img2dataset and gallery-dl write it.
    Json,
    /// kohya's captions.
    Caption,
    /// img2dataset's captions.
    Txt,
}

/// Endings that make a picture, whatever is in the file: what is broken is named. The second line
/// is what browsers and social networks make of JPEG and PNG.
const PICTURES: [&str; 16] = [
    "bmp",
    "gif",
    "jpeg",
    "jpg",
    "png",
    "tif",
    "tiff",
    "webp", //
    "jfif",
    "jfi",
    "jif",
    "jpe",
    "jpg_large",
    "jpg-large",
    "apng",
    "dib",
];

/// Endings of formats that are not read.
const NOT_READ: [(&str, &str); 35] = [
    ("avif", "AVIF"),
    ("avifs", "AVIF"),
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("hif", "HEIF"),
    ("jxl", "JPEG XL"),
    ("jxr", "JPEG XR"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("jpx", "JPEG 2000"),
    ("svg", "SVG"),
    ("svgz", "SVG"),
    ("psd", "Photoshop PSD"),
    ("psb", "Photoshop PSB"),
    ("xcf", "GIMP XCF"),
    ("ico", "ICO"),
    ("icns", "ICNS"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("pbm", "PNM"),
    ("pgm", "PNM"),
    ("ppm", "PNM"),
    ("pnm", "PNM"),
    ("tga", "TGA"),
    ("pcx", "PCX"),
    ("dds", "DDS"),
    ("qoi", "QOI"),
    ("cr3", "Canon CR3"),
    ("raf", "Fujifilm RAF"),
    ("rw2", "Panasonic RW2"),
    ("orf", "Olympus ORF"),
    ("wmf", "WMF"),
    ("emf", "EMF"),
    ("djvu", "DjVu"),
    ("eps", "PostScript"),
];

/// Camera files that are TIFF by their content, whose first picture is a thumbnail.
const RAW: [(&str, &str); 6] = [
    ("arw", "Sony ARW"),
    ("cr2", "Canon CR2"),
    ("dng", "DNG"),
    ("nef", "Nikon NEF"),
    ("pef", "Pentax PEF"),
    ("srw", "Samsung SRW"),
];

/// Names of files and folders that systems and programs leave behind, in lower case.
const SYSTEM: [&str; 24] = [
    // Windows
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "recycler",
    "system volume information",
    // macOS
    ".ds_store",
    ".localized",
    ".appledouble",
    ".fseventsd",
    ".spotlight-v100",
    ".trashes",
    "icon\r",
    "__macosx",
    // Linux desktops
    ".directory",
    ".thumbnails",
    "lost+found",
    // Synology's and QNAP's storage
    "@eadir",
    "#recycle",
    "@recycle",
    "@recently-snapshot",
    // Picasa
    "picasa.ini",
    ".picasa.ini",
];

/// What the ending of a file called `name` is, in lower case; empty where there is none.
fn ending(name: &str) -> String {
    name.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_lowercase())
}

/// Why what is called `name`, a file or a folder, is left out before it is looked at.
pub(crate) fn left_out(name: &str) -> Option<LeftOutKind> {
    let lower = name.to_lowercase();
    let left_behind = SYSTEM.contains(&&*lower)
        || name.starts_with("._")
        || name.starts_with("~$")
        || name.ends_with('~')
        || (name.len() > 2 && name.starts_with('#') && name.ends_with('#'));
    if left_behind {
        return Some(LeftOutKind::System);
    }
    name.starts_with('.').then_some(LeftOutKind::Hidden)
}

/// Whether a file called `name` claims to be a picture.
pub(crate) fn claims_to_be_picture(name: &str) -> bool {
    PICTURES.contains(&&*ending(name))
}

/// What may be said of a picture in a file called `name`.
pub(crate) fn text(name: &str) -> Option<Text> {
    match &*ending(name) {
        "json" => Some(Text::Json),
        "caption" => Some(Text::Caption),
        "txt" => Some(Text::Txt),
        _ => None,
    }
}

/// What the file called `name` is. `head` reads its first bytes, and is asked only where the name
/// does not tell.
pub(crate) fn kind(name: &str, head: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Kind> {
    const APPLE_DOUBLE: [u8; 4] = [0, 5, 0x16, 7];
    let ending = ending(name);
    let listed = |list: &[(&str, &'static str)]| {
        list.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    };
    if let Some(kind) = left_out(name) {
        return Ok(Kind::LeftOut(kind));
    }
    if PICTURES.contains(&&*ending) {
        return Ok(Kind::Picture);
    }
    if let Some(text) = text(name) {
        return Ok(Kind::Text(text));
    }
    if let Some(format) = listed(&RAW) {
        return Ok(Kind::NotRead(format));
    }
    let head = head()?;
    Ok(match format(&head) {
        Some(Format::Read(_)) => Kind::Picture,
        Some(format @ Format::NotRead(_)) => Kind::NotRead(format.name()),
        None if head.starts_with(&APPLE_DOUBLE) => Kind::LeftOut(LeftOutKind::System),
        None => listed(&NOT_READ).map_or(Kind::LeftOut(LeftOutKind::Other), Kind::NotRead),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, head: &[u8]) -> Kind {
        kind(name, || Ok(head.to_vec())).unwrap()
    }

    #[test]
    fn content_tells_what_an_ending_does_not() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0];
        for name in ["a", "a.img", "a.avif", "a.jpg:large", "a.png_large", "photo.2021"] {
            assert_eq!(of(name, &jpeg), Kind::Picture, "{name}");
        }
        for name in ["a.jfif", "a.JPE", "a.jpg_large", "a.apng", "a.PNG"] {
            assert_eq!(of(name, b""), Kind::Picture, "{name}");
        }
        assert_eq!(of("a", b"\xff\x0a"), Kind::NotRead("JPEG XL"));
        assert_eq!(of("a.avif", b"?"), Kind::NotRead("AVIF"));
        assert_eq!(of("a.tga", b"?"), Kind::NotRead("TGA"));
        assert_eq!(of("a.dng", b"II*\0"), Kind::NotRead("DNG"));
        assert_eq!(of("a.JSON", &jpeg), Kind::Text(Text::Json));
        let other = Kind::LeftOut(LeftOutKind::Other);
        assert_eq!([of("a.mp4", b"?"), of("README", b"BM text"), of("a.zip", b"PK")], [other; 3]);
    }

    #[test]
    fn what_systems_and_programs_leave_behind_is_told_by_its_name() {
        for name in ["THUMBS.DB", "._a.png", ".DS_Store", "a.txt~", "@eaDir", "#a.txt#", "~$a.doc"]
        {
            assert_eq!(left_out(name), Some(LeftOutKind::System), "{name}");
        }
        assert_eq!(of("a", &[0, 5, 0x16, 7]), Kind::LeftOut(LeftOutKind::System));
        assert_eq!(left_out(".git"), Some(LeftOutKind::Hidden));
        assert_eq!([left_out("a.png"), left_out("#1.png"), left_out("#")], [None; 3]);
    }
}
