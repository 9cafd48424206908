//! Noisy latents, a time and a caption to the noise in the latents: diffusers'
//! `PixArtTransformer2DModel`.

use tch::{Device, Kind, Tensor};

use super::adaln::{AdaLayerNormSingle, Times, modulate};
use super::block::{Block, KeyValue};
use super::config::PixArtConfig;
use super::patches::{PatchEmbed, unpatch};
use crate::Result;
use crate::models::common::layers::{Activation, Linear, TimestepEmbedding};
use crate::models::common::weights::Weights;

/// `PixArtTransformer2DModel`'s own, in no config.
const LAST_NORM_EPS: f64 = 1e-6;

/// The network that takes the noise out of latents.
#[derive(Debug)]
pub(crate) struct PixArtTransformer {
    pub(crate) config: PixArtConfig,
    pub(super) patches: PatchEmbed,
    pub(super) adaln: AdaLayerNormSingle,
    /// The text encoder's states to the tokens' width.
    pub(super) caption_projection: Option<TimestepEmbedding>,
    pub(super) blocks: Vec<Block>,
    /// `[2, width]`.
    scale_shift_table: Tensor,
    proj_out: Linear,
    device: Device,
    kind: Kind,
}

/// A caption as every step reads it: its keys and values in each block.
#[derive(Debug)]
pub(crate) struct Caption(Vec<KeyValue>);

impl PixArtTransformer {
    /// From a folder with `config.json` and the weights.
    #[cfg(test)]
    pub(crate) fn load(folder: &std::path::Path, device: Device, kind: Kind) -> Result<Self> {
        let config = PixArtConfig::read(&folder.join("config.json"))?;
        Self::new(&Weights::open(folder, device, kind)?, &config)
    }

    /// The transformer that is the whole of `weights`.
    pub(crate) fn new(weights: &Weights, config: &PixArtConfig) -> Result<Self> {
        let width = config.width();
        let projection = config.caption_channels.map(|channels| {
            let weights = weights.sub("caption_projection");
            TimestepEmbedding::new(&weights, channels, width, Activation::GeluPytorchTanh)
        });
        let blocks = weights.sub("transformer_blocks");
        let blocks = (0..config.num_layers).map(|i| Block::new(&blocks.sub(i), config));
        let values = config.patch_size.pow(2) * config.out_channels;
        Ok(Self {
            patches: PatchEmbed::new(&weights.sub("pos_embed"), config)?,
            adaln: AdaLayerNormSingle::new(&weights.sub("adaln_single"), config)?,
            caption_projection: projection.transpose()?,
            blocks: blocks.collect::<Result<_>>()?,
            scale_shift_table: weights.get("scale_shift_table", &[2, width])?,
            proj_out: Linear::new(&weights.sub("proj_out"), width, values)?,
            device: weights.device(),
            kind: weights.kind(),
            config: config.clone(),
        })
    }

    /// What `timesteps` in [0, 1000], one a step, do.
    pub(crate) fn times(&self, timesteps: &[f64]) -> Times {
        tch::no_grad(|| self.adaln.times(timesteps))
    }

    /// A caption of the text encoder's `states`, `[1, tokens, text_width]`, for every step.
    pub(crate) fn caption(&self, states: &Tensor) -> Caption {
        tch::no_grad(|| {
            let states = states.to_device(self.device).to_kind(self.kind);
            let states = match &self.caption_projection {
                Some(projection) => projection.forward(&states), // [1, tokens, width]
                None => states,
            };
            Caption(self.blocks.iter().map(|block| block.attn2.read(&states)).collect())
        })
    }

    /// The positions of `rows` · `columns` tokens, for every step: `[1, tokens, width]`.
    pub(crate) fn positions(&self, rows: i64, columns: i64) -> Tensor {
        self.patches.positions(rows, columns)
    }

    /// What is said of `latents`, `[b, in_channels, h, w]`, at `step` of `times`:
    /// `[b, out_channels, h, w]`. Each of the batch has its own of `captions`; `positions` are those
    /// of its tokens.
    pub(crate) fn forward(
        &self,
        latents: &Tensor,
        times: &Times,
        step: usize,
        captions: &[&Caption],
        positions: &Tensor,
    ) -> Tensor {
        tch::no_grad(|| {
            let latents = latents.to_device(self.device).to_kind(self.kind);
            let (patch, step) = (self.config.patch_size, step as i64);
            let [rows, columns] = [2, 3].map(|side| latents.size()[side] / patch);

            // 1. patches to tokens
            let mut tokens = self.patches.forward(&latents, positions); // [b, tokens, width]

            // 2. the blocks
            let modulations = times.blocks.get(step); // [6, width]
            for (i, block) in self.blocks.iter().enumerate() {
                let captions: Vec<_> = captions.iter().map(|Caption(read)| &read[i]).collect();
                tokens = block.forward(&tokens, &modulations, &captions);
            }

            // 3. tokens to patches
            let vectors = (&self.scale_shift_table + times.last.get(step)).unbind(0);
            let tokens = modulate(&tokens, &vectors[0], &vectors[1], LAST_NORM_EPS);
            unpatch(&self.proj_out.forward(&tokens), rows, columns, patch) // [b, out_channels, h, w]
        })
    }
}
