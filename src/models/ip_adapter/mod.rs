//! The image states of references to tokens, and those to keys and values for the UNet: both halves
//! of a released IP-Adapter-plus file.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::common::inventory::Inventory;
use super::common::json::require;
use super::common::layers::{LayerNorm, Linear};
use super::common::math::{attention, join_heads, split_heads};
use super::common::weights::Weights;
use super::sdxl::attention::{ImageContext, KeyValue, Site};
use super::sdxl::config::UNetConfig;
use super::sdxl::unet::UNet;
use crate::{Error, Result};

/// Width of each head: no file says it, and tencent's code and diffusers both take it for granted.
const HEAD_DIM: i64 = 64;
/// torch's default, which the resampler leaves as it is.
const EPS: f64 = 1e-5;

/// Names the tokens of the adapter in `file`, whose UNet reads text and tokens of width `dim`.
/// Conditioner and generator fit where they give the same name.
pub(crate) fn space(file: &Path, dim: i64) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    format!("ip-adapter-plus {stem} {dim}")
}

/// The names and shapes that `ip-adapter-plus_sdxl_vit-h` has for a UNet of these settings.
pub(crate) fn inventory(config: UNetConfig) -> Result<Inventory> {
    let dim = config.cross_attention_dim;
    let unet = UNet::new(config, &Weights::recording())?;
    let weights = Weights::recording();
    Resampler::new(&weights.sub("image_proj"), ResamplerDims::released(dim))?;
    ImageAttention::new(&weights.sub("ip_adapter"), unet.sites(), dim)?;
    Ok(weights.recorded())
}

/// The sizes of a resampler; its tensors tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResamplerDims {
    /// Number of tokens an image becomes.
    pub(crate) queries: i64,
    /// Width inside.
    pub(crate) dim: i64,
    /// Width of the image states that come in.
    pub(crate) embedding_dim: i64,
    /// Width of the tokens: the UNet's `cross_attention_dim`.
    pub(crate) output_dim: i64,
    pub(crate) depth: usize,
    pub(crate) heads: i64,
    /// Width inside the feed-forward layers.
    pub(crate) ff_dim: i64,
}

impl ResamplerDims {
    /// Those of the released file for SDXL with ViT-H: `IPAdapterPlusXL` in tencent's repository.
    const fn released(output_dim: i64) -> Self {
        let (queries, dim, embedding_dim, depth, heads, ff_dim) = (16, 1280, 1280, 4, 20, 4 * 1280);
        Self { queries, dim, embedding_dim, output_dim, depth, heads, ff_dim }
    }

    /// Those of the tensors in `weights`, the `image_proj` of `file`.
    fn of(file: &Path, weights: &Weights) -> Result<Self> {
        let sides = |name: &str, rank: usize| {
            let found =
                weights.shape(name).filter(|shape| shape.len() == rank && !shape.contains(&0));
            found.ok_or_else(|| {
                let what = format!("tensor image_proj.{name}");
                let found = weights.shape(name).map_or("none".into(), |shape| format!("{shape:?}"));
                Error::invalid_file(file, what, format!("{rank} sides, none of them 0"), found)
            })
        };
        if let Some(kind) = other_kind(weights) {
            return Err(Error::invalid_file(file, "kind of adapter", "IP-Adapter-plus", kind));
        }
        let latents = sides("latents", 3)?;
        let inner = sides("layers.0.0.to_q.weight", 2)?[0];
        let expected = format!("a multiple of {HEAD_DIM}, the width of a head");
        let what = "rows of image_proj.layers.0.0.to_q.weight";
        require(file, what, inner % HEAD_DIM == 0, expected, inner)?;
        let is_layer = |i: &usize| weights.contains(&format!("layers.{i}.0.to_q.weight"));
        Ok(Self {
            queries: latents[1],
            dim: latents[2],
            embedding_dim: sides("proj_in.weight", 2)?[1],
            output_dim: sides("proj_out.weight", 2)?[0],
            depth: (0..).take_while(is_layer).count(),
            heads: inner / HEAD_DIM,
            ff_dim: sides("layers.0.1.1.weight", 2)?[0],
        })
    }
}

