//! The scores of many pictures to one mean with its standard error.

use std::collections::BTreeMap;

use crate::evaluation::metric::Outcome;

/// The mean of a metric over classes, with what it was computed from.
///
/// Several pictures of one class are not independent, so that they are averaged first: every class counts
/// once, and the standard error is that of the classes' means, `s / √n` with
/// `s² = Σ (x − mean)² / (n − 1)`.
///
/// ```
/// use imagerag::evaluation::metric::Outcome;
/// use imagerag::evaluation::statistics::Summary;
///
/// let scores = [
///     ("tench", Some(Outcome::Value(0.2))),
///     ("tench", Some(Outcome::Value(0.4))),
///     ("crane", Some(Outcome::Value(0.5))),
///     ("crane", Some(Outcome::Refused("policy".into()))),
///     ("dhole", None), // It was not drawn yet.
/// ];
/// let summary = Summary::over_classes(scores.iter().map(|(class, score)| (class, score.as_ref())));
/// assert_eq!((summary.n, summary.values, summary.refused, summary.missing), (2, 3, 1, 1));
/// assert!((summary.mean.unwrap() - 0.4).abs() < 1e-12);
/// assert!((summary.standard_error.unwrap() - 0.1).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The mean of the classes' means; none where no class has a number.
    pub mean: Option<f64>,
    /// The standard error of `mean`; none for fewer than two classes.
    pub standard_error: Option<f64>,
    /// The standard deviation of the classes' means, with n − 1; none for fewer than two classes.
    pub deviation: Option<f64>,
    /// How many classes have a number.
    pub n: usize,
    /// How many numbers were averaged.
    pub values: usize,
    /// How many pictures have no score yet.
    pub missing: usize,
    /// How many pictures the metric does not apply to.
    pub not_applicable: usize,
    /// How many pictures the judge or the generator refused.
    pub refused: usize,
    /// How many pictures or scores failed, those that are not finite included.
    pub failed: usize,
}

impl Summary {
    /// The summary of scores with their classes. A picture without a score is `None`. For items without
    /// classes give each item's identifier.
    pub fn over_classes<'a, C: Ord>(
        scores: impl IntoIterator<Item = (C, Option<&'a Outcome>)>,
    ) -> Self {
        let mut summary = Self::default();
        let mut classes = BTreeMap::<C, Vec<f64>>::new();
        for (class, outcome) in scores {
            match outcome {
                Some(Outcome::Value(value)) if value.is_finite() => {
                    classes.entry(class).or_default().push(*value);
                    summary.values += 1;
                }
                Some(Outcome::Value(_) | Outcome::Failed(_)) => summary.failed += 1,
                Some(Outcome::Refused(_)) => summary.refused += 1,
                Some(Outcome::NotApplicable(_)) => summary.not_applicable += 1,
                None => summary.missing += 1,
            }
        }
        let means: Vec<f64> = classes.values().filter_map(|values| mean(values)).collect();
        summary.n = means.len();
        summary.mean = mean(&means);
        summary.deviation = deviation(&means);
        summary.standard_error = standard_error(&means);
        summary
    }

    /// The summary of numbers that are each a class of their own.
    pub fn of(values: &[f64]) -> Self {
        let outcomes: Vec<_> = values.iter().map(|&value| Outcome::Value(value)).collect();
        Self::over_classes(
            outcomes.iter().enumerate().map(|(class, outcome)| (class, Some(outcome))),
        )
    }

    /// How many pictures are not in the mean, for whatever reason.
    pub const fn left_out(&self) -> usize {
        self.missing + self.not_applicable + self.refused + self.failed
    }
}

/// The mean of finite `values`. They are scaled by the largest, so that no sum overflows.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    let scale = largest(values);
    match (values.is_empty(), scale == 0.0) {
        (true, _) => None,
        (false, true) => Some(0.0),
        (false, false) => Some(
            scale * (values.iter().map(|value| value / scale).sum::<f64>() / values.len() as f64),
        ),
    }
}

/// The standard deviation of finite `values`, with n − 1.
pub(super) fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let scale = largest(values);
    if scale == 0.0 {
        return Some(0.0);
    }
    let scaled: Vec<f64> = values.iter().map(|value| value / scale).collect();
    let center = mean(&scaled)?;
    let squares: f64 = scaled.iter().map(|value| (value - center).powi(2)).sum();
    let deviation = (squares / (values.len() - 1) as f64).sqrt() * scale;
    Some(deviation.min(f64::MAX))
}

pub(super) fn standard_error(values: &[f64]) -> Option<f64> {
    Some(deviation(values)? / (values.len() as f64).sqrt())
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}
