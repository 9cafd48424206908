//! `gallery.json`: what a gallery's vectors are and which encoder made them.

use std::path::Path;

use half::f16;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::embedder::Embedding;
use crate::{Error, Result};

pub(crate) const FILE: &str = "gallery.json";
const FORMAT: u32 = 1;

/// The file, as a person reads it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// Version of the layout of the folder.
    format: u32,
    created_by: String,
    encoder: String,
    /// Values a vector.
    dim: usize,
    distance: String,
    /// What the encoder makes of the probes.
    probes: Option<Probes>,
}

/// Vectors as f16, little-endian, in hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Probes {
    text: String,
    picture: String,
}

/// The bytes of the manifest of `fingerprint`.
pub(crate) fn write(fingerprint: &Fingerprint) -> Result<Vec<u8>> {
    let manifest = Manifest {
        format: FORMAT,
        created_by: concat!("imagerag ", env!("CARGO_PKG_VERSION")).to_owned(),
        encoder: fingerprint.encoder.clone(),
        dim: fingerprint.dim,
        distance: "cosine".to_owned(),
        probes: fingerprint
            .probes
            .as_ref()
            .map(|[text, picture]| Probes { text: to_hex(text), picture: to_hex(picture) }),
    };
    serde_json::to_vec_pretty(&manifest).map_err(|error| Error::backend(FILE, error))
}

/// The fingerprint in the manifest `bytes`, which were read from `path`.
///
/// # Errors
/// [`Error::InvalidFile`] when it is broken or of another format.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Fingerprint> {
    let invalid = |what: &str, expected: &str, found: String| {
        Error::invalid_file(path, what, expected, found)
    };
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| invalid("manifest", "a gallery's description", error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(invalid("format", &FORMAT.to_string(), manifest.format.to_string()));
    }
    if manifest.distance != "cosine" {
        return Err(invalid("distance", "cosine", manifest.distance));
    }
    let probe = |what: &str, digits: &str| {
        from_hex(digits)
            .filter(|probe| probe.dim() == manifest.dim)
            .ok_or_else(|| invalid(what, &format!("{} f16 values", manifest.dim), digits.into()))
    };
    let probes = match &manifest.probes {
        Some(probes) => Some([probe("text", &probes.text)?, probe("picture", &probes.picture)?]),
        None => None,
    };
    if manifest.dim == 0 {
        return Err(invalid("dim", "at least 1", manifest.dim.to_string()));
    }
    Ok(Fingerprint { encoder: manifest.encoder, dim: manifest.dim, probes })
}

/// That the manifest `bytes` are those that the catalog knows by their hash.
pub(crate) fn compare(path: &Path, bytes: &[u8], expected: [u8; 32]) -> Result<()> {
    let (expected, found) = (blake3::Hash::from_bytes(expected), blake3::hash(bytes));
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid_file(path, "checksum", expected.to_hex().as_str(), found.to_hex()))
}

fn to_hex(embedding: &Embedding) -> String {
    let bytes = embedding.values().iter().flat_map(|&value| f16::from_f32(value).to_le_bytes());
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Option<Embedding> {
    let value = |digits: &[u8]| {
        let value = u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        (digits.len() == 4).then(|| f16::from_bits(value.swap_bytes()).to_f32())
    };
    let values: Option<Vec<f32>> = digits.as_bytes().chunks(4).map(value).collect();
    Embedding::new(values?).ok()
}
