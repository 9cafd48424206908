//! The first bytes of a file to the picture format that they open, read here or not.
//!
//! The signatures are those of the formats' specifications; Pillow's `_accept` functions and
//! libmagic's table `images` have them too.

use image::ImageFormat;

/// The formats that are read, in errors.
pub(crate) const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";

/// As many bytes of a file as [`format`] looks at: an SVG may open with a long comment.
pub(crate) const HEAD: usize = 1024;

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One that [`Image::decode`](crate::Image::decode) reads.
    Read(ImageFormat),
    /// One that is not read, by its name.
    NotRead(&'static str),
}

/// Signatures that stand at the start of a file.
const SIGNATURES: &[(&[u8], Format)] = &[
    (b"\x89PNG\r\n\x1a\n", Format::Read(ImageFormat::Png)),
    (b"\xff\xd8\xff", Format::Read(ImageFormat::Jpeg)),
    (b"GIF87a", Format::Read(ImageFormat::Gif)),
    (b"GIF89a", Format::Read(ImageFormat::Gif)),
    // Camera files that are TIFF inside, before TIFF itself.
    (b"II*\0\x10\0\0\0CR\x02", Format::NotRead("Canon CR2")),
    (b"II*\0", Format::Read(ImageFormat::Tiff)),
    (b"MM\0*", Format::Read(ImageFormat::Tiff)),
    // BigTIFF.
    (b"II+\0", Format::Read(ImageFormat::Tiff)),
    (b"MM\0+", Format::Read(ImageFormat::Tiff)),
    (b"\xff\x0a", Format::NotRead("JPEG XL")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Format::NotRead("JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Format::NotRead("JPEG 2000")),
    (b"\xff\x4f\xff\x51", Format::NotRead("JPEG 2000")),
    (b"II\xbc\x01", Format::NotRead("JPEG XR")),
    (b"8BPS\0\x01", Format::NotRead("Photoshop PSD")),
    (b"8BPS\0\x02", Format::NotRead("Photoshop PSB")),
    (b"gimp xcf ", Format::NotRead("GIMP XCF")),
    (b"icns", Format::NotRead("ICNS")),
    (b"qoif", Format::NotRead("QOI")),
    (b"DDS ", Format::NotRead("DDS")),
    (b"\x76\x2f\x31\x01", Format::NotRead("OpenEXR")),
    (b"#?RADIANCE", Format::NotRead("Radiance HDR")),
    (b"#?RGBE", Format::NotRead("Radiance HDR")),
    (b"farbfeld", Format::NotRead("farbfeld")),
    (b"BPG\xfb", Format::NotRead("BPG")),
    (b"FLIF", Format::NotRead("FLIF")),
    (b"\x8aMNG\r\n\x1a\n", Format::NotRead("MNG")),
    (b"\x97JB2\r\n\x1a\n", Format::NotRead("JBIG2")),
    (b"AT&TFORM", Format::NotRead("DjVu")),
    (b"\xd7\xcd\xc6\x9a", Format::NotRead("WMF")),
    (b"SIMPLE  =", Format::NotRead("FITS")),
    (b"%!PS-Adobe-", Format::NotRead("PostScript")),
    (b"\xc5\xd0\xd3\xc6", Format::NotRead("PostScript")),
    (b"IIRO", Format::NotRead("Olympus ORF")),
    (b"IIRS", Format::NotRead("Olympus ORF")),
    (b"IIU\0", Format::NotRead("Panasonic RW2")),
    (b"FUJIFILMCCD-RAW", Format::NotRead("Fujifilm RAF")),
    (b"FOVb", Format::NotRead("Sigma X3F")),
    (b"\0MRM", Format::NotRead("Minolta MRW")),
];

/// Brands of an ISO base media file (`ftyp` box) that make it a picture; other brands are films.
const BRANDS: &[(&[u8; 4], Format)] = &[
    (b"avif", Format::NotRead("AVIF")),
    (b"avis", Format::NotRead("AVIF")),
    (b"heic", Format::NotRead("HEIC")),
    (b"heix", Format::NotRead("HEIC")),
    (b"heim", Format::NotRead("HEIC")),
    (b"heis", Format::NotRead("HEIC")),
    (b"hevc", Format::NotRead("HEIC")),
    (b"hevx", Format::NotRead("HEIC")),
    (b"jpeg", Format::NotRead("HEIF")),
    (b"crx ", Format::NotRead("Canon CR3")),
    (b"mif1", Format::NotRead("HEIF")),
    (b"mif2", Format::NotRead("HEIF")),
    (b"msf1", Format::NotRead("HEIF")),
];

/// What `head`, the first [`HEAD`] bytes of a file or all of a shorter one, are the start of; none
/// where it is no picture that is known.
pub(crate) fn format(head: &[u8]) -> Option<Format> {
    let head = &head[..head.len().min(HEAD)];
    let by_signature = || SIGNATURES.iter().find(|(start, _)| head.starts_with(start));
    by_signature().map(|&(_, format)| format).or_else(|| match head {
        _ if is_web_p(head) => Some(Format::Read(ImageFormat::WebP)),
        _ if is_bmp(head) => Some(Format::Read(ImageFormat::Bmp)),
        _ if is_icon(head) => Some(Format::NotRead("ICO")),
        _ if is_pnm(head) => Some(Format::NotRead("PNM")),
        _ if head.get(40..44) == Some(b" EMF") => Some(Format::NotRead("EMF")),
        _ if head.get(128..132) == Some(b"DICM") => Some(Format::NotRead("DICOM")),
        _ if is_svg(head) => Some(Format::NotRead("SVG")),
        _ => brand(head),
    })
}

impl Format {
    /// What people call it, such as `JPEG`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NotRead(name) => name,
            Self::Read(ImageFormat::Png) => "PNG",
            Self::Read(ImageFormat::Jpeg) => "JPEG",
            Self::Read(ImageFormat::WebP) => "WebP",
            Self::Read(ImageFormat::Gif) => "GIF",
            Self::Read(ImageFormat::Bmp) => "BMP",
            Self::Read(ImageFormat::Tiff) => "TIFF",
            Self::Read(_) => "picture",
        }
    }

    /// How the names of its files end, such as `jpg`; none where it is not read.
    #[cfg(feature = "gallery")]
    pub(crate) fn extension(self) -> Option<&'static str> {
        match self {
            Self::Read(format) => format.extensions_str().first().copied(),
            Self::NotRead(_) => None,
        }
    }
}

