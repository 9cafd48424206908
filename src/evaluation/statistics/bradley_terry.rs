//! Choices among several systems, two at a time, to one strength for each.

use super::bootstrap::{Interval, Resampling, bootstrap};
use crate::error::require;
use crate::{Error, Result};

/// The model of Bradley and Terry (1952): `i` is preferred to `j` with probability
/// `1 / (1 + exp(sⱼ − sᵢ))`.
///
/// ```
/// use imagerag::evaluation::statistics::BradleyTerry;
///
/// // wins[i][j]: how often i was preferred to j. A tie is half a win for each.
/// let model = BradleyTerry::fit(&[vec![0.0, 3.0], vec![1.0, 0.0]])?;
/// assert!((model.strengths[0] - model.strengths[1] - 3_f64.ln()).abs() < 1e-9);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct BradleyTerry {
    /// The logarithm of each system's strength, of maximum likelihood; their mean is 0.
    pub strengths: Vec<f64>,
}

impl BradleyTerry {
    /// The strengths of maximum likelihood, to about 1e-9, by Newton's method. `wins[i][j]` is how often
    /// `i` was preferred to `j`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) where `wins` is not square, has numbers that
    /// are negative or not finite, or where there are no finite strengths: some systems were never
    /// preferred to the others, or never compared with them, or so rarely that no strengths can be computed.
    pub fn fit(wins: &[Vec<f64>]) -> Result<Self> {
        let n = wins.len();
        for (i, row) in wins.iter().enumerate() {
            require(row.len() == n, format!("row {i} of wins"), format!("{n} numbers"), row.len())?;
            for &count in row {
                let is_valid = count.is_finite() && count >= 0.0;
                require(is_valid, format!("row {i} of wins"), "counts of at least 0", count)?;
            }
        }
        let lonely = (0..n).find(|&from| reached(wins, from) < n);
        require(
            lonely.is_none(),
            "comparisons for a Bradley-Terry model",
            "every system preferred to every other one, directly or through others",
            lonely.map_or_else(String::new, |i| format!("that system {i} is not")),
        )?;
        let expected = "counts that are near enough to each other to compute strengths";
        let strengths = maximum_likelihood(wins).ok_or_else(|| {
            Error::invalid_input("comparisons for a Bradley-Terry model", expected, "others")
        })?;
        Ok(Self { strengths })
    }

    /// The intervals of the strengths of `fit`, from draws of whole `clusters` such as participants, each
    /// with its own wins, of the shape of [`Self::fit`]'s. A draw whose strengths are not finite is left
    /// out.
    ///
    /// # Errors
    /// As [`Self::fit`] for the sum of all clusters.
    pub fn cluster_bootstrap(
        clusters: &[Vec<Vec<f64>>],
        resampling: Resampling,
    ) -> Result<(Self, Vec<Option<Interval>>)> {
        let n = clusters.first().map_or(0, Vec::len);
        for cluster in clusters {
            let is_square = cluster.len() == n && cluster.iter().all(|row| row.len() == n);
            require(is_square, "wins of a cluster", format!("{n} rows of {n}"), cluster.len())?;
        }
        let sum = |draw: &mut dyn Iterator<Item = usize>| {
            let mut wins = vec![vec![0.0; n]; n];
            for cluster in draw {
                for (row, more) in wins.iter_mut().zip(&clusters[cluster]) {
                    row.iter_mut().zip(more).for_each(|(count, more)| *count += more);
                }
            }
            wins
        };
        let fitted = Self::fit(&sum(&mut (0..clusters.len())))?;
        let mut draws = Vec::new();
        let _ = bootstrap(clusters.len(), resampling, |draw| {
            draws.extend(Self::fit(&sum(&mut draw.iter().copied())).ok());
            0.0
        });
        let interval = |system: usize| {
            let values = draws.iter().map(|draw| draw.strengths[system]).collect();
            super::bootstrap::percentiles(values, resampling.confidence)
        };
        Ok((fitted, (0..n).map(interval).collect()))
    }
}

