//! WebDataset shards, as img2dataset writes them, to the images in them, one after the other.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::samples::{Role, roles};
use super::shards::{self, Shards};
use super::tar_table::{Member, TarTable};
use super::{Content, Item, rejected, tally};
use crate::folder::kind::{self, Text, claims_to_be_picture};
use crate::folder::pairing::{base, key};
use crate::folder::{Description, LeftOut, LeftOutKind, MAX_TEXT};
use crate::gallery::{Pixels, Rejected};
use crate::image::format::HEAD;
use crate::path_text::{member_text, path_text};
use crate::{Error, Result};

/// The images of WebDataset shards: uncompressed `.tar` archives in which the members
/// `000000123.jpg`, `000000123.txt` and `000000123.json` are one sample, wherever they are in the
/// archive.
///
/// The caption comes from `.txt` or `.caption`, other metadata from `.json`. The names of pictures,
/// and what is left out, are as for a [`Folder`](super::Folder). The key of a sample ends at the
/// first dot of the file's name: `000.json` is also about `000.image.jpg`, if that is the only
/// picture with the key `000`.
///
/// No image gets the license of another one. Members of one name, such as two `000.jpg`, are
/// rejected by name with their texts; a text that could be about two pictures is about none, and so
/// is metadata whose `key` is that of another sample. Each of these, and metadata that is not
/// understood, is rejected by name, and the picture comes without it.
///
/// Nothing is unpacked: the pixels stay in the shard, so that compressed shards are rejected. A shard
/// that is cut short loses what is behind the cut, and the image before it where its sample is not
/// whole; links, devices, sparse files, and names that lead out of the archive are refused; each is
/// named, and so is what follows the end of the archive, such as a second one, which is not read. The
/// source of a member is `SHARD.tar#MEMBER`. In memory is the table of one shard, of at
/// most 4,194,304 members.
#[derive(Debug)]
pub struct WebDataset {
    /// Shards that are still to be opened.
    shards: VecDeque<PathBuf>,
    shard: PathBuf,
    file: Option<File>,
    members: Vec<Member>,
    /// What is in the open shard and still to come.
    found: VecDeque<Found>,
    /// Images that are still to come, where the shards' statistics say so.
    left: Option<usize>,
    left_out: LeftOut,
}

/// One thing that is in a shard, or beside it.
#[derive(Debug)]
enum Found {
    /// A member, and the texts about it, by their places in the table.
    Picture(usize, Vec<usize>),
    Rejected(Rejected),
    LeftOut(LeftOutKind, String),
}