fn is_web_p(head: &[u8]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP")
}

/// `BM` alone is also how a text may begin: the length of the second header is one of those known.
fn is_bmp(head: &[u8]) -> bool {
    let header = head.get(14..18).map(|length| [length[0], length[1], length[2], length[3]]);
    let known = |length| matches!(length, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124);
    head.starts_with(b"BM") && header.map(u32::from_le_bytes).is_some_and(known)
}

/// An icon or a cursor: type 1 or 2, at least one entry, and the entry's reserved byte.
fn is_icon(head: &[u8]) -> bool {
    matches!(head, [0, 0, 1 | 2, 0, low, high, _, _, _, 0, ..] if (*low, *high) != (0, 0))
}

/// Portable any map: `P1` to `P6` with a number or a comment behind, or `P7`.
fn is_pnm(head: &[u8]) -> bool {
    match head {
        [b'P', b'1'..=b'6', space, next, ..] => {
            space.is_ascii_whitespace() && (next.is_ascii_digit() || *next == b'#')
        }
        _ => head.starts_with(b"P7\nWIDTH") || head.starts_with(b"P7\n#"),
    }
}

/// XML whose first element is `svg`, not a page of HTML that has one in it. UTF-16 is read too: of
/// its characters below U+0080 one byte is 0.
fn is_svg(head: &[u8]) -> bool {
    let ascii = head.iter().filter(|byte| byte.is_ascii() && **byte != 0);
    let text: String = ascii.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    let at = |tag| text.find(tag).unwrap_or(usize::MAX);
    let page = at("<html").min(at("<!doctype html"));
    text.trim_start().starts_with('<') && at("<svg").min(at("<svg:svg")) < page
}

/// The first known brand of a `ftyp` box, its own before those that it is compatible with.
fn brand(head: &[u8]) -> Option<Format> {
    let length = u32::from_be_bytes(head.get(..4)?.try_into().ok()?) as usize;
    let brands = head.get(4..8).filter(|kind| kind == b"ftyp").and(head.get(8..))?;
    let brands = &brands[..brands.len().min(length.saturating_sub(8))];
    // The second word is a version.
    let brands = brands.chunks_exact(4).enumerate().filter(|&(n, _)| n != 1).map(|(_, b)| b);
    // "mif1" is a container: what it is compatible with says more.
    let rank = |brand| BRANDS.iter().position(|(known, _)| *known == brand);
    brands.filter_map(rank).min().map(|n| BRANDS[n].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf";
        let film = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42";
        let bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0";
        let svg = b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- drawn by hand -->\n<SVG width=\"1\">";
        let wide: Vec<u8> = "\u{feff}<svg/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", Some("PNG")),
            (b"\xff\xd8\xff\xe1", Some("JPEG")),
            (b"GIF89a\x01\0", Some("GIF")),
            (b"RIFF\x1a\0\0\0WEBPVP8L", Some("WebP")),
            (b"RIFF\x1a\0\0\0WAVEfmt ", None),
            (b"MM\0*\0\0\0\x08", Some("TIFF")),
            (b"II*\0\x10\0\0\0CR\x02\0", Some("Canon CR2")),
            (bmp, Some("BMP")),
            (b"BM is short for a museum in London", None),
            (avif, Some("AVIF")),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some("HEIC")),
            (film, None),
            (b"\0\0\0\x0cJXL \r\n\x87\n", Some("JPEG XL")),
            (b"\xff\x0a\xfa\x1f", Some("JPEG XL")),
            (b"\0\0\0\x0cjP  \r\n\x87\n", Some("JPEG 2000")),
            (b"8BPS\0\x01", Some("Photoshop PSD")),
            (b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0", Some("ICO")),
            (b"P6\n640 480\n255\n", Some("PNM")),
            (b"P2 is a class of licence", None),
            (svg, Some("SVG")),
            (&wide, Some("SVG")),
            (b"<!DOCTYPE html><html><body><svg/></body></html>", None),
            (b"{\"caption\": \"a bee\"}", None),
            (b"", None),
        ];
        for (head, name) in cases {
            let found = format(head).map(Format::name);
            assert_eq!(found, *name, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn a_head_that_is_cut_off_is_no_format_before_its_brand() {
        let avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf";
        for n in 0..12 {
            assert_eq!(format(&avif[..n]), None, "{n}");
        }
        assert_eq!(format(&avif[..20]), Some(Format::NotRead("HEIF")));
        assert_eq!(format(&avif[..24]), Some(Format::NotRead("AVIF")));
        assert_eq!(format(b"\0\0\0\0ftyp"), None);
    }
}
