//! The files of a data set to real images, and its lists to lines.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::lists::Place;
use super::{Notes, RealImage, Split};
use crate::folder::kind::{claims_to_be_picture, left_out};
use crate::folder::{Found, LeftOutKind, Tree, read};
use crate::path_text::path_text;
use crate::reference::{Metadata, Picture};
use crate::{Error, Result, lenient};

/// The longest list that is read as a whole, in bytes. Of the known sets, none has more than 10 MB.
pub(super) const MAX_LIST: u64 = 256 << 20;

/// The files below a folder, each folder of which is listed when it is first asked for.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// The files of each folder, and whether they were asked for.
    folders: BTreeMap<PathBuf, BTreeMap<OsString, bool>>,
}

impl Files {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), folders: BTreeMap::new() }
    }

    /// The file at `relative`, which has `/` between folders, as a list names it. Where there is none of
    /// exactly this name, one that differs in case alone is meant, such as `a.JPG` by `a.jpg`.
    fn find(&mut self, relative: &str) -> Result<Option<Asked>> {
        let relative = Path::new(relative.strip_prefix("./").unwrap_or(relative));
        let (Some(above), Some(name)) = (relative.parent(), relative.file_name()) else {
            return Ok(None);
        };
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(None); // It leads out of the data set.
        }
        let folder = self.root.join(above);
        if !self.folders.contains_key(&folder) {
            let names = names(&folder)?;
            self.folders.insert(folder.clone(), names);
        }
        let Some(names) = self.folders.get_mut(&folder) else { return Ok(None) };
        let name = match names.contains_key(name) {
            true => name.to_owned(),
            false => {
                let same = names.keys().filter(|known| known.eq_ignore_ascii_case(name));
                let [same] = same.collect::<Vec<_>>()[..] else { return Ok(None) };
                same.clone()
            }
        };
        let path = folder.join(&name);
        let before = names.insert(name, true) == Some(true);
        Ok(Some(Asked { path, before }))
    }

    /// The picture at `relative`, which `place` names, as a real image of this identifier. What is not there
    /// is noted.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when it was named before: it would be of two classes or two parts.
    pub(super) fn image(
        &mut self,
        relative: &str,
        place: Place<'_>,
        notes: &mut Notes,
    ) -> Result<Option<RealImage>> {
        match self.find(relative)? {
            Some(Asked { before: true, .. }) => {
                let found = format!("{relative}, which was named before");
                Err(place.invalid("each picture once", found))
            }
            Some(Asked { path, .. }) => Ok(Some(RealImage::file(relative, path))),
            None => {
                let list = name(place.file);
                notes
                    .count(&format!("pictures that {list} names and that are not there"), relative);
                Ok(None)
            }
        }
    }

    /// Notes the pictures that nobody asked for, in the folders of those that somebody did.
    pub(super) fn note_others(self, notes: &mut Notes) {
        for (folder, names) in self.folders {
            for (name, _) in names.into_iter().filter(|(_, is_read)| !is_read) {
                let path = folder.join(name);
                let text = self::name(&path);
                if claims_to_be_picture(&text) && left_out(&text).is_none() {
                    notes.count("pictures that no list names", id(&self.root, &path));
                }
            }
        }
    }
}

/// A file that was asked for.
struct Asked {
    path: PathBuf,
    /// Whether it was before, too.
    before: bool,
}

/// The names of the files in `folder`, also by links; none where there is no such folder.
fn names(folder: &Path) -> Result<BTreeMap<OsString, bool>> {
    let io = |source| Error::io(folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        entries => entries.map_err(io)?,
    };
    let mut names = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
            names.insert(entry.file_name(), false);
        }
    }
    Ok(names)
}

impl RealImage {
    /// The picture file at `path`.
    pub(super) fn file(id: impl Into<String>, path: PathBuf) -> Self {
        Self { path: Some(path.clone()), ..Self::new(id, Picture::file(path)) }
    }

    /// The same as one of this part of the set.
    pub(super) fn in_split(self, split: impl Into<Option<Split>>) -> Self {
        Self { split: split.into(), ..self }
    }
}

/// `path`, which is below `root`, from there on, with `/` on every system.
pub(super) fn id(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let text = path_text(relative).into_owned();
    if cfg!(windows) { text.replace('\\', "/") } else { text }
}

/// A picture that was found in a folder tree.
#[derive(Debug)]
pub(super) struct PictureFile {
    pub(super) path: PathBuf,
    /// What files beside it say of it.
    pub(super) metadata: Metadata,
}

impl PictureFile {
    /// It as a real image of a set at `root`.
    pub(super) fn into_image(self, root: &Path) -> RealImage {
        let metadata = self.metadata;
        RealImage { metadata, ..RealImage::file(id(root, &self.path), self.path) }
    }
}

/// The pictures in `folder` and below, in the order of the bytes of their paths. What is no picture is
/// noted; `root` is where the data set begins.
pub(super) fn pictures(root: &Path, folder: &Path, notes: &mut Notes) -> Result<Vec<PictureFile>> {
    let mut found = Vec::new();
    for met in Tree::open(folder)? {
        match met {
            Found::Picture(picture) => {
                let (path, metadata) = (picture.path, picture.metadata);
                found.push(PictureFile { path, metadata });
            }
            Found::Rejected(_, problem) => {
                notes.count("files that cannot be read", problem.chain().to_string());
            }
            Found::LeftOut(kind, path) => notes.count(name_of(kind), id(root, &path)),
        }
    }
    found.sort_by(|one, other| bytes(&one.path).cmp(bytes(&other.path)));
    Ok(found)
}

