//! Two systems on the same items to their mean difference, and to whether chance explains it.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::bootstrap::{Interval, Resampling, bootstrap};
use super::summary::{mean, standard_error};

/// How much better the second of two systems is than the first, on the same items and seeds.
///
/// Where items differ more than systems do, this tells systems apart whose own intervals overlap.
/// Differences of one class are averaged first, as [`Summary`](super::Summary) does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Paired {
    /// The mean over classes of `second − first`; none where no pair is complete.
    pub mean: Option<f64>,
    /// Its standard error; none for fewer than two classes.
    pub standard_error: Option<f64>,
    /// Its percentile bootstrap interval over classes; none for fewer than two classes.
    pub interval: Option<Interval>,
    /// The test that the classes' differences are symmetric about 0; none where there are none.
    pub test: Option<SignFlip>,
    /// How many classes were compared.
    pub n: usize,
    /// How many pairs have both numbers.
    pub pairs: usize,
    /// How many have one number or none, or one that is not finite.
    pub incomplete: usize,
}

impl Paired {
    /// Compares pairs `(class, first, second)` of scores for the same item and seed; one that is missing
    /// is `None`.
    pub fn over_classes<C: Ord>(
        pairs: impl IntoIterator<Item = (C, Option<f64>, Option<f64>)>,
        resampling: Resampling,
    ) -> Self {
        let mut paired = Self::default();
        let mut classes = BTreeMap::<C, Vec<f64>>::new();
        for (class, first, second) in pairs {
            let difference = first.zip(second).map(|(first, second)| second - first);
            match difference.filter(|difference| difference.is_finite()) {
                Some(difference) => {
                    classes.entry(class).or_default().push(difference);
                    paired.pairs += 1;
                }
                None => paired.incomplete += 1,
            }
        }
        let differences: Vec<f64> = classes.values().filter_map(|values| mean(values)).collect();
        paired.n = differences.len();
        paired.mean = mean(&differences);
        paired.standard_error = standard_error(&differences);
        if paired.n > 1 {
            let mut drawn = Vec::with_capacity(paired.n);
            paired.interval = bootstrap(paired.n, resampling, |draw| {
                drawn.clear();
                drawn.extend(draw.iter().map(|&class| differences[class]));
                mean(&drawn).unwrap_or(f64::NAN)
            });
        }
        paired.test = sign_flip(&differences, resampling);
        paired
    }
}

/// The result of a sign-flip permutation test.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SignFlip {
    /// The two-sided p-value, in (0, 1].
    pub p_value: f64,
    /// Whether every way to flip signs was tried; otherwise they were drawn.
    pub exact: bool,
}

/// Whether paired differences could as well have the opposite signs: the two-sided p-value of
/// `T = |Σ dᵢ|` under the hypothesis that each sign is as likely as the other.
///
/// With `B` resamples and `n` differences, all 2ⁿ ways are tried where 2ⁿ ≤ B, and `p` is the share with
/// `|T*| ≥ |T|`. Otherwise `p = (1 + #{|T*| ≥ |T|}) / (1 + B)`, so that it is never 0 (Phipson and Smyth,
/// "Permutation p-values should never be zero", 2010). Differences that are not finite are left out;
/// none where nothing is left.
pub fn sign_flip(differences: &[f64], resampling: Resampling) -> Option<SignFlip> {
    let finite: Vec<f64> = differences.iter().copied().filter(|d| d.is_finite()).collect();
    let scale = finite.iter().fold(0.0, |largest: f64, value| value.abs().max(largest));
    if finite.is_empty() {
        return None;
    }
    let (n, resamples) = (finite.len(), resampling.resamples.max(1));
    let scaled: Vec<f64> =
        finite.iter().map(|value| if scale > 0.0 { value / scale } else { 0.0 }).collect();
    let observed = scaled.iter().sum::<f64>().abs();
    // Sums in another order differ by their rounding, which must not tell equal ones apart.
    let at_least = observed - 1e-12 * n as f64;
    let reaches = |is_flipped: &mut dyn FnMut(usize) -> bool| {
        let flip = |(i, value): (usize, &f64)| if is_flipped(i) { -value } else { *value };
        scaled.iter().enumerate().map(flip).sum::<f64>().abs() >= at_least
    };
    let ways = u32::try_from(n).ok().and_then(|n| 1usize.checked_shl(n));
    if let Some(ways) = ways.filter(|&ways| ways <= resamples) {
        let reached = (0..ways).filter(|way| reaches(&mut |i| way >> i & 1 == 1)).count();
        return Some(SignFlip { p_value: reached as f64 / ways as f64, exact: true });
    }
    let mut random = Rng::with_seed(resampling.seed);
    let reached = (0..resamples).filter(|_| reaches(&mut |_| random.bool())).count();
    let p_value = (1 + reached) as f64 / (1 + resamples) as f64;
    Some(SignFlip { p_value, exact: false })
}

/// p-values adjusted for their number by Holm's method (1979), in the order given: of `m` p-values the
/// `i`-th smallest is multiplied by `m − i + 1`, is at least the one before it, and at most 1. Rejecting
/// what is below α keeps the chance of any false rejection below α.
///
/// What is no number in [0, 1] does not count, and stays NaN.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> =
        (0..p_values.len()).filter(|&i| (0.0..=1.0).contains(&p_values[i])).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut least = 0.0_f64;
    for (before, &i) in order.iter().enumerate() {
        least = least.max(p_values[i] * (order.len() - before) as f64).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}
