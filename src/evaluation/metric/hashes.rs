//! Pictures and weights to hashes that name them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Error, Image, Result};

/// BLAKE3 of a picture's width and height (4 bytes each, the least significant first) and its pixels, in
/// hexadecimal.
pub fn picture_hash(image: &Image) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&image.width().to_le_bytes());
    hasher.update(&image.height().to_le_bytes());
    hasher.update(image.pixels());
    hasher.finalize().to_hex().to_string()
}

/// BLAKE3 of the weights of a checkpoint, in hexadecimal: of each `*.safetensors` in `folder`, by name, its
/// name, its length and its bytes. Symbolic links are followed, as the Hub's cache needs; where the folder
/// is and what else is in it changes nothing. It reads all of the weights, about a second for a gigabyte.
///
/// Two checkpoints of one architecture have one name, such as `CLIP ViT-B/32`, and this tells them apart:
/// give it to [`Fingerprint::with_weights`](super::Fingerprint::with_weights).
///
/// # Errors
/// [`Error::Io`] when the folder or a file cannot be read; [`Error::InvalidFile`] when there are no such
/// files.
pub fn weights_hash(folder: impl AsRef<Path>) -> Result<String> {
    let folder = folder.as_ref();
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| Error::io(folder, source))? {
        let path = entry.map_err(|source| Error::io(folder, source))?.path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::invalid_file(folder, "weights", "files *.safetensors", "none"));
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let io = |source| Error::io(&path, source);
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let file = crate::regular_file::open(&path)?;
        let length = file.metadata().map_err(io)?.len();
        for part in [&(name.len() as u64).to_le_bytes()[..], name, &length.to_le_bytes()] {
            hasher.update(part);
        }
        update(&mut hasher, file).map_err(io)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn update(hasher: &mut blake3::Hasher, file: File) -> std::io::Result<()> {
    hasher.update_reader(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_of_weights_is_of_their_bytes_and_names_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |folder: &Path, name: &str, content: &[u8]| {
            fs::write(folder.join(name), content).unwrap();
        };
        write(folder.path(), "model-00001-of-00002.safetensors", b"one");
        write(folder.path(), "model-00002-of-00002.safetensors", b"two");
        let hash = weights_hash(folder.path()).unwrap();
        assert_eq!(hash.len(), 64);
        // What is beside the weights, and where they are, does not matter.
        write(folder.path(), "config.json", b"{}");
        fs::create_dir(folder.path().join("onnx")).unwrap();
        assert_eq!(weights_hash(folder.path()).unwrap(), hash);
        let moved = tempfile::tempdir().unwrap();
        for name in ["model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"] {
            fs::copy(folder.path().join(name), moved.path().join(name)).unwrap();
        }
        assert_eq!(weights_hash(moved.path()).unwrap(), hash);
        #[cfg(unix)]
        {
            // The Hub's cache: links to files that are named by their hash.
            let snapshot = tempfile::tempdir().unwrap();
            for name in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
                let blob = folder.path().join(name);
                std::os::unix::fs::symlink(blob, snapshot.path().join(name)).unwrap();
            }
            assert_eq!(weights_hash(snapshot.path()).unwrap(), hash);
        }
        // Any byte does, and the bound between two files.
        write(moved.path(), "model-00001-of-00002.safetensors", b"onet");
        write(moved.path(), "model-00002-of-00002.safetensors", b"wo");
        assert_ne!(weights_hash(moved.path()).unwrap(), hash);
    }

    #[test]
    fn a_folder_without_weights_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = weights_hash(folder.path()).unwrap_err().to_string();
        assert!(error.contains("expected files *.safetensors, found none"), "{error}");
        assert!(matches!(weights_hash(folder.path().join("no")), Err(Error::Io { .. })));
        fs::create_dir(folder.path().join("model.safetensors")).unwrap();
        assert!(matches!(weights_hash(folder.path()), Err(Error::InvalidFile { .. })));
    }

    #[test]
    fn pictures_of_other_shapes_have_other_hashes() {
        let hash = |w, h| picture_hash(&Image::new(w, h, vec![7; 36]).unwrap());
        assert_ne!(hash(3, 4), hash(4, 3));
        assert_eq!(hash(3, 4), hash(3, 4));
    }
}
