//! What happens in a run, to whoever watches it; and what ends it from outside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Drawing, Ended, PictureRecord, ScoreRecord, Spent};
use crate::evaluation::metric::Outcome;

/// Ends a run: nothing more is begun, and what is in progress is finished and kept. Clones end the same
/// run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the run.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody ended it.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A system or a metric begins.
    Began {
        /// Its name.
        name: String,
        /// How many pictures it is to draw or to score.
        total: usize,
    },
    /// A picture was drawn, or failed.
    Picture {
        /// Its record.
        record: Box<PictureRecord>,
        /// How far the run is.
        progress: Progress,
    },
    /// A picture was scored, or its score failed.
    Score {
        /// Its record.
        record: Box<ScoreRecord>,
        /// How far the run is.
        progress: Progress,
    },
    /// Nothing was finished for a minute.
    Waiting {
        /// What is waited for, such as `SDXL: birds, 12, seed 0` and how many others.
        what: String,
        /// For how long.
        elapsed: Duration,
    },
    /// Something that somebody should know.
    Note(String),
}

/// How far a system or a metric is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// How many are done, in this run.
    pub done: usize,
    /// How many there are to do, in this run.
    pub total: usize,
    /// The time since the system or metric began.
    pub elapsed: Duration,
    /// What all runs together cost so far, in the currency of the prices.
    pub cost: f64,
}

impl Progress {
    /// The time that the rest is expected to take, once something is done.
    pub fn remaining(&self) -> Option<Duration> {
        let rest = self.total.saturating_sub(self.done);
        (self.done > 0).then(|| self.elapsed.mul_f64(rest as f64 / self.done as f64))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began { name, total } => write!(f, "{name}: {total} to do"),
            Self::Picture { record, progress } => {
                let PictureRecord { system, dataset, item, seed, ended, .. } = &**record;
                write!(f, "{progress} {system}, {dataset}, {item}, seed {seed}: ")?;
                match ended {
                    Ended::Drawn(Drawing { undetermined: true, .. }) => {
                        f.write_str("drawn, but the critic could not say what to change")
                    }
                    Ended::Drawn(_) => f.write_str("drawn"),
                    Ended::Failed { error, refused: true, .. } => write!(f, "refused: {error}"),
                    Ended::Failed { error, .. } => write!(f, "failed: {error}"),
                }
            }
            Self::Score { record, progress } => {
                let ScoreRecord { dataset, item, outcome, .. } = &**record;
                write!(f, "{progress} {dataset}, {item}: ")?;
                match outcome {
                    Outcome::Value(value) => write!(f, "{value:.3}"),
                    Outcome::NotApplicable(why) => write!(f, "not applicable: {why}"),
                    Outcome::Refused(why) => write!(f, "refused: {why}"),
                    Outcome::Failed(why) => write!(f, "failed: {why}"),
                }
            }
            Self::Waiting { what, elapsed } => {
                write!(f, "for {} s nothing but waiting for {what}", elapsed.as_secs())
            }
            Self::Note(note) => write!(f, "note: {note}"),
        }
    }
}

/// `12/200, 3 min left`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.done, self.total)?;
        match self.remaining().map(|left| left.as_secs()) {
            None | Some(0) => Ok(()),
            Some(seconds @ ..100) => write!(f, ", {seconds} s left"),
            Some(seconds @ ..6_000) => write!(f, ", {} min left", seconds / 60),
            Some(seconds) => write!(f, ", {:.1} h left", seconds as f64 / 3_600.0),
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Pictures that were drawn.
    pub drawn: usize,
    /// Pictures of which the critic could not say what to change ([`Drawing::undetermined`]); they are
    /// counted as drawn.
    pub undetermined: usize,
    /// Pictures that failed or were refused.
    pub failed: usize,
    /// Scores that were made, those without a number included.
    pub scored: usize,
    /// Scores that failed or were refused.
    pub scores_failed: usize,
    /// Why something was not tried: the run was stopped, or the budget is used up.
    pub stopped: Option<String>,
    /// Systems and metrics that were given up because they cannot work or everything failed, and why.
    pub given_up: Vec<String>,
    /// What somebody should know: damaged lines, parts without a price.
    pub notes: Vec<String>,
    /// What all runs together took.
    pub spent: Spent,
    /// What all runs together cost, in the currency of the prices.
    pub cost: f64,
}
