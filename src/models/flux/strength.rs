//! How strongly a condition and the others see each other to what each of them reads.

use tch::{Device, Kind, Tensor};

use crate::models::common::log_sum_exp::{attention_and_log_sum, merge};

/// Every weight between a condition and the others times a strength, before the weights of a token
/// are divided by their sum: the logarithm of the strength added to the logits between them.
///
/// A mask of all queries and keys would say the same, but the fast kernels take none. Instead either
/// group of keys is read alone, and the sums of their weights say how much of each a token reads.
#[derive(Debug)]
pub(crate) struct Strength {
    /// Keys of text and image, which come first; all others are the condition's.
    others: i64,
    /// Added to the logits of the condition's keys for each query, `[queries, 1]` in f32. For the
    /// condition's own queries it is taken from them: the others' weigh more, or less, instead.
    bias: Tensor,
}

impl Strength {
    /// Of the first `others` queries and keys and the condition. It has keys anyway, and `queries` of
    /// its own; `strength` is at least 0.
    pub(super) fn new(strength: f64, others: i64, queries: i64, device: Device) -> Self {
        let bias = Tensor::full([others + queries, 1], strength.ln(), (Kind::Float, device));
        let _ = bias.narrow(0, others, queries).neg_();
        Self { others, bias }
    }

    /// What each of `q` reads of `k` and `v`: `[b, heads, queries, head_dim]`.
    pub(super) fn attention(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        // 1. either group of keys alone
        let read = |first, keys| {
            attention_and_log_sum(q, &k.narrow(2, first, keys), &v.narrow(2, first, keys))
        };
        let others = read(0, self.others);
        let (condition, condition_sum) = read(self.others, k.size()[2] - self.others);

        // 2. both, the condition's weights times the strength
        merge(others, (&condition, &(condition_sum + &self.bias))) // [b, heads, queries, head_dim]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::golden::{assert_close, device};
    use crate::models::common::math::attention;
    use crate::models::common::noise::Noise;

    const OTHERS: i64 = 37;
    const CONDITION: i64 = 21;

    /// The mask that says the same, `[queries, keys]`.
    fn mask(strength: f64, queries: i64) -> Tensor {
        let options = (Kind::Float, device());
        let mask = Tensor::zeros([OTHERS + queries, OTHERS + CONDITION], options);
        let _ = mask.narrow(0, 0, OTHERS).narrow(1, OTHERS, CONDITION).fill_(strength.ln());
        let _ = mask.narrow(0, OTHERS, queries).narrow(1, 0, OTHERS).fill_(strength.ln());
        mask
    }

    #[test]
    fn two_attentions_equal_one_with_a_mask() {
        let _guard = tch::no_grad_guard();
        let mut noise = Noise::new(8);
        for (b, heads, head_dim, queries) in
            [(1, 2, 128, CONDITION), (1, 2, 128, 0), (2, 3, 16, CONDITION), (1, 1, 6, 5)]
        {
            // Tokens before heads, as the blocks have them.
            let mut normal =
                |tokens| noise.normal(&[b, tokens, heads, head_dim]).to_device(device());
            let q = normal(OTHERS + queries) * 2.0;
            let [k, v] = [(); 2].map(|()| normal(OTHERS + CONDITION));
            for strength in [0.0, 0.5, 1.0, 1.5, 40.0] {
                let mask = mask(strength, queries);
                for (kind, tolerance) in
                    [(Kind::Float, 2e-6), (Kind::Half, 4e-3), (Kind::BFloat16, 3e-2)]
                {
                    // The values themselves are those of the type.
                    let of = |x: &Tensor, kind| x.to_kind(kind).transpose(1, 2);
                    let [q, k, v] = [&q, &k, &v].map(|x| of(x, kind).to_kind(Kind::Float));
                    let expected = attention(&q, &k, &v, Some(&mask));
                    let merged = Strength::new(strength, OTHERS, queries, device());
                    let [q, k, v] = [&q, &k, &v].map(|x| x.to_kind(kind));
                    let found = merged.attention(&q, &k, &v);
                    assert_eq!((found.kind(), found.size()), (kind, q.size()));
                    let case = format!("strength {strength} {kind:?} {head_dim}");
                    assert_close(&case, &found, &expected, tolerance);
                }
            }
        }
    }
}
