//! Noisy latents, a time and text to the flow of the latents: diffusers' `FluxTransformer2DModel`.

use tch::{Device, Kind, Tensor};

use super::branch::Sequence;
use super::condition::Condition;
use super::config::FluxConfig;
use super::double::DoubleBlock;
use super::embedding::TimeTextEmbedding;
use super::lora::{Lora, Projection, Site};
use super::modulation::{AdaLayerNorm, Modulations};
use super::rope::{Position, Rope, text_positions};
use super::single::SingleBlock;
use crate::Result;
use crate::models::common::layers::Linear;
use crate::models::common::weights::Weights;

/// The network that takes the noise out of latents.
#[derive(Debug)]
pub(crate) struct FluxTransformer {
    pub(super) config: FluxConfig,
    time_text_embed: TimeTextEmbedding,
    context_embedder: Linear,
    x_embedder: Projection,
    pub(super) double: Vec<DoubleBlock>,
    pub(super) single: Vec<SingleBlock>,
    norm_out: Linear,
    proj_out: Linear,
    sites: Vec<Site>,
    device: Device,
    kind: Kind,
}

/// A prompt as every step reads it.
#[derive(Debug)]
pub(crate) struct Prompt {
    /// `[b, tokens, width]`.
    pub(super) tokens: Tensor,
    /// What the pooled prompt adds to the time, `[b, width]`.
    pooled: Tensor,
}

/// What the times of all steps do, found before the first: a step brings nothing to the device, and
/// the weights that read a time are read once.
#[derive(Debug)]
pub(crate) struct Times(Vec<Time>);

/// What one of them does.
#[derive(Debug)]
struct Time {
    text: Modulations,
    image: Modulations,
    /// To the image after the last block.
    out: AdaLayerNorm,
}

/// Where the tokens of a pass are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(super) text: Rope,
    pub(super) image: Rope,
}

impl FluxTransformer {
    /// From a folder with `config.json` and the weights.
    #[cfg(test)]
    pub(crate) fn load(folder: &std::path::Path, device: Device, kind: Kind) -> Result<Self> {
        let config = FluxConfig::read(&folder.join("config.json"))?;
        Self::new(&Weights::open(folder, device, kind)?, &config)
    }

    /// The transformer that is the whole of `weights`.
    pub(crate) fn new(weights: &Weights, config: &FluxConfig) -> Result<Self> {
        let (c, width, sites) = (config, config.width(), &mut Vec::new());
        let linear = |name: &str, inputs, outputs| Linear::new(&weights.sub(name), inputs, outputs);
        let x_embedder = Projection::new(&weights.sub("x_embedder"), c.in_channels, width, sites)?;
        let place = |way: &str, i: usize| weights.sub(format!("{way}.{i}"));
        let double = (0..c.num_layers as usize)
            .map(|i| DoubleBlock::new(&place("transformer_blocks", i), c, i, sites))
            .collect::<Result<_>>()?;
        let single = (0..c.num_single_layers as usize)
            .map(|i| SingleBlock::new(&place("single_transformer_blocks", i), c, i, sites))
            .collect::<Result<_>>()?;
        Ok(Self {
            time_text_embed: TimeTextEmbedding::new(&weights.sub("time_text_embed"), c)?,
            context_embedder: linear("context_embedder", c.joint_attention_dim, width)?,
            x_embedder,
            double,
            single,
            norm_out: linear("norm_out.linear", width, 2 * width)?,
            proj_out: linear("proj_out", width, c.out_channels)?,
            sites: std::mem::take(sites),
            device: weights.device(),
            kind: weights.kind(),
            config: config.clone(),
        })
    }

    /// The linear layers that a LoRA may name, by their number.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The text's `states`, `[b, tokens, joint_attention_dim]`, and the `pooled` prompt,
    /// `[b, pooled_projection_dim]`, for every step.
    pub(crate) fn prompt(&self, states: &Tensor, pooled: &Tensor) -> Prompt {
        let [states, pooled] =
            [states, pooled].map(|x| x.to_device(self.device).to_kind(self.kind));
        let tokens = self.context_embedder.forward(&states); // [b, tokens, width]
        Prompt { tokens, pooled: self.time_text_embed.text(&pooled) }
    }

