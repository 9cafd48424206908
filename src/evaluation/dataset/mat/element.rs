//! The bytes of a MATLAB 5 file behind its header to variables, element by element.
//!
//! By MathWorks' "MAT-File Format", chapter "Level 5 MAT-File Format": an element is a tag of 8 bytes
//! (type and length) with its data, which are padded to 8 bytes, or both in 8 bytes.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{Record, Value};

/// How deep cells and structs may be in each other; those of the known sets are 3 deep.
const MAX_DEPTH: usize = 16;

/// Types of elements (table 1-1).
mod mi {
    pub(super) const INT8: u32 = 1;
    pub(super) const UINT8: u32 = 2;
    pub(super) const INT16: u32 = 3;
    pub(super) const UINT16: u32 = 4;
    pub(super) const INT32: u32 = 5;
    pub(super) const UINT32: u32 = 6;
    pub(super) const SINGLE: u32 = 7;
    pub(super) const DOUBLE: u32 = 9;
    pub(super) const INT64: u32 = 12;
    pub(super) const UINT64: u32 = 13;
    pub(super) const MATRIX: u32 = 14;
    pub(super) const COMPRESSED: u32 = 15;
    pub(super) const UTF8: u32 = 16;
    pub(super) const UTF16: u32 = 17;
    pub(super) const UTF32: u32 = 18;
}

