//! Noisy latents, a timestep and what to draw to the noise in them: diffusers' `UNet2DConditionModel`.

use tch::{Device, Kind, Tensor};

use super::attention::{Conditions, Site};
pub(crate) use super::attention::{ImageContext, TextContext};
use super::blocks::Block;
use super::config::{TimeConfig, UNetConfig};
use super::resnet::Resnet;
use super::time::{Time, Times};
use crate::Result;
use crate::models::common::inventory::Inventory;
use crate::models::common::layers::{Activation, Conv2d, GroupNorm, Linear, TimestepEmbedding};
use crate::models::common::math::{guidance_scale_embedding, timestep_embedding};
use crate::models::common::weights::Weights;

/// The vector of pooled text and sizes that is added to every timestep's; see [`UNet::added`].
#[derive(Debug)]
pub(crate) struct Added(Option<Tensor>);

/// The network that takes the noise out of latents.
#[derive(Debug)]
pub(crate) struct UNet {
    config: UNetConfig,
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    add_embedding: Option<TimestepEmbedding>,
    down: Vec<Block>,
    mid: Option<Block>,
    /// Of the guidance scale, to what is added to the sines and cosines of the timestep.
    cond_proj: Option<Linear>,
    up: Vec<Block>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    sites: Vec<Site>,
    device: Device,
    kind: Kind,
}

impl UNet {
    /// From a folder with `config.json` and the weights.
    #[cfg(test)]
    pub(crate) fn load(folder: &std::path::Path, device: Device, kind: Kind) -> Result<Self> {
        let config = UNetConfig::read(&folder.join("config.json"))?;
        Self::new(config, &Weights::open(folder, device, kind)?)
    }

    /// The names and shapes that a UNet of these settings asks for.
    pub(crate) fn inventory(config: UNetConfig) -> Result<Inventory> {
        let weights = Weights::recording();
        Self::new(config, &weights)?;
        Ok(weights.recorded())
    }

    pub(crate) fn new(config: UNetConfig, weights: &Weights) -> Result<Self> {
        let TimeConfig { input_dim: first, embed_dim, .. } = config.time;
        let (groups, eps, act) = (config.norm_num_groups, config.norm_eps, config.act_fn);
        let (c, sites) = (&config, &mut Vec::new());

        // The order of diffusers' registration, which numbers the sites: down, up, mid.
        let mut blocks = |way: &str, list: &[_]| {
            let places = (0..).map(|i| weights.sub(format!("{way}.{i}")));
            let blocks = list.iter().zip(places);
            blocks.map(|(block, place)| Block::new(c, block, &place, sites)).collect::<Result<_>>()
        };
        let (down, up) = (blocks("down_blocks", &config.down)?, blocks("up_blocks", &config.up)?);
        let mid = config.mid.as_ref();
        let mid = mid.map(|block| Block::new(c, block, &weights.sub("mid_block"), sites));

        let add_embedding = config.added.map(|added| {
            // Its activation is `TimestepEmbedding`'s default, whatever `act_fn` says.
            let weights = weights.sub("add_embedding");
            TimestepEmbedding::new(&weights, added.input_dim, embed_dim, Activation::Silu)
        });
        let conv = |name: &str, inputs, outputs, kernel| {
            Conv2d::new(&weights.sub(name), inputs, outputs, kernel, 1, (kernel - 1) / 2)
        };
        let (norm_out, time) = (&weights.sub("conv_norm_out"), &weights.sub("time_embedding"));
        let cond_proj = config.time.cond_proj_dim;
        let cond_proj =
            cond_proj.map(|width| Linear::no_bias(&time.sub("cond_proj"), width, first));
        let mut unet = Self {
            conv_in: conv("conv_in", config.in_channels, first, config.conv_in_kernel)?,
            time_embedding: TimestepEmbedding::new(time, first, embed_dim, act)?,
            add_embedding: add_embedding.transpose()?,
            cond_proj: cond_proj.transpose()?,
            conv_norm_out: GroupNorm::new(norm_out, groups, first, eps)?,
            conv_out: conv("conv_out", first, config.out_channels, config.conv_out_kernel)?,
            sites: std::mem::take(sites),
            device: weights.device(),
            kind: weights.kind(),
            down,
            mid: mid.transpose()?,
            up,
            config,
        };
        unet.resnets_mut().enumerate().for_each(|(number, resnet)| resnet.number = number);
        Ok(unet)
    }

    pub(crate) const fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// Where the UNet attends to text and references, in diffusers' order: down, up, mid.
    pub(crate) fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The keys and values of `text`, `[b, tokens, cross_attention_dim]`, for every step.
    pub(crate) fn text_context(&self, text: &Tensor) -> TextContext {
        let text = text.to_device(self.device).to_kind(self.kind);
        let blocks = self.down.iter().chain(&self.up).chain(&self.mid);
        let attentions = blocks.flat_map(Block::cross_attentions);
        let mut read: Vec<_> = attentions.map(|attention| attention.read(&text)).collect();
        read.sort_by_key(|(site, _)| *site);
        TextContext(read.into_iter().map(|(_, read)| read).collect())
    }

    /// The vector of the `pooled` text, `[b, pooled_dim]`, and of the sizes `time_ids`, `[b, n]`,
    /// for every step; nothing where the model takes none.
    pub(crate) fn added(&self, pooled: &Tensor, time_ids: &Tensor) -> Added {
        let Some((embedding, added)) = self.add_embedding.as_ref().zip(self.config.added) else {
            return Added(None);
        };
        let time = TimeConfig { input_dim: added.time_embed_dim, ..self.config.time };
        let ids = time_ids.to_device(self.device).flatten(0, 1); // [b · n]
        let waves = time.waves(&ids).view([time_ids.size()[0], -1]); // [b, n · time_embed_dim]
        let pooled = pooled.to_device(self.device).to_kind(Kind::Float);
        let both = Tensor::cat(&[pooled, waves], 1).to_kind(self.kind); // [b, input_dim]
        Added(Some(embedding.forward(&both)))
    }

