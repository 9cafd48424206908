//! Feature maps to feature maps: the residual and attention blocks of encoder and decoder.

use tch::Tensor;

use super::config::VaeConfig;
use crate::Result;
use crate::models::common::layers::{Activation, Conv2d, GroupNorm, Linear};
use crate::models::common::math::attention;
use crate::models::common::weights::Weights;

/// diffusers' `resnet_eps` in `Encoder` and `Decoder`.
const EPS: f64 = 1e-6;

/// Two convolutions beside the identity.
#[derive(Debug)]
pub(super) struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    /// Where the numbers of channels differ.
    shortcut: Option<Conv2d>,
    activation: Activation,
}

impl Resnet {
    pub(super) fn new(w: &Weights, config: &VaeConfig, inputs: i64, outputs: i64) -> Result<Self> {
        Ok(Self {
            norm1: norm(&w.sub("norm1"), config, inputs)?,
            conv1: Conv2d::new(&w.sub("conv1"), inputs, outputs, 3, 1, 1)?,
            norm2: norm(&w.sub("norm2"), config, outputs)?,
            conv2: Conv2d::new(&w.sub("conv2"), outputs, outputs, 3, 1, 1)?,
            shortcut: match inputs == outputs {
                true => None,
                false => Some(Conv2d::new(&w.sub("conv_shortcut"), inputs, outputs, 1, 1, 0)?),
            },
            activation: config.act_fn,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        // 1. normalise, activate, convolve; twice
        let h = self.conv1.forward(&self.activation.forward_(self.norm1.forward(x)));
        let mut h = self.conv2.forward(&self.activation.forward_(self.norm2.forward(&h)));

        // 2. beside the identity
        match &self.shortcut {
            Some(shortcut) => h.g_add_(&shortcut.forward(x)), // [b, outputs, h, w]
            None => h.g_add_(x),
        }
    }
}

/// Every place attends to every place, with a single head.
#[derive(Debug)]
pub(super) struct Attention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Attention {
    pub(super) fn new(w: &Weights, config: &VaeConfig, width: i64) -> Result<Self> {
        // Checkpoints from before diffusers 0.17 have the older names.
        let older = w.contains("query.weight");
        let linear = |name, older_name| {
            Linear::new(&w.sub(if older { older_name } else { name }), width, width)
        };
        Ok(Self {
            norm: norm(&w.sub("group_norm"), config, width)?,
            query: linear("to_q", "query")?,
            key: linear("to_k", "key")?,
            value: linear("to_v", "value")?,
            out: linear("to_out.0", "proj_attn")?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        // 1. places in a row
        let places = self.norm.forward(x).flatten(2, 3).transpose(1, 2); // [b, h · w, channels]

        // 2. one head
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|l| l.forward(&places).unsqueeze(1)); // [b, 1, h · w, channels]
        let h = self.out.forward(&attention(&q, &k, &v, None).squeeze_dim(1)); // [b, h · w, channels]

        // 3. beside the identity
        h.transpose(1, 2).reshape_as(x) + x // [b, channels, h, w]
    }
}

/// A residual block, attention where the config has it, and a residual block.
#[derive(Debug)]
pub(super) struct MidBlock {
    first: Resnet,
    attention: Option<Attention>,
    second: Resnet,
}

impl MidBlock {
    pub(super) fn new(w: &Weights, config: &VaeConfig, width: i64) -> Result<Self> {
        let resnets = w.sub("resnets");
        let attention = &w.sub("attentions").sub(0);
        Ok(Self {
            first: Resnet::new(&resnets.sub(0), config, width, width)?,
            attention: match config.mid_block_add_attention {
                true => Some(Attention::new(attention, config, width)?),
                false => None,
            },
            second: Resnet::new(&resnets.sub(1), config, width, width)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.first.forward(x);
        let x = self.attention.as_ref().map(|attention| attention.forward(&x)).unwrap_or(x);
        self.second.forward(&x)
    }
}

/// The residual blocks of one resolution, each followed by attention where the config has it.
#[derive(Debug)]
pub(super) struct Stage {
    resnets: Vec<Resnet>,
    attentions: Vec<Attention>,
}

impl Stage {
    pub(super) fn new(
        w: &Weights,
        config: &VaeConfig,
        [inputs, outputs]: [i64; 2],
        layers: i64,
        attends: bool,
    ) -> Result<Self> {
        let resnets = (0..layers).map(|i| {
            let inputs = if i == 0 { inputs } else { outputs };
            Resnet::new(&w.sub("resnets").sub(i), config, inputs, outputs)
        });
        let attentions = (0..if attends { layers } else { 0 })
            .map(|i| Attention::new(&w.sub("attentions").sub(i), config, outputs));
        let (resnets, attentions) =
            (resnets.collect::<Result<_>>()?, attentions.collect::<Result<_>>()?);
        Ok(Self { resnets, attentions })
    }

    pub(super) fn forward(&self, x: Tensor) -> Tensor {
        self.resnets.iter().enumerate().fold(x, |x, (i, resnet)| {
            let x = resnet.forward(&x);
            self.attentions.get(i).map(|attention| attention.forward(&x)).unwrap_or(x)
        })
    }
}

/// The blocks of all resolutions at `w`, which `widths` has the widths of, each with the convolution
/// that goes with the next resolution: its name, stride and padding. The last has none.
pub(super) fn stages(
    w: &Weights,
    config: &VaeConfig,
    widths: &[i64],
    layers: i64,
    attends: &[bool],
    (name, stride, padding): (&str, i64, i64),
) -> Result<Vec<(Stage, Option<Conv2d>)>> {
    let stage = |(i, (&width, &attends)): (usize, (&i64, &bool))| {
        let (w, inputs) = (w.sub(i), widths[i.saturating_sub(1)]);
        let stage = Stage::new(&w, config, [inputs, width], layers, attends)?;
        let conv = (i + 1 < widths.len())
            .then(|| Conv2d::new(&w.sub(name), width, width, 3, stride, padding));
        Ok((stage, conv.transpose()?))
    };
    widths.iter().zip(attends).enumerate().map(stage).collect()
}

/// The normalisation of every block.
pub(super) fn norm(w: &Weights, config: &VaeConfig, width: i64) -> Result<GroupNorm> {
    GroupNorm::new(w, config.norm_num_groups, width, EPS)
}
