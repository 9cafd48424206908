//! Tensors to their product: in f32 where the processor cannot multiply in their own 16 bits.

use tch::{Device, Kind, Tensor};

/// `x · wᵀ + b` over the last side.
pub(crate) fn linear(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Tensor {
    fitting(x, w, b, |x, w, b| x.linear(w, b)) // [.., outputs]
}

/// What `multiply` makes of tensors of one format. On a processor without instructions for 16 bits,
/// libtorch 2.11 takes 8 times as long for a matrix in bf16 as in f32, and 150 times as long for a
/// convolution. There it multiplies in f32, and the result alone is rounded.
pub(crate) fn fitting(
    x: &Tensor,
    w: &Tensor,
    b: Option<&Tensor>,
    multiply: impl FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
) -> Tensor {
    if is_fast(x) {
        return multiply(x, w, b);
    }
    let wide = |tensor: &Tensor| tensor.to_kind(Kind::Float);
    multiply(&wide(x), &wide(w), b.map(wide).as_ref()).to_kind(x.kind())
}

/// Whether what multiplies `x` has instructions for its format: on the CPU oneDNN.
pub(crate) fn is_fast(x: &Tensor) -> bool {
    if x.device() != Device::Cpu {
        return true;
    }
    #[cfg(target_arch = "x86_64")]
    match x.kind() {
        // `mkldnn_bf16_device_check` and `mkldnn_fp16_device_check` of ATen.
        Kind::BFloat16 => {
            is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
        }
        Kind::Half => is_x86_feature_detected!("avx512fp16"),
        _ => true,
    }
    #[cfg(not(target_arch = "x86_64"))]
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::noise::Noise;

    #[test]
    fn products_are_rounded_once_and_keep_their_format() {
        let mut noise = Noise::new(3);
        let [x, w, b] = [&[5, 40][..], &[7, 40], &[7]].map(|shape| noise.normal(shape));
        for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
            let [x, w, b] = [&x, &w, &b].map(|tensor| tensor.to_kind(kind));
            let found = linear(&x, &w, Some(&b));
            assert_eq!((found.kind(), found.size()), (kind, vec![5, 7]));
            let [x, w, b] = [&x, &w, &b].map(|tensor| tensor.to_kind(Kind::Double));
            let expected = x.linear(&w, Some(&b));
            let largest = expected.abs().max().double_value(&[]);
            let error = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
            let bits = match kind {
                Kind::Half => 10,
                Kind::BFloat16 => 7,
                _ => 20,
            };
            assert!(error <= largest * 0.5_f64.powi(bits), "{kind:?}: {error}");
        }
    }
}
