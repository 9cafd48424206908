//! Choices among several systems, two at a time, to one strength for each.

use super::bootstrap::{Interval, Resampling, bootstrap};
use crate::Result;
use crate::error::require;

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
    /// The strengths of maximum likelihood, by the iteration of Hunter ("MM algorithms for generalized
    /// Bradley-Terry models", 2004). `wins[i][j]` is how often `i` was preferred to `j`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) where `wins` is not square, has numbers that
    /// are negative or not finite, or where there are no finite strengths: some systems were never
    /// preferred to the others, or never compared with them.
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
        Ok(Self { strengths: maximum_likelihood(wins) })
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

fn maximum_likelihood(wins: &[Vec<f64>]) -> Vec<f64> {
    /// More than any of the tests' graphs takes by a factor of 100.
    const ITERATIONS: usize = 100_000;
    let n = wins.len();
    let mut strengths = vec![0.0_f64; n]; // logarithms
    for _ in 0..ITERATIONS {
        let mut next: Vec<f64> = (0..n)
            .map(|i| {
                let others = (0..n).filter(|&j| j != i);
                let (mut won, mut expected) = (0.0, 0.0);
                for j in others {
                    won += wins[i][j];
                    let shared = wins[i][j] + wins[j][i];
                    expected += shared / (1.0 + (strengths[j] - strengths[i]).exp());
                }
                match expected > 0.0 {
                    true => strengths[i] + (won / expected).ln(),
                    false => strengths[i],
                }
            })
            .collect();
        let mean = next.iter().sum::<f64>() / n as f64;
        next.iter_mut().for_each(|strength| *strength -= mean);
        let moved = next.iter().zip(&strengths).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        strengths = next;
        if moved < 1e-14 {
            break;
        }
    }
    strengths
}
