//! Counts of yes and no to proportions with intervals, and to whether a proportion has changed.

use statrs::distribution::{Binomial, DiscreteCDF};
use statrs::function::erf::erfc;

use super::bootstrap::{Confidence, Interval};

/// Wilson's score interval (1927) of a proportion, without continuity correction. With `p = k/n` and the
/// normal quantile `z`, it is
/// `(p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)`.
///
/// None where `trials` is 0 or less than `successes`.
///
/// ```
/// use imagerag::evaluation::statistics::{Confidence, wilson};
///
/// let interval = wilson(92, 100, Confidence::default()).unwrap();
/// assert!((interval.low - 0.8500).abs() < 1e-4 && (interval.high - 0.9589).abs() < 1e-4);
/// ```
pub fn wilson(successes: usize, trials: usize, confidence: Confidence) -> Option<Interval> {
    wilson_of_share(successes as f64, trials, confidence)
}

/// The same for successes of which some count half, as ties do.
pub(super) fn wilson_of_share(
    successes: f64,
    trials: usize,
    confidence: Confidence,
) -> Option<Interval> {
    let n = trials as f64;
    if trials == 0 || !(0.0..=n).contains(&successes) {
        return None;
    }
    let (p, z) = (successes / n, confidence.z());
    let (center, whole) = (p + z * z / (2.0 * n), 1.0 + z * z / n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if successes == 0.0 { 0.0 } else { (center - half) / whole };
    let high = if successes == n { 1.0 } else { (center + half) / whole };
    Some(Interval { low: low.max(0.0), high: high.min(1.0), confidence })
}

/// McNemar's test (1947): whether yes became more or less frequent, on the same items before and after.
///
/// Only items that changed tell anything: `gained` of them from no to yes, `lost` from yes to no.
///
/// ```
/// use imagerag::evaluation::statistics::McNemar;
///
/// let test = McNemar::new([(false, true), (false, true), (true, true), (true, false)]);
/// assert_eq!((test.gained, test.lost, test.unchanged), (2, 1, 1));
/// assert_eq!(test.exact(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct McNemar {
    /// Items with no before and yes after.
    pub gained: usize,
    /// Items with yes before and no after.
    pub lost: usize,
    /// Items with the same answer.
    pub unchanged: usize,
}

impl McNemar {
    /// Counts pairs `(before, after)`, one an item.
    pub fn new(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut test = Self::default();
        for pair in pairs {
            match pair {
                (false, true) => test.gained += 1,
                (true, false) => test.lost += 1,
                _ => test.unchanged += 1,
            }
        }
        test
    }

    /// The exact two-sided p-value: twice the lower tail of the binomial distribution of the smaller
    /// count among those that changed, with probability ½, and at most 1. It holds for any number of items.
    pub fn exact(&self) -> f64 {
        let (fewer, changed) =
            (self.gained.min(self.lost) as u64, (self.gained + self.lost) as u64);
        // 0.5 is a probability, so that the distribution exists.
        let tail = Binomial::new(0.5, changed).map_or(0.5, |binomial| binomial.cdf(fewer));
        (2.0 * tail).min(1.0)
    }

    /// The statistic `(|gained − lost| − c)² / (gained + lost)`, with `c = 1` where `corrected`
    /// (Edwards, 1948) and 0 otherwise, and its p-value: the upper tail of the χ² distribution with one
    /// degree of freedom. It is an approximation for 25 changed items or more. `(0, 1)` where none changed.
    pub fn chi_square(&self, corrected: bool) -> (f64, f64) {
        let changed = (self.gained + self.lost) as f64;
        if changed == 0.0 {
            return (0.0, 1.0);
        }
        let difference = self.gained.abs_diff(self.lost) as f64 - f64::from(u8::from(corrected));
        let statistic = difference * difference / changed;
        (statistic, erfc((statistic / 2.0).sqrt()))
    }
}
