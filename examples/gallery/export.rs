//! `export`: a gallery to JSON lines and one `.npy`, row for row.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use imagerag::gallery::{Gallery, Pixels};
use imagerag::{Error, Result};
use serde_json::json;

use crate::Place;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The folder that images.jsonl and embeddings.npy are written to.
    #[arg(value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let out = &options.out;
    fs::create_dir_all(out).map_err(|error| Error::io(out, error))?;
    let (lines, rows) = (out.join("images.jsonl"), out.join("embeddings.npy"));
    let count = write(&gallery, &lines, &rows)?;
    println!("wrote      {count} images: {}, {}", lines.display(), rows.display());
    Ok(())
}

fn write(gallery: &Gallery, lines: &Path, rows: &Path) -> Result<usize> {
    let create = |path| File::create(path).map(BufWriter::new).map_err(|e| Error::io(path, e));
    let (mut json, mut npy) = (create(lines)?, create(rows)?);
    let (count, dim) = (gallery.count()?, gallery.fingerprint().dim());
    npy.write_all(&header(count, dim)).map_err(|error| Error::io(rows, error))?;
    let mut written = 0;
    for image in gallery.iter()? {
        let (entry, embedding) = image?;
        let record = entry.record;
        let pixels = match &record.pixels {
            Pixels::File(path) => json!({ "file": path }),
            Pixels::Member { archive, offset, length } => {
                json!({ "archive": archive, "offset": offset, "length": length })
            }
            _ => json!(null),
        };
        let line = json!({
            "id": entry.id,
            "hash": record.hash.to_string(),
            "source": record.source,
            "pixels": pixels,
            "metadata": record.metadata,
        });
        writeln!(json, "{line}").map_err(|error| Error::io(lines, error))?;
        let bytes: Vec<u8> = embedding.values().iter().flat_map(|v| v.to_le_bytes()).collect();
        npy.write_all(&bytes).map_err(|error| Error::io(rows, error))?;
        written += 1;
    }
    json.flush().map_err(|error| Error::io(lines, error))?;
    npy.flush().map_err(|error| Error::io(rows, error))?;
    if written != count {
        let reason = format!("it changed while it was read: {count} images, then {written}");
        return Err(Error::Unavailable { what: gallery.to_string(), reason });
    }
    Ok(count)
}

/// The header of an `.npy` file of f32 `[rows, dim]`, as `numpy.lib.format` defines version 1.0.
fn header(rows: usize, dim: usize) -> Vec<u8> {
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    // Padded with spaces so that the data begins at a multiple of 64 bytes.
    let length = (dict.len() + 11).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
    bytes
}
