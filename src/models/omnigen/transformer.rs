//! Noisy latents behind a prompt with pictures to their flow: diffusers'
//! `OmniGenTransformer2DModel`.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::block::{Block, Qkv};
use super::conditions::Conditions;
use super::config::{OmniGenConfig, TimeConfig};
use super::patches::{PatchEmbedding, unpatch};
use super::rope::{Positions, Rope};
use crate::Result;
use crate::models::common::layers::{Embedding, Linear, RmsNorm, TimestepEmbedding};
use crate::models::common::math::timestep_embedding;
use crate::models::common::weights::Weights;

/// diffusers' `AdaLayerNorm` as OmniGen calls it, in no config.
const EPS: f64 = 1e-6;

/// The network that makes latents of noise.
#[derive(Debug)]
pub(crate) struct OmniGenTransformer {
    config: OmniGenConfig,
    tokens: Embedding,
    pub(super) patches: PatchEmbedding,
    time_token: TimestepEmbedding,
    t_embedder: TimestepEmbedding,
    pub(super) blocks: Vec<Block>,
    norm: RmsNorm,
    norm_out: Linear,
    proj_out: Linear,
    pub(super) device: Device,
    pub(super) kind: Kind,
}

/// What the times of all steps become, before the first.
#[derive(Debug)]
pub(crate) struct Times {
    /// What stands before the noise, `[steps, width]`.
    pub(super) tokens: Tensor,
    /// What shifts and scales the noise at the end, `[steps, 2, width]`; 1 is added to the scale.
    pub(super) out: Tensor,
}

/// Where the tokens of an image of `rows` by `columns` are.
#[derive(Debug)]
pub(crate) struct Canvas {
    rows: i64,
    columns: i64,
    pub(super) positions: Tensor,
}

impl Canvas {
    /// Tokens of the image.
    pub(crate) const fn tokens(&self) -> i64 {
        self.rows * self.columns
    }
}

impl OmniGenTransformer {
    /// The transformer that is the whole of `weights`.
    pub(crate) fn new(weights: &Weights, config: &OmniGenConfig) -> Result<Self> {
        let (c, names, width) = (config, &config.names, config.hidden_size);
        let layers = weights.sub(names.layers);
        let blocks = (0..c.num_layers).map(|i| Block::new(&layers.sub(i), c));
        let time = |[first, second]: [&str; 2]| {
            let layers = [weights.sub(first), weights.sub(second)];
            TimestepEmbedding::of(&layers, c.time.waves, width, c.time.activation)
        };
        let outputs = c.patch_size.pow(2) * c.in_channels;
        Ok(Self {
            tokens: Embedding::new(&weights.sub(names.embed_tokens), c.vocab_size, width)?,
            patches: PatchEmbedding::new(weights, c)?,
            time_token: time(names.time_token)?,
            t_embedder: time(names.t_embedder)?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: RmsNorm::new(&weights.sub(names.norm), width, c.rms_norm_eps)?,
            norm_out: Linear::new(&weights.sub(names.norm_out), width, 2 * width)?,
            proj_out: Linear::new(&weights.sub(names.proj_out), width, outputs)?,
            device: weights.device(),
            kind: weights.kind(),
            config: config.clone(),
        })
    }

    /// What it is built from.
    pub(crate) const fn config(&self) -> &OmniGenConfig {
        &self.config
    }

    /// Token numbers, which are below `vocab_size`, to tokens `[1, tokens, width]`.
    pub(super) fn embed(&self, ids: &[i64]) -> Tensor {
        self.tokens.forward(&Tensor::from_slice(ids).unsqueeze(0).to_device(self.device))
    }

    /// The rotations of the tokens at `places` in a row.
    pub(super) fn rope(&self, positions: Positions, places: Range<i64>) -> Rope {
        Rope::new(&self.config.rope, positions, places, self.device)
    }

    /// An image of `rows` by `columns` tokens.
    pub(crate) fn canvas(&self, rows: i64, columns: i64) -> Result<Canvas> {
        Ok(Canvas { rows, columns, positions: self.patches.positions(rows, columns)? })
    }

    /// What the times of all steps become.
    pub(crate) fn times(&self, times: &[f64]) -> Times {
        let &TimeConfig { waves, cos_first, shift, .. } = &self.config.time;
        tch::no_grad(|| {
            let steps = Tensor::from_slice(times).to_device(self.device);
            let waves = timestep_embedding(&steps, waves, cos_first, shift).to_kind(self.kind); // [steps, waves]
            let out = self.norm_out.forward(&self.t_embedder.forward(&waves).silu());
            Times { tokens: self.time_token.forward(&waves), out: out.unflatten(1, [2, -1]) }
        })
    }

    /// The flow of noisy `latents`, `[n, c, h, w]`, behind the rows of `conditions`: as many of the first
    /// latents as there are latents, then as many of another kind. `[rows, c, h, w]`.
    pub(crate) fn forward(
        &self,
        latents: &Tensor,
        step: usize,
        times: &Times,
        canvas: &Canvas,
        conditions: &Conditions,
    ) -> Result<Tensor> {
        tch::no_grad(|| {
            // 1. noise, which is the same in all rows of a latent up to the first rotation
            let noise = self.patches.noise(latents, &canvas.positions);
            let copies = conditions.rows() / noise.size()[0];
            let for_rows = |x: Tensor| x.repeat([&[copies][..], &vec![1; x.dim() - 1]].concat());
            let mut first = self.blocks.first().map(|block| block.project(&noise).map(for_rows));
            let mut x = for_rows(noise); // [rows, tokens, width]

            // 2. the blocks: each row reads its own condition, all go through the weights together
            for (i, block) in self.blocks.iter().enumerate() {
                let qkv = first.take().unwrap_or_else(|| block.project(&x));
                let read = conditions.read(i, step, Qkv::new(qkv, &conditions.rope))?;
                x = block.after(&x, &read);
            }

            // 3. tokens to their flow
            let x = self.modulate(&self.norm.forward(&x), step as i64, times);
            let flow = self.proj_out.forward(&x); // [rows, tokens, p · p · c]
            Ok(unpatch(&flow, canvas.rows, canvas.columns, self.config.patch_size)) // [rows, c, h, w]
        })
    }

    /// Tokens, `[rows, tokens, width]`, to mean 0 and variance 1, then scaled and shifted as the time
    /// says.
    pub(super) fn modulate(&self, x: &Tensor, step: i64, times: &Times) -> Tensor {
        let out = times.out.select(0, step);
        let (shift, scale) = (out.select(0, 0), out.select(0, 1) + 1.0);
        x.layer_norm([self.config.hidden_size], Some(&scale), Some(&shift), EPS, true)
    }
}