    /// The places of `text` tokens and of an image's, for every step.
    pub(crate) fn places(&self, text: i64, image: &[Position]) -> Places {
        Places { text: self.rope(&text_positions(text)), image: self.rope(image) }
    }

    /// The rotations of `positions`.
    pub(crate) fn rope(&self, positions: &[Position]) -> Rope {
        Rope::new(positions, self.config.axes_dims_rope, self.device)
    }

    /// What `timesteps` in [0, 1000], one a step, do beside `prompt`. `guidance` counts only where
    /// the network is told it.
    pub(crate) fn times(&self, timesteps: &[f64], guidance: f64, prompt: &Prompt) -> Times {
        tch::no_grad(|| self.modulate(&self.embed_times(timesteps, guidance, prompt)))
    }

    /// What each of `times`, `[steps, b, width]`, does to text and image.
    pub(super) fn modulate(&self, times: &Tensor) -> Times {
        let text = self.text_modulations(times).into_iter();
        let image = self.modulations(times, None).into_iter();
        let out = AdaLayerNorm::of(&self.norm_out, times).into_iter();
        let time = |((text, image), out)| Time { text, image, out };
        Times(text.zip(image).zip(out).map(time).collect())
    }

    /// The vectors of `timesteps` in [0, 1000], with the prompt and the guidance where the network is
    /// told it: `[steps, b, width]`.
    pub(super) fn embed_times(&self, timesteps: &[f64], guidance: f64, prompt: &Prompt) -> Tensor {
        self.time_text_embed.forward(timesteps, guidance, &prompt.pooled)
    }

    /// What each of `times` does to the text.
    pub(super) fn text_modulations(&self, times: &Tensor) -> Vec<Modulations> {
        let double = self.double.iter().map(|block| block.modulate_text(times)).collect();
        Modulations::by_time(double, Vec::new())
    }

    /// What each of `times` does to a branch that goes through the image's weights.
    pub(super) fn modulations(&self, times: &Tensor, lora: Option<&Lora>) -> Vec<Modulations> {
        let double = self.double.iter().map(|block| block.modulate_image(times, lora)).collect();
        let single = self.single.iter().map(|block| block.modulate(times, lora)).collect();
        Modulations::by_time(double, single)
    }

    /// Packed latents, `[b, tokens, in_channels]`, to tokens `[b, tokens, width]`.
    pub(crate) fn embed(&self, latents: &Tensor, lora: Option<&Lora>) -> Tensor {
        self.x_embedder.forward(&latents.to_device(self.device).to_kind(self.kind), lora)
    }

    /// The flow of packed `latents`, `[b, tokens, in_channels]`, at `step` of `times`:
    /// `[b, tokens, out_channels]`. Both `times` and `condition` are of this `prompt`.
    pub(crate) fn forward(
        &self,
        latents: &Tensor,
        times: &Times,
        step: usize,
        prompt: &Prompt,
        places: &Places,
        condition: Option<&Condition<'_>>,
    ) -> Tensor {
        let beside = |block| condition.map(|one| one.beside(block)).unwrap_or_default();
        tch::no_grad(|| {
            // 1. text and image side by side, the condition after the image
            let time = &times.0[step];
            let tokens = prompt.tokens.shallow_clone();
            let mut text = Sequence::new(tokens, &places.text, &time.text, None);
            let tokens = self.embed(latents, None); // [b, tokens, width]
            let mut image = Sequence::new(tokens, &places.image, &time.image, None);
            if let Some(condition) = condition.and_then(Condition::in_pass) {
                image = image.join(condition);
            }
            for (i, block) in self.double.iter().enumerate() {
                block.forward(&mut text, &mut image, beside(i));
            }

            // 2. one sequence, in which text and image are one branch
            let (text_tokens, image_tokens) = (text.branches[0].tokens, image.branches[0].tokens);
            image.branches[0].tokens += text_tokens;
            text.branches.clear();
            let mut all = text.join(image);
            for (i, block) in self.single.iter().enumerate() {
                block.forward(&mut all, beside(self.double.len() + i));
            }

            // 3. the image's part to its flow
            let tokens = all.tokens.narrow(1, text_tokens, image_tokens);
            self.proj_out.forward(&time.out.forward(&tokens)) // [b, tokens, out_channels]
        })
    }
}
