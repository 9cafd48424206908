//! A statistic to the interval in which it lies, by drawing from what it was computed of again and again.

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::Result;
use crate::error::require;

/// An interval with the confidence that it was computed for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How often such intervals contain the true value, in (0, 1).
    pub confidence: Confidence,
}

/// How often an interval contains the true value: a number in (0, 1), by default 0.95.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Confidence(f64);

impl Confidence {
    /// A confidence.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) where it is not between 0 and 1.
    pub fn new(confidence: f64) -> Result<Self> {
        let is_valid = confidence > 0.0 && confidence < 1.0;
        require(is_valid, "confidence", "a number between 0 and 1, such as 0.95", confidence)?;
        Ok(Self(confidence))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The quantile of the standard normal distribution that has half of the rest above it: 1.96 for 0.95.
    pub(super) fn z(self) -> f64 {
        Normal::standard().inverse_cdf(0.5 + self.0 / 2.0)
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self(0.95)
    }
}

impl TryFrom<f64> for Confidence {
    type Error = crate::Error;

    fn try_from(confidence: f64) -> Result<Self> {
        Self::new(confidence)
    }
}

impl From<Confidence> for f64 {
    fn from(confidence: Confidence) -> Self {
        confidence.0
    }
}

/// How often is drawn, from which seed, and what the interval is for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Resampling {
    /// How often is drawn; at least 1, by default 10,000.
    pub resamples: usize,
    /// The seed; by default 0. Equal seeds give equal numbers.
    pub seed: u64,
    /// The confidence of intervals.
    pub confidence: Confidence,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 10_000, seed: 0, confidence: Confidence::default() }
    }
}

impl Resampling {
    /// The same, drawn this often; 0 counts as 1.
    #[must_use]
    pub const fn with_resamples(mut self, resamples: usize) -> Self {
        self.resamples = if resamples == 0 { 1 } else { resamples };
        self
    }

    /// The same from another seed.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same for another confidence.
    #[must_use]
    pub const fn with_confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }
}

/// The percentile bootstrap interval of any statistic of `n` independent units, such as classes or
/// participants: `statistic` is computed for each of many draws of `n` indices below `n`, with
/// replacement, and the interval is between their quantiles.
///
/// None where `n` is 0, or where the statistic is finite in no draw; a draw for which it is not finite
/// is left out.
///
/// ```
/// use imagerag::evaluation::statistics::{Resampling, bootstrap};
///
/// let classes = [0.21, 0.25, 0.19, 0.30, 0.27, 0.24];
/// let mean = |draw: &[usize]| draw.iter().map(|&i| classes[i]).sum::<f64>() / draw.len() as f64;
/// let interval = bootstrap(classes.len(), Resampling::default(), mean).unwrap();
/// assert!(interval.low < 0.2433 && 0.2433 < interval.high);
/// ```
pub fn bootstrap(
    n: usize,
    resampling: Resampling,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let mut random = Rng::with_seed(resampling.seed);
    let mut draw = vec![0; n];
    let values = (0..resampling.resamples.max(1)).map(|_| {
        draw.fill_with(|| random.usize(..n));
        statistic(&draw)
    });
    percentiles(values.collect(), resampling.confidence)
}

/// The interval that has the middle of the finite `values`, between quantiles that are interpolated
/// linearly, as NumPy's `percentile` does it.
pub(super) fn percentiles(mut values: Vec<f64>, confidence: Confidence) -> Option<Interval> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let quantile = |share: f64| {
        let place = share * last as f64;
        let below = (place.floor() as usize).min(last);
        let (low, high) = (values[below], values[(below + 1).min(last)]);
        let share = place - below as f64;
        // Rounding must not lead outside, such as away from numbers that are all the same.
        (low * (1.0 - share) + high * share).clamp(low, high)
    };
    let outside = (1.0 - confidence.get()) / 2.0;
    Some(Interval { low: quantile(outside), high: quantile(1.0 - outside), confidence })
}