impl WebDataset {
    /// The shards at `path`: one `.tar` file, or those directly in a folder, in the order of their
    /// names. Pictures beside the shards are rejected, and other files left out.
    ///
    /// # Errors
    /// [`Error::Io`] when `path` cannot be read; [`Error::InvalidInput`] when there is no shard.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let Shards { shards, rejected, left_out } = Shards::at(path.as_ref())?;
        let mut reader = Self::of(shards);
        reader.found.extend(rejected.into_iter().map(Found::Rejected));
        reader.found.extend(left_out.into_iter().map(|(kind, name)| Found::LeftOut(kind, name)));
        Ok(reader)
    }

    /// What is in `shards`.
    pub(super) fn of(shards: Vec<PathBuf>) -> Self {
        Self {
            left: shards.iter().map(|shard| shards::successes(shard)).sum(),
            shards: shards.into(),
            shard: PathBuf::new(),
            file: None,
            members: Vec::new(),
            found: VecDeque::new(),
            left_out: LeftOut::default(),
        }
    }

    /// The files and members that were left out so far, by kind.
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    pub(super) fn into_left_out(self) -> LeftOut {
        self.left_out
    }

    /// Reads the table of the next shard.
    fn open_shard(&mut self, shard: PathBuf) -> Result<()> {
        let TarTable { members, refused, cut, behind } = TarTable::read(&shard)?;
        let io = |source| Error::io(&shard, source);
        let mut file = File::open(&shard).map_err(io)?;
        let names: Vec<&str> = refused.iter().map(|(name, _)| &**name).collect();
        let mut roles = roles(&members, &names, |member| head(&mut file, member)).map_err(io)?;
        let cut = cut.map(|reason| match partial(&mut roles) {
            // The last sample may lack what came behind the cut: its license above all.
            Some(lost) => {
                let names: Vec<&str> = lost.iter().map(|&at| &*members[at].name).collect();
                let mut cut = rejected(member_text(&shard, names[0]), reason);
                let names = names.join(" and ");
                cut.reason +=
                    &format!("; {names} not taken in, for a part of the sample may be lost");
                cut
            }
            None => rejected(path_text(&shard), reason),
        });
        let behind = behind.map(|reason| rejected(path_text(&shard), reason));
        let member_found = |(at, role): (usize, Role)| {
            let name: &str = &members[at].name;
            match role {
                Role::Picture { texts } => Some(Found::Picture(at, texts)),
                Role::Text => None,
                Role::LeftOut(kind) => Some(Found::LeftOut(kind, member_text(&shard, name))),
                Role::Refused { expected, found } => {
                    let reason = Error::invalid_file(&shard, name, expected, found);
                    Some(Found::Rejected(rejected(member_text(&shard, name), reason)))
                }
            }
        };
        self.found = roles.into_iter().enumerate().filter_map(member_found).collect();
        let refused = refused.into_iter();
        let refused = refused.map(|(name, reason)| rejected(member_text(&shard, &name), reason));
        self.found.extend(refused.chain(cut).chain(behind).map(Found::Rejected));
        (self.file, self.members, self.shard) = (Some(file), members, shard);
        Ok(())
    }

    /// The image of a sample, after what of its texts is not understood.
    fn describe(&mut self, picture: usize, texts: &[usize]) -> Result<Item, Rejected> {
        let member = self.members[picture].clone();
        let (source, pixels) = located(&self.shard, &member);
        let (mut description, mut read_from) = (Description::default(), Vec::new());
        for &text in texts {
            let text = self.members[text].clone();
            let kind = kind::text(&text.name).unwrap_or(Text::Txt);
            let said = self.read_text(&text).and_then(|bytes| {
                let place = (&*self.shard, &*text.name);
                description.add(kind, &bytes, base(key(&member.name)), place)
            });
            let text = member_text(&self.shard, &text.name);
            match said {
                Ok(()) => read_from.push((kind, text)),
                Err(reason) => self.found.push_front(Found::Rejected(rejected(text, reason))),
            }
        }
        let (metadata, problem) = description.metadata(&member.name, &self.shard);
        if let Some(problem) = problem {
            // The last of those that may have a license.
            let json = read_from.iter().rposition(|(kind, _)| *kind == Text::Json);
            let from = json.map(|at| read_from.remove(at).1);
            let from = from.unwrap_or_else(|| path_text(&self.shard).into_owned());
            self.found.push_front(Found::Rejected(rejected(from, problem)));
        }
        let read_from = read_from.into_iter().map(|(_, text)| text).collect();
        let item = Item::new(source, Content::At(pixels)).with_metadata(metadata);
        Ok(item.read_from(read_from))
    }

    fn read_text(&mut self, member: &Member) -> Result<Vec<u8>> {
        let io = |source| Error::io(&self.shard, source);
        if member.length > MAX_TEXT {
            let (what, expected) = (&*member.name, format!("at most {MAX_TEXT} bytes"));
            return Err(Error::invalid_file(&self.shard, what, expected, member.length));
        }
        let mut bytes = vec![0; member.length as usize];
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(member.offset)).map_err(io)?;
            file.read_exact(&mut bytes).map_err(io)?;
        }
        Ok(bytes)
    }
}

impl Iterator for WebDataset {
    type Item = Result<Item, Rejected>;

