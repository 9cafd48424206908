//! An image of features to one of half or twice the size: the blocks of the UNet on the way down,
//! in the middle and on the way up.

use tch::Tensor;

use super::attention::{Conditions, CrossAttention, Site, Transformer2D};
use super::config::UNetConfig;
use super::layout::{BlockConfig, Way};
use super::resnet::Resnet;
use crate::Result;
use crate::models::common::layers::Conv2d;
use crate::models::common::weights::Weights;

/// Residual layers, the transformers between or after them, and a resampling.
#[derive(Debug)]
pub(crate) struct Block {
    pub(super) resnets: Vec<Resnet>,
    pub(super) transformers: Vec<Transformer2D>,
    resample: Option<Conv2d>,
    /// Pixels of zeros to the right and below before a downsampling that pads none itself.
    pad: i64,
}

impl Block {
    /// The block at `weights`, whose sites are appended to `sites`.
    pub(crate) fn new(
        config: &UNetConfig,
        block: &BlockConfig,
        weights: &Weights,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let padding = config.downsample_padding;
        let (scale_factor, resample, pad) = match block.way {
            Way::Down => (1.0, Some(("downsamplers", 2, padding)), 1 - padding.min(1)),
            Way::Mid => (config.mid_block_scale_factor, None, 0),
            Way::Up => (1.0, Some(("upsamplers", 1, 1)), 0),
        };
        let channels = block.channels;
        let resnets = block.inputs.iter().enumerate().map(|(i, &inputs)| {
            let weights = weights.sub(format!("resnets.{i}"));
            Resnet::new(config, &weights, [inputs, channels], scale_factor)
        });
        let transformers = block.transformers.iter().enumerate().map(|(i, &depth)| {
            let weights = weights.sub(format!("attentions.{i}"));
            Transformer2D::new(config, block, depth, &weights, sites)
        });
        let resample = resample.filter(|_| block.resamples).map(|(name, stride, padding)| {
            let weights = weights.sub(format!("{name}.0.conv"));
            Conv2d::new(&weights, channels, channels, 3, stride, padding)
        });
        Ok(Self {
            resnets: resnets.collect::<Result<_>>()?,
            transformers: transformers.collect::<Result<_>>()?,
            resample: resample.transpose()?,
            pad,
        })
    }

    /// The way down: what each layer gives is also pushed onto `skips`.
    pub(crate) fn forward_down(
        &self,
        mut x: Tensor,
        conditions: Conditions<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(&x, conditions.time);
            if let Some(transformer) = self.transformers.get(i) {
                x = transformer.forward(&x, conditions);
            }
            skips.push(x.shallow_clone());
        }
        if let Some(conv) = &self.resample {
            if self.pad > 0 {
                x = x.constant_pad_nd([0, self.pad, 0, self.pad]);
            }
            x = conv.forward(&x); // [b, channels, h/2, w/2]
            skips.push(x.shallow_clone());
        }
        x
    }

    /// The middle: a residual layer, then a transformer and a residual layer in turn.
    pub(crate) fn forward_mid(&self, x: &Tensor, conditions: Conditions<'_>) -> Tensor {
        let mut x = self.resnets[0].forward(x, conditions.time);
        for (transformer, resnet) in self.transformers.iter().zip(&self.resnets[1..]) {
            x = transformer.forward(&x, conditions);
            x = resnet.forward(&x, conditions.time);
        }
        x
    }

    /// The way up: each layer also takes what is popped from `skips`.
    pub(crate) fn forward_up(
        &self,
        mut x: Tensor,
        conditions: Conditions<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        for (i, resnet) in self.resnets.iter().enumerate() {
            if let Some(skip) = skips.pop() {
                x = Tensor::cat(&[x, skip], 1); // [b, inputs, h, w]
            }
            x = resnet.forward(&x, conditions.time);
            if let Some(transformer) = self.transformers.get(i) {
                x = transformer.forward(&x, conditions);
            }
        }
        if let Some(conv) = &self.resample {
            // As large as what comes next, which is not twice as large where a side was odd.
            let size = skips.last().map_or_else(
                || x.size()[2..].iter().map(|side| 2 * side).collect(),
                |skip| skip.size()[2..].to_vec(),
            );
            x = conv.forward(&x.upsample_nearest2d(size, None, None)); // [b, channels, 2h, 2w]
        }
        x
    }

    pub(super) fn cross_attentions(&self) -> impl Iterator<Item = &CrossAttention> {
        self.transformers.iter().flat_map(Transformer2D::cross_attentions)
    }
}
