//! Queries, keys and values to attention's sum, and to what joins it with that over other keys: the
//! logarithm of the sum that its weights are divided by.

use std::ffi::{c_int, c_void};
use std::ptr::{self, from_mut};

use libloading::Symbol;
use tch::{Device, Kind, Tensor};

use super::cuda;

/// What `scaled_dot_product_attention` computes with; ATen's `SDPBackend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Math,
    Flash,
    Efficient,
    Cudnn,
}

impl Backend {
    /// What it would take for these.
    fn of(q: &Tensor, k: &Tensor, v: &Tensor) -> Self {
        match Tensor::internal_fused_sdp_choice::<&Tensor>(q, k, v, None, 0.0, false, None, false) {
            1 => Self::Flash,
            2 => Self::Efficient,
            3 => Self::Cudnn,
            _ => Self::Math,
        }
    }
}

/// `softmax(q · kᵀ / √head_dim) · v` and `ln Σ exp(q · kᵀ / √head_dim)` by the kernel that attention
/// takes: `[b, heads, queries, head_dim]`, and `[b, heads, queries, 1]` in f32.
pub(crate) fn attention_and_log_sum(q: &Tensor, k: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
    let (read, log_sum) = match (Backend::of(q, k, v), q.device()) {
        (Backend::Math, _) => math(q, k, v),
        // Attention fills such heads up for this kernel.
        (Backend::Flash, Device::Cuda(_)) if q.size()[3] % 8 != 0 => math(q, k, v),
        (_, Device::Cpu) => flash_on_cpu(q, k, v),
        (Backend::Efficient, _) => efficient(q, k, v),
        // The efficient kernel goes wherever these do; why they do not is on standard error.
        (Backend::Flash, _) => flash(q, k, v).unwrap_or_else(|| efficient(q, k, v)),
        (Backend::Cudnn, _) => cudnn(q, k, v).unwrap_or_else(|| efficient(q, k, v)),
    };
    (read, of_queries(&log_sum, q))
}

/// What is read of two groups of keys together, from what is read of each with its log sum, as
/// [`attention_and_log_sum`] gives both: `[b, heads, queries, head_dim]`, in the memory of the first.
pub(crate) fn merge(
    (mut one, one_sum): (Tensor, Tensor),
    (other, other_sum): (&Tensor, &Tensor),
) -> Tensor {
    // The share of the other's weights in those of both.
    let share = (other_sum - one_sum).sigmoid().to_kind(one.kind()); // [b, heads, queries, 1]
    one.lerp_tensor_(other, &share)
}

/// Logarithms as `[b, heads, queries, 1]`: one kernel rounds the number of queries up, and one gives
/// them a side more than others do.
fn of_queries(log_sum: &Tensor, q: &Tensor) -> Tensor {
    log_sum.flatten(2, -1).narrow(2, 0, q.size()[2]).unsqueeze(3) // [b, heads, queries, 1]
}

/// Without a kernel of its own, as every device can.
fn math(q: &Tensor, k: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
    let scale = (q.size()[3] as f64).sqrt().recip();
    let logits = (q * scale).matmul(&k.transpose(2, 3)).to_kind(Kind::Float); // [b, heads, queries, keys]
    let log_sum = logits.logsumexp([3i64], true); // [b, heads, queries, 1]
    let weights = (logits - &log_sum).exp().to_kind(v.kind()); // [b, heads, queries, keys]
    (weights.matmul(v), log_sum) // [b, heads, queries, head_dim], [b, heads, queries, 1]
}

fn flash_on_cpu(q: &Tensor, k: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
    Tensor::internal_scaled_dot_product_flash_attention_for_cpu::<&Tensor>(
        q, k, v, 0.0, false, None, None,
    )
}

fn efficient(q: &Tensor, k: &Tensor, v: &Tensor) -> (Tensor, Tensor) {
    let (read, log_sum, ..) = Tensor::internal_scaled_dot_product_efficient_attention::<&Tensor>(
        q, k, v, None, true, 0.0, false, None,
    );
    (read, log_sum)
}

/// An `AtenTensorHandle` of libtorch's C interface: a pointer to an `at::Tensor`, as tch's is.
type Handle = *mut c_void;
type Out = *mut Handle;
type OutLength = *mut i64;

/// Queries, keys, values, dropout, whether causal, whether with a debug mask, a scale; then nine
/// results. libtorch 2.11.0, `aoti_torch/generated/c_shim_cuda.h`, as all of this.
#[rustfmt::skip]
type Flash = unsafe extern "C" fn(
    Handle, Handle, Handle, f64, i32, i32, *const f64,
    Out, Out, Out, Out, OutLength, OutLength, Out, Out, Out,
) -> c_int;

/// Queries, keys, values, a bias, whether with logarithms, and the rest as in [`Flash`].
#[rustfmt::skip]
type Cudnn = unsafe extern "C" fn(
    Handle, Handle, Handle, *const Handle, i32, f64, i32, i32, *const f64,
    Out, Out, Out, Out, OutLength, OutLength, Out, Out, Out,
) -> c_int;

