//! A T5 folder's `config.json` to checked settings of its encoder.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_TOKENS, MAX_WIDTH};
use crate::models::common::layers::Activation;

/// An encoder.
#[derive(Clone, Debug)]
pub(crate) struct T5Config {
    pub(crate) vocab_size: i64,
    /// Width of the states.
    pub(crate) d_model: i64,
    /// Width of a head.
    pub(crate) d_kv: i64,
    /// Width between the dense layers.
    pub(crate) d_ff: i64,
    pub(crate) num_layers: i64,
    pub(crate) num_heads: i64,
    /// Sets of distances that share a bias, those of both directions together.
    pub(crate) num_buckets: i64,
    /// The distance in tokens from which on all share one bias.
    pub(crate) max_distance: i64,
    pub(crate) layer_norm_epsilon: f64,
    pub(crate) feed_forward_proj: FeedForward,
}

/// The dense layers of a block: `relu`, or `gated-gelu` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FeedForward {
    pub(crate) activation: Activation,
    /// Whether a second dense layer weighs the activation of the first.
    pub(crate) gated: bool,
}

impl TryFrom<String> for FeedForward {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let (gated, activation) = match name.strip_prefix("gated-") {
            Some(activation) => (true, activation),
            None => (false, name.as_str()),
        };
        // transformers takes this one name for another function.
        let known = if name == "gated-gelu" { "gelu_new" } else { activation };
        let activation = serde_json::from_value(Value::from(known))
            .map_err(|error| format!("feed_forward_proj {name:?}: {error}"))?;
        Ok(Self { activation, gated })
    }
}

impl T5Config {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`. A field that it leaves out has the default of `T5Config`
    /// in transformers.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let fields = Fields::open(path)?;
        fields.is_named("model_type", "t5")?;
        // A quarter of them, at least one, hold one distance each; the rest are wider and wider.
        let field = "relative_attention_num_buckets";
        let buckets = fields.count(field, 32, MAX_WIDTH)?;
        fields.require(field, buckets % 4 == 0, "a multiple of 4", buckets)?;
        let (field, exact) = ("relative_attention_max_distance", buckets / 4);
        let farthest = fields.count(field, 128, MAX_TOKENS)?;
        let expected = format!("more than {exact}, a quarter of relative_attention_num_buckets");
        fields.require(field, farthest > exact, expected, farthest)?;
        let plain = FeedForward { activation: Activation::Relu, gated: false };
        Ok(Self {
            vocab_size: fields.count("vocab_size", 32_128, MAX_TOKENS)?,
            d_model: fields.count("d_model", 512, MAX_WIDTH)?,
            d_kv: fields.count("d_kv", 64, MAX_WIDTH)?,
            d_ff: fields.count("d_ff", 2048, MAX_WIDTH)?,
            num_layers: fields.count("num_layers", 6, MAX_LAYERS)?,
            num_heads: fields.count("num_heads", 8, MAX_WIDTH)?,
            num_buckets: buckets,
            max_distance: farthest,
            layer_norm_epsilon: fields.eps("layer_norm_epsilon", 1e-6)?,
            feed_forward_proj: fields.typed("feed_forward_proj", plain, "an activation")?,
        })
    }
}
