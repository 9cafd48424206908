//! The names of a repository's files to those that our loaders read, each tensor once.

use std::collections::BTreeMap;

use crate::weight_name::{CHECKPOINTS, WeightKind, WeightName};

/// Folders of other runtimes.
const FOREIGN: [&str; 5] = ["onnx", "openvino", "flax", "coreml", "tensorrt"];

/// Weights of one folder, by stem.
type Stems<'a> = BTreeMap<&'a str, Vec<(&'a str, WeightName<'a>)>>;

/// The folder of a file, and what its name says of weights.
fn parse(name: &str) -> Option<(&str, WeightName<'_>)> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    Some((folder, WeightName::parse(file)?))
}

/// The files among `names` that a loader reads. `components` are the folders that `model_index.json`
/// names, where there is one; of the variants of some weights, `wanted` is preferred, such as `fp16`.
pub(super) fn select<'a>(
    names: &[&'a str],
    components: Option<&[String]>,
    wanted: &str,
) -> Vec<&'a str> {
    let is_ours = |name: &&&str| {
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
    let names: Vec<&str> = names.iter().filter(is_ours).copied().collect();

    // 1. Settings and vocabularies, without the indices of weights.
    let is_text = |name: &str| {
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        matches!(kind, Some("json" | "txt" | "model")) && !name.contains(".index.")
    };
    let mut chosen: Vec<&str> = names.iter().copied().filter(|name| is_text(name)).collect();

    // 2. Weights, by folder and stem.
    let mut folders: BTreeMap<&str, Stems<'_>> = BTreeMap::new();
    for name in &names {
        if let Some((folder, weight)) = parse(name) {
            let stems = folders.entry(folder).or_default();
            stems.entry(weight.stem).or_default().push((name, weight));
        }
    }
    for stems in folders.values() {
        let checkpoint = CHECKPOINTS.iter().find_map(|stem| stems.get(stem));
        let stems: Vec<_> = checkpoint.map_or_else(|| stems.values().collect(), |one| vec![one]);
        chosen.extend(stems.into_iter().flat_map(|files| variant(files, wanted)));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The first variant of a stem's files that is complete: a whole file, or all shards with their
/// index.
fn variant<'a>(files: &[(&'a str, WeightName<'a>)], wanted: &str) -> Vec<&'a str> {
    let mut files = files.to_vec();
    files.sort_by_key(|(_, weight)| weight.rank(Some(wanted)));
    for files in files.chunk_by(|(_, one), (_, other)| one.variant == other.variant) {
        if let Some((name, _)) = files.iter().find(|(_, weight)| weight.kind == WeightKind::Whole) {
            return vec![name];
        }
        let shards = files.iter().filter_map(|(_, weight)| match weight.kind {
            WeightKind::Shard(number, count) => Some((number, count)),
            _ => None,
        });
        let shards: Vec<_> = shards.collect();
        let count = shards.first().map_or(0, |(_, count)| *count);
        if count > 0 && (1..=count).all(|one| shards.iter().any(|(number, _)| *number == one)) {
            return files.iter().map(|(name, _)| *name).collect();
        }
    }
    Vec::new()
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
        if !selected.iter().filter_map(|name| parse(name)).any(|(place, _)| place == folder) {
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
        let half = select(&names, Some(&components), "fp16");
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
        let full = select(&names, Some(&components), "");
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
        let chosen = select(&names, None, "fp16");
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
        assert_eq!(select(&names, None, ""), {
            let mut all = names;
            all.sort_unstable();
            all
        });
    }

    #[test]
    fn of_several_variants_one_is_taken_and_one_that_is_alone_too() {
        let both = ["config.json", "model.bf16.safetensors", "model.fp32.safetensors"];
        assert_eq!(select(&both, None, "fp16"), ["config.json", both[2]]);
        assert_eq!(select(&both, None, "bf16"), ["config.json", both[1]]);
        let shards = [
            "config.json",
            "diffusion_pytorch_model.bf16-00001-of-00002.safetensors",
            "diffusion_pytorch_model.bf16-00002-of-00002.safetensors",
            "diffusion_pytorch_model.safetensors.index.bf16.json",
        ];
        let alone = select(&shards, None, "fp16");
        assert_eq!(alone, shards);
        assert_eq!(missing(&alone, None), None);
        let ema = ["config.json", "model.non_ema.safetensors"];
        assert_eq!(select(&ema, None, "fp16"), ema);
    }

    #[test]
    fn copies_beside_a_checkpoint_are_left_out() {
        let names =
            ["config.json", "model.safetensors", "open_clip_model.safetensors", "onnx/model.onnx"];
        assert_eq!(select(&names, None, "fp16"), ["config.json", "model.safetensors"]);
        let adapters = ["ip-adapter-plus_sdxl_vit-h.safetensors", "ip-adapter_sdxl.bin"];
        assert_eq!(select(&adapters, None, "fp16"), [adapters[0]]);
    }

    #[test]
    fn a_model_without_weights_is_missed() {
        let missed = |names: &[&str]| missing(&select(names, None, "fp16"), None);
        let only_bin = ["config.json", "pytorch_model.bin"];
        assert_eq!(missed(&only_bin).as_deref(), Some("*.safetensors"));
        assert_eq!(missed(&["README.md"]).as_deref(), Some("safetensors, json or txt files"));
        assert_eq!(missed(&["tokenizer.json"]), None);
        let components = components(&["unet", "vae"]);
        let there = ["model_index.json", "unet/config.json", "unet/model.safetensors"];
        assert_eq!(missing(&there, Some(&components)).as_deref(), Some("files in vae/"));
    }
}
