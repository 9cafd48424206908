//! EXIF and XMP data to the turn that makes a picture upright, as Pillow's `exif_transpose` finds it.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

/// The longest text of a PNG that is unpacked, in bytes.
const LONGEST: u64 = 1 << 20;

/// The orientation in `exif`, the data of an EXIF segment with or without the name before it; where
/// it has none, that in `xmp`. What is broken counts as not there.
pub(super) fn of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let mut exif = exif.unwrap_or_default();
    while let Some(rest) = exif.strip_prefix(b"Exif\0\0") {
        exif = rest;
    }
    let found = Orientation::from_exif_chunk(exif).or_else(|| of_xmp(xmp?));
    found.unwrap_or(Orientation::NoTransforms)
}

/// As an attribute, `tiff:Orientation="6"`, or as an element, `<tiff:Orientation>6<`.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let values = xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let mut digits = values.filter_map(|(at, _)| match &xmp[at + NAME.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => {
            Some(digit - b'0')
        }
        _ => None,
    });
    Orientation::from_exif(digits.next()?)
}

/// EXIF and XMP data of a PNG, before or behind its pixels: the chunk `eXIf`, a text `Raw profile
/// type exif` (ImageMagick's, in hexadecimal), and a text `XML:com.adobe.xmp`.
pub(super) fn of_png(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut exif, mut raw, mut xmp) = (None, None, None);
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let [a, b, c, d, kind @ ..] = rest
        && let Some((kind, data)) = kind.split_at_checked(4)
    {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((data, behind)) = data.split_at_checked(length) else { break };
        // A checksum of four bytes.
        rest = behind.get(4..).unwrap_or_default();
        match kind {
            b"eXIf" => exif = Some(data.to_vec()),
            b"tEXt" | b"zTXt" | b"iTXt" => match text(kind, data) {
                Some((b"Raw profile type exif", text)) => raw = hexadecimal(&text),
                Some((b"XML:com.adobe.xmp", text)) => xmp = Some(text),
                _ => {}
            },
            _ => {}
        }
    }
    (exif.or(raw), xmp)
}

/// Keyword and text of a chunk of text (PNG specification, 11.3.3).
fn text<'a>(kind: &[u8], data: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let until_zero = |data: &'a [u8]| {
        let end = data.iter().position(|&byte| byte == 0)?;
        Some((&data[..end], &data[end + 1..]))
    };
    let (keyword, rest) = until_zero(data)?;
    let (packed, text) = match (kind, rest) {
        (b"tEXt", text) => (false, text),
        (b"zTXt", [_method, text @ ..]) => (true, text),
        (b"iTXt", [packed, _method, rest @ ..]) => {
            let (_language, rest) = until_zero(rest)?;
            let (_translated, text) = until_zero(rest)?;
            (*packed == 1, text)
        }
        _ => return None,
    };
    if !packed {
        return Some((keyword, text.to_vec()));
    }
    let mut unpacked = Vec::new();
    ZlibDecoder::new(text).take(LONGEST).read_to_end(&mut unpacked).ok()?;
    Some((keyword, unpacked))
}

/// The bytes of ImageMagick's profile: an empty line, a name, a length, then lines of hexadecimal
/// digits.
fn hexadecimal(profile: &[u8]) -> Option<Vec<u8>> {
    let lines = profile.split(|&byte| byte == b'\n').skip(3).flatten();
    let digits: Vec<u8> = lines.copied().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    digits.as_chunks().0.iter().map(byte).collect()
}
