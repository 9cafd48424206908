//! A folder to the file in it that holds its weights, and an index of shards to their paths.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::json::{read_json, require};
use crate::weight_name::{CHECKPOINTS, WeightKind, WeightName};
use crate::{Error, Result};

/// How files of other formats end, of which none is read.
const FOREIGN: [&str; 4] = [".msgpack", ".h5", ".gguf", ".onnx"];
/// Those that hold Python's pickles.
const PICKLED: [&str; 4] = [".bin", ".ckpt", ".pt", ".pth"];
/// The most files that an error names.
const NAMED: usize = 8;

/// The weights in `folder`: a safetensors file, or the index of its shards. Of several, `variant`
/// comes first where it is there, and then the order is that of [`WeightName::rank`]. Of one variant,
/// diffusers' name comes before transformers', and a whole file before shards.
pub(crate) fn choose(folder: &Path, variant: Option<&str>) -> Result<PathBuf> {
    let io = |source| Error::io(folder, source);
    let mut names = Vec::new();
    for entry in folder.read_dir().map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        // No name of ours holds what is not UTF-8.
        names.extend(name.to_str().filter(|name| folder.join(name).is_file()).map(str::to_owned));
    }
    names.sort_unstable();
    let candidates = names.iter().filter_map(|name| {
        let weight = WeightName::parse(name)?;
        let stem = CHECKPOINTS.iter().position(|stem| *stem == weight.stem)?;
        let is_checkpoint = matches!(weight.kind, WeightKind::Whole | WeightKind::Index);
        is_checkpoint.then_some((weight.rank(variant), stem, weight.kind, name))
    });
    let chosen = candidates.min().map(|(.., name)| folder.join(name));
    chosen.ok_or_else(|| lacking(folder, &names))
}

/// The variant that the name of the file of `weights` tells; empty for those without one.
pub(crate) fn variant_of(weights: &Path) -> &str {
    let name = weights.file_name().and_then(|name| name.to_str());
    name.and_then(WeightName::parse).map_or("", |weight| weight.variant)
}

/// The error of a folder with the files `names` and no weights of ours.
fn lacking(folder: &Path, names: &[String]) -> Error {
    let is_one_of = |name: &str, endings: &[&str]| endings.iter().any(|end| name.ends_with(end));
    let weights = names.iter().map(String::as_str).filter(|name| {
        WeightName::parse(name).is_some() || is_one_of(name, &FOREIGN) || is_one_of(name, &PICKLED)
    });
    let weights: Vec<_> = weights.collect();
    let found = match weights.len() {
        0 => "none of them".to_owned(),
        1..=NAMED => format!("only {}", weights.join(", ")),
        more => format!("only {} and {} more", weights[..NAMED].join(", "), more - NAMED),
    };
    let why = if weights.iter().any(|name| is_one_of(name, &PICKLED)) {
        ". Pickles can run code when they are read: convert them to safetensors"
    } else if weights.iter().any(|name| name.contains("-of-")) {
        ". Shards are read by their index, MODEL.safetensors.index.json"
    } else {
        ""
    };
    let [first, second] = CHECKPOINTS;
    let expected = format!(
        "{first}.safetensors or {second}.safetensors, of any variant, such as \
         {second}.fp16.safetensors, or shards with {second}.safetensors.index.json"
    );
    Error::invalid_file(folder, "weights", expected, found + why)
}

/// The index of a checkpoint's shards.
pub(crate) struct Index {
    /// The shards, sorted by name.
    pub(crate) shards: Vec<PathBuf>,
    /// Each tensor that is listed, with the position of its shard.
    pub(crate) tensors: BTreeMap<String, usize>,
}

impl Index {
    /// The index at `path`. Shards are beside it or in folders below.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            weight_map: BTreeMap<String, String>,
        }
        let File { weight_map } = read_json(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut shards = BTreeMap::new();
        for name in weight_map.values() {
            shards.insert(name, folder.join(within(path, name)?));
        }
        let mut paths: Vec<_> = shards.values().cloned().collect();
        paths.sort_unstable();
        paths.dedup();
        let tensors = weight_map.iter().map(|(tensor, name)| {
            let at = paths.binary_search(&shards[&name]).unwrap_or_default();
            (tensor.clone(), at)
        });
        Ok(Self { tensors: tensors.collect(), shards: paths })
    }
}

/// The path that `name`, of a shard in the index at `index`, means below the folder of the index.
/// Windows' separators are separators everywhere.
fn within(index: &Path, name: &str) -> Result<PathBuf> {
    let slashed = name.replace('\\', "/");
    let parts = || Path::new(&slashed).components().filter(|part| *part != Component::CurDir);
    let is_drive = slashed.as_bytes().get(1) == Some(&b':');
    let stays = parts().all(|part| matches!(part, Component::Normal(_)));
    let holds = stays && !is_drive && parts().next().is_some();
    require(index, "name of a shard", holds, "a file in the folder of the index", name)?;
    Ok(parts().collect())
}
