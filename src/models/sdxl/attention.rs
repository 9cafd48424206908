//! An image of features and the states of text and references to an image of features: the
//! transformers of the UNet.

use tch::Tensor;

use super::config::UNetConfig;
use super::layout::BlockConfig;
use super::resnet::add_;
use super::time::Time;
use crate::Result;
use crate::models::common::layers::{GroupNorm, LayerNorm, Linear};
use crate::models::common::math::{attention, join_heads, split_heads};
use crate::models::common::memory_format::MemoryFormat;
use crate::models::common::product;
use crate::models::common::weights::Weights;

/// `Transformer2DModel`'s own, in no config.
const GROUP_NORM_EPS: f64 = 1e-6;
/// `BasicTransformerBlock`'s own, in no config.
const LAYER_NORM_EPS: f64 = 1e-5;
/// `FeedForward`'s own, in no config.
const FEED_FORWARD_WIDTH: i64 = 4;

/// Where the UNet attends to what it is conditioned on. The position in the list of sites is the
/// layer's number in diffusers' `attn_processors`: the way down, the way **up**, then the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Such as `down_blocks.1.attentions.0.transformer_blocks.0.attn2`.
    pub(crate) name: String,
    pub(crate) heads: i64,
    /// Width of keys and values, all heads together.
    pub(crate) width: i64,
}

/// Keys and values of one site, `[b, heads, tokens, head_dim]` each.
#[derive(Debug)]
pub(crate) struct KeyValue {
    k: Tensor,
    v: Tensor,
}

impl KeyValue {
    /// Keys and values `[b, tokens, heads · head_dim]`; `scale` is the weight of what is read.
    pub(crate) fn new(k: &Tensor, v: &Tensor, heads: i64, scale: f64) -> Self {
        let v = if scale == 1.0 { v.shallow_clone() } else { v * scale };
        Self { k: split_heads(k, heads).contiguous(), v: split_heads(&v, heads).contiguous() }
    }
}

/// What every cross-attention reads, by site. Computed once and used in every step.
#[derive(Debug)]
pub(crate) struct TextContext(pub(super) Vec<KeyValue>);

/// What the references add, by site; sites of weight 0 have none.
#[derive(Debug)]
pub(crate) struct ImageContext(pub(crate) Vec<Option<KeyValue>>);

/// What all layers share in one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) time: Time<'a>,
    pub(crate) text: &'a TextContext,
    pub(crate) image: Option<&'a ImageContext>,
}

/// diffusers' `Transformer2DModel` over the pixels of an image of features.
#[derive(Debug)]
pub(crate) struct Transformer2D {
    norm: GroupNorm,
    proj_in: Linear,
    pub(super) blocks: Vec<TransformerBlock>,
    proj_out: Linear,
    format: MemoryFormat,
}

