//! A gallery to files that any program reads: `images.jsonl` and `vectors.npy`.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::gallery::store::vectors::le_bytes;
use crate::gallery::{Entry, Gallery};
use crate::path_text::path_text;
use crate::{Error, Result};

/// The names of the files.
const IMAGES: &str = "images.jsonl";
const VECTORS: &str = "vectors.npy";

impl Gallery {
    /// Writes, into `folder`, `images.jsonl`, a JSON object an image, and `vectors.npy`, a row an
    /// image in the same order, of type `<f4`; says how many images there are.
    ///
    /// An object has `id`, `hash`, `source`, `license`, `author`, `origin`, `caption`, `width`,
    /// `height`, `json`, and, where the pixels are on this machine, `path`, with `offset` and
    /// `length` where that is an archive. A path that is not UTF-8 is written as a URL, such as
    /// `file:///photos/caf%E9.jpg`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when one of the files is there already; [`Error::Io`] when they
    /// cannot be written; those of [`iter`](Self::iter).
    pub fn export(&self, folder: impl AsRef<Path>) -> Result<usize> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let [images_path, vectors_path] = [IMAGES, VECTORS].map(|name| folder.join(name));
        for path in [&images_path, &vectors_path] {
            if path.exists() {
                let found = path.display();
                return Err(Error::invalid_input("file to export to", "none there yet", found));
            }
        }
        let open = |path: &Path| File::create(path).map_err(|source| Error::io(path, source));
        let mut images = BufWriter::new(open(&images_path)?);
        let mut vectors = BufWriter::new(open(&vectors_path)?);
        let images_io = |source| Error::io(&images_path, source);
        let vectors_io = |source| Error::io(&vectors_path, source);
        let dim = self.fingerprint().dim();
        vectors.write_all(&npy_header(0, dim)).map_err(vectors_io)?;
        let mut count = 0;
        for image in self.iter()? {
            let (entry, embedding) = image?;
            writeln!(images, "{}", line(&entry)?).map_err(images_io)?;
            let values: Vec<u8> = le_bytes(&embedding).collect();
            vectors.write_all(&values).map_err(vectors_io)?;
            count += 1;
        }
        images.flush().map_err(images_io)?;
        // How many there are is known now.
        let rewound = vectors.seek(SeekFrom::Start(0));
        rewound.and_then(|_| vectors.write_all(&npy_header(count, dim))).map_err(vectors_io)?;
        vectors.flush().map_err(vectors_io)?;
        Ok(count)
    }
}

/// The 128 bytes before the values of a `[rows, dim]` array of little-endian f32.
fn npy_header(rows: usize, dim: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{text:117}\n").bytes());
    header
}

fn line(entry: &Entry) -> Result<Value> {
    let record = &entry.record;
    let failed = |error| Error::backend("export of a gallery", error);
    let mut line = serde_json::to_value(&record.metadata).map_err(failed)?;
    let json = record.metadata.json.as_deref();
    line["json"] = json.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    (line["id"], line["source"]) = (json!(entry.id), json!(record.source));
    line["hash"] = json!(record.hash.to_string());
    let (path, member) = record.pixels.parts();
    if let Some(path) = path {
        line["path"] = json!(path_text(path));
    }
    if let Some((offset, length)) = member {
        (line["offset"], line["length"]) = (json!(offset), json!(length));
    }
    Ok(line)
}
