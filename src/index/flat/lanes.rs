//! Sixteen sums at once, in the registers of each kind of processor.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::array::from_fn;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

/// Partial sums of one dot product: one register of AVX-512, two of AVX2.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers.
///
/// The types named after instructions may be used only inside a function that is compiled for those
/// instructions, on a processor that has them; [`dot_products`](super::kernel::dot_products) sees
/// to it.
pub(crate) trait Lanes: Copy {
    fn zero() -> Self;
    fn load(values: &[f32; LANES]) -> Self;
    fn load_f16(values: &[f16; LANES]) -> Self;
    /// Has the line of memory at this address, which need not exist, fetched into the cache.
    fn prefetch<T>(address: *const T);
    /// `self + x * y`.
    fn add_product(self, x: Self, y: Self) -> Self;
    /// The sum of all, halving: the same order in every type.
    fn sum(self) -> f32;
}

/// Left to the compiler.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn load_f16(values: &[f16; LANES]) -> Self {
        let mut wide = [0.0; LANES];
        values.convert_to_f32_slice(&mut wide);
        Self(wide)
    }

    #[inline(always)]
    fn prefetch<T>(_: *const T) {}

    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        // Where the target may lack the fused instruction, it is a call into libm.
        Self(from_fn(|n| match cfg!(target_arch = "aarch64") {
            true => x.0[n].mul_add(y.0[n], self.0[n]),
            false => x.0[n] * y.0[n] + self.0[n],
        }))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let eight: [f32; 8] = from_fn(|n| self.0[n] + self.0[n + 8]);
        let four: [f32; 4] = from_fn(|n| eight[n] + eight[n + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

// SAFETY of all blocks: the trait's rule; loads are of 16 values that a reference vouches for.
#[allow(clippy::undocumented_unsafe_blocks)]
#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    #[inline(always)]
    fn zero() -> Self {
        unsafe { Self(_mm512_setzero_ps()) }
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
    }

    #[inline(always)]
    fn load_f16(values: &[f16; LANES]) -> Self {
        unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn prefetch<T>(address: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(x.0, y.0, self.0)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0));
            let lower = _mm512_castps512_ps256(self.0);
            sum_of_eight(_mm256_add_ps(lower, _mm256_castpd_ps(upper)))
        }
    }
}

/// With FMA and F16C.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

// SAFETY of all blocks: the trait's rule; loads are of 8 of 16 values that a reference vouches for.
#[allow(clippy::undocumented_unsafe_blocks)]
#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    #[inline(always)]
    fn zero() -> Self {
        unsafe { Self(_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        let (lower, upper) = values.split_at(8);
        unsafe { Self(_mm256_loadu_ps(lower.as_ptr()), _mm256_loadu_ps(upper.as_ptr())) }
    }

    #[inline(always)]
    fn load_f16(values: &[f16; LANES]) -> Self {
        let (lower, upper) = values.split_at(8);
        unsafe {
            Self(
                _mm256_cvtph_ps(_mm_loadu_si128(lower.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(upper.as_ptr().cast())),
            )
        }
    }

    #[inline(always)]
    fn prefetch<T>(address: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(x.0, y.0, self.0), _mm256_fmadd_ps(x.1, y.1, self.1)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { sum_of_eight(_mm256_add_ps(self.0, self.1)) }
    }
}

/// # Safety
/// The caller is compiled for AVX, on a processor that has it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sum_of_eight(eight: __m256) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let (lower, upper) = (_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let four = _mm_add_ps(lower, upper);
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}
