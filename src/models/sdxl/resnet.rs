//! An image of features and the time to an image of features: one residual layer of the UNet.

use tch::Tensor;

use super::config::UNetConfig;
use super::time::Time;
use crate::Result;
use crate::models::layers::{Activation, Conv2d, GroupNorm, Linear};
use crate::models::weights::Weights;

/// diffusers' `ResnetBlock2D` with its time embedding added.
#[derive(Debug)]
pub(crate) struct Resnet {
    /// Position among the UNet's residual layers.
    pub(super) number: usize,
    norm1: GroupNorm,
    /// Without its bias, which comes with the time: both are added to every pixel alike.
    conv1: Conv2d,
    /// With the bias of `conv1`.
    time_emb_proj: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    /// Where the number of channels changes.
    conv_shortcut: Option<Conv2d>,
    act: Activation,
    /// What the sum with the input is divided by.
    scale_factor: f64,
}

impl Resnet {
    pub(crate) fn new(
        config: &UNetConfig,
        weights: &Weights,
        [inputs, outputs]: [i64; 2],
        scale_factor: f64,
    ) -> Result<Self> {
        let norm = |name: &str, channels| {
            GroupNorm::new(&weights.sub(name), config.norm_num_groups, channels, config.norm_eps)
        };
        let shortcut = (inputs != outputs)
            .then(|| Conv2d::new(&weights.sub("conv_shortcut"), inputs, outputs, 1, 1, 0));
        let mut conv1 = Conv2d::new(&weights.sub("conv1"), inputs, outputs, 3, 1, 1)?;
        let time = &weights.sub("time_emb_proj");
        let mut time_emb_proj = Linear::new(time, config.time.embed_dim, outputs)?;
        if let (Some(time), Some(bias)) = (&mut time_emb_proj.b, conv1.b.take()) {
            *time = &*time + bias; // [outputs]
        }
        Ok(Self {
            number: 0,
            norm1: norm("norm1", inputs)?,
            conv1,
            time_emb_proj,
            norm2: norm("norm2", outputs)?,
            conv2: Conv2d::new(&weights.sub("conv2"), outputs, outputs, 3, 1, 1)?,
            conv_shortcut: shortcut.transpose()?,
            act: config.act_fn,
            scale_factor,
        })
    }

    /// What `times`, `[steps, b or 1, embed_dim]`, add to every pixel. They are activated already,
    /// for every layer activates them alike.
    pub(super) fn times(&self, times: &Tensor) -> Tensor {
        self.time_emb_proj.forward(times).unsqueeze(-1).unsqueeze(-1) // [steps, b or 1, outputs, 1, 1]
    }

    /// `x` is `[b, inputs, h, w]`.
    pub(crate) fn forward(&self, x: &Tensor, time: Time<'_>) -> Tensor {
        // 1. the first convolution
        let hidden = self.conv1.forward(&self.act.forward_(self.norm1.forward(x)));

        // 2. the time, the same for every pixel
        let hidden = add_(hidden, &time.of(self.number)); // [b, outputs, h, w]

        // 3. the second convolution
        let hidden = self.conv2.forward(&self.act.forward_(self.norm2.forward(&hidden)));

        // 4. the input, its channels brought to as many
        let sum = match &self.conv_shortcut {
            Some(shortcut) => add_(hidden, &shortcut.forward(x)),
            None => add_(hidden, x),
        };
        divide_(sum, self.scale_factor) // [b, outputs, h, w]
    }

    pub(super) fn convs_mut(&mut self) -> impl Iterator<Item = &mut Conv2d> {
        [&mut self.conv1, &mut self.conv2].into_iter().chain(self.conv_shortcut.as_mut())
    }
}

/// `x + y` in the memory of `x`, which nobody else may hold.
pub(super) fn add_(mut x: Tensor, y: &Tensor) -> Tensor {
    x.g_add_(y)
}

fn divide_(mut x: Tensor, by: f64) -> Tensor {
    if by == 1.0 { x } else { x.g_div_scalar_(by) }
}
