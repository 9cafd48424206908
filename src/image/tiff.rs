//! The bytes of a TIFF file to RGB: every colour model that Pillow reads, from strips or tiles.
//!
//! The `image` crate reads neither palettes nor YCbCr, nor grey with alpha or of 2 or 4 bits, nor
//! planes of CMYK. The `tiff` crate below it unpacks all of them.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Cursor;

use image::metadata::Orientation;
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{ByteOrder, ExtraSamples, PhotometricInterpretation, Tag};
use tiff::{ColorType, TiffError};

use super::decode::{self, max_alloc};
use super::orientation;
use super::over_white::{blend, each, upper};
use crate::{Error, Result};

const XMP: Tag = Tag::Unknown(700);

/// A TIFF file whose first directory was read.
pub(super) struct Tiff<'a> {
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    size: (u32, u32),
    /// Red, then green, then blue of all entries.
    palette: Option<Vec<u16>>,
}

impl<'a> Tiff<'a> {
    /// Reads the first directory of a picture of at most `max_pixels`.
    pub(super) fn new(bytes: &'a [u8], max_pixels: u64) -> Result<Self> {
        let mut decoder = Decoder::new(Cursor::new(Cow::Borrowed(bytes))).map_err(invalid)?;
        let size = decoder.dimensions().map_err(invalid)?;
        let max_alloc = max_alloc(size, max_pixels)?;
        check_length(&mut decoder, bytes.len() as u64)?;
        let model = decoder.find_tag_unsigned(Tag::PhotometricInterpretation).map_err(invalid)?;
        let mut palette = None;
        if model == Some(PhotometricInterpretation::RGBPalette.to_u16()) {
            palette = Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(invalid)?);
            let grey =
                as_grey(bytes, &mut decoder).ok_or_else(|| invalid("its directory is broken"))?;
            decoder = Decoder::new(Cursor::new(Cow::Owned(grey))).map_err(invalid)?;
        }
        let mut limits = Limits::default();
        limits.decoding_buffer_size = usize::try_from(max_alloc).unwrap_or(usize::MAX);
        limits.intermediate_buffer_size = limits.decoding_buffer_size;
        Ok(Self { decoder: decoder.with_limits(limits), size, palette })
    }

    pub(super) const fn size(&self) -> (u32, u32) {
        self.size
    }

    pub(super) fn orientation(&mut self) -> Orientation {
        match self.decoder.find_tag(Tag::Orientation) {
            Ok(Some(value)) => orientation::of_number(number(&value)),
            _ => orientation::of(None, self.decoder.get_tag_u8_vec(XMP).ok().as_deref()),
        }
    }

    /// `r g b` of each pixel, over white.
    pub(super) fn rgb(mut self) -> Result<Vec<u8>> {
        let model = self.decoder.colortype().map_err(invalid)?;
        let extra =
            self.decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(invalid)?;
        let extra = extra.and_then(|extra| ExtraSamples::from_u16(*extra.first()?));
        let samples = self.samples(model)?;
        let over_white = |rgb: [u8; 3], alpha: u8| match extra {
            Some(ExtraSamples::Unspecified) => rgb,
            // The colour is multiplied with alpha already.
            Some(ExtraSamples::AssociatedAlpha) => {
                rgb.map(|value| value.saturating_add(255 - alpha))
            }
            _ => blend(rgb, alpha),
        };
        let entry = |palette: &[u16], index: u8| {
            let (length, index) = (palette.len() / 3, usize::from(index));
            [0, 1, 2].map(|n| palette.get(n * length + index).copied().map_or(0, upper))
        };
        Ok(match (model, self.palette.as_deref()) {
            (ColorType::Gray(_), Some(p)) => each(&samples, |[index]| entry(p, index)),
            (ColorType::Multiband { num_samples: 2, .. }, Some(p)) => {
                each(&samples, |[index, alpha]| over_white(entry(p, index), alpha))
            }
            (ColorType::Gray(_), None) => each(&samples, |[grey]| [grey; 3]),
            (ColorType::Multiband { num_samples: 2, .. }, None) => {
                each(&samples, |[grey, alpha]| over_white([grey; 3], alpha))
            }
            (ColorType::RGB(_), _) => samples,
            (ColorType::RGBA(_), _) => each(&samples, |[r, g, b, a]| over_white([r, g, b], a)),
            (ColorType::CMYK(_), _) => each(&samples, |[c, m, y, k]| [c, m, y].map(|v| ink(v, k))),
            (ColorType::YCbCr(_), _) => each(&samples, luminance_and_chroma),
            (other, _) => return Err(unread(other)),
        })
    }

    /// All samples as 8 bits, pixel by pixel.
    fn samples(&mut self, model: ColorType) -> Result<Vec<u8>> {
        let mut decoded = DecodingResult::U8(Vec::new());
        let layout = self.decoder.read_image_to_buffer(&mut decoded).map_err(invalid)?;
        let bits = model.bit_depth();
        let samples: Vec<u8> = match decoded {
            DecodingResult::U8(packed) if bits < 8 => {
                let row = layout.row_stride.map_or(packed.len(), usize::from).max(1);
                let scale =
                    if self.palette.is_some() { 1 } else { u8::MAX / (u8::MAX >> (8 - bits)) };
                let width = self.size.0 as usize;
                packed.chunks(row).flat_map(|row| unpacked(row, bits, scale).take(width)).collect()
            }
            DecodingResult::U8(samples) => samples,
            DecodingResult::U16(samples) => samples.into_iter().map(upper).collect(),
            _ => return Err(unread(model)),
        };
        let pixels = self.size.0 as usize * self.size.1 as usize;
        let each_has = usize::from(model.num_samples());
        if samples.len() < pixels * each_has {
            return Err(invalid("too few samples"));
        }
        if layout.planes <= 1 {
            return Ok(samples);
        }
        let planes: Vec<&[u8]> = samples.chunks(pixels).take(each_has).collect();
        Ok((0..pixels).flat_map(|pixel| planes.iter().map(move |plane| plane[pixel])).collect())
    }
}

