//! The name of a tensor in a LoRA file to the layers that it changes: the spellings that diffusers'
//! `FluxLoraLoaderMixin` converts, of the layers that OminiControl adapts.

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
/// The layer outside all blocks that it adapts, and what the paper's authors call it.
const EMBEDDER: [&str; 2] = ["x_embedder", "img_in"];

/// What stands before the layer, in any order: PEFT, diffusers, ComfyUI, kohya's scripts.
const PREFIXES: [&str; 5] =
    ["base_model.model.", "transformer.", "diffusion_model.", "lora_unet_", "lora_transformer_"];

/// What stands behind the layer, and which of both factors that is. The first that fits counts.
const MARKS: [(&str, usize); 10] = [
    (".lora_A.", 0),
    (".lora_B.", 1),
    (".lora_down.", 0),
    (".lora_up.", 1),
    (".lora.down.", 0),
    (".lora.up.", 1),
    // Of attention processors, in older versions of diffusers.
    ("_lora.down.", 0),
    ("_lora.up.", 1),
    // XLabs.
    (".down.", 0),
    (".up.", 1),
];

/// The blocks: what diffusers and the paper's authors call them, and their layers under other names
/// than diffusers', with the layers that they are in diffusers. Dots are written as `_`.
const BLOCKS: [Block; 2] = [
    Block {
        names: ["transformer_blocks", "double_blocks"],
        aliases: &[
            ("img_mod_lin", &["norm1.linear"]),
            ("img_attn_qkv", QKV),
            ("img_attn_proj", &["attn.to_out.0"]),
            ("img_mlp_2", &["ff.net.2"]),
            ("attn_processor_to_out", &["attn.to_out.0"]),
            ("processor_qkv_lora1", QKV),
            ("processor_proj_lora1", &["attn.to_out.0"]),
        ],
    },
    Block {
        names: ["single_transformer_blocks", "single_blocks"],
        aliases: &[
            ("modulation_lin", &["norm.linear"]),
            ("linear1", &["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]),
            ("linear2", &["proj_out"]),
            ("processor_qkv", QKV),
            ("processor_proj", &["proj_out"]),
        ],
    },
];
const QKV: &[&str] = &["attn.to_q", "attn.to_k", "attn.to_v"];

struct Block {
    names: [&'static str; 2],
    aliases: &'static [(&'static str, &'static [&'static str])],
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// 0 for the first factor, `[rank, inputs]`, 1 for the second, `[outputs, rank]`.
    Factor(usize),
    Alpha,
    /// A magnitude, which only DoRA has.
    Dora,
}

/// The layer that `name` belongs to, as the file spells it without what stands before, and what of
/// it; none where this is no name of a LoRA for a transformer.
pub(super) fn parse(name: &str) -> Option<(&str, Part)> {
    // 1. what stands before
    let mut rest = name;
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    let blocks = BLOCKS.iter().flat_map(|block| block.names);
    let is_prefixed = rest.len() < name.len();
    let is_ours = is_prefixed || blocks.chain(EMBEDDER).any(|name| rest.starts_with(name));

    // 2. what stands behind: the weight, or that of a named adapter of PEFT's
    let is_adapter = |name: &str| !name.contains('.');
    let is_weight =
        |tail: &str| tail == "weight" || tail.strip_suffix(".weight").is_some_and(is_adapter);
    let factor = MARKS.iter().find_map(|&(mark, factor)| {
        let (layer, _) = rest.rsplit_once(mark).filter(|(_, tail)| is_weight(tail))?;
        Some((layer, Part::Factor(factor)))
    });
    let others = [
        (".alpha", Part::Alpha),
        (".dora_scale", Part::Dora),
        (".lora_magnitude_vector", Part::Dora),
        (".lora_magnitude_vector.weight", Part::Dora),
        (".lora_magnitude_vector.default.weight", Part::Dora),
    ];
    let other =
        || others.into_iter().find_map(|(ending, part)| Some((rest.strip_suffix(ending)?, part)));
    factor.or_else(other).filter(|_| is_ours)
}

/// Whether `alpha` counts for a layer whose first factor is called `name`: for kohya's scripts, whose
/// alphas diffusers multiplies into the factors. It gives others to PEFT, where OminiControl's program
/// sets every scale to 1.
pub(super) fn counts_alpha(name: &str) -> bool {
    name.contains(".lora_down.")
}

/// The layers, by diffusers' names, that `layer` of [`parse`] is: one, or several whose outputs lie
/// one behind the other. None where OminiControl does not adapt it.
pub(super) fn adapted(layer: &str) -> Option<Vec<String>> {
    let plain = layer.replace('.', "_");
    if EMBEDDER.contains(&plain.as_str()) {
        return Some(vec![EMBEDDER[0].to_owned()]);
    }
    let (block, rest) = BLOCKS.iter().find_map(|block| {
        let rest = block.names.iter().find_map(|name| plain.strip_prefix(name)?.strip_prefix('_'));
        Some((block, rest?))
    })?;
    let (number, rest) = rest.split_once('_')?;
    let number: u32 = number.parse().ok()?;
    let alias = block.aliases.iter().find(|(name, _)| *name == rest).map(|(_, layers)| *layers);
    let rest = rest.replace("attn_processor_", "attn_");
    let same = || ADAPTED.iter().find(|name| name.replace('.', "_") == rest);
    let layers = alias.or_else(|| same().map(std::slice::from_ref))?;
    let name = |layer| format!("{}.{number}.{layer}", block.names[0]);
    Some(layers.iter().map(name).collect())
}

/// What [`adapted`] takes.
pub(super) fn expected() -> String {
    format!("{}, or in a block {}", EMBEDDER[0], ADAPTED.join(", "))
}
