//! Latents to the tokens of the transformer and back: patches of 2 × 2, row by row.

use tch::Tensor;

/// Latents a side of a patch. diffusers, `FluxPipeline._pack_latents`.
pub(crate) const PATCH: i64 = 2;

/// `[b, c, h, w]` to `[b, h/2 · w/2, 4 c]`.
pub(crate) fn pack(latents: &Tensor) -> Tensor {
    let (b, c, h, w) = latents.size4().unwrap_or_default();
    let patches = latents.reshape([b, c, h / PATCH, PATCH, w / PATCH, PATCH]); // [b, c, h/2, 2, w/2, 2]
    patches.permute([0, 2, 4, 1, 3, 5]).flatten(3, 5).flatten(1, 2) // [b, h/2 · w/2, 4 c]
}

/// `[b, rows · columns, 4 c]` to `[b, c, 2 rows, 2 columns]`.
pub(crate) fn unpack(tokens: &Tensor, rows: i64, columns: i64) -> Tensor {
    let (b, _, values) = tokens.size3().unwrap_or_default();
    let c = values / PATCH.pow(2);
    let patches = tokens.reshape([b, rows, columns, c, PATCH, PATCH]); // [b, rows, columns, c, 2, 2]
    patches.permute([0, 3, 1, 4, 2, 5]).reshape([b, c, PATCH * rows, PATCH * columns]) // [b, c, h, w]
}
