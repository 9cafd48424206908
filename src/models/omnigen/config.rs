//! The network's `config.json`, diffusers' or that of OmniGen's authors, to its widths and depths.

use std::path::Path;

use super::names::Names;
use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_TOKENS, MAX_WIDTH};
use crate::models::common::layers::Activation;
use crate::models::common::weights::Weights;

/// The largest side of a token in latents, and of a table of positions in tokens: far above OmniGen's 2
/// and 192.
const MAX_PATCH: i64 = 64;
const MAX_TABLE: i64 = 4096;

/// What `OmniGenTransformer2DModel` is built from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OmniGenConfig {
    /// Channels of the latents.
    pub(crate) in_channels: i64,
    /// Latents a side of a token.
    pub(crate) patch_size: i64,
    /// Width of the tokens, all heads together.
    pub(crate) hidden_size: i64,
    pub(crate) num_attention_heads: i64,
    pub(crate) intermediate_size: i64,
    pub(crate) num_layers: i64,
    pub(crate) rms_norm_eps: f64,
    pub(crate) vocab_size: i64,
    /// Tokens a side of the table of positions in a picture.
    pub(crate) pos_embed_max_size: i64,
    pub(super) rope: RopeConfig,
    pub(super) time: TimeConfig,
    pub(super) names: Names,
}

/// How queries and keys turn with their positions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RopeConfig {
    pub(super) base: f64,
    /// Divide the frequencies of rows of up to `original_max_position_embeddings` tokens.
    pub(super) short_factor: Vec<f64>,
    /// The same of longer rows.
    pub(super) long_factor: Vec<f64>,
    pub(super) max_position_embeddings: i64,
    pub(super) original_max_position_embeddings: i64,
}

/// How a time becomes sines and cosines, and these a vector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeConfig {
    pub(super) waves: i64,
    pub(super) cos_first: bool,
    pub(super) shift: f64,
    pub(super) activation: Activation,
}

/// The sizes of what pictures become.
struct Pictures {
    channels: i64,
    patch: i64,
    table: i64,
}