/// Elements that lie one behind the other.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Elements<'a> {
    pub(super) const fn new(rest: &'a [u8], big_endian: bool) -> Self {
        Self { rest, big_endian }
    }

    /// Whether nothing follows that could be an element.
    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The type and the data of the next one.
    fn next(&mut self) -> Result<(u32, &'a [u8]), String> {
        let Some((tag, rest)) = self.rest.split_at_checked(8) else {
            return Err(format!("{} bytes, of which no element begins", self.rest.len()));
        };
        let word = |at: usize| self.word(&tag[at..at + 4]);
        let (kind, length) = (word(0), word(4));
        if kind >> 16 != 0 {
            let (kind, length) = (kind & 0xffff, (kind >> 16) as usize);
            let data = tag[4..].get(..length).ok_or("a short element of more than 4 bytes")?;
            self.rest = rest;
            return Ok((kind, data));
        }
        let length = length as usize;
        let data = rest.get(..length).ok_or_else(|| {
            format!("the end of the file, {} bytes before that of an element", length - rest.len())
        })?;
        // Compressed elements are not padded, and the last one need not be.
        let padded = if kind == mi::COMPRESSED { length } else { length.next_multiple_of(8) };
        self.rest = rest.get(padded..).unwrap_or_default();
        Ok((kind, data))
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes: [u8; 4] = bytes.try_into().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// The next variable of a file with its name; none of what is no variable. `budget` is how many bytes
/// may still be decompressed.
pub(super) fn variable(
    elements: &mut Elements<'_>,
    budget: &mut u64,
) -> Result<Option<(String, Value)>, String> {
    let (kind, data) = elements.next()?;
    match kind {
        mi::MATRIX => Ok(Some(matrix(Elements { rest: data, ..*elements }, 0)?)),
        mi::COMPRESSED => {
            let mut inflated = Vec::new();
            let decoder = ZlibDecoder::new(data).take(*budget + 1).read_to_end(&mut inflated);
            decoder.map_err(|error| format!("compressed data that are damaged ({error})"))?;
            *budget = budget
                .checked_sub(inflated.len() as u64)
                .ok_or("more than 256 MiB of compressed data")?;
            let (kind, data) = Elements { rest: &inflated, ..*elements }.next()?;
            match kind {
                mi::MATRIX => Ok(Some(matrix(Elements { rest: data, ..*elements }, 0)?)),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// The array in the elements of a matrix, and its name, which that in a cell or a field has not.
fn matrix(mut parts: Elements<'_>, depth: usize) -> Result<(String, Value), String> {
    if parts.is_at_end() {
        return Ok((String::new(), Value::Numbers(Vec::new())));
    }
    if depth > MAX_DEPTH {
        return Err(format!("cells or structs more than {MAX_DEPTH} deep in each other"));
    }
    let (_, flags) = parts.next()?;
    let class = parts.word(flags.get(..4).ok_or("an array without flags")?) & 0xff;
    let (kind, sides) = parts.next()?;
    let sides = numbers(&parts, kind, sides)?;
    let count = sides.iter().try_fold(1_usize, |count, side| {
        let side = (*side >= 0.0).then_some(*side as usize)?;
        count.checked_mul(side)
    });
    let count = count.ok_or_else(|| format!("an array of {sides:?}"))?;
    let (_, name) = parts.next()?;
    let name = String::from_utf8_lossy(name).into_owned();
    let value = match class {
        1 => {
            let mut cells = Vec::new();
            for _ in 0..count {
                cells.push(inner(&mut parts, depth)?);
            }
            Value::Cells(cells)
        }
        2 => Value::Structs(structs(&mut parts, count, depth)?),
        4 => {
            let (kind, data) = parts.next()?;
            Value::Text(text(&parts, kind, data)?)
        }
        6..=15 => {
            let (kind, data) = parts.next()?;
            let found = numbers(&parts, kind, data)?;
            if found.len() != count {
                return Err(format!("{} numbers in the array {name} of {count}", found.len()));
            }
            Value::Numbers(found)
        }
        5 => Value::Other("a sparse array"),
        3 => Value::Other("an object"),
        _ => Value::Other("an array of an unknown class"),
    };
    Ok((name, value))
}

fn inner(parts: &mut Elements<'_>, depth: usize) -> Result<Value, String> {
    match parts.next()? {
        (mi::MATRIX, data) => Ok(matrix(Elements { rest: data, ..*parts }, depth + 1)?.1),
        (kind, _) => Err(format!("an element of type {kind} in cells or structs")),
    }
}

/// `count` structs: the names of their fields, and the fields of each.
fn structs(parts: &mut Elements<'_>, count: usize, depth: usize) -> Result<Vec<Record>, String> {
    let (_, length) = parts.next()?;
    let length = parts.word(length.get(..4).ok_or("structs without names of fields")?) as usize;
    let (_, names) = parts.next()?;
    // MATLAB's names have at most 63 characters.
    if !(1..=64).contains(&length) || !names.len().is_multiple_of(length) {
        return Err(format!("names of fields in {} bytes, {length} each", names.len()));
    }
    let name = |name: &[u8]| {
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        String::from_utf8_lossy(&name[..end]).into_owned()
    };
    let names: Vec<String> = names.chunks(length).map(name).collect();
    if names.is_empty() && count > 0 {
        return Err("structs without fields".to_owned());
    }
    let mut records = Vec::new();
    for _ in 0..count {
        let mut record = Record::with_capacity(names.len());
        for name in &names {
            record.push((name.clone(), inner(parts, depth)?));
        }
        records.push(record);
    }
    Ok(records)
}

/// The numbers in the data of an element; those of 64 bits are exact to 2^53.
fn numbers(parts: &Elements<'_>, kind: u32, data: &[u8]) -> Result<Vec<f64>, String> {
    macro_rules! of {
        ($type:ty) => {{
            let (values, rest) = data.as_chunks::<{ size_of::<$type>() }>();
            if !rest.is_empty() {
                return Err(format!("{} bytes of numbers", data.len()));
            }
            let value = |bytes: &[u8; size_of::<$type>()]| match parts.big_endian {
                true => <$type>::from_be_bytes(*bytes) as f64,
                false => <$type>::from_le_bytes(*bytes) as f64,
            };
            values.iter().map(value).collect()
        }};
    }
    Ok(match kind {
        mi::INT8 => of!(i8),
        mi::UINT8 => of!(u8),
        mi::INT16 => of!(i16),
        mi::UINT16 => of!(u16),
        mi::INT32 => of!(i32),
        mi::UINT32 => of!(u32),
        mi::SINGLE => of!(f32),
        mi::DOUBLE => of!(f64),
        mi::INT64 => of!(i64),
        mi::UINT64 => of!(u64),
        _ => return Err(format!("numbers in an element of type {kind}")),
    })
}

/// The characters in the data of an element.
fn text(parts: &Elements<'_>, kind: u32, data: &[u8]) -> Result<String, String> {
    Ok(match kind {
        mi::INT8 | mi::UINT8 | mi::UTF8 => String::from_utf8_lossy(data).into_owned(),
        mi::UINT16 | mi::UTF16 => {
            let units = numbers(parts, mi::UINT16, data)?;
            let units: Vec<u16> = units.into_iter().map(|unit| unit as u16).collect();
            String::from_utf16_lossy(&units)
        }
        mi::UINT32 | mi::UTF32 => {
            let points = numbers(parts, mi::UINT32, data)?.into_iter();
            let points = points.map(|point| char::from_u32(point as u32));
            points.map(|point| point.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => return Err(format!("a text in an element of type {kind}")),
    })
}