impl Transformer2D {
    /// The transformer at `weights`, whose sites are appended to `sites`.
    pub(crate) fn new(
        config: &UNetConfig,
        block: &BlockConfig,
        depth: i64,
        weights: &Weights,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let channels = block.channels;
        let width = block.heads * (channels / block.heads);
        let project = |name: &str, inputs, outputs| {
            let weights = weights.sub(name);
            if config.use_linear_projection {
                return Linear::new(&weights, inputs, outputs);
            }
            // A convolution of one pixel is a linear layer.
            let w = weights.get("weight", &[outputs, inputs, 1, 1])?.flatten(1, 3); // [outputs, inputs]
            Ok(Linear { w, b: Some(weights.get("bias", &[outputs])?) })
        };
        let blocks = (0..depth).map(|i| {
            let weights = weights.sub(format!("transformer_blocks.{i}"));
            let name = format!("{}.attn2", weights.place());
            TransformerBlock::new(config, &weights, Site { name, heads: block.heads, width }, sites)
        });
        let (norm, groups) = (&weights.sub("norm"), config.norm_num_groups);
        Ok(Self {
            norm: GroupNorm::new(norm, groups, channels, GROUP_NORM_EPS)?,
            proj_in: project("proj_in", channels, width)?,
            blocks: blocks.collect::<Result<_>>()?,
            proj_out: project("proj_out", width, channels)?,
            format: weights.memory_format(),
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, conditions: Conditions<'_>) -> Tensor {
        let (b, _, h, w) = x.size4().unwrap_or_default();

        // 1. pixels become tokens
        let tokens = self.norm.forward(x).permute([0, 2, 3, 1]).flatten(1, 2); // [b, h·w, channels]
        let mut tokens = self.proj_in.forward(&tokens); // [b, h·w, heads · head_dim]

        // 2. the blocks
        for block in &self.blocks {
            tokens = block.forward(tokens, conditions);
        }

        // 3. tokens become pixels, which lie as those of x
        let pixels = match (self.format, &self.proj_out) {
            (MemoryFormat::Contiguous, Linear { w: weight, b: Some(bias) })
                if product::is_fast(&tokens) =>
            {
                let weight = weight.expand([b, -1, -1], false); // [b, channels, width]
                let tokens = tokens.transpose(1, 2); // [b, width, h·w]
                bias.unsqueeze(-1).baddbmm(&weight, &tokens, 1, 1).unflatten(2, [h, w])
            }
            (_, linear) => linear.forward(&tokens).unflatten(1, [h, w]).permute([0, 3, 1, 2]),
        };
        add_(pixels, x) // [b, channels, h, w]
    }

    pub(super) fn cross_attentions(&self) -> impl Iterator<Item = &CrossAttention> {
        self.blocks.iter().map(|block| &block.attn2)
    }
}

/// diffusers' `BasicTransformerBlock`.
#[derive(Debug)]
pub(super) struct TransformerBlock {
    norm1: LayerNorm,
    attn1: SelfAttention,
    norm2: LayerNorm,
    attn2: CrossAttention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn new(
        config: &UNetConfig,
        weights: &Weights,
        site: Site,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let (width, attn2) = (site.width, &weights.sub("attn2"));
        let norm = |name: &str| LayerNorm::new(&weights.sub(name), width, LAYER_NORM_EPS);
        Ok(Self {
            norm1: norm("norm1")?,
            attn1: SelfAttention::new(&weights.sub("attn1"), width, site.heads)?,
            norm2: norm("norm2")?,
            attn2: CrossAttention::new(attn2, config.cross_attention_dim, site, sites)?,
            norm3: norm("norm3")?,
            ff: FeedForward::new(&weights.sub("ff.net"), width)?,
        })
    }

    pub(super) fn forward(&self, x: Tensor, conditions: Conditions<'_>) -> Tensor {
        // 1. pixels with pixels
        let x = add_(self.attn1.forward(&self.norm1.forward(&x)), &x);

        // 2. pixels with text and references
        let x = add_(self.attn2.forward(&self.norm2.forward(&x), conditions), &x);

        // 3. each pixel by itself
        add_(self.ff.forward(&self.norm3.forward(&x)), &x) // [b, tokens, width]
    }
}

#[derive(Debug)]
struct SelfAttention {
    project: Projections,
    to_out: Linear,
    heads: i64,
}

/// Queries, keys and values of the same tokens.
#[derive(Debug)]
enum Projections {
    Apart([Linear; 3]),
    /// One product of matrices in place of three, which fills a GPU better.
    Packed(Linear),
}

impl Projections {
    fn forward(&self, x: &Tensor) -> [Tensor; 3] {
        match self {
            Self::Apart(each) => each.each_ref().map(|project| project.forward(x)),
            Self::Packed(all) => {
                let all = all.forward(x); // [b, tokens, 3 · width]
                let width = all.size()[2] / 3;
                [0, 1, 2].map(|i| all.narrow(2, i * width, width)) // [b, tokens, width] each
            }
        }
    }
}

impl SelfAttention {
    fn new(weights: &Weights, width: i64, heads: i64) -> Result<Self> {
        let project = |name: &str| Linear::no_bias(&weights.sub(name), width, width);
        let each = [project("to_q")?, project("to_k")?, project("to_v")?];
        let project = match weights.memory_format() {
            MemoryFormat::Contiguous => Projections::Apart(each),
            // The format of GPUs.
            MemoryFormat::ChannelsLast => {
                let w = Tensor::cat(&each.map(|project| project.w), 0); // [3 · width, width]
                Projections::Packed(Linear { w, b: None })
            }
        };
        let to_out = Linear::new(&weights.sub("to_out.0"), width, width)?;
        Ok(Self { project, to_out, heads })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let [q, k, v] = self.project.forward(x).map(|each| split_heads(&each, self.heads)); // [b, heads, tokens, head_dim]
        self.to_out.forward(&join_heads(&attention(&q, &k, &v, None))) // [b, tokens, width]
    }
}

/// Attention to the text and, with a softmax of its own, to the references.
#[derive(Debug)]
pub(super) struct CrossAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: i64,
    /// Position in the list of sites.
    site: usize,
}

impl CrossAttention {
    fn new(weights: &Weights, text_width: i64, site: Site, sites: &mut Vec<Site>) -> Result<Self> {
        let (width, heads, number) = (site.width, site.heads, sites.len());
        sites.push(site);
        Ok(Self {
            to_q: Linear::no_bias(&weights.sub("to_q"), width, width)?,
            to_k: Linear::no_bias(&weights.sub("to_k"), text_width, width)?,
            to_v: Linear::no_bias(&weights.sub("to_v"), text_width, width)?,
            to_out: Linear::new(&weights.sub("to_out.0"), width, width)?,
            heads,
            site: number,
        })
    }

    /// The site, and its keys and values of `text`, `[b, tokens, text_width]`.
    pub(super) fn read(&self, text: &Tensor) -> (usize, KeyValue) {
        let (k, v) = (self.to_k.forward(text), self.to_v.forward(text));
        (self.site, KeyValue::new(&k, &v, self.heads, 1.0))
    }

    fn forward(&self, x: &Tensor, conditions: Conditions<'_>) -> Tensor {
        let q = split_heads(&self.to_q.forward(x), self.heads); // [b, heads, tokens, head_dim]

        // 1. the text
        let KeyValue { k, v } = &conditions.text.0[self.site];
        let mut read = attention(&q, k, v, None); // [b, heads, tokens, head_dim]

        // 2. the references, weighed already
        let image = conditions.image.and_then(|image| image.0[self.site].as_ref());
        if let Some(KeyValue { k, v }) = image {
            read = add_(read, &attention(&q, k, v, None)); // [b, heads, tokens, head_dim]
        }

        // 3. out
        self.to_out.forward(&join_heads(&read)) // [b, tokens, width]
    }
}

/// diffusers' `FeedForward` with GEGLU.
#[derive(Debug)]
struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    fn new(weights: &Weights, width: i64) -> Result<Self> {
        let inner = FEED_FORWARD_WIDTH * width;
        Ok(Self {
            proj: Linear::new(&weights.sub("0.proj"), width, 2 * inner)?,
            out: Linear::new(&weights.sub("2"), inner, width)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let projected = self.proj.forward(x); // [b, tokens, 2 · inner]
        let inner = projected.size()[2] / 2;
        let (hidden, mut gate) = (projected.narrow(2, 0, inner), projected.narrow(2, inner, inner));
        self.out.forward(&(hidden * gate.gelu_("none"))) // [b, tokens, width]
    }
}
