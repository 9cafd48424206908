//! Answers of several people to how far they agree beyond chance.

use std::collections::BTreeMap;

/// Krippendorff's α for nominal answers: 1 is perfect agreement, 0 that of chance, below 0 that people
/// differ more than chance has them do (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011).
///
/// `ratings` are `(unit, answer)`, one for each answer of a person to a unit; what was not answered is
/// simply not there, and any number of people may answer each unit. With `o(c, k)` the coincidences of
/// answers `c` and `k` in a unit of `m` answers, each of weight `1/(m − 1)`,
/// `α = 1 − (n − 1) Σ_{c≠k} o(c, k) / Σ_{c≠k} n(c) n(k)`.
///
/// None where no unit has two answers, or where all answers are the same: chance then agrees as well.
///
/// ```
/// use imagerag::evaluation::statistics::krippendorff_alpha;
///
/// let ratings = [("a", 'x'), ("a", 'x'), ("b", 'y'), ("b", 'y'), ("c", 'x'), ("c", 'y')];
/// assert!((krippendorff_alpha(ratings).unwrap() - 4.0 / 9.0).abs() < 1e-12);
/// assert_eq!(krippendorff_alpha([("a", 'x'), ("b", 'y')]), None);
/// ```
pub fn krippendorff_alpha<U: Ord, A: Ord>(
    ratings: impl IntoIterator<Item = (U, A)>,
) -> Option<f64> {
    let mut answers = BTreeMap::<A, usize>::new(); // to numbers from 0
    let mut units = BTreeMap::<U, BTreeMap<usize, usize>>::new(); // how often each answer was given
    for (unit, answer) in ratings {
        let number = answers.len();
        let number = *answers.entry(answer).or_insert(number);
        *units.entry(unit).or_default().entry(number).or_default() += 1;
    }
    let mut totals = vec![0.0; answers.len()];
    let mut disagreement = 0.0;
    for counts in units.values() {
        let m = counts.values().sum::<usize>() as f64;
        if m < 2.0 {
            continue;
        }
        for (&answer, &count) in counts {
            totals[answer] += count as f64;
            disagreement += count as f64 * (m - count as f64) / (m - 1.0);
        }
    }
    let n: f64 = totals.iter().sum();
    let by_chance: f64 = totals.iter().map(|total| total * (n - total)).sum();
    (by_chance > 0.0).then(|| 1.0 - (n - 1.0) * disagreement / by_chance)
}