/// What the file is where it is not a plus adapter, by the names diffusers tells them apart by.
fn other_kind(weights: &Weights) -> Option<&'static str> {
    [
        ("proj.weight", "IP-Adapter without a resampler"),
        ("proj.3.weight", "IP-Adapter full face"),
        ("perceiver_resampler.proj_in.weight", "IP-Adapter FaceID plus"),
        ("norm.weight", "IP-Adapter FaceID"),
    ]
    .into_iter()
    .find_map(|(name, kind)| weights.contains(name).then_some(kind))
}

/// Image states to a few tokens that the UNet reads: tencent's `Resampler`.
#[derive(Debug)]
pub(crate) struct Resampler {
    latents: Tensor,
    proj_in: Linear,
    layers: Vec<ResamplerLayer>,
    proj_out: Linear,
    norm_out: LayerNorm,
    #[cfg(test)]
    dims: ResamplerDims,
}

impl Resampler {
    /// From the adapter in `file`.
    pub(crate) fn open(file: &Path, device: Device, kind: Kind) -> Result<Self> {
        let weights = Weights::open(file, device, kind)?.sub("image_proj");
        Self::new(&weights, ResamplerDims::of(file, &weights)?)
    }

    /// The sizes of the adapter in `file`, of which only the header is read.
    pub(crate) fn dims_of(file: &Path) -> Result<ResamplerDims> {
        let weights = Weights::open(file, Device::Cpu, Kind::Float)?;
        ResamplerDims::of(file, &weights.sub("image_proj"))
    }

    fn new(weights: &Weights, dims: ResamplerDims) -> Result<Self> {
        let ResamplerDims { queries, dim, embedding_dim, output_dim, .. } = dims;
        let layers =
            (0..dims.depth).map(|i| ResamplerLayer::new(&weights.sub(format!("layers.{i}")), dims));
        Ok(Self {
            latents: weights.get("latents", &[1, queries, dim])?,
            proj_in: Linear::new(&weights.sub("proj_in"), embedding_dim, dim)?,
            layers: layers.collect::<Result<_>>()?,
            proj_out: Linear::new(&weights.sub("proj_out"), dim, output_dim)?,
            norm_out: LayerNorm::new(&weights.sub("norm_out"), output_dim, EPS)?,
            #[cfg(test)]
            dims,
        })
    }

    #[cfg(test)]
    pub(crate) const fn dims(&self) -> ResamplerDims {
        self.dims
    }

    /// Tokens of the states `[n, patches, embedding_dim]`: `[n, queries, output_dim]`.
    pub(crate) fn forward(&self, states: &Tensor) -> Tensor {
        // 1. states and queries
        let x = self.proj_in.forward(states); // [n, patches, dim]
        let mut latents = self.latents.expand([x.size()[0], -1, -1], false); // [n, queries, dim]

        // 2. the queries read the states
        for layer in &self.layers {
            latents = layer.forward(&x, &latents);
        }

        // 3. tokens
        self.norm_out.forward(&self.proj_out.forward(&latents)) // [n, queries, output_dim]
    }
}

#[derive(Debug)]
struct ResamplerLayer {
    norm1: LayerNorm,
    norm2: LayerNorm,
    to_q: Linear,
    to_kv: Linear,
    to_out: Linear,
    ff_norm: LayerNorm,
    ff_in: Linear,
    ff_out: Linear,
    heads: i64,
}

impl ResamplerLayer {
    fn new(weights: &Weights, dims: ResamplerDims) -> Result<Self> {
        let (dim, inner) = (dims.dim, dims.heads * HEAD_DIM);
        let norm = |name: &str| LayerNorm::new(&weights.sub(name), dim, EPS);
        let linear =
            |name: &str, inputs, outputs| Linear::no_bias(&weights.sub(name), inputs, outputs);
        Ok(Self {
            norm1: norm("0.norm1")?,
            norm2: norm("0.norm2")?,
            to_q: linear("0.to_q", dim, inner)?,
            to_kv: linear("0.to_kv", dim, 2 * inner)?,
            to_out: linear("0.to_out", inner, dim)?,
            ff_norm: norm("1.0")?,
            ff_in: linear("1.1", dim, dims.ff_dim)?,
            ff_out: linear("1.3", dims.ff_dim, dim)?,
            heads: dims.heads,
        })
    }

