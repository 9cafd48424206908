//! A linear layer to one that a branch may change by a low-rank difference: LoRA, never merged.

use tch::Tensor;

use crate::Result;
use crate::models::layers::Linear;
use crate::models::weights::Weights;

/// A linear layer that a LoRA may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Such as `transformer_blocks.0.attn.to_q`.
    pub(crate) name: String,
    pub(crate) inputs: i64,
    pub(crate) outputs: i64,
}

/// `B · A`, added to the layer's own weights for one branch.
#[derive(Debug)]
pub(crate) struct Delta {
    /// `[rank, inputs]`.
    pub(crate) a: Tensor,
    /// `[outputs, rank]`.
    pub(crate) b: Tensor,
}

/// The differences of one adapter, by the position in the transformer's list of sites.
#[derive(Debug)]
pub(crate) struct Lora(pub(crate) Vec<Option<Delta>>);

/// A linear layer at a site.
#[derive(Debug)]
pub(crate) struct Projection {
    linear: Linear,
    site: usize,
}

impl Projection {
    /// The layer at `weights`, whose site is appended to `sites`.
    pub(super) fn new(
        weights: &Weights,
        inputs: i64,
        outputs: i64,
        sites: &mut Vec<Site>,
    ) -> Result<Self> {
        let linear = Linear::new(weights, inputs, outputs)?;
        sites.push(Site { name: weights.place().to_owned(), inputs, outputs });
        Ok(Self { linear, site: sites.len() - 1 })
    }

    /// `[.., inputs]` to `[.., outputs]`, with what `lora` adds.
    pub(super) fn forward(&self, x: &Tensor, lora: Option<&Lora>) -> Tensor {
        let y = self.linear.forward(x); // [.., outputs]
        match lora.and_then(|lora| lora.0.get(self.site)?.as_ref()) {
            Some(Delta { a, b }) => y + x.linear::<&Tensor>(a, None).linear::<&Tensor>(b, None), // [.., outputs]
            None => y,
        }
    }
}
