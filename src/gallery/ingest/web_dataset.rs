//! WebDataset shards, as img2dataset writes them, to the images in them, one after the other.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fields::metadata;
use super::tar_table::{Member, TarTable};
use super::{Content, Item, list, rejected};
use crate::gallery::{Pixels, Rejected};
use crate::image::EXTENSIONS;
use crate::{Error, Result};

/// The most that is read of a caption or metadata file, in bytes.
const MAX_TEXT: u64 = 4 << 20;

/// The images of WebDataset shards: uncompressed `.tar` archives in which the members
/// `000000123.jpg`, `000000123.txt` and `000000123.json`, one after the other, are one sample.
///
/// The caption comes from `.txt`, other metadata from `.json`. Nothing is unpacked: the pixels stay
/// in the shard. A shard that is cut short loses what is behind the cut, and the image before it
/// where its sample is not whole; links, devices, and names that lead out of the archive are
/// refused; each is named. In memory is the table of one shard.
#[derive(Debug)]
pub struct WebDataset {
    /// Shards that are still to be opened.
    shards: VecDeque<PathBuf>,
    shard: PathBuf,
    file: Option<File>,
    samples: VecDeque<Sample>,
    rejected: VecDeque<Rejected>,
    /// Images that are still to come, where the shards' statistics say so.
    left: Option<usize>,
}

/// The members of one sample, by their place in the shard.
#[derive(Debug)]
struct Sample {
    key: String,
    /// Endings, in lower case, with their members.
    members: Vec<(String, Member)>,
}

