//! A linear layer to one that a branch may change by a low-rank difference: LoRA, never merged.

use tch::Tensor;

use super::branch::{Branch, parts};
use crate::Result;
use crate::models::common::layers::Linear;
use crate::models::common::product;
use crate::models::common::weights::Weights;

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

    /// `[b, n, inputs]` to `[b, n, outputs]`, with what `lora` adds.
    pub(super) fn forward(&self, x: &Tensor, lora: Option<&Lora>) -> Tensor {
        let y = self.linear.forward(x); // [b, n, outputs]
        if let Some(Delta { a, b }) = self.delta(lora) {
            add_product(&y, &product::linear(x, a, None), b);
        }
        y
    }

    /// `[b, tokens, inputs]` to `[b, tokens, outputs]`, with what the LoRA of each branch adds.
    pub(super) fn forward_branches(&self, x: &Tensor, branches: &[Branch<'_>]) -> Tensor {
        let y = self.linear.forward(x); // [b, tokens, outputs]
        for ((branch, x), (_, y)) in parts(branches, x).zip(parts(branches, &y)) {
            if let Some(Delta { a, b }) = self.delta(branch.lora) {
                add_product(&y, &product::linear(&x, a, None), b);
            }
        }
        y
    }

    /// The same, then GELU with tanh.
    pub(super) fn forward_gelu(&self, x: &Tensor, branches: &[Branch<'_>]) -> Tensor {
        // libtorch 2.11's `_addmm_activation` would be one kernel, but on an H100 its results were off by
        // 4 % in f32, from a kernel that is named after ReLU.
        self.forward_branches(x, branches).gelu_("tanh") // [b, tokens, outputs]
    }

    /// [`forward_branches`](Self::forward_branches) of inputs in two parts, which are not copied into
    /// one.
    pub(super) fn forward_parts(&self, inputs: [&Tensor; 2], branches: &[Branch<'_>]) -> Tensor {
        let width = inputs[0].size()[2];
        let multiply = |inputs: [&Tensor; 2], w: &Tensor, bias: Option<&Tensor>| {
            let w = w.tensor_split_indices([width], 1);
            let y = product::linear(inputs[0], &w[0], bias); // [b, tokens, outputs]
            add_product(&y, inputs[1], &w[1]);
            y
        };
        let y = multiply(inputs, &self.linear.w, self.linear.b.as_ref()); // [b, tokens, outputs]
        let [first, second] = inputs.map(|x| parts(branches, x));
        for (((branch, first), (_, second)), (_, y)) in first.zip(second).zip(parts(branches, &y)) {
            if let Some(Delta { a, b }) = self.delta(branch.lora) {
                add_product(&y, &multiply([&first, &second], a, None), b);
            }
        }
        y
    }

    fn delta<'a>(&self, lora: Option<&'a Lora>) -> Option<&'a Delta> {
        lora?.0.get(self.site)?.as_ref()
    }
}

/// Adds `x · wᵀ` to `y`, `[b, n, outputs]`, in its memory.
fn add_product(y: &Tensor, x: &Tensor, w: &Tensor) {
    if !product::is_fast(x) {
        let _ = y.shallow_clone().g_add_(&product::linear(x, w, None));
        return;
    }
    for (mut y, x) in y.unbind(0).into_iter().zip(x.unbind(0)) {
        let _ = y.addmm_(&x, &w.tr());
    }
}
