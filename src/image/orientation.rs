//! EXIF and XMP data to the turn that makes a picture upright, as Pillow's `exif_transpose` finds it.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

/// The longest text of a PNG that is unpacked, in bytes.
const LONGEST: u64 = 1 << 20;
/// What EXIF data and XMP data begin with in a segment of a JPEG.
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// The orientation in `exif`, the data of an EXIF segment with or without the name before it; where
/// it has none, that in `xmp`. What is broken counts as not there.
pub(super) fn of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let mut exif = exif.unwrap_or_default();
    while let Some(rest) = exif.strip_prefix(EXIF) {
        exif = rest;
    }
    of_number(of_exif(exif).or_else(|| of_xmp(xmp?)))
}

/// The orientation of a number of EXIF, 1 to 8; no turn where there is none, or it is another one.
pub(super) fn of_number(number: Option<f64>) -> Orientation {
    let orientation = (1..=8).find(|&n| number == Some(f64::from(n)));
    orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The number that the first directory of `exif` has as orientation, 0 if its type is none of a
/// number. The standard asks for type 3 (SHORT); as Pillow, this takes every type of numbers
/// (TIFF 6.0, section 2) but bytes.
fn of_exif(exif: &[u8]) -> Option<f64> {
    const ORIENTATION: u64 = 0x112;
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let bits = |at: u64, length: usize| {
        let bytes = exif.get(usize::try_from(at).ok()?..)?.get(..length)?.iter();
        let join = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        Some(if is_little { bytes.rev().fold(0, join) } else { bytes.fold(0, join) })
    };
    let long = |at| u32::try_from(bits(at, 4)?).ok();
    let directory = u64::from(long(4)?);
    let mut entries = (0..bits(directory, 2)?).map(|n| directory + 2 + 12 * n);
    let entry = entries.find(|&entry| bits(entry, 2) == Some(ORIENTATION))?;
    let (kind, count) = (bits(entry + 2, 2)?, bits(entry + 4, 4)?);
    let length = match kind {
        6 => 1,               // SBYTE
        3 | 8 => 2,           // SHORT, SSHORT
        4 | 9 | 11 | 13 => 4, // LONG, SLONG, FLOAT, IFD
        5 | 10 | 12 => 8,     // RATIONAL, SRATIONAL, DOUBLE
        _ => return Some(0.0),
    };
    // What is longer than four bytes lies elsewhere.
    let at = if length * count > 4 { u64::from(long(entry + 8)?) } else { entry + 8 };
    Some(match kind {
        _ if count == 0 => 0.0,
        5 | 10 => f64::from(long(at)?) / f64::from(long(at + 4)?),
        11 => f32::from_bits(long(at)?).into(),
        12 => f64::from_bits(bits(at, 8)?),
        // A negative one is larger than any orientation.
        _ => f64::from(u32::try_from(bits(at, usize::try_from(length).ok()?)?).ok()?),
    })
}

/// As an attribute, `tiff:Orientation="6"`, or as an element, `<tiff:Orientation>6<`.
fn of_xmp(xmp: &[u8]) -> Option<f64> {
    const NAME: &[u8] = b"tiff:Orientation";
    let values = xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let mut digits = values.filter_map(|(at, _)| match &xmp[at + NAME.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => {
            Some(f64::from(digit - b'0'))
        }
        _ => None,
    });
    digits.next()
}

/// EXIF and XMP data of a JPEG. As Pillow reads them, further segments of EXIF continue the first one,
/// and of XMP the last one counts.
pub(super) fn of_jpeg(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut exif, mut xmp): (Option<Vec<u8>>, _) = (None, None);
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            // The pixels begin, or nothing is left.
            [0xff, 0xda | 0xd9, ..] => break,
            // Markers without data.
            [0xff, 0x01 | 0xd0..=0xd8, behind @ ..] => behind,
            [0xff, marker @ 0x02..=0xfe, high, low, behind @ ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some((data, behind)) = behind.split_at_checked(length.saturating_sub(2)) else {
                    break;
                };
                match data {
                    _ if *marker != 0xe1 => {}
                    data if data.starts_with(EXIF) => {
                        exif.get_or_insert_default().extend(&data[EXIF.len()..]);
                    }
                    data if data.starts_with(XMP) => xmp = Some(data.to_vec()),
                    _ => {}
                }
                behind
            }
            // Filling between segments.
            [_, behind @ ..] => behind,
            [] => break,
        };
    }
    (exif, xmp)
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