impl WebDataset {
    /// The shards at `path`: one `.tar` file, or those directly in a folder, in the order of their
    /// names.
    ///
    /// # Errors
    /// [`Error::Io`] when `path` cannot be read; [`Error::InvalidInput`] when there is no shard.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let shards = shards(path.as_ref())?;
        let left = shards.iter().map(|shard| successes(shard)).sum();
        Ok(Self {
            shards: shards.into(),
            shard: PathBuf::new(),
            file: None,
            samples: VecDeque::new(),
            rejected: VecDeque::new(),
            left,
        })
    }

    /// Reads the table of the next shard.
    fn open_shard(&mut self, shard: PathBuf) -> Result<()> {
        let table = TarTable::read(&shard)?;
        self.file = Some(File::open(&shard).map_err(|source| Error::io(&shard, source))?);
        self.shard = shard;
        let reject = |(name, reason): (String, Error)| rejected(source(&self.shard, &name), reason);
        self.rejected = table.refused.into_iter().map(reject).collect();
        self.samples = group(table.members);
        if let Some(reason) = table.cut {
            // The last sample may lack what came behind the cut: its license above all.
            let first = (self.samples.len() > 1).then(|| self.samples[0].members.len());
            let lacks = |last: &Sample| first.is_none_or(|first| last.members.len() < first);
            let partial = self.samples.back().is_some_and(lacks);
            let last = if partial { self.samples.pop_back() } else { None };
            let name = last.map(|sample| source(&self.shard, &sample.key));
            let source = name.unwrap_or_else(|| self.shard.display().to_string());
            self.rejected.push_back(rejected(source, reason));
        }
        Ok(())
    }

    /// The image of a sample; none where it has no picture.
    fn describe(&mut self, sample: Sample) -> Option<Result<Item, Rejected>> {
        let (source, pixels) = located(&self.shard, sample.picture()?);
        Some(match self.read_fields(&sample) {
            Ok(fields) => {
                Ok(Item::new(source, Content::At(pixels)).with_metadata(metadata(fields)))
            }
            Err(reason) => Err(rejected(source, reason)),
        })
    }

    fn read_fields(&mut self, sample: &Sample) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        for (ending, member) in &sample.members {
            match ending.as_str() {
                "json" => {
                    // What the caption file said goes first.
                    let caption = fields.remove("caption");
                    fields = serde_json::from_str(&self.read_text(member)?).map_err(|error| {
                        Error::invalid_file(&self.shard, &*member.name, "a JSON object", error)
                    })?;
                    fields.extend(caption.map(|caption| ("caption".to_owned(), caption)));
                }
                "txt" => {
                    let caption = self.read_text(member)?;
                    if !caption.trim().is_empty() {
                        fields.insert("caption".to_owned(), caption.into());
                    }
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn read_text(&mut self, member: &Member) -> Result<String> {
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
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Iterator for WebDataset {
    type Item = Result<Item, Rejected>;

    fn next(&mut self) -> Option<Result<Item, Rejected>> {
        loop {
            if let Some(sample) = self.samples.pop_front() {
                if let Some(found) = self.describe(sample) {
                    self.left = self.left.map(|left| left.saturating_sub(1));
                    return Some(found);
                }
            } else if let Some(rejection) = self.rejected.pop_front() {
                return Some(Err(rejection));
            } else {
                let shard = self.shards.pop_front()?;
                let source = shard.display().to_string();
                if let Err(reason) = self.open_shard(shard) {
                    return Some(Err(rejected(source, reason)));
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.left)
    }
}

/// The shards at `path`, in the order of their names; at least one.
fn shards(path: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::io(path, source);
    let absolute = std::path::absolute(path).map_err(io)?;
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![absolute]);
    }
    let mut paths = list(&absolute)?;
    paths.retain(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar")));
    if paths.is_empty() {
        let found = format!("none in {}", path.display());
        return Err(Error::invalid_input("shards", "at least one .tar file", found));
    }
    Ok(paths)
}

/// The pictures in the shards at `path`, by key: their sources and where their pixels are. What
/// cannot be read is left out.
pub(super) fn pictures(path: &Path) -> Result<HashMap<String, (String, Pixels)>> {
    let mut pictures = HashMap::new();
    for shard in shards(path)? {
        for sample in group(TarTable::read(&shard)?.members) {
            let picture = sample.picture().map(|picture| located(&shard, picture));
            pictures.extend(picture.map(|picture| (sample.key, picture)));
        }
    }
    Ok(pictures)
}

/// The source of a picture in `shard`, and where its pixels are.
fn located(shard: &Path, picture: &Member) -> (String, Pixels) {
    let (archive, offset, length) = (shard.to_owned(), picture.offset, picture.length);
    (source(shard, &picture.name), Pixels::Member { archive, offset, length })
}

/// A member's source.
fn source(shard: &Path, member: &str) -> String {
    format!("{}#{member}", shard.display())
}

impl Sample {
    fn picture(&self) -> Option<&Member> {
        let picture = self.members.iter().find(|(e, _)| EXTENSIONS.contains(&e.as_str()));
        picture.map(|(_, member)| member)
    }
}

/// Members that follow each other under one key; it ends at the first dot of the file's name.
fn group(members: Vec<Member>) -> VecDeque<Sample> {
    let mut samples: VecDeque<Sample> = VecDeque::new();
    for member in members {
        let base = member.name.rfind('/').map_or(0, |slash| slash + 1);
        let Some(dot) = member.name[base..].find('.') else { continue };
        let (key, ending) = member.name.split_at(base + dot);
        let (key, ending) = (key.to_owned(), ending[1..].to_lowercase());
        match samples.back_mut().filter(|sample| sample.key == key) {
            Some(sample) => sample.members.push((ending, member)),
            None => samples.push_back(Sample { key, members: vec![(ending, member)] }),
        }
    }
    samples
}

/// The images of a shard, as img2dataset's statistics beside it say.
fn successes(shard: &Path) -> Option<usize> {
    let name = format!("{}_stats.json", shard.file_stem()?.to_str()?);
    let text = std::fs::read_to_string(shard.with_file_name(name)).ok()?;
    let statistics: Value = serde_json::from_str(&text).ok()?;
    usize::try_from(statistics.get("successes")?.as_u64()?).ok()
}
