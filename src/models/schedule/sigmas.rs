//! Turns a number of steps into the times at which to take them, and times into noise levels.

use crate::models::common::fields::Fields;
use crate::{Error, Result};

/// How the steps are spread over the training's time (Lin et al. 2023, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    Linspace,
    /// `offset` is added to every time.
    Leading {
        offset: i64,
    },
    Trailing,
}

impl Spacing {
    pub(super) fn read(settings: &Fields, default: &str) -> Result<Self> {
        let offset = settings.integer("steps_offset", 0, 0..=1_000_000)?;
        let (even, leading) = (("linspace", Self::Linspace), ("leading", Self::Leading { offset }));
        let mut choices = [even, leading, ("trailing", Self::Trailing)];
        // The first is the default.
        choices.sort_by_key(|(name, _)| *name != default);
        settings.choice("timestep_spacing", &choices)
    }

    /// The times of `steps` steps, the noisiest first, below `last` of the `train` steps of the
    /// training. The `skipped` least noisy of `steps + skipped` are left out, but for trailing ones.
    pub(super) fn times(
        self,
        last: usize,
        train: usize,
        steps: usize,
        skipped: usize,
    ) -> Result<Vec<f64>> {
        let count = steps + skipped;
        Ok(match self {
            Self::Linspace => linspace(0.0, last as f64 - 1.0, count).skip(skipped).rev().collect(),
            Self::Leading { offset } => {
                let ratio = last / count;
                if ratio == 0 {
                    let expected = format!("fewer than the {last} that the model is trained with");
                    return Err(Error::invalid_input("steps", expected, count));
                }
                (skipped..count).rev().map(|i| (i * ratio) as f64 + offset as f64).collect()
            }
            // `numpy.arange(last, 0, -train / steps).round() - 1`. Rounding may give one time more
            // than `steps`, as it does in diffusers (1,000 over 49).
            Self::Trailing => {
                let (last, ratio) = (last as f64, train as f64 / steps as f64);
                let count = (-last / -ratio).ceil() as usize;
                let delta = (last - ratio) - last;
                (0..count).map(|i| (last + i as f64 * delta).round_ties_even() - 1.0).collect()
            }
        })
    }
}

/// Noise levels of another spread than that of the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Levels {
    /// As the times say.
    Timesteps,
    /// Karras et al., "Elucidating the Design Space", 2022, equation 5.
    Karras,
    /// Evenly spread logarithms.
    Exponential,
    /// At the quantiles of a Beta distribution: Lee et al., "Beta Sampling is All You Need", 2024.
    Beta,
}

impl Levels {
    pub(super) fn read(settings: &Fields) -> Result<Self> {
        settings.refuse(&["use_flow_sigmas"])?;
        let mut chosen = None;
        for (field, levels) in [
            ("use_karras_sigmas", Self::Karras),
            ("use_exponential_sigmas", Self::Exponential),
            ("use_beta_sigmas", Self::Beta),
        ] {
            if settings.flag(field, false)?
                && let Some((other, _)) = chosen.replace((field, levels))
            {
                return Err(settings.invalid(field, format!("false with {other}"), true));
            }
        }
        Ok(chosen.map_or(Self::Timesteps, |(_, levels)| levels))
    }

    /// `steps` levels from `max` down to `min`; `None` where the times decide.
    pub(super) fn between(self, max: f64, min: f64, steps: usize) -> Option<Vec<f64>> {
        match self {
            Self::Timesteps => None,
            Self::Karras => {
                let rho = 7.0; // Karras et al. 2022, table 1
                let (low, high) = (min.powf(1.0 / rho), max.powf(1.0 / rho));
                let ramp = linspace(0.0, 1.0, steps);
                Some(ramp.map(|ramp| (high + ramp * (low - high)).powf(rho)).collect())
            }
            Self::Exponential => Some(linspace(max.ln(), min.ln(), steps).map(f64::exp).collect()),
            Self::Beta => {
                let shares = linspace(0.0, 1.0, steps).map(|share| beta_quantile(1.0 - share));
                Some(shares.map(|share| min + share * (max - min)).collect())
            }
        }
    }
}

