//! An image of features and the time to an image of features: one residual layer of the UNet.

use tch::Tensor;

use super::config::UNetConfig;
use super::time::Time;
use crate::Result;
use crate::models::common::layers::{Activation, Conv2d, GroupNorm, Linear};
use crate::models::common::memory_format::MemoryFormat;
use crate::models::common::weights::Weights;

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
    shortcut: Shortcut,
    act: Activation,
    /// What the sum with the input is divided by.
    scale_factor: f64,
}

/// What of its input a layer adds to its output.
#[derive(Debug)]
enum Shortcut {
    Same,
    /// Where the number of channels changes.
    Convolved(Conv2d),
    /// The same for pixels whose channels lie side by side: a product of matrices, which adds a bias
    /// at no cost, and so that of `conv2` too.
    Linear(Linear),
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
        let mut conv2 = Conv2d::new(&weights.sub("conv2"), outputs, outputs, 3, 1, 1)?;
        let shortcut = match inputs == outputs {
            true => Shortcut::Same,
            false => {
                let one = Conv2d::new(&weights.sub("conv_shortcut"), inputs, outputs, 1, 1, 0)?;
                Shortcut::new(one, &mut conv2, weights.memory_format())
            }
        };
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
            conv2,
            shortcut,
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
        let sum = match &self.shortcut {
            Shortcut::Same => add_(hidden, x),
            Shortcut::Convolved(conv) => add_(hidden, &conv.forward(x)),
            Shortcut::Linear(linear) => add_(hidden, &pixelwise(linear, x)),
        };
        divide_(sum, self.scale_factor) // [b, outputs, h, w]
    }
}

impl Shortcut {
    /// Of a convolution of one pixel; `conv2` is the layer's last.
    fn new(one: Conv2d, conv2: &mut Conv2d, format: MemoryFormat) -> Self {
        match format {
            MemoryFormat::Contiguous => Self::Convolved(one),
            MemoryFormat::ChannelsLast => {
                let biases = one.b.into_iter().chain(conv2.b.take());
                Self::Linear(Linear { w: one.w.flatten(1, 3), b: biases.reduce(|x, y| x + y) })
            }
        }
    }
}

/// `linear` over the channels of every pixel of `x`, `[b, inputs, h, w]`.
fn pixelwise(linear: &Linear, x: &Tensor) -> Tensor {
    let (_, _, h, w) = x.size4().unwrap_or_default();
    let pixels = linear.forward(&x.permute([0, 2, 3, 1]).flatten(1, 2)); // [b, h·w, outputs]
    pixels.unflatten(1, [h, w]).permute([0, 3, 1, 2]) // [b, outputs, h, w]
}

/// `x + y` in the memory of `x`, which nobody else may hold.
pub(super) fn add_(mut x: Tensor, y: &Tensor) -> Tensor {
    x.g_add_(y)
}

fn divide_(mut x: Tensor, by: f64) -> Tensor {
    if by == 1.0 { x } else { x.g_div_scalar_(by) }
}