/// On CUDA; none where it does not go.
fn flash(q: &Tensor, k: &Tensor, v: &Tensor) -> Option<(Tensor, Tensor)> {
    let name = "aoti_torch_cuda__scaled_dot_product_flash_attention";
    // SAFETY: the header says so.
    let kernel: Symbol<'_, Flash> = unsafe { cuda::load().ok()?.library().get(name) }.ok()?;
    let [q, k, v] = [q, k, v].map(handle);
    first_two(|[r0, r1, r2, r3, r6, r7, r8], [r4, r5]| {
        // SAFETY: three tensors, and room for nine results.
        unsafe { kernel(q, k, v, 0.0, 0, 0, ptr::null(), r0, r1, r2, r3, r4, r5, r6, r7, r8) }
    })
}

/// On CUDA; none where it does not go.
fn cudnn(q: &Tensor, k: &Tensor, v: &Tensor) -> Option<(Tensor, Tensor)> {
    let name = "aoti_torch_cuda__scaled_dot_product_cudnn_attention";
    // SAFETY: the header says so.
    let kernel: Symbol<'_, Cudnn> = unsafe { cuda::load().ok()?.library().get(name) }.ok()?;
    let [q, k, v] = [q, k, v].map(handle);
    let (bias, scale) = (ptr::null(), ptr::null());
    first_two(|[r0, r1, r2, r3, r6, r7, r8], [r4, r5]| {
        // SAFETY: as in `flash`.
        unsafe { kernel(q, k, v, bias, 1, 0.0, 0, 0, scale, r0, r1, r2, r3, r4, r5, r6, r7, r8) }
    })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut().cast()
}

/// The first two results of a `kernel` that gives four tensors, two lengths and three tensors; none
/// where it failed.
fn first_two(kernel: impl FnOnce([Out; 7], [OutLength; 2]) -> c_int) -> Option<(Tensor, Tensor)> {
    let (mut tensors, mut lengths) = ([ptr::null_mut(); 7], [0; 2]);
    let failed = kernel(tensors.each_mut().map(from_mut), lengths.each_mut().map(from_mut));
    if failed != 0 {
        return None;
    }
    // SAFETY: a kernel that did not fail gave a tensor to each, which nobody else frees.
    let [read, log_sum, ..] = tensors.map(|tensor| unsafe { Tensor::from_ptr(tensor.cast()) });
    Some((read, log_sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::golden::{assert_close, device};
    use crate::models::common::noise::Noise;

    #[test]
    fn every_kernel_gives_the_same_sums() {
        let _guard = tch::no_grad_guard();
        let mut noise = Noise::new(8);
        let mut normal = |tokens| noise.normal(&[1, tokens, 3, 64]).to_device(device());
        let (q, k, v) = (normal(45), normal(70), normal(70));
        for (kind, tolerance) in [(Kind::Float, 2e-6), (Kind::Half, 4e-3), (Kind::BFloat16, 3e-2)] {
            let [q, k, v] = [&q, &k, &v].map(|x| x.to_kind(kind).transpose(1, 2));
            let wide = [&q, &k, &v].map(|x| x.to_kind(Kind::Double));
            let logits = wide[0].matmul(&wide[1].transpose(2, 3)) / 8.0; // √64
            let read = logits.softmax(3, Kind::Double).matmul(&wide[2]);
            let log_sum = logits.logsumexp([3i64], true);

            let mut found = vec![("chosen", attention_and_log_sum(&q, &k, &v))];
            found.push(("math", math(&q, &k, &v)));
            if device() == Device::Cpu {
                found.push(("flash", flash_on_cpu(&q, &k, &v)));
            } else {
                found.push(("efficient", efficient(&q, &k, &v)));
                // What is chosen must go; the other goes where the GPU has it.
                let chosen = Backend::of(&q, &k, &v);
                for (backend, kernel) in [
                    (Backend::Flash, flash as fn(&_, &_, &_) -> _),
                    (Backend::Cudnn, cudnn as fn(&_, &_, &_) -> _),
                ] {
                    let sums: Option<(Tensor, Tensor)> =
                        (kind != Kind::Float).then(|| kernel(&q, &k, &v)).flatten();
                    assert!(sums.is_some() || backend != chosen, "{backend:?} {kind:?}");
                    found.extend(sums.map(|sums| ("fused", sums)));
                }
            }
            for (name, sums) in found {
                assert_close(&format!("{name} {kind:?}"), &sums.0, &read, tolerance);
                let sums = of_queries(&sums.1, &q);
                assert_eq!(sums.kind(), Kind::Float, "{name} {kind:?}");
                assert_close(&format!("{name} {kind:?}"), &sums, &log_sum, tolerance);
            }
        }
    }

    #[test]
    fn results_of_the_c_interface_are_taken_and_failures_are_none() {
        let found = first_two(|tensors, lengths| {
            for (i, out) in tensors.into_iter().enumerate() {
                let tensor = std::mem::ManuallyDrop::new(Tensor::from(i as f64));
                // SAFETY: `first_two` gives room for a handle.
                unsafe { *out = handle(&tensor) };
            }
            for out in lengths {
                // SAFETY: and for a length.
                unsafe { *out = 7 };
            }
            0
        });
        assert_eq!(found, Some((Tensor::from(0.0), Tensor::from(1.0))));
        assert_eq!(first_two(|_, _| 1), None);
    }
}
