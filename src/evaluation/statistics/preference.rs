//! Choices between two systems to the share that the second one wins.

use super::bootstrap::{Confidence, Interval, Resampling, bootstrap};
use super::proportion::wilson_of_share;

/// How often one of two systems was preferred.
///
/// ```
/// use imagerag::evaluation::statistics::{Confidence, WinRate};
///
/// let rate = WinRate::new(6, 2, 2);
/// assert_eq!(rate.rate(), Some(0.7));
/// let interval = rate.wilson(Confidence::default()).unwrap();
/// assert!(interval.low < 0.5 && 0.9 > interval.high - 0.1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct WinRate {
    /// How often it was preferred.
    pub wins: usize,
    /// How often the other one was.
    pub losses: usize,
    /// How often neither was.
    pub ties: usize,
}

impl WinRate {
    /// These counts.
    pub const fn new(wins: usize, losses: usize, ties: usize) -> Self {
        Self { wins, losses, ties }
    }

    /// How many choices there were.
    pub const fn n(&self) -> usize {
        self.wins + self.losses + self.ties
    }

    /// `(wins + ½ ties) / n`, in [0, 1]; none where there were no choices.
    pub fn rate(&self) -> Option<f64> {
        (self.n() > 0).then(|| self.points() / self.n() as f64)
    }

    /// [`Self::rate`] in Wilson's interval, which takes the choices as independent. A tie is half a win.
    pub fn wilson(&self, confidence: Confidence) -> Option<Interval> {
        wilson_of_share(self.points(), self.n(), confidence)
    }

    /// The interval of the rate over all of `clusters`, such as the participants of a study with the
    /// choices of each: whole clusters are drawn, since the choices of one person are not independent.
    /// None where there are no choices.
    pub fn cluster_bootstrap(clusters: &[Self], resampling: Resampling) -> Option<Interval> {
        bootstrap(clusters.len(), resampling, |draw| {
            let points: f64 = draw.iter().map(|&cluster| clusters[cluster].points()).sum();
            let n: usize = draw.iter().map(|&cluster| clusters[cluster].n()).sum();
            points / n as f64 // NaN, which is left out, where every cluster drawn is empty
        })
    }

    fn points(&self) -> f64 {
        self.wins as f64 + 0.5 * self.ties as f64
    }
}

impl std::ops::AddAssign for WinRate {
    fn add_assign(&mut self, other: Self) {
        self.wins += other.wins;
        self.losses += other.losses;
        self.ties += other.ties;
    }
}

impl std::iter::Sum for WinRate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::default(), |mut all, rate| {
            all += rate;
            all
        })
    }
}
