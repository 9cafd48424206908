//! Latents to tokens and back: `OmniGenPatchEmbed`, and what takes its tokens apart again.

use tch::{Device, Kind, Tensor};

use super::config::OmniGenConfig;
use crate::Result;
use crate::error::require;
use crate::models::common::layers::Conv2d;
use crate::models::common::weights::Weights;

/// The projections of latents, and the table of positions in a picture.
#[derive(Debug)]
pub(super) struct PatchEmbedding {
    /// Of the noise.
    output: Conv2d,
    /// Of references.
    input: Conv2d,
    /// `[rows, columns, width]`, in host memory: a picture takes a small cut of it.
    table: Tensor,
    side: i64,
    device: Device,
    kind: Kind,
}

impl PatchEmbedding {
    pub(super) fn new(weights: &Weights, config: &OmniGenConfig) -> Result<Self> {
        let &OmniGenConfig { in_channels: channels, patch_size: patch, hidden_size: width, .. } =
            config;
        let project =
            |name: &str| Conv2d::new(&weights.sub(name), channels, width, patch, patch, 0);
        let (names, side) = (&config.names, config.pos_embed_max_size);
        let table = weights.get_stored(names.pos_embed, &[1, side * side, width])?;
        Ok(Self {
            output: project(names.output_image_proj)?,
            input: project(names.input_image_proj)?,
            table: table.view([side, side, width]),
            side,
            device: weights.device(),
            kind: weights.kind(),
        })
    }

    /// The positions of a picture of `rows` by `columns` tokens: the middle of the table,
    /// `[rows · columns, width]`.
    pub(super) fn positions(&self, rows: i64, columns: i64) -> Result<Tensor> {
        let most = self.side;
        for (what, side) in [("rows", rows), ("columns", columns)] {
            let what = format!("{what} of tokens of a picture");
            require((1..=most).contains(&side), what, format!("1 to {most}"), side)?;
        }
        let (top, left) = ((most - rows) / 2, (most - columns) / 2);
        let cut = self.table.narrow(0, top, rows).narrow(1, left, columns);
        Ok(cut.flatten(0, 1).to_device(self.device).to_kind(self.kind)) // [rows · columns, width]
    }

    /// Tokens of a reference's `latents`, `[1, c, h, w]`: `[1, h/p · w/p, width]`.
    pub(super) fn reference(&self, latents: &Tensor) -> Result<Tensor> {
        let tokens = self.input.forward(&self.put(latents)); // [1, width, h/p, w/p]
        let (_, _, rows, columns) = tokens.size4().unwrap_or_default();
        Ok(flat(&tokens) + self.positions(rows, columns)?)
    }

    /// Tokens of noisy `latents`, `[n, c, h, w]`, whose `positions` are known: `[n, h/p · w/p, width]`.
    pub(super) fn noise(&self, latents: &Tensor, positions: &Tensor) -> Tensor {
        flat(&self.output.forward(&self.put(latents))) + positions
    }

    fn put(&self, latents: &Tensor) -> Tensor {
        latents.to_device(self.device).to_kind(self.kind)
    }
}

/// `[b, width, rows, columns]` to `[b, rows · columns, width]`.
fn flat(tokens: &Tensor) -> Tensor {
    tokens.flatten(2, 3).transpose(1, 2) // [b, rows · columns, width]
}

/// `[b, rows · columns, p · p · c]`, channels last, to latents `[b, c, p · rows, p · columns]`.
pub(super) fn unpatch(tokens: &Tensor, rows: i64, columns: i64, patch: i64) -> Tensor {
    let b = tokens.size()[0];
    let patches = tokens.reshape([b, rows, columns, patch, patch, -1]); // [b, rows, columns, p, p, c]
    patches.permute([0, 5, 1, 3, 2, 4]).flatten(4, 5).flatten(2, 3) // [b, c, p · rows, p · columns]
}
