//! Noisy latents, a time and text to the flow of the latents: diffusers' `FluxTransformer2DModel`.

use tch::{Device, Kind, Tensor};

use super::branch::Branch;
use super::condition::Condition;
use super::config::FluxConfig;
use super::double::DoubleBlock;
use super::embedding::TimeTextEmbedding;
use super::lora::{Lora, Projection, Site};
use super::modulation::{Modulations, scale_and_shift};
use super::rope::{Position, Rope, text_positions};
use super::single::SingleBlock;
use crate::Result;
use crate::models::layers::Linear;
use crate::models::weights::Weights;

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

/// Where the tokens of a pass are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(super) text: Rope,
    pub(super) image: Rope,
    /// Both, one after the other.
    pub(super) joined: Rope,
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
        let places = |way: &str, count: i64| {
            let list: Vec<_> = (0..count).map(|i| weights.sub(format!("{way}.{i}"))).collect();
            list.into_iter().enumerate()
        };
        Ok(Self {
            time_text_embed: TimeTextEmbedding::new(&weights.sub("time_text_embed"), c)?,
            context_embedder: linear("context_embedder", c.joint_attention_dim, width)?,
            x_embedder,
            double: places("transformer_blocks", c.num_layers)
                .map(|(i, place)| DoubleBlock::new(&place, c, i, sites))
                .collect::<Result<_>>()?,
            single: places("single_transformer_blocks", c.num_single_layers)
                .map(|(i, place)| SingleBlock::new(&place, c, i, sites))
                .collect::<Result<_>>()?,
            norm_out: linear("norm_out.linear", width, 2 * width)?,
            proj_out: linear("proj_out", width, c.out_channels())?,
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
        let (text, image) = (self.rope(&text_positions(text)), self.rope(image));
        Places { joined: Rope::join(&[&text, &image]), text, image }
    }

    /// The rotations of `positions`.
    pub(crate) fn rope(&self, positions: &[Position]) -> Rope {
        Rope::new(positions, self.config.axes_dims_rope, self.device)
    }

    /// The vector of `timestep` in [0, 1000], with the prompt and the guidance where the network is
    /// told it: `[b, width]`.
    pub(crate) fn time(&self, timestep: f64, guidance: f64, prompt: &Prompt) -> Tensor {
        self.time_text_embed.forward(timestep, guidance, &prompt.pooled)
    }

    /// What `time` does to a branch that goes through the image's weights.
    pub(crate) fn modulations(&self, time: &Tensor, lora: Option<&Lora>) -> Modulations {
        Modulations {
            double: self.double.iter().map(|block| block.modulate_image(time, lora)).collect(),
            single: self.single.iter().map(|block| block.modulate(time, lora)).collect(),
        }
    }

    /// Packed latents, `[b, tokens, in_channels]`, to tokens `[b, tokens, width]`.
    pub(crate) fn embed(&self, latents: &Tensor, lora: Option<&Lora>) -> Tensor {
        self.x_embedder.forward(&latents.to_device(self.device).to_kind(self.kind), lora)
    }

    /// The flow of packed `latents`, `[b, tokens, in_channels]`, at `timestep` in [0, 1000]:
    /// `[b, tokens, out_channels]`. `guidance` counts only where the network is told it.
    pub(crate) fn forward(
        &self,
        latents: &Tensor,
        timestep: f64,
        guidance: f64,
        prompt: &Prompt,
        places: &Places,
        condition: Option<&Condition<'_>>,
    ) -> Tensor {
        let beside = |block| condition.map(|one| one.beside(block)).unwrap_or_default();
        tch::no_grad(|| {
            // 1. the time, and what it does to text and image
            let time = self.time(timestep, guidance, prompt);
            let text = Modulations {
                double: self.double.iter().map(|block| block.modulate_text(&time)).collect(),
                single: Vec::new(),
            };
            let image = self.modulations(&time, None);

            // 2. text and image side by side, and the condition
            let branch =
                |tokens, rope, modulations| Branch { tokens, rope, modulations, lora: None };
            let mut branches = vec![
                branch(prompt.tokens.shallow_clone(), &places.text, &text),
                branch(self.embed(latents, None), &places.image, &image),
            ];
            branches.extend(condition.and_then(Condition::in_pass));
            for (i, block) in self.double.iter().enumerate() {
                block.forward(&mut branches, beside(i));
            }

            // 3. text and image as one
            let text_tokens = prompt.tokens.size()[1];
            let tokens: Vec<_> = branches.drain(..2).map(|branch| branch.tokens).collect();
            let tokens = Tensor::cat(&tokens, 1); // [b, text + tokens, width]
            branches.insert(0, branch(tokens, &places.joined, &image));
            for (i, block) in self.single.iter().enumerate() {
                block.forward(&mut branches, beside(self.double.len() + i));
            }

            // 4. the image's part to its flow
            let tokens = branches[0].tokens.narrow(1, text_tokens, latents.size()[1]);
            self.flow(&tokens, &time) // [b, tokens, out_channels]
        })
    }

    /// The image's last tokens, `[b, tokens, width]`, to their flow.
    fn flow(&self, tokens: &Tensor, time: &Tensor) -> Tensor {
        let parts = self.norm_out.forward(time).unsqueeze(1).chunk(2, 2); // [b, 1, width] each
        let [scale, shift] = [&parts[0], &parts[1]];
        self.proj_out.forward(&scale_and_shift(tokens, scale, shift)) // [b, tokens, out_channels]
    }
}
