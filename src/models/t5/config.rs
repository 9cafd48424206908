//! A T5 folder's `config.json` to checked settings of its encoder.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Result;
use crate::models::common::json::{positive, read_json, require};
use crate::models::common::layers::Activation;

/// An encoder. A field that the file leaves out has transformers' default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct T5Config {
    model_type: Option<String>,
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
    pub(crate) relative_attention_num_buckets: i64,
    /// The distance in tokens from which on all share one bias.
    pub(crate) relative_attention_max_distance: i64,
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

impl Default for T5Config {
    fn default() -> Self {
        // `T5Config` in transformers.
        Self {
            model_type: None,
            vocab_size: 32_128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: FeedForward { activation: Activation::Relu, gated: false },
        }
    }
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

/// The largest width, depth or number of heads that is believed.
const MAX_SIZE: i64 = 1 << 20;

impl T5Config {
    /// The settings in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Self::read(&folder.join("config.json"))
    }

    /// The settings in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let config: Self = read_json(path)?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let kind = self.model_type.as_deref().unwrap_or("no such field");
        require(path, "model_type", kind == "t5", "t5", kind)?;
        positive(path, "vocab_size", self.vocab_size)?;
        for (name, size) in [
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_layers", self.num_layers),
            ("num_heads", self.num_heads),
            ("relative_attention_max_distance", self.relative_attention_max_distance),
        ] {
            let expected = format!("1 to {MAX_SIZE}");
            require(path, name, (1..=MAX_SIZE).contains(&size), expected, size)?;
        }
        // A quarter of them, at least one, hold one distance each; the rest are wider and wider.
        let buckets = self.relative_attention_num_buckets;
        let usable = (4..=MAX_SIZE).contains(&buckets) && buckets % 4 == 0;
        let expected = format!("a multiple of 4, to {MAX_SIZE}");
        require(path, "relative_attention_num_buckets", usable, expected, buckets)?;
        let (exact, farthest) = (buckets / 4, self.relative_attention_max_distance);
        let expected = format!("more than {exact}, a quarter of relative_attention_num_buckets");
        require(path, "relative_attention_max_distance", farthest > exact, expected, farthest)?;
        let eps = self.layer_norm_epsilon;
        let usable = eps.is_finite() && eps >= 0.0;
        require(path, "layer_norm_epsilon", usable, "a number of at least 0", eps)
    }
}
