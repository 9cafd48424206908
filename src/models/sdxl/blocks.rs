//! An image of features to one of half or twice the size: the blocks of the UNet on the way down,
//! in the middle and on the way up.

use tch::Tensor;

use super::attention::{Conditions, CrossAttention, Site, Transformer2D};
use super::config::UNetConfig;
use super::layout::BlockConfig;
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
    /// `DownBlock2D` or `CrossAttnDownBlock2D`.
    pub(crate) fn down(
        config: &UNetConfig,
        block: &BlockConfig,
        weights: &Weights,
        place: &str,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let padding = config.downsample_padding;
        let resample = (weights.sub("downsamplers.0.conv"), 2, padding);
        Self::new(config, block, weights, place, 1.0, Some(resample), sites)
            .map(|built| Self { pad: 1 - padding.min(1), ..built })
    }

    /// `UNetMidBlock2DCrossAttn` or `UNetMidBlock2D`.
    pub(crate) fn mid(
        config: &UNetConfig,
        block: &BlockConfig,
        weights: &Weights,
        place: &str,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        Self::new(config, block, weights, place, config.mid_block_scale_factor, None, sites)
    }

    /// `UpBlock2D` or `CrossAttnUpBlock2D`.
    pub(crate) fn up(
        config: &UNetConfig,
        block: &BlockConfig,
        weights: &Weights,
        place: &str,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let resample = (weights.sub("upsamplers.0.conv"), 1, 1);
        Self::new(config, block, weights, place, 1.0, Some(resample), sites)
    }

    fn new(
        config: &UNetConfig,
        block: &BlockConfig,
        weights: &Weights,
        place: &str,
        scale_factor: f64,
        resample: Option<(Weights, i64, i64)>,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let channels = block.channels;
        let resnets = block.inputs.iter().enumerate().map(|(i, &inputs)| {
            let weights = weights.sub(format!("resnets.{i}"));
            Resnet::new(config, &weights, [inputs, channels], scale_factor)
        });
        let transformers = block.transformers.iter().enumerate().map(|(i, &depth)| {
            let name = format!("attentions.{i}");
            let place = format!("{place}.{name}");
            Transformer2D::new(config, block, depth, &weights.sub(name), &place, sites)
        });
        let resample = resample.filter(|_| block.resamples).map(|(weights, stride, padding)| {
            Conv2d::new(&weights, channels, channels, 3, stride, padding)
        });
        Ok(Self {
            resnets: resnets.collect::<Result<_>>()?,
            transformers: transformers.collect::<Result<_>>()?,
            resample: resample.transpose()?,
            pad: 0,
        })
    }

    /// The way down: what each layer gives is also pushed onto `skips`.
    pub(crate) fn forward_down(
        &self,
        x: Tensor,
        conditions: Conditions<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        let mut x = x;
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
        x: Tensor,
        conditions: Conditions<'_>,
        skips: &mut Vec<Tensor>,
    ) -> Tensor {
        let mut x = x;
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = match skips.pop() {
                Some(skip) => Tensor::cat(&[x, skip], 1), // [b, inputs, h, w]
                None => x,
            };
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
