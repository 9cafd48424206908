//! The names of a repository's files to those that our loaders read, each tensor once.

use std::collections::BTreeMap;

/// Weights under these names are the folder's checkpoint; others beside them are copies of it.
const CHECKPOINTS: [&str; 2] = ["diffusion_pytorch_model", "model"];
/// Folders of other runtimes.
const FOREIGN: [&str; 5] = ["onnx", "openvino", "flax", "coreml", "tensorrt"];

/// Weights of one folder, by stem.
type Stems<'a> = BTreeMap<&'a str, Vec<(&'a str, Weight<'a>)>>;

/// One name taken apart: `FOLDER/STEM[.fp16][-00001-of-00003].safetensors`.
#[derive(Debug, PartialEq)]
struct Weight<'a> {
    folder: &'a str,
    stem: &'a str,
    half: bool,
    /// Which of how many, from 1.
    shard: Option<(usize, usize)>,
}

impl<'a> Weight<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let stem = file.strip_suffix(".safetensors")?;
        // Both orders are in use: `x.fp16-00001-of-00002` and `x-00001-of-00002.fp16`.
        let (stem, half_after) = without_half(stem);
        let (stem, shard) = without_shard(stem);
        let (stem, half_before) = without_half(stem);
        Some(Self { folder, stem, half: half_after || half_before, shard })
    }
}

fn without_half(stem: &str) -> (&str, bool) {
    stem.strip_suffix(".fp16").map_or((stem, false), |stem| (stem, true))
}

fn without_shard(stem: &str) -> (&str, Option<(usize, usize)>) {
    let parsed = || {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (rest, number) = rest.rsplit_once('-')?;
        Some((rest, (number.parse().ok()?, count.parse().ok()?)))
    };
    parsed().map_or((stem, None), |(rest, shard)| (rest, Some(shard)))
}

