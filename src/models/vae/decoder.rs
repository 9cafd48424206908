//! Latents to pixels.

use tch::{Kind, Tensor};

use super::blocks::{MidBlock, Stage, norm, stages};
use super::config::VaeConfig;
use crate::models::common::free_memory::trim_heap;
use crate::models::common::layers::{Activation, Conv2d, GroupNorm};
use crate::models::common::weights::Weights;
use crate::{Image, Result};

/// `post_quant_conv`, then diffusers' `Decoder`.
#[derive(Debug)]
pub(super) struct Decoder {
    post_quant: Option<Conv2d>,
    conv_in: Conv2d,
    mid: MidBlock,
    /// Each with the convolution after the resolution is doubled; the last has none.
    stages: Vec<(Stage, Option<Conv2d>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub(super) fn new(w: &Weights, config: &VaeConfig) -> Result<Self> {
        let decoder = w.sub("decoder");
        let widths: Vec<_> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let latents = config.latent_channels;
        let (blocks, layers) = (&decoder.sub("up_blocks"), config.layers_per_block + 1);
        let (attends, conv) = (&config.up_attends, ("upsamplers.0.conv", 1, 1));
        let stages = stages(blocks, config, &widths, layers, attends, conv)?;
        let quant = || Conv2d::new(&w.sub("post_quant_conv"), latents, latents, 1, 1, 0);
        Ok(Self {
            post_quant: config.use_post_quant_conv.then(quant).transpose()?,
            conv_in: Conv2d::new(&decoder.sub("conv_in"), latents, first, 3, 1, 1)?,
            mid: MidBlock::new(&decoder.sub("mid_block"), config, first)?,
            stages,
            norm_out: norm(&decoder.sub("conv_norm_out"), config, last)?,
            conv_out: Conv2d::new(&decoder.sub("conv_out"), last, config.out_channels, 3, 1, 1)?,
        })
    }

    /// `[b, latent_channels, h, w]` to `[b, 3, f · h, f · w]`.
    pub(super) fn forward(&self, latents: &Tensor) -> Tensor {
        // 1. middle
        let x = self.post_quant.as_ref().map(|quant| quant.forward(latents));
        let x = self.conv_in.forward(x.as_ref().unwrap_or(latents));
        let mut x = self.mid.forward(&x);

        // 2. up
        for (stage, double) in &self.stages {
            x = stage.forward(x);
            // What comes now is four times as large, and fits nothing that was left.
            trim_heap(x.device());
            if let Some(double) = double {
                let (_, _, h, w) = x.size4().unwrap_or_default();
                x = double.forward(&x.upsample_nearest2d([2 * h, 2 * w], None, None)); // [b, width, 2h, 2w]
            }
        }

        // 3. pixels
        self.conv_out.forward(&Activation::Silu.forward_(self.norm_out.forward(&x))) // [b, 3, height, width]
    }
}

/// The first of `[b, 3, height, width]` in [-1, 1] as an image; what lies outside is clipped.
pub(crate) fn image_of(pixels: &Tensor) -> Result<Image> {
    let (_, _, height, width) = pixels.size4().unwrap_or_default();
    // 1. in the network's type, as diffusers' `denormalize` does
    let unit = (pixels.get(0) * 0.5 + 0.5).clamp(0.0, 1.0).to_kind(Kind::Float);
    // 2. bytes, the nearest, an even one of two
    let bytes = (unit.permute([1, 2, 0]) * 255.0).round().to_kind(Kind::Uint8).contiguous(); // [height, width, 3]
    let mut data = vec![0; (3 * height * width) as usize];
    let count = data.len();
    bytes.to_device(tch::Device::Cpu).copy_data(&mut data, count);
    Image::new(width as u32, height as u32, data)
}