/// How many systems `from` is preferred to, directly or through others, itself included.
fn reached(wins: &[Vec<f64>], from: usize) -> usize {
    let mut seen = vec![false; wins.len()];
    let mut open = vec![from];
    while let Some(i) = open.pop() {
        if !std::mem::replace(&mut seen[i], true) {
            open.extend((0..wins.len()).filter(|&j| wins[i][j] > 0.0));
        }
    }
    seen.iter().filter(|&&seen| seen).count()
}

/// Newton's method on the logarithm of the likelihood, which is concave. The last strength is 0 meanwhile,
/// since only differences matter. None where it does not come to an end.
fn maximum_likelihood(wins: &[Vec<f64>]) -> Option<Vec<f64>> {
    /// Each takes a logarithm at least 1 nearer, and few are as far as the hundreds that numbers can be.
    const ITERATIONS: usize = 1000;
    let n = wins.len();
    // Counts that are all larger by the same factor have the same strengths, and might overflow.
    let largest = wins.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let wins: Vec<Vec<f64>> =
        wins.iter().map(|row| row.iter().map(|count| count / largest).collect()).collect();
    let mut strengths = vec![0.0_f64; n];
    let mut likelihood = log_likelihood(&wins, &strengths);
    let mut is_done = n < 2;
    for _ in 0..ITERATIONS {
        if is_done {
            break;
        }
        let step = solved(newton_system(&wins, &strengths))?;
        let size = step.iter().fold(0.0, |size, change| change.abs().max(size));
        if !size.is_finite() {
            return None;
        }
        let reach = strengths.iter().fold(1.0, |reach, strength| strength.abs().max(reach));
        // The next error is about the square of this one.
        is_done = size < 1e-9 * reach;
        let mut share = 1.0;
        loop {
            let next: Vec<f64> = strengths
                .iter()
                .zip(step.iter().chain([&0.0]))
                .map(|(strength, change)| strength + share * change)
                .collect();
            let found = log_likelihood(&wins, &next);
            // Where the step is small the likelihood is the same but for rounding.
            if found >= likelihood || size * share < 1e-6 {
                (strengths, likelihood) = (next, found);
                break;
            }
            share /= 2.0;
        }
    }
    let mean = strengths.iter().sum::<f64>() / n as f64;
    let is_finite = strengths.iter().all(|strength| strength.is_finite());
    (is_done && is_finite).then(|| strengths.into_iter().map(|strength| strength - mean).collect())
}

/// How probable it is that the system with the first strength is preferred to that with the second.
fn probability(first: f64, second: f64) -> f64 {
    1.0 / (1.0 + (second - first).exp())
}

fn log_likelihood(wins: &[Vec<f64>], strengths: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (row, &won) in wins.iter().zip(strengths) {
        for (&count, &lost) in row.iter().zip(strengths).filter(|(count, _)| **count > 0.0) {
            let behind = lost - won;
            // ln(1 + exp(x)), also for large x.
            sum -= count * (behind.max(0.0) + (-behind.abs()).exp().ln_1p());
        }
    }
    sum
}

/// The negative second derivatives, for all but the last system, with the first derivatives behind each row.
fn newton_system(wins: &[Vec<f64>], strengths: &[f64]) -> Vec<Vec<f64>> {
    let free = wins.len() - 1;
    let mut rows = vec![vec![0.0; free + 1]; free];
    for i in 0..free {
        for j in (0..=free).filter(|&j| j != i) {
            let better = probability(strengths[i], strengths[j]);
            let worse = probability(strengths[j], strengths[i]);
            let weight = (wins[i][j] + wins[j][i]) * better * worse;
            rows[i][i] += weight;
            if j < free {
                rows[i][j] -= weight;
            }
            rows[i][free] += wins[i][j] * worse - wins[j][i] * better;
        }
    }
    rows
}

/// The solution of linear equations, a row each with its right side behind it, by Gauss' elimination. No
/// rows are exchanged, since the matrix is symmetric and positive definite. None where it is not.
fn solved(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for i in 0..n {
        let (above, below) = rows.split_at_mut(i + 1);
        let row = &above[i];
        if !(row[i] > 0.0 && row[i].is_finite()) {
            return None;
        }
        for other in below {
            let factor = other[i] / row[i];
            other[i..].iter_mut().zip(&row[i..]).for_each(|(a, b)| *a -= factor * b);
        }
    }
    let mut solution = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][n] - known) / rows[i][i];
    }
    Some(solution)
}