    fn next(&mut self) -> Option<Result<Item, Rejected>> {
        loop {
            match self.found.pop_front() {
                Some(Found::Picture(picture, texts)) => {
                    self.left = self.left.map(|left| left.saturating_sub(1));
                    return Some(self.describe(picture, &texts));
                }
                Some(Found::Rejected(rejection)) => return Some(Err(rejection)),
                Some(Found::LeftOut(kind, name)) => tally::note(&mut self.left_out, kind, name),
                None => {
                    let shard = self.shards.pop_front()?;
                    let source = path_text(&shard).into_owned();
                    if let Err(reason) = self.open_shard(shard) {
                        return Some(Err(rejected(source, reason)));
                    }
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.left)
    }
}

/// The pictures in the shards at `path`, by key: their sources and where their pixels are; nothing
/// for a key that several pictures have. What cannot be read is left out.
pub(super) fn pictures(path: &Path) -> Result<HashMap<String, Option<(String, Pixels)>>> {
    let mut pictures = HashMap::new();
    for shard in Shards::at(path)?.shards {
        let TarTable { members, refused, .. } = TarTable::read(&shard)?;
        let io = |source| Error::io(&shard, source);
        let mut file = File::open(&shard).map_err(io)?;
        let names: Vec<&str> = refused.iter().map(|(name, _)| &**name).collect();
        let roles = roles(&members, &names, |member| head(&mut file, member)).map_err(io)?;
        for (member, role) in members.iter().zip(roles) {
            let is_picture = match role {
                Role::Picture { .. } => true,
                // One of several of this name.
                Role::Refused { .. } => claims_to_be_picture(&member.name),
                _ => false,
            };
            if is_picture {
                let several = pictures.entry(key(&member.name).to_owned());
                several.and_modify(|one| *one = None).or_insert(Some(located(&shard, member)));
            }
        }
    }
    Ok(pictures)
}

/// The source of a picture in `shard`, and where its pixels are.
fn located(shard: &Path, picture: &Member) -> (String, Pixels) {
    let (archive, offset, length) = (shard.to_owned(), picture.offset, picture.length);
    (member_text(shard, &picture.name), Pixels::Member { archive, offset, length })
}

/// The last picture and its texts, if its sample may go on behind a cut: it has fewer texts than the
/// first. It is taken out with them, to be named with the cut.
fn partial(roles: &mut [Role]) -> Option<Vec<usize>> {
    let texts = |role: &Role| match role {
        Role::Picture { texts } => Some(texts.clone()),
        _ => None,
    };
    let last = roles.iter().rposition(|role| texts(role).is_some())?;
    let first = roles.iter().position(|role| texts(role).is_some()).filter(|first| *first < last);
    let (of_first, of_last) = (first.and_then(|first| texts(&roles[first])), texts(&roles[last])?);
    if of_first.is_some_and(|first| of_last.len() >= first.len()) {
        return None;
    }
    roles[last] = Role::Text;
    Some([vec![last], of_last].concat())
}

/// The first bytes of `member`, as many as tell a format.
fn head(file: &mut File, member: &Member) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(member.offset))?;
    file.take(member.length.min(HEAD as u64)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of the members that end with `.{ending}` in the shards at `path`, by shard and key: what is
/// said of samples and is no caption or metadata. What is longer than any of it is left out.
///
/// # Errors
/// [`Error::Io`]; [`Error::InvalidFile`] when two of a shard have one key.
#[cfg(feature = "evaluation")]
pub(crate) fn texts(path: &Path, ending: &str) -> Result<HashMap<(PathBuf, String), Vec<u8>>> {
    let mut texts = HashMap::new();
    for shard in Shards::at(path)?.shards {
        let Ok(table) = TarTable::read(&shard) else { continue }; // The reader of pictures says why.
        let mut file = File::open(&shard).map_err(|source| Error::io(&shard, source))?;
        let is_one = |member: &&Member| {
            let found = member.name.rsplit_once('.').map(|(_, ending)| ending);
            found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
                && member.length <= MAX_TEXT
        };
        for member in table.members.iter().filter(is_one) {
            let mut bytes = vec![0; member.length as usize];
            let read = file.seek(SeekFrom::Start(member.offset));
            let read = read.and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|source| Error::io(&shard, source))?;
            let key = key(&member.name).to_owned();
            if texts.insert((shard.clone(), key.clone()), bytes).is_some() {
                let (what, expected) = (format!("sample {key}"), format!("one .{ending} member"));
                return Err(Error::invalid_file(shard, what, expected, "two"));
            }
        }
    }
    Ok(texts)
}