impl OmniGenConfig {
    /// Reads and checks diffusers' file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    fn new(fields: &Fields) -> Result<Self> {
        fields.only("_class_name", "OmniGenTransformer2DModel")?;
        let is_authors = fields.is_written("model_type");
        let expected =
            "none: diffusers' config.json of the transformer, not that of OmniGen's authors";
        fields.require("model_type", !is_authors, expected, fields.found("model_type"))?;
        let time = TimeConfig {
            waves: fields.integer("time_step_dim", 256, 2..=MAX_WIDTH)?,
            cos_first: fields.flag("flip_sin_to_cos", true)?,
            shift: fields.number("downscale_freq_shift", 0.0)?,
            activation: Activation::read(fields, "timestep_activation_fn", Activation::Silu)?,
        };
        let half = (time.waves / 2) as f64;
        let expected = format!("other than {half}, half of time_step_dim");
        fields.require("downscale_freq_shift", time.shift != half, expected, time.shift)?;
        let pictures = Pictures {
            channels: fields.count("in_channels", 4, MAX_WIDTH)?,
            patch: fields.count("patch_size", 2, MAX_PATCH)?,
            table: fields.count("pos_embed_max_size", 192, MAX_TABLE)?,
        };
        Self::of(fields, ["num_layers", "rope_base"], pictures, time, Names::DIFFUSERS)
    }

    /// Reads and checks the file at `path` that OmniGen's authors write, which is Phi-3's. What it
    /// leaves out is the shape of tensors in `weights`, or written in their program (`TimestepEmbedder`
    /// in `OmniGen/model.py`).
    pub(crate) fn read_authors(path: &Path, weights: &Weights) -> Result<Self> {
        let fields = Fields::open(path)?;
        fields.is_named("model_type", "phi3")?;
        fields.only("hidden_act", "silu")?;
        let names = Names::AUTHORS;
        let shape = |name: &str, sides| weights.required_shape(name, sides);
        let weight = |name: &str, sides| shape(&format!("{name}.weight"), sides);
        let [patches, waves] =
            [weight(names.output_image_proj, 4)?, weight(names.time_token[0], 2)?];
        let time = TimeConfig {
            waves: waves[1],
            cos_first: true,
            shift: 0.0,
            activation: Activation::Silu,
        };
        let pictures = Pictures {
            channels: patches[1],
            patch: patches[2],
            table: shape(names.pos_embed, 3)?[1].isqrt(),
        };
        Self::of(&fields, ["num_hidden_layers", "rope_theta"], pictures, time, names)
    }

    /// With what both files hold; `layers` and `base` are what each calls the number of layers and
    /// the number whose powers the frequencies are.
    fn of(
        fields: &Fields,
        [layers, base]: [&str; 2],
        Pictures { channels, patch, table }: Pictures,
        time: TimeConfig,
        names: Names,
    ) -> Result<Self> {
        let heads = fields.count("num_attention_heads", 32, MAX_WIDTH)?;
        let hidden_size = fields.count("hidden_size", 3072, MAX_WIDTH)?;
        let expected = format!("a multiple of {}, twice num_attention_heads", 2 * heads);
        fields.require("hidden_size", hidden_size % (2 * heads) == 0, expected, hidden_size)?;
        // diffusers' attention has no groups either, and fails.
        let groups = fields.optional_count("num_key_value_heads", MAX_WIDTH)?.unwrap_or(heads);
        let expected = format!("{heads}, as num_attention_heads: grouped keys are not read");
        fields.require("num_key_value_heads", groups == heads, expected, groups)?;
        Ok(Self {
            in_channels: channels,
            patch_size: patch,
            pos_embed_max_size: table,
            hidden_size,
            num_attention_heads: heads,
            intermediate_size: fields.count("intermediate_size", 8192, MAX_WIDTH)?,
            num_layers: fields.count(layers, 32, MAX_LAYERS)?,
            rms_norm_eps: fields.eps("rms_norm_eps", 1e-5)?,
            vocab_size: fields.count("vocab_size", 32_064, MAX_TOKENS)?,
            rope: RopeConfig::read(fields, base, hidden_size / heads)?,
            time,
            names,
        })
    }

    /// Values of a head.
    pub(super) const fn head_dim(&self) -> i64 {
        self.hidden_size / self.num_attention_heads
    }
}

impl RopeConfig {
    fn read(fields: &Fields, base: &str, head_dim: i64) -> Result<Self> {
        // transformers 5 writes the second, with the base in it.
        let scaling = match fields.object("rope_parameters")? {
            Some(scaling) if !fields.is_written("rope_scaling") => scaling,
            _ => fields.required_object("rope_scaling")?,
        };
        let holding = |field| if fields.is_written(field) { fields } else { &scaling };
        let factors = |field: &str| {
            let factors = scaling.numbers(field)?.unwrap_or_default();
            let expected = format!("{} numbers above 0, half of a head", head_dim / 2);
            let fits = factors.len() as i64 == head_dim / 2 && factors.iter().all(|&f| f > 0.0);
            scaling.require(field, fits, expected, format!("{} numbers", factors.len()))?;
            Ok(factors)
        };
        let base_number = holding(base).number(base, 10_000.0)?;
        fields.require(base, base_number > 0.0, "above 0", base_number)?;
        let field = "original_max_position_embeddings";
        Ok(Self {
            base: base_number,
            short_factor: factors("short_factor")?,
            long_factor: factors("long_factor")?,
            max_position_embeddings: fields.count(
                "max_position_embeddings",
                131_072,
                MAX_TOKENS,
            )?,
            // Its logarithm divides.
            original_max_position_embeddings: holding(field).integer(
                field,
                4096,
                2..=MAX_TOKENS,
            )?,
        })
    }
}
