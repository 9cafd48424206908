//! Small pictures, archives, `.npy` and Parquet files, written by the libraries that others use.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imagerag::Image;
use imagerag::gallery::Rejected;
use imagerag::gallery::ingest::Item;
use npyz::WriterBuilder;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A file or folder of `tests/fixtures/ingest`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ingest").join(name)
}

/// A picture of one colour that depends on `n`, different for each below 2^24.
pub(crate) fn picture(n: u32) -> Image {
    let [_, r, g, b] = n.to_be_bytes();
    Image::new(2, 1, [r, g, b].repeat(2)).unwrap()
}

pub(crate) fn png(n: u32) -> Vec<u8> {
    picture(n).encode_png().unwrap()
}

/// What a reader found, the good and the bad apart; the bad as text.
pub(crate) fn sort(
    found: impl Iterator<Item = Result<Item, Rejected>>,
) -> (Vec<Item>, Vec<String>) {
    let (mut items, mut rejected) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Ok(item) => items.push(item),
            Err(Rejected { source, reason }) => rejected.push(format!("{source}: {reason}")),
        }
    }
    (items, rejected)
}

/// A tar archive of these members, ended as it should be.
pub(crate) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        append(&mut archive, name, bytes, tar::EntryType::Regular);
    }
    archive.into_inner().unwrap()
}

/// Appends a member whose name is taken as it is, however bad.
pub(crate) fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    name: &str,
    bytes: &[u8],
    kind: tar::EntryType,
) {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_entry_type(kind);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

/// An `.npy` file of `rows` of `dim` values.
pub(crate) fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A Parquet file of text columns.
pub(crate) fn parquet(path: &Path, columns: &[(&str, &[&str])]) {
    let fields: String =
        columns.iter().map(|(name, _)| format!("required binary {name} (UTF8);")).collect();
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}")).unwrap());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, values) in columns {
        let values: Vec<ByteArray> = values.iter().map(|&value| value.into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}