    /// What every one of `timesteps`, in 0 to 999, does to the residual layers, with what is `added`
    /// and the `guidance` scale, which counts where the config has `time_cond_proj_dim`.
    pub(crate) fn times(&self, timesteps: &[f64], added: &Added, guidance: f64) -> Times {
        tch::no_grad(|| {
            let steps = Tensor::from_slice(timesteps).to_kind(Kind::Float).to_device(self.device);
            let mut waves = self.config.time.waves(&steps).to_kind(self.kind); // [steps, input_dim]
            if let Some((linear, dim)) = self.cond_proj.as_ref().zip(self.config.time.cond_proj_dim)
            {
                let scale = guidance_scale_embedding(guidance, dim, self.device); // [1, dim]
                waves += linear.forward(&scale.to_kind(self.kind));
            }
            let times = self.time_embedding.forward(&waves).unsqueeze(1); // [steps, 1, embed_dim]
            let times = match &added.0 {
                Some(added) => times + added, // [steps, b, embed_dim]
                None => times,
            };
            self.project(&self.config.act_fn.forward_(times))
        })
    }

    /// `times`, `[steps, b or 1, embed_dim]`, as each residual layer takes them.
    fn project(&self, times: &Tensor) -> Times {
        Times(self.resnets().map(|resnet| resnet.times(times)).collect())
    }

    /// The noise in `sample`, `[b, in_channels, h, w]`, at one `time` of [`times`](Self::times), as
    /// `[b, out_channels, h, w]`. `time`, `text` and `image` hold the same batch. The host waits for
    /// nothing here.
    pub(crate) fn forward(
        &self,
        sample: &Tensor,
        time: Time<'_>,
        text: &TextContext,
        image: Option<&ImageContext>,
    ) -> Tensor {
        tch::no_grad(|| self.denoise(sample, Conditions { time, text, image }))
    }

    fn denoise(&self, sample: &Tensor, conditions: Conditions<'_>) -> Tensor {
        // 1. latents become features
        let sample = sample.to_device(self.device).to_kind(self.kind);
        let sample = if self.config.center_input_sample { sample * 2.0 - 1.0 } else { sample };
        let mut x = self.conv_in.forward(&sample); // [b, channels, h, w]

        // 2. down, noting what each layer gives
        let mut skips = vec![x.shallow_clone()];
        for block in &self.down {
            x = block.forward_down(x, conditions, &mut skips);
        }

        // 3. mid
        if let Some(mid) = &self.mid {
            x = mid.forward_mid(&x, conditions);
        }

        // 4. up, with what was noted
        for block in &self.up {
            x = block.forward_up(x, conditions, &mut skips);
        }

        // 5. features become noise
        let x = self.config.act_fn.forward_(self.conv_norm_out.forward(&x));
        self.conv_out.forward(&x).contiguous() // [b, out_channels, h, w]
    }

    fn resnets(&self) -> impl Iterator<Item = &Resnet> {
        let blocks = self.down.iter().chain(&self.up).chain(&self.mid);
        blocks.flat_map(|block| &block.resnets)
    }

    /// In the order of [`resnets`](Self::resnets).
    fn resnets_mut(&mut self) -> impl Iterator<Item = &mut Resnet> {
        let blocks = self.down.iter_mut().chain(&mut self.up).chain(&mut self.mid);
        blocks.flat_map(|block| &mut block.resnets)
    }
}

impl TimeConfig {
    /// Sines and cosines of `steps`, `[n]`, as `[n, input_dim]` in f32.
    fn waves(&self, steps: &Tensor) -> Tensor {
        timestep_embedding(steps, self.input_dim, self.flip_sin_to_cos, self.freq_shift)
    }
}

/// The config of stabilityai/stable-diffusion-xl-base-1.0, as published.
#[cfg(test)]
pub(crate) const SDXL_CONFIG: &str = r#"{
  "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.19.0.dev0", "act_fn": "silu",
  "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64,
  "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20],
  "block_out_channels": [320, 640, 1280], "center_input_sample": false, "class_embed_type": null,
  "class_embeddings_concat": false, "conv_in_kernel": 3, "conv_out_kernel": 3,
  "cross_attention_dim": 2048, "cross_attention_norm": null,
  "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  "downsample_padding": 1, "dual_cross_attention": false, "encoder_hid_dim": null,
  "encoder_hid_dim_type": null, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4,
  "layers_per_block": 2, "mid_block_only_cross_attention": null, "mid_block_scale_factor": 1,
  "mid_block_type": "UNetMidBlock2DCrossAttn", "norm_eps": 1e-05, "norm_num_groups": 32,
  "num_attention_heads": null, "num_class_embeds": null, "only_cross_attention": false,
  "out_channels": 4, "projection_class_embeddings_input_dim": 2816,
  "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": false,
  "resnet_time_scale_shift": "default", "sample_size": 128, "time_cond_proj_dim": null,
  "time_embedding_act_fn": null, "time_embedding_dim": null, "time_embedding_type": "positional",
  "timestep_post_act": null, "transformer_layers_per_block": [1, 2, 10],
  "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  "upcast_attention": null, "use_linear_projection": true
}"#;

#[cfg(test)]
mod tests;
