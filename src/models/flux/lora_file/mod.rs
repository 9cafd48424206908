//! A LoRA file in diffusers' layout to the differences of a transformer's layers.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind};

use super::lora::{Delta, Lora, Site};
use crate::models::common::files::TensorFiles;
use crate::models::common::inventory::Inventory;
use crate::models::common::json::require;
use crate::models::common::weights::Weights;
use crate::{Error, Result};

/// Layers of a block that OminiControl adapts for the condition; all others are the same for all
/// branches. From its `block_forward`, `single_block_forward` and `attn_forward`.
const ADAPTED: [&str; 9] = [
    "norm1.linear",
    "norm.linear",
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "attn.to_out.0",
    "ff.net.2",
    "proj_mlp",
    "proj_out",
];
/// The layer outside all blocks that it adapts.
const EMBEDDER: &str = "x_embedder";

/// Shapes of both factors of a layer, where they are there.
type Factors = [Option<Vec<i64>>; 2];
/// How the names of the factors end.
const ENDINGS: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];

impl Lora {
    /// The differences in the file at `path` for a transformer with these `sites`: any of the layers
    /// that OminiControl adapts, each of a rank of its own. Whatever `alpha` the file tells, the
    /// differences count once, as its program does it.
    pub(crate) fn open(path: &Path, sites: &[Site], device: Device, kind: Kind) -> Result<Self> {
        let layers = layers(path)?;
        let weights = Weights::open(path, device, kind)?.sub("transformer");
        let mut deltas: Vec<Option<Delta>> = sites.iter().map(|_| None).collect();
        for (name, [a, b]) in &layers {
            let Some(at) = sites.iter().position(|site| site.name == *name) else {
                let what = format!("layer {name}");
                return Err(Error::invalid_file(path, what, "a layer of the transformer", "none"));
            };
            let expected = [[a[0], sites[at].inputs], [sites[at].outputs, a[0]]];
            for ((found, expected), ending) in [a, b].into_iter().zip(expected).zip(ENDINGS) {
                let what = format!("tensor transformer.{name}{ending}");
                let shape = format!("shape {expected:?}");
                require(path, &what, *found == expected, shape, format!("{found:?}"))?;
            }
            let layer = weights.sub(name);
            deltas[at] = Some(Delta {
                a: layer.get("lora_A.weight", a)?, // [rank, inputs]
                b: layer.get("lora_B.weight", b)?, // [outputs, rank]
            });
        }
        Ok(Self(deltas))
    }
}

/// Names and shapes of the tensors in the LoRA file at `path`, after checking that it is one.
pub(crate) fn inventory(path: &Path) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for (name, shapes) in layers(path)? {
        for (shape, ending) in shapes.into_iter().zip(ENDINGS) {
            inventory.insert(format!("transformer.{name}{ending}"), shape.to_vec());
        }
    }
    Ok(inventory)
}

/// Shapes of both factors of every layer in the file, which fit each other.
fn layers(path: &Path) -> Result<BTreeMap<String, [[i64; 2]; 2]>> {
    // 1. names to layers
    let files = TensorFiles::open(path)?;
    let names = files.names();
    let mut found: BTreeMap<&str, Factors> = BTreeMap::new();
    for name in names.iter().filter(|name| !name.ends_with(".alpha")) {
        let factor = ENDINGS.iter().position(|ending| name.ends_with(ending));
        let layer = factor
            .and_then(|factor| name.strip_prefix("transformer.")?.strip_suffix(ENDINGS[factor]));
        let (Some(factor), Some(layer)) = (factor, layer) else {
            let expected = "transformer.LAYER.lora_A.weight or .lora_B.weight";
            return Err(Error::invalid_file(path, "name of a tensor", expected, name));
        };
        let shape = files.get(name).map(|stored| stored.info.shape.as_slice()).unwrap_or_default();
        let sides = shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX));
        found.entry(layer).or_default()[factor] = Some(sides.collect());
    }
    if found.is_empty() {
        return Err(Error::invalid_file(path, "LoRA", "at least one layer", "none"));
    }

    // 2. each a layer of the condition, with both factors of one rank
    let checked = found.into_iter().map(|(layer, factors)| {
        let invalid = |what: &str, expected: String, found: String| {
            Error::invalid_file(path, format!("{what} {layer}"), expected, found)
        };
        if !is_adapted(layer) {
            let expected = format!("{EMBEDDER}, or in a block {}", ADAPTED.join(", "));
            return Err(invalid("layer", expected, layer.to_owned()));
        }
        let (a, b) = match factors {
            [Some(a), Some(b)] => (a, b),
            [a, _] => {
                let halves = if a.is_some() { ["lora_A", "lora_B"] } else { ["lora_B", "lora_A"] };
                let found = halves.join(" without ");
                return Err(invalid("layer", "lora_A and lora_B".to_owned(), found));
            }
        };
        match (<[i64; 2]>::try_from(a.as_slice()), <[i64; 2]>::try_from(b.as_slice())) {
            (Ok(a), Ok(b)) if a[0] == b[1] => Ok((layer.to_owned(), [a, b])),
            _ => {
                let expected = "lora_A [rank, inputs] and lora_B [outputs, rank]".to_owned();
                Err(invalid("ranks of layer", expected, format!("{a:?} and {b:?}")))
            }
        }
    });
    checked.collect()
}

/// Whether OminiControl adapts the layer called `name`.
fn is_adapted(name: &str) -> bool {
    let block = ["transformer_blocks.", "single_transformer_blocks."]
        .iter()
        .find_map(|way| name.strip_prefix(way)?.split_once('.'));
    match block {
        Some((number, layer)) => number.parse::<u32>().is_ok() && ADAPTED.contains(&layer),
        None => name == EMBEDDER,
    }
}
