//! A file's content to a file, in a folder that a run has to itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use imagerag::gallery::ingest::ClipRetrieval;
use tempfile::TempDir;

/// The folder of this process; in memory where the system has such a place.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        made.expect("a folder for the files of a run")
    });
    made.path()
}

/// Writes `bytes` to `name` in [`folder`], and gives its path.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("a folder in the folder of this run");
    }
    fs::write(&path, bytes).expect("a file in the folder of this run");
    path
}

/// Reads all images of clip-retrieval's output: `bytes` is the content of `name`, and `other` is
/// the recorded one.
pub fn clip_retrieval(name: &str, bytes: &[u8], other: &str) {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/ingest/clip_retrieval");
    if !folder().join(other).exists() {
        file(other, &fs::read(recorded.join(other)).expect("a recorded file"));
    }
    file(name, bytes);
    if let Ok(images) = ClipRetrieval::open(folder()) {
        images.for_each(drop);
    }
}
