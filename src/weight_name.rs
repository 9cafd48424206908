//! The name of a file of weights to its stem, its variant and its shard, and which variant comes first.

/// Weights under these names are the checkpoint of their folder: diffusers' before transformers'.
pub(crate) const CHECKPOINTS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// Precisions that follow the stem of any name, such as `ip-adapter.fp16.safetensors`. What follows
/// the name of a checkpoint is a variant whatever it is, such as `model.non_ema.safetensors`.
const PRECISIONS: [&str; 3] = ["fp32", "fp16", "bf16"];

/// A name taken apart: `STEM[.VARIANT][-00001-of-00003].safetensors`, or that of an index of shards,
/// `STEM.safetensors.index[.VARIANT].json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WeightName<'a> {
    pub(crate) stem: &'a str,
    /// Such as `fp16`; empty for the weights as they were released first.
    pub(crate) variant: &'a str,
    pub(crate) kind: WeightKind,
}

/// What a file of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WeightKind {
    /// All tensors.
    Whole,
    /// The names of all tensors, and in which shard each is.
    Index,
    /// Some tensors: which shard of how many, from 1.
    Shard(usize, usize),
}

impl<'a> WeightName<'a> {
    /// The parts of a file's `name`, without its folder; none where it is no name of weights.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        if let Some((stem, rest)) = name.split_once(".safetensors.index") {
            let after = rest.strip_suffix(".json")?;
            let (stem, before) = without_variant(stem);
            let variant = after.strip_prefix('.').unwrap_or(before);
            return Some(Self { stem, variant, kind: WeightKind::Index });
        }
        let stem = name.strip_suffix(".safetensors")?;
        // Both orders are in use: `x.fp16-00001-of-00002` and `x-00001-of-00002.fp16`.
        let (stem, after) = without_variant(stem);
        let (stem, shard) = without_shard(stem);
        let (stem, before) = without_variant(stem);
        let kind = shard.map_or(WeightKind::Whole, |(number, of)| WeightKind::Shard(number, of));
        Some(Self { stem, variant: if after.is_empty() { before } else { after }, kind })
    }

    /// Where this variant stands among others, the smallest first: that which is asked for, the
    /// weights without a variant, those of the most precision, others by name.
    pub(crate) fn rank(&self, wanted: Option<&str>) -> (bool, usize, &'a str) {
        let variants = [""].into_iter().chain(PRECISIONS);
        let place = variants.take_while(|variant| *variant != self.variant).count();
        (wanted != Some(self.variant), place, self.variant)
    }
}

fn without_variant(stem: &str) -> (&str, &str) {
    let is_variant = |(base, variant): &(&str, &str)| {
        let is_name = !variant.contains('-');
        PRECISIONS.contains(variant) || is_name && CHECKPOINTS.contains(&without_shard(base).0)
    };
    stem.rsplit_once('.').filter(is_variant).unwrap_or((stem, ""))
}

fn without_shard(stem: &str) -> (&str, Option<(usize, usize)>) {
    let parsed = || {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (rest, number) = rest.rsplit_once('-')?;
        Some((rest, (number.parse().ok()?, count.parse().ok()?)))
    };
    parsed().map_or((stem, None), |(rest, shard)| (rest, Some(shard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_taken_apart() {
        use WeightKind::{Index, Shard, Whole};
        for (name, stem, variant, kind) in [
            ("model.safetensors", "model", "", Whole),
            ("diffusion_pytorch_model.non_ema.safetensors", CHECKPOINTS[0], "non_ema", Whole),
            ("model.fp16-00001-of-00002.safetensors", "model", "fp16", Shard(1, 2)),
            ("model-00002-of-00002.fp16.safetensors", "model", "fp16", Shard(2, 2)),
            ("model-00002-of-00002.ema.safetensors", "model", "ema", Shard(2, 2)),
            ("model.safetensors.index.json", "model", "", Index),
            ("model.safetensors.index.bf16.json", "model", "bf16", Index),
            ("model.fp32.safetensors.index.json", "model", "fp32", Index),
            ("sd_xl_base_1.0.safetensors", "sd_xl_base_1.0", "", Whole),
            ("adapter.v2.fp16.safetensors", "adapter.v2", "fp16", Whole),
        ] {
            assert_eq!(WeightName::parse(name), Some(WeightName { stem, variant, kind }), "{name}");
        }
        for name in ["model.bin", "config.json", "model.safetensors.index.txt", "safetensors"] {
            assert_eq!(WeightName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_wanted_variant_is_first_and_then_the_most_precise() {
        let order = |wanted| {
            let mut variants = ["non_ema", "bf16", "fp16", "ema", "fp32", ""];
            variants.sort_by_key(|variant| {
                WeightName { stem: "model", variant, kind: WeightKind::Whole }.rank(wanted)
            });
            variants
        };
        assert_eq!(order(None), ["", "fp32", "fp16", "bf16", "ema", "non_ema"]);
        assert_eq!(order(Some("bf16")), ["bf16", "", "fp32", "fp16", "ema", "non_ema"]);
    }
}