    fn forward(&self, x: &Tensor, latents: &Tensor) -> Tensor {
        // 1. queries from the latents; keys and values from states and latents
        let normed = self.norm2.forward(latents);
        let q = split_heads(&self.to_q.forward(&normed), self.heads); // [n, heads, queries, 64]
        let both = Tensor::cat(&[self.norm1.forward(x), normed], 1); // [n, patches + queries, dim]
        let kv = self.to_kv.forward(&both).chunk(2, 2);
        let [k, v] = [&kv[0], &kv[1]].map(|x| split_heads(x, self.heads)); // [n, heads, tokens, 64]

        // 2. attention, added to the latents as they came
        let read = self.to_out.forward(&join_heads(&attention(&q, &k, &v, None)));
        let latents = read + latents; // [n, queries, dim]

        // 3. feed-forward
        let hidden = self.ff_in.forward(&self.ff_norm.forward(&latents)).gelu("none");
        self.ff_out.forward(&hidden) + latents // [n, queries, dim]
    }
}

/// The keys and values of the references in each of the UNet's cross-attentions.
#[derive(Debug)]
pub(crate) struct ImageAttention {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    to_k: Linear,
    to_v: Linear,
    site: Site,
}

impl ImageAttention {
    /// From the adapter in `file`, for `unet`.
    pub(crate) fn open(file: &Path, unet: &UNet, device: Device, kind: Kind) -> Result<Self> {
        let (sites, dim) = (unet.sites(), unet.config().cross_attention_dim);
        let weights = Weights::open(file, device, kind)?;
        let found = ResamplerDims::of(file, &weights.sub("image_proj"))?.output_dim;
        let expected = format!("{dim}, the UNet's cross_attention_dim");
        require(file, "width of the tokens", found == dim, expected, found)?;
        let weights = weights.sub("ip_adapter");
        let beyond = layer_number(sites.len());
        let ends = !weights.contains(&format!("{beyond}.to_k_ip.weight"));
        let expected = format!("{} layers, as many as the UNet's cross-attentions", sites.len());
        let found = format!("one more, ip_adapter.{beyond}");
        require(file, "layers of the adapter", ends, expected, found)?;
        Self::new(&weights, sites, dim)
    }

    fn new(weights: &Weights, sites: &[Site], dim: i64) -> Result<Self> {
        let layer = |(i, site): (usize, &Site)| {
            let weights = weights.sub(layer_number(i));
            Ok(Layer {
                to_k: Linear::no_bias(&weights.sub("to_k_ip"), dim, site.width)?,
                to_v: Linear::no_bias(&weights.sub("to_v_ip"), dim, site.width)?,
                site: site.clone(),
            })
        };
        let layers = sites.iter().enumerate().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// Keys and values of `tokens`, `[b, tokens, cross_attention_dim]`, for every step.
    /// `scale_of` tells the weight of a layer by its dotted name; layers of weight 0 are left out,
    /// and where all are, there is nothing to attend to.
    pub(crate) fn context(
        &self,
        tokens: &Tensor,
        scale_of: impl Fn(&str) -> f64,
    ) -> Option<ImageContext> {
        let first = &self.layers.first()?.to_k.w;
        let tokens = &tokens.to_device(first.device()).to_kind(first.kind());
        let read = |layer: &Layer| {
            let scale = scale_of(&layer.site.name);
            if scale == 0.0 {
                return None;
            }
            let (k, v) = (layer.to_k.forward(tokens), layer.to_v.forward(tokens));
            Some(KeyValue::new(&k, &v, layer.site.heads, scale))
        };
        let read: Vec<_> = self.layers.iter().map(read).collect();
        read.iter().any(Option::is_some).then_some(ImageContext(read))
    }
}

/// Odd numbers: the even ones between are the self-attentions.
const fn layer_number(site: usize) -> usize {
    2 * site + 1
}

#[cfg(test)]
mod tests;