/// That the strips or tiles lie within the file: JPEG data inside would be filled up with grey.
fn check_length(decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>, length: u64) -> Result<()> {
    let mut tag = |tag| decoder.find_tag_unsigned_vec::<u64>(tag);
    for (offsets, counts) in
        [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)]
    {
        if let (Some(offsets), Some(counts)) =
            (tag(offsets).map_err(invalid)?, tag(counts).map_err(invalid)?)
        {
            let ends = offsets.iter().zip(&counts).map(|(a, b)| a.saturating_add(*b));
            if let Some(end) = ends.max().filter(|&end| end > length) {
                return Err(invalid(format!("cut off after {length} of {end} bytes")));
            }
        }
    }
    Ok(())
}

/// The file with a directory that calls the indices into its palette grey, which the `tiff` crate
/// unpacks as it does not unpack palettes.
fn as_grey(bytes: &[u8], decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>) -> Option<Vec<u8>> {
    let (order, directory) =
        (decoder.byte_order(), usize::try_from(decoder.ifd_pointer()?.0).ok()?);
    let number = |bytes: [u8; 2]| match order {
        ByteOrder::LittleEndian => u16::from_le_bytes(bytes),
        ByteOrder::BigEndian => u16::from_be_bytes(bytes),
    };
    // BigTIFF has version 43, a count of 8 bytes, and entries of 20.
    let is_big = number(*bytes.get(2..)?.first_chunk()?) == 43;
    let (count, entry, value) = if is_big { (8, 20, 12) } else { (2, 12, 8) };
    let mut patched = bytes.to_vec();
    let mut entries = patched.get_mut(directory.checked_add(count)?..)?.chunks_exact_mut(entry);
    let tag = Tag::PhotometricInterpretation.to_u16();
    let model = entries.find(|entry| number([entry[0], entry[1]]) == tag)?;
    let grey = PhotometricInterpretation::BlackIsZero.to_u16();
    model[value..value + 2].copy_from_slice(&match order {
        ByteOrder::LittleEndian => grey.to_le_bytes(),
        ByteOrder::BigEndian => grey.to_be_bytes(),
    });
    Some(patched)
}

/// A value as a number, the first of several; Pillow takes bytes for none.
fn number(value: &Value) -> Option<f64> {
    Some(match value {
        Value::SignedByte(n) => f64::from(*n),
        Value::Short(n) => f64::from(*n),
        Value::SignedShort(n) => f64::from(*n),
        Value::Unsigned(n) | Value::Ifd(n) => f64::from(*n),
        Value::Signed(n) => f64::from(*n),
        Value::UnsignedBig(n) | Value::IfdBig(n) => f64::from(u32::try_from(*n).ok()?),
        Value::SignedBig(n) => f64::from(u32::try_from(*n).ok()?),
        Value::Float(n) => f64::from(*n),
        Value::Double(n) => *n,
        Value::Rational(n, d) => f64::from(*n) / f64::from(*d),
        Value::SRational(n, d) => f64::from(*n) / f64::from(*d),
        Value::List(all) => number(all.first()?)?,
        _ => return None,
    })
}

/// The samples of `bits` (1, 2 or 4) each in a row, times `scale`.
fn unpacked(row: &[u8], bits: u8, scale: u8) -> impl Iterator<Item = u8> {
    let shifts = move || (0..8 / bits).rev().map(move |n| n * bits);
    let mask = u8::MAX >> (8 - bits);
    row.iter().flat_map(move |byte| shifts().map(move |shift| (byte >> shift & mask) * scale))
}

/// One of cyan, magenta and yellow with black to red, green or blue, as Pillow does.
fn ink(colour: u8, black: u8) -> u8 {
    let product = (255 - u32::from(colour)) * (255 - u32::from(black));
    // At most 255.
    u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
}

/// The conversion of JFIF, with the coefficients of ITU-R BT.601 that TIFF has by default too.
fn luminance_and_chroma([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        // Saturates.
        .map(|value| value.round() as u8)
}

fn unread(model: ColorType) -> Error {
    invalid(TiffError::UnsupportedError(tiff::TiffUnsupportedError::UnsupportedColorType(model)))
}

fn invalid(found: impl Display) -> Error {
    decode::invalid(format!("a TIFF file: {found}"))
}
