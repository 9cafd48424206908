//! Tensors of a checkpoint to the small layers every network is made of.

use serde::Deserialize;
use tch::{Kind, Tensor};

use super::fields::Fields;
use super::product;
use super::weights::Weights;
use crate::Result;

/// `x · wᵀ + b` over the last side.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) w: Tensor,
    pub(crate) b: Option<Tensor>,
}

impl Linear {
    /// With a bias.
    pub(crate) fn new(weights: &Weights, inputs: i64, outputs: i64) -> Result<Self> {
        let b = Some(weights.get("bias", &[outputs])?);
        Ok(Self { b, ..Self::no_bias(weights, inputs, outputs)? })
    }

    /// Without a bias.
    pub(crate) fn no_bias(weights: &Weights, inputs: i64, outputs: i64) -> Result<Self> {
        Ok(Self { w: weights.get("weight", &[outputs, inputs])?, b: None })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        product::linear(x, &self.w, self.b.as_ref()) // [.., outputs]
    }
}

/// A square convolution.
#[derive(Debug)]
pub(crate) struct Conv2d {
    pub(crate) w: Tensor,
    pub(crate) b: Option<Tensor>,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// With a bias; `kernel`, `stride` and `padding` in pixels.
    pub(crate) fn new(
        weights: &Weights,
        inputs: i64,
        outputs: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Result<Self> {
        let b = Some(weights.get("bias", &[outputs])?);
        Ok(Self { b, ..Self::no_bias(weights, inputs, outputs, kernel, stride, padding)? })
    }

    /// Without a bias.
    pub(crate) fn no_bias(
        weights: &Weights,
        inputs: i64,
        outputs: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Result<Self> {
        let w = weights.get("weight", &[outputs, inputs, kernel, kernel])?;
        // What comes out lies as these do.
        Ok(Self { w: weights.memory_format().apply(&w), b: None, stride, padding })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        product::fitting(x, &self.w, self.b.as_ref(), |x, w, b| {
            x.conv2d(w, b, stride, padding, [1; 2], 1) // [b, outputs, h, w]
        })
    }
}

/// Each vector to mean 0 and variance 1, then scaled and shifted.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    w: Tensor,
    b: Tensor,
    width: i64,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(weights: &Weights, width: i64, eps: f64) -> Result<Self> {
        let (w, b) = (weights.get("weight", &[width])?, weights.get("bias", &[width])?);
        Ok(Self { w, b, width, eps })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm([self.width], Some(&self.w), Some(&self.b), self.eps, true) // [.., width]
    }
}

/// Each vector to a mean square of 1, then scaled.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    w: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn new(weights: &Weights, width: i64, eps: f64) -> Result<Self> {
        Ok(Self { w: weights.get("weight", &[width])?, eps })
    }

    /// The mean is taken in f32, whatever the type of `x`; what comes out is of the type of the weights.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let length = x.norm_scalaropt_dim_dtype(2, [-1i64], true, Kind::Float); // [.., 1]
        let mean = length.square() / self.w.numel() as f64;
        let x = x * (mean + self.eps).rsqrt();
        x.to_kind(self.w.kind()).g_mul_(&self.w) // [.., width]
    }
}

/// Each group of channels to mean 0 and variance 1, then scaled and shifted a channel.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    w: Tensor,
    b: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    pub(crate) fn new(weights: &Weights, groups: i64, channels: i64, eps: f64) -> Result<Self> {
        let (w, b) = (weights.get("weight", &[channels])?, weights.get("bias", &[channels])?);
        Ok(Self { w, b, groups, eps })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.group_norm(self.groups, Some(&self.w), Some(&self.b), self.eps, true) // [b, channels, h, w]
    }
}

/// Numbers to rows of a table.
#[derive(Debug)]
pub(crate) struct Embedding {
    pub(crate) w: Tensor,
}

impl Embedding {
    pub(crate) fn new(weights: &Weights, rows: i64, width: i64) -> Result<Self> {
        Ok(Self { w: weights.get("weight", &[rows, width])? })
    }

    /// Rows of `ids`, whole numbers in 0..rows.
    pub(crate) fn forward(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.w, ids, -1, false, false) // [.., width]
    }
}

/// An activation by its name in transformers and diffusers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    /// With the error function.
    #[serde(alias = "gelu_python")]
    Gelu,
    /// With tanh in place of the error function.
    #[serde(alias = "gelu_new", alias = "gelu_fast")]
    GeluPytorchTanh,
    /// `x · sigmoid(1.702 x)`: OpenAI's CLIP.
    QuickGelu,
    #[serde(alias = "linear")]
    Identity,
    Mish,
    Relu,
    Sigmoid,
    #[serde(alias = "swish")]
    Silu,
    Tanh,
}

impl Activation {
    /// The activation that `field` names.
    pub(crate) fn read(fields: &Fields, field: &str, default: Self) -> Result<Self> {
        fields.typed(field, default, "an activation, such as silu, gelu or relu")
    }

    pub(crate) fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluPytorchTanh => x.gelu("tanh"),
            Self::QuickGelu => x * (x * 1.702).sigmoid(),
            Self::Identity => x.shallow_clone(),
            Self::Mish => x.mish(),
            Self::Relu => x.relu(),
            Self::Sigmoid => x.sigmoid(),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
        }
    }

    /// The same in the memory of `x`, which nobody else may hold.
    pub(crate) fn forward_(self, mut x: Tensor) -> Tensor {
        match self {
            Self::Silu => x.silu_(),
            Self::Gelu => x.gelu_("none"),
            other => other.forward(&x),
        }
    }
}

/// diffusers' `TimestepEmbedding`: two linear layers.
#[derive(Debug)]
pub(crate) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    act: Activation,
}

impl TimestepEmbedding {
    pub(crate) fn new(weights: &Weights, inputs: i64, width: i64, act: Activation) -> Result<Self> {
        Self::of(&["linear_1", "linear_2"].map(|name| weights.sub(name)), inputs, width, act)
    }

    /// Of layers that may have other names.
    pub(crate) fn of(
        [linear_1, linear_2]: &[Weights; 2],
        inputs: i64,
        width: i64,
        act: Activation,
    ) -> Result<Self> {
        let linear_1 = Linear::new(linear_1, inputs, width)?;
        Ok(Self { linear_1, linear_2: Linear::new(linear_2, width, width)?, act })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        self.linear_2.forward(&self.act.forward(&self.linear_1.forward(x))) // [n, width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_values_at_1() {
        let one = Tensor::from_slice(&[1f32]);
        // torch.nn.functional and transformers.activations at 1.0.
        for (name, expected) in [
            ("gelu", 0.841_344_7),
            ("gelu_new", 0.841_192),
            ("quick_gelu", 0.845_795_8),
            ("linear", 1.0),
            ("mish", 0.865_098_4),
            ("relu", 1.0),
            ("sigmoid", 0.731_058_6),
            ("swish", 0.731_058_6),
            ("tanh", 0.761_594_2),
        ] {
            let activation: Activation = serde_json::from_str(&format!("{name:?}")).unwrap();
            let found = activation.forward(&one).double_value(&[0]);
            assert!((found - expected).abs() < 1e-5, "{name}: {found}");
        }
        let error = serde_json::from_str::<Activation>("\"gelu_10\"").unwrap_err();
        assert!(error.to_string().contains("gelu_10"), "{error}");
    }
}
