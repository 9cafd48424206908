//! Queries, keys and values to attention's sum, and numbers to sines and cosines.

use tch::{Device, Kind, Tensor};

/// `softmax(q · kᵀ / √head_dim + mask) · v`, each `[b, heads, tokens, head_dim]`.
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, mask, 0.0, false, None, false)
}

/// `[b, tokens, heads · head_dim]` to `[b, heads, tokens, head_dim]`.
pub(crate) fn split_heads(x: &Tensor, heads: i64) -> Tensor {
    let (b, tokens, width) = x.size3().unwrap_or_default();
    x.view([b, tokens, heads, width / heads]).transpose(1, 2) // [b, heads, tokens, head_dim]
}

/// `[b, heads, tokens, head_dim]` to `[b, tokens, heads · head_dim]`.
pub(crate) fn join_heads(x: &Tensor) -> Tensor {
    x.transpose(1, 2).flatten(2, 3) // [b, tokens, heads · head_dim]
}

/// Sines and cosines of `steps` (`[n]`, any unit) at frequencies from 1 down to 1/10,000:
/// `[n, dim]` in f32, diffusers' `get_timestep_embedding`.
///
/// `cos_first` is its `flip_sin_to_cos`, `shift` its `downscale_freq_shift`.
pub(crate) fn timestep_embedding(steps: &Tensor, dim: i64, cos_first: bool, shift: f64) -> Tensor {
    let half = dim / 2;
    let options = (Kind::Float, steps.device());

    // 1. the frequencies
    let exponents = Tensor::arange(half, options) * (-10_000f64.ln()) / (half as f64 - shift);

    // 2. an angle for each
    let angles = steps.to_kind(Kind::Float).unsqueeze(1) * exponents.exp().unsqueeze(0); // [n, half]

    // 3. both waves; an odd width ends in 0
    let (sin, cos) = (angles.sin(), angles.cos());
    let waves = if cos_first { [cos, sin] } else { [sin, cos] };
    Tensor::cat(&waves, 1).constant_pad_nd([0, dim % 2]) // [n, dim]
}

/// Sines and cosines of a guidance `scale` for networks that are told it: `[1, dim]` in f32,
/// `get_guidance_scale_embedding` of diffusers' pipelines, which scales by 1,000. `dim` is at least 4.
pub(crate) fn guidance_scale_embedding(scale: f64, dim: i64, device: Device) -> Tensor {
    let (half, options) = (dim / 2, (Kind::Float, device));
    // The order of operations is that of diffusers: the largest angles have few digits to lose.
    let exponent = f64::from((10_000_f64.ln() as f32) / (half - 1) as f32);
    let frequencies = (Tensor::arange(half, options) * -exponent).exp();
    let angles = frequencies * f64::from((scale - 1.0) as f32 * 1000.0); // [half]
    Tensor::cat(&[angles.sin(), angles.cos()], 0).constant_pad_nd([0, dim % 2]).unsqueeze(0)
}
