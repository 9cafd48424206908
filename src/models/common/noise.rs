//! Turns a seed into normal noise, value for value what `torch.Generator("cpu")` gives for it.

use std::f64::consts::TAU;

use half::{bf16, f16};
use tch::{Kind, Tensor};

/// A stream of standard normal values that belongs to one seed. Unlike libtorch's own generator it
/// is not global: two requests cannot disturb each other.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    twister: MersenneTwister,
    /// The second value of the last Box-Muller pair, where only the first one was used.
    cached: Option<f64>,
}

impl Noise {
    /// The noise of `torch.Generator("cpu").manual_seed(seed)`. As there, the low 32 bits count.
    pub(crate) fn new(seed: u64) -> Self {
        Self { twister: MersenneTwister::new(seed as u32), cached: None }
    }

    /// `torch.randn(shape, generator=…)`, the next values of the stream.
    #[cfg(test)]
    pub(crate) fn normal(&mut self, shape: &[i64]) -> Tensor {
        self.normal_of(shape, Kind::Float)
    }

    /// `torch.randn(shape, generator=…, dtype=kind)` on the CPU: PyTorch draws 16-bit noise from
    /// fewer bits, so that it is other noise and not the same noise rounded.
    pub(crate) fn normal_of(&mut self, shape: &[i64], kind: Kind) -> Tensor {
        let count = shape.iter().product::<i64>().max(0) as usize;
        let values = self.values(count, Precision::of(kind));
        Tensor::from_slice(&values).reshape(shape).to_kind(kind)
    }

    fn values(&mut self, count: usize, precision: Precision) -> Vec<f32> {
        if count < 16 {
            return (0..count).map(|_| self.single() as f32).collect();
        }
        let mut values = vec![0.0; count];
        self.fill_uniform(&mut values, precision.digits);
        for group in values.as_chunks_mut::<16>().0 {
            box_muller(group, precision);
        }
        // The last, broken group is drawn anew together with the values before it.
        if let (false, Some(tail)) = (count.is_multiple_of(16), values.last_chunk_mut::<16>()) {
            self.fill_uniform(tail, precision.digits);
            box_muller(tail, precision);
        }
        values.into_iter().map(|value| value as f32).collect()
    }

    /// Uniform values in [0, 1) with `digits` random bits.
    fn fill_uniform(&mut self, values: &mut [f64], digits: u32) {
        let steps = 1_u32 << digits;
        for value in values {
            *value = f64::from(self.twister.next() & (steps - 1)) / f64::from(steps);
        }
    }

    /// One value as PyTorch draws fewer than 16: in double precision, in pairs.
    fn single(&mut self) -> f64 {
        if let Some(value) = self.cached.take() {
            return value;
        }
        let (angle, length) = (self.uniform_double(), self.uniform_double());
        let (sin, cos) = (TAU * angle).sin_cos();
        let radius = (-2.0 * (-length).ln_1p()).sqrt();
        self.cached = Some(radius * sin);
        radius * cos
    }

    /// A uniform value in [0, 1) with 53 random bits, of two draws.
    fn uniform_double(&mut self) -> f64 {
        let bits = u64::from(self.twister.next()) << 32 | u64::from(self.twister.next());
        let steps = 1_u64 << 53;
        (bits & (steps - 1)) as f64 / steps as f64
    }
}

/// How PyTorch calculates with the values of one type.
#[derive(Clone, Copy)]
struct Precision {
    /// Bits of the mantissa, and so of a uniform value.
    digits: u32,
    /// The constant 2π as it is multiplied with.
    tau: f64,
    /// What storing in the type does to a value.
    round: fn(f64) -> f64,
}

impl Precision {
    fn of(kind: Kind) -> Self {
        let (digits, tau, round): (_, _, fn(f64) -> f64) = match kind {
            Kind::Half => (11, TAU, |value| f16::from_f64(value).to_f64()),
            Kind::BFloat16 => (8, TAU, |value| bf16::from_f64(value).to_f64()),
            _ => (24, f64::from(TAU as f32), |value| f64::from(value as f32)),
        };
        Self { digits, tau, round }
    }
}

/// Uniform values to normal ones, in place: value `i` with value `i + 8`.
fn box_muller(group: &mut [f64; 16], Precision { tau, round, .. }: Precision) {
    for i in 0..8 {
        let logarithm = round(round(1.0 - group[i]).ln());
        let radius = round(round(-2.0 * logarithm).sqrt());
        let (sin, cos) = round(tau * group[i + 8]).sin_cos();
        group[i] = round(radius * round(cos));
        group[i + 8] = round(radius * round(sin));
    }
}

/// MT19937 of Matsumoto and Nishimura, 1998.
#[derive(Clone, Debug)]
struct MersenneTwister {
    state: Box<[u32; Self::LENGTH]>,
    next: usize,
}

impl MersenneTwister {
    const LENGTH: usize = 624;
    const SHIFT: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = Box::new([seed; Self::LENGTH]);
        for i in 1..Self::LENGTH {
            let last = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: Self::LENGTH }
    }

    fn next(&mut self) -> u32 {
        if self.next == Self::LENGTH {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn twist(&mut self) {
        let state = &mut self.state;
        for i in 0..Self::LENGTH {
            let next = state[(i + 1) % Self::LENGTH];
            let joined = state[i] & 0x8000_0000 | next & 0x7fff_ffff;
            let odd = if next & 1 == 1 { 0x9908_b0df } else { 0 };
            state[i] = state[(i + Self::SHIFT) % Self::LENGTH] ^ joined >> 1 ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::common::golden::fixture;

    /// Names are `seed/kind/first,second,…`: the sizes of successive draws, joined in the tensor.
    #[test]
    fn every_draw_equals_pytorch() {
        let recorded = Tensor::read_safetensors(fixture("noise.safetensors")).unwrap();
        assert!(recorded.len() > 100);
        for (name, expected) in recorded {
            let [seed, kind, sizes] = name.split('/').collect::<Vec<_>>()[..] else {
                panic!("{name}");
            };
            let (kind, bound) = match kind {
                "f16" => (Kind::Half, 1e-3),
                "bf16" => (Kind::BFloat16, 8e-3),
                _ => (Kind::Float, 1e-6),
            };
            let mut noise = Noise::new(seed.parse().unwrap());
            let mut draw = |size: &str| noise.normal_of(&[size.parse().unwrap()], kind);
            let drawn: Vec<_> = sizes.split(',').map(&mut draw).collect();
            let [drawn, expected] =
                [Tensor::cat(&drawn, 0), expected].map(|values| values.to_kind(Kind::Float));
            let difference = (drawn - &expected).abs() / expected.abs().clamp_min(1.0);
            assert!(difference.max().double_value(&[]) <= bound, "{name}: {difference:?}");
        }
    }

    #[test]
    fn streams_do_not_disturb_each_other() {
        let alone = Noise::new(7).normal(&[2, 3, 4]);
        let (mut one, mut other) = (Noise::new(7), Noise::new(8));
        let _ = other.normal(&[100]);
        assert_eq!(one.normal(&[2, 3, 4]), alone);
        assert_eq!(alone.size(), [2, 3, 4]);
        assert_ne!(other.normal(&[2, 3, 4]), alone);
    }
}
