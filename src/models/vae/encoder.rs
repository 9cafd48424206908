//! Pixels to the moments of the latents' distribution.

use tch::{Kind, Tensor};

use super::blocks::{MidBlock, Stage, norm, stages};
use super::config::VaeConfig;
use crate::Result;
use crate::models::common::layers::{Activation, Conv2d, GroupNorm};
use crate::models::common::noise::Noise;
use crate::models::common::weights::Weights;

/// diffusers' `Encoder`, then `quant_conv`.
#[derive(Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    /// Each with the convolution that halves the resolution; the last has none.
    stages: Vec<(Stage, Option<Conv2d>)>,
    mid: MidBlock,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    quant: Option<Conv2d>,
}

impl Encoder {
    pub(super) fn new(w: &Weights, config: &VaeConfig) -> Result<Self> {
        let encoder = w.sub("encoder");
        let widths = &config.block_out_channels;
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let moments = 2 * config.latent_channels;
        let (blocks, layers) = (&encoder.sub("down_blocks"), config.layers_per_block);
        let (attends, conv) = (&config.down_attends, ("downsamplers.0.conv", 2, 0));
        let stages = stages(blocks, config, widths, layers, attends, conv)?;
        let quant = || Conv2d::new(&w.sub("quant_conv"), moments, moments, 1, 1, 0);
        Ok(Self {
            conv_in: Conv2d::new(&encoder.sub("conv_in"), config.in_channels, first, 3, 1, 1)?,
            stages,
            mid: MidBlock::new(&encoder.sub("mid_block"), config, last)?,
            norm_out: norm(&encoder.sub("conv_norm_out"), config, last)?,
            conv_out: Conv2d::new(&encoder.sub("conv_out"), last, moments, 3, 1, 1)?,
            quant: config.use_quant_conv.then(quant).transpose()?,
        })
    }

    /// `[b, 3, height, width]` in [-1, 1] to `[b, 2 · latent_channels, height / f, width / f]`.
    pub(super) fn forward(&self, pixels: &Tensor) -> Tensor {
        // 1. down
        let mut x = self.conv_in.forward(pixels);
        for (stage, halve) in &self.stages {
            x = stage.forward(x);
            if let Some(halve) = halve {
                // One row and one column at the far sides.
                x = halve.forward(&x.constant_pad_nd([0, 1, 0, 1])); // [b, width, h / 2, w / 2]
            }
        }

        // 2. middle
        let x = self.mid.forward(&x);

        // 3. moments
        let x = self.conv_out.forward(&Activation::Silu.forward_(self.norm_out.forward(&x)));
        self.quant.as_ref().map(|quant| quant.forward(&x)).unwrap_or(x) // [b, 2 · latents, h, w]
    }
}

/// The distribution of the latents of an image.
#[derive(Debug)]
pub(crate) struct Posterior {
    pub(crate) mean: Tensor,
    pub(crate) std: Tensor,
}

impl Posterior {
    /// From means and logarithms of variances, one after the other in the channels.
    pub(super) fn new(moments: &Tensor) -> Self {
        let parts = moments.chunk(2, 1);
        // diffusers, `DiagonalGaussianDistribution`: the bounds are its.
        let std = (parts[1].clamp(-30.0, 20.0) * 0.5).exp();
        Self { mean: parts[0].shallow_clone(), std }
    }

    /// Latents drawn from the distribution.
    pub(crate) fn sample(&self, noise: &mut Noise) -> Tensor {
        let drawn = noise.normal_of(&self.mean.size(), self.mean.kind());
        &self.mean + &self.std * drawn.to_device(self.mean.device())
    }
}

/// An image's bytes as the network wants them: `[1, 3, height, width]` in [-1, 1].
pub(crate) fn pixels_in(image: &crate::Image) -> Tensor {
    let shape = [i64::from(image.height()), i64::from(image.width()), 3];
    let bytes = Tensor::from_slice(image.pixels()).reshape(shape); // [height, width, 3]
    let unit = bytes.to_kind(Kind::Float) / 255.0;
    (unit * 2.0 - 1.0).permute([2, 0, 1]).unsqueeze(0) // [1, 3, height, width]
}