fn name_of(kind: LeftOutKind) -> &'static str {
    match kind {
        LeftOutKind::System => "files that systems and programs leave behind",
        LeftOutKind::Hidden => "hidden files and folders",
        LeftOutKind::WithoutPicture => "texts without a picture",
        LeftOutKind::Other => "files that are no pictures",
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// The folders directly in `folder`, also by links, in the order of the bytes of their names. Hidden ones
/// are no part of a data set.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = crate::folder::walk::list(folder)?
        .into_iter()
        .filter(|path| left_out(&name(path)).is_none() && path.is_dir())
        .collect();
    folders.sort_by(|one, other| bytes(one).cmp(bytes(other)));
    Ok(folders)
}

/// The name of what is at `path`, as text.
pub(super) fn name(path: &Path) -> String {
    path_text(Path::new(path.file_name().unwrap_or(OsStr::new("")))).into_owned()
}

/// `name`, of a folder or of a list, as it stands in a prompt: `_` is a space.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The bytes of the list at `path`; none where there is nothing.
pub(super) fn list(path: &Path) -> Result<Option<Vec<u8>>> {
    read::read(path, MAX_LIST)
}

/// The bytes of the list at `path`, which must be there.
pub(super) fn required(path: &Path) -> Result<Vec<u8>> {
    list(path)?.ok_or_else(|| Error::io(path, ErrorKind::NotFound.into()))
}

/// One line of a list.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: String,
}

impl Line {
    /// The two parts of it before and behind the first space or tab.
    pub(super) fn pair(&self, path: &Path, expected: &str) -> Result<(&str, &str)> {
        let parts = self.text.split_once([' ', '\t']);
        let parts = parts.map(|(first, second)| (first.trim(), second.trim()));
        let parts = parts.filter(|(_, second)| !second.is_empty());
        parts.ok_or_else(|| self.invalid(path, expected))
    }

    /// Its place in the list at `path`.
    pub(super) const fn at<'a>(&self, path: &'a Path) -> Place<'a> {
        Place { file: path, unit: "line", number: self.number as u64 }
    }

    /// That `expected` stands here, in the list at `path`.
    pub(super) fn invalid(&self, path: &Path, expected: &str) -> Error {
        self.at(path).invalid(expected, &self.text)
    }
}

/// The same lines, where each counts, so that none between two others may be empty.
pub(super) fn without_gaps(path: &Path, lines: Vec<Line>) -> Result<Vec<Line>> {
    match lines.iter().enumerate().find(|(at, line)| line.number != at + 1) {
        Some((at, line)) => {
            let gap = Place { number: at as u64 + 1, ..line.at(path) };
            Err(gap.invalid("an entry, as lines are counted", "nothing"))
        }
        None => Ok(lines),
    }
}

/// The lines of the list at `path` that are not empty.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub(super) fn lines(path: &Path) -> Result<Vec<Line>> {
    let bytes = required(path)?;
    Ok(text_lines(&lenient::text(&bytes)))
}

/// The same of a list that has at least one.
pub(super) fn some_lines(path: &Path) -> Result<Vec<Line>> {
    let lines = lines(path)?;
    match lines.is_empty() {
        true => Err(Error::invalid_file(path, "lines", "at least one", "none")),
        false => Ok(lines),
    }
}

/// The lines of `text` that are not empty.
pub(super) fn text_lines(text: &str) -> Vec<Line> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, text)| !text.is_empty());
    lines.map(|(at, text)| Line { number: at + 1, text: text.to_owned() }).collect()
}

/// The first of `folders` below `root`, or `root` itself as `""`, that holds all of `needed`.
pub(super) fn holding(root: &Path, folders: &[&str], needed: &[&str]) -> Option<PathBuf> {
    let folders = folders.iter().map(|folder| match *folder {
        "" => root.to_owned(),
        folder => root.join(folder),
    });
    folders.into_iter().find(|folder| needed.iter().all(|file| folder.join(file).exists()))
}

/// That `looked_for` is not at `path`: it says what is there instead.
pub(super) fn nothing_there(path: &Path, looked_for: &str) -> Error {
    match fs::metadata(path) {
        Err(source) => Error::io(path, source),
        Ok(_) => Error::invalid_file(path, "data set", looked_for, content(path, 1)),
    }
}

/// What is in the folder at `path`, and `below` it in its folders: names, of many the first.
fn content(path: &Path, below: usize) -> String {
    const FIRST: usize = 12;
    let Ok(entries) = fs::read_dir(path) else { return "a file".to_owned() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    if paths.is_empty() {
        return "nothing".to_owned();
    }
    let names = paths.iter().take(FIRST).map(|path| match (path.is_dir(), below) {
        (false, _) => name(path),
        (true, 0) => format!("{}/", name(path)),
        (true, below) => format!("{}/ with {}", name(path), content(path, below - 1)),
    });
    // What is in a folder is told apart from what is beside it.
    let between = if below > 0 && paths.iter().any(|path| path.is_dir()) { "; " } else { ", " };
    let more = if paths.len() > FIRST { between.to_owned() + "…" } else { String::new() };
    names.collect::<Vec<_>>().join(between) + &more
}
