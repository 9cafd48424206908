//! A folder tree to what is in it, file by file, in the order of paths.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::kind::{Kind, claims_to_be_picture, kind, left_out, text};
use super::pairing::pair;
use super::{LeftOutKind, listing, read};
use crate::image::format::FORMATS;
use crate::path_text::path_text;
use crate::{Error, Result, regular_file};

/// What a walk comes upon.
#[derive(Debug)]
pub(super) enum Met {
    Picture {
        path: PathBuf,
        /// The folder that it is in, without links.
        real: Arc<Path>,
        /// Files with what is said of it.
        texts: Vec<PathBuf>,
    },
    Rejected(PathBuf, Error),
    LeftOut(LeftOutKind, PathBuf),
}

/// A folder tree that is being walked. In memory are the names in the folders on the way to where
/// it is.
#[derive(Debug)]
pub(super) struct Walk {
    root: PathBuf,
    /// What is still to be told or entered; the next is the last.
    pending: Vec<Step>,
    /// Links to folders, which are entered last: what a link leads to is met where it is, if that is
    /// in the tree too.
    links: VecDeque<PathBuf>,
    /// Folders that were entered, without links.
    entered: HashSet<PathBuf>,
}

#[derive(Debug)]
enum Step {
    Enter(PathBuf),
    Tell(Met),
}

/// What a name in a folder stands for.
enum Entry {
    Folder,
    LinkToFolder,
    Picture { texts: Vec<PathBuf> },
    Text,
    Told(Met),
}

impl Walk {
    pub(super) fn new(root: &Path) -> Self {
        let pending = vec![Step::Enter(root.to_owned())];
        Self { root: root.to_owned(), pending, links: VecDeque::new(), entered: HashSet::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Has everything in `folder` come next.
    fn enter(&mut self, folder: &Path) -> Result<()> {
        let real = folder.canonicalize().map_err(|source| Error::io(folder, source))?;
        if !self.entered.insert(real.clone()) {
            return Ok(());
        }
        let mut paths = list(folder)?;
        if folder == self.root {
            paths.retain(|path| !path.ends_with(listing::FILE) || path.is_dir());
        }
        let mut entries: Vec<(PathBuf, Entry)> =
            paths.into_iter().map(|path| (path.clone(), look(path))).collect();
        join(&mut entries);
        let (real, first): (Arc<Path>, usize) = (real.into(), self.pending.len());
        for (path, entry) in entries {
            match entry {
                Entry::Folder => self.pending.push(Step::Enter(path)),
                Entry::LinkToFolder => self.links.push_back(path),
                Entry::Picture { texts } => {
                    let real = Arc::clone(&real);
                    self.pending.push(Step::Tell(Met::Picture { path, real, texts }));
                }
                // What is about a picture is read with it.
                Entry::Text => {}
                Entry::Told(met) => self.pending.push(Step::Tell(met)),
            }
        }
        self.pending[first..].reverse();
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Met;

    fn next(&mut self) -> Option<Met> {
        loop {
            let step = self.pending.pop();
            let folder = match step.or_else(|| self.links.pop_front().map(Step::Enter))? {
                Step::Tell(met) => return Some(met),
                Step::Enter(folder) => folder,
            };
            if let Err(problem) = self.enter(&folder) {
                return Some(Met::Rejected(folder, problem));
            }
        }
    }
}

/// What is in `folder`, in the order of its names.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::io(folder, source);
    let entries = fs::read_dir(folder).map_err(io)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<std::io::Result<_>>().map_err(io)?;
    paths.sort_unstable();
    Ok(paths)
}

/// What is at `path`. Nothing but a file is opened, and that only where its name does not tell.
fn look(path: PathBuf) -> Entry {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(kind) = left_out(&name) {
        return Entry::Told(Met::LeftOut(kind, path));
    }
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        // A picture that cannot be read is named when it is to be.
        Err(_) if claims_to_be_picture(&name) => return Entry::Picture { texts: Vec::new() },
        Err(source) => return Entry::Told(Met::Rejected(path.clone(), Error::io(path, source))),
    };
    if found.is_dir() {
        return if path.is_symlink() { Entry::LinkToFolder } else { Entry::Folder };
    }
    if let Err(problem) = regular_file::check(&path, found.file_type()) {
        return Entry::Told(Met::Rejected(path, problem));
    }
    match kind(&name, || read::head(&path)) {
        Ok(Kind::Picture) => Entry::Picture { texts: Vec::new() },
        Ok(Kind::Text(_)) => Entry::Text,
        Ok(Kind::LeftOut(kind)) => Entry::Told(Met::LeftOut(kind, path)),
        Ok(Kind::NotRead(format)) => {
            let problem = Error::invalid_file(&path, "picture", FORMATS, format);
            Entry::Told(Met::Rejected(path, problem))
        }
        Err(source) => Entry::Told(Met::Rejected(path.clone(), Error::io(path, source))),
    }
}

/// Gives each picture its texts, and says what becomes of the other texts. What is refused may be a
/// picture too, which a text may be about.
fn join(entries: &mut [(PathBuf, Entry)]) {
    let named = |wanted: fn(&Path, &Entry) -> bool| {
        let wanted = entries.iter().enumerate().filter(|(_, (path, entry))| wanted(path, entry));
        let name = |path: &PathBuf| {
            path_text(Path::new(path.file_name().unwrap_or_default())).into_owned()
        };
        wanted.map(|(at, (path, _))| (at, name(path))).unzip::<usize, String, Vec<_>, Vec<_>>()
    };
    let (pictures, picture_names) = named(|path, entry| match entry {
        Entry::Picture { .. } => true,
        Entry::Told(Met::Rejected(..)) => text(&path.to_string_lossy()).is_none(),
        _ => false,
    });
    let (texts, text_names) = named(|_, entry| matches!(entry, Entry::Text));
    if texts.is_empty() {
        return;
    }
    let mut pairs = pair(&picture_names, &text_names, false);
    let path = |entries: &[(PathBuf, Entry)], text: usize| entries[texts[text]].0.clone();
    for (picture, of) in pictures.iter().zip(&pairs.texts) {
        let about: Vec<PathBuf> = of.iter().map(|&text| path(entries, text)).collect();
        match &mut entries[*picture].1 {
            Entry::Picture { texts } => *texts = about,
            _ => pairs.without_picture.extend(of),
        }
    }
    for text in pairs.without_picture {
        let path = path(entries, text);
        entries[texts[text]].1 = Entry::Told(Met::LeftOut(LeftOutKind::WithoutPicture, path));
    }
    for (text, candidates) in pairs.unclear {
        let path = path(entries, text);
        let found: Vec<&str> = candidates.iter().map(|&at| &*picture_names[at]).collect();
        let problem = unclear(&path, "pictures of this name", &found);
        entries[texts[text]].1 = Entry::Told(Met::Rejected(path, problem));
    }
}

/// That `what`, of the file at `path`, is one of `found`.
pub(crate) fn unclear(path: &Path, what: &str, found: &[&str]) -> Error {
    Error::invalid_file(path, what, "one", found.join(" and "))
}
