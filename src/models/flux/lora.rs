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
        if let Some(Delta { a, b }) = self.delta(lora) {
            add_product(&y, &x.linear::<&Tensor>(a, None), b);
        }
        y
    }

    /// The same, then GELU with tanh.
    pub(super) fn forward_gelu(&self, x: &Tensor, lora: Option<&Lora>) -> Tensor {
        match (&self.linear.b, self.delta(lora)) {
            // One kernel. On the CPU this operator's GELU is that of the error function.
            (Some(bias), None) if x.device().is_cuda() => {
                let mut size = x.size();
                let rows = bias.internal_addmm_activation(&rows(x), &self.linear.w.tr(), true);
                size.splice(size.len() - 1.., rows.size().pop());
                rows.view(&size[..]) // [.., outputs]
            }
            _ => self.forward(x, lora).gelu_("tanh"), // [.., outputs]
        }
    }

    /// [`forward`](Self::forward) of inputs in two parts, which are not copied into one.
    pub(super) fn forward_parts(&self, parts: [&Tensor; 2], lora: Option<&Lora>) -> Tensor {
        let multiply = |w: &Tensor, bias: Option<&Tensor>| {
            let width = parts[0].size().pop().unwrap_or(0);
            let w = w.tensor_split_indices([width], 1);
            let y = parts[0].linear(&w[0], bias); // [.., outputs]
            add_product(&y, parts[1], &w[1]);
            y
        };
        let y = multiply(&self.linear.w, self.linear.b.as_ref()); // [.., outputs]
        if let Some(Delta { a, b }) = self.delta(lora) {
            add_product(&y, &multiply(a, None), b);
        }
        y
    }

    fn delta<'a>(&self, lora: Option<&'a Lora>) -> Option<&'a Delta> {
        lora?.0.get(self.site)?.as_ref()
    }
}

/// Adds `x · wᵀ`, `[.., outputs]`, to the fresh `y` in its memory.
fn add_product(y: &Tensor, x: &Tensor, w: &Tensor) {
    let _ = y.view([-1, w.size()[0]]).addmm_(&rows(x), &w.tr());
}

/// `[.., width]` to `[n, width]`.
fn rows(x: &Tensor) -> Tensor {
    x.flatten(0, -2)
}