/// The files among `names` that a loader reads. `components` are the folders that `model_index.json`
/// names, where there is one; `half` prefers the `fp16` variant where both are there.
pub(super) fn select<'a>(
    names: &[&'a str],
    components: Option<&[String]>,
    half: bool,
) -> Vec<&'a str> {
    let wanted = |name: &&&str| {
        let folder = name.split_once('/').map(|(folder, _)| folder);
        let ours = !name.split('/').any(|part| part.starts_with('.') || FOREIGN.contains(&part));
        ours && match components {
            Some(components) => match folder {
                Some(folder) => components.iter().any(|component| component == folder),
                None => **name == "model_index.json",
            },
            None => true,
        }
    };
    let names: Vec<&str> = names.iter().filter(wanted).copied().collect();

    // 1. Settings and vocabularies, without the indices of weights.
    let is_text = |name: &str| {
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        matches!(kind, Some("json" | "txt" | "model")) && !name.contains(".index.")
    };
    let mut chosen: Vec<&str> = names.iter().copied().filter(|name| is_text(name)).collect();

    // 2. Weights, by folder and stem.
    let mut folders: BTreeMap<&str, Stems<'_>> = BTreeMap::new();
    for name in &names {
        if let Some(weight) = Weight::parse(name) {
            let stems = folders.entry(weight.folder).or_default();
            stems.entry(weight.stem).or_default().push((name, weight));
        }
    }
    for stems in folders.values() {
        let checkpoint = CHECKPOINTS.iter().find_map(|stem| stems.get_key_value(stem));
        let stems: Vec<_> = checkpoint.map_or_else(|| stems.iter().collect(), |one| vec![one]);
        for (stem, files) in stems {
            for name in variant(files, half) {
                chosen.push(name);
                if let Some(index) = Weight::parse(name).and_then(|weight| index(&weight, stem)) {
                    chosen.extend(names.iter().find(|name| **name == index));
                }
            }
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The one variant of a stem's files that is complete, best first; a whole file before shards.
fn variant<'a>(files: &[(&'a str, Weight<'_>)], half: bool) -> Vec<&'a str> {
    for half in [half, !half] {
        let of_half = || files.iter().filter(move |(_, weight)| weight.half == half);
        if let Some((name, _)) = of_half().find(|(_, weight)| weight.shard.is_none()) {
            return vec![name];
        }
        let shards: Vec<_> =
            of_half().filter_map(|(name, weight)| Some((name, weight.shard?))).collect();
        let count = shards.first().map_or(0, |(_, (_, count))| *count);
        let numbers = || shards.iter().map(|(_, (number, _))| *number);
        if count > 0 && (1..=count).all(|wanted| numbers().any(|number| number == wanted)) {
            return shards.into_iter().map(|(name, _)| *name).collect();
        }
    }
    Vec::new()
}

/// The name of the index of a shard.
fn index(weight: &Weight<'_>, stem: &str) -> Option<String> {
    weight.shard?;
    let folder =
        if weight.folder.is_empty() { String::new() } else { format!("{}/", weight.folder) };
    let half = if weight.half { ".fp16" } else { "" };
    Some(format!("{folder}{stem}.safetensors.index{half}.json"))
}

/// What a loader would miss among the selected files: a component without files, or a model's
/// settings without its weights.
pub(super) fn missing(selected: &[&str], components: Option<&[String]>) -> Option<String> {
    let folder = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    for component in components.unwrap_or_default() {
        if !selected.iter().any(|name| folder(name) == *component) {
            return Some(format!("files in {component}/"));
        }
    }
    for name in selected {
        if name.rsplit('/').next() != Some("config.json") {
            continue;
        }
        let folder = folder(name);
        let weights = selected.iter().filter_map(|name| Weight::parse(name));
        if !weights.into_iter().any(|weight| weight.folder == folder) {
            let folder = if folder.is_empty() { folder } else { format!("{folder}/") };
            return Some(format!("{folder}*.safetensors"));
        }
    }
    selected.is_empty().then(|| "safetensors, json or txt files".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_diffusers_repository_gives_its_components_once() {
        // As in stabilityai/stable-diffusion-xl-base-1.0, shortened.
        let names = [
            ".gitattributes",
            "LICENSE.md",
            "README.md",
            "model_index.json",
            "01.png",
            "sd_xl_base_1.0.safetensors",
            "sd_xl_offset_example-lora_1.0.safetensors",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/flax_model.msgpack",
            "text_encoder/model.fp16.safetensors",
            "text_encoder/model.onnx",
            "text_encoder/model.safetensors",
            "text_encoder/openvino_model.xml",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/model.onnx_data",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "vae_1_0/config.json",
            "vae_1_0/diffusion_pytorch_model.safetensors",
            "vae_decoder/config.json",
            "vae_decoder/model.onnx",
        ];
        let components = components(&["scheduler", "text_encoder", "tokenizer", "unet", "vae"]);
        let half = select(&names, Some(&components), true);
        assert_eq!(
            half,
            [
                "model_index.json",
                "scheduler/scheduler_config.json",
                "text_encoder/config.json",
                "text_encoder/model.fp16.safetensors",
                "tokenizer/merges.txt",
                "tokenizer/vocab.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model.fp16.safetensors",
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
            ]
        );
        assert_eq!(missing(&half, Some(&components)), None);
        let full = select(&names, Some(&components), false);
        assert!(full.contains(&"unet/diffusion_pytorch_model.safetensors"));
        assert!(!full.iter().any(|name| name.contains("fp16")));
    }

    #[test]
    fn shards_come_with_their_index_and_only_whole_sets() {
        let names = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.fp16-00001-of-00002.safetensors",
            "model.safetensors.index.fp16.json",
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
            "pytorch_model.bin",
        ];
        // One half-precision shard is not there.
        let chosen = select(&names, None, true);
        assert_eq!(
            chosen,
            [
                "config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
            ]
        );
        let names = [
            "u/config.json",
            "u/diffusion_pytorch_model-00001-of-00001.fp16.safetensors",
            "u/diffusion_pytorch_model.safetensors.index.fp16.json",
        ];
        assert_eq!(select(&names, None, false), {
            let mut all = names;
            all.sort_unstable();
            all
        });
    }

    #[test]
    fn copies_beside_a_checkpoint_are_left_out() {
        let names =
            ["config.json", "model.safetensors", "open_clip_model.safetensors", "onnx/model.onnx"];
        assert_eq!(select(&names, None, true), ["config.json", "model.safetensors"]);
        let adapters = ["ip-adapter-plus_sdxl_vit-h.safetensors", "ip-adapter_sdxl.bin"];
        assert_eq!(select(&adapters, None, true), [adapters[0]]);
    }

    #[test]
    fn a_model_without_weights_is_missed() {
        let missed = |names: &[&str]| missing(&select(names, None, true), None);
        let only_bin = ["config.json", "pytorch_model.bin"];
        assert_eq!(missed(&only_bin).as_deref(), Some("*.safetensors"));
        assert_eq!(missed(&["README.md"]).as_deref(), Some("safetensors, json or txt files"));
        assert_eq!(missed(&["tokenizer.json"]), None);
        let components = components(&["unet", "vae"]);
        let there = ["model_index.json", "unet/config.json", "unet/model.safetensors"];
        assert_eq!(missing(&there, Some(&components)).as_deref(), Some("files in vae/"));
    }
}