/// The `p`-quantile of the Beta distribution with `α = β = 0.6` (diffusers' `_convert_to_beta`).
fn beta_quantile(p: f64) -> f64 {
    const SHAPE: f64 = 0.6;
    // The distribution is symmetric.
    if p > 0.5 {
        return 1.0 - beta_quantile(1.0 - p);
    }
    // The incomplete beta function as a series (DLMF 8.17.7), which gains a bit with every term up to
    // 1/2.
    let incomplete = |x: f64| {
        let (mut sum, mut term) = (0.0, x.powf(SHAPE));
        for n in (0..64).map(f64::from) {
            sum += term / (SHAPE + n);
            term *= x * (n + 1.0 - SHAPE) / (n + 1.0);
        }
        sum
    };
    // Half of the distribution lies below 1/2. Bisection gains a bit with every step.
    let (wanted, mut low, mut high) = (2.0 * p * incomplete(0.5), 0.0, 0.5);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        *(if incomplete(middle) < wanted { &mut low } else { &mut high }) = middle;
    }
    low
}

/// The final noise level.
pub(super) fn final_sigma(settings: &Fields, sigmas: &[f32]) -> Result<f32> {
    let smallest = sigmas.first().copied().unwrap_or(0.0);
    settings.choice("final_sigmas_type", &[("zero", 0.0), ("sigma_min", smallest)])
}

/// `numpy.linspace(start, stop, count)`.
pub(super) fn linspace(
    start: f64,
    stop: f64,
    count: usize,
) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
    let last = count.saturating_sub(1);
    let step = (stop - start) / last.max(1) as f64;
    (0..count).map(move |i| if i == last && i > 0 { stop } else { i as f64 * step + start })
}

/// `numpy.interp` of `values` at the indices `at`.
pub(super) fn interpolate(at: &[f64], values: &[f32]) -> Vec<f64> {
    let last = values.len() - 1;
    let value = |i: usize| f64::from(values[i]);
    at.iter()
        .map(|&at| match at.max(0.0).floor() as usize {
            low if low >= last => value(last),
            low => (value(low + 1) - value(low)) * (at.max(0.0) - low as f64) + value(low),
        })
        .collect()
}

/// The time whose noise level is `sigma`, between those of the training.
pub(super) fn time_of(sigma: f64, log_sigmas: &[f32]) -> f64 {
    let log_sigma = sigma.max(1e-10).ln();
    let reached = log_sigmas.iter().rposition(|&level| log_sigma >= f64::from(level));
    let low = reached.unwrap_or(0).min(log_sigmas.len().saturating_sub(2));
    let Some(&next) = log_sigmas.get(low + 1) else { return 0.0 };
    let span = f64::from(log_sigmas[low] - next);
    let weight = ((f64::from(log_sigmas[low]) - log_sigma) / span).clamp(0.0, 1.0);
    (1.0 - weight) * low as f64 + weight * (low + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.beta.ppf(p, 0.6, 0.6)` of SciPy 1.17.1.
    #[test]
    fn beta_quantiles_equal_scipy() {
        for (p, expected) in [
            (0.0, 0.0),
            (1e-6, 1.855_882_462_405_304e-10),
            (0.01, 0.000_861_238_821_542_905_9),
            (0.25, 0.175_680_378_652_694_98),
            (0.5, 0.5),
            (0.6, 0.637_299_009_246_785_6),
            (0.9, 0.960_415_594_411_219_2),
            (0.999, 0.999_981_441_261_482_6),
            (1.0, 1.0),
        ] {
            let found = beta_quantile(p);
            assert!((found - expected).abs() <= 1e-12 * expected.max(1e-6), "{p}: {found}");
        }
    }
}
